//! What interfaces show of groups: plain data, a copy at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::rule::{Alert, Rule, Status};
use crate::time::Time;

/// A group as it stands.
#[derive(Clone, Debug)]
pub struct GroupSnapshot {
    /// Name.
    pub name: String,
    /// The file.
    pub file: String,
    /// The rules in order.
    pub rules: Vec<RuleSnapshot>,
    /// Time between evaluations.
    pub interval: Duration,
    /// Most series or alerts of a rule; 0 is no limit.
    pub limit: u64,
    /// How long the latest evaluation took.
    pub evaluation_time: Duration,
    /// When it began; `None` before the first.
    pub last_evaluation: Option<Time>,
}

/// A rule as it stands.
#[derive(Clone, Debug)]
pub struct RuleSnapshot {
    /// Name of series or alert.
    pub name: String,
    /// The expression in its canonical form.
    pub query: String,
    /// Labels of group and rule as written.
    pub labels: BTreeMap<String, String>,
    /// How the latest evaluation went.
    pub status: Status,
    /// `None` for a recording rule.
    pub alerting: Option<AlertingSnapshot>,
}

/// What alerting rules have besides.
#[derive(Clone, Debug)]
pub struct AlertingSnapshot {
    /// `for`.
    pub hold: Duration,
    /// `keep_firing_for`.
    pub keep_firing_for: Duration,
    /// As written.
    pub annotations: BTreeMap<String, String>,
    /// Pending and firing ones, sorted by labels.
    pub alerts: Vec<Alert>,
}

pub(crate) fn rule(rule: &Rule) -> RuleSnapshot {
    RuleSnapshot {
        name: rule.name.clone(),
        query: rule.query.clone(),
        labels: rule.labels.clone(),
        status: rule.status(),
        alerting: rule.alerting().map(|alerting| AlertingSnapshot {
            hold: alerting.hold,
            keep_firing_for: alerting.keep_firing_for,
            annotations: alerting.annotations.clone(),
            alerts: alerting.active_alerts(),
        }),
    }
}
