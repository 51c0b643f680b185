//! Forcing the log to the disk: whoever fills a segment waits for it, and nobody else.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/meddled.rs"]
mod meddled;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bellwether_model::Labels;
use bellwether_model::storage::Appendable as _;
use bellwether_tsdb::{Db, DbOptions, WalCompression, WalSync};
use meddled::{Call, Meddled};

const T0: i64 = 1_700_006_400_000;
/// Of the interval; the clock stands still unless the test sets it.
const SECOND: i64 = 1000;
const PATIENCE: Duration = Duration::from_secs(20);

/// A disk whose syncs of the log do not return while the gate is closed.
#[derive(Clone, Default)]
struct Gate {
    closed: Arc<AtomicBool>,
    waiting: Arc<AtomicU64>,
}

impl Gate {
    fn files(&self) -> Meddled {
        let gate = self.clone();
        Meddled::new(move |call, path| {
            let log = path.parent().is_some_and(|p| p.ends_with("wal"));
            if call == Call::Sync && log {
                gate.waiting.fetch_add(1, Ordering::SeqCst);
                while gate.closed.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(1));
                }
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
fn commit(db: &Db, job: &str, t: i64) {
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

/// Commits until a sync of the log is under way, which belongs to the last commit, and looks at another one meanwhile.
fn other_commits_go_on(wal_sync: WalSync) {
    let dir = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let clock = Arc::new(AtomicI64::new(T0));
    let options = DbOptions {
        wal_segment_size: 32 * 1024,
        wal_compression: WalCompression::None,
        wal_sync,
        clock: {
            let clock = Arc::clone(&clock);
            Arc::new(move || clock.load(Ordering::SeqCst))
        },
        files: Arc::new(gate.files()),
        ..common::options()
    };
    let db = Db::open(dir.path(), options).unwrap();
    gate.closed.store(true, Ordering::SeqCst);
    gate.waiting.store(0, Ordering::SeqCst);
    clock.fetch_add(2 * SECOND, Ordering::SeqCst);
    let (begun, done) = (AtomicI64::new(0), AtomicI64::new(0));
    let other = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while gate.closed.load(Ordering::SeqCst) {
                let t = begun.fetch_add(1, Ordering::SeqCst);
                commit(&db, "filler", t);
                done.store(t + 1, Ordering::SeqCst);
            }
        });
        let synced = becomes(|| gate.waiting.load(Ordering::SeqCst) > 0);
        scope.spawn(|| {
            commit(&db, "other", 0);
            other.store(true, Ordering::SeqCst);
        });
        let went_on = becomes(|| other.load(Ordering::SeqCst));
        let waits = done.load(Ordering::SeqCst) < begun.load(Ordering::SeqCst);
        gate.closed.store(false, Ordering::SeqCst);
        assert!(synced, "nothing is synced");
        assert!(went_on, "a commit waits for the sync of another one");
        assert!(waits, "a commit returned before what it filled was synced");
    });
}

#[test]
fn other_commits_do_not_wait_for_a_segment_that_ended() {
    other_commits_go_on(WalSync::Segment);
}

#[test]
fn other_commits_do_not_wait_for_the_sync_of_an_interval() {
    other_commits_go_on(WalSync::Interval(Duration::from_millis(SECOND as u64)));
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
        commit(&db, "filler", t);
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
