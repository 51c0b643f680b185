//! Writing JSON by hand: samples are far too many for a serialisation framework.

use std::fmt::Write;

use axum::response::{IntoResponse, Response};
use bellwether_model::{Labels, float};
use http::HeaderName;
use http::header;
use serde::Serialize;

/// Content type of every API answer; Prometheus sends no charset.
pub(crate) const CONTENT_TYPE: [(HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "application/json")];

/// Appends a JSON string.
pub(crate) fn push_str(out: &mut String, text: &str) {
    out.push('"');
    if is_plain(text.as_bytes()) {
        out.push_str(text);
    } else {
        push_escaped(out, text);
    }
    out.push('"');
}

/// Whether a text surely stands for itself. Looks at eight bytes at once.
#[inline]
fn is_plain(text: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // The high bit of each byte that is `byte` is set, and perhaps that of one next to it.
    let has = |eight: u64, byte: u8| {
        let zero = eight ^ (ONES * u64::from(byte));
        zero.wrapping_sub(ONES) & !zero
    };
    let special = |eight: u64| {
        let control = eight.wrapping_sub(ONES * 0x20) & !eight;
        (control | has(eight, b'"') | has(eight, b'\\') | has(eight, 0x7f)) & HIGH
    };
    let (whole, rest) = text.as_chunks::<8>();
    let mut last = [b'a'; 8];
    last[..rest.len()].copy_from_slice(rest);
    let all = whole.iter().chain(std::iter::once(&last));
    all.fold(0, |found, eight| {
        found | special(u64::from_le_bytes(*eight))
    }) == 0
}

fn push_escaped(out: &mut String, text: &str) {
    let mut clean_from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x00..=0x1f | 0x7f => "",
            _ => continue,
        };
        out.push_str(&text[clean_from..at]);
        clean_from = at + 1;
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[clean_from..]);
}

/// Appends a label set as an object.
pub(crate) fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (i, label) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_str(out, label.name);
        out.push(':');
        push_str(out, label.value);
    }
    out.push('}');
}

/// Appends the time of a point: seconds, with exactly three decimals unless the milliseconds are zero.
pub(crate) fn push_time(out: &mut String, ms: i64) {
    let (text, at) = time_digits(ms);
    // Digits are ASCII.
    out.push_str(std::str::from_utf8(&text[at..]).unwrap_or_default());
}

/// A sign, 16 digits of seconds, a point and three digits.
pub(super) const TIME_BYTES: usize = 21;

/// The text of a point's time, which ends where the bytes do, and where it begins. Without the formatting machinery: it
/// is on the path of every sample.
pub(super) fn time_digits(ms: i64) -> ([u8; TIME_BYTES], usize) {
    let mut text = [0u8; TIME_BYTES];
    let mut at = text.len();
    let abs = ms.unsigned_abs();
    let fraction = abs % 1000;
    if fraction != 0 {
        for digit in [fraction % 10, fraction / 10 % 10, fraction / 100] {
            at -= 1;
            text[at] = b'0' + digit as u8;
        }
        at -= 1;
        text[at] = b'.';
    }
    let mut seconds = abs / 1000;
    while seconds >= 10 {
        let two = (seconds % 100) as usize * 2;
        seconds /= 100;
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[two..two + 2]);
    }
    if seconds > 0 || at == text.len() || text[at] == b'.' {
        at -= 1;
        text[at] = b'0' + seconds as u8;
    }
    if ms < 0 {
        at -= 1;
        text[at] = b'-';
    }
    (text, at)
}

/// `00` to `99`.
static PAIRS: [u8; 200] = {
    let mut pairs = [0; 200];
    let mut i = 0;
    while i < 100 {
        pairs[2 * i] = b'0' + (i / 10) as u8;
        pairs[2 * i + 1] = b'0' + (i % 10) as u8;
        i += 1;
    }
    pairs
};

/// Appends the time of a scalar or string: a plain shortest float.
pub(crate) fn push_float_time(out: &mut String, ms: i64) {
    float::push_json(out, ms as f64 / 1000.0);
}

/// Appends a sample value: a string, because JSON numbers know neither NaN nor infinities.
pub(crate) fn push_value(out: &mut String, value: f64) {
    out.push('"');
    float::push_json(out, value);
    out.push('"');
}

/// Appends `,"warnings":[...]` and `,"infos":[...]`, each only if not empty.
pub(crate) fn push_annotations(out: &mut String, warnings: &[String], infos: &[String]) {
    for (key, texts) in [("warnings", warnings), ("infos", infos)] {
        if texts.is_empty() {
            continue;
        }
        let _ = write!(out, ",\"{key}\":[");
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_str(out, text);
        }
        out.push(']');
    }
}

/// Warning of an answer that `limit` cut.
pub(crate) const TRUNCATED: &str = "results truncated due to limit";

/// `{"status":"success","data":...}` with data written by `write`.
pub(crate) fn success(warnings: &[String], write: impl FnOnce(&mut String)) -> Response {
    let mut body = String::with_capacity(256);
    body.push_str(r#"{"status":"success","data":"#);
    write(&mut body);
    push_annotations(&mut body, warnings, &[]);
    body.push('}');
    (CONTENT_TYPE, body).into_response()
}

/// [`success`] for answers that are small and irregular.
pub(crate) fn success_value(data: &impl Serialize) -> Response {
    match serde_json::to_string(data) {
        Ok(data) => success(&[], |out| out.push_str(&data)),
        Err(error) => super::error::ApiError::internal(error).into_response(),
    }
}

/// An array of strings.
pub(crate) fn success_strings(texts: &[String], warnings: &[String]) -> Response {
    success(warnings, |out| {
        out.push('[');
        for (i, text) in texts.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            push_str(out, text);
        }
        out.push(']');
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_points_and_scalars() {
        for (ms, point, scalar) in [
            (1_700_000_000_050, "1700000000.050", "1700000000.05"),
            (1_700_000_000_000, "1700000000", "1700000000"),
            (0, "0", "0"),
            (-1, "-0.001", "-0.001"),
            (-1500, "-1.500", "-1.5"),
            (7, "0.007", "0.007"),
            (9_000, "9", "9"),
            (10_000, "10", "10"),
            (100_000, "100", "100"),
            (123_456, "123.456", "123.456"),
            (10_010, "10.010", "10.01"),
        ] {
            let (mut a, mut b) = (String::new(), String::new());
            push_time(&mut a, ms);
            push_float_time(&mut b, ms);
            assert_eq!((a.as_str(), b.as_str()), (point, scalar));
        }
    }

    #[test]
    fn the_ends_of_time_have_all_their_digits() {
        for ms in [i64::MIN, i64::MAX] {
            let mut out = String::new();
            push_time(&mut out, ms);
            let text = format!("{}.{:03}", ms / 1000, (ms % 1000).abs());
            assert_eq!(out, text);
        }
    }

    #[test]
    fn strings_parse_back() {
        let text = "a\"\\\n\r\t\u{1}\u{7f}é\u{1F600}</script>";
        let mut out = String::new();
        push_str(&mut out, text);
        assert_eq!(
            serde_json::from_str::<String>(&out).ok().as_deref(),
            Some(text)
        );
    }

    #[test]
    fn what_stands_for_itself_is_told_at_every_place() {
        let plain = "/api/v1/é\u{1F600} !~[]^";
        for byte in 0..=0x7f_u8 {
            for at in 0..plain.len() {
                let mut text = plain.as_bytes().to_vec();
                text[at] = byte;
                let special = byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7f);
                assert_eq!(is_plain(&text), !special, "{byte} at {at}");
            }
        }
        assert!(is_plain(b"") && is_plain(b"a") && is_plain(b"eightlen"));
    }
}
