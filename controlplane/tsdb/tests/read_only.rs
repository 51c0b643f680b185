//! Reading a directory without owning it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use bellwether_model::storage::Appendable as _;
use bellwether_model::{Histogram, Labels, Matcher, Span, stale_nan};
use bellwether_tsdb::{Db, ReadOnlyDb, SampleValue, TsdbError};
use common::{dump, open};

const MINUTE: i64 = 60_000;
const T0: i64 = 1_700_006_400_000;

fn fill(db: &Db, minutes: std::ops::Range<i64>) {
    for m in minutes {
        let t = T0 + m * MINUTE;
        let mut app = db.appender();
        for i in 0..20 {
            let l = Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]);
            let series = app.series(&l).unwrap();
            let v = if i == 7 { stale_nan() } else { (m * i) as f64 };
            app.append(series, t, v).unwrap();
        }
        let series = app
            .series(&Labels::from_pairs([("__name__", "h")]))
            .unwrap();
        let h = Histogram {
            count: m.unsigned_abs(),
            sum: 1.0,
            positive_spans: vec![Span {
                offset: 0,
                length: 1,
            }],
            positive_buckets: vec![m],
            ..Histogram::default()
        };
        app.append_histogram(series, t, h).unwrap();
        app.commit().unwrap();
    }
}

/// Every series with its samples, and the order in which they came.
fn typed(db: &ReadOnlyDb, selectors: &[Vec<Matcher>]) -> Vec<(String, Vec<(i64, SampleValue)>)> {
    let mut out = Vec::new();
    db.each_series::<TsdbError>(i64::MIN, i64::MAX, selectors, |labels, samples| {
        out.push((labels.to_string(), samples.to_vec()));
        Ok(())
    })
    .unwrap();
    out
}

fn all() -> Vec<Vec<Matcher>> {
    vec![vec![
        Matcher::new(bellwether_model::MatchOp::Regex, "__name__", ".+").unwrap(),
    ]]
}

fn by_name(dir: &Path) -> BTreeMap<String, Vec<(i64, SampleValue)>> {
    let db = ReadOnlyDb::open(dir, i64::MAX).unwrap();
    typed(&db, &all()).into_iter().collect()
}

#[test]
fn a_reader_beside_the_owner_sees_what_the_owner_sees() {
    let root = tempfile::tempdir().unwrap();
    let db = open(root.path());
    for hour in 0..9 {
        fill(&db, hour * 60..hour * 60 + 60);
        if hour == 3 {
            let three = [Matcher::equal("i", "3")];
            db.delete(T0 + 90 * MINUTE, T0 + 95 * MINUTE, &three)
                .unwrap();
        }
        // Between log alone, blocks, mapped head chunks and deletions.
        db.run_maintenance().unwrap();
        let reader = ReadOnlyDb::open(root.path(), i64::MAX).unwrap();
        assert_eq!(reader.blocks().len(), db.blocks().len());
        let wanted = dump(&*db, i64::MIN, i64::MAX);
        common::assert_same(&dump(&reader, i64::MIN, i64::MAX), &wanted);
        let counts: BTreeMap<String, usize> =
            wanted.into_iter().map(|(l, s)| (l, s.len())).collect();
        let got = typed(&reader, &all());
        let got: BTreeMap<String, usize> = got.into_iter().map(|(l, s)| (l, s.len())).collect();
        assert_eq!(got, counts, "hour {hour}");
    }
    assert!(!db.blocks().is_empty());
}

#[test]
fn kinds_and_bits_of_values_are_kept() {
    let root = tempfile::tempdir().unwrap();
    let db = open(root.path());
    fill(&db, 0..200);
    db.run_maintenance().unwrap();
    let got = by_name(root.path());
    let histograms = &got["{__name__=\"h\"}"];
    assert_eq!(histograms.len(), 200);
    for (m, (t, value)) in histograms.iter().enumerate() {
        assert_eq!(*t, T0 + m as i64 * MINUTE);
        let SampleValue::Histogram(h) = value else {
            panic!("{value:?}")
        };
        assert_eq!((h.count, &h.positive_buckets), (m as u64, &vec![m as i64]));
    }
    for (_, value) in &got["{__name__=\"m\", i=\"7\"}"] {
        assert!(matches!(value, SampleValue::Float(v) if bellwether_model::is_stale_nan(*v)));
    }
}

#[test]
fn series_come_in_order_of_labels_or_of_the_log() {
    let root = tempfile::tempdir().unwrap();
    let db = open(root.path());
    fill(&db, 0..2);
    let reader = ReadOnlyDb::open(root.path(), i64::MAX).unwrap();
    let names = |found: Vec<(String, _)>| found.into_iter().map(|f| f.0).collect::<Vec<_>>();
    let log_order = names(typed(&reader, &all()));
    assert_eq!(log_order.first().unwrap(), "{__name__=\"m\", i=\"0\"}");
    assert_eq!(log_order.last().unwrap(), "{__name__=\"h\"}");
    // Two selectors that overlap: each series once, in order of labels.
    let both = [all(), vec![vec![Matcher::equal("i", "3")]]].concat();
    let mut sorted = log_order;
    sorted.sort();
    assert_eq!(names(typed(&reader, &both)), sorted);
}

#[test]
fn the_log_is_left_out_when_blocks_reach_far_enough() {
    let root = tempfile::tempdir().unwrap();
    let db = open(root.path());
    fill(&db, 0..240);
    db.run_maintenance().unwrap();
    let end = db.blocks().last().unwrap().max_time;
    let reader = ReadOnlyDb::open(root.path(), end - 1).unwrap();
    let wanted = dump(&*db, i64::MIN, end - 1);
    common::assert_same(&dump(&reader, i64::MIN, end - 1), &wanted);
    // What is only in the log is not there even when it is asked for.
    common::assert_same(&dump(&reader, i64::MIN, i64::MAX), &wanted);
    let reader = ReadOnlyDb::open(root.path(), end).unwrap();
    common::assert_same(
        &dump(&reader, i64::MIN, i64::MAX),
        &dump(&*db, i64::MIN, i64::MAX),
    );
}

#[test]
fn late_samples_are_read_wherever_they_are() {
    let root = tempfile::tempdir().unwrap();
    let options = bellwether_tsdb::DbOptions {
        out_of_order_window: std::time::Duration::from_secs(3 * 3600),
        ..common::options()
    };
    let db = Db::open(root.path(), options).unwrap();
    for hour in 0..8 {
        fill(&db, hour * 60..hour * 60 + 60);
        // Late by up to an hour, backwards, so that some are in chunks and some are not.
        for m in (hour * 60..hour * 60 + 50).rev() {
            let mut app = db.appender();
            let l = Labels::from_pairs([("__name__", "m"), ("i", "3")]);
            let series = app.series(&l).unwrap();
            app.append(series, T0 + m * MINUTE + 1, -1.0).unwrap();
            app.commit().unwrap();
        }
        // Between the log alone, mapped chunks and blocks of late samples.
        db.run_maintenance().unwrap();
        let reader = ReadOnlyDb::open(root.path(), i64::MAX).unwrap();
        let wanted = dump(&*db, i64::MIN, i64::MAX);
        common::assert_same(&dump(&reader, i64::MIN, i64::MAX), &wanted);
        let late = by_name(root.path())
            .remove("{__name__=\"m\", i=\"3\"}")
            .unwrap();
        assert_eq!(late.len(), (hour as usize + 1) * 110);
        assert!(late.windows(2).all(|w| w[0].0 < w[1].0));
    }
}

#[test]
fn nothing_is_missed_while_the_owner_moves_samples_to_blocks() {
    let root = tempfile::tempdir().unwrap();
    let options = bellwether_tsdb::DbOptions {
        // Many segments, so that truncation and checkpoints are at work too.
        wal_segment_size: 32 * 1024,
        ..common::options()
    };
    let db = Db::open(root.path(), options).unwrap();
    fill(&db, 0..1);
    let hours = 40;
    let committed = AtomicI64::new(1);
    std::thread::scope(|scope| {
        let owner = scope.spawn(|| {
            for from in (1..hours * 60).step_by(10) {
                fill(&db, from..from + 10);
                committed.store(from + 10, Ordering::Release);
                db.run_maintenance().unwrap();
            }
        });
        let mut opened = 0;
        while !owner.is_finished() {
            let promised = committed.load(Ordering::Acquire);
            let found = by_name(root.path());
            assert_eq!(found.len(), 21);
            for (name, samples) in found {
                let times = samples.iter().map(|s| (s.0 - T0) / MINUTE);
                assert!(times.eq(0..samples.len() as i64), "{name} has a gap");
                let seen = samples.len() as i64;
                assert!(seen >= promised, "{name}: {seen} of {promised}");
            }
            opened += 1;
        }
        assert!(opened > 0);
    });
    assert!(db.blocks().len() > 3);
}
