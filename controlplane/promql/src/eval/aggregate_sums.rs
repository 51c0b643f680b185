//! Compensated sums and means of a group, one for each step. Their parts are apart, so that several steps are added to at
//! once.

use bellwether_model::float::kahan_add;
use fearless_simd::{Level, dispatch};

use crate::functions::Mean;

use super::column::{absent, is_absent};

/// Compensated sums.
pub(super) struct Sums {
    /// [`absent`] before the first number.
    sums: Vec<f64>,
    /// What the sums lack.
    rests: Vec<f64>,
}

impl Sums {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            sums: vec![absent(); steps],
            rests: vec![0.0; steps],
        }
    }

    /// Whether a step has a sum.
    pub(super) fn has(&self, step: usize) -> bool {
        !is_absent(self.sums[step])
    }

    pub(super) fn add_at(&mut self, step: usize, v: f64) {
        let (sum, rest) = (&mut self.sums[step], &mut self.rests[step]);
        (*sum, *rest) = if is_absent(*sum) {
            (v, 0.0)
        } else {
            kahan_add(v, *sum, *rest)
        };
    }

    /// Adds a value, which may be absent, to each step.
    pub(super) fn add(&mut self, values: &[f64]) {
        if let [v] = values {
            if !is_absent(*v) {
                self.add_at(0, *v);
            }
            return;
        }
        dispatch!(Level::new(), _ => add_all(&mut self.sums, &mut self.rests, values));
    }

    /// The sums of all steps that have one.
    pub(super) fn finish(self) -> impl Iterator<Item = Option<f64>> {
        let cells = self.sums.into_iter().zip(self.rests);
        cells.map(|(sum, rest)| (!is_absent(sum)).then_some(sum + rest))
    }
}

/// Chooses instead of branching, so that the compiler makes vectors of it.
#[inline(always)]
fn add_all(sums: &mut [f64], rests: &mut [f64], values: &[f64]) {
    for ((sum, rest), v) in sums.iter_mut().zip(rests).zip(values) {
        let added = kahan_add(*v, *sum, *rest);
        let first = is_absent(*sum);
        let new = if first { *v } else { added.0 };
        let new_rest = if first { 0.0 } else { added.1 };
        let none = is_absent(*v);
        *sum = if none { *sum } else { new };
        *rest = if none { *rest } else { new_rest };
    }
}

/// Compensated means.
pub(super) struct Means {
    /// Sums and how many numbers they have, as long as none became infinite.
    sums: Option<(Sums, Vec<f64>)>,
    /// From then on.
    means: Vec<Option<Mean>>,
}

impl Means {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            sums: Some((Sums::new(steps), vec![0.0; steps])),
            means: Vec::new(),
        }
    }

    /// Whether a step has a mean.
    pub(super) fn has(&self, step: usize) -> bool {
        match &self.sums {
            Some((sums, _)) => sums.has(step),
            None => self.means[step].is_some(),
        }
    }

    pub(super) fn add_at(&mut self, step: usize, v: f64) {
        add_to(&mut self.one_by_one()[step], v);
    }

    /// Adds a value, which may be absent, to each step.
    pub(super) fn add(&mut self, values: &[f64]) {
        if let Some((sums, counts)) = &mut self.sums
            && dispatch!(Level::new(), _ => add_finite(sums, counts, values))
        {
            return;
        }
        for (mean, v) in self.one_by_one().iter_mut().zip(values) {
            if !is_absent(*v) {
                add_to(mean, *v);
            }
        }
    }

    /// A mean for each step, which takes any number.
    fn one_by_one(&mut self) -> &mut [Option<Mean>] {
        if let Some((sums, counts)) = self.sums.take() {
            let sums = sums.sums.into_iter().zip(sums.rests);
            let means = sums.zip(counts).map(|((sum, rest), count)| {
                (!is_absent(sum)).then(|| Mean::of_sum(sum, rest, count))
            });
            self.means = means.collect();
        }
        &mut self.means
    }

    /// The means of all steps that have one.
    pub(super) fn finish(mut self) -> impl Iterator<Item = Option<f64>> {
        self.one_by_one();
        let means = self.means.into_iter();
        means.map(|mean| mean.map(|mean| mean.value()))
    }
}

fn add_to(mean: &mut Option<Mean>, v: f64) {
    match mean {
        Some(mean) => mean.add(v),
        None => *mean = Some(Mean::new(v)),
    }
}

/// Adds to sums that stay finite. False, and nothing done, where one would not.
#[inline(always)]
fn add_finite(to: &mut Sums, counts: &mut [f64], values: &[f64]) -> bool {
    let pairs = to.sums.iter().zip(values);
    if pairs.fold(false, |any, (sum, v)| any | (sum + v).is_infinite()) {
        return false;
    }
    add_all(&mut to.sums, &mut to.rests, values);
    for (count, v) in counts.iter_mut().zip(values) {
        *count += if is_absent(*v) { 0.0 } else { 1.0 };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            12 => -1e6..1e6f64,
            2 => Just(absent()),
            1 => any::<u64>().prop_map(f64::from_bits),
            1 => prop_oneof![Just(f64::INFINITY), Just(f64::NAN), Just(f64::MAX), Just(-0.0)],
        ]
    }

    proptest! {
        #[test]
        fn means_are_those_of_one_number_after_the_other(
            rows in proptest::collection::vec(proptest::collection::vec(value(), 19), 1..12),
            single in proptest::option::of(0usize..12),
        ) {
            let mut means = Means::new(19);
            let mut wanted: Vec<Option<Mean>> = vec![None; 19];
            for (i, row) in rows.iter().enumerate() {
                if single == Some(i) {
                    for (step, v) in row.iter().enumerate().filter(|(_, v)| !is_absent(**v)) {
                        means.add_at(step, *v);
                    }
                } else {
                    means.add(row);
                }
                for (mean, v) in wanted.iter_mut().zip(row).filter(|(_, v)| !is_absent(**v)) {
                    add_to(mean, *v);
                }
            }
            for (step, mean) in wanted.iter().enumerate() {
                prop_assert_eq!(means.has(step), mean.is_some());
            }
            for (got, want) in means.finish().zip(wanted) {
                let want = want.map(|mean| mean.value());
                // The bits of a NaN say nothing.
                let bits = |v: Option<f64>| v.map(|v| if v.is_nan() { f64::NAN } else { v }.to_bits());
                prop_assert_eq!(bits(got), bits(want));
            }
        }
    }
}
