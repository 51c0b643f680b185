//! Samples on their way into a request.

use std::time::Instant;

use bellwether_model::Labels;

use super::progress::Place;
use crate::request::HistogramRecord;

/// A sample that waits: 24 bytes, so that a full queue is small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// Slot of its series.
    pub(crate) slot: u32,
    /// 0 for a float sample, else the number of what it is in [`Batch::others`] plus 1.
    pub(crate) other: u32,
    /// Milliseconds since the epoch.
    pub(crate) t: i64,
    /// Value of a float sample or an exemplar.
    pub(crate) v: f64,
}

/// What is no float sample.
#[derive(Debug)]
pub(crate) enum Other {
    Histogram(HistogramRecord),
    /// The exemplar's own labels.
    Exemplar(Labels),
}

/// Numbers by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) samples: u64,
    pub(crate) histograms: u64,
    pub(crate) exemplars: u64,
}

impl Counts {
    pub(crate) fn total(self) -> u64 {
        self.samples + self.histograms + self.exemplars
    }
}

/// The content of one request.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Item>,
    pub(crate) others: Vec<Other>,
    pub(crate) counts: Counts,
    /// Place of the last item in the log.
    pub(crate) end: Place,
    /// When the first item came.
    pub(crate) since: Instant,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            items: Vec::new(),
            others: Vec::new(),
            counts: Counts::default(),
            end: Place::default(),
            since: Instant::now(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Empties it and keeps its memory.
    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.others.clear();
        self.counts = Counts::default();
    }

    /// Adds a float sample.
    #[inline]
    pub(crate) fn push(&mut self, slot: u32, t: i64, v: f64) {
        self.counts.samples += 1;
        self.items.push(Item {
            slot,
            other: 0,
            t,
            v,
        });
    }

    /// Adds something else.
    pub(crate) fn push_other(&mut self, slot: u32, t: i64, v: f64, other: Other) {
        match other {
            Other::Histogram(_) => self.counts.histograms += 1,
            Other::Exemplar(_) => self.counts.exemplars += 1,
        }
        self.others.push(other);
        // A batch has far fewer than 2^32.
        let other = self.others.len() as u32;
        self.items.push(Item { slot, other, t, v });
    }

    /// What an item is, `None` for a float sample.
    pub(crate) fn other(&self, item: &Item) -> Option<&Other> {
        self.others.get((item.other as usize).checked_sub(1)?)
    }
}
