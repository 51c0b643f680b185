//! The circuit breaker around the payment provider.
//!
//! ```text
//!            failures in a row >= threshold
//!   closed ---------------------------------> open
//!     ^                                        | open_for has passed and a call asks
//!     | successes in a row >= threshold        v
//!     +------------------------------------ half-open --(one failure)--> open
//! ```
//!
//! Closed lets every call through. Open refuses at once, so that a dead
//! dependency costs nothing. Half-open lets one probe through at a time.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// When the breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Failures in a row that open a closed breaker. At least 1.
    pub failures_to_open: u32,
    /// How long an open breaker refuses before it lets a probe through.
    pub open_for: Duration,
    /// Successful probes in a row that close a half-open breaker. At least 1.
    pub successes_to_close: u32,
}

impl Default for BreakerSettings {
    /// 5 failures open it for 10 s, 2 successes close it: fast enough to be
    /// seen in a demonstration, slow enough to be seen on a 10 s scrape.
    fn default() -> Self {
        Self {
            failures_to_open: 5,
            open_for: Duration::from_secs(10),
            successes_to_close: 2,
        }
    }
}

/// The state as it is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

impl BreakerState {
    pub(crate) const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The value of the `state` attribute.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

#[derive(Debug)]
enum Inner {
    Closed { failures: u32 },
    Open { since: Instant },
    HalfOpen { successes: u32, probing: bool },
}

impl Inner {
    fn state(&self) -> BreakerState {
        match self {
            Self::Closed { .. } => BreakerState::Closed,
            Self::Open { .. } => BreakerState::Open,
            Self::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

type OnTransition = Box<dyn Fn(BreakerState) + Send + Sync>;

/// A breaker shared by all calls to one dependency.
pub(crate) struct Breaker {
    settings: BreakerSettings,
    /// Guards the state machine; held for a few instructions.
    inner: Mutex<Inner>,
    /// Called after each transition, outside the lock.
    on_transition: OnTransition,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breaker")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// The breaker is open: come back later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// When a probe may be let through; zero while a probe is under way.
    pub(crate) retry_after: Duration,
}

/// Leave to make one call. Report its end by [`Permit::success`] or
/// [`Permit::failure`]; dropping it (the caller went away) counts as neither.
#[derive(Debug)]
pub(crate) struct Permit {
    breaker: Arc<Breaker>,
    reported: bool,
}

impl Breaker {
    pub(crate) fn new(
        settings: BreakerSettings,
        on_transition: impl Fn(BreakerState) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings,
            inner: Mutex::new(Inner::Closed { failures: 0 }),
            on_transition: Box::new(on_transition),
        })
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.inner.lock().state()
    }

    /// Asks to make a call.
    pub(crate) fn acquire(self: &Arc<Self>) -> Result<Permit, Refused> {
        let (result, transition) = self.try_enter(Instant::now());
        if let Some(state) = transition {
            (self.on_transition)(state);
        }
        result.map(|()| Permit {
            breaker: Arc::clone(self),
            reported: false,
        })
    }

    fn try_enter(&self, now: Instant) -> (Result<(), Refused>, Option<BreakerState>) {
        let mut inner = self.inner.lock();
        match &mut *inner {
            Inner::Closed { .. } => (Ok(()), None),
            Inner::Open { since } => {
                let open_for = now.duration_since(*since);
                if open_for < self.settings.open_for {
                    let retry_after = self.settings.open_for - open_for;
                    return (Err(Refused { retry_after }), None);
                }
                // open -> half-open: the wait is over, this call is the probe.
                *inner = Inner::HalfOpen {
                    successes: 0,
                    probing: true,
                };
                (Ok(()), Some(BreakerState::HalfOpen))
            }
            Inner::HalfOpen { probing: true, .. } => (
                Err(Refused {
                    retry_after: Duration::ZERO,
                }),
                None,
            ),
            Inner::HalfOpen { probing, .. } => {
                *probing = true;
                (Ok(()), None)
            }
        }
    }

    fn report(&self, outcome: Outcome) {
        let transition = self.apply(outcome, Instant::now());
        if let Some(state) = transition {
            (self.on_transition)(state);
        }
    }

    fn apply(&self, outcome: Outcome, now: Instant) -> Option<BreakerState> {
        let mut inner = self.inner.lock();
        match (&mut *inner, outcome) {
            (Inner::Closed { failures }, Outcome::Success) => *failures = 0,
            (Inner::Closed { failures }, Outcome::Failure) => {
                *failures += 1;
                if *failures >= self.settings.failures_to_open {
                    // closed -> open: too many failures in a row.
                    *inner = Inner::Open { since: now };
                    return Some(BreakerState::Open);
                }
            }
            (Inner::HalfOpen { successes, probing }, Outcome::Success) => {
                *successes += 1;
                *probing = false;
                if *successes >= self.settings.successes_to_close {
                    // half-open -> closed: the dependency is back.
                    *inner = Inner::Closed { failures: 0 };
                    return Some(BreakerState::Closed);
                }
            }
            (Inner::HalfOpen { .. }, Outcome::Failure) => {
                // half-open -> open: the probe failed.
                *inner = Inner::Open { since: now };
                return Some(BreakerState::Open);
            }
            (Inner::HalfOpen { probing, .. }, Outcome::Unknown) => *probing = false,
            // A call that began while the breaker was closed ends after it
            // opened: the state has moved on without it.
            (Inner::Open { .. }, _) | (Inner::Closed { .. }, Outcome::Unknown) => {}
        }
        None
    }
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Success,
    Failure,
    Unknown,
}

impl Permit {
    pub(crate) fn success(mut self) {
        self.reported = true;
        self.breaker.report(Outcome::Success);
    }

    pub(crate) fn failure(mut self) {
        self.reported = true;
        self.breaker.report(Outcome::Failure);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.reported {
            self.breaker.report(Outcome::Unknown);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn breaker() -> (Arc<Breaker>, Arc<Mutex<Vec<&'static str>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let settings = BreakerSettings {
            failures_to_open: 3,
            open_for: Duration::from_secs(10),
            successes_to_close: 2,
        };
        let breaker = Breaker::new(settings, move |state| log.lock().push(state.as_str()));
        (breaker, seen)
    }

    fn fail(breaker: &Arc<Breaker>, times: u32) {
        for _ in 0..times {
            breaker.acquire().unwrap().failure();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn opens_probes_and_closes() {
        let (breaker, seen) = breaker();
        fail(&breaker, 3);
        assert_eq!(breaker.state(), BreakerState::Open);
        let refused = breaker.acquire().unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(10));

        tokio::time::advance(Duration::from_secs(10)).await;
        let probe = breaker.acquire().unwrap();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.acquire().is_err(), "one probe at a time");
        probe.success();
        breaker.acquire().unwrap().success();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(*seen.lock(), ["open", "half_open", "closed"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_resets_the_count() {
        let (breaker, _) = breaker();
        fail(&breaker, 2);
        breaker.acquire().unwrap().success();
        fail(&breaker, 2);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_probe_opens_again_for_the_whole_time() {
        let (breaker, seen) = breaker();
        fail(&breaker, 3);
        tokio::time::advance(Duration::from_secs(11)).await;
        breaker.acquire().unwrap().failure();
        tokio::time::advance(Duration::from_secs(9)).await;
        assert!(breaker.acquire().is_err());
        assert_eq!(*seen.lock(), ["open", "half_open", "open"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_abandoned_probe_frees_the_slot() {
        let (breaker, _) = breaker();
        fail(&breaker, 3);
        tokio::time::advance(Duration::from_secs(10)).await;
        drop(breaker.acquire().unwrap());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.acquire().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_report_does_not_move_an_open_breaker() {
        let (breaker, _) = breaker();
        let late = breaker.acquire().unwrap();
        fail(&breaker, 3);
        late.success();
        assert_eq!(breaker.state(), BreakerState::Open);
    }
}
