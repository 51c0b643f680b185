//! After a restart `for` goes on: since when an alert is active is read back from `ALERTS_FOR_STATE`.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{Querier, SampleBuffer, StorageError};
use bellwether_model::{Labels, is_stale_nan};

use super::{Group, GroupOptions};
use crate::rule::{Alerting, Rule};
use crate::time::{Time, nanos};

/// The newest sample of a series: its time in milliseconds and its value.
type Newest = (i64, f64);

impl Group {
    /// Whether [`Self::restore`] is still to be done.
    pub(super) fn should_restore(&self) -> bool {
        self.should_restore.load(Ordering::Acquire)
    }

    /// Takes over the alerts of an earlier process. What cannot be read counts as not there: there is no second try.
    /// Blocks on the storage.
    pub(super) fn restore(&self, now: Time) {
        let clock = Instant::now();
        let from = now.before(self.context.options.outage_tolerance).millis();
        match self.context.queryable.querier(from, now.millis()) {
            Ok(querier) => {
                for rule in &self.rules {
                    if let Some(alerting) = rule.alerting() {
                        self.restore_rule(rule, alerting, &*querier, (from, now));
                        alerting.set_restored();
                    }
                }
            }
            Err(error) => tracing::error!(%error, "Failed to get Querier"),
        }
        self.metrics.restored(clock.elapsed().as_secs_f64());
        self.should_restore.store(false, Ordering::Release);
    }

    fn restore_rule(
        &self,
        rule: &Rule,
        alerting: &Alerting,
        querier: &dyn Querier,
        (from, now): (i64, Time),
    ) {
        let options = &self.context.options;
        // An alert that waits less than the grace period is not worth it: it waits again.
        if alerting.hold < options.for_grace_period {
            return;
        }
        let remembered = match remembered(rule, querier, from, now.millis()) {
            Ok(remembered) => remembered,
            Err(error) => {
                tracing::error!(alertname = rule.name, %error, "Failed to restore 'for' state");
                return;
            }
        };
        alerting.for_each_alert(|alert| {
            if let Some(newest) = remembered.get(&alert.labels)
                && !is_stale_nan(newest.1)
            {
                alert.active_at = restored_active_at(*newest, now, alerting, options);
            }
        });
    }
}

/// By the alert's labels: the newest sample of its `ALERTS_FOR_STATE`.
fn remembered(
    rule: &Rule,
    querier: &dyn Querier,
    from: i64,
    to: i64,
) -> Result<HashMap<Labels, Newest>, StorageError> {
    let mut found = HashMap::new();
    let mut buffer = SampleBuffer::default();
    for series in querier.select(false, &rule.for_state_matchers())? {
        buffer.clear();
        series.read(from, to, &mut buffer)?;
        if let (Some(t), Some(v)) = (buffer.timestamps.last(), buffer.values.last()) {
            found.insert(series.labels().without(METRIC_NAME), (*t, *v));
        }
    }
    Ok(found)
}

/// Since when the alert counts as active, by what was remembered when the process ended.
fn restored_active_at(
    (down_at_ms, active_since): Newest,
    now: Time,
    alerting: &Alerting,
    options: &GroupOptions,
) -> Time {
    let down_at = Time::from_seconds(down_at_ms.div_euclid(1000));
    let active_at = Time::from_seconds(active_since as i64);
    let remaining = nanos(alerting.hold).saturating_sub(down_at.since(active_at));
    if remaining <= 0 {
        // It was firing: it fires again at once.
        active_at
    } else if remaining < nanos(options.for_grace_period) {
        // It gets the grace period from now on.
        now.after(options.for_grace_period).before(alerting.hold)
    } else {
        // The time without a process does not count.
        Time(active_at.0.saturating_add(now.since(down_at)))
    }
}
