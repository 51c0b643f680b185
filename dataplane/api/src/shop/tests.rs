#![allow(clippy::unwrap_used)]
//! The shop through its router in memory, with a seed and paused time.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::time::Instant;
use tower::ServiceExt;

use super::*;
use crate::breaker::Breaker;
use crate::config::ApiConfig;
use crate::env::Env;
use crate::faults::{FaultControl, Faults};
use crate::otel::Telemetry;

/// A shop that sends no telemetry. Its provider is a closed port.
async fn shop() -> Router {
    let env = Env::from_pairs([("OTEL_SDK_DISABLED", "true")]);
    let config = ApiConfig::from_env(&env).unwrap();
    let telemetry = Telemetry::start(config.telemetry, &config.identity)
        .await
        .unwrap();
    let breaker = Breaker::new(config.breaker, |_| {});
    let payments = PaymentClient::new(
        "http://127.0.0.1:1",
        Duration::from_secs(2),
        Arc::clone(&breaker),
        &telemetry,
    )
    .unwrap();
    let observer = Observer::new(&telemetry, true, ROUTES, config.timeouts);
    let shop = Shop {
        behaviour: Behaviour::new(
            Some(7),
            FaultControl::new(Faults::default(), ROUTES).unwrap(),
        ),
        metrics: ShopMetrics::new(&telemetry.meter(), breaker),
        payments,
    };
    router(Arc::new(shop), Arc::new(observer))
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    json: Value,
    took: Duration,
}

async fn send(shop: &Router, method: &str, uri: &str, body: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .body(Body::from(body.to_owned()))
        .unwrap();
    let start = Instant::now();
    let response = shop.clone().oneshot(request).await.unwrap();
    let took = start.elapsed();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        json: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        took,
    }
}

async fn get(shop: &Router, uri: &str) -> Answer {
    send(shop, "GET", uri, "").await
}

/// Sends `times` requests; checks that each took within the bounds and that
/// the share of `success` lies near `expected`.
async fn check_route(
    method: &str,
    uri: &str,
    body: &str,
    success: u16,
    expected: f64,
    bounds_ms: (u64, u64),
) {
    let shop = shop().await;
    let times = 1000_u32;
    let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
    for _ in 0..times {
        let answer = send(&shop, method, uri, body).await;
        let bounds = Duration::from_millis(bounds_ms.0)..=Duration::from_millis(bounds_ms.1 + 1);
        assert!(bounds.contains(&answer.took), "{uri}: {:?}", answer.took);
        *statuses.entry(answer.status).or_default() += 1;
    }
    let share = f64::from(statuses[&success]) / f64::from(times);
    assert!(
        (share - expected).abs() < 0.03,
        "{uri}: {share} {statuses:?}"
    );
    assert!(
        statuses.keys().all(|s| *s == success || *s == 500),
        "{uri}: {statuses:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn every_route_keeps_its_latency_and_success_share() {
    let order = r#"{"product_id":1,"quantity":1}"#;
    check_route("GET", "/health", "", 200, 1.0, (0, 9)).await;
    check_route("GET", "/api/users", "", 200, 0.95, (50, 200)).await;
    check_route("GET", "/api/products", "", 200, 0.999, (2, 30)).await;
    check_route("POST", "/api/orders", order, 201, 0.90, (100, 300)).await;
    check_route("GET", "/api/search?q=lamp", "", 200, 0.99, (10, 1000)).await;
    check_route("GET", "/api/reports", "", 200, 0.98, (500, 3000)).await;
    check_route("GET", "/api/slow", "", 200, 1.0, (3000, 5000)).await;
}

#[tokio::test(start_paused = true)]
async fn answers_have_the_documented_shape() {
    let shop = shop().await;
    let health = get(&shop, "/health").await.json;
    assert_eq!(health["status"], "ok");
    let timestamp: jiff::Timestamp = health["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(timestamp.as_second() > 1_700_000_000);

    // The seed decides which requests fail: ask until one succeeds.
    let mut users = Value::Null;
    while !users.is_array() {
        users = get(&shop, "/api/users").await.json;
    }
    for key in ["id", "name", "email"] {
        assert!(!users[0][key].is_null(), "{key}");
    }
    let found = get(&shop, "/api/search?q=LAMP").await.json;
    assert_eq!(found["count"], 2);
    let mut order = Value::Null;
    while order["order_id"].is_null() {
        order = send(
            &shop,
            "POST",
            "/api/orders",
            r#"{"product_id":1,"quantity":1}"#,
        )
        .await
        .json;
    }
    assert_eq!(order["status"], "created");
    assert!(
        order["created_at"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
    assert!(get(&shop, "/api/slow").await.json["message"].is_string());
}

#[tokio::test(start_paused = true)]
async fn bad_requests_are_400_at_once() {
    let shop = shop().await;
    for (method, uri, body) in [
        ("POST", "/api/orders", "{"),
        ("POST", "/api/orders", r#"{"product_id":1,"quantity":0}"#),
        ("POST", "/api/payments", r#"{"order_id":"","amount":1}"#),
        ("POST", "/api/payments", r#"{"order_id":"a","amount":-1}"#),
        ("POST", "/api/payments", r#"{"amount":1}"#),
        ("GET", "/api/search", ""),
        ("GET", "/api/search?q=%20", ""),
    ] {
        let answer = send(&shop, method, uri, body).await;
        assert_eq!(answer.status, 400, "{method} {uri} {body}");
        assert!(answer.json["error"].is_string());
        assert!(answer.took.is_zero());
    }
    let huge = " ".repeat(crate::observe::BODY_BYTES_MAX + 1);
    assert_eq!(send(&shop, "POST", "/api/orders", &huge).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn unknown_routes_are_404_and_wrong_methods_405() {
    let shop = shop().await;
    assert_eq!(get(&shop, "/nope").await.status, 404);
    assert_eq!(get(&shop, "/api/users/7").await.status, 404);
    let wrong = send(&shop, "DELETE", "/api/orders", "").await;
    assert_eq!(wrong.status, 405);
    assert_eq!(wrong.headers["allow"], "POST");
    assert!(wrong.json["error"].is_string());
}

#[tokio::test(start_paused = true)]
async fn faults_change_at_run_time_and_end_again() {
    let shop = shop().await;
    let faults =
        r#"{"error_rate":1,"latency":{"fixed_ms":2000,"per_route":{"/health":{"fixed_ms":30}}}}"#;
    let put = send(&shop, "PUT", "/admin/faults", faults).await;
    assert_eq!(put.status, 200);
    assert_eq!(put.json["latency"]["fixed_ms"], 2000);
    for _ in 0..50 {
        let answer = get(&shop, "/api/products").await;
        assert_eq!(answer.status, 500);
        assert!(answer.took >= Duration::from_millis(2002));
    }
    let health = get(&shop, "/health").await;
    assert_eq!((health.status, health.took.as_millis()), (200, 30));

    for refused in [r#"{"error_rate":2}"#, "{", r#"{"eror_rate":0.1}"#] {
        let answer = send(&shop, "PUT", "/admin/faults", refused).await;
        assert_eq!(answer.status, 400, "{refused}");
    }
    let still = get(&shop, "/admin/faults").await.json;
    assert_eq!(still["error_rate"], 1.0, "a refused body changes nothing");

    assert_eq!(send(&shop, "PUT", "/admin/faults", "{}").await.status, 200);
    let answer = get(&shop, "/api/products").await;
    assert!(answer.took <= Duration::from_millis(21));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_503_at_the_write_timeout() {
    let shop = shop().await;
    let faults = r#"{"latency":{"fixed_ms":10000,"per_route":{"/api/slow":{"fixed_ms":10000}}}}"#;
    send(&shop, "PUT", "/admin/faults", faults).await;
    let answer = get(&shop, "/api/slow").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.took, Duration::from_secs(15));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_408_at_the_read_timeout() {
    let shop = shop().await;
    let never = silent_body();
    let request = Request::post("/api/orders").body(never).unwrap();
    let start = Instant::now();
    let response = shop.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 408);
    assert_eq!(start.elapsed(), Duration::from_secs(15));
}

/// A body that never ends and never brings anything.
fn silent_body() -> Body {
    struct Silent;
    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Pending
        }
    }
    Body::new(Silent)
}
