//! Traces and logs across the two services.

use bellwether_api::OtlpProtocol::{Grpc, HttpProtobuf};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::receiver::{Receiver, attributes};
use crate::{Api, config};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The span of `kind` that `service` sent in the known trace.
fn span(receiver: &Receiver, service: &str, kind: SpanKind) -> Span {
    let mut found: Vec<Span> = receiver
        .spans()
        .into_iter()
        .filter(|sent| {
            sent.service == service
                && sent.span.kind == kind as i32
                && hex(&sent.span.trace_id) == TRACE
        })
        .map(|sent| sent.span)
        .collect();
    assert_eq!(found.len(), 1, "{service} {kind:?}");
    found.remove(0)
}

async fn check_trace(protocol: bellwether_api::OtlpProtocol) {
    let receiver = Receiver::start().await;
    let api = Api::start(config(&[], &receiver, protocol)).await;
    let sent = api
        .http
        .post(format!("{}/api/payments", api.url))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .body(r#"{"order_id":"o","amount":1}"#)
        .send()
        .await
        .unwrap();
    let status = sent.status().as_u16();
    api.stop().await;

    let server = span(&receiver, "shop-api", SpanKind::Server);
    let client = span(&receiver, "shop-api", SpanKind::Client);
    let provider = span(&receiver, "payment-provider", SpanKind::Server);
    assert_eq!(hex(&server.parent_span_id), PARENT);
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!(provider.parent_span_id, client.span_id);
    assert_eq!(server.name, "POST /api/payments");
    assert_eq!(provider.name, "POST /charge");
    let server_attributes = attributes(&server.attributes);
    assert_eq!(server_attributes["http.route"], "/api/payments");
    assert_eq!(
        server_attributes["http.response.status_code"],
        status.to_string()
    );
    assert_eq!(
        attributes(&client.attributes)["server.address"],
        "127.0.0.1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_payment_is_one_trace_over_both_services() {
    check_trace(HttpProtobuf).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_payment_is_one_trace_over_both_services_by_grpc() {
    check_trace(Grpc).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_request_is_an_error_span_and_a_log_record_in_its_trace() {
    let receiver = Receiver::start().await;
    let env = [("OTEL_LOGS_EXPORTER", "otlp"), ("ERROR_RATE", "1")];
    let api = Api::start(config(&env, &receiver, HttpProtobuf)).await;
    assert_eq!(api.get("/api/products").await, 500);
    assert_eq!(api.get("/health").await, 200);
    api.stop().await;
    let spans = receiver.spans();
    let failed = spans
        .iter()
        .find(|sent| sent.span.name == "GET /api/products")
        .unwrap();
    assert_eq!(failed.span.status.as_ref().unwrap().code, 2);
    assert_eq!(attributes(&failed.span.attributes)["error.type"], "500");
    let logs = receiver.logs();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].trace_id, failed.span.trace_id);
    assert_eq!(attributes(&logs[0].attributes)["status"], "500");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_propagators_a_new_trace_begins() {
    let receiver = Receiver::start().await;
    let api = Api::start(config(
        &[("OTEL_PROPAGATORS", "none")],
        &receiver,
        HttpProtobuf,
    ))
    .await;
    api.http
        .get(format!("{}/health", api.url))
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .send()
        .await
        .unwrap();
    api.stop().await;
    let spans = receiver.spans();
    assert_eq!(spans.len(), 1);
    assert_ne!(hex(&spans[0].span.trace_id), TRACE);
}
