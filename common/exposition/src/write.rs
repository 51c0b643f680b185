//! Writing.
//!
//! Small functions that append to a caller's buffer, so that a page is one growing string. Names outside the
//! legacy character set are quoted as the text format 1.0.0 and OpenMetrics with UTF-8 names want it.

use bellwether_model::labels::{is_legacy_label_name, is_legacy_metric_name};
use bellwether_model::{MetricType, float};

use crate::parse::{Format, format_openmetrics_float};

/// Appends a family name, quoted where needed.
fn push_family(out: &mut String, name: &str) {
    if is_legacy_metric_name(name) {
        out.push_str(name);
    } else {
        push_quoted(out, name);
    }
}

fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    push_label_value(out, text);
    out.push('"');
}

/// Appends a label value without its quotes: backslash, quote and newline are escaped.
pub fn push_label_value(out: &mut String, value: &str) {
    push_escaped(out, value, true);
}

fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    let mut rest = text;
    while let Some(at) = memchr::memchr3(b'\\', b'"', b'\n', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            _ if quotes => out.push_str("\\\""),
            _ => out.push('"'),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// Appends a `# HELP` line. Quotes are escaped in OpenMetrics only.
pub fn push_help(out: &mut String, format: Format, family: &str, help: &str) {
    out.push_str("# HELP ");
    push_family(out, family);
    out.push(' ');
    push_escaped(out, help, format == Format::OpenMetrics);
    out.push('\n');
}

/// Appends a `# TYPE` line. Types that the text format does not know become `untyped` there (a gauge
/// histogram becomes a histogram, info and state sets become gauges).
pub fn push_type(out: &mut String, format: Format, family: &str, kind: MetricType) {
    let word = match (format, kind) {
        (Format::Text, MetricType::Unknown) => "untyped",
        (Format::Text, MetricType::GaugeHistogram) => "histogram",
        (Format::Text, MetricType::Info | MetricType::Stateset) => "gauge",
        _ => kind.as_str(),
    };
    out.push_str("# TYPE ");
    push_family(out, family);
    out.push(' ');
    out.push_str(word);
    out.push('\n');
}

/// Appends a `# UNIT` line; the text format has none, so nothing is written there.
pub fn push_unit(out: &mut String, format: Format, family: &str, unit: &str) {
    if format == Format::OpenMetrics && !unit.is_empty() {
        out.push_str("# UNIT ");
        push_family(out, family);
        out.push(' ');
        push_escaped(out, unit, true);
        out.push('\n');
    }
}

/// Appends name and labels of a sample: `name{a="b"}`, or `{"na.me",a="b"}` for a name that needs quotes.
/// Pairs are written in the order given; empty names are the caller's mistake and come out as `""`.
pub fn push_sample_name<'l>(
    out: &mut String,
    name: &str,
    labels: impl IntoIterator<Item = (&'l str, &'l str)>,
) {
    let mut open = false;
    if is_legacy_metric_name(name) {
        out.push_str(name);
    } else {
        out.push('{');
        push_quoted(out, name);
        open = true;
    }
    for (label, value) in labels {
        out.push(if open { ',' } else { '{' });
        open = true;
        if is_legacy_label_name(label) {
            out.push_str(label);
        } else {
            push_quoted(out, label);
        }
        out.push_str("=\"");
        push_label_value(out, value);
        out.push('"');
    }
    if open {
        out.push('}');
    }
}

/// Appends a space, the value, the optional timestamp (milliseconds; OpenMetrics writes seconds) and the
/// newline.
pub fn push_sample_value(out: &mut String, format: Format, value: f64, timestamp_ms: Option<i64>) {
    out.push(' ');
    match format {
        Format::Text => out.push_str(&float::shortest_g(value)),
        Format::OpenMetrics => out.push_str(&format_openmetrics_float(value)),
    }
    if let Some(ms) = timestamp_ms {
        out.push(' ');
        match format {
            Format::Text => out.push_str(&ms.to_string()),
            Format::OpenMetrics => {
                let (seconds, rest) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
                let sign = if ms < 0 { "-" } else { "" };
                out.push_str(&format!("{sign}{seconds}.{rest:03}"));
            }
        }
    }
    out.push('\n');
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Entry, Parser};
    use proptest::prelude::*;

    #[test]
    fn names_are_quoted_where_needed() {
        let mut out = String::new();
        push_sample_name(&mut out, "a.b", [("x", "1\n\"\\"), ("y-z", "")]);
        push_sample_value(&mut out, Format::Text, 1.5, Some(-1));
        assert_eq!(out, "{\"a.b\",x=\"1\\n\\\"\\\\\",\"y-z\"=\"\"} 1.5 -1\n");
    }

    proptest! {
        /// What is written is read back, in both formats, whatever the names and values hold.
        #[test]
        fn written_lines_read_back(
            name in ".{1,12}",
            labels in proptest::collection::btree_map(".{1,8}", ".{0,12}", 0..4),
            value in proptest::num::f64::ANY,
            ms in proptest::option::of(0i64..4_000_000_000_000),
            openmetrics in any::<bool>(),
        ) {
            let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
            // Neither format can hold a newline in a quoted OpenMetrics name; escapes take care of it.
            let mut page = String::new();
            push_help(&mut page, format, &name.replace(['\\', '"', '\n'], "_"), "a \\ \" \n b");
            push_sample_name(&mut page, &name, labels.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            push_sample_value(&mut page, format, value, ms);
            if openmetrics {
                page.push_str("# EOF\n");
            }
            let mut parser = Parser::new(format, page.as_bytes());
            let Some(Entry::Help { text, .. }) = parser.next().unwrap() else { panic!("{page:?}") };
            prop_assert_eq!(&*crate::unescape(text), "a \\ \" \n b");
            let Some(Entry::Series(line)) = parser.next().unwrap() else { panic!("{page:?}") };
            if value.is_nan() {
                prop_assert!(line.value.is_nan());
            } else {
                prop_assert_eq!(line.value.to_bits(), value.to_bits());
            }
            // OpenMetrics times are float seconds, of which Prometheus cuts what is below a millisecond.
            let cut = ms.filter(|_| openmetrics).map(|ms| ms - 1);
            prop_assert!(line.timestamp_ms == ms || line.timestamp_ms == cut);
            let got = line.labels(&parser).unwrap();
            prop_assert_eq!(&*got.name, name.as_str());
            let got: Vec<_> = got.labels.iter().map(|p| (p.name.to_string(), p.value.to_string())).collect();
            prop_assert_eq!(got, labels.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(parser.next().unwrap(), None);
        }
    }
}
