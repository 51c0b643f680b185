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

/// Powers of ten that a double holds exactly, as far as [`EXACT_DIGITS`] needs them.
const POWERS: [f64; EXACT_DIGITS + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// A number of digits with at most one point among them that ends at a newline, and the length of both; `None` for
/// anything else. Digits and power of ten are exact, so the division rounds as it should.
#[inline]
pub(super) fn plain_line(text: &[u8]) -> Option<(f64, usize)> {
    let (mut digits, mut point) = (0u64, None);
    for (i, byte) in text.iter().enumerate().take(EXACT_DIGITS + 1) {
        match byte {
            b'0'..=b'9' => digits = digits * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() && i > 0 => point = Some(i),
            b'\n' if i > 0 => {
                let value = digits as f64;
                let value = match point.map(|at| i - 1 - at) {
                    None => value,
                    Some(0) => return None,
                    Some(decimals) => value / POWERS[decimals],
                };
                return Some((value, i + 1));
            }
            _ => return None,
        }
    }
    None
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn plain_lines_are_what_the_parser_of_floats_says() {
        for text in [
            "0",
            "7",
            "12.345",
            "0.1",
            "0.3",
            "123456789012345",
            "9007199254.7409",
            "007.50",
        ] {
            let line = format!("{text}\nnext 1\n");
            let (value, len) = plain_line(line.as_bytes()).unwrap();
            assert_eq!(
                value.to_bits(),
                text.parse::<f64>().unwrap().to_bits(),
                "{text}"
            );
            assert_eq!(len, text.len() + 1);
        }
        for text in [
            "",
            ".",
            ".5",
            "5.",
            "1.2.3",
            "-1",
            "+1",
            "1e3",
            "NaN",
            "1 5",
            "1\r",
            "1234567890123456",
        ] {
            assert_eq!(plain_line(format!("{text}\n").as_bytes()), None, "{text}");
        }
        assert_eq!(plain_line(b"12"), None);
    }

    proptest::proptest! {
        #[test]
        fn plain_lines_round_as_floats_do(text in "[0-9]{1,8}(\\.[0-9]{1,6})?") {
            let line = format!("{text}\n");
            let (value, _) = plain_line(line.as_bytes()).unwrap();
            proptest::prop_assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits());
        }
    }

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
