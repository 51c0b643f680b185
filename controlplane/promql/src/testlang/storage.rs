//! A storage in memory, for tests and scripts.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

use bellwether_model::storage::{
    AppendError, Appendable, Appender, Querier, Queryable, SampleBuffer, Series, SeriesRef,
    StorageError,
};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels, Matcher, Metadata};

use super::chunk;

/// Series by labels. Samples have to come in time order. Native histograms get the reset hints and empty buckets that
/// a Prometheus database would return for them.
#[derive(Debug, Default)]
pub struct MemoryStorage {
    series: RwLock<BTreeMap<Labels, Arc<MemorySeries>>>,
}

#[derive(Debug)]
struct MemorySeries {
    labels: Labels,
    samples: SampleBuffer,
    /// Where the open chunk of histograms begins.
    chunk: usize,
}

impl MemoryStorage {
    /// An empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.write().clear();
    }

    /// Starts a transaction that can give samples a start timestamp.
    #[must_use]
    pub fn writer(&self) -> MemoryAppender<'_> {
        MemoryAppender {
            storage: self,
            series: Vec::new(),
            samples: Vec::new(),
        }
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<Labels, Arc<MemorySeries>>> {
        self.series
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn snapshot(&self) -> Vec<Arc<MemorySeries>> {
        let series = self
            .series
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        series.values().cloned().collect()
    }
}

impl Queryable for MemoryStorage {
    fn querier(&self, _mint: i64, _maxt: i64) -> Result<Box<dyn Querier>, StorageError> {
        Ok(Box::new(MemoryQuerier(self.snapshot())))
    }
}

struct MemoryQuerier(Vec<Arc<MemorySeries>>);

impl MemoryQuerier {
    fn matching<'a>(
        &'a self,
        matchers: &'a [Matcher],
    ) -> impl Iterator<Item = &'a Arc<MemorySeries>> {
        self.0
            .iter()
            .filter(|s| matchers.iter().all(|m| m.matches(s.labels.value(&m.name))))
    }
}

fn sorted(values: impl Iterator<Item = String>) -> Vec<String> {
    values
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect()
}

impl Querier for MemoryQuerier {
    fn select(
        &self,
        _sorted: bool,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        Ok(self
            .matching(matchers)
            .map(|s| Arc::clone(s) as Arc<dyn Series>)
            .collect())
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        let names = self
            .matching(matchers)
            .flat_map(|s| s.labels.iter().map(|l| l.name.to_owned()));
        Ok(sorted(names))
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        let values = self
            .matching(matchers)
            .filter_map(|s| s.labels.get(name).map(str::to_owned));
        Ok(sorted(values))
    }
}

impl Series for MemorySeries {
    fn labels(&self) -> &Labels {
        &self.labels
    }

    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        let times = &self.samples.timestamps;
        let from = times.partition_point(|t| *t < mint);
        let until = times.partition_point(|t| *t <= maxt);
        for (i, t) in times.iter().enumerate().take(until).skip(from) {
            match self.samples.histogram(i) {
                Some(h) => out.push_histogram(*t, Arc::clone(h)),
                None => out.push_float(*t, self.samples.values[i]),
            }
            match self.samples.start_timestamp(i) {
                0 => {}
                start => out.set_start_timestamp(start),
            }
        }
        Ok(())
    }
}

impl Appendable for MemoryStorage {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(self.writer())
    }
}

enum Value {
    Float(f64),
    Histogram(FloatHistogram),
}

/// Collects a transaction; references are positions in its list of series.
pub struct MemoryAppender<'a> {
    storage: &'a MemoryStorage,
    series: Vec<Labels>,
    samples: Vec<NewSample>,
}

struct NewSample {
    series: usize,
    t: i64,
    value: Value,
    /// Zero where it is not known.
    start: i64,
}

impl MemoryAppender<'_> {
    /// Says when the counter of the sample added last began, in milliseconds since the epoch.
    pub fn started(&mut self, start: i64) {
        if let Some(last) = self.samples.last_mut() {
            last.start = start;
        }
    }

    fn push(&mut self, series: SeriesRef, t: i64, value: Value) -> Result<(), AppendError> {
        let at = usize::try_from(series.0)
            .ok()
            .and_then(|n| n.checked_sub(1));
        let at = at
            .filter(|at| *at < self.series.len())
            .ok_or(AppendError::UnknownSeries)?;
        self.samples.push(NewSample {
            series: at,
            t,
            value,
            start: 0,
        });
        Ok(())
    }
}

impl Appender for MemoryAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        if labels.is_empty() {
            return Err(AppendError::InvalidLabels("empty label set".to_owned()));
        }
        let at = self
            .series
            .iter()
            .position(|l| l == labels)
            .unwrap_or_else(|| {
                self.series.push(labels.clone());
                self.series.len() - 1
            });
        Ok(SeriesRef(at as u64 + 1))
    }

    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        self.push(series, t, Value::Float(v))
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: Histogram,
    ) -> Result<(), AppendError> {
        self.push(series, t, Value::Histogram(h.to_float()))
    }

    fn append_float_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: FloatHistogram,
    ) -> Result<(), AppendError> {
        self.push(series, t, Value::Histogram(h))
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: Exemplar) -> Result<(), AppendError> {
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), AppendError> {
        let mut all = self.storage.write();
        for NewSample {
            series: at,
            t,
            value,
            start,
        } in self.samples
        {
            let labels = &self.series[at];
            let series = all.entry(labels.clone()).or_insert_with(|| {
                Arc::new(MemorySeries {
                    labels: labels.clone(),
                    samples: SampleBuffer::default(),
                    chunk: 0,
                })
            });
            match series.samples.timestamps.last() {
                Some(last) if *last > t => return Err(AppendError::OutOfOrder),
                // The same sample once more says nothing new.
                Some(last) if *last == t && is_last(&series.samples, &value) => continue,
                Some(last) if *last == t => {
                    return Err(AppendError::DuplicateTimestamp(None));
                }
                _ => {}
            }
            if Arc::get_mut(series).is_none() {
                // Queriers hold the old version.
                *series = Arc::new(MemorySeries {
                    labels: labels.clone(),
                    samples: series.samples.clone(),
                    chunk: series.chunk,
                });
            }
            let Some(MemorySeries { samples, chunk, .. }) = Arc::get_mut(series) else {
                continue;
            };
            match value {
                Value::Float(v) => samples.push_float(t, v),
                Value::Histogram(h) => chunk::push(samples, chunk, t, h),
            }
            if start != 0 {
                samples.set_start_timestamp(start);
            }
        }
        Ok(())
    }

    fn rollback(self: Box<Self>) {}
}

/// Whether the newest sample has this value.
fn is_last(samples: &SampleBuffer, value: &Value) -> bool {
    let Some(last) = samples.len().checked_sub(1) else {
        return false;
    };
    match (samples.histogram(last), value) {
        (None, Value::Float(v)) => samples.values[last].to_bits() == v.to_bits(),
        (Some(h), Value::Histogram(new)) => h.equals(new),
        _ => false,
    }
}
