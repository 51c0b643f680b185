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
    /// Places in the group: their labels are made when somebody asks.
    dropped: Vec<u32>,
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
        self.dropped_count = self.groups.iter().map(|group| group.dropped.len()).sum();
        failed
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &Arc<TargetSpec>> {
        self.groups.iter().flat_map(|group| &group.targets)
    }

    /// Labels before relabelling of the first dropped targets.
    pub(crate) fn dropped(&self, settings: &PoolSettings, most: usize) -> Vec<Labels> {
        let defaults = TargetDefaults::new(settings);
        let places = self.groups.iter().flat_map(|resolved| {
            let group = &resolved.group;
            let own = |place: &u32| group.targets.get(*place as usize);
            let targets = resolved.dropped.iter().filter_map(own);
            targets.map(move |own| (&group.labels, own))
        });
        let mut resolver = Resolver::new(settings, &defaults);
        places
            .take(most)
            .map(|(common, own)| resolver.discovered(common, own))
            .collect()
    }

    /// Number of dropped targets.
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
    };
    let mut failed = 0;
    let mut resolver = Resolver::new(settings, defaults);
    for (own, place) in group.targets.iter().zip(0..) {
        match resolver.resolve(&group.labels, own) {
            Ok(Some(spec)) => resolved.targets.push(spec),
            Ok(None) => resolved.dropped.push(place),
            Err(error) => {
                failed += 1;
                tracing::error!(
                    job = settings.job_name,
                    labels = %resolver.discovered(&group.labels, own),
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
    /// Labels after relabelling, `__meta_` ones aside; empty where a rule drops the target or it cannot be made.
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
            let (labels, error) = match resolver.relabelled(&group.labels, own) {
                Ok(labels) => (labels.unwrap_or_default(), None),
                Err(error) => (Labels::empty(), Some(error.to_string())),
            };
            let target = CheckedTarget {
                discovered_labels: resolver.discovered(&group.labels, own),
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
