//! The series that tell how a scrape went.

use std::time::Duration;

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{AppendError, Appender, SeriesRef};
use bellwether_model::{Labels, stale_nan};

use crate::append::PageStats;

/// Number of report series that every target has.
const BASIC: usize = 5;

/// In the order of [`Report::values`].
const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// How one scrape went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) up: bool,
    pub(crate) duration: Duration,
    pub(crate) stats: PageStats,
    /// Values of the extra series, when they are wanted.
    pub(crate) extra: Option<Extra>,
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
            self.append(appender, target, index, time_ms, *value)?;
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

    fn append(
        &mut self,
        appender: &mut dyn Appender,
        target: &Labels,
        index: usize,
        time_ms: i64,
        value: f64,
    ) -> Result<(), AppendError> {
        if self.series.len() < NAMES.len() {
            self.series.resize(NAMES.len(), None);
        }
        let mut result = match self.series[index] {
            Some(series) => appender.append(series, time_ms, value),
            None => Err(AppendError::UnknownSeries),
        };
        if matches!(result, Err(AppendError::UnknownSeries)) {
            let mut labels = target.to_builder();
            labels.set(METRIC_NAME, NAMES[index]);
            let series = appender.series(&labels.build())?;
            self.series[index] = Some(series);
            result = appender.append(series, time_ms, value);
        }
        match result {
            Err(
                AppendError::OutOfOrder
                | AppendError::DuplicateTimestamp
                | AppendError::OutOfBounds
                | AppendError::TooOld,
            ) => Ok(()),
            other => other,
        }
    }
}
