//! `ionos_sd_configs`: servers of a data centre of IONOS Cloud.

use std::collections::BTreeMap;

use bellwether_model::Labels;
use serde::Deserialize;

use crate::api::{Api, ApiError, client};
use crate::config::{IonosSdConfig, url};
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, joined, sanitize};
use crate::refresh::{Refresh, Refresher};

const SERVER: &str = "https://api.ionos.com/cloudapi/v6";
const PREFIX: &str = "__meta_ionos_server_";

struct IonosDiscovery {
    api: Api,
    path: String,
    port: i64,
}

pub(super) fn build(
    config: &IonosSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    build_at(SERVER, config, context)
}

fn build_at(
    server: &str,
    config: &IonosSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "ionos_sd")?;
    let datacenter = url::path_segment(&config.datacenter_id);
    let discovery = IonosDiscovery {
        api: Api::new(client, server, interval),
        path: format!("/datacenters/{datacenter}/servers?depth=3"),
        port: config.port,
    };
    Ok(Refresher::boxed(discovery, "ionos", interval, context))
}

/// Structures of the interface: anything may be missing.
macro_rules! wire {
    ($( struct $name:ident { $( $(#[$meta:meta])* $field:ident: $type:ty, )* } )*) => {
        $(
            #[derive(Default, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            struct $name { $( $(#[$meta])* $field: Option<$type>, )* }
        )*
    };
}

wire! {
    struct Servers {
        id: String,
        items: Vec<Server>,
    }
    struct Server {
        id: String,
        metadata: Metadata,
        properties: Properties,
        entities: Entities,
    }
    struct Metadata {
        state: String,
    }
    struct Properties {
        name: String,
        availability_zone: String,
        cpu_family: String,
        vm_state: String,
        #[serde(rename = "type")]
        kind: String,
        boot_cdrom: Reference,
        boot_volume: Reference,
    }
    struct Reference {
        id: String,
    }
    struct Entities {
        nics: Nics,
        volumes: Volumes,
    }
    struct Nics {
        items: Vec<Nic>,
    }
    struct Nic {
        properties: NicProperties,
    }
    struct NicProperties {
        name: String,
        ips: Vec<String>,
    }
    struct Volumes {
        items: Vec<Volume>,
    }
    struct Volume {
        properties: VolumeProperties,
    }
    struct VolumeProperties {
        image: String,
    }
}

impl Refresh for IonosDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let servers: Servers = self.api.get_json(&self.path).await?;
        let id = servers.id.as_deref().unwrap_or_default();
        let items = servers.items.iter().flatten();
        Ok(vec![TargetGroup {
            source: "ionos".into(),
            targets: items.filter_map(|s| s.labels(id, self.port)).collect(),
            labels: Labels::empty(),
        }])
    }
}

impl Server {
    /// `None`: it has no address.
    fn labels(&self, servers_id: &str, port: i64) -> Option<Labels> {
        let entities = self.entities.as_ref();
        let nics = entities.and_then(|e| e.nics.as_ref()?.items.as_ref());
        // The last interface comes first, as in Prometheus.
        let mut all: Vec<&str> = Vec::new();
        let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for nic in nics.into_iter().flatten().rev() {
            let Some(properties) = &nic.properties else {
                continue;
            };
            let name = properties.name.as_deref().unwrap_or("unnamed");
            let ips = properties.ips.iter().flatten().map(String::as_str);
            by_name.entry(name).or_default().extend(ips.clone());
            all.extend(ips);
        }
        let first = all.first()?;
        let empty = Properties::default();
        let properties = self.properties.as_ref().unwrap_or(&empty);
        let state = self.metadata.as_ref().and_then(|m| m.state.as_ref());
        let id = |reference: &Option<Reference>| reference.as_ref()?.id.clone();
        let volumes = entities.and_then(|e| e.volumes.as_ref()?.items.as_ref());
        let image = volumes.and_then(|v| v.first()?.properties.as_ref()?.image.clone());
        let mut set = Set::new();
        for (label, value) in [
            ("availability_zone", properties.availability_zone.clone()),
            ("cpu_family", properties.cpu_family.clone()),
            ("servers_id", Some(servers_id.to_owned())),
            ("id", self.id.clone()),
            ("lifecycle", state.cloned()),
            ("name", properties.name.clone()),
            ("state", properties.vm_state.clone()),
            ("type", properties.kind.clone()),
            ("boot_cdrom_id", id(&properties.boot_cdrom)),
            ("boot_volume_id", id(&properties.boot_volume)),
            ("boot_image_id", image),
        ] {
            set.set(format!("{PREFIX}{label}"), value.unwrap_or_default());
        }
        for (name, ips) in &by_name {
            let label = format!("{PREFIX}nic_ip_{}", sanitize(name));
            set.set(label, joined(ips, ","));
        }
        set.set(format!("{PREFIX}ip"), joined(&all, ","))
            .set(ADDRESS, host_port(first, port));
        Some(set.build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, discover};

    #[tokio::test]
    async fn servers_with_addresses() {
        let server = Fake::start(|request| match request.path.as_str() {
            "/datacenters/dc/servers?depth=3" => Fake::json(
                r#"{"id":"list","items":[
                  {"id":"a","metadata":{"state":"AVAILABLE"},"properties":{"name":"web","vmState":"RUNNING","type":"ENTERPRISE",
                   "bootCdrom":null,"bootVolume":{"id":"vol"}},
                   "entities":{"nics":{"items":[{"properties":{"name":"private","ips":["10.0.0.1"]}},
                   {"properties":{"name":null,"ips":["1.2.3.4","1.2.3.5"]}}]},
                   "volumes":{"items":[{"properties":{"image":"img"}}]}}},
                  {"id":"b","entities":{"nics":{"items":[]}}}]}"#,
            ),
            _ => Fake::not_found(),
        })
        .await;
        let config = IonosSdConfig {
            datacenter_id: "dc".to_owned(),
            ..IonosSdConfig::default()
        };
        let url = server.url();
        let groups = discover(|context| build_at(&url, &config, context)).await;
        assert_eq!(groups[0].targets.len(), 1);
        let labels = &groups[0].targets[0];
        for (label, want) in [
            ("__address__", "1.2.3.4:80"),
            ("__meta_ionos_server_ip", ",1.2.3.4,1.2.3.5,10.0.0.1,"),
            ("__meta_ionos_server_nic_ip_unnamed", ",1.2.3.4,1.2.3.5,"),
            ("__meta_ionos_server_boot_image_id", "img"),
            ("__meta_ionos_server_boot_volume_id", "vol"),
            ("__meta_ionos_server_lifecycle", "AVAILABLE"),
            ("__meta_ionos_server_servers_id", "list"),
        ] {
            assert_eq!(labels.value(label), want, "{label}");
        }
    }
}
