//! Strict keys: a deserializer wrapper that refuses unknown keys at their place in the file.
//!
//! serde's own `deny_unknown_fields` lists all fields but suggests nothing, and cannot tell a typing error
//! from a key of Prometheus that is not supported yet. A configuration struct derives its fields with
//! `#[serde(remote = "Self")]` and implements `Deserialize` through [`Strict`].

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};

/// Wraps a deserializer; only structs go through.
#[derive(Debug)]
pub struct Strict<D> {
    inner: D,
    /// Where the keys stand, for messages: `scrape config`.
    place: &'static str,
    /// Keys that Prometheus knows and this build does not.
    unsupported: &'static [&'static str],
}

impl<D> Strict<D> {
    /// `place` names the struct in messages; `unsupported` are keys that Prometheus knows and this build does not.
    pub fn new(inner: D, place: &'static str, unsupported: &'static [&'static str]) -> Self {
        Self {
            inner,
            place,
            unsupported,
        }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Strict<D> {
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
            place: self.place,
            unsupported: self.unsupported,
        };
        self.inner
            .deserialize_struct(name, fields, StrictVisitor { visitor, rules })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[derive(Clone, Copy)]
struct Rules {
    fields: &'static [&'static str],
    place: &'static str,
    unsupported: &'static [&'static str],
}

impl Rules {
    fn check<E: de::Error>(self, key: &str) -> Result<(), E> {
        if self.fields.contains(&key) {
            return Ok(());
        }
        let place = self.place;
        if self.unsupported.contains(&key) {
            return Err(E::custom(format!(
                "key {key:?} of {place} is not supported yet: remove it"
            )));
        }
        Err(E::custom(match nearest(key, self.fields) {
            Some(near) => format!("unknown key {key:?} in {place}, did you mean {near:?}?"),
            None => format!(
                "unknown key {key:?} in {place}, known keys: {}",
                self.fields.join(", ")
            ),
        }))
    }
}

struct StrictVisitor<V> {
    visitor: V,
    rules: Rules,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for StrictVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(StrictMap {
            map,
            rules: self.rules,
        })
    }
}

struct StrictMap<A> {
    map: A,
    rules: Rules,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for StrictMap<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        self.map.next_key_seed(StrictKey {
            seed,
            rules: self.rules,
        })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

struct StrictKey<K> {
    seed: K,
    rules: Rules,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for StrictKey<K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<K::Value, D::Error> {
        let key = <String as de::Deserialize>::deserialize(key)?;
        self.rules.check(&key)?;
        self.seed.deserialize(key.into_deserializer())
    }
}

/// The known key within an edit distance of a third of the length, for "did you mean".
fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    known
        .iter()
        .map(|candidate| (edit_distance(key, candidate), *candidate))
        .min()
        .filter(|(distance, _)| *distance <= (key.len() / 3).max(1))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substitute = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
