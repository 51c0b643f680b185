//! What can go wrong.

use bellwether_model::storage::AppendError;

use crate::receive::WriteStats;

/// A message that is not protobuf, or not the expected one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends inside a field.
    #[error("unexpected end of message at byte {at}")]
    Truncated {
        /// Offset into the decompressed request.
        at: usize,
    },
    /// A variable-length integer of more than ten bytes.
    #[error("varint too long at byte {at}")]
    Varint {
        /// Offset into the decompressed request.
        at: usize,
    },
    /// A wire type that does not exist, or groups.
    #[error("illegal wire type {wire_type} at byte {at}")]
    WireType {
        /// As found.
        wire_type: u8,
        /// Offset into the decompressed request.
        at: usize,
    },
    /// A known field with another wire type than its own.
    #[error("wrong wire type {wire_type} for field {field} of {message} at byte {at}")]
    FieldType {
        /// Name of the message.
        message: &'static str,
        /// Number of the field.
        field: u64,
        /// As found.
        wire_type: u8,
        /// Offset into the decompressed request.
        at: usize,
    },
    /// A string that is not UTF-8.
    #[error("invalid UTF-8 in {what} at byte {at}")]
    Utf8 {
        /// Which string.
        what: &'static str,
        /// Offset into the decompressed request.
        at: usize,
    },
}

/// Why a request failed, as a whole or in part.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    /// The body is not a snappy block.
    #[error("snappy: corrupt input: {0}")]
    Snappy(#[from] snap::Error),
    /// The body would be too large uncompressed.
    #[error("request of {size} bytes exceeds the limit of {limit} bytes (decompressed)")]
    TooLarge {
        /// By the block's header.
        size: usize,
        /// The receiver's limit.
        limit: usize,
    },
    /// The message does not decode; nothing was stored.
    #[error("proto: {0}")]
    Decode(#[from] DecodeError),
    /// Samples were refused; the others are stored.
    #[error("{first}{}", more(.stats))]
    Refused {
        /// The first refusal.
        first: Refusal,
        /// What was stored and what not.
        stats: WriteStats,
    },
    /// Parts of a request of version 2 are wrong; the rest is stored.
    #[error("{}", .wrong.join("\n"))]
    Partial {
        /// What is wrong, one sentence each.
        wrong: Vec<String>,
        /// What was stored and what not.
        stats: WriteStats,
    },
    /// Storage failed; nothing was stored, the sender should try again.
    #[error("{0}")]
    Storage(#[source] AppendError),
}

fn more(stats: &WriteStats) -> String {
    match stats.refused {
        0 | 1 => String::new(),
        n => format!(" ({n} samples refused)"),
    }
}

/// Why a sample was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// By storage.
    #[error(transparent)]
    Append(AppendError),
    /// More than [`crate::MAX_AHEAD_MS`] in the future.
    #[error("out of bounds: timestamp is too far in the future")]
    TooFarAhead,
}

impl RemoteWriteError {
    /// What was stored in spite of the error.
    #[must_use]
    pub fn stats(&self) -> WriteStats {
        match self {
            Self::Refused { stats, .. } | Self::Partial { stats, .. } => *stats,
            _ => WriteStats::default(),
        }
    }

    /// The HTTP status of the answer: 400 tells the sender not to try again, 500 to do so.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Snappy(_) | Self::Decode(_) | Self::Refused { .. } | Self::Partial { .. } => 400,
            Self::TooLarge { .. } => 413,
            Self::Storage(_) => 500,
        }
    }
}
