//! What a block is made of: churn, cardinality and how full its chunks are.

use std::collections::BTreeMap;

use bellwether_model::Matcher;
use roaring::RoaringBitmap;

use crate::block::meta::BlockMeta;
use crate::block::write::{self, Sample};
use crate::block::{Block, all_series};
use crate::chunk::{self, ENC_XOR};
use crate::error::TsdbError;
use crate::read_only::ReadOnlyDb;
use crate::select;

/// Figures of one block. Lists are by falling figure, then by rising text; every entry is in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockAnalysis {
    /// Series that the selector matched, or all.
    pub series: u64,
    /// Number of label names.
    pub label_names: u64,
    /// Number of label pairs, `name=value`.
    pub label_pairs: u64,
    /// Number of labels of all series together.
    pub labels: u64,
    /// Label pairs by the time that their series do not cover, in whole block ranges.
    pub churning_pairs: Vec<(u64, String)>,
    /// The same by label name.
    pub churning_names: Vec<(u64, String)>,
    /// Label pairs by their series.
    pub common_pairs: Vec<(u64, String)>,
    /// Label names by the bytes of their values.
    pub longest_values: Vec<(u64, String)>,
    /// Label names by the number of their values.
    pub most_values: Vec<(u64, String)>,
    /// Metric names by their series.
    pub largest_metrics: Vec<(u64, String)>,
}

/// Figures of the chunks of one block, one entry per chunk in each list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkAnalysis {
    /// Samples of float chunks.
    pub float_samples: Vec<u64>,
    /// Bytes of float chunks.
    pub float_bytes: Vec<u64>,
    /// Samples of histogram chunks.
    pub histogram_samples: Vec<u64>,
    /// Bytes of histogram chunks.
    pub histogram_bytes: Vec<u64>,
    /// Buckets of all samples of histogram chunks.
    pub histogram_buckets: Vec<u64>,
}

impl ReadOnlyDb {
    /// Description of a block, or of the one that was made last.
    ///
    /// # Errors
    /// When there is no such block.
    pub fn block_meta(&self, ulid: Option<&str>) -> Result<BlockMeta, TsdbError> {
        Ok(self.block(ulid)?.meta())
    }

    /// Counts what a block's index holds, for the matching series only when there are matchers.
    ///
    /// # Errors
    /// No such block, or an index that does not decode.
    pub fn analyze(
        &self,
        ulid: Option<&str>,
        matchers: &[Matcher],
    ) -> Result<BlockAnalysis, TsdbError> {
        let block = self.block(ulid)?;
        let range = block.maxt.wrapping_sub(block.mint) as u64;
        let mut walk = Walk::default();
        let mut chunks = Vec::new();
        for reference in selected(block, matchers)? {
            let labels = block.index.series(reference, &mut chunks)?;
            let covered = match (chunks.first(), chunks.last()) {
                (Some(first), Some(last)) => last.maxt.wrapping_sub(first.mint) as u64,
                _ => 0,
            };
            let uncovered = range.saturating_sub(covered);
            walk.series += 1;
            for l in &labels {
                if !walk.names.contains_key(l.name) {
                    walk.names.insert(l.name.to_owned(), BTreeMap::new());
                }
                let Some(values) = walk.names.get_mut(l.name) else {
                    continue;
                };
                match values.get_mut(l.value) {
                    Some(pair) => pair.add(uncovered),
                    None => {
                        let mut pair = Pair::default();
                        pair.add(uncovered);
                        values.insert(l.value.to_owned(), pair);
                    }
                }
            }
        }
        Ok(walk.figures(range))
    }

    /// Looks into all chunks of a block, or of the matching series.
    ///
    /// # Errors
    /// No such block, or an index or chunk that does not decode.
    pub fn analyze_chunks(
        &self,
        ulid: Option<&str>,
        matchers: &[Matcher],
    ) -> Result<ChunkAnalysis, TsdbError> {
        let block = self.block(ulid)?;
        let mut out = ChunkAnalysis::default();
        let mut chunks = Vec::new();
        for reference in selected(block, matchers)? {
            block.index.series(reference, &mut chunks)?;
            for c in &chunks {
                let (encoding, data) = block.chunks.get(c.reference)?;
                let (samples, bytes) = (u64::from(chunk::count(data)), data.len() as u64);
                if encoding == ENC_XOR {
                    out.float_samples.push(samples);
                    out.float_bytes.push(bytes);
                    continue;
                }
                let mut buckets = 0;
                write::decode(encoding, data, |_, sample| {
                    buckets += match sample {
                        Sample::Histogram(h) => h.positive.len() + h.negative.len(),
                        Sample::FloatHistogram(h) => h.positive.len() + h.negative.len(),
                        Sample::Float(_) => 0,
                    } as u64;
                })
                .map_err(|e| {
                    TsdbError::corrupt(&block.dir, format!("chunk {:#x}: {e}", c.reference))
                })?;
                out.histogram_samples.push(samples);
                out.histogram_bytes.push(bytes);
                out.histogram_buckets.push(buckets);
            }
        }
        Ok(out)
    }
}

fn selected(block: &Block, matchers: &[Matcher]) -> Result<RoaringBitmap, TsdbError> {
    if matchers.is_empty() {
        all_series(block)
    } else {
        select::select(&block.index, matchers)
    }
}

/// What is counted per label pair.
#[derive(Default)]
struct Pair {
    series: u64,
    /// Milliseconds, wrapping as the reference's counter does.
    uncovered: u64,
}

impl Pair {
    fn add(&mut self, uncovered: u64) {
        self.series += 1;
        self.uncovered = self.uncovered.wrapping_add(uncovered);
    }
}

/// Counts of a walk over series: name, value, counts.
#[derive(Default)]
struct Walk {
    series: u64,
    names: BTreeMap<String, BTreeMap<String, Pair>>,
}

impl Walk {
    fn figures(&self, range: u64) -> BlockAnalysis {
        let ranges = |uncovered: u64| (uncovered as f64 / range as f64) as u64;
        let mut out = BlockAnalysis {
            series: self.series,
            label_names: self.names.len() as u64,
            ..BlockAnalysis::default()
        };
        for (name, values) in &self.names {
            let mut uncovered = 0u64;
            for (value, pair) in values {
                let text = format!("{name}={value}");
                out.label_pairs += 1;
                out.labels += pair.series;
                out.churning_pairs
                    .push((ranges(pair.uncovered), text.clone()));
                out.common_pairs.push((pair.series, text));
                uncovered = uncovered.wrapping_add(pair.uncovered);
                if name == bellwether_model::labels::METRIC_NAME {
                    out.largest_metrics.push((pair.series, value.clone()));
                }
            }
            let bytes = values.keys().map(|v| v.len() as u64).sum();
            out.churning_names.push((ranges(uncovered), name.clone()));
            out.longest_values.push((bytes, name.clone()));
            out.most_values.push((values.len() as u64, name.clone()));
        }
        for list in [
            &mut out.churning_pairs,
            &mut out.churning_names,
            &mut out.common_pairs,
            &mut out.longest_values,
            &mut out.most_values,
            &mut out.largest_metrics,
        ] {
            list.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        }
        out
    }
}
