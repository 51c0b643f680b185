//! Series that ended leave memory early, and nothing of them is lost.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bellwether_model::histogram::Histogram;
use bellwether_model::storage::{Appendable as _, Queryable as _, SampleBuffer};
use bellwether_model::{Labels, MatchOp, Matcher, stale_nan};
use bellwether_tsdb::Db;

const MINUTE: i64 = 60_000;
/// The start of a block's range.
const T0: i64 = 1_700_006_400_000;

/// The bits of samples by series and time.
type Samples = BTreeMap<String, Vec<(i64, u64)>>;

fn open(dir: &Path) -> Arc<Db> {
    let db = Db::open(dir, common::options()).unwrap();
    db.set_stale_series_compaction_threshold(0.5);
    db
}

fn append(db: &Db, series: std::ops::Range<u32>, t: i64, v: f64) {
    let mut app = db.appender();
    for i in series {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]);
        let series = app.series(&labels).unwrap();
        app.append(series, t, v).unwrap();
    }
    app.commit().unwrap();
}

fn everything(db: &Db) -> Samples {
    let all = Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap();
    let q = db.querier(i64::MIN, i64::MAX).unwrap();
    let mut buffer = SampleBuffer::default();
    let mut out = Samples::new();
    for series in q.select(true, &[all]).unwrap() {
        buffer.clear();
        series.read(i64::MIN, i64::MAX, &mut buffer).unwrap();
        let bits = |i: usize| buffer.histogram(i).map_or(buffer.values[i], |h| h.sum);
        let samples = buffer.timestamps.iter().enumerate();
        let samples = samples.map(|(i, t)| (*t, bits(i).to_bits())).collect();
        assert!(out.insert(series.labels().to_string(), samples).is_none());
    }
    out
}

/// Ten series for 100 minutes, of which seven end after 50.
fn fill(db: &Db) {
    for minute in 0..100 {
        let t = T0 + minute * MINUTE;
        let v = minute as f64;
        match minute {
            0..50 => append(db, 0..10, t, v),
            50 => {
                append(db, 0..7, t, stale_nan());
                append(db, 7..10, t, v);
            }
            _ => append(db, 7..10, t, v),
        }
    }
}

#[test]
fn many_stale_series_go_to_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    let before = everything(&db);
    assert_eq!(before.len(), 10);
    let report = db.run_maintenance().unwrap();
    assert_eq!((report.head_blocks, report.truncation_waits), (1, false));
    assert_eq!(db.stats().head_series, 3);
    assert_eq!(db.stats().stale_series_compactions, 1);
    assert_eq!(everything(&db), before);
    let block = &db.blocks()[0];
    assert_eq!(block.compaction.hints, ["from-stale-series"]);
    assert_eq!(block.stats.num_series, 7);

    // The other series go on where they were, and nothing happens again.
    append(&db, 7..10, T0 + 100 * MINUTE, 1.0);
    assert_eq!(db.run_maintenance().unwrap().head_blocks, 0);
    let before = everything(&db);
    db.close().unwrap();
    let db = open(dir.path());
    db.run_maintenance().unwrap();
    assert_eq!(db.stats().head_series, 3);
    assert_eq!(everything(&db), before);
}

#[test]
fn a_few_stale_series_stay() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    append(&db, 0..10, T0, 1.0);
    append(&db, 0..4, T0 + MINUTE, stale_nan());
    append(&db, 4..10, T0 + MINUTE, 2.0);
    db.run_maintenance().unwrap();
    assert!(db.blocks().is_empty());
    // Not without a threshold, however many they are.
    db.set_stale_series_compaction_threshold(0.0);
    append(&db, 4..10, T0 + 2 * MINUTE, stale_nan());
    db.run_maintenance().unwrap();
    assert!(db.blocks().is_empty());
}

#[test]
fn series_that_come_back_have_all_their_samples() {
    let dir = tempfile::tempdir().unwrap();
    let mut db = open(dir.path());
    fill(&db);
    db.run_maintenance().unwrap();
    append(&db, 0..5, T0 + 100 * MINUTE, 7.0);
    append(&db, 0..5, T0 + 101 * MINUTE, 8.0);
    let wanted = everything(&db);
    assert_eq!(wanted["{__name__=\"m\", i=\"0\"}"].len(), 53);
    for _ in 0..2 {
        db.close().unwrap();
        db = open(dir.path());
        assert_eq!(everything(&db), wanted);
        db.run_maintenance().unwrap();
        assert_eq!(db.stats().head_series, 8);
    }
    // They end again, with the same names under two numbers.
    append(&db, 0..5, T0 + 102 * MINUTE, stale_nan());
    let wanted = everything(&db);
    db.run_maintenance().unwrap();
    assert_eq!(db.stats().head_series, 3);
    assert_eq!(everything(&db), wanted);
    db.close().unwrap();
    db = open(dir.path());
    assert_eq!(everything(&db), wanted);
    // The blocks of stale series become one with the block of all.
    append(&db, 7..10, T0 + 250 * MINUTE, 9.0);
    let wanted = everything(&db);
    db.run_maintenance().unwrap();
    assert_eq!(everything(&db), wanted);
    assert_eq!(db.blocks().len(), 1);
    assert!(db.blocks()[0].compaction.hints.is_empty());
    db.close().unwrap();
    assert_eq!(everything(&open(dir.path())), wanted);
}

#[test]
fn a_query_from_before_keeps_them_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    let wanted = everything(&db);
    let old = db.querier(i64::MIN, i64::MAX).unwrap();
    assert!(db.run_maintenance().unwrap().truncation_waits);
    assert_eq!(db.stats().head_series, 10);
    assert_eq!(everything(&db), wanted);
    // One comes back meanwhile and stays.
    append(&db, 0..1, T0 + 100 * MINUTE, 3.0);
    let wanted = everything(&db);
    drop(old);
    assert!(!db.run_maintenance().unwrap().truncation_waits);
    assert_eq!(db.stats().head_series, 4);
    assert_eq!(everything(&db), wanted);
    db.close().unwrap();
    assert_eq!(everything(&open(dir.path())), wanted);
}

#[test]
fn what_was_deleted_of_them_stays_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db);
    let first = [Matcher::equal("i", "0")];
    db.delete(T0, T0 + 10 * MINUTE, &first).unwrap();
    db.run_maintenance().unwrap();
    db.delete(T0 + 20 * MINUTE, T0 + 30 * MINUTE, &first)
        .unwrap();
    let wanted = everything(&db);
    assert_eq!(wanted["{__name__=\"m\", i=\"0\"}"].len(), 51 - 22);
    db.close().unwrap();
    assert_eq!(everything(&open(dir.path())), wanted);
}

#[test]
fn histograms_end_too() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for (minute, sum) in [(0, 1.0), (1, 2.0), (2, stale_nan())] {
        let mut app = db.appender();
        let labels = Labels::from_pairs([("__name__", "h")]);
        let series = app.series(&labels).unwrap();
        let h = Histogram {
            sum,
            ..Histogram::default()
        };
        app.append_histogram(series, T0 + minute * MINUTE, h)
            .unwrap();
        app.commit().unwrap();
    }
    let wanted = everything(&db);
    db.run_maintenance().unwrap();
    assert_eq!(db.stats().head_series, 0);
    assert_eq!(everything(&db), wanted);
    db.close().unwrap();
    assert_eq!(everything(&open(dir.path())), wanted);
}
