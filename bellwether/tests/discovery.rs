//! Discovery next to the real Prometheus and promtool: the same configuration gives the same targets with the same
//! labels. What cannot run is refused by the server and accepted by a check of the file.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::{Api, BINARY, Program, free_ports, peers, wait_for};

/// Rules of all kinds, so that discovered labels show in the targets' own.
const RULES: &str = "
    relabel_configs:
    - {source_labels: [team], regex: nobody, action: drop}
    - {source_labels: [__address__], regex: '(.*):.*', target_label: host}
    - {source_labels: [host, team], separator: '@', target_label: who}
    - {action: labelmap, regex: '__meta_(url|filepath)', replacement: 'from_$1'}
    - {source_labels: [__address__], modulus: 7, target_label: shard, action: hashmod}
    - {source_labels: [team], target_label: team, action: uppercase}
    - {regex: 'secret_.*', action: labeldrop}
    - {source_labels: [team], regex: 'OPS', target_label: __metrics_path__, replacement: /probe}
";

const GROUPS: &str = r#"[
  {"targets":["one.example:80","two.example:90"],"labels":{"team":"ops","secret_key":"x","version":"1.10"}},
  {"targets":["three.example:1"],"labels":{"team":"nobody"}},
  {"targets":["four.example"],"labels":{"__scheme__":"https","__param_module":"http","empty":""}},
  {"targets":["http://five.example/x"]}
]"#;

/// Answers every request with the groups.
fn http_sd() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/sd", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut seen = Vec::new();
            let mut buffer = [0; 1024];
            while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(n) if n > 0 => seen.extend_from_slice(&buffer[..n]),
                    _ => break,
                }
            }
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{GROUPS}",
                GROUPS.len()
            );
        }
    });
    url
}

/// A configuration with jobs that find their targets by files, by a URL and in place.
fn configuration(dir: &Path) -> std::path::PathBuf {
    std::fs::write(dir.join("a.json"), GROUPS).unwrap();
    std::fs::write(
        dir.join("b.yml"),
        "- targets: ['six.example:6', 'seven.example:7']\n  labels: {team: ops, on: yes}\n- targets: []\n",
    )
    .unwrap();
    let url = http_sd();
    let text = format!(
        "global: {{scrape_interval: 1h, scrape_timeout: 1s}}\nscrape_configs:\n\
         - job_name: files\n  file_sd_configs: [{{files: ['*.json', 'b.yml']}}]{rules}\
         - job_name: url\n  params: {{p: [v]}}\n  http_sd_configs: [{{url: '{url}'}}]{rules}\
         - job_name: fixed\n  static_configs: [{{targets: ['a:1', 'b:2'], labels: {{team: ops}}}}]{rules}",
        rules = RULES.replace("\n    ", "\n  "),
    );
    let path = dir.join("prometheus.yml");
    std::fs::write(&path, text).unwrap();
    path
}

/// What both servers have to agree on: labels of active targets with their URLs, labels of dropped ones.
fn targets(api: &Api) -> Option<(Vec<Value>, Vec<Value>)> {
    let answer = api.get_json("/api/v1/targets");
    let list = |key: &str, fields: &[&str]| {
        let entries = answer["data"][key].as_array()?;
        let mut shown: Vec<Value> = entries
            .iter()
            .map(|entry| fields.iter().map(|field| entry[*field].clone()).collect())
            .collect();
        shown.sort_by_key(ToString::to_string);
        Some(shown)
    };
    let active = list(
        "activeTargets",
        &["scrapePool", "labels", "discoveredLabels", "scrapeUrl"],
    )?;
    Some((active, list("droppedTargets", &["discoveredLabels"])?))
}

#[test]
fn files_and_urls_give_the_same_targets_as_in_prometheus() {
    let Some(prometheus) = peers::find("prometheus") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path());
    let [port, own] = free_ports();
    let start = |command: &mut Command, port: u16, data: &str| {
        Program::start(
            command
                .arg(format!("--config.file={}", config.display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    dir.path().join(data).display()
                ))
                .arg(format!("--web.listen-address=127.0.0.1:{port}")),
        )
    };
    let _prometheus = start(&mut Command::new(prometheus), port, "theirs");
    let _own = start(Command::new(BINARY).arg("server"), own, "ours");
    let complete = |port: u16| {
        let api = Api::new(port);
        wait_for("all targets", move || {
            api.get("/-/ready").filter(|(status, _)| *status == 200)?;
            targets(&api).filter(|(active, dropped)| active.len() == 10 && dropped.len() == 2)
        })
    };
    let (theirs, ours) = (complete(port), complete(own));
    assert_eq!(ours.0, theirs.0);
    assert_eq!(ours.1, theirs.1);
}

fn check(program: &mut Command, config: &Path, job: &str, timeout: &str) -> Output {
    program
        .args(["check", "service-discovery", "--timeout", timeout])
        .arg(config)
        .arg(job)
        .output()
        .unwrap()
}

fn sorted(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{output:?}");
    let mut list: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    list.sort_by_key(ToString::to_string);
    list
}

#[test]
fn check_service_discovery_prints_what_promtool_prints() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = configuration(dir.path());
    for job in ["files", "url", "fixed"] {
        let theirs = check(&mut Command::new(&promtool), &config, job, "1s");
        let ours = check(Command::new(BINARY).arg("tool"), &config, job, "1s");
        assert_eq!(sorted(&ours), sorted(&theirs), "{job}");
        assert_eq!(ours.stdout.last(), theirs.stdout.last());
    }
    let theirs = check(&mut Command::new(&promtool), &config, "nothing", "1s");
    let ours = check(Command::new(BINARY).arg("tool"), &config, "nothing", "1s");
    assert_eq!(ours.status.code(), theirs.status.code());
    assert_eq!(ours.stderr, theirs.stderr);
}

#[test]
fn what_cannot_run_is_refused_at_the_start_with_file_job_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    std::fs::write(
        &config,
        "scrape_configs:\n- job_name: cloud\n  ec2_sd_configs: [{region: eu-west-1}]\n",
    )
    .unwrap();
    let output = Command::new(BINARY)
        .arg("server")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.path().join("data").display()
        ))
        .arg("--web.listen-address=127.0.0.1:0")
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    for part in [
        "prometheus.yml",
        "\"cloud\"",
        "ec2_sd_configs",
        "cannot run in this build",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let output = check(Command::new(BINARY).arg("tool"), &config, "cloud", "1s");
    assert_eq!(output.status.code(), Some(1));
}
