//! Incidents on the live stack: faults go in through the API's own door, the shipped alerts fire and resolve within
//! their times, and the real Alertmanager receives, groups and resolves them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Api, TestStack, free_ports, listens, peers, repository, wait_for};

/// How the shipped rules are made faster.
#[derive(Clone, Copy)]
struct Pace {
    /// In place of `[1m]` and `[5m]`.
    windows: [&'static str; 2],
    /// In place of `for: 2m` and `for: 1m`.
    holds: [u64; 2],
    /// Time for an alert to fire, or to end, on top of what the rules say: export, scrape, evaluation, a busy machine.
    grace: Duration,
}

const FAST: Pace = Pace {
    windows: ["10s", "20s"],
    holds: [6, 3],
    grace: Duration::from_secs(45),
};

const SHIPPED: Pace = Pace {
    windows: ["1m", "5m"],
    holds: [120, 60],
    grace: Duration::from_secs(45),
};

impl Pace {
    /// The shipped rules with other windows and times.
    fn rules(self) -> String {
        let shipped = std::fs::read_to_string(repository().join("config/rules.yml")).unwrap();
        let mut text = shipped;
        for (from, to) in [
            ("[1m]", format!("[{}]", self.windows[0])),
            ("[5m]", format!("[{}]", self.windows[1])),
            ("for: 2m", format!("for: {}s", self.holds[0])),
            ("for: 1m", format!("for: {}s", self.holds[1])),
        ] {
            assert!(text.contains(from), "the shipped rules have no {from}");
            text = text.replace(from, &to);
        }
        text
    }

    fn window(self) -> Duration {
        Duration::from_secs(if self.windows[0] == "1m" { 60 } else { 10 })
    }
}

/// A page that can be scraped until it is dropped.
struct Exporter {
    port: u16,
    stopped: Arc<AtomicBool>,
}

impl Exporter {
    fn start() -> Self {
        Self::on(0)
    }

    /// On a port, which may be one that another had before.
    fn on(port: u16) -> Self {
        let listener = wait_for("the port", || TcpListener::bind(("127.0.0.1", port)).ok());
        let port = listener.local_addr().unwrap().port();
        let stopped = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&stopped);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream;
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\nContent-Length: 14\r\n\r\nsome_metric 1\n",
                );
            }
        });
        Self { port, stopped }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener, so that it sees that it is over.
        drop(std::net::TcpStream::connect(("127.0.0.1", self.port)));
        wait_for("the exporter's port closed", || {
            (!listens(self.port)).then_some(())
        });
    }
}

/// The real Alertmanager; it ends when this is dropped.
struct Alertmanager {
    api: Api,
    port: u16,
    child: Child,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Alertmanager {
    fn start(dir: &Path) -> Option<Self> {
        let program = peers::find("prometheus-alertmanager")?;
        // Debian's build reads its default templates from there.
        if !Path::new("/usr/share/prometheus/alertmanager/default.tmpl").exists() {
            eprintln!("SKIPPED: Alertmanager has no templates; .ci/run links them");
            return None;
        }
        let config = "route: {receiver: none, group_by: [alertname, environment], group_wait: 1s, group_interval: 1s}\nreceivers: [{name: none}]\n";
        std::fs::write(dir.join("am.yml"), config).unwrap();
        let [port] = free_ports();
        let child = Command::new(program)
            .arg(format!("--config.file={}", dir.join("am.yml").display()))
            .arg(format!("--storage.path={}", dir.join("am").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self {
            api: Api::new(port),
            port,
            child,
        };
        wait_for("Alertmanager ready", || {
            let (status, _) = started.api.get("/-/ready")?;
            (status == 200).then_some(())
        });
        Some(started)
    }

    /// The labels of the group that holds an alert of a name, and the number of its active alerts.
    fn group(&self, name: &str, environment: &str) -> Option<usize> {
        let groups = self.api.get_json("/api/v2/alerts/groups");
        let wanted = match environment {
            "" => json!({ "alertname": name }),
            environment => json!({ "alertname": name, "environment": environment }),
        };
        let group = groups.as_array()?.iter().find(|g| g["labels"] == wanted)?;
        let active = |a: &&Value| a["status"]["state"] == "active";
        Some(group["alerts"].as_array()?.iter().filter(active).count())
    }
}

/// The stack with the rules at a pace, and what else it scrapes and notifies.
fn stack(pace: Pace, alertmanager: u16, collector: u16, target: u16) -> TestStack {
    let mut stack = TestStack::new(&["prod", "qa"]);
    stack.rate = 20.0;
    std::fs::write(stack.dir.path().join("rules.yml"), pace.rules()).unwrap();
    let planes: String = stack
        .planes
        .iter()
        .map(|(name, ports)| {
            format!(
                "  - targets: [\"127.0.0.1:{}\"]\n    labels: {{environment: {name}, data_plane_id: dp-{name}-01}}\n",
                ports.exporter
            )
        })
        .collect();
    stack.server_config = Some(format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s, external_labels: {{site: test}}}}\n\
         rule_files: [rules.yml]\n\
         alerting: {{alertmanagers: [{{static_configs: [{{targets: ['127.0.0.1:{alertmanager}']}}]}}]}}\n\
         scrape_configs:\n\
         - job_name: data-planes\n  honor_labels: true\n  static_configs:\n{planes}\
         - job_name: collectors\n  static_configs: [{{targets: ['127.0.0.1:{collector}'], labels: {{environment: prod, data_plane_id: dp-prod-01}}}}]\n\
         - job_name: orders\n  static_configs: [{{targets: ['127.0.0.1:{target}']}}]\n"
    ));
    stack
}

/// Changes the faults of a plane's API as the README says.
fn set_faults(stack: &TestStack, plane: &str, faults: &Value) {
    let (_, ports) = stack
        .planes
        .iter()
        .find(|(name, _)| *name == plane)
        .unwrap();
    let api = Api::new(ports.api);
    let request = api.http.put(format!("{}/admin/faults", api.base));
    let answer = request.json(faults).send().unwrap();
    assert!(answer.status().is_success(), "{answer:?}");
}

/// Whether `/api/v1/alerts` has an alert with this name and these labels in a state.
fn has_alert(api: &Api, name: &str, environment: &str, state: &str) -> bool {
    let answer = api.get_json("/api/v1/alerts");
    let alerts = answer["data"]["alerts"].as_array().unwrap();
    alerts.iter().any(|alert| {
        let labels = &alert["labels"];
        let is_there = environment.is_empty() || labels["environment"] == environment;
        labels["alertname"] == name && is_there && alert["state"] == state
    })
}

/// Waits for a state and fails when that takes longer than the rules and the grace allow.
fn within(what: &str, limit: Duration, mut reached: impl FnMut() -> bool) {
    let start = Instant::now();
    while !reached() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Seconds from when an alert became active to its first evaluation as a firing one, as the stored series tell. Of
/// several times that it fired only the last counts: the one that its latest start belongs to.
fn waited(api: &Api, incident: &Incident<'_>) -> f64 {
    let mut labels = format!("alertname=\"{}\"", incident.alert);
    if !incident.environment.is_empty() {
        labels += &format!(",environment=\"{}\"", incident.environment);
    }
    let began = format!("ALERTS_FOR_STATE{{{labels}}}");
    let query = format!(
        "min_over_time((timestamp(ALERTS{{{labels},alertstate=\"firing\"}}) >= ignoring(alertstate) ({began} @ end()))[30m:1s]) - ignoring(alertstate) {began}"
    );
    let rows = wait_for(&query, || {
        Some(api.query(&query)).filter(|rows| !rows.is_empty())
    });
    rows[0].1.parse().unwrap()
}

/// One incident: how it begins and ends, what it is called, how long the rule waits.
struct Incident<'a> {
    alert: &'a str,
    environment: &'a str,
    hold_s: u64,
}

/// Fires after its `for`, reaches the Alertmanager, ends after the cause has.
fn goes_through(
    incident: &Incident<'_>,
    pace: Pace,
    (api, alertmanager): (&Api, &Alertmanager),
    (begin, end): (impl FnOnce(), impl FnOnce()),
) {
    let Incident {
        alert,
        environment,
        hold_s,
    } = *incident;
    // A busy machine is slow by itself for a moment; that is another incident.
    within(
        &format!("{alert} is calm"),
        pace.window() + pace.grace,
        || {
            !["pending", "firing"]
                .iter()
                .any(|state| has_alert(api, alert, environment, state))
        },
    );
    begin();
    let hold = Duration::from_secs(hold_s);
    within(
        &format!("{alert} fires"),
        pace.window() + hold + pace.grace,
        || has_alert(api, alert, environment, "firing"),
    );
    let waited = waited(api, incident);
    // To the evaluation: the interval is a second, and a busy machine may leave some out.
    let limit = hold_s as f64 + 10.0;
    assert!(
        (hold_s as f64..limit).contains(&waited),
        "{alert} waited {waited} s"
    );
    within(&format!("Alertmanager has {alert}"), pace.grace, || {
        alertmanager.group(alert, environment) == Some(1)
    });
    end();
    within(&format!("{alert} ends"), pace.window() + pace.grace, || {
        !has_alert(api, alert, environment, "firing")
    });
    within(
        &format!("Alertmanager resolves {alert}"),
        pace.grace,
        || alertmanager.group(alert, environment).unwrap_or(0) == 0,
    );
}

fn incidents(pace: Pace) {
    let dir = tempfile::tempdir().unwrap();
    let Some(alertmanager) = Alertmanager::start(dir.path()) else {
        return;
    };
    let (collector, target) = (Exporter::start(), Exporter::start());
    let stack = stack(pace, alertmanager.port, collector.port, target.port);
    let _program = stack.start();
    let api = stack.api();
    // Rates of both planes are there, and all is well.
    for plane in ["prod", "qa"] {
        let query = format!("plane:http_server_requests:rate1m{{data_plane_id=\"dp-{plane}-01\"}}");
        api.wait_value(&query, |rate| rate > 1.0);
    }
    let doors = (&api, &alertmanager);

    let incident = Incident {
        alert: "HighErrorRate",
        environment: "qa",
        hold_s: pace.holds[0],
    };
    goes_through(
        &incident,
        pace,
        doors,
        (
            || set_faults(&stack, "qa", &json!({ "error_rate": 0.7 })),
            || {
                // Seven of ten requests failed over the last hour that there is: the budget burns, without a wait.
                assert!(has_alert(&api, "ErrorBudgetBurn", "qa", "firing"));
                assert!(!has_alert(&api, "HighErrorRate", "prod", "firing"));
                set_faults(&stack, "qa", &json!({ "error_rate": 0.0 }));
            },
        ),
    );
    let incident = Incident {
        alert: "HighLatency",
        environment: "prod",
        hold_s: pace.holds[1],
    };
    goes_through(
        &incident,
        pace,
        doors,
        (
            || set_faults(&stack, "prod", &json!({ "latency": { "fixed_ms": 4000 } })),
            || set_faults(&stack, "prod", &json!({})),
        ),
    );
    // What dies is a target of ours: the stack's own collectors live in its process.
    let incident = Incident {
        alert: "CollectorDown",
        environment: "prod",
        hold_s: pace.holds[1],
    };
    let port = collector.port;
    let mut again = None;
    goes_through(
        &incident,
        pace,
        doors,
        (|| drop(collector), || again = Some(Exporter::on(port))),
    );
    let incident = Incident {
        alert: "TargetDown",
        environment: "",
        hold_s: pace.holds[1],
    };
    let port = target.port;
    goes_through(
        &incident,
        pace,
        doors,
        (|| drop(target), || drop(again.replace(Exporter::on(port)))),
    );
}

#[test]
fn incidents_fire_and_resolve_on_the_live_stack() {
    incidents(FAST);
}

/// The same with the rules as they are shipped.
#[test]
#[ignore = "takes a quarter of an hour"]
fn incidents_fire_and_resolve_in_the_times_of_the_shipped_rules() {
    incidents(SHIPPED);
}
