//! The seam between components.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bellwether_otlp::Signal;
use futures_util::future::BoxFuture;
use thiserror::Error;
use tonic::Code;

use super::batch::Batch;

/// Result of handing a batch on.
pub(crate) type ConsumeFuture<'a> = BoxFuture<'a, Result<(), ConsumeError>>;

/// Where a receiver or connector sends its data, per signal.
pub(crate) type Outputs = HashMap<Signal, Arc<dyn Consumer>>;

/// Takes batches: a processor, an exporter, or a fan-out to several of them.
pub(crate) trait Consumer: Send + Sync {
    /// Takes a batch. `Ok` means that it was accepted: from now on the consumer is responsible for it.
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_>;
}

/// Why a batch was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum ConsumeError {
    /// Trying again later may help: a full queue, memory, a network error.
    #[error("{message}")]
    Retryable {
        /// Reason.
        message: String,
        /// Waiting time that the other side asked for.
        retry_after: Option<Duration>,
    },
    /// Trying again is useless.
    #[error("{message}")]
    Permanent {
        /// Reason.
        message: String,
    },
    /// The other side answered with a gRPC status, which is handed on as it is.
    #[error("{message} (status {code:?})")]
    Status {
        /// Status.
        code: Code,
        /// Reason.
        message: String,
        /// Waiting time from a RetryInfo detail.
        retry_after: Option<Duration>,
    },
}

impl ConsumeError {
    pub(crate) fn retryable(message: impl Into<String>) -> Self {
        Self::Retryable {
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn permanent(message: impl Into<String>) -> Self {
        Self::Permanent {
            message: message.into(),
        }
    }

    /// Whether trying again may help (OTLP specification, "Failures").
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Retryable { .. } => true,
            Self::Permanent { .. } => false,
            Self::Status {
                code, retry_after, ..
            } => match code {
                Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss => true,
                Code::ResourceExhausted => retry_after.is_some(),
                _ => false,
            },
        }
    }

    /// Waiting time that the other side asked for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Retryable { retry_after, .. } | Self::Status { retry_after, .. } => *retry_after,
            Self::Permanent { .. } => None,
        }
    }
}

/// Gives each batch to several consumers.
pub(crate) struct FanOut(pub(crate) Vec<Arc<dyn Consumer>>);

impl FanOut {
    /// One consumer needs no fan-out.
    pub(crate) fn of(mut consumers: Vec<Arc<dyn Consumer>>) -> Arc<dyn Consumer> {
        if consumers.len() == 1
            && let Some(only) = consumers.pop()
        {
            return only;
        }
        Arc::new(Self(consumers))
    }
}

impl Consumer for FanOut {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        Box::pin(async move {
            let mut first_error: Option<ConsumeError> = None;
            for consumer in &self.0 {
                // Every consumer gets the data, also when another one refused it.
                if let Err(error) = consumer.consume(batch.clone()).await {
                    first_error = Some(match first_error {
                        // A permanent error decides: a repetition would not bring it through.
                        Some(earlier) if !earlier.is_retryable() || error.is_retryable() => earlier,
                        _ => error,
                    });
                }
            }
            first_error.map_or(Ok(()), Err)
        })
    }
}
