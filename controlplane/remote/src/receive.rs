//! From a request into storage, as Prometheus 3.5's receiver does it.
//!
//! - A series with an invalid label set (no name, an empty or repeated label name) is left out and counted; the
//!   request still succeeds.
//! - A sample that storage refuses for its time makes the answer a 400, but every other sample is stored.
//! - Samples more than ten minutes in the future are refused.
//! - Exemplars never make a request fail.
//! - Floats of a series go before its histograms.
//! - Metadata is read and ignored, as up to Prometheus 3.5.

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{AppendError, Appendable, Appender, SeriesRef};
use bellwether_model::{Exemplar, Labels};

use crate::cache::SeriesCache;
use crate::error::{Refusal, RemoteWriteError};
use crate::request::{ExemplarRecord, HistogramRecord, TimeSeries, TimeSeriesSource, decode};

/// How far in the future a sample may lie, in milliseconds.
pub const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

/// What [`write()`] made of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteStats {
    /// Float samples stored.
    pub samples: u64,
    /// Histograms stored.
    pub histograms: u64,
    /// Exemplars stored.
    pub exemplars: u64,
    /// Series left out for their labels.
    pub invalid_series: u64,
    /// Samples and histograms refused.
    pub refused: u64,
}

/// Decompresses a snappy block. `limit` bounds the decompressed size in bytes: the block's header is checked
/// before any memory is taken.
///
/// # Errors
/// [`RemoteWriteError::Snappy`] or [`RemoteWriteError::TooLarge`].
pub fn decompress(body: &[u8], limit: usize) -> Result<Vec<u8>, RemoteWriteError> {
    let size = snap::raw::decompress_len(body)?;
    if size > limit {
        return Err(RemoteWriteError::TooLarge { size, limit });
    }
    // A block cannot shrink below a 22nd of its content: a larger claim is a lie meant to take memory.
    if size / 32 > body.len() {
        return Err(RemoteWriteError::Snappy(snap::Error::Header));
    }
    Ok(snap::raw::Decoder::new().decompress_vec(body)?)
}

/// Writes a decompressed request (protobuf `prometheus.WriteRequest`) in one transaction. Blocking: call it
/// from a blocking thread. `now_ms` is the receiver's clock in milliseconds since the epoch; `cache` belongs to
/// the storage.
///
/// # Errors
/// [`RemoteWriteError::Decode`] and [`RemoteWriteError::Storage`]: nothing was stored.
/// [`RemoteWriteError::Refused`]: all but the refused samples are stored.
pub fn write(
    storage: &dyn Appendable,
    cache: &SeriesCache,
    request: &[u8],
    now_ms: i64,
) -> Result<WriteStats, RemoteWriteError> {
    let mut writer = Writer {
        appender: storage.appender(),
        cache,
        max_time_ms: now_ms.saturating_add(MAX_AHEAD_MS),
        stats: WriteStats::default(),
        first: None,
    };
    let mut request = decode(request);
    let mut series = TimeSeries::default();
    loop {
        match request.next_values(&mut series) {
            Ok(Some(source)) => {
                if let Err(error) = writer.known_or_new(&source, &mut series, now_ms) {
                    writer.appender.rollback();
                    return Err(error);
                }
            }
            Ok(None) => break,
            Err(error) => {
                writer.appender.rollback();
                return Err(error.into());
            }
        }
    }
    writer
        .appender
        .commit()
        .map_err(RemoteWriteError::Storage)?;
    match writer.first {
        None => Ok(writer.stats),
        Some(first) => Err(RemoteWriteError::Refused {
            first,
            stats: writer.stats,
        }),
    }
}

struct Writer<'s> {
    appender: Box<dyn Appender + 's>,
    cache: &'s SeriesCache,
    max_time_ms: i64,
    stats: WriteStats,
    first: Option<Refusal>,
}

impl Writer<'_> {
    /// Appends a series, the labels of which are still bytes. An error is one of the whole request.
    fn known_or_new<'a>(
        &mut self,
        source: &TimeSeriesSource<'a>,
        series: &mut TimeSeries<'a>,
        now_ms: i64,
    ) -> Result<(), RemoteWriteError> {
        let key = source.labels.map(|labels| self.cache.key(labels));
        if let Some(known) = key.and_then(|key| self.cache.get(key, now_ms))
            && self.appender.has(known)
        {
            return self
                .values(known, series)
                .map_err(RemoteWriteError::Storage);
        }
        source.read(series)?;
        let named = self.name(series).map_err(RemoteWriteError::Storage)?;
        let Some(reference) = named else {
            return Ok(());
        };
        if let Some(key) = key {
            self.cache.insert(key, reference);
        }
        self.values(reference, series)
            .map_err(RemoteWriteError::Storage)
    }

    /// The series of a label set. `None` where it is refused; an error is one of the storage as a whole.
    fn name(&mut self, series: &mut TimeSeries<'_>) -> Result<Option<SeriesRef>, AppendError> {
        let Some(labels) = valid_labels(&mut series.labels) else {
            self.stats.invalid_series += 1;
            return Ok(None);
        };
        match self.appender.series(&labels) {
            Ok(reference) => Ok(Some(reference)),
            Err(AppendError::InvalidLabels(_)) => {
                self.stats.invalid_series += 1;
                Ok(None)
            }
            Err(error) => {
                self.refuse(error, series.samples.len() + series.histograms.len())?;
                Ok(None)
            }
        }
    }

    /// Appends what a series' message holds besides its labels. An error is one of the storage as a whole.
    fn values(
        &mut self,
        reference: SeriesRef,
        series: &mut TimeSeries<'_>,
    ) -> Result<(), AppendError> {
        for sample in &series.samples {
            if self.in_time(sample.t) {
                match self.appender.append(reference, sample.t, sample.v) {
                    Ok(()) => self.stats.samples += 1,
                    Err(error) => self.refuse(error, 1)?,
                }
            }
        }
        for exemplar in &series.exemplars {
            self.exemplar(reference, exemplar);
        }
        for histogram in series.histograms.drain(..) {
            let (HistogramRecord::Integer(t, _) | HistogramRecord::Float(t, _)) = histogram;
            if !self.in_time(t) {
                continue;
            }
            let result = match histogram {
                HistogramRecord::Integer(t, h) => self.appender.append_histogram(reference, t, *h),
                HistogramRecord::Float(t, h) => {
                    self.appender.append_float_histogram(reference, t, *h)
                }
            };
            match result {
                Ok(()) => self.stats.histograms += 1,
                Err(error) => self.refuse(error, 1)?,
            }
        }
        Ok(())
    }

    fn in_time(&mut self, t: i64) -> bool {
        let in_time = t <= self.max_time_ms;
        if !in_time {
            self.stats.refused += 1;
            self.first.get_or_insert(Refusal::TooFarAhead);
        }
        in_time
    }

    /// Notes a refusal of `count` samples; passes on what is no refusal but a failure.
    fn refuse(&mut self, error: AppendError, count: usize) -> Result<(), AppendError> {
        match error {
            AppendError::Wal(_) | AppendError::UnknownSeries => Err(error),
            error => {
                self.stats.refused += count as u64;
                self.first.get_or_insert(Refusal::Append(error));
                Ok(())
            }
        }
    }

    fn exemplar(&mut self, reference: SeriesRef, exemplar: &ExemplarRecord<'_>) {
        let record = Exemplar {
            labels: Labels::from_pairs(exemplar.labels.iter().copied()),
            value: exemplar.value,
            timestamp_ms: Some(exemplar.timestamp_ms),
        };
        if record.is_too_long() {
            return;
        }
        if self.appender.append_exemplar(reference, record).is_ok() {
            self.stats.exemplars += 1;
        }
    }
}

/// The label set, `None` where it is not one: no metric name, an empty name, a name twice.
fn valid_labels(labels: &mut [(&str, &str)]) -> Option<Labels> {
    labels.sort_unstable();
    let unique = labels.windows(2).all(|pair| pair[0].0 != pair[1].0);
    let named = labels
        .iter()
        .any(|(name, value)| *name == METRIC_NAME && !value.is_empty());
    let no_empty_name = labels.first().is_none_or(|(name, _)| !name.is_empty());
    (unique && named && no_empty_name).then(|| {
        Labels::from_sorted(
            labels
                .iter()
                .copied()
                .filter(|(_, value)| !value.is_empty()),
        )
    })
}
