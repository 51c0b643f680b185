//! `rate`, `increase`, `delta` with extrapolation to the window's ends; `irate`, `idelta`.

use std::sync::Arc;

use crate::annotations::{AnnotationKind, HistogramOperation};
use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, RangeFunction, RangeInput, Regular, Window};

use bellwether_model::histogram::CounterResetHint;

use super::{extended, rate_histogram};

/// The family of functions that compare the ends of a window.
#[derive(Debug)]
pub(crate) struct ExtrapolatedRate {
    pub(crate) counter: bool,
    pub(crate) per_second: bool,
    /// Indexes of floats that are less than the one before.
    resets: Vec<usize>,
    /// The first entry of `resets` that may be inside the window; only grows.
    next_reset: usize,
    /// The factor of the last window: with samples in regular distances that of the next is the same.
    last: Option<(Distances, Factor)>,
}

/// What the factor of a window depends on, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Distances {
    samples: usize,
    sampled: i64,
    to_start: i64,
    to_end: i64,
    range: i64,
}

/// By what to multiply the change in a window when nothing is known of a zero before it.
#[derive(Clone, Copy, Debug)]
struct Factor {
    sampled: f64,
    to_start: f64,
    factor: f64,
}

impl ExtrapolatedRate {
    pub(crate) const RATE: Self = Self::new(true, true);
    pub(crate) const INCREASE: Self = Self::new(true, false);
    pub(crate) const DELTA: Self = Self::new(false, false);

    const fn new(counter: bool, per_second: bool) -> Self {
        Self {
            counter,
            per_second,
            resets: Vec::new(),
            next_reset: 0,
            last: None,
        }
    }

    /// The rate of a window of floats.
    #[inline(always)]
    fn floats(&mut self, w: &Window<'_>) -> f64 {
        let (times, change, first) = (w.float_times(), self.float_change(w), w.floats()[0]);
        let (begin, end) = (times[0], times[times.len() - 1]);
        let distances = Distances {
            samples: times.len(),
            sampled: end - begin,
            to_start: begin - w.start,
            to_end: w.end - end,
            range: w.end - w.start,
        };
        let usual = match self.last {
            Some((known, factor)) if known == distances => factor,
            _ => {
                let factor = self.usual_factor(times, w);
                self.last = Some((distances, factor));
                factor
            }
        };
        self.extrapolate(first, change, usual, || (Reach::new(times, w), w))
    }

    /// The rate from the first value and the change in a window.
    #[inline(always)]
    fn extrapolate<'a>(
        &self,
        first: f64,
        change: f64,
        usual: Factor,
        window: impl Fn() -> (Reach, &'a Window<'a>),
    ) -> f64 {
        let may_reach_zero = self.counter && change > 0.0 && first >= 0.0;
        if !may_reach_zero {
            return change * usual.factor;
        }
        // Did the counter stand at zero within the window? Nearly always one look says no; the margin is for what
        // the products round off.
        let product = first * usual.sampled;
        if product > 1e-300 && product > 1.0001 * usual.to_start * change {
            return change * usual.factor;
        }
        let zero_after = usual.sampled * (first / change);
        let (reach, w) = window();
        change * self.scaled(reach.factor(Some(zero_after)), w)
    }

    /// Histograms, and selectors that are anchored or smoothed.
    #[cold]
    fn seldom(&self, w: &Window<'_>, env: &mut Env<'_>) -> Option<Sample> {
        if !w.f.is_empty() && !w.h.is_empty() {
            env.note(AnnotationKind::MixedFloatsHistograms);
            return None;
        }
        if w.anchored || w.smoothed {
            return if w.h.is_empty() {
                extended::float_rate(w, self.counter, self.per_second).map(Sample::Float)
            } else {
                extended::histogram_rate(w, self.counter, self.per_second, env)
                    .map(|h| Sample::Histogram(Arc::new(h)))
            };
        }
        if w.h.len() < 2 {
            return None;
        }
        let mut change = rate_histogram::change(w.histograms(), self.counter, env)?;
        let reach = Reach::new(w.histogram_times(), w);
        let first = w.histograms()[0].count;
        let zero_after = (self.counter && change.count > 0.0 && first >= 0.0)
            .then(|| reach.sampled * (first / change.count));
        let mut factor = reach.factor(zero_after);
        if self.per_second {
            factor /= w.range_seconds();
        }
        change.mul(factor);
        Some(Sample::Histogram(Arc::new(change)))
    }

    fn usual_factor(&self, times: &[i64], w: &Window<'_>) -> Factor {
        let reach = Reach::new(times, w);
        Factor {
            sampled: reach.sampled,
            to_start: reach.to_start_at_most(),
            factor: self.scaled(reach.factor(None), w),
        }
    }

    fn scaled(&self, factor: f64, w: &Window<'_>) -> f64 {
        if self.per_second {
            factor / w.range_seconds()
        } else {
            factor
        }
    }

    /// Last minus first, plus what counter resets hid. The additions happen in time order.
    fn float_change(&mut self, w: &Window<'_>) -> f64 {
        let values = &w.input.floats;
        let mut change = values[w.f.end - 1] - values[w.f.start];
        while self
            .resets
            .get(self.next_reset)
            .is_some_and(|&i| i <= w.f.start)
        {
            self.next_reset += 1;
        }
        for &i in &self.resets[self.next_reset..] {
            if i >= w.f.end {
                break;
            }
            change += values[i - 1];
        }
        change
    }
}

/// How far a window's first and last sample lie apart and from its ends, in seconds.
#[derive(Clone, Copy, Debug)]
struct Reach {
    sampled: f64,
    to_start: f64,
    to_end: f64,
    average: f64,
}

impl Reach {
    fn new(times: &[i64], w: &Window<'_>) -> Self {
        let (first, last) = (times[0], times[times.len() - 1]);
        let sampled = (last - first) as f64 / 1000.0;
        Self {
            sampled,
            to_start: (first - w.start) as f64 / 1000.0,
            to_end: (w.end - last) as f64 / 1000.0,
            average: sampled / (times.len() - 1) as f64,
        }
    }

    /// How far to extrapolate to the start.
    fn to_start_at_most(self) -> f64 {
        if self.to_start >= self.average * 1.1 {
            self.average / 2.0
        } else {
            self.to_start
        }
    }

    /// By what to multiply the change between first and last sample. `zero_after` is the time in seconds that
    /// the counter took from zero to the first sample at the same slope, where that makes sense.
    fn factor(mut self, zero_after: Option<f64>) -> f64 {
        let threshold = self.average * 1.1;
        self.to_start = self.to_start_at_most();
        if let Some(zero) = zero_after
            && zero < self.to_start
        {
            self.to_start = zero;
        }
        if self.to_end >= threshold {
            self.to_end = self.average / 2.0;
        }
        if self.sampled == 0.0 {
            return 1.0;
        }
        (self.sampled + self.to_start + self.to_end) / self.sampled
    }
}

/// Samples that are searched for resets at once.
const BLOCK: usize = 64;

impl RangeFunction for ExtrapolatedRate {
    fn begin(&mut self, input: &RangeInput) {
        self.resets.clear();
        self.next_reset = 0;
        if !self.counter {
            return;
        }
        // Whole blocks without a reset, nearly all of them, take a few wide comparisons.
        let after = input.floats.get(1..).unwrap_or_default();
        for (block, (old, new)) in input
            .floats
            .chunks(BLOCK)
            .zip(after.chunks(BLOCK))
            .enumerate()
        {
            let falls = || old.iter().zip(new).map(|(old, new)| new < old);
            if falls().fold(false, |any, fall| any | fall) {
                let places = falls().enumerate().filter(|(_, fall)| *fall);
                self.resets
                    .extend(places.map(|(i, _)| block * BLOCK + i + 1));
            }
        }
    }

    fn eval_regular(&mut self, windows: &Regular<'_>, out: &mut [f64]) -> bool {
        let w = &windows.window;
        if w.f.len() < 2 || !self.resets.is_empty() {
            return false;
        }
        let reach = Reach::new(w.float_times(), w);
        let usual = self.usual_factor(w.float_times(), w);
        let from = |index: usize| w.input.floats[index..].iter().step_by(windows.stride);
        let ends = from(w.f.start).zip(from(w.f.end - 1));
        for (out, (first, last)) in out.iter_mut().zip(ends) {
            *out = self.extrapolate(*first, last - first, usual, || (reach, w));
        }
        true
    }

    #[inline(always)]
    fn eval(&mut self, w: &Window<'_>, env: &mut Env<'_>) -> Result<Option<Sample>, QueryError> {
        if !w.h.is_empty() || w.anchored || w.smoothed {
            return Ok(self.seldom(w, env));
        }
        if w.f.len() < 2 {
            return Ok(None);
        }
        Ok(Some(Sample::Float(self.floats(w))))
    }
}

/// `irate` and `idelta`: the last two samples only.
#[derive(Debug)]
pub(crate) struct InstantDelta {
    pub(crate) rate: bool,
}

impl RangeFunction for InstantDelta {
    fn eval(&mut self, w: &Window<'_>, env: &mut Env<'_>) -> Result<Option<Sample>, QueryError> {
        if w.f.len() + w.h.len() < 2 {
            return Ok(None);
        }
        // Walk back through both lists by time to find the last two samples of either kind.
        let (mut f, mut h) = (w.f.len(), w.h.len());
        let mut newest = || {
            let ft = f.checked_sub(1).map(|i| w.float_times()[i]);
            let ht = h.checked_sub(1).map(|i| w.histogram_times()[i]);
            if ht > ft {
                h -= 1;
                (w.histogram_times()[h], None, Some(&w.histograms()[h]))
            } else {
                f -= 1;
                (w.float_times()[f], Some(w.floats()[f]), None)
            }
        };
        let (last, previous) = (newest(), newest());
        let seconds = (last.0 - previous.0) as f64 / 1000.0;
        if seconds == 0.0 {
            return Ok(None);
        }
        match (last, previous) {
            ((_, Some(new), _), (_, Some(old), _)) => {
                // After a reset the value itself is the increase.
                let change = if self.rate && new < old {
                    new
                } else {
                    new - old
                };
                Ok(Some(Sample::Float(if self.rate {
                    change / seconds
                } else {
                    change
                })))
            }
            ((_, _, Some(new)), (_, _, Some(old))) => {
                let gauges = [new, old].map(|h| h.reset_hint == CounterResetHint::Gauge);
                env.span = env.first_span;
                if self.rate && gauges.contains(&true) {
                    env.note(AnnotationKind::NativeNotCounter);
                }
                if !self.rate && gauges.contains(&false) {
                    env.note(AnnotationKind::NativeNotGauge);
                }
                let mut change = (**new).clone();
                if !self.rate || !new.detect_reset(old) {
                    let Ok(outcome) = change.sub(old) else {
                        env.note(AnnotationKind::MixedExponentialCustom);
                        return Ok(None);
                    };
                    if outcome.bounds_reconciled {
                        env.notes.add(
                            AnnotationKind::MismatchedCustomBuckets(
                                HistogramOperation::Subtraction,
                            ),
                            env.span,
                        );
                    }
                }
                change.reset_hint = CounterResetHint::Gauge;
                change.compact();
                if self.rate {
                    change.div(seconds);
                }
                Ok(Some(Sample::Histogram(Arc::new(change))))
            }
            _ => {
                env.note(AnnotationKind::MixedFloatsHistograms);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_are_found_wherever_they_are() {
        for len in [0, 1, 2, 63, 64, 65, 66, 127, 128, 129, 200] {
            let mut floats: Vec<f64> = (0..len).map(|i| f64::from(i % 64) * 2.0).collect();
            for reset in [1, 64, 65, 100, 199] {
                if let Some(v) = floats.get_mut(reset) {
                    *v = if reset == 100 { f64::NAN } else { -1.0 };
                }
            }
            let mut rate = ExtrapolatedRate::RATE;
            rate.begin(&RangeInput::of_floats(&floats));
            let wanted: Vec<usize> = (1..floats.len())
                .filter(|i| floats[*i] < floats[i - 1])
                .collect();
            assert_eq!(rate.resets, wanted);
        }
    }
}
