//! The protocol's answers, over real sockets.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::Write as _;

use common::*;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use reqwest::StatusCode;
use tonic::Code;
use tonic::codec::CompressionEncoding;

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

fn yaml(processors: &str, ids: &str) -> String {
    format!(
        r#"
receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: "127.0.0.1:0" }}
      http: {{ endpoint: "127.0.0.1:0", max_request_body_size: 100000 }}
processors: {{ {processors} }}
exporters:
  prometheus: {{ endpoint: "127.0.0.1:0", without_scope_info: true }}
  nop:
service:
  telemetry:
    metrics:
      readers: [ {{ pull: {{ exporter: {{ prometheus: {{ host: 127.0.0.1, port: 0 }} }} }} }} ]
  pipelines:
    metrics: {{ receivers: [otlp], processors: [{ids}], exporters: [prometheus] }}
    traces: {{ receivers: [otlp], exporters: [nop] }}
    logs: {{ receivers: [otlp], exporters: [nop] }}
"#
    )
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

struct Post {
    status: StatusCode,
    content_type: String,
    body: Vec<u8>,
}

async fn post(url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Post {
    let mut request = client().post(url).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    Post {
        status: response.status(),
        content_type: response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned(),
        body: response.bytes().await.unwrap().to_vec(),
    }
}

const PROTO: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[tokio::test]
async fn http_answers() {
    let collector = Running::start(&yaml("", "")).await;
    let url = collector.url("http", "/v1/metrics");
    let good = request(vec![gauge("g", vec![point(1.0, vec![])])]).encode_to_vec();

    let got = client().get(&url).send().await.unwrap();
    assert_eq!(got.status(), 405);
    assert_eq!(got.headers()["allow"], "POST");
    let answer = post(&url, &[("content-type", "text/plain")], good.clone()).await;
    assert_eq!(answer.status, 415);
    assert!(answer.content_type.starts_with("text/plain"));

    for (encoding, body) in [
        ("gzip", gzip(&good)),
        ("zstd", zstd::bulk::compress(&good, 1).unwrap()),
        (
            "snappy",
            snap::raw::Encoder::new().compress_vec(&good).unwrap(),
        ),
        ("identity", good.clone()),
    ] {
        let answer = post(&url, &[PROTO, ("content-encoding", encoding)], body).await;
        assert_eq!(answer.status, 200, "{encoding}");
        assert_eq!(answer.content_type, "application/x-protobuf");
        assert!(answer.body.is_empty());
    }
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"j","gauge":{"dataPoints":[{"timeUnixNano":"1","asInt":"9007199254740993"}]}}]}]}]}"#;
    let answer = post(&url, &[JSON], json.to_vec()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.content_type, "application/json");
    assert_eq!(answer.body, br#"{"partialSuccess":{}}"#);
    page_with(
        &collector.url("prometheus", "/metrics"),
        "j 9007199254740993",
    )
    .await;

    type Case<'c> = (&'c [(&'c str, &'c str)], Vec<u8>, &'c str);
    let bad: [Case<'_>; 5] = [
        (&[PROTO], vec![0xff; 10], "invalid OTLP protobuf"),
        (
            &[PROTO, ("content-encoding", "gzip")],
            b"no gzip".to_vec(),
            "cannot decompress the gzip",
        ),
        (
            &[PROTO, ("content-encoding", "br")],
            good.clone(),
            "unsupported Content-Encoding \"br\"",
        ),
        (&[PROTO], vec![0; 100_001], "larger than 100000 bytes"),
        // A bomb: small on the wire, too large inside.
        (
            &[PROTO, ("content-encoding", "gzip")],
            gzip(&vec![0; 5_000_000]),
            "larger than 100000 bytes",
        ),
    ];
    for (headers, body, expected) in bad {
        let answer = post(&url, headers, body).await;
        assert_eq!(answer.status, 400, "{expected}");
        assert_eq!(answer.content_type, "application/x-protobuf");
        let status = RpcStatus::decode(answer.body.as_slice()).unwrap();
        assert_eq!(status.code, Code::InvalidArgument as i32);
        assert!(status.message.contains(expected), "{}", status.message);
    }
    let answer = post(&url, &[JSON], b"{\"resourceMetrics\":5}".to_vec()).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.content_type, "application/json");
    let status: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(status["code"], 3);
    assert!(
        status["message"]
            .as_str()
            .unwrap()
            .contains("line 1 column"),
        "{status}"
    );

    // After all of that it still works.
    assert_eq!(
        post(&url, &[PROTO], Vec::new()).await.status,
        200,
        "an empty request is a success"
    );
    for signal in ["traces", "logs"] {
        let url = collector.url("http", &format!("/v1/{signal}"));
        assert_eq!(post(&url, &[JSON], b"{}".to_vec()).await.status, 200);
    }
    collector.stop().await;
}

#[tokio::test]
async fn pages_of_browsers_may_send_when_cors_says_so() {
    let text = yaml("", "").replace(
        "max_request_body_size: 100000",
        "traces_url_path: \"/:t/*x\", compression_algorithms: [zstd], cors: { allowed_origins: [\"http://*.shop.test\"], allowed_headers: [X-Tenant] }",
    );
    let collector = Running::start(&text).await;
    let url = collector.url("http", "/v1/metrics");
    let preflight = client()
        .request(reqwest::Method::OPTIONS, &url)
        .header("origin", "http://www.shop.test")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-tenant")
        .send()
        .await
        .unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(
        preflight.headers()["access-control-allow-origin"],
        "http://www.shop.test"
    );
    let send = async |origin: &'static str, encoding: &'static str, body: Vec<u8>| {
        let request = client().post(&url).header(PROTO.0, PROTO.1);
        let request = request
            .header("origin", origin)
            .header("content-encoding", encoding);
        request.body(body).send().await.unwrap()
    };
    let good = request(vec![gauge("g", vec![point(1.0, vec![])])]).encode_to_vec();
    let zstd = zstd::bulk::compress(&good, 1).unwrap();
    let answer = send("http://www.shop.test", "zstd", zstd.clone()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["access-control-allow-origin"],
        "http://www.shop.test"
    );
    // Data of other pages arrives, as the browser sent it anyway; the page cannot read the answer.
    let answer = send("http://evil.test", "zstd", zstd).await;
    assert_eq!(answer.status(), 200);
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    // An encoding that exists but is not listed.
    let answer = send("http://www.shop.test", "gzip", gzip(&good)).await;
    assert_eq!(answer.status(), 400);
    assert!(answer.headers().contains_key("access-control-allow-origin"));

    let unknown = client().post(collector.url("http", "/v1/traces")).send();
    assert_eq!(unknown.await.unwrap().status(), 404);
    let own_path = collector.url("http", "/:t/*x");
    assert_eq!(
        post(&own_path, &[JSON], b"{}".to_vec()).await.status,
        200,
        "a path is taken as it is written"
    );
    collector.stop().await;
}

#[tokio::test]
async fn grpc_answers() {
    let collector = Running::start(&yaml("", "")).await;
    let url = collector.url("grpc", "");
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Zstd] {
        let mut client = MetricsServiceClient::connect(url.clone())
            .await
            .unwrap()
            .send_compressed(encoding);
        let answer = client
            .export(request(vec![gauge("g", vec![point(1.0, vec![])])]))
            .await
            .unwrap();
        assert_eq!(answer.into_inner().partial_success, None);
    }
    TraceServiceClient::connect(url.clone())
        .await
        .unwrap()
        .export(ExportTraceServiceRequest::default())
        .await
        .unwrap();
    LogsServiceClient::connect(url.clone())
        .await
        .unwrap()
        .export(ExportLogsServiceRequest::default())
        .await
        .unwrap();

    // Larger than 4 MiB: a status that clients do not retry.
    let mut client = MetricsServiceClient::connect(url.clone()).await.unwrap();
    let large = request(vec![gauge(&"x".repeat(5 << 20), vec![])]);
    let status = client.export(large).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.details().is_empty());

    // A message that is no request of this service: field 1 must be a message, not a number.
    let channel = tonic::transport::Endpoint::from_shared(url.clone())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut raw = tonic::client::Grpc::new(channel);
    raw.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<RpcStatus, RpcStatus>::default();
    let path = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
        .parse()
        .unwrap();
    let wrong = RpcStatus {
        code: 7,
        message: String::new(),
    };
    let status = raw
        .unary(tonic::Request::new(wrong.clone()), path, codec.clone())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    raw.ready().await.unwrap();
    let status = raw
        .unary(
            tonic::Request::new(wrong),
            "/no.Such/Method".parse().unwrap(),
            codec,
        )
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    collector.stop().await;
}

#[tokio::test]
async fn the_memory_limit_refuses_with_a_retryable_status() {
    let limiter = "memory_limiter: { check_interval: 50ms, limit_mib: 1 }";
    let collector = Running::start(&yaml(limiter, "memory_limiter")).await;
    let sent = request(vec![gauge("g", vec![point(1.0, vec![])])]);
    let answer = post(
        &collector.url("http", "/v1/metrics"),
        &[PROTO],
        sent.encode_to_vec(),
    )
    .await;
    assert_eq!(answer.status, 503);
    let status = RpcStatus::decode(answer.body.as_slice()).unwrap();
    assert_eq!(status.code, Code::Unavailable as i32);
    assert_eq!(status.message, "data refused due to high memory usage");
    let mut client = MetricsServiceClient::connect(collector.url("grpc", ""))
        .await
        .unwrap();
    let status = client.export(sent).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    // A reader of the user shows suffixes.
    let own = get(&collector.url("telemetry", "/metrics")).await;
    for line in [
        "otelcol_processor_memory_limiter_refused_metric_points_total{processor=\"memory_limiter\"} 2",
        "otelcol_receiver_refused_metric_points_total{receiver=\"otlp\",transport=\"grpc\"} 1",
        "otelcol_receiver_refused_metric_points_total{receiver=\"otlp\",transport=\"http\"} 1",
    ] {
        assert!(own.lines().any(|l| l == line), "no {line} in\n{own}");
    }
    assert!(own.contains("\notelcol_process_uptime_seconds_total "));
    assert!(own.contains("\notelcol_process_memory_rss_bytes "));
    collector.stop().await;
}

#[tokio::test]
async fn a_port_in_use_names_component_port_and_key() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = yaml("", "").replace(
        "grpc: { endpoint: \"127.0.0.1:0\" }",
        &format!("grpc: {{ endpoint: \"127.0.0.1:{port}\" }}"),
    );
    let config = bellwether_collector::CollectorConfig::from_yaml("c.yaml", &text).unwrap();
    let error = bellwether_collector::Collector::build(&config)
        .await
        .unwrap_err()
        .to_string();
    for part in [
        "otlp",
        &port.to_string(),
        "receivers::otlp::protocols::grpc::endpoint",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn health_check_says_when_it_is_ready() {
    let text = yaml("", "").replace("service:", "extensions: { health_check: { endpoint: \"127.0.0.1:0\" } }\nservice:\n  extensions: [health_check]");
    let collector = Running::start(&text).await;
    let text = get(&collector.url("health_check", "/")).await;
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["status"], "Server available");
    assert!(json["upSince"].as_str().unwrap().ends_with('Z'), "{json}");
    // Probes ask for many paths; the default `/` stands for all of them.
    let below = get(&collector.url("health_check", "/healthz")).await;
    assert!(below.contains("Server available"), "{below}");
    collector.stop().await;
}

#[tokio::test]
async fn health_check_answers_at_its_own_path_only() {
    // A colon is an ordinary character of a path.
    let text = yaml("", "").replace("service:", "extensions: { health_check: { endpoint: \"127.0.0.1:0\", path: \"/:up\" } }\nservice:\n  extensions: [health_check]");
    let collector = Running::start(&text).await;
    let status = async |path: &str| {
        let url = collector.url("health_check", path);
        client().get(url).send().await.unwrap().status()
    };
    assert_eq!(status("/:up").await, StatusCode::OK);
    assert_eq!(status("/").await, StatusCode::NOT_FOUND);
    assert_eq!(status("/:up/more").await, StatusCode::NOT_FOUND);
    collector.stop().await;
}
