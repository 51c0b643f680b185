//! `include` and `exclude`: which items the actions touch.
//!
//! Every criterion that is given must hold. Within a list of names one match is enough; of
//! `attributes`, `resources` and `libraries` every entry must match.

use bellwether_model::re2::Re2;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use serde::Deserialize;

use crate::processors::actions::text_of;

/// A matcher as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatcherConfig {
    match_type: MatchType,
    #[serde(default)]
    services: Vec<String>,
    #[serde(default)]
    span_names: Vec<String>,
    #[serde(default)]
    span_kinds: Vec<String>,
    #[serde(default)]
    metric_names: Vec<String>,
    #[serde(default)]
    log_bodies: Vec<String>,
    #[serde(default)]
    log_severity_texts: Vec<String>,
    log_severity_number: Option<SeverityConfig>,
    #[serde(default)]
    attributes: Vec<AttributeConfig>,
    #[serde(default)]
    resources: Vec<AttributeConfig>,
    #[serde(default)]
    libraries: Vec<LibraryConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MatchType {
    Strict,
    Regexp,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeverityConfig {
    min: i32,
    #[serde(default)]
    match_undefined: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct AttributeConfig {
    key: String,
    value: Option<Text>,
}

/// A scalar of any kind, compared as text.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Text {
    Bool(bool),
    Int(i64),
    Double(f64),
    String(String),
}

impl Text {
    fn text(&self) -> String {
        match self {
            Self::Bool(v) => v.to_string(),
            Self::Int(v) => v.to_string(),
            Self::Double(v) => v.to_string(),
            Self::String(v) => v.clone(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct LibraryConfig {
    name: String,
    version: Option<String>,
}

/// What can be asked about an item.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Item<'i> {
    pub(super) resource: &'i [KeyValue],
    pub(super) attributes: &'i [KeyValue],
    pub(super) scope: Option<&'i InstrumentationScope>,
    pub(super) metric_name: Option<&'i str>,
    pub(super) span_name: Option<&'i str>,
    pub(super) span_kind: Option<i32>,
    pub(super) log_body: Option<&'i Value>,
    pub(super) severity: Option<(&'i str, i32)>,
}

/// A text, or a pattern.
#[derive(Debug)]
enum Pattern {
    Text(String),
    Regex(Re2),
}

impl Pattern {
    fn new(text: &str, match_type: MatchType) -> Result<Self, String> {
        match match_type {
            MatchType::Strict => Ok(Self::Text(text.to_owned())),
            MatchType::Regexp => Re2::unanchored(text)
                .map(Self::Regex)
                .map_err(|e| e.to_string()),
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Text(expected) => expected == text,
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

/// A checked matcher.
#[derive(Debug)]
pub(super) struct Matcher {
    services: Vec<Pattern>,
    span_names: Vec<Pattern>,
    span_kinds: Vec<Pattern>,
    metric_names: Vec<Pattern>,
    log_bodies: Vec<Pattern>,
    log_severity_texts: Vec<Pattern>,
    severity: Option<SeverityConfig>,
    attributes: Vec<(String, Option<Pattern>)>,
    resources: Vec<(String, Option<Pattern>)>,
    libraries: Vec<(Pattern, Option<Pattern>)>,
}

const SPAN_KINDS: [&str; 6] = [
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

impl Matcher {
    pub(super) fn new(config: &MatcherConfig) -> Result<Self, String> {
        let match_type = config.match_type;
        let list = |texts: &[String]| -> Result<Vec<Pattern>, String> {
            texts.iter().map(|t| Pattern::new(t, match_type)).collect()
        };
        let pairs = |pairs: &[AttributeConfig]| -> Result<Vec<(String, Option<Pattern>)>, String> {
            let pair = |p: &AttributeConfig| {
                let value = p
                    .value
                    .as_ref()
                    .map(|v| Pattern::new(&v.text(), match_type));
                Ok((p.key.clone(), value.transpose()?))
            };
            pairs.iter().map(pair).collect()
        };
        let library = |l: &LibraryConfig| {
            let version = l.version.as_ref().map(|v| Pattern::new(v, match_type));
            Ok::<_, String>((Pattern::new(&l.name, match_type)?, version.transpose()?))
        };
        let matcher = Self {
            services: list(&config.services)?,
            span_names: list(&config.span_names)?,
            span_kinds: list(&config.span_kinds)?,
            metric_names: list(&config.metric_names)?,
            log_bodies: list(&config.log_bodies)?,
            log_severity_texts: list(&config.log_severity_texts)?,
            severity: config.log_severity_number.clone(),
            attributes: pairs(&config.attributes)?,
            resources: pairs(&config.resources)?,
            libraries: config
                .libraries
                .iter()
                .map(library)
                .collect::<Result<_, _>>()?,
        };
        if matcher.is_empty() {
            return Err("at least one criterion besides match_type is needed".to_owned());
        }
        Ok(matcher)
    }

    fn is_empty(&self) -> bool {
        let lists = [
            &self.services,
            &self.span_names,
            &self.span_kinds,
            &self.metric_names,
            &self.log_bodies,
            &self.log_severity_texts,
        ];
        lists.iter().all(|l| l.is_empty())
            && self.severity.is_none()
            && self.attributes.is_empty()
            && self.resources.is_empty()
            && self.libraries.is_empty()
    }

    pub(super) fn matches(&self, item: &Item<'_>) -> bool {
        let service = value_text(item.resource, "service.name");
        let kind = item
            .span_kind
            .and_then(|k| SPAN_KINDS.get(usize::try_from(k).ok()?).copied());
        let body = item.log_body.map(text_of);
        any(&self.services, service.as_deref())
            && any(&self.span_names, item.span_name)
            && any(&self.span_kinds, kind)
            && any(&self.metric_names, item.metric_name)
            && any(&self.log_bodies, body.as_deref())
            && any(
                &self.log_severity_texts,
                item.severity.map(|(text, _)| text),
            )
            && self.severity_matches(item)
            && all(&self.attributes, item.attributes)
            && all(&self.resources, item.resource)
            && self.libraries.iter().all(|(name, version)| {
                item.scope.is_some_and(|scope| {
                    name.matches(&scope.name)
                        && version.as_ref().is_none_or(|v| v.matches(&scope.version))
                })
            })
    }

    fn severity_matches(&self, item: &Item<'_>) -> bool {
        match (&self.severity, item.severity) {
            (None, _) => true,
            (Some(config), Some((_, 0))) => config.match_undefined,
            (Some(config), Some((_, number))) => number >= config.min,
            (Some(_), None) => false,
        }
    }
}

/// No patterns: no condition.
fn any(patterns: &[Pattern], text: Option<&str>) -> bool {
    patterns.is_empty() || text.is_some_and(|text| patterns.iter().any(|p| p.matches(text)))
}

fn all(wanted: &[(String, Option<Pattern>)], attributes: &[KeyValue]) -> bool {
    wanted.iter().all(|(key, pattern)| {
        value_text(attributes, key)
            .is_some_and(|text| pattern.as_ref().is_none_or(|p| p.matches(&text)))
    })
}

fn value_text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let kv = attributes.iter().find(|kv| kv.key == key)?;
    kv.value.as_ref()?.value.as_ref().map(text_of)
}
