//! Where and how telemetry is sent, and how the `OTEL_*` variables say it.
//!
//! The opentelemetry crates read some of these variables from the process
//! environment themselves and ignore others. Here all of them are read once,
//! through [`Env`], and given to the crates as explicit values, which win over
//! whatever the crates would read.
//!
//! By the specification an unknown value of an enumeration is ignored with a
//! warning, so that a typo there never stops a service; a number that is not a
//! number is an error.

use std::time::Duration;

use opentelemetry_sdk::metrics::Temporality;

use crate::config::ConfigError;
use crate::env::{Env, key_value_list};

/// Where one signal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExporterKind {
    /// To an OTLP receiver.
    Otlp,
    /// To standard output, one JSON object per line.
    Console,
    /// Nowhere.
    None,
}

/// The OTLP transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// `http/protobuf`, usually port 4318.
    HttpProtobuf,
    /// `grpc`, usually port 4317.
    Grpc,
}

/// The telemetry signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Metrics.
    Metrics,
    /// Traces.
    Traces,
    /// Logs.
    Logs,
}

impl Signal {
    const ALL: [Self; 3] = [Self::Metrics, Self::Traces, Self::Logs];

    fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }
}

/// How one signal is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalConfig {
    /// Where it goes.
    pub exporter: ExporterKind,
    /// The OTLP transport.
    pub protocol: OtlpProtocol,
    /// The full URL for HTTP, path included; the base URL for gRPC.
    pub endpoint: String,
    /// Headers or gRPC metadata to add. Values may be secrets.
    pub headers: Vec<(String, String)>,
    /// Whether requests are compressed with gzip.
    pub gzip: bool,
    /// Limit on one export.
    pub timeout: Duration,
}

/// Batching of spans or log records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchSettings {
    /// Longest wait before a batch is sent.
    pub schedule_delay: Duration,
    /// Items kept; further ones are dropped.
    pub queue_max: usize,
    /// Items in one batch.
    pub batch_max: usize,
}

/// Which traces are recorded (`OTEL_TRACES_SAMPLER`).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplerConfig {
    /// Whether a parent's decision is followed.
    pub parent_based: bool,
    /// Share of (root) traces that are recorded, 0 to 1.
    pub ratio: f64,
}

/// A header format that carries context between services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagator {
    /// W3C Trace Context (`traceparent`, `tracestate`).
    TraceContext,
    /// W3C Baggage.
    Baggage,
}

/// Where and how all telemetry of one service is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct TelemetryConfig {
    /// True sends nothing at all; context is still propagated.
    pub disabled: bool,
    /// Metrics.
    pub metrics: SignalConfig,
    /// Traces.
    pub traces: SignalConfig,
    /// Logs: one record per failed request. Off unless asked for, because a
    /// collector without a logs pipeline refuses them.
    pub logs: SignalConfig,
    /// Time between two exports of metrics.
    pub metric_interval: Duration,
    /// Extra exports of metrics this long after the start, so that a dashboard
    /// does not wait for the first interval to pass.
    pub early_exports: Vec<Duration>,
    /// Cumulative, delta or low memory.
    pub temporality: Temporality,
    /// Histograms as base-2 exponential ones instead of explicit buckets.
    pub exponential_histograms: bool,
    /// Which traces are recorded.
    pub sampler: SamplerConfig,
    /// Batching of spans.
    pub span_batch: BatchSettings,
    /// Batching of log records.
    pub log_batch: BatchSettings,
    /// Header formats, in order.
    pub propagators: Vec<Propagator>,
    /// Whether the HTTP metrics of the older conventions are recorded as well.
    pub old_http_semconv: bool,
    /// Limit on the last flush of each signal at shutdown.
    pub flush_timeout: Duration,
}

impl TelemetryConfig {
    /// Defaults overlaid with the `OTEL_*` variables of `env`.
    ///
    /// `OTEL_ENDPOINT` stands in where `OTEL_EXPORTER_OTLP_ENDPOINT` is not
    /// set. An endpoint without a scheme gets `http://`. Differences from the
    /// specification's defaults: metrics are exported every 10 s instead of
    /// every minute, logs are off.
    ///
    /// # Errors
    /// The first variable that is not the number it should be.
    pub fn from_env(env: &Env) -> Result<Self, ConfigError> {
        warn_about_unsupported(env);
        let interval_ms: Option<u64> = env.parse("OTEL_METRIC_EXPORT_INTERVAL", MILLISECONDS)?;
        Ok(Self {
            disabled: env.flag("OTEL_SDK_DISABLED"),
            metrics: signal_from_env(env, Signal::Metrics)?,
            traces: signal_from_env(env, Signal::Traces)?,
            logs: signal_from_env(env, Signal::Logs)?,
            metric_interval: Duration::from_millis(interval_ms.unwrap_or(10_000).max(100)),
            early_exports: [1, 2, 4].map(Duration::from_secs).to_vec(),
            temporality: temporality(env),
            exponential_histograms: exponential_histograms(env),
            sampler: sampler(env)?,
            span_batch: batch(
                env,
                [
                    "OTEL_BSP_SCHEDULE_DELAY",
                    "OTEL_BSP_MAX_QUEUE_SIZE",
                    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                ],
                5000,
            )?,
            log_batch: batch(
                env,
                [
                    "OTEL_BLRP_SCHEDULE_DELAY",
                    "OTEL_BLRP_MAX_QUEUE_SIZE",
                    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
                ],
                1000,
            )?,
            propagators: propagators(env),
            old_http_semconv: env
                .get("OTEL_SEMCONV_STABILITY_OPT_IN")
                .is_some_and(|list| list.split(',').any(|item| item.trim() == "http/dup")),
            flush_timeout: Duration::from_secs(10),
        })
    }

    /// Sends all signals to the receiver at `base` by `protocol`. For HTTP the
    /// signal's path is appended. Exporter kinds, headers and the rest stay.
    pub fn set_otlp(&mut self, base: &str, protocol: OtlpProtocol) {
        for signal in Signal::ALL {
            let config = self.signal_mut(signal);
            config.endpoint = endpoint_of(base, protocol, signal);
            config.protocol = protocol;
        }
    }

    fn signal_mut(&mut self, signal: Signal) -> &mut SignalConfig {
        match signal {
            Signal::Metrics => &mut self.metrics,
            Signal::Traces => &mut self.traces,
            Signal::Logs => &mut self.logs,
        }
    }
}

const MILLISECONDS: &str = "a number of milliseconds";

/// The URL of `signal` below the base URL of a receiver.
fn endpoint_of(base: &str, protocol: OtlpProtocol, signal: Signal) -> String {
    let base = with_scheme(base);
    match protocol {
        OtlpProtocol::Grpc => base,
        OtlpProtocol::HttpProtobuf => {
            format!("{}{}", base.trim_end_matches('/'), signal.path())
        }
    }
}

fn with_scheme(url: &str) -> String {
    if url.contains("://") {
        url.to_owned()
    } else {
        format!("http://{url}")
    }
}

/// The names of one signal's variables; the second of a pair is the general
/// one that applies when the first is not set.
struct Names {
    exporter: &'static str,
    protocol: [&'static str; 2],
    endpoint: &'static str,
    headers: [&'static str; 2],
    compression: [&'static str; 2],
    timeout: [&'static str; 2],
}

macro_rules! names {
    ($signal:literal) => {
        Names {
            exporter: concat!("OTEL_", $signal, "_EXPORTER"),
            protocol: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_PROTOCOL"),
                "OTEL_EXPORTER_OTLP_PROTOCOL",
            ],
            endpoint: concat!("OTEL_EXPORTER_OTLP_", $signal, "_ENDPOINT"),
            headers: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_HEADERS"),
                "OTEL_EXPORTER_OTLP_HEADERS",
            ],
            compression: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_COMPRESSION"),
                "OTEL_EXPORTER_OTLP_COMPRESSION",
            ],
            timeout: [
                concat!("OTEL_EXPORTER_OTLP_", $signal, "_TIMEOUT"),
                "OTEL_EXPORTER_OTLP_TIMEOUT",
            ],
        }
    };
}

fn signal_from_env(env: &Env, signal: Signal) -> Result<SignalConfig, ConfigError> {
    let (names, default_exporter) = match signal {
        Signal::Metrics => (names!("METRICS"), ExporterKind::Otlp),
        Signal::Traces => (names!("TRACES"), ExporterKind::Otlp),
        Signal::Logs => (names!("LOGS"), ExporterKind::None),
    };
    let exporter = env.get(names.exporter).and_then(|value| match &*value {
        "otlp" => Some(ExporterKind::Otlp),
        "console" => Some(ExporterKind::Console),
        "none" => Some(ExporterKind::None),
        other => ignored(names.exporter, other, "otlp, console or none"),
    });
    let protocol = env
        .first(&names.protocol)
        .and_then(|(name, value)| match &*value {
            "http/protobuf" => Some(OtlpProtocol::HttpProtobuf),
            "grpc" => Some(OtlpProtocol::Grpc),
            other => ignored(name, other, "http/protobuf or grpc"),
        })
        .unwrap_or(OtlpProtocol::HttpProtobuf);
    let gzip = env
        .first(&names.compression)
        .and_then(|(name, value)| match &*value {
            "gzip" => Some(true),
            "none" => Some(false),
            other => ignored(name, other, "gzip or none"),
        });
    let timeout_ms = match env.first(&names.timeout) {
        Some((name, _)) => env.parse(name, MILLISECONDS)?,
        None => None,
    };
    Ok(SignalConfig {
        exporter: exporter.unwrap_or(default_exporter),
        protocol,
        endpoint: endpoint_from_env(env, &names, protocol, signal),
        headers: env
            .first(&names.headers)
            .map(|(name, text)| key_value_list(name, &text))
            .unwrap_or_default(),
        gzip: gzip.unwrap_or(false),
        timeout: Duration::from_millis(timeout_ms.unwrap_or(10_000)),
    })
}

fn endpoint_from_env(env: &Env, names: &Names, protocol: OtlpProtocol, signal: Signal) -> String {
    // A signal's own endpoint is used unchanged, a general one is a base
    // (specification, protocol/exporter.md).
    if let Some(own) = env.get(names.endpoint) {
        return with_scheme(&own);
    }
    let base = env
        .first(&["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_ENDPOINT"])
        .map(|(_, value)| value);
    let default = match protocol {
        OtlpProtocol::HttpProtobuf => "http://localhost:4318",
        OtlpProtocol::Grpc => "http://localhost:4317",
    };
    endpoint_of(base.as_deref().unwrap_or(default), protocol, signal)
}

fn ignored<T>(variable: &str, value: &str, expected: &str) -> Option<T> {
    tracing::warn!(variable, value, expected, "ignoring an unknown value");
    None
}

/// Says so when a variable is set that this product does not act on.
fn warn_about_unsupported(env: &Env) {
    let unsupported = [
        "OTEL_EXPORTER_OTLP_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "OTEL_CONFIG_FILE",
        "OTEL_ENTITIES",
        "OTEL_METRICS_EXEMPLAR_FILTER",
    ];
    for variable in unsupported {
        if env.get(variable).is_some() {
            tracing::warn!(variable, "the variable is set but has no effect here");
        }
    }
}

fn temporality(env: &Env) -> Temporality {
    let name = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    env.get(name)
        .and_then(|value| match &*value.to_ascii_lowercase() {
            "cumulative" => Some(Temporality::Cumulative),
            "delta" => Some(Temporality::Delta),
            "lowmemory" => Some(Temporality::LowMemory),
            other => ignored(name, other, "cumulative, delta or lowmemory"),
        })
        .unwrap_or(Temporality::Cumulative)
}

fn exponential_histograms(env: &Env) -> bool {
    let name = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    env.get(name)
        .and_then(|value| match &*value.to_ascii_lowercase() {
            "explicit_bucket_histogram" => Some(false),
            "base2_exponential_bucket_histogram" => Some(true),
            other => ignored(
                name,
                other,
                "explicit_bucket_histogram or base2_exponential_bucket_histogram",
            ),
        })
        .unwrap_or(false)
}

fn sampler(env: &Env) -> Result<SamplerConfig, ConfigError> {
    let name = "OTEL_TRACES_SAMPLER";
    let default = SamplerConfig {
        parent_based: true,
        ratio: 1.0,
    };
    let Some(value) = env.get(name) else {
        return Ok(default);
    };
    let (parent_based, kind) = match value.strip_prefix("parentbased_") {
        Some(kind) => (true, kind),
        None => (false, &*value),
    };
    let ratio = match kind {
        "always_on" => 1.0,
        "always_off" => 0.0,
        "traceidratio" => sampler_ratio(env)?,
        _ => {
            return Ok(ignored(
                name,
                &value,
                "always_on, always_off or traceidratio, each also with parentbased_ in front",
            )
            .unwrap_or(default));
        }
    };
    Ok(SamplerConfig {
        parent_based,
        ratio,
    })
}

fn sampler_ratio(env: &Env) -> Result<f64, ConfigError> {
    let name = "OTEL_TRACES_SAMPLER_ARG";
    let expected = "a number from 0 to 1";
    let ratio = env.parse(name, expected)?.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&ratio) {
        return Err(ConfigError::Invalid {
            key: name.to_owned(),
            value: ratio.to_string(),
            expected: expected.to_owned(),
        });
    }
    Ok(ratio)
}

fn batch(
    env: &Env,
    [delay, queue, batch]: [&'static str; 3],
    default_delay_ms: u64,
) -> Result<BatchSettings, ConfigError> {
    let delay_ms = env.parse(delay, MILLISECONDS)?.unwrap_or(default_delay_ms);
    let queue_max: usize = env.parse(queue, "a number of items")?.unwrap_or(2048);
    let batch_max: usize = env.parse(batch, "a number of items")?.unwrap_or(512);
    Ok(BatchSettings {
        schedule_delay: Duration::from_millis(delay_ms),
        queue_max: queue_max.max(1),
        batch_max: batch_max.clamp(1, queue_max.max(1)),
    })
}

fn propagators(env: &Env) -> Vec<Propagator> {
    let name = "OTEL_PROPAGATORS";
    let Some(list) = env.get(name) else {
        return vec![Propagator::TraceContext, Propagator::Baggage];
    };
    let mut chosen = Vec::new();
    for item in list.split(',').map(str::trim) {
        let propagator = match item {
            "tracecontext" => Propagator::TraceContext,
            "baggage" => Propagator::Baggage,
            "none" | "" => continue,
            other => {
                let _: Option<()> = ignored(name, other, "tracecontext, baggage or none");
                continue;
            }
        };
        if !chosen.contains(&propagator) {
            chosen.push(propagator);
        }
    }
    chosen
}

#[cfg(test)]
#[path = "telemetry_config/tests.rs"]
mod tests;
