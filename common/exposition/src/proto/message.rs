//! The messages inside a metric.

use bellwether_model::histogram::{CounterResetHint, Span};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels};

use super::ProtoError;
use super::wire::{Cursor, Field};

/// A `Metric`.
#[derive(Default)]
pub(super) struct Metric<'a> {
    pub(super) labels: Vec<(&'a str, &'a str)>,
    /// The one of counter, gauge, summary, untyped value or histogram that is there, by its field number.
    pub(super) content: Option<(u64, Cursor<'a>)>,
    pub(super) timestamp_ms: Option<i64>,
}

impl<'a> Metric<'a> {
    pub(super) fn read(mut cursor: Cursor<'a>) -> Result<Self, ProtoError> {
        let mut metric = Self::default();
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => metric.labels.push(label(&field)?),
                number @ (2..=5 | 7) => metric.content = Some((number, field.message()?)),
                // Zero is what protobuf leaves out.
                6 => metric.timestamp_ms = Some(field.int()?).filter(|ms| *ms != 0),
                _ => {}
            }
        }
        Ok(metric)
    }
}

fn label<'a>(field: &Field<'a>) -> Result<(&'a str, &'a str), ProtoError> {
    let (mut name, mut value) = ("", "");
    let mut cursor = field.message()?;
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// A `Counter`, `Gauge` or `Untyped`.
#[derive(Default)]
pub(super) struct Number {
    pub(super) value: f64,
    pub(super) exemplar: Option<Exemplar>,
    /// Of a counter.
    pub(super) start_ms: Option<i64>,
}

impl Number {
    pub(super) fn read(mut cursor: Cursor<'_>) -> Result<Self, ProtoError> {
        let mut number = Self::default();
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => number.value = field.double()?,
                2 => number.exemplar = Some(exemplar(&field)?),
                3 => number.start_ms = start(&field)?,
                _ => {}
            }
        }
        Ok(number)
    }
}

fn exemplar(field: &Field<'_>) -> Result<Exemplar, ProtoError> {
    let mut labels = Vec::new();
    let (mut value, mut timestamp_ms) = (0.0, None);
    let mut cursor = field.message()?;
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => labels.push(label(&field)?),
            2 => value = field.double()?,
            3 => timestamp_ms = Some(timestamp(&field)?),
            _ => {}
        }
    }
    Ok(Exemplar {
        labels: Labels::from_pairs(labels),
        value,
        timestamp_ms,
    })
}

/// When a metric began; a time of zero tells nothing.
fn start(field: &Field<'_>) -> Result<Option<i64>, ProtoError> {
    Ok(Some(timestamp(field)?).filter(|ms| *ms != 0))
}

/// A `google.protobuf.Timestamp` in milliseconds.
fn timestamp(field: &Field<'_>) -> Result<i64, ProtoError> {
    let (mut seconds, mut nanos) = (0i64, 0);
    let mut cursor = field.message()?;
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => seconds = field.int()?,
            2 => nanos = field.int()?,
            _ => {}
        }
    }
    Ok(seconds
        .saturating_mul(1000)
        .saturating_add(nanos.div_euclid(1_000_000)))
}

/// A `Summary`.
#[derive(Default)]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) sum: f64,
    /// Quantile and value.
    pub(super) quantiles: Vec<(f64, f64)>,
    pub(super) start_ms: Option<i64>,
}

impl Summary {
    pub(super) fn read(mut cursor: Cursor<'_>) -> Result<Self, ProtoError> {
        let mut summary = Self::default();
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => summary.count = field.uint()?,
                2 => summary.sum = field.double()?,
                3 => summary.quantiles.push(two_doubles(&field)?),
                4 => summary.start_ms = start(&field)?,
                _ => {}
            }
        }
        Ok(summary)
    }
}

fn two_doubles(field: &Field<'_>) -> Result<(f64, f64), ProtoError> {
    let mut pair = (0.0, 0.0);
    let mut cursor = field.message()?;
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => pair.0 = field.double()?,
            2 => pair.1 = field.double()?,
            _ => {}
        }
    }
    Ok(pair)
}

/// A classic bucket.
pub(super) struct ClassicBucket {
    pub(super) upper_bound: f64,
    pub(super) cumulative_count: f64,
    pub(super) exemplar: Option<Exemplar>,
}

/// A `Histogram`: classic, native, or both.
#[derive(Default)]
pub(super) struct ProtoHistogram {
    count: u64,
    count_float: f64,
    pub(super) sum: f64,
    pub(super) buckets: Vec<ClassicBucket>,
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    spans: [Vec<Span>; 2],
    deltas: [Vec<i64>; 2],
    counts: [Vec<f64>; 2],
    pub(super) start_ms: Option<i64>,
    /// Of the native part.
    pub(super) exemplars: Vec<Exemplar>,
}

const NEGATIVE: usize = 0;
const POSITIVE: usize = 1;

impl ProtoHistogram {
    pub(super) fn read(mut cursor: Cursor<'_>) -> Result<Self, ProtoError> {
        let mut h = Self::default();
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => h.count = field.uint()?,
                2 => h.sum = field.double()?,
                3 => h.buckets.push(bucket(&field)?),
                4 => h.count_float = field.double()?,
                5 => h.schema = field.sint32()?,
                6 => h.zero_threshold = field.double()?,
                7 => h.zero_count = field.uint()?,
                8 => h.zero_count_float = field.double()?,
                9 => h.spans[NEGATIVE].push(span(&field)?),
                10 => field.push_sints(&mut h.deltas[NEGATIVE])?,
                11 => field.push_doubles(&mut h.counts[NEGATIVE])?,
                12 => h.spans[POSITIVE].push(span(&field)?),
                13 => field.push_sints(&mut h.deltas[POSITIVE])?,
                14 => field.push_doubles(&mut h.counts[POSITIVE])?,
                15 => h.start_ms = start(&field)?,
                16 => h.exemplars.push(exemplar(&field)?),
                _ => {}
            }
        }
        Ok(h)
    }

    /// All observations; a float count is only there when it counts.
    pub(super) fn count(&self) -> f64 {
        if self.count_float > 0.0 {
            self.count_float
        } else {
            self.count as f64
        }
    }

    /// A native histogram has spans or a zero bucket: a client adds an empty span to one without observations.
    pub(super) fn is_native(&self) -> bool {
        self.spans.iter().any(|spans| !spans.is_empty())
            || self.zero_threshold > 0.0
            || self.zero_count > 0
            || self.zero_count_float > 0.0
    }

    /// The native part, with the reset hint of its type.
    pub(super) fn into_native(self, gauge: bool) -> super::ProtoValue {
        let reset_hint = if gauge {
            CounterResetHint::Gauge
        } else {
            CounterResetHint::Unknown
        };
        let float = self.count_float > 0.0 || self.zero_count_float > 0.0;
        let [negative_spans, positive_spans] = self.spans.map(without_empty);
        let [negative_deltas, positive_deltas] = self.deltas;
        let [negative_counts, positive_counts] = self.counts;
        if float {
            return super::ProtoValue::FloatHistogram(FloatHistogram {
                reset_hint,
                schema: self.schema,
                zero_threshold: self.zero_threshold,
                zero_count: self.zero_count_float,
                count: self.count_float,
                sum: self.sum,
                positive_spans,
                negative_spans,
                positive_buckets: positive_counts,
                negative_buckets: negative_counts,
                custom_values: Vec::new(),
            });
        }
        super::ProtoValue::Histogram(Histogram {
            reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive_spans,
            negative_spans,
            positive_buckets: positive_deltas,
            negative_buckets: negative_deltas,
            custom_values: Vec::new(),
        })
    }
}

/// Drops spans without buckets; the gap of one belongs to the next.
fn without_empty(spans: Vec<Span>) -> Vec<Span> {
    let mut out: Vec<Span> = Vec::with_capacity(spans.len());
    let mut gap = 0i32;
    for span in spans {
        let offset = gap.saturating_add(span.offset);
        if span.length == 0 {
            gap = offset;
            continue;
        }
        gap = 0;
        out.push(Span { offset, ..span });
    }
    out
}

fn span(field: &Field<'_>) -> Result<Span, ProtoError> {
    let mut span = Span::default();
    let mut cursor = field.message()?;
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => {
                span.length = u32::try_from(field.uint()?)
                    .map_err(|_| field.fail("the length of a span is out of range".to_owned()))?;
            }
            _ => {}
        }
    }
    Ok(span)
}

fn bucket(field: &Field<'_>) -> Result<ClassicBucket, ProtoError> {
    let mut bucket = ClassicBucket {
        upper_bound: 0.0,
        cumulative_count: 0.0,
        exemplar: None,
    };
    let mut cursor = field.message()?;
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => bucket.cumulative_count = field.uint()? as f64,
            2 => bucket.upper_bound = field.double()?,
            3 => bucket.exemplar = Some(exemplar(&field)?),
            4 => {
                let count = field.double()?;
                if count > 0.0 {
                    bucket.cumulative_count = count;
                }
            }
            _ => {}
        }
    }
    Ok(bucket)
}
