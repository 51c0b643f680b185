//! Appends records to the log.
//!
//! All bytes of a commit are laid out in memory and go to the operating system in one write, so that an
//! acknowledged commit survives a killed process. When the write fails (full disk, I/O error), the segment
//! is cut back to where it ended before; while even that fails, commits are refused and the next one tries
//! again. A half-written page therefore never precedes a good record.
//!
//! Writing needs the commit lock, and forcing to the disk can take long. So a segment that ends is only noted, and
//! is forced to the disk without the lock: see [`super::log_sync`]. Only [`WalSync::Commit`] syncs at once, since its
//! records must be on the disk before they are seen.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::page::{self, Compressor, HEADER, PAGE};
use super::segments;
use crate::files::{Files, OpenFile};
use crate::head::appender::give_back_surplus;
use crate::log_tail::LogPosition;
use crate::options::{Clock, WalCompression, WalSync, millis};

/// What a writer needs to know.
#[derive(Clone)]
pub(crate) struct WriterOptions {
    pub(crate) segment_size: u64,
    pub(crate) compression: WalCompression,
    pub(crate) sync: WalSync,
    pub(crate) clock: Clock,
    pub(crate) files: Arc<dyn Files>,
}

/// Segments that ended and may wait to be forced to the disk; whoever ends more does it.
const MAX_WAITING: usize = 2;

/// Whether a commit has to see to it that something is forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum SyncDue {
    No,
    /// By whoever does it usually.
    Soon,
    /// By the commit, since too much waits already.
    Now,
}

/// The open end of the log.
pub(crate) struct WalWriter {
    dir: PathBuf,
    options: WriterOptions,
    compressor: Compressor,
    segment: u64,
    file: Box<dyn OpenFile>,
    /// Length of the segment up to the last good commit.
    pos: u64,
    /// Bytes after `pos` may be in the file: cut them before writing again.
    dirty: bool,
    /// The open segment was written to since the last sync.
    unsynced: bool,
    /// Segments that ended and are not synced yet.
    ended: Vec<u64>,
    /// A segment ended, or the interval passed, since somebody last took what is unsynced.
    sync_due: bool,
    last_sync: i64,
    /// Reused: the bytes of one commit, and one compressed record.
    out: Vec<u8>,
    packed: Vec<u8>,
}

impl WalWriter {
    /// Begins a new segment after the last one in the directory, which must exist.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn open(dir: &Path, options: WriterOptions) -> io::Result<Self> {
        let files = &*options.files;
        let after_checkpoint = segments::checkpoints(files, dir)?.last().map(|n| n + 1);
        let segments = segments::list(files, dir)?;
        for n in &segments {
            // What a killed process wrote last was read back, but may not be on the disk; what follows relies
            // on it, such as on the names of series. Segments that are on the disk cost nothing.
            files.sync(&segments::path(dir, *n))?;
        }
        let last = segments.last();
        let segment = last.map(|n| n + 1).max(after_checkpoint).unwrap_or(0);
        let file = files.create(&segments::path(dir, segment))?;
        files.sync_dir(dir)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            compressor: Compressor::new(options.compression),
            last_sync: (options.clock)(),
            options,
            segment,
            file,
            pos: 0,
            dirty: false,
            unsynced: false,
            ended: Vec::new(),
            sync_due: false,
            out: Vec::new(),
            packed: Vec::new(),
        })
    }

    /// Where the next record goes.
    pub(crate) fn position(&self) -> LogPosition {
        LogPosition {
            segment: self.segment,
            offset: self.pos,
        }
    }

    /// Number of the segment that is written.
    pub(crate) fn segment(&self) -> u64 {
        self.segment
    }

    /// Writes records as one unit. Returns the bytes written.
    ///
    /// # Errors
    /// The system's error; then none of the records is in the log.
    pub(crate) fn log<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> io::Result<u64> {
        self.repair()?;
        let raw: usize = records.clone().map(<[u8]>::len).sum();
        // Upper bound with fragment headers; compression only shrinks.
        let bound = raw + (raw / PAGE + records.clone().count() + 1) * 2 * HEADER;
        if self.pos > 0 && self.pos + bound as u64 > self.options.segment_size {
            self.cut()?;
        }
        self.out.clear();
        for record in records {
            let flags = self.compressor.compress(record, &mut self.packed);
            let bytes = if flags == 0 { record } else { &self.packed };
            page::layout(&mut self.out, self.pos, flags, bytes);
        }
        self.write_out()
    }

    /// Writes `out` at the end, or leaves the segment as it was.
    fn write_out(&mut self) -> io::Result<u64> {
        self.dirty = true;
        let written = self
            .file
            .append(&self.out)
            .and_then(|()| match self.options.sync {
                WalSync::Commit => self.file.sync(),
                WalSync::Segment | WalSync::Interval(_) => Ok(()),
            });
        if let Err(e) = written {
            // Best effort now; `repair` insists before the next write.
            let _ = self.repair();
            return Err(e);
        }
        self.dirty = false;
        self.unsynced = self.options.sync != WalSync::Commit;
        let written = self.out.len() as u64;
        self.pos += written;
        if let WalSync::Interval(every) = self.options.sync {
            let since = (self.options.clock)().saturating_sub(self.last_sync);
            self.sync_due |= since >= millis(every);
        }
        give_back_surplus(&mut self.out);
        give_back_surplus(&mut self.packed);
        Ok(written)
    }

    /// Takes back what the last [`Self::log`] wrote, given the length that it returned.
    pub(crate) fn undo(&mut self, written: u64) {
        self.pos = self.pos.saturating_sub(written);
        self.dirty = true;
        // Best effort now; the next write insists.
        if let Err(e) = self.repair() {
            tracing::error!(error = %e, "cannot take back a failed commit yet");
        }
    }

    fn repair(&mut self) -> io::Result<()> {
        if self.dirty {
            self.file.truncate(self.pos)?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Ends the segment (padded) and begins the next. Returns the new segment's number. The caller has the old one
    /// synced when the lock is free.
    ///
    /// # Errors
    /// The system's error; then the old segment stays in use.
    pub(crate) fn cut(&mut self) -> io::Result<u64> {
        self.pad()?;
        let path = segments::path(&self.dir, self.segment + 1);
        let files = &*self.options.files;
        let file = match files.create(&path) {
            // Left over from an attempt whose directory sync failed; it holds nothing.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                files.remove_file(&path)?;
                files.create(&path)?
            }
            other => other?,
        };
        files.sync_dir(&self.dir)?;
        if self.unsynced {
            self.ended.push(self.segment);
            self.unsynced = false;
            self.sync_due = true;
        }
        self.file = file;
        self.segment += 1;
        self.pos = 0;
        Ok(self.segment)
    }

    fn pad(&mut self) -> io::Result<()> {
        self.repair()?;
        self.out.clear();
        self.out.resize(page::padding(self.pos), 0);
        self.write_out().map(|_| ())
    }

    /// Whether somebody has to take what is unsynced.
    pub(crate) fn sync_due(&self) -> SyncDue {
        match self.sync_due {
            false => SyncDue::No,
            true if self.ended.len() > MAX_WAITING => SyncDue::Now,
            true => SyncDue::Soon,
        }
    }

    /// Takes the segments that are to be forced to the disk: those that ended, and the open one when `all` are
    /// wanted or its interval has passed. What cannot be forced comes back by [`Self::give_back`].
    pub(crate) fn take_unsynced(&mut self, all: bool) -> Vec<Unsynced> {
        let mut due = std::mem::take(&mut self.ended);
        self.sync_due = false;
        let open = match self.options.sync {
            WalSync::Interval(every) => {
                let now = (self.options.clock)();
                let passed = all || now.saturating_sub(self.last_sync) >= millis(every);
                if passed {
                    self.last_sync = now;
                }
                passed
            }
            WalSync::Commit | WalSync::Segment => all,
        };
        if open && std::mem::take(&mut self.unsynced) {
            due.push(self.segment);
        }
        let with_path = |segment| Unsynced {
            segment,
            path: segments::path(&self.dir, segment),
        };
        due.into_iter().map(with_path).collect()
    }

    /// Notes that a segment could not be forced to the disk: whoever takes next tries again.
    pub(crate) fn give_back(&mut self, unsynced: &Unsynced) {
        if unsynced.segment == self.segment {
            self.unsynced = true;
        } else {
            self.ended.push(unsynced.segment);
        }
    }

    /// Pads and syncs for a clean stop.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn close(&mut self) -> io::Result<()> {
        self.pad()?;
        let files = Arc::clone(&self.options.files);
        for unsynced in self.take_unsynced(true) {
            unsynced.sync(&*files)?;
        }
        Ok(())
    }
}

/// A segment that is to be forced to the disk.
#[derive(Debug)]
pub(crate) struct Unsynced {
    segment: u64,
    path: PathBuf,
}

impl Unsynced {
    /// Forces it to the disk.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn sync(&self, files: &dyn Files) -> io::Result<()> {
        match files.sync(&self.path) {
            // Truncation was faster.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}
