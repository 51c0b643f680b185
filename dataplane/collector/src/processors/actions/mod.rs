//! Attribute actions: insert, update, upsert, delete, hash, extract, convert.

#[cfg(test)]
mod tests;

use bellwether_model::re2::Re2;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use sha2::{Digest as _, Sha256};

use crate::config::types::Unsupported;

/// An action as written.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActionConfig {
    #[serde(default)]
    key: String,
    action: ActionKind,
    value: Option<ConfigValue>,
    from_attribute: Option<String>,
    /// Needs the client's metadata, which the pipeline does not carry yet.
    #[serde(default)]
    #[allow(dead_code)]
    from_context: Unsupported,
    pattern: Option<String>,
    converted_type: Option<ConvertedType>,
    default_value: Option<ConfigValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum ActionKind {
    Insert,
    Update,
    Upsert,
    Delete,
    Hash,
    Extract,
    Convert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum ConvertedType {
    Int,
    Double,
    String,
}

/// Any YAML value as an attribute value.
#[derive(Debug, Clone, PartialEq)]
struct ConfigValue(Value);

impl<'de> Deserialize<'de> for ConfigValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor;
        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = ConfigValue;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string, number, boolean, list or mapping")
            }

            fn visit_bool<E>(self, value: bool) -> Result<ConfigValue, E> {
                Ok(ConfigValue(Value::BoolValue(value)))
            }

            fn visit_i64<E>(self, value: i64) -> Result<ConfigValue, E> {
                Ok(ConfigValue(Value::IntValue(value)))
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<ConfigValue, E> {
                i64::try_from(value)
                    .map(|value| ConfigValue(Value::IntValue(value)))
                    .map_err(|_| E::custom(format_args!("{value} is larger than a 64-bit integer")))
            }

            fn visit_f64<E>(self, value: f64) -> Result<ConfigValue, E> {
                Ok(ConfigValue(Value::DoubleValue(value)))
            }

            fn visit_str<E>(self, value: &str) -> Result<ConfigValue, E> {
                Ok(ConfigValue(Value::StringValue(value.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<ConfigValue, A::Error> {
                let mut values = Vec::new();
                while let Some(ConfigValue(value)) = seq.next_element()? {
                    values.push(AnyValue { value: Some(value) });
                }
                Ok(ConfigValue(Value::ArrayValue(ArrayValue { values })))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ConfigValue, A::Error> {
                let mut values = Vec::new();
                while let Some((key, ConfigValue(value))) = map.next_entry::<String, _>()? {
                    values.push(key_value(&key, value));
                }
                Ok(ConfigValue(Value::KvlistValue(KeyValueList { values })))
            }
        }
        deserializer.deserialize_any(AnyVisitor)
    }
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// Where a new value comes from.
#[derive(Debug)]
enum Source {
    Value(Value),
    Attribute { key: String, default: Option<Value> },
}

impl Source {
    fn resolve(&self, attributes: &[KeyValue]) -> Option<Value> {
        match self {
            Self::Value(value) => Some(value.clone()),
            Self::Attribute { key, default } => get(attributes, key).or_else(|| default.clone()),
        }
    }
}

/// A checked action.
#[derive(Debug)]
pub(crate) enum Action {
    /// Sets `key`; `on` says for which state of the key.
    #[allow(private_interfaces)]
    Set {
        key: String,
        source: Source,
        on: When,
    },
    /// Removes attributes.
    #[allow(private_interfaces)]
    Delete(Selection),
    /// Replaces values by their SHA-256.
    #[allow(private_interfaces)]
    Hash(Selection),
    /// Sets an attribute for each named group.
    Extract {
        key: String,
        pattern: Re2,
        groups: Vec<String>,
    },
    /// Changes the type of a value.
    #[allow(private_interfaces)]
    Convert { key: String, to: ConvertedType },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Absent,
    Present,
    Always,
}

/// Attributes by key and by pattern.
#[derive(Debug)]
struct Selection {
    key: String,
    pattern: Option<Re2>,
}

impl Selection {
    fn has(&self, key: &str) -> bool {
        (!self.key.is_empty() && self.key == key)
            || self.pattern.as_ref().is_some_and(|p| p.is_match(key))
    }
}

impl Action {
    /// Checks a list of actions; an error names the index of the bad one.
    pub(crate) fn all(configs: &[ActionConfig]) -> Result<Vec<Self>, (usize, String)> {
        configs
            .iter()
            .enumerate()
            .map(|(index, config)| Self::new(config).map_err(|message| (index, message)))
            .collect()
    }

    fn new(config: &ActionConfig) -> Result<Self, String> {
        let key = config.key.clone();
        let pattern = match &config.pattern {
            Some(text) => Some(Re2::unanchored(text).map_err(|e| format!("pattern: {e}"))?),
            None => None,
        };
        let needs_key = |what: &str| {
            if config.key.is_empty() {
                Err(format!("the action {what} needs the key `key`"))
            } else {
                Ok(())
            }
        };
        match config.action {
            ActionKind::Insert | ActionKind::Update | ActionKind::Upsert => {
                needs_key("insert, update or upsert")?;
                let on = match config.action {
                    ActionKind::Insert => When::Absent,
                    ActionKind::Update => When::Present,
                    _ => When::Always,
                };
                let source = source(config)?;
                Ok(Self::Set { key, source, on })
            }
            ActionKind::Delete | ActionKind::Hash => {
                if key.is_empty() && pattern.is_none() {
                    return Err("the actions delete and hash need `key` or `pattern`".to_owned());
                }
                let selection = Selection { key, pattern };
                Ok(match config.action {
                    ActionKind::Delete => Self::Delete(selection),
                    _ => Self::Hash(selection),
                })
            }
            ActionKind::Extract => {
                needs_key("extract")?;
                let pattern = pattern.ok_or("the action extract needs `pattern`")?;
                let groups = group_names(config.pattern.as_deref().unwrap_or_default());
                if groups.is_empty() {
                    return Err(
                        "the pattern of extract needs named groups, for example (?P<name>.*)"
                            .to_owned(),
                    );
                }
                Ok(Self::Extract {
                    key,
                    pattern,
                    groups,
                })
            }
            ActionKind::Convert => {
                needs_key("convert")?;
                let to = config
                    .converted_type
                    .ok_or("the action convert needs `converted_type`: int, double or string")?;
                Ok(Self::Convert { key, to })
            }
        }
    }

    /// Applies the action.
    pub(crate) fn apply(&self, attributes: &mut Vec<KeyValue>) {
        match self {
            Self::Set { key, source, on } => {
                let is_present = attributes.iter().any(|kv| kv.key == *key);
                let applies = match on {
                    When::Absent => !is_present,
                    When::Present => is_present,
                    When::Always => true,
                };
                if applies && let Some(value) = source.resolve(attributes) {
                    set(attributes, key, value);
                }
            }
            Self::Delete(selection) => attributes.retain(|kv| !selection.has(&kv.key)),
            Self::Hash(selection) => {
                for kv in attributes.iter_mut().filter(|kv| selection.has(&kv.key)) {
                    if let Some(value) = kv.value.as_ref().and_then(|v| v.value.as_ref()) {
                        let hash = Value::StringValue(sha256(value));
                        kv.value = Some(AnyValue { value: Some(hash) });
                    }
                }
            }
            Self::Extract {
                key,
                pattern,
                groups,
            } => {
                let Some(Value::StringValue(text)) = get(attributes, key) else {
                    return;
                };
                for group in groups {
                    let Some(part) = pattern.replace(&text, &format!("${{{group}}}")) else {
                        return; // No match, no change.
                    };
                    set(attributes, group, Value::StringValue(part));
                }
            }
            Self::Convert { key, to } => {
                if let Some(value) = get(attributes, key)
                    && let Some(converted) = convert(&value, *to)
                {
                    set(attributes, key, converted);
                }
            }
        }
    }
}

fn source(config: &ActionConfig) -> Result<Source, String> {
    match (&config.value, &config.from_attribute) {
        (Some(value), None) => Ok(Source::Value(value.0.clone())),
        (None, Some(key)) => Ok(Source::Attribute {
            key: key.clone(),
            default: config.default_value.as_ref().map(|v| v.0.clone()),
        }),
        (None, None) => Err("one of `value` and `from_attribute` is needed".to_owned()),
        (Some(_), Some(_)) => Err("`value` and `from_attribute` exclude each other".to_owned()),
    }
}

/// Names of the groups `(?P<name>…)` and `(?<name>…)`, in order.
fn group_names(pattern: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (at, _) in pattern.match_indices("(?") {
        let rest = &pattern[at + 2..];
        let rest = rest.strip_prefix('P').unwrap_or(rest);
        if let Some((name, _)) = rest.strip_prefix('<').and_then(|r| r.split_once('>'))
            && !name.is_empty()
            && !name.starts_with(['=', '!'])
        {
            names.push(name.to_owned());
        }
    }
    names
}

fn get(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes
        .iter()
        .find(|kv| kv.key == key)?
        .value
        .as_ref()?
        .value
        .clone()
}

fn set(attributes: &mut Vec<KeyValue>, key: &str, value: Value) {
    match attributes.iter_mut().find(|kv| kv.key == key) {
        Some(kv) => kv.value = Some(AnyValue { value: Some(value) }),
        None => attributes.push(key_value(key, value)),
    }
}

/// SHA-256 in hexadecimal of a string's bytes, or of the eight little-endian bytes of a number.
fn sha256(value: &Value) -> String {
    let digest = match value {
        Value::StringValue(text) => Sha256::digest(text.as_bytes()),
        Value::BytesValue(bytes) => Sha256::digest(bytes),
        Value::BoolValue(value) => Sha256::digest([u8::from(*value)]),
        Value::IntValue(value) => Sha256::digest(value.to_le_bytes()),
        Value::DoubleValue(value) => Sha256::digest(value.to_bits().to_le_bytes()),
        other => Sha256::digest(text_of(other).as_bytes()),
    };
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` leaves the value as it is.
fn convert(value: &Value, to: ConvertedType) -> Option<Value> {
    Some(match (to, value) {
        (ConvertedType::Int, Value::StringValue(s)) => Value::IntValue(s.trim().parse().ok()?),
        (ConvertedType::Int, Value::DoubleValue(d)) => Value::IntValue(*d as i64),
        (ConvertedType::Int, Value::BoolValue(b)) => Value::IntValue(i64::from(*b)),
        (ConvertedType::Double, Value::StringValue(s)) => {
            Value::DoubleValue(s.trim().parse().ok()?)
        }
        (ConvertedType::Double, Value::IntValue(i)) => Value::DoubleValue(*i as f64),
        (ConvertedType::Double, Value::BoolValue(b)) => Value::DoubleValue(f64::from(u8::from(*b))),
        (ConvertedType::String, Value::StringValue(_)) => return None,
        (ConvertedType::String, value) => Value::StringValue(text_of(value)),
        _ => return None,
    })
}

/// The text form of a value.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::StringValue(s) => s.clone(),
        Value::BoolValue(b) => b.to_string(),
        Value::IntValue(i) => i.to_string(),
        Value::DoubleValue(d) => d.to_string(),
        other => {
            use prost::Message as _;
            // Lists and maps as JSON, through the one place that writes it.
            let any = AnyValue {
                value: Some(other.clone()),
            };
            let kv = KeyValue {
                key: "v".to_owned(),
                value: Some(any),
                ..KeyValue::default()
            };
            let resource = bellwether_otlp::raw::Resource {
                attributes: vec![kv],
                ..Default::default()
            };
            bellwether_otlp::value::resource_value_text(&resource.encode_to_vec(), "v")
        }
    }
}
