//! `storage` and `runtime`.

use bellwether_scrape::config::PromDuration;
use serde::{Deserialize, Serialize};

/// `runtime`: settings of the Go runtime. Read for compatibility; there is no garbage collector to set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuntimeConfig {
    /// Ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gogc: Option<i64>,
}

/// `storage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// `storage.tsdb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tsdb: Option<TsdbConfig>,
    /// `storage.exemplars`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exemplars: Option<ExemplarsConfig>,
}

/// `storage.tsdb`. What it sets takes effect at the next start, if its field does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TsdbConfig {
    /// How far behind the newest sample others are taken that come out of order. A reload changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_order_time_window: Option<PromDuration>,
    /// `floats: xor` is how chunks are written; other encodings are not supported yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_encoding: Option<ChunkEncodingConfig>,
    /// Retention; the flags win over it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionConfig>,
}

/// `storage.tsdb.retention`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Age.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<PromDuration>,
    /// Size of blocks and log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<bellwether_scrape::config::ByteSize>,
    /// Share of the disk; not supported yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percentage: Option<serde_json::Number>,
}

/// `storage.tsdb.chunk_encoding`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChunkEncodingConfig {
    /// Encoding of float chunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floats: Option<FloatEncoding>,
}

/// Encodings of float chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FloatEncoding {
    /// The one that every Prometheus reads.
    Xor,
    /// Since 3.11; not supported yet.
    Xor2,
}

/// `storage.exemplars`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExemplarsConfig {
    /// Size of the exemplar ring; 0 stores none. Takes effect at the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_exemplars: Option<usize>,
}
