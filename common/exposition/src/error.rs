//! Parse errors.

use std::fmt;

/// Longest excerpt of the input in a message, in bytes.
const EXCERPT_LEN: usize = 160;

/// Why a page does not parse. The message follows Prometheus' wording.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct ParseError {
    /// What was expected and what was found.
    pub message: String,
    /// Line of the offending byte, from 1.
    pub line: usize,
    /// Column of the offending byte, from 1, in bytes.
    pub column: usize,
}

/// An error with an offset instead of a line.
#[derive(Debug)]
pub(crate) struct Fail {
    /// Offset into the slice that was being parsed.
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Fail {
    /// `expected ..., got "x" ("INVALID") while parsing: "..."`, as Prometheus' lexer puts it.
    pub(crate) fn unexpected(expected: &str, input: &[u8], line_start: usize, at: usize) -> Self {
        let (got, token) = match input.get(at) {
            Some(_) => (&input[at..=at], "INVALID"),
            None => (&input[input.len()..], "EOF"),
        };
        Self {
            at,
            message: format!(
                "{expected}, got {} (\"{token}\") while parsing: {}",
                Quoted(got),
                Excerpt(input, line_start, at + 1)
            ),
        }
    }

    /// `<reason> while parsing: "..."`.
    pub(crate) fn parsing(
        reason: impl fmt::Display,
        input: &[u8],
        line_start: usize,
        end: usize,
    ) -> Self {
        Self {
            at: end.saturating_sub(1).max(line_start),
            message: format!(
                "{reason} while parsing: {}",
                Excerpt(input, line_start, end)
            ),
        }
    }

    pub(crate) fn plain(at: usize, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }

    /// Finds line and column of the offset.
    pub(crate) fn locate(self, input: &[u8]) -> ParseError {
        let before = &input[..self.at.min(input.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |i| i + 1);
        ParseError {
            message: self.message,
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            column: 1 + before.len() - line_start,
        }
    }
}

/// Bytes in double quotes, escaped, invalid UTF-8 as `\xff`.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '"' => f.write_str("\\\"")?,
                    '\\' => f.write_str("\\\\")?,
                    '\n' => f.write_str("\\n")?,
                    '\r' => f.write_str("\\r")?,
                    '\t' => f.write_str("\\t")?,
                    c if c.is_control() => write!(f, "\\x{:02x}", c as u32)?,
                    c => write!(f, "{c}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

/// A quoted part of the input, shortened at its beginning when it is long.
struct Excerpt<'a>(&'a [u8], usize, usize);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(input, start, end) = *self;
        let end = end.min(input.len());
        let start = start.min(end);
        if end - start > EXCERPT_LEN {
            f.write_str("...")?;
            Quoted(&input[end - EXCERPT_LEN..end]).fmt(f)
        } else {
            Quoted(&input[start..end]).fmt(f)
        }
    }
}
