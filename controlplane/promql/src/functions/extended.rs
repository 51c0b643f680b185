//! `rate`, `increase` and `delta` over `anchored` and `smoothed` selectors: no extrapolation, but exact values at
//! the window's ends, taken over from the sample before (anchored) or interpolated (smoothed).

use std::sync::Arc;

use bellwether_model::FloatHistogram;
use bellwether_model::histogram::{CounterResetHint, IncompatibleSchema};

use crate::annotations::{AnnotationKind, Annotations, HistogramOperation};
use crate::ast::Span;
use crate::eval::ranges::{Env, Window};

/// The value at `t` on the line between two samples; for counters a fall means a restart from zero.
pub(crate) fn interpolate(p: (i64, f64), q: (i64, f64), t: i64, counter: bool) -> f64 {
    let start = if counter && q.1 < p.1 { 0.0 } else { p.1 };
    start + (q.1 - start) * (t - p.0) as f64 / (q.0 - p.0) as f64
}

/// The indexes of the first and last sample that matter, `None` when nothing lies in the window.
pub(crate) fn ends(times: &[i64], start: i64, end: i64, smoothed: bool) -> Option<(usize, usize)> {
    let mut last = times.len().checked_sub(1)?;
    let first = times[..last]
        .partition_point(|t| *t <= start)
        .saturating_sub(1);
    if smoothed {
        last = times[..last].partition_point(|t| *t < end);
    }
    if times[last] <= start || (smoothed && times[first] > end) {
        return None;
    }
    Some((first, last))
}

/// The values at the window's ends.
pub(crate) fn boundaries(
    times: &[i64],
    values: &[f64],
    (first, last): (usize, usize),
    (start, end): (i64, i64),
    smoothed: bool,
    counter: bool,
) -> (f64, f64) {
    let point = |i: usize| (times[i], values[i]);
    let left = if smoothed && times[first] < start {
        interpolate(point(first), point(first + 1), start, counter)
    } else {
        values[first]
    };
    let right = if smoothed && last > 0 && times[last] > end {
        interpolate(point(last - 1), point(last), end, counter)
    } else {
        values[last]
    };
    (left, right)
}

/// The change of floats.
pub(super) fn float_rate(w: &Window<'_>, counter: bool, per_second: bool) -> Option<f64> {
    let (times, values) = (w.float_times(), w.floats());
    let (mut first, last) = ends(times, w.start, w.end, w.smoothed)?;
    let (left, right) = boundaries(
        times,
        values,
        (first, last),
        (w.start, w.end),
        w.smoothed,
        counter,
    );
    let mut change = right - left;
    if counter {
        // The ends took care of resets next to them.
        if times[first] <= w.start {
            first += 1;
        }
        let until = if times[last] >= w.end { last } else { last + 1 };
        let (mut lost, mut previous) = (0.0, left);
        for v in values.get(first..until).unwrap_or_default() {
            if *v < previous {
                lost += previous;
            }
            previous = *v;
        }
        if right < previous {
            lost += previous;
        }
        change += lost;
    }
    Some(if per_second {
        change / w.range_seconds()
    } else {
        change
    })
}

/// Tells about histograms while they are combined.
pub(crate) struct Notes<'a> {
    pub(crate) name: &'a str,
    pub(crate) span: Span,
    pub(crate) notes: &'a mut Annotations,
}

impl Notes<'_> {
    fn add(&mut self, a: &mut FloatHistogram, b: &FloatHistogram) -> Option<()> {
        let result = a.add(b).map(|o| o.bounds_reconciled);
        self.outcome(result, HistogramOperation::Addition)
    }

    fn sub(&mut self, a: &mut FloatHistogram, b: &FloatHistogram) -> Option<()> {
        let result = a.sub(b).map(|o| o.bounds_reconciled);
        self.outcome(result, HistogramOperation::Subtraction)
    }

    fn outcome(
        &mut self,
        result: Result<bool, IncompatibleSchema>,
        op: HistogramOperation,
    ) -> Option<()> {
        match result {
            Ok(true) => self
                .notes
                .add(AnnotationKind::MismatchedCustomBuckets(op), self.span),
            Ok(false) => {}
            Err(IncompatibleSchema) => return self.mixed_buckets(),
        }
        Some(())
    }

    /// Says that exponential and custom buckets meet, which gives no value.
    pub(crate) fn mixed_buckets<T>(&mut self) -> Option<T> {
        self.notes.add(
            AnnotationKind::MixedExponentialCustom(self.name.to_owned()),
            self.span,
        );
        None
    }

    /// The histogram at `t` between two.
    pub(crate) fn interpolate(
        &mut self,
        p: (i64, &FloatHistogram),
        q: (i64, &FloatHistogram),
        t: i64,
        counter: bool,
    ) -> Option<FloatHistogram> {
        if t == p.0 {
            return Some(p.1.clone());
        }
        let mut result = q.1.clone();
        if t == q.0 {
            return Some(result);
        }
        let fraction = (t - p.0) as f64 / (q.0 - p.0) as f64;
        if counter && q.1.detect_reset(p.1) {
            result.mul(fraction);
            return Some(result);
        }
        self.sub(&mut result, p.1)?;
        result.mul(fraction);
        self.add(&mut result, p.1)?;
        Some(result)
    }
}

/// The change of native histograms.
pub(super) fn histogram_rate(
    w: &Window<'_>,
    counter: bool,
    per_second: bool,
    env: &mut Env<'_>,
) -> Option<FloatHistogram> {
    let (times, all) = (w.histogram_times(), w.histograms());
    let (first, last) = ends(times, w.start, w.end, w.smoothed)?;
    let mut notes = Notes {
        name: env.name,
        span: env.span,
        notes: env.notes,
    };
    let custom = all[first].uses_custom_buckets();
    for h in &all[first..=last] {
        if h.uses_custom_buckets() != custom {
            return notes.mixed_buckets();
        }
        if counter && h.reset_hint == CounterResetHint::Gauge {
            let kind = AnnotationKind::NativeNotCounter(notes.name.to_owned());
            notes.notes.add(kind, notes.span);
        }
    }
    let point = |i: usize| (times[i], &*all[i]);
    let left = if w.smoothed && times[first] < w.start {
        notes.interpolate(point(first), point(first + 1), w.start, counter)?
    } else {
        (*all[first]).clone()
    };
    let right = if w.smoothed && last > 0 && times[last] > w.end {
        notes.interpolate(point(last - 1), point(last), w.end, counter)?
    } else {
        (*all[last]).clone()
    };
    let gauge = |h: &FloatHistogram| h.reset_hint == CounterResetHint::Gauge;
    if !counter && (!gauge(&left) || !gauge(&right)) {
        let kind = AnnotationKind::NativeNotGauge(notes.name.to_owned());
        notes.notes.add(kind, notes.span);
    }
    let mut change = right.clone();
    notes.sub(&mut change, &left)?;
    if counter {
        // Summed up first: with different zero buckets the order of additions shows.
        let mut correction: Option<FloatHistogram> = None;
        for lost in lost_in_resets(w, all, times, (first, last), &left, &right) {
            match &mut correction {
                None => correction = Some(lost.clone()),
                Some(sum) => notes.add(sum, lost)?,
            }
        }
        if let Some(correction) = correction {
            notes.add(&mut change, &correction)?;
        }
    }
    if per_second {
        change.div(w.range_seconds());
    }
    change.reset_hint = CounterResetHint::Gauge;
    change.compact();
    Some(change)
}

/// The histograms right before the resets between the window's ends.
fn lost_in_resets<'a>(
    w: &Window<'_>,
    all: &'a [Arc<FloatHistogram>],
    times: &[i64],
    (first, last): (usize, usize),
    left: &'a FloatHistogram,
    right: &FloatHistogram,
) -> Vec<&'a FloatHistogram> {
    let mut lost = Vec::new();
    let (mut from, mut previous) = (first + 1, left);
    if w.smoothed && times[first] < w.start && all[first + 1].detect_reset(&all[first]) {
        // The interpolated left end took this reset into account.
        previous = &all[first + 1];
        from += 1;
    }
    // The last sample is what the right end was made of.
    if from > last {
        return lost;
    }
    for h in &all[from..last] {
        if h.detect_reset(previous) {
            lost.push(previous);
        }
        previous = h;
    }
    if right.detect_reset(previous) {
        lost.push(previous);
    }
    lost
}
