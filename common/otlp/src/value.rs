//! Attributes: keys with values of any kind.

use std::fmt::Write as _;

use crate::wire::{WireReader, WireValue};

/// An attribute value, borrowed from the request.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// No value was set.
    Empty,
    /// A string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A float.
    Double(f64),
    /// A list; see [`ArrayView`].
    Array(ArrayView<'a>),
    /// A map; its entries iterate like attributes.
    Map(Attributes<'a>),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A list of values.
#[derive(Debug, Clone, Copy)]
pub struct ArrayView<'a>(&'a [u8]);

impl<'a> ArrayView<'a> {
    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let mut reader = WireReader::new(self.0);
        std::iter::from_fn(move || {
            loop {
                let field = reader.next_valid()?;
                if let (1, WireValue::Bytes(body)) = (field.number, field.value) {
                    return Some(Value::parse(body));
                }
            }
        })
    }
}

/// A list of key-value pairs: one field number of the message that holds them.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    body: &'a [u8],
    field: u32,
}

impl<'a> Attributes<'a> {
    /// No attributes.
    pub const EMPTY: Self = Self {
        body: &[],
        field: 1,
    };

    pub(crate) fn new(body: &'a [u8], field: u32) -> Self {
        Self { body, field }
    }

    /// The pairs in the order of the payload. Duplicate keys are not removed.
    pub fn iter(&self) -> AttributesIter<'a> {
        AttributesIter {
            reader: WireReader::new(self.body),
            field: self.field,
        }
    }

    /// The value of the first attribute with this key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    /// The undecoded bodies of the pairs, for example to hash them. Equal pairs of one encoder have
    /// equal bodies; nothing more is promised.
    pub fn raw_pairs(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (mut reader, wanted) = (WireReader::new(self.body), self.field);
        std::iter::from_fn(move || {
            loop {
                let field = reader.next_valid()?;
                if let WireValue::Bytes(body) = field.value
                    && field.number == wanted
                {
                    return Some(body);
                }
            }
        })
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = (&'a str, Value<'a>);
    type IntoIter = AttributesIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator over key-value pairs.
#[derive(Debug, Clone)]
pub struct AttributesIter<'a> {
    reader: WireReader<'a>,
    field: u32,
}

impl<'a> Iterator for AttributesIter<'a> {
    type Item = (&'a str, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let field = self.reader.next_valid()?;
            if field.number == self.field
                && let WireValue::Bytes(body) = field.value
            {
                return Some(key_value(body));
            }
        }
    }
}

fn key_value(body: &[u8]) -> (&str, Value<'_>) {
    let mut reader = WireReader::new(body);
    let mut key = "";
    let mut value = Value::Empty;
    while let Some(field) = reader.next_valid() {
        match (field.number, field.value) {
            (1, WireValue::Bytes(bytes)) => key = text(bytes),
            (2, WireValue::Bytes(bytes)) => value = Value::parse(bytes),
            _ => {}
        }
    }
    (key, value)
}

/// A string of a validated message.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl<'a> Value<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Self {
        let mut reader = WireReader::new(body);
        let mut value = Self::Empty;
        while let Some(field) = reader.next_valid() {
            value = match (field.number, field.value) {
                (1, WireValue::Bytes(bytes)) => Self::Str(text(bytes)),
                (2, WireValue::Varint(raw)) => Self::Bool(raw != 0),
                (3, WireValue::Varint(raw)) => Self::Int(raw as i64),
                (4, WireValue::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, WireValue::Bytes(bytes)) => Self::Array(ArrayView(bytes)),
                (6, WireValue::Bytes(bytes)) => Self::Map(Attributes::new(bytes, 1)),
                (7, WireValue::Bytes(bytes)) => Self::Bytes(bytes),
                _ => value,
            };
        }
        value
    }

    /// Appends the text form used for Prometheus labels: scalars plainly, lists and maps as JSON
    /// (keys of maps sorted), bytes as base64, nothing for an empty value.
    pub fn write_text(&self, out: &mut String) {
        match self {
            Self::Empty => {}
            Self::Str(s) => out.push_str(s),
            Self::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Self::Int(i) => {
                let _ = write!(out, "{i}");
            }
            Self::Double(d) => write_double(out, *d),
            Self::Array(_) | Self::Map(_) => self.write_json(out),
            Self::Bytes(bytes) => crate::json::base64_encode(bytes, out),
        }
    }

    /// The text form as an owned string.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.write_text(&mut out);
        out
    }

    /// Appends JSON.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Empty => out.push_str("null"),
            Self::Str(s) => crate::json::write_json_string(s, out),
            Self::Bool(_) | Self::Int(_) => self.write_text(out),
            Self::Double(d) if d.is_finite() => write_double(out, *d),
            Self::Double(d) => {
                out.push('"');
                write_double(out, *d);
                out.push('"');
            }
            Self::Bytes(bytes) => {
                out.push('"');
                crate::json::base64_encode(bytes, out);
                out.push('"');
            }
            Self::Array(array) => {
                out.push('[');
                for (index, value) in array.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write_json(out);
                }
                out.push(']');
            }
            Self::Map(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by(|a, b| a.0.cmp(b.0));
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    crate::json::write_json_string(key, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// Shortest decimal; exponents below 1e-6 and from 1e21 on, as JavaScript and Go's JSON write them.
fn write_double(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else if value != 0.0 && (value.abs() < 1e-6 || value.abs() >= 1e21) {
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => {
                let _ = write!(out, "{mantissa}e+{exponent}");
            }
            _ => out.push_str(&text),
        }
    } else {
        let _ = write!(out, "{value}");
    }
}

/// The text form of one attribute of an encoded resource; empty when it is not there.
pub fn resource_value_text(resource: &[u8], key: &str) -> String {
    if crate::schema::RESOURCE.validate(resource).is_err() {
        return String::new();
    }
    Attributes::new(resource, 1)
        .get(key)
        .map(|value| value.to_text())
        .unwrap_or_default()
}
