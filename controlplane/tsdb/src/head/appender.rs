//! Write transactions.
//!
//! Appending checks a sample against its series and keeps it; commit encodes everything kept into records,
//! writes them to the log in one piece, and then publishes under the same lock.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use bellwether_model::storage::{AppendError, Appender, SeriesRef};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels, Metadata};

use super::Head;
use super::series::{Appended, MemSeries, Txn};
use crate::chunk::histogram::Flat;
use crate::chunk::validate;
use crate::wal::record::{self, Base, WalExemplar, WalSample};

/// Buffer sets kept for the next transactions.
const POOLED: usize = 16;
/// A buffer with room for more samples than this is not kept.
const POOLED_SAMPLES: usize = 100_000;

/// A sample that waits for the commit.
struct Pending<T> {
    series: Arc<MemSeries>,
    t: i64,
    value: T,
}

/// The memory of a transaction, reused by later ones.
#[derive(Default)]
pub(crate) struct Buffers {
    floats: Vec<Pending<f64>>,
    histograms: Vec<Pending<Histogram>>,
    float_histograms: Vec<Pending<FloatHistogram>>,
    exemplars: Vec<Pending<Arc<Exemplar>>>,
    metadata: Vec<(Arc<MemSeries>, Arc<Metadata>)>,
    /// Series that were looked up, held so that garbage collection leaves them until the transaction ends.
    pinned: Vec<Arc<MemSeries>>,
    /// Series that the log does not have yet.
    unlogged: Vec<Arc<MemSeries>>,
    /// Encoded records, one after the other.
    bytes: Vec<u8>,
    records: Vec<Range<usize>>,
}

impl Buffers {
    fn clear(&mut self) {
        self.floats.clear();
        self.histograms.clear();
        self.float_histograms.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.pinned.clear();
        self.unlogged.clear();
        self.bytes.clear();
        self.records.clear();
    }
}

/// A transaction on the head.
pub(crate) struct HeadAppender<'a> {
    head: &'a Head,
    b: Buffers,
}

impl<'a> HeadAppender<'a> {
    pub(crate) fn new(head: &'a Head) -> Self {
        head.open_appenders.fetch_add(1, Ordering::Relaxed);
        let b = head.buffers.lock().pop().unwrap_or_default();
        Self { head, b }
    }

    #[inline]
    fn resolve(&self, series: SeriesRef) -> Result<Arc<MemSeries>, AppendError> {
        self.head.get(series.0).ok_or_else(|| {
            self.head.counters.series_not_found.inc();
            AppendError::UnknownSeries
        })
    }

    #[inline]
    fn check_bounds(&self, t: i64) -> Result<(), AppendError> {
        if t < self.head.append_floor() {
            self.head.counters.out_of_bounds.inc();
            return Err(AppendError::OutOfBounds);
        }
        Ok(())
    }

    fn count_refusal(&self, e: AppendError) -> AppendError {
        match &e {
            AppendError::OutOfOrder => self.head.counters.out_of_order.inc(),
            AppendError::DuplicateTimestamp => self.head.counters.duplicates.inc(),
            _ => {}
        }
        e
    }

    /// Encodes the transaction in the order in which replay needs it.
    fn encode(&mut self) {
        let Buffers {
            floats,
            histograms,
            float_histograms,
            exemplars,
            metadata,
            unlogged,
            bytes,
            records,
            ..
        } = &mut self.b;
        let all = floats
            .iter()
            .map(|p| &p.series)
            .chain(histograms.iter().map(|p| &p.series))
            .chain(float_histograms.iter().map(|p| &p.series))
            .chain(exemplars.iter().map(|p| &p.series))
            .chain(metadata.iter().map(|p| &p.0));
        unlogged.extend(all.filter(|s| !s.is_logged()).cloned());
        unlogged.sort_unstable_by_key(|s| s.id);
        unlogged.dedup_by_key(|s| s.id);
        let mut record = |bytes: &mut Vec<u8>, write: &mut dyn FnMut(&mut Vec<u8>)| {
            let start = bytes.len();
            write(bytes);
            records.push(start..bytes.len());
        };
        if !unlogged.is_empty() {
            record(bytes, &mut |out| {
                record::begin_series(out);
                for s in &*unlogged {
                    record::add_series(out, u64::from(s.id), &self.head.labels(s));
                }
            });
        }
        if !metadata.is_empty() {
            record(bytes, &mut |out| {
                out.push(record::METADATA);
                for (s, m) in &*metadata {
                    record::add_metadata(out, u64::from(s.id), m);
                }
            });
        }
        if let Some(first) = floats.first() {
            record(bytes, &mut |out| {
                let base = Base::begin(out, record::SAMPLES, u64::from(first.series.id), first.t);
                for p in &*floats {
                    let series = u64::from(p.series.id);
                    base.add_sample(
                        out,
                        WalSample {
                            series,
                            t: p.t,
                            v: p.value,
                        },
                    );
                }
            });
        }
        for (custom, kind, float_kind) in [
            (false, record::HISTOGRAMS, record::FLOAT_HISTOGRAMS),
            (
                true,
                record::CUSTOM_HISTOGRAMS,
                record::CUSTOM_FLOAT_HISTOGRAMS,
            ),
        ] {
            let of = |schema: i32| (schema == CUSTOM_BUCKETS_SCHEMA) == custom;
            let mut some = histograms.iter().filter(|p| of(p.value.schema)).peekable();
            if let Some(first) = some.peek() {
                let (series, t) = (u64::from(first.series.id), first.t);
                record(bytes, &mut |out| {
                    let base = Base::begin(out, kind, series, t);
                    for p in some.by_ref() {
                        base.add_histogram(out, u64::from(p.series.id), p.t, &p.value);
                    }
                });
            }
            let mut some = float_histograms
                .iter()
                .filter(|p| of(p.value.schema))
                .peekable();
            if let Some(first) = some.peek() {
                let (series, t) = (u64::from(first.series.id), first.t);
                record(bytes, &mut |out| {
                    let base = Base::begin(out, float_kind, series, t);
                    for p in some.by_ref() {
                        base.add_float_histogram(out, u64::from(p.series.id), p.t, &p.value);
                    }
                });
            }
        }
        if let Some(first) = exemplars.first() {
            record(bytes, &mut |out| {
                let base = Base::begin(out, record::EXEMPLARS, u64::from(first.series.id), first.t);
                for p in &*exemplars {
                    base.add_exemplar(
                        out,
                        &WalExemplar {
                            series: u64::from(p.series.id),
                            t: p.t,
                            v: p.value.value,
                            labels: p.value.labels.clone(),
                        },
                    );
                }
            });
        }
    }

    fn log_and_publish(&mut self) -> Result<(), AppendError> {
        self.encode();
        if self.b.records.is_empty() {
            return Ok(());
        }
        let head = self.head;
        let mut wal = head.wal.lock();
        let Some(writer) = wal.as_mut() else {
            return Err(AppendError::Wal("storage is closed".into()));
        };
        let bytes = &self.b.bytes;
        match writer.log(self.b.records.iter().map(|r| &bytes[r.clone()])) {
            Ok(written) => head.counters.wal_bytes.add(written),
            Err(e) => {
                head.counters.wal_writes_failed.inc();
                return Err(AppendError::Wal(e.to_string()));
            }
        }
        for s in &self.b.unlogged {
            s.set_logged();
        }
        let (number, watermark) = head.isolation.begin();
        self.publish(Txn {
            number,
            watermark,
            chunk_range: head.options.block_range,
        });
        head.isolation.publish(number);
        Ok(())
    }

    fn publish(&mut self, txn: Txn) {
        let head = self.head;
        let mut done = Published::default();
        // Checked again: a block may have been cut since the samples were taken.
        let floor = head.min_valid.load(Ordering::Acquire);
        for p in &self.b.floats {
            if p.t < floor {
                head.counters.out_of_bounds.inc();
                continue;
            }
            let result = p.series.append_float(p.t, p.value, txn);
            done.note(result, p.t);
        }
        head.counters.floats.add(done.stored);
        let floats = done.stored;
        for p in self.b.histograms.drain(..) {
            if p.t < floor {
                head.counters.out_of_bounds.inc();
                continue;
            }
            let sample = Flat::from(p.value);
            match p.series.append_histogram(p.t, sample, txn) {
                Ok(result) => done.note(result, p.t),
                Err(e) => {
                    tracing::error!(error = %e, "histogram chunk does not decode, sample dropped");
                }
            }
        }
        for p in self.b.float_histograms.drain(..) {
            if p.t < floor {
                head.counters.out_of_bounds.inc();
                continue;
            }
            let sample = Flat::from(p.value);
            match p.series.append_histogram(p.t, sample, txn) {
                Ok(result) => done.note(result, p.t),
                Err(e) => {
                    tracing::error!(error = %e, "histogram chunk does not decode, sample dropped");
                }
            }
        }
        head.counters.histograms.add(done.stored - floats);
        head.counters.chunks_created.add(done.chunks);
        head.num_chunks
            .fetch_add(done.chunks as i64, Ordering::Relaxed);
        head.widen_times(done.mint, done.maxt);
        if !self.b.exemplars.is_empty() {
            let mut ring = head.exemplars.lock();
            for p in self.b.exemplars.drain(..) {
                if ring.add(p.series.id, p.t, p.value) {
                    head.counters.exemplars_appended.inc();
                }
            }
        }
        if !self.b.metadata.is_empty() {
            let mut all = head.metadata.write();
            for (s, m) in self.b.metadata.drain(..) {
                all.insert(s.id, m);
            }
        }
    }
}

/// Sums of one publication.
struct Published {
    stored: u64,
    chunks: u64,
    mint: i64,
    maxt: i64,
}

impl Default for Published {
    fn default() -> Self {
        Self {
            stored: 0,
            chunks: 0,
            mint: i64::MAX,
            maxt: i64::MIN,
        }
    }
}

impl Published {
    #[inline]
    fn note(&mut self, result: Appended, t: i64) {
        if let Appended::Stored { new_chunk } = result {
            self.stored += 1;
            self.chunks += u64::from(new_chunk);
            self.mint = self.mint.min(t);
            self.maxt = self.maxt.max(t);
        }
    }
}

impl Drop for HeadAppender<'_> {
    fn drop(&mut self) {
        self.head.open_appenders.fetch_sub(1, Ordering::Relaxed);
        let mut b = std::mem::take(&mut self.b);
        b.clear();
        if b.floats.capacity() <= POOLED_SAMPLES {
            let mut pool = self.head.buffers.lock();
            if pool.len() < POOLED {
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
    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        let series = self.resolve(series)?;
        self.check_bounds(t)?;
        let verdict = series.check_float(t, v);
        verdict.map_err(|e| self.count_refusal(e))?;
        self.b.floats.push(Pending {
            series,
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
        self.check_bounds(t)?;
        let sample = Flat::from(h);
        let verdict = series.state.read().check_histogram(t, &sample);
        verdict.map_err(|e| self.count_refusal(e))?;
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
        self.check_bounds(t)?;
        let sample = Flat::from(h);
        let verdict = series.state.read().check_histogram(t, &sample);
        verdict.map_err(|e| self.count_refusal(e))?;
        let value = sample.to_model();
        self.b.float_histograms.push(Pending { series, t, value });
        Ok(())
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
