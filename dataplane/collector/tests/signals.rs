//! Traces and logs through processors, and `include`/`exclude`.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use common::*;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A stranger's OTLP/HTTP endpoint that hands over what it gets.
struct Backend {
    url: String,
    bodies: tokio::sync::Mutex<mpsc::UnboundedReceiver<(String, Bytes)>>,
    shutdown: CancellationToken,
}

impl Backend {
    async fn start() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let sender = Arc::new(sender);
        let handler = |signal: &'static str| {
            let sender = Arc::clone(&sender);
            post(move |body: Bytes| async move {
                sender.send((signal.to_owned(), body)).unwrap();
                [("content-type", "application/x-protobuf")]
            })
        };
        let router = Router::new()
            .route("/v1/traces", handler("traces"))
            .route("/v1/logs", handler("logs"));
        let listener = bellwether_net::bind("127.0.0.1:0".parse().unwrap(), "backend", "test")
            .await
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(bellwether_net::serve(
            listener,
            router,
            Default::default(),
            shutdown.clone(),
        ));
        Self {
            url,
            bodies: tokio::sync::Mutex::new(receiver),
            shutdown,
        }
    }

    async fn next(&self) -> (String, Bytes) {
        let mut bodies = self.bodies.lock().await;
        tokio::time::timeout(DEADLINE, bodies.recv())
            .await
            .expect("a request")
            .unwrap()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn keys(attributes: &[KeyValue]) -> Vec<&str> {
    attributes.iter().map(|kv| kv.key.as_str()).collect()
}

#[tokio::test]
async fn traces_and_logs_are_processed_and_forwarded() {
    let backend = Backend::start().await;
    let text = format!(
        r#"
receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: "127.0.0.1:0" }} }} }} }}
processors:
  batch: {{ timeout: 10ms }}
  resource: {{ attributes: [ {{ key: environment, value: qa, action: upsert }}, {{ key: drop.me, action: delete }} ] }}
  attributes:
    include: {{ match_type: regexp, services: ["^shop"] }}
    exclude: {{ match_type: strict, attributes: [ {{ key: keep, value: true }} ] }}
    actions: [ {{ key: secret, action: delete }} ]
exporters: {{ otlphttp: {{ endpoint: "{}", compression: none }} }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines:
    traces: {{ receivers: [otlp], processors: [resource, attributes, batch], exporters: [otlphttp] }}
    logs: {{ receivers: [otlp], processors: [resource, attributes, batch], exporters: [otlphttp] }}
"#,
        backend.url
    );
    let collector = Running::start(&text).await;
    let secret = r#"{"key":"secret","value":{"stringValue":"s"}}"#;
    let keep = r#"{"key":"keep","value":{"boolValue":true}}"#;
    let resource = |service: &str| {
        format!(
            r#"{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}},{{"key":"drop.me","value":{{"intValue":"1"}}}}]}}"#
        )
    };
    let spans = |service: &str| {
        format!(
            r#"{{"resource":{},"scopeSpans":[{{"spans":[{{"name":"a","attributes":[{secret}]}},{{"name":"b","attributes":[{secret},{keep}]}}]}}]}}"#,
            resource(service)
        )
    };
    let json = format!(
        r#"{{"resourceSpans":[{},{}]}}"#,
        spans("shop-api"),
        spans("other")
    );
    let send = async |path: &str, body: String| {
        let response = client()
            .post(collector.url("http", path))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
    };
    send("/v1/traces", json).await;
    let (signal, body) = backend.next().await;
    assert_eq!(signal, "traces");
    let got = ExportTraceServiceRequest::decode(body).unwrap();
    let shop = &got.resource_spans[0];
    assert_eq!(
        keys(&shop.resource.as_ref().unwrap().attributes),
        ["service.name", "environment"]
    );
    assert_eq!(keys(&shop.scope_spans[0].spans[0].attributes), [""; 0]);
    assert_eq!(
        keys(&shop.scope_spans[0].spans[1].attributes),
        ["secret", "keep"],
        "excluded"
    );
    assert_eq!(
        keys(&got.resource_spans[1].scope_spans[0].spans[0].attributes),
        ["secret"],
        "not included"
    );

    let json = format!(
        r#"{{"resourceLogs":[{{"resource":{},"scopeLogs":[{{"logRecords":[{{"body":{{"stringValue":"x"}},"attributes":[{secret}]}}]}}]}}]}}"#,
        resource("shop")
    );
    send("/v1/logs", json).await;
    let (signal, body) = backend.next().await;
    assert_eq!(signal, "logs");
    let got = ExportLogsServiceRequest::decode(body).unwrap();
    assert_eq!(
        got.resource_logs[0].scope_logs[0].log_records[0].attributes,
        []
    );
    collector.stop().await;
}

/// `send_batch_max_size` cuts, and the parts have everything in order.
#[tokio::test]
async fn batches_are_cut_at_the_maximum() {
    let backend = Backend::start().await;
    let text = format!(
        r#"
receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: "127.0.0.1:0" }} }} }} }}
processors: {{ batch: {{ timeout: 50ms, send_batch_size: 3, send_batch_max_size: 4 }} }}
exporters: {{ otlphttp: {{ endpoint: "{}", compression: none, sending_queue: {{ num_consumers: 1 }} }} }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines: {{ traces: {{ receivers: [otlp], processors: [batch], exporters: [otlphttp] }} }}
"#,
        backend.url
    );
    let collector = Running::start(&text).await;
    let spans: Vec<String> = (0..10).map(|i| format!(r#"{{"name":"{i}"}}"#)).collect();
    let json = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    );
    let response = client()
        .post(collector.url("http", "/v1/traces"))
        .header("content-type", "application/json")
        .body(json)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let mut sizes = Vec::new();
    let mut names = Vec::new();
    while names.len() < 10 {
        let got = ExportTraceServiceRequest::decode(backend.next().await.1).unwrap();
        let spans: Vec<String> = got
            .resource_spans
            .iter()
            .flat_map(|r| &r.scope_spans)
            .flat_map(|s| &s.spans)
            .map(|s| s.name.clone())
            .collect();
        sizes.push(spans.len());
        names.extend(spans);
    }
    assert_eq!(sizes, [4, 4, 2]);
    assert_eq!(names, (0..10).map(|i| i.to_string()).collect::<Vec<_>>());
    collector.stop().await;
}
