//! The order of the head's series by their labels, found without comparing texts.
//!
//! Symbols are put in the order of their texts once, then the pairs of name and value that series have. A series is
//! then a list of places among the pairs, and such lists compare as the labels do.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::head::Head;
use crate::head::series::MemSeries;

/// Pairs that are kept for the sorting; few series have more that matter.
const KEPT: usize = 6;

/// The symbols of some series in order.
pub(super) struct LabelOrder {
    /// The place of a symbol among the sorted texts.
    ordinals: Vec<u32>,
    /// The place of a pair among all pairs, from 1 on.
    ranks: HashMap<(u32, u32), u32, RandomState>,
}

impl LabelOrder {
    /// The order of the labels that series have, and their texts, sorted.
    pub(super) fn new(head: &Head, series: &[MemSeries]) -> (Self, Vec<String>) {
        let mut ranks: HashMap<(u32, u32), u32, RandomState> = HashMap::default();
        for s in series {
            each_pair(s, |pair| {
                ranks.entry(pair).or_default();
            });
        }
        let used = ranks.keys().flat_map(|pair| [pair.0, pair.1]).collect();
        let mut texts: Vec<(String, u32)> = head.symbol_texts(&used);
        texts.sort_unstable();
        let mut ordinals = vec![0; used.max().map_or(0, |s| s as usize + 1)];
        for (i, (_, symbol)) in texts.iter().enumerate() {
            ordinals[*symbol as usize] = i as u32;
        }
        let mut this = Self { ordinals, ranks };
        this.rank();
        (this, texts.into_iter().map(|t| t.0).collect())
    }

    fn rank(&mut self) {
        let place = |symbol: u32| self.ordinals[symbol as usize];
        let mut pairs: Vec<(u32, u32, &mut u32)> = self
            .ranks
            .iter_mut()
            .map(|((name, value), rank)| (place(*name), place(*value), rank))
            .collect();
        pairs.sort_unstable_by_key(|pair| (pair.0, pair.1));
        for (rank, pair) in (1..).zip(pairs) {
            *pair.2 = rank;
        }
    }

    /// The labels of a series as places of their texts: name, value, name, value...
    pub(super) fn labels(&self, series: &MemSeries, out: &mut Vec<u32>) {
        out.clear();
        series.each_symbol(|symbol| {
            out.push(self.ordinals.get(symbol as usize).copied().unwrap_or(0));
            true
        });
    }

    /// The first pairs of a series; where it has fewer, zeros, which come before all.
    fn key(&self, series: &MemSeries) -> [u32; KEPT] {
        let mut key = [0; KEPT];
        let mut places = key.iter_mut();
        each_pair(series, |pair| {
            if let (Some(to), Some(rank)) = (places.next(), self.ranks.get(&pair)) {
                *to = *rank;
            }
        });
        key
    }

    /// Sorts series by their labels. All labels of all series would take much memory, so those behind the first
    /// are read anew where they matter.
    pub(super) fn sort(&self, series: &mut Vec<MemSeries>) {
        let mut keyed: Vec<_> = std::mem::take(series)
            .into_iter()
            .map(|s| (self.key(&s), s))
            .collect();
        let all = |s: &MemSeries| {
            let mut labels = Vec::new();
            self.labels(s, &mut labels);
            labels
        };
        keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| all(&a.1).cmp(&all(&b.1))));
        series.extend(keyed.into_iter().map(|k| k.1));
    }
}

/// Calls `each` with the name and value of every label.
fn each_pair(series: &MemSeries, mut each: impl FnMut((u32, u32))) {
    let mut name = None;
    series.each_symbol(|symbol| {
        match name.take() {
            None => name = Some(symbol),
            Some(name) => each((name, symbol)),
        }
        true
    });
}
