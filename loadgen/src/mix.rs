//! Mixes: which operations a load consists of, and how often each comes.

use std::fmt;
use std::str::FromStr;

use rand::Rng;
use rand::rngs::StdRng;

use crate::operation::Operation;

/// Operations with their weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    name: String,
    /// Each operation once, weights above 0.
    entries: Vec<(Operation, u32)>,
    total: u32,
}

/// Why a mix cannot be used.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MixError {
    /// Not one of the known mixes, nor a list of weights.
    #[error(
        "mix {0:?} does not exist; there are shop, demo and orders, or weights such as health=40,orders=15"
    )]
    Unknown(String),
    /// No such operation.
    #[error("mix: operation {name:?} does not exist; there are {known}")]
    Operation {
        /// What was given.
        name: String,
        /// What there is, comma-separated.
        known: String,
    },
    /// A weight that is not one.
    #[error("mix: weight {text:?} of {name} is not a whole number from 1 to 1000000")]
    Weight {
        /// The operation.
        name: String,
        /// What was given.
        text: String,
    },
    /// The same operation twice.
    #[error("mix: {0} has two weights")]
    Twice(&'static str),
    /// Nothing to send.
    #[error("mix: has no operation")]
    Empty,
}

impl Mix {
    /// health 40, products 30, orders 15, reports 10, payments 5.
    #[must_use]
    pub fn shop() -> Self {
        Self::known(
            "shop",
            &[
                (Operation::Health, 40),
                (Operation::Products, 30),
                (Operation::Orders, 15),
                (Operation::Reports, 10),
                (Operation::Payments, 5),
            ],
        )
    }

    /// health 50, users 30, orders 15, slow 5.
    #[must_use]
    pub fn demo() -> Self {
        Self::known(
            "demo",
            &[
                (Operation::Health, 50),
                (Operation::Users, 30),
                (Operation::Orders, 15),
                (Operation::Slow, 5),
            ],
        )
    }

    /// For the order service: 85 orders that succeed, 10 that fail, 5 health
    /// checks.
    #[must_use]
    pub fn orders() -> Self {
        Self::known(
            "orders",
            &[
                (Operation::Process, 85),
                (Operation::ProcessFailing, 10),
                (Operation::Health, 5),
            ],
        )
    }

    /// A mix of your own.
    ///
    /// # Errors
    /// No operation, one of them twice, or a weight of 0 or above a million.
    pub fn custom(entries: &[(Operation, u32)]) -> Result<Self, MixError> {
        let mut seen: Vec<Operation> = Vec::new();
        for (operation, weight) in entries {
            if !(1..=WEIGHT_MAX).contains(weight) {
                return Err(MixError::Weight {
                    name: operation.name().to_owned(),
                    text: weight.to_string(),
                });
            }
            if seen.contains(operation) {
                return Err(MixError::Twice(operation.name()));
            }
            seen.push(*operation);
        }
        if entries.is_empty() {
            return Err(MixError::Empty);
        }
        Ok(Self::known("custom", entries))
    }

    fn known(name: &str, entries: &[(Operation, u32)]) -> Self {
        Self {
            name: name.to_owned(),
            entries: entries.to_vec(),
            total: entries.iter().map(|(_, weight)| weight).sum(),
        }
    }

    /// `shop`, `demo`, `orders` or `custom`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operations with their weights, in the order of reports.
    #[must_use]
    pub fn entries(&self) -> &[(Operation, u32)] {
        &self.entries
    }

    /// Draws the index of an entry.
    pub(crate) fn pick(&self, rng: &mut StdRng) -> usize {
        let mut at = rng.random_range(0..self.total);
        for (index, (_, weight)) in self.entries.iter().enumerate() {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return index,
            }
        }
        // The weights sum up to the total, so one of them took it.
        0
    }
}

/// Keeps the sum of all weights far from overflowing.
const WEIGHT_MAX: u32 = 1_000_000;

impl FromStr for Mix {
    type Err = MixError;

    /// `shop`, `demo`, `orders`, or weights: `health=40,orders=15`.
    fn from_str(text: &str) -> Result<Self, MixError> {
        match text.trim() {
            "shop" => return Ok(Self::shop()),
            "demo" => return Ok(Self::demo()),
            "orders" => return Ok(Self::orders()),
            "" => return Err(MixError::Empty),
            other if !other.contains('=') => return Err(MixError::Unknown(other.to_owned())),
            _ => {}
        }
        let entries = text
            .split(',')
            .filter(|entry| !entry.trim().is_empty())
            .map(entry)
            .collect::<Result<Vec<_>, _>>()?;
        Self::custom(&entries)
    }
}

fn entry(text: &str) -> Result<(Operation, u32), MixError> {
    let (name, weight) = text.split_once('=').unwrap_or((text, ""));
    let (name, weight) = (name.trim(), weight.trim());
    let operation = Operation::ALL
        .into_iter()
        .find(|operation| operation.name() == name)
        .ok_or_else(|| MixError::Operation {
            name: name.to_owned(),
            known: Operation::ALL.map(Operation::name).join(", "),
        })?;
    let weight = weight.parse().map_err(|_| MixError::Weight {
        name: name.to_owned(),
        text: weight.to_owned(),
    })?;
    Ok((operation, weight))
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn drawn_shares_follow_the_weights() {
        for mix in [Mix::shop(), Mix::demo(), Mix::orders()] {
            assert_eq!(mix.total, 100, "{mix}");
            let mut rng = StdRng::seed_from_u64(9);
            let mut drawn = vec![0_u32; mix.entries.len()];
            for _ in 0..100_000 {
                drawn[mix.pick(&mut rng)] += 1;
            }
            for ((operation, weight), count) in mix.entries.iter().zip(drawn) {
                let share = f64::from(count) / 1000.0;
                let off = (share - f64::from(*weight)).abs();
                assert!(off < 0.6, "{}: {share} for {weight}", operation.name());
            }
        }
    }

    #[test]
    fn custom_mixes_are_parsed() {
        let mix: Mix = "health=3, search=1,".parse().unwrap();
        assert_eq!(
            mix.entries(),
            [(Operation::Health, 3), (Operation::Search, 1)]
        );
        assert_eq!(mix.name(), "custom");
        assert_eq!("demo".parse::<Mix>().unwrap(), Mix::demo());
    }

    #[test]
    fn bad_mixes_say_what_is_right() {
        for (text, expected) in [
            ("shoop", "there are shop, demo and orders"),
            ("", "no operation"),
            (
                "healt=1",
                "\"healt\" does not exist; there are health, users",
            ),
            ("health=0", "weight \"0\" of health"),
            ("health=x", "weight \"x\" of health"),
            ("health=1,slow", "weight \"\" of slow"),
            ("health=1,health=2", "health has two weights"),
        ] {
            let error = text.parse::<Mix>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
