//! Exemplars: a ring of fixed size over all series.

use std::collections::VecDeque;
use std::sync::Arc;

use bellwether_model::Exemplar;
use bellwether_model::storage::AppendError;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// An exemplar in the ring.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) series: u32,
    pub(crate) t: i64,
    pub(crate) exemplar: Arc<Exemplar>,
}

/// The ring. When it is full, the oldest exemplar goes.
#[derive(Debug)]
pub(crate) struct ExemplarRing {
    max: usize,
    ring: VecDeque<Entry>,
    /// Newest exemplar and number of exemplars in the ring, per series.
    newest: HashMap<u32, (i64, Arc<Exemplar>, u32), RandomState>,
}

impl ExemplarRing {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            ring: VecDeque::new(),
            newest: HashMap::default(),
        }
    }

    /// Whether exemplars are stored at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.max > 0
    }

    /// Whether an exemplar may be added.
    ///
    /// # Errors
    /// [`AppendError::DuplicateExemplar`], [`AppendError::OutOfOrderExemplar`].
    pub(crate) fn check(&self, series: u32, t: i64, e: &Exemplar) -> Result<(), AppendError> {
        let Some((newest_t, newest, _)) = self.newest.get(&series) else {
            return Ok(());
        };
        if *newest_t == t
            && newest.value.to_bits() == e.value.to_bits()
            && newest.labels == e.labels
        {
            return Err(AppendError::DuplicateExemplar);
        }
        if t < *newest_t {
            return Err(AppendError::OutOfOrderExemplar);
        }
        Ok(())
    }

    /// Adds an exemplar. Returns whether it was taken.
    pub(crate) fn add(&mut self, series: u32, t: i64, e: Arc<Exemplar>) -> bool {
        if self.max == 0 || self.check(series, t, &e).is_err() {
            return false;
        }
        while self.ring.len() >= self.max {
            if let Some(old) = self.ring.pop_front()
                && let Some(entry) = self.newest.get_mut(&old.series)
            {
                entry.2 -= 1;
                if entry.2 == 0 {
                    self.newest.remove(&old.series);
                }
            }
        }
        let entry = self.newest.entry(series).or_insert((t, Arc::clone(&e), 0));
        *entry = (t, Arc::clone(&e), entry.2 + 1);
        self.ring.push_back(Entry {
            series,
            t,
            exemplar: e,
        });
        true
    }

    /// All exemplars, oldest added first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.ring.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn exemplar(v: f64) -> Arc<Exemplar> {
        Arc::new(Exemplar {
            labels: bellwether_model::Labels::from_pairs([("trace_id", "t")]),
            value: v,
            timestamp_ms: None,
        })
    }

    #[test]
    fn the_oldest_goes_and_order_is_kept_per_series() {
        let mut ring = ExemplarRing::new(2);
        assert!(ring.add(1, 10, exemplar(1.0)));
        assert!(!ring.add(1, 10, exemplar(1.0)));
        assert!(!ring.add(1, 9, exemplar(1.0)));
        assert!(ring.add(2, 5, exemplar(2.0)));
        assert!(ring.add(2, 6, exemplar(3.0)));
        let left: Vec<_> = ring.iter().map(|e| (e.series, e.t)).collect();
        assert_eq!(left, [(2, 5), (2, 6)]);
        // Series 1 has none left, so its history is forgotten.
        assert!(ring.add(1, 1, exemplar(1.0)));
    }
}
