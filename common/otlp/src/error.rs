//! What can be wrong with an OTLP payload.

use thiserror::Error;

/// A payload that is not a valid OTLP message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid OTLP protobuf in {message}{} at byte {offset}: {kind}", field_suffix(.field))]
pub struct DecodeError {
    /// Protobuf message that was being read.
    pub message: &'static str,
    /// JSON name of the field that was being read, when it is a known one.
    pub field: Option<&'static str>,
    /// Offset from the start of the payload, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub kind: DecodeErrorKind,
}

fn field_suffix(field: &Option<&'static str>) -> String {
    field.map(|f| format!(".{f}")).unwrap_or_default()
}

/// The ways in which bytes fail to be protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The buffer ends inside a value.
    #[error("the data ends in the middle of a value")]
    Truncated,
    /// A varint has more than ten bytes or more than 64 bits.
    #[error("invalid varint")]
    InvalidVarint,
    /// A field key with number 0 or wider than 32 bits.
    #[error("invalid field key")]
    InvalidKey,
    /// A wire type that protobuf does not define.
    #[error("invalid wire type {0}")]
    InvalidWireType(u8),
    /// A known field with the wire type of another kind of value.
    #[error("wire type {found} does not fit the field (expected {expected})")]
    UnexpectedWireType {
        /// Wire type in the payload.
        found: u8,
        /// Wire type of the field.
        expected: u8,
    },
    /// A packed list whose length is no multiple of its element size.
    #[error("length of the packed list is not a multiple of 8")]
    PackedLength,
    /// A string field that is not UTF-8.
    #[error("the string is not valid UTF-8")]
    InvalidUtf8,
    /// A trace or span id with another length.
    #[error("the id has {found} bytes instead of {expected}")]
    IdLength {
        /// Bytes in the payload.
        found: usize,
        /// Bytes of such an id.
        expected: usize,
    },
    /// Messages nested deeper than [`crate::schema::MAX_DEPTH`].
    #[error("messages are nested too deeply")]
    TooDeep,
    /// An end-group key without its start, or a group without its end.
    #[error("unbalanced group")]
    UnbalancedGroup,
}
