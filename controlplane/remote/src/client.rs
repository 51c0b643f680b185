//! The way out: requests through the HTTP client that the configuration describes.

use std::fmt::Write as _;
use std::sync::Arc;

use bellwether_http::{Client, ClientSettings};
use bellwether_telemetry::Registry;
use bellwether_telemetry::trace::{self, KeyValue, SpanKind};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;

/// Sends a request; the error is in words.
pub(crate) type Post = Arc<
    dyn Fn(Request<Bytes>) -> BoxFuture<'static, Result<Response<Incoming>, String>> + Send + Sync,
>;

/// A client by its settings. `name` is what Prometheus calls its use in the metrics of connections.
///
/// # Errors
/// In words: certificates that cannot be read, for example.
pub(crate) fn post(
    settings: &ClientSettings,
    name: &str,
    registry: &Registry,
) -> Result<Post, String> {
    let client = Client::observed(settings, name, registry).map_err(|error| chain(&error))?;
    let client = Arc::new(client);
    Ok(Arc::new(move |request| {
        let client = Arc::clone(&client);
        async move { traced(&client, request).await }.boxed()
    }))
}

/// Sends a request with a span of its own, of which the receiver is told.
async fn traced(
    client: &Client,
    mut request: Request<Bytes>,
) -> Result<Response<Incoming>, String> {
    let span = trace::span_of("HTTP POST", SpanKind::Client);
    span.set(|| attributes(&request));
    span.inject(|name, value| {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            request.headers_mut().insert(name, value);
        }
    });
    match client.send(request).await {
        Ok(answer) => {
            let status = answer.status();
            span.set(|| {
                let code = i64::from(status.as_u16());
                vec![KeyValue::new("http.response.status_code", code)]
            });
            if status.is_client_error() || status.is_server_error() {
                span.set(|| vec![KeyValue::new("error.type", status.as_str().to_owned())]);
                span.fail("");
            }
            Ok(answer)
        }
        Err(error) => {
            let text = chain(&error);
            span.set(|| vec![KeyValue::new("error.type", "connection")]);
            span.fail(&text);
            Err(text)
        }
    }
}

/// What the conventions of OpenTelemetry want to know of a request.
fn attributes(request: &Request<Bytes>) -> Vec<KeyValue> {
    let uri = request.uri();
    let mut attributes = vec![
        KeyValue::new("http.request.method", request.method().to_string()),
        KeyValue::new("url.full", uri.to_string()),
        KeyValue::new("server.address", uri.host().unwrap_or_default().to_owned()),
        KeyValue::new("network.protocol.version", "1.1"),
    ];
    if let Some(port) = uri.port_u16() {
        attributes.push(KeyValue::new("server.port", i64::from(port)));
    }
    attributes
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let own = error.to_string();
        if !text.contains(&own) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {own}");
        }
        cause = error.source();
    }
    text
}
