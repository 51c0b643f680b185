//! The database's public door.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bellwether_model::storage::{Appendable, Appender, Querier, Queryable, StorageError};
use bellwether_model::{Exemplar, Labels, Matcher, Metadata};
use parking_lot::Mutex;

use crate::block::Block;
use crate::block::meta::BlockMeta;
use crate::block::query::block_querier;
use crate::chunk::scratch;
use crate::error::TsdbError;
use crate::files::{self, Files, HeldLock};
use crate::head::appender::HeadAppender;
use crate::head::chunk_files::ChunkFiles;
use crate::head::query::HeadQuerier;
use crate::head::replay::Replay;
use crate::head::{Head, HeadOptions};
use crate::log_tail::LogTail;
use crate::maintenance::horizon;
use crate::maintenance::out_of_order::PendingOutOfOrder;
use crate::maintenance::stale_series::StaleCompaction;
use crate::maintenance::{self, PendingTruncation};
use crate::merge::MergeQuerier;
use crate::options::{DbOptions, Retention, millis};
use crate::stats::{Cardinality, Counters, DbStats, Ingested};
use crate::tombstones::Interval;
use crate::wal::checkpoint;
use crate::wal::record::{self, WalTombstone};
use crate::wal::writer::WalWriter;

/// Exemplars of one series.
#[derive(Clone, Debug, PartialEq)]
pub struct SeriesExemplars {
    /// The series.
    pub labels: Labels,
    /// Its exemplars by rising time.
    pub exemplars: Vec<Exemplar>,
}

/// What one call of [`Db::run_maintenance`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaintenanceReport {
    /// Blocks written from the head.
    pub head_blocks: usize,
    /// Compactions of blocks.
    pub compactions: usize,
    /// Blocks deleted by retention.
    pub deleted_blocks: usize,
    /// Whether memory and log still have samples of a block because a query from before the block is open. Calling
    /// again soon frees them.
    pub truncation_waits: bool,
}

/// What queries read: blocks by rising first time, and the head from a time on.
pub(crate) struct View {
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) head_from: i64,
}

/// A database in a directory.
pub struct Db {
    pub(crate) dir: PathBuf,
    pub(crate) options: DbOptions,
    pub(crate) counters: Arc<Counters>,
    pub(crate) head: Arc<Head>,
    pub(crate) view: ArcSwap<View>,
    pub(crate) pending: Mutex<Option<PendingTruncation>>,
    pub(crate) pending_out_of_order: Mutex<Option<PendingOutOfOrder>>,
    pub(crate) stale: StaleCompaction,
    /// Blocks that no view has and whose deletion failed.
    pub(crate) doomed: Mutex<Vec<PathBuf>>,
    /// In force; the options hold what it began with.
    retention: Mutex<Retention>,
    /// Taken by whatever writes or deletes blocks.
    maintenance: Mutex<()>,
    /// Moves full blocks of open chunks to a file; one database of the process has it.
    scratch: Mutex<Option<scratch::Worker>>,
    /// `None` after [`Db::close`].
    lock: Mutex<Option<Box<dyn HeldLock>>>,
    replay_ms: u64,
}

impl Db {
    /// Opens (or creates) the directory, locks it, replays the log.
    ///
    /// # Errors
    /// [`TsdbError::Locked`], [`TsdbError::Option`], I/O. Corrupt parts are repaired or set aside with a log line.
    pub fn open(dir: &Path, options: DbOptions) -> Result<Arc<Self>, TsdbError> {
        options.check()?;
        let wal_dir = dir.join("wal");
        let files = Arc::clone(&options.files);
        files::create_dir(&*files, &wal_dir).map_err(TsdbError::io("cannot create", &wal_dir))?;
        let lock = files.lock(dir)?;
        let scratch = start_scratch(&*files, dir);
        let counters = Arc::new(Counters::default());
        let head = Head::new(
            HeadOptions {
                block_range: options.block_range_ms(),
                exemplars_max: options.exemplars_max,
                series_limit: options.series_limit,
                spill_bytes: options.head_chunk_file_bytes.max(1),
                files: Arc::clone(&files),
                sync_worker: options.wal_sync_worker,
            },
            Arc::clone(&counters),
        );
        let (blocks, unreadable) = maintenance::load_blocks(&files, dir)?;
        counters.blocks_unreadable.add(unreadable);
        let horizon = horizon::read(&*files, dir)?;
        let head_from = maintenance::end_of_in_order(&blocks).max(horizon);
        head.set_min_valid(head_from);
        let begin = Instant::now();
        let (chunk_files, chunks) = ChunkFiles::load(&*files, &dir.join("chunks_head"))?;
        counters.chunk_files_damaged.add(chunks.damaged);
        *head.chunk_files.lock() = chunk_files;
        checkpoint::remove_unfinished(&*files, &wal_dir)
            .map_err(TsdbError::io("cannot clean up", &wal_dir))?;
        let wbl_dir = dir.join("wbl");
        Replay::new(&head, chunks).run(&wal_dir, &wbl_dir)?;
        let replay_ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let writer = WalWriter::open(&wal_dir, options.writer())
            .map_err(TsdbError::io("cannot write in", &wal_dir))?;
        head.log_end.set(writer.position());
        *head.wal.lock() = Some(writer);
        (head.log_sync.start()).map_err(TsdbError::io("cannot start a thread for", &wal_dir))?;
        // A log that is there must go on to be cut and deleted, also without a window.
        let has_wbl = files.exists(&wbl_dir);
        if has_wbl.map_err(TsdbError::io("cannot read", &wbl_dir))? {
            open_out_of_order_log(&head, &wbl_dir, &options)?;
        }
        let retention = options.first_retention();
        let db = Arc::new(Self {
            dir: dir.to_path_buf(),
            options,
            counters,
            head: Arc::new(head),
            view: ArcSwap::from_pointee(View { blocks, head_from }),
            pending: Mutex::new(None),
            doomed: Mutex::default(),
            retention: Mutex::new(retention),
            maintenance: Mutex::new(()),
            pending_out_of_order: Mutex::new(None),
            scratch: Mutex::new(scratch),
            stale: StaleCompaction::default(),
            lock: Mutex::new(Some(lock)),
            replay_ms,
        });
        db.set_out_of_order_window(db.options.out_of_order_window)?;
        Ok(db)
    }

    /// Sets how far behind the newest sample of the head others are taken that come out of order; zero takes
    /// none. May change at any time; samples that were taken stay.
    ///
    /// # Errors
    /// When the out-of-order log cannot be created; then the window stays as it was.
    pub fn set_out_of_order_window(&self, window: Duration) -> Result<(), TsdbError> {
        if !window.is_zero() {
            open_out_of_order_log(&self.head, &self.wbl_dir(), &self.options)?;
        }
        self.head
            .out_of_order_window
            .store(millis(window), Ordering::Relaxed);
        Ok(())
    }

    /// Sets the retention; the next round of maintenance follows it. The largest range of a block stays that of the
    /// start.
    pub fn set_retention(&self, retention: Retention) {
        *self.retention.lock() = retention;
    }

    /// The retention in force.
    #[must_use]
    pub fn retention(&self) -> Retention {
        *self.retention.lock()
    }

    /// The log, to be read while it is written.
    #[must_use]
    pub fn log_tail(&self) -> LogTail {
        let files = Arc::clone(&self.options.files);
        LogTail::new(self.wal_dir(), files, Arc::clone(&self.head.log_end))
    }

    /// Whether somebody follows the log: then out-of-order samples of later commits are in it too.
    pub fn set_tailed(&self, tailed: bool) {
        self.head.is_tailed.store(tailed, Ordering::Relaxed);
    }

    /// What was appended since the directory was opened, cheaply.
    #[must_use]
    pub fn ingested(&self) -> Ingested {
        let c = &self.counters;
        Ingested {
            samples: c.floats.get() + c.out_of_order_appended.get(),
            histograms: c.histograms.get(),
            exemplars: c.exemplars_appended.get(),
            newest_ms: Some(self.head.max_time()).filter(|t| *t > i64::MIN),
        }
    }

    /// The data directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The options it was opened with.
    #[must_use]
    pub fn options(&self) -> &DbOptions {
        &self.options
    }

    /// Descriptions of the blocks, by rising first time.
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockMeta> {
        self.view.load().blocks.iter().map(|b| b.meta()).collect()
    }

    pub(crate) fn wal_dir(&self) -> PathBuf {
        self.dir.join("wal")
    }

    pub(crate) fn wbl_dir(&self) -> PathBuf {
        self.dir.join("wbl")
    }

    /// Cuts blocks from the head, truncates the log, compacts, applies retention. Call it about once a
    /// minute from one thread; it never blocks appends or queries for long.
    ///
    /// # Errors
    /// The first failure; the next call tries again.
    pub fn run_maintenance(&self) -> Result<MaintenanceReport, TsdbError> {
        let _one_at_a_time = self.maintenance.lock();
        if self.lock.lock().is_none() {
            return Err(TsdbError::Closed);
        }
        self.maintain()
    }

    /// Whether [`Db::move_closed_chunks`] is worth its time.
    #[must_use]
    pub fn has_many_closed_chunks(&self) -> bool {
        self.head.has_many_closed()
    }

    /// Moves full chunks from memory to a file, as maintenance does too. Does nothing while maintenance runs.
    ///
    /// # Errors
    /// The file cannot be written; the chunks stay in memory, and maintenance tries again.
    pub fn move_closed_chunks(&self) -> Result<(), TsdbError> {
        match self.maintenance.try_lock() {
            Some(_one_at_a_time) if self.lock.lock().is_some() => {
                let dir = self.dir.join("chunks_head");
                let result = self.head.spill_chunks();
                result.map_err(TsdbError::io("cannot move chunks to", &dir))
            }
            _ => Ok(()),
        }
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> DbStats {
        let c = &self.counters;
        let mut stats = DbStats {
            series_created: c.series_created.get(),
            series_removed: c.series_removed.get(),
            series_not_found: c.series_not_found.get(),
            samples_appended_float: c.floats.get(),
            samples_appended_histogram: c.histograms.get(),
            out_of_order_samples: c.out_of_order.get(),
            out_of_bound_samples: c.out_of_bounds.get(),
            out_of_order_samples_appended: c.out_of_order_appended.get(),
            too_old_samples: c.too_old.get(),
            wbl_size_bytes: files::size(&*self.options.files, &self.wbl_dir()),
            duplicate_samples: c.duplicates.get(),
            chunks_created: c.chunks_created.get(),
            chunks_removed: c.chunks_removed.get(),
            head_truncations: c.head_truncations.get(),
            head_truncations_failed: c.head_truncations_failed.get(),
            exemplars_appended: c.exemplars_appended.get(),
            exemplars_out_of_order: c.exemplars_out_of_order.get(),
            wal_writes_failed: c.wal_writes_failed.get(),
            wal_bytes_written: c.wal_bytes.get(),
            wal_truncations: c.wal_truncations.get(),
            wal_corruptions: c.wal_corruptions.get(),
            wal_unknown_refs: c.wal_unknown_refs.get(),
            checkpoint_creations: c.checkpoints.get(),
            checkpoint_creations_failed: c.checkpoints_failed.get(),
            replay_duration_ms: self.replay_ms,
            wal_size_bytes: files::size(&*self.options.files, &self.wal_dir()),
            head_chunk_file_bytes: files::size(&*self.options.files, &self.dir.join("chunks_head")),
            compactions: c.compactions.get(),
            compactions_failed: c.compactions_failed.get(),
            compactions_triggered: c.compactions_triggered.get(),
            stale_series_compactions: c.stale_compactions.get(),
            stale_series_compactions_failed: c.stale_compactions_failed.get(),
            time_retentions: c.time_retentions.get(),
            size_retentions: c.size_retentions.get(),
            blocks_unreadable: c.blocks_unreadable.get(),
            mmap_chunk_corruptions: c.chunk_files_damaged.get(),
            ..DbStats::default()
        };
        let retention = self.retention();
        stats.retention_limit_seconds = retention.time.as_secs_f64();
        stats.retention_limit_bytes = retention.size;
        stats.retention_limit_percentage = retention.percentage;
        self.head.add_stats(&mut stats);
        let view = self.view.load();
        stats.blocks_loaded = view.blocks.len() as u64;
        stats.blocks_bytes = view.blocks.iter().map(|b| b.size()).sum();
        let oldest_block = view.blocks.iter().map(|b| b.mint).min();
        stats.lowest_timestamp = oldest_block
            .unwrap_or(i64::MAX)
            .min(stats.head_min_time)
            .min(self.head.out_of_order_min_time());
        stats
    }

    /// Exemplars between `mint` and `maxt` (inclusive) of the series that match any of the selectors,
    /// sorted by labels.
    ///
    /// # Errors
    /// None today; kept for storage that reads.
    pub fn exemplars(
        &self,
        mint: i64,
        maxt: i64,
        selectors: &[Vec<Matcher>],
    ) -> Result<Vec<SeriesExemplars>, StorageError> {
        let mut wanted = roaring::RoaringBitmap::new();
        for selector in selectors {
            wanted.extend(self.head.matching(selector)?.iter().map(|s| s.id));
        }
        let mut found: std::collections::BTreeMap<u32, Vec<Exemplar>> = Default::default();
        for e in self.head.exemplars.lock().iter() {
            if e.t >= mint && e.t <= maxt && wanted.contains(e.series) {
                let list = found.entry(e.series).or_default();
                list.push(Exemplar::clone(&e.exemplar));
            }
        }
        let mut out: Vec<SeriesExemplars> = found
            .into_iter()
            .filter_map(|(id, exemplars)| {
                let series = self.head.get(u64::from(id))?;
                Some(SeriesExemplars {
                    labels: self.head.labels(&series),
                    exemplars,
                })
            })
            .collect();
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(out)
    }

    /// Metadata that was appended, per series.
    #[must_use]
    pub fn series_metadata(&self) -> Vec<(Labels, Metadata)> {
        self.head.all_metadata()
    }

    /// The lists of `status/tsdb`, `limit` entries each.
    #[must_use]
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        self.head.cardinality(limit)
    }

    /// Marks samples of matching series in `mint..=maxt` as deleted.
    ///
    /// # Errors
    /// When the marks cannot be written.
    pub fn delete(&self, mint: i64, maxt: i64, matchers: &[Matcher]) -> Result<(), TsdbError> {
        let _one_at_a_time = self.maintenance.lock();
        // A block that comes back at the next start would bring the samples back, and so would a log of samples that
        // are only in blocks.
        self.discard_rest()?;
        self.try_drop_out_of_order()?;
        self.delete_in_blocks(mint, maxt, matchers)?;
        self.delete_in_head(mint, maxt, matchers)
    }

    fn delete_in_head(&self, mint: i64, maxt: i64, matchers: &[Matcher]) -> Result<(), TsdbError> {
        let mut stones = Vec::new();
        for series in self.head.matching(matchers)? {
            let Some((first, last)) = series.state().read().bounds() else {
                continue;
            };
            if first <= maxt && last >= mint {
                // Only samples that exist now: later ones are not deleted.
                stones.push(WalTombstone {
                    series: u64::from(series.id),
                    mint: mint.max(first),
                    maxt: maxt.min(last),
                });
            }
        }
        if stones.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        record::tombstones(&mut bytes, &stones);
        let mut wal = self.head.wal.lock();
        let writer = wal.as_mut().ok_or(TsdbError::Closed)?;
        let logged = writer.log([bytes.as_slice()].into_iter());
        let sync_due = writer.sync_due();
        if logged.is_ok() {
            let mut deleted = self.head.tombstones.write();
            for s in stones {
                let range = Interval {
                    mint: s.mint,
                    maxt: s.maxt,
                };
                deleted.add(s.series, range);
            }
        }
        drop(wal);
        self.head.log_sync.after_commit(sync_due);
        logged
            .map(|_| ())
            .map_err(TsdbError::io("cannot write in", &self.wal_dir()))
    }

    /// Rewrites blocks that have deleted samples.
    ///
    /// # Errors
    /// I/O.
    pub fn clean_tombstones(&self) -> Result<(), TsdbError> {
        let _one_at_a_time = self.maintenance.lock();
        self.rewrite_deleted()
    }

    /// Hard-links all blocks into `dir` (which must not exist or be empty) and, with `with_head`, writes the head as a block there.
    ///
    /// # Errors
    /// I/O.
    pub fn snapshot(&self, dir: &Path, with_head: bool) -> Result<(), TsdbError> {
        let _one_at_a_time = self.maintenance.lock();
        self.write_snapshot(dir, with_head)
    }

    /// Clean shutdown: flushes and syncs the log, releases the lock. Later appends fail. Safe twice.
    ///
    /// # Errors
    /// When the log cannot be synced.
    pub fn close(&self) -> Result<(), TsdbError> {
        let _one_at_a_time = self.maintenance.lock();
        let close = |writer: Option<WalWriter>, dir: &Path| match writer {
            Some(mut writer) => writer
                .close()
                .map_err(TsdbError::io("cannot write in", dir)),
            None => Ok(()),
        };
        let _no_sync = self.head.log_sync.pause();
        let mut wal = self.head.wal.lock();
        let result = close(wal.take(), &self.wal_dir());
        let late = close(self.head.wbl.lock().take(), &self.wbl_dir());
        self.scratch.lock().take();
        self.lock.lock().take();
        result.and(late)
    }
}

/// Starts moving full blocks of open chunks to a file. It only saves memory: without it all goes on.
fn start_scratch(files: &dyn Files, dir: &Path) -> Option<scratch::Worker> {
    let file = files.scratch(dir).and_then(|file| match file {
        Some(file) => scratch::Worker::start(file),
        None => Ok(None),
    });
    file.unwrap_or_else(|e| {
        tracing::warn!(dir = %dir.display(), error = %e, "no scratch file, open chunks stay in memory");
        None
    })
}

/// Begins the out-of-order log of a head, once.
fn open_out_of_order_log(head: &Head, dir: &Path, options: &DbOptions) -> Result<(), TsdbError> {
    let wal = head.wal.lock();
    let mut wbl = head.wbl.lock();
    if wal.is_none() || wbl.is_some() {
        return Ok(());
    }
    files::create_dir(&*options.files, dir).map_err(TsdbError::io("cannot create", dir))?;
    let writer = WalWriter::open(dir, options.writer());
    *wbl = Some(writer.map_err(TsdbError::io("cannot write in", dir))?);
    Ok(())
}

impl Queryable for Db {
    fn querier(&self, mint: i64, maxt: i64) -> Result<Box<dyn Querier>, StorageError> {
        // First the reader, then the view: a view that it sees is never truncated away before it ends.
        let reader = Arc::new(self.head.isolation.reader());
        let view = self.view.load_full();
        let mut parts: Vec<Box<dyn Querier>> = Vec::new();
        let blocks = view.blocks.iter();
        let blocks = blocks.filter(|block| block.mint <= maxt && block.maxt > mint);
        parts.extend(block_querier(blocks, mint, maxt));
        if maxt >= view.head_from || self.head.has_out_of_order(mint, maxt) {
            parts.push(Box::new(HeadQuerier {
                head: Arc::clone(&self.head),
                mint,
                in_order_from: view.head_from,
                maxt,
                reader,
            }));
        }
        Ok(Box::new(MergeQuerier { parts }))
    }
}

impl Appendable for Db {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(HeadAppender::new(&self.head))
    }
}
