//! Why a query failed.

use bellwether_model::storage::StorageError;

use crate::parser::ParseError;

/// Why a query failed. Texts are Prometheus'; the variants map to its error types and HTTP statuses.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The text is not a valid expression: `bad_data`, 400.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// The expression is valid but cannot be evaluated so: `bad_data`, 400.
    #[error("{0}")]
    BadData(String),
    /// The evaluation failed: `execution`, 422.
    #[error("{0}")]
    Execution(String),
    /// More samples than allowed: `execution`, 422.
    #[error("query processing would load too many samples into memory in query execution")]
    TooManySamples,
    /// The time limit passed: `timeout`, 503.
    #[error("query timed out in {0}")]
    Timeout(&'static str),
    /// The caller went away: `canceled`, 499.
    #[error("query was canceled in {0}")]
    Canceled(&'static str),
    /// The storage failed: `internal`, 500.
    #[error("expanding series: {0}")]
    Storage(#[from] StorageError),
}

impl QueryError {
    /// Prometheus' `errorType`.
    #[must_use]
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Parse(_) | Self::BadData(_) => "bad_data",
            Self::Execution(_) | Self::TooManySamples => "execution",
            Self::Timeout(_) => "timeout",
            Self::Canceled(_) => "canceled",
            Self::Storage(_) => "internal",
        }
    }
}
