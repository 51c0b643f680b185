//! Remote write, remote read and agent mode between real programs, with `kill -9` on each side: every sample that was
//! acknowledged is at the other end, and no other.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bellwether_remote::{RequestBuilder, encode_floats};
use support::{Api, BINARY, Program, free_ports, peers, wait_for};

const SERIES: usize = 20;

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// A server that may be killed and started again on its directory and port.
struct Node {
    kind: Kind,
    dir: tempfile::TempDir,
    port: u16,
    program: Option<Program>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Ours,
    OurAgent,
    Prometheus,
    Victoria,
}

impl Node {
    /// `None` when a reference program is not there.
    fn start(kind: Kind, config: &str) -> Option<Self> {
        let [port] = free_ports();
        let mut node = Self {
            kind,
            dir: tempfile::tempdir().unwrap(),
            port,
            program: None,
        };
        std::fs::write(node.config(), config).unwrap();
        node.start_again()?;
        Some(node)
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("prometheus.yml")
    }

    fn start_again(&mut self) -> Option<()> {
        let (data, port) = (self.dir.path().join("data"), self.port);
        let mut command = match self.kind {
            Kind::Ours | Kind::OurAgent => {
                let mut command = Command::new(BINARY);
                command.arg("server");
                command
            }
            Kind::Prometheus => Command::new(peers::find("prometheus")?),
            Kind::Victoria => Command::new(peers::find("victoria-metrics")?),
        };
        let path = match self.kind {
            Kind::OurAgent => "--agent --storage.agent.path",
            _ => "--storage.tsdb.path",
        };
        let flags = match self.kind {
            Kind::Victoria => format!(
                "-storageDataPath={} -httpListenAddr=127.0.0.1:{port} -search.latencyOffset=0s -retentionPeriod=1y",
                data.display()
            ),
            _ => format!(
                "--config.file={} {path}={} --web.listen-address=127.0.0.1:{port} --web.enable-remote-write-receiver --storage.remote.flush-deadline=5s",
                self.config().display(),
                data.display()
            ),
        };
        command.args(flags.split(' '));
        if self.kind == Kind::Prometheus {
            command.arg("--enable-feature=native-histograms,exemplar-storage");
        }
        self.program = Some(Program::start(&mut command));
        let ready = match self.kind {
            Kind::Victoria => "/health",
            _ => "/-/ready",
        };
        let api = self.api();
        wait_for("a server", || {
            api.get(ready).filter(|(status, _)| *status == 200)
        });
        Some(())
    }

    /// As a crash does. VictoriaMetrics keeps the last seconds in memory only, so it is asked to stop.
    fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            if self.kind == Kind::Victoria {
                program.signal("TERM");
                program.wait_exit();
            }
            program.kill();
        }
    }

    fn restart_after_kill(&mut self) {
        self.kill();
        self.start_again().unwrap();
    }

    fn api(&self) -> Api {
        Api::new(self.port)
    }

    fn write_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/write", self.port)
    }

    fn read_url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v1/read", self.port)
    }

    /// Whether a body was acknowledged.
    fn push(&self, api: &Api, body: &[u8]) -> bool {
        let request = api
            .http
            .post(self.write_url())
            .header("content-type", "application/x-protobuf")
            .header("content-encoding", "snappy")
            .body(body.to_vec());
        request
            .send()
            .is_ok_and(|answer| answer.status().is_success())
    }

    /// Samples by series and time.
    fn samples(&self, name: &str) -> Samples {
        let api = self.api();
        if self.kind == Kind::Victoria {
            // What was just written is not searched otherwise.
            let _ = api.get("/internal/force_flush");
        }
        let Some((200, body)) = api.get(&format!("/api/v1/query?query={name}[1h]")) else {
            return Samples::new();
        };
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        let mut out = Samples::new();
        for series in answer["data"]["result"].as_array().unwrap() {
            for value in series["values"].as_array().unwrap() {
                let t = (value[0].as_f64().unwrap() * 1000.0).round() as i64;
                let n = series["metric"]["n"].as_str().unwrap().to_owned();
                out.insert((n, t), value[1].as_str().unwrap().to_owned());
            }
        }
        out
    }
}

type Samples = BTreeMap<(String, i64), String>;

/// One sample of each series at a time.
fn body(name: &str, t: i64) -> Vec<u8> {
    encode_floats((0..SERIES).map(|n| {
        let labels = [("__name__", name.to_owned()), ("n", n.to_string())];
        (bellwether_model::Labels::from_pairs(labels), t, value(n, t))
    }))
}

fn value(n: usize, t: i64) -> f64 {
    ((t % 100_000) * 100 + n as i64) as f64
}

/// What [`body`] wrote at some times.
fn expected(times: &[i64]) -> Samples {
    let all = times.iter().flat_map(|t| (0..SERIES).map(move |n| (n, *t)));
    all.map(|(n, t)| ((n.to_string(), t), value(n, t).to_string()))
        .collect()
}

/// Waits until a server has exactly some samples.
fn wait_for_samples(what: &str, node: &Node, name: &str, expected: &Samples) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let found = node.samples(name);
        if found == *expected {
            return;
        }
        let missing: Vec<_> = expected
            .keys()
            .filter(|k| !found.contains_key(*k))
            .take(3)
            .collect();
        let more: Vec<_> = found
            .keys()
            .filter(|k| !expected.contains_key(*k))
            .take(3)
            .collect();
        assert!(
            Instant::now() < deadline,
            "{what}: {} samples instead of {}, without {missing:?}, with {more:?}",
            found.len(),
            expected.len()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until a server sends on what it takes: Prometheus leaves out what is older than its reader of the log.
fn wait_until_sending(from: &Node, to: &Node) {
    let name = format!("probe_{}", from.port);
    wait_for("a sample that is sent on", || {
        from.push(&from.api(), &body(&name, now_ms()));
        (!to.samples(&name).is_empty()).then_some(())
    });
}

fn entry(name: &str, url: &str, more: &str) -> String {
    format!(
        "- {{url: '{url}', name: {name}, remote_timeout: 2s, queue_config: {{batch_send_deadline: 100ms, min_backoff: 20ms, max_backoff: 200ms, min_shards: 2, max_samples_per_send: 100}}, metadata_config: {{send_interval: 500ms}}{more}}}\n"
    )
}

const V2: &str = ", protobuf_message: io.prometheus.write.v2.Request";

/// One of us sends to Prometheus in both versions, to VictoriaMetrics and to another of us; Prometheus sends to us in
/// both versions.
#[test]
fn samples_agree_at_every_receiver() {
    let Some(prometheus) = Node::start(Kind::Prometheus, "") else {
        return;
    };
    let second = Node::start(Kind::Prometheus, "").unwrap();
    let Some(victoria) = Node::start(Kind::Victoria, "") else {
        return;
    };
    let ours = Node::start(Kind::Ours, "").unwrap();
    let config = [
        "remote_write:\n".to_owned(),
        entry("p1", &prometheus.write_url(), ""),
        entry("p2", &second.write_url(), V2),
        entry("vm", &victoria.write_url(), ""),
        entry("us", &ours.write_url(), V2),
    ];
    let sender = Node::start(Kind::Ours, &config.concat()).unwrap();
    let from_prometheus = |more: &str| {
        format!(
            "remote_write:\n- {{url: '{}', queue_config: {{batch_send_deadline: 100ms}}{more}}}\n",
            ours.write_url()
        )
    };
    let theirs = Node::start(Kind::Prometheus, &from_prometheus("")).unwrap();
    let theirs_v2 = Node::start(Kind::Prometheus, &from_prometheus(V2)).unwrap();
    wait_until_sending(&theirs, &ours);
    wait_until_sending(&theirs_v2, &ours);
    let begin = now_ms();
    let times: Vec<i64> = (0..150).map(|i| begin + i).collect();
    for t in &times {
        for (node, name) in [
            (&sender, "m"),
            (&theirs, "from_v1"),
            (&theirs_v2, "from_v2"),
        ] {
            assert!(node.push(&node.api(), &body(name, *t)));
        }
    }
    let expected = expected(&times);
    for (what, node) in [
        ("Prometheus, version 1", &prometheus),
        ("Prometheus, version 2", &second),
        ("VictoriaMetrics", &victoria),
        ("ours, version 2", &ours),
    ] {
        wait_for_samples(what, node, "m", &expected);
    }
    wait_for_samples("from Prometheus, version 1", &ours, "from_v1", &expected);
    wait_for_samples("from Prometheus, version 2", &ours, "from_v2", &expected);
    // 3.5 has one that is about its memory; later versions do not.
    let known = names(&theirs.api());
    let ours = names(&sender.api());
    let missing: Vec<_> = known.difference(&ours).collect();
    assert!(
        missing.iter().all(|n| n.contains("string_interner")),
        "{missing:?}"
    );
    let sent = 4 * SERIES * times.len();
    let metrics = sender.api().get("/metrics").unwrap().1;
    let sum = |name: &str| -> f64 {
        let lines = metrics
            .lines()
            .filter(|l| l.starts_with(&format!("{name}{{")));
        lines
            .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    };
    assert_eq!(sum("prometheus_remote_storage_samples_total"), sent as f64);
    assert_eq!(sum("prometheus_remote_storage_samples_failed_total"), 0.0);
}

/// Metrics about remote write, with the names of their labels.
fn names(api: &Api) -> std::collections::BTreeSet<String> {
    let page = api.get("/metrics").unwrap().1;
    let is_ours = |l: &&str| {
        ["prometheus_remote_storage_", "prometheus_wal_watcher_"]
            .iter()
            .any(|prefix| l.starts_with(prefix))
    };
    let name = |line: &str| {
        let (name, labels) = line
            .split_once('{')
            .unwrap_or((line.split(' ').next().unwrap(), ""));
        let labels = labels
            .split("\",")
            .map(|l| l.split('=').next().unwrap_or_default());
        format!("{name} {}", labels.collect::<Vec<_>>().join(" "))
    };
    // What depends on what was read and how long requests took is left out.
    let is_stable = |name: &String| !name.contains("records_read") && !name.contains("_bucket");
    page.lines()
        .filter(is_ours)
        .map(name)
        .filter(is_stable)
        .collect()
}

/// Exemplars and native histograms go along where the entry says so.
#[test]
fn histograms_and_exemplars_arrive() {
    let Some(receiver) = Node::start(Kind::Prometheus, "") else {
        return;
    };
    let more = ", send_native_histograms: true, send_exemplars: true";
    let config = format!(
        "remote_write:\n{}",
        entry("p", &receiver.write_url(), &format!("{V2}{more}"))
    );
    let sender = Node::start(Kind::Ours, &config).unwrap();
    let histogram = bellwether_model::Histogram {
        schema: 1,
        count: 5,
        sum: 7.5,
        positive_spans: vec![bellwether_model::Span {
            offset: 0,
            length: 2,
        }],
        positive_buckets: vec![2, 1],
        ..Default::default()
    };
    let t = now_ms();
    let mut request = RequestBuilder::new();
    let labels = bellwether_model::Labels::from_pairs([("__name__", "native"), ("n", "1")]);
    request.series_with(
        &labels,
        &[],
        &[],
        &[bellwether_remote::HistogramRecord::Integer(
            t,
            Box::new(histogram),
        )],
    );
    assert!(sender.push(&sender.api(), &request.encode_snappy().unwrap()));
    let api = receiver.api();
    let found = wait_for("the histogram", || {
        let answer = api.get_json("/api/v1/query?query=native");
        answer["data"]["result"][0]["histogram"][1]
            .as_object()
            .cloned()
    });
    assert_eq!(
        (found["count"].as_str(), found["sum"].as_str()),
        (Some("5"), Some("7.5"))
    );
}

/// Pushes to a sender, kills it and the receiver on the way, and compares what was acknowledged with what arrived.
fn survives_kills(kind: Kind, receiver_kind: Kind, more: &str) {
    let Some(mut receiver) = Node::start(receiver_kind, "") else {
        return;
    };
    let config = format!("remote_write:\n{}", entry("r", &receiver.write_url(), more));
    let mut sender = Node::start(kind, &config).unwrap();
    let mut acknowledged = Vec::new();
    let begin = now_ms() / 1000 * 1000;
    for round in 0..240 {
        match round {
            // In the middle of sending; while the receiver is away; right after that.
            40 | 110 | 170 => sender.restart_after_kill(),
            80 => receiver.kill(),
            140 => receiver.start_again().unwrap(),
            200 => receiver.restart_after_kill(),
            _ => {}
        }
        let t = begin + round;
        let body = body("m", t);
        let api = sender.api();
        // The same again changes nothing.
        wait_for("an acknowledgement", || {
            sender.push(&api, &body).then_some(())
        });
        acknowledged.push(t);
        std::thread::sleep(Duration::from_millis(5));
    }
    wait_for_samples("after the kills", &receiver, "m", &expected(&acknowledged));
}

#[test]
fn no_acknowledged_sample_is_lost_when_either_side_is_killed() {
    survives_kills(Kind::Ours, Kind::Prometheus, "");
}

#[test]
fn nor_with_version_2_and_one_of_us_at_the_other_end() {
    survives_kills(Kind::Ours, Kind::Ours, V2);
}

#[test]
fn nor_in_agent_mode() {
    survives_kills(Kind::OurAgent, Kind::Victoria, "");
}

/// What agent mode does not have answers as Prometheus' does.
#[test]
fn agent_mode_stores_and_queries_nothing() {
    let agent = Node::start(
        Kind::OurAgent,
        "remote_write: [{url: 'http://127.0.0.1:1/w'}]\n",
    )
    .unwrap();
    let api = agent.api();
    for path in [
        "/api/v1/query?query=up",
        "/api/v1/labels",
        "/api/v1/rules",
        "/api/v1/status/tsdb",
    ] {
        let (status, body) = api.get(path).unwrap();
        assert_eq!(status, 422, "{path}: {body}");
        assert_eq!(
            body,
            r#"{"status":"error","errorType":"execution","error":"unavailable with Prometheus Agent"}"#
        );
    }
    for path in [
        "/api/v1/targets",
        "/api/v1/status/config",
        "/api/v1/status/runtimeinfo",
        "/metrics",
    ] {
        assert_eq!(api.get(path).unwrap().0, 200, "{path}");
    }
    assert_eq!(
        api.get_json("/api/v1/features")["data"]["prometheus"]["agent_mode"],
        true
    );
    let dir = tempfile::tempdir().unwrap();
    let fails = |config: &str, flags: &[&str]| {
        std::fs::write(dir.path().join("p.yml"), config).unwrap();
        let output = Command::new(BINARY)
            .arg("server")
            .arg(format!(
                "--config.file={}",
                dir.path().join("p.yml").display()
            ))
            .args(flags)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = fails("rule_files: [x.yml]\n", &["--agent"]);
    assert!(
        text.contains("field rule_files is not allowed in agent mode"),
        "{text}"
    );
    let text = fails("", &["--agent", "--storage.tsdb.path=x"]);
    let words = r#"The following flag(s) can not be used in agent mode: ["--storage.tsdb.path"]"#;
    assert!(text.contains(words), "{text}");
    let text = fails("", &["--storage.agent.path=x"]);
    let words = r#"The following flag(s) can only be used in agent mode: ["--storage.agent.path"]"#;
    assert!(text.contains(words), "{text}");
}

/// A query over the local storage and remote systems: Prometheus, one of us, and one that is not there.
#[test]
fn remote_read_adds_what_others_have() {
    let Some(prometheus) = Node::start(Kind::Prometheus, "") else {
        return;
    };
    let other = Node::start(Kind::Ours, "global: {external_labels: {cluster: c}}\n").unwrap();
    let config = |more: &str| {
        format!(
            "global: {{external_labels: {{cluster: c}}}}\nremote_read:\n- {{url: '{}', read_recent: true, filter_external_labels: false, required_matchers: {{n: '1'}}}}\n- {{url: '{}', read_recent: true}}\n{more}",
            prometheus.read_url(),
            other.read_url()
        )
    };
    let local = Node::start(Kind::Ours, &config("")).unwrap();
    let now = now_ms() / 1000 * 1000;
    let push = |node: &Node, name: &str, t: i64| assert!(node.push(&node.api(), &body(name, t)));
    for i in 0..300 {
        push(&prometheus, "theirs", now + i);
        push(&other, "mixed", now + i);
        if i >= 150 {
            push(&local, "mixed", now + i);
        }
    }
    let of = |from: i64, to: i64| -> Samples {
        expected(&(from..to).map(|i| now + i).collect::<Vec<_>>())
    };
    assert!(local.samples("mixed") == of(0, 300));
    // Only a selector with the required matcher is asked for.
    assert_eq!(local.samples("theirs"), Samples::new());
    let mut one = of(0, 300);
    one.retain(|(n, _), _| n == "1");
    assert!(local.samples("theirs{n=\"1\"}") == one);
    let series = local
        .api()
        .get_json("/api/v1/series?match[]=theirs{n=\"1\"}");
    assert_eq!(series["data"].as_array().map(Vec::len), Some(1));
    // One that fails is a warning, and the rest is there.
    let dead = "- {url: 'http://127.0.0.1:1/api/v1/read', read_recent: true, name: dead}\n";
    let local = Node::start(Kind::Ours, &config(dead)).unwrap();
    let answer = local.api().get_json("/api/v1/query?query=count(mixed)");
    assert_eq!(answer["data"]["result"][0]["value"][1], SERIES.to_string());
    let warning = answer["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("remote_read: error sending request"),
        "{warning}"
    );
}

/// vmagent, which speaks its own dialect first and Prometheus' when that is refused.
#[test]
fn vmagent_sends_to_us() {
    let Some(program) = peers::find("vmagent") else {
        return;
    };
    let ours = Node::start(Kind::Ours, "").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let [port] = free_ports();
    let mut command = Command::new(program);
    command.args([
        format!("-remoteWrite.url={}", ours.write_url()),
        format!("-remoteWrite.tmpDataPath={}", dir.path().display()),
        format!("-httpListenAddr=127.0.0.1:{port}"),
        "-remoteWrite.flushInterval=100ms".to_owned(),
        // With more, requests overtake each other, and what comes late is refused.
        "-remoteWrite.queues=1".to_owned(),
    ]);
    let _agent = Program::start(&mut command);
    let api = Api::new(port);
    wait_for("vmagent", || {
        api.get("/health").filter(|(status, _)| *status == 200)
    });
    let begin = now_ms();
    let times: Vec<i64> = (0..50).map(|i| begin + i).collect();
    for t in &times {
        let request = api
            .http
            .post(format!("http://127.0.0.1:{port}/api/v1/write"));
        let answer = request.body(body("m", *t)).send().unwrap();
        assert!(answer.status().is_success());
    }
    wait_for_samples("from vmagent", &ours, "m", &expected(&times));
}

/// A reload that keeps an entry keeps its queue, one that removes it ends it.
#[test]
fn a_reload_changes_the_queues() {
    let receiver = Node::start(Kind::Ours, "").unwrap();
    let entry = entry("r", &receiver.write_url(), "");
    let mut sender = Node::start(Kind::Ours, "").unwrap();
    let reload = |sender: &Node, config: &str| {
        std::fs::write(sender.config(), config).unwrap();
        let before = sender
            .program
            .as_ref()
            .unwrap()
            .output()
            .matches("Completed loading")
            .count();
        sender.program.as_ref().unwrap().signal("HUP");
        wait_for("the reload", || {
            let output = sender.program.as_ref().unwrap().output();
            (output.matches("Completed loading").count() > before).then_some(())
        });
    };
    let metric = |sender: &Node| {
        let page = sender.api().get("/metrics").unwrap().1;
        page.lines()
            .find(|l| l.starts_with("prometheus_remote_storage_samples_total{"))
            .map(|l| l.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
    };
    assert_eq!(metric(&sender), None);
    reload(&sender, &format!("remote_write:\n{entry}"));
    let t = now_ms();
    assert!(sender.push(&sender.api(), &body("m", t)));
    wait_for_samples("after the first reload", &receiver, "m", &expected(&[t]));
    let sent = metric(&sender).unwrap();
    reload(&sender, &format!("# the same\nremote_write:\n{entry}"));
    assert_eq!(metric(&sender), Some(sent));
    reload(&sender, "");
    assert_eq!(metric(&sender), None);
    let positions = sender.dir.path().join("data/remote_write");
    assert_eq!(
        std::fs::read_dir(positions)
            .map(Iterator::count)
            .unwrap_or(0),
        0
    );
    sender.kill();
}

/// Nothing in the directory keeps Prometheus from going on with it.
#[test]
fn prometheus_goes_on_with_our_directory() {
    if peers::find("prometheus").is_none() {
        return;
    }
    let mut node = Node::start(
        Kind::Ours,
        "remote_write: [{url: 'http://127.0.0.1:1/w'}]\n",
    )
    .unwrap();
    let t = now_ms();
    assert!(node.push(&node.api(), &body("m", t)));
    node.kill();
    remove_lock(node.dir.path());
    node.kind = Kind::Prometheus;
    node.start_again().unwrap();
    assert_eq!(node.samples("m"), expected(&[t]));
}

fn remove_lock(dir: &Path) {
    // A killed process leaves it behind; Prometheus takes it over as we do.
    let _ = std::fs::remove_file(dir.join("data/lock"));
}
