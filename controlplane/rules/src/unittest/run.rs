//! Running the tests of a file.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellwether_model::re2::Re2;
use bellwether_model::storage::Appendable;
use bellwether_model::{Labels, MatchOp, duration};
use bellwether_promql::testlang::script::{self, Command};
use bellwether_promql::testlang::{SequenceValue, show};
use bellwether_promql::{
    Engine, EngineOptions, ParseOptions, QueryOptions, Value, parse_metric_selector,
};
use bellwether_telemetry::Registry;

use super::compare::{AlertView, SampleView, alerts_text, difference, indent, samples_text};
use super::file::{AlertTest, ExprTest, TestFile, TestGroup};
use super::junit::JunitSuite;
use super::storage::TestStorage;
use crate::file::FileOptions;
use crate::group::{Group, GroupContext};
use crate::manager::{ManagerOptions, ManagerParts, RulesConfig, context, load};
use crate::query::{EngineQueries, samples};
use crate::rule::{ALERT_NAME, AlertState};
use crate::time::{Time, go_duration};

/// Samples that a query of a test may load.
const MAX_SAMPLES: usize = 10_000;
const QUERY_TIMEOUT: Duration = Duration::from_secs(100);

/// How tests are run.
#[derive(Clone, Debug, Default)]
pub struct TestOptions {
    /// Only test groups whose name contains a match.
    pub run: Option<Re2>,
    /// Show differences of alerts coloured.
    pub diff: bool,
    /// Report times and all samples.
    pub debug: bool,
    /// Accept keys of rule files that do not exist.
    pub ignore_unknown_fields: bool,
    /// Which parts of PromQL are on.
    pub promql: ParseOptions,
    /// See [`EngineOptions::delayed_name_removal`].
    pub delayed_name_removal: bool,
}

/// What came of a file.
#[derive(Clone, Debug, Default)]
pub struct TestOutcome {
    /// What failed; empty for success.
    pub errors: Vec<String>,
    /// Lines for people beside the result: warnings and what [`TestOptions::debug`] asks for.
    pub notes: Vec<String>,
}

/// Runs all tests of a file. Blocks on the disk and on queries.
#[must_use]
pub fn run_file(path: &Path, options: &TestOptions, suite: &mut JunitSuite) -> TestOutcome {
    let mut outcome = TestOutcome::default();
    match Tests::read(path, &mut outcome.notes) {
        Ok(tests) => {
            suite.timestamp = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S").to_string();
            tests.run(options, suite, &mut outcome);
        }
        Err(error) => {
            suite.abort(&error);
            outcome.errors.push(error);
        }
    }
    outcome
}

/// A file that was read.
struct Tests {
    file: TestFile,
    rule_files: Vec<PathBuf>,
    interval: Duration,
    /// By name: groups with a lower number are evaluated first.
    order: HashMap<String, usize>,
}

impl Tests {
    fn read(path: &Path, notes: &mut Vec<String>) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("open {}: {}", path.display(), go_io_error(&error)))?;
        let name = path.display().to_string();
        let file: TestFile = bellwether_yaml::from_str_with_nulls(&name, &text)
            .map_err(|error| error.to_string())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut rule_files = Vec::new();
        for pattern in &file.rule_files {
            let pattern = folder.join(pattern);
            let found = crate::glob::glob(&pattern).map_err(|e| e.to_string())?;
            if found.is_empty() {
                notes.push(format!(
                    "  WARNING: no file match pattern {}",
                    pattern.display()
                ));
            }
            rule_files.extend(found);
        }
        let mut order = HashMap::new();
        for (i, group) in file.group_eval_order.iter().enumerate() {
            if order.insert(group.clone(), i).is_some() {
                return Err(format!("group name repeated in evaluation order: {group}"));
            }
        }
        let interval = match file.evaluation_interval.0 {
            Duration::ZERO => Duration::from_secs(60),
            interval => interval,
        };
        Ok(Self {
            file,
            rule_files,
            interval,
            order,
        })
    }

    fn run(&self, options: &TestOptions, suite: &mut JunitSuite, outcome: &mut TestOutcome) {
        for (i, group) in self.file.tests.iter().enumerate() {
            if options
                .run
                .as_ref()
                .is_some_and(|run| !run.is_match(&group.name))
            {
                continue;
            }
            let name = match group.name.as_str() {
                "" => format!("unnamed#{i}"),
                name => name.to_owned(),
            };
            let clock = Instant::now();
            if options.debug {
                outcome.notes.push(format!("DEBUG: Starting test {name}"));
            }
            let errors = match World::new(self, group, options) {
                Ok(world) => world.test(&mut outcome.notes),
                Err(errors) => errors,
            };
            if options.debug {
                let took = go_duration(i128::try_from(clock.elapsed().as_nanos()).unwrap_or(0));
                outcome
                    .notes
                    .push(format!("DEBUG: Test {name} finished, took {took}"));
            }
            suite.case(&name, &errors);
            outcome.errors.extend(errors);
        }
    }
}

/// The words of Go for the errors that happen.
fn go_io_error(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The series and rules of one test group.
struct World<'a> {
    tests: &'a Tests,
    group: &'a TestGroup,
    options: &'a TestOptions,
    engine: Engine,
    storage: Arc<TestStorage>,
    groups: Vec<Group>,
    /// Samples that are not loaded yet, by time, the latest last.
    input: Vec<(Time, Labels, SequenceValue)>,
}

impl<'a> World<'a> {
    fn new(
        tests: &'a Tests,
        group: &'a TestGroup,
        options: &'a TestOptions,
    ) -> Result<Self, Vec<String>> {
        let interval = match group.interval.0 {
            Duration::ZERO => tests.interval,
            interval => interval,
        };
        let input = input(group, interval).map_err(|error| vec![error])?;
        let engine = Engine::new(EngineOptions {
            max_samples: MAX_SAMPLES,
            timeout: QUERY_TIMEOUT,
            default_subquery_step_ms: i64::try_from(tests.interval.as_millis()).unwrap_or(i64::MAX),
            delayed_name_removal: options.delayed_name_removal,
            parse: options.promql,
            ..EngineOptions::default()
        });
        let storage = Arc::new(TestStorage::default());
        let context = test_context(&engine, &storage, &group.external_url);
        let config = RulesConfig {
            files: tests.rule_files.clone(),
            options: FileOptions {
                ignore_unknown_fields: options.ignore_unknown_fields,
                promql: options.promql,
                ..FileOptions::default()
            },
            interval,
            query_offset: Duration::ZERO,
            external_labels: Labels::from_pairs(&group.external_labels),
        };
        let mut groups = load(&config, &context, true).map_err(|error| match error {
            crate::LoadError::File(file) => {
                let path = file.path.display();
                let errors = file.errors.iter();
                errors.map(|e| format!("{path}: {e}")).collect()
            }
            other => vec![other.to_string()],
        })?;
        groups.sort_by_key(|g| tests.order.get(&g.key.name).copied().unwrap_or(0));
        for rule in groups.iter().flat_map(|g| &g.rules) {
            rule.skip_restoration();
        }
        Ok(Self {
            tests,
            group,
            options,
            engine,
            storage,
            groups,
            input,
        })
    }

    fn test(mut self, notes: &mut Vec<String>) -> Vec<String> {
        let mut by_time: BTreeMap<Duration, Vec<&AlertTest>> = BTreeMap::new();
        for test in &self.group.alert_rule_test {
            if test.alertname.is_empty() {
                let of = match self.group.name.as_str() {
                    "" => String::new(),
                    name => format!(" (in TestGroup {name})"),
                };
                let time = duration::format(test.eval_time.0);
                return vec![format!(
                    "an item under alert_rule_test misses required attribute alertname at eval_time {time}{of}"
                )];
            }
            by_time.entry(test.eval_time.0).or_default().push(test);
        }
        let mut errors = Vec::new();
        let (start, step) = (self.group.start_timestamp, self.tests.interval);
        let mut since = Duration::ZERO;
        while since <= self.end() {
            if let Err(error) = self.load_until(start.after(since)) {
                errors.push(error);
            }
            let failed = self.evaluate(start.after(since));
            if !failed.is_empty() {
                errors.extend(failed);
                return errors;
            }
            // The alerts of this evaluation count until the next one.
            for (time, tests) in by_time.range(since..since + step) {
                errors.extend(self.check_alerts(*time, tests));
            }
            since += step;
        }
        for test in &self.group.promql_expr_test {
            errors.extend(self.check_expr(test));
        }
        if self.options.debug {
            notes.extend(self.dump());
        }
        errors
    }

    /// The last time that a test looks at, from the start.
    fn end(&self) -> Duration {
        let alerts = self.group.alert_rule_test.iter().map(|t| t.eval_time.0);
        let exprs = self.group.promql_expr_test.iter().map(|t| t.eval_time.0);
        alerts.chain(exprs).max().unwrap_or_default()
    }

    fn load_until(&mut self, time: Time) -> Result<(), String> {
        let mut appender = self.storage.appender();
        while self.input.last().is_some_and(|(t, ..)| *t <= time) {
            let Some((t, labels, value)) = self.input.pop() else {
                break;
            };
            let series = appender.series(&labels).map_err(|e| e.to_string())?;
            let result = match value {
                SequenceValue::Omitted => Ok(()),
                SequenceValue::Float(v) => appender.append(series, t.millis(), v),
                SequenceValue::Histogram(h, _) => {
                    appender.append_float_histogram(series, t.millis(), *h)
                }
            };
            result.map_err(|e| e.to_string())?;
        }
        appender.commit().map_err(|e| e.to_string())
    }

    fn evaluate(&self, at: Time) -> Vec<String> {
        let mut errors = Vec::new();
        for group in &self.groups {
            group.evaluate(at);
            for rule in &group.rules {
                let error = rule.status().last_error;
                if !error.is_empty() {
                    let time = go_duration(at.0.into());
                    errors.push(format!(
                        "    rule: {}, time: {time}, err: {error}",
                        rule.name
                    ));
                }
            }
        }
        errors
    }

    fn check_alerts(&self, time: Duration, tests: &[&AlertTest]) -> Vec<String> {
        let mut errors = Vec::new();
        for test in tests {
            let found = self.firing(&test.alertname);
            let mut expected: Vec<AlertView> = Vec::new();
            for alert in &test.exp_alerts {
                let mut labels = alert.exp_labels.clone();
                labels.insert(ALERT_NAME.to_owned(), test.alertname.clone());
                expected.push(AlertView {
                    labels: Labels::from_pairs(&labels),
                    annotations: Labels::from_pairs(&alert.exp_annotations),
                });
            }
            expected.sort();
            if expected == found {
                continue;
            }
            let name = match self.group.name.as_str() {
                "" => String::new(),
                name => format!("    name: {name},\n"),
            };
            let head = format!(
                "{name}    alertname: {}, time: {}, ",
                test.alertname,
                duration::format(time)
            );
            let deeper = |text: String| indent(&text, "            ");
            errors.push(if self.options.diff {
                format!(
                    "{head}\n        diff: {}",
                    deeper(difference(&expected, &found))
                )
            } else {
                format!(
                    "{head}\n        exp:{}, \n        got:{}",
                    deeper(alerts_text(&expected)),
                    deeper(alerts_text(&found))
                )
            });
        }
        errors
    }

    /// The firing alerts of a name in all groups.
    fn firing(&self, name: &str) -> Vec<AlertView> {
        let rules = self.groups.iter().flat_map(|g| &g.rules);
        let alerts = rules
            .filter(|r| r.name == name)
            .flat_map(|r| r.active_alerts());
        let mut firing: Vec<AlertView> = alerts
            .filter(|a| a.state == AlertState::Firing)
            .map(|a| AlertView {
                labels: a.labels,
                annotations: Labels::from_pairs(&a.annotations),
            })
            .collect();
        firing.sort();
        firing
    }

    fn check_expr(&self, test: &ExprTest) -> Option<String> {
        let head = format!(
            "    expr: {}, time: {},",
            bellwether_template::quote(&test.expr),
            duration::format(test.eval_time.0)
        );
        let at = self.group.start_timestamp.after(test.eval_time.0);
        let found = self
            .query(&test.expr, at)
            .and_then(|result| samples(result).map_err(|e| e.to_string()));
        let mut found: Vec<SampleView> = match found {
            Ok(samples) => samples.iter().map(SampleView::of).collect(),
            Err(error) => return Some(format!("{head} err: {error}")),
        };
        let mut expected = match test.exp_samples.iter().map(expected_sample).collect() {
            Ok(samples) => samples,
            Err(error) => {
                let error: String = error;
                return Some(format!("{head} err: {error}"));
            }
        };
        let order = |samples: &mut Vec<SampleView>| samples.sort_by(|a, b| a.labels.cmp(&b.labels));
        order(&mut found);
        order(&mut expected);
        let fuzzy = self.tests.file.fuzzy_compare;
        let pairs = expected.iter().zip(&found);
        if expected.len() == found.len() && pairs.into_iter().all(|(a, b)| a.is_same(b, fuzzy)) {
            return None;
        }
        Some(format!(
            "{head}\n        exp: {}\n        got: {}",
            samples_text(&expected),
            samples_text(&found)
        ))
    }

    fn query(&self, expr: &str, at: Time) -> Result<bellwether_promql::QueryResult, String> {
        let options = QueryOptions::default();
        let result = self
            .engine
            .instant(&*self.storage, expr, at.millis(), &options);
        result.map_err(|e| e.to_string())
    }

    /// All samples, input and results.
    fn dump(&self) -> Vec<String> {
        // Times of tests may have fractions of seconds.
        let span = Duration::from_secs(self.end().as_secs() + 1);
        let expr = format!("{{__name__=~\".+\"}}[{}s]", span.as_secs());
        let result = self.query(&expr, self.group.start_timestamp.after(span));
        let series = match result.map(|r| r.value) {
            Ok(Value::Matrix(series)) => series,
            Ok(_) => return Vec::new(),
            Err(error) => {
                let expr = bellwether_template::quote(&expr);
                return vec![format!(
                    "DEBUG: Failed query exec, expr: {expr}, err: {error}"
                )];
            }
        };
        let span = go_duration(i128::try_from(span.as_nanos()).unwrap_or(0));
        let mut lines = vec![format!(
            "DEBUG: Dump of all data (input_series and rules) at {span}:"
        )];
        for series in &series {
            lines.push(format!("{} =>", series.labels));
            for (t, v) in series.floats.iter() {
                lines.push(format!("{} @[{t}]", bellwether_model::float::plain(v)));
            }
            for (t, h) in &series.histograms {
                lines.push(format!("{h} @[{t}]"));
            }
        }
        lines
    }
}

fn test_context(engine: &Engine, storage: &Arc<TestStorage>, external_url: &str) -> GroupContext {
    let parts = ManagerParts {
        queries: Arc::new(EngineQueries {
            engine: engine.clone(),
            storage: Arc::clone(storage) as _,
        }),
        appendable: Arc::clone(storage) as _,
        queryable: Arc::clone(storage) as _,
        notify: Arc::new(|_, _| {}),
        registry: Registry::new(),
    };
    let options = ManagerOptions {
        external_url: external_url.to_owned(),
        ..ManagerOptions::default()
    };
    context(parts, options)
}

/// The samples of a test group, the latest first. Of a series that stands there twice the last line counts.
fn input(
    group: &TestGroup,
    interval: Duration,
) -> Result<Vec<(Time, Labels, SequenceValue)>, String> {
    let mut series: BTreeMap<Labels, Vec<SequenceValue>> = BTreeMap::new();
    for line in &group.input_series {
        let (labels, values) = parse_series(&format!("{} {}", line.series, line.values))?;
        series.insert(labels, values);
    }
    let mut input = Vec::new();
    for (labels, values) in series {
        for (i, value) in values.into_iter().enumerate() {
            let since = interval.saturating_mul(u32::try_from(i).unwrap_or(u32::MAX));
            if !matches!(value, SequenceValue::Omitted) {
                input.push((group.start_timestamp.after(since), labels.clone(), value));
            }
        }
    }
    input.sort_by_key(|(at, ..)| std::cmp::Reverse(*at));
    Ok(input)
}

/// `name{a="b"} VALUES` in the notation of tests.
fn parse_series(line: &str) -> Result<(Labels, Vec<SequenceValue>), String> {
    // A line break would end the line for the parser of scripts.
    let line = line.replace(['\n', '\r'], " ");
    let script = format!("load 1m\n  {line}\n");
    let commands = script::parse(&script).map_err(|e| e.message)?;
    for command in commands {
        if let Command::Load(load) = command
            && let Some(series) = load.series.into_iter().next()
        {
            return Ok((series.labels, series.values));
        }
    }
    Err(format!("no series in {line:?}"))
}

fn expected_sample(sample: &super::file::ExpectedSample) -> Result<SampleView, String> {
    let fail = |error: String| {
        let labels = bellwether_template::quote(&sample.labels);
        format!("labels {labels}: {error}")
    };
    let labels = parse_labels(&sample.labels).map_err(fail)?;
    if sample.histogram.is_empty() {
        return Ok(SampleView {
            labels,
            value: sample.value,
            histogram: String::new(),
        });
    }
    let (_, values) = parse_series(&format!("x {}", sample.histogram)).map_err(fail)?;
    match values.as_slice() {
        [SequenceValue::Histogram(h, _)] => Ok(SampleView {
            labels,
            value: 0.0,
            histogram: show::histogram(h),
        }),
        [other] => Err(fail(format!("expected histogram, got {other:?}"))),
        values => Err(fail(format!("expected 1 value, got {}", values.len()))),
    }
}

/// `name{a="b"}`; nothing at all is the empty set.
fn parse_labels(text: &str) -> Result<Labels, String> {
    if text.trim().is_empty() {
        return Ok(Labels::empty());
    }
    let matchers = parse_metric_selector(text).map_err(|e| e.to_string())?;
    let mut names = BTreeSet::new();
    for matcher in &matchers {
        if matcher.op != MatchOp::Equal {
            return Err(format!("unexpected {} in labels", matcher.op.as_str()));
        }
        if !names.insert(&matcher.name) {
            return Err(format!("label {} is set twice", matcher.name));
        }
    }
    Ok(Labels::from_pairs(
        matchers.iter().map(|m| (&m.name, &m.value)),
    ))
}
