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

fn value_matches(expected: &SequenceValue, got: &Point) -> bool {
    match (expected, got) {
        (SequenceValue::Float(e), Point::Float(g)) => almost_equal(*e, *g),
        (SequenceValue::Histogram(e, hint), Point::Histogram(g)) => histogram_equal(e, g, *hint),
        _ => false,
    }
}

/// Compares a result.
pub(super) fn check(eval: &Eval, value: &Value) -> Result<(), String> {
    if eval.string.is_some() != matches!(value, Value::String { .. }) {
        return Err(wrong_type(eval, value));
    }
    match value {
        Value::String { s, .. } => match &eval.string {
            Some(expected) if expected == s => Ok(()),
            _ => Err("the string differs".to_owned()),
        },
        Value::Scalar { v, .. } => check_scalar(eval, *v),
        Value::Vector(samples) => check_vector(eval, samples),
        Value::Matrix(series) => check_matrix(eval, series),
    }
}

fn wrong_type(eval: &Eval, value: &Value) -> String {
    let expected = if eval.string.is_some() {
        "a string"
    } else if eval.scalar.is_some() {
        "a scalar"
    } else {
        "a vector or matrix"
    };
    format!("expected {expected}, got a {}", value.type_name())
}

pub(super) fn check_scalar(eval: &Eval, v: f64) -> Result<(), String> {
    match eval.scalar {
        Some(expected) if almost_equal(expected, v) => Ok(()),
        Some(_) => Err("the scalar differs".to_owned()),
        None => Err("expected a vector or matrix, got a scalar".to_owned()),
    }
}

pub(super) fn check_vector(eval: &Eval, samples: &[VectorSample]) -> Result<(), String> {
    if eval.scalar.is_some() {
        return Err("expected a scalar, got a vector".to_owned());
    }
    let expected = positions(eval);
    let mut seen = vec![false; eval.series.len()];
    for (position, sample) in samples.iter().enumerate() {
        let labels = &sample.labels;
        let Some(&at) = expected.get(labels) else {
            return Err(format!("{labels} was not expected"));
        };
        if eval.ordered && at != position {
            return Err(format!(
                "{labels} was expected at position {}, but is at {}",
                at + 1,
                position + 1
            ));
        }
        let value = eval.series[at].1.first().unwrap_or(&SequenceValue::Omitted);
        if !value_matches(value, &sample.point) {
            return Err(format!("the value of {labels} differs"));
        }
        seen[at] = true;
    }
    missing(eval, &seen)
}

/// Where each expected series stands.
fn positions(eval: &Eval) -> HashMap<&Labels, usize> {
    let all = eval.series.iter().enumerate();
    all.map(|(i, (labels, _))| (labels, i)).collect()
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

/// The times that the values of expected series stand for: start, end and step.
pub(super) fn grid(eval: &Eval) -> (i64, i64, i64) {
    match (eval.range_vector, eval.when) {
        (Some(times), _) => times,
        (None, When::Range(start, end, step)) => (start, end, step),
        (None, When::Instant(t)) => (t, t, 1),
    }
}

fn check_matrix(eval: &Eval, series: &[MatrixSeries]) -> Result<(), String> {
    if eval.ordered {
        return Err("expected an ordered result, but the query returned a matrix".to_owned());
    }
    if eval.scalar.is_some() {
        return Err("expected a scalar, got a matrix".to_owned());
    }
    check_sorted(series)?;
    let expected = positions(eval);
    let mut seen = vec![false; eval.series.len()];
    for s in series {
        let Some(&at) = expected.get(&s.labels) else {
            return Err(format!("{} was not expected", s.labels));
        };
        seen[at] = true;
        check_points(eval, s, &eval.series[at].1)?;
    }
    missing(eval, &seen)
}

fn check_points(eval: &Eval, s: &MatrixSeries, values: &[SequenceValue]) -> Result<(), String> {
    let (start, end, step) = grid(eval);
    let labels = &s.labels;
    let floats = s.floats.iter().map(|(t, v)| (t, Point::Float(v)));
    let mut got: Vec<(i64, Point)> = floats.collect();
    let histograms = s.histograms.iter();
    got.extend(histograms.map(|(t, h)| (*t, Point::Histogram(h.clone()))));
    got.sort_by_key(|(t, _)| *t);
    let time = |i: usize| start + step * i as i64;
    if values.len() > 1 && time(values.len() - 1) > end {
        return Err(format!(
            "expected {} points for {labels}, but the query's times cannot return this many",
            values.len()
        ));
    }
    let wanted: Vec<(i64, &SequenceValue)> = values
        .iter()
        .enumerate()
        .filter(|(_, v)| !matches!(v, SequenceValue::Omitted))
        .map(|(i, v)| (time(i), v))
        .collect();
    if !got.iter().map(|p| p.0).eq(wanted.iter().map(|p| p.0)) {
        return Err(format!("{labels} has values at other times"));
    }
    match got
        .iter()
        .zip(&wanted)
        .find(|((_, got), (_, wanted))| !value_matches(wanted, got))
    {
        Some(((t, _), _)) => Err(format!(
            "the value of {labels} at {} s differs",
            *t as f64 / 1e3
        )),
        None => Ok(()),
    }
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
        return Err(format!("unexpected warnings: {}", warnings.join("; ")));
    }
    if eval.no_info && !infos.is_empty() {
        return Err(format!("unexpected infos: {}", infos.join("; ")));
    }
    Ok(())
}

fn check_kind(expected: &[Expected], got: &[String], what: &str) -> Result<(), String> {
    if expected.is_empty() {
        return Ok(());
    }
    if got.is_empty() {
        return Err(format!("expected {what}s, but there are none"));
    }
    if expected.iter().any(|e| !got.iter().any(|g| e.matches(g))) {
        return Err(format!(
            "an expected {what} is missing among: {}",
            got.join("; ")
        ));
    }
    match got.iter().find(|g| !expected.iter().any(|e| e.matches(g))) {
        Some(g) => Err(format!("unexpected {what}: {g}")),
        None => Ok(()),
    }
}
