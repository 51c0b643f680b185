//! Custom-bucket histograms out of classic ones (`load_with_nhcb`).

use std::collections::BTreeMap;

use bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA;
use bellwether_model::labels::{BUCKET_LABEL, METRIC_NAME};
use bellwether_model::{FloatHistogram, Labels, Span, float, is_stale_nan};

use super::script::LoadSeries;
use super::values::SequenceValue;

/// A classic histogram at one time.
#[derive(Default)]
struct Parts {
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// The native histograms of all classic ones among the series, by value index.
pub(super) fn convert(series: &[LoadSeries]) -> BTreeMap<Labels, BTreeMap<usize, FloatHistogram>> {
    let mut all: BTreeMap<Labels, BTreeMap<usize, Parts>> = BTreeMap::new();
    for LoadSeries { labels, values, .. } in series {
        let name = labels.metric_name().unwrap_or("");
        let Some((base, kind)) = ["_bucket", "_count", "_sum"]
            .into_iter()
            .find_map(|suffix| name.strip_suffix(suffix).map(|base| (base, suffix)))
        else {
            continue;
        };
        let bound = float::parse(labels.value(BUCKET_LABEL));
        if kind == "_bucket" && bound.as_ref().map_or(true, |b| b.is_nan()) {
            continue;
        }
        let mut builder = labels.to_builder();
        builder.set(METRIC_NAME, base).remove(BUCKET_LABEL);
        let at = all.entry(builder.build()).or_default();
        for (i, value) in values.iter().enumerate() {
            let SequenceValue::Float(v) = value else {
                continue;
            };
            if is_stale_nan(*v) {
                continue;
            }
            let parts = at.entry(i).or_default();
            match (kind, &bound) {
                ("_bucket", Ok(bound)) => {
                    // Of equal bounds ("1" and "1.0") the first counts.
                    if parts.buckets.iter().all(|b| b.0 != *bound) {
                        parts.buckets.push((*bound, *v));
                    }
                }
                ("_count", _) => parts.count = Some(*v),
                _ => parts.sum = *v,
            }
        }
    }
    all.into_iter()
        .map(|(labels, times)| {
            (
                labels,
                times.into_iter().map(|(i, p)| (i, p.build())).collect(),
            )
        })
        .collect()
}

impl Parts {
    fn build(mut self) -> FloatHistogram {
        self.buckets
            .sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        let highest = self.buckets.last().map_or(0.0, |b| b.1);
        let count = self.count.unwrap_or(highest);
        if self.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        let mut previous = 0.0;
        let counts: Vec<f64> = self
            .buckets
            .iter()
            .map(|(_, v)| v - std::mem::replace(&mut previous, *v))
            .collect();
        let mut h = FloatHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count,
            sum: self.sum,
            custom_values: self
                .buckets
                .iter()
                .map(|b| b.0)
                .filter(|b| b.is_finite())
                .collect(),
            positive_spans: vec![Span {
                offset: 0,
                length: u32::try_from(counts.len()).unwrap_or(u32::MAX),
            }],
            positive_buckets: counts,
            ..FloatHistogram::default()
        };
        h.compact();
        h
    }
}
