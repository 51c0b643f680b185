//! `marathon_sd_configs`: the tasks of Marathon's applications, one group for each application.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bellwether_model::Labels;
use http::HeaderValue;
use serde::Deserialize;

use crate::api::{Api, ApiError, client};
use crate::config::MarathonSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port};
use crate::refresh::{Refresh, Refresher};

const PREFIX: &str = "__meta_marathon_";
const APPS: &str = "/v2/apps/?embed=apps.tasks";

struct MarathonDiscovery {
    servers: Vec<Api>,
    /// The server to ask next: all get their share.
    next: usize,
    token_file: Option<PathBuf>,
}

pub(super) fn build(
    config: &MarathonSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "marathon_sd")?;
    let token = match config.auth_token.0.as_str() {
        "" => None,
        text => Some(token(text).map_err(BuildError::Other)?),
    };
    let server = |server: &String| {
        let api = Api::new(client.clone(), server, interval);
        match &token {
            Some(token) => api.header("authorization", token.clone()),
            None => api,
        }
    };
    let discovery = MarathonDiscovery {
        servers: config.servers.iter().map(server).collect(),
        next: 0,
        token_file: (!config.auth_token_file.is_empty())
            .then(|| context.base_dir.join(&config.auth_token_file)),
    };
    Ok(Refresher::boxed(discovery, "marathon", interval, context))
}

/// DC/OS' own form of the header.
fn token(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("token={text}"))
        .map_err(|_| "auth_token holds a character that no header may hold".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Apps {
    apps: Vec<App>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct App {
    id: String,
    tasks: Option<Vec<Task>>,
    labels: Option<BTreeMap<String, String>>,
    container: Option<Container>,
    port_definitions: Option<Vec<PortDefinition>>,
    networks: Option<Vec<Network>>,
    require_ports: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Task {
    id: String,
    host: String,
    ports: Option<Vec<u32>>,
    ip_addresses: Option<Vec<IpAddress>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct IpAddress {
    ip_address: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    docker: Option<Docker>,
    port_mappings: Option<Vec<PortMapping>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Docker {
    image: String,
    port_mappings: Option<Vec<PortMapping>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PortMapping {
    labels: Option<BTreeMap<String, String>>,
    container_port: u32,
    host_port: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PortDefinition {
    labels: Option<BTreeMap<String, String>>,
    port: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Network {
    mode: String,
}

impl Refresh for MarathonDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let server = self.servers.get(self.next % self.servers.len().max(1));
        let Some(mut api) = server.cloned() else {
            return Ok(Vec::new());
        };
        self.next = self.next.wrapping_add(1);
        if let Some(path) = &self.token_file {
            let text = tokio::fs::read_to_string(path).await.map_err(|e| {
                ApiError::Other(format!(
                    "unable to read auth token file {}: {e}",
                    path.display()
                ))
            })?;
            let token = token(text.trim()).map_err(ApiError::Other)?;
            api = api.header("authorization", token);
        }
        let apps: Apps = api.get_json(APPS).await?;
        Ok(apps.apps.iter().map(App::group).collect())
    }
}

/// Ports of an application with the labels of each; a port of 0 is known to the task only.
struct Ports<'a> {
    ports: Vec<(u32, Option<&'a BTreeMap<String, String>>)>,
    prefix: &'static str,
}

impl App {
    fn group(&self) -> TargetGroup {
        let docker = self.container.as_ref().and_then(|c| c.docker.as_ref());
        let mut common = Set::new();
        common
            .set(format!("{PREFIX}app"), self.id.as_str())
            .set(
                format!("{PREFIX}image"),
                docker.map_or("", |docker| docker.image.as_str()),
            )
            .set_all(&format!("{PREFIX}app_label_"), self.labels.iter().flatten());
        TargetGroup {
            source: self.id.as_str().into(),
            targets: self.targets(),
            labels: common.build(),
        }
    }

    fn in_container_network(&self) -> bool {
        let first = self.networks.as_ref().and_then(|networks| networks.first());
        first.is_some_and(|network| network.mode == "container")
    }

    fn ports(&self) -> Ports<'_> {
        let container = self.container.as_ref();
        let mappings = container
            .and_then(|c| c.port_mappings.as_ref())
            .filter(|mappings| !mappings.is_empty());
        // Before Marathon 1.5 they stood one level deeper.
        let mappings = mappings.or_else(|| {
            let docker = container.and_then(|c| c.docker.as_ref());
            docker.and_then(|d| d.port_mappings.as_ref())
        });
        if let Some(mappings) = mappings.filter(|mappings| !mappings.is_empty()) {
            let direct = self.in_container_network();
            let port = |m: &PortMapping| {
                if direct {
                    m.container_port
                } else {
                    m.host_port
                }
            };
            return Ports {
                ports: mappings
                    .iter()
                    .map(|m| (port(m), m.labels.as_ref()))
                    .collect(),
                prefix: "port_mapping_label_",
            };
        }
        // Unless ports are required, a definition's port is that of the load balancer.
        let port = |d: &PortDefinition| if self.require_ports { d.port } else { 0 };
        let definitions = self.port_definitions.iter().flatten();
        Ports {
            ports: definitions.map(|d| (port(d), d.labels.as_ref())).collect(),
            prefix: "port_definition_label_",
        }
    }

    fn targets(&self) -> Vec<Labels> {
        let direct = self.in_container_network();
        let Ports { mut ports, prefix } = self.ports();
        let mut targets = Vec::new();
        for task in self.tasks.iter().flatten() {
            let own = task.ports.as_deref().unwrap_or_default();
            if ports.is_empty() {
                ports = own.iter().map(|port| (*port, None)).collect();
            }
            let address = task.ip_addresses.as_ref().and_then(|ips| ips.first());
            let host = match address {
                Some(address) if direct => &address.ip_address,
                _ => &task.host,
            };
            for (index, (port, labels)) in ports.iter().enumerate() {
                let port = match own.get(index) {
                    Some(own_port) if *port == 0 && own.len() == ports.len() => own_port,
                    _ => port,
                };
                let mut set = Set::new();
                set.set(ADDRESS, host_port(host, port))
                    .set(format!("{PREFIX}task"), task.id.as_str())
                    .set(format!("{PREFIX}port_index"), index.to_string())
                    .set_all(
                        &format!("{PREFIX}{prefix}"),
                        labels.iter().copied().flatten(),
                    );
                targets.push(set.build());
            }
        }
        targets
    }
}
