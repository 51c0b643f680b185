//! Blocks from OpenMetrics text.
//!
//! The text is read once to check it and to count its samples by block. Then it is read again, for as many
//! blocks at a time as fit into memory, so that a long history does not cost one pass per block.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use bellwether_exposition::{Entry, Format, ParseError, Parser, SeriesLine};
use bellwether_model::storage::AppendError;
use bellwether_model::{Labels, MetricType};
use bellwether_tsdb::{BlockBuilder, BlockInfo, TsdbError};

/// The smallest block, two hours in milliseconds.
const SMALLEST_MS: i64 = 2 * 3600 * 1000;
/// Sizes of blocks: each is three times the one before (Prometheus' `ExponentialBlockRanges(2h, 10, 3)`).
const SIZES: u32 = 10;
/// Samples that are in memory at a time. A block with more is made alone.
const SAMPLES_AT_ONCE: u64 = 2_000_000;

/// How blocks are made.
#[derive(Clone, Debug, Default)]
pub struct BackfillOptions {
    /// Longest time that a block may span; below two hours it is two hours.
    pub max_block_duration: Duration,
    /// Labels that every series gets in addition; they replace those of the text.
    pub labels: Vec<(String, String)>,
}

/// Why backfilling failed. Blocks that were made before stay.
#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    /// The text is not OpenMetrics, or a sample has no time.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A block cannot be written.
    #[error(transparent)]
    Storage(#[from] TsdbError),
}

/// The range of blocks in milliseconds: the largest size that is not above the wanted one.
pub(super) fn block_range(max: Duration) -> i64 {
    let max = i64::try_from(max.as_millis()).unwrap_or(i64::MAX);
    (0..SIZES)
        .map(|i| SMALLEST_MS * 3i64.pow(i))
        .take_while(|size| *size <= max)
        .last()
        .unwrap_or(SMALLEST_MS)
}

/// Writes the samples of an OpenMetrics text as blocks in the directory `dir`, which must exist, and calls
/// `created` for each block, in order of time. Every sample needs a timestamp; the samples of a series must be
/// in order of time.
///
/// # Errors
/// The first line that is wrong, or I/O. An error of the format is found before any block is written.
pub fn backfill(
    text: &[u8],
    dir: &Path,
    options: &BackfillOptions,
    mut created: impl FnMut(&BlockInfo),
) -> Result<(), BackfillError> {
    let range = block_range(options.max_block_duration);
    let mut series = SeriesCache {
        added: &options.labels,
        known: HashMap::new(),
    };
    let counts = count(text, range, &mut series)?;
    for starts in passes(&counts) {
        for block in one_pass(text, dir, range, &starts, &mut series)?.into_values() {
            if let Some(info) = block.write()? {
                created(&info);
            }
        }
    }
    Ok(())
}

/// Labels of the series seen so far, by their type and their text.
struct SeriesCache<'a, 'o> {
    added: &'o [(String, String)],
    known: HashMap<(MetricType, &'a [u8]), Labels>,
}

impl<'a> SeriesCache<'a, '_> {
    fn labels(
        &mut self,
        parser: &Parser<'a>,
        line: &SeriesLine<'a>,
    ) -> Result<&Labels, ParseError> {
        let key = (parser.current_type(), line.series);
        if !self.known.contains_key(&key) {
            let mut parsed = line.labels(parser)?;
            if let Some(name) = parsed.duplicate() {
                let message = format!("label {name:?} occurs twice");
                return Err(parser.error_at(line, message));
            }
            parsed.normalize_floats(key.0);
            let mut builder = parsed.to_builder();
            for (name, value) in self.added {
                builder.set(name, value);
            }
            self.known.insert(key, builder.build());
        }
        // Inserted just above where it was missing.
        self.known
            .get(&key)
            .ok_or_else(|| parser.error_at(line, "series is lost".to_owned()))
    }
}

/// Samples by the beginning of their block.
fn count<'a>(
    text: &'a [u8],
    range: i64,
    series: &mut SeriesCache<'a, '_>,
) -> Result<BTreeMap<i64, u64>, ParseError> {
    let mut counts = BTreeMap::new();
    each_sample(text, |parser, line, t| {
        series.labels(parser, line)?;
        *counts.entry(start(t, range)).or_default() += 1;
        Ok(())
    })?;
    Ok(counts)
}

/// The beginning of the block that a time is in.
fn start(t: i64, range: i64) -> i64 {
    t.div_euclid(range).saturating_mul(range)
}

/// Blocks that are made together, by their beginnings.
fn passes(counts: &BTreeMap<i64, u64>) -> Vec<Vec<i64>> {
    let mut out: Vec<Vec<i64>> = Vec::new();
    let mut room = 0;
    for (start, samples) in counts {
        match out.last_mut() {
            Some(pass) if *samples <= room => {
                pass.push(*start);
                room -= samples;
            }
            _ => {
                out.push(vec![*start]);
                room = SAMPLES_AT_ONCE.saturating_sub(*samples);
            }
        }
    }
    out
}

fn one_pass<'a>(
    text: &'a [u8],
    dir: &Path,
    range: i64,
    starts: &[i64],
    series: &mut SeriesCache<'a, '_>,
) -> Result<BTreeMap<i64, BlockBuilder>, ParseError> {
    // Prometheus' importer lets chunks end at multiples of twice the block's range.
    let mut blocks: BTreeMap<i64, BlockBuilder> = starts
        .iter()
        .map(|s| (*s, BlockBuilder::new(dir, range.saturating_mul(2))))
        .collect();
    each_sample(text, |parser, line, t| {
        if let Some(block) = blocks.get_mut(&start(t, range)) {
            let labels = series.labels(parser, line)?;
            block
                .append(labels, t, line.value)
                .map_err(|e| parser.error_at(line, refusal(&e, labels)))?;
        }
        Ok(())
    })?;
    Ok(blocks)
}

fn refusal(error: &AppendError, labels: &Labels) -> String {
    format!("add sample: {error} of series {labels}")
}

/// Calls `each` for every sample line with its time.
fn each_sample<'a>(
    text: &'a [u8],
    mut each: impl FnMut(&Parser<'a>, &SeriesLine<'a>, i64) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    let mut parser = Parser::new(Format::OpenMetrics, text);
    while let Some(entry) = parser.next()? {
        if let Entry::Series(line) = entry {
            let Some(t) = line.timestamp_ms else {
                let message = "expected timestamp for series, got none".to_owned();
                return Err(parser.error_at(&line, message));
            };
            each(&parser, &line, t)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HOUR: u64 = 3600;

    fn run(text: &str) -> Result<Vec<BlockInfo>, BackfillError> {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Vec::new();
        let options = BackfillOptions::default();
        backfill(text.as_bytes(), dir.path(), &options, |b| {
            out.push(b.clone());
        })?;
        Ok(out)
    }

    #[test]
    fn block_ranges_are_powers_of_three() {
        for (wanted, range) in [
            (0, 2),
            (1, 2),
            (5, 2),
            (6, 6),
            (17, 6),
            (24, 18),
            (744, 486),
        ] {
            let got = block_range(Duration::from_secs(wanted * HOUR));
            assert_eq!(got, range * 3_600_000, "{wanted}h");
        }
        assert_eq!(block_range(Duration::MAX), SMALLEST_MS * 3i64.pow(9));
    }

    #[test]
    fn passes_take_as_many_blocks_as_fit() {
        let counts = [(0, 1_500_000), (1, 500_000), (2, 1), (3, 9_000_000), (4, 1)];
        let got = passes(&counts.into_iter().collect());
        assert_eq!(got, [vec![0, 1], vec![2], vec![3], vec![4]]);
    }

    #[test]
    fn blocks_span_their_samples_and_begin_at_even_hours() {
        let got = run("a 1 -0.001\na 2 7199.999\na 3 7200\n# EOF\n").unwrap();
        let times: Vec<_> = got
            .iter()
            .map(|b| (b.meta.min_time, b.meta.max_time, b.meta.stats.num_samples))
            .collect();
        assert_eq!(
            times,
            [
                (-1, 0, 1),
                (7_199_999, 7_200_000, 1),
                (7_200_000, 7_200_001, 1)
            ]
        );
        assert!(run("# EOF\n").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_line() {
        for (text, wanted) in [
            (
                "a 1 1\nb 2\n# EOF\n",
                "expected timestamp for series, got none (line 2,",
            ),
            ("a 1 1\n", "does not end with # EOF (line 2,"),
            (
                "a 1 5\na 1 1\n# EOF\n",
                "out of order sample of series {__name__=\"a\"} (line 2,",
            ),
            ("a 1 5\na 2 5\n# EOF\n", "duplicate sample for timestamp"),
            (
                "a{b=\"1\",b=\"2\"} 1 5\n# EOF\n",
                "label \"b\" occurs twice (line 1,",
            ),
            ("a 1 1\n{} x\n# EOF\n", "(line 2,"),
        ] {
            let error = run(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
        // The same sample twice is no error.
        assert_eq!(run("a 1 5\na 1 5\n# EOF\n").unwrap().len(), 1);
    }
}
