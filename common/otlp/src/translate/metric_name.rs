//! Metric names for each strategy.

use super::unit::{clean, unit_words};
use super::{MetricKind, NameError, Strategy};

pub(super) fn build(
    strategy: Strategy,
    namespace: &str,
    name: &str,
    unit: &str,
    kind: MetricKind,
) -> Result<String, NameError> {
    let result = match strategy {
        Strategy::UnderscoreEscapingWithSuffixes => {
            escaped_with_suffixes(namespace, name, unit, kind)
        }
        Strategy::UnderscoreEscapingWithoutSuffixes => escaped(namespace, name),
        Strategy::NoUtf8EscapingWithSuffixes => utf8_with_suffixes(namespace, name, unit, kind),
        Strategy::NoTranslation => prefixed(namespace, name),
    };
    if result.chars().all(|c| c == '_') {
        return Err(NameError::Metric(name.to_owned()));
    }
    Ok(result)
}

fn escaped_with_suffixes(namespace: &str, name: &str, unit: &str, kind: MetricKind) -> String {
    let mut tokens: Vec<&str> = name
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == ':'))
        .filter(|token| !token.is_empty())
        .collect();
    let (main, per) = unit_words(unit);
    let (main, per) = (clean(&main), clean(&per));
    if !main.is_empty() && !tokens.contains(&main.as_str()) {
        tokens.push(&main);
    }
    if !per.is_empty() && !tokens.contains(&per.as_str()) {
        tokens.push(&per);
    }
    if let Some(suffix) = type_suffix(unit, kind) {
        tokens.retain(|token| *token != suffix);
        tokens.push(suffix);
    }
    let namespace = clean_namespace(namespace);
    if !namespace.is_empty() {
        tokens.insert(0, &namespace);
    }
    guard_digit(tokens.join("_"))
}

/// `total` for counters, `ratio` for gauges without a dimension.
fn type_suffix(unit: &str, kind: MetricKind) -> Option<&'static str> {
    match kind {
        MetricKind::Counter => Some("total"),
        MetricKind::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    }
}

/// Runs of invalid characters become one `_`; underscores of the name stay.
fn escaped(namespace: &str, name: &str) -> String {
    let mut out = clean_namespace(namespace);
    if !out.is_empty() {
        out.push('_');
    }
    let mut in_invalid_run = false;
    for c in name.chars() {
        let valid = c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if valid {
            out.push(c);
        } else if !in_invalid_run {
            out.push('_');
        }
        in_invalid_run = !valid;
    }
    guard_digit(out)
}

fn utf8_with_suffixes(namespace: &str, name: &str, unit: &str, kind: MetricKind) -> String {
    let (main, per) = unit_words(unit);
    let suffix = type_suffix(unit, kind);
    let mut out = prefixed(namespace, name);
    if let Some(suffix) = suffix {
        cut_ending(&mut out, suffix);
    }
    if !per.is_empty() {
        cut_ending(&mut out, &per);
    }
    if !main.is_empty() && !out.ends_with(main.as_str()) {
        out.push('_');
        out.push_str(&main);
    }
    if !per.is_empty() {
        out.push('_');
        out.push_str(&per);
    }
    if let Some(suffix) = suffix {
        out.push('_');
        out.push_str(suffix);
    }
    out
}

/// Cuts an ending together with the character in front of it.
fn cut_ending(name: &mut String, ending: &str) {
    if let Some(head) = name.strip_suffix(ending) {
        let mut chars = head.chars();
        chars.next_back();
        let len = chars.as_str().len();
        name.truncate(len);
    }
}

fn prefixed(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}_{name}")
    }
}

fn clean_namespace(namespace: &str) -> String {
    namespace
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == ':' {
                c
            } else {
                '_'
            }
        })
        .collect::<String>()
        .trim_end_matches('_')
        .to_owned()
}

fn guard_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}
