//! A value of the tree as a serde deserializer.

use serde::de::value::U64Deserializer;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::entries::{Entry, Target, entries};
use super::error::{Error, Segment};
use super::scalar::{Scalar, resolve};
use crate::node::{Node, NodeKind};

/// The name by which a value is asked for together with its place.
pub(crate) const PLACED: &str = "__bellwether_placed";

const WHOLE: &str = "expected a whole number";
const WHOLE_FROM_0: &str = "expected a whole number, 0 or more";

/// A value, or the key of one.
#[derive(Clone, Copy)]
pub(super) struct Value<'n> {
    node: &'n Node,
    is_key: bool,
}

impl<'n> Value<'n> {
    pub(super) fn new(node: &'n Node) -> Self {
        Self {
            node,
            is_key: false,
        }
    }

    fn wrong(self, message: impl Into<String>) -> Error {
        Error::new(message, self.node.place)
    }

    /// The scalar; `expected` is said of anything else.
    fn scalar(self, expected: &str) -> Result<(&'n str, Scalar), Error> {
        match &self.node.kind {
            NodeKind::Scalar {
                text,
                is_plain,
                tag,
            } => {
                let scalar = resolve(text, *is_plain, tag.as_deref()).map_err(|e| self.wrong(e))?;
                Ok((text, scalar))
            }
            _ => Err(self.wrong(expected)),
        }
    }

    fn is_null(self) -> bool {
        self.scalar("")
            .is_ok_and(|(_, scalar)| scalar == Scalar::Null)
    }

    fn signed(self) -> Result<i64, Error> {
        match self.scalar(WHOLE)?.1 {
            Scalar::Null => Ok(0),
            Scalar::Signed(whole) => Ok(whole),
            // Go cuts off what stands behind the point.
            Scalar::Float(float) if float <= i64::MAX as f64 => Ok(float as i64),
            _ => Err(self.wrong(WHOLE)),
        }
    }

    fn unsigned(self) -> Result<u64, Error> {
        match self.scalar(WHOLE_FROM_0)?.1 {
            Scalar::Null => Ok(0),
            Scalar::Signed(whole) => u64::try_from(whole).map_err(|_| self.wrong(WHOLE_FROM_0)),
            Scalar::Unsigned(whole) => Ok(whole),
            Scalar::Float(float) if (0.0..=u64::MAX as f64).contains(&float) => Ok(float as u64),
            _ => Err(self.wrong(WHOLE_FROM_0)),
        }
    }

    fn float(self) -> Result<f64, Error> {
        let expected = "expected a number";
        match self.scalar(expected)?.1 {
            Scalar::Null => Ok(0.0),
            Scalar::Signed(whole) => Ok(whole as f64),
            Scalar::Unsigned(whole) => Ok(whole as f64),
            Scalar::Float(float) => Ok(float),
            _ => Err(self.wrong(expected)),
        }
    }

    fn boolean(self) -> Result<bool, Error> {
        let expected = "expected true or false";
        match self.scalar(expected)?.1 {
            Scalar::Null => Ok(false),
            Scalar::Bool(value) => Ok(value),
            _ => Err(self.wrong(expected)),
        }
    }

    fn text(self) -> Result<String, Error> {
        let (text, scalar) = self.scalar("expected a text")?;
        match scalar {
            Scalar::Null => Ok(String::new()),
            Scalar::Binary(bytes) => String::from_utf8(bytes).map_err(|error| {
                // Only labels are written this way.
                let what = if self.is_key { "name" } else { "value" };
                let shown = error.as_bytes().escape_ascii();
                self.wrong(format!("\"{shown}\" is not a valid label {what}"))
            }),
            _ => Ok(text.to_owned()),
        }
    }

    fn items(self) -> Result<&'n [Node], Error> {
        match &self.node.kind {
            NodeKind::Sequence(items) => Ok(items),
            _ if self.is_null() => Ok(&[]),
            _ => Err(self.wrong("expected a list (`- value`)")),
        }
    }

    fn entries(self, target: Target) -> Result<Entries<'n>, Error> {
        let entries = match &self.node.kind {
            NodeKind::Mapping(pairs) => entries(pairs, target)?,
            _ if self.is_null() => Vec::new(),
            _ => return Err(self.wrong("expected keys with values (`key: value`)")),
        };
        Ok(Entries {
            entries: entries.into_iter(),
            next: None,
        })
    }
}

/// Numbers of one width for all: the types check the range themselves.
macro_rules! numbers {
    ($($method:ident $read:ident $visit:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(self.$read()?).map_err(|e: Error| e.at(self.node.place))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Error;

    numbers! {
        deserialize_bool boolean visit_bool
        deserialize_i8 signed visit_i64
        deserialize_i16 signed visit_i64
        deserialize_i32 signed visit_i64
        deserialize_i64 signed visit_i64
        deserialize_u8 unsigned visit_u64
        deserialize_u16 unsigned visit_u64
        deserialize_u32 unsigned visit_u64
        deserialize_u64 unsigned visit_u64
        deserialize_f32 float visit_f64
        deserialize_f64 float visit_f64
        deserialize_str text visit_string
        deserialize_string text visit_string
        deserialize_char text visit_string
        deserialize_bytes text visit_string
        deserialize_byte_buf text visit_string
        deserialize_identifier text visit_string
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            NodeKind::Sequence(_) => return self.deserialize_seq(visitor),
            NodeKind::Mapping(_) => return self.deserialize_map(visitor),
            NodeKind::Scalar { .. } => {}
        }
        match self.scalar("")?.1 {
            Scalar::Null => visitor.visit_unit(),
            Scalar::Bool(value) => visitor.visit_bool(value),
            Scalar::Signed(whole) => visitor.visit_i64(whole),
            Scalar::Unsigned(whole) => visitor.visit_u64(whole),
            Scalar::Float(float) => visitor.visit_f64(float),
            Scalar::Text | Scalar::Binary(_) => visitor.visit_string(self.text()?),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == PLACED {
            visitor.visit_seq(WithPlace {
                value: self,
                step: 0,
            })
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items {
            items: self.items()?,
            next: 0,
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(self.entries(Target::Map)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(self.entries(Target::Section)?)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.text()?.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// The items of a list.
struct Items<'n> {
    items: &'n [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let Some(node) = self.items.get(self.next) else {
            return Ok(None);
        };
        let index = self.next;
        self.next += 1;
        let value = seed.deserialize(Value::new(node));
        value
            .map(Some)
            .map_err(|error| error.at(node.place).under(Segment::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

/// The entries of a mapping.
struct Entries<'n> {
    entries: std::vec::IntoIter<Entry<'n>>,
    next: Option<Entry<'n>>,
}

fn segment(key: &Node) -> Segment {
    Segment::Key(match &key.kind {
        NodeKind::Scalar { text, .. } => text.clone(),
        _ => "?".to_owned(),
    })
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        self.next = self.entries.next();
        let Some((key, _)) = self.next else {
            return Ok(None);
        };
        let value = seed.deserialize(Value {
            node: key,
            is_key: true,
        });
        value
            .map(Some)
            .map_err(|error| error.at(key.place).under(segment(key)))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let (key, value) = self
            .next
            .take()
            .ok_or_else(|| Error::custom("a value was asked for before its key"))?;
        let read = seed.deserialize(Value::new(value));
        read.map_err(|error| error.at(value.place).under(segment(key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// Line, column and the value itself.
struct WithPlace<'n> {
    value: Value<'n>,
    step: u8,
}

impl<'de> SeqAccess<'de> for WithPlace<'de> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        let place = self.value.node.place;
        self.step += 1;
        let number = |n: usize| -> U64Deserializer<Error> { (n as u64).into_deserializer() };
        match self.step {
            1 => seed.deserialize(number(place.line)).map(Some),
            2 => seed.deserialize(number(place.column)).map(Some),
            3 => seed.deserialize(self.value).map(Some),
            _ => Ok(None),
        }
    }
}
