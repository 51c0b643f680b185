//! Remote write 2.0: `io.prometheus.write.v2.Request` into storage, as Prometheus 3.14 does it.
//!
//! Texts are references to a table of symbols at the top of the request. Unlike with version 1, everything that is
//! wrong with a request is reported, one line each, together with what was written in spite of it. Start timestamps
//! and metadata are kept only where [`V2Options`] say so.

use std::fmt::Write as _;

use bellwether_model::labels::{METRIC_NAME, TYPE_LABEL, UNIT_LABEL, is_legacy_label_name, quote};
use bellwether_model::storage::{AppendError, Appendable, Appender, SeriesRef, Zero};
use bellwether_model::{Exemplar, Labels, Metadata, MetricType};

use crate::error::{DecodeError, Refusal, RemoteWriteError};
use crate::receive::{MAX_AHEAD_MS, WriteStats};
use crate::request::{HistogramRecord, SampleRecord, histogram, sample};
use crate::wire::Cursor;

/// What becomes of the less usual parts of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct V2Options {
    /// The metadata of a series is stored as its labels `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
    /// Storage is told the metadata of each series.
    pub metadata_records: bool,
    /// Start times are stored as zero samples.
    pub start_timestamps: bool,
}

/// Writes a decompressed request in one transaction. Blocking; `now_ms` is the receiver's clock.
///
/// # Errors
/// [`RemoteWriteError::Decode`] and [`RemoteWriteError::Storage`]: nothing was stored.
/// [`RemoteWriteError::Partial`]: the rest is stored.
pub fn write_v2(
    storage: &dyn Appendable,
    request: &[u8],
    now_ms: i64,
    options: V2Options,
) -> Result<WriteStats, RemoteWriteError> {
    let symbols = symbols(request)?;
    let mut writer = Writer {
        appender: storage.appender(),
        symbols: &symbols,
        max_time_ms: now_ms.saturating_add(MAX_AHEAD_MS),
        options,
        stats: WriteStats::default(),
        wrong: Vec::new(),
    };
    if let Err(error) = writer.all(request) {
        writer.appender.rollback();
        return Err(error);
    }
    let Writer {
        appender,
        stats,
        wrong,
        ..
    } = writer;
    appender.commit().map_err(RemoteWriteError::Storage)?;
    if wrong.is_empty() {
        Ok(stats)
    } else {
        Err(RemoteWriteError::Partial { wrong, stats })
    }
}

/// `Request`: symbols 4. They may stand anywhere in it.
fn symbols(request: &[u8]) -> Result<Vec<&str>, DecodeError> {
    let mut cursor = Cursor::new("Request", request);
    let mut symbols = Vec::new();
    while let Some(field) = cursor.next()? {
        if field.number == 4 {
            symbols.push(field.text("symbol")?);
        }
    }
    Ok(symbols)
}

/// A series as it stands in the request; its memory is used again.
#[derive(Default)]
struct Series {
    label_refs: Vec<u64>,
    samples: Vec<SampleRecord>,
    histograms: Vec<HistogramRecord>,
    /// Start times of the samples and of the histograms in milliseconds, 0 where unknown; empty where nobody asks.
    starts: [Vec<i64>; 2],
    exemplars: Vec<ExemplarRefs>,
    help_ref: u64,
    unit_ref: u64,
    kind: MetricType,
}

struct ExemplarRefs {
    label_refs: Vec<u64>,
    value: f64,
    timestamp_ms: i64,
}

impl Series {
    /// `TimeSeries`: label references 1, samples 2, histograms 3, exemplars 4, metadata 5.
    fn read(&mut self, mut cursor: Cursor<'_>, with_starts: bool) -> Result<(), DecodeError> {
        self.starts.iter_mut().for_each(Vec::clear);
        self.label_refs.clear();
        self.samples.clear();
        self.histograms.clear();
        self.exemplars.clear();
        (self.help_ref, self.unit_ref) = (0, 0);
        self.kind = MetricType::Unknown;
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => field.push_uints(&mut self.label_refs)?,
                2 => {
                    let message = field.message("Sample")?;
                    if with_starts {
                        self.starts[SAMPLES].push(start(message.clone(), 3)?);
                    }
                    self.samples.push(sample(message)?);
                }
                3 => {
                    let message = field.message("Histogram")?;
                    if with_starts {
                        self.starts[HISTOGRAMS].push(start(message.clone(), 17)?);
                    }
                    self.histograms.push(histogram(message)?);
                }
                4 => self.exemplars.push(exemplar(field.message("Exemplar")?)?),
                5 => self.metadata(field.message("Metadata")?)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// `Metadata`: type 1, help 3, unit 4.
    fn metadata(&mut self, mut cursor: Cursor<'_>) -> Result<(), DecodeError> {
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => self.kind = metric_type(field.uint()?),
                3 => self.help_ref = field.uint()?,
                4 => self.unit_ref = field.uint()?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Index into [`Series::starts`].
const SAMPLES: usize = 0;
/// Index into [`Series::starts`].
const HISTOGRAMS: usize = 1;

/// The start timestamp of a `Sample` or `Histogram`, which has this number there.
fn start(mut cursor: Cursor<'_>, number: u64) -> Result<i64, DecodeError> {
    let mut start = 0;
    while let Some(field) = cursor.next()? {
        if field.number == number {
            start = field.int()?;
        }
    }
    Ok(start)
}

/// `Metadata.MetricType`.
fn metric_type(number: u64) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::Stateset,
        _ => MetricType::Unknown,
    }
}

/// `Exemplar`: label references 1, value 2, timestamp 3.
fn exemplar(mut cursor: Cursor<'_>) -> Result<ExemplarRefs, DecodeError> {
    let mut exemplar = ExemplarRefs {
        label_refs: Vec::new(),
        value: 0.0,
        timestamp_ms: 0,
    };
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => field.push_uints(&mut exemplar.label_refs)?,
            2 => exemplar.value = field.double()?,
            3 => exemplar.timestamp_ms = field.int()?,
            _ => {}
        }
    }
    Ok(exemplar)
}

/// The label set of references, sorted. The error is in words.
fn resolve<'a>(refs: &[u64], symbols: &[&'a str]) -> Result<Vec<(&'a str, &'a str)>, String> {
    if !refs.len().is_multiple_of(2) {
        return Err(format!("invalid labelRefs length {}", refs.len()));
    }
    let symbol = |reference: u64| usize::try_from(reference).ok().and_then(|r| symbols.get(r));
    let mut labels = Vec::with_capacity(refs.len() / 2);
    for pair in refs.chunks_exact(2) {
        let (Some(name), Some(value)) = (symbol(pair[0]), symbol(pair[1])) else {
            return Err(format!(
                "labelRefs {} (name) = {} (value) outside of symbols table (size {})",
                pair[0],
                pair[1],
                symbols.len()
            ));
        };
        labels.push((*name, *value));
    }
    labels.sort_unstable();
    Ok(labels)
}

/// A label set as Go prints it, also when it is not a valid one.
fn text(labels: &[(&str, &str)]) -> String {
    let mut out = "{".to_owned();
    for (i, (name, value)) in labels.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        if is_legacy_label_name(name) {
            out.push_str(name);
        } else {
            out.push_str(&quote(name));
        }
        let _ = write!(out, "={}", quote(value));
    }
    out.push('}');
    out
}

/// What is wrong with a label set.
fn invalid(labels: &[(&str, &str)]) -> Option<String> {
    let named = labels
        .iter()
        .any(|(name, value)| *name == METRIC_NAME && !value.is_empty());
    if !named || labels.iter().any(|(name, _)| name.is_empty()) {
        return Some(format!(
            "invalid metric name or labels, got {}",
            text(labels)
        ));
    }
    let twice = labels.windows(2).find(|pair| pair[0].0 == pair[1].0)?;
    Some(format!(
        "invalid labels for series, labels {}, duplicated label {}",
        text(labels),
        twice[0].0
    ))
}

struct Writer<'s> {
    appender: Box<dyn Appender + 's>,
    symbols: &'s [&'s str],
    max_time_ms: i64,
    options: V2Options,
    stats: WriteStats,
    wrong: Vec<String>,
}

impl Writer<'_> {
    /// `Request`: series 5. An error is one of the whole request.
    fn all(&mut self, request: &[u8]) -> Result<(), RemoteWriteError> {
        let mut cursor = Cursor::new("Request", request);
        let mut series = Series::default();
        while let Some(field) = cursor.next()? {
            if field.number == 5 {
                let with_starts = self.options.start_timestamps;
                series.read(field.message("TimeSeries")?, with_starts)?;
                self.series(&mut series)
                    .map_err(RemoteWriteError::Storage)?;
            }
        }
        Ok(())
    }

    /// An error is one of the storage as a whole.
    fn series(&mut self, series: &mut Series) -> Result<(), AppendError> {
        let labels = match self.labels(series) {
            Ok(labels) => labels,
            Err(message) => {
                self.wrong.push(message);
                self.stats.invalid_series += 1;
                return Ok(());
            }
        };
        if series.samples.is_empty() && series.histograms.is_empty() {
            self.wrong.push(format!(
                "TimeSeries must contain at least one sample or histogram for series {}",
                text(&labels)
            ));
            return Ok(());
        }
        let set = Labels::from_sorted(labels.iter().copied().filter(|(_, v)| !v.is_empty()));
        let reference = match self.appender.series(&set) {
            Ok(reference) => reference,
            Err(error) => {
                let count = series.samples.len() + series.histograms.len();
                return self.refuse(Refusal::Append(error), count, &set);
            }
        };
        self.samples(reference, series, &set)?;
        for exemplar in &series.exemplars {
            self.exemplar(reference, exemplar, &set);
        }
        if self.options.metadata_records {
            self.metadata(reference, series);
        }
        Ok(())
    }

    /// A series without its metadata is still a series.
    fn metadata(&mut self, reference: SeriesRef, series: &Series) {
        let text = |reference| {
            let at = usize::try_from(reference).ok();
            let text = at.and_then(|at| self.symbols.get(at));
            text.copied().unwrap_or_default().to_owned()
        };
        let metadata = Metadata {
            kind: series.kind,
            help: text(series.help_ref),
            unit: text(series.unit_ref),
        };
        let _ = self.appender.update_metadata(reference, &metadata);
    }

    /// The checked labels of a series. The error is in words.
    fn labels<'a>(&self, series: &Series) -> Result<Vec<(&'a str, &'a str)>, String>
    where
        Self: 'a,
    {
        // Prometheus prints the references as Go prints a slice.
        let which = |e: String, what: &str| {
            let refs: Vec<String> = series.label_refs.iter().map(u64::to_string).collect();
            format!("parsing {what} for series [{}]: {e}", refs.join(" "))
        };
        let mut labels =
            resolve(&series.label_refs, self.symbols).map_err(|e| which(e, "labels"))?;
        for (reference, name) in [(series.unit_ref, "unit_ref"), (series.help_ref, "help_ref")] {
            if reference >= self.symbols.len() as u64 {
                let size = self.symbols.len();
                let e =
                    format!("metadata {name} {reference} outside of symbols table (size {size})");
                return Err(which(e, "metadata"));
            }
        }
        if self.options.type_and_unit_labels {
            self.set_type_and_unit(&mut labels, series);
        }
        match invalid(&labels) {
            Some(message) => Err(message),
            None => Ok(labels),
        }
    }

    /// What the metadata says takes the place of labels that say it; without metadata those stay.
    fn set_type_and_unit<'a>(&self, labels: &mut Vec<(&'a str, &'a str)>, series: &Series)
    where
        Self: 'a,
    {
        let unit = usize::try_from(series.unit_ref)
            .ok()
            .and_then(|at| self.symbols.get(at).copied())
            .unwrap_or_default();
        let kind = match series.kind {
            MetricType::Unknown => "",
            kind => kind.as_str(),
        };
        if kind.is_empty() && unit.is_empty() {
            return;
        }
        labels.retain(|(name, _)| *name != TYPE_LABEL && *name != UNIT_LABEL);
        let said = [(TYPE_LABEL, kind), (UNIT_LABEL, unit)];
        labels.extend(said.into_iter().filter(|(_, value)| !value.is_empty()));
        labels.sort_unstable();
    }

    fn samples(
        &mut self,
        reference: SeriesRef,
        series: &mut Series,
        labels: &Labels,
    ) -> Result<(), AppendError> {
        let [starts, histogram_starts] = &series.starts;
        for (i, sample) in series.samples.iter().enumerate() {
            if sample.t > self.max_time_ms {
                self.refuse(Refusal::TooFarAhead, 1, labels)?;
                continue;
            }
            self.start(reference, starts.get(i), sample.t, Zero::Float);
            match self.appender.append(reference, sample.t, sample.v) {
                Ok(()) => self.stats.samples += 1,
                Err(error) => self.refuse(Refusal::Append(error), 1, labels)?,
            }
        }
        for (i, record) in series.histograms.drain(..).enumerate() {
            let (t, zero) = match &record {
                HistogramRecord::Integer(t, h) => (*t, Zero::Histogram(h)),
                HistogramRecord::Float(t, h) => (*t, Zero::FloatHistogram(h)),
            };
            if t > self.max_time_ms {
                self.refuse(Refusal::TooFarAhead, 1, labels)?;
                continue;
            }
            self.start(reference, histogram_starts.get(i), t, zero);
            let result = match record {
                HistogramRecord::Integer(t, h) => self.appender.append_histogram(reference, t, *h),
                HistogramRecord::Float(t, h) => {
                    self.appender.append_float_histogram(reference, t, *h)
                }
            };
            match result {
                Ok(()) => self.stats.histograms += 1,
                Err(error) => self.refuse(Refusal::Append(error), 1, labels)?,
            }
        }
        Ok(())
    }

    /// The zero before a sample; that storage does not take it is nobody's fault.
    fn start(&mut self, series: SeriesRef, start: Option<&i64>, t: i64, zero: Zero<'_>) {
        if let Some(start) = start.filter(|start| **start != 0 && t != 0) {
            let _ = self.appender.append_start(series, *start, t, zero);
        }
    }

    /// Notes a refusal; passes on what is no refusal but a failure.
    fn refuse(
        &mut self,
        refusal: Refusal,
        count: usize,
        labels: &Labels,
    ) -> Result<(), AppendError> {
        if let Refusal::Append(error @ (AppendError::Wal(_) | AppendError::UnknownSeries)) = refusal
        {
            return Err(error);
        }
        self.stats.refused += count as u64;
        self.wrong.push(match refusal {
            // Prometheus says only what is wrong with it.
            Refusal::Append(AppendError::InvalidHistogram(reason)) => {
                format!("{reason} for series {labels}")
            }
            refusal => format!("{refusal} for series {labels}"),
        });
        Ok(())
    }

    fn exemplar(&mut self, reference: SeriesRef, exemplar: &ExemplarRefs, labels: &Labels) {
        let own = match resolve(&exemplar.label_refs, self.symbols) {
            Ok(own) => own,
            Err(e) => {
                self.wrong
                    .push(format!("parsing exemplar for series {labels}: {e}"));
                return;
            }
        };
        let record = Exemplar {
            labels: Labels::from_pairs(own),
            value: exemplar.value,
            timestamp_ms: Some(exemplar.timestamp_ms),
        };
        if record.is_too_long() || exemplar.timestamp_ms > self.max_time_ms {
            return;
        }
        match self.appender.append_exemplar(reference, record) {
            // One that is there already is taken, too.
            Ok(()) | Err(AppendError::DuplicateExemplar) => self.stats.exemplars += 1,
            Err(error @ AppendError::OutOfOrderExemplar) => {
                self.wrong.push(format!("{error} for series {labels}"));
            }
            Err(_) => {}
        }
    }
}
