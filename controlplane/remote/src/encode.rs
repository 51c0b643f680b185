//! Building a request.

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels, MetricType, Span};

use crate::request::{HistogramRecord, MetricMetadata};
use crate::wire::Writer;

/// Collects series and metadata into one protobuf `WriteRequest`.
#[derive(Debug, Default)]
pub struct RequestBuilder {
    writer: Writer,
}

impl RequestBuilder {
    /// An empty request.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series with float samples (time in milliseconds, value).
    pub fn series(&mut self, labels: &Labels, samples: &[(i64, f64)]) -> &mut Self {
        self.series_with(labels, samples, &[], &[])
    }

    /// Adds a series with everything it may have.
    pub fn series_with(
        &mut self,
        labels: &Labels,
        samples: &[(i64, f64)],
        exemplars: &[Exemplar],
        histograms: &[HistogramRecord],
    ) -> &mut Self {
        self.raw_series(
            labels.iter().map(|l| (l.name, l.value)),
            samples,
            exemplars,
            histograms,
        )
    }

    /// Adds a series whose labels are written as given, also when they are no valid label set.
    pub fn raw_series<'l>(
        &mut self,
        labels: impl IntoIterator<Item = (&'l str, &'l str)>,
        samples: &[(i64, f64)],
        exemplars: &[Exemplar],
        histograms: &[HistogramRecord],
    ) -> &mut Self {
        self.writer.message(1, |w| {
            for (name, value) in labels {
                push_label(w, name, value);
            }
            for (t, v) in samples {
                w.message(2, |w| {
                    w.double(1, *v);
                    w.int(2, *t);
                });
            }
            for exemplar in exemplars {
                w.message(3, |w| {
                    for label in &exemplar.labels {
                        push_label(w, label.name, label.value);
                    }
                    w.double(2, exemplar.value);
                    w.int(3, exemplar.timestamp_ms.unwrap_or(0));
                });
            }
            for histogram in histograms {
                w.message(4, |w| push_histogram(w, histogram));
            }
        });
        self
    }

    /// Adds metadata of a family.
    pub fn metadata(&mut self, metadata: &MetricMetadata<'_>) -> &mut Self {
        self.writer.message(3, |w| {
            w.uint(1, type_number(metadata.kind));
            w.bytes(2, metadata.family.as_bytes());
            w.bytes(4, metadata.help.as_bytes());
            w.bytes(5, metadata.unit.as_bytes());
        });
        self
    }

    /// The message, uncompressed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.writer.0.clone()
    }

    /// The message as a snappy block: the body of a request.
    ///
    /// # Errors
    /// When the message is larger than snappy's 4 GiB.
    pub fn encode_snappy(&self) -> Result<Vec<u8>, snap::Error> {
        snap::raw::Encoder::new().compress_vec(&self.writer.0)
    }
}

/// The body of a request with one sample per series: labels, time in milliseconds, value.
///
/// # Panics
/// When the samples are more than snappy's 4 GiB.
#[must_use]
pub fn encode_floats(samples: impl IntoIterator<Item = (Labels, i64, f64)>) -> Vec<u8> {
    let mut request = RequestBuilder::new();
    for (labels, t, v) in samples {
        request.series(&labels, &[(t, v)]);
    }
    request
        .encode_snappy()
        .expect("a request is far below snappy's limit of 4 GiB")
}

pub(crate) fn push_label(w: &mut Writer, name: &str, value: &str) {
    w.message(1, |w| {
        w.bytes(1, name.as_bytes());
        w.bytes(2, value.as_bytes());
    });
}

/// The fields of a `Histogram`.
pub(crate) fn push_histogram(w: &mut Writer, histogram: &HistogramRecord) {
    match histogram {
        HistogramRecord::Integer(t, h) => push_integer(w, *t, h),
        HistogramRecord::Float(t, h) => push_float(w, *t, h),
    }
}

fn push_spans(w: &mut Writer, field: u64, spans: &[Span]) {
    for span in spans {
        w.message(field, |w| {
            w.sint(1, i64::from(span.offset));
            w.uint(2, u64::from(span.length));
        });
    }
}

fn push_integer(w: &mut Writer, t: i64, h: &Histogram) {
    w.uint_present(1, h.count);
    w.double(3, h.sum);
    w.sint(4, i64::from(h.schema));
    w.double(5, h.zero_threshold);
    w.uint_present(6, h.zero_count);
    push_spans(w, 8, &h.negative_spans);
    w.packed_sints(9, &h.negative_buckets);
    push_spans(w, 11, &h.positive_spans);
    w.packed_sints(12, &h.positive_buckets);
    w.uint(14, hint_number(h.reset_hint));
    w.int(15, t);
    w.packed_doubles(16, &h.custom_values);
}

fn push_float(w: &mut Writer, t: i64, h: &FloatHistogram) {
    w.double_present(2, h.count);
    w.double(3, h.sum);
    w.sint(4, i64::from(h.schema));
    w.double(5, h.zero_threshold);
    w.double_present(7, h.zero_count);
    push_spans(w, 8, &h.negative_spans);
    w.packed_doubles(10, &h.negative_buckets);
    push_spans(w, 11, &h.positive_spans);
    w.packed_doubles(13, &h.positive_buckets);
    w.uint(14, hint_number(h.reset_hint));
    w.int(15, t);
    w.packed_doubles(16, &h.custom_values);
}

fn hint_number(hint: CounterResetHint) -> u64 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

pub(crate) fn type_number(kind: MetricType) -> u64 {
    match kind {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::Stateset => 7,
    }
}
