//! An alert on its way to Alertmanagers.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_model::Labels;
use bellwether_scrape::relabel::Rules;
use serde_json::json;

use crate::expand::table_link;
use crate::rule::Alert;
use crate::time::Time;

/// What an Alertmanager is told of an alert.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertMessage {
    /// Its identity.
    pub labels: Labels,
    /// Texts for people.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// Since when it fires.
    pub starts_at: Time,
    /// When it was resolved, or until when it counts as active without further news.
    pub ends_at: Time,
    /// The page that shows its expression.
    pub generator_url: Arc<str>,
}

impl AlertMessage {
    /// The message about an alert of a rule.
    #[must_use]
    pub fn new(alert: &Alert, expr: &str, external_url: &str) -> Self {
        let ends_at = alert.resolved_at.or(alert.valid_until);
        Self {
            labels: alert.labels.clone(),
            annotations: Arc::new(alert.annotations.clone()),
            starts_at: alert.fired_at.unwrap_or_default(),
            ends_at: ends_at.unwrap_or_default(),
            generator_url: Arc::from(format!("{external_url}{}", table_link(expr))),
        }
    }
}

/// Adds labels where an alert has none of that name, and relabels; alerts that the rules drop are gone.
pub(super) fn relabel(
    alerts: &[AlertMessage],
    external_labels: &Labels,
    rules: &Rules,
) -> Vec<AlertMessage> {
    let relabel = |alert: &AlertMessage| {
        let mut labels = alert.labels.to_builder();
        for label in external_labels {
            if labels.value(label.name).is_empty() {
                labels.set(label.name, label.value);
            }
        }
        rules.apply(&mut labels).then(|| AlertMessage {
            labels: labels.build(),
            ..alert.clone()
        })
    };
    alerts.iter().filter_map(relabel).collect()
}

/// The body of a request to `/api/v2/alerts`.
pub(super) fn body(alerts: &[AlertMessage]) -> Vec<u8> {
    let time = |t: Time| t.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let alert = |alert: &AlertMessage| {
        let labels: BTreeMap<&str, &str> = alert.labels.iter().map(|l| (l.name, l.value)).collect();
        json!({
            "annotations": *alert.annotations,
            "endsAt": time(alert.ends_at),
            "startsAt": time(alert.starts_at),
            "generatorURL": *alert.generator_url,
            "labels": labels,
        })
    };
    let alerts: Vec<_> = alerts.iter().map(alert).collect();
    serde_json::Value::from(alerts).to_string().into_bytes()
}
