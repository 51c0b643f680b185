//! `/federate`: the newest sample of matching series, as text or as protobuf.
//!
//! Native histograms exist in protobuf only; those with custom buckets are shown as classic histograms in both.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod` | choosing the samples, grouping them into families |
//! | `text`, `protobuf` | writing the families |

mod protobuf;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_model::histogram::CounterResetHint;
use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{Queryable, SampleBuffer, StorageError};
use bellwether_model::{FloatHistogram, Labels, Matcher, MetricType, is_stale_nan};
use bellwether_promql::parse_metric_selector;
use bellwether_tsdb::Db;
use http::{HeaderMap, StatusCode, header};

use super::Core;
use super::escaping::Escaping;
use super::params::Params;
use crate::http::plain_error;
use crate::state::{Shared, now_ms};

const INSTANCE: &str = "instance";

pub(crate) async fn federate(
    State(state): Shared,
    core: Core,
    headers: HeaderMap,
    params: Params,
) -> Response {
    // Unlike the API, federation takes selectors that match everything.
    let selectors = params.all("match[]").map(parse_metric_selector);
    let selectors: Vec<Vec<Matcher>> = match selectors.collect() {
        Ok(selectors) => selectors,
        Err(error) => return plain_error(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let external = state.config.load().config.external_labels.clone();
    let (db, now, lookback) = (Arc::clone(&core.db), now_ms(), core.queries.lookback_ms());
    let accept = headers.get_all(header::ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|v| v.to_str().ok()).collect();
    let (escaping, protobuf) = Escaping::negotiate(&accept.join(","));
    let page = tokio::task::spawn_blocking(move || {
        let samples = newest(&db, &selectors, now, lookback)?;
        let page = Page {
            external: &external,
            escaping,
        };
        let families = families(&samples, protobuf);
        Ok::<_, StorageError>(if protobuf {
            protobuf::write(&page, &families)
        } else {
            text::write(&page, &families).into_bytes()
        })
    })
    .await;
    let format = if protobuf {
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
    } else {
        "text/plain; version=0.0.4; charset=utf-8"
    };
    let content_type = format!("{format}; escaping={}", escaping.as_str());
    match page {
        Ok(Ok(page)) => ([(header::CONTENT_TYPE, content_type)], page).into_response(),
        Ok(Err(error)) => plain_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => plain_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A sample's value.
#[derive(Clone)]
enum Value {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Value {
    fn is_stale(&self) -> bool {
        match self {
            Self::Float(v) => is_stale_nan(*v),
            Self::Histogram(h) => is_stale_nan(h.sum),
        }
    }

    /// Kinds of a name that stand in families of their own.
    fn kind(&self) -> MetricType {
        match self {
            // As in Prometheus: types of scraped families are not kept with the series.
            Self::Float(_) => MetricType::Unknown,
            Self::Histogram(h) if h.reset_hint == CounterResetHint::Gauge => {
                MetricType::GaugeHistogram
            }
            Self::Histogram(_) => MetricType::Histogram,
        }
    }
}

type Samples = BTreeMap<Labels, (i64, Value)>;

/// Samples of one name and kind that follow each other.
struct Family<'a> {
    name: &'a str,
    kind: MetricType,
    samples: Vec<(&'a Labels, i64, &'a Value)>,
}

/// What all samples of a page have in common.
struct Page<'a> {
    external: &'a Labels,
    escaping: Escaping,
}

impl Page<'_> {
    /// The labels to show besides the name: the series' own, then external ones that it lacks.
    fn labels<'l>(&'l self, own: &'l Labels) -> Vec<(&'l str, &'l str)> {
        let shown = own.iter().filter(|l| l.name != METRIC_NAME);
        let mut added: Vec<(&str, &str)> =
            self.external.iter().map(|l| (l.name, l.value)).collect();
        // A series without an instance must not get the scraping server's.
        if self.external.get(INSTANCE).is_none() {
            added.push((INSTANCE, ""));
            added.sort_unstable();
        }
        let added = added.into_iter().filter(|(n, _)| own.get(n).is_none());
        shown.map(|l| (l.name, l.value)).chain(added).collect()
    }
}

/// The newest sample of each series within the lookback, where it is no stale marker.
fn newest(
    db: &Db,
    selectors: &[Vec<Matcher>],
    now: i64,
    lookback: i64,
) -> Result<Samples, StorageError> {
    let mint = now - lookback + 1;
    let querier = db.querier(mint, now)?;
    let mut newest = Samples::new();
    let mut buffer = SampleBuffer::default();
    for matchers in selectors {
        for series in querier.select(false, matchers)? {
            buffer.clear();
            series.read(mint, now, &mut buffer)?;
            let Some(last) = buffer.len().checked_sub(1) else {
                continue;
            };
            let value = match buffer.histogram(last) {
                Some(h) => Value::Histogram(Arc::clone(h)),
                None => Value::Float(buffer.values[last]),
            };
            if !value.is_stale() {
                newest.insert(series.labels().clone(), (buffer.timestamps[last], value));
            }
        }
    }
    Ok(newest)
}

/// The samples in order of names; a name begins a new family whenever the kind changes.
fn families(samples: &Samples, protobuf: bool) -> Vec<Family<'_>> {
    let native = |value: &Value| matches!(value, Value::Histogram(h) if !h.uses_custom_buckets());
    let mut sorted: Vec<_> = samples
        .iter()
        .filter(|(_, (_, value))| protobuf || !native(value))
        .collect();
    // Stable: within a name, samples stay in order of labels.
    sorted.sort_by(|a, b| a.0.value(METRIC_NAME).cmp(b.0.value(METRIC_NAME)));
    let mut families: Vec<Family<'_>> = Vec::new();
    for (labels, (t, value)) in sorted {
        let Some(name) = labels.metric_name() else {
            continue;
        };
        let kind = value.kind();
        if families
            .last()
            .is_none_or(|f| (f.name, f.kind) != (name, kind))
        {
            families.push(Family {
                name,
                kind,
                samples: Vec::new(),
            });
        }
        if let Some(family) = families.last_mut() {
            family.samples.push((labels, *t, value));
        }
    }
    families
}

/// Cumulative buckets of a histogram with custom bounds, without the infinite one.
fn classic_buckets(h: &FloatHistogram) -> Vec<(f64, f64)> {
    let buckets: Vec<_> = h.positive().collect();
    let mut count = 0.0;
    let mut next = 0;
    h.custom_values
        .iter()
        .map(|bound| {
            while let Some(bucket) = buckets.get(next).filter(|b| b.upper <= *bound) {
                count += bucket.count;
                next += 1;
            }
            (*bound, count)
        })
        .collect()
}
