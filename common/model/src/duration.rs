//! Prometheus' duration grammar: `1h30m`, units `y w d h m s ms` in this order, each at most once, or `0`.

use std::time::Duration;

/// Why a text is not a duration. Wording as Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Nothing between the quotes.
    #[error("empty duration string")]
    Empty,
    /// Not by the grammar.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// A number with a unit that does not exist.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What follows the number.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// More than 2^63 nanoseconds.
    #[error("duration out of range")]
    OutOfRange,
}

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Parses a duration to milliseconds.
///
/// # Errors
/// [`DurationError`] with Prometheus' text.
pub fn parse_millis(text: &str) -> Result<i64, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut next_unit = 0;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        // All up to the next number is the unit, also what cannot be one.
        let unit_len = tail.find(|c: char| c.is_ascii_digit());
        let (unit, tail) = tail.split_at(unit_len.unwrap_or(tail.len()));
        let number: u64 = number.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        let index = UNITS
            .iter()
            .position(|(name, _)| *name == unit)
            .ok_or_else(|| DurationError::UnknownUnit {
                unit: unit.to_owned(),
                text: text.to_owned(),
            })?;
        if index < next_unit {
            return Err(invalid());
        }
        next_unit = index + 1;
        total = number
            .checked_mul(UNITS[index].1)
            .and_then(|ms| ms.checked_add(total))
            .filter(|ms| *ms <= i64::MAX as u64 / 1_000_000)
            .ok_or(DurationError::OutOfRange)?;
        rest = tail;
    }
    Ok(total.cast_signed())
}

/// Parses a duration.
///
/// # Errors
/// As [`parse_millis`].
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    Ok(Duration::from_millis(parse_millis(text)?.unsigned_abs()))
}

/// Prometheus' shortest form: `5m`, `1h30m`, `0s`. Years and weeks are used only where they are exact.
#[must_use]
pub fn format_millis(ms: i64) -> String {
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    if ms < 0 {
        out.push('-');
    }
    let mut rest = ms.unsigned_abs();
    for (unit, size) in UNITS {
        // 1y2d would be read back differently from what was meant: large units stand alone.
        if matches!(unit, "y" | "w") && !rest.is_multiple_of(size) {
            continue;
        }
        let n = rest / size;
        if n > 0 {
            out.push_str(&format!("{n}{unit}"));
            rest %= size;
        }
    }
    out
}

/// [`format_millis`] of a [`Duration`].
#[must_use]
pub fn format(duration: Duration) -> String {
    format_millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn grammar() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1w2d", 9 * 86_400_000),
            ("1y", 31_536_000_000),
            ("324ms", 324),
        ] {
            assert_eq!(parse_millis(text), Ok(ms), "{text}");
        }
        for text in [
            "", "5", "m", "1m1h", "1h1h", "-1s", "1.5h", "1s ", "1d 2h", "294y",
        ] {
            assert!(parse_millis(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shortest_form() {
        for (ms, text) in [
            (0, "0s"),
            (300_000, "5m"),
            (5_400_000, "1h30m"),
            (604_800_000, "1w"),
            (8 * 86_400_000, "8d"),
            (31_536_000_000, "1y"),
            (1_500, "1s500ms"),
        ] {
            assert_eq!(format_millis(ms), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn format_round_trips(ms in 0i64..9_000_000_000_000) {
            proptest::prop_assert_eq!(parse_millis(&format_millis(ms)), Ok(ms));
        }
    }
}
