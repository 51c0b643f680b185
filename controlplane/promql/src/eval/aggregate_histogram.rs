//! Sums and means of native histograms inside an aggregation.

use std::sync::Arc;

use bellwether_model::FloatHistogram;

use crate::annotations::{AnnotationKind, Annotations, HistogramOperation};
use crate::ast::Span;
use crate::functions::{HintsSeen, HistogramMean};

use super::column::Sample;

/// Sums and means of histograms per step, only allocated when there are histograms.
pub(super) struct Histograms<T>(Vec<Option<HistogramCell<T>>>);

impl<T> Default for Histograms<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

pub(super) struct HistogramCell<T> {
    /// `None` when the group's first sample was a float: there is no result then anyway.
    total: Option<T>,
    seen: HintsSeen,
    incompatible: bool,
}

/// A compensated sum of histograms.
pub(super) struct HistogramSum(FloatHistogram, Option<FloatHistogram>);

/// What the fold needs of a sum or mean.
pub(super) trait HistogramTotal: Sized {
    fn first(h: &FloatHistogram) -> Self;
    /// Adds one; `None` when it does not fit, else whether bounds were reconciled.
    fn add(&mut self, h: &FloatHistogram) -> Option<bool>;
    fn finish(self) -> Option<FloatHistogram>;
}

impl HistogramTotal for HistogramSum {
    fn first(h: &FloatHistogram) -> Self {
        Self(h.clone(), None)
    }

    fn add(&mut self, h: &FloatHistogram) -> Option<bool> {
        self.0
            .kahan_add(h, &mut self.1)
            .ok()
            .map(|o| o.bounds_reconciled)
    }

    fn finish(mut self) -> Option<FloatHistogram> {
        if let Some(c) = &self.1 {
            self.0.add(c).ok()?;
        }
        Some(self.0)
    }
}

impl HistogramTotal for HistogramMean {
    fn first(h: &FloatHistogram) -> Self {
        Self::new(h)
    }

    fn add(&mut self, h: &FloatHistogram) -> Option<bool> {
        HistogramMean::add(self, h).ok()
    }

    fn finish(self) -> Option<FloatHistogram> {
        HistogramMean::finish(self).ok()
    }
}

/// Where notes about an aggregation go.
pub(super) struct Noter<'a> {
    pub(super) span: Span,
    pub(super) notes: &'a mut Annotations,
}

impl Noter<'_> {
    pub(super) fn ignored(&mut self, op: &'static str) {
        self.notes
            .add(AnnotationKind::HistogramIgnoredInAggregation(op), self.span);
    }
}

impl<T: HistogramTotal> Histograms<T> {
    /// Whether there was no histogram at any step.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the step's group cannot have a result any more.
    pub(super) fn broken(&self, step: usize) -> bool {
        matches!(self.0.get(step), Some(Some(cell)) if cell.incompatible)
    }

    pub(super) fn add(
        &mut self,
        step: usize,
        steps: usize,
        h: &FloatHistogram,
        float_first: bool,
        metric: &str,
        noter: &mut Noter<'_>,
    ) {
        if self.0.is_empty() {
            self.0.resize_with(steps, || None);
        }
        let Some(cell) = &mut self.0[step] else {
            let mut seen = HintsSeen::default();
            seen.see(h.reset_hint);
            self.0[step] = Some(HistogramCell {
                total: (!float_first).then(|| T::first(h)),
                seen,
                incompatible: false,
            });
            return;
        };
        let Some(total) = cell.total.as_mut().filter(|_| !cell.incompatible) else {
            return;
        };
        cell.seen.see(h.reset_hint);
        match total.add(h) {
            None => {
                let kind = AnnotationKind::MixedExponentialCustom(metric.to_owned());
                noter.notes.add(kind, noter.span);
                cell.incompatible = true;
            }
            Some(true) => noter.notes.add(
                AnnotationKind::MismatchedCustomBuckets(HistogramOperation::Aggregation),
                noter.span,
            ),
            Some(false) => {}
        }
    }

    /// The result of a step: `Err` when there is none because of the histograms.
    pub(super) fn take(
        &mut self,
        step: usize,
        has_float: bool,
        noter: &mut Noter<'_>,
    ) -> Result<Option<Sample>, ()> {
        let Some(cell) = self.0.get_mut(step).and_then(Option::take) else {
            return Ok(None);
        };
        if has_float {
            noter
                .notes
                .add(AnnotationKind::MixedFloatsHistogramsAggregation, noter.span);
            return Err(());
        }
        if cell.incompatible {
            return Err(());
        }
        if cell.seen.collision() {
            noter.notes.add(
                AnnotationKind::CounterResetCollision(HistogramOperation::Aggregation),
                noter.span,
            );
        }
        let mut h = cell.total.and_then(T::finish).ok_or(())?;
        h.compact();
        Ok(Some(Sample::Histogram(Arc::new(h))))
    }
}
