//! The groups of an aggregation.

use std::hash::BuildHasher as _;

use bellwether_model::Labels;
use bellwether_model::labels::{METRIC_NAME, Selection};
use hashbrown::HashTable;

use crate::plan::Aggregate;

use super::memo::Memo;

/// Finds the group of each series.
pub(super) struct Grouping<'a> {
    numbers: Numbers<'a>,
    seen: Memo<usize>,
}

impl<'a> Grouping<'a> {
    pub(super) fn new(a: &'a Aggregate) -> Self {
        Self {
            numbers: Numbers::new(a),
            seen: Memo::default(),
        }
    }

    /// The group's number and, when it is new, its labels.
    pub(super) fn find(&mut self, labels: &Labels) -> (usize, Option<Labels>) {
        let (mut new, numbers) = (None, &mut self.numbers);
        let at = self.seen.get(labels, |labels| {
            let found = numbers.find(labels);
            new = found.1;
            found.0
        });
        (at, new)
    }
}

/// The numbers of groups by their labels.
pub(super) struct Numbers<'a> {
    a: &'a Aggregate,
    index: HashTable<usize>,
    hasher: foldhash::fast::FixedState,
    groups: Vec<Labels>,
    /// The labels of the group that is looked for.
    wanted: Selection,
}

impl<'a> Numbers<'a> {
    pub(super) fn new(a: &'a Aggregate) -> Self {
        Self {
            a,
            index: HashTable::new(),
            hasher: foldhash::fast::FixedState::default(),
            groups: Vec::new(),
            wanted: Selection::default(),
        }
    }

    /// As [`Grouping::find`], for label sets that were not seen lately.
    pub(super) fn find(&mut self, labels: &Labels) -> (usize, Option<Labels>) {
        let Self {
            index,
            hasher,
            groups,
            wanted,
            a,
        } = self;
        fill_group(wanted, labels, &a.grouping, a.without);
        let key = wanted.as_packed();
        let hash = hasher.hash_one(key);
        if let Some(at) = index.find(hash, |at| groups[*at].as_packed() == key) {
            return (*at, None);
        }
        let labels = wanted.to_labels();
        groups.push(labels.clone());
        let at = groups.len() - 1;
        index.insert_unique(hash, at, |at| hasher.hash_one(groups[*at].as_packed()));
        (at, Some(labels))
    }
}

/// Takes the labels that `by` keeps or `without` leaves; `grouping` is sorted.
fn fill_group(selection: &mut Selection, labels: &Labels, grouping: &[String], without: bool) {
    let listed = |name: &str| grouping.binary_search_by(|g| g.as_str().cmp(name)).is_ok();
    if without {
        selection.fill(labels, |name| name != METRIC_NAME && !listed(name));
    } else if grouping.is_empty() {
        selection.fill(&Labels::empty(), |_| false);
    } else {
        selection.fill(labels, listed);
    }
}

/// The labels that `by` keeps or `without` leaves; `grouping` is sorted.
pub(super) fn group_labels(labels: &Labels, grouping: &[String], without: bool) -> Labels {
    let mut selection = Selection::default();
    fill_group(&mut selection, labels, grouping, without);
    selection.to_labels()
}
