//! Calendar functions and `timestamp`.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::eval::column::{Cell, SeriesSet};
use crate::eval::selector::{self, Show};
use crate::plan::{Kind, Node, Selector};

use super::{Invocation, math};

/// A calendar field of a UTC time.
pub(crate) type CalendarFn = fn(&jiff::civil::DateTime) -> f64;

static TABLE: &[(&str, CalendarFn)] = &[
    ("days_in_month", |t| f64::from(t.date().days_in_month())),
    ("day_of_month", |t| f64::from(t.day())),
    ("day_of_week", |t| {
        f64::from(Weekday::to_sunday_zero_offset(t.weekday()))
    }),
    ("day_of_year", |t| f64::from(t.day_of_year())),
    ("hour", |t| f64::from(t.hour())),
    ("minute", |t| f64::from(t.minute())),
    ("month", |t| f64::from(t.month())),
    ("year", |t| f64::from(t.year())),
];

/// The function of that name, if it belongs to this family.
pub(super) fn find(name: &str) -> Option<CalendarFn> {
    TABLE.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

/// The field at a time in seconds. Times outside the calendar (years -9999 to 9999) count as its ends.
fn field(f: CalendarFn, seconds: i64) -> f64 {
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or(if seconds < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    });
    f(&TimeZone::UTC.to_datetime(stamp))
}

/// Calls a function of the table; without an argument it is about the evaluation time.
pub(super) fn call(
    inv: &Invocation<'_, '_>,
    f: CalendarFn,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    if inv.call.args.is_empty() {
        let at = |step| field(f, inv.grid.time(step) / 1000);
        return Ok(inv.unlabelled((0..inv.grid.steps()).map(at).collect()));
    }
    let rows = inv.rows(0, notes)?;
    // NaN and out-of-range values convert like Go's int64(f) on amd64: to the least integer.
    let seconds = |v: f64| {
        if v.is_nan() || v.abs() >= 9.2e18 {
            i64::MIN
        } else {
            v as i64
        }
    };
    math::map_floats(inv, rows, |v, _| Some(field(f, seconds(v))))
}

/// A selector that stands directly in the argument.
fn direct(node: &Node) -> Option<&Selector> {
    match &node.kind {
        Kind::Selector(s) if !s.smoothed => Some(s),
        Kind::Invariant(inner) => direct(inner),
        _ => None,
    }
}

/// `timestamp(v)`: the samples' own times for a selector, the evaluation times for anything else.
pub(super) fn timestamp(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    if let Some(s) = direct(&inv.call.args[0]) {
        let series = selector::select(inv.ctx, s)?;
        let rows = selector::rows_of(inv.ctx, s, inv.grid, Show::Time, &series)?;
        return inv.dropped(rows);
    }
    let mut rows = inv.rows(0, notes)?;
    for row in &mut rows {
        for step in 0..row.values.len() {
            if !matches!(row.cell(step), Cell::Absent) {
                row.values[step] = inv.grid.time(step) as f64 / 1000.0;
            }
        }
        row.histograms = None;
    }
    inv.dropped(rows)
}

/// `start_timestamp(v)`: samples have no start timestamps yet, so there is no result.
pub(super) fn start_timestamp(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    inv.rows(0, notes)?;
    Ok(Vec::new())
}
