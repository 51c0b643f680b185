//! Quantiles and fractions of classic histograms.

/// A cumulative bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) upper: f64,
    pub(super) count: f64,
}

/// What was repaired in decreasing buckets: the bounds involved and the largest difference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Repaired {
    pub(super) least: f64,
    pub(super) greatest: f64,
    pub(super) max_diff: f64,
}

/// Differences below this, relative to the values, are rounding errors.
const TOLERANCE: f64 = 1e-12;

/// Sorts by bound and sums buckets of equal bounds. `None` without a bucket for infinity.
fn prepare(buckets: &mut Vec<Bucket>) -> Option<()> {
    buckets.sort_by(|a, b| {
        a.upper
            .partial_cmp(&b.upper)
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    if buckets.last()?.upper != f64::INFINITY {
        return None;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    Some(())
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b {
        return true;
    }
    let sum = a.abs() + b.abs();
    let diff = (a - b).abs();
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < TOLERANCE * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < TOLERANCE
}

/// Makes counts rise monotonically. Tiny differences go silently in either direction.
fn make_monotonic(buckets: &mut [Bucket]) -> Option<Repaired> {
    let mut repaired: Option<Repaired> = None;
    let mut previous = buckets[0].count;
    for b in &mut buckets[1..] {
        if b.count == previous {
            continue;
        }
        if almost_equal(previous, b.count) {
            b.count = previous;
        } else if b.count < previous {
            let diff = previous - b.count;
            let r = repaired.get_or_insert(Repaired {
                least: b.upper,
                greatest: b.upper,
                max_diff: 0.0,
            });
            r.least = r.least.min(b.upper);
            r.greatest = r.greatest.max(b.upper);
            r.max_diff = r.max_diff.max(diff);
            b.count = previous;
        } else {
            previous = b.count;
        }
    }
    repaired
}

/// The q-quantile by linear interpolation within a bucket, and what had to be repaired for it. The buckets are left
/// sorted and repaired.
pub(super) fn quantile(q: f64, buckets: &mut Vec<Bucket>) -> (f64, Option<Repaired>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if prepare(buckets).is_none() {
        return (f64::NAN, None);
    }
    let repaired = make_monotonic(buckets);
    let last = buckets.len() - 1;
    let observations = buckets[last].count;
    if last == 0 || observations == 0.0 {
        return (f64::NAN, repaired);
    }
    let mut rank = q * observations;
    let at = (0..last)
        .find(|&i| buckets[i].count >= rank)
        .unwrap_or(last);
    let value = if at == last {
        buckets[last - 1].upper
    } else if at == 0 && buckets[0].upper <= 0.0 {
        buckets[0].upper
    } else {
        let (mut start, mut count) = (0.0, buckets[at].count);
        if at > 0 {
            start = buckets[at - 1].upper;
            count -= buckets[at - 1].count;
            rank -= buckets[at - 1].count;
        }
        start + (buckets[at].upper - start) * (rank / count)
    };
    (value, repaired)
}

/// The share of observations between two bounds.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<Bucket>) -> f64 {
    if prepare(buckets).is_none() {
        return f64::NAN;
    }
    let count = buckets[buckets.len() - 1].count;
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let (mut rank, mut lower_rank, mut upper_rank) = (0.0, None, None);
    // A first bucket with a positive bound begins at zero.
    let mut start = if buckets[0].upper <= 0.0 {
        f64::NEG_INFINITY
    } else {
        0.0
    };
    for b in &*buckets {
        let at = |v: f64| {
            if start == f64::NEG_INFINITY {
                b.count
            } else {
                rank + (b.count - rank) * (v - start) / (b.upper - start)
            }
        };
        for (bound, found) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if found.is_some() {
                continue;
            }
            if start >= bound {
                *found = Some(rank);
            } else if b.upper > bound {
                *found = Some(at(bound));
            }
        }
        if lower_rank.is_some() && upper_rank.is_some() {
            break;
        }
        rank = b.count;
        start = b.upper;
    }
    let cap = |rank: Option<f64>| rank.map_or(count, |r| if r > count { count } else { r });
    (cap(upper_rank) - cap(lower_rank)) / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(pairs: &[(f64, f64)]) -> Vec<Bucket> {
        pairs
            .iter()
            .map(|&(upper, count)| Bucket { upper, count })
            .collect()
    }

    #[test]
    fn interpolates_in_the_bucket() {
        let mut b = buckets(&[(1.0, 1.0), (2.0, 3.0), (f64::INFINITY, 4.0)]);
        assert_eq!(quantile(0.5, &mut b).0, 1.5);
        assert_eq!(quantile(1.0, &mut b).0, 2.0);
        assert_eq!(fraction(f64::NEG_INFINITY, 2.0, &mut b), 0.75);
    }

    #[test]
    fn repairs_decreasing_counts() {
        let mut b = buckets(&[(1.0, 5.0), (2.0, 3.0), (f64::INFINITY, 10.0)]);
        let (_, repaired) = quantile(0.5, &mut b);
        let r = repaired.expect("a repair");
        assert_eq!((r.least, r.greatest, r.max_diff), (2.0, 2.0, 2.0));
    }
}
