//! Histograms with exponential and with custom buckets as native histograms.

use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint};
use bellwether_model::labels::METRIC_NAME;
use bellwether_model::{Histogram, STALE_NAN_BITS, Span, stale_nan};
use bellwether_otlp::metrics::{Buckets, ExpHistogramPoint, HistogramPoint, Points};

use super::points::exemplars;
use super::{Family, MetricError, OtlpWarning, Times, Writer};

/// Width of the zero bucket: Prometheus does not use the point's own.
const ZERO_THRESHOLD: f64 = 1e-128;
const SCHEMA_MIN: i32 = -4;
const SCHEMA_MAX: i32 = 8;
/// A longer run of empty buckets begins a new span.
const GAP_MAX: i64 = 2;

impl Writer<'_> {
    pub(super) fn exponential_histograms<'a>(
        &mut self,
        points: &Points<'a, ExpHistogramPoint<'a>>,
        family: &Family<'_>,
        delta: bool,
    ) -> Result<usize, MetricError> {
        let mut count = 0;
        for point in points.iter() {
            count += 1;
            let h = exponential(&point, hint(delta))?;
            let mut labels = self.labels(family).of(point.attributes)?;
            let exemplars = exemplars(point.exemplars())?;
            labels.set(METRIC_NAME, &family.name);
            self.warn_of_sum(&h);
            let t = Times::of(point.start_time_unix_nano, point.time_unix_nano);
            let series = self.native_sample(&labels.build(), t, h)?;
            self.exemplars(series, &exemplars);
        }
        Ok(count)
    }

    pub(super) fn custom_histograms<'a>(
        &mut self,
        points: &Points<'a, HistogramPoint<'a>>,
        family: &Family<'_>,
        delta: bool,
    ) -> Result<usize, MetricError> {
        let mut count = 0;
        for point in points.iter() {
            count += 1;
            let h = custom(&point, hint(delta));
            let mut labels = self.labels(family).of(point.attributes)?;
            let exemplars = exemplars(point.exemplars())?;
            labels.set(METRIC_NAME, &family.name);
            self.warn_of_sum(&h);
            let t = Times::of(point.start_time_unix_nano, point.time_unix_nano);
            let series = self.native_sample(&labels.build(), t, h)?;
            self.exemplars(series, &exemplars);
        }
        Ok(count)
    }

    fn warn_of_sum(&mut self, h: &Histogram) {
        if h.count == 0 && h.sum != 0.0 {
            self.stats.warnings.push(OtlpWarning::ZeroCountNonZeroSum);
        }
    }
}

/// Whether a cumulative histogram was reset is for storage to find out.
fn hint(delta: bool) -> CounterResetHint {
    if delta {
        CounterResetHint::Gauge
    } else {
        CounterResetHint::Unknown
    }
}

fn exponential(
    point: &ExpHistogramPoint<'_>,
    reset_hint: CounterResetHint,
) -> Result<Histogram, MetricError> {
    if point.scale < SCHEMA_MIN {
        return Err(MetricError::new(format!(
            "cannot convert exponential to native histogram. Scale must be >= {SCHEMA_MIN}, was {}",
            point.scale
        )));
    }
    let schema = point.scale.min(SCHEMA_MAX);
    let scale_down = u32::try_from(point.scale - schema).unwrap_or(0);
    let layout = |buckets: &Buckets<'_>| {
        let counts: Vec<u64> = buckets.counts().collect();
        layout(&counts, i64::from(buckets.offset), scale_down, 1)
    };
    let (positive_spans, positive_buckets) = layout(&point.positive);
    let (negative_spans, negative_buckets) = layout(&point.negative);
    let stale = point.no_recorded_value();
    Ok(Histogram {
        reset_hint,
        schema,
        zero_threshold: ZERO_THRESHOLD,
        zero_count: point.zero_count,
        count: if stale { STALE_NAN_BITS } else { point.count },
        sum: if stale {
            stale_nan()
        } else {
            point.sum.unwrap_or(0.0)
        },
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_values: Vec::new(),
    })
}

fn custom(point: &HistogramPoint<'_>, reset_hint: CounterResetHint) -> Histogram {
    let counts: Vec<u64> = point.bucket_counts().collect();
    let empty = counts.iter().take_while(|n| **n == 0).count();
    let (positive_spans, positive_buckets) = layout(&counts[empty..], empty as i64, 0, 0);
    let stale = point.no_recorded_value();
    Histogram {
        reset_hint,
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: if stale { STALE_NAN_BITS } else { point.count },
        sum: if stale {
            stale_nan()
        } else {
            point.sum.unwrap_or(0.0)
        },
        positive_spans,
        positive_buckets,
        custom_values: point.explicit_bounds().collect(),
        ..Histogram::default()
    }
}

/// Dense counts as spans and differences; `2^scale_down` neighbours become one bucket. `shift` is added to the index
/// of the first bucket: OTLP's exponential bucket 0 ends where Prometheus' bucket 1 does. Byte for byte Prometheus'
/// layout: it begins with a span at the first index, perhaps an empty one, and ends with the last bucket, also when
/// that one is empty.
fn layout(counts: &[u64], offset: i64, scale_down: u32, shift: i64) -> (Vec<Span>, Vec<i64>) {
    let mut buckets = Layout::default();
    let Some(last) = counts.len().checked_sub(1) else {
        return (buckets.spans, buckets.deltas);
    };
    let scale_down = scale_down.min(63);
    let index_of = |i: usize| ((i as i64 + offset) >> scale_down) + shift;
    buckets.begin(index_of(0));
    let mut merged = 0i64;
    for (i, n) in counts.iter().enumerate() {
        merged = merged.wrapping_add(n.cast_signed());
        if i < last && index_of(i + 1) == index_of(i) {
            continue;
        }
        if merged != 0 || i == last {
            buckets.push(index_of(i), merged);
        }
        merged = 0;
    }
    (buckets.spans, buckets.deltas)
}

/// Sparse buckets under construction.
#[derive(Default)]
struct Layout {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    /// Behind the last bucket.
    next_index: i64,
    previous: i64,
}

impl Layout {
    fn begin(&mut self, index: i64) {
        self.spans.push(Span {
            offset: index as i32,
            length: 0,
        });
        self.next_index = index;
    }

    fn push(&mut self, index: i64, count: i64) {
        let gap = index - self.next_index;
        if gap > GAP_MAX {
            self.spans.push(Span {
                offset: gap as i32,
                length: 0,
            });
        } else {
            for _ in 0..gap {
                self.bucket(0);
            }
        }
        self.bucket(count);
        self.next_index = index + 1;
    }

    fn bucket(&mut self, count: i64) {
        if let Some(span) = self.spans.last_mut() {
            span.length += 1;
        }
        self.deltas.push(count.wrapping_sub(self.previous));
        self.previous = count;
    }
}
