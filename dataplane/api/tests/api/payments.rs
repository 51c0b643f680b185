//! The shop, its circuit breaker and its payment provider.

use std::time::Duration;

use bellwether_api::OtlpProtocol::HttpProtobuf;
use bellwether_api::{PaymentProvider, ProviderConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::receiver::Receiver;
use crate::{Api, config, eventually};

const SHOP: &str = "shop-api";
const PAYMENT: &str = r#"{"order_id":"ord-1","amount":12.5}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_trips_the_breaker_and_its_end_closes_it() {
    let receiver = Receiver::start().await;
    let mut config = config(&[], &receiver, HttpProtobuf);
    config.breaker.failures_to_open = 3;
    config.breaker.open_for = Duration::from_millis(300);
    let api = Api::start(config).await;
    assert_eq!(
        api.faults(r#"{"dependency_outage":{"active":true}}"#).await,
        200
    );
    for _ in 0..3 {
        assert_eq!(api.post("/api/payments", PAYMENT).await.status(), 502);
    }
    let refused = api.post("/api/payments", PAYMENT).await;
    assert_eq!(refused.status(), 503);
    assert_eq!(refused.headers()["retry-after"], "1");

    assert_eq!(api.faults("{}").await, 200);
    eventually(
        "two approved payments in a row close the breaker",
        async || {
            api.post("/api/payments", PAYMENT).await.status() == 200
                && api.post("/api/payments", PAYMENT).await.status() == 200
        },
    )
    .await;
    api.stop().await;

    let total = |name: &str, wanted: &[(&str, &str)]| receiver.total(SHOP, name, wanted);
    let transitions = "circuit_breaker_transitions_total";
    assert!(total(transitions, &[("state", "open")]) >= 1.0);
    assert!(total(transitions, &[("state", "half_open")]) >= 1.0);
    assert!(total(transitions, &[("state", "closed")]) >= 1.0);
    assert!(total("payments_total", &[("result", "approved")]) >= 2.0);
    assert!(total("payments_total", &[("result", "error")]) >= 3.0);
    assert!(total("payments_total", &[("result", "rejected")]) >= 1.0);
    // The failures happened on the other side of the socket.
    let refused = [("endpoint", "/charge"), ("status", "503")];
    assert!(receiver.total("payment-provider", "http_requests_total", &refused) >= 3.0);
    let client = [("http.response.status_code", "503"), ("error.type", "503")];
    assert!(total("http.client.request.duration", &client) >= 3.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_is_exported_as_a_state() {
    let receiver = Receiver::start().await;
    let mut config = config(&[("DEPENDENCY_OUTAGE", "true")], &receiver, HttpProtobuf);
    config.breaker.failures_to_open = 1;
    let api = Api::start(config).await;
    assert_eq!(api.post("/api/payments", PAYMENT).await.status(), 502);
    api.stop().await;
    let state = |state| receiver.total(SHOP, "circuit_breaker_state", &[("state", state)]);
    assert_eq!(
        (state("closed"), state("open"), state("half_open")),
        (0.0, 1.0, 0.0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_mostly_succeed_within_their_latency() {
    let receiver = Receiver::start().await;
    let api = Api::start(config(&[], &receiver, HttpProtobuf)).await;
    let mut requests = Vec::new();
    for _ in 0..100 {
        let request = api
            .http
            .post(format!("{}/api/payments", api.url))
            .body(PAYMENT);
        requests.push(tokio::spawn(async move {
            request.send().await.unwrap().status().as_u16()
        }));
    }
    let mut approved = 0;
    for request in requests {
        let status = request.await.unwrap();
        assert!(matches!(status, 200 | 402 | 502), "{status}");
        approved += u32::from(status == 200);
    }
    assert!((85..=100).contains(&approved), "{approved}");
    api.stop().await;
    let route = "/api/payments";
    let sum: f64 = receiver
        .points(SHOP, "http.server.request.duration")
        .iter()
        .filter(|point| point.attributes["http.route"] == route)
        .map(|point| point.value)
        .sum();
    // 100-400 ms each; the upper bound leaves room for a busy machine.
    assert!((10.0..80.0).contains(&sum), "{sum} s for 100 payments");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_provider_is_502() {
    let receiver = Receiver::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let mut config = config(&[], &receiver, HttpProtobuf);
    config.payment_provider = PaymentProvider::Url(url);
    let api = Api::start(config).await;
    let response = api.post("/api/payments", PAYMENT).await;
    assert_eq!(response.status(), 502);
    assert!(response.text().await.unwrap().contains("cannot be reached"));
    api.stop().await;
    let error = [("error.type", "connection_error")];
    assert_eq!(
        receiver.total(SHOP, "http.client.request.duration", &error),
        1.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_runs_on_its_own_with_its_own_faults() {
    let receiver = Receiver::start().await;
    let shop = config(&[("ENV", "qa")], &receiver, HttpProtobuf);
    let provider: ProviderConfig = shop.provider_config();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(bellwether_api::run_payment_provider(
        provider,
        listener,
        shutdown.clone(),
    ));
    let mut shop = shop;
    shop.payment_provider = PaymentProvider::Url(url.clone());
    let api = Api::start(shop).await;
    let put = api.http.put(format!("{url}/admin/faults"));
    let put = put.body(r#"{"dependency_outage":{"active":true}}"#).send();
    assert_eq!(put.await.unwrap().status(), 200);
    assert_eq!(api.post("/api/payments", PAYMENT).await.status(), 502);
    let bad = api.http.post(format!("{url}/charge")).body("{}").send();
    assert_eq!(bad.await.unwrap().status(), 503, "out means out");
    api.stop().await;
    shutdown.cancel();
    task.await.unwrap().unwrap();
    let resource = receiver.resource("payment-provider");
    assert_eq!(resource["deployment.environment.name"], "qa");
}
