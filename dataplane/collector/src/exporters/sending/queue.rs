//! The sending queue: bounded, in memory, drained by a number of concurrent sends.

use std::sync::Arc;

use bellwether_telemetry::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Sender;
use super::batching::{Source, Waiting};
use crate::config::blocks::{QueueConfig, Sizer};
use crate::pipeline::own_metrics::{OwnMetrics, PerSignal};
use crate::pipeline::{Batch, Built, ConsumeError, ConsumeFuture, Consumer};

pub(super) fn build(
    sender: Arc<Sender>,
    config: &QueueConfig,
    refused: PerSignal,
    metrics: &OwnMetrics,
    id: &str,
) -> Built {
    let capacity = config.queue_size.min(Semaphore::MAX_PERMITS);
    let room = Arc::new(Semaphore::new(capacity));
    // The semaphore bounds it: its unit may be items or bytes, which a channel cannot count.
    let (entrance, exit) = mpsc::unbounded_channel();
    let labels = [("exporter", id)];
    let size = metrics.gauge(
        "otelcol_exporter_queue_size",
        "Current size of the sending queue, in units of its sizer.",
        &labels,
    );
    metrics
        .gauge(
            "otelcol_exporter_queue_capacity",
            "Capacity of the sending queue, in units of its sizer.",
            &labels,
        )
        .set(capacity as f64);
    let queue = Queue {
        entrance,
        room: Arc::clone(&room),
        capacity,
        sizer: config.sizer,
        block_on_overflow: config.block_on_overflow,
        refused,
        size: size.clone(),
    };
    let consumers = config.num_consumers;
    let source = Source::new(exit, config.batching().cloned());
    let drain = Drain {
        sender,
        consumers: Arc::new(Semaphore::new(consumers)),
        room,
        capacity,
        size,
    };
    Built {
        consumer: Some(Arc::new(queue)),
        runner: Some(Box::new(move |stop| Box::pin(drain.run(source, stop)))),
    }
}

/// The side that takes batches.
struct Queue {
    entrance: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    capacity: usize,
    sizer: Sizer,
    block_on_overflow: bool,
    refused: PerSignal,
    size: Gauge,
}

impl Queue {
    async fn put(&self, batch: Batch) -> Result<(), ConsumeError> {
        let cost = match self.sizer {
            Sizer::Requests => 1,
            Sizer::Items => batch.items(),
            Sizer::Bytes => batch.bytes().len(),
        };
        let permits = u32::try_from(cost)
            .ok()
            .filter(|_| cost <= self.capacity)
            .ok_or_else(|| {
                ConsumeError::permanent("the batch is larger than the whole sending queue")
            })?;
        let room = Arc::clone(&self.room);
        let permit = if self.block_on_overflow {
            room.acquire_many_owned(permits).await.ok()
        } else {
            room.try_acquire_many_owned(permits).ok()
        };
        let permit = permit.ok_or_else(|| ConsumeError::retryable("sending queue is full"))?;
        self.entrance
            .send((batch, Some(permit)))
            .map_err(|_| ConsumeError::retryable("the collector is shutting down"))?;
        self.size
            .set((self.capacity - self.room.available_permits()) as f64);
        Ok(())
    }
}

impl Consumer for Queue {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        let (signal, items) = (batch.signal(), batch.items());
        Box::pin(async move {
            let result = self.put(batch).await;
            if result.is_err() {
                self.refused.add(signal, items);
            }
            result
        })
    }
}

/// The side that sends.
struct Drain {
    sender: Arc<Sender>,
    consumers: Arc<Semaphore>,
    room: Arc<Semaphore>,
    capacity: usize,
    size: Gauge,
}

impl Drain {
    async fn run(self, mut source: Source, stop: CancellationToken) {
        let mut sends = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = sends.join_next() => {}
                next = self.next(&mut source) => match next {
                    Some((batch, consumer)) => self.start(batch, consumer, &mut sends),
                    None => break,
                },
            }
        }
        // No retries from now on; everything that waits gets its attempt, as long as there is time.
        self.sender.stop.cancel();
        source.close();
        let drained = tokio::time::timeout(self.sender.drain_time, async {
            while let Some((batch, consumer)) = self.next(&mut source).await {
                self.start(batch, consumer, &mut sends);
            }
            while sends.join_next().await.is_some() {}
        });
        if drained.await.is_err() {
            self.sender.cut.cancel();
            let mut items = 0;
            for batch in source.rest() {
                self.sender.lose(&batch);
                items += batch.items();
            }
            tracing::error!(exporter = %self.sender.id, items, "data dropped: the shutdown came before its turn");
            while sends.join_next().await.is_some() {}
        }
    }

    /// A free consumer first, then a batch: batches wait in the queue, where they are counted.
    async fn next(&self, source: &mut Source) -> Option<(Batch, OwnedSemaphorePermit)> {
        let consumer = Arc::clone(&self.consumers).acquire_owned().await.ok()?;
        let (batch, room) = source.next().await?;
        drop(room);
        self.size
            .set((self.capacity - self.room.available_permits()) as f64);
        Some((batch, consumer))
    }

    fn start(&self, batch: Batch, consumer: OwnedSemaphorePermit, sends: &mut JoinSet<()>) {
        let sender = Arc::clone(&self.sender);
        sends.spawn(async move {
            let (signal, items) = (batch.signal(), batch.items());
            if let Err(error) = sender.send(batch).await {
                tracing::error!(
                    exporter = %sender.id,
                    %signal,
                    items,
                    %error,
                    "data dropped: it could not be exported"
                );
            }
            drop(consumer);
        });
    }
}
