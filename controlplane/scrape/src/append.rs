//! One page into one transaction.
//!
//! Runs on a blocking thread. The caller opens the transaction, decides by the outcome whether to keep or to
//! roll back, and adds the report series.

use bellwether_exposition::{Entry, Format, Parser, SeriesLabels, SeriesLine};
use bellwether_model::labels::{METRIC_NAME, is_legacy_label_name, is_legacy_metric_name};
use bellwether_model::storage::{AppendError, Appender, SeriesRef};
use bellwether_model::{Labels, stale_nan};

use crate::cache::{EntryId, Found, SeriesCache, Verdict};
use crate::config::{PoolSettings, ValidationScheme};
use crate::metadata::MetadataCache;

/// Samples further ahead of the scrape are refused, as in Prometheus.
const MAX_AHEAD_MS: i64 = 10 * 60 * 1000;
/// Most characters of an exemplar's labels (OpenMetrics).
const EXEMPLAR_LABELS_LEN: usize = 128;

/// Why a page was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The page does not parse.
    #[error(transparent)]
    Parse(#[from] bellwether_exposition::ParseError),
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
    format: Format,
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
        appender,
        stats: PageStats::default(),
        appended: 0,
    };
    let result = run.page(metadata, format, page);
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
    appender: &'r mut dyn Appender,
    stats: PageStats,
    /// Samples that count for the limit.
    appended: u64,
}

impl Run<'_> {
    fn page(
        &mut self,
        metadata: &mut MetadataCache,
        format: Format,
        page: &[u8],
    ) -> Result<(), PageError> {
        if page.is_empty() {
            return Ok(());
        }
        let mut parser = Parser::new(format, page);
        loop {
            match parser.next_expecting(self.cache.expected())? {
                Some(Entry::Series(line)) => self.line(&parser, &line)?,
                Some(Entry::Type { name, kind }) => metadata.set_kind(name, kind),
                Some(Entry::Help { name, text }) => metadata.set_help(name, text),
                Some(Entry::Unit { name, unit }) => metadata.set_unit(name, unit),
                Some(Entry::Comment) => {}
                None => break,
            }
        }
        let limit = self.context.settings.sample_limit;
        if limit > 0 && self.appended > limit {
            return Err(PageError::SampleLimit);
        }
        Ok(())
    }

    #[inline]
    fn line(&mut self, parser: &Parser<'_>, line: &SeriesLine<'_>) -> Result<(), PageError> {
        let (id, known, again) = match self.cache.find(line.series, line.expected) {
            Found::Known { id, again } => {
                self.stats.scraped += 1;
                (id, true, again)
            }
            Found::New { hash } => (self.new_series(parser, line, hash)?, false, false),
        };
        let Some(series) = self.cache.series(id) else {
            return Ok(());
        };
        self.stats.post_relabel += 1;
        let settings = self.context.settings;
        let own_time = line.timestamp_ms.filter(|_| settings.honor_timestamps);
        let time_ms = own_time.unwrap_or(self.context.time_ms);
        if again && own_time.is_none() {
            self.stats.duplicates += 1;
            return Ok(());
        }
        self.appended += 1;
        if settings.sample_limit > 0 && self.appended > settings.sample_limit {
            // The rest is only counted, for the report.
            return Ok(());
        }
        let result = self.append(id, series, time_ms, parser, line);
        let added = self.outcome(result)?;
        if own_time.is_none() || settings.track_timestamps_staleness {
            self.cache.track(id);
        }
        if added {
            self.stats.series_added += usize::from(!known);
            if let Some(exemplar) = line.exemplar {
                self.exemplar(id, exemplar.to_exemplar(), time_ms);
            }
        }
        Ok(())
    }

    /// Appends one sample. A series that storage has dropped is made again.
    #[inline]
    fn append(
        &mut self,
        id: EntryId,
        series: SeriesRef,
        time_ms: i64,
        parser: &Parser<'_>,
        line: &SeriesLine<'_>,
    ) -> Result<(), PageError> {
        if time_ms > self.context.time_ms + MAX_AHEAD_MS {
            return Err(AppendError::OutOfBounds.into());
        }
        let result = self.appender.append(series, time_ms, line.value);
        if matches!(result, Err(AppendError::UnknownSeries))
            && let Some(labels) = self.labels(parser, line.labels(parser)?)?
        {
            let series = self.appender.series(&labels)?;
            self.cache.set_series(id, series);
            self.appender.append(series, time_ms, line.value)?;
            return Ok(());
        }
        Ok(result?)
    }

    /// Whether a sample was taken. Samples that storage refuses for their time are counted, not fatal.
    #[inline]
    fn outcome(&mut self, result: Result<(), PageError>) -> Result<bool, PageError> {
        match result {
            Ok(()) => Ok(true),
            Err(PageError::Append(AppendError::OutOfOrder)) => {
                self.stats.out_of_order += 1;
                Ok(false)
            }
            Err(PageError::Append(AppendError::DuplicateTimestamp)) => {
                self.stats.duplicates += 1;
                Ok(false)
            }
            Err(PageError::Append(AppendError::OutOfBounds | AppendError::TooOld)) => {
                self.stats.out_of_bounds += 1;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn exemplar(&mut self, id: EntryId, mut exemplar: bellwether_model::Exemplar, time_ms: i64) {
        let Some(series) = self.cache.series(id) else {
            return;
        };
        let characters: usize = exemplar
            .labels
            .iter()
            .map(|l| l.name.chars().count() + l.value.chars().count())
            .sum();
        if characters > EXEMPLAR_LABELS_LEN {
            return;
        }
        exemplar.timestamp_ms.get_or_insert(time_ms);
        if let Err(AppendError::OutOfOrderExemplar) =
            self.appender.append_exemplar(series, exemplar)
        {
            self.stats.exemplars_out_of_order += 1;
        }
    }

    /// Takes a line apart that was not seen before and finds out what becomes of it.
    fn new_series(
        &mut self,
        parser: &Parser<'_>,
        line: &SeriesLine<'_>,
        hash: u32,
    ) -> Result<EntryId, PageError> {
        let scraped = line.labels(parser)?;
        self.stats.scraped += 1;
        let labels = self.labels(parser, scraped)?;
        let verdict = match &labels {
            Some(labels) => Verdict::Stored(self.appender.series(labels)?),
            None => Verdict::Dropped,
        };
        Ok(self.cache.insert(line.series, hash, verdict))
    }

    /// The stored labels of a line, `None` where it is dropped.
    fn labels(
        &self,
        parser: &Parser<'_>,
        mut scraped: SeriesLabels<'_>,
    ) -> Result<Option<Labels>, PageError> {
        if let Some(name) = scraped.duplicate() {
            return Err(PageError::DuplicateLabel(name.to_owned()));
        }
        scraped.normalize_floats(parser.current_type());
        let settings = self.context.settings;
        let labels = sample_labels(&scraped, self.context.target_labels, settings);
        if let Some(labels) = &labels {
            check_labels(labels, settings)?;
        }
        Ok(labels)
    }
}

/// The stored labels of a scraped series: target labels joined in, metric relabelling applied. `None`: dropped.
pub(crate) fn sample_labels(
    scraped: &SeriesLabels<'_>,
    target: &Labels,
    settings: &PoolSettings,
) -> Option<Labels> {
    let mut builder = scraped.to_builder();
    if settings.honor_labels {
        for label in target {
            // A scraped label with an empty value keeps the target's label out.
            if label.name != METRIC_NAME && !scraped.labels.iter().any(|l| l.name == label.name) {
                builder.set(label.name, label.value);
            }
        }
    } else {
        let mut clashes = Vec::new();
        for label in target {
            let scraped = builder.value(label.name);
            if !scraped.is_empty() {
                clashes.push((label.name, scraped.to_owned()));
            }
            builder.set(label.name, label.value);
        }
        // Short names first, so that `a` and `exported_a` clash in the same order each time.
        clashes.sort_by_key(|(name, _)| name.len());
        for (name, value) in clashes {
            let mut free = format!("exported_{name}");
            while !builder.value(&free).is_empty() {
                free.insert_str(0, "exported_");
            }
            builder.set(&free, &value);
        }
    }
    if !settings.metric_relabel.apply(&mut builder) {
        return None;
    }
    let labels = builder.build();
    (!labels.is_empty()).then_some(labels)
}

/// Names and limits.
fn check_labels(labels: &Labels, settings: &PoolSettings) -> Result<(), PageError> {
    let Some(metric) = labels.metric_name() else {
        return Err(PageError::NoName);
    };
    // Labels are sorted: an empty name is the first.
    if labels.iter().next().is_some_and(|l| l.name.is_empty()) {
        return Err(PageError::InvalidNames(labels.clone()));
    }
    if settings.validation == ValidationScheme::Legacy
        && (!is_legacy_metric_name(metric) || labels.iter().any(|l| !is_legacy_label_name(l.name)))
    {
        return Err(PageError::InvalidNames(labels.clone()));
    }
    let exceeds = |limit: u64, len: usize| limit > 0 && len as u64 > limit;
    let limit = settings.label_limit;
    if limit > 0 && exceeds(limit, labels.len()) {
        return Err(PageError::LabelLimit(format!(
            "label_limit exceeded (metric: {metric:.50}, number of labels: {}, limit: {limit})",
            labels.len()
        )));
    }
    let (name_limit, value_limit) = (
        settings.label_name_length_limit,
        settings.label_value_length_limit,
    );
    if name_limit == 0 && value_limit == 0 {
        return Ok(());
    }
    for label in labels {
        let name = label.name;
        if exceeds(name_limit, name.len()) {
            return Err(PageError::LabelLimit(format!(
                "label_name_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, length: {}, limit: {name_limit})",
                name.len()
            )));
        }
        if exceeds(value_limit, label.value.len()) {
            return Err(PageError::LabelLimit(format!(
                "label_value_length_limit exceeded (metric: {metric:.50}, label name: {name:.50}, value: {:?}, length: {}, limit: {value_limit})",
                label.value.chars().take(50).collect::<String>(),
                label.value.len()
            )));
        }
    }
    Ok(())
}
