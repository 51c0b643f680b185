//! Calendar functions and `timestamp`.

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::eval::column::{Cell, SeriesSet};
use crate::eval::selector::{self, Show};
use crate::plan::{Kind, Node, Selector};

use super::{Invocation, math};

/// A UTC time in calendar fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calendar {
    /// Seconds since midnight.
    seconds: u64,
    /// 0 is Sunday.
    weekday: u64,
    year: i128,
    month: u8,
    day: u8,
}

/// A calendar field.
pub(crate) type CalendarFn = fn(&Calendar) -> f64;

static TABLE: &[(&str, CalendarFn)] = &[
    ("days_in_month", |t| {
        f64::from(days_in_month(t.year, t.month))
    }),
    ("day_of_month", |t| f64::from(t.day)),
    ("day_of_week", |t| t.weekday as f64),
    ("day_of_year", |t| {
        let before: u32 = (1..t.month)
            .map(|m| u32::from(days_in_month(t.year, m)))
            .sum();
        f64::from(before + u32::from(t.day))
    }),
    ("hour", |t| (t.seconds / 3600) as f64),
    ("minute", |t| (t.seconds % 3600 / 60) as f64),
    ("month", |t| f64::from(t.month)),
    ("year", |t| t.year as f64),
];

fn days_in_month(year: i128, month: u8) -> u8 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.rem_euclid(4) == 0
            && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) =>
        {
            29
        }
        2 => 28,
        _ => 31,
    }
}

/// The function of that name, if it belongs to this family.
pub(super) fn find(name: &str) -> Option<CalendarFn> {
    TABLE.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

/// Seconds from the start of Go's absolute time (year -292277022399) to the epoch. Go counts from there in 64
/// bits without a sign, so times at the far ends wrap around.
const ABSOLUTE_TO_EPOCH: i64 = 9_223_372_028_715_321_600;

/// The calendar fields of a time in seconds since the epoch.
fn calendar(seconds: i64) -> Calendar {
    let absolute = seconds.wrapping_add(ABSOLUTE_TO_EPOCH).cast_unsigned();
    let days = i128::from(absolute / 86400) - i128::from(ABSOLUTE_TO_EPOCH / 86400);
    // Years begin in March here, so that the leap day is the last of a year; eras are 400 years.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    Calendar {
        seconds: absolute % 86400,
        weekday: u64::try_from((days + 4).rem_euclid(7)).unwrap_or(0),
        year: year_of_era + era * 400 + i128::from(month <= 2),
        month: u8::try_from(month).unwrap_or(1),
        day: u8::try_from(day_of_year - (153 * march_month + 2) / 5 + 1).unwrap_or(1),
    }
}

/// Calls a function of the table; without an argument it is about the evaluation time.
pub(super) fn call(
    inv: &Invocation<'_, '_>,
    f: CalendarFn,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    if inv.call.args.is_empty() {
        let at = |step| f(&calendar(inv.grid.time(step) / 1000));
        return Ok(inv.unlabelled((0..inv.grid.steps()).map(at).collect()));
    }
    let rows = inv.rows(0, notes)?;
    // NaN and out-of-range values convert like Go's int64(f) on amd64: to the least integer.
    let limit = 9_223_372_036_854_775_808.0;
    let seconds = |v: f64| {
        if (-limit..limit).contains(&v) {
            v as i64
        } else {
            i64::MIN
        }
    };
    math::map_floats(inv, rows, |v, _| Some(f(&calendar(seconds(v)))))
}

/// A selector that stands directly in the argument. As in Prometheus, `smoothed` has no meaning here.
fn direct(node: &Node) -> Option<&Selector> {
    match &node.kind {
        Kind::Selector(s) => Some(s),
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

/// `start_timestamp(v)`: when the counters of a selector's samples began, 0 where that is not known. Other vectors
/// have no start timestamps, so there is no result.
pub(super) fn start_timestamp(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    match direct(&inv.call.args[0]) {
        Some(s) if inv.ctx.start_timestamps => {
            let series = selector::select(inv.ctx, s)?;
            let rows = selector::rows_of(inv.ctx, s, inv.grid, Show::StartTime, &series)?;
            inv.dropped(rows)
        }
        _ => {
            inv.rows(0, notes)?;
            Ok(Vec::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calendar_agrees_with_known_dates() {
        for (seconds, year, month, day, weekday) in [
            (0, 1970, 1, 1, 4),
            (1_583_020_799, 2020, 2, 29, 6),
            (1_583_020_800, 2020, 3, 1, 0),
            (-1, 1969, 12, 31, 3),
            (951_782_400, 2000, 2, 29, 2),
            (-2_203_891_200, 1900, 3, 1, 4),
        ] {
            let c = calendar(seconds);
            assert_eq!(
                (c.year, c.month, c.day, c.weekday),
                (year, month, day, weekday)
            );
        }
        // What Go makes of the least integer, into which NaN and infinities convert.
        assert_eq!(calendar(i64::MIN).seconds / 3600, 15);
    }
}
