//! Series that ended: finding them, and forgetting them before their time.
//!
//! The log says that a series went by a mark of deletion over all of time, as Prometheus writes it. Whoever reads the
//! log forgets there what it has of the series. When it comes back, it is another series with the same labels, or,
//! where somebody held on to it, the same one with later samples.

use std::io;

use crate::tombstones::Interval;
use crate::wal::record::{self, WalTombstone};
use crate::wal::writer::SyncDue;

use super::{Head, SLICE};

/// The mark of a series that went.
pub(crate) const ALL_OF_TIME: Interval = Interval {
    mint: i64::MIN,
    maxt: i64::MAX,
};

/// A stale series and its bounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) id: u32,
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Head {
    /// The stale series, but for those with samples that came out of order, and the number of all series.
    pub(crate) fn stale_series(&self) -> (Vec<Ended>, usize) {
        let all = self.all_series();
        let ended = all.iter().filter_map(|series| {
            let state = series.state().read();
            state.is_stale().then(|| Ended {
                id: series.id,
                first: state.mint(),
                last: state.last_t,
            })
        });
        (ended.collect(), all.len())
    }

    /// Forgets stale series that have no newer samples than given. The caller made sure that blocks have them and that
    /// no reader needs them.
    ///
    /// # Errors
    /// When the log cannot be written; some may be gone then, and the next call takes the others.
    pub(crate) fn evict(&self, series: &[Ended]) -> io::Result<()> {
        let mut gone = Vec::new();
        let (mut due, mut done) = (SyncDue::No, Ok(()));
        for slice in series.chunks(SLICE) {
            match self.evict_some(slice, &mut gone) {
                Ok(sync) => due = due.max(sync),
                Err(e) => {
                    done = Err(e);
                    break;
                }
            }
        }
        self.log_sync.after_commit(due);
        // Those that wait already wait on with the others.
        gone.append(&mut self.not_removed.lock());
        self.remove_series(&gone);
        done
    }

    /// A part of them, between two commits.
    fn evict_some(&self, series: &[Ended], gone: &mut Vec<u32>) -> io::Result<SyncDue> {
        let mut wal = self.wal.lock();
        let Some(writer) = wal.as_mut() else {
            return Ok(SyncDue::No);
        };
        let still = series.iter().filter_map(|ended| {
            let series = self.get(u64::from(ended.id))?;
            let state = series.state().read();
            let same = state.last_t == ended.last && state.is_stale();
            drop(state);
            same.then_some(series)
        });
        let still: Vec<_> = still.collect();
        if still.is_empty() {
            return Ok(SyncDue::No);
        }
        let stones: Vec<_> = still
            .iter()
            .map(|s| WalTombstone {
                series: u64::from(s.id),
                mint: ALL_OF_TIME.mint,
                maxt: ALL_OF_TIME.maxt,
            })
            .collect();
        let mut bytes = Vec::new();
        record::tombstones(&mut bytes, &stones);
        let written = writer.log([bytes.as_slice()].into_iter())?;
        self.counters.wal_bytes.add(written);
        let chunks: usize = still
            .iter()
            .map(|s| s.state().write().truncate(i64::MAX))
            .sum();
        self.forget_chunks(chunks);
        gone.extend(still.iter().map(|s| s.id));
        Ok(writer.sync_due())
    }
}
