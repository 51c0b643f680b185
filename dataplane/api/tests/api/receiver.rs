//! An OTLP receiver for tests: HTTP/protobuf and gRPC, keeps every request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use bellwether_api::OtlpProtocol;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};

const GZIP: tonic::codec::CompressionEncoding = tonic::codec::CompressionEncoding::Gzip;

pub type Attributes = BTreeMap<String, String>;

#[derive(Default)]
struct Received {
    metrics: Vec<ExportMetricsServiceRequest>,
    traces: Vec<ExportTraceServiceRequest>,
    logs: Vec<ExportLogsServiceRequest>,
}

#[derive(Clone, Default)]
struct Store(Arc<Mutex<Received>>);

pub struct Receiver {
    store: Store,
    http: String,
    grpc: String,
}

/// A span with the service that sent it.
pub struct SentSpan {
    pub service: String,
    pub span: Span,
}

/// One data point, of any kind.
#[derive(Debug, Clone)]
pub struct Point {
    pub attributes: Attributes,
    /// The value of a number; the sum of a histogram.
    pub value: f64,
    /// The count of a histogram; 0 for numbers.
    pub count: u64,
    pub bounds: Vec<f64>,
    pub unit: String,
    pub exponential: bool,
}

impl Receiver {
    pub async fn start() -> Self {
        let store = Store::default();
        let app = Router::new()
            .route("/v1/metrics", post(http_metrics))
            .route("/v1/traces", post(http_traces))
            .route("/v1/logs", post(http_logs))
            .layer(tower_http::decompression::RequestDecompressionLayer::new())
            .with_state(store.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(bellwether_net::serve(
            listener,
            app,
            bellwether_net::ServeOptions::default(),
            tokio_util::sync::CancellationToken::new(),
        ));
        let grpc_routes = tonic::service::Routes::new(
            MetricsServiceServer::new(store.clone()).accept_compressed(GZIP),
        )
        .add_service(TraceServiceServer::new(store.clone()).accept_compressed(GZIP))
        .into_axum_router();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let grpc = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(bellwether_net::serve(
            listener,
            grpc_routes,
            bellwether_net::ServeOptions::default(),
            tokio_util::sync::CancellationToken::new(),
        ));
        Self { store, http, grpc }
    }

    pub fn url(&self, protocol: OtlpProtocol) -> String {
        match protocol {
            OtlpProtocol::HttpProtobuf => self.http.clone(),
            OtlpProtocol::Grpc => self.grpc.clone(),
        }
    }

    pub fn is_empty(&self) -> bool {
        let received = self.store.0.lock().unwrap();
        received.metrics.is_empty() && received.traces.is_empty() && received.logs.is_empty()
    }

    /// The resource attributes under which `service` sent metrics.
    pub fn resource(&self, service: &str) -> Attributes {
        let received = self.store.0.lock().unwrap();
        received
            .metrics
            .iter()
            .flat_map(|request| &request.resource_metrics)
            .map(|metrics| attributes(&metrics.resource.as_ref().unwrap().attributes))
            .find(|resource| resource["service.name"] == service)
            .unwrap()
    }

    /// The newest points of the metric `name` of `service`.
    pub fn points(&self, service: &str, name: &str) -> Vec<Point> {
        let received = self.store.0.lock().unwrap();
        let newest = received
            .metrics
            .iter()
            .rev()
            .flat_map(|request| &request.resource_metrics)
            .filter(|metrics| {
                let resource = attributes(&metrics.resource.as_ref().unwrap().attributes);
                resource["service.name"] == service
            })
            .flat_map(|metrics| &metrics.scope_metrics)
            .flat_map(|scope| &scope.metrics)
            .find(|metric| metric.name == name);
        let Some(metric) = newest else {
            return Vec::new();
        };
        let mut points = data_points(metric.data.as_ref().unwrap());
        for point in &mut points {
            point.unit.clone_from(&metric.unit);
        }
        points
    }

    /// Sum of counts (histogram) or values (number) of the points of `name`
    /// that have all of `wanted`.
    pub fn total(&self, service: &str, name: &str, wanted: &[(&str, &str)]) -> f64 {
        self.points(service, name)
            .iter()
            .filter(|point| {
                wanted
                    .iter()
                    .all(|(key, value)| point.attributes.get(*key).is_some_and(|v| v == value))
            })
            .map(|point| {
                if point.bounds.is_empty() && !point.exponential {
                    point.value
                } else {
                    point.count as f64
                }
            })
            .sum()
    }

    pub fn spans(&self) -> Vec<SentSpan> {
        let received = self.store.0.lock().unwrap();
        let mut spans = Vec::new();
        for resource in received.traces.iter().flat_map(|r| &r.resource_spans) {
            let service =
                attributes(&resource.resource.as_ref().unwrap().attributes)["service.name"].clone();
            for span in resource.scope_spans.iter().flat_map(|scope| &scope.spans) {
                spans.push(SentSpan {
                    service: service.clone(),
                    span: span.clone(),
                });
            }
        }
        spans
    }

    pub fn logs(&self) -> Vec<LogRecord> {
        let received = self.store.0.lock().unwrap();
        received
            .logs
            .iter()
            .flat_map(|request| &request.resource_logs)
            .flat_map(|resource| &resource.scope_logs)
            .flat_map(|scope| scope.log_records.clone())
            .collect()
    }
}

fn data_points(data: &Data) -> Vec<Point> {
    let number = |points: &[opentelemetry_proto::tonic::metrics::v1::NumberDataPoint]| {
        points
            .iter()
            .map(|point| Point {
                attributes: attributes(&point.attributes),
                value: match point.value {
                    Some(Number::AsDouble(value)) => value,
                    Some(Number::AsInt(value)) => value as f64,
                    None => f64::NAN,
                },
                count: 0,
                bounds: Vec::new(),
                unit: String::new(),
                exponential: false,
            })
            .collect()
    };
    match data {
        Data::Sum(sum) => number(&sum.data_points),
        Data::Gauge(gauge) => number(&gauge.data_points),
        Data::Histogram(histogram) => histogram
            .data_points
            .iter()
            .map(|point| Point {
                attributes: attributes(&point.attributes),
                value: point.sum.unwrap(),
                count: point.count,
                bounds: point.explicit_bounds.clone(),
                unit: String::new(),
                exponential: false,
            })
            .collect(),
        Data::ExponentialHistogram(histogram) => histogram
            .data_points
            .iter()
            .map(|point| Point {
                attributes: attributes(&point.attributes),
                value: point.sum.unwrap(),
                count: point.count,
                bounds: Vec::new(),
                unit: String::new(),
                exponential: true,
            })
            .collect(),
        Data::Summary(_) => Vec::new(),
    }
}

pub fn attributes(pairs: &[KeyValue]) -> Attributes {
    pairs
        .iter()
        .map(|pair| (pair.key.clone(), text(pair.value.as_ref())))
        .collect()
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

async fn http_metrics(State(store): State<Store>, body: Bytes) -> Vec<u8> {
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    store.0.lock().unwrap().metrics.push(request);
    Vec::new()
}

async fn http_traces(State(store): State<Store>, body: Bytes) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    store.0.lock().unwrap().traces.push(request);
    Vec::new()
}

async fn http_logs(State(store): State<Store>, body: Bytes) -> Vec<u8> {
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    store.0.lock().unwrap().logs.push(request);
    Vec::new()
}

#[tonic::async_trait]
impl MetricsService for Store {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.0.lock().unwrap().metrics.push(request.into_inner());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Store {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap().traces.push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
