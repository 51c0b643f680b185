//! The rules' own metrics, under Prometheus' names.

use bellwether_telemetry::{Counter, Gauge, Histogram, Registry, Summary};

const DURATION_BUCKETS: &[f64] = &[0.01, 0.1, 1.0, 10.0];

/// Expansions of templates.
#[derive(Clone, Debug)]
pub(crate) struct TemplateMetrics {
    pub(crate) expansions: Counter,
    pub(crate) failures: Counter,
}

/// What all groups share.
#[derive(Clone, Debug)]
pub(crate) struct RuleMetrics {
    registry: Registry,
    pub(crate) templates: TemplateMetrics,
    pub(crate) evaluation: Summary,
    pub(crate) evaluation_histogram: Histogram,
    pub(crate) iteration: Summary,
    pub(crate) iteration_histogram: Histogram,
}

/// Those of one group.
#[derive(Clone, Debug)]
pub(crate) struct GroupMetrics {
    registry: Registry,
    key: String,
    pub(crate) missed: Counter,
    pub(crate) iterations: Counter,
    pub(crate) evaluations: Counter,
    pub(crate) failures: Counter,
    pub(crate) interval: Gauge,
    pub(crate) last_evaluation: Gauge,
    pub(crate) last_duration: Gauge,
    pub(crate) rule_duration_sum: Gauge,
    pub(crate) rules: Gauge,
    pub(crate) samples: Gauge,
}

const MISSED: &str = "prometheus_rule_group_iterations_missed_total";
const ITERATIONS: &str = "prometheus_rule_group_iterations_total";
const EVALUATIONS: &str = "prometheus_rule_evaluations_total";
const FAILURES: &str = "prometheus_rule_evaluation_failures_total";
const INTERVAL: &str = "prometheus_rule_group_interval_seconds";
const LAST_EVALUATION: &str = "prometheus_rule_group_last_evaluation_timestamp_seconds";
const LAST_DURATION: &str = "prometheus_rule_group_last_duration_seconds";
const DURATION_SUM: &str = "prometheus_rule_group_last_rule_duration_sum_seconds";
const RESTORE_DURATION: &str = "prometheus_rule_group_last_restore_duration_seconds";
const RULES: &str = "prometheus_rule_group_rules";
const SAMPLES: &str = "prometheus_rule_group_last_evaluation_samples";

impl RuleMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let duration = |name, help| {
            let name = format!("prometheus_{name}_histogram_seconds");
            registry.histogram(&name, help, &[], DURATION_BUCKETS)
        };
        Self {
            registry: registry.clone(),
            templates: TemplateMetrics {
                expansions: registry.counter(
                    "prometheus_template_text_expansions_total",
                    "The total number of template text expansions.",
                    &[],
                ),
                failures: registry.counter(
                    "prometheus_template_text_expansion_failures_total",
                    "The total number of template text expansion failures.",
                    &[],
                ),
            },
            evaluation: registry.summary(
                "prometheus_rule_evaluation_duration_seconds",
                "The duration for a rule to execute.",
                &[],
                &[0.5, 0.9, 0.99],
            ),
            evaluation_histogram: duration(
                "rule_evaluation_duration",
                "The duration for a rule to execute.",
            ),
            iteration: registry.summary(
                "prometheus_rule_group_duration_seconds",
                "The duration of rule group evaluations.",
                &[],
                &[0.01, 0.05, 0.5, 0.9, 0.99],
            ),
            iteration_histogram: duration(
                "rule_group_duration",
                "The duration of rule group evaluations.",
            ),
        }
    }

    /// The metrics of a group; `key` is file and name.
    pub(crate) fn group(&self, key: &str) -> GroupMetrics {
        let labels = [("rule_group", key)];
        let counter = |name, help| self.registry.counter(name, help, &labels);
        let gauge = |name, help| self.registry.gauge(name, help, &labels);
        GroupMetrics {
            registry: self.registry.clone(),
            key: key.to_owned(),
            missed: counter(
                MISSED,
                "The total number of rule group evaluations missed due to slow rule group evaluation.",
            ),
            iterations: counter(
                ITERATIONS,
                "The total number of scheduled rule group evaluations, whether executed or missed.",
            ),
            evaluations: counter(EVALUATIONS, "The total number of rule evaluations."),
            failures: counter(FAILURES, "The total number of rule evaluation failures."),
            interval: gauge(INTERVAL, "The interval of a rule group."),
            last_evaluation: gauge(
                LAST_EVALUATION,
                "The timestamp of the last rule group evaluation in seconds.",
            ),
            last_duration: gauge(
                LAST_DURATION,
                "The duration of the last rule group evaluation.",
            ),
            rule_duration_sum: gauge(
                DURATION_SUM,
                "The sum of time in seconds it took to evaluate each rule in the group regardless of concurrency. This should be higher than the group duration if rules are evaluated concurrently.",
            ),
            rules: gauge(RULES, "The number of rules."),
            samples: gauge(
                SAMPLES,
                "The number of samples returned during the last rule group evaluation.",
            ),
        }
    }
}

impl GroupMetrics {
    /// Notes how long restoring took; the metric exists only for groups that restored.
    pub(crate) fn restored(&self, seconds: f64) {
        const HELP: &str = "The duration of the last alert rules alerts restoration using the `ALERTS_FOR_STATE` series.";
        let labels = [("rule_group", self.key.as_str())];
        self.registry
            .gauge(RESTORE_DURATION, HELP, &labels)
            .set(seconds);
    }

    /// Forgets the metrics of a group that is gone.
    pub(crate) fn remove(&self) {
        for name in [
            MISSED,
            ITERATIONS,
            EVALUATIONS,
            FAILURES,
            INTERVAL,
            LAST_EVALUATION,
            LAST_DURATION,
            DURATION_SUM,
            RESTORE_DURATION,
            RULES,
            SAMPLES,
        ] {
            self.registry.remove(name, &[("rule_group", &self.key)]);
        }
    }
}
