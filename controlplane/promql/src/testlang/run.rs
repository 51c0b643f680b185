//! Executing scripts.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use bellwether_model::Labels;
use bellwether_model::storage::{AppendError, Appendable};
use regex::Regex;

use crate::ast::{AtModifier, Expr, ExprKind};
use crate::engine::{Engine, EngineOptions, QueryOptions, QueryResult};
use crate::error::QueryError;
use crate::parser::ParseOptions;
use crate::plan::depends_on_time;
use crate::value::{Point, Value, VectorSample};
use crate::walk::children_mut;

use super::script::{Command, Eval, ScriptError, When, parse};
use super::storage::MemoryStorage;
use super::values::SequenceValue;
use super::{compare, nhcb};

/// An evaluation that did not give what the script expects.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Line of the command.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// What was different.
    pub message: String,
}

/// What became of a script.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Evaluations as expected.
    pub passed: usize,
    /// The others.
    pub failures: Vec<Failure>,
}

/// The engine that upstream's scripts are written for.
#[must_use]
pub fn engine_options() -> EngineOptions {
    EngineOptions {
        max_samples: 10_000,
        delayed_name_removal: true,
        parse: ParseOptions {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        },
        ..EngineOptions::default()
    }
}

/// Runs a script.
///
/// # Errors
/// When the script itself is not understood or cannot be loaded; failed evaluations are in the report.
pub fn run(text: &str, options: &EngineOptions) -> Result<Report, ScriptError> {
    let engine = Engine::new(options.clone());
    let storage = MemoryStorage::new();
    let mut report = Report::default();
    for command in parse(text)? {
        match command {
            Command::Clear => storage.clear(),
            Command::Load {
                step_ms,
                with_nhcb,
                series,
            } => load(&storage, step_ms, with_nhcb, &series).map_err(|e| ScriptError {
                line: 0,
                message: format!("load: {e}"),
            })?,
            Command::Eval(eval) => match evaluate(&engine, &storage, &eval) {
                Ok(()) => report.passed += 1,
                Err(message) => report.failures.push(Failure {
                    line: eval.line,
                    expr: eval.expr,
                    message,
                }),
            },
        }
    }
    Ok(report)
}

/// Loads series; value i belongs to the time `i * step_ms`.
///
/// # Errors
/// When the storage refuses a sample.
pub fn load(
    storage: &MemoryStorage,
    step_ms: i64,
    with_nhcb: bool,
    series: &[(Labels, Vec<SequenceValue>)],
) -> Result<(), AppendError> {
    // A series may stand in several lines; the last value of a time counts.
    let mut all: BTreeMap<&Labels, BTreeMap<i64, &SequenceValue>> = BTreeMap::new();
    for (labels, values) in series {
        let times = all.entry(labels).or_default();
        for (i, value) in values.iter().enumerate() {
            if !matches!(value, SequenceValue::Omitted) {
                times.insert(i as i64 * step_ms, value);
            }
        }
    }
    let mut appender = storage.appender();
    for (labels, times) in all {
        let series = appender.series(labels)?;
        for (t, value) in times {
            match value {
                SequenceValue::Omitted => {}
                SequenceValue::Float(v) => appender.append(series, t, *v)?,
                SequenceValue::Histogram(h, _) => {
                    appender.append_float_histogram(series, t, (**h).clone())?;
                }
            }
        }
    }
    if with_nhcb {
        for (labels, times) in nhcb::convert(series) {
            let series = appender.series(&labels)?;
            for (i, h) in times {
                appender.append_float_histogram(series, i as i64 * step_ms, h)?;
            }
        }
    }
    appender.commit()
}

fn evaluate(engine: &Engine, storage: &MemoryStorage, eval: &Eval) -> Result<(), String> {
    let options = QueryOptions::default();
    let expr = match engine.parse(&eval.expr) {
        Ok(expr) => expr,
        Err(e) => return check_error(eval, &e.to_string()),
    };
    match eval.when {
        When::Range(start, end, step) => {
            let result = engine.range_expr(storage, &expr, (start, end), step, &options);
            check_result(eval, result).map(|_| ())
        }
        When::Instant(t) => {
            instant(engine, storage, eval, &expr, t)?;
            let Some(pinned) = pin(&expr, t) else {
                return Ok(());
            };
            let others = if t == 0 {
                vec![-1000, 0, 1000]
            } else {
                vec![-10 * t, 0, t / 5, t, 10 * t]
            };
            for other in others {
                instant(engine, storage, eval, &pinned, other)
                    .map_err(|e| format!("with @ and evaluated at {other}: {e}"))?;
            }
            Ok(())
        }
    }
}

fn check_error(eval: &Eval, text: &str) -> Result<(), String> {
    match &eval.fail {
        Some(expected) if expected.matches(text) => Ok(()),
        Some(expected) => Err(format!("expected the error {expected:?}, got {text:?}")),
        None => Err(format!("error: {text}")),
    }
}

/// Compares a result; the value when there is one to look at further.
fn check_result(
    eval: &Eval,
    result: Result<QueryResult, QueryError>,
) -> Result<Option<Value>, String> {
    let result = match result {
        Ok(result) => result,
        Err(e) => return check_error(eval, &e.to_string()).map(|()| None),
    };
    if eval.fail.is_some() {
        return Err(format!("expected an error, got {:?}", result.value));
    }
    let (warnings, infos) = result.annotations.render(&eval.expr, 0);
    compare::check_annotations(eval, &warnings, &infos)?;
    compare::check(eval, &result.value)?;
    Ok(Some(result.value))
}

static CONTEXT_FUNCTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\b(start|end|range|step)\s*\(\s*\)").ok());

fn instant(
    engine: &Engine,
    storage: &MemoryStorage,
    eval: &Eval,
    expr: &Expr,
    t: i64,
) -> Result<(), String> {
    let options = QueryOptions::default();
    let result = engine.instant_expr(storage, expr, t, &options);
    let Some(value) = check_result(eval, result)? else {
        return Ok(());
    };
    let mentions = CONTEXT_FUNCTION
        .as_ref()
        .is_some_and(|r| r.is_match(&eval.expr));
    if eval.string.is_some() || eval.range_vector.is_some() || mentions {
        return Ok(());
    }
    if matches!(value, Value::Matrix(_) | Value::String { .. }) {
        return Ok(());
    }
    middle_step(engine, storage, eval, expr, t, &value)
        .map_err(|e| format!("as a range query: {e}"))
}

/// The same expression as the middle step of a range query.
fn middle_step(
    engine: &Engine,
    storage: &MemoryStorage,
    eval: &Eval,
    expr: &Expr,
    t: i64,
    instant: &Value,
) -> Result<(), String> {
    let minute = 60_000;
    let result = engine
        .range_expr(
            storage,
            expr,
            (t - minute, t + minute),
            minute,
            &QueryOptions::default(),
        )
        .map_err(|e| e.to_string())?;
    if eval.ordered {
        return Ok(());
    }
    let Value::Matrix(series) = &result.value else {
        return Err("not a matrix".to_owned());
    };
    compare::check_sorted(series)?;
    let mut samples = Vec::new();
    for s in series {
        let float = s
            .floats
            .iter()
            .find(|p| p.0 == t)
            .map(|p| Point::Float(p.1));
        let histogram = s.histograms.iter().find(|p| p.0 == t);
        let histogram = histogram.map(|p| Point::Histogram(p.1.clone()));
        samples.extend(float.or(histogram).map(|point| VectorSample {
            labels: s.labels.clone(),
            t,
            point,
        }));
    }
    match (instant, samples.first().map(|s| &s.point)) {
        (Value::Scalar { .. }, Some(Point::Float(v))) => compare::check_scalar(eval, *v),
        (Value::Scalar { .. }, _) => Err("no scalar".to_owned()),
        _ => compare::check_vector(eval, &samples),
    }
}

/// The expression with its outermost selectors pinned to a time; `None` when its value depends on the evaluation
/// time otherwise.
fn pin(expr: &Expr, t: i64) -> Option<Expr> {
    fn go(expr: &mut Expr, t: i64) -> bool {
        let at = match &mut expr.kind {
            ExprKind::Call(c) if depends_on_time(c.func.name) => return false,
            ExprKind::VectorSelector(v) => Some(&mut v.at),
            ExprKind::MatrixSelector(m) => Some(&mut m.vector.at),
            ExprKind::Subquery(s) => Some(&mut s.at),
            _ => None,
        };
        if let Some(at) = at {
            at.get_or_insert(AtModifier::Timestamp(t));
            return true;
        }
        children_mut(expr).into_iter().all(|child| go(child, t))
    }
    let mut pinned = expr.clone();
    go(&mut pinned, t).then_some(pinned)
}
