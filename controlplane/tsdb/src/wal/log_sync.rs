//! Forcing logs to the disk without keeping commits waiting.
//!
//! A commit that ends a segment, or finds that the interval has passed, only rings; a thread does the rest. When it
//! falls behind, and several segments wait, commits that end another one do the work themselves, so that no more
//! than these few are ever at stake.

use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::writer::{SyncDue, Unsynced, WalWriter};
use crate::files::Files;
use crate::options::SyncWorker;

/// A log: `None` before it is opened and after it is closed.
pub(crate) type Log = Mutex<Option<WalWriter>>;

/// Who forces the logs of one database to the disk, and when. Its thread ends when this is dropped.
pub(crate) struct LogSync {
    worker: SyncWorker,
    shared: Arc<Shared>,
    thread: OnceLock<JoinHandle<()>>,
}

struct Shared {
    logs: Vec<Arc<Log>>,
    files: Arc<dyn Files>,
    /// Held while segments are forced to the disk, which needs none of the logs' own locks. Taken before those.
    in_turn: Mutex<()>,
    wanted: Mutex<Wanted>,
    changed: Condvar,
}

/// What the thread is to do next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Nothing,
    Sync,
    End,
}

impl LogSync {
    /// For logs of a file system. [`Self::start`] lets it work.
    pub(crate) fn new(worker: SyncWorker, logs: Vec<Arc<Log>>, files: Arc<dyn Files>) -> Self {
        Self {
            worker,
            shared: Arc::new(Shared {
                logs,
                files,
                in_turn: Mutex::new(()),
                wanted: Mutex::new(Wanted::Nothing),
                changed: Condvar::new(),
            }),
            thread: OnceLock::new(),
        }
    }

    /// Starts the thread, where there is to be one.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn start(&self) -> io::Result<()> {
        if self.worker == SyncWorker::Thread && self.thread.get().is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new()
                .name("wal-sync".to_owned())
                .spawn(move || shared.work())?;
            // Only one caller opens a database.
            let _ = self.thread.set(thread);
        }
        Ok(())
    }

    /// Forces segments that ended to the disk, and with `all` the open ones too. The caller holds no log. When it
    /// returns, also those are done that another thread took before.
    ///
    /// # Errors
    /// The first failure; the next call tries again what failed.
    pub(crate) fn sync(&self, all: bool) -> io::Result<()> {
        self.shared.sync(all)
    }

    /// The same for a commit, which is done already and holds no log any more: a failure is only told.
    pub(crate) fn after_commit(&self, due: SyncDue) {
        match (due, self.worker) {
            (SyncDue::No, _) | (SyncDue::Soon, SyncWorker::Caller) => {}
            (SyncDue::Soon, SyncWorker::Thread) => self.shared.ring(Wanted::Sync),
            (SyncDue::Soon, SyncWorker::Commit) | (SyncDue::Now, _) => self.shared.sync_or_tell(),
        }
    }

    /// Waits for what is under way, and keeps others from beginning as long as the guard is held: for closing.
    pub(crate) fn pause(&self) -> MutexGuard<'_, ()> {
        self.shared.in_turn.lock()
    }
}

impl Drop for LogSync {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.shared.ring(Wanted::End);
            if thread.join().is_err() {
                tracing::error!("the thread that syncs the log ended abnormally");
            }
        }
    }
}

impl Shared {
    fn ring(&self, what: Wanted) {
        let mut wanted = self.wanted.lock();
        if *wanted != what {
            *wanted = what;
            self.changed.notify_one();
        }
    }

    /// The thread.
    fn work(&self) {
        loop {
            {
                let mut wanted = self.wanted.lock();
                while *wanted == Wanted::Nothing {
                    self.changed.wait(&mut wanted);
                }
                if *wanted == Wanted::End {
                    return;
                }
                *wanted = Wanted::Nothing;
            }
            self.sync_or_tell();
        }
    }

    fn sync_or_tell(&self) {
        if let Err(e) = self.sync(false) {
            tracing::error!(error = %e, "cannot sync the log to the disk, it will be tried again");
        }
    }

    fn sync(&self, all: bool) -> io::Result<()> {
        let _in_turn = self.in_turn.lock();
        let results = self.logs.iter().map(|log| self.sync_one(log, all));
        // All of them, whatever becomes of the first.
        results.fold(Ok(()), Result::and)
    }

    fn sync_one(&self, log: &Log, all: bool) -> io::Result<()> {
        let due = match log.lock().as_mut() {
            Some(writer) => writer.take_unsynced(all),
            None => return Ok(()),
        };
        let mut failed: Vec<(Unsynced, io::Error)> = Vec::new();
        for segment in due {
            if let Err(e) = segment.sync(&*self.files) {
                failed.push((segment, e));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        if let Some(writer) = log.lock().as_mut() {
            for (segment, _) in &failed {
                writer.give_back(segment);
            }
        }
        failed.into_iter().next().map_or(Ok(()), |(_, e)| Err(e))
    }
}
