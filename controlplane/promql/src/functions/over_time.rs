//! The `_over_time` family: aggregations of one series' window.

use std::sync::Arc;

use bellwether_model::FloatHistogram;
use bellwether_model::histogram::{CounterResetHint, IncompatibleSchema};

use crate::annotations::{AnnotationKind, Bits, HistogramOperation};
use crate::error::QueryError;
use crate::eval::column::Sample;
use crate::eval::ranges::{Env, Window};

use super::quantile::{kahan_add, quantile as quantile_of};

type Outcome = Result<Option<Sample>, QueryError>;

#[allow(clippy::unnecessary_wraps)]
fn float(v: f64) -> Outcome {
    Ok(Some(Sample::Float(v)))
}

/// For functions that know floats only: false when there is none, a note when histograms were left out.
fn floats_only(w: &Window<'_>, env: &mut Env<'_>) -> bool {
    if w.f.is_empty() {
        return false;
    }
    if !w.h.is_empty() {
        env.note(AnnotationKind::HistogramIgnoredInMixedRange);
    }
    true
}

pub(super) fn count(w: &Window<'_>, _: &mut Env<'_>) -> Outcome {
    float((w.f.len() + w.h.len()) as f64)
}

pub(super) fn present(_: &Window<'_>, _: &mut Env<'_>) -> Outcome {
    float(1.0)
}

pub(super) fn last(w: &Window<'_>, _: &mut Env<'_>) -> Outcome {
    Ok(match (w.float_times().last(), w.histogram_times().last()) {
        (ft, Some(ht)) if ft.is_none_or(|ft| ht >= ft) => w
            .histograms()
            .last()
            .map(|h| Sample::Histogram(Arc::clone(h))),
        _ => w.floats().last().map(|v| Sample::Float(*v)),
    })
}

pub(super) fn first(w: &Window<'_>, _: &mut Env<'_>) -> Outcome {
    Ok(
        match (w.float_times().first(), w.histogram_times().first()) {
            (ft, Some(ht)) if ft.is_none_or(|ft| ht <= ft) => w
                .histograms()
                .first()
                .map(|h| Sample::Histogram(Arc::clone(h))),
            _ => w.floats().first().map(|v| Sample::Float(*v)),
        },
    )
}

pub(super) fn ts_of_first(w: &Window<'_>, _: &mut Env<'_>) -> Outcome {
    let first = [w.float_times().first(), w.histogram_times().first()];
    Ok(first
        .into_iter()
        .flatten()
        .min()
        .map(|t| Sample::Float(*t as f64 / 1000.0)))
}

pub(super) fn ts_of_last(w: &Window<'_>, _: &mut Env<'_>) -> Outcome {
    let last = [w.float_times().last(), w.histogram_times().last()];
    Ok(last
        .into_iter()
        .flatten()
        .max()
        .map(|t| Sample::Float(*t as f64 / 1000.0)))
}

pub(super) fn sum(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    if mixed(w, env) {
        return Ok(None);
    }
    if w.f.is_empty() {
        return histograms(w, env, sum_histograms);
    }
    float(sum_of(w.floats()))
}

/// The compensated sum of some numbers.
pub(super) fn sum_of(values: &[f64]) -> f64 {
    let (mut sum, mut c) = (0.0, 0.0);
    for v in values {
        (sum, c) = kahan_add(*v, sum, c);
    }
    if sum.is_infinite() { sum } else { sum + c }
}

pub(super) fn avg(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    if mixed(w, env) {
        return Ok(None);
    }
    if w.f.is_empty() {
        return histograms(w, env, avg_histograms);
    }
    float(mean_of(w.floats()))
}

/// The compensated mean of some numbers, of which there is one at least.
pub(super) fn mean_of(values: &[f64]) -> f64 {
    let mut mean = Mean::new(values[0]);
    for v in &values[1..] {
        mean.add(*v);
    }
    mean.value()
}

fn mixed(w: &Window<'_>, env: &mut Env<'_>) -> bool {
    let mixed = !w.f.is_empty() && !w.h.is_empty();
    if mixed {
        env.note(AnnotationKind::MixedFloatsHistograms);
    }
    mixed
}

/// A compensated mean: the plain sum divided by the count as long as the sum does not overflow, an
/// incremental mean from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mean {
    sum: f64,
    c: f64,
    count: f64,
    incremental: bool,
}

impl Mean {
    pub(crate) fn new(first: f64) -> Self {
        Self::of_sum(first, 0.0, 1.0)
    }

    /// Of a compensated sum of so many numbers, which became infinite with the last of them at most.
    pub(crate) fn of_sum(sum: f64, c: f64, count: f64) -> Self {
        Self {
            sum,
            c,
            count,
            incremental: false,
        }
    }

    #[inline]
    pub(crate) fn add(&mut self, v: f64) {
        self.count += 1.0;
        if !self.incremental {
            let (sum, c) = kahan_add(v, self.sum, self.c);
            if !sum.is_infinite() {
                (self.sum, self.c) = (sum, c);
                return;
            }
            // From here on `sum` holds the mean.
            self.incremental = true;
            self.sum /= self.count - 1.0;
            self.c /= self.count - 1.0;
        }
        let q = (self.count - 1.0) / self.count;
        (self.sum, self.c) = kahan_add(v / self.count, q * self.sum, q * self.c);
    }

    pub(crate) fn value(&self) -> f64 {
        if self.incremental {
            self.sum + self.c
        } else {
            self.sum / self.count + self.c / self.count
        }
    }
}

/// What was seen while histograms were combined.
#[derive(Default)]
pub(crate) struct HintsSeen {
    reset: bool,
    not_reset: bool,
    reconciled: bool,
}

impl HintsSeen {
    pub(crate) fn see(&mut self, hint: CounterResetHint) {
        self.reset |= hint == CounterResetHint::Reset;
        self.not_reset |= hint == CounterResetHint::NotReset;
    }

    pub(crate) fn reconciled(&mut self, yes: bool) {
        self.reconciled |= yes;
    }

    pub(crate) fn collision(&self) -> bool {
        self.reset && self.not_reset
    }
}

type Combine =
    fn(&[Arc<FloatHistogram>], &mut HintsSeen) -> Result<FloatHistogram, IncompatibleSchema>;

fn histograms(w: &Window<'_>, env: &mut Env<'_>, combine: Combine) -> Outcome {
    let mut seen = HintsSeen::default();
    match combine(w.histograms(), &mut seen) {
        Ok(h) => {
            let op = HistogramOperation::Aggregation;
            if seen.collision() {
                env.notes
                    .add(AnnotationKind::CounterResetCollision(op), env.span);
            }
            if seen.reconciled {
                env.notes
                    .add(AnnotationKind::MismatchedCustomBuckets(op), env.span);
            }
            Ok(Some(Sample::Histogram(Arc::new(h))))
        }
        Err(IncompatibleSchema) => {
            env.note(AnnotationKind::MixedExponentialCustom);
            Ok(None)
        }
    }
}

fn sum_histograms(
    all: &[Arc<FloatHistogram>],
    seen: &mut HintsSeen,
) -> Result<FloatHistogram, IncompatibleSchema> {
    let mut sum = (*all[0]).clone();
    seen.see(sum.reset_hint);
    let mut c = None;
    for h in &all[1..] {
        seen.see(h.reset_hint);
        seen.reconciled(sum.kahan_add(h, &mut c)?.bounds_reconciled);
    }
    if let Some(c) = c {
        seen.reconciled(sum.add(&c)?.bounds_reconciled);
    }
    Ok(sum)
}

fn avg_histograms(
    all: &[Arc<FloatHistogram>],
    seen: &mut HintsSeen,
) -> Result<FloatHistogram, IncompatibleSchema> {
    let mut mean = HistogramMean::new(&all[0]);
    seen.see(all[0].reset_hint);
    for h in &all[1..] {
        seen.see(h.reset_hint);
        seen.reconciled(mean.add(h)?);
    }
    mean.finish()
}

/// [`Mean`] for histograms.
#[derive(Clone, Debug)]
pub(crate) struct HistogramMean {
    sum: FloatHistogram,
    c: Option<FloatHistogram>,
    count: f64,
    incremental: bool,
}

impl HistogramMean {
    pub(crate) fn new(first: &FloatHistogram) -> Self {
        Self {
            sum: first.clone(),
            c: None,
            count: 1.0,
            incremental: false,
        }
    }

    /// Adds one; says whether bounds had to be reconciled.
    pub(crate) fn add(&mut self, h: &FloatHistogram) -> Result<bool, IncompatibleSchema> {
        self.count += 1.0;
        let mut reconciled = false;
        if !self.incremental {
            let (mut sum, mut c) = (self.sum.clone(), self.c.clone());
            reconciled = sum.kahan_add(h, &mut c)?.bounds_reconciled;
            if !sum.has_overflow() {
                (self.sum, self.c) = (sum, c);
                return Ok(reconciled);
            }
            self.incremental = true;
            self.sum.div(self.count - 1.0);
            if let Some(c) = &mut self.c {
                c.div(self.count - 1.0);
            }
        }
        let q = (self.count - 1.0) / self.count;
        if let Some(c) = &mut self.c {
            c.mul(q);
        }
        let mut share = h.clone();
        share.div(self.count);
        self.sum.mul(q);
        Ok(self.sum.kahan_add(&share, &mut self.c)?.bounds_reconciled || reconciled)
    }

    pub(crate) fn finish(mut self) -> Result<FloatHistogram, IncompatibleSchema> {
        if !self.incremental {
            self.sum.div(self.count);
            if let Some(c) = &mut self.c {
                c.div(self.count);
            }
        }
        if let Some(c) = &self.c {
            self.sum.add(c)?;
        }
        Ok(self.sum)
    }
}

/// The variance of some numbers, whose mean and squared deviations are compensated sums.
pub(super) fn variance(values: &[f64]) -> f64 {
    let (mut count, mut mean, mut c_mean, mut aux, mut c_aux) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for v in values {
        count += 1.0;
        let delta = v - (mean + c_mean);
        (mean, c_mean) = kahan_add(delta / count, mean, c_mean);
        (aux, c_aux) = kahan_add(delta * (v - (mean + c_mean)), aux, c_aux);
    }
    (aux + c_aux) / count
}

pub(super) fn stdvar(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    if !floats_only(w, env) {
        return Ok(None);
    }
    float(variance(w.floats()))
}

pub(super) fn stddev(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    if !floats_only(w, env) {
        return Ok(None);
    }
    float(variance(w.floats()).sqrt())
}

pub(super) fn quantile(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    if w.f.is_empty() {
        return Ok(None);
    }
    let q = env.args.first().copied().unwrap_or(f64::NAN);
    if !(0.0..=1.0).contains(&q) {
        env.notes
            .add(AnnotationKind::InvalidQuantile(Bits(q)), env.first_span);
    }
    if !w.h.is_empty() {
        let name = env.name.to_owned();
        env.notes.add(
            AnnotationKind::HistogramIgnoredInMixedRange(name),
            env.first_span,
        );
    }
    float(quantile_of(q, &mut w.floats().to_vec()))
}

pub(super) fn mad(w: &Window<'_>, env: &mut Env<'_>) -> Outcome {
    if !floats_only(w, env) {
        return Ok(None);
    }
    let mut values = w.floats().to_vec();
    if values.iter().any(|v| v.is_nan()) {
        return float(f64::NAN);
    }
    let median = quantile_of(0.5, &mut values);
    for v in &mut values {
        *v = (*v - median).abs();
    }
    float(quantile_of(0.5, &mut values))
}
