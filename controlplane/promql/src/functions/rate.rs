//! `rate`, `increase`, `delta` with extrapolation to the window's ends; `irate`, `idelta`.

use std::sync::Arc;

use crate::annotations::{AnnotationKind, HistogramOperation};
use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, RangeFunction, RangeInput, Window};
use crate::eval::sliding::Regular;

use bellwether_model::histogram::CounterResetHint;

use super::start_time::{begun, overlap, restarted};
use super::{extended, rate_histogram};

/// The family of functions that compare the ends of a window.
#[derive(Debug)]
pub(crate) struct ExtrapolatedRate {
    pub(crate) counter: bool,
    pub(crate) per_second: bool,
    /// Indexes of floats before which the counter began anew: they are less than the one before, or their start
    /// timestamp says so.
    resets: Vec<usize>,
    /// The first entry of `resets` that may be inside the window; only grows.
    next_reset: usize,
    /// Indexes of floats whose start timestamps overlap with the sample before.
    overlaps: Vec<usize>,
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
            overlaps: Vec::new(),
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
        let (mut reach, w) = window();
        reach.limit_start(Some(zero_after));
        change * self.factor(&reach, w)
    }

    /// Histograms, samples with start timestamps, and selectors that are anchored or smoothed.
    #[cold]
    fn seldom(&mut self, w: &Window<'_>, env: &mut Env<'_>) -> Option<Sample> {
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
        if w.h.is_empty() {
            self.float(w, env)
        } else {
            self.histogram(w, env)
        }
    }

    fn usual_factor(&self, times: &[i64], w: &Window<'_>) -> Factor {
        let mut reach = Reach::new(times, w);
        reach.limit_start(None);
        Factor {
            sampled: reach.sampled,
            to_start: reach.to_start,
            factor: self.factor(&reach, w),
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

    fn float(&mut self, w: &Window<'_>, env: &mut Env<'_>) -> Option<Sample> {
        let times = w.float_times();
        let inside = w.f.start + 1..w.f.end;
        if self.overlaps.iter().any(|i| inside.contains(i)) {
            env.note(AnnotationKind::StartTimeOverlap);
        }
        let first = w.floats()[0];
        let mut change = self.float_change(w);
        let mut reach = Reach::new(times, w);
        if let Some(start) = self.start_inside(&w.input.float_starts, w.f.start, times[0], w) {
            reach.began_at(start);
            change += first;
        } else if times.len() < 2 {
            return None;
        } else {
            let zero_after = (self.counter && change > 0.0 && first >= 0.0)
                .then(|| reach.sampled * (first / change));
            reach.limit_start(zero_after);
        }
        Some(Sample::Float(change * self.factor(&reach, w)))
    }

    fn histogram(&self, w: &Window<'_>, env: &mut Env<'_>) -> Option<Sample> {
        let (times, all) = (w.histogram_times(), w.histograms());
        let starts = w.input.histogram_starts.get(w.h.clone()).unwrap_or(&[]);
        let mut change = None;
        if all.len() > 1 {
            change = Some(rate_histogram::change(
                all,
                (starts, times),
                self.counter,
                env,
            )?);
        }
        let mut reach = Reach::new(times, w);
        let start = self.start_inside(&w.input.histogram_starts, w.h.start, times[0], w);
        let mut change = match (start, change) {
            (Some(start), change) => {
                reach.began_at(start);
                match change {
                    Some(change) => rate_histogram::plus(change, &all[0], env)?,
                    None => (*all[0]).clone(),
                }
            }
            (None, Some(change)) => {
                let first = all[0].count;
                let zero_after = (self.counter && change.count > 0.0 && first >= 0.0)
                    .then(|| reach.sampled * (first / change.count));
                reach.limit_start(zero_after);
                change
            }
            (None, None) => return None,
        };
        change.mul(self.factor(&reach, w));
        Some(Sample::Histogram(Arc::new(change)))
    }

    /// The start timestamp of the window's first sample, where the counter began inside the window.
    fn start_inside(&self, starts: &[i64], at: usize, first: i64, w: &Window<'_>) -> Option<i64> {
        let start = starts.get(at).copied().filter(|_| self.counter)?;
        (start != 0 && start > w.start && start < first).then_some(start)
    }

    fn factor(&self, reach: &Reach, w: &Window<'_>) -> f64 {
        let factor = reach.factor();
        if self.per_second {
            factor / w.range_seconds()
        } else {
            factor
        }
    }
}

/// How far a window's first and last sample lie apart and from its ends, in seconds.
#[derive(Clone, Copy, Debug)]
struct Reach {
    last: i64,
    sampled: f64,
    to_start: f64,
    to_end: f64,
    /// Between two samples; zero for a single one.
    average: f64,
}

impl Reach {
    fn new(times: &[i64], w: &Window<'_>) -> Self {
        let (first, last) = (times[0], times[times.len() - 1]);
        let sampled = (last - first) as f64 / 1000.0;
        Self {
            last,
            sampled,
            to_start: (first - w.start) as f64 / 1000.0,
            to_end: (w.end - last) as f64 / 1000.0,
            average: match times.len() {
                1 => 0.0,
                n => sampled / (n - 1) as f64,
            },
        }
    }

    fn threshold(&self) -> f64 {
        self.average * 1.1
    }

    /// The counter is known to have been zero at a time inside the window.
    fn began_at(&mut self, start: i64) {
        self.sampled = (self.last - start) as f64 / 1000.0;
        self.to_start = 0.0;
    }

    /// How far to extrapolate to the left. `zero_after` is the time in seconds that the counter took from zero to
    /// the first sample at the same slope, where that makes sense.
    fn limit_start(&mut self, zero_after: Option<f64>) {
        if self.to_start >= self.threshold() {
            self.to_start = self.average / 2.0;
        }
        if let Some(zero) = zero_after
            && zero < self.to_start
        {
            self.to_start = zero;
        }
    }

    /// By what to multiply the change between first and last sample.
    fn factor(&self) -> f64 {
        let to_end = if self.to_end >= self.threshold() {
            self.average / 2.0
        } else {
            self.to_end
        };
        if self.sampled == 0.0 {
            return 1.0;
        }
        (self.sampled + self.to_start + to_end) / self.sampled
    }
}

/// Samples that are searched for resets at once.
const BLOCK: usize = 64;

/// The indexes of values that are less than the one before. Whole blocks without one, nearly all of them, take a few
/// wide comparisons.
fn find_falls(values: &[f64], found: &mut Vec<usize>) {
    let after = values.get(1..).unwrap_or_default();
    for (block, (old, new)) in values.chunks(BLOCK).zip(after.chunks(BLOCK)).enumerate() {
        let falls = || old.iter().zip(new).map(|(old, new)| new < old);
        if falls().fold(false, |any, fall| any | fall) {
            let places = falls().enumerate().filter(|(_, fall)| *fall);
            found.extend(places.map(|(i, _)| block * BLOCK + i + 1));
        }
    }
}

impl RangeFunction for ExtrapolatedRate {
    fn begin(&mut self, input: &RangeInput) {
        self.resets.clear();
        self.next_reset = 0;
        self.overlaps.clear();
        if !self.counter {
            return;
        }
        let values = &input.floats;
        if input.float_starts.is_empty() {
            return find_falls(values, &mut self.resets);
        }
        for i in 1..values.len() {
            let at = |i| begun(&input.float_starts, &input.float_times, i);
            let (previous, current) = (at(i - 1), at(i));
            if values[i] < values[i - 1] || restarted(previous, current) {
                self.resets.push(i);
            }
            if overlap(previous, current) {
                self.overlaps.push(i);
            }
        }
    }

    fn eval_regular(&mut self, windows: &Regular<'_>, out: &mut [f64]) -> bool {
        let w = &windows.window;
        let plain = self.resets.is_empty() && w.input.float_starts.is_empty();
        if w.f.len() < 2 || !plain {
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
        if !w.h.is_empty() || w.anchored || w.smoothed || !w.input.float_starts.is_empty() {
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
        let input = w.input;
        let mut newest = || {
            let ft = f.checked_sub(1).map(|i| w.float_times()[i]);
            let ht = h.checked_sub(1).map(|i| w.histogram_times()[i]);
            if ht > ft {
                h -= 1;
                let at = begun(
                    &input.histogram_starts,
                    &input.histogram_times,
                    w.h.start + h,
                );
                (at, None, Some(&w.histograms()[h]))
            } else {
                f -= 1;
                let at = begun(&input.float_starts, &input.float_times, w.f.start + f);
                (at, Some(w.floats()[f]), None)
            }
        };
        let (last, previous) = (newest(), newest());
        let seconds = (last.0.time - previous.0.time) as f64 / 1000.0;
        let restarted = restarted(previous.0, last.0);
        if seconds == 0.0 {
            return Ok(None);
        }
        match (last, previous) {
            ((_, Some(new), _), (_, Some(old), _)) => {
                // After a reset the value itself is the increase.
                let change = if self.rate && (new < old || restarted) {
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
                if !self.rate || !(restarted || new.detect_reset(old)) {
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
