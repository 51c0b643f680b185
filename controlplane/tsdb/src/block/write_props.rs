//! Any mix of samples through the head's chunking and back.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::chunk::validate;
use bellwether_model::histogram::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram,
};
use bellwether_model::{Span, stale_nan};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Spans and absolute counts of indexed buckets.
fn side(buckets: &BTreeMap<i32, u32>) -> (Vec<Span>, Vec<i64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut end = 0;
    for &index in buckets.keys() {
        match spans.last_mut() {
            Some(span) if index == end => span.length += 1,
            _ => spans.push(Span {
                offset: index - end,
                length: 1,
            }),
        }
        end = index + 1;
    }
    (spans, buckets.values().map(|c| i64::from(*c)).collect())
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(stale_nan()),
        Just(f64::from_bits(bellwether_model::NORMAL_NAN_BITS)),
        Just(f64::NEG_INFINITY),
        (0u32..100).prop_map(f64::from),
    ]
}

prop_compose! {
    /// A consistent histogram. Small counts and few buckets make resets, new and vanished buckets frequent.
    fn integer()(
        gauge in any::<bool>(), custom in prop::bool::weighted(0.2), schema in 0i32..2,
        zero_count in 0u64..4, sum in float(),
        positive in btree_map(0i32..6, 0u32..4, 0..4), negative in btree_map(-3i32..3, 0u32..4, 0..3),
    ) -> Histogram {
        let (positive_spans, absolute) = side(&positive);
        let (negative_spans, negative_absolute) = if custom { Default::default() } else { side(&negative) };
        let zero_count = if custom { 0 } else { zero_count };
        let total: i64 = absolute.iter().chain(&negative_absolute).sum();
        let deltas = |absolute: Vec<i64>| {
            let mut before = 0;
            absolute.into_iter().map(|c| c - std::mem::replace(&mut before, c)).collect()
        };
        Histogram {
            reset_hint: if gauge { CounterResetHint::Gauge } else { CounterResetHint::Unknown },
            schema: if custom { CUSTOM_BUCKETS_SCHEMA } else { schema },
            zero_threshold: if custom { 0.0 } else { 0.5 },
            zero_count,
            count: total.unsigned_abs() + zero_count,
            sum,
            positive_spans,
            negative_spans,
            positive_buckets: deltas(absolute),
            negative_buckets: deltas(negative_absolute),
            custom_values: if custom { (0..8).map(f64::from).collect() } else { Vec::new() },
        }
    }
}

/// A sample before it is encoded.
#[derive(Clone, Debug)]
enum Given {
    Float(f64),
    Integer(Histogram),
    Floating(FloatHistogram),
}

fn given() -> impl Strategy<Value = Given> {
    prop_oneof![
        1 => float().prop_map(Given::Float),
        4 => integer().prop_map(Given::Integer),
        4 => integer().prop_map(|h| Given::Floating(h.to_float())),
    ]
}

/// What must survive: kind, bits, and the buckets that hold something. Chunks may add empty buckets, and a
/// stale histogram keeps nothing but its mark.
fn essence(sample: &Sample) -> String {
    let buckets = |h: &FloatHistogram| {
        let all = h.negative().chain(h.positive());
        let full = all.filter(|b| b.count != 0.0).map(|b| b.to_string());
        full.collect::<Vec<_>>().join(" ")
    };
    let histogram = |kind: &str, h: &FloatHistogram| {
        if bellwether_model::is_stale_nan(h.sum) {
            return format!("{kind} stale");
        }
        let gauge = h.reset_hint == CounterResetHint::Gauge;
        format!(
            "{kind} {gauge} {} {} {} {:x} {:?} {}",
            h.schema,
            h.count,
            h.zero_count,
            h.sum.to_bits(),
            h.custom_values,
            buckets(h)
        )
    };
    match sample {
        Sample::Float(v) => format!("float {:x}", v.to_bits()),
        Sample::Histogram(h) => histogram("int", &h.to_model().to_float()),
        Sample::FloatHistogram(h) => histogram("floats", &h.to_model()),
    }
}

impl From<&Given> for Sample {
    fn from(given: &Given) -> Self {
        match given {
            Given::Float(v) => Self::Float(*v),
            Given::Integer(h) => Self::Histogram(Box::new(h.clone().into())),
            Given::Floating(h) => Self::FloatHistogram(Box::new(h.clone().into())),
        }
    }
}

proptest! {
    #[test]
    fn any_mix_of_kinds_comes_back_in_order(
        items in vec((given(), 1i64..2_000_000), 1..300),
        start in prop_oneof![Just(0i64), Just(1_700_000_000_000), Just(-5_000_000), any::<i32>().prop_map(i64::from)],
    ) {
        let mut t = start;
        let mut wanted = Vec::new();
        for (given, step) in &items {
            if let Given::Integer(h) = given {
                prop_assert!(validate::check_int(h.clone()).is_ok());
            }
            wanted.push((t, essence(&given.into())));
            t += step;
        }
        let samples = wanted.iter().zip(&items).map(|((t, _), (given, _))| (*t, given.into()));
        let chunks = encode(samples, 7_200_000).unwrap();
        let mut got = Vec::new();
        for c in &chunks {
            let mut times = Vec::new();
            decode(c.encoding, &c.data, |t, s| {
                times.push(t);
                got.push((t, essence(&s)));
            })
            .unwrap();
            prop_assert_eq!(times.len(), usize::from(chunk::count(&c.data)));
            prop_assert_eq!((times.first(), times.last()), (Some(&c.mint), Some(&c.maxt)));
        }
        prop_assert_eq!(got, wanted);
    }

    #[test]
    fn any_bytes_decode_or_fail(encoding in 0u8..5, bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode(encoding, &bytes, |_, _| {});
    }
}
