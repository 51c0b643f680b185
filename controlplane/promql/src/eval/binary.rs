//! Binary operators: between scalars, between a vector and a scalar, and the way to vector matching.

use crate::annotations::{AnnotationKind, Annotations};
use bellwether_model::Labels;

use crate::ast::{BinaryOp, Cardinality, ValueType, VectorMatching};
use crate::error::QueryError;
use crate::plan::{Chain, Link};

use super::column::{Cell, Row, Sample, SeriesSet, absent, is_absent};
use super::context::Context;
use super::element::{self, apply, changes_metric};
use super::grid::StepGrid;
use super::{binary_match, eval as eval_node, eval_scalar, finish_dropped, set_ops};

/// The value of a chain of binary operations.
pub(super) fn eval(
    ctx: &Context<'_>,
    chain: &Chain,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let before = ctx.held();
    let mut rows = eval_node(ctx, &chain.first, grid, notes)?;
    let mut ty = chain.first.ty;
    for link in &chain.links {
        ctx.check()?;
        rows = operate(ctx, link, ty, rows, grid, notes)?;
        ty = link.ty;
        ctx.probe(rows.iter().map(Row::weight).sum())?;
        ctx.settle(before + rows.iter().map(|r| r.weight() as i64).sum::<i64>())?;
    }
    Ok(rows)
}

/// One operation; `l` is the value of its left side.
fn operate(
    ctx: &Context<'_>,
    link: &Link,
    left_type: ValueType,
    l: SeriesSet,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let only = |rows: SeriesSet| {
        let row = rows.into_iter().next();
        row.map_or_else(|| vec![f64::NAN; grid.steps()], |r| r.values)
    };
    match (left_type, link.rhs.ty) {
        (ValueType::Scalar, ValueType::Scalar) => {
            if is_trim(link.op) {
                return Err(QueryError::Execution(format!(
                    "operator \"{}\" not allowed for Scalar operations",
                    link.op.as_str()
                )));
            }
            let mut values = only(l);
            let r = eval_scalar(ctx, &link.rhs, grid, notes)?;
            for (l, r) in values.iter_mut().zip(r) {
                *l = element::scalars(link.op, *l, r);
            }
            Ok(vec![Row::floats(Labels::empty(), values)])
        }
        (ValueType::Scalar, _) => {
            let scalar = only(l);
            let vector = eval_node(ctx, &link.rhs, grid, notes)?;
            with_scalar(ctx, link, vector, &scalar, true, notes)
        }
        (_, ValueType::Scalar) => {
            let scalar = eval_scalar(ctx, &link.rhs, grid, notes)?;
            with_scalar(ctx, link, l, &scalar, false, notes)
        }
        _ => {
            let r = eval_node(ctx, &link.rhs, grid, notes)?;
            let default;
            let matching = match &link.matching {
                Some(matching) => matching,
                None => {
                    default = VectorMatching {
                        card: Cardinality::OneToOne,
                        on: false,
                        labels: Vec::new(),
                        include: Vec::new(),
                        fill_left: None,
                        fill_right: None,
                    };
                    &default
                }
            };
            if link.op.is_set() {
                set_ops::eval(ctx, link.op, matching, l, r, grid)
            } else {
                binary_match::eval(ctx, link, matching, &l, &r, grid, notes)
            }
        }
    }
}

/// A vector and a scalar; `swapped` when the scalar stands on the left.
fn with_scalar(
    ctx: &Context<'_>,
    b: &Link,
    mut rows: SeriesSet,
    scalar: &[f64],
    swapped: bool,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    // Of each step only the last problem counts, as upstream.
    let mut problems: Vec<Option<AnnotationKind>> = Vec::new();
    for row in &mut rows {
        if row.histograms.is_none() && !is_trim(b.op) {
            floats_with_scalar(b, &mut row.values, scalar, swapped);
        } else {
            problems.resize(scalar.len(), None);
            cells_with_scalar(b, row, scalar, swapped, &mut problems);
        }
    }
    for kind in problems.into_iter().flatten() {
        notes.add(kind, b.span);
    }
    rows.retain(Row::has_samples);
    if changes_metric(b.op) || b.return_bool {
        finish_dropped(ctx, rows)
    } else {
        Ok(rows)
    }
}

/// The common case: a row without histograms.
fn floats_with_scalar(b: &Link, values: &mut [f64], scalar: &[f64], swapped: bool) {
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
}

fn is_trim(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper)
}

fn cells_with_scalar(
    b: &Link,
    row: &mut Row,
    scalar: &[f64],
    swapped: bool,
    problems: &mut [Option<AnnotationKind>],
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
            problems[step] = Some(kind);
            row.clear(step);
            continue;
        }
        if b.return_bool {
            row.set_float(step, f64::from(outcome.keep));
            continue;
        }
        // A comparison filters the vector, on whichever side it stands.
        let result = if b.op.is_comparison() {
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
