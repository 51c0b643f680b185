//! Keys without a value, as Go's YAML library reads them.
//!
//! Prometheus' files are full of `relabel_configs:` with nothing behind it. Go takes that as the type's zero value:
//! false, 0, the empty text, an empty list, the section's defaults. serde refuses it. [`Nulls`] stands between the
//! two: it asks the document whether a value is there before it asks for it, at every key down the tree. Items of
//! lists are not touched: an empty item is a mistake that the types report in their own words.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, Visitor};

/// Reads a whole document that way.
pub(crate) struct Document<T>(pub(crate) T);

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Document<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(Nulls::item(deserializer)).map(Self)
    }
}

/// The wrapper of a deserializer, of its visitor, and of what the visitor is given.
struct Nulls<I> {
    inner: I,
    /// Whether a null in this very place is taken.
    here: bool,
}

impl<I> Nulls<I> {
    /// The value of a key.
    fn value(inner: I) -> Self {
        Self { inner, here: true }
    }

    /// What must be there, and may hold keys.
    fn item(inner: I) -> Self {
        Self { inner, here: false }
    }
}

/// What is asked for.
#[derive(Clone, Copy)]
enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
    Text,
    Seq,
    Map,
    Struct(&'static str, &'static [&'static str]),
}

impl Kind {
    fn ask<'de, D: Deserializer<'de>, V: Visitor<'de>>(
        self,
        inner: D,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = Nulls::item(visitor);
        match self {
            Self::Bool => inner.deserialize_bool(visitor),
            Self::Signed => inner.deserialize_i64(visitor),
            Self::Unsigned => inner.deserialize_u64(visitor),
            Self::Float => inner.deserialize_f64(visitor),
            Self::Text => inner.deserialize_string(visitor),
            Self::Seq => inner.deserialize_seq(visitor),
            Self::Map => inner.deserialize_map(visitor),
            Self::Struct(name, fields) => inner.deserialize_struct(name, fields, visitor),
        }
    }

    fn zero<'de, V: Visitor<'de>, E: Error>(self, visitor: V) -> Result<V::Value, E> {
        let nothing = std::iter::empty::<()>;
        match self {
            Self::Bool => visitor.visit_bool(false),
            Self::Signed => visitor.visit_i64(0),
            Self::Unsigned => visitor.visit_u64(0),
            Self::Float => visitor.visit_f64(0.0),
            Self::Text => visitor.visit_str(""),
            Self::Seq => visitor.visit_seq(SeqDeserializer::new(nothing())),
            Self::Map | Self::Struct(..) => {
                visitor.visit_map(MapDeserializer::new(nothing().map(|()| ((), ()))))
            }
        }
    }
}

/// The visitor of an optional value whose absence stands for zero.
struct OrZero<V> {
    visitor: V,
    kind: Kind,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for OrZero<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.kind.zero(self.visitor)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.kind.zero(self.visitor)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.kind.ask(inner, self.visitor)
    }
}

impl<D> Nulls<D> {
    fn read<'de, V: Visitor<'de>>(self, kind: Kind, visitor: V) -> Result<V::Value, D::Error>
    where
        D: Deserializer<'de>,
    {
        if self.here {
            self.inner.deserialize_option(OrZero { visitor, kind })
        } else {
            kind.ask(self.inner, visitor)
        }
    }
}

/// Numbers of one width for all: the types check the range themselves, in words of their own.
macro_rules! read {
    ($($method:ident $kind:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.read(Kind::$kind, visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Nulls<D> {
    type Error = D::Error;

    read! {
        deserialize_bool Bool
        deserialize_i64 Signed
        deserialize_u64 Unsigned
        deserialize_f64 Float
        deserialize_str Text
        deserialize_string Text
        deserialize_seq Seq
        deserialize_map Map
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(Nulls::item(visitor))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Nulls::item(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        // How the library hands over positions; that is no part of the document.
        if name == "Location" {
            return self.inner.deserialize_struct(name, fields, visitor);
        }
        self.read(Kind::Struct(name, fields), visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        // A value with its position comes as a struct that is always there; the value in it may be null.
        let here = self.here && !name.starts_with("__yaml");
        let visitor = Nulls {
            inner: visitor,
            here,
        };
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_i8(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_i16(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_i32(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_u8(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_u16(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_u32(visitor)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit identifier ignored_any
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Nulls<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<V::Value, E> {
        self.inner.visit_bool(v)
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<V::Value, E> {
        self.inner.visit_i64(v)
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<V::Value, E> {
        self.inner.visit_u64(v)
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<V::Value, E> {
        self.inner.visit_f64(v)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<V::Value, E> {
        self.inner.visit_str(v)
    }

    fn visit_borrowed_str<E: Error>(self, v: &'de str) -> Result<V::Value, E> {
        self.inner.visit_borrowed_str(v)
    }

    fn visit_string<E: Error>(self, v: String) -> Result<V::Value, E> {
        self.inner.visit_string(v)
    }

    fn visit_bytes<E: Error>(self, v: &[u8]) -> Result<V::Value, E> {
        self.inner.visit_bytes(v)
    }

    fn visit_byte_buf<E: Error>(self, v: Vec<u8>) -> Result<V::Value, E> {
        self.inner.visit_byte_buf(v)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(data)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Nulls::item(inner))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let here = self.here;
        self.inner.visit_newtype_struct(Nulls { inner, here })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Nulls::item(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Nulls::item(entries))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Nulls<A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Nulls::item(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Nulls<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Nulls::value(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Nulls<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        let here = self.here;
        self.inner.deserialize(Nulls { inner, here })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_saphyr::Spanned;

    use crate::{from_str, from_str_with_nulls};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Section {
        on: bool,
        count: u64,
        share: f64,
        name: String,
        list: Vec<String>,
        labels: BTreeMap<String, String>,
        inner: Option<Box<Section>>,
        always: Inner,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        limit: u64,
    }

    impl Default for Inner {
        fn default() -> Self {
            Self { limit: 7 }
        }
    }

    #[derive(Debug, Deserialize)]
    struct Root {
        #[serde(default)]
        section: Option<Spanned<Section>>,
        #[serde(default)]
        items: Vec<Option<Spanned<Section>>>,
    }

    #[test]
    fn keys_without_a_value_are_zero() {
        let text = "section:\n  on:\n  count: ~\n  share: null\n  name:\n  list:\n  labels: {a: }\n  inner:\n  always:\nitems: [null, {on: yes, count: 3, inner: {name: }}]\n";
        assert!(from_str::<Root>("f", text).is_err());
        let root: Root = from_str_with_nulls("f", text).unwrap();
        let section = root.section.unwrap();
        assert_eq!(section.referenced.line(), 2);
        let labels = BTreeMap::from([("a".to_owned(), String::new())]);
        let expected = Section {
            labels,
            ..Section::default()
        };
        assert_eq!(section.value, expected);
        assert!(root.items[0].is_none());
        let item = &root.items[1].as_ref().unwrap().value;
        assert!(item.on && item.count == 3);
        assert_eq!(item.inner.as_deref(), Some(&Section::default()));
    }

    #[test]
    fn mistakes_keep_their_places() {
        for (text, expected) in [
            ("section:\n  on: 5x\n", "f:2:7: section"),
            ("section:\n  inner:\n    nmae: x\n", "f:3:5: section"),
            ("section: [a]\n", "f:1:10: section"),
            ("items:\n- count: -1\n", "f:2:10: items[0]"),
        ] {
            let error = from_str_with_nulls::<Root>("f", text).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}");
        }
    }
}
