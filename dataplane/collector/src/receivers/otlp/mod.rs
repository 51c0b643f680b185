//! `otlp`: OTLP over gRPC and HTTP. See `README.md`.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | configuration, building |
//! | `grpc.rs` | the three gRPC services on raw bytes |
//! | `http.rs` | `POST /v1/{metrics,traces,logs}` |
//! | `status.rs` | pipeline errors as gRPC and HTTP statuses |
//! | `body.rs` | reading and decompressing bodies with a limit |

mod body;
mod grpc;
mod http;
mod status;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bellwether_net::ServeOptions;
use bellwether_otlp::Signal;
use bytes::Bytes;
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::config::blocks::{GRPC_MESSAGE_MIB_DEFAULT, GrpcServer, HttpServer};
use crate::config::types::Section;
use crate::pipeline::component::BuildFuture;
use crate::pipeline::own_metrics::PerSignal;
use crate::pipeline::{
    Batch, BuildContext, Built, ConsumeError, Outputs, Problems, ReceiverConfig,
};

const GRPC_ENDPOINT: &str = "localhost:4317";
const HTTP_ENDPOINT: &str = "localhost:4318";
/// Clients of a collector are many: more than the default of a page.
const CONNECTIONS_MAX: usize = 10_000;

/// Keys of the receiver.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct OtlpReceiverConfig {
    protocols: Protocols,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Protocols {
    grpc: Section<GrpcServer>,
    http: Section<HttpServer>,
}

impl OtlpReceiverConfig {
    fn grpc(&self) -> Option<&GrpcServer> {
        self.protocols.grpc.0.as_ref().filter(|s| s.enabled)
    }

    fn http(&self) -> Option<&HttpServer> {
        self.protocols.http.0.as_ref().filter(|s| s.enabled)
    }
}

impl ReceiverConfig for OtlpReceiverConfig {
    fn signals(&self) -> &'static [Signal] {
        &Signal::ALL
    }

    fn validate(&self, problems: &mut Problems) {
        if self.grpc().is_none() && self.http().is_none() {
            problems.add("protocols", "at least one protocol is needed: grpc, http");
        }
        if let Some(endpoint) = self.grpc().and_then(|s| s.endpoint.as_deref()) {
            problems.endpoint("protocols::grpc::endpoint", endpoint);
        }
        if let Some(http) = self.http() {
            if let Some(endpoint) = http.endpoint.as_deref() {
                problems.endpoint("protocols::http::endpoint", endpoint);
            }
            if http.max_request_body_size == 0 {
                problems.add("protocols::http::max_request_body_size", "must be positive");
            }
            problems.extend("protocols::http::cors", http.cors.validate());
            for name in http.compression_algorithms.iter().flatten() {
                if !name.is_empty() && !body::ENCODINGS.contains(&name.as_str()) {
                    let known = body::ENCODINGS.join(", ");
                    problems.add(
                        "protocols::http::compression_algorithms",
                        format!("{name:?} does not exist here; there are {known}"),
                    );
                }
            }
            let [metrics, traces, logs] = Signal::ALL.map(|s| http::path_of(http, s));
            if metrics == traces || traces == logs || logs == metrics {
                problems.add(
                    "protocols::http",
                    "two signals have the same path: each url_path must be its own",
                );
            }
        }
    }

    fn build<'a>(&'a self, context: BuildContext<'a>, outputs: Outputs) -> BuildFuture<'a> {
        Box::pin(async move {
            let outputs = Arc::new(outputs);
            let mut servers: Vec<(TcpListener, Router, ServeOptions)> = Vec::new();
            if let Some(config) = self.grpc() {
                let endpoint = config.endpoint.as_deref().unwrap_or(GRPC_ENDPOINT);
                let listener = context
                    .bind("receivers", "protocols::grpc::endpoint", endpoint)
                    .await?;
                let mib = match config.max_recv_msg_size_mib {
                    0 => GRPC_MESSAGE_MIB_DEFAULT,
                    mib => mib,
                };
                let intake = Intake::new(&context, &outputs, "grpc");
                let limit = usize::try_from(mib << 20).unwrap_or(usize::MAX);
                servers.push((
                    listener,
                    grpc::router(&intake, limit),
                    options(Duration::ZERO),
                ));
            }
            if let Some(config) = self.http() {
                let endpoint = config.endpoint.as_deref().unwrap_or(HTTP_ENDPOINT);
                let listener = context
                    .bind("receivers", "protocols::http::endpoint", endpoint)
                    .await?;
                let intake = Intake::new(&context, &outputs, "http");
                let options = options(config.read_header_timeout.0);
                servers.push((listener, http::router(intake, config), options));
            }
            Ok(Built {
                consumer: None,
                runner: Some(Box::new(move |stop| {
                    let servers = servers.into_iter().map(move |(listener, router, options)| {
                        bellwether_net::serve(listener, router, options, stop.clone())
                    });
                    Box::pin(async move {
                        futures_util::future::join_all(servers).await;
                    })
                })),
            })
        })
    }
}

fn options(header_timeout: Duration) -> ServeOptions {
    let mut options = ServeOptions {
        max_connections: CONNECTIONS_MAX,
        ..ServeOptions::default()
    };
    if !header_timeout.is_zero() {
        options.header_timeout = header_timeout;
    }
    options
}

/// What both protocols do with a request: check, count, hand on.
pub(super) struct Intake {
    outputs: Arc<Outputs>,
    accepted: PerSignal,
    refused: PerSignal,
    failed: PerSignal,
}

/// Why a request was not taken.
pub(super) enum Refusal {
    /// It is not a valid request.
    Malformed(String),
    /// A component of the pipeline refused it.
    Pipeline(ConsumeError),
    /// No pipeline takes this signal.
    NoPipeline,
}

impl Intake {
    fn new(context: &BuildContext<'_>, outputs: &Arc<Outputs>, transport: &str) -> Arc<Self> {
        let id = context.id.to_string();
        let labels = [("receiver", id.as_str()), ("transport", transport)];
        let signals: Vec<Signal> = outputs.keys().copied().collect();
        let count = |name: &str, what: &str| {
            let prefix = format!("otelcol_receiver_{name}");
            context.metrics.per_signal(&prefix, what, &signals, &labels)
        };
        Arc::new(Self {
            outputs: Arc::clone(outputs),
            accepted: count("accepted", "successfully pushed into the pipeline"),
            refused: count("refused", "that could not be pushed into the pipeline"),
            failed: count(
                "failed",
                "that failed for another reason than the pipeline's refusal",
            ),
        })
    }

    /// True when a pipeline takes this signal.
    pub(super) fn takes(&self, signal: Signal) -> bool {
        self.outputs.contains_key(&signal)
    }

    /// Takes a protobuf request; returns when the pipeline accepted it.
    pub(super) async fn take(&self, signal: Signal, body: Bytes) -> Result<(), Refusal> {
        let Some(output) = self.outputs.get(&signal) else {
            return Err(Refusal::NoPipeline);
        };
        let batch = Batch::from_protobuf(signal, body)
            .map_err(|error| Refusal::Malformed(error.to_string()))?;
        let items = batch.items();
        if items == 0 {
            return Ok(()); // An empty request is a success, and the pipeline is not called.
        }
        match output.consume(batch).await {
            Ok(()) => {
                self.accepted.add(signal, items);
                Ok(())
            }
            Err(error) => {
                let counter = if error.is_retryable() {
                    &self.refused
                } else {
                    &self.failed
                };
                counter.add(signal, items);
                Err(Refusal::Pipeline(error))
            }
        }
    }
}
