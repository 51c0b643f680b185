//! A running collector, and requests to it.
#![allow(dead_code, clippy::unwrap_used, missing_docs)]

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bellwether_collector::{Collector, CollectorConfig, CollectorError};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

pub(crate) struct Running {
    pub(crate) addresses: Vec<(String, SocketAddr)>,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), CollectorError>>,
}

impl Running {
    pub(crate) async fn start(yaml: &str) -> Self {
        let config =
            CollectorConfig::from_yaml("test.yaml", yaml).unwrap_or_else(|e| panic!("{e}"));
        let collector = Collector::build(&config).await.unwrap();
        let addresses = collector
            .listen_addresses()
            .iter()
            .map(|a| (a.option.clone(), a.address))
            .collect();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(collector.run(shutdown.clone()));
        Self {
            addresses,
            shutdown,
            task,
        }
    }

    /// The address whose key contains `part`.
    pub(crate) fn address(&self, part: &str) -> SocketAddr {
        self.addresses
            .iter()
            .find(|(option, _)| option.contains(part))
            .unwrap_or_else(|| panic!("no address {part} in {:?}", self.addresses))
            .1
    }

    pub(crate) fn url(&self, part: &str, path: &str) -> String {
        format!("http://{}{path}", self.address(part))
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(30), self.task)
            .await
            .expect("the collector stops in time")
            .unwrap()
            .unwrap();
    }
}

pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) async fn get(url: &str) -> String {
    client()
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap()
}

/// Polls until `check` gives something.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    check: impl Fn() -> F,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "timed out: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Polls a page until it has a line that starts with `line`; returns the page.
pub(crate) async fn page_with(url: &str, line: &str) -> String {
    let last = std::sync::Mutex::new(String::new());
    let start = Instant::now();
    loop {
        let text = get(url).await;
        if text.lines().any(|l| l.starts_with(line)) {
            return text;
        }
        last.lock().unwrap().clone_from(&text);
        assert!(start.elapsed() < DEADLINE, "no line {line:?} in\n{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn kv(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.into())),
        }),
        ..KeyValue::default()
    }
}

pub(crate) fn now_ns() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64
}

pub(crate) fn point(value: f64, attributes: Vec<KeyValue>) -> NumberDataPoint {
    NumberDataPoint {
        attributes,
        start_time_unix_nano: now_ns() - 1_000_000_000,
        time_unix_nano: now_ns(),
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

pub(crate) fn counter(name: &str, unit: &str, points: Vec<NumberDataPoint>) -> Metric {
    Metric {
        name: name.into(),
        description: format!("Counts {name}."),
        unit: unit.into(),
        data: Some(metric::Data::Sum(Sum {
            data_points: points,
            aggregation_temporality: 2,
            is_monotonic: true,
        })),
        ..Metric::default()
    }
}

pub(crate) fn gauge(name: &str, points: Vec<NumberDataPoint>) -> Metric {
    Metric {
        name: name.into(),
        data: Some(metric::Data::Gauge(Gauge {
            data_points: points,
        })),
        ..Metric::default()
    }
}

pub(crate) fn histogram(name: &str, bounds: &[f64], counts: &[u64], sum: f64) -> Metric {
    Metric {
        name: name.into(),
        unit: "s".into(),
        data: Some(metric::Data::Histogram(Histogram {
            data_points: vec![HistogramDataPoint {
                time_unix_nano: now_ns(),
                count: counts.iter().sum(),
                sum: Some(sum),
                bucket_counts: counts.to_vec(),
                explicit_bounds: bounds.to_vec(),
                ..HistogramDataPoint::default()
            }],
            aggregation_temporality: 2,
        })),
        ..Metric::default()
    }
}

pub(crate) fn request(metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: vec![
                    kv("service.name", "shop"),
                    kv("service.namespace", "demo"),
                    kv("service.instance.id", "i-1"),
                    kv("deployment.environment.name", "prod"),
                ],
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: "lib".into(),
                    version: "1.0".into(),
                    ..InstrumentationScope::default()
                }),
                metrics,
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    }
}
