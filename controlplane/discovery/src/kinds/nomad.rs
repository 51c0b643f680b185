//! `nomad_sd_configs`: services registered at Nomad.

use bellwether_model::Labels;
use serde::Deserialize;

use crate::api::{Api, ApiError, client};
use crate::config::{NomadSdConfig, url};
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port, joined};
use crate::refresh::{Refresh, Refresher};

struct NomadDiscovery {
    api: Api,
    /// Parameters of every query.
    query: String,
    tag_separator: String,
    failures: bellwether_telemetry::Counter,
}

pub(super) fn build(
    config: &NomadSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let client = client(&config.http, context, "nomad_sd")?;
    let mut query = String::new();
    let parameters = [
        (
            "namespace",
            config.namespace.as_str(),
            !config.namespace.is_empty(),
        ),
        ("region", &config.region, !config.region.is_empty()),
        ("stale", "", config.allow_stale),
    ];
    for (name, value, _) in parameters.into_iter().filter(|(_, _, wanted)| *wanted) {
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(name);
        query.push('=');
        url::push_query(&mut query, value);
    }
    let discovery = NomadDiscovery {
        api: Api::new(client, &config.server, interval),
        query,
        tag_separator: config.tag_separator.clone(),
        failures: context.metrics.nomad_failures.clone(),
    };
    Ok(Refresher::boxed(discovery, "nomad", interval, context))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamespaceServices {
    services: Vec<Stub>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stub {
    service_name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Registration {
    #[serde(rename = "ID")]
    id: String,
    service_name: String,
    namespace: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    datacenter: String,
    tags: Option<Vec<String>>,
    address: String,
    port: i64,
}

impl Refresh for NomadDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let targets = self.targets().await.inspect_err(|_| self.failures.inc())?;
        Ok(vec![TargetGroup {
            source: "Nomad".into(),
            targets,
            labels: Labels::empty(),
        }])
    }
}

impl NomadDiscovery {
    async fn targets(&self) -> Result<Vec<Labels>, ApiError> {
        let path = format!("/v1/services{}", self.query);
        let namespaces: Vec<NamespaceServices> = self.api.get_json(&path).await?;
        let mut targets = Vec::new();
        for stub in namespaces.iter().flat_map(|n| &n.services) {
            let name = url::path_segment(&stub.service_name);
            let path = format!("/v1/service/{name}{}", self.query);
            let found: Result<Vec<Registration>, _> = self.api.get_json(&path).await;
            let found =
                found.map_err(|e| ApiError::Other(format!("failed to fetch services: {e}")))?;
            targets.extend(found.iter().map(|r| r.labels(&self.tag_separator)));
        }
        Ok(targets)
    }
}

impl Registration {
    fn labels(&self, tag_separator: &str) -> Labels {
        let mut set = Set::new();
        set.set("__meta_nomad_address", self.address.as_str())
            .set("__meta_nomad_dc", self.datacenter.as_str())
            .set("__meta_nomad_node_id", self.node_id.as_str())
            .set("__meta_nomad_namespace", self.namespace.as_str())
            .set("__meta_nomad_service", self.service_name.as_str())
            .set("__meta_nomad_service_address", self.address.as_str())
            .set("__meta_nomad_service_id", self.id.as_str())
            .set("__meta_nomad_service_port", self.port.to_string())
            .set(ADDRESS, host_port(&self.address, self.port));
        match self.tags.as_deref() {
            None | Some([]) => {}
            Some(tags) => {
                set.set("__meta_nomad_tags", joined(tags, tag_separator));
            }
        }
        set.build()
    }
}
