//! Binary operators on single samples.

use std::sync::Arc;

use bellwether_model::FloatHistogram;
use bellwether_model::histogram::{CounterResetHint, Keep};

use crate::annotations::{AnnotationKind, HistogramOperation};
use crate::ast::BinaryOp;
use crate::functions::go_math;

use super::column::{Cell, Sample};

/// What an operator made of two samples.
pub(super) struct Outcome {
    /// The result; for a comparison the left sample. `None` when the types do not fit.
    pub(super) sample: Option<Sample>,
    /// Whether a comparison holds; true for arithmetic.
    pub(super) keep: bool,
    /// Something to tell although there is a result.
    pub(super) info: Option<AnnotationKind>,
    /// Why vectors get no result here.
    pub(super) problem: Option<AnnotationKind>,
}

impl Outcome {
    fn of(sample: Sample, keep: bool) -> Self {
        Self {
            sample: Some(sample),
            keep,
            info: None,
            problem: None,
        }
    }

    fn refused(kind: AnnotationKind) -> Self {
        Self {
            sample: None,
            keep: false,
            info: None,
            problem: Some(kind),
        }
    }
}

/// Whether the result is another metric, so that the name goes away.
pub(super) fn changes_metric(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Pow
            | BinaryOp::Atan2
    )
}

/// Arithmetic on numbers, `None` for other operators.
#[inline]
pub(super) fn arithmetic(op: BinaryOp, l: f64, r: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => l + r,
        BinaryOp::Sub => l - r,
        BinaryOp::Mul => l * r,
        BinaryOp::Div => l / r,
        BinaryOp::Mod => l % r,
        BinaryOp::Pow => l.powf(r),
        BinaryOp::Atan2 => go_math::atan2(l, r),
        _ => return None,
    })
}

/// A comparison of numbers, `None` for other operators.
#[inline]
#[allow(clippy::float_cmp)]
pub(super) fn compare(op: BinaryOp, l: f64, r: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Eq => l == r,
        BinaryOp::Ne => l != r,
        BinaryOp::Gt => l > r,
        BinaryOp::Lt => l < r,
        BinaryOp::Ge => l >= r,
        BinaryOp::Le => l <= r,
        _ => return None,
    })
}

/// An operator between two scalars: comparisons give 0 or 1.
pub(super) fn scalars(op: BinaryOp, l: f64, r: f64) -> f64 {
    arithmetic(op, l, r)
        .or_else(|| compare(op, l, r).map(f64::from))
        .unwrap_or(f64::NAN)
}

/// An operator between two samples.
pub(super) fn apply(op: BinaryOp, l: Cell<'_>, r: Cell<'_>) -> Outcome {
    let types = |l, r| Outcome::refused(AnnotationKind::IncompatibleTypes(l, op.as_str(), r));
    match (l, r) {
        (Cell::Float(l), Cell::Float(r)) => match (arithmetic(op, l, r), compare(op, l, r)) {
            (Some(v), _) => Outcome::of(Sample::Float(v), true),
            (_, Some(keep)) => Outcome::of(Sample::Float(l), keep),
            _ => types("float", "float"),
        },
        (Cell::Float(l), Cell::Histogram(r)) if op == BinaryOp::Mul => changed(r, |h| h.mul(l)),
        (Cell::Float(_), Cell::Histogram(_)) => types("float", "histogram"),
        (Cell::Histogram(l), Cell::Float(r)) => match op {
            BinaryOp::Mul => changed(l, |h| h.mul(r)),
            BinaryOp::Div => changed(l, |h| h.div(r)),
            BinaryOp::TrimUpper => trimmed(l, r, Keep::Below),
            BinaryOp::TrimLower => trimmed(l, r, Keep::Above),
            _ => types("histogram", "float"),
        },
        (Cell::Histogram(l), Cell::Histogram(r)) => match op {
            BinaryOp::Add => combined(l, r, HistogramOperation::Addition, op),
            BinaryOp::Sub => combined(l, r, HistogramOperation::Subtraction, op),
            BinaryOp::Eq => Outcome::of(Sample::Histogram(Arc::clone(l)), l.equals(r)),
            BinaryOp::Ne => Outcome::of(Sample::Histogram(Arc::clone(l)), !l.equals(r)),
            _ => types("histogram", "histogram"),
        },
        _ => Outcome {
            sample: None,
            keep: false,
            info: None,
            problem: None,
        },
    }
}

fn changed(h: &FloatHistogram, f: impl FnOnce(&mut FloatHistogram)) -> Outcome {
    let mut h = h.clone();
    f(&mut h);
    h.compact();
    Outcome::of(Sample::Histogram(Arc::new(h)), true)
}

fn trimmed(h: &FloatHistogram, at: f64, keep: Keep) -> Outcome {
    let mut h = h.clone();
    h.trim(at, keep);
    Outcome::of(Sample::Histogram(Arc::new(h)), true)
}

fn combined(
    l: &FloatHistogram,
    r: &FloatHistogram,
    operation: HistogramOperation,
    op: BinaryOp,
) -> Outcome {
    let mut h = l.clone();
    let subtract = operation == HistogramOperation::Subtraction;
    let result = if subtract { h.sub(r) } else { h.add(r) };
    let Ok(outcome) = result else {
        return Outcome::refused(AnnotationKind::IncompatibleBucketLayout(op.as_str()));
    };
    if subtract {
        h.reset_hint = CounterResetHint::Gauge;
    }
    h.compact();
    Outcome {
        sample: Some(Sample::Histogram(Arc::new(h))),
        keep: true,
        info: outcome
            .bounds_reconciled
            .then_some(AnnotationKind::MismatchedCustomBuckets(operation)),
        problem: outcome
            .reset_collision
            .then_some(AnnotationKind::CounterResetCollision(operation)),
    }
}
