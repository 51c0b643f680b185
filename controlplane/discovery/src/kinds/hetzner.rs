//! `hetzner_sd_configs`: servers of Hetzner's cloud, or dedicated ones (`robot`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use bellwether_model::Labels;
use serde::Deserialize;

use crate::api::{Api, ApiError, client};
use crate::config::{HetznerRole, HetznerSdConfig, url};
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, sanitize};
use crate::refresh::{Refresh, Refresher};

const CLOUD_SERVER: &str = "https://api.hetzner.cloud/v1";
const ROBOT_SERVER: &str = "https://robot-ws.your-server.de";
const PREFIX: &str = "__meta_hetzner_";

struct HetznerDiscovery {
    api: Api,
    role: HetznerRole,
    label_selector: String,
    port: i64,
}

pub(super) fn build(
    config: &HetznerSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let role = config.role.unwrap_or(HetznerRole::Hcloud);
    let server = match role {
        HetznerRole::Hcloud => CLOUD_SERVER,
        HetznerRole::Robot => ROBOT_SERVER,
    };
    build_at(server, role, config, context)
}

fn build_at(
    server: &str,
    role: HetznerRole,
    config: &HetznerSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "hetzner_sd")?;
    let discovery = HetznerDiscovery {
        api: Api::new(client, server, interval),
        role,
        label_selector: config.label_selector.clone(),
        port: config.port,
    };
    Ok(Refresher::boxed(discovery, "hetzner", interval, context))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    servers: Vec<Server>,
    networks: Vec<Network>,
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    pagination: Pagination,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Pagination {
    next_page: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Network {
    id: i64,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Server {
    id: i64,
    name: String,
    status: String,
    public_net: PublicNet,
    private_net: Vec<PrivateNet>,
    location: Option<Location>,
    datacenter: Option<Datacenter>,
    server_type: ServerType,
    image: Option<Image>,
    labels: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PublicNet {
    ipv4: Option<Ip>,
    ipv6: Option<Ip>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Ip {
    ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PrivateNet {
    network: i64,
    ip: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Datacenter {
    location: Option<Location>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location {
    name: String,
    network_zone: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServerType {
    name: String,
    cores: i64,
    cpu_type: String,
    memory: f64,
    disk: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image {
    name: Option<String>,
    description: Option<String>,
    os_version: Option<String>,
    os_flavor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RobotEntry {
    server: RobotServer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RobotServer {
    server_ip: Option<String>,
    server_number: i64,
    server_name: String,
    dc: String,
    status: String,
    product: String,
    cancelled: bool,
    subnet: Option<Vec<Subnet>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Subnet {
    ip: String,
    mask: String,
}

impl Refresh for HetznerDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let targets = match self.role {
            HetznerRole::Hcloud => self.cloud().await?,
            HetznerRole::Robot => self.robot().await?,
        };
        Ok(vec![TargetGroup {
            source: "hetzner".into(),
            targets,
            labels: Labels::empty(),
        }])
    }
}

impl HetznerDiscovery {
    /// All pages of a list.
    async fn pages(&self, what: &str, selector: &str) -> Result<Vec<Page>, ApiError> {
        let mut pages = Vec::new();
        let mut number = 1;
        loop {
            let mut path = format!("/{what}?page={number}&per_page=50");
            if !selector.is_empty() {
                path.push_str("&label_selector=");
                url::push_query(&mut path, selector);
            }
            let page: Page = self.api.get_json(&path).await?;
            let next = page.meta.pagination.next_page;
            pages.push(page);
            match next {
                Some(next) if next > number => number = next,
                _ => return Ok(pages),
            }
        }
    }

    async fn cloud(&self) -> Result<Vec<Labels>, ApiError> {
        let servers = self.pages("servers", &self.label_selector).await?;
        let networks = self.pages("networks", "").await?;
        let networks: BTreeMap<i64, &str> = networks
            .iter()
            .flat_map(|page| &page.networks)
            .map(|network| (network.id, network.name.as_str()))
            .collect();
        let servers = servers.iter().flat_map(|page| &page.servers);
        Ok(servers.map(|s| s.labels(&networks, self.port)).collect())
    }

    async fn robot(&self) -> Result<Vec<Labels>, ApiError> {
        let entries: Vec<RobotEntry> = self.api.get_json("/server").await?;
        let labels = |entry: &RobotEntry| entry.server.labels(self.port);
        Ok(entries.iter().map(labels).collect())
    }
}

impl Server {
    fn labels(&self, networks: &BTreeMap<i64, &str>, port: i64) -> Labels {
        let ip = |ip: &Option<Ip>| ip.as_ref().map(|ip| ip.ip.clone()).unwrap_or_default();
        let in_datacenter = || self.datacenter.as_ref().and_then(|d| d.location.as_ref());
        let location = self.location.as_ref().or_else(in_datacenter);
        let (name, zone) = location.map_or(("", ""), |l| (&l.name, &l.network_zone));
        let kind = &self.server_type;
        let mut set = Set::new();
        for (label, value) in [
            ("role", "hcloud"),
            ("server_id", &self.id.to_string()),
            ("server_name", &self.name),
            ("server_status", &self.status),
            ("public_ipv4", &ip(&self.public_net.ipv4)),
            ("public_ipv6_network", &ip(&self.public_net.ipv6)),
            ("hcloud_location", name),
            ("hcloud_location_network_zone", zone),
            // The older names of the same.
            ("hcloud_datacenter_location", name),
            ("hcloud_datacenter_location_network_zone", zone),
            ("hcloud_server_type", &kind.name),
            ("hcloud_cpu_cores", &kind.cores.to_string()),
            ("hcloud_cpu_type", &kind.cpu_type),
            ("hcloud_memory_size_gb", &kind.memory.trunc().to_string()),
            ("hcloud_disk_size_gb", &kind.disk.to_string()),
        ] {
            set.set(format!("{PREFIX}{label}"), value);
        }
        if let Some(image) = &self.image {
            for (label, value) in [
                ("image_name", &image.name),
                ("image_description", &image.description),
                ("image_os_version", &image.os_version),
                ("image_os_flavor", &image.os_flavor),
            ] {
                set.set(
                    format!("{PREFIX}hcloud_{label}"),
                    value.as_deref().unwrap_or_default(),
                );
            }
        }
        for private in &self.private_net {
            if let Some(name) = networks.get(&private.network) {
                let label = format!("{PREFIX}hcloud_private_ipv4_{}", sanitize(name));
                set.set(label, private.ip.as_str());
            }
        }
        for (label, value) in &self.labels {
            let label = sanitize(label);
            set.set(format!("{PREFIX}hcloud_labelpresent_{label}"), "true")
                .set(format!("{PREFIX}hcloud_label_{label}"), value.as_str());
        }
        set.set(ADDRESS, host_port(&ip(&self.public_net.ipv4), port));
        set.build()
    }
}

impl RobotServer {
    fn labels(&self, port: i64) -> Labels {
        let ip = self.server_ip.as_deref().unwrap_or_default();
        let datacenter = self.dc.to_lowercase();
        let mut set = Set::new();
        for (label, value) in [
            ("role", "robot"),
            ("server_id", &self.server_number.to_string()),
            ("server_name", &self.server_name),
            ("server_status", &self.status),
            ("datacenter", &datacenter),
            ("public_ipv4", ip),
            ("robot_datacenter", &datacenter),
            ("robot_product", &self.product),
            ("robot_cancelled", &self.cancelled.to_string()),
        ] {
            set.set(format!("{PREFIX}{label}"), value);
        }
        let is_v6 = |subnet: &&Subnet| matches!(subnet.ip.parse(), Ok(IpAddr::V6(_)));
        if let Some(subnet) = self.subnet.iter().flatten().find(is_v6) {
            let network = format!("{}/{}", subnet.ip, subnet.mask);
            set.set(format!("{PREFIX}public_ipv6_network"), network);
        }
        set.set(ADDRESS, host_port(ip, port));
        set.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, discover};

    #[tokio::test]
    async fn cloud_servers_and_their_networks() {
        let server = Fake::start(|request| match request.path.as_str() {
            "/servers?page=1&per_page=50&label_selector=a%3Db" => Fake::json(
                r#"{"servers":[{"id":1,"name":"one","status":"running",
                    "public_net":{"ipv4":{"ip":"1.2.3.4"},"ipv6":{"ip":"2001:db8::/64"}},
                    "private_net":[{"network":7,"ip":"10.0.0.2"}],
                    "server_type":{"name":"cx11","cores":1,"cpu_type":"shared","memory":2.0,"disk":20},
                    "datacenter":{"location":{"name":"fsn1","network_zone":"eu-central"}},
                    "image":{"name":null,"description":"d","os_version":"12","os_flavor":"debian"},
                    "labels":{"my-key":"v"}}],
                   "meta":{"pagination":{"next_page":2}}}"#,
            ),
            "/servers?page=2&per_page=50&label_selector=a%3Db" => {
                Fake::json(r#"{"servers":[{"id":2,"name":"two"}]}"#)
            }
            "/networks?page=1&per_page=50" => {
                Fake::json(r#"{"networks":[{"id":7,"name":"my net"}]}"#)
            }
            _ => Fake::not_found(),
        })
        .await;
        let config = HetznerSdConfig {
            label_selector: "a=b".to_owned(),
            ..HetznerSdConfig::default()
        };
        let url = server.url();
        let groups =
            discover(|context| build_at(&url, HetznerRole::Hcloud, &config, context)).await;
        let first = &groups[0].targets[0];
        for (label, want) in [
            ("__address__", "1.2.3.4:80"),
            ("__meta_hetzner_hcloud_private_ipv4_my_net", "10.0.0.2"),
            ("__meta_hetzner_hcloud_datacenter_location", "fsn1"),
            ("__meta_hetzner_hcloud_memory_size_gb", "2"),
            ("__meta_hetzner_hcloud_label_my_key", "v"),
            ("__meta_hetzner_hcloud_labelpresent_my_key", "true"),
            ("__meta_hetzner_public_ipv6_network", "2001:db8::/64"),
        ] {
            assert_eq!(first.value(label), want, "{label}");
        }
        assert_eq!(groups[0].targets.len(), 2);
    }

    #[tokio::test]
    async fn dedicated_servers() {
        let server = Fake::start(|_| {
            Fake::json(
                r#"[{"server":{"server_ip":"1.1.1.1","server_number":5,"server_name":"s","dc":"FSN1-DC8",
                    "status":"ready","product":"EX40","cancelled":true,
                    "subnet":[{"ip":"1.2.0.0","mask":"24"},{"ip":"2a01::","mask":"64"}]}}]"#,
            )
        })
        .await;
        let (config, url) = (HetznerSdConfig::default(), server.url());
        let groups = discover(|context| build_at(&url, HetznerRole::Robot, &config, context)).await;
        let labels = &groups[0].targets[0];
        assert_eq!(labels.value("__meta_hetzner_datacenter"), "fsn1-dc8");
        assert_eq!(
            labels.value("__meta_hetzner_public_ipv6_network"),
            "2a01::/64"
        );
        assert_eq!(labels.value("__meta_hetzner_robot_cancelled"), "true");
    }
}
