//! Blocks: immutable directories with an index, chunk files, tombstones and `meta.json`.

pub(crate) mod chunks;
pub(crate) mod index_read;
pub(crate) mod index_write;
pub(crate) mod merge;
pub(crate) mod meta;
pub(crate) mod mmap;
mod order;
pub(crate) mod query;
mod recent;
pub(crate) mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::Matcher;
use parking_lot::RwLock;
use roaring::RoaringBitmap;

use crate::error::TsdbError;
use crate::files::{self, Files};
use crate::select;
use crate::tombstones::{self, Interval, Tombstones};
use chunks::ChunkReader;
use index_read::IndexReader;
use meta::BlockMeta;
use recent::Recent;

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
    recent: Recent,
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
            recent: Recent::default(),
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

/// All series references of a block, in order of labels.
pub(crate) fn all_series(block: &Block) -> Result<RoaringBitmap, TsdbError> {
    select::Postings::all(&block.index)
}
