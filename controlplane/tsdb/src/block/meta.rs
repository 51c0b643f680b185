//! `meta.json` of a block.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::TsdbError;
use crate::files::{Files, write_atomic};

/// Name of the file.
pub(crate) const FILE: &str = "meta.json";
/// Hint of a block whose samples came out of order: its end says nothing about what else the head has.
pub(crate) const OUT_OF_ORDER: &str = "from-out-of-order";
/// Hint of a block of series that ended: neither does its end.
pub(crate) const STALE_SERIES: &str = "from-stale-series";

/// Counts of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// Samples of all kinds.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_samples: u64,
    /// Series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_series: u64,
    /// Chunks.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_chunks: u64,
    /// Deleted ranges.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
    /// Float samples; older writers do not say.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Histogram samples; older writers do not say.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
}

/// A block that went into a compaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockParent {
    /// Its identifier.
    pub ulid: String,
    /// Its first time.
    pub min_time: i64,
    /// Its end.
    pub max_time: i64,
}

/// How a block came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockCompaction {
    /// 1 for a block from the head.
    pub level: u32,
    /// The blocks from the head that are in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// It is empty and may go.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deletable: bool,
    /// Direct inputs of the compaction.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<BlockParent>,
    /// A compaction of it failed; leave it alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// Free text, such as `from-out-of-order`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

impl BlockCompaction {
    /// Whether all its samples came out of order.
    #[must_use]
    pub fn is_out_of_order(&self) -> bool {
        self.has_hint(OUT_OF_ORDER)
    }

    /// Whether it has only a part of what the head had of its time: samples that came out of order, or series that
    /// ended. Such a block says nothing about where the head begins.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.is_out_of_order() || self.has_hint(STALE_SERIES)
    }

    pub(crate) fn has_hint(&self, hint: &str) -> bool {
        self.hints.iter().any(|h| h == hint)
    }
}

/// The description of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    /// Identifier and directory name.
    pub ulid: String,
    /// First time, milliseconds, inclusive.
    pub min_time: i64,
    /// End, milliseconds, exclusive.
    pub max_time: i64,
    /// Counts.
    #[serde(default)]
    pub stats: BlockStats,
    /// Origin.
    #[serde(default)]
    pub compaction: BlockCompaction,
    /// Format version, 1.
    pub version: u32,
    /// Fields of other tools (Thanos keeps a section here), carried along unchanged.
    #[serde(flatten)]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl BlockMeta {
    /// Reads a block's description.
    ///
    /// # Errors
    /// I/O, malformed JSON, another version.
    pub(crate) fn load(files: &dyn Files, block: &Path) -> Result<Self, TsdbError> {
        let path = block.join(FILE);
        let bytes = files
            .read(&path)
            .map_err(TsdbError::io("cannot read", &path))?;
        let meta: Self =
            serde_json::from_slice(&bytes).map_err(|e| TsdbError::corrupt(&path, e.to_string()))?;
        if meta.version != 1 {
            let reason = format!("unexpected meta file version {}", meta.version);
            return Err(TsdbError::corrupt(&path, reason));
        }
        Ok(meta)
    }

    /// Writes it so that a crash leaves the old or the new file.
    ///
    /// # Errors
    /// I/O.
    pub(crate) fn store(&self, files: &dyn Files, block: &Path) -> Result<(), TsdbError> {
        let mut bytes = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut out = serde_json::Serializer::with_formatter(&mut bytes, tabs);
        self.serialize(&mut out)
            .map_err(|e| TsdbError::corrupt(&block.join(FILE), e.to_string()))?;
        write_atomic(files, block, FILE, &bytes)
            .map_err(TsdbError::io("cannot write", &block.join(FILE)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::files::RealFiles;
    use proptest::prelude::*;

    fn counts() -> impl Strategy<Value = BlockStats> {
        let edge = || prop_oneof![Just(0), Just(u64::MAX), any::<u64>()];
        (edge(), edge(), edge(), edge(), edge(), edge()).prop_map(|c| BlockStats {
            num_samples: c.0,
            num_series: c.1,
            num_chunks: c.2,
            num_tombstones: c.3,
            num_float_samples: c.4,
            num_histogram_samples: c.5,
        })
    }

    proptest! {
        #[test]
        fn descriptions_round_trip(
            (min_time, max_time) in (any::<i64>(), any::<i64>()),
            stats in counts(),
            (level, deletable, failed) in (any::<u32>(), any::<bool>(), any::<bool>()),
            texts in proptest::collection::vec(".{0,8}", 3),
            parents in proptest::collection::vec(("[0-9A-Z]{26}", any::<i64>(), any::<i64>()), 0..3),
        ) {
            let parents = parents
                .into_iter()
                .map(|(ulid, min_time, max_time)| BlockParent { ulid, min_time, max_time })
                .collect();
            let meta = BlockMeta {
                ulid: texts[0].clone(),
                min_time,
                max_time,
                stats,
                compaction: BlockCompaction {
                    level,
                    sources: vec![texts[1].clone()],
                    deletable,
                    parents,
                    failed,
                    hints: vec![texts[2].clone()],
                },
                version: 1,
                extra: serde_json::Map::new(),
            };
            let dir = tempfile::tempdir().unwrap();
            meta.store(&RealFiles, dir.path()).unwrap();
            prop_assert_eq!(BlockMeta::load(&RealFiles, dir.path()).unwrap(), meta);
        }

        #[test]
        fn any_bytes_load_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(FILE), bytes).unwrap();
            let _ = BlockMeta::load(&RealFiles, dir.path());
        }
    }

    #[test]
    fn unknown_sections_survive() {
        let text = r#"{"ulid":"A","minTime":1,"maxTime":2,"version":1,"thanos":{"x":[1]}}"#;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let meta = BlockMeta::load(&RealFiles, dir.path()).unwrap();
        meta.store(&RealFiles, dir.path()).unwrap();
        assert_eq!(BlockMeta::load(&RealFiles, dir.path()).unwrap(), meta);
        assert_eq!(meta.extra["thanos"]["x"][0], 1);
    }
}
