//! The same rule file in the real Prometheus and here, and alerts on their way to the real Alertmanager.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bellwether_server::ConfigSource;
use serde_json::Value;
use support::{eventually, get, reference, start, start_reference};

/// Values that follow from the time of the evaluation alone: both servers see the same data.
const RULES: &str = "groups:
- name: g
  interval: 1s
  labels: {team: t}
  rules:
  - {record: 'sixth', expr: 'floor(vector(time())) % 6', labels: {a: b}}
  - {record: 'double', expr: 'sum without (a) (sixth) * 2'}
  - alert: Late
    expr: sixth > 2
    for: 1s
    labels: {severity: '{{ if gt $value 4.0 }}high{{ else }}low{{ end }}'}
    annotations: {summary: 'sixth is {{ $value | printf \"%.0f\" }} of {{ $labels.a }}'}
  - {alert: Kept, expr: 'sixth > 4', keep_firing_for: 2s}
  - {record: 'several', expr: 'label_replace(sixth > 3, \"x\", \"$1\", \"a\", \"(.*)\") or vector(1)'}
- name: limited
  interval: 1s
  limit: 1
  rules:
  - {record: within, expr: 'floor(vector(time())) % 3 > 0'}
  - {record: beyond, expr: 'label_replace(vector(1), \"x\", \"a\", \"\", \"\") or vector(2)'}
  - {alert: Beyond, expr: 'label_replace(vector(1), \"x\", \"a\", \"\", \"\") or vector(2)'}
- name: mistakes
  interval: 1s
  rules:
  - {record: twice, expr: 'label_replace(vector(1), \"x\", \"a\", \"\", \"\") or vector(2)', labels: {x: same}}
  - {alert: Twice, expr: 'label_replace(vector(1), \"x\", \"a\", \"\", \"\") or vector(2)', labels: {x: same}}
  - {record: matched, expr: 'vector(1) * on () (vector(1) or label_replace(vector(1), \"x\", \"a\", \"\", \"\"))'}
- name: texts
  interval: 1s
  rules:
  - alert: Texts
    expr: label_replace(vector(1234567.891), \"a\", \"b c\", \"\", \"\")
    labels: {long: '{{ humanize $value }}', query: '{{ with query \"vector(7)\" }}{{ . | first | value }}{{ end }}', wrong: '{{ $labels.none }}{{ printf \"%d\" 5 }}'}
    annotations: {a: '{{ humanizeDuration $value }}', b: '{{ $labels.a | title | reReplaceAll \" \" \"_\" }}'}
- name: offset
  interval: 1s
  query_offset: 2s
  rules: [{record: late, expr: 'floor(vector(time())) % 4'}]
";

/// By series: times of samples in milliseconds and values.
type Samples = BTreeMap<String, BTreeMap<i64, String>>;

async fn samples(address: SocketAddr) -> Samples {
    let query = "%7B__name__%21~%22none%22,__name__=~%22sixth|double|several|late|within|beyond|twice|matched|ALERTS.*%22%7D[1m]";
    let json = get(address, &format!("/api/v1/query?query={query}"))
        .await
        .json();
    let mut out = Samples::new();
    for series in json["data"]["result"].as_array().unwrap() {
        let values = series["values"].as_array().unwrap();
        let times = values.iter().map(|v| {
            let ms = (v[0].as_f64().unwrap() * 1000.0).round() as i64;
            (ms, v[1].as_str().unwrap().to_owned())
        });
        out.insert(series["metric"].to_string(), times.collect());
    }
    out
}

/// Evaluations before one that it may depend on: one round of the values.
const MEMORY: i64 = 6;

/// Asks both servers until each has evaluated for two whole rounds without leaving out a slot, as a busy machine makes
/// them do; the samples, and the times of the second round.
async fn rounds(our: SocketAddr, their: SocketAddr) -> (Samples, Samples, Vec<i64>) {
    let times = |samples: &Samples| -> BTreeSet<i64> {
        let of_rule = samples
            .iter()
            .filter(|(labels, _)| labels.contains("sixth"));
        of_rule
            .flat_map(|(_, values)| values.keys().copied())
            .collect()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (found, expected) = (samples(our).await, samples(their).await);
        // What ends at this moment may be under way in one of them.
        let mut both: BTreeSet<i64> = times(&found)
            .intersection(&times(&expected))
            .copied()
            .collect();
        both.pop_last();
        let is_whole = |t: &&i64| (1..=MEMORY).all(|n| both.contains(&(**t - n * 1000)));
        let good: Vec<i64> = both.iter().filter(is_whole).copied().collect();
        if good
            .windows(MEMORY as usize)
            .any(|w| w[MEMORY as usize - 1] - w[0] == (MEMORY - 1) * 1000)
        {
            return (found, expected, good);
        }
        assert!(
            Instant::now() < deadline,
            "no two rounds without a gap: {found:?} {expected:?}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn the_same_rules_fire_at_the_same_evaluations() {
    let dir = tempfile::tempdir().unwrap();
    let rules = dir.path().join("rules.yml");
    std::fs::write(&rules, RULES).unwrap();
    let config = format!(
        "global: {{evaluation_interval: 1s}}\nrule_files: ['{}']\n",
        rules.display()
    );
    let Some(theirs) = start_reference(&config, &[]).await else {
        return;
    };
    let path = dir.path().join("p.yml");
    std::fs::write(&path, &config).unwrap();
    let ours = start(ConfigSource::File(path), &dir.path().join("data"), |_| {}).await;
    let (our, their) = (ours.address, theirs.address);
    let (found, expected, good) = rounds(our, their).await;
    let cut = |samples: &Samples, other: &Samples| -> Samples {
        let cut = samples.iter().map(|(labels, values)| {
            // Times of other groups lie between those of the first one.
            let is_good = |t: &i64| good.iter().any(|g| (g - 999..=*g).contains(t));
            // Other groups may have left slots out of their own.
            let of_first = ["sixth", "double", "several", "\"Late\"", "\"Kept\""];
            let is_late = !of_first.iter().any(|name| labels.contains(name));
            let is_there = |t: &i64| other.get(labels).is_some_and(|o| o.contains_key(t));
            let values = values
                .iter()
                .filter(|(t, _)| is_good(t) && (!is_late || is_there(t)));
            // What always fires does so since the first evaluation, which each server has at a moment of its own.
            let is_since_start = labels.contains("ALERTS_FOR_STATE") && labels.contains("Texts");
            let value = |v: &String| match is_since_start {
                true => "since the start".to_owned(),
                false => v.clone(),
            };
            let values: BTreeMap<i64, String> = values.map(|(t, v)| (*t, value(v))).collect();
            (labels.clone(), values)
        });
        cut.filter(|(_, values)| !values.is_empty()).collect()
    };
    let (found, expected) = (cut(&found, &expected), cut(&expected, &found));
    assert_eq!(found, expected);
    for state in ["pending", "firing"] {
        assert!(
            found.keys().any(|k| k.contains(state)),
            "{state}: {found:?}"
        );
    }
    for path in ["/api/v1/rules", "/api/v1/alerts"] {
        let (found, expected) = (get(our, path).await, get(their, path).await);
        assert_eq!(found.status, expected.status);
        assert_eq!(shape(&found.json()), shape(&expected.json()), "{path}");
    }
    ours.stop().await.unwrap();
}

/// Keys and constant texts; what depends on the moment is left out.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let keep = |(key, value): (&String, &Value)| {
                let value = match key.as_str() {
                    "alerts" | "state" => Value::Null,
                    "evaluationTime" | "lastEvaluation" => {
                        Value::Bool(value.is_number() || value.is_string())
                    }
                    _ => shape(value),
                };
                (key.clone(), value)
            };
            // Debian's build leaves empty label sets out.
            let shown = |(key, value): &(&String, &Value)| {
                *key != "labels" || value.as_object().is_some_and(|labels| !labels.is_empty())
            };
            Value::Object(map.iter().filter(shown).map(keep).collect())
        }
        Value::Array(list) => Value::Array(list.iter().map(shape).collect()),
        other => other.clone(),
    }
}

/// The real Alertmanager; it ends when this is dropped.
struct Alertmanager {
    address: SocketAddr,
    child: Child,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn alertmanager(dir: &Path) -> Option<Alertmanager> {
    let program = reference("prometheus-alertmanager")?;
    // Debian's build reads its default templates from there.
    if !Path::new("/usr/share/prometheus/alertmanager/default.tmpl").exists() {
        eprintln!("SKIPPED: Alertmanager has no templates; .ci/run links them");
        return None;
    }
    let config =
        "route: {receiver: none, group_by: [team], group_wait: 1s}\nreceivers: [{name: none}]\n";
    std::fs::write(dir.join("am.yml"), config).unwrap();
    // The port is free at this moment; the program takes no listener from outside.
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let child = Command::new(program)
        .arg(format!("--config.file={}", dir.join("am.yml").display()))
        .arg(format!("--storage.path={}", dir.join("am").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Alertmanager { address, child };
    eventually("Alertmanager is ready", || async move {
        TcpStream::connect(address).is_ok() && get(address, "/-/ready").await.status == 200
    })
    .await;
    Some(started)
}

#[tokio::test]
async fn alertmanager_takes_groups_and_resolves_our_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let Some(to) = alertmanager(dir.path()).await else {
        return;
    };
    let rules = |expr: &str| {
        let rules = format!(
            "groups:\n- name: g\n  interval: 1s\n  rules:\n  - {{alert: One, expr: '{expr}', labels: {{team: a}}, annotations: {{summary: 'value {{{{ $value }}}}'}}}}\n\
             \x20 - {{alert: Two, expr: 'vector(2)', labels: {{team: a}}}}\n  - {{alert: Three, expr: 'vector(3)', labels: {{team: b}}}}\n"
        );
        std::fs::write(dir.path().join("rules.yml"), rules).unwrap();
    };
    rules("vector(1)");
    let config = format!(
        "global: {{external_labels: {{cluster: c1}}}}\nrule_files: [rules.yml]\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{}']}}]}}]}}\n",
        to.address
    );
    let path = dir.path().join("p.yml");
    std::fs::write(&path, config).unwrap();
    let server = start(ConfigSource::File(path), &dir.path().join("data"), |s| {
        s.web.enable_lifecycle = true;
        s.rules.groups.resend_delay = Duration::from_millis(1500);
    })
    .await;
    let address = to.address;
    eventually("three alerts in two groups", || async move {
        let groups = get(address, "/api/v2/alerts/groups").await.json();
        let mut sizes: Vec<usize> = groups
            .as_array()
            .unwrap()
            .iter()
            .map(|g| g["alerts"].as_array().unwrap().len())
            .collect();
        sizes.sort_unstable();
        sizes == [1, 2]
    })
    .await;
    let alerts = get(address, "/api/v2/alerts?filter=alertname=One")
        .await
        .json();
    let alert = &alerts[0];
    let labels = serde_json::json!({"alertname": "One", "team": "a", "cluster": "c1"});
    assert_eq!(
        (&alert["labels"], &alert["annotations"]["summary"]),
        (&labels, &"value 1".into()),
        "{alert}"
    );
    assert_eq!(alert["status"]["state"], "active");
    assert!(
        alert["generatorURL"]
            .as_str()
            .unwrap()
            .ends_with("/graph?g0.expr=vector%281%29&g0.tab=1"),
        "{alert}"
    );
    // The expression ends to hold: the alert is told to be over, and so no longer listed.
    rules("vector(1) > 5");
    let answer = support::send(server.address, "POST", "/-/reload", &[], Vec::new()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    eventually("the alert is resolved", || async move {
        let alerts = get(address, "/api/v2/alerts").await.json();
        let names: Vec<&str> = alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["labels"]["alertname"].as_str().unwrap())
            .collect();
        names.len() == 2 && !names.contains(&"One")
    })
    .await;
    let page = get(server.address, "/metrics").await.body;
    let sent = format!(
        "prometheus_notifications_sent_total{{alertmanager=\"http://{address}/api/v2/alerts\"}}"
    );
    assert!(
        page.lines()
            .any(|l| l.starts_with(&sent) && !l.ends_with(" 0")),
        "{page}"
    );
    server.stop().await.unwrap();
}
