//! Series that ended leave memory early.
//!
//! When the share of stale series in the head (the newest sample of each is a stale marker) reaches a threshold, they
//! are written as blocks of their own, one per range, and these become visible. When no older query is open, the series
//! go from the head, and the log says so; until then their samples are in both places, and queries merge them. The
//! blocks say nothing about where the head begins: other series have samples of the same times there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::block::Block;
use crate::block::meta;
use crate::block::write::{self, Range};
use crate::db::Db;
use crate::error::TsdbError;
use crate::head::stale::Ended;

use super::out_of_order::both;

/// The threshold, and what waits.
#[derive(Debug, Default)]
pub(crate) struct StaleCompaction {
    /// The bits of a float: a share from 0 to 1, 0 for never.
    threshold: AtomicU64,
    pending: Mutex<Option<PendingEviction>>,
}

/// Series that are in blocks and wait for the readers of an older view.
#[derive(Debug)]
struct PendingEviction {
    view: u64,
    series: Vec<Ended>,
}

impl Db {
    /// Sets the share of stale series among those of the head, 0 to 1, from which they are written to blocks early; 0
    /// leaves them until their time. The next round of maintenance follows it.
    pub fn set_stale_series_compaction_threshold(&self, share: f64) {
        let bits = share.to_bits();
        self.stale.threshold.store(bits, Ordering::Relaxed);
    }

    /// Whether series that are in blocks are still in memory because of a query.
    pub(crate) fn has_pending_eviction(&self) -> bool {
        self.stale.pending.lock().is_some()
    }

    /// Moves stale series from the head to blocks when they are many. Not while the next block of all series is about
    /// to be written: that frees them too.
    pub(crate) fn compact_stale_series(&self, head_blocks: &mut usize) -> Result<(), TsdbError> {
        self.try_evict()?;
        let threshold = f64::from_bits(self.stale.threshold.load(Ordering::Relaxed));
        // What waits for a truncation is in blocks already.
        let waits = self.pending.lock().is_some() || self.has_pending_eviction();
        let never = threshold.is_nan() || threshold <= 0.0;
        if never || waits || self.is_head_soon_full() {
            return Ok(());
        }
        let (stale, all) = self.head.stale_series();
        if stale.is_empty() || (stale.len() as f64) < threshold * all as f64 {
            return Ok(());
        }
        self.counters.stale_compactions.inc();
        let written = self
            .write_stale_series(&stale)
            .inspect_err(|_| self.counters.stale_compactions_failed.inc())?;
        tracing::info!(
            series = stale.len(),
            of = all,
            blocks = written,
            "wrote stale series to blocks"
        );
        *head_blocks += written;
        self.try_evict()
    }

    /// Whether the head spans almost as much as makes it full.
    fn is_head_soon_full(&self) -> bool {
        let (mint, maxt) = (self.head.min_time(), self.head.max_time());
        let range = self.options.block_range_ms();
        // Ten minutes of two hours.
        let soon = range / 12;
        mint <= maxt
            && maxt.saturating_sub(mint).saturating_add(soon) > (range / 2).saturating_mul(3)
    }

    /// Writes the blocks and makes them visible. Returns how many.
    fn write_stale_series(&self, series: &[Ended]) -> Result<usize, TsdbError> {
        let mut written: Vec<Arc<Block>> = Vec::new();
        let bounds = series.iter().map(|s| (s.first, s.last)).reduce(both);
        for range in self.ranges_of(bounds) {
            match self.write_stale_range(series, range) {
                Ok(block) => written.extend(block),
                Err(e) => {
                    // The same samples will be written again.
                    for block in &written {
                        self.discard(&block.dir);
                    }
                    return Err(e);
                }
            }
        }
        let done = written.len();
        let before = self.view.load_full();
        let blocks = before.blocks.iter().cloned().chain(written).collect();
        let view = self.install(blocks, before.head_from);
        *self.stale.pending.lock() = Some(PendingEviction {
            view,
            series: series.to_vec(),
        });
        Ok(done)
    }

    fn write_stale_range(
        &self,
        series: &[Ended],
        (start, end): (i64, i64),
    ) -> Result<Option<Arc<Block>>, TsdbError> {
        let in_range = series.iter().filter(|s| s.first < end && s.last >= start);
        let in_range = in_range.filter_map(|s| self.head.get(u64::from(s.id)));
        self.write_block(|ulid| {
            let range = Range {
                mint: start,
                maxt: end,
                ulid,
            };
            let hints = [meta::STALE_SERIES];
            let width = self.options.block_range_ms();
            let series = in_range.collect();
            write::write_series(
                &self.dir,
                &self.head,
                series,
                &range,
                &hints,
                |s, deleted| {
                    let chunks = s.state().read().all_chunks();
                    write::cut(chunks, start, end - 1, deleted, width)
                },
            )
        })
    }

    /// Drops series that are in blocks from the head, unless an old query still reads them from there.
    fn try_evict(&self) -> Result<(), TsdbError> {
        let mut pending = self.stale.pending.lock();
        if let Some(p) = &*pending
            && !self.head.isolation.has_reader_before(p.view)
        {
            self.head
                .evict(&p.series)
                .map_err(TsdbError::io("cannot write in", &self.wal_dir()))?;
            *pending = None;
        }
        Ok(())
    }
}
