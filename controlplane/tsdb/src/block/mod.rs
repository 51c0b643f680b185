//! Blocks: immutable directories with an index, chunk files, tombstones and `meta.json`.

pub(crate) mod chunks;
pub(crate) mod index_read;
pub(crate) mod index_write;
pub(crate) mod merge;
pub(crate) mod meta;
pub(crate) mod mmap;
mod order;
pub(crate) mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::storage::{Querier, SampleBuffer, Series, SeriesStream, StorageError};
use bellwether_model::{Labels, Matcher};
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use crate::chunk;
use crate::error::TsdbError;
use crate::files::{self, Files};
use crate::select;
use crate::tombstones::{self, Interval, Tombstones};
use chunks::ChunkReader;
use index_read::IndexReader;
use index_write::ChunkMeta;
use meta::BlockMeta;

pub(crate) const MAGIC: u32 = 0xBAAA_D700;
pub(crate) const VERSION_1: u8 = 1;
pub(crate) const VERSION_2: u8 = 2;

/// An open block.
#[derive(Debug)]
pub(crate) struct Block {
    files: Arc<dyn Files>,
    pub(crate) dir: PathBuf,
    meta: RwLock<BlockMeta>,
    pub(crate) index: IndexReader,
    pub(crate) chunks: ChunkReader,
    tombstones: RwLock<Arc<Tombstones>>,
    /// First and end time, for use without the lock.
    pub(crate) mint: i64,
    /// Exclusive.
    pub(crate) maxt: i64,
}

impl Block {
    /// Opens a block directory.
    ///
    /// # Errors
    /// I/O and damage that makes it unreadable.
    pub(crate) fn open(files: &Arc<dyn Files>, dir: &Path) -> Result<Arc<Self>, TsdbError> {
        let meta = BlockMeta::load(&**files, dir)?;
        Ok(Arc::new(Self {
            files: Arc::clone(files),
            dir: dir.to_path_buf(),
            mint: meta.min_time,
            maxt: meta.max_time,
            index: IndexReader::open(&**files, &dir.join("index"))?,
            chunks: ChunkReader::open(&**files, &dir.join("chunks"))?,
            tombstones: RwLock::new(Arc::new(Tombstones::load(&**files, dir)?)),
            meta: RwLock::new(meta),
        }))
    }

    /// The description.
    pub(crate) fn meta(&self) -> BlockMeta {
        self.meta.read().clone()
    }

    /// The identifier.
    pub(crate) fn ulid(&self) -> String {
        self.meta.read().ulid.clone()
    }

    /// Bytes on the disk.
    pub(crate) fn size(&self) -> u64 {
        self.index.size() + self.chunks.size() + self.tombstones().encode().len() as u64
    }

    /// The deleted ranges.
    pub(crate) fn tombstones(&self) -> Arc<Tombstones> {
        Arc::clone(&self.tombstones.read())
    }

    /// Notes in `meta.json` that a compaction of this block failed.
    pub(crate) fn mark_failed(&self) {
        let mut meta = self.meta.write();
        meta.compaction.failed = true;
        if let Err(e) = meta.store(&*self.files, &self.dir) {
            tracing::warn!(error = %e, "cannot mark a block whose compaction failed");
        }
    }

    /// Marks samples of matching series as deleted and writes the marks to the disk.
    pub(crate) fn delete(
        &self,
        mint: i64,
        maxt: i64,
        matchers: &[Matcher],
    ) -> Result<(), TsdbError> {
        let mut stones = Tombstones::clone(&self.tombstones());
        let mut chunks = Vec::new();
        for reference in select::select(&self.index, matchers)? {
            self.index.series(reference, &mut chunks)?;
            let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else {
                continue;
            };
            if first.mint <= maxt && last.maxt >= mint {
                let range = Interval {
                    mint: mint.max(first.mint),
                    maxt: maxt.min(last.maxt),
                };
                stones.add(u64::from(reference), range);
            }
        }
        files::write_atomic(&*self.files, &self.dir, tombstones::FILE, &stones.encode())
            .map_err(TsdbError::io("cannot write in", &self.dir))?;
        let mut meta = self.meta.write();
        meta.stats.num_tombstones = stones.len() as u64;
        meta.store(&*self.files, &self.dir)?;
        *self.tombstones.write() = Arc::new(stones);
        Ok(())
    }
}

/// A read of a block between two times.
pub(crate) struct BlockQuerier {
    pub(crate) block: Arc<Block>,
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
}

impl BlockQuerier {
    /// Calls `each` with the labels of the matching series that have chunks in range, in order of labels.
    fn each(
        &self,
        matchers: &[Matcher],
        mut each: impl FnMut(&Labels),
    ) -> Result<(), StorageError> {
        for series in self.found(matchers)? {
            each(&series?.labels);
        }
        Ok(())
    }

    /// The matching series that have chunks in range, in order of labels.
    pub(crate) fn found(
        &self,
        matchers: &[Matcher],
    ) -> Result<impl Iterator<Item = Result<BlockSeries, StorageError>> + use<'_>, StorageError>
    {
        let deleted = self.block.tombstones();
        let mut entries = self.block.index.entries();
        let mut chunks = Vec::new();
        let mut one = move |reference| -> Result<Option<BlockSeries>, StorageError> {
            let labels = entries.series(reference, &mut chunks)?;
            let deleted: Box<[Interval]> = deleted.of(u64::from(reference)).into();
            chunks.retain(|c| {
                c.maxt >= self.mint
                    && c.mint <= self.maxt
                    && !tombstones::covers_all(&deleted, c.mint, c.maxt)
            });
            Ok((!chunks.is_empty()).then(|| BlockSeries {
                labels,
                chunks: chunks.as_slice().into(),
                deleted,
                block: Arc::clone(&self.block),
                mint: self.mint,
                maxt: self.maxt,
            }))
        };
        // References rise with the labels: the index is sorted by them.
        let references = select::select(&self.block.index, matchers)?;
        Ok(references
            .into_iter()
            .filter_map(move |reference| one(reference).transpose()))
    }
}

impl Querier for BlockQuerier {
    fn select(
        &self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        self.stream(sorted, matchers)?.collect()
    }

    fn stream<'a>(
        &'a self,
        _sorted: bool,
        matchers: &[Matcher],
    ) -> Result<SeriesStream<'a>, StorageError> {
        let found = self.found(matchers)?;
        Ok(Box::new(
            found.map(|s| s.map(|s| -> Arc<dyn Series> { Arc::new(s) })),
        ))
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        if matchers.is_empty() {
            return Ok(self.block.index.label_names());
        }
        let mut names = BTreeSet::new();
        self.each(matchers, |labels| {
            for l in labels {
                if !names.contains(l.name) {
                    names.insert(l.name.to_owned());
                }
            }
        })?;
        Ok(names.into_iter().collect())
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        if matchers.is_empty() {
            return Ok(self.block.index.label_values(name)?);
        }
        // As in Prometheus the block's index decides, whether or not a series has samples in range.
        let series = select::select(&self.block.index, matchers)?;
        Ok(self.block.index.label_values_among(name, &series)?)
    }
}

/// A series of a block within a query.
pub(crate) struct BlockSeries {
    pub(crate) labels: Labels,
    pub(crate) chunks: Box<[ChunkMeta]>,
    pub(crate) deleted: Box<[Interval]>,
    pub(crate) block: Arc<Block>,
    mint: i64,
    maxt: i64,
}

impl Series for BlockSeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        let from = out.len();
        let (mint, maxt) = (mint.max(self.mint), maxt.min(self.maxt));
        let mut overlap = false;
        for c in &self.chunks {
            if c.maxt < mint || c.mint > maxt {
                continue;
            }
            let at = out.len();
            let (encoding, data) = self.block.chunks.get(c.reference)?;
            chunk::read_into(encoding, data, usize::MAX, mint, maxt, out).map_err(|e| {
                StorageError::Corrupt {
                    place: format!("{}, chunk {:#x}", self.block.dir.display(), c.reference),
                    reason: e.to_string(),
                }
            })?;
            overlap |= at > from && at < out.len() && out.timestamps[at - 1] >= out.timestamps[at];
        }
        if overlap {
            crate::merge::sort_and_dedup(out, from);
        }
        tombstones::mask(out, from, &self.deleted);
        Ok(())
    }
}

/// All series references of a block, in order of labels.
pub(crate) fn all_series(block: &Block) -> Result<RoaringBitmap, TsdbError> {
    select::Postings::all(&block.index)
}
