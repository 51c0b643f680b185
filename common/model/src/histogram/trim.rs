//! Trimming: keeping the observations on one side of a bound (`</` and `>/`).

use super::{Bucket, FloatHistogram};

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those up to the bound.
    Below,
    /// Those above the bound.
    Above,
}

/// The running totals of a trim.
struct Trim {
    keep: Keep,
    at: f64,
    linear: bool,
    count: f64,
    sum: f64,
    changed: bool,
}

impl FloatHistogram {
    /// Removes the observations beyond `at`; inside a bucket by interpolation. Count and sum are estimated from
    /// the buckets when anything was removed.
    pub fn trim(&mut self, at: f64, keep: Keep) {
        let mut trim = Trim {
            keep,
            at,
            linear: self.uses_custom_buckets(),
            count: 0.0,
            sum: 0.0,
            changed: false,
        };
        let positive: Vec<Bucket> = self.positive().collect();
        let negative: Vec<Bucket> = self.negative().collect();
        let side = |buckets: &[Bucket], counts: &mut [f64], is_positive, trim: &mut Trim| {
            let mut any = false;
            for (bucket, count) in buckets.iter().zip(counts).filter(|(b, _)| b.count != 0.0) {
                any = true;
                *count = trim.bucket(bucket, is_positive);
            }
            any
        };
        let has_positive = side(&positive, &mut self.positive_buckets, true, &mut trim);
        let has_negative = side(&negative, &mut self.negative_buckets, false, &mut trim);
        if self.zero_count > 0.0 {
            let (kept, middle) = trim.zero(&self.zero_bucket(), has_negative, has_positive);
            trim.changed |= kept != self.zero_count;
            self.zero_count = kept;
            trim.add(kept, middle);
        }
        if trim.changed {
            self.count = trim.count;
            self.sum = trim.sum;
            self.compact();
        }
    }
}

impl Trim {
    fn add(&mut self, count: f64, middle: f64) {
        self.count += count;
        self.sum += middle * count;
    }

    /// What is left of a bucket.
    fn bucket(&mut self, b: &Bucket, positive: bool) -> f64 {
        let (whole, cut) = match self.keep {
            Keep::Below => (b.upper <= self.at, b.lower < self.at),
            Keep::Above => (b.lower >= self.at, b.upper > self.at),
        };
        if whole {
            self.add(b.count, middle(b.lower, b.upper, positive, self.linear));
            return b.count;
        }
        if !cut {
            self.changed = true;
            return 0.0;
        }
        let (kept, center) = self.cut(b, positive);
        self.add(kept, center);
        self.changed |= kept != b.count;
        kept
    }

    /// Count and middle of the part of a bucket that stays.
    fn cut(&self, b: &Bucket, positive: bool) -> (f64, f64) {
        if b.lower == f64::NEG_INFINITY || b.upper == f64::INFINITY {
            return self.cut_infinite(b);
        }
        let below = if self.at <= b.lower {
            0.0
        } else if self.at >= b.upper {
            b.count
        } else {
            b.count * b.fraction_below(self.at, self.linear)
        };
        match self.keep {
            Keep::Below => (below, middle(b.lower, self.at, positive, self.linear)),
            Keep::Above => (
                b.count - below,
                middle(self.at, b.upper, positive, self.linear),
            ),
        }
    }

    /// A bucket with an infinite end, where nothing can be interpolated; a first bucket with a positive upper
    /// bound counts as one from zero.
    fn cut_infinite(&self, b: &Bucket) -> (f64, f64) {
        let finite = |v: f64| if v.is_infinite() { 0.0 } else { v };
        let at = self.at;
        if b.lower == f64::NEG_INFINITY {
            return match self.keep {
                Keep::Below if at >= b.upper => (b.count, 0.0),
                Keep::Below if at > 0.0 && b.upper > 0.0 && b.upper.is_finite() => {
                    (b.count * at / b.upper, at / 2.0)
                }
                Keep::Below if b.upper <= 0.0 => (b.count, at),
                Keep::Below => (0.0, finite(b.upper)),
                Keep::Above if at <= b.lower => (b.count, 0.0),
                Keep::Above if at >= 0.0 && b.upper > at && b.upper.is_finite() => {
                    (b.count * (1.0 - at / b.upper), f64::midpoint(at, b.upper))
                }
                Keep::Above => (0.0, finite(b.upper)),
            };
        }
        match self.keep {
            Keep::Above if at >= b.lower => (b.count, at),
            Keep::Below | Keep::Above => (0.0, finite(b.lower)),
        }
    }

    /// The zero bucket, which reaches to one side only when the histogram has no buckets on the other.
    fn zero(&self, b: &Bucket, has_negative: bool, has_positive: bool) -> (f64, f64) {
        let upper = if has_negative && !has_positive {
            0.0
        } else {
            b.upper
        };
        let lower = if has_positive && !has_negative {
            0.0
        } else {
            b.lower
        };
        let whole = (b.count, (lower + upper) / 2.0);
        let nothing = (0.0, 0.0);
        match self.keep {
            Keep::Below if self.at <= lower => nothing,
            Keep::Below if self.at >= upper => whole,
            Keep::Below => (
                b.count * ((self.at - lower) / (upper - lower)),
                (lower + self.at) / 2.0,
            ),
            Keep::Above if self.at <= lower => whole,
            Keep::Above if self.at >= upper => nothing,
            Keep::Above => (
                b.count * ((upper - self.at) / (upper - lower)),
                (self.at + upper) / 2.0,
            ),
        }
    }
}

/// The middle of an interval: arithmetic for linear buckets, geometric for exponential ones.
fn middle(lower: f64, upper: f64, positive: bool, linear: bool) -> f64 {
    if lower.is_infinite() {
        return match upper {
            u if u.is_infinite() => 0.0,
            u if u > 0.0 => u / 2.0,
            u => u,
        };
    }
    if upper.is_infinite() {
        return lower;
    }
    if linear {
        return (lower + upper) / 2.0;
    }
    let mean = (lower * upper).abs().sqrt();
    if positive { mean } else { -mean }
}
