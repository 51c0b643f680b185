//! Forcing the log to the disk: a thread does it, and commits wait for it only when it falls behind.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/meddled.rs"]
mod meddled;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bellwether_model::Labels;
use bellwether_model::storage::Appendable;
use bellwether_tsdb::{AgentDb, AgentOptions, Db, DbOptions, WalCompression, WalSync};
use meddled::{Call, Meddled};

const T0: i64 = 1_700_006_400_000;
/// Of the interval; the clock stands still unless the test sets it.
const SECOND: i64 = 1000;
const PATIENCE: Duration = Duration::from_secs(20);

/// A disk whose syncs of the log do not return while the gate is closed.
#[derive(Clone, Default)]
struct Gate {
    closed: Arc<AtomicBool>,
    waiting: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
}

impl Gate {
    fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    fn is_somebody_waiting(&self) -> bool {
        self.waiting.load(Ordering::SeqCst)
    }

    fn files(&self) -> Meddled {
        let gate = self.clone();
        Meddled::new(move |call, path| {
            let log = path.parent().is_some_and(|p| p.ends_with("wal"));
            if call == Call::Sync && log {
                while gate.closed.load(Ordering::SeqCst) {
                    gate.waiting.store(true, Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(1));
                }
                gate.passed.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        })
    }
}

/// Polls until it is so, or for a time.
fn becomes(what: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !what() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// One transaction of about 4 KiB.
fn commit(db: &dyn Appendable, job: &str, t: i64) {
    let mut app = db.appender();
    for i in 0..50 {
        let name = format!("m_{job}_{t}_{i}");
        let series = app.series(&Labels::from_pairs([
            ("__name__", &name),
            ("job", &job.into()),
        ]));
        app.append(series.unwrap(), T0 + t, 1.0).unwrap();
    }
    app.commit().unwrap();
}

/// Small segments on a disk with a gate, and a clock to set.
fn options(gate: &Gate, wal_sync: WalSync, clock: &Arc<AtomicI64>) -> DbOptions {
    let clock = Arc::clone(clock);
    DbOptions {
        wal_segment_size: 32 * 1024,
        wal_compression: WalCompression::None,
        wal_sync,
        clock: Arc::new(move || clock.load(Ordering::SeqCst)),
        files: Arc::new(gate.files()),
        ..common::options()
    }
}

/// Commits until this many segments ended, and waits for the thread to take the first before the others end.
fn end_segments(db: &dyn Appendable, gate: &Gate, current: impl Fn() -> u64, count: u64) {
    let mut t = 0;
    while current() < count {
        commit(db, "filler", t);
        t += 1;
        if current() == 1 {
            assert!(becomes(|| gate.is_somebody_waiting()), "nothing is synced");
        }
    }
}

#[test]
fn a_commit_does_not_wait_for_a_segment_that_ended() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let db = Db::open(
        dir.path(),
        options(&gate, WalSync::Segment, &Arc::default()),
    );
    let db = db.unwrap();
    gate.close();
    end_segments(&*db, &gate, || db.stats().wal_segment_current, 3);
    gate.open();
    db.close().unwrap();
}

#[test]
fn nor_does_one_of_an_agent() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let options = AgentOptions {
        log: options(&gate, WalSync::Segment, &Arc::default()),
        ..AgentOptions::default()
    };
    let db = AgentDb::open(dir.path(), options).unwrap();
    gate.close();
    end_segments(&*db, &gate, || db.stats().segment, 3);
    gate.open();
    db.close().unwrap();
}

#[test]
fn a_commit_does_not_wait_for_the_sync_of_an_interval() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let clock = Arc::new(AtomicI64::new(T0));
    let every = WalSync::Interval(Duration::from_millis(SECOND as u64));
    let db = Db::open(dir.path(), options(&gate, every, &clock)).unwrap();
    gate.close();
    commit(&*db, "early", 0);
    clock.fetch_add(2 * SECOND, Ordering::SeqCst);
    commit(&*db, "due", 1);
    assert!(becomes(|| gate.is_somebody_waiting()), "nothing is synced");
    commit(&*db, "later", 2);
    gate.open();
    db.close().unwrap();
}

/// What is at stake stays little: one lot that is being synced, and two segments that wait for it.
#[test]
fn a_commit_waits_when_many_segments_do() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let db = Db::open(
        dir.path(),
        options(&gate, WalSync::Segment, &Arc::default()),
    );
    let db = db.unwrap();
    gate.close();
    let done = AtomicBool::new(false);
    let current = || db.stats().wal_segment_current;
    thread::scope(|scope| {
        scope.spawn(|| {
            end_segments(&*db, &gate, current, 4);
            done.store(true, Ordering::SeqCst);
        });
        let full = becomes(|| current() == 4);
        let waits = !done.load(Ordering::SeqCst);
        gate.open();
        assert!(full, "the commits come to a stop too early");
        assert!(waits, "a commit left a third segment behind");
    });
    db.close().unwrap();
}

#[test]
fn closing_waits_for_what_is_being_synced() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let db = Db::open(
        dir.path(),
        options(&gate, WalSync::Segment, &Arc::default()),
    );
    let db = db.unwrap();
    gate.close();
    end_segments(&*db, &gate, || db.stats().wal_segment_current, 1);
    let (begun, closed) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            begun.store(true, Ordering::SeqCst);
            db.close().unwrap();
            closed.store(true, Ordering::SeqCst);
        });
        let has_begun = becomes(|| begun.load(Ordering::SeqCst));
        let waits = !closed.load(Ordering::SeqCst);
        gate.open();
        assert!(has_begun && waits);
    });
    assert!(closed.load(Ordering::SeqCst));
    assert!(gate.passed.load(Ordering::SeqCst) >= 2);
}

/// Also where a segment ends.
#[test]
fn what_is_acknowledged_at_every_commit_is_synced() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let db = Db::open(dir.path(), options(&gate, WalSync::Commit, &Arc::default())).unwrap();
    let mut t = 0;
    while db.stats().wal_segment_current < 3 {
        let before = gate.passed.load(Ordering::SeqCst);
        commit(&*db, "all", t);
        assert!(gate.passed.load(Ordering::SeqCst) > before);
        t += 1;
    }
}

/// A sync that fails is tried again until it succeeds.
#[test]
fn a_segment_that_could_not_be_synced_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let broken = Arc::new(AtomicBool::new(true));
    let synced = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let files = {
        let (broken, synced) = (Arc::clone(&broken), Arc::clone(&synced));
        Meddled::new(move |call, path| {
            let log = call == Call::Sync && path.parent().is_some_and(|p| p.ends_with("wal"));
            match log && broken.load(Ordering::SeqCst) {
                true => return Err(std::io::Error::other("no sync")),
                false if log => synced.lock().push(path.to_path_buf()),
                false => {}
            }
            Ok(())
        })
    };
    let options = DbOptions {
        wal_segment_size: 32 * 1024,
        wal_compression: WalCompression::None,
        files: Arc::new(files),
        ..common::options()
    };
    let db = Db::open(dir.path(), options).unwrap();
    let mut t = 0;
    while db.stats().wal_segment_current < 2 {
        commit(&*db, "filler", t);
        t += 1;
    }
    db.run_maintenance().unwrap();
    assert!(synced.lock().is_empty());
    broken.store(false, Ordering::SeqCst);
    db.run_maintenance().unwrap();
    let wal = dir.path().join("wal");
    let mut got = synced.lock().clone();
    got.sort();
    assert_eq!(got, [wal.join("00000000"), wal.join("00000001")]);
}
