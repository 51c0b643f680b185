//! `linode_sd_configs`: instances at Linode.

use std::collections::HashMap;

use bellwether_model::Labels;
use http::HeaderValue;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::api::{Api, ApiError, client};
use crate::config::LinodeSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, joined};
use crate::refresh::{Refresh, Refresher};

const SERVER: &str = "https://api.linode.com/v4";
const PREFIX: &str = "__meta_linode_";

struct LinodeDiscovery {
    api: Api,
    port: i64,
    tag_separator: String,
    failures: bellwether_telemetry::Counter,
}

pub(super) fn build(
    config: &LinodeSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    build_at(SERVER, config, context)
}

fn build_at(
    server: &str,
    config: &LinodeSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "linode_sd")?;
    let mut api = Api::new(client, server, interval);
    if !config.region.is_empty() {
        let filter = serde_json::json!({ "region": config.region }).to_string();
        let filter =
            HeaderValue::from_str(&filter).map_err(|e| BuildError::Other(e.to_string()))?;
        api = api.header("x-filter", filter);
    }
    let discovery = LinodeDiscovery {
        api,
        port: config.port,
        tag_separator: config.tag_separator.clone(),
        failures: context.metrics.linode_failures.clone(),
    };
    Ok(Refresher::boxed(discovery, "linode", interval, context))
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    pages: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: i64,
    label: String,
    image: Option<String>,
    ipv4: Vec<String>,
    ipv6: Option<String>,
    region: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    status: String,
    group: String,
    hypervisor: String,
    tags: Vec<String>,
    specs: Specs,
    backups: Backups,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Specs {
    disk: i64,
    memory: i64,
    vcpus: i64,
    transfer: i64,
    gpus: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Backups {
    enabled: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    address: String,
    public: bool,
    rdns: Option<String>,
}

impl Address {
    fn name(&self) -> &str {
        self.rdns
            .as_deref()
            .filter(|name| *name != "null")
            .unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Range {
    range: String,
    prefix: i64,
    route_target: Option<String>,
}

impl Refresh for LinodeDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let targets = self.targets().await.inspect_err(|_| self.failures.inc())?;
        Ok(vec![TargetGroup {
            source: "Linode".into(),
            targets,
            labels: Labels::empty(),
        }])
    }
}

impl LinodeDiscovery {
    async fn list<T: DeserializeOwned>(&self, what: &str) -> Result<Vec<T>, ApiError> {
        let mut all = Vec::new();
        for number in 1.. {
            let path = format!("/{what}?page={number}&page_size=500");
            let page: Page<T> = self.api.get_json(&path).await?;
            all.extend(page.data);
            if number >= page.pages {
                break;
            }
        }
        Ok(all)
    }

    async fn targets(&self) -> Result<Vec<Labels>, ApiError> {
        let instances: Vec<Instance> = self.list("linode/instances").await?;
        let addresses: Vec<Address> = self.list("networking/ips").await?;
        let ranges: Vec<Range> = self.list("networking/ipv6/ranges").await?;
        let addresses: HashMap<&str, &Address> =
            addresses.iter().map(|a| (a.address.as_str(), a)).collect();
        // One without an address cannot be reached.
        let reachable = instances.iter().filter(|i| !i.ipv4.is_empty());
        Ok(reachable
            .map(|instance| self.labels(instance, &addresses, &ranges))
            .collect())
    }

    fn labels(
        &self,
        instance: &Instance,
        addresses: &HashMap<&str, &Address>,
        ranges: &[Range],
    ) -> Labels {
        let mut set = instance.labels();
        let (mut public, mut private) = (None, None);
        let mut extra = Vec::new();
        for address in instance
            .ipv4
            .iter()
            .filter_map(|ip| addresses.get(ip.as_str()))
        {
            match address.public {
                true if public.is_none() => public = Some(*address),
                false if private.is_none() => private = Some(*address),
                _ => extra.push(address.address.as_str()),
            }
        }
        let slaac = instance.ipv6.as_deref().unwrap_or_default();
        let slaac = slaac.split('/').next().unwrap_or_default();
        let v6 = addresses.get(slaac).copied();
        for (label, address) in [
            ("private_ipv4", private),
            ("public_ipv4", public),
            ("public_ipv6", v6),
        ] {
            if let Some(address) = address {
                set.set(format!("{PREFIX}{label}"), address.address.as_str())
                    .set(format!("{PREFIX}{label}_rdns"), address.name());
            }
        }
        let routed =
            |range: &&Range| !slaac.is_empty() && range.route_target.as_deref() == Some(slaac);
        let routed: Vec<String> = ranges
            .iter()
            .filter(routed)
            .map(|range| format!("{}/{}", range.range, range.prefix))
            .collect();
        let separator = &self.tag_separator;
        if !instance.tags.is_empty() {
            set.set(format!("{PREFIX}tags"), joined(&instance.tags, separator));
        }
        if !extra.is_empty() {
            set.set(format!("{PREFIX}extra_ips"), joined(&extra, separator));
        }
        if !routed.is_empty() {
            set.set(format!("{PREFIX}ipv6_ranges"), joined(&routed, separator));
        }
        let host = public.map_or("", |address| &address.address);
        set.set(ADDRESS, host_port(host, self.port));
        set.build()
    }
}

impl Instance {
    fn labels(&self) -> Set {
        let specs = &self.specs;
        // The interface speaks of MiB.
        let bytes = |mebibytes: i64| (mebibytes << 20).to_string();
        let backups = if self.backups.enabled {
            "enabled"
        } else {
            "disabled"
        };
        let mut set = Set::new();
        for (label, value) in [
            ("instance_id", self.id.to_string().as_str()),
            ("instance_label", &self.label),
            ("image", self.image.as_deref().unwrap_or_default()),
            ("region", &self.region),
            ("type", self.kind.as_deref().unwrap_or_default()),
            ("status", &self.status),
            ("group", &self.group),
            ("gpus", &specs.gpus.to_string()),
            ("hypervisor", &self.hypervisor),
            ("backups", backups),
            ("specs_disk_bytes", &bytes(specs.disk)),
            ("specs_memory_bytes", &bytes(specs.memory)),
            ("specs_vcpus", &specs.vcpus.to_string()),
            ("specs_transfer_bytes", &bytes(specs.transfer)),
        ] {
            set.set(format!("{PREFIX}{label}"), value);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, discover};

    #[tokio::test]
    async fn addresses_are_sorted_out() {
        let server = Fake::start(|request| match request.path.as_str() {
            "/linode/instances?page=1&page_size=500" => Fake::json(
                r#"{"pages":1,"data":[{"id":1,"label":"l","image":null,"region":"us","type":"g6","status":"running",
                   "ipv4":["1.1.1.1","2.2.2.2","192.168.0.1"],"ipv6":"2600::1/128","tags":["t"],
                   "specs":{"disk":1,"memory":2,"vcpus":3,"transfer":4},"backups":{"enabled":true}}]}"#,
            ),
            "/networking/ips?page=1&page_size=500" => Fake::json(
                r#"{"pages":1,"data":[{"address":"1.1.1.1","public":true,"rdns":"one.example"},
                   {"address":"2.2.2.2","public":true,"rdns":null},{"address":"192.168.0.1","public":false},
                   {"address":"2600::1","public":true,"rdns":"null"}]}"#,
            ),
            "/networking/ipv6/ranges?page=1&page_size=500" => Fake::json(
                r#"{"pages":1,"data":[{"range":"2600:1::","prefix":64,"route_target":"2600::1"}]}"#,
            ),
            _ => Fake::not_found(),
        })
        .await;
        let config = LinodeSdConfig {
            region: "us".to_owned(),
            ..LinodeSdConfig::default()
        };
        let url = server.url();
        let groups = discover(|context| build_at(&url, &config, context)).await;
        let labels = &groups[0].targets[0];
        for (label, want) in [
            ("__address__", "1.1.1.1:80"),
            ("__meta_linode_public_ipv4_rdns", "one.example"),
            ("__meta_linode_private_ipv4", "192.168.0.1"),
            ("__meta_linode_public_ipv6", "2600::1"),
            ("__meta_linode_public_ipv6_rdns", ""),
            ("__meta_linode_extra_ips", ",2.2.2.2,"),
            ("__meta_linode_ipv6_ranges", ",2600:1::/64,"),
            ("__meta_linode_specs_disk_bytes", "1048576"),
            ("__meta_linode_backups", "enabled"),
        ] {
            assert_eq!(labels.value(label), want, "{label}");
        }
        let filter = server.requests()[0].headers.get("x-filter").cloned();
        assert_eq!(filter, Some(HeaderValue::from_static(r#"{"region":"us"}"#)));
    }
}
