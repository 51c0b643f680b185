//! Go's float texts, which Prometheus shows everywhere.

mod decimal;
mod log;

pub use log::{ln, log2};

/// Shortest plain notation, Go's `FormatFloat(v, 'f', -1, 64)`: never an exponent, `+Inf`, `-Inf`, `NaN`.
pub fn push_plain(out: &mut String, v: f64) {
    if !decimal::push(out, v) {
        push_any(out, v);
    }
}

/// [`push_plain`] for every value.
fn push_any(out: &mut String, v: f64) {
    if v.is_nan() {
        out.push_str("NaN");
    } else if v.is_infinite() {
        out.push_str(if v > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(v);
        if text.bytes().any(|b| b == b'e') {
            // std prints the shortest digits without an exponent.
            out.push_str(&v.to_string());
        } else {
            out.push_str(text.strip_suffix(".0").unwrap_or(text));
        }
    }
}

/// [`push_plain`] into a new string.
#[must_use]
pub fn plain(v: f64) -> String {
    let mut out = String::new();
    push_plain(&mut out, v);
    out
}

/// The HTTP API's sample value: plain for `1e-6 <= |v| < 1e21` and zero, otherwise with an exponent of at
/// least two digits (`1e+21`, `1.5e-07`).
#[inline]
pub fn push_json(out: &mut String, v: f64) {
    if !decimal::push(out, v) {
        push_any_json(out, v);
    }
}

/// Bytes that [`write_json`] needs.
pub const JSON_ROOM: usize = decimal::ROOM;

/// Writes what [`push_json`] appends and returns its length; what lies behind it means nothing. `None`, and nothing of
/// use written, for the rare values of unusual size.
#[inline]
pub fn write_json(text: &mut [u8; JSON_ROOM], v: f64) -> Option<usize> {
    decimal::write(text, v).or_else(|| write_usual(text, v))
}

/// [`write_json`] for values of usual size.
fn write_usual(text: &mut [u8; JSON_ROOM], v: f64) -> Option<usize> {
    // Their shortest digits are written without an exponent.
    if !(1e-4..1e15).contains(&v.abs()) {
        return None;
    }
    let mut buffer = zmij::Buffer::new();
    let digits = buffer.format_finite(v).as_bytes();
    let digits = digits.strip_suffix(b".0").unwrap_or(digits);
    text.get_mut(..digits.len())?.copy_from_slice(digits);
    Some(digits.len())
}

/// [`push_json`] for every value.
fn push_any_json(out: &mut String, v: f64) {
    let abs = v.abs();
    if v.is_finite() && abs != 0.0 && !(1e-6..1e21).contains(&abs) {
        push_exponent(out, v);
    } else {
        push_any(out, v);
    }
}

/// [`push_json`] into a new string.
#[must_use]
pub fn json(v: f64) -> String {
    let mut out = String::new();
    push_json(&mut out, v);
    out
}

/// Go's `%e` with shortest digits: mantissa, sign, at least two exponent digits.
fn push_exponent(out: &mut String, v: f64) {
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    out.push_str(mantissa);
    out.push('e');
    out.push(sign);
    if digits.len() < 2 {
        out.push('0');
    }
    out.push_str(digits);
}

/// Go's `%e` with the shortest digits: `1.5e-07`; `+Inf`, `-Inf`, `NaN` as they are.
#[must_use]
pub fn exponent(v: f64) -> String {
    let mut out = String::new();
    if v.is_finite() {
        push_exponent(&mut out, v);
    } else {
        push_plain(&mut out, v);
    }
    out
}

/// Go's `%g`, `%v` and `FormatFloat(v, 'g', -1, 64)`: the shortest digits, an exponent below 1e-4 and from 1e6
/// (`1e+06`). Prometheus uses it in messages and in `le` and `quantile` labels.
#[must_use]
pub fn shortest_g(v: f64) -> String {
    let mut out = String::new();
    let text = format!("{v:e}");
    let power: i32 = text
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    if v.is_finite() && v != 0.0 && !(-4..6).contains(&power) {
        push_exponent(&mut out, v);
    } else {
        push_plain(&mut out, v);
    }
    out
}

/// Parses a float as Go's `ParseFloat` does for expositions: `Inf`, `+Inf`, `-inf`, `NaN`, decimal, hex
/// floats and underscores are refused except where Go takes them without base prefix (never).
///
/// # Errors
/// The text is returned when it is not a float or its value overflows.
pub fn parse(text: &str) -> Result<f64, FloatError> {
    let err = || FloatError(text.to_owned());
    let bytes = text.as_bytes();
    let (negative, body) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        Some(_) => (false, bytes),
        None => return Err(err()),
    };
    let first = *body.first().ok_or_else(err)?;
    if first.is_ascii_digit() || first == b'.' {
        let value: f64 = fast_float2::parse(body).map_err(|_| err())?;
        if value.is_infinite() {
            return Err(err());
        }
        return Ok(if negative { -value } else { value });
    }
    let word = &text[text.len() - body.len()..];
    if word.eq_ignore_ascii_case("inf") || word.eq_ignore_ascii_case("infinity") {
        return Ok(if negative {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        });
    }
    // Go refuses a sign before NaN.
    if word.eq_ignore_ascii_case("nan") && word.len() == text.len() {
        return Ok(f64::from_bits(crate::sample::NORMAL_NAN_BITS));
    }
    Err(err())
}

/// Neumaier's compensated addition as Prometheus does it: adds `inc` to `sum`, whose compensation term is `c`;
/// the total is `sum + c`. The term of an infinite sum is dropped.
#[inline]
#[must_use]
pub fn kahan_add(inc: f64, sum: f64, c: f64) -> (f64, f64) {
    let t = sum + inc;
    let c = if t.is_infinite() {
        0.0
    } else if sum.abs() >= inc.abs() {
        c + ((sum - t) + inc)
    } else {
        c + ((inc - t) + sum)
    };
    (t, c)
}

/// A text that is not a float.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid float {0:?}")]
pub struct FloatError(pub String);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn what_is_written_in_place_is_what_is_appended(
            v in prop_oneof![
                any::<u64>().prop_map(f64::from_bits),
                (-1e16..1e16f64),
                (-1.0..1.0f64),
                (any::<u32>(), -25i32..25).prop_map(|(m, e)| f64::from(m) * 10f64.powi(e)),
            ],
        ) {
            let mut room = [0; JSON_ROOM];
            if let Some(len) = write_json(&mut room, v) {
                prop_assert_eq!(std::str::from_utf8(&room[..len]).unwrap(), json(v));
            } else {
                prop_assert!(v.is_nan() || !(1e-4..1e15).contains(&v.abs()), "{}", v);
            }
        }
    }

    #[test]
    fn plain_has_no_exponent() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (f64::INFINITY, "+Inf"),
            (0.1, "0.1"),
            (123456789.125, "123456789.125"),
        ] {
            assert_eq!(plain(v), text);
        }
    }

    #[test]
    fn shortest_g_uses_exponents_early() {
        for (v, text) in [
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (999_999.5, "999999.5"),
            (1e6, "1e+06"),
            (-1_234_567.0, "-1.234567e+06"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(shortest_g(v), text);
        }
    }

    #[test]
    fn json_uses_exponents_at_the_ends() {
        for (v, text) in [
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-07"),
            (1e20, "100000000000000000000"),
            (1e-6, "0.000001"),
            (-0.0, "-0"),
            (f64::NAN, "NaN"),
            (1e300, "1e+300"),
        ] {
            assert_eq!(json(v), text);
        }
    }

    #[test]
    fn parse_follows_go() {
        assert_eq!(parse("+Inf").unwrap(), f64::INFINITY);
        assert_eq!(parse("-inf").unwrap(), f64::NEG_INFINITY);
        assert_eq!(parse("1e3").unwrap(), 1000.0);
        assert_eq!(parse("-.5").unwrap(), -0.5);
        for bad in [
            "", "+", "-NaN", "1e400", "0x", "1_0", " 1", "1 ", "1e", "--1", "e5",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
