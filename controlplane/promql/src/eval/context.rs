//! What one evaluation shares: the querier, the limits and the counters.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bellwether_model::storage::Querier;

use crate::engine::{EngineOptions, QueryStats};
use crate::error::QueryError;
use crate::explain::Profile;

use super::column::{Row, absent};
use super::selector::BATCH;
use super::shared::Sharing;

/// Columns that are kept for another use.
const COLUMNS_KEPT: usize = BATCH;

/// What evaluating a node did to the counters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Samples that count, samples looked at, and series.
    total: u64,
    looked_at: u64,
    series: u64,
    /// Samples held at the peak and at the end, beyond those before.
    peak: i64,
    held: i64,
}

/// Takes a step and how many samples it looked at.
pub(crate) type StepWeights<'a> = dyn FnMut(usize, usize) + 'a;
/// What was done for some series and is not counted yet.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Samples looked at, and series.
    pub(crate) total: u64,
    pub(crate) series: u64,
    /// Samples that are held, and the most that were.
    pub(crate) held: usize,
    pub(crate) peak: usize,
}

impl Done {
    /// A series gave a result that weighs so much; meanwhile `widest` samples were held.
    pub(crate) fn hold(&mut self, weight: usize, widest: usize) {
        self.peak = self.peak.max(self.held + widest);
        self.held += weight;
    }
}

/// Counters as they stood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counters {
    current: i64,
    looked_at: u64,
    stats: QueryStats,
}

/// Shared by all nodes (and threads) of one evaluation.
pub(crate) struct Context<'a> {
    pub(crate) querier: &'a dyn Querier,
    pub(crate) lookback_ms: i64,
    pub(crate) delayed_names: bool,
    /// Counters restart where start timestamps say so.
    pub(crate) start_timestamps: bool,
    /// The `__type__` label says what is a counter.
    pub(crate) type_labels: bool,
    /// Where to write down what each node costs, when somebody wants to know.
    pub(crate) profile: Option<&'a Profile>,
    /// What stands in the query more than once.
    pub(crate) sharing: Sharing,
    max_samples: i64,
    deadline: Instant,
    cancel: Option<Arc<AtomicBool>>,
    current: AtomicI64,
    peak: AtomicI64,
    /// Samples that count for the statistics.
    total: AtomicU64,
    /// Those of them that each step of the query looked at, where somebody wants to know.
    by_step: Vec<AtomicU64>,
    /// All samples looked at, also those that do not count.
    looked_at: AtomicU64,
    /// Above 0 while samples do not count.
    muted: AtomicU32,
    series: AtomicU64,
    /// Columns of rows that were consumed, for the rows of the next batch.
    columns: Mutex<Vec<Vec<f64>>>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        querier: &'a dyn Querier,
        options: &EngineOptions,
        lookback_ms: i64,
        deadline: Instant,
        cancel: Option<Arc<AtomicBool>>,
        profile: Option<&'a Profile>,
        sharing: Sharing,
    ) -> Self {
        Self {
            querier,
            lookback_ms,
            delayed_names: options.delayed_name_removal,
            start_timestamps: options.start_timestamps,
            type_labels: options.type_and_unit_labels,
            profile,
            sharing,
            max_samples: i64::try_from(options.max_samples).unwrap_or(i64::MAX),
            deadline,
            cancel,
            current: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            total: AtomicU64::new(0),
            by_step: Vec::new(),
            looked_at: AtomicU64::new(0),
            muted: AtomicU32::new(0),
            series: AtomicU64::new(0),
            columns: Mutex::default(),
        }
    }

    /// Counts the samples of each of so many steps.
    pub(crate) fn count_steps(&mut self, steps: usize) {
        self.by_step = (0..steps).map(|_| AtomicU64::new(0)).collect();
    }

    /// A column without samples.
    pub(crate) fn column(&self, steps: usize) -> Vec<f64> {
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let mut column = columns.pop().unwrap_or_default();
        drop(columns);
        column.clear();
        column.resize(steps, absent());
        column
    }

    /// Takes the columns of rows that are no longer needed: memory that the next batch need not ask the system for.
    pub(crate) fn recycle(&self, rows: Vec<Row>) {
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let room = COLUMNS_KEPT.saturating_sub(columns.len());
        columns.extend(rows.into_iter().take(room).map(|row| row.values));
    }

    /// Fails when the caller cancelled or the time is up.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self
            .cancel
            .as_ref()
            .is_some_and(|c| c.load(Ordering::Relaxed))
        {
            return Err(QueryError::Canceled("expression evaluation"));
        }
        if Instant::now() >= self.deadline {
            return Err(QueryError::Timeout("expression evaluation"));
        }
        Ok(())
    }

    /// Fails when columns of so many steps and rows would take far more memory than the samples that the limit
    /// allows: columns have room for every step, also where a short-lived series has no sample.
    pub(crate) fn check_cells(&self, rows: usize, steps: usize) -> Result<(), QueryError> {
        let cells = i64::try_from(rows.saturating_mul(steps)).unwrap_or(i64::MAX);
        if cells > self.max_samples.saturating_mul(4) {
            return Err(QueryError::TooManySamples);
        }
        Ok(())
    }

    /// Samples held now.
    pub(crate) fn held(&self) -> i64 {
        self.current.load(Ordering::Relaxed)
    }

    /// Takes samples into account; fails beyond the limit.
    pub(crate) fn hold(&self, samples: usize) -> Result<(), QueryError> {
        let n = i64::try_from(samples).unwrap_or(i64::MAX);
        let now = self
            .current
            .fetch_add(n, Ordering::Relaxed)
            .saturating_add(n);
        self.note_peak(now)
    }

    /// Fails when so many samples on top of those held are beyond the limit.
    pub(crate) fn probe(&self, samples: usize) -> Result<(), QueryError> {
        let n = i64::try_from(samples).unwrap_or(i64::MAX);
        self.note_peak(self.held().saturating_add(n))
    }

    /// Sets the number of samples held, after inputs were consumed.
    pub(crate) fn settle(&self, samples: i64) -> Result<(), QueryError> {
        self.current.store(samples, Ordering::Relaxed);
        self.note_peak(samples)
    }

    fn note_peak(&self, now: i64) -> Result<(), QueryError> {
        self.peak.fetch_max(now, Ordering::Relaxed);
        if now > self.max_samples {
            return Err(QueryError::TooManySamples);
        }
        Ok(())
    }

    /// Evaluates and says what that did to the counters, or would do where samples count.
    pub(crate) fn measured<T>(
        &self,
        eval: impl FnOnce() -> Result<T, QueryError>,
    ) -> Result<(T, Work), QueryError> {
        let load = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let counters = || (self.counted(), load(&self.looked_at), load(&self.series));
        let (before, held) = (counters(), self.held());
        let muted = self.muted.swap(0, Ordering::Relaxed);
        // The peak of this evaluation alone, then that of all again.
        let peak_before = self.peak.swap(held, Ordering::Relaxed);
        let result = eval();
        let peak = self.peak.fetch_max(peak_before, Ordering::Relaxed);
        let after = counters();
        self.muted.store(muted, Ordering::Relaxed);
        if muted > 0 {
            self.total.store(before.0, Ordering::Relaxed);
        }
        let work = Work {
            total: after.0 - before.0,
            looked_at: after.1 - before.1,
            series: after.2 - before.2,
            peak: peak - held,
            held: self.held() - held,
        };
        Ok((result?, work))
    }

    /// Counts what was done before as if it were done again.
    pub(crate) fn repeat(&self, work: Work) -> Result<(), QueryError> {
        self.count_series(work.series);
        self.count_samples(work.total, |_| {});
        let others = work.looked_at - work.total.min(work.looked_at);
        self.looked_at.fetch_add(others, Ordering::Relaxed);
        self.note_peak(self.held().saturating_add(work.peak))?;
        self.settle(self.held().saturating_add(work.held))
    }

    /// Counts what was done for some series, none of it by step. Samples that were held for a moment are part of the
    /// peak only.
    pub(crate) fn add(&self, done: &Done) -> Result<(), QueryError> {
        self.count_series(done.series);
        self.count_samples(done.total, |_| {});
        self.probe(done.peak)?;
        self.hold(done.held)
    }

    /// Whether somebody wants to know what each step looked at.
    pub(crate) fn counts_by_step(&self) -> bool {
        !self.by_step.is_empty()
    }

    /// The counters, for going back to them. Those by step are not among them.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            current: self.held(),
            looked_at: self.looked_at(),
            stats: self.stats(),
        }
    }

    /// Takes back what was counted since then.
    pub(crate) fn go_back(&self, counters: &Counters) {
        let Counters {
            current,
            looked_at,
            stats,
        } = counters;
        self.current.store(*current, Ordering::Relaxed);
        self.looked_at.store(*looked_at, Ordering::Relaxed);
        self.total.store(stats.total_samples, Ordering::Relaxed);
        self.series.store(stats.series, Ordering::Relaxed);
        let peak = i64::try_from(stats.peak_samples).unwrap_or(i64::MAX);
        self.peak.store(peak, Ordering::Relaxed);
    }

    /// Counts series for the statistics.
    pub(crate) fn count_series(&self, series: u64) {
        self.series.fetch_add(series, Ordering::Relaxed);
    }

    /// Counts samples for the statistics. Where it is wanted, `tell` says how many of them each step of the query
    /// looked at, step by step.
    pub(crate) fn count_samples(&self, samples: u64, tell: impl FnOnce(&mut StepWeights<'_>)) {
        self.looked_at.fetch_add(samples, Ordering::Relaxed);
        if self.muted.load(Ordering::Relaxed) > 0 {
            return;
        }
        self.total.fetch_add(samples, Ordering::Relaxed);
        if !self.by_step.is_empty() {
            tell(&mut |step, samples| {
                if let Some(sum) = self.by_step.get(step) {
                    sum.fetch_add(samples as u64, Ordering::Relaxed);
                }
            });
        }
    }

    /// Evaluates what windows will go over: it is the windows' samples that count.
    pub(crate) fn muted<T>(&self, eval: impl FnOnce() -> T) -> T {
        self.muted.fetch_add(1, Ordering::Relaxed);
        let value = eval();
        self.muted.fetch_sub(1, Ordering::Relaxed);
        value
    }

    /// Samples that count so far.
    pub(crate) fn counted(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Samples looked at so far.
    pub(crate) fn looked_at(&self) -> u64 {
        self.looked_at.load(Ordering::Relaxed)
    }

    /// Samples that each step looked at; empty where nobody wants to know.
    pub(crate) fn by_step(&self) -> Vec<u64> {
        let counts = self.by_step.iter().map(|n| n.load(Ordering::Relaxed));
        counts.collect()
    }

    pub(crate) fn stats(&self) -> QueryStats {
        QueryStats {
            total_samples: self.total.load(Ordering::Relaxed),
            peak_samples: u64::try_from(self.peak.load(Ordering::Relaxed)).unwrap_or(0),
            series: self.series.load(Ordering::Relaxed),
        }
    }
}
