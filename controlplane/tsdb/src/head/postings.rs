//! The head's inverted index: per label name and value the ids of its series.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use roaring::RoaringBitmap;

use super::symbols::{Symbol, Symbols};
use crate::error::TsdbError;
use crate::select::Postings;

/// Ids of one label value. Most values of high-cardinality labels have a single series, so that case costs
/// no allocation; a few dozen ids are a sorted vector; beyond that a compressed bitmap.
#[derive(Debug)]
enum IdSet {
    One(u32),
    #[expect(clippy::box_collection, reason = "keeps every entry at 16 bytes")]
    Few(Box<Vec<u32>>),
    Many(Box<RoaringBitmap>),
}

/// Above this many ids a bitmap is smaller than a vector.
const FEW: usize = 64;

impl IdSet {
    fn insert(&mut self, id: u32) {
        match self {
            Self::One(first) if *first == id => {}
            Self::One(first) => {
                let mut ids = vec![*first, id];
                ids.sort_unstable();
                *self = Self::Few(Box::new(ids));
            }
            Self::Few(ids) => {
                if let Err(at) = ids.binary_search(&id) {
                    ids.insert(at, id);
                    if ids.len() > FEW {
                        *self = Self::Many(Box::new(ids.iter().copied().collect()));
                    }
                }
            }
            Self::Many(bitmap) => {
                bitmap.insert(id);
            }
        }
    }

    /// Removes ids, which rise; true when none is left.
    fn remove(&mut self, gone: &[u32]) -> bool {
        match self {
            Self::One(id) => gone.contains(id),
            Self::Few(ids) => {
                ids.retain(|id| gone.binary_search(id).is_err());
                ids.is_empty()
            }
            Self::Many(bitmap) => {
                for id in gone {
                    bitmap.remove(*id);
                }
                bitmap.is_empty()
            }
        }
    }

    fn add_to(&self, out: &mut RoaringBitmap) {
        match self {
            Self::One(id) => {
                out.insert(*id);
            }
            Self::Few(ids) => out.extend(ids.iter().copied()),
            Self::Many(bitmap) => *out |= &**bitmap,
        }
    }

    fn retain_in(&self, found: &mut RoaringBitmap) {
        match self {
            Self::One(_) | Self::Few(_) => {
                let mut own = RoaringBitmap::new();
                self.add_to(&mut own);
                *found &= own;
            }
            Self::Many(bitmap) => *found &= &**bitmap,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Few(ids) => ids.len() as u64,
            Self::Many(bitmap) => bitmap.len(),
        }
    }
}

/// The inverted index.
#[derive(Debug, Default)]
pub(crate) struct HeadPostings {
    all: RoaringBitmap,
    names: HashMap<Symbol, HashMap<Symbol, IdSet, RandomState>, RandomState>,
}

impl HeadPostings {
    /// Adds a series with its (name, value) symbols.
    pub(crate) fn insert(&mut self, id: u32, labels: &[Symbol]) {
        self.all.insert(id);
        for pair in labels.chunks_exact(2) {
            self.names
                .entry(pair[0])
                .or_default()
                .entry(pair[1])
                .and_modify(|ids| ids.insert(id))
                .or_insert(IdSet::One(id));
        }
    }

    /// Removes series, given by their labels with rising ids each. Returns names and values that lost their last
    /// series; some of them may still be used otherwise.
    pub(crate) fn remove(
        &mut self,
        gone: &HashMap<(Symbol, Symbol), Vec<u32>, RandomState>,
    ) -> Vec<Symbol> {
        let mut unused = Vec::new();
        for (&(name, value), ids) in gone {
            for id in ids {
                self.all.remove(*id);
            }
            let Some(values) = self.names.get_mut(&name) else {
                continue;
            };
            if !values.get_mut(&value).is_some_and(|set| set.remove(ids)) {
                continue;
            }
            values.remove(&value);
            unused.push(value);
            if values.is_empty() {
                self.names.remove(&name);
                unused.push(name);
            }
        }
        unused
    }

    /// Whether any series has a symbol as name or value of a label.
    pub(crate) fn has(&self, symbol: Symbol) -> bool {
        self.names.contains_key(&symbol)
            || self
                .names
                .values()
                .any(|values| values.contains_key(&symbol))
    }

    /// Label names.
    pub(crate) fn names(&self) -> impl Iterator<Item = Symbol> {
        self.names.keys().copied()
    }

    /// Values of a name with their numbers of series.
    pub(crate) fn values_of(&self, name: Symbol) -> impl Iterator<Item = (Symbol, u64)> {
        self.names
            .get(&name)
            .into_iter()
            .flat_map(|values| values.iter().map(|(v, ids)| (*v, ids.len())))
    }
}

/// The index together with the texts of its symbols.
pub(crate) struct HeadIndex<'a> {
    pub(crate) postings: &'a HeadPostings,
    pub(crate) symbols: &'a Symbols,
}

impl HeadIndex<'_> {
    fn ids(&self, name: &str, value: &str) -> Option<&IdSet> {
        let (name, value) = (self.symbols.find(name)?, self.symbols.find(value)?);
        self.postings.names.get(&name)?.get(&value)
    }
}

impl Postings for HeadIndex<'_> {
    fn all(&self) -> Result<RoaringBitmap, TsdbError> {
        Ok(self.postings.all.clone())
    }

    fn value(&self, name: &str, value: &str) -> Result<RoaringBitmap, TsdbError> {
        let mut out = RoaringBitmap::new();
        if let Some(ids) = self.ids(name, value) {
            ids.add_to(&mut out);
        }
        Ok(out)
    }

    fn count(&self, name: &str, value: &str) -> Result<u64, TsdbError> {
        Ok(self.ids(name, value).map_or(0, IdSet::len))
    }

    fn retain(&self, found: &mut RoaringBitmap, name: &str, value: &str) -> Result<(), TsdbError> {
        match self.ids(name, value) {
            Some(ids) => ids.retain_in(found),
            None => found.clear(),
        }
        Ok(())
    }

    fn values(
        &self,
        name: &str,
        accept: &mut dyn FnMut(&str) -> bool,
    ) -> Result<RoaringBitmap, TsdbError> {
        let mut out = RoaringBitmap::new();
        if let Some(values) = self
            .symbols
            .find(name)
            .and_then(|n| self.postings.names.get(&n))
        {
            for (value, ids) in values {
                if accept(self.symbols.text(*value)) {
                    ids.add_to(&mut out);
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::select::select;
    use bellwether_model::{Labels, MatchOp, Matcher};
    use proptest::prelude::*;

    fn matcher() -> impl Strategy<Value = Matcher> {
        let op = prop_oneof![
            Just(MatchOp::Equal),
            Just(MatchOp::NotEqual),
            Just(MatchOp::Regex),
            Just(MatchOp::NotRegex)
        ];
        let value = prop_oneof![
            Just(""),
            Just("1"),
            Just("2"),
            Just("1|3"),
            Just(".*"),
            Just(".+"),
            Just("1|"),
            Just("[12]")
        ];
        (op, "[abcz]", value).prop_map(|(op, n, v)| Matcher::new(op, n, v).unwrap())
    }

    proptest! {
        #[test]
        fn selection_equals_a_scan(
            sets in proptest::collection::vec(proptest::collection::btree_map("[abc]", "[123]", 1..4), 0..120),
            matchers in proptest::collection::vec(matcher(), 0..4),
        ) {
            let mut symbols = Symbols::default();
            let mut postings = HeadPostings::default();
            let mut wanted = RoaringBitmap::new();
            for (id, set) in sets.iter().enumerate() {
                let pairs: Vec<Symbol> = set.iter()
                    .flat_map(|(n, v)| [symbols.intern(n), symbols.intern(v)]).collect();
                postings.insert(id as u32, &pairs);
                let labels = Labels::from_pairs(set);
                if matchers.iter().all(|m| m.matches(labels.value(&m.name))) {
                    wanted.insert(id as u32);
                }
            }
            let index = HeadIndex { postings: &postings, symbols: &symbols };
            prop_assert_eq!(select(&index, &matchers).unwrap(), wanted);
        }
    }

    #[test]
    fn removal_forgets_empty_values() {
        let mut p = HeadPostings::default();
        for id in 0..100 {
            p.insert(id, &[1, 2, 3, 100 + id]);
        }
        let gone = |ids: std::ops::Range<u32>| {
            let each = ids.clone().map(|id| ((3, 100 + id), vec![id]));
            each.chain([((1, 2), ids.collect())]).collect()
        };
        let mut unused = p.remove(&gone(0..99));
        unused.sort_unstable();
        assert_eq!(unused, (100..199).collect::<Vec<_>>());
        assert_eq!(p.values_of(3).collect::<Vec<_>>(), [(199, 1)]);
        assert_eq!(p.values_of(1).collect::<Vec<_>>(), [(2, 1)]);
        assert!(p.has(1) && p.has(2) && p.has(199) && !p.has(198));
        let mut unused = p.remove(&gone(99..100));
        unused.sort_unstable();
        assert_eq!(unused, [1, 2, 3, 199]);
        assert_eq!(p.names().count(), 0);
        assert!(p.all.is_empty());
    }
}
