//! What rules made of the texts of the last target.
//!
//! The targets of a group have most labels in common, and so have those of a cluster: a rule mostly meets the text
//! that it met before, and comparing it takes a tenth of the time of a regular expression or a hash.

use std::borrow::Cow;

/// What the rules of one list remember while they go through many label sets.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<Memo>);

impl Memory {
    /// One memo for each of `rules` rules.
    pub(super) fn memos(&mut self, rules: usize) -> &mut [Memo] {
        self.0.resize_with(rules, Memo::default);
        &mut self.0
    }
}

/// What one rule remembers.
#[derive(Debug, Default)]
pub(super) struct Memo {
    value: Last,
    /// By the place of a label: alike targets have their labels in the same order.
    names: Vec<Last>,
}

impl Memo {
    /// What is remembered of the name at a place.
    fn name(&mut self, place: usize) -> &mut Last {
        if self.names.len() <= place {
            self.names.resize_with(place + 1, Last::default);
        }
        &mut self.names[place]
    }
}

/// What `make` gives for a value; it has to give the same each time.
pub(super) fn of_value<'m>(
    memo: Option<&'m mut Memo>,
    text: &str,
    make: impl FnOnce(&str) -> Option<String>,
) -> Option<Cow<'m, str>> {
    match memo {
        Some(memo) => memo.value.of(text, make),
        None => make(text).map(Cow::Owned),
    }
}

/// [`of_value`] for the name of the label at a place.
pub(super) fn of_name<'m>(
    memo: Option<&'m mut Memo>,
    place: usize,
    name: &str,
    make: impl FnOnce(&str) -> Option<String>,
) -> Option<Cow<'m, str>> {
    match memo {
        Some(memo) => memo.name(place).of(name, make),
        None => make(name).map(Cow::Owned),
    }
}

/// A text and what came of it; `None` where the rule does not apply.
#[derive(Debug, Default)]
struct Last {
    text: String,
    result: Option<String>,
    is_known: bool,
    misses: u8,
}

/// After so many new texts in a row none is remembered any more: copying them would be for nothing.
const PATIENCE: u8 = 64;

impl Last {
    fn of(
        &mut self,
        text: &str,
        make: impl FnOnce(&str) -> Option<String>,
    ) -> Option<Cow<'_, str>> {
        if self.misses == PATIENCE {
            return make(text).map(Cow::Owned);
        }
        if self.is_known && self.text == text {
            self.misses = 0;
        } else {
            self.misses += 1;
            self.is_known = true;
            self.text.clear();
            self.text.push_str(text);
            self.result = make(text);
        }
        self.result.as_deref().map(Cow::Borrowed)
    }
}
