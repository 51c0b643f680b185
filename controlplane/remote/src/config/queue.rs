//! `queue_config` and `metadata_config`.

use std::time::Duration;

use bellwether_yaml::{PromDuration, Strict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RemoteConfigError;

/// `queue_config`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct QueueConfig {
    /// Samples that wait in each shard before reading of the log pauses. Default 10000.
    pub capacity: i64,
    /// Most shards: requests at one time. Default 50.
    pub max_shards: i64,
    /// Fewest shards, and those at the start. Default 1.
    pub min_shards: i64,
    /// Most samples of a request. Default 2000.
    pub max_samples_per_send: i64,
    /// Longest time that a sample waits for its request to fill. Default 5s.
    pub batch_send_deadline: PromDuration,
    /// First pause after a failure that may pass. Default 30ms.
    pub min_backoff: PromDuration,
    /// Longest pause; pauses double. Default 5s.
    pub max_backoff: PromDuration,
    /// Whether status 429 is a failure that may pass. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry_on_http_429: bool,
    /// Samples older than this are dropped; 0 keeps all. Default 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub sample_age_limit: PromDuration,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(duration: &PromDuration) -> bool {
    duration.0.is_zero()
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_shards: 50,
            min_shards: 1,
            max_samples_per_send: 2_000,
            batch_send_deadline: PromDuration(Duration::from_secs(5)),
            min_backoff: PromDuration(Duration::from_millis(30)),
            max_backoff: PromDuration(Duration::from_secs(5)),
            retry_on_http_429: false,
            sample_age_limit: PromDuration(Duration::ZERO),
        }
    }
}

impl<'de> Deserialize<'de> for QueueConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(Strict::new(deserializer, "queue_config", &[]))
    }
}

impl Serialize for QueueConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

/// The section; where the key has no value, all of it is zero, as in Prometheus, which refuses that.
pub(super) fn queue<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QueueConfig, D::Error> {
    let zero = QueueConfig {
        capacity: 0,
        max_shards: 0,
        min_shards: 0,
        max_samples_per_send: 0,
        batch_send_deadline: PromDuration::default(),
        min_backoff: PromDuration::default(),
        max_backoff: PromDuration::default(),
        ..QueueConfig::default()
    };
    Ok(Option::deserialize(deserializer)?.unwrap_or(zero))
}

/// The section; where the key has no value, nothing is sent, as by Prometheus.
pub(super) fn metadata<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<MetadataConfig, D::Error> {
    let zero = MetadataConfig {
        send: false,
        send_interval: PromDuration::default(),
        max_samples_per_send: 0,
    };
    Ok(Option::deserialize(deserializer)?.unwrap_or(zero))
}

impl QueueConfig {
    pub(super) fn check(&self) -> Result<(), RemoteConfigError> {
        let rules = [
            (self.max_shards <= 0, "max_shards must be positive"),
            (self.min_shards <= 0, "min_shards must be positive"),
            (
                self.min_shards > self.max_shards,
                "min_shards must not be greater than max_shards",
            ),
            (
                self.max_samples_per_send <= 0,
                "max_samples_per_send must be positive",
            ),
            (self.capacity <= 0, "capacity must be positive"),
            (
                self.max_backoff.0 < self.min_backoff.0,
                "max_backoff must not be less than min_backoff",
            ),
        ];
        match rules.into_iter().find(|(is_broken, _)| *is_broken) {
            Some((_, text)) => Err(RemoteConfigError::Queue(text)),
            None => Ok(()),
        }
    }
}

/// `metadata_config`: only for version 1 of the protocol, version 2 has metadata in every request.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self", default)]
pub struct MetadataConfig {
    /// Whether metadata of scraped metrics is sent. Default true.
    pub send: bool,
    /// How often. Default 1m.
    pub send_interval: PromDuration,
    /// Most families of a request. Default 2000.
    pub max_samples_per_send: i64,
}

impl Default for MetadataConfig {
    fn default() -> Self {
        Self {
            send: true,
            send_interval: PromDuration(Duration::from_secs(60)),
            max_samples_per_send: 2_000,
        }
    }
}

impl<'de> Deserialize<'de> for MetadataConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(Strict::new(deserializer, "metadata_config", &[]))
    }
}

impl Serialize for MetadataConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}
