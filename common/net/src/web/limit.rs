//! Requests in a time: a bucket of tokens.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::config::RateLimit;

/// One token comes back after each interval, up to the burst.
pub(crate) struct Limiter {
    interval: Duration,
    burst: f64,
    /// Tokens there, and when they were counted.
    state: Mutex<(f64, Instant)>,
}

impl Limiter {
    /// `None`: no limit.
    pub(crate) fn new(config: &RateLimit) -> Option<Self> {
        let burst = f64::from(config.burst);
        (!config.interval.0.is_zero()).then(|| Self {
            interval: config.interval.0,
            burst,
            state: Mutex::new((burst, Instant::now())),
        })
    }

    pub(crate) fn allows(&self) -> bool {
        self.allows_at(Instant::now())
    }

    fn allows_at(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        let (tokens, counted) = *state;
        let passed = now.saturating_duration_since(counted).as_secs_f64();
        let tokens = (tokens + passed / self.interval.as_secs_f64()).min(self.burst);
        let allowed = tokens >= 1.0;
        *state = (if allowed { tokens - 1.0 } else { tokens }, now);
        allowed
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use bellwether_yaml::PromDuration;

    #[test]
    fn a_burst_then_one_per_interval() {
        let config = RateLimit {
            burst: 2,
            interval: PromDuration(Duration::from_secs(10)),
        };
        let limiter = Limiter::new(&config).unwrap();
        let start = Instant::now();
        let at = |seconds| limiter.allows_at(start + Duration::from_secs(seconds));
        assert!(at(0) && at(0) && !at(0));
        assert!(!at(9) && at(11) && !at(12));
        assert!(Limiter::new(&RateLimit::default()).is_none());
    }
}
