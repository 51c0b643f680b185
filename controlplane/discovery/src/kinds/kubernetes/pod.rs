//! `role: pod`, and the labels that other roles take of pods.

use k8s_openapi::api::core::v1::{Container, ContainerPort, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::meta::{controller, label, namespace, namespaced, set_object};
use super::role::RoleObject;
use super::world::{Reference, World};
use crate::config::KubernetesRole;
use crate::group::ADDRESS;
use crate::labels::{Set, host_port};

/// A pod's address, empty while it has none.
pub(super) fn ip(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status.and_then(|s| s.pod_ip.as_deref()).unwrap_or_default()
}

/// Containers, and whether they only initialise.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = (&Container, bool)> {
    let spec = pod.spec.as_ref();
    let usual = spec.map(|s| &s.containers).into_iter().flatten();
    let init = spec.and_then(|s| s.init_containers.as_ref());
    let init = init.into_iter().flatten();
    usual.map(|c| (c, false)).chain(init.map(|c| (c, true)))
}

fn node_name(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    spec.and_then(|s| s.node_name.as_deref())
        .unwrap_or_default()
}

fn ready(pod: &Pod) -> String {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready");
    ready.map_or_else(|| "unknown".to_owned(), |c| c.status.to_lowercase())
}

/// The labels of a pod itself.
pub(super) fn set_pod(set: &mut Set, pod: &Pod, world: &World) {
    let status = pod.status.as_ref();
    let phase = status.and_then(|s| s.phase.as_deref());
    let host_ip = status.and_then(|s| s.host_ip.as_deref());
    set.set(label("pod_ip"), ip(pod))
        .set(label("pod_ready"), ready(pod))
        .set(label("pod_phase"), phase.unwrap_or_default())
        .set(label("pod_node_name"), node_name(pod))
        .set(label("pod_host_ip"), host_ip.unwrap_or_default())
        .set(
            label("pod_uid"),
            pod.metadata.uid.as_deref().unwrap_or_default(),
        );
    set_object(set, &pod.metadata, KubernetesRole::Pod);
    set_controller(set, pod, world);
}

fn set_controller(set: &mut Set, pod: &Pod, world: &World) {
    let Some(owner) = controller(&pod.metadata) else {
        return;
    };
    if !owner.kind.is_empty() {
        set.set(label("pod_controller_kind"), owner.kind.as_str());
    }
    if !owner.name.is_empty() {
        set.set(label("pod_controller_name"), owner.name.as_str());
    }
    let key = namespaced(namespace(&pod.metadata), &owner.name);
    let controlled_by = |meta: Option<&ObjectMeta>, kind: &str| {
        let above = meta.and_then(controller)?;
        (above.kind == kind).then(|| above.name.clone())
    };
    match owner.kind.as_str() {
        "ReplicaSet" if world.attach.deployment => {
            let meta = world.replica_sets.get(&key).map(|rs| &rs.metadata);
            if let Some(name) = controlled_by(meta, "Deployment") {
                set.set(label("pod_deployment_name"), name);
            }
        }
        "Job" => {
            if world.attach.job {
                set.set(label("pod_job_name"), owner.name.as_str());
            }
            if world.attach.cronjob {
                let meta = world.jobs.get(&key).map(|job| &job.metadata);
                if let Some(name) = controlled_by(meta, "CronJob") {
                    set.set(label("pod_cronjob_name"), name);
                }
            }
        }
        _ => {}
    }
}

/// What a target knows of its container. `protocol` may be that of the endpoint.
pub(super) fn set_container_port(
    set: &mut Set,
    container: &Container,
    is_init: bool,
    port: &ContainerPort,
    protocol: Option<&str>,
) {
    set_container(set, container, is_init);
    set.set(
        label("pod_container_port_name"),
        port.name.as_deref().unwrap_or_default(),
    )
    .set(
        label("pod_container_port_number"),
        port.container_port.to_string(),
    )
    .set(
        label("pod_container_port_protocol"),
        protocol.unwrap_or_default(),
    );
}

fn set_container(set: &mut Set, container: &Container, is_init: bool) {
    set.set(label("pod_container_name"), container.name.as_str())
        .set(
            label("pod_container_image"),
            container.image.as_deref().unwrap_or_default(),
        )
        .set(label("pod_container_init"), is_init.to_string());
}

fn container_id<'a>(pod: &'a Pod, container: &Container, is_init: bool) -> &'a str {
    let status = pod.status.as_ref();
    let statuses = match is_init {
        false => status.and_then(|s| s.container_statuses.as_ref()),
        true => status.and_then(|s| s.init_container_statuses.as_ref()),
    };
    let found = statuses
        .into_iter()
        .flatten()
        .find(|status| status.name == container.name);
    found
        .and_then(|status| status.container_id.as_deref())
        .unwrap_or_default()
}

impl RoleObject for Pod {
    const ROLE: KubernetesRole = KubernetesRole::Pod;
    const SOURCE: &'static str = "pod";

    fn references(&self) -> Vec<Reference> {
        let own = namespace(&self.metadata);
        let mut references = vec![
            Reference::Node(node_name(self).to_owned()),
            Reference::Namespace(own.to_owned()),
        ];
        if let Some(owner) = controller(&self.metadata) {
            let key = namespaced(own, &owner.name);
            match owner.kind.as_str() {
                "ReplicaSet" => references.push(Reference::ReplicaSet(key)),
                "Job" => references.push(Reference::Job(key)),
                _ => {}
            }
        }
        references
    }

    fn targets(&self, world: &World) -> Option<(Set, Vec<Set>)> {
        let ip = ip(self);
        // It has none while it starts and after it was evicted. A node that selectors leave out has no pods either.
        let on_unknown_node = world.attach.node && !world.nodes.contains_key(node_name(self));
        if ip.is_empty() || on_unknown_node {
            return Some((Set::new(), Vec::new()));
        }
        let own = namespace(&self.metadata);
        let mut common = Set::new();
        set_pod(&mut common, self, world);
        common.set(label("namespace"), own);
        world.set_node(&mut common, Some(node_name(self)));
        world.set_namespace(&mut common, own);
        let mut targets = Vec::new();
        for (container, is_init) in containers(self) {
            let ports = container.ports.as_deref().unwrap_or_default();
            let mut base = Set::new();
            base.set(
                label("pod_container_id"),
                container_id(self, container, is_init),
            );
            if ports.is_empty() {
                // Without a port the address is for the relabelling rules to complete.
                base.set(ADDRESS, ip);
                set_container(&mut base, container, is_init);
                targets.push(base);
                continue;
            }
            for port in ports {
                let mut target = base.clone();
                target.set(ADDRESS, host_port(ip, port.container_port));
                let protocol = port.protocol.as_deref();
                set_container_port(&mut target, container, is_init, port, protocol);
                targets.push(target);
            }
        }
        Some((common, targets))
    }
}
