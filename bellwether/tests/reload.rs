//! The three ways to a new configuration of a running server: by request, by SIGHUP, by a change of its files. A bad
//! one changes nothing and is told in the answer, in the log and by a metric.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::Command;

use support::{Api, BINARY, Program, free_ports, wait_for};

struct TestServer {
    program: Program,
    api: Api,
    dir: tempfile::TempDir,
}

/// How somebody asks for a reload.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Request,
    Signal,
    Change,
}

const GOOD: &str = "global: {scrape_interval: 7s, external_labels: {v: '1'}}\nrule_files: [rules*.yml]\nscrape_config_files: [more.yml]\n";
const RULES: &str = "groups: [{name: g, rules: [{record: r, expr: vector(1)}]}]\n";

fn more(target: &str) -> String {
    format!("scrape_configs:\n- job_name: more\n  static_configs: [{{targets: ['{target}']}}]\n")
}

impl TestServer {
    fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let server = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        server("p.yml", GOOD);
        server("rules.yml", RULES);
        server("more.yml", &more("127.0.0.1:1"));
        let program = Program::start(
            Command::new(BINARY)
                .arg("server")
                .arg(format!(
                    "--config.file={}",
                    dir.path().join("p.yml").display()
                ))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    dir.path().join("data").display()
                ))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .args(flags),
        );
        let api = Api::new(port);
        wait_for("the server is ready", || {
            let (status, _) = api.get("/-/ready")?;
            (status == 200).then_some(())
        });
        Self { program, api, dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    /// Asks for a reload; the answer, where there is one.
    fn ask(&self, way: Way) -> Option<(u16, String)> {
        match way {
            Way::Request => {
                let url = format!("{}/-/reload", self.api.base);
                let answer = self.api.http.post(url).send().unwrap();
                Some((answer.status().as_u16(), answer.text().unwrap()))
            }
            Way::Signal => {
                self.program.signal("HUP");
                None
            }
            Way::Change => None,
        }
    }

    fn metric(&self, name: &str) -> f64 {
        let (_, page) = self.api.get("/metrics").unwrap();
        let line = page.lines().find(|l| l.starts_with(&format!("{name} ")));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn wait_metric(&self, value: f64) {
        let name = "prometheus_config_last_reload_successful";
        wait_for(name, || (self.metric(name) == value).then_some(()));
    }

    /// The configuration in force.
    fn yaml(&self) -> String {
        let json = self.api.get_json("/api/v1/status/config");
        json["data"]["yaml"].as_str().unwrap().to_owned()
    }

    fn targets(&self) -> String {
        let json = self.api.get_json("/api/v1/targets?state=active");
        json["data"]["activeTargets"].to_string()
    }

    fn last_loaded(&self) -> f64 {
        self.metric("prometheus_config_last_reload_success_timestamp_seconds")
    }
}

/// Files that are no configuration, and the words that tell why.
fn mistakes() -> Vec<(&'static str, String, &'static str)> {
    vec![
        (
            "p.yml",
            GOOD.replace("scrape_interval", "scrape_intervall"),
            "p.yml:1:10: global.scrape_intervall: unknown field `scrape_intervall`",
        ),
        ("p.yml", "global: [\n".to_owned(), "p.yml:1:"),
        (
            "p.yml",
            format!("{GOOD}scrape_configs: [{{job_name: more}}]\n"),
            "found multiple scrape configs with job name \"more\"",
        ),
        (
            "rules.yml",
            RULES.replace("vector(1)", "vector(1"),
            "could not parse expression",
        ),
        (
            "more.yml",
            more("http://127.0.0.1:1"),
            "\"http://127.0.0.1:1\" is not a valid hostname",
        ),
    ]
}

fn check(way: Way, flags: &[&str]) {
    let server = TestServer::start(flags);
    let (before, targets) = (server.yaml(), server.targets());
    assert!(targets.contains("http://127.0.0.1:1/metrics"), "{targets}");
    for (file, text, words) in mistakes() {
        let good = std::fs::read_to_string(server.path().join(file)).unwrap();
        let (loaded, logged) = (server.last_loaded(), server.program.output().len());
        server.write(file, &text);
        let answer = server.ask(way);
        server.wait_metric(0.0);
        if let Some((status, body)) = answer {
            assert_eq!(status, 500, "{body}");
            assert!(body.starts_with("failed to reload config: "), "{body}");
            assert!(body.contains(words), "{body}");
        }
        let log = wait_for("the log tells why", || {
            let log = server.program.output()[logged..].to_owned();
            // Logs quote what is inside of quotes.
            log.replace('\\', "").contains(words).then_some(log)
        });
        assert!(log.contains(" ERROR "), "{log}");
        assert_eq!(server.yaml(), before, "{words}");
        assert_eq!(server.last_loaded(), loaded);
        assert!(server.targets().contains("http://127.0.0.1:1/metrics"));
        server.write(file, &good);
        server.ask(way);
        server.wait_metric(1.0);
    }
    // A good change of any of the files is in force.
    server.write("p.yml", &GOOD.replace("7s", "9s"));
    server.ask(way);
    wait_for("another interval", || {
        server.yaml().contains("scrape_interval: 9s").then_some(())
    });
    server.write("more.yml", &more("127.0.0.1:2"));
    server.ask(way);
    wait_for("another target", || {
        server
            .targets()
            .contains("http://127.0.0.1:2/metrics")
            .then_some(())
    });
    server.write("rules2.yml", &RULES.replace("name: g", "name: other"));
    server.ask(way);
    wait_for("another group", || {
        let rules = server.api.get_json("/api/v1/rules").to_string();
        rules.contains("\"other\"").then_some(())
    });
}

#[test]
fn by_request() {
    check(Way::Request, &["--web.enable-lifecycle"]);
}

#[test]
fn by_signal() {
    check(Way::Signal, &[]);
}

#[test]
fn by_a_change_of_a_file() {
    check(
        Way::Change,
        &[
            "--enable-feature=auto-reload-config",
            "--config.auto-reload-interval=1s",
        ],
    );
}

#[test]
fn without_the_lifecycle_a_request_changes_nothing() {
    let server = TestServer::start(&[]);
    server.write("p.yml", &GOOD.replace("7s", "9s"));
    let (status, body) = server.ask(Way::Request).unwrap();
    assert_eq!(
        (status, body.trim()),
        (403, "Lifecycle API is not enabled.")
    );
    assert!(server.yaml().contains("scrape_interval: 7s"));
}
