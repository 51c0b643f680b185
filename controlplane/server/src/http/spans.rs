//! A span for each request, with the attributes that OpenTelemetry's conventions name.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::HttpBody as _;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bellwether_telemetry::trace::{KeyValue, SpanKind, remote_parent};
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, Version};

use crate::state::AppState;

/// Middleware around everything.
pub(super) async fn of_request(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let traces = state.spans.traces();
    if !traces.is_on() {
        return next.run(request).await;
    }
    let parent = remote_parent(&|name| text(request.headers(), name));
    let name = format!("{} {}", request.method(), request.uri().path());
    let span = traces.start(name, SpanKind::Server, &parent);
    span.set(|| attributes(&request, state.is_tls));
    let response = span.around(next.run(request)).await;
    let status = response.status();
    span.set(|| {
        let code = i64::from(status.as_u16());
        let code = KeyValue::new("http.response.status_code", code);
        let size = response.body().size_hint().exact();
        let size = size.map(|n| number("http.response.body.size", n));
        std::iter::once(code).chain(size).collect()
    });
    if status.is_server_error() {
        span.fail("");
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(name: &'static str, n: u64) -> KeyValue {
    KeyValue::new(name, i64::try_from(n).unwrap_or(i64::MAX))
}

fn attributes(request: &Request, is_tls: bool) -> Vec<KeyValue> {
    let headers = request.headers();
    let pair = |name: &'static str, value: &str| KeyValue::new(name, value.to_owned());
    let mut all = vec![
        pair("http.request.method", request.method().as_str()),
        pair("url.scheme", if is_tls { "https" } else { "http" }),
        pair("url.path", request.uri().path()),
        pair("network.protocol.version", version(request.version())),
    ];
    let host = text(headers, HOST.as_str()).or(request.uri().authority().map(|a| a.as_str()));
    if let Some((host, port)) = host.map(host_and_port) {
        all.push(pair("server.address", host));
        all.extend(port.map(|port| number("server.port", port.into())));
    }
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = peer.ip().to_string();
        let forwarded = text(headers, "x-forwarded-for").and_then(|list| list.split(',').next());
        all.push(pair(
            "client.address",
            forwarded.map_or(&*address, str::trim),
        ));
        all.push(pair("network.peer.address", &address));
        all.push(number("network.peer.port", peer.port().into()));
    }
    if let Some(agent) = text(headers, USER_AGENT.as_str()) {
        all.push(pair("user_agent.original", agent));
    }
    if let Some(size) = request.body().size_hint().exact().filter(|n| *n > 0) {
        all.push(number("http.request.body.size", size));
    }
    all
}

fn host_and_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && !port.ends_with(']') => (host, port.parse().ok()),
        _ => (text, None),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::host_and_port;

    #[test]
    fn hosts() {
        for (text, host, port) in [
            ("a", "a", None),
            ("a:1", "a", Some(1)),
            ("[::1]", "[::1]", None),
            ("[::1]:9090", "[::1]", Some(9090)),
        ] {
            assert_eq!(host_and_port(text), (host, port), "{text}");
        }
    }
}
