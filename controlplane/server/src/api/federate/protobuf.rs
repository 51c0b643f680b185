//! The page as `io.prometheus.client.MetricFamily` messages, each after its length.
//!
//! Field numbers are those of prometheus/client_model's `metrics.proto`; the fields that federation never fills are
//! left out.

use bellwether_model::{FloatHistogram, MetricType, Span};
use prost::Message;

use super::{Family, Page, Value, classic_buckets};

#[derive(Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    /// `MetricType`.
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Untyped>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
}

#[derive(Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

#[derive(Message)]
struct Untyped {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Message)]
struct Histogram {
    #[prost(double, optional, tag = "4")]
    sample_count_float: Option<f64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(double, optional, tag = "8")]
    zero_count_float: Option<f64>,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<BucketSpan>,
    #[prost(double, repeated, packed = "false", tag = "11")]
    negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(double, repeated, packed = "false", tag = "14")]
    positive_count: Vec<f64>,
}

#[derive(Message)]
struct Bucket {
    #[prost(double, optional, tag = "4")]
    cumulative_count_float: Option<f64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

#[derive(Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

pub(super) fn write(page: &Page<'_>, families: &[Family<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for family in families {
        let message = MetricFamily {
            name: Some(page.escaping.name(family.name).into_owned()),
            kind: Some(match family.kind {
                MetricType::Histogram => 4,
                MetricType::GaugeHistogram => 5,
                _ => 3,
            }),
            metric: family
                .samples
                .iter()
                .map(|(labels, t, value)| Metric {
                    label: page
                        .labels(labels)
                        .into_iter()
                        .map(|(name, value)| LabelPair {
                            name: Some(page.escaping.label(name).into_owned()),
                            value: Some(value.to_owned()),
                        })
                        .collect(),
                    untyped: match value {
                        Value::Float(v) => Some(Untyped { value: Some(*v) }),
                        Value::Histogram(_) => None,
                    },
                    histogram: match value {
                        Value::Float(_) => None,
                        Value::Histogram(h) if h.uses_custom_buckets() => Some(classic(h)),
                        Value::Histogram(h) => Some(native(h)),
                    },
                    timestamp_ms: Some(*t),
                })
                .collect(),
        };
        let size = message.encoded_len();
        out.reserve(size + 10);
        message
            .encode_length_delimited(&mut out)
            .expect("a Vec grows as it needs to");
    }
    out
}

fn spans(spans: &[Span]) -> Vec<BucketSpan> {
    spans
        .iter()
        .map(|span| BucketSpan {
            offset: Some(span.offset),
            length: Some(span.length),
        })
        .collect()
}

fn native(h: &FloatHistogram) -> Histogram {
    Histogram {
        sample_count_float: Some(h.count),
        sample_sum: Some(h.sum),
        bucket: Vec::new(),
        schema: Some(h.schema),
        zero_threshold: Some(h.zero_threshold),
        zero_count_float: Some(h.zero_count),
        negative_span: spans(&h.negative_spans),
        negative_count: h.negative_buckets.clone(),
        positive_span: spans(&h.positive_spans),
        positive_count: h.positive_buckets.clone(),
    }
}

fn classic(h: &FloatHistogram) -> Histogram {
    Histogram {
        sample_count_float: Some(h.count),
        sample_sum: Some(h.sum),
        bucket: classic_buckets(h)
            .into_iter()
            .map(|(bound, count)| Bucket {
                cumulative_count_float: Some(count),
                upper_bound: Some(bound),
            })
            .collect(),
        ..Histogram::default()
    }
}
