//! Settings that decide what is sent at all, and starts that must fail.

use std::time::{Duration, Instant};

use bellwether_api::OtlpProtocol::{Grpc, HttpProtobuf};
use bellwether_api::{Faults, OtlpProtocol, PaymentProvider};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::receiver::Receiver;
use crate::{Api, config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_resource_says_who_sends() {
    let receiver = Receiver::start().await;
    let env = [
        ("ENV", "prod"),
        ("DATA_PLANE_ID", "plane-1"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "team=check%2Cout,service.version=2.5",
        ),
    ];
    let api = Api::start(config(&env, &receiver, HttpProtobuf)).await;
    api.stop().await;
    let resource = receiver.resource("shop-api");
    assert_eq!(resource["deployment.environment.name"], "prod");
    assert_eq!(resource["data_plane_id"], "plane-1");
    assert_eq!(resource["service.version"], "2.5");
    assert_eq!(resource["team"], "check,out");
    assert_eq!(resource["service.instance.id"].len(), 36);
    assert_eq!(resource["telemetry.sdk.language"], "rust");
    let provider = receiver.resource("payment-provider");
    assert_ne!(
        provider["service.instance.id"],
        resource["service.instance.id"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_when_told_so() {
    for env in [
        &[("OTEL_SDK_DISABLED", "true")][..],
        &[
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ][..],
    ] {
        let receiver = Receiver::start().await;
        let api = Api::start(config(env, &receiver, HttpProtobuf)).await;
        assert_eq!(api.get("/health").await, 200);
        api.stop().await;
        assert!(receiver.is_empty(), "{env:?}");
    }
}

async fn check_gzip(protocol: OtlpProtocol) {
    let receiver = Receiver::start().await;
    let env = [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "base2_exponential_bucket_histogram",
        ),
    ];
    let api = Api::start(config(&env, &receiver, protocol)).await;
    api.get("/health").await;
    api.stop().await;
    let points = receiver.points("shop-api", "http.server.request.duration");
    assert!(points[0].exponential);
    assert_eq!(points[0].count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_and_exponential_histograms_arrive() {
    check_gzip(HttpProtobuf).await;
    check_gzip(Grpc).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_collector_does_not_hold_up_the_end() {
    let receiver = Receiver::start().await;
    let mut config = config(&[], &receiver, HttpProtobuf);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = closed.local_addr().unwrap().to_string();
    drop(closed);
    config.telemetry.set_otlp(&url, HttpProtobuf);
    let api = Api::start(config).await;
    assert_eq!(api.get("/health").await, 200);
    let start = Instant::now();
    api.stop().await;
    // Three retries take about a second each for provider and shop; the hard
    // limit is the flush timeout of both.
    assert!(start.elapsed() < Duration::from_secs(21));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_cannot_work_stop_the_start() {
    let receiver = Receiver::start().await;
    let check = async |change: &dyn Fn(&mut bellwether_api::ApiConfig), expected: &str| {
        let mut config = config(&[], &receiver, HttpProtobuf);
        config.name = "api-prod".to_owned();
        change(&mut config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let run = bellwether_api::run(config, listener, CancellationToken::new());
        let error = run.await.unwrap_err().to_string();
        assert!(
            error.starts_with("api-prod: ") && error.contains(expected),
            "{error}"
        );
    };
    check(
        &|config| config.payment_provider = PaymentProvider::Url("pay".to_owned()),
        "payment provider URL \"pay",
    )
    .await;
    check(
        &|config| {
            config.faults = Faults {
                error_rate: 3.0,
                ..Faults::default()
            };
        },
        "error_rate is 3",
    )
    .await;
    check(
        &|config| config.telemetry.metrics.endpoint = "http://exa mple/".to_owned(),
        "OTLP exporter for http://exa mple/",
    )
    .await;
}
