//! How a sample endpoint behaves: how long it takes and how often it fails.
//!
//! The numbers per endpoint are data ([`Profile`]); one driver plays them. All
//! chance comes from one seeded generator and all waiting from tokio's clock,
//! so a test with a seed and paused time is exact and takes no time.

use std::time::Duration;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::faults::FaultControl;

/// The shape of a latency distribution. All bounds are inclusive milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Latency {
    /// Answers at once.
    None,
    /// Every value between the bounds is equally likely.
    Uniform { min_ms: f64, max_ms: f64 },
    /// Bounded Pareto distribution: mostly near the minimum, with a tail that
    /// reaches the maximum. The smaller `alpha`, the heavier the tail.
    LongTail {
        min_ms: f64,
        max_ms: f64,
        alpha: f64,
    },
}

impl Latency {
    /// Draws one latency.
    pub(crate) fn sample(self, rng: &mut impl Rng) -> Duration {
        let ms = match self {
            Self::None => 0.0,
            Self::Uniform { min_ms, max_ms } => rng.random_range(min_ms..=max_ms),
            Self::LongTail {
                min_ms,
                max_ms,
                alpha,
            } => {
                // Inverse transform of the bounded Pareto distribution function.
                let u: f64 = rng.random();
                let ratio = (min_ms / max_ms).powf(alpha);
                min_ms / (1.0 - u * (1.0 - ratio)).powf(1.0 / alpha)
            }
        };
        Duration::from_secs_f64(ms / 1000.0)
    }
}

/// The normal behaviour of one route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Profile {
    /// The route template, also the key of per-route faults.
    pub(crate) route: &'static str,
    pub(crate) latency: Latency,
    /// Share of valid requests that succeed without any injected fault.
    pub(crate) success: f64,
    /// Whether general faults (error rate, latency for all) apply.
    pub(crate) faulty: bool,
}

/// What chance decided for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answer normally.
    Succeed,
    /// Fail as this service naturally does now and then.
    Fail,
    /// Fail because an operator asked for failures.
    FailByFault,
}

/// Draws latencies and verdicts. `rng` is the only shared state; its lock is
/// held for a few draws and never over an await.
#[derive(Debug)]
pub(crate) struct Behaviour {
    rng: Mutex<StdRng>,
    pub(crate) faults: FaultControl,
}

impl Behaviour {
    /// `seed` makes all draws repeatable; without it they come from the system.
    pub(crate) fn new(seed: Option<u64>, faults: FaultControl) -> Self {
        let rng = match seed {
            Some(seed) => StdRng::seed_from_u64(seed),
            None => StdRng::from_os_rng(),
        };
        Self {
            rng: Mutex::new(rng),
            faults,
        }
    }

    /// Runs `draw` with the generator.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.rng.lock())
    }

    /// Decides one request of `profile`: its whole latency and its verdict.
    pub(crate) fn decide(&self, profile: &Profile) -> (Duration, Verdict) {
        let faults = self.faults.current();
        self.draw(|rng| {
            let latency = profile.latency.sample(rng)
                + faults.added_latency(profile.route, profile.faulty, rng);
            // Both draws always happen, so that a fault does not shift the
            // sequence of everything that follows under the same seed.
            let natural = rng.random::<f64>() < profile.success;
            let spared = rng.random::<f64>() >= faults.error_rate;
            let verdict = match (profile.faulty && !spared, natural) {
                (true, _) => Verdict::FailByFault,
                (false, true) => Verdict::Succeed,
                (false, false) => Verdict::Fail,
            };
            (latency, verdict)
        })
    }

    /// Waits as long as the request should take, then says how it ends.
    pub(crate) async fn play(&self, profile: &Profile) -> Verdict {
        let (latency, verdict) = self.decide(profile);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::faults::Faults;

    const DRAWS: u32 = 20_000;

    fn behaviour(faults: Faults) -> Behaviour {
        let control = FaultControl::new(faults, &["/x"]).unwrap();
        Behaviour::new(Some(42), control)
    }

    fn profile(success: f64) -> Profile {
        Profile {
            route: "/x",
            latency: Latency::Uniform {
                min_ms: 50.0,
                max_ms: 200.0,
            },
            success,
            faulty: true,
        }
    }

    fn share(behaviour: &Behaviour, profile: &Profile, wanted: Verdict) -> f64 {
        let hits = (0..DRAWS)
            .filter(|_| behaviour.decide(profile).1 == wanted)
            .count();
        hits as f64 / f64::from(DRAWS)
    }

    #[test]
    fn success_share_follows_the_profile() {
        let behaviour = behaviour(Faults::default());
        for expected in [0.9, 0.95, 0.999, 1.0] {
            let got = share(&behaviour, &profile(expected), Verdict::Succeed);
            assert!((got - expected).abs() < 0.01, "{got} for {expected}");
        }
    }

    #[test]
    fn injected_failures_come_on_top() {
        let behaviour = behaviour(Faults {
            error_rate: 0.3,
            ..Faults::default()
        });
        let injected = share(&behaviour, &profile(0.9), Verdict::FailByFault);
        assert!((injected - 0.3).abs() < 0.015, "{injected}");
        let succeeded = share(&behaviour, &profile(0.9), Verdict::Succeed);
        assert!((succeeded - 0.63).abs() < 0.015, "{succeeded}");
    }

    #[test]
    fn uniform_latency_fills_its_bounds() {
        let behaviour = behaviour(Faults::default());
        let mut sum = Duration::ZERO;
        for _ in 0..DRAWS {
            let (latency, _) = behaviour.decide(&profile(1.0));
            assert!((Duration::from_millis(50)..=Duration::from_millis(200)).contains(&latency));
            sum += latency;
        }
        let mean_ms = sum.as_secs_f64() * 1000.0 / f64::from(DRAWS);
        assert!((mean_ms - 125.0).abs() < 2.0, "{mean_ms}");
    }

    #[test]
    fn the_long_tail_is_long_and_bounded() {
        let mut rng = StdRng::seed_from_u64(7);
        let tail = Latency::LongTail {
            min_ms: 10.0,
            max_ms: 1000.0,
            alpha: 1.0,
        };
        let mut all: Vec<f64> = (0..DRAWS)
            .map(|_| tail.sample(&mut rng).as_secs_f64() * 1000.0)
            .collect();
        all.sort_by(f64::total_cmp);
        let at = |q: f64| all[(q * (all.len() - 1) as f64) as usize];
        assert!(all[0] >= 10.0 - 1e-6 && at(1.0) <= 1000.0 + 1e-6);
        assert!(at(0.5) < 30.0, "median {}", at(0.5));
        assert!(at(0.99) > 400.0, "p99 {}", at(0.99));
    }

    #[test]
    fn the_same_seed_gives_the_same_story() {
        let (first, second) = (behaviour(Faults::default()), behaviour(Faults::default()));
        for _ in 0..100 {
            assert_eq!(first.decide(&profile(0.5)), second.decide(&profile(0.5)));
        }
    }
}
