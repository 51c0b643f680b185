//! The JSON answers that all endpoints share, and time as they write it.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

/// `{"error": reason}` with `status`.
pub(crate) fn error(status: StatusCode, reason: impl AsRef<str>) -> (StatusCode, Response) {
    (
        status,
        Json(json!({"error": reason.as_ref()})).into_response(),
    )
}

/// `{"status":"ok","timestamp":…}`.
pub(crate) fn health() -> Response {
    Json(json!({"status": "ok", "timestamp": now_rfc3339()})).into_response()
}

/// 404 for a route that does not exist.
pub(crate) async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "no such route").into_response()
}

/// 405 for a route that exists with other methods; axum adds `Allow`.
pub(crate) async fn method_not_allowed() -> Response {
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        "the route exists, but not for this method",
    )
    .into_response()
}

/// The current time as RFC 3339, UTC, with milliseconds.
pub(crate) fn now_rfc3339() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}
