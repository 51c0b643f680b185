//! What is unwise about metrics: the rules of Prometheus' metric linter, in its words.

use std::collections::BTreeMap;

use bellwether_model::MetricType;

use super::families::Family;

/// Units and the base unit to use instead.
const UNITS: &[(&str, &str)] = &[
    ("amperes", "amperes"),
    ("bytes", "bytes"),
    ("celsius", "celsius"),
    ("grams", "grams"),
    ("joules", "joules"),
    ("kelvin", "kelvin"),
    ("meters", "meters"),
    ("metres", "metres"),
    ("seconds", "seconds"),
    ("volts", "volts"),
    ("minutes", "seconds"),
    ("hours", "seconds"),
    ("days", "seconds"),
    ("weeks", "seconds"),
    ("kelvins", "kelvin"),
    ("fahrenheit", "celsius"),
    ("rankine", "celsius"),
    ("inches", "meters"),
    ("yards", "meters"),
    ("miles", "meters"),
    ("bits", "bytes"),
    ("calories", "joules"),
    ("pounds", "grams"),
    ("ounces", "grams"),
];

/// What may stand before a unit. The odd one out ("mibi") is upstream's.
const PREFIXES: &[&str] = &[
    "pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega",
    "mibi", "giga", "gibi", "tera", "tebi", "peta", "pebi",
];

const ABBREVIATIONS: &[&str] = &[
    "s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d",
];

/// The problems of all families, by name and text.
pub(super) fn lint(families: &BTreeMap<String, Family>) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for (name, family) in families {
        let mut texts = Vec::new();
        of_name(name, family, &mut texts);
        of_labels(family, &mut texts);
        texts.sort();
        problems.extend(texts.into_iter().map(|text| (name.clone(), text)));
    }
    problems
}

fn of_name(name: &str, family: &Family, problems: &mut Vec<String>) {
    let kind = family.kind;
    let is_typed = kind != MetricType::Unknown;
    let mut say = |text: &str| problems.push(text.to_owned());
    if !family.has_help {
        say("no help text");
    }
    if let Some((unit, base)) = unit(name).filter(|(unit, base)| unit != base) {
        say(&format!("use base unit {base:?} instead of {unit:?}"));
    }
    let is_counter = kind == MetricType::Counter;
    if is_counter && !name.ends_with("_total") {
        say("counter metrics should have \"_total\" suffix");
    }
    if is_typed && !is_counter && name.ends_with("_total") {
        say("non-counter metrics should not have \"_total\" suffix");
    }
    let is_histogram = kind == MetricType::Histogram;
    let is_composed = is_histogram || kind == MetricType::Summary;
    if is_typed && !is_histogram && name.ends_with("_bucket") {
        say("non-histogram metrics should not have \"_bucket\" suffix");
    }
    for suffix in ["_count", "_sum"] {
        if is_typed && !is_composed && name.ends_with(suffix) {
            say(&format!(
                "non-histogram and non-summary metrics should not have {suffix:?} suffix"
            ));
        }
    }
    let lower = name.to_lowercase();
    let holds =
        |word: &str| lower.contains(&format!("_{word}_")) || lower.ends_with(&format!("_{word}"));
    if is_typed && holds(kind.as_str()) {
        say(&format!(
            "metric name should not include type '{kind}'",
            kind = kind.as_str()
        ));
    }
    if name.contains(':') {
        say("metric names should not contain ':'");
    }
    if is_camel_case(name) {
        say("metric names should be written in 'snake_case' not 'camelCase'");
    }
    for _ in ABBREVIATIONS.iter().filter(|word| holds(word)) {
        say("metric names should not contain abbreviated units");
    }
}

/// A problem is told once for each metric that has it.
fn of_labels(family: &Family, problems: &mut Vec<String>) {
    let kind = family.kind;
    let is_typed = kind != MetricType::Unknown;
    for (labels, count) in &family.metrics {
        for (name, _) in labels {
            let texts = [
                (
                    is_camel_case(name),
                    "label names should be written in 'snake_case' not 'camelCase'",
                ),
                (
                    is_typed && kind != MetricType::Histogram && name == "le",
                    "non-histogram metrics should not have \"le\" label",
                ),
                (
                    is_typed && kind != MetricType::Summary && name == "quantile",
                    "non-summary metrics should not have \"quantile\" label",
                ),
            ];
            let found = texts.iter().filter(|(applies, _)| *applies);
            for (_, text) in found {
                problems.extend(std::iter::repeat_n((*text).to_owned(), *count));
            }
        }
        let again = count.saturating_sub(1);
        problems.extend(std::iter::repeat_n("metric not unique".to_owned(), again));
    }
}

fn is_camel_case(name: &str) -> bool {
    name.as_bytes()
        .windows(2)
        .any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
}

/// The first unit in a name and its base unit.
fn unit(name: &str) -> Option<(&str, &'static str)> {
    let base = |word: &str| UNITS.iter().find(|(unit, _)| *unit == word).map(|u| u.1);
    name.split('_').find_map(|word| {
        let prefixed = || {
            let rests = PREFIXES.iter().filter_map(|p| word.strip_prefix(p));
            rests.filter_map(base).next()
        };
        base(word).or_else(prefixed).map(|base| (word, base))
    })
}
