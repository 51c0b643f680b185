//! The collector's metrics about itself, under the official names.
//!
//! The built-in page on port 8888 shows counters without `_total` and without units, as the official
//! collector's default reader does; a reader that the user wrote decides for itself. Both forms come
//! from one registry: names are rewritten while the page is rendered.

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

/// Bounds of the batch size histogram, in items.
const BATCH_SIZE_BOUNDS: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0,
    6000.0, 7000.0, 8000.0, 9000.0, 10_000.0, 20_000.0, 30_000.0, 50_000.0, 100_000.0,
];

/// Registry and labels of one collector. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct OwnMetrics {
    registry: Registry,
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
        Self { registry }
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
        let target_info = target_info(telemetry);
        let state = Arc::new(Page {
            registry: self.registry.clone(),
            type_suffix: page.type_suffix,
            unit_suffix: page.unit_suffix,
            target_info,
        });
        Router::new()
            .route("/metrics", get(render))
            .with_state(state)
    }
}

struct Page {
    registry: Registry,
    type_suffix: bool,
    unit_suffix: bool,
    target_info: String,
}

async fn render(State(page): State<Arc<Page>>) -> impl IntoResponse {
    let text = page.registry.render_text();
    let mut body = rewrite(&text, page.type_suffix, page.unit_suffix);
    body.push_str(&page.target_info);
    ([(header::CONTENT_TYPE, TEXT_CONTENT_TYPE)], body)
}

/// Names that the official collector gives a unit when its reader shows units.
const UNITS: &[(&str, &str)] = &[
    ("otelcol_process_uptime", "seconds"),
    ("otelcol_process_memory_rss", "bytes"),
    ("otelcol_process_cpu_seconds", "seconds"),
];

/// Puts suffixes on the names of a rendered page.
fn rewrite(text: &str, type_suffix: bool, unit_suffix: bool) -> String {
    if !type_suffix && !unit_suffix {
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
        out.push_str(&rest[end..]);
        out.push('\n');
    }
    out
}

/// `target_info` with the attributes of `service.telemetry.resource`.
fn target_info(telemetry: &TelemetryConfig) -> String {
    let mut labels: Vec<(String, String)> = [
        ("service_name", "bellwether-collector"),
        ("service_version", env!("CARGO_PKG_VERSION")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let translator = bellwether_otlp::translate::Translator::default();
    for (key, value) in &telemetry.resource {
        let Ok(name) = translator.label_name(key) else {
            continue;
        };
        labels.retain(|(existing, _)| *existing != name);
        if let Some(value) = value {
            labels.push((name, value.clone()));
        }
    }
    labels.sort();
    let mut out =
        String::from("# HELP target_info Target metadata\n# TYPE target_info gauge\ntarget_info{");
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        crate::exporters::prometheus::text::push_label_value(&mut out, value);
        out.push('"');
    }
    out.push_str("} 1\n");
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
        assert_eq!(rewrite(text, false, false), text);
        assert_eq!(
            rewrite(text, true, true),
            "# HELP otelcol_process_uptime_seconds_total U.\n# TYPE otelcol_process_uptime_seconds_total counter\notelcol_process_uptime_seconds_total 3\n# HELP g G\n# TYPE g gauge\ng{a=\"b\"} 1\n"
        );
        assert!(rewrite(text, true, false).contains("\notelcol_process_uptime_total 3\n"));
    }
}
