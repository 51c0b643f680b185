//! What the shop measures, as a collector receives it.

use std::time::Duration;

use bellwether_api::OtlpProtocol::{Grpc, HttpProtobuf};

use crate::receiver::Receiver;
use crate::{Api, config, eventually};

const SHOP: &str = "shop-api";

async fn check_counts(protocol: bellwether_api::OtlpProtocol) {
    let receiver = Receiver::start().await;
    let api = Api::start(config(&[], &receiver, protocol)).await;
    for _ in 0..3 {
        assert_eq!(api.get("/health").await, 200);
    }
    assert_eq!(api.get("/secret/path/42").await, 404);
    assert_eq!(api.get("/api/orders").await, 405);
    api.post("/api/orders", "{").await;
    api.get("/api/users").await;
    api.stop().await;

    // Nothing but the export at shutdown can have delivered these.
    let duration = "http.server.request.duration";
    let total = |name: &str, wanted: &[(&str, &str)]| receiver.total(SHOP, name, wanted);
    assert_eq!(total(duration, &[("http.route", "/health")]), 3.0);
    assert_eq!(
        total(
            duration,
            &[
                ("http.route", "unmatched"),
                ("http.response.status_code", "404")
            ]
        ),
        1.0
    );
    assert_eq!(
        total(
            duration,
            &[
                ("http.route", "/api/orders"),
                ("http.request.method", "GET"),
                ("http.response.status_code", "405")
            ]
        ),
        1.0
    );
    assert_eq!(total(duration, &[]), 7.0);
    assert_eq!(total("http_requests_total", &[]), 7.0);
    assert_eq!(
        total(
            "http_requests_total",
            &[
                ("endpoint", "/health"),
                ("method", "GET"),
                ("status", "200")
            ]
        ),
        3.0
    );
    assert_eq!(
        total(
            "http_request_duration_seconds",
            &[("endpoint", "/api/users")]
        ),
        1.0
    );
    assert_eq!(total("http.server.response.body.size", &[]), 7.0);
    assert_eq!(total("http.server.active_requests", &[]), 0.0);
    assert_eq!(total("http_requests_in_flight", &[]), 0.0);
    assert_eq!(total("orders_total", &[("status", "invalid")]), 1.0);
    assert_eq!(total("cache_hits_total", &[]), 1.0);
    for point in receiver.points(SHOP, duration) {
        assert!(
            !point.attributes.values().any(|value| value.contains("42")),
            "the path became a label: {point:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_over_http_and_shutdown_flushes_them() {
    check_counts(HttpProtobuf).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_exact_over_grpc_and_shutdown_flushes_them() {
    check_counts(Grpc).await;
}

/// A machine with one core has a runtime with one worker; the exporter must
/// not wait for itself there.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn grpc_export_works_on_a_single_worker() {
    let receiver = Receiver::start().await;
    let api = Api::start(config(&[], &receiver, Grpc)).await;
    api.get("/health").await;
    api.stop().await;
    assert_eq!(receiver.total(SHOP, "http_requests_total", &[]), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histograms_have_the_conventional_units_and_buckets() {
    let receiver = Receiver::start().await;
    let api = Api::start(config(&[], &receiver, HttpProtobuf)).await;
    api.get("/health").await;
    api.stop().await;
    let point = &receiver.points(SHOP, "http.server.request.duration")[0];
    assert_eq!(point.unit, "s");
    assert_eq!(point.bounds.len(), 14);
    assert_eq!((point.bounds[0], point.bounds[13]), (0.005, 10.0));
    assert!(point.value < 1.0, "seconds, not milliseconds");
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/health"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(point.attributes[key], value);
    }
    let size = &receiver.points(SHOP, "http.server.request.body.size")[0];
    assert_eq!(size.unit, "By");
    assert!(receiver.points(SHOP, "http.server.duration").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_older_conventions_come_beside_the_stable_ones_when_asked_for() {
    let receiver = Receiver::start().await;
    let env = [("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")];
    let api = Api::start(config(&env, &receiver, HttpProtobuf)).await;
    api.post("/api/orders", "{").await;
    api.stop().await;
    let old = &receiver.points(SHOP, "http.server.duration")[0];
    assert_eq!((old.unit.as_str(), old.count), ("ms", 1));
    assert_eq!(old.attributes["http.status_code"], "400");
    assert_eq!(old.attributes["http.method"], "POST");
    let request = &receiver.points(SHOP, "http.server.request.size")[0];
    assert_eq!(request.value, 1.0);
    assert_eq!(receiver.total(SHOP, "http.server.response.size", &[]), 1.0);
    assert_eq!(
        receiver.total(SHOP, "http.server.request.duration", &[]),
        1.0
    );
}

/// Without this, `rate()` misses the first increment of every counter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_exist_with_zero_before_the_first_request() {
    let receiver = Receiver::start().await;
    let mut config = config(&[], &receiver, HttpProtobuf);
    config.telemetry.early_exports = vec![Duration::from_millis(50)];
    let api = Api::start(config).await;
    eventually("the early export", async || {
        !receiver.points(SHOP, "orders_total").is_empty()
    })
    .await;
    for (name, series) in [
        ("orders_total", 3),
        ("orders_value_total", 1),
        ("cache_hits_total", 2),
        ("payments_total", 5),
        ("searches_total", 4),
        ("reports_total", 2),
        ("circuit_breaker_transitions_total", 3),
    ] {
        let points = receiver.points(SHOP, name);
        assert_eq!(points.len(), series, "{name}");
        assert!(points.iter().all(|point| point.value == 0.0), "{name}");
    }
    let requests = receiver.points(SHOP, "http_requests_total");
    assert!(requests.len() > 15 && requests.iter().all(|point| point.value == 0.0));
    let closed = [("state", "closed"), ("dependency", "payment-provider")];
    assert_eq!(receiver.total(SHOP, "circuit_breaker_state", &closed), 1.0);
    assert_eq!(receiver.total(SHOP, "circuit_breaker_state", &[]), 1.0);
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_is_counted_once_and_is_no_longer_active() {
    let receiver = Receiver::start().await;
    let api = Api::start(config(&[], &receiver, HttpProtobuf)).await;
    let left = api
        .http
        .get(format!("{}/api/slow", api.url))
        .timeout(Duration::from_millis(200))
        .send()
        .await;
    assert!(left.unwrap_err().is_timeout());
    api.stop().await;
    let gone = [("endpoint", "/api/slow"), ("status", "499")];
    assert_eq!(receiver.total(SHOP, "http_requests_total", &gone), 1.0);
    let error = [("error.type", "client_disconnected")];
    assert_eq!(
        receiver.total(SHOP, "http.server.request.duration", &error),
        1.0
    );
    assert_eq!(
        receiver.total(SHOP, "http.server.active_requests", &[]),
        0.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_is_answered_and_counted_at_shutdown() {
    let receiver = Receiver::start().await;
    let mut config = config(&[], &receiver, HttpProtobuf);
    config.telemetry.metric_interval = Duration::from_millis(100);
    let api = Api::start(config).await;
    let request = api.http.get(format!("{}/api/slow", api.url)).send();
    let pending = tokio::spawn(request);
    eventually("the request is under way", async || {
        receiver.total(SHOP, "http.server.active_requests", &[]) == 1.0
    })
    .await;
    api.stop().await;
    assert_eq!(pending.await.unwrap().unwrap().status(), 200);
    let slow = [("endpoint", "/api/slow")];
    assert_eq!(receiver.total(SHOP, "http_requests_total", &slow), 1.0);
}
