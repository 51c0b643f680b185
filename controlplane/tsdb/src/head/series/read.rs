//! What a reader may see of a series.

use bellwether_model::storage::SampleBuffer;

use super::{SeriesState, UNCUT};
use crate::block::chunks::EncodedChunk;
use crate::block::write;
use crate::chunk::together::{self, Piece};
use crate::chunk::{self, Resume};
use crate::encoding::DecodeError;
use crate::head::chunk_files::ChunkData;
use crate::head::open::Open;
use crate::head::out_of_order::OutOfOrder;
use crate::merge;

/// Where decoding a series' open chunk can go on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct OpenResume {
    /// Which chunk that is: no other one of the series begins at the same time.
    open_mint: i64,
    place: Resume,
}

impl SeriesState {
    /// Whether a reader may find samples in `mint..=maxt`, with those in order only from `in_order_from` on.
    pub(crate) fn may_have_any(&self, mint: i64, in_order_from: i64, maxt: i64) -> bool {
        self.may_have(mint.max(in_order_from), maxt)
            || self
                .out_of_order()
                .and_then(OutOfOrder::bounds)
                .is_some_and(|(first, last)| first <= maxt && last >= mint)
    }

    /// Whether a reader may find samples in a range among those that came in order.
    pub(crate) fn may_have(&self, mint: i64, maxt: i64) -> bool {
        self.chunks() > 0 && self.mint() <= maxt && self.last_t >= mint
    }

    /// Appends the visible samples in `mint..=maxt`, those that came in order only from `in_order_from` on.
    pub(crate) fn read(
        &self,
        (mint, in_order_from, maxt): (i64, i64, i64),
        seen: u64,
        out: &mut SampleBuffer,
    ) -> Result<(), DecodeError> {
        let base = out.len();
        self.read_in_order(mint.max(in_order_from), maxt, seen, out)?;
        if let Some(ooo) = self.out_of_order() {
            let before = out.len();
            ooo.read(mint, maxt, seen, out)?;
            if out.len() > before {
                merge::sort_and_dedup(out, base);
            }
        }
        Ok(())
    }

    /// As [`Self::read`], from where `resume` says if that is not too late, which it learns for the next time.
    pub(crate) fn read_on(
        &self,
        (mint, in_order_from, maxt): (i64, i64, i64),
        seen: u64,
        resume: &mut OpenResume,
        out: &mut SampleBuffer,
    ) -> Result<(), DecodeError> {
        let from = mint.max(in_order_from);
        let only_open =
            self.out_of_order().is_none() && self.closed().last().is_none_or(|c| c.maxt < from);
        match &self.open {
            Open::Float(c) if only_open => {
                let limit = usize::from(c.count()).saturating_sub(self.hidden(seen));
                if limit == 0 || self.open_mint > maxt || self.last_t < from {
                    return Ok(());
                }
                if resume.open_mint != self.open_mint {
                    *resume = OpenResume {
                        open_mint: self.open_mint,
                        place: Resume::default(),
                    };
                }
                c.read_on(limit, (from, maxt), &mut resume.place, out)
            }
            _ => self.read((mint, in_order_from, maxt), seen, out),
        }
    }

    /// How many of the newest samples a reader of transactions up to `seen` must not see.
    fn hidden(&self, seen: u64) -> usize {
        let older = self.apart.as_ref().and_then(|a| a.older_txns.as_deref());
        self.txns.hidden(seen, older.map_or(&[], Vec::as_slice))
    }

    /// The chunks with samples in `mint..=maxt`, for who decodes them later. `None` where a reader of transactions up
    /// to `seen` must not see all samples of them, or must see others too.
    pub(crate) fn whole_chunks(
        &self,
        mint: i64,
        maxt: i64,
        seen: u64,
    ) -> Option<Vec<EncodedChunk>> {
        if self.hidden(seen) > 0 || self.out_of_order().is_some() {
            return None;
        }
        let closed = self.closed().iter();
        let in_range = closed.filter(|c| c.maxt >= mint && c.mint <= maxt);
        let mut chunks: Vec<EncodedChunk> = in_range.cloned().collect();
        if self.open.samples() > 0 && self.open_mint <= maxt && self.last_t >= mint {
            chunks.push(self.open_chunk());
        }
        Some(chunks)
    }

    fn open_chunk(&self) -> EncodedChunk {
        EncodedChunk {
            mint: self.open_mint,
            maxt: self.last_t,
            encoding: self.open.encoding(),
            data: ChunkData::Memory(self.open.to_chunk()),
        }
    }

    pub(super) fn read_in_order(
        &self,
        mint: i64,
        maxt: i64,
        seen: u64,
        out: &mut SampleBuffer,
    ) -> Result<(), DecodeError> {
        let mut hidden = self.hidden(seen);
        let open = usize::from(self.open.samples());
        let open_limit = open.saturating_sub(hidden);
        hidden = hidden.saturating_sub(open);
        // Hidden samples are the newest: they may reach back over closed chunks.
        let mut limits = Vec::new();
        if hidden > 0 {
            limits = vec![usize::MAX; self.closed().len()];
            for (limit, c) in limits.iter_mut().zip(self.closed()).rev() {
                let n = usize::from(chunk::count(&c.data));
                *limit = n.saturating_sub(hidden);
                hidden = hidden.saturating_sub(n);
            }
        }
        let closed = self.closed().iter().enumerate();
        let mut closed = closed.filter(|(_, c)| c.maxt >= mint && c.mint <= maxt);
        if limits.is_empty() {
            let pieces: Vec<Piece<'_>> = closed.map(|(_, c)| c.piece()).collect();
            together::read_all(&pieces, mint, maxt, out).map_err(|(_, error)| error)?;
        } else {
            closed.try_for_each(|(i, c)| {
                let limit = limits.get(i).copied().unwrap_or(usize::MAX);
                chunk::read_into(c.encoding, &c.data, limit, mint, maxt, out)
            })?;
        }
        if open_limit > 0 && self.open_mint <= maxt && self.last_t >= mint {
            self.open.read_into(open_limit, mint, maxt, out)?;
        }
        Ok(())
    }

    /// All chunks, the open one included, by rising time.
    pub(crate) fn all_chunks(&self) -> Vec<EncodedChunk> {
        let mut out = self.closed().to_vec();
        if self.open.samples() > 0 {
            out.push(self.open_chunk());
        }
        out
    }

    /// [`Self::all_chunks`] without the samples that a reader must not see; those are the newest.
    pub(crate) fn visible_chunks(&self, seen: u64) -> Result<Vec<EncodedChunk>, DecodeError> {
        let mut chunks = self.all_chunks();
        let mut hidden = self.hidden(seen);
        while hidden > 0
            && let Some(last) = chunks.pop()
        {
            let samples = usize::from(chunk::count(&last.data));
            if hidden < samples {
                let visible = samples - hidden;
                let mut kept = Vec::with_capacity(visible);
                write::decode(last.encoding, &last.data, |t, s| {
                    if kept.len() < visible {
                        kept.push((t, s));
                    }
                })?;
                chunks.extend(write::encode(kept, UNCUT)?);
            }
            hidden = hidden.saturating_sub(samples);
        }
        Ok(chunks)
    }
}
