//! `sum_over_time` and `avg_over_time`: compensated sums of windows.
//!
//! The last digit of such a sum depends on the order of its additions, so that nothing is left of one window for the
//! next. But windows do not depend on each other: those that look alike are added up side by side, a window in each
//! lane of some vectors.

use fearless_simd::{Level, Select as _, Simd, SimdBase as _, dispatch};

use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, RangeFunction, Window};
use crate::eval::sliding::Regular;

use super::over_time;

/// Vectors of windows that are added up side by side: an addition takes its time, and the next one of the same window
/// has to wait for it.
const VECTORS: usize = 4;
/// Additions after which a query has to be asked whether it shall go on: some milliseconds.
const LONGEST: usize = 8 << 20;

/// The sum of a window, or its mean.
#[derive(Debug)]
pub(crate) struct Sums {
    mean: bool,
    /// Samples in the order that [`Turned`] wants.
    scratch: Vec<f64>,
}

/// Samples such that the same sample of neighbouring windows, `stride` samples from each other, are neighbours: first
/// every `stride`th one, then those after them, and so on.
struct Turned<'a> {
    samples: &'a [f64],
    /// From a sample to the one that came after it.
    width: usize,
    stride: usize,
}

impl<'a> Turned<'a> {
    /// Turns the samples of so many windows of a length.
    fn new(
        samples: &'a [f64],
        (len, stride, windows): (usize, usize, usize),
        scratch: &'a mut Vec<f64>,
    ) -> Self {
        if stride == 1 {
            return Self {
                samples,
                width: 0,
                stride,
            };
        }
        let width = windows + (len - 1) / stride;
        scratch.clear();
        for from in 0..stride.min(len) {
            scratch.extend(samples[from..].iter().step_by(stride).take(width));
            // No window has samples there.
            scratch.resize((from + 1) * width, 0.0);
        }
        Self {
            samples: scratch,
            width,
            stride,
        }
    }

    /// The compensated sums, or means, of windows that fill some vectors. Those that are not finite are not right.
    #[inline(always)]
    fn add_up<S: Simd, const N: usize>(
        &self,
        simd: S,
        first: usize,
        (len, mean): (usize, bool),
        out: &mut [f64],
    ) {
        let lanes = S::f64s::LEN;
        let (mut sums, mut rests) = (
            [S::f64s::splat(simd, 0.0); N],
            [S::f64s::splat(simd, 0.0); N],
        );
        let (mut row, mut column) = (0, 0);
        for _ in 0..len {
            let at = row * self.width + column + first;
            let samples = &self.samples[at..at + N * lanes];
            for n in 0..N {
                let v = S::f64s::from_slice(simd, &samples[n * lanes..(n + 1) * lanes]);
                let sum = sums[n];
                let new = sum + v;
                // As in `kahan_add`: from the greater one.
                let old_is_more = sum.abs().simd_ge(v.abs());
                let (more, less) = (old_is_more.select(sum, v), old_is_more.select(v, sum));
                rests[n] += (more - new) + less;
                sums[n] = new;
            }
            row += 1;
            if row == self.stride {
                (row, column) = (0, column + 1);
            }
        }
        let count = S::f64s::splat(simd, len as f64);
        for (n, out) in out.chunks_exact_mut(lanes).take(N).enumerate() {
            let (sum, rest) = (sums[n], rests[n]);
            let result = if mean {
                sum / count + rest / count
            } else {
                sum + rest
            };
            result.store_slice(out);
        }
    }

    /// As [`Turned::add_up`], of all windows, of which there are at least as many as a vector has lanes.
    #[inline(always)]
    fn add_all<S: Simd>(&self, simd: S, what: (usize, bool), out: &mut [f64]) {
        let (lanes, mut first) = (S::f64s::LEN, 0);
        while first + VECTORS * lanes <= out.len() {
            self.add_up::<S, VECTORS>(simd, first, what, &mut out[first..]);
            first += VECTORS * lanes;
        }
        while first < out.len() {
            // The last vector has some windows again.
            first = first.min(out.len() - lanes);
            self.add_up::<S, 1>(simd, first, what, &mut out[first..]);
            first += lanes;
        }
    }
}

impl Sums {
    pub(crate) const SUM: Self = Self::new(false);
    pub(crate) const MEAN: Self = Self::new(true);

    const fn new(mean: bool) -> Self {
        Self {
            mean,
            scratch: Vec::new(),
        }
    }

    fn of(&self, values: &[f64]) -> f64 {
        if self.mean {
            return over_time::mean_of(values);
        }
        over_time::sum_of(values)
    }
}

impl RangeFunction for Sums {
    fn eval(
        &mut self,
        window: &Window<'_>,
        env: &mut Env<'_>,
    ) -> Result<Option<Sample>, QueryError> {
        if self.mean {
            over_time::avg(window, env)
        } else {
            over_time::sum(window, env)
        }
    }

    fn eval_regular(&mut self, windows: &Regular<'_>, out: &mut [f64]) -> bool {
        let (floats, len) = (&windows.window.input.floats, windows.window.f.len());
        if len == 0 || len.saturating_mul(out.len()) > LONGEST {
            return false;
        }
        let (stride, mean) = (windows.stride, self.mean);
        let samples = &floats[windows.window.f.start..];
        // The most lanes of a vector.
        if out.len() >= 8 {
            let shape = (len, stride, out.len());
            let turned = Turned::new(samples, shape, &mut self.scratch);
            dispatch!(Level::new(), simd => turned.add_all(simd, (len, mean), out));
        } else {
            out.fill(f64::NAN);
        }
        for (n, out) in out.iter_mut().enumerate() {
            if !out.is_finite() {
                *out = self.of(&samples[n * stride..n * stride + len]);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::ranges::RangeInput;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => -1e6..1e6f64,
            2 => any::<u64>().prop_map(f64::from_bits),
            1 => prop_oneof![Just(f64::INFINITY), Just(f64::NAN), Just(f64::MAX), Just(-0.0)],
        ]
    }

    proptest! {
        #[test]
        fn windows_side_by_side_have_the_same_last_digit(
            values in proptest::collection::vec(value(), 1..120),
            (len, stride) in (1usize..30, 1usize..5),
        ) {
            let input = RangeInput::of_floats(&values);
            prop_assume!(len <= values.len());
            let steps = (values.len() - len) / stride + 1;
            let windows = Regular::of_floats(&input, len, stride, steps);
            for mean in [false, true] {
                let mut function = Sums::new(mean);
                let mut out = vec![0.0; steps];
                prop_assert!(function.eval_regular(&windows, &mut out));
                for (n, out) in out.iter().enumerate() {
                    let wanted = function.of(&values[n * stride..n * stride + len]);
                    // The bits of a NaN say nothing.
                    let same = out.to_bits() == wanted.to_bits() || out.is_nan() && wanted.is_nan();
                    prop_assert!(same, "{out} {wanted}");
                }
            }
        }
    }
}
