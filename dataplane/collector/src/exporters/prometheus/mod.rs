//! `prometheus`: keeps the last value of every series and shows them on `/metrics`. See `README.md`.
//!
//! A scrape must cost little: a series keeps its label text ready, a known point finds its series by
//! a hash of its raw attributes, and rendering appends values only.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | configuration, building |
//! | `page.rs` | the HTTP page |
//! | `ingest.rs` | from batches to series |
//! | `labels.rs` | label sets of resources, scopes and points |
//! | `names.rs` | names in quotes, or reduced to the legacy set |
//! | `accept.rs` | what a scraper asks for |
//! | `store.rs` | families and series, expiry |
//! | `value.rs` | values of series, accumulation of deltas |
//! | `render.rs` | the page's text |
//! | `text.rs` | numbers and escapes |

mod accept;
mod ingest;
pub(crate) mod labels;
mod names;
mod page;
mod render;
mod store;
pub(crate) mod text;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_net::ServeOptions;
use bellwether_otlp::Signal;
use bellwether_otlp::translate::{Strategy, Translator};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::config::blocks::{QueueConfig, RetryConfig, Tcp};
use crate::config::types::{Accepted, GoDuration, Unsupported};
use crate::pipeline::component::BuildFuture;
use crate::pipeline::{BuildContext, Built, ExporterConfig, Problems};
use ingest::Ingest;
use labels::ResourceFilter;
use store::Store;

/// Keys of the exporter.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PrometheusConfig {
    endpoint: Option<String>,
    transport: Option<Tcp>,
    namespace: String,
    const_labels: BTreeMap<String, String>,
    send_timestamps: bool,
    metric_expiration: GoDuration,
    enable_open_metrics: bool,
    add_metric_suffixes: bool,
    translation_strategy: Option<String>,
    without_scope_info: bool,
    resource_to_telemetry_conversion: ResourceConversion,
    resource_constant_labels: Option<ResourceLabels>,
    /// Taking data in is a matter of memory and cannot fail: a queue and retries would do nothing.
    sending_queue: Option<QueueConfig>,
    /// As `sending_queue`.
    retry_on_failure: Option<RetryConfig>,
    /// As `sending_queue`.
    timeout: GoDuration,
    /// The page has no request bodies.
    max_request_body_size: Accepted,
    /// Go's server knobs without a counterpart.
    read_timeout: Accepted,
    /// As `read_timeout`.
    read_header_timeout: Accepted,
    /// As `read_timeout`.
    write_timeout: Accepted,
    /// As `read_timeout`.
    idle_timeout: Accepted,
    /// As `read_timeout`.
    keep_alives_enabled: Accepted,
    tls: Unsupported,
    auth: Unsupported,
    cors: Unsupported,
    response_headers: Unsupported,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ResourceConversion {
    enabled: bool,
    exclude_service_attributes: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ResourceLabels {
    included: Vec<String>,
    excluded: Vec<String>,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            transport: None,
            namespace: String::new(),
            const_labels: BTreeMap::new(),
            send_timestamps: false,
            metric_expiration: GoDuration::secs(300),
            enable_open_metrics: false,
            add_metric_suffixes: true,
            translation_strategy: None,
            without_scope_info: false,
            resource_to_telemetry_conversion: ResourceConversion::default(),
            resource_constant_labels: None,
            sending_queue: None,
            retry_on_failure: None,
            timeout: GoDuration::secs(5),
            max_request_body_size: Accepted,
            read_timeout: Accepted,
            read_header_timeout: Accepted,
            write_timeout: Accepted,
            idle_timeout: Accepted,
            keep_alives_enabled: Accepted,
            tls: Unsupported,
            auth: Unsupported,
            cors: Unsupported,
            response_headers: Unsupported,
        }
    }
}

impl PrometheusConfig {
    fn strategy(&self) -> Result<Strategy, String> {
        match &self.translation_strategy {
            None if self.add_metric_suffixes => Ok(Strategy::UnderscoreEscapingWithSuffixes),
            None => Ok(Strategy::UnderscoreEscapingWithoutSuffixes),
            Some(text) => text.parse().map_err(|e| format!("{e}")),
        }
    }

    fn resource_filter(&self) -> ResourceFilter {
        match &self.resource_constant_labels {
            Some(labels) => ResourceFilter::globs(labels.included.clone(), labels.excluded.clone()),
            None if self.resource_to_telemetry_conversion.enabled => ResourceFilter::All {
                except_service: self
                    .resource_to_telemetry_conversion
                    .exclude_service_attributes,
            },
            None => ResourceFilter::None,
        }
    }
}

impl ExporterConfig for PrometheusConfig {
    fn signals(&self) -> &'static [Signal] {
        &[Signal::Metrics]
    }

    fn validate(&self, problems: &mut Problems) {
        match &self.endpoint {
            None => problems.add(
                "",
                "the key `endpoint` is required, for example 0.0.0.0:8889",
            ),
            Some(endpoint) => problems.endpoint("endpoint", endpoint),
        }
        if let Err(message) = self.strategy() {
            problems.add("translation_strategy", message);
        }
        for name in self.const_labels.keys() {
            if !is_label_name(name) {
                let message =
                    format!("invalid label name {name:?}: it must match [a-zA-Z_][a-zA-Z0-9_]*");
                problems.add(format!("const_labels::{name}"), message);
            }
        }
        if self.resource_constant_labels.is_some() && self.resource_to_telemetry_conversion.enabled
        {
            let message = "cannot be used together with resource_to_telemetry_conversion";
            problems.add("resource_constant_labels", message);
        }
        if let Some(queue) = &self.sending_queue {
            problems.extend("sending_queue", queue.validate());
        }
        if let Some(retry) = &self.retry_on_failure {
            problems.extend("retry_on_failure", retry.validate());
        }
    }

    fn build<'a>(&'a self, context: BuildContext<'a>) -> BuildFuture<'a> {
        Box::pin(async move {
            let endpoint = self.endpoint.as_deref().unwrap_or_default();
            let listener = context.bind("exporters", "endpoint", endpoint).await?;
            let store = Arc::new(Mutex::new(Store::new(self.metric_expiration.0)));
            let id = context.id.to_string();
            let ingest = Ingest::new(self.settings(), Arc::clone(&store), context.metrics, &id);
            let router = page::router(
                Arc::clone(&store),
                page::PageSettings {
                    open_metrics: self.enable_open_metrics,
                    timestamps: self.send_timestamps,
                    utf8: self.strategy().is_ok_and(|strategy| !strategy.escapes()),
                },
            );
            let expiration = self.metric_expiration.0;
            Ok(Built {
                consumer: Some(Arc::new(ingest)),
                runner: Some(Box::new(move |stop| {
                    Box::pin(async move {
                        let expiry = store::expire_until(store, expiration, stop.clone());
                        let server =
                            bellwether_net::serve(listener, router, ServeOptions::default(), stop);
                        tokio::join!(expiry, server);
                    })
                })),
            })
        })
    }
}

impl PrometheusConfig {
    fn settings(&self) -> ingest::Settings {
        ingest::Settings {
            translator: Translator {
                strategy: self.strategy().unwrap_or_default(),
                namespace: self.namespace.clone(),
                ..Translator::default()
            },
            const_labels: self.const_labels.clone().into_iter().collect(),
            resource_filter: self.resource_filter(),
            scope_labels: !self.without_scope_info,
            exemplars: self.enable_open_metrics,
        }
    }
}

fn is_label_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
