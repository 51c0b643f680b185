//! Views over a metrics export request: nothing is copied, strings are borrowed.
//!
//! [`MetricsRequest::new`] validates the whole payload once. The views below it read fields where
//! they lie, so that a walk over all data points allocates nothing.
//!
//! | file | what |
//! |---|---|
//! | `mod.rs` | request, resource, scope, metric |
//! | `point.rs` | data points, exemplars, buckets |

mod point;

#[cfg(test)]
mod tests;

use crate::error::DecodeError;
use crate::signal::Signal;
use crate::value::{Attributes, text};
use crate::wire::{WireReader, WireValue};

pub use point::{
    Buckets, Exemplar, ExpHistogramPoint, HistogramPoint, Number, NumberPoint, Points, Quantile,
    SummaryPoint,
};

/// Bit 0 of a data point's flags: the series has no value now.
pub const FLAG_NO_RECORDED_VALUE: u32 = 1;

/// A validated metrics export request.
#[derive(Debug, Clone, Copy)]
pub struct MetricsRequest<'a> {
    body: &'a [u8],
    data_points: usize,
}

impl<'a> MetricsRequest<'a> {
    /// Validates `body`, an `ExportMetricsServiceRequest` (or `MetricsData`, which has the same form).
    ///
    /// # Errors
    /// The bytes are not such a message.
    pub fn new(body: &'a [u8]) -> Result<Self, DecodeError> {
        let data_points = Signal::Metrics.validate(body)?;
        Ok(Self { body, data_points })
    }

    /// Number of data points of all metrics.
    pub fn data_points(&self) -> usize {
        self.data_points
    }

    /// Metrics grouped by resource.
    pub fn resource_metrics(&self) -> impl Iterator<Item = ResourceMetrics<'a>> + use<'a> {
        submessages(self.body, 1).map(ResourceMetrics::parse)
    }
}

/// The bodies of all length-delimited fields with this number.
pub(crate) fn submessages(body: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    let mut reader = WireReader::new(body);
    std::iter::from_fn(move || {
        loop {
            let field = reader.next_valid()?;
            if let WireValue::Bytes(bytes) = field.value
                && field.number == number
            {
                return Some(bytes);
            }
        }
    })
}

/// Metrics of one resource.
#[derive(Debug, Clone, Copy)]
pub struct ResourceMetrics<'a> {
    /// Attributes of the resource.
    pub attributes: Attributes<'a>,
    /// Schema of the resource; empty when unknown.
    pub schema_url: &'a str,
    body: &'a [u8],
}

impl<'a> ResourceMetrics<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut view = Self {
            attributes: Attributes::EMPTY,
            schema_url: "",
            body,
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            match (field.number, field.value) {
                (1, WireValue::Bytes(resource)) => view.attributes = Attributes::new(resource, 1),
                (3, WireValue::Bytes(url)) => view.schema_url = text(url),
                _ => {}
            }
        }
        view
    }

    /// Metrics grouped by instrumentation scope.
    pub fn scope_metrics(&self) -> impl Iterator<Item = ScopeMetrics<'a>> + use<'a> {
        submessages(self.body, 2).map(ScopeMetrics::parse)
    }
}

/// Metrics of one instrumentation scope.
#[derive(Debug, Clone, Copy)]
pub struct ScopeMetrics<'a> {
    /// The scope.
    pub scope: Scope<'a>,
    /// Schema of the metrics; empty when unknown.
    pub schema_url: &'a str,
    body: &'a [u8],
}

/// An instrumentation scope (library).
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// Name; empty when unknown.
    pub name: &'a str,
    /// Version; empty when unknown.
    pub version: &'a str,
    /// Attributes.
    pub attributes: Attributes<'a>,
}

impl<'a> ScopeMetrics<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut view = Self {
            scope: Scope {
                name: "",
                version: "",
                attributes: Attributes::EMPTY,
            },
            schema_url: "",
            body,
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            match (field.number, field.value) {
                (1, WireValue::Bytes(scope)) => view.scope = Scope::parse(scope),
                (3, WireValue::Bytes(url)) => view.schema_url = text(url),
                _ => {}
            }
        }
        view
    }

    /// The metrics in order.
    pub fn metrics(&self) -> impl Iterator<Item = Metric<'a>> + use<'a> {
        submessages(self.body, 2).map(Metric::parse)
    }
}

impl<'a> Scope<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut scope = Self {
            name: "",
            version: "",
            attributes: Attributes::new(body, 3),
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            match (field.number, field.value) {
                (1, WireValue::Bytes(name)) => scope.name = text(name),
                (2, WireValue::Bytes(version)) => scope.version = text(version),
                _ => {}
            }
        }
        scope
    }
}

/// How the values of consecutive points relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// Not said, or a number that OTLP does not define.
    Unspecified,
    /// Change since the previous point.
    Delta,
    /// Total since a fixed start.
    Cumulative,
}

impl Temporality {
    fn from_wire(raw: u64) -> Self {
        match raw {
            1 => Self::Delta,
            2 => Self::Cumulative,
            _ => Self::Unspecified,
        }
    }
}

/// A metric with its data points.
#[derive(Debug, Clone, Copy)]
pub struct Metric<'a> {
    /// Name as the instrument has it.
    pub name: &'a str,
    /// Description (help).
    pub description: &'a str,
    /// UCUM unit.
    pub unit: &'a str,
    /// Metadata attributes, for example `prometheus.type`.
    pub metadata: Attributes<'a>,
    /// Kind and points.
    pub data: Data<'a>,
}

/// Data of a metric, by kind.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// No data (or of a kind that this version does not know).
    Empty,
    /// Last value.
    Gauge {
        /// Points.
        points: Points<'a, NumberPoint<'a>>,
    },
    /// Sum.
    Sum {
        /// Points.
        points: Points<'a, NumberPoint<'a>>,
        /// Temporality.
        temporality: Temporality,
        /// True for counters, false for up-down counters.
        is_monotonic: bool,
    },
    /// Histogram with explicit bounds.
    Histogram {
        /// Points.
        points: Points<'a, HistogramPoint<'a>>,
        /// Temporality.
        temporality: Temporality,
    },
    /// Histogram with exponential buckets.
    ExponentialHistogram {
        /// Points.
        points: Points<'a, ExpHistogramPoint<'a>>,
        /// Temporality.
        temporality: Temporality,
    },
    /// Quantiles computed by the source.
    Summary {
        /// Points.
        points: Points<'a, SummaryPoint<'a>>,
    },
}

impl<'a> Metric<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut metric = Self {
            name: "",
            description: "",
            unit: "",
            metadata: Attributes::new(body, 12),
            data: Data::Empty,
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            let WireValue::Bytes(bytes) = field.value else {
                continue;
            };
            match field.number {
                1 => metric.name = text(bytes),
                2 => metric.description = text(bytes),
                3 => metric.unit = text(bytes),
                5 => {
                    metric.data = Data::Gauge {
                        points: Points::new(bytes),
                    };
                }
                7 => {
                    let (temporality, is_monotonic) = aggregation(bytes);
                    metric.data = Data::Sum {
                        points: Points::new(bytes),
                        temporality,
                        is_monotonic,
                    };
                }
                9 => {
                    metric.data = Data::Histogram {
                        points: Points::new(bytes),
                        temporality: aggregation(bytes).0,
                    };
                }
                10 => {
                    metric.data = Data::ExponentialHistogram {
                        points: Points::new(bytes),
                        temporality: aggregation(bytes).0,
                    };
                }
                11 => {
                    metric.data = Data::Summary {
                        points: Points::new(bytes),
                    };
                }
                _ => {}
            }
        }
        metric
    }
}

/// Temporality (field 2) and monotonicity (field 3) of a sum or histogram.
fn aggregation(body: &[u8]) -> (Temporality, bool) {
    let mut temporality = Temporality::Unspecified;
    let mut is_monotonic = false;
    let mut reader = WireReader::new(body);
    while let Some(field) = reader.next_valid() {
        match (field.number, field.value) {
            (2, WireValue::Varint(raw)) => temporality = Temporality::from_wire(raw),
            (3, WireValue::Varint(raw)) => is_monotonic = raw != 0,
            _ => {}
        }
    }
    (temporality, is_monotonic)
}
