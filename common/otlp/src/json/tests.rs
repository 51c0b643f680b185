#![allow(clippy::unwrap_used)]

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

use super::*;
use crate::signal::Signal;

fn metrics(json: &str) -> ExportMetricsServiceRequest {
    let bytes = to_protobuf(Signal::Metrics.request(), json.as_bytes()).unwrap();
    ExportMetricsServiceRequest::decode(bytes.as_slice()).unwrap()
}

#[test]
fn metrics_with_every_number_form() {
    let request = metrics(
        r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"x"}}]},
        "unknownField":{"a":[1,2]},
        "scopeMetrics":[{"metrics":[
          {"name":"a","gauge":{"dataPoints":[{"timeUnixNano":"1544712660300000000","asInt":"-5"},{"timeUnixNano":7,"asInt":6},{"asDouble":"NaN"},{"asDouble":1}]}},
          {"name":"b","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"2","sum":"Infinity","bucketCounts":["1",1],"explicitBounds":[1.5],"exemplars":null}]}}
        ]}]}]}"#,
    );
    let scope = &request.resource_metrics[0].scope_metrics[0];
    let Some(metric::Data::Gauge(gauge)) = &scope.metrics[0].data else {
        panic!("no gauge");
    };
    assert_eq!(
        gauge.data_points[0].time_unix_nano,
        1_544_712_660_300_000_000
    );
    assert_eq!(
        gauge.data_points[0].value,
        Some(number_data_point::Value::AsInt(-5))
    );
    assert_eq!(
        gauge.data_points[1].value,
        Some(number_data_point::Value::AsInt(6))
    );
    let Some(number_data_point::Value::AsDouble(nan)) = gauge.data_points[2].value else {
        panic!("no double");
    };
    assert!(nan.is_nan());
    let Some(metric::Data::Histogram(histogram)) = &scope.metrics[1].data else {
        panic!("no histogram");
    };
    assert_eq!(histogram.data_points[0].bucket_counts, [1, 1]);
    assert_eq!(histogram.data_points[0].sum, Some(f64::INFINITY));
}

#[test]
fn ids_are_hexadecimal_of_any_case() {
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","name":"s","kind":2}]}]}]}"#;
    let bytes = to_protobuf(Signal::Traces.request(), json.as_bytes()).unwrap();
    let request = ExportTraceServiceRequest::decode(bytes.as_slice()).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.trace_id[..2], [0x5b, 0x8e]);
    assert_eq!(span.span_id[..2], [0xee, 0xe1]);
    let text = to_json(Signal::Traces.request(), &bytes).unwrap();
    assert!(
        text.contains("\"traceId\":\"5b8efff798038103d269b633813fc60c\""),
        "{text}"
    );
}

#[test]
fn ids_have_their_length_in_both_encodings() {
    let span = |trace: &str, span: &str| {
        format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":"{trace}","spanId":"{span}"}}]}}]}}]}}"#
        )
    };
    let trace = "5b8efff798038103d269b633813fc60c";
    let to_bytes = |json: String| to_protobuf(Signal::Traces.request(), json.as_bytes());
    to_bytes(span(trace, "eee19b7ec3c1b174")).unwrap();
    let empty = to_bytes(span("", "")).unwrap();
    Signal::Traces.request().validate(&empty).unwrap();
    for (trace, id, expected) in [
        ("5b8e", "eee19b7ec3c1b174", "traceId: expected 32 hex"),
        (trace, trace, "spanId: expected 16 hex"),
        // As base64, which is how other protobuf JSON has it.
        ("W47/95gDgQPSabYzgT/GDA==", "", "traceId: expected 32 hex"),
    ] {
        let error = to_bytes(span(trace, id)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans {
                spans: vec![Span {
                    parent_span_id: vec![1, 2, 3],
                    ..Span::default()
                }],
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let error = Signal::Traces.request().validate(&request.encode_to_vec());
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("Span.parentSpanId") && error.contains("3 bytes instead of 8"),
        "{error}"
    );
}

#[test]
fn logs_with_nested_bodies() {
    let json = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityNumber":9,"body":{"kvlistValue":{"values":[{"key":"a","value":{"bytesValue":"aGk="}}]}}}]}]}]}"#;
    let bytes = to_protobuf(Signal::Logs.request(), json.as_bytes()).unwrap();
    ExportLogsServiceRequest::decode(bytes.as_slice()).unwrap();
    assert_eq!(to_json(Signal::Logs.request(), &bytes).unwrap(), json);
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (json, expected) in [
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("[]", "expected an object for ExportMetricsServiceRequest"),
        (
            r#"{"resourceMetrics":{}}"#,
            "resourceMetrics must be a list",
        ),
        (
            r#"{"resourceMetrics":[{"schemaUrl":5}]}"#,
            "schemaUrl: expected a string, found 5",
        ),
        (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA"}}]}]}]}"#,
            "enum names are not allowed",
        ),
        (
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"timeUnixNano":"-1"}]}}]}]}]}"#,
            "timeUnixNano: expected an unsigned 64-bit integer",
        ),
        ("{} x", "trailing characters"),
    ] {
        let error = to_protobuf(Signal::Metrics.request(), json.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(expected), "{json}: {error}");
    }
}

#[test]
fn snake_case_is_not_the_json_form() {
    assert_eq!(
        metrics(r#"{"resource_metrics":[{}]}"#)
            .resource_metrics
            .len(),
        0
    );
}
