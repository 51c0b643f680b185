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
    out.push('"');
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
    if ms < 0 {
        out.push('-');
    }
    let abs = ms.unsigned_abs();
    push_integer(out, abs / 1000);
    let fraction = abs % 1000;
    if fraction != 0 {
        let digits = [fraction / 100, fraction / 10 % 10, fraction % 10];
        out.push('.');
        out.extend(digits.map(|d| char::from(b'0' + d as u8)));
    }
}

/// Appends a number without the formatting machinery: it is on the path of every sample.
fn push_integer(out: &mut String, mut n: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend(digits[at..].iter().map(|d| char::from(*d)));
}

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
pub(crate) fn success_strings(texts: &[String], truncated: bool) -> Response {
    let warnings: &[String] = if truncated {
        &[TRUNCATED.to_owned()]
    } else {
        &[]
    };
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
        ] {
            let (mut a, mut b) = (String::new(), String::new());
            push_time(&mut a, ms);
            push_float_time(&mut b, ms);
            assert_eq!((a.as_str(), b.as_str()), (point, scalar));
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
}
