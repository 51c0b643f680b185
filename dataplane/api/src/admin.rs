//! `GET` and `PUT /admin/faults`: the faults of a running service.
//!
//! `PUT` replaces them as a whole: what the body leaves out is off. A body that
//! is refused changes nothing.

use axum::Json;
use axum::body::Bytes;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::faults::{FaultControl, Faults};
use crate::reply;

/// The route template of the admin endpoint.
pub(crate) const FAULTS_ROUTE: &str = "/admin/faults";

pub(crate) fn get(faults: &FaultControl) -> Response {
    Json(Faults::clone(&faults.current())).into_response()
}

pub(crate) fn put(faults: &FaultControl, body: &Bytes) -> Response {
    let wanted: Faults = match serde_json::from_slice(body) {
        Ok(wanted) => wanted,
        Err(error) => {
            let reason = format!("the body is not a set of faults: {error}");
            return reply::error(StatusCode::BAD_REQUEST, reason).into_response();
        }
    };
    match faults.replace(wanted) {
        Ok(()) => get(faults),
        Err(error) => reply::error(StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}
