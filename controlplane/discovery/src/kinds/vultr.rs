//! `vultr_sd_configs`: instances at Vultr.

use bellwether_model::Labels;
use serde::Deserialize;

use crate::api::{Api, ApiError, client};
use crate::config::{VultrSdConfig, url};
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, joined};
use crate::refresh::{Refresh, Refresher};

const SERVER: &str = "https://api.vultr.com";
const PREFIX: &str = "__meta_vultr_instance_";

struct VultrDiscovery {
    api: Api,
    port: i64,
}

pub(super) fn build(
    config: &VultrSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    build_at(SERVER, config, context)
}

fn build_at(
    server: &str,
    config: &VultrSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "vultr_sd")?;
    let discovery = VultrDiscovery {
        api: Api::new(client, server, interval),
        port: config.port,
    };
    Ok(Refresher::boxed(discovery, "vultr", interval, context))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Page {
    instances: Vec<Instance>,
    meta: Meta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Meta {
    links: Links,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Links {
    next: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Instance {
    id: String,
    label: String,
    os: String,
    os_id: i64,
    region: String,
    plan: String,
    vcpu_count: i64,
    ram: i64,
    allowed_bandwidth: i64,
    disk: i64,
    main_ip: String,
    v6_main_ip: String,
    internal_ip: String,
    hostname: String,
    server_status: String,
    features: Option<Vec<String>>,
    tags: Option<Vec<String>>,
}

impl Refresh for VultrDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let mut targets = Vec::new();
        let mut path = "/v2/instances?per_page=100".to_owned();
        loop {
            let page: Page = self.api.get_json(&path).await?;
            targets.extend(page.instances.iter().map(|i| i.labels(self.port)));
            if page.meta.links.next.is_empty() {
                break;
            }
            path = "/v2/instances?per_page=100&cursor=".to_owned();
            url::push_query(&mut path, &page.meta.links.next);
        }
        Ok(vec![TargetGroup {
            source: "Vultr".into(),
            targets,
            labels: Labels::empty(),
        }])
    }
}

impl Instance {
    fn labels(&self, port: i64) -> Labels {
        let mut set = Set::new();
        for (name, value) in [
            ("id", &self.id),
            ("label", &self.label),
            ("os", &self.os),
            ("os_id", &self.os_id.to_string()),
            ("region", &self.region),
            ("plan", &self.plan),
            ("vcpu_count", &self.vcpu_count.to_string()),
            ("ram_mb", &self.ram.to_string()),
            ("allowed_bandwidth_gb", &self.allowed_bandwidth.to_string()),
            ("disk_gb", &self.disk.to_string()),
            ("main_ip", &self.main_ip),
            ("main_ipv6", &self.v6_main_ip),
            ("internal_ip", &self.internal_ip),
            ("hostname", &self.hostname),
            ("server_status", &self.server_status),
        ] {
            set.set(format!("{PREFIX}{name}"), value.as_str());
        }
        for (name, values) in [("features", &self.features), ("tags", &self.tags)] {
            if let Some(values) = values.as_ref().filter(|values| !values.is_empty()) {
                set.set(format!("{PREFIX}{name}"), joined(values, ","));
            }
        }
        set.set(ADDRESS, host_port(&self.main_ip, port));
        set.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fake, discover};

    #[tokio::test]
    async fn pages_are_followed() {
        let server = Fake::start(|request| match request.path.as_str() {
            "/v2/instances?per_page=100" => Fake::json(
                r#"{"instances":[{"id":"a","main_ip":"1.2.3.4","ram":1024,"tags":["x","y"]}],"meta":{"links":{"next":"b="}}}"#,
            ),
            "/v2/instances?per_page=100&cursor=b%3D" => Fake::json(
                r#"{"instances":[{"id":"b","main_ip":"5.6.7.8","os_id":7,"features":["ipv6"]}],"meta":{"links":{"next":""}}}"#,
            ),
            _ => Fake::not_found(),
        })
        .await;
        let config = VultrSdConfig::default();
        let build = |context: &BuildContext| build_at(&server.url(), &config, context);
        let groups = discover(build).await;
        let shown: Vec<String> = groups[0].targets.iter().map(ToString::to_string).collect();
        assert!(
            shown[0].contains(r#"__address__="1.2.3.4:80""#),
            "{shown:?}"
        );
        assert!(shown[0].contains(r#"__meta_vultr_instance_tags=",x,y,""#));
        assert!(shown[0].contains(r#"__meta_vultr_instance_ram_mb="1024""#));
        assert!(shown[1].contains(r#"__meta_vultr_instance_os_id="7""#));
        assert_eq!(server.requests().len(), 2);
    }
}
