//! Histogram chunks, integer and float in one generic codec.
//!
//! ```text
//! u16 count, flags (top two bits: counter reset), layout, samples
//! field       time  count, zero count   sum   buckets
//! int first   raw   unsigned varbit     bits  varbit
//! int later   dod   dod                 xor   dod
//! float first raw   bits                bits  bits
//! float later dod   xor                 xor   xor
//! ```
//! Integer buckets are deltas to the bucket before, as in the model. A stale sample has no buckets. All
//! samples share one layout: when a bucket appears, the chunk is re-encoded with the wider layout; when a
//! counter falls or the schema changes, a new chunk begins whose flags say why.

use bellwether_model::histogram::{CounterResetHint, FloatHistogram, Histogram};
use bellwether_model::{Span, is_stale_nan, stale_nan};

use super::bits::{BitReader, BitWriter, PutBits, XorWindow};
use super::layout::{self, Layout};
pub(crate) use super::number::{Field, Number};
use crate::encoding::DecodeError;

/// Bytes before the bit stream.
const HEADER: usize = 3;
const FLAG_RESET: u8 = 0b1000_0000;
const FLAG_NOT_RESET: u8 = 0b0100_0000;
const FLAG_GAUGE: u8 = 0b1100_0000;

/// Makes a chunk that says "no counter reset before" say nothing about it.
pub(crate) fn forget_not_reset(chunk: &mut [u8]) {
    if let Some(flags) = chunk.get_mut(HEADER - 1)
        && *flags & FLAG_GAUGE == FLAG_NOT_RESET
    {
        *flags &= !FLAG_GAUGE;
    }
}

/// One histogram in the codec's form. Buckets are as stored: deltas for integers, absolute for floats.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flat<T> {
    pub(crate) hint: CounterResetHint,
    pub(crate) layout: Layout,
    pub(crate) count: T,
    pub(crate) zero_count: T,
    pub(crate) sum: f64,
    pub(crate) positive: Vec<T>,
    pub(crate) negative: Vec<T>,
}

impl<T: Number> Flat<T> {
    /// Whether this is a stale marker.
    pub(crate) fn is_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    fn stale() -> Self {
        Self {
            hint: CounterResetHint::Unknown,
            layout: Layout::default(),
            count: T::default(),
            zero_count: T::default(),
            sum: stale_nan(),
            positive: Vec::new(),
            negative: Vec::new(),
        }
    }

    /// The same histogram with zero buckets added so that its layout names the given buckets.
    fn widen(&mut self, positive: &[Span], negative: &[Span]) {
        for (spans, buckets, wanted) in [
            (&mut self.layout.positive, &mut self.positive, positive),
            (&mut self.layout.negative, &mut self.negative, negative),
        ] {
            if spans.as_slice() != wanted {
                let from = layout::indexes(spans);
                let to = layout::indexes(wanted);
                *buckets = T::stored(layout::spread(&T::absolute(buckets), &from, &to));
                *spans = wanted.to_vec();
            }
        }
    }
}

impl Flat<i64> {
    /// The model's form.
    pub(crate) fn to_model(&self) -> Histogram {
        Histogram {
            reset_hint: self.hint,
            schema: self.layout.schema,
            zero_threshold: self.layout.zero_threshold,
            zero_count: self.zero_count as u64,
            count: self.count as u64,
            sum: self.sum,
            positive_spans: self.layout.positive.clone(),
            negative_spans: self.layout.negative.clone(),
            positive_buckets: self.positive.clone(),
            negative_buckets: self.negative.clone(),
            custom_values: self.layout.custom.clone(),
        }
    }
}

impl From<Histogram> for Flat<i64> {
    fn from(h: Histogram) -> Self {
        Self {
            hint: h.reset_hint,
            layout: Layout {
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                positive: h.positive_spans,
                negative: h.negative_spans,
                custom: h.custom_values,
            },
            count: h.count as i64,
            zero_count: h.zero_count as i64,
            sum: h.sum,
            positive: h.positive_buckets,
            negative: h.negative_buckets,
        }
    }
}

impl Flat<f64> {
    /// The model's form.
    pub(crate) fn to_model(&self) -> FloatHistogram {
        FloatHistogram {
            reset_hint: self.hint,
            schema: self.layout.schema,
            zero_threshold: self.layout.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive_spans: self.layout.positive.clone(),
            negative_spans: self.layout.negative.clone(),
            positive_buckets: self.positive.clone(),
            negative_buckets: self.negative.clone(),
            custom_values: self.layout.custom.clone(),
        }
    }
}

impl From<FloatHistogram> for Flat<f64> {
    fn from(h: FloatHistogram) -> Self {
        Self {
            hint: h.reset_hint,
            layout: Layout {
                schema: h.schema,
                zero_threshold: h.zero_threshold,
                positive: h.positive_spans,
                negative: h.negative_spans,
                custom: h.custom_values,
            },
            count: h.count,
            zero_count: h.zero_count,
            sum: h.sum,
            positive: h.positive_buckets,
            negative: h.negative_buckets,
        }
    }
}

/// Why the next sample cannot go into the chunk, as the next chunk's flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutFlags(u8);

impl CutFlags {
    /// Nothing is known about the chunk before.
    pub(crate) const UNKNOWN: Self = Self(0);
}

/// How a sample fits into an open chunk.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fit {
    /// The chunk's layout names all its buckets.
    Fits,
    /// The chunk has to be re-encoded with these spans first.
    Widen(Vec<Span>, Vec<Span>),
    /// A new chunk has to begin.
    Cut(CutFlags),
}

/// A histogram chunk that is being appended to.
#[derive(Clone, Debug)]
pub(crate) struct HistogramAppender<T: Number> {
    bits: BitWriter,
    layout: Layout,
    t: i64,
    t_delta: i64,
    count: Field<T>,
    zero_count: Field<T>,
    sum: f64,
    sum_window: XorWindow,
    positive: Vec<Field<T>>,
    negative: Vec<Field<T>>,
}

impl<T: Number> HistogramAppender<T> {
    /// A chunk that begins with a sample.
    pub(crate) fn begin(t: i64, sample: Flat<T>, flags: CutFlags) -> Self {
        let flags = match sample.hint {
            CounterResetHint::Gauge => FLAG_GAUGE,
            CounterResetHint::Reset => FLAG_RESET,
            CounterResetHint::Unknown | CounterResetHint::NotReset => flags.0,
        };
        let mut this = Self {
            bits: BitWriter::default(),
            layout: Layout::default(),
            t: 0,
            t_delta: 0,
            count: Field::default(),
            zero_count: Field::default(),
            sum: 0.0,
            sum_window: XorWindow::default(),
            positive: Vec::new(),
            negative: Vec::new(),
        };
        this.bits.restart(&[0, 0, flags]);
        this.write(t, sample);
        this
    }

    /// The encoded chunk so far.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    /// Samples in the chunk.
    pub(crate) fn samples(&self) -> u16 {
        super::count(self.bits.bytes())
    }

    fn is_gauge(&self) -> bool {
        self.bits.bytes()[2] == FLAG_GAUGE
    }

    /// Whether a sample equals the newest one in all that a duplicate check looks at.
    pub(crate) fn last_equals(&self, sample: &Flat<T>) -> bool {
        let same = |fields: &[Field<T>], values: &[T]| {
            fields.len() == values.len() && fields.iter().zip(values).all(|(f, v)| f.value == *v)
        };
        self.sum.to_bits() == sample.sum.to_bits()
            && (sample.is_stale()
                || (self.count.value == sample.count
                    && self.zero_count.value == sample.zero_count
                    && self.layout == sample.layout
                    && same(&self.positive, &sample.positive)
                    && same(&self.negative, &sample.negative)))
    }

    /// Whether and how a sample can be appended, by Prometheus' rules for counter resets.
    pub(crate) fn fit(&self, sample: &Flat<T>) -> Fit {
        let gauge = sample.hint == CounterResetHint::Gauge;
        if gauge != self.is_gauge() {
            return Fit::Cut(CutFlags(if gauge { FLAG_GAUGE } else { FLAG_NOT_RESET }));
        }
        if sample.hint == CounterResetHint::Reset {
            return Fit::Cut(CutFlags(FLAG_RESET));
        }
        if sample.is_stale() {
            return Fit::Fits;
        }
        let reset = Fit::Cut(CutFlags(if gauge { FLAG_GAUGE } else { FLAG_RESET }));
        let unknown = Fit::Cut(CutFlags(if gauge { FLAG_GAUGE } else { 0 }));
        if is_stale_nan(self.sum) {
            return unknown;
        }
        if !gauge && T::count_below(sample.count, self.count.value) {
            return reset;
        }
        if sample.layout.schema != self.layout.schema
            || sample.layout.zero_threshold != self.layout.zero_threshold
        {
            return unknown;
        }
        if sample.layout.custom != self.layout.custom
            || (!gauge && T::count_below(sample.zero_count, self.zero_count.value))
        {
            return reset;
        }
        let mut spans = [Vec::new(), Vec::new()];
        let mut widen = false;
        for (i, (ours, fields, theirs, values)) in [
            (
                &self.layout.positive,
                &self.positive,
                &sample.layout.positive,
                &sample.positive,
            ),
            (
                &self.layout.negative,
                &self.negative,
                &sample.layout.negative,
                &sample.negative,
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let from = layout::indexes(ours);
            let to = layout::indexes(theirs);
            let both = layout::union(&from, &to);
            if !gauge {
                let stored: Vec<T> = fields.iter().map(|f| f.value).collect();
                let before = layout::spread(&T::absolute(&stored), &from, &both);
                let after = layout::spread(&T::absolute(values), &to, &both);
                if before.iter().zip(&after).any(|(b, a)| b > a) {
                    return reset;
                }
            }
            if both.len() > from.len() {
                widen = true;
                spans[i] = layout::spans_of(&both);
            } else {
                spans[i].clone_from(ours);
            }
        }
        if widen {
            let [positive, negative] = spans;
            Fit::Widen(positive, negative)
        } else {
            Fit::Fits
        }
    }

    /// Whether the newest sample is a stale marker.
    pub(crate) fn is_last_stale(&self) -> bool {
        is_stale_nan(self.sum)
    }

    /// The flags of a chunk that follows this one because this one is full.
    pub(crate) fn next_flags(&self, sample: &Flat<T>) -> CutFlags {
        match self.fit(sample) {
            Fit::Cut(flags) => flags,
            Fit::Fits | Fit::Widen(..) => CutFlags(FLAG_NOT_RESET),
        }
    }

    /// Re-encodes the chunk so that its layout names the given buckets too.
    pub(crate) fn recode(
        &mut self,
        positive: &[Span],
        negative: &[Span],
    ) -> Result<(), DecodeError> {
        let flags = self.bits.bytes()[2];
        let mut samples = Vec::with_capacity(usize::from(self.samples()));
        decode::<T>(self.bits.bytes(), usize::MAX, |t, sample| {
            samples.push((t, sample));
        })?;
        let mut wider: Option<Self> = None;
        for (t, mut sample) in samples {
            if !sample.is_stale() {
                sample.widen(positive, negative);
            }
            match &mut wider {
                None => wider = Some(Self::begin(t, sample, CutFlags::UNKNOWN)),
                Some(chunk) => chunk.write(t, sample),
            }
        }
        if let Some(mut chunk) = wider {
            chunk.bits.bytes_mut()[2] = flags;
            *self = chunk;
        }
        Ok(())
    }

    /// Appends a sample for which [`Self::fit`] said [`Fit::Fits`].
    pub(crate) fn append(&mut self, t: i64, mut sample: Flat<T>) {
        if !sample.is_stale() {
            sample.widen(&self.layout.positive, &self.layout.negative);
        }
        self.write(t, sample);
    }

    fn write(&mut self, t: i64, sample: Flat<T>) {
        let sample = if sample.is_stale() {
            Flat::stale()
        } else {
            sample
        };
        let stale = sample.is_stale();
        let count = self.samples();
        let out = &mut self.bits;
        if count == 0 {
            sample.layout.write(out);
            out.varbit_int(t);
            T::write_first_count(out, sample.count);
            T::write_first_count(out, sample.zero_count);
            out.write(sample.sum.to_bits(), 64);
            let field = |value: &T| Field::first(*value);
            for v in sample.positive.iter().chain(&sample.negative) {
                T::write_first_bucket(out, *v);
            }
            self.positive = sample.positive.iter().map(field).collect();
            self.negative = sample.negative.iter().map(field).collect();
            self.count = field(&sample.count);
            self.zero_count = field(&sample.zero_count);
            self.layout = sample.layout;
        } else {
            let delta = t.wrapping_sub(self.t);
            out.varbit_int(delta.wrapping_sub(self.t_delta));
            self.t_delta = delta;
            T::write_next(out, &mut self.count, sample.count, stale);
            T::write_next(out, &mut self.zero_count, sample.zero_count, stale);
            self.sum_window.write(out, self.sum, sample.sum);
            for (field, v) in self.positive.iter_mut().zip(&sample.positive) {
                T::write_next(out, field, *v, false);
            }
            for (field, v) in self.negative.iter_mut().zip(&sample.negative) {
                T::write_next(out, field, *v, false);
            }
        }
        self.t = t;
        self.sum = sample.sum;
        self.bits.bytes_mut()[..2].copy_from_slice(&(count + 1).to_be_bytes());
    }
}

/// The hint of a chunk's n-th sample (from 0). Only the first can follow a reset, but whether it does is not said
/// even where the header has it: the chunk before may be gone, or another may have come between (Prometheus'
/// `counterResetHint`).
fn hint(flags: u8, n: usize) -> CounterResetHint {
    match (flags, n) {
        (FLAG_GAUGE, _) => CounterResetHint::Gauge,
        (_, 1..) => CounterResetHint::NotReset,
        _ => CounterResetHint::Unknown,
    }
}

/// Calls `each` for the first `limit` samples of an encoded chunk.
pub(crate) fn decode<T: Number>(
    data: &[u8],
    limit: usize,
    mut each: impl FnMut(i64, Flat<T>),
) -> Result<(), DecodeError> {
    if data.len() < HEADER {
        return Err(DecodeError("chunk has no header"));
    }
    let total = usize::from(super::count(data)).min(limit);
    let flags = data[2] & FLAG_GAUGE;
    if total == 0 {
        return Ok(());
    }
    let mut bits = BitReader::new(&data[HEADER..]);
    let shared = Layout::read(&mut bits)?;
    let mut t = bits.varbit_int()?;
    let first = |bits: &mut BitReader<'_>, bucket: bool| -> Result<Field<T>, DecodeError> {
        let value = if bucket {
            T::read_first_bucket(bits)?
        } else {
            T::read_first_count(bits)?
        };
        Ok(Field::first(value))
    };
    let mut count = first(&mut bits, false)?;
    let mut zero_count = first(&mut bits, false)?;
    let mut sum = f64::from_bits(bits.read(64)?);
    let mut sum_window = XorWindow::default();
    let mut read_buckets = |spans: &[Span]| -> Result<Vec<Field<T>>, DecodeError> {
        (0..layout::bucket_count(spans))
            .map(|_| first(&mut bits, true))
            .collect()
    };
    let mut positive = read_buckets(&shared.positive)?;
    let mut negative = read_buckets(&shared.negative)?;
    let mut t_delta = 0i64;
    for n in 0..total {
        if n > 0 {
            t_delta = t_delta.wrapping_add(bits.varbit_int()?);
            t = t.wrapping_add(t_delta);
            T::read_next(&mut bits, &mut count)?;
            T::read_next(&mut bits, &mut zero_count)?;
            sum = sum_window.read(&mut bits, sum)?;
            if !is_stale_nan(sum) {
                for field in positive.iter_mut().chain(&mut negative) {
                    T::read_next(&mut bits, field)?;
                }
            }
        }
        if is_stale_nan(sum) {
            each(t, Flat::stale());
            continue;
        }
        each(
            t,
            Flat {
                hint: hint(flags, n),
                layout: shared.clone(),
                count: count.value,
                zero_count: zero_count.value,
                sum,
                positive: positive.iter().map(|f| f.value).collect(),
                negative: negative.iter().map(|f| f.value).collect(),
            },
        );
    }
    Ok(())
}

#[cfg(test)]
#[path = "histogram_tests.rs"]
mod tests;
