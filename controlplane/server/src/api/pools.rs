//! `/scrape_pools/config` and `/targets/relabel_steps`: how a pool is configured, and what its rules make of labels.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use bellwether_model::{Labels, LabelsBuilder};
use bellwether_scrape::ScrapeConfig;
use bellwether_scrape::relabel::{RelabelConfig, Rules};
use serde::Serialize;
use serde_json::json;

use super::Ready;
use super::error::ApiError;
use super::json as wire;
use super::members::{push_list, push_name};
use super::params::Params;
use crate::config::{Config, to_yaml};
use crate::state::Shared;

/// The configuration of the pool that the parameter `scrapePool` names.
fn pool<'c>(params: &Params, config: &'c Config) -> Result<&'c ScrapeConfig, ApiError> {
    let name = pool_name(params)?;
    let mut pools = config.all_scrape_configs();
    pools.find(|c| c.job_name == name).ok_or_else(|| {
        ApiError::bad_data(format!(
            "error retrieving scrape config: scrape pool {} not found",
            bellwether_model::labels::quote(name)
        ))
    })
}

fn pool_name(params: &Params) -> Result<&str, ApiError> {
    match params.get("scrapePool") {
        "" => Err(ApiError::bad_data("no scrapePool parameter provided")),
        name => Ok(name),
    }
}

pub(crate) async fn config(
    State(state): Shared,
    _: Ready,
    params: Params,
) -> Result<Response, ApiError> {
    let shown = state.config.load().config.with_defaults(&state.features);
    let config = pool(&params, &shown)?;
    let yaml = to_yaml(config)
        .map_err(|e| ApiError::internal(format!("error marshaling scrape config: {e}")))?;
    Ok(wire::success_value(&json!({ "yaml": yaml })))
}

/// A rule as Prometheus writes it in JSON.
#[derive(Serialize)]
struct RuleJson<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    source_labels: &'a [String],
    separator: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    regex: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    modulus: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    target_label: &'a str,
    replacement: &'a str,
    action: &'static str,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl<'a> From<&'a RelabelConfig> for RuleJson<'a> {
    fn from(config: &'a RelabelConfig) -> Self {
        Self {
            source_labels: config.source_labels.as_deref().unwrap_or_default(),
            separator: config.separator.as_deref().unwrap_or(";"),
            regex: config.regex.as_deref().unwrap_or("(.*)"),
            modulus: config.modulus,
            target_label: &config.target_label,
            replacement: config.replacement.as_deref().unwrap_or("$1"),
            action: config.action.as_str(),
        }
    }
}

pub(crate) async fn relabel_steps(
    State(state): Shared,
    _: Ready,
    params: Params,
) -> Result<Response, ApiError> {
    pool_name(&params)?;
    let text = params.get("labels");
    if text.is_empty() {
        return Err(ApiError::bad_data("no labels parameter provided"));
    }
    let given: BTreeMap<String, String> = serde_json::from_str(text)
        .map_err(|e| ApiError::bad_data(format!("error parsing labels: {e}")))?;
    let running = state.config.load();
    let rules = &pool(&params, &running.config)?.relabel_configs;
    let mut labels = LabelsBuilder::default();
    for (name, value) in &given {
        labels.set(name, value);
    }
    let mut keep = true;
    let mut steps = Vec::with_capacity(rules.len());
    for rule in rules {
        if keep {
            keep = Rules::new(std::slice::from_ref(rule))
                .map_err(ApiError::internal)?
                .apply(&mut labels);
        }
        let output = if keep {
            labels.build()
        } else {
            Labels::empty()
        };
        let rule = serde_json::to_string(&RuleJson::from(rule)).map_err(ApiError::internal)?;
        steps.push((rule, output, keep));
    }
    Ok(wire::success(&[], |out| {
        out.push_str("{\"steps\":");
        push_list(out, &steps, |out, (rule, output, keep)| {
            out.push_str("{\"rule\":");
            out.push_str(rule);
            push_name(out, "output");
            wire::push_labels(out, output);
            push_name(out, "keep");
            out.push_str(if *keep { "true}" } else { "false}" });
        });
        out.push('}');
    }))
}
