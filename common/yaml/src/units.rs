//! Durations and byte sizes in Prometheus' grammar.

use std::time::Duration;

use bellwether_model::duration;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A duration such as `15s` or `1h30m`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromDuration(pub Duration);

impl<'de> Deserialize<'de> for PromDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Nothing behind the key is 0, as in Prometheus; an empty text is a mistake.
        match Option::<String>::deserialize(deserializer)? {
            Some(text) => duration::parse(&text).map(Self).map_err(D::Error::custom),
            None => Ok(Self::default()),
        }
    }
}

impl Serialize for PromDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration::format(self.0))
    }
}

/// A number of bytes such as `10MB`; every unit is a power of 1024, as in Prometheus. 0 means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// Why a text is not a byte size. Wording as in Prometheus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// Not a number followed by a unit.
    #[error("units: invalid {0}")]
    Invalid(String),
    /// The unit is missing or none of B, KB, KiB, MB, MiB and so on.
    #[error("units: unknown unit {unit} in {text}")]
    UnknownUnit {
        /// What stood in place of a unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

const UNITS: [(&str, u32); 7] = [
    ("", 0),
    ("K", 10),
    ("M", 20),
    ("G", 30),
    ("T", 40),
    ("P", 50),
    ("E", 60),
];

/// The power of two of a unit such as `KB` or `KiB`.
fn unit_shift(unit: &str) -> Option<u32> {
    UNITS.iter().find_map(|(prefix, shift)| {
        let rest = unit.strip_prefix(prefix)?;
        (rest == "B" || (rest == "iB" && *shift > 0)).then_some(*shift)
    })
}

impl ByteSize {
    /// Parses `10MB`, `1GiB512MiB`, `1.5KB` or `0`.
    ///
    /// # Errors
    /// [`ByteSizeError`].
    pub fn parse(text: &str) -> Result<Self, ByteSizeError> {
        if text == "0" {
            return Ok(Self(0));
        }
        let invalid = || ByteSizeError::Invalid(text.to_owned());
        if text.is_empty() {
            return Err(invalid());
        }
        let mut total = 0f64;
        let mut rest = text;
        while !rest.is_empty() {
            let number_len = rest
                .find(|c: char| !c.is_ascii_digit() && c != '.')
                .unwrap_or(rest.len());
            let (number, tail) = rest.split_at(number_len);
            let number: f64 = number.parse().map_err(|_| invalid())?;
            let unit_len = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_len);
            let shift = unit_shift(unit).ok_or_else(|| ByteSizeError::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            })?;
            total += number * (1u64 << shift) as f64;
            rest = tail;
        }
        if total >= i64::MAX as f64 {
            return Err(invalid());
        }
        Ok(Self(total as u64))
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        let exact = UNITS
            .iter()
            .rev()
            .find(|(_, shift)| self.0.is_multiple_of(1 << shift));
        match exact {
            Some((prefix, shift)) if *shift > 0 => write!(f, "{}{prefix}iB", self.0 >> shift),
            _ => write!(f, "{}B", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)? {
            Some(text) => Self::parse(&text).map_err(D::Error::custom),
            None => Ok(Self::default()),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
