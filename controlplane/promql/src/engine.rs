//! The engine: limits and options around one evaluation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bellwether_model::storage::Queryable;

use crate::annotations::Annotations;
use crate::ast::{Expr, ValueType};
use crate::error::QueryError;
use crate::eval;
use crate::explain::{Profile, QueryTimes};
use crate::parser::{ParseError, ParseOptions, parse};
use crate::plan::{Node, Planner};
use crate::recent::Recent;
use crate::value::Value;

/// What holds for all queries of an engine.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// How far an instant selector looks back, in milliseconds (`--query.lookback-delta`).
    pub lookback_ms: i64,
    /// The most samples a query may hold in memory (`--query.max-samples`).
    pub max_samples: usize,
    /// The most time a query may take (`--query.timeout`).
    pub timeout: Duration,
    /// The step of sub-queries that name none, in milliseconds: the global evaluation interval.
    pub default_subquery_step_ms: i64,
    /// Drop `__name__` at the very end instead of in each operation.
    pub delayed_name_removal: bool,
    /// Take the samples' start timestamps into account: `rate`, `irate`, `increase` and `resets` find counter
    /// resets by them, `start_timestamp` shows them (`use-start-timestamps`).
    pub start_timestamps: bool,
    /// Tell by the `__type__` label instead of by the name what is a counter (`type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Which parts of the language are on.
    pub parse: ParseOptions,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            lookback_ms: 5 * 60 * 1000,
            max_samples: 50_000_000,
            timeout: Duration::from_secs(120),
            default_subquery_step_ms: 60 * 1000,
            delayed_name_removal: false,
            start_timestamps: false,
            type_and_unit_labels: false,
            parse: ParseOptions::default(),
        }
    }
}

/// What a single query may ask for.
#[derive(Clone, Debug, Default)]
pub struct QueryOptions {
    /// Overrides the engine's lookback when set and positive (`lookback_delta=`), in milliseconds.
    pub lookback_ms: Option<i64>,
    /// Shortens the engine's time limit (`timeout=`).
    pub timeout: Option<Duration>,
    /// Set to true from outside to stop the evaluation, e.g. when the client went away.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Count the samples of each step of a range query.
    pub per_step: bool,
}

/// How much work a query was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples that the steps of selectors and windows looked at, counted per step. Of a sub-query it is what the
    /// windows over it look at, or what it looks at itself where it is the whole query.
    pub total_samples: u64,
    /// The most samples held at one time.
    pub peak_samples: u64,
    /// Series that selectors returned.
    pub series: u64,
}

/// A finished query.
#[derive(Clone, Debug)]
pub struct QueryResult {
    /// The value.
    pub value: Value,
    /// Warnings and infos; [`Annotations::render`] makes texts of them.
    pub annotations: Annotations,
    /// Work done.
    pub stats: QueryStats,
    /// [`QueryStats::total_samples`] step by step, with [`QueryOptions::per_step`].
    pub samples_by_step: Vec<u64>,
}

/// Evaluates PromQL. Cheap to share; calls block, so run them on a blocking thread.
#[derive(Clone, Debug)]
pub struct Engine {
    options: EngineOptions,
    recent: Arc<Recent>,
}

impl Engine {
    /// An engine with these options.
    #[must_use]
    pub fn new(options: EngineOptions) -> Self {
        Self {
            options,
            recent: Arc::default(),
        }
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Parses an expression with the engine's options.
    ///
    /// # Errors
    /// The first error that Prometheus would report.
    pub fn parse(&self, text: &str) -> Result<Expr, ParseError> {
        parse(text, &self.options.parse)
    }

    /// As [`Engine::parse`], of an expression that may come again.
    fn parsed(&self, text: &str) -> Result<Arc<Expr>, ParseError> {
        self.recent.get(text, |text| self.parse(text))
    }

    /// Evaluates an expression at one time (milliseconds since the epoch).
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant(
        &self,
        queryable: &dyn Queryable,
        text: &str,
        ts_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let expr = self.parsed(text)?;
        self.instant_expr(queryable, &expr, ts_ms, options)
    }

    /// [`Engine::instant`] for an expression that was parsed before, e.g. that of a rule.
    ///
    /// # Errors
    /// See [`QueryError`].
    pub fn instant_expr(
        &self,
        queryable: &dyn Queryable,
        expr: &Expr,
        ts_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let times = QueryTimes::Instant(ts_ms);
        let plan = self.plan(expr, times)?;
        self.evaluate(queryable, &plan, times, options, None)
    }

    /// Evaluates an expression at `start, start+step, ... <= end` (milliseconds).
    ///
    /// # Errors
    /// See [`QueryError`]; the step must be positive and the end not before the start. The limit on the
    /// number of points is the caller's.
    pub fn range(
        &self,
        queryable: &dyn Queryable,
        text: &str,
        start_ms: i64,
        end_ms: i64,
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let expr = self.parsed(text)?;
        self.range_expr(queryable, &expr, (start_ms, end_ms), step_ms, options)
    }

    /// [`Engine::range`] for an expression that was parsed before.
    ///
    /// # Errors
    /// As [`Engine::range`].
    pub fn range_expr(
        &self,
        queryable: &dyn Queryable,
        expr: &Expr,
        (start_ms, end_ms): (i64, i64),
        step_ms: i64,
        options: &QueryOptions,
    ) -> Result<QueryResult, QueryError> {
        let times = QueryTimes::Range {
            start: start_ms,
            end: end_ms,
            step: step_ms,
        };
        let plan = self.plan(expr, times)?;
        self.evaluate(queryable, &plan, times, options, None)
    }

    /// Plans an expression for its times.
    pub(crate) fn plan(&self, expr: &Expr, times: QueryTimes) -> Result<Node, QueryError> {
        if let QueryTimes::Range { start, end, step } = times {
            check_range(expr, (start, end), step)?;
        }
        let instant = matches!(times, QueryTimes::Instant(_));
        Planner::new(times.grid(), instant, self.options.default_subquery_step_ms).plan(expr)
    }

    /// Evaluates a plan; what each node costs goes to `profile`.
    pub(crate) fn evaluate(
        &self,
        queryable: &dyn Queryable,
        plan: &Node,
        times: QueryTimes,
        options: &QueryOptions,
        profile: Option<&Profile>,
    ) -> Result<QueryResult, QueryError> {
        eval::run(&self.options, options, queryable, plan, times, profile)
    }
}

/// What Prometheus refuses before a range query is planned.
fn check_range(
    expr: &Expr,
    (start_ms, end_ms): (i64, i64),
    step_ms: i64,
) -> Result<(), QueryError> {
    let bad = |text: &str| Err(QueryError::BadData(text.to_owned()));
    if step_ms <= 0 {
        return bad(
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        );
    }
    if end_ms < start_ms {
        return bad("end timestamp must not be before start time");
    }
    let kind = match expr.value_type() {
        ValueType::Matrix => Some("range vector"),
        ValueType::String => Some("string"),
        _ => None,
    };
    if let Some(kind) = kind {
        return bad(&format!(
            "invalid expression type \"{kind}\" for range query, must be Scalar or instant Vector"
        ));
    }
    Ok(())
}
