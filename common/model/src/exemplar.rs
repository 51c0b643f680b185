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
