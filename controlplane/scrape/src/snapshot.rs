//! What the HTTP API shows of targets and their metadata.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_model::{Labels, MetricType};

/// Health of a target as `/api/v1/targets` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// The API's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// One target that is being scraped.
#[derive(Clone, Debug)]
pub struct ActiveTarget {
    /// Labels before relabelling, with `__scrape_interval__` and the like.
    pub discovered_labels: Labels,
    /// Labels that the target's series get.
    pub labels: Labels,
    /// The job's name.
    pub scrape_pool: String,
    /// What is fetched.
    pub scrape_url: String,
    /// The same URL with this machine's name instead of a loopback address.
    pub global_url: String,
    /// Why the last scrape failed; empty when it did not.
    pub last_error: String,
    /// Start of the last scrape in milliseconds since the epoch; `None` before the first.
    pub last_scrape_ms: Option<i64>,
    /// Duration of the last scrape.
    pub last_scrape_duration: Duration,
    /// Health.
    pub health: Health,
    /// Interval between scrapes.
    pub scrape_interval: Duration,
    /// Time-out of a scrape.
    pub scrape_timeout: Duration,
}

/// One target that relabelling dropped.
#[derive(Clone, Debug)]
pub struct DroppedTarget {
    /// Labels before relabelling.
    pub discovered_labels: Labels,
    /// The job's name.
    pub scrape_pool: String,
}

/// Targets at one moment, sorted by pool and then by labels.
#[derive(Clone, Debug, Default)]
pub struct TargetsSnapshot {
    /// Targets that are scraped.
    pub active: Vec<ActiveTarget>,
    /// Targets dropped by relabelling, at most `keep_dropped_targets` of each pool.
    pub dropped: Vec<DroppedTarget>,
    /// Number of dropped targets by pool, whether kept above or not.
    pub dropped_counts: BTreeMap<String, usize>,
    /// Names of all pools, those without targets included.
    pub pools: Vec<String>,
}

/// Metadata of one metric family as its exposition states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricMetadata {
    /// Family name as in the exposition (without `_total`, `_bucket` and the like in OpenMetrics).
    pub metric: String,
    /// Type.
    pub kind: MetricType,
    /// Help text, may be empty.
    pub help: String,
    /// Unit, may be empty.
    pub unit: String,
}

/// Metadata of all families of one target.
#[derive(Clone, Debug)]
pub struct TargetMetadata {
    /// The target's labels.
    pub target: Labels,
    /// The job's name.
    pub scrape_pool: String,
    /// Families sorted by name.
    pub metrics: Vec<MetricMetadata>,
}
