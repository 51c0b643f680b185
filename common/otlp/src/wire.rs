//! Protobuf wire format: fields as they stand in the buffer.
//!
//! | wire type | value |
//! |---|---|
//! | 0 | varint, at most ten bytes, little-endian groups of seven bits |
//! | 1 | eight bytes, little-endian |
//! | 2 | length (varint), then that many bytes |
//! | 3, 4 | start and end of a group (obsolete; skipped) |
//! | 5 | four bytes, little-endian |

use crate::error::DecodeErrorKind;

/// Groups deeper than this are refused; no OTLP message uses groups.
const GROUP_DEPTH_MAX: usize = 100;

/// A field value, borrowed from the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireValue<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1, as raw bits.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5, as raw bits.
    Fixed32(u32),
    /// A group, skipped.
    Group,
}

impl WireValue<'_> {
    /// The number of the wire type.
    pub fn wire_type(&self) -> u8 {
        match self {
            Self::Varint(_) => 0,
            Self::Fixed64(_) => 1,
            Self::Bytes(_) => 2,
            Self::Group => 3,
            Self::Fixed32(_) => 5,
        }
    }
}

/// A field of a message: its number and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireField<'a> {
    /// Field number, 1 or more.
    pub number: u32,
    /// Value.
    pub value: WireValue<'a>,
}

/// Reads the fields of one message in order.
#[derive(Debug, Clone, Copy)]
pub struct WireReader<'a> {
    buf: &'a [u8],
    pos: usize,
}

impl<'a> WireReader<'a> {
    /// A reader over the body of one message.
    pub fn new(buf: &'a [u8]) -> Self {
        Self { buf, pos: 0 }
    }

    /// Offset of the next unread byte from the start of the message.
    pub fn position(&self) -> usize {
        self.pos
    }

    /// True when nothing is left.
    pub fn is_empty(&self) -> bool {
        self.pos >= self.buf.len()
    }

    /// The next field, or `None` at the end.
    ///
    /// # Errors
    /// The bytes are not a protobuf field.
    #[inline]
    pub fn next_field(&mut self) -> Result<Option<WireField<'a>>, DecodeErrorKind> {
        if self.is_empty() {
            return Ok(None);
        }
        let (number, wire_type) = self.key()?;
        let value = self.value(number, wire_type, 0)?;
        Ok(Some(WireField { number, value }))
    }

    /// The next field of bytes that were validated before: an error cannot occur and ends the iteration.
    #[inline]
    pub(crate) fn next_valid(&mut self) -> Option<WireField<'a>> {
        self.next_field().ok().flatten()
    }

    /// A varint at the current position.
    ///
    /// # Errors
    /// The varint is cut or too long.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeErrorKind> {
        if let Some(&byte) = self.buf.get(self.pos)
            && byte < 0x80
        {
            self.pos += 1;
            return Ok(u64::from(byte));
        }
        self.varint_long()
    }

    fn varint_long(&mut self) -> Result<u64, DecodeErrorKind> {
        let mut value = 0u64;
        for index in 0..10 {
            let byte = *self.buf.get(self.pos).ok_or(DecodeErrorKind::Truncated)?;
            self.pos += 1;
            if index == 9 && byte > 1 {
                return Err(DecodeErrorKind::InvalidVarint);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeErrorKind::InvalidVarint)
    }

    #[inline]
    fn key(&mut self) -> Result<(u32, u8), DecodeErrorKind> {
        let key = u32::try_from(self.varint()?).map_err(|_| DecodeErrorKind::InvalidKey)?;
        let number = key >> 3;
        if number == 0 {
            return Err(DecodeErrorKind::InvalidKey);
        }
        Ok((number, (key & 7) as u8))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeErrorKind> {
        let end = self
            .pos
            .checked_add(len)
            .filter(|&end| end <= self.buf.len())
            .ok_or(DecodeErrorKind::Truncated)?;
        let slice = &self.buf[self.pos..end];
        self.pos = end;
        Ok(slice)
    }

    #[inline]
    fn value(
        &mut self,
        number: u32,
        wire_type: u8,
        depth: usize,
    ) -> Result<WireValue<'a>, DecodeErrorKind> {
        match wire_type {
            0 => self.varint().map(WireValue::Varint),
            1 => Ok(WireValue::Fixed64(fixed64(self.take(8)?))),
            2 => {
                let len =
                    usize::try_from(self.varint()?).map_err(|_| DecodeErrorKind::Truncated)?;
                self.take(len).map(WireValue::Bytes)
            }
            3 => self.skip_group(number, depth),
            4 => Err(DecodeErrorKind::UnbalancedGroup),
            5 => {
                let bytes = self.take(4)?;
                let mut raw = [0u8; 4];
                raw.copy_from_slice(bytes);
                Ok(WireValue::Fixed32(u32::from_le_bytes(raw)))
            }
            other => Err(DecodeErrorKind::InvalidWireType(other)),
        }
    }

    fn skip_group(&mut self, number: u32, depth: usize) -> Result<WireValue<'a>, DecodeErrorKind> {
        if depth >= GROUP_DEPTH_MAX {
            return Err(DecodeErrorKind::TooDeep);
        }
        loop {
            if self.is_empty() {
                return Err(DecodeErrorKind::UnbalancedGroup);
            }
            let (inner, wire_type) = self.key()?;
            if wire_type == 4 {
                return if inner == number {
                    Ok(WireValue::Group)
                } else {
                    Err(DecodeErrorKind::UnbalancedGroup)
                };
            }
            self.value(inner, wire_type, depth + 1)?;
        }
    }
}

/// Little-endian eight bytes; shorter slices read as 0 (callers pass exactly eight).
#[inline]
pub(crate) fn fixed64(bytes: &[u8]) -> u64 {
    bytes
        .first_chunk::<8>()
        .map_or(0, |raw| u64::from_le_bytes(*raw))
}

/// Undoes the zigzag form of `sint32`.
#[inline]
pub(crate) fn zigzag32(raw: u64) -> i32 {
    // prost and protobuf cut to 32 bits first.
    let raw = raw as u32;
    ((raw >> 1) as i32) ^ -((raw & 1) as i32)
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field key.
pub fn put_key(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

/// Appends a length-delimited field.
pub fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_key(out, number, 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Bytes that `value` takes as a varint.
pub fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}
