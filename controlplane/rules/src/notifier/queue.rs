//! One Alertmanager: its bounded queue, and the task that sends from it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bellwether_http::{Client, ClientError};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::message::{AlertMessage, body};
use super::metrics::QueueMetrics;

/// Answers are read so that the connection can be used again, but not without end.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Limits of every queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueLimits {
    /// Alerts that wait at most; the oldest make room.
    pub(super) capacity: usize,
    /// Alerts of a request at most; not zero.
    pub(super) batch: usize,
    /// Whether what waits is sent when the queue ends.
    pub(super) drains: bool,
}

pub(super) struct Queue {
    pub(super) url: String,
    limits: QueueLimits,
    timeout: Duration,
    client: Client,
    metrics: QueueMetrics,
    waiting: Mutex<VecDeque<AlertMessage>>,
    work: Notify,
    /// Nothing is taken any more; what waits is sent or dropped.
    pub(super) stop: CancellationToken,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Request(#[from] ClientError),
    #[error("Post {0:?}: context deadline exceeded")]
    Timeout(String),
    #[error("bad response status {0}")]
    Status(StatusCode),
}

impl Queue {
    pub(super) fn new(
        url: String,
        limits: QueueLimits,
        timeout: Duration,
        client: Client,
        metrics: QueueMetrics,
    ) -> Self {
        Self {
            url,
            limits,
            timeout,
            client,
            metrics,
            waiting: Mutex::default(),
            work: Notify::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Puts alerts at the end. Where they do not fit, the oldest are dropped. Never blocks.
    pub(super) fn add(&self, alerts: &[AlertMessage]) {
        if self.stop.is_cancelled() {
            return;
        }
        let mut waiting = self.waiting.lock();
        let too_many = alerts.len().saturating_sub(self.limits.capacity);
        let alerts = &alerts[too_many..];
        let surplus = (waiting.len() + alerts.len()).saturating_sub(self.limits.capacity);
        waiting.drain(..surplus);
        waiting.extend(alerts.iter().cloned());
        self.metrics.queue_length.set(waiting.len() as f64);
        drop(waiting);
        let dropped = too_many + surplus;
        if dropped > 0 {
            self.metrics.dropped.add(dropped as f64);
            tracing::warn!(
                alertmanager = self.url,
                count = dropped,
                "Alert notification queue full, dropping alerts"
            );
        }
        self.work.notify_one();
    }

    fn next_batch(&self) -> Vec<AlertMessage> {
        let mut waiting = self.waiting.lock();
        let count = waiting.len().min(self.limits.batch);
        let batch = waiting.drain(..count).collect();
        self.metrics.queue_length.set(waiting.len() as f64);
        batch
    }

    /// Sends until the queue is stopped, and then what still waits, if that is wanted. `hurry` ends also that.
    pub(super) async fn run(self: Arc<Self>, hurry: CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = self.work.notified() => {}
            }
            while !self.stop.is_cancelled() && self.send_batch().await {}
        }
        if self.limits.drains {
            let drain = async { while self.send_batch().await {} };
            tokio::select! {
                () = hurry.cancelled() => {}
                () = drain => {}
            }
        }
        let left = self.waiting.lock().len();
        if left > 0 {
            self.metrics.dropped.add(left as f64);
            tracing::warn!(
                alertmanager = self.url,
                count = left,
                "Alert notification queue not drained on shutdown, dropping alerts"
            );
        }
        self.metrics.remove();
    }

    /// Sends one batch; false when nothing waits. A batch that cannot be sent is dropped: its alerts come again after
    /// the resend delay, because their rules still have them.
    async fn send_batch(&self) -> bool {
        let batch = self.next_batch();
        if batch.is_empty() {
            return false;
        }
        let count = batch.len();
        let clock = Instant::now();
        match self.post(&batch).await {
            Ok(()) => {
                let seconds = clock.elapsed().as_secs_f64();
                self.metrics.latency.observe(seconds);
                self.metrics.latency_histogram.observe(seconds);
                self.metrics.sent.add(count as f64);
            }
            Err(error) => {
                self.metrics.errors.add(count as f64);
                self.metrics.dropped.add(count as f64);
                tracing::error!(alertmanager = self.url, count, %error, "Error sending alerts");
            }
        }
        true
    }

    async fn post(&self, batch: &[AlertMessage]) -> Result<(), SendError> {
        let sending = tokio::time::timeout(self.timeout, self.post_untimed(batch));
        match sending.await {
            Ok(result) => result,
            Err(_) => Err(SendError::Timeout(self.url.clone())),
        }
    }

    async fn post_untimed(&self, batch: &[AlertMessage]) -> Result<(), SendError> {
        let request = Request::post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(body(batch)))
            .map_err(|e| ClientError::new(Method::POST, &Uri::default(), e.to_string()))?;
        let answer = self.client.send(request).await?;
        let status = answer.status();
        // Only so that the connection can be used again.
        let _ = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        if status.is_success() {
            Ok(())
        } else {
            Err(SendError::Status(status))
        }
    }
}
