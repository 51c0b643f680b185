//! Reads that give chunks as they are encoded, for those who pass them on: remote read.
//!
//! The same view of the database as a query's, with the same transactions. A chunk that lies wholly in the range, is
//! free of deletions and overlaps no other is handed out as it is stored; others are cut and encoded again, as in
//! Prometheus.

use std::ops::Deref;
use std::sync::Arc;

use bellwether_model::storage::{SampleBuffer, StorageError};
use bellwether_model::{Labels, Matcher};
use hashbrown::HashMap;

use crate::block::chunks::EncodedChunk;
use crate::block::index_write::ChunkMeta;
use crate::block::merge::join;
use crate::block::query::BlockQuerier;
use crate::block::{Block, write};
use crate::chunk;
use crate::db::Db;
use crate::encoding::DecodeError;
use crate::head::Head;
use crate::head::chunk_files::ChunkData;
use crate::head::isolation::Reader;
use crate::head::query::HeadQuerier;
use crate::head::series::MemSeries;
use crate::read_only::SampleValue;
use crate::tombstones::{self, Interval};

/// An encoded chunk. Its bytes are those that [`Deref`] gives.
#[derive(Clone, Debug)]
pub struct StoredChunk(EncodedChunk);

impl StoredChunk {
    /// First and last time in milliseconds.
    #[must_use]
    pub fn bounds(&self) -> (i64, i64) {
        (self.0.mint, self.0.maxt)
    }

    /// Prometheus' number of the encoding: 1 XOR, 2 histograms, 3 float histograms.
    #[must_use]
    pub fn encoding(&self) -> u8 {
        self.0.encoding
    }
}

impl Deref for StoredChunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.data
    }
}

/// Appends the samples of an encoded chunk from outside that lie in `mint..=maxt` (milliseconds) to a buffer.
///
/// # Errors
/// When the bytes are no chunk of that encoding.
pub fn read_chunk(
    encoding: u8,
    data: &[u8],
    (mint, maxt): (i64, i64),
    out: &mut SampleBuffer,
) -> Result<(), StorageError> {
    chunk::read_into(encoding, data, usize::MAX, mint, maxt, out).map_err(|error| {
        StorageError::Corrupt {
            place: "chunk".to_owned(),
            reason: error.to_string(),
        }
    })
}

/// A series with samples that may lie in the range asked for. It holds the view of the database open.
pub struct ChunkSeries {
    labels: Labels,
    /// By rising time; where two have a sample at the same time, the earlier one's counts.
    parts: Vec<Part>,
    range: (i64, i64),
    chunk_range: i64,
}

enum Part {
    Block {
        block: Arc<Block>,
        chunks: Arc<[ChunkMeta]>,
        deleted: Box<[Interval]>,
    },
    Head {
        head: Arc<Head>,
        series: MemSeries,
        in_order_from: i64,
        reader: Arc<Reader>,
    },
}

impl Db {
    /// The series that match all matchers and may have samples in `mint..=maxt` (milliseconds), sorted by labels.
    ///
    /// # Errors
    /// On unreadable data.
    pub fn select_chunks(
        &self,
        mint: i64,
        maxt: i64,
        matchers: &[Matcher],
    ) -> Result<Vec<ChunkSeries>, StorageError> {
        // First the reader, then the view, as for any query.
        let reader = Arc::new(self.head.isolation.reader());
        let view = self.view.load_full();
        let mut found: HashMap<Labels, Vec<Part>> = HashMap::new();
        for block in &view.blocks {
            if block.mint > maxt || block.maxt <= mint {
                continue;
            }
            let block = Arc::clone(block);
            let querier = BlockQuerier { block, mint, maxt };
            for series in querier.found(matchers)? {
                let series = series?;
                let parts = series.parts.into_iter().map(|part| Part::Block {
                    block: part.block,
                    chunks: part.chunks,
                    deleted: part.deleted,
                });
                found.entry(series.labels).or_default().extend(parts);
            }
        }
        let head = HeadQuerier {
            head: Arc::clone(&self.head),
            mint,
            in_order_from: view.head_from,
            maxt,
            reader,
        };
        for series in head.found(matchers)? {
            let labels = self.head.labels(&series);
            found.entry(labels).or_default().push(Part::Head {
                head: Arc::clone(&self.head),
                series,
                in_order_from: view.head_from,
                reader: Arc::clone(&head.reader),
            });
        }
        let chunk_range = self.options.block_range_ms();
        let mut all: Vec<ChunkSeries> = found
            .into_iter()
            .map(|(labels, parts)| ChunkSeries {
                labels,
                parts,
                range: (mint, maxt),
                chunk_range,
            })
            .collect();
        all.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(all)
    }
}

impl ChunkSeries {
    /// Its labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Its chunks by rising time, cut to the range; they do not overlap.
    ///
    /// # Errors
    /// On unreadable chunks.
    pub fn chunks(&self) -> Result<Vec<StoredChunk>, StorageError> {
        let parts = self.load()?;
        let chunks = self.cut_and_join(parts).map_err(|e| self.corrupt(&e))?;
        Ok(chunks.into_iter().map(StoredChunk).collect())
    }

    /// Its samples by rising time, each with its kind; stale markers are included.
    ///
    /// # Errors
    /// On unreadable chunks.
    pub fn samples(&self) -> Result<Vec<(i64, SampleValue)>, StorageError> {
        let parts = self.load()?;
        self.decode(parts).map_err(|e| self.corrupt(&e))
    }

    fn decode(&self, parts: Vec<Loaded>) -> Result<Vec<(i64, SampleValue)>, DecodeError> {
        let mut out = Vec::new();
        let all = || parts.iter().flat_map(|p| &p.chunks);
        if all().zip(all().skip(1)).any(|(a, b)| a.maxt >= b.mint) {
            for chunk in self.cut_and_join(parts)? {
                write::decode(chunk.encoding, &chunk.data, |t, s| out.push((t, s.into())))?;
            }
            return Ok(out);
        }
        // Not cut: a histogram that is encoded again as the first of its chunk no longer says that no reset came
        // before it.
        for part in &parts {
            for chunk in &part.chunks {
                write::decode(chunk.encoding, &chunk.data, |t, s| {
                    let wanted = t >= part.from && t <= self.range.1;
                    if wanted && !tombstones::covers(&part.deleted, t) {
                        out.push((t, s.into()));
                    }
                })?;
            }
        }
        Ok(out)
    }

    fn cut_and_join(&self, parts: Vec<Loaded>) -> Result<Vec<EncodedChunk>, DecodeError> {
        let mut all = Vec::new();
        for mut part in parts {
            let (from, to) = (part.from, self.range.1);
            if part.ends_open
                && let Some(open) = part.chunks.last_mut()
            {
                // Prometheus encodes an open chunk again for those who read chunks, and its first histogram then no
                // longer says that no reset came before it.
                let forgetful = chunk::without_not_reset(open.encoding, &open.data);
                open.data = ChunkData::Memory(forgetful);
            }
            all.extend(write::cut(
                part.chunks,
                from,
                to,
                &part.deleted,
                self.chunk_range,
            )?);
        }
        join(all, self.chunk_range)
    }

    /// The chunks that reach into the range, part by part.
    fn load(&self) -> Result<Vec<Loaded>, StorageError> {
        let mut all = Vec::new();
        for part in &self.parts {
            match part {
                Part::Block {
                    block,
                    chunks,
                    deleted,
                } => all.push(self.load_block(block, chunks, deleted)?),
                Part::Head {
                    head,
                    series,
                    in_order_from,
                    reader,
                } => {
                    let loaded = self.load_head(head, series, *in_order_from, reader.seen);
                    all.extend(loaded.map_err(|e| self.corrupt(&e))?);
                }
            }
        }
        Ok(all)
    }

    fn load_block(
        &self,
        block: &Block,
        metas: &[ChunkMeta],
        deleted: &[Interval],
    ) -> Result<Loaded, StorageError> {
        let mut chunks = Vec::with_capacity(metas.len());
        for c in metas {
            let (encoding, data) = block.chunks.get(c.reference)?;
            chunks.push(EncodedChunk {
                mint: c.mint,
                maxt: c.maxt,
                encoding,
                data: ChunkData::Memory(data.into()),
            });
        }
        Ok(Loaded {
            chunks,
            deleted: deleted.to_vec(),
            from: self.range.0,
            ends_open: false,
        })
    }

    /// First what came in order, then the rest.
    fn load_head(
        &self,
        head: &Head,
        series: &MemSeries,
        in_order_from: i64,
        seen: u64,
    ) -> Result<[Loaded; 2], DecodeError> {
        let (mint, maxt) = self.range;
        let deleted = head.tombstones.read().of(u64::from(series.id)).to_vec();
        let from = mint.max(in_order_from);
        let (mut in_order, closed) = {
            let state = series.state().read();
            (state.visible_chunks(seen)?, state.closed().len())
        };
        let open = in_order.get(closed).is_some_and(|c| c.mint <= maxt);
        in_order.retain(|c| c.maxt >= from && c.mint <= maxt);
        let late = head.visible_out_of_order_chunks(series, self.range, seen)?;
        let loaded = |chunks, deleted, from, ends_open| Loaded {
            chunks,
            deleted,
            from,
            ends_open,
        };
        Ok([
            loaded(in_order, deleted.clone(), from, open),
            loaded(late, deleted, mint, false),
        ])
    }

    fn corrupt(&self, error: &DecodeError) -> StorageError {
        StorageError::Corrupt {
            place: format!("chunk of {}", self.labels),
            reason: error.to_string(),
        }
    }
}

/// Chunks of one part of a series, by rising time.
struct Loaded {
    chunks: Vec<EncodedChunk>,
    deleted: Vec<Interval>,
    /// Earlier samples are not wanted.
    from: i64,
    /// The last chunk is one that still takes samples.
    ends_open: bool,
}
