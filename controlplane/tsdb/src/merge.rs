//! One querier over several: the blocks of a range and the head.

use std::cmp::Ordering;
use std::sync::Arc;

use bellwether_model::histogram::{CounterResetHint, FloatHistogram};
use bellwether_model::storage::{
    Querier, SampleBuffer, Scan, Series, SeriesStream, SeriesVisitor, StorageError, scan_stream,
};
use bellwether_model::{Labels, Matcher};

/// Queriers by rising time range; where two have a sample at the same time, the earlier querier's counts.
pub struct MergeQuerier {
    pub(crate) parts: Vec<Box<dyn Querier>>,
}

impl std::fmt::Debug for MergeQuerier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MergeQuerier")
            .field("parts", &self.parts.len())
            .finish()
    }
}

impl MergeQuerier {
    /// One querier over several.
    #[must_use]
    pub fn new(parts: Vec<Box<dyn Querier>>) -> Self {
        Self { parts }
    }
}

impl Querier for MergeQuerier {
    fn select(
        &self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        self.stream(sorted, matchers)?.collect()
    }

    fn stream<'a>(
        &'a self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<SeriesStream<'a>, StorageError> {
        if let [only] = self.parts.as_slice() {
            return only.stream(sorted, matchers);
        }
        let streams = self.parts.iter().map(|part| part.stream(true, matchers));
        let aligned = Aligned::new(streams)?;
        Ok(Box::new(aligned.map(|series| series.map(join))))
    }

    fn scan(&self, scan: &Scan<'_>, visit: &mut SeriesVisitor<'_>) -> Result<(), StorageError> {
        if let [only] = self.parts.as_slice() {
            return only.scan(scan, visit);
        }
        scan_stream(self.stream(false, scan.matchers)?, scan, visit)
    }

    fn has_scan(&self) -> bool {
        matches!(self.parts.as_slice(), [only] if only.has_scan())
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        union(&self.parts, |part| part.label_names(matchers))
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        union(&self.parts, |part| part.label_values(name, matchers))
    }

    fn warnings(&self) -> Vec<String> {
        self.parts.iter().flat_map(|part| part.warnings()).collect()
    }
}

/// What each part says, sorted and without repetition.
fn union(
    parts: &[Box<dyn Querier>],
    texts: impl Fn(&dyn Querier) -> Result<Vec<String>, StorageError>,
) -> Result<Vec<String>, StorageError> {
    if let [only] = parts {
        return texts(&**only);
    }
    let mut all = Union::default();
    for part in parts {
        texts(&**part)?.iter().for_each(|text| all.add(text));
        all.next_list();
    }
    Ok(all.into_texts())
}

/// The union of sorted lists of texts, which have most of them in common.
#[derive(Default)]
pub(crate) struct Union {
    /// Sorted, each once.
    texts: Vec<String>,
    /// Texts before it are less than the last one of this list, or equal to it.
    at: usize,
    /// Texts of this list that are not in `texts`.
    new: Vec<String>,
}

impl Union {
    /// Adds a text that is not less than the one added before it to the same list.
    pub(crate) fn add(&mut self, text: &str) {
        while let Some(known) = self.texts.get(self.at) {
            match known.as_str().cmp(text) {
                Ordering::Less => self.at += 1,
                Ordering::Equal => return,
                Ordering::Greater => break,
            }
        }
        if self.new.last().is_none_or(|last| last != text) {
            self.new.push(text.to_owned());
        }
    }

    /// Ends a list.
    pub(crate) fn next_list(&mut self) {
        self.at = 0;
        if !self.new.is_empty() {
            self.texts.append(&mut self.new);
            // Two sorted runs: that is one merge.
            self.texts.sort();
        }
    }

    /// All texts of the lists that were ended, sorted.
    pub(crate) fn into_texts(self) -> Vec<String> {
        self.texts
    }
}

/// Something with labels.
pub(crate) trait Labelled {
    fn labels(&self) -> &Labels;
}

impl Labelled for Arc<dyn Series> {
    fn labels(&self) -> &Labels {
        (**self).labels()
    }
}

/// The sorted series of a part; never empty.
struct Source<I, T> {
    next: T,
    stream: I,
}

/// Brings the equal series of sorted streams together, in the order of the streams: the first and the others. Parts
/// of a database have most of their series in common, so nearly all comparisons find equal labels.
pub(crate) struct Aligned<I, T> {
    /// In the order of the parts; those at their end are gone.
    sources: Vec<Source<I, T>>,
}

impl<I: Iterator<Item = Result<T, StorageError>>, T: Labelled> Aligned<I, T> {
    pub(crate) fn new(
        streams: impl Iterator<Item = Result<I, StorageError>>,
    ) -> Result<Self, StorageError> {
        let mut sources = Vec::with_capacity(streams.size_hint().0);
        for stream in streams {
            let mut stream = stream?;
            if let Some(next) = stream.next() {
                sources.push(Source {
                    next: next?,
                    stream,
                });
            }
        }
        Ok(Self { sources })
    }

    /// Takes the next series of a source. Says whether the source has more.
    fn take(&mut self, at: usize) -> Result<(T, bool), StorageError> {
        let source = &mut self.sources[at];
        match source.stream.next() {
            Some(next) => Ok((std::mem::replace(&mut source.next, next?), true)),
            None => Ok((self.sources.remove(at).next, false)),
        }
    }

    fn step(&mut self) -> Result<Option<(T, Vec<T>)>, StorageError> {
        let Some(mut least) = self.sources.first().map(|s| s.next.labels()) else {
            return Ok(None);
        };
        for source in &self.sources[1..] {
            let labels = source.next.labels();
            if labels != least && labels < least {
                least = labels;
            }
        }
        let least = least.clone();
        let (mut first, mut others) = (None, Vec::new());
        let mut at = 0;
        while at < self.sources.len() {
            let mut more = true;
            if *self.sources[at].next.labels() == least {
                let (series, has_more) = self.take(at)?;
                match first {
                    None => first = Some(series),
                    Some(_) => {
                        others.reserve(self.sources.len());
                        others.push(series);
                    }
                }
                more = has_more;
            }
            at += usize::from(more);
        }
        Ok(first.map(|first| (first, others)))
    }
}

impl<I: Iterator<Item = Result<T, StorageError>>, T: Labelled> Iterator for Aligned<I, T> {
    type Item = Result<(T, Vec<T>), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.sources.clear();
        }
        step.transpose()
    }
}

/// One series of equal ones.
fn join((first, others): (Arc<dyn Series>, Vec<Arc<dyn Series>>)) -> Arc<dyn Series> {
    if others.is_empty() {
        return first;
    }
    let parts = std::iter::once(first).chain(others).collect();
    Arc::new(MergedSeries { parts })
}

/// A series that several parts have; never empty.
struct MergedSeries {
    parts: Vec<Arc<dyn Series>>,
}

impl Series for MergedSeries {
    fn labels(&self) -> &Labels {
        self.parts[0].labels()
    }

    fn read(&self, mint: i64, maxt: i64, out: &mut SampleBuffer) -> Result<(), StorageError> {
        let base = out.len();
        for part in &self.parts {
            let from = out.len();
            part.read(mint, maxt, out)?;
            let overlap =
                from > base && from < out.len() && out.timestamps[from - 1] >= out.timestamps[from];
            if overlap {
                sort_and_dedup(out, base);
            }
        }
        Ok(())
    }
}

/// Sorts samples from an index on by time; of equal times the first stays. A histogram that gets another
/// predecessor loses what it said about it: whether the counter was reset is for the reader to find out.
pub(crate) fn sort_and_dedup(out: &mut SampleBuffer, base: usize) {
    let mut order: Vec<usize> = (base..out.len()).collect();
    order.sort_by_key(|i| out.timestamps[*i]);
    order.dedup_by_key(|i| out.timestamps[*i]);
    let timestamps: Vec<i64> = order.iter().map(|i| out.timestamps[*i]).collect();
    let values: Vec<f64> = order.iter().map(|i| out.values[*i]).collect();
    if !out.histograms.is_empty() {
        let histograms: Vec<_> = order
            .iter()
            .enumerate()
            .map(|(k, i)| {
                let mut h = out.histograms[*i].clone();
                let same_predecessor = k > 0 && order[k - 1] + 1 == *i;
                if !same_predecessor && let Some(h) = &mut h {
                    forget_reset_hint(h);
                }
                h
            })
            .collect();
        out.histograms.truncate(base);
        out.histograms.extend(histograms);
    }
    out.timestamps.truncate(base);
    out.timestamps.extend(timestamps);
    out.values.truncate(base);
    out.values.extend(values);
}

fn forget_reset_hint(h: &mut Arc<FloatHistogram>) {
    if !matches!(
        h.reset_hint,
        CounterResetHint::Gauge | CounterResetHint::Unknown
    ) {
        Arc::make_mut(h).reset_hint = CounterResetHint::Unknown;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_with_another_predecessor_says_nothing_about_resets() {
        let histogram = |reset_hint| {
            Arc::new(FloatHistogram {
                reset_hint,
                ..FloatHistogram::default()
            })
        };
        let mut out = SampleBuffer::default();
        out.push_histogram(1, histogram(CounterResetHint::Reset));
        out.push_histogram(5, histogram(CounterResetHint::NotReset));
        out.push_histogram(6, histogram(CounterResetHint::NotReset));
        out.push_histogram(7, histogram(CounterResetHint::Gauge));
        out.push_histogram(2, histogram(CounterResetHint::NotReset));
        sort_and_dedup(&mut out, 0);
        assert_eq!(out.timestamps, [1, 2, 5, 6, 7]);
        let hints: Vec<_> = out
            .histograms
            .iter()
            .flatten()
            .map(|h| h.reset_hint)
            .collect();
        assert_eq!(
            hints,
            [
                CounterResetHint::Unknown,
                CounterResetHint::Unknown,
                CounterResetHint::Unknown,
                CounterResetHint::NotReset,
                CounterResetHint::Gauge,
            ]
        );
    }

    #[test]
    fn of_equal_times_the_first_stays() {
        let mut out = SampleBuffer::default();
        for (t, v) in [(9, 0.0), (1, 1.0), (3, 1.0), (2, 2.0), (3, 2.0)] {
            out.push_float(t, v);
        }
        sort_and_dedup(&mut out, 1);
        assert_eq!(out.timestamps, [9, 1, 2, 3]);
        assert_eq!(out.values, [0.0, 1.0, 2.0, 1.0]);
    }
}
