//! The life of one alert.

use std::collections::BTreeMap;
use std::time::Duration;

use bellwether_model::Labels;

use super::alert::Ended;
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn at(minutes: i64) -> Time {
    Time::from_seconds(minutes * 60)
}

fn alert() -> Alert {
    Alert::new(Labels::empty(), BTreeMap::new(), 1.0, at(0))
}

#[test]
fn it_waits_for_for_and_then_fires() {
    let mut alert = alert();
    alert.hold(at(0), 2 * MINUTE);
    assert_eq!(alert.state, AlertState::Pending);
    alert.hold(at(1), 2 * MINUTE);
    assert_eq!((alert.state, alert.fired_at), (AlertState::Pending, None));
    alert.hold(at(2), 2 * MINUTE);
    assert_eq!(
        (alert.state, alert.fired_at),
        (AlertState::Firing, Some(at(2)))
    );
}

#[test]
fn without_for_it_fires_at_once() {
    let mut alert = alert();
    alert.hold(at(0), Duration::ZERO);
    assert_eq!(alert.state, AlertState::Firing);
}

#[test]
fn a_longer_for_takes_it_back_to_pending() {
    let mut alert = alert();
    alert.hold(at(2), 2 * MINUTE);
    alert.last_sent_at = Some(at(2));
    alert.hold(at(3), 5 * MINUTE);
    assert_eq!(
        (alert.state, alert.fired_at, alert.last_sent_at),
        (AlertState::Pending, None, None)
    );
}

#[test]
fn pending_it_just_goes_and_firing_it_stays_resolved_for_a_quarter_of_an_hour() {
    let mut pending = alert();
    assert_eq!(pending.end(at(1), MINUTE, Duration::ZERO), Ended::Gone);
    let mut firing = alert();
    firing.hold(at(0), Duration::ZERO);
    assert_eq!(
        firing.end(at(1), Duration::ZERO, Duration::ZERO),
        Ended::Resolved
    );
    assert_eq!(
        (firing.state, firing.resolved_at),
        (AlertState::Inactive, Some(at(1)))
    );
    assert_eq!(
        firing.end(at(16), Duration::ZERO, Duration::ZERO),
        Ended::Resolved
    );
    assert_eq!(firing.resolved_at, Some(at(1)));
    assert_eq!(
        firing.end(at(17), Duration::ZERO, Duration::ZERO),
        Ended::Gone
    );
}

#[test]
fn keep_firing_for_bridges_gaps() {
    let mut alert = alert();
    alert.hold(at(0), Duration::ZERO);
    assert_eq!(alert.end(at(1), Duration::ZERO, 3 * MINUTE), Ended::Keeps);
    assert_eq!(alert.keep_firing_since, Some(at(1)));
    assert_eq!(alert.end(at(3), Duration::ZERO, 3 * MINUTE), Ended::Keeps);
    alert.hold(at(3), Duration::ZERO);
    assert_eq!(
        (alert.state, alert.keep_firing_since),
        (AlertState::Firing, None)
    );
    assert_eq!(alert.end(at(4), Duration::ZERO, 3 * MINUTE), Ended::Keeps);
    assert_eq!(
        alert.end(at(7), Duration::ZERO, 3 * MINUTE),
        Ended::Resolved
    );
}

#[test]
fn it_is_sent_when_it_fires_again_after_the_delay_and_when_it_is_resolved() {
    let mut alert = alert();
    assert!(!alert.needs_sending(at(0), MINUTE), "pending");
    alert.hold(at(0), Duration::ZERO);
    assert!(alert.needs_sending(at(0), MINUTE));
    alert.last_sent_at = Some(at(0));
    assert!(
        !alert.needs_sending(at(1), MINUTE),
        "not before the delay is over"
    );
    assert!(alert.needs_sending(at(2), MINUTE));
    alert.last_sent_at = Some(at(2));
    alert.end(at(3), Duration::ZERO, Duration::ZERO);
    assert!(
        alert.needs_sending(at(3), 10 * MINUTE),
        "news is sent at once"
    );
    alert.last_sent_at = Some(at(3));
    assert!(!alert.needs_sending(at(4), 10 * MINUTE));
}
