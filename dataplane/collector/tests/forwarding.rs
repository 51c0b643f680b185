//! One collector sends to another: nothing is lost on the way.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;

use common::*;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use prost::Message as _;

fn destination(grpc: &str, http: &str) -> String {
    format!(
        r#"
receivers: {{ otlp: {{ protocols: {{ grpc: {{ endpoint: "{grpc}" }}, http: {{ endpoint: "{http}" }} }} }} }}
exporters: {{ prometheus: {{ endpoint: "127.0.0.1:0", without_scope_info: true }} }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines: {{ metrics: {{ receivers: [otlp], exporters: [prometheus] }} }}
"#
    )
}

fn source(exporter: &str, id: &str) -> String {
    format!(
        r#"
receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: "127.0.0.1:0" }} }} }} }}
processors:
  batch: {{ timeout: 20ms }}
  resource: {{ attributes: [ {{ key: environment, value: qa, action: upsert }} ] }}
  attributes: {{ actions: [ {{ key: secret, action: hash }}, {{ key: n, action: delete }} ] }}
exporters: {{ {exporter} }}
service:
  telemetry:
    metrics:
      readers: [ {{ pull: {{ exporter: {{ prometheus: {{ host: 127.0.0.1, port: 0, without_units: true, without_type_suffix: true }} }} }} }} ]
  pipelines: {{ metrics: {{ receivers: [otlp], processors: [resource, attributes, batch], exporters: [{id}] }} }}
"#
    )
}

/// An address that is free now. Taken again by the test a moment later.
async fn free_address() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn send(source: &Running, index: usize) {
    let name = format!("m{index}");
    let attributes = vec![kv("secret", "abc"), kv("n", "x")];
    let sent = request(vec![counter(
        &name,
        "",
        vec![point(index as f64 + 0.5, attributes)],
    )]);
    let response = client()
        .post(source.url("http", "/v1/metrics"))
        .header("content-type", "application/x-protobuf")
        .body(sent.encode_to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
}

const SHA256_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

async fn survives_an_outage(exporter: &str, id: &str, address: SocketAddr, is_grpc: bool) {
    let source = Running::start(&source(exporter, id)).await;
    for index in 0..20 {
        send(&source, index).await;
    }
    // The destination is down: the exporter has failed and waits with everything.
    let own = source.url("telemetry", "/metrics");
    page_with(&own, "otelcol_exporter_queue_size").await;
    let (grpc, http) = match is_grpc {
        true => (address.to_string(), "127.0.0.1:0".to_owned()),
        false => ("127.0.0.1:0".to_owned(), address.to_string()),
    };
    let up = Running::start(&destination(&grpc, &http)).await;
    for index in 20..25 {
        send(&source, index).await;
    }
    let page_url = up.url("prometheus", "/metrics");
    let page = eventually("all points arrive", async || {
        let page = get(&page_url).await;
        (0..25)
            .all(|i| page.contains(&format!("\nm{i}_total{{")))
            .then_some(page)
    })
    .await;
    for index in 0..25 {
        let line = format!(
            "m{index}_total{{instance=\"i-1\",job=\"demo/shop\",secret=\"{SHA256_ABC}\"}} {index}.5"
        );
        assert!(page.lines().any(|l| l == line), "no {line} in\n{page}");
    }
    assert!(
        page.contains("environment=\"qa\""),
        "the resource processor ran: {page}"
    );
    let line = format!("otelcol_exporter_sent_metric_points{{exporter=\"{id}\"}} 25");
    let own = page_with(&own, &line).await;
    let failed = format!("otelcol_exporter_send_failed_metric_points{{exporter=\"{id}\"}} 0");
    assert!(own.lines().any(|l| l == failed), "{own}");
    source.stop().await;
    up.stop().await;
}

const RETRY: &str = "retry_on_failure: { initial_interval: 50ms, max_interval: 200ms }";

#[tokio::test]
async fn grpc_survives_an_outage_of_the_destination() {
    let address = free_address().await;
    let exporter =
        format!("otlp: {{ endpoint: \"{address}\", tls: {{ insecure: true }}, {RETRY} }}");
    survives_an_outage(&exporter, "otlp", address, true).await;
}

#[tokio::test]
async fn http_survives_an_outage_of_the_destination() {
    let address = free_address().await;
    let exporter = format!("otlp_http: {{ endpoint: \"http://{address}\", {RETRY} }}");
    survives_an_outage(&exporter, "otlp_http", address, false).await;
}

#[tokio::test]
async fn json_and_zstd_are_understood() {
    let up = Running::start(&destination("127.0.0.1:0", "127.0.0.1:0")).await;
    let endpoint = up.url("http", "");
    let exporter =
        format!("otlp_http: {{ endpoint: \"{endpoint}\", encoding: json, compression: zstd }}");
    let source = Running::start(&source(&exporter, "otlp_http")).await;
    send(&source, 3).await;
    page_with(&up.url("prometheus", "/metrics"), "m3_total{").await;
    source.stop().await;
    up.stop().await;
}

#[tokio::test]
async fn shutdown_flushes_batches_and_queues() {
    let up = Running::start(&destination("127.0.0.1:0", "127.0.0.1:0")).await;
    let exporter = format!(
        "otlp: {{ endpoint: \"{}\", tls: {{ insecure: true }} }}",
        up.address("grpc")
    );
    // Without the shutdown the batch would wait for an hour.
    let text = source(&exporter, "otlp").replace("timeout: 20ms", "timeout: 1h");
    let source = Running::start(&text).await;
    for index in 0..10 {
        send(&source, index).await;
    }
    source.stop().await;
    let page = get(&up.url("prometheus", "/metrics")).await;
    for index in 0..10 {
        assert!(page.contains(&format!("\nm{index}_total{{")), "{page}");
    }
    up.stop().await;
}

#[tokio::test]
async fn health_says_no_while_the_collector_drains() {
    // Takes a request and answers it when the test says so.
    let destination = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let exporter = format!(
        "otlp_http: {{ endpoint: \"http://{}\", compression: none }}",
        destination.local_addr().unwrap()
    );
    let text = source(&exporter, "otlp_http").replace("resource, attributes, batch", "resource");
    let text = text.replace("service:", "extensions: { health_check: { endpoint: \"127.0.0.1:0\" } }\nservice:\n  extensions: [health_check]");
    let source = Running::start(&text).await;
    let health = source.url("health_check", "/");
    send(&source, 0).await;
    let (mut held, _) = destination.accept().await.unwrap();
    assert_eq!(client().get(&health).send().await.unwrap().status(), 200);

    let stopped = tokio::spawn(source.stop());
    let body = eventually("health says no", async || {
        let response = client().get(&health).send().await.unwrap();
        let is_ready = response.status().is_success();
        let body = response.text().await.unwrap();
        (!is_ready).then_some(body)
    })
    .await;
    assert!(body.contains("Server not available"), "{body}");
    assert!(!stopped.is_finished(), "the exporter still waits");
    use tokio::io::AsyncWriteExt as _;
    held.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .await
        .unwrap();
    stopped.await.unwrap();
}

#[tokio::test]
async fn without_a_queue_the_destination_answers_the_client() {
    let address = free_address().await;
    let exporter = format!(
        "otlp: {{ endpoint: \"{address}\", tls: {{ insecure: true }}, sending_queue: {{ enabled: false }}, retry_on_failure: {{ enabled: false }} }}"
    );
    let text = source(&exporter, "otlp").replace("resource, attributes, batch", "resource");
    let text = text.replace("http: { endpoint", "grpc: { endpoint");
    let source = Running::start(&text).await;
    let mut client = MetricsServiceClient::connect(source.url("grpc", ""))
        .await
        .unwrap();
    let status = client
        .export(request(vec![gauge("g", vec![point(1.0, vec![])])]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
    source.stop().await;
}

#[tokio::test]
async fn a_full_queue_is_a_retryable_answer() {
    let address = free_address().await;
    let exporter = format!(
        "otlp: {{ endpoint: \"{address}\", tls: {{ insecure: true }}, sending_queue: {{ queue_size: 1, num_consumers: 1 }} }}"
    );
    let text = source(&exporter, "otlp").replace("resource, attributes, batch", "resource");
    let source = Running::start(&text).await;
    let body = request(vec![gauge("g", vec![point(1.0, vec![])])]).encode_to_vec();
    let url = source.url("http", "/v1/metrics");
    eventually("the queue is full", async || {
        let response = client()
            .post(&url)
            .header("content-type", "application/x-protobuf")
            .body(body.clone())
            .send()
            .await
            .unwrap();
        match response.status().as_u16() {
            200 => None,
            503 => Some(()),
            other => panic!("status {other}"),
        }
    })
    .await;
    let own = get(&source.url("telemetry", "/metrics")).await;
    assert!(
        own.contains("otelcol_exporter_enqueue_failed_metric_points{exporter=\"otlp\"} 1"),
        "{own}"
    );
    assert!(
        own.contains("otelcol_exporter_queue_capacity{exporter=\"otlp\"} 1"),
        "{own}"
    );
    source.stop().await;
}

#[tokio::test]
async fn a_connector_joins_pipelines() {
    let text = r#"
receivers: { otlp: { protocols: { http: { endpoint: "127.0.0.1:0" } } } }
processors: { batch: { timeout: 10ms }, batch/2: { timeout: 10ms } }
connectors: { forward: }
exporters: { prometheus: { endpoint: "127.0.0.1:0" } }
service:
  telemetry: { metrics: { level: none } }
  pipelines:
    metrics/in: { receivers: [otlp], processors: [batch], exporters: [forward] }
    metrics/out: { receivers: [forward], processors: [batch/2], exporters: [prometheus] }
"#;
    let collector = Running::start(text).await;
    send(&collector, 1).await;
    page_with(&collector.url("prometheus", "/metrics"), "m1_total{").await;
    collector.stop().await;
}
