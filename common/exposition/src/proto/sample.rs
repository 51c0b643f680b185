//! The samples of a metric.

use bellwether_model::labels::{BUCKET_LABEL, QUANTILE_LABEL};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, MetricType};

use super::message::{Metric, Number, ProtoHistogram, Summary};
use super::{Family, ProtoError, ProtoOptions};
use crate::{format_openmetrics_float, push_sample_name};

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum ProtoValue {
    /// A float.
    Float(f64),
    /// A native histogram of integers.
    Histogram(Histogram),
    /// A native histogram of floats.
    FloatHistogram(FloatHistogram),
}

/// A sample of a family.
#[derive(Debug)]
pub struct ProtoSample<'s> {
    /// Name and labels as the text format writes them.
    pub series: &'s str,
    /// Value.
    pub value: ProtoValue,
    /// Milliseconds since the epoch, where the metric has a timestamp.
    pub timestamp_ms: Option<i64>,
    /// When the counter, summary or histogram began, in milliseconds since the epoch, where the page says so.
    pub start_ms: Option<i64>,
    /// Exemplars in the order of the page.
    pub exemplars: Vec<Exemplar>,
}

impl Family<'_> {
    /// Calls `each` for every sample of the family in Prometheus' order, until it fails.
    ///
    /// # Errors
    /// When a metric is malformed, or what `each` answers.
    pub fn each_sample<E: From<ProtoError>>(
        &self,
        options: ProtoOptions,
        mut each: impl FnMut(ProtoSample<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut series = String::new();
        for cursor in &self.metrics {
            let metric = Metric::read(*cursor)?;
            let writer = Writer {
                name: self.name,
                labels: &metric.labels,
                timestamp_ms: metric.timestamp_ms,
                start_ms: None,
                series: &mut series,
                each: &mut each,
            };
            writer.metric(self.kind, &metric, options)?;
        }
        Ok(())
    }
}

/// Writes the samples of one metric.
struct Writer<'w, F> {
    name: &'w str,
    labels: &'w [(&'w str, &'w str)],
    timestamp_ms: Option<i64>,
    start_ms: Option<i64>,
    series: &'w mut String,
    each: &'w mut F,
}

impl<F> Writer<'_, F> {
    fn metric<E>(
        mut self,
        kind: MetricType,
        metric: &Metric<'_>,
        options: ProtoOptions,
    ) -> Result<(), E>
    where
        E: From<ProtoError>,
        F: FnMut(ProtoSample<'_>) -> Result<(), E>,
    {
        // A metric without a value of its family's type counts as zero, which protobuf leaves out.
        let content = |number| {
            metric
                .content
                .filter(|(found, _)| *found == number)
                .map(|(_, cursor)| cursor)
        };
        let number = match kind {
            MetricType::Gauge => 2,
            MetricType::Counter => 3,
            MetricType::Summary => {
                let summary = content(4).map(Summary::read).transpose()?;
                return self.summary(&summary.unwrap_or_default());
            }
            MetricType::Histogram | MetricType::GaugeHistogram => {
                let histogram = content(7).map(ProtoHistogram::read).transpose()?;
                let gauge = kind == MetricType::GaugeHistogram;
                return self.histogram(histogram.unwrap_or_default(), gauge, options);
            }
            _ => 5,
        };
        let number = content(number)
            .map(Number::read)
            .transpose()?
            .unwrap_or_default();
        // Only a counter begins.
        self.start_ms = number.start_ms.filter(|_| kind == MetricType::Counter);
        let exemplars = number.exemplar.into_iter().collect();
        self.sample("", None, ProtoValue::Float(number.value), exemplars)
    }

    fn sample<E>(
        &mut self,
        suffix: &str,
        extra: Option<(&str, f64)>,
        value: ProtoValue,
        exemplars: Vec<Exemplar>,
    ) -> Result<(), E>
    where
        F: FnMut(ProtoSample<'_>) -> Result<(), E>,
    {
        let name = format!("{}{suffix}", self.name);
        let bound = extra.map(|(label, value)| (label, format_openmetrics_float(value)));
        let bound = bound.as_ref().map(|(label, text)| (*label, text.as_str()));
        self.series.clear();
        push_sample_name(self.series, &name, self.labels.iter().copied().chain(bound));
        (self.each)(ProtoSample {
            series: self.series,
            value,
            timestamp_ms: self.timestamp_ms,
            start_ms: self.start_ms,
            exemplars,
        })
    }

    fn summary<E>(&mut self, summary: &Summary) -> Result<(), E>
    where
        F: FnMut(ProtoSample<'_>) -> Result<(), E>,
    {
        let float = ProtoValue::Float;
        self.start_ms = summary.start_ms;
        self.sample("_count", None, float(summary.count as f64), Vec::new())?;
        self.sample("_sum", None, float(summary.sum), Vec::new())?;
        for (quantile, value) in &summary.quantiles {
            let label = Some((QUANTILE_LABEL, *quantile));
            self.sample("", label, float(*value), Vec::new())?;
        }
        Ok(())
    }

    fn histogram<E>(
        &mut self,
        mut h: ProtoHistogram,
        gauge: bool,
        options: ProtoOptions,
    ) -> Result<(), E>
    where
        F: FnMut(ProtoSample<'_>) -> Result<(), E>,
    {
        self.start_ms = h.start_ms;
        if !(options.native && h.is_native()) {
            return self.classic(&h);
        }
        let classic = options.always_classic && !h.buckets.is_empty();
        // The exemplars of a native histogram need a time of their own; those of the classic buckets stand in.
        let mut exemplars = std::mem::take(&mut h.exemplars);
        if exemplars.is_empty() {
            exemplars.extend(h.buckets.iter().filter_map(|b| b.exemplar.clone()));
        }
        exemplars.retain(|exemplar| exemplar.timestamp_ms.is_some());
        if classic {
            let buckets = std::mem::take(&mut h.buckets);
            let (count, sum) = (h.count(), h.sum);
            self.sample("", None, h.into_native(gauge), exemplars)?;
            return self.classic_parts(count, sum, &buckets);
        }
        self.sample("", None, h.into_native(gauge), exemplars)
    }

    fn classic<E>(&mut self, h: &ProtoHistogram) -> Result<(), E>
    where
        F: FnMut(ProtoSample<'_>) -> Result<(), E>,
    {
        self.classic_parts(h.count(), h.sum, &h.buckets)
    }

    fn classic_parts<E>(
        &mut self,
        count: f64,
        sum: f64,
        buckets: &[super::message::ClassicBucket],
    ) -> Result<(), E>
    where
        F: FnMut(ProtoSample<'_>) -> Result<(), E>,
    {
        let float = ProtoValue::Float;
        self.sample("_count", None, float(count), Vec::new())?;
        self.sample("_sum", None, float(sum), Vec::new())?;
        for bucket in buckets {
            self.sample(
                "_bucket",
                Some((BUCKET_LABEL, bucket.upper_bound)),
                float(bucket.cumulative_count),
                bucket.exemplar.clone().into_iter().collect(),
            )?;
        }
        // The bucket of everything need not be written.
        if buckets
            .last()
            .is_none_or(|b| b.upper_bound != f64::INFINITY)
        {
            let label = Some((BUCKET_LABEL, f64::INFINITY));
            self.sample("_bucket", label, float(count), Vec::new())?;
        }
        Ok(())
    }
}
