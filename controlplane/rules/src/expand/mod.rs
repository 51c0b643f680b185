//! Templates of alerts: Prometheus' data and functions around the language of `bellwether-template`.
//!
//! A label or annotation is parsed once, when its file is loaded, and expanded at each evaluation for each alert.

mod functions;
mod humanize;
mod net;
mod time;

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_promql::{Point, VectorSample};
use bellwether_template::{ParseError, Struct, Template, Value};

pub use functions::TEMPLATE_FUNCTIONS;
use functions::{Functions, histogram};

/// Short names that Prometheus puts in front of each template. They count in the columns of error messages.
const DEFINITIONS: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}\
                           {{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// The Go type of the data, for messages.
const DATA_TYPE: &str = "struct { Labels map[string]string; ExternalLabels map[string]string; \
                         ExternalURL string; Value interface {} }";

/// A parsed label or annotation.
#[derive(Clone, Debug)]
pub(crate) struct AlertTemplate {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// No action in it: most labels and many annotations.
    Plain(String),
    Template(Box<Template>),
}

/// Why a template could not be expanded.
#[derive(Debug, thiserror::Error)]
#[error("error executing template {name}: {source}")]
pub(crate) struct ExpandError {
    name: String,
    source: bellwether_template::ExecError,
}

/// The server's address, as people reach it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExternalUrl {
    /// The whole of it.
    pub(crate) text: String,
    /// Its path.
    pub(crate) path: String,
}

impl ExternalUrl {
    /// Takes a URL apart.
    #[must_use]
    pub(crate) fn new(text: &str) -> Self {
        let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
        let path = rest.find('/').map_or("", |at| &rest[at..]);
        let path = path.split(['?', '#']).next().unwrap_or_default();
        Self {
            text: text.to_owned(),
            path: path.to_owned(),
        }
    }
}

/// Runs a query of a template at a time in milliseconds.
pub(crate) type TemplateQuery<'a> = &'a dyn Fn(&str, i64) -> Result<Vec<VectorSample>, String>;

/// What functions need to know.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Evaluation time in milliseconds.
    pub(crate) now_ms: i64,
    /// Runs `query`.
    pub(crate) query: TemplateQuery<'a>,
    /// The server's address.
    pub(crate) external_url: &'a ExternalUrl,
}

impl AlertTemplate {
    /// Parses the text of a label or annotation of an alert.
    ///
    /// # Errors
    /// As Go reports it; the template is called `__alert_NAME`.
    pub(crate) fn parse(alert: &str, text: &str) -> Result<Self, ParseError> {
        let name = format!("__alert_{alert}");
        let kind = if text.contains("{{") {
            let text = format!("{DEFINITIONS}{text}");
            let template = Template::parse(&name, &text, &functions::Names)?;
            Kind::Template(Box::new(template))
        } else {
            Kind::Plain(text.to_owned())
        };
        Ok(Self { name, kind })
    }

    /// Expands it.
    ///
    /// # Errors
    /// The first mistake in running it.
    pub(crate) fn expand(
        &self,
        data: &Value,
        around: Surroundings<'_>,
    ) -> Result<String, ExpandError> {
        match &self.kind {
            Kind::Plain(text) => Ok(text.clone()),
            Kind::Template(template) => {
                template
                    .execute(data, &Functions(around))
                    .map_err(|source| ExpandError {
                        name: self.name.clone(),
                        source,
                    })
            }
        }
    }
}

/// What a template of an alert sees: the sample that caused it, the external labels, the server's address.
#[must_use]
pub(crate) fn alert_data(
    sample: &VectorSample,
    external_labels: &BTreeMap<String, String>,
    external_url: &str,
) -> Value {
    let labels = sample.labels.iter().map(|l| (l.name, l.value));
    let value = match &sample.point {
        Point::Float(v) => Value::Float(*v),
        Point::Histogram(h) => histogram(h),
    };
    Value::Struct(Arc::new(Struct {
        type_name: DATA_TYPE,
        fields: vec![
            ("Labels", Value::texts(labels)),
            ("ExternalLabels", Value::texts(external_labels.clone())),
            ("ExternalURL", Value::string(external_url)),
            ("Value", value),
        ],
    }))
}

/// The page of the server that shows an expression as a table.
#[must_use]
pub fn table_link(expr: &str) -> String {
    let expr = bellwether_template::query_escape(expr);
    format!("/graph?g0.expr={expr}&g0.tab=1")
}

/// The page of the server that shows an expression as a graph.
#[must_use]
pub fn graph_link(expr: &str) -> String {
    let expr = bellwether_template::query_escape(expr);
    format!("/graph?g0.expr={expr}&g0.tab=0")
}

#[cfg(test)]
mod tests;
