//! Exposition formats.

/// The text format or OpenMetrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4, and 1.0.0 with quoted UTF-8 names.
    Text,
    /// OpenMetrics 0.0.1 and 1.0.0.
    OpenMetrics,
}
