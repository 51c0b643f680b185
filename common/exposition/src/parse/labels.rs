//! Taking a series apart.

use std::borrow::Cow;

use bellwether_model::labels::{BUCKET_LABEL, QUANTILE_LABEL, TYPE_LABEL, UNIT_LABEL};
use bellwether_model::{Labels, LabelsBuilder, MetricType};

use super::scan::Newlines;
use super::{Format, format_openmetrics_float, scan};
use crate::error::{Fail, Quoted};

/// One label as scraped, unescaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelPair<'a> {
    /// Name.
    pub name: Cow<'a, str>,
    /// Value, may be empty.
    pub value: Cow<'a, str>,
}

/// Name and labels of a series in written order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeriesLabels<'a> {
    /// Metric name.
    pub name: Cow<'a, str>,
    /// The other labels; a name may occur twice.
    pub labels: Vec<LabelPair<'a>>,
}

impl SeriesLabels<'_> {
    /// Brings the bounds of histograms and the quantiles of summaries to one spelling (`1` becomes `1.0`), as
    /// Prometheus 3 does. `kind` is the parser's current type.
    pub fn normalize_floats(&mut self, kind: MetricType) {
        let label = match kind {
            MetricType::Histogram => BUCKET_LABEL,
            MetricType::Summary => QUANTILE_LABEL,
            _ => return,
        };
        for pair in self.labels.iter_mut().filter(|pair| pair.name == label) {
            if let Ok(value) = bellwether_model::float::parse(&pair.value) {
                pair.value = Cow::Owned(format_openmetrics_float(value));
            }
        }
    }

    /// Sets the labels of type and unit, where those are known, in place of labels of their names.
    pub fn set_type_and_unit(&mut self, kind: MetricType, unit: &str) {
        let kind = if kind == MetricType::Unknown {
            ""
        } else {
            kind.as_str()
        };
        for (name, value) in [(TYPE_LABEL, kind), (UNIT_LABEL, unit)] {
            if !value.is_empty() {
                self.labels.retain(|pair| pair.name != name);
                self.labels.push(LabelPair {
                    name: Cow::Borrowed(name),
                    value: Cow::Owned(value.to_owned()),
                });
            }
        }
    }

    /// A name that occurs twice, the metric name's label included.
    #[must_use]
    pub fn duplicate(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.labels.iter().map(|pair| &*pair.name).collect();
        names.push(bellwether_model::labels::METRIC_NAME);
        names.sort_unstable();
        names.windows(2).find(|w| w[0] == w[1]).map(|w| w[0])
    }

    /// As a builder with the metric name; labels with an empty value are left out.
    #[must_use]
    pub fn to_builder(&self) -> LabelsBuilder {
        let mut builder = LabelsBuilder::default();
        builder.set(bellwether_model::labels::METRIC_NAME, &self.name);
        for pair in &self.labels {
            builder.set(&pair.name, &pair.value);
        }
        builder
    }

    /// As a label set with the metric name.
    #[must_use]
    pub fn to_labels(&self) -> Labels {
        self.to_builder().build()
    }
}

/// Removes the escapes `\\`, `\"` and `\n`; any other backslash stays.
#[must_use]
pub fn unescape(text: &str) -> Cow<'_, str> {
    let Some(mut at) = memchr::memchr(b'\\', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        out.push_str(&rest[..at]);
        let (replacement, taken) = match rest.as_bytes().get(at + 1) {
            Some(b'\\') => ('\\', 2),
            Some(b'"') => ('"', 2),
            Some(b'n') => ('\n', 2),
            _ => ('\\', 1),
        };
        out.push(replacement);
        rest = &rest[at + taken..];
        match memchr::memchr(b'\\', rest.as_bytes()) {
            Some(next) => at = next,
            None => {
                out.push_str(rest);
                return Cow::Owned(out);
            }
        }
    }
}

/// Takes a series apart. Offsets of failures count from the beginning of `series`.
pub(super) fn parse(format: Format, series: &[u8]) -> Result<SeriesLabels<'_>, Fail> {
    let name_end = match series.first() {
        Some(byte) if scan::is_name_start(*byte) => scan::name_end(series, 0),
        _ => 0,
    };
    let mut reader = Reader {
        input: series,
        at: name_end,
        blanks: format == Format::Text,
        newlines: match format {
            Format::Text => Newlines::Anywhere,
            Format::OpenMetrics => Newlines::InNames,
        },
        name: match name_end {
            0 => None,
            _ => Some(reader_text(&series[..name_end], "metric name", 0)?),
        },
        exemplar: false,
        labels: Vec::new(),
    };
    if name_end < series.len() {
        reader.skip_blanks();
        reader.braces()?;
    }
    match reader.name {
        Some(name) => Ok(SeriesLabels {
            name,
            labels: reader.labels,
        }),
        None => Err(Fail::parsing(
            "metric name not set",
            series,
            0,
            series.len(),
        )),
    }
}

/// Takes the labels of an exemplar apart, braces included.
pub(super) fn parse_exemplar(raw: &[u8]) -> Result<Vec<LabelPair<'_>>, Fail> {
    let mut reader = Reader {
        input: raw,
        at: 0,
        blanks: false,
        newlines: Newlines::Nowhere,
        name: None,
        exemplar: true,
        labels: Vec::new(),
    };
    reader.braces()?;
    Ok(reader.labels)
}

fn reader_text<'a>(bytes: &'a [u8], what: &str, at: usize) -> Result<Cow<'a, str>, Fail> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(unescape(text)),
        Err(_) => Err(Fail::plain(
            at,
            format!("invalid UTF-8 {what}: {}", Quoted(bytes)),
        )),
    }
}

struct Reader<'a> {
    input: &'a [u8],
    at: usize,
    /// The text format's leniency: blanks may stand between tokens, commas may be missing.
    blanks: bool,
    newlines: Newlines,
    name: Option<Cow<'a, str>>,
    exemplar: bool,
    labels: Vec<LabelPair<'a>>,
}

impl<'a> Reader<'a> {
    fn skip_blanks(&mut self) {
        while self.blanks && matches!(self.input.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_blanks();
        self.input.get(self.at).copied()
    }

    fn unexpected<T>(&self, expected: &str) -> Result<T, Fail> {
        Err(Fail::unexpected(expected, self.input, 0, self.at))
    }

    /// From the opening brace to the closing one.
    fn braces(&mut self) -> Result<(), Fail> {
        if self.peek() != Some(b'{') {
            return self.unexpected("expected value after metric");
        }
        self.at += 1;
        loop {
            let quoted = match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'"') => true,
                Some(byte) if scan::is_label_start(byte) => false,
                _ => return self.unexpected("expected label name"),
            };
            let start = self.at;
            let name = self.label_name(quoted)?;
            let next = self.peek();
            if quoted && !self.exemplar && matches!(next, Some(b',' | b'}')) {
                self.set_metric_name(name)?;
                if next == Some(b',') {
                    self.at += 1;
                }
                continue;
            }
            if next != Some(b'=') {
                let expected = if self.exemplar && matches!(next, Some(b',' | b'}')) {
                    "expected label name"
                } else {
                    "expected equal"
                };
                return self.unexpected(expected);
            }
            self.at += 1;
            let value = self.label_value()?;
            let name = reader_text(name, "label name", start)?;
            self.labels.push(LabelPair { name, value });
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {}
                // The text format does without commas.
                _ if self.blanks => {}
                _ => return self.unexpected("expected comma or brace close"),
            }
        }
    }

    fn label_name(&mut self, quoted: bool) -> Result<&'a [u8], Fail> {
        let start = self.at;
        if quoted {
            let newlines = self.newlines != Newlines::Nowhere;
            self.at = scan::quote_end(self.input, 0, start, newlines)?;
            Ok(&self.input[start + 1..self.at - 1])
        } else {
            self.at = scan::label_end(self.input, start);
            Ok(&self.input[start..self.at])
        }
    }

    fn label_value(&mut self) -> Result<Cow<'a, str>, Fail> {
        if self.peek() != Some(b'"') {
            return self.unexpected("expected label value");
        }
        let start = self.at;
        let newlines = self.newlines == Newlines::Anywhere;
        self.at = scan::quote_end(self.input, 0, start, newlines)?;
        reader_text(&self.input[start + 1..self.at - 1], "label value", start)
    }

    fn set_metric_name(&mut self, name: &'a [u8]) -> Result<(), Fail> {
        if self.name.is_some() {
            return Err(Fail::parsing(
                "metric name already set",
                self.input,
                0,
                self.at,
            ));
        }
        self.name = Some(reader_text(name, "metric name", self.at)?);
        Ok(())
    }
}
