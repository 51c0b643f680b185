//! Whether a result is what a script expects.

use bellwether_model::{FloatHistogram, Labels, is_stale_nan};
use hashbrown::HashMap;

use crate::value::{MatrixSeries, Point, Value, VectorSample};

use super::script::{Eval, Expected, When};
use super::values::SequenceValue;

const EPSILON: f64 = 1e-6;

/// Equal up to a relative difference; NaN equals NaN, a stale marker only itself.
pub(super) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale_nan(a) || is_stale_nan(b) {
        return is_stale_nan(a) && is_stale_nan(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let diff = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < EPSILON * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < EPSILON
}

fn histogram_equal(expected: &FloatHistogram, got: &FloatHistogram, hint: bool) -> bool {
    let (mut a, mut b) = (expected.clone(), got.clone());
    a.compact();
    b.compact();
    let all = |a: &[f64], b: &[f64]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| almost_equal(*a, *b))
    };
    a.schema == b.schema
        && almost_equal(a.count, b.count)
        && almost_equal(a.sum, b.sum)
        && (!a.uses_custom_buckets() || a.custom_values == b.custom_values)
        && a.zero_threshold == b.zero_threshold
        && almost_equal(a.zero_count, b.zero_count)
        && a.negative_spans == b.negative_spans
        && a.positive_spans == b.positive_spans
        && all(&a.negative_buckets, &b.negative_buckets)
        && all(&a.positive_buckets, &b.positive_buckets)
        && (!hint || a.reset_hint == b.reset_hint)
}

fn check_value(labels: &Labels, expected: &SequenceValue, got: &Point) -> Result<(), String> {
    let equal = match (expected, got) {
        (SequenceValue::Float(e), Point::Float(g)) => almost_equal(*e, *g),
        (SequenceValue::Histogram(e, hint), Point::Histogram(g)) => histogram_equal(e, g, *hint),
        _ => false,
    };
    if equal {
        return Ok(());
    }
    Err(format!("{labels}: expected {expected:?}, got {got:?}"))
}

/// Compares a result.
pub(super) fn check(eval: &Eval, value: &Value) -> Result<(), String> {
    match value {
        Value::String { s, .. } => match &eval.string {
            Some(expected) if expected == s => Ok(()),
            expected => Err(format!("expected {expected:?}, got the string {s:?}")),
        },
        Value::Scalar { v, .. } => check_scalar(eval, *v),
        Value::Vector(samples) => check_vector(eval, samples),
        Value::Matrix(series) => check_matrix(eval, series),
    }
}

pub(super) fn check_scalar(eval: &Eval, v: f64) -> Result<(), String> {
    match eval.scalar {
        Some(expected) if almost_equal(expected, v) => Ok(()),
        expected => Err(format!("expected {expected:?}, got the scalar {v}")),
    }
}

pub(super) fn check_vector(eval: &Eval, samples: &[VectorSample]) -> Result<(), String> {
    if eval.scalar.is_some() {
        return Err("expected a scalar, got a vector".to_owned());
    }
    let expected: HashMap<&Labels, usize> = eval
        .series
        .iter()
        .enumerate()
        .map(|(i, (labels, _))| (labels, i))
        .collect();
    let mut seen = vec![false; eval.series.len()];
    for (position, sample) in samples.iter().enumerate() {
        let Some(&at) = expected.get(&sample.labels) else {
            return Err(format!("unexpected {} = {:?}", sample.labels, sample.point));
        };
        if eval.ordered && at != position {
            return Err(format!(
                "{} at position {position}, not {at}",
                sample.labels
            ));
        }
        let value = eval.series[at].1.first().unwrap_or(&SequenceValue::Omitted);
        check_value(&sample.labels, value, &sample.point)?;
        seen[at] = true;
    }
    missing(eval, &seen)
}

fn missing(eval: &Eval, seen: &[bool]) -> Result<(), String> {
    match seen.iter().position(|s| !s) {
        Some(at) => Err(format!("{} is missing", eval.series[at].0)),
        None => Ok(()),
    }
}

/// Range results have to be sorted by labels.
pub(super) fn check_sorted(series: &[MatrixSeries]) -> Result<(), String> {
    if series.is_sorted_by(|a, b| a.labels <= b.labels) {
        Ok(())
    } else {
        Err("the matrix is not sorted by labels".to_owned())
    }
}

fn check_matrix(eval: &Eval, series: &[MatrixSeries]) -> Result<(), String> {
    if eval.scalar.is_some() || eval.ordered {
        return Err("expected something else than a matrix".to_owned());
    }
    check_sorted(series)?;
    let (start, end, step) = match (eval.range_vector, eval.when) {
        (Some(times), _) => times,
        (None, When::Range(start, end, step)) => (start, end, step),
        (None, When::Instant(t)) => (t, t, 1),
    };
    let expected: HashMap<&Labels, usize> = eval
        .series
        .iter()
        .enumerate()
        .map(|(i, (labels, _))| (labels, i))
        .collect();
    let mut seen = vec![false; eval.series.len()];
    for s in series {
        let Some(&at) = expected.get(&s.labels) else {
            return Err(format!("unexpected {s:?}"));
        };
        seen[at] = true;
        let mut got: Vec<(i64, Point)> = s
            .floats
            .iter()
            .map(|(t, v)| (*t, Point::Float(*v)))
            .collect();
        got.extend(
            s.histograms
                .iter()
                .map(|(t, h)| (*t, Point::Histogram(h.clone()))),
        );
        got.sort_by_key(|(t, _)| *t);
        let values = eval.series[at].1.iter().enumerate();
        let wanted: Vec<(i64, &SequenceValue)> = values
            .map(|(i, v)| (start + step * i as i64, v))
            .filter(|(_, v)| !matches!(v, SequenceValue::Omitted))
            .collect();
        if wanted.last().is_some_and(|(t, _)| *t > end) {
            return Err(format!("{}: more values expected than steps", s.labels));
        }
        let times = |list: &[i64]| format!("{list:?}");
        let (got_times, want_times): (Vec<i64>, Vec<i64>) = (
            got.iter().map(|p| p.0).collect(),
            wanted.iter().map(|p| p.0).collect(),
        );
        if got_times != want_times {
            return Err(format!(
                "{}: expected values at {}, got {}: {got:?}",
                s.labels,
                times(&want_times),
                times(&got_times)
            ));
        }
        for ((t, got), (_, wanted)) in got.iter().zip(&wanted) {
            check_value(&s.labels, wanted, got).map_err(|e| format!("at {t}: {e}"))?;
        }
    }
    missing(eval, &seen)
}

/// Compares warnings and infos.
pub(super) fn check_annotations(
    eval: &Eval,
    warnings: &[String],
    infos: &[String],
) -> Result<(), String> {
    check_kind(&eval.warn, warnings, "warning")?;
    check_kind(&eval.info, infos, "info")?;
    if eval.no_warn && !warnings.is_empty() {
        return Err(format!("unexpected warnings {warnings:?}"));
    }
    if eval.no_info && !infos.is_empty() {
        return Err(format!("unexpected infos {infos:?}"));
    }
    Ok(())
}

fn check_kind(expected: &[Expected], got: &[String], what: &str) -> Result<(), String> {
    if expected.is_empty() {
        return Ok(());
    }
    if got.is_empty() {
        return Err(format!("expected a {what}, got none"));
    }
    if let Some(e) = expected.iter().find(|e| !got.iter().any(|g| e.matches(g))) {
        return Err(format!("no {what} like {e:?} among {got:?}"));
    }
    match got.iter().find(|g| !expected.iter().any(|e| e.matches(g))) {
        Some(g) => Err(format!("unexpected {what} {g:?}")),
        None => Ok(()),
    }
}
