//! Series with one value per step.

use std::cell::RefCell;
use std::sync::Arc;

use bellwether_model::labels::Selection;
use bellwether_model::{FloatHistogram, Labels, STALE_NAN_BITS, stale_nan};
use hashbrown::HashMap;

use crate::error::QueryError;

use super::context::StepWeights;

/// Marks a step without a sample. Selectors never return stale markers and arithmetic never produces this
/// signalling pattern, so it cannot clash with a value.
#[inline]
pub(crate) fn absent() -> f64 {
    stale_nan()
}

/// Whether a column's entry is missing.
#[inline]
pub(crate) fn is_absent(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}

/// One entry of a row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cell<'a> {
    Absent,
    Float(f64),
    Histogram(&'a Arc<FloatHistogram>),
}

/// An owned sample.
#[derive(Clone, Debug)]
pub(crate) enum Sample {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

impl Cell<'_> {
    pub(crate) fn to_sample(self) -> Option<Sample> {
        match self {
            Cell::Absent => None,
            Cell::Float(v) => Some(Sample::Float(v)),
            Cell::Histogram(h) => Some(Sample::Histogram(Arc::clone(h))),
        }
    }
}

/// One series over all steps.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// The metric name (and type and unit) goes away when the query ends; only with delayed removal.
    pub(crate) drop_name: bool,
    /// A value per step; [`absent`] where there is none, 0 where the sample is a histogram.
    pub(crate) values: Vec<f64>,
    /// A histogram per step, only allocated when there is one.
    pub(crate) histograms: Option<Vec<Option<Arc<FloatHistogram>>>>,
}

impl Row {
    /// A row without samples.
    pub(crate) fn empty(labels: Labels, steps: usize) -> Self {
        Self {
            labels,
            drop_name: false,
            values: vec![absent(); steps],
            histograms: None,
        }
    }

    /// A row of floats, so far perhaps without any.
    pub(crate) fn floats(labels: Labels, values: Vec<f64>) -> Self {
        Self {
            labels,
            drop_name: false,
            values,
            histograms: None,
        }
    }

    #[inline]
    pub(crate) fn cell(&self, i: usize) -> Cell<'_> {
        let v = self.values[i];
        if is_absent(v) {
            return Cell::Absent;
        }
        match &self.histograms {
            Some(h) => match &h[i] {
                Some(h) => Cell::Histogram(h),
                None => Cell::Float(v),
            },
            None => Cell::Float(v),
        }
    }

    #[inline]
    pub(crate) fn present(&self, i: usize) -> bool {
        !is_absent(self.values[i])
    }

    #[inline]
    pub(crate) fn set_float(&mut self, i: usize, v: f64) {
        self.values[i] = v;
        if let Some(h) = &mut self.histograms {
            h[i] = None;
        }
    }

    pub(crate) fn set_histogram(&mut self, i: usize, h: Arc<FloatHistogram>) {
        let steps = self.values.len();
        self.values[i] = 0.0;
        self.histograms.get_or_insert_with(|| vec![None; steps])[i] = Some(h);
    }

    pub(crate) fn set(&mut self, i: usize, sample: Sample) {
        match sample {
            Sample::Float(v) => self.set_float(i, v),
            Sample::Histogram(h) => self.set_histogram(i, h),
        }
    }

    pub(crate) fn clear(&mut self, i: usize) {
        self.values[i] = absent();
        if let Some(h) = &mut self.histograms {
            h[i] = None;
        }
    }

    /// Whether any step has a sample.
    pub(crate) fn has_samples(&self) -> bool {
        self.values.iter().any(|v| !is_absent(*v))
    }

    /// What the row weighs against the sample limit: a float is 1, a histogram its size in 16 bytes.
    pub(crate) fn weight(&self) -> usize {
        let present = self.values.iter().filter(|v| !is_absent(**v)).count();
        let extra: usize = self
            .histograms
            .iter()
            .flatten()
            .flatten()
            .map(|h| histogram_weight(h).saturating_sub(1))
            .sum();
        present + extra
    }

    /// The weight of each step's sample.
    pub(crate) fn each_weight(&self, tell: &mut StepWeights<'_>) {
        for step in 0..self.values.len() {
            match self.cell(step) {
                Cell::Absent => {}
                Cell::Float(_) => tell(step, 1),
                Cell::Histogram(h) => tell(step, histogram_weight(h)),
            }
        }
    }
}

/// A histogram's weight against the sample limit, in units of a float sample (16 bytes).
pub(crate) fn histogram_weight(h: &FloatHistogram) -> usize {
    let spans = 8 * (h.positive_spans.len() + h.negative_spans.len());
    let buckets = 8 * (h.positive_buckets.len() + h.negative_buckets.len() + h.custom_values.len());
    (168 + spans + buckets + 8) / 16
}

/// The value of a node: series in a deterministic order. A scalar is one row without labels.
pub(crate) type SeriesSet = Vec<Row>;

/// What Prometheus says when two samples would be indistinguishable.
pub(crate) fn same_labelset() -> QueryError {
    QueryError::Execution("vector cannot contain metrics with the same labelset".to_owned())
}

/// Labels that describe the metric and go away together: its name, type and unit.
pub(crate) fn is_metadata_label(name: &str) -> bool {
    // Nearly all names are told by their beginning.
    name.starts_with("__") && matches!(name, "__name__" | "__type__" | "__unit__")
}

/// The labels without name, type and unit.
pub(crate) fn drop_metadata(labels: &Labels) -> Labels {
    if labels.iter().any(|l| is_metadata_label(l.name)) {
        thread_local! {
            static BUFFER: RefCell<Selection> = RefCell::default();
        }
        BUFFER.with_borrow_mut(|buffer| labels.filter_in(buffer, |name| !is_metadata_label(name)))
    } else {
        labels.clone()
    }
}

/// Merges rows of equal labels as long as they have no step in common.
///
/// # Errors
/// When two rows have a sample at the same step.
pub(crate) fn merge_same_labels(rows: SeriesSet) -> Result<SeriesSet, QueryError> {
    if rows.len() < 2 {
        return Ok(rows);
    }
    let mut index: HashMap<Labels, usize, foldhash::fast::FixedState> =
        HashMap::with_capacity_and_hasher(rows.len(), foldhash::fast::FixedState::default());
    if rows
        .iter()
        .enumerate()
        .all(|(i, row)| index.insert(row.labels.clone(), i).is_none())
    {
        return Ok(rows);
    }
    index.clear();
    let mut merged: SeriesSet = Vec::with_capacity(rows.len());
    for row in rows {
        match index.get(&row.labels) {
            None => {
                index.insert(row.labels.clone(), merged.len());
                merged.push(row);
            }
            Some(&at) => {
                let target = &mut merged[at];
                for i in 0..row.values.len() {
                    if let Some(sample) = row.cell(i).to_sample() {
                        if target.present(i) {
                            return Err(same_labelset());
                        }
                        target.set(i, sample);
                    }
                }
            }
        }
    }
    Ok(merged)
}

/// Collects output samples into rows by label set, refusing two samples at one step.
#[derive(Debug, Default)]
pub(crate) struct RowBuilder {
    steps: usize,
    rows: SeriesSet,
    index: HashMap<Labels, usize, foldhash::fast::FixedState>,
}

impl RowBuilder {
    pub(crate) fn new(steps: usize) -> Self {
        Self {
            steps,
            ..Self::default()
        }
    }

    /// The row of a label set, created when new.
    pub(crate) fn row(&mut self, labels: &Labels, drop_name: bool) -> usize {
        if let Some(&at) = self.index.get(labels) {
            return at;
        }
        let at = self.rows.len();
        self.index.insert(labels.clone(), at);
        let mut row = Row::empty(labels.clone(), self.steps);
        row.drop_name = drop_name;
        self.rows.push(row);
        at
    }

    /// Further label sets get rows of their own, even if there are rows of the same labels.
    pub(crate) fn begin_apart(&mut self) {
        self.index.clear();
    }

    /// Whether there is a row of a label set.
    pub(crate) fn has(&self, labels: &Labels) -> bool {
        self.index.contains_key(labels)
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// When the row has a sample at that step already.
    pub(crate) fn put(
        &mut self,
        row: usize,
        step: usize,
        sample: Sample,
    ) -> Result<(), QueryError> {
        let row = &mut self.rows[row];
        if row.present(step) {
            return Err(same_labelset());
        }
        row.set(step, sample);
        Ok(())
    }

    /// Adds one to a step's number.
    pub(crate) fn count_up(&mut self, row: usize, step: usize) {
        let value = &mut self.rows[row].values[step];
        *value = if is_absent(*value) { 1.0 } else { *value + 1.0 };
    }

    /// Takes a row over, into the row of the same labels where there is one.
    ///
    /// # Errors
    /// When both have a sample at the same step.
    pub(crate) fn absorb(&mut self, row: Row) -> Result<(), QueryError> {
        let Some(&at) = self.index.get(&row.labels) else {
            self.index.insert(row.labels.clone(), self.rows.len());
            self.rows.push(row);
            return Ok(());
        };
        let target = &mut self.rows[at];
        let begins = |row: &Row| (0..row.values.len()).find(|step| row.present(*step));
        // Whether the name stays is decided by the sample that comes first in time.
        if begins(&row) < begins(target) {
            target.drop_name = row.drop_name;
        }
        for step in 0..row.values.len() {
            if let Some(sample) = row.cell(step).to_sample() {
                self.put(at, step, sample)?;
            }
        }
        Ok(())
    }

    /// The rows that got samples.
    pub(crate) fn finish(mut self) -> SeriesSet {
        self.rows.retain(Row::has_samples);
        self.rows
    }
}
