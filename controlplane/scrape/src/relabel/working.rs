//! Label sets that rules work on.

use std::borrow::Cow;

use bellwether_model::{Labels, LabelsBuilder};

/// What rules need of a label set. `'r` is how long the rules and the texts that come from them live.
pub(super) trait RuleLabels<'r> {
    /// The value of a label, empty where it is missing.
    fn value(&self, name: &str) -> &str;

    /// The value of a label, without a copy where that is possible.
    fn shared(&self, name: &str) -> Cow<'r, str>;

    /// Sets a label; an empty value removes it.
    fn put(&mut self, name: Cow<'r, str>, value: Cow<'r, str>);

    /// Keeps the labels whose names `keep` takes.
    fn retain_names(&mut self, keep: impl FnMut(&str) -> bool);

    /// Names and values in no order.
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)>;
}

impl<'r> RuleLabels<'r> for LabelsBuilder {
    fn value(&self, name: &str) -> &str {
        self.value(name)
    }

    fn shared(&self, name: &str) -> Cow<'r, str> {
        Cow::Owned(self.value(name).to_owned())
    }

    fn put(&mut self, name: Cow<'r, str>, value: Cow<'r, str>) {
        self.set(&name, &value);
    }

    fn retain_names(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.retain(|name, _| keep(name));
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
    }
}

/// A label set whose texts are borrowed until a rule makes new ones: relabelling a hundred thousand targets copies
/// only what changes. One is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Working<'r> {
    /// The mark of each name, in the order of the pairs.
    marks: Vec<u64>,
    /// In no order: names begin alike, so that comparing them takes longer than looking at all marks. No empty values.
    pairs: Vec<(Cow<'r, str>, Cow<'r, str>)>,
}

impl<'r> Working<'r> {
    /// Begins anew with the labels of a group and those of one of its targets, which win.
    pub(crate) fn fill(&mut self, common: &'r Labels, own: &'r Labels) {
        self.marks.clear();
        self.pairs.clear();
        for label in common {
            self.push(Cow::Borrowed(label.name), Cow::Borrowed(label.value));
        }
        for label in own {
            self.put(Cow::Borrowed(label.name), Cow::Borrowed(label.value));
        }
    }

    fn push(&mut self, name: Cow<'r, str>, value: Cow<'r, str>) {
        self.marks.push(mark(&name));
        self.pairs.push((name, value));
    }

    fn find(&self, name: &str) -> Option<usize> {
        let wanted = mark(name);
        let marks = self.marks.iter().zip(&self.pairs);
        marks
            .enumerate()
            .find_map(|(at, (mark, pair))| (*mark == wanted && pair.0 == name).then_some(at))
    }

    /// The value of a label, empty where it is missing.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.find(name).map_or("", |at| &self.pairs[at].1)
    }

    /// Sets a label; an empty value removes it.
    pub(crate) fn put(&mut self, name: Cow<'r, str>, value: Cow<'r, str>) {
        match self.find(&name) {
            Some(at) if value.is_empty() => {
                self.marks.swap_remove(at);
                self.pairs.swap_remove(at);
            }
            Some(at) => self.pairs[at].1 = value,
            None if value.is_empty() => {}
            None => self.push(name, value),
        }
    }

    /// Sets a label that is missing.
    pub(crate) fn put_missing(&mut self, name: &'r str, value: &'r str) {
        if self.find(name).is_none() && !value.is_empty() {
            self.push(Cow::Borrowed(name), Cow::Borrowed(value));
        }
    }

    /// Names and values in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (&**n, &**v))
    }

    /// The labels whose names `keep` takes; `buffer` is scratch space.
    pub(crate) fn build(&self, buffer: &mut String, keep: impl Fn(&str) -> bool) -> Labels {
        let mut pairs: Vec<_> = self.iter().filter(|(name, _)| keep(name)).collect();
        pairs.sort_unstable();
        Labels::from_sorted_in(buffer, pairs)
    }
}

/// What tells most names apart: their lengths and ends.
fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let end = match bytes.last_chunk() {
        Some(end) => u64::from_le_bytes(*end),
        None => bytes
            .iter()
            .fold(0, |end, byte| end << 8 | u64::from(*byte)),
    };
    end ^ (bytes.len() as u64).rotate_right(8)
}

impl<'r> RuleLabels<'r> for Working<'r> {
    fn value(&self, name: &str) -> &str {
        self.value(name)
    }

    fn shared(&self, name: &str) -> Cow<'r, str> {
        self.find(name)
            .map_or(Cow::Borrowed(""), |at| self.pairs[at].1.clone())
    }

    fn put(&mut self, name: Cow<'r, str>, value: Cow<'r, str>) {
        self.put(name, value);
    }

    fn retain_names(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.pairs.retain(|(name, _)| keep(name));
        self.marks.clear();
        self.marks
            .extend(self.pairs.iter().map(|(name, _)| mark(name)));
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
    }
}
