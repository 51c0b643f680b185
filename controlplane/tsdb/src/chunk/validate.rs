//! Whether a native histogram is consistent, with Prometheus' words for what is not, and the reduction of
//! resolutions that storage does not keep.

use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram};
use bellwether_model::{Span, is_stale_nan};

use super::layout;

/// Finest schema that is stored; finer ones up to [`MAX_RESERVED_SCHEMA`] are reduced to it.
const MAX_SCHEMA: i32 = 8;
const MIN_SCHEMA: i32 = -4;
const MAX_RESERVED_SCHEMA: i32 = 52;

fn check_shape(
    schema: i32,
    sides: [(&str, &[Span], usize); 2],
    custom: &[f64],
    zero_count: f64,
    zero_threshold: f64,
) -> Result<(), String> {
    if schema == CUSTOM_BUCKETS_SCHEMA {
        if custom.windows(2).any(|w| w[0] >= w[1]) || custom.iter().any(|b| b.is_nan()) {
            return Err(
                "custom buckets: histogram custom bounds must be in strictly increasing order"
                    .into(),
            );
        }
        if custom.last().is_some_and(|b| *b == f64::INFINITY) {
            return Err("custom buckets: last +Inf bound must not be explicitly defined".into());
        }
        if layout::bucket_count(sides[0].1) > custom.len() + 1 {
            return Err(format!(
                "custom buckets: only {} custom bounds defined which is insufficient to cover total span length of {}: histogram custom bounds are too few",
                custom.len(),
                layout::bucket_count(sides[0].1)
            ));
        }
        if zero_count != 0.0 {
            return Err("custom buckets: must have zero count of 0".into());
        }
        if zero_threshold != 0.0 {
            return Err("custom buckets: must have zero threshold of 0".into());
        }
        if !sides[1].1.is_empty() || sides[1].2 > 0 {
            return Err("custom buckets: must not have negative buckets".into());
        }
    } else if (MIN_SCHEMA..=MAX_RESERVED_SCHEMA).contains(&schema) {
        if !custom.is_empty() {
            return Err("histogram with exponential schema must not have custom bounds".into());
        }
    } else {
        return Err(format!(
            "histogram with unknown schema {schema}: must be -53 or between -4 and 52"
        ));
    }
    for (side, spans, buckets) in sides {
        let needed = layout::bucket_count(spans);
        if needed != buckets {
            return Err(format!(
                "{side} side: spans need {needed} buckets, have {buckets} buckets: histogram spans specify different number of buckets than provided"
            ));
        }
        for (i, span) in spans.iter().enumerate().skip(1) {
            if span.offset < 0 {
                return Err(format!(
                    "{side} side: span number {} with offset {}: histogram has a span whose offset is negative",
                    i + 1,
                    span.offset
                ));
            }
        }
    }
    Ok(())
}

/// Checks an integer histogram and reduces its resolution to what is stored.
///
/// # Errors
/// What contradicts itself, in words.
pub(crate) fn check_int(mut h: Histogram) -> Result<Histogram, String> {
    if is_stale_nan(h.sum) {
        return Ok(h);
    }
    check_shape(
        h.schema,
        [
            ("positive", &h.positive_spans, h.positive_buckets.len()),
            ("negative", &h.negative_spans, h.negative_buckets.len()),
        ],
        &h.custom_values,
        h.zero_count as f64,
        h.zero_threshold,
    )?;
    let mut total = h.zero_count;
    for (side, deltas) in [
        ("negative", &h.negative_buckets),
        ("positive", &h.positive_buckets),
    ] {
        let mut current = 0i64;
        for (i, delta) in deltas.iter().enumerate() {
            current = current.wrapping_add(*delta);
            if current < 0 {
                return Err(format!(
                    "{side} side: bucket number {} has observation count of {current}: histogram has a bucket whose observation count is negative",
                    i + 1
                ));
            }
            total = total.wrapping_add(current as u64);
        }
    }
    // NaN observations are in the count but in no bucket.
    if h.sum.is_nan() {
        if total > h.count {
            return Err(format!(
                "{total} observations found in buckets, but the Count field is {}: histogram's observation count should be at least the number of observations found in the buckets",
                h.count
            ));
        }
    } else if total != h.count {
        return Err(format!(
            "{total} observations found in buckets, but the Count field is {}: histogram's observation count should equal the number of observations found in the buckets (in absence of NaN)",
            h.count
        ));
    }
    if h.schema > MAX_SCHEMA {
        let shift = h.schema - MAX_SCHEMA;
        for (spans, buckets) in [
            (&mut h.positive_spans, &mut h.positive_buckets),
            (&mut h.negative_spans, &mut h.negative_buckets),
        ] {
            let mut current = 0i64;
            let absolute: Vec<i64> = buckets
                .iter()
                .map(|d| {
                    current += d;
                    current
                })
                .collect();
            let (new_spans, merged) = merge(spans, &absolute, shift, |a, b| a + b);
            let mut before = 0;
            *buckets = merged
                .into_iter()
                .map(|v| v - std::mem::replace(&mut before, v))
                .collect();
            *spans = new_spans;
        }
        h.schema = MAX_SCHEMA;
    }
    Ok(h)
}

/// Checks a float histogram and reduces its resolution to what is stored.
///
/// # Errors
/// What contradicts itself, in words.
pub(crate) fn check_float(mut h: FloatHistogram) -> Result<FloatHistogram, String> {
    if is_stale_nan(h.sum) {
        return Ok(h);
    }
    check_shape(
        h.schema,
        [
            ("positive", &h.positive_spans, h.positive_buckets.len()),
            ("negative", &h.negative_spans, h.negative_buckets.len()),
        ],
        &h.custom_values,
        h.zero_count,
        h.zero_threshold,
    )?;
    if h.count < 0.0 || h.zero_count < 0.0 {
        return Err(format!(
            "count of {} or zero count of {} is negative: histogram's observation count is negative",
            h.count, h.zero_count
        ));
    }
    for (side, buckets) in [
        ("negative", &h.negative_buckets),
        ("positive", &h.positive_buckets),
    ] {
        if let Some(i) = buckets.iter().position(|v| *v < 0.0) {
            return Err(format!(
                "{side} side: bucket number {} has observation count of {}: histogram has a bucket whose observation count is negative",
                i + 1,
                buckets[i]
            ));
        }
    }
    if h.schema > MAX_SCHEMA {
        let shift = h.schema - MAX_SCHEMA;
        for (spans, buckets) in [
            (&mut h.positive_spans, &mut h.positive_buckets),
            (&mut h.negative_spans, &mut h.negative_buckets),
        ] {
            (*spans, *buckets) = merge(spans, buckets, shift, |a, b| a + b);
        }
        h.schema = MAX_SCHEMA;
    }
    Ok(h)
}

/// Joins buckets for a schema that is coarser by `shift`: index `i` goes to `ceil(i / 2^shift)`.
fn merge<T: Copy>(
    spans: &[Span],
    counts: &[T],
    shift: i32,
    add: impl Fn(T, T) -> T,
) -> (Vec<Span>, Vec<T>) {
    let mut indexes = Vec::new();
    let mut merged: Vec<T> = Vec::new();
    for (index, count) in layout::indexes(spans).into_iter().zip(counts) {
        let coarse = ((index - 1) >> shift) + 1;
        if indexes.last() == Some(&coarse) {
            if let Some(last) = merged.last_mut() {
                *last = add(*last, *count);
            }
        } else {
            indexes.push(coarse);
            merged.push(*count);
        }
    }
    (layout::spans_of(&indexes), merged)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sample() -> Histogram {
        Histogram {
            schema: 9,
            count: 10,
            zero_count: 1,
            sum: 5.0,
            positive_spans: vec![Span {
                offset: 1,
                length: 4,
            }],
            positive_buckets: vec![1, 1, 0, 2],
            ..Histogram::default()
        }
    }

    #[test]
    fn a_fine_schema_is_reduced_and_keeps_the_count() {
        let h = check_int(sample()).unwrap();
        assert_eq!(h.schema, 8);
        assert_eq!(
            h.positive_spans,
            [Span {
                offset: 1,
                length: 2
            }]
        );
        assert_eq!(h.positive_buckets, [3, 3]);
    }

    #[test]
    fn contradictions_are_refused() {
        let bad = [
            Histogram {
                count: 9,
                ..sample()
            },
            Histogram {
                schema: 99,
                ..sample()
            },
            Histogram {
                positive_buckets: vec![1],
                ..sample()
            },
            Histogram {
                positive_buckets: vec![1, -2, 0, 0],
                ..sample()
            },
            Histogram {
                custom_values: vec![1.0],
                ..sample()
            },
        ];
        for h in bad {
            assert!(check_int(h).is_err());
        }
    }
}
