//! Results as promtool prints them.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use bellwether_model::float::{plain, shortest_g};
use bellwether_model::labels::quote;

use super::Format;
use super::answer::{Bucket, Histogram, LabelSet, Series, Value};
use super::tabular;

/// `name{a="b", c="d"}`; as promtool, without quotes around names that are no classic ones.
pub(super) fn metric(labels: &LabelSet) -> String {
    let name = labels.get("__name__").map_or("", String::as_str);
    let others = labels.iter().filter(|(key, _)| *key != "__name__");
    let inside: Vec<String> = others
        .map(|(key, value)| format!("{key}={}", quote(value)))
        .collect();
    if inside.is_empty() && !name.is_empty() {
        return name.to_owned();
    }
    format!("{name}{{{}}}", inside.join(", "))
}

/// `{__name__="up", job="api"}`
fn label_set(labels: &LabelSet) -> String {
    let all: Vec<String> = labels
        .iter()
        .map(|(k, v)| format!("{k}={}", quote(v)))
        .collect();
    format!("{{{}}}", all.join(", "))
}

fn bucket(b: &Bucket) -> String {
    let open = if matches!(b.boundaries, 1 | 3) {
        '['
    } else {
        '('
    };
    let close = if matches!(b.boundaries, 0 | 3) {
        ']'
    } else {
        ')'
    };
    format!(
        "{open}{},{}{close}:{}",
        shortest_g(b.lower),
        shortest_g(b.upper),
        plain(b.count)
    )
}

/// Go's `%f`.
fn fixed(v: f64) -> String {
    if v.is_finite() {
        format!("{v:.6}")
    } else {
        plain(v)
    }
}

pub(super) fn histogram(h: &Histogram) -> String {
    let buckets: Vec<String> = h.buckets.iter().map(bucket).collect();
    format!(
        "Count: {}, Sum: {}, Buckets: [{}]",
        fixed(h.count),
        fixed(h.sum),
        buckets.join(" ")
    )
}

fn points(s: &Series) -> Vec<String> {
    let floats = s
        .floats
        .iter()
        .map(|(t, v)| format!("{} @[{}]", plain(*v), plain(*t)));
    let histograms = s.histograms.iter();
    let histograms = histograms.map(|(t, h)| format!("{} @[{}]", histogram(h), plain(*t)));
    floats.chain(histograms).collect()
}

/// The result of a query.
pub(super) fn value(value: &Value, format: Format) -> String {
    match format {
        Format::Promql => {}
        Format::Json => return json(value) + "\n",
        Format::Table => return tabular::table(value),
        Format::Csv => return tabular::csv(value),
        Format::Sparkline => return tabular::sparklines(value),
    }
    let text = match value {
        Value::Vector(all) => lines(all.iter().map(|s| {
            let point = points(s).into_iter().next().unwrap_or_default();
            format!("{} => {point}", metric(&s.metric))
        })),
        Value::Matrix(all) => {
            let mut all: Vec<&Series> = all.iter().collect();
            all.sort_by(|a, b| order(&a.metric, &b.metric));
            let text = |s: &&Series| format!("{} =>\n{}", metric(&s.metric), points(s).join("\n"));
            lines(all.iter().map(text))
        }
        Value::Scalar(t, v) => format!("scalar: {} @[{}]", plain(*v), plain(*t)),
        Value::String(_, s) => s.clone(),
    };
    text + "\n"
}

/// The order in which promtool prints series: those with fewer labels first, then by names and values.
fn order(a: &LabelSet, b: &LabelSet) -> Ordering {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let by_names = names
        .into_iter()
        .map(|name| match (a.get(name), b.get(name)) {
            (None, _) => Ordering::Less,
            (_, None) => Ordering::Greater,
            (Some(x), Some(y)) => x.cmp(y),
        });
    a.len().cmp(&b.len()).then_with(|| {
        by_names
            .into_iter()
            .find(|o| o.is_ne())
            .unwrap_or(Ordering::Equal)
    })
}

fn lines(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join("\n")
}

/// Found series.
pub(super) fn series(all: &[LabelSet], format: Format) -> String {
    let mut out = String::new();
    match format {
        Format::Json => {
            let sets: Vec<String> = all.iter().map(json_labels).collect();
            let _ = writeln!(out, "[{}]", sets.join(","));
        }
        Format::Table => out = tabular::label_table(all),
        Format::Csv => out = tabular::label_csv(all),
        Format::Promql | Format::Sparkline => {
            for labels in all {
                let _ = writeln!(out, "{}", label_set(labels));
            }
        }
    }
    out
}

/// Values of a label.
pub(super) fn values(all: &[String], name: &str, format: Format) -> String {
    let mut out = String::new();
    match format {
        Format::Json => {
            let texts: Vec<String> = all.iter().map(|v| json_text(v)).collect();
            let _ = writeln!(out, "[{}]", texts.join(","));
        }
        Format::Table | Format::Csv => {
            let set = |v: &String| LabelSet::from([(name.to_owned(), v.clone())]);
            let sets: Vec<LabelSet> = all.iter().map(set).collect();
            return series(&sets, format);
        }
        Format::Promql | Format::Sparkline => {
            for value in all {
                let _ = writeln!(out, "{value}");
            }
        }
    }
    out
}

/// A JSON string as Go's encoder writes it: safe inside HTML.
fn json_text(text: &str) -> String {
    let plain = serde_json::Value::from(text).to_string();
    plain
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn json_labels(labels: &LabelSet) -> String {
    let all: Vec<String> = labels
        .iter()
        .map(|(k, v)| format!("{}:{}", json_text(k), json_text(v)))
        .collect();
    format!("{{{}}}", all.join(","))
}

fn json_histogram(h: &Histogram) -> String {
    let bucket = |b: &Bucket| {
        format!(
            "[{},\"{}\",\"{}\",\"{}\"]",
            b.boundaries,
            plain(b.lower),
            plain(b.upper),
            plain(b.count)
        )
    };
    let buckets: Vec<String> = h.buckets.iter().map(bucket).collect();
    let buckets = if buckets.is_empty() {
        "null".to_owned()
    } else {
        format!("[{}]", buckets.join(","))
    };
    format!(
        "{{\"count\":\"{}\",\"sum\":\"{}\",\"buckets\":{buckets}}}",
        plain(h.count),
        plain(h.sum)
    )
}

fn json_series(s: &Series, many: bool) -> String {
    let floats: Vec<String> = s
        .floats
        .iter()
        .map(|(t, v)| format!("[{},\"{}\"]", plain(*t), plain(*v)))
        .collect();
    let histograms: Vec<String> = s
        .histograms
        .iter()
        .map(|(t, h)| format!("[{},{}]", plain(*t), json_histogram(h)))
        .collect();
    let mut out = format!("{{\"metric\":{}", json_labels(&s.metric));
    for (key, points) in [("value", floats), ("histogram", histograms)] {
        if points.is_empty() {
            continue;
        }
        if many {
            let _ = write!(out, ",\"{key}s\":[{}]", points.join(","));
        } else {
            let _ = write!(out, ",\"{key}\":{}", points[0]);
        }
    }
    out + "}"
}

fn json(value: &Value) -> String {
    match value {
        Value::Vector(all) | Value::Matrix(all) => {
            let many = matches!(value, Value::Matrix(_));
            let all: Vec<String> = all.iter().map(|s| json_series(s, many)).collect();
            format!("[{}]", all.join(","))
        }
        Value::Scalar(t, v) => format!("[{},\"{}\"]", plain(*t), plain(*v)),
        Value::String(t, s) => format!("[{},{}]", plain(*t), json_text(s)),
    }
}
