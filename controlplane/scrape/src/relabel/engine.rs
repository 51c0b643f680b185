//! Applying rules.

use std::borrow::Cow;

use bellwether_model::LabelsBuilder;
use bellwether_model::re2::Re2;
use md5::{Digest, Md5};

use crate::config::ValidationScheme;

use super::config::{
    Action, DEFAULT_REGEX, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR, RelabelConfig, RelabelError,
};
use super::memory::{self, Memo, Memory};
use super::working::{RuleLabels, Working};

/// A compiled list of rules.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    /// As written: two lists are equal when their texts are.
    configs: Vec<RelabelConfig>,
}

impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.configs == other.configs
    }
}

#[derive(Clone, Debug)]
struct Rule {
    action: Action,
    source_labels: Vec<String>,
    separator: String,
    regex: Re2,
    matches_everything: bool,
    modulus: u64,
    target_label: String,
    replacement: String,
}

impl Rules {
    /// Compiles rules where label names may be any text.
    ///
    /// # Errors
    /// The first rule that is wrong.
    pub fn new(configs: &[RelabelConfig]) -> Result<Self, RelabelError> {
        Self::under(ValidationScheme::Utf8, configs)
    }

    /// Compiles rules whose label names follow a scheme.
    ///
    /// # Errors
    /// The first rule that is wrong.
    pub fn under(
        scheme: ValidationScheme,
        configs: &[RelabelConfig],
    ) -> Result<Self, RelabelError> {
        let rules = configs
            .iter()
            .map(|config| {
                let or = |text: &Option<String>, default: &str| {
                    text.clone().unwrap_or_else(|| default.to_owned())
                };
                Ok(Rule {
                    action: config.action,
                    source_labels: config.source_labels.clone().unwrap_or_default(),
                    separator: or(&config.separator, DEFAULT_SEPARATOR),
                    regex: config.check(scheme)?,
                    matches_everything: config.regex.as_deref().unwrap_or(DEFAULT_REGEX)
                        == DEFAULT_REGEX,
                    modulus: config.modulus,
                    target_label: config.target_label.clone(),
                    replacement: or(&config.replacement, DEFAULT_REPLACEMENT),
                })
            })
            .collect::<Result<_, RelabelError>>()?;
        Ok(Self {
            rules,
            configs: configs.to_vec(),
        })
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Applies all rules in order. False: the target or sample is dropped, and `labels` is in an
    /// unspecified state.
    #[must_use]
    pub fn apply(&self, labels: &mut LabelsBuilder) -> bool {
        self.rules.iter().all(|rule| rule.apply(labels, None))
    }

    /// [`Self::apply`] on borrowed texts. `memory` is this list's own, kept from one label set to the next.
    pub(crate) fn work<'r>(&'r self, labels: &mut Working<'r>, memory: &mut Memory) -> bool {
        let memos = memory.memos(self.rules.len());
        let mut rules = self.rules.iter().zip(memos);
        rules.all(|(rule, memo)| rule.apply(labels, Some(memo)))
    }
}

impl Rule {
    fn apply<'r, L: RuleLabels<'r>>(&'r self, labels: &mut L, memo: Option<&mut Memo>) -> bool {
        match self.action {
            Action::Keep => return self.matches(labels, memo),
            Action::Drop => return !self.matches(labels, memo),
            Action::KeepEqual => return labels.value(&self.target_label) == self.source(labels),
            Action::DropEqual => return labels.value(&self.target_label) != self.source(labels),
            Action::Replace => self.replace(labels, memo),
            Action::Lowercase => {
                self.map(labels, memo, |text| change_case(text, char::to_lowercase));
            }
            Action::Uppercase => {
                self.map(labels, memo, |text| change_case(text, char::to_uppercase));
            }
            Action::HashMod => {
                self.map(labels, memo, |text| {
                    hash_mod(text, self.modulus).to_string()
                });
            }
            Action::LabelMap => self.label_map(labels, memo),
            Action::LabelDrop => self.retain(labels, memo, false),
            Action::LabelKeep => self.retain(labels, memo, true),
        }
        true
    }

    /// Whether the pattern matches. Only what needs the engine is worth to be remembered.
    fn matches<'r, L: RuleLabels<'r>>(&self, labels: &L, memo: Option<&mut Memo>) -> bool {
        let source = self.source(labels);
        if self.matches_everything || self.regex.is_cheap() {
            return self.matches_everything || self.regex.is_match(&source);
        }
        let matched = |text: &str| self.regex.is_match(text).then(String::new);
        memory::of_value(memo, &source, matched).is_some()
    }

    /// Sets the target label to what a function makes of the source.
    fn map<'r, L: RuleLabels<'r>>(
        &'r self,
        labels: &mut L,
        memo: Option<&mut Memo>,
        make: impl Fn(&str) -> String,
    ) {
        let made = memory::of_value(memo, &self.source(labels), |text| Some(make(text)));
        let made = made.unwrap_or_default().into_owned();
        labels.put(Cow::Borrowed(&self.target_label), Cow::Owned(made));
    }

    /// Keeps the labels whose names match, or those that do not.
    fn retain<'r, L: RuleLabels<'r>>(
        &self,
        labels: &mut L,
        mut memo: Option<&mut Memo>,
        matching: bool,
    ) {
        let mut place = 0;
        labels.retain_names(|name| {
            let matched = |name: &str| self.regex.is_match(name).then(String::new);
            let found = memory::of_name(memo.as_deref_mut(), place, name, matched);
            place += 1;
            found.is_some() == matching
        });
    }

    /// The joined values of the source labels. One alone is not copied.
    fn source<'l, 'r, L: RuleLabels<'r>>(&self, labels: &'l L) -> Cow<'l, str> {
        match self.source_labels.as_slice() {
            [] => Cow::Borrowed(""),
            [one] => Cow::Borrowed(labels.value(one)),
            several => {
                let mut out = String::new();
                for (i, name) in several.iter().enumerate() {
                    if i > 0 {
                        out.push_str(&self.separator);
                    }
                    out.push_str(labels.value(name));
                }
                Cow::Owned(out)
            }
        }
    }

    fn replace<'r, L: RuleLabels<'r>>(&'r self, labels: &mut L, memo: Option<&mut Memo>) {
        let Some(expanded) = self.expanded(labels, memo) else {
            return;
        };
        if !self.target_label.contains('$') {
            labels.put(Cow::Borrowed(&self.target_label), expanded);
            return;
        }
        let target = self.regex.replace(&self.source(labels), &self.target_label);
        if let Some(target) = target.filter(|target| !target.is_empty()) {
            labels.put(Cow::Owned(target), expanded);
        }
    }

    /// The new value. `None`: the pattern does not match.
    fn expanded<'r, L: RuleLabels<'r>>(
        &'r self,
        labels: &L,
        memo: Option<&mut Memo>,
    ) -> Option<Cow<'r, str>> {
        let as_it_is = self.replacement == DEFAULT_REPLACEMENT;
        if self.matches_everything && as_it_is {
            return Some(match self.source_labels.as_slice() {
                [one] => labels.shared(one),
                _ => Cow::Owned(self.source(labels).into_owned()),
            });
        }
        if !self.replacement.contains('$') {
            let matches = self.matches(labels, memo);
            return matches.then_some(Cow::Borrowed(&self.replacement));
        }
        let replaced = |text: &str| self.regex.replace(text, &self.replacement);
        let found = memory::of_value(memo, &self.source(labels), replaced)?;
        Some(Cow::Owned(found.into_owned()))
    }

    fn label_map<'r, L: RuleLabels<'r>>(&'r self, labels: &mut L, mut memo: Option<&mut Memo>) {
        let new_names = labels.pairs().enumerate().filter_map(|(place, (name, _))| {
            let replaced = |name: &str| self.regex.replace(name, &self.replacement);
            let new_name = memory::of_name(memo.as_deref_mut(), place, name, replaced)?;
            Some((name, new_name.into_owned()))
        });
        let mut new_names: Vec<(&str, String)> = new_names.collect();
        // Where two labels get the same name, the last one counts.
        new_names.sort_unstable();
        // The mapping sees the labels as they were before it.
        let mapped: Vec<(String, Cow<'r, str>)> = new_names
            .into_iter()
            .map(|(name, new_name)| (new_name, labels.shared(name)))
            .collect();
        for (name, value) in mapped {
            if !name.is_empty() {
                labels.put(Cow::Owned(name), value);
            }
        }
    }
}

/// Each character by itself, as Go maps them: one whose other case is several characters stays as it is.
fn change_case<I: Iterator<Item = char>>(text: &str, map: fn(char) -> I) -> String {
    text.chars()
        .map(|c| match (c, &mut map(c)) {
            // The one character that Go maps to the first of two.
            ('\u{130}', mapped) => mapped.next().unwrap_or(c),
            (_, mapped) => match (mapped.next(), mapped.next()) {
                (Some(one), None) => one,
                _ => c,
            },
        })
        .collect()
}

/// The last eight bytes of the MD5 sum, big-endian, modulo `modulus`, as Prometheus shards targets.
fn hash_mod(text: &str, modulus: u64) -> u64 {
    let sum = Md5::digest(text.as_bytes());
    let mut last = [0; 8];
    last.copy_from_slice(&sum[8..]);
    // The check refuses a modulus of 0.
    u64::from_be_bytes(last) % modulus.max(1)
}
