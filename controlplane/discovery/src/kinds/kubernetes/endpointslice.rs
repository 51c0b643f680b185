//! `role: endpointslice`.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};

use super::endpoints::{SeenPods, target_reference};
use super::meta::{PREFIX, label, namespace, namespaced, set_object, set_some};
use super::pod::{containers, set_container_port, set_pod};
use super::role::RoleObject;
use super::service::set_service;
use super::world::{Reference, World};
use crate::config::KubernetesRole;
use crate::group::ADDRESS;
use crate::labels::{Set, host_port, sanitize};

/// Names the service that a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

fn service_key(slice: &EndpointSlice) -> Option<String> {
    let name = slice.metadata.labels.as_ref()?.get(SERVICE_NAME)?;
    Some(namespaced(namespace(&slice.metadata), name))
}

/// A service with two families of addresses has its targets in the slices of the first one; the others would be the
/// same targets again.
fn is_second_family(service: &Service, slice: &EndpointSlice) -> bool {
    let Some(spec) = &service.spec else {
        return false;
    };
    let dual = matches!(
        spec.ip_family_policy.as_deref(),
        Some("PreferDualStack" | "RequireDualStack")
    );
    let first = spec.ip_families.as_ref().and_then(|f| f.first());
    dual && first.is_some_and(|first| *first != slice.address_type)
}

fn set_endpoint(set: &mut Set, endpoint: &Endpoint) {
    if let Some(conditions) = &endpoint.conditions {
        for (name, value) in [
            ("ready", conditions.ready),
            ("serving", conditions.serving),
            ("terminating", conditions.terminating),
        ] {
            if let Some(value) = value {
                let name = label(&format!("endpointslice_endpoint_conditions_{name}"));
                set.set(name, value.to_string());
            }
        }
    }
    for (name, value) in [
        ("endpointslice_endpoint_hostname", &endpoint.hostname),
        ("endpointslice_endpoint_node_name", &endpoint.node_name),
        ("endpointslice_endpoint_zone", &endpoint.zone),
    ] {
        set_some(set, name, value.as_ref());
    }
    if let Some(target) = &endpoint.target_ref {
        set_some(
            set,
            "endpointslice_address_target_kind",
            target.kind.as_ref(),
        );
        set_some(
            set,
            "endpointslice_address_target_name",
            target.name.as_ref(),
        );
    }
    for (name, value) in endpoint.deprecated_topology.iter().flatten() {
        let name = sanitize(name);
        set.set(
            format!("{PREFIX}endpointslice_endpoint_topology_{name}"),
            value.as_str(),
        )
        .set(
            format!("{PREFIX}endpointslice_endpoint_topology_present_{name}"),
            "true",
        );
    }
}

fn set_port(set: &mut Set, port: &EndpointPort) {
    for (name, value) in [
        ("endpointslice_port_name", &port.name),
        ("endpointslice_port_protocol", &port.protocol),
        ("endpointslice_port_app_protocol", &port.app_protocol),
    ] {
        set_some(set, name, value.as_ref());
    }
    if let Some(port) = port.port {
        set.set(label("endpointslice_port"), port.to_string());
    }
}

fn target(address: &str, endpoint: &Endpoint, port: &EndpointPort, world: &World) -> Set {
    let mut set = Set::new();
    match port.port {
        Some(port) => set.set(ADDRESS, host_port(address, port)),
        None => set.set(ADDRESS, address),
    };
    set_port(&mut set, port);
    set_endpoint(&mut set, endpoint);
    let target = endpoint.target_ref.as_ref();
    let node = match target.filter(|t| t.kind.as_deref() == Some("Node")) {
        Some(target) => target.name.as_deref(),
        None => endpoint.node_name.as_deref(),
    };
    world.set_node(&mut set, node);
    set
}

impl RoleObject for EndpointSlice {
    const ROLE: KubernetesRole = KubernetesRole::EndpointSlice;
    const SOURCE: &'static str = "endpointslice";

    fn references(&self) -> Vec<Reference> {
        let own = namespace(&self.metadata);
        let mut references = vec![Reference::Namespace(own.to_owned())];
        references.extend(service_key(self).map(Reference::Service));
        for endpoint in &self.endpoints {
            references.extend(endpoint.node_name.clone().map(Reference::Node));
            references.extend(endpoint.target_ref.as_ref().and_then(target_reference));
        }
        references.sort_unstable();
        references.dedup();
        references
    }

    fn targets(&self, world: &World) -> Option<(Set, Vec<Set>)> {
        let own = namespace(&self.metadata);
        let mut common = Set::new();
        common.set(label("namespace"), own).set(
            label("endpointslice_address_type"),
            self.address_type.as_str(),
        );
        set_object(&mut common, &self.metadata, KubernetesRole::EndpointSlice);
        let service = service_key(self).and_then(|key| world.services.get(&key));
        if let Some(service) = service {
            set_service(&mut common, service);
        }
        world.set_namespace(&mut common, own);
        if service.is_some_and(|service| is_second_family(service, self)) {
            return Some((common, Vec::new()));
        }
        let mut seen = SeenPods::default();
        let mut targets = Vec::new();
        for endpoint in &self.endpoints {
            let pod = world.pod(endpoint.target_ref.as_ref());
            for port in self.ports.iter().flatten() {
                for address in &endpoint.addresses {
                    let mut set = target(address, endpoint, port, world);
                    if let Some(pod) = pod {
                        set_pod(&mut set, pod, world);
                        let fitting = containers(pod).filter_map(|(container, is_init)| {
                            let mut ports = container.ports.iter().flatten();
                            let own = ports.find(|p| Some(p.container_port) == port.port)?;
                            Some((container, is_init, own))
                        });
                        for (container, is_init, own) in fitting {
                            let protocol = own.protocol.as_deref();
                            set_container_port(&mut set, container, is_init, own, protocol);
                        }
                        seen.note(pod, port.port);
                    }
                    targets.push(set);
                }
            }
        }
        seen.other_ports(world, &mut targets);
        Some((common, targets))
    }
}
