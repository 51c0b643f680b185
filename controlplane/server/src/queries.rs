//! Running queries: the engine, the limit on how many run at once, the way to stop one.

mod admitted;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use bellwether_promql::ast::Expr;
use bellwether_promql::{
    Engine, EngineOptions, ParseOptions, QueryError, QueryOptions, QueryResult, QueryStats,
};
use bellwether_remote::reader::Fanout;
use bellwether_rules::RuleQuery;
use bellwether_telemetry::trace::{self, KeyValue};
use bellwether_telemetry::{Counter, Gauge, Registry, Summary};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::active_queries::ActiveQueries;
use crate::flags::{Feature, Features};
use crate::query_log::{LoggedQuery, Origin, QueryLog};
use crate::quick::{Question, Quick};
use crate::settings::QuerySettings;
use crate::state::now_ms;
use admitted::{Admitted, Records, by_step};

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

/// Samples that a query looked at by step: time in milliseconds and number.
pub(crate) type PerStep = Vec<(i64, u64)>;

impl QueryTimes {
    /// Prometheus' `stats`. The evaluation is one step here, so its parts that Prometheus times apart are zero.
    pub(crate) fn to_json(self, stats: QueryStats, per_step: &PerStep) -> serde_json::Value {
        let evaluated = self.evaluated.as_secs_f64();
        let mut json = serde_json::json!({
            "timings": {
                "evalTotalTime": evaluated,
                "resultSortTime": 0,
                "queryPreparationTime": 0,
                "innerEvalTime": evaluated,
                "execQueueTime": self.queued.as_secs_f64(),
                "execTotalTime": evaluated + self.queued.as_secs_f64(),
            },
            "samples": {
                "totalQueryableSamples": stats.total_samples,
                "peakSamples": stats.peak_samples,
            },
        });
        if !per_step.is_empty() {
            let steps = per_step.iter().map(|(t, n)| {
                let seconds = *t as f64 / 1000.0;
                // Whole seconds are written as such.
                let whole = (t % 1000 == 0).then(|| serde_json::Value::from(t / 1000));
                serde_json::json!([whole.unwrap_or_else(|| seconds.into()), n])
            });
            json["samples"]["totalQueryableSamplesPerStep"] = steps.collect();
        }
        json
    }
}

/// Evaluates queries, at most so many at one time, on blocking threads where they may take their time.
pub(crate) struct Queries {
    active: Arc<ActiveQueries>,
    log: ArcSwapOption<QueryLog>,
    per_step_stats: bool,
    storage: Arc<Fanout>,
    /// How long queries took.
    pub(crate) quick: Arc<Quick>,
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

impl QueryKind {
    /// Its extent without its place in time: steps and milliseconds from one to the next.
    fn shape(&self) -> (i64, i64) {
        match *self {
            Self::Instant(_) => (1, 0),
            Self::Range { start, end, step } => (end.saturating_sub(start) / step.max(1), step),
        }
    }
}

impl Queries {
    /// Blocks on the disk.
    ///
    /// # Errors
    /// When the file of active queries cannot be written.
    pub(crate) fn new(
        dir: &Path,
        storage: Arc<Fanout>,
        settings: &QuerySettings,
        features: &Features,
        registry: &Registry,
    ) -> std::io::Result<Self> {
        let options = EngineOptions {
            lookback_ms: millis(settings.lookback),
            max_samples: settings.max_samples,
            timeout: settings.timeout,
            default_subquery_step_ms: 60_000,
            delayed_name_removal: features.has(Feature::PromqlDelayedNameRemoval),
            type_and_unit_labels: features.has(Feature::TypeAndUnitLabels),
            parse: parse_options(features),
            ..EngineOptions::default()
        };
        Ok(Self {
            active: ActiveQueries::open(dir, settings.max_concurrency)?,
            log: ArcSwapOption::empty(),
            per_step_stats: features.has(Feature::PromqlPerStepStats),
            storage,
            quick: Arc::default(),
            engine: ArcSwap::from_pointee(Engine::new(options.clone())),
            options,
            slots: Arc::new(Semaphore::new(settings.max_concurrency)),
            metrics: QueryMetrics::new(registry, settings.max_concurrency),
        })
    }

    /// Opens the query log anew, also when its name stayed: it may have been moved away. No name, no log. Blocks on
    /// the disk.
    ///
    /// # Errors
    /// In words; then the log stays as it was.
    pub(crate) fn set_log(&self, path: Option<&Path>) -> Result<(), String> {
        let log = path
            .map(|path| {
                QueryLog::open(path).map_err(|e| {
                    format!("can't create json log file: open {}: {e}", path.display())
                })
            })
            .transpose()?;
        self.log.store(log.map(Arc::new));
        Ok(())
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

    /// Whether `stats=all` gives statistics of each step.
    pub(crate) fn counts_per_step(&self) -> bool {
        self.per_step_stats
    }

    pub(crate) fn lookback_ms(&self) -> i64 {
        self.options.lookback_ms
    }

    /// Waits for a free slot and evaluates a rule's expression on this thread, which must not be an async one.
    pub(crate) fn run_here(
        &self,
        runtime: &tokio::runtime::Handle,
        query: RuleQuery<'_>,
    ) -> Result<QueryResult, QueryError> {
        trace::set_on_current(|| vec![query_attribute(query.expr)]);
        let exec = trace::span("promqlExec");
        let _exec = exec.enter();
        self.metrics.running.inc();
        let _running = Running(&self.metrics.running);
        let arrived = Instant::now();
        let queueing = trace::span("promqlExecQueue");
        let _slot = match self.slots.try_acquire() {
            Ok(slot) => slot,
            Err(_) => runtime.block_on(self.slot_unless(query.cancel))?,
        };
        drop(queueing);
        let queued = arrived.elapsed();
        self.metrics.queue.observe(queued.as_secs_f64());
        let options = QueryOptions {
            timeout: Some(self.options.timeout.saturating_sub(queued)),
            cancel: Some(Arc::clone(query.cancel)),
            ..QueryOptions::default()
        };
        let started = Instant::now();
        let engine = self.engine.load_full();
        let noted = self.active.begin(query.text, now_ms() / 1000);
        let result =
            evaluating(|| engine.instant_expr(&*self.storage, query.expr, query.at_ms, &options));
        drop(noted);
        let evaluated = started.elapsed();
        self.metrics.inner_eval.observe(evaluated.as_secs_f64());
        let stats = result.as_ref().map(|r| r.stats).unwrap_or_default();
        self.metrics.samples.add(stats.total_samples as f64);
        if let Some(log) = self.log.load_full() {
            let group = (query.file.to_owned(), query.group.to_owned());
            log.write(&LoggedQuery {
                text: query.text,
                kind: &QueryKind::Instant(query.at_ms),
                times: QueryTimes { queued, evaluated },
                stats,
                per_step: None,
                error: result.as_ref().err().map(ToString::to_string),
                origin: &Origin {
                    rule_group: Some(group),
                    ..Origin::default()
                },
            });
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

    /// Waits for a free slot and evaluates, on a blocking thread unless the answer is expected at once. The time limit
    /// covers the waiting. Dropping the future stops the evaluation.
    pub(crate) async fn run(
        &self,
        text: String,
        kind: QueryKind,
        timeout: Option<Duration>,
        lookback_ms: Option<i64>,
        how: (Origin, bool),
    ) -> Result<(QueryResult, QueryTimes, PerStep), QueryError> {
        trace::set_on_current(|| {
            let parsed = self.engine.load().parse(&text);
            parsed.iter().map(query_attribute).collect()
        });
        let exec = trace::span("promqlExec");
        exec.around(self.execute(text, kind, timeout, lookback_ms, how))
            .await
    }

    async fn execute(
        &self,
        text: String,
        kind: QueryKind,
        timeout: Option<Duration>,
        lookback_ms: Option<i64>,
        (origin, per_step): (Origin, bool),
    ) -> Result<(QueryResult, QueryTimes, PerStep), QueryError> {
        self.metrics.running.inc();
        let _running = Running(&self.metrics.running);
        let limit = timeout
            .unwrap_or(self.options.timeout)
            .min(self.options.timeout);
        let arrived = Instant::now();
        let queueing = trace::span("promqlExecQueue");
        let slot = tokio::time::timeout(limit, Arc::clone(&self.slots).acquire_owned()).await;
        drop(queueing);
        let log = self.log.load_full();
        let Ok(slot) = slot else {
            let error = QueryError::Timeout("query queue");
            if let Some(log) = log {
                let told = error.to_string();
                let queued = arrived.elapsed();
                tokio::task::spawn_blocking(move || {
                    log.write(&LoggedQuery {
                        text: &text,
                        kind: &kind,
                        times: QueryTimes {
                            queued,
                            ..QueryTimes::default()
                        },
                        stats: QueryStats::default(),
                        per_step: None,
                        error: Some(told),
                        origin: &origin,
                    });
                });
            }
            return Err(error);
        };
        let slot = slot.expect("the semaphore is never closed");
        let queued = arrived.elapsed();
        self.metrics.queue.observe(queued.as_secs_f64());
        let question = Question::of(&(&text, kind.shape(), lookback_ms));
        let started = Instant::now();
        let admitted = Admitted {
            text,
            kind,
            lookback_ms,
            limit: limit.saturating_sub(queued),
            engine: self.engine.load_full(),
            storage: Arc::clone(&self.storage),
        };
        let plain = log.is_none() && !per_step;
        let at_once = match plain && self.may_answer_at_once(question) {
            true => self.evaluate_at_once(&admitted, question),
            false => None,
        };
        let result = match at_once {
            Some(result) => result.map(|result| (result, PerStep::new())),
            None => {
                let records = Records {
                    log,
                    origin,
                    per_step,
                    queued,
                };
                self.evaluate_apart(admitted, question, records, slot).await
            }
        };
        let evaluated = started.elapsed();
        self.metrics.inner_eval.observe(evaluated.as_secs_f64());
        let (result, steps) = result?;
        self.metrics.samples.add(result.stats.total_samples as f64);
        Ok((result, QueryTimes { queued, evaluated }, steps))
    }

    /// Whether the answer to a question is expected so soon that it may be found on an async thread.
    pub(crate) fn may_answer_at_once(&self, question: Question) -> bool {
        // Other systems may keep us waiting.
        !self.storage.has_remotes() && self.quick.expects(question)
    }

    /// Evaluates on this async thread. `None` when that takes too long after all. Such an evaluation is not noted in
    /// the file of active queries, for which it would have to wait: it ends before it could do any harm.
    fn evaluate_at_once(
        &self,
        admitted: &Admitted,
        question: Question,
    ) -> Option<Result<QueryResult, QueryError>> {
        /// Long enough that a disturbance does not matter, and short enough to be one.
        const PATIENCE: Duration = Duration::from_millis(1);
        let options = QueryOptions {
            lookback_ms: admitted.lookback_ms,
            timeout: Some(admitted.limit.min(PATIENCE)),
            ..QueryOptions::default()
        };
        let evaluate = || evaluating(|| admitted.evaluate(&options));
        match self.quick.here(question, evaluate)? {
            Err(QueryError::Timeout(_)) => None,
            result => Some(result),
        }
    }

    /// Evaluates on a blocking thread.
    async fn evaluate_apart(
        &self,
        admitted: Admitted,
        question: Question,
        records: Records,
        slot: OwnedSemaphorePermit,
    ) -> Result<(QueryResult, PerStep), QueryError> {
        let cancel = Arc::new(AtomicBool::new(false));
        let _guard = CancelOnDrop(Arc::clone(&cancel));
        let options = QueryOptions {
            lookback_ms: admitted.lookback_ms,
            timeout: Some(admitted.limit),
            cancel: Some(cancel),
            per_step: records.per_step,
        };
        let (active, quick) = (Arc::clone(&self.active), Arc::clone(&self.quick));
        let work = trace::carry(move || {
            // The slot is held by the work, not by the waiting request: a cancelled query counts until it ends.
            let _slot = slot;
            let started = Instant::now();
            let noted = active.begin(&admitted.text, now_ms() / 1000);
            let result = quick.timed(question, || evaluating(|| admitted.evaluate(&options)));
            drop(noted);
            let steps = match &result {
                Ok(result) if records.per_step => by_step(&admitted.kind, result),
                _ => PerStep::new(),
            };
            records.log(&admitted, &result, Some(&steps), started.elapsed());
            result.map(|result| (result, steps))
        });
        let evaluated = tokio::task::spawn_blocking(work).await;
        evaluated.unwrap_or_else(|error| {
            // A panic in the evaluator is a bug of ours; one query fails, the server goes on.
            tracing::error!(%error, "query evaluation ended abnormally");
            Err(QueryError::Execution(
                "unexpected error in query evaluation".to_owned(),
            ))
        })
    }
}

/// What Prometheus says of a query in the span of what asked for it.
fn query_attribute(expr: &Expr) -> KeyValue {
    KeyValue::new("query", format!("EVAL {expr}"))
}

/// Evaluates within the spans that Prometheus makes around it.
fn evaluating<T>(work: impl FnOnce() -> T) -> T {
    let eval = trace::span("promqlEval");
    let _eval = eval.enter();
    let inner = trace::span("promqlInnerEval");
    let _inner = inner.enter();
    work()
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
