//! The payment provider: the second service, which the shop calls over a
//! socket. Its spans continue the shop's traces, its metrics are its own.
//!
//! | route | behaviour |
//! |---|---|
//! | `POST /charge` | 90-380 ms; 3 % declined (402), 2 % failed (500), 503 during an outage |
//! | `GET /health` | 200 at once |
//! | `GET`, `PUT /admin/faults` | its own faults; its `dependency_outage` is its own outage |

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{HeaderMap, Method, StatusCode};
use rand::Rng;

use crate::admin;
use crate::behaviour::{Behaviour, Latency, Profile, Verdict};
use crate::faults::{FaultControl, FaultError, Faults};
use crate::observe::{Observer, observe};
use crate::payments::{CHARGE_ROUTE, ChargeReply, ChargeRequest, OUTAGE_HEADER};
use crate::reply;

/// The routes, which are also the only route labels.
pub(crate) const ROUTES: &[&str] = &["/health", CHARGE_ROUTE, admin::FAULTS_ROUTE];

/// Share of charges that the bank declines.
const DECLINED: f64 = 0.03;

const CHARGE: Profile = Profile {
    route: CHARGE_ROUTE,
    latency: Latency::Uniform {
        min_ms: 90.0,
        max_ms: 380.0,
    },
    success: 0.98,
    faulty: true,
};

#[derive(Debug)]
struct Provider {
    behaviour: Behaviour,
}

/// The provider's router, observed by `observer`.
pub(crate) fn router(
    observer: Arc<Observer>,
    faults: Faults,
    seed: Option<u64>,
) -> Result<Router, FaultError> {
    observer.touch(&[
        (&Method::GET, "/health", &[200]),
        (&Method::POST, CHARGE_ROUTE, &[200, 402, 500, 503]),
    ]);
    let provider = Arc::new(Provider {
        behaviour: Behaviour::new(seed, FaultControl::new(faults, ROUTES)?),
    });
    Ok(Router::new()
        .route("/health", get(|| async { reply::health() }))
        .route(CHARGE_ROUTE, post(charge))
        .route(admin::FAULTS_ROUTE, get(get_faults).put(put_faults))
        .fallback(reply::not_found)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(observer, observe))
        .with_state(provider))
}

async fn get_faults(State(provider): State<Arc<Provider>>) -> Response {
    admin::get(&provider.behaviour.faults)
}

async fn put_faults(State(provider): State<Arc<Provider>>, body: Bytes) -> Response {
    admin::put(&provider.behaviour.faults, &body)
}

async fn charge(
    State(provider): State<Arc<Provider>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let behaviour = &provider.behaviour;
    let asked_to_fail = headers
        .get(OUTAGE_HEADER)
        .is_some_and(|value| value == "outage");
    if asked_to_fail || behaviour.faults.current().dependency_outage.active {
        return reply::error(StatusCode::SERVICE_UNAVAILABLE, "the provider is out")
            .into_response();
    }
    let request: ChargeRequest = match serde_json::from_slice(&body) {
        Ok(request) => request,
        Err(error) => {
            let reason = format!("the body is not a charge: {error}");
            return reply::error(StatusCode::BAD_REQUEST, reason).into_response();
        }
    };
    tracing::trace!(order = request.order_id, amount = request.amount, "charge");
    match behaviour.play(&CHARGE).await {
        Verdict::Succeed => {}
        Verdict::Fail | Verdict::FailByFault => {
            return reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the bank did not answer")
                .into_response();
        }
    }
    let (declined, id) =
        behaviour.draw(|rng| (rng.random::<f64>() < DECLINED, rng.random::<u64>()));
    if declined {
        return reply::error(StatusCode::PAYMENT_REQUIRED, "declined").into_response();
    }
    Json(ChargeReply {
        transaction_id: format!("txn-{id:016x}"),
    })
    .into_response()
}
