//! Reads of blocks.

use std::any::Any;
use std::sync::Arc;

use bellwether_model::storage::{
    Querier, SampleBuffer, Series, SeriesStream, StorageError, read_each,
};
use bellwether_model::{Labels, Matcher};
use roaring::RoaringBitmap;
use smallvec::{SmallVec, smallvec};

use super::Block;
use super::index_write::ChunkMeta;
use super::recent::{Found, Key, Known};
use crate::chunk::together::{self, Piece};
use crate::encoding::DecodeError;
use crate::error::TsdbError;
use crate::merge::{self, Aligned, Labelled, Union};
use crate::select;
use crate::tombstones::{self, Interval, Tombstones};

/// A read of a block between two times.
pub(crate) struct BlockQuerier {
    pub(crate) block: Arc<Block>,
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
}

/// Series that are looked up at once, so that they can be kept.
const FEW: u64 = 96;

impl BlockQuerier {
    /// The matching series that have chunks in range, in order of labels; each has this block as its only part.
    pub(crate) fn found(
        &self,
        matchers: &[Matcher],
    ) -> Result<impl Iterator<Item = Result<BlockSeries, StorageError>> + use<'_>, StorageError>
    {
        self.found_by(&Key::series(matchers), matchers)
    }

    fn found_by(
        &self,
        key: &Key,
        matchers: &[Matcher],
    ) -> Result<impl Iterator<Item = Result<BlockSeries, StorageError>> + use<'_>, StorageError>
    {
        let deleted = self.block.tombstones();
        let mut index = self.block.index.entries();
        let (few, many) = match self.look_up(key, matchers)? {
            Found::Few(series) => (series, RoaringBitmap::new()),
            Found::Many(references) => (Arc::default(), Arc::unwrap_or_clone(references)),
            Found::Values(_) => (Arc::default(), RoaringBitmap::new()),
        };
        let few = (0..few.len()).map({
            let deleted = Arc::clone(&deleted);
            move |i| Ok(self.in_range(&few[i], &deleted))
        });
        let mut chunks = Vec::new();
        let many = many.into_iter().map(move |reference| {
            let labels = index.series(reference, &mut chunks)?;
            let deleted = deleted.of(u64::from(reference));
            chunks.retain(|c| self.wants(c, deleted));
            Ok(self.series(labels, chunks.as_slice(), deleted))
        });
        Ok(few.chain(many).filter_map(Result::transpose))
    }

    /// The series that match, whenever they have samples.
    fn look_up(&self, key: &Key, matchers: &[Matcher]) -> Result<Found, TsdbError> {
        if let Some(found) = self.block.recent.get(key) {
            return Ok(found);
        }
        // References rise with the labels: the index is sorted by them.
        let references = select::select(&self.block.index, matchers)?;
        let found = if references.len() <= FEW {
            let (mut index, mut chunks) = (self.block.index.entries(), Vec::new());
            let series = references.iter().map(|reference| {
                Ok(Known {
                    reference,
                    labels: index.series(reference, &mut chunks)?,
                    chunks: chunks.as_slice().into(),
                })
            });
            Found::Few(series.collect::<Result<_, TsdbError>>()?)
        } else {
            Found::Many(Arc::new(references))
        };
        self.block.recent.put(key, &found);
        Ok(found)
    }

    /// Whether a chunk is in range and not deleted.
    fn wants(&self, c: &ChunkMeta, deleted: &[Interval]) -> bool {
        let in_range = c.maxt >= self.mint && c.mint <= self.maxt;
        in_range && !tombstones::covers_all(deleted, c.mint, c.maxt)
    }

    /// A series with those of its chunks that are wanted, if there are any.
    fn in_range(&self, series: &Known, deleted: &Tombstones) -> Option<BlockSeries> {
        let deleted = deleted.of(u64::from(series.reference));
        let chunks = &series.chunks;
        if chunks.iter().all(|c| self.wants(c, deleted)) {
            return self.series(series.labels.clone(), Arc::clone(chunks), deleted);
        }
        let wanted = chunks.iter().filter(|c| self.wants(c, deleted));
        let wanted: SmallVec<[ChunkMeta; 4]> = wanted.copied().collect();
        self.series(series.labels.clone(), wanted.as_slice(), deleted)
    }

    /// A series of this block alone, if it has chunks.
    fn series(
        &self,
        labels: Labels,
        chunks: impl Into<Arc<[ChunkMeta]>> + AsRef<[ChunkMeta]>,
        deleted: &[Interval],
    ) -> Option<BlockSeries> {
        (!chunks.as_ref().is_empty()).then(|| BlockSeries {
            labels,
            parts: smallvec![Part {
                block: Arc::clone(&self.block),
                chunks: chunks.into(),
                deleted: deleted.into(),
            }],
            mint: self.mint,
            maxt: self.maxt,
        })
    }

    /// Calls `each` with the values of a label among the matching series (of all series without matchers), sorted.
    fn each_value(
        &self,
        name: &str,
        (key, matchers): (&Key, &[Matcher]),
        mut each: impl FnMut(&str),
    ) -> Result<(), TsdbError> {
        if matchers.is_empty() {
            return self.block.index.label_values(name, each);
        }
        if let Some(Found::Values(values)) = self.block.recent.get(key) {
            values.iter().for_each(|value| each(value));
            return Ok(());
        }
        // As in Prometheus the block's index decides, whether or not a series has samples in range.
        let series = select::select(&self.block.index, matchers)?;
        let mut values = Vec::new();
        let index = &self.block.index;
        index.label_values_among(name, &series, |value| {
            each(value);
            values.push(value.to_owned());
        })?;
        let values = Found::Values(values.into());
        self.block.recent.put(key, &values);
        Ok(())
    }
}

/// Blocks, by rising time, as one querier: of a series that several have, chunks are decoded together.
struct BlocksQuerier {
    blocks: Vec<BlockQuerier>,
}

/// A querier over blocks in order of time, if there are any.
pub(crate) fn block_querier<'a>(
    blocks: impl Iterator<Item = &'a Arc<Block>>,
    mint: i64,
    maxt: i64,
) -> Option<Box<dyn Querier>> {
    let blocks: Vec<BlockQuerier> = blocks
        .map(|block| BlockQuerier {
            block: Arc::clone(block),
            mint,
            maxt,
        })
        .collect();
    (!blocks.is_empty()).then(|| -> Box<dyn Querier> { Box::new(BlocksQuerier { blocks }) })
}

impl Querier for BlocksQuerier {
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
        fn erase<'a>(
            found: impl Iterator<Item = Result<BlockSeries, StorageError>> + Send + 'a,
        ) -> SeriesStream<'a> {
            Box::new(found.map(|s| s.map(|s| -> Arc<dyn Series> { Arc::new(s) })))
        }
        if let [only] = self.blocks.as_slice() {
            return Ok(erase(only.found(matchers)?));
        }
        let key = Key::series(matchers);
        let blocks = self.blocks.iter();
        let found = blocks.map(|block| block.found_by(&key, matchers));
        let aligned = Aligned::new(found)?;
        Ok(erase(aligned.map(|series| series.map(BlockSeries::join))))
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        let mut names = Union::default();
        for block in &self.blocks {
            if matchers.is_empty() {
                let own = block.block.index.label_names();
                own.iter().for_each(|name| names.add(name));
                names.next_list();
                continue;
            }
            for series in block.found(matchers)? {
                for label in &series?.labels {
                    names.add(label.name);
                }
                names.next_list();
            }
        }
        Ok(names.into_texts())
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        let mut values = Union::default();
        let key = Key::values(name, matchers);
        for block in &self.blocks {
            block.each_value(name, (&key, matchers), |value| values.add(value))?;
            values.next_list();
        }
        Ok(values.into_texts())
    }
}

/// A series of blocks within a query.
pub(crate) struct BlockSeries {
    pub(crate) labels: Labels,
    /// By rising time, never empty; where two have a sample at the same time, the earlier one's counts.
    pub(crate) parts: SmallVec<[Part; 1]>,
    mint: i64,
    maxt: i64,
}

/// What a block has of a series.
pub(crate) struct Part {
    pub(crate) block: Arc<Block>,
    pub(crate) chunks: Arc<[ChunkMeta]>,
    pub(crate) deleted: Box<[Interval]>,
}

impl Part {
    /// Adds the chunks that reach into a range.
    fn add_pieces<'a>(
        &'a self,
        mint: i64,
        maxt: i64,
        pieces: &mut Vec<Piece<'a>>,
    ) -> Result<(), TsdbError> {
        for c in self.chunks.iter() {
            if c.maxt < mint || c.mint > maxt {
                continue;
            }
            let (encoding, data) = self.block.chunks.get(c.reference)?;
            pieces.push(Piece {
                mint: c.mint,
                maxt: c.maxt,
                encoding,
                data,
            });
        }
        Ok(())
    }

    /// Appends the samples in a range.
    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        let from = out.len();
        let mut pieces = Vec::with_capacity(self.chunks.len());
        self.add_pieces(mint, maxt, &mut pieces)?;
        let overlap = together::read_all(&pieces, mint, maxt, out).map_err(|(n, e)| {
            let mut in_range = self.chunks.iter();
            let in_range = in_range
                .by_ref()
                .filter(|c| c.maxt >= mint && c.mint <= maxt);
            self.corrupt(in_range.map(|c| c.reference).nth(n), e)
        })?;
        if overlap {
            merge::sort_and_dedup(out, from);
        }
        tombstones::mask(out, from, &self.deleted);
        Ok(())
    }

    fn corrupt(&self, chunk: Option<u64>, error: DecodeError) -> StorageError {
        let chunk = chunk.unwrap_or_default();
        StorageError::Corrupt {
            place: format!("{}, chunk {chunk:#x}", self.block.dir.display()),
            reason: error.to_string(),
        }
    }
}

impl Labelled for BlockSeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }
}

impl BlockSeries {
    /// One series of what several blocks have of it.
    fn join((mut first, others): (Self, Vec<Self>)) -> Self {
        first.parts.extend(others.into_iter().flat_map(|s| s.parts));
        first
    }

    fn has_deletions(&self) -> bool {
        self.parts.iter().any(|p| !p.deleted.is_empty())
    }

    /// The chunks of all parts that reach into a range.
    fn pieces(&self, mint: i64, maxt: i64) -> Result<Vec<Piece<'_>>, TsdbError> {
        let chunks = self.parts.iter().map(|p| p.chunks.len()).sum();
        let mut pieces = Vec::with_capacity(chunks);
        for part in &self.parts {
            part.add_pieces(mint, maxt, &mut pieces)?;
        }
        Ok(pieces)
    }

    /// Appends the samples of all parts at once. False when they are not that simple; then nothing is done.
    fn read_parts(
        &self,
        mint: i64,
        maxt: i64,
        out: &mut SampleBuffer,
    ) -> Result<bool, StorageError> {
        if self.parts.len() == 1 || self.has_deletions() {
            return Ok(false);
        }
        let pieces = self.pieces(mint, maxt)?;
        let base = out.len();
        if let Ok(false) = together::read_all(&pieces, mint, maxt, out) {
            return Ok(true);
        }
        out.timestamps.truncate(base);
        out.values.truncate(base);
        out.histograms.truncate(base);
        Ok(false)
    }
}

impl Series for BlockSeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        let (mint, maxt) = (mint.max(self.mint), maxt.min(self.maxt));
        if self.read_parts(mint, maxt, out)? {
            return Ok(());
        }
        let base = out.len();
        for part in &self.parts {
            let from = out.len();
            part.read(mint, maxt, out)?;
            if together::falls(out, base, from) {
                merge::sort_and_dedup(out, base);
            }
        }
        Ok(())
    }

    fn read_group(
        &self,
        group: &[Arc<dyn Series>],
        mint: i64,
        maxt: i64,
        out: &mut [SampleBuffer],
    ) -> Result<(), StorageError> {
        let (from, to) = (mint.max(self.mint), maxt.min(self.maxt));
        if let Some(pieces) = pieces_of(group, from, to)?
            && together::read_series(&pieces, from, to, out)
        {
            return Ok(());
        }
        read_each(group, mint, maxt, out)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

/// The chunks of series that reach into a range, by series. `None` when not all of them are series of blocks of which
/// nothing is deleted.
fn pieces_of(
    group: &[Arc<dyn Series>],
    mint: i64,
    maxt: i64,
) -> Result<Option<Vec<Vec<Piece<'_>>>>, TsdbError> {
    let mut all = Vec::with_capacity(group.len());
    for series in group {
        match series.as_any().and_then(<dyn Any>::downcast_ref) {
            Some(series @ BlockSeries { .. }) if !series.has_deletions() => {
                all.push(series.pieces(mint, maxt)?);
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(all))
}
