//! Numbers for people.

use bellwether_model::float;
use bellwether_template::{Value, sprintf};

/// A number out of what templates hold: numbers and texts of numbers.
///
/// # Errors
/// In Go's words.
pub(super) fn to_float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(v) => Ok(*v),
        Value::Int(n) => Ok(*n as f64),
        Value::String(text) => float::parse(text).map_err(|_| {
            let text = bellwether_template::quote(text);
            format!("strconv.ParseFloat: parsing {text}: invalid syntax")
        }),
        other => Err(format!("can't convert {} to float", other.type_name())),
    }
}

/// Four digits, Go's `%.4g`.
fn short(v: f64) -> String {
    sprintf("%.4g", &[Value::Float(v)])
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const LARGE_BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// Divides until the number is below the base; the prefix that belongs to it.
fn scale_down(mut v: f64, base: f64, prefixes: [&'static str; 8]) -> (f64, &'static str) {
    let mut prefix = "";
    for next in prefixes {
        if v.abs() < base {
            break;
        }
        prefix = next;
        v /= base;
    }
    (v, prefix)
}

/// Multiplies by 1000 until the number is at least one.
fn scale_up(mut v: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = next;
        v *= 1000.0;
    }
    (v, prefix)
}

/// `humanize`: 1.5k, 20m.
pub(super) fn decimal(v: f64) -> String {
    if v == 0.0 || !v.is_finite() {
        return short(v);
    }
    let (v, prefix) = if v.abs() >= 1.0 {
        scale_down(v, 1000.0, LARGE)
    } else {
        scale_up(v)
    };
    short(v) + prefix
}

/// `humanize1024`: 2ki.
pub(super) fn binary(v: f64) -> String {
    if v.abs() <= 1.0 || !v.is_finite() {
        return short(v);
    }
    let (v, prefix) = scale_down(v, 1024.0, LARGE_BINARY);
    short(v) + prefix
}

/// `humanizePercentage`: of a ratio.
pub(super) fn percentage(v: f64) -> String {
    short(v * 100.0) + "%"
}

/// `humanizeDuration`: of seconds.
pub(super) fn duration(v: f64) -> String {
    if !v.is_finite() {
        return short(v);
    }
    if v == 0.0 {
        return short(v) + "s";
    }
    if v.abs() < 1.0 {
        let (v, prefix) = scale_up(v);
        return format!("{}{prefix}s", short(v));
    }
    let sign = if v < 0.0 { "-" } else { "" };
    let v = v.abs();
    // As Go: what no whole number can hold is cut off at its largest.
    let whole = v as i64;
    let (seconds, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", short(v))
    }
}
