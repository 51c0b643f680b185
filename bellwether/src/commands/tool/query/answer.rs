//! Results of the HTTP API.

use std::collections::BTreeMap;

use anyhow::Context as _;
use bellwether_model::float;
use serde_json::Value as Json;

pub(in crate::commands::tool) type LabelSet = BTreeMap<String, String>;

/// A bucket of a native histogram.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands::tool) struct Bucket {
    /// Which bounds are included: 0 the upper, 1 the lower, 2 none, 3 both.
    pub(in crate::commands::tool) boundaries: i64,
    pub(in crate::commands::tool) lower: f64,
    pub(in crate::commands::tool) upper: f64,
    pub(in crate::commands::tool) count: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::commands::tool) struct Histogram {
    pub(in crate::commands::tool) count: f64,
    pub(in crate::commands::tool) sum: f64,
    pub(in crate::commands::tool) buckets: Vec<Bucket>,
}

#[derive(Clone, Debug)]
pub(in crate::commands::tool) struct Series {
    pub(in crate::commands::tool) metric: LabelSet,
    /// Times are seconds since the epoch.
    pub(in crate::commands::tool) floats: Vec<(f64, f64)>,
    pub(in crate::commands::tool) histograms: Vec<(f64, Histogram)>,
}

#[derive(Clone, Debug)]
pub(in crate::commands::tool) enum Value {
    Vector(Vec<Series>),
    Matrix(Vec<Series>),
    Scalar(f64, f64),
    String(f64, String),
}

fn text(json: &Json) -> anyhow::Result<&str> {
    json.as_str()
        .context("the answer is not that of a query: text expected")
}

fn number(json: &Json) -> anyhow::Result<f64> {
    let text = text(json)?;
    float::parse(text).with_context(|| format!("the answer has a bad number {text:?}"))
}

fn time(json: &Json) -> anyhow::Result<f64> {
    json.as_f64()
        .context("the answer is not that of a query: a time expected")
}

fn list(json: &Json) -> anyhow::Result<&Vec<Json>> {
    json.as_array()
        .context("the answer is not that of a query: a list expected")
}

fn labels(json: &Json) -> anyhow::Result<LabelSet> {
    let all = json
        .as_object()
        .context("the answer is not that of a query: labels expected")?;
    all.iter()
        .map(|(k, v)| Ok((k.clone(), text(v)?.to_owned())))
        .collect()
}

pub(super) fn strings(json: &Json) -> anyhow::Result<Vec<String>> {
    list(json)?
        .iter()
        .map(|v| Ok(text(v)?.to_owned()))
        .collect()
}

pub(super) fn label_sets(json: &Json) -> anyhow::Result<Vec<LabelSet>> {
    list(json)?.iter().map(labels).collect()
}

fn histogram(json: &Json) -> anyhow::Result<Histogram> {
    let mut buckets = Vec::new();
    for b in json["buckets"].as_array().into_iter().flatten() {
        buckets.push(Bucket {
            boundaries: b[0].as_i64().unwrap_or_default(),
            lower: number(&b[1])?,
            upper: number(&b[2])?,
            count: number(&b[3])?,
        });
    }
    Ok(Histogram {
        count: number(&json["count"])?,
        sum: number(&json["sum"])?,
        buckets,
    })
}

fn series(json: &Json) -> anyhow::Result<Series> {
    let mut out = Series {
        metric: labels(&json["metric"])?,
        floats: Vec::new(),
        histograms: Vec::new(),
    };
    let many = |key: &str| json[key].as_array().into_iter().flatten();
    for point in many("values").chain(json.get("value")) {
        out.floats.push((time(&point[0])?, number(&point[1])?));
    }
    for point in many("histograms").chain(json.get("histogram")) {
        out.histograms
            .push((time(&point[0])?, histogram(&point[1])?));
    }
    Ok(out)
}

pub(in crate::commands::tool) fn value(data: &Json) -> anyhow::Result<Value> {
    let result = &data["result"];
    let all = || {
        list(result)?
            .iter()
            .map(series)
            .collect::<anyhow::Result<Vec<_>>>()
    };
    Ok(match text(&data["resultType"])? {
        "vector" => Value::Vector(all()?),
        "matrix" => Value::Matrix(all()?),
        "scalar" => Value::Scalar(time(&result[0])?, number(&result[1])?),
        "string" => Value::String(time(&result[0])?, text(&result[1])?.to_owned()),
        other => anyhow::bail!("unexpected value type {other:?}"),
    })
}
