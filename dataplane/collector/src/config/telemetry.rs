//! `service.telemetry`: the collector's own logs and metrics.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::types::{Accepted, Unsupported};

/// Default address of the collector's own metrics.
pub(crate) const METRICS_ADDRESS: &str = "localhost:8888";

/// The section as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TelemetryConfig {
    /// Own logs.
    pub logs: LogsConfig,
    /// Own metrics.
    pub metrics: MetricsConfig,
    /// Own traces: none are made, so nothing is to be configured.
    pub traces: Accepted,
    /// Resource attributes, shown as `target_info`; null removes one.
    pub resource: BTreeMap<String, Option<String>>,
}

/// Own logs. The process that runs the collector sets up logging; it reads the level from here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogsConfig {
    /// Lowest level that is written.
    pub level: LogLevel,
    /// `console` or `json`.
    pub encoding: LogEncoding,
    /// Details of Go's logger without a counterpart.
    pub sampling: Accepted,
    /// As `sampling`.
    pub output_paths: Accepted,
    /// As `sampling`.
    pub error_output_paths: Accepted,
    /// As `sampling`.
    pub development: Accepted,
    /// As `sampling`.
    pub disable_caller: Accepted,
    /// As `sampling`.
    pub disable_stacktrace: Accepted,
    /// As `sampling`.
    pub initial_fields: Accepted,
    /// Not yet.
    pub processors: Unsupported,
}

/// Level of own logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum LogLevel {
    /// Everything.
    #[serde(alias = "DEBUG", rename = "debug")]
    Debug,
    /// Life cycle.
    #[default]
    #[serde(alias = "INFO", rename = "info")]
    Info,
    /// Odd but handled.
    #[serde(alias = "WARN", rename = "warn")]
    Warn,
    /// Data lost.
    #[serde(alias = "ERROR", rename = "error")]
    Error,
}

impl LogLevel {
    /// The name in configurations.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Form of own logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogEncoding {
    /// Text.
    #[default]
    Console,
    /// One JSON object per line.
    Json,
}

/// Own metrics.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct MetricsConfig {
    /// How much is measured; `none` closes the port.
    pub level: MetricsLevel,
    /// `host:port`, from tutorials written before readers existed. Honoured with a warning.
    pub address: Option<String>,
    /// Where the metrics can be read.
    pub readers: Option<Vec<Reader>>,
    /// Not yet.
    pub views: Unsupported,
}

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MetricsLevel {
    /// Nothing.
    None,
    /// The most important.
    Basic,
    /// The default.
    #[default]
    Normal,
    /// Sizes in bytes as well.
    Detailed,
}

/// One way to read own metrics.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reader {
    /// A page to be scraped.
    pub pull: Option<PullReader>,
    /// Not yet.
    pub periodic: Unsupported,
}

/// A page to be scraped.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PullReader {
    /// Which kind of page.
    pub exporter: PullExporter,
}

/// Kinds of pages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PullExporter {
    /// Prometheus text.
    pub prometheus: PrometheusReader,
}

/// A Prometheus page.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PrometheusReader {
    /// Interface.
    pub host: String,
    /// Port.
    pub port: u16,
    /// There is no scope information on these metrics.
    pub without_scope_info: Accepted,
    /// True: no unit in the names (`otelcol_process_uptime`).
    pub without_units: bool,
    /// True: counters without `_total`.
    pub without_type_suffix: bool,
    /// Resource attributes that every series carries as labels.
    pub with_resource_constant_labels: Option<ResourceGlobs>,
}

/// Attributes by patterns: those that are included and not excluded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ResourceGlobs {
    /// Patterns with `*` and `?`.
    pub included: Vec<String>,
    /// As `included`.
    pub excluded: Vec<String>,
}

impl Default for PrometheusReader {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            port: 8888,
            without_scope_info: Accepted,
            without_units: false,
            without_type_suffix: false,
            with_resource_constant_labels: None,
        }
    }
}

/// The page that the settings ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricsPage {
    /// `host:port`.
    pub endpoint: String,
    /// Key path of the address, for errors.
    pub option: &'static str,
    /// Counters end in `_total`.
    pub type_suffix: bool,
    /// Names carry units.
    pub unit_suffix: bool,
    /// Resource attributes that every series carries.
    pub resource_labels: ResourceGlobs,
}

impl MetricsConfig {
    /// The pages to serve; none with level `none`.
    pub(crate) fn pages(&self) -> Vec<MetricsPage> {
        if self.level == MetricsLevel::None {
            return Vec::new();
        }
        if let Some(readers) = &self.readers {
            return readers
                .iter()
                .filter_map(|r| r.pull.as_ref())
                .map(|pull| {
                    let page = &pull.exporter.prometheus;
                    MetricsPage {
                        endpoint: format!("{}:{}", page.host, page.port),
                        option: "service::telemetry::metrics::readers",
                        type_suffix: !page.without_type_suffix,
                        unit_suffix: !page.without_units,
                        resource_labels: page
                            .with_resource_constant_labels
                            .clone()
                            .unwrap_or_default(),
                    }
                })
                .collect();
        }
        vec![MetricsPage {
            endpoint: self
                .address
                .clone()
                .unwrap_or_else(|| METRICS_ADDRESS.to_owned()),
            option: if self.address.is_some() {
                "service::telemetry::metrics::address"
            } else {
                "service::telemetry::metrics::readers"
            },
            type_suffix: false,
            unit_suffix: false,
            resource_labels: ResourceGlobs {
                included: vec!["*".to_owned()],
                excluded: Vec::new(),
            },
        }]
    }
}
