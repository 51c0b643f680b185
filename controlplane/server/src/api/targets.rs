//! `/targets`, `/scrape_pools`, `/metadata`, `/targets/metadata`: what the scraper knows.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use bellwether_model::Labels;
use bellwether_promql::parse_metric_selector;
use bellwether_scrape::{ActiveTarget, DroppedTarget, MetricMetadata};
use serde::Serialize;

use super::Ready;
use super::error::ApiError;
use super::json;
use super::members::{push_list, push_name, push_text};
use super::params::{Params, go_atoi};
use crate::state::{Shared, rfc3339};

pub(crate) async fn targets(
    State(_): Shared,
    core: Ready,
    params: Params,
) -> Result<Response, ApiError> {
    let snapshot = core.scrape.targets();
    let state = params.get("state").to_ascii_lowercase();
    let pool = params.get("scrapePool");
    let wanted = |name: &str| pool.is_empty() || name == pool;
    let (show_active, show_dropped) = match state.as_str() {
        "" | "any" => (true, true),
        "active" => (true, false),
        "dropped" => (false, true),
        _ => (false, false),
    };
    Ok(json::success(&[], |out| {
        out.push_str("{\"activeTargets\":");
        let active = snapshot
            .active
            .iter()
            .filter(|t| show_active && wanted(&t.scrape_pool));
        push_list(out, active, push_active);
        push_name(out, "droppedTargets");
        let dropped = snapshot
            .dropped
            .iter()
            .filter(|t| show_dropped && wanted(&t.scrape_pool));
        push_list(out, dropped, push_dropped);
        push_name(out, "droppedTargetCounts");
        if show_dropped {
            let counts: BTreeMap<&str, usize> = snapshot
                .pools
                .iter()
                .map(|pool| {
                    (
                        pool.as_str(),
                        snapshot.dropped_counts.get(pool).copied().unwrap_or(0),
                    )
                })
                .collect();
            out.push_str(&serde_json::to_string(&counts).unwrap_or_default());
        } else {
            out.push_str("null");
        }
        out.push('}');
    }))
}

fn push_active(out: &mut String, target: &ActiveTarget) {
    let duration = |d: std::time::Duration| bellwether_model::duration::format(d);
    out.push_str("{\"discoveredLabels\":");
    json::push_labels(out, &target.discovered_labels);
    out.push_str(",\"labels\":");
    json::push_labels(out, &target.labels);
    let texts = [
        ("scrapePool", target.scrape_pool.as_str()),
        ("scrapeUrl", &target.scrape_url),
        ("globalUrl", &target.global_url),
        ("lastError", &target.last_error),
        // Go's zero time before the first scrape.
        (
            "lastScrape",
            &target
                .last_scrape_ms
                .map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), rfc3339),
        ),
    ];
    for (key, text) in texts {
        push_text(out, key, text);
    }
    out.push_str(",\"lastScrapeDuration\":");
    out.push_str(&target.last_scrape_duration.as_secs_f64().to_string());
    push_text(out, "health", target.health.as_str());
    push_text(out, "scrapeInterval", &duration(target.scrape_interval));
    push_text(out, "scrapeTimeout", &duration(target.scrape_timeout));
    out.push('}');
}

fn push_dropped(out: &mut String, target: &DroppedTarget) {
    out.push_str("{\"discoveredLabels\":");
    json::push_labels(out, &target.discovered_labels);
    push_text(out, "scrapePool", &target.scrape_pool);
    out.push('}');
}

pub(crate) async fn pools(State(_): Shared, core: Ready) -> Response {
    json::success_value(&serde_json::json!({ "scrapePools": core.scrape.targets().pools }))
}

/// A `limit` of the metadata endpoints: `None` when missing or negative.
fn metadata_limit(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    match params.get(name) {
        "" => Ok(None),
        text => {
            let n = go_atoi(text)
                .map_err(|_| ApiError::bad_data(format!("{name} must be a number")))?;
            Ok(usize::try_from(n).ok())
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct MetadataJson {
    #[serde(rename = "type")]
    kind: &'static str,
    unit: String,
    help: String,
}

impl From<&MetricMetadata> for MetadataJson {
    fn from(m: &MetricMetadata) -> Self {
        Self {
            kind: m.kind.as_str(),
            unit: m.unit.clone(),
            help: m.help.clone(),
        }
    }
}

pub(crate) async fn metadata(
    State(_): Shared,
    core: Ready,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = metadata_limit(&params, "limit")?;
    // Here zero means no limit, unlike for `limit` (measured on 3.5.3).
    let per_metric = metadata_limit(&params, "limit_per_metric")?.filter(|n| *n > 0);
    let metric = params.get("metric");
    let mut families: BTreeMap<String, BTreeSet<MetadataJson>> = BTreeMap::new();
    let wanted = |name: &str| metric.is_empty() || name == metric;
    for target in core.scrape.metadata() {
        for family in target.metrics.iter().filter(|f| wanted(&f.metric)) {
            let entries = families.entry(family.metric.clone()).or_default();
            if per_metric.is_none_or(|n| entries.len() < n) {
                entries.insert(family.into());
            }
        }
    }
    let shown: BTreeMap<_, _> = families
        .into_iter()
        .take(limit.unwrap_or(usize::MAX))
        .collect();
    Ok(json::success_value(&shown))
}

#[derive(Serialize)]
struct TargetMetadataJson {
    target: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    metric: String,
    #[serde(rename = "type")]
    kind: &'static str,
    help: String,
    unit: String,
}

pub(crate) async fn targets_metadata(
    State(_): Shared,
    core: Ready,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = metadata_limit(&params, "limit")?;
    let matchers = match params.get("match_target") {
        "" => Vec::new(),
        text => parse_metric_selector(text).map_err(|e| ApiError::parameter("match_target", e))?,
    };
    let metric = params.get("metric");
    let matches = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.value(&m.name)));
    let mut found = Vec::new();
    for target in core.scrape.metadata().iter().filter(|t| matches(&t.target)) {
        let labels: BTreeMap<String, String> = target
            .target
            .iter()
            .map(|l| (l.name.to_owned(), l.value.to_owned()))
            .collect();
        for family in target
            .metrics
            .iter()
            .filter(|f| metric.is_empty() || f.metric == metric)
        {
            found.push(TargetMetadataJson {
                target: labels.clone(),
                // Asked for by name, the name is not repeated.
                metric: if metric.is_empty() {
                    family.metric.clone()
                } else {
                    String::new()
                },
                kind: family.kind.as_str(),
                help: family.help.clone(),
                unit: family.unit.clone(),
            });
        }
    }
    found.truncate(limit.unwrap_or(usize::MAX));
    Ok(json::success_value(&found))
}
