//! Running queries: the engine, the limit on how many run at once, the way to stop one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bellwether_promql::ast::Expr;
use bellwether_promql::{
    Engine, EngineOptions, ParseOptions, QueryError, QueryOptions, QueryResult,
};
use bellwether_telemetry::{Counter, Gauge, Registry, Summary};
use bellwether_tsdb::Db;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::flags::{Feature, Features};
use crate::settings::QuerySettings;

/// What to evaluate.
#[derive(Clone, Debug)]
pub(crate) enum QueryKind {
    /// At one time (milliseconds).
    Instant(i64),
    /// At `start, start + step, ... <= end` (milliseconds).
    Range { start: i64, end: i64, step: i64 },
}

/// Times of one query, for `stats`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct QueryTimes {
    pub(crate) queued: Duration,
    pub(crate) evaluated: Duration,
}

/// Evaluates queries on blocking threads, at most so many at one time.
pub(crate) struct Queries {
    db: Arc<Db>,
    engine: ArcSwap<Engine>,
    options: EngineOptions,
    slots: Arc<Semaphore>,
    metrics: QueryMetrics,
}

struct QueryMetrics {
    running: Gauge,
    inner_eval: Summary,
    queue: Summary,
    samples: Counter,
}

impl QueryMetrics {
    fn new(registry: &Registry, concurrency: usize) -> Self {
        const QUANTILES: &[f64] = &[0.5, 0.9, 0.99];
        let slice = |name| {
            registry.summary(
                "prometheus_engine_query_duration_seconds",
                "Query timings",
                &[("slice", name)],
                QUANTILES,
            )
        };
        registry
            .gauge(
                "prometheus_engine_queries_concurrent_max",
                "The max number of concurrent queries.",
                &[],
            )
            .set(concurrency as f64);
        Self {
            running: registry.gauge(
                "prometheus_engine_queries",
                "The current number of queries being executed or waiting.",
                &[],
            ),
            inner_eval: slice("inner_eval"),
            queue: slice("queue_time"),
            samples: registry.counter(
                "prometheus_engine_query_samples_total",
                "The total number of samples loaded by all queries.",
                &[],
            ),
        }
    }
}

/// Tells a running evaluation to stop when the request's future is dropped: the client went away.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Running<'a>(&'a Gauge);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Which parts of PromQL are on.
pub(crate) fn parse_options(features: &Features) -> ParseOptions {
    ParseOptions {
        experimental_functions: features.has(Feature::PromqlExperimentalFunctions),
        extended_range_selectors: features.has(Feature::PromqlExtendedRangeSelectors),
        fill_modifiers: features.has(Feature::PromqlBinopFillModifiers),
        ..ParseOptions::default()
    }
}

impl Queries {
    pub(crate) fn new(
        db: Arc<Db>,
        settings: &QuerySettings,
        features: &Features,
        registry: &Registry,
    ) -> Self {
        let options = EngineOptions {
            lookback_ms: millis(settings.lookback),
            max_samples: settings.max_samples,
            timeout: settings.timeout,
            default_subquery_step_ms: 60_000,
            delayed_name_removal: features.has(Feature::PromqlDelayedNameRemoval),
            parse: parse_options(features),
            ..EngineOptions::default()
        };
        Self {
            db,
            engine: ArcSwap::from_pointee(Engine::new(options.clone())),
            options,
            slots: Arc::new(Semaphore::new(settings.max_concurrency)),
            metrics: QueryMetrics::new(registry, settings.max_concurrency),
        }
    }

    /// Takes over a new default step of sub-queries: the global evaluation interval.
    pub(crate) fn set_subquery_step(&self, step_ms: i64) {
        let options = EngineOptions {
            default_subquery_step_ms: step_ms,
            ..self.options.clone()
        };
        self.engine.store(Arc::new(Engine::new(options)));
    }

    pub(crate) fn parse_options(&self) -> ParseOptions {
        self.options.parse
    }

    pub(crate) fn lookback_ms(&self) -> i64 {
        self.options.lookback_ms
    }

    /// Waits for a free slot and evaluates a rule's expression on this thread, which must not be an async one.
    pub(crate) fn run_here(
        &self,
        runtime: &tokio::runtime::Handle,
        expr: &Expr,
        at_ms: i64,
        cancel: &Arc<AtomicBool>,
    ) -> Result<QueryResult, QueryError> {
        self.metrics.running.inc();
        let _running = Running(&self.metrics.running);
        let arrived = Instant::now();
        let _slot = runtime.block_on(self.slot_unless(cancel))?;
        let queued = arrived.elapsed();
        self.metrics.queue.observe(queued.as_secs_f64());
        let options = QueryOptions {
            timeout: Some(self.options.timeout.saturating_sub(queued)),
            cancel: Some(Arc::clone(cancel)),
            ..QueryOptions::default()
        };
        let started = Instant::now();
        let engine = self.engine.load_full();
        let result = engine.instant_expr(&*self.db, expr, at_ms, &options);
        let evaluated = started.elapsed();
        self.metrics.inner_eval.observe(evaluated.as_secs_f64());
        if let Ok(result) = &result {
            self.metrics.samples.add(result.stats.total_samples as f64);
        }
        result
    }

    /// A free slot; gives up after the time limit, and soon when `cancel` is set.
    async fn slot_unless(&self, cancel: &AtomicBool) -> Result<SemaphorePermit<'_>, QueryError> {
        /// Nobody wakes a waiting rule when the flag is set.
        const LOOK_INTERVAL: Duration = Duration::from_millis(50);
        let mut look = tokio::time::interval(LOOK_INTERVAL);
        let wait = tokio::time::sleep(self.options.timeout);
        tokio::pin!(wait);
        let acquire = self.slots.acquire();
        tokio::pin!(acquire);
        loop {
            tokio::select! {
                biased;
                slot = &mut acquire => return Ok(slot.expect("the semaphore is never closed")),
                () = &mut wait => return Err(QueryError::Timeout("query queue")),
                _ = look.tick() => {
                    if cancel.load(Ordering::Relaxed) {
                        return Err(QueryError::Canceled("query queue"));
                    }
                }
            }
        }
    }

    /// The engine with the options in force.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }

    /// Waits for a free slot and evaluates on a blocking thread. The time limit covers the waiting. Dropping the
    /// future stops the evaluation.
    pub(crate) async fn run(
        &self,
        text: String,
        kind: QueryKind,
        timeout: Option<Duration>,
        lookback_ms: Option<i64>,
    ) -> Result<(QueryResult, QueryTimes), QueryError> {
        self.metrics.running.inc();
        let _running = Running(&self.metrics.running);
        let limit = timeout
            .unwrap_or(self.options.timeout)
            .min(self.options.timeout);
        let arrived = Instant::now();
        let slot = tokio::time::timeout(limit, Arc::clone(&self.slots).acquire_owned())
            .await
            .map_err(|_| QueryError::Timeout("query queue"))?
            .expect("the semaphore is never closed");
        let queued = arrived.elapsed();
        self.metrics.queue.observe(queued.as_secs_f64());
        let cancel = Arc::new(AtomicBool::new(false));
        let guard = CancelOnDrop(Arc::clone(&cancel));
        let options = QueryOptions {
            lookback_ms,
            timeout: Some(limit.saturating_sub(queued)),
            cancel: Some(cancel),
        };
        let (engine, db) = (self.engine.load_full(), Arc::clone(&self.db));
        let started = Instant::now();
        let result = tokio::task::spawn_blocking(move || {
            // The slot is held by the work, not by the waiting request: a cancelled query counts until it ends.
            let _slot = slot;
            match kind {
                QueryKind::Instant(t) => engine.instant(&*db, &text, t, &options),
                QueryKind::Range { start, end, step } => {
                    engine.range(&*db, &text, start, end, step, &options)
                }
            }
        })
        .await;
        drop(guard);
        let evaluated = started.elapsed();
        self.metrics.inner_eval.observe(evaluated.as_secs_f64());
        let result = result.unwrap_or_else(|error| {
            // A panic in the evaluator is a bug of ours; one query fails, the server goes on.
            tracing::error!(%error, "query evaluation ended abnormally");
            Err(QueryError::Execution(
                "unexpected error in query evaluation".to_owned(),
            ))
        })?;
        self.metrics.samples.add(result.stats.total_samples as f64);
        Ok((result, QueryTimes { queued, evaluated }))
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
