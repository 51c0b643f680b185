//! One alert: an element of a rule's result while it is active, and a while after.
//!
//! ```text
//!            +--- expression ends ---> (gone)
//!            |
//! new --> Pending --- held for `for` ---> Firing --- expression ended, keep_firing_for over ---> Inactive
//!            ^                              |                                                       |
//!            +--- `for` became longer ------+                  gone 15 minutes after <--------------+
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_model::Labels;

use crate::time::{Time, nanos};

/// How long a resolved alert is remembered, and so sent again, in case the news was lost.
pub const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// Where an alert is in its life; a later one outweighs an earlier one in the state of its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertState {
    /// It was firing and is resolved.
    Inactive,
    /// Its expression holds, but not for long enough.
    Pending,
    /// It fires.
    Firing,
}

impl AlertState {
    /// As the `alertstate` label and the API spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert. What stands in an `Option` has not happened.
#[derive(Clone, Debug)]
pub struct Alert {
    /// Where it is in its life.
    pub state: AlertState,
    /// Its identity.
    pub labels: Labels,
    /// Texts for people, of the latest evaluation.
    pub annotations: BTreeMap<String, String>,
    /// The expression's value at the latest evaluation; of a native histogram 0.
    pub value: f64,
    /// Since when the expression holds.
    pub active_at: Time,
    /// Since when it fires.
    pub fired_at: Option<Time>,
    /// When it was resolved.
    pub resolved_at: Option<Time>,
    /// When it was last handed to the notifier.
    pub last_sent_at: Option<Time>,
    /// Until when the receiver takes it for active without hearing of it again.
    pub valid_until: Option<Time>,
    /// Since when it only fires because of `keep_firing_for`.
    pub keep_firing_since: Option<Time>,
}

impl Alert {
    /// An alert whose expression begins to hold.
    pub(super) fn new(
        labels: Labels,
        annotations: BTreeMap<String, String>,
        value: f64,
        at: Time,
    ) -> Self {
        Self {
            state: AlertState::Pending,
            labels,
            annotations,
            value,
            active_at: at,
            fired_at: None,
            resolved_at: None,
            last_sent_at: None,
            valid_until: None,
            keep_firing_since: None,
        }
    }

    /// The transition of an alert whose expression holds.
    pub(super) fn hold(&mut self, at: Time, hold: Duration) {
        self.keep_firing_since = None;
        self.fire_or_wait(at, hold);
    }

    /// From pending to firing when it has held for long enough; back when `for` became longer.
    fn fire_or_wait(&mut self, at: Time, hold: Duration) {
        let held = at.since(self.active_at) >= nanos(hold);
        match self.state {
            AlertState::Pending if held => {
                self.state = AlertState::Firing;
                self.fired_at = Some(at);
            }
            AlertState::Firing if !held => {
                self.state = AlertState::Pending;
                self.fired_at = None;
                self.last_sent_at = None;
                self.keep_firing_since = None;
            }
            _ => {}
        }
    }

    /// The transition of an alert whose expression does not hold; what becomes of it.
    pub(super) fn end(&mut self, at: Time, hold: Duration, keep_firing_for: Duration) -> Ended {
        if self.state == AlertState::Firing && !keep_firing_for.is_zero() {
            let since = *self.keep_firing_since.get_or_insert(at);
            if at.since(since) < nanos(keep_firing_for) {
                self.fire_or_wait(at, hold);
                return Ended::Keeps;
            }
        }
        let is_old = |resolved: Time| at.since(resolved) > nanos(RESOLVED_RETENTION);
        if self.state == AlertState::Pending || self.resolved_at.is_some_and(is_old) {
            return Ended::Gone;
        }
        if self.state != AlertState::Inactive {
            self.state = AlertState::Inactive;
            self.resolved_at = Some(at);
        }
        Ended::Resolved
    }

    /// Whether the notifier has to hear of it: news, or the resend delay is over.
    pub(super) fn needs_sending(&self, at: Time, resend_delay: Duration) -> bool {
        if self.state == AlertState::Pending {
            return false;
        }
        let Some(sent) = self.last_sent_at else {
            return true;
        };
        self.resolved_at.is_some_and(|resolved| resolved > sent) || sent.after(resend_delay) < at
    }
}

/// What becomes of an alert whose expression does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It fires on.
    Keeps,
    /// It is resolved, now or earlier.
    Resolved,
    /// It is forgotten.
    Gone,
}
