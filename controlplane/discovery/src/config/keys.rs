//! Reading a mapping key by key into structs that stand side by side.
//!
//! Discovery configurations share one mapping with the options of their HTTP client, and a scrape configuration
//! shares its mapping with all of `*_sd_configs`. serde's `flatten` would buffer every value first, and a buffered
//! `1.10` is a number that no text field takes. So each struct offers to take the value of a key straight from the
//! document ([`Keys::take`]), and what none of them wants is refused by name at its place.
//!
//! As in Prometheus a key without a value is zero, not the default.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A struct whose fields can be read one key at a time.
pub(crate) trait Keys {
    /// The keys it knows.
    fn keys() -> Vec<&'static str>;

    /// Reads the value of `key` when the struct has such a key. False: it has not, and nothing was read.
    ///
    /// # Errors
    /// What the document says about the value.
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error>;
}

/// Reads one value into a field.
pub(crate) fn take_value<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut T,
    map: &mut A,
) -> Result<(), A::Error> {
    *field = map.next_value()?;
    Ok(())
}

/// Reads a mapping of which every key must be known to `T`. `place` names it in messages.
pub(crate) fn deserialize<'de, T: Keys + Default, D: Deserializer<'de>>(
    deserializer: D,
    place: &'static str,
) -> Result<T, D::Error> {
    // The fields are known to the visitor only.
    deserializer.deserialize_struct(
        place,
        &[],
        KeysVisitor {
            place,
            kind: PhantomData,
        },
    )
}

struct KeysVisitor<T> {
    place: &'static str,
    kind: PhantomData<T>,
}

impl<'de, T: Keys + Default> Visitor<'de> for KeysVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a mapping, {}", self.place)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut value = T::default();
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !value.take(&key, &mut map)? {
                return Err(unknown(&key, self.place, &T::keys()));
            }
            if let Some(key) = seen.replace(key) {
                return Err(A::Error::custom(format!(
                    "key {key:?} stands twice in {}",
                    self.place
                )));
            }
        }
        Ok(value)
    }
}

fn unknown<E: Error>(key: &str, place: &str, known: &[&str]) -> E {
    E::custom(match bellwether_yaml::nearest(key, known.iter().copied()) {
        Some(near) => format!("unknown key {key:?} in {place}, did you mean {near:?}?"),
        None => format!(
            "unknown key {key:?} in {place}, known keys: {}",
            known.join(", ")
        ),
    })
}

/// Declares a configuration: the struct, its defaults, its keys. `with http` adds the options of an HTTP client; a key
/// that is not the field's name stands behind `as`.
///
/// The struct's `check` runs after reading, so that what it finds carries the place in the file.
macro_rules! config_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident in $place:literal $(with $http:ident)? {
            $( $(#[$field_meta:meta])* $field:ident $(as $key:literal)?: $type:ty = $default:expr, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, ::serde::Serialize)]
        pub struct $name {
            $( $(#[$field_meta])* $(#[serde(rename = $key)])? pub(crate) $field: $type, )*
            $( #[serde(flatten)] pub(crate) $http: $crate::config::HttpClientConfig, )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $( $field: $default, )*
                    $( $http: Default::default(), )?
                }
            }
        }

        impl $crate::config::Keys for $name {
            fn keys() -> Vec<&'static str> {
                #[allow(unused_mut)]
                let mut keys = vec![$($crate::config::keys::config_key!($field $($key)?)),*];
                $( keys.extend($crate::config::http_keys::$http()); )?
                keys
            }

            fn take<'de, A: ::serde::de::MapAccess<'de>>(
                &mut self,
                key: &str,
                map: &mut A,
            ) -> Result<bool, A::Error> {
                $(
                    if key == $crate::config::keys::config_key!($field $($key)?) {
                        $crate::config::keys::take_value(&mut self.$field, map)?;
                        return Ok(true);
                    }
                )*
                $(
                    if $crate::config::Keys::take(&mut self.$http, key, map)? {
                        return Ok(true);
                    }
                )?
                Ok(false)
            }
        }

        impl $name {
            /// Makes the keys of the HTTP client, if there are any, those that Prometheus shows.
            #[allow(dead_code, unused_variables, clippy::unused_self)] // sections in others have no such client
            pub(crate) fn show_http(&mut self, base_dir: &::std::path::Path) {
                $( self.$http.show(base_dir); )?
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let config: Self = $crate::config::keys::deserialize(deserializer, $place)?;
                config.check().map_err(::serde::de::Error::custom)?;
                Ok(config)
            }
        }
    };
}

/// The key of a field.
macro_rules! config_key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// Declares an enumeration of words; `unknown` is the text for any other word, which it shows quoted.
macro_rules! config_words {
    (
        $(#[$meta:meta])*
        pub enum $name:ident, unknown $unknown:literal {
            $( $variant:ident = $word:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ::serde::Serialize)]
        pub enum $name {
            $(
                #[doc = concat!("`", $word, "`.")]
                #[serde(rename = $word)]
                $variant,
            )*
        }

        impl $name {
            /// The word in the configuration.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $word, )*
                }
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = <String as ::serde::Deserialize>::deserialize(deserializer)?;
                match word.as_str() {
                    $( $word => Ok(Self::$variant), )*
                    _ => Err(::serde::de::Error::custom(format!($unknown, word))),
                }
            }
        }
    };
}

pub(crate) use {config_key, config_struct, config_words};
