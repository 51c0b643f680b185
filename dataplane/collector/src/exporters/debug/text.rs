//! The texts of the three verbosities.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Metric, exemplar, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;

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

fn value_text(value: Option<&Value>) -> String {
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

/// All fields, indented.
pub(super) fn detailed(decoded: &Decoded) -> String {
    let mut out = String::new();
    match decoded {
        Decoded::Metrics(request) => {
            for (index, resource) in request.resource_metrics.iter().enumerate() {
                head(
                    &mut out,
                    "ResourceMetrics",
                    index,
                    resource.resource.as_ref(),
                    &resource.schema_url,
                );
                for (index, scope) in resource.scope_metrics.iter().enumerate() {
                    scope_head(
                        &mut out,
                        "ScopeMetrics",
                        index,
                        scope.scope.as_ref(),
                        &scope.schema_url,
                    );
                    for (index, metric) in scope.metrics.iter().enumerate() {
                        detailed_metric(&mut out, index, metric);
                    }
                }
            }
        }
        Decoded::Traces(request) => {
            for (index, resource) in request.resource_spans.iter().enumerate() {
                head(
                    &mut out,
                    "ResourceSpans",
                    index,
                    resource.resource.as_ref(),
                    &resource.schema_url,
                );
                for (index, scope) in resource.scope_spans.iter().enumerate() {
                    scope_head(
                        &mut out,
                        "ScopeSpans",
                        index,
                        scope.scope.as_ref(),
                        &scope.schema_url,
                    );
                    for (index, span) in scope.spans.iter().enumerate() {
                        detailed_span(&mut out, index, span);
                    }
                }
            }
        }
        Decoded::Logs(request) => {
            for (index, resource) in request.resource_logs.iter().enumerate() {
                head(
                    &mut out,
                    "ResourceLogs",
                    index,
                    resource.resource.as_ref(),
                    &resource.schema_url,
                );
                for (index, scope) in resource.scope_logs.iter().enumerate() {
                    scope_head(
                        &mut out,
                        "ScopeLogs",
                        index,
                        scope.scope.as_ref(),
                        &scope.schema_url,
                    );
                    for (index, record) in scope.log_records.iter().enumerate() {
                        detailed_record(&mut out, index, record);
                    }
                }
            }
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn head(out: &mut String, kind: &str, index: usize, resource: Option<&Resource>, schema: &str) {
    let _ = writeln!(out, "{kind} #{index}");
    field(out, "Resource SchemaURL", schema);
    let attributes = resource
        .map(|r| r.attributes.as_slice())
        .unwrap_or_default();
    attribute_list(out, "Resource attributes", attributes);
}

fn scope_head(
    out: &mut String,
    kind: &str,
    index: usize,
    scope: Option<&InstrumentationScope>,
    schema: &str,
) {
    let _ = writeln!(out, "{kind} #{index}");
    field(out, "Scope SchemaURL", schema);
    if let Some(scope) = scope {
        let _ = writeln!(out, "InstrumentationScope {} {}", scope.name, scope.version);
        attribute_list(out, "Scope attributes", &scope.attributes);
    }
}

fn field(out: &mut String, name: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "{name}: {value}");
}

fn attribute_list(out: &mut String, title: &str, attributes: &[KeyValue]) {
    if attributes.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}:");
    for kv in attributes {
        let value = kv.value.as_ref().and_then(|v| v.value.as_ref());
        let kind = match value {
            None => "Empty",
            Some(Value::StringValue(_)) => "Str",
            Some(Value::BoolValue(_)) => "Bool",
            Some(Value::IntValue(_)) => "Int",
            Some(Value::DoubleValue(_)) => "Double",
            Some(Value::ArrayValue(_)) => "Slice",
            Some(Value::KvlistValue(_)) => "Map",
            Some(_) => "Bytes",
        };
        let _ = writeln!(out, "     -> {}: {kind}({})", kv.key, value_text(value));
    }
}

fn detailed_metric(out: &mut String, index: usize, metric: &Metric) {
    let _ = writeln!(out, "Metric #{index}\nDescriptor:");
    field(out, "     -> Name", &metric.name);
    field(out, "     -> Description", &metric.description);
    field(out, "     -> Unit", &metric.unit);
    let temporality = |raw: i32| {
        AggregationTemporality::try_from(raw)
            .unwrap_or(AggregationTemporality::Unspecified)
            .as_str_name()
    };
    let (kind, temporality, monotonic) = match &metric.data {
        None => ("Empty", None, None),
        Some(metric::Data::Gauge(_)) => ("Gauge", None, None),
        Some(metric::Data::Sum(d)) => (
            "Sum",
            Some(temporality(d.aggregation_temporality)),
            Some(d.is_monotonic),
        ),
        Some(metric::Data::Histogram(d)) => (
            "Histogram",
            Some(temporality(d.aggregation_temporality)),
            None,
        ),
        Some(metric::Data::ExponentialHistogram(d)) => (
            "ExponentialHistogram",
            Some(temporality(d.aggregation_temporality)),
            None,
        ),
        Some(metric::Data::Summary(_)) => ("Summary", None, None),
    };
    field(out, "     -> DataType", kind);
    if let Some(monotonic) = monotonic {
        field(out, "     -> IsMonotonic", monotonic);
    }
    if let Some(temporality) = temporality {
        field(out, "     -> AggregationTemporality", temporality);
    }
    detailed_points(out, metric);
}

fn detailed_points(out: &mut String, metric: &Metric) {
    let start = |out: &mut String, index: usize, attributes: &[KeyValue], from: u64, to: u64| {
        let _ = writeln!(out, "Data point #{index}");
        attribute_list(out, "Data point attributes", attributes);
        field(out, "StartTimestamp", time(from));
        field(out, "Timestamp", time(to));
    };
    match &metric.data {
        Some(metric::Data::Gauge(metric_points)) => {
            for (i, p) in metric_points.data_points.iter().enumerate() {
                start(
                    out,
                    i,
                    &p.attributes,
                    p.start_time_unix_nano,
                    p.time_unix_nano,
                );
                field(out, "Value", number(p.value));
                exemplars(out, &p.exemplars);
            }
        }
        Some(metric::Data::Sum(sum)) => {
            for (i, p) in sum.data_points.iter().enumerate() {
                start(
                    out,
                    i,
                    &p.attributes,
                    p.start_time_unix_nano,
                    p.time_unix_nano,
                );
                field(out, "Value", number(p.value));
                exemplars(out, &p.exemplars);
            }
        }
        Some(metric::Data::Histogram(histogram)) => {
            for (i, p) in histogram.data_points.iter().enumerate() {
                start(
                    out,
                    i,
                    &p.attributes,
                    p.start_time_unix_nano,
                    p.time_unix_nano,
                );
                field(out, "Count", p.count);
                for (name, value) in [("Sum", p.sum), ("Min", p.min), ("Max", p.max)] {
                    if let Some(value) = value {
                        field(out, name, value);
                    }
                }
                for (i, bound) in p.explicit_bounds.iter().enumerate() {
                    let _ = writeln!(out, "ExplicitBounds #{i}: {bound}");
                }
                for (i, count) in p.bucket_counts.iter().enumerate() {
                    let _ = writeln!(out, "Buckets #{i}, Count: {count}");
                }
                exemplars(out, &p.exemplars);
            }
        }
        Some(metric::Data::ExponentialHistogram(histogram)) => {
            for (i, p) in histogram.data_points.iter().enumerate() {
                start(
                    out,
                    i,
                    &p.attributes,
                    p.start_time_unix_nano,
                    p.time_unix_nano,
                );
                field(out, "Count", p.count);
                field(out, "Sum", p.sum.unwrap_or_default());
                field(out, "Scale", p.scale);
                field(out, "ZeroCount", p.zero_count);
                for (name, buckets) in [("Positive", &p.positive), ("Negative", &p.negative)] {
                    if let Some(b) = buckets {
                        let _ = writeln!(
                            out,
                            "{name}: offset {}, counts {:?}",
                            b.offset, b.bucket_counts
                        );
                    }
                }
                exemplars(out, &p.exemplars);
            }
        }
        Some(metric::Data::Summary(summary)) => {
            for (i, p) in summary.data_points.iter().enumerate() {
                start(
                    out,
                    i,
                    &p.attributes,
                    p.start_time_unix_nano,
                    p.time_unix_nano,
                );
                field(out, "Count", p.count);
                field(out, "Sum", p.sum);
                for (i, q) in p.quantile_values.iter().enumerate() {
                    let _ = writeln!(
                        out,
                        "QuantileValue #{i}: Quantile {}, Value {}",
                        q.quantile, q.value
                    );
                }
            }
        }
        None => {}
    }
}

fn exemplars(out: &mut String, list: &[opentelemetry_proto::tonic::metrics::v1::Exemplar]) {
    for (index, exemplar) in list.iter().enumerate() {
        let value = match exemplar.value {
            Some(exemplar::Value::AsDouble(v)) => v.to_string(),
            Some(exemplar::Value::AsInt(v)) => v.to_string(),
            None => String::new(),
        };
        let (trace, span) = (hex(&exemplar.trace_id), hex(&exemplar.span_id));
        let _ = writeln!(
            out,
            "Exemplar #{index}: Trace ID {trace}, Span ID {span}, Value {value}"
        );
    }
}

fn detailed_span(out: &mut String, index: usize, span: &Span) {
    let _ = writeln!(out, "Span #{index}");
    field(out, "    Trace ID       ", hex(&span.trace_id));
    field(out, "    Parent ID      ", hex(&span.parent_span_id));
    field(out, "    ID             ", hex(&span.span_id));
    field(out, "    Name           ", &span.name);
    field(out, "    Kind           ", span.kind().as_str_name());
    field(out, "    Start time     ", time(span.start_time_unix_nano));
    field(out, "    End time       ", time(span.end_time_unix_nano));
    if let Some(status) = &span.status {
        field(out, "    Status code    ", status.code().as_str_name());
        field(out, "    Status message ", &status.message);
    }
    attribute_list(out, "Attributes", &span.attributes);
    for (index, event) in span.events.iter().enumerate() {
        let _ = writeln!(
            out,
            "SpanEvent #{index}: {} at {}",
            event.name,
            time(event.time_unix_nano)
        );
        attribute_list(out, "Event attributes", &event.attributes);
    }
    for (index, link) in span.links.iter().enumerate() {
        let _ = writeln!(
            out,
            "SpanLink #{index}: {} {}",
            hex(&link.trace_id),
            hex(&link.span_id)
        );
        attribute_list(out, "Link attributes", &link.attributes);
    }
}

fn detailed_record(out: &mut String, index: usize, record: &LogRecord) {
    let _ = writeln!(out, "LogRecord #{index}");
    field(
        out,
        "ObservedTimestamp",
        time(record.observed_time_unix_nano),
    );
    field(out, "Timestamp", time(record.time_unix_nano));
    let _ = writeln!(
        out,
        "Severity: {} ({})",
        record.severity_text, record.severity_number
    );
    field(
        out,
        "Body",
        value_text(record.body.as_ref().and_then(|b| b.value.as_ref())),
    );
    attribute_list(out, "Attributes", &record.attributes);
    field(out, "Trace ID", hex(&record.trace_id));
    field(out, "Span ID", hex(&record.span_id));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn time(ns: u64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns))
        .map_or_else(|_| ns.to_string(), |t| t.to_string())
}
