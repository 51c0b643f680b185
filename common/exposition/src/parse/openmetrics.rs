//! The line grammar of OpenMetrics, as lenient as Prometheus 3.5.
//!
//! Exactly one space separates the parts of a line, every line ends in a newline, and the page ends with
//! `# EOF`. The order of families, repeated metadata, suffixes and value ranges are not checked.

use bellwether_model::MetricType;

use super::text::meta_name;
use super::{Entry, Format, Parser, RawExemplar, SeriesLine, labels, number, scan};
use crate::error::{Fail, Quoted};

const NO_EOF: &str = "data does not end with # EOF";

impl<'a> Parser<'a> {
    pub(super) fn next_openmetrics(&mut self, expected: &[u8]) -> Result<Option<Entry<'a>>, Fail> {
        if let Some(len) = self.expected_len(expected) {
            let start = self.pos;
            return self.openmetrics_suffix(start, start + len, true).map(Some);
        }
        let start = self.pos;
        match self.input.get(start) {
            None => Err(Fail::plain(start, NO_EOF)),
            Some(b'#') => self.openmetrics_comment(),
            Some(b'{') => {
                let end = self.braces_end(start, start)?;
                self.openmetrics_suffix(start, end, false).map(Some)
            }
            Some(byte) if scan::is_name_start(*byte) => {
                let mut end = scan::name_end(self.input, start);
                if self.input.get(end) == Some(&b'{') {
                    end = self.braces_end(start, end)?;
                }
                self.openmetrics_suffix(start, end, false).map(Some)
            }
            Some(_) => {
                let expected = "expected a valid start token";
                Err(Fail::unexpected(expected, self.input, start, start))
            }
        }
    }

    /// A space and everything up to the next space or newline.
    #[inline]
    fn token(&self, at: usize) -> Option<&'a [u8]> {
        if self.input.get(at) != Some(&b' ') {
            return None;
        }
        let rest = &self.input[at + 1..];
        let len = rest
            .iter()
            .position(|b| matches!(b, b' ' | b'\n'))
            .unwrap_or(rest.len());
        (len > 0).then_some(&rest[..len])
    }

    /// Value, optional timestamp, optional exemplar and line end.
    #[inline]
    fn openmetrics_suffix(
        &mut self,
        start: usize,
        series_end: usize,
        expected: bool,
    ) -> Result<Entry<'a>, Fail> {
        let input = self.input;
        let series = &input[start..series_end];
        let token = self.token(series_end).ok_or_else(|| {
            self.label_failure(start, series).unwrap_or_else(|| {
                Fail::unexpected("expected value after metric", input, start, series_end)
            })
        })?;
        let mut at = series_end + 1 + token.len();
        let value = number::float(token).map_err(|error| {
            self.label_failure(start, series)
                .unwrap_or_else(|| Fail::parsing(error, input, start, at))
        })?;
        let mut line = SeriesLine {
            series,
            value,
            timestamp_ms: None,
            exemplar: None,
            expected,
            offset: start,
            format: Format::OpenMetrics,
        };
        if !self.at_exemplar(at)
            && let Some(token) = self.token(at)
        {
            at += 1 + token.len();
            line.timestamp_ms = Some(seconds(token, "timestamp", input, start, at)?);
            if input.get(at).is_some_and(|b| *b != b'\n') && !self.at_exemplar(at) {
                let expected = "expected next entry after timestamp";
                return Err(Fail::unexpected(expected, input, start, at));
            }
        }
        if self.at_exemplar(at) {
            line.exemplar = Some(self.exemplar(start, &mut at)?);
        }
        match input.get(at) {
            None => return Err(Fail::plain(at, NO_EOF)),
            Some(b'\n') => self.pos = at + 1,
            // Prometheus takes the sample and stumbles over the rest at the next line, so that such a
            // sample counts as scraped.
            Some(_) => self.pos = at,
        }
        Ok(Entry::Series(line))
    }

    #[inline]
    fn at_exemplar(&self, at: usize) -> bool {
        self.input
            .get(at..)
            .is_some_and(|rest| rest.starts_with(b" # {"))
    }

    /// The exemplar whose ` # {` stands at `at`, which moves to the newline behind it.
    fn exemplar(&self, start: usize, at: &mut usize) -> Result<RawExemplar<'a>, Fail> {
        let input = self.input;
        let open = *at + 3;
        let close = scan::braces_end(input, start, open, scan::Newlines::Nowhere)?;
        let raw = &input[open..close];
        labels::parse_exemplar(raw).map_err(|fail| Fail {
            at: open + fail.at,
            ..fail
        })?;
        let token = self.token(close).ok_or_else(|| {
            Fail::unexpected("expected value after exemplar labels", input, start, close)
        })?;
        *at = close + 1 + token.len();
        let value =
            number::float(token).map_err(|error| Fail::parsing(error, input, start, *at))?;
        let mut timestamp_ms = None;
        if let Some(token) = self.token(*at) {
            *at += 1 + token.len();
            timestamp_ms = Some(seconds(token, "exemplar timestamp", input, start, *at)?);
        }
        match input.get(*at) {
            Some(b'\n') => Ok(RawExemplar {
                labels: raw,
                value,
                timestamp_ms,
            }),
            None => Err(Fail::plain(*at, NO_EOF)),
            Some(_) => {
                let expected = "expected timestamp or comment";
                Err(Fail::unexpected(expected, input, start, *at))
            }
        }
    }

    fn openmetrics_comment(&mut self) -> Result<Option<Entry<'a>>, Fail> {
        let input = self.input;
        let start = self.pos;
        let rest = &input[start..];
        if rest.starts_with(b"# EOF") {
            return match &rest[5..] {
                b"" | b"\n" => Ok(None),
                _ => Err(Fail::plain(start + 5, "unexpected data after # EOF")),
            };
        }
        let keyword = match rest.get(..7) {
            Some(b"# HELP ") => "HELP",
            Some(b"# TYPE ") => "TYPE",
            Some(b"# UNIT ") => "UNIT",
            _ => {
                let expected = "expected a valid start token";
                return Err(Fail::unexpected(expected, input, start, start));
            }
        };
        let line_end = memchr::memchr(b'\n', rest).map(|n| start + n);
        let bound = line_end.unwrap_or(input.len());
        let (name, after) = meta_name(input, start, start + 7, bound, keyword)?;
        let Some(line_end) = line_end.filter(|end| input[after] == b' ' && after < *end) else {
            return Err(Fail::plain(after, format!("expected text in {keyword}")));
        };
        let text = &input[after + 1..line_end];
        self.family_len = name.len();
        self.pos = line_end + 1;
        self.metadata(keyword, name, text, after + 1).map(Some)
    }

    fn metadata(
        &mut self,
        keyword: &str,
        name: &'a [u8],
        text: &'a [u8],
        at: usize,
    ) -> Result<Entry<'a>, Fail> {
        match keyword {
            "TYPE" => {
                // `untyped` is the text format's word.
                let kind = std::str::from_utf8(text)
                    .ok()
                    .filter(|word| *word != "untyped")
                    .and_then(MetricType::from_name)
                    .ok_or_else(|| {
                        Fail::plain(at, format!("invalid metric type {}", Quoted(text)))
                    })?;
                self.kind = kind;
                Ok(Entry::Type { name, kind })
            }
            "HELP" => match std::str::from_utf8(text) {
                Ok(text) => Ok(Entry::Help { name, text }),
                Err(_) => Err(Fail::plain(
                    at,
                    format!("help text {} is not a valid utf8 string", Quoted(text)),
                )),
            },
            _ => {
                let is_suffix = text.is_empty()
                    || name
                        .strip_suffix(text)
                        .is_some_and(|stem| stem.last() == Some(&b'_'));
                if is_suffix {
                    Ok(Entry::Unit { name, unit: text })
                } else {
                    let (unit, name) = (Quoted(text), Quoted(name));
                    Err(Fail::plain(
                        at,
                        format!("unit {unit} not a suffix of metric {name}"),
                    ))
                }
            }
        }
    }
}

/// Seconds with a fraction to milliseconds, cut off as Prometheus does.
fn seconds(token: &[u8], what: &str, input: &[u8], start: usize, end: usize) -> Result<i64, Fail> {
    let value = number::float(token).map_err(|error| Fail::parsing(error, input, start, end))?;
    if value.is_finite() {
        Ok((value * 1000.0) as i64)
    } else {
        Err(Fail::plain(end - 1, format!("invalid {what} {value}")))
    }
}
