//! A data directory opened for reading only: for tools, on a copy or beside the server that owns it.
//!
//! Nothing is locked, repaired, truncated, created or deleted. What the owner changes meanwhile is met in two
//! ways. The opening starts over when a file vanishes under it, or when blocks or the beginning of the log are
//! others afterwards: samples that moved from the log to a block would be missed. A log whose end is being
//! written is read up to its last whole record.

mod files;

use std::cmp::Reverse;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::storage::{Querier, Queryable, StorageError};
use bellwether_model::{FloatHistogram, Histogram, Labels, Matcher};
use roaring::RoaringBitmap;

use crate::block::Block;
use crate::block::index_write::ChunkMeta;
use crate::block::meta::BlockMeta;
use crate::block::query::block_querier;
use crate::block::write::{self, Sample};
use crate::encoding::DecodeError;
use crate::error::TsdbError;
use crate::files::{DirEntry, Files};
use crate::head::chunk_files::ChunkFiles;
use crate::head::out_of_order::Part;
use crate::head::query::HeadQuerier;
use crate::head::replay::Replay;
use crate::head::series::MemSeries;
use crate::head::{Head, HeadOptions};
use crate::maintenance::{end_of_in_order, horizon};
use crate::merge::MergeQuerier;
use crate::options::SyncWorker;
use crate::select;
use crate::stats::Counters;
use crate::tombstones;
use crate::wal::segments;
pub(crate) use files::ReadOnlyFiles;

/// How often the opening starts over when files vanish. A server deletes a few files every two hours.
const ATTEMPTS: usize = 10;
/// Range of head blocks that most servers use; it only says where chunks made by the replay end.
const BLOCK_RANGE_MS: i64 = 2 * 3600 * 1000;

/// A block as lists of blocks show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockInfo {
    /// Its description.
    pub meta: BlockMeta,
    /// Bytes of its files, `meta.json` included.
    pub size: u64,
}

/// A stored value with its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A float, any NaN pattern included.
    Float(f64),
    /// A histogram with integer counts.
    Histogram(Histogram),
    /// A histogram with float counts.
    FloatHistogram(FloatHistogram),
}

impl From<Sample> for SampleValue {
    fn from(sample: Sample) -> Self {
        match sample {
            Sample::Float(v) => Self::Float(v),
            Sample::Histogram(h) => Self::Histogram(h.to_model()),
            Sample::FloatHistogram(h) => Self::FloatHistogram(h.to_model()),
        }
    }
}

/// A directory that is only read.
pub struct ReadOnlyDb {
    dir: PathBuf,
    /// By rising first time.
    blocks: Vec<Arc<Block>>,
    /// Empty where the log was not wanted.
    head: Arc<Head>,
    /// End of the blocks of samples that came in order; of those the head has what is later.
    head_from: i64,
}

impl ReadOnlyDb {
    /// Opens the blocks, and replays the logs into memory when samples up to `maxt` may be in them.
    ///
    /// # Errors
    /// I/O, a block that does not open, or a directory that holds neither blocks nor a log. Damage in the log
    /// is none: it is skipped over with a log line.
    pub fn open(dir: &Path, maxt: i64) -> Result<Self, TsdbError> {
        patiently(dir, || {
            let this = Self::try_open_blocks(dir)?;
            let (wal, wbl) = (dir.join("wal"), dir.join("wbl"));
            if !wal.is_dir() {
                if this.blocks.is_empty() {
                    return Err(TsdbError::corrupt(dir, "holds neither blocks nor a log"));
                }
                return Ok(this);
            }
            // Out-of-order samples may be of any time.
            if this.head_from <= maxt || wbl.is_dir() {
                this.head.set_min_valid(this.head_from);
                let chunks_head = dir.join("chunks_head");
                let (files, chunks) = ChunkFiles::load_read_only(&ReadOnlyFiles, &chunks_head)?;
                *this.head.chunk_files.lock() = files;
                Replay::read_only(&this.head, chunks).run(&wal, &wbl)?;
            }
            Ok(this)
        })
    }

    /// Opens the blocks alone.
    ///
    /// # Errors
    /// I/O, or a block that does not open.
    pub fn open_blocks(dir: &Path) -> Result<Self, TsdbError> {
        patiently(dir, || Self::try_open_blocks(dir))
    }

    fn try_open_blocks(dir: &Path) -> Result<Self, TsdbError> {
        let files: Arc<dyn Files> = Arc::new(ReadOnlyFiles);
        let mut blocks = Vec::new();
        for path in block_dirs(dir)? {
            blocks.push(Block::open(&files, &path)?);
        }
        blocks.sort_by_key(|b| (b.mint, b.maxt));
        let options = HeadOptions {
            block_range: BLOCK_RANGE_MS,
            exemplars_max: 0,
            series_limit: 0,
            spill_bytes: usize::MAX,
            files: Arc::clone(&files),
            sync_worker: SyncWorker::Caller,
        };
        Ok(Self {
            dir: dir.to_path_buf(),
            // After the blocks: it is written before they go.
            head_from: end_of_in_order(&blocks).max(horizon::read(&*files, dir)?),
            blocks,
            head: Arc::new(Head::new(options, Arc::new(Counters::default()))),
        })
    }

    /// The blocks by rising first time.
    #[must_use]
    pub fn blocks(&self) -> Vec<BlockInfo> {
        self.blocks.iter().map(|b| info(b)).collect()
    }

    /// A block by its identifier, or the one that was made last.
    ///
    /// # Errors
    /// When there is no such block.
    pub(crate) fn block(&self, ulid: Option<&str>) -> Result<&Arc<Block>, TsdbError> {
        let found = match ulid {
            Some(ulid) => self.blocks.iter().find(|b| b.ulid() == ulid),
            // As Prometheus: the newest by the time in its identifier, of equal times the first.
            None => self.blocks.iter().max_by_key(|b| {
                let ulid = b.ulid();
                let made = ulid::Ulid::from_string(&ulid).map_or(0, |u| u.timestamp_ms());
                (made, Reverse(ulid))
            }),
        };
        found.ok_or_else(|| {
            let reason = match ulid {
                Some(ulid) => format!("has no block {ulid}"),
                None => "no blocks found".to_owned(),
            };
            TsdbError::corrupt(&self.dir, reason)
        })
    }

    fn blocks_in(&self, mint: i64, maxt: i64) -> impl Iterator<Item = &Arc<Block>> {
        self.blocks
            .iter()
            .filter(move |b| b.mint <= maxt && b.maxt > mint)
    }

    /// Calls `each` for every series that a selector matches and that has samples in `mint..=maxt`, with those
    /// samples by rising time and with their kinds. Series come in order of labels; with a single selector
    /// and without blocks in the range, in the order in which the log knows them.
    ///
    /// # Errors
    /// Unreadable data, and what `each` returns.
    pub fn each_series<E: From<TsdbError>>(
        &self,
        mint: i64,
        maxt: i64,
        selectors: &[Vec<Matcher>],
        mut each: impl FnMut(&Labels, &[(i64, SampleValue)]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut cursors = self
            .blocks_in(mint, maxt)
            .map(|b| BlockCursor::new(b, selectors))
            .collect::<Result<Vec<_>, _>>()?;
        let mut head = self.head_series(selectors)?;
        if cursors.is_empty() && selectors.len() == 1 {
            for (labels, series) in head {
                let samples = self.samples(&[], Some(&series), mint, maxt)?;
                if !samples.is_empty() {
                    each(&labels, &samples)?;
                }
            }
            return Ok(());
        }
        head.sort_by(|a, b| a.0.cmp(&b.0));
        let mut head = head.into_iter().peekable();
        loop {
            let next = cursors.iter().filter_map(BlockCursor::labels);
            let Some(labels) = next.chain(head.peek().map(|h| &h.0)).min().cloned() else {
                return Ok(());
            };
            let in_blocks: Vec<&BlockCursor> = cursors
                .iter()
                .filter(|c| c.labels() == Some(&labels))
                .collect();
            let in_head = head.next_if(|h| h.0 == labels).map(|h| h.1);
            let samples = self.samples(&in_blocks, in_head.as_ref(), mint, maxt)?;
            if !samples.is_empty() {
                each(&labels, &samples)?;
            }
            for cursor in &mut cursors {
                if cursor.labels() == Some(&labels) {
                    cursor.advance()?;
                }
            }
        }
    }

    /// The head's series that a selector matches, in order of references.
    fn head_series(
        &self,
        selectors: &[Vec<Matcher>],
    ) -> Result<Vec<(Labels, MemSeries)>, TsdbError> {
        let mut found = Vec::new();
        for selector in selectors {
            found.extend(self.head.matching(selector)?);
        }
        found.sort_by_key(|s| s.id);
        found.dedup_by_key(|s| s.id);
        Ok(found
            .into_iter()
            .map(|s| (self.head.labels(&s), s))
            .collect())
    }

    /// The samples of one series from everywhere. Of several at one time the first block's counts.
    fn samples(
        &self,
        blocks: &[&BlockCursor],
        head: Option<&MemSeries>,
        mint: i64,
        maxt: i64,
    ) -> Result<Vec<(i64, SampleValue)>, TsdbError> {
        let mut out: Vec<(i64, SampleValue)> = Vec::new();
        for cursor in blocks {
            cursor.read(mint, maxt, &mut out)?;
        }
        if let Some(series) = head {
            self.head_samples(series, (mint, maxt), &mut out)
                .map_err(|e| {
                    let labels = self.head.labels(series);
                    TsdbError::corrupt(&self.dir, format!("head chunk of {labels}: {e}"))
                })?;
        }
        if out.windows(2).any(|w| w[0].0 >= w[1].0) {
            out.sort_by_key(|s| s.0);
            out.dedup_by_key(|s| s.0);
        }
        Ok(out)
    }
}

impl ReadOnlyDb {
    /// Appends a series' samples of the head, those that came in order first.
    fn head_samples(
        &self,
        series: &MemSeries,
        (mint, maxt): (i64, i64),
        out: &mut Vec<(i64, SampleValue)>,
    ) -> Result<(), DecodeError> {
        let stones = self.head.tombstones.read();
        let deleted = stones.of(u64::from(series.id));
        let from = mint.max(self.head_from);
        let in_order = series.state().read().all_chunks();
        for c in in_order {
            if c.mint <= maxt && c.maxt >= from {
                read_chunk(c.encoding, &c.data, (from, maxt), deleted, out)?;
            }
        }
        let late = self
            .head
            .out_of_order_chunks(series, Part::All, (mint, maxt), deleted)?;
        for c in late {
            read_chunk(c.encoding, &c.data, (mint, maxt), deleted, out)?;
        }
        Ok(())
    }
}

impl Queryable for ReadOnlyDb {
    fn querier(&self, mint: i64, maxt: i64) -> Result<Box<dyn Querier>, StorageError> {
        let mut parts: Vec<Box<dyn Querier>> = Vec::new();
        parts.extend(block_querier(self.blocks_in(mint, maxt), mint, maxt));
        if maxt >= self.head_from || self.head.has_out_of_order(mint, maxt) {
            parts.push(Box::new(HeadQuerier {
                head: Arc::clone(&self.head),
                mint,
                in_order_from: self.head_from,
                maxt,
                reader: Arc::new(self.head.isolation.reader()),
            }));
        }
        Ok(Box::new(MergeQuerier { parts }))
    }
}

/// Walks the series of a block that selectors match, in order of labels.
struct BlockCursor {
    block: Arc<Block>,
    references: roaring::bitmap::IntoIter,
    current: Option<(u32, Labels)>,
    chunks: Vec<ChunkMeta>,
}

impl BlockCursor {
    fn new(block: &Arc<Block>, selectors: &[Vec<Matcher>]) -> Result<Self, TsdbError> {
        let mut references = RoaringBitmap::new();
        for selector in selectors {
            references |= select::select(&block.index, selector)?;
        }
        let mut this = Self {
            block: Arc::clone(block),
            references: references.into_iter(),
            current: None,
            chunks: Vec::new(),
        };
        this.advance()?;
        Ok(this)
    }

    fn labels(&self) -> Option<&Labels> {
        self.current.as_ref().map(|c| &c.1)
    }

    fn advance(&mut self) -> Result<(), TsdbError> {
        self.current = match self.references.next() {
            Some(r) => Some((r, self.block.index.series(r, &mut self.chunks)?)),
            None => None,
        };
        Ok(())
    }

    /// Appends the current series' samples in range that are not deleted.
    fn read(
        &self,
        mint: i64,
        maxt: i64,
        out: &mut Vec<(i64, SampleValue)>,
    ) -> Result<(), TsdbError> {
        let Some((reference, _)) = &self.current else {
            return Ok(());
        };
        let stones = self.block.tombstones();
        let deleted = stones.of(u64::from(*reference));
        for c in &self.chunks {
            if c.mint > maxt || c.maxt < mint {
                continue;
            }
            let (encoding, data) = self.block.chunks.get(c.reference)?;
            read_chunk(encoding, data, (mint, maxt), deleted, out).map_err(|e| {
                TsdbError::corrupt(&self.block.dir, format!("chunk {:#x}: {e}", c.reference))
            })?;
        }
        Ok(())
    }
}

fn read_chunk(
    encoding: u8,
    data: &[u8],
    (mint, maxt): (i64, i64),
    deleted: &[tombstones::Interval],
    out: &mut Vec<(i64, SampleValue)>,
) -> Result<(), DecodeError> {
    write::decode(encoding, data, |t, sample| {
        if t >= mint && t <= maxt && !tombstones::covers(deleted, t) {
            out.push((t, sample.into()));
        }
    })
}

/// Description and size of a block.
pub(crate) fn info(block: &Block) -> BlockInfo {
    let file = |name| {
        let bytes = ReadOnlyFiles.read(&block.dir.join(name));
        bytes.map_or(0, |b| b.len() as u64)
    };
    BlockInfo {
        meta: block.meta(),
        size: block.index.size()
            + block.chunks.size()
            + file(crate::block::meta::FILE)
            + file(tombstones::FILE),
    }
}

/// Directories whose names are identifiers of blocks, in order of names.
pub(crate) fn block_dirs(dir: &Path) -> Result<Vec<PathBuf>, TsdbError> {
    let entries = ReadOnlyFiles
        .list(dir)
        .map_err(TsdbError::io("cannot list", dir))?;
    let is_block = |e: &DirEntry| {
        e.is_dir
            && e.name
                .to_str()
                .is_some_and(|n| ulid::Ulid::from_string(n).is_ok())
    };
    let names = entries.into_iter().filter(is_block);
    let mut out: Vec<PathBuf> = names.map(|e| dir.join(e.name)).collect();
    out.sort_unstable();
    Ok(out)
}

/// What changes when samples move from the logs to blocks or to a checkpoint.
#[derive(PartialEq, Eq)]
struct Landmarks {
    blocks: Vec<PathBuf>,
    checkpoints: Vec<u64>,
    /// The oldest segment of each log.
    oldest: [Option<u64>; 2],
}

impl Landmarks {
    fn of(dir: &Path) -> Result<Self, TsdbError> {
        let (wal, wbl) = (dir.join("wal"), dir.join("wbl"));
        let oldest = |log: &Path| -> Option<u64> {
            let segments = segments::list(&ReadOnlyFiles, log).unwrap_or_default();
            segments.first().copied()
        };
        Ok(Self {
            blocks: block_dirs(dir)?,
            checkpoints: segments::checkpoints(&ReadOnlyFiles, &wal).unwrap_or_default(),
            oldest: [oldest(&wal), oldest(&wbl)],
        })
    }
}

/// Opens again while files vanish between their listing and their opening, or samples move meanwhile.
fn patiently<T>(
    dir: &Path,
    mut open: impl FnMut() -> Result<T, TsdbError>,
) -> Result<T, TsdbError> {
    let mut before = Landmarks::of(dir)?;
    for _ in 1..ATTEMPTS {
        let result = open();
        let after = Landmarks::of(dir)?;
        let vanished = match &result {
            Err(TsdbError::Io { source, .. }) => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        };
        if after == before && !vanished {
            return result;
        }
        before = after;
    }
    open()
}
