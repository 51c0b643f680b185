//! The samples of a log record, as the watcher takes them.

use bellwether_model::{FloatHistogram, Histogram};
use bellwether_tsdb::log_tail::{LogRecord, RecordKind};

use crate::request::HistogramRecord;
use crate::send::batch::{Counts, Other};
use crate::send::shards::Shared;

/// What was left out of a record.
#[derive(Default)]
pub(super) struct Left {
    pub(super) too_old: Counts,
    pub(super) dropped: Counts,
    pub(super) unknown: Counts,
    pub(super) custom_bounds: Counts,
}

/// A sample with what it is.
pub(super) struct One {
    pub(super) reference: u64,
    pub(super) t: i64,
    pub(super) v: f64,
    /// `None` for a float sample.
    pub(super) other: Option<Other>,
}

/// The samples of a record; floats are in the watcher's scratch.
pub(super) enum Samples {
    None,
    Floats,
    Others(Vec<One>),
}

impl Samples {
    pub(super) fn of(
        record: &LogRecord<'_>,
        scratch: &mut Vec<(u64, i64, f64)>,
        shared: &Shared,
    ) -> Self {
        let settings = &shared.settings;
        let decoded = match record.kind() {
            RecordKind::Samples => {
                scratch.clear();
                record
                    .samples(|reference, t, v| scratch.push((reference, t, v)))
                    .map(|()| Self::Floats)
            }
            RecordKind::Histograms | RecordKind::CustomHistograms
                if settings.send_native_histograms =>
            {
                let one = |(reference, t, h): (u64, i64, Histogram)| {
                    histogram(reference, t, HistogramRecord::Integer(t, Box::new(h)))
                };
                record.histograms().map(|all| Self::others(all, one))
            }
            RecordKind::FloatHistograms | RecordKind::CustomFloatHistograms
                if settings.send_native_histograms =>
            {
                let one = |(reference, t, h): (u64, i64, FloatHistogram)| {
                    histogram(reference, t, HistogramRecord::Float(t, Box::new(h)))
                };
                record.float_histograms().map(|all| Self::others(all, one))
            }
            RecordKind::Exemplars if settings.send_exemplars => record.exemplars().map(|all| {
                Self::others(all, |e| One {
                    reference: e.series,
                    t: e.t,
                    v: e.v,
                    other: Some(Other::Exemplar(e.labels)),
                })
            }),
            _ => Ok(Self::None),
        };
        decoded.unwrap_or_else(|error| {
            shared.metrics.decode_failures.inc();
            tracing::warn!(%error, "passed over samples in the log");
            Self::None
        })
    }

    fn others<T>(all: Vec<T>, one: impl Fn(T) -> One) -> Self {
        Self::Others(all.into_iter().map(one).collect())
    }
}

fn histogram(reference: u64, t: i64, record: HistogramRecord) -> One {
    One {
        reference,
        t,
        v: 0.0,
        other: Some(Other::Histogram(record)),
    }
}

/// Counts a sample by its kind.
pub(super) fn count(counts: &mut Counts, other: Option<&Other>) {
    match other {
        None => counts.samples += 1,
        Some(Other::Histogram(_)) => counts.histograms += 1,
        Some(Other::Exemplar(_)) => counts.exemplars += 1,
    }
}
