//! The records of a transaction.

use std::ops::Range;
use std::sync::atomic::Ordering;

use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram};

use super::appender::{HeadAppender, Pending};
use crate::wal::record::{self, Base, WalExemplar, WalSample};

/// Encoded records and where each lies in the bytes.
struct Output<'a> {
    bytes: &'a mut Vec<u8>,
    records: &'a mut Vec<Range<usize>>,
    /// Each record goes into the envelope of out-of-order samples.
    in_envelope: bool,
}

impl Output<'_> {
    fn record(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        if self.in_envelope {
            self.bytes.push(record::LATE);
        }
        write(self.bytes);
        self.records.push(start..self.bytes.len());
    }

    /// Ids, times and values.
    fn floats(&mut self, all: impl IntoIterator<Item = (u32, i64, f64)>) {
        let mut all = all.into_iter().peekable();
        let Some(&(id, t, _)) = all.peek() else {
            return;
        };
        self.record(|out| {
            let base = Base::begin(out, record::SAMPLES, u64::from(id), t);
            for (id, t, v) in all {
                let series = u64::from(id);
                base.add_sample(out, WalSample { series, t, v });
            }
        });
    }

    /// One record for those with custom bounds and one for the others.
    fn histograms<T>(
        &mut self,
        all: &[Pending<T>],
        kinds: [u8; 2],
        schema: impl Fn(&T) -> i32,
        add: impl Fn(Base, &mut Vec<u8>, &Pending<T>),
    ) {
        for (custom, kind) in [false, true].into_iter().zip(kinds) {
            let mut some = all
                .iter()
                .filter(|p| (schema(&p.value) == CUSTOM_BUCKETS_SCHEMA) == custom)
                .peekable();
            let Some(first) = some.peek() else { continue };
            let (series, t) = (u64::from(first.series.id), first.t);
            self.record(|out| {
                let base = Base::begin(out, kind, series, t);
                for p in some {
                    add(base, out, p);
                }
            });
        }
    }

    fn histogram_samples(
        &mut self,
        histograms: &[Pending<Histogram>],
        float_histograms: &[Pending<FloatHistogram>],
    ) {
        self.histograms(
            histograms,
            [record::HISTOGRAMS, record::CUSTOM_HISTOGRAMS],
            |h| h.schema,
            |base, out, p| base.add_histogram(out, u64::from(p.series.id), p.t, &p.value),
        );
        self.histograms(
            float_histograms,
            [record::FLOAT_HISTOGRAMS, record::CUSTOM_FLOAT_HISTOGRAMS],
            |h| h.schema,
            |base, out, p| base.add_float_histogram(out, u64::from(p.series.id), p.t, &p.value),
        );
    }
}

impl HeadAppender<'_> {
    /// Encodes the transaction in the order in which replay needs it.
    pub(super) fn encode(&mut self) {
        self.find_unlogged();
        let head = self.head;
        let b = &mut self.b;
        let mut out = Output {
            bytes: &mut b.bytes,
            records: &mut b.records,
            in_envelope: false,
        };
        if !b.unlogged.is_empty() {
            out.record(|out| {
                record::begin_series(out);
                for s in &b.unlogged {
                    record::add_series(out, u64::from(s.id), &head.labels(s));
                }
            });
        }
        if !b.metadata.is_empty() {
            out.record(|out| {
                out.push(record::METADATA);
                for (s, m) in &b.metadata {
                    record::add_metadata(out, u64::from(s.id), m);
                }
            });
        }
        out.floats(b.floats.iter().map(|p| (p.id, p.t, p.value)));
        out.histogram_samples(&b.histograms, &b.float_histograms);
        if let Some(first) = b.exemplars.first() {
            out.record(|out| {
                let base = Base::begin(out, record::EXEMPLARS, u64::from(first.series.id), first.t);
                for p in &b.exemplars {
                    let exemplar = WalExemplar {
                        series: u64::from(p.series.id),
                        t: p.t,
                        v: p.value.value,
                        labels: p.value.labels.clone(),
                    };
                    base.add_exemplar(out, &exemplar);
                }
            });
        }
        let late = &b.late;
        let put_late = |out: &mut Output<'_>| {
            out.floats(late.floats.iter().map(|p| (p.series.id, p.t, p.value)));
            out.histogram_samples(&late.histograms, &late.float_histograms);
        };
        if head.is_tailed.load(Ordering::Relaxed) {
            out.in_envelope = true;
            put_late(&mut out);
            out.in_envelope = false;
        }
        out.records = &mut b.late_records;
        put_late(&mut out);
    }

    fn find_unlogged(&mut self) {
        let b = &mut self.b;
        let all = b
            .histograms
            .iter()
            .map(|p| &p.series)
            .chain(b.float_histograms.iter().map(|p| &p.series))
            .chain(b.late.histograms.iter().map(|p| &p.series))
            .chain(b.late.float_histograms.iter().map(|p| &p.series))
            .chain(b.exemplars.iter().map(|p| &p.series))
            .chain(b.metadata.iter().map(|p| &p.0));
        b.unlogged.extend(all.filter(|s| !s.is_logged()).cloned());
        // Floats have put theirs there already; other transactions may have logged some since.
        b.unlogged.retain(|s| !s.is_logged());
        b.unlogged.sort_unstable_by_key(|s| s.id);
        b.unlogged.dedup_by_key(|s| s.id);
    }
}
