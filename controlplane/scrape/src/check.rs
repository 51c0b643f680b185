//! What can be told about targets without scraping them.

use bellwether_discovery::TargetGroup;

use crate::config::PoolSettings;
use crate::target::{Resolver, TargetDefaults, TargetError};

/// A target that its job would refuse. The text is Prometheus'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("instance {index} in group {group}: {reason}")]
pub struct GroupError {
    index: usize,
    group: String,
    reason: String,
}

/// Takes the targets of a group through defaults and relabelling as a scrape pool does. `name` names the group in
/// errors.
///
/// # Errors
/// The first target that a pool would refuse. One that the rules drop is fine, and so is one whose scrapes will fail
/// because its address makes no URL.
pub fn check_group(
    settings: &PoolSettings,
    name: &str,
    group: &TargetGroup,
) -> Result<(), GroupError> {
    let defaults = TargetDefaults::new(settings);
    let mut resolver = Resolver::new(settings, &defaults);
    for (index, own) in group.targets.iter().enumerate() {
        match resolver.resolve(&group.labels, own) {
            Ok(_) | Err(TargetError::Url(_)) => {}
            Err(error) => {
                return Err(GroupError {
                    index,
                    group: name.to_owned(),
                    reason: error.to_string(),
                });
            }
        }
    }
    Ok(())
}
