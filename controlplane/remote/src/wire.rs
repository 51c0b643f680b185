//! Protobuf's wire format.
//!
//! A field is a varint key (`number << 3 | wire type`) and a value: 0 varint, 1 eight bytes, 2 length and
//! bytes, 5 four bytes. Groups (3, 4) do not occur in these messages and are refused.

use crate::error::DecodeError;

/// A cursor over one message. Offsets in errors count from the beginning of the whole request.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    data: &'a [u8],
    pos: usize,
    /// Offset of `data` in the request.
    base: usize,
    message: &'static str,
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// A field with what its errors need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u64,
    value: Value<'a>,
    /// Offset of the value in the request.
    at: usize,
    message: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(message: &'static str, data: &'a [u8]) -> Self {
        Self {
            data,
            pos: 0,
            base: 0,
            message,
        }
    }

    fn at(&self) -> usize {
        self.base + self.pos
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let Some(byte) = self.data.get(self.pos) else {
                return Err(DecodeError::Truncated { at: self.at() });
            };
            self.pos += 1;
            // The tenth byte holds one bit; what is above is cut off, as other decoders do.
            value |= u64::from(byte & 0x7f) << shift.min(63);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Varint { at: self.at() })
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let end = self
            .pos
            .checked_add(len)
            .filter(|end| *end <= self.data.len())
            .ok_or(DecodeError::Truncated { at: self.at() })?;
        let bytes = &self.data[self.pos..end];
        self.pos = end;
        Ok(bytes)
    }

    /// The next field, `None` at the end of the message.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Field<'a>>, DecodeError> {
        if self.pos == self.data.len() {
            return Ok(None);
        }
        let start = self.at();
        let key = self.varint()?;
        let wire_type = (key & 7) as u8;
        let mut at = self.at();
        let value = match wire_type {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(fixed(self.take(8)?))),
            2 => {
                let len = self.varint()?;
                let len =
                    usize::try_from(len).map_err(|_| DecodeError::Truncated { at: self.at() })?;
                at = self.at();
                Value::Bytes(self.take(len)?)
            }
            5 => Value::Fixed32(u32::from_le_bytes(fixed(self.take(4)?))),
            _ => {
                return Err(DecodeError::WireType {
                    wire_type,
                    at: start,
                });
            }
        };
        Ok(Some(Field {
            number: key >> 3,
            value,
            at,
            message: self.message,
        }))
    }
}

impl<'a> Cursor<'a> {
    /// The bytes of the leading fields with a number below 16 and length and bytes as value; the cursor is behind
    /// them.
    #[inline]
    pub(crate) fn leading(&mut self, number: u8) -> Result<&'a [u8], DecodeError> {
        let start = self.pos;
        while self.data.get(self.pos) == Some(&(number << 3 | 2)) {
            self.pos += 1;
            let len = self.varint()?;
            let len = usize::try_from(len).map_err(|_| DecodeError::Truncated { at: self.at() })?;
            self.take(len)?;
        }
        Ok(&self.data[start..self.pos])
    }
}

/// Copies a slice whose length the caller has just checked.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

impl<'a> Field<'a> {
    fn wrong(&self) -> DecodeError {
        DecodeError::FieldType {
            message: self.message,
            field: self.number,
            wire_type: match self.value {
                Value::Varint(_) => 0,
                Value::Fixed64(_) => 1,
                Value::Bytes(_) => 2,
                Value::Fixed32(_) => 5,
            },
            at: self.at,
        }
    }

    #[inline]
    pub(crate) fn uint(&self) -> Result<u64, DecodeError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.wrong()),
        }
    }

    /// An `int64`: two's complement.
    #[inline]
    pub(crate) fn int(&self) -> Result<i64, DecodeError> {
        self.uint().map(u64::cast_signed)
    }

    /// A `sint32`: zig-zag.
    pub(crate) fn sint32(&self) -> Result<i32, DecodeError> {
        self.uint().map(|value| zigzag(value) as i32)
    }

    #[inline]
    pub(crate) fn double(&self) -> Result<f64, DecodeError> {
        match self.value {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(self.wrong()),
        }
    }

    pub(crate) fn bytes(&self) -> Result<&'a [u8], DecodeError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong()),
        }
    }

    pub(crate) fn text(&self, what: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8 { what, at: self.at })
    }

    /// A cursor over an embedded message.
    #[inline]
    pub(crate) fn message(&self, message: &'static str) -> Result<Cursor<'a>, DecodeError> {
        Ok(Cursor {
            data: self.bytes()?,
            pos: 0,
            base: self.at,
            message,
        })
    }

    /// A repeated `uint64`, `uint32` or enumeration, packed or not.
    pub(crate) fn push_uints(&self, out: &mut Vec<u64>) -> Result<(), DecodeError> {
        match self.value {
            Value::Varint(value) => out.push(value),
            Value::Bytes(_) => {
                let mut cursor = self.message(self.message)?;
                while cursor.pos < cursor.data.len() {
                    out.push(cursor.varint()?);
                }
            }
            _ => return Err(self.wrong()),
        }
        Ok(())
    }

    /// A repeated `sint64`, packed or not.
    pub(crate) fn push_sints(&self, out: &mut Vec<i64>) -> Result<(), DecodeError> {
        match self.value {
            Value::Varint(value) => out.push(zigzag(value)),
            Value::Bytes(_) => {
                let mut cursor = self.message(self.message)?;
                while cursor.pos < cursor.data.len() {
                    out.push(zigzag(cursor.varint()?));
                }
            }
            _ => return Err(self.wrong()),
        }
        Ok(())
    }

    /// A repeated `double`, packed or not.
    pub(crate) fn push_doubles(&self, out: &mut Vec<f64>) -> Result<(), DecodeError> {
        match self.value {
            Value::Fixed64(bits) => out.push(f64::from_bits(bits)),
            Value::Bytes(bytes) => {
                let (values, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(DecodeError::Truncated {
                        at: self.at + bytes.len(),
                    });
                }
                out.extend(values.iter().map(|b| f64::from_le_bytes(*b)));
            }
            _ => return Err(self.wrong()),
        }
        Ok(())
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Appends fields to a buffer. Zero values are left out, as proto3 does.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value as u8) | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        self.varint(field << 3 | wire_type);
    }

    pub(crate) fn uint(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.key(field, 0);
            self.varint(value);
        }
    }

    /// Writes a member of a `oneof`, where zero is not the same as absent.
    pub(crate) fn uint_present(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    pub(crate) fn int(&mut self, field: u64, value: i64) {
        self.uint(field, value.cast_unsigned());
    }

    pub(crate) fn sint(&mut self, field: u64, value: i64) {
        self.uint(field, unzigzag(value));
    }

    pub(crate) fn double(&mut self, field: u64, value: f64) {
        if value.to_bits() != 0 {
            self.double_present(field, value);
        }
    }

    /// As [`Self::uint_present`].
    pub(crate) fn double_present(&mut self, field: u64, value: f64) {
        self.key(field, 1);
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn message(&mut self, field: u64, build: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        build(&mut inner);
        self.bytes(field, &inner.0);
    }

    pub(crate) fn packed_sints(&mut self, field: u64, values: &[i64]) {
        if !values.is_empty() {
            self.message(field, |w| {
                for value in values {
                    w.varint(unzigzag(*value));
                }
            });
        }
    }

    pub(crate) fn packed_doubles(&mut self, field: u64, values: &[f64]) {
        if !values.is_empty() {
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            self.bytes(field, &bytes);
        }
    }
}

fn unzigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}
