//! Where the server's own spans go: the section `tracing`.
//!
//! The parts of the server make spans by [`Traces`], which is off until a configuration names a receiver.

mod exporter;

use std::path::Path;
use std::time::Duration;

use bellwether_telemetry::trace::Traces;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use self::exporter::Exporter;
use crate::config::TracingConfig;

/// The name that receivers know the server by; that of its metrics, too.
const SERVICE: &str = "prometheus";
/// Time for what waits at the end, as in Prometheus.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends spans as the configuration says.
#[derive(Default)]
pub(crate) struct Spans {
    traces: Traces,
    running: Mutex<Option<Running>>,
}

struct Running {
    config: TracingConfig,
    provider: SdkTracerProvider,
}

impl Spans {
    /// Where spans come from.
    pub(crate) fn traces(&self) -> &Traces {
        &self.traces
    }

    /// Takes over a section, at the start and at each reload. What waits for the receiver before is sent to it.
    ///
    /// # Errors
    /// In words: certificates that cannot be read, for example. Then everything stays as it was.
    pub(crate) async fn apply(
        &self,
        config: Option<&TracingConfig>,
        base_dir: &Path,
    ) -> Result<(), String> {
        let mut running = self.running.lock().await;
        let is_same = running.as_ref().map(|running| &running.config) == config;
        // Certificates may have changed in their files.
        if is_same && config.is_none_or(|config| config.tls_config.is_none()) {
            return Ok(());
        }
        let new = match config {
            Some(config) => Some(start(config, base_dir).await?),
            None => None,
        };
        let tracer = |new: &Running| new.provider.tracer("bellwether");
        self.traces.set(new.as_ref().map(tracer));
        let message = match &new {
            Some(_) => "Successfully installed a new tracer provider.",
            None => "Tracing provider uninstalled.",
        };
        if let Some(old) = std::mem::replace(&mut *running, new) {
            stop(old).await;
        }
        tracing::info!("{message}");
        Ok(())
    }

    /// Sends what waits, and makes no more spans.
    pub(crate) async fn shutdown(&self) {
        self.traces.set(None);
        if let Some(running) = self.running.lock().await.take() {
            stop(running).await;
        }
    }
}

async fn start(config: &TracingConfig, base_dir: &Path) -> Result<Running, String> {
    let (owned, dir) = (config.clone(), base_dir.to_owned());
    let runtime = Handle::current();
    // Reads certificates.
    let building = tokio::task::spawn_blocking(move || Exporter::new(&owned, &dir, runtime));
    let exporter = building
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("failed to install a new tracer provider: {error}"))?;
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name(SERVICE)
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let ratio = Sampler::TraceIdRatioBased(config.sampling_fraction);
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(ratio)))
        .with_resource(resource)
        .build();
    Ok(Running {
        config: config.clone(),
        provider,
    })
}

async fn stop(running: Running) {
    let end = move || running.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT);
    match tokio::task::spawn_blocking(end).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "failed to shut down the tracer provider"),
        Err(error) => tracing::error!(%error, "the end of the tracer provider was abnormal"),
    }
}
