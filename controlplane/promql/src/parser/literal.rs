//! Numbers, durations and strings.

use bellwether_model::duration;
use bellwether_model::labels::quote;

use super::{ParseError, Parsed, Parser, span_of};
use crate::ast::{NumberLiteral, StringLiteral};
use crate::lexer::{Kind, Token};

impl Parser<'_> {
    /// The value of a number or duration token.
    pub(super) fn number_literal(&self, token: Token) -> Parsed<NumberLiteral> {
        let text = token.text(self.text);
        let fail = |message: String| -> ParseError { self.error(span_of(token), message) };
        if token.kind == Kind::Duration {
            let millis = duration::parse_millis(text).map_err(|e| fail(e.to_string()))?;
            return Ok(NumberLiteral {
                value: seconds(millis),
                duration: true,
            });
        }
        let value = number(text).map_err(|reason| {
            fail(format!(
                "error parsing number: strconv.ParseFloat: parsing {}: {reason}",
                quote(text)
            ))
        })?;
        Ok(NumberLiteral {
            value,
            duration: false,
        })
    }

    /// The text that a string token stands for. Bytes that are not UTF-8 (`"\xff"`) become U+FFFD: label
    /// values are UTF-8, so such a text cannot equal one either way.
    pub(super) fn string_value(&self, token: Token) -> Parsed<String> {
        self.string_literal(token).map(|literal| literal.value)
    }

    /// What a string token stands for.
    pub(super) fn string_literal(&self, token: Token) -> Parsed<StringLiteral> {
        let raw = token.text(self.text);
        unquote_literal(raw).ok_or_else(|| {
            let message = format!("error unquoting string {}: invalid syntax", quote(raw));
            self.error(span_of(token), message)
        })
    }
}

/// As Go's `Duration.Seconds`: whole seconds plus the fraction.
fn seconds(millis: i64) -> f64 {
    (millis / 1000) as f64 + (millis % 1000) as f64 / 1e3
}

/// Integers in Go's syntax first (`0x1F`, `017`, `1_000`), floats otherwise.
pub(crate) fn number(text: &str) -> Result<f64, &'static str> {
    const SYNTAX: &str = "invalid syntax";
    if let Some(n) = integer(text) {
        return Ok(n as f64);
    }
    match text.to_ascii_lowercase().as_str() {
        "inf" => return Ok(f64::INFINITY),
        "nan" => return Ok(f64::NAN),
        lower if lower.starts_with("0x") => return Err(SYNTAX),
        _ => {}
    }
    if !underscores_separate_digits(text, false) {
        return Err(SYNTAX);
    }
    let plain = text.replace('_', "");
    let value: f64 = fast_float2::parse(&plain).map_err(|_| SYNTAX)?;
    if value.is_infinite() {
        return Err("value out of range");
    }
    Ok(value)
}

/// Go's `ParseInt(text, 0, 64)` for unsigned texts.
fn integer(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let hexadecimal = bytes.len() > 2 && bytes[0] == b'0' && matches!(bytes[1], b'x' | b'X');
    // A sign would pass the conversions below.
    if !underscores_separate_digits(text, hexadecimal) || text.contains(['+', '-']) {
        return None;
    }
    let digits = text.replace('_', "");
    if hexadecimal {
        i64::from_str_radix(&digits[2..], 16).ok()
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(&digits[1..], 8).ok()
    } else {
        digits.parse().ok()
    }
}

/// Underscores may stand between digits, and after a base prefix.
fn underscores_separate_digits(text: &str, hexadecimal: bool) -> bool {
    let body = if hexadecimal { &text[2..] } else { text };
    // A base prefix counts as a digit.
    let mut after_digit = hexadecimal;
    let mut after_underscore = false;
    for c in body.chars() {
        let digit = c.is_ascii_digit() || hexadecimal && c.is_ascii_hexdigit();
        if c == '_' && !after_digit || after_underscore && !digit {
            return false;
        }
        after_digit = digit;
        after_underscore = c == '_';
    }
    !after_underscore
}

/// Removes quotes and resolves escapes; `None` when the text is not a well-formed string.
pub(crate) fn unquote(raw: &str) -> Option<String> {
    unquote_literal(raw).map(|literal| literal.value)
}

/// As [`unquote`], with the bytes that are not UTF-8.
fn unquote_literal(raw: &str) -> Option<StringLiteral> {
    let quote = raw.chars().next()?;
    let body = raw.get(1..raw.len().checked_sub(1)?)?;
    if quote == '`' || !body.contains('\\') {
        return Some(body.to_owned().into());
    }
    let mut out = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    let mut utf8 = [0; 4];
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            continue;
        }
        match chars.next()? {
            'a' => out.push(0x07),
            'b' => out.push(0x08),
            'f' => out.push(0x0c),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(0x0b),
            '\\' => out.push(b'\\'),
            'x' => out.push(u8::try_from(digits(&mut chars, 2, 16, 0)?).ok()?),
            'u' => {
                let c = char::from_u32(digits(&mut chars, 4, 16, 0)?)?;
                out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            }
            'U' => {
                let c = char::from_u32(digits(&mut chars, 8, 16, 0)?)?;
                out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
            }
            c if c == quote => out.push(c as u8),
            c => {
                let first = c.to_digit(8)?;
                out.push(u8::try_from(digits(&mut chars, 2, 8, first)?).ok()?);
            }
        }
    }
    Some(StringLiteral::from_bytes(out))
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, base: u32, first: u32) -> Option<u32> {
    let mut value = first;
    for _ in 0..count {
        value = value.checked_mul(base)? + chars.next()?.to_digit(base)?;
    }
    Some(value)
}
