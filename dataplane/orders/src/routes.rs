//! The HTTP surface of the order service.

use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bellwether_telemetry::Registry;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use crate::queue::{OrderQueue, QueueError, Ticket};

/// Orders of one simulation at most: as many as the default queue holds, and
/// done within the default answer timeout.
const COUNT_MAX: u32 = 1000;

#[derive(Debug, Clone)]
struct Service {
    queue: OrderQueue,
    registry: Registry,
}

/// The router over `queue` and `registry`.
pub(crate) fn router(queue: OrderQueue, registry: Registry, answer_timeout: Duration) -> Router {
    Router::new()
        .route("/orders", post(order))
        .route("/simulate", post(simulate))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "no such route") })
        .method_not_allowed_fallback(|| async {
            error(
                StatusCode::METHOD_NOT_ALLOWED,
                "the route exists, but not for this method",
            )
        })
        .layer(from_fn_with_state(answer_timeout, limit))
        .with_state(Service { queue, registry })
}

async fn limit(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => error(
            StatusCode::SERVICE_UNAVAILABLE,
            "the answer took too long; the orders are still processed",
        ),
    }
}

fn error(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({"error": reason}))).into_response()
}

fn unavailable(reason: QueueError) -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, &reason.to_string())
}

async fn health() -> Response {
    let timestamp = format!("{:.3}", jiff::Timestamp::now());
    Json(json!({"status": "ok", "timestamp": timestamp})).into_response()
}

async fn metrics(State(service): State<Service>, headers: HeaderMap) -> Response {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let (body, content_type) = service.registry.render_for(accept);
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}

#[derive(Debug, Deserialize)]
struct OrderQuery {
    #[serde(default)]
    fail: bool,
}

async fn order(
    State(service): State<Service>,
    query: Result<Query<OrderQuery>, QueryRejection>,
) -> Response {
    let Ok(Query(query)) = query else {
        return error(StatusCode::BAD_REQUEST, "fail must be true or false");
    };
    let outcome = match service.queue.try_submit(query.fail) {
        Ok(ticket) => ticket.outcome().await,
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(outcome) => {
            let (status, label) = if outcome.success {
                (StatusCode::OK, "success")
            } else {
                (StatusCode::INTERNAL_SERVER_ERROR, "failure")
            };
            let id = format!("ord-{:016x}", outcome.id);
            (status, Json(json!({"order_id": id, "status": label}))).into_response()
        }
        Err(refused) => unavailable(refused),
    }
}

/// Both as text, so that the reason of a refusal can name the parameter.
#[derive(Debug, Deserialize)]
struct SimulateQuery {
    count: Option<String>,
    error_rate: Option<String>,
}

impl SimulateQuery {
    fn check(&self) -> Result<(u32, f64), String> {
        let count = match &self.count {
            None => 20,
            Some(text) => text
                .parse()
                .ok()
                .filter(|count| (1..=COUNT_MAX).contains(count))
                .ok_or(format!(
                    "count must be a whole number from 1 to {COUNT_MAX}"
                ))?,
        };
        let error_rate = match &self.error_rate {
            None => 0.0,
            Some(text) => text
                .parse()
                .ok()
                .filter(|rate| (0.0..=1.0).contains(rate))
                .ok_or("error_rate must be a number from 0 to 1")?,
        };
        Ok((count, error_rate))
    }
}

async fn simulate(
    State(service): State<Service>,
    query: Result<Query<SimulateQuery>, QueryRejection>,
) -> Response {
    let checked = match query {
        Ok(Query(query)) => query.check(),
        Err(rejection) => Err(rejection.body_text()),
    };
    let (count, error_rate) = match checked {
        Ok(checked) => checked,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    match run_simulation(&service.queue, count, error_rate).await {
        Ok((success, failure)) => Json(json!({
            "requested": count,
            "success": success,
            "failure": failure,
        }))
        .into_response(),
        Err(refused) => unavailable(refused),
    }
}

/// Submits `count` orders, waiting for places, and counts how they end.
async fn run_simulation(
    queue: &OrderQueue,
    count: u32,
    error_rate: f64,
) -> Result<(u32, u32), QueueError> {
    let mut tickets: Vec<Ticket> = Vec::new();
    for _ in 0..count {
        tickets.push(queue.submit(queue.chance(error_rate)).await?);
    }
    let (mut success, mut failure) = (0, 0);
    for ticket in tickets {
        if ticket.outcome().await?.success {
            success += 1;
        } else {
            failure += 1;
        }
    }
    Ok((success, failure))
}
