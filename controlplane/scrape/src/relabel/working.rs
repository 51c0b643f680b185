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

    /// Names and values in order.
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
    /// Sorted by name, no empty values.
    pairs: Vec<(Cow<'r, str>, Cow<'r, str>)>,
}

impl<'r> Working<'r> {
    /// Begins anew with the labels of a group and those of one of its targets, which win.
    pub(crate) fn fill(&mut self, common: &'r Labels, own: &'r Labels) {
        self.pairs.clear();
        let mut common = common.iter().peekable();
        for label in own {
            while let Some(other) = common.next_if(|other| other.name < label.name) {
                self.push(other.name, other.value);
            }
            common.next_if(|other| other.name == label.name);
            self.push(label.name, label.value);
        }
        for other in common {
            self.push(other.name, other.value);
        }
    }

    fn push(&mut self, name: &'r str, value: &'r str) {
        self.pairs.push((Cow::Borrowed(name), Cow::Borrowed(value)));
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.pairs.binary_search_by(|(n, _)| (**n).cmp(name))
    }

    /// The value of a label, empty where it is missing.
    pub(crate) fn value(&self, name: &str) -> &str {
        self.find(name).map_or("", |at| &self.pairs[at].1)
    }

    /// Sets a label; an empty value removes it.
    pub(crate) fn put(&mut self, name: Cow<'r, str>, value: Cow<'r, str>) {
        match self.find(&name) {
            Ok(at) if value.is_empty() => drop(self.pairs.remove(at)),
            Ok(at) => self.pairs[at].1 = value,
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name, value)),
        }
    }

    /// Sets a label that is missing.
    pub(crate) fn put_missing(&mut self, name: &'r str, value: &'r str) {
        if let Err(at) = self.find(name)
            && !value.is_empty()
        {
            let pair = (Cow::Borrowed(name), Cow::Borrowed(value));
            self.pairs.insert(at, pair);
        }
    }

    /// Names and values in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (&**n, &**v))
    }

    /// The labels whose names `keep` takes; `buffer` is scratch space.
    pub(crate) fn build(&self, buffer: &mut String, keep: impl Fn(&str) -> bool) -> Labels {
        Labels::from_sorted_in(buffer, self.iter().filter(|(name, _)| keep(name)))
    }
}

impl<'r> RuleLabels<'r> for Working<'r> {
    fn value(&self, name: &str) -> &str {
        self.value(name)
    }

    fn shared(&self, name: &str) -> Cow<'r, str> {
        match self.find(name) {
            Ok(at) => self.pairs[at].1.clone(),
            Err(_) => Cow::Borrowed(""),
        }
    }

    fn put(&mut self, name: Cow<'r, str>, value: Cow<'r, str>) {
        self.put(name, value);
    }

    fn retain_names(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.pairs.retain(|(name, _)| keep(name));
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.iter()
    }
}
