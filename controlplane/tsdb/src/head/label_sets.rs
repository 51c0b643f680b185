//! Label sets of the series of a page, as symbols. Neighbours have most of their labels in common, so that each set
//! is stored as what differs from the one before it.

use smallvec::SmallVec;

use super::symbols::Symbol;
use crate::encoding::{Dec, put_uvarint};

/// Every so many sets one is stored whole.
const GROUP: u32 = 16;

/// Where a set is: where its group begins, and in the low bits its place in the group.
pub(crate) type LabelsAt = u32;

/// The last bit of a mask is for all symbols from this one on.
const REST: usize = 63;

type Set = SmallVec<[Symbol; 32]>;

/// Sets one after the other.
#[derive(Debug, Default)]
pub(super) struct LabelSets {
    /// For each set the number of its symbols, a mask of those that differ from the set before, and these, all as
    /// varints.
    bytes: Vec<u8>,
    /// Beginning of the newest group, and its number of sets.
    group: usize,
    in_group: u32,
    /// The newest set.
    newest: Vec<Symbol>,
}

impl LabelSets {
    /// Adds a set.
    pub(super) fn add(&mut self, symbols: &[Symbol]) -> LabelsAt {
        if self.in_group == GROUP || self.bytes.is_empty() {
            (self.group, self.in_group) = (self.bytes.len(), 0);
            self.newest.clear();
        }
        let differs = |at: &usize| self.newest.get(*at) != symbols.get(*at);
        let mut mask = 0u64;
        for at in (0..symbols.len()).filter(differs) {
            mask |= 1 << at.min(REST);
        }
        put_uvarint(&mut self.bytes, symbols.len() as u64);
        put_uvarint(&mut self.bytes, mask);
        for (at, symbol) in symbols.iter().enumerate() {
            if mask >> at.min(REST) & 1 == 1 {
                put_uvarint(&mut self.bytes, u64::from(*symbol));
            }
        }
        self.newest.clear();
        self.newest.extend_from_slice(symbols);
        self.in_group += 1;
        // A page has 256 label sets: they do not come near 256 megabytes.
        self.group as u32 * GROUP + self.in_group - 1
    }

    /// Gives back what growing took too much and what only adding needs.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.newest = Vec::new();
        // Whatever comes next begins a group.
        self.in_group = GROUP;
    }

    /// Calls `each` with the symbols of a set, until it says false.
    #[inline]
    pub(super) fn each_symbol(&self, at: LabelsAt, each: impl FnMut(Symbol) -> bool) {
        let mut cursor = Cursor::default();
        self.read(at, &mut cursor).iter().copied().all(each);
    }

    /// The symbols of a set. Who reads sets in their order with one cursor decodes each only once.
    pub(super) fn read<'c>(&self, at: LabelsAt, cursor: &'c mut Cursor) -> &'c [Symbol] {
        let (group, place) = (at / GROUP, at % GROUP);
        if cursor.read == 0 || cursor.group != group || cursor.read > place + 1 {
            cursor.group = group;
            cursor.read = 0;
            cursor.pos = group as usize;
        }
        let mut rest = Dec::new(self.bytes.get(cursor.pos..).unwrap_or_default());
        let before = rest.remaining();
        let set = &mut cursor.set;
        // The bytes are `add`'s own.
        let mut next = || rest.uvarint().unwrap_or(0);
        while cursor.read <= place {
            let len = next() as usize;
            if len != set.len() {
                set.resize(len, 0);
                cursor.changed = u64::MAX;
            }
            let mask = next();
            let mut low = mask & !(1 << REST);
            while low != 0 {
                let at = low.trailing_zeros();
                if let Some(symbol) = set.get_mut(at as usize) {
                    let new = next() as Symbol;
                    cursor.changed |= u64::from(*symbol != new) << at;
                    *symbol = new;
                }
                low &= low - 1;
            }
            if mask >> REST == 1 {
                cursor.changed |= 1 << REST;
                for symbol in set.iter_mut().skip(REST) {
                    *symbol = next() as Symbol;
                }
            }
            cursor.read += 1;
        }
        cursor.pos += before - rest.remaining();
        set
    }
}

/// A place among the sets of one page, and the set that was read there.
#[derive(Default)]
pub(super) struct Cursor {
    set: Set,
    group: u32,
    /// Sets of the group that were read.
    read: u32,
    /// Where the next one begins.
    pos: usize,
    /// Places of symbols that may differ from those of an earlier set.
    changed: u64,
}

impl Cursor {
    /// The set that was read last.
    pub(super) fn set(&self) -> &[Symbol] {
        &self.set
    }

    /// Goes on with the sets of another page.
    pub(super) fn turn_page(&mut self) {
        (self.read, self.pos) = (0, 0);
    }

    /// A bit for each place of the set whose symbol may have changed since it was asked for the last time; the last
    /// bit is for all places from there on. All bits when the set has another length.
    pub(super) fn take_changed(&mut self) -> u64 {
        std::mem::take(&mut self.changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sets_are_read_as_they_were_added(
            all in proptest::collection::vec(
                prop_oneof![
                    proptest::collection::vec(0u32..3, 0..12),
                    proptest::collection::vec(0u32..2, 60..70),
                    proptest::collection::vec(any::<u32>(), 0..80),
                ],
                0..60,
            ),
            shrunk in any::<prop::sample::Index>(),
            jumps in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        ) {
            let mut sets = LabelSets::default();
            let mut places = Vec::new();
            for (i, set) in all.iter().enumerate() {
                places.push(sets.add(set));
                if i == shrunk.index(all.len()) {
                    sets.shrink();
                }
            }
            let mut cursor = Cursor::default();
            let mut before: &[Symbol] = &[];
            for (n, jump) in jumps.iter().filter(|_| !all.is_empty()).enumerate() {
                let i = jump.index(all.len());
                if n % 5 == 4 {
                    cursor.turn_page();
                }
                prop_assert_eq!(sets.read(places[i], &mut cursor), &all[i]);
                let changed = cursor.take_changed();
                for at in 0..before.len().max(all[i].len()) {
                    let same = before.get(at) == all[i].get(at);
                    prop_assert!(same || changed >> at.min(REST) & 1 == 1);
                }
                before = &all[i];
            }
            let mut cursor = Cursor::default();
            for (at, set) in places.into_iter().zip(&all) {
                prop_assert_eq!(sets.read(at, &mut cursor), set);
                let mut read = Vec::new();
                sets.each_symbol(at, |symbol| {
                    read.push(symbol);
                    true
                });
                prop_assert_eq!(&read, set);
                read.clear();
                sets.each_symbol(at, |symbol| {
                    read.push(symbol);
                    read.len() < 2
                });
                prop_assert_eq!(read.len(), set.len().min(2));
            }
        }
    }

    #[test]
    fn neighbours_cost_what_they_differ_in() {
        let mut sets = LabelSets::default();
        for i in 0..256 {
            sets.add(&[
                1,
                300 + i / 12,
                2,
                200,
                3,
                201,
                4,
                1000 + i % 12,
                5,
                9000 + i / 12,
            ]);
        }
        assert!(sets.bytes.len() < 256 * 8, "{}", sets.bytes.len());
    }
}
