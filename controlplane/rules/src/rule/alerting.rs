//! Alerting rules.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::{Labels, Matcher};
use bellwether_promql::{Point, VectorSample};
use bellwether_template::Value;
use parking_lot::Mutex;

use super::alert::{Alert, AlertState, Ended};
use super::{
    ALERT_NAME, ALERT_STATE, ALERTS, ALERTS_FOR_STATE, EvalContext, Rule, RuleError,
    RuleSurroundings,
};
use crate::expand::{AlertTemplate, Surroundings, alert_data};
use crate::file::RuleSpec;
use crate::time::Time;

/// What an alerting rule has besides.
#[derive(Debug)]
pub(crate) struct Alerting {
    pub(crate) hold: Duration,
    pub(crate) keep_firing_for: Duration,
    /// As written.
    pub(crate) annotations: BTreeMap<String, String>,
    label_templates: Vec<(String, AlertTemplate)>,
    annotation_templates: Vec<(String, AlertTemplate)>,
    external_labels: BTreeMap<String, String>,
    external_url: Arc<str>,
    /// Whether the state of an earlier process was taken over; before that nothing is written over it.
    restored: AtomicBool,
    /// Pending, firing and resolved ones.
    active: Mutex<HashMap<Labels, Alert>>,
}

impl Alerting {
    pub(super) fn new(
        spec: &RuleSpec,
        labels: &BTreeMap<String, String>,
        around: RuleSurroundings<'_>,
    ) -> Result<Self, String> {
        let parse = |texts: &BTreeMap<String, String>| {
            let parse = |(name, text): (&String, &String)| {
                let template = AlertTemplate::parse(&spec.alert, text);
                Ok((name.clone(), template.map_err(|e| e.to_string())?))
            };
            texts.iter().map(parse).collect::<Result<Vec<_>, String>>()
        };
        let external = around.external_labels.iter();
        Ok(Self {
            hold: spec.hold,
            keep_firing_for: spec.keep_firing_for,
            annotations: spec.annotations.clone(),
            label_templates: parse(labels)?,
            annotation_templates: parse(&spec.annotations)?,
            external_labels: external
                .map(|l| (l.name.to_owned(), l.value.to_owned()))
                .collect(),
            external_url: Arc::from(around.external_url),
            restored: AtomicBool::new(!around.restore),
            active: Mutex::default(),
        })
    }

    pub(super) fn definition(&self) -> String {
        format!(
            "alert {:?} {:?} {:?}",
            self.hold, self.keep_firing_for, self.annotations
        )
    }

    pub(crate) fn set_restored(&self) {
        self.restored.store(true, Ordering::Release);
    }

    /// Copies of the alerts that are not resolved, sorted by labels.
    pub(crate) fn active_alerts(&self) -> Vec<Alert> {
        let active = self.active.lock();
        let mut alerts: Vec<Alert> = active
            .values()
            .filter(|a| a.resolved_at.is_none())
            .cloned()
            .collect();
        alerts.sort_by(|a, b| a.labels.cmp(&b.labels));
        alerts
    }

    /// Takes over the alerts of the rule that this one replaces.
    pub(crate) fn copy_alerts(&self, from: &Self) {
        let alerts = from.active.lock().clone();
        self.active.lock().extend(alerts);
    }

    /// Calls `change` for each alert.
    pub(crate) fn for_each_alert(&self, mut change: impl FnMut(&mut Alert)) {
        self.active.lock().values_mut().for_each(&mut change);
    }

    /// The alerts that the notifier has to hear of; they count as sent.
    pub(crate) fn take_due(
        &self,
        at: Time,
        resend_delay: Duration,
        interval: Duration,
    ) -> Vec<Alert> {
        let mut due = Vec::new();
        self.for_each_alert(|alert| {
            if alert.needs_sending(at, resend_delay) {
                alert.last_sent_at = Some(at);
                // Two evaluations or notifications may fail before the receiver takes it for resolved.
                alert.valid_until = Some(at.after(4 * interval.max(resend_delay)));
                due.push(alert.clone());
            }
        });
        due.sort_by(|a, b| a.labels.cmp(&b.labels));
        due
    }

    fn expand_all(
        templates: &[(String, AlertTemplate)],
        expand: &dyn Fn(&AlertTemplate) -> String,
    ) -> BTreeMap<String, String> {
        let expanded = templates.iter().map(|(name, t)| (name.clone(), expand(t)));
        expanded.collect()
    }
}

impl Rule {
    pub(super) fn alert(
        &self,
        alerting: &Alerting,
        at: Time,
        context: EvalContext<'_>,
    ) -> Result<Vec<VectorSample>, RuleError> {
        let stored_at = at.before(context.query_offset);
        let result = context.query(&self.expr, &self.query, stored_at.millis())?;
        let found = self.found_alerts(alerting, &result, at, context)?;
        let mut active = alerting.active.lock();
        let present: HashSet<Labels> = found.iter().map(|a| a.labels.clone()).collect();
        for alert in found {
            match active.get_mut(&alert.labels) {
                Some(known) if known.state != AlertState::Inactive => {
                    known.value = alert.value;
                    known.annotations = alert.annotations;
                }
                _ => {
                    active.insert(alert.labels.clone(), alert);
                }
            }
        }
        let writes = alerting.restored.load(Ordering::Acquire);
        let mut count = 0;
        let mut out = Vec::new();
        active.retain(|labels, alert| {
            if present.contains(labels) {
                alert.hold(at, alerting.hold);
            } else {
                match alert.end(at, alerting.hold, alerting.keep_firing_for) {
                    Ended::Keeps => {}
                    Ended::Resolved => return true,
                    Ended::Gone => return false,
                }
            }
            count += 1;
            if writes {
                out.push(self.state_sample(alert, stored_at));
                out.push(self.for_state_sample(alert, stored_at));
            }
            true
        });
        if context.limit > 0 && count > usize::try_from(context.limit).unwrap_or(usize::MAX) {
            active.clear();
            return Err(RuleError::Limit {
                limit: context.limit,
                count,
                what: "alerts",
            });
        }
        Ok(out)
    }

    /// What the result says, as new alerts.
    fn found_alerts(
        &self,
        alerting: &Alerting,
        result: &[VectorSample],
        at: Time,
        context: EvalContext<'_>,
    ) -> Result<Vec<Alert>, RuleError> {
        let query = |text: &str, at_ms: i64| {
            let run = || {
                let expr = context.queries.parse(text)?;
                context.query(&expr, text, at_ms)
            };
            run().map_err(|e: crate::query::EvalError| e.to_string())
        };
        let around = Surroundings {
            now_ms: at.millis(),
            query: &query,
            external_url: context.external_url,
        };
        let mut seen = HashSet::with_capacity(result.len());
        let mut found = Vec::with_capacity(result.len());
        for sample in result {
            let data = alert_data(sample, &alerting.external_labels, &alerting.external_url);
            let expand = |template: &AlertTemplate| self.expand(template, &data, around, context);
            let mut labels = sample.labels.to_builder();
            labels.remove(METRIC_NAME);
            for (name, value) in Alerting::expand_all(&alerting.label_templates, &expand) {
                labels.set(&name, &value);
            }
            labels.set(ALERT_NAME, &self.name);
            let labels = labels.build();
            let annotations = Alerting::expand_all(&alerting.annotation_templates, &expand);
            if !seen.insert(labels.clone()) {
                return Err(RuleError::SameLabels("alert"));
            }
            let value = match sample.point {
                Point::Float(v) => v,
                Point::Histogram(_) => 0.0,
            };
            found.push(Alert::new(labels, annotations, value, at));
        }
        Ok(found)
    }

    /// An expanded label or annotation; a mistake becomes its text.
    fn expand(
        &self,
        template: &AlertTemplate,
        data: &Value,
        around: Surroundings<'_>,
        context: EvalContext<'_>,
    ) -> String {
        context.template_metrics.expansions.inc();
        template.expand(data, around).unwrap_or_else(|error| {
            context.template_metrics.failures.inc();
            tracing::warn!(alert = self.name, %error, "Expanding alert template failed");
            format!("<error expanding template: {error}>")
        })
    }

    fn state_sample(&self, alert: &Alert, at: Time) -> VectorSample {
        self.sample(Some(alert), ALERTS, at, 1.0, alert.state.as_str())
    }

    fn for_state_sample(&self, alert: &Alert, at: Time) -> VectorSample {
        let since = alert.active_at.seconds() as f64;
        self.sample(Some(alert), ALERTS_FOR_STATE, at, since, "")
    }

    /// A sample with the rule's labels, over them the alert's, and the name of the alert.
    fn sample(
        &self,
        alert: Option<&Alert>,
        metric: &str,
        at: Time,
        v: f64,
        state: &str,
    ) -> VectorSample {
        let mut labels = bellwether_model::LabelsBuilder::default();
        for (name, value) in &self.labels {
            labels.set(name, value);
        }
        for label in alert.iter().flat_map(|a| &a.labels) {
            labels.set(label.name, label.value);
        }
        labels.set(METRIC_NAME, metric);
        labels.set(ALERT_NAME, &self.name);
        if !state.is_empty() {
            labels.set(ALERT_STATE, state);
        }
        VectorSample {
            labels: labels.build(),
            t: at.millis(),
            point: Point::Float(v),
        }
    }

    /// What selects the series of this rule's `ALERTS_FOR_STATE`. Labels that are templates differ from alert to
    /// alert and do not take part.
    pub(crate) fn for_state_matchers(&self) -> Vec<Matcher> {
        let pattern = self.sample(None, ALERTS_FOR_STATE, Time::default(), 0.0, "");
        let labels = pattern.labels.iter().filter(|l| !l.value.contains("{{"));
        labels.map(|l| Matcher::equal(l.name, l.value)).collect()
    }
}
