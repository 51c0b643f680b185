//! `kubernetes_sd_configs` against a fake API server that lists and watches.
#![cfg(feature = "kubernetes")]
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;

use common::cluster::Cluster;
use common::{Discovery, Found, PATIENCE, assert_labels};
use serde_json::{Value, json};

fn start(cluster: &Cluster, rest: &str) -> Discovery {
    let url = &cluster.url;
    let yaml = format!("kubernetes_sd_configs:\n- api_server: {url}\n  {rest}\n");
    Discovery::start(&yaml, Path::new("."))
}

fn pod(name: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"),
            "labels": { "app.kubernetes.io/name": "web" },
            "annotations": { "prometheus.io/scrape": "true" },
            "managedFields": [{ "manager": "kubelet" }],
            "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u", "controller": true }],
        },
        "spec": {
            "nodeName": "node-1",
            "containers": [{
                "name": "web", "image": "web:1",
                "ports": [
                    { "name": "http", "containerPort": 8080, "protocol": "TCP" },
                    { "name": "metrics", "containerPort": 9090, "protocol": "TCP" },
                ],
            }],
            "initContainers": [{ "name": "init", "image": "init:1" }],
        },
        "status": {
            "phase": "Running", "podIP": ip, "hostIP": "192.168.0.1",
            "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{ "name": "web", "containerID": "docker://abc", "image": "", "imageID": "",
                "ready": true, "restartCount": 0 }],
        },
    })
}

fn node(name: &str, zone: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": { "zone": zone } },
        "spec": { "providerID": "cloud://1" },
        "status": {
            "addresses": [
                { "type": "Hostname", "address": "host-1" },
                { "type": "InternalIP", "address": "10.1.0.1" },
            ],
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "DiskPressure", "status": "False" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        },
    })
}

const PODS: &str = "/api/v1/pods";
const NODES: &str = "/api/v1/nodes";
const SERVICES: &str = "/api/v1/services";
const ENDPOINTS: &str = "/api/v1/endpoints";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";
const INGRESSES: &str = "/apis/networking.k8s.io/v1/ingresses";
const NAMESPACES: &str = "/api/v1/namespaces";

#[tokio::test]
async fn pods_come_change_and_go() {
    let cluster = Cluster::start().await;
    cluster.put(PODS, pod("web-1-a", "10.0.0.1"));
    let mut discovery = start(&cluster, "role: pod");
    let addresses = ["10.0.0.1:8080", "10.0.0.1:9090", "10.0.0.1"];
    let found = discovery.wait_for(&addresses).await;
    let common = [
        ("__meta_kubernetes_namespace", "shop"),
        (
            "__meta_kubernetes_pod_annotation_prometheus_io_scrape",
            "true",
        ),
        (
            "__meta_kubernetes_pod_annotationpresent_prometheus_io_scrape",
            "true",
        ),
        ("__meta_kubernetes_pod_controller_kind", "ReplicaSet"),
        ("__meta_kubernetes_pod_controller_name", "web-1"),
        ("__meta_kubernetes_pod_host_ip", "192.168.0.1"),
        ("__meta_kubernetes_pod_ip", "10.0.0.1"),
        ("__meta_kubernetes_pod_label_app_kubernetes_io_name", "web"),
        (
            "__meta_kubernetes_pod_labelpresent_app_kubernetes_io_name",
            "true",
        ),
        ("__meta_kubernetes_pod_name", "web-1-a"),
        ("__meta_kubernetes_pod_node_name", "node-1"),
        ("__meta_kubernetes_pod_phase", "Running"),
        ("__meta_kubernetes_pod_ready", "true"),
        ("__meta_kubernetes_pod_uid", "uid-web-1-a"),
    ];
    let with_port = [
        ("__address__", "10.0.0.1:8080"),
        ("__meta_kubernetes_pod_container_id", "docker://abc"),
        ("__meta_kubernetes_pod_container_image", "web:1"),
        ("__meta_kubernetes_pod_container_init", "false"),
        ("__meta_kubernetes_pod_container_name", "web"),
        ("__meta_kubernetes_pod_container_port_name", "http"),
        ("__meta_kubernetes_pod_container_port_number", "8080"),
        ("__meta_kubernetes_pod_container_port_protocol", "TCP"),
    ];
    let want: Vec<_> = common.iter().chain(&with_port).copied().collect();
    assert_labels(found.target("10.0.0.1:8080"), &want);
    let without_port = [
        ("__address__", "10.0.0.1"),
        ("__meta_kubernetes_pod_container_image", "init:1"),
        ("__meta_kubernetes_pod_container_init", "true"),
        ("__meta_kubernetes_pod_container_name", "init"),
    ];
    let want: Vec<_> = common.iter().chain(&without_port).copied().collect();
    assert_labels(found.target("10.0.0.1"), &want);

    let mut changed = pod("web-1-a", "10.0.0.1");
    changed["status"]["conditions"][0]["status"] = json!("False");
    cluster.put(PODS, changed);
    let unready = |found: &Found| {
        found
            .0
            .iter()
            .all(|t| t["__meta_kubernetes_pod_ready"] == "false")
    };
    discovery.wait("an unready pod", unready).await;
    cluster.put(PODS, pod("web-1-b", "10.0.0.2"));
    discovery.wait("two pods", |found| found.0.len() == 6).await;
    cluster.delete(PODS, "shop/web-1-a");
    discovery
        .wait_for(&["10.0.0.2:8080", "10.0.0.2:9090", "10.0.0.2"])
        .await;
    for (event, want) in [("add", 2.0), ("update", 1.0), ("delete", 1.0)] {
        let name = "prometheus_sd_kubernetes_events_total";
        let series = format!("{name}{{event=\"{event}\",role=\"pod\"}}");
        assert_eq!(discovery.metric(&series), Some(want), "{series}");
    }
}

#[tokio::test]
async fn a_watch_goes_on_after_a_break_and_lists_again_when_it_is_too_old() {
    let cluster = Cluster::start().await;
    let service = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "type": "ClusterIP", "clusterIP": "10.9.0.1", "ports": [{ "port": 80, "protocol": "TCP" }] },
        })
    };
    cluster.put(SERVICES, service("a"));
    let mut discovery = start(&cluster, "role: service");
    discovery.wait_for(&["a.shop.svc:80"]).await;

    // From the version that a bookmark told, without a new list.
    cluster.bookmark(SERVICES, "Service", "v1");
    cluster.hang_up();
    cluster.put(SERVICES, service("b"));
    discovery
        .wait_for(&["a.shop.svc:80", "b.shop.svc:80"])
        .await;
    let lists = |cluster: &Cluster| {
        let requests = cluster.requests();
        requests.iter().filter(|r| !r.contains("watch=")).count()
    };
    assert_eq!(lists(&cluster), 1, "{:?}", cluster.requests());

    // Something goes while nobody watches, and the version is too old afterwards: 410.
    cluster.lose(SERVICES, "shop/a");
    cluster.forget_history();
    cluster.hang_up();
    discovery.wait_for(&["b.shop.svc:80"]).await;
    assert!(lists(&cluster) > 1, "{:?}", cluster.requests());
    let failures = discovery.metric("prometheus_sd_kubernetes_failures_total");
    assert!(failures.unwrap() >= 1.0, "{failures:?}");
}

#[tokio::test]
async fn an_api_server_that_is_down_is_asked_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let yaml = format!("kubernetes_sd_configs:\n- api_server: http://{address}\n  role: node\n");
    let discovery = Discovery::start(&yaml, Path::new("."));
    let failures = "prometheus_sd_kubernetes_failures_total";
    let waiting = async {
        while discovery.metric(failures).unwrap_or(0.0) < 2.0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
async fn nodes() {
    let cluster = Cluster::start().await;
    cluster.put(NODES, node("node-1", "a"));
    let mut discovery = start(&cluster, "role: node");
    let found = discovery.wait_for(&["10.1.0.1:10250"]).await;
    assert_labels(
        found.target("10.1.0.1:10250"),
        &[
            ("__address__", "10.1.0.1:10250"),
            ("instance", "node-1"),
            ("__meta_kubernetes_node_address_Hostname", "host-1"),
            ("__meta_kubernetes_node_address_InternalIP", "10.1.0.1"),
            ("__meta_kubernetes_node_condition_diskpressure", "false"),
            ("__meta_kubernetes_node_condition_ready", "true"),
            ("__meta_kubernetes_node_label_zone", "a"),
            ("__meta_kubernetes_node_labelpresent_zone", "true"),
            ("__meta_kubernetes_node_name", "node-1"),
            ("__meta_kubernetes_node_provider_id", "cloud://1"),
        ],
    );
    cluster.delete(NODES, "node-1");
    discovery.wait_for(&[]).await;
}

#[tokio::test]
async fn services_of_all_types() {
    let cluster = Cluster::start().await;
    let service = |name: &str, spec: Value, status: Value| {
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": name, "namespace": "shop" },
            "spec": spec, "status": status })
    };
    let ports = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
    let external = json!({ "type": "ExternalName", "externalName": "x.example", "ports": ports });
    let balanced = json!({ "type": "LoadBalancer", "clusterIP": "10.9.0.2", "loadBalancerIP": "9.9.9.9", "ports": ports });
    cluster.put(SERVICES, service("ext", external, json!({})));
    cluster.put(
        SERVICES,
        service(
            "lb",
            balanced.clone(),
            json!({ "loadBalancer": { "ingress": [{ "ip": "1.1.1.1" }, { "ip": "2.2.2.2" }] } }),
        ),
    );
    cluster.put(SERVICES, service("waiting", balanced, json!({})));
    let mut discovery = start(&cluster, "role: service");
    let found = discovery
        .wait_for(&["ext.shop.svc:80", "lb.shop.svc:80", "waiting.shop.svc:80"])
        .await;
    assert_labels(
        found.target("ext.shop.svc:80"),
        &[
            ("__address__", "ext.shop.svc:80"),
            ("__meta_kubernetes_namespace", "shop"),
            ("__meta_kubernetes_service_external_name", "x.example"),
            ("__meta_kubernetes_service_name", "ext"),
            ("__meta_kubernetes_service_port_name", "http"),
            ("__meta_kubernetes_service_port_number", "80"),
            ("__meta_kubernetes_service_port_protocol", "TCP"),
            ("__meta_kubernetes_service_type", "ExternalName"),
        ],
    );
    let ip = |name: &str| {
        found.target(&format!("{name}.shop.svc:80"))["__meta_kubernetes_service_loadbalancer_ip"]
            .clone()
    };
    assert_eq!(ip("lb"), "1.1.1.1,2.2.2.2");
    assert_eq!(ip("waiting"), "9.9.9.9");
}

fn endpoints() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": { "name": "web", "namespace": "shop" },
        "subsets": [{
            "addresses": [
                { "ip": "10.0.0.1", "nodeName": "node-1", "targetRef": { "kind": "Pod", "namespace": "shop", "name": "web-1-a" } },
                { "ip": "10.5.0.5", "hostname": "h" },
            ],
            "notReadyAddresses": [{ "ip": "10.0.0.9" }],
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        }],
    })
}

#[tokio::test]
async fn endpoints_with_their_pods_and_service() {
    let cluster = Cluster::start().await;
    cluster.put(PODS, pod("web-1-a", "10.0.0.1"));
    cluster.put(SERVICES, json!({ "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "web", "namespace": "shop", "labels": { "team": "a" } }, "spec": {} }));
    cluster.put(ENDPOINTS, endpoints());
    cluster.put(NODES, node("node-1", "a"));
    let mut discovery = start(&cluster, "role: endpoints\n  attach_metadata: {node: true}");
    let all = [
        "10.0.0.1:8080",
        "10.0.0.1:9090",
        "10.5.0.5:8080",
        "10.0.0.9:8080",
    ];
    let found = discovery.wait_for(&all).await;
    let common = [
        ("__meta_kubernetes_endpoints_name", "web"),
        ("__meta_kubernetes_namespace", "shop"),
        ("__meta_kubernetes_service_label_team", "a"),
        ("__meta_kubernetes_service_labelpresent_team", "true"),
        ("__meta_kubernetes_service_name", "web"),
    ];
    let own = [
        ("__address__", "10.0.0.9:8080"),
        ("__meta_kubernetes_endpoint_port_name", "http"),
        ("__meta_kubernetes_endpoint_port_protocol", "TCP"),
        ("__meta_kubernetes_endpoint_ready", "false"),
    ];
    let want: Vec<_> = common.iter().chain(&own).copied().collect();
    assert_labels(found.target("10.0.0.9:8080"), &want);
    let behind = found.target("10.0.0.1:8080");
    for (label, want) in [
        ("__meta_kubernetes_endpoint_ready", "true"),
        ("__meta_kubernetes_endpoint_node_name", "node-1"),
        ("__meta_kubernetes_endpoint_address_target_kind", "Pod"),
        ("__meta_kubernetes_endpoint_address_target_name", "web-1-a"),
        ("__meta_kubernetes_pod_name", "web-1-a"),
        ("__meta_kubernetes_pod_container_port_name", "http"),
        ("__meta_kubernetes_node_label_zone", "a"),
    ] {
        assert_eq!(behind[label], want, "{label}");
    }
    // A port of the pod that no endpoint has.
    let other = found.target("10.0.0.1:9090");
    assert_eq!(
        other["__meta_kubernetes_pod_container_port_name"],
        "metrics"
    );
    assert!(!other.contains_key("__meta_kubernetes_endpoint_ready"));

    // A change of the pod alone, of the service alone and of the node alone shows.
    let mut failed = pod("web-1-a", "10.0.0.1");
    failed["status"]["phase"] = json!("Failed");
    cluster.put(PODS, failed);
    let phase =
        |found: &Found| found.target("10.0.0.1:8080")["__meta_kubernetes_pod_phase"] == "Failed";
    discovery.wait("another phase", phase).await;
    cluster.delete(SERVICES, "shop/web");
    let no_service = |found: &Found| !found.0[0].contains_key("__meta_kubernetes_service_name");
    discovery.wait("no service", no_service).await;
    cluster.put(NODES, node("node-1", "b"));
    let zone =
        |found: &Found| found.target("10.0.0.1:8080")["__meta_kubernetes_node_label_zone"] == "b";
    discovery.wait("another zone", zone).await;
}

#[tokio::test]
async fn endpoint_slices() {
    let cluster = Cluster::start().await;
    let slice = |name: &str, family: &str, address: &str| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": { "name": name, "namespace": "shop", "labels": { "kubernetes.io/service-name": "web" } },
            "addressType": family,
            "endpoints": [{
                "addresses": [address],
                "conditions": { "ready": true, "serving": true, "terminating": false },
                "nodeName": "node-1", "zone": "z",
                "deprecatedTopology": { "topology.k8s/x": "y" },
            }],
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http" }],
        })
    };
    cluster.put(SLICES, slice("web-4", "IPv4", "10.0.0.1"));
    cluster.put(SLICES, slice("web-6", "IPv6", "2001::1"));
    cluster.put(SERVICES, json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"] } }));
    let mut discovery = start(&cluster, "role: endpointslice");
    // The second family would be the same targets again.
    let found = discovery.wait_for(&["10.0.0.1:8080"]).await;
    assert_labels(
        found.target("10.0.0.1:8080"),
        &[
            ("__address__", "10.0.0.1:8080"),
            ("__meta_kubernetes_endpointslice_address_type", "IPv4"),
            (
                "__meta_kubernetes_endpointslice_endpoint_conditions_ready",
                "true",
            ),
            (
                "__meta_kubernetes_endpointslice_endpoint_conditions_serving",
                "true",
            ),
            (
                "__meta_kubernetes_endpointslice_endpoint_conditions_terminating",
                "false",
            ),
            (
                "__meta_kubernetes_endpointslice_endpoint_node_name",
                "node-1",
            ),
            (
                "__meta_kubernetes_endpointslice_endpoint_topology_present_topology_k8s_x",
                "true",
            ),
            (
                "__meta_kubernetes_endpointslice_endpoint_topology_topology_k8s_x",
                "y",
            ),
            ("__meta_kubernetes_endpointslice_endpoint_zone", "z"),
            (
                "__meta_kubernetes_endpointslice_label_kubernetes_io_service_name",
                "web",
            ),
            (
                "__meta_kubernetes_endpointslice_labelpresent_kubernetes_io_service_name",
                "true",
            ),
            ("__meta_kubernetes_endpointslice_name", "web-4"),
            ("__meta_kubernetes_endpointslice_port", "8080"),
            ("__meta_kubernetes_endpointslice_port_app_protocol", "http"),
            ("__meta_kubernetes_endpointslice_port_name", "http"),
            ("__meta_kubernetes_endpointslice_port_protocol", "TCP"),
            ("__meta_kubernetes_namespace", "shop"),
            ("__meta_kubernetes_service_name", "web"),
        ],
    );
}

#[tokio::test]
async fn ingresses() {
    let cluster = Cluster::start().await;
    cluster.put(INGRESSES, json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{ "hosts": ["*.example.com"] }],
            "rules": [
                { "host": "a.example.com", "http": { "paths": [{ "path": "/x", "pathType": "Prefix",
                    "backend": {} }] } },
                { "host": "other.org" },
            ],
        },
    }));
    let mut discovery = start(&cluster, "role: ingress");
    let found = discovery.wait_for(&["a.example.com", "other.org"]).await;
    assert_labels(
        found.target("a.example.com"),
        &[
            ("__address__", "a.example.com"),
            ("__meta_kubernetes_ingress_class_name", "nginx"),
            ("__meta_kubernetes_ingress_host", "a.example.com"),
            ("__meta_kubernetes_ingress_name", "web"),
            ("__meta_kubernetes_ingress_path", "/x"),
            ("__meta_kubernetes_ingress_scheme", "https"),
            ("__meta_kubernetes_namespace", "shop"),
        ],
    );
    let other = found.target("other.org");
    assert_eq!(other["__meta_kubernetes_ingress_scheme"], "http");
    assert_eq!(other["__meta_kubernetes_ingress_path"], "/");
}

#[tokio::test]
async fn metadata_of_nodes_namespaces_deployments_and_jobs() {
    let cluster = Cluster::start().await;
    let owned = |kind: &str, name: &str, owner: &str, above: &str| {
        json!({ "kind": kind, "metadata": { "name": name, "namespace": "shop",
            "ownerReferences": [{ "apiVersion": "v1", "kind": owner, "name": above, "uid": "u", "controller": true }] } })
    };
    cluster.put(
        "/apis/apps/v1/replicasets",
        owned("ReplicaSet", "web-1", "Deployment", "web"),
    );
    cluster.put(
        "/apis/batch/v1/jobs",
        owned("Job", "nightly-1", "CronJob", "nightly"),
    );
    cluster.put(PODS, pod("web-1-a", "10.0.0.1"));
    let mut of_job = pod("nightly-1-x", "10.0.0.2");
    of_job["metadata"]["ownerReferences"][0]["kind"] = json!("Job");
    of_job["metadata"]["ownerReferences"][0]["name"] = json!("nightly-1");
    cluster.put(PODS, of_job);
    let mut elsewhere = pod("lost", "10.0.0.3");
    elsewhere["spec"]["nodeName"] = json!("node-2");
    cluster.put(PODS, elsewhere);
    cluster.put(NODES, node("node-1", "a"));
    cluster.put(NAMESPACES, json!({ "kind": "Namespace", "metadata": { "name": "shop", "labels": { "tier": "gold" } } }));
    let all = "role: pod\n  attach_metadata: {node: true, namespace: true, deployment: true, job: true, cronjob: true}";
    let mut discovery = start(&cluster, all);
    // The node of the third pod is unknown.
    let found = discovery.wait("two pods", |found| found.0.len() == 6).await;
    let web = found.target("10.0.0.1:8080");
    assert_eq!(web["__meta_kubernetes_pod_deployment_name"], "web");
    assert_eq!(web["__meta_kubernetes_node_label_zone"], "a");
    assert_eq!(web["__meta_kubernetes_namespace_label_tier"], "gold");
    let nightly = found.target("10.0.0.2:8080");
    assert_eq!(nightly["__meta_kubernetes_pod_job_name"], "nightly-1");
    assert_eq!(nightly["__meta_kubernetes_pod_cronjob_name"], "nightly");
    cluster.put(
        "/apis/apps/v1/replicasets",
        owned("ReplicaSet", "web-1", "Deployment", "renamed"),
    );
    let renamed = |found: &Found| {
        found.target("10.0.0.1:8080")["__meta_kubernetes_pod_deployment_name"] == "renamed"
    };
    discovery.wait("another deployment", renamed).await;
    cluster.put(NODES, node("node-2", "b"));
    discovery.wait("all pods", |found| found.0.len() == 9).await;
}

#[tokio::test]
async fn namespaces_selectors_and_credentials_go_along() {
    let cluster = Cluster::start().await;
    cluster.put(PODS, pod("web-1-a", "10.0.0.1"));
    let mut other = pod("other", "10.0.0.2");
    other["metadata"]["namespace"] = json!("back");
    cluster.put(PODS, other);
    let rest = "role: pod\n  namespaces: {names: [back]}\n  authorization: {credentials: secret}\n  selectors: [{role: pod, label: 'a=b', field: 'status.phase=Running'}]";
    let mut discovery = start(&cluster, rest);
    discovery
        .wait_for(&["10.0.0.2:8080", "10.0.0.2:9090", "10.0.0.2"])
        .await;
    let requests = cluster.requests();
    for request in &requests {
        assert!(
            request.starts_with("/api/v1/namespaces/back/pods?"),
            "{request}"
        );
        assert!(request.contains("labelSelector=a%3Db"), "{request}");
        assert!(
            request.contains("fieldSelector=status.phase%3DRunning"),
            "{request}"
        );
    }
    assert!(
        cluster
            .authorizations()
            .iter()
            .all(|a| a == "Bearer secret")
    );
    assert_eq!(cluster.authorizations().len(), requests.len());
}

#[tokio::test]
async fn a_kubeconfig_file() {
    let cluster = Cluster::start().await;
    cluster.put(NODES, node("node-1", "a"));
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: c, cluster: {{server: '{}'}}}}]\n\
         users: [{{name: u, user: {{token: from-file}}}}]\n\
         contexts: [{{name: test, context: {{cluster: c, user: u}}}}]\n",
        cluster.url
    );
    std::fs::write(dir.path().join("kube.yml"), kubeconfig).unwrap();
    let yaml = "kubernetes_sd_configs:\n- role: node\n  kubeconfig_file: kube.yml\n";
    let mut discovery = Discovery::start(yaml, dir.path());
    discovery.wait_for(&["10.1.0.1:10250"]).await;
    assert!(
        cluster
            .authorizations()
            .iter()
            .all(|a| a == "Bearer from-file")
    );
}

#[tokio::test]
async fn equal_entries_of_two_jobs_are_one_watch() {
    use bellwether_discovery::{Manager, SetConfig};
    let cluster = Cluster::start().await;
    cluster.put(NODES, node("node-1", "a"));
    let yaml = format!(
        "kubernetes_sd_configs:\n- api_server: {}\n  role: node\n",
        cluster.url
    );
    let configs = common::parse(&yaml).unwrap();
    let manager = Manager::new("scrape", &bellwether_telemetry::Registry::new());
    let set = |name| SetConfig {
        name,
        configs: &configs,
        base_dir: Path::new("."),
    };
    let mut followers = manager.apply(&[set("one"), set("two")]);
    for name in ["one", "two"] {
        let follower = followers.get_mut(name).unwrap();
        let found = async {
            while follower.take().len() != 1 {
                follower.next().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap();
    }
    let lists = cluster
        .requests()
        .iter()
        .filter(|r| !r.contains("watch="))
        .count();
    assert_eq!(lists, 1);
    manager.shutdown().await;
}
