//! One series in memory: its open chunk, its closed chunks, and what readers may see of them.

use std::sync::Arc;

use bellwether_model::is_stale_nan;
use bellwether_model::storage::{AppendError, DuplicateFloat};
use parking_lot::RwLock;

use super::chunk_files::ChunkData;
use super::isolation::{OlderTxns, TxnLog};
use super::open::{Open, OpenHistogram};
use super::out_of_order::OutOfOrder;
use super::slab::{Marks, Page};
use super::symbols::Symbol;
use crate::block::chunks::EncodedChunk;
use crate::block::write::{self, Sample};
use crate::chunk::histogram::{CutFlags, Fit, Flat, HistogramAppender};
use crate::chunk::xor::XorAppender;
use crate::encoding::DecodeError;

mod read;

pub(super) use read::OpenResume;

/// Samples that a float chunk aims at.
const SAMPLES_PER_CHUNK: u16 = 120;
/// A float chunk with more bytes gets no further sample, so that it stays within 1024 bytes: a sample takes 19 at most.
const FLOAT_CHUNK_BYTES: usize = 1024 - 19;
/// Bytes that a histogram chunk aims at, with at least [`MIN_HISTOGRAMS`] samples.
const HISTOGRAM_CHUNK_BYTES: usize = 1024;
const MIN_HISTOGRAMS: u16 = 10;
/// A chunk range in milliseconds that no chunk reaches the end of, far from the ends of the integers.
const UNCUT: i64 = 1 << 60;

/// The part of a series that its lock guards. With the lock it is a cache line and a half, since every scrape touches
/// all of them; what few appends need is kept apart.
#[derive(Debug)]
pub(crate) struct SeriesState {
    pub(crate) open: Open,
    /// First time in the open chunk.
    pub(crate) open_mint: i64,
    /// A sample at or after this time begins a new chunk.
    next_at: i64,
    /// Newest time ever appended, `i64::MIN` before the first.
    pub(crate) last_t: i64,
    txns: TxnLog,
    apart: Option<Box<Apart>>,
}

/// What few appends need. Boxed once more where it is almost always none.
#[derive(Debug, Default)]
struct Apart {
    closed: Box<[EncodedChunk]>,
    older_txns: Option<Box<OlderTxns>>,
    out_of_order: Option<Box<OutOfOrder>>,
}

impl Apart {
    fn older_txns(&mut self) -> &mut OlderTxns {
        self.older_txns.get_or_insert_default()
    }
}

/// A series of the head, held by way of its page: as long as there is one, no series of the page is removed.
#[derive(Clone, Debug)]
pub(crate) struct MemSeries {
    page: Arc<Page>,
    /// Its dense id, which is its reference in the log.
    pub(crate) id: u32,
}

/// What the commit of a sample did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Stored.
    Stored {
        /// A new chunk began.
        new_chunk: bool,
    },
    /// Not newer than the newest sample.
    Refused,
}

/// Numbers of the transaction that appends.
#[derive(Clone, Copy)]
pub(crate) struct Txn {
    pub(crate) number: u64,
    pub(crate) watermark: u64,
    /// Chunks do not cross multiples of this many milliseconds.
    pub(crate) chunk_range: i64,
}

/// The end of the aligned range that a time is in; rounds towards zero as Prometheus does.
pub(crate) fn range_end(t: i64, width: i64) -> i64 {
    (t / width).saturating_mul(width).saturating_add(width)
}

/// The start of the aligned range that a time is in; rounds down, so that every time has a range of one width.
pub(crate) fn range_start(t: i64, width: i64) -> i64 {
    t.div_euclid(width).saturating_mul(width)
}

/// Predicts when a chunk that is a `1/ratio` full will be full, so that what is left of its range is split
/// evenly (Prometheus' `computeChunkEndTime`).
fn predicted_end(start: i64, current: i64, max: i64, ratio: f64) -> i64 {
    // A block range may be as long as time itself.
    let (left, used) = (max.saturating_sub(start), current.saturating_sub(start));
    let n = left as f64 / (used.saturating_add(1) as f64 * ratio);
    if n <= 1.0 {
        return max;
    }
    (start as f64 + left as f64 / n.floor()) as i64
}

impl MemSeries {
    /// The series of a page with an id that the page has.
    #[inline]
    pub(super) fn of(page: Arc<Page>, id: u32) -> Self {
        Self { page, id }
    }

    /// Its samples.
    #[inline]
    pub(crate) fn state(&self) -> &RwLock<SeriesState> {
        self.page.state(self.id)
    }

    /// What its page knows of it.
    #[inline]
    pub(super) fn marks(&self) -> &Marks {
        self.page.marks()
    }

    /// Symbols of its labels: name, value, name, value...
    pub(crate) fn symbols(&self) -> Vec<Symbol> {
        let mut symbols = Vec::with_capacity(16);
        self.each_symbol(|s| {
            symbols.push(s);
            true
        });
        symbols
    }

    /// Calls `each` with the symbols, until it says false.
    #[inline]
    pub(crate) fn each_symbol(&self, each: impl FnMut(Symbol) -> bool) {
        self.marks().each_symbol(self.id, each);
    }

    /// Whether the log has the series.
    #[inline]
    pub(crate) fn is_logged(&self) -> bool {
        self.marks().is_logged(self.id)
    }

    /// Stores a float sample.
    #[inline]
    pub(crate) fn append_float(&self, t: i64, v: f64, txn: Txn) -> Appended {
        let result = self.state().write().append_float(t, v, txn);
        self.marks().raise_newest(self.id, t);
        result
    }

    /// Stores a histogram.
    pub(crate) fn append_histogram<T: OpenHistogram>(
        &self,
        t: i64,
        sample: Flat<T>,
        txn: Txn,
    ) -> Result<Appended, DecodeError> {
        let result = self.state().write().append_histogram(t, sample, txn)?;
        self.marks().raise_newest(self.id, t);
        Ok(result)
    }

    /// Takes chunks that were read from files, see [`SeriesState::adopt`].
    pub(crate) fn adopt(&self, chunks: Vec<EncodedChunk>) -> usize {
        let mut state = self.state().write();
        let taken = state.adopt(chunks);
        self.marks().raise_newest(self.id, state.last_t);
        taken
    }

    /// Stores a sample that came out of order; false when one with its time came just before.
    pub(crate) fn insert_out_of_order(
        &self,
        t: i64,
        sample: Sample,
        txn: Txn,
    ) -> Result<bool, DecodeError> {
        let mut state = self.state().write();
        state.out_of_order_or_new().insert(t, sample, txn)
    }

    /// Notes that the log has the series.
    pub(crate) fn set_logged(&self) {
        self.marks().set_logged(self.id);
    }
}

impl Default for SeriesState {
    fn default() -> Self {
        Self {
            open: Open::Float(XorAppender::default()),
            open_mint: 0,
            next_at: 0,
            last_t: i64::MIN,
            txns: TxnLog::default(),
            apart: None,
        }
    }
}

impl SeriesState {
    /// Closed chunks, by rising time.
    pub(crate) fn closed(&self) -> &[EncodedChunk] {
        self.apart.as_ref().map_or(&[], |a| &a.closed)
    }

    /// Changes the list of closed chunks.
    fn change_closed<R>(&mut self, change: impl FnOnce(&mut Vec<EncodedChunk>) -> R) -> R {
        let apart = self.apart.get_or_insert_default();
        let mut closed = std::mem::take(&mut apart.closed).into_vec();
        let result = change(&mut closed);
        apart.closed = closed.into_boxed_slice();
        result
    }

    /// Samples that came out of order.
    pub(crate) fn out_of_order(&self) -> Option<&OutOfOrder> {
        self.apart.as_ref()?.out_of_order.as_deref()
    }

    pub(crate) fn out_of_order_mut(&mut self) -> Option<&mut OutOfOrder> {
        self.apart.as_mut()?.out_of_order.as_deref_mut()
    }

    /// The same, made where there are none.
    pub(crate) fn out_of_order_or_new(&mut self) -> &mut OutOfOrder {
        let apart = self.apart.get_or_insert_default();
        apart.out_of_order.get_or_insert_default()
    }

    pub(crate) fn drop_out_of_order(&mut self) {
        if let Some(apart) = &mut self.apart {
            apart.out_of_order = None;
        }
    }

    /// Notes that a transaction appends a sample.
    #[inline]
    fn note(&mut self, txn: Txn) {
        let apart = &mut self.apart;
        self.txns.append(txn.number, txn.watermark, || {
            apart.get_or_insert_default().older_txns()
        });
    }

    /// The newest byte of the open chunk, for bringing it near.
    #[inline]
    pub(crate) fn last_byte(&self) -> u8 {
        match &self.open {
            Open::Float(c) => c.last_byte(),
            Open::Histogram(_) | Open::FloatHistogram(_) => 0,
        }
    }

    /// Whether a float sample may be appended; the same sample again is a silent success.
    pub(crate) fn check_float(&self, t: i64, v: f64) -> Result<(), AppendError> {
        if t > self.last_t {
            return Ok(());
        }
        if t < self.last_t {
            return Err(AppendError::OutOfOrder);
        }
        let last = match (&self.open, self.newest_of_files()) {
            (_, Some(Sample::Float(last))) => last,
            (Open::Float(c), None) if c.count() > 0 => c.last_value(),
            // Nothing is known of it; it is left out when it is published.
            (Open::Float(_), None) => return Ok(()),
            _ => return Err(duplicate(t, None, v)),
        };
        match last.to_bits() == v.to_bits() {
            true => Ok(()),
            false => Err(duplicate(t, Some(last), v)),
        }
    }

    /// The newest sample, when it is the end of a closed chunk: after a start with chunks from files.
    fn newest_of_files(&self) -> Option<Sample> {
        let last = self.closed().last()?;
        if self.open.samples() > 0 || last.maxt != self.last_t {
            return None;
        }
        let mut newest = None;
        let decoded = write::decode(last.encoding, &last.data, |_, sample| newest = Some(sample));
        decoded.ok().and(newest)
    }

    /// The same for histograms.
    pub(crate) fn check_histogram<T: OpenHistogram>(
        &self,
        t: i64,
        sample: &Flat<T>,
    ) -> Result<(), AppendError> {
        if t > self.last_t {
            return Ok(());
        }
        if t < self.last_t {
            return Err(AppendError::OutOfOrder);
        }
        let same = match (T::of_ref(&self.open), self.newest_of_files()) {
            (Some(open), _) => open.last_equals(sample),
            (None, Some(last)) => T::of_sample(last).is_some_and(|h| {
                HistogramAppender::begin(t, h, CutFlags::UNKNOWN).last_equals(sample)
            }),
            (None, None) => false,
        };
        match same {
            true => Ok(()),
            false => Err(AppendError::DuplicateTimestamp(None)),
        }
    }

    /// Stores a float sample.
    #[inline]
    pub(crate) fn append_float(&mut self, t: i64, v: f64, txn: Txn) -> Appended {
        if t <= self.last_t {
            return Appended::Refused;
        }
        self.note(txn);
        let samples = match &self.open {
            Open::Float(c) if c.len() > FLOAT_CHUNK_BYTES => {
                self.close();
                0
            }
            Open::Float(c) => c.count(),
            Open::Histogram(_) | Open::FloatHistogram(_) => {
                self.close();
                0
            }
        };
        let mut new_chunk = samples == 0;
        if samples == SAMPLES_PER_CHUNK / 4 {
            self.next_at = predicted_end(self.open_mint, self.last_t, self.next_at, 4.0);
        }
        if !new_chunk && (t >= self.next_at || samples >= SAMPLES_PER_CHUNK * 2) {
            self.close();
            new_chunk = true;
        }
        if new_chunk {
            self.open_mint = t;
            self.next_at = range_end(t, txn.chunk_range);
        }
        // `close` left an empty float appender wherever another kind was open.
        if let Open::Float(c) = &mut self.open {
            c.append(self.last_t, t, v);
        }
        self.last_t = t;
        Appended::Stored { new_chunk }
    }

    /// Stores a histogram.
    pub(crate) fn append_histogram<T: OpenHistogram>(
        &mut self,
        t: i64,
        sample: Flat<T>,
        txn: Txn,
    ) -> Result<Appended, DecodeError> {
        if t <= self.last_t {
            return Ok(Appended::Refused);
        }
        let full = |c: &HistogramAppender<T>, mint: i64| {
            t >= range_end(mint, txn.chunk_range)
                || (c.samples() >= MIN_HISTOGRAMS && c.bytes().len() >= HISTOGRAM_CHUNK_BYTES)
                || c.samples() == u16::MAX
        };
        let mint = self.open_mint;
        let mut cut = Some(CutFlags::UNKNOWN);
        if let Some(c) = T::of(&mut self.open) {
            cut = if full(c, mint) {
                Some(c.next_flags(&sample))
            } else {
                match c.fit(&sample) {
                    Fit::Fits => None,
                    Fit::Widen(positive, negative) => {
                        c.recode(&positive, &negative)?;
                        None
                    }
                    Fit::Cut(flags) => Some(flags),
                }
            };
        }
        self.note(txn);
        let new_chunk = match (cut, T::of(&mut self.open)) {
            (None, Some(c)) => {
                c.append(t, sample);
                false
            }
            (flags, _) => {
                self.close();
                let flags = flags.unwrap_or(CutFlags::UNKNOWN);
                self.open = T::open(HistogramAppender::begin(t, sample, flags));
                self.open_mint = t;
                true
            }
        };
        self.last_t = t;
        Ok(Appended::Stored { new_chunk })
    }

    /// Moves the open chunk to the closed ones; `last_t` is still its end.
    fn close(&mut self) {
        if self.open.samples() > 0 {
            let chunk = EncodedChunk {
                mint: self.open_mint,
                maxt: self.last_t,
                encoding: self.open.encoding(),
                data: ChunkData::Memory(self.open.to_chunk()),
            };
            self.change_closed(|closed| {
                closed.reserve_exact(1);
                closed.push(chunk);
            });
        }
        // Most of its memory would lie idle for long in the next chunk.
        self.open = Open::Float(XorAppender::default());
    }

    /// Oldest time, `i64::MAX` without samples.
    pub(crate) fn mint(&self) -> i64 {
        match self.closed().first() {
            Some(c) => c.mint,
            None if self.open.samples() > 0 => self.open_mint,
            None => i64::MAX,
        }
    }

    /// Whether the series ended: its newest sample is a stale marker, and none came out of order.
    pub(crate) fn is_stale(&self) -> bool {
        if self.out_of_order().is_some() {
            return false;
        }
        match &self.open {
            open if open.samples() == 0 => match self.newest_of_files() {
                Some(Sample::Float(v)) => is_stale_nan(v),
                Some(Sample::Histogram(h)) => h.is_stale(),
                Some(Sample::FloatHistogram(h)) => h.is_stale(),
                None => false,
            },
            Open::Float(c) => is_stale_nan(c.last_value()),
            Open::Histogram(c) => c.is_last_stale(),
            Open::FloatHistogram(c) => c.is_last_stale(),
        }
    }

    /// Drops all samples that came in order, as if there had never been any. Returns the number of chunks.
    pub(crate) fn forget(&mut self) -> usize {
        let chunks = self.truncate(i64::MAX);
        self.last_t = i64::MIN;
        chunks
    }

    /// Number of chunks.
    pub(crate) fn chunks(&self) -> usize {
        self.closed().len() + usize::from(self.open.samples() > 0)
    }

    /// Whether there are no samples at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks() == 0 && self.out_of_order().is_none()
    }

    /// Oldest and newest time of all samples, `None` without any.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let in_order = (self.chunks() > 0).then(|| (self.mint(), self.last_t));
        let ooo = self.out_of_order().and_then(OutOfOrder::bounds);
        let both = in_order.into_iter().chain(ooo);
        both.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Takes chunks that were read from files. Chunks that are not newer than what is there are left out, and so are
    /// all from the first on that overlaps it. Samples may be there already when the log gave the series another
    /// number in between. Chunks that are newer must be taken then too: a later start, which has those samples in
    /// chunks, would take them, and skip what the log got meanwhile. Returns how many were taken.
    fn adopt(&mut self, chunks: Vec<EncodedChunk>) -> usize {
        let mut last_t = self.last_t;
        let mut taken = Vec::with_capacity(chunks.len());
        for c in chunks {
            if c.mint > last_t {
                last_t = c.maxt;
                taken.push(c);
            } else if c.maxt > last_t {
                // Of another life, which cut its chunks elsewhere: after this one there may be a gap.
                break;
            }
        }
        let count = taken.len();
        if count > 0 {
            self.close();
            self.last_t = last_t;
            self.change_closed(|closed| closed.append(&mut taken));
        }
        count
    }

    /// Bytes of closed chunks that are in memory.
    pub(crate) fn closed_in_memory(&self) -> usize {
        self.closed()
            .iter()
            .map(|c| match &c.data {
                ChunkData::Memory(bytes) => bytes.len(),
                ChunkData::File { .. } => 0,
            })
            .sum()
    }

    /// Closed chunks that are in memory, with their indexes.
    pub(crate) fn closed_chunks_in_memory(&self) -> Vec<(usize, EncodedChunk)> {
        self.closed()
            .iter()
            .enumerate()
            .filter(|(_, c)| matches!(c.data, ChunkData::Memory(_)))
            .map(|(i, c)| (i, c.clone()))
            .collect()
    }

    /// Puts a closed chunk's bytes elsewhere.
    pub(crate) fn replace_closed(&mut self, index: usize, data: ChunkData) {
        let apart = self.apart.as_mut();
        if let Some(c) = apart.and_then(|a| a.closed.get_mut(index)) {
            c.data = data;
        }
    }

    /// Drops chunks that end before a time. Returns how many.
    pub(crate) fn truncate(&mut self, mint: i64) -> usize {
        let before = self.chunks();
        if self.closed().iter().any(|c| c.maxt < mint) {
            self.change_closed(|closed| closed.retain(|c| c.maxt >= mint));
        }
        if self.last_t < mint {
            self.open = Open::Float(XorAppender::default());
        }
        before - self.chunks()
    }
}

/// The refusal of another value for the newest time.
#[cold]
fn duplicate(t: i64, existing: Option<f64>, new: f64) -> AppendError {
    AppendError::DuplicateTimestamp(Some(DuplicateFloat { t, existing, new }))
}

#[cfg(test)]
mod tests;
