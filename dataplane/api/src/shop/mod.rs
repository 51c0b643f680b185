//! The shop API itself: its routes, their normal behaviour, their router.
//!
//! | file | routes |
//! |---|---|
//! | `catalogue` | `GET /api/users`, `/api/products`, `/api/search`, `/api/reports`, `/api/slow` |
//! | `orders` | `POST /api/orders` |
//! | `checkout` | `POST /api/payments` |
//! | `data` | the people and products it knows |
//! | `metrics` | the hand-made business metrics |

mod catalogue;
mod checkout;
mod data;
mod metrics;
mod orders;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::{Method, StatusCode};

use crate::admin;
use crate::behaviour::{Behaviour, Latency, Profile, Verdict};
use crate::observe::{Observer, observe};
use crate::payments::PaymentClient;
use crate::reply;

pub(crate) use metrics::{ShopMetrics, breaker_transitions};

/// The routes, which are also the only route labels.
pub(crate) const ROUTES: &[&str] = &[
    "/health",
    "/api/users",
    "/api/products",
    "/api/orders",
    "/api/search",
    "/api/reports",
    "/api/payments",
    "/api/slow",
    admin::FAULTS_ROUTE,
];

const fn uniform(min_ms: f64, max_ms: f64) -> Latency {
    Latency::Uniform { min_ms, max_ms }
}

/// A business route: general faults apply.
const fn business(route: &'static str, latency: Latency, success: f64) -> Profile {
    Profile {
        route,
        latency,
        success,
        faulty: true,
    }
}

// The numbers are those of the requirements, section 3.1.
const HEALTH: Profile = Profile {
    route: "/health",
    latency: Latency::None,
    success: 1.0,
    faulty: false,
};
const USERS: Profile = business("/api/users", uniform(50.0, 200.0), 0.95);
const PRODUCTS: Profile = business("/api/products", uniform(2.0, 20.0), 0.999);
const ORDERS: Profile = business("/api/orders", uniform(100.0, 300.0), 0.90);
const SEARCH: Profile = business(
    "/api/search",
    Latency::LongTail {
        min_ms: 10.0,
        max_ms: 1000.0,
        alpha: 1.0,
    },
    0.99,
);
const REPORTS: Profile = business("/api/reports", uniform(500.0, 3000.0), 0.98);
/// The shop's own share only: the provider adds its 90 to 380 ms and its failures.
const PAYMENTS: Profile = business("/api/payments", uniform(10.0, 20.0), 1.0);
const SLOW: Profile = business("/api/slow", uniform(3000.0, 5000.0), 1.0);

/// The state that all handlers share.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) behaviour: Behaviour,
    pub(crate) metrics: ShopMetrics,
    pub(crate) payments: PaymentClient,
}

type SharedShop = State<Arc<Shop>>;

/// The shop's router, observed by `observer`.
pub(crate) fn router(shop: Arc<Shop>, observer: Arc<Observer>) -> Router {
    observer.touch(&[
        (&Method::GET, "/health", &[200]),
        (&Method::GET, "/api/users", &[200, 500]),
        (&Method::GET, "/api/products", &[200, 500]),
        (&Method::POST, "/api/orders", &[201, 400, 500]),
        (&Method::GET, "/api/search", &[200, 400, 500]),
        (&Method::GET, "/api/reports", &[200, 500]),
        (
            &Method::POST,
            "/api/payments",
            &[200, 400, 402, 500, 502, 503],
        ),
        (&Method::GET, "/api/slow", &[200]),
    ]);
    Router::new()
        .route("/health", get(health))
        .route("/api/users", get(catalogue::users))
        .route("/api/products", get(catalogue::products))
        .route("/api/orders", post(orders::create))
        .route("/api/search", get(catalogue::search))
        .route("/api/reports", get(catalogue::report))
        .route("/api/payments", post(checkout::pay))
        .route("/api/slow", get(catalogue::slow))
        .route(admin::FAULTS_ROUTE, get(get_faults).put(put_faults))
        .fallback(reply::not_found)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(observer, observe))
        .with_state(shop)
}

async fn health(State(shop): SharedShop) -> Response {
    shop.behaviour.play(&HEALTH).await;
    reply::health()
}

async fn get_faults(State(shop): SharedShop) -> Response {
    admin::get(&shop.behaviour.faults)
}

async fn put_faults(State(shop): SharedShop, body: Bytes) -> Response {
    admin::put(&shop.behaviour.faults, &body)
}

/// The 500 of a request that failed by nature or by fault.
fn failed(verdict: Verdict) -> Response {
    let reason = match verdict {
        Verdict::FailByFault => "injected failure",
        Verdict::Fail | Verdict::Succeed => "internal error",
    };
    reply::error(StatusCode::INTERNAL_SERVER_ERROR, reason).into_response()
}

fn bad_request(reason: impl AsRef<str>) -> Response {
    reply::error(StatusCode::BAD_REQUEST, reason).into_response()
}

#[cfg(test)]
mod tests;
