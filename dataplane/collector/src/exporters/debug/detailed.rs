//! `verbosity: detailed`: all fields, in the layout that tutorials of the official collector show.

use std::fmt::{Display, Write as _};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric,
    NumberDataPoint, exemplar, exponential_histogram_data_point::Buckets, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;

use super::text::{hex, value_text};
use crate::pipeline::Decoded;

/// The whole request.
pub(super) fn detailed(decoded: &Decoded) -> String {
    let mut out = String::new();
    let o = &mut out;
    match decoded {
        Decoded::Metrics(request) => {
            for (index, r) in request.resource_metrics.iter().enumerate() {
                resource_head(
                    o,
                    "ResourceMetrics",
                    index,
                    r.resource.as_ref(),
                    &r.schema_url,
                );
                for (index, s) in r.scope_metrics.iter().enumerate() {
                    scope_head(o, "ScopeMetrics", index, s.scope.as_ref(), &s.schema_url);
                    each(&s.metrics, |index, metric| write_metric(o, index, metric));
                }
            }
        }
        Decoded::Traces(request) => {
            for (index, r) in request.resource_spans.iter().enumerate() {
                resource_head(
                    o,
                    "ResourceSpans",
                    index,
                    r.resource.as_ref(),
                    &r.schema_url,
                );
                for (index, s) in r.scope_spans.iter().enumerate() {
                    scope_head(o, "ScopeSpans", index, s.scope.as_ref(), &s.schema_url);
                    each(&s.spans, |index, span| write_span(o, index, span));
                }
            }
        }
        Decoded::Logs(request) => {
            for (index, r) in request.resource_logs.iter().enumerate() {
                resource_head(o, "ResourceLog", index, r.resource.as_ref(), &r.schema_url);
                for (index, s) in r.scope_logs.iter().enumerate() {
                    scope_head(o, "ScopeLogs", index, s.scope.as_ref(), &s.schema_url);
                    each(&s.log_records, |index, record| {
                        write_record(o, index, record);
                    });
                }
            }
        }
    }
    out
}

fn each<T>(items: &[T], mut write: impl FnMut(usize, &T)) {
    for (index, item) in items.iter().enumerate() {
        write(index, item);
    }
}

fn resource_head(
    out: &mut String,
    kind: &str,
    index: usize,
    resource: Option<&Resource>,
    schema: &str,
) {
    let _ = writeln!(out, "{kind} #{index}");
    field(out, "Resource SchemaURL", schema);
    let attributes = resource.map(|r| r.attributes.as_slice());
    list(
        out,
        "Resource attributes:",
        "",
        attributes.unwrap_or_default(),
    );
}

fn scope_head(
    out: &mut String,
    kind: &str,
    index: usize,
    scope: Option<&InstrumentationScope>,
    schema: &str,
) {
    let _ = writeln!(out, "{kind} #{index}\n{kind} SchemaURL: {schema}");
    let Some(scope) = scope else {
        let _ = writeln!(out, "InstrumentationScope ");
        return;
    };
    let _ = writeln!(out, "InstrumentationScope {} {}", scope.name, scope.version);
    list(
        out,
        "InstrumentationScope attributes:",
        "",
        &scope.attributes,
    );
}

fn field(out: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(out, "{name}: {value}");
}

/// Attributes below a title; nothing when there are none.
fn list(out: &mut String, title: &str, indent: &str, attributes: &[KeyValue]) {
    if attributes.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}");
    for kv in attributes {
        let value = kv.value.as_ref().and_then(|v| v.value.as_ref());
        let _ = writeln!(out, "{indent}     -> {}: {}", kv.key, typed(value));
    }
}

/// A value with its type: `Str(x)`.
fn typed(value: Option<&Value>) -> String {
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
    format!("{kind}({})", value_text(value))
}

fn write_metric(out: &mut String, index: usize, metric: &Metric) {
    let _ = writeln!(out, "Metric #{index}\nDescriptor:");
    field(out, "     -> Name", &metric.name);
    field(out, "     -> Description", &metric.description);
    field(out, "     -> Unit", &metric.unit);
    field(out, "     -> DataType", data_type(metric));
    if let Some(metric::Data::Sum(sum)) = &metric.data {
        field(out, "     -> IsMonotonic", sum.is_monotonic);
    }
    let temporality = match &metric.data {
        Some(metric::Data::Sum(d)) => Some(d.aggregation_temporality),
        Some(metric::Data::Histogram(d)) => Some(d.aggregation_temporality),
        Some(metric::Data::ExponentialHistogram(d)) => Some(d.aggregation_temporality),
        _ => None,
    };
    if let Some(raw) = temporality {
        let name = AggregationTemporality::try_from(raw).unwrap_or_default();
        let name = word(name.as_str_name(), "AGGREGATION_TEMPORALITY_");
        field(out, "     -> AggregationTemporality", name);
    }
    write_points(out, metric);
}

fn data_type(metric: &Metric) -> &'static str {
    match &metric.data {
        None => "Empty",
        Some(metric::Data::Gauge(_)) => "Gauge",
        Some(metric::Data::Sum(_)) => "Sum",
        Some(metric::Data::Histogram(_)) => "Histogram",
        Some(metric::Data::ExponentialHistogram(_)) => "ExponentialHistogram",
        Some(metric::Data::Summary(_)) => "Summary",
    }
}

fn write_points(out: &mut String, metric: &Metric) {
    match &metric.data {
        None => {}
        Some(metric::Data::Gauge(d)) => {
            each(&d.data_points, |index, p| write_number(out, index, p));
        }
        Some(metric::Data::Sum(d)) => {
            each(&d.data_points, |index, p| write_number(out, index, p));
        }
        Some(metric::Data::Histogram(d)) => {
            each(&d.data_points, |index, p| write_histogram(out, index, p));
        }
        Some(metric::Data::ExponentialHistogram(d)) => {
            each(&d.data_points, |index, p| write_exponential(out, index, p));
        }
        Some(metric::Data::Summary(d)) => {
            for (index, p) in d.data_points.iter().enumerate() {
                let times = (p.start_time_unix_nano, p.time_unix_nano);
                point_head(out, "SummaryDataPoints", index, &p.attributes, times);
                field(out, "Count", p.count);
                field(out, "Sum", float(p.sum));
                for (i, q) in p.quantile_values.iter().enumerate() {
                    let (quantile, value) = (float(q.quantile), float(q.value));
                    let _ = writeln!(
                        out,
                        "QuantileValue #{i}: Quantile {quantile}, Value {value}"
                    );
                }
            }
        }
    }
}

fn point_head(
    out: &mut String,
    kind: &str,
    index: usize,
    attributes: &[KeyValue],
    (start, end): (u64, u64),
) {
    let _ = writeln!(out, "{kind} #{index}");
    list(out, "Data point attributes:", "", attributes);
    field(out, "StartTimestamp", time(start));
    field(out, "Timestamp", time(end));
}

fn write_number(out: &mut String, index: usize, p: &NumberDataPoint) {
    let times = (p.start_time_unix_nano, p.time_unix_nano);
    point_head(out, "NumberDataPoints", index, &p.attributes, times);
    match p.value {
        Some(number_data_point::Value::AsInt(value)) => field(out, "Value", value),
        Some(number_data_point::Value::AsDouble(value)) => field(out, "Value", float(value)),
        None => field(out, "Value", "(none)"),
    }
    write_exemplars(out, &p.exemplars);
}

/// `Count`, and what of `Sum`, `Min` and `Max` is there.
fn write_totals(out: &mut String, count: u64, totals: [Option<f64>; 3]) {
    field(out, "Count", count);
    for (name, value) in ["Sum", "Min", "Max"].into_iter().zip(totals) {
        if let Some(value) = value {
            field(out, name, float(value));
        }
    }
}

fn write_histogram(out: &mut String, index: usize, p: &HistogramDataPoint) {
    let times = (p.start_time_unix_nano, p.time_unix_nano);
    point_head(out, "HistogramDataPoints", index, &p.attributes, times);
    write_totals(out, p.count, [p.sum, p.min, p.max]);
    for (i, bound) in p.explicit_bounds.iter().enumerate() {
        let _ = writeln!(out, "ExplicitBounds #{i}: {}", float(*bound));
    }
    for (i, count) in p.bucket_counts.iter().enumerate() {
        let _ = writeln!(out, "Buckets #{i}, Count: {count}");
    }
    write_exemplars(out, &p.exemplars);
}

fn write_exponential(out: &mut String, index: usize, p: &ExponentialHistogramDataPoint) {
    let times = (p.start_time_unix_nano, p.time_unix_nano);
    let kind = "ExponentialHistogramDataPoints";
    point_head(out, kind, index, &p.attributes, times);
    write_totals(out, p.count, [p.sum, p.min, p.max]);
    field(out, "Scale", p.scale);
    for (lower, upper, count) in buckets(p.negative.as_ref(), p.scale).into_iter().rev() {
        let (lower, upper) = (float(lower), float(upper));
        let _ = writeln!(out, "Bucket [-{upper}, -{lower}), Count: {count}");
    }
    if p.zero_count > 0 {
        let _ = writeln!(out, "Bucket [0, 0], Count: {}", p.zero_count);
    }
    for (lower, upper, count) in buckets(p.positive.as_ref(), p.scale) {
        let (lower, upper) = (float(lower), float(upper));
        let _ = writeln!(out, "Bucket ({lower}, {upper}], Count: {count}");
    }
    write_exemplars(out, &p.exemplars);
}

/// Bounds and counts of the buckets that are not empty. Bucket i reaches from base^i to base^(i+1),
/// with the base 2^(2^-scale).
fn buckets(buckets: Option<&Buckets>, scale: i32) -> Vec<(f64, f64, u64)> {
    let exponent = 2f64.powi(-scale);
    let bound = |index: i64| (index as f64 * exponent).exp2();
    let Some(buckets) = buckets else {
        return Vec::new();
    };
    (i64::from(buckets.offset)..)
        .zip(&buckets.bucket_counts)
        .filter(|(_, count)| **count > 0)
        .map(|(index, count)| (bound(index), bound(index + 1), *count))
        .collect()
}

fn write_exemplars(out: &mut String, exemplars: &[Exemplar]) {
    if exemplars.is_empty() {
        return;
    }
    out.push_str("Exemplars:\n");
    for (index, exemplar) in exemplars.iter().enumerate() {
        let _ = writeln!(out, "Exemplar #{index}");
        field(out, "     -> Trace ID", hex(&exemplar.trace_id));
        field(out, "     -> Span ID", hex(&exemplar.span_id));
        field(out, "     -> Timestamp", time(exemplar.time_unix_nano));
        match exemplar.value {
            Some(exemplar::Value::AsInt(value)) => field(out, "     -> Value", value),
            Some(exemplar::Value::AsDouble(value)) => field(out, "     -> Value", float(value)),
            None => {}
        }
        let title = "     -> FilteredAttributes:";
        list(out, title, "     ", &exemplar.filtered_attributes);
    }
}

fn write_span(out: &mut String, index: usize, span: &Span) {
    let _ = writeln!(out, "Span #{index}");
    let kind = word(span.kind().as_str_name(), "SPAN_KIND_");
    field(out, "    Trace ID       ", hex(&span.trace_id));
    field(out, "    Parent ID      ", hex(&span.parent_span_id));
    field(out, "    ID             ", hex(&span.span_id));
    field(out, "    Name           ", &span.name);
    field(out, "    Kind           ", kind);
    if !span.trace_state.is_empty() {
        field(out, "    TraceState     ", &span.trace_state);
    }
    field(out, "    Start time     ", time(span.start_time_unix_nano));
    field(out, "    End time       ", time(span.end_time_unix_nano));
    let status = span.status.clone().unwrap_or_default();
    let code = word(status.code().as_str_name(), "STATUS_CODE_");
    field(out, "    Status code    ", code);
    field(out, "    Status message ", &status.message);
    list(out, "Attributes:", "", &span.attributes);
    if !span.events.is_empty() {
        out.push_str("Events:\n");
    }
    for (index, event) in span.events.iter().enumerate() {
        let _ = writeln!(out, "SpanEvent #{index}");
        field(out, "     -> Name", &event.name);
        field(out, "     -> Timestamp", time(event.time_unix_nano));
        list(out, "     -> Attributes::", "     ", &event.attributes);
    }
    if !span.links.is_empty() {
        out.push_str("Links:\n");
    }
    for (index, link) in span.links.iter().enumerate() {
        let _ = writeln!(out, "SpanLink #{index}");
        field(out, "     -> Trace ID", hex(&link.trace_id));
        field(out, "     -> ID", hex(&link.span_id));
        field(out, "     -> TraceState", &link.trace_state);
        list(out, "     -> Attributes::", "     ", &link.attributes);
    }
}

fn write_record(out: &mut String, index: usize, record: &LogRecord) {
    let _ = writeln!(out, "LogRecord #{index}");
    let observed = time(record.observed_time_unix_nano);
    field(out, "ObservedTimestamp", observed);
    field(out, "Timestamp", time(record.time_unix_nano));
    field(out, "SeverityText", &record.severity_text);
    let severity = word(record.severity_number().as_str_name(), "SEVERITY_NUMBER_");
    let number = record.severity_number;
    field(out, "SeverityNumber", format_args!("{severity}({number})"));
    if !record.event_name.is_empty() {
        field(out, "EventName", &record.event_name);
    }
    let body = record.body.as_ref().and_then(|b| b.value.as_ref());
    field(out, "Body", typed(body));
    list(out, "Attributes:", "", &record.attributes);
    field(out, "Trace ID", hex(&record.trace_id));
    field(out, "Span ID", hex(&record.span_id));
    field(out, "Flags", record.flags);
}

/// The name of an enum's value as a word: `SPAN_KIND_SERVER` is `Server`.
fn word(name: &str, prefix: &str) -> String {
    let name = name.strip_prefix(prefix).unwrap_or(name);
    let mut word = name.to_ascii_lowercase();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

/// Six decimals.
fn float(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    format!("{value:.6}")
}

/// `2027-01-15 08:00:00.5 +0000 UTC`.
fn time(ns: u64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(
        |_| ns.to_string(),
        |t| t.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
    )
}
