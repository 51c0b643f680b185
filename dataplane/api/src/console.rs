//! The `console` exporters: telemetry as JSON on standard output, one object
//! per line, for people who want to see it without a collector.
//!
//! The format is ours (the specification leaves it open). The opentelemetry
//! project's own console exporter prints; a library of ours does not, it
//! writes, and an output that is closed is an export error, not a panic.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use serde_json::{Map, Value, json};

/// Metrics to standard output.
#[derive(Debug)]
pub(crate) struct ConsoleMetrics {
    temporality: Temporality,
}

impl ConsoleMetrics {
    pub(crate) fn new(temporality: Temporality) -> Self {
        Self { temporality }
    }
}

impl PushMetricExporter for ConsoleMetrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let lines: Vec<Value> = metrics
            .scope_metrics()
            .flat_map(|scope| scope.metrics().map(metric_line))
            .collect();
        write_lines(&lines)
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        self.temporality
    }
}

/// Spans to standard output.
#[derive(Debug)]
pub(crate) struct ConsoleSpans;

impl SpanExporter for ConsoleSpans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let lines: Vec<Value> = batch.iter().map(span_line).collect();
        write_lines(&lines)
    }
}

/// Log records to standard output.
#[derive(Debug)]
pub(crate) struct ConsoleLogs;

impl LogExporter for ConsoleLogs {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let lines: Vec<Value> = batch
            .iter()
            .map(|(record, _)| {
                let attributes: Map<String, Value> = record
                    .attributes_iter()
                    .map(|(key, value)| (key.to_string(), json!(format!("{value:?}"))))
                    .collect();
                json!({
                    "log": record.body().map(|body| format!("{body:?}")),
                    "severity": record.severity_text(),
                    "time_unix_s": record.timestamp().map(unix_seconds),
                    "attributes": attributes,
                    "trace_id": record.trace_context().map(|c| c.trace_id.to_string()),
                })
            })
            .collect();
        write_lines(&lines)
    }
}

fn write_lines(lines: &[Value]) -> OTelSdkResult {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    // One write per batch, so that lines of parallel services do not mix.
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| OTelSdkError::InternalFailure(format!("standard output: {error}")))
}

fn unix_seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn attributes<'a>(pairs: impl Iterator<Item = &'a KeyValue>) -> Value {
    let map: Map<String, Value> = pairs
        .map(|pair| (pair.key.to_string(), json!(pair.value.to_string())))
        .collect();
    Value::Object(map)
}

fn metric_line(metric: &Metric) -> Value {
    let points = match metric.data() {
        AggregatedMetrics::F64(data) => points(data),
        AggregatedMetrics::U64(data) => points(data),
        AggregatedMetrics::I64(data) => points(data),
    };
    json!({"metric": metric.name(), "unit": metric.unit(), "points": points})
}

fn points<T: Copy + serde::Serialize>(data: &MetricData<T>) -> Vec<Value> {
    match data {
        MetricData::Gauge(gauge) => gauge
            .data_points()
            .map(|p| json!({"attributes": attributes(p.attributes()), "value": p.value()}))
            .collect(),
        MetricData::Sum(sum) => sum
            .data_points()
            .map(|p| json!({"attributes": attributes(p.attributes()), "value": p.value()}))
            .collect(),
        MetricData::Histogram(histogram) => histogram
            .data_points()
            .map(|p| {
                json!({
                    "attributes": attributes(p.attributes()),
                    "count": p.count(),
                    "sum": p.sum(),
                    "bounds": p.bounds().collect::<Vec<_>>(),
                    "buckets": p.bucket_counts().collect::<Vec<_>>(),
                })
            })
            .collect(),
        MetricData::ExponentialHistogram(histogram) => histogram
            .data_points()
            .map(|p| {
                json!({
                    "attributes": attributes(p.attributes()),
                    "count": p.count(),
                    "sum": p.sum(),
                    "scale": p.scale(),
                })
            })
            .collect(),
    }
}

fn span_line(span: &SpanData) -> Value {
    json!({
        "span": span.name,
        "kind": format!("{:?}", span.span_kind),
        "trace_id": span.span_context.trace_id().to_string(),
        "span_id": span.span_context.span_id().to_string(),
        "parent_span_id": span.parent_span_id.to_string(),
        "start_unix_s": unix_seconds(span.start_time),
        "end_unix_s": unix_seconds(span.end_time),
        "status": format!("{:?}", span.status),
        "attributes": attributes(span.attributes.iter()),
    })
}
