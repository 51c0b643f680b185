//! Adding exponential buckets: both histograms are brought to the lower scale and the wider zero bucket, and to fewer
//! buckets where the sum has more than [`BUCKETS_MAX`].

use opentelemetry_proto::tonic::metrics::v1::ExponentialHistogramDataPoint as Histogram;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;

/// Buckets of one sign.
const BUCKETS_MAX: i64 = 160;

/// Scales that tell apart anything; beyond, all buckets are one or each is a number of its own.
const SCALES: std::ops::RangeInclusive<i32> = -63..=63;

/// Adds the buckets of a point to those of a total; the point's change on the way.
pub(super) fn add_buckets(total: &mut Histogram, point: &mut Histogram) {
    let scale = total.scale.min(point.scale);
    downscale(total, scale);
    downscale(point, scale);
    let positive = fitting_scale(scale, total.positive.as_ref(), point.positive.as_ref());
    let negative = fitting_scale(scale, total.negative.as_ref(), point.negative.as_ref());
    let scale = positive.min(negative);
    downscale(total, scale);
    downscale(point, scale);
    if total.zero_threshold < point.zero_threshold {
        widen_zero(total, point.zero_threshold);
    } else if point.zero_threshold < total.zero_threshold {
        widen_zero(point, total.zero_threshold);
    }
    merge(&mut total.positive, point.positive.as_ref());
    merge(&mut total.negative, point.negative.as_ref());
}

/// Absolute indices of the first bucket that counts anything and behind the last.
fn range(buckets: Option<&Buckets>) -> Option<(i64, i64)> {
    let buckets = buckets?;
    let first = buckets.bucket_counts.iter().position(|n| *n > 0)? as i64;
    let last = buckets.bucket_counts.iter().rposition(|n| *n > 0)? as i64;
    let offset = i64::from(buckets.offset);
    Some((offset + first, offset + last + 1))
}

/// Of both together.
fn joint_range(a: Option<&Buckets>, b: Option<&Buckets>) -> Option<(i64, i64)> {
    match (range(a), range(b)) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    }
}

fn fitting_scale(mut scale: i32, a: Option<&Buckets>, b: Option<&Buckets>) -> i32 {
    let Some((mut low, mut high)) = joint_range(a, b) else {
        return scale;
    };
    while high - low > BUCKETS_MAX {
        low /= 2;
        high /= 2;
        scale = scale.saturating_sub(1);
    }
    scale
}

fn downscale(h: &mut Histogram, scale: i32) {
    let by = h.scale.saturating_sub(scale);
    if by <= 0 {
        return;
    }
    h.scale = scale;
    // Indices have 32 bits.
    let by = by.min(32);
    for buckets in [&mut h.positive, &mut h.negative].into_iter().flatten() {
        let Some((low, high)) = range(Some(buckets)) else {
            *buckets = Buckets::default();
            continue;
        };
        let (new_low, new_high) = (low >> by, ((high - 1) >> by) + 1);
        let mut counts = vec![0u64; (new_high - new_low) as usize];
        for index in low..high {
            let n = buckets.bucket_counts[(index - i64::from(buckets.offset)) as usize];
            let sum = &mut counts[((index >> by) - new_low) as usize];
            *sum = sum.wrapping_add(n);
        }
        buckets.offset = new_low as i32;
        buckets.bucket_counts = counts;
    }
}

/// Moves the buckets up to a width into the zero bucket, which then ends where a bucket does.
fn widen_zero(h: &mut Histogram, width: f64) {
    let factor = f64::from(h.scale.clamp(*SCALES.start(), *SCALES.end())).exp2();
    // The first bucket that does not begin below the width.
    let next = (width.log2() * factor).ceil() as i64;
    for buckets in [&mut h.positive, &mut h.negative].into_iter().flatten() {
        let inside = next.saturating_sub(i64::from(buckets.offset)).max(0) as usize;
        let inside = inside.min(buckets.bucket_counts.len());
        for n in buckets.bucket_counts.drain(..inside) {
            h.zero_count = h.zero_count.wrapping_add(n);
        }
        buckets.offset = buckets.offset.saturating_add(inside as i32);
    }
    h.zero_threshold = (next as f64 / factor).exp2();
}

/// Adds buckets of the same scale.
fn merge(total: &mut Option<Buckets>, point: Option<&Buckets>) {
    let Some((low, high)) = joint_range(total.as_ref(), point) else {
        *total = None;
        return;
    };
    let mut counts = vec![0u64; (high - low) as usize];
    for buckets in total.iter().chain(point) {
        for (i, n) in buckets.bucket_counts.iter().enumerate() {
            if *n > 0 {
                let index = i64::from(buckets.offset) + i as i64 - low;
                counts[index as usize] = counts[index as usize].wrapping_add(*n);
            }
        }
    }
    *total = Some(Buckets {
        offset: low as i32,
        bucket_counts: counts,
    });
}
