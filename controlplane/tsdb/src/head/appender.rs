//! Write transactions.
//!
//! Appending checks a sample against its series and keeps it; commit encodes everything kept into records,
//! writes them to the log in one piece, and then publishes under the same lock. With an out-of-order window the
//! commit first sorts out, under that lock, what comes out of order; that goes to a log of its own (`wbl`).

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use bellwether_model::storage::{AppendError, Appender, SeriesRef, Zero};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels, Metadata};

use super::Head;
use super::series::{MemSeries, Txn};
use super::slab::{Marks, Page};
use crate::chunk::histogram::Flat;
use crate::chunk::validate;
use crate::stats::Counter;
use crate::wal::writer::{SyncDue, WalWriter};

/// A buffer with room for more samples than this is not kept.
const POOLED_SAMPLES: usize = 100_000;

/// A buffer of so many bytes is kept however little of it is used.
const KEPT_BYTES: usize = 128 << 10;

/// Buffer sets kept for the next transactions: as many as are likely to be under way at once.
fn pooled() -> usize {
    static CORES: LazyLock<usize> =
        LazyLock::new(|| std::thread::available_parallelism().map_or(1, usize::from));
    *CORES
}

/// A sample that waits for the commit.
pub(super) struct Pending<T> {
    pub(super) series: MemSeries,
    pub(super) t: i64,
    pub(super) value: T,
}

/// A float sample that waits for the commit. Its series is held by its page, so that taking it in touches neither
/// a lock nor a reference count.
#[derive(Clone, Copy)]
pub(super) struct PendingFloat {
    /// Index into [`Buffers::pages`].
    page: u32,
    pub(super) id: u32,
    pub(super) t: i64,
    pub(super) value: f64,
}

impl PendingFloat {
    #[inline]
    pub(super) fn page<'p>(&self, pages: &'p [Arc<Page>]) -> &'p Arc<Page> {
        &pages[self.page as usize]
    }
}

/// The memory of a transaction, reused by later ones.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(super) floats: Vec<PendingFloat>,
    /// Pages of the floats' series.
    pub(super) pages: Vec<Arc<Page>>,
    pub(super) histograms: Vec<Pending<Histogram>>,
    pub(super) float_histograms: Vec<Pending<FloatHistogram>>,
    /// Those of the above that turned out to come out of order.
    pub(super) late: Late,
    pub(super) exemplars: Vec<Pending<Arc<Exemplar>>>,
    pub(super) metadata: Vec<(MemSeries, Arc<Metadata>)>,
    /// Series that were looked up, held so that garbage collection leaves them until the transaction ends.
    pinned: Vec<MemSeries>,
    /// Series that the log does not have yet.
    pub(super) unlogged: Vec<MemSeries>,
    /// Encoded records, one after the other: those of the log, then those of the out-of-order log.
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Range<usize>>,
    pub(super) late_records: Vec<Range<usize>>,
}

/// Samples that came out of order.
#[derive(Default)]
pub(super) struct Late {
    pub(super) floats: Vec<Pending<f64>>,
    pub(super) histograms: Vec<Pending<Histogram>>,
    pub(super) float_histograms: Vec<Pending<FloatHistogram>>,
}

impl Late {
    fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.float_histograms.clear();
    }
}

/// Gives a large buffer's memory back where the transaction needed less than a third of it: one with many new series
/// would pin the memory for their names.
pub(crate) fn give_back_surplus<T>(buffer: &mut Vec<T>) {
    let is_large = buffer.capacity() * size_of::<T>() > KEPT_BYTES;
    if is_large && buffer.capacity() > 3 * buffer.len() {
        *buffer = Vec::new();
    }
}

impl Buffers {
    fn give_back_surplus(&mut self) {
        give_back_surplus(&mut self.pinned);
        give_back_surplus(&mut self.unlogged);
        give_back_surplus(&mut self.bytes);
    }

    fn clear(&mut self) {
        self.floats.clear();
        self.pages.clear();
        self.histograms.clear();
        self.float_histograms.clear();
        self.late.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.pinned.clear();
        self.unlogged.clear();
        self.bytes.clear();
        self.records.clear();
        self.late_records.clear();
    }
}

/// A transaction on the head.
pub(crate) struct HeadAppender<'a> {
    pub(super) head: &'a Head,
    pub(super) b: Buffers,
    /// The oldest time that may still come in order, as of the beginning.
    floor: i64,
    /// The oldest time that may come out of order; `None` when nothing may.
    late_floor: Option<i64>,
}

impl<'a> HeadAppender<'a> {
    pub(crate) fn new(head: &'a Head) -> Self {
        head.open_appenders.fetch_add(1, Ordering::Relaxed);
        let b = head.buffers.lock().pop().unwrap_or_default();
        let window = head.out_of_order_window.load(Ordering::Relaxed);
        Self {
            head,
            b,
            floor: head.append_floor(),
            late_floor: (window > 0).then(|| head.max_time().saturating_sub(window)),
        }
    }

    #[inline]
    fn resolve(&self, series: SeriesRef) -> Result<MemSeries, AppendError> {
        self.head.get(series.0).ok_or_else(|| self.unknown())
    }

    #[cold]
    fn unknown(&self) -> AppendError {
        self.head.counters.series_not_found.inc();
        AppendError::UnknownSeries
    }

    /// The page of a reference, as index into the transaction's pages. Series of a target have neighbouring ids.
    #[inline]
    fn page_of(&mut self, series: SeriesRef) -> Option<(usize, u32)> {
        let id = u32::try_from(series.0).ok()?;
        if !self.b.pages.last().is_some_and(|page| page.covers(id)) {
            self.b.pages.push(self.head.page(id)?);
        }
        Some((self.b.pages.len() - 1, id))
    }

    /// Whether a sample may come at a time, given what its series says of it in order. Errors and their order
    /// are those of Prometheus' `memSeries.appendable`.
    #[inline]
    fn admit(
        &self,
        t: i64,
        in_order: impl FnOnce() -> Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        let verdict = if t >= self.floor {
            in_order()
        } else {
            Err(AppendError::OutOfBounds)
        };
        match verdict {
            Ok(()) => Ok(()),
            Err(e) => self.admit_late(t, e),
        }
    }

    #[cold]
    fn admit_late(&self, t: i64, refusal: AppendError) -> Result<(), AppendError> {
        let counters = &self.head.counters;
        match (&refusal, self.late_floor) {
            (AppendError::OutOfOrder | AppendError::OutOfBounds, Some(floor)) => {
                if t >= floor {
                    return Ok(());
                }
                counters.too_old.inc();
                return Err(AppendError::TooOld);
            }
            (AppendError::OutOfOrder, None) => counters.out_of_order.inc(),
            (AppendError::OutOfBounds, None) => counters.out_of_bounds.inc(),
            (AppendError::DuplicateTimestamp(_), _) => counters.duplicates.inc(),
            _ => {}
        }
        Err(refusal)
    }

    /// The oldest start that a counter with a sample at `t` may tell. With an empty head, time begins with the sample.
    fn start_floor(&self, t: i64) -> i64 {
        match self.head.max_time() {
            i64::MIN => (self.floor).max(t.saturating_sub(self.head.options.block_range / 2)),
            _ => self.floor,
        }
    }

    /// Sorts out what comes out of order. The caller holds the commit lock: only now is it certain what does,
    /// since other transactions may have gone before. Each series' newest time runs ahead with the transaction.
    fn part_late(&mut self, late_floor: i64) {
        let floor = self.floor.max(self.head.min_valid.load(Ordering::Acquire));
        let part = Part {
            floor,
            late_floor,
            too_old: &self.head.counters.too_old,
        };
        let b = &mut self.b;
        part.split_floats(&mut b.floats, &b.pages, &mut b.late.floats);
        part.split(&mut b.histograms, &mut b.late.histograms);
        part.split(&mut b.float_histograms, &mut b.late.float_histograms);
    }

    /// After [`Self::part_late`], when the transaction failed.
    fn reset_newest(&self) {
        let b = &self.b;
        for p in &b.floats {
            let page = p.page(&b.pages);
            page.marks()
                .set_newest(p.id, page.state(p.id).read().last_t);
        }
        let histograms = b.histograms.iter().map(|p| &p.series);
        for s in histograms.chain(b.float_histograms.iter().map(|p| &p.series)) {
            s.marks().set_newest(s.id, s.state().read().last_t);
        }
    }

    fn log_and_publish(&mut self) -> Result<(), AppendError> {
        let head = self.head;
        let mut wal;
        if let Some(late_floor) = self.late_floor {
            wal = head.wal.lock();
            self.part_late(late_floor);
            self.encode();
        } else {
            self.encode();
            wal = head.wal.lock();
        }
        if self.b.records.is_empty() && self.b.late_records.is_empty() {
            return Ok(());
        }
        let logged = self.log(&mut wal);
        let due = |log: &Option<WalWriter>| log.as_ref().map_or(SyncDue::No, WalWriter::sync_due);
        let mut sync_due = due(&wal);
        if !self.b.late_records.is_empty() {
            sync_due = sync_due.max(due(&head.wbl.lock()));
        }
        match &logged {
            Ok(()) => {
                self.publish_logged();
                if let Some(writer) = wal.as_ref() {
                    head.log_end.set(writer.position());
                }
            }
            Err(_) if self.late_floor.is_some() => self.reset_newest(),
            Err(_) => {}
        }
        drop(wal);
        head.log_sync.after_commit(sync_due);
        logged
    }

    /// Makes visible what is in the log. The caller holds the commit lock.
    fn publish_logged(&mut self) {
        let head = self.head;
        for s in &self.b.unlogged {
            s.set_logged();
        }
        let (number, watermark) = head.isolation.begin();
        let txn = Txn {
            number,
            watermark,
            chunk_range: head.options.block_range,
        };
        self.publish(txn);
        self.publish_late(txn);
        head.isolation.publish(number);
    }

    /// Writes the records to both logs, or to none.
    fn log(&self, wal: &mut Option<WalWriter>) -> Result<(), AppendError> {
        let counters = &self.head.counters;
        let write = |writer: &mut WalWriter, records: &[Range<usize>]| {
            let bytes = &self.b.bytes;
            writer
                .log(records.iter().map(|r| &bytes[r.clone()]))
                .inspect(|written| counters.wal_bytes.add(*written))
                .map_err(|e| {
                    counters.wal_writes_failed.inc();
                    AppendError::Wal(e.to_string())
                })
        };
        let closed = || AppendError::Wal("storage is closed".into());
        let writer = wal.as_mut().ok_or_else(closed)?;
        let written = match self.b.records.as_slice() {
            [] => 0,
            records => write(writer, records)?,
        };
        if self.b.late_records.is_empty() {
            return Ok(());
        }
        let mut wbl = self.head.wbl.lock();
        let late = wbl
            .as_mut()
            .ok_or_else(closed)
            .and_then(|wbl| write(wbl, &self.b.late_records));
        if late.is_err() && written > 0 {
            writer.undo(written);
        }
        late.map(|_| ())
    }
}

/// The bounds by which samples are found to be late.
struct Part<'a> {
    floor: i64,
    late_floor: i64,
    too_old: &'a Counter,
}

impl Part<'_> {
    fn is_late(&self, marks: &Marks, id: u32, t: i64) -> bool {
        if t >= self.floor && t >= marks.newest(id) {
            // At the newest time itself it is a duplicate, which publication leaves out.
            marks.set_newest(id, t);
            return false;
        }
        true
    }

    fn keep<T>(&self, late: &mut Vec<Pending<T>>, p: Pending<T>) {
        if p.t >= self.late_floor {
            late.push(p);
        } else {
            self.too_old.inc();
        }
    }

    fn split<T>(&self, all: &mut Vec<Pending<T>>, late: &mut Vec<Pending<T>>) {
        for p in all.extract_if(.., |p| self.is_late(p.series.marks(), p.series.id, p.t)) {
            self.keep(late, p);
        }
    }

    fn split_floats(
        &self,
        all: &mut Vec<PendingFloat>,
        pages: &[Arc<Page>],
        late: &mut Vec<Pending<f64>>,
    ) {
        let is_late = |p: &mut PendingFloat| self.is_late(p.page(pages).marks(), p.id, p.t);
        for p in all.extract_if(.., is_late) {
            let series = MemSeries::of(Arc::clone(p.page(pages)), p.id);
            let (t, value) = (p.t, p.value);
            self.keep(late, Pending { series, t, value });
        }
    }
}

impl Drop for HeadAppender<'_> {
    fn drop(&mut self) {
        self.head.open_appenders.fetch_sub(1, Ordering::Relaxed);
        let mut b = std::mem::take(&mut self.b);
        b.give_back_surplus();
        b.clear();
        if b.floats.capacity() <= POOLED_SAMPLES {
            let mut pool = self.head.buffers.lock();
            if pool.len() < pooled() {
                pool.push(b);
            }
        }
    }
}

impl Appender for HeadAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if labels.is_empty() {
            return Err(AppendError::InvalidLabels("empty labelset".into()));
        }
        let (series, _) = self.head.get_or_create(labels, None)?;
        let id = SeriesRef(u64::from(series.id));
        self.b.pinned.push(series);
        Ok(id)
    }

    #[inline]
    fn has(&mut self, series: SeriesRef) -> bool {
        // The page keeps its series.
        self.page_of(series)
            .is_some_and(|(page, id)| self.b.pages[page].has(id))
    }

    #[inline]
    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        let (page, id) = self.page_of(series).ok_or_else(|| self.unknown())?;
        let holder = &self.b.pages[page];
        if !holder.has(id) {
            return Err(self.unknown());
        }
        self.admit(t, || {
            if t > holder.marks().newest(id) {
                return Ok(());
            }
            holder.state(id).read().check_float(t, v)
        })?;
        if !holder.marks().is_logged(id) {
            let series = MemSeries::of(Arc::clone(holder), id);
            self.b.unlogged.push(series);
        }
        self.b.floats.push(PendingFloat {
            // A transaction of 2^32 pages does not fit into memory.
            page: page as u32,
            id,
            t,
            value: v,
        });
        Ok(())
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: Histogram,
    ) -> Result<(), AppendError> {
        let h = validate::check_int(h).map_err(AppendError::InvalidHistogram)?;
        let series = self.resolve(series)?;
        let sample = Flat::from(h);
        self.admit(t, || series.state().read().check_histogram(t, &sample))?;
        let value = sample.to_model();
        self.b.histograms.push(Pending { series, t, value });
        Ok(())
    }

    fn append_float_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: FloatHistogram,
    ) -> Result<(), AppendError> {
        let h = validate::check_float(h).map_err(AppendError::InvalidHistogram)?;
        let series = self.resolve(series)?;
        let sample = Flat::from(h);
        self.admit(t, || series.state().read().check_histogram(t, &sample))?;
        let value = sample.to_model();
        self.b.float_histograms.push(Pending { series, t, value });
        Ok(())
    }

    fn append_start(
        &mut self,
        series: SeriesRef,
        start: i64,
        t: i64,
        zero: Zero<'_>,
    ) -> Result<(), AppendError> {
        let (page, id) = self.page_of(series).ok_or_else(|| self.unknown())?;
        let page = &self.b.pages[page];
        if !page.has(id) {
            return Err(self.unknown());
        }
        // Nearly always it is the start that an earlier sample told.
        if start >= t || start <= page.marks().newest(id) || start < self.start_floor(t) {
            return Ok(());
        }
        match zero {
            Zero::Float => self.append(series, start, 0.0),
            Zero::Histogram(h) => self.append_histogram(series, start, h.start()),
            Zero::FloatHistogram(h) => self.append_float_histogram(series, start, h.start()),
        }
    }

    fn append_exemplar(
        &mut self,
        series: SeriesRef,
        mut exemplar: Exemplar,
    ) -> Result<(), AppendError> {
        let series = self.resolve(series)?;
        // The callers give a scraped exemplar without a time its sample's time; a missing one counts as 0.
        let t = exemplar.timestamp_ms.unwrap_or(0);
        exemplar.timestamp_ms = Some(t);
        {
            let ring = self.head.exemplars.lock();
            if !ring.is_enabled() {
                return Ok(());
            }
            if let Err(e) = ring.check(series.id, t, &exemplar) {
                if matches!(e, AppendError::OutOfOrderExemplar) {
                    self.head.counters.exemplars_out_of_order.inc();
                }
                return Err(e);
            }
        }
        let value = Arc::new(exemplar);
        self.b.exemplars.push(Pending { series, t, value });
        Ok(())
    }

    fn update_metadata(
        &mut self,
        series: SeriesRef,
        metadata: &Metadata,
    ) -> Result<(), AppendError> {
        let series = self.resolve(series)?;
        let known = self.head.metadata.read().get(&series.id).cloned();
        if known.is_some_and(|m| *m == *metadata) {
            return Ok(());
        }
        // Families share one text: the metrics of a histogram come one after the other.
        let shared = match self.b.metadata.last() {
            Some((_, last)) if **last == *metadata => Arc::clone(last),
            _ => Arc::new(metadata.clone()),
        };
        self.b.metadata.push((series, shared));
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), AppendError> {
        self.log_and_publish()
    }

    fn rollback(self: Box<Self>) {}
}
