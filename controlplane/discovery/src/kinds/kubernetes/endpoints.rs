//! `role: endpoints`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, Endpoints, Pod};

use super::meta::{key, label, namespace, namespaced, set_object, set_some};
use super::pod::{containers, ip, set_container_port, set_pod};
use super::role::RoleObject;
use super::service::set_service;
use super::world::{Reference, World};
use crate::config::KubernetesRole;
use crate::group::ADDRESS;
use crate::labels::{Set, host_port};

/// Pods behind endpoints, and which of their ports have a target already.
#[derive(Default)]
pub(super) struct SeenPods<'a>(BTreeMap<String, (Option<&'a Pod>, BTreeSet<i32>)>);

impl<'a> SeenPods<'a> {
    pub(super) fn note(&mut self, pod: &'a Pod, port: Option<i32>) {
        let entry = self.0.entry(key(&pod.metadata)).or_default();
        entry.0 = Some(pod);
        entry.1.extend(port);
    }

    /// Targets for the ports that no endpoint covers.
    pub(super) fn other_ports(&self, world: &World, targets: &mut Vec<Set>) {
        for (pod, seen) in self.0.values() {
            let Some(pod) = pod else { continue };
            // It has no address while it starts and after it was evicted.
            if ip(pod).is_empty() {
                continue;
            }
            for (container, is_init) in containers(pod) {
                let ports = container.ports.iter().flatten();
                for port in ports.filter(|port| !seen.contains(&port.container_port)) {
                    let mut target = Set::new();
                    target.set(ADDRESS, host_port(ip(pod), port.container_port));
                    let protocol = port.protocol.as_deref();
                    set_container_port(&mut target, container, is_init, port, protocol);
                    set_pod(&mut target, pod, world);
                    targets.push(target);
                }
            }
        }
    }
}

/// One endpoint of a group.
struct Endpoint<'a> {
    address: &'a EndpointAddress,
    port: &'a EndpointPort,
    ready: bool,
}

impl Endpoint<'_> {
    fn labels(&self, world: &World) -> Set {
        let Self {
            address,
            port,
            ready,
        } = self;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let mut set = Set::new();
        set.set(ADDRESS, host_port(&address.ip, port.port))
            .set(label("endpoint_port_name"), text(&port.name))
            .set(label("endpoint_port_protocol"), text(&port.protocol))
            .set(label("endpoint_ready"), ready.to_string());
        let target = address.target_ref.as_ref();
        if let Some(target) = target {
            set.set(label("endpoint_address_target_kind"), text(&target.kind))
                .set(label("endpoint_address_target_name"), text(&target.name));
        }
        set_some(&mut set, "endpoint_node_name", address.node_name.as_ref());
        set_some(&mut set, "endpoint_hostname", address.hostname.as_ref());
        let node = address.node_name.as_deref().or_else(|| {
            let is_node = target.filter(|t| t.kind.as_deref() == Some("Node"));
            is_node.and_then(|t| t.name.as_deref())
        });
        world.set_node(&mut set, node);
        set
    }
}

impl RoleObject for Endpoints {
    const ROLE: KubernetesRole = KubernetesRole::Endpoints;
    const SOURCE: &'static str = "endpoints";

    fn references(&self) -> Vec<Reference> {
        let mut references = vec![
            Reference::Service(key(&self.metadata)),
            Reference::Namespace(namespace(&self.metadata).to_owned()),
        ];
        for subset in self.subsets.iter().flatten() {
            let ready = subset.addresses.iter().flatten();
            for address in ready.chain(subset.not_ready_addresses.iter().flatten()) {
                references.extend(address.node_name.clone().map(Reference::Node));
                references.extend(address.target_ref.as_ref().and_then(target_reference));
            }
        }
        references.sort_unstable();
        references.dedup();
        references
    }

    fn targets(&self, world: &World) -> Option<(Set, Vec<Set>)> {
        self.warn_of_capacity();
        let own = namespace(&self.metadata);
        let mut common = Set::new();
        common.set(label("namespace"), own);
        if let Some(service) = world.services.get(&key(&self.metadata)) {
            set_service(&mut common, service);
        }
        set_object(&mut common, &self.metadata, KubernetesRole::Endpoints);
        world.set_namespace(&mut common, own);

        let mut seen = SeenPods::default();
        let mut targets = Vec::new();
        for subset in self.subsets.iter().flatten() {
            for port in subset.ports.iter().flatten() {
                let ready = subset.addresses.iter().flatten().map(|a| (a, true));
                let other = subset.not_ready_addresses.iter().flatten();
                for (address, ready) in ready.chain(other.map(|a| (a, false))) {
                    let endpoint = Endpoint {
                        address,
                        port,
                        ready,
                    };
                    let mut target = endpoint.labels(world);
                    if let Some(pod) = world.pod(address.target_ref.as_ref()) {
                        set_pod(&mut target, pod, world);
                        let fitting = containers(pod).filter_map(|(container, is_init)| {
                            let mut ports = container.ports.iter().flatten();
                            let own = ports.find(|p| p.container_port == port.port)?;
                            Some((container, is_init, own))
                        });
                        for (container, is_init, own) in fitting {
                            let protocol = port.protocol.as_deref();
                            set_container_port(&mut target, container, is_init, own, protocol);
                        }
                        seen.note(pod, Some(port.port));
                    }
                    targets.push(target);
                }
            }
        }
        seen.other_ports(world, &mut targets);
        Some((common, targets))
    }
}

/// What an endpoint points to.
pub(super) fn target_reference(
    target: &k8s_openapi::api::core::v1::ObjectReference,
) -> Option<Reference> {
    let name = target.name.clone().unwrap_or_default();
    match target.kind.as_deref() {
        Some("Pod") => {
            let namespace = target.namespace.as_deref().unwrap_or_default();
            Some(Reference::Pod(namespaced(namespace, &name)))
        }
        Some("Node") => Some(Reference::Node(name)),
        _ => None,
    }
}

/// Says that Kubernetes leaves endpoints out.
trait Capacity {
    fn warn_of_capacity(&self);
}

impl Capacity for Endpoints {
    fn warn_of_capacity(&self) {
        let labels = self.metadata.labels.as_ref();
        let annotations = self.metadata.annotations.as_ref();
        let name = "endpoints.kubernetes.io/over-capacity";
        let found = labels
            .and_then(|l| l.get(name))
            .or_else(|| annotations.and_then(|a| a.get(name)));
        let endpoint = self.metadata.name.as_deref().unwrap_or_default();
        match found.map(String::as_str) {
            Some("truncated") => tracing::warn!(
                endpoint,
                "Number of endpoints in one Endpoints object exceeds 1000 and has been truncated, please use \"role: endpointslice\" instead"
            ),
            Some("warning") => tracing::warn!(
                endpoint,
                "Number of endpoints in one Endpoints object exceeds 1000, please use \"role: endpointslice\" instead"
            ),
            _ => {}
        }
    }
}
