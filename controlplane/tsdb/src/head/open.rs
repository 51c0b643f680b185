//! The chunk of a series that takes samples: of floats or of one kind of histogram.

use std::sync::Arc;

use bellwether_model::storage::SampleBuffer;

use crate::block::write::Sample;
use crate::chunk::histogram::{Flat, HistogramAppender, Number};
use crate::chunk::xor::XorAppender;
use crate::chunk::{self, ENC_FLOAT_HISTOGRAM, ENC_HISTOGRAM, ENC_XOR};
use crate::encoding::DecodeError;

/// The chunk that takes samples.
#[derive(Debug)]
pub(crate) enum Open {
    /// Floats; an empty one between chunks.
    Float(XorAppender),
    Histogram(Box<HistogramAppender<i64>>),
    FloatHistogram(Box<HistogramAppender<f64>>),
}

impl Open {
    /// A copy of the encoded chunk.
    pub(super) fn to_chunk(&self) -> Arc<[u8]> {
        match self {
            Self::Float(c) => c.to_chunk(),
            Self::Histogram(c) => c.bytes().into(),
            Self::FloatHistogram(c) => c.bytes().into(),
        }
    }

    pub(super) fn encoding(&self) -> u8 {
        match self {
            Self::Float(_) => ENC_XOR,
            Self::Histogram(_) => ENC_HISTOGRAM,
            Self::FloatHistogram(_) => ENC_FLOAT_HISTOGRAM,
        }
    }

    pub(super) fn samples(&self) -> u16 {
        match self {
            Self::Float(c) => c.count(),
            Self::Histogram(c) => c.samples(),
            Self::FloatHistogram(c) => c.samples(),
        }
    }

    /// Appends those of the first `limit` samples that lie in `mint..=maxt`.
    pub(super) fn read_into(
        &self,
        limit: usize,
        mint: i64,
        maxt: i64,
        out: &mut SampleBuffer,
    ) -> Result<(), DecodeError> {
        let bytes = match self {
            Self::Float(c) => return c.read_into(limit, mint, maxt, out),
            Self::Histogram(c) => c.bytes(),
            Self::FloatHistogram(c) => c.bytes(),
        };
        chunk::read_into(self.encoding(), bytes, limit, mint, maxt, out)
    }
}

/// Where an open chunk holds a kind of histogram.
pub(crate) trait OpenHistogram: Number {
    fn of(open: &mut Open) -> Option<&mut HistogramAppender<Self>>;
    fn of_ref(open: &Open) -> Option<&HistogramAppender<Self>>;
    fn of_sample(sample: Sample) -> Option<Flat<Self>>;
    fn open(chunk: HistogramAppender<Self>) -> Open;
}

impl OpenHistogram for i64 {
    fn of(open: &mut Open) -> Option<&mut HistogramAppender<Self>> {
        match open {
            Open::Histogram(c) => Some(c),
            Open::Float(_) | Open::FloatHistogram(_) => None,
        }
    }
    fn of_ref(open: &Open) -> Option<&HistogramAppender<Self>> {
        match open {
            Open::Histogram(c) => Some(c),
            Open::Float(_) | Open::FloatHistogram(_) => None,
        }
    }
    fn of_sample(sample: Sample) -> Option<Flat<Self>> {
        match sample {
            Sample::Histogram(h) => Some(*h),
            _ => None,
        }
    }
    fn open(chunk: HistogramAppender<Self>) -> Open {
        Open::Histogram(Box::new(chunk))
    }
}

impl OpenHistogram for f64 {
    fn of(open: &mut Open) -> Option<&mut HistogramAppender<Self>> {
        match open {
            Open::FloatHistogram(c) => Some(c),
            Open::Float(_) | Open::Histogram(_) => None,
        }
    }
    fn of_ref(open: &Open) -> Option<&HistogramAppender<Self>> {
        match open {
            Open::FloatHistogram(c) => Some(c),
            Open::Float(_) | Open::Histogram(_) => None,
        }
    }
    fn of_sample(sample: Sample) -> Option<Flat<Self>> {
        match sample {
            Sample::FloatHistogram(h) => Some(*h),
            _ => None,
        }
    }
    fn open(chunk: HistogramAppender<Self>) -> Open {
        Open::FloatHistogram(Box::new(chunk))
    }
}
