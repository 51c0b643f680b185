//! The same-origin proxy in front of the Prometheus server.
//!
//! Answers stream. Only reading calls pass: a page on this port must not be able to write samples, delete series or
//! reload the server, whatever the server behind it allows. Their bodies are the parameters of queries, so they are
//! small, and they are read as a whole before the server is asked.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bellwether_http::{Client, ClientSettings};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::serve::DashboardError;

/// The largest body of a request. A query of this size would be refused anyway.
const MAX_REQUEST: usize = 2 << 20;
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
    client: Client,
}

impl Upstream {
    /// `url` is `http://host:port` or `https://host:port`, with an optional path prefix; a user in it is credentials.
    pub(crate) fn new(url: &str, settings: ClientSettings) -> Result<Self, DashboardError> {
        let (scheme, authority, prefix) =
            parts(url).map_err(|reason| DashboardError::PrometheusUrl {
                url: url.to_owned(),
                reason,
            })?;
        let settings = ClientSettings {
            // Redirects are the browser's to follow.
            follow_redirects: false,
            ..settings
        };
        Ok(Self {
            scheme,
            authority,
            prefix,
            client: Client::new(&settings, "dashboard")?,
        })
    }

    /// The server's host and port, for people.
    fn shown(&self) -> &str {
        let text = self.authority.as_str();
        text.rsplit_once('@').map_or(text, |(_, host)| host)
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

/// The parts of a URL, or what is wrong with it.
fn parts(url: &str) -> Result<(Scheme, Authority, String), String> {
    let uri: Uri = url.parse().map_err(|e| format!("{e}"))?;
    let scheme = uri.scheme().cloned();
    let scheme = scheme.filter(|s| [Scheme::HTTP, Scheme::HTTPS].contains(s));
    let scheme = scheme.ok_or("it must start with http:// or https://")?;
    let authority = uri.authority().cloned().ok_or("it has no host")?;
    Ok((
        scheme,
        authority,
        uri.path().trim_end_matches('/').to_owned(),
    ))
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
    let request = match whole(request).await {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, upstream.client.send(request)).await {
        Ok(Ok(answer)) => {
            let mut answer = answer.map(Body::new);
            strip(answer.headers_mut());
            answer.into_response()
        }
        Ok(Err(e)) => {
            tracing::debug!(error = %e, upstream = upstream.shown(), "metrics server not reachable");
            let said = format!(
                "the metrics server at {} cannot be reached: {}",
                upstream.shown(),
                e.cause
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

/// A request with its body read, or the answer that says why not.
async fn whole(request: Request) -> Result<http::Request<Bytes>, Response> {
    let (mut parts, body) = request.into_parts();
    // The client says itself how much it sends.
    parts.headers.remove(CONTENT_LENGTH);
    match Limited::new(body, MAX_REQUEST).collect().await {
        Ok(body) => Ok(http::Request::from_parts(parts, body.to_bytes())),
        Err(e) if e.is::<LengthLimitError>() => {
            let said = format!("the request is larger than {MAX_REQUEST} bytes");
            Err(error(StatusCode::PAYLOAD_TOO_LARGE, "bad_data", &said))
        }
        Err(e) => Err(error(
            StatusCode::BAD_REQUEST,
            "bad_data",
            &format!("cannot read the request: {e}"),
        )),
    }
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
