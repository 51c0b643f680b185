//! The two number types of native histograms and how a chunk codes each of their fields.

use super::bits::{BitReader, BitWriter, PutBits, XorWindow};
use crate::encoding::DecodeError;

/// State of one coded field: the value before and what its coding needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Field<T> {
    pub(crate) value: T,
    delta: i64,
    window: XorWindow,
}

impl<T: Number> Field<T> {
    /// A field's state after its first value.
    pub(crate) fn first(value: T) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

/// The number type of a histogram: `i64` (counts are reinterpreted `u64`) or `f64`.
pub(crate) trait Number: Copy + Default + PartialOrd + Send + Sync + 'static {
    /// Whether the count `a` is below the count `b`.
    fn count_below(a: Self, b: Self) -> bool;
    fn write_first_count(out: &mut BitWriter, v: Self);
    fn write_first_bucket(out: &mut BitWriter, v: Self);
    /// Writes a later value. Integer counts of stale samples are written as unchanged.
    fn write_next(out: &mut BitWriter, field: &mut Field<Self>, v: Self, stale: bool);
    fn read_first_count(bits: &mut BitReader<'_>) -> Result<Self, DecodeError>;
    fn read_first_bucket(bits: &mut BitReader<'_>) -> Result<Self, DecodeError>;
    fn read_next(bits: &mut BitReader<'_>, field: &mut Field<Self>) -> Result<(), DecodeError>;
    /// Stored buckets as absolute counts.
    fn absolute(stored: &[Self]) -> Vec<Self>;
    /// Absolute counts as stored buckets.
    fn stored(absolute: Vec<Self>) -> Vec<Self>;
}

impl Number for i64 {
    fn count_below(a: Self, b: Self) -> bool {
        (a as u64) < b as u64
    }
    fn write_first_count(out: &mut BitWriter, v: Self) {
        out.varbit_uint(v as u64);
    }
    fn write_first_bucket(out: &mut BitWriter, v: Self) {
        out.varbit_int(v);
    }
    fn write_next(out: &mut BitWriter, field: &mut Field<Self>, v: Self, stale: bool) {
        let delta = v.wrapping_sub(field.value);
        out.varbit_int(if stale {
            0
        } else {
            delta.wrapping_sub(field.delta)
        });
        field.delta = delta;
        field.value = v;
    }
    fn read_first_count(bits: &mut BitReader<'_>) -> Result<Self, DecodeError> {
        Ok(bits.varbit_uint()? as i64)
    }
    fn read_first_bucket(bits: &mut BitReader<'_>) -> Result<Self, DecodeError> {
        bits.varbit_int()
    }
    fn read_next(bits: &mut BitReader<'_>, field: &mut Field<Self>) -> Result<(), DecodeError> {
        field.delta = field.delta.wrapping_add(bits.varbit_int()?);
        field.value = field.value.wrapping_add(field.delta);
        Ok(())
    }
    fn absolute(stored: &[Self]) -> Vec<Self> {
        let mut current = 0i64;
        stored
            .iter()
            .map(|d| {
                current = current.wrapping_add(*d);
                current
            })
            .collect()
    }
    fn stored(absolute: Vec<Self>) -> Vec<Self> {
        let mut before = 0i64;
        absolute
            .into_iter()
            .map(|v| v.wrapping_sub(std::mem::replace(&mut before, v)))
            .collect()
    }
}

impl Number for f64 {
    fn count_below(a: Self, b: Self) -> bool {
        a < b
    }
    fn write_first_count(out: &mut BitWriter, v: Self) {
        out.write(v.to_bits(), 64);
    }
    fn write_first_bucket(out: &mut BitWriter, v: Self) {
        out.write(v.to_bits(), 64);
    }
    fn write_next(out: &mut BitWriter, field: &mut Field<Self>, v: Self, _stale: bool) {
        field.window.write(out, field.value, v);
        field.value = v;
    }
    fn read_first_count(bits: &mut BitReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from_bits(bits.read(64)?))
    }
    fn read_first_bucket(bits: &mut BitReader<'_>) -> Result<Self, DecodeError> {
        Ok(Self::from_bits(bits.read(64)?))
    }
    fn read_next(bits: &mut BitReader<'_>, field: &mut Field<Self>) -> Result<(), DecodeError> {
        field.value = field.window.read(bits, field.value)?;
        Ok(())
    }
    fn absolute(stored: &[Self]) -> Vec<Self> {
        stored.to_vec()
    }
    fn stored(absolute: Vec<Self>) -> Vec<Self> {
        absolute
    }
}
