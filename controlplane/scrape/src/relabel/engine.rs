//! Applying rules.

use std::borrow::Cow;

use bellwether_model::LabelsBuilder;
use bellwether_model::re2::Re2;
use md5::{Digest, Md5};

use crate::config::ValidationScheme;

use super::config::{
    Action, DEFAULT_REGEX, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR, RelabelConfig, RelabelError,
};
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
        self.rules.iter().all(|rule| rule.apply(labels))
    }

    /// [`Self::apply`] on borrowed texts.
    pub(crate) fn work<'r>(&'r self, labels: &mut Working<'r>) -> bool {
        self.rules.iter().all(|rule| rule.apply(labels))
    }
}

impl Rule {
    fn apply<'r, L: RuleLabels<'r>>(&'r self, labels: &mut L) -> bool {
        match self.action {
            Action::Keep => return self.regex.is_match(&self.source(labels)),
            Action::Drop => return !self.regex.is_match(&self.source(labels)),
            Action::KeepEqual => return labels.value(&self.target_label) == self.source(labels),
            Action::DropEqual => return labels.value(&self.target_label) != self.source(labels),
            Action::Replace => self.replace(labels),
            Action::Lowercase => {
                let value = change_case(&self.source(labels), char::to_lowercase);
                self.put(labels, value);
            }
            Action::Uppercase => {
                let value = change_case(&self.source(labels), char::to_uppercase);
                self.put(labels, value);
            }
            Action::HashMod => {
                let value = hash_mod(&self.source(labels), self.modulus).to_string();
                self.put(labels, value);
            }
            Action::LabelMap => self.label_map(labels),
            Action::LabelDrop => labels.retain_names(|name| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain_names(|name| self.regex.is_match(name)),
        }
        true
    }

    fn put<'r, L: RuleLabels<'r>>(&'r self, labels: &mut L, value: String) {
        labels.put(Cow::Borrowed(&self.target_label), Cow::Owned(value));
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

    fn replace<'r, L: RuleLabels<'r>>(&'r self, labels: &mut L) {
        let Some(expanded) = self.expanded(labels) else {
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
    fn expanded<'r, L: RuleLabels<'r>>(&'r self, labels: &L) -> Option<Cow<'r, str>> {
        let as_it_is = self.replacement == DEFAULT_REPLACEMENT;
        if self.matches_everything && as_it_is {
            return Some(match self.source_labels.as_slice() {
                [one] => labels.shared(one),
                _ => Cow::Owned(self.source(labels).into_owned()),
            });
        }
        if !self.replacement.contains('$') {
            let matches = self.matches_everything || self.regex.is_match(&self.source(labels));
            return matches.then_some(Cow::Borrowed(&self.replacement));
        }
        let source = self.source(labels);
        self.regex
            .replace(&source, &self.replacement)
            .map(Cow::Owned)
    }

    fn label_map<'r, L: RuleLabels<'r>>(&'r self, labels: &mut L) {
        let new_names = labels.pairs().filter_map(|(name, _)| {
            let new_name = self.regex.replace(name, &self.replacement)?;
            Some((name, new_name))
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
