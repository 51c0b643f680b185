//! Remote read: the request, and the two forms of its answer.
//!
//! A `prometheus.ReadRequest` is a snappy block. It is answered with samples (one snappy block with everything, see
//! [`SamplesResponse`]) or with a stream of frames that hold encoded chunks ([`FrameWriter`]), whichever the request
//! names first. Sources: `prompb/remote.proto`, `storage/remote/{codec,chunked,read_handler}.go` of Prometheus 3.14.

use bellwether_model::{Labels, MatchOp, Matcher};

use crate::encode::{push_histogram, push_label};
use crate::error::DecodeError;
use crate::request::HistogramRecord;
use crate::wire::{Cursor, Writer};

/// Largest request, before and after decompression, as in Prometheus.
pub const READ_REQUEST_BYTES_MAX: usize = 32 << 20;

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The body is not a snappy block.
    #[error("snappy: corrupt input")]
    Snappy(#[source] snap::Error),
    /// The body would be too large uncompressed.
    #[error("snappy: decoded length {size} exceeds limit {limit}")]
    TooLarge {
        /// By the block's header.
        size: usize,
        /// [`READ_REQUEST_BYTES_MAX`].
        limit: usize,
    },
    /// The message does not decode.
    #[error("proto: {0}")]
    Decode(#[from] DecodeError),
    /// None of the response types is known.
    #[error(
        "server does not support any of the requested response types: [{0}]; supported: map[SAMPLES:{{}} STREAMED_XOR_CHUNKS:{{}}]"
    )]
    ResponseType(String),
    /// A matcher of an unknown type, or with a pattern that does not compile.
    #[error("{0}")]
    Matcher(String),
    /// A query matched more samples than one answer may hold.
    #[error("exceeded sample limit ({0})")]
    SampleLimit(usize),
}

impl ReadError {
    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Matcher(_) => 500,
            _ => 400,
        }
    }
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseType {
    /// Samples, snappy compressed as a whole.
    Samples,
    /// Frames of encoded chunks.
    Chunks,
}

/// A request.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// Its queries; answers refer to them by index.
    pub queries: Vec<ReadQuery>,
    /// The form of the answer.
    pub response: ResponseType,
}

/// One query.
#[derive(Clone, Debug)]
pub struct ReadQuery {
    /// First time in milliseconds.
    pub start_ms: i64,
    /// Last time in milliseconds.
    pub end_ms: i64,
    /// What the series must match.
    pub matchers: Vec<Matcher>,
    /// Only the labels are wanted (the hint of the function `series`).
    pub labels_only: bool,
}

impl ReadRequest {
    /// Reads a request as it comes: a snappy block. The external labels are not in storage, so a matcher that asks
    /// for one of them becomes one that the label be missing.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn decode(body: &[u8], external: &Labels) -> Result<Self, ReadError> {
        let size = snap::raw::decompress_len(body).map_err(ReadError::Snappy)?;
        let limit = READ_REQUEST_BYTES_MAX;
        if size > limit {
            return Err(ReadError::TooLarge { size, limit });
        }
        let message = snap::raw::Decoder::new()
            .decompress_vec(body)
            .map_err(ReadError::Snappy)?;
        let mut cursor = Cursor::new("ReadRequest", &message);
        let mut queries = Vec::new();
        let mut accepted = Vec::new();
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => queries.push(RawQuery::read(field.message("Query")?)?),
                2 => field.push_uints(&mut accepted)?,
                _ => {}
            }
        }
        let response = negotiate(&accepted)?;
        let queries = queries.into_iter().map(|q| q.check(external));
        Ok(Self {
            queries: queries.collect::<Result<_, _>>()?,
            response,
        })
    }
}

/// The first response type that is known; samples when none is named.
fn negotiate(accepted: &[u64]) -> Result<ResponseType, ReadError> {
    let known = |number: &u64| match number {
        0 => Some(ResponseType::Samples),
        1 => Some(ResponseType::Chunks),
        _ => None,
    };
    if accepted.is_empty() {
        return Ok(ResponseType::Samples);
    }
    accepted.iter().find_map(known).ok_or_else(|| {
        let numbers: Vec<String> = accepted.iter().map(|n| (*n as i32).to_string()).collect();
        ReadError::ResponseType(numbers.join(" "))
    })
}

/// A query before its matchers are compiled: errors of the message come before those of its content.
struct RawQuery<'a> {
    range: (i64, i64),
    hinted: Option<(i64, i64)>,
    labels_only: bool,
    /// Type, name, value.
    matchers: Vec<(u64, &'a str, &'a str)>,
}

impl<'a> RawQuery<'a> {
    /// `Query`: start 1, end 2, matchers 3, hints 4.
    fn read(mut cursor: Cursor<'a>) -> Result<Self, DecodeError> {
        let mut query = Self {
            range: (0, 0),
            hinted: None,
            labels_only: false,
            matchers: Vec::new(),
        };
        while let Some(field) = cursor.next()? {
            match field.number {
                1 => query.range.0 = field.int()?,
                2 => query.range.1 = field.int()?,
                3 => query
                    .matchers
                    .push(matcher(field.message("LabelMatcher")?)?),
                4 => query.hints(field.message("ReadHints")?)?,
                _ => {}
            }
        }
        Ok(query)
    }

    /// `ReadHints`: function 2, start 3, end 4; the rest changes nothing here.
    fn hints(&mut self, mut cursor: Cursor<'a>) -> Result<(), DecodeError> {
        let mut hinted = (0, 0);
        while let Some(field) = cursor.next()? {
            match field.number {
                2 => self.labels_only = field.text("hint")? == "series",
                3 => hinted.0 = field.int()?,
                4 => hinted.1 = field.int()?,
                _ => {}
            }
        }
        self.hinted = Some(hinted);
        Ok(())
    }

    fn check(self, external: &Labels) -> Result<ReadQuery, ReadError> {
        let mut matchers = Vec::with_capacity(self.matchers.len());
        for (number, name, value) in self.matchers {
            let op = match number {
                0 => MatchOp::Equal,
                1 => MatchOp::NotEqual,
                2 => MatchOp::Regex,
                3 => MatchOp::NotRegex,
                _ => return Err(ReadError::Matcher("invalid matcher type".to_owned())),
            };
            let is_external = op == MatchOp::Equal && external.value(name) == value;
            let value = if is_external { "" } else { value };
            let matcher = Matcher::new(op, name, value);
            matchers.push(matcher.map_err(|e| ReadError::Matcher(e.to_string()))?);
        }
        // As Prometheus' storage: the hinted range replaces that of the query.
        let (start_ms, end_ms) = self.hinted.unwrap_or(self.range);
        Ok(ReadQuery {
            start_ms,
            end_ms,
            matchers,
            labels_only: self.labels_only,
        })
    }
}

/// `LabelMatcher`: type 1, name 2, value 3.
fn matcher(mut cursor: Cursor<'_>) -> Result<(u64, &str, &str), DecodeError> {
    let (mut kind, mut name, mut value) = (0, "", "");
    while let Some(field) = cursor.next()? {
        match field.number {
            1 => kind = field.uint()?,
            2 => name = field.text("label name")?,
            3 => value = field.text("label value")?,
            _ => {}
        }
    }
    Ok((kind, name, value))
}

/// Labels with the external ones added where there is none of the name.
fn with_external<'a>(labels: &'a Labels, external: &'a Labels) -> Vec<(&'a str, &'a str)> {
    let own = labels.iter().map(|l| (l.name, l.value));
    let added = external.iter().filter(|l| labels.get(l.name).is_none());
    let mut all: Vec<_> = own.chain(added.map(|l| (l.name, l.value))).collect();
    all.sort_unstable();
    all
}

/// An answer in samples, built query by query.
#[derive(Debug)]
pub struct SamplesResponse<'e> {
    external: &'e Labels,
    /// Most samples of a query; 0 is no limit.
    samples_max: usize,
    writer: Writer,
    query: Writer,
    samples: usize,
}

impl<'e> SamplesResponse<'e> {
    /// An empty answer. `external` is added to all series.
    #[must_use]
    pub fn new(external: &'e Labels, samples_max: usize) -> Self {
        Self {
            external,
            samples_max,
            writer: Writer::default(),
            query: Writer::default(),
            samples: 0,
        }
    }

    /// Adds a series to the present query.
    ///
    /// # Errors
    /// [`ReadError::SampleLimit`].
    pub fn series(
        &mut self,
        labels: &Labels,
        floats: &[(i64, f64)],
        histograms: &[HistogramRecord],
    ) -> Result<(), ReadError> {
        self.samples += floats.len() + histograms.len();
        if self.samples_max > 0 && self.samples > self.samples_max {
            return Err(ReadError::SampleLimit(self.samples_max));
        }
        self.query.message(1, |w| {
            for (name, value) in with_external(labels, self.external) {
                push_label(w, name, value);
            }
            for (t, v) in floats {
                w.message(2, |w| {
                    w.double(1, *v);
                    w.int(2, *t);
                });
            }
            for histogram in histograms {
                w.message(4, |w| push_histogram(w, histogram));
            }
        });
        Ok(())
    }

    /// Ends the present query; the next series belong to the next one.
    pub fn end_query(&mut self) {
        let query = std::mem::take(&mut self.query);
        self.writer.bytes(1, &query.0);
        self.samples = 0;
    }

    /// The body of the answer: a snappy block.
    ///
    /// # Errors
    /// When the answer is larger than snappy's 4 GiB.
    pub fn finish(self) -> Result<Vec<u8>, ReadError> {
        snap::raw::Encoder::new()
            .compress_vec(&self.writer.0)
            .map_err(ReadError::Snappy)
    }
}

/// An encoded chunk on its way.
#[derive(Clone, Copy, Debug)]
pub struct ChunkRecord<'a> {
    /// First time in milliseconds.
    pub mint: i64,
    /// Last time in milliseconds.
    pub maxt: i64,
    /// 1 XOR, 2 histograms, 3 float histograms.
    pub encoding: u8,
    /// The bytes.
    pub data: &'a [u8],
}

/// Makes frames of series: each the length of the message (varint), its CRC-32C (big-endian) and the message, a
/// `prometheus.ChunkedReadResponse` with one series. A series whose chunks are larger than a frame goes on in the
/// next one.
#[derive(Debug)]
pub struct FrameWriter<'e> {
    external: &'e Labels,
    bytes_max: usize,
}

impl<'e> FrameWriter<'e> {
    /// A writer of frames of about `bytes_max` bytes: one may pass it by a chunk. `external` is added to all series.
    #[must_use]
    pub fn new(external: &'e Labels, bytes_max: usize) -> Self {
        Self {
            external,
            bytes_max,
        }
    }

    /// Appends the frames of a series; none without chunks.
    pub fn series(
        &self,
        query: usize,
        labels: &Labels,
        chunks: &[ChunkRecord<'_>],
        out: &mut Vec<u8>,
    ) {
        let mut head = Writer::default();
        let mut room = self.bytes_max as i64;
        for (name, value) in with_external(labels, self.external) {
            let before = head.0.len();
            push_label(&mut head, name, value);
            // Prometheus counts the labels without their keys and lengths.
            room -= (head.0.len() - before) as i64 - 2;
        }
        let mut frame = head.0.clone();
        let mut left = room;
        for (i, chunk) in chunks.iter().enumerate() {
            let mut encoded = Writer::default();
            encoded.int(1, chunk.mint);
            encoded.int(2, chunk.maxt);
            encoded.uint(3, u64::from(chunk.encoding));
            encoded.bytes(4, chunk.data);
            left -= encoded.0.len() as i64;
            let mut series = Writer(frame);
            series.bytes(2, &encoded.0);
            frame = series.0;
            if left <= 0 || i + 1 == chunks.len() {
                self.push_frame(query, &frame, out);
                frame.clone_from(&head.0);
                left = room;
            }
        }
    }

    fn push_frame(&self, query: usize, series: &[u8], out: &mut Vec<u8>) {
        let mut message = Writer::default();
        message.bytes(1, series);
        message.uint(2, query as u64);
        let mut frame = Writer(std::mem::take(out));
        frame.varint(message.0.len() as u64);
        let crc = crc_fast::crc32_iscsi(&message.0);
        frame.0.extend_from_slice(&crc.to_be_bytes());
        frame.0.extend_from_slice(&message.0);
        *out = frame.0;
    }
}
