//! What a target's series were at the previous scrape.
//!
//! An entry maps the raw bytes of a series (name and labels as written) to its reference in storage, or to
//! the verdict that metric relabelling drops it, so that labels are taken apart once. Pages keep their order,
//! so the entry behind the previous one is tried before anything is hashed.
//!
//! A scrape is one *round*: [`SeriesCache::begin`], a look-up per line, then [`SeriesCache::finish`] or
//! [`SeriesCache::abandon`]. Entries that no round has touched for a while are forgotten.

use bellwether_model::Labels;
use bellwether_model::storage::SeriesRef;
use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable};
use std::hash::BuildHasher;

/// Rounds that an entry survives without being seen: a series that flickers keeps its entry.
const KEEP_ROUNDS: u64 = 2;

/// Index of an entry.
pub(crate) type EntryId = u32;

/// What is known of a series.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Metric relabelling drops it.
    Dropped,
    /// It is stored.
    Stored { series: SeriesRef, labels: Labels },
}

#[derive(Debug)]
struct Entry {
    raw: Box<[u8]>,
    hash: u64,
    verdict: Verdict,
    /// Round that saw it last.
    seen: u64,
    /// Round of the last sample that counts for staleness, and of the one before it: a round that breaks
    /// half-way must not hide what was there before.
    tracked: u64,
    tracked_before: u64,
    /// Place in the order of the round that saw it last.
    position: u32,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct SeriesCache {
    entries: Vec<Option<Entry>>,
    free: Vec<EntryId>,
    table: HashTable<EntryId>,
    /// Entries in the order of the last finished round.
    order: Vec<EntryId>,
    /// The same for the round under way.
    next_order: Vec<EntryId>,
    /// Where in `order` the next line is expected.
    cursor: usize,
    round: u64,
    /// Round whose tracked series count as present before the current one; 0 before the first.
    previous: u64,
    /// Series that a change of settings took out of the cache while they were present.
    orphans: Vec<(SeriesRef, Labels)>,
}

/// The outcome of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Known; `again` says that this round has seen it already.
    Known { id: EntryId, again: bool },
    /// Not known.
    New { hash: u64 },
}

fn hash(raw: &[u8]) -> u64 {
    FixedState::with_seed(0x7365_7269).hash_one(raw)
}

impl SeriesCache {
    /// Starts a round.
    pub(crate) fn begin(&mut self) {
        self.round += 1;
        self.cursor = 0;
        self.next_order.clear();
    }

    /// The raw bytes expected next, empty where nothing is.
    #[inline]
    pub(crate) fn expected(&self) -> &[u8] {
        self.order
            .get(self.cursor)
            .and_then(|id| self.entries[*id as usize].as_ref())
            .map_or(&[], |entry| &entry.raw)
    }

    /// Looks a line up; `expected` says that it is the one [`Self::expected`] named.
    #[inline]
    pub(crate) fn find(&mut self, raw: &[u8], expected: bool) -> Found {
        if expected {
            let id = self.order[self.cursor];
            self.cursor += 1;
            return self.touch(id);
        }
        let hash = hash(raw);
        let found = self.table.find(hash, |id| {
            self.entries[*id as usize]
                .as_ref()
                .is_some_and(|entry| *entry.raw == *raw)
        });
        match found.copied() {
            Some(id) => {
                if let Some(entry) = &self.entries[id as usize]
                    && self.order.get(entry.position as usize) == Some(&id)
                {
                    self.cursor = entry.position as usize + 1;
                }
                self.touch(id)
            }
            None => Found::New { hash },
        }
    }

    #[inline]
    fn touch(&mut self, id: EntryId) -> Found {
        let Some(entry) = &mut self.entries[id as usize] else {
            // The table and the order only hold living entries.
            return Found::New { hash: 0 };
        };
        let again = entry.seen == self.round;
        if !again {
            entry.seen = self.round;
            self.next_order.push(id);
        }
        Found::Known { id, again }
    }

    /// Adds a new series; `hash` is that of [`Found::New`].
    pub(crate) fn insert(&mut self, raw: &[u8], hash: u64, verdict: Verdict) -> EntryId {
        let entry = Entry {
            raw: raw.into(),
            hash,
            verdict,
            seen: self.round,
            tracked: 0,
            tracked_before: 0,
            position: u32::MAX,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = Some(entry);
                id
            }
            None => {
                self.entries.push(Some(entry));
                EntryId::try_from(self.entries.len() - 1)
                    .expect("a page has fewer than 2^32 lines: they would not fit into memory")
            }
        };
        let entries = &self.entries;
        self.table.insert_unique(hash, id, |id| {
            entries[*id as usize].as_ref().map_or(0, |e| e.hash)
        });
        self.next_order.push(id);
        id
    }

    /// The reference of a stored series, `None` for a dropped one.
    #[inline]
    pub(crate) fn series(&self, id: EntryId) -> Option<SeriesRef> {
        match &self.entries[id as usize].as_ref()?.verdict {
            Verdict::Stored { series, .. } => Some(*series),
            Verdict::Dropped => None,
        }
    }

    /// The labels of a stored series.
    pub(crate) fn labels(&self, id: EntryId) -> Option<&Labels> {
        match &self.entries[id as usize].as_ref()?.verdict {
            Verdict::Stored { labels, .. } => Some(labels),
            Verdict::Dropped => None,
        }
    }

    /// Replaces a reference that storage no longer knows.
    pub(crate) fn set_series(&mut self, id: EntryId, new: SeriesRef) {
        if let Some(Entry {
            verdict: Verdict::Stored { series, .. },
            ..
        }) = &mut self.entries[id as usize]
        {
            *series = new;
        }
    }

    /// Marks a series as present in this round.
    #[inline]
    pub(crate) fn track(&mut self, id: EntryId) {
        if let Some(entry) = &mut self.entries[id as usize]
            && entry.tracked != self.round
        {
            entry.tracked_before = entry.tracked;
            entry.tracked = self.round;
        }
    }

    /// Series that were present before this round and are not now. A series that only changed its spelling
    /// is still there.
    pub(crate) fn vanished(&self) -> Vec<(SeriesRef, Labels)> {
        let mut vanished: Vec<(SeriesRef, Labels)> = self.orphans.clone();
        if self.previous > 0 {
            for id in &self.order {
                if let Some(Entry {
                    tracked,
                    verdict: Verdict::Stored { series, labels },
                    ..
                }) = &self.entries[*id as usize]
                    && *tracked == self.previous
                {
                    vanished.push((*series, labels.clone()));
                }
            }
        }
        if !vanished.is_empty() {
            let present: HashSet<&Labels, FixedState> = self.tracked_in(self.round).collect();
            vanished.retain(|(_, labels)| !present.contains(labels));
        }
        vanished
    }

    /// Series that count as present after the last finished or abandoned round, also when another round has
    /// been begun and given up since.
    pub(crate) fn present(&self) -> Vec<(SeriesRef, Labels)> {
        if self.previous == 0 {
            return self.orphans.clone();
        }
        self.entries
            .iter()
            .flatten()
            .filter(|entry| [entry.tracked, entry.tracked_before].contains(&self.previous))
            .filter_map(|entry| match &entry.verdict {
                Verdict::Stored { series, labels } => Some((*series, labels.clone())),
                Verdict::Dropped => None,
            })
            .chain(self.orphans.iter().cloned())
            .collect()
    }

    fn tracked_in(&self, round: u64) -> impl Iterator<Item = &Labels> {
        self.next_order
            .iter()
            .filter_map(move |id| match self.entries[*id as usize].as_ref() {
                Some(Entry {
                    tracked,
                    verdict: Verdict::Stored { labels, .. },
                    ..
                }) if *tracked == round => Some(labels),
                _ => None,
            })
    }

    /// Ends a round that succeeded.
    pub(crate) fn finish(&mut self) {
        self.previous = self.round;
        self.orphans.clear();
        std::mem::swap(&mut self.order, &mut self.next_order);
        for (position, id) in self.order.iter().enumerate() {
            if let Some(entry) = &mut self.entries[*id as usize] {
                entry.position = u32::try_from(position).unwrap_or(u32::MAX);
            }
        }
        if self.table.len() > self.order.len() {
            self.forget_unseen();
        }
    }

    /// Ends a round that failed: nothing counts as present any more, entries stay.
    pub(crate) fn abandon(&mut self) {
        self.previous = 0;
        self.orphans.clear();
    }

    fn forget_unseen(&mut self) {
        for id in 0..self.entries.len() {
            let Some(entry) = &self.entries[id] else {
                continue;
            };
            if self.round - entry.seen <= KEEP_ROUNDS {
                continue;
            }
            let id = id as EntryId;
            if let Ok(slot) = self.table.find_entry(entry.hash, |other| *other == id) {
                slot.remove();
            }
            self.entries[id as usize] = None;
            self.free.push(id);
        }
    }

    /// Forgets every verdict, for settings that change what becomes of a line. Series that are present stay
    /// known until the next round has shown whether they still are.
    pub(crate) fn reset(&mut self) {
        let orphans = self.present();
        *self = Self {
            round: self.round,
            orphans,
            ..Self::default()
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn stored(n: u64, name: &str) -> Verdict {
        Verdict::Stored {
            series: SeriesRef(n),
            labels: Labels::from_pairs([("__name__", name)]),
        }
    }

    /// One round over the names; new ones are stored under their position's number plus `base`.
    fn round(cache: &mut SeriesCache, names: &[&str], base: u64) -> (usize, Vec<String>) {
        cache.begin();
        let mut expected_hits = 0;
        for (i, name) in names.iter().enumerate() {
            let expected = cache.expected() == name.as_bytes();
            expected_hits += usize::from(expected);
            let id = match cache.find(name.as_bytes(), expected) {
                Found::Known { id, .. } => id,
                Found::New { hash } => {
                    // Spellings "x " and "x" are the same series.
                    cache.insert(name.as_bytes(), hash, stored(base + i as u64, name.trim()))
                }
            };
            cache.track(id);
        }
        let mut vanished: Vec<String> = cache
            .vanished()
            .into_iter()
            .map(|(_, l)| l.metric_name().unwrap().to_owned())
            .collect();
        vanished.sort();
        cache.finish();
        (expected_hits, vanished)
    }

    #[test]
    fn an_unchanged_page_is_never_hashed() {
        let mut cache = SeriesCache::default();
        assert_eq!(round(&mut cache, &["a", "b", "c"], 1).0, 0);
        assert_eq!(round(&mut cache, &["a", "b", "c"], 1).0, 3);
        // One new line in between costs one hash for itself; the next is found by its place.
        assert_eq!(round(&mut cache, &["a", "x", "b", "c"], 9).0, 3);
        assert_eq!(round(&mut cache, &["c", "a", "x", "b"], 9).0, 2);
    }

    #[test]
    fn vanished_series_are_told_once_and_spelling_does_not_matter() {
        let mut cache = SeriesCache::default();
        assert!(round(&mut cache, &["a", "b"], 1).1.is_empty());
        assert_eq!(round(&mut cache, &["b"], 1).1, ["a"]);
        assert!(round(&mut cache, &["b"], 1).1.is_empty());
        assert!(round(&mut cache, &["b "], 1).1.is_empty());
    }

    #[test]
    fn an_abandoned_round_leaves_nothing_present() {
        let mut cache = SeriesCache::default();
        round(&mut cache, &["a"], 1);
        // A page that breaks after its first line.
        cache.begin();
        let Found::Known { id, .. } = cache.find(b"a", false) else {
            panic!("a is known")
        };
        cache.track(id);
        assert_eq!(cache.present().len(), 1);
        cache.begin();
        cache.abandon();
        assert!(cache.present().is_empty());
        assert!(round(&mut cache, &["b"], 1).1.is_empty());
        assert_eq!(cache.present().len(), 1);
    }

    #[test]
    fn unseen_entries_are_forgotten_and_their_slots_reused() {
        let mut cache = SeriesCache::default();
        for i in 0..50 {
            let name = format!("series_{i}");
            round(&mut cache, &["stays", &name], 1);
        }
        assert!(cache.table.len() <= 2 + KEEP_ROUNDS as usize);
        assert!(cache.entries.len() <= 3 + KEEP_ROUNDS as usize);
    }

    #[test]
    fn a_reset_remembers_what_was_present() {
        let mut cache = SeriesCache::default();
        round(&mut cache, &["a", "b"], 1);
        cache.reset();
        assert_eq!(cache.present().len(), 2);
        assert_eq!(round(&mut cache, &["b"], 1).1, ["a"]);
    }
}
