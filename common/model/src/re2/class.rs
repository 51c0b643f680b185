//! Character classes and escapes.

use std::fmt::Write as _;

use super::translate::{Outcome, fail, push_literal};

/// A class without members.
pub(super) const NOTHING: &str = "[^\\x00-\\x{10FFFF}]";

const BAD_RANGE: &str = "invalid character class range";

/// The members of `\d`, `\s`, `\w` and of their negations: ASCII, and no vertical tab among the spaces.
pub(super) fn perl(c: char) -> Option<&'static str> {
    match c {
        'd' | 'D' => Some("0-9"),
        's' | 'S' => Some("\\t\\n\\x0c\\r\\x20"),
        'w' | 'W' => Some("0-9A-Za-z_"),
        _ => None,
    }
}

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

const CATEGORIES: [&str; 37] = [
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N",
    "Nd", "Nl", "No", "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So",
    "Z", "Zl", "Zp", "Zs", "Any",
];

/// Scripts of four letters; all other names of four letters are ISO codes, which Go does not know.
const SHORT_SCRIPTS: [&str; 7] = ["Ahom", "Cham", "Kawi", "Lisu", "Newa", "Thai", "Toto"];

/// A class in brackets at the start of `text`: its translation and its length.
pub(super) fn bracket(text: &str) -> Outcome<(String, usize)> {
    let mut out = String::from("[");
    let mut at = 1;
    if text[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    let mut first = true;
    loop {
        let rest = &text[at..];
        if rest.starts_with(']') && !first {
            break;
        }
        first = false;
        if let Some((item, len)) = item(rest)? {
            out.push_str(&item);
            at += len;
            continue;
        }
        let (low, len) = member(rest, text)?;
        at += len;
        let mut high = low;
        // `[a-]` ends with a literal minus.
        let after = &text[at..];
        if after.len() >= 2 && after.starts_with('-') && !after.starts_with("-]") {
            let (end, len) = member(&after[1..], text)?;
            at += 1 + len;
            if end < low {
                let range = &rest[..rest.len() - text[at..].len()];
                return fail(BAD_RANGE, range);
            }
            high = end;
        }
        push_range(&mut out, low, high);
    }
    out.push(']');
    Ok((out, at + 1))
}

/// A named class inside brackets.
fn item(rest: &str) -> Outcome<Option<(String, usize)>> {
    if rest.starts_with("[:")
        && rest.len() > 2
        && let Some(end) = rest[2..].find(":]")
    {
        let shown = &rest[..end + 4];
        let name = &rest[2..end + 2];
        if !POSIX.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return fail(BAD_RANGE, shown);
        }
        return Ok(Some((shown.to_owned(), shown.len())));
    }
    let Some(escaped) = rest.strip_prefix('\\').and_then(|r| r.chars().next()) else {
        return Ok(None);
    };
    if matches!(escaped, 'p' | 'P') {
        return unicode(rest).map(Some);
    }
    let Some(items) = perl(escaped) else {
        return Ok(None);
    };
    let text = if escaped.is_ascii_uppercase() {
        format!("[^{items}]")
    } else {
        items.to_owned()
    };
    Ok(Some((text, 2)))
}

/// One character inside brackets, as a number: escapes may name surrogates.
fn member(rest: &str, whole: &str) -> Outcome<(u32, usize)> {
    match rest.chars().next() {
        None => fail("missing closing ]", whole),
        Some('\\') => escape(rest),
        Some(c) => Ok((u32::from(c), c.len_utf8())),
    }
}

/// Surrogates are left out: no text holds them.
fn push_range(out: &mut String, low: u32, high: u32) {
    let low = char::from_u32(low).unwrap_or('\u{e000}');
    let high = char::from_u32(high).unwrap_or('\u{d7ff}');
    if low > high {
        out.push_str(NOTHING);
        return;
    }
    push_literal(out, low);
    if high > low {
        out.push('-');
        push_literal(out, high);
    }
}

/// `\pN`, `\p{Greek}`, `\P{^Lu}`: the translation and the length.
pub(super) fn unicode(rest: &str) -> Outcome<(String, usize)> {
    let mut positive = rest.starts_with("\\p");
    let (mut name, len) = match rest[2..].chars().next() {
        None => return fail(BAD_RANGE, rest),
        Some('{') => match rest.find('}') {
            None => return fail(BAD_RANGE, rest),
            Some(end) => (&rest[3..end], end + 1),
        },
        Some(c) => (&rest[2..2 + c.len_utf8()], 2 + c.len_utf8()),
    };
    if let Some(negated) = name.strip_prefix('^') {
        positive = !positive;
        name = negated;
    }
    let Some(class) = unicode_name(name) else {
        return fail(BAD_RANGE, &rest[..len]);
    };
    let p = if positive { 'p' } else { 'P' };
    Ok((format!("\\{p}{{{class}}}"), len))
}

/// Go knows categories by their short names and scripts by their full names, in exactly one spelling.
fn unicode_name(name: &str) -> Option<String> {
    if CATEGORIES.contains(&name) {
        return Some(name.to_owned());
    }
    let plain = name.split('_').all(|word| {
        word.starts_with(|c: char| c.is_ascii_uppercase())
            && word.bytes().all(|b| b.is_ascii_alphabetic())
    });
    let refused = name.starts_with("Is") || name.len() == 4 && !SHORT_SCRIPTS.contains(&name);
    if !plain || refused || name.bytes().filter(u8::is_ascii_lowercase).count() == 0 {
        return None;
    }
    let class = format!("sc={name}");
    let known = regex_syntax::parse(&format!("\\p{{{class}}}")).is_ok();
    known.then_some(class)
}

/// A single-character escape at the start of `rest`: the code point and the length.
pub(super) fn escape(rest: &str) -> Outcome<(u32, usize)> {
    let Some(c) = rest[1..].chars().next() else {
        return fail("trailing backslash at end of expression", "");
    };
    let plain = |code: u32| Ok((code, 2));
    match c {
        'a' => plain(0x07),
        'f' => plain(0x0c),
        'n' => plain(0x0a),
        'r' => plain(0x0d),
        't' => plain(0x09),
        'v' => plain(0x0b),
        // One digit alone would be a back-reference.
        '0' => Ok(octal(rest)),
        '1'..='7' if rest[2..].starts_with(|d: char| d.is_digit(8)) => Ok(octal(rest)),
        'x' => hexadecimal(rest),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => plain(u32::from(c)),
        c => fail("invalid escape sequence", &rest[..1 + c.len_utf8()]),
    }
}

/// Up to three digits.
fn octal(rest: &str) -> (u32, usize) {
    let digits = rest[1..]
        .bytes()
        .take(3)
        .take_while(|b| (b'0'..=b'7').contains(b));
    let mut value = 0;
    let mut len = 1;
    for digit in digits {
        value = value * 8 + u32::from(digit - b'0');
        len += 1;
    }
    (value, len)
}

/// `\x7F` and `\x{10FFFF}`.
fn hexadecimal(rest: &str) -> Outcome<(u32, usize)> {
    let braces = rest[2..].starts_with('{');
    let mut value: u32 = 0;
    let mut digits = 0;
    let mut read = if braces { 3 } else { 2 };
    for c in rest[read..].chars() {
        read += c.len_utf8();
        if braces && c == '}' && digits > 0 {
            return Ok((value, read));
        }
        let Some(digit) = c.to_digit(16) else {
            // Go reads both digits before it looks at them.
            if !braces && digits == 0 {
                read += rest[read..].chars().next().map_or(0, char::len_utf8);
            }
            break;
        };
        value = value * 16 + digit;
        digits += 1;
        if value > u32::from(char::MAX) {
            break;
        }
        if !braces && digits == 2 {
            return Ok((value, read));
        }
    }
    let mut shown = String::new();
    let _ = write!(shown, "{}", &rest[..read]);
    fail("invalid escape sequence", &shown)
}
