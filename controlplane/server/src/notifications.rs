//! What the server tells people who look at it: notifications that appear and go, with Prometheus' texts.

use std::sync::Arc;

use bellwether_telemetry::{Counter, Gauge, Registry};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::state::now_rfc3339_nanos;

/// A reload failed.
pub(crate) const RELOAD_FAILED: &str = "Configuration reload has failed.";
/// The database is being opened.
pub(crate) const STARTING: &str = "Prometheus is starting and replaying the write-ahead log (WAL).";
/// The server drains.
pub(crate) const STOPPING: &str =
    "Prometheus is shutting down and gracefully stopping all operations.";

/// Notifications on their way to a follower; more are dropped.
const AHEAD: usize = 10;

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Notification {
    text: &'static str,
    date: String,
    active: bool,
}

/// The active notifications and who follows them.
pub(crate) struct Notifications {
    state: Mutex<State>,
    followers_max: usize,
    followers: Gauge,
    sent: Counter,
    dropped: Counter,
}

#[derive(Default)]
struct State {
    active: Vec<Notification>,
    /// By number.
    followers: Vec<(u64, mpsc::Sender<Notification>)>,
    next: u64,
}

/// A follower's end; it stops following when dropped.
pub(crate) struct Follower {
    notifications: Arc<Notifications>,
    number: u64,
    receiver: mpsc::Receiver<Notification>,
}

impl Notifications {
    pub(crate) fn new(followers_max: usize, registry: &Registry) -> Self {
        Self {
            state: Mutex::default(),
            followers_max,
            followers: registry.gauge(
                "prometheus_api_notification_active_subscribers",
                "The current number of active notification subscribers.",
                &[],
            ),
            sent: registry.counter(
                "prometheus_api_notification_updates_sent_total",
                "Total number of notification updates sent.",
                &[],
            ),
            dropped: registry.counter(
                "prometheus_api_notification_updates_dropped_total",
                "Total number of notification updates dropped.",
                &[],
            ),
        }
    }

    /// Adds a notification, or renews its date.
    pub(crate) fn add(&self, text: &'static str) {
        let notification = Notification {
            text,
            date: now_rfc3339_nanos(),
            active: true,
        };
        let mut state = self.state.lock();
        match state.active.iter_mut().find(|n| n.text == text) {
            Some(existing) => existing.date.clone_from(&notification.date),
            None => state.active.push(notification.clone()),
        }
        self.tell(&state, &notification);
    }

    /// Removes a notification; followers hear of it.
    pub(crate) fn remove(&self, text: &'static str) {
        let mut state = self.state.lock();
        if let Some(at) = state.active.iter().position(|n| n.text == text) {
            let mut gone = state.active.remove(at);
            gone.active = false;
            self.tell(&state, &gone);
        }
    }

    fn tell(&self, state: &State, notification: &Notification) {
        for (_, follower) in &state.followers {
            self.sent.inc();
            // A slow follower misses some rather than holding the others up.
            if follower.try_send(notification.clone()).is_err() {
                self.dropped.inc();
            }
        }
    }

    /// The active ones, oldest first.
    pub(crate) fn active(&self) -> Vec<Notification> {
        self.state.lock().active.clone()
    }

    /// Begins to follow: first the active ones, then what happens. `None` when there are too many followers.
    pub(crate) fn follow(self: &Arc<Self>) -> Option<Follower> {
        let mut state = self.state.lock();
        if state.followers.len() >= self.followers_max {
            return None;
        }
        let (sender, receiver) = mpsc::channel(AHEAD);
        for notification in &state.active {
            let _ = sender.try_send(notification.clone());
        }
        let number = state.next;
        state.next += 1;
        state.followers.push((number, sender));
        self.followers.set(state.followers.len() as f64);
        Some(Follower {
            notifications: Arc::clone(self),
            number,
            receiver,
        })
    }
}

impl Follower {
    /// The next notification.
    pub(crate) async fn next(&mut self) -> Option<Notification> {
        self.receiver.recv().await
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut state = self.notifications.state.lock();
        state.followers.retain(|(number, _)| *number != self.number);
        self.notifications
            .followers
            .set(state.followers.len() as f64);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn followers_hear_what_is_and_what_changes() {
        let all = Arc::new(Notifications::new(1, &Registry::new()));
        all.add(STARTING);
        let mut follower = all.follow().unwrap();
        assert!(all.follow().is_none(), "one at a time");
        all.add(RELOAD_FAILED);
        all.remove(STARTING);
        all.remove(STARTING);
        let mut heard = Vec::new();
        for _ in 0..3 {
            let n = follower.next().await.unwrap();
            heard.push((n.text, n.active));
        }
        assert_eq!(
            heard,
            [(STARTING, true), (RELOAD_FAILED, true), (STARTING, false)]
        );
        let active: Vec<&str> = all.active().iter().map(|n| n.text).collect();
        assert_eq!(active, [RELOAD_FAILED]);
        drop(follower);
        assert!(all.follow().is_some());
    }

    #[test]
    fn a_follower_who_does_not_listen_misses_some() {
        let all = Arc::new(Notifications::new(1, &Registry::new()));
        let _follower = all.follow().unwrap();
        for _ in 0..AHEAD + 5 {
            all.add(RELOAD_FAILED);
        }
        assert_eq!((all.sent.get(), all.dropped.get()), (15.0, 5.0));
        assert_eq!(all.active().len(), 1);
    }
}
