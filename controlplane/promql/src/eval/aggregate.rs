//! Aggregations into groups. Input rows come in batches and are folded into one accumulator per group and
//! step, so that memory follows the number of groups.

use bellwether_model::Labels;
use bellwether_model::float::plain;
use hashbrown::HashMap;

use crate::annotations::{AnnotationKind, Annotations, Bits};
use crate::ast::{AggregateOp, Span};
use crate::error::QueryError;
use crate::functions::{HistogramMean, go_max, go_min, quantile};
use crate::plan::{Aggregate, Kind, Node};

use super::aggregate_histogram::{HistogramSum, Histograms, Noter};
use super::aggregate_sums::{Means, Sums};
use super::column::{Cell, Row, RowBuilder, Sample, SeriesSet, absent, is_absent};
use super::context::Context;
use super::grid::StepGrid;
use super::grouping::{Grouping, group_labels};
use super::{aggregate_k, eval_scalar, for_each_batch, instant};

/// The value of an aggregation.
pub(super) fn eval(
    ctx: &Context<'_>,
    a: &Aggregate,
    span: Span,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let before = ctx.held();
    let rows = match a.op {
        AggregateOp::CountValues => count_values(ctx, a, grid, notes)?,
        AggregateOp::Topk
        | AggregateOp::Bottomk
        | AggregateOp::Limitk
        | AggregateOp::LimitRatio => aggregate_k::eval(ctx, a, span, grid, notes)?,
        _ => fold(ctx, a, grid, notes)?,
    };
    ctx.settle(before + rows.iter().map(|r| r.weight() as i64).sum::<i64>())?;
    Ok(rows)
}

/// A parameter over all steps.
pub(super) struct Param {
    pub(super) values: Vec<f64>,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) has_nan: bool,
}

/// Evaluates an aggregation's parameter; zero without one.
pub(super) fn param(
    ctx: &Context<'_>,
    node: Option<&Node>,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<Param, QueryError> {
    let values = match node {
        Some(node) => eval_scalar(ctx, node, grid, notes)?,
        None => vec![0.0; grid.steps()],
    };
    Ok(Param {
        min: values.iter().copied().fold(f64::MAX, go_min),
        max: values.iter().copied().fold(-f64::MAX, go_max),
        has_nan: values.iter().any(|v| v.is_nan()),
        values,
    })
}

/// A group and what was folded into it.
pub(super) struct Group {
    labels: Labels,
    drop_name: bool,
    state: State,
}

/// A group's accumulators, one per step.
enum State {
    Sum(Sums, Histograms<HistogramSum>),
    Avg(Means, Histograms<HistogramMean>),
    Count(Vec<f64>),
    Group(Vec<f64>),
    /// The value and whether a new one takes its place.
    Extreme(Vec<f64>, fn(f64, f64) -> bool, &'static str),
    /// Welford's count, mean and squared deviations; the square root of the variance when the flag is set.
    Variance(Vec<(f64, f64, f64)>, bool),
    Quantile(Vec<Vec<f64>>),
}

impl State {
    fn new(op: AggregateOp, steps: usize) -> Self {
        match op {
            AggregateOp::Sum => Self::Sum(Sums::new(steps), Histograms::default()),
            AggregateOp::Avg => Self::Avg(Means::new(steps), Histograms::default()),
            AggregateOp::Count => Self::Count(vec![absent(); steps]),
            AggregateOp::Min => Self::Extreme(vec![absent(); steps], |new, old| old > new, "min"),
            AggregateOp::Max => Self::Extreme(vec![absent(); steps], |new, old| old < new, "max"),
            AggregateOp::Stddev => Self::Variance(vec![(0.0, 0.0, 0.0); steps], true),
            AggregateOp::Stdvar => Self::Variance(vec![(0.0, 0.0, 0.0); steps], false),
            AggregateOp::Quantile => Self::Quantile(vec![Vec::new(); steps]),
            _ => Self::Group(vec![absent(); steps]),
        }
    }
}

impl Group {
    pub(super) fn new(labels: Labels, op: AggregateOp, steps: usize) -> Self {
        Self {
            labels,
            drop_name: false,
            state: State::new(op, steps),
        }
    }

    /// Folds a series in.
    pub(super) fn add(&mut self, row: &Row, noter: &mut Noter<'_>) {
        self.drop_name |= row.drop_name;
        if row.histograms.is_none() && self.add_floats(&row.values) {
            return;
        }
        let steps = row.values.len();
        let metric = || row.labels.metric_name().unwrap_or("").to_owned();
        match &mut self.state {
            State::Sum(sums, histograms) => {
                for step in 0..steps {
                    match row.cell(step) {
                        Cell::Float(v) if !histograms.broken(step) => sums.add_at(step, v),
                        Cell::Histogram(h) => {
                            let first = sums.has(step);
                            histograms.add(step, steps, h, first, &metric(), noter);
                        }
                        _ => {}
                    }
                }
            }
            State::Avg(means, histograms) => {
                for step in 0..steps {
                    match row.cell(step) {
                        Cell::Float(v) if !histograms.broken(step) => means.add_at(step, v),
                        Cell::Histogram(h) => {
                            let first = means.has(step);
                            histograms.add(step, steps, h, first, &metric(), noter);
                        }
                        _ => {}
                    }
                }
            }
            State::Count(cells) => {
                for (step, cell) in cells.iter_mut().enumerate() {
                    if row.present(step) {
                        *cell = if is_absent(*cell) { 1.0 } else { *cell + 1.0 };
                    }
                }
            }
            State::Group(cells) => {
                for (step, cell) in cells.iter_mut().enumerate() {
                    if row.present(step) {
                        *cell = 1.0;
                    }
                }
            }
            State::Extreme(cells, better, op) => {
                for (step, cell) in cells.iter_mut().enumerate() {
                    match row.cell(step) {
                        Cell::Absent => {}
                        Cell::Float(v) => {
                            // Anything beats NaN; the marker for "nothing yet" is a NaN too.
                            if cell.is_nan() || better(v, *cell) {
                                *cell = v;
                            }
                        }
                        Cell::Histogram(_) => noter.ignored(op),
                    }
                }
            }
            State::Variance(cells, deviation) => {
                for (step, (count, mean, squares)) in cells.iter_mut().enumerate() {
                    match row.cell(step) {
                        Cell::Absent => {}
                        Cell::Float(v) if *count == 0.0 => {
                            (*count, *mean) = (1.0, v);
                            *squares = if v.is_finite() { 0.0 } else { f64::NAN };
                        }
                        Cell::Float(v) => {
                            *count += 1.0;
                            let delta = v - *mean;
                            *mean += delta / *count;
                            *squares += delta * (v - *mean);
                        }
                        Cell::Histogram(_) => {
                            noter.ignored(if *deviation { "stddev" } else { "stdvar" });
                        }
                    }
                }
            }
            State::Quantile(cells) => {
                for (step, cell) in cells.iter_mut().enumerate() {
                    match row.cell(step) {
                        Cell::Absent => {}
                        Cell::Float(v) => cell.push(v),
                        Cell::Histogram(_) => noter.ignored("quantile"),
                    }
                }
            }
        }
    }

    /// The common case: a series of floats into a group that has seen nothing else. False where it is another.
    pub(super) fn add_floats(&mut self, values: &[f64]) -> bool {
        fn each<T>(cells: &mut [T], values: &[f64], mut add: impl FnMut(&mut T, f64)) {
            for (cell, v) in cells.iter_mut().zip(values) {
                if !is_absent(*v) {
                    add(cell, *v);
                }
            }
        }
        match &mut self.state {
            State::Sum(sums, histograms) if histograms.is_empty() => sums.add(values),
            State::Avg(means, histograms) if histograms.is_empty() => means.add(values),
            State::Extreme(cells, better, _) => each(cells, values, |cell, v| {
                if cell.is_nan() || better(v, *cell) {
                    *cell = v;
                }
            }),
            _ => return false,
        }
        true
    }

    fn finish(self, steps: usize, param: &Param, noter: &mut Noter<'_>) -> Row {
        let mut row = Row::empty(self.labels, steps);
        row.drop_name = self.drop_name;
        match self.state {
            State::Sum(sums, mut histograms) => {
                for (step, sum) in sums.finish().enumerate() {
                    let histogram = histograms.take(step, sum.is_some(), noter);
                    set_either(&mut row, step, sum, histogram);
                }
            }
            State::Avg(means, mut histograms) => {
                for (step, mean) in means.finish().enumerate() {
                    let histogram = histograms.take(step, mean.is_some(), noter);
                    set_either(&mut row, step, mean, histogram);
                }
            }
            State::Count(cells) | State::Group(cells) | State::Extreme(cells, ..) => {
                row.values = cells;
            }
            State::Variance(cells, deviation) => {
                for (step, (count, _, squares)) in cells.into_iter().enumerate() {
                    if count > 0.0 {
                        let variance = squares / count;
                        row.set_float(step, if deviation { variance.sqrt() } else { variance });
                    }
                }
            }
            State::Quantile(cells) => {
                for (step, mut values) in cells.into_iter().enumerate() {
                    if !values.is_empty() {
                        row.set_float(step, quantile(param.values[step], &mut values));
                    }
                }
            }
        }
        row
    }
}

/// Sets what a step has: a number, or a histogram, or nothing if they are mixed.
fn set_either(
    row: &mut Row,
    step: usize,
    number: Option<f64>,
    histogram: Result<Option<Sample>, ()>,
) {
    match (histogram, number) {
        (Ok(Some(sample)), _) => row.set(step, sample),
        (Ok(None), Some(v)) => row.set_float(step, v),
        _ => {}
    }
}

/// Aggregations with one result per group.
fn fold(
    ctx: &Context<'_>,
    a: &Aggregate,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let steps = grid.steps();
    let param = param(ctx, a.param.as_ref(), grid, notes)?;
    let span = a.expr.span;
    let groups = match instant::fold(ctx, a, grid, notes)? {
        Some(groups) => groups,
        None => fold_rows(ctx, a, grid, notes)?,
    };
    // After the notes of the operand: of equal texts the last one's place counts.
    if a.op == AggregateOp::Quantile {
        let span = a.param.as_ref().map_or(a.expr.span, |p| p.span);
        let mut bad = |q| notes.add(AnnotationKind::InvalidQuantile(Bits(q)), span);
        if param.has_nan {
            bad(f64::NAN);
        }
        if param.max > 1.0 {
            bad(param.max);
        }
        if param.min < 0.0 {
            bad(param.min);
        }
    }
    let mut noter = Noter { span, notes };
    let rows = groups
        .into_iter()
        .map(|g| g.finish(steps, &param, &mut noter));
    Ok(rows.filter(Row::has_samples).collect())
}

fn fold_rows(
    ctx: &Context<'_>,
    a: &Aggregate,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<Vec<Group>, QueryError> {
    let mut grouping = Grouping::new(a);
    let mut groups: Vec<Group> = Vec::new();
    let span = a.expr.span;
    for_each_batch(ctx, &a.expr, grid, notes, &mut |rows, notes| {
        let mut noter = Noter { span, notes };
        for row in &rows {
            let (at, new) = grouping.find(&row.labels);
            let new = new.map(|labels| Group::new(labels, a.op, grid.steps()));
            groups.extend(new);
            groups[at].add(row, &mut noter);
        }
        ctx.recycle(rows);
        ctx.check()
    })?;
    Ok(groups)
}

/// `count_values("label", v)`: one series per group and distinct value.
fn count_values(
    ctx: &Context<'_>,
    a: &Aggregate,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let label = match a.param.as_ref().map(|p| &p.kind) {
        Some(Kind::Text(label)) => label,
        _ => {
            return Err(QueryError::Execution(
                "count_values needs a label name".to_owned(),
            ));
        }
    };
    if label.value.is_empty() || !label.is_utf8() {
        return Err(QueryError::Execution(format!(
            "invalid label name {}",
            label.quoted()
        )));
    }
    let label = &label.value;
    let mut grouping = a.grouping.clone();
    if !a.without {
        grouping.push(label.clone());
        grouping.sort_unstable();
    }
    let mut out = RowBuilder::new(grid.steps());
    for_each_batch(ctx, &a.expr, grid, notes, &mut |rows, _| {
        for row in &rows {
            // Values repeat from step to step more often than not.
            let mut known: HashMap<String, usize> = HashMap::new();
            for step in 0..row.values.len() {
                let text = match row.cell(step) {
                    Cell::Absent => continue,
                    Cell::Float(v) => plain(v),
                    Cell::Histogram(h) => h.to_string(),
                };
                let at = match known.get(&text) {
                    Some(at) => *at,
                    None => {
                        let with_value = row.labels.to_builder().set(label, &text).build();
                        let at = out.row(&group_labels(&with_value, &grouping, a.without), false);
                        known.insert(text, at);
                        at
                    }
                };
                out.count_up(at, step);
            }
        }
        ctx.check()
    })?;
    Ok(out.finish())
}
