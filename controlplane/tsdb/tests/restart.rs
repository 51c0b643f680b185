//! A series that ended and came back has two numbers in the log; restarts must not lose its samples.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;

use bellwether_model::Labels;
use bellwether_model::histogram::{Histogram, Span};
use bellwether_model::storage::{AppendError, Appendable as _};
use bellwether_tsdb::{Db, DbOptions, WalCompression};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// A multiple of two hours, the range of a block.
const T0: i64 = 1_700_006_400_000;

fn open(dir: &std::path::Path) -> Arc<Db> {
    let options = DbOptions {
        wal_segment_size: 32 * 1024,
        wal_compression: WalCompression::None,
        ..common::options()
    };
    Db::open(dir, options).unwrap()
}

fn float(db: &Db, name: &str, t: i64) {
    let mut app = db.appender();
    let s = app
        .series(&Labels::from_pairs([("__name__", name)]))
        .unwrap();
    app.append(s, t, t as f64).unwrap();
    app.commit().unwrap();
}

fn histogram(db: &Db, name: &str, t: i64) {
    let mut app = db.appender();
    let s = app
        .series(&Labels::from_pairs([("__name__", name)]))
        .unwrap();
    let h = Histogram {
        count: 1,
        sum: 1.0,
        positive_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        positive_buckets: vec![1],
        ..Histogram::default()
    };
    app.append_histogram(s, t, h).unwrap();
    app.commit().unwrap();
}

/// Minutes of another series, so that time goes on.
fn fill(db: &Db, from: i64, to: i64) {
    for t in (from..=to).step_by(MINUTE as usize) {
        float(db, "filler", t);
    }
}

/// A database in which `x` ended, was forgotten and came back at the start of the third block's range.
fn with_a_second_number(dir: &std::path::Path) -> Arc<Db> {
    let db = open(dir);
    float(&db, "x", T0);
    fill(&db, T0, T0 + 3 * HOUR + MINUTE);
    db.run_maintenance().unwrap();
    assert!(db.stats().series_removed > 0, "x was not forgotten");
    fill(&db, T0 + 3 * HOUR + 2 * MINUTE, T0 + 4 * HOUR);
    float(&db, "x", T0 + 4 * HOUR + MINUTE);
    db
}

#[test]
fn a_series_beside_one_that_somebody_holds_is_forgotten_a_round_later() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    float(&db, "x", T0);
    fill(&db, T0, T0 + 3 * HOUR + MINUTE);
    let mut app = db.appender();
    app.series(&Labels::from_pairs([("__name__", "filler")]))
        .unwrap();
    db.run_maintenance().unwrap();
    assert_eq!((db.stats().series_removed, db.stats().head_series), (0, 2));
    app.rollback();
    db.run_maintenance().unwrap();
    assert_eq!((db.stats().series_removed, db.stats().head_series), (1, 1));
    // One that came back meanwhile stays.
    float(&db, "x", T0 + 3 * HOUR + MINUTE);
    db.run_maintenance().unwrap();
    assert_eq!(db.stats().head_series, 2);
}

fn times_of_x(db: &Db) -> Vec<i64> {
    let all = common::dump(db, i64::MIN, i64::MAX);
    all["{__name__=\"x\"}"].keys().copied().collect()
}

#[test]
fn a_checkpoint_keeps_both_numbers() {
    let dir = tempfile::tempdir().unwrap();
    drop(with_a_second_number(dir.path()));
    let db = open(dir.path());
    // Enough segments that the checkpoint takes those with `x`.
    for n in 0..40 {
        let mut app = db.appender();
        for i in 0..40 {
            let bulk = format!("{n}-{i}-{}", "b".repeat(120));
            let labels = Labels::from_pairs([("__name__", "bulk"), ("b", &bulk)]);
            let s = app.series(&labels).unwrap();
            app.append(s, T0 + 4 * HOUR + 2 * MINUTE, 1.0).unwrap();
        }
        app.commit().unwrap();
    }
    fill(&db, T0 + 4 * HOUR + 2 * MINUTE, T0 + 5 * HOUR + 2 * MINUTE);
    db.run_maintenance().unwrap();
    assert!(
        db.stats().checkpoint_creations > 0,
        "no checkpoint was written"
    );
    drop(db);
    let times = times_of_x(&open(dir.path()));
    assert_eq!(times, [T0, T0 + 4 * HOUR + MINUTE]);
}

#[test]
fn chunks_in_files_under_both_numbers_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let begin = T0 + 4 * HOUR;
    let db = with_a_second_number(dir.path());
    // Another kind of sample closes the chunk before; maintenance moves it to a file.
    histogram(&db, "x", begin + 2 * MINUTE);
    db.run_maintenance().unwrap();
    drop(db);
    let db = open(dir.path());
    float(&db, "x", begin + 3 * MINUTE);
    histogram(&db, "x", begin + 4 * MINUTE);
    db.run_maintenance().unwrap();
    drop(db);
    let times = times_of_x(&open(dir.path()));
    let wanted: Vec<i64> = (1..=4).map(|m| begin + m * MINUTE).collect();
    assert_eq!(times, [vec![T0], wanted].concat());
}

#[test]
fn a_series_adopted_from_files_refuses_what_its_chunks_already_have() {
    let step = MINUTE / 4;
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(
        dir.path(),
        DbOptions {
            wal_segment_size: 32 * 1024,
            wal_compression: WalCompression::None,
            head_chunk_file_bytes: 1,
            ..common::options()
        },
    )
    .unwrap();
    float(&db, "x", T0);
    // Names that fill the first segment of the log.
    for i in 0..40 {
        float(&db, &format!("{i:01000}"), T0);
    }
    // The first 120 samples are a chunk of their own.
    for i in 1..130 {
        float(&db, "x", T0 + i * step);
    }
    db.run_maintenance().unwrap();
    drop(db);
    // The log ends before all that: only the file has the chunk.
    let mut segments: Vec<_> = std::fs::read_dir(dir.path().join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    segments.sort();
    assert!(segments.len() > 1);
    for segment in &segments[1..] {
        std::fs::remove_file(segment).unwrap();
    }

    let db = open(dir.path());
    let wanted: Vec<i64> = (0..120).map(|i| T0 + i * step).collect();
    assert_eq!(times_of_x(&db), wanted);
    let x = Labels::from_pairs([("__name__", "x")]);
    let mut app = db.appender();
    let s = app.series(&x).unwrap();
    let refused = app.append(s, T0 + 60 * step, 0.5);
    assert!(
        matches!(refused, Err(AppendError::OutOfOrder)),
        "{refused:?}"
    );
    app.append(s, T0 + 120 * step, 1.0).unwrap();
    app.commit().unwrap();
    assert_eq!(times_of_x(&db).len(), 121);
}
