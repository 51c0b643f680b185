//! When a group is evaluated, and the task that does it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh64::xxh64;

use super::Group;
use crate::time::{Time, nanos};

/// The latest moment at or before a time at which a group is evaluated. These slots are an interval apart, at an
/// offset that the hash of file and name gives. `interval` must not be zero.
#[must_use]
pub fn slot(file: &str, name: &str, interval: Duration, now: Time) -> Time {
    let interval = nanos(interval).max(1);
    let offset = i64::try_from(hash(file, name) % interval.unsigned_abs()).unwrap_or(0);
    let adjusted = now.0 - offset;
    // Go's remainder of a negative time would be negative; there are none.
    Time(adjusted - adjusted.rem_euclid(interval) + offset)
}

/// Prometheus' own hash of a group: xxHash of its labels `file` and `name` as Prometheus packs them. The same file on
/// both servers is therefore evaluated at the same moments.
fn hash(file: &str, name: &str) -> u64 {
    let mut packed = Vec::new();
    for text in ["file", file, "name", name] {
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
        if len[0] < 255 && len[1..] == [0; 3] {
            packed.push(len[0]);
        } else {
            packed.extend([255, len[0], len[1], len[2]]);
        }
        packed.extend(text.bytes());
    }
    xxh64(&packed, 0)
}

impl Group {
    /// The latest slot at or before a time.
    pub(crate) fn slot(&self, now: Time) -> Time {
        slot(&self.key.file, &self.key.name, self.interval, now)
    }

    /// Evaluates the group at each of its slots until it is stopped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut at = self.slot(Time::now()).after(self.interval);
        let wait = Duration::from_nanos(at.since(Time::now()).max(0).unsigned_abs());
        tokio::select! {
            () = self.stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let mut tick = tokio::time::interval(self.interval);
        // A late group leaves slots out and keeps its place.
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        tick.tick().await;
        self.iterate(at).await;
        // The second evaluation sees what recording rules wrote in the first; only then alerts are restored.
        let mut restores = self.should_restore();
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let missed = Time::now().since(at) / nanos(self.interval) - 1;
            let missed = u32::try_from(missed).unwrap_or(0);
            self.metrics.missed.add(missed.into());
            self.metrics.iterations.add(missed.into());
            at = at.after(self.interval * (missed + 1));
            self.iterate(at).await;
            if restores && !self.stop.is_cancelled() {
                let group = Arc::clone(&self);
                off_thread(move || group.restore(Time::now())).await;
                restores = false;
            }
        }
    }

    /// One evaluation with its metrics, on a blocking thread.
    async fn iterate(self: &Arc<Self>, at: Time) {
        self.metrics.iterations.inc();
        let (began, clock) = (Time::now(), Instant::now());
        let group = Arc::clone(self);
        off_thread(move || group.evaluate(at)).await;
        self.finished(began, clock.elapsed());
    }

    fn finished(&self, began: Time, took: Duration) {
        let shared = &self.context.metrics;
        shared.iteration.observe(took.as_secs_f64());
        shared.iteration_histogram.observe(took.as_secs_f64());
        let times = self.rules.iter().map(|r| r.status().evaluation_time);
        let sum: Duration = times.sum();
        self.metrics.rule_duration_sum.set(sum.as_secs_f64());
        self.metrics.last_duration.set(took.as_secs_f64());
        self.metrics.last_evaluation.set(began.0 as f64 / 1e9);
        let mut times = self.times.lock();
        times.evaluation_time = took;
        times.last_evaluation = Some(began);
    }

    /// After the group's task has ended for good: waits two intervals, so that a renamed rule can go on with its
    /// series, and ends the others. Not when the process ends before.
    pub(crate) async fn end(self: Arc<Self>, shutdown: CancellationToken) {
        let now = Time::now();
        self.abandon_series();
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(2 * self.interval) => {}
        }
        off_thread(move || self.end_stale_series(now)).await;
    }

    /// Ends the group after the rule under evaluation; with `cancel` that rule's query ends, too.
    pub(crate) fn stop(&self, cancel: bool) {
        self.stop.cancel();
        if cancel {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }
}

async fn off_thread(work: impl FnOnce() + Send + 'static) {
    if let Err(error) = tokio::task::spawn_blocking(work).await {
        // A panic is a bug of ours; the group goes on with its next slot.
        tracing::error!(%error, "rule group evaluation ended abnormally");
    }
}
