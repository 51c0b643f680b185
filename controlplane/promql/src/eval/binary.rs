//! Binary operators: between scalars, between a vector and a scalar, and the way to vector matching.

use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Span, ValueType, VectorMatching};
use crate::error::QueryError;
use crate::plan::Binary;

use super::column::{Cell, Row, Sample, SeriesSet, absent, is_absent};
use super::context::Context;
use super::element::{self, apply, changes_metric, is_comparison};
use super::grid::StepGrid;
use super::{binary_match, eval as eval_node, eval_scalar, finish_dropped, set_ops};

/// The value of a binary operation.
pub(super) fn eval(
    ctx: &Context<'_>,
    b: &Binary,
    span: Span,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let before = ctx.held();
    let rows = match (b.lhs.ty, b.rhs.ty) {
        (ValueType::Scalar, ValueType::Scalar) => {
            let l = eval_scalar(ctx, &b.lhs, grid, notes)?;
            let r = eval_scalar(ctx, &b.rhs, grid, notes)?;
            let values = l
                .iter()
                .zip(&r)
                .map(|(l, r)| element::scalars(b.op, *l, *r));
            vec![Row::floats(
                bellwether_model::Labels::empty(),
                values.collect(),
            )]
        }
        (ValueType::Scalar, _) => {
            let scalar = eval_scalar(ctx, &b.lhs, grid, notes)?;
            let vector = eval_node(ctx, &b.rhs, grid, notes)?;
            with_scalar(ctx, b, vector, &scalar, true, span, notes)?
        }
        (_, ValueType::Scalar) => {
            let vector = eval_node(ctx, &b.lhs, grid, notes)?;
            let scalar = eval_scalar(ctx, &b.rhs, grid, notes)?;
            with_scalar(ctx, b, vector, &scalar, false, span, notes)?
        }
        _ => {
            let l = eval_node(ctx, &b.lhs, grid, notes)?;
            let r = eval_node(ctx, &b.rhs, grid, notes)?;
            let default;
            let matching = match &b.matching {
                Some(matching) => matching,
                None => {
                    default = VectorMatching {
                        card: crate::ast::Cardinality::OneToOne,
                        on: false,
                        labels: Vec::new(),
                        include: Vec::new(),
                        fill_left: None,
                        fill_right: None,
                    };
                    &default
                }
            };
            match b.op {
                BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => {
                    set_ops::eval(b.op, matching, l, r, grid)?
                }
                _ => binary_match::eval(ctx, b, matching, &l, &r, span, grid, notes)?,
            }
        }
    };
    ctx.probe(rows.iter().map(Row::weight).sum())?;
    ctx.settle(before + rows.iter().map(|r| r.weight() as i64).sum::<i64>())?;
    Ok(rows)
}

/// A vector and a scalar; `swapped` when the scalar stands on the left.
fn with_scalar(
    ctx: &Context<'_>,
    b: &Binary,
    mut rows: SeriesSet,
    scalar: &[f64],
    swapped: bool,
    span: Span,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    for row in &mut rows {
        if row.histograms.is_none() {
            floats_with_scalar(b, &mut row.values, scalar, swapped);
        } else {
            cells_with_scalar(b, row, scalar, swapped, span, notes);
        }
    }
    rows.retain(Row::has_samples);
    if changes_metric(b.op) || b.return_bool {
        finish_dropped(ctx, rows)
    } else {
        Ok(rows)
    }
}

/// The common case: a row without histograms.
fn floats_with_scalar(b: &Binary, values: &mut [f64], scalar: &[f64], swapped: bool) {
    let present = values
        .iter_mut()
        .zip(scalar)
        .filter(|(v, _)| !is_absent(**v));
    for (v, s) in present {
        let (l, r) = if swapped { (*s, *v) } else { (*v, *s) };
        if let Some(result) = element::arithmetic(b.op, l, r) {
            *v = result;
            continue;
        }
        let holds = element::compare(b.op, l, r).unwrap_or(false);
        if b.return_bool {
            *v = f64::from(holds);
        } else if !holds {
            *v = absent();
        }
    }
    if matches!(b.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
        values.fill(absent());
    }
}

fn cells_with_scalar(
    b: &Binary,
    row: &mut Row,
    scalar: &[f64],
    swapped: bool,
    span: Span,
    notes: &mut Annotations,
) {
    for (step, s) in scalar.iter().enumerate() {
        let own = row.cell(step);
        if matches!(own, Cell::Absent) {
            continue;
        }
        let s = Cell::Float(*s);
        let outcome = if swapped {
            apply(b.op, s, own)
        } else {
            apply(b.op, own, s)
        };
        if let Some(kind) = outcome.problem.filter(|kind| !kind.is_warning()) {
            notes.add(kind, span);
            row.clear(step);
            continue;
        }
        if b.return_bool {
            row.set_float(step, f64::from(outcome.keep));
            continue;
        }
        // A comparison filters the vector, on whichever side it stands.
        let result = if is_comparison(b.op) {
            own.to_sample()
        } else {
            outcome.sample
        };
        match result {
            Some(Sample::Float(v)) if outcome.keep => row.set_float(step, v),
            Some(Sample::Histogram(h)) if outcome.keep => row.set_histogram(step, h),
            _ => row.clear(step),
        }
    }
}
