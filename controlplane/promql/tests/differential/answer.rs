//! Answers of both engines in one form.

use std::collections::BTreeMap;

use bellwether_model::{FloatHistogram, Labels};
use bellwether_promql::{Point, QueryError, QueryResult, Value};
use serde_json::Value as Json;

/// A value of a sample.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Number {
    Float(f64),
    /// Count, sum, and the buckets with their kind and bounds.
    Histogram(f64, f64, Vec<(i64, f64, f64, f64)>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Data {
    pub(crate) kind: String,
    pub(crate) text: String,
    /// Series in the order of the answer: labels and values by milliseconds.
    pub(crate) series: Vec<(String, BTreeMap<i64, Number>)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) result: Result<Data, String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

/// Bounds, count and kind of the buckets that are not empty, as Prometheus' JSON has them.
fn buckets(h: &FloatHistogram) -> Vec<(i64, f64, f64, f64)> {
    let all = h.buckets();
    all.iter()
        .filter(|b| b.count != 0.0)
        .map(|b| {
            let kind = match (b.lower_inclusive, b.upper_inclusive) {
                (false, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (true, true) => 3,
            };
            (kind, b.lower, b.upper, b.count)
        })
        .collect()
}

fn number(p: &Point) -> Number {
    match p {
        Point::Float(v) => Number::Float(*v),
        Point::Histogram(h) => Number::Histogram(h.count, h.sum, buckets(h)),
    }
}

/// Our answer.
pub(crate) fn ours(expr: &str, result: Result<QueryResult, QueryError>) -> Answer {
    let result = match result {
        Ok(result) => result,
        Err(e) => {
            return Answer {
                result: Err(e.to_string()),
                warnings: Vec::new(),
                infos: Vec::new(),
            };
        }
    };
    let mut text = String::new();
    let series = match &result.value {
        Value::String { s, .. } => {
            text.clone_from(s);
            Vec::new()
        }
        Value::Scalar { t, v } => vec![(String::new(), BTreeMap::from([(*t, Number::Float(*v))]))],
        Value::Vector(samples) => samples
            .iter()
            .map(|s| {
                (
                    s.labels.to_string(),
                    BTreeMap::from([(s.t, number(&s.point))]),
                )
            })
            .collect(),
        Value::Matrix(all) => all
            .iter()
            .map(|s| {
                let floats = s.floats.iter().map(|(t, v)| (t, Number::Float(v)));
                let histograms = s.histograms.iter();
                let histograms =
                    histograms.map(|(t, h)| (*t, number(&Point::Histogram(h.clone()))));
                (s.labels.to_string(), floats.chain(histograms).collect())
            })
            .collect(),
    };
    // Prometheus keeps ten of each; which ones is left to chance, so none is cut here.
    let (warnings, infos) = result.annotations.render(expr, 0);
    Answer {
        result: Ok(Data {
            kind: result.value.type_name().to_owned(),
            text,
            series,
        }),
        warnings,
        infos,
    }
}

fn float(v: &Json) -> f64 {
    match v.as_str().unwrap() {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap(),
    }
}

fn point(time: &Json, value: Number) -> (i64, Number) {
    ((time.as_f64().unwrap() * 1000.0).round() as i64, value)
}

fn histogram(h: &Json) -> Number {
    let bucket = |b: &Json| {
        (
            b[0].as_i64().unwrap(),
            float(&b[1]),
            float(&b[2]),
            float(&b[3]),
        )
    };
    let buckets = h["buckets"]
        .as_array()
        .map(|all| all.iter().map(bucket).collect());
    Number::Histogram(
        float(&h["count"]),
        float(&h["sum"]),
        buckets.unwrap_or_default(),
    )
}

fn texts(json: &Json) -> Vec<String> {
    let list = json
        .as_array()
        .map(|l| l.iter().map(|v| v.as_str().unwrap().to_owned()).collect());
    list.unwrap_or_default()
}

fn labels(metric: &Json) -> String {
    let pairs = metric.as_object().unwrap().iter();
    Labels::from_pairs(pairs.map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))).to_string()
}

/// Prometheus' answer.
pub(crate) fn theirs(json: &Json) -> Answer {
    let (warnings, infos) = (texts(&json["warnings"]), texts(&json["infos"]));
    if let Some(error) = json["error"].as_str() {
        return Answer {
            result: Err(error.to_owned()),
            warnings,
            infos,
        };
    }
    let kind = json["data"]["resultType"].as_str().unwrap().to_owned();
    let result = &json["data"]["result"];
    let mut text = String::new();
    let series = match kind.as_str() {
        "string" => {
            result[1].as_str().unwrap().clone_into(&mut text);
            Vec::new()
        }
        "scalar" => vec![(
            String::new(),
            BTreeMap::from([point(&result[0], Number::Float(float(&result[1])))]),
        )],
        _ => result
            .as_array()
            .unwrap()
            .iter()
            .map(|s| {
                let mut points = BTreeMap::new();
                let floats = s["values"].as_array().into_iter().flatten();
                for p in floats.chain(s.get("value")) {
                    points.extend([point(&p[0], Number::Float(float(&p[1])))]);
                }
                let histograms = s["histograms"].as_array().into_iter().flatten();
                for p in histograms.chain(s.get("histogram")) {
                    points.extend([point(&p[0], histogram(&p[1]))]);
                }
                (labels(&s["metric"]), points)
            })
            .collect(),
    };
    Answer {
        result: Ok(Data { kind, text, series }),
        warnings,
        infos,
    }
}
