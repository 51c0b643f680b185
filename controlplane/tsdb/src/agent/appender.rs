//! Transactions on the log.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use bellwether_model::storage::{AppendError, Appender, SeriesRef, Zero};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels, Metadata};

use super::AgentDb;
use super::series::AgentSeries;
use crate::chunk::validate;
use crate::wal::record::{self, Base, WalExemplar, WalSample};

/// A sample that waits for the commit.
struct Pending<T> {
    series: Arc<AgentSeries>,
    t: i64,
    value: T,
}

/// A transaction.
pub(super) struct AgentAppender<'a> {
    db: &'a AgentDb,
    window: i64,
    /// Series that this transaction made: they have to be named in the log whatever becomes of it.
    new: Vec<Arc<AgentSeries>>,
    floats: Vec<Pending<f64>>,
    histograms: Vec<Pending<Histogram>>,
    float_histograms: Vec<Pending<FloatHistogram>>,
    exemplars: Vec<Pending<Exemplar>>,
    /// The series used last: the samples of a series come together.
    last: Option<Arc<AgentSeries>>,
}

/// Encoded records.
#[derive(Default)]
struct Records {
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Records {
    fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write(&mut self.bytes);
        self.ranges.push(start..self.bytes.len());
    }

    /// One record for those with custom bounds and one for the others.
    fn add_histograms<T>(
        &mut self,
        all: &[Pending<T>],
        kinds: [u8; 2],
        schema: impl Fn(&T) -> i32,
        add: impl Fn(Base, &mut Vec<u8>, &Pending<T>),
    ) {
        for (custom, kind) in [false, true].into_iter().zip(kinds) {
            let is_such = |p: &&Pending<T>| (schema(&p.value) == CUSTOM_BUCKETS_SCHEMA) == custom;
            let mut some = all.iter().filter(is_such).peekable();
            let Some(first) = some.peek() else { continue };
            let (reference, t) = (first.series.reference, first.t);
            self.add(|out| {
                let base = Base::begin(out, kind, reference, t);
                some.for_each(|p| add(base, out, p));
            });
        }
    }
}

impl<'a> AgentAppender<'a> {
    pub(super) fn new(db: &'a AgentDb) -> Self {
        Self {
            db,
            window: db.window_ms(),
            new: Vec::new(),
            floats: Vec::new(),
            histograms: Vec::new(),
            float_histograms: Vec::new(),
            exemplars: Vec::new(),
            last: None,
        }
    }

    fn resolve(&mut self, series: SeriesRef) -> Result<Arc<AgentSeries>, AppendError> {
        if let Some(last) = &self.last
            && last.reference == series.0
        {
            return Ok(Arc::clone(last));
        }
        let found = self.db.series.read().get(series.0).cloned();
        let found = found.ok_or(AppendError::UnknownSeries)?;
        self.last = Some(Arc::clone(&found));
        Ok(found)
    }

    /// As Prometheus: a sample must be newer than the newest in the log, less the window.
    fn admit(&self, series: &AgentSeries, t: i64) -> Result<(), AppendError> {
        if t > series.newest().saturating_sub(self.window) || series.newest() == i64::MIN {
            return Ok(());
        }
        self.db.counters.out_of_order.inc();
        Err(AppendError::OutOfOrder)
    }

    /// The series of this transaction that the log does not name yet; another transaction may have made them.
    fn unlogged(&self) -> Vec<&Arc<AgentSeries>> {
        let floats = self.floats.iter().map(|p| &p.series);
        let integer = self.histograms.iter().map(|p| &p.series);
        let float = self.float_histograms.iter().map(|p| &p.series);
        let exemplars = self.exemplars.iter().map(|p| &p.series);
        let used = floats.chain(integer).chain(float).chain(exemplars);
        let mut all: Vec<_> = used.chain(&self.new).filter(|s| !s.is_logged()).collect();
        all.sort_unstable_by_key(|s| s.reference);
        all.dedup_by_key(|s| s.reference);
        all
    }

    fn encode(&self) -> Records {
        let mut out = Records::default();
        let unlogged = self.unlogged();
        if !unlogged.is_empty() {
            out.add(|out| {
                record::begin_series(out);
                for series in unlogged {
                    record::add_series(out, series.reference, &series.labels);
                }
            });
        }
        if let Some(first) = self.floats.first() {
            out.add(|out| {
                let base = Base::begin(out, record::SAMPLES, first.series.reference, first.t);
                for p in &self.floats {
                    let sample = WalSample {
                        series: p.series.reference,
                        t: p.t,
                        v: p.value,
                    };
                    base.add_sample(out, sample);
                }
            });
        }
        out.add_histograms(
            &self.histograms,
            [record::HISTOGRAMS, record::CUSTOM_HISTOGRAMS],
            |h| h.schema,
            |base, out, p| base.add_histogram(out, p.series.reference, p.t, &p.value),
        );
        out.add_histograms(
            &self.float_histograms,
            [record::FLOAT_HISTOGRAMS, record::CUSTOM_FLOAT_HISTOGRAMS],
            |h| h.schema,
            |base, out, p| base.add_float_histogram(out, p.series.reference, p.t, &p.value),
        );
        if let Some(first) = self.exemplars.first() {
            out.add(|out| {
                let base = Base::begin(out, record::EXEMPLARS, first.series.reference, first.t);
                for p in &self.exemplars {
                    let exemplar = WalExemplar {
                        series: p.series.reference,
                        t: p.t,
                        v: p.value.value,
                        labels: p.value.labels.clone(),
                    };
                    base.add_exemplar(out, &exemplar);
                }
            });
        }
        out
    }

    /// Writes the records in one piece and tells who follows the log.
    fn log(&self, records: &Records) -> Result<(), AppendError> {
        if records.ranges.is_empty() {
            return Ok(());
        }
        let mut wal = self.db.wal.lock();
        let writer = wal
            .as_mut()
            .ok_or_else(|| AppendError::Wal("storage is closed".to_owned()))?;
        let parts = records.ranges.iter().map(|r| &records.bytes[r.clone()]);
        writer
            .log(parts)
            .map_err(|error| AppendError::Wal(error.to_string()))?;
        // Before the next transaction is logged, so that order in the log is order in time.
        self.note();
        self.db.log_end.set(writer.position());
        let sync_due = writer.sync_due();
        drop(wal);
        self.db.log_sync.after_commit(sync_due);
        Ok(())
    }

    fn note(&self) {
        let db = self.db;
        self.new.iter().for_each(|series| series.set_logged());
        let floats = self.floats.iter().map(|p| (&p.series, p.t));
        let integer = self.histograms.iter().map(|p| (&p.series, p.t));
        let float = self.float_histograms.iter().map(|p| (&p.series, p.t));
        for (series, t) in floats.chain(integer).chain(float) {
            series.set_logged();
            if !series.note(t) {
                db.counters.out_of_order.inc();
            }
            db.newest.fetch_max(t, Ordering::Relaxed);
        }
        db.counters.floats.add(self.floats.len() as u64);
        let histograms = self.histograms.len() + self.float_histograms.len();
        db.counters.histograms.add(histograms as u64);
        db.counters.exemplars.add(self.exemplars.len() as u64);
    }
}

impl Appender for AgentAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if labels.is_empty() {
            return Err(AppendError::InvalidLabels("empty labelset".into()));
        }
        let found = self.db.series.read().find(labels).cloned();
        let series = match found {
            Some(series) => series,
            None => {
                let mut all = self.db.series.write();
                match all.find(labels) {
                    Some(series) => Arc::clone(series),
                    None => {
                        let reference = self.db.next_ref.fetch_add(1, Ordering::Relaxed);
                        let series = AgentSeries::new(reference, labels.clone());
                        all.insert(Arc::clone(&series));
                        self.new.push(Arc::clone(&series));
                        series
                    }
                }
            }
        };
        let reference = SeriesRef(series.reference);
        self.last = Some(series);
        Ok(reference)
    }

    fn has(&mut self, series: SeriesRef) -> bool {
        self.resolve(series).is_ok()
    }

    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        let series = self.resolve(series)?;
        self.admit(&series, t)?;
        self.floats.push(Pending {
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
        let value = validate::check_int(h).map_err(AppendError::InvalidHistogram)?;
        let series = self.resolve(series)?;
        self.admit(&series, t)?;
        self.histograms.push(Pending { series, t, value });
        Ok(())
    }

    fn append_float_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: FloatHistogram,
    ) -> Result<(), AppendError> {
        let value = validate::check_float(h).map_err(AppendError::InvalidHistogram)?;
        let series = self.resolve(series)?;
        self.admit(&series, t)?;
        self.float_histograms.push(Pending { series, t, value });
        Ok(())
    }

    fn append_start(
        &mut self,
        series: SeriesRef,
        start: i64,
        t: i64,
        zero: Zero<'_>,
    ) -> Result<(), AppendError> {
        if start >= t || start <= self.resolve(series)?.newest() {
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
        let t = exemplar.timestamp_ms.unwrap_or(0);
        exemplar.timestamp_ms = Some(t);
        {
            let mut last = series.exemplar.lock();
            // The same again is taken and left out.
            if last.as_ref() == Some(&exemplar) {
                return Ok(());
            }
            *last = Some(exemplar.clone());
        }
        self.exemplars.push(Pending {
            series,
            t,
            value: exemplar,
        });
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        // As Prometheus: the agent's log has none.
        Ok(())
    }

    fn commit(mut self: Box<Self>) -> Result<(), AppendError> {
        let records = self.encode();
        self.log(&records)?;
        // Named in the log.
        self.new.clear();
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}

impl Drop for AgentAppender<'_> {
    /// Series that other transactions may use by now are named in the log even when this one ends without a commit.
    fn drop(&mut self) {
        if self.new.is_empty() {
            return;
        }
        self.floats.clear();
        self.histograms.clear();
        self.float_histograms.clear();
        self.exemplars.clear();
        let records = self.encode();
        if let Err(error) = self.log(&records) {
            tracing::error!(%error, "cannot name new series in the log");
        }
    }
}
