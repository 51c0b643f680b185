//! Exact counting: what the load generator sent is what the shop's metrics say.

use std::time::Duration;

use bellwether_api::OtlpProtocol::HttpProtobuf;
use bellwether_loadgen::{LoadConfig, Mix, Operation};
use tokio_util::sync::CancellationToken;

use crate::receiver::Receiver;
use crate::{Api, config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_counts_exactly_what_the_load_generator_sent() {
    let receiver = Receiver::start().await;
    let api = Api::start(config(&[], &receiver, HttpProtobuf)).await;
    let operations = [
        (Operation::Health, 40),
        (Operation::Users, 10),
        (Operation::Products, 30),
        (Operation::Orders, 30),
        (Operation::Search, 10),
        (Operation::Payments, 10),
    ];
    let load = LoadConfig {
        rate: 150.0,
        duration: Some(Duration::from_secs(2)),
        mix: Mix::custom(&operations).unwrap(),
        seed: Some(4),
        ..LoadConfig::new(&api.url)
    };
    let report = bellwether_loadgen::run(load, |_| {}, CancellationToken::new())
        .await
        .unwrap();
    api.stop().await;
    assert_eq!((report.scheduled, report.transport_errors), (300, 0));
    for route in &report.routes {
        let (method, endpoint) = route.route.split_once(' ').unwrap();
        for (status, count) in &route.statuses {
            // The generator's bodies and queries are valid.
            assert_ne!(*status, 400, "{}", route.route);
            let status = status.to_string();
            let by_hand = [
                ("method", method),
                ("endpoint", endpoint),
                ("status", status.as_str()),
            ];
            let counted = receiver.total("shop-api", "http_requests_total", &by_hand);
            assert_eq!(counted, *count as f64, "{} {status}", route.route);
            let conventional = [
                ("http.request.method", method),
                ("http.route", endpoint),
                ("http.response.status_code", status.as_str()),
            ];
            let duration = "http.server.request.duration";
            let counted = receiver.total("shop-api", duration, &conventional);
            assert_eq!(counted, *count as f64, "{} {status}", route.route);
        }
    }
    let orders = report
        .routes
        .iter()
        .find(|route| route.route == "POST /api/orders");
    let created = orders.unwrap().statuses[&201];
    let counted = receiver.total("shop-api", "orders_total", &[("status", "created")]);
    assert_eq!(counted, created as f64);
}
