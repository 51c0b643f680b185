//! Expected and found, and how they print.

use std::collections::{BTreeMap, BTreeSet};

use bellwether_model::Labels;
use bellwether_promql::testlang::show;
use bellwether_promql::{Point, VectorSample};

/// An alert for comparison; the order is by labels, then annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AlertView {
    pub(super) labels: Labels,
    pub(super) annotations: Labels,
}

/// Alerts as promtool prints them.
pub(super) fn alerts_text(alerts: &[AlertView]) -> String {
    if alerts.is_empty() {
        return "[]".to_owned();
    }
    let show = |(i, alert): (usize, &AlertView)| {
        let text = format!(
            "\nLabels:{}\nAnnotations:{}",
            alert.labels, alert.annotations
        );
        format!("\n{i}:{}", indent(&text, "  "))
    };
    let shown: Vec<String> = alerts.iter().enumerate().map(show).collect();
    format!("[{}\n]", shown.join(","))
}

/// Indents all lines but the first.
pub(super) fn indent(text: &str, by: &str) -> String {
    text.replace('\n', &format!("\n{by}"))
}

/// A sample for comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SampleView {
    pub(super) labels: Labels,
    /// Zero beside a histogram.
    pub(super) value: f64,
    /// In the notation of tests; empty for a float.
    pub(super) histogram: String,
}

impl SampleView {
    pub(super) fn of(sample: &VectorSample) -> Self {
        let (value, histogram) = match &sample.point {
            Point::Float(v) => (*v, String::new()),
            Point::Histogram(h) => (0.0, show::histogram(h)),
        };
        Self {
            labels: sample.labels.clone(),
            value,
            histogram,
        }
    }

    /// Whether another one is the same; `fuzzy` takes neighbouring floats for the same.
    pub(super) fn is_same(&self, other: &Self, fuzzy: bool) -> bool {
        let (a, b) = (self.value, other.value);
        let near = fuzzy && (a.next_down() == b || a.next_up() == b);
        self.labels == other.labels && self.histogram == other.histogram && (a == b || near)
    }

    fn text(&self) -> String {
        if self.histogram.is_empty() {
            format!("{} {}", self.labels, scientific(self.value))
        } else {
            format!("{} {}", self.labels, self.histogram)
        }
    }
}

/// Samples as promtool prints them.
pub(super) fn samples_text(samples: &[SampleView]) -> String {
    if samples.is_empty() {
        return "nil".to_owned();
    }
    let shown: Vec<String> = samples.iter().map(SampleView::text).collect();
    shown.join(", ")
}

/// Go's format `E` with the fewest digits: `1.5E+00`.
fn scientific(v: f64) -> String {
    if v.is_nan() {
        return "NaN".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let text = format!("{v:E}");
    let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}E{sign}{digits:0>2}")
}

const REMOVED: &str = "\x1b[0;31m";
const ADDED: &str = "\x1b[0;32m";
const CHANGED: &str = "\x1b[0;33m";
const PLAIN: &str = "\x1b[0m";

/// The alerts as JSON, what is missing in red, what is too much in green, what differs in yellow. An empty side counts
/// as one alert without labels.
pub(super) fn difference(expected: &[AlertView], found: &[AlertView]) -> String {
    let one = [AlertView::default()];
    let expected = if expected.is_empty() {
        &one[..]
    } else {
        expected
    };
    let found = if found.is_empty() { &one[..] } else { found };
    let mut out = "[\n".to_owned();
    for i in 0..expected.len().max(found.len()) {
        if i > 0 {
            out.push_str(",\n");
        }
        out.push_str(&match (expected.get(i), found.get(i)) {
            (Some(a), Some(b)) => alert_difference(a, b),
            (Some(a), None) => colour(REMOVED, &alert_difference(a, a)),
            (None, Some(b)) => colour(ADDED, &alert_difference(b, b)),
            (None, None) => String::new(),
        });
    }
    out + "\n]"
}

fn alert_difference(a: &AlertView, b: &AlertView) -> String {
    let sets = [
        ("Annotations", &a.annotations, &b.annotations),
        ("Labels", &a.labels, &b.labels),
    ];
    let sets = sets.map(|(name, a, b)| format!("        \"{name}\": {}", labels_difference(a, b)));
    format!("    {{\n{}\n    }}", sets.join(",\n"))
}

fn labels_difference(a: &Labels, b: &Labels) -> String {
    let map = |labels: &Labels| -> BTreeMap<String, String> {
        let pairs = labels.iter();
        pairs
            .map(|l| (l.name.to_owned(), l.value.to_owned()))
            .collect()
    };
    let (a, b) = (map(a), map(b));
    let quote = bellwether_template::quote;
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let lines = names.into_iter().map(|name| {
        let entry = |value: &String| format!("{}: {}", quote(name), quote(value));
        let line = match (a.get(name), b.get(name)) {
            (Some(x), Some(y)) if x == y => entry(x),
            (Some(x), Some(y)) => {
                let change = format!("{} => {}", quote(x), quote(y));
                format!("{}: {}", quote(name), colour(CHANGED, &change))
            }
            (Some(x), None) => colour(REMOVED, &entry(x)),
            (None, Some(y)) => colour(ADDED, &entry(y)),
            (None, None) => String::new(),
        };
        format!("            {line}")
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        return "{}".to_owned();
    }
    format!("{{\n{}\n        }}", lines.join(",\n"))
}

fn colour(colour: &str, text: &str) -> String {
    format!("{colour}{text}{PLAIN}")
}
