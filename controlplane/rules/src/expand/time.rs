//! Times and durations as values with methods.

use std::sync::Arc;

use bellwether_template::{Object, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `toTime`: seconds since the epoch as a time, to the millisecond.
///
/// # Errors
/// What no time can hold.
pub(super) fn to_time(v: f64) -> Result<Value, String> {
    Ok(Value::Object(Arc::new(TimeValue(timestamp(v)?))))
}

/// `humanizeTimestamp`.
///
/// # Errors
/// What no time can hold.
pub(super) fn humanize(v: f64) -> Result<String, String> {
    if v.is_finite() {
        Ok(TimeValue(timestamp(v)?).text())
    } else {
        Ok(bellwether_template::sprintf("%.4g", &[Value::Float(v)]))
    }
}

/// `toDuration`: of seconds.
pub(super) fn to_duration(v: f64) -> Value {
    // Go's conversion; what does not fit is cut off here.
    Value::Object(Arc::new(DurationValue((v * 1e9) as i64)))
}

fn timestamp(v: f64) -> Result<Timestamp, String> {
    if !v.is_finite() {
        return Err("value is NaN or Inf".to_owned());
    }
    let ns = v * 1e9;
    let overflow = || {
        let v = bellwether_template::sprint(&[Value::Float(v)]);
        format!("{v} cannot be represented as a nanoseconds timestamp since it overflows int64")
    };
    // The bounds of the comparison are those of Go: 2^63 itself as a float.
    if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
        return Err(overflow());
    }
    Timestamp::from_millisecond(ns as i64 / 1_000_000).map_err(|_| overflow())
}

/// A time in UTC.
#[derive(Debug)]
struct TimeValue(Timestamp);

impl Object for TimeValue {
    fn type_name(&self) -> &'static str {
        "*time.Time"
    }

    fn text(&self) -> String {
        self.0
            .strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC")
            .to_string()
    }

    fn method(&self, name: &str, args: &[Value]) -> Option<Result<Value, String>> {
        let local = self.0.to_zoned(TimeZone::UTC);
        let value = match name {
            "Unix" => Value::Int(self.0.as_millisecond().div_euclid(1000)),
            "UnixMilli" => Value::Int(self.0.as_millisecond()),
            "UnixMicro" => Value::Int(self.0.as_microsecond()),
            "UnixNano" => Value::Int(i64::try_from(self.0.as_nanosecond()).unwrap_or(i64::MAX)),
            "Year" => Value::Int(local.year().into()),
            "Month" => self.0.strftime("%B").to_string().into(),
            "Weekday" => self.0.strftime("%A").to_string().into(),
            "Day" => Value::Int(local.day().into()),
            "Hour" => Value::Int(local.hour().into()),
            "Minute" => Value::Int(local.minute().into()),
            "Second" => Value::Int(local.second().into()),
            "Nanosecond" => Value::Int(local.subsec_nanosecond().into()),
            "YearDay" => Value::Int(local.day_of_year().into()),
            "String" => self.text().into(),
            "UTC" | "Local" => Value::Object(Arc::new(Self(self.0))),
            "IsZero" => Value::Bool(false),
            "Format" => match args {
                [Value::String(layout)] => format(self.0, layout).into(),
                _ => return Some(Err("Format wants a layout".to_owned())),
            },
            _ => return None,
        };
        Some(Ok(value))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Elements of a layout, as Go writes them, and what they stand for; longer ones come first.
const LAYOUT: [(&str, &str); 32] = [
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "UTC"),
    ("2006", "%Y"),
    ("-07:00:00", "+00:00:00"),
    ("-070000", "+000000"),
    ("-07:00", "+00:00"),
    ("-0700", "+0000"),
    ("-07", "+00"),
    ("Z07:00", "Z"),
    ("Z0700", "Z"),
    ("Z07", "Z"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%P"),
    (".000000", "%.6f"),
    (".000", "%.3f"),
    (".999", "%.f"),
    ("__2", "%_j"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
];

/// `time.Time.Format`.
fn format(time: Timestamp, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        let element = LAYOUT.iter().find(|(go, _)| rest.starts_with(go));
        let single = [("4", "%-M"), ("5", "%-S")];
        let element = element.or_else(|| single.iter().find(|(go, _)| rest.starts_with(go)));
        match element {
            Some((go, ours)) => {
                out.push_str(&time.strftime(ours).to_string());
                rest = &rest[go.len()..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// A duration in nanoseconds.
#[derive(Debug)]
struct DurationValue(i64);

impl Object for DurationValue {
    fn type_name(&self) -> &'static str {
        "*time.Duration"
    }

    fn text(&self) -> String {
        crate::go_duration(i128::from(self.0))
    }

    fn method(&self, name: &str, _: &[Value]) -> Option<Result<Value, String>> {
        let seconds = self.0 as f64 / 1e9;
        let value = match name {
            "Seconds" => Value::Float(seconds),
            "Minutes" => Value::Float(seconds / 60.0),
            "Hours" => Value::Float(seconds / 3600.0),
            "Milliseconds" => Value::Int(self.0 / 1_000_000),
            "Microseconds" => Value::Int(self.0 / 1_000),
            "Nanoseconds" => Value::Int(self.0),
            "String" => self.text().into(),
            _ => return None,
        };
        Some(Ok(value))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
