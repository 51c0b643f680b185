//! Windows that slide over the samples of one series.

use std::ops::Range;

use crate::annotations::Annotations;
use crate::error::QueryError;

use super::column::{Row, Sample, histogram_weight};
use super::context::{Context, StepWeights};
use super::ranges::{Env, Job, RangeFunction, RangeInput, Window};

/// A series with the windows that are to slide over it.
pub(crate) struct Sliding<'a> {
    pub(super) ctx: &'a Context<'a>,
    pub(super) job: &'a Job<'a>,
    pub(super) input: &'a RangeInput,
    /// The series' metric name.
    pub(super) name: &'a str,
    /// Milliseconds around the window that the function sees too.
    pub(super) back: i64,
    pub(super) ahead: i64,
    pub(super) anchored: bool,
    pub(super) smoothed: bool,
}

/// Windows over samples in regular distances, as far as all samples are there: from step to step both ends move on
/// by the same number of samples.
pub(crate) struct Regular<'a> {
    /// The first of them.
    pub(crate) window: Window<'a>,
    /// Samples from step to step.
    pub(crate) stride: usize,
    /// The steps whose windows these are.
    steps: Range<usize>,
}

#[cfg(test)]
impl<'a> Regular<'a> {
    /// Windows over so many of the floats each.
    pub(crate) fn of_floats(
        input: &'a RangeInput,
        len: usize,
        stride: usize,
        steps: usize,
    ) -> Self {
        Self {
            window: Window {
                input,
                f: 0..len,
                h: 0..0,
                t: 0,
                start: 0,
                end: 0,
                anchored: false,
                smoothed: false,
            },
            stride,
            steps: 0..steps,
        }
    }
}

/// Samples in windows after which a query is asked whether it shall go on: some milliseconds of the slowest functions.
pub(super) const CHECK_EVERY: usize = 128 * 1024;

/// What the windows of a series weighed, in samples.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weights {
    pub(super) sum: usize,
    pub(super) widest: usize,
}

impl<'a> Sliding<'a> {
    /// The windows that see regular floats only; `None` where there are none.
    fn regular(&self) -> Option<Regular<'a>> {
        let (job, input) = (self.job, self.input);
        let times = input.float_times.as_slice();
        let [first, second, ..] = times else {
            return None;
        };
        let plain = input.histogram_times.is_empty()
            && !self.anchored
            && !self.smoothed
            && !job.is_fixed()
            && job.args.is_empty();
        let (distance, step) = (second - first, job.grid.step);
        if !plain || distance <= 0 || step % distance != 0 || !has_distance(times, distance) {
            return None;
        }
        let end = job.data_time(job.grid.start);
        let start = end.saturating_sub(job.range_ms);
        // A window begins with the sample that would be next to one before it, and ends before the one after the last.
        let from = steps_until(start, step, first.saturating_sub(distance));
        let all = distance.saturating_mul(times.len() as i64);
        let until = steps_until(end, step, first.saturating_add(all)).min(job.grid.steps());
        if from >= until {
            return None;
        }
        let moved = step.saturating_mul(from as i64);
        let (start, end) = (start.saturating_add(moved), end.saturating_add(moved));
        let index = |t: i64| usize::try_from((t - first).div_euclid(distance) + 1).ok();
        Some(Regular {
            window: Window {
                input,
                f: index(start)?..index(end)?,
                h: 0..0,
                t: job.grid.time(from),
                start,
                end,
                anchored: false,
                smoothed: false,
            },
            stride: usize::try_from(step / distance).ok()?,
            steps: from..until,
        })
    }

    /// The times that a window's function sees.
    #[inline(always)]
    fn sight(&self, start: i64, end: i64) -> (i64, i64) {
        let from = start.saturating_sub(self.back);
        (from, end.saturating_add(self.ahead))
    }

    /// What each of the series' histograms weighs at most.
    fn weight_of_histogram(&self) -> usize {
        let weights = self.input.histograms.iter().map(|h| histogram_weight(h));
        weights.max().unwrap_or(0)
    }

    /// What each window weighs, as [`Self::slide`] adds it up.
    pub(super) fn each_weight(&self, tell: &mut StepWeights<'_>) {
        let weigh = self.weight_of_histogram();
        let (mut f, mut h) = (Slider::default(), Slider::default());
        for step in 0..self.job.grid.steps() {
            let end = self.job.data_time(self.job.grid.time(step));
            let (from, until) = self.sight(end.saturating_sub(self.job.range_ms), end);
            f.slide(&self.input.float_times, from, until);
            h.slide(&self.input.histogram_times, from, until);
            tell(step, (f.end - f.start) + (h.end - h.start) * weigh);
        }
    }

    #[inline(always)]
    pub(super) fn slide<F: RangeFunction + ?Sized>(
        &self,
        function: &mut F,
        row: &mut Row,
        notes: &mut Annotations,
    ) -> Result<Weights, QueryError> {
        let (job, input) = (self.job, self.input);
        function.begin(input);
        let mut args = vec![0.0; job.args.len()];
        let (mut f, mut h) = (Slider::default(), Slider::default());
        let mut weights = Weights::default();
        let weigh = self.weight_of_histogram();
        let regular = self.regular();
        let mut check_at = CHECK_EVERY;
        let mut next = 0;
        while next < job.grid.steps() {
            let step = next;
            next += 1;
            if let Some(r) = regular.as_ref().filter(|r| r.steps.start == step)
                && row.histograms.is_none()
                && function.eval_regular(r, &mut row.values[r.steps.clone()])
            {
                next = r.steps.end;
                weights.sum += r.window.f.len() * r.steps.len();
                weights.widest = weights.widest.max(r.window.f.len());
                f.start = r.window.f.start + r.stride * (r.steps.len() - 1);
                f.end = f.start + r.window.f.len();
                continue;
            }
            let t = job.grid.time(step);
            let end = job.data_time(t);
            let start = end.saturating_sub(job.range_ms);
            let (from, until) = self.sight(start, end);
            f.slide(&input.float_times, from, until);
            h.slide(&input.histogram_times, from, until);
            let weight = (f.end - f.start) + (h.end - h.start) * weigh;
            if f.start == f.end && h.start == h.end {
                continue;
            }
            weights.sum += weight;
            weights.widest = weights.widest.max(weight);
            // Wide windows over many steps take long, also those of a single series.
            if weights.sum >= check_at {
                self.ctx.check()?;
                check_at = weights.sum + CHECK_EVERY;
            }
            for (to, from) in args.iter_mut().zip(&job.args) {
                *to = from[step];
            }
            let window = Window {
                input,
                f: f.start..f.end,
                h: h.start..h.end,
                t,
                start,
                end,
                anchored: self.anchored,
                smoothed: self.smoothed,
            };
            let mut env = Env {
                args: &args,
                name: self.name,
                span: job.span,
                first_span: job.first_span,
                notes,
            };
            match function.eval(&window, &mut env)? {
                Some(Sample::Float(v)) if row.histograms.is_none() => row.values[step] = v,
                Some(sample) => row.set(step, sample),
                None => {}
            }
        }
        Ok(weights)
    }
}

/// Whether all times have a distance.
pub(super) fn has_distance(times: &[i64], distance: i64) -> bool {
    let after = times.get(1..).unwrap_or_default();
    let pairs = times.iter().zip(after);
    // Without an exit in between the compiler compares several times at once.
    pairs.fold(true, |all, (a, b)| all & (b.wrapping_sub(*a) == distance))
}

/// The number of steps that `t` needs to reach a time or come after it.
pub(super) fn steps_until(t: i64, step: i64, time: i64) -> usize {
    let way = time.saturating_sub(t).max(0);
    usize::try_from(way / step + i64::from(way % step != 0)).unwrap_or(usize::MAX)
}

/// An index range over times whose ends only move forward.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slider {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// How far the ends moved last time: with samples in regular distances they will do so again.
    stride: (usize, usize),
}

impl Slider {
    /// Moves to the times in `(after, until]`.
    #[inline(always)]
    pub(crate) fn slide(&mut self, times: &[i64], after: i64, until: i64) {
        let end = forward(times, self.end, self.stride.1, until);
        let start = forward(times, self.start, self.stride.0, after).min(end);
        self.stride = (start - self.start, end - self.end);
        (self.start, self.end) = (start, end);
    }
}

/// The first index from `at` on with a later time than `until`; looks at `at + guess` first.
#[inline(always)]
fn forward(times: &[i64], mut at: usize, guess: usize, until: i64) -> usize {
    let guess = at + guess;
    if guess > 0
        && times.get(guess - 1).is_some_and(|t| *t <= until)
        && times.get(guess).is_none_or(|t| *t > until)
    {
        return guess;
    }
    while times.get(at).is_some_and(|t| *t <= until) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_slider_finds_what_a_search_finds(
            distances in proptest::collection::vec(prop_oneof![6 => Just(15i64), 1 => 1i64..200], 0..80),
            (first, step, range) in (-100i64..100, 1i64..90, 1i64..300),
        ) {
            let mut t = 0;
            let times: Vec<i64> = distances.iter().map(|d| { t += d; t }).collect();
            let mut slider = Slider::default();
            for i in 0..60 {
                let until = first + i * step;
                slider.slide(&times, until - range, until);
                let index = |t| times.partition_point(|x| *x <= t);
                prop_assert_eq!((slider.start, slider.end), (index(until - range), index(until)));
            }
        }
    }
}
