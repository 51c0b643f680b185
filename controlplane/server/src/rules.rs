//! What the API shows of rules, alerts and Alertmanagers.
//!
//! Plain data, asked for at each request from whoever evaluates rules and finds Alertmanagers: a source is set once,
//! when the server has one. Without it there are no groups and no Alertmanagers.

use std::sync::OnceLock;
use std::time::Duration;

use bellwether_model::Labels;
use jiff::Timestamp;

/// A rule group as it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleGroup {
    pub(crate) name: String,
    /// The file as the configuration names it.
    pub(crate) file: String,
    pub(crate) rules: Vec<Rule>,
    pub(crate) interval: Duration,
    /// Most series or alerts of a rule; 0 is no limit.
    pub(crate) limit: u64,
    pub(crate) evaluation_time: Duration,
    /// `None` before the first evaluation.
    pub(crate) last_evaluation: Option<Timestamp>,
}

/// What both kinds of rules have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    pub(crate) name: String,
    /// The expression in its canonical form.
    pub(crate) query: String,
    pub(crate) labels: Labels,
    pub(crate) health: Health,
    /// Empty without.
    pub(crate) last_error: String,
    pub(crate) evaluation_time: Duration,
    pub(crate) last_evaluation: Option<Timestamp>,
    /// `None` for a recording rule.
    pub(crate) alerting: Option<Alerting>,
}

/// What alerting rules have besides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alerting {
    /// `for`.
    pub(crate) hold: Duration,
    pub(crate) keep_firing_for: Duration,
    pub(crate) annotations: Labels,
    /// Pending and firing ones; resolved ones are not shown.
    pub(crate) alerts: Vec<Alert>,
}

/// An active alert.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) state: AlertState,
    pub(crate) active_at: Timestamp,
    /// Since when it only fires because of `keep_firing_for`.
    pub(crate) keep_firing_since: Option<Timestamp>,
    pub(crate) value: f64,
}

/// Outcome of a rule's latest evaluation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(dead_code, reason = "filled by the rule engine")]
pub(crate) enum Health {
    #[default]
    Unknown,
    Good,
    Bad,
}

impl Health {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "ok",
            Self::Bad => "err",
        }
    }
}

/// State of an active alert; a later one outweighs an earlier one in the state of its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(dead_code, reason = "filled by the rule engine")]
pub(crate) enum AlertState {
    Pending,
    Firing,
}

impl AlertState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

impl Rule {
    /// State of an alerting rule: the gravest of its alerts'; unknown before the first evaluation.
    pub(crate) fn state(&self) -> &'static str {
        let alerts = self.alerting.iter().flat_map(|a| &a.alerts);
        match alerts.map(|a| a.state).max() {
            _ if self.last_evaluation.is_none() => "unknown",
            None => "inactive",
            Some(state) => state.as_str(),
        }
    }
}

/// URLs of Alertmanagers, those to which alerts go and those that relabelling dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alertmanagers {
    pub(crate) active: Vec<String>,
    pub(crate) dropped: Vec<String>,
}

type Ask<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Where the answers come from.
#[derive(Default)]
pub(crate) struct RuleSource {
    groups: OnceLock<Ask<Vec<RuleGroup>>>,
    alertmanagers: OnceLock<Ask<Alertmanagers>>,
}

#[allow(dead_code, reason = "set by the rule engine and by tests")]
impl RuleSource {
    /// Sets where groups come from. The first call counts.
    pub(crate) fn set_groups(&self, ask: impl Fn() -> Vec<RuleGroup> + Send + Sync + 'static) {
        let _ = self.groups.set(Box::new(ask));
    }

    /// Sets where Alertmanagers come from. The first call counts.
    pub(crate) fn set_alertmanagers(
        &self,
        ask: impl Fn() -> Alertmanagers + Send + Sync + 'static,
    ) {
        let _ = self.alertmanagers.set(Box::new(ask));
    }
}

impl RuleSource {
    /// The groups by file and name.
    pub(crate) fn groups(&self) -> Vec<RuleGroup> {
        let mut groups = self.groups.get().map(|ask| ask()).unwrap_or_default();
        groups.sort_by(|a, b| (&a.file, &a.name).cmp(&(&b.file, &b.name)));
        groups
    }

    pub(crate) fn alertmanagers(&self) -> Alertmanagers {
        self.alertmanagers
            .get()
            .map(|ask| ask())
            .unwrap_or_default()
    }
}
