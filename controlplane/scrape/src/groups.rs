//! What relabelling makes of target groups, kept from update to update.
//!
//! A group that did not change is the same allocation as before, and so are its targets: of ten thousand pods of which
//! one restarts, one is relabelled.

use std::sync::Arc;

use bellwether_discovery::{GroupList, TargetGroup};
use bellwether_model::Labels;
use hashbrown::HashMap;

use crate::config::PoolSettings;
use crate::target::{Resolver, TargetDefaults, TargetSpec};

/// Targets and dropped targets of all groups of a pool. Belongs to one version of the settings.
#[derive(Default)]
pub(crate) struct ResolvedGroups {
    groups: Vec<ResolvedGroup>,
    dropped_count: usize,
}

struct ResolvedGroup {
    group: Arc<TargetGroup>,
    targets: Vec<Arc<TargetSpec>>,
    /// Labels before relabelling; no more than the settings keep.
    dropped: Vec<Labels>,
    dropped_count: usize,
}

impl ResolvedGroups {
    /// Goes on with other groups; only new ones are relabelled. Returns how many targets could not be made.
    pub(crate) fn update(&mut self, groups: &GroupList, settings: &PoolSettings) -> usize {
        let mut known: HashMap<*const TargetGroup, ResolvedGroup> = self
            .groups
            .drain(..)
            .map(|resolved| (Arc::as_ptr(&resolved.group), resolved))
            .collect();
        let defaults = TargetDefaults::new(settings);
        let mut failed = 0;
        for group in groups.iter() {
            let resolved = known.remove(&Arc::as_ptr(group)).unwrap_or_else(|| {
                let (resolved, bad) = resolve(group, settings, &defaults);
                failed += bad;
                resolved
            });
            self.groups.push(resolved);
        }
        self.dropped_count = self.groups.iter().map(|group| group.dropped_count).sum();
        failed
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Arc<TargetSpec>> {
        self.groups.iter().flat_map(|group| &group.targets)
    }

    pub(crate) fn dropped(&self) -> impl Iterator<Item = &Labels> {
        self.groups.iter().flat_map(|group| &group.dropped)
    }

    /// Number of dropped targets, whether kept or not.
    pub(crate) fn dropped_count(&self) -> usize {
        self.dropped_count
    }
}

fn resolve(
    group: &Arc<TargetGroup>,
    settings: &PoolSettings,
    defaults: &TargetDefaults,
) -> (ResolvedGroup, usize) {
    let mut resolved = ResolvedGroup {
        group: Arc::clone(group),
        targets: Vec::new(),
        dropped: Vec::new(),
        dropped_count: 0,
    };
    let mut failed = 0;
    let mut resolver = Resolver::new(settings, defaults);
    let keep = settings.keep_dropped_targets;
    for own in &group.targets {
        let made = resolver.resolve(&group.labels, own);
        match made.target {
            Ok(Some(spec)) => resolved.targets.push(spec),
            Ok(None) => {
                resolved.dropped_count += 1;
                if keep == 0 || (resolved.dropped.len() as u64) < keep {
                    resolved.dropped.push(made.discovered);
                }
            }
            Err(error) => {
                failed += 1;
                tracing::error!(
                    job = settings.job_name,
                    labels = %made.discovered,
                    %error,
                    "cannot make a target of what was discovered"
                );
            }
        }
    }
    (resolved, failed)
}

/// What would become of one discovered target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedTarget {
    /// Labels before relabelling, with `__scrape_interval__` and the like.
    pub discovered_labels: Labels,
    /// Labels that the target's series get; empty where a rule drops the target or it cannot be made.
    pub labels: Labels,
    /// Why it cannot be made.
    pub error: Option<String>,
}

/// Applies a job's defaults and rules to what was discovered for it, without scraping anything. Equal results of a
/// group are one.
#[must_use]
pub fn check_targets(settings: &PoolSettings, groups: &[Arc<TargetGroup>]) -> Vec<CheckedTarget> {
    let defaults = TargetDefaults::new(settings);
    let mut checked = Vec::new();
    for group in groups {
        let mut resolver = Resolver::new(settings, &defaults);
        let start = checked.len();
        for own in &group.targets {
            let made = resolver.resolve(&group.labels, own);
            let (labels, error) = match made.target {
                Ok(Some(spec)) => (spec.labels.clone(), None),
                Ok(None) => (Labels::empty(), None),
                Err(error) => (Labels::empty(), Some(error.to_string())),
            };
            let target = CheckedTarget {
                discovered_labels: made.discovered,
                labels,
                error,
            };
            if !checked[start..].contains(&target) {
                checked.push(target);
            }
        }
    }
    checked
}
