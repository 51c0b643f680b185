//! The server on the dashboard's own port.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bellwether_http::{ClientSettings, NewClientError};
use bellwether_net::ServeOptions;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use tokio_util::sync::CancellationToken;

use crate::config::UiConfig;
use crate::page::{self, MetricsPath};
use crate::proxy::{self, Upstream};

/// What the dashboard's server needs to know.
#[derive(Clone, Debug)]
pub struct DashboardConfig {
    /// The Prometheus server behind the proxy, for example `http://127.0.0.1:9090`; a path prefix is allowed.
    pub prometheus_url: String,
    /// TLS, credentials and proxies on the way to that server.
    pub client: ClientSettings,
    /// What `/ui/v1/config` answers.
    pub ui_config: UiConfig,
}

/// Why the dashboard could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum DashboardError {
    /// The address of the Prometheus server cannot be used.
    #[error(
        "dashboard: prometheus_url {url:?} is not usable: {reason}; give something like http://127.0.0.1:9090"
    )]
    PrometheusUrl {
        /// The address as configured.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The client of the Prometheus server cannot be made.
    #[error("dashboard: {0}")]
    Client(#[from] NewClientError),
}

/// Pages, files, `/ui/v1/config`, `/health` and the proxy, as one router.
///
/// # Errors
/// When the address is no URL with a host, or the client's certificates cannot be used.
pub fn router(config: DashboardConfig) -> Result<Router, DashboardError> {
    let DashboardConfig {
        prometheus_url,
        client,
        ui_config,
    } = config;
    let upstream = Upstream::new(&prometheus_url, client)?;
    let proxied = Router::new()
        .route("/api/v1/{*path}", any(proxy::forward))
        .route("/-/healthy", get(proxy::forward))
        .route("/-/ready", get(proxy::forward))
        .with_state(upstream);
    Ok(page::pages("/", MetricsPath::Metrics)
        .merge(proxied)
        .merge(ui_routes(ui_config))
        .route("/health", get(health))
        .fallback(not_found))
}

/// What the pages ask of the product itself, not of the Prometheus API.
pub(crate) fn ui_routes(ui_config: UiConfig) -> Router {
    let ui_config = Arc::new(ui_config);
    Router::new().route(
        "/ui/v1/config",
        get(move || async move { ui_answer(&ui_config) }),
    )
}

/// Serves the dashboard on `listener` until `shutdown`, then lets running requests end.
///
/// # Errors
/// [`DashboardError`], see [`router`].
pub async fn run(
    config: DashboardConfig,
    listener: tokio::net::TcpListener,
    shutdown: CancellationToken,
) -> Result<(), DashboardError> {
    let router = router(config)?;
    bellwether_net::serve(listener, router, ServeOptions::default(), shutdown).await;
    Ok(())
}

async fn health() -> Response {
    let body =
        serde_json::json!({ "status": "ok", "component": "dashboard", "built": crate::BUILT });
    ([(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn ui_answer(config: &UiConfig) -> Response {
    match serde_json::to_string(config) {
        Ok(body) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            ];
            (headers, body).into_response()
        }
        Err(e) => proxy::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            &e.to_string(),
        ),
    }
}

/// A person gets the application's own "no such page"; a program gets JSON.
async fn not_found(request: Request) -> Response {
    let wants_page = request
        .headers()
        .get(ACCEPT)
        .and_then(|v| v.to_str().ok())
        .is_some_and(|a| a.contains("text/html"));
    if wants_page {
        page::index(StatusCode::NOT_FOUND, "/", MetricsPath::Metrics)
    } else {
        let said = format!("the dashboard has nothing at {}", request.uri().path());
        proxy::error(StatusCode::NOT_FOUND, "not_found", &said)
    }
}
