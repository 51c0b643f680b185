//! The failure cases: each names its cause and what is right, ends with exit code 1, and starts nothing.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::process::Command;

use support::{BINARY, PlanePorts, Program, TestStack, listens};

/// Runs the binary to its end.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let mut program = Program::start(command);
    let status = program.wait_exit();
    (status.code(), program.output())
}

fn check_stack(yaml: &str, expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("s.yml");
    std::fs::write(&file, yaml).unwrap();
    let (code, output) = run(Command::new(BINARY)
        .arg("up")
        .arg("--stack")
        .arg(&file)
        .arg("--data-dir")
        .arg(dir.path().join("data")));
    assert_eq!(code, Some(1), "{yaml}\n{output}");
    for part in expected {
        assert!(
            output.contains(part),
            "{part:?} is not in:\n{output}\nfor\n{yaml}"
        );
    }
    assert!(!output.contains("panicked"), "{output}");
}

#[test]
fn a_bad_stack_file_names_file_line_and_key() {
    let ports = PlanePorts::free().yaml();
    let other = PlanePorts::free().yaml();
    check_stack("planes: [\n", &["s.yml:"]);
    check_stack(
        "dashbord: { port: 1 }\n",
        &["s.yml:1:1", "dashbord", "did you mean `dashboard`?"],
    );
    check_stack(
        &format!("planes:\n  - name: a\n    enviroment: a\n    ports: {ports}\n"),
        &[
            "s.yml:3:",
            "planes[0].enviroment",
            "did you mean `environment`?",
        ],
    );
    check_stack("server: { port: 123456 }\n", &["s.yml:1:", "server.port"]);
    check_stack(
        &format!(
            "planes:\n  - name: a\n    environment: a\n    ports: {ports}\n  - name: a\n    environment: b\n    ports: {other}\n"
        ),
        &["s.yml:5", "planes[1].name", "already used by planes[0]"],
    );
    check_stack(
        &format!(
            "planes:\n  - name: a\n    environment: a\n    ports: {ports}\n  - name: b\n    environment: b\n    ports: {ports}\n"
        ),
        &[
            "s.yml:7",
            "planes[1].ports.",
            "already taken by planes[0].ports.",
        ],
    );
    check_stack(
        "scrape_interval: soon\n",
        &["s.yml:1", "scrape_interval", "10s"],
    );
    check_stack("server: { config: missing.yml }\n", &["missing.yml"]);
}

#[test]
fn a_missing_stack_file_says_how_to_write_one() {
    let (code, output) = run(Command::new(BINARY).args(["up", "--stack", "no-such-stack.yml"]));
    assert_eq!(code, Some(1));
    assert!(
        output.contains("no-such-stack.yml") && output.contains("bellwether init"),
        "{output}"
    );
}

#[test]
fn a_port_in_use_names_port_component_and_option_and_leaves_nothing_running() {
    let stack = TestStack::new(&["prod", "qa"]);
    // The last plane's last port: everything else could be bound.
    let taken = stack.planes[1].1.exporter;
    let _holder = TcpListener::bind(("127.0.0.1", taken)).unwrap();
    let (code, output) = run(&mut stack.command());
    assert_eq!(code, Some(1), "{output}");
    for part in [
        taken.to_string().as_str(),
        "qa",
        "already in use",
        "planes[1].ports.exporter",
    ] {
        assert!(output.contains(part), "{part:?} is not in:\n{output}");
    }
    for port in [
        stack.server,
        stack.dashboard,
        stack.orders,
        stack.planes[0].1.api,
    ] {
        assert!(!listens(port), "something was left on {port}");
    }
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let stack = TestStack::new(&["prod"]);
    let running = stack.start();
    let generated = stack.data_dir().join("generated/prometheus.yml");
    let before = std::fs::read_to_string(&generated).unwrap();
    let second = TestStack::new(&["prod"]);
    let file = second.dir.path().join("bellwether.yml");
    std::fs::write(&file, second.yaml()).unwrap();
    let (code, output) = run(Command::new(BINARY)
        .arg("up")
        .arg("--stack")
        .arg(file)
        .arg("--data-dir")
        .arg(stack.data_dir()));
    assert_eq!(code, Some(1), "{output}");
    let path = stack.data_dir().display().to_string();
    assert!(
        output.contains(&format!("{path} is in use by process {}", running.id()))
            && output.contains("--data-dir"),
        "{output}"
    );
    assert_eq!(
        std::fs::read_to_string(&generated).unwrap(),
        before,
        "the running stack's configuration was replaced"
    );
    assert_eq!(
        output.matches("is in use by process").count(),
        1,
        "said twice: {output}"
    );
}

fn check_role(args: &[&str], file: (&str, &str), expected: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(file.0);
    std::fs::write(&path, file.1).unwrap();
    let args: Vec<String> = args
        .iter()
        .map(|a| {
            a.replace("FILE", &path.display().to_string())
                .replace("DIR", &dir.path().display().to_string())
        })
        .collect();
    let (code, output) = run(Command::new(BINARY).args(&args));
    assert_eq!(code, Some(1), "{args:?}\n{output}");
    for part in expected {
        assert!(output.contains(part), "{part:?} is not in:\n{output}");
    }
}

#[test]
fn a_bad_prometheus_configuration_names_file_line_and_key() {
    let server = [
        "server",
        "--config.file=FILE",
        "--storage.tsdb.path=DIR/data",
        "--web.listen-address=127.0.0.1:0",
    ];
    check_role(
        &server,
        ("p.yml", "scrape_configs:\n  - job_nam: x\n"),
        &["p.yml:2", "job_nam", "job_name"],
    );
    check_role(
        &server,
        (
            "p.yml",
            "scrape_configs:\n  - job_name: x\n  - job_name: x\n",
        ),
        &["p.yml", "found multiple scrape configs with job name \"x\""],
    );
    check_role(
        &server,
        ("p.yml", "global:\n  scrape_interval: often\n"),
        &["p.yml:2", "often"],
    );
    check_role(&server, ("p.yml", "a: [\n"), &["p.yml"]);
}

#[test]
fn a_bad_collector_configuration_names_the_component_and_what_exists() {
    let collector = ["collector", "--config=FILE"];
    let base = "exporters: { debug: {} }\nservice: { pipelines: { metrics: { receivers: [otlp], exporters: [debug] } } }\n";
    check_role(
        &collector,
        ("c.yml", &format!("receivers: {{ otlpp: {{}} }}\n{base}")),
        &["otlpp", "otlp"],
    );
    check_role(
        &collector,
        (
            "c.yml",
            &format!("receivers: {{ otlp: {{ protocolls: {{}} }} }}\n{base}"),
        ),
        &["protocolls", "protocols"],
    );
    check_role(&collector, ("c.yml", "receivers: [\n"), &["c.yml"]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let (code, output) = run(Command::new(BINARY).args(["up", "--no-such-flag"]));
    assert_eq!(code, Some(2), "{output}");
}
