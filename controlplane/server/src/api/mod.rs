//! The HTTP API: Prometheus' paths, parameters, JSON and errors.
//!
//! | file | endpoints |
//! |---|---|
//! | `query` | `/query`, `/query_range`, `/format_query`, `/parse_query` |
//! | `series` | `/series`, `/labels`, `/label/<name>/values` |
//! | `search` | `/search/...` |
//! | `targets` | `/targets`, `/scrape_pools`, `/metadata`, `/targets/metadata` |
//! | `exemplars` | `/query_exemplars` |
//! | `pools` | `/scrape_pools/config`, `/targets/relabel_steps` |
//! | `status` | `/status/...` |
//! | `self_metrics` | `/status/self_metrics` |
//! | `openapi` | `/openapi.yaml` |
//! | `features`, `notifications` | `/features`, `/notifications`, `/notifications/live` |
//! | `admin` | `/admin/tsdb/...` |
//! | `rules` | `/rules`, `/alerts`, `/alertmanagers` |
//! | `read`, `write`, `otlp` | `/read`, `/write`, `/otlp/v1/metrics` |
//! | `federate`, `escaping` | `/federate` (beside `/api/v1`) |
//! | `params`, `origin`, `json`, `members`, `ast_json`, `query_body`, `piece`, `times`, `histogram`, `error` | reading requests, writing answers |
//!
//! What reads the database runs on a blocking thread, unless the answer is expected at once (see `quick`). Until the
//! database is open, and again once the server stops, the endpoints answer 503 `Service Unavailable`.

mod admin;
mod ast_json;
mod error;
mod escaping;
mod exemplars;
mod features;
mod federate;
mod histogram;
mod json;
mod members;
mod notifications;
mod openapi;
mod origin;
mod otlp;
mod params;
mod piece;
mod pools;
mod query;
mod query_body;
mod read;
mod rules;
mod search;
mod self_metrics;
mod series;
mod status;
mod targets;
#[cfg(test)]
mod tests;
mod times;
mod write;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use http::StatusCode;
use http::request::Parts;

use crate::http::{method_not_allowed, service_unavailable};
use crate::state::{AppState, Intake, OpenCore, Opened};
use error::{ApiError, ErrorType};

pub(crate) use federate::federate;
pub(crate) use otlp::OtlpMetrics;
pub(crate) use read::RemoteRead;

/// Largest compressed remote write request, and largest form.
const BODY_BYTES_MAX: usize = 32 << 20;

/// The open database and what runs on it; extracting it fails with 503 while there is none, and in agent mode as
/// Prometheus does.
pub(crate) struct Core(Arc<OpenCore>);

impl Deref for Core {
    type Target = OpenCore;

    fn deref(&self) -> &OpenCore {
        &self.0
    }
}

impl FromRequestParts<Arc<AppState>> for Core {
    type Rejection = Response;

    async fn from_request_parts(_: &mut Parts, state: &Arc<AppState>) -> Result<Self, Response> {
        match state.core() {
            Some(core) if state.is_ready() => Ok(Self(Arc::clone(core))),
            None if state.is_agent && state.is_ready() => Err(ApiError::new(
                ErrorType::Execution,
                "unavailable with Prometheus Agent",
            )
            .into_response()),
            _ => Err(service_unavailable(state)),
        }
    }
}

/// What both modes have; extracting it fails with 503 until it is open.
pub(crate) struct Ready(Opened);

impl Deref for Ready {
    type Target = Intake;

    fn deref(&self) -> &Intake {
        self.0.intake()
    }
}

impl FromRequestParts<Arc<AppState>> for Ready {
    type Rejection = Response;

    async fn from_request_parts(_: &mut Parts, state: &Arc<AppState>) -> Result<Self, Response> {
        match state.opened.get() {
            Some(opened) if state.is_ready() => Ok(Self(opened.clone())),
            _ => Err(service_unavailable(state)),
        }
    }
}

type Routes = MethodRouter<Arc<AppState>>;

/// Other methods, HEAD among them, get Prometheus' 405 with its list of allowed ones; OPTIONS is answered around.
fn only(routes: Routes, allowed: &'static str) -> Routes {
    routes
        .head(move || method_not_allowed(allowed))
        .options(|| async { StatusCode::NO_CONTENT })
        .fallback(move || method_not_allowed(allowed))
}

const GET: &str = "GET, OPTIONS";
const GET_POST: &str = "GET, OPTIONS, POST";
const POST: &str = "OPTIONS, POST";
const POST_PUT: &str = "OPTIONS, POST, PUT";

/// The routes below `/api/v1`.
pub(crate) fn routes() -> Router<Arc<AppState>> {
    let change = MethodFilter::POST.or(MethodFilter::PUT);
    Router::new()
        .route(
            "/query",
            only(get(query::instant).post(query::instant), GET_POST),
        )
        .route(
            "/query_range",
            only(get(query::range).post(query::range), GET_POST),
        )
        .route(
            "/query_exemplars",
            only(
                get(exemplars::query_exemplars).post(exemplars::query_exemplars),
                GET_POST,
            ),
        )
        .route(
            "/format_query",
            only(get(query::format).post(query::format), GET_POST),
        )
        .route(
            "/parse_query",
            only(get(query::parsed).post(query::parsed), GET_POST),
        )
        .route(
            "/series",
            only(get(series::series).post(series::series), GET_POST),
        )
        .route(
            "/labels",
            only(get(series::names).post(series::names), GET_POST),
        )
        .route("/label/{name}/values", only(get(series::values), GET))
        .route(
            "/search/metric_names",
            only(
                get(search::metric_names).post(search::metric_names),
                GET_POST,
            ),
        )
        .route(
            "/search/label_names",
            only(get(search::label_names).post(search::label_names), GET_POST),
        )
        .route(
            "/search/label_values",
            only(
                get(search::label_values).post(search::label_values),
                GET_POST,
            ),
        )
        .route("/targets", only(get(targets::targets), GET))
        .route(
            "/targets/metadata",
            only(get(targets::targets_metadata), GET),
        )
        .route("/scrape_pools", only(get(targets::pools), GET))
        .route("/scrape_pools/config", only(get(pools::config), GET))
        .route(
            "/targets/relabel_steps",
            only(get(pools::relabel_steps), GET),
        )
        .route("/features", only(get(features::features), GET))
        .route("/notifications", only(get(notifications::list), GET))
        .route("/notifications/live", only(get(notifications::live), GET))
        .route("/status/tsdb/blocks", only(get(status::blocks), GET))
        .route("/openapi.yaml", only(get(openapi::openapi), GET))
        .route(
            "/status/self_metrics",
            only(get(self_metrics::self_metrics), GET),
        )
        .route("/metadata", only(get(targets::metadata), GET))
        .route("/status/buildinfo", only(get(status::build_info), GET))
        .route("/status/config", only(get(status::config), GET))
        .route("/status/flags", only(get(status::flags), GET))
        .route("/status/runtimeinfo", only(get(status::runtime_info), GET))
        .route("/status/tsdb", only(get(status::tsdb), GET))
        .route("/status/walreplay", only(get(status::wal_replay), GET))
        .route(
            "/admin/tsdb/delete_series",
            only(on(change, admin::delete_series), POST_PUT),
        )
        .route(
            "/admin/tsdb/clean_tombstones",
            only(on(change, admin::clean_tombstones), POST_PUT),
        )
        .route(
            "/admin/tsdb/snapshot",
            only(on(change, admin::snapshot), POST_PUT),
        )
        .route("/rules", only(get(rules::rules), GET))
        .route("/alerts", only(get(rules::alerts), GET))
        .route("/alertmanagers", only(get(rules::alertmanagers), GET))
        .route("/read", only(on(MethodFilter::POST, read::read), POST))
        .route(
            "/otlp/v1/metrics",
            only(on(MethodFilter::POST, otlp::write), POST),
        )
        .route("/write", only(on(MethodFilter::POST, write::write), POST))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}
