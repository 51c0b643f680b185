//! `sort*`: the order of an instant vector.

use std::cmp::Ordering;

use bellwether_model::Labels;

use crate::annotations::{AnnotationKind, Annotations};
use crate::error::QueryError;
use crate::eval::column::{Cell, SeriesSet};

use super::Invocation;

/// In a range query the result is sorted by labels whatever this function does.
fn warn_in_range(inv: &Invocation<'_, '_>, notes: &mut Annotations) {
    if !inv.grid.is_instant() {
        notes.add(AnnotationKind::SortInRangeQuery, inv.span);
    }
}

/// `sort(v)` and `sort_desc(v)`: floats by value, NaN last, histograms left out.
pub(super) fn by_value(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let mut rows = inv.rows(0, notes)?;
    warn_in_range(inv, notes);
    for row in &mut rows {
        if row.histograms.is_some() {
            for step in 0..row.values.len() {
                if matches!(row.cell(step), Cell::Histogram(_)) {
                    row.clear(step);
                }
            }
            row.histograms = None;
        }
    }
    rows.retain(crate::eval::column::Row::has_samples);
    let descending = inv.call.func.name == "sort_desc";
    rows.sort_by(|a, b| by_number(a.values[0], b.values[0], descending));
    Ok(rows)
}

/// Orders numbers with NaN at the end in both directions.
pub(crate) fn by_number(a: f64, b: f64, descending: bool) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => {
            let order = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if descending { order.reverse() } else { order }
        }
    }
}

/// `sort_by_label(v, label, ...)` and `sort_by_label_desc`.
pub(super) fn by_label(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let mut rows = inv.rows(0, notes)?;
    warn_in_range(inv, notes);
    let names = (1..inv.call.args.len())
        .map(|i| inv.text(i))
        .collect::<Result<Vec<_>, _>>()?;
    let compare = |a: &Labels, b: &Labels| {
        names
            .iter()
            .map(|name| natural(a.value(name), b.value(name)))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.cmp(b))
    };
    if inv.call.func.name == "sort_by_label_desc" {
        rows.sort_by(|a, b| compare(&b.labels, &a.labels));
    } else {
        rows.sort_by(|a, b| compare(&a.labels, &b.labels));
    }
    Ok(rows)
}

/// Natural order: runs of digits compare as numbers, the rest as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_parts, mut b_parts) = (parts(a), parts(b));
    loop {
        let order = match (a_parts.next(), b_parts.next()) {
            (None, None) => return a.cmp(b),
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) => part_order(x, y),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn part_order(x: &str, y: &str) -> Ordering {
    let digits = |s: &str| s.starts_with(|c: char| c.is_ascii_digit());
    if digits(x) && digits(y) {
        let (nx, ny) = (x.trim_start_matches('0'), y.trim_start_matches('0'));
        return nx.len().cmp(&ny.len()).then_with(|| nx.cmp(ny));
    }
    x.cmp(y)
}

/// Splits into runs of digits and runs of other characters.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let digit = rest.chars().next()?.is_ascii_digit();
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digit)
            .unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        rest = tail;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order_reads_numbers() {
        let mut texts = vec!["4m1000", "4m5", "4m600", "10", "9", "a", ""];
        texts.sort_by(|a, b| natural(a, b));
        assert_eq!(texts, ["", "4m5", "4m600", "4m1000", "9", "10", "a"]);
    }

    #[test]
    fn nan_is_last_in_both_directions() {
        let mut v = [1.0, f64::NAN, 3.0, 2.0];
        v.sort_by(|a, b| by_number(*a, *b, true));
        assert_eq!(v[..3], [3.0, 2.0, 1.0]);
        v.sort_by(|a, b| by_number(*a, *b, false));
        assert_eq!(v[..3], [1.0, 2.0, 3.0]);
    }
}
