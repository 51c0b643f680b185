//! Blocks from samples that came out of order.
//!
//! After a block was cut from the head: a new segment of the out-of-order log begins, the samples so far are
//! frozen and written as one block per range, these become visible, and when no older query is open, the frozen
//! samples and the segments before go. Until then a sample is in both places, and queries merge them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::delete_block;
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
        self.head.freeze_out_of_order();
        let paths = self.write_out_of_order(&self.dir, Part::Frozen)?;
        let mut view = self.view.load().blocks.clone();
        for path in &paths {
            self.counters.compactions.inc();
            view.push(Block::open(&self.options.files, path)?);
        }
        let head_from = self.view.load().head_from;
        let view = self.install(view, head_from);
        *self.pending_out_of_order.lock() = Some(PendingOutOfOrder { view, segment });
        Ok(paths.len())
    }

    /// Writes one block per range; none of them when one fails.
    pub(crate) fn write_out_of_order(
        &self,
        dir: &Path,
        what: Part,
    ) -> Result<Vec<PathBuf>, TsdbError> {
        let series = self.head.with_out_of_order(what);
        let bounds = series.iter().map(|s| s.1);
        let Some((mint, maxt)) = bounds.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
            return Ok(Vec::new());
        };
        let width = self.options.block_range_ms();
        let mut paths = Vec::new();
        let mut start = range_start(mint, width);
        while start <= maxt {
            let end = start.saturating_add(width);
            match self.write_out_of_order_range(dir, what, &series, (start, end)) {
                Ok(path) => paths.extend(path),
                Err(e) => {
                    for path in &paths {
                        // The same samples will be written again.
                        delete_block(&*self.options.files, path)?;
                    }
                    return Err(e);
                }
            }
            start = end;
        }
        Ok(paths)
    }

    fn write_out_of_order_range(
        &self,
        dir: &Path,
        what: Part,
        series: &[(Arc<MemSeries>, (i64, i64))],
        (start, end): (i64, i64),
    ) -> Result<Option<PathBuf>, TsdbError> {
        let in_range = series
            .iter()
            .filter(|(_, (first, last))| *first < end && *last >= start)
            .map(|(s, _)| Arc::clone(s));
        let range = Range {
            mint: start,
            maxt: end,
            ulid: &self.options.new_ulid(),
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

    /// Drops frozen samples and their log, unless an old query still reads them from the head.
    fn try_drop_out_of_order(&self) -> Result<(), TsdbError> {
        let Some(pending) = *self.pending_out_of_order.lock() else {
            return Ok(());
        };
        if self.head.isolation.has_reader_before(pending.view) {
            return Ok(());
        }
        self.head.drop_frozen();
        *self.pending_out_of_order.lock() = None;
        let (dir, files) = (self.wbl_dir(), &*self.options.files);
        let io = || TsdbError::io("cannot truncate", &dir);
        for n in segments::list(files, &dir).map_err(io())? {
            if n < pending.segment {
                files.remove_file(&segments::path(&dir, n)).map_err(io())?;
            }
        }
        files.sync_dir(&dir).map_err(io())
    }
}
