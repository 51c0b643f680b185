//! Isolation: a query never sees half a transaction.
//!
//! Transactions are numbered and published one after the other. A reader takes the number of the last whole
//! one when it begins and never sees samples of later ones. Each series remembers how many samples it had
//! before its recent transactions; it forgets those that every open reader may see.

use std::sync::Arc;

use parking_lot::Mutex;

#[derive(Debug, Default)]
struct State {
    /// Number of the last whole transaction.
    committed: u64,
    /// What each open reader may see, and which view of the blocks it has.
    readers: Vec<Option<(u64, u64)>>,
    free: Vec<usize>,
    /// Number of the current view (blocks and where the head begins).
    view: u64,
}

/// The book of transactions and readers.
#[derive(Debug, Default)]
pub(crate) struct Isolation {
    state: Mutex<State>,
}

impl Isolation {
    /// Begins a read of all transactions so far.
    pub(crate) fn reader(self: &Arc<Self>) -> Reader {
        let mut state = self.state.lock();
        let entry = Some((state.committed, state.view));
        let slot = match state.free.pop() {
            Some(slot) => {
                state.readers[slot] = entry;
                slot
            }
            None => {
                state.readers.push(entry);
                state.readers.len() - 1
            }
        };
        Reader {
            seen: state.committed,
            slot,
            isolation: Arc::clone(self),
        }
    }

    /// The next transaction's number and the newest one that every present and future reader sees.
    /// The caller holds the commit lock until [`Self::publish`].
    pub(crate) fn begin(&self) -> (u64, u64) {
        let state = self.state.lock();
        let oldest = state.readers.iter().flatten().map(|r| r.0).min();
        (
            state.committed + 1,
            oldest.unwrap_or(state.committed).min(state.committed),
        )
    }

    /// Makes a transaction visible to new readers.
    pub(crate) fn publish(&self, txn: u64) {
        self.state.lock().committed = txn;
    }

    /// Says that the view of blocks and head changed; returns the new view's number.
    pub(crate) fn next_view(&self) -> u64 {
        let mut state = self.state.lock();
        state.view += 1;
        state.view
    }

    /// Whether a reader that began before a view is still open.
    pub(crate) fn has_reader_before(&self, view: u64) -> bool {
        let state = self.state.lock();
        state.readers.iter().flatten().any(|r| r.1 < view)
    }

    /// Low and high watermark.
    pub(crate) fn watermarks(&self) -> (u64, u64) {
        let (next, low) = self.begin();
        (low, next - 1)
    }
}

/// An open read; ends when dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    /// Last transaction that the reader sees.
    pub(crate) seen: u64,
    slot: usize,
    isolation: Arc<Isolation>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.isolation.state.lock();
        state.readers[self.slot] = None;
        state.free.push(self.slot);
    }
}

/// A series' memory of its recent transactions.
#[derive(Debug, Default)]
pub(crate) struct TxnLog {
    /// Newest transaction that appended, and how many samples.
    txn: u64,
    samples: u32,
    /// Whether there are earlier ones, which are kept elsewhere: almost never.
    has_older: bool,
}

/// Earlier transactions of a series that some reader may not see yet, rising, with their numbers of samples.
pub(crate) type OlderTxns = Vec<(u64, u32)>;

impl TxnLog {
    /// Notes that a transaction appends a sample. `watermark` is the newest transaction that everybody sees;
    /// `older` gives access to the earlier ones.
    #[inline]
    pub(crate) fn append<'a>(
        &mut self,
        txn: u64,
        watermark: u64,
        older: impl FnOnce() -> &'a mut OlderTxns,
    ) {
        if self.txn != txn {
            if self.txn > watermark || self.has_older {
                self.keep(watermark, older());
            }
            self.txn = txn;
            self.samples = 0;
        }
        self.samples += 1;
    }

    #[cold]
    fn keep(&mut self, watermark: u64, older: &mut OlderTxns) {
        older.retain(|o| o.0 > watermark);
        if self.txn > watermark {
            older.push((self.txn, self.samples));
        }
        if older.is_empty() {
            *older = Vec::new();
        }
        self.has_older = !older.is_empty();
    }

    /// How many of the newest samples a reader of transactions up to `seen` must not see.
    #[inline]
    pub(crate) fn hidden(&self, seen: u64, older: &[(u64, u32)]) -> usize {
        if self.txn <= seen {
            return 0;
        }
        let earlier = older.iter().filter(|o| o.0 > seen);
        self.samples as usize + earlier.map(|o| o.1 as usize).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_reader_keeps_its_view_and_its_end_frees_the_log() {
        let isolation = Arc::new(Isolation::default());
        let mut log = TxnLog::default();
        let mut older = OlderTxns::new();
        let commit = |log: &mut TxnLog, older: &mut OlderTxns, n: u32| {
            let (txn, watermark) = isolation.begin();
            for _ in 0..n {
                log.append(txn, watermark, || &mut *older);
            }
            isolation.publish(txn);
        };
        commit(&mut log, &mut older, 2);
        let old = isolation.reader();
        commit(&mut log, &mut older, 3);
        let middle = isolation.reader();
        commit(&mut log, &mut older, 5);
        assert_eq!(log.hidden(old.seen, &older), 8);
        assert_eq!(log.hidden(middle.seen, &older), 5);
        assert_eq!(log.hidden(isolation.reader().seen, &older), 0);
        drop(old);
        drop(middle);
        commit(&mut log, &mut older, 1);
        assert_eq!(older.capacity(), 0);
    }

    #[test]
    fn views_wait_for_their_readers() {
        let isolation = Arc::new(Isolation::default());
        let reader = isolation.reader();
        let view = isolation.next_view();
        assert!(isolation.has_reader_before(view));
        let later = isolation.reader();
        drop(reader);
        assert!(!isolation.has_reader_before(view));
        drop(later);
    }
}
