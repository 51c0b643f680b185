//! The views must say what prost says.
#![allow(clippy::unwrap_used)]

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::metrics::v1 as pb;
use opentelemetry_proto::tonic::resource::v1::Resource;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::error::DecodeErrorKind;
use crate::value::Value;

fn any_value_strategy() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        Just(None),
        ".{0,8}".prop_map(|s| Some(any_value::Value::StringValue(s))),
        any::<bool>().prop_map(|b| Some(any_value::Value::BoolValue(b))),
        any::<i64>().prop_map(|i| Some(any_value::Value::IntValue(i))),
        (-1e9..1e9f64).prop_map(|d| Some(any_value::Value::DoubleValue(d))),
        proptest::collection::vec(any::<u8>(), 0..6)
            .prop_map(|b| Some(any_value::Value::BytesValue(b))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|values| AnyValue {
                value: Some(any_value::Value::ArrayValue(ArrayValue { values })),
            }),
            proptest::collection::vec((".{0,4}", inner), 0..3).prop_map(|pairs| AnyValue {
                value: Some(any_value::Value::KvlistValue(KeyValueList {
                    values: pairs
                        .into_iter()
                        .map(|(key, value)| KeyValue {
                            key,
                            value: Some(value),
                            ..KeyValue::default()
                        })
                        .collect(),
                })),
            }),
        ]
    })
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    proptest::collection::vec(("[a-z._]{0,6}", any_value_strategy()), 0..4).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(key, value)| KeyValue {
                key,
                value: Some(value),
                ..KeyValue::default()
            })
            .collect()
    })
}

fn exemplars() -> impl Strategy<Value = Vec<pb::Exemplar>> {
    proptest::collection::vec(
        (attributes(), any::<u64>(), any::<i64>(), any::<[u8; 8]>()).prop_map(
            |(filtered_attributes, time_unix_nano, value, id)| pb::Exemplar {
                filtered_attributes,
                time_unix_nano,
                value: Some(pb::exemplar::Value::AsInt(value)),
                span_id: id.to_vec(),
                trace_id: [id, id].concat(),
            },
        ),
        0..2,
    )
}

fn number_points() -> impl Strategy<Value = Vec<pb::NumberDataPoint>> {
    let value = prop_oneof![
        Just(None),
        any::<i64>().prop_map(|v| Some(pb::number_data_point::Value::AsInt(v))),
        (-1e300..1e300f64).prop_map(|v| Some(pb::number_data_point::Value::AsDouble(v))),
    ];
    proptest::collection::vec(
        (
            attributes(),
            any::<u64>(),
            any::<u64>(),
            value,
            any::<u32>(),
            exemplars(),
        )
            .prop_map(
                |(attributes, start_time_unix_nano, time_unix_nano, value, flags, exemplars)| {
                    pb::NumberDataPoint {
                        attributes,
                        start_time_unix_nano,
                        time_unix_nano,
                        value,
                        flags,
                        exemplars,
                    }
                },
            ),
        0..3,
    )
}

fn data() -> impl Strategy<Value = Option<pb::metric::Data>> {
    let histogram_point = (
        attributes(),
        any::<u64>(),
        proptest::option::of(-1e9..1e9f64),
        proptest::collection::vec(any::<u64>(), 0..5),
        exemplars(),
    )
        .prop_map(|(attributes, count, sum, bucket_counts, exemplars)| {
            pb::HistogramDataPoint {
                attributes,
                time_unix_nano: count.rotate_left(7),
                count,
                sum,
                min: sum,
                explicit_bounds: bucket_counts.iter().map(|c| *c as f64).collect(),
                bucket_counts,
                exemplars,
                ..Default::default()
            }
        });
    let exp_point = (
        attributes(),
        any::<i32>(),
        any::<i32>(),
        proptest::collection::vec(any::<u64>(), 0..5),
    )
        .prop_map(|(attributes, scale, offset, bucket_counts)| {
            pb::ExponentialHistogramDataPoint {
                attributes,
                scale,
                zero_count: 3,
                zero_threshold: 0.5,
                positive: Some(pb::exponential_histogram_data_point::Buckets {
                    offset,
                    bucket_counts,
                }),
                ..Default::default()
            }
        });
    let summary_point =
        (attributes(), any::<u64>(), 0.0..1.0f64).prop_map(|(attributes, count, quantile)| {
            pb::SummaryDataPoint {
                attributes,
                count,
                sum: quantile * 3.0,
                quantile_values: vec![pb::summary_data_point::ValueAtQuantile {
                    quantile,
                    value: 1.5,
                }],
                ..Default::default()
            }
        });
    prop_oneof![
        Just(None),
        number_points()
            .prop_map(|data_points| Some(pb::metric::Data::Gauge(pb::Gauge { data_points }))),
        (number_points(), 0..4i32, any::<bool>()).prop_map(
            |(data_points, aggregation_temporality, is_monotonic)| Some(pb::metric::Data::Sum(
                pb::Sum {
                    data_points,
                    aggregation_temporality,
                    is_monotonic
                }
            ))
        ),
        (proptest::collection::vec(histogram_point, 0..3), 0..3i32).prop_map(
            |(data_points, aggregation_temporality)| Some(pb::metric::Data::Histogram(
                pb::Histogram {
                    data_points,
                    aggregation_temporality
                }
            ))
        ),
        (proptest::collection::vec(exp_point, 0..3), 0..3i32).prop_map(
            |(data_points, aggregation_temporality)| Some(pb::metric::Data::ExponentialHistogram(
                pb::ExponentialHistogram {
                    data_points,
                    aggregation_temporality
                }
            ))
        ),
        proptest::collection::vec(summary_point, 0..3)
            .prop_map(|data_points| Some(pb::metric::Data::Summary(pb::Summary { data_points }))),
    ]
}

fn request() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let metric =
        (".{0,10}", ".{0,4}", attributes(), data()).prop_map(|(name, unit, metadata, data)| {
            pb::Metric {
                description: format!("about {name}"),
                name,
                unit,
                metadata,
                data,
            }
        });
    let scope = (attributes(), proptest::collection::vec(metric, 0..3)).prop_map(
        |(attributes, metrics)| pb::ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: "scope".into(),
                version: "1".into(),
                attributes,
                dropped_attributes_count: 2,
            }),
            metrics,
            schema_url: "s".into(),
        },
    );
    let resource = (attributes(), proptest::collection::vec(scope, 0..3)).prop_map(
        |(attributes, scope_metrics)| pb::ResourceMetrics {
            resource: Some(Resource {
                attributes,
                ..Default::default()
            }),
            scope_metrics,
            schema_url: "r".into(),
        },
    );
    proptest::collection::vec(resource, 0..3)
        .prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn back_value(value: Value<'_>) -> AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::Str(s) => Some(any_value::Value::StringValue(s.into())),
        Value::Bool(b) => Some(any_value::Value::BoolValue(b)),
        Value::Int(i) => Some(any_value::Value::IntValue(i)),
        Value::Double(d) => Some(any_value::Value::DoubleValue(d)),
        Value::Bytes(b) => Some(any_value::Value::BytesValue(b.into())),
        Value::Array(a) => Some(any_value::Value::ArrayValue(ArrayValue {
            values: a.iter().map(back_value).collect(),
        })),
        Value::Map(m) => Some(any_value::Value::KvlistValue(KeyValueList {
            values: back_attributes(m),
        })),
    };
    AnyValue { value }
}

fn back_attributes(attributes: Attributes<'_>) -> Vec<KeyValue> {
    attributes
        .iter()
        .map(|(key, value)| KeyValue {
            key: key.into(),
            value: Some(back_value(value)),
            ..KeyValue::default()
        })
        .collect()
}

fn back_exemplar(exemplar: Exemplar<'_>) -> pb::Exemplar {
    pb::Exemplar {
        filtered_attributes: back_attributes(exemplar.filtered_attributes),
        time_unix_nano: exemplar.time_unix_nano,
        value: exemplar.value.map(|value| match value {
            Number::Int(v) => pb::exemplar::Value::AsInt(v),
            Number::Double(v) => pb::exemplar::Value::AsDouble(v),
        }),
        span_id: exemplar.span_id.into(),
        trace_id: exemplar.trace_id.into(),
    }
}

fn back_number(point: NumberPoint<'_>) -> pb::NumberDataPoint {
    pb::NumberDataPoint {
        attributes: back_attributes(point.attributes),
        start_time_unix_nano: point.start_time_unix_nano,
        time_unix_nano: point.time_unix_nano,
        value: point.value.map(|value| match value {
            Number::Int(v) => pb::number_data_point::Value::AsInt(v),
            Number::Double(v) => pb::number_data_point::Value::AsDouble(v),
        }),
        flags: point.flags,
        exemplars: point.exemplars().map(back_exemplar).collect(),
    }
}

fn back_temporality(temporality: Temporality) -> i32 {
    match temporality {
        Temporality::Unspecified => 0,
        Temporality::Delta => 1,
        Temporality::Cumulative => 2,
    }
}

/// Rebuilds the generated form from the views.
fn back(request: MetricsRequest<'_>) -> ExportMetricsServiceRequest {
    let metric = |metric: Metric<'_>| pb::Metric {
        name: metric.name.into(),
        description: metric.description.into(),
        unit: metric.unit.into(),
        metadata: back_attributes(metric.metadata),
        data: match metric.data {
            Data::Empty => None,
            Data::Gauge { points } => Some(pb::metric::Data::Gauge(pb::Gauge {
                data_points: points.iter().map(back_number).collect(),
            })),
            Data::Sum {
                points,
                temporality,
                is_monotonic,
            } => Some(pb::metric::Data::Sum(pb::Sum {
                data_points: points.iter().map(back_number).collect(),
                aggregation_temporality: back_temporality(temporality),
                is_monotonic,
            })),
            Data::Histogram {
                points,
                temporality,
            } => Some(pb::metric::Data::Histogram(pb::Histogram {
                data_points: points
                    .iter()
                    .map(|p| pb::HistogramDataPoint {
                        attributes: back_attributes(p.attributes),
                        start_time_unix_nano: p.start_time_unix_nano,
                        time_unix_nano: p.time_unix_nano,
                        count: p.count,
                        sum: p.sum,
                        min: p.min,
                        max: p.max,
                        flags: p.flags,
                        bucket_counts: p.bucket_counts().collect(),
                        explicit_bounds: p.explicit_bounds().collect(),
                        exemplars: p.exemplars().map(back_exemplar).collect(),
                    })
                    .collect(),
                aggregation_temporality: back_temporality(temporality),
            })),
            Data::ExponentialHistogram {
                points,
                temporality,
            } => Some(pb::metric::Data::ExponentialHistogram(
                pb::ExponentialHistogram {
                    data_points: points
                        .iter()
                        .map(|p| pb::ExponentialHistogramDataPoint {
                            attributes: back_attributes(p.attributes),
                            start_time_unix_nano: p.start_time_unix_nano,
                            time_unix_nano: p.time_unix_nano,
                            count: p.count,
                            sum: p.sum,
                            min: p.min,
                            max: p.max,
                            flags: p.flags,
                            scale: p.scale,
                            zero_count: p.zero_count,
                            zero_threshold: p.zero_threshold,
                            positive: Some(pb::exponential_histogram_data_point::Buckets {
                                offset: p.positive.offset,
                                bucket_counts: p.positive.counts().collect(),
                            }),
                            negative: None,
                            exemplars: p.exemplars().map(back_exemplar).collect(),
                        })
                        .collect(),
                    aggregation_temporality: back_temporality(temporality),
                },
            )),
            Data::Summary { points } => Some(pb::metric::Data::Summary(pb::Summary {
                data_points: points
                    .iter()
                    .map(|p| pb::SummaryDataPoint {
                        attributes: back_attributes(p.attributes),
                        start_time_unix_nano: p.start_time_unix_nano,
                        time_unix_nano: p.time_unix_nano,
                        count: p.count,
                        sum: p.sum,
                        flags: p.flags,
                        quantile_values: p
                            .quantiles()
                            .map(|q| pb::summary_data_point::ValueAtQuantile {
                                quantile: q.quantile,
                                value: q.value,
                            })
                            .collect(),
                    })
                    .collect(),
            })),
        },
    };
    ExportMetricsServiceRequest {
        resource_metrics: request
            .resource_metrics()
            .map(|r| pb::ResourceMetrics {
                resource: Some(Resource {
                    attributes: back_attributes(r.attributes),
                    ..Default::default()
                }),
                scope_metrics: r
                    .scope_metrics()
                    .map(|s| pb::ScopeMetrics {
                        scope: Some(InstrumentationScope {
                            name: s.scope.name.into(),
                            version: s.scope.version.into(),
                            attributes: back_attributes(s.scope.attributes),
                            dropped_attributes_count: 2,
                        }),
                        metrics: s.metrics().map(metric).collect(),
                        schema_url: s.schema_url.into(),
                    })
                    .collect(),
                schema_url: r.schema_url.into(),
            })
            .collect(),
    }
}

fn normalized(mut request: ExportMetricsServiceRequest) -> ExportMetricsServiceRequest {
    // The views do not tell an undefined temporality from an unset one.
    for metric in request
        .resource_metrics
        .iter_mut()
        .flat_map(|r| &mut r.scope_metrics)
        .flat_map(|s| &mut s.metrics)
    {
        if let Some(pb::metric::Data::Sum(sum)) = &mut metric.data
            && sum.aggregation_temporality > 2
        {
            sum.aggregation_temporality = 0;
        }
    }
    request
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn views_equal_prost(request in request()) {
        let bytes = request.encode_to_vec();
        let view = MetricsRequest::new(&bytes).unwrap();
        prop_assert_eq!(back(view), normalized(request));
    }

    /// Whatever is done to the bytes: no panic, and the same verdict as prost, which does not look
    /// at the length of ids.
    #[test]
    fn verdict_equals_prost_on_damaged_bytes(
        request in request(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = request.encode_to_vec();
        if !bytes.is_empty() {
            for (at, value) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
        }
        let ours = MetricsRequest::new(&bytes);
        let theirs = ExportMetricsServiceRequest::decode(bytes.as_slice());
        let is_id = |e: &DecodeError| matches!(e.kind, DecodeErrorKind::IdLength { .. });
        if !ours.as_ref().is_err_and(is_id) {
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
        }
        if let Ok(view) = ours {
            let _ = back(view);
        }
    }

    #[test]
    fn split_keeps_every_point_once_in_order(request in request(), max in 1usize..4) {
        let bytes = request.encode_to_vec();
        let total = MetricsRequest::new(&bytes).unwrap().data_points();
        let parts = crate::raw::split(Signal::Metrics, &bytes, max).unwrap();
        let times = |bytes: &[u8]| -> Vec<String> {
            let decoded = ExportMetricsServiceRequest::decode(bytes).unwrap();
            decoded.resource_metrics.iter().flat_map(|r| &r.scope_metrics).flat_map(|s| &s.metrics)
                .flat_map(|m| match &m.data {
                    Some(pb::metric::Data::Gauge(g)) => g.data_points.iter().map(|p| format!("{} {p:?}", m.name)).collect::<Vec<_>>(),
                    Some(pb::metric::Data::Sum(g)) => g.data_points.iter().map(|p| format!("{} {p:?}", m.name)).collect(),
                    Some(pb::metric::Data::Histogram(g)) => g.data_points.iter().map(|p| format!("{} {p:?}", m.name)).collect(),
                    Some(pb::metric::Data::ExponentialHistogram(g)) => g.data_points.iter().map(|p| format!("{} {p:?}", m.name)).collect(),
                    Some(pb::metric::Data::Summary(g)) => g.data_points.iter().map(|p| format!("{} {p:?}", m.name)).collect(),
                    None => vec![],
                }).collect()
        };
        let joined: Vec<String> = parts.iter().flat_map(|(bytes, _)| times(bytes)).collect();
        prop_assert_eq!(joined, times(&bytes));
        prop_assert_eq!(parts.iter().map(|(_, n)| n).sum::<usize>(), total);
        for (part, items) in &parts {
            prop_assert_eq!(MetricsRequest::new(part).unwrap().data_points(), *items);
        }
    }

    #[test]
    fn json_round_trip(request in request()) {
        let bytes = request.encode_to_vec();
        let json = crate::json::to_json(Signal::Metrics.request(), &bytes).unwrap();
        let again = crate::json::to_protobuf(Signal::Metrics.request(), json.as_bytes()).unwrap();
        let decoded = ExportMetricsServiceRequest::decode(again.as_slice()).unwrap();
        prop_assert_eq!(decoded, request);
    }
}

#[test]
fn errors_say_where() {
    let request = ExportMetricsServiceRequest {
        resource_metrics: vec![pb::ResourceMetrics {
            schema_url: "abc".into(),
            ..Default::default()
        }],
    };
    let mut bytes = request.encode_to_vec();
    let last = bytes.len() - 1;
    bytes[last] = 0xff;
    let error = MetricsRequest::new(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid OTLP protobuf in ResourceMetrics.schemaUrl at byte 2: the string is not valid UTF-8"
    );
    let error = MetricsRequest::new(&bytes[..last]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid OTLP protobuf in ExportMetricsServiceRequest at byte 0: the data ends in the middle of a value"
    );
}
