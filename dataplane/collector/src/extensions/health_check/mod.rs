//! `health_check`: says over HTTP whether the collector is ready. See `README.md`.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bellwether_net::ServeOptions;
use serde::Deserialize;

use crate::config::types::{Accepted, Unsupported};
use crate::pipeline::component::BuildFuture;
use crate::pipeline::{BuildContext, Built, ExtensionConfig, Problems};

const ENDPOINT: &str = "localhost:13133";

/// Keys of the extension.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct HealthCheckConfig {
    endpoint: String,
    path: String,
    response_body: Option<ResponseBody>,
    /// Ignored by the official collector as well.
    check_collector_pipeline: Accepted,
    tls: Unsupported,
    auth: Unsupported,
    cors: Unsupported,
    use_v2: Unsupported,
    http: Unsupported,
    grpc: Unsupported,
    component_health: Unsupported,
}

/// Bodies that replace the JSON.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ResponseBody {
    healthy: String,
    unhealthy: String,
}

impl Default for HealthCheckConfig {
    fn default() -> Self {
        Self {
            endpoint: ENDPOINT.to_owned(),
            path: "/".to_owned(),
            response_body: None,
            check_collector_pipeline: Accepted,
            tls: Unsupported,
            auth: Unsupported,
            cors: Unsupported,
            use_v2: Unsupported,
            http: Unsupported,
            grpc: Unsupported,
            component_health: Unsupported,
        }
    }
}

struct Health {
    path: String,
    since: SystemTime,
    started: Instant,
    body: Option<ResponseBody>,
    /// Pipelines stop first and drain; a load balancer must know at once.
    draining: tokio_util::sync::CancellationToken,
}

impl ExtensionConfig for HealthCheckConfig {
    fn validate(&self, problems: &mut Problems) {
        problems.endpoint("endpoint", &self.endpoint);
        if !self.path.starts_with('/') {
            problems.add("path", "must start with /");
        }
    }

    fn build<'a>(&'a self, context: BuildContext<'a>) -> BuildFuture<'a> {
        Box::pin(async move {
            let listener = context
                .bind("extensions", "endpoint", &self.endpoint)
                .await?;
            let (path, body) = (self.path.clone(), self.response_body.clone());
            let draining = context.draining.clone();
            Ok(Built {
                consumer: None,
                runner: Some(Box::new(move |stop| {
                    let state = Arc::new(Health {
                        path,
                        since: SystemTime::now(),
                        started: Instant::now(),
                        body,
                        draining,
                    });
                    let router = Router::new().fallback(answer).with_state(state);
                    Box::pin(bellwether_net::serve(
                        listener,
                        router,
                        ServeOptions::default(),
                        stop,
                    ))
                })),
            })
        })
    }
}

/// A path that ends in a slash stands for everything below it, as in the official extension: with
/// the default, probes of `/health` or `/healthz` work as well.
fn is_served(path: &str, requested: &str) -> bool {
    requested == path || (path.ends_with('/') && requested.starts_with(path))
}

async fn answer(State(health): State<Arc<Health>>, uri: Uri) -> Response {
    if !is_served(&health.path, uri.path()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let ready = !health.draining.is_cancelled();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if let Some(body) = &health.body {
        let text = if ready {
            &body.healthy
        } else {
            &body.unhealthy
        };
        return (status, text.clone()).into_response();
    }
    let message = if ready {
        "Server available"
    } else {
        "Server not available"
    };
    let since = jiff::Timestamp::try_from(health.since)
        .map(|t| t.to_string())
        .unwrap_or_default();
    let uptime = format!("{:.3}s", health.started.elapsed().as_secs_f64());
    let json = serde_json::json!({"status": message, "upSince": since, "uptime": uptime});
    (
        status,
        [(header::CONTENT_TYPE, "application/json")],
        json.to_string(),
    )
        .into_response()
}
