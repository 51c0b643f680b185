//! The page as text.

use std::borrow::Cow;
use std::fmt::Write;

use bellwether_exposition::{Format, push_sample_name, push_type};
use bellwether_model::{Labels, float};

use super::{Family, Page, Value, classic_buckets};

pub(super) fn write(page: &Page<'_>, families: &[Family<'_>]) -> String {
    let mut out = String::new();
    for family in families {
        let name = page.escaping.name(family.name);
        push_type(&mut out, Format::Text, &name, family.kind);
        for (labels, t, value) in &family.samples {
            match value {
                Value::Float(v) => push_line(&mut out, page, &name, labels, None, (*t, *v)),
                Value::Histogram(h) => {
                    let bucket = format!("{name}_bucket");
                    let mut buckets = classic_buckets(h);
                    buckets.push((f64::INFINITY, h.count));
                    for (bound, count) in buckets {
                        push_line(&mut out, page, &bucket, labels, Some(bound), (*t, count));
                    }
                    let sum = format!("{name}_sum");
                    push_line(&mut out, page, &sum, labels, None, (*t, h.sum));
                    let count = format!("{name}_count");
                    push_line(&mut out, page, &count, labels, None, (*t, h.count));
                }
            }
        }
    }
    out
}

fn push_line(
    out: &mut String,
    page: &Page<'_>,
    name: &str,
    labels: &Labels,
    le: Option<f64>,
    (t, value): (i64, f64),
) {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = page
        .labels(labels)
        .into_iter()
        .map(|(name, value)| (page.escaping.label(name), Cow::Borrowed(value)))
        .collect();
    if let Some(le) = le {
        pairs.push((Cow::Borrowed("le"), Cow::Owned(float::shortest_g(le))));
    }
    push_sample_name(out, name, pairs.iter().map(|(n, v)| (&**n, &**v)));
    out.push(' ');
    float::push_json(out, value);
    let _ = writeln!(out, " {t}");
}
