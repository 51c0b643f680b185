//! Executing scripts.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bellwether_model::storage::{AppendError, Appender};
use regex::Regex;

use crate::ast::{AtModifier, Expr, ExprKind};
use crate::engine::{Engine, EngineOptions, QueryOptions, QueryResult};
use crate::error::QueryError;
use crate::parser::ParseOptions;
use crate::plan::depends_on_time;
use crate::value::{Point, Value, VectorSample};
use crate::walk::children_mut;

use super::script::{Command, Eval, Load, LoadSeries, ScriptError, When, parse};
use super::storage::MemoryStorage;
use super::values::SequenceValue;
use super::{compare, nhcb, show};

/// An evaluation that did not give what the script expects.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Line of the command.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// What was different, and below it what was expected and what came.
    pub message: String,
}

/// What became of an evaluation.
#[derive(Clone, Debug)]
pub struct Case {
    /// Line of the command.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// What was different, `None` when it passed.
    pub failure: Option<String>,
    /// How long it took, with its repetitions.
    pub took: Duration,
    /// The result in the notation of scripts, one line per series; empty for a query that failed.
    pub got: Vec<String>,
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
        timeout: Duration::from_secs(100),
        delayed_name_removal: true,
        start_timestamps: true,
        parse: ParseOptions::all(),
        ..EngineOptions::default()
    }
}

/// Runs a script.
///
/// # Errors
/// When the script itself is not understood or cannot be loaded; failed evaluations are in the report.
pub fn run(text: &str, options: &EngineOptions) -> Result<Report, ScriptError> {
    let mut report = Report::default();
    run_cases(
        text,
        options,
        &mut |_| true,
        &mut |case| match case.failure {
            None => report.passed += 1,
            Some(message) => report.failures.push(Failure {
                line: case.line,
                expr: case.expr,
                message,
            }),
        },
    )?;
    Ok(report)
}

/// Runs the evaluations of a script that `select` takes and hands each outcome to `done` as soon as it is there.
///
/// # Errors
/// As [`run`].
pub fn run_cases(
    text: &str,
    options: &EngineOptions,
    select: &mut dyn FnMut(&Eval) -> bool,
    done: &mut dyn FnMut(Case),
) -> Result<(), ScriptError> {
    let engine = Engine::new(options.clone());
    let storage = MemoryStorage::new();
    for command in parse(text)? {
        match command {
            Command::Clear => storage.clear(),
            Command::Load(commands) => load(&storage, &commands).map_err(|e| ScriptError {
                line: commands.line,
                message: format!("load: {e}"),
            })?,
            Command::Eval(eval) if select(&eval) => {
                let start = Instant::now();
                let mut got = None;
                let failure = evaluate(&engine, &storage, &eval, &mut got).err();
                let (from, _, step) = compare::grid(&eval);
                let got = got.map_or_else(Vec::new, |value| show::value(&value, from, step));
                done(Case {
                    line: eval.line,
                    took: start.elapsed(),
                    failure: failure.map(|reason| explain(&reason, &eval, &got)),
                    expr: eval.expr,
                    got,
                });
            }
            Command::Eval(_) => {}
        }
    }
    Ok(())
}

/// The reason of a failure with what was expected and what came.
fn explain(reason: &str, eval: &Eval, got: &[String]) -> String {
    let block = |title: &str, lines: &[String]| {
        if lines.is_empty() {
            return format!("\n{title}: nothing");
        }
        format!("\n{title}:\n  {}", lines.join("\n  "))
    };
    format!(
        "{reason}{}{}",
        block("expected", &show::expected(eval)),
        block("got", got)
    )
}

/// Loads series.
///
/// # Errors
/// When the storage refuses a sample.
pub fn load(storage: &MemoryStorage, load: &Load) -> Result<(), AppendError> {
    let time = |i: usize| i as i64 * load.step_ms;
    let mut appender = storage.writer();
    for LoadSeries {
        labels,
        values,
        starts,
    } in &load.series
    {
        let series = appender.series(labels)?;
        for (i, value) in values.iter().enumerate() {
            match value {
                SequenceValue::Omitted => continue,
                SequenceValue::Float(v) => appender.append(series, time(i), *v)?,
                SequenceValue::Histogram(h, _) => {
                    appender.append_float_histogram(series, time(i), (**h).clone())?;
                }
            }
            if let Some(Some(offset)) = starts.get(i) {
                appender.started(time(i) + offset);
            }
        }
    }
    if load.with_nhcb {
        for (labels, histograms) in nhcb::convert(&load.series) {
            let series = appender.series(&labels)?;
            for (i, h) in histograms {
                appender.append_float_histogram(series, time(i), h)?;
            }
        }
    }
    Box::new(appender).commit()
}

/// Evaluates and compares; the first value goes to `got`.
fn evaluate(
    engine: &Engine,
    storage: &MemoryStorage,
    eval: &Eval,
    got: &mut Option<Value>,
) -> Result<(), String> {
    let options = QueryOptions::default();
    let expr = match engine.parse(&eval.expr) {
        Ok(expr) => expr,
        Err(e) => return check_error(eval, &e.to_string()),
    };
    match eval.when {
        When::Range(start, end, step) => {
            let result = engine.range_expr(storage, &expr, (start, end), step, &options);
            check_result(eval, result, got).map(|_| ())
        }
        When::Instant(t) => {
            instant(engine, storage, eval, (&expr, &eval.expr), t, got)?;
            let Some(pinned) = pin(&expr, t) else {
                return Ok(());
            };
            let text = pinned.to_string();
            let others = if t == 0 {
                vec![-1000, 0, 1000]
            } else {
                vec![-10 * t, 0, t / 5, t, 10 * t]
            };
            for other in others {
                // When a repetition fails, it is its value that counts.
                let mut repeated = None;
                let query = (&pinned, text.as_str());
                instant(engine, storage, eval, query, other, &mut repeated).map_err(|e| {
                    *got = repeated.take();
                    let [pinned_to, at] = [t, other].map(|ms| ms as f64 / 1e3);
                    format!("with all selectors pinned to {pinned_to} s by @ and evaluated at {at} s: {e}")
                })?;
            }
            Ok(())
        }
    }
}

fn check_error(eval: &Eval, text: &str) -> Result<(), String> {
    match &eval.fail {
        Some(expected) if expected.matches(text) => Ok(()),
        Some(_) => Err(format!("another error: {text}")),
        None => Err(format!("error: {text}")),
    }
}

/// Compares a result; the value when there is one to look at further.
fn check_result(
    eval: &Eval,
    result: Result<QueryResult, QueryError>,
    got: &mut Option<Value>,
) -> Result<Option<Value>, String> {
    let result = match result {
        Ok(result) => result,
        Err(e) => return check_error(eval, &e.to_string()).map(|()| None),
    };
    *got = Some(result.value.clone());
    if eval.fail.is_some() {
        return Err("expected an error, but the query succeeded".to_owned());
    }
    let (warnings, infos) = result.annotations.render(&eval.expr, 0);
    compare::check_annotations(eval, &warnings, &infos)?;
    compare::check(eval, &result.value)?;
    Ok(Some(result.value))
}

static CONTEXT_FUNCTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(start|end|range|step)\(\)").ok());

fn instant(
    engine: &Engine,
    storage: &MemoryStorage,
    eval: &Eval,
    (expr, text): (&Expr, &str),
    t: i64,
    got: &mut Option<Value>,
) -> Result<(), String> {
    let options = QueryOptions::default();
    let result = engine.instant_expr(storage, expr, t, &options);
    let Some(value) = check_result(eval, result, got)? else {
        return Ok(());
    };
    let mentions = CONTEXT_FUNCTION.as_ref().is_some_and(|r| r.is_match(text));
    if eval.string.is_some() || eval.range_vector.is_some() || mentions {
        return Ok(());
    }
    if matches!(value, Value::Matrix(_) | Value::String { .. }) {
        return Ok(());
    }
    middle_step(engine, storage, eval, expr, t, &value, got)
        .map_err(|e| format!("as the middle step of a range query: {e}"))
}

/// The same expression as the middle step of a range query.
#[allow(clippy::too_many_arguments)]
fn middle_step(
    engine: &Engine,
    storage: &MemoryStorage,
    eval: &Eval,
    expr: &Expr,
    t: i64,
    instant: &Value,
    got: &mut Option<Value>,
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
    let outcome = match (instant, samples.first().map(|s| &s.point)) {
        (Value::Scalar { .. }, Some(Point::Float(v))) => compare::check_scalar(eval, *v),
        (Value::Scalar { .. }, _) => Err("no scalar".to_owned()),
        _ => compare::check_vector(eval, &samples),
    };
    if outcome.is_err() {
        *got = Some(Value::Vector(samples));
    }
    outcome
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
            // As upstream, `start()` and `end()` give way to the time too.
            if !matches!(at, Some(AtModifier::Timestamp(_))) {
                *at = Some(AtModifier::Timestamp(t));
            }
            return true;
        }
        children_mut(expr).into_iter().all(|child| go(child, t))
    }
    let mut pinned = expr.clone();
    go(&mut pinned, t).then_some(pinned)
}
