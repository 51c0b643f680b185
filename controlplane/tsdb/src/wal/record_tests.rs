#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn sample() -> impl Strategy<Value = WalSample> {
    (any::<u64>(), any::<i64>(), any::<u64>()).prop_map(|(series, t, v)| WalSample {
        series,
        t,
        v: f64::from_bits(v),
    })
}

proptest! {
    #[test]
    fn samples_round_trip(samples in proptest::collection::vec(sample(), 1..50)) {
        let mut out = Vec::new();
        let base = Base::begin(&mut out, SAMPLES, samples[0].series, samples[0].t);
        for s in &samples { base.add_sample(&mut out, *s); }
        prop_assert_eq!(decode(&out).unwrap(), Record::Samples(samples));
    }

    #[test]
    fn series_round_trip(
        sets in proptest::collection::vec((any::<u64>(), proptest::collection::btree_map(".{1,9}", ".{1,9}", 0..5)), 1..9)
    ) {
        let wanted: Vec<_> = sets.into_iter().map(|(r, m)| (r, Labels::from_pairs(m))).collect();
        let mut out = Vec::new();
        begin_series(&mut out);
        for (r, l) in &wanted { add_series(&mut out, *r, l); }
        prop_assert_eq!(decode(&out).unwrap(), Record::Series(wanted));
    }

    #[test]
    fn any_bytes_decode_or_fail(kind in 0u8..14, mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        bytes.insert(0, kind);
        let _ = decode(&bytes);
    }
}

#[test]
fn histograms_round_trip_with_and_without_custom_bounds() {
    let h = Histogram {
        reset_hint: CounterResetHint::Gauge,
        schema: 2,
        zero_threshold: 0.25,
        zero_count: 3,
        count: 9,
        sum: -1.5,
        positive_spans: vec![Span {
            offset: -2,
            length: 2,
        }],
        negative_spans: vec![Span {
            offset: 4,
            length: 1,
        }],
        positive_buckets: vec![3, -2],
        negative_buckets: vec![2],
        custom_values: Vec::new(),
    };
    let custom = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        custom_values: vec![0.5, 1.0],
        ..h.clone()
    };
    for (kind, float_kind, h) in [
        (HISTOGRAMS, FLOAT_HISTOGRAMS, h),
        (CUSTOM_HISTOGRAMS, CUSTOM_FLOAT_HISTOGRAMS, custom),
    ] {
        let mut out = Vec::new();
        Base::begin(&mut out, kind, 7, 10).add_histogram(&mut out, 5, -10, &h);
        assert_eq!(
            decode(&out).unwrap(),
            Record::Histograms(vec![(5, -10, h.clone())])
        );
        let mut out = Vec::new();
        let f = h.to_float();
        Base::begin(&mut out, float_kind, 7, 10).add_float_histogram(&mut out, 9, 11, &f);
        assert_eq!(
            decode(&out).unwrap(),
            Record::FloatHistograms(vec![(9, 11, f)])
        );
    }
}

#[test]
fn metadata_tombstones_and_exemplars_round_trip() {
    let m = Metadata {
        kind: MetricType::Summary,
        unit: "s".into(),
        help: "héllo".into(),
    };
    let mut out = vec![METADATA];
    add_metadata(&mut out, 300, &m);
    assert_eq!(decode(&out).unwrap(), Record::Metadata(vec![(300, m)]));

    let stone = WalTombstone {
        series: 1,
        mint: i64::MIN,
        maxt: i64::MAX,
    };
    let mut out = Vec::new();
    tombstones(&mut out, &[stone]);
    assert_eq!(decode(&out).unwrap(), Record::Tombstones(vec![stone]));

    let e = WalExemplar {
        series: 2,
        t: 5,
        v: 1.0,
        labels: Labels::from_pairs([("trace_id", "x")]),
    };
    let mut out = Vec::new();
    Base::begin(&mut out, EXEMPLARS, 9, 9).add_exemplar(&mut out, &e);
    assert_eq!(decode(&out).unwrap(), Record::Exemplars(vec![e]));
}

#[test]
fn unknown_types_are_told_apart_from_errors() {
    assert_eq!(decode(&[13, 1, 2]).unwrap(), Record::Unknown(13));
    assert!(decode(&[SAMPLES, 1]).is_err());
}
