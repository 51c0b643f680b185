//! What can be told about targets without scraping them.

use bellwether_model::LabelsBuilder;

use crate::config::PoolSettings;
use crate::target::resolve;

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
    for (index, target) in targets.into_iter().enumerate() {
        resolve(&target, settings).map_err(|error| GroupError {
            index,
            group: group.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(())
}
