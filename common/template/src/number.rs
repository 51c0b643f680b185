//! Literals: numbers, characters, quoted texts.

use crate::node::Number;

/// Reads a number or a character constant.
///
/// # Errors
/// The message for the user.
pub(crate) fn literal(text: &str) -> Result<Number, String> {
    let bad = |what: &str| format!("{what}: {}", crate::print::quote(text));
    let number = |int: Option<i64>, float: Option<f64>, is_float| Number {
        text: text.to_owned(),
        int,
        float,
        is_float,
    };
    if text.starts_with('\'') {
        let inner = unquote(text).ok_or_else(|| bad("malformed character constant"))?;
        let mut chars = inner.chars();
        return match (chars.next(), chars.next()) {
            (Some(c), None) => {
                let code = u32::from(c);
                Ok(number(Some(code.into()), Some(code.into()), false))
            }
            _ => Err(bad("malformed character constant")),
        };
    }
    if let Some(int) = integer(text) {
        return match int {
            Some(int) => Ok(number(Some(int), Some(int as f64), false)),
            None => Err(bad("integer overflow")),
        };
    }
    let float = float(text).ok_or_else(|| bad("bad number syntax"))?;
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(bad("integer overflow"));
    }
    // A float that is a whole number may stand where an integer is wanted.
    let whole = float.fract() == 0.0 && float.abs() < 9.2e18;
    Ok(number(whole.then_some(float as i64), Some(float), true))
}

/// `None`: no integer by its form; `Some(None)`: too large.
fn integer(text: &str) -> Option<Option<i64>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(hex) = lower.strip_prefix("0x") {
        (16, hex)
    } else if let Some(octal) = lower.strip_prefix("0o") {
        (8, octal)
    } else if let Some(binary) = lower.strip_prefix("0b") {
        (2, binary)
    } else if lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit())
    {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if plain.is_empty() || !plain.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = i128::from_str_radix(&plain, radix).ok();
    let value = value.map(|v| if negative { -v } else { v });
    Some(value.and_then(|v| i64::try_from(v).ok()))
}

fn float(text: &str) -> Option<f64> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let digits = plain.trim_start_matches(['+', '-']);
    if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        let value = hex_float(hex)?;
        return Some(if plain.starts_with('-') {
            -value
        } else {
            value
        });
    }
    let valid = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value: f64 = plain.parse().ok().filter(|_| valid)?;
    value.is_finite().then_some(value)
}

/// `1.8p3`.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut value = 0.0;
    for c in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(c.to_digit(16)?);
    }
    let shift = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    let value = value * 2f64.powi(shift);
    value.is_finite().then_some(value)
}

/// A Go string, character or raw string literal without its quotes; `None` when it is malformed.
pub(crate) fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next()?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote == '`' {
        return Some(inner.replace('\r', ""));
    }
    let mut out: Vec<u8> = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            if c == quote || c == '\n' {
                return None;
            }
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
            continue;
        }
        let escape = chars.next()?;
        let mut code = |digits: usize, radix: u32, first: Option<char>| {
            let mut value = first.map_or(Some(0), |c| c.to_digit(radix))?;
            for _ in 0..digits {
                value = value.checked_mul(radix)? + chars.next()?.to_digit(radix)?;
            }
            Some(value)
        };
        let byte = match escape {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            '\'' | '"' if escape == quote => escape as u8,
            'x' => u8::try_from(code(2, 16, None)?).ok()?,
            '0'..='7' => u8::try_from(code(2, 8, Some(escape))?).ok()?,
            'u' | 'U' => {
                let digits = if escape == 'u' { 4 } else { 8 };
                let c = char::from_u32(code(digits, 16, None)?)?;
                out.extend(c.encode_utf8(&mut [0; 4]).bytes());
                continue;
            }
            _ => return None,
        };
        out.push(byte);
    }
    // Bytes that are no UTF-8 cannot be held; Go keeps them.
    Some(String::from_utf8_lossy(&out).into_owned())
}
