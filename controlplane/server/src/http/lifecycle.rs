//! `/-/healthy`, `/-/ready`, `/-/reload`, `/-/quit`, `/metrics`, `/version`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method, StatusCode};

use super::{plain_error, service_unavailable};
use crate::state::Shared;
use crate::version;

pub(super) async fn healthy() -> &'static str {
    "Prometheus Server is Healthy.\n"
}

pub(super) async fn ready(State(state): Shared) -> Response {
    if state.is_ready() {
        "Prometheus Server is Ready.\n".into_response()
    } else {
        service_unavailable(&state)
    }
}

fn lifecycle_disabled() -> Response {
    (StatusCode::FORBIDDEN, "Lifecycle API is not enabled.").into_response()
}

/// The answer to a request that must not change anything, for its method.
fn refused_method(method: &Method) -> Option<Response> {
    if matches!(*method, Method::POST | Method::PUT) {
        return None;
    }
    let message = "Only POST or PUT requests allowed";
    Some((StatusCode::METHOD_NOT_ALLOWED, message).into_response())
}

pub(super) async fn reload(State(state): Shared, method: Method) -> Response {
    if let Some(answer) = refused_method(&method) {
        return answer;
    }
    if !state.web.enable_lifecycle {
        return lifecycle_disabled();
    }
    match state.reload.request().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) => plain_error(
            StatusCode::INTERNAL_SERVER_ERROR,
            &format!("failed to reload config: {error}"),
        ),
    }
}

pub(super) async fn quit(State(state): Shared, method: Method) -> Response {
    if let Some(answer) = refused_method(&method) {
        return answer;
    }
    if !state.web.enable_lifecycle {
        return lifecycle_disabled();
    }
    state.quit.cancel();
    "Requesting termination... Goodbye!".into_response()
}

pub(super) async fn metrics(State(state): Shared, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok());
    let (body, content_type) = state.registry.render_for(accept);
    ([(CONTENT_TYPE, content_type)], body).into_response()
}

pub(super) async fn version() -> String {
    version::build_info().to_string()
}
