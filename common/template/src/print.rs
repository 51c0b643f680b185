//! Go's `fmt`: how values print, and `printf`'s verbs.

use std::iter::Peekable;
use std::str::Chars;

use crate::MAX_OUTPUT_BYTES;
use crate::value::Value;

/// Widest field and longest precision that a verb may ask for; Go's own limit.
const MAX_WIDTH: usize = 1_000_000;

/// Quotes a text as Go's `%q` does.
#[must_use]
pub fn quote(text: &str) -> String {
    bellwether_model::labels::quote(text).into_owned()
}

/// `fmt.Sprint`: a blank between two values where neither is a text.
#[must_use]
pub fn sprint(args: &[Value]) -> String {
    let mut out = String::new();
    for (i, arg) in args.iter().enumerate() {
        let texts = |v: &Value| matches!(v, Value::String(_));
        if i > 0 && !texts(arg) && !texts(&args[i - 1]) {
            out.push(' ');
        }
        out.push_str(&plain(arg));
    }
    out
}

/// `fmt.Sprintln`.
pub(crate) fn sprintln(args: &[Value]) -> String {
    let texts: Vec<String> = args.iter().map(plain).collect();
    texts.join(" ") + "\n"
}

/// `%v`.
pub(crate) fn plain(value: &Value) -> String {
    let mut out = String::new();
    push(&mut out, value, &Verb::default(), 'v');
    out
}

/// What stands between `%` and the verb.
#[derive(Clone, Copy, Debug, Default)]
struct Verb {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// `fmt.Sprintf`. Mistakes become part of the text, as in Go. The text ends where it passes the limit of a
/// template's output.
#[must_use]
pub fn sprintf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut state = Arguments {
        args,
        next: 0,
        reordered: false,
        good_index: true,
    };
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() > MAX_OUTPUT_BYTES {
            break;
        }
        if c == '%' {
            directive(&mut out, &mut chars, &mut state);
        } else {
            out.push(c);
        }
    }
    if !state.reordered && state.next < args.len() {
        let extra = args[state.next..].iter().map(|arg| match arg {
            Value::Nil => "<nil>".to_owned(),
            arg => format!("{}={}", arg.type_name(), plain(arg)),
        });
        out.push_str("%!(EXTRA ");
        out.push_str(&extra.collect::<Vec<_>>().join(", "));
        out.push(')');
    }
    out
}

struct Arguments<'a> {
    args: &'a [Value],
    next: usize,
    reordered: bool,
    good_index: bool,
}

impl<'a> Arguments<'a> {
    fn take(&mut self) -> Option<&'a Value> {
        let arg = self.args.get(self.next);
        self.next += 1;
        arg
    }

    /// `[3]`: the next argument is the third one.
    fn index(&mut self, chars: &mut Peekable<Chars<'_>>) {
        if chars.peek() != Some(&'[') {
            return;
        }
        self.reordered = true;
        let text: String = chars.clone().skip(1).take_while(|c| *c != ']').collect();
        let closed = chars.clone().nth(text.chars().count() + 1) == Some(']');
        let number = text
            .parse::<usize>()
            .ok()
            .filter(|n| *n > 0 && *n <= self.args.len());
        if closed {
            for _ in 0..text.chars().count() + 2 {
                chars.next();
            }
        } else {
            chars.next();
        }
        match number.filter(|_| closed) {
            Some(number) => self.next = number - 1,
            None => self.good_index = false,
        }
    }

    /// A width or precision: digits, or `*` for an argument. `Err` for a bad argument.
    fn size(&mut self, chars: &mut Peekable<Chars<'_>>) -> Result<Option<i64>, ()> {
        if chars.next_if_eq(&'*').is_some() {
            return match self.take() {
                Some(Value::Int(n)) if n.unsigned_abs() as usize <= MAX_WIDTH => Ok(Some(*n)),
                _ => Err(()),
            };
        }
        let mut size: Option<i64> = None;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            chars.next();
            let value = size.unwrap_or(0).saturating_mul(10) + i64::from(digit);
            size = Some(value.min(MAX_WIDTH as i64));
        }
        Ok(size)
    }
}

/// One `%...`; the sign itself is taken.
fn directive(out: &mut String, chars: &mut Peekable<Chars<'_>>, state: &mut Arguments<'_>) {
    state.good_index = true;
    let mut verb = Verb::default();
    loop {
        match chars.peek() {
            Some('+') => verb.plus = true,
            Some('-') => verb.minus = true,
            Some('#') => verb.sharp = true,
            Some(' ') => verb.space = true,
            Some('0') => verb.zero = true,
            _ => break,
        }
        chars.next();
    }
    state.index(chars);
    match state.size(chars) {
        Ok(width) => {
            verb.minus |= width.is_some_and(i64::is_negative);
            verb.width = width.map(|w| w.unsigned_abs() as usize);
        }
        Err(()) => out.push_str("%!(BADWIDTH)"),
    }
    if chars.next_if_eq(&'.').is_some() {
        state.index(chars);
        match state.size(chars) {
            Ok(Some(n)) if n < 0 => out.push_str("%!(BADPREC)"),
            Ok(precision) => verb.precision = Some(precision.unwrap_or(0).unsigned_abs() as usize),
            Err(()) => out.push_str("%!(BADPREC)"),
        }
    }
    state.index(chars);
    let Some(c) = chars.next() else {
        out.push_str("%!(NOVERB)");
        return;
    };
    if c == '%' {
        out.push('%');
    } else if !state.good_index {
        out.push_str(&format!("%!{c}(BADINDEX)"));
    } else if let Some(arg) = state.take() {
        push(out, arg, &verb, c);
    } else {
        out.push_str(&format!("%!{c}(MISSING)"));
    }
}

/// A value under a verb.
fn push(out: &mut String, value: &Value, verb: &Verb, c: char) {
    if out.len() > MAX_OUTPUT_BYTES {
        return;
    }
    if c == 'T' {
        return pad(out, value.type_name(), verb);
    }
    match value {
        Value::Nil if c == 'v' => pad(out, "<nil>", verb),
        Value::Nil => out.push_str(&format!("%!{c}(<nil>)")),
        Value::Bool(b) if matches!(c, 't' | 'v') => {
            pad(out, if *b { "true" } else { "false" }, verb);
        }
        Value::Int(n) if "vbodOxXcqU".contains(c) => integer(out, *n, verb, c),
        Value::Float(v) if "veEfFgG".contains(c) => float(out, *v, verb, c),
        Value::String(s) if "vsqxX".contains(c) => text(out, s, verb, c),
        Value::Object(object) if "vs".contains(c) => text(out, &object.text(), verb, c),
        Value::Object(object) if "veEfFgG".contains(c) && object.number().is_some() => {
            float(out, object.number().unwrap_or(0.0), verb, c);
        }
        Value::List(list) => {
            sequence(out, "[", "]", list.items.iter().map(|v| (None, v)), verb, c);
        }
        Value::Map(map) => {
            let entries = map.entries.iter().map(|(k, v)| (Some(k.as_str()), v));
            sequence(out, "map[", "]", entries, verb, c);
        }
        Value::Struct(s) => {
            let start = if s.type_name.starts_with('*') {
                "&{"
            } else {
                "{"
            };
            let fields = s.fields.iter();
            let fields = fields.map(|(n, v)| (verb.plus.then_some(*n), v));
            sequence(out, start, "}", fields, verb, c);
        }
        value => {
            let shown = plain(value);
            out.push_str(&format!("%!{c}({}={shown})", value.type_name()));
        }
    }
}

fn sequence<'a>(
    out: &mut String,
    start: &str,
    end: &str,
    items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    verb: &Verb,
    c: char,
) {
    out.push_str(start);
    for (i, (name, value)) in items.enumerate() {
        if i > 0 {
            out.push(' ');
        }
        if let Some(name) = name {
            out.push_str(name);
            out.push(':');
        }
        push(out, value, verb, c);
    }
    out.push_str(end);
}

/// Fills up to the width with blanks.
fn pad(out: &mut String, shown: &str, verb: &Verb) {
    let missing = verb
        .width
        .unwrap_or(0)
        .saturating_sub(shown.chars().count());
    if verb.minus {
        out.push_str(shown);
        out.extend(std::iter::repeat_n(' ', missing));
    } else {
        let fill = if verb.zero { '0' } else { ' ' };
        out.extend(std::iter::repeat_n(fill, missing));
        out.push_str(shown);
    }
}

fn text(out: &mut String, s: &str, verb: &Verb, c: char) {
    let cut: String;
    let mut s = s;
    if let (Some(precision), 'v' | 's' | 'q') = (verb.precision, c) {
        cut = s.chars().take(precision).collect();
        s = &cut;
    }
    match c {
        'q' if verb.sharp && !s.contains(['`', '\n', '\r']) => pad(out, &format!("`{s}`"), verb),
        'q' => pad(out, &quote(s), verb),
        'v' if verb.sharp => pad(out, &quote(s), verb),
        'x' | 'X' => {
            let limit = verb.precision.unwrap_or(usize::MAX);
            let hex = s.bytes().take(limit).map(|b| match c {
                'x' => format!("{b:02x}"),
                _ => format!("{b:02X}"),
            });
            let separator = if verb.space { " " } else { "" };
            pad(out, &hex.collect::<Vec<_>>().join(separator), verb);
        }
        _ => pad(out, s, verb),
    }
}

fn integer(out: &mut String, n: i64, verb: &Verb, c: char) {
    let character = || {
        u32::try_from(n)
            .ok()
            .and_then(char::from_u32)
            .unwrap_or('\u{fffd}')
    };
    let size = n.unsigned_abs();
    let (prefix, digits) = match c {
        'b' => ("0b", format!("{size:b}")),
        'o' => ("0", format!("{size:o}")),
        'O' => ("", format!("0o{size:o}")),
        'x' => ("0x", format!("{size:x}")),
        'X' => ("0X", format!("{size:X}")),
        'c' => return pad(out, &character().to_string(), verb),
        'q' => {
            let quoted = quote(&character().to_string());
            let inner = &quoted[1..quoted.len() - 1];
            let inner = if inner == "'" { "\\'" } else { inner };
            return pad(out, &format!("'{}'", inner.replace("\\\"", "\"")), verb);
        }
        'U' => return pad(out, &format!("U+{size:04X}"), verb),
        _ => ("", size.to_string()),
    };
    let mut digits = match verb.precision {
        Some(0) if n == 0 => String::new(),
        Some(precision) => format!("{digits:0>precision$}"),
        None => digits,
    };
    if verb.sharp {
        digits.insert_str(0, prefix);
    }
    signed(out, n < 0, &digits, verb, verb.precision.is_none());
}

/// A number with its sign; zeros for the width come behind the sign.
fn signed(out: &mut String, negative: bool, digits: &str, verb: &Verb, zeros: bool) {
    let sign = match (negative, verb.plus, verb.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    if verb.zero && zeros && !verb.minus {
        let width = verb.width.unwrap_or(0).saturating_sub(sign.len());
        out.push_str(sign);
        out.push_str(&format!("{digits:0>width$}"));
        return;
    }
    let verb = Verb {
        zero: false,
        ..*verb
    };
    pad(out, &format!("{sign}{digits}"), &verb);
}

fn float(out: &mut String, v: f64, verb: &Verb, c: char) {
    if !v.is_finite() {
        let plus = Verb {
            zero: false,
            ..*verb
        };
        let shown = if v.is_nan() { "NaN" } else { "Inf" };
        // A positive infinity always has its sign.
        let plus = Verb {
            plus: plus.plus || v.is_infinite(),
            ..plus
        };
        return signed(out, v < 0.0, shown, &plus, false);
    }
    let size = v.abs();
    let digits = match (c, verb.precision) {
        ('e' | 'E', precision) => exponent(size, Some(precision.unwrap_or(6))),
        ('f' | 'F', precision) => format!("{size:.*}", precision.unwrap_or(6)),
        (_, precision) => general(size, precision),
    };
    let digits = if matches!(c, 'E' | 'G') {
        digits.to_uppercase()
    } else {
        digits
    };
    signed(out, v.is_sign_negative(), &digits, verb, true);
}

/// `1.5e+06`; without a precision the fewest digits that say it exactly.
fn exponent(v: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{v:.precision$e}"),
        None => format!("{v:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// `%g`: plain within bounds, with an exponent outside.
fn general(v: f64, precision: Option<usize>) -> String {
    let digits = precision.map(|p| p.max(1));
    let scientific = exponent(v, digits.map(|d| d - 1));
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    // The shortest form counts as six digits.
    let limit = digits.map_or(6, |d| i32::try_from(d).unwrap_or(i32::MAX));
    let trim = |text: String| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    };
    if power < -4 || power >= limit {
        let sign = if power < 0 { '-' } else { '+' };
        let mantissa = trim(mantissa.to_owned());
        return format!("{mantissa}e{sign}{:02}", power.abs());
    }
    match digits {
        None => format!("{v}"),
        Some(digits) => {
            let behind = i32::try_from(digits)
                .unwrap_or(i32::MAX)
                .saturating_sub(1 + power);
            trim(format!("{v:.*}", usize::try_from(behind).unwrap_or(0)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_print_as_in_go() {
        let int = Value::Int;
        let float = Value::Float;
        let text = |t: &str| Value::string(t);
        for (format, args, expected) in [
            ("%d%%", vec![int(5)], "5%"),
            (
                "%5d|%-5d|%05d",
                vec![int(42), int(42), int(-42)],
                "   42|42   |-0042",
            ),
            (
                "%x %X %#x %o %b %c %U",
                vec![
                    int(255),
                    int(255),
                    int(255),
                    int(8),
                    int(5),
                    int(65),
                    int(0x1F600),
                ],
                "ff FF 0xff 10 101 A U+1F600",
            ),
            ("%+d % d", vec![int(1), int(1)], "+1  1"),
            (
                "%f %.2f %8.3f|%-8.1f|",
                vec![float(1.5), float(2.0), float(1.23456), float(3.25)],
                "1.500000 2.00    1.235|3.2     |",
            ),
            (
                "%e %E %.1e",
                vec![float(123456.789), float(0.00012), float(0.0)],
                "1.234568e+05 1.200000E-04 0.0e+00",
            ),
            (
                "%g %g %g %g",
                vec![float(1e21), float(1e20), float(0.0001), float(0.00001)],
                "1e+21 1e+20 0.0001 1e-05",
            ),
            (
                "%v %v %v",
                vec![float(1e6), float(123456789.0), float(1e21)],
                "1e+06 1.23456789e+08 1e+21",
            ),
            (
                "%.4g %.4g %.4g",
                vec![float(1234.5678), float(12345.678), float(100.0)],
                "1235 1.235e+04 100",
            ),
            (
                "%s %q %10s|%-10s|%.2s",
                vec![text("a"), text("b\"c"), text("d"), text("e"), text("fgh")],
                "a \"b\\\"c\"          d|e         |fg",
            ),
            ("%x", vec![text("hi")], "6869"),
            (
                "%t %v",
                vec![Value::Bool(true), Value::Bool(false)],
                "true false",
            ),
            ("%T %T", vec![int(1), text("x")], "int string"),
            (
                "%v %v",
                vec![float(f64::NAN), float(f64::INFINITY)],
                "NaN +Inf",
            ),
            ("%d", vec![text("x")], "%!d(string=x)"),
            ("%s", vec![int(1)], "%!s(int=1)"),
            ("%d %d", vec![int(1)], "1 %!d(MISSING)"),
            ("%d", vec![int(1), int(2)], "1%!(EXTRA int=2)"),
            ("%", vec![], "%!(NOVERB)"),
            ("%z", vec![int(1)], "%!z(int=1)"),
            ("%[2]d %[1]d", vec![int(1), int(2)], "2 1"),
            ("%[3]d", vec![int(1)], "%!d(BADINDEX)"),
            ("%*d", vec![int(4), int(7)], "   7"),
            ("%v", vec![Value::Nil], "<nil>"),
            ("%d", vec![Value::Nil], "%!d(<nil>)"),
            (
                "%v",
                vec![Value::texts([("b", "1"), ("a", "2")])],
                "map[a:2 b:1]",
            ),
            ("%6.2f%%", vec![float(12.345)], " 12.35%"),
        ] {
            assert_eq!(sprintf(format, &args), expected, "{format}");
        }
    }

    #[test]
    fn blanks_stand_between_numbers_only() {
        let args = [
            Value::Int(1),
            Value::Int(2),
            Value::string("a"),
            Value::string("b"),
            Value::Int(3),
        ];
        assert_eq!(sprint(&args), "1 2ab3");
        assert_eq!(sprintln(&args), "1 2 a b 3\n");
    }
}
