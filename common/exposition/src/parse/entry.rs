//! What the parser yields.

use bellwether_model::{Exemplar, Labels, MetricType};

use super::labels::{self, SeriesLabels};
use super::{Format, Parser};
use crate::error::ParseError;

/// One line of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Series(SeriesLine<'a>),
    /// `# TYPE`.
    Type {
        /// Family name, without quotes.
        name: &'a [u8],
        /// Type.
        kind: MetricType,
    },
    /// `# HELP`. The text may hold escapes, see [`super::unescape`].
    Help {
        /// Family name, without quotes.
        name: &'a [u8],
        /// Text as written.
        text: &'a str,
    },
    /// `# UNIT`, OpenMetrics only.
    Unit {
        /// Family name, without quotes.
        name: &'a [u8],
        /// Unit, may be empty.
        unit: &'a [u8],
    },
    /// Any other comment of the text format.
    Comment,
}

/// A sample as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeriesLine<'a> {
    /// Name and labels exactly as written: the key under which a scraper remembers the series.
    pub series: &'a [u8],
    /// Value; NaN is the canonical quiet NaN.
    pub value: f64,
    /// Milliseconds since the epoch, where the line has a timestamp.
    pub timestamp_ms: Option<i64>,
    /// Exemplar, where the line has one.
    pub exemplar: Option<RawExemplar<'a>>,
    /// Whether this is the series that the caller expected.
    pub expected: bool,
    /// Offset of `series` in the page.
    pub(crate) offset: usize,
    pub(crate) format: Format,
}

/// What [`Parser::take_expected`] took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlainLine<'a> {
    /// Name and labels as written.
    pub series: &'a [u8],
    /// Value.
    pub value: f64,
    pub(crate) format: Format,
}

impl<'a> PlainLine<'a> {
    /// Takes the series apart.
    ///
    /// # Errors
    /// When name or labels do not follow the grammar; then it was no series that a parser gave before.
    pub fn labels(&self) -> Result<SeriesLabels<'a>, ParseError> {
        labels::parse(self.format, self.series).map_err(|fail| fail.locate(self.series))
    }
}

impl<'a> SeriesLine<'a> {
    /// Takes the series apart. Needed once for each series that was not seen before.
    ///
    /// # Errors
    /// When name or labels do not follow the grammar; `parser` is the one that yielded this line.
    pub fn labels(&self, parser: &Parser<'a>) -> Result<SeriesLabels<'a>, ParseError> {
        labels::parse(self.format, self.series).map_err(|mut fail| {
            fail.at += self.offset;
            fail.locate(parser.input)
        })
    }
}

/// An exemplar as written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RawExemplar<'a> {
    /// From the opening to the closing brace; checked by the parser.
    pub labels: &'a [u8],
    /// Value.
    pub value: f64,
    /// Milliseconds since the epoch, where the exemplar has a timestamp.
    pub timestamp_ms: Option<i64>,
}

impl RawExemplar<'_> {
    /// The exemplar with its labels taken apart.
    #[must_use]
    pub fn to_exemplar(&self) -> Exemplar {
        let pairs = labels::parse_exemplar(self.labels).unwrap_or_default();
        Exemplar {
            labels: Labels::from_pairs(pairs.iter().map(|p| (&*p.name, &*p.value))),
            value: self.value,
            timestamp_ms: self.timestamp_ms,
        }
    }
}
