//! The same-origin proxy in front of the Prometheus server.
//!
//! Bodies stream both ways. Only reading calls pass: a page on this port must not be able to write samples, delete
//! series or reload the server, whatever the server behind it allows.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{
    CONNECTION, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// How long a connection to the server may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the first byte of an answer may take: a little more than the two minutes a query may run.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(130);

/// Headers that belong to one connection (RFC 9110, section 7.6.1), and those that must not reach the server behind.
const HOP_BY_HOP: &[HeaderName] = &[
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Parts of the API that change the server.
const WRITING: &[&str] = &["/api/v1/admin", "/api/v1/write", "/api/v1/otlp"];

/// Where requests go, and the pooled client that takes them there.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
    client: Client<HttpConnector, Body>,
}

impl Upstream {
    /// `url` is `http://host:port` with an optional path prefix. The error says what is wrong with it.
    pub(crate) fn new(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("{e}"))?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err("it must start with http://".to_owned());
        }
        let authority = uri.authority().cloned().ok_or("it has no host")?;
        let prefix = uri.path().trim_end_matches('/').to_owned();
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Ok(Self {
            scheme: Scheme::HTTP,
            authority,
            prefix,
            client,
        })
    }

    fn target(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
        let path: PathAndQuery = format!("{}{}{query}", self.prefix, uri.path()).parse()?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
    }
}

/// Handler of every proxied path.
pub(crate) async fn forward(State(upstream): State<Upstream>, mut request: Request) -> Response {
    let path = request.uri().path();
    if !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::POST | Method::OPTIONS
    ) || WRITING.iter().any(|w| path.starts_with(w))
    {
        let said = format!(
            "{} {path} is not passed on by the dashboard",
            request.method()
        );
        return error(StatusCode::FORBIDDEN, "forbidden", &said);
    }
    let target = match upstream.target(request.uri()) {
        Ok(target) => target,
        Err(e) => {
            return error(
                StatusCode::BAD_REQUEST,
                "bad_data",
                &format!("invalid request path: {e}"),
            );
        }
    };
    strip(request.headers_mut());
    // The browser's cookies are the dashboard's, not the server's.
    request.headers_mut().remove(COOKIE);
    request.headers_mut().remove(HOST);
    *request.uri_mut() = target;
    *request.version_mut() = http::Version::HTTP_11;
    match tokio::time::timeout(ANSWER_TIMEOUT, upstream.client.request(request)).await {
        Ok(Ok(answer)) => {
            let mut answer = answer.map(Body::new);
            strip(answer.headers_mut());
            answer.into_response()
        }
        Ok(Err(e)) => {
            tracing::debug!(error = %e, upstream = %upstream.authority, "metrics server not reachable");
            let said = format!(
                "the metrics server at {} cannot be reached: {}",
                upstream.authority,
                root_cause(&e)
            );
            error(StatusCode::BAD_GATEWAY, "unavailable", &said)
        }
        Err(_) => {
            let said = format!(
                "the metrics server gave no answer within {} s",
                ANSWER_TIMEOUT.as_secs()
            );
            error(StatusCode::GATEWAY_TIMEOUT, "timeout", &said)
        }
    }
}

/// Removes the headers of one connection, and those that `Connection` names.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// An error body as the Prometheus API writes it.
pub(crate) fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = serde_json::json!({ "status": "error", "errorType": kind, "error": message });
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}
