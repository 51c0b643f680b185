//! `resets` and `changes`: how often neighbours differ inside a window.

use bellwether_model::FloatHistogram;

use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, RangeFunction, RangeInput, Window};

use super::start_time::{Begun, begun, restarted};

/// `resets`
#[derive(Debug, Default)]
pub(crate) struct Resets(Counter);

/// `changes`
#[derive(Debug, Default)]
pub(crate) struct Changes(Counter);

/// Counts neighbours for which something holds. `prefix[i]` is the count among the first `i + 1` samples, all
/// kinds merged by time, so that a window's count is a difference.
#[derive(Debug, Default)]
struct Counter {
    prefix: Vec<u32>,
    /// The merged order: positions of floats and histograms.
    float_at: Vec<usize>,
    histogram_at: Vec<usize>,
}

enum Item<'a> {
    Float(f64),
    Histogram(&'a FloatHistogram),
}

impl Counter {
    fn begin(
        &mut self,
        input: &RangeInput,
        floats: fn(f64, f64) -> bool,
        histograms: fn(&FloatHistogram, &FloatHistogram) -> bool,
        restarts: bool,
    ) {
        self.prefix.clear();
        self.float_at.clear();
        self.histogram_at.clear();
        let (mut f, mut h, mut count) = (0, 0, 0u32);
        let mut previous: Option<(Item<'_>, Begun)> = None;
        while f < input.floats.len() || h < input.histograms.len() {
            let float_next = h >= input.histograms.len()
                || (f < input.floats.len() && input.float_times[f] < input.histogram_times[h]);
            let current = if float_next {
                self.float_at.push(self.prefix.len());
                f += 1;
                let at = begun(&input.float_starts, &input.float_times, f - 1);
                (Item::Float(input.floats[f - 1]), at)
            } else {
                self.histogram_at.push(self.prefix.len());
                h += 1;
                let at = begun(&input.histogram_starts, &input.histogram_times, h - 1);
                (Item::Histogram(&input.histograms[h - 1]), at)
            };
            let differs = previous.as_ref().is_some_and(|previous| {
                let differs = match (&previous.0, &current.0) {
                    (Item::Float(a), Item::Float(b)) => floats(*a, *b),
                    (Item::Histogram(a), Item::Histogram(b)) => histograms(a, b),
                    // A change of kind counts as a reset and as a change.
                    _ => true,
                };
                differs || (restarts && restarted(previous.1, current.1))
            });
            count += u32::from(differs);
            self.prefix.push(count);
            previous = Some(current);
        }
    }

    fn eval(&self, w: &Window<'_>) -> Option<Sample> {
        let f = (!w.f.is_empty()).then(|| (self.float_at[w.f.start], self.float_at[w.f.end - 1]));
        let h = (!w.h.is_empty())
            .then(|| (self.histogram_at[w.h.start], self.histogram_at[w.h.end - 1]));
        let mut first = [f, h].iter().flatten().map(|r| r.0).min()?;
        let last = [f, h].iter().flatten().map(|r| r.1).max()?;
        if w.anchored {
            first = self.anchor(w, first, last)?;
        }
        Some(Sample::Float(f64::from(
            self.prefix[last] - self.prefix[first],
        )))
    }

    /// An anchored window starts with the last sample at or before its left end and needs one after it.
    fn anchor(&self, w: &Window<'_>, first: usize, last: usize) -> Option<usize> {
        let f = w.float_times().partition_point(|t| *t <= w.start);
        let h = w.histogram_times().partition_point(|t| *t <= w.start);
        if f == w.f.len() && h == w.h.len() {
            return None;
        }
        let before = [
            f.checked_sub(1).map(|i| self.float_at[w.f.start + i]),
            h.checked_sub(1).map(|i| self.histogram_at[w.h.start + i]),
        ];
        let anchor = before.into_iter().flatten().max().unwrap_or(first);
        (anchor <= last).then_some(anchor)
    }
}

impl RangeFunction for Resets {
    fn begin(&mut self, input: &RangeInput) {
        self.0
            .begin(input, |a, b| b < a, |a, b| b.detect_reset(a), true);
    }

    fn eval(&mut self, w: &Window<'_>, _: &mut Env<'_>) -> Result<Option<Sample>, QueryError> {
        Ok(self.0.eval(w))
    }
}

impl RangeFunction for Changes {
    fn begin(&mut self, input: &RangeInput) {
        self.0.begin(
            input,
            |a, b| a != b && !(a.is_nan() && b.is_nan()),
            |a, b| !b.equals(a),
            false,
        );
    }

    fn eval(&mut self, w: &Window<'_>, _: &mut Env<'_>) -> Result<Option<Sample>, QueryError> {
        Ok(self.0.eval(w))
    }
}
