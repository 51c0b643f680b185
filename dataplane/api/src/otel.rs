//! The OpenTelemetry SDK of one service: providers, exporters, flush and end.
//!
//! Several services live in one process, so nothing here is global: each
//! service owns its providers and hands out meters and tracers.
//!
//! What the exporters need, and why the code looks as it does:
//! - OTLP over HTTP uses reqwest's blocking client, which must neither be built
//!   nor used on an async worker; the SDK's own threads do the exporting.
//! - OTLP over gRPC must be built inside the tokio runtime that will carry it.
//!   Both hold on a `spawn_blocking` thread.
//! - `force_flush` and `shutdown` block, and the flush has no limit of its own:
//!   they run on blocking threads with a limit.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::logs::LoggerProvider;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    Compression, ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter,
    WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{BatchLogProcessor, SdkLogger, SdkLoggerProvider};
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, PeriodicReader, SdkMeterProvider, Stream,
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;

use crate::config::Identity;
use crate::console::{ConsoleLogs, ConsoleMetrics, ConsoleSpans, Sink};
use crate::telemetry_config::{
    BatchSettings, ExporterKind, OtlpProtocol, Propagator, SamplerConfig, SignalConfig,
    TelemetryConfig,
};

/// Why telemetry cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// An exporter was refused.
    #[error("cannot set up the OTLP exporter for {endpoint}: {source}")]
    Exporter {
        /// The endpoint it was for.
        endpoint: String,
        /// The exporter's reason.
        source: ExporterBuildError,
    },
    /// The HTTP client was refused.
    #[error("cannot build the HTTP client of the OTLP exporter: {0}")]
    Client(#[from] reqwest::Error),
    /// A header cannot be sent.
    #[error("header {name:?} of the OTLP exporter is not a valid name and value")]
    Header {
        /// The header's name; the value may be a secret.
        name: String,
    },
    /// The set-up thread died.
    #[error("the thread that sets up telemetry ended early")]
    SetupThread,
}

/// The SDK of one service.
#[derive(Debug)]
pub(crate) struct Telemetry {
    meters: SdkMeterProvider,
    tracers: SdkTracerProvider,
    loggers: Option<SdkLoggerProvider>,
    propagator: Arc<TextMapCompositePropagator>,
    scope: InstrumentationScope,
    flush_timeout: Duration,
    early_exports: Vec<Duration>,
}

impl Telemetry {
    /// Sets the providers up. The exporters' threads start here.
    pub(crate) async fn start(
        config: TelemetryConfig,
        identity: &Identity,
    ) -> Result<Self, TelemetryError> {
        ensure_tls_provider();
        let resource = resource(identity);
        tokio::task::spawn_blocking(move || Self::build(&config, &resource))
            .await
            .map_err(|_| TelemetryError::SetupThread)?
    }

    fn build(config: &TelemetryConfig, resource: &Resource) -> Result<Self, TelemetryError> {
        let mut clients = HttpClients::default();
        let mut meters = SdkMeterProvider::builder().with_resource(resource.clone());
        let mut tracers = SdkTracerProvider::builder().with_resource(resource.clone());
        let mut loggers = None;
        if config.exponential_histograms {
            meters = meters.with_view(exponential);
        }
        if config.disabled {
            // Without a reader or processor nothing is recorded or sent.
            tracers = tracers.with_sampler(Sampler::AlwaysOff);
        } else {
            let interval = config.metric_interval;
            meters = match config.metrics.exporter {
                ExporterKind::Otlp => meters.with_reader(
                    PeriodicReader::builder(metric_exporter(config, &mut clients)?)
                        .with_interval(interval)
                        .build(),
                ),
                ExporterKind::Console => meters.with_reader(
                    PeriodicReader::builder(ConsoleMetrics {
                        sink: Sink::stdout(),
                        temporality: config.temporality,
                    })
                    .with_interval(interval)
                    .build(),
                ),
                ExporterKind::None => meters,
            };
            tracers = match config.traces.exporter {
                ExporterKind::Otlp => tracers.with_span_processor(span_processor(
                    span_exporter(&config.traces, &mut clients)?,
                    config.span_batch,
                )),
                ExporterKind::Console => tracers.with_span_processor(span_processor(
                    ConsoleSpans(Sink::stdout()),
                    config.span_batch,
                )),
                ExporterKind::None => tracers,
            }
            .with_sampler(match config.traces.exporter {
                ExporterKind::None => Sampler::AlwaysOff,
                _ => sampler(config.sampler),
            });
            loggers = logger_provider(config, resource, &mut clients)?;
        }
        Ok(Self {
            meters: meters.build(),
            tracers: tracers.build(),
            loggers,
            propagator: Arc::new(propagator(&config.propagators)),
            scope: InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            flush_timeout: config.flush_timeout,
            early_exports: config.early_exports.clone(),
        })
    }

    pub(crate) fn meter(&self) -> Meter {
        self.meters.meter_with_scope(self.scope.clone())
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.tracers.tracer_with_scope(self.scope.clone())
    }

    /// `None` when logs are not sent.
    pub(crate) fn logger(&self) -> Option<SdkLogger> {
        self.loggers
            .as_ref()
            .map(|provider| provider.logger_with_scope(self.scope.clone()))
    }

    pub(crate) fn propagator(&self) -> Arc<TextMapCompositePropagator> {
        Arc::clone(&self.propagator)
    }

    /// Exports metrics at the configured moments after the start, until
    /// `shutdown`. The interval of the periodic export is not moved by it.
    pub(crate) async fn export_early(&self, shutdown: &CancellationToken) {
        let start = tokio::time::Instant::now();
        for moment in &self.early_exports {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep_until(start + *moment) => {}
            }
            let meters = self.meters.clone();
            blocking("early metric export", self.flush_timeout, move || {
                meters.force_flush()
            })
            .await;
        }
    }

    /// Sends what is left and ends the exporters' threads. What cannot be sent
    /// in time is logged as lost.
    pub(crate) async fn shutdown(self) {
        let limit = self.flush_timeout;
        let (meters, tracers, loggers) = (self.meters, self.tracers, self.loggers);
        tokio::join!(
            blocking("last export of metrics", limit, move || meters.shutdown()),
            blocking("last export of traces", limit, move || tracers.shutdown()),
            blocking("last export of logs", limit, move || match loggers {
                Some(loggers) => loggers.shutdown(),
                None => Ok(()),
            }),
        );
    }
}

/// Runs one blocking SDK call off the async threads, with a limit.
async fn blocking(
    what: &'static str,
    limit: Duration,
    call: impl FnOnce() -> OTelSdkResult + Send + 'static,
) {
    match tokio::time::timeout(limit, tokio::task::spawn_blocking(call)).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(what, %error, "telemetry was not delivered"),
        Ok(Err(error)) => tracing::error!(what, %error, "telemetry thread failed"),
        Err(_) => tracing::warn!(what, ?limit, "telemetry was not delivered in time"),
    }
}

/// reqwest is built without a TLS provider of its own and panics when the
/// process has none. The binary installs one first thing; tests and other
/// embedders may not have.
pub(crate) fn ensure_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster: just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

fn resource(identity: &Identity) -> Resource {
    let extra = identity
        .attributes
        .iter()
        .map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    let mut own = vec![
        KeyValue::new("service.version", identity.service_version.clone()),
        KeyValue::new("service.instance.id", identity.instance_id.clone()),
        KeyValue::new("deployment.environment.name", identity.environment.clone()),
    ];
    if let Some(id) = &identity.data_plane_id {
        own.push(KeyValue::new("data_plane_id", id.clone()));
    }
    // The SDK's environment detector is left out on purpose: it would read the
    // process environment, which belongs to no service in particular.
    Resource::builder_empty()
        .with_detector(Box::new(
            opentelemetry_sdk::resource::TelemetryResourceDetector,
        ))
        .with_attributes(extra)
        .with_attributes(own)
        .with_service_name(identity.service_name.clone())
        .build()
}

fn exponential(instrument: &Instrument) -> Option<Stream> {
    if instrument.kind() != InstrumentKind::Histogram {
        return None;
    }
    // 160 buckets from scale 20: the specification's defaults.
    let aggregation = Aggregation::Base2ExponentialHistogram {
        max_size: 160,
        max_scale: 20,
        record_min_max: true,
    };
    Stream::builder().with_aggregation(aggregation).build().ok()
}

fn sampler(config: SamplerConfig) -> Sampler {
    let root = if config.ratio >= 1.0 {
        Sampler::AlwaysOn
    } else if config.ratio <= 0.0 {
        Sampler::AlwaysOff
    } else {
        Sampler::TraceIdRatioBased(config.ratio)
    };
    if config.parent_based {
        Sampler::ParentBased(Box::new(root))
    } else {
        root
    }
}

fn propagator(kinds: &[Propagator]) -> TextMapCompositePropagator {
    let propagators = kinds
        .iter()
        .map(|kind| -> Box<dyn TextMapPropagator + Send + Sync> {
            match kind {
                Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
                Propagator::Baggage => Box::new(BaggagePropagator::new()),
            }
        })
        .collect();
    TextMapCompositePropagator::new(propagators)
}

/// The blocking HTTP clients of one service, one per time limit and way of
/// connecting, so that its signals share connections.
#[derive(Default)]
struct HttpClients(HashMap<(Duration, bool, bool), reqwest::blocking::Client>);

impl HttpClients {
    fn get(&mut self, config: &SignalConfig) -> Result<reqwest::blocking::Client, TelemetryError> {
        // A proxy cannot reach our own loopback: it would answer for its own.
        let direct = is_loopback(&config.endpoint);
        let plain = is_plain_http(&config.endpoint);
        let key = (config.timeout, direct, plain);
        if let Some(client) = self.0.get(&key) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::blocking::Client::builder().timeout(config.timeout);
        if direct {
            builder = builder.no_proxy();
        }
        if plain {
            builder = builder
                .tls_certs_only([])
                .redirect(reqwest::redirect::Policy::none());
        }
        let client = builder.build()?;
        self.0.insert(key, client.clone());
        Ok(client)
    }
}

/// Whether `url` needs no TLS. A client for such a URL goes without the
/// system's certificates: reading them costs memory and start-up time per
/// client, and several services live in one process.
pub(crate) fn is_plain_http(url: &str) -> bool {
    url.starts_with("http://")
}

/// Whether the host of `url` is this machine.
pub(crate) fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Applies one signal's settings to an exporter builder of any signal, which
/// share traits but no type.
macro_rules! otlp_exporter {
    ($builder:expr, $config:expr, $clients:expr) => {{
        let config: &SignalConfig = $config;
        let built = match config.protocol {
            OtlpProtocol::HttpProtobuf => {
                let mut builder = $builder
                    .with_http()
                    .with_protocol(Protocol::HttpBinary)
                    .with_endpoint(config.endpoint.clone())
                    .with_timeout(config.timeout)
                    .with_headers(config.headers.iter().cloned().collect())
                    .with_http_client($clients.get(config)?);
                if config.gzip {
                    builder = builder.with_compression(Compression::Gzip);
                }
                builder.build()
            }
            OtlpProtocol::Grpc => {
                let mut builder = $builder
                    .with_tonic()
                    .with_endpoint(config.endpoint.clone())
                    .with_timeout(config.timeout)
                    .with_metadata(metadata(&config.headers)?);
                if config.gzip {
                    builder = builder.with_compression(Compression::Gzip);
                }
                builder.build()
            }
        };
        built.map_err(|source| TelemetryError::Exporter {
            endpoint: config.endpoint.clone(),
            source,
        })
    }};
}

fn metric_exporter(
    config: &TelemetryConfig,
    clients: &mut HttpClients,
) -> Result<MetricExporter, TelemetryError> {
    let builder = MetricExporter::builder().with_temporality(config.temporality);
    otlp_exporter!(builder, &config.metrics, clients)
}

fn span_exporter(
    config: &SignalConfig,
    clients: &mut HttpClients,
) -> Result<SpanExporter, TelemetryError> {
    otlp_exporter!(SpanExporter::builder(), config, clients)
}

fn log_exporter(
    config: &SignalConfig,
    clients: &mut HttpClients,
) -> Result<LogExporter, TelemetryError> {
    otlp_exporter!(LogExporter::builder(), config, clients)
}

fn metadata(headers: &[(String, String)]) -> Result<MetadataMap, TelemetryError> {
    let mut map = http::HeaderMap::new();
    for (name, value) in headers {
        let invalid = || TelemetryError::Header { name: name.clone() };
        let key: http::HeaderName = name.parse().map_err(|_| invalid())?;
        let value: http::HeaderValue = value.parse().map_err(|_| invalid())?;
        map.append(key, value);
    }
    Ok(MetadataMap::from_headers(map))
}

fn span_processor<E>(exporter: E, batch: BatchSettings) -> BatchSpanProcessor
where
    E: opentelemetry_sdk::trace::SpanExporter + 'static,
{
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(batch.queue_max)
        .with_max_export_batch_size(batch.batch_max)
        .with_scheduled_delay(batch.schedule_delay)
        .build();
    BatchSpanProcessor::builder(exporter)
        .with_batch_config(config)
        .build()
}

fn log_processor<E>(exporter: E, batch: BatchSettings) -> BatchLogProcessor
where
    E: opentelemetry_sdk::logs::LogExporter + 'static,
{
    let config = opentelemetry_sdk::logs::BatchConfigBuilder::default()
        .with_max_queue_size(batch.queue_max)
        .with_max_export_batch_size(batch.batch_max)
        .with_scheduled_delay(batch.schedule_delay)
        .build();
    BatchLogProcessor::builder(exporter)
        .with_batch_config(config)
        .build()
}

fn logger_provider(
    config: &TelemetryConfig,
    resource: &Resource,
    clients: &mut HttpClients,
) -> Result<Option<SdkLoggerProvider>, TelemetryError> {
    let processor = match config.logs.exporter {
        ExporterKind::None => return Ok(None),
        ExporterKind::Otlp => log_processor(log_exporter(&config.logs, clients)?, config.log_batch),
        ExporterKind::Console => log_processor(ConsoleLogs(Sink::stdout()), config.log_batch),
    };
    Ok(Some(
        SdkLoggerProvider::builder()
            .with_resource(resource.clone())
            .with_log_processor(processor)
            .build(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_recognised_in_every_spelling() {
        for url in [
            "http://127.0.0.1:4318/v1/metrics",
            "http://localhost:4317",
            "http://[::1]:4318",
            "http://127.9.9.9",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["http://collector:4318", "https://10.0.0.1", "not a url"] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
