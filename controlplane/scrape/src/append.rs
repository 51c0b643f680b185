//! One page into one transaction.
//!
//! Runs on a blocking thread. The caller opens the transaction, decides by the outcome whether to keep or to
//! roll back, and adds the report series.

use bellwether_exposition::{
    CreatedLines, Entry, Format, Parser, PlainLine, ProtoError, ProtoOptions, ProtoReader,
    ProtoSample, ProtoValue, SeriesLabels, SeriesLine, parse_series,
};
use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{AppendError, Appender, SeriesRef};
use bellwether_model::{Exemplar, Labels, MetricType, stale_nan};

use crate::cache::{EntryId, Found, SeriesCache, Verdict};
use crate::config::PoolSettings;
use crate::labels::{check_labels, sample_labels};
use crate::metadata::MetadataCache;
use crate::native::{self, Value};
use crate::nhcb::{ClassicSample, Collector};
use crate::protocol::PageFormat;

/// Samples further ahead of the scrape are refused, as in Prometheus.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;

/// Larger pages are refused.
pub const MAX_PAGE_BYTES: usize = 1 << 30;

/// Why a page was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The page does not parse.
    #[error(transparent)]
    Parse(#[from] bellwether_exposition::ParseError),
    /// The protobuf page does not parse.
    #[error(transparent)]
    Proto(#[from] ProtoError),
    /// More than [`MAX_PAGE_BYTES`].
    #[error("page of {0} bytes is too large")]
    TooLarge(usize),
    /// More buckets than `native_histogram_bucket_limit`, in the lowest resolution.
    #[error("histogram bucket limit exceeded")]
    BucketLimit,
    /// No metric name is left after relabelling.
    #[error("missing metric name (__name__ label)")]
    NoName,
    /// A name that the validation scheme refuses.
    #[error("invalid metric name or label names: {0}")]
    InvalidNames(Labels),
    /// A label name twice in one series.
    #[error("label name {0:?} is not unique: invalid sample")]
    DuplicateLabel(String),
    /// More samples than `sample_limit`.
    #[error("sample limit exceeded")]
    SampleLimit,
    /// A label limit, in words.
    #[error("{0}")]
    LabelLimit(String),
    /// Storage refused the transaction.
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// Counts of one page, as far as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageStats {
    /// Samples on the page.
    pub scraped: usize,
    /// Samples left after metric relabelling.
    pub post_relabel: usize,
    /// Series that were not known before.
    pub series_added: usize,
    /// Samples refused because their series has one at that time.
    pub duplicates: usize,
    /// Samples refused because their series has a newer one.
    pub out_of_order: usize,
    /// Samples refused for their time, too old or too far in the future.
    pub out_of_bounds: usize,
    /// Exemplars refused because their series has a newer one.
    pub exemplars_out_of_order: usize,
}

/// What [`append_page`] works with.
#[derive(Clone, Copy, Debug)]
pub struct PageContext<'s> {
    /// Relabelling, limits, and which labels win.
    pub settings: &'s PoolSettings,
    /// Labels that every series gets.
    pub target_labels: &'s Labels,
    /// Time of samples without their own.
    pub time_ms: i64,
}

/// What a target remembers between scrapes.
#[derive(Debug, Default)]
pub struct TargetMemory {
    pub(crate) series: SeriesCache,
    pub(crate) metadata: MetadataCache,
    pub(crate) report: crate::report::ReportCache,
}

/// Appends all samples of a page and stale markers for vanished series. On an error the caller rolls back and
/// calls [`append_failure`] with a fresh transaction.
pub fn append_page(
    context: &PageContext<'_>,
    memory: &mut TargetMemory,
    appender: &mut dyn Appender,
    format: PageFormat,
    page: &[u8],
) -> (PageStats, Result<(), PageError>) {
    let TargetMemory {
        series, metadata, ..
    } = memory;
    series.begin();
    metadata.begin();
    let mut run = Run {
        context,
        cache: series,
        metadata,
        appender,
        stats: PageStats::default(),
        appended: 0,
        too_many_buckets: false,
        classic: Collector::default(),
        unit: String::new(),
    };
    let result = run.page(format, page);
    let stats = run.stats;
    if result.is_ok() {
        mark_stale(appender, &series.vanished(), context.time_ms);
        // An empty page says nothing about what may be forgotten.
        if page.is_empty() {
            series.abandon();
        } else {
            series.finish();
            metadata.finish();
        }
    }
    (stats, result)
}

/// The transaction of a failed scrape: everything that was present becomes stale.
pub fn append_failure(memory: &mut TargetMemory, appender: &mut dyn Appender, time_ms: i64) {
    // A page that broke half-way has touched entries: they do not count as present.
    let present = memory.series.present();
    memory.series.begin();
    mark_stale(appender, &present, time_ms);
    memory.series.abandon();
    memory.metadata.lose();
}

/// Appends stale markers. A series that storage has dropped or that got a newer sample needs none.
pub(crate) fn mark_stale(appender: &mut dyn Appender, series: &[SeriesRef], time_ms: i64) {
    for series in series {
        let _ = appender.append(*series, time_ms, stale_nan());
    }
}

struct Run<'r> {
    context: &'r PageContext<'r>,
    cache: &'r mut SeriesCache,
    metadata: &'r mut MetadataCache,
    appender: &'r mut dyn Appender,
    stats: PageStats,
    /// Samples that count for the limit.
    appended: u64,
    /// A native histogram was refused; the rest is only counted, for the report.
    too_many_buckets: bool,
    /// The classic histogram that is being converted.
    classic: Collector,
    /// The unit of the current family, where labels shall say it.
    unit: String,
}

impl Run<'_> {
    fn page(&mut self, format: PageFormat, page: &[u8]) -> Result<(), PageError> {
        if page.is_empty() {
            return Ok(());
        }
        if page.len() > MAX_PAGE_BYTES {
            return Err(PageError::TooLarge(page.len()));
        }
        match format {
            PageFormat::Lines(format) => self.lines(format, page)?,
            PageFormat::Protobuf => self.families(page)?,
        }
        let limit = self.context.settings.sample_limit;
        if limit > 0 && self.appended > limit {
            return Err(PageError::SampleLimit);
        }
        if self.too_many_buckets {
            return Err(PageError::BucketLimit);
        }
        Ok(())
    }

    fn lines(&mut self, format: Format, page: &[u8]) -> Result<(), PageError> {
        let mut parser = Parser::new(format, page);
        let convert = self.context.settings.convert_classic_histograms_to_nhcb;
        let with_starts = self.context.settings.start_timestamps;
        let mut created = CreatedLines::default();
        let mut family: &[u8] = &[];
        let mut unit_of: &[u8] = &[];
        loop {
            let may_tell = with_starts && CreatedLines::may_tell(&parser);
            if !convert
                && !may_tell
                && let Some(line) = parser.take_expected(self.cache.expected())
            {
                self.plain_line(&parser, line)?;
                continue;
            }
            let entry = parser.next_expecting(self.cache.expected())?;
            let mut start_ms = None;
            if may_tell && let Some(Entry::Series(line)) = &entry {
                if CreatedLines::is_one(&parser, line) {
                    continue;
                }
                start_ms = created.start_of(&parser, line.series);
            }
            if convert && self.convert_line(&parser, entry.as_ref(), family, start_ms)? {
                continue;
            }
            if let Some(Entry::Type { name, .. } | Entry::Help { name, .. }) = entry
                && name != unit_of
            {
                self.unit.clear();
            }
            match entry {
                Some(Entry::Series(line)) => self.line(&parser, &line, start_ms)?,
                Some(Entry::Type { name, kind }) => {
                    family = name;
                    self.metadata.set_kind(name, kind);
                }
                Some(Entry::Help { name, text }) => self.metadata.set_help(name, text),
                Some(Entry::Unit { name, unit }) => {
                    unit_of = name;
                    self.unit.clear();
                    self.unit.push_str(&String::from_utf8_lossy(unit));
                    self.metadata.set_unit(name, unit);
                }
                Some(Entry::Comment) => {}
                None => return Ok(()),
            }
        }
    }

    fn families(&mut self, page: &[u8]) -> Result<(), PageError> {
        let settings = self.context.settings;
        let options = ProtoOptions {
            native: settings.native_histograms,
            always_classic: settings.always_scrape_classic_histograms,
        };
        let mut reader = ProtoReader::new(page);
        while let Some(family) = reader.next_family()? {
            let name = family.name.as_bytes();
            self.metadata.set_kind(name, family.kind);
            self.metadata.set_help(name, family.help);
            self.metadata.set_unit(name, family.unit.as_bytes());
            self.unit.clear();
            self.unit.push_str(family.unit);
            let histogram = matches!(
                family.kind,
                MetricType::Histogram | MetricType::GaugeHistogram
            );
            if !(histogram && settings.convert_classic_histograms_to_nhcb) {
                family.each_sample(options, |sample| self.proto_sample(family.kind, sample))?;
                continue;
            }
            family.each_sample(options, |sample| {
                if self.convert_sample(&sample, name)? {
                    return Ok(());
                }
                self.proto_sample(family.kind, sample)
            })?;
            self.finish_classic()?;
        }
        Ok(())
    }

    /// Gathers an entry that belongs to a classic histogram, and ends the histogram where it does not. Says whether
    /// the entry is done with.
    fn convert_line(
        &mut self,
        parser: &Parser<'_>,
        entry: Option<&Entry<'_>>,
        family: &[u8],
        start_ms: Option<i64>,
    ) -> Result<bool, PageError> {
        let (Some(Entry::Series(line)), MetricType::Histogram) = (entry, parser.current_type())
        else {
            self.finish_classic()?;
            return Ok(false);
        };
        let Some(sample) = ClassicSample::of(&line.labels(parser)?, family) else {
            self.finish_classic()?;
            return Ok(false);
        };
        let exemplar = line.exemplar.map(|e| e.to_exemplar());
        self.gather(sample, line.value, (line.timestamp_ms, start_ms), exemplar)
    }

    /// As [`Self::convert_line`].
    fn convert_sample(
        &mut self,
        sample: &ProtoSample<'_>,
        family: &[u8],
    ) -> Result<bool, PageError> {
        let ProtoValue::Float(value) = sample.value else {
            self.finish_classic()?;
            self.classic.saw_native(sample.series);
            return Ok(false);
        };
        let labels = parse_series(sample.series.as_bytes())?;
        match ClassicSample::of(&labels, family) {
            Some(part) if !self.classic.is_native(&part) => {
                let exemplar = sample.exemplars.first().cloned();
                let times = (sample.timestamp_ms, sample.start_ms);
                self.gather(part, value, times, exemplar)
            }
            _ => {
                self.finish_classic()?;
                Ok(false)
            }
        }
    }

    fn gather(
        &mut self,
        sample: ClassicSample,
        value: f64,
        times: (Option<i64>, Option<i64>),
        exemplar: Option<Exemplar>,
    ) -> Result<bool, PageError> {
        if !self.classic.fits(&sample) {
            self.finish_classic()?;
        }
        self.classic.add(sample, value, times, exemplar);
        Ok(!self.context.settings.always_scrape_classic_histograms)
    }

    fn finish_classic(&mut self) -> Result<(), PageError> {
        let mut classic = std::mem::take(&mut self.classic);
        let result = classic.finish(|sample| self.proto_sample(MetricType::Histogram, sample));
        self.classic = classic;
        result
    }

    #[inline]
    fn line(
        &mut self,
        parser: &Parser<'_>,
        line: &SeriesLine<'_>,
        start_ms: Option<i64>,
    ) -> Result<(), PageError> {
        let (id, known, again) = match self.cache.find(line.series, line.expected) {
            Found::Known { id, again } => {
                self.stats.scraped += 1;
                (id, true, again)
            }
            Found::New { hash } => {
                let labels = line.labels(parser)?;
                let id = self.new_series(labels, parser.current_type(), line.series, hash)?;
                (id, false, false)
            }
        };
        let Some((series, time_ms)) = self.admit(id, again, line.timestamp_ms) else {
            return Ok(());
        };
        let append = Append {
            id,
            series,
            time_ms,
            start_ms,
            value: Value::Float(line.value),
            is_new: !known,
        };
        let kind = parser.current_type();
        if self.sample(append, kind, || {
            line.labels(parser).map_err(PageError::from)
        })? {
            self.stats.series_added += usize::from(!known);
            if let Some(exemplar) = line.exemplar {
                self.exemplar(id, exemplar.to_exemplar(), time_ms);
            }
        }
        Ok(())
    }

    /// As [`Self::line`], for the line that was expected.
    #[inline]
    fn plain_line(&mut self, parser: &Parser<'_>, line: PlainLine<'_>) -> Result<(), PageError> {
        let Found::Known { id, again } = self.cache.find(line.series, true) else {
            return Ok(());
        };
        self.stats.scraped += 1;
        let Some((series, time_ms)) = self.admit(id, again, None) else {
            return Ok(());
        };
        let append = Append {
            id,
            series,
            time_ms,
            start_ms: None,
            value: Value::Float(line.value),
            is_new: false,
        };
        let labels = || line.labels().map_err(PageError::from);
        self.sample(append, parser.current_type(), labels)?;
        Ok(())
    }

    fn proto_sample(&mut self, kind: MetricType, sample: ProtoSample<'_>) -> Result<(), PageError> {
        let raw = sample.series.as_bytes();
        let expected = self.cache.expected() == raw;
        let (id, known, again) = match self.cache.find(raw, expected) {
            Found::Known { id, again } => {
                self.stats.scraped += 1;
                (id, true, again)
            }
            Found::New { hash } => {
                let id = self.new_series(parse_series(raw)?, kind, raw, hash)?;
                (id, false, false)
            }
        };
        let Some((series, time_ms)) = self.admit(id, again, sample.timestamp_ms) else {
            return Ok(());
        };
        let settings = self.context.settings;
        let limited = match sample.value {
            ProtoValue::Histogram(h) => native::limited(h, settings).map(ProtoValue::Histogram),
            ProtoValue::FloatHistogram(h) => {
                native::limited_float(h, settings).map(ProtoValue::FloatHistogram)
            }
            float @ ProtoValue::Float(_) => Some(float),
        };
        let Some(value) = limited else {
            self.too_many_buckets = true;
            return Ok(());
        };
        let value = match &value {
            ProtoValue::Float(value) => Value::Float(*value),
            ProtoValue::Histogram(h) => Value::Histogram(h),
            ProtoValue::FloatHistogram(h) => Value::FloatHistogram(h),
        };
        let append = Append {
            id,
            series,
            time_ms,
            start_ms: sample.start_ms.filter(|_| settings.start_timestamps),
            value,
            is_new: !known,
        };
        let added = self.sample(append, kind, || parse_series(raw).map_err(PageError::from))?;
        if added {
            self.stats.series_added += usize::from(!known);
            for exemplar in sample.exemplars {
                self.exemplar(id, exemplar, time_ms);
            }
        }
        Ok(())
    }

    /// Counts a sample and settles its time; `None` when it is not to be stored. The series counts as present.
    #[inline]
    fn admit(
        &mut self,
        id: EntryId,
        again: bool,
        timestamp_ms: Option<i64>,
    ) -> Option<(SeriesRef, i64)> {
        let series = self.cache.series(id)?;
        self.stats.post_relabel += 1;
        let settings = self.context.settings;
        let own_time = timestamp_ms.filter(|_| settings.honor_timestamps);
        if again && own_time.is_none() {
            self.stats.duplicates += 1;
            return None;
        }
        self.appended += 1;
        if settings.sample_limit > 0 && self.appended > settings.sample_limit {
            // The rest is only counted, for the report.
            return None;
        }
        if own_time.is_none() || settings.track_timestamps_staleness {
            self.cache.track(id);
        }
        Some((series, own_time.unwrap_or(self.context.time_ms)))
    }

    /// Appends one sample. A series that storage has dropped is made again, from the labels that `scraped` gives.
    /// Samples that storage refuses for their time are counted, not fatal.
    #[inline]
    fn sample<'p>(
        &mut self,
        append: Append<'_>,
        kind: MetricType,
        scraped: impl Fn() -> Result<SeriesLabels<'p>, PageError>,
    ) -> Result<bool, PageError> {
        let Append {
            id,
            time_ms,
            mut is_new,
            ..
        } = append;
        if time_ms > self.context.time_ms + MAX_AHEAD_MS {
            self.stats.out_of_bounds += 1;
            return Ok(false);
        }
        let mut result = append.store(self.appender);
        if matches!(result, Err(AppendError::UnknownSeries))
            && let Some(labels) = self.labels(scraped()?, kind)?
        {
            let series = self.appender.series(&labels)?;
            self.cache.set_series(id, series);
            result = Append { series, ..append }.store(self.appender);
            is_new = true;
        }
        if self.context.settings.metadata_records && (is_new || self.metadata.is_due()) {
            self.describe(id, self.labels(scraped()?, kind)?.as_ref());
        }
        match result {
            Ok(()) => Ok(true),
            Err(AppendError::OutOfOrder) => {
                self.stats.out_of_order += 1;
                Ok(false)
            }
            Err(AppendError::DuplicateTimestamp(_)) => {
                self.stats.duplicates += 1;
                Ok(false)
            }
            Err(AppendError::OutOfBounds | AppendError::TooOld) => {
                self.stats.out_of_bounds += 1;
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Tells storage the metadata of a series. That it does not know the series is no error of the scrape.
    fn describe(&mut self, id: EntryId, labels: Option<&Labels>) {
        if let (Some(series), Some(labels)) = (self.cache.series(id), labels)
            && let Some(metadata) = self.metadata.of_series(labels.value(METRIC_NAME))
        {
            let _ = self.appender.update_metadata(series, &metadata);
        }
    }

    fn exemplar(&mut self, id: EntryId, mut exemplar: Exemplar, time_ms: i64) {
        let Some(series) = self.cache.series(id) else {
            return;
        };
        if exemplar.is_too_long() {
            return;
        }
        exemplar.timestamp_ms.get_or_insert(time_ms);
        if let Err(AppendError::OutOfOrderExemplar) =
            self.appender.append_exemplar(series, exemplar)
        {
            self.stats.exemplars_out_of_order += 1;
        }
    }

    /// Finds out what becomes of a series that was not seen before; its sample counts as scraped even if it fails.
    fn new_series(
        &mut self,
        scraped: SeriesLabels<'_>,
        kind: MetricType,
        raw: &[u8],
        hash: u64,
    ) -> Result<EntryId, PageError> {
        self.stats.scraped += 1;
        let verdict = match self.labels(scraped, kind)? {
            Some(labels) => Verdict::Stored(self.appender.series(&labels)?),
            None => Verdict::Dropped,
        };
        Ok(self.cache.insert(raw, hash, verdict))
    }

    /// The stored labels of a series, `None` where it is dropped.
    fn labels(
        &self,
        mut scraped: SeriesLabels<'_>,
        kind: MetricType,
    ) -> Result<Option<Labels>, PageError> {
        let settings = self.context.settings;
        if settings.type_and_unit_labels {
            scraped.set_type_and_unit(kind, &self.unit);
        }
        if let Some(name) = scraped.duplicate() {
            return Err(PageError::DuplicateLabel(name.to_owned()));
        }
        scraped.normalize_floats(kind);
        let labels = sample_labels(&scraped, self.context.target_labels, settings);
        if let Some(labels) = &labels {
            check_labels(labels, settings)?;
        }
        Ok(labels)
    }
}

/// A sample on its way to storage.
#[derive(Clone, Copy)]
struct Append<'v> {
    id: EntryId,
    series: SeriesRef,
    time_ms: i64,
    /// When its counter began, where the zero before it is to be stored.
    start_ms: Option<i64>,
    value: Value<'v>,
    is_new: bool,
}

impl Append<'_> {
    #[inline]
    fn store(self, appender: &mut dyn Appender) -> Result<(), AppendError> {
        if let Some(start) = self.start_ms {
            // The sample is stored whatever becomes of its zero.
            let _ = appender.append_start(self.series, start, self.time_ms, self.value.zero());
        }
        self.value.append(appender, self.series, self.time_ms)
    }
}
