//! The command line: help, completions, init, the roles alone.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use support::{Api, BINARY, Program, free_ports, wait_for};

fn output(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(BINARY).args(args).output().unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr),
    )
}

#[test]
fn help_has_examples_and_every_command() {
    let (code, text) = output(&["--help"]);
    assert_eq!(code, Some(0));
    for part in [
        "Examples:",
        "up",
        "api",
        "orders",
        "collector",
        "server",
        "dashboard",
        "load",
        "init",
        "tool",
        "completions",
        "Exit codes",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for command in [
        "up",
        "api",
        "orders",
        "collector",
        "server",
        "dashboard",
        "load",
        "init",
        "tool",
        "completions",
    ] {
        let (code, text) = output(&[command, "--help"]);
        assert_eq!(code, Some(0), "{command}");
        let examples = text.split("Examples:").nth(1).unwrap_or_default();
        assert!(
            examples.contains(&format!("bellwether {command}")),
            "{command}: no example in {text}"
        );
    }
    assert!(
        output(&["server", "--help"])
            .1
            .contains("--storage.tsdb.path")
    );
}

#[test]
fn completions_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, text) = output(&["completions", shell]);
        assert_eq!(code, Some(0));
        assert!(
            text.contains("bellwether") && text.contains("collector"),
            "{shell}"
        );
    }
}

#[test]
fn init_writes_files_that_work_and_overwrites_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let (code, text) = output(&["init", &path]);
    assert_eq!(code, Some(0), "{text}");
    for file in ["bellwether.yml", "collector.yml", "prometheus.yml"] {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    let collector = dir.path().join("collector.yml").display().to_string();
    let (code, text) = output(&["collector", "--config", &collector, "--validate"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = output(&["init", &path]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--force"), "{text}");
    assert_eq!(output(&["init", &path, "--force"]).0, Some(0));
}

#[test]
fn each_role_runs_alone_and_load_reports() {
    let [
        api,
        payments,
        orders,
        dashboard,
        grpc,
        http,
        exporter,
        telemetry,
        health,
    ] = free_ports();
    let address = |port: u16| format!("127.0.0.1:{port}");
    let _collector = Program::start(
        Command::new(BINARY)
            .args(["collector", "--config"])
            .arg(support::repository().join("config/collector.yml"))
            .env("BELLWETHER_OTLP_GRPC", address(grpc))
            .env("BELLWETHER_OTLP_HTTP", address(http))
            .env("BELLWETHER_EXPORTER", address(exporter))
            .env("BELLWETHER_TELEMETRY_PORT", telemetry.to_string())
            .env("BELLWETHER_HEALTH", address(health)),
    );
    let _api = Program::start(
        Command::new(BINARY)
            .args([
                "api",
                "--listen",
                &address(api),
                "--payments-listen",
                &address(payments),
            ])
            .env("ENV", "lone")
            .env("DATA_PLANE_ID", "dp-lone-01")
            .env("OTEL_ENDPOINT", format!("http://{}", address(grpc)))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "500"),
    );
    let _orders =
        Program::start(Command::new(BINARY).args(["orders", "--listen", &address(orders)]));
    let _dashboard =
        Program::start(Command::new(BINARY).args(["dashboard", "--listen", &address(dashboard)]));
    for (port, path) in [
        (api, "/health"),
        (orders, "/health"),
        (dashboard, "/"),
        (health, "/"),
        (exporter, "/metrics"),
        (telemetry, "/metrics"),
    ] {
        wait_for(path, || {
            Api::new(port)
                .get(path)
                .filter(|(status, _)| *status == 200)
        });
    }
    let (code, text) = output(&[
        "load",
        "-t",
        &format!("http://{}", address(api)),
        "-e",
        "lone",
        "-r",
        "40",
        "-d",
        "2",
        "-m",
        "health=1",
        "--json",
        "-q",
    ]);
    assert_eq!(code, Some(0), "{text}");
    let report: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert!(report.to_string().contains("lone"), "{report}");
    // The API pushed over gRPC, the collector exposes it under the collector's own plane labels.
    wait_for("the API's requests at the collector", || {
        let (_, text) = Api::new(exporter).get("/metrics")?;
        let line = text.lines().find(|l| {
            l.starts_with("http_server_request_duration_seconds_count{") && l.contains("/health")
        })?;
        // All that the load sent; whether the API was up was asked there too.
        let count: f64 = line.rsplit(' ').next()?.parse().ok()?;
        (count >= 80.0).then_some(())
    });
    let (code, text) = output(&[
        "load",
        "-t",
        "http://127.0.0.1:9",
        "-r",
        "5",
        "-d",
        "1",
        "-q",
    ]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.ends_with("late (p99)\n"), "{text:?}");
}

const COLLECTOR: &str = "
receivers: { otlp: { protocols: { http: { endpoint: \"127.0.0.1:1\" } } } }
exporters: { nop: }
service:
  telemetry: { logs: { encoding: json }, metrics: { level: none } }
  pipelines: { metrics: { receivers: [otlp], exporters: [nop] } }
";

#[test]
fn the_collector_logs_as_its_configuration_says_and_takes_settings() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("collector.yml");
    std::fs::write(&file, COLLECTOR).unwrap();
    let [port] = free_ports();
    let start = |more: &[&str]| {
        Program::start(
            Command::new(BINARY)
                .args(["collector", "--config"])
                .arg(&file)
                .arg(format!(
                    "--set=receivers.otlp.protocols.http.endpoint=127.0.0.1:{port}"
                ))
                .args(more),
        )
    };
    start(&[]).wait_output("\"message\":\"collector is running\"");
    // The command line is stronger.
    start(&["--log.format=logfmt"]).wait_output("collector: collector is running");
    let mut quiet = start(&["--set=service.telemetry.logs.level=error"]);
    wait_for("an answer", || Api::new(port).get("/"));
    quiet.signal("TERM");
    assert!(quiet.wait_exit().success());
    assert_eq!(quiet.output(), "");

    let path = file.display().to_string();
    let (code, text) = output(&["collector", "-c", &path, "--set=exporters"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("--set exporters: use KEY=VALUE"), "{text}");
    let (code, text) = output(&[
        "collector",
        "-c",
        &path,
        "--validate",
        "--set=exporters.nop.a=1",
    ]);
    assert_eq!(code, Some(1));
    assert!(text.contains("exporters::nop: unknown key `a`"), "{text}");
}
