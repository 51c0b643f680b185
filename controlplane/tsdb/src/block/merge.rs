//! Merges blocks into one: series by series in order of labels, chunk by chunk in order of time.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::Labels;

use super::chunks::EncodedChunk;
use super::index_write::ChunkMeta;
use super::meta::{self, BlockCompaction, BlockParent};
use super::write::{self, BlockWriter, Sample};
use super::{Block, all_series};
use crate::error::TsdbError;
use crate::files::Files;
use crate::head::chunk_files::ChunkData;
use crate::tombstones::Tombstones;

/// Walks a block's series in order of labels.
struct Cursor {
    block: Arc<Block>,
    series: roaring::bitmap::IntoIter,
    current: Option<(u32, Labels)>,
    chunks: Vec<ChunkMeta>,
    deleted: Arc<Tombstones>,
}

impl Cursor {
    fn new(block: &Arc<Block>) -> Result<Self, TsdbError> {
        let mut this = Self {
            series: all_series(block)?.into_iter(),
            current: None,
            chunks: Vec::new(),
            deleted: block.tombstones(),
            block: Arc::clone(block),
        };
        this.advance()?;
        Ok(this)
    }

    fn advance(&mut self) -> Result<(), TsdbError> {
        self.current = match self.series.next() {
            Some(reference) => {
                let labels = self.block.index.series(reference, &mut self.chunks)?;
                Some((reference, labels))
            }
            None => None,
        };
        Ok(())
    }

    /// The current series' chunks without deleted samples.
    fn load(&self, reference: u32, chunk_range: i64) -> Result<Vec<EncodedChunk>, TsdbError> {
        let mut out = Vec::with_capacity(self.chunks.len());
        for c in &self.chunks {
            let (encoding, data) = self.block.chunks.get(c.reference)?;
            out.push(EncodedChunk {
                mint: c.mint,
                maxt: c.maxt,
                encoding,
                data: ChunkData::Memory(data.into()),
            });
        }
        let deleted = self.deleted.of(u64::from(reference));
        write::cut(out, i64::MIN, i64::MAX, deleted, chunk_range)
            .map_err(|e| TsdbError::corrupt(&self.block.dir, format!("series {reference}: {e}")))
    }
}

/// Chunks of one series from several blocks as one list; where they overlap, samples are merged and of two at
/// the same time the one of the earlier chunk stays.
pub(crate) fn join(
    mut chunks: Vec<EncodedChunk>,
    chunk_range: i64,
) -> Result<Vec<EncodedChunk>, crate::encoding::DecodeError> {
    chunks.sort_by_key(|c| c.mint);
    let mut out: Vec<EncodedChunk> = Vec::with_capacity(chunks.len());
    let mut group: Vec<EncodedChunk> = Vec::new();
    let mut group_end = i64::MIN;
    let mut flush = |group: &mut Vec<EncodedChunk>| {
        if group.len() < 2 {
            out.append(group);
            return Ok(());
        }
        let mut samples: Vec<(i64, Sample)> = Vec::new();
        for c in group.drain(..) {
            write::decode(c.encoding, &c.data, |t, s| samples.push((t, s)))?;
        }
        samples.sort_by_key(|s| s.0);
        samples.dedup_by_key(|s| s.0);
        out.extend(write::encode(samples, chunk_range)?);
        Ok(())
    };
    for c in chunks {
        if c.mint > group_end {
            flush(&mut group)?;
        }
        group_end = group_end.max(c.maxt);
        group.push(c);
    }
    flush(&mut group)?;
    Ok(out)
}

/// Merges blocks (at least one) into a new one. `None` when nothing is left of them.
pub(crate) fn merge(
    files: &Arc<dyn Files>,
    data: &Path,
    blocks: &[Arc<Block>],
    chunk_range: i64,
    ulid: &str,
) -> Result<Option<PathBuf>, TsdbError> {
    let mut symbols = BTreeSet::new();
    for b in blocks {
        symbols.extend(b.index.all_symbols()?);
    }
    let symbols: Vec<String> = symbols.into_iter().collect();
    let mut writer = BlockWriter::create(files, data, ulid, symbols.clone())?;
    let mut cursors = blocks
        .iter()
        .map(Cursor::new)
        .collect::<Result<Vec<_>, _>>()?;
    let mut ordinals = Vec::new();
    while let Some(labels) = cursors
        .iter()
        .filter_map(|c| c.current.as_ref())
        .map(|c| &c.1)
        .min()
        .cloned()
    {
        let mut chunks = Vec::new();
        for cursor in &mut cursors {
            if let Some((reference, l)) = &cursor.current
                && *l == labels
            {
                chunks.extend(cursor.load(*reference, chunk_range)?);
                cursor.advance()?;
            }
        }
        let chunks = join(chunks, chunk_range)
            .map_err(|e| TsdbError::corrupt(data, format!("merging {labels}: {e}")))?;
        if chunks.is_empty() {
            continue;
        }
        ordinals.clear();
        for text in labels.iter().flat_map(|l| [l.name, l.value]) {
            let at = symbols.binary_search_by(|s| s.as_str().cmp(text));
            ordinals.push(at.map_err(|_| TsdbError::corrupt(data, "a label is no symbol"))? as u32);
        }
        writer.series(&ordinals, &chunks)?;
    }
    let metas: Vec<_> = blocks.iter().map(|b| b.meta()).collect();
    let sources: BTreeSet<String> = metas
        .iter()
        .flat_map(|m| m.compaction.sources.clone())
        .collect();
    let level = metas.iter().map(|m| m.compaction.level).max().unwrap_or(0);
    let all_have = |hint: &&str| metas.iter().all(|m| m.compaction.has_hint(hint));
    let hints = [meta::OUT_OF_ORDER, meta::STALE_SERIES].into_iter();
    let compaction = BlockCompaction {
        level: level + 1,
        hints: hints.filter(all_have).map(str::to_owned).collect(),
        sources: sources.into_iter().collect(),
        parents: metas
            .iter()
            .map(|m| BlockParent {
                ulid: m.ulid.clone(),
                min_time: m.min_time,
                max_time: m.max_time,
            })
            .collect(),
        ..BlockCompaction::default()
    };
    let mint = metas.iter().map(|m| m.min_time).min().unwrap_or(0);
    let maxt = metas.iter().map(|m| m.max_time).max().unwrap_or(0);
    writer.finish(ulid, mint, maxt, compaction)
}
