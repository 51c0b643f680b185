//! Reading the write-ahead log while it is written: remote write sends what it finds there.
//!
//! ```text
//! commit --append--> segment --publish--> LogEnd ----wait_beyond----> reader thread
//!                       |                                                |
//!                       +------- LogReader: records up to the end -------+
//! ```
//!
//! Invariants:
//! - a reader never sees a record that was not committed, nor half of one: it reads up to [`LogTail::end`], which moves
//!   when a transaction is visible;
//! - reading never holds the writer up, and a slow reader never keeps a segment: truncation removes segments under it,
//!   and the reader has to notice that they are gone ([`LogTail::segments`], [`LogTail::last_checkpoint`]).
//!
//! Samples that come out of order are in a log of their own, which has no names of series. With
//! [`crate::Db::set_tailed`] they are in the write-ahead log too, in records that replay passes over.

mod reader;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::files::Files;
use crate::wal::segments;

pub use reader::{LogExemplar, LogItem, LogReader, LogRecord, RecordError, RecordKind};

/// A place in the log: everything before it was written earlier. Places order as they are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes from the segment's beginning.
    pub offset: u64,
}

/// Where committed records end. Moved by the writer.
#[derive(Debug, Default)]
pub(crate) struct LogEnd {
    at: Mutex<LogPosition>,
    moved: Condvar,
}

impl LogEnd {
    /// Moves the end. The caller holds the writer's lock, so that it only moves forward.
    pub(crate) fn set(&self, at: LogPosition) {
        *self.at.lock() = at;
        self.moved.notify_all();
    }
}

/// A log that can be followed. Cheap to clone.
#[derive(Clone)]
pub struct LogTail {
    dir: PathBuf,
    files: Arc<dyn Files>,
    end: Arc<LogEnd>,
}

impl fmt::Debug for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogTail")
            .field("dir", &self.dir)
            .field("end", &self.end())
            .finish_non_exhaustive()
    }
}

impl LogTail {
    pub(crate) fn new(dir: PathBuf, files: Arc<dyn Files>, end: Arc<LogEnd>) -> Self {
        Self { dir, files, end }
    }

    /// Where committed records end now.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        *self.end.at.lock()
    }

    /// Waits until there is something behind a place, or [`LogTail::wake`] is called, or the time is over; the end
    /// as it is then. Blocking.
    #[must_use]
    pub fn wait_beyond(&self, seen: LogPosition, timeout: Duration) -> LogPosition {
        let mut at = self.end.at.lock();
        if *at <= seen {
            self.end.moved.wait_for(&mut at, timeout);
        }
        *at
    }

    /// Wakes everybody who waits for the log.
    pub fn wake(&self) {
        // With the lock, so that who is about to wait is not missed.
        let _at = self.end.at.lock();
        self.end.moved.notify_all();
    }

    /// Numbers of the segments that exist, rising. Those up to the newest checkpoint's number are superseded.
    ///
    /// # Errors
    /// The system's error.
    pub fn segments(&self) -> io::Result<Vec<u64>> {
        segments::list(&*self.files, &self.dir)
    }

    /// The number of the newest checkpoint: it stands for all segments up to that number.
    ///
    /// # Errors
    /// The system's error.
    pub fn last_checkpoint(&self) -> io::Result<Option<u64>> {
        Ok(segments::checkpoints(&*self.files, &self.dir)?
            .last()
            .copied())
    }

    /// Opens a segment at its beginning.
    ///
    /// # Errors
    /// The system's error; `NotFound` when truncation was faster.
    pub fn open(&self, segment: u64) -> io::Result<LogReader> {
        LogReader::open(&*self.files, &segments::path(&self.dir, segment))
    }

    /// Opens the segments of a checkpoint, in their order.
    ///
    /// # Errors
    /// The system's error; `NotFound` when a newer checkpoint replaced it meanwhile.
    pub fn open_checkpoint(&self, number: u64) -> io::Result<Vec<LogReader>> {
        let dir = segments::checkpoint_path(&self.dir, number);
        segments::list(&*self.files, &dir)?
            .into_iter()
            .map(|n| LogReader::open(&*self.files, &segments::path(&dir, n)))
            .collect()
    }
}
