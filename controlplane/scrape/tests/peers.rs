//! Against real programs: scraping a real exporter, and doing with odd pages what Prometheus 3.5 does.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bellwether_model::float;
use bellwether_scrape::{ScrapeConfig, ScrapeDefaults, ScrapeManager, ScrapeOptions};
use bellwether_telemetry::Registry;
use common::{Answer, MemoryStorage, TestTarget, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A reference program, from `BELLWETHER_REFERENCE_BIN` or the `PATH`.
fn reference(name: &str) -> Option<PathBuf> {
    let mut dirs: Vec<PathBuf> = std::env::var_os("BELLWETHER_REFERENCE_BIN")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    if let Some(path) = std::env::var_os("PATH") {
        dirs.extend(std::env::split_paths(&path));
    }
    let found = dirs.into_iter().map(|d| d.join(name)).find(|p| p.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: no {name} in BELLWETHER_REFERENCE_BIN or PATH");
    }
    found
}

/// Ends the program with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Program {
    Program(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A GET over a connection of its own; `None` when nobody answers yet.
async fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_exporter() {
    let Some(exporter) = reference("prometheus-node-exporter") else {
        return;
    };
    let port = free_port();
    let _program =
        run(Command::new(exporter).arg(format!("--web.listen-address=127.0.0.1:{port}")));
    let storage = Arc::new(MemoryStorage::default());
    let manager = ScrapeManager::new(storage.clone(), &Registry::new(), ScrapeOptions::default());
    let config: ScrapeConfig = serde_saphyr::from_str(&format!(
        "{{job_name: node, scrape_interval: 500ms, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}"
    ))
    .unwrap();
    manager
        .apply(&[config], &ScrapeDefaults::default())
        .await
        .unwrap();
    until("up", || storage.last(&["__name__=\"up\""]) == Some(1.0)).await;
    let samples = storage.last(&["scrape_samples_scraped"]).unwrap();
    assert!(samples > 100.0, "{samples} samples");
    assert_eq!(
        Some(samples),
        storage.last(&["scrape_samples_post_metric_relabeling"])
    );
    let cpu = storage.series();
    assert!(cpu.iter().any(|s| s.contains("node_cpu_seconds_total")));
    let metadata = manager.metadata();
    let load = metadata[0]
        .metrics
        .iter()
        .find(|m| m.metric == "node_load1")
        .unwrap();
    assert_eq!(load.kind.as_str(), "gauge");
    manager.shutdown().await;
}

const TEXT: &str = "text/plain; version=0.0.4";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// Pages on which two implementations might disagree.
const PAGES: &[(&str, &[u8])] = &[
    (TEXT, b"a 1\nb 2\n"),
    (TEXT, b"a 1\nb 2"),
    (TEXT, b"a 1\r\nb 2\r\n"),
    (TEXT, b"a\t1\t\na{ }\t2\n\n\n"),
    (TEXT, b"a{x=\"1\"y=\"2\"} 1\n"),
    (TEXT, b"a{x=\"1\" y=\"2\",} 1\n"),
    (TEXT, b"a{x=\"1\",,y=\"2\"} 1\n"),
    (TEXT, b"a{,} 1\n"),
    (TEXT, b"a {x = \"1\" , y= \"2\"}1\n"),
    (TEXT, b"a{x=\"1\",x=\"2\"} 1\nb 1\n"),
    (TEXT, b"a{x=\"1\",x=\"1\"} 1\n"),
    (TEXT, b"a{x=\"\"} 1\n"),
    (TEXT, b"a{=\"1\"} 1\n"),
    (TEXT, b"a{x='1'} 1\n"),
    (TEXT, b"a{x=\"1} 1\nb 1\n"),
    (TEXT, b"a{x=\"line\nbreak\"} 1\n"),
    (TEXT, b"a{x=\"\\n\\\\\\\"\\t\"} 1\n"),
    (TEXT, b"a{x=\"\xff\"} 1\n"),
    (TEXT, b"a 1\nb{x=\"\xff\"} 1\n"),
    (TEXT, b"a{job=\"j\",instance=\"i\",exported_job=\"e\"} 1\n"),
    (TEXT, b"a{__name__=\"b\"} 1\n"),
    (TEXT, b"{__name__=\"b\"} 1\n"),
    (TEXT, b"{\"a.b\"} 1\n{\"a.c\",\"l.m\"=\"1\"} 2\n"),
    (TEXT, b"{x=\"1\",\"a.c\"} 2\n"),
    (TEXT, b"{\"a\",\"b\"} 2\n"),
    (TEXT, b"{\"\"} 2\n"),
    (TEXT, b"a{\"b\"} 2\n"),
    (TEXT, b"1a 2\n"),
    (TEXT, b":a 2\n"),
    (TEXT, b"a-b 2\n"),
    (TEXT, b"a 1 2 3\n"),
    (TEXT, b"a 1 x\n"),
    (TEXT, b"a\n"),
    (TEXT, b"a{x=\"1\"}\n"),
    (TEXT, b"a +Inf\nb -Inf\nc inf\nd Infinity\ne NaN\nf nan\n"),
    (TEXT, b"a +NaN\n"),
    (TEXT, b"a 1e3\nb .5\nc 5.\nd -0\ne 1E-7\nf 00012\n"),
    (TEXT, b"a 1e400\n"),
    (TEXT, b"a 0x1\n"),
    (TEXT, b"a 0x1p-2\n"),
    (TEXT, b"a 1_000\n"),
    (TEXT, b"a 0b1\n"),
    (TEXT, b"a true\n"),
    (TEXT, b"# HELP\n# HELP a\n# HELP a \n# HELP a  b\na 1\n"),
    (TEXT, b"# HELP 1a x\na 1\n"),
    (TEXT, b"# TYPE a counter\na 1\n"),
    (TEXT, b"# TYPE a counter \na 1\n"),
    (TEXT, b"# TYPE a  counter\na 1\n"),
    (TEXT, b"# TYPE a\na 1\n"),
    (TEXT, b"# TYPE a unknown\na 1\n"),
    (TEXT, b"# TYPE a Counter\na 1\n"),
    (TEXT, b"# TYPE \"a.b\" gauge\n{\"a.b\"} 1\n"),
    (TEXT, b"#TYPE a fish\n#a\n# b\n# TYPEa fish\na 1\n"),
    (TEXT, b"# UNIT a b\na 1\n"),
    (TEXT, b"\n \n\t\n"),
    (TEXT, b""),
    (TEXT, b"# EOF\n"),
    (TEXT, b"a 1 # {x=\"1\"} 1\n"),
    (TEXT, b"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1e3\"} 1\nh_bucket{le=\"+inf\"} 1\nh_bucket{le=\"x\"} 1\nh_bucket{le=\"0.00001\"} 1\nh_bucket{le=\"1e21\"} 1\nother{le=\"2\"} 1\n"),
    (TEXT, b"# TYPE s summary\ns{quantile=\"0\"} 1\ns{quantile=\"1\"} 1\ns{quantile=\".50\"} 1\ns{le=\"1\"} 1\n"),
    (TEXT, b"h_bucket{le=\"1\"} 1\n# TYPE g gauge\ng{le=\"1\"} 1\n"),
    (TEXT, b"a 1\na 1\na 2\nb 1\n"),
    (TEXT, b"a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 5\n"),
    (TEXT, b"a\x00 1\n"),
    (TEXT, b"  a 1\n"),
    (TEXT, b" # TYPE h histogram\nh{le=\"1\"} 1\n"),
    (TEXT, b"a 1 -5\n"),
    (TEXT, b"a{x=\"a\x00b\"} 1\n"),
    (TEXT, b"# HELP a \xff\na 1\n"),
    (TEXT, b"a 1\n b\n"),
    (TEXT, b"__name__ 1\na{__x=\"1\",__meta_y=\"2\"} 1\n"),
    (TEXT, b"a{\"\"=\"1\"} 1\n"),
    (TEXT, b"up 5\nscrape_samples_scraped 7\n"),
    (TEXT, b"{\"a\\\"b\"} 1\n{\"a\nb\"} 1\n"),
    (OPENMETRICS, b"{\"a\nb\"} 1\n# EOF\n"),
    (OPENMETRICS, b"a{x=\"a\nb\"} 1\n# EOF\n"),
    (OPENMETRICS, b"# HELP \"a b\" x\n# TYPE \"a b\" counter\n{\"a b_total\"} 1\n# EOF\n"),
    (OPENMETRICS, b"a{\"x y\"=\"1\"} 1 1e3\n# EOF\n"),
    (OPENMETRICS, b"a 1 # {x=\"1\"y=\"2\"} 1\n# EOF\n"),
    (OPENMETRICS, b"a 1 # {x=\"1\",,} 1\n# EOF\n"),
    (OPENMETRICS, b"a 1 # {x=\"1\",} 1\n# EOF\n"),
    (OPENMETRICS, b"a 1 1 1 # {} 1\n# EOF\n"),
    (OPENMETRICS, b"# TYPE a counter\n# EOFx\n"),
    (OPENMETRICS, b"# EOF\na 1\n"),
    (TEXT, b"a 1\n\x00\nb 1\n"),
    (OPENMETRICS, b"a 1\n# EOF\n"),
    (OPENMETRICS, b"a 1\n# EOF"),
    (OPENMETRICS, b"a 1\n"),
    (OPENMETRICS, b"a 1\n# EOF\n\n"),
    (OPENMETRICS, b""),
    (OPENMETRICS, b"a  1\n# EOF\n"),
    (OPENMETRICS, b"a 1 \n# EOF\n"),
    (OPENMETRICS, b"a{x=\"1\", y=\"2\"} 1\n# EOF\n"),
    (OPENMETRICS, b"a{x=\"1\"}1\n# EOF\n"),
    (OPENMETRICS, b"a{x=\"1\",} 1\n# EOF\n"),
    (OPENMETRICS, b"{\"a.b\",x=\"1\"} 1\n# EOF\n"),
    (OPENMETRICS, b"a 1 # {x=\"1\"} 1 2\nb 2 # {} 1\n# EOF\n"),
    (OPENMETRICS, b"a 1 # {\"x\"} 1\n# EOF\n"),
    (OPENMETRICS, b"a 1 # {x=\"1\"\n# EOF\n"),
    (OPENMETRICS, b"# TYPE a unknown\n# TYPE b untyped\n# EOF\n"),
    (OPENMETRICS, b"# TYPE a_s counter\n# UNIT a_s s\na_s_total 1\na_s_created 5.5\n# EOF\n"),
    (OPENMETRICS, b"# TYPE h gaugehistogram\nh_bucket{le=\"1\"} 1\n# EOF\n"),
    (OPENMETRICS, b"# TYPE h histogram\nh_bucket{le=\"1\"} 1\n# EOF\n"),
    (OPENMETRICS, b"# comment\na 1\n# EOF\n"),
    (OPENMETRICS, b"a -nan\n# EOF\n"),
];

/// Deliberate differences, by page, each with its reason.
const DIFFERENT: &[(&[u8], &str)] = &[(
    b"  a 1\n",
    "Prometheus makes leading blanks part of the metric name",
)];

/// `up`, samples scraped, and the series of a page without its instance; or why there is none.
#[derive(Debug, PartialEq)]
struct Outcome {
    up: String,
    scraped: String,
    post_relabel: String,
    series: BTreeMap<String, String>,
}

impl Outcome {
    fn of(series: impl Iterator<Item = (BTreeMap<String, String>, String)>) -> Self {
        let mut outcome = Self {
            up: String::new(),
            scraped: String::new(),
            post_relabel: String::new(),
            series: BTreeMap::new(),
        };
        for (mut labels, value) in series {
            labels.remove("instance");
            match labels["__name__"].as_str() {
                "up" => outcome.up = value,
                "scrape_samples_scraped" => outcome.scraped = value,
                "scrape_samples_post_metric_relabeling" => outcome.post_relabel = value,
                "scrape_duration_seconds" | "scrape_series_added" => {}
                _ => {
                    outcome.series.insert(format!("{labels:?}"), value);
                }
            }
        }
        outcome
    }
}

fn job(index: usize) -> String {
    format!("page-{index:03}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_pages_have_the_outcome_of_prometheus() {
    let Some(prometheus) = reference("prometheus") else {
        return;
    };
    let mut yaml = "global: {scrape_interval: 1s}\nscrape_configs:\n".to_owned();
    let mut targets = Vec::new();
    for (index, (content_type, page)) in PAGES.iter().enumerate() {
        let mut answer = Answer::text("");
        answer.headers = vec![("Content-Type", (*content_type).to_owned())];
        answer.body = page.to_vec();
        let target = TestTarget::start(answer).await;
        yaml.push_str(&format!(
            "  - {{job_name: {}, honor_timestamps: false, static_configs: [{{targets: ['{}']}}]}}\n",
            job(index),
            target.address
        ));
        targets.push(target);
    }
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    std::fs::write(&config, &yaml).unwrap();
    let port = free_port();
    let _program = run(Command::new(prometheus)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.path().join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}")));

    let storage = Arc::new(MemoryStorage::default());
    let manager = ScrapeManager::new(storage.clone(), &Registry::new(), ScrapeOptions::default());
    #[derive(serde::Deserialize)]
    struct File {
        scrape_configs: Vec<ScrapeConfig>,
    }
    let file: File = serde_saphyr::from_str(&yaml).unwrap();
    let defaults = ScrapeDefaults {
        scrape_interval: Duration::from_secs(1),
        ..ScrapeDefaults::default()
    };
    manager
        .apply(&file.scrape_configs, &defaults)
        .await
        .unwrap();
    until("all scraped by us", || {
        manager
            .targets()
            .active
            .iter()
            .all(|t| t.last_scrape_ms.is_some())
    })
    .await;
    let ours = storage.newest();
    manager.shutdown().await;

    let theirs = theirs(port).await;
    let mut differences = Vec::new();
    for (index, (_, page)) in PAGES.iter().enumerate() {
        let of = |all: &[(BTreeMap<String, String>, String)]| {
            Outcome::of(all.iter().filter(|(l, _)| l["job"] == job(index)).cloned())
        };
        let (us, them) = (of(&ours), of(&theirs));
        let text = String::from_utf8_lossy(page);
        assert!(
            !them.up.is_empty(),
            "{text:?} was not scraped by the reference"
        );
        let known = DIFFERENT.iter().any(|(p, _)| p == page);
        if (us != them) != known {
            differences.push(format!("{text:?}\n  us   {us:?}\n  them {them:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Every series that the reference holds once it has scraped all pages.
async fn theirs(port: u16) -> Vec<(BTreeMap<String, String>, String)> {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        assert!(
            std::time::Instant::now() < deadline,
            "the reference does not scrape"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Some(ups) = query(port, "up").await else {
            continue;
        };
        if ups.len() == PAGES.len() {
            return query(port, "%7Bjob%3D~%22page-.*%22%7D").await.unwrap();
        }
    }
}

async fn query(port: u16, query: &str) -> Option<Vec<(BTreeMap<String, String>, String)>> {
    let body = get(port, &format!("/api/v1/query?query={query}")).await?;
    let answer: serde_json::Value = serde_json::from_str(&body).ok()?;
    Some(
        answer["data"]["result"]
            .as_array()?
            .iter()
            .map(|series| {
                let labels = serde_json::from_value(series["metric"].clone()).unwrap();
                (labels, series["value"][1].as_str().unwrap().to_owned())
            })
            .collect(),
    )
}

impl MemoryStorage {
    /// The newest value of each series that is not stale.
    fn newest(&self) -> Vec<(BTreeMap<String, String>, String)> {
        self.all()
            .into_iter()
            .filter(|(_, v)| !bellwether_model::is_stale_nan(*v))
            .map(|(labels, v)| {
                let labels = labels
                    .iter()
                    .map(|l| (l.name.to_owned(), l.value.to_owned()))
                    .collect();
                (labels, float::json(v))
            })
            .collect()
    }
}
