//! The `anchored` and `smoothed` modifiers: selectors that look beyond their window.

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::storage::SampleBuffer;

use crate::annotations::{AnnotationKind, Annotations};
use crate::ast::Span;
use crate::error::QueryError;
use crate::functions::extended::{Notes, boundaries, ends, interpolate};
use crate::plan::Selector;

use super::column::{Row, SeriesSet};
use super::context::Context;
use super::grid::StepGrid;
use super::selector;

/// How much a window reaches back and ahead beyond its range, in milliseconds.
pub(super) fn reach(s: &Selector, lookback: i64) -> (i64, i64) {
    match (s.anchored, s.smoothed) {
        (true, _) => (lookback, 0),
        (_, true) => (lookback, lookback),
        _ => (0, 0),
    }
}

/// Refuses the modifiers for functions that would misread the samples outside the window.
pub(super) fn check_function(s: &Selector, name: &str) -> Result<(), QueryError> {
    let (modifier, allowed): (_, &[&str]) = if s.anchored {
        (
            "anchored",
            &["changes", "delta", "increase", "rate", "resets"],
        )
    } else if s.smoothed {
        ("smoothed", &["delta", "increase", "rate"])
    } else {
        return Ok(());
    };
    if allowed.contains(&name) {
        return Ok(());
    }
    Err(QueryError::Execution(format!(
        "{modifier} modifier can only be used with: {} - not with {name}",
        allowed.join(", ")
    )))
}

/// Replaces the samples of a range vector at the top of a query by those of the window with exact ends.
pub(super) fn trim_to_window(
    s: &Selector,
    floats: &mut Vec<(i64, f64)>,
    has_histograms: bool,
    (start, end): (i64, i64),
) -> Result<(), QueryError> {
    if !s.anchored && !s.smoothed {
        return Ok(());
    }
    if has_histograms {
        let modifier = if s.anchored { "anchored" } else { "smoothed" };
        return Err(QueryError::Execution(format!(
            "{modifier} modifier is not supported with histograms"
        )));
    }
    let (times, values): (Vec<i64>, Vec<f64>) = floats.iter().copied().unzip();
    floats.clear();
    let Some((mut first, last)) = ends(&times, start, end, s.smoothed) else {
        return Ok(());
    };
    let (left, right) = boundaries(
        &times,
        &values,
        (first, last),
        (start, end),
        s.smoothed,
        false,
    );
    if times[first] <= start {
        first += 1;
    }
    let until = if times[last] >= end { last } else { last + 1 };
    floats.push((start, left));
    for i in first..until.max(first) {
        floats.push((times[i], values[i]));
    }
    floats.push((end, right));
    Ok(())
}

/// An instant selector with `smoothed`: values between samples are interpolated.
pub(super) fn selector(
    ctx: &Context<'_>,
    s: &Selector,
    span: Span,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let lookback = ctx.lookback_ms;
    let mint = s.data_time(grid.start).saturating_sub(lookback - 1);
    let maxt = s.newest(grid.last()).saturating_add(lookback);
    let mut rows = Vec::new();
    let mut buffer = SampleBuffer::default();
    for series in selector::select(ctx, s)? {
        ctx.check()?;
        selector::read(&*series, mint, maxt, &mut buffer)?;
        if s.stats_only {
            selector::keep_stats(&mut buffer);
        }
        let name = series.labels().metric_name().unwrap_or("");
        let mut row = Row::empty(series.labels().clone(), grid.steps());
        for step in 0..grid.steps() {
            let at = s.data_time(grid.time(step));
            let from = buffer
                .timestamps
                .partition_point(|t| *t <= at.saturating_sub(lookback));
            let until = buffer
                .timestamps
                .partition_point(|t| *t <= at.saturating_add(lookback));
            if from == until {
                continue;
            }
            let kinds: Vec<bool> = (from..until)
                .map(|i| buffer.histogram(i).is_some())
                .collect();
            if kinds.contains(&true) && kinds.contains(&false) {
                notes.add(AnnotationKind::MixedFloatsHistograms(name.to_owned()), span);
                continue;
            }
            let next = from + buffer.timestamps[from..until].partition_point(|t| *t < at);
            let exact = next < until && buffer.timestamps[next] == at;
            if next == from && !exact {
                continue;
            }
            let time = |i: usize| buffer.timestamps[i];
            if kinds[0] {
                let mut noter = Notes { name, span, notes };
                if let Some(h) = smoothed_histogram(&buffer, next, until, at, exact, &mut noter) {
                    row.set_histogram(step, h.into());
                }
            } else if exact {
                row.set_float(step, buffer.values[next]);
            } else if next < until {
                let p = (time(next - 1), buffer.values[next - 1]);
                let q = (time(next), buffer.values[next]);
                row.set_float(step, interpolate(p, q, at, false));
            } else {
                row.set_float(step, buffer.values[next - 1]);
            }
        }
        if row.has_samples() {
            ctx.hold(row.weight())?;
            rows.push(row);
        }
    }
    Ok(rows)
}

fn smoothed_histogram(
    buffer: &SampleBuffer,
    next: usize,
    until: usize,
    at: i64,
    exact: bool,
    notes: &mut Notes<'_>,
) -> Option<bellwether_model::FloatHistogram> {
    if exact {
        return buffer.histogram(next).map(|h| (**h).clone());
    }
    let previous = buffer.histogram(next - 1)?;
    if next == until {
        // The hint is about the sample before, not about the value.
        let mut h = (**previous).clone();
        h.reset_hint = CounterResetHint::Unknown;
        return Some(h);
    }
    let following = buffer.histogram(next)?;
    // Between the two kinds of buckets there is nothing in between, not even after a reset.
    if previous.uses_custom_buckets() != following.uses_custom_buckets() {
        return notes.mixed_buckets();
    }
    let gauge = |h: &bellwether_model::FloatHistogram| h.reset_hint == CounterResetHint::Gauge;
    let counter = !gauge(previous) || !gauge(following);
    let (p, q) = (
        (buffer.timestamps[next - 1], &**previous),
        (buffer.timestamps[next], &**following),
    );
    notes.interpolate(p, q, at, counter)
}
