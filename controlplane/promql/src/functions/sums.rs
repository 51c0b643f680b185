//! `sum_over_time`, `avg_over_time`, `stdvar_over_time` and `stddev_over_time`: compensated sums of windows.
//!
//! The last digit of such a sum depends on the order of its additions, so that nothing is left of one window for the
//! next. But windows do not depend on each other: those that look alike are added up side by side, a window in each
//! lane of some vectors.

use fearless_simd::{Level, Select as _, Simd, SimdBase as _, SimdFloat as _, dispatch};

use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, RangeFunction, Window};
use crate::eval::sliding::Regular;

use super::neighbours::{Fold, Turned};
use super::over_time;

/// Additions after which a query has to be asked whether it shall go on: some milliseconds.
const LONGEST: usize = 8 << 20;

/// What is made of a window.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Of {
    Sum,
    Mean,
    Variance,
    Deviation,
}

/// Sums of windows, or what is made of them.
#[derive(Debug)]
pub(crate) struct Sums {
    of: Of,
    /// For [`Turned`].
    scratch: Vec<f64>,
}

/// A compensated sum, right as long as it is finite.
#[derive(Clone, Copy)]
struct Sum<S: Simd> {
    sum: S::f64s,
    rest: S::f64s,
}

impl<S: Simd> Sum<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        let zero = S::f64s::splat(simd, 0.0);
        Self {
            sum: zero,
            rest: zero,
        }
    }

    #[inline(always)]
    fn add(&mut self, v: S::f64s) {
        let new = self.sum + v;
        // As in `kahan_add`: from the greater one.
        let old_is_more = self.sum.abs().simd_ge(v.abs());
        let more = old_is_more.select(self.sum, v);
        let less = old_is_more.select(v, self.sum);
        self.rest += (more - new) + less;
        self.sum = new;
    }

    #[inline(always)]
    fn total(self) -> S::f64s {
        self.sum + self.rest
    }
}

impl<S: Simd> Fold<S> for Sum<S> {
    #[inline(always)]
    fn begin(simd: S) -> Self {
        Self::zero(simd)
    }

    #[inline(always)]
    fn add(&mut self, v: S::f64s, _: S::f64s) {
        self.add(v);
    }

    #[inline(always)]
    fn finish(self, _: S::f64s) -> S::f64s {
        self.total()
    }
}

#[derive(Clone, Copy)]
struct Mean<S: Simd>(Sum<S>);

impl<S: Simd> Fold<S> for Mean<S> {
    #[inline(always)]
    fn begin(simd: S) -> Self {
        Self(Sum::zero(simd))
    }

    #[inline(always)]
    fn add(&mut self, v: S::f64s, _: S::f64s) {
        self.0.add(v);
    }

    #[inline(always)]
    fn finish(self, count: S::f64s) -> S::f64s {
        self.0.sum / count + self.0.rest / count
    }
}

/// Welford's mean and squared deviations, as in [`over_time::variance`].
#[derive(Clone, Copy)]
struct Variance<S: Simd> {
    mean: Sum<S>,
    squares: Sum<S>,
}

impl<S: Simd> Fold<S> for Variance<S> {
    #[inline(always)]
    fn begin(simd: S) -> Self {
        Self {
            mean: Sum::zero(simd),
            squares: Sum::zero(simd),
        }
    }

    #[inline(always)]
    fn add(&mut self, v: S::f64s, count: S::f64s) {
        let delta = v - self.mean.total();
        self.mean.add(delta / count);
        self.squares.add(delta * (v - self.mean.total()));
    }

    #[inline(always)]
    fn finish(self, count: S::f64s) -> S::f64s {
        self.squares.total() / count
    }
}

#[derive(Clone, Copy)]
struct Deviation<S: Simd>(Variance<S>);

impl<S: Simd> Fold<S> for Deviation<S> {
    #[inline(always)]
    fn begin(simd: S) -> Self {
        Self(Variance::begin(simd))
    }

    #[inline(always)]
    fn add(&mut self, v: S::f64s, count: S::f64s) {
        self.0.add(v, count);
    }

    #[inline(always)]
    fn finish(self, count: S::f64s) -> S::f64s {
        self.0.finish(count).sqrt()
    }
}

impl Sums {
    pub(crate) const fn new(of: Of) -> Self {
        Self {
            of,
            scratch: Vec::new(),
        }
    }

    fn one(&self, values: &[f64]) -> f64 {
        match self.of {
            Of::Sum => over_time::sum_of(values),
            Of::Mean => over_time::mean_of(values),
            Of::Variance => over_time::variance(values),
            Of::Deviation => over_time::variance(values).sqrt(),
        }
    }
}

/// The results of all windows. Those that are not finite are not right.
#[inline(always)]
fn fold<S: Simd>(simd: S, of: Of, windows: &Turned<'_>, len: usize, out: &mut [f64]) {
    match of {
        Of::Sum => windows.fold::<S, Sum<S>>(simd, len, out),
        Of::Mean => windows.fold::<S, Mean<S>>(simd, len, out),
        Of::Variance => windows.fold::<S, Variance<S>>(simd, len, out),
        Of::Deviation => windows.fold::<S, Deviation<S>>(simd, len, out),
    }
}

impl RangeFunction for Sums {
    fn eval(
        &mut self,
        window: &Window<'_>,
        env: &mut Env<'_>,
    ) -> Result<Option<Sample>, QueryError> {
        match self.of {
            Of::Sum => over_time::sum(window, env),
            Of::Mean => over_time::avg(window, env),
            Of::Variance => over_time::stdvar(window, env),
            Of::Deviation => over_time::stddev(window, env),
        }
    }

    fn eval_regular(&mut self, windows: &Regular<'_>, out: &mut [f64]) -> bool {
        let (floats, len) = (&windows.window.input.floats, windows.window.f.len());
        if len == 0 || len.saturating_mul(out.len()) > LONGEST {
            return false;
        }
        let (stride, of) = (windows.stride, self.of);
        let samples = &floats[windows.window.f.start..];
        // The most lanes of a vector.
        if out.len() >= 8 {
            let shape = (len, stride, out.len());
            let turned = Turned::new(samples, shape, &mut self.scratch);
            dispatch!(Level::new(), simd => fold(simd, of, &turned, len, out));
        } else {
            out.fill(f64::NAN);
        }
        for (n, out) in out.iter_mut().enumerate() {
            if !out.is_finite() {
                *out = self.one(&samples[n * stride..n * stride + len]);
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
            for of in [Of::Sum, Of::Mean, Of::Variance, Of::Deviation] {
                let mut function = Sums::new(of);
                let mut out = vec![0.0; steps];
                prop_assert!(function.eval_regular(&windows, &mut out));
                for (n, out) in out.iter().enumerate() {
                    let wanted = function.one(&values[n * stride..n * stride + len]);
                    // The bits of a NaN say nothing.
                    let same = out.to_bits() == wanted.to_bits() || out.is_nan() && wanted.is_nan();
                    prop_assert!(same, "{of:?} {out} {wanted}");
                }
            }
        }
    }
}
