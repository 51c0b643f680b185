//! One querier over several: the blocks of a range and the head.

use std::collections::BTreeSet;
use std::sync::Arc;

use bellwether_model::histogram::{CounterResetHint, FloatHistogram};
use bellwether_model::storage::{Querier, SampleBuffer, Series, StorageError};
use bellwether_model::{Labels, Matcher};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Queriers by rising time range; where two have a sample at the same time, the earlier querier's counts.
pub(crate) struct MergeQuerier {
    pub(crate) parts: Vec<Box<dyn Querier>>,
}

impl Querier for MergeQuerier {
    fn select(
        &self,
        sorted: bool,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<dyn Series>>, StorageError> {
        if let [only] = self.parts.as_slice() {
            return only.select(sorted, matchers);
        }
        let mut groups: Vec<Vec<Arc<dyn Series>>> = Vec::new();
        let mut at: HashMap<Labels, usize, RandomState> = HashMap::default();
        for part in &self.parts {
            for series in part.select(false, matchers)? {
                match at.get(series.labels()) {
                    Some(i) => groups[*i].push(series),
                    None => {
                        at.insert(series.labels().clone(), groups.len());
                        groups.push(vec![series]);
                    }
                }
            }
        }
        if sorted {
            groups.sort_by(|a, b| a[0].labels().cmp(b[0].labels()));
        }
        Ok(groups
            .into_iter()
            .map(|mut parts| match (parts.pop(), parts.is_empty()) {
                (Some(only), true) => only,
                (last, _) => {
                    parts.extend(last);
                    Arc::new(MergedSeries { parts })
                }
            })
            .collect())
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        let mut all = BTreeSet::new();
        for part in &self.parts {
            all.extend(part.label_names(matchers)?);
        }
        Ok(all.into_iter().collect())
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>, StorageError> {
        let mut all = BTreeSet::new();
        for part in &self.parts {
            all.extend(part.label_values(name, matchers)?);
        }
        Ok(all.into_iter().collect())
    }
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
