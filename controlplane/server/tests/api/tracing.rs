//! The server's own spans at a receiver of OTLP, next to Prometheus'.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::support::{eventually, get, send, start, start_reference_in};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

const RULES: &str = "
groups:
- name: g
  rules:
  - {record: one, expr: vector(1) + 1}
  - {record: bad, expr: 'label_replace(vector(1), \"a b\", \"x\", \"\", \"\") == on() (vector(1) or label_replace(vector(1), \"a\", \"b\", \"\", \"\"))'}
";

/// Takes spans by both protocols.
#[derive(Clone, Default)]
struct Received {
    spans: Arc<Mutex<Vec<Span>>>,
    resource: Arc<Mutex<BTreeMap<String, String>>>,
    headers: Arc<Mutex<BTreeMap<String, String>>>,
}

fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(n)) => n.to_string(),
        other => format!("{other:?}"),
    }
}

fn pairs(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let pair = |a: &KeyValue| (a.key.clone(), shown(a.value.as_ref()));
    attributes.iter().map(pair).collect()
}

impl Received {
    fn take(&self, request: ExportTraceServiceRequest, headers: &HeaderMap) {
        let text = |v: &http::HeaderValue| v.to_str().unwrap_or_default().to_owned();
        let headers = headers.iter().map(|(n, v)| (n.to_string(), text(v)));
        self.headers.lock().unwrap().extend(headers);
        for spans in request.resource_spans {
            let resource = spans.resource.unwrap_or_default();
            self.resource
                .lock()
                .unwrap()
                .extend(pairs(&resource.attributes));
            let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().unwrap().extend(spans);
        }
    }

    async fn grpc(&self) -> SocketAddr {
        self.grpc_by(tonic::transport::Server::builder()).await
    }

    async fn grpc_by(&self, mut server: tonic::transport::Server) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service =
            TraceServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip);
        let server = server.add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }

    async fn http(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = self.clone();
        let take = move |headers: HeaderMap, body: Bytes| async move {
            received.take(ExportTraceServiceRequest::decode(body).unwrap(), &headers);
        };
        let app = Router::new().route("/v1/traces", post(take));
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    /// Waits for a span.
    async fn wait(&self, what: &str, hit: impl Fn(&Span) -> bool) -> Span {
        let found = || self.spans.lock().unwrap().iter().find(|s| hit(s)).cloned();
        eventually(what, || async { found().is_some() }).await;
        found().unwrap()
    }

    fn named(&self, id: &[u8]) -> Option<String> {
        let spans = self.spans.lock().unwrap();
        spans
            .iter()
            .find(|s| s.span_id == id)
            .map(|s| s.name.clone())
    }

    /// Each kind of span in one line: the one above, name, kind, status, attributes.
    fn lines(&self) -> BTreeSet<String> {
        let spans = self.spans.lock().unwrap().clone();
        spans.iter().filter_map(|span| self.line(span)).collect()
    }

    fn line(&self, span: &Span) -> Option<String> {
        // Prometheus selects before it evaluates, queues a second time and says what each node is; the evaluator here
        // does all that in one go.
        let of_nodes = span.name.starts_with("promqlInnerEval eval");
        if of_nodes || matches!(span.name.as_str(), "promqlPrepare" | "promqlSort") {
            return None;
        }
        let mut above = self.named(&span.parent_span_id).unwrap_or_default();
        if span.name == "promqlExecQueue" && above != "promqlExec" {
            return None;
        }
        if above == "promqlPrepare" {
            above = "promqlInnerEval".to_owned();
        }
        let mut attributes = pairs(&span.attributes);
        for (key, value) in &mut attributes {
            let varies = [
                "port",
                ".size",
                "request_size",
                "samples",
                "try",
                "error.type",
            ];
            if varies.iter().any(|end| key.ends_with(end)) {
                "...".clone_into(value);
            }
        }
        let failed = span.status.as_ref().is_some_and(|status| status.code == 2);
        let (name, kind) = (&span.name, span.kind);
        Some(format!(
            "{above} > {name} {kind} failed={failed} {attributes:?}"
        ))
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers = request.metadata().clone().into_headers();
        self.take(request.into_inner(), &headers);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn config(endpoint: SocketAddr, kind: &str, rest: &str) -> String {
    format!(
        "global: {{evaluation_interval: 1s}}\n\
         tracing: {{endpoint: '{endpoint}', client_type: {kind}, insecure: true, sampling_fraction: 1, headers: {{x-tenant: shop}}, compression: gzip}}\n{rest}"
    )
}

/// Asks what makes all kinds of spans.
async fn drive(address: SocketAddr) {
    let agent = ("user-agent", "test");
    let traced = [agent, ("traceparent", TRACEPARENT)];
    let path = "/api/v1/query?query=sum(up)%20%2B1";
    send(address, "GET", path, &traced, Vec::new()).await;
    let form = [agent, ("content-type", "application/x-www-form-urlencoded")];
    let body = b"query=up&start=1&end=2&step=1".to_vec();
    send(address, "POST", "/api/v1/query_range", &form, body).await;
    for path in ["/api/v1/query?query=up(", "/api/v1/nope"] {
        send(address, "GET", path, &[agent], Vec::new()).await;
    }
}

#[tokio::test]
async fn spans_are_those_of_prometheus() {
    let rest = "rule_files: [r.yml]\n\
                remote_read: [{url: 'http://127.0.0.1:1/read', read_recent: true}]\n";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("r.yml"), RULES).unwrap();
    let (a, b) = (Received::default(), Received::default());
    let config_b = config(b.grpc().await, "grpc", rest);
    let Some(theirs) = start_reference_in(dir, &config_b, &[]).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.yml");
    std::fs::write(dir.path().join("r.yml"), RULES).unwrap();
    std::fs::write(&file, config(a.grpc().await, "grpc", rest)).unwrap();
    let source = bellwether_server::config::ConfigSource::File(file);
    let ours = start(source, &dir.path().join("data"), |_| {}).await;
    for (address, received) in [(ours.address, &a), (theirs.address, &b)] {
        drive(address).await;
        received
            .wait("the last request", |s| s.name == "GET /api/v1/nope")
            .await;
        let is_bad = |s: &Span| pairs(&s.attributes).get("name").is_some_and(|n| n == "bad");
        received.wait("a failed rule", is_bad).await;
        let request = received.wait("a request of somebody", |s| {
            s.trace_id == hex(TRACE) && s.kind == 2
        });
        assert_eq!(request.await.parent_span_id, hex(PARENT));
        // What ended later may come with the next batch.
        received
            .wait("an evaluation below it", |s| {
                s.trace_id == hex(TRACE) && s.name == "promqlInnerEval"
            })
            .await;
    }
    let (a_lines, b_lines) = (a.lines(), b.lines());
    let server = |line: &&String| !line.contains("GET /-/ready");
    let only = |x: &BTreeSet<String>, y: &BTreeSet<String>| -> Vec<String> {
        x.difference(y).filter(server).cloned().collect()
    };
    assert_eq!(
        (only(&a_lines, &b_lines), only(&b_lines, &a_lines)),
        (Vec::new(), Vec::new())
    );
    assert!(a_lines.len() > 10, "{a_lines:#?}");
    for received in [&a, &b] {
        assert_eq!(
            received.resource.lock().unwrap()["service.name"],
            "prometheus"
        );
        assert_eq!(received.headers.lock().unwrap()["x-tenant"], "shop");
    }
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn a_reload_turns_spans_on_and_off_and_the_end_sends_the_rest() {
    let received = Received::default();
    let on = config(received.http().await, "http", "").replace(", compression: gzip", "");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.yml");
    std::fs::write(&file, "global: {}\n").unwrap();
    let source = bellwether_server::config::ConfigSource::File(file.clone());
    let ours = start(source, &dir.path().join("data"), |_| {}).await;
    get(ours.address, "/api/v1/labels").await;
    let reload = |text: String| {
        std::fs::write(&file, text).unwrap();
        send(ours.address, "POST", "/-/reload", &[], Vec::new())
    };
    assert_eq!(reload(on.clone()).await.status, 200);
    get(ours.address, "/api/v1/series").await;
    assert_eq!(reload("global: {}\n".to_owned()).await.status, 200);
    // The reload waits until what was made has been sent; its own span ended too late.
    let names = || -> Vec<String> {
        let spans = received.spans.lock().unwrap();
        spans.iter().map(|span| span.name.clone()).collect()
    };
    assert_eq!(names(), ["GET /api/v1/series"]);
    assert_eq!(received.headers.lock().unwrap()["x-tenant"], "shop");
    get(ours.address, "/api/v1/labels").await;
    let never = on.replace("sampling_fraction: 1", "sampling_fraction: 0");
    assert_eq!(reload(never).await.status, 200);
    get(ours.address, "/api/v1/query?query=1").await;
    let header = [("traceparent", TRACEPARENT)];
    send(ours.address, "GET", "/version", &header, Vec::new()).await;
    ours.stop().await.unwrap();
    assert_eq!(names(), ["GET /api/v1/series", "GET /version"]);
}

#[tokio::test]
async fn a_receiver_may_speak_tls() {
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), &cert).unwrap();
    let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
    let server = tonic::transport::Server::builder().tls_config(tls).unwrap();
    let received = Received::default();
    let port = received.grpc_by(server).await.port();
    let file = dir.path().join("p.yml");
    let config = format!(
        "tracing: {{endpoint: 'localhost:{port}', sampling_fraction: 1, tls_config: {{ca_file: ca.pem}}}}\n"
    );
    std::fs::write(&file, config).unwrap();
    let source = bellwether_server::config::ConfigSource::File(file);
    let ours = start(source, &dir.path().join("data"), |_| {}).await;
    get(ours.address, "/version").await;
    ours.stop().await.unwrap();
    let spans = received.spans.lock().unwrap();
    assert!(spans.iter().any(|span| span.name == "GET /version"));
}

#[tokio::test]
async fn remote_systems_hear_of_spans() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let noted = Arc::clone(&heard);
    let app = Router::new().fallback(move |headers: HeaderMap| async move {
        if let Some(parent) = headers.get("traceparent") {
            noted
                .lock()
                .unwrap()
                .push(parent.to_str().unwrap().to_owned());
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let received = Received::default();
    let rest = format!(
        "rule_files: [r.yml]\nremote_write: [{{url: 'http://{address}/', name: out, queue_config: {{batch_send_deadline: 1s}}}}]\n"
    );
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("r.yml"), RULES).unwrap();
    let file = dir.path().join("p.yml");
    std::fs::write(
        &file,
        config(received.http().await, "http", &rest).replace(", compression: gzip", ""),
    )
    .unwrap();
    let source = bellwether_server::config::ConfigSource::File(file);
    let ours = start(source, &dir.path().join("data"), |_| {}).await;
    let post = received
        .wait("a request of remote write", |s| s.name == "HTTP POST")
        .await;
    let batch = received.wait("its batch", |s| {
        s.name == "Remote Send Batch" && s.trace_id == post.trace_id
    });
    let attributes = pairs(&batch.await.attributes);
    assert_eq!(attributes["remote_name"], "out");
    assert_eq!(attributes["try"], "0");
    let line = received.line(&post).unwrap();
    assert!(
        line.starts_with("Remote Store > HTTP POST 3 failed=false"),
        "{line}"
    );
    let told = format!(
        "00-{}-{}-01",
        text_of(&post.trace_id),
        text_of(&post.span_id)
    );
    assert!(heard.lock().unwrap().contains(&told), "{told}");
    ours.stop().await.unwrap();
}

fn hex(text: &str) -> Vec<u8> {
    let pair = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
