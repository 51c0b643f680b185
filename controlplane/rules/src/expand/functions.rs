//! The functions that Prometheus adds to the language.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_model::re2::Re2;
use bellwether_model::{FloatHistogram, duration};
use bellwether_promql::{Point, VectorSample};
use bellwether_template::{Host, List, Map, Object, Signature, Struct, Type, Value};

use super::humanize::{self, to_float};
use super::{Surroundings, graph_link, net, table_link, time};

const RESULT: &str = "template.queryResult";
const SAMPLE: &str = "*template.sample";

/// The functions that Prometheus adds, sorted.
pub const TEMPLATE_FUNCTIONS: &[&str] = &[
    "args",
    "externalURL",
    "first",
    "graphLink",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "label",
    "match",
    "now",
    "parseDuration",
    "pathPrefix",
    "query",
    "reReplaceAll",
    "safeHtml",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
    "urlQueryEscape",
    "value",
];

/// Knows which functions exist and calls none: for parsing.
pub(super) struct Names;

impl Host for Names {
    fn signature(&self, name: &str) -> Option<Signature> {
        signature(name)
    }

    fn call(&self, name: &str, _: &[Value]) -> Result<Value, String> {
        Err(format!("{name} cannot be called here"))
    }
}

/// The functions around one evaluation.
pub(super) struct Functions<'a>(pub(super) Surroundings<'a>);

fn signature(name: &str) -> Option<Signature> {
    const TEXT: &[Type] = &[Type::String];
    const ANY: &[Type] = &[Type::Any];
    let params = match name {
        "externalURL" | "now" | "pathPrefix" => &[],
        "graphLink" | "parseDuration" | "query" | "safeHtml" | "stripDomain" | "stripPort"
        | "tableLink" | "title" | "toLower" | "toUpper" | "urlQueryEscape" => TEXT,
        "humanize" | "humanize1024" | "humanizeDuration" | "humanizePercentage"
        | "humanizeTimestamp" | "toDuration" | "toTime" | "args" => ANY,
        "first" => &[Type::Named(RESULT)],
        "label" => &[Type::String, Type::Named(SAMPLE)],
        "strvalue" | "value" => &[Type::Named(SAMPLE)],
        "sortByLabel" => &[Type::String, Type::Named(RESULT)],
        "match" => &[Type::String, Type::String],
        "reReplaceAll" => &[Type::String, Type::String, Type::String],
        _ => return None,
    };
    Some(Signature {
        params,
        variadic: name == "args",
    })
}

impl Host for Functions<'_> {
    fn signature(&self, name: &str) -> Option<Signature> {
        signature(name)
    }

    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        let text = |at: usize| match args.get(at) {
            Some(Value::String(text)) => &**text,
            _ => "",
        };
        let first = args.first().unwrap_or(&Value::Nil);
        Ok(match name {
            "query" => self.query(text(0))?,
            "first" => match samples(first).first() {
                Some(sample) => sample.clone(),
                None => return Err("first() called on vector with no elements".to_owned()),
            },
            "label" => label(args.get(1), text(0))?.into(),
            "strvalue" => label(Some(first), "__value__")?.into(),
            "value" => field(first, "Value")?,
            "sortByLabel" => sort_by_label(text(0), args.get(1))?,
            "args" => numbered(args),
            "match" => Value::Bool(regex(text(0))?.is_match(text(1))),
            "reReplaceAll" => replacing(text(0))?.replace_all(text(2), text(1)).into(),
            "safeHtml" => first.clone(),
            "title" => title(text(0)).into(),
            "toUpper" => text(0).to_uppercase().into(),
            "toLower" => text(0).to_lowercase().into(),
            "graphLink" => graph_link(text(0)).into(),
            "tableLink" => table_link(text(0)).into(),
            "urlQueryEscape" => bellwether_template::query_escape(text(0)).into(),
            "stripPort" => net::strip_port(text(0)).into(),
            "stripDomain" => net::strip_domain(text(0)).into(),
            "humanize" => humanize::decimal(to_float(first)?).into(),
            "humanize1024" => humanize::binary(to_float(first)?).into(),
            "humanizeDuration" => humanize::duration(to_float(first)?).into(),
            "humanizePercentage" => humanize::percentage(to_float(first)?).into(),
            "humanizeTimestamp" => time::humanize(to_float(first)?)?.into(),
            "toTime" => time::to_time(to_float(first)?)?,
            "toDuration" => time::to_duration(to_float(first)?),
            "now" => Value::Float(self.0.now_ms as f64 / 1000.0),
            "pathPrefix" => self.0.external_url.path.clone().into(),
            "externalURL" => self.0.external_url.text.clone().into(),
            "parseDuration" => Value::Float(parse_duration(text(0))?),
            other => return Err(format!("{other} is not a function of Prometheus")),
        })
    }
}

impl Functions<'_> {
    fn query(&self, text: &str) -> Result<Value, String> {
        let samples = (self.0.query)(text, self.0.now_ms)?;
        Ok(Value::List(Arc::new(List {
            type_name: RESULT,
            items: samples.iter().map(sample).collect(),
        })))
    }
}

fn sample(sample: &VectorSample) -> Value {
    let value = match &sample.point {
        Point::Float(v) => Value::Float(*v),
        Point::Histogram(h) => histogram(h),
    };
    let labels = sample.labels.iter().map(|l| (l.name, l.value));
    Value::Struct(Arc::new(Struct {
        type_name: SAMPLE,
        fields: vec![("Labels", Value::texts(labels)), ("Value", value)],
    }))
}

/// A native histogram as a value: it only prints.
pub(super) fn histogram(h: &Arc<FloatHistogram>) -> Value {
    Value::Object(Arc::new(HistogramValue(Arc::clone(h))))
}

#[derive(Debug)]
struct HistogramValue(Arc<FloatHistogram>);

impl Object for HistogramValue {
    fn type_name(&self) -> &'static str {
        "*histogram.FloatHistogram"
    }

    fn text(&self) -> String {
        self.0.to_string()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn samples(result: &Value) -> &[Value] {
    match result {
        Value::List(list) => &list.items,
        _ => &[],
    }
}

fn field(sample: &Value, name: &str) -> Result<Value, String> {
    match sample {
        Value::Struct(s) => {
            let found = s.fields.iter().find(|(n, _)| *n == name);
            Ok(found.map(|(_, value)| value.clone()).unwrap_or_default())
        }
        _ => Err("runtime error: invalid memory address or nil pointer dereference".to_owned()),
    }
}

fn label(sample: Option<&Value>, name: &str) -> Result<String, String> {
    match field(sample.unwrap_or(&Value::Nil), "Labels")? {
        Value::Map(map) => match map.entries.get(name) {
            Some(Value::String(text)) => Ok(text.to_string()),
            _ => Ok(String::new()),
        },
        _ => Ok(String::new()),
    }
}

fn sort_by_label(name: &str, result: Option<&Value>) -> Result<Value, String> {
    let mut keyed = Vec::new();
    for sample in samples(result.unwrap_or(&Value::Nil)) {
        keyed.push((label(Some(sample), name)?, sample.clone()));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Value::List(Arc::new(List {
        type_name: RESULT,
        items: keyed.into_iter().map(|(_, sample)| sample).collect(),
    })))
}

/// `arg0`, `arg1` and so on.
fn numbered(args: &[Value]) -> Value {
    let entries = args.iter().enumerate();
    let entries = entries.map(|(i, arg)| (format!("arg{i}"), arg.clone()));
    Value::Map(Arc::new(Map {
        type_name: "map[string]interface {}",
        entries: entries.collect::<BTreeMap<_, _>>(),
        zero: Value::Nil,
    }))
}

fn regex(pattern: &str) -> Result<Re2, String> {
    Re2::unanchored(pattern).map_err(|error| error.to_string())
}

/// The pattern of a replacement; Go has other words for a bad one here.
fn replacing(pattern: &str) -> Result<Re2, String> {
    let quoted = if pattern.contains(['`', '\n', '\r']) {
        bellwether_template::quote(pattern)
    } else {
        format!("`{pattern}`")
    };
    regex(pattern).map_err(|error| format!("regexp: Compile({quoted}): {error}"))
}

/// The first letter of each word in upper case, the others as they are.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        let is_word = c.is_alphanumeric() || matches!(c, '\'' | '_' | '\u{2019}');
        if is_word && !inside {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        inside = is_word;
    }
    out
}

/// Seconds of a duration, which may be negative.
fn parse_duration(text: &str) -> Result<f64, String> {
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1.0),
        None => (text, 1.0),
    };
    let ms = duration::parse_millis(digits).map_err(|e| e.to_string())?;
    Ok(sign * ms as f64 / 1000.0)
}
