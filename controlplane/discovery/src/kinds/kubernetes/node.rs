//! `role: node`.

use std::collections::BTreeMap;

use bellwether_model::labels::INSTANCE;
use k8s_openapi::api::core::v1::Node;

use super::meta::{PREFIX, label, set_object};
use super::role::RoleObject;
use super::world::{Reference, World};
use crate::config::KubernetesRole;
use crate::group::ADDRESS;
use crate::labels::{Set, host_port, sanitize};

/// Types of addresses, the best first.
const ADDRESSES: [&str; 6] = [
    "InternalIP",
    "InternalDNS",
    "ExternalIP",
    "ExternalDNS",
    "LegacyHostIP",
    "Hostname",
];

impl RoleObject for Node {
    const ROLE: KubernetesRole = KubernetesRole::Node;
    const SOURCE: &'static str = "node";

    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }

    fn targets(&self, _: &World) -> Option<(Set, Vec<Set>)> {
        let status = self.status.as_ref();
        let mut common = Set::new();
        let provider = self.spec.as_ref().and_then(|s| s.provider_id.as_deref());
        common.set(label("node_provider_id"), provider.unwrap_or_default());
        let conditions = status.and_then(|s| s.conditions.as_ref());
        for condition in conditions.into_iter().flatten() {
            let kind = sanitize(&condition.type_.to_lowercase());
            common.set(
                format!("{PREFIX}node_condition_{kind}"),
                condition.status.to_lowercase(),
            );
        }
        set_object(&mut common, &self.metadata, KubernetesRole::Node);

        // The first one of each type counts.
        let mut addresses: BTreeMap<&str, &str> = BTreeMap::new();
        for address in status
            .and_then(|s| s.addresses.as_ref())
            .into_iter()
            .flatten()
        {
            addresses.entry(&address.type_).or_insert(&address.address);
        }
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let Some(address) = ADDRESSES.iter().find_map(|kind| addresses.get(kind)) else {
            tracing::warn!(node = name, "No node address found: host address unknown");
            return None;
        };
        let endpoints = status.and_then(|s| s.daemon_endpoints.as_ref());
        let port = endpoints.and_then(|e| e.kubelet_endpoint.as_ref());
        let port = port.map_or(0, |endpoint| endpoint.port);
        let mut target = Set::new();
        target
            .set(ADDRESS, host_port(address, port))
            .set(INSTANCE, name);
        for (kind, address) in &addresses {
            target.set(sanitize(&format!("{PREFIX}node_address_{kind}")), *address);
        }
        Some((common, vec![target]))
    }
}
