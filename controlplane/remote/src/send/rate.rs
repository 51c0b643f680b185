//! How many shards a queue needs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Seconds between two looks.
pub(crate) const TICK_SECONDS: f64 = 10.0;
/// Weight of the latest tick.
const WEIGHT: f64 = 0.2;
/// Up to this share more or fewer shards than wanted are left alone.
const TOLERANCE: f64 = 0.3;

/// Events per second, smoothed over ticks.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    events: AtomicU64,
    state: parking_lot::Mutex<(bool, f64)>,
}

impl Rate {
    pub(crate) fn add(&self, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
    }

    /// Takes what came since the last tick into account.
    pub(crate) fn tick(&self) {
        let new = self.events.swap(0, Ordering::Relaxed);
        let instant = new as f64 / TICK_SECONDS;
        let mut state = self.state.lock();
        if state.0 {
            state.1 += WEIGHT * (instant - state.1);
        } else if new > 0 {
            *state = (true, instant);
        }
    }

    pub(crate) fn get(&self) -> f64 {
        self.state.lock().1
    }
}

/// What the number of shards follows from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    /// Samples that storage takes, per second.
    pub(crate) in_rate: f64,
    /// Samples that were sent, per second.
    pub(crate) out_rate: f64,
    /// Samples that were left out, per second.
    pub(crate) dropped_rate: f64,
    /// Seconds spent sending, per second.
    pub(crate) out_seconds: f64,
    /// Seconds that the newest sample sent is behind the newest one stored.
    pub(crate) delay: f64,
}

/// Limits of the number of shards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardLimits {
    pub(crate) min: usize,
    pub(crate) max: usize,
}

/// The number of shards that a load wants (a fraction, as the metric shows it) and the number that there should be,
/// given how many there are. `None` while nothing was sent. The formula is Prometheus'.
pub(crate) fn desired(load: Load, current: usize, limits: ShardLimits) -> Option<(f64, usize)> {
    if load.out_rate <= 0.0 {
        return None;
    }
    let kept = load.out_rate / (load.dropped_rate + load.out_rate);
    // What piled up is to be made up for at 5 % a second.
    let backlog = load.delay * load.in_rate * kept;
    let seconds_per_sample = load.out_seconds / load.out_rate;
    let wanted = seconds_per_sample * (load.in_rate * kept + 0.05 * backlog);
    let now = current as f64;
    let rounded = wanted.ceil();
    if (now * (1.0 - TOLERANCE)..=now * (1.0 + TOLERANCE)).contains(&rounded) {
        return Some((wanted, current));
    }
    // Fewer shards only when not behind.
    if rounded < now && load.delay > 10.0 {
        return Some((wanted, current));
    }
    // Saturates, also for NaN.
    Some((wanted, (rounded as usize).clamp(limits.min, limits.max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: ShardLimits = ShardLimits { min: 1, max: 50 };

    fn load(in_rate: f64, latency: f64, delay: f64) -> Load {
        Load {
            in_rate,
            out_rate: 1000.0,
            dropped_rate: 0.0,
            out_seconds: 1000.0 * latency,
            delay,
        }
    }

    #[test]
    fn shards_follow_rate_latency_and_delay() {
        let check = |load, now, wanted: f64, shards| {
            let (found, number) = desired(load, now, LIMITS).unwrap_or_default();
            assert!((found - wanted).abs() < 1e-6, "{found} instead of {wanted}");
            assert_eq!(number, shards);
        };
        // 9 950 samples a second at 1 ms each are the work of ten shards.
        check(load(9_950.0, 0.001, 0.0), 1, 9.95, 10);
        // A minute behind: 5 % of it a second on top.
        check(load(9_950.0, 0.001, 60.0), 10, 39.8, 40);
        check(load(10_000.0, 0.1, 0.0), 10, 1000.0, 50);
        // Within the tolerance nothing changes.
        check(load(9_950.0, 0.0012, 0.0), 10, 11.94, 10);
        // Fewer only when it is not behind.
        check(load(10.0, 0.001, 11.0), 10, 0.0155, 10);
        check(load(10.0, 0.001, 5.0), 10, 0.0125, 1);
        assert_eq!(desired(Load::default(), 3, LIMITS), None);
    }

    #[test]
    fn a_rate_is_smoothed_over_ticks() {
        let rate = Rate::default();
        rate.tick();
        assert_eq!(rate.get(), 0.0);
        rate.add(100);
        rate.tick();
        assert_eq!(rate.get(), 10.0);
        rate.tick();
        assert_eq!(rate.get(), 8.0);
    }
}
