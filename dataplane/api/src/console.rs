//! The `console` exporters: telemetry as JSON on standard output, one object
//! per line, for people who want to see it without a collector.
//!
//! The format is ours (the specification leaves it open). The opentelemetry
//! project's own console exporter prints; a library of ours does not, it
//! writes, and an output that is closed is an export error, not a panic.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{LogBatch, LogExporter};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

/// Where the lines go. Clones share one destination.
#[derive(Clone)]
pub(crate) struct Sink(Arc<Mutex<dyn Write + Send>>);

impl Sink {
    /// Standard output.
    pub(crate) fn stdout() -> Self {
        Self::new(std::io::stdout())
    }

    pub(crate) fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Writes one batch at once, so that lines of parallel services do not mix.
    fn write(&self, lines: &[Value]) -> OTelSdkResult {
        let mut text = String::new();
        for line in lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
        let mut out = self.0.lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| OTelSdkError::InternalFailure(format!("console output: {error}")))
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink(..)")
    }
}

/// Metrics as lines.
#[derive(Debug)]
pub(crate) struct ConsoleMetrics {
    pub(crate) sink: Sink,
    pub(crate) temporality: Temporality,
}

impl PushMetricExporter for ConsoleMetrics {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let lines: Vec<Value> = metrics
            .scope_metrics()
            .flat_map(|scope| scope.metrics().map(metric_line))
            .collect();
        self.sink.write(&lines)
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

/// Spans as lines.
#[derive(Debug)]
pub(crate) struct ConsoleSpans(pub(crate) Sink);

impl SpanExporter for ConsoleSpans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let lines: Vec<Value> = batch.iter().map(span_line).collect();
        self.0.write(&lines)
    }
}

/// Log records as lines.
#[derive(Debug)]
pub(crate) struct ConsoleLogs(pub(crate) Sink);

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
        self.0.write(&lines)
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use opentelemetry::logs::{AnyValue, LogRecord, Logger, LoggerProvider};
    use opentelemetry::metrics::MeterProvider;
    use opentelemetry::trace::{Span, Tracer, TracerProvider};
    use opentelemetry_sdk::logs::SdkLoggerProvider;
    use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Buffer {
        fn lines(&self) -> Vec<Value> {
            String::from_utf8(self.0.lock().clone())
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect()
        }
    }

    #[test]
    fn each_signal_becomes_json_lines() {
        let buffer = Buffer::default();
        let sink = Sink::new(buffer.clone());
        let metrics = ConsoleMetrics {
            sink: sink.clone(),
            temporality: Temporality::Cumulative,
        };
        let meters = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(metrics).build())
            .build();
        let meter = meters.meter("test");
        let pair = [KeyValue::new("k", "v")];
        meter.u64_counter("counted").build().add(3, &pair);
        meter.f64_histogram("timed").build().record(1.5, &pair);
        meters.shutdown().unwrap();
        let tracers = SdkTracerProvider::builder()
            .with_simple_exporter(ConsoleSpans(sink.clone()))
            .build();
        tracers.tracer("test").start("work").end();
        let loggers = SdkLoggerProvider::builder()
            .with_simple_exporter(ConsoleLogs(sink))
            .build();
        let logger = loggers.logger("test");
        let mut record = logger.create_log_record();
        record.set_body(AnyValue::from("said"));
        logger.emit(record);

        let lines = buffer.lines();
        let named = |key: &str, name: &str| {
            let found = lines.iter().find(|line| line[key] == name);
            found.unwrap_or_else(|| panic!("no {name} in {lines:?}"))
        };
        let counted = named("metric", "counted");
        assert_eq!(counted["points"][0]["value"], 3);
        assert_eq!(counted["points"][0]["attributes"]["k"], "v");
        assert_eq!(named("metric", "timed")["points"][0]["sum"], 1.5);
        assert_eq!(named("span", "work")["kind"], "Internal");
        assert!(lines[3]["log"].as_str().unwrap().contains("said"));
    }
}
