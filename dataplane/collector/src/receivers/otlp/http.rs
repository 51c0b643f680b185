//! OTLP/HTTP: `POST /v1/{metrics,traces,logs}`, protobuf and JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bellwether_otlp::{Signal, json, schema};
use bytes::Bytes;
use prost::Message as _;

use super::body;
use super::status::{http_status, parts};
use super::{Intake, Refusal};
use crate::config::blocks::HttpServer;
use crate::cors::Cors;
use crate::rpc_status::RpcStatus;

/// Larger bodies are decompressed and transcoded away from the async threads.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// The two forms of a request and its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = value.split(';').next().unwrap_or_default().trim();
        [Self::Protobuf, Self::Json]
            .into_iter()
            .find(|e| essence.eq_ignore_ascii_case(e.content_type()))
    }
}

struct Server {
    intake: Arc<Intake>,
    /// Compared as they are: characters that a router would give a meaning have none here.
    paths: Vec<(String, Signal)>,
    body_bytes_max: usize,
    content_encodings: Option<Vec<String>>,
    response_headers: Vec<(HeaderName, HeaderValue)>,
    cors: Option<Cors>,
}

/// The path of a signal.
pub(super) fn path_of(config: &HttpServer, signal: Signal) -> String {
    let path = match signal {
        Signal::Metrics => &config.metrics_url_path,
        Signal::Traces => &config.traces_url_path,
        Signal::Logs => &config.logs_url_path,
    };
    let path = path.as_deref().unwrap_or(signal.http_path());
    format!("/{}", path.trim_start_matches('/'))
}

/// Answers at the paths of the signals that a pipeline takes.
pub(super) fn router(intake: Arc<Intake>, config: &HttpServer) -> Router {
    let response_headers = config
        .response_headers
        .iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
        .collect();
    let paths = Signal::ALL
        .into_iter()
        .filter(|signal| intake.takes(*signal))
        .map(|signal| (path_of(config, signal), signal))
        .collect();
    let server = Arc::new(Server {
        intake,
        paths,
        body_bytes_max: usize::try_from(config.max_request_body_size).unwrap_or(usize::MAX),
        content_encodings: config.compression_algorithms.clone(),
        response_headers,
        cors: Cors::new(&config.cors),
    });
    Router::new().fallback(serve).with_state(server)
}

async fn serve(State(server): State<Arc<Server>>, request: Request) -> Response {
    if let Some(cors) = &server.cors
        && Cors::is_preflight(request.method(), request.headers())
    {
        return cors.preflight(request.headers());
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let path = request.uri().path();
    let signal = server.paths.iter().find(|(known, _)| known == path);
    let mut response = match signal.map(|(_, signal)| *signal) {
        Some(signal) => answer(&server, signal, request).await,
        None => (StatusCode::NOT_FOUND, "404 page not found").into_response(),
    };
    for (name, value) in &server.response_headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    if let Some(cors) = &server.cors {
        cors.decorate(origin.as_ref(), response.headers_mut());
    }
    response
}

async fn answer(server: &Server, signal: Signal, request: Request) -> Response {
    if request.method() != Method::POST {
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, "POST")],
            "405 method not allowed, supported: [POST]",
        )
            .into_response();
    }
    let Some(encoding) = Encoding::of(request.headers()) else {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "415 unsupported media type, supported: [application/json, application/x-protobuf]",
        )
            .into_response();
    };
    match take(server, signal, encoding, request).await {
        Ok(()) => success(encoding),
        Err(refusal) => failure(encoding, &refusal),
    }
}

async fn take(
    server: &Server,
    signal: Signal,
    encoding: Encoding,
    request: Request,
) -> Result<(), Refusal> {
    let (head, body) = request.into_parts();
    let limit = server.body_bytes_max;
    let raw = body::collect(body, limit)
        .await
        .map_err(|e| Refusal::Malformed(e.to_string()))?;
    let content_encoding = head.headers.get(header::CONTENT_ENCODING);
    server.check_encoding(content_encoding)?;
    let body = if raw.len() < INLINE_BYTES_MAX {
        decode(raw, content_encoding, limit, encoding, signal)
    } else {
        let content_encoding = content_encoding.cloned();
        tokio::task::spawn_blocking(move || {
            decode(raw, content_encoding.as_ref(), limit, encoding, signal)
        })
        .await
        .unwrap_or_else(|e| Err(e.to_string()))
    };
    server
        .intake
        .take(signal, body.map_err(Refusal::Malformed)?)
        .await
}

impl Server {
    /// Refuses encodings that the configuration does not list.
    fn check_encoding(&self, content_encoding: Option<&HeaderValue>) -> Result<(), Refusal> {
        let (Some(allowed), Some(encoding)) = (&self.content_encodings, content_encoding) else {
            return Ok(());
        };
        let encoding = encoding.to_str().unwrap_or_default().trim();
        if encoding.is_empty() || encoding == "identity" || allowed.iter().any(|a| a == encoding) {
            return Ok(());
        }
        let allowed = allowed.join(", ");
        Err(Refusal::Malformed(format!(
            "unsupported Content-Encoding {encoding:?} (compression_algorithms allows: {allowed})"
        )))
    }
}

/// The protobuf form of a body.
fn decode(
    raw: Bytes,
    content_encoding: Option<&HeaderValue>,
    limit: usize,
    encoding: Encoding,
    signal: Signal,
) -> Result<Bytes, String> {
    let content_encoding = content_encoding.map_or(Ok(""), |v| v.to_str());
    let content_encoding =
        content_encoding.map_err(|_| "unreadable Content-Encoding".to_owned())?;
    let body = body::decompress(raw, content_encoding.trim(), limit).map_err(|e| e.to_string())?;
    match encoding {
        Encoding::Protobuf => Ok(body),
        Encoding::Json => json::to_protobuf(signal.request(), &body)
            .map(Bytes::from)
            .map_err(|e| e.to_string()),
    }
}

/// An export response without partial success is empty in both encodings.
fn success(encoding: Encoding) -> Response {
    let body = match encoding {
        Encoding::Protobuf => "",
        Encoding::Json => r#"{"partialSuccess":{}}"#,
    };
    ([(header::CONTENT_TYPE, encoding.content_type())], body).into_response()
}

fn failure(encoding: Encoding, refusal: &Refusal) -> Response {
    let (code, message, retry_after) = parts(refusal);
    let status = RpcStatus {
        code: code as i32,
        message,
        details: Vec::new(),
    }
    .encode_to_vec();
    let body = match encoding {
        Encoding::Protobuf => Bytes::from(status),
        Encoding::Json => json::to_json(&schema::RPC_STATUS, &status)
            .map(Bytes::from)
            .unwrap_or_default(),
    };
    let http_status = http_status(refusal);
    let mut response = (
        http_status,
        [(header::CONTENT_TYPE, encoding.content_type())],
        body,
    )
        .into_response();
    let may_wait = matches!(
        http_status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    if let Some(delay) = retry_after.filter(|_| may_wait) {
        let seconds = whole_seconds(delay);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Rounded up: to wait too little would bring the same answer again.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}
