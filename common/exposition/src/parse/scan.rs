//! Byte classes, and where a series ends.

use crate::error::Fail;

const NAME_START: u8 = 1;
const NAME: u8 = 2;
const LABEL_START: u8 = 4;
const LABEL: u8 = 8;

/// Classes of each byte, so that a name costs one load and one test a byte.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = if b.is_ascii_alphabetic() || b == b'_' {
            NAME_START | NAME | LABEL_START | LABEL
        } else if b == b':' {
            NAME_START | NAME
        } else if b.is_ascii_digit() {
            NAME | LABEL
        } else {
            0
        };
        byte += 1;
    }
    table
};

#[inline]
pub(super) fn is_name_start(byte: u8) -> bool {
    CLASSES[byte as usize] & NAME_START != 0
}

/// End of the metric name that begins at `at`, which holds a starting byte.
#[inline]
pub(super) fn name_end(input: &[u8], at: usize) -> usize {
    end_of(input, at, NAME)
}

#[inline]
pub(super) fn is_label_start(byte: u8) -> bool {
    CLASSES[byte as usize] & LABEL_START != 0
}

/// End of the label name that begins at `at`.
#[inline]
pub(super) fn label_end(input: &[u8], at: usize) -> usize {
    end_of(input, at, LABEL)
}

#[inline]
fn end_of(input: &[u8], at: usize, class: u8) -> usize {
    input[at..]
        .iter()
        .position(|b| CLASSES[*b as usize] & class == 0)
        .map_or(input.len(), |n| at + n)
}

/// Where a raw newline may stand inside quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Newlines {
    /// The text format's leniency.
    Anywhere,
    /// OpenMetrics series: in names, not in values.
    InNames,
    /// OpenMetrics exemplars.
    Nowhere,
}

/// Offset behind the brace that closes the one at `open`. Only quotes are understood here: what stands
/// between is checked when the labels are asked for.
#[inline]
pub(super) fn braces_end(
    input: &[u8],
    line_start: usize,
    open: usize,
    newlines: Newlines,
) -> Result<usize, Fail> {
    let mut at = open + 1;
    loop {
        match memchr::memchr3(b'"', b'}', b'\n', &input[at..]) {
            Some(n) if input[at + n] == b'}' => return Ok(at + n + 1),
            Some(n) if input[at + n] == b'"' => {
                let allowed = match newlines {
                    Newlines::Anywhere => true,
                    // In OpenMetrics a value follows its equals sign at once.
                    Newlines::InNames => input[at + n - 1] != b'=',
                    Newlines::Nowhere => false,
                };
                at = quote_end(input, line_start, at + n, allowed)?;
            }
            Some(n) => {
                let expected = "expected comma or brace close";
                return Err(Fail::unexpected(expected, input, line_start, at + n));
            }
            None => {
                let expected = "expected label name";
                return Err(Fail::unexpected(expected, input, line_start, input.len()));
            }
        }
    }
}

/// Offset behind the quote that closes the one at `open`.
#[inline]
pub(super) fn quote_end(
    input: &[u8],
    line_start: usize,
    open: usize,
    newline_in_quotes: bool,
) -> Result<usize, Fail> {
    let mut at = open + 1;
    while let Some(n) = memchr::memchr3(b'"', b'\\', b'\n', &input[at..]) {
        match input[at + n] {
            b'"' => return Ok(at + n + 1),
            b'\\' if at + n + 1 < input.len() => at += n + 2,
            b'\n' if newline_in_quotes => at += n + 1,
            _ => {
                let expected = "expected label value";
                return Err(Fail::unexpected(expected, input, line_start, at + n));
            }
        }
    }
    Err(Fail::unexpected(
        "expected label value",
        input,
        line_start,
        input.len(),
    ))
}
