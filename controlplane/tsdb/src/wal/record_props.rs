//! Every record type with any values.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>(),
        Just(bellwether_model::STALE_NAN_BITS),
        Just(bellwether_model::NORMAL_NAN_BITS),
        Just(f64::INFINITY.to_bits()),
    ]
    .prop_map(f64::from_bits)
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    let span = (any::<i32>(), any::<u32>()).prop_map(|(offset, length)| Span { offset, length });
    vec(span, 0..4)
}

fn any_hint() -> impl Strategy<Value = CounterResetHint> {
    (0u8..4).prop_map(hint)
}

prop_compose! {
    fn integer(custom: bool)(
        reset_hint in any_hint(), schema in any::<i8>(), zero_threshold in float(), sum in float(),
        zero_count in any::<u64>(), count in any::<u64>(),
        positive_spans in spans(), negative_spans in spans(),
        positive_buckets in vec(any::<i64>(), 0..5), negative_buckets in vec(any::<i64>(), 0..5),
        custom_values in vec(float(), 0..4),
    ) -> Histogram {
        Histogram {
            reset_hint, zero_threshold, sum, zero_count, count,
            positive_spans, negative_spans, positive_buckets, negative_buckets,
            schema: schema_of(custom, schema),
            custom_values: if custom { custom_values } else { Vec::new() },
        }
    }
}

prop_compose! {
    fn floating(custom: bool)(
        reset_hint in any_hint(), schema in any::<i8>(), zero_threshold in float(), sum in float(),
        zero_count in float(), count in float(),
        positive_spans in spans(), negative_spans in spans(),
        positive_buckets in vec(float(), 0..5), negative_buckets in vec(float(), 0..5),
        custom_values in vec(float(), 0..4),
    ) -> FloatHistogram {
        FloatHistogram {
            reset_hint, zero_threshold, sum, zero_count, count,
            positive_spans, negative_spans, positive_buckets, negative_buckets,
            schema: schema_of(custom, schema),
            custom_values: if custom { custom_values } else { Vec::new() },
        }
    }
}

/// Only the schema of custom bounds has bounds in a record.
fn schema_of(custom: bool, other: i8) -> i32 {
    match (custom, i32::from(other)) {
        (true, _) => CUSTOM_BUCKETS_SCHEMA,
        (false, CUSTOM_BUCKETS_SCHEMA) => 0,
        (false, other) => other,
    }
}

/// NaNs differ from themselves, so records are compared as texts and, where that hides bits, encoded again.
fn text(record: &Record) -> String {
    format!("{record:?}")
}

fn labels() -> impl Strategy<Value = Labels> {
    btree_map(".{1,9}", ".{1,9}", 0..4).prop_map(|m| Labels::from_pairs(m.iter()))
}

proptest! {
    #[test]
    fn exemplars_round_trip(
        items in vec((any::<u64>(), any::<i64>(), float(), labels()), 1..20),
    ) {
        let items: Vec<WalExemplar> = items
            .into_iter()
            .map(|(series, t, v, labels)| WalExemplar { series, t, v, labels })
            .collect();
        let encode = |items: &[WalExemplar]| {
            let mut out = Vec::new();
            let base = Base::begin(&mut out, EXEMPLARS, items[0].series, items[0].t);
            items.iter().for_each(|e| base.add_exemplar(&mut out, e));
            out
        };
        let bytes = encode(&items);
        let Record::Exemplars(got) = decode(&bytes).unwrap() else { panic!() };
        prop_assert_eq!(encode(&got), bytes);
        prop_assert_eq!(text(&Record::Exemplars(got)), text(&Record::Exemplars(items)));
    }

    #[test]
    fn integer_histograms_round_trip(
        (custom, items) in any::<bool>().prop_flat_map(|custom| {
            (Just(custom), vec((any::<u64>(), any::<i64>(), integer(custom)), 1..8))
        }),
    ) {
        let kind = if custom { CUSTOM_HISTOGRAMS } else { HISTOGRAMS };
        let encode = |items: &[(u64, i64, Histogram)]| {
            let mut out = Vec::new();
            let base = Base::begin(&mut out, kind, items[0].0, items[0].1);
            items.iter().for_each(|(s, t, h)| base.add_histogram(&mut out, *s, *t, h));
            out
        };
        let bytes = encode(&items);
        let Record::Histograms(got) = decode(&bytes).unwrap() else { panic!() };
        prop_assert_eq!(encode(&got), bytes);
        prop_assert_eq!(text(&Record::Histograms(got)), text(&Record::Histograms(items)));
    }

    #[test]
    fn float_histograms_round_trip(
        (custom, items) in any::<bool>().prop_flat_map(|custom| {
            (Just(custom), vec((any::<u64>(), any::<i64>(), floating(custom)), 1..8))
        }),
    ) {
        let kind = if custom { CUSTOM_FLOAT_HISTOGRAMS } else { FLOAT_HISTOGRAMS };
        let encode = |items: &[(u64, i64, FloatHistogram)]| {
            let mut out = Vec::new();
            let base = Base::begin(&mut out, kind, items[0].0, items[0].1);
            items.iter().for_each(|(s, t, h)| base.add_float_histogram(&mut out, *s, *t, h));
            out
        };
        let bytes = encode(&items);
        let Record::FloatHistograms(got) = decode(&bytes).unwrap() else { panic!() };
        prop_assert_eq!(encode(&got), bytes);
        prop_assert_eq!(text(&Record::FloatHistograms(got)), text(&Record::FloatHistograms(items)));
    }

    #[test]
    fn tombstones_and_metadata_round_trip(
        stones in vec((any::<u64>(), any::<i64>(), any::<i64>()), 1..20),
        metadata in vec((any::<u64>(), 0u8..8, ".{0,9}", ".{0,20}"), 1..9),
    ) {
        let stones: Vec<WalTombstone> = stones
            .into_iter()
            .map(|(series, mint, maxt)| WalTombstone { series, mint, maxt })
            .collect();
        let mut out = Vec::new();
        tombstones(&mut out, &stones);
        prop_assert_eq!(decode(&out).unwrap(), Record::Tombstones(stones));

        let kinds = [
            MetricType::Unknown, MetricType::Counter, MetricType::Gauge, MetricType::Histogram,
            MetricType::GaugeHistogram, MetricType::Summary, MetricType::Info, MetricType::Stateset,
        ];
        let metadata: Vec<(u64, Metadata)> = metadata
            .into_iter()
            .map(|(series, kind, unit, help)| {
                (series, Metadata { kind: kinds[usize::from(kind)], unit, help })
            })
            .collect();
        let mut out = vec![METADATA];
        metadata.iter().for_each(|(s, m)| add_metadata(&mut out, *s, m));
        prop_assert_eq!(decode(&out).unwrap(), Record::Metadata(metadata));
    }
}
