//! Writing families in the text format and in OpenMetrics.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;

use crate::family::{Histogram, Summary};
use crate::registry::{Family, LabelSet, Metric};

/// Content type of the text format.
pub const TEXT_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Content type of OpenMetrics.
pub const OPENMETRICS_CONTENT_TYPE: &str =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(crate) fn text(families: &BTreeMap<String, Family>) -> String {
    render(families, false)
}

pub(crate) fn openmetrics(families: &BTreeMap<String, Family>) -> String {
    let mut out = render(families, true);
    out.push_str("# EOF\n");
    out
}

fn render(families: &BTreeMap<String, Family>, openmetrics: bool) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for (name, family) in families {
        let Some(first) = family.metrics.values().next() else {
            continue;
        };
        // OpenMetrics names a counter's family without the suffix of its samples.
        let is_counter = matches!(first, Metric::Counter(_));
        let base = if openmetrics && is_counter {
            name.strip_suffix("_total").unwrap_or(name)
        } else {
            name
        };
        let kind = if openmetrics && is_counter && base == name {
            "unknown"
        } else {
            first.type_name()
        };
        let _ = write!(out, "# HELP {base} ");
        push_escaped(&mut out, &family.help, openmetrics);
        let _ = write!(out, "\n# TYPE {base} {kind}\n");
        for (labels, metric) in &family.metrics {
            match metric {
                Metric::Counter(counter) => sample(&mut out, name, "", labels, None, counter.get()),
                Metric::Gauge(gauge) => sample(&mut out, name, "", labels, None, gauge.0.get()),
                Metric::Histogram(histogram) => {
                    render_histogram(&mut out, name, labels, histogram, openmetrics);
                }
                Metric::Summary(summary) => {
                    render_summary(&mut out, name, labels, summary, openmetrics);
                }
            }
        }
    }
    out
}

fn render_histogram(
    out: &mut String,
    name: &str,
    labels: &LabelSet,
    histogram: &Histogram,
    openmetrics: bool,
) {
    let core = &histogram.0;
    let mut cumulative = 0u64;
    let bounds = core.bounds.iter().copied().chain([f64::INFINITY]);
    for (bound, bucket) in bounds.zip(&core.buckets) {
        cumulative += bucket.load(Ordering::Relaxed);
        sample(
            out,
            name,
            "_bucket",
            labels,
            Some(("le", &bound_text(bound, openmetrics))),
            cumulative as f64,
        );
    }
    sample(out, name, "_sum", labels, None, core.sum.get());
    sample(out, name, "_count", labels, None, cumulative as f64);
}

fn render_summary(
    out: &mut String,
    name: &str,
    labels: &LabelSet,
    summary: &Summary,
    openmetrics: bool,
) {
    let (quantiles, sum, count) = summary.snapshot();
    for (q, value) in quantiles {
        sample(
            out,
            name,
            "",
            labels,
            Some(("quantile", &bound_text(q, openmetrics))),
            value,
        );
    }
    sample(out, name, "_sum", labels, None, sum);
    sample(out, name, "_count", labels, None, count as f64);
}

/// OpenMetrics wants `1.0` where the text format has `1`.
fn bound_text(value: f64, openmetrics: bool) -> String {
    let mut text = String::new();
    push_float(&mut text, value);
    if openmetrics && text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
        text.push_str(".0");
    }
    text
}

fn sample(
    out: &mut String,
    name: &str,
    suffix: &str,
    labels: &LabelSet,
    extra: Option<(&str, &str)>,
    value: f64,
) {
    out.push_str(name);
    out.push_str(suffix);
    let pairs = labels
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .chain(extra);
    let mut any = false;
    for (label, text) in pairs {
        out.push(if any { ',' } else { '{' });
        any = true;
        let _ = write!(out, "{label}=\"");
        push_escaped(out, text, true);
        out.push('"');
    }
    out.push_str(if any { "} " } else { " " });
    push_float(out, value);
    out.push('\n');
}

fn push_float(out: &mut String, value: f64) {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value == value.trunc() && value.abs() < 1e15 {
        let _ = write!(out, "{}", value as i64);
    } else {
        let mut buffer = zmij::Buffer::new();
        out.push_str(buffer.format_finite(value));
    }
}

fn push_escaped(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Registry;

    #[test]
    fn both_formats() {
        let registry = Registry::new();
        registry
            .counter("a_total", "A \"thing\".", &[("x", "q\"\n")])
            .add(2.5);
        registry.gauge("b", "B.", &[]).set(-3.0);
        let h = registry.histogram("c_seconds", "C.", &[("k", "v")], &[0.5, 1.0]);
        h.observe(0.5);
        h.observe(7.0);
        assert_eq!(
            registry.render_text(),
            "# HELP a_total A \"thing\".\n# TYPE a_total counter\na_total{x=\"q\\\"\\n\"} 2.5\n\
             # HELP b B.\n# TYPE b gauge\nb -3\n\
             # HELP c_seconds C.\n# TYPE c_seconds histogram\n\
             c_seconds_bucket{k=\"v\",le=\"0.5\"} 1\nc_seconds_bucket{k=\"v\",le=\"1\"} 1\nc_seconds_bucket{k=\"v\",le=\"+Inf\"} 2\n\
             c_seconds_sum{k=\"v\"} 7.5\nc_seconds_count{k=\"v\"} 2\n"
        );
        let om = registry.render_openmetrics();
        assert!(om.contains("# TYPE a counter\na_total{"));
        assert!(om.contains("le=\"1.0\"} 1\n"));
        assert!(om.ends_with("# EOF\n"));
    }

    #[test]
    fn the_same_name_and_labels_are_one_series() {
        let registry = Registry::new();
        registry
            .counter("a_total", "", &[("x", "1"), ("y", "2")])
            .inc();
        registry
            .counter("a_total", "", &[("y", "2"), ("x", "1")])
            .inc();
        assert!(
            registry
                .render_text()
                .contains("a_total{x=\"1\",y=\"2\"} 2\n")
        );
    }

    #[test]
    fn a_collector_sets_values_before_a_rendering() {
        let registry = Registry::new();
        let gauge = registry.gauge("g", "", &[]);
        registry.on_collect(move || gauge.set(4.0));
        assert!(registry.render_text().contains("g 4\n"));
    }
}
