//! Rules and notifications of a running server: evaluation, reloads, mistakes, receivers that are down.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bellwether_server::{ConfigSource, Listen, Server, ServerSettings};
use parking_lot::Mutex;
use serde_json::Value;
use support::{eventually, get, send, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Writes a configuration and its rule file; the source of the first.
fn files(dir: &Path, config: &str, rules: &str) -> ConfigSource {
    let path = dir.join("prometheus.yml");
    std::fs::write(dir.join("rules.yml"), rules).unwrap();
    std::fs::write(&path, config).unwrap();
    ConfigSource::File(path)
}

const CONFIG: &str =
    "global: {evaluation_interval: 1s, external_labels: {cluster: c1}}\nrule_files: ['*les.yml']\n";

const RULES: &str = "groups:
- name: g
  interval: 1s
  labels: {team: t}
  rules:
  - {record: 'a:one', expr: vector(1)}
  - alert: Always
    expr: vector(42)
    labels: {severity: page}
    annotations: {summary: 'value is {{ $value }}'}
  - {alert: Waits, expr: vector(1), for: 1h}
";

async fn rules(address: SocketAddr) -> Value {
    let json = get(address, "/api/v1/rules").await.json();
    json["data"]["groups"].clone()
}

async fn instant(address: SocketAddr, query: &str) -> Value {
    let json = get(address, &format!("/api/v1/query?query={query}"))
        .await
        .json();
    json["data"]["result"].clone()
}

#[tokio::test]
async fn rules_are_evaluated_written_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("queries.log");
    let config = CONFIG.replace(
        "external_labels",
        &format!("query_log_file: '{}', external_labels", log.display()),
    );
    let source = files(dir.path(), &config, RULES);
    let server = start(source, &dir.path().join("data"), |s| {
        s.web.enable_lifecycle = true;
    })
    .await;
    let address = server.address;
    eventually("the alert fires", || async move {
        get(address, "/api/v1/alerts").await.json()["data"]["alerts"]
            .as_array()
            .unwrap()
            .len()
            == 2
    })
    .await;
    let groups = rules(address).await;
    let group = &groups[0];
    assert_eq!(
        (&group["name"], &group["interval"]),
        (&"g".into(), &1.into()),
        "{group}"
    );
    assert!(
        group["file"].as_str().unwrap().ends_with("/rules.yml"),
        "{group}"
    );
    let [one, always, waits] = group["rules"].as_array().unwrap().as_slice() else {
        panic!("{group}");
    };
    assert_eq!(
        (&one["health"], &one["labels"]["team"]),
        (&"ok".into(), &"t".into())
    );
    assert_eq!(
        (&always["state"], &waits["state"]),
        (&"firing".into(), &"pending".into())
    );
    assert_eq!(always["alerts"][0]["annotations"]["summary"], "value is 42");
    eventually("results are stored", || async move {
        !instant(address, "a:one%7Bteam=%22t%22%7D").await.as_array().unwrap().is_empty()
            && instant(address, "ALERTS%7Balertstate=%22pending%22%7D").await[0]["metric"]["alertname"] == "Waits"
    })
    .await;

    let logged = std::fs::read_to_string(&log).unwrap();
    let of_rule = |line: &&str| line.contains("\"query\":\"vector(42)\"");
    let line: Value = serde_json::from_str(logged.lines().find(of_rule).unwrap()).unwrap();
    assert_eq!(
        (&line["ruleGroup"]["name"], &line["httpRequest"]),
        (&"g".into(), &Value::Null),
        "{line}"
    );

    // A mistake leaves the running rules in force and is named.
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, RULES.replace("vector(1)}", "rate(x)}")).unwrap();
    let answer = send(address, "POST", "/-/reload", &[], Vec::new()).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(
        answer
            .body
            .contains("could not parse expression: 1:6: parse error"),
        "{answer:?}"
    );
    assert_eq!(rules(address).await[0]["rules"][2]["state"], "pending");

    // A changed group keeps its alerts; the series of a rule that is gone end.
    let since = rules(address).await[0]["rules"][2]["alerts"][0]["activeAt"].clone();
    let changed = RULES.replace("  - {record: 'a:one', expr: vector(1)}\n", "");
    std::fs::write(&file, changed).unwrap();
    let answer = send(address, "POST", "/-/reload", &[], Vec::new()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        rules(address).await[0]["rules"][1]["alerts"][0]["activeAt"],
        since
    );
    eventually("the series ends", || async move {
        instant(address, "a:one")
            .await
            .as_array()
            .unwrap()
            .is_empty()
    })
    .await;
    let page = get(address, "/metrics").await.body;
    let key = format!("rule_group=\"{};g\"", file.display());
    for metric in [
        format!("prometheus_rule_group_rules{{{key}}} 2"),
        format!("prometheus_rule_group_interval_seconds{{{key}}} 1"),
        format!("prometheus_rule_evaluation_failures_total{{{key}}} 0"),
        "prometheus_notifications_queue_capacity 10000".to_owned(),
    ] {
        assert!(page.contains(&metric), "{metric} in\n{page}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_mistake_in_a_rule_file_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let source = files(
        dir.path(),
        CONFIG,
        "groups: [{name: g, rules: [{record: 'a{', expr: up}]}]\n",
    );
    let listen = Listen::Address("127.0.0.1:0".to_owned());
    let settings = ServerSettings::embedded(source, dir.path().join("data"), listen);
    let error = Server::bind(settings)
        .await
        .err()
        .expect("refused")
        .to_string();
    assert!(
        error.contains("rules.yml: 1:37: group \"g\", rule 1, \"a{\": braces present"),
        "{error}"
    );
}

/// Alerts that a receiver got, and whether it answers well.
#[derive(Clone, Default)]
struct Receiver {
    got: Arc<Mutex<Vec<Value>>>,
    broken: Arc<Mutex<bool>>,
}

/// A receiver of alerts that speaks just enough HTTP.
async fn receiver(listener: tokio::net::TcpListener, state: Receiver) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        tokio::spawn(async move {
            let mut raw = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                let n = stream.read(&mut buffer).await.unwrap_or(0);
                raw.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&raw).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else {
                    if n == 0 {
                        return;
                    }
                    continue;
                };
                let head = head.to_lowercase();
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() < length {
                    if n == 0 {
                        return;
                    }
                    continue;
                }
                assert!(
                    head.starts_with("post /pre/api/v2/alerts http/1.1"),
                    "{head}"
                );
                assert!(head.contains("authorization: bearer sesame"), "{head}");
                let broken = *state.broken.lock();
                if !broken {
                    let alerts: Vec<Value> = serde_json::from_str(body).unwrap();
                    state.got.lock().extend(alerts);
                }
                let status = if broken {
                    "503 Service Unavailable"
                } else {
                    "200 OK"
                };
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                raw.clear();
            }
        });
    }
}

#[tokio::test]
async fn a_receiver_that_is_down_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let state = Receiver::default();
    *state.broken.lock() = true;
    let receiving = tokio::spawn(receiver(listener, state.clone()));
    let config = format!(
        "{CONFIG}alerting:\n  alert_relabel_configs:\n  - {{regex: team, action: labeldrop}}\n  alertmanagers:\n\
         \x20 - path_prefix: /pre\n    authorization: {{credentials: sesame}}\n    static_configs: [{{targets: ['{to}', '127.0.0.1:1']}}]\n\
         \x20   relabel_configs: [{{source_labels: [__address__], regex: '.*:1', action: drop}}]\n"
    );
    let source = files(dir.path(), &config, RULES);
    let server = start(source, &dir.path().join("data"), |s| {
        s.web.external_url = "http://shown.example/p/".to_owned();
        s.rules.groups.resend_delay = std::time::Duration::from_millis(1500);
    })
    .await;
    let address = server.address;
    let url = format!("http://{to}/pre/api/v2/alerts");
    let found = get(address, "/api/v1/alertmanagers").await.json()["data"].clone();
    assert_eq!(
        found["activeAlertmanagers"][0]["url"],
        url.as_str(),
        "{found}"
    );
    assert_eq!(
        found["droppedAlertmanagers"][0]["url"],
        "http://127.0.0.1:1/pre/api/v2/alerts"
    );
    let failed = format!("prometheus_notifications_errors_total{{alertmanager=\"{url}\"}}");
    eventually("a notification fails", || {
        let failed = failed.clone();
        async move {
            let page = get(address, "/metrics").await.body;
            page.lines()
                .any(|l| l.starts_with(&failed) && !l.ends_with(" 0"))
        }
    })
    .await;
    assert!(state.got.lock().is_empty());
    *state.broken.lock() = false;
    eventually("it is told again", || {
        let state = state.clone();
        async move { state.got.lock().len() > 1 }
    })
    .await;
    let alert = state.got.lock()[0].clone();
    let labels = serde_json::json!({"alertname": "Always", "severity": "page", "cluster": "c1"});
    assert_eq!(alert["labels"], labels, "{alert}");
    assert_eq!(alert["annotations"]["summary"], "value is 42");
    assert_eq!(
        alert["generatorURL"],
        "http://shown.example/p/graph?g0.expr=vector%2842%29&g0.tab=1"
    );
    // It fires since before the receiver worked.
    let got = state.got.lock().clone();
    let (first, second) = (&got[0], &got[1]);
    assert_eq!(first["startsAt"], second["startsAt"]);
    assert!(
        first["endsAt"].as_str() > first["startsAt"].as_str(),
        "{first}"
    );
    server.stop().await.unwrap();
    receiving.abort();
}
