//! What retention and deletion take away stays away, whatever the log still has of it.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use bellwether_model::storage::Appendable as _;
use bellwether_model::{Labels, MatchOp, Matcher};
use bellwether_tsdb::{Db, DbOptions, ReadOnlyDb};
use common::{assert_same, dump, open};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Aligned to two hours.
const T0: i64 = 1_700_006_400_000;

/// Samples of some series every minute from one minute to another.
fn fill(db: &Db, from: i64, to: i64) {
    for m in from..to {
        let mut app = db.appender();
        for i in 0..20 {
            let labels = Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]);
            let series = app.series(&labels).unwrap();
            app.append(series, T0 + m * MINUTE, (m * i) as f64 / 3.0)
                .unwrap();
        }
        app.commit().unwrap();
    }
}

/// Deletes everything up to a time.
fn delete_up_to(db: &Db, maxt: i64) {
    let all = [Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap()];
    db.delete(i64::MIN, maxt, &all).unwrap();
}

#[test]
fn retention_deletes_by_time_and_by_size() {
    let dir = tempfile::tempdir().unwrap();
    let options = DbOptions {
        retention: Duration::from_secs(6 * 3600),
        max_block_duration: Duration::from_secs(2 * 3600),
        ..common::options()
    };
    let db = Db::open(dir.path(), options.clone()).unwrap();
    fill(&db, 0, 16 * 60);
    let report = db.run_maintenance().unwrap();
    let blocks = db.blocks();
    let newest = blocks.last().unwrap().max_time;
    assert!(report.deleted_blocks > 0);
    assert!(blocks.iter().all(|b| newest - b.max_time < 6 * HOUR));
    assert_eq!(db.stats().time_retentions, 1);
    db.close().unwrap();
    let left = blocks.len();
    let stats = db.stats();
    let bytes = stats.blocks_bytes + stats.wal_size_bytes + stats.head_chunk_file_bytes - 1;
    let options = DbOptions {
        retention: Duration::ZERO,
        retention_size: bytes,
        ..options
    };
    let db = Db::open(dir.path(), options).unwrap();
    db.run_maintenance().unwrap();
    assert!(db.blocks().len() < left);
    assert_eq!(db.blocks().last().unwrap().max_time, newest);
}

/// Nothing but the log and the files of head chunks is left of the newest block then.
#[test]
fn what_the_size_limit_deletes_does_not_come_back_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 4 * 60);
    db.run_maintenance().unwrap();
    let end = db.blocks().last().unwrap().max_time;
    db.close().unwrap();
    let tiny = DbOptions {
        retention_size: 1,
        ..common::options()
    };
    let db = Db::open(dir.path(), tiny).unwrap();
    db.run_maintenance().unwrap();
    assert!(db.blocks().is_empty());
    let wanted = dump(&*db, end, i64::MAX);
    assert!(!wanted.is_empty());
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &wanted);
    drop(db);
    let copy = ReadOnlyDb::open(dir.path(), i64::MAX).unwrap();
    assert_same(&dump(&copy, i64::MIN, i64::MAX), &wanted);
    // The next block says it by itself, and later starts too.
    for minutes in [4 * 60, 7 * 60] {
        let db = open(dir.path());
        assert!(dump(&*db, i64::MIN, end - 1).is_empty());
        fill(&db, minutes, 7 * 60);
        db.run_maintenance().unwrap();
        assert!(!db.blocks().is_empty());
        assert!(dump(&*db, i64::MIN, end - 1).is_empty());
    }
}

/// The log still has the samples of the newest block.
#[test]
fn cleaning_away_all_of_the_newest_block_brings_nothing_back_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 4 * 60);
    db.run_maintenance().unwrap();
    let newest = db.blocks().last().unwrap().max_time;
    delete_up_to(&db, newest - 1);
    let wanted = dump(&*db, i64::MIN, i64::MAX);
    assert!(!wanted.is_empty());
    for _ in 0..2 {
        db.clean_tombstones().unwrap();
        db.run_maintenance().unwrap();
    }
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &wanted);
    drop(db);
    assert_same(&dump(&*open(dir.path()), i64::MIN, i64::MAX), &wanted);
}

/// The log still has the samples of the newest block, and of that nothing is left that would say where it ends.
#[test]
fn cleaning_away_the_only_block_brings_nothing_back_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 4 * 60);
    db.run_maintenance().unwrap();
    assert_eq!(db.blocks().len(), 1);
    delete_up_to(&db, db.blocks()[0].max_time - 1);
    let wanted = dump(&*db, i64::MIN, i64::MAX);
    db.clean_tombstones().unwrap();
    assert!(db.blocks().is_empty());
    drop(db);
    assert_same(&dump(&*open(dir.path()), i64::MIN, i64::MAX), &wanted);
}
