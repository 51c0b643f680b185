//! `scaleway_sd_configs`: instances or bare-metal servers at Scaleway.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bellwether_model::Labels;
use http::HeaderValue;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::{Api, ApiError, client};
use crate::config::{ScalewayRole, ScalewaySdConfig, url};
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, joined};
use crate::refresh::{Refresh, Refresher};

const PREFIX: &str = "__meta_scaleway_";
const PER_PAGE: usize = 50;

struct ScalewayDiscovery {
    api: Api,
    role: ScalewayRole,
    zone: String,
    /// Parameters of the list of servers.
    filters: String,
    key_file: Option<PathBuf>,
    port: i64,
}

pub(super) fn build(
    config: &ScalewaySdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "scaleway_sd")?;
    let mut api = Api::new(client, &config.api_url, interval);
    if !config.secret_key.0.is_empty() {
        let token = token(&config.secret_key.0).map_err(BuildError::Other)?;
        api = api.header("x-auth-token", token);
    }
    let mut filters = String::new();
    for (name, value) in [
        ("project", config.project_id.as_str()),
        ("name", &config.name_filter),
        ("tags", &config.tags_filter.join(",")),
    ] {
        if !value.is_empty() {
            let name = match (name, config.role) {
                ("project", Some(ScalewayRole::Baremetal)) => "project_id",
                _ => name,
            };
            filters.push_str(&format!("&{name}="));
            url::push_query(&mut filters, value);
        }
    }
    let discovery = ScalewayDiscovery {
        api,
        role: config.role.unwrap_or(ScalewayRole::Instance),
        zone: config.zone.clone(),
        filters,
        key_file: (!config.secret_key_file.is_empty())
            .then(|| context.base_dir.join(&config.secret_key_file)),
        port: config.port,
    };
    Ok(Refresher::boxed(discovery, "scaleway", interval, context))
}

fn token(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| "secret_key holds a character that no header may hold".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    id: String,
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: String,
    name: String,
    hostname: String,
    boot_type: String,
    organization: String,
    project: String,
    state: String,
    commercial_type: String,
    zone: String,
    image: Option<Image>,
    location: Option<Location>,
    security_group: Option<Named>,
    tags: Option<Vec<String>>,
    public_ips: Option<Vec<PublicIp>>,
    public_ip: Option<PublicIp>,
    ipv6: Option<PublicIp>,
    private_ip: Option<String>,
    private_nics: Option<Vec<Nic>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image {
    id: String,
    name: String,
    arch: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location {
    cluster_id: String,
    hypervisor_id: String,
    node_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PublicIp {
    address: String,
    family: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Nic {
    id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PrivateIp {
    address: String,
    is_ipv6: bool,
    resource: Option<Nic>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Baremetal {
    id: String,
    name: String,
    zone: String,
    status: String,
    project_id: String,
    offer_id: String,
    install: Option<Install>,
    tags: Option<Vec<String>>,
    ips: Option<Vec<BaremetalIp>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Install {
    os_id: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BaremetalIp {
    address: String,
    version: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Os {
    id: String,
    name: String,
    version: String,
}

impl Refresh for ScalewayDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let mut api = self.api.clone();
        if let Some(path) = &self.key_file {
            let text = tokio::fs::read_to_string(path).await.map_err(|e| {
                let path = path.display();
                ApiError::Other(format!("unable to read auth token file {path}: {e}"))
            })?;
            api = api.header("x-auth-token", token(text.trim()).map_err(ApiError::Other)?);
        }
        let targets = match self.role {
            ScalewayRole::Instance => self.instances(&api).await?,
            ScalewayRole::Baremetal => self.baremetal(&api).await?,
        };
        Ok(vec![TargetGroup {
            source: "scaleway".into(),
            targets,
            labels: Labels::empty(),
        }])
    }
}

/// All pages of a list; `key` is where the entries stand in an answer.
async fn list<T: DeserializeOwned>(
    api: &Api,
    path: &str,
    key: &str,
    filters: &str,
) -> Result<Vec<T>, ApiError> {
    let mut all = Vec::new();
    for number in 1.. {
        let path = format!("{path}?page={number}&per_page={PER_PAGE}{filters}");
        let answer = api.get(&path).await?.good()?;
        let mut page: BTreeMap<String, serde_json::Value> = answer.json()?;
        let entries = page.remove(key).unwrap_or_default();
        let entries: Option<Vec<T>> =
            serde_json::from_value(entries).map_err(|error| ApiError::Json {
                url: answer.url.clone(),
                error,
            })?;
        let entries = entries.unwrap_or_default();
        let last = entries.len() < PER_PAGE;
        all.extend(entries);
        if last {
            break;
        }
    }
    Ok(all)
}

/// `fr-par-1` is in `fr-par`.
fn region(zone: &str) -> &str {
    match zone.rsplit_once('-') {
        Some((region, number)) if region.contains('-') && number.parse::<u8>().is_ok() => region,
        _ => "",
    }
}

fn set_named(set: &mut Set, kind: &str, pairs: &[(&str, &str)]) {
    for (name, value) in pairs {
        set.set(format!("{PREFIX}{kind}_{name}"), *value);
    }
}

impl ScalewayDiscovery {
    async fn instances(&self, api: &Api) -> Result<Vec<Labels>, ApiError> {
        let path = format!("/instance/v1/zones/{}/servers", self.zone);
        let servers: Vec<Instance> = list(api, &path, "servers", &self.filters).await?;
        let private = self.private_ips(api, &servers).await?;
        let labels = |s: &Instance| s.labels(&private, self.port);
        Ok(servers.iter().filter_map(labels).collect())
    }

    /// Addresses of private interfaces, for servers that have no other.
    async fn private_ips(
        &self,
        api: &Api,
        servers: &[Instance],
    ) -> Result<BTreeMap<String, String>, ApiError> {
        let mut filters = String::new();
        let hidden = servers
            .iter()
            .filter(|s| s.private_ip.is_none() && s.public_ip.is_none() && s.ipv6.is_none());
        for nic in hidden.flat_map(|s| s.private_nics.iter().flatten()) {
            filters.push_str("&resource_ids=");
            url::push_query(&mut filters, &nic.id);
        }
        if filters.is_empty() {
            return Ok(BTreeMap::new());
        }
        filters.push_str("&resource_types=instance_private_nic");
        let path = format!("/ipam/v1/regions/{}/ips", region(&self.zone));
        let ips: Vec<PrivateIp> = list(api, &path, "ips", &filters).await?;
        let found = ips.into_iter().filter(|ip| !ip.is_ipv6).filter_map(|ip| {
            // With the length of its network.
            let address = ip.address.split('/').next().unwrap_or_default().to_owned();
            Some((ip.resource?.id, address))
        });
        Ok(found.collect())
    }

    async fn baremetal(&self, api: &Api) -> Result<Vec<Labels>, ApiError> {
        let base = format!("/baremetal/v1/zones/{}", self.zone);
        let path = format!("{base}/servers");
        let servers: Vec<Baremetal> = list(api, &path, "servers", &self.filters).await?;
        let offers: Vec<Named> = list(api, &format!("{base}/offers"), "offers", "").await?;
        let systems: Vec<Os> = list(api, &format!("{base}/os"), "os", "").await?;
        servers
            .iter()
            .map(|s| s.labels(&offers, &systems, self.port))
            .collect()
    }
}

impl Instance {
    /// `None`: it has no address.
    fn labels(&self, private: &BTreeMap<String, String>, port: i64) -> Option<Labels> {
        let mut set = Set::new();
        set_named(
            &mut set,
            "instance",
            &[
                ("boot_type", &self.boot_type),
                ("hostname", &self.hostname),
                ("id", &self.id),
                ("name", &self.name),
                ("organization_id", &self.organization),
                ("project_id", &self.project),
                ("status", &self.state),
                ("type", &self.commercial_type),
                ("zone", &self.zone),
                ("region", region(&self.zone)),
            ],
        );
        if let Some(Image { id, name, arch }) = &self.image {
            let pairs: [(&str, &str); 3] =
                [("image_arch", arch), ("image_id", id), ("image_name", name)];
            set_named(&mut set, "instance", &pairs);
        }
        if let Some(location) = &self.location {
            let pairs: [(&str, &str); 3] = [
                ("location_cluster_id", &location.cluster_id),
                ("location_hypervisor_id", &location.hypervisor_id),
                ("location_node_id", &location.node_id),
            ];
            set_named(&mut set, "instance", &pairs);
        }
        if let Some(Named { id, name }) = &self.security_group {
            let pairs: [(&str, &str); 2] =
                [("security_group_id", id), ("security_group_name", name)];
            set_named(&mut set, "instance", &pairs);
        }
        if let Some(tags) = self.tags.as_ref().filter(|tags| !tags.is_empty()) {
            set.set(format!("{PREFIX}instance_tags"), joined(tags, ","));
        }
        let address = self.set_addresses(&mut set, private)?;
        set.set(ADDRESS, host_port(&address, port));
        Some(set.build())
    }

    /// The private address counts most, then the public one, then IPv6.
    fn set_addresses(&self, set: &mut Set, private: &BTreeMap<String, String>) -> Option<String> {
        for (label, family) in [
            ("public_ipv4_addresses", "inet"),
            ("public_ipv6_addresses", "inet6"),
        ] {
            let of_family = self
                .public_ips
                .iter()
                .flatten()
                .filter(|ip| ip.family == family);
            let addresses: Vec<&str> = of_family.map(|ip| ip.address.as_str()).collect();
            if !addresses.is_empty() {
                set.set(format!("{PREFIX}instance_{label}"), joined(&addresses, ","));
            }
        }
        let mut address = None;
        if let Some(ip) = &self.ipv6 {
            set.set(format!("{PREFIX}instance_public_ipv6"), ip.address.as_str());
            address = Some(&ip.address);
        }
        if let Some(ip) = &self.public_ip {
            if ip.family != "inet6" {
                set.set(format!("{PREFIX}instance_public_ipv4"), ip.address.as_str());
            }
            address = Some(&ip.address);
        }
        let of_nics = || {
            let nics = self.private_nics.iter().flatten();
            nics.filter_map(|nic| private.get(&nic.id)).next()
        };
        let own = self.private_ip.as_ref();
        if let Some(ip) = own.or_else(|| address.is_none().then(of_nics).flatten()) {
            set.set(format!("{PREFIX}instance_private_ipv4"), ip.as_str());
            address = Some(ip);
        }
        address.filter(|address| !address.is_empty()).cloned()
    }
}

impl Baremetal {
    fn labels(&self, offers: &[Named], systems: &[Os], port: i64) -> Result<Labels, ApiError> {
        let offer = offers.iter().find(|offer| offer.id == self.offer_id);
        let os_id = self.install.as_ref().map_or("", |install| &install.os_id);
        let system = systems
            .iter()
            .find(|os| !os_id.is_empty() && os.id == os_id);
        let mut set = Set::new();
        set_named(
            &mut set,
            "baremetal",
            &[
                ("id", &self.id),
                ("name", &self.name),
                ("zone", &self.zone),
                ("status", &self.status),
                ("project_id", &self.project_id),
                ("type", offer.map_or("", |offer| &offer.name)),
                ("os_name", system.map_or("", |os| &os.name)),
                ("os_version", system.map_or("", |os| &os.version)),
            ],
        );
        if let Some(tags) = self.tags.as_ref().filter(|tags| !tags.is_empty()) {
            set.set(format!("{PREFIX}baremetal_tags"), joined(tags, ","));
        }
        // The first of each kind counts; IPv4 is the address where there is one.
        for (version, label) in [("IPv6", "public_ipv6"), ("IPv4", "public_ipv4")] {
            let mut ips = self.ips.iter().flatten();
            if let Some(ip) = ips.find(|ip| ip.version == version) {
                set.set(format!("{PREFIX}baremetal_{label}"), ip.address.as_str())
                    .set(ADDRESS, host_port(&ip.address, port));
            }
        }
        let known = |ip: &&BaremetalIp| !matches!(ip.version.as_str(), "IPv4" | "IPv6");
        match self.ips.iter().flatten().find(known) {
            Some(ip) => Err(ApiError::Other(format!(
                "unknown IP version: {}",
                ip.version
            ))),
            None => Ok(set.build()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, discover};

    #[tokio::test]
    async fn instances_and_their_best_address() {
        let server = Fake::start(|request| match request.path.split('?').next() {
            Some("/instance/v1/zones/fr-par-1/servers") => Fake::json(
                r#"{"servers":[
                  {"id":"a","zone":"fr-par-1","public_ip":{"address":"1.2.3.4","family":"inet"},"private_ip":"10.0.0.1","tags":["x"]},
                  {"id":"b","zone":"fr-par-1","private_nics":[{"id":"nic"}]},
                  {"id":"c","zone":"fr-par-1"}]}"#,
            ),
            Some("/ipam/v1/regions/fr-par/ips") => {
                Fake::json(r#"{"ips":[{"address":"172.16.0.2/22","resource":{"id":"nic"}}]}"#)
            }
            _ => Fake::not_found(),
        })
        .await;
        let config = ScalewaySdConfig {
            api_url: server.url(),
            project_id: "p".to_owned(),
            secret_key: crate::config::Secret("key".to_owned()),
            role: Some(ScalewayRole::Instance),
            ..ScalewaySdConfig::default()
        };
        let groups = discover(|context| build(&config, context)).await;
        let addresses: Vec<_> = groups[0].targets.iter().map(|t| t.value(ADDRESS)).collect();
        assert_eq!(addresses, ["10.0.0.1:80", "172.16.0.2:80"]);
        let first = &groups[0].targets[0];
        assert_eq!(
            first.value("__meta_scaleway_instance_public_ipv4"),
            "1.2.3.4"
        );
        assert_eq!(first.value("__meta_scaleway_instance_region"), "fr-par");
        assert_eq!(server.requests()[0].headers["x-auth-token"], "key");
        assert!(server.requests()[0].path.ends_with("&project=p"));
    }

    #[tokio::test]
    async fn bare_metal() {
        let server = Fake::start(|request| match request.path.split('?').next() {
            Some("/baremetal/v1/zones/fr-par-1/servers") => Fake::json(
                r#"{"servers":[{"id":"a","offer_id":"o","install":{"os_id":"s"},
                   "ips":[{"address":"2001::1","version":"IPv6"},{"address":"1.2.3.4","version":"IPv4"}]}]}"#,
            ),
            Some("/baremetal/v1/zones/fr-par-1/offers") => {
                Fake::json(r#"{"offers":[{"id":"o","name":"EM"}]}"#)
            }
            Some("/baremetal/v1/zones/fr-par-1/os") => {
                Fake::json(r#"{"os":[{"id":"s","name":"Debian","version":"12"}]}"#)
            }
            _ => Fake::not_found(),
        })
        .await;
        let config = ScalewaySdConfig {
            api_url: server.url(),
            role: Some(ScalewayRole::Baremetal),
            ..ScalewaySdConfig::default()
        };
        let groups = discover(|context| build(&config, context)).await;
        let labels = &groups[0].targets[0];
        assert_eq!(labels.value(ADDRESS), "1.2.3.4:80");
        assert_eq!(labels.value("__meta_scaleway_baremetal_os_name"), "Debian");
        assert_eq!(
            labels.value("__meta_scaleway_baremetal_public_ipv6"),
            "2001::1"
        );
    }
}
