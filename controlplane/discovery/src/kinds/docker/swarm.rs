//! `dockerswarm_sd_configs`: services, nodes or tasks of a swarm.

use std::collections::BTreeMap;

use bellwether_model::Labels;
use serde::Deserialize;

use super::api::{DockerApi, filter_query};
use crate::api::ApiError;
use crate::config::DockerSwarmSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, host_port};
use crate::refresh::{Refresh, Refresher};

const PREFIX: &str = "__meta_dockerswarm_";

fn label(what: &str) -> String {
    format!("{PREFIX}{what}")
}

struct SwarmDiscovery {
    api: DockerApi,
    role: String,
    filters: String,
    port: i64,
}

pub(in super::super) fn build(
    config: &DockerSwarmSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let interval = config.refresh_interval.0;
    let api = DockerApi::new(
        &config.host,
        &config.http,
        context,
        interval,
        "dockerswarm_sd",
    )?;
    let discovery = SwarmDiscovery {
        api,
        role: config.role.clone(),
        filters: filter_query(&config.filters),
        port: config.port,
    };
    Ok(Refresher::boxed(
        discovery,
        "dockerswarm",
        interval,
        context,
    ))
}

/// Structures of the interface; what is missing is empty.
macro_rules! wire {
    ($( struct $name:ident { $( $(#[$meta:meta])* $field:ident: $type:ty, )* } )*) => {
        $(
            #[derive(Clone, Debug, Default, Deserialize)]
            #[serde(rename_all = "PascalCase", default)]
            struct $name { $( $(#[$meta])* $field: $type, )* }
        )*
    };
}

type Texts = Option<BTreeMap<String, String>>;

wire! {
    struct Node {
        #[serde(rename = "ID")]
        id: String,
        spec: NodeSpec,
        description: NodeDescription,
        status: NodeStatus,
        manager_status: Option<ManagerStatus>,
    }
    struct NodeSpec {
        labels: Texts,
        role: String,
        availability: String,
    }
    struct NodeDescription {
        hostname: String,
        platform: Platform,
        engine: Engine,
    }
    struct Platform {
        architecture: String,
        #[serde(rename = "OS")]
        os: String,
    }
    struct Engine {
        engine_version: String,
    }
    struct NodeStatus {
        state: String,
        addr: String,
    }
    struct ManagerStatus {
        leader: bool,
        reachability: String,
        addr: String,
    }
    struct Service {
        #[serde(rename = "ID")]
        id: String,
        spec: ServiceSpec,
        endpoint: Endpoint,
        update_status: Option<UpdateStatus>,
    }
    struct ServiceSpec {
        name: String,
        labels: Texts,
        task_template: TaskSpec,
        mode: ServiceMode,
    }
    struct ServiceMode {
        global: Option<serde::de::IgnoredAny>,
        replicated: Option<serde::de::IgnoredAny>,
    }
    struct TaskSpec {
        container_spec: Option<ContainerSpec>,
    }
    struct ContainerSpec {
        image: String,
        hostname: String,
        labels: Texts,
    }
    struct UpdateStatus {
        state: String,
    }
    struct Endpoint {
        ports: Option<Vec<Port>>,
        #[serde(rename = "VirtualIPs")]
        virtual_ips: Option<Vec<VirtualIp>>,
    }
    struct Port {
        name: String,
        protocol: String,
        published_port: u16,
        publish_mode: String,
    }
    struct VirtualIp {
        #[serde(rename = "NetworkID")]
        network_id: String,
        addr: String,
    }
    struct Task {
        #[serde(rename = "ID")]
        id: String,
        #[serde(rename = "ServiceID")]
        service_id: String,
        #[serde(rename = "NodeID")]
        node_id: String,
        slot: i64,
        spec: TaskSpec,
        status: TaskStatus,
        desired_state: String,
        networks_attachments: Option<Vec<Attachment>>,
    }
    struct TaskStatus {
        state: String,
        container_status: Option<ContainerStatus>,
        port_status: Option<PortStatus>,
    }
    struct ContainerStatus {
        #[serde(rename = "ContainerID")]
        container_id: String,
    }
    struct PortStatus {
        ports: Option<Vec<Port>>,
    }
    struct Attachment {
        network: AttachedNetwork,
        addresses: Option<Vec<String>>,
    }
    struct AttachedNetwork {
        #[serde(rename = "ID")]
        id: String,
    }
}

/// The address of `10.0.0.3/24`.
fn address_of(cidr: &str) -> Result<&str, ApiError> {
    let (address, bits) = cidr.split_once('/').unwrap_or((cidr, "no"));
    let fits = address.parse::<std::net::IpAddr>().is_ok() && bits.parse::<u8>().is_ok();
    if fits {
        Ok(address)
    } else {
        Err(ApiError::Other(format!(
            "error while parsing address {cidr}: invalid CIDR address: {cidr}"
        )))
    }
}

fn tcp_ports(ports: Option<&Vec<Port>>) -> impl Iterator<Item = &Port> {
    ports.into_iter().flatten().filter(|p| p.protocol == "tcp")
}

impl Refresh for SwarmDiscovery {
    async fn refresh(&mut self) -> Result<Vec<TargetGroup>, ApiError> {
        let targets = match self.role.as_str() {
            "services" => self.services().await?,
            "nodes" => self.nodes().await?,
            _ => self.tasks().await?,
        };
        Ok(vec![TargetGroup {
            source: "DockerSwarm".into(),
            targets,
            labels: Labels::empty(),
        }])
    }
}

impl SwarmDiscovery {
    async fn list<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        filters: &str,
    ) -> Result<Vec<T>, ApiError> {
        let listed: Result<Option<Vec<T>>, _> = self.api.get(&format!("/{what}{filters}")).await;
        listed
            .map(Option::unwrap_or_default)
            .map_err(|e| ApiError::Other(format!("error while listing swarm {what}: {e}")))
    }

    async fn networks(&self) -> Result<BTreeMap<String, Set>, ApiError> {
        self.api.network_labels(PREFIX).await.map_err(|e| {
            ApiError::Other(format!("error while computing swarm network labels: {e}"))
        })
    }

    async fn nodes(&self) -> Result<Vec<Labels>, ApiError> {
        let nodes: Vec<Node> = self.list("nodes", &self.filters).await?;
        let targets = nodes.iter().map(|node| {
            let mut set = node.labels();
            set.set(
                label("node_engine_version"),
                node.description.engine.engine_version.as_str(),
            );
            if let Some(manager) = &node.manager_status {
                set.set(label("node_manager_leader"), manager.leader.to_string())
                    .set(
                        label("node_manager_reachability"),
                        manager.reachability.as_str(),
                    )
                    .set(label("node_manager_address"), manager.addr.as_str());
            }
            set.set(ADDRESS, host_port(&node.status.addr, self.port));
            set.build()
        });
        Ok(targets.collect())
    }

    async fn services(&self) -> Result<Vec<Labels>, ApiError> {
        let services: Vec<Service> = self.list("services", &self.filters).await?;
        let networks = self.networks().await?;
        let mut targets = Vec::new();
        for service in &services {
            let common = service.target_labels();
            for ip in service.endpoint.virtual_ips.iter().flatten() {
                let address = address_of(&ip.addr)?;
                let mut push = |own: Set, port: i64| {
                    let mut set = own;
                    set.extend(&common);
                    if let Some(labels) = networks.get(&ip.network_id) {
                        set.extend(labels);
                    }
                    set.set(ADDRESS, host_port(address, port));
                    targets.push(set.build());
                };
                let mut any = false;
                for port in tcp_ports(service.endpoint.ports.as_ref()) {
                    any = true;
                    let mut own = Set::new();
                    own.set(label("service_endpoint_port_name"), port.name.as_str())
                        .set(
                            label("service_endpoint_port_publish_mode"),
                            port.publish_mode.as_str(),
                        );
                    push(own, i64::from(port.published_port));
                }
                if !any {
                    push(Set::new(), self.port);
                }
            }
        }
        Ok(targets)
    }

    async fn tasks(&self) -> Result<Vec<Labels>, ApiError> {
        let tasks: Vec<Task> = self.list("tasks", &self.filters).await?;
        let services: Vec<Service> = self.list("services", "").await?;
        let services: BTreeMap<&str, &Service> =
            services.iter().map(|s| (s.id.as_str(), s)).collect();
        let nodes: Vec<Node> = self.list("nodes", "").await?;
        let nodes: BTreeMap<&str, Set> =
            nodes.iter().map(|n| (n.id.as_str(), n.labels())).collect();
        let networks = self.networks().await?;
        let mut targets = Vec::new();
        for task in &tasks {
            let service = services.get(task.service_id.as_str()).copied();
            let mut common = task.labels();
            if let Some(service) = service {
                common.extend(&service.labels());
            }
            if let Some(node) = nodes.get(task.node_id.as_str()) {
                common.extend(node);
            }
            self.task_targets(task, service, &common, &networks, &mut targets)?;
        }
        Ok(targets)
    }

    fn task_targets(
        &self,
        task: &Task,
        service: Option<&Service>,
        common: &Set,
        networks: &BTreeMap<String, Set>,
        targets: &mut Vec<Labels>,
    ) -> Result<(), ApiError> {
        let with_mode = |port: &Port| {
            let mut set = Set::new();
            set.set(label("task_port_publish_mode"), port.publish_mode.as_str())
                .extend(common);
            set
        };
        let published = task.status.port_status.as_ref();
        for port in tcp_ports(published.and_then(|status| status.ports.as_ref())) {
            let mut set = with_mode(port);
            let address = host_port(set.value(&label("node_address")), port.published_port);
            set.set(ADDRESS, address);
            targets.push(set.build());
        }
        for attachment in task.networks_attachments.iter().flatten() {
            for cidr in attachment.addresses.iter().flatten() {
                let address = address_of(cidr)?;
                let mut push = |mut set: Set, port: i64| {
                    if let Some(labels) = networks.get(&attachment.network.id) {
                        set.extend(labels);
                    }
                    set.set(ADDRESS, host_port(address, port));
                    targets.push(set.build());
                };
                let mut any = false;
                for port in tcp_ports(service.and_then(|s| s.endpoint.ports.as_ref())) {
                    any = true;
                    push(with_mode(port), i64::from(port.published_port));
                }
                if !any {
                    push(common.clone(), self.port);
                }
            }
        }
        Ok(())
    }
}

impl Node {
    /// The labels that a task has of its node, too.
    fn labels(&self) -> Set {
        let mut set = Set::new();
        let platform = &self.description.platform;
        set.set(label("node_id"), self.id.as_str())
            .set(label("node_role"), self.spec.role.as_str())
            .set(label("node_address"), self.status.addr.as_str())
            .set(label("node_availability"), self.spec.availability.as_str())
            .set(label("node_hostname"), self.description.hostname.as_str())
            .set(
                label("node_platform_architecture"),
                platform.architecture.as_str(),
            )
            .set(label("node_platform_os"), platform.os.as_str())
            .set(label("node_status"), self.status.state.as_str());
        if let Some(labels) = &self.spec.labels {
            set.set_all(&label("node_label_"), labels);
        }
        set
    }
}

impl Service {
    fn mode(&self) -> &'static str {
        if self.spec.mode.global.is_some() {
            "global"
        } else if self.spec.mode.replicated.is_some() {
            "replicated"
        } else {
            ""
        }
    }

    /// The labels that a task has of its service, too.
    fn labels(&self) -> Set {
        let mut set = Set::new();
        set.set(label("service_id"), self.id.as_str())
            .set(label("service_name"), self.spec.name.as_str())
            .set(label("service_mode"), self.mode());
        if let Some(labels) = &self.spec.labels {
            set.set_all(&label("service_label_"), labels);
        }
        set
    }

    fn target_labels(&self) -> Set {
        let mut set = self.labels();
        if let Some(container) = &self.spec.task_template.container_spec {
            set.set(
                label("service_task_container_hostname"),
                container.hostname.as_str(),
            )
            .set(
                label("service_task_container_image"),
                container.image.as_str(),
            );
        }
        if let Some(status) = &self.update_status {
            set.set(label("service_updating_status"), status.state.as_str());
        }
        set
    }
}

impl Task {
    fn labels(&self) -> Set {
        let mut set = Set::new();
        set.set(label("task_id"), self.id.as_str())
            .set(label("task_desired_state"), self.desired_state.as_str())
            .set(label("task_state"), self.status.state.as_str())
            .set(label("task_slot"), self.slot.to_string());
        if let Some(container) = &self.status.container_status {
            set.set(label("task_container_id"), container.container_id.as_str());
        }
        let container = self.spec.container_spec.as_ref();
        if let Some(labels) = container.and_then(|c| c.labels.as_ref()) {
            set.set_all(&label("container_label_"), labels);
        }
        set
    }
}
