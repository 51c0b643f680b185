//! What differs between the roles.

use std::collections::BTreeMap;

use super::world::{Reference, World};
use crate::config::KubernetesRole;
use crate::group::TargetGroup;
use crate::labels::Set;

/// Objects that make target groups.
pub(super) trait RoleObject: Send + 'static {
    const ROLE: KubernetesRole;
    /// In front of the key in a group's source.
    const SOURCE: &'static str;

    /// What its targets take labels from.
    fn references(&self) -> Vec<Reference>;

    /// Common labels and targets. `None`: it cannot be a group now.
    fn targets(&self, world: &World) -> Option<(Set, Vec<Set>)>;
}

/// The source of an object's group.
pub(super) fn source<T: RoleObject>(key: &str) -> String {
    format!("{}/{key}", T::SOURCE)
}

/// The group of an object, as it is now.
pub(super) fn group<T: RoleObject>(
    key: &str,
    objects: &BTreeMap<String, T>,
    world: &World,
) -> Option<TargetGroup> {
    let source = source::<T>(key);
    let Some(object) = objects.get(key) else {
        return Some(TargetGroup::gone(&source));
    };
    let (labels, targets) = object.targets(world)?;
    Some(TargetGroup {
        source: source.into(),
        labels: labels.build(),
        targets: targets.into_iter().map(Set::build).collect(),
    })
}
