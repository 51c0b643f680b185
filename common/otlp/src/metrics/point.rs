//! Data points of the five kinds of metrics.

use std::marker::PhantomData;

use super::{FLAG_NO_RECORDED_VALUE, submessages};
use crate::value::Attributes;
use crate::wire::{WireReader, WireValue, fixed64, zigzag32};

/// The data points of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a, P> {
    body: &'a [u8],
    kind: PhantomData<P>,
}

impl<'a, P: Point<'a>> Points<'a, P> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self {
            body,
            kind: PhantomData,
        }
    }

    /// The points in order.
    pub fn iter(&self) -> impl Iterator<Item = P> + use<'a, P> {
        submessages(self.body, 1).map(P::parse)
    }
}

/// A kind of data point, made from its message body. Implemented by the types of this module only.
pub trait Point<'a>: sealed::Sealed {
    /// Reads the scalar fields of a validated body.
    fn parse(body: &'a [u8]) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::NumberPoint<'_> {}
    impl Sealed for super::HistogramPoint<'_> {}
    impl Sealed for super::ExpHistogramPoint<'_> {}
    impl Sealed for super::SummaryPoint<'_> {}
}

/// A number as the instrument recorded it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// 64-bit float.
    Double(f64),
    /// 64-bit signed integer.
    Int(i64),
}

impl Number {
    /// The value as a float; integers beyond 2^53 lose their lowest bits.
    #[inline]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Double(value) => value,
            Self::Int(value) => value as f64,
        }
    }
}

/// A point of a gauge or sum.
#[derive(Debug, Clone, Copy)]
pub struct NumberPoint<'a> {
    /// Attributes.
    pub attributes: Attributes<'a>,
    /// Start of the interval in ns since the epoch; 0 is unknown.
    pub start_time_unix_nano: u64,
    /// Time of the value in ns since the epoch.
    pub time_unix_nano: u64,
    /// Value, if set.
    pub value: Option<Number>,
    /// Flags; see [`FLAG_NO_RECORDED_VALUE`].
    pub flags: u32,
    body: &'a [u8],
}

impl<'a> Point<'a> for NumberPoint<'a> {
    #[inline]
    fn parse(body: &'a [u8]) -> Self {
        let mut point = Self {
            attributes: Attributes::new(body, 7),
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            value: None,
            flags: 0,
            body,
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            match (field.number, field.value) {
                (2, WireValue::Fixed64(v)) => point.start_time_unix_nano = v,
                (3, WireValue::Fixed64(v)) => point.time_unix_nano = v,
                (4, WireValue::Fixed64(v)) => point.value = Some(Number::Double(f64::from_bits(v))),
                (6, WireValue::Fixed64(v)) => point.value = Some(Number::Int(v as i64)),
                (8, WireValue::Varint(v)) => point.flags = v as u32,
                _ => {}
            }
        }
        point
    }
}

impl<'a> NumberPoint<'a> {
    /// True when the point says that the series has no value.
    pub fn no_recorded_value(&self) -> bool {
        self.flags & FLAG_NO_RECORDED_VALUE != 0
    }

    /// Exemplars.
    pub fn exemplars(&self) -> impl Iterator<Item = Exemplar<'a>> + use<'a> {
        submessages(self.body, 5).map(Exemplar::parse)
    }
}

/// A point of a histogram with explicit bounds.
#[derive(Debug, Clone, Copy)]
pub struct HistogramPoint<'a> {
    /// Attributes.
    pub attributes: Attributes<'a>,
    /// Start of the interval in ns since the epoch; 0 is unknown.
    pub start_time_unix_nano: u64,
    /// Time of the value in ns since the epoch.
    pub time_unix_nano: u64,
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations, if known.
    pub sum: Option<f64>,
    /// Smallest observation, if known.
    pub min: Option<f64>,
    /// Largest observation, if known.
    pub max: Option<f64>,
    /// Flags; see [`FLAG_NO_RECORDED_VALUE`].
    pub flags: u32,
    body: &'a [u8],
}

impl<'a> Point<'a> for HistogramPoint<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut point = Self {
            attributes: Attributes::new(body, 9),
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            count: 0,
            sum: None,
            min: None,
            max: None,
            flags: 0,
            body,
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            match (field.number, field.value) {
                (2, WireValue::Fixed64(v)) => point.start_time_unix_nano = v,
                (3, WireValue::Fixed64(v)) => point.time_unix_nano = v,
                (4, WireValue::Fixed64(v)) => point.count = v,
                (5, WireValue::Fixed64(v)) => point.sum = Some(f64::from_bits(v)),
                (10, WireValue::Varint(v)) => point.flags = v as u32,
                (11, WireValue::Fixed64(v)) => point.min = Some(f64::from_bits(v)),
                (12, WireValue::Fixed64(v)) => point.max = Some(f64::from_bits(v)),
                _ => {}
            }
        }
        point
    }
}

impl<'a> HistogramPoint<'a> {
    /// True when the point says that the series has no value.
    pub fn no_recorded_value(&self) -> bool {
        self.flags & FLAG_NO_RECORDED_VALUE != 0
    }

    /// Counts per bucket, not cumulative; one more than there are bounds, or none at all.
    pub fn bucket_counts(&self) -> impl Iterator<Item = u64> + use<'a> {
        fixed64_list(self.body, 6)
    }

    /// Inclusive upper bounds of all buckets but the last.
    pub fn explicit_bounds(&self) -> impl Iterator<Item = f64> + use<'a> {
        fixed64_list(self.body, 7).map(f64::from_bits)
    }

    /// Exemplars.
    pub fn exemplars(&self) -> impl Iterator<Item = Exemplar<'a>> + use<'a> {
        submessages(self.body, 8).map(Exemplar::parse)
    }
}

/// A point of a histogram with exponential buckets.
#[derive(Debug, Clone, Copy)]
pub struct ExpHistogramPoint<'a> {
    /// Attributes.
    pub attributes: Attributes<'a>,
    /// Start of the interval in ns since the epoch; 0 is unknown.
    pub start_time_unix_nano: u64,
    /// Time of the value in ns since the epoch.
    pub time_unix_nano: u64,
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations, if known.
    pub sum: Option<f64>,
    /// Smallest observation, if known.
    pub min: Option<f64>,
    /// Largest observation, if known.
    pub max: Option<f64>,
    /// Resolution: bucket borders are powers of 2^(2^-scale).
    pub scale: i32,
    /// Observations within the zero threshold.
    pub zero_count: u64,
    /// Absolute width of the zero bucket.
    pub zero_threshold: f64,
    /// Buckets of positive observations.
    pub positive: Buckets<'a>,
    /// Buckets of negative observations.
    pub negative: Buckets<'a>,
    /// Flags; see [`FLAG_NO_RECORDED_VALUE`].
    pub flags: u32,
    body: &'a [u8],
}

impl<'a> Point<'a> for ExpHistogramPoint<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut point = Self {
            attributes: Attributes::new(body, 1),
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            count: 0,
            sum: None,
            min: None,
            max: None,
            scale: 0,
            zero_count: 0,
            zero_threshold: 0.0,
            positive: Buckets::EMPTY,
            negative: Buckets::EMPTY,
            flags: 0,
            body,
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            match (field.number, field.value) {
                (2, WireValue::Fixed64(v)) => point.start_time_unix_nano = v,
                (3, WireValue::Fixed64(v)) => point.time_unix_nano = v,
                (4, WireValue::Fixed64(v)) => point.count = v,
                (5, WireValue::Fixed64(v)) => point.sum = Some(f64::from_bits(v)),
                (6, WireValue::Varint(v)) => point.scale = zigzag32(v),
                (7, WireValue::Fixed64(v)) => point.zero_count = v,
                (8, WireValue::Bytes(v)) => point.positive = Buckets::parse(v),
                (9, WireValue::Bytes(v)) => point.negative = Buckets::parse(v),
                (10, WireValue::Varint(v)) => point.flags = v as u32,
                (12, WireValue::Fixed64(v)) => point.min = Some(f64::from_bits(v)),
                (13, WireValue::Fixed64(v)) => point.max = Some(f64::from_bits(v)),
                (14, WireValue::Fixed64(v)) => point.zero_threshold = f64::from_bits(v),
                _ => {}
            }
        }
        point
    }
}

impl<'a> ExpHistogramPoint<'a> {
    /// True when the point says that the series has no value.
    pub fn no_recorded_value(&self) -> bool {
        self.flags & FLAG_NO_RECORDED_VALUE != 0
    }

    /// Exemplars.
    pub fn exemplars(&self) -> impl Iterator<Item = Exemplar<'a>> + use<'a> {
        submessages(self.body, 11).map(Exemplar::parse)
    }
}

/// Exponential buckets of one sign.
#[derive(Debug, Clone, Copy)]
pub struct Buckets<'a> {
    /// Index of the first bucket; bucket `i` of the list covers (base^(offset+i), base^(offset+i+1)].
    pub offset: i32,
    body: &'a [u8],
}

impl<'a> Buckets<'a> {
    const EMPTY: Self = Self {
        offset: 0,
        body: &[],
    };

    fn parse(body: &'a [u8]) -> Self {
        let mut offset = 0;
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            if let (1, WireValue::Varint(raw)) = (field.number, field.value) {
                offset = zigzag32(raw);
            }
        }
        Self { offset, body }
    }

    /// Counts per bucket.
    pub fn counts(&self) -> impl Iterator<Item = u64> + use<'a> {
        let mut fields = WireReader::new(self.body);
        let mut packed = WireReader::new(&[]);
        std::iter::from_fn(move || {
            loop {
                if !packed.is_empty() {
                    return packed.varint().ok();
                }
                let field = fields.next_valid()?;
                match (field.number, field.value) {
                    (2, WireValue::Varint(count)) => return Some(count),
                    (2, WireValue::Bytes(list)) => packed = WireReader::new(list),
                    _ => {}
                }
            }
        })
    }
}

/// A point of a summary.
#[derive(Debug, Clone, Copy)]
pub struct SummaryPoint<'a> {
    /// Attributes.
    pub attributes: Attributes<'a>,
    /// Start of the interval in ns since the epoch; 0 is unknown.
    pub start_time_unix_nano: u64,
    /// Time of the value in ns since the epoch.
    pub time_unix_nano: u64,
    /// Number of observations.
    pub count: u64,
    /// Sum of the observations.
    pub sum: f64,
    /// Flags; see [`FLAG_NO_RECORDED_VALUE`].
    pub flags: u32,
    body: &'a [u8],
}

/// A quantile of a summary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantile {
    /// 0 to 1.
    pub quantile: f64,
    /// Value at the quantile.
    pub value: f64,
}

impl<'a> Point<'a> for SummaryPoint<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut point = Self {
            attributes: Attributes::new(body, 7),
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            count: 0,
            sum: 0.0,
            flags: 0,
            body,
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            match (field.number, field.value) {
                (2, WireValue::Fixed64(v)) => point.start_time_unix_nano = v,
                (3, WireValue::Fixed64(v)) => point.time_unix_nano = v,
                (4, WireValue::Fixed64(v)) => point.count = v,
                (5, WireValue::Fixed64(v)) => point.sum = f64::from_bits(v),
                (8, WireValue::Varint(v)) => point.flags = v as u32,
                _ => {}
            }
        }
        point
    }
}

impl<'a> SummaryPoint<'a> {
    /// True when the point says that the series has no value.
    pub fn no_recorded_value(&self) -> bool {
        self.flags & FLAG_NO_RECORDED_VALUE != 0
    }

    /// The quantiles in order.
    pub fn quantiles(&self) -> impl Iterator<Item = Quantile> + use<'a> {
        submessages(self.body, 6).map(|body| {
            let mut result = Quantile {
                quantile: 0.0,
                value: 0.0,
            };
            let mut reader = WireReader::new(body);
            while let Some(field) = reader.next_valid() {
                match (field.number, field.value) {
                    (1, WireValue::Fixed64(v)) => result.quantile = f64::from_bits(v),
                    (2, WireValue::Fixed64(v)) => result.value = f64::from_bits(v),
                    _ => {}
                }
            }
            result
        })
    }
}

/// A single observation with the trace in which it was made.
#[derive(Debug, Clone, Copy)]
pub struct Exemplar<'a> {
    /// Attributes that are not on the data point.
    pub filtered_attributes: Attributes<'a>,
    /// Time in ns since the epoch.
    pub time_unix_nano: u64,
    /// Value, if set.
    pub value: Option<Number>,
    /// Span id: eight bytes, or empty.
    pub span_id: &'a [u8],
    /// Trace id: sixteen bytes, or empty.
    pub trace_id: &'a [u8],
}

impl<'a> Exemplar<'a> {
    fn parse(body: &'a [u8]) -> Self {
        let mut exemplar = Self {
            filtered_attributes: Attributes::new(body, 7),
            time_unix_nano: 0,
            value: None,
            span_id: &[],
            trace_id: &[],
        };
        let mut reader = WireReader::new(body);
        while let Some(field) = reader.next_valid() {
            match (field.number, field.value) {
                (2, WireValue::Fixed64(v)) => exemplar.time_unix_nano = v,
                (3, WireValue::Fixed64(v)) => {
                    exemplar.value = Some(Number::Double(f64::from_bits(v)));
                }
                (4, WireValue::Bytes(v)) => exemplar.span_id = v,
                (5, WireValue::Bytes(v)) => exemplar.trace_id = v,
                (6, WireValue::Fixed64(v)) => exemplar.value = Some(Number::Int(v as i64)),
                _ => {}
            }
        }
        exemplar
    }
}

/// A repeated eight-byte field, packed or not.
fn fixed64_list(body: &[u8], number: u32) -> impl Iterator<Item = u64> {
    let mut fields = WireReader::new(body);
    let mut packed: &[u8] = &[];
    std::iter::from_fn(move || {
        loop {
            if packed.len() >= 8 {
                let (head, rest) = packed.split_at(8);
                packed = rest;
                return Some(fixed64(head));
            }
            let field = fields.next_valid()?;
            if field.number != number {
                continue;
            }
            match field.value {
                WireValue::Fixed64(value) => return Some(value),
                WireValue::Bytes(list) => packed = list,
                _ => {}
            }
        }
    })
}
