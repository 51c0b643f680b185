//! OTLP to Prometheus: metric names, label names, units, resources.
//!
//! Facts: prometheus/otlptranslator and the OpenTelemetry specification, "Prometheus and OpenMetrics
//! Compatibility". A [`Translator`] holds the settings of one user (a `prometheus` exporter, the
//! server's `otlp:` block) and answers for names; everything that depends on a payload comes in as
//! an argument, so a translator can be shared and its answers cached.
//!
//! | file | what |
//! |---|---|
//! | `unit.rs` | UCUM units to words |
//! | `metric_name.rs` | metric names for each strategy |
//! | `label.rs` | label names and label sets of attributes |
//! | `target.rs` | `job`, `instance`, `target_info` |

mod label;
mod metric_name;
mod target;
mod unit;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::metrics::{Data, Metric};

pub use label::{LabelSettings, merge_labels};
pub use target::{Target, is_identifying};
pub use unit::unit_words;

/// How names become Prometheus names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Strategy {
    /// Legacy characters, unit and type suffixes. The default.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Legacy characters, no suffixes.
    UnderscoreEscapingWithoutSuffixes,
    /// Names kept as they are, with suffixes.
    NoUtf8EscapingWithSuffixes,
    /// Names kept as they are.
    NoTranslation,
}

impl Strategy {
    /// All strategies with the names used in configuration files.
    pub const ALL: [(Self, &'static str); 4] = [
        (
            Self::UnderscoreEscapingWithSuffixes,
            "UnderscoreEscapingWithSuffixes",
        ),
        (
            Self::UnderscoreEscapingWithoutSuffixes,
            "UnderscoreEscapingWithoutSuffixes",
        ),
        (
            Self::NoUtf8EscapingWithSuffixes,
            "NoUTF8EscapingWithSuffixes",
        ),
        (Self::NoTranslation, "NoTranslation"),
    ];

    /// True when names are reduced to the legacy character set.
    pub fn escapes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes
        )
    }

    /// True when unit and type suffixes are added.
    pub fn adds_suffixes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes
        )
    }
}

/// A translation strategy that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "unknown translation strategy {0:?} (one of UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes, NoTranslation)"
)]
pub struct UnknownStrategy(pub String);

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(strategy, _)| *strategy)
            .ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(strategy, _)| strategy == self)
            .map_or("", |(_, name)| *name);
        f.write_str(name)
    }
}

/// Kind of a metric as far as its name depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Monotonic sum.
    Counter,
    /// OTLP gauge.
    Gauge,
    /// Up-down counter: a gauge in Prometheus, without the `ratio` suffix.
    NonMonotonicSum,
    /// Histogram with explicit bounds.
    Histogram,
    /// Histogram with exponential buckets.
    ExponentialHistogram,
    /// Summary.
    Summary,
    /// A metric without data.
    Unknown,
}

impl MetricKind {
    /// The kind of an OTLP metric.
    pub fn of(metric: &Metric<'_>) -> Self {
        match metric.data {
            Data::Empty => Self::Unknown,
            Data::Gauge { .. } => Self::Gauge,
            Data::Sum {
                is_monotonic: true, ..
            } => Self::Counter,
            Data::Sum { .. } => Self::NonMonotonicSum,
            Data::Histogram { .. } => Self::Histogram,
            Data::ExponentialHistogram { .. } => Self::ExponentialHistogram,
            Data::Summary { .. } => Self::Summary,
        }
    }
}

/// A name that cannot become a Prometheus name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing is left of a metric name.
    #[error("metric name {0:?} has no character that a Prometheus name can hold")]
    Metric(String),
    /// Nothing is left of a label name.
    #[error("attribute name {0:?} is empty or consists of underscores only")]
    Label(String),
}

/// Settings of the translation and the functions that follow them.
#[derive(Debug, Clone, Default)]
pub struct Translator {
    /// Strategy for metric names; also decides whether label names are escaped.
    pub strategy: Strategy,
    /// Prefix of all metric names; empty for none.
    pub namespace: String,
    /// Details of label names.
    pub labels: LabelSettings,
}

impl Translator {
    /// The Prometheus name of a metric family, without `_bucket` and the like.
    ///
    /// # Errors
    /// Nothing is left of the name.
    pub fn metric_name(
        &self,
        name: &str,
        unit: &str,
        kind: MetricKind,
    ) -> Result<String, NameError> {
        metric_name::build(self.strategy, &self.namespace, name, unit, kind)
    }

    /// The name of a unit, as it stands at the end of a metric's name: `By/s` is `bytes_per_second`.
    #[must_use]
    pub fn unit_name(&self, unit: &str) -> String {
        let (mut main, mut per) = unit::unit_words(unit);
        if self.strategy.escapes() {
            (main, per) = (unit::clean(&main), unit::clean(&per));
        }
        let joined = match (main.is_empty(), per.is_empty()) {
            (false, false) => format!("{main}_{per}"),
            (false, true) => main,
            _ => per,
        };
        joined.trim_matches('_').to_owned()
    }

    /// The Prometheus name of an attribute.
    ///
    /// # Errors
    /// The name is empty or has only underscores.
    pub fn label_name(&self, name: &str) -> Result<String, NameError> {
        label::label_name(name, self.strategy.escapes(), self.labels)
    }
}
