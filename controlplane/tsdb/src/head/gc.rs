//! Forgetting: chunks that are in blocks, series without chunks, texts without series.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::RoaringBitmap;

use super::{Head, SHARDS, table_hash};
use crate::wal::writer::WalWriter;

impl Head {
    /// Drops everything before a time. The caller made sure that blocks have it and that no reader needs it.
    pub(crate) fn truncate(&self, mint: i64) {
        self.set_min_valid(mint);
        let mut chunks = 0;
        let mut empty = Vec::new();
        for series in self.all_series() {
            let mut state = series.state.write();
            chunks += state.truncate(mint);
            if state.is_empty() {
                empty.push(series.id);
            }
        }
        self.counters.chunks_removed.add(chunks as u64);
        self.num_chunks.fetch_sub(chunks as i64, Ordering::Relaxed);
        self.remove_series(&empty);
        {
            // Without commits in between, so that none of their samples is older than the new beginning.
            let _no_commits = self.wal.lock();
            let slab = self.slab.read();
            let oldest = slab.iter().map(|s| s.state.read().mint()).min();
            self.min_time
                .store(oldest.unwrap_or(i64::MAX), Ordering::Release);
        }
        let needed = mint.min(self.out_of_order_min_time());
        self.tombstones
            .write()
            .retain(|_, range| range.maxt >= needed);
        self.truncate_chunk_files(mint);
        self.counters.head_truncations.inc();
    }

    /// Removes series that nobody holds and that still have no samples.
    fn remove_series(&self, candidates: &[u32]) {
        if candidates.is_empty() {
            return;
        }
        let segment = self.wal.lock().as_ref().map_or(0, WalWriter::segment);
        let mut gone = RoaringBitmap::new();
        for &id in candidates {
            let Some(series) = self.get(u64::from(id)) else {
                continue;
            };
            let hash = self.labels(&series).fast_hash();
            let half = (hash >> 32) as u32;
            let mut shard = self.shards[hash as usize % SHARDS].lock();
            let mut slab = self.slab.write();
            // Ours and the slab's: no appender or query has it, and with both locks none can get it.
            // Appenders may hold its page instead; then the next truncation tries again.
            if Arc::strong_count(&series) > 2 || !series.state.read().is_empty() || !slab.remove(id)
            {
                continue;
            }
            drop(slab);
            if let Ok(entry) = shard.find_entry(table_hash(half), |e| e.id == id) {
                entry.remove();
            }
            gone.insert(id);
        }
        if gone.is_empty() {
            return;
        }
        self.num_series.fetch_sub(gone.len(), Ordering::Relaxed);
        self.counters.series_removed.add(gone.len());
        self.postings.write().remove_all(&gone);
        self.metadata.write().retain(|id, _| !gone.contains(*id));
        self.removed
            .lock()
            .extend(gone.iter().map(|id| (id, segment)));
        self.drop_symbols();
    }

    fn drop_symbols(&self) {
        let _no_creation = self.creation.write();
        let mut used = RoaringBitmap::new();
        for series in self.slab.read().iter() {
            used.extend(series.labels.iter().copied());
        }
        self.symbols.write().retain(|s| used.contains(s));
    }

    /// Whether a checkpoint of the segments up to `last` must keep a series' name.
    pub(crate) fn keeps_series(&self, id: u64, last: u64) -> bool {
        let alias = self.aliases.lock().get(&id).copied();
        let Some(id) = alias.or_else(|| u32::try_from(id).ok()) else {
            return true;
        };
        self.slab.read().get(id).is_some()
            || self.removed.lock().get(&id).is_some_and(|s| *s > last)
    }

    /// Forgets removed series whose samples are gone from the log.
    pub(crate) fn forget_removed(&self, last: u64) {
        let mut removed = self.removed.lock();
        removed.retain(|_, segment| *segment > last);
        let slab = self.slab.read();
        self.aliases
            .lock()
            .retain(|_, id| slab.get(*id).is_some() || removed.contains_key(id));
    }
}
