#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
};
use prost::Message as _;

use super::{CUMULATIVE, Cumulative, DELTA, has_delta};
use crate::metrics::MetricsRequest;

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let pair = |(key, value): &(&str, &str)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue {
            value: Some(Any::StringValue((*value).to_owned())),
        }),
        ..KeyValue::default()
    };
    pairs.iter().map(pair).collect()
}

fn request(data: Vec<Data>) -> Vec<u8> {
    let metric = |data| Metric {
        name: "m".to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            scope_metrics: vec![ScopeMetrics {
                metrics: data.into_iter().map(metric).collect(),
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
    .encode_to_vec()
}

/// What the data of a request becomes, and how many points are dropped.
fn convert(state: &mut Cumulative, data: Data, now: Instant) -> (Option<Data>, usize) {
    let converted = state.convert(&request(vec![data]), now).unwrap();
    let request = converted
        .request
        .map(|bytes| ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap());
    let data = request.map(|mut request| {
        let mut scope = request.resource_metrics.remove(0).scope_metrics.remove(0);
        scope.metrics.remove(0).data.unwrap()
    });
    (data, converted.dropped)
}

fn number(start: u64, time: u64, value: Value) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn sum(points: Vec<NumberDataPoint>) -> Data {
    Data::Sum(Sum {
        data_points: points,
        aggregation_temporality: DELTA,
        is_monotonic: true,
    })
}

/// Start, time and value of the points of a sum that must be cumulative.
fn totals(data: Option<Data>) -> Vec<(u64, u64, Value)> {
    let Some(Data::Sum(sum)) = data else {
        return Vec::new();
    };
    assert_eq!(sum.aggregation_temporality, CUMULATIVE);
    let total = |p: &NumberDataPoint| (p.start_time_unix_nano, p.time_unix_nano, p.value.unwrap());
    sum.data_points.iter().map(total).collect()
}

#[test]
fn sums_add_up_in_order() {
    let (mut state, now) = (Cumulative::default(), Instant::now());
    let int = Value::AsInt;
    let data = sum(vec![
        number(10, 20, int(1)),
        number(20, 30, int(2)),
        // The same time again, an older one, an older start.
        number(20, 30, int(4)),
        number(20, 25, int(8)),
        number(5, 40, int(16)),
        number(30, 40, int(32)),
    ]);
    let (data, dropped) = convert(&mut state, data, now);
    assert_eq!(
        totals(data),
        [(10, 20, int(1)), (10, 30, int(3)), (10, 40, int(35))]
    );
    assert_eq!(dropped, 3);
    // The state lives from request to request; nothing left is nothing to store.
    let (data, dropped) = convert(&mut state, sum(vec![number(30, 40, int(1))]), now);
    assert_eq!((data, dropped), (None, 1));
    let (data, _) = convert(&mut state, sum(vec![number(40, 50, int(1))]), now);
    assert_eq!(totals(data), [(10, 50, int(36))]);
    // Floats have a total of their own.
    let double = Value::AsDouble;
    let points = vec![number(50, 60, double(0.5)), number(60, 70, double(0.25))];
    let (data, _) = convert(&mut state, sum(points), now);
    assert_eq!(
        totals(data),
        [(10, 60, double(0.5)), (10, 70, double(0.75))]
    );
}

#[test]
fn streams_differ_by_attributes_but_not_by_their_order() {
    let (mut state, now) = (Cumulative::default(), Instant::now());
    let point = |time, pairs: &[(&str, &str)]| NumberDataPoint {
        attributes: attributes(pairs),
        exemplars: vec![Exemplar {
            time_unix_nano: time,
            ..Exemplar::default()
        }],
        ..number(10, time, Value::AsInt(1))
    };
    let points = vec![
        point(20, &[("a", "1"), ("b", "2")]),
        point(21, &[("b", "2"), ("a", "1")]),
        point(22, &[("a", "1")]),
        point(23, &[]),
    ];
    let (data, _) = convert(&mut state, sum(points.clone()), now);
    let Some(Data::Sum(sum)) = data else {
        panic!("a sum")
    };
    let values: Vec<Value> = sum.data_points.iter().filter_map(|p| p.value).collect();
    assert_eq!(values, [1, 2, 1, 1].map(Value::AsInt));
    // Attributes and exemplars stay those of the point.
    for (before, after) in points.iter().zip(&sum.data_points) {
        assert_eq!(before.attributes, after.attributes);
        assert_eq!(before.exemplars, after.exemplars);
    }
    assert_eq!(state.streams(), 3);
}

#[test]
fn stale_streams_begin_anew() {
    let (mut state, begin) = (Cumulative::default(), Instant::now());
    let at = |minutes: u64| begin + Duration::from_secs(60 * minutes);
    let one = |time| sum(vec![number(10, time, Value::AsInt(1))]);
    convert(&mut state, one(20), at(0));
    let (data, _) = convert(&mut state, one(21), at(5));
    assert_eq!(totals(data), [(10, 21, Value::AsInt(2))]);
    let (data, _) = convert(&mut state, one(22), at(11));
    assert_eq!(totals(data), [(10, 22, Value::AsInt(1))]);
}

#[test]
fn histograms_add_bucket_by_bucket() {
    let (mut state, now) = (Cumulative::default(), Instant::now());
    let point = |time, bounds: &[f64], counts: &[u64], sum| HistogramDataPoint {
        time_unix_nano: time,
        explicit_bounds: bounds.to_vec(),
        bucket_counts: counts.to_vec(),
        count: counts.iter().sum(),
        sum,
        min: Some(time as f64),
        max: Some(time as f64),
        ..HistogramDataPoint::default()
    };
    let data = Data::Histogram(Histogram {
        aggregation_temporality: DELTA,
        data_points: vec![
            point(1, &[1.0, 2.0], &[1, 2, 3], Some(1.5)),
            point(2, &[1.0, 2.0], &[0, 1, 1], Some(2.0)),
            point(3, &[1.0, 2.0], &[1, 0, 0], None),
            point(4, &[1.0], &[5, 6], Some(9.0)),
        ],
    });
    let (data, _) = convert(&mut state, data, now);
    let Some(Data::Histogram(h)) = data else {
        panic!("a histogram")
    };
    assert_eq!(h.aggregation_temporality, CUMULATIVE);
    let rows: Vec<_> = (h.data_points.iter())
        .map(|p| (p.bucket_counts.clone(), p.count, p.sum, p.min, p.max))
        .collect();
    assert_eq!(
        rows,
        [
            (vec![1, 2, 3], 6, Some(1.5), Some(1.0), Some(1.0)),
            (vec![1, 3, 4], 8, Some(3.5), Some(1.0), Some(2.0)),
            // A sum that one of them does not know is not known.
            (vec![2, 3, 4], 9, None, Some(1.0), Some(3.0)),
            // Other bounds count anew.
            (vec![5, 6], 11, Some(9.0), Some(4.0), Some(4.0)),
        ]
    );
}

fn exponential(
    time: u64,
    scale: i32,
    (zero_threshold, zero_count): (f64, u64),
    positive: (i32, &[u64]),
) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        time_unix_nano: time,
        scale,
        zero_threshold,
        zero_count,
        count: zero_count + positive.1.iter().sum::<u64>(),
        positive: Some(Buckets {
            offset: positive.0,
            bucket_counts: positive.1.to_vec(),
        }),
        ..ExponentialHistogramDataPoint::default()
    }
}

/// The total of these points.
fn exponential_total(points: Vec<ExponentialHistogramDataPoint>) -> ExponentialHistogramDataPoint {
    let data = Data::ExponentialHistogram(ExponentialHistogram {
        aggregation_temporality: DELTA,
        data_points: points,
    });
    let (data, _) = convert(&mut Cumulative::default(), data, Instant::now());
    let Some(Data::ExponentialHistogram(mut h)) = data else {
        panic!("an exponential histogram")
    };
    assert_eq!(h.aggregation_temporality, CUMULATIVE);
    h.data_points.pop().unwrap()
}

#[test]
fn exponential_histograms_meet_at_the_lower_scale() {
    let total = exponential_total(vec![
        exponential(1, 1, (0.0, 1), (-3, &[1, 1, 1, 1, 1])),
        exponential(2, 0, (0.0, 2), (3, &[7])),
    ]);
    // Of scale 1: -3; -2, -1; 0, 1 are -2, -1 and 0 of scale 0.
    let positive = total.positive.unwrap();
    assert_eq!((total.scale, total.zero_count, total.count), (0, 3, 15));
    assert_eq!(
        (positive.offset, positive.bucket_counts),
        (-2, vec![1, 2, 2, 0, 0, 7])
    );
}

#[test]
fn too_many_buckets_lower_the_scale() {
    let total = exponential_total(vec![
        exponential(1, 4, (0.0, 0), (0, &[1])),
        exponential(2, 4, (0.0, 0), (400, &[2])),
    ]);
    let positive = total.positive.unwrap();
    assert_eq!(total.scale, 2);
    assert_eq!((positive.offset, positive.bucket_counts.len()), (0, 101));
    assert_eq!(positive.bucket_counts.iter().sum::<u64>(), 3);
    // The ends of the world are near each other, too.
    let far = exponential_total(vec![
        exponential(1, 0, (0.0, 0), (i32::MIN, &[1])),
        exponential(2, i32::MAX, (f64::INFINITY, 0), (i32::MAX, &[2])),
    ]);
    assert_eq!(far.count, 3);
}

#[test]
fn a_wider_zero_bucket_swallows_buckets() {
    // Buckets (1, 2], (2, 4], (4, 8].
    let total = exponential_total(vec![
        exponential(1, 0, (0.0, 1), (0, &[2, 3, 4])),
        exponential(2, 0, (3.0, 10), (2, &[1])),
    ]);
    let positive = total.positive.unwrap();
    // 3 is inside of the second bucket, which goes as a whole.
    assert_eq!((total.zero_threshold, total.zero_count), (4.0, 16));
    assert_eq!((positive.offset, positive.bucket_counts), (2, vec![5]));
    assert_eq!(total.count, 21);
}

#[test]
fn what_is_no_delta_stays() {
    let gauge = Data::Gauge(Gauge {
        data_points: vec![number(0, 1, Value::AsInt(1))],
    });
    let cumulative = Data::Sum(Sum {
        data_points: vec![number(0, 1, Value::AsInt(1))],
        aggregation_temporality: CUMULATIVE,
        is_monotonic: true,
    });
    let mut state = Cumulative::default();
    for data in [gauge, cumulative] {
        let bytes = request(vec![data.clone()]);
        assert!(!has_delta(&MetricsRequest::new(&bytes).unwrap()));
        assert_eq!(
            convert(&mut state, data, Instant::now()),
            (Some(data_of(&bytes)), 0)
        );
    }
    assert_eq!(state.streams(), 0);
    let delta = request(vec![sum(vec![number(0, 1, Value::AsInt(1))])]);
    assert!(has_delta(&MetricsRequest::new(&delta).unwrap()));
    assert!(state.convert(b"nonsense", Instant::now()).is_err());
}

fn data_of(bytes: &[u8]) -> Data {
    let request = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let metric = &request.resource_metrics[0].scope_metrics[0].metrics[0];
    metric.data.clone().unwrap()
}
