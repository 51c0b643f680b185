//! Samples in memory.

use std::collections::HashMap;

use bellwether_model::storage::{
    AppendError, Appendable, Appender, Querier, Queryable, SeriesRef, StorageError,
};
use bellwether_model::{Exemplar, FloatHistogram, Histogram, Labels, Metadata};
use bellwether_promql::testlang::storage::MemoryStorage;
use parking_lot::Mutex;

/// The newest sample of each series: its time, and its value if that is a float.
type Newest = HashMap<Labels, (i64, Option<u64>)>;

/// A [`MemoryStorage`] that refuses samples out of order and duplicates one by one, as a database does.
#[derive(Debug, Default)]
pub(super) struct TestStorage {
    inner: MemoryStorage,
    newest: Mutex<Newest>,
}

impl Queryable for TestStorage {
    fn querier(&self, mint: i64, maxt: i64) -> Result<Box<dyn Querier>, StorageError> {
        self.inner.querier(mint, maxt)
    }
}

impl Appendable for TestStorage {
    fn appender(&self) -> Box<dyn Appender + '_> {
        Box::new(TestAppender {
            inner: self.inner.appender(),
            storage: self,
            labels: HashMap::new(),
        })
    }
}

struct TestAppender<'a> {
    inner: Box<dyn Appender + 'a>,
    storage: &'a TestStorage,
    labels: HashMap<SeriesRef, Labels>,
}

impl TestAppender<'_> {
    /// Whether a sample is to be stored: false for one that is there already.
    fn check(&self, series: SeriesRef, t: i64, bits: Option<u64>) -> Result<bool, AppendError> {
        let labels = self.labels.get(&series).ok_or(AppendError::UnknownSeries)?;
        let mut newest = self.storage.newest.lock();
        match newest.get(labels) {
            Some((at, _)) if *at > t => return Err(AppendError::OutOfOrder),
            Some((at, value)) if *at == t => {
                return if value.is_some() && *value == bits {
                    Ok(false)
                } else {
                    Err(AppendError::DuplicateTimestamp(None))
                };
            }
            _ => {}
        }
        newest.insert(labels.clone(), (t, bits));
        Ok(true)
    }
}

impl Appender for TestAppender<'_> {
    fn series(&mut self, labels: &Labels) -> Result<SeriesRef, AppendError> {
        let series = self.inner.series(labels)?;
        self.labels.insert(series, labels.clone());
        Ok(series)
    }

    fn append(&mut self, series: SeriesRef, t: i64, v: f64) -> Result<(), AppendError> {
        if self.check(series, t, Some(v.to_bits()))? {
            self.inner.append(series, t, v)?;
        }
        Ok(())
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: Histogram,
    ) -> Result<(), AppendError> {
        if self.check(series, t, None)? {
            self.inner.append_histogram(series, t, h)?;
        }
        Ok(())
    }

    fn append_float_histogram(
        &mut self,
        series: SeriesRef,
        t: i64,
        h: FloatHistogram,
    ) -> Result<(), AppendError> {
        if self.check(series, t, None)? {
            self.inner.append_float_histogram(series, t, h)?;
        }
        Ok(())
    }

    fn append_exemplar(&mut self, _: SeriesRef, _: Exemplar) -> Result<(), AppendError> {
        Ok(())
    }

    fn update_metadata(&mut self, _: SeriesRef, _: &Metadata) -> Result<(), AppendError> {
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), AppendError> {
        self.inner.commit()
    }

    fn rollback(self: Box<Self>) {
        self.inner.rollback();
    }
}
