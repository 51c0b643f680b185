#![allow(clippy::unwrap_used)]

use bellwether_model::storage::{AppendError, Appendable, SeriesRef};
use bellwether_model::{Exemplar, Labels};

use super::*;
use crate::log_tail::{LogItem, RecordKind};

fn labels(n: usize) -> Labels {
    Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())])
}

fn commit(db: &AgentDb, series: std::ops::Range<usize>, t: i64) -> Vec<SeriesRef> {
    let mut appender = db.appender();
    let mut references = Vec::new();
    for n in series {
        let reference = appender.series(&labels(n)).unwrap();
        appender.append(reference, t, 1.0).unwrap();
        references.push(reference);
    }
    appender.commit().unwrap();
    references
}

/// Samples and names in the log, checkpoint included.
fn logged(db: &AgentDb) -> (usize, usize) {
    let tail = db.log_tail();
    let checkpoint = tail.last_checkpoint().unwrap();
    let mut readers = match checkpoint {
        Some(n) => tail.open_checkpoint(n).unwrap(),
        None => Vec::new(),
    };
    for n in tail.segments().unwrap() {
        if checkpoint.is_none_or(|c| n > c) {
            readers.push(tail.open(n).unwrap());
        }
    }
    let (mut samples, mut names) = (0, 0);
    for reader in &mut readers {
        while let Some(item) = reader.next(u64::MAX).unwrap() {
            let LogItem::Record(record) = item else {
                panic!("{item:?}");
            };
            match record.kind() {
                RecordKind::Series => names += record.series().unwrap().len(),
                RecordKind::Samples => record.samples(|_, _, _| samples += 1).unwrap(),
                _ => {}
            }
        }
    }
    (samples, names)
}

#[test]
fn samples_are_logged_and_series_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = AgentDb::open(dir.path(), AgentOptions::default()).unwrap();
    let before = commit(&db, 0..10, 1000);
    commit(&db, 0..10, 2000);
    assert_eq!(logged(&db), (20, 10));
    assert!(matches!(
        AgentDb::open(dir.path(), AgentOptions::default()),
        Err(TsdbError::Locked { .. })
    ));
    drop(db);
    let db = AgentDb::open(dir.path(), AgentOptions::default()).unwrap();
    assert_eq!(db.stats().active_series, 10);
    // The same references, and the order in time goes on.
    let mut appender = db.appender();
    assert_eq!(appender.series(&labels(3)).unwrap(), before[3]);
    let error = appender.append(before[3], 2000, 1.0).unwrap_err();
    assert!(matches!(error, AppendError::OutOfOrder));
    appender.append(before[3], 2001, 1.0).unwrap();
    appender.commit().unwrap();
    assert_eq!(commit(&db, 10..11, 3000)[0].0, before[9].0 + 1);
    assert_eq!(logged(&db), (22, 11));
    db.close().unwrap();
    let appender = db.appender();
    drop(appender);
}

#[test]
fn a_window_takes_samples_out_of_order() {
    let dir = tempfile::tempdir().unwrap();
    let options = AgentOptions {
        out_of_order_window: Duration::from_secs(1),
        ..AgentOptions::default()
    };
    let db = AgentDb::open(dir.path(), options).unwrap();
    let reference = commit(&db, 0..1, 10_000)[0];
    let mut appender = db.appender();
    appender.append(reference, 9_001, 1.0).unwrap();
    assert!(appender.append(reference, 9_000, 1.0).is_err());
    appender.commit().unwrap();
    assert_eq!(db.stats().out_of_order, 2);
}

#[test]
fn a_series_of_a_transaction_that_was_rolled_back_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let db = AgentDb::open(dir.path(), AgentOptions::default()).unwrap();
    let mut first = db.appender();
    let reference = first.series(&labels(0)).unwrap();
    let mut second = db.appender();
    assert_eq!(second.series(&labels(0)).unwrap(), reference);
    second.append(reference, 5, 1.0).unwrap();
    first.rollback();
    second.commit().unwrap();
    assert_eq!(logged(&db), (1, 1));
}

#[test]
fn the_same_exemplar_again_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let db = AgentDb::open(dir.path(), AgentOptions::default()).unwrap();
    let reference = commit(&db, 0..1, 1000)[0];
    for v in [1.0, 1.0, 2.0] {
        let mut appender = db.appender();
        let exemplar = Exemplar {
            labels: Labels::from_pairs([("trace_id", "x")]),
            value: v,
            timestamp_ms: Some(1000),
        };
        appender.append_exemplar(reference, exemplar).unwrap();
        appender.commit().unwrap();
    }
    assert_eq!(db.stats().exemplars, 2);
}

#[test]
fn truncation_forgets_idle_series_and_keeps_what_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let db = AgentDb::open(dir.path(), AgentOptions::default()).unwrap();
    commit(&db, 0..5, 1_000);
    for round in 1..8 {
        commit(&db, 5..10, round * 10_000);
        db.truncate_before(0).unwrap();
    }
    let (samples, _) = logged(&db);
    assert_eq!(samples, 5 + 7 * 5);
    // Everything before the last two rounds is sent.
    db.truncate_before(60_000).unwrap();
    assert_eq!(db.stats().active_series, 5);
    assert!(db.stats().deleted_series == 5 && db.stats().checkpoints > 0);
    commit(&db, 5..10, 80_000);
    for _ in 0..8 {
        db.truncate_before(60_000).unwrap();
    }
    let (samples, names) = logged(&db);
    assert_eq!((samples, names), (15, 5));
    assert_eq!(db.stats().deleted_series, 0);
    drop(db);
    let db = AgentDb::open(dir.path(), AgentOptions::default()).unwrap();
    assert_eq!(db.stats().active_series, 5);
}

#[test]
fn starts_are_logged_once() {
    let dir = tempfile::tempdir().unwrap();
    let db = AgentDb::open(dir.path(), AgentOptions::default()).unwrap();
    for t in [1000, 2000] {
        let mut appender = db.appender();
        let reference = appender.series(&labels(0)).unwrap();
        for start in [500, t] {
            let zero = bellwether_model::storage::Zero::Float;
            appender.append_start(reference, start, t, zero).unwrap();
        }
        appender.append(reference, t, 1.0).unwrap();
        appender.commit().unwrap();
    }
    assert_eq!(logged(&db), (3, 1));
}
