//! Rules that stand in a file twice.

use std::collections::BTreeMap;
use std::fmt;

use super::RuleFile;

/// A name with labels that more than one rule has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DuplicateRule {
    /// Name of series or alert.
    pub metric: String,
    /// Labels of group and rule.
    pub labels: BTreeMap<String, String>,
}

impl fmt::Display for DuplicateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metric: {}\nLabel(s):\n", self.metric)?;
        let mut labels = self.labels.iter();
        labels.try_for_each(|(name, value)| writeln!(f, "\t{name}: {value}"))
    }
}

/// The duplicates of a file, each once, sorted.
#[must_use]
pub fn duplicate_rules(file: &RuleFile) -> Vec<DuplicateRule> {
    let mut counts: BTreeMap<DuplicateRule, usize> = BTreeMap::new();
    for group in &file.groups {
        for rule in &group.rules {
            let mut labels = group.labels.clone();
            labels.extend(rule.labels.clone());
            let key = DuplicateRule {
                metric: rule.name().to_owned(),
                labels,
            };
            *counts.entry(key).or_default() += 1;
        }
    }
    let repeated = counts.into_iter().filter(|(_, count)| *count > 1);
    repeated.map(|(rule, _)| rule).collect()
}
