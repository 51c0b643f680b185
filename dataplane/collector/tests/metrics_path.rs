//! OTLP in over real sockets, Prometheus text out.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message as _;

const YAML: &str = r#"
receivers:
  otlp:
    protocols:
      grpc: { endpoint: "127.0.0.1:0" }
      http: { endpoint: "127.0.0.1:0" }
processors:
  batch: { timeout: 20ms }
exporters:
  prometheus:
    endpoint: 127.0.0.1:0
    namespace: ns
    const_labels: { environment: prod }
service:
  telemetry:
    metrics:
      readers:
        - pull: { exporter: { prometheus: { host: 127.0.0.1, port: 0, without_type_suffix: true, without_units: true } } }
  pipelines:
    metrics: { receivers: [otlp], processors: [batch], exporters: [prometheus] }
"#;

#[tokio::test]
async fn grpc_and_http_reach_the_page() {
    let collector = Running::start(YAML).await;
    let mut grpc = MetricsServiceClient::connect(collector.url("grpc", ""))
        .await
        .unwrap();
    let sent = request(vec![
        counter(
            "http.requests",
            "{request}",
            vec![point(3.0, vec![kv("http.route", "/a \"b\"")])],
        ),
        gauge("queue.depth", vec![point(-1.5, vec![])]),
    ]);
    grpc.export(sent).await.unwrap();
    let sent = request(vec![histogram(
        "http.server.request.duration",
        &[0.005, 1.0, 10000.0],
        &[1, 2, 3, 4],
        9.25,
    )]);
    let response = client()
        .post(collector.url("http", "/v1/metrics"))
        .header("content-type", "application/x-protobuf")
        .body(sent.encode_to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/x-protobuf");

    let url = collector.url("exporters::prometheus", "/metrics");
    let page = page_with(&url, "ns_http_server_request_duration_seconds_count").await;
    let page = if page.contains("ns_queue_depth") {
        page
    } else {
        page_with(&url, "ns_queue_depth").await
    };
    let common = r#"environment="prod",instance="i-1",job="demo/shop",otel_scope_name="lib",otel_scope_schema_url="",otel_scope_version="1.0""#;
    for line in [
        "# HELP ns_http_requests_total Counts http.requests.".to_owned(),
        "# TYPE ns_http_requests_total counter".to_owned(),
        r#"ns_http_requests_total{environment="prod",http_route="/a \"b\"",instance="i-1",job="demo/shop",otel_scope_name="lib",otel_scope_schema_url="",otel_scope_version="1.0"} 3"#.to_owned(),
        "# TYPE ns_queue_depth gauge".to_owned(),
        format!("ns_queue_depth{{{common}}} -1.5"),
        "# TYPE ns_http_server_request_duration_seconds histogram".to_owned(),
        format!("ns_http_server_request_duration_seconds_bucket{{{common},le=\"0.005\"}} 1"),
        format!("ns_http_server_request_duration_seconds_bucket{{{common},le=\"1\"}} 3"),
        format!("ns_http_server_request_duration_seconds_bucket{{{common},le=\"10000\"}} 6"),
        format!("ns_http_server_request_duration_seconds_bucket{{{common},le=\"+Inf\"}} 10"),
        format!("ns_http_server_request_duration_seconds_sum{{{common}}} 9.25"),
        format!("ns_http_server_request_duration_seconds_count{{{common}}} 10"),
        r#"target_info{deployment_environment_name="prod",environment="prod",instance="i-1",job="demo/shop"} 1"#.to_owned(),
    ] {
        assert!(page.lines().any(|l| l == line), "no {line}\nin\n{page}");
    }
    let own = get(&collector.url("telemetry", "/metrics")).await;
    for line in [
        r#"otelcol_receiver_accepted_metric_points{receiver="otlp",transport="grpc"} 2"#,
        r#"otelcol_receiver_accepted_metric_points{receiver="otlp",transport="http"} 1"#,
        r#"otelcol_exporter_sent_metric_points{exporter="prometheus"} 3"#,
        r#"otelcol_processor_incoming_items{otel_signal="metrics",processor="batch"} 3"#,
        r#"otelcol_processor_outgoing_items{otel_signal="metrics",processor="batch"} 3"#,
    ] {
        assert!(own.lines().any(|l| l == line), "no {line}\nin\n{own}");
    }
    collector.stop().await;
}
