//! The line grammar of the text format.
//!
//! Blanks (spaces and tabs) may stand between all parts, a sample's value may follow the closing brace at
//! once, and a raw newline may stand inside quotes. A missing newline at the very end is forgiven.
//!
//! Different on purpose: blanks before a metric name are skipped; Prometheus makes them part of the name.

use bellwether_model::MetricType;

use super::{Entry, Format, Parser, SeriesLine, number, scan};
use crate::error::{Fail, Quoted};

impl<'a> Parser<'a> {
    pub(super) fn next_text(&mut self, expected: &[u8]) -> Result<Option<Entry<'a>>, Fail> {
        loop {
            if let Some(len) = self.expected_len(expected) {
                let start = self.pos;
                return self.text_suffix(start, start + len, true).map(Some);
            }
            self.skip_blanks();
            let start = self.pos;
            match self.input.get(start) {
                // A zero byte ends the page as it ends a string in Prometheus' lexer.
                None | Some(0) => return Ok(None),
                Some(b'\n') => self.pos += 1,
                Some(b'#') => return self.text_comment().map(Some),
                Some(b'{') => {
                    let end = self.braces_end(start, start)?;
                    return self.text_suffix(start, end, false).map(Some);
                }
                Some(byte) if scan::is_name_start(*byte) => {
                    let end = self.text_series_end(start)?;
                    return self.text_suffix(start, end, false).map(Some);
                }
                Some(_) => {
                    let expected = "expected a valid start token";
                    return Err(Fail::unexpected(expected, self.input, start, start));
                }
            }
        }
    }

    /// End of a series that begins with a name.
    #[inline]
    fn text_series_end(&self, start: usize) -> Result<usize, Fail> {
        let name_end = scan::name_end(self.input, start);
        let mut at = name_end;
        while matches!(self.input.get(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        if self.input.get(at) == Some(&b'{') {
            self.braces_end(start, at)
        } else {
            Ok(name_end)
        }
    }

    /// Value, optional timestamp and line end.
    #[inline]
    fn text_suffix(
        &mut self,
        start: usize,
        series_end: usize,
        expected: bool,
    ) -> Result<Entry<'a>, Fail> {
        let input = self.input;
        let series = &input[start..series_end];
        self.pos = series_end;
        self.skip_blanks();
        let value_start = self.pos;
        let value_end = input[value_start..]
            .iter()
            .position(|b| matches!(b, b' ' | b'\t' | b'\n' | b'{'))
            .map_or(input.len(), |n| value_start + n);
        if value_end == value_start {
            return Err(self.label_failure(start, series).unwrap_or_else(|| {
                Fail::unexpected("expected value after metric", input, start, value_start)
            }));
        }
        let value = number::float(&input[value_start..value_end]).map_err(|error| {
            self.label_failure(start, series)
                .unwrap_or_else(|| Fail::parsing(error, input, start, value_end))
        })?;
        self.pos = value_end;
        let timestamp_ms = self.text_timestamp(start)?;
        Ok(Entry::Series(SeriesLine {
            series,
            value,
            timestamp_ms,
            exemplar: None,
            expected,
            offset: start,
            format: Format::Text,
        }))
    }

    #[inline]
    fn text_timestamp(&mut self, start: usize) -> Result<Option<i64>, Fail> {
        let input = self.input;
        self.skip_blanks();
        if self.take_newline() {
            return Ok(None);
        }
        let at = self.pos;
        let digits = input[at..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        if digits == 0 {
            let expected = "expected timestamp or new record";
            return Err(Fail::unexpected(expected, input, start, at));
        }
        let millis = number::millis(&input[at..at + digits])
            .map_err(|error| Fail::parsing(error, input, start, at + digits))?;
        self.pos = at + digits;
        self.skip_blanks();
        if self.take_newline() {
            return Ok(Some(millis));
        }
        let expected = "expected next entry after timestamp";
        Err(Fail::unexpected(expected, input, start, self.pos))
    }

    /// `# HELP`, `# TYPE` or any comment.
    fn text_comment(&mut self) -> Result<Entry<'a>, Fail> {
        let input = self.input;
        let start = self.pos;
        let line_end = memchr::memchr(b'\n', &input[start..]).map_or(input.len(), |n| start + n);
        self.pos = (line_end + 1).min(input.len());
        let line = &input[start + 1..line_end];
        let Some((is_type, rest)) = meta_keyword(line) else {
            return Ok(Entry::Comment);
        };
        let keyword = if is_type { "TYPE" } else { "HELP" };
        let name_start = line_end - rest.len();
        let (name, after) = meta_name(input, start, name_start, line_end, keyword)?;
        // One separator byte belongs to neither.
        let text = input.get(after + 1..line_end).unwrap_or(&[]);
        // A remainder of blanks only is no text at all.
        let text = if text.iter().all(|b| matches!(b, b' ' | b'\t')) {
            &[]
        } else {
            text
        };
        if is_type {
            self.kind = match text {
                b"counter" => MetricType::Counter,
                b"gauge" => MetricType::Gauge,
                b"histogram" => MetricType::Histogram,
                b"summary" => MetricType::Summary,
                b"untyped" => MetricType::Unknown,
                _ => {
                    let message = format!("invalid metric type {}", Quoted(text));
                    return Err(Fail::plain(after.min(line_end), message));
                }
            };
            Ok(Entry::Type {
                name,
                kind: self.kind,
            })
        } else {
            let text = std::str::from_utf8(text).map_err(|_| {
                let message = format!("help text {} is not a valid utf8 string", Quoted(text));
                Fail::plain(after.min(line_end), message)
            })?;
            Ok(Entry::Help { name, text })
        }
    }

    #[inline]
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.input.get(self.pos), Some(b' ' | b'\t')) {
            self.pos += 1;
        }
    }

    /// Takes a newline or the end of the page.
    #[inline]
    fn take_newline(&mut self) -> bool {
        match self.input.get(self.pos) {
            Some(b'\n') => {
                self.pos += 1;
                true
            }
            None => true,
            Some(_) => false,
        }
    }
}

/// Whether a comment (without its `#`) is `TYPE` or `HELP`, and what follows the keyword.
fn meta_keyword(line: &[u8]) -> Option<(bool, &[u8])> {
    let trim = |text: &mut &[u8]| {
        let blanks = text
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count();
        *text = &text[blanks..];
        blanks > 0
    };
    let mut rest = line;
    if !trim(&mut rest) {
        return None;
    }
    let is_type = rest.starts_with(b"TYPE");
    if !is_type && !rest.starts_with(b"HELP") {
        return None;
    }
    rest = &rest[4..];
    trim(&mut rest).then_some((is_type, rest))
}

/// The family name at `at` and the offset behind it (behind its closing quote).
pub(super) fn meta_name<'a>(
    input: &'a [u8],
    start: usize,
    at: usize,
    line_end: usize,
    keyword: &str,
) -> Result<(&'a [u8], usize), Fail> {
    match input[..line_end].get(at) {
        Some(b'"') => {
            let end = scan::quote_end(&input[..line_end], start, at, false)?;
            Ok((&input[at + 1..end - 1], end))
        }
        Some(byte) if scan::is_name_start(*byte) => {
            let end = scan::name_end(&input[..line_end], at);
            Ok((&input[at..end], end))
        }
        _ => {
            let expected = format!("expected metric name after {keyword}");
            Err(Fail::unexpected(&expected, input, start, at))
        }
    }
}
