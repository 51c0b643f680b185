//! `role: service`, and the labels that other roles take of services.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::meta::{label, namespace, set_object};
use super::role::RoleObject;
use super::world::{Reference, World};
use crate::config::KubernetesRole;
use crate::group::ADDRESS;
use crate::labels::{Set, host_port};

/// The labels of a service itself.
pub(super) fn set_service(set: &mut Set, service: &Service) {
    set.set(label("namespace"), namespace(&service.metadata));
    set_object(set, &service.metadata, KubernetesRole::Service);
}

/// Addresses of the load balancer, between commas; where it has none yet, the one that was asked for.
fn load_balancer(service: &Service, spec: &ServiceSpec) -> String {
    let status = service
        .status
        .as_ref()
        .and_then(|s| s.load_balancer.as_ref());
    let ingress = status.and_then(|l| l.ingress.as_ref());
    let ips: Vec<&str> = ingress
        .into_iter()
        .flatten()
        .filter_map(|ingress| ingress.ip.as_deref())
        .filter(|ip| !ip.is_empty())
        .collect();
    if ips.is_empty() {
        spec.load_balancer_ip.clone().unwrap_or_default()
    } else {
        ips.join(",")
    }
}

impl RoleObject for Service {
    const ROLE: KubernetesRole = KubernetesRole::Service;
    const SOURCE: &'static str = "svc";

    fn references(&self) -> Vec<Reference> {
        vec![Reference::Namespace(namespace(&self.metadata).to_owned())]
    }

    fn targets(&self, world: &World) -> Option<(Set, Vec<Set>)> {
        let own = namespace(&self.metadata);
        let mut common = Set::new();
        set_service(&mut common, self);
        world.set_namespace(&mut common, own);
        let Some(spec) = &self.spec else {
            return Some((common, Vec::new()));
        };
        let kind = spec.type_.as_deref().unwrap_or_default();
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let target = |port: &k8s_openapi::api::core::v1::ServicePort| {
            let mut set = Set::new();
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            set.set(ADDRESS, host_port(&format!("{name}.{own}.svc"), port.port))
                .set(label("service_port_name"), text(&port.name))
                .set(label("service_port_number"), port.port.to_string())
                .set(label("service_port_protocol"), text(&port.protocol))
                .set(label("service_type"), kind);
            match kind {
                "ExternalName" => {
                    set.set(label("service_external_name"), text(&spec.external_name))
                }
                _ => set.set(label("service_cluster_ip"), text(&spec.cluster_ip)),
            };
            if kind == "LoadBalancer" {
                set.set(label("service_loadbalancer_ip"), load_balancer(self, spec));
            }
            set
        };
        let ports = spec.ports.iter().flatten();
        Some((common, ports.map(target).collect()))
    }
}
