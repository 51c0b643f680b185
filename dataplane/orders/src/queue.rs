//! The bounded queue of orders and the workers that empty it.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bellwether_telemetry::Registry;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config::OrdersConfig;
use crate::metrics::OrderMetrics;

/// One order on its way to a worker.
#[derive(Debug)]
struct Job {
    fail: bool,
    accepted: Instant,
    /// Where the outcome goes; the client may have stopped listening.
    done: oneshot::Sender<Outcome>,
}

/// How an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) id: u64,
    pub(crate) success: bool,
}

/// Why an order has no outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QueueError {
    /// All places are taken.
    #[error("the order queue is full")]
    Full,
    /// The workers have ended.
    #[error("the order service is shutting down")]
    Closed,
}

/// The place where orders wait. Clones share one queue; the workers end when
/// the last clone is gone and the queue is empty.
#[derive(Debug, Clone)]
pub(crate) struct OrderQueue {
    jobs: mpsc::Sender<Job>,
    rng: Arc<Mutex<StdRng>>,
}

/// An order that was accepted.
#[derive(Debug)]
pub(crate) struct Ticket(oneshot::Receiver<Outcome>);

impl Ticket {
    /// Waits until the order has been processed.
    pub(crate) async fn outcome(self) -> Result<Outcome, QueueError> {
        self.0.await.map_err(|_| QueueError::Closed)
    }
}

impl OrderQueue {
    /// Accepts an order, or refuses it at once when the queue is full.
    pub(crate) fn try_submit(&self, fail: bool) -> Result<Ticket, QueueError> {
        let (job, ticket) = job(fail);
        match self.jobs.try_send(job) {
            Ok(()) => Ok(ticket),
            Err(mpsc::error::TrySendError::Full(_)) => Err(QueueError::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(QueueError::Closed),
        }
    }

    /// Accepts an order as soon as there is a place for it.
    pub(crate) async fn submit(&self, fail: bool) -> Result<Ticket, QueueError> {
        let (job, ticket) = job(fail);
        match self.jobs.send(job).await {
            Ok(()) => Ok(ticket),
            Err(_) => Err(QueueError::Closed),
        }
    }

    /// True with the given probability.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        self.rng.lock().random::<f64>() < probability
    }
}

fn job(fail: bool) -> (Job, Ticket) {
    let (done, outcome) = oneshot::channel();
    let accepted = Instant::now();
    let job = Job {
        fail,
        accepted,
        done,
    };
    (job, Ticket(outcome))
}

/// Starts the workers and registers the depth of the queue with `registry`.
pub(crate) fn start(
    config: &OrdersConfig,
    metrics: &OrderMetrics,
    registry: &Registry,
) -> (OrderQueue, JoinSet<()>) {
    let (sender, receiver) = mpsc::channel(config.queue_capacity.max(1));
    let rng = Arc::new(Mutex::new(match config.seed {
        Some(seed) => StdRng::seed_from_u64(seed),
        None => StdRng::from_os_rng(),
    }));
    // Weak: the registry must not keep the workers alive.
    let weak = sender.downgrade();
    let depth = metrics.queue_depth.clone();
    registry.on_collect(move || {
        let waiting = weak
            .upgrade()
            .map_or(0, |jobs| jobs.max_capacity() - jobs.capacity());
        depth.set(waiting as f64);
    });
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let mut workers = JoinSet::new();
    for _ in 0..config.workers.max(1) {
        workers.spawn(work(
            Arc::clone(&receiver),
            Arc::clone(&rng),
            config.processing_ms.clone(),
            metrics.clone(),
        ));
    }
    let queue = OrderQueue { jobs: sender, rng };
    (queue, workers)
}

async fn work(
    jobs: Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>,
    rng: Arc<Mutex<StdRng>>,
    processing_ms: RangeInclusive<u64>,
    metrics: OrderMetrics,
) {
    loop {
        // An idle worker holds the lock while it waits for the next order; the
        // others queue up behind it, which is what a shared receiver means.
        let next = jobs.lock().await.recv().await;
        let Some(job) = next else { return };
        let (took, id) = {
            let mut rng = rng.lock();
            (draw_ms(&mut rng, &processing_ms), rng.random())
        };
        tokio::time::sleep(took).await;
        let success = !job.fail;
        metrics.record(success, job.accepted.elapsed());
        // An error means that the client has gone; the order was processed.
        let _ = job.done.send(Outcome { id, success });
    }
}

fn draw_ms(rng: &mut StdRng, range: &RangeInclusive<u64>) -> Duration {
    let ms = if range.is_empty() {
        *range.start()
    } else {
        rng.random_range(range.clone())
    };
    Duration::from_millis(ms)
}
