//! The last step: from rows to the query's value.

use bellwether_model::storage::SampleBuffer;

use crate::annotations::Annotations;
use crate::ast::ValueType;
use crate::error::QueryError;
use crate::floats::Floats;
use crate::plan::{Kind, Node};
use crate::value::{MatrixSeries, Point, Value, VectorSample};

use super::column::{Cell, Row, SeriesSet, drop_metadata, merge_same_labels};
use super::context::Context;
use super::grid::StepGrid;
use super::{eval, selector, smoothed};

/// Drops the names that were marked for it on the way.
fn cleanup(ctx: &Context<'_>, mut rows: SeriesSet) -> Result<SeriesSet, QueryError> {
    if !ctx.delayed_names {
        return Ok(rows);
    }
    for row in &mut rows {
        if row.drop_name {
            row.labels = drop_metadata(&row.labels);
        }
    }
    merge_same_labels(rows)
}

/// The value of an instant query.
pub(super) fn instant(
    ctx: &Context<'_>,
    plan: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<Value, QueryError> {
    let t = grid.start;
    match plan.ty {
        ValueType::Scalar => Ok(Value::Scalar {
            t,
            v: super::eval_scalar(ctx, plan, grid, notes)?[0],
        }),
        ValueType::String => Ok(Value::String {
            t,
            s: text(plan).unwrap_or_default(),
        }),
        ValueType::Matrix => range_vector(ctx, plan, grid, notes).map(Value::Matrix),
        ValueType::Vector | ValueType::None => {
            let rows = cleanup(ctx, eval(ctx, plan, grid, notes)?)?;
            let sample = |row: &Row| {
                let point = match row.cell(0) {
                    Cell::Absent => return None,
                    Cell::Float(v) => Point::Float(v),
                    Cell::Histogram(h) => Point::Histogram(h.clone()),
                };
                Some(VectorSample {
                    labels: row.labels.clone(),
                    t,
                    point,
                })
            };
            Ok(Value::Vector(rows.iter().filter_map(sample).collect()))
        }
    }
}

fn text(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Text(s) => Some(s.value.clone()),
        Kind::Invariant(inner) => text(inner),
        _ => None,
    }
}

/// The value of a range query.
pub(super) fn range(
    ctx: &Context<'_>,
    plan: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<Value, QueryError> {
    let rows = cleanup(ctx, eval(ctx, plan, grid, notes)?)?;
    Ok(Value::Matrix(sorted(
        rows.into_iter().map(|r| series(r, grid)),
    )))
}

fn sorted(rows: impl Iterator<Item = MatrixSeries>) -> Vec<MatrixSeries> {
    let mut all: Vec<MatrixSeries> = rows
        .filter(|s| !s.floats.is_empty() || !s.histograms.is_empty())
        .collect();
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

fn series(row: Row, grid: StepGrid) -> MatrixSeries {
    let mut histograms = Vec::new();
    let floats = if row.histograms.is_none() {
        Floats::of_steps(grid.start, grid.step, row.values)
    } else {
        let mut floats = Vec::new();
        for i in 0..row.values.len() {
            match row.cell(i) {
                Cell::Absent => {}
                Cell::Float(v) => floats.push((grid.time(i), v)),
                Cell::Histogram(h) => histograms.push((grid.time(i), h.clone())),
            }
        }
        floats.into_iter().collect()
    };
    MatrixSeries {
        labels: row.labels,
        floats,
        histograms,
    }
}

/// A range vector at the top of an instant query: the samples with their own times.
fn range_vector(
    ctx: &Context<'_>,
    node: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<Vec<MatrixSeries>, QueryError> {
    match &node.kind {
        Kind::Invariant(inner) => range_vector(ctx, inner, grid, notes),
        Kind::Subquery(s) => {
            let inner = s.grid(grid);
            let rows = cleanup(ctx, eval(ctx, &s.expr, inner, notes)?)?;
            Ok(sorted(rows.into_iter().map(|r| series(r, inner))))
        }
        Kind::Window(w) => {
            let end = w.selector.data_time(grid.start);
            let (back, ahead) = smoothed::reach(&w.selector, ctx.lookback_ms);
            let start = end.saturating_sub(w.range_ms);
            let mut all = Vec::new();
            let mut buffer = SampleBuffer::default();
            for s in selector::select(ctx, &w.selector)? {
                ctx.check()?;
                let mint = start.saturating_sub(back).saturating_add(1);
                selector::read(&*s, mint, end.saturating_add(ahead), &mut buffer)?;
                let (mut floats, mut histograms) = (Vec::new(), Vec::new());
                let mut weight = 0;
                for i in 0..buffer.len() {
                    let t = buffer.timestamps[i];
                    match buffer.histogram(i) {
                        Some(h) => {
                            weight += super::column::histogram_weight(h);
                            histograms.push((t, h.clone()));
                        }
                        None => {
                            weight += 1;
                            floats.push((t, buffer.values[i]));
                        }
                    }
                }
                ctx.hold(weight)?;
                ctx.count_samples(weight as u64, |_| {});
                let has_histograms = !histograms.is_empty();
                smoothed::trim_to_window(&w.selector, &mut floats, has_histograms, (start, end))?;
                all.push(MatrixSeries {
                    labels: s.labels().clone(),
                    floats: floats.into_iter().collect(),
                    histograms,
                });
            }
            Ok(sorted(all.into_iter()))
        }
        _ => Err(QueryError::Execution("not a range vector".to_owned())),
    }
}
