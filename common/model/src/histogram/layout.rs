//! Bucket layouts: spans to indexed buckets and back, resolution, bounds.

use std::sync::LazyLock;

use crate::float::kahan_add;

use super::{CUSTOM_BUCKETS_SCHEMA, Span};

/// A bucket's index, its count and the count's compensation term (0 outside compensated sums).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    pub(super) index: i32,
    pub(super) count: f64,
    pub(super) c: f64,
}

/// The buckets of a side with their indexes, ascending.
pub(super) fn bins<'a>(
    spans: &'a [Span],
    counts: &'a [f64],
    c: Option<&'a [f64]>,
) -> impl Iterator<Item = Bin> + 'a {
    let mut next = 0i32;
    let indexes = spans.iter().flat_map(move |span| {
        let first = next.wrapping_add(span.offset);
        next = first.wrapping_add_unsigned(span.length);
        (0..span.length).map(move |i| first.wrapping_add_unsigned(i))
    });
    indexes
        .zip(counts)
        .enumerate()
        .map(move |(i, (index, count))| Bin {
            index,
            count: *count,
            c: c.and_then(|c| c.get(i)).copied().unwrap_or(0.0),
        })
}

/// Spans, counts and compensation terms of indexed buckets; neighbours share a span.
pub(super) fn pack(bins: impl IntoIterator<Item = Bin>) -> (Vec<Span>, Vec<f64>, Vec<f64>) {
    let (mut spans, mut counts, mut cs) = (Vec::<Span>::new(), Vec::new(), Vec::new());
    let mut end = 0i32;
    for bin in bins {
        match spans.last_mut() {
            Some(span) if bin.index == end => span.length += 1,
            _ => spans.push(Span {
                offset: bin.index.wrapping_sub(end),
                length: 1,
            }),
        }
        end = bin.index.wrapping_add(1);
        counts.push(bin.count);
        cs.push(bin.c);
    }
    (spans, counts, cs)
}

/// The index that a bucket has in a lower resolution.
pub(super) fn target_index(index: i32, from: i32, to: i32) -> i32 {
    ((index - 1) >> (from - to)) + 1
}

/// Merges buckets that fall together in a lower resolution; `compensated` keeps rounding errors apart.
pub(super) fn reduce(
    bins: impl Iterator<Item = Bin>,
    from: i32,
    to: i32,
    compensated: bool,
) -> Vec<Bin> {
    let mut out: Vec<Bin> = Vec::new();
    for bin in bins {
        let index = target_index(bin.index, from, to);
        match out.last_mut() {
            Some(last) if last.index == index => {
                if compensated {
                    (last.count, last.c) = kahan_add(bin.count, last.count, last.c);
                    (last.count, last.c) = kahan_add(bin.c, last.count, last.c);
                } else {
                    last.count += bin.count;
                }
            }
            _ => out.push(Bin { index, ..bin }),
        }
    }
    out
}

/// `a + sign * b`, bucket by bucket. Buckets of `b` whose bound is not above `threshold` are in the zero
/// bucket already and are skipped.
pub(super) fn add(
    a: &[Bin],
    b: &[Bin],
    skip: Option<(i32, f64)>,
    sign: f64,
    compensated: bool,
) -> Vec<Bin> {
    let mut out = Vec::with_capacity(a.len() + b.len());
    let mut rest = a.iter().copied().peekable();
    let inside =
        |bin: &&Bin| skip.is_some_and(|(schema, t)| exponential_bound(bin.index, schema) <= t);
    for add in b.iter().skip_while(inside) {
        while let Some(bin) = rest.next_if(|bin| bin.index < add.index) {
            out.push(bin);
        }
        let (count, c) = if sign < 0.0 {
            (-add.count, -add.c)
        } else {
            (add.count, add.c)
        };
        match rest.next_if(|bin| bin.index == add.index) {
            Some(mut bin) => {
                if compensated {
                    (bin.count, bin.c) = kahan_add(count, bin.count, bin.c);
                    if c != 0.0 {
                        (bin.count, bin.c) = kahan_add(c, bin.count, bin.c);
                    }
                } else {
                    bin.count += count;
                }
                out.push(bin);
            }
            None => out.push(Bin {
                index: add.index,
                count,
                c: if compensated { c } else { 0.0 },
            }),
        }
    }
    out.extend(rest);
    out
}

/// How many units in the last place Prometheus' bound of each of the 256 steps lies below `2^(i/256 - 1)`, plus
/// one. Bounds are part of results, so they have to agree to the last bit.
const BELOW: &[u8; 256] = b"1111112111211111112311222222222211211121122211221122102211221122\
    1111112222332132112111211112111111121011213311221222112121332222\
    2121223322322122222222323233323311221121223321332233212232332232\
    2243223233433343333333444455435422322333324422333243223333543344";

/// The 256 steps of `2^(i/256 - 1)`: computed with twice the precision of a float, then set to Prometheus' value.
static FRACTIONS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mul = |a: (f64, f64), b: (f64, f64)| {
        let hi = a.0 * b.0;
        let lo = a.0.mul_add(b.0, -hi) + (a.0 * b.1 + a.1 * b.0);
        let sum = hi + lo;
        (sum, lo - (sum - hi))
    };
    let sqrt = |a: (f64, f64)| {
        let root = a.0.sqrt();
        let rest = -root.mul_add(root, -a.0) + a.1;
        let correction = rest / (2.0 * root);
        let sum = root + correction;
        (sum, correction - (sum - root))
    };
    // roots[k] = 2^(1/2^(k+1))
    let mut roots = Vec::with_capacity(8);
    let mut root = (2.0, 0.0);
    for _ in 0..8 {
        root = sqrt(root);
        roots.push(root);
    }
    (0..256u32)
        .map(|i| {
            let bits = (0..8).filter(|bit| i & (1 << bit) != 0);
            let exact = bits
                .fold((0.5, 0.0), |product, bit| mul(product, roots[7 - bit]))
                .0;
            // All values lie in one binade, where a unit in the last place is one step of the bits.
            f64::from_bits(exact.to_bits() + 1 - u64::from(BELOW[i as usize] - b'0'))
        })
        .collect()
});

/// `x * 2^e` without intermediate overflow.
fn scale(x: f64, e: i32) -> f64 {
    if e > 1023 {
        x * 2.0 * 2f64.powi(e - 1)
    } else if e < -1022 {
        // In two steps: the first power alone would be zero.
        x * 2f64.powi(-1022) * 2f64.powi((e + 1022).max(-1022))
    } else {
        x * 2f64.powi(e)
    }
}

/// The upper bound of a bucket of an exponential schema.
pub(super) fn exponential_bound(index: i32, schema: i32) -> f64 {
    if schema < 0 {
        let exponent = i64::from(index) << (-schema).min(31);
        return match exponent {
            // The last bucket below infinity ends at the greatest float.
            1024 => f64::MAX,
            e if e > 1024 => f64::INFINITY,
            e if e < -1080 => 0.0,
            e => scale(1.0, e as i32),
        };
    }
    let schema = schema.min(8);
    let position = (index & ((1 << schema) - 1)) << (8 - schema);
    let fraction = FRACTIONS[position as usize];
    let exponent = (index >> schema) + 1;
    if fraction == 0.5 && exponent == 1025 {
        return f64::MAX;
    }
    if exponent > 1025 || (exponent == 1025 && fraction > 0.5) {
        return f64::INFINITY;
    }
    if exponent < -1080 {
        return 0.0;
    }
    scale(fraction, exponent)
}

/// The upper bound of a bucket; the lower bound is that of the index before. Indexes beyond custom bounds
/// are infinite.
pub(super) fn bound(index: i32, schema: i32, custom: &[f64]) -> f64 {
    if schema != CUSTOM_BUCKETS_SCHEMA {
        return exponential_bound(index, schema);
    }
    match usize::try_from(index) {
        Ok(i) => custom.get(i).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

/// The bounds that both lists have.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut out = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            out.push(a[i]);
            i += 1;
            j += 1;
        } else if a[i] < b[j] {
            i += 1;
        } else {
            j += 1;
        }
    }
    out
}

/// The index of the bucket among coarser custom bounds that a bucket falls into.
pub(super) fn custom_target(index: i32, bounds: &[f64], coarser: &[f64]) -> usize {
    match usize::try_from(index).ok().and_then(|i| bounds.get(i)) {
        Some(bound) => coarser.partition_point(|c| c < bound),
        None => coarser.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_powers() {
        assert_eq!(exponential_bound(0, 0), 1.0);
        assert_eq!(exponential_bound(1, 0), 2.0);
        // The published table's value, one step below the nearest double.
        assert_eq!(
            exponential_bound(1, 1),
            std::f64::consts::SQRT_2.next_down()
        );
        assert_eq!(exponential_bound(-1, -1), 0.25);
        assert_eq!(exponential_bound(1024, 0), f64::MAX);
        assert_eq!(exponential_bound(1025, 0), f64::INFINITY);
        assert_eq!(exponential_bound(-1074, 0), f64::from_bits(1));
        // Values of the published tables.
        assert_eq!(FRACTIONS[255], 0.9972960560854698);
        assert_eq!(FRACTIONS[1], 0.5013556375251013);
        assert_eq!(exponential_bound(1, 3) / 2.0, 0.545_253_866_332_628_8);
    }

    #[test]
    fn packing_is_the_inverse_of_unpacking() {
        let spans = [
            Span {
                offset: -3,
                length: 2,
            },
            Span {
                offset: 4,
                length: 1,
            },
        ];
        let counts = [1.0, 2.0, 3.0];
        let (back, values, _) = pack(bins(&spans, &counts, None));
        assert_eq!(back, spans);
        assert_eq!(values, counts);
    }
}
