//! Exemplars: a sample's link to a trace.

use crate::labels::Labels;

/// An exemplar as OpenMetrics defines it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Usually `trace_id` and `span_id`; at most 128 characters over names and values.
    pub labels: Labels,
    /// The observed value.
    pub value: f64,
    /// Milliseconds since the epoch; `None` where the exposition gave none.
    pub timestamp_ms: Option<i64>,
}

impl Exemplar {
    /// Most characters of all label names and values together (OpenMetrics).
    pub const LABELS_LEN_MAX: usize = 128;

    /// Whether the labels are longer than an exemplar's may be: such an exemplar is not stored.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        let characters: usize = self
            .labels
            .iter()
            .map(|l| l.name.chars().count() + l.value.chars().count())
            .sum();
        characters > Self::LABELS_LEN_MAX
    }
}
