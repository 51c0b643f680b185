//! Buckets with their bounds, in order, and the text form.

use std::fmt;

use crate::float::{log2, shortest_g};

use super::layout::{bins, bound};
use super::{CUSTOM_BUCKETS_SCHEMA, FloatHistogram, Histogram, Span};

/// A bucket with its bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Whether an observation at the lower bound is inside.
    pub lower_inclusive: bool,
    /// Whether an observation at the upper bound is inside.
    pub upper_inclusive: bool,
    /// Observations.
    pub count: f64,
}

impl Bucket {
    /// The part of the bucket's observations below `v`, which must be inside, when they are spread evenly
    /// (`linear`) or evenly on a logarithmic scale.
    #[must_use]
    pub fn fraction_below(&self, v: f64, linear: bool) -> f64 {
        if linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let [lower, upper, at] = [self.lower, self.upper, v].map(|v| log2(v.abs()));
        if v > 0.0 {
            (at - lower) / (upper - lower)
        } else {
            1.0 - (at - upper) / (lower - upper)
        }
    }
}

impl Bucket {
    /// The bounds as text: `(1,2]`.
    fn write_bounds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}{},{}{}",
            if self.lower_inclusive { '[' } else { '(' },
            shortest_g(self.lower),
            shortest_g(self.upper),
            if self.upper_inclusive { ']' } else { ')' },
        )
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_bounds(f)?;
        write!(f, ":{}", shortest_g(self.count))
    }
}

impl FloatHistogram {
    /// Whether the buckets have custom bounds.
    #[must_use]
    pub fn uses_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// The zero bucket.
    #[must_use]
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    fn side<'a>(
        &'a self,
        spans: &'a [Span],
        counts: &'a [f64],
        positive: bool,
    ) -> impl Iterator<Item = Bucket> + 'a {
        let at = |index| bound(index, self.schema, &self.custom_values);
        bins(spans, counts, None).map(move |bin| {
            let (inner, outer) = (at(bin.index - 1), at(bin.index));
            let (lower, upper) = if positive {
                (inner, outer)
            } else {
                (-outer, -inner)
            };
            let custom = self.uses_custom_buckets();
            Bucket {
                lower,
                upper,
                lower_inclusive: if custom { bin.index == 0 } else { lower < 0.0 },
                upper_inclusive: custom || upper > 0.0,
                count: bin.count,
            }
        })
    }

    /// The positive buckets (or the custom ones), upwards.
    pub fn positive(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.side(&self.positive_spans, &self.positive_buckets, true)
    }

    /// The negative buckets, from zero downwards.
    pub fn negative(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.side(&self.negative_spans, &self.negative_buckets, false)
    }

    /// All buckets upwards, empty ones of the spans included, the zero bucket only when it has observations.
    /// Buckets that the zero bucket overlaps begin where it ends.
    #[must_use]
    pub fn buckets(&self) -> Vec<Bucket> {
        let mut all: Vec<Bucket> = self.negative().collect();
        all.reverse();
        if self.zero_count > 0.0 {
            all.push(self.zero_bucket());
        }
        all.extend(self.positive());
        let zero = self.zero_threshold;
        for bucket in &mut all {
            if bucket.upper < 0.0 && bucket.upper > -zero {
                bucket.upper = -zero;
            } else if bucket.lower > 0.0 && bucket.lower < zero {
                bucket.lower = zero;
            }
        }
        all
    }
}

/// Prometheus' text form, used as a label value by `count_values`: `{count:3, sum:5, (1,2]:3}`.
impl fmt::Display for FloatHistogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{{count:{}, sum:{}",
            shortest_g(self.count),
            shortest_g(self.sum)
        )?;
        let mut negative: Vec<Bucket> = self.negative().collect();
        negative.reverse();
        for bucket in negative.iter().filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        if self.zero_count != 0.0 {
            write!(f, ", {}", self.zero_bucket())?;
        }
        for bucket in self.positive().filter(|b| b.count != 0.0) {
            write!(f, ", {bucket}")?;
        }
        f.write_str("}")
    }
}

/// Prometheus' text form of an integer histogram: as that of a float histogram, but counts have all their digits.
impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", self.count, shortest_g(self.sum))?;
        // The bounds come from the float form; its counts could be rounded.
        let floats = self.to_float();
        let absolute = |deltas: &[i64]| {
            let counts = deltas.iter().scan(0i64, |count, delta| {
                *count = count.wrapping_add(*delta);
                Some(*count)
            });
            counts.collect::<Vec<i64>>()
        };
        let negative: Vec<_> = floats.negative().collect();
        let counts = absolute(&self.negative_buckets);
        for (bucket, count) in negative.iter().zip(&counts).rev() {
            write_counted(f, bucket, *count)?;
        }
        write_counted(f, &floats.zero_bucket(), self.zero_count)?;
        for (bucket, count) in floats.positive().zip(absolute(&self.positive_buckets)) {
            write_counted(f, &bucket, count)?;
        }
        f.write_str("}")
    }
}

/// `, (1,2]:3`, nothing for an empty bucket.
fn write_counted<N: Copy + fmt::Display + Default + PartialEq>(
    f: &mut fmt::Formatter<'_>,
    bucket: &Bucket,
    count: N,
) -> fmt::Result {
    if count == N::default() {
        return Ok(());
    }
    f.write_str(", ")?;
    bucket.write_bounds(f)?;
    write!(f, ":{count}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_counts_keep_their_digits() {
        let span = |offset, length| vec![Span { offset, length }];
        let h = Histogram {
            count: 12_345_678,
            sum: 5e6,
            zero_count: 2,
            zero_threshold: 0.5,
            positive_spans: span(1, 3),
            positive_buckets: vec![12_345_670, -12_345_670, 3],
            negative_spans: span(1, 2),
            negative_buckets: vec![1, 1],
            ..Histogram::default()
        };
        assert_eq!(
            h.to_string(),
            "{count:12345678, sum:5e+06, [-4,-2):2, [-2,-1):1, [-0.5,0.5]:2, (1,2]:12345670, (4,8]:3}"
        );
        assert!(
            h.to_float()
                .to_string()
                .starts_with("{count:1.2345678e+07, ")
        );
    }
}
