//! When each request is due, for every pattern.
//!
//! A pattern is a rate over time, r(t), between `rate` and `peak`. Request k is due when k requests
//! should have left, at the t where the integral N(t) of r is k: the schedule is fixed before the
//! load starts, and does not depend on answers.
//!
//! | pattern | r(t) |
//! |---|---|
//! | steady | `rate` |
//! | ramp | rises evenly from `rate` to `peak` over the duration |
//! | spike | `rate`; `peak` in the middle fifth of the duration |
//! | burst | groups: 10 s of `peak` after every 20 s of `rate` |
//! | wave | swings evenly between `rate` and `peak`, once a minute |
//!
//! Without a duration a ramp takes five minutes and then stays at its peak, and a spike comes every
//! five minutes.

use std::time::Duration;

use crate::config::Pattern;

/// Stands for the duration of an endless load, in seconds.
const ENDLESS_PERIOD_S: f64 = 300.0;
/// Part of its period that a spike takes, in the middle.
const SPIKE_PART: f64 = 0.2;
/// Length of a burst with the quiet time before it, in seconds.
const BURST_PERIOD_S: f64 = 30.0;
/// Length of a burst, in seconds.
const BURST_S: f64 = 10.0;
/// Length of a wave, in seconds.
const WAVE_PERIOD_S: f64 = 60.0;
/// Halvings of an interval of at most `1 / rate` seconds: below a nanosecond for every rate above
/// one request in half an hour.
const HALVINGS: u32 = 40;

/// The schedule of one load.
#[derive(Debug, Clone)]
pub(crate) struct Schedule {
    shape: Shape,
    rate: f64,
    /// What the peak is above the rate; 0 or more.
    extra: f64,
    index: u64,
    /// When the last request was due, in seconds.
    last_s: f64,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Steady,
    Ramp {
        period_s: f64,
    },
    /// `peak` from `from_s` to `to_s` of every period.
    Windows {
        period_s: f64,
        from_s: f64,
        to_s: f64,
    },
    Wave,
}

impl Schedule {
    /// `peak` is at least `rate`.
    pub(crate) fn new(pattern: Pattern, rate: f64, peak: f64, duration: Option<Duration>) -> Self {
        let period_s = duration.map_or(ENDLESS_PERIOD_S, |d| d.as_secs_f64());
        let shape = match pattern {
            Pattern::Steady => Shape::Steady,
            Pattern::Ramp => Shape::Ramp { period_s },
            Pattern::Spike => Shape::Windows {
                period_s,
                from_s: period_s * (0.5 - SPIKE_PART / 2.0),
                to_s: period_s * (0.5 + SPIKE_PART / 2.0),
            },
            Pattern::Burst => Shape::Windows {
                period_s: BURST_PERIOD_S,
                from_s: BURST_PERIOD_S - BURST_S,
                to_s: BURST_PERIOD_S,
            },
            Pattern::Wave => Shape::Wave,
        };
        Self {
            shape,
            rate,
            extra: peak - rate,
            index: 0,
            last_s: 0.0,
        }
    }

    /// When the next request is due, from the start.
    pub(crate) fn next_offset(&mut self) -> Duration {
        // Exact below 2^53 requests: three thousand years at the highest rate.
        let count = self.index as f64;
        self.index += 1;
        let offset_s = match self.shape {
            Shape::Steady => count / self.rate,
            _ => self.time_of(count),
        };
        self.last_s = offset_s;
        Duration::from_secs_f64(offset_s)
    }

    /// The t with N(t) = `count`, by halving: N rises, and the next request comes at the latest
    /// where the base rate alone has it.
    fn time_of(&self, count: f64) -> f64 {
        let mut low = self.last_s;
        let mut high = self.last_s + if count > 0.0 { 1.0 / self.rate } else { 0.0 };
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(low, high);
            if self.count_until(middle) < count {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// N(t): requests that should have left after `t` seconds.
    fn count_until(&self, t: f64) -> f64 {
        let above = match self.shape {
            Shape::Steady => 0.0,
            Shape::Ramp { period_s } => {
                let rising = t.min(period_s);
                rising * rising / (2.0 * period_s) + (t - rising)
            }
            Shape::Windows {
                period_s,
                from_s,
                to_s,
            } => {
                let whole = (t / period_s).floor();
                let within = t - whole * period_s;
                whole * (to_s - from_s) + (within.min(to_s) - from_s).max(0.0)
            }
            Shape::Wave => {
                let turn = std::f64::consts::TAU / WAVE_PERIOD_S;
                (t - (turn * t).sin() / turn) / 2.0
            }
        };
        self.rate * t + self.extra * above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Requests due in each interval of `width` seconds of the first `seconds`.
    fn counts(pattern: Pattern, rate: f64, peak: f64, seconds: usize, width: usize) -> Vec<usize> {
        let mut schedule = Schedule::new(pattern, rate, peak, Some(MINUTE));
        let mut counts = vec![0; seconds / width];
        let mut last = Duration::ZERO;
        loop {
            let offset = schedule.next_offset();
            assert!(offset >= last, "the schedule goes forward");
            last = offset;
            match counts.get_mut(offset.as_secs() as usize / width) {
                Some(count) => *count += 1,
                None => return counts,
            }
        }
    }

    /// Within one of what is expected: an edge may fall on either side.
    fn assert_close(got: &[usize], expected: &[usize]) {
        let close = got.len() == expected.len()
            && got.iter().zip(expected).all(|(a, b)| a.abs_diff(*b) <= 1);
        assert!(close, "{got:?}, expected {expected:?}");
    }

    #[test]
    fn steady_is_even() {
        assert_eq!(counts(Pattern::Steady, 10.0, 10.0, 60, 10), [100; 6]);
    }

    #[test]
    fn a_ramp_rises_to_its_peak_and_stays() {
        let got = counts(Pattern::Ramp, 0.5, 120.5, 80, 10);
        // The mean of the rate over each interval, times 10 s.
        assert_close(&got, &[105, 305, 505, 705, 905, 1105, 1205, 1205]);
    }

    #[test]
    fn a_spike_takes_the_middle_fifth() {
        let got = counts(Pattern::Spike, 10.0, 200.0, 60, 12);
        assert_close(&got, &[120, 120, 2400, 120, 120]);
    }

    #[test]
    fn bursts_come_in_groups() {
        let got = counts(Pattern::Burst, 5.0, 20.0, 60, 10);
        assert_close(&got, &[50, 50, 200, 50, 50, 200]);
    }

    #[test]
    fn a_wave_swings_between_both() {
        let got = counts(Pattern::Wave, 10.0, 30.0, 120, 15);
        // A quarter of a wave: 15 s of the mean, less or more by the area under the swing.
        let swing = (10.0_f64 * 15.0 * 2.0 / std::f64::consts::PI).round() as usize;
        let (low, high) = (300 - swing, 300 + swing);
        assert_close(&got, &[low, high, high, low, low, high, high, low]);
    }

    #[test]
    fn a_peak_that_is_the_rate_is_steady() {
        for pattern in [Pattern::Ramp, Pattern::Spike, Pattern::Burst, Pattern::Wave] {
            assert_close(&counts(pattern, 7.0, 7.0, 60, 10), &[70; 6]);
        }
    }

    #[test]
    fn slow_rates_are_exact() {
        let mut schedule = Schedule::new(Pattern::Wave, 0.01, 0.01, None);
        let offsets: Vec<u64> = (0..4).map(|_| schedule.next_offset().as_secs()).collect();
        assert_close(
            &offsets.iter().map(|s| *s as usize).collect::<Vec<_>>(),
            &[0, 100, 200, 300],
        );
    }
}
