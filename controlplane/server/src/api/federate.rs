//! `/federate`: the newest sample of matching series in the text format.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_exposition::{Format, push_sample_name, push_type};
use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{Queryable, SampleBuffer, StorageError};
use bellwether_model::{Labels, Matcher, MetricType, float, is_stale_nan};
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
    let selectors = match params.selectors() {
        Ok(selectors) => selectors,
        Err(message) => return plain_error(StatusCode::BAD_REQUEST, &message),
    };
    let external = state.config.load().config.external_labels.clone();
    let (db, now, lookback) = (Arc::clone(&core.db), now_ms(), core.queries.lookback_ms());
    let accept = headers.get_all(header::ACCEPT).iter();
    let accept: Vec<&str> = accept.filter_map(|v| v.to_str().ok()).collect();
    let escaping = Escaping::negotiate(&accept.join(","));
    let text = tokio::task::spawn_blocking(move || {
        page(&db, &selectors, now, lookback, &external, escaping)
    })
    .await;
    let content_type = format!(
        "text/plain; version=0.0.4; charset=utf-8; escaping={}",
        escaping.as_str()
    );
    match text {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Ok(Err(error)) => plain_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => plain_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn page(
    db: &Db,
    selectors: &[Vec<Matcher>],
    now: i64,
    lookback: i64,
    external: &Labels,
    escaping: Escaping,
) -> Result<String, StorageError> {
    let mint = now - lookback + 1;
    let querier = db.querier(mint, now)?;
    let mut newest: BTreeMap<Labels, (i64, f64)> = BTreeMap::new();
    let mut buffer = SampleBuffer::default();
    for matchers in selectors {
        for series in querier.select(false, matchers)? {
            buffer.clear();
            series.read(mint, now, &mut buffer)?;
            let Some(last) = buffer.len().checked_sub(1) else {
                continue;
            };
            // Native histograms need the protobuf format, which this page does not speak.
            let value = buffer.values[last];
            if buffer.histogram(last).is_none() && !is_stale_nan(value) {
                newest.insert(series.labels().clone(), (buffer.timestamps[last], value));
            }
        }
    }
    let mut by_name: Vec<(&Labels, (i64, f64))> = newest.iter().map(|(l, s)| (l, *s)).collect();
    by_name.sort_by(|a, b| {
        a.0.value(METRIC_NAME)
            .cmp(b.0.value(METRIC_NAME))
            .then_with(|| a.0.cmp(b.0))
    });
    let mut out = String::new();
    let mut current = None;
    for (labels, (t, value)) in by_name {
        let Some(name) = labels.metric_name() else {
            continue;
        };
        if current != Some(name) {
            current = Some(name);
            // As in Prometheus: types of scraped families are not kept with the series.
            push_type(
                &mut out,
                Format::Text,
                &escaping.name(name),
                MetricType::Unknown,
            );
        }
        push_line(&mut out, name, labels, external, escaping, t, value);
    }
    Ok(out)
}

fn push_line(
    out: &mut String,
    name: &str,
    labels: &Labels,
    external: &Labels,
    escaping: Escaping,
    t: i64,
    value: f64,
) {
    let own = labels.iter().filter(|l| l.name != METRIC_NAME);
    let mut added: Vec<(&str, &str)> = external.iter().map(|l| (l.name, l.value)).collect();
    // A series without an instance must not get the scraping server's.
    if external.get(INSTANCE).is_none() {
        added.push((INSTANCE, ""));
        added.sort_unstable();
    }
    let added = added.into_iter().filter(|(n, _)| labels.get(n).is_none());
    let pairs: Vec<(Cow<'_, str>, &str)> = own
        .map(|l| (l.name, l.value))
        .chain(added)
        .map(|(name, value)| (escaping.label(name), value))
        .collect();
    let pairs = pairs.iter().map(|(name, value)| (&**name, *value));
    push_sample_name(out, &escaping.name(name), pairs);
    out.push(' ');
    float::push_json(out, value);
    let _ = writeln!(out, " {t}");
}
