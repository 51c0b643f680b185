//! Consul by blocking queries, Docker by HTTP and by a socket, and other registries, against fake servers.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use common::{Discovery, assert_labels};
use http::StatusCode;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

/// A Consul whose queries wait for a higher index.
#[derive(Clone)]
struct Consul {
    address: String,
    /// Index and content by path.
    content: watch::Sender<BTreeMap<String, (u64, Value)>>,
    requests: Arc<Mutex<Vec<(String, String)>>>,
}

impl Consul {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let consul = Self {
            address: listener.local_addr().unwrap().to_string(),
            content: watch::Sender::default(),
            requests: Arc::default(),
        };
        let app = Router::new().fallback(answer).with_state(consul.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        consul
    }

    fn set(&self, path: &str, index: u64, content: Value) {
        self.content.send_modify(|all| {
            all.insert(path.to_owned(), (index, content));
        });
    }
}

async fn answer(State(consul): State<Consul>, request: Request) -> Response {
    let uri = request.uri().clone();
    let token = request.headers().get("x-consul-token");
    let token = token.map_or("", |t| t.to_str().unwrap()).to_owned();
    consul.requests.lock().push((uri.to_string(), token));
    if uri.path() == "/v1/agent/self" {
        return Json(json!({ "Config": { "Datacenter": "dc-1" } })).into_response();
    }
    let index = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .find_map(|p| p.strip_prefix("index="));
    let index: u64 = index.map_or(0, |i| i.parse().unwrap());
    let path = uri.path().to_owned();
    let mut content = consul.content.subscribe();
    let newer = content
        .wait_for(|all| all.get(&path).is_some_and(|(now, _)| *now > index))
        .await
        .unwrap();
    let (index, body) = newer[&path].clone();
    ([("x-consul-index", index.to_string())], Json(body)).into_response()
}

fn instance(node: &str, port: u16, status: &str) -> Value {
    json!({
        "Node": { "Node": node, "Address": "10.0.0.1", "Meta": { "rack-id": "7" }, "TaggedAddresses": { "lan": "10.0.0.1" } },
        "Service": { "ID": format!("web-{port}"), "Service": "web", "Address": "", "Port": port, "Tags": ["canary", "v1"],
            "Meta": { "version": "2" }, "Namespace": "ns", "Partition": "part" },
        "Checks": [{ "CheckID": "c", "Status": status }],
    })
}

#[tokio::test]
async fn consul_services_come_change_and_go() {
    let consul = Consul::start().await;
    consul.set(
        "/v1/catalog/services",
        5,
        json!({ "web": ["canary", "v1"], "db": [] }),
    );
    consul.set(
        "/v1/health/service/web",
        7,
        json!([instance("n1", 80, "passing")]),
    );
    let yaml = format!(
        "consul_sd_configs:\n- server: {}\n  token: secret\n  tags: [canary]\n  refresh_interval: 50ms\n  node_meta: {{rack-id: 7}}\n",
        consul.address
    );
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    let found = discovery.wait_for(&["10.0.0.1:80"]).await;
    assert_labels(
        found.target("10.0.0.1:80"),
        &[
            ("__address__", "10.0.0.1:80"),
            ("__meta_consul_address", "10.0.0.1"),
            ("__meta_consul_dc", "dc-1"),
            ("__meta_consul_health", "passing"),
            ("__meta_consul_metadata_rack_id", "7"),
            ("__meta_consul_namespace", "ns"),
            ("__meta_consul_node", "n1"),
            ("__meta_consul_partition", "part"),
            ("__meta_consul_service", "web"),
            ("__meta_consul_service_id", "web-80"),
            ("__meta_consul_service_metadata_version", "2"),
            ("__meta_consul_service_port", "80"),
            ("__meta_consul_tagged_address_lan", "10.0.0.1"),
            ("__meta_consul_tags", ",canary,v1,"),
        ],
    );
    // `db` has not the tag, and is never asked for.
    let requests = consul.requests.lock().clone();
    assert!(
        requests
            .iter()
            .all(|(path, _)| !path.contains("service/db")),
        "{requests:?}"
    );
    assert!(requests.iter().all(|(_, token)| token == "secret"));
    let first = requests
        .iter()
        .find(|(path, _)| path.contains("service/web"))
        .unwrap();
    assert_eq!(
        first.0,
        "/v1/health/service/web?stale=&node-meta=rack-id%3A7&tag=canary&wait=120000ms"
    );
    consul.set(
        "/v1/health/service/web",
        8,
        json!([
            instance("n1", 80, "critical"),
            instance("n2", 81, "passing")
        ]),
    );
    let found = discovery.wait_for(&["10.0.0.1:80", "10.0.0.1:81"]).await;
    assert_eq!(
        found.target("10.0.0.1:80")["__meta_consul_health"],
        "critical"
    );
    consul.set("/v1/catalog/services", 9, json!({ "db": [] }));
    discovery.wait_for(&[]).await;
    let calls =
        "prometheus_sd_consul_rpc_duration_seconds_count{call=\"service\",endpoint=\"catalog\"}";
    assert!(discovery.metric(calls).unwrap() >= 2.0);
}

#[tokio::test]
async fn consul_services_by_name_need_no_catalogue() {
    let consul = Consul::start().await;
    consul.set(
        "/consul/v1/health/service/web",
        1,
        json!([instance("n1", 80, "passing")]),
    );
    let yaml = format!(
        "consul_sd_configs:\n- server: {}\n  path_prefix: /consul\n  datacenter: east\n  services: [web]\n  allow_stale: false\n  health_filter: 'x == 1'\n",
        consul.address
    );
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    let found = discovery.wait_for(&["10.0.0.1:80"]).await;
    assert_eq!(found.0[0]["__meta_consul_dc"], "east");
    assert_eq!(
        consul.requests.lock()[0].0,
        "/consul/v1/health/service/web?dc=east&filter=x+%3D%3D+1&wait=120000ms"
    );
}

/// A server that answers by path and query; anything else is not found.
fn fixed(answers: Vec<(&'static str, Value)>) -> Router {
    let answers: Arc<BTreeMap<&'static str, Value>> = Arc::new(answers.into_iter().collect());
    Router::new().fallback(move |request: Request| {
        let found = answers.get(request.uri().to_string().as_str()).cloned();
        async move {
            match found {
                Some(value) => Json(value).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        }
    })
}

async fn serve(app: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

fn containers() -> Router {
    fixed(vec![
        (
            "/containers/json?filters=%7B%22status%22%3A%7B%22running%22%3Atrue%7D%7D",
            json!([
                { "Id": "c1", "Names": ["/web"], "Image": "web:1", "ImageID": "sha256:1",
                  "Labels": { "com.example/team": "a" }, "HostConfig": { "NetworkMode": "bridge" },
                  "Ports": [
                    { "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
                    { "PrivatePort": 53, "Type": "udp" },
                  ],
                  "NetworkSettings": { "Networks": {
                    "b-net": { "NetworkID": "n2", "IPAddress": "172.18.0.2" },
                    "a-net": { "NetworkID": "n1", "IPAddress": "172.17.0.2" } } } },
                { "Id": "c2", "Names": ["/sidecar"], "HostConfig": { "NetworkMode": "container:c1" },
                  "NetworkSettings": { "Networks": {} } },
                { "Id": "c3", "Names": ["/host"], "HostConfig": { "NetworkMode": "host" },
                  "NetworkSettings": { "Networks": { "host": { "NetworkID": "n3", "IPAddress": "" } } } },
            ]),
        ),
        (
            "/networks",
            json!([
                { "Id": "n1", "Name": "a-net", "Scope": "local", "Internal": false, "Ingress": false, "Labels": { "x": "y" } },
                { "Id": "n3", "Name": "host", "Scope": "local" },
            ]),
        ),
    ])
}

const FILTER: &str = "filters: [{name: status, values: [running]}]";

#[tokio::test]
async fn docker_containers() {
    let url = serve(containers()).await;
    let yaml = format!("docker_sd_configs: [{{host: '{url}', {FILTER}}}]");
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    let found = discovery
        .wait("three targets", |found| found.0.len() == 3)
        .await;
    let web = found
        .0
        .iter()
        .find(|t| t["__meta_docker_container_id"] == "c1")
        .unwrap();
    assert_labels(
        web,
        &[
            ("__address__", "172.17.0.2:80"),
            ("__meta_docker_container_id", "c1"),
            ("__meta_docker_container_image", "web:1"),
            ("__meta_docker_container_image_id", "sha256:1"),
            ("__meta_docker_container_label_com_example_team", "a"),
            ("__meta_docker_container_name", "/web"),
            ("__meta_docker_container_network_mode", "bridge"),
            ("__meta_docker_network_id", "n1"),
            ("__meta_docker_network_ingress", "false"),
            ("__meta_docker_network_internal", "false"),
            ("__meta_docker_network_ip", "172.17.0.2"),
            ("__meta_docker_network_label_x", "y"),
            ("__meta_docker_network_name", "a-net"),
            ("__meta_docker_network_scope", "local"),
            ("__meta_docker_port_private", "80"),
            ("__meta_docker_port_public", "8080"),
            ("__meta_docker_port_public_ip", "0.0.0.0"),
        ],
    );
    let address = |id: &str| {
        let found = found
            .0
            .iter()
            .find(|t| t["__meta_docker_container_id"] == id);
        found.unwrap()["__address__"].clone()
    };
    // Another container's network, and the fallback port; the host's network has no ports.
    assert_eq!(address("c2"), "172.17.0.2:80");
    assert_eq!(address("c3"), "localhost");
}

#[tokio::test]
async fn docker_by_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, containers()).await.unwrap() });
    let yaml = format!(
        "docker_sd_configs: [{{host: 'unix://{}', match_first_network: false, {FILTER}}}]",
        socket.display()
    );
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    // Both networks of the first container, and of the one that shares them.
    discovery
        .wait("five targets", |found| found.0.len() == 5)
        .await;
}

fn swarm() -> Router {
    let nodes = json!([{ "ID": "node1", "Spec": { "Role": "manager", "Availability": "active", "Labels": { "zone": "a" } },
        "Description": { "Hostname": "h1", "Platform": { "Architecture": "x86_64", "OS": "linux" }, "Engine": { "EngineVersion": "27" } },
        "Status": { "State": "ready", "Addr": "10.0.0.1" },
        "ManagerStatus": { "Leader": true, "Reachability": "reachable", "Addr": "10.0.0.1:2377" } }]);
    let services = json!([{ "ID": "s1", "Spec": { "Name": "web", "Labels": { "team": "a" }, "Mode": { "Replicated": { "Replicas": 1 } },
            "TaskTemplate": { "ContainerSpec": { "Image": "web:1", "Hostname": "w" } } },
        "Endpoint": { "Ports": [{ "Name": "http", "Protocol": "tcp", "PublishedPort": 8080, "PublishMode": "ingress" },
                                { "Protocol": "udp", "PublishedPort": 53 }],
                      "VirtualIPs": [{ "NetworkID": "n1", "Addr": "10.9.0.2/24" }] },
        "UpdateStatus": { "State": "completed" } }]);
    let tasks = json!([{ "ID": "t1", "ServiceID": "s1", "NodeID": "node1", "Slot": 2, "DesiredState": "running",
        "Status": { "State": "running", "ContainerStatus": { "ContainerID": "abc" },
                    "PortStatus": { "Ports": [{ "Protocol": "tcp", "PublishedPort": 30001, "PublishMode": "host" }] } },
        "Spec": { "ContainerSpec": { "Labels": { "l": "v" } } },
        "NetworksAttachments": [{ "Network": { "ID": "n1" }, "Addresses": ["10.9.0.3/24"] }] }]);
    let networks = json!([{ "Id": "n1", "Name": "ingress", "Scope": "swarm", "Internal": false, "Ingress": true, "Labels": null }]);
    fixed(vec![
        ("/nodes", nodes),
        ("/services", services),
        ("/tasks", tasks),
        ("/networks", networks),
    ])
}

#[tokio::test]
async fn docker_swarm() {
    let url = serve(swarm()).await;
    let start = |role: &str| {
        let yaml = format!("dockerswarm_sd_configs: [{{host: '{url}', role: {role}}}]");
        Discovery::start(&yaml, Path::new("."))
    };
    let of_node = [
        ("__meta_dockerswarm_node_address", "10.0.0.1"),
        ("__meta_dockerswarm_node_availability", "active"),
        ("__meta_dockerswarm_node_hostname", "h1"),
        ("__meta_dockerswarm_node_id", "node1"),
        ("__meta_dockerswarm_node_label_zone", "a"),
        ("__meta_dockerswarm_node_platform_architecture", "x86_64"),
        ("__meta_dockerswarm_node_platform_os", "linux"),
        ("__meta_dockerswarm_node_role", "manager"),
        ("__meta_dockerswarm_node_status", "ready"),
    ];
    let found = start("nodes").wait_for(&["10.0.0.1:80"]).await;
    let own = [
        ("__address__", "10.0.0.1:80"),
        ("__meta_dockerswarm_node_engine_version", "27"),
        ("__meta_dockerswarm_node_manager_address", "10.0.0.1:2377"),
        ("__meta_dockerswarm_node_manager_leader", "true"),
        ("__meta_dockerswarm_node_manager_reachability", "reachable"),
    ];
    assert_labels(&found.0[0], &[&of_node[..], &own[..]].concat());

    let of_service = [
        ("__meta_dockerswarm_service_id", "s1"),
        ("__meta_dockerswarm_service_label_team", "a"),
        ("__meta_dockerswarm_service_mode", "replicated"),
        ("__meta_dockerswarm_service_name", "web"),
    ];
    let of_network = [
        ("__meta_dockerswarm_network_id", "n1"),
        ("__meta_dockerswarm_network_ingress", "true"),
        ("__meta_dockerswarm_network_internal", "false"),
        ("__meta_dockerswarm_network_name", "ingress"),
        ("__meta_dockerswarm_network_scope", "swarm"),
    ];
    let found = start("services").wait_for(&["10.9.0.2:8080"]).await;
    let own = [
        ("__address__", "10.9.0.2:8080"),
        ("__meta_dockerswarm_service_endpoint_port_name", "http"),
        (
            "__meta_dockerswarm_service_endpoint_port_publish_mode",
            "ingress",
        ),
        ("__meta_dockerswarm_service_task_container_hostname", "w"),
        ("__meta_dockerswarm_service_task_container_image", "web:1"),
        ("__meta_dockerswarm_service_updating_status", "completed"),
    ];
    assert_labels(
        &found.0[0],
        &[&of_service[..], &of_network[..], &own[..]].concat(),
    );

    let found = start("tasks")
        .wait_for(&["10.0.0.1:30001", "10.9.0.3:8080"])
        .await;
    let of_task = [
        ("__meta_dockerswarm_container_label_l", "v"),
        ("__meta_dockerswarm_task_container_id", "abc"),
        ("__meta_dockerswarm_task_desired_state", "running"),
        ("__meta_dockerswarm_task_id", "t1"),
        ("__meta_dockerswarm_task_slot", "2"),
        ("__meta_dockerswarm_task_state", "running"),
    ];
    let published = [
        ("__address__", "10.0.0.1:30001"),
        ("__meta_dockerswarm_task_port_publish_mode", "host"),
    ];
    let want = [&of_task[..], &of_service[..], &of_node[..], &published[..]].concat();
    assert_labels(found.target("10.0.0.1:30001"), &want);
    let attached = [
        ("__address__", "10.9.0.3:8080"),
        ("__meta_dockerswarm_task_port_publish_mode", "ingress"),
    ];
    let want = [
        &of_task[..],
        &of_service[..],
        &of_node[..],
        &of_network[..],
        &attached[..],
    ]
    .concat();
    assert_labels(found.target("10.9.0.3:8080"), &want);
}

#[tokio::test]
async fn nomad_services() {
    let url = serve(fixed(vec![
        (
            "/v1/services?namespace=default&region=global&stale=",
            json!([{ "Namespace": "default", "Services": [{ "ServiceName": "web", "Tags": [] }] }]),
        ),
        (
            "/v1/service/web?namespace=default&region=global&stale=",
            json!([{ "ID": "i", "ServiceName": "web", "Namespace": "default", "NodeID": "n", "Datacenter": "dc",
                "Tags": ["a", "b"], "Address": "10.0.0.1", "Port": 8080 }]),
        ),
    ]))
    .await;
    let mut discovery = Discovery::start(
        &format!("nomad_sd_configs: [{{server: '{url}'}}]"),
        Path::new("."),
    );
    let found = discovery.wait_for(&["10.0.0.1:8080"]).await;
    assert_labels(
        &found.0[0],
        &[
            ("__address__", "10.0.0.1:8080"),
            ("__meta_nomad_address", "10.0.0.1"),
            ("__meta_nomad_dc", "dc"),
            ("__meta_nomad_namespace", "default"),
            ("__meta_nomad_node_id", "n"),
            ("__meta_nomad_service", "web"),
            ("__meta_nomad_service_address", "10.0.0.1"),
            ("__meta_nomad_service_id", "i"),
            ("__meta_nomad_service_port", "8080"),
            ("__meta_nomad_tags", ",a,b,"),
        ],
    );
}

#[tokio::test]
async fn marathon_applications() {
    let apps = json!({ "apps": [
        { "id": "/mapped", "labels": { "team": "a" }, "networks": [{ "mode": "container" }],
          "container": { "docker": { "image": "img" }, "portMappings": [{ "containerPort": 80, "hostPort": 0, "labels": { "metrics": "yes" } }] },
          "tasks": [{ "id": "t1", "host": "h1", "ports": [31000], "ipAddresses": [{ "ipAddress": "10.0.0.1" }] }] },
        { "id": "/defined", "requirePorts": false, "portDefinitions": [{ "port": 10000, "labels": { "x": "y" } }],
          "tasks": [{ "id": "t2", "host": "h2", "ports": [31001] }] },
        { "id": "/plain", "tasks": [{ "id": "t3", "host": "h3", "ports": [1, 2] }] },
    ] });
    let tokens: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&tokens);
    let app = Router::new().fallback(move |request: Request| {
        let header = request
            .headers()
            .get("authorization")
            .map(|h| h.to_str().unwrap().to_owned());
        seen.lock().extend(header);
        let apps = apps.clone();
        async move { Json(apps) }
    });
    let url = serve(app).await;
    let yaml = format!("marathon_sd_configs: [{{servers: ['{url}'], auth_token: secret}}]");
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    let found = discovery
        .wait_for(&["10.0.0.1:80", "h2:31001", "h3:1", "h3:2"])
        .await;
    assert_labels(
        found.target("10.0.0.1:80"),
        &[
            ("__address__", "10.0.0.1:80"),
            ("__meta_marathon_app", "/mapped"),
            ("__meta_marathon_app_label_team", "a"),
            ("__meta_marathon_image", "img"),
            ("__meta_marathon_port_index", "0"),
            ("__meta_marathon_port_mapping_label_metrics", "yes"),
            ("__meta_marathon_task", "t1"),
        ],
    );
    assert_eq!(
        found.target("h2:31001")["__meta_marathon_port_definition_label_x"],
        "y"
    );
    assert_eq!(found.target("h3:2")["__meta_marathon_port_index"], "1");
    assert_eq!(tokens.lock()[0], "token=secret");
}

#[tokio::test]
async fn puppetdb_resources() {
    let asked: Arc<Mutex<String>> = Arc::default();
    let seen = Arc::clone(&asked);
    let app = Router::new().route(
        "/base/pdb/query/v4",
        axum::routing::post(move |body: String| {
            *seen.lock() = body;
            async {
                Json(json!([{ "certname": "h1", "resource": "49af", "type": "Class", "title": "Prom", "exported": false,
                    "tags": ["a", "b"], "file": "/x.pp", "environment": "prod",
                    "parameters": { "port": 9100, "ratio": 1.5, "on": true, "list": ["x", 1], "deep": { "key-1": "v" }, "none": null } }]))
            }
        }),
    );
    let url = serve(app).await;
    let yaml = format!(
        "puppetdb_sd_configs: [{{url: '{url}/base/', query: 'q', include_parameters: true, port: 9100}}]"
    );
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    let found = discovery.wait_for(&["h1:9100"]).await;
    assert_eq!(*asked.lock(), r#"{"query":"q"}"#);
    assert_labels(
        &found.0[0],
        &[
            ("__address__", "h1:9100"),
            ("__meta_puppetdb_certname", "h1"),
            ("__meta_puppetdb_environment", "prod"),
            ("__meta_puppetdb_exported", "false"),
            ("__meta_puppetdb_file", "/x.pp"),
            ("__meta_puppetdb_parameter_deep_key_1", "v"),
            ("__meta_puppetdb_parameter_list", "x,1"),
            ("__meta_puppetdb_parameter_on", "true"),
            ("__meta_puppetdb_parameter_port", "9100"),
            ("__meta_puppetdb_parameter_ratio", "1.5"),
            ("__meta_puppetdb_query", "q"),
            ("__meta_puppetdb_resource", "49af"),
            ("__meta_puppetdb_tags", ",a,b,"),
            ("__meta_puppetdb_title", "Prom"),
            ("__meta_puppetdb_type", "Class"),
        ],
    );
}

#[tokio::test]
async fn kuma_data_planes() {
    let asked: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let app = Router::new().fallback(move |request: Request| {
        let seen = Arc::clone(&seen);
        async move {
            let path = request.uri().to_string();
            assert_eq!(path, "/v3/discovery:monitoringassignments?fetch-timeout=2m");
            let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let known = body["version_info"] == "v1";
            seen.lock().push(body);
            if known {
                return StatusCode::NOT_MODIFIED.into_response();
            }
            Json(json!({ "versionInfo": "v1", "nonce": "n1",
                "typeUrl": "type.googleapis.com/kuma.observability.v1.MonitoringAssignment",
                "resources": [{ "@type": "type.googleapis.com/kuma.observability.v1.MonitoringAssignment",
                    "mesh": "default", "service": "web", "labels": { "team": "a" },
                    "targets": [{ "name": "web-1", "scheme": "http", "address": "10.0.0.1:5670", "metricsPath": "/metrics",
                        "labels": { "kuma.io/zone": "z" } }] }] }))
            .into_response()
        }
    });
    let url = serve(app).await;
    let yaml =
        format!("kuma_sd_configs: [{{server: '{url}', client_id: me, refresh_interval: 50ms}}]");
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    let found = discovery.wait_for(&["10.0.0.1:5670"]).await;
    assert_labels(
        &found.0[0],
        &[
            ("__address__", "10.0.0.1:5670"),
            ("__meta_kuma_dataplane", "web-1"),
            ("__meta_kuma_label_kuma_io_zone", "z"),
            ("__meta_kuma_label_team", "a"),
            ("__meta_kuma_mesh", "default"),
            ("__meta_kuma_service", "web"),
            ("__metrics_path__", "/metrics"),
            ("__scheme__", "http"),
            ("instance", "web-1"),
        ],
    );
    let first = asked.lock()[0].clone();
    assert_eq!(first["node"]["id"], "me");
    let skipped = async {
        while discovery
            .metric("prometheus_sd_kuma_fetch_skipped_updates_total")
            .unwrap_or(0.0)
            < 1.0
        {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(common::PATIENCE, skipped)
        .await
        .unwrap();
}
