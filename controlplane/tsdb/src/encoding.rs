//! Byte-level building blocks of all files: big-endian numbers, LEB128 varints, CRC-32C.

use std::borrow::Cow;

/// Why bytes do not decode. Callers add the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DecodeError(pub(crate) &'static str);

/// CRC-32C (Castagnoli), the checksum of every Prometheus file.
#[must_use]
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// Appends an unsigned LEB128 varint.
#[inline]
pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push((v as u8) | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// Appends a signed varint (zig-zag).
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, v: i64) {
    put_uvarint(out, ((v << 1) ^ (v >> 63)) as u64);
}

/// Appends a string with its length before it.
pub(crate) fn put_str(out: &mut Vec<u8>, s: &str) {
    put_uvarint(out, s.len() as u64);
    out.extend_from_slice(s.as_bytes());
}

/// Reads from the front of a slice. Never panics on any input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dec<'a> {
    rest: &'a [u8],
}

impl<'a> Dec<'a> {
    /// A reader over the bytes.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not read yet.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Whether all bytes are read.
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    #[inline]
    pub(crate) fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        if n > self.rest.len() {
            return Err(DecodeError("unexpected end of data"));
        }
        let (head, tail) = self.rest.split_at(n);
        self.rest = tail;
        Ok(head)
    }

    /// One byte.
    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.bytes(1)?[0])
    }

    /// A big-endian u32.
    #[inline]
    pub(crate) fn be32(&mut self) -> Result<u32, DecodeError> {
        let mut raw = [0; 4];
        raw.copy_from_slice(self.bytes(4)?);
        Ok(u32::from_be_bytes(raw))
    }

    /// A big-endian u64.
    #[inline]
    pub(crate) fn be64(&mut self) -> Result<u64, DecodeError> {
        let mut raw = [0; 8];
        raw.copy_from_slice(self.bytes(8)?);
        Ok(u64::from_be_bytes(raw))
    }

    /// A big-endian float.
    #[inline]
    pub(crate) fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_bits(self.be64()?))
    }

    /// An unsigned varint.
    #[inline]
    pub(crate) fn uvarint(&mut self) -> Result<u64, DecodeError> {
        // Most numbers are small.
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            [low, high, rest @ ..] if *high < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*low & 0x7f) | u64::from(*high) << 7)
            }
            _ => self.long_uvarint(),
        }
    }

    fn long_uvarint(&mut self) -> Result<u64, DecodeError> {
        let mut v = 0u64;
        for shift in 0..10 {
            let byte = self.u8()?;
            if shift == 9 && byte > 1 {
                return Err(DecodeError("varint overflows 64 bits"));
            }
            v |= u64::from(byte & 0x7f) << (7 * shift);
            if byte < 0x80 {
                return Ok(v);
            }
        }
        Err(DecodeError("varint is too long"))
    }

    /// A signed varint.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<i64, DecodeError> {
        let v = self.uvarint()?;
        Ok(((v >> 1) as i64) ^ -((v & 1) as i64))
    }

    /// A length for a list whose items take at least `item` bytes each: guards against huge allocations.
    pub(crate) fn count(&mut self, item: usize) -> Result<usize, DecodeError> {
        let n = self.uvarint()?;
        let max = self.rest.len() / item.max(1);
        match usize::try_from(n) {
            Ok(n) if n <= max => Ok(n),
            _ => Err(DecodeError("count exceeds the data")),
        }
    }

    /// A string with its length before it. Bytes that are no UTF-8 are replaced.
    pub(crate) fn str(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let len = self.count(1)?;
        Ok(String::from_utf8_lossy(self.bytes(len)?))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_round_trip(v in any::<u64>(), s in any::<i64>(), text in ".{0,300}") {
            let mut out = Vec::new();
            put_uvarint(&mut out, v);
            put_varint(&mut out, s);
            put_str(&mut out, &text);
            let mut dec = Dec::new(&out);
            prop_assert_eq!(dec.uvarint().unwrap(), v);
            prop_assert_eq!(dec.varint().unwrap(), s);
            prop_assert_eq!(dec.str().unwrap(), text.as_str());
            prop_assert!(dec.is_empty());
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut dec = Dec::new(&bytes);
            while dec.varint().is_ok() {}
            let mut dec = Dec::new(&bytes);
            while dec.str().is_ok() {
                if dec.is_empty() { break; }
            }
        }
    }

    #[test]
    fn an_overlong_varint_is_an_error() {
        assert!(Dec::new(&[0xff; 11]).uvarint().is_err());
    }
}
