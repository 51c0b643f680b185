//! What a caller chooses when it opens a database.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::error::TsdbError;
use crate::files::{Files, RealFiles};
use crate::wal::page::PAGE;
use crate::wal::writer::WriterOptions;

/// A clock: milliseconds since the Unix epoch. Comes in from outside so that tests can bend time.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The machine's clock.
#[must_use]
pub fn system_clock() -> Clock {
    Arc::new(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
    })
}

/// A source of random bits, of which block identifiers take 80. Comes in from outside so that tests can
/// repeat a run.
pub type Random = Arc<dyn Fn() -> u128 + Send + Sync>;

/// The process' random number generator.
#[must_use]
pub fn system_random() -> Random {
    Arc::new(rand::random::<u128>)
}

/// Compression of WAL records. Readers take all of them whatever is chosen here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WalCompression {
    /// Records as they are.
    None,
    /// Snappy block format, Prometheus' default.
    #[default]
    Snappy,
    /// Zstandard.
    Zstd,
}

/// When the WAL is forced to the disk. A commit always reaches the operating system before it returns,
/// so a killed process loses nothing; this choice is about a crash of the whole machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WalSync {
    /// Soon after a segment ended, and at a clean stop. Commits do not wait for it, unless several segments that ended
    /// before are not on the disk yet.
    #[default]
    Segment,
    /// At least this often.
    Interval(Duration),
    /// At every commit.
    Commit,
}

/// Who forces segments that ended to the disk, and with [`WalSync::Interval`] the open one when its time has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncWorker {
    /// A thread of the database's own.
    #[default]
    Thread,
    /// The commit that ended the segment.
    Commit,
    /// Whoever calls [`crate::Db::sync_log`] or maintains the database: for tests that choose the moment.
    Caller,
}

/// What goes when there is too much of it. Zeros switch limits off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Retention {
    /// [`DbOptions::retention`].
    pub time: Duration,
    /// [`DbOptions::retention_size`].
    pub size: u64,
    /// [`DbOptions::retention_percentage`].
    pub percentage: f64,
}

/// Options of [`crate::Db::open`].
#[derive(Clone)]
pub struct DbOptions {
    /// Blocks whose end is this much older than the newest block's end are deleted; zero keeps all.
    pub retention: Duration,
    /// Upper bound in bytes for WAL and blocks together; zero means none.
    pub retention_size: u64,
    /// The same bound in percent of the file system's size; zero means none. It wins over the size.
    /// [`crate::Db::set_retention`] changes all three later.
    pub retention_percentage: f64,
    /// Size at which a new WAL segment begins, a multiple of 32 KiB.
    pub wal_segment_size: u64,
    /// Compression of new WAL records.
    pub wal_compression: WalCompression,
    /// When the WAL is forced to the disk.
    pub wal_sync: WalSync,
    /// Who does it.
    pub wal_sync_worker: SyncWorker,
    /// Range of a block cut from the head.
    pub min_block_duration: Duration,
    /// Range of the largest compacted block; zero means a tenth of the retention, at most 31 days.
    pub max_block_duration: Duration,
    /// Size of the exemplar ring; zero stores no exemplars.
    pub exemplars_max: usize,
    /// How far behind the newest sample others are taken that come out of order; zero takes none
    /// (`storage.tsdb.out_of_order_time_window`). [`crate::Db::set_out_of_order_window`] changes it later.
    pub out_of_order_window: Duration,
    /// Upper bound for series in the head; zero means none.
    pub series_limit: usize,
    /// Closed head chunks move from memory to a mapped file when they take this many bytes.
    pub head_chunk_file_bytes: usize,
    /// Where the time comes from.
    pub clock: Clock,
    /// Where the random parts of identifiers come from.
    pub random: Random,
    /// The file system; tests put one here that they can break.
    pub files: Arc<dyn Files>,
}

impl Default for DbOptions {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(15 * 24 * 3600),
            retention_size: 0,
            retention_percentage: 0.0,
            wal_segment_size: 128 << 20,
            wal_compression: WalCompression::default(),
            wal_sync: WalSync::default(),
            wal_sync_worker: SyncWorker::default(),
            min_block_duration: Duration::from_secs(2 * 3600),
            max_block_duration: Duration::ZERO,
            exemplars_max: 100_000,
            out_of_order_window: Duration::ZERO,
            series_limit: 0,
            head_chunk_file_bytes: 1 << 20,
            clock: system_clock(),
            random: system_random(),
            files: Arc::new(RealFiles),
        }
    }
}

impl fmt::Debug for DbOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DbOptions")
            .field("retention", &self.retention)
            .field("retention_size", &self.retention_size)
            .field("retention_percentage", &self.retention_percentage)
            .field("wal_segment_size", &self.wal_segment_size)
            .field("wal_compression", &self.wal_compression)
            .field("wal_sync", &self.wal_sync)
            .field("min_block_duration", &self.min_block_duration)
            .field("max_block_duration", &self.max_block_duration)
            .field("exemplars_max", &self.exemplars_max)
            .field("out_of_order_window", &self.out_of_order_window)
            .field("series_limit", &self.series_limit)
            .finish_non_exhaustive()
    }
}

impl DbOptions {
    /// Refuses what makes no sense.
    pub(crate) fn check(&self) -> Result<(), TsdbError> {
        let bad = |option, reason: &str| {
            Err(TsdbError::Option {
                option,
                reason: reason.to_owned(),
            })
        };
        if self.wal_segment_size == 0 || !self.wal_segment_size.is_multiple_of(PAGE as u64) {
            return bad("wal_segment_size", "must be a multiple of 32KiB");
        }
        if self.block_range_ms() == 0 {
            return bad("min_block_duration", "must be at least 1ms");
        }
        if !self.max_block_duration.is_zero() && self.max_block_duration < self.min_block_duration {
            return bad(
                "max_block_duration",
                "must not be below the minimum block duration",
            );
        }
        Ok(())
    }

    /// The same for a checkpoint, which is synced as a whole before it counts.
    pub(crate) fn checkpoint_writer(&self) -> WriterOptions {
        WriterOptions {
            sync: WalSync::Segment,
            ..self.writer()
        }
    }

    /// What the log's writer needs of them.
    pub(crate) fn writer(&self) -> WriterOptions {
        WriterOptions {
            segment_size: self.wal_segment_size,
            compression: self.wal_compression,
            sync: self.wal_sync,
            clock: Arc::clone(&self.clock),
            files: Arc::clone(&self.files),
        }
    }

    /// The retention at the start.
    pub(crate) fn first_retention(&self) -> Retention {
        Retention {
            time: self.retention,
            size: self.retention_size,
            percentage: self.retention_percentage,
        }
    }

    /// A new block identifier.
    pub(crate) fn new_ulid(&self) -> String {
        let now = u64::try_from((self.clock)()).unwrap_or(0);
        ulid::Ulid::from_parts(now, (self.random)()).to_string()
    }

    /// Range of a head block in milliseconds.
    #[must_use]
    pub(crate) fn block_range_ms(&self) -> i64 {
        millis(self.min_block_duration)
    }

    /// Range of the largest compacted block in milliseconds.
    #[must_use]
    pub(crate) fn max_block_ms(&self) -> i64 {
        // Prometheus: a tenth of the retention, at most 31 days, never below a head block.
        const MONTH_MS: i64 = 31 * 24 * 3600 * 1000;
        let wanted = if self.max_block_duration.is_zero() {
            if self.retention.is_zero() {
                MONTH_MS
            } else {
                (millis(self.retention) / 10).min(MONTH_MS)
            }
        } else {
            millis(self.max_block_duration)
        };
        wanted.max(self.block_range_ms())
    }
}

/// A duration in whole milliseconds.
pub(crate) fn millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}
