//! Between scalars and vectors: `scalar`, `vector`, `time`, `min_of`, `max_of`.

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::eval::column::{Cell, SeriesSet};

use super::Invocation;

/// `scalar(v)`: the only float, NaN for none or several.
pub(super) fn scalar(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let rows = inv.rows(0, notes)?;
    let mut values = vec![f64::NAN; inv.grid.steps()];
    for (step, value) in values.iter_mut().enumerate() {
        let mut floats = rows.iter().filter_map(|r| match r.cell(step) {
            Cell::Float(v) => Some(v),
            _ => None,
        });
        if let (Some(only), None) = (floats.next(), floats.next()) {
            *value = only;
        }
    }
    Ok(inv.unlabelled(values))
}

/// `vector(s)`
pub(super) fn vector(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    Ok(inv.unlabelled(inv.scalar(0, notes)?))
}

/// `time()`
pub(super) fn time(inv: &Invocation<'_, '_>) -> SeriesSet {
    let seconds = |step| inv.grid.time(step) as f64 / 1000.0;
    inv.unlabelled((0..inv.grid.steps()).map(seconds).collect())
}

/// `min_of(a, b)` and `max_of(a, b)`
pub(super) fn extreme(
    inv: &Invocation<'_, '_>,
    pick: fn(f64, f64) -> f64,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let (a, b) = (inv.scalar(0, notes)?, inv.scalar(1, notes)?);
    Ok(inv.unlabelled(a.iter().zip(&b).map(|(a, b)| pick(*a, *b)).collect()))
}
