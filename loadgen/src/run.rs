//! Running a load: the schedule, the places, the end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alarm::Alarm;
use crate::config::{LoadConfig, LoadError, Target};
use crate::connection::{Pool, TransportError};
use crate::operation::Draft;
use crate::record::Recorder;
use crate::report::{Progress, Report};

/// A load under way. Boxed, so that callers do not compile its inside again.
pub type LoadFuture = Pin<Box<dyn Future<Output = Result<Report, LoadError>> + Send>>;

/// Due requests dispatched in a row before other tasks get a turn. Matters
/// only when the schedule is behind, where no timer gives them one.
const DISPATCH_BATCH: u64 = 64;

/// Runs `config` until its duration is over or `shutdown` is cancelled, waits
/// for the requests in flight, and reports. `progress` is called once per
/// progress interval and must not block.
///
/// A target that cannot be reached is a result, not an error: see
/// [`Report::is_success`].
///
/// # Errors
/// Settings that cannot be used; nothing was sent then.
#[must_use = "the load runs only while this is polled"]
pub fn run(
    config: LoadConfig,
    progress: impl Fn(&Progress) + Send + Sync + 'static,
    shutdown: CancellationToken,
) -> LoadFuture {
    let progress: Box<dyn Fn(&Progress) + Send + Sync> = Box::new(progress);
    Box::pin(run_load(config, progress, shutdown))
}

async fn run_load(
    config: LoadConfig,
    progress: Box<dyn Fn(&Progress) + Send + Sync>,
    shutdown: CancellationToken,
) -> Result<Report, LoadError> {
    config.validate()?;
    let load = Load {
        pool: Arc::new(Pool::new(Target::parse(&config.target)?)),
        recorder: Arc::new(Recorder::new(&config, &config.mix)),
        places: Arc::new(Semaphore::new(config.in_flight_max)),
        requests: TaskTracker::new(),
        abort: CancellationToken::new(),
        alarm: Alarm::start().map_err(|error| LoadError::Thread(error.kind()))?,
        start: Instant::now(),
        config,
    };
    let (duration, interrupted) = tokio::select! {
        ended = load.dispatch_and_drain(&shutdown) => ended,
        never = load.tell_progress(&*progress) => match never {},
    };
    load.pool.close().await;
    let report = load
        .recorder
        .read(|records| Report::new(&load.config, records, duration, interrupted));
    Ok(report)
}

struct Load {
    config: LoadConfig,
    pool: Arc<Pool>,
    recorder: Arc<Recorder>,
    places: Arc<Semaphore>,
    /// Owns the requests in flight.
    requests: TaskTracker,
    /// Ends the requests that outlast the drain.
    abort: CancellationToken,
    alarm: Alarm,
    start: Instant,
}

impl Load {
    /// Returns how long requests were due, and whether that was cut short.
    async fn dispatch_and_drain(&self, shutdown: &CancellationToken) -> (Duration, bool) {
        let interrupted = self.dispatch(shutdown).await;
        let duration = match (interrupted, self.config.duration) {
            (false, Some(duration)) => duration,
            _ => self.start.elapsed(),
        };
        self.requests.close();
        let limit = if interrupted {
            self.config.drain_timeout
        } else {
            self.config.timeout
        };
        tokio::select! {
            () = self.requests.wait() => {}
            () = tokio::time::sleep(limit) => self.abort.cancel(),
            // A shutdown while the last answers are awaited shortens the wait.
            () = after(shutdown, self.config.drain_timeout), if !interrupted => self.abort.cancel(),
        }
        self.requests.wait().await;
        (duration, interrupted)
    }

    /// Sends requests as they become due. Returns true when it was shut down
    /// before the duration, if any, was over.
    async fn dispatch(&self, shutdown: &CancellationToken) -> bool {
        let mut rng = match self.config.seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => StdRng::from_os_rng(),
        };
        let mut schedule = self.config.schedule();
        for index in 0_u64.. {
            let offset = schedule.next_offset();
            if self.config.duration.is_some_and(|end| offset >= end) {
                break;
            }
            let due = self.start + offset;
            if due > Instant::now() {
                tokio::select! {
                    () = shutdown.cancelled() => return true,
                    () = self.alarm.wait_until(due.into_std()) => {}
                }
            } else if index % DISPATCH_BATCH == 0 {
                tokio::task::yield_now().await;
            }
            if shutdown.is_cancelled() {
                return true;
            }
            let route = self.config.mix.pick(&mut rng);
            let draft = self.config.mix.entries()[route].0.draft(&mut rng);
            self.launch(route, draft, due);
        }
        // The last request leaves before the duration is over.
        if let Some(end) = self.config.duration {
            tokio::select! {
                () = shutdown.cancelled() => return true,
                () = tokio::time::sleep_until(self.start + end) => {}
            }
        }
        false
    }

    fn launch(&self, route: usize, draft: Draft, due: Instant) {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            self.recorder.dropped(route);
            return;
        };
        self.recorder.sent(route, due.elapsed());
        self.requests.spawn(exchange(
            Arc::clone(&self.pool),
            Arc::clone(&self.recorder),
            self.abort.clone(),
            self.config.timeout,
            Request {
                route,
                draft,
                due,
                place,
            },
        ));
    }

    async fn tell_progress(&self, progress: &(dyn Fn(&Progress) + Send + Sync)) -> Never {
        let interval = self.config.progress_interval;
        let mut ticks = tokio::time::interval_at(self.start + interval, interval);
        // After a pause of the machine one progress is enough.
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut sent_before, mut last) = (0, self.start);
        loop {
            let now = ticks.tick().await.max(Instant::now());
            let state = self.recorder.read(|records| {
                Progress::new(
                    records,
                    now - self.start,
                    sent_before,
                    now.duration_since(last),
                )
            });
            (sent_before, last) = (state.sent, now);
            progress(&state);
        }
    }
}

/// A loop that never ends returns this.
enum Never {}

async fn after(shutdown: &CancellationToken, grace: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(grace).await;
}

struct Request {
    route: usize,
    draft: Draft,
    due: Instant,
    place: OwnedSemaphorePermit,
}

async fn exchange(
    pool: Arc<Pool>,
    recorder: Arc<Recorder>,
    abort: CancellationToken,
    timeout: Duration,
    request: Request,
) {
    let result = tokio::select! {
        answered = tokio::time::timeout(timeout, pool.exchange(request.draft)) => {
            answered.unwrap_or(Err(TransportError::Timeout))
        }
        () = abort.cancelled() => Err(TransportError::Aborted),
    };
    recorder.ended(request.route, result, request.due.elapsed());
    // The place is free only now, so that the bound covers the whole exchange.
    drop(request.place);
}
