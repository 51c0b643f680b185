//! The storage seams.
//!
//! | seam | implemented by | called by |
//! |---|---|---|
//! | [`Queryable`], [`Querier`], [`Series`] | tsdb, remote read, test storage; later archive | promql, server, rules |
//! | [`Appendable`], [`Appender`] | tsdb (database and agent), test sinks | scrape, remote, rules |
//!
//! Reading is whole-range: a caller selects series once and decodes each into a reused columnar
//! [`SampleBuffer`], so that every chunk is decoded once per query whatever the number of steps.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::exemplar::Exemplar;
use crate::float::shortest_g;
use crate::histogram::{FloatHistogram, Histogram};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::metadata::Metadata;

/// Identifies a series inside one storage until the process ends; 0 is never a valid reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesRef(pub u64);

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A chunk, index or segment does not decode.
    #[error("corrupt data in {place}: {reason}")]
    Corrupt {
        /// File and offset, or chunk reference.
        place: String,
        /// What was found.
        reason: String,
    },
    /// The operating system refused.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, with the path.
        context: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// The query was cancelled.
    #[error("query was cancelled")]
    Cancelled,
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

/// A float for a time that has another sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DuplicateFloat {
    /// Milliseconds since the epoch.
    pub t: i64,
    /// The sample that is there, `None` for a histogram.
    pub existing: Option<f64>,
    /// The one that was refused.
    pub new: f64,
}

impl fmt::Display for DuplicateFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Prometheus takes this time for none.
        if self.t == 0 {
            return Ok(());
        }
        write!(f, " {}; overrides not allowed: existing ", self.t)?;
        match self.existing {
            Some(existing) => f.write_str(&shortest_g(existing))?,
            None => f.write_str("is a histogram")?,
        }
        write!(f, ", new value {}", shortest_g(self.new))
    }
}

/// Why a sample was not taken. Texts are Prometheus'.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The reference is not (or no longer) known: resolve the labels again.
    #[error("unknown series reference")]
    UnknownSeries,
    /// Older than the series' newest sample.
    #[error("out of order sample")]
    OutOfOrder,
    /// Same time as the newest sample, other value. Of floats, it is known what they are.
    #[error("duplicate sample for timestamp{}", .0.map(|d| d.to_string()).unwrap_or_default())]
    DuplicateTimestamp(Option<DuplicateFloat>),
    /// Older than the storage takes.
    #[error("out of bounds")]
    OutOfBounds,
    /// Older than the out-of-order window.
    #[error("too old sample")]
    TooOld,
    /// Exemplar older than the newest one.
    #[error("out of order exemplar")]
    OutOfOrderExemplar,
    /// The same exemplar again.
    #[error("duplicate exemplar")]
    DuplicateExemplar,
    /// A label set that storage refuses (empty, duplicate names, empty name, no metric).
    #[error("invalid label set: {0}")]
    InvalidLabels(String),
    /// A native histogram that contradicts itself.
    #[error("invalid histogram: {0}")]
    InvalidHistogram(String),
    /// A configured limit was reached.
    #[error("{0}")]
    Limit(String),
    /// The write-ahead log could not take the transaction; nothing of it is stored.
    #[error("write-ahead log: {0}")]
    Wal(String),
}

/// Columnar samples of one series in time order; reuse one buffer for many series.
#[derive(Clone, Debug, Default)]
pub struct SampleBuffer {
    /// Milliseconds since the epoch, strictly ascending.
    pub timestamps: Vec<i64>,
    /// Float values, one per timestamp (0 where the sample is a histogram). Stale markers are included.
    pub values: Vec<f64>,
    /// Empty for a series of floats only; else one entry per timestamp, `Some` where the sample is a histogram.
    pub histograms: Vec<Option<Arc<FloatHistogram>>>,
    /// When each sample's counter began, in milliseconds since the epoch, 0 where unknown. May be shorter than
    /// `timestamps`: what is missing is unknown. Empty for storages that do not keep start timestamps.
    pub start_timestamps: Vec<i64>,
}

impl SampleBuffer {
    /// Forgets the samples and keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.histograms.clear();
        self.start_timestamps.clear();
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Adds a float sample; the caller keeps time order.
    #[inline]
    pub fn push_float(&mut self, t: i64, v: f64) {
        self.timestamps.push(t);
        self.values.push(v);
        if !self.histograms.is_empty() {
            self.histograms.push(None);
        }
    }

    /// Adds a histogram sample; the caller keeps time order.
    pub fn push_histogram(&mut self, t: i64, h: Arc<FloatHistogram>) {
        // The first histogram of the series: fill up for the floats before it.
        self.histograms.resize(self.timestamps.len(), None);
        self.timestamps.push(t);
        self.values.push(0.0);
        self.histograms.push(Some(h));
    }

    /// Sets the start timestamp of the sample added last.
    pub fn set_start_timestamp(&mut self, start: i64) {
        self.start_timestamps.resize(self.timestamps.len(), 0);
        if let Some(last) = self.start_timestamps.last_mut() {
            *last = start;
        }
    }

    /// The start timestamp at an index, 0 when it is not known.
    #[must_use]
    pub fn start_timestamp(&self, index: usize) -> i64 {
        self.start_timestamps.get(index).copied().unwrap_or(0)
    }

    /// The histogram at an index, `None` for a float sample.
    #[must_use]
    pub fn histogram(&self, index: usize) -> Option<&Arc<FloatHistogram>> {
        self.histograms.get(index).and_then(Option::as_ref)
    }
}

/// Series one after the other, see [`Querier::stream`].
pub type SeriesStream<'a> =
    Box<dyn Iterator<Item = Result<Arc<dyn Series>, StorageError>> + Send + 'a>;

/// What [`Querier::scan`] is to read.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// As for [`Querier::select`].
    pub matchers: &'a [Matcher],
    /// Oldest time in milliseconds, inclusive.
    pub mint: i64,
    /// Newest time in milliseconds, inclusive.
    pub maxt: i64,
    /// The labels that the caller looks at, besides the metric name. Others may be missing where no series of the
    /// storage has a type or a unit among its labels. `None` wants them all.
    pub labels: Option<&'a [String]>,
}

/// Takes a series' labels and samples, which it may change or keep. False ends the scan.
pub type SeriesVisitor<'a> = dyn FnMut(&Labels, &mut SampleBuffer) -> bool + 'a;

/// [`Querier::scan`] of a storage that has no shorter way.
///
/// # Errors
/// On unreadable data.
pub fn scan_stream(
    stream: SeriesStream<'_>,
    scan: &Scan<'_>,
    visit: &mut SeriesVisitor<'_>,
) -> Result<(), StorageError> {
    let mut samples = SampleBuffer::default();
    for series in stream {
        let series = series?;
        samples.clear();
        series.read(scan.mint, scan.maxt, &mut samples)?;
        if !visit(series.labels(), &mut samples) {
            break;
        }
    }
    Ok(())
}

/// [`Series::read_group`] of a storage that has no shorter way, or none for this group.
///
/// # Errors
/// On unreadable chunks; then the buffers hold anything.
pub fn read_each(
    group: &[Arc<dyn Series>],
    mint: i64,
    maxt: i64,
    out: &mut [SampleBuffer],
) -> Result<(), StorageError> {
    let mut series = group.iter().zip(out);
    series.try_for_each(|(series, out)| series.read(mint, maxt, out))
}

/// A point in time view of a storage's readable part.
pub trait Queryable: Send + Sync {
    /// A querier over `mint..=maxt` (milliseconds, inclusive). It sees only whole transactions.
    ///
    /// # Errors
    /// When blocks in the range cannot be opened.
    fn querier(&self, mint: i64, maxt: i64) -> Result<Box<dyn Querier>, StorageError>;
}

/// Selects series and labels within the querier's time range.
pub trait Querier: Send + Sync {
    /// The series that match all matchers and may have samples in the range, sorted by labels when
    /// `sorted` is set, in any order otherwise. At least one matcher must not match the empty string;
    /// callers check that.
    ///
    /// # Errors
    /// On unreadable data.
    fn select(
        &self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, StorageError>;

    /// As [`Querier::select`], but each series is made when it is asked for: whoever drops them one by one needs
    /// memory for one only.
    ///
    /// # Errors
    /// On unreadable data, also later from the stream.
    fn stream<'a>(
        &'a self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<SeriesStream<'a>, StorageError> {
        Ok(Box::new(self.select(sorted, matchers)?.into_iter().map(Ok)))
    }

    /// Hands over the series that match, one after the other in any order, each with its samples in time order, stale
    /// markers included. A series may have none. Costs less than [`Querier::stream`] where each is read once and the
    /// same labels serve many series.
    ///
    /// # Errors
    /// On unreadable data.
    fn scan(&self, scan: &Scan<'_>, visit: &mut SeriesVisitor<'_>) -> Result<(), StorageError> {
        scan_stream(self.stream(false, scan.matchers)?, scan, visit)
    }

    /// Whether [`Querier::scan`] is a shorter way than [`Querier::stream`].
    fn has_scan(&self) -> bool {
        false
    }

    /// Sorted label names of the matching series (of all series without matchers).
    ///
    /// # Errors
    /// On unreadable data.
    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>, StorageError>;

    /// Sorted values of a label among the matching series (of all series without matchers).
    ///
    /// # Errors
    /// On unreadable data.
    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, StorageError>;

    /// What could not be read so far and is left out of the results, in words: parts of the storage may fail without
    /// failing the query.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// One selected series.
pub trait Series: Send + Sync {
    /// Its labels.
    fn labels(&self) -> &Labels;

    /// Appends all samples with `mint <= t <= maxt` to `out` in time order, stale markers included.
    /// The caller clears `out` beforehand.
    ///
    /// # Errors
    /// On unreadable chunks.
    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError>;

    /// Reads several series of one querier, the first of which is this one, as [`Series::read`] would, each into an
    /// empty buffer of its own. For storages that read several faster together than one after the other.
    ///
    /// # Errors
    /// On unreadable chunks; then the buffers hold anything.
    fn read_group(
        &self,
        group: &[Arc<dyn Series>],
        mint: i64,
        maxt: i64,
        out: &mut [SampleBuffer],
    ) -> Result<(), StorageError> {
        read_each(group, mint, maxt, out)
    }

    /// The series itself for the storage that it comes from, to know its own among others.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

/// The zero of a sample's kind, see [`Appender::append_start`].
#[derive(Clone, Copy, Debug)]
pub enum Zero<'h> {
    /// Of a float.
    Float,
    /// With the buckets of this histogram.
    Histogram(&'h Histogram),
    /// With the buckets of this histogram.
    FloatHistogram(&'h FloatHistogram),
}

/// Opens write transactions.
pub trait Appendable: Send + Sync {
    /// Starts a transaction. Dropping it without [`Appender::commit`] rolls it back.
    fn appender(&self) -> Box<dyn Appender + '_>;
}

/// A write transaction. Samples become visible and durable together at commit.
pub trait Appender: Send {
    /// Finds or creates the series of a label set. Known series need no allocation.
    ///
    /// # Errors
    /// [`AppendError::InvalidLabels`] or [`AppendError::Limit`].
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError>;

    /// Whether the storage still has a series; if so, it keeps it until the transaction ends. A storage that
    /// cannot say so cheaply says no, and is then asked for [`Appender::series`].
    fn has(&mut self, series: SeriesRef) -> bool {
        let _ = series;
        false
    }

    /// Adds a float sample to the transaction. An error concerns this sample only; the transaction goes on.
    ///
    /// # Errors
    /// Order, bounds, duplicates, [`AppendError::UnknownSeries`].
    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError>;

    /// Adds an integer native histogram.
    ///
    /// # Errors
    /// As [`Appender::append`], and [`AppendError::InvalidHistogram`].
    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: Histogram,
    ) -> Result<(), AppendError>;

    /// Adds a float native histogram.
    ///
    /// # Errors
    /// As [`Appender::append_histogram`].
    fn append_float_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: FloatHistogram,
    ) -> Result<(), AppendError>;

    /// Adds the zero that a counter was at its start, ahead of the sample at `t` that says so. Left out where the series
    /// has samples since, where the start is not before the sample, or is too old: a counter tells its start with
    /// every sample. A storage may have no use for it.
    ///
    /// # Errors
    /// [`AppendError::UnknownSeries`].
    fn append_start(
        &mut self,
        series: SeriesRef,
        start: i64,
        t: i64,
        zero: Zero<'_>,
    ) -> Result<(), AppendError> {
        let _ = (series, start, t, zero);
        Ok(())
    }

    /// Adds an exemplar to a series.
    ///
    /// # Errors
    /// [`AppendError::OutOfOrderExemplar`], [`AppendError::DuplicateExemplar`], [`AppendError::UnknownSeries`].
    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar)
    -> Result<(), AppendError>;

    /// Records a series' metadata.
    ///
    /// # Errors
    /// [`AppendError::UnknownSeries`].
    fn update_metadata(
        &mut self,
        series: SeriesRef,
        metadata: &Metadata,
    ) -> Result<(), AppendError>;

    /// Logs and publishes the transaction: when it returns `Ok`, the samples survive a killed process.
    ///
    /// # Errors
    /// [`AppendError::Wal`]: nothing was stored.
    fn commit(self: Box<Self>) -> Result<(), AppendError>;

    /// Forgets the transaction.
    fn rollback(self: Box<Self>);
}
