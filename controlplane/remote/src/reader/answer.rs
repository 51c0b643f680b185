//! Series out of an answer: samples in one snappy block, or frames of encoded chunks.
//!
//! Chunks stay encoded until somebody reads them.

use std::sync::Arc;

use bellwether_model::Labels;
use bellwether_model::storage::{SampleBuffer, Series, StorageError};
use bellwether_tsdb::read_chunk;
use bytes::{Buf as _, Bytes, BytesMut};

use crate::error::DecodeError;
use crate::request::{HistogramRecord, SampleRecord, TimeSeries};
use crate::wire::Cursor;

/// Largest answer in samples, compressed or not.
pub(super) const SAMPLES_BYTES_MAX: usize = 1 << 30;

/// Why an answer cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("error reading response: {0}")]
    Snappy(#[from] snap::Error),
    #[error("unable to unmarshal response body: {0}")]
    Decode(#[from] DecodeError),
    #[error("responses: want 1, got {0}")]
    Results(usize),
    #[error("response of {0} bytes is larger than the limit of {SAMPLES_BYTES_MAX} bytes")]
    TooLarge(usize),
    #[error("chunkedReader: message size exceeded the limit {limit} bytes; got: {size} bytes")]
    FrameSize { size: u64, limit: u64 },
    #[error("chunkedReader: corrupted frame; checksum mismatch")]
    Checksum,
    #[error("chunkedReader: the answer ends in the middle of a frame")]
    Unfinished,
}

/// A series of an answer.
pub(super) struct RemoteSeries {
    labels: Labels,
    data: Data,
}

enum Data {
    Samples {
        floats: Vec<SampleRecord>,
        histograms: Vec<HistogramRecord>,
    },
    /// Encoding and bytes, by rising time.
    Chunks(Vec<(u8, Bytes)>),
}

impl Series for RemoteSeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        match &self.data {
            Data::Chunks(chunks) => {
                // What is in the buffer already is of another part of the series.
                let base = out.len();
                for (encoding, data) in chunks {
                    // Of a sample that two chunks have, the first one's counts.
                    let last = out.timestamps[base..].last();
                    let from = last.map_or(mint, |t| t.saturating_add(1).max(mint));
                    read_chunk(*encoding, data, (from, maxt), out)?;
                }
            }
            Data::Samples { floats, histograms } => {
                let mut floats = floats.iter().peekable();
                let mut push_floats = |before: i64, out: &mut SampleBuffer| {
                    while let Some(s) = floats.next_if(|s| s.t < before) {
                        if (mint..=maxt).contains(&s.t) {
                            out.push_float(s.t, s.v);
                        }
                    }
                };
                for record in histograms {
                    let (t, h) = match record {
                        HistogramRecord::Integer(t, h) => (*t, h.to_float()),
                        HistogramRecord::Float(t, h) => (*t, (**h).clone()),
                    };
                    push_floats(t, out);
                    if (mint..=maxt).contains(&t) {
                        out.push_histogram(t, Arc::new(h));
                    }
                }
                push_floats(i64::MAX, out);
            }
        }
        Ok(())
    }
}

/// Labels without some names.
fn labels(pairs: &[(&str, &str)], without: &[String]) -> Labels {
    let kept = pairs
        .iter()
        .filter(|(name, _)| !without.iter().any(|w| w == name));
    Labels::from_pairs(kept.copied())
}

/// Sorted by labels; of equal ones (two remote series may differ in a label that was taken off) one follows the other.
fn sorted(mut all: Vec<RemoteSeries>) -> Vec<Arc<dyn Series>> {
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all.into_iter()
        .map(|series| Arc::new(series) as _)
        .collect()
}

/// The series of an answer in samples.
pub(super) fn samples(
    body: &[u8],
    without: &[String],
) -> Result<Vec<Arc<dyn Series>>, AnswerError> {
    let size = snap::raw::decompress_len(body)?;
    if size > SAMPLES_BYTES_MAX {
        return Err(AnswerError::TooLarge(size));
    }
    let message = snap::raw::Decoder::new().decompress_vec(body)?;
    let mut cursor = Cursor::new("ReadResponse", &message);
    let (mut results, mut all) = (0, Vec::new());
    while let Some(field) = cursor.next()? {
        if field.number == 1 {
            results += 1;
            let mut result = field.message("QueryResult")?;
            while let Some(field) = result.next()? {
                if field.number == 1 {
                    let mut series = TimeSeries::default();
                    series.read(field.message("TimeSeries")?)?;
                    all.push(RemoteSeries {
                        labels: labels(&series.labels, without),
                        data: Data::Samples {
                            floats: series.samples,
                            histograms: series.histograms,
                        },
                    });
                }
            }
        }
    }
    if results != 1 {
        return Err(AnswerError::Results(results));
    }
    Ok(sorted(all))
}

/// Collects the frames of a streamed answer as they come.
pub(super) struct Frames<'w> {
    buffer: BytesMut,
    frame_bytes_max: u64,
    without: &'w [String],
    all: Vec<RemoteSeries>,
}

/// Bytes of a checksum.
const CHECKSUM: usize = 4;
/// Most bytes of a length.
const LENGTH_MAX: usize = 10;

impl<'w> Frames<'w> {
    pub(super) fn new(frame_bytes_max: u64, without: &'w [String]) -> Self {
        Self {
            buffer: BytesMut::new(),
            frame_bytes_max,
            without,
            all: Vec::new(),
        }
    }

    /// Takes bytes of the answer.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        self.buffer.extend_from_slice(bytes);
        while let Some((size, header)) = self.length()? {
            if size > self.frame_bytes_max {
                let limit = self.frame_bytes_max;
                return Err(AnswerError::FrameSize { size, limit });
            }
            // Below the limit, which is one of memory.
            let size = size as usize;
            if self.buffer.len() < header + CHECKSUM + size {
                break;
            }
            self.buffer.advance(header);
            let sum = self.buffer.get_u32();
            let frame = self.buffer.split_to(size).freeze();
            if crc_fast::crc32_iscsi(&frame) != u64::from(sum) as u32 {
                return Err(AnswerError::Checksum);
            }
            self.frame(&frame)?;
        }
        Ok(())
    }

    /// Length of the next frame and of that length, if there is enough of it.
    fn length(&self) -> Result<Option<(u64, usize)>, AnswerError> {
        let mut size = 0u64;
        for (n, byte) in self.buffer.iter().enumerate().take(LENGTH_MAX) {
            size |= u64::from(byte & 0x7f) << (7 * n).min(63);
            if byte & 0x80 == 0 {
                return Ok(Some((size, n + 1)));
            }
        }
        match self.buffer.len() {
            0..LENGTH_MAX => Ok(None),
            _ => Err(AnswerError::FrameSize {
                size: u64::MAX,
                limit: self.frame_bytes_max,
            }),
        }
    }

    /// `ChunkedReadResponse`: series 1 of labels 1 and chunks 2, each of encoding 3 and data 4.
    fn frame(&mut self, frame: &Bytes) -> Result<(), AnswerError> {
        let mut cursor = Cursor::new("ChunkedReadResponse", frame);
        while let Some(field) = cursor.next()? {
            if field.number != 1 {
                continue;
            }
            let mut series = field.message("ChunkedSeries")?;
            let (mut pairs, mut chunks) = (Vec::new(), Vec::new());
            while let Some(field) = series.next()? {
                match field.number {
                    1 => pairs.push(crate::request::label(&field)?),
                    2 => {
                        let (mut encoding, mut data) = (0, &[][..]);
                        let mut chunk = field.message("Chunk")?;
                        while let Some(field) = chunk.next()? {
                            match field.number {
                                3 => encoding = field.uint()?,
                                4 => data = field.bytes()?,
                                _ => {}
                            }
                        }
                        // Numbers that no encoding has stay such numbers.
                        let encoding = u8::try_from(encoding).unwrap_or(u8::MAX);
                        chunks.push((encoding, frame.slice_ref(data)));
                    }
                    _ => {}
                }
            }
            self.add(labels(&pairs, self.without), chunks);
        }
        Ok(())
    }

    /// A series whose chunks are larger than a frame goes on in the next one.
    fn add(&mut self, labels: Labels, chunks: Vec<(u8, Bytes)>) {
        if let Some(last) = self.all.last_mut()
            && last.labels == labels
            && let Data::Chunks(have) = &mut last.data
        {
            have.extend(chunks);
            return;
        }
        let data = Data::Chunks(chunks);
        self.all.push(RemoteSeries { labels, data });
    }

    /// The series at the end of the answer.
    pub(super) fn finish(self) -> Result<Vec<Arc<dyn Series>>, AnswerError> {
        if !self.buffer.is_empty() {
            return Err(AnswerError::Unfinished);
        }
        Ok(sorted(self.all))
    }
}
