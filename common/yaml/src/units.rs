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
    /// More than 8 EiB.
    #[error("units: overflow parsing unit")]
    Overflow,
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

/// The power of two of a unit such as `KB`, or `KiB` with the ending `iB`. Bytes are `B` in both.
fn unit_shift(unit: &str, ending: &str) -> Option<u32> {
    UNITS.iter().find_map(|(prefix, shift)| {
        let ending = if *shift == 0 { "B" } else { ending };
        (unit.strip_prefix(prefix)? == ending).then_some(*shift)
    })
}

impl ByteSize {
    /// Parses `10MB`, `1GiB512MiB`, `1.5KB` or `0`. All units of a text end alike.
    ///
    /// # Errors
    /// [`ByteSizeError`].
    pub fn parse(text: &str) -> Result<Self, ByteSizeError> {
        Self::parse_with(text, "iB").or_else(|_| Self::parse_with(text, "B"))
    }

    fn parse_with(text: &str, ending: &str) -> Result<Self, ByteSizeError> {
        let unsigned = text.strip_prefix('+').unwrap_or(text);
        if unsigned == "0" || text == "-0" {
            return Ok(Self(0));
        }
        let invalid = || ByteSizeError::Invalid(text.to_owned());
        if unsigned.is_empty() {
            return Err(invalid());
        }
        let mut total = 0f64;
        let mut rest = unsigned;
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
            let shift = unit_shift(unit, ending).ok_or_else(|| ByteSizeError::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            })?;
            total += number * (1u64 << shift) as f64;
            rest = tail;
        }
        if total > i64::MAX as f64 {
            return Err(ByteSizeError::Overflow);
        }
        Ok(Self(total as u64))
    }
}

impl std::fmt::Display for ByteSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 {
            return f.write_str("0");
        }
        for (prefix, shift) in UNITS.iter().rev() {
            let count = (self.0 >> shift) % 1024;
            let ending = if *shift == 0 { "B" } else { "iB" };
            if count > 0 {
                write!(f, "{count}{prefix}{ending}")?;
            }
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::ByteSize;

    #[test]
    fn sizes_are_read_and_shown_as_by_prometheus() {
        for (text, bytes, shown) in [
            ("10MB", 10 << 20, "10MiB"),
            ("1536KiB", 1536 << 10, "1MiB512KiB"),
            ("1GiB512MiB1B", (1 << 30) + (512 << 20) + 1, "1GiB512MiB1B"),
            ("+1.5KB", 1536, "1KiB512B"),
            ("0", 0, "0"),
            ("7EB", 7 << 60, "7EiB"),
        ] {
            let size = ByteSize::parse(text);
            assert_eq!(size, Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
        for (text, error) in [
            ("1KiB512KB", "units: unknown unit KiB in 1KiB512KB"),
            ("100", "units: unknown unit  in 100"),
            ("5kB", "units: unknown unit kB in 5kB"),
            ("16EB", "units: overflow parsing unit"),
            ("", "units: invalid "),
            ("B", "units: invalid B"),
        ] {
            let found = ByteSize::parse(text).map_err(|e| e.to_string());
            assert_eq!(found, Err(error.to_owned()), "{text}");
        }
    }
}
