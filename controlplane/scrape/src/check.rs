//! What can be told about targets without scraping them.

use bellwether_model::{Labels, LabelsBuilder};

use crate::config::PoolSettings;
use crate::target::{Resolver, TargetDefaults};

/// A target that its job would refuse. The text is Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("instance {index} in group {group}: {reason}")]
pub struct GroupError {
    index: usize,
    group: String,
    reason: String,
}

/// Takes the targets of a group through defaults and relabelling as a scrape pool does. `group` names it in errors;
/// each target comes with its own labels and those of the group.
///
/// # Errors
/// The first target that a pool would refuse. One that the rules drop is fine.
pub fn check_group(
    settings: &PoolSettings,
    group: &str,
    targets: impl IntoIterator<Item = LabelsBuilder>,
) -> Result<(), GroupError> {
    let defaults = TargetDefaults::new(settings);
    let common = Labels::empty();
    let targets: Vec<Labels> = targets.into_iter().map(|t| t.build()).collect();
    let mut resolver = Resolver::new(settings, &defaults);
    for (index, target) in targets.iter().enumerate() {
        let resolved = resolver.resolve(&common, target);
        resolved.target.map_err(|error| GroupError {
            index,
            group: group.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(())
}
