//! Reading the protobuf format: `MetricFamily` messages of `io.prometheus.client`, each preceded by its length.
//! Only this format carries native histograms.
//!
//! A [`ProtoReader`] yields one [`Family`] after the other; [`Family::each_sample`] walks its samples. As in the line
//! formats, a sample comes with its series in written form (that of the text format), so that a scraper can remember
//! the series by these bytes; [`crate::parse_series`] takes them apart.
//!
//! | file | what it holds |
//! |---|---|
//! | `wire` | protobuf's encoding |
//! | `message` | the messages inside a metric |
//! | `sample` | the samples of a metric |

mod message;
mod sample;
#[cfg(test)]
mod tests;
mod wire;

pub use sample::{ProtoSample, ProtoValue};

use bellwether_model::MetricType;
use wire::Cursor;

/// Why a page does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protobuf: {message} (byte {offset})")]
pub struct ProtoError {
    /// What is wrong.
    pub message: String,
    /// Offset into the page.
    pub offset: usize,
}

/// Which samples a histogram gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProtoOptions {
    /// Take native histograms; without it every histogram is a classic one.
    pub native: bool,
    /// Take the classic buckets of a histogram that is native as well.
    pub always_classic: bool,
}

/// Walks the families of a page. After an error it yields nothing more.
#[derive(Debug)]
pub struct ProtoReader<'a> {
    page: Cursor<'a>,
    failed: bool,
}

/// A metric family.
#[derive(Debug)]
pub struct Family<'a> {
    /// Name.
    pub name: &'a str,
    /// Help text, may be empty.
    pub help: &'a str,
    /// Unit, may be empty.
    pub unit: &'a str,
    /// Type.
    pub kind: MetricType,
    metrics: Vec<Cursor<'a>>,
}

impl<'a> ProtoReader<'a> {
    /// A reader at the beginning of a page.
    #[must_use]
    pub fn new(page: &'a [u8]) -> Self {
        Self {
            page: Cursor::new(page),
            failed: false,
        }
    }

    /// The next family, `None` at the end.
    ///
    /// # Errors
    /// When the data is no such message, the type is unknown, or the unit does not end the name.
    pub fn next_family(&mut self) -> Result<Option<Family<'a>>, ProtoError> {
        if self.failed || self.page.is_at_end() {
            return Ok(None);
        }
        let family = self.page.delimited().and_then(Family::read);
        self.failed = family.is_err();
        family.map(Some)
    }
}

impl<'a> Family<'a> {
    fn read(mut cursor: Cursor<'a>) -> Result<Self, ProtoError> {
        let mut family = Family {
            name: "",
            help: "",
            unit: "",
            // The first member of the enumeration, which protobuf leaves out.
            kind: MetricType::Counter,
            metrics: Vec::new(),
        };
        let mut unit_field = None;
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => family.name = field.text()?,
                2 => family.help = field.text()?,
                3 => {
                    family.kind = match field.uint()? {
                        0 => MetricType::Counter,
                        1 => MetricType::Gauge,
                        2 => MetricType::Summary,
                        3 => MetricType::Unknown,
                        4 => MetricType::Histogram,
                        5 => MetricType::GaugeHistogram,
                        other => return Err(field.fail(format!("unknown metric type {other}"))),
                    }
                }
                4 => family.metrics.push(field.message()?),
                5 => {
                    family.unit = field.text()?;
                    unit_field = Some(field);
                }
                _ => {}
            }
        }
        if let Some(field) = unit_field
            && !family.unit_fits()
        {
            return Err(field.fail(format!(
                "unit {:?} not a suffix of metric {:?}",
                family.unit, family.name
            )));
        }
        Ok(family)
    }

    /// A unit is the last word of the name, apart from a counter's `_total`.
    fn unit_fits(&self) -> bool {
        if self.unit.is_empty() {
            return true;
        }
        let base = match self.kind {
            MetricType::Counter => self.name.strip_suffix("_total").unwrap_or(self.name),
            _ => self.name,
        };
        base.strip_suffix(self.unit)
            .is_some_and(|rest| rest.ends_with('_'))
    }
}
