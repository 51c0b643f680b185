//! `batch`: joins small batches into larger ones. See `README.md`.
//!
//! Requests of one signal join by concatenating their bytes (see `bellwether_otlp::raw`), so nothing
//! is decoded unless a batch has to be cut at `send_batch_max_size`.

use std::sync::Arc;
use std::time::Duration;

use bellwether_otlp::Signal;
use bellwether_telemetry::{Counter, Histogram};
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::CollectorError;
use crate::config::PipelineId;
use crate::config::types::GoDuration;
use crate::pipeline::{
    Batch, BuildContext, Built, ConsumeError, ConsumeFuture, Consumer, Problems, ProcessorConfig,
};

/// Batches that wait for the joining task; senders wait when it is full.
const WAITING_BATCHES_MAX: usize = 64;
/// Bytes after which a batch is sent although it has few items.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Keys of the processor.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct BatchConfig {
    timeout: GoDuration,
    send_batch_size: usize,
    send_batch_max_size: usize,
    metadata_keys: Vec<String>,
    metadata_cardinality_limit: u32,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            timeout: GoDuration::millis(200),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
        }
    }
}

impl ProcessorConfig for BatchConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        if self.send_batch_max_size > 0 && self.send_batch_max_size < self.send_batch_size {
            problems.add(
                "send_batch_max_size",
                format!(
                    "must be 0 (no limit) or at least send_batch_size ({})",
                    self.send_batch_size
                ),
            );
        }
        if !self.metadata_keys.is_empty() {
            problems.add(
                "metadata_keys",
                "batching by metadata is not supported yet; remove it",
            );
        }
    }

    fn build(
        &self,
        context: &BuildContext<'_>,
        pipeline: &PipelineId,
        next: Arc<dyn Consumer>,
    ) -> Result<Built, CollectorError> {
        let (sender, receiver) = mpsc::channel(WAITING_BATCHES_MAX);
        let id = context.id.to_string();
        let labels = [("processor", id.as_str())];
        let counter = |name: &str, help: &str| context.metrics.counter(name, help, &labels);
        let pipeline_name = pipeline.to_string();
        let dropped = context.metrics.counter(
            "bellwether_collector_dropped_items_total",
            "Items that a component took and could not hand on.",
            &[("component", &id), ("pipeline", &pipeline_name)],
        );
        let joiner = Joiner {
            signal: pipeline.signal,
            pipeline: pipeline_name,
            config: self.clone(),
            next,
            parts: Vec::new(),
            items: 0,
            bytes: 0,
            size_trigger: counter(
                "otelcol_processor_batch_batch_size_trigger_send",
                "Batches sent because they were large enough.",
            ),
            timeout_trigger: counter(
                "otelcol_processor_batch_timeout_trigger_send",
                "Batches sent because their time was over.",
            ),
            sizes: context.metrics.batch_size(&labels),
            dropped,
        };
        Ok(Built {
            consumer: Some(Arc::new(Entry { sender })),
            runner: Some(Box::new(move |stop| Box::pin(joiner.run(receiver, stop)))),
        })
    }
}

/// The side that takes batches.
struct Entry {
    sender: mpsc::Sender<Batch>,
}

impl Consumer for Entry {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        Box::pin(async move {
            self.sender
                .send(batch)
                .await
                .map_err(|_| ConsumeError::retryable("the collector is shutting down"))
        })
    }
}

/// Why a batch leaves.
#[derive(Debug, Clone, Copy)]
enum Trigger {
    Size,
    Timeout,
}

/// The task that joins batches of one pipeline.
struct Joiner {
    signal: Signal,
    pipeline: String,
    config: BatchConfig,
    next: Arc<dyn Consumer>,
    parts: Vec<Bytes>,
    items: usize,
    bytes: usize,
    size_trigger: Counter,
    timeout_trigger: Counter,
    sizes: Histogram,
    dropped: Counter,
}

impl Joiner {
    async fn run(mut self, mut receiver: mpsc::Receiver<Batch>, stop: CancellationToken) {
        let mut deadline: Option<Instant> = None;
        loop {
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The stop comes after all senders have stopped: what is in the channel is the rest.
                () = stop.cancelled() => break,
                batch = receiver.recv() => match batch {
                    Some(batch) => self.add(batch).await,
                    None => break,
                },
                () = due => self.send_all(Trigger::Timeout).await,
            }
            deadline = match (self.items, deadline) {
                (0, _) => None,
                (_, Some(deadline)) if deadline > Instant::now() => Some(deadline),
                _ => Some(Instant::now() + self.timeout()),
            };
        }
        receiver.close();
        while let Some(batch) = receiver.recv().await {
            self.add(batch).await;
        }
        self.send_all(Trigger::Timeout).await;
    }

    fn timeout(&self) -> Duration {
        self.config.timeout.0
    }

    async fn add(&mut self, batch: Batch) {
        self.items += batch.items();
        self.bytes += batch.bytes().len();
        self.parts.push(batch.bytes().clone());
        let is_full = self.items >= self.config.send_batch_size || self.bytes >= BATCH_BYTES_MAX;
        if self.timeout().is_zero() || is_full {
            self.send_full().await;
        }
    }

    /// Sends after the size was reached; a rest smaller than a batch stays.
    async fn send_full(&mut self) {
        let mut parts = self.take().split(self.config.send_batch_max_size);
        let keeps_rest = !self.timeout().is_zero() && parts.len() > 1;
        if keeps_rest
            && let Some(rest) = parts.pop_if(|last| last.items() < self.config.send_batch_size)
        {
            self.items = rest.items();
            self.bytes = rest.bytes().len();
            self.parts.push(rest.bytes().clone());
        }
        for batch in parts {
            self.send(batch, Trigger::Size).await;
        }
    }

    async fn send_all(&mut self, trigger: Trigger) {
        if self.items == 0 {
            return;
        }
        for batch in self.take().split(self.config.send_batch_max_size) {
            self.send(batch, trigger).await;
        }
    }

    /// Everything collected so far as one batch.
    fn take(&mut self) -> Batch {
        let items = std::mem::take(&mut self.items);
        self.bytes = 0;
        Batch::join(self.signal, std::mem::take(&mut self.parts), items)
    }

    async fn send(&self, batch: Batch, trigger: Trigger) {
        match trigger {
            Trigger::Size => self.size_trigger.inc(),
            Trigger::Timeout => self.timeout_trigger.inc(),
        }
        let items = batch.items();
        self.sizes.observe(items as f64);
        if let Err(error) = self.next.consume(batch).await {
            // The sender was told that its data was accepted; all that is left is to say so.
            self.dropped.add(items as f64);
            tracing::error!(pipeline = %self.pipeline, items, %error, "batch lost: the next component refused it");
        }
    }
}
