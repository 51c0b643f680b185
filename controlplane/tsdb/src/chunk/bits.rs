//! Bit streams, most significant bit first, and the variable-width integers of histogram chunks.

use crate::encoding::DecodeError;

/// Something that bits are appended to.
pub(crate) trait PutBits {
    /// Appends the low `n` bits of `value`, `1 <= n <= 64`.
    fn write(&mut self, value: u64, n: u32);

    /// Appends one bit.
    #[inline]
    fn bit(&mut self, bit: bool) {
        self.write(u64::from(bit), 1);
    }
}

/// Appends bits to a byte buffer, whose memory has sizes that the allocator has no need to round up.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitWriter {
    /// The bytes so far and room for more.
    buf: Box<[u8]>,
    len: u32,
    /// Unused low bits of the last byte.
    free: u8,
}

/// Allocators have four sizes between a power of two and the next, and multiples of 16 below.
fn size_class(bytes: usize) -> usize {
    let step = (bytes.next_power_of_two() / 8).max(16);
    bytes.next_multiple_of(step)
}

impl BitWriter {
    /// The bytes so far; unused bits of the last one are zero.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buf[..self.len as usize]
    }

    /// The bytes for in-place changes of a header.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buf[..self.len as usize]
    }

    /// Starts over with a byte-aligned header.
    pub(crate) fn restart(&mut self, header: &[u8]) {
        *self = Self::default();
        self.put(header);
    }

    /// Appends whole bytes; only valid on a byte border.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.free, 0);
        let at = self.len as usize;
        if self.buf.len() - at < bytes.len() {
            self.grow(bytes.len());
        }
        self.buf[at..at + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len() as u32;
    }

    /// Makes room for `more` bytes and a few samples.
    #[cold]
    fn grow(&mut self, more: usize) {
        let len = self.len as usize;
        // A chunk of a few samples grows in small steps: there are as many as series.
        let size = size_class(len + more + (len / 8).max(16));
        let mut buf = std::mem::take(&mut self.buf).into_vec();
        buf.reserve_exact(size - buf.len());
        buf.resize(size, 0);
        self.buf = buf.into_boxed_slice();
    }

    /// Appends a signed integer in the width classes 0, 3, 6, 9, 12, 18, 25, 56, 64.
    pub(crate) fn varbit_int(&mut self, v: i64) {
        if v == 0 {
            self.bit(false);
            return;
        }
        for (ones, width) in CLASSES {
            // n bits hold -(2^(n-1)-1) ..= 2^(n-1): asymmetric as in Prometheus' delta of deltas.
            let half = 1i64 << (width - 1);
            if v > -half && v <= half {
                self.write(prefix(ones), ones + 1);
                self.write(v as u64, width);
                return;
            }
        }
        self.write(0xff, 8);
        self.write(v as u64, 64);
    }

    /// Appends an unsigned integer in the same width classes.
    pub(crate) fn varbit_uint(&mut self, v: u64) {
        if v == 0 {
            self.bit(false);
            return;
        }
        for (ones, width) in CLASSES {
            if v < 1 << width {
                self.write(prefix(ones), ones + 1);
                self.write(v, width);
                return;
            }
        }
        self.write(0xff, 8);
        self.write(v, 64);
    }
}

impl PutBits for BitWriter {
    #[inline]
    fn write(&mut self, value: u64, n: u32) {
        let mut v = value << (64 - n);
        let mut n = n;
        let free = u32::from(self.free);
        let at = self.len as usize;
        if free > 0 {
            self.buf[at - 1] |= (v >> (64 - free)) as u8;
            if n <= free {
                self.free -= n as u8;
                return;
            }
            v <<= free;
            n -= free;
        }
        if self.buf.len() - at < 8 {
            self.grow(8);
        }
        // Eight bytes at once, of which only those count that have bits: a fixed width needs no call.
        let bytes = n.div_ceil(8);
        self.buf[at..at + 8].copy_from_slice(&v.to_be_bytes());
        self.len += bytes;
        self.free = (bytes * 8 - n) as u8;
    }
}

/// Number of leading ones in the prefix, and bits of the value.
const CLASSES: [(u32, u32); 7] = [(1, 3), (2, 6), (3, 9), (4, 12), (5, 18), (6, 25), (7, 56)];

/// `ones` ones and a zero.
fn prefix(ones: u32) -> u64 {
    (1 << (ones + 1)) - 2
}

/// Reads bits from a slice. Never panics on any input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BitReader<'a> {
    data: &'a [u8],
    /// Position in bits.
    pos: usize,
}

const END: DecodeError = DecodeError("chunk ends too early");

impl<'a> BitReader<'a> {
    /// A reader over the bytes.
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, pos: 0 }
    }

    /// Whole bytes that were read.
    pub(crate) fn bytes_read(&self) -> usize {
        self.pos / 8
    }

    /// The next 64 bits from the position, padded with zeros at the end of the data.
    #[inline]
    fn window(&self) -> u64 {
        let byte = self.pos >> 3;
        let word = match self.data.get(byte..byte + 8) {
            Some(slice) => {
                let mut raw = [0; 8];
                raw.copy_from_slice(slice);
                u64::from_be_bytes(raw)
            }
            None => {
                let mut raw = [0; 8];
                let tail = self.data.get(byte..).unwrap_or_default();
                raw[..tail.len()].copy_from_slice(tail);
                u64::from_be_bytes(raw)
            }
        };
        word << (self.pos & 7)
    }

    #[inline]
    fn advance(&mut self, n: usize) -> Result<(), DecodeError> {
        let next = self.pos + n;
        if next > self.data.len() * 8 {
            return Err(END);
        }
        self.pos = next;
        Ok(())
    }

    /// Reads `1 <= n <= 64` bits.
    #[inline]
    pub(crate) fn read(&mut self, n: u32) -> Result<u64, DecodeError> {
        if n > 56 {
            let high = self.read(n - 32)?;
            return Ok(high << 32 | self.read(32)?);
        }
        let v = self.window() >> (64 - n);
        self.advance(n as usize)?;
        Ok(v)
    }

    /// Counts leading ones up to `max` and eats them with the zero that ends them (none after `max`).
    #[inline]
    pub(crate) fn ones(&mut self, max: u32) -> Result<u32, DecodeError> {
        let ones = self.window().leading_ones().min(max);
        self.advance(if ones == max { ones } else { ones + 1 } as usize)?;
        Ok(ones)
    }

    /// Reads a signed integer of `n` bits in the asymmetric range `-(2^(n-1)-1) ..= 2^(n-1)`.
    #[inline]
    pub(crate) fn signed(&mut self, n: u32) -> Result<i64, DecodeError> {
        let v = self.read(n)?;
        if n < 64 && v > 1 << (n - 1) {
            return Ok(v.wrapping_sub(1 << n) as i64);
        }
        Ok(v as i64)
    }

    /// Reads what [`BitWriter::varbit_int`] wrote.
    pub(crate) fn varbit_int(&mut self) -> Result<i64, DecodeError> {
        match self.ones(8)? {
            0 => Ok(0),
            8 => Ok(self.read(64)? as i64),
            ones => self.signed(CLASSES[ones as usize - 1].1),
        }
    }

    /// Reads what [`BitWriter::varbit_uint`] wrote.
    pub(crate) fn varbit_uint(&mut self) -> Result<u64, DecodeError> {
        match self.ones(8)? {
            0 => Ok(0),
            8 => self.read(64),
            ones => self.read(CLASSES[ones as usize - 1].1),
        }
    }

    /// Reads a LEB128 varint byte by byte (chunks use them off byte borders only after the header).
    pub(crate) fn uvarint(&mut self) -> Result<u64, DecodeError> {
        let mut v = 0u64;
        for shift in 0..10 {
            let byte = self.read(8)?;
            v |= (byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return Ok(v);
            }
        }
        Err(DecodeError("varint is too long"))
    }

    /// Reads a zig-zag varint.
    pub(crate) fn varint(&mut self) -> Result<i64, DecodeError> {
        let v = self.uvarint()?;
        Ok(((v >> 1) as i64) ^ -((v & 1) as i64))
    }
}

/// The window of significant bits that XOR-coded floats reuse.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct XorWindow {
    leading: u8,
    trailing: u8,
    known: bool,
}

impl XorWindow {
    /// Writes `next` against `previous` (Gorilla, section 4.1.2; leading zeros capped at 31).
    #[inline]
    pub(crate) fn write(&mut self, out: &mut impl PutBits, previous: f64, next: f64) {
        let delta = previous.to_bits() ^ next.to_bits();
        if delta == 0 {
            out.bit(false);
            return;
        }
        let leading = (delta.leading_zeros() as u8).min(31);
        let trailing = delta.trailing_zeros() as u8;
        if self.known && leading >= self.leading && trailing >= self.trailing {
            let width = 64 - u32::from(self.leading) - u32::from(self.trailing);
            if width <= 62 {
                out.write(0b10 << width | delta >> self.trailing, width + 2);
            } else {
                out.write(0b10, 2);
                out.write(delta >> self.trailing, width);
            }
            return;
        }
        self.leading = leading;
        self.trailing = trailing;
        self.known = true;
        let width = 64 - u32::from(leading) - u32::from(trailing);
        // Six bits cannot hold 64; Prometheus writes 0 for it.
        out.write(
            0b11 << 11 | u64::from(leading) << 6 | u64::from(width & 63),
            13,
        );
        out.write(delta >> trailing, width);
    }

    /// Reads the value after `previous`.
    #[inline]
    pub(crate) fn read(
        &mut self,
        bits: &mut BitReader<'_>,
        previous: f64,
    ) -> Result<f64, DecodeError> {
        match bits.ones(2)? {
            0 => return Ok(previous),
            1 => {
                if !self.known {
                    return Err(DecodeError("value reuses a window that was never set"));
                }
            }
            _ => {
                let head = bits.read(11)?;
                let leading = (head >> 6) as u8;
                let width = match head & 63 {
                    0 => 64,
                    w => w as u8,
                };
                let Some(trailing) = 64u8.checked_sub(leading + width) else {
                    return Err(DecodeError("value window is wider than 64 bits"));
                };
                self.leading = leading;
                self.trailing = trailing;
                self.known = true;
            }
        }
        let width = 64 - u32::from(self.leading) - u32::from(self.trailing);
        let delta = bits.read(width)? << self.trailing;
        Ok(f64::from_bits(previous.to_bits() ^ delta))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_round_trip(items in proptest::collection::vec((any::<u64>(), 1u32..=64), 0..200)) {
            let mut w = BitWriter::default();
            for (v, n) in &items { w.write(*v, *n); }
            let mut r = BitReader::new(w.bytes());
            for (v, n) in &items {
                let mask = if *n == 64 { u64::MAX } else { (1 << n) - 1 };
                prop_assert_eq!(r.read(*n).unwrap(), v & mask);
            }
        }

        #[test]
        fn varbits_round_trip(items in proptest::collection::vec((any::<i64>(), 0u32..64), 0..100)) {
            let mut w = BitWriter::default();
            for (v, shift) in &items { w.varbit_int(v >> shift); w.varbit_uint((*v as u64) >> shift); }
            let mut r = BitReader::new(w.bytes());
            for (v, shift) in &items {
                prop_assert_eq!(r.varbit_int().unwrap(), v >> shift);
                prop_assert_eq!(r.varbit_uint().unwrap(), (*v as u64) >> shift);
            }
        }
    }

    #[test]
    fn class_borders_are_asymmetric() {
        for (v, bits) in [(4, 5), (-3, 5), (5, 9), (-4, 9), (32, 9), (33, 13)] {
            let mut w = BitWriter::default();
            w.varbit_int(v);
            let used = w.bytes().len() * 8 - usize::from(w.free);
            assert_eq!(used, bits, "{v}");
        }
    }
}
