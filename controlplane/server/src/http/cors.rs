//! CORS as Prometheus 3 does it: only requests with an `Origin` get headers; the origin is echoed when it matches
//! `--web.cors.origin`, unless that takes every origin. `OPTIONS` on any API path answers 204.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::state::AppState;

/// The default of `--web.cors.origin`.
const ANY_ORIGIN: &str = ".*";

/// Middleware around `/api/v1`.
pub(super) async fn apply(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    // Errors of the router itself (404, 405) carry none, as in Prometheus.
    let is_own = !matches!(response.status(), StatusCode::METHOD_NOT_ALLOWED)
        && response.status() != StatusCode::NOT_FOUND;
    if is_own {
        set_headers(response.headers_mut(), &state, origin);
    }
    response
}

fn set_headers(headers: &mut HeaderMap, state: &AppState, origin: Option<HeaderValue>) {
    headers.append(VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else {
        return;
    };
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Accept, Authorization, Content-Type, Origin"),
    );
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    );
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Date"),
    );
    // As since 3.6: a pattern that takes every origin is told as such, so that caches may share the answer.
    if state.web.cors_origin == ANY_ORIGIN {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if origin.to_str().is_ok_and(|text| state.cors.is_match(text)) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}
