//! Blocks from samples that came out of order.
//!
//! After a block was cut from the head: a new segment of the out-of-order log begins, the samples so far are
//! frozen and written as one block per range, these become visible, and when no older query is open, the frozen
//! samples and the segments before go. Until then a sample is in both places, and queries merge them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::block::Block;
use crate::block::meta;
use crate::block::write::{self, Range};
use crate::db::Db;
use crate::error::TsdbError;
use crate::head::out_of_order::Part;
use crate::head::series::{MemSeries, range_start};
use crate::wal::segments;
use crate::wal::writer::WalWriter;

/// Frozen samples that are in blocks and wait for the readers of an older view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingOutOfOrder {
    view: u64,
    /// The first segment that has samples which are not in the blocks.
    segment: u64,
}

/// Bounds around both.
pub(super) fn both(a: (i64, i64), b: (i64, i64)) -> (i64, i64) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// A series and the first and last time of its out-of-order samples.
type InHead = (MemSeries, (i64, i64));

impl Db {
    /// Moves out-of-order samples from the head to blocks, when a block was cut from the head (`head_blocks` is
    /// not 0) or an earlier attempt failed.
    pub(crate) fn cut_out_of_order_blocks(&self, head_blocks: &mut usize) -> Result<(), TsdbError> {
        self.try_drop_out_of_order()?;
        let is_due = *head_blocks > 0 || self.head.has_frozen();
        if !is_due
            || self.pending_out_of_order.lock().is_some()
            || !self.head.has_out_of_order(i64::MIN, i64::MAX)
        {
            return Ok(());
        }
        self.counters.compactions_triggered.inc();
        let written = self
            .write_out_of_order_blocks()
            .inspect_err(|_| self.counters.compactions_failed.inc())?;
        *head_blocks += written;
        self.try_drop_out_of_order()
    }

    fn write_out_of_order_blocks(&self) -> Result<usize, TsdbError> {
        let segment = {
            // Between commits: what was logged before is in the head.
            let _no_commits = self.head.wal.lock();
            let mut wbl = self.head.wbl.lock();
            let cut = wbl.as_mut().map(WalWriter::cut).transpose();
            cut.map_err(TsdbError::io("cannot write in", &self.wbl_dir()))?
        };
        let Some(segment) = segment else {
            return Ok(0);
        };
        self.sync_log()?;
        self.head.freeze_out_of_order();
        let series = self.head.with_out_of_order(Part::Frozen);
        let mut written: Vec<Arc<Block>> = Vec::new();
        for range in self.out_of_order_ranges(&series) {
            let block = self.write_block(|ulid| {
                self.write_out_of_order_range(&self.dir, Part::Frozen, &series, range, ulid)
            });
            match block {
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
        self.counters.compactions.add(done as u64);
        let before = self.view.load_full();
        let blocks = before.blocks.iter().cloned().chain(written).collect();
        let view = self.install(blocks, before.head_from);
        *self.pending_out_of_order.lock() = Some(PendingOutOfOrder { view, segment });
        Ok(done)
    }

    /// For a snapshot: writes blocks of all out-of-order samples, which stay in the head.
    pub(crate) fn write_out_of_order(&self, target: &Path) -> Result<(), TsdbError> {
        let series = self.head.with_out_of_order(Part::All);
        for range in self.out_of_order_ranges(&series) {
            let ulid = self.options.new_ulid();
            self.write_out_of_order_range(target, Part::All, &series, range, &ulid)?;
        }
        Ok(())
    }

    /// The block ranges that samples of these series are in, as first and end time.
    fn out_of_order_ranges(&self, series: &[InHead]) -> impl Iterator<Item = (i64, i64)> + use<> {
        self.ranges_of(series.iter().map(|s| s.1).reduce(both))
    }

    /// The block ranges that some bounds reach over, as first and end time.
    pub(super) fn ranges_of(
        &self,
        bounds: Option<(i64, i64)>,
    ) -> impl Iterator<Item = (i64, i64)> + use<> {
        let width = self.options.block_range_ms();
        bounds.into_iter().flat_map(move |(first, last)| {
            let ranges = range_start(first, width)..=last;
            ranges
                .step_by(usize::try_from(width).unwrap_or(usize::MAX))
                .map(move |start| (start, start.saturating_add(width)))
        })
    }

    fn write_out_of_order_range(
        &self,
        dir: &Path,
        what: Part,
        series: &[InHead],
        (start, end): (i64, i64),
        ulid: &str,
    ) -> Result<Option<PathBuf>, TsdbError> {
        let in_range = series
            .iter()
            .filter(|(_, (first, last))| *first < end && *last >= start)
            .map(|(s, _)| s.clone());
        let range = Range {
            mint: start,
            maxt: end,
            ulid,
        };
        let hints = [meta::OUT_OF_ORDER];
        write::write_series(
            dir,
            &self.head,
            in_range.collect(),
            &range,
            &hints,
            |s, deleted| {
                let times = (start, end - 1);
                self.head.out_of_order_chunks(s, what, times, deleted)
            },
        )
    }

    /// Drops frozen samples and their log, unless an old query still reads them from the head. It is pending until
    /// the log is gone for good: a start would read these samples from it, without marks that only their blocks have.
    pub(crate) fn try_drop_out_of_order(&self) -> Result<(), TsdbError> {
        let Some(pending) = *self.pending_out_of_order.lock() else {
            return Ok(());
        };
        if self.head.isolation.has_reader_before(pending.view) {
            return Ok(());
        }
        self.head.drop_frozen();
        let (dir, files) = (self.wbl_dir(), &*self.options.files);
        let io = || TsdbError::io("cannot truncate", &dir);
        for n in segments::list(files, &dir).map_err(io())? {
            if n < pending.segment {
                files.remove_file(&segments::path(&dir, n)).map_err(io())?;
            }
        }
        files.sync_dir(&dir).map_err(io())?;
        *self.pending_out_of_order.lock() = None;
        Ok(())
    }
}
