//! `/rules`, `/alerts`, `/alertmanagers`.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bellwether_model::labels::quote;
use bellwether_model::{Labels, Matcher, float};
use hashbrown::HashSet;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Core;
use super::error::ApiError;
use super::json;
use super::members::{push_list, push_name, push_text};
use super::params::{Params, go_parse_bool, go_parse_int};
use crate::rules::{Alert, Rule, RuleGroup};
use crate::state::Shared;

pub(crate) async fn alertmanagers(State(state): Shared, _: Core) -> Response {
    let found = state.rules.alertmanagers();
    json::success(&[], |out| {
        out.push_str("{\"activeAlertmanagers\":");
        push_urls(out, &found.active);
        push_name(out, "droppedAlertmanagers");
        push_urls(out, &found.dropped);
        out.push('}');
    })
}

fn push_urls(out: &mut String, urls: &[String]) {
    push_list(out, urls, |out, url| {
        out.push_str("{\"url\":");
        json::push_str(out, url);
        out.push('}');
    });
}

pub(crate) async fn alerts(State(state): Shared, _: Core) -> Response {
    let groups = state.rules.groups();
    let rules = groups.iter().flat_map(|g| &g.rules);
    let alerts = rules
        .filter_map(|r| r.alerting.as_ref())
        .flat_map(|a| &a.alerts);
    json::success(&[], |out| {
        out.push_str("{\"alerts\":");
        push_list(out, alerts, push_alert);
        out.push('}');
    })
}

pub(crate) async fn rules(
    State(state): Shared,
    _: Core,
    params: Params,
) -> Result<Response, ApiError> {
    let filter = Filter::read(&params)?;
    let page = Page::read(&params)?;
    let groups = state.rules.groups();
    let mut shown: Vec<(&RuleGroup, Vec<&Rule>)> = Vec::new();
    let mut next = None;
    let mut found = page.token.is_empty();
    for group in &groups {
        found = found || page.token == token(group);
        if !found || !filter.takes_group(group) {
            continue;
        }
        let rules: Vec<&Rule> = group.rules.iter().filter(|r| filter.takes(r)).collect();
        if rules.is_empty() {
            continue;
        }
        if shown.len() == page.groups_max {
            next = Some(token(group));
            break;
        }
        shown.push((group, rules));
    }
    if !found {
        return Err(ApiError::parameter(
            "group_next_token",
            format!(
                "invalid group_next_token '{}'. were rule groups changed?",
                page.token
            ),
        ));
    }
    Ok(json::success(&[], |out| {
        out.push_str("{\"groups\":");
        push_list(out, &shown, |out, (group, rules)| {
            push_group(out, group, rules, filter.without_alerts);
        });
        if let Some(next) = &next {
            push_text(out, "groupNextToken", next);
        }
        out.push('}');
    }))
}

/// Which rules are wanted.
struct Filter<'a> {
    names: HashSet<&'a str>,
    groups: HashSet<&'a str>,
    files: HashSet<&'a str>,
    /// A rule must match one of them, if there are any.
    selectors: Vec<Vec<Matcher>>,
    alerting: bool,
    recording: bool,
    without_alerts: bool,
}

impl<'a> Filter<'a> {
    fn read(params: &'a Params) -> Result<Self, ApiError> {
        let selectors = params.selectors().map_err(ApiError::bad_data)?;
        let kind = params.get("type").to_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            return Err(ApiError::parameter(
                "type",
                format!("not supported value {}", quote(&kind)),
            ));
        }
        let without_alerts = match params.get("exclude_alerts").to_lowercase().as_str() {
            "" => false,
            text => go_parse_bool(text).map_err(|e| {
                ApiError::parameter(
                    "exclude_alerts",
                    format!("error converting exclude_alerts: {e}"),
                )
            })?,
        };
        Ok(Self {
            names: params.all("rule_name[]").collect(),
            groups: params.all("rule_group[]").collect(),
            files: params.all("file[]").collect(),
            selectors,
            alerting: kind != "record",
            recording: kind != "alert",
            without_alerts,
        })
    }

    fn takes_group(&self, group: &RuleGroup) -> bool {
        (self.groups.is_empty() || self.groups.contains(group.name.as_str()))
            && (self.files.is_empty() || self.files.contains(group.file.as_str()))
    }

    fn takes(&self, rule: &Rule) -> bool {
        let kind = if rule.alerting.is_some() {
            self.alerting
        } else {
            self.recording
        };
        let matches =
            |all: &Vec<Matcher>| all.iter().all(|m| m.matches(rule.labels.value(&m.name)));
        kind && (self.names.is_empty() || self.names.contains(rule.name.as_str()))
            && (self.selectors.is_empty() || self.selectors.iter().any(matches))
    }
}

/// Where a page begins and how long it is.
struct Page<'a> {
    /// [`token`] of its first group; empty for the first page.
    token: &'a str,
    groups_max: usize,
}

impl<'a> Page<'a> {
    fn read(params: &'a Params) -> Result<Self, ApiError> {
        let (limit, token) = (params.get("group_limit"), params.get("group_next_token"));
        if limit.is_empty() {
            if !token.is_empty() {
                return Err(ApiError::parameter(
                    "group_next_token",
                    "group_limit needs to be present in order to paginate over the groups",
                ));
            }
            return Ok(Self {
                token,
                groups_max: usize::MAX,
            });
        }
        let groups_max = go_parse_int::<i32>(limit).map_err(|e| {
            ApiError::parameter(
                "group_limit",
                format!("group_limit needs to be a valid number: {e}"),
            )
        })?;
        match usize::try_from(groups_max) {
            Ok(groups_max) if groups_max > 0 => Ok(Self { token, groups_max }),
            _ => Err(ApiError::parameter(
                "group_limit",
                "group_limit needs to be greater than 0",
            )),
        }
    }
}

/// Names a group for `group_next_token`: Prometheus' own form, SHA-256 of file and name.
fn token(group: &RuleGroup) -> String {
    let digest = Sha256::digest(format!("{};{}", group.file, group.name));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn push_group(out: &mut String, group: &RuleGroup, rules: &[&Rule], without_alerts: bool) {
    out.push_str("{\"name\":");
    json::push_str(out, &group.name);
    push_text(out, "file", &group.file);
    push_name(out, "rules");
    push_list(out, rules, |out, rule| push_rule(out, rule, without_alerts));
    push_seconds(out, "interval", group.interval);
    push_name(out, "limit");
    out.push_str(&group.limit.to_string());
    push_seconds(out, "evaluationTime", group.evaluation_time);
    push_text(out, "lastEvaluation", &time_text(group.last_evaluation));
    out.push('}');
}

fn push_rule(out: &mut String, rule: &Rule, without_alerts: bool) {
    match &rule.alerting {
        Some(alerting) => {
            out.push_str("{\"state\":");
            json::push_str(out, rule.state());
            push_text(out, "name", &rule.name);
            push_text(out, "query", &rule.query);
            push_seconds(out, "duration", alerting.hold);
            push_seconds(out, "keepFiringFor", alerting.keep_firing_for);
            push_label_set(out, "labels", &rule.labels);
            push_label_set(out, "annotations", &alerting.annotations);
            push_name(out, "alerts");
            if without_alerts {
                out.push_str("null");
            } else {
                push_list(out, &alerting.alerts, push_alert);
            }
        }
        None => {
            out.push_str("{\"name\":");
            json::push_str(out, &rule.name);
            push_text(out, "query", &rule.query);
            push_label_set(out, "labels", &rule.labels);
        }
    }
    push_text(out, "health", rule.health.as_str());
    if !rule.last_error.is_empty() {
        push_text(out, "lastError", &rule.last_error);
    }
    push_seconds(out, "evaluationTime", rule.evaluation_time);
    push_text(out, "lastEvaluation", &time_text(rule.last_evaluation));
    let kind = if rule.alerting.is_some() {
        "alerting"
    } else {
        "recording"
    };
    push_text(out, "type", kind);
    out.push('}');
}

fn push_alert(out: &mut String, alert: &Alert) {
    out.push_str("{\"labels\":");
    json::push_labels(out, &alert.labels);
    push_label_set(out, "annotations", &alert.annotations);
    push_text(out, "state", alert.state.as_str());
    push_text(out, "activeAt", &alert.active_at.to_string());
    if let Some(since) = alert.keep_firing_since {
        push_text(out, "keepFiringSince", &since.to_string());
    }
    push_text(out, "value", &float::exponent(alert.value));
    out.push('}');
}

fn push_label_set(out: &mut String, name: &str, labels: &Labels) {
    push_name(out, name);
    json::push_labels(out, labels);
}

fn push_seconds(out: &mut String, name: &str, duration: Duration) {
    push_name(out, name);
    float::push_json(out, duration.as_secs_f64());
}

/// Go's zero time where there is none.
fn time_text(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |t| t.to_string())
}
