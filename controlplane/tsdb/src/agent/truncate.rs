//! Forgetting: series that get no samples any more, and the log's old segments.

use bellwether_model::storage::StorageError;

use super::AgentDb;
use crate::error::TsdbError;
use crate::options::millis;
use crate::wal::checkpoint;
use crate::wal::segments;
use crate::wal::writer::WalWriter;

impl AgentDb {
    /// Forgets what remote write has: `sent_ms` is the oldest of the newest times that its queues have sent. Call it
    /// every two hours or so, off the async threads.
    ///
    /// # Errors
    /// I/O; the next call tries again.
    pub fn truncate(&self, sent_ms: i64) -> Result<(), TsdbError> {
        let _one_at_a_time = self.truncating.lock();
        let now = (self.options.log.clock)();
        let min_time = millis(self.options.min_wal_time);
        let max_time = millis(self.options.max_wal_time.max(self.options.min_wal_time));
        // What a receiver that is away has not got does not stay for ever.
        let mint = sent_ms
            .saturating_sub(min_time)
            .max(0)
            .max(now.saturating_sub(max_time));
        self.truncate_before(mint)
    }

    /// The same with the time given.
    pub(super) fn truncate_before(&self, mint: i64) -> Result<(), TsdbError> {
        let wal = self.wal_dir();
        let io = || TsdbError::io("cannot truncate the log in", &wal);
        let listed = segments::list(&*self.files, &wal).map_err(io())?;
        let (Some(first), Some(newest)) = (listed.first().copied(), listed.last().copied()) else {
            return Ok(());
        };
        {
            let gone = self.series.write().remove_before(mint);
            // The log may have samples of them up to the newest segment: their names stay until that is gone.
            let mut deleted = self.deleted.lock();
            deleted.extend(gone.into_iter().map(|reference| (reference, newest)));
        }
        {
            let mut wal = self.wal.lock();
            let Some(writer) = wal.as_mut() else {
                return Err(TsdbError::Storage(StorageError::Other(
                    "storage is closed".to_owned(),
                )));
            };
            WalWriter::cut(writer).map_err(io())?;
            self.log_end.set(writer.position());
        }
        self.sync(false)?;
        // Never the newest of before, and of the others the lower two thirds: they hold mostly what is sent.
        let Some(end) = newest.checked_sub(1) else {
            return Ok(());
        };
        let last = first + end.saturating_sub(first) * 2 / 3;
        if last <= first {
            return Ok(());
        }
        let keep = |reference: u64| {
            self.series.read().get(reference).is_some()
                || self
                    .deleted
                    .lock()
                    .get(&reference)
                    .is_some_and(|n| *n > last)
        };
        let from = checkpoint::KeepFrom {
            mint,
            tombstones: mint,
        };
        checkpoint::write(&wal, last, from, keep, self.options.log.checkpoint_writer())
            .inspect_err(|_| self.counters.checkpoints_failed.inc())
            .map_err(io())?;
        self.counters.checkpoints.inc();
        self.deleted.lock().retain(|_, segment| *segment > last);
        Ok(())
    }
}
