//! Exporters: where data goes out. `sending/` holds the queue and retries that network exporters share.

mod debug;
mod nop;
mod otlp;
mod otlphttp;
pub(crate) mod prometheus;
mod sending;

use bellwether_otlp::{Signal, json};

use crate::pipeline::component::factory;
use crate::pipeline::{ExporterConfig, Factory};

/// Every exporter type.
pub(crate) const FACTORIES: &[Factory<dyn ExporterConfig>] = &[
    factory!("debug", &[], debug::DebugConfig),
    factory!(
        "logging",
        &[],
        debug::LoggingConfig,
        Some("the official collector no longer has the logging exporter: use debug")
    ),
    factory!("nop", &[], nop::NopConfig),
    factory!("otlp_grpc", &["otlp"], otlp::OtlpGrpcConfig),
    factory!("otlp_http", &["otlphttp"], otlphttp::OtlpHttpConfig),
    factory!("prometheus", &[], prometheus::PrometheusConfig),
];

/// Logs what an export response refused. The data must not be sent again.
fn partial_success(exporter: &str, signal: Signal, response: &[u8]) {
    if response.is_empty() {
        return;
    }
    if let Ok(text) = json::to_json(signal.response(), response)
        && text.contains("errorMessage")
    {
        tracing::warn!(exporter, %signal, response = %text, "the destination accepted only a part of the data");
    }
}

/// An error with its causes: "transport error" alone helps nobody.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
