//! `sending_queue::batch`: joins what waits in the queue into larger requests before they are sent.
//!
//! Batches keep their place in the queue until they are handed to a consumer, so that the capacity
//! bounds what is being joined, too.

use std::collections::VecDeque;

use bellwether_otlp::Signal;
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use crate::config::blocks::{BatchSizer, QueueBatch};
use crate::pipeline::Batch;

/// A batch and its share of the queue's capacity, which is free again when it is dropped.
pub(super) type Waiting = (Batch, Option<OwnedSemaphorePermit>);

/// The end of the queue where batches come out.
pub(super) struct Source {
    exit: mpsc::UnboundedReceiver<Waiting>,
    config: Option<QueueBatch>,
    /// In the order of `Signal::ALL`.
    pending: [Pending; 3],
    ready: VecDeque<Waiting>,
}

/// Batches of one signal that wait for more.
#[derive(Default)]
struct Pending {
    parts: Vec<Bytes>,
    items: usize,
    bytes: usize,
    room: Option<OwnedSemaphorePermit>,
    deadline: Option<Instant>,
}

impl Source {
    pub(super) fn new(exit: mpsc::UnboundedReceiver<Waiting>, config: Option<QueueBatch>) -> Self {
        Self {
            exit,
            config,
            pending: Default::default(),
            ready: VecDeque::new(),
        }
    }

    /// Nothing more comes in; what is here still comes out, and does not wait for more.
    pub(super) fn close(&mut self) {
        self.exit.close();
    }

    /// The next batch to send; `None` after everything came out of a closed queue. Dropping the
    /// future loses nothing.
    pub(super) async fn next(&mut self) -> Option<Waiting> {
        let Some(config) = self.config.clone() else {
            return self.exit.recv().await;
        };
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
            }
            let deadline = self.pending.iter().filter_map(|p| p.deadline).min();
            let due = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                next = self.exit.recv() => match next {
                    Some(waiting) => self.add(waiting, &config),
                    None => {
                        self.flush(&config, |_| true);
                        return self.ready.pop_front();
                    }
                },
                () = due => {
                    let now = Instant::now();
                    self.flush(&config, |p| p.deadline.is_some_and(|d| d <= now));
                }
            }
        }
    }

    /// Everything that has not come out.
    pub(super) fn rest(&mut self) -> Vec<Batch> {
        if let Some(config) = self.config.clone() {
            self.flush(&config, |_| true);
        }
        let mut rest: Vec<Batch> = self.ready.drain(..).map(|(batch, _)| batch).collect();
        while let Ok((batch, _)) = self.exit.try_recv() {
            rest.push(batch);
        }
        rest
    }

    fn add(&mut self, (batch, room): Waiting, config: &QueueBatch) {
        let index = index_of(batch.signal());
        let pending = &mut self.pending[index];
        pending.items += batch.items();
        pending.bytes += batch.bytes().len();
        pending.parts.push(batch.bytes().clone());
        match (&mut pending.room, room) {
            (Some(held), Some(more)) => held.merge(more),
            (held, more) => *held = more.or(held.take()),
        }
        if pending.size(config) < config.min_size {
            let flush = Instant::now() + config.flush_timeout.0;
            pending.deadline.get_or_insert(flush);
            return;
        }
        let mut parts = pending.take(batch.signal(), config);
        // A rest that is too small waits for more.
        if let Some((last, _)) = parts.last()
            && parts.len() > 1
            && last.items() < config.min_size
            && let Some((rest, _)) = parts.pop()
        {
            self.ready.extend(parts);
            self.add((rest, None), config);
        } else {
            self.ready.extend(parts);
        }
    }

    fn flush(&mut self, config: &QueueBatch, wants: impl Fn(&Pending) -> bool) {
        for (pending, signal) in self.pending.iter_mut().zip(Signal::ALL) {
            if !pending.parts.is_empty() && wants(pending) {
                self.ready.extend(pending.take(signal, config));
            }
        }
    }
}

impl Pending {
    fn size(&self, config: &QueueBatch) -> usize {
        match config.sizer {
            BatchSizer::Items => self.items,
            BatchSizer::Bytes => self.bytes,
        }
    }

    /// All of it, joined and cut; the first part carries the room of all.
    fn take(&mut self, signal: Signal, config: &QueueBatch) -> Vec<Waiting> {
        let taken = std::mem::take(self);
        let mut room = taken.room;
        Batch::join(signal, taken.parts, taken.items)
            .split(config.max_size)
            .into_iter()
            .map(|batch| (batch, room.take()))
            .collect()
    }
}

fn index_of(signal: Signal) -> usize {
    Signal::ALL.iter().position(|s| *s == signal).unwrap_or(0)
}
