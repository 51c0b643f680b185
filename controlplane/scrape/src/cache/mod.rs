//! What a target's series were at the previous scrape.
//!
//! An entry maps the raw bytes of a series (name and labels as written) to its reference in storage, or to
//! the verdict that metric relabelling drops it, so that labels are taken apart once. Pages keep their order, and
//! so do the entries: the one behind the previous one is tried before anything is hashed. The texts of all entries
//! lie compressed in one buffer that is read from front to back, and what a round marks is a bit for each entry.
//!
//! A scrape is one *round*: [`SeriesCache::begin`], a look-up per line, then [`SeriesCache::finish`] or
//! [`SeriesCache::abandon`]. Entries that no round has touched for a while are forgotten. When many are, or the page
//! has taken another order, entries are laid out anew in the order of a page.

mod bits;
mod texts;

use std::hash::BuildHasher;

use bellwether_model::storage::SeriesRef;
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet, HashTable};

use bits::Bits;
use texts::{Texts, Walk};

/// Rounds that an entry survives without being seen: a series that flickers keeps its entry.
const KEEP_ROUNDS: usize = 2;

/// Number of an entry: its place among the texts, until they are laid out anew.
pub(crate) type EntryId = u32;

/// What is known of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Metric relabelling drops it.
    Dropped,
    /// It is stored.
    Stored(SeriesRef),
}

/// In place of a reference: metric relabelling drops the series.
const DROPPED: u32 = u32::MAX;
/// In place of a reference that is in [`Verdicts::wide`].
const WIDE: u32 = u32::MAX - 1;

/// The verdict of each entry. References are small numbers, but nobody promises it.
#[derive(Debug, Default)]
struct Verdicts {
    narrow: Vec<u32>,
    wide: HashMap<EntryId, SeriesRef, FixedState>,
}

impl Verdicts {
    #[inline]
    fn get(&self, id: EntryId) -> Option<SeriesRef> {
        match self.narrow[id as usize] {
            DROPPED => None,
            WIDE => self.wide.get(&id).copied(),
            series => Some(SeriesRef(u64::from(series))),
        }
    }

    fn set(&mut self, id: EntryId, series: SeriesRef) {
        self.narrow[id as usize] = match u32::try_from(series.0) {
            Ok(narrow) if narrow < WIDE => narrow,
            _ => {
                self.wide.insert(id, series);
                WIDE
            }
        };
    }

    fn push(&mut self, verdict: Option<SeriesRef>) {
        let id = self.narrow.len() as EntryId;
        self.narrow.push(DROPPED);
        if let Some(series) = verdict {
            self.set(id, series);
        }
    }
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct SeriesCache {
    texts: Texts,
    verdicts: Verdicts,
    table: HashTable<EntryId>,
    /// Entries that were forgotten and stand in the way until the next new layout.
    gone: Bits,
    /// Entries that this round has seen, and those of the rounds before it.
    seen: [Bits; KEEP_ROUNDS + 1],
    /// Entries of this round with a sample that counts for staleness.
    tracked: Bits,
    /// The same of the last finished round; none after an abandoned one. A round that breaks half-way leaves them.
    present: Bits,
    /// Where the next line is expected: the walk's text is that of the entry `expected`.
    walk: Walk,
    expected: Option<EntryId>,
    /// Known lines that came elsewhere than expected since the last new layout.
    detours: usize,
    /// Entries in the order of this round, when the next end of a round is to lay them out anew.
    order: Option<Vec<EntryId>>,
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

fn hash(raw: &[u8]) -> u64 {
    FixedState::with_seed(0x7365_7269).hash_one(raw)
}

/// Gives back what growing by doubling took too much: pages seldom grow further.
fn fit<T>(list: &mut Vec<T>) {
    if list.capacity() - list.len() > list.len() / 8 {
        list.shrink_to(list.len() + list.len() / 16);
    }
}

impl SeriesCache {
    /// Starts a round.
    pub(crate) fn begin(&mut self) {
        self.seen.rotate_right(1);
        self.seen[0].clear();
        self.tracked.clear();
        let len = self.texts.len();
        let is_untidy = self.gone.count() > len / 8 + 8 || self.detours > 4 * len;
        self.order = is_untidy.then(|| Vec::with_capacity(len));
        self.expect(0);
    }

    /// The raw bytes expected next, empty where nothing is.
    #[inline]
    pub(crate) fn expected(&self) -> &[u8] {
        match self.expected {
            Some(_) => self.walk.text(),
            None => &[],
        }
    }

    /// Expects the entry with a number, or the first behind it that is not forgotten.
    fn expect(&mut self, number: usize) {
        self.walk.seek(&self.texts, number);
        self.expect_next();
    }

    #[inline]
    fn expect_next(&mut self) {
        loop {
            self.expected = self.walk.step(&self.texts).map(|n| n as EntryId);
            match self.expected {
                Some(id) if self.gone.has(id) => {}
                _ => return,
            }
        }
    }

    /// Looks a line up; `expected` says that it is the one [`Self::expected`] named.
    #[inline]
    pub(crate) fn find(&mut self, raw: &[u8], expected: bool) -> Found {
        if let Some(id) = self.expected
            && expected
        {
            self.expect_next();
            return self.touch(id);
        }
        self.find_elsewhere(raw)
    }

    fn find_elsewhere(&mut self, raw: &[u8]) -> Found {
        let hash = hash(raw);
        let mut walk = Walk::default();
        let is_it = |id: &EntryId| walk.read(&self.texts, *id) == raw;
        let Some(id) = self.table.find(hash, is_it).copied() else {
            return Found::New { hash };
        };
        let found = self.touch(id);
        if found == (Found::Known { id, again: false }) {
            self.detours += 1;
            self.expect(id as usize + 1);
        }
        found
    }

    #[inline]
    fn touch(&mut self, id: EntryId) -> Found {
        let new = self.seen[0].insert(id);
        if new && let Some(order) = &mut self.order {
            order.push(id);
        }
        Found::Known { id, again: !new }
    }

    /// Adds a new series; `hash` is that of [`Found::New`].
    pub(crate) fn insert(&mut self, raw: &[u8], hash: u64, verdict: Verdict) -> EntryId {
        let series = match verdict {
            Verdict::Stored(series) => Some(series),
            Verdict::Dropped => None,
        };
        let id = self.add(raw, hash, series);
        self.touch(id);
        id
    }

    fn add(&mut self, raw: &[u8], hash: u64, series: Option<SeriesRef>) -> EntryId {
        debug_assert!(!raw.is_empty(), "a series has a text");
        let id = EntryId::try_from(self.texts.len())
            .expect("a page has fewer than 2^32 lines: they would not fit into memory");
        self.make_room();
        self.texts.push(raw);
        self.verdicts.push(series);
        let len = self.texts.len();
        for bits in &mut self.seen {
            bits.grow(len);
        }
        for bits in [&mut self.gone, &mut self.tracked, &mut self.present] {
            bits.grow(len);
        }
        let texts = &self.texts;
        self.table
            .insert_unique(hash, id, |id| self::hash(Walk::default().read(texts, *id)));
        id
    }

    /// Doubles a full table: reading all texts in their order is cheaper than one by one as the table comes by.
    fn make_room(&mut self) {
        if self.table.len() < self.table.capacity() {
            return;
        }
        let mut table = HashTable::with_capacity((2 * self.table.len()).max(16));
        let mut walk = Walk::default();
        while let Some(n) = walk.step(&self.texts) {
            let id = n as EntryId;
            if !self.gone.has(id) {
                table.insert_unique(hash(walk.text()), id, |_| {
                    unreachable!("it has room for all")
                });
            }
        }
        self.table = table;
    }

    /// The reference of a stored series, `None` for a dropped one.
    #[inline]
    pub(crate) fn series(&self, id: EntryId) -> Option<SeriesRef> {
        self.verdicts.get(id)
    }

    /// Replaces a reference that storage no longer knows.
    pub(crate) fn set_series(&mut self, id: EntryId, new: SeriesRef) {
        self.verdicts.set(id, new);
    }

    /// Marks a series as present in this round.
    #[inline]
    pub(crate) fn track(&mut self, id: EntryId) {
        self.tracked.insert(id);
    }

    /// Series that were present before this round and are not now. A series that only changed its spelling
    /// is still there.
    pub(crate) fn vanished(&self) -> Vec<SeriesRef> {
        let mut vanished = self.orphans.clone();
        let gone = self.present.without(&self.tracked);
        vanished.extend(gone.filter_map(|id| self.series(id)));
        let (Some(first), Some(last)) = (vanished.iter().min(), vanished.iter().max()) else {
            return vanished;
        };
        // What vanishes together mostly came together: few others are between them.
        let between = *first..=*last;
        let tracked = self.tracked.iter().filter_map(|id| self.series(id));
        let present: HashSet<SeriesRef, FixedState> =
            tracked.filter(|series| between.contains(series)).collect();
        vanished.retain(|series| !present.contains(series));
        vanished
    }

    /// Series that count as present after the last finished or abandoned round, also when another round has
    /// been begun and given up since.
    pub(crate) fn present(&self) -> Vec<SeriesRef> {
        let present = self.present.iter().filter_map(|id| self.series(id));
        present.chain(self.orphans.iter().copied()).collect()
    }

    /// Ends a round that succeeded.
    pub(crate) fn finish(&mut self) {
        std::mem::swap(&mut self.present, &mut self.tracked);
        self.orphans.clear();
        self.forget_unseen();
        if let Some(order) = self.order.take() {
            self.lay_out(&order);
        }
        // Pages seldom grow further.
        self.texts.shrink();
        fit(&mut self.verdicts.narrow);
    }

    /// Ends a round that failed: nothing counts as present any more, entries stay.
    pub(crate) fn abandon(&mut self) {
        self.present.clear();
        self.orphans.clear();
    }

    fn forget_unseen(&mut self) {
        let [now, before, long_before] = &self.seen;
        let unseen = Bits::outside(self.texts.len(), [now, before, long_before, &self.gone]);
        let mut walk = Walk::default();
        for id in unseen {
            let hash = hash(walk.read(&self.texts, id));
            if let Ok(slot) = self.table.find_entry(hash, |other| *other == id) {
                slot.remove();
            }
            self.gone.insert(id);
            self.verdicts.wide.remove(&id);
        }
    }

    /// Writes all entries anew in the order of the page, those that it does not have behind them.
    fn lay_out(&mut self, order: &[EntryId]) {
        let rest = Bits::outside(self.texts.len(), [&self.seen[0], &self.gone]);
        let mut new = Self {
            table: HashTable::with_capacity(self.table.len()),
            orphans: std::mem::take(&mut self.orphans),
            ..Self::default()
        };
        let mut walk = Walk::default();
        for old in order.iter().copied().chain(rest) {
            let text = walk.read(&self.texts, old);
            let id = new.add(text, hash(text), self.series(old));
            for (bits, new) in self.seen.iter().zip(&mut new.seen) {
                if bits.has(old) {
                    new.insert(id);
                }
            }
            if self.present.has(old) {
                new.present.insert(id);
            }
        }
        *self = new;
    }

    /// Forgets every verdict, for settings that change what becomes of a line. Series that are present stay
    /// known until the next round has shown whether they still are.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            orphans: self.present(),
            ..Self::default()
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        // The next round goes the same way round; a page that keeps another order is followed after a while.
        assert_eq!(round(&mut cache, &["a", "x", "b", "c"]).0, 2);
        for _ in 0..20 {
            round(&mut cache, &["a", "x", "b", "c"]);
        }
        assert_eq!(round(&mut cache, &["a", "x", "b", "c"]).0, 4);
    }

    #[test]
    fn vanished_series_are_told_once_and_spelling_does_not_matter() {
        let mut cache = SeriesCache::default();
        assert!(round(&mut cache, &["a", "b"]).1.is_empty());
        assert_eq!(round(&mut cache, &["b"]).1, [reference("a")]);
        assert!(round(&mut cache, &["b"]).1.is_empty());
        assert!(round(&mut cache, &["b "]).1.is_empty());
        assert!(round(&mut cache, &["b ", "c", "d"]).1.is_empty());
        assert_eq!(round(&mut cache, &["c ", "b", "d "]).1, []);
        assert_eq!(round(&mut cache, &["c", "b"]).1, [reference("d")]);
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
    fn unseen_entries_are_forgotten_and_their_memory_reused() {
        let mut cache = SeriesCache::default();
        for i in 0..50 {
            let name = format!("series_{i}");
            round(&mut cache, &["stays", &name]);
        }
        assert!(cache.table.len() <= 2 + KEEP_ROUNDS);
        assert!(cache.texts.len() <= 20, "{}", cache.texts.len());
    }

    #[test]
    fn a_reset_remembers_what_was_present() {
        let mut cache = SeriesCache::default();
        round(&mut cache, &["a", "b"]);
        cache.reset();
        assert_eq!(cache.present().len(), 2);
        assert_eq!(round(&mut cache, &["b"]).1, [reference("a")]);
    }

    proptest! {
        /// Pages of which each is made of the one before it: lines go, come, move and come twice.
        #[test]
        fn a_cache_knows_what_a_map_knows(
            pages in proptest::collection::vec(
                (proptest::collection::vec((0u8..5, any::<prop::sample::Index>(), 0u32..90), 0..12), any::<bool>()),
                1..60,
            ),
        ) {
            let mut cache = SeriesCache::default();
            let mut page: Vec<u32> = (0..40).collect();
            let mut last_seen = HashMap::new();
            let mut present = HashSet::new();
            // A broken page forgets nothing.
            let mut finished = 0_usize;
            for (round, (changes, breaks)) in pages.into_iter().enumerate() {
                for (change, index, line) in changes {
                    let at = index.index(page.len() + 1);
                    match change {
                        0 if at < page.len() => drop(page.remove(at)),
                        1 => page.rotate_left(at),
                        _ if at < page.len() && page.len() > 60 => page[at] = line,
                        _ => page.insert(at, line),
                    }
                }
                cache.begin();
                let mut now = HashSet::new();
                for line in &page {
                    let text = format!("{}_total{{line=\"{line}\"}}", line % 7);
                    let expected = cache.expected() == text.as_bytes();
                    let series = SeriesRef(u64::from(*line) << (line % 2 * 40));
                    let known = last_seen.insert(*line, round).is_some_and(|seen| finished.saturating_sub(seen) <= KEEP_ROUNDS);
                    let id = match cache.find(text.as_bytes(), expected) {
                        Found::Known { id, again } => {
                            prop_assert!(known);
                            prop_assert_eq!(again, now.contains(&series));
                            id
                        }
                        Found::New { hash } => {
                            prop_assert!(!known);
                            cache.insert(text.as_bytes(), hash, Verdict::Stored(series))
                        }
                    };
                    prop_assert_eq!(cache.series(id), Some(series));
                    cache.track(id);
                    now.insert(series);
                }
                if breaks {
                    prop_assert_eq!(cache.present().into_iter().collect::<HashSet<_>>(), present.clone());
                    cache.abandon();
                    present.clear();
                    continue;
                }
                let vanished: HashSet<_> = cache.vanished().into_iter().collect();
                prop_assert_eq!(vanished, present.difference(&now).copied().collect());
                cache.finish();
                finished = round;
                present = now;
            }
        }
    }
}
