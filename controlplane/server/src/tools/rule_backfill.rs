//! Blocks from recording rules: what the rules would have recorded in the past.
//!
//! The past is cut into the ranges of blocks. For each range every rule is asked once, as a range query at the
//! moments at which its group is evaluated, and what comes back becomes one block. Alerting rules are left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::AppendError;
use bellwether_model::{Labels, LabelsBuilder};
use bellwether_rules::file::{FileErrors, FileOptions, RuleFile};
use bellwether_rules::{Time, slot};
use bellwether_tsdb::{BlockBuilder, BlockInfo, TsdbError};

use super::backfill::block_range;

/// Which past, and how.
#[derive(Clone, Debug)]
pub struct RuleBackfillOptions {
    /// First second since the epoch.
    pub start_s: i64,
    /// Last second, inclusive.
    pub end_s: i64,
    /// Time between evaluations of groups that do not say.
    pub eval_interval: Duration,
    /// Longest time that a block may span; below two hours it is two hours.
    pub max_block_duration: Duration,
}

/// A recording rule and when it is evaluated.
#[derive(Clone, Debug)]
pub struct RecordingRule {
    /// Name of its series.
    pub record: String,
    /// The expression.
    pub expr: String,
    labels: BTreeMap<String, String>,
    file: String,
    group: String,
    interval: Duration,
}

/// A range query; times in milliseconds, the end inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First evaluation.
    pub start_ms: i64,
    /// No evaluation is later.
    pub end_ms: i64,
    /// Time between two.
    pub step_ms: i64,
}

/// The series of an answer: labels, and samples in order of time.
pub type Answer = Vec<(Labels, Vec<(i64, f64)>)>;

/// Why backfilling failed. Blocks that were made before stay.
#[derive(Debug, thiserror::Error)]
pub enum RuleBackfillError<E> {
    /// A query failed.
    #[error("query range: {0:#}")]
    Query(E),
    /// Two rules, or two series of an answer, record the same series.
    #[error("add: {error} of series {series} (rule {rule})")]
    Add {
        /// The rule.
        rule: String,
        /// The series.
        series: String,
        /// The storage's reason.
        error: AppendError,
    },
    /// A block cannot be written.
    #[error("flush and commit: {0}")]
    Storage(#[from] TsdbError),
}

/// The recording rules of files.
///
/// # Errors
/// All mistakes of the first file that has some.
pub fn recording_rules(
    files: &[PathBuf],
    options: &RuleBackfillOptions,
    file_options: &FileOptions,
) -> Result<Vec<RecordingRule>, FileErrors> {
    let mut rules = Vec::new();
    for path in files {
        for group in RuleFile::read(path, file_options)?.groups {
            let interval = match group.interval {
                Duration::ZERO => options.eval_interval,
                own => own,
            };
            for rule in group.rules.into_iter().filter(|r| !r.record.is_empty()) {
                let mut labels = group.labels.clone();
                labels.extend(rule.labels);
                rules.push(RecordingRule {
                    record: rule.record,
                    expr: rule.expr,
                    labels,
                    file: path.display().to_string(),
                    group: group.name.clone(),
                    interval: interval.max(Duration::from_millis(1)),
                });
            }
        }
    }
    Ok(rules)
}

impl RecordingRule {
    /// The evaluations between two seconds, both inclusive; `None` without any.
    fn span(&self, first_s: i64, last_s: i64) -> Option<Span> {
        let first = Time::from_seconds(first_s);
        let mut at = slot(&self.file, &self.group, self.interval, first);
        while at.seconds() < first_s {
            at = at.after(self.interval);
        }
        let span = Span {
            // As the API rounds times.
            start_ms: Time(at.0 + 500_000).millis(),
            end_ms: last_s * 1000,
            step_ms: i64::try_from(self.interval.as_millis()).unwrap_or(i64::MAX),
        };
        (at <= Time::from_seconds(last_s)).then_some(span)
    }

    /// The labels under which a series of the result is recorded.
    fn labels(&self, found: &Labels) -> Labels {
        let mut labels: LabelsBuilder = found.to_builder();
        for (name, value) in &self.labels {
            labels.set(name, value);
        }
        labels.set(METRIC_NAME, &self.record);
        labels.build()
    }
}

/// Asks for the past of all rules and writes it as blocks into the directory `dir`, which must exist; `created` is
/// called for each block, in order of time.
///
/// # Errors
/// The first query or block that fails.
pub async fn backfill_rules<E>(
    rules: &[RecordingRule],
    dir: &Path,
    options: &RuleBackfillOptions,
    ask: impl AsyncFn(&RecordingRule, Span) -> Result<Answer, E>,
    mut created: impl FnMut(&BlockInfo),
) -> Result<(), RuleBackfillError<E>> {
    let range_s = block_range(options.max_block_duration) / 1000;
    let mut block_s = options.start_s.div_euclid(range_s) * range_s;
    while block_s <= options.end_s {
        let first = block_s.max(options.start_s);
        let last = (block_s + range_s - 1).min(options.end_s);
        // Chunks may end at multiples of twice the block's range, as those of Prometheus' importer do.
        let block = BlockBuilder::new(dir, range_s.saturating_mul(2000));
        for rule in rules {
            let Some(span) = rule.span(first, last) else {
                continue;
            };
            let answer = ask(rule, span).await.map_err(RuleBackfillError::Query)?;
            add(&block, rule, answer)?;
        }
        if let Some(info) = block.write()? {
            created(&info);
        }
        block_s += range_s;
    }
    Ok(())
}

fn add<E>(
    block: &BlockBuilder,
    rule: &RecordingRule,
    answer: Answer,
) -> Result<(), RuleBackfillError<E>> {
    for (found, samples) in answer {
        let labels = rule.labels(&found);
        for (t, v) in samples {
            block
                .append(&labels, t, v)
                .map_err(|error| RuleBackfillError::Add {
                    rule: rule.record.clone(),
                    series: labels.to_string(),
                    error,
                })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::RefCell;
    use std::convert::Infallible;

    use super::*;

    const HOUR: i64 = 3600;

    fn rules(text: &str, options: &RuleBackfillOptions) -> Vec<RecordingRule> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.yml");
        std::fs::write(&path, text).unwrap();
        recording_rules(&[path], options, &FileOptions::default()).unwrap()
    }

    fn options(start_s: i64, end_s: i64) -> RuleBackfillOptions {
        RuleBackfillOptions {
            start_s,
            end_s,
            eval_interval: Duration::from_secs(60),
            max_block_duration: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn each_range_is_asked_once_at_the_slots_of_the_group() {
        let options = options(HOUR, 5 * HOUR);
        let text = "groups:\n- name: g\n  labels: {a: x, b: y}\n  rules:\n  - {record: r, expr: up, labels: {b: z}}\n  - {alert: A, expr: up}\n- name: slow\n  interval: 3h\n  rules: [{record: s, expr: up}]\n";
        let rules = rules(text, &options);
        assert_eq!(rules.len(), 2);
        let asked = RefCell::new(Vec::new());
        let dir = tempfile::tempdir().unwrap();
        let mut blocks = 0;
        let ask = async |rule: &RecordingRule, span: Span| {
            asked.borrow_mut().push((rule.record.clone(), span));
            let labels = Labels::from_pairs([("__name__", "up"), ("b", "from the query")]);
            Ok::<_, Infallible>(vec![(labels, vec![(span.start_ms, 1.0)])])
        };
        let created = |info: &BlockInfo| {
            blocks += 1;
            assert!(info.meta.stats.num_samples <= 2);
        };
        backfill_rules(&rules, dir.path(), &options, ask, created)
            .await
            .unwrap();
        assert_eq!(blocks, 3);
        let asked = asked.into_inner();
        let of = |name: &str| -> Vec<Span> {
            let own = asked.iter().filter(|(record, _)| record == name);
            own.map(|(_, span)| *span).collect()
        };
        let often = of("r");
        let ends: Vec<i64> = often.iter().map(|s| s.end_ms).collect();
        assert_eq!(
            ends,
            [2 * HOUR - 1, 4 * HOUR - 1, 5 * HOUR].map(|s| s * 1000)
        );
        for (span, first) in often.iter().zip([HOUR, 2 * HOUR, 4 * HOUR]) {
            let late = span.start_ms - first * 1000;
            assert!((0..60_000).contains(&late), "{span:?}");
            assert_eq!((span.start_ms - often[0].start_ms) % 60_000, 0, "{span:?}");
        }
        // Two slots at most lie in four hours, and the ranges without one are not asked for.
        assert!((1..=2).contains(&of("s").len()), "{asked:?}");
    }

    #[test]
    fn labels_of_rule_and_group_win() {
        let options = options(0, 1);
        let text = "groups:\n- name: g\n  labels: {a: x, b: y}\n  rules: [{record: r, expr: up, labels: {b: z, c: ''}}]\n";
        let rule = rules(text, &options).remove(0);
        let found = Labels::from_pairs([("__name__", "up"), ("a", "1"), ("c", "2"), ("d", "3")]);
        let expected = [("__name__", "r"), ("a", "x"), ("b", "z"), ("d", "3")];
        assert_eq!(rule.labels(&found), Labels::from_pairs(expected));
    }
}
