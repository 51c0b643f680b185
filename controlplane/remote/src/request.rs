//! The messages of remote write 1.0, read in place.
//!
//! Field numbers are those of `prometheus/prompb` (see the functions). A [`TimeSeries`] checks its whole
//! message once when it is made; its iterators then only read.

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::{FloatHistogram, Histogram, MetricType, Span};

use crate::error::DecodeError;
use crate::wire::{Cursor, Field};

/// A request that is being read. Iterates over its series in order.
#[derive(Clone, Debug)]
pub struct WriteRequest<'a> {
    cursor: Cursor<'a>,
    metadata: Vec<MetricMetadata<'a>>,
}

/// Metadata of a metric family. Prometheus up to 3.5 ignores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricMetadata<'a> {
    /// Family name.
    pub family: &'a str,
    /// Type.
    pub kind: MetricType,
    /// Help text.
    pub help: &'a str,
    /// Unit.
    pub unit: &'a str,
}

/// One series of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimeSeries<'a> {
    /// Labels as sent: in any order, possibly with duplicates or empty values.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Float samples as sent.
    pub samples: Vec<SampleRecord>,
    /// Exemplars as sent.
    pub exemplars: Vec<ExemplarRecord<'a>>,
    /// Histograms as sent.
    pub histograms: Vec<HistogramRecord>,
}

/// A float sample.
#[derive(Clone, Copy, Debug)]
pub struct SampleRecord {
    /// Milliseconds since the epoch.
    pub t: i64,
    /// Value, bit-exact.
    pub v: f64,
}

impl PartialEq for SampleRecord {
    fn eq(&self, other: &Self) -> bool {
        (self.t, self.v.to_bits()) == (other.t, other.v.to_bits())
    }
}

/// An exemplar.
#[derive(Clone, Debug, PartialEq)]
pub struct ExemplarRecord<'a> {
    /// Labels as sent.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Value.
    pub value: f64,
    /// Milliseconds since the epoch.
    pub timestamp_ms: i64,
}

/// A native histogram with its time in milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub enum HistogramRecord {
    /// Integer counts.
    Integer(i64, Box<Histogram>),
    /// Float counts.
    Float(i64, Box<FloatHistogram>),
}

/// Starts reading a decompressed request.
#[must_use]
pub fn decode(request: &[u8]) -> WriteRequest<'_> {
    WriteRequest {
        cursor: Cursor::new("WriteRequest", request),
        metadata: Vec::new(),
    }
}

impl<'a> WriteRequest<'a> {
    /// Reads the next series into `series`, whose memory is reused. False at the end.
    ///
    /// # Errors
    /// [`DecodeError`]; the request is not to be read further.
    pub fn next_series(&mut self, series: &mut TimeSeries<'a>) -> Result<bool, DecodeError> {
        while let Some(field) = self.cursor.next()? {
            match field.number {
                1 => {
                    series.read(field.message("TimeSeries")?)?;
                    return Ok(true);
                }
                3 => self
                    .metadata
                    .push(metadata(field.message("MetricMetadata")?)?),
                _ => {}
            }
        }
        Ok(false)
    }

    /// As [`Self::next_series`], but leaves the labels as bytes; [`TimeSeriesSource::read`] takes them apart.
    pub(crate) fn next_values(
        &mut self,
        series: &mut TimeSeries<'a>,
    ) -> Result<Option<TimeSeriesSource<'a>>, DecodeError> {
        while let Some(field) = self.cursor.next()? {
            match field.number {
                1 => {
                    let whole = field.message("TimeSeries")?;
                    let mut values = whole.clone();
                    let labels = values.leading(LABELS)?;
                    series.read(values)?;
                    // Labels behind values, which no sender writes: the leading ones do not name the series.
                    let labels = series.labels.is_empty().then_some(labels);
                    return Ok(Some(TimeSeriesSource { whole, labels }));
                }
                3 => self
                    .metadata
                    .push(metadata(field.message("MetricMetadata")?)?),
                _ => {}
            }
        }
        Ok(None)
    }

    /// Metadata met so far: all of it once [`Self::next_series`] has returned false.
    #[must_use]
    pub fn metadata(&self) -> &[MetricMetadata<'a>] {
        &self.metadata
    }
}

/// Number of the labels' field.
const LABELS: u8 = 1;

/// A series' message.
#[derive(Clone, Debug)]
pub(crate) struct TimeSeriesSource<'a> {
    whole: Cursor<'a>,
    /// The bytes of its labels, where they stand together.
    pub(crate) labels: Option<&'a [u8]>,
}

impl<'a> TimeSeriesSource<'a> {
    /// Reads the message with its labels.
    pub(crate) fn read(&self, series: &mut TimeSeries<'a>) -> Result<(), DecodeError> {
        series.read(self.whole.clone())
    }
}

impl<'a> TimeSeries<'a> {
    /// `TimeSeries`: labels 1, samples 2, exemplars 3, histograms 4.
    pub(crate) fn read(&mut self, mut cursor: Cursor<'a>) -> Result<(), DecodeError> {
        self.labels.clear();
        self.samples.clear();
        self.exemplars.clear();
        self.histograms.clear();
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => self.labels.push(label(&field)?),
                2 => self.samples.push(sample(field.message("Sample")?)?),
                3 => self.exemplars.push(exemplar(field.message("Exemplar")?)?),
                4 => self
                    .histograms
                    .push(histogram(field.message("Histogram")?)?),
                _ => {}
            }
        }
        Ok(())
    }
}

/// `Label`: name 1, value 2.
pub(crate) fn label<'a>(field: &Field<'a>) -> Result<(&'a str, &'a str), DecodeError> {
    let mut cursor = field.message("Label")?;
    let (mut name, mut value) = ("", "");
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => name = field.text("label name")?,
            2 => value = field.text("label value")?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// `Sample`: value 1 (double), timestamp 2 (int64).
pub(crate) fn sample(mut cursor: Cursor<'_>) -> Result<SampleRecord, DecodeError> {
    let mut sample = SampleRecord { t: 0, v: 0.0 };
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => sample.v = field.double()?,
            2 => sample.t = field.int()?,
            _ => {}
        }
    }
    Ok(sample)
}

/// `Exemplar`: labels 1, value 2 (double), timestamp 3 (int64).
fn exemplar(mut cursor: Cursor<'_>) -> Result<ExemplarRecord<'_>, DecodeError> {
    let mut exemplar = ExemplarRecord {
        labels: Vec::new(),
        value: 0.0,
        timestamp_ms: 0,
    };
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => exemplar.labels.push(label(&field)?),
            2 => exemplar.value = field.double()?,
            3 => exemplar.timestamp_ms = field.int()?,
            _ => {}
        }
    }
    Ok(exemplar)
}

/// `MetricMetadata`: type 1, family 2, help 4, unit 5.
fn metadata(mut cursor: Cursor<'_>) -> Result<MetricMetadata<'_>, DecodeError> {
    let mut metadata = MetricMetadata {
        family: "",
        kind: MetricType::Unknown,
        help: "",
        unit: "",
    };
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => metadata.kind = metric_type(field.uint()?),
            2 => metadata.family = field.text("metric family name")?,
            4 => metadata.help = field.text("help")?,
            5 => metadata.unit = field.text("unit")?,
            _ => {}
        }
    }
    Ok(metadata)
}

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

/// `BucketSpan`: offset 1 (sint32), length 2 (uint32).
fn span(mut cursor: Cursor<'_>) -> Result<Span, DecodeError> {
    let mut span = Span::default();
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint()? as u32,
            _ => {}
        }
    }
    Ok(span)
}

/// `Histogram`: count 1 (uint64) or 2 (double), sum 3, schema 4 (sint32), zero threshold 5, zero count 6 (uint64)
/// or 7 (double), negative spans 8, deltas 9, counts 10, positive spans 11, deltas 12, counts 13, reset hint 14,
/// timestamp 15, custom values 16. A float count makes it a float histogram.
pub(crate) fn histogram(mut cursor: Cursor<'_>) -> Result<HistogramRecord, DecodeError> {
    let mut h = Histogram::default();
    let mut float = FloatHistogram::default();
    let (mut t, mut is_float) = (0, false);
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => h.count = field.uint()?,
            2 => {
                float.count = field.double()?;
                is_float = true;
            }
            3 => h.sum = field.double()?,
            4 => h.schema = field.sint32()?,
            5 => h.zero_threshold = field.double()?,
            6 => h.zero_count = field.uint()?,
            7 => float.zero_count = field.double()?,
            8 => h.negative_spans.push(span(field.message("BucketSpan")?)?),
            9 => field.push_sints(&mut h.negative_buckets)?,
            10 => field.push_doubles(&mut float.negative_buckets)?,
            11 => h.positive_spans.push(span(field.message("BucketSpan")?)?),
            12 => field.push_sints(&mut h.positive_buckets)?,
            13 => field.push_doubles(&mut float.positive_buckets)?,
            14 => h.reset_hint = reset_hint(field.uint()?),
            15 => t = field.int()?,
            16 => field.push_doubles(&mut h.custom_values)?,
            _ => {}
        }
    }
    if !is_float {
        return Ok(HistogramRecord::Integer(t, Box::new(h)));
    }
    Ok(HistogramRecord::Float(
        t,
        Box::new(FloatHistogram {
            reset_hint: h.reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            sum: h.sum,
            positive_spans: h.positive_spans,
            negative_spans: h.negative_spans,
            custom_values: h.custom_values,
            ..float
        }),
    ))
}

fn reset_hint(number: u64) -> CounterResetHint {
    match number {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}
