//! Reads of encoded chunks find the same samples as queries, wherever they lie.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bellwether_model::storage::{Appendable, Queryable, SampleBuffer};
use bellwether_model::{Labels, Matcher};
use bellwether_tsdb::{Db, DbOptions, SampleValue};

const HOUR: i64 = 3600 * 1000;

fn append(db: &Db, series: &Labels, samples: impl IntoIterator<Item = (i64, f64)>) {
    let mut appender = db.appender();
    let reference = appender.series(series).unwrap();
    for (t, v) in samples {
        appender.append(reference, t, v).unwrap();
    }
    appender.commit().unwrap();
}

/// What a query finds of the only series.
fn queried(db: &Db, mint: i64, maxt: i64, matchers: &[Matcher]) -> Vec<(i64, f64)> {
    let mut out = SampleBuffer::default();
    for series in db
        .querier(mint, maxt)
        .unwrap()
        .select(true, matchers)
        .unwrap()
    {
        series.read(mint, maxt, &mut out).unwrap();
    }
    out.timestamps.into_iter().zip(out.values).collect()
}

#[test]
fn chunks_hold_what_queries_find() {
    let dir = tempfile::tempdir().unwrap();
    let options = DbOptions {
        out_of_order_window: Duration::from_secs(12 * 3600),
        retention: Duration::ZERO,
        ..DbOptions::default()
    };
    let db = Db::open(dir.path(), options).unwrap();
    let series = Labels::from_pairs([("__name__", "a"), ("job", "x")]);
    let matchers = [Matcher::equal("job", "x")];
    append(&db, &series, (0..10 * 60).map(|i| (i * 60_000, i as f64)));
    db.run_maintenance().unwrap();
    assert!(!db.blocks().is_empty(), "some samples are in blocks");
    // Late ones, between those in blocks and those in the head.
    let late = (0..60).map(|i| (i * 9 * 60_000 + 1, -(i as f64)));
    append(&db, &series, late);
    db.delete(HOUR / 2, HOUR, &matchers).unwrap();
    db.delete(9 * HOUR + 1, 9 * HOUR + 60_000, &matchers)
        .unwrap();
    for (mint, maxt) in [
        (0, 10 * HOUR),
        (HOUR / 3, HOUR * 2 / 3),
        (5 * HOUR - 1, 9 * HOUR + 120_000),
        (HOUR / 2, HOUR),
        (20 * HOUR, 30 * HOUR),
        (HOUR, 0),
    ] {
        let expected = queried(&db, mint, maxt, &matchers);
        let mut samples = Vec::new();
        let mut end = i64::MIN;
        for series in db.select_chunks(mint, maxt, &matchers).unwrap() {
            assert_eq!(series.labels().value("job"), "x");
            for (t, value) in series.samples().unwrap() {
                let SampleValue::Float(v) = value else {
                    panic!("{value:?}");
                };
                samples.push((t, v));
            }
            let mut count = 0;
            for chunk in series.chunks().unwrap() {
                let (first, last) = chunk.bounds();
                assert!(
                    first > end && first >= mint && last <= maxt,
                    "{first} {last}"
                );
                assert_eq!(chunk.encoding(), 1);
                count += usize::from(u16::from_be_bytes([chunk[0], chunk[1]]));
                end = last;
            }
            assert_eq!(count, expected.len());
        }
        assert_eq!(samples, expected, "{mint} {maxt}");
    }
}

#[test]
fn chunks_of_large_samples_stay_within_1024_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), DbOptions::default()).unwrap();
    let series = Labels::from_pairs([("__name__", "a")]);
    // Neither times nor values repeat anything: ten bytes a sample, so that 120 samples would be more.
    let samples = (0..400i64).map(|i| {
        let bits = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2;
        (i * 10_000 + (i * i) % 9_973, f64::from_bits(bits))
    });
    append(&db, &series, samples);
    let found = db
        .select_chunks(0, i64::MAX - 1, &[Matcher::equal("__name__", "a")])
        .unwrap();
    let lengths: Vec<usize> = (found[0].chunks().unwrap().iter())
        .map(|chunk| chunk.len())
        .collect();
    let (last, full) = lengths.split_last().unwrap();
    assert!(full.len() >= 3, "{lengths:?}");
    for len in full {
        assert!((1006..=1024).contains(len), "{lengths:?}");
    }
    assert!(*last <= 1024, "{lengths:?}");
}
