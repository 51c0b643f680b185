//! What a target's series were at the previous scrape.
//!
//! An entry maps the raw bytes of a series (name and labels as written) to its reference in storage, or to
//! the verdict that metric relabelling drops it, so that labels are taken apart once. Pages keep their order,
//! so the entry behind the previous one is tried before anything is hashed; the raw bytes of all entries lie in
//! one buffer, so that comparing a page in order reads memory in order.
//!
//! A scrape is one *round*: [`SeriesCache::begin`], a look-up per line, then [`SeriesCache::finish`] or
//! [`SeriesCache::abandon`]. Entries that no round has touched for a while are forgotten.

use bellwether_model::storage::SeriesRef;
use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable};
use std::hash::BuildHasher;

/// Rounds that an entry survives without being seen: a series that flickers keeps its entry.
const KEEP_ROUNDS: u32 = 2;

/// Index of an entry.
pub(crate) type EntryId = u32;

/// What is known of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Metric relabelling drops it.
    Dropped,
    /// It is stored.
    Stored(SeriesRef),
}

/// One per line of the page: every byte counts.
#[derive(Debug)]
struct Entry {
    /// Its reference in storage, [`DROPPED`] without one.
    series: u64,
    /// Where the raw bytes are; there are none where the entry is not in use.
    start: u32,
    len: u32,
    /// Round that saw it last.
    seen: u32,
    /// Round of the last sample that counts for staleness, and of the one before it: a round that breaks
    /// half-way must not hide what was there before.
    tracked: u32,
    tracked_before: u32,
    /// Place in the order of the round that saw it last.
    position: u32,
}

/// In place of a reference: metric relabelling drops the series.
const DROPPED: u64 = u64::MAX;

impl Entry {
    fn raw<'t>(&self, texts: &'t [u8]) -> &'t [u8] {
        let start = self.start as usize;
        &texts[start..start + self.len as usize]
    }

    #[inline]
    fn stored(&self) -> Option<SeriesRef> {
        (self.series != DROPPED).then_some(SeriesRef(self.series))
    }

    fn is_live(&self) -> bool {
        self.len > 0
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct SeriesCache {
    entries: Vec<Entry>,
    free: Vec<EntryId>,
    /// Raw bytes of the entries, with gaps where entries were forgotten.
    texts: Vec<u8>,
    gaps: usize,
    table: HashTable<EntryId>,
    /// Entries in the order of the last finished round.
    order: Vec<EntryId>,
    /// The same for the round under way.
    next_order: Vec<EntryId>,
    /// Where in `order` the next line is expected.
    cursor: usize,
    /// Scrapes every millisecond would take seven weeks to use these numbers up.
    round: u32,
    /// Round whose tracked series count as present before the current one; 0 before the first.
    previous: u32,
    /// Series that a change of settings took out of the cache while they were present.
    orphans: Vec<SeriesRef>,
}

/// The outcome of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Known; `again` says that this round has seen it already.
    Known { id: EntryId, again: bool },
    /// Not known.
    New { hash: u64 },
}

/// A place or length in the texts of a page. They are at most those of the page three times, and pages of more
/// than a gigabyte are refused.
fn offset(n: usize) -> u32 {
    u32::try_from(n).expect("the texts of a page have fewer than 2^32 bytes")
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
        match self.order.get(self.cursor) {
            Some(id) => self.entries[*id as usize].raw(&self.texts),
            None => &[],
        }
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
            self.entries[*id as usize].raw(&self.texts) == raw
        });
        match found.copied() {
            Some(id) => {
                let position = self.entries[id as usize].position as usize;
                if self.order.get(position) == Some(&id) {
                    self.cursor = position + 1;
                }
                self.touch(id)
            }
            None => Found::New { hash },
        }
    }

    #[inline]
    fn touch(&mut self, id: EntryId) -> Found {
        let entry = &mut self.entries[id as usize];
        let again = entry.seen == self.round;
        if !again {
            entry.seen = self.round;
            entry.position = self.next_order.len() as u32;
            self.next_order.push(id);
        }
        Found::Known { id, again }
    }

    /// Adds a new series; `hash` is that of [`Found::New`].
    pub(crate) fn insert(&mut self, raw: &[u8], hash: u64, verdict: Verdict) -> EntryId {
        debug_assert!(!raw.is_empty(), "a series has a text");
        let entry = Entry {
            series: match verdict {
                Verdict::Stored(series) => series.0,
                Verdict::Dropped => DROPPED,
            },
            start: offset(self.texts.len()),
            len: offset(raw.len()),
            seen: self.round,
            tracked: 0,
            tracked_before: 0,
            position: self.next_order.len() as u32,
        };
        self.texts.extend_from_slice(raw);
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id as usize] = entry;
                id
            }
            None => {
                self.entries.push(entry);
                EntryId::try_from(self.entries.len() - 1)
                    .expect("a page has fewer than 2^32 lines: they would not fit into memory")
            }
        };
        let (entries, texts) = (&self.entries, &self.texts);
        self.table
            .insert_unique(hash, id, |id| self::hash(entries[*id as usize].raw(texts)));
        self.next_order.push(id);
        id
    }

    /// The reference of a stored series, `None` for a dropped one.
    #[inline]
    pub(crate) fn series(&self, id: EntryId) -> Option<SeriesRef> {
        self.entries[id as usize].stored()
    }

    /// Replaces a reference that storage no longer knows.
    pub(crate) fn set_series(&mut self, id: EntryId, new: SeriesRef) {
        self.entries[id as usize].series = new.0;
    }

    /// Marks a series as present in this round.
    #[inline]
    pub(crate) fn track(&mut self, id: EntryId) {
        let entry = &mut self.entries[id as usize];
        if entry.tracked != self.round {
            entry.tracked_before = entry.tracked;
            entry.tracked = self.round;
        }
    }

    /// Series that were present before this round and are not now. A series that only changed its spelling
    /// is still there.
    pub(crate) fn vanished(&self) -> Vec<SeriesRef> {
        let mut vanished = self.orphans.clone();
        if self.previous > 0 {
            let before = self.order.iter().map(|id| &self.entries[*id as usize]);
            vanished.extend(
                before
                    .filter(|entry| entry.tracked == self.previous)
                    .filter_map(Entry::stored),
            );
        }
        if !vanished.is_empty() {
            let present: HashSet<SeriesRef, FixedState> = self
                .next_order
                .iter()
                .map(|id| &self.entries[*id as usize])
                .filter(|entry| entry.tracked == self.round)
                .filter_map(Entry::stored)
                .collect();
            vanished.retain(|series| !present.contains(series));
        }
        vanished
    }

    /// Series that count as present after the last finished or abandoned round, also when another round has
    /// been begun and given up since.
    pub(crate) fn present(&self) -> Vec<SeriesRef> {
        if self.previous == 0 {
            return self.orphans.clone();
        }
        self.entries
            .iter()
            .filter(|entry| [entry.tracked, entry.tracked_before].contains(&self.previous))
            .filter_map(Entry::stored)
            .chain(self.orphans.iter().copied())
            .collect()
    }

    /// Ends a round that succeeded.
    pub(crate) fn finish(&mut self) {
        self.previous = self.round;
        self.orphans.clear();
        std::mem::swap(&mut self.order, &mut self.next_order);
        if self.table.len() > self.order.len() {
            self.forget_unseen();
        }
        if self.gaps > self.texts.len() / 2 {
            self.close_gaps();
        }
        self.shrink();
    }

    /// Gives back what growing by doubling took too much: pages seldom grow further.
    fn shrink(&mut self) {
        fn fit<T>(list: &mut Vec<T>) {
            if list.capacity() - list.len() > list.len() / 8 {
                list.shrink_to(list.len() + list.len() / 16);
            }
        }
        fit(&mut self.entries);
        fit(&mut self.texts);
        fit(&mut self.order);
    }

    /// Ends a round that failed: nothing counts as present any more, entries stay.
    pub(crate) fn abandon(&mut self) {
        self.previous = 0;
        self.orphans.clear();
    }

    fn forget_unseen(&mut self) {
        for (id, entry) in self.entries.iter_mut().enumerate() {
            if !entry.is_live() || self.round - entry.seen <= KEEP_ROUNDS {
                continue;
            }
            let id = id as EntryId;
            let hash = hash(entry.raw(&self.texts));
            if let Ok(slot) = self.table.find_entry(hash, |other| *other == id) {
                slot.remove();
            }
            self.gaps += entry.len as usize;
            // Neither compared nor present any more.
            entry.len = 0;
            (entry.tracked, entry.tracked_before) = (0, 0);
            self.free.push(id);
        }
    }

    /// Writes the raw bytes anew in the order of the page.
    fn close_gaps(&mut self) {
        let mut texts = Vec::with_capacity(self.texts.len() - self.gaps);
        let rest = 0..self.entries.len() as EntryId;
        let mut moved = vec![false; self.entries.len()];
        for id in self.order.iter().copied().chain(rest) {
            let entry = &mut self.entries[id as usize];
            if entry.is_live() && !std::mem::replace(&mut moved[id as usize], true) {
                let start = texts.len();
                texts.extend_from_slice(entry.raw(&self.texts));
                entry.start = offset(start);
            }
        }
        self.texts = texts;
        self.gaps = 0;
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

    /// One round over the names; the reference is made of the name, blanks around it aside.
    fn round(cache: &mut SeriesCache, names: &[&str]) -> (usize, Vec<SeriesRef>) {
        cache.begin();
        let mut expected_hits = 0;
        for name in names {
            let expected = cache.expected() == name.as_bytes();
            expected_hits += usize::from(expected);
            let id = match cache.find(name.as_bytes(), expected) {
                Found::Known { id, .. } => id,
                Found::New { hash } => {
                    cache.insert(name.as_bytes(), hash, Verdict::Stored(reference(name)))
                }
            };
            assert_eq!(cache.series(id), Some(reference(name)));
            cache.track(id);
        }
        let vanished = cache.vanished();
        cache.finish();
        (expected_hits, vanished)
    }

    fn reference(name: &str) -> SeriesRef {
        SeriesRef(hash(name.trim().as_bytes()) >> 1)
    }

    #[test]
    fn an_unchanged_page_is_never_hashed() {
        let mut cache = SeriesCache::default();
        assert_eq!(round(&mut cache, &["a", "b", "c"]).0, 0);
        assert_eq!(round(&mut cache, &["a", "b", "c"]).0, 3);
        // One new line in between costs one hash for itself; the next is found by its place.
        assert_eq!(round(&mut cache, &["a", "x", "b", "c"]).0, 3);
        assert_eq!(round(&mut cache, &["c", "a", "x", "b"]).0, 2);
    }

    #[test]
    fn vanished_series_are_told_once_and_spelling_does_not_matter() {
        let mut cache = SeriesCache::default();
        assert!(round(&mut cache, &["a", "b"]).1.is_empty());
        assert_eq!(round(&mut cache, &["b"]).1, [reference("a")]);
        assert!(round(&mut cache, &["b"]).1.is_empty());
        assert!(round(&mut cache, &["b "]).1.is_empty());
    }

    #[test]
    fn an_abandoned_round_leaves_nothing_present() {
        let mut cache = SeriesCache::default();
        round(&mut cache, &["a"]);
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
        assert!(round(&mut cache, &["b"]).1.is_empty());
        assert_eq!(cache.present().len(), 1);
    }

    #[test]
    fn unseen_entries_are_forgotten_and_their_slots_reused() {
        let mut cache = SeriesCache::default();
        for i in 0..50 {
            let name = format!("series_{i}");
            round(&mut cache, &["stays", &name]);
        }
        assert!(cache.table.len() <= 2 + KEEP_ROUNDS as usize);
        assert!(cache.entries.len() <= 3 + KEEP_ROUNDS as usize);
        assert!(cache.texts.len() < 100, "{}", cache.texts.len());
    }

    #[test]
    fn a_reset_remembers_what_was_present() {
        let mut cache = SeriesCache::default();
        round(&mut cache, &["a", "b"]);
        cache.reset();
        assert_eq!(cache.present().len(), 2);
        assert_eq!(round(&mut cache, &["b"]).1, [reference("a")]);
    }
}
