//! Shards: each sends its batches one after the other, in the order of the log.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bellwether_telemetry::trace::{Context, KeyValue, Span, SpanKind, Traces};
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::batch::{Batch, Counts};
use super::body::{Body, BodyWriter};
use super::endpoint::{Endpoint, StoreError, Written};
use super::metrics::{QueueMetrics, Reason};
use super::progress::Progress;
use super::rate::Rate;
use super::series::Catalog;
use crate::config::{Message, WriteSettings};

/// What the reader of the log, the shards and the tasks of a queue share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: WriteSettings,
    pub(crate) endpoint: ArcSwap<Endpoint>,
    pub(crate) catalog: RwLock<Catalog>,
    pub(crate) progress: Progress,
    pub(crate) metrics: QueueMetrics,
    /// Reading stops; what waits is still sent.
    pub(crate) stopping: AtomicBool,
    /// Stopping, and what was not sent is remembered: a failure that may pass ends the sending.
    pub(crate) keeps_rest: AtomicBool,
    /// Sending stops.
    pub(crate) hard_stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
    /// Told when a batch leaves a queue.
    pub(crate) room: Room,
    /// Number of shards that there should be.
    pub(crate) wanted_shards: AtomicUsize,
    pub(crate) sent_rate: Rate,
    pub(crate) dropped_rate: Rate,
    /// Nanoseconds of sending.
    pub(crate) busy_rate: Rate,
    /// When a request last ended, in milliseconds since the epoch.
    pub(crate) last_send_ms: AtomicI64,
    /// Until when the number of shards stays as it is: the receiver asked for patience.
    pub(crate) hold_shards: Mutex<Option<Instant>>,
    pub(crate) writers: Mutex<Vec<BodyWriter>>,
    pub(crate) spare: Mutex<Vec<Batch>>,
    pub(crate) traces: Traces,
}

/// Tells the reader of the log that there may be room in a shard's queue.
#[derive(Debug, Default)]
pub(crate) struct Room {
    lock: Mutex<u64>,
    changed: Condvar,
}

impl Room {
    pub(crate) fn change(&self) {
        *self.lock.lock() += 1;
        self.changed.notify_all();
    }

    /// The number of changes so far.
    pub(crate) fn seen(&self) -> u64 {
        *self.lock.lock()
    }

    /// Waits for a change after `seen`, at most so long.
    pub(crate) fn wait(&self, seen: u64, timeout: Duration) {
        let mut changes = self.lock.lock();
        if *changes == seen {
            self.changed.wait_for(&mut changes, timeout);
        }
    }
}

/// The queue in front of a shard.
#[derive(Debug)]
pub(crate) struct Shard {
    queue: Mutex<VecDeque<Batch>>,
    batches_max: usize,
    arrived: Notify,
    closed: AtomicBool,
}

impl Shard {
    pub(crate) fn new(settings: &WriteSettings) -> Arc<Self> {
        Arc::new(Self {
            queue: Mutex::default(),
            batches_max: (settings.capacity / settings.max_samples_per_send).max(1),
            arrived: Notify::new(),
            closed: AtomicBool::new(false),
        })
    }

    /// Puts a batch into the queue; gives it back when there is no room.
    pub(crate) fn push(&self, batch: Batch) -> Result<(), Batch> {
        let mut queue = self.queue.lock();
        if queue.len() >= self.batches_max {
            return Err(batch);
        }
        queue.push_back(batch);
        drop(queue);
        self.arrived.notify_one();
        Ok(())
    }

    /// No batch follows: the shard ends when its queue is empty.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.arrived.notify_one();
    }

    /// The next batch; `None` at the end.
    async fn next(&self) -> Option<Batch> {
        loop {
            // Before the queue: what was pushed before the closing is seen.
            let is_closed = self.closed.load(Ordering::Acquire);
            let batch = self.queue.lock().pop_front();
            if batch.is_some() {
                return batch;
            }
            if is_closed {
                return None;
            }
            self.arrived.notified().await;
        }
    }
}

/// Batches kept for their memory.
const SPARE_BATCHES: usize = 64;

impl Shared {
    /// An empty batch.
    pub(crate) fn new_batch(&self) -> Batch {
        self.spare.lock().pop().unwrap_or_else(Batch::new)
    }

    fn recycle(&self, mut batch: Batch) {
        batch.clear();
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_BATCHES {
            spare.push(batch);
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Sends a shard's batches until its queue is closed and empty, or sending stops.
pub(crate) async fn run_shard(shared: Arc<Shared>, shard: Arc<Shard>, index: usize) {
    loop {
        let next = tokio::select! {
            biased;
            () = shared.hard_stop.cancelled() => return,
            next = shard.next() => next,
        };
        let Some(batch) = next else { return };
        shared.room.change();
        let (counts, end) = (batch.counts, batch.end);
        let Some(batch) = send(&shared, index, batch).await else {
            // Not done with: it is the first to be sent after the next start.
            return;
        };
        shared.metrics.done(counts);
        shared.progress.end_send(index, end);
        shared.room.change();
        shared.recycle(batch);
    }
}

/// How the sending of a batch ended.
enum Outcome {
    /// The receiver answered for good.
    Answered(Result<Written, (String, Written)>),
    /// Everything in it has become too old.
    Nothing,
    /// Sending stops.
    Stopped,
}

/// Sends a batch until the receiver has it or refuses it. `None` when sending stops before.
async fn send(shared: &Arc<Shared>, index: usize, batch: Batch) -> Option<Batch> {
    let begin = Instant::now();
    let (batch, body) = encode(shared, index, batch).await;
    let (batch, counts, outcome) = match body {
        Ok(body) => attempt_until_answered(shared, index, batch, body).await,
        Err(message) => {
            let outcome = Outcome::Answered(Err((message, None)));
            let counts = batch.counts;
            (batch, counts, outcome)
        }
    };
    let result = match outcome {
        Outcome::Stopped => return None,
        Outcome::Nothing => Ok(None),
        Outcome::Answered(result) => result,
    };
    report(shared, counts, &result);
    // Whatever became of it: this is how long so much takes.
    shared.sent_rate.add(batch.counts.total());
    let nanos = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
    shared.busy_rate.add(nanos);
    shared
        .last_send_ms
        .store(super::now_ms(), Ordering::Relaxed);
    Some(batch)
}

async fn attempt_until_answered(
    shared: &Arc<Shared>,
    index: usize,
    mut batch: Batch,
    mut body: Body,
) -> (Batch, Counts, Outcome) {
    let (mut backoff, longest) = shared.settings.backoff;
    for attempt in 0.. {
        if is_old(shared, body.oldest) {
            let again = encode(shared, index, batch).await;
            batch = again.0;
            match again.1 {
                Ok(without_old) => body = without_old,
                Err(message) => {
                    return (batch, body.counts, Outcome::Answered(Err((message, None))));
                }
            }
        }
        let counts = body.counts;
        if counts.total() == 0 {
            return (batch, counts, Outcome::Nothing);
        }
        shared.metrics.sent(counts, body.metadata);
        let begin = Instant::now();
        let endpoint = shared.endpoint.load_full();
        let span = span_of_attempt(shared, &body, attempt);
        let stored = tokio::select! {
            biased;
            () = shared.hard_stop.cancelled() => return (batch, counts, Outcome::Stopped),
            stored = span.around(endpoint.store(body.bytes.clone(), attempt)) => stored,
        };
        shared
            .metrics
            .send_seconds
            .observe(begin.elapsed().as_secs_f64());
        let stored = checked(shared, counts, stored);
        if let Err(StoreError::Fatal { message, .. } | StoreError::Recoverable { message, .. }) =
            &stored
        {
            span.record_error(message);
        }
        drop(span);
        if shared.settings.failed_request_logging && stored.is_err() {
            log_request(shared, &batch);
        }
        let (message, wait) = match stored {
            Ok(written) => {
                sent(shared, &body);
                return (batch, counts, Outcome::Answered(Ok(written)));
            }
            Err(StoreError::Fatal { message, written }) => {
                sent(shared, &body);
                return (batch, counts, Outcome::Answered(Err((message, written))));
            }
            Err(StoreError::Recoverable {
                message,
                retry_after,
            }) => (message, retry_after.unwrap_or(backoff)),
        };
        if shared.keeps_rest.load(Ordering::Relaxed) {
            return (batch, counts, Outcome::Stopped);
        }
        hold_shards(shared, wait * 2);
        tokio::select! {
            () = shared.hard_stop.cancelled() => return (batch, counts, Outcome::Stopped),
            () = tokio::time::sleep(wait) => {}
        }
        shared.metrics.retried(counts);
        warn_throttled(shared, &message, attempt);
        backoff = (wait * 2).min(longest);
    }
    unreachable!("attempts are endless");
}

/// The span of one request.
fn span_of_attempt(shared: &Shared, body: &Body, attempt: u32) -> Span {
    let none_above = Context::new();
    let span = shared
        .traces
        .start("Remote Send Batch", SpanKind::Internal, &none_above);
    span.set(|| {
        let number = |name, n: u64| KeyValue::new(name, i64::try_from(n).unwrap_or(i64::MAX));
        let Counts {
            samples,
            histograms,
            exemplars,
        } = body.counts;
        let mut attributes = vec![
            number("request_size", body.bytes.len() as u64),
            number("samples", samples),
            number("try", attempt.into()),
            KeyValue::new("remote_name", shared.settings.name.clone()),
            KeyValue::new("remote_url", shared.settings.endpoint.clone()),
        ];
        for (name, n) in [("exemplars", exemplars), ("histograms", histograms)] {
            if n > 0 {
                attributes.push(number(name, n));
            }
        }
        attributes
    });
    span
}

/// A receiver of version 1 takes a request of version 2 for an empty one and answers 2xx: nothing is written then.
fn checked(
    shared: &Shared,
    counts: Counts,
    stored: Result<Written, StoreError>,
) -> Result<Written, StoreError> {
    let written = stored?;
    if shared.settings.message == Message::V2 && written.unwrap_or_default().total() == 0 {
        let (sent, got) = (counts, written.unwrap_or_default());
        return Err(StoreError::Fatal {
            message: format!(
                "sent v2 request with {} samples, {} histograms and {} exemplars; got 2xx, but PRW 2.0 response header statistics indicate {} samples, {} histograms and {} exemplars were accepted; assuming failure, e.g. the target only supports PRW 1.0 prometheus.WriteRequest, but does not check the Content-Type header correctly",
                sent.samples,
                sent.histograms,
                sent.exemplars,
                got.samples,
                got.histograms,
                got.exemplars
            ),
            written: Some(got),
        });
    }
    Ok(written)
}

/// Tells what is in a request that failed, for those who asked for it.
fn log_request(shared: &Shared, batch: &Batch) {
    if !tracing::enabled!(tracing::Level::DEBUG) || shared.settings.message != Message::V2 {
        return;
    }
    let catalog = shared.catalog.read();
    let items = batch.items.iter().map(|item| {
        let name = catalog.describe(item.slot);
        format!("{name} {} @{}", item.v, item.t)
    });
    let request: Vec<String> = items.collect();
    tracing::debug!(
        remote_name = shared.settings.name,
        ?request,
        "failed to send a remote write 2.0 request"
    );
}

/// The receiver dealt with a request.
fn sent(shared: &Shared, body: &Body) {
    shared.metrics.bytes.add(body.bytes.len() as f64);
    let newest = body.newest.div_euclid(1000) as f64;
    if newest > shared.metrics.newest_sent.get() {
        shared.metrics.newest_sent.set(newest);
    }
}

/// Counts and tells what the receiver did not take.
fn report(shared: &Shared, counts: Counts, result: &Result<Written, (String, Written)>) {
    let settings = &shared.settings;
    let (written, error) = match result {
        // Without a count of its own the receiver's status stands for all.
        Ok(written) => (written.unwrap_or(counts), None),
        Err((message, written)) => (written.unwrap_or_default(), Some(message)),
    };
    let missing = Counts {
        samples: counts.samples.saturating_sub(written.samples),
        histograms: counts.histograms.saturating_sub(written.histograms),
        exemplars: counts.exemplars.saturating_sub(written.exemplars),
    };
    shared.metrics.failed(missing);
    match error {
        Some(error) => tracing::error!(
            remote_name = settings.name,
            url = settings.endpoint,
            samples = missing.samples,
            histograms = missing.histograms,
            exemplars = missing.exemplars,
            error,
            "the receiver refuses a request for good"
        ),
        None if missing.total() > 0 => tracing::error!(
            remote_name = settings.name,
            url = settings.endpoint,
            samples = missing.samples,
            histograms = missing.histograms,
            exemplars = missing.exemplars,
            "the receiver answers 2xx but says that it has not written everything"
        ),
        None => {}
    }
}

/// Once per power of two of attempts: a receiver that is down for hours makes few lines.
fn warn_throttled(shared: &Shared, message: &str, attempt: u32) {
    if (attempt + 1).is_power_of_two() {
        tracing::warn!(
            remote_name = shared.settings.name,
            url = shared.settings.endpoint,
            error = message,
            attempts = attempt + 1,
            "failed to send a batch, retrying"
        );
    }
}

fn hold_shards(shared: &Shared, time: Duration) {
    let until = Instant::now() + time;
    let mut hold = shared.hold_shards.lock();
    *hold = Some(hold.map_or(until, |before| before.max(until)));
}

/// The oldest time that may be sent now.
pub(crate) fn oldest_ms(settings: &WriteSettings) -> Option<i64> {
    let limit = settings.sample_age_limit?;
    let limit = i64::try_from(limit.as_millis()).unwrap_or(i64::MAX);
    Some(super::now_ms().saturating_sub(limit))
}

fn is_old(shared: &Shared, t: i64) -> bool {
    oldest_ms(&shared.settings).is_some_and(|oldest| t < oldest)
}

/// Notes that the batch leaves and makes its body, off the async threads.
async fn encode(shared: &Arc<Shared>, index: usize, batch: Batch) -> (Batch, Result<Body, String>) {
    let own = Arc::clone(shared);
    let work = move || {
        own.progress.begin_send(index, batch.end);
        let mut writer = own.writers.lock().pop().unwrap_or_default();
        let oldest = oldest_ms(&own.settings);
        let body = writer.write(&batch, &own.catalog.read(), oldest);
        own.writers.lock().push(writer);
        if let Ok(body) = &body {
            own.metrics.dropped(body.too_old, Reason::TooOld);
        }
        (batch, body.map_err(|error| error.to_string()))
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // A panic is a bug of ours; the batch went with it.
        Err(error) => (
            Batch::new(),
            Err(format!("encoding ended abnormally: {error}")),
        ),
    }
}
