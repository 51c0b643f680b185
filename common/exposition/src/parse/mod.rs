//! Reading.
//!
//! | file | what it holds |
//! |---|---|
//! | `entry` | what the parser yields |
//! | `created` | lines that tell when a counter began |
//! | `scan` | byte table and the end of a series |
//! | `text`, `openmetrics` | the line grammar of each format |
//! | `labels` | labels of one series, on demand |
//! | `number` | values and timestamps |

mod created;
mod entry;
mod labels;
mod number;
mod openmetrics;
mod scan;
#[cfg(test)]
mod tests;
mod text;

pub use created::CreatedLines;
pub use entry::{Entry, PlainLine, RawExemplar, SeriesLine};
pub use labels::{LabelPair, SeriesLabels, unescape};
pub use number::format_openmetrics_float;

use bellwether_model::MetricType;

use crate::error::{Fail, ParseError};

/// The text format or OpenMetrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text format 0.0.4, and 1.0.0 with quoted UTF-8 names.
    Text,
    /// OpenMetrics 0.0.1 and 1.0.0.
    OpenMetrics,
}

/// Takes a series in the text format apart.
///
/// # Errors
/// When name or labels do not follow the grammar.
pub fn parse_series(series: &[u8]) -> Result<SeriesLabels<'_>, ParseError> {
    labels::parse(Format::Text, series).map_err(|fail| fail.locate(series))
}

/// Walks a page. After an error or the end it yields nothing more.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    input: &'a [u8],
    pos: usize,
    format: Format,
    /// Type of the last `TYPE` line: it governs how `le` and `quantile` values are written.
    kind: MetricType,
    /// Length of the family's name in the last line of metadata of an OpenMetrics page.
    family_len: usize,
    finished: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the beginning of a page.
    #[must_use]
    pub fn new(format: Format, input: &'a [u8]) -> Self {
        Self {
            input,
            pos: 0,
            format,
            kind: MetricType::Unknown,
            family_len: 0,
            finished: false,
        }
    }

    /// Type of the last `TYPE` line.
    #[must_use]
    pub fn current_type(&self) -> MetricType {
        self.kind
    }

    /// The next entry, `None` at the end.
    ///
    /// # Errors
    /// The first line that does not follow the grammar.
    #[allow(clippy::should_implement_trait)] // fallible, and a lending caller passes expectations
    pub fn next(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        self.next_expecting(&[])
    }

    /// As [`Self::next`]; `expected` is the series (as written) that the caller thinks comes next, or empty.
    /// Whether it did is told by [`SeriesLine::expected`]. `expected` must have come out of a parser before
    /// and its labels must have parsed; a wrong guess costs nothing but the comparison.
    ///
    /// # Errors
    /// As [`Self::next`].
    #[inline]
    pub fn next_expecting(&mut self, expected: &[u8]) -> Result<Option<Entry<'a>>, ParseError> {
        if self.finished {
            return Ok(None);
        }
        let result = match self.format {
            Format::Text => self.next_text(expected),
            Format::OpenMetrics => self.next_openmetrics(expected),
        };
        match result {
            Ok(Some(entry)) => Ok(Some(entry)),
            Ok(None) => {
                self.finished = true;
                Ok(None)
            }
            Err(fail) => {
                self.finished = true;
                Err(fail.locate(self.input))
            }
        }
    }

    /// Takes a line that is nothing but the expected series, a space, a plain decimal number and a newline, as nearly
    /// all lines of a known page are. `None` for any other line, which stays where it is for
    /// [`Self::next_expecting`]; the same holds of `expected` as there.
    #[inline]
    pub fn take_expected(&mut self, expected: &[u8]) -> Option<PlainLine<'a>> {
        if self.finished {
            return None;
        }
        let input = self.input;
        let end = self.pos + self.expected_len(expected)?;
        if input.get(end) != Some(&b' ') {
            return None;
        }
        let (value, len) = number::plain_line(&input[end + 1..])?;
        let series = &input[self.pos..end];
        self.pos = end + 1 + len;
        Some(PlainLine {
            series,
            value,
            format: self.format,
        })
    }

    /// The error of a series' labels with the line it stands on. `series` must be a slice of this page.
    fn label_failure(&self, series_start: usize, series: &[u8]) -> Option<Fail> {
        labels::parse(self.format, series).err().map(|fail| Fail {
            at: series_start + fail.at,
            ..fail
        })
    }

    /// As [`scan::braces_end`]; what is wrong between the braces is said more exactly by the label parser.
    fn braces_end(&self, start: usize, open: usize) -> Result<usize, Fail> {
        let newlines = match self.format {
            Format::Text => scan::Newlines::Anywhere,
            Format::OpenMetrics => scan::Newlines::InNames,
        };
        scan::braces_end(self.input, start, open, newlines).map_err(|fail| {
            let end = (fail.at + 1).min(self.input.len());
            self.label_failure(start, &self.input[start..end])
                .unwrap_or(fail)
        })
    }

    /// Length of the expected series when it stands at `pos` as a whole.
    #[inline]
    fn expected_len(&self, expected: &[u8]) -> Option<usize> {
        let last = *expected.last()?;
        let rest = self.input.get(self.pos..)?;
        if !rest.starts_with(expected) {
            return None;
        }
        // A brace ends a series; a bare name only does before a blank that no brace follows.
        let whole = last == b'}'
            || (matches!(rest.get(expected.len()), Some(b' ' | b'\t'))
                && !matches!(rest.get(expected.len() + 1), Some(b' ' | b'\t' | b'{')));
        whole.then_some(expected.len())
    }

    /// Locates an offset of this page for an error that the caller found itself, such as a bad label.
    #[must_use]
    pub fn error_at(&self, line: &SeriesLine<'a>, message: String) -> ParseError {
        Fail::plain(line.offset, message).locate(self.input)
    }
}
