//! Functions of one number, applied to every float; `clamp*` and `round`.

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::eval::column::{Cell, SeriesSet};

use super::{Invocation, go_math};

/// A function of one number.
pub(crate) type MathFn = fn(f64) -> f64;

static TABLE: &[(&str, MathFn)] = &[
    ("abs", f64::abs),
    ("ceil", f64::ceil),
    ("floor", f64::floor),
    ("exp", f64::exp),
    ("sqrt", f64::sqrt),
    ("ln", go_math::ln),
    ("log2", go_math::log2),
    ("log10", go_math::log10),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tan", f64::tan),
    ("asin", f64::asin),
    ("acos", f64::acos),
    ("atan", go_math::atan),
    ("sinh", f64::sinh),
    ("cosh", f64::cosh),
    ("tanh", f64::tanh),
    ("asinh", f64::asinh),
    ("acosh", f64::acosh),
    ("atanh", f64::atanh),
    ("rad", |v| v * std::f64::consts::PI / 180.0),
    ("deg", |v| v * 180.0 / std::f64::consts::PI),
    ("sgn", |v| {
        if v < 0.0 {
            -1.0
        } else if v > 0.0 {
            1.0
        } else {
            v
        }
    }),
];

/// The function of that name, if it belongs to this family.
pub(super) fn find(name: &str) -> Option<MathFn> {
    TABLE.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

/// Go's `math.Max`: infinity before NaN before the rest, +0 above -0.
pub(crate) fn go_max(x: f64, y: f64) -> f64 {
    if x == f64::INFINITY || y == f64::INFINITY {
        f64::INFINITY
    } else if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == 0.0 && x == y {
        if x.is_sign_negative() { y } else { x }
    } else if x > y {
        x
    } else {
        y
    }
}

/// Go's `math.Min`.
pub(crate) fn go_min(x: f64, y: f64) -> f64 {
    if x == f64::NEG_INFINITY || y == f64::NEG_INFINITY {
        f64::NEG_INFINITY
    } else if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == 0.0 && x == y {
        if x.is_sign_negative() { x } else { y }
    } else if x < y {
        x
    } else {
        y
    }
}

/// Applies `f(value, step)` to the floats and leaves histograms out; the name goes away.
pub(super) fn map_floats(
    inv: &Invocation<'_, '_>,
    mut rows: SeriesSet,
    f: impl Fn(f64, usize) -> Option<f64>,
) -> Result<SeriesSet, QueryError> {
    for row in &mut rows {
        for step in 0..row.values.len() {
            match row.cell(step) {
                Cell::Absent => {}
                Cell::Float(v) => match f(v, step) {
                    Some(v) => row.set_float(step, v),
                    None => row.clear(step),
                },
                Cell::Histogram(_) => row.clear(step),
            }
        }
        row.histograms = None;
    }
    rows.retain(crate::eval::column::Row::has_samples);
    inv.dropped(rows)
}

/// Calls a function of the table.
pub(super) fn call(
    inv: &Invocation<'_, '_>,
    f: MathFn,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let rows = inv.rows(0, notes)?;
    map_floats(inv, rows, |v, _| Some(f(v)))
}

/// `clamp(v, min, max)`, `clamp_min(v, min)`, `clamp_max(v, max)`
pub(super) fn clamp(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let rows = inv.rows(0, notes)?;
    let steps = inv.grid.steps();
    let (low, high) = match inv.call.func.name {
        "clamp" => (inv.scalar(1, notes)?, inv.scalar(2, notes)?),
        "clamp_min" => (inv.scalar(1, notes)?, vec![f64::INFINITY; steps]),
        _ => (vec![f64::NEG_INFINITY; steps], inv.scalar(1, notes)?),
    };
    map_floats(inv, rows, |v, step| {
        let (low, high) = (low[step], high[step]);
        // No result at all when the bounds are the wrong way round.
        if high < low {
            None
        } else {
            Some(go_max(low, go_min(high, v)))
        }
    })
}

/// `round(v, to)`: halves go up. Multiplying by the inverse decides the last digit.
pub(super) fn round(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let rows = inv.rows(0, notes)?;
    let to = match inv.call.args.len() {
        0 | 1 => vec![1.0; inv.grid.steps()],
        _ => inv.scalar(1, notes)?,
    };
    map_floats(inv, rows, |v, step| {
        let inverse = 1.0 / to[step];
        Some((v * inverse + 0.5).floor() / inverse)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn min_and_max_follow_go() {
        assert_eq!(go_max(f64::NAN, f64::INFINITY), f64::INFINITY);
        assert!(go_max(f64::NAN, 1.0).is_nan());
        assert!(go_max(-0.0, 0.0).is_sign_positive());
        assert!(go_min(0.0, -0.0).is_sign_negative());
        assert_eq!(go_min(f64::NEG_INFINITY, f64::NAN), f64::NEG_INFINITY);
    }
}
