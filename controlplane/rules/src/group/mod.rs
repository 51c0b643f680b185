//! A group: rules that are evaluated together, in order, at one timestamp.
//!
//! | file | what it holds |
//! |---|---|
//! | `eval` | one evaluation: results into the storage, stale markers behind what vanished |
//! | `batches` | which rules need others of the group; what may run at the same time |
//! | `stored` | the series of a rule's results |
//! | `restore` | `for` goes on after a restart |
//! | `schedule` | slots in time; the task that evaluates |

mod batches;
mod eval;
mod restore;
mod schedule;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bellwether_model::Labels;
use bellwether_model::storage::{Appendable, Queryable};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::expand::ExternalUrl;
use crate::file::GroupSpec;
use crate::metrics::{GroupMetrics, RuleMetrics};
use crate::query::Evaluate;
use crate::rule::{Alert, Rule, RuleSurroundings};
use crate::snapshot::GroupSnapshot;
use crate::time::Time;
use stored::Stored;

pub use schedule::slot;

/// Takes the alerts that are due, with the rule's expression. Must not block.
pub type Notify = Arc<dyn Fn(&str, Vec<Alert>) + Send + Sync>;

/// What all groups of a manager share.
#[derive(Clone)]
pub(crate) struct GroupContext {
    pub(crate) queries: Arc<dyn Evaluate>,
    pub(crate) appendable: Arc<dyn Appendable>,
    pub(crate) queryable: Arc<dyn Queryable>,
    pub(crate) notify: Notify,
    pub(crate) external_url: Arc<ExternalUrl>,
    pub(crate) metrics: RuleMetrics,
    pub(crate) options: Arc<GroupOptions>,
    /// Free slots for rules that run beside others; `None` where rules always run in order.
    pub(crate) slots: Option<Arc<AtomicUsize>>,
    /// `global.rule_query_offset` in nanoseconds.
    pub(crate) default_query_offset: Arc<std::sync::atomic::AtomicU64>,
}

/// Times around alerts, set by flags.
#[derive(Clone, Debug)]
pub struct GroupOptions {
    /// How long an outage may be so that `for` goes on (`--rules.alert.for-outage-tolerance`).
    pub outage_tolerance: Duration,
    /// A restored alert fires this long after the restart at the earliest (`--rules.alert.for-grace-period`).
    pub for_grace_period: Duration,
    /// Time between two notifications of the same alert (`--rules.alert.resend-delay`).
    pub resend_delay: Duration,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            outage_tolerance: Duration::from_secs(3600),
            for_grace_period: Duration::from_secs(600),
            resend_delay: Duration::from_secs(60),
        }
    }
}

/// Identifies a group: two files may have groups of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupKey {
    pub(crate) file: String,
    pub(crate) name: String,
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};{}", self.file, self.name)
    }
}

/// A group with its state.
pub(crate) struct Group {
    pub(crate) key: GroupKey,
    /// Never zero.
    pub(crate) interval: Duration,
    pub(crate) query_offset: Option<Duration>,
    pub(crate) limit: i64,
    pub(crate) rules: Vec<Rule>,
    batches: Vec<Vec<usize>>,
    /// What a reload compares.
    definition: String,
    context: GroupContext,
    pub(crate) metrics: GroupMetrics,
    /// Whether alerts of an earlier process have to be taken over.
    should_restore: AtomicBool,
    times: Mutex<Times>,
    /// By rule: the series of its latest results. One lock for each, because rules may run beside each other.
    previous: Vec<Mutex<Stored>>,
    /// Series of rules that are gone, to be ended.
    stale: Mutex<HashSet<Labels>>,
    /// The group ends after the rule under evaluation.
    pub(crate) stop: CancellationToken,
    /// Queries under way end; set when the process ends.
    pub(crate) cancel: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    evaluation_time: Duration,
    last_evaluation: Option<Time>,
}

/// What does not stand in the group's part of the file.
pub(crate) struct GroupSurroundings<'a> {
    pub(crate) file: &'a str,
    /// For groups that name no interval.
    pub(crate) interval: Duration,
    pub(crate) external_labels: &'a Labels,
    pub(crate) restore: bool,
}

impl Group {
    /// Builds a group of a file that was checked.
    ///
    /// # Errors
    /// When a rule does not parse after all.
    pub(crate) fn new(
        spec: &GroupSpec,
        around: &GroupSurroundings<'_>,
        context: GroupContext,
    ) -> Result<Self, String> {
        let rule_around = RuleSurroundings {
            group_labels: &spec.labels,
            external_labels: around.external_labels,
            external_url: &context.external_url.text,
            restore: around.restore,
        };
        let build = |rule| Rule::new(rule, rule_around, &*context.queries);
        let rules: Vec<Rule> = spec.rules.iter().map(build).collect::<Result<_, _>>()?;
        let key = GroupKey {
            file: around.file.to_owned(),
            name: spec.name.clone(),
        };
        let interval = if spec.interval.is_zero() {
            around.interval
        } else {
            spec.interval
        };
        let metrics = context.metrics.group(&key.to_string());
        metrics.rules.set(rules.len() as f64);
        metrics.interval.set(interval.as_secs_f64());
        let definitions: Vec<String> = rules.iter().map(Rule::definition).collect();
        let concurrent = context.slots.is_some();
        Ok(Self {
            definition: format!(
                "{interval:?} {:?} {} {definitions:?}",
                spec.query_offset, spec.limit
            ),
            key,
            interval: interval.max(Duration::from_millis(1)),
            query_offset: spec.query_offset,
            limit: spec.limit,
            batches: if concurrent {
                batches::split(&rules)
            } else {
                Vec::new()
            },
            previous: rules.iter().map(|_| Mutex::default()).collect(),
            rules,
            metrics,
            should_restore: AtomicBool::new(around.restore),
            times: Mutex::default(),
            stale: Mutex::default(),
            stop: CancellationToken::new(),
            cancel: Arc::default(),
            context,
        })
    }

    /// Whether a reload may leave the running group alone.
    pub(crate) fn is_same_as(&self, other: &Self) -> bool {
        self.key == other.key && self.definition == other.definition
    }

    /// Takes over alerts and series of the group that this one replaces. Rules are matched by name and labels, the
    /// first of several with the first. The series of rules that are gone will be ended.
    pub(crate) fn copy_state(&self, from: &Self) {
        *self.times.lock() = *from.times.lock();
        let same = |a: &Rule, b: &Rule| a.name == b.name && a.labels == b.labels;
        let mut left: Vec<usize> = (0..from.rules.len()).collect();
        for (i, rule) in self.rules.iter().enumerate() {
            let Some(at) = left.iter().position(|j| same(rule, &from.rules[*j])) else {
                continue;
            };
            let j = left.remove(at);
            *self.previous[i].lock() = std::mem::take(&mut from.previous[j].lock());
            if let (Some(new), Some(old)) = (rule.alerting(), from.rules[j].alerting()) {
                new.copy_alerts(old);
            }
        }
        let mut stale = self.stale.lock();
        stale.extend(from.stale.lock().drain());
        for j in left {
            stale.extend(from.previous[j].lock().drain());
        }
    }

    /// How far in the past rules are evaluated.
    pub(crate) fn query_offset(&self) -> Duration {
        self.query_offset.unwrap_or_else(|| {
            Duration::from_nanos(self.context.default_query_offset.load(Ordering::Relaxed))
        })
    }

    /// The group as it stands.
    pub(crate) fn snapshot(&self) -> GroupSnapshot {
        let times = *self.times.lock();
        GroupSnapshot {
            name: self.key.name.clone(),
            file: self.key.file.clone(),
            interval: self.interval,
            limit: u64::try_from(self.limit).unwrap_or(0),
            evaluation_time: times.evaluation_time,
            last_evaluation: times.last_evaluation,
            rules: self.rules.iter().map(crate::snapshot::rule).collect(),
        }
    }
}
