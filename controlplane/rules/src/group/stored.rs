//! The results of a rule as the storage has them.

use std::collections::HashSet;

use bellwether_model::Labels;
use bellwether_model::storage::{AppendError, Appender, SeriesRef};
use bellwether_promql::{Point, VectorSample};

/// The series of a rule's latest results, in the order of the results.
#[derive(Debug, Default)]
pub(super) struct Stored(Vec<(Labels, SeriesRef)>);

impl Stored {
    /// The series that `of` was, where the result at this place is the same as last time.
    fn expected(&self, place: usize, of: &Labels) -> Option<SeriesRef> {
        let (labels, series) = self.0.get(place)?;
        (labels == of).then_some(*series)
    }

    /// Appends the result at a place. Returns its series.
    pub(super) fn append(
        &self,
        appender: &mut dyn Appender,
        place: usize,
        sample: &VectorSample,
    ) -> Result<SeriesRef, AppendError> {
        let series = match self.expected(place, &sample.labels) {
            Some(series) if appender.has(series) => series,
            _ => appender.series(&sample.labels)?,
        };
        match &sample.point {
            Point::Float(v) => appender.append(series, sample.t, *v)?,
            Point::Histogram(h) => {
                appender.append_float_histogram(series, sample.t, (**h).clone())?;
            }
        }
        Ok(series)
    }

    /// Adds a result.
    pub(super) fn push(&mut self, labels: Labels, series: SeriesRef) {
        self.0.push((labels, series));
    }

    /// The series that are not in `now`.
    pub(super) fn vanished(&self, now: &Self) -> Vec<&Labels> {
        let pairs = self.0.iter().zip(&now.0);
        if self.0.len() == now.0.len() && pairs.clone().all(|(a, b)| a.0 == b.0) {
            return Vec::new();
        }
        let present: HashSet<&Labels> = now.0.iter().map(|(labels, _)| labels).collect();
        let mut gone = HashSet::new();
        let labels = self.0.iter().map(|(labels, _)| labels);
        labels
            .filter(|labels| !present.contains(labels) && gone.insert(*labels))
            .collect()
    }

    /// Takes all series out.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Labels> {
        self.0.drain(..).map(|(labels, _)| labels)
    }
}
