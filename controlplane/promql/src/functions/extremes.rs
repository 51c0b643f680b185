//! `min_over_time`, `max_over_time` and the times of the extremes, in amortised constant time per step.

use std::collections::VecDeque;

use crate::annotations::AnnotationKind;
use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, RangeFunction, RangeInput, Window};

/// Keeps the candidates of the sliding window: indexes whose value nobody behind them beats.
#[derive(Debug)]
pub(crate) struct Extreme {
    /// The greatest or the least value.
    greatest: bool,
    /// Its time instead of the value.
    time: bool,
    candidates: VecDeque<usize>,
    /// New candidates, from behind.
    new: Vec<usize>,
    /// First index not yet looked at.
    next: usize,
}

impl Extreme {
    /// The greatest value, or with `time` the time of its last occurrence.
    pub(crate) fn max(time: bool) -> Self {
        Self::new(true, time)
    }

    /// The least value, or with `time` the time of its last occurrence.
    pub(crate) fn min(time: bool) -> Self {
        Self::new(false, time)
    }

    fn new(greatest: bool, time: bool) -> Self {
        Self {
            greatest,
            time,
            candidates: VecDeque::new(),
            new: Vec::new(),
            next: 0,
        }
    }

    /// Whether `new` pushes `old` out of the candidates. Of equal values the first counts for the value, the last for
    /// the time.
    #[inline(always)]
    fn beats(&self, new: f64, old: f64) -> bool {
        let (more, less) = if self.greatest {
            (new, old)
        } else {
            (old, new)
        };
        if self.time { more >= less } else { more > less }
    }

    /// Takes the values up to `end` in. From behind few of them become candidates, so that most comparisons end
    /// alike; only the best of them can beat older ones.
    fn extend(&mut self, values: &[f64], end: usize) {
        let mut best = f64::NAN;
        for i in (self.next..end).rev() {
            let v = values[i];
            if !v.is_nan() && !self.beats(best, v) {
                best = v;
                self.new.push(i);
            }
        }
        while let Some(&i) = self.candidates.back()
            && self.beats(best, values[i])
        {
            self.candidates.pop_back();
        }
        self.candidates.extend(self.new.drain(..).rev());
        self.next = end;
    }
}

impl RangeFunction for Extreme {
    fn begin(&mut self, _: &RangeInput) {
        self.candidates.clear();
        self.next = 0;
    }

    fn eval(&mut self, w: &Window<'_>, env: &mut Env<'_>) -> Result<Option<Sample>, QueryError> {
        if w.f.is_empty() {
            return Ok(None);
        }
        if !w.h.is_empty() {
            env.note(AnnotationKind::HistogramIgnoredInMixedRange);
        }
        let values = &w.input.floats;
        if self.next <= w.f.start {
            // Nothing in common with the window before.
            self.candidates.clear();
            self.next = w.f.start;
        }
        self.extend(values, w.f.end);
        while self.candidates.front().is_some_and(|&i| i < w.f.start) {
            self.candidates.pop_front();
        }
        // Only NaN in the window: the last one.
        let best = self.candidates.front().copied().unwrap_or(w.f.end - 1);
        Ok(Some(Sample::Float(if self.time {
            w.input.float_times[best] as f64 / 1000.0
        } else {
            values[best]
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::Annotations;
    use crate::ast::Span;

    /// What Prometheus does: one pass over the whole window.
    fn one_pass(values: &[f64], better: fn(f64, f64) -> bool) -> f64 {
        let mut best = values[0];
        for v in values {
            if better(*v, best) || best.is_nan() {
                best = *v;
            }
        }
        best
    }

    #[test]
    fn equals_a_pass_over_every_window() {
        let mut state = 7u64;
        let floats: Vec<f64> = (0..500)
            .map(|_| {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                match (state >> 33) % 12 {
                    0 => f64::NAN,
                    1 => -0.0,
                    n => n as f64 - 4.0,
                }
            })
            .collect();
        let input = RangeInput::of_floats(&floats);
        for (width, stride) in [(1, 1), (3, 1), (40, 1), (3, 2), (3, 5), (40, 17), (40, 63)] {
            let (mut max, mut min) = (Extreme::max(false), Extreme::min(false));
            max.begin(&input);
            min.begin(&input);
            for end in (1..=500usize).step_by(stride) {
                let f = end.saturating_sub(width)..end;
                let w = Window {
                    input: &input,
                    f: f.clone(),
                    h: 0..0,
                    t: 0,
                    start: 0,
                    end: 0,
                    anchored: false,
                    smoothed: false,
                };
                let mut notes = Annotations::new();
                let mut env = Env {
                    args: &[],
                    name: "",
                    span: Span::default(),
                    first_span: Span::default(),
                    notes: &mut notes,
                };
                for (function, better) in [
                    (&mut max, (|a, b| a > b) as fn(f64, f64) -> bool),
                    (&mut min, |a, b| a < b),
                ] {
                    let Ok(Some(Sample::Float(got))) = function.eval(&w, &mut env) else {
                        panic!("no value");
                    };
                    let want = one_pass(&floats[f.clone()], better);
                    assert!(got.to_bits() == want.to_bits() || got.is_nan() && want.is_nan());
                }
            }
        }
    }
}
