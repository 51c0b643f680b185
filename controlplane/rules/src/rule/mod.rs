//! One rule: what it is and how its latest evaluation went.

mod alert;
mod alerting;
mod recording;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bellwether_model::Labels;
use bellwether_model::storage::AppendError;
use bellwether_promql::VectorSample;
use bellwether_promql::ast::Expr;
use parking_lot::Mutex;

pub use alert::{Alert, AlertState, RESOLVED_RETENTION};
pub(crate) use alerting::Alerting;
use recording::Recording;

use crate::expand::ExternalUrl;
use crate::file::RuleSpec;
use crate::query::{EvalError, Evaluate, RuleQuery, samples};
use crate::time::Time;

/// The series of active alerts.
pub(crate) const ALERTS: &str = "ALERTS";
/// The series that remember since when alerts are active.
pub(crate) const ALERTS_FOR_STATE: &str = "ALERTS_FOR_STATE";
/// The label that names an alert.
pub(crate) const ALERT_NAME: &str = "alertname";
/// The label of `ALERTS` that says whether it is pending or firing.
pub(crate) const ALERT_STATE: &str = "alertstate";

/// Why a rule's evaluation failed.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The expression.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// Setting the rule's labels made two samples equal.
    #[error("vector contains metrics with the same labelset after applying {0} labels")]
    SameLabels(&'static str),
    /// More than the group's limit.
    #[error("exceeded limit of {limit} with {count} {what}")]
    Limit {
        /// The limit.
        limit: i64,
        /// How many there were.
        count: usize,
        /// `series` or `alerts`.
        what: &'static str,
    },
    /// The storage refused a result.
    #[error("{0}")]
    Append(#[from] AppendError),
}

impl RuleError {
    /// Whether the evaluation was stopped from outside: no failure to report.
    #[must_use]
    pub fn is_canceled(&self) -> bool {
        use bellwether_promql::QueryError;
        matches!(self, Self::Eval(EvalError::Query(QueryError::Canceled(_))))
    }
}

/// Outcome of the latest evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Not evaluated yet.
    #[default]
    Unknown,
    /// It worked.
    Good,
    /// It failed.
    Bad,
}

/// How the latest evaluation went.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Outcome.
    pub health: Health,
    /// Why it failed; empty otherwise.
    pub last_error: String,
    /// How long it took.
    pub evaluation_time: Duration,
    /// When it began; `None` before the first.
    pub last_evaluation: Option<Time>,
}

/// A recording or alerting rule.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Name of the series or the alert.
    pub(crate) name: String,
    /// The expression.
    pub(crate) expr: Expr,
    /// The expression in its canonical form.
    pub(crate) query: String,
    /// Labels of group and rule; an empty value removes a label.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) kind: Kind,
    pub(crate) status: Mutex<Status>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Recording(Recording),
    Alerting(Box<Alerting>),
}

/// What evaluations need besides the rule.
#[derive(Clone, Copy)]
pub(crate) struct EvalContext<'a> {
    pub(crate) queries: &'a dyn Evaluate,
    pub(crate) cancel: &'a Arc<AtomicBool>,
    pub(crate) file: &'a str,
    pub(crate) group: &'a str,
    pub(crate) external_url: &'a ExternalUrl,
    pub(crate) template_metrics: &'a crate::metrics::TemplateMetrics,
    pub(crate) query_offset: Duration,
    /// 0 or less is no limit.
    pub(crate) limit: i64,
}

impl EvalContext<'_> {
    fn query(&self, expr: &Expr, text: &str, at_ms: i64) -> Result<Vec<VectorSample>, EvalError> {
        samples(self.queries.evaluate(RuleQuery {
            expr,
            text,
            at_ms,
            file: self.file,
            group: self.group,
            cancel: self.cancel,
        })?)
    }
}

/// What does not stand in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleSurroundings<'a> {
    pub(crate) group_labels: &'a BTreeMap<String, String>,
    pub(crate) external_labels: &'a Labels,
    pub(crate) external_url: &'a str,
    /// Whether `ALERTS_FOR_STATE` of an earlier process counts and has to be read before it is written.
    pub(crate) restore: bool,
}

impl Rule {
    /// Builds a rule of a file that was checked.
    ///
    /// # Errors
    /// When expression or templates do not parse after all.
    pub(crate) fn new(
        spec: &RuleSpec,
        around: RuleSurroundings<'_>,
        queries: &dyn Evaluate,
    ) -> Result<Self, String> {
        let expr = queries.parse(&spec.expr).map_err(|e| e.to_string())?;
        let mut labels = around.group_labels.clone();
        labels.extend(spec.labels.clone());
        let kind = if spec.alert.is_empty() {
            Kind::Recording(Recording::default())
        } else {
            Kind::Alerting(Box::new(Alerting::new(spec, &labels, around)?))
        };
        Ok(Self {
            name: spec.name().to_owned(),
            query: expr.to_string(),
            expr,
            labels,
            kind,
            status: Mutex::default(),
        })
    }

    /// Evaluates at a time and returns the samples to store. `self` remembers alerts, not the outcome.
    pub(crate) fn evaluate(
        &self,
        at: Time,
        context: EvalContext<'_>,
    ) -> Result<Vec<VectorSample>, RuleError> {
        match &self.kind {
            Kind::Recording(recording) => self.record(recording, at, context),
            Kind::Alerting(alerting) => self.alert(alerting, at, context),
        }
    }

    pub(crate) fn alerting(&self) -> Option<&Alerting> {
        match &self.kind {
            Kind::Recording(_) => None,
            Kind::Alerting(alerting) => Some(alerting),
        }
    }

    /// How the latest evaluation went.
    pub(crate) fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// The alerts that are pending or firing; none of a recording rule.
    pub(crate) fn active_alerts(&self) -> Vec<Alert> {
        self.alerting()
            .map(Alerting::active_alerts)
            .unwrap_or_default()
    }

    /// Writes `ALERTS` from now on without restoring first, as unit tests of rules do.
    pub(crate) fn skip_restoration(&self) {
        if let Some(alerting) = self.alerting() {
            alerting.set_restored();
        }
    }

    /// What makes two rules the same for a reload.
    pub(crate) fn definition(&self) -> String {
        let kind = match &self.kind {
            Kind::Recording(_) => "record".to_owned(),
            Kind::Alerting(alerting) => alerting.definition(),
        };
        format!("{kind} {:?} {:?} {:?}", self.name, self.query, self.labels)
    }

    /// Whether results of another rule feed this one is decided by the names in this.
    pub(crate) fn is_alerting(&self) -> bool {
        matches!(self.kind, Kind::Alerting(_))
    }
}
