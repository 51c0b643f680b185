//! The evaluator: one function per kind of node, each node evaluated once for all steps.

mod aggregate;
mod aggregate_histogram;
mod aggregate_k;
mod aggregate_sums;
mod binary;
mod binary_match;
pub(crate) mod column;
pub(crate) mod context;
mod element;
pub(crate) mod grid;
mod grouping;
mod instant;
mod memo;
pub(crate) mod ranges;
mod result;
mod scan;
pub(crate) mod selector;
mod set_ops;
mod shared;
pub(crate) mod sliding;
mod smoothed;

use std::time::{Duration, Instant};

use bellwether_model::Labels;
use bellwether_model::storage::Queryable;

use crate::annotations::{AnnotationKind, Annotations};
use crate::ast::Span;
use crate::engine::{EngineOptions, QueryOptions, QueryResult};
use crate::error::QueryError;
use crate::explain::{NodeCost, Profile, QueryTimes, cost_of};
use crate::functions;
use crate::plan::{Call, Kind, Node, time_bounds};

use column::{Row, SeriesSet};
use context::Context;
use grid::StepGrid;
pub(crate) use shared::Sharing;

pub(crate) use ranges::range_call;

/// Evaluates a planned query.
pub(crate) fn run(
    options: &EngineOptions,
    query: &QueryOptions,
    queryable: &dyn Queryable,
    plan: &Node,
    times: QueryTimes,
    profile: Option<&Profile>,
) -> Result<QueryResult, QueryError> {
    let grid = times.grid();
    let lookback = query
        .lookback_ms
        .filter(|ms| *ms > 0)
        .unwrap_or(options.lookback_ms);
    let timeout = query
        .timeout
        .map_or(options.timeout, |t| t.min(options.timeout));
    let (mint, maxt) = time_bounds(plan, grid, lookback).unwrap_or((0, 0));
    let querier = queryable.querier(mint, maxt)?;
    // What is shared is not looked at step by step again.
    let sharing = match query.per_step {
        true => Sharing::default(),
        false => Sharing::of(plan, grid),
    };
    let mut ctx = Context::new(
        &*querier,
        options,
        lookback,
        Instant::now() + timeout,
        query.cancel.clone(),
        profile,
        sharing,
    );
    if query.per_step {
        ctx.count_steps(grid.steps());
    }
    ctx.check()?;
    let mut notes = Annotations::new();
    let value = if matches!(times, QueryTimes::Instant(_)) {
        result::instant(&ctx, plan, grid, &mut notes)?
    } else {
        result::range(&ctx, plan, grid, &mut notes)?
    };
    for warning in querier.warnings() {
        notes.add(AnnotationKind::Storage(warning), Span::default());
    }
    Ok(QueryResult {
        value,
        annotations: notes,
        stats: ctx.stats(),
        samples_by_step: ctx.by_step(),
    })
}

/// The value of a node of type scalar or instant vector on a grid.
///
/// # Errors
/// See [`QueryError`].
pub(crate) fn eval(
    ctx: &Context<'_>,
    node: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let Some(profile) = ctx.profile else {
        return shared::eval(ctx, node, grid, notes);
    };
    let start = Instant::now();
    let rows = shared::eval(ctx, node, grid, notes)?;
    profile.add(node, cost_of(&rows, start));
    Ok(rows)
}

fn eval_node(
    ctx: &Context<'_>,
    node: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    ctx.check()?;
    let steps = grid.steps();
    if steps == 0 {
        return Ok(Vec::new());
    }
    ctx.check_cells(1, steps)?;
    match &node.kind {
        Kind::Number(v) => {
            ctx.hold(steps)?;
            Ok(vec![Row::floats(Labels::empty(), vec![*v; steps])])
        }
        Kind::Text(_) | Kind::Window(_) | Kind::Subquery(_) => Err(QueryError::Execution(
            "a string or range vector cannot stand here".to_owned(),
        )),
        Kind::Selector(s) if s.smoothed => smoothed::selector(ctx, s, node.span, grid, notes),
        Kind::Selector(s) => selector::rows(ctx, s, grid),
        Kind::Negate(inner) => negate(ctx, inner, grid, notes),
        Kind::Chain(c) => binary::eval(ctx, c, grid, notes),
        Kind::Aggregate(a) => aggregate::eval(ctx, a, node.span, grid, notes),
        Kind::Call(c) => functions::call(ctx, c, node.span, grid, notes),
        Kind::Invariant(inner) => invariant(ctx, inner, grid, notes),
    }
}

/// The value of a scalar node: one number per step.
pub(crate) fn eval_scalar(
    ctx: &Context<'_>,
    node: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<Vec<f64>, QueryError> {
    let rows = eval(ctx, node, grid, notes)?;
    let row = rows.into_iter().next();
    Ok(row.map_or_else(|| vec![f64::NAN; grid.steps()], |r| r.values))
}

/// Takes rows, batch by batch.
pub(crate) type Sink<'a> = dyn FnMut(Vec<Row>, &mut Annotations) -> Result<(), QueryError> + 'a;

/// Hands the rows of a node to `sink` in batches, in the same order as [`eval`] returns them. Selectors and
/// range functions over selectors never hold all their rows, which is what makes aggregations of them cheap.
pub(crate) fn for_each_batch(
    ctx: &Context<'_>,
    node: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    ctx.check()?;
    if grid.steps() == 0 {
        return Ok(());
    }
    ctx.check_cells(1, grid.steps())?;
    match ctx.profile {
        _ if !streams(node) => {
            let rows = eval(ctx, node, grid, notes)?;
            sink(rows, notes)
        }
        None => stream(ctx, node, grid, notes, sink),
        Some(profile) => {
            // The consumer's time is not this node's.
            let (start, mut elsewhere) = (Instant::now(), Duration::ZERO);
            let mut cost = NodeCost::default();
            stream(ctx, node, grid, notes, &mut |rows, notes| {
                let before = Instant::now();
                let batch = cost_of(&rows, before);
                cost.series += batch.series;
                cost.samples += batch.samples;
                let result = sink(rows, notes);
                elsewhere += before.elapsed();
                result
            })?;
            cost.time = start.elapsed().saturating_sub(elsewhere);
            profile.add(node, cost);
            Ok(())
        }
    }
}

/// Whether a node hands its rows on without ever holding them all.
fn streams(node: &Node) -> bool {
    match &node.kind {
        Kind::Selector(s) => !s.smoothed,
        Kind::Call(c) => functions::streams(c),
        _ => false,
    }
}

/// [`for_each_batch`] of a node that never holds all its rows.
fn stream(
    ctx: &Context<'_>,
    node: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    match &node.kind {
        Kind::Selector(s) => selector::batches(ctx, s, grid, notes, sink),
        Kind::Call(c) => functions::call_batches(ctx, c, node.span, grid, notes, sink),
        _ => Ok(()),
    }
}

/// Evaluates once and repeats the value at every step.
fn invariant(
    ctx: &Context<'_>,
    inner: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let steps = grid.steps();
    let before = ctx.counted();
    let rows = eval(ctx, inner, grid.first_only(), notes)?;
    if steps == 1 {
        return Ok(rows);
    }
    // As in Prometheus, every step counts as if it had looked.
    let each = ctx.counted() - before;
    ctx.count_samples(each.saturating_mul(steps as u64 - 1), |tell| {
        (1..steps).for_each(|step| tell(step, each as usize));
    });
    let held: usize = rows.iter().map(Row::weight).sum();
    ctx.hold(held.saturating_mul(steps - 1))?;
    Ok(rows
        .into_iter()
        .map(|row| Row {
            values: vec![row.values[0]; steps],
            histograms: row.histograms.map(|h| vec![h[0].clone(); steps]),
            labels: row.labels,
            drop_name: row.drop_name,
        })
        .collect())
}

fn negate(
    ctx: &Context<'_>,
    inner: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let mut rows = eval(ctx, inner, grid, notes)?;
    for row in &mut rows {
        for v in &mut row.values {
            if !column::is_absent(*v) {
                *v = -*v;
            }
        }
        for h in row.histograms.iter_mut().flatten().flatten() {
            let mut negated = (**h).clone();
            negated.mul(-1.0);
            *h = negated.into();
        }
    }
    finish_dropped(ctx, rows)
}

/// Rows whose metric name goes away: at once, merging what becomes equal, or later in the delayed mode.
pub(crate) fn finish_dropped(
    ctx: &Context<'_>,
    mut rows: SeriesSet,
) -> Result<SeriesSet, QueryError> {
    for row in &mut rows {
        row.drop_name = true;
        if !ctx.delayed_names {
            row.labels = column::drop_metadata(&row.labels);
        }
    }
    if ctx.delayed_names {
        return Ok(rows);
    }
    column::merge_same_labels(rows)
}

/// The place that annotations about a range vector argument name. Prometheus replaces sub-queries by a
/// selector without a position, hence the start of the query.
pub(crate) fn range_span(node: &Node) -> Span {
    match &node.kind {
        Kind::Subquery(_) => Span::default(),
        Kind::Invariant(inner) => range_span(inner),
        _ => node.span,
    }
}

/// The arguments of a call that are scalars, evaluated; one entry per argument, empty for the others.
pub(crate) fn scalar_args(
    ctx: &Context<'_>,
    call: &Call,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<Vec<Vec<f64>>, QueryError> {
    call.args
        .iter()
        .map(|arg| match arg.ty {
            crate::ast::ValueType::Scalar => eval_scalar(ctx, arg, grid, notes),
            _ => Ok(Vec::new()),
        })
        .collect()
}
