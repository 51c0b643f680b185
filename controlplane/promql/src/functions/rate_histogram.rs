//! The change of native histograms over a window.

use std::sync::Arc;

use bellwether_model::FloatHistogram;
use bellwether_model::histogram::CounterResetHint;

use crate::annotations::{AnnotationKind, HistogramOperation};
use crate::eval::ranges::Env;

use super::start_time::{begun, overlap, restarted};

/// Last minus first histogram, plus what was lost in counter resets. `None`, with a note, when they do not fit
/// together. There are at least two; with them go the columns of their start timestamps (empty when none is
/// known) and times.
pub(super) fn change(
    all: &[Arc<FloatHistogram>],
    columns: (&[i64], &[i64]),
    counter: bool,
    env: &mut Env<'_>,
) -> Option<FloatHistogram> {
    let mut kinds: Vec<AnnotationKind> = Vec::new();
    let result = combine(all, columns, counter, env.name, &mut kinds);
    for kind in kinds {
        env.notes.add(kind, env.span);
    }
    result
}

/// The sum of two, `None` with a note when they do not fit together.
pub(super) fn plus(
    mut a: FloatHistogram,
    b: &FloatHistogram,
    env: &mut Env<'_>,
) -> Option<FloatHistogram> {
    let Ok(outcome) = a.add(b) else {
        env.note(AnnotationKind::MixedExponentialCustom);
        return None;
    };
    if outcome.bounds_reconciled {
        let kind = AnnotationKind::MismatchedCustomBuckets(HistogramOperation::Addition);
        env.notes.add(kind, env.span);
    }
    Some(a)
}

fn combine(
    all: &[Arc<FloatHistogram>],
    (starts, times): (&[i64], &[i64]),
    counter: bool,
    name: &str,
    kinds: &mut Vec<AnnotationKind>,
) -> Option<FloatHistogram> {
    let (first, last) = (&all[0], &all[all.len() - 1]);
    let gauge = |h: &FloatHistogram| h.reset_hint == CounterResetHint::Gauge;
    let not_counter = || AnnotationKind::NativeNotCounter(name.to_owned());
    let incompatible = |kinds: &mut Vec<AnnotationKind>| {
        kinds.clear();
        kinds.push(AnnotationKind::MixedExponentialCustom(name.to_owned()));
    };
    if counter && (gauge(first) || gauge(last)) {
        kinds.push(not_counter());
    }
    let at = |i| begun(starts, times, i);
    // Before a reset the first sample does not matter, nor does its layout.
    let second = &all[1];
    let nothing;
    let start: &FloatHistogram =
        if counter && (restarted(at(0), at(1)) || second.detect_reset(first)) {
            nothing = FloatHistogram {
                schema: second.schema,
                custom_values: second.custom_values.clone(),
                ..FloatHistogram::default()
            };
            &nothing
        } else {
            first
        };
    let custom = start.uses_custom_buckets();
    if last.uses_custom_buckets() != custom {
        kinds.push(AnnotationKind::MixedExponentialCustom(name.to_owned()));
        return None;
    }
    let mut schema = last.schema.min(start.schema);
    if counter {
        for h in &all[1..all.len() - 1] {
            if gauge(h) {
                kinds.push(not_counter());
            }
            schema = schema.min(h.schema);
            if h.uses_custom_buckets() != custom {
                incompatible(kinds);
                return None;
            }
        }
    }
    let mut result = last.copy_to_schema(schema);
    match result.sub(start) {
        Ok(outcome) if outcome.bounds_reconciled => {
            kinds.push(AnnotationKind::MismatchedCustomBuckets(
                HistogramOperation::Subtraction,
            ));
        }
        Ok(_) => {}
        Err(_) => {
            incompatible(kinds);
            return None;
        }
    }
    if counter {
        let mut previous = start;
        let mut overlapped = false;
        for (i, current) in all.iter().enumerate().skip(1) {
            if !overlapped && overlap(at(i - 1), at(i)) {
                kinds.push(AnnotationKind::StartTimeOverlap(name.to_owned()));
                overlapped = true;
            }
            if restarted(at(i - 1), at(i)) || current.detect_reset(previous) {
                match result.add(previous) {
                    Ok(outcome) if outcome.bounds_reconciled => kinds.push(
                        AnnotationKind::MismatchedCustomBuckets(HistogramOperation::Addition),
                    ),
                    Ok(_) => {}
                    Err(_) => {
                        incompatible(kinds);
                        return None;
                    }
                }
            }
            previous = current;
        }
    } else if !gauge(first) || !gauge(last) {
        kinds.push(AnnotationKind::NativeNotGauge(name.to_owned()));
    }
    result.reset_hint = CounterResetHint::Gauge;
    result.compact();
    Some(result)
}
