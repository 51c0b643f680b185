//! Values and timestamps, as Go's `strconv` takes them.

use bellwether_model::float;

/// Why a number does not parse, in Go's words.
#[derive(Debug, thiserror::Error)]
pub(super) enum NumberError {
    #[error("unsupported character in float")]
    Character,
    #[error("strconv.ParseFloat: parsing {0}: invalid syntax")]
    Float(String),
    #[error("strconv.ParseInt: parsing {0}: value out of range")]
    IntRange(String),
}

/// Digits that a `u64` and the 53 bits of a double hold without rounding.
const EXACT_DIGITS: usize = 15;

/// A sample value. NaN comes out as the canonical quiet NaN.
#[inline]
pub(super) fn float(text: &[u8]) -> Result<f64, NumberError> {
    // Most values are small integers.
    if (1..=EXACT_DIGITS).contains(&text.len()) {
        let mut value = 0u64;
        if text.iter().all(|b| {
            value = value
                .wrapping_mul(10)
                .wrapping_add(u64::from(b.wrapping_sub(b'0')));
            b.is_ascii_digit()
        }) {
            return Ok(value as f64);
        }
    }
    slow_float(text)
}

fn slow_float(text: &[u8]) -> Result<f64, NumberError> {
    if memchr::memchr3(b'p', b'P', b'_', text).is_some() {
        return Err(NumberError::Character);
    }
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| float::parse(text).ok())
        .ok_or_else(|| NumberError::Float(crate::error::Quoted(text).to_string()))
}

/// A text format timestamp: digits only.
#[inline]
pub(super) fn millis(digits: &[u8]) -> Result<i64, NumberError> {
    digits
        .iter()
        .try_fold(0i64, |value, digit| {
            value.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
        })
        .ok_or_else(|| NumberError::IntRange(crate::error::Quoted(digits).to_string()))
}

/// Writes a bound or quantile the way OpenMetrics does: always with a point or an exponent (`1.0`).
#[must_use]
pub fn format_openmetrics_float(value: f64) -> String {
    let mut text = float::shortest_g(value);
    if value.is_finite() && !text.contains(['.', 'e']) {
        text.push_str(".0");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_a_point_or_an_exponent() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.25, "0.25"),
            (999_999.0, "999999.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1e-5, "1e-05"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(format_openmetrics_float(value), text);
        }
    }
}
