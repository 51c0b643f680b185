//! Reads a segment that may still grow.

use std::borrow::Cow;
use std::io::{self, Read as _};
use std::path::Path;

use bellwether_model::{FloatHistogram, Histogram, Labels, Metadata};

use crate::encoding::{DecodeError, crc32c};
use crate::files::Files;
use crate::wal::page::{Decompressor, FIRST, FULL, HEADER, LAST, MIDDLE, PAD, PAGE, TYPE_MASK};
use crate::wal::record::{self, Record};

/// A record's content contradicts the format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log record does not decode: {0}")]
pub struct RecordError(String);

impl From<DecodeError> for RecordError {
    fn from(error: DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// Names of series.
    Series,
    /// Float samples.
    Samples,
    /// Deleted ranges.
    Tombstones,
    /// Exemplars.
    Exemplars,
    /// Marks of the out-of-order log.
    MmapMarkers,
    /// Type, unit and help of series.
    Metadata,
    /// Native histograms.
    Histograms,
    /// Native histograms with float counts.
    FloatHistograms,
    /// Native histograms with custom bounds.
    CustomHistograms,
    /// The same with float counts.
    CustomFloatHistograms,
    /// A type of another writer.
    Unknown,
}

impl RecordKind {
    fn of(byte: u8) -> Self {
        match byte {
            record::SERIES => Self::Series,
            record::SAMPLES => Self::Samples,
            record::TOMBSTONES => Self::Tombstones,
            record::EXEMPLARS => Self::Exemplars,
            record::MMAP_MARKERS => Self::MmapMarkers,
            record::METADATA => Self::Metadata,
            record::HISTOGRAMS => Self::Histograms,
            record::FLOAT_HISTOGRAMS => Self::FloatHistograms,
            record::CUSTOM_HISTOGRAMS => Self::CustomHistograms,
            record::CUSTOM_FLOAT_HISTOGRAMS => Self::CustomFloatHistograms,
            _ => Self::Unknown,
        }
    }

    /// Prometheus' name of the type, as its metrics show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Series => "series",
            Self::Samples => "samples",
            Self::Tombstones => "tombstones",
            Self::Exemplars => "exemplars",
            Self::MmapMarkers => "mmapmarkers",
            Self::Metadata => "metadata",
            Self::Histograms => "histogram_samples",
            Self::FloatHistograms => "float_histogram_samples",
            Self::CustomHistograms => "custom_buckets_histogram_samples",
            Self::CustomFloatHistograms => "custom_buckets_float_histogram_samples",
            Self::Unknown => "unknown",
        }
    }
}

/// An exemplar in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExemplar {
    /// Reference of the series.
    pub series: u64,
    /// Milliseconds since the epoch.
    pub t: i64,
    /// Value.
    pub v: f64,
    /// Its own labels.
    pub labels: Labels,
}

/// A record, decoded on demand.
#[derive(Debug)]
pub struct LogRecord<'a> {
    bytes: Cow<'a, [u8]>,
    /// Where the record's own type byte is.
    start: usize,
    end: u64,
}

impl LogRecord<'_> {
    fn new(bytes: Cow<'_, [u8]>, end: u64) -> LogRecord<'_> {
        // Out-of-order samples stand in an envelope, which replay passes over.
        let start = usize::from(bytes.first() == Some(&record::LATE));
        LogRecord { bytes, start, end }
    }

    /// Where it ends in its segment, in bytes.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    fn content(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        let first = self.content().first();
        first.map_or(RecordKind::Unknown, |byte| RecordKind::of(*byte))
    }

    fn decode(&self) -> Result<Record, RecordError> {
        Ok(record::decode(self.content())?)
    }

    /// References and names of series; empty for other kinds.
    ///
    /// # Errors
    /// When the bytes contradict the format.
    pub fn series(&self) -> Result<Vec<(u64, Labels)>, RecordError> {
        match self.decode()? {
            Record::Series(all) => Ok(all),
            _ => Ok(Vec::new()),
        }
    }

    /// Calls `each` with reference, time and value of every float sample, in their order.
    ///
    /// # Errors
    /// When the bytes contradict the format; what is before the damage was handed out.
    pub fn samples(&self, each: impl FnMut(u64, i64, f64)) -> Result<(), RecordError> {
        Ok(record::each_sample(self.content(), each)?)
    }

    /// Reference, time and histogram; empty for other kinds.
    ///
    /// # Errors
    /// When the bytes contradict the format.
    pub fn histograms(&self) -> Result<Vec<(u64, i64, Histogram)>, RecordError> {
        match self.decode()? {
            Record::Histograms(all) => Ok(all),
            _ => Ok(Vec::new()),
        }
    }

    /// The same for histograms with float counts.
    ///
    /// # Errors
    /// When the bytes contradict the format.
    pub fn float_histograms(&self) -> Result<Vec<(u64, i64, FloatHistogram)>, RecordError> {
        match self.decode()? {
            Record::FloatHistograms(all) => Ok(all),
            _ => Ok(Vec::new()),
        }
    }

    /// Exemplars; empty for other kinds.
    ///
    /// # Errors
    /// When the bytes contradict the format.
    pub fn exemplars(&self) -> Result<Vec<LogExemplar>, RecordError> {
        let Record::Exemplars(all) = self.decode()? else {
            return Ok(Vec::new());
        };
        let own = all.into_iter().map(|e| LogExemplar {
            series: e.series,
            t: e.t,
            v: e.v,
            labels: e.labels,
        });
        Ok(own.collect())
    }

    /// References and metadata; empty for other kinds.
    ///
    /// # Errors
    /// When the bytes contradict the format.
    pub fn metadata(&self) -> Result<Vec<(u64, Metadata)>, RecordError> {
        match self.decode()? {
            Record::Metadata(all) => Ok(all),
            _ => Ok(Vec::new()),
        }
    }
}

/// What reading found next.
#[derive(Debug)]
pub enum LogItem<'a> {
    /// A whole record.
    Record(LogRecord<'a>),
    /// Bytes that are no record; reading goes on at the next page.
    Damaged(&'static str),
}

/// A reader of one segment; holds one page and one record at a time.
pub struct LogReader {
    file: Box<dyn io::Read + Send>,
    page: Vec<u8>,
    /// Position in the page; at or behind its end when more has to be read first.
    at: usize,
    /// Offset of the page in the file.
    page_offset: u64,
    /// End of the last record.
    good_end: u64,
    record: Vec<u8>,
    flags: u8,
    in_record: bool,
    /// After damage: fragments before the next first one are dropped.
    skipping: bool,
    decompressor: Decompressor,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader")
            .field("offset", &self.good_end)
            .finish_non_exhaustive()
    }
}

impl LogReader {
    pub(super) fn open(files: &dyn Files, path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: files.open(path)?,
            page: Vec::with_capacity(PAGE),
            at: 0,
            page_offset: 0,
            good_end: 0,
            record: Vec::new(),
            flags: 0,
            in_record: false,
            skipping: false,
            decompressor: Decompressor::default(),
        })
    }

    /// End of the last record that was handed out.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.good_end
    }

    /// Reads on in the page or in the next one, not beyond `limit`; false when there is nothing.
    fn fill(&mut self, limit: u64) -> io::Result<bool> {
        if self.page.len() == PAGE && self.at >= PAGE {
            self.page_offset += PAGE as u64;
            self.page.clear();
            self.at = 0;
        }
        let end = self.page_offset + self.page.len() as u64;
        let room = (PAGE - self.page.len()) as u64;
        let wanted = room.min(limit.saturating_sub(end));
        let before = self.page.len();
        (&mut self.file).take(wanted).read_to_end(&mut self.page)?;
        Ok(self.page.len() > before)
    }

    fn damage(&mut self, reason: &'static str) -> LogItem<'static> {
        self.skipping = true;
        self.in_record = false;
        self.record.clear();
        // The rest of the page, also what is not read yet.
        self.at = PAGE;
        LogItem::Damaged(reason)
    }

    /// The next record that ends at or before `limit`; `None` when there is none (yet). With `u64::MAX` the segment
    /// is read to its end.
    ///
    /// # Errors
    /// The system's error.
    pub fn next(&mut self, limit: u64) -> io::Result<Option<LogItem<'_>>> {
        loop {
            while self.at >= self.page.len() {
                if !self.fill(limit)? {
                    return Ok(None);
                }
            }
            let rest = &self.page[self.at..];
            if rest[0] & TYPE_MASK == PAD || (PAGE - self.at) < HEADER {
                // What the writer left of a page is zero, and nothing follows in it.
                self.at = PAGE;
                continue;
            }
            if rest.len() < HEADER {
                if self.fill(limit)? {
                    continue;
                }
                return Ok(None);
            }
            let kind = rest[0] & TYPE_MASK;
            let len = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
            let crc = u32::from_be_bytes([rest[3], rest[4], rest[5], rest[6]]);
            let flags = rest[0] & !TYPE_MASK;
            if self.at + HEADER + len > PAGE {
                return Ok(Some(self.damage("fragment is longer than its page")));
            }
            let Some(data) = rest.get(HEADER..HEADER + len) else {
                if self.fill(limit)? {
                    continue;
                }
                return Ok(None);
            };
            if crc32c(data) != crc {
                return Ok(Some(self.damage("checksum mismatch")));
            }
            match kind {
                FULL | FIRST => {
                    self.skipping = false;
                    self.record.clear();
                    self.flags = flags;
                }
                MIDDLE | LAST if self.in_record => {}
                MIDDLE | LAST if self.skipping => {
                    self.at += HEADER + len;
                    continue;
                }
                MIDDLE | LAST => return Ok(Some(self.damage("record has no beginning"))),
                _ => return Ok(Some(self.damage("unknown fragment type"))),
            }
            if self.in_record || kind == FULL || kind == FIRST {
                self.record.extend_from_slice(data);
            }
            self.at += HEADER + len;
            self.in_record = kind == FIRST || kind == MIDDLE;
            if !self.in_record {
                self.good_end = self.page_offset + self.at as u64;
                return match self.decompressor.decompress(self.flags, &self.record) {
                    Ok(bytes) => Ok(Some(LogItem::Record(LogRecord::new(bytes, self.good_end)))),
                    Err(e) => Ok(Some(LogItem::Damaged(e.0))),
                };
            }
        }
    }
}
