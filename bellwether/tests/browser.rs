//! The real page in a real browser: Playwright drives Chromium against the running stack.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::process::Command;

use support::{BINARY, PlanePorts, Program, TestStack, peers, wait_for};

fn run_e2e(stack: &TestStack, down_plane: Option<&str>) {
    let folder = support::repository().join("controlplane/dashboard");
    let shots = support::repository().join("target/e2e-screenshots");
    let mut command = Command::new("npm");
    command
        .current_dir(&folder)
        .args(["run", "--silent", "e2e"])
        .env(
            "BELLWETHER_DASHBOARD_URL",
            format!("http://127.0.0.1:{}", stack.dashboard),
        )
        .env("BELLWETHER_E2E_SHOTS", shots);
    if let Some(plane) = down_plane {
        command.env("BELLWETHER_E2E_DOWN_PLANE", plane);
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Chromium and the packages of the browser test.
fn can_run() -> bool {
    let packages =
        support::repository().join("controlplane/dashboard/node_modules/playwright-core");
    if !packages.is_dir() {
        assert!(
            std::env::var_os("BELLWETHER_REQUIRE_PEERS").is_none(),
            "npm ci was not run"
        );
        eprintln!(
            "SKIPPED: controlplane/dashboard/node_modules is missing; `cargo xtask test` installs it"
        );
        return false;
    }
    peers::chromium().is_some()
}

#[test]
fn the_dashboard_shows_three_environments_and_a_stopped_plane() {
    if !can_run() {
        return;
    }
    let stack = TestStack::new(&["prod", "dev", "qa"]);
    let mut program = stack.start();
    run_e2e(&stack, None);
    program.signal("INT");
    assert_eq!(program.wait_exit().code(), Some(0), "{}", program.output());
}

/// The qa plane's collector is a process of its own, scraped through a `prometheus.yml` of the user's own;
/// killing it stops the plane.
#[test]
fn a_stopped_plane_is_shown_as_down() {
    if !can_run() {
        return;
    }
    let mut stack = TestStack::new(&["prod", "dev"]);
    let qa = PlanePorts::free();
    let planes = [
        ("prod", stack.planes[0].1.exporter),
        ("dev", stack.planes[1].1.exporter),
        ("qa", qa.exporter),
    ];
    let mut config = "global: { scrape_interval: 1s }\nscrape_configs:\n  - job_name: data-planes\n    honor_labels: true\n    static_configs:\n".to_owned();
    for (name, port) in planes {
        config.push_str(&format!(
            "      - targets: [\"127.0.0.1:{port}\"]\n        labels: {{ environment: {name}, data_plane_id: dp-{name}-01 }}\n"
        ));
    }
    let mut collector = Program::start(
        Command::new(BINARY)
            .args(["collector", "--config"])
            .arg(support::repository().join("config/collector.yml"))
            .env(
                "BELLWETHER_OTLP_GRPC",
                format!("127.0.0.1:{}", qa.otlp_grpc),
            )
            .env(
                "BELLWETHER_OTLP_HTTP",
                format!("127.0.0.1:{}", qa.otlp_http),
            )
            .env("BELLWETHER_EXPORTER", format!("127.0.0.1:{}", qa.exporter))
            .env("BELLWETHER_TELEMETRY_PORT", qa.telemetry.to_string())
            .env("BELLWETHER_HEALTH", format!("127.0.0.1:{}", qa.health))
            .env("BELLWETHER_ENVIRONMENT", "qa"),
    );
    stack.server_config = Some(config);
    let _program = stack.start();
    let api = stack.api();
    let qa_up = |expected: &str| {
        let rows = api.query("up{environment=\"qa\"}");
        rows.first().filter(|(_, v)| v == expected).map(|_| ())
    };
    wait_for("the plane to be up", || qa_up("1"));
    collector.kill();
    wait_for("the plane to be down", || qa_up("0"));
    run_e2e(&stack, Some("qa"));
}
