//! Writes a block directory: everything under a temporary name, synced, then renamed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::storage::SampleBuffer;

use super::chunks::{ChunkWriter, EncodedChunk};
use super::index_write::{ChunkMeta, IndexWriter};
use super::meta::{BlockCompaction, BlockMeta, BlockStats};
use super::order::LabelOrder;
use crate::chunk::histogram::{self, Flat};
use crate::chunk::{self, ENC_FLOAT_HISTOGRAM, ENC_HISTOGRAM, ENC_XOR, xor};
use crate::encoding::DecodeError;
use crate::error::TsdbError;
use crate::files::{Files, write_atomic};
use crate::head::Head;
use crate::head::series::{MemSeries, SeriesState, Txn};
use crate::tombstones::{self, Interval, Tombstones};

/// Suffix of a block that is being written.
pub(crate) const TMP_CREATION: &str = ".tmp-for-creation";
/// Suffix of a block that is being deleted.
pub(crate) const TMP_DELETION: &str = ".tmp-for-deletion";

/// A block under construction. Dropped without [`Self::finish`], its temporary directory goes.
pub(crate) struct BlockWriter {
    files: Arc<dyn Files>,
    tmp: PathBuf,
    target: PathBuf,
    index: Option<IndexWriter>,
    chunks: Option<ChunkWriter>,
    stats: BlockStats,
    metas: Vec<ChunkMeta>,
}

impl BlockWriter {
    /// Begins a block with sorted, distinct symbols.
    pub(crate) fn create(
        files: &Arc<dyn Files>,
        data: &Path,
        ulid: &str,
        symbols: Vec<String>,
    ) -> Result<Self, TsdbError> {
        let target = data.join(ulid);
        let tmp = data.join(format!("{ulid}{TMP_CREATION}"));
        files
            .create_dir_all(&tmp)
            .map_err(TsdbError::io("cannot create", &tmp))?;
        let mut this = Self {
            files: Arc::clone(files),
            index: None,
            chunks: None,
            stats: BlockStats::default(),
            metas: Vec::new(),
            target,
            tmp,
        };
        this.chunks = Some(ChunkWriter::create(files, &this.tmp.join("chunks"))?);
        this.index = Some(IndexWriter::create(
            &**files,
            &this.tmp.join("index"),
            symbols,
        )?);
        Ok(this)
    }

    /// Adds a series, in order of labels.
    pub(crate) fn series(
        &mut self,
        labels: &[u32],
        chunks: &[EncodedChunk],
    ) -> Result<(), TsdbError> {
        let (Some(index), Some(files)) = (&mut self.index, &mut self.chunks) else {
            return Ok(());
        };
        self.metas.clear();
        for c in chunks {
            self.metas.push(ChunkMeta {
                mint: c.mint,
                maxt: c.maxt,
                reference: files.write(c.encoding, &c.data)?,
            });
            let samples = u64::from(chunk::count(&c.data));
            self.stats.num_samples += samples;
            if c.encoding == ENC_XOR {
                self.stats.num_float_samples += samples;
            } else {
                self.stats.num_histogram_samples += samples;
            }
        }
        self.stats.num_chunks += chunks.len() as u64;
        self.stats.num_series += 1;
        index.series(labels, &self.metas)
    }

    /// Puts the block in place. `None` when it has no samples: then nothing is left on the disk.
    pub(crate) fn finish(
        mut self,
        ulid: &str,
        mint: i64,
        maxt: i64,
        compaction: BlockCompaction,
    ) -> Result<Option<PathBuf>, TsdbError> {
        if self.stats.num_samples == 0 {
            return Ok(None);
        }
        if let Some(chunks) = self.chunks.take() {
            chunks.finish()?;
        }
        if let Some(index) = self.index.take() {
            index.finish()?;
        }
        let meta = BlockMeta {
            ulid: ulid.to_owned(),
            min_time: mint,
            max_time: maxt,
            stats: self.stats.clone(),
            compaction,
            version: 1,
            extra: serde_json::Map::new(),
        };
        let files = &*self.files;
        let none = Tombstones::default().encode();
        write_atomic(files, &self.tmp, tombstones::FILE, &none)
            .map_err(TsdbError::io("cannot write in", &self.tmp))?;
        meta.store(files, &self.tmp)?;
        files
            .sync_dir(&self.tmp)
            .map_err(TsdbError::io("cannot sync", &self.tmp))?;
        files
            .rename(&self.tmp, &self.target)
            .map_err(TsdbError::io("cannot rename", &self.tmp))?;
        if let Some(parent) = self.target.parent() {
            files
                .sync_dir(parent)
                .map_err(TsdbError::io("cannot sync", parent))?;
        }
        Ok(Some(self.target.clone()))
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        // After the rename there is nothing under this name.
        let _ = self.files.remove_dir_all(&self.tmp);
    }
}

/// A decoded sample that keeps its kind. Histograms are boxed: floats must not take their room.
#[derive(Clone, Debug)]
pub(crate) enum Sample {
    Float(f64),
    Histogram(Box<Flat<i64>>),
    FloatHistogram(Box<Flat<f64>>),
}

impl Sample {
    /// Appends it to a buffer, in the form in which queries read it.
    pub(crate) fn read_into(&self, t: i64, out: &mut SampleBuffer) {
        match self {
            Self::Float(v) => out.push_float(t, *v),
            Self::Histogram(h) => out.push_histogram(t, Arc::new(h.to_model().to_float())),
            Self::FloatHistogram(h) => out.push_histogram(t, Arc::new(h.to_model())),
        }
    }
}

/// Decodes a chunk to samples.
pub(crate) fn decode(
    encoding: u8,
    data: &[u8],
    mut each: impl FnMut(i64, Sample),
) -> Result<(), DecodeError> {
    match encoding {
        ENC_XOR => xor::decode(data, usize::MAX, |t, v| each(t, Sample::Float(v))),
        ENC_HISTOGRAM => histogram::decode(data, usize::MAX, |t, h| {
            each(t, Sample::Histogram(Box::new(h)));
        }),
        ENC_FLOAT_HISTOGRAM => histogram::decode(data, usize::MAX, |t, h| {
            each(t, Sample::FloatHistogram(Box::new(h)));
        }),
        _ => Err(DecodeError("unknown chunk encoding")),
    }
}

/// Encodes samples by rising time into chunks as the head would.
pub(crate) fn encode(
    samples: impl IntoIterator<Item = (i64, Sample)>,
    chunk_range: i64,
) -> Result<Vec<EncodedChunk>, DecodeError> {
    let mut state = SeriesState::default();
    let txn = Txn {
        number: 1,
        watermark: 1,
        chunk_range,
    };
    for (t, sample) in samples {
        match sample {
            Sample::Float(v) => {
                state.append_float(t, v, txn);
            }
            Sample::Histogram(h) => {
                state.append_histogram(t, *h, txn)?;
            }
            Sample::FloatHistogram(h) => {
                state.append_histogram(t, *h, txn)?;
            }
        }
    }
    Ok(state.all_chunks())
}

/// Restricts chunks to `mint..=maxt` without deleted samples; untouched ones stay as they are.
pub(crate) fn cut(
    chunks: Vec<EncodedChunk>,
    mint: i64,
    maxt: i64,
    deleted: &[Interval],
    chunk_range: i64,
) -> Result<Vec<EncodedChunk>, DecodeError> {
    let mut out = Vec::with_capacity(chunks.len());
    for c in chunks {
        if c.maxt < mint || c.mint > maxt || tombstones::covers_all(deleted, c.mint, c.maxt) {
            continue;
        }
        let touched = deleted.iter().any(|d| d.mint <= c.maxt && d.maxt >= c.mint);
        if c.mint >= mint && c.maxt <= maxt && !touched {
            out.push(c);
            continue;
        }
        let mut kept = Vec::new();
        decode(c.encoding, &c.data, |t, s| {
            if t >= mint && t <= maxt && !tombstones::covers(deleted, t) {
                kept.push((t, s));
            }
        })?;
        out.extend(encode(kept, chunk_range)?);
    }
    Ok(out)
}

/// Writes the head's samples in `mint..maxt` that came in order as a block. `None` when there are none.
pub(crate) fn write_head(
    data: &Path,
    head: &Head,
    mint: i64,
    maxt: i64,
    ulid: &str,
) -> Result<Option<PathBuf>, TsdbError> {
    let mut series = head.all_series();
    series.retain(|s| s.state().read().may_have(mint, maxt - 1));
    let range = Range { mint, maxt, ulid };
    write_series(data, head, series, &range, &[], |s, deleted| {
        let state = s.state().read();
        // The open chunk, which has to be copied, mostly begins behind the block.
        let chunks = match state.open_mint < maxt {
            true => state.all_chunks(),
            false => state.closed().to_vec(),
        };
        drop(state);
        cut(chunks, mint, maxt - 1, deleted, head.options.block_range)
    })
}

/// Times and identifier of a block.
pub(crate) struct Range<'a> {
    pub(crate) mint: i64,
    /// Exclusive.
    pub(crate) maxt: i64,
    pub(crate) ulid: &'a str,
}

/// Writes a block of the chunks that `chunks` gives for each series without its deleted ranges.
pub(crate) fn write_series(
    data: &Path,
    head: &Head,
    mut series: Vec<MemSeries>,
    range: &Range<'_>,
    hints: &[&str],
    chunks: impl Fn(&MemSeries, &[Interval]) -> Result<Vec<EncodedChunk>, DecodeError>,
) -> Result<Option<PathBuf>, TsdbError> {
    if series.is_empty() {
        return Ok(None);
    }
    let (order, symbols) = LabelOrder::new(head, &series);
    order.sort(&mut series);
    let mut labels = Vec::new();
    let deleted = head.tombstones.read().clone();
    let mut writer = BlockWriter::create(&head.options.files, data, range.ulid, symbols)?;
    for s in series {
        let chunks = chunks(&s, deleted.of(u64::from(s.id))).map_err(|e| {
            TsdbError::corrupt(data, format!("head chunk of {}: {e}", head.labels(&s)))
        })?;
        if !chunks.is_empty() {
            order.labels(&s, &mut labels);
            writer.series(&labels, &chunks)?;
        }
    }
    let compaction = BlockCompaction {
        level: 1,
        sources: vec![range.ulid.to_owned()],
        hints: hints.iter().map(|h| (*h).to_owned()).collect(),
        ..BlockCompaction::default()
    };
    writer.finish(range.ulid, range.mint, range.maxt, compaction)
}

#[cfg(test)]
#[path = "write_props.rs"]
mod tests;
