//! `sum_over_time` and `avg_over_time`: compensated sums of windows.
//!
//! The last digit of such a sum depends on the order of its additions, so that nothing is left of one window for the
//! next. But windows do not depend on each other: those that look alike are added up side by side, a window in each
//! lane of a vector.

use fearless_simd::{Level, Select as _, Simd, SimdBase as _, SimdFrom as _};
use fearless_simd::{dispatch, f64x8};

use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, RangeFunction, Window};
use crate::eval::sliding::Regular;

use super::over_time;

/// Windows that are added up side by side.
const LANES: usize = 8;
/// Additions after which a query has to be asked whether it shall go on: some milliseconds.
const LONGEST: usize = 8 << 20;

/// The sum of a window, or its mean.
#[derive(Debug)]
pub(crate) struct Sums {
    pub(crate) mean: bool,
}

/// The compensated sum of each of some slices of one length, and what it lacks. Infinite ones are not right.
#[inline(always)]
fn add_up<S: Simd>(simd: S, windows: [&[f64]; LANES], len: usize) -> ([f64; LANES], [f64; LANES]) {
    let windows = windows.map(|values| &values[..len]);
    let (mut sum, mut rest) = (f64x8::splat(simd, 0.0), f64x8::splat(simd, 0.0));
    for i in 0..len {
        let v = f64x8::simd_from(simd, windows.map(|values| values[i]));
        let new = sum + v;
        // As in `kahan_add`: from the greater one.
        let old_is_more = sum.abs().simd_ge(v.abs());
        let (more, less) = (old_is_more.select(sum, v), old_is_more.select(v, sum));
        rest += (more - new) + less;
        sum = new;
    }
    (*sum, *rest)
}

impl Sums {
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
        let window = |n: usize| {
            let start = windows.window.f.start + n * windows.stride;
            &floats[start..start + len]
        };
        for (n, out) in out.chunks_mut(LANES).enumerate() {
            let first = n * LANES;
            if out.len() < LANES {
                for (lane, out) in out.iter_mut().enumerate() {
                    *out = self.of(window(first + lane));
                }
                continue;
            }
            let all: [&[f64]; LANES] = std::array::from_fn(|lane| window(first + lane));
            let (sums, rests) = dispatch!(Level::new(), simd => add_up(simd, all, len));
            for (lane, out) in out.iter_mut().enumerate() {
                let (sum, rest) = (sums[lane], rests[lane]);
                *out = if !sum.is_finite() {
                    self.of(all[lane])
                } else if self.mean {
                    sum / len as f64 + rest / len as f64
                } else {
                    sum + rest
                };
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
                let mut function = Sums { mean };
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
