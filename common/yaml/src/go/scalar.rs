//! What a scalar is by the rules of YAML 1.1 as Go's library reads them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A scalar by its meaning.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Signed(i64),
    /// Only what is too large for [`Scalar::Signed`].
    Unsigned(u64),
    Float(f64),
    Text,
    /// Base64 that a `!!binary` said.
    Binary(Vec<u8>),
}

impl Scalar {
    fn tag(&self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Signed(_) | Self::Unsigned(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Text => "!!str",
            Self::Binary(_) => "!!binary",
        }
    }
}

/// The meaning of a text. `is_plain`: it stands there without quotes and without a tag.
///
/// # Errors
/// When the tag and the text disagree.
pub(super) fn resolve(text: &str, is_plain: bool, tag: Option<&str>) -> Result<Scalar, String> {
    match tag {
        None if !is_plain => Ok(Scalar::Text),
        None => Ok(plain(text)),
        Some("!!binary") => {
            let packed: String = text.split_ascii_whitespace().collect();
            STANDARD
                .decode(packed)
                .map(Scalar::Binary)
                .map_err(|_| "!!binary value contains invalid base64 data".to_owned())
        }
        Some(tag @ ("!!bool" | "!!int" | "!!float" | "!!null")) => match (plain(text), tag) {
            (Scalar::Signed(whole), "!!float") => Ok(Scalar::Float(whole as f64)),
            (found, wanted) if found.tag() == wanted => Ok(found),
            (found, wanted) => Err(format!(
                "cannot decode {} `{text}` as a {wanted}",
                found.tag()
            )),
        },
        Some(_) => Ok(Scalar::Text),
    }
}

fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Scalar::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        number(text).unwrap_or(Scalar::Text)
    } else {
        Scalar::Text
    }
}

fn number(text: &str) -> Option<Scalar> {
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    if let Some(whole) = magnitude(digits) {
        let signed = i64::try_from(whole);
        return match (negative, signed) {
            (false, Ok(whole)) => Some(Scalar::Signed(whole)),
            (false, Err(_)) => Some(Scalar::Unsigned(whole)),
            (true, Ok(whole)) => Some(Scalar::Signed(-whole)),
            (true, Err(_)) if whole == i64::MIN.unsigned_abs() => Some(Scalar::Signed(i64::MIN)),
            (true, Err(_)) => plain.parse().ok().map(Scalar::Float),
        };
    }
    is_float(digits)
        .then(|| plain.parse().ok().map(Scalar::Float))
        .flatten()
}

/// A whole number as Go reads literals: `0x`, `0o`, `0b`, and a leading 0 for octal.
fn magnitude(digits: &str) -> Option<u64> {
    let lower = digits.to_ascii_lowercase();
    let (rest, radix) = match lower.as_str() {
        "0" => (lower.as_str(), 10),
        text => [("0x", 16), ("0o", 8), ("0b", 2), ("0", 8)]
            .into_iter()
            .find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, radix)))
            .unwrap_or((text, 10)),
    };
    if rest.is_empty() || !rest.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(rest, radix).ok()
}

/// `5.`, `.5`, `5e3` and the like, without a sign.
fn is_float(text: &str) -> bool {
    let (number, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let good_number = match number.split_once('.') {
        Some(("", after)) => digits(after),
        Some((before, after)) => digits(before) && (after.is_empty() || digits(after)),
        None => digits(number),
    };
    good_number && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_quotes_mean_what_yaml_says() {
        use Scalar::*;
        for (text, expected) in [
            ("", Null),
            ("y", Bool(true)),
            ("Off", Bool(false)),
            ("tRUE", Text),
            ("5", Signed(5)),
            ("-5", Signed(-5)),
            ("+5", Signed(5)),
            ("1_000", Signed(1000)),
            ("010", Signed(8)),
            ("0x1F", Signed(31)),
            ("0o17", Signed(15)),
            ("-0b11", Signed(-3)),
            ("08", Float(8.0)),
            ("18446744073709551615", Unsigned(u64::MAX)),
            ("18446744073709551616", Float(18_446_744_073_709_551_616.0)),
            ("-9223372036854775808", Signed(i64::MIN)),
            ("5.7", Float(5.7)),
            ("1e3", Float(1000.0)),
            (".5", Float(0.5)),
            ("5.", Float(5.0)),
            ("-.inf", Float(f64::NEG_INFINITY)),
            ("1.2.3", Text),
            ("5s", Text),
            ("0x", Text),
            ("-", Text),
            (".", Text),
            ("inf", Text),
            ("1:30", Text),
        ] {
            assert_eq!(resolve(text, true, None), Ok(expected), "{text}");
            assert_eq!(resolve(text, false, None), Ok(Text), "'{text}'");
        }
    }

    #[test]
    fn tags_decide() {
        assert_eq!(resolve("5", false, Some("!!str")), Ok(Scalar::Text));
        assert_eq!(resolve("5", false, Some("!!float")), Ok(Scalar::Float(5.0)));
        assert_eq!(
            resolve("5", false, Some("!!bool")),
            Err("cannot decode !!int `5` as a !!bool".to_owned())
        );
        assert_eq!(
            resolve("/w==", false, Some("!!binary")),
            Ok(Scalar::Binary(vec![0xff]))
        );
        assert!(resolve("a*", false, Some("!!binary")).is_err());
    }
}
