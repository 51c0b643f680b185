//! Strict keys: a deserializer wrapper that refuses unknown keys at their place in the file.
//!
//! serde's own `deny_unknown_fields` lists all fields but suggests nothing, and cannot tell a typing error
//! from a key of Prometheus that is not supported yet. A configuration struct derives its fields with
//! `#[serde(remote = "Self")]` and implements `Deserialize` through [`Strict`].
//!
//! Keys that several sections share (those of an HTTP client, for example) stand in the file at the same level as the
//! section's own. serde's `flatten` would read them into an untyped buffer first, where `password: 123` is a number;
//! [`Strict::embed`] hands them to the shared part as they come, with their types and their places.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};

use crate::nearest;

/// A part of a section whose keys stand among the section's own.
pub trait Embedded {
    /// The keys.
    const KEYS: &'static [&'static str];

    /// Takes the value of one of the keys: calls [`MapAccess::next_value`] exactly once.
    ///
    /// # Errors
    /// When the value does not fit.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error>;
}

/// No shared keys.
#[derive(Debug)]
pub struct NoKeys;

impl Embedded for NoKeys {
    const KEYS: &'static [&'static str] = &[];

    fn take<'de, A: MapAccess<'de>>(&mut self, _: &str, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<de::IgnoredAny>().map(drop)
    }
}

/// Wraps a deserializer; only structs go through.
#[derive(Debug)]
pub struct Strict<D, E = NoKeys> {
    inner: D,
    /// Where the keys stand, for messages: `scrape config`.
    place: &'static str,
    /// Keys that Prometheus knows and this build does not.
    unsupported: &'static [&'static str],
    embedded: E,
}

impl<D> Strict<D> {
    /// `place` names the struct in messages; `unsupported` are keys that Prometheus knows and this build does not.
    pub fn new(inner: D, place: &'static str, unsupported: &'static [&'static str]) -> Self {
        Self {
            inner,
            place,
            unsupported,
            embedded: NoKeys,
        }
    }

    /// Reads the keys of a shared part as well, into `embedded`.
    pub fn embed<E: Embedded>(self, embedded: &mut E) -> Strict<D, &mut E> {
        Strict {
            inner: self.inner,
            place: self.place,
            unsupported: self.unsupported,
            embedded,
        }
    }
}

impl<E: Embedded> Embedded for &mut E {
    const KEYS: &'static [&'static str] = E::KEYS;

    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        (**self).take(key, map)
    }
}

impl<'de, D: Deserializer<'de>, E: Embedded> Deserializer<'de> for Strict<D, E> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let rules = Rules {
            fields,
            embedded: E::KEYS,
            place: self.place,
            unsupported: self.unsupported,
        };
        let visitor = StrictVisitor {
            visitor,
            rules,
            embedded: self.embedded,
        };
        self.inner.deserialize_struct(name, fields, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[derive(Clone, Copy)]
struct Rules {
    fields: &'static [&'static str],
    embedded: &'static [&'static str],
    place: &'static str,
    unsupported: &'static [&'static str],
}

impl Rules {
    fn known(self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().chain(self.embedded).copied()
    }

    fn check<E: de::Error>(self, key: &str) -> Result<(), E> {
        if self.known().any(|known| known == key) {
            return Ok(());
        }
        let place = self.place;
        if self.unsupported.contains(&key) {
            return Err(E::custom(format!(
                "key {key:?} of {place} is not supported yet: remove it"
            )));
        }
        Err(E::custom(match nearest(key, self.known()) {
            Some(near) => format!("unknown key {key:?} in {place}, did you mean {near:?}?"),
            None => format!(
                "unknown key {key:?} in {place}, known keys: {}",
                self.known().collect::<Vec<_>>().join(", ")
            ),
        }))
    }
}

struct StrictVisitor<V, E> {
    visitor: V,
    rules: Rules,
    embedded: E,
}

impl<'de, V: Visitor<'de>, E: Embedded> Visitor<'de> for StrictVisitor<V, E> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(StrictMap {
            map,
            rules: self.rules,
            embedded: self.embedded,
        })
    }
}

struct StrictMap<A, E> {
    map: A,
    rules: Rules,
    embedded: E,
}

impl<'de, A: MapAccess<'de>, E: Embedded> MapAccess<'de> for StrictMap<A, E> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        loop {
            let key = self.map.next_key_seed(StrictKey(self.rules))?;
            let Some(key) = key else { return Ok(None) };
            if !E::KEYS.contains(&key.as_str()) {
                return seed.deserialize(key.into_deserializer()).map(Some);
            }
            self.embedded.take(&key, &mut self.map)?;
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// Checks a key while the parser still knows its place.
struct StrictKey(Rules);

impl<'de> DeserializeSeed<'de> for StrictKey {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<String, D::Error> {
        let key = <String as de::Deserialize>::deserialize(key)?;
        self.0.check(&key)?;
        Ok(key)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{YamlError, from_str};

    #[derive(Debug, Default)]
    struct Shared {
        password: String,
        port: u16,
    }

    impl Embedded for Shared {
        const KEYS: &'static [&'static str] = &["password", "port"];

        fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
            match key {
                "password" => self.password = map.next_value()?,
                _ => self.port = map.next_value()?,
            }
            Ok(())
        }
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(remote = "Self", default)]
    struct Section {
        name: String,
        #[serde(skip)]
        shared: Shared,
    }

    impl<'de> Deserialize<'de> for Section {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let mut shared = Shared::default();
            let strict = Strict::new(deserializer, "section", &["gone"]).embed(&mut shared);
            let mut section = Self::deserialize(strict)?;
            section.shared = shared;
            Ok(section)
        }
    }

    fn read(text: &str) -> Result<Section, YamlError> {
        from_str("f.yml", text)
    }

    #[test]
    fn shared_keys_keep_their_types() {
        let section = read("port: 80\nname: 7\npassword: 0123\n").unwrap();
        assert_eq!(section.name, "7");
        assert_eq!(section.shared.password, "0123");
        assert_eq!(section.shared.port, 80);
    }

    #[test]
    fn mistakes_in_shared_keys_have_a_place() {
        let error = read("name: a\nport: x\n").unwrap_err();
        assert_eq!((error.line, error.path.as_str()), (2, "port"), "{error}");
        let error = read("name: a\npasword: x\n").unwrap_err().to_string();
        assert!(error.contains("did you mean \"password\"?"), "{error}");
        let error = read("gone: a\n").unwrap_err().to_string();
        assert!(error.contains("not supported yet"), "{error}");
        let error = read("entirely_different: a\n").unwrap_err().to_string();
        assert!(
            error.contains("known keys: name, password, port"),
            "{error}"
        );
    }
}
