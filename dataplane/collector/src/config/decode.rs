//! From the tree to typed configuration: a serde deserializer that keeps positions and key paths.
//!
//! Typing is strict, as in the official collector: a string does not become a number, a number does
//! not become a string. Exceptions: the result of an expansion fits both, a plain string given for a
//! list is split at commas, null stands for an empty mapping or list.

use std::fmt::{self, Write as _};

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};

use super::error::Problem;
use super::node::{Entry, Node, Position, Scalar, Value};

/// Decodes the body of a component. `path` is the key path of the body.
///
/// # Errors
/// The first mistake in the body.
pub(crate) fn decode<T: DeserializeOwned>(node: &Node, path: &str) -> Result<T, Problem> {
    T::deserialize(NodeDeserializer { node }).map_err(|e| e.into_problem(&node.at, path))
}

/// A mistake on its way up, collecting its path.
#[derive(Debug)]
pub(crate) struct DecodeError {
    at: Option<Position>,
    /// Innermost first.
    path: Vec<String>,
    message: String,
}

impl DecodeError {
    fn at(node: &Node, message: impl Into<String>) -> Self {
        Self {
            at: Some(node.at.clone()),
            path: Vec::new(),
            message: message.into(),
        }
    }

    fn inside(mut self, at: &Position, key: impl Into<String>) -> Self {
        self.at.get_or_insert_with(|| at.clone());
        self.path.push(key.into());
        self
    }

    fn into_problem(self, at: &Position, path: &str) -> Problem {
        let mut full = path.to_owned();
        for part in self.path.iter().rev() {
            if !full.is_empty() && !part.starts_with('[') {
                full.push_str("::");
            }
            full.push_str(part);
        }
        Problem::at(self.at.as_ref().unwrap_or(at), &full, self.message)
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            at: None,
            path: Vec::new(),
            message: message.to_string(),
        }
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(unknown_key(field, expected))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        // The list holds aliases, too: other cases of a name, and the empty text for `none`.
        let names: Vec<&str> = expected
            .iter()
            .copied()
            .filter(|name| !name.is_empty() && !name.starts_with(char::is_uppercase))
            .collect();
        let mut message = format!("unknown value {variant:?} (one of {})", names.join(", "));
        if let Some(near) = bellwether_yaml::nearest(variant, names) {
            let _ = write!(message, "; did you mean {near:?}?");
        }
        Self::custom(message)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format_args!("the key `{field}` is required"))
    }
}

/// The message for a key that does not exist.
pub(crate) fn unknown_key(key: &str, expected: &[&str]) -> String {
    if expected.is_empty() {
        return format!("unknown key `{key}`: this section has no keys");
    }
    let mut message = format!("unknown key `{key}` (keys: {})", expected.join(", "));
    if let Some(near) = bellwether_yaml::nearest(key, expected.iter().copied()) {
        let _ = write!(message, "; did you mean `{near}`?");
    }
    message
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'n> {
    node: &'n Node,
}

/// What a plain scalar means (YAML 1.2 core schema).
enum Resolved<'t> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Text(&'t str),
}

fn resolve(scalar: &Scalar) -> Resolved<'_> {
    let text = scalar.text.as_str();
    if scalar.quoted {
        return Resolved::Text(text);
    }
    match text {
        "true" | "True" | "TRUE" => return Resolved::Bool(true),
        "false" | "False" | "FALSE" => return Resolved::Bool(false),
        ".inf" | ".Inf" | ".INF" | "+.inf" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        _ => {}
    }
    let digits = text.replace('_', "");
    let radix = |prefix: &str, base| {
        digits
            .strip_prefix(prefix)
            .and_then(|d| i64::from_str_radix(d, base).ok())
    };
    if let Some(value) = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
    {
        return Resolved::Int(value);
    }
    let number_like = digits.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && digits.bytes().any(|b| b.is_ascii_digit());
    if number_like {
        if let Ok(value) = digits.parse::<i64>() {
            return Resolved::Int(value);
        }
        if let Ok(value) = digits.parse::<u64>() {
            return Resolved::Uint(value);
        }
        if let Ok(value) = digits.parse::<f64>() {
            return Resolved::Float(value);
        }
    }
    Resolved::Text(text)
}

impl<'n> NodeDeserializer<'n> {
    fn mismatch(self, expected: impl fmt::Display) -> DecodeError {
        DecodeError::at(
            self.node,
            format!("expected {expected}, found {}", self.node.describe()),
        )
    }

    fn visit_entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let entries = match &self.node.value {
            Value::Map(entries) => entries.as_slice(),
            Value::Null => &[],
            _ => return Err(self.mismatch("a mapping")),
        };
        visitor.visit_map(Entries {
            iter: entries.iter(),
            current: None,
        })
    }

    fn text(self, expected: &str) -> Result<&'n str, DecodeError> {
        let Value::Scalar(scalar) = &self.node.value else {
            return Err(self.mismatch(expected));
        };
        if !scalar.expanded && !matches!(resolve(scalar), Resolved::Text(_)) {
            return Err(DecodeError::at(
                self.node,
                format!(
                    "expected {expected}, found `{}`; write \"{}\" in quotes",
                    scalar.text, scalar.text
                ),
            ));
        }
        Ok(&scalar.text)
    }

    fn scalar(self, expected: &str) -> Result<Resolved<'n>, DecodeError> {
        match &self.node.value {
            Value::Scalar(scalar) => Ok(resolve(scalar)),
            _ => Err(self.mismatch(expected)),
        }
    }

    fn number<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        expected: &str,
        float: bool,
    ) -> Result<V::Value, DecodeError> {
        let result = match self.scalar(expected)? {
            Resolved::Int(value) if float => visitor.visit_f64(value as f64),
            Resolved::Int(value) => visitor.visit_i64(value),
            Resolved::Uint(value) => visitor.visit_u64(value),
            Resolved::Float(value) if float => visitor.visit_f64(value),
            _ => return Err(self.mismatch(expected)),
        };
        result.map_err(|e: DecodeError| DecodeError {
            at: e.at.or_else(|| Some(self.node.at.clone())),
            ..e
        })
    }
}

macro_rules! integers {
    ($($method:ident),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.number(visitor, "a whole number", false)
        })*
    };
}

impl<'de> de::Deserializer<'de> for NodeDeserializer<'_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Seq(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.visit_entries(visitor),
            Value::Scalar(scalar) => match resolve(scalar) {
                Resolved::Bool(value) => visitor.visit_bool(value),
                Resolved::Int(value) => visitor.visit_i64(value),
                Resolved::Uint(value) => visitor.visit_u64(value),
                Resolved::Float(value) => visitor.visit_f64(value),
                Resolved::Text(text) => visitor.visit_str(text),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.scalar("true or false")? {
            Resolved::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.mismatch("true or false")),
        }
    }

    integers!(
        deserialize_i8,
        deserialize_i16,
        deserialize_i32,
        deserialize_i64,
        deserialize_u8,
        deserialize_u16,
        deserialize_u32,
        deserialize_u64
    );

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.number(visitor, "a number", true)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.number(visitor, "a number", true)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_str(self.text("a string")?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.node.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.node.value {
            Value::Seq(items) => visitor.visit_seq(Items {
                items: items.iter(),
                index: 0,
            }),
            Value::Null => visitor.visit_seq(Items {
                items: [].iter(),
                index: 0,
            }),
            Value::Scalar(scalar) if matches!(resolve(scalar), Resolved::Text(_)) => {
                let items: Vec<Node> = scalar
                    .text
                    .split(',')
                    .map(|part| Node {
                        at: self.node.at.clone(),
                        value: Value::Scalar(Scalar {
                            text: part.trim().to_owned(),
                            quoted: true,
                            expanded: false,
                        }),
                    })
                    .collect();
                visitor.visit_seq(Items {
                    items: items.iter(),
                    index: 0,
                })
            }
            _ => Err(self.mismatch("a list")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.visit_entries(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.visit_entries(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text = self.text("a string")?;
        let text: StrDeserializer<'_, DecodeError> = text.into_deserializer();
        visitor.visit_enum(text)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Items<'n> {
    items: std::slice::Iter<'n, Node>,
    index: usize,
}

impl<'de> de::SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.items.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(NodeDeserializer { node })
            .map(Some)
            .map_err(|e| e.inside(&node.at, format!("[{index}]")))
    }
}

struct Entries<'n> {
    iter: std::slice::Iter<'n, Entry>,
    current: Option<&'n Entry>,
}

impl<'de> de::MapAccess<'de> for Entries<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        self.current = self.iter.next();
        let Some(entry) = self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, DecodeError> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|mut e| {
            e.at.get_or_insert_with(|| entry.key_at.clone());
            e
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let Some(entry) = self.current else {
            return Err(de::Error::custom("value without key"));
        };
        // A bare `key:` is null at the place of the next token: the key is the better place.
        let at = match entry.value.value {
            Value::Null => &entry.key_at,
            _ => &entry.value.at,
        };
        seed.deserialize(NodeDeserializer { node: &entry.value })
            .map_err(|e| e.inside(at, entry.key.as_str()))
    }
}
