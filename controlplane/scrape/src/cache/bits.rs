//! A bit for each entry of the cache.

use super::EntryId;

/// A set of entries.
#[derive(Clone, Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    /// Makes room for a number of entries; those that are new are not in the set.
    pub(super) fn grow(&mut self, len: usize) {
        self.0.resize(len.div_ceil(64), 0);
    }

    #[inline]
    pub(super) fn has(&self, id: EntryId) -> bool {
        self.0[id as usize / 64] >> (id % 64) & 1 == 1
    }

    /// Adds an entry; false when it was there.
    #[inline]
    pub(super) fn insert(&mut self, id: EntryId) -> bool {
        let word = &mut self.0[id as usize / 64];
        let bit = 1 << (id % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    pub(super) fn clear(&mut self) {
        self.0.fill(0);
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Entries of this set that another one does not have.
    pub(super) fn without<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = EntryId> + 'a {
        let words = self.0.iter().zip(&other.0);
        ids(words.map(|(word, other)| word & !other))
    }

    /// All entries of this set.
    pub(super) fn iter(&self) -> impl Iterator<Item = EntryId> + '_ {
        ids(self.0.iter().copied())
    }

    /// Of a number of entries those that are in no set.
    pub(super) fn outside<const N: usize>(len: usize, sets: [&Self; N]) -> Vec<EntryId> {
        let words = (0..len.div_ceil(64)).map(|i| {
            let known = match len - i * 64 {
                rest @ ..64 => (1 << rest) - 1,
                _ => u64::MAX,
            };
            sets.iter().fold(known, |word, set| word & !set.0[i])
        });
        ids(words).collect()
    }
}

/// The numbers of the bits in words.
fn ids(words: impl Iterator<Item = u64>) -> impl Iterator<Item = EntryId> {
    words.enumerate().flat_map(|(i, mut rest)| {
        std::iter::from_fn(move || {
            let bit = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Some(i as EntryId * 64 + bit)
        })
    })
}
