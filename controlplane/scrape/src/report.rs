//! The series that tell how a scrape went.

use std::time::Duration;

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{AppendError, Appender, SeriesRef};
use bellwether_model::{Labels, Metadata, MetricType, stale_nan};

use crate::append::PageStats;

/// Number of report series that every target has.
const BASIC: usize = 5;

/// A report series: name, unit and help.
type About = (&'static str, &'static str, &'static str);

/// In the order of [`Report::values`].
const SERIES: [About; 8] = [
    (
        "up",
        "targets",
        "Health of the scrape target. 1 means the target is healthy, 0 if the scrape failed.",
    ),
    (
        "scrape_duration_seconds",
        "seconds",
        "Duration of the last scrape in seconds.",
    ),
    (
        "scrape_samples_scraped",
        "samples",
        "Number of samples last scraped.",
    ),
    (
        "scrape_samples_post_metric_relabeling",
        "samples",
        "Number of samples remaining after metric relabeling was applied.",
    ),
    (
        "scrape_series_added",
        "series",
        "Number of series in the last scrape.",
    ),
    (
        "scrape_timeout_seconds",
        "seconds",
        "The configured scrape timeout for a target.",
    ),
    (
        "scrape_sample_limit",
        "samples",
        "The configured sample limit for a target. Returns zero if there is no limit configured.",
    ),
    (
        "scrape_body_size_bytes",
        "bytes",
        "The uncompressed size of the last scrape response, if successful. Scrapes failing because body_size_limit is exceeded report -1, other scrape failures report 0.",
    ),
];

/// How one scrape went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) up: bool,
    pub(crate) duration: Duration,
    pub(crate) stats: PageStats,
    /// Values of the extra series, when they are wanted.
    pub(crate) extra: Option<Extra>,
    /// Tell storage the metadata of new series.
    pub(crate) describe: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Extra {
    pub(crate) timeout: Duration,
    pub(crate) sample_limit: u64,
    /// Uncompressed; -1 when the limit was exceeded, 0 when nothing was read.
    pub(crate) body_size: i64,
}

impl Report {
    fn values(&self) -> Vec<f64> {
        let mut values = vec![
            f64::from(u8::from(self.up)),
            self.duration.as_secs_f64(),
            self.stats.scraped as f64,
            self.stats.post_relabel as f64,
            self.stats.series_added as f64,
        ];
        if let Some(extra) = &self.extra {
            values.extend([
                extra.timeout.as_secs_f64(),
                extra.sample_limit as f64,
                extra.body_size as f64,
            ]);
        }
        values
    }
}

/// References of the report series.
#[derive(Debug, Default)]
pub(crate) struct ReportCache {
    series: Vec<Option<SeriesRef>>,
    /// How many of them were written last.
    written: usize,
}

impl ReportCache {
    /// Appends the report. Order errors are ignored, as in Prometheus.
    pub(crate) fn write(
        &mut self,
        appender: &mut dyn Appender,
        target: &Labels,
        time_ms: i64,
        report: &Report,
    ) -> Result<(), AppendError> {
        let values = report.values();
        for (index, value) in values.iter().enumerate() {
            let is_new = self.append(appender, target, index, time_ms, *value)?;
            if is_new && report.describe {
                self.describe(appender, index);
            }
        }
        // The extra series were switched off: they end here.
        for index in values.len()..self.written {
            self.append(appender, target, index, time_ms, stale_nan())?;
        }
        self.written = values.len();
        Ok(())
    }

    /// Appends stale markers to all report series.
    pub(crate) fn write_stale(
        &mut self,
        appender: &mut dyn Appender,
        target: &Labels,
        time_ms: i64,
    ) -> Result<(), AppendError> {
        for index in 0..self.written.max(BASIC) {
            self.append(appender, target, index, time_ms, stale_nan())?;
        }
        Ok(())
    }

    /// Whether the series is new.
    fn append(
        &mut self,
        appender: &mut dyn Appender,
        target: &Labels,
        index: usize,
        time_ms: i64,
        value: f64,
    ) -> Result<bool, AppendError> {
        if self.series.len() < SERIES.len() {
            self.series.resize(SERIES.len(), None);
        }
        let mut is_new = false;
        let mut result = match self.series[index] {
            Some(series) => appender.append(series, time_ms, value),
            None => Err(AppendError::UnknownSeries),
        };
        if matches!(result, Err(AppendError::UnknownSeries)) {
            let mut labels = target.to_builder();
            labels.set(METRIC_NAME, SERIES[index].0);
            let series = appender.series(&labels.build())?;
            self.series[index] = Some(series);
            result = appender.append(series, time_ms, value);
            is_new = true;
        }
        match result {
            Ok(())
            | Err(
                AppendError::OutOfOrder
                | AppendError::DuplicateTimestamp(_)
                | AppendError::OutOfBounds
                | AppendError::TooOld,
            ) => Ok(is_new),
            Err(error) => Err(error),
        }
    }

    fn describe(&self, appender: &mut dyn Appender, index: usize) {
        let (_, unit, help) = SERIES[index];
        let metadata = Metadata {
            kind: MetricType::Gauge,
            help: help.to_owned(),
            unit: unit.to_owned(),
        };
        if let Some(series) = self.series[index] {
            // It was made a moment ago.
            let _ = appender.update_metadata(series, &metadata);
        }
    }

    /// The transaction with new series did not become one: they are made again.
    pub(crate) fn lose(&mut self) {
        self.series.clear();
    }
}
