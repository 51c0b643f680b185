//! The `storage` section.

use bellwether_scrape::config::{ByteSize, PromDuration};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `storage`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct TsdbConfig {
    /// How far behind the newest sample others are taken that come out of order. A reload changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_order_time_window: Option<PromDuration>,
    /// Share of stale series in memory, 0 to 1, from which they are written to blocks early; 0 never does. A reload
    /// changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_series_compaction_threshold: Option<f64>,
    /// How chunks are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_encoding: Option<ChunkEncodingConfig>,
    /// Retention. Where it is written, the flags about retention do not count. A reload changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<RetentionConfig>,
}

/// `storage.tsdb.retention`; a limit of 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Age.
    #[serde(skip_serializing_if = "is_zero")]
    pub time: PromDuration,
    /// Size of blocks and log.
    #[serde(deserialize_with = "size", skip_serializing_if = "is_zero")]
    pub size: ByteSize,
    /// The same in percent of the disk. It wins over the size.
    #[serde(
        deserialize_with = "percentage",
        serialize_with = "short",
        skip_serializing_if = "is_zero"
    )]
    pub percentage: f64,
}

/// `storage.tsdb.chunk_encoding`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChunkEncodingConfig {
    /// Encoding of float chunks.
    #[serde(deserialize_with = "floats", skip_serializing_if = "Option::is_none")]
    pub floats: Option<FloatEncoding>,
}

/// Encodings of float chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FloatEncoding {
    /// The one that every Prometheus reads.
    Xor,
    /// Since 3.11. Read and shown; chunks are written as `xor`, see [`StorageConfig::without_effect`].
    Xor2,
}

/// `storage.exemplars`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExemplarsConfig {
    /// Size of the exemplar ring; 0 or less stores none. Takes effect at the next start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_exemplars: Option<i64>,
}

impl StorageConfig {
    /// The retention as written.
    #[must_use]
    pub fn retention(&self) -> Option<RetentionConfig> {
        self.tsdb.as_ref().and_then(|tsdb| tsdb.retention)
    }

    /// From which share of stale series on they are written to blocks early; 0 for never.
    #[must_use]
    pub fn stale_series_compaction_threshold(&self) -> f64 {
        let tsdb = self.tsdb.as_ref();
        tsdb.and_then(|t| t.stale_series_compaction_threshold)
            .unwrap_or(0.0)
    }

    /// The keys that are set and change nothing here, each with the reason.
    #[must_use]
    pub fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let mut keys = Vec::new();
        let Some(tsdb) = &self.tsdb else {
            return keys;
        };
        let floats = tsdb.chunk_encoding.as_ref().and_then(|e| e.floats);
        if floats == Some(FloatEncoding::Xor2) {
            let reason = "float chunks are written as xor, which every version reads";
            keys.push(("storage.tsdb.chunk_encoding.floats", reason));
        }
        keys
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    if text.is_empty() {
        return Ok(ByteSize::default());
    }
    if text.starts_with('-') && ByteSize::parse(&text[1..]).is_ok() {
        return Err(D::Error::custom(format!(
            "'storage.tsdb.retention.size' must be greater than or equal to 0, got {text}"
        )));
    }
    ByteSize::parse(&text).map_err(D::Error::custom)
}

fn percentage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if (0.0..=100.0).contains(&value) {
        return Ok(value);
    }
    Err(D::Error::custom(format!(
        "'storage.tsdb.retention.percentage' must be in the range [0, 100], got {value}"
    )))
}

/// Whole numbers without a point.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn short<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if value.fract() == 0.0 {
        serializer.serialize_u64(*value as u64)
    } else {
        serializer.serialize_f64(*value)
    }
}

fn floats<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<FloatEncoding>, D::Error> {
    let name = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    match name.as_str() {
        "" => Ok(None),
        "xor" => Ok(Some(FloatEncoding::Xor)),
        "xor2" => Ok(Some(FloatEncoding::Xor2)),
        _ => Err(D::Error::custom(format!(
            "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, got {name:?}"
        ))),
    }
}
