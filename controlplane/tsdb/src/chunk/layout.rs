//! Bucket layouts of native histograms: which bucket indexes a list of spans names, and the header that a
//! histogram chunk stores once for all its samples.

use bellwether_model::Span;
use bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA;

use super::bits::{BitReader, BitWriter, PutBits};
use crate::encoding::DecodeError;

/// More buckets than this in one histogram are taken for corruption.
const MAX_BUCKETS: u64 = 1 << 20;

/// What all samples of one chunk share.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layout {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) positive: Vec<Span>,
    pub(crate) negative: Vec<Span>,
    pub(crate) custom: Vec<f64>,
}

impl Layout {
    /// Writes the layout at the beginning of a chunk's bit stream.
    pub(crate) fn write(&self, out: &mut BitWriter) {
        write_zero_threshold(out, self.zero_threshold);
        out.varbit_int(i64::from(self.schema));
        for spans in [&self.positive, &self.negative] {
            out.varbit_uint(spans.len() as u64);
            for span in spans {
                out.varbit_uint(u64::from(span.length));
                out.varbit_int(i64::from(span.offset));
            }
        }
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            out.varbit_uint(self.custom.len() as u64);
            for bound in &self.custom {
                write_bound(out, *bound);
            }
        }
    }

    /// Reads a layout.
    pub(crate) fn read(bits: &mut BitReader<'_>) -> Result<Self, DecodeError> {
        let zero_threshold = read_zero_threshold(bits)?;
        let schema = i32::try_from(bits.varbit_int()?)
            .map_err(|_| DecodeError("histogram schema out of range"))?;
        let positive = read_spans(bits)?;
        let negative = read_spans(bits)?;
        let mut custom = Vec::new();
        if schema == CUSTOM_BUCKETS_SCHEMA {
            let n = bits.varbit_uint()?;
            if n > MAX_BUCKETS {
                return Err(DecodeError("too many custom bounds"));
            }
            for _ in 0..n {
                custom.push(read_bound(bits)?);
            }
        }
        Ok(Self {
            schema,
            zero_threshold,
            positive,
            negative,
            custom,
        })
    }
}

fn read_spans(bits: &mut BitReader<'_>) -> Result<Vec<Span>, DecodeError> {
    let n = bits.varbit_uint()?;
    let mut spans = Vec::new();
    let mut buckets = 0u64;
    for _ in 0..n {
        let length = bits.varbit_uint()?;
        let offset = bits.varbit_int()?;
        buckets = buckets.saturating_add(length);
        if buckets > MAX_BUCKETS {
            return Err(DecodeError("too many histogram buckets"));
        }
        spans.push(Span {
            offset: offset as i32,
            length: length as u32,
        });
    }
    Ok(spans)
}

/// One byte for zero and for powers of two in 2^-243 ..= 2^10, else a marker and the float.
fn write_zero_threshold(out: &mut BitWriter, threshold: f64) {
    if threshold == 0.0 {
        out.write(0, 8);
        return;
    }
    let bits = threshold.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let is_power = bits & ((1 << 52) - 1) == 0 && threshold > 0.0;
    if is_power && (-243..=10).contains(&exponent) {
        // 2^e is 0.5 * 2^(e+1), and the byte is that exponent plus 243.
        out.write((exponent + 244) as u64, 8);
    } else {
        out.write(255, 8);
        out.write(bits, 64);
    }
}

fn read_zero_threshold(bits: &mut BitReader<'_>) -> Result<f64, DecodeError> {
    Ok(match bits.read(8)? {
        0 => 0.0,
        255 => f64::from_bits(bits.read(64)?),
        byte => f64::from_bits((byte + 1023 - 244) << 52),
    })
}

/// Bounds with up to three decimals become small integers; others keep their 64 bits.
fn write_bound(out: &mut BitWriter, bound: f64) {
    let scaled = bound * 1000.0;
    if (0.0..=33_554_430.0).contains(&scaled) && scaled == scaled.trunc() {
        out.varbit_uint(scaled as u64 + 1);
    } else {
        out.bit(false);
        out.write(bound.to_bits(), 64);
    }
}

fn read_bound(bits: &mut BitReader<'_>) -> Result<f64, DecodeError> {
    Ok(match bits.varbit_uint()? {
        0 => f64::from_bits(bits.read(64)?),
        scaled => (scaled - 1) as f64 / 1000.0,
    })
}

/// The bucket indexes that spans name, in order.
pub(crate) fn indexes(spans: &[Span]) -> Vec<i64> {
    let mut out = Vec::new();
    let mut next = 0i64;
    for span in spans {
        next += i64::from(span.offset);
        for _ in 0..span.length {
            out.push(next);
            next += 1;
        }
    }
    out
}

/// Spans that name the given rising indexes, in the shortest form.
pub(crate) fn spans_of(indexes: &[i64]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0i64;
    for &index in indexes {
        match spans.last_mut() {
            Some(last) if index == next => last.length += 1,
            _ => spans.push(Span {
                offset: (index - next) as i32,
                length: 1,
            }),
        }
        next = index + 1;
    }
    spans
}

/// Number of buckets that spans name.
pub(crate) fn bucket_count(spans: &[Span]) -> usize {
    spans.iter().map(|s| s.length as usize).sum()
}

/// The union of two rising index lists.
pub(crate) fn union(a: &[i64], b: &[i64]) -> Vec<i64> {
    let mut out: Vec<i64> = a.iter().chain(b).copied().collect();
    out.sort_unstable();
    out.dedup();
    out
}

/// Spreads values at `from` over the wider list `to`, zero in between.
pub(crate) fn spread<T: Copy + Default>(values: &[T], from: &[i64], to: &[i64]) -> Vec<T> {
    let mut old = from.iter().zip(values).peekable();
    to.iter()
        .map(|index| match old.peek() {
            Some((i, v)) if *i == index => {
                let v = **v;
                old.next();
                v
            }
            _ => T::default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn layouts_round_trip() {
        let thresholds = [
            0.0,
            1e-3,
            2f64.powi(-128),
            2f64.powi(-243),
            2f64.powi(10),
            2f64.powi(11),
            0.75,
        ];
        for zero_threshold in thresholds {
            let layout = Layout {
                schema: CUSTOM_BUCKETS_SCHEMA,
                zero_threshold,
                positive: vec![
                    Span {
                        offset: -3,
                        length: 2,
                    },
                    Span {
                        offset: 7,
                        length: 1,
                    },
                ],
                negative: vec![Span {
                    offset: 100,
                    length: 3,
                }],
                custom: vec![-1.0, 0.0, 0.005, 0.1, 33_554.43, 33_554.431, 1e300],
            };
            let mut w = BitWriter::default();
            layout.write(&mut w);
            let mut r = BitReader::new(w.bytes());
            assert_eq!(Layout::read(&mut r).unwrap(), layout);
        }
    }

    #[test]
    fn indexes_and_spans_are_inverse() {
        let spans = vec![
            Span {
                offset: -5,
                length: 2,
            },
            Span {
                offset: 3,
                length: 1,
            },
        ];
        assert_eq!(indexes(&spans), [-5, -4, 0]);
        assert_eq!(spans_of(&indexes(&spans)), spans);
        assert_eq!(spread(&[7, 8], &[1, 4], &[0, 1, 2, 4]), [0, 7, 0, 8]);
    }
}
