//! Flags about rules and notifications.

use std::time::Duration;

use bellwether_model::duration;
use bellwether_rules::GroupOptions;
use bellwether_rules::notifier::NotifierOptions;
use clap::Args;

use super::parse_duration;
use crate::settings::RuleSettings;

/// Flags about rules and notifications.
#[derive(Args, Clone, Debug)]
pub struct RuleFlags {
    /// Longest outage after which alerts go on to wait for their `for`
    #[arg(long = "rules.alert.for-outage-tolerance", value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub for_outage_tolerance: Duration,
    /// Least time after a start before an alert fires that was waiting for a `for` longer than this
    #[arg(long = "rules.alert.for-grace-period", value_name = "DURATION", default_value = "10m", value_parser = parse_duration)]
    pub for_grace_period: Duration,
    /// Least time between two notifications of the same alert
    #[arg(long = "rules.alert.resend-delay", value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
    pub resend_delay: Duration,
    /// Most rules that run beside others of their group (needs the feature concurrent-rule-eval)
    #[arg(
        long = "rules.max-concurrent-evals",
        value_name = "N",
        default_value_t = 4
    )]
    pub max_concurrent_evals: usize,
    /// Most alerts that wait for an Alertmanager; the oldest make room
    #[arg(
        long = "alertmanager.notification-queue-capacity",
        value_name = "N",
        default_value_t = 10_000
    )]
    pub queue_capacity: usize,
    /// Most alerts of a request to an Alertmanager
    #[arg(
        long = "alertmanager.notification-batch-size",
        value_name = "N",
        default_value_t = 256
    )]
    pub batch_size: usize,
    /// Send waiting alerts when the server stops (the default)
    #[arg(
        long = "alertmanager.drain-notification-queue-on-shutdown",
        overrides_with = "no_drain",
        hide = true
    )]
    drain: bool,
    /// Drop waiting alerts when the server stops
    #[arg(
        long = "no-alertmanager.drain-notification-queue-on-shutdown",
        overrides_with = "drain"
    )]
    no_drain: bool,
}

impl RuleFlags {
    pub(super) fn settings(&self) -> RuleSettings {
        RuleSettings {
            groups: GroupOptions {
                outage_tolerance: self.for_outage_tolerance,
                for_grace_period: self.for_grace_period,
                resend_delay: self.resend_delay,
            },
            max_concurrent_evals: self.max_concurrent_evals,
            notifier: NotifierOptions {
                queue_capacity: self.queue_capacity,
                batch_size: self.batch_size,
                drain_on_shutdown: !self.no_drain,
            },
        }
    }

    /// Names and values, for `/api/v1/status/flags`.
    pub(super) fn texts(&self) -> [(&'static str, String); 7] {
        [
            (
                "rules.alert.for-outage-tolerance",
                duration::format(self.for_outage_tolerance),
            ),
            (
                "rules.alert.for-grace-period",
                duration::format(self.for_grace_period),
            ),
            (
                "rules.alert.resend-delay",
                duration::format(self.resend_delay),
            ),
            (
                "rules.max-concurrent-evals",
                self.max_concurrent_evals.to_string(),
            ),
            (
                "alertmanager.notification-queue-capacity",
                self.queue_capacity.to_string(),
            ),
            (
                "alertmanager.notification-batch-size",
                self.batch_size.to_string(),
            ),
            (
                "alertmanager.drain-notification-queue-on-shutdown",
                (!self.no_drain).to_string(),
            ),
        ]
    }
}
