//! One random life of a database: a disk, a model, and what happens to them.

mod offers;
mod restarts;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bellwether_model::storage::{Queryable as _, SampleBuffer, StorageError};
use bellwether_model::{MatchOp, Matcher};
use bellwether_tsdb::{BlockMeta, Db, DbOptions, Files as _, SyncWorker, WalCompression, WalSync};

use crate::common;
use crate::disk::{Disk, Liar};
use crate::model::{Model, Outcome, Samples, Value};
use crate::random::Random;

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const T0: i64 = 1_700_006_400_000;
pub(crate) const DATA: &str = "/data";
const SERIES: u64 = 25;

/// What may happen in a life besides ordinary work.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dangers {
    /// Full disks and failing operations.
    pub(crate) errors: bool,
    /// Kills in the middle of any operation.
    pub(crate) kills: bool,
    /// Power cuts, at kills and otherwise.
    pub(crate) power_cuts: bool,
    /// Deletions of all series.
    pub(crate) wide_deletions: bool,
    /// Samples out of order, within and beyond a window.
    pub(crate) late: bool,
    /// A size limit so small that it also takes the newest blocks.
    pub(crate) limited: bool,
    /// Series end with stale markers, and leave memory when they are many.
    pub(crate) stale: bool,
    /// Segments that ended are synced later, at moments that the life chooses.
    pub(crate) deferred: bool,
}

/// Segments that ended and may wait to be synced after a commit.
const MAY_WAIT: i64 = 2;

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) disk: Disk,
    pub(crate) model: Model,
    pub(crate) options: DbOptions,
    dangers: Dangers,
    db: Option<Arc<Db>>,
    clock: Arc<AtomicI64>,
    now: i64,
    /// The segment that is written.
    segment: i64,
    /// Segments below this are synced, but for what [`Self::doubt`] says.
    synced: i64,
    /// When deferred work is done.
    moments: Random,
    /// Which samples are stale markers.
    endings: Random,
    /// Samples before this are in blocks.
    blocks_until: i64,
    /// A sync failed that may have covered this segment; what it covered may be lost for good.
    doubt: Option<i64>,
    failed_syncs: u64,
    /// An operation may fail now.
    faulty: bool,
    /// Tell every step.
    told: bool,
}

fn options(random: &mut Random, seed: u64, disk: &Disk, clock: &Arc<AtomicI64>) -> DbOptions {
    let ids = parking_lot::Mutex::new(Random::new(seed ^ 0x5eed));
    let clock = Arc::clone(clock);
    DbOptions {
        wal_segment_size: 32 * 1024,
        wal_sync: match random.below(4) {
            0 => WalSync::Segment,
            1 => WalSync::Interval(Duration::from_secs(300)),
            _ => WalSync::Commit,
        },
        wal_compression: match random.below(3) {
            0 => WalCompression::None,
            1 => WalCompression::Snappy,
            _ => WalCompression::Zstd,
        },
        retention: match random.below(4) {
            0 => Duration::from_secs(24 * 3600),
            _ => Duration::ZERO,
        },
        max_block_duration: Duration::from_secs(18 * 3600),
        exemplars_max: 50,
        clock: Arc::new(move || clock.load(Ordering::Relaxed)),
        random: Arc::new(move || u128::from(ids.lock().next())),
        files: Arc::new(disk.clone()),
        ..common::options()
    }
}

/// All series.
fn everything() -> Matcher {
    Matcher::new(MatchOp::Regex, "__name__", "m.").unwrap()
}

/// Samples in order before this are in blocks.
pub(crate) fn end_of_in_order(blocks: &[BlockMeta]) -> i64 {
    let in_order = blocks.iter().filter(|b| !b.compaction.is_partial());
    in_order.map(|b| b.max_time).max().unwrap_or(i64::MIN)
}

/// Everything between two times.
pub(crate) fn read(db: &Db, mint: i64, maxt: i64) -> Result<Samples, StorageError> {
    let q = db.querier(mint, maxt)?;
    let mut buffer = SampleBuffer::default();
    let mut got = Samples::new();
    for series in q.select(true, &[everything()])? {
        buffer.clear();
        series.read(mint, maxt, &mut buffer)?;
        let ordered = buffer.timestamps.windows(2).all(|w| w[0] < w[1]);
        assert!(ordered, "{} is not in order of time", series.labels());
        let value = |i: usize| match buffer.histogram(i) {
            None => Value::Float(buffer.values[i].to_bits()),
            Some(h) => {
                let n = (h.count / 5.0) as u64;
                let same = h.sum == n as f64 * 1.5
                    && h.zero_count == n as f64
                    && h.positive_buckets.iter().sum::<f64>() == 4.0 * n as f64;
                if same {
                    Value::Histogram(n)
                } else {
                    Value::Foreign
                }
            }
        };
        if !buffer.is_empty() {
            let times = buffer.timestamps.iter().copied();
            let samples = times.enumerate().map(|(i, t)| (t, value(i))).collect();
            let old = got.insert(series.labels().to_string(), samples);
            assert!(old.is_none(), "{} comes twice", series.labels());
        }
    }
    Ok(got)
}

impl World {
    pub(crate) fn new(seed: u64, dangers: Dangers) -> Self {
        Self::with_liar(seed, dangers, None)
    }

    /// A life on a disk that may pretend.
    pub(crate) fn with_liar(seed: u64, dangers: Dangers, liar: Option<Liar>) -> Self {
        let mut random = Random::new(seed);
        let disk = Disk::new(seed ^ 0xd15c);
        if let Some(liar) = liar {
            disk.set_liar(liar);
        }
        let clock = Arc::new(AtomicI64::new(T0));
        let mut options = options(&mut random, seed, &disk, &clock);
        if dangers.late {
            let minutes = [20, 180, 400][random.below(3) as usize];
            options.out_of_order_window = Duration::from_secs(minutes * 60);
        }
        options.wal_sync_worker = match dangers.deferred {
            true => SyncWorker::Caller,
            false => SyncWorker::Commit,
        };
        if dangers.limited {
            options.retention_size = 1 << (13 + Random::new(!seed).below(4));
        }
        let mut this = Self {
            random,
            disk,
            model: Model::default(),
            options,
            dangers,
            db: None,
            clock,
            now: T0,
            segment: 0,
            synced: 0,
            moments: Random::new(seed ^ 0x5c4ed),
            endings: Random::new(seed ^ 0xe4d),
            blocks_until: i64::MIN,
            doubt: None,
            failed_syncs: 0,
            faulty: false,
            told: crate::number("BELLWETHER_TSDB_SEED").is_some(),
        };
        this.tell(|| format!("{dangers:?}, {:?}", this.options));
        this.open(false);
        this
    }

    pub(crate) fn db(&self) -> Arc<Db> {
        Arc::clone(self.db.as_ref().unwrap())
    }

    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            eprintln!("{}", what());
        }
    }

    fn outcome(&self, ok: bool) -> Outcome {
        if ok {
            return Outcome::Done(self.segment);
        }
        assert!(self.faulty, "an operation failed on a good disk");
        match self.disk.is_dead() {
            true => Outcome::Killed,
            false => Outcome::Failed,
        }
    }

    /// Notes what the database says of itself.
    fn observe(&mut self) {
        let db = self.db();
        let before = self.synced;
        self.segment = db.stats().wal_segment_current as i64;
        let waiting = if self.dangers.deferred { MAY_WAIT } else { 0 };
        self.synced = before.max(self.segment - waiting);
        let blocks_until = end_of_in_order(&db.blocks()).max(self.horizon());
        self.blocks_until = self.blocks_until.max(blocks_until);
        let failed = self.disk.failed_syncs();
        if failed > self.failed_syncs {
            self.failed_syncs = failed;
            self.doubt.get_or_insert(before.min(self.segment - 1));
        }
    }

    /// The time before which the log does not count, when blocks that ended there went.
    fn horizon(&self) -> i64 {
        let file = self.disk.peek(&Path::new(DATA).join("horizon"));
        let Some(text) = file.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return i64::MIN;
        };
        let horizon = text.split(' ').next().unwrap().parse().unwrap();
        assert!(horizon < self.now, "no block ended at {horizon}");
        horizon
    }

    fn delete(&mut self) {
        let wide = self.dangers.wide_deletions && self.random.below(2) == 0;
        let i = self.random.below(SERIES).to_string();
        let mint = self.now - self.random.below(600) as i64 * MINUTE;
        let minutes = if wide { 500 } else { 100 };
        let maxt = mint + self.random.below(minutes) as i64 * MINUTE;
        let (matcher, text) = match wide {
            true => (everything(), String::new()),
            false => (Matcher::equal("i", &i), format!("i=\"{i}\"")),
        };
        let matcher = [matcher];
        let done = self.db().delete(mint, maxt, &matcher);
        let outcome = self.outcome(done.is_ok());
        self.tell(|| {
            format!(
                "delete {text} {mint}..={maxt}: {outcome:?} {:?}",
                done.err()
            )
        });
        self.model.delete(&text, mint, maxt, outcome);
    }

    /// Does the work that was deferred, or not yet.
    fn sync_log(&mut self) {
        if !self.dangers.deferred || self.moments.below(4) != 0 {
            return;
        }
        let done = self.db().sync_log();
        self.tell(|| format!("sync the log: {done:?}"));
        if self.outcome(done.is_ok()) != Outcome::Killed {
            self.observe();
        }
        if done.is_ok() {
            self.synced = self.segment;
        }
    }

    fn maintain(&mut self) {
        let db = self.db();
        let done = db.run_maintenance();
        self.tell(|| format!("maintain: {done:?}"));
        if let Err(e) = &done {
            assert!(self.faulty, "maintenance failed on a good disk: {e}");
        }
        if !self.disk.is_dead() {
            self.observe();
        }
        if self.dangers.stale {
            self.model.forget_newest();
        }
        if !self.options.retention.is_zero() || self.dangers.limited {
            let ranges: Vec<_> = db.blocks().iter().map(|b| b.min_time..b.max_time).collect();
            let until = self.blocks_until.max(self.horizon());
            let covered = |t| t >= until || ranges.iter().any(|r| r.contains(&t));
            self.model.expire(covered, done.is_ok() && !self.faulty);
            let has_deleted = done.map_or(true, |report| report.deleted_blocks > 0);
            if self.dangers.limited && has_deleted {
                self.model.expire_late();
            }
        }
    }

    fn snapshot(&mut self) {
        let dir = PathBuf::from(format!("/snapshots/{}", self.random.next()));
        let db = self.db();
        let done = db.snapshot(&dir, true);
        self.tell(|| format!("snapshot: {done:?}"));
        self.outcome(done.is_ok());
        if done.is_ok() && !self.disk.is_dead() {
            self.end_faults();
            let copy = Db::open(&dir, self.options.clone()).unwrap();
            let got = read(&copy, i64::MIN, i64::MAX).unwrap();
            self.model.check(&got, i64::MIN, i64::MAX);
            copy.close().unwrap();
        }
        let removed = self.disk.remove_dir_all(&dir);
        assert!(removed.is_ok() || self.faulty);
    }

    /// Everything in a range is exactly what the model has.
    pub(crate) fn check(&mut self, mint: i64, maxt: i64) {
        let got = read(&self.db(), mint, maxt).unwrap();
        self.model.check(&got, mint, maxt);
    }

    pub(crate) fn check_all(&mut self) {
        self.check(i64::MIN, i64::MAX);
        crate::invariants::check(&self.disk, &self.db());
    }

    fn check_range(&mut self) {
        let mint = self.now - self.random.below(900) as i64 * MINUTE;
        let maxt = mint + self.random.below(400) as i64 * MINUTE;
        self.check(mint, maxt);
    }

    pub(crate) fn step(&mut self) {
        self.begin_faults(6);
        self.sync_log();
        match self.random.below(40) {
            0..22 => {
                self.now += self.random.below(12) as i64 * MINUTE;
                self.clock.store(self.now, Ordering::Relaxed);
                self.append();
            }
            22..29 => self.maintain(),
            29 | 30 => self.delete(),
            31 => {
                let done = self.db().clean_tombstones();
                self.tell(|| format!("clean tombstones: {done:?}"));
                self.outcome(done.is_ok());
            }
            32 => self.snapshot(),
            33..36 => {
                self.end_faults();
                if !self.disk.is_dead() {
                    self.faulty = false;
                    self.restart();
                }
            }
            36 => self.check_all(),
            _ => self.check_range(),
        }
        self.end_faults();
        if self.disk.is_dead() {
            let power_cut = self.crash();
            self.open(power_cut);
        } else if self.faulty {
            self.faulty = false;
            self.heals();
        }
    }

    /// After errors everything works again, without a restart.
    fn heals(&mut self) {
        self.check(i64::MIN, i64::MAX);
        self.maintain();
        self.append();
        self.check(i64::MIN, i64::MAX);
    }

    /// Files of the data directory that hold something.
    pub(crate) fn files(&self) -> Vec<(PathBuf, usize)> {
        let mut files = self.disk.all_files();
        files.retain(|f| f.0.starts_with(DATA) && f.1 > 0);
        files
    }
}
