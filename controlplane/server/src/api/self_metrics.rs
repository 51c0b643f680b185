//! `/status/self_metrics`: the server's own metrics as JSON, in the form in which protobuf is written as JSON.

use axum::extract::State;
use axum::response::Response;
use bellwether_exposition::{Entry, Format, Parser, SeriesLine};
use bellwether_model::re2::Re2;
use bellwether_model::{MetricType, float};

use super::Ready;
use super::error::ApiError;
use super::json;
use super::members::{push_list, push_name, push_text};
use super::params::Params;
use crate::state::Shared;

/// A family of metrics as it stands on the page.
#[derive(Default)]
struct Family {
    name: String,
    help: String,
    kind: MetricType,
    metrics: Vec<Metric>,
}

/// A metric: what has the same labels besides `le` and `quantile`.
#[derive(Default)]
struct Metric {
    labels: Vec<(String, String)>,
    value: f64,
    count: f64,
    sum: f64,
    /// Upper bounds and cumulative counts, or quantiles and values.
    parts: Vec<(f64, f64)>,
}

pub(crate) async fn self_metrics(
    State(state): Shared,
    _: Ready,
    params: Params,
) -> Result<Response, ApiError> {
    let wanted = match params.get("metric_name_pattern") {
        "" => None,
        pattern => Some(
            Re2::anchored(pattern)
                .map_err(|e| ApiError::bad_data(format!("invalid metric_name_pattern: {e}")))?,
        ),
    };
    let page = state.registry.render_text();
    let families = families(&page)
        .map_err(|e| ApiError::internal(format!("error gathering self metrics: {e}")))?;
    let shown = families
        .iter()
        .filter(|f| wanted.as_ref().is_none_or(|w| w.is_match(&f.name)));
    Ok(json::success(&[], |out| push_list(out, shown, push_family)))
}

fn families(page: &str) -> Result<Vec<Family>, String> {
    let mut families: Vec<Family> = Vec::new();
    let mut parser = Parser::new(Format::Text, page.as_bytes());
    while let Some(entry) = parser.next().map_err(|e| e.to_string())? {
        match entry {
            Entry::Type { name, kind } => family(&mut families, name).kind = kind,
            Entry::Help { name, text } => {
                text.clone_into(&mut family(&mut families, name).help);
            }
            Entry::Series(line) => {
                let family = families
                    .last_mut()
                    .ok_or("a sample before the first family")?;
                add(family, &line, &parser)?;
            }
            Entry::Unit { .. } | Entry::Comment => {}
        }
    }
    Ok(families)
}

/// The family of a name: the latest one, or a new one.
fn family<'f>(families: &'f mut Vec<Family>, name: &[u8]) -> &'f mut Family {
    let name = String::from_utf8_lossy(name);
    if families.last().is_none_or(|f| f.name != name) {
        families.push(Family {
            name: name.into_owned(),
            ..Family::default()
        });
    }
    let last = families.len() - 1;
    &mut families[last]
}

fn add<'p>(family: &mut Family, line: &SeriesLine<'p>, parser: &Parser<'p>) -> Result<(), String> {
    let mut labels = Vec::new();
    let series = line.labels(parser).map_err(|e| e.to_string())?;
    let name = series.name;
    let mut part = None;
    for pair in series.labels {
        match &*pair.name {
            "le" | "quantile" => part = float::parse(&pair.value).ok(),
            own => labels.push((own.to_owned(), pair.value.into_owned())),
        }
    }
    if family.metrics.last().is_none_or(|m| m.labels != labels) {
        family.metrics.push(Metric {
            labels,
            ..Metric::default()
        });
    }
    let Some(metric) = family.metrics.last_mut() else {
        return Ok(());
    };
    match name.strip_prefix(family.name.as_str()) {
        Some("_sum") => metric.sum = line.value,
        Some("_count") => metric.count = line.value,
        _ => match part {
            // The infinite bucket is the count; the Go client leaves it out, too.
            Some(f64::INFINITY) if family.kind == MetricType::Histogram => {}
            Some(part) => metric.parts.push((part, line.value)),
            None => metric.value = line.value,
        },
    }
    Ok(())
}

fn push_family(out: &mut String, family: &Family) {
    let (kind, member) = match family.kind {
        MetricType::Counter => ("COUNTER", "counter"),
        MetricType::Histogram => ("HISTOGRAM", "histogram"),
        MetricType::Summary => ("SUMMARY", "summary"),
        MetricType::Unknown => ("UNTYPED", "untyped"),
        _ => ("GAUGE", "gauge"),
    };
    out.push_str("{\"name\":");
    json::push_str(out, &family.name);
    push_text(out, "help", &family.help);
    push_text(out, "type", kind);
    push_name(out, "metric");
    push_list(out, &family.metrics, |out, metric| {
        out.push('{');
        if !metric.labels.is_empty() {
            out.push_str("\"label\":");
            push_list(out, &metric.labels, |out, (name, value)| {
                out.push_str("{\"name\":");
                json::push_str(out, name);
                push_text(out, "value", value);
                out.push('}');
            });
            out.push(',');
        }
        out.push('"');
        out.push_str(member);
        out.push_str("\":{");
        push_value(out, family.kind, metric);
        out.push_str("}}");
    });
    out.push('}');
}

fn push_value(out: &mut String, kind: MetricType, metric: &Metric) {
    if !matches!(kind, MetricType::Histogram | MetricType::Summary) {
        out.push_str("\"value\":");
        push_number(out, metric.value);
        return;
    }
    out.push_str("\"sampleCount\":");
    push_integer(out, metric.count);
    push_name(out, "sampleSum");
    push_number(out, metric.sum);
    let histogram = kind == MetricType::Histogram;
    push_name(out, if histogram { "bucket" } else { "quantile" });
    push_list(out, &metric.parts, |out, (part, value)| {
        if histogram {
            out.push_str("{\"cumulativeCount\":");
            push_integer(out, *value);
            push_name(out, "upperBound");
            push_number(out, *part);
        } else {
            out.push_str("{\"quantile\":");
            push_number(out, *part);
            push_name(out, "value");
            push_number(out, *value);
        }
        out.push('}');
    });
}

/// A number, where JSON has it; NaN and the infinities as texts.
fn push_number(out: &mut String, value: f64) {
    if value.is_finite() {
        float::push_json(out, value);
    } else if value.is_nan() {
        out.push_str("\"NaN\"");
    } else {
        out.push_str(if value > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    }
}

/// 64-bit integers are texts.
fn push_integer(out: &mut String, value: f64) {
    out.push('"');
    out.push_str(&(value as u64).to_string());
    out.push('"');
}
