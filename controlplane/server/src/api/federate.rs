//! `/federate`: the newest sample of matching series in the text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bellwether_model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name};
use bellwether_model::storage::{Queryable, SampleBuffer, StorageError};
use bellwether_model::{Labels, Matcher, float, is_stale_nan};
use bellwether_tsdb::Db;
use http::{StatusCode, header};

use super::Core;
use super::params::Params;
use crate::http::plain_error;
use crate::state::{Shared, now_ms};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

pub(crate) async fn federate(State(state): Shared, core: Core, params: Params) -> Response {
    let selectors = match params.selectors() {
        Ok(selectors) => selectors,
        Err(message) => return plain_error(StatusCode::BAD_REQUEST, &message),
    };
    let external = state.config.load().config.external_labels.clone();
    let (db, now, lookback) = (Arc::clone(&core.db), now_ms(), core.queries.lookback_ms());
    let text =
        tokio::task::spawn_blocking(move || page(&db, &selectors, now, lookback, &external)).await;
    match text {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
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
            let _ = writeln!(out, "# TYPE {} untyped", legacy(name));
        }
        push_line(&mut out, name, labels, external, t, value);
    }
    Ok(out)
}

fn push_line(out: &mut String, name: &str, labels: &Labels, external: &Labels, t: i64, value: f64) {
    out.push_str(&legacy(name));
    out.push('{');
    let mut first = true;
    let mut push = |out: &mut String, name: &str, value: &str| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        out.push_str(&legacy_label(name));
        out.push_str("=\"");
        for c in value.chars() {
            match c {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                c => out.push(c),
            }
        }
        out.push('"');
    };
    for label in labels.iter().filter(|l| l.name != METRIC_NAME) {
        push(out, label.name, label.value);
    }
    // A series without an instance must not get the scraping server's.
    if labels.get("instance").is_none() && external.get("instance").is_none() {
        push(out, "instance", "");
    }
    for label in external.iter().filter(|l| labels.get(l.name).is_none()) {
        push(out, label.name, label.value);
    }
    out.push_str("} ");
    float::push_json(out, value);
    let _ = writeln!(out, " {t}");
}

fn legacy(name: &str) -> String {
    if is_legacy_metric_name(name) {
        name.to_owned()
    } else {
        escape(name, true)
    }
}

fn legacy_label(name: &str) -> String {
    if is_legacy_label_name(name) {
        name.to_owned()
    } else {
        escape(name, false)
    }
}

/// Replaces what the legacy character set lacks by underscores.
fn escape(name: &str, colon: bool) -> String {
    name.chars()
        .enumerate()
        .map(|(i, c)| {
            let fine = c.is_ascii_alphabetic()
                || c == '_'
                || (colon && c == ':')
                || (i > 0 && c.is_ascii_digit());
            if fine { c } else { '_' }
        })
        .collect()
}
