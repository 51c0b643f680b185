//! The server's router and what wraps every request.
//!
//! ```text
//! request -> span -> counting -> compression -> route: CORS, OPTIONS -> /api/v1/...; /federate, /-/..., /metrics, pages, 404
//! ```

mod cors;
mod debug;
mod lifecycle;
mod observe;
mod router;
mod spans;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

pub(crate) use observe::HttpMetrics;
pub(crate) use router::router;

use crate::state::{AppState, Phase};

/// A plain text error as Go's `http.Error` writes it.
pub(crate) fn plain_error(status: StatusCode, message: &str) -> Response {
    let headers = [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        ),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, format!("{message}\n")).into_response()
}

pub(crate) async fn not_found() -> Response {
    plain_error(StatusCode::NOT_FOUND, "404 page not found")
}

pub(crate) async fn method_not_allowed(allowed: &'static str) -> Response {
    let mut response = plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// The answer while the database is being opened, or closed.
pub(crate) fn service_unavailable(state: &AppState) -> Response {
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable").into_response();
    if state.phase() == Phase::Stopping {
        response
            .headers_mut()
            .insert("x-prometheus-stopping", HeaderValue::from_static("true"));
    }
    response
}
