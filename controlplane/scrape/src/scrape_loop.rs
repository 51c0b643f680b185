//! The task of one target: wait for the slot, fetch, parse and append, report.
//!
//! States: *running* (scrapes on schedule, picks up a new [`LoopSpec`] at its next wake-up) -> *removed* (waits
//! for two more intervals, as Prometheus does, so that a target that only flickered is not interrupted, then
//! writes stale markers) -> ended. A shutdown of the process ends it at once, without stale markers: the next
//! process goes on where this one stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bellwether_model::storage::{AppendError, Appendable};
use bellwether_telemetry::Summary;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::append::{PageContext, PageError, PageStats, TargetMemory};
use crate::client::{FetchError, Fetched, HttpClient, fetch_in_time};
use crate::config::PoolSettings;
use crate::metrics::ScrapeMetrics;
use crate::protocol::FormatError;
use crate::report::{Extra, Report};
use crate::snapshot::Health;
use crate::target::{LastScrape, TargetSpec, TargetState};

/// Scrape times this close to their slot are taken as the slot's time, which makes samples compress better.
const ALIGN_TOLERANCE: Duration = Duration::from_millis(2);
/// First scrapes are spread over this time when they need not wait for their slot.
const FAST_FIRST_SPREAD_MS: u64 = 500;

/// What a loop works by; replaced as a whole at a reload.
#[derive(Clone, Debug)]
pub(crate) struct LoopSpec {
    pub(crate) settings: Arc<PoolSettings>,
    pub(crate) client: HttpClient,
    pub(crate) target: Arc<TargetSpec>,
    /// Set when the pool has too many targets: every scrape fails with it.
    pub(crate) forced_error: Option<String>,
}

/// One target's task.
pub(crate) struct ScrapeLoop {
    pub(crate) storage: Arc<dyn Appendable>,
    pub(crate) state: Arc<TargetState>,
    pub(crate) metrics: ScrapeMetrics,
    /// Has the threads for blocking work.
    pub(crate) runtime: Handle,
    /// Shared by all loops: a permit is for the thread that parses and stores a large page.
    pub(crate) workers: Arc<Semaphore>,
    pub(crate) spec: watch::Receiver<LoopSpec>,
    /// Place in the interval.
    pub(crate) hash: u64,
    pub(crate) fast_first: bool,
    /// A commit may take as long as the disk does.
    pub(crate) commits_wait: bool,
    /// The target is gone.
    pub(crate) removed: CancellationToken,
    /// The process ends.
    pub(crate) shutdown: CancellationToken,
}

/// Why a scrape failed.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("{0}")]
    Forced(String),
    #[error("the scrape's worker broke down")]
    Worker,
}

/// Milliseconds since the epoch.
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// The first moment after `now_ms` that belongs to the target: the same offset into each interval since the
/// epoch, whenever the process started.
fn next_slot(now_ms: i64, interval: Duration, hash: u64) -> i64 {
    let interval = i64::try_from(interval.as_millis())
        .unwrap_or(i64::MAX)
        .max(1);
    let offset = (hash % interval.unsigned_abs()).cast_signed();
    let base = now_ms - now_ms.rem_euclid(interval) + offset;
    if base > now_ms { base } else { base + interval }
}

/// The slot's time when the scrape starts within the tolerance of it.
fn align(now_ms: i64, slot_ms: i64, interval: Duration) -> i64 {
    let tolerance = ALIGN_TOLERANCE.min(interval / 100).as_millis();
    if u128::from(now_ms.abs_diff(slot_ms)) <= tolerance {
        slot_ms
    } else {
        now_ms
    }
}

/// Extra scrapes after a fast first one, in milliseconds after it: a rate needs two samples, and nobody who has
/// just started a stack wants to wait an interval for the second.
const WARM_UP_MS: [i64; 3] = [1_500, 3_000, 4_500];

/// The extra scrapes that are still to come, the next one last.
struct WarmUp(Vec<i64>);

impl WarmUp {
    fn new(fast_first: bool, first_slot: i64) -> Self {
        let slots = WARM_UP_MS.iter().rev().map(|ms| first_slot + ms);
        Self(if fast_first {
            slots.collect()
        } else {
            Vec::new()
        })
    }

    fn is_active(&self) -> bool {
        !self.0.is_empty()
    }

    /// The next extra slot, or the regular one when that comes first.
    fn next(&mut self, now_ms: i64, regular: i64) -> i64 {
        while let Some(&slot) = self.0.last() {
            if slot >= regular {
                return regular;
            }
            self.0.pop();
            if slot > now_ms {
                return slot;
            }
        }
        regular
    }
}

impl ScrapeLoop {
    pub(crate) async fn run(mut self) {
        let mut memory = Box::<TargetMemory>::default();
        let mut spec = self.spec.borrow_and_update().clone();
        let mut slot = if self.fast_first {
            now_ms() + (self.hash % FAST_FIRST_SPREAD_MS).cast_signed()
        } else {
            next_slot(now_ms(), spec.target.interval, self.hash)
        };
        let mut warm_up = WarmUp::new(self.fast_first, slot);
        let mut last_start: Option<Instant> = None;
        let mut lengths: Option<(Duration, Summary)> = None;
        let mut last_size = 0;
        loop {
            tokio::select! {
                () = self.shutdown.cancelled() => return,
                () = self.removed.cancelled() => break,
                () = sleep_until(slot) => {}
            }
            let new = self.spec.borrow_and_update().clone();
            if new.target.interval != spec.target.interval {
                last_start = None;
            }
            if !same_verdicts(&new, &spec) {
                memory.series.reset();
            }
            spec = new;
            let interval = spec.target.interval;
            let started = Instant::now();
            if let Some(last) = last_start.replace(started)
                && !warm_up.is_active()
            {
                let known = lengths.take().filter(|(of, _)| *of == interval);
                let (_, length) = lengths.insert(
                    known.unwrap_or_else(|| (interval, self.metrics.interval_length(interval))),
                );
                length.observe((started - last).as_secs_f64());
            }
            let time_ms = align(now_ms(), slot, interval);
            let Some(back) = self
                .scrape(&spec, memory, time_ms, started, &mut last_size)
                .await
            else {
                return;
            };
            memory = back;
            slot = warm_up.next(now_ms(), next_slot(now_ms().max(slot), interval, self.hash));
        }
        self.linger(&spec, memory, slot).await;
    }

    /// One scrape. `None` when the loop has to end: at a shutdown, or because the worker broke down and took
    /// the memory with it.
    async fn scrape(
        &self,
        spec: &LoopSpec,
        memory: Box<TargetMemory>,
        time_ms: i64,
        started: Instant,
        last_size: &mut usize,
    ) -> Option<Box<TargetMemory>> {
        let settings = &spec.settings;
        let fetched = match &spec.forced_error {
            Some(error) => Err(ScrapeError::Forced(error.clone())),
            None => {
                let fetch = fetch_in_time(
                    &spec.client,
                    &spec.target.url,
                    settings,
                    spec.target.timeout,
                    *last_size,
                );
                tokio::select! {
                    // A slow target must not hold up the end of the process.
                    () = self.shutdown.cancelled() => return None,
                    fetched = fetch => fetched.map_err(ScrapeError::from),
                }
            }
        };
        let work = Work {
            storage: Arc::clone(&self.storage),
            spec: spec.clone(),
            state: Arc::clone(&self.state),
            time_ms,
            started,
            size_hint: *last_size,
        };
        let is_small = fetched.as_ref().map_or(true, Fetched::is_small);
        let done = if is_small && !self.commits_wait {
            catch_unwind(AssertUnwindSafe(|| work.run(memory, fetched))).ok()
        } else {
            self.run_elsewhere(work, memory, fetched).await?
        };
        let Some(done) = done else {
            tracing::error!(url = %spec.target.url, error = %ScrapeError::Worker, "scrape loop ends");
            let mut last = self.state.last.lock();
            last.health = Health::Down;
            last.error = ScrapeError::Worker.to_string();
            return None;
        };
        if done.page_size > 0 {
            *last_size = done.page_size;
        }
        self.metrics.count(&done.stats);
        match &done.error {
            Some(ScrapeError::Page(PageError::SampleLimit)) => {
                self.metrics.exceeded_sample_limit.inc();
            }
            Some(ScrapeError::Fetch(FetchError::BodyTooLarge)) => {
                self.metrics.exceeded_body_size.inc();
            }
            _ => {}
        }
        if let Some(error) = &done.error {
            tracing::debug!(job = settings.job_name, url = %spec.target.url, %error, "scrape failed");
            log_failure(settings, &spec.target, error, time_ms).await;
        }
        Some(done.memory)
    }

    /// Parses and stores a page that takes milliseconds, on a thread of its own. `None` at a shutdown,
    /// nothing inside when the worker broke down.
    async fn run_elsewhere(
        &self,
        work: Work,
        memory: Box<TargetMemory>,
        fetched: Result<Fetched, ScrapeError>,
    ) -> Option<Option<Done>> {
        let permit = tokio::select! {
            () = self.shutdown.cancelled() => return None,
            permit = Arc::clone(&self.workers).acquire_owned() => permit,
        };
        let done = self.runtime.spawn_blocking(move || {
            let done = work.run(memory, fetched);
            drop(permit);
            done
        });
        Some(done.await.ok())
    }

    /// The target is gone: what it left becomes stale, unless the process ends first.
    async fn linger(&self, spec: &LoopSpec, mut memory: Box<TargetMemory>, next_slot_ms: i64) {
        let interval_ms = i64::try_from(spec.target.interval.as_millis()).unwrap_or(i64::MAX);
        // The marker stands where the next sample would have, written after the one behind it is due: a new
        // target with the same labels has written newer samples by then, and they make the marker void.
        let write_at = next_slot_ms
            .saturating_add(interval_ms)
            .saturating_add(interval_ms / 10);
        tokio::select! {
            () = self.shutdown.cancelled() => return,
            () = sleep_until(write_at) => {}
        }
        let storage = Arc::clone(&self.storage);
        let target = Arc::clone(&spec.target);
        let write = move || {
            let mut appender = storage.appender();
            crate::append::append_failure(&mut memory, &mut *appender, next_slot_ms);
            memory
                .report
                .write_stale(&mut *appender, &target.labels, next_slot_ms)?;
            appender.commit()
        };
        let result = self.runtime.spawn_blocking(write).await;
        if let Ok(Err(error)) = result {
            tracing::warn!(url = %spec.target.url, %error, "cannot write the stale markers of a removed target");
        }
    }
}

async fn sleep_until(at_ms: i64) {
    let wait = u64::try_from(at_ms - now_ms()).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(wait)).await;
}

/// Whether lines become the same series under both.
fn same_verdicts(a: &LoopSpec, b: &LoopSpec) -> bool {
    let (x, y) = (&a.settings, &b.settings);
    Arc::ptr_eq(x, y)
        || (x.honor_labels == y.honor_labels
            && x.metric_relabel == y.metric_relabel
            && x.validation == y.validation
            && x.label_limit == y.label_limit
            && x.label_name_length_limit == y.label_name_length_limit
            && x.label_value_length_limit == y.label_value_length_limit)
}

async fn log_failure(
    settings: &PoolSettings,
    target: &TargetSpec,
    error: &ScrapeError,
    time_ms: i64,
) {
    let Some(path) = &settings.failure_log else {
        return;
    };
    let line = serde_json::json!({
        "time_ms": time_ms,
        "level": "ERROR",
        "msg": error.to_string(),
        "job_name": settings.job_name,
        "target": target.url.to_string(),
    });
    let write = async {
        use tokio::io::AsyncWriteExt;
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .await?;
        file.write_all(format!("{line}\n").as_bytes()).await?;
        file.flush().await
    };
    if let Err(error) = write.await {
        tracing::warn!(file = %path.display(), %error, "cannot write the scrape failure log");
    }
}

/// The blocking part of a scrape.
struct Work {
    storage: Arc<dyn Appendable>,
    spec: LoopSpec,
    state: Arc<TargetState>,
    time_ms: i64,
    started: Instant,
    size_hint: usize,
}

struct Done {
    memory: Box<TargetMemory>,
    stats: PageStats,
    error: Option<ScrapeError>,
    page_size: usize,
}

impl Work {
    fn run(&self, mut memory: Box<TargetMemory>, fetched: Result<Fetched, ScrapeError>) -> Done {
        let LoopSpec {
            settings, client, ..
        } = &self.spec;
        let mut page_size = 0;
        let mut stats = PageStats::default();
        let page = fetched.and_then(|fetched| {
            let content_type = fetched.content_type.clone();
            let page = fetched.into_page(client, settings.body_size_limit, self.size_hint)?;
            page_size = page.len();
            let format =
                crate::protocol::negotiate(content_type.as_deref(), settings.fallback_protocol)?;
            Ok((page, format))
        });
        let mut appender = self.storage.appender();
        let result = page.and_then(|(page, format)| {
            let context = PageContext {
                settings,
                target_labels: &self.spec.target.labels,
                time_ms: self.time_ms,
            };
            let (counted, result) =
                crate::append::append_page(&context, &mut memory, &mut *appender, format, &page);
            client.give_back(page);
            stats = counted;
            result.map_err(ScrapeError::from)
        });
        if result.is_err() {
            appender.rollback();
            appender = self.storage.appender();
            crate::append::append_failure(&mut memory, &mut *appender, self.time_ms);
        }
        let duration = self.started.elapsed();
        let body_size = match &result {
            Err(ScrapeError::Fetch(FetchError::BodyTooLarge)) => -1,
            _ => i64::try_from(page_size).unwrap_or(i64::MAX),
        };
        let report = Report {
            up: result.is_ok(),
            duration,
            stats,
            extra: settings.extra_scrape_metrics.then_some(Extra {
                timeout: self.spec.target.timeout,
                sample_limit: settings.sample_limit,
                body_size,
            }),
            describe: settings.metadata_records,
        };
        let committed = memory
            .report
            .write(
                &mut *appender,
                &self.spec.target.labels,
                self.time_ms,
                &report,
            )
            .and_then(|()| appender.commit());
        if committed.is_err() {
            memory.metadata.lose();
            memory.report.lose();
        }
        let error = self.conclude(result, committed, duration);
        if let Some(metadata) = memory.metadata.take_changes() {
            self.state.metadata.store(Arc::new(metadata));
        }
        Done {
            memory,
            stats,
            error,
            page_size,
        }
    }

    /// Publishes the outcome.
    fn conclude(
        &self,
        scraped: Result<(), ScrapeError>,
        committed: Result<(), AppendError>,
        duration: Duration,
    ) -> Option<ScrapeError> {
        let error = match (scraped, committed) {
            (Err(error), _) => Some(error),
            (Ok(()), Err(error)) => {
                tracing::error!(url = %self.spec.target.url, %error, "cannot store a scrape");
                Some(ScrapeError::Page(PageError::Append(error)))
            }
            (Ok(()), Ok(())) => None,
        };
        *self.state.last.lock() = LastScrape {
            health: if error.is_none() {
                Health::Up
            } else {
                Health::Down
            },
            error: error.as_ref().map(ToString::to_string).unwrap_or_default(),
            start_ms: Some(self.time_ms),
            duration,
        };
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_fixed_to_the_clock() {
        let interval = Duration::from_secs(15);
        for (now, hash, want) in [
            (0, 0, 15_000),
            (0, 7_000, 7_000),
            (7_000, 7_000, 22_000),
            (100_001, 5, 105_005),
            (100_001, 15_000 * 9 + 5, 105_005),
        ] {
            assert_eq!(next_slot(now, interval, hash), want);
        }
    }

    #[test]
    fn a_warm_up_adds_scrapes_until_the_regular_slots_take_over() {
        let mut warm_up = WarmUp::new(true, 1_000);
        assert_eq!(warm_up.next(1_010, 9_000), 2_500);
        // A regular slot that comes first is kept.
        assert_eq!(warm_up.next(2_510, 3_000), 3_000);
        assert_eq!(warm_up.next(3_010, 13_000), 4_000);
        // A scrape that took long skips what is past.
        assert_eq!(warm_up.next(6_000, 13_000), 13_000);
        assert!(!warm_up.is_active());
        assert_eq!(WarmUp::new(false, 1_000).next(1_010, 9_000), 9_000);
    }

    #[test]
    fn near_times_are_aligned() {
        let interval = Duration::from_secs(15);
        assert_eq!(align(1_001, 1_000, interval), 1_000);
        assert_eq!(align(1_002, 1_000, interval), 1_000);
        assert_eq!(align(1_003, 1_000, interval), 1_003);
        // A hundredth of a short interval is less.
        assert_eq!(align(1_001, 1_000, Duration::from_millis(50)), 1_001);
    }
}
