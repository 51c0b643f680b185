//! The collector's metrics about itself, under the official names.
//!
//! The built-in page on port 8888 shows counters without `_total` and without units, as the official
//! collector's default reader does; a reader that the user wrote decides for itself. Both forms come
//! from one registry: names are rewritten while the page is rendered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use bellwether_otlp::Signal;
use bellwether_telemetry::{Counter, Gauge, Histogram, Registry, TEXT_CONTENT_TYPE};

use crate::config::telemetry::{MetricsPage, TelemetryConfig};
use crate::exporters::prometheus::labels::ResourceFilter;
use crate::exporters::prometheus::text::push_label_value;

/// Bounds of the batch size histogram, in items.
const BATCH_SIZE_BOUNDS: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0,
    6000.0, 7000.0, 8000.0, 9000.0, 10_000.0, 20_000.0, 30_000.0, 50_000.0, 100_000.0,
];

/// Registry and labels of one collector. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct OwnMetrics {
    registry: Registry,
    /// `service.instance.id` unless the configuration has one.
    instance: String,
}

/// Three counters, one per signal.
#[derive(Debug, Clone)]
pub(crate) struct PerSignal([Counter; 3]);

impl PerSignal {
    /// Adds items of a signal.
    pub(crate) fn add(&self, signal: Signal, items: usize) {
        let index = match signal {
            Signal::Metrics => 0,
            Signal::Traces => 1,
            Signal::Logs => 2,
        };
        self.0[index].add(items as f64);
    }
}

impl OwnMetrics {
    /// A registry with the process metrics.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        register_process(&registry);
        let instance = format!("{:032x}", rand::random::<u128>());
        Self { registry, instance }
    }

    /// `otelcol_<part>_{metric_points,spans,log_records}` for a component, one counter per signal it can carry.
    pub(crate) fn per_signal(
        &self,
        prefix: &str,
        what: &str,
        signals: &[Signal],
        labels: &[(&str, &str)],
    ) -> PerSignal {
        PerSignal(Signal::ALL.map(|signal| {
            if !signals.contains(&signal) {
                return Registry::new().counter("unused", "", &[]);
            }
            let name = format!("{prefix}_{}", signal.items_name());
            let help = format!(
                "Number of {} {what}.",
                signal.items_name().replace('_', " ")
            );
            self.registry.counter(&name, &help, labels)
        }))
    }

    pub(crate) fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Counter {
        self.registry.counter(name, help, labels)
    }

    pub(crate) fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        self.registry.gauge(name, help, labels)
    }

    /// Items per batch that left a batch processor.
    pub(crate) fn batch_size(&self, labels: &[(&str, &str)]) -> Histogram {
        self.registry.histogram(
            "otelcol_processor_batch_batch_send_size",
            "Number of items in the batches that were sent.",
            labels,
            BATCH_SIZE_BOUNDS,
        )
    }

    /// The page of a reader.
    pub(crate) fn router(&self, page: &MetricsPage, telemetry: &TelemetryConfig) -> Router {
        let resource = self.resource(telemetry);
        let globs = page.resource_labels.clone();
        let filter = ResourceFilter::globs(globs.included, globs.excluded);
        let constant = label_text(&resource, |key| filter.keeps(key));
        let target_info = format!(
            "# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{{{}}} 1\n",
            label_text(&resource, |_| true)
        );
        let state = Arc::new(Page {
            registry: self.registry.clone(),
            type_suffix: page.type_suffix,
            unit_suffix: page.unit_suffix,
            constant,
            target_info,
        });
        Router::new()
            .route("/metrics", get(render))
            .with_state(state)
    }

    /// Attributes of the collector itself: its own, under those of `service.telemetry.resource`.
    fn resource(&self, telemetry: &TelemetryConfig) -> BTreeMap<String, String> {
        let own = [
            ("service.name", "bellwether-collector"),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &self.instance),
        ];
        let mut attributes: BTreeMap<String, String> =
            own.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        for (key, value) in &telemetry.resource {
            match value {
                Some(value) => attributes.insert(key.clone(), value.clone()),
                None => attributes.remove(key),
            };
        }
        attributes
    }
}

struct Page {
    registry: Registry,
    type_suffix: bool,
    unit_suffix: bool,
    /// Labels of every sample, rendered; may be empty.
    constant: String,
    target_info: String,
}

async fn render(State(page): State<Arc<Page>>) -> impl IntoResponse {
    let text = page.registry.render_text();
    let mut body = rewrite(&text, page.type_suffix, page.unit_suffix, &page.constant);
    body.push_str(&page.target_info);
    ([(header::CONTENT_TYPE, TEXT_CONTENT_TYPE)], body)
}

/// Names that the official collector gives a unit when its reader shows units.
const UNITS: &[(&str, &str)] = &[
    ("otelcol_process_uptime", "seconds"),
    ("otelcol_process_memory_rss", "bytes"),
    ("otelcol_process_cpu_seconds", "seconds"),
];

/// Puts suffixes on the names of a rendered page, and labels on its samples.
fn rewrite(text: &str, type_suffix: bool, unit_suffix: bool, labels: &str) -> String {
    if !type_suffix && !unit_suffix && labels.is_empty() {
        return text.to_owned();
    }
    let counters: Vec<&str> = text
        .lines()
        .filter_map(|l| l.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let rename = |name: &str| -> String {
        let mut out = name.to_owned();
        if unit_suffix
            && let Some((_, unit)) = UNITS.iter().find(|(n, _)| *n == name)
            && !name.ends_with(unit)
        {
            out.push('_');
            out.push_str(unit);
        }
        if type_suffix && counters.contains(&name) && !name.ends_with("_total") {
            out.push_str("_total");
        }
        out
    };
    let mut out = String::with_capacity(text.len() + 1024);
    for line in text.lines() {
        let comment = ["# HELP ", "# TYPE "]
            .into_iter()
            .find(|p| line.starts_with(p))
            .unwrap_or_default();
        let rest = &line[comment.len()..];
        let end = rest.find(['{', ' ']).unwrap_or(rest.len());
        out.push_str(comment);
        out.push_str(&rename(&rest[..end]));
        if comment.is_empty() {
            push_labelled(&mut out, &rest[end..], labels);
        } else {
            out.push_str(&rest[end..]);
        }
        out.push('\n');
    }
    out
}

/// Appends what follows a sample's name, with further labels.
fn push_labelled(out: &mut String, rest: &str, labels: &str) {
    match rest.rfind('}') {
        _ if labels.is_empty() => out.push_str(rest),
        // No value holds a brace: the last one ends the labels.
        Some(close) => {
            out.push_str(&rest[..close]);
            out.push(',');
            out.push_str(labels);
            out.push_str(&rest[close..]);
        }
        None => {
            out.push('{');
            out.push_str(labels);
            out.push('}');
            out.push_str(rest);
        }
    }
}

/// `a="x",b="y"` of the attributes that `keeps` takes.
fn label_text(attributes: &BTreeMap<String, String>, keeps: impl Fn(&str) -> bool) -> String {
    let translator = bellwether_otlp::translate::Translator::default();
    let labels: BTreeMap<String, &String> = attributes
        .iter()
        .filter(|(key, _)| keeps(key))
        .filter_map(|(key, value)| Some((translator.label_name(key).ok()?, value)))
        .collect();
    let mut out = String::new();
    for (name, value) in labels {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(&name);
        out.push_str("=\"");
        push_label_value(&mut out, value);
        out.push('"');
    }
    out
}

/// Uptime, CPU time and memory of the process.
fn register_process(registry: &Registry) {
    let started = Instant::now();
    let uptime = registry.counter(
        "otelcol_process_uptime",
        "Uptime of the collector in seconds.",
        &[],
    );
    let cpu = registry.counter(
        "otelcol_process_cpu_seconds",
        "CPU time of the process, user and system, in seconds.",
        &[],
    );
    let rss = registry.gauge(
        "otelcol_process_memory_rss",
        "Resident memory of the process in bytes.",
        &[],
    );
    registry.on_collect(move || {
        uptime.set_total(started.elapsed().as_secs_f64());
        if let Some(usage) = crate::process_usage::read() {
            cpu.set_total(usage.cpu_seconds);
            rss.set(usage.resident_bytes as f64);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_of_the_user_shows_suffixes() {
        let text = "# HELP otelcol_process_uptime U.\n# TYPE otelcol_process_uptime counter\notelcol_process_uptime 3\n# HELP g G\n# TYPE g gauge\ng{a=\"b\"} 1\n";
        assert_eq!(rewrite(text, false, false, ""), text);
        assert_eq!(
            rewrite(text, true, true, ""),
            "# HELP otelcol_process_uptime_seconds_total U.\n# TYPE otelcol_process_uptime_seconds_total counter\notelcol_process_uptime_seconds_total 3\n# HELP g G\n# TYPE g gauge\ng{a=\"b\"} 1\n"
        );
        assert!(rewrite(text, true, false, "").contains("\notelcol_process_uptime_total 3\n"));
    }

    #[test]
    fn the_built_in_page_names_its_collector_on_every_series() {
        use crate::config::telemetry::MetricsConfig;
        let telemetry = TelemetryConfig {
            resource: [
                ("service.version".to_owned(), None),
                ("team".to_owned(), Some("a\"b".to_owned())),
            ]
            .into(),
            ..TelemetryConfig::default()
        };
        let metrics = OwnMetrics::new();
        let labels = label_text(&metrics.resource(&telemetry), |_| true);
        let instance = &metrics.instance;
        assert_eq!(
            labels,
            format!(
                r#"service_instance_id="{instance}",service_name="bellwether-collector",team="a\"b""#
            )
        );
        let page = &MetricsConfig::default().pages()[0];
        assert_eq!(page.resource_labels.included, ["*"]);
        assert_eq!(
            rewrite(
                "# TYPE a counter\na 1\nb{x=\"}\"} 2\n",
                false,
                false,
                "l=\"v\""
            ),
            "# TYPE a counter\na{l=\"v\"} 1\nb{x=\"}\",l=\"v\"} 2\n"
        );
    }
}
