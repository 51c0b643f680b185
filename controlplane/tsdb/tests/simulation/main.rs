//! Random actions under a seed against a plain model: appends good and bad, rollbacks, full disks, deletion,
//! maintenance, kills with torn writes, restarts. `BELLWETHER_TSDB_SEEDS=n` runs more seeds.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
mod disk;
mod disk_tests;
mod random;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bellwether_model::storage::{AppendError, Appendable as _, Queryable as _, SampleBuffer};
use bellwether_model::{Labels, MatchOp, Matcher};
use bellwether_tsdb::{Db, DbOptions};

use disk::{Disk, PLENTY};
use random::Random;

const MINUTE: i64 = 60_000;
const T0: i64 = 1_700_006_400_000;

type Model = BTreeMap<String, BTreeMap<i64, u64>>;

struct World {
    random: Random,
    disk: Disk,
    db: Option<Arc<Db>>,
    model: Model,
    /// Newest time per series, deleted or not.
    newest: BTreeMap<String, i64>,
    now: i64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut this = Self {
            random: Random::new(seed),
            disk: Disk::new(seed),
            db: None,
            model: Model::new(),
            newest: BTreeMap::new(),
            now: T0,
        };
        this.open();
        this
    }

    fn open(&mut self) {
        let options = DbOptions {
            wal_segment_size: 32 * 1024,
            files: Arc::new(self.disk.clone()),
            ..common::options()
        };
        self.db = Some(Db::open(Path::new("/data"), options).unwrap());
    }

    fn db(&self) -> Arc<Db> {
        Arc::clone(self.db.as_ref().unwrap())
    }

    fn labels(&mut self) -> Labels {
        // Names change with the hours, so that series end.
        let era = (self.now - T0) / (180 * MINUTE);
        let i = self.random.below(25);
        Labels::from_pairs([
            ("__name__", format!("m{}", i % 3)),
            (
                "era",
                if i < 12 {
                    String::new()
                } else {
                    era.to_string()
                },
            ),
            ("i", i.to_string()),
        ])
    }

    fn append(&mut self) {
        let db = self.db();
        let mut app = db.appender();
        let mut pending: Vec<(String, i64, u64)> = Vec::new();
        let mut taken: BTreeMap<String, i64> = BTreeMap::new();
        for _ in 0..1 + self.random.below(60) {
            let labels = self.labels();
            let text = labels.to_string();
            let last = self.newest.get(&text).copied().unwrap_or(i64::MIN);
            let bits = match self.random.below(6) {
                0 => self.random.next(),
                n => (n as f64 * 2.5).to_bits(),
            };
            let late = match self.random.below(12) {
                0 => self.random.below(200) as i64 * MINUTE,
                _ => 0,
            };
            let t = self.now - late + self.random.below(5) as i64;
            let series = app.series(&labels).unwrap();
            match app.append(series, t, f64::from_bits(bits)) {
                Ok(()) => {
                    assert!(t >= last, "an old sample was taken");
                    // Within one transaction only the first of a time, and later ones, are kept.
                    if t > last && taken.get(&text).is_none_or(|x| t > *x) {
                        taken.insert(text.clone(), t);
                        pending.push((text, t, bits));
                    }
                }
                Err(AppendError::OutOfOrder | AppendError::DuplicateTimestamp) => {
                    assert!(t <= last, "a good sample was refused");
                }
                Err(AppendError::OutOfBounds) => assert!(late > 0),
                Err(e) => panic!("{e}"),
            }
        }
        match self.random.below(10) {
            0 => app.rollback(),
            1 => {
                self.disk.set_free(self.random.below(300) as i64);
                let done = app.commit();
                self.disk.set_free(PLENTY);
                match done {
                    Ok(()) => self.take(pending),
                    Err(AppendError::Wal(_)) => {}
                    Err(e) => panic!("{e}"),
                }
            }
            _ => {
                app.commit().unwrap();
                self.take(pending);
            }
        }
    }

    fn take(&mut self, pending: Vec<(String, i64, u64)>) {
        for (series, t, bits) in pending {
            self.newest.insert(series.clone(), t);
            self.model.entry(series).or_default().insert(t, bits);
        }
    }

    fn delete(&mut self) {
        let i = self.random.below(25).to_string();
        let mint = self.now - self.random.below(600) as i64 * MINUTE;
        let maxt = mint + self.random.below(100) as i64 * MINUTE;
        self.db()
            .delete(mint, maxt, &[Matcher::equal("i", &i)])
            .unwrap();
        let wanted = format!("i=\"{i}\"");
        for (series, samples) in &mut self.model {
            if series.contains(&wanted) {
                samples.retain(|t, _| !(mint..=maxt).contains(t));
            }
        }
    }

    fn restart(&mut self) {
        let db = self.db.take().unwrap();
        let clean = self.random.below(2) == 0;
        if clean {
            db.close().unwrap();
        }
        drop(db);
        if !clean && self.random.below(2) == 0 {
            // A write that was torn by the kill, never acknowledged.
            let segments = self.disk.all_files().into_iter().map(|f| f.0);
            let last = segments
                .filter(|p| p.parent() == Some(Path::new("/data/wal")))
                .max();
            let kind = 1 + self.random.below(4) as u8;
            let garbage: Vec<u8> = (0..self.random.below(100))
                .map(|_| self.random.next() as u8)
                .collect();
            self.disk.tamper(&last.unwrap(), |bytes| {
                bytes.push(kind);
                bytes.extend(garbage);
            });
        }
        self.open();
    }

    /// Everything in a range is exactly what the model has.
    fn check(&mut self, mint: i64, maxt: i64) {
        let db = self.db();
        let q = db.querier(mint, maxt).unwrap();
        let all = Matcher::new(MatchOp::Regex, "__name__", "m.").unwrap();
        let mut buffer = SampleBuffer::default();
        let mut got = Model::new();
        for series in q.select(true, &[all]).unwrap() {
            buffer.clear();
            series.read(mint, maxt, &mut buffer).unwrap();
            if !buffer.is_empty() {
                let values = buffer.values.iter().map(|v| v.to_bits());
                let samples = buffer.timestamps.iter().copied().zip(values).collect();
                assert!(got.insert(series.labels().to_string(), samples).is_none());
            }
        }
        let mut wanted = self.model.clone();
        for samples in wanted.values_mut() {
            samples.retain(|t, _| (mint..=maxt).contains(t));
        }
        wanted.retain(|_, s| !s.is_empty());
        assert_eq!(got, wanted);
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..24 => {
                self.now += self.random.below(12) as i64 * MINUTE;
                self.append();
            }
            24..29 => {
                self.db().run_maintenance().unwrap();
            }
            29 | 30 => self.delete(),
            31 => self.db().clean_tombstones().unwrap(),
            32..36 => self.restart(),
            36 => self.check(i64::MIN, i64::MAX),
            _ => {
                let mint = self.now - self.random.below(900) as i64 * MINUTE;
                let maxt = mint + self.random.below(400) as i64 * MINUTE;
                self.check(mint, maxt);
            }
        }
    }
}

#[test]
fn random_lives_match_the_model() {
    let seeds: u64 = std::env::var("BELLWETHER_TSDB_SEEDS")
        .ok()
        .and_then(|s| s.parse().ok())
        .unwrap_or(12);
    for seed in 1..=seeds {
        let result = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            for _ in 0..250 {
                world.step();
            }
            world.check(i64::MIN, i64::MAX);
            world.restart();
            world.check(i64::MIN, i64::MAX);
            world.db().blocks().len()
        });
        match result {
            Ok(blocks) => assert!(blocks > 0, "seed {seed}: too short to reach blocks"),
            Err(panic) => {
                eprintln!("seed {seed} fails");
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn a_full_disk_loses_only_the_refused_commit_and_heals() {
    let mut world = World::new(1);
    let db = world.db();
    let label = |i: i64| Labels::from_pairs([("__name__", "m"), ("i", &i.to_string())]);
    for (t, free) in [(1, PLENTY), (2, 10), (3, PLENTY)] {
        world.disk.set_free(free);
        let mut app = db.appender();
        for i in 0..20 {
            let series = app.series(&label(i)).unwrap();
            app.append(series, T0 + t, t as f64).unwrap();
        }
        assert_eq!(app.commit().is_ok(), free == PLENTY);
    }
    drop(db);
    world.db = None;
    world.open();
    for (_, samples) in common::dump(&*world.db(), i64::MIN, i64::MAX) {
        assert_eq!(samples.into_keys().collect::<Vec<_>>(), [T0 + 1, T0 + 3]);
    }
    assert_eq!(world.db().stats().wal_corruptions, 0);
}
