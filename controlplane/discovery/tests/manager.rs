//! The manager, by way of files and URLs: changes, failures, reloads, metrics.
#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bellwether_discovery::{Manager, SetConfig};
use bellwether_telemetry::Registry;
use common::{Discovery, PATIENCE, assert_labels, parse};
use parking_lot::Mutex;

/// What an `http_sd` server answers now.
#[derive(Clone)]
struct Answers {
    now: Arc<Mutex<(StatusCode, &'static str, String)>>,
    headers: Arc<Mutex<HeaderMap>>,
    url: String,
}

impl Answers {
    async fn start(body: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let answers = Self {
            now: Arc::new(Mutex::new((
                StatusCode::OK,
                "application/json",
                body.to_owned(),
            ))),
            headers: Arc::default(),
            url: format!("http://{}/targets", listener.local_addr().unwrap()),
        };
        let app = Router::new().fallback(answer).with_state(answers.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        answers
    }

    fn set(&self, status: StatusCode, media: &'static str, body: &str) {
        *self.now.lock() = (status, media, body.to_owned());
    }
}

async fn answer(State(answers): State<Answers>, headers: HeaderMap) -> Response {
    *answers.headers.lock() = headers;
    let (status, media, body) = answers.now.lock().clone();
    (status, [("content-type", media)], body).into_response()
}

#[tokio::test]
async fn a_url_that_fails_keeps_its_targets() {
    let answers =
        Answers::start(r#"[{"targets":["a:1","b:2"],"labels":{"x":"y"}},{"targets":["c:3"]}]"#)
            .await;
    let yaml = format!(
        "http_sd_configs: [{{url: '{}', refresh_interval: 100ms}}]",
        answers.url
    );
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    let found = discovery.wait_for(&["a:1", "b:2", "c:3"]).await;
    let url = answers.url.as_str();
    assert_labels(
        found.target("a:1"),
        &[("__address__", "a:1"), ("__meta_url", url), ("x", "y")],
    );
    let sent = answers.headers.lock().clone();
    assert_eq!(sent["x-prometheus-refresh-interval-seconds"], "0.1");
    assert_eq!(sent["accept"], "application/json");

    let failures = || {
        discovery
            .metric("prometheus_sd_http_failures_total")
            .unwrap_or(0.0)
    };
    for (status, media, body) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "application/json", "[]"),
        (StatusCode::OK, "text/html", "[]"),
        (StatusCode::OK, "application/json", "[null]"),
        (StatusCode::OK, "application/json", "{"),
    ] {
        answers.set(status, media, body);
        let before = failures();
        let failing = async {
            while failures() < before + 2.0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, failing).await.unwrap();
    }
    assert_eq!(discovery.groups.take().len(), 2);
    // The second group is gone with the next answer that says so.
    answers.set(
        StatusCode::OK,
        "application/json; charset=UTF-8",
        r#"[{"targets":["d:4"]}]"#,
    );
    discovery.wait_for(&["d:4"]).await;
    for (series, least) in [
        (
            "prometheus_sd_refresh_failures_total{config=\"job\",mechanism=\"http\"}",
            8.0,
        ),
        (
            "prometheus_sd_refresh_duration_seconds_count{config=\"job\",mechanism=\"http\"}",
            10.0,
        ),
        (
            "prometheus_sd_discovered_targets{config=\"job\",name=\"scrape\"}",
            1.0,
        ),
        ("prometheus_sd_updates_total{name=\"scrape\"}", 2.0),
        ("prometheus_sd_received_updates_total{name=\"scrape\"}", 2.0),
    ] {
        let value = discovery
            .metric(series)
            .unwrap_or_else(|| panic!("{series}"));
        assert!(value >= least, "{series} {value}");
    }
}

#[tokio::test]
async fn files_are_watched() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("a.json", r#"[{"targets":["a:1"]}]"#);
    let yaml = "file_sd_configs: [{files: ['*.json', 'b.yml']}]";
    let mut discovery = Discovery::start(yaml, dir.path());
    let found = discovery.wait_for(&["a:1"]).await;
    let path = found.target("a:1")["__meta_filepath"].clone();
    assert_eq!(Path::new(&path), dir.path().join("a.json"));
    let started = std::time::Instant::now();
    write("b.yml", "- targets: ['b:1']\n");
    discovery.wait_for(&["a:1", "b:1"]).await;
    // By the watch: the next look at the files would be five seconds later.
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
    write("b.yml", "- targets: {");
    std::fs::remove_file(dir.path().join("a.json")).unwrap();
    discovery.wait_for(&["b:1"]).await;
    let errors = discovery.metric("prometheus_sd_file_read_errors_total");
    assert!(errors.unwrap() >= 1.0, "{errors:?}");
    let mtime = |file: &str| {
        let path = dir.path().join(file);
        let path = path.display();
        discovery.metric(&format!(
            "prometheus_sd_file_mtime_seconds{{filename=\"{path}\"}}"
        ))
    };
    assert!(mtime("b.yml").unwrap() > 1e9);
    assert_eq!(mtime("a.json"), None);
}

#[tokio::test]
async fn fixed_targets_are_there_at_once_and_change_with_a_reload() {
    let mut discovery = Discovery::start("static_configs: [{targets: ['a:1']}]", Path::new("."));
    assert_eq!(discovery.groups.take().len(), 1);
    discovery.reload(
        "static_configs: [{targets: ['b:1']}, {targets: ['c:1']}]",
        Path::new("."),
    );
    assert_eq!(discovery.groups.take().len(), 2);
    discovery.wait_for(&["b:1", "c:1"]).await;
}

#[tokio::test]
async fn a_reload_keeps_targets_until_the_new_discovery_has_spoken() {
    let answers = Answers::start(r#"[{"targets":["a:1"]}]"#).await;
    let yaml = |rest: &str| format!("http_sd_configs: [{{url: '{}'{rest}}}]", answers.url);
    let mut discovery = Discovery::start(&yaml(""), Path::new("."));
    discovery.wait_for(&["a:1"]).await;
    // Another discovery of the same URL that cannot get an answer at first.
    answers.set(StatusCode::BAD_GATEWAY, "text/plain", "");
    discovery.reload(&yaml(", refresh_interval: 100ms"), Path::new("."));
    assert_eq!(discovery.groups.take().len(), 1);
    answers.set(
        StatusCode::OK,
        "application/json",
        r#"[{"targets":["b:1"]}]"#,
    );
    discovery.wait_for(&["b:1"]).await;
    // A set that is gone takes its metrics along.
    discovery.manager.apply(&[]);
    let series = "prometheus_sd_discovered_targets{config=\"job\",name=\"scrape\"}";
    assert_eq!(discovery.metric(series), None);
    let series = "prometheus_sd_refresh_failures_total{config=\"job\",mechanism=\"http\"}";
    assert_eq!(discovery.metric(series), None);
}

#[tokio::test]
async fn what_did_not_change_stays_the_same_allocation() {
    let answers = Answers::start(r#"[{"targets":["a:1"]},{"targets":["b:1"]}]"#).await;
    let yaml = format!(
        "http_sd_configs: [{{url: '{}', refresh_interval: 100ms}}]",
        answers.url
    );
    let mut discovery = Discovery::start(&yaml, Path::new("."));
    discovery.wait_for(&["a:1", "b:1"]).await;
    let before = discovery.groups.take();
    answers.set(
        StatusCode::OK,
        "application/json",
        r#"[{"targets":["a:1"]},{"targets":["c:1"]}]"#,
    );
    discovery.wait_for(&["a:1", "c:1"]).await;
    let after = discovery.groups.take();
    assert!(Arc::ptr_eq(&before[0], &after[0]));
    assert!(!Arc::ptr_eq(&before[1], &after[1]));
}

#[tokio::test]
async fn an_entry_that_cannot_be_built_is_counted_and_the_others_run() {
    let yaml = "ec2_sd_configs: [{region: x}]\nstatic_configs: [{targets: ['a:1']}]";
    let configs = parse(yaml).unwrap();
    let not_runnable = configs.not_runnable();
    assert_eq!(not_runnable.len(), 1);
    assert_eq!(not_runnable[0].0, "ec2_sd_configs");
    let registry = Registry::new();
    let manager = Manager::new("scrape", &registry);
    let set = SetConfig {
        name: "job",
        configs: &configs,
        base_dir: Path::new("."),
    };
    let mut found = manager.apply(&[set]).remove("job").unwrap();
    assert_eq!(found.take().len(), 1);
    let page = registry.render_text();
    assert!(
        page.contains("prometheus_sd_failed_configs{name=\"scrape\"} 1\n"),
        "{page}"
    );
    manager.shutdown().await;
}

#[tokio::test]
async fn many_changes_are_published_together() {
    let dir = tempfile::tempdir().unwrap();
    let write = |n: u32| {
        std::fs::write(
            dir.path().join("a.json"),
            format!(r#"[{{"targets":["a:{n}"]}}]"#),
        )
        .unwrap();
    };
    write(0);
    let mut discovery = Discovery::start("file_sd_configs: [{files: ['a.json']}]", dir.path());
    discovery.wait_for(&["a:0"]).await;
    let updates = "prometheus_sd_updates_total{name=\"scrape\"}";
    let before = discovery.metric(updates).unwrap();
    for n in 1..=50 {
        write(n);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    discovery.wait_for(&["a:50"]).await;
    let sent = discovery.metric(updates).unwrap() - before;
    assert!((1.0..10.0).contains(&sent), "{sent}");
}

#[tokio::test]
async fn an_update_before_the_last_one_was_taken_counts_as_delayed() {
    let yaml = "static_configs: [{targets: ['a:1']}]";
    let mut discovery = Discovery::start(yaml, Path::new("."));
    let delayed = |discovery: &Discovery| {
        discovery.metric("prometheus_sd_updates_delayed_total{name=\"scrape\"}")
    };
    discovery.groups.take();
    discovery.reload(yaml, Path::new("."));
    assert_eq!(delayed(&discovery), Some(0.0));
    discovery.reload(yaml, Path::new("."));
    assert_eq!(delayed(&discovery), Some(1.0));
    discovery.groups.take();
    discovery.reload(yaml, Path::new("."));
    assert_eq!(delayed(&discovery), Some(1.0));
}
