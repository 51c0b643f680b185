//! Series lines: labels and sequences of values.

use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint};
use bellwether_model::labels::METRIC_NAME;
use bellwether_model::{FloatHistogram, Labels, LabelsBuilder, Span, duration, float, stale_nan};

use crate::parser::literal::{self, unquote};

/// One value of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub enum SequenceValue {
    /// No sample.
    Omitted,
    /// A number.
    Float(f64),
    /// A histogram, and whether its reset hint was written down and so has to be compared.
    Histogram(Box<FloatHistogram>, bool),
}

/// Parses a number as the language writes it: as PromQL does, durations included, with a sign.
pub(super) fn number(text: &str) -> Result<f64, String> {
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    };
    let value = match literal::number(digits) {
        Ok(value) => value,
        Err(_) => match duration::parse_millis(digits) {
            Ok(ms) if !digits.is_empty() => ms as f64 / 1000.0,
            _ => return float::parse(text).map_err(|e| e.to_string()),
        },
    };
    Ok(if negative { -value } else { value })
}

/// Parses `name{a="b"} VALUES`.
pub(super) fn series(line: &str) -> Result<(Labels, Vec<SequenceValue>), String> {
    let (labels, rest) = labels(line)?;
    Ok((labels, sequence(rest)?))
}

/// Parses the labels at the start of a line and returns what follows.
pub(super) fn labels(line: &str) -> Result<(Labels, &str), String> {
    let mut builder = LabelsBuilder::default();
    let end = line
        .find(|c: char| c == '{' || c.is_whitespace())
        .unwrap_or(line.len());
    let (name, mut rest) = line.split_at(end);
    builder.set(METRIC_NAME, name);
    if !rest.starts_with('{') {
        return Ok((builder.build(), rest));
    }
    rest = rest[1..].trim_start();
    while !rest.starts_with('}') {
        let bad = || format!("labels expected in {line:?}");
        let name;
        if rest.starts_with(['"', '\'', '`']) {
            (name, rest) = quoted(rest).ok_or_else(bad)?;
        } else {
            let end = rest
                .find(|c: char| c.is_whitespace() || "=,}".contains(c))
                .ok_or_else(bad)?;
            name = rest[..end].to_owned();
            rest = &rest[end..];
        }
        rest = rest.trim_start();
        match rest.strip_prefix('=') {
            Some(after) => {
                let (value, after) = quoted(after.trim_start()).ok_or_else(bad)?;
                builder.set(&name, &value);
                rest = after.trim_start();
            }
            // A quoted metric name; one before the braces counts more.
            None if end == 0 => {
                builder.set(METRIC_NAME, &name);
            }
            None => {}
        }
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
        if rest.is_empty() {
            return Err(bad());
        }
    }
    Ok((builder.build(), &rest[1..]))
}

/// A quoted string at the start of a text, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| "\"'`".contains(*c))?;
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped && quote != '`';
        ends
    })?;
    let (raw, rest) = text.split_at(end + 2);
    Some((unquote(raw)?, rest))
}

/// Parses a sequence of values.
pub(super) fn sequence(text: &str) -> Result<Vec<SequenceValue>, String> {
    let mut values = Vec::new();
    for item in items(text)? {
        if item.starts_with("{{") {
            histogram_item(item, &mut values)?;
        } else {
            float_item(item, &mut values)?;
        }
    }
    Ok(values)
}

/// Splits at white space outside of histograms.
fn items(text: &str) -> Result<Vec<&str>, String> {
    let mut items = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (mut end, mut inside) = (0, false);
        while end < rest.len() {
            let here = &rest[end..];
            if here.starts_with("{{") {
                inside = true;
            } else if here.starts_with("}}") {
                inside = false;
                end += 1;
            } else if !inside && here.starts_with(char::is_whitespace) {
                break;
            }
            end += here.chars().next().map_or(1, char::len_utf8);
        }
        if inside || end > rest.len() {
            return Err(format!("unclosed histogram in {rest:?}"));
        }
        items.push(&rest[..end]);
        rest = rest[end..].trim_start();
    }
    Ok(items)
}

/// `5`, `1+2x3`, `_x4`, `stale`
fn float_item(item: &str, out: &mut Vec<SequenceValue>) -> Result<(), String> {
    let (body, times) = match item.split_once('x') {
        Some((body, times)) => {
            let times: usize = times
                .parse()
                .map_err(|_| format!("bad repetition in {item:?}"))?;
            (body, Some(times))
        }
        None => (item, None),
    };
    let repeated = times.map_or(1, |t| t + 1);
    if body == "_" {
        // Other than for values, the count is the number of gaps.
        out.extend((0..times.unwrap_or(1)).map(|_| SequenceValue::Omitted));
        return Ok(());
    }
    if body == "stale" {
        out.extend((0..repeated).map(|_| SequenceValue::Float(stale_nan())));
        return Ok(());
    }
    let (start, step) = split_sum(body)?;
    let mut value = start;
    for _ in 0..repeated {
        out.push(SequenceValue::Float(value));
        value += step;
    }
    Ok(())
}

/// `a`, `a+b`, `a-b`: start and step.
fn split_sum(text: &str) -> Result<(f64, f64), String> {
    if let Ok(v) = number(text) {
        return Ok((v, 0.0));
    }
    for (at, sign) in text
        .char_indices()
        .skip(1)
        .filter(|(_, c)| matches!(c, '+' | '-'))
    {
        if let (Ok(start), Ok(step)) = (number(&text[..at]), number(&text[at + 1..])) {
            return Ok((start, if sign == '-' { -step } else { step }));
        }
    }
    Err(format!("bad value {text:?}"))
}

/// `{{..}}`, `{{..}}xn`, `{{..}}+{{..}}xn`
fn histogram_item(item: &str, out: &mut Vec<SequenceValue>) -> Result<(), String> {
    let bad = || format!("bad histogram {item:?}");
    let (body, after) = split_braces(item).ok_or_else(bad)?;
    let (mut current, mut hint) = histogram(body)?;
    let mut step: Option<(FloatHistogram, bool)> = None;
    let mut rest = after;
    if let Some(sign) = after.chars().next().filter(|c| "+-".contains(*c)) {
        let (body, after) = split_braces(&after[1..]).ok_or_else(bad)?;
        let parsed = histogram(body)?;
        hint = parsed.1;
        step = Some((parsed.0, sign == '-'));
        rest = after;
    }
    let times: usize = match rest.strip_prefix('x') {
        Some(n) => n.parse().map_err(|_| bad())?,
        None if rest.is_empty() => 0,
        None => return Err(bad()),
    };
    out.push(SequenceValue::Histogram(Box::new(current.clone()), hint));
    for _ in 0..times {
        if let Some((step, subtract)) = &step {
            let result = if *subtract {
                current.sub(step)
            } else {
                current.add(step)
            };
            result.map_err(|e| e.to_string())?;
        }
        out.push(SequenceValue::Histogram(Box::new(current.clone()), hint));
    }
    Ok(())
}

fn split_braces(text: &str) -> Option<(&str, &str)> {
    let body = text.strip_prefix("{{")?;
    let end = body.find("}}")?;
    Some((&body[..end], &body[end + 2..]))
}

/// The inside of `{{...}}`; the flag says whether a reset hint was given.
fn histogram(body: &str) -> Result<(FloatHistogram, bool), String> {
    let mut h = FloatHistogram::default();
    let mut hint = false;
    let (mut offset, mut negative_offset) = (0i32, 0i32);
    let mut rest = body.trim();
    while !rest.is_empty() {
        let (key, after) = rest
            .split_once(':')
            .ok_or_else(|| format!("bad histogram {body:?}"))?;
        let after = after.trim_start();
        let (value, tail) = match after.strip_prefix('[') {
            Some(list) => list
                .split_once(']')
                .ok_or_else(|| format!("unclosed list in {body:?}"))?,
            None => after.split_once(char::is_whitespace).unwrap_or((after, "")),
        };
        rest = tail.trim_start();
        let list = || {
            value
                .split_whitespace()
                .map(number)
                .collect::<Result<Vec<f64>, String>>()
        };
        let integer = || value.parse::<i32>().map_err(|e| format!("{key}: {e}"));
        match key.trim().to_ascii_lowercase().as_str() {
            "schema" => h.schema = integer()?,
            "sum" => h.sum = number(value)?,
            "count" => h.count = number(value)?,
            "z_bucket" => h.zero_count = number(value)?,
            "z_bucket_w" => h.zero_threshold = number(value)?,
            "custom_values" => h.custom_values = list()?,
            "buckets" => h.positive_buckets = list()?,
            "n_buckets" => h.negative_buckets = list()?,
            "offset" => offset = integer()?,
            "n_offset" => negative_offset = integer()?,
            "counter_reset_hint" => {
                hint = true;
                h.reset_hint = match value.to_ascii_lowercase().as_str() {
                    "unknown" => CounterResetHint::Unknown,
                    "reset" => CounterResetHint::Reset,
                    "not_reset" => CounterResetHint::NotReset,
                    "gauge" => CounterResetHint::Gauge,
                    other => return Err(format!("bad reset hint {other:?}")),
                };
            }
            other => return Err(format!("unknown histogram key {other:?}")),
        }
    }
    let spans = |counts: &[f64], offset| match u32::try_from(counts.len()) {
        Ok(0) | Err(_) => Vec::new(),
        Ok(length) => vec![Span { offset, length }],
    };
    h.positive_spans = spans(&h.positive_buckets, offset);
    h.negative_spans = spans(&h.negative_buckets, negative_offset);
    if !h.custom_values.is_empty() && h.schema != CUSTOM_BUCKETS_SCHEMA {
        return Err("custom_values need schema -53".to_owned());
    }
    Ok((h, hint))
}

/// `name{a="b"}@st OFFSETS`: the labels, and for every value its start timestamp relative to the sample's time in
/// milliseconds. `None` for a line without `@st`.
#[allow(clippy::type_complexity)]
pub(super) fn start_times(line: &str) -> Option<Result<(Labels, Vec<Option<i64>>), String>> {
    // As upstream, the part up to the first space decides.
    let (series, offsets) = line.split_once([' ', '\t'])?;
    let series = series.strip_suffix("@st")?;
    let parsed = labels(series).and_then(|(labels, rest)| {
        if !rest.is_empty() {
            return Err(format!("labels expected before @st in {line:?}"));
        }
        let mut all = Vec::new();
        for item in offsets.split_whitespace() {
            start_item(item, &mut all).map_err(|e| format!("bad start time {item:?}: {e}"))?;
        }
        Ok((labels, all))
    });
    Some(parsed)
}

/// `_`, `_x3`, `-1m`, `-1mx3`, `-1m+10sx3`
fn start_item(item: &str, out: &mut Vec<Option<i64>>) -> Result<(), String> {
    let (body, times) = match item.rsplit_once('x') {
        Some((body, times)) => {
            let times: usize = times.parse().map_err(|_| "bad repetition".to_owned())?;
            (body, Some(times))
        }
        None => (item, None),
    };
    if body == "_" {
        if times == Some(0) {
            return Err("bad repetition".to_owned());
        }
        out.extend((0..times.unwrap_or(1)).map(|_| None));
        return Ok(());
    }
    let unsigned = body.strip_prefix(['-', '+']).unwrap_or(body);
    let sign = body.len() - unsigned.len();
    let (base, step) = match unsigned.find(['+', '-']) {
        // The step may have a sign of its own: `1m+-10s`.
        Some(at) => {
            let step = offset(&unsigned[at + 1..])?;
            let negative = unsigned[at..].starts_with('-');
            (
                &body[..sign + at],
                Some(if negative { -step } else { step }),
            )
        }
        None => (body, None),
    };
    if step.is_some() && times.is_none() {
        return Err("a repetition is missing".to_owned());
    }
    let (mut current, step) = (offset(base)?, step.unwrap_or(0));
    for _ in 0..=times.unwrap_or(0) {
        out.push(Some(current));
        current += step;
    }
    Ok(())
}

/// A duration with a sign, in milliseconds.
fn offset(text: &str) -> Result<i64, String> {
    let (digits, sign) = match text.strip_prefix('-') {
        Some(digits) => (digits, -1),
        None => (text.strip_prefix('+').unwrap_or(text), 1),
    };
    if digits.is_empty() {
        return Err("empty duration".to_owned());
    }
    Ok(sign * duration::parse_millis(digits).map_err(|e| e.to_string())?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn floats(text: &str) -> Vec<f64> {
        let all = sequence(text).unwrap();
        all.iter()
            .map(|v| match v {
                SequenceValue::Float(v) => *v,
                _ => f64::NAN,
            })
            .collect()
    }

    #[test]
    fn sequences_follow_the_notation() {
        assert_eq!(
            floats("1+2x3 -5 2x1 1e3-1e-1x1"),
            [1.0, 3.0, 5.0, 7.0, -5.0, 2.0, 2.0, 1000.0, 999.9]
        );
        assert_eq!(floats("-1-2x1"), [-1.0, -3.0]);
        assert_eq!(sequence("_x3 _").unwrap().len(), 4);
        assert_eq!(floats("0x3"), [0.0; 4]);
        assert!(sequence("1+x").is_err());
    }

    #[test]
    fn histograms_have_spans() {
        let all =
            sequence("{{schema:1 sum:-0.3 count:3.1 buckets:[5 10 7] offset:-3}}x1 5").unwrap();
        assert_eq!(all.len(), 3);
        let SequenceValue::Histogram(h, false) = &all[0] else {
            panic!("{all:?}");
        };
        assert_eq!(
            h.positive_spans,
            [Span {
                offset: -3,
                length: 3
            }]
        );
    }

    #[test]
    fn numbers_are_those_of_promql() {
        for (text, value) in [
            ("010", 8.0),
            ("-0x1F", -31.0),
            ("1_000", 1000.0),
            ("5m", 300.0),
            ("-Inf", f64::NEG_INFINITY),
            ("+1.5e3", 1500.0),
        ] {
            assert_eq!(number(text).unwrap(), value, "{text}");
        }
        assert!(number("").is_err());
        assert!(number("five").is_err());
    }

    #[test]
    fn start_times_are_offsets() {
        let (labels, all) = start_times("m{a=\"b\"}@st _x2 -1mx1 -1m+10sx2 0s -1m-30sx1")
            .unwrap()
            .unwrap();
        assert_eq!(labels.get("a"), Some("b"));
        let ms = |s: i64| Some(s * 1000);
        let expected = [
            None,
            None,
            ms(-60),
            ms(-60),
            ms(-60),
            ms(-50),
            ms(-40),
            ms(0),
            ms(-60),
            ms(-90),
        ];
        assert_eq!(all, expected);
        assert!(start_times("m 1 2").is_none());
        for bad in ["m@st x", "m@st 1m+1s", "m@st _x0", "m@st 5"] {
            assert!(start_times(bad).unwrap().is_err(), "{bad}");
        }
    }

    #[test]
    fn labels_may_be_quoted() {
        let (labels, rest) = labels(r#"{"a.b", x="y\n", "c d"='e'} 5"#).unwrap();
        assert_eq!(labels.metric_name(), Some("a.b"));
        assert_eq!(labels.get("x"), Some("y\n"));
        assert_eq!(labels.get("c d"), Some("e"));
        assert_eq!(rest, " 5");
    }
}
