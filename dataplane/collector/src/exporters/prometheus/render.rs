//! The page's text: Prometheus text format 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write as _;
use std::time::Instant;

use bellwether_otlp::metrics::{Exemplar, Number};

use super::names::{escape_metric, is_legacy_metric, push_quoted};
use super::store::{Family, FamilyKind, Series, Store};
use super::text::{push_f64, push_help, push_i64, push_label_value, push_u64};
use super::value::{Histogram, SeriesValue, Summary};

/// Labels of an exemplar may have this many characters in all (OpenMetrics 1.0).
const EXEMPLAR_CHARS_MAX: usize = 128;

/// How to write the page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format {
    pub(super) open_metrics: bool,
    pub(super) timestamps: bool,
    /// Names outside the legacy set are written in quotes rather than escaped.
    pub(super) utf8: bool,
}

/// Appends all fresh series.
pub(super) fn render(store: &Store, format: Format, now: Instant, out: &mut String) {
    for (name, family) in store.families() {
        let mut headed = false;
        let is_legacy = is_legacy_metric(name);
        let escaped = (!is_legacy && !format.utf8).then(|| escape_metric(name));
        let name = Name {
            text: escaped.as_deref().unwrap_or(name),
            quoted: !is_legacy && format.utf8,
        };
        for id in &family.series {
            let Some(series) = store.series(*id).filter(|s| store.is_fresh(s, now)) else {
                continue;
            };
            if !headed {
                header(name, family, format, out);
                headed = true;
            }
            let mut writer = Writer {
                out,
                name,
                series,
                format,
            };
            writer.series(family.kind);
        }
    }
    if format.open_metrics {
        out.push_str("# EOF\n");
    }
}

/// The name of a family on the page.
#[derive(Debug, Clone, Copy)]
struct Name<'n> {
    text: &'n str,
    quoted: bool,
}

fn header(name: Name<'_>, family: &Family, format: Format, out: &mut String) {
    let kind = match family.kind {
        FamilyKind::Counter => "counter",
        FamilyKind::Histogram => "histogram",
        FamilyKind::Summary => "summary",
        FamilyKind::Info if format.open_metrics => "info",
        FamilyKind::Gauge | FamilyKind::Info => "gauge",
    };
    // OpenMetrics names the family without the suffix of its samples.
    let suffix = match (format.open_metrics, family.kind) {
        (true, FamilyKind::Counter) => "_total",
        (true, FamilyKind::Info) => "_info",
        _ => "",
    };
    let text = name.text.strip_suffix(suffix).unwrap_or(name.text);
    let push_name = |out: &mut String| {
        if name.quoted {
            push_quoted(out, text);
        } else {
            out.push_str(text);
        }
    };
    out.push_str("# HELP ");
    push_name(out);
    out.push(' ');
    push_help(out, &family.help, format.open_metrics);
    out.push_str("\n# TYPE ");
    push_name(out);
    let _ = writeln!(out, " {kind}");
}

struct Writer<'o> {
    out: &'o mut String,
    name: Name<'o>,
    series: &'o Series,
    format: Format,
}

impl Writer<'_> {
    fn series(&mut self, kind: FamilyKind) {
        let series = self.series;
        match &series.state.value {
            SeriesValue::Number(value, exemplar) => {
                let bare_counter =
                    kind == FamilyKind::Counter && !self.name.text.ends_with("_total");
                let suffix = if self.format.open_metrics && bare_counter {
                    "_total"
                } else {
                    ""
                };
                self.start(suffix, None);
                match value {
                    Number::Int(v) => push_i64(self.out, *v),
                    Number::Double(v) => push_f64(self.out, *v),
                }
                self.end(exemplar.as_deref());
            }
            SeriesValue::Histogram(histogram) => self.histogram(histogram),
            SeriesValue::Summary(summary) => self.summary(summary),
        }
    }

    fn histogram(&mut self, histogram: &Histogram) {
        let bounds = &histogram.bounds;
        let texts = if self.format.open_metrics {
            &bounds.open_metrics_text
        } else {
            &bounds.text
        };
        let exemplar = |index: usize| histogram.exemplars.get(index).and_then(|e| e.as_deref());
        let mut cumulative = 0u64;
        for (index, le) in texts.iter().enumerate() {
            // A client may list the last bound itself; that bucket is the count below.
            if bounds.values[index] == f64::INFINITY {
                break;
            }
            cumulative =
                cumulative.saturating_add(histogram.counts.get(index).copied().unwrap_or(0));
            self.start("_bucket", Some(("le", le)));
            push_u64(self.out, cumulative);
            self.end(exemplar(index));
        }
        self.start("_bucket", Some(("le", "+Inf")));
        push_u64(self.out, histogram.count);
        self.end(exemplar(bounds.finite()));
        if let Some(sum) = histogram.sum {
            self.start("_sum", None);
            push_f64(self.out, sum);
            self.end(None);
        }
        self.start("_count", None);
        push_u64(self.out, histogram.count);
        self.end(None);
    }

    fn summary(&mut self, summary: &Summary) {
        for (quantile, value) in &summary.quantiles {
            self.start("", Some(("quantile", quantile)));
            push_f64(self.out, *value);
            self.end(None);
        }
        self.start("_sum", None);
        push_f64(self.out, summary.sum);
        self.end(None);
        self.start("_count", None);
        push_u64(self.out, summary.count);
        self.end(None);
    }

    /// Name and labels, up to the value.
    fn start(&mut self, suffix: &str, extra: Option<(&str, &str)>) {
        let out = &mut *self.out;
        let text = &self.series.labels;
        let labels = match &text.escaped {
            Some(escaped) if !self.format.utf8 => escaped,
            _ => &text.kept,
        };
        if self.name.quoted {
            // The name is the first thing in the braces.
            out.push_str("{\"");
            push_label_value(out, self.name.text);
            out.push_str(suffix);
            out.push('"');
        } else {
            out.push_str(self.name.text);
            out.push_str(suffix);
        }
        let mut opened = self.name.quoted;
        let mut separate = |out: &mut String| {
            out.push(if opened { ',' } else { '{' });
            opened = true;
        };
        if !labels.is_empty() {
            separate(out);
            out.push_str(labels);
        }
        if let Some((name, value)) = extra {
            separate(out);
            out.push_str(name);
            out.push_str("=\"");
            out.push_str(value);
            out.push('"');
        }
        out.push_str(if opened { "} " } else { " " });
    }

    /// What stands after the value.
    fn end(&mut self, exemplar: Option<&str>) {
        let time_ms = self.series.state.time_ns / 1_000_000;
        if self.format.timestamps && time_ms > 0 {
            self.out.push(' ');
            if self.format.open_metrics {
                push_seconds(self.out, time_ms);
            } else {
                push_u64(self.out, time_ms);
            }
        }
        if self.format.open_metrics
            && let Some(exemplar) = exemplar
        {
            self.out.push_str(exemplar);
        }
        self.out.push('\n');
    }
}

fn push_seconds(out: &mut String, ms: u64) {
    push_u64(out, ms / 1000);
    let _ = write!(out, ".{:03}", ms % 1000);
}

/// ` # {trace_id="…"} value time`, ready to append; `None` without a value.
pub(super) fn exemplar_text(exemplar: &Exemplar<'_>) -> Option<Box<str>> {
    let value = exemplar.value?.as_f64();
    let mut labels: Vec<(String, String)> = Vec::new();
    for (name, id) in [
        ("trace_id", exemplar.trace_id),
        ("span_id", exemplar.span_id),
    ] {
        if !id.is_empty() {
            let hex = id.iter().fold(String::new(), |mut hex, byte| {
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            labels.push((name.to_owned(), hex));
        }
    }
    let translator = bellwether_otlp::translate::Translator::default();
    let others = translator.attribute_labels(exemplar.filtered_attributes, |_| true, |_| {});
    let mut used: usize = labels.iter().map(|(n, v)| n.len() + v.len()).sum();
    for (name, text) in others {
        let length = name.chars().count() + text.chars().count();
        if used + length <= EXEMPLAR_CHARS_MAX && !labels.iter().any(|(n, _)| *n == name) {
            used += length;
            labels.push((name, text));
        }
    }
    let mut out = String::from(" # {");
    for (index, (name, text)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let _ = write!(out, "{name}=\"");
        push_label_value(&mut out, text);
        out.push('"');
    }
    out.push_str("} ");
    push_f64(&mut out, value);
    let time_ms = exemplar.time_unix_nano / 1_000_000;
    if time_ms > 0 {
        out.push(' ');
        push_seconds(&mut out, time_ms);
    }
    Some(out.into())
}
