//! Forgetting: chunks that are in blocks, series without chunks, texts without series.

use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::symbols::Symbol;
use super::{Head, SHARDS, SLICE, table_hash};
use crate::wal::writer::WalWriter;

/// Series that were removed, also by their labels.
#[derive(Default)]
struct Gone {
    ids: Vec<u32>,
    by_label: HashMap<(Symbol, Symbol), Vec<u32>, RandomState>,
}

impl Gone {
    fn add(&mut self, id: u32, symbols: &[Symbol]) {
        self.ids.push(id);
        for pair in symbols.chunks_exact(2) {
            let ids = self.by_label.entry((pair[0], pair[1])).or_default();
            ids.push(id);
        }
    }
}

impl Head {
    /// Drops everything before a time. The caller made sure that blocks have it and that no reader needs it.
    pub(crate) fn truncate(&self, mint: i64) {
        self.set_min_valid(mint);
        let mut chunks = 0;
        let mut empty = Vec::new();
        let mut oldest = i64::MAX;
        {
            let _no_commits = self.wal.lock();
            self.min_since.store(i64::MAX, Ordering::Release);
        }
        for series in self.all_series() {
            let mut state = series.state().write();
            chunks += state.truncate(mint);
            oldest = oldest.min(state.mint());
            if state.is_empty() {
                empty.push(series.id);
            }
        }
        {
            // Commits that a series got after it was looked at count by themselves.
            let _no_commits = self.wal.lock();
            let oldest = oldest.min(self.min_since.load(Ordering::Acquire));
            self.min_time.store(oldest, Ordering::Release);
        }
        self.forget_chunks(chunks);
        self.remove_series(&empty);
        let needed = mint.min(self.out_of_order_min_time());
        self.tombstones
            .write()
            .retain(|_, range| range.maxt >= needed);
        self.truncate_chunk_files(mint);
        self.counters.head_truncations.inc();
    }

    /// Counts chunks that were dropped.
    pub(super) fn forget_chunks(&self, chunks: usize) {
        self.counters.chunks_removed.add(chunks as u64);
        self.num_chunks.fetch_sub(chunks as i64, Ordering::Relaxed);
    }

    /// Tries again to remove series without samples whose page somebody held.
    pub(crate) fn remove_waiting(&self) {
        let mut waiting = std::mem::take(&mut *self.not_removed.lock());
        waiting.retain(|id| {
            let series = self.get(u64::from(*id));
            series.is_some_and(|s| s.state().read().is_empty())
        });
        self.remove_series(&waiting);
    }

    /// Removes series that still have no samples. In slices: no lock is held for long. Those whose page somebody
    /// holds wait for [`Self::remove_waiting`].
    pub(super) fn remove_series(&self, candidates: &[u32]) {
        let mut kept = Vec::new();
        let segment = self.wal.lock().as_ref().map_or(0, WalWriter::segment);
        for slice in candidates.chunks(SLICE) {
            let mut gone = Gone::default();
            for &id in slice {
                match self.remove_one(id) {
                    Some(symbols) => gone.add(id, &symbols),
                    None => kept.push(id),
                }
            }
            self.num_series
                .fetch_sub(gone.ids.len() as u64, Ordering::Relaxed);
            self.counters.series_removed.add(gone.ids.len() as u64);
            let unused = self.postings.write().remove(&gone.by_label);
            {
                let mut metadata = self.metadata.write();
                for id in &gone.ids {
                    metadata.remove(id);
                }
            }
            let removed = gone.ids.iter().map(|id| (*id, segment));
            self.removed.lock().extend(removed);
            self.drop_symbols(&unused);
        }
        *self.not_removed.lock() = kept;
    }

    /// Takes a series out of the table and the slab and returns its symbols, unless it has samples again or somebody
    /// holds its page.
    fn remove_one(&self, id: u32) -> Option<Vec<Symbol>> {
        let (hash, symbols) = {
            let series = self.get(u64::from(id))?;
            (self.labels(&series).fast_hash(), series.symbols())
        };
        let half = (hash >> 32) as u32;
        let mut shard = self.shards[hash as usize % SHARDS].lock();
        // With both locks no appender or query can get it.
        if !self.slab.write().remove(id) {
            return None;
        }
        if let Ok(entry) = shard.find_entry(table_hash(half), |e| e.id == id) {
            entry.remove();
        }
        Some(symbols)
    }

    /// Drops those of some symbols that no series has any more. A series that is being made may have them before
    /// the postings do.
    fn drop_symbols(&self, candidates: &[Symbol]) {
        for slice in candidates.chunks(SLICE) {
            let _no_creation = self.creation.write();
            let mut symbols = self.symbols.write();
            let postings = self.postings.read();
            for symbol in slice {
                if !postings.has(*symbol) {
                    symbols.remove(*symbol);
                }
            }
        }
    }

    /// Whether a checkpoint of the segments up to `last` must keep a series' name.
    pub(crate) fn keeps_series(&self, id: u64, last: u64) -> bool {
        let alias = self.aliases.lock().get(&id).copied();
        let Some(id) = alias.or_else(|| u32::try_from(id).ok()) else {
            return true;
        };
        self.slab.read().has(id) || self.removed.lock().get(&id).is_some_and(|s| *s > last)
    }

    /// Forgets removed series whose samples are gone from the log.
    pub(crate) fn forget_removed(&self, last: u64) {
        let mut removed = self.removed.lock();
        removed.retain(|_, segment| *segment > last);
        let slab = self.slab.read();
        self.aliases
            .lock()
            .retain(|_, id| slab.has(*id) || removed.contains_key(id));
    }
}
