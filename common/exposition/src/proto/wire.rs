//! Protobuf's wire format.
//!
//! A field is a varint key (`number << 3 | wire type`) and a value: 0 varint, 1 eight bytes, 2 length and bytes, 5 four
//! bytes. Groups (3, 4) do not occur in these messages and are refused.

use super::ProtoError;

/// A cursor over one message. Offsets in errors count from the beginning of the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    data: &'a [u8],
    pos: usize,
    /// Offset of `data` in the page.
    base: usize,
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    value: Value<'a>,
    /// Offset of the value in the page.
    at: usize,
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Four bytes; no field of these messages has them.
    Fixed32,
}

/// Copies a slice whose length the caller has just checked.
fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

impl<'a> Cursor<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self {
            data,
            pos: 0,
            base: 0,
        }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.pos == self.data.len()
    }

    fn error(&self, message: &str) -> ProtoError {
        ProtoError {
            message: message.to_owned(),
            offset: self.base + self.pos,
        }
    }

    fn varint(&mut self) -> Result<u64, ProtoError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let Some(byte) = self.data.get(self.pos) else {
                return Err(self.error("the data ends inside a number"));
            };
            self.pos += 1;
            // The tenth byte holds one bit; what is above is cut off, as other decoders do.
            value |= u64::from(byte & 0x7f) << shift.min(63);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error("a number is longer than ten bytes"))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ProtoError> {
        let rest = self.data.len() - self.pos;
        if len > rest {
            return Err(self.error(&format!("{len} bytes should follow, {rest} are left")));
        }
        let bytes = &self.data[self.pos..self.pos + len];
        self.pos += len;
        Ok(bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], ProtoError> {
        let len = self.varint()?;
        let len = usize::try_from(len).map_err(|_| self.error("a length is out of range"))?;
        self.take(len)
    }

    /// The next message of a stream in which each is preceded by its length.
    pub(super) fn delimited(&mut self) -> Result<Cursor<'a>, ProtoError> {
        let data = self.bytes()?;
        Ok(Cursor {
            data,
            pos: 0,
            base: self.base + self.pos - data.len(),
        })
    }

    /// The next field, `None` at the end of the message.
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, ProtoError> {
        if self.is_at_end() {
            return Ok(None);
        }
        let key = self.varint()?;
        let mut at = self.base + self.pos;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(fixed(self.take(8)?))),
            2 => {
                let bytes = self.bytes()?;
                at = self.base + self.pos - bytes.len();
                Value::Bytes(bytes)
            }
            5 => {
                self.take(4)?;
                Value::Fixed32
            }
            other => return Err(self.error(&format!("wire type {other} does not exist"))),
        };
        Ok(Some(Field {
            number: key >> 3,
            value,
            at,
        }))
    }
}

/// Zig-zag decoding.
fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

impl<'a> Field<'a> {
    fn wrong<T>(&self) -> Result<T, ProtoError> {
        Err(self.fail(format!("field {} is not of the expected type", self.number)))
    }

    /// An error at this field.
    pub(super) fn fail(&self, message: String) -> ProtoError {
        ProtoError {
            message,
            offset: self.at,
        }
    }

    pub(super) fn uint(&self) -> Result<u64, ProtoError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => self.wrong(),
        }
    }

    /// An `int64` or `int32`: two's complement.
    pub(super) fn int(&self) -> Result<i64, ProtoError> {
        self.uint().map(u64::cast_signed)
    }

    /// A `sint32`: zig-zag.
    pub(super) fn sint32(&self) -> Result<i32, ProtoError> {
        let value = signed(self.uint()?);
        i32::try_from(value).or_else(|_| self.wrong())
    }

    pub(super) fn double(&self) -> Result<f64, ProtoError> {
        match self.value {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => self.wrong(),
        }
    }

    pub(super) fn text(&self) -> Result<&'a str, ProtoError> {
        match self.value {
            Value::Bytes(bytes) => std::str::from_utf8(bytes)
                .map_err(|_| self.fail(format!("field {} is not UTF-8", self.number))),
            _ => self.wrong(),
        }
    }

    /// A cursor over an embedded message.
    pub(super) fn message(&self) -> Result<Cursor<'a>, ProtoError> {
        match self.value {
            Value::Bytes(data) => Ok(Cursor {
                data,
                pos: 0,
                base: self.at,
            }),
            _ => self.wrong(),
        }
    }

    /// Adds the values of a repeated `sint64`, packed or not.
    pub(super) fn push_sints(&self, out: &mut Vec<i64>) -> Result<(), ProtoError> {
        if let Value::Varint(value) = self.value {
            out.push(signed(value));
            return Ok(());
        }
        let mut cursor = self.message()?;
        while !cursor.is_at_end() {
            out.push(signed(cursor.varint()?));
        }
        Ok(())
    }

    /// Adds the values of a repeated `double`, packed or not.
    pub(super) fn push_doubles(&self, out: &mut Vec<f64>) -> Result<(), ProtoError> {
        if let Value::Fixed64(bits) = self.value {
            out.push(f64::from_bits(bits));
            return Ok(());
        }
        let mut cursor = self.message()?;
        while !cursor.is_at_end() {
            out.push(f64::from_le_bytes(fixed(cursor.take(8)?)));
        }
        Ok(())
    }
}
