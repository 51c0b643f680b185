//! Quantiles and fractions of native histograms.

use bellwether_model::FloatHistogram;

use crate::annotations::AnnotationKind;

use super::go_math::{exp2, log2};

/// The q-quantile: linear interpolation in custom buckets and the zero bucket, exponential elsewhere.
pub(super) fn quantile(
    q: f64,
    h: &FloatHistogram,
    name: &str,
    note: &mut dyn FnMut(AnnotationKind),
) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if h.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    let mut buckets = h.buckets();
    // NaN observations are in no bucket but in the count, so then only counting upwards is right.
    let upwards = h.sum.is_nan() || q < 0.5;
    let mut rank = if upwards {
        q * h.count
    } else {
        (1.0 - q) * h.count
    };
    if !upwards {
        buckets.reverse();
    }
    let (mut count, mut at, mut seen) = (0.0, None, 0);
    for (i, bucket) in buckets.iter().enumerate() {
        at = Some(*bucket);
        seen = i + 1;
        if bucket.count == 0.0 {
            continue;
        }
        count += bucket.count;
        if count >= rank {
            break;
        }
    }
    let mut bucket = at.unwrap_or(h.zero_bucket());
    if at.is_none() {
        (bucket.lower, bucket.upper) = (0.0, 0.0);
    }
    let custom = h.uses_custom_buckets();
    if !custom && bucket.lower < 0.0 && bucket.upper > 0.0 {
        one_sided_zero(h, &mut bucket.lower, &mut bucket.upper);
    } else if custom {
        if bucket.lower == f64::NEG_INFINITY {
            if bucket.upper <= 0.0 {
                return bucket.upper;
            }
            bucket.lower = 0.0;
        } else if bucket.upper == f64::INFINITY {
            return bucket.lower;
        }
    }
    count = count.min(h.count);
    if count < rank {
        if h.sum.is_nan() {
            note(AnnotationKind::QuantileNanResult(name.to_owned()));
            return f64::NAN;
        }
        return bucket.upper;
    }
    if upwards {
        rank -= count - bucket.count;
    } else {
        rank = count - rank;
    }
    // As upstream, the bucket that the interpolation below uses is the last one looked at here.
    if h.sum.is_nan() {
        for rest in &buckets[seen..] {
            bucket = *rest;
            count += rest.count;
        }
        if count < h.count {
            note(AnnotationKind::QuantileNanSkew(name.to_owned()));
        }
    }
    let fraction = rank / bucket.count;
    if custom || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (lower, upper) = (log2(bucket.lower.abs()), log2(bucket.upper.abs()));
    if bucket.lower > 0.0 {
        exp2(lower + (upper - lower) * fraction)
    } else {
        -exp2(upper + (lower - upper) * (1.0 - fraction))
    }
}

/// With buckets on one side only, the zero bucket reaches to that side only.
fn one_sided_zero(h: &FloatHistogram, lower: &mut f64, upper: &mut f64) {
    let (negative, positive) = (
        !h.negative_buckets.is_empty(),
        !h.positive_buckets.is_empty(),
    );
    if !negative && positive {
        *lower = 0.0;
    } else if !positive && negative {
        *upper = 0.0;
    }
}

/// The share of observations between two bounds.
pub(super) fn fraction(
    lower: f64,
    upper: f64,
    h: &FloatHistogram,
    name: &str,
    note: &mut dyn FnMut(AnnotationKind),
) -> f64 {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let (mut rank, mut lower_rank, mut upper_rank) = (0.0, None, None);
    let mut total = 0.0;
    let buckets = h.buckets();
    for b in &buckets {
        total += b.count;
    }
    for b in &buckets {
        let mut b = *b;
        let zero = b.lower <= 0.0 && b.upper >= 0.0;
        if zero {
            one_sided_zero(h, &mut b.lower, &mut b.upper);
        }
        let at = |v: f64| {
            let linear = h.uses_custom_buckets() || zero;
            if linear && b.lower == f64::NEG_INFINITY {
                // Nothing can be interpolated towards infinity.
                return b.count;
            }
            rank + b.count * b.fraction_below(v, linear)
        };
        for (bound, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_some() {
                continue;
            }
            if b.lower >= bound {
                *found = Some(rank);
            } else if b.upper > bound {
                *found = Some(at(bound));
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank += b.count;
    }
    let mut count = h.count;
    if h.sum.is_nan() {
        // NaN observations are only in the histogram's count.
        count = total;
        if count < h.count {
            note(AnnotationKind::FractionNan(name.to_owned()));
        }
    }
    let cap = |rank: Option<f64>| rank.map_or(count, |r| if r > count { count } else { r });
    (cap(upper_rank) - cap(lower_rank)) / h.count
}
