//! What discovery finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use bellwether_model::{Labels, LabelsBuilder};
use serde::de::DeserializeOwned;

use crate::config::StaticConfig;

/// The address that is scraped or sent to.
pub(crate) const ADDRESS: &str = "__address__";

/// Targets with common labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// Tells the groups of one mechanism apart: a later group of the same source replaces this one.
    pub source: Arc<str>,
    /// One label set per target, with `__address__`.
    pub targets: Vec<Labels>,
    /// Labels of all of them; a target's own label of the same name wins.
    pub labels: Labels,
}

impl TargetGroup {
    /// A group without targets: the source is gone.
    #[must_use]
    pub fn gone(source: &str) -> Self {
        Self {
            source: source.into(),
            ..Self::default()
        }
    }

    /// The labels of each target.
    pub fn members(&self) -> impl Iterator<Item = LabelsBuilder> {
        self.targets.iter().map(|target| {
            let mut labels = self.labels.to_builder();
            for label in target {
                labels.set(label.name, label.value);
            }
            labels
        })
    }

    pub(crate) fn of_config(config: &StaticConfig, source: &str) -> Self {
        Self {
            source: source.into(),
            targets: config
                .targets
                .iter()
                .map(|address| Labels::from_pairs([(ADDRESS, address.as_str())]))
                .collect(),
            labels: Labels::from_pairs(&config.labels),
        }
    }
}

/// The groups of `static_configs`.
pub(crate) fn static_groups(configs: &[StaticConfig]) -> Vec<TargetGroup> {
    configs
        .iter()
        .enumerate()
        .map(|(i, config)| TargetGroup::of_config(config, &i.to_string()))
        .collect()
}

/// Why a document of target groups is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupsError {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Yaml(String),
    #[error("nil target group item found")]
    Null,
}

/// Target groups as files and `http_sd` servers write them. `source` names the document: the groups are numbered
/// behind it. `label` is added to each group.
pub(crate) fn named_groups(
    configs: Vec<Option<StaticConfig>>,
    source: &str,
    label: (&str, &str),
) -> Result<Vec<TargetGroup>, GroupsError> {
    configs
        .into_iter()
        .enumerate()
        .map(|(i, config)| {
            let config = config.ok_or(GroupsError::Null)?;
            let mut group = TargetGroup::of_config(&config, &format!("{source}:{i}"));
            let mut labels = group.labels.to_builder();
            labels.set(label.0, label.1);
            group.labels = labels.build();
            Ok(group)
        })
        .collect()
}

/// Reads JSON; a null document is an empty list.
pub(crate) fn from_json(text: &[u8]) -> Result<Vec<Option<StaticConfig>>, GroupsError> {
    Ok(json::<Option<Vec<Option<StaticConfig>>>>(text)?.unwrap_or_default())
}

/// Reads JSON.
pub(crate) fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(text)
}

/// Groups by source: what one mechanism said last.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<Arc<str>, Arc<TargetGroup>>);

impl Groups {
    /// Takes a message over. False: it said what is known already; then all groups stay the allocations they are.
    pub(crate) fn update(&mut self, groups: impl IntoIterator<Item = TargetGroup>) -> bool {
        let mut changed = false;
        for group in groups {
            if group.targets.is_empty() {
                changed |= self.0.remove(&group.source).is_some();
            } else if self.0.get(&group.source).is_none_or(|old| **old != group) {
                self.0.insert(Arc::clone(&group.source), Arc::new(group));
                changed = true;
            }
        }
        changed
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<TargetGroup>> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(source: &str, targets: &[&str]) -> TargetGroup {
        let config = StaticConfig {
            targets: targets.iter().map(|t| (*t).to_owned()).collect(),
            labels: BTreeMap::new(),
        };
        TargetGroup::of_config(&config, source)
    }

    #[test]
    fn a_group_replaces_that_of_its_source_and_an_empty_one_removes_it() {
        let mut groups = Groups::default();
        assert!(groups.update([group("a", &["1", "2"]), group("b", &["3"])]));
        assert!(groups.update([group("a", &["4"])]));
        assert!(!groups.update([group("a", &["4"])]));
        let addresses = |groups: &Groups| -> Vec<String> {
            let members = groups.iter().flat_map(|g| g.members().collect::<Vec<_>>());
            members.map(|m| m.value(ADDRESS).to_owned()).collect()
        };
        assert_eq!(addresses(&groups), ["4", "3"]);
        assert!(groups.update([TargetGroup::gone("b")]));
        assert!(!groups.update([TargetGroup::gone("never there")]));
        assert_eq!(addresses(&groups), ["4"]);
    }

    #[test]
    fn a_target_s_own_label_wins() {
        let group = TargetGroup {
            source: "s".into(),
            targets: vec![Labels::from_pairs([(ADDRESS, "a"), ("x", "own")])],
            labels: Labels::from_pairs([("x", "common"), ("y", "z")]),
        };
        let labels: Vec<_> = group.members().map(|m| m.build().to_string()).collect();
        assert_eq!(labels, [r#"{__address__="a", x="own", y="z"}"#]);
    }
}
