//! Sums, differences and scaling of float histograms.

use crate::float::kahan_add;

use super::layout::{self, Bin, bins, custom_target, pack, reduce};
use super::{CounterResetHint, FloatHistogram, IncompatibleSchema};

/// What a sum or difference came across.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Combined {
    /// One side said "reset", the other "no reset".
    pub reset_collision: bool,
    /// Custom bounds differed: only the common ones are left.
    pub bounds_reconciled: bool,
}

impl FloatHistogram {
    /// Multiplies all counts and the sum.
    pub fn mul(&mut self, factor: f64) {
        self.each_count(|v| v * factor);
        if factor < 0.0 {
            self.reset_hint = CounterResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum; a division by zero leaves no buckets.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive_spans.clear();
            self.positive_buckets.clear();
            self.negative_spans.clear();
            self.negative_buckets.clear();
        }
        self.each_count(|v| v / divisor);
        if divisor < 0.0 {
            self.reset_hint = CounterResetHint::Gauge;
        }
    }

    fn each_count(&mut self, f: impl Fn(f64) -> f64) {
        self.zero_count = f(self.zero_count);
        self.count = f(self.count);
        self.sum = f(self.sum);
        for v in self
            .positive_buckets
            .iter_mut()
            .chain(&mut self.negative_buckets)
        {
            *v = f(*v);
        }
    }

    /// Whether any number is infinite.
    #[must_use]
    pub fn has_overflow(&self) -> bool {
        [self.zero_count, self.count, self.sum]
            .iter()
            .chain(&self.positive_buckets)
            .chain(&self.negative_buckets)
            .chain(&self.custom_values)
            .any(|v| v.is_infinite())
    }

    /// Adds `other`, in the lower resolution and the wider zero bucket of both.
    ///
    /// # Errors
    /// When one has exponential and the other custom buckets; the histogram is unchanged then.
    pub fn add(&mut self, other: &Self) -> Result<Combined, IncompatibleSchema> {
        self.combine(other, 1.0)
    }

    /// Subtracts `other`, as [`FloatHistogram::add`] adds.
    ///
    /// # Errors
    /// As [`FloatHistogram::add`].
    pub fn sub(&mut self, other: &Self) -> Result<Combined, IncompatibleSchema> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Self, sign: f64) -> Result<Combined, IncompatibleSchema> {
        let mut combined = self.begin(other)?;
        if !self.uses_custom_buckets() {
            let (zero, _) = self.reconcile_zero(other, None);
            self.zero_count += sign * zero;
        }
        self.count += sign * other.count;
        self.sum += sign * other.sum;
        if self.same_layout(other) {
            for (a, b) in self
                .positive_buckets
                .iter_mut()
                .zip(&other.positive_buckets)
            {
                *a += sign * b;
            }
            for (a, b) in self
                .negative_buckets
                .iter_mut()
                .zip(&other.negative_buckets)
            {
                *a += sign * b;
            }
            return Ok(combined);
        }
        combined.bounds_reconciled = self.add_buckets(other, sign, None);
        Ok(combined)
    }

    /// Adds `other` with Kahan summation; `c` holds the compensation terms between calls and starts as
    /// `None`. The total is `self` plus `c`.
    ///
    /// # Errors
    /// As [`FloatHistogram::add`].
    pub fn kahan_add(
        &mut self,
        other: &Self,
        c: &mut Option<Self>,
    ) -> Result<Combined, IncompatibleSchema> {
        let mut combined = self.begin(other)?;
        let c = c.get_or_insert_with(|| self.compensation());
        if !self.uses_custom_buckets() {
            let (zero, zero_c) = self.reconcile_zero(other, Some(c));
            (self.zero_count, c.zero_count) = kahan_add(zero, self.zero_count, c.zero_count);
            (self.zero_count, c.zero_count) = kahan_add(zero_c, self.zero_count, c.zero_count);
        }
        (self.count, c.count) = kahan_add(other.count, self.count, c.count);
        (self.sum, c.sum) = kahan_add(other.sum, self.sum, c.sum);
        combined.bounds_reconciled = self.add_buckets(other, 1.0, Some(c));
        Ok(combined)
    }

    /// Checks that the two fit and settles the reset hint of the result.
    fn begin(&mut self, other: &Self) -> Result<Combined, IncompatibleSchema> {
        use CounterResetHint::{Gauge, Unknown};
        if self.uses_custom_buckets() != other.uses_custom_buckets() {
            return Err(IncompatibleSchema);
        }
        let (mine, theirs) = (self.reset_hint, other.reset_hint);
        let mut combined = Combined::default();
        self.reset_hint = match (mine, theirs) {
            (a, b) if a == b => a,
            (Gauge, _) | (_, Gauge) => Gauge,
            (Unknown, _) | (_, Unknown) => Unknown,
            _ => {
                combined.reset_collision = true;
                Unknown
            }
        };
        Ok(combined)
    }

    /// Same schema, zero bucket, bounds and spans, and no bucket inside the zero bucket.
    fn same_layout(&self, other: &Self) -> bool {
        let outside = |spans: &[super::Span]| {
            self.uses_custom_buckets()
                || spans.first().is_none_or(|s| {
                    layout::exponential_bound(s.offset, self.schema) > self.zero_threshold
                })
        };
        self.schema == other.schema
            && self.zero_threshold == other.zero_threshold
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && self.custom_values == other.custom_values
            && self.positive_buckets.len() == other.positive_buckets.len()
            && self.negative_buckets.len() == other.negative_buckets.len()
            && outside(&self.positive_spans)
            && outside(&self.negative_spans)
    }

    /// A histogram of zeros in the same layout.
    fn compensation(&self) -> Self {
        let mut c = self.clone();
        c.each_count(|_| 0.0);
        c
    }

    /// Adds the buckets of `other` (not the zero bucket). Says whether custom bounds were reconciled.
    fn add_buckets(&mut self, other: &Self, sign: f64, c: Option<&mut Self>) -> bool {
        if self.uses_custom_buckets() && self.custom_values != other.custom_values {
            self.add_mismatched(other, sign, c);
            return true;
        }
        let compensated = c.is_some();
        let schema = if self.uses_custom_buckets() {
            self.schema
        } else {
            self.schema.min(other.schema)
        };
        let skip = (!self.uses_custom_buckets()).then_some((schema, self.zero_threshold));
        let bring = |h: &Self, spans, counts, cs| -> Vec<Bin> {
            let all = bins(spans, counts, cs);
            if h.schema == schema {
                all.collect()
            } else {
                reduce(all, h.schema, schema, compensated)
            }
        };
        let (pc, nc) = match &c {
            Some(c) => (Some(&c.positive_buckets[..]), Some(&c.negative_buckets[..])),
            None => (None, None),
        };
        let positive = layout::add(
            &bring(self, &self.positive_spans, &self.positive_buckets, pc),
            &bring(other, &other.positive_spans, &other.positive_buckets, None),
            skip,
            sign,
            compensated,
        );
        let negative = layout::add(
            &bring(self, &self.negative_spans, &self.negative_buckets, nc),
            &bring(other, &other.negative_spans, &other.negative_buckets, None),
            skip,
            sign,
            compensated,
        );
        self.schema = schema;
        let (positive_spans, positive_buckets, positive_c) = pack(positive);
        let (negative_spans, negative_buckets, negative_c) = pack(negative);
        if let Some(c) = c {
            c.schema = schema;
            c.zero_threshold = self.zero_threshold;
            c.positive_spans.clone_from(&positive_spans);
            c.negative_spans.clone_from(&negative_spans);
            c.positive_buckets = positive_c;
            c.negative_buckets = negative_c;
        }
        self.positive_spans = positive_spans;
        self.positive_buckets = positive_buckets;
        self.negative_spans = negative_spans;
        self.negative_buckets = negative_buckets;
        false
    }

    /// Adds custom buckets of other bounds: both are brought to the bounds they have in common.
    fn add_mismatched(&mut self, other: &Self, sign: f64, c: Option<&mut Self>) {
        let common = layout::common_bounds(&self.custom_values, &other.custom_values);
        let mut target: Vec<(f64, f64)> = vec![(0.0, 0.0); common.len() + 1];
        let mut put = |index: i32, bounds: &[f64], v: f64| {
            let slot = &mut target[custom_target(index, bounds, &common)];
            *slot = kahan_add(v, slot.0, slot.1);
        };
        let cs = c.as_ref().map(|c| &c.positive_buckets[..]);
        for bin in bins(&self.positive_spans, &self.positive_buckets, cs) {
            put(bin.index, &self.custom_values, bin.count);
            if cs.is_some() {
                put(bin.index, &self.custom_values, bin.c);
            }
        }
        for bin in bins(&other.positive_spans, &other.positive_buckets, None) {
            put(bin.index, &other.custom_values, sign * bin.count);
        }
        let used = target
            .iter()
            .enumerate()
            .filter(|(_, v)| v.0 != 0.0 || v.1 != 0.0);
        let (spans, counts, cs) = pack(used.map(|(i, v)| Bin {
            index: i32::try_from(i).unwrap_or(i32::MAX),
            count: v.0,
            c: v.1,
        }));
        if let Some(c) = c {
            c.positive_spans.clone_from(&spans);
            c.positive_buckets = cs;
            c.custom_values.clone_from(&common);
        }
        self.positive_spans = spans;
        self.positive_buckets = counts;
        self.custom_values = common;
    }

    /// The same histogram in a lower resolution (or a plain copy in the same one).
    #[must_use]
    pub fn copy_to_schema(&self, schema: i32) -> Self {
        if schema >= self.schema || self.uses_custom_buckets() {
            return self.clone();
        }
        let side = |spans, counts| {
            pack(reduce(
                bins(spans, counts, None),
                self.schema,
                schema,
                false,
            ))
        };
        let (positive_spans, positive_buckets, _) =
            side(&self.positive_spans, &self.positive_buckets);
        let (negative_spans, negative_buckets, _) =
            side(&self.negative_spans, &self.negative_buckets);
        Self {
            reset_hint: CounterResetHint::Unknown,
            schema,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            ..self.clone()
        }
    }

    /// Removes empty buckets and joins spans.
    pub fn compact(&mut self) {
        self.compact_with(None);
    }

    /// Compacts the histogram together with its compensation terms.
    pub(super) fn compact_with(&mut self, c: Option<&mut Self>) {
        let keep = |b: &Bin| b.count != 0.0 || b.c != 0.0;
        let (pc, nc) = match &c {
            Some(c) => (Some(&c.positive_buckets[..]), Some(&c.negative_buckets[..])),
            None => (None, None),
        };
        let (ps, pb, pcs) =
            pack(bins(&self.positive_spans, &self.positive_buckets, pc).filter(keep));
        let (ns, nb, ncs) =
            pack(bins(&self.negative_spans, &self.negative_buckets, nc).filter(keep));
        if let Some(c) = c {
            c.positive_spans.clone_from(&ps);
            c.negative_spans.clone_from(&ns);
            c.positive_buckets = pcs;
            c.negative_buckets = ncs;
        }
        self.positive_spans = ps;
        self.positive_buckets = pb;
        self.negative_spans = ns;
        self.negative_buckets = nb;
    }

    /// Whether two histograms are the same, bit by bit; the reset hint does not count. Both have to be
    /// compact.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let all =
            |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| bits(*a, *b));
        self.schema == other.schema
            && bits(self.count, other.count)
            && bits(self.sum, other.sum)
            && (!self.uses_custom_buckets() || self.custom_values == other.custom_values)
            && self.zero_threshold == other.zero_threshold
            && bits(self.zero_count, other.zero_count)
            && self.negative_spans == other.negative_spans
            && all(&self.negative_buckets, &other.negative_buckets)
            && self.positive_spans == other.positive_spans
            && all(&self.positive_buckets, &other.positive_buckets)
    }
}
