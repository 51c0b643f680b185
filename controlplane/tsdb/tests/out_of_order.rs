//! Samples that come out of order: what is taken, what queries see, and what is left after restarts, compactions
//! and the reference server.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "common/meddled.rs"]
mod meddled;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bellwether_model::histogram::Histogram;
use bellwether_model::storage::{AppendError, Appendable as _};
use bellwether_model::{Labels, MatchOp, Matcher, Span};
use bellwether_tsdb::{Db, DbOptions};
use common::{Dump, Value, assert_same, dump, options};
use meddled::{Call, Meddled};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const T0: i64 = 1_700_006_400_000;

fn window(window: Duration) -> DbOptions {
    DbOptions {
        out_of_order_window: window,
        ..options()
    }
}

fn open(dir: &Path) -> Arc<Db> {
    Db::open(dir, window(Duration::from_secs(3 * 3600))).unwrap()
}

fn name(n: &str) -> Labels {
    Labels::from_pairs([("__name__", n)])
}

fn append(db: &Db, series: &str, samples: &[(i64, f64)]) -> Vec<Result<(), AppendError>> {
    let mut app = db.appender();
    let s = app.series(&name(series)).unwrap();
    let results = samples.iter().map(|(t, v)| app.append(s, *t, *v)).collect();
    app.commit().unwrap();
    results
}

fn take(db: &Db, series: &str, samples: &[(i64, f64)]) {
    for (r, s) in append(db, series, samples).into_iter().zip(samples) {
        r.unwrap_or_else(|e| panic!("{series} {s:?}: {e}"));
    }
}

fn floats(db: &Db, series: &str) -> Vec<(i64, f64)> {
    let all = dump(db, i64::MIN, i64::MAX);
    let Some(samples) = all.get(&name(series).to_string()) else {
        return Vec::new();
    };
    samples
        .iter()
        .map(|(t, v)| match v {
            Value::Float(v) => (*t, *v),
            Value::Histogram { .. } => panic!("a histogram in {series}"),
        })
        .collect()
}

fn histogram(n: u64) -> Histogram {
    Histogram {
        schema: 1,
        count: n,
        sum: n as f64,
        positive_spans: vec![Span {
            offset: 0,
            length: 1,
        }],
        positive_buckets: vec![n as i64],
        ..Histogram::default()
    }
}

#[test]
fn each_refusal_has_prometheus_error_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    take(&db, "m", &[(T0 + 2 * HOUR, 1.0)]);
    let check = |samples: &[(i64, f64)], wanted: &[&str]| {
        let got: Vec<String> = append(&db, "m", samples)
            .into_iter()
            .map(|r| r.map_or_else(|e| e.to_string(), |()| "taken".to_owned()))
            .collect();
        assert_eq!(got, wanted);
    };
    let samples = [
        (T0 + 2 * HOUR, 1.0),
        (T0 + 2 * HOUR, 2.0),
        (T0 + 2 * HOUR - 1, 1.0),
        (T0 + HOUR - 1, 1.0),
    ];
    check(
        &samples,
        &[
            "taken",
            "duplicate sample for timestamp 1700013600000; overrides not allowed: existing 1, new value 2",
            "out of order sample",
            "out of bounds",
        ],
    );
    db.set_out_of_order_window(Duration::from_secs(3 * 3600))
        .unwrap();
    let samples = [
        (T0 + 2 * HOUR, 2.0),
        (T0 + 2 * HOUR - 1, 1.0),
        (T0 - HOUR, 1.0),
        (T0 - HOUR - 1, 1.0),
    ];
    check(
        &samples,
        &[
            "duplicate sample for timestamp 1700013600000; overrides not allowed: existing 1, new value 2",
            "taken",
            "taken",
            "too old sample",
        ],
    );
    let stats = db.stats();
    assert_eq!(stats.out_of_order_samples, 1);
    assert_eq!(stats.out_of_bound_samples, 1);
    assert_eq!(stats.too_old_samples, 1);
    assert_eq!(stats.duplicate_samples, 2);
    assert_eq!(stats.out_of_order_samples_appended, 2);
    assert!(stats.wbl_size_bytes > 0);
    assert_eq!(stats.lowest_timestamp, T0 - HOUR);
    // Without a window again, what was taken stays and no more is.
    db.set_out_of_order_window(Duration::ZERO).unwrap();
    check(&[(T0 + 2 * HOUR - 2, 1.0)], &["out of order sample"]);
    assert_eq!(
        floats(&db, "m"),
        [
            (T0 - HOUR, 1.0),
            (T0 + 2 * HOUR - 1, 1.0),
            (T0 + 2 * HOUR, 1.0)
        ]
    );
}

#[test]
fn one_transaction_may_go_back_and_forth() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let samples = [
        (T0 + 50, 5.0),
        (T0 + 10, 1.0),
        (T0 + 30, 3.0),
        (T0 + 60, 6.0),
        (T0 + 30, 9.0),
    ];
    take(&db, "m", &samples);
    let wanted = [
        (T0 + 10, 1.0),
        (T0 + 30, 3.0),
        (T0 + 50, 5.0),
        (T0 + 60, 6.0),
    ];
    assert_eq!(floats(&db, "m"), wanted);
    drop(db);
    assert_eq!(floats(&open(dir.path()), "m"), wanted);
}

/// Two transactions are open at once; what is late is decided by who commits first.
#[test]
fn what_another_transaction_made_late_is_kept_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut early = db.appender();
    let s = early.series(&name("m")).unwrap();
    early.append(s, T0 + 1, 1.0).unwrap();
    take(&db, "m", &[(T0 + 2, 2.0)]);
    early.commit().unwrap();
    let wanted = [(T0 + 1, 1.0), (T0 + 2, 2.0)];
    assert_eq!(floats(&db, "m"), wanted);
    drop(db);
    assert_eq!(floats(&open(dir.path()), "m"), wanted);
}

#[test]
fn histograms_and_a_change_of_kind_come_late_too() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let fill = |ts: &[i64]| {
        let mut app = db.appender();
        let h = app.series(&name("h")).unwrap();
        let f = app.series(&name("f")).unwrap();
        let mixed = app.series(&name("mixed")).unwrap();
        for t in ts {
            let at = T0 + t * MINUTE;
            app.append_histogram(h, at, histogram(*t as u64)).unwrap();
            let float = histogram(*t as u64).to_float();
            app.append_float_histogram(f, at, float).unwrap();
            if t % 2 == 0 {
                app.append(mixed, at, *t as f64).unwrap();
            } else {
                app.append_histogram(mixed, at, histogram(*t as u64))
                    .unwrap();
            }
        }
        app.commit().unwrap();
    };
    fill(&[100]);
    // More than one chunk of entries, forwards and backwards.
    fill(&(20..90).collect::<Vec<_>>());
    fill(&(1..20).rev().collect::<Vec<_>>());
    let ours = dump(&*db, i64::MIN, i64::MAX);
    assert_eq!(ours.len(), 3);
    for (series, samples) in &ours {
        assert_eq!(samples.len(), 90, "{series}");
        for (t, v) in samples {
            let n = ((t - T0) / MINUTE) as f64;
            match v {
                Value::Float(v) => assert_eq!(*v, n),
                Value::Histogram { count, sum, .. } => assert_eq!((*count, *sum), (n, n)),
            }
        }
    }
    drop(db);
    assert_same(&dump(&*open(dir.path()), i64::MIN, i64::MAX), &ours);
}

#[test]
fn compaction_moves_late_samples_to_blocks_and_shortens_their_log() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    for m in 0..4 * 60 {
        take(&db, "m", &[(T0 + m * MINUTE, m as f64)]);
        take(&db, "late", &[(T0 + m * MINUTE, m as f64)]);
        if m > 100 {
            take(&db, "late", &[(T0 + (m - 90) * MINUTE + 1, m as f64)]);
        }
    }
    let ours = dump(&*db, i64::MIN, i64::MAX);
    // A query that began before sees the same while everything moves under it.
    let old = bellwether_model::storage::Queryable::querier(&*db, i64::MIN, i64::MAX).unwrap();
    db.run_maintenance().unwrap();
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &ours);
    drop(old);
    let logged = db.stats().wbl_size_bytes;
    db.run_maintenance().unwrap();
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &ours);
    assert!(
        db.stats().wbl_size_bytes < logged,
        "the log was not shortened"
    );
    assert!(!db.blocks().is_empty());
    let end = db.stats().head_min_time;
    drop(db);
    // The head's own samples must not be taken for samples of blocks.
    let db = open(dir.path());
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &ours);
    assert_eq!(db.stats().head_min_time, end);
    // Late ones of the time that is in blocks by now.
    take(&db, "m", &[(T0 + 3 * HOUR - 7, -1.0)]);
    take(&db, "new", &[(T0 + HOUR, -2.0)]);
    assert!(floats(&db, "m").contains(&(T0 + 3 * HOUR - 7, -1.0)));
    let snapshot = tempfile::tempdir().unwrap();
    db.snapshot(snapshot.path(), true).unwrap();
    let ours = dump(&*db, i64::MIN, i64::MAX);
    let copy = Db::open(snapshot.path(), options()).unwrap();
    assert_same(&dump(&*copy, i64::MIN, i64::MAX), &ours);
}

#[test]
fn deleted_late_samples_stay_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let matcher = Matcher::new(MatchOp::Equal, "__name__", "late").unwrap();
    for m in 0..4 * 60 {
        take(&db, "m", &[(T0 + m * MINUTE, 0.0)]);
        if m == 170 {
            let late: Vec<_> = (0..60).map(|i| (T0 + i * MINUTE, i as f64)).collect();
            take(&db, "late", &[(T0 + m * MINUTE, 0.0)]);
            take(&db, "late", &late);
            let (from, to) = (T0 + 10 * MINUTE, T0 + 49 * MINUTE);
            db.delete(from, to, std::slice::from_ref(&matcher)).unwrap();
        }
    }
    let left = |db: &Db| floats(db, "late").len();
    assert_eq!(left(&db), 21);
    drop(db);
    let db = open(dir.path());
    assert_eq!(left(&db), 21);
    db.run_maintenance().unwrap();
    assert_eq!(left(&db), 21);
    drop(db);
    assert_eq!(left(&open(dir.path())), 21);
}

/// Late samples are in blocks but their log cannot be removed: a deletion that only marks the blocks would not last.
#[test]
fn deleted_late_samples_stay_deleted_when_their_log_cannot_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let on = Arc::new(AtomicBool::new(true));
    let stays = Arc::clone(&on);
    let files = Meddled::new(move |call, path| {
        let here = call == Call::RemoveFile && path.parent().is_some_and(|p| p.ends_with("wbl"));
        match here && stays.load(Ordering::Relaxed) {
            true => Err(std::io::Error::other("does not go")),
            false => Ok(()),
        }
    });
    let options = DbOptions {
        files: Arc::new(files),
        ..window(Duration::from_secs(3 * 3600))
    };
    let db = Db::open(dir.path(), options).unwrap();
    for m in 0..4 * 60 {
        take(&db, "m", &[(T0 + m * MINUTE, 0.0)]);
        if m == 100 {
            take(&db, "late", &[(T0 + m * MINUTE, 0.0)]);
            take(&db, "late", &[(T0 + MINUTE, 1.0), (T0 + 2 * MINUTE, 2.0)]);
        }
    }
    db.run_maintenance().unwrap_err();
    let matcher = [Matcher::new(MatchOp::Equal, "__name__", "late").unwrap()];
    db.delete(i64::MIN, i64::MAX, &matcher).unwrap_err();
    assert_eq!(floats(&db, "late").len(), 3);
    on.store(false, Ordering::Relaxed);
    db.delete(i64::MIN, i64::MAX, &matcher).unwrap();
    assert!(floats(&db, "late").is_empty());
    drop(db);
    let db = open(dir.path());
    assert!(floats(&db, "late").is_empty());
    assert_eq!(floats(&db, "m").len(), 4 * 60);
}

/// A value that says where it belongs, so that a sample stored twice is the same twice.
fn value(series: usize, t: i64) -> f64 {
    (t % 1_000_003) as f64 * 8.0 + series as f64
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// Lives of a database with late samples, compactions, deletions and kills, against a plain model.
/// `BELLWETHER_TSDB_SEEDS=n` runs more of them.
#[test]
fn random_lives_match_the_model() {
    let seeds: u64 = std::env::var("BELLWETHER_TSDB_SEEDS").map_or(6, |n| n.parse().unwrap());
    for seed in 1..=seeds {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut db = open(dir.path());
        let mut model: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
        let mut now = T0;
        for _ in 0..100 {
            match random.below(10) {
                0..=6 => {
                    now += random.below(20) as i64 * MINUTE;
                    for _ in 0..=random.below(30) {
                        let i = random.below(5) as usize;
                        let t = match random.below(3) {
                            0 => now - random.below(170) as i64 * MINUTE,
                            _ => now + random.below(1000) as i64,
                        };
                        let series = format!("s{i}");
                        take(&db, &series, &[(t, value(i, t))]);
                        let samples = model.entry(name(&series).to_string()).or_default();
                        samples.insert(t, value(i, t));
                        now = now.max(t);
                    }
                }
                7 => {
                    db.run_maintenance().unwrap();
                }
                8 => {
                    // Before everything that may still come late: marks also hide what comes after them.
                    let to = now - 4 * HOUR;
                    let i = random.below(5);
                    let m = Matcher::new(MatchOp::Equal, "__name__", format!("s{i}")).unwrap();
                    db.delete(i64::MIN, to, &[m]).unwrap();
                    if let Some(samples) = model.get_mut(&name(&format!("s{i}")).to_string()) {
                        samples.retain(|t, _| *t > to);
                    }
                }
                _ => {
                    drop(db);
                    db = open(dir.path());
                }
            }
            let wanted: Dump = model
                .iter()
                .filter(|(_, s)| !s.is_empty())
                .map(|(k, s)| {
                    let samples = s.iter().map(|(t, v)| (*t, Value::Float(*v)));
                    (k.clone(), samples.collect())
                })
                .collect();
            let got = dump(&*db, i64::MIN, i64::MAX);
            if got != wanted {
                eprintln!("seed {seed}");
                assert_same(&got, &wanted);
            }
        }
        assert!(db.blocks().len() > 1, "seed {seed} made too few blocks");
    }
}
