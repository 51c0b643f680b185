//! Foreign programs are understood, and understand us.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{Api, BINARY, Program, TestStack, free_ports, peers, wait_for};

#[test]
fn the_python_sdk_pushes_over_grpc_and_http() {
    let Some(python) = peers::python() else {
        return;
    };
    let stack = TestStack::new(&["prod"]);
    let _program = stack.start();
    let api = stack.api();
    let ports = stack.planes[0].1;
    for (protocol, port) in [("grpc", ports.otlp_grpc), ("http", ports.otlp_http)] {
        let output = Command::new(&python)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/support/push.py"
            ))
            .args([
                protocol,
                &format!("http://127.0.0.1:{port}"),
                &format!("py-{protocol}"),
            ])
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let job = format!("job=\"py-{protocol}\"");
        for (expr, expected) in [
            (format!("stranger_jobs_total{{{job},queue=\"fast\"}}"), 3.0),
            (format!("stranger_jobs_total{{{job},queue=\"slow\"}}"), 4.0),
            (
                format!("stranger_temperature_celsius{{{job},room=\"a.b\"}}"),
                21.5,
            ),
            (
                format!("stranger_latency_milliseconds_count{{{job},http_route=\"/x\"}}"),
                4.0,
            ),
            (format!("stranger_latency_milliseconds_sum{{{job}}}"), 638.0),
            (
                format!("stranger_latency_milliseconds_bucket{{{job},le=\"10.0\"}}"),
                2.0,
            ),
            (
                format!("stranger_latency_milliseconds_bucket{{{job},le=\"+Inf\"}}"),
                4.0,
            ),
            (
                format!("stranger_open{{{job},environment=\"prod\",data_plane_id=\"dp-prod-01\"}}"),
                3.0,
            ),
            (format!("target_info{{{job},instance=\"i-1\"}}"), 1.0),
        ] {
            let value = api.wait_value(&expr, |_| true);
            assert!(
                (value - expected).abs() < 1e-9,
                "{expr} = {value}, not {expected}"
            );
        }
    }
}

#[test]
fn the_real_prometheus_scrapes_our_collector_and_order_service() {
    let Some(prometheus) = peers::find("prometheus") else {
        return;
    };
    let stack = TestStack::new(&["prod"]);
    let _program = stack.start();
    let [port] = free_ports();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    let targets = [
        stack.planes[0].1.exporter,
        stack.planes[0].1.telemetry,
        stack.orders,
        stack.server,
    ];
    let list = targets.map(|p| format!("\"127.0.0.1:{p}\"")).join(", ");
    std::fs::write(
        &config,
        format!("global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: ours\n    honor_labels: true\n    static_configs:\n      - targets: [{list}]\n"),
    )
    .unwrap();
    let _prometheus = Program::start(
        Command::new(prometheus)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let api = Api::new(port);
    wait_for("four targets up in the real Prometheus", || {
        (api.query("up == 1").len() == 4).then_some(())
    });
    for expr in [
        "http_server_request_duration_seconds_count{environment=\"prod\"}",
        "orders_processed_total",
        "otelcol_process_uptime_seconds_total",
        "prometheus_build_info",
    ] {
        wait_for(expr, || (!api.query(expr).is_empty()).then_some(()));
    }
}

#[test]
fn our_server_scrapes_the_real_node_exporter() {
    let Some(exporter) = peers::find("prometheus-node-exporter") else {
        return;
    };
    let [port, server] = free_ports();
    let _exporter = Program::start(
        Command::new(exporter).arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    std::fs::write(
        &config,
        format!("global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: node\n    static_configs:\n      - targets: [\"127.0.0.1:{port}\"]\n"),
    )
    .unwrap();
    let _server = Program::start(
        Command::new(BINARY)
            .arg("server")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{server}")),
    );
    let api = Api::new(server);
    api.wait_value("up{job=\"node\"}", |v| v == 1.0);
    for expr in [
        "node_memory_MemTotal_bytes",
        "node_exporter_build_info",
        "rate(node_cpu_seconds_total{mode=\"idle\"}[1m])",
    ] {
        wait_for(expr, || (!api.query(expr).is_empty()).then_some(()));
    }
}

#[test]
fn promtool_accepts_what_we_ship_and_expose() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let stack = TestStack::new(&["prod"]);
    let _program = stack.start();
    let generated = stack.data_dir().join("generated/prometheus.yml");
    let shipped = support::repository().join("config/prometheus.yml");
    for config in [&generated, &shipped] {
        let output = Command::new(&promtool)
            .args(["check", "config"])
            .arg(config)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}\n{}",
            config.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let ports = stack.planes[0].1;
    for port in [ports.exporter, ports.telemetry, stack.orders, stack.server] {
        let (status, text) = wait_for("metrics", || Api::new(port).get("/metrics"));
        assert_eq!(status, 200);
        check_metrics(&promtool, port, &text);
    }
}

/// `promtool check metrics` also lints names; the collector's own names are the official ones, so only
/// errors of the format count there.
fn check_metrics(promtool: &std::path::Path, port: u16, text: &str) {
    use std::io::Write;
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    // 0: fine; 3: lint hints only; 1: does not parse.
    assert!(
        matches!(output.status.code(), Some(0 | 3)),
        "port {port}: {said}\n{text}"
    );
    assert!(!said.contains("error while linting"), "port {port}: {said}");
}
