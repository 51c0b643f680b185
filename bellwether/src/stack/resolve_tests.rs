#![allow(clippy::unwrap_used)]

use super::*;

fn check(text: &str) -> Result<Stack, String> {
    Stack::parse("s.yml", text, &Overrides::default()).map_err(|e| e.to_string())
}

#[test]
fn the_built_in_stack_has_the_documented_ports() {
    let stack = Stack::load(None, &Overrides::default()).unwrap();
    let names: Vec<_> = stack
        .planes
        .iter()
        .map(|p| (p.name.as_str(), p.api_port, p.exporter_port))
        .collect();
    assert_eq!(
        names,
        [
            ("prod", 8081, 8889),
            ("dev", 8082, 8890),
            ("qa", 8083, 8891)
        ]
    );
    assert_eq!(
        (stack.server_port, stack.dashboard_port, stack.orders_port),
        (9090, 3000, 8000)
    );
    assert_eq!(
        (
            stack.planes[0].otlp_grpc_port,
            stack.planes[0].otlp_http_port,
            stack.planes[0].telemetry_port
        ),
        (4317, 4318, 8888)
    );
}

/// What takes longer than the dashboard's threshold of a second must stay well under a twentieth of the requests,
/// or every plane would look degraded from the start.
#[test]
fn the_built_in_traffic_leaves_healthy_planes_healthy() {
    use bellwether_loadgen::{Mix, Operation};
    for plane in Stack::load(None, &Overrides::default()).unwrap().planes {
        let mix: Mix = plane.mix.parse().unwrap();
        let all: u32 = mix.entries().iter().map(|(_, weight)| weight).sum();
        let slow: u32 = mix
            .entries()
            .iter()
            .filter(|(operation, _)| matches!(operation, Operation::Reports | Operation::Slow))
            .map(|(_, weight)| weight)
            .sum();
        assert!(slow * 40 <= all, "{}: {slow} of {all}", plane.name);
    }
}

#[test]
fn files_are_looked_for_beside_the_stack_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bellwether.yml");
    std::fs::write(&file, "server: { config: prometheus.yml }\n").unwrap();
    let stack = Stack::load(Some(&file), &Overrides::default()).unwrap();
    assert_eq!(stack.server_config, Some(dir.path().join("prometheus.yml")));
}

#[test]
fn an_empty_file_is_the_built_in_stack() {
    assert_eq!(check("").unwrap().planes.len(), 3);
}

const PORTS: &str = "ports: { api: 1, payments: 2, otlp_grpc: 3, otlp_http: 4, exporter: 5, telemetry: 6, health: 7 }";

#[test]
fn mistakes_name_file_line_and_key() {
    let plane = |name: &str, ports: &str, rest: &str| {
        format!("  - name: {name}\n    environment: {name}\n    {ports}\n{rest}")
    };
    let two = "ports: { api: 11, payments: 12, otlp_grpc: 13, otlp_http: 14, exporter: 15, telemetry: 16, health: 17 }";
    let cases = [
        (
            format!("planes:\n{}{}", plane("a", PORTS, ""), plane("a", two, "")),
            "s.yml:5: planes[1].name: \"a\" is already used by planes[0]",
        ),
        (
            format!(
                "planes:\n{}{}",
                plane("a", PORTS, ""),
                plane("b", PORTS, "")
            ),
            "s.yml:7: planes[1].ports.api: port 1 is already taken by planes[0].ports.api",
        ),
        (
            format!(
                "planes:\n{}",
                plane("a", PORTS, "    faults: { error_rate: 2 }\n")
            ),
            "planes[0].faults.error_rate: 2 is not a share",
        ),
        (
            format!(
                "planes:\n{}",
                plane("a", PORTS, "    traffic: { mix: nope }\n")
            ),
            "planes[0].traffic.mix",
        ),
        (
            "scrape_interval: fast\n".to_owned(),
            "s.yml:1: scrape_interval: not a valid duration string",
        ),
        (
            "dashbord: {}\n".to_owned(),
            "s.yml:1:1: dashbord: unknown field `dashbord`",
        ),
        ("planes: [\n".to_owned(), "s.yml:"),
        (
            "listen: 127.0.0.1\nserver:\n  port: 0\n".to_owned(),
            "s.yml:3: server.port: port 0 is not a port",
        ),
        (
            format!(
                "planes:\n{}{}",
                plane("a", PORTS, ""),
                plane("b", two, "    traffic: { rate: -1 }\n")
            ),
            "s.yml:8: planes[1].traffic.rate: -1 is not a rate",
        ),
    ];
    for (text, expected) in cases {
        let error = check(&text).unwrap_err();
        assert!(
            error.contains(expected),
            "{text}\n-> {error}\nexpected {expected}"
        );
    }
}
