//! Values and expectations in the notation of scripts, for messages.

use std::fmt::Write as _;

use bellwether_model::float::shortest_g;
use bellwether_model::histogram::CounterResetHint;
use bellwether_model::{FloatHistogram, Span, is_stale_nan};

use crate::value::{MatrixSeries, Point, Value};

use super::script::{Eval, Expected};
use super::values::SequenceValue;

/// A histogram as scripts write it: `{{schema:1 count:3 sum:5 buckets:[1 2]}}`.
#[must_use]
pub fn histogram(h: &FloatHistogram) -> String {
    let mut parts = Vec::new();
    if h.schema != 0 {
        parts.push(format!("schema:{}", h.schema));
    }
    for (key, v) in [
        ("count", h.count),
        ("sum", h.sum),
        ("z_bucket", h.zero_count),
        ("z_bucket_w", h.zero_threshold),
    ] {
        if v != 0.0 {
            parts.push(format!("{key}:{}", shortest_g(v)));
        }
    }
    if h.uses_custom_buckets() {
        parts.push(format!("custom_values:{}", list(&h.custom_values)));
    }
    match h.reset_hint {
        CounterResetHint::Unknown => {}
        CounterResetHint::Reset => parts.push("counter_reset_hint:reset".to_owned()),
        CounterResetHint::NotReset => parts.push("counter_reset_hint:not_reset".to_owned()),
        CounterResetHint::Gauge => parts.push("counter_reset_hint:gauge".to_owned()),
    }
    for (prefix, spans, counts) in [
        ("", &h.positive_spans, &h.positive_buckets),
        ("n_", &h.negative_spans, &h.negative_buckets),
    ] {
        let (offset, counts) = one_span(spans, counts);
        if counts.is_empty() {
            continue;
        }
        if offset != 0 {
            parts.push(format!("{prefix}offset:{offset}"));
        }
        parts.push(format!("{prefix}buckets:{}", list(&counts)));
    }
    format!("{{{{{}}}}}", parts.join(" "))
}

fn list(values: &[f64]) -> String {
    let all: Vec<String> = values.iter().map(|v| shortest_g(*v)).collect();
    format!("[{}]", all.join(" "))
}

/// The index of the first bucket that is not empty, and the counts from there to the last one, gaps filled up.
fn one_span(spans: &[Span], counts: &[f64]) -> (i32, Vec<f64>) {
    let mut all: Vec<(i32, f64)> = Vec::new();
    let (mut index, mut counts) = (0i32, counts.iter());
    for span in spans {
        index = index.wrapping_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                all.push((index, *count));
            }
            index = index.wrapping_add(1);
        }
    }
    let (Some(first), Some(last)) = (all.first(), all.last()) else {
        return (0, Vec::new());
    };
    let mut out = vec![0.0; (last.0 - first.0) as usize + 1];
    for (index, count) in &all {
        out[(index - first.0) as usize] = *count;
    }
    (first.0, out)
}

fn float(v: f64) -> String {
    if is_stale_nan(v) {
        "stale".to_owned()
    } else {
        shortest_g(v)
    }
}

fn point(p: &Point) -> String {
    match p {
        Point::Float(v) => float(*v),
        Point::Histogram(h) => histogram(h),
    }
}

fn sequence_value(v: &SequenceValue) -> String {
    match v {
        SequenceValue::Omitted => "_".to_owned(),
        SequenceValue::Float(v) => float(*v),
        SequenceValue::Histogram(h, _) => histogram(h),
    }
}

/// Values at `start, start+step, ...`, with `_` where there is none.
fn series(s: &MatrixSeries, start: i64, step: i64) -> String {
    let mut points: Vec<(i64, String)> = s.floats.iter().map(|(t, v)| (t, float(v))).collect();
    points.extend(s.histograms.iter().map(|(t, h)| (*t, histogram(h))));
    points.sort_by_key(|p| p.0);
    let on_grid = step > 0
        && points
            .iter()
            .all(|(t, _)| *t >= start && (*t - start) % step == 0);
    let mut out = s.labels.to_string();
    let mut next = start;
    for (t, text) in points {
        if on_grid {
            match (t - next) / step {
                0 => {}
                1 => out.push_str(" _"),
                gap => {
                    let _ = write!(out, " _x{gap}");
                }
            }
            next = t + step;
            let _ = write!(out, " {text}");
        } else {
            // Times that no script could expect are named.
            let _ = write!(out, " {text}@[{t}]");
        }
    }
    out
}

/// What came, one line per series. Of a range vector the values stand for `start, start+step, ...`.
#[must_use]
pub fn value(value: &Value, start: i64, step: i64) -> Vec<String> {
    match value {
        Value::Scalar { v, .. } => vec![float(*v)],
        Value::String { s, .. } => vec![format!(
            "expect string {}",
            bellwether_model::labels::quote(s)
        )],
        Value::Vector(samples) => samples
            .iter()
            .map(|s| format!("{} {}", s.labels, point(&s.point)))
            .collect(),
        Value::Matrix(all) => all.iter().map(|s| series(s, start, step)).collect(),
    }
}

fn expected_text(kind: &str, expected: &Expected) -> String {
    match expected {
        Expected::Any => format!("expect {kind}"),
        Expected::Message(message) => format!("expect {kind} msg: {message}"),
        Expected::Pattern(pattern) => format!("expect {kind} regex: {}", pattern.pattern()),
    }
}

/// What a script expects, one line per expectation.
#[must_use]
pub fn expected(eval: &Eval) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(eval.fail.iter().map(|e| expected_text("fail", e)));
    lines.extend(eval.warn.iter().map(|e| expected_text("warn", e)));
    lines.extend(eval.info.iter().map(|e| expected_text("info", e)));
    for (flag, word) in [
        (eval.no_warn, "no_warn"),
        (eval.no_info, "no_info"),
        (eval.ordered, "ordered"),
    ] {
        if flag {
            lines.push(format!("expect {word}"));
        }
    }
    if let Some(s) = &eval.string {
        lines.push(format!(
            "expect string {}",
            bellwether_model::labels::quote(s)
        ));
    }
    lines.extend(eval.scalar.map(float));
    for (labels, values) in &eval.series {
        let values: Vec<String> = values.iter().map(sequence_value).collect();
        lines.push(format!("{labels} {}", values.join(" ")));
    }
    lines
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testlang::values;

    #[test]
    fn histograms_read_back() {
        for text in [
            "{{}}",
            "{{schema:1 count:3.1 sum:-0.3 offset:-3 buckets:[5 10 7]}}",
            "{{count:16 sum:2 z_bucket:2 z_bucket_w:0.01 buckets:[2 0 2] n_offset:2 n_buckets:[3 3 1]}}",
            "{{schema:-53 count:4 sum:1 custom_values:[1 5 10] counter_reset_hint:gauge offset:1 buckets:[4]}}",
        ] {
            let all = values::sequence(text).unwrap();
            let SequenceValue::Histogram(h, _) = &all[0] else {
                panic!("{all:?}");
            };
            assert_eq!(histogram(h), text);
        }
    }
}
