//! The zero bucket: widening it until it swallows whole buckets, and counter resets.

use crate::float::kahan_add;

use super::layout::{Bin, bins, bound, common_bounds, custom_target, exponential_bound, reduce};
use super::{CounterResetHint, FloatHistogram};

impl FloatHistogram {
    /// The zero bucket's count and width if it were widened to at least `threshold`, and the compensation term
    /// of the count. Buckets that stick out widen it further.
    pub(super) fn widened_zero(&self, threshold: f64, c: Option<&Self>) -> (f64, f64, f64) {
        let mut zero_c = c.map_or(0.0, |c| c.zero_count);
        if threshold <= self.zero_threshold {
            return (self.zero_count, self.zero_threshold, zero_c);
        }
        let mut width = threshold;
        'wider: loop {
            let mut zero = self.zero_count;
            let mut put = |bin: &Bin| {
                (zero, zero_c) = kahan_add(bin.count, zero, zero_c);
                if c.is_some() {
                    (zero, zero_c) = kahan_add(bin.c, zero, zero_c);
                }
            };
            let cs = c.map(|c| &c.positive_buckets[..]);
            for bin in bins(&self.positive_spans, &self.positive_buckets, cs) {
                if bound(bin.index - 1, self.schema, &[]) >= width {
                    break;
                }
                put(&bin);
                let upper = bound(bin.index, self.schema, &[]);
                if upper > width {
                    if bin.count != 0.0 {
                        width = upper;
                    }
                    break;
                }
            }
            let cs = c.map(|c| &c.negative_buckets[..]);
            for bin in bins(&self.negative_spans, &self.negative_buckets, cs) {
                if bound(bin.index - 1, self.schema, &[]) >= width {
                    break;
                }
                put(&bin);
                let outer = bound(bin.index, self.schema, &[]);
                if outer > width {
                    if bin.count != 0.0 {
                        width = outer;
                        // More positive buckets may be inside now.
                        continue 'wider;
                    }
                    break;
                }
            }
            return (zero, width, zero_c);
        }
    }

    /// Brings both zero buckets to one width: widens this histogram's where needed and returns what the other's
    /// count (and compensation) would be.
    pub(super) fn reconcile_zero(&mut self, other: &Self, mut c: Option<&mut Self>) -> (f64, f64) {
        let (mut count, mut width, mut count_c) = (other.zero_count, other.zero_threshold, 0.0);
        while width != self.zero_threshold {
            if self.zero_threshold > width {
                (count, width, count_c) = other.widened_zero(self.zero_threshold, None);
            }
            if width > self.zero_threshold {
                let zero_c;
                (self.zero_count, self.zero_threshold, zero_c) =
                    self.widened_zero(width, c.as_deref());
                if let Some(c) = c.as_deref_mut() {
                    c.zero_count = zero_c;
                }
                self.clear_inside_zero(c.as_deref_mut());
            }
            if width.is_nan() || self.zero_threshold.is_nan() {
                break;
            }
        }
        (count, count_c)
    }

    /// Removes the buckets that the zero bucket covers.
    fn clear_inside_zero(&mut self, mut c: Option<&mut Self>) {
        let (schema, width) = (self.schema, self.zero_threshold);
        let inside = |spans: &[super::Span], counts: &[f64]| {
            bins(spans, counts, None)
                .take_while(|b| bound(b.index - 1, schema, &[]) < width)
                .count()
        };
        let positive = inside(&self.positive_spans, &self.positive_buckets);
        let negative = inside(&self.negative_spans, &self.negative_buckets);
        self.positive_buckets[..positive].fill(0.0);
        self.negative_buckets[..negative].fill(0.0);
        if let Some(c) = c.as_deref_mut() {
            c.positive_buckets[..positive].fill(0.0);
            c.negative_buckets[..negative].fill(0.0);
        }
        self.compact_with(c);
    }

    /// Whether a counter was reset between `previous` and this histogram: by hint, or because any count fell,
    /// the resolution rose or the zero bucket shrank.
    #[must_use]
    pub fn detect_reset(&self, previous: &Self) -> bool {
        match self.reset_hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        if self.uses_custom_buckets() {
            if !previous.uses_custom_buckets() {
                return true;
            }
            if self.custom_values != previous.custom_values {
                return self.reset_with_other_bounds(previous);
            }
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        if !self.uses_custom_buckets() && previous.uses_custom_buckets() {
            return true;
        }
        let (zero, width, _) = previous.widened_zero(self.zero_threshold, None);
        if width != self.zero_threshold || self.zero_count < zero {
            return true;
        }
        self.side_fell(
            (&self.positive_spans, &self.positive_buckets),
            (&previous.positive_spans, &previous.positive_buckets),
            previous.schema,
        ) || self.side_fell(
            (&self.negative_spans, &self.negative_buckets),
            (&previous.negative_spans, &previous.negative_buckets),
            previous.schema,
        )
    }

    /// Whether any bucket of a side is lower than before or has vanished.
    fn side_fell(
        &self,
        now: (&[super::Span], &[f64]),
        before: (&[super::Span], &[f64]),
        schema_before: i32,
    ) -> bool {
        let custom = self.uses_custom_buckets();
        let outside =
            |b: &Bin| custom || exponential_bound(b.index, self.schema) > self.zero_threshold;
        if schema_before == self.schema && now.0 == before.0 && now.1.len() == before.1.len() {
            return bins(now.0, now.1, Some(before.1))
                .skip_while(|b| !outside(b))
                .any(|b| b.count < b.c);
        }
        let reduced;
        let plain;
        let before: &mut dyn Iterator<Item = Bin> = if schema_before == self.schema {
            plain = bins(before.0, before.1, None);
            &mut { plain }
        } else {
            reduced = reduce(
                bins(before.0, before.1, None),
                schema_before,
                self.schema,
                false,
            );
            &mut reduced.into_iter()
        };
        let mut now = bins(now.0, now.1, None)
            .skip_while(|b| !outside(b))
            .peekable();
        for old in before.skip_while(|b| !outside(b)) {
            while now.next_if(|b| b.index < old.index).is_some() {}
            let fell = match now.peek() {
                Some(new) if new.index == old.index => new.count < old.count,
                _ => old.count != 0.0,
            };
            if fell {
                return true;
            }
        }
        false
    }

    /// Compares custom buckets between the bounds that both have.
    fn reset_with_other_bounds(&self, previous: &Self) -> bool {
        let common = common_bounds(&self.custom_values, &previous.custom_values);
        let sums = |h: &Self| {
            let mut sums = vec![0.0; common.len() + 1];
            for bin in bins(&h.positive_spans, &h.positive_buckets, None) {
                sums[custom_target(bin.index, &h.custom_values, &common)] += bin.count;
            }
            sums
        };
        sums(self)
            .iter()
            .zip(sums(previous))
            .any(|(now, before)| *now < before)
    }
}
