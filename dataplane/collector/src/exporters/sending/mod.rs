//! Queue and retries around an exporter's transport (`sending_queue`, `retry_on_failure`, `timeout`).
//!
//! With the queue a batch is accepted as soon as there is room, and refused as retryable when there
//! is none. Without it the caller waits for the send and gets its error. Either way an item is
//! counted once: sent, or failed.

mod batching;
mod queue;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bellwether_otlp::Signal;
use futures_util::future::BoxFuture;
use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use crate::config::blocks::{QueueConfig, RetryConfig};
use crate::pipeline::own_metrics::{OwnMetrics, PerSignal};
use crate::pipeline::{Batch, Built, ConsumeError, ConsumeFuture, Consumer};

/// Time for what waits in a queue after the shutdown began. Shorter than the stage's deadline, so that
/// what could not be sent is still counted.
pub(crate) const DRAIN_TIME: Duration = Duration::from_secs(10);

/// Sends one batch, one attempt.
pub(crate) trait Transport: Send + Sync {
    /// Sends a batch to the destination.
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<(), ConsumeError>>;
}

/// How to send.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) queue: QueueConfig,
    pub(crate) retry: RetryConfig,
    /// Per attempt; `None` is no limit.
    pub(crate) timeout: Option<Duration>,
    /// Normally [`DRAIN_TIME`].
    pub(crate) drain_time: Duration,
}

/// Wraps a transport.
pub(crate) fn build(
    transport: Arc<dyn Transport>,
    settings: Settings,
    metrics: &OwnMetrics,
    id: &str,
) -> Built {
    let labels = [("exporter", id)];
    let count = |name: &str, what: &str| {
        metrics.per_signal(
            &format!("otelcol_exporter_{name}"),
            what,
            &Signal::ALL,
            &labels,
        )
    };
    let stop = CancellationToken::new();
    let sender = Arc::new(Sender {
        transport,
        retry: settings.retry,
        timeout: settings.timeout,
        sent: count("sent", "successfully sent to the destination"),
        failed: count(
            "send_failed",
            "in failed attempts to send to the destination",
        ),
        stop: stop.clone(),
        cut: CancellationToken::new(),
        drain_time: settings.drain_time,
        id: id.to_owned(),
    });
    if settings.queue.enabled {
        let refused = count("enqueue_failed", "that did not fit into the sending queue");
        return queue::build(sender, &settings.queue, refused, metrics, id);
    }
    Built {
        consumer: Some(sender),
        // Waiting retries end when the exporter stops.
        runner: Some(Box::new(move |token| {
            Box::pin(async move {
                token.cancelled().await;
                stop.cancel();
            })
        })),
    }
}

/// Sends with retries.
pub(super) struct Sender {
    transport: Arc<dyn Transport>,
    retry: RetryConfig,
    timeout: Option<Duration>,
    sent: PerSignal,
    failed: PerSignal,
    /// No more retries: one last attempt each.
    stop: CancellationToken,
    /// No more attempts.
    cut: CancellationToken,
    drain_time: Duration,
    id: String,
}

impl Sender {
    /// Sends a batch until it is through, hopeless, or out of time, and counts the outcome.
    async fn send(&self, batch: Batch) -> Result<(), ConsumeError> {
        let (signal, items) = (batch.signal(), batch.items());
        let result = self.attempts(batch).await;
        match &result {
            Ok(()) => self.sent.add(signal, items),
            Err(_) => self.failed.add(signal, items),
        }
        result
    }

    async fn attempts(&self, batch: Batch) -> Result<(), ConsumeError> {
        let started = Instant::now();
        let mut interval = None;
        loop {
            let was_stopping = self.stop.is_cancelled();
            let Err(error) = self.attempt(batch.clone()).await else {
                return Ok(());
            };
            if !error.is_retryable() || !self.retry.enabled || was_stopping {
                return Err(error);
            }
            let next = self.retry.next_interval(interval);
            interval = Some(next);
            let wait = self
                .jitter(next)
                .max(error.retry_after().unwrap_or_default());
            if let Some(limit) = self.retry.max_elapsed_time.non_zero()
                && started.elapsed() + wait > limit
            {
                return Err(error);
            }
            tracing::info!(
                exporter = %self.id,
                %error,
                wait_ms = wait.as_millis() as u64,
                "export failed, trying again later"
            );
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // One last attempt at once: the data has nowhere else to go.
                () = self.stop.cancelled() => {}
            }
        }
    }

    async fn attempt(&self, batch: Batch) -> Result<(), ConsumeError> {
        let timeout = async {
            match self.timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = self.transport.send(batch) => result,
            () = timeout => Err(ConsumeError::retryable(format!(
                "no answer within {} ms",
                self.timeout.unwrap_or_default().as_millis()
            ))),
            () = self.cut.cancelled() => Err(ConsumeError::permanent("cut off by the shutdown")),
        }
    }

    /// Counts a batch that never got an attempt.
    fn lose(&self, batch: &Batch) {
        self.failed.add(batch.signal(), batch.items());
    }

    /// The interval with its random part, so that many senders do not come back at once.
    fn jitter(&self, interval: Duration) -> Duration {
        let factor = self.retry.randomization_factor;
        let random: f64 = rand::rng().random_range(-1.0..=1.0);
        interval.mul_f64((1.0 + factor * random).max(0.0))
    }
}

impl Consumer for Sender {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        Box::pin(self.send(batch))
    }
}
