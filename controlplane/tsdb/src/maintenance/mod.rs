//! What happens besides appends and queries: blocks from the head, truncation, compaction, retention,
//! clean-up at the start, snapshots.

mod adopt;
pub(crate) mod horizon;
pub(crate) mod out_of_order;
pub(crate) mod stale_series;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::Matcher;

use crate::block::Block;
use crate::block::meta::BlockMeta;
use crate::block::write::{self, TMP_CREATION, TMP_DELETION};
use crate::block::{merge, meta};
use crate::compact;
use crate::db::{Db, MaintenanceReport, View};
use crate::error::TsdbError;
use crate::files::{self, Files};
use crate::options::{Retention, WalSync, millis};
use crate::tombstones;
use crate::wal::segments;
use crate::wal::{checkpoint, writer::WalWriter};

/// A truncation of the head that waits for the readers of an older view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingTruncation {
    mint: i64,
    view: u64,
}

/// Opens all blocks of a directory, by rising first time. Remains of interrupted work are removed; blocks
/// that do not open are left alone, and their number is returned.
pub(crate) fn load_blocks(
    files: &Arc<dyn Files>,
    dir: &Path,
) -> Result<(Vec<Arc<Block>>, u64), TsdbError> {
    let mut blocks = Vec::new();
    let mut unreadable = 0;
    let entries = files.list(dir).map_err(TsdbError::io("cannot list", dir))?;
    for entry in entries {
        let path = dir.join(&entry.name);
        let name = entry.name.to_str().unwrap_or("");
        if name.ends_with(TMP_CREATION) || name.ends_with(TMP_DELETION) {
            tracing::info!(path = %path.display(), "removing what an interrupted run left");
            // The new name may not be on the disk yet: see [`delete_block`].
            files
                .sync_dir(dir)
                .map_err(TsdbError::io("cannot sync", dir))?;
            files
                .remove_dir_all(&path)
                .map_err(TsdbError::io("cannot remove", &path))?;
            continue;
        }
        let description = path.join(meta::FILE);
        let is_block = ulid::Ulid::from_string(name).is_ok()
            && files
                .exists(&description)
                .map_err(TsdbError::io("cannot read", &description))?;
        if !is_block {
            continue;
        }
        match Block::open(files, &path) {
            Ok(block) => blocks.push(block),
            Err(e) => {
                unreadable += 1;
                tracing::error!(error = %e, block = %path.display(), "block does not open and is left alone");
            }
        }
    }
    // A crash between putting a merged block in place and deleting its inputs.
    let parents: HashSet<String> = blocks
        .iter()
        .flat_map(|b| b.meta().compaction.parents)
        .map(|p| p.ulid)
        .collect();
    let (superseded, mut blocks): (Vec<_>, Vec<_>) = blocks
        .into_iter()
        .partition(|b| parents.contains(&b.ulid()));
    for block in superseded {
        delete_block(&**files, &block.dir)?;
    }
    blocks.sort_by_key(|b| (b.mint, b.maxt));
    Ok((blocks, unreadable))
}

/// The end of the blocks that have all samples in order of their time, which is where the head begins. A block of
/// out-of-order samples or of series that ended says nothing about it: the head may have others of the same time.
pub(crate) fn end_of_in_order(blocks: &[Arc<Block>]) -> i64 {
    let in_order = blocks.iter().filter(|b| !b.meta().compaction.is_partial());
    in_order.map(|b| b.maxt).max().unwrap_or(i64::MIN)
}

/// Removes a block so that a crash leaves either the block or a name that the next start removes. Goes on
/// where an earlier attempt failed.
fn delete_block(files: &dyn Files, dir: &Path) -> Result<(), TsdbError> {
    let mut name = dir.as_os_str().to_owned();
    name.push(TMP_DELETION);
    let doomed = PathBuf::from(name);
    let exists = |path: &Path| {
        files
            .exists(path)
            .map_err(TsdbError::io("cannot read", path))
    };
    if exists(dir)? {
        files
            .rename(dir, &doomed)
            .map_err(TsdbError::io("cannot rename", dir))?;
    } else if !exists(&doomed)? {
        return Ok(());
    }
    // Before the content goes, so that no crash leaves a part of it under the block's name.
    if let Some(parent) = dir.parent() {
        files
            .sync_dir(parent)
            .map_err(TsdbError::io("cannot sync", parent))?;
    }
    files
        .remove_dir_all(&doomed)
        .map_err(TsdbError::io("cannot remove", &doomed))
}

impl Db {
    /// One round of maintenance; the caller holds the maintenance lock.
    pub(crate) fn maintain(&self) -> Result<MaintenanceReport, TsdbError> {
        let mut report = MaintenanceReport::default();
        if let Err(e) = self.sync_log() {
            tracing::error!(error = %e, "cannot sync the log to the disk");
        }
        if let Err(e) = self.head.spill_chunks() {
            // Nothing is lost, it only takes memory; the next round tries again.
            tracing::warn!(error = %e, "cannot move closed chunks from memory to a file");
        }
        // A part that fails must not keep the others from their work: all run, the first error is told.
        let cut = self.cut_head_blocks(&mut report.head_blocks);
        let late = self.cut_out_of_order_blocks(&mut report.head_blocks);
        let stale = self.compact_stale_series(&mut report.head_blocks);
        let adopted = self.adopt_blocks();
        let compacted = self.compact_blocks(&mut report.compactions);
        let retained = self.apply_retention();
        self.head.remove_waiting();
        let discarded = self.discard_rest();
        cut?;
        late?;
        stale?;
        adopted?;
        compacted?;
        report.deleted_blocks = retained?;
        discarded?;
        report.truncation_waits = self.pending.lock().is_some() || self.has_pending_eviction();
        Ok(report)
    }

    fn cut_head_blocks(&self, done: &mut usize) -> Result<(), TsdbError> {
        self.try_truncate()?;
        while self.pending.lock().is_none() && self.is_head_full() {
            if self.cut_head_block()? {
                *done += 1;
            }
            self.try_truncate()?;
        }
        Ok(())
    }

    /// Forces what commits wrote to the disk, when [`WalSync::Interval`] was chosen; otherwise only what could not be
    /// forced when it was due.
    ///
    /// # Errors
    /// The system's error; the next call tries again.
    pub fn sync_log(&self) -> Result<(), TsdbError> {
        let all = matches!(self.options.wal_sync, WalSync::Interval(_));
        self.head
            .log_sync
            .sync(all)
            .map_err(TsdbError::io("cannot sync the log in", &self.dir))
    }

    /// Writes a block and opens it. After a failure nothing of it may stay: marks of later deletions would
    /// not reach it, and the next start would bring it back.
    fn write_block(
        &self,
        write: impl FnOnce(&str) -> Result<Option<PathBuf>, TsdbError>,
    ) -> Result<Option<Arc<Block>>, TsdbError> {
        let ulid = self.options.new_ulid();
        let open = |path: Option<PathBuf>| {
            let path = path.map(|p| Block::open(&self.options.files, &p));
            path.transpose()
        };
        write(&ulid)
            .and_then(open)
            .inspect_err(|_| self.discard(&self.dir.join(&ulid)))
    }

    /// Deletes a block that no view has any more, now or in a later round of maintenance.
    fn discard(&self, dir: &Path) {
        if let Err(e) = delete_block(&*self.options.files, dir) {
            tracing::error!(error = %e, block = %dir.display(), "cannot delete a block yet");
            self.doomed.lock().push(dir.to_path_buf());
        }
    }

    /// Deletes the blocks whose deletion failed before.
    ///
    /// # Errors
    /// The first failure.
    pub(crate) fn discard_rest(&self) -> Result<(), TsdbError> {
        let mut doomed = self.doomed.lock();
        while let Some(dir) = doomed.last() {
            delete_block(&*self.options.files, dir)?;
            doomed.pop();
        }
        Ok(())
    }

    /// Whether the head spans more than one and a half block ranges.
    fn is_head_full(&self) -> bool {
        let (mint, maxt) = (self.head.min_time(), self.head.max_time());
        let range = self.options.block_range_ms();
        mint <= maxt && maxt.saturating_sub(mint) > (range / 2).saturating_mul(3)
    }

    /// Writes the head's oldest range as a block and lets new queries read it from there.
    fn cut_head_block(&self) -> Result<bool, TsdbError> {
        let mint = self.head.min_time();
        let maxt = crate::head::series::range_end(mint, self.options.block_range_ms());
        self.counters.compactions_triggered.inc();
        // From now on nothing is appended before `maxt`; taking the commit lock once waits for commits
        // that began before.
        self.head.set_min_valid(maxt);
        drop(self.head.wal.lock());
        let mint = mint.min(self.head.min_time());
        let written = self
            .write_block(|ulid| write::write_head(&self.dir, &self.head, mint, maxt, ulid))
            .inspect_err(|_| self.counters.compactions_failed.inc())?;
        let mut blocks = self.view.load().blocks.clone();
        let done = written.is_some();
        if done {
            self.counters.compactions.inc();
        }
        blocks.extend(written);
        let view = self.install(blocks, maxt);
        *self.pending.lock() = Some(PendingTruncation { mint: maxt, view });
        Ok(done)
    }

    /// Makes blocks and the head's beginning visible to new queries. Returns the view's number.
    fn install(&self, mut blocks: Vec<Arc<Block>>, head_from: i64) -> u64 {
        blocks.sort_by_key(|b| (b.mint, b.maxt));
        self.view.store(Arc::new(View { blocks, head_from }));
        self.head.isolation.next_view()
    }

    /// Drops from head and log what is in blocks, unless an old query still reads it from the head.
    fn try_truncate(&self) -> Result<(), TsdbError> {
        let Some(pending) = *self.pending.lock() else {
            return Ok(());
        };
        if self.head.isolation.has_reader_before(pending.view) {
            return Ok(());
        }
        self.head.truncate(pending.mint);
        *self.pending.lock() = None;
        self.truncate_log(pending.mint)
            .inspect_err(|_| self.counters.checkpoints_failed.inc())
            .map_err(TsdbError::io("cannot truncate the log in", &self.wal_dir()))
    }

    fn truncate_log(&self, mint: i64) -> io::Result<()> {
        let wal = self.wal_dir();
        // A new segment, so that the present one can go next time.
        let Some(current) = self
            .head
            .wal
            .lock()
            .as_mut()
            .map(WalWriter::cut)
            .transpose()?
        else {
            return Ok(());
        };
        self.head.log_sync.sync(false)?;
        let Some(first) = segments::list(&*self.options.files, &wal)?.first().copied() else {
            return Ok(());
        };
        // The lower two thirds hold mostly what is in blocks now; the last segments never go.
        let Some(end) = current.checked_sub(2) else {
            return Ok(());
        };
        let last = first + end.saturating_sub(first) * 2 / 3;
        if last <= first {
            return Ok(());
        }
        let options = self.options.checkpoint_writer();
        let keep = |series| self.head.keeps_series(series, last);
        // Of a range whose samples are all deleted there is no block that would keep a start from reading them.
        let in_files = self.head.chunk_files.lock().min_time();
        let late = match *self.pending_out_of_order.lock() {
            Some(_) => i64::MIN,
            None => self.head.out_of_order_min_time(),
        };
        let from = checkpoint::KeepFrom {
            mint,
            tombstones: mint.min(in_files).min(late),
        };
        checkpoint::write(&wal, last, from, keep, options)?;
        self.head.forget_removed(last);
        self.counters.checkpoints.inc();
        self.counters.wal_truncations.inc();
        Ok(())
    }

    fn compact_blocks(&self, done: &mut usize) -> Result<(), TsdbError> {
        let ranges = compact::ranges(self.options.block_range_ms(), self.options.max_block_ms());
        loop {
            let view = self.view.load_full();
            // A part of a time that the head still has: merged with older blocks, it would look as if all of that
            // time were in blocks.
            let ahead = |b: &Block| b.maxt > view.head_from && b.meta().compaction.is_partial();
            let candidates: Vec<&Arc<Block>> = view.blocks.iter().filter(|b| !ahead(b)).collect();
            let metas: Vec<BlockMeta> = candidates.iter().map(|b| b.meta()).collect();
            let plan = compact::plan(&metas, &ranges);
            if plan.is_empty() {
                return Ok(());
            }
            let inputs: Vec<Arc<Block>> = plan.iter().map(|i| Arc::clone(candidates[*i])).collect();
            self.counters.compactions_triggered.inc();
            self.replace(&inputs).inspect_err(|e| {
                self.counters.compactions_failed.inc();
                if let TsdbError::Corrupt { .. } = e {
                    // Trying again would fail again: leave these blocks out of plans, as Prometheus does.
                    for block in &inputs {
                        block.mark_failed();
                    }
                }
            })?;
            *done += 1;
        }
    }

    /// Merges blocks into one and puts it in their place.
    fn replace(&self, inputs: &[Arc<Block>]) -> Result<(), TsdbError> {
        let range = self.options.block_range_ms();
        let merged = self.write_block(|ulid| {
            merge::merge(&self.options.files, &self.dir, inputs, range, ulid)
        })?;
        let gone: HashSet<String> = inputs.iter().map(|b| b.ulid()).collect();
        let view = self.view.load_full();
        let mut blocks: Vec<_> = view
            .blocks
            .iter()
            .filter(|b| !gone.contains(&b.ulid()))
            .cloned()
            .collect();
        blocks.extend(merged);
        self.keep_horizon(&view, &blocks)?;
        self.install(blocks, view.head_from);
        self.counters.compactions.inc();
        // Open queries keep their maps.
        for block in inputs {
            self.discard(&block.dir);
        }
        Ok(())
    }

    /// Before blocks go: when those that are kept no longer say where the head begins, a file has to.
    fn keep_horizon(&self, view: &View, kept: &[Arc<Block>]) -> Result<(), TsdbError> {
        if end_of_in_order(kept) < end_of_in_order(&view.blocks) {
            horizon::write(&*self.options.files, &self.dir, view.head_from)?;
        }
        Ok(())
    }

    /// The limit in bytes. Where the disk does not say how large it is, the limit in bytes holds, as in Prometheus.
    fn size_limit(&self, retention: Retention) -> u64 {
        if retention.percentage <= 0.0 {
            return retention.size;
        }
        match self.options.files.capacity(&self.dir) {
            Ok(bytes) if bytes > 0 => (bytes as f64 * retention.percentage / 100.0) as u64,
            other => {
                let reason = other.err().map(|e| e.to_string());
                tracing::warn!(
                    dir = %self.dir.display(),
                    reason,
                    "cannot tell the size of the file system: the retention in percent does not count, that in bytes does"
                );
                retention.size
            }
        }
    }

    fn apply_retention(&self) -> Result<usize, TsdbError> {
        if self.pending_out_of_order.lock().is_some() {
            // The head and its log still have what is in the newest blocks of out-of-order samples.
            return Ok(0);
        }
        let retention = self.retention();
        let view = self.view.load_full();
        let sizes: Vec<_> = view.blocks.iter().map(|b| (b.meta(), b.size())).collect();
        let doomed = compact::doomed(
            &sizes,
            millis(retention.time),
            self.size_limit(retention),
            ["wal", "wbl", "chunks_head"]
                .iter()
                .map(|part| files::size(&*self.options.files, &self.dir.join(part)))
                .sum(),
        );
        if doomed.by_time.is_empty() && doomed.by_size.is_empty() {
            return Ok(0);
        }
        if !doomed.by_time.is_empty() {
            self.counters.time_retentions.inc();
        }
        if !doomed.by_size.is_empty() {
            self.counters.size_retentions.inc();
        }
        let (mut gone, mut kept): (Vec<_>, Vec<_>) = view.blocks.iter().cloned().partition(|b| {
            let ulid = b.ulid();
            doomed.by_time.contains(&ulid) || doomed.by_size.contains(&ulid)
        });
        let horizon = self.keep_horizon(&view, &kept);
        if horizon.is_err() {
            // On a full disk the others make room for it.
            let end = end_of_in_order(&view.blocks);
            kept.extend(gone.extract_if(.., |b| b.maxt == end));
        }
        self.install(kept, view.head_from);
        for block in &gone {
            tracing::info!(block = %block.dir.display(), "deleting a block beyond retention");
            self.discard(&block.dir);
        }
        horizon.map(|()| gone.len())
    }

    pub(crate) fn delete_in_blocks(
        &self,
        mint: i64,
        maxt: i64,
        matchers: &[Matcher],
    ) -> Result<(), TsdbError> {
        for block in &self.view.load_full().blocks {
            if block.mint <= maxt && block.maxt > mint {
                block.delete(mint, maxt, matchers)?;
            }
        }
        Ok(())
    }

    pub(crate) fn rewrite_deleted(&self) -> Result<(), TsdbError> {
        for block in &self.view.load_full().blocks {
            if !block.tombstones().is_empty() {
                self.replace(std::slice::from_ref(block))?;
            }
        }
        Ok(())
    }

    pub(crate) fn write_snapshot(&self, target: &Path, with_head: bool) -> Result<(), TsdbError> {
        if target.starts_with(self.wal_dir()) {
            return Err(TsdbError::Option {
                option: "snapshot directory",
                reason: "must not be inside the log".into(),
            });
        }
        let files = &*self.options.files;
        files::create_dir(files, target).map_err(TsdbError::io("cannot create", target))?;
        for block in &self.view.load_full().blocks {
            let to = target.join(block.ulid());
            link_block(files, &block.dir, &to)?;
        }
        if with_head && self.head.min_time() <= self.head.max_time() {
            let (mint, maxt) = (self.head.min_time(), self.head.max_time() + 1);
            write::write_head(target, &self.head, mint, maxt, &self.options.new_ulid())?;
        }
        if with_head {
            self.write_out_of_order(target)?;
        }
        files
            .sync_dir(target)
            .map_err(TsdbError::io("cannot sync", target))
    }
}

/// Hard links of a block's files.
fn link_block(files: &dyn Files, from: &Path, to: &Path) -> Result<(), TsdbError> {
    let chunks = to.join("chunks");
    files
        .create_dir_all(&chunks)
        .map_err(TsdbError::io("cannot create", &chunks))?;
    for name in [meta::FILE, "index", tombstones::FILE] {
        let source = from.join(name);
        match files.hard_link(&source, &to.join(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && name == tombstones::FILE => {}
            other => other.map_err(TsdbError::io("cannot link", &source))?,
        }
    }
    let source = from.join("chunks");
    let io = || TsdbError::io("cannot link", &source);
    for entry in files.list(&source).map_err(io())? {
        files
            .hard_link(&source.join(&entry.name), &chunks.join(&entry.name))
            .map_err(io())?;
    }
    // Entries below before the entry of the block itself, which the caller syncs.
    files
        .sync_dir(&chunks)
        .and_then(|()| files.sync_dir(to))
        .map_err(TsdbError::io("cannot sync", to))
}
