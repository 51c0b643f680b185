//! The typed handles.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A float that many threads change.
#[derive(Debug, Default)]
pub(crate) struct AtomicFloat(AtomicU64);

impl AtomicFloat {
    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn add(&self, delta: f64) {
        let mut current = self.0.load(Ordering::Relaxed);
        loop {
            let next = (f64::from_bits(current) + delta).to_bits();
            match self
                .0
                .compare_exchange_weak(current, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(actual) => current = actual,
            }
        }
    }
}

/// A value that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(pub(crate) Arc<AtomicFloat>);

impl Counter {
    /// Adds one.
    pub fn inc(&self) {
        self.0.add(1.0);
    }

    /// Adds an amount; negative amounts and NaN are ignored, because a counter never decreases.
    pub fn add(&self, amount: f64) {
        if amount > 0.0 {
            self.0.add(amount);
        }
    }

    /// Takes over a total that is counted elsewhere; smaller totals are ignored.
    pub fn set_total(&self, total: f64) {
        if total > self.0.get() {
            self.0.set(total);
        }
    }

    /// The current total.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

/// A value that goes up and down.
#[derive(Clone, Debug, Default)]
pub struct Gauge(pub(crate) Arc<AtomicFloat>);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// Adds an amount, which may be negative.
    pub fn add(&self, amount: f64) {
        self.0.add(amount);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.0.add(1.0);
    }

    /// Subtracts one.
    pub fn dec(&self) {
        self.0.add(-1.0);
    }

    /// The current value.
    #[must_use]
    pub fn get(&self) -> f64 {
        self.0.get()
    }
}

#[derive(Debug)]
pub(crate) struct HistogramCore {
    /// Ascending, without +Inf.
    pub(crate) bounds: Vec<f64>,
    /// One more than `bounds`; not cumulative.
    pub(crate) buckets: Vec<AtomicU64>,
    pub(crate) sum: AtomicFloat,
}

/// A classic histogram.
#[derive(Clone, Debug)]
pub struct Histogram(pub(crate) Arc<HistogramCore>);

impl Histogram {
    pub(crate) fn new(bounds: &[f64]) -> Self {
        let mut bounds: Vec<f64> = bounds.iter().copied().filter(|b| b.is_finite()).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(HistogramCore {
            bounds,
            buckets,
            sum: AtomicFloat::default(),
        }))
    }

    /// Records one observation; NaN is ignored.
    pub fn observe(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let index = self.0.bounds.partition_point(|bound| *bound < value);
        self.0.buckets[index].fetch_add(1, Ordering::Relaxed);
        self.0.sum.add(value);
    }

    /// Number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0
            .buckets
            .iter()
            .map(|b| b.load(Ordering::Relaxed))
            .sum()
    }
}

/// Observations a summary keeps at most: bounds its memory and the cost of a rendering.
const SUMMARY_WINDOW_LEN: usize = 512;
/// Age after which an observation no longer counts for the quantiles, as in Prometheus' own client.
const SUMMARY_MAX_AGE: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(crate) struct SummaryState {
    recent: VecDeque<(Instant, f64)>,
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

/// A summary with quantiles over recent observations.
#[derive(Clone, Debug)]
pub struct Summary {
    pub(crate) quantiles: Arc<[f64]>,
    pub(crate) state: Arc<Mutex<SummaryState>>,
}

impl Summary {
    pub(crate) fn new(quantiles: &[f64]) -> Self {
        Self {
            quantiles: Arc::from(quantiles),
            state: Arc::default(),
        }
    }

    /// Records one observation.
    pub fn observe(&self, value: f64) {
        let mut state = self.state.lock();
        state.count += 1;
        state.sum += value;
        if state.recent.len() == SUMMARY_WINDOW_LEN {
            state.recent.pop_front();
        }
        state.recent.push_back((Instant::now(), value));
    }

    /// The quantiles' values (NaN without recent observations), the sum and the count.
    pub(crate) fn snapshot(&self) -> (Vec<(f64, f64)>, f64, u64) {
        let mut state = self.state.lock();
        while state
            .recent
            .front()
            .is_some_and(|(at, _)| at.elapsed() > SUMMARY_MAX_AGE)
        {
            state.recent.pop_front();
        }
        let mut sorted: Vec<f64> = state.recent.iter().map(|(_, v)| *v).collect();
        sorted.sort_by(f64::total_cmp);
        let pick = |q: f64| match sorted.len() {
            0 => f64::NAN,
            n => sorted[((q * n as f64).ceil() as usize).clamp(1, n) - 1],
        };
        (
            self.quantiles.iter().map(|q| (*q, pick(*q))).collect(),
            state.sum,
            state.count,
        )
    }
}
