//! `docker_sd_configs`: a target for each published TCP port of each container in each of its networks.

mod api;
pub(super) mod swarm;

use std::collections::BTreeMap;

use bellwether_model::Labels;
use serde::Deserialize;

use self::api::{DockerApi, filter_query};
use crate::api::ApiError;
use crate::config::DockerSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port};
use crate::refresh::{Refresh, Refresher};

const PREFIX: &str = "__meta_docker_";

struct DockerDiscovery {
    api: DockerApi,
    list: String,
    port: i64,
    host_networking_host: String,
    match_first_network: bool,
}

pub(super) fn build(
    config: &DockerSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let api = DockerApi::new(&config.host, &config.http, context, interval, "docker_sd")?;
    let discovery = DockerDiscovery {
        api,
        list: format!("/containers/json{}", filter_query(&config.filters)),
        port: config.port,
        host_networking_host: config.host_networking_host.clone(),
        match_first_network: config.match_first_network,
    };
    Ok(Refresher::boxed(discovery, "docker", interval, context))
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Container {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    labels: Option<BTreeMap<String, String>>,
    ports: Option<Vec<Port>>,
    host_config: HostConfig,
    network_settings: Option<NetworkSettings>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    networks: Option<BTreeMap<String, Option<Endpoint>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Endpoint {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "IPAddress")]
    ip: String,
    #[serde(rename = "GlobalIPv6Address")]
    ipv6: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Port {
    #[serde(rename = "IP")]
    ip: String,
    private_port: u16,
    public_port: u16,
    #[serde(rename = "Type")]
    kind: String,
}

impl Container {
    fn networks(&self) -> BTreeMap<String, Option<Endpoint>> {
        let settings = self.network_settings.as_ref();
        settings
            .and_then(|s| s.networks.clone())
            .unwrap_or_default()
    }

    fn labels(&self, name: &str) -> Set {
        let mut set = Set::new();
        let label = |what: &str| format!("{PREFIX}container_{what}");
        set.set(label("id"), self.id.as_str())
            .set(label("name"), name)
            .set(
                label("network_mode"),
                self.host_config.network_mode.as_str(),
            )
            .set(label("image"), self.image.as_str())
            .set(label("image_id"), self.image_id.as_str());
        if let Some(labels) = &self.labels {
            set.set_all(&label("label_"), labels);
        }
        set
    }
}

impl Refresh for DockerDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let containers: Option<Vec<Container>> = self
            .api
            .get(&self.list)
            .await
            .map_err(|e| ApiError::Other(format!("error while listing containers: {e}")))?;
        let network_labels =
            self.api.network_labels(PREFIX).await.map_err(|e| {
                ApiError::Other(format!("error while computing network labels: {e}"))
            })?;
        let containers = containers.unwrap_or_default();
        let by_id: BTreeMap<&str, &Container> =
            containers.iter().map(|c| (c.id.as_str(), c)).collect();
        let mut targets = Vec::new();
        for container in &containers {
            let Some(name) = container.names.as_ref().and_then(|names| names.first()) else {
                continue;
            };
            let common = container.labels(name);
            let networks = self.choose(networks(container, &by_id));
            for network in networks.values().flatten() {
                self.network_targets(container, &common, network, &network_labels, &mut targets);
            }
        }
        Ok(vec![TargetGroup {
            source: "Docker".into(),
            targets,
            labels: Labels::empty(),
        }])
    }
}

/// The networks of a container; one that uses another container's network has that one's.
fn networks(
    container: &Container,
    by_id: &BTreeMap<&str, &Container>,
) -> BTreeMap<String, Option<Endpoint>> {
    let mut at = container;
    // Each container is looked at once at most, so that two that name each other end it.
    for _ in 0..=by_id.len() {
        let networks = at.networks();
        let other = at.host_config.network_mode.strip_prefix("container:");
        match other.and_then(|id| by_id.get(id)) {
            Some(next) if networks.is_empty() => at = next,
            _ => return networks,
        }
    }
    BTreeMap::new()
}

impl DockerDiscovery {
    /// Only the first network by name, if that is wanted.
    fn choose(
        &self,
        networks: BTreeMap<String, Option<Endpoint>>,
    ) -> BTreeMap<String, Option<Endpoint>> {
        if !self.match_first_network {
            return networks;
        }
        let first = networks.into_iter().find(|(_, network)| network.is_some());
        first.into_iter().collect()
    }

    fn network_targets(
        &self,
        container: &Container,
        common: &Set,
        network: &Endpoint,
        network_labels: &BTreeMap<String, Set>,
        targets: &mut Vec<Labels>,
    ) {
        let ip = if network.ip.is_empty() {
            &network.ipv6
        } else {
            &network.ip
        };
        let mut push = |own: Set, address: &str| {
            let mut set = own;
            set.set(format!("{PREFIX}network_ip"), ip.as_str())
                .extend(common);
            if let Some(labels) = network_labels.get(&network.network_id) {
                set.extend(labels);
            }
            set.set(ADDRESS, address);
            targets.push(set.build());
        };
        let ports = container.ports.iter().flatten();
        let mut any = false;
        for port in ports.filter(|port| port.kind == "tcp") {
            any = true;
            let mut own = Set::new();
            own.set(
                format!("{PREFIX}port_private"),
                port.private_port.to_string(),
            );
            if port.public_port > 0 {
                own.set(format!("{PREFIX}port_public"), port.public_port.to_string())
                    .set(format!("{PREFIX}port_public_ip"), port.ip.as_str());
            }
            push(own, &host_port(ip, port.private_port));
        }
        if any {
            return;
        }
        // A container in the host's network has no ports.
        match container.host_config.network_mode.as_str() {
            "host" => push(Set::new(), &self.host_networking_host),
            _ => push(Set::new(), &host_port(ip, self.port)),
        }
    }
}
