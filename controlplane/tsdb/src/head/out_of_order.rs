//! Samples of a series that came out of order, and where the head has some.
//!
//! ```text
//! insert -> live: entries, sorted by time --32 of them--> live: chunks
//!                          |  freeze (a compaction begins)
//!                          v
//!           frozen: entries and chunks --blocks are in place and no older query is open--> dropped
//! ```
//! In-order chunks and these overlap; queries merge them. An entry keeps the number of its transaction, so that a
//! query never sees half of one; only entries that every query sees are encoded. As in Prometheus, a second sample
//! for the time of an entry is dropped without an error, and of a sample here and one in order at the same time
//! queries show the latter.

use bellwether_model::storage::SampleBuffer;
use roaring::RoaringBitmap;

use super::Head;
use super::chunk_files::ChunkData;
use super::series::{MemSeries, Txn};
use crate::block::chunks::EncodedChunk;
use crate::block::write::{self, Sample};
use crate::chunk;
use crate::encoding::DecodeError;
use crate::tombstones::{self, Interval};

/// Entries that become a chunk together: Prometheus' default of `OutOfOrderCapMax`.
const ENTRIES_PER_CHUNK: usize = 32;

/// A sample and the transaction that brought it.
#[derive(Clone, Debug)]
struct Entry {
    t: i64,
    txn: u64,
    sample: Sample,
}

#[derive(Debug, Default)]
struct Run {
    /// By rising time, no two at the same.
    entries: Vec<Entry>,
    /// In the order in which they were made; they overlap.
    chunks: Vec<EncodedChunk>,
}

impl Run {
    /// First and last time, `None` when empty.
    fn bounds(&self) -> Option<(i64, i64)> {
        let entries = self.entries.first().zip(self.entries.last());
        let chunks = self.chunks.iter().map(|c| (c.mint, c.maxt));
        chunks
            .chain(entries.map(|(first, last)| (first.t, last.t)))
            .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    fn read(
        &self,
        mint: i64,
        maxt: i64,
        seen: u64,
        out: &mut SampleBuffer,
    ) -> Result<(), DecodeError> {
        for c in &self.chunks {
            if c.maxt >= mint && c.mint <= maxt {
                chunk::read_into(c.encoding, &c.data, usize::MAX, mint, maxt, out)?;
            }
        }
        let in_range = |e: &&Entry| e.t >= mint && e.t <= maxt && e.txn <= seen;
        for e in self.entries.iter().filter(in_range) {
            e.sample.read_into(e.t, out);
        }
        Ok(())
    }

    /// Appends the samples in `mint..=maxt` that a reader may see, in no order.
    fn collect(
        &self,
        mint: i64,
        maxt: i64,
        seen: u64,
        out: &mut Vec<(i64, Sample)>,
    ) -> Result<(), DecodeError> {
        for c in &self.chunks {
            if c.maxt >= mint && c.mint <= maxt {
                write::decode(c.encoding, &c.data, |t, s| {
                    if t >= mint && t <= maxt {
                        out.push((t, s));
                    }
                })?;
            }
        }
        let in_range = |e: &&Entry| e.t >= mint && e.t <= maxt && e.txn <= seen;
        let entries = self.entries.iter().filter(in_range);
        out.extend(entries.map(|e| (e.t, e.sample.clone())));
        Ok(())
    }
}

/// The out-of-order samples of a series.
#[derive(Debug, Default)]
pub(crate) struct OutOfOrder {
    live: Run,
    /// What a compaction writes to blocks at present.
    frozen: Run,
}

impl OutOfOrder {
    /// Adds a sample; false when there is one at this time among those that came last.
    pub(crate) fn insert(&mut self, t: i64, sample: Sample, txn: Txn) -> Result<bool, DecodeError> {
        let run = &mut self.live;
        if run.entries.binary_search_by_key(&t, |e| e.t).is_ok() {
            return Ok(false);
        }
        if run.entries.len() >= ENTRIES_PER_CHUNK {
            let (visible, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut run.entries)
                .into_iter()
                .partition(|e| e.txn <= txn.watermark);
            run.entries = waiting;
            let samples = visible.into_iter().map(|e| (e.t, e.sample));
            run.chunks.extend(write::encode(samples, txn.chunk_range)?);
        }
        let entry = Entry {
            t,
            txn: txn.number,
            sample,
        };
        let at = run.entries.partition_point(|e| e.t < t);
        run.entries.insert(at, entry);
        Ok(true)
    }

    /// First and last time, `None` without samples.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let both = self.live.bounds().into_iter().chain(self.frozen.bounds());
        both.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Number of chunks.
    pub(crate) fn chunks(&self) -> usize {
        let of = |r: &Run| r.chunks.len() + usize::from(!r.entries.is_empty());
        of(&self.live) + of(&self.frozen)
    }

    /// Appends the visible samples in `mint..=maxt` in no order, perhaps some twice.
    pub(crate) fn read(
        &self,
        mint: i64,
        maxt: i64,
        seen: u64,
        out: &mut SampleBuffer,
    ) -> Result<(), DecodeError> {
        self.frozen.read(mint, maxt, seen, out)?;
        self.live.read(mint, maxt, seen, out)
    }

    /// Takes chunks from files at the start.
    pub(crate) fn adopt(&mut self, chunks: Vec<EncodedChunk>) {
        self.live.chunks.extend(chunks);
    }

    /// Forgets what is not in files: the log said that the files have it.
    pub(crate) fn forget_memory(&mut self) {
        self.live.entries.clear();
        let in_file = |c: &EncodedChunk| matches!(c.data, ChunkData::File { .. });
        self.live.chunks.retain(in_file);
    }

    /// Marks all that is here now as the subject of a compaction.
    fn freeze(&mut self) {
        let live = std::mem::take(&mut self.live);
        self.frozen.chunks.extend(live.chunks);
        self.frozen.entries.extend(live.entries);
    }

    fn bounds_of(&self, what: Part) -> Option<(i64, i64)> {
        match what {
            Part::All => self.bounds(),
            Part::Frozen => self.frozen.bounds(),
        }
    }

    /// The samples in `mint..=maxt` that a reader may see as chunks that do not overlap, without deleted ones.
    fn to_chunks(
        &self,
        what: Part,
        (mint, maxt): (i64, i64),
        seen: u64,
        deleted: &[Interval],
        chunk_range: i64,
    ) -> Result<Vec<EncodedChunk>, DecodeError> {
        let mut samples = Vec::new();
        self.frozen.collect(mint, maxt, seen, &mut samples)?;
        if what == Part::All {
            self.live.collect(mint, maxt, seen, &mut samples)?;
        }
        samples.sort_by_key(|s| s.0);
        samples.dedup_by_key(|s| s.0);
        samples.retain(|s| !tombstones::covers(deleted, s.0));
        write::encode(samples, chunk_range)
    }
}

/// Which out-of-order samples are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    Frozen,
}

/// Which series of a head have out-of-order samples, and of which times.
#[derive(Debug)]
pub(crate) struct OutOfOrderIndex {
    pub(crate) series: RoaringBitmap,
    /// Oldest and newest; `i64::MAX` and `i64::MIN` without any.
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
}

impl Default for OutOfOrderIndex {
    fn default() -> Self {
        Self {
            series: RoaringBitmap::new(),
            mint: i64::MAX,
            maxt: i64::MIN,
        }
    }
}

impl OutOfOrderIndex {
    /// Notes samples of a series.
    pub(crate) fn note(&mut self, series: u32, mint: i64, maxt: i64) {
        self.series.insert(series);
        self.mint = self.mint.min(mint);
        self.maxt = self.maxt.max(maxt);
    }
}

impl Head {
    /// Whether queries of `mint..=maxt` may find out-of-order samples.
    pub(crate) fn has_out_of_order(&self, mint: i64, maxt: i64) -> bool {
        let index = self.out_of_order.lock();
        index.mint <= maxt && index.maxt >= mint
    }

    /// The oldest out-of-order sample, `i64::MAX` without any.
    pub(crate) fn out_of_order_min_time(&self) -> i64 {
        self.out_of_order.lock().mint
    }

    fn out_of_order_series(&self) -> Vec<MemSeries> {
        let ids = self.out_of_order.lock().series.clone();
        let slab = self.slab.read();
        ids.iter().filter_map(|id| slab.get(id)).collect()
    }

    /// Marks all out-of-order samples as the subject of a compaction.
    pub(crate) fn freeze_out_of_order(&self) {
        for s in self.out_of_order_series() {
            if let Some(ooo) = s.state().write().out_of_order_mut() {
                ooo.freeze();
            }
        }
    }

    /// Whether a compaction began whose samples are still here.
    pub(crate) fn has_frozen(&self) -> bool {
        !self.with_out_of_order(Part::Frozen).is_empty()
    }

    /// The series that have such samples, each with its first and last time.
    pub(crate) fn with_out_of_order(&self, what: Part) -> Vec<(MemSeries, (i64, i64))> {
        let mut found = Vec::new();
        for s in self.out_of_order_series() {
            let state = s.state().read();
            let bounds = state.out_of_order().and_then(|o| o.bounds_of(what));
            drop(state);
            found.extend(bounds.map(|b| (s, b)));
        }
        found
    }

    /// The chunks of a series for a block of `range` (both ends included).
    pub(crate) fn out_of_order_chunks(
        &self,
        series: &MemSeries,
        what: Part,
        range: (i64, i64),
        deleted: &[Interval],
    ) -> Result<Vec<EncodedChunk>, DecodeError> {
        match series.state().read().out_of_order() {
            Some(ooo) => {
                let block_range = self.options.block_range;
                ooo.to_chunks(what, range, u64::MAX, deleted, block_range)
            }
            None => Ok(Vec::new()),
        }
    }

    /// The chunks of a series in `range` (both ends included) with what a reader may see.
    pub(crate) fn visible_out_of_order_chunks(
        &self,
        series: &MemSeries,
        range: (i64, i64),
        seen: u64,
    ) -> Result<Vec<EncodedChunk>, DecodeError> {
        match series.state().read().out_of_order() {
            Some(ooo) => ooo.to_chunks(Part::All, range, seen, &[], self.options.block_range),
            None => Ok(Vec::new()),
        }
    }

    /// Drops the frozen samples: they are in blocks and nobody reads them here.
    pub(crate) fn drop_frozen(&self) {
        // No commits, so that the index misses none of their samples.
        let _no_commits = self.wal.lock();
        let mut index = OutOfOrderIndex::default();
        let mut dropped = 0;
        for series in self.out_of_order_series() {
            let mut state = series.state().write();
            let Some(ooo) = state.out_of_order_mut() else {
                continue;
            };
            let before = ooo.chunks();
            ooo.frozen = Run::default();
            dropped += before - ooo.chunks();
            match ooo.bounds() {
                Some((mint, maxt)) => index.note(series.id, mint, maxt),
                None => state.drop_out_of_order(),
            }
        }
        *self.out_of_order.lock() = index;
        self.counters.chunks_removed.add(dropped as u64);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn txn(number: u64, watermark: u64) -> Txn {
        Txn {
            number,
            watermark,
            chunk_range: 1_000_000,
        }
    }

    fn times(ooo: &OutOfOrder, seen: u64) -> Vec<i64> {
        let mut out = SampleBuffer::default();
        ooo.read(i64::MIN, i64::MAX, seen, &mut out).unwrap();
        out.timestamps.sort_unstable();
        out.timestamps
    }

    #[test]
    fn an_open_reader_never_sees_entries_of_later_transactions() {
        let mut ooo = OutOfOrder::default();
        for t in 0..20 {
            ooo.insert(t * 2, Sample::Float(0.0), txn(1, 1)).unwrap();
        }
        // A reader of transaction 1 is open: none of these may become part of a chunk.
        for t in 0..40 {
            ooo.insert(t * 2 + 1, Sample::Float(0.0), txn(2, 1))
                .unwrap();
        }
        assert_eq!(times(&ooo, 1), (0..20).map(|t| t * 2).collect::<Vec<_>>());
        assert_eq!(times(&ooo, 2).len(), 60);
        assert_eq!(ooo.bounds(), Some((0, 79)));
    }

    #[test]
    fn a_second_sample_for_a_time_is_dropped_and_frozen_ones_are_written_once() {
        let mut ooo = OutOfOrder::default();
        assert!(ooo.insert(5, Sample::Float(1.0), txn(1, 1)).unwrap());
        assert!(!ooo.insert(5, Sample::Float(2.0), txn(2, 1)).unwrap());
        ooo.freeze();
        assert!(ooo.insert(5, Sample::Float(3.0), txn(3, 3)).unwrap());
        ooo.freeze();
        let deleted = [Interval { mint: 8, maxt: 9 }];
        ooo.insert(8, Sample::Float(3.0), txn(4, 4)).unwrap();
        ooo.freeze();
        let chunks = ooo
            .to_chunks(Part::Frozen, (0, 10), u64::MAX, &deleted, 1_000_000)
            .unwrap();
        assert_eq!(chunks.len(), 1);
        assert_eq!((chunks[0].mint, chunks[0].maxt), (5, 5));
        let mut values = Vec::new();
        write::decode(chunks[0].encoding, &chunks[0].data, |_, s| {
            values.push(format!("{s:?}"));
        })
        .unwrap();
        assert_eq!(values, ["Float(1.0)"]);
    }
}
