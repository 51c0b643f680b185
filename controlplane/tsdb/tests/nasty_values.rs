//! Samples with every bit pattern and time, through a block and back.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;

use bellwether_model::storage::AppendError;
use bellwether_model::{Labels, MatchOp, Matcher, NORMAL_NAN_BITS, STALE_NAN_BITS};
use bellwether_tsdb::{BlockBuilder, ReadOnlyDb, SampleValue, TsdbError, verify};
use proptest::prelude::*;

/// Any bits, and often those that have a meaning or sit at a border.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        (-1000i32..1000).prop_map(|v| f64::from(v).to_bits()),
        prop::sample::select(vec![
            STALE_NAN_BITS,
            NORMAL_NAN_BITS,
            0x7ff8_0000_0000_0000,
            0xffff_ffff_ffff_ffff,
            0x7ff0_0000_0000_0001,
            f64::INFINITY.to_bits(),
            f64::NEG_INFINITY.to_bits(),
            f64::MAX.to_bits(),
            f64::MIN_POSITIVE.to_bits(),
            1,
            (-0.0f64).to_bits(),
        ]),
    ]
}

/// Ordinary times, times around zero, and the ends of the range.
fn time() -> impl Strategy<Value = i64> {
    // The last millisecond is no time for a sample: a block ends behind its samples.
    let last = i64::MAX - 1;
    prop_oneof![
        3 => 1_700_000_000_000i64..1_700_100_000_000,
        1 => -10_000i64..10_000,
        1 => any::<i64>().prop_map(move |t| t.clamp(i64::MIN + 1, last)),
        1 => prop::sample::select(vec![i64::MIN + 1, i64::MIN + 2, -1, 0, 1, last - 1, last]),
    ]
}

type Samples = BTreeMap<i64, u64>;

fn series() -> impl Strategy<Value = BTreeMap<Labels, Samples>> {
    let labels = prop::collection::btree_map("[a-c]|.{1,4}", ".{1,6}", 1..4)
        .prop_map(|pairs| Labels::from_pairs(pairs.iter()));
    let samples = prop::collection::btree_map(time(), value(), 1..300);
    prop::collection::btree_map(labels, samples, 1..12)
}

fn read(db: &ReadOnlyDb, selector: Vec<Matcher>) -> BTreeMap<Labels, Samples> {
    let mut out = BTreeMap::new();
    db.each_series::<TsdbError>(i64::MIN, i64::MAX, &[selector], |labels, samples| {
        let samples = samples.iter().map(|(t, v)| match v {
            SampleValue::Float(v) => (*t, v.to_bits()),
            other => panic!("{other:?}"),
        });
        assert!(out.insert(labels.clone(), samples.collect()).is_none());
        Ok(())
    })
    .unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        // There is no source file of the crate beside this test to keep failures with.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_block_gives_back_what_was_put_in(
        wanted in series(),
        range in prop::sample::select(vec![1, 60_000, 14_400_000, 14_400_000 * 3i64.pow(9)]),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let builder = BlockBuilder::new(dir.path(), range);
        for (labels, samples) in &wanted {
            for (t, v) in samples {
                builder.append(labels, *t, f64::from_bits(*v)).unwrap();
                // The same again is no error and nothing new; the past is refused.
                builder.append(labels, *t, f64::from_bits(*v)).unwrap();
                let past = builder.append(labels, t - 1, 0.0);
                prop_assert!(matches!(past, Err(AppendError::OutOfOrder)));
            }
        }
        let info = builder.write().unwrap().unwrap();
        let all: Vec<i64> = wanted.values().flat_map(|s| s.keys().copied()).collect();
        prop_assert_eq!(info.meta.min_time, *all.iter().min().unwrap());
        prop_assert_eq!(info.meta.max_time, all.iter().max().unwrap() + 1);
        prop_assert_eq!(info.meta.stats.num_samples, all.len() as u64);
        prop_assert_eq!(info.meta.stats.num_series, wanted.len() as u64);
        let report = verify(dir.path()).unwrap();
        prop_assert_eq!(report.problems, []);
        prop_assert_eq!(report.samples, all.len() as u64);
        let db = ReadOnlyDb::open_blocks(dir.path()).unwrap();
        let absent = Matcher::equal("no such label", "");
        prop_assert_eq!(&read(&db, vec![absent]), &wanted);
        // Each label pair finds its series.
        for label in wanted.keys().flat_map(|l| l.iter()) {
            let found = read(&db, vec![Matcher::equal(label.name, label.value)]);
            let carry = |l: &Labels| l.get(label.name) == Some(label.value);
            prop_assert_eq!(found.keys().collect::<Vec<_>>(), wanted.keys().filter(|l| carry(l)).collect::<Vec<_>>());
            let others = Matcher::new(MatchOp::NotEqual, label.name, label.value).unwrap();
            prop_assert_eq!(found.len() + read(&db, vec![others]).len(), wanted.len());
        }
    }
}
