//! OTLP/JSON to protobuf.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use thiserror::Error;

use super::{base64_decode, hex_decode};
use crate::schema::{Field, Kind, MAX_DEPTH, Message};
use crate::wire::{put_key, put_varint};

/// A body that is not OTLP/JSON of the expected message.
#[derive(Debug, Error)]
#[error("invalid OTLP JSON in {message}: {source}")]
pub struct JsonError {
    /// Message that was expected.
    pub message: &'static str,
    /// Cause, with line and column.
    #[source]
    pub source: serde_json::Error,
}

/// Turns OTLP/JSON into the protobuf form of `message`.
///
/// # Errors
/// The text is not JSON, or a value does not fit its field.
pub fn to_protobuf(message: &'static Message, json: &[u8]) -> Result<Vec<u8>, JsonError> {
    let wrap = |source| JsonError {
        message: message.name,
        source,
    };
    let mut out = Vec::with_capacity(json.len() / 2);
    let mut parser = serde_json::Deserializer::from_slice(json);
    MessageSeed {
        message,
        out: &mut out,
        depth: 0,
    }
    .deserialize(&mut parser)
    .map_err(wrap)?;
    parser.end().map_err(wrap)?;
    Ok(out)
}

struct MessageSeed<'o> {
    message: &'static Message,
    out: &'o mut Vec<u8>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object for {}", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if self.depth > MAX_DEPTH {
            return Err(A::Error::custom("messages are nested too deeply"));
        }
        while let Some(field) = map.next_key_seed(FieldName(self.message))? {
            match field {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(field) => map.next_value_seed(FieldSeed {
                    field,
                    out: &mut *self.out,
                    depth: self.depth,
                    element: false,
                })?,
            }
        }
        Ok(())
    }
}

/// Finds the field of an object key without allocating.
struct FieldName(&'static Message);

impl<'de> DeserializeSeed<'de> for FieldName {
    type Value = Option<&'static Field>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName {
    type Value = Option<&'static Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.json_field(name))
    }
}

/// The value of a field: one value, or a list of them. `element` is true inside the list.
struct FieldSeed<'o> {
    field: &'static Field,
    out: &'o mut Vec<u8>,
    depth: usize,
    element: bool,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl FieldSeed<'_> {
    fn check_single<E: serde::de::Error>(&self) -> Result<(), E> {
        if self.field.repeated && !self.element {
            return Err(E::custom(format_args!(
                "{} must be a list",
                self.field.json
            )));
        }
        Ok(())
    }

    fn mismatch<E: serde::de::Error>(&self, found: impl fmt::Display) -> E {
        E::custom(format_args!(
            "{}: expected {}, found {found}",
            self.field.json,
            describe(self.field.kind)
        ))
    }

    fn varint(self, value: u64) {
        put_key(self.out, self.field.number, 0);
        put_varint(self.out, value);
    }

    fn fixed64(self, bits: u64) {
        put_key(self.out, self.field.number, 1);
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    fn bytes(self, bytes: &[u8]) {
        crate::wire::put_bytes(self.out, self.field.number, bytes);
    }

    /// An integer of any kind; `None` when it does not fit the field.
    fn integer(self, value: i128) -> Option<()> {
        match self.field.kind {
            Kind::Double => self.fixed64((value as f64).to_bits()),
            Kind::Fixed64 => {
                let v = u64::try_from(value).ok()?;
                self.fixed64(v);
            }
            Kind::Sfixed64 => {
                let v = i64::try_from(value).ok()?;
                self.fixed64(v as u64);
            }
            Kind::Fixed32 => {
                let v = u32::try_from(value).ok()?;
                put_key(self.out, self.field.number, 5);
                self.out.extend_from_slice(&v.to_le_bytes());
            }
            Kind::Uint32 => {
                let v = u32::try_from(value).ok()?;
                self.varint(u64::from(v));
            }
            Kind::Uint64 => {
                let v = u64::try_from(value).ok()?;
                self.varint(v);
            }
            Kind::Int64 => {
                let v = i64::try_from(value).ok()?;
                self.varint(v as u64);
            }
            Kind::Int32 | Kind::Enum => {
                let v = i32::try_from(value).ok()?;
                self.varint(i64::from(v) as u64);
            }
            Kind::Sint32 => {
                let v = i32::try_from(value).ok()?;
                self.varint(u64::from(((v << 1) ^ (v >> 31)) as u32));
            }
            _ => return None,
        }
        Some(())
    }

    fn whole<E: serde::de::Error>(self, value: i128) -> Result<(), E> {
        self.check_single()?;
        let mismatch = self.mismatch(value);
        self.integer(value).ok_or(mismatch)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(describe(self.field.kind))
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if !self.field.repeated || self.element {
            return Err(self.mismatch("a list"));
        }
        while seq
            .next_element_seed(FieldSeed {
                field: self.field,
                out: &mut *self.out,
                depth: self.depth,
                element: true,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        self.check_single()?;
        let Kind::Message(message) = self.field.kind else {
            return Err(self.mismatch("an object"));
        };
        put_key(self.out, self.field.number, 2);
        let start = self.out.len();
        MessageSeed {
            message,
            out: &mut *self.out,
            depth: self.depth + 1,
        }
        .visit_map(map)?;
        // The length is known only now: insert it before the body.
        let mut length = Vec::with_capacity(5);
        put_varint(&mut length, (self.out.len() - start) as u64);
        self.out.splice(start..start, length);
        Ok(())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.check_single()?;
        match self.field.kind {
            Kind::Bool => {
                self.varint(u64::from(value));
                Ok(())
            }
            _ => Err(self.mismatch(value)),
        }
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.whole(i128::from(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.whole(i128::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.check_single()?;
        match self.field.kind {
            Kind::Double => {
                self.fixed64(value.to_bits());
                Ok(())
            }
            // `1e3` and `5.0` are integers in JSON's eyes.
            _ if value.fract() == 0.0 && value.abs() < 9.3e18 => self.whole(value as i128),
            _ => Err(self.mismatch(value)),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.check_single()?;
        let mismatch = self.mismatch(format_args!("{text:?}"));
        match self.field.kind {
            Kind::String => self.bytes(text.as_bytes()),
            Kind::Id(length) => {
                let id = hex_decode(text)
                    .filter(|id| id.is_empty() || id.len() == length)
                    .ok_or(mismatch)?;
                self.bytes(&id);
            }
            Kind::Bytes => {
                let bytes = base64_decode(text).ok_or(mismatch)?;
                self.bytes(&bytes);
            }
            Kind::Double => {
                let value = match text {
                    "NaN" => f64::NAN,
                    "Infinity" => f64::INFINITY,
                    "-Infinity" => f64::NEG_INFINITY,
                    other => other.parse::<f64>().map_err(|_| mismatch)?,
                };
                self.fixed64(value.to_bits());
            }
            Kind::Bool | Kind::Message(_) | Kind::Enum => return Err(mismatch),
            _ => {
                let value = text
                    .parse::<i128>()
                    .map_err(|_| self.mismatch(format_args!("{text:?}")))?;
                return self.integer(value).ok_or(mismatch);
            }
        }
        Ok(())
    }
}

fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Double => "a number",
        Kind::Fixed64 | Kind::Uint64 => "an unsigned 64-bit integer (or a string with one)",
        Kind::Sfixed64 | Kind::Int64 => "a 64-bit integer (or a string with one)",
        Kind::Fixed32 | Kind::Uint32 => "an unsigned 32-bit integer",
        Kind::Int32 | Kind::Sint32 => "a 32-bit integer",
        Kind::Enum => "an integer (enum names are not allowed in OTLP JSON)",
        Kind::Bool => "true or false",
        Kind::String => "a string",
        Kind::Bytes => "a base64 string",
        Kind::Id(16) => "32 hexadecimal digits",
        Kind::Id(_) => "16 hexadecimal digits",
        Kind::Message(_) => "an object",
    }
}
