//! The storage of agent mode: a write-ahead log and nothing else.
//!
//! ```text
//! Appender --commit--> wal/ --LogTail--> remote write
//!    |                  |
//!    series (labels, newest time)     every two hours: idle series are forgotten, old segments become a checkpoint
//! ```
//!
//! Samples are in the log until remote write has them, at most for [`AgentOptions::max_wal_time`]. There is nothing to
//! query. The directory is that of Prometheus in agent mode: each can go on with the other's.
//!
//! Invariants:
//! - **Acknowledged means logged**, as in [`crate::Db`].
//! - a series' name is in the log before its first sample, also when the transaction that made it was rolled back;
//! - a series' samples rise in time, but for the window that the options allow.
//!
//! | file | what it holds |
//! |---|---|
//! | `series` | labels to series, references to series |
//! | `appender` | transactions |
//! | `replay` | the series out of the log |
//! | `truncate` | forgetting and checkpoints |

mod appender;
mod replay;
mod series;
#[cfg(test)]
mod tests;
mod truncate;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bellwether_model::storage::{Appendable, Appender};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::error::TsdbError;
use crate::files::{self, Files, HeldLock};
use crate::log_tail::{LogEnd, LogTail};
use crate::options::{DbOptions, millis};
use crate::stats::{Counter, Ingested};
use crate::wal::checkpoint;
use crate::wal::log_sync::{Log, LogSync};
use crate::wal::writer::WalWriter;
use appender::AgentAppender;
use series::SeriesSet;

/// What an agent's storage is told.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// Segments, compression, syncing, file system and clock; the rest does not count.
    pub log: DbOptions,
    /// How far behind a series' newest sample others may be.
    pub out_of_order_window: Duration,
    /// How long samples stay in the log at least.
    pub min_wal_time: Duration,
    /// How long samples stay in the log at most, whether they are sent or not.
    pub max_wal_time: Duration,
    /// Whether the directory is locked against other processes.
    pub lock: bool,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            log: DbOptions::default(),
            out_of_order_window: Duration::ZERO,
            min_wal_time: Duration::from_secs(5 * 60),
            max_wal_time: Duration::from_secs(4 * 3600),
            lock: true,
        }
    }
}

/// Counters and sizes. Field comments name Prometheus' metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentStats {
    /// `prometheus_agent_active_series`
    pub active_series: u64,
    /// `prometheus_agent_deleted_series`
    pub deleted_series: u64,
    /// `prometheus_agent_samples_appended_total{type="float"}`
    pub samples_float: u64,
    /// `prometheus_agent_samples_appended_total{type="histogram"}`
    pub samples_histogram: u64,
    /// `prometheus_agent_exemplars_appended_total`
    pub exemplars: u64,
    /// `prometheus_agent_out_of_order_samples_total`
    pub out_of_order: u64,
    /// `prometheus_agent_corruptions_total`
    pub corruptions: u64,
    /// `prometheus_agent_data_replay_duration_seconds`, in milliseconds.
    pub replay_ms: u64,
    /// `prometheus_agent_checkpoint_creations_total`
    pub checkpoints: u64,
    /// `prometheus_agent_checkpoint_creations_failed_total`
    pub checkpoints_failed: u64,
    /// Segment that is written.
    pub segment: u64,
}

#[derive(Debug, Default)]
struct Counters {
    floats: Counter,
    histograms: Counter,
    exemplars: Counter,
    out_of_order: Counter,
    corruptions: Counter,
    checkpoints: Counter,
    checkpoints_failed: Counter,
}

/// An agent's storage in a directory.
pub struct AgentDb {
    dir: PathBuf,
    options: AgentOptions,
    files: Arc<dyn Files>,
    series: RwLock<SeriesSet>,
    next_ref: AtomicU64,
    /// `None` after [`AgentDb::close`]. Its lock is the commit lock.
    wal: Arc<Log>,
    log_sync: LogSync,
    log_end: Arc<LogEnd>,
    /// Forgotten references with the segment up to which the log may have samples of them.
    deleted: Mutex<HashMap<u64, u64, RandomState>>,
    counters: Counters,
    newest: std::sync::atomic::AtomicI64,
    replay_ms: u64,
    truncating: Mutex<()>,
    lock: Mutex<Option<Box<dyn HeldLock>>>,
}

impl AgentDb {
    /// Opens (or creates) the directory, locks it, reads the log's series.
    ///
    /// # Errors
    /// [`TsdbError::Locked`], I/O. Damage is repaired with a log line.
    pub fn open(dir: &Path, options: AgentOptions) -> Result<Arc<Self>, TsdbError> {
        let files = Arc::clone(&options.log.files);
        let wal_dir = dir.join("wal");
        files::create_dir(&*files, &wal_dir).map_err(TsdbError::io("cannot create", &wal_dir))?;
        let lock = match options.lock {
            true => Some(files.lock(dir)?),
            false => None,
        };
        checkpoint::remove_unfinished(&*files, &wal_dir)
            .map_err(TsdbError::io("cannot clean up", &wal_dir))?;
        let begin = Instant::now();
        let replayed = replay::run(&*files, &wal_dir)?;
        let writer = WalWriter::open(&wal_dir, options.log.writer())
            .map_err(TsdbError::io("cannot write in", &wal_dir))?;
        let log_end = Arc::new(LogEnd::default());
        log_end.set(writer.position());
        let wal = Arc::new(Log::new(Some(writer)));
        let worker = options.log.wal_sync_worker;
        let log_sync = LogSync::new(worker, vec![Arc::clone(&wal)], Arc::clone(&files));
        log_sync
            .start()
            .map_err(TsdbError::io("cannot start a thread for", &wal_dir))?;
        let counters = Counters::default();
        counters.corruptions.add(replayed.corruptions);
        Ok(Arc::new(Self {
            dir: dir.to_path_buf(),
            files,
            series: RwLock::new(replayed.series),
            next_ref: AtomicU64::new(replayed.last_ref + 1),
            wal,
            log_sync,
            log_end,
            deleted: Mutex::new(replayed.deleted),
            counters,
            newest: std::sync::atomic::AtomicI64::new(i64::MIN),
            replay_ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
            truncating: Mutex::new(()),
            lock: Mutex::new(lock),
            options,
        }))
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn wal_dir(&self) -> PathBuf {
        self.dir.join("wal")
    }

    /// The log, to be read while it is written.
    #[must_use]
    pub fn log_tail(&self) -> LogTail {
        LogTail::new(
            self.wal_dir(),
            Arc::clone(&self.files),
            Arc::clone(&self.log_end),
        )
    }

    /// What was appended since the directory was opened.
    #[must_use]
    pub fn ingested(&self) -> Ingested {
        let newest = self.newest.load(Ordering::Relaxed);
        Ingested {
            samples: self.counters.floats.get(),
            histograms: self.counters.histograms.get(),
            exemplars: self.counters.exemplars.get(),
            newest_ms: Some(newest).filter(|t| *t > i64::MIN),
        }
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> AgentStats {
        let c = &self.counters;
        AgentStats {
            active_series: self.series.read().len() as u64,
            deleted_series: self.deleted.lock().len() as u64,
            samples_float: c.floats.get(),
            samples_histogram: c.histograms.get(),
            exemplars: c.exemplars.get(),
            out_of_order: c.out_of_order.get(),
            corruptions: c.corruptions.get(),
            replay_ms: self.replay_ms,
            checkpoints: c.checkpoints.get(),
            checkpoints_failed: c.checkpoints_failed.get(),
            segment: self.wal.lock().as_ref().map_or(0, WalWriter::segment),
        }
    }

    /// Forces what commits left to the operating system to the disk.
    ///
    /// # Errors
    /// I/O; the next call tries again.
    pub fn sync_log(&self) -> Result<(), TsdbError> {
        self.sync(true)
    }

    fn sync(&self, all: bool) -> Result<(), TsdbError> {
        self.log_sync
            .sync(all)
            .map_err(TsdbError::io("cannot sync the log in", &self.wal_dir()))
    }

    /// Clean shutdown: syncs the log, releases the lock. Later appends fail. Safe twice.
    ///
    /// # Errors
    /// When the log cannot be synced.
    pub fn close(&self) -> Result<(), TsdbError> {
        let _one_at_a_time = self.truncating.lock();
        let _no_sync = self.log_sync.pause();
        let writer = self.wal.lock().take();
        let result = match writer {
            Some(mut writer) => writer
                .close()
                .map_err(TsdbError::io("cannot write in", &self.wal_dir())),
            None => Ok(()),
        };
        *self.lock.lock() = None;
        result
    }

    fn window_ms(&self) -> i64 {
        millis(self.options.out_of_order_window)
    }
}

impl Appendable for AgentDb {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(AgentAppender::new(self))
    }
}
