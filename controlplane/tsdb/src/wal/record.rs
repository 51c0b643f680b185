//! WAL records: what they hold and how they are encoded (`tsdb/docs/format/wal.md` of Prometheus, with the
//! corrections of the server notes: sample deltas are signed varints against the first sample).

use bellwether_model::histogram::{
    CUSTOM_BUCKETS_SCHEMA, CounterResetHint, FloatHistogram, Histogram,
};
use bellwether_model::{Labels, LabelsBuilder, Metadata, MetricType, Span};

use crate::encoding::{Dec, DecodeError, put_str, put_uvarint, put_varint};

pub(crate) const SERIES: u8 = 1;
pub(crate) const SAMPLES: u8 = 2;
pub(crate) const TOMBSTONES: u8 = 3;
pub(crate) const EXEMPLARS: u8 = 4;
pub(crate) const MMAP_MARKERS: u8 = 5;
pub(crate) const METADATA: u8 = 6;
pub(crate) const HISTOGRAMS: u8 = 7;
pub(crate) const FLOAT_HISTOGRAMS: u8 = 8;
pub(crate) const CUSTOM_HISTOGRAMS: u8 = 9;
pub(crate) const CUSTOM_FLOAT_HISTOGRAMS: u8 = 10;
/// Ours: an envelope around a record of out-of-order samples, for those who follow the log. Replay has these samples
/// from the out-of-order log; Prometheus passes over types that it does not know.
pub(crate) const LATE: u8 = 200;

/// A float sample in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalSample {
    pub(crate) series: u64,
    pub(crate) t: i64,
    pub(crate) v: f64,
}

/// Bitwise on the value.
impl PartialEq for WalSample {
    fn eq(&self, other: &Self) -> bool {
        (self.series, self.t, self.v.to_bits()) == (other.series, other.t, other.v.to_bits())
    }
}

/// A deleted range of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WalTombstone {
    pub(crate) series: u64,
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
}

/// An exemplar in the log.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WalExemplar {
    pub(crate) series: u64,
    pub(crate) t: i64,
    pub(crate) v: f64,
    pub(crate) labels: Labels,
}

/// A decoded record. Parts of it that replay does not need are not built.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Series(Vec<(u64, Labels)>),
    Samples(Vec<WalSample>),
    Tombstones(Vec<WalTombstone>),
    Exemplars(Vec<WalExemplar>),
    /// Only in the out-of-order log: the series' samples before it are in the head chunk with this reference
    /// (number of the file in the high, offset of the entry in the low 32 bits) or an earlier one.
    MmapMarkers(Vec<(u64, u64)>),
    Metadata(Vec<(u64, Metadata)>),
    Histograms(Vec<(u64, i64, Histogram)>),
    FloatHistograms(Vec<(u64, i64, FloatHistogram)>),
    /// Out-of-order samples for those who follow the log.
    Late,
    /// A type of a newer or experimental writer: to be skipped, not to fail.
    Unknown(u8),
}

/// Begins a series record.
pub(crate) fn begin_series(out: &mut Vec<u8>) {
    out.push(SERIES);
}

/// Adds a series to a series record.
pub(crate) fn add_series(out: &mut Vec<u8>, series: u64, labels: &Labels) {
    out.extend_from_slice(&series.to_be_bytes());
    put_labels(out, labels);
}

fn put_labels(out: &mut Vec<u8>, labels: &Labels) {
    put_uvarint(out, labels.len() as u64);
    for label in labels {
        put_str(out, label.name);
        put_str(out, label.value);
    }
}

fn labels(dec: &mut Dec<'_>) -> Result<Labels, DecodeError> {
    let n = dec.count(2)?;
    let mut pairs = Vec::with_capacity(n);
    for _ in 0..n {
        pairs.push((dec.str()?, dec.str()?));
    }
    let clean = pairs.windows(2).all(|w| w[0].0 < w[1].0) && pairs.iter().all(|p| !p.1.is_empty());
    Ok(if clean {
        Labels::from_sorted(pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())))
    } else {
        let mut builder = LabelsBuilder::default();
        for (n, v) in &pairs {
            builder.set(n, v);
        }
        builder.build()
    })
}

/// Reference and time of the first item, against which the others are deltas.
#[derive(Clone, Copy)]
pub(crate) struct Base {
    series: u64,
    t: i64,
}

impl Base {
    /// Writes the type and the base.
    pub(crate) fn begin(out: &mut Vec<u8>, kind: u8, series: u64, t: i64) -> Self {
        out.push(kind);
        out.extend_from_slice(&series.to_be_bytes());
        out.extend_from_slice(&t.to_be_bytes());
        Self { series, t }
    }

    #[inline]
    fn put(self, out: &mut Vec<u8>, series: u64, t: i64) {
        put_varint(out, series.wrapping_sub(self.series) as i64);
        put_varint(out, t.wrapping_sub(self.t));
    }

    fn read(dec: &mut Dec<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            series: dec.be64()?,
            t: dec.be64()? as i64,
        })
    }

    #[inline]
    fn get(self, dec: &mut Dec<'_>) -> Result<(u64, i64), DecodeError> {
        let series = self.series.wrapping_add(dec.varint()? as u64);
        Ok((series, self.t.wrapping_add(dec.varint()?)))
    }

    /// Adds a sample to a samples record.
    #[inline]
    pub(crate) fn add_sample(self, out: &mut Vec<u8>, sample: WalSample) {
        self.put(out, sample.series, sample.t);
        out.extend_from_slice(&sample.v.to_bits().to_be_bytes());
    }

    /// Adds an exemplar to an exemplars record.
    pub(crate) fn add_exemplar(self, out: &mut Vec<u8>, e: &WalExemplar) {
        self.put(out, e.series, e.t);
        out.extend_from_slice(&e.v.to_bits().to_be_bytes());
        put_labels(out, &e.labels);
    }

    /// Adds an integer histogram; the record's type says whether it has custom bounds.
    pub(crate) fn add_histogram(self, out: &mut Vec<u8>, series: u64, t: i64, h: &Histogram) {
        self.put(out, series, t);
        out.push(hint_byte(h.reset_hint));
        put_varint(out, i64::from(h.schema));
        out.extend_from_slice(&h.zero_threshold.to_bits().to_be_bytes());
        put_uvarint(out, h.zero_count);
        put_uvarint(out, h.count);
        out.extend_from_slice(&h.sum.to_bits().to_be_bytes());
        put_spans(out, &h.positive_spans);
        put_spans(out, &h.negative_spans);
        for buckets in [&h.positive_buckets, &h.negative_buckets] {
            put_uvarint(out, buckets.len() as u64);
            for b in buckets {
                put_varint(out, *b);
            }
        }
        if h.schema == CUSTOM_BUCKETS_SCHEMA {
            put_floats(out, &h.custom_values);
        }
    }

    /// Adds a float histogram; the record's type says whether it has custom bounds.
    pub(crate) fn add_float_histogram(
        self,
        out: &mut Vec<u8>,
        series: u64,
        t: i64,
        h: &FloatHistogram,
    ) {
        self.put(out, series, t);
        out.push(hint_byte(h.reset_hint));
        put_varint(out, i64::from(h.schema));
        for v in [h.zero_threshold, h.zero_count, h.count, h.sum] {
            out.extend_from_slice(&v.to_bits().to_be_bytes());
        }
        put_spans(out, &h.positive_spans);
        put_spans(out, &h.negative_spans);
        put_floats(out, &h.positive_buckets);
        put_floats(out, &h.negative_buckets);
        if h.schema == CUSTOM_BUCKETS_SCHEMA {
            put_floats(out, &h.custom_values);
        }
    }
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_uvarint(out, spans.len() as u64);
    for s in spans {
        put_varint(out, i64::from(s.offset));
        put_uvarint(out, u64::from(s.length));
    }
}

fn put_floats(out: &mut Vec<u8>, values: &[f64]) {
    put_uvarint(out, values.len() as u64);
    for v in values {
        out.extend_from_slice(&v.to_bits().to_be_bytes());
    }
}

fn hint_byte(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::Reset => 1,
        CounterResetHint::NotReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

fn hint(byte: u8) -> CounterResetHint {
    match byte {
        1 => CounterResetHint::Reset,
        2 => CounterResetHint::NotReset,
        3 => CounterResetHint::Gauge,
        _ => CounterResetHint::Unknown,
    }
}

/// Encodes a tombstones record.
pub(crate) fn tombstones(out: &mut Vec<u8>, stones: &[WalTombstone]) {
    out.push(TOMBSTONES);
    for s in stones {
        out.extend_from_slice(&s.series.to_be_bytes());
        put_varint(out, s.mint);
        put_varint(out, s.maxt);
    }
}

/// Adds one entry to a metadata record, after its type byte.
pub(crate) fn add_metadata(out: &mut Vec<u8>, series: u64, m: &Metadata) {
    put_uvarint(out, series);
    out.push(match m.kind {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::Stateset => 7,
    });
    put_uvarint(out, 2);
    put_str(out, "UNIT");
    put_str(out, &m.unit);
    put_str(out, "HELP");
    put_str(out, &m.help);
}

fn metadata(dec: &mut Dec<'_>) -> Result<(u64, Metadata), DecodeError> {
    let series = dec.uvarint()?;
    let kind = match dec.u8()? {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::Stateset,
        _ => MetricType::Unknown,
    };
    let mut m = Metadata {
        kind,
        ..Metadata::default()
    };
    for _ in 0..dec.count(2)? {
        let name = dec.str()?;
        let value = dec.str()?;
        match name.as_ref() {
            "UNIT" => m.unit = value.into_owned(),
            "HELP" => m.help = value.into_owned(),
            _ => {}
        }
    }
    Ok((series, m))
}

fn spans(dec: &mut Dec<'_>) -> Result<Vec<Span>, DecodeError> {
    (0..dec.count(2)?)
        .map(|_| {
            Ok(Span {
                offset: dec.varint()? as i32,
                length: u32::try_from(dec.uvarint()?)
                    .map_err(|_| DecodeError("span length out of range"))?,
            })
        })
        .collect()
}

fn floats(dec: &mut Dec<'_>) -> Result<Vec<f64>, DecodeError> {
    (0..dec.count(8)?).map(|_| dec.f64()).collect()
}

fn ints(dec: &mut Dec<'_>) -> Result<Vec<i64>, DecodeError> {
    (0..dec.count(1)?).map(|_| dec.varint()).collect()
}

fn histogram(dec: &mut Dec<'_>) -> Result<Histogram, DecodeError> {
    let mut h = Histogram {
        reset_hint: hint(dec.u8()?),
        schema: dec.varint()? as i32,
        zero_threshold: dec.f64()?,
        zero_count: dec.uvarint()?,
        count: dec.uvarint()?,
        sum: dec.f64()?,
        positive_spans: spans(dec)?,
        negative_spans: spans(dec)?,
        positive_buckets: ints(dec)?,
        negative_buckets: ints(dec)?,
        custom_values: Vec::new(),
    };
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        h.custom_values = floats(dec)?;
    }
    Ok(h)
}

fn float_histogram(dec: &mut Dec<'_>) -> Result<FloatHistogram, DecodeError> {
    let mut h = FloatHistogram {
        reset_hint: hint(dec.u8()?),
        schema: dec.varint()? as i32,
        zero_threshold: dec.f64()?,
        zero_count: dec.f64()?,
        count: dec.f64()?,
        sum: dec.f64()?,
        positive_spans: spans(dec)?,
        negative_spans: spans(dec)?,
        positive_buckets: floats(dec)?,
        negative_buckets: floats(dec)?,
        custom_values: Vec::new(),
    };
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        h.custom_values = floats(dec)?;
    }
    Ok(h)
}

/// Runs `item` until the record is used up.
fn all<T>(
    dec: &mut Dec<'_>,
    mut item: impl FnMut(&mut Dec<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut out = Vec::new();
    while !dec.is_empty() {
        out.push(item(dec)?);
    }
    Ok(out)
}

/// The same for records that begin with a base; an empty one has none.
fn based<T>(
    dec: &mut Dec<'_>,
    mut item: impl FnMut(&mut Dec<'_>, u64, i64) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if dec.is_empty() {
        return Ok(Vec::new());
    }
    let base = Base::read(dec)?;
    all(dec, |dec| {
        let (series, t) = base.get(dec)?;
        item(dec, series, t)
    })
}

/// Decodes a record.
///
/// # Errors
/// When the bytes contradict the format.
pub(crate) fn decode(record: &[u8]) -> Result<Record, DecodeError> {
    let mut dec = Dec::new(record);
    let dec = &mut dec;
    Ok(match dec.u8()? {
        SERIES => Record::Series(all(dec, |d| Ok((d.be64()?, labels(d)?)))?),
        SAMPLES => Record::Samples(based(dec, |d, series, t| {
            Ok(WalSample {
                series,
                t,
                v: d.f64()?,
            })
        })?),
        TOMBSTONES => Record::Tombstones(all(dec, |d| {
            Ok(WalTombstone {
                series: d.be64()?,
                mint: d.varint()?,
                maxt: d.varint()?,
            })
        })?),
        EXEMPLARS => Record::Exemplars(based(dec, |d, series, t| {
            Ok(WalExemplar {
                series,
                t,
                v: d.f64()?,
                labels: labels(d)?,
            })
        })?),
        MMAP_MARKERS => Record::MmapMarkers(all(dec, |d| Ok((d.be64()?, d.be64()?)))?),
        METADATA => Record::Metadata(all(dec, metadata)?),
        HISTOGRAMS | CUSTOM_HISTOGRAMS => {
            Record::Histograms(based(dec, |d, s, t| Ok((s, t, histogram(d)?)))?)
        }
        FLOAT_HISTOGRAMS | CUSTOM_FLOAT_HISTOGRAMS => {
            Record::FloatHistograms(based(dec, |d, s, t| Ok((s, t, float_histogram(d)?)))?)
        }
        LATE => Record::Late,
        other => Record::Unknown(other),
    })
}

/// Calls `each` with reference, time and value of the samples of a samples record; other records have none.
///
/// # Errors
/// When the bytes contradict the format.
pub(crate) fn each_sample(
    record: &[u8],
    mut each: impl FnMut(u64, i64, f64),
) -> Result<(), DecodeError> {
    let mut dec = Dec::new(record);
    if dec.u8()? != SAMPLES || dec.is_empty() {
        return Ok(());
    }
    let base = Base::read(&mut dec)?;
    while !dec.is_empty() {
        let (series, t) = base.get(&mut dec)?;
        each(series, t, dec.f64()?);
    }
    Ok(())
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "record_props.rs"]
mod props;
