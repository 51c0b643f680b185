//! Where targets come from.
//!
//! A [`Discoverer`] sends the complete list of its target groups whenever it changes; the pool replaces what
//! that discoverer said before.

mod file;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use bellwether_model::{Labels, LabelsBuilder};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{PoolSettings, StaticConfig};

pub(crate) use file::{FileDiscovery, check_pattern};

/// Targets with common labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// One label set per target, with `__address__`.
    pub targets: Vec<Labels>,
    /// Labels of all of them; a target's own label of the same name wins.
    pub labels: Labels,
}

impl TargetGroup {
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
}

/// A discovery mechanism.
pub trait Discoverer: Send {
    /// Runs until `shutdown`, sending the complete list of groups at the start and after each change. Ends
    /// when the receiver is gone.
    fn run(
        self: Box<Self>,
        updates: mpsc::Sender<Vec<TargetGroup>>,
        shutdown: CancellationToken,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The discoveries of a configuration besides its fixed targets, which are there at once.
#[must_use]
pub fn discoveries(settings: &PoolSettings) -> (Vec<TargetGroup>, Vec<Box<dyn Discoverer>>) {
    let files = settings.file_sd_configs.iter().map(|config| {
        let files = FileDiscovery::new(config, &settings.base_dir, &settings.job_name);
        Box::new(files) as Box<dyn Discoverer>
    });
    (static_groups(&settings.static_configs), files.collect())
}

/// The groups of `static_configs`.
pub(crate) fn static_groups(configs: &[StaticConfig]) -> Vec<TargetGroup> {
    configs
        .iter()
        .map(|c| group(&c.targets, &c.labels))
        .collect()
}

fn group(targets: &[String], labels: &BTreeMap<String, String>) -> TargetGroup {
    TargetGroup {
        targets: targets
            .iter()
            .map(|address| Labels::from_pairs([("__address__", address.as_str())]))
            .collect(),
        labels: Labels::from_pairs(labels),
    }
}
