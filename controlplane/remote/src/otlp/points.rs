//! Numbers, classic histograms and summaries; exemplars.

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::{Exemplar, Labels, LabelsBuilder, float, stale_nan};
use bellwether_otlp::metrics::{
    self, Data, HistogramPoint, Metric, NumberPoint, Points, SummaryPoint,
};

use super::{Family, MetricError, Times, Writer};

/// Most characters of an exemplar's labels; attributes are left out where they would pass it.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Nanoseconds to milliseconds, as Go converts and divides.
pub(super) fn millis(ns: u64) -> i64 {
    ns.cast_signed() / 1_000_000
}

/// Calls `each` with the times of a metric's points.
pub(super) fn each_time(metric: &Metric<'_>, each: impl FnMut(u64)) {
    match metric.data {
        Data::Empty => {}
        Data::Gauge { points } | Data::Sum { points, .. } => {
            points.iter().map(|p| p.time_unix_nano).for_each(each);
        }
        Data::Histogram { points, .. } => points.iter().map(|p| p.time_unix_nano).for_each(each),
        Data::ExponentialHistogram { points, .. } => {
            points.iter().map(|p| p.time_unix_nano).for_each(each);
        }
        Data::Summary { points } => points.iter().map(|p| p.time_unix_nano).for_each(each),
    }
}

/// The labels with a name and perhaps one more label.
fn named(base: &LabelsBuilder, name: &str, more: Option<(&str, &str)>) -> Labels {
    let mut labels = base.clone();
    if let Some((name, value)) = more {
        labels.set(name, value);
    }
    labels.set(METRIC_NAME, name);
    labels.build()
}

impl Writer<'_> {
    /// Returns how many points there were, like the functions below.
    pub(super) fn numbers<'a>(
        &mut self,
        points: &Points<'a, NumberPoint<'a>>,
        family: &Family<'_>,
        with_exemplars: bool,
    ) -> Result<usize, MetricError> {
        let mut count = 0;
        for point in points.iter() {
            count += 1;
            let base = self.labels(family).of(point.attributes)?;
            let value = if point.no_recorded_value() {
                stale_nan()
            } else {
                point.value.map_or(0.0, metrics::Number::as_f64)
            };
            let exemplars = if with_exemplars {
                exemplars(point.exemplars())?
            } else {
                Vec::new()
            };
            let labels = named(&base, &family.name, None);
            let t = Times::of(point.start_time_unix_nano, point.time_unix_nano);
            let series = self.sample(&labels, t, value)?;
            self.exemplars(series, &exemplars);
        }
        Ok(count)
    }

    pub(super) fn histograms<'a>(
        &mut self,
        points: &Points<'a, HistogramPoint<'a>>,
        family: &Family<'_>,
    ) -> Result<usize, MetricError> {
        let mut count = 0;
        for point in points.iter() {
            count += 1;
            self.histogram(&point, family)?;
        }
        Ok(count)
    }

    fn histogram(
        &mut self,
        point: &HistogramPoint<'_>,
        family: &Family<'_>,
    ) -> Result<(), MetricError> {
        let base = self.labels(family).of(point.attributes)?;
        let t = Times::of(point.start_time_unix_nano, point.time_unix_nano);
        let or_stale = |v: f64| {
            if point.no_recorded_value() {
                stale_nan()
            } else {
                v
            }
        };
        if let Some(sum) = point.sum {
            let labels = named(&base, &format!("{}_sum", family.name), None);
            self.sample(&labels, t, or_stale(sum))?;
        }
        let labels = named(&base, &format!("{}_count", family.name), None);
        self.sample(&labels, t, or_stale(point.count as f64))?;
        let exemplars = exemplars(point.exemplars())?;
        let bucket = format!("{}_bucket", family.name);
        let (mut cumulative, mut next) = (0u64, 0);
        for (bound, n) in point.explicit_bounds().zip(point.bucket_counts()) {
            cumulative = cumulative.wrapping_add(n);
            // Exemplars and buckets both come in rising order.
            let first = next;
            while exemplars.get(next).is_some_and(|e| e.value <= bound) {
                next += 1;
            }
            let labels = named(&base, &bucket, Some(("le", &float::plain(bound))));
            let series = self.sample(&labels, t, or_stale(cumulative as f64))?;
            self.exemplars(series, &exemplars[first..next]);
        }
        let labels = named(&base, &bucket, Some(("le", "+Inf")));
        let series = self.sample(&labels, t, or_stale(point.count as f64))?;
        self.exemplars(series, &exemplars[next..]);
        Ok(())
    }

    pub(super) fn summaries<'a>(
        &mut self,
        points: &Points<'a, SummaryPoint<'a>>,
        family: &Family<'_>,
    ) -> Result<usize, MetricError> {
        let mut count = 0;
        for point in points.iter() {
            count += 1;
            let base = self.labels(family).of(point.attributes)?;
            let t = Times::of(point.start_time_unix_nano, point.time_unix_nano);
            let or_stale = |v: f64| {
                if point.no_recorded_value() {
                    stale_nan()
                } else {
                    v
                }
            };
            let labels = named(&base, &format!("{}_sum", family.name), None);
            self.sample(&labels, t, or_stale(point.sum))?;
            let labels = named(&base, &format!("{}_count", family.name), None);
            self.sample(&labels, t, or_stale(point.count as f64))?;
            for quantile in point.quantiles() {
                let text = float::plain(quantile.quantile);
                let labels = named(&base, &family.name, Some(("quantile", &text)));
                self.sample(&labels, t, or_stale(quantile.value))?;
            }
        }
        Ok(count)
    }
}

/// Exemplars in Prometheus' form.
pub(super) fn exemplars<'a>(
    all: impl Iterator<Item = metrics::Exemplar<'a>>,
) -> Result<Vec<Exemplar>, MetricError> {
    all.map(|e| exemplar(&e)).collect()
}

fn exemplar(exemplar: &metrics::Exemplar<'_>) -> Result<Exemplar, MetricError> {
    let Some(value) = exemplar.value else {
        return Err(MetricError::new("unsupported exemplar value type: Empty"));
    };
    let mut labels = LabelsBuilder::default();
    let mut chars = 0;
    for (name, id) in [
        ("trace_id", exemplar.trace_id),
        ("span_id", exemplar.span_id),
    ] {
        if id.iter().any(|byte| *byte != 0) {
            let text: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            chars += name.len() + text.len();
            labels.set(name, &text);
        }
    }
    let attributes: Vec<(&str, String)> = exemplar
        .filtered_attributes
        .iter()
        .map(|(key, value)| (key, value.to_text()))
        .collect();
    chars += attributes
        .iter()
        .map(|(key, value)| key.chars().count() + value.chars().count())
        .sum::<usize>();
    if chars <= EXEMPLAR_CHARS_MAX {
        for (key, value) in &attributes {
            labels.set(key, value);
        }
    }
    Ok(Exemplar {
        labels: labels.build(),
        value: value.as_f64(),
        timestamp_ms: Some(millis(exemplar.time_unix_nano)),
    })
}
