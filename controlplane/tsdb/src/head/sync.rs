//! Forcing the logs to the disk without keeping commits waiting.

use std::io;

use parking_lot::Mutex;

use super::Head;
use crate::wal::writer::{Unsynced, WalWriter};

impl Head {
    /// Forces segments that ended to the disk, and with `all` the open ones too. The caller holds no lock. When it
    /// returns, also those are done that another thread took before.
    ///
    /// # Errors
    /// The first failure; the next call tries again what failed.
    pub(crate) fn sync_logs(&self, all: bool) -> io::Result<()> {
        let _in_turn = self.syncing.lock();
        let log = self.sync_log(&self.wal, all);
        log.and(self.sync_log(&self.wbl, all))
    }

    fn sync_log(&self, log: &Mutex<Option<WalWriter>>, all: bool) -> io::Result<()> {
        let due = match log.lock().as_mut() {
            Some(writer) => writer.take_unsynced(all),
            None => return Ok(()),
        };
        let mut failed: Vec<(Unsynced, io::Error)> = Vec::new();
        for segment in due {
            if let Err(e) = segment.sync(&*self.options.files) {
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

    /// The same after a commit, which is done already: a failure is only told.
    pub(crate) fn sync_logs_after_commit(&self) {
        if let Err(e) = self.sync_logs(false) {
            tracing::error!(error = %e, "cannot sync the log to the disk, it will be tried again");
        }
    }
}
