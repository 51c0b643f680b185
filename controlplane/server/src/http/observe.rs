//! Counting requests, under Prometheus' names.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bellwether_telemetry::{Counter, Histogram, Registry};
use hashbrown::HashMap;
use parking_lot::RwLock;

use crate::state::AppState;

/// Upper bounds of request durations in seconds: Prometheus' own.
const DURATION_BOUNDS: &[f64] = &[0.1, 0.2, 0.4, 1.0, 3.0, 8.0, 20.0, 60.0, 120.0];

/// Request counters by route. Routes are a fixed set, so the label stays bounded.
pub(crate) struct HttpMetrics {
    registry: Registry,
    /// Handles by (route, status), so that a request does not search the registry.
    handles: RwLock<HashMap<(String, u16), (Counter, Histogram)>>,
}

impl HttpMetrics {
    pub(crate) fn new(registry: Registry) -> Self {
        Self {
            registry,
            handles: RwLock::default(),
        }
    }

    fn record(&self, route: &str, status: u16, seconds: f64) {
        let key = (route.to_owned(), status);
        let known = self.handles.read().get(&key).cloned();
        let (requests, durations) = known.unwrap_or_else(|| {
            let handles = self.register(route, status);
            self.handles.write().insert(key, handles.clone());
            handles
        });
        requests.inc();
        durations.observe(seconds);
    }

    fn register(&self, route: &str, status: u16) -> (Counter, Histogram) {
        let requests = self.registry.counter(
            "prometheus_http_requests_total",
            "Counter of HTTP requests.",
            &[("code", &status.to_string()), ("handler", route)],
        );
        let durations = self.registry.histogram(
            "prometheus_http_request_duration_seconds",
            "Histogram of latencies for HTTP requests.",
            &[("handler", route)],
            DURATION_BOUNDS,
        );
        (requests, durations)
    }
}

/// Middleware around everything.
pub(super) async fn count(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), handler_label);
    let started = Instant::now();
    let response = next.run(request).await;
    state.http.record(
        &route,
        response.status().as_u16(),
        started.elapsed().as_secs_f64(),
    );
    response
}

/// `/label/{name}/values` as Prometheus writes it: `/label/:name/values`.
fn handler_label(path: &MatchedPath) -> String {
    path.as_str()
        .replace("{*", "*")
        .replace('{', ":")
        .replace('}', "")
}
