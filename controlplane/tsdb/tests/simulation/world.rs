//! One random life of a database: a disk, a model, and what happens to them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bellwether_model::histogram::{Histogram, Span};
use bellwether_model::metadata::MetricType;
use bellwether_model::storage::{
    AppendError, Appendable as _, Queryable as _, SampleBuffer, StorageError,
};
use bellwether_model::{Exemplar, Labels, MatchOp, Matcher, Metadata};
use bellwether_tsdb::{BlockMeta, Db, DbOptions, Files as _, WalCompression, WalSync};

use crate::common;
use crate::disk::{Disk, Liar, PLENTY};
use crate::model::{Durability, Model, Offer, Outcome, Samples, Value};
use crate::random::Random;

pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const T0: i64 = 1_700_006_400_000;
pub(crate) const DATA: &str = "/data";
const SERIES: u64 = 25;
/// Half of the range of a block from the head: what is older than that comes out of order.
const HALF_BLOCK: i64 = 60 * MINUTE;

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
}

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
    /// Samples before this are in blocks.
    blocks_until: i64,
    /// A sync failed when this segment was written; what it covered may be lost for good.
    doubt: Option<i64>,
    failed_syncs: u64,
    /// An operation may fail now.
    faulty: bool,
    /// Tell every step.
    told: bool,
}

/// A histogram made of a number.
fn histogram(n: u64) -> Histogram {
    let offset = 1 + (n % 3) as i32;
    Histogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: n,
        count: 5 * n,
        sum: n as f64 * 1.5,
        positive_spans: vec![
            Span {
                offset: -2,
                length: 1,
            },
            Span { offset, length: 1 },
        ],
        positive_buckets: vec![n as i64, 2 * n as i64],
        ..Histogram::default()
    }
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
    let in_order = blocks.iter().filter(|b| !b.compaction.is_out_of_order());
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

    fn labels(&mut self) -> (u64, Labels) {
        // Names change with the hours, so that series end.
        let era = match self.random.below(2) {
            0 => String::new(),
            _ => ((self.now - T0) / (180 * MINUTE)).to_string(),
        };
        let i = self.random.below(SERIES);
        let name = format!("m{}", i % 3);
        let labels = [("__name__", name), ("era", era), ("i", i.to_string())];
        (i, Labels::from_pairs(labels))
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
        self.segment = db.stats().wal_segment_current as i64;
        self.blocks_until = self.blocks_until.max(end_of_in_order(&db.blocks()));
        let failed = self.disk.failed_syncs();
        if failed > self.failed_syncs {
            self.failed_syncs = failed;
            self.doubt.get_or_insert(self.segment - 1);
        }
    }

    pub(crate) fn append(&mut self) {
        let db = self.db();
        let newest = match self.dangers.late {
            true => db.stats().head_max_time,
            false => i64::MAX,
        };
        let mut app = db.appender();
        let mut pending: Vec<Offer> = Vec::new();
        let mut taken: BTreeMap<String, i64> = BTreeMap::new();
        let turn = self.random.below(5);
        for _ in 0..1 + self.random.below(60) {
            let (i, labels) = self.labels();
            let text = labels.to_string();
            let late = match (self.dangers.late, self.random.below(12)) {
                (false, 0) => self.random.below(200) as i64 * MINUTE,
                (true, 0..4) => self.random.below(500) as i64 * MINUTE,
                _ => 0,
            };
            let t = self.now - late + self.random.below(5) as i64;
            let series = app.series(&labels).unwrap();
            let (value, verdict) = if i % 5 == turn {
                let n = 1 + self.random.below(40);
                (
                    Value::Histogram(n),
                    app.append_histogram(series, t, histogram(n)),
                )
            } else {
                let bits = match self.random.below(6) {
                    0 => self.random.next(),
                    n => (n as f64 * 2.5).to_bits(),
                };
                (
                    Value::Float(bits),
                    app.append(series, t, f64::from_bits(bits)),
                )
            };
            if self.is_taken(&text, (t, value), verdict, newest) {
                let before = taken.get(&text).copied().unwrap_or(i64::MIN);
                if self.is_kept(&text, t, newest, before) {
                    pending.push((text.clone(), t, value));
                }
                taken.insert(text, before.max(t));
            }
            if self.random.below(20) == 0 {
                let metadata = Metadata {
                    kind: MetricType::Counter,
                    help: format!("help {}", self.random.below(3)),
                    ..Metadata::default()
                };
                app.update_metadata(series, &metadata).unwrap();
                let exemplar = Exemplar {
                    labels: Labels::from_pairs([("trace_id", t.to_string())]),
                    value: 1.0,
                    timestamp_ms: Some(t),
                };
                // Older than the newest one: refused, which is no concern here.
                let _ = app.append_exemplar(series, exemplar);
            }
        }
        if self.random.below(12) == 0 {
            app.rollback();
            return;
        }
        let done = app.commit();
        if let Err(e) = &done {
            assert!(matches!(e, AppendError::Wal(_)), "{e}");
        }
        if !self.disk.is_dead() {
            self.observe();
        }
        let outcome = self.outcome(done.is_ok());
        self.tell(|| format!("append {} at {}: {outcome:?}", pending.len(), self.now));
        match self.dangers.late {
            true => {
                let horizon = newest.max(self.blocks_until);
                self.model.commit_any_order(pending, outcome, horizon);
            }
            false => self.model.commit(pending, outcome),
        }
    }

    /// Whether a sample was taken, and that it was or was not with good reason. `newest` is the head's newest time.
    fn is_taken(
        &self,
        series: &str,
        (t, value): (i64, Value),
        verdict: Result<(), AppendError>,
        newest: i64,
    ) -> bool {
        let (lo, hi) = self.model.newest(series);
        let floor = self.late_floor(newest);
        match (verdict, floor) {
            (Ok(()), Some(floor)) => {
                let in_order = t >= newest.saturating_sub(HALF_BLOCK) && t >= lo;
                assert!(t >= floor || in_order, "too old and taken: {t} < {floor}");
                return true;
            }
            (Ok(()), None) => {
                assert!(t >= lo, "an old sample was taken: {series} at {t} < {lo}");
                let known = self.model.value(series, t);
                let same = t != lo || t != hi || known.is_none_or(|k| k == value);
                assert!(same, "two values were taken: {series} at {t}");
                return true;
            }
            (Err(AppendError::TooOld), Some(floor)) => {
                assert!(t < floor, "refused within the window: {t} >= {floor}");
            }
            (Err(AppendError::DuplicateTimestamp), _) => {
                let known = floor.is_none() || lo <= t;
                assert!(known && t <= hi, "a good sample was refused");
            }
            (Err(AppendError::OutOfOrder), None) => assert!(t <= hi, "a good sample was refused"),
            (Err(AppendError::OutOfBounds), None) => {
                assert!(t < self.now, "a good sample was refused");
            }
            (Err(e), _) => panic!("{e}"),
        }
        false
    }

    /// Whether the commit will keep a sample that was taken, after others of its series in the same transaction up to
    /// the time `before`.
    fn is_kept(&self, series: &str, t: i64, newest: i64, before: i64) -> bool {
        match self.late_floor(newest) {
            Some(floor) => t >= floor || t >= before,
            // Only the first of a time, and later ones.
            None => t > before && t > self.model.newest(series).0,
        }
    }

    /// With a window, the oldest time that may come late.
    fn late_floor(&self, newest: i64) -> Option<i64> {
        let window = self.options.out_of_order_window.as_millis() as i64;
        self.dangers.late.then(|| newest.saturating_sub(window))
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

    fn maintain(&mut self) {
        let db = self.db();
        let done = db.run_maintenance();
        self.tell(|| format!("maintain: {done:?}"));
        if let Err(e) = done {
            assert!(self.faulty, "maintenance failed on a good disk: {e}");
        }
        if !self.disk.is_dead() {
            self.observe();
        }
        if !self.options.retention.is_zero() {
            let ranges: Vec<_> = db.blocks().iter().map(|b| b.min_time..b.max_time).collect();
            let until = self.blocks_until;
            self.model
                .expire(|t| t >= until || ranges.iter().any(|r| r.contains(&t)));
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

    fn durability(&self) -> Durability {
        Durability {
            every_commit: self.options.wal_sync == WalSync::Commit,
            segment: self.segment.min(self.doubt.unwrap_or(i64::MAX)),
            blocks_until: self.blocks_until,
        }
    }

    /// The process is gone; maybe the machine with it. True for a power cut.
    fn crash(&mut self) -> bool {
        self.db = None;
        if self.dangers.power_cuts && self.random.below(2) == 0 {
            self.tell(|| format!("power cut: {:?}", self.durability()));
            self.model.power_cut(self.durability());
            self.disk.cut_power();
            self.doubt = None;
            return true;
        }
        self.tell(|| "killed".to_owned());
        self.model.killed();
        self.disk.new_process();
        false
    }

    pub(crate) fn restart(&mut self) {
        let clean = self.random.below(2) == 0;
        self.tell(|| format!("restart, clean: {clean}"));
        if clean {
            let done = self.db().close();
            let outcome = self.outcome(done.is_ok());
            if let Outcome::Done(_) = outcome {
                // A clean stop syncs the log.
                self.segment += 1;
            }
        }
        let power_cut = self.crash();
        self.open(power_cut);
    }

    /// Opens the directory, through failures, kills and power cuts.
    fn open(&mut self, mut power_cut: bool) {
        let mut attempt = 0;
        loop {
            // What a failed sync forgets cannot be known by another process.
            self.disk.set_forgetful(false);
            self.faulty = false;
            self.begin_faults(if attempt == 0 { 8 } else { 2 });
            let opened = Db::open(Path::new(DATA), self.options.clone());
            self.end_faults();
            self.disk.set_forgetful(true);
            self.failed_syncs = self.disk.failed_syncs();
            self.tell(|| format!("open: {:?}", opened.as_ref().map(|db| db.stats())));
            match opened {
                // A block that could not be read for a moment is there again in the next life.
                Ok(db) if !self.disk.is_dead() && db.stats().blocks_unreadable == 0 => {
                    self.db = Some(db);
                    break;
                }
                Ok(_) => assert!(self.faulty, "a block does not open"),
                Err(e) => assert!(self.faulty, "the directory does not open: {e}"),
            }
            power_cut |= self.crash();
            attempt += 1;
            assert!(attempt < 1000, "the directory never opens");
        }
        self.faulty = false;
        self.observe();
        let got = read(&self.db(), i64::MIN, i64::MAX).unwrap();
        self.model.check(&got, i64::MIN, i64::MAX);
        self.model.resolve(&got, power_cut);
        crate::invariants::check(&self.disk, &self.db());
        crate::invariants::check_restarted(&self.disk);
    }

    /// One time in `odds`, lets the disk fail from now on.
    fn begin_faults(&mut self, odds: u64) {
        if self.random.below(odds) != 0 {
            return;
        }
        match self.random.below(4) {
            0 if self.dangers.errors => {
                let free = self.random.below(3000) as i64 - 100;
                self.disk.set_free(free);
            }
            1 if self.dangers.errors => {
                let rate = 1 << self.random.below(9);
                self.disk.set_error_rate(rate);
            }
            2.. if self.dangers.kills => {
                let operations = 1 << self.random.below(8);
                let operations = self.random.below(operations) + 1;
                self.disk.kill_after(operations);
            }
            _ => return,
        }
        self.tell(|| "faults begin".to_owned());
        self.faulty = true;
    }

    fn end_faults(&mut self) {
        self.disk.set_free(PLENTY);
        self.disk.set_error_rate(0);
        if !self.disk.is_dead() {
            self.disk.cancel_kill();
        }
    }

    pub(crate) fn step(&mut self) {
        self.begin_faults(6);
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

    /// Stops without a word and hands over the options for the next start.
    pub(crate) fn stop(&mut self) {
        self.db = None;
        self.model.killed();
        self.disk.new_process();
    }
}
