//! `verbosity: basic` and `normal`: counts, and one line per item.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric, number_data_point};

use crate::pipeline::{Batch, Decoded};
use crate::processors::text_of;

/// One line with counts.
pub(super) fn counts(batch: &Batch) -> String {
    let items = batch.items();
    match batch.decoded() {
        Decoded::Metrics(request) => {
            let metrics: usize = request
                .resource_metrics
                .iter()
                .flat_map(|r| &r.scope_metrics)
                .map(|s| s.metrics.len())
                .sum();
            let resources = request.resource_metrics.len();
            format!("Metrics: resource metrics {resources}, metrics {metrics}, data points {items}")
        }
        Decoded::Traces(request) => {
            format!(
                "Traces: resource spans {}, spans {items}",
                request.resource_spans.len()
            )
        }
        Decoded::Logs(request) => {
            format!(
                "Logs: resource logs {}, log records {items}",
                request.resource_logs.len()
            )
        }
    }
}

/// A value without its type.
pub(super) fn value_text(value: Option<&Value>) -> String {
    value.map(text_of).unwrap_or_default()
}

fn pairs(attributes: &[KeyValue]) -> String {
    let mut out = String::new();
    for kv in attributes {
        let value = value_text(kv.value.as_ref().and_then(|v| v.value.as_ref()));
        let _ = write!(out, " {}={value}", kv.key);
    }
    out
}

fn number(value: Option<number_data_point::Value>) -> String {
    match value {
        Some(number_data_point::Value::AsInt(v)) => v.to_string(),
        Some(number_data_point::Value::AsDouble(v)) => v.to_string(),
        None => "(no value)".to_owned(),
    }
}

/// One line per data point, span or log record.
pub(super) fn normal(decoded: &Decoded) -> String {
    let mut out = String::new();
    match decoded {
        Decoded::Metrics(request) => {
            let metrics = request
                .resource_metrics
                .iter()
                .flat_map(|r| &r.scope_metrics)
                .flat_map(|s| &s.metrics);
            for metric in metrics {
                points(metric, |text, attributes| {
                    let _ = writeln!(out, "{}{} {text}", metric.name, pairs(attributes));
                });
            }
        }
        Decoded::Traces(request) => {
            let spans = request
                .resource_spans
                .iter()
                .flat_map(|r| &r.scope_spans)
                .flat_map(|s| &s.spans);
            for span in spans {
                let (trace, id) = (hex(&span.trace_id), hex(&span.span_id));
                let _ = writeln!(out, "{} {trace} {id}{}", span.name, pairs(&span.attributes));
            }
        }
        Decoded::Logs(request) => {
            let records = request
                .resource_logs
                .iter()
                .flat_map(|r| &r.scope_logs)
                .flat_map(|s| &s.log_records);
            for record in records {
                let body = value_text(record.body.as_ref().and_then(|b| b.value.as_ref()));
                let _ = writeln!(out, "{body}{}", pairs(&record.attributes));
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// Calls `line` with the value and attributes of every data point.
fn points(metric: &Metric, mut line: impl FnMut(String, &[KeyValue])) {
    match &metric.data {
        Some(metric::Data::Gauge(d)) => {
            d.data_points
                .iter()
                .for_each(|p| line(number(p.value), &p.attributes));
        }
        Some(metric::Data::Sum(d)) => {
            d.data_points
                .iter()
                .for_each(|p| line(number(p.value), &p.attributes));
        }
        Some(metric::Data::Histogram(d)) => {
            for p in &d.data_points {
                let mut text = format!("count={} sum={}", p.count, p.sum.unwrap_or_default());
                for (bound, count) in p.explicit_bounds.iter().zip(&p.bucket_counts) {
                    let _ = write!(text, " le{bound}={count}");
                }
                line(text, &p.attributes);
            }
        }
        Some(metric::Data::ExponentialHistogram(d)) => {
            for p in &d.data_points {
                let sum = p.sum.unwrap_or_default();
                line(
                    format!("count={} sum={sum} scale={}", p.count, p.scale),
                    &p.attributes,
                );
            }
        }
        Some(metric::Data::Summary(d)) => {
            for p in &d.data_points {
                let mut text = format!("count={} sum={}", p.count, p.sum);
                for q in &p.quantile_values {
                    let _ = write!(text, " q{}={}", q.quantile, q.value);
                }
                line(text, &p.attributes);
            }
        }
        None => {}
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
