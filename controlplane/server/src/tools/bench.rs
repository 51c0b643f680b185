//! The write benchmark: many scrapes of the same series into a database.

use std::thread;

use bellwether_exposition::{Entry, Format, ParseError, Parser};
use bellwether_model::Labels;
use bellwether_model::storage::{AppendError, Appendable, SeriesRef};

/// Milliseconds between two scrapes.
const INTERVAL_MS: i64 = 30_000;
/// Series of one simulated target.
const SERIES_PER_TARGET: usize = 1000;
/// Scrapes that a target does before it waits for the others. Together they last less than the hour by which
/// one target's samples may be older than another's.
const SCRAPES_PER_ROUND: usize = 100;

/// Why a data set cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DataSetError {
    /// Neither of the text formats.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A line of JSON that is no object of texts.
    #[error("line {line}: {source}")]
    Json {
        /// From 1.
        line: usize,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// The first `limit` distinct series of a data set: a page in OpenMetrics (with its `# EOF`) or the text format,
/// or one JSON object of labels per line.
///
/// # Errors
/// The first line that is wrong.
pub fn read_series(text: &[u8], limit: usize) -> Result<Vec<Labels>, DataSetError> {
    let mut seen = hashbrown::HashSet::new();
    let mut out = Vec::new();
    let mut add = |labels: Labels| {
        if seen.insert(labels.clone()) {
            out.push(labels);
        }
        out.len() >= limit
    };
    if text.trim_ascii_start().starts_with(b"{\"") && !text.trim_ascii_end().ends_with(b"# EOF") {
        for (i, line) in text.split(|b| *b == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let pairs: std::collections::BTreeMap<String, String> = serde_json::from_slice(line)
                .map_err(|source| DataSetError::Json {
                    line: i + 1,
                    source,
                })?;
            if add(Labels::from_pairs(&pairs)) {
                break;
            }
        }
        return Ok(out);
    }
    let format = match text.trim_ascii_end().ends_with(b"# EOF") {
        true => Format::OpenMetrics,
        false => Format::Text,
    };
    let mut parser = Parser::new(format, text);
    while let Some(entry) = parser.next()? {
        if let Entry::Series(line) = entry
            && add(line.labels(&parser)?.to_labels())
        {
            break;
        }
    }
    Ok(out)
}

/// Series as a few dozen instances of one program would have them.
#[must_use]
pub fn generated_series(count: usize) -> Vec<Labels> {
    (0..count)
        .map(|i| {
            let (metric, code) = (i % 50, i / 50 % 4);
            let instance = i / 200;
            Labels::from_pairs([
                ("__name__", format!("bench_requests_{metric}_total")),
                ("code", ["200", "204", "404", "500"][code].to_owned()),
                ("handler", format!("/api/v1/resource/{}", metric % 7)),
                (
                    "instance",
                    format!("10.0.{}.{}:8080", instance / 250, instance % 250),
                ),
                ("job", "bench".to_owned()),
            ])
        })
        .collect()
}

/// Appends `scrapes` samples to every series, targets in parallel, and returns the number of samples.
///
/// # Errors
/// The first sample or transaction that is refused.
pub fn ingest(db: &dyn Appendable, series: &[Labels], scrapes: usize) -> Result<u64, AppendError> {
    let mut targets: Vec<Target<'_>> = series
        .chunks(SERIES_PER_TARGET)
        .map(|series| Target {
            series: series.iter().map(|labels| (labels, None)).collect(),
            value: 123_456_789.0,
        })
        .collect();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let share = targets.len().div_ceil(workers).max(1);
    let mut done = 0;
    while done < scrapes {
        let round = SCRAPES_PER_ROUND.min(scrapes - done);
        thread::scope(|scope| {
            let handles: Vec<_> = targets
                .chunks_mut(share)
                .map(|part| {
                    scope.spawn(move || {
                        part.iter_mut()
                            .try_for_each(|target| target.scrape(db, done, round))
                    })
                })
                .collect();
            handles.into_iter().try_for_each(|h| {
                h.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })?;
        done += round;
    }
    Ok(series.len() as u64 * scrapes as u64)
}

/// Series that are scraped together.
struct Target<'a> {
    series: Vec<(&'a Labels, Option<SeriesRef>)>,
    value: f64,
}

impl Target<'_> {
    fn scrape(&mut self, db: &dyn Appendable, from: usize, n: usize) -> Result<(), AppendError> {
        for i in from..from + n {
            let t = INTERVAL_MS * (i as i64 + 1);
            self.value += 1000.0;
            let mut app = db.appender();
            for (labels, known) in &mut self.series {
                let series = match known {
                    Some(series) => *series,
                    None => *known.insert(app.series(labels)?),
                };
                app.append(series, t, self.value)?;
            }
            app.commit()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bellwether_model::Matcher;
    use bellwether_model::storage::{Queryable as _, SampleBuffer};
    use bellwether_tsdb::{Db, DbOptions};

    #[test]
    fn three_kinds_of_data_sets_are_read() {
        let wanted = [
            Labels::from_pairs([("__name__", "a"), ("x", "1")]),
            Labels::from_pairs([("__name__", "b")]),
        ];
        for text in [
            "a{x=\"1\"} 1\na{x=\"1\"} 2\nb 3\nc 4\n",
            "# TYPE a gauge\na{x=\"1\"} 1 1\nb 3 1\nc 4 1\n# EOF\n",
            "{\"__name__\":\"a\",\"x\":\"1\"}\n\n{\"__name__\":\"b\"}\n{\"__name__\":\"c\"}\n",
        ] {
            assert_eq!(read_series(text.as_bytes(), 2).unwrap(), wanted, "{text}");
        }
        for (text, word) in [
            ("a{ 1\n", "line 1"),
            ("{\"a\":\"b\"}\n{\"a\":1}\n", "line 2"),
        ] {
            let error = read_series(text.as_bytes(), 9).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn generated_series_are_distinct() {
        let all: std::collections::BTreeSet<_> = generated_series(20_000).into_iter().collect();
        assert_eq!(all.len(), 20_000);
    }

    #[test]
    fn every_series_gets_every_scrape() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), DbOptions::default()).unwrap();
        let series = generated_series(2500);
        assert_eq!(ingest(&*db, &series, 150).unwrap(), 375_000);
        let querier = db.querier(i64::MIN, i64::MAX).unwrap();
        let found = querier
            .select(false, &[Matcher::equal("job", "bench")])
            .unwrap();
        assert_eq!(found.len(), 2500);
        for s in found {
            let mut buffer = SampleBuffer::default();
            s.read(i64::MIN, i64::MAX, &mut buffer).unwrap();
            assert_eq!(buffer.len(), 150);
        }
    }
}
