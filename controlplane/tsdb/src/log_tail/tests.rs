#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use bellwether_model::Labels;
use bellwether_model::storage::Appendable;

use super::*;
use crate::{Db, DbOptions, WalCompression};

fn options() -> DbOptions {
    DbOptions {
        wal_compression: WalCompression::Snappy,
        ..DbOptions::default()
    }
}

fn labels(n: usize) -> Labels {
    Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())])
}

/// Commits one sample of each of some series.
fn commit(db: &Db, series: std::ops::Range<usize>, t: i64) {
    let mut appender = db.appender();
    for n in series {
        let reference = appender.series(&labels(n)).unwrap();
        appender.append(reference, t, n as f64).unwrap();
    }
    appender.commit().unwrap();
}

/// All samples up to the end, and the number of names.
fn read(reader: &mut LogReader, limit: u64) -> (usize, Vec<(i64, f64)>) {
    let (mut names, mut samples) = (0, Vec::new());
    while let Some(item) = reader.next(limit).unwrap() {
        let LogItem::Record(record) = item else {
            panic!("damage in {item:?}");
        };
        match record.kind() {
            RecordKind::Series => names += record.series().unwrap().len(),
            RecordKind::Samples => record.samples(|_, t, v| samples.push((t, v))).unwrap(),
            other => panic!("unexpected {other:?}"),
        }
    }
    (names, samples)
}

fn tail(db: &Db) -> LogTail {
    db.log_tail()
}

#[test]
fn a_reader_follows_commits_and_never_reads_beyond_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    let tail = tail(&db);
    let mut reader = tail.open(tail.end().segment).unwrap();
    assert!(reader.next(tail.end().offset).unwrap().is_none());
    commit(&db, 0..3, 1000);
    let first = tail.end();
    // Larger than a page, so that records are in fragments.
    commit(&db, 0..20_000, 2000);
    let (names, samples) = read(&mut reader, first.offset);
    assert_eq!((names, samples.len()), (3, 3));
    assert_eq!(reader.offset(), first.offset);
    let (names, samples) = read(&mut reader, tail.end().offset);
    assert_eq!((names, samples.len()), (20_000 - 3, 20_000));
    assert_eq!(reader.offset(), tail.end().offset);
    for t in 0..200 {
        commit(&db, 0..7, 3000 + t);
        let (_, samples) = read(&mut reader, tail.end().offset);
        assert_eq!(samples.len(), 7, "commit {t}");
    }
}

#[test]
fn a_commit_wakes_who_waits() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    let tail = tail(&db);
    let seen = tail.end();
    let waiter = std::thread::spawn({
        let tail = tail.clone();
        move || tail.wait_beyond(seen, Duration::from_secs(30))
    });
    commit(&db, 0..1, 1000);
    assert!(waiter.join().unwrap() > seen);
    // What happened before is not waited for.
    assert!(tail.wait_beyond(seen, Duration::from_secs(30)) > seen);
}

#[test]
fn a_segment_of_an_earlier_run_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    commit(&db, 0..5, 1000);
    drop(db);
    let db = Db::open(dir.path(), options()).unwrap();
    let tail = tail(&db);
    let segments = tail.segments().unwrap();
    assert_eq!(segments.len(), 2);
    let (names, samples) = read(&mut tail.open(segments[0]).unwrap(), u64::MAX);
    assert_eq!((names, samples.len()), (5, 5));
    assert_eq!(
        tail.end(),
        LogPosition {
            segment: segments[1],
            offset: 0
        }
    );
}

/// Out-of-order samples are in the log of those who follow it, and a restart does not store them twice.
#[test]
fn late_samples_are_seen_once_the_log_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let options = || DbOptions {
        out_of_order_window: Duration::from_secs(3600),
        ..options()
    };
    let db = Db::open(dir.path(), options()).unwrap();
    db.set_tailed(true);
    let tail = tail(&db);
    let mut reader = tail.open(tail.end().segment).unwrap();
    commit(&db, 0..1, 10_000);
    commit(&db, 0..1, 5_000);
    let (_, samples) = read(&mut reader, tail.end().offset);
    assert_eq!(samples, [(10_000, 0.0), (5_000, 0.0)]);
    drop(db);
    let db = Db::open(dir.path(), options()).unwrap();
    assert_eq!(stored(&db), [5_000, 10_000]);
    assert!(crate::verify(dir.path()).is_ok_and(|report| report.unknown_records == 0));
}

fn stored(db: &Db) -> Vec<i64> {
    use bellwether_model::Matcher;
    use bellwether_model::storage::{Queryable, SampleBuffer};
    let querier = db.querier(0, i64::MAX).unwrap();
    let found = querier
        .select(true, &[Matcher::equal("__name__", "m")])
        .unwrap();
    let mut out = SampleBuffer::default();
    found[0].read(0, i64::MAX, &mut out).unwrap();
    out.timestamps
}

#[test]
fn damage_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    for t in 0..40 {
        commit(&db, 0..2_000, 1000 + t);
    }
    let tail = tail(&db);
    let segment = tail.end().segment;
    let path = segments::path(&dir.path().join("wal"), segment);
    flip(&path, 50_000);
    let mut reader = tail.open(segment).unwrap();
    let (mut damaged, mut samples) = (0, 0);
    while let Some(item) = reader.next(tail.end().offset).unwrap() {
        match item {
            LogItem::Damaged(_) => damaged += 1,
            LogItem::Record(record) if record.kind() == RecordKind::Samples => {
                record.samples(|_, _, _| samples += 1).unwrap();
            }
            LogItem::Record(_) => {}
        }
    }
    assert!(damaged > 0 && samples > 70_000, "{damaged} {samples}");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}
