//! The series that the log names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use bellwether_model::{Exemplar, Labels};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use parking_lot::Mutex;

/// A series: its name and the newest time that the log has.
#[derive(Debug)]
pub(super) struct AgentSeries {
    pub(super) reference: u64,
    pub(super) labels: Labels,
    newest: AtomicI64,
    /// The log has the name.
    is_logged: AtomicBool,
    /// The last exemplar, to leave out the same one again.
    pub(super) exemplar: Mutex<Option<Exemplar>>,
}

impl AgentSeries {
    pub(super) fn new(reference: u64, labels: Labels) -> Arc<Self> {
        Arc::new(Self {
            reference,
            labels,
            newest: AtomicI64::new(i64::MIN),
            is_logged: AtomicBool::new(false),
            exemplar: Mutex::new(None),
        })
    }

    /// The newest time, `i64::MIN` before the first sample.
    pub(super) fn newest(&self) -> i64 {
        self.newest.load(Ordering::Relaxed)
    }

    pub(super) fn is_logged(&self) -> bool {
        self.is_logged.load(Ordering::Relaxed)
    }

    /// The log has the name.
    pub(super) fn set_logged(&self) {
        self.is_logged.store(true, Ordering::Relaxed);
    }

    /// Takes note of a sample; false when there is a newer one.
    pub(super) fn note(&self, t: i64) -> bool {
        self.newest.fetch_max(t, Ordering::Relaxed) <= t
    }
}

/// All series, by labels and by reference.
#[derive(Debug, Default)]
pub(super) struct SeriesSet {
    by_labels: HashTable<Arc<AgentSeries>>,
    by_ref: HashMap<u64, Arc<AgentSeries>, RandomState>,
}

impl SeriesSet {
    pub(super) fn len(&self) -> usize {
        self.by_ref.len()
    }

    pub(super) fn get(&self, reference: u64) -> Option<&Arc<AgentSeries>> {
        self.by_ref.get(&reference)
    }

    pub(super) fn find(&self, labels: &Labels) -> Option<&Arc<AgentSeries>> {
        self.by_labels
            .find(labels.fast_hash(), |series| series.labels == *labels)
    }

    /// Adds a series that is not there.
    pub(super) fn insert(&mut self, series: Arc<AgentSeries>) {
        let hash = series.labels.fast_hash();
        self.by_ref.insert(series.reference, Arc::clone(&series));
        self.by_labels
            .insert_unique(hash, series, |series| series.labels.fast_hash());
    }

    /// Removes the series that have no sample from a time on and that no transaction holds; their references.
    pub(super) fn remove_before(&mut self, mint: i64) -> Vec<u64> {
        let mut gone = Vec::new();
        // Ours and the other table's: what a transaction has made, and has no sample yet, has a third holder.
        self.by_ref.retain(|reference, series| {
            let is_kept = series.newest() >= mint || Arc::strong_count(series) > 2;
            if !is_kept {
                gone.push(*reference);
            }
            is_kept
        });
        let kept = &self.by_ref;
        self.by_labels
            .retain(|series| kept.contains_key(&series.reference));
        gone
    }
}
