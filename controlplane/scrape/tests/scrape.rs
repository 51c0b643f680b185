//! The scraper against real sockets.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bellwether_model::storage::{Appendable, Appender};
use bellwether_scrape::config::{ByteSize, PromDuration, SdConfigs, StaticConfig};
use bellwether_scrape::relabel::{Action, RelabelConfig};
use bellwether_scrape::{Health, ScrapeConfig, ScrapeDefaults, ScrapeManager, ScrapeOptions};
use bellwether_telemetry::Registry;
use common::{Answer, MemoryStorage, TestTarget, until};

struct Stack {
    target: TestTarget,
    storage: Arc<MemoryStorage>,
    manager: ScrapeManager,
    registry: Registry,
    config: ScrapeConfig,
}

impl Stack {
    /// A target with this page and a job `t` that scrapes it every 100 ms.
    async fn start(page: &str, edit: impl FnOnce(&mut ScrapeConfig)) -> Self {
        let target = TestTarget::start(Answer::text(page)).await;
        let mut config = ScrapeConfig {
            job_name: "t".into(),
            scrape_interval: Some(PromDuration(Duration::from_millis(100))),
            sd: SdConfigs {
                static_configs: vec![StaticConfig {
                    targets: vec![target.address.to_string()],
                    ..StaticConfig::default()
                }],
                ..SdConfigs::default()
            },
            ..ScrapeConfig::default()
        };
        edit(&mut config);
        let storage = Arc::new(MemoryStorage::default());
        let registry = Registry::new();
        let manager = ScrapeManager::new(storage.clone(), &registry, ScrapeOptions::default());
        let stack = Self {
            target,
            storage,
            manager,
            registry,
            config,
        };
        stack.apply().await;
        stack
    }

    async fn apply(&self) {
        self.manager
            .apply(
                std::slice::from_ref(&self.config),
                &ScrapeDefaults::default(),
            )
            .await
            .unwrap();
    }

    fn up(&self) -> Option<f64> {
        self.storage.last(&["__name__=\"up\""])
    }

    async fn until_up(&self, value: f64) {
        until(&format!("up == {value}"), || self.up() == Some(value)).await;
    }

    /// Waits for `n` more transactions.
    async fn scrapes(&self, n: usize) {
        let from = self.storage.commits();
        until("more scrapes", || self.storage.commits() >= from + n).await;
    }

    fn last_error(&self) -> String {
        self.manager.targets().active[0].last_error.clone()
    }

    async fn until_error(&self, part: &str) {
        until(part, || self.last_error().contains(part)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_get_target_labels_and_a_report() {
    let stack = Stack::start(
        "# HELP a Help.\n# TYPE a counter\na{job=\"x\",instance=\"\"} 1\nb 2 1000\n# TYPE h histogram\nh_bucket{le=\"1\"} 3\n",
        |_| {},
    )
    .await;
    stack.until_up(1.0).await;
    let instance = stack.target.address.to_string();
    assert_eq!(
        stack.storage.series(),
        [
            format!(r#"{{__name__="a", exported_job="x", instance="{instance}", job="t"}}"#),
            format!(r#"{{__name__="b", instance="{instance}", job="t"}}"#),
            format!(r#"{{__name__="h_bucket", instance="{instance}", job="t", le="1.0"}}"#),
            format!(r#"{{__name__="scrape_duration_seconds", instance="{instance}", job="t"}}"#),
            format!(
                r#"{{__name__="scrape_samples_post_metric_relabeling", instance="{instance}", job="t"}}"#
            ),
            format!(r#"{{__name__="scrape_samples_scraped", instance="{instance}", job="t"}}"#),
            format!(r#"{{__name__="scrape_series_added", instance="{instance}", job="t"}}"#),
            format!(r#"{{__name__="up", instance="{instance}", job="t"}}"#),
        ]
    );
    assert_eq!(stack.storage.samples(&["\"b\""]), [(1000, 2.0)]);
    stack.scrapes(2).await;
    // Known series are not added again; the sample with its own old time is taken once.
    assert_eq!(stack.storage.last(&["scrape_series_added"]), Some(0.0));
    assert_eq!(stack.storage.last(&["scrape_samples_scraped"]), Some(3.0));
    assert_eq!(stack.storage.samples(&["\"b\""]).len(), 1);
    let targets = stack.manager.targets();
    let shown = &targets.active[0];
    assert_eq!(shown.health, Health::Up);
    assert_eq!(shown.scrape_url, format!("http://{instance}/metrics"));
    assert!(shown.last_scrape_ms.is_some() && shown.last_scrape_duration > Duration::ZERO);
    let metadata = stack.manager.metadata();
    let a = &metadata[0].metrics[0];
    assert_eq!(
        (a.metric.as_str(), a.kind.as_str(), a.help.as_str()),
        ("a", "counter", "Help.")
    );
    // One connection serves all scrapes.
    assert_eq!(stack.target.connections(), 1);
    let request = &stack.target.requests()[0].to_lowercase();
    for part in [
        "get /metrics http/1.1",
        "accept: application/openmetrics-text;version=1.0.0",
        "accept-encoding: gzip",
        "x-prometheus-scrape-timeout-seconds: 0.1",
        "user-agent: bellwether/",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
    stack.manager.shutdown().await;
    // No stale markers at a shutdown.
    assert_eq!(stack.up(), Some(1.0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vanished_series_and_failed_scrapes_become_stale() {
    let stack = Stack::start("a 1\nb 1\n", |_| {}).await;
    stack.until_up(1.0).await;
    stack.target.set(Answer::text("a 2\n"));
    until("b is stale", || stack.storage.is_stale(&["\"b\""])).await;
    assert_eq!(stack.storage.last(&["\"a\""]), Some(2.0));
    // A page that breaks on its second line: nothing is stored, what was there becomes stale, and the
    // samples before the error are counted.
    stack.target.set(Answer::text("a 3\nb !\n"));
    stack.until_up(0.0).await;
    assert!(stack.storage.is_stale(&["\"a\""]));
    assert_eq!(stack.storage.last(&["scrape_samples_scraped"]), Some(1.0));
    assert!(
        stack.last_error().contains("line 2"),
        "{}",
        stack.last_error()
    );
    let stale = stack.storage.samples(&["\"a\""]).len();
    stack.scrapes(2).await;
    assert_eq!(
        stack.storage.samples(&["\"a\""]).len(),
        stale,
        "one marker is enough"
    );
    stack.target.set(Answer::text("a 4\n"));
    stack.until_up(1.0).await;
    assert_eq!(stack.storage.last(&["\"a\""]), Some(4.0));
    // An empty page is a success without samples.
    stack.target.set(Answer::text(""));
    until("a is stale again", || stack.storage.is_stale(&["\"a\""])).await;
    assert_eq!(stack.up(), Some(1.0));
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removed_targets_end_in_stale_markers() {
    let mut stack = Stack::start("a 1\n", |_| {}).await;
    stack.until_up(1.0).await;
    stack.config.sd.static_configs.clear();
    stack.apply().await;
    assert!(stack.manager.targets().active.is_empty());
    until("a is stale", || stack.storage.is_stale(&["\"a\""])).await;
    until("up is stale", || stack.storage.is_stale(&["\"up\""])).await;
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_the_loop_and_applies_new_rules() {
    let mut stack = Stack::start("a 1\nb 1\n", |_| {}).await;
    stack.until_up(1.0).await;
    stack.config.metric_relabel_configs = vec![RelabelConfig {
        source_labels: Some(vec!["__name__".into()]),
        regex: Some("b".into()),
        action: Action::Drop,
        ..RelabelConfig::default()
    }];
    stack.apply().await;
    until("b is stale", || stack.storage.is_stale(&["\"b\""])).await;
    assert_eq!(stack.storage.last(&["\"a\""]), Some(1.0));
    assert!(
        !stack
            .storage
            .samples(&["\"a\""])
            .iter()
            .any(|(_, v)| v.is_nan())
    );
    assert_eq!(
        stack
            .storage
            .last(&["scrape_samples_post_metric_relabeling"]),
        Some(1.0)
    );
    assert_eq!(stack.target.connections(), 1);
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_named() {
    let stack = Stack::start("a 1\n", |_| {}).await;
    stack.until_up(1.0).await;
    let mut answer = Answer::text("a 1\n");
    answer.status = "503 Service Unavailable";
    stack.target.set(answer);
    stack
        .until_error("server returned HTTP status 503 Service Unavailable")
        .await;
    let mut answer = Answer::text("a 1\n");
    answer.headers.clear();
    stack.target.set(answer);
    stack
        .until_error("non-compliant scrape target sending blank Content-Type")
        .await;
    let mut answer = Answer::text("a 1\n");
    answer.headers = vec![("Content-Type", "text/html".into())];
    stack.target.set(answer);
    stack
        .until_error("received unsupported Content-Type \"text/html\"")
        .await;
    let mut answer = Answer::text("a 1\n");
    answer.delay = Duration::from_millis(400);
    stack.target.set(answer);
    stack.until_error("context deadline exceeded").await;
    assert_eq!(stack.up(), Some(0.0));
    assert_eq!(stack.manager.targets().active[0].health, Health::Down);
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_listens() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let stack = Stack::start("", |c| {
        c.sd.static_configs[0].targets = vec![address.to_string()];
    })
    .await;
    stack.until_up(0.0).await;
    assert!(
        stack.last_error().contains("Connection refused"),
        "{}",
        stack.last_error()
    );
    stack.manager.shutdown().await;
}

/// A scheme from relabelling that cannot be fetched makes a failing target, not a missing one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_scheme_is_an_error_of_the_target() {
    let stack = Stack::start("", |c| {
        c.relabel_configs = vec![RelabelConfig {
            target_label: "__scheme__".into(),
            replacement: Some("ftp".into()),
            ..RelabelConfig::default()
        }];
    })
    .await;
    stack
        .until_error("unsupported protocol scheme \"ftp\"")
        .await;
    assert_eq!(stack.up(), Some(0.0));
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_fail_the_whole_scrape() {
    for (edit, error, scraped) in [
        (
            (|c: &mut ScrapeConfig| c.sample_limit = Some(1)) as fn(&mut ScrapeConfig),
            "sample limit exceeded",
            2.0,
        ),
        (
            |c| c.label_limit = Some(3),
            "label_limit exceeded (metric: b_metric, number of labels: 4, limit: 3)",
            2.0,
        ),
        (
            |c| c.label_name_length_limit = Some(8),
            "label_name_length_limit exceeded (metric: b_metric, label name: long_label, length: 10, limit: 8)",
            2.0,
        ),
        (
            |c| c.label_value_length_limit = Some(20),
            "label_value_length_limit exceeded (metric: b_metric, label name: long_label, value: \"abcdefghijklmnopqrstuvwxyz\", length: 26, limit: 20)",
            2.0,
        ),
        (
            |c| c.body_size_limit = Some(ByteSize(10)),
            "body size limit exceeded",
            0.0,
        ),
        (
            // A page as long as the limit is too long, as in Prometheus.
            |c| c.body_size_limit = Some(ByteSize(56)),
            "body size limit exceeded",
            0.0,
        ),
    ] {
        let stack = Stack::start(
            "a 1\nb_metric{long_label=\"abcdefghijklmnopqrstuvwxyz\"} 2\n",
            |c| {
                edit(c);
                c.extra_scrape_metrics = Some(true);
            },
        )
        .await;
        stack.until_error(error).await;
        assert_eq!(stack.up(), Some(0.0), "{error}");
        assert!(stack.storage.samples(&["\"a\""]).is_empty(), "{error}");
        assert_eq!(
            stack.storage.last(&["scrape_samples_scraped"]),
            Some(scraped),
            "{error}"
        );
        let size = if error.starts_with("body") {
            -1.0
        } else {
            56.0
        };
        let shown = stack.storage.last(&["scrape_body_size_bytes"]).unwrap();
        assert_eq!(shown, size, "{error}");
        stack.manager.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_targets_fail_all_of_them() {
    let stack = Stack::start("a 1\n", |c| {
        c.target_limit = Some(1);
        c.sd.static_configs[0].targets.push("localhost:1".into());
    })
    .await;
    until("both fail", || {
        let targets = stack.manager.targets();
        targets.active.len() == 2
            && targets
                .active
                .iter()
                .all(|t| t.last_error == "target_limit exceeded (number of targets: 2, limit: 1)")
    })
    .await;
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_redirects_and_credentials() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(b"a 1\n").unwrap();
    let body = gzip.finish().unwrap();
    let mut answer = Answer::text("");
    answer.headers.push(("Content-Encoding", "gzip".into()));
    answer.body = body;
    let stack = Stack::start("", |c| {
        // Finding the address of a name may take longer than a tenth of a second.
        c.scrape_interval = Some(PromDuration(Duration::from_secs(1)));
        c.http.basic_auth = Some(bellwether_scrape::config::BasicAuth {
            username: "me".into(),
            password: Some(bellwether_scrape::config::Secret("pw".into())),
            ..Default::default()
        });
    })
    .await;
    stack.target.set(answer);
    until("a arrives", || stack.storage.last(&["\"a\""]) == Some(1.0)).await;
    assert!(
        stack.target.requests()[0].contains("Basic bWU6cHc="),
        "{}",
        stack.target.requests()[0]
    );
    // A redirect to another host must not carry the credentials.
    let other = TestTarget::start(Answer::text("b 1\n")).await;
    let mut redirect = Answer::text("");
    redirect.status = "302 Found";
    let elsewhere = format!("http://localhost:{}/elsewhere", other.address.port());
    redirect.headers = vec![("Location", elsewhere)];
    stack.target.set(redirect);
    until("b arrives", || stack.storage.last(&["\"b\""]) == Some(1.0)).await;
    let request = &other.requests()[0];
    assert!(request.starts_with("GET /elsewhere "), "{request}");
    assert!(
        !request.to_lowercase().contains("authorization"),
        "{request}"
    );
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exemplars_and_openmetrics() {
    let mut answer = Answer::text(
        "# TYPE a counter\n# UNIT a \na_total 1 # {trace_id=\"x\"} 0.5\na_created 123.4\n# EOF\n",
    );
    answer.headers = vec![(
        "Content-Type",
        "application/openmetrics-text; version=1.0.0; charset=utf-8".into(),
    )];
    let stack = Stack::start("", |_| {}).await;
    stack.target.set(answer);
    until("a_total arrives", || {
        stack.storage.last(&["a_total"]) == Some(1.0)
    })
    .await;
    until("the exemplar arrives", || {
        !stack.storage.exemplars().is_empty()
    })
    .await;
    let (labels, exemplar) = stack.storage.exemplars().remove(0);
    assert_eq!(labels.metric_name(), Some("a_total"));
    assert_eq!(exemplar.labels.value("trace_id"), "x");
    assert!(exemplar.timestamp_ms.is_some());
    assert_eq!(stack.storage.last(&["a_created"]), Some(123.4));
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_that_storage_forgot_is_resolved_again() {
    let stack = Stack::start("a 1\n", |_| {}).await;
    stack.until_up(1.0).await;
    stack.storage.forget_references();
    stack.target.set(Answer::text("a 2\n"));
    until("a goes on", || stack.storage.last(&["\"a\""]) == Some(2.0)).await;
    assert_eq!(stack.up(), Some(1.0));
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reference_that_storage_forgot_is_resolved_again_with_its_relabelling() {
    let page = |value: f64| {
        // A delimited family `g` of type gauge with one metric: `gauge { value }`.
        let mut body = vec![18, 0x0a, 1, b'g', 0x18, 1, 0x22, 11, 0x12, 9, 0x09];
        body.extend(value.to_le_bytes());
        let kind = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        Answer {
            headers: vec![("Content-Type", kind.into())],
            body,
            ..Answer::text("")
        }
    };
    let stack = Stack::start("a 1\n", |c| {
        c.metric_relabel_configs = vec![RelabelConfig {
            source_labels: Some(vec!["__name__".into()]),
            regex: Some("g".into()),
            target_label: "__name__".into(),
            replacement: Some("g_x".into()),
            ..RelabelConfig::default()
        }];
    })
    .await;
    stack.until_up(1.0).await;
    for value in [1.0, 2.0, 3.0] {
        stack.target.set(page(value));
        let stored = || stack.storage.last(&["\"g_x\""]) == Some(value);
        until("g goes on", stored).await;
        stack.storage.forget_references();
    }
    assert_eq!(stack.up(), Some(1.0));
    let names = stack.storage.series();
    assert!(!names.iter().any(|n| n.contains("\"g\"")), "{names:?}");
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honor_labels_and_honor_timestamps() {
    let stack = Stack::start("a{job=\"mine\",instance=\"\"} 1 1000\n", |c| {
        c.honor_labels = true;
        c.honor_timestamps = false;
    })
    .await;
    stack.until_up(1.0).await;
    assert!(
        stack
            .storage
            .series()
            .contains(&r#"{__name__="a", job="mine"}"#.to_owned())
    );
    assert!(stack.storage.samples(&["\"a\""])[0].0 > 1_000_000);
    stack.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_discovery_and_dropped_targets() {
    let dir = tempfile::tempdir().unwrap();
    let target = TestTarget::start(Answer::text("a 1\n")).await;
    let file = dir.path().join("targets.json");
    let write = |addresses: &[String]| {
        let group = serde_json::json!([{"targets": addresses, "labels": {"env": "prod"}}]);
        std::fs::write(&file, group.to_string()).unwrap();
    };
    write(&[target.address.to_string(), "drop.me:1".into()]);
    let text = r#"
job_name: files
scrape_interval: 100ms
file_sd_configs:
  - files: ["targets.json"]
    refresh_interval: 200ms
relabel_configs:
  - source_labels: [__address__]
    regex: "drop.*"
    action: drop
  - source_labels: [__meta_filepath]
    regex: ".*/(.*)"
    target_label: file
"#;
    let config: ScrapeConfig = serde_saphyr::from_str(text).unwrap();
    let defaults = ScrapeDefaults {
        base_dir: dir.path().to_owned(),
        ..ScrapeDefaults::default()
    };
    let storage = Arc::new(MemoryStorage::default());
    let registry = Registry::new();
    let manager = ScrapeManager::new(storage.clone(), &registry, ScrapeOptions::default());
    manager.apply(&[config], &defaults).await.unwrap();
    until("a arrives", || storage.last(&["\"a\""]) == Some(1.0)).await;
    assert!(storage.series()[0].contains(r#"env="prod", file="targets.json""#));
    let targets = manager.targets();
    assert_eq!(targets.active.len(), 1);
    assert_eq!(targets.dropped.len(), 1);
    assert_eq!(targets.dropped_counts["files"], 1);
    write(&[]);
    until("the target is gone", || manager.targets().active.is_empty()).await;
    until("a is stale", || storage.is_stale(&["\"a\""])).await;
    manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_metrics_have_prometheus_names() {
    let stack = Stack::start("a 1\na 2\n", |_| {}).await;
    stack.until_up(1.0).await;
    stack.scrapes(2).await;
    // Intervals are not counted while the extra scrapes after a fast start shorten them.
    let quantile =
        "prometheus_target_interval_length_seconds{interval=\"100ms\",quantile=\"0.99\"}";
    until("an interval is counted", || {
        stack.registry.render_text().contains(quantile)
    })
    .await;
    let page = stack.registry.render_text();
    for line in [
        "prometheus_target_scrape_pool_targets{scrape_job=\"t\"} 1",
        "prometheus_target_scrape_pools_total 1",
        "prometheus_target_scrape_pool_sync_total{scrape_job=\"t\"} 1",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    assert!(!page.contains("prometheus_target_scrapes_sample_duplicate_timestamp_total 0"));
    stack
        .manager
        .apply(&[], &ScrapeDefaults::default())
        .await
        .unwrap();
    assert!(!stack.registry.render_text().contains("scrape_job=\"t\""));
    stack.manager.shutdown().await;
}

#[tokio::test]
async fn a_wrong_configuration_leaves_the_running_one() {
    let storage = Arc::new(MemoryStorage::default());
    let manager = ScrapeManager::new(storage, &Registry::new(), ScrapeOptions::default());
    let named = |name: &str| ScrapeConfig {
        job_name: name.into(),
        ..ScrapeConfig::default()
    };
    let defaults = ScrapeDefaults::default();
    manager.apply(&[named("a")], &defaults).await.unwrap();
    let error = manager
        .apply(&[named("b"), named("b")], &defaults)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "found multiple scrape configs with job name \"b\""
    );
    assert_eq!(manager.targets().pools, ["a"]);
    manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_target_does_not_hold_up_the_shutdown() {
    let mut slow = Answer::text("a 1\n");
    slow.delay = Duration::from_secs(60);
    let stack = Stack::start("a 1\n", |c| {
        c.scrape_interval = Some(PromDuration(Duration::from_secs(60)));
        c.scrape_timeout = c.scrape_interval;
    })
    .await;
    stack.target.set(slow);
    until("a request is under way", || {
        stack.target.requests().len() > stack.storage.commits()
    })
    .await;
    tokio::time::timeout(Duration::from_secs(10), stack.manager.shutdown())
        .await
        .unwrap();
}

/// Notes on which threads transactions begin, which is where they end.
struct Watched {
    storage: MemoryStorage,
    threads: parking_lot::Mutex<Vec<String>>,
}

impl Appendable for Watched {
    fn appender(&self) -> Box<dyn Appender + '_> {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default().to_owned();
        self.threads.lock().push(name);
        self.storage.appender()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_waits_does_not_keep_a_scrape_thread() {
    for commits_wait in [false, true] {
        let stack = Stack::start("a 1\n", |_| {}).await;
        let storage = Arc::new(Watched {
            storage: MemoryStorage::default(),
            threads: parking_lot::Mutex::default(),
        });
        let options = ScrapeOptions {
            commits_wait,
            ..ScrapeOptions::default()
        };
        let manager = ScrapeManager::new(storage.clone(), &Registry::new(), options);
        let defaults = ScrapeDefaults::default();
        let config = std::slice::from_ref(&stack.config);
        manager.apply(config, &defaults).await.unwrap();
        until("scrapes", || storage.storage.commits() >= 2).await;
        let on_scrape_threads = {
            let threads = storage.threads.lock();
            threads.iter().any(|name| name.starts_with("scrape-"))
        };
        assert_eq!(on_scrape_threads, !commits_wait);
        manager.shutdown().await;
        stack.manager.shutdown().await;
    }
}
