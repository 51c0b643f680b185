//! What the tests share: a manager with a configuration in YAML, and waiting for what it finds.

#![allow(dead_code, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether_discovery::{Follower, GroupList, Manager, SdConfigs, SetConfig};
use bellwether_telemetry::Registry;
use bellwether_yaml::Strict;
use serde::{Deserialize, Deserializer};

pub(crate) mod cluster;

/// Time that anything in a test may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default, Deserialize)]
#[serde(remote = "Self", default)]
struct Section {
    #[serde(skip)]
    sd: SdConfigs,
}

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut sd = SdConfigs::default();
        Self::deserialize(Strict::new(deserializer, "section", &[]).embed(&mut sd))?;
        Ok(Self { sd })
    }
}

/// Reads `*_sd_configs`.
pub(crate) fn parse(yaml: &str) -> Result<SdConfigs, String> {
    bellwether_yaml::from_str::<Section>("test.yml", yaml)
        .map(|section| section.sd)
        .map_err(|e| e.to_string())
}

/// A manager with one set named `job`.
pub(crate) struct Discovery {
    pub(crate) manager: Manager,
    pub(crate) registry: Registry,
    pub(crate) groups: Follower,
}

impl Discovery {
    pub(crate) fn start(yaml: &str, base_dir: &Path) -> Self {
        let registry = Registry::new();
        let manager = Manager::new("scrape", &registry);
        let groups = apply(&manager, yaml, base_dir);
        Self {
            manager,
            registry,
            groups,
        }
    }

    pub(crate) fn reload(&mut self, yaml: &str, base_dir: &Path) {
        self.groups = apply(&self.manager, yaml, base_dir);
    }

    /// Waits until the groups are what `done` wants.
    pub(crate) async fn wait(&mut self, what: &str, done: impl Fn(&Found) -> bool) -> Found {
        let waiting = async {
            loop {
                let found = Found::new(&self.groups.take());
                if done(&found) {
                    return found;
                }
                self.groups.next().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(found) => found,
            Err(_) => {
                let found = Found::new(&self.groups.take());
                panic!("{what} did not come, found {found:#?}")
            }
        }
    }

    /// Waits until the targets have exactly these addresses.
    pub(crate) async fn wait_for(&mut self, addresses: &[&str]) -> Found {
        let wanted: BTreeSet<&str> = addresses.iter().copied().collect();
        let fits = |found: &Found| {
            let now: BTreeSet<&str> = found.0.iter().map(|t| t["__address__"].as_str()).collect();
            now == wanted
        };
        self.wait(&format!("{addresses:?}"), fits).await
    }

    /// The value of a metric on the page.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let page = self.registry.render_text();
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }
}

fn apply(manager: &Manager, yaml: &str, base_dir: &Path) -> Follower {
    let configs = parse(yaml).unwrap();
    let set = SetConfig {
        name: "job",
        configs: &configs,
        base_dir,
    };
    manager.apply(&[set]).remove("job").unwrap()
}

/// The labels of each target, with those of its group.
#[derive(Debug)]
pub(crate) struct Found(pub(crate) Vec<BTreeMap<String, String>>);

impl Found {
    fn new(groups: &GroupList) -> Self {
        let members = groups.iter().map(Arc::as_ref).flat_map(|g| g.members());
        let labels = members.map(|labels| {
            let labels = labels.build();
            let pairs = labels
                .iter()
                .map(|l| (l.name.to_owned(), l.value.to_owned()));
            pairs.collect::<BTreeMap<_, _>>()
        });
        Self(labels.collect())
    }

    /// The target with an address.
    pub(crate) fn target(&self, address: &str) -> &BTreeMap<String, String> {
        let found = self.0.iter().find(|t| t["__address__"] == address);
        found.unwrap_or_else(|| panic!("no target {address} in {self:#?}"))
    }
}

/// Compares all labels of a target.
pub(crate) fn assert_labels(found: &BTreeMap<String, String>, want: &[(&str, &str)]) {
    let want: BTreeMap<String, String> = want
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    assert_eq!(found, &want);
}
