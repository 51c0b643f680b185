//! The running server over real sockets: scraping, writing, reloading, restarting, failing to start.
#![allow(clippy::unwrap_used)]

mod support;

use bellwether_server::{ConfigSource, Listen, Server, ServerError, ServerSettings};
use support::{WRITE_HEADERS, Written, eventually, get, send, start, text, write_request};
use tokio_util::sync::CancellationToken;

fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
}

#[tokio::test]
async fn it_scrapes_itself_and_answers_up() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: self\n  static_configs: [{{targets: ['{address}']}}]\n"
    );
    let server = start(text(&config), &dir.path().join("data"), |s| {
        s.listen = vec![Listen::Bound(listener)];
    })
    .await;
    assert_eq!(server.address, address);
    eventually("up is 1", || async move {
        let json = get(address, "/api/v1/query?query=up").await.json();
        json["data"]["result"][0]["value"][1] == "1"
    })
    .await;
    let targets = get(address, "/api/v1/targets").await.json();
    let target = &targets["data"]["activeTargets"][0];
    assert_eq!(
        (target["health"].as_str(), target["scrapePool"].as_str()),
        (Some("up"), Some("self")),
        "{targets}"
    );
    assert_eq!(target["scrapeUrl"], format!("http://{address}/metrics"));
    assert_eq!(target["discoveredLabels"]["__scrape_interval__"], "1s");
    let metadata = get(
        address,
        "/api/v1/metadata?metric=prometheus_tsdb_head_series",
    )
    .await
    .json();
    assert_eq!(
        metadata["data"]["prometheus_tsdb_head_series"][0]["type"], "gauge",
        "{metadata}"
    );
    let federated = get(address, "/federate?match[]=up").await;
    assert!(
        federated.body.starts_with("# TYPE up untyped\nup{"),
        "{}",
        federated.body
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn remote_write_is_stored_and_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let t = now_ms() - 60_000;
    let body = write_request(&[Written {
        labels: &[("__name__", "m"), ("a", "b")],
        samples: vec![(t, 1.5), (t + 1, 2.5)],
    }]);
    let server = start(text(""), &data, |_| {}).await;
    let answer = send(server.address, "POST", "/api/v1/write", WRITE_HEADERS, body).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert!(
        answer
            .head
            .contains("x-prometheus-remote-write-samples-written: 2"),
        "{}",
        answer.head
    );
    server.stop().await.unwrap();
    let server = start(text(""), &data, |_| {}).await;
    let json = get(server.address, "/api/v1/query?query=m").await.json();
    assert_eq!(json["data"]["result"][0]["value"][1], "2.5", "{json}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn bad_remote_writes_are_refused_without_harm() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(text(""), &dir.path().join("data"), |_| {}).await;
    let post = |headers: &'static [(&'static str, &'static str)], body: Vec<u8>| {
        send(server.address, "POST", "/api/v1/write", headers, body)
    };
    assert_eq!(post(WRITE_HEADERS, b"garbage".to_vec()).await.status, 400);
    let not_protobuf = snap::raw::Encoder::new()
        .compress_vec(b"\xff\xff\xff\xff")
        .unwrap();
    assert_eq!(post(WRITE_HEADERS, not_protobuf).await.status, 400);
    let t = now_ms();
    let one = |t: i64, v: f64| {
        write_request(&[Written {
            labels: &[("__name__", "m")],
            samples: vec![(t, v)],
        }])
    };
    assert_eq!(
        post(&[("content-type", "text/plain")], one(t, 1.0))
            .await
            .status,
        415
    );
    assert_eq!(
        post(
            &[(
                "content-type",
                "application/x-protobuf;proto=io.prometheus.write.v2.Request"
            )],
            one(t, 1.0)
        )
        .await
        .status,
        415
    );
    assert_eq!(
        post(
            &[
                ("content-type", "application/x-protobuf"),
                ("content-encoding", "gzip")
            ],
            one(t, 1.0)
        )
        .await
        .status,
        415
    );
    assert_eq!(post(WRITE_HEADERS, one(t, 1.0)).await.status, 204);
    assert_eq!(
        post(WRITE_HEADERS, one(t, 1.0)).await.status,
        204,
        "the same again is no error"
    );
    assert_eq!(
        post(WRITE_HEADERS, one(t, 2.0)).await.status,
        400,
        "another value at the same time"
    );
    assert_eq!(
        post(WRITE_HEADERS, one(t - 1, 2.0)).await.status,
        400,
        "out of order"
    );
    let json = get(
        server.address,
        &format!("/api/v1/query?query=m&time={}", t / 1000 + 1),
    )
    .await
    .json();
    assert_eq!(json["data"]["result"][0]["value"][1], "1", "{json}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_bad_configuration_does_not_replace_the_running_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, "global: {external_labels: {v: one}}\n").unwrap();
    let server = start(
        ConfigSource::File(file.clone()),
        &dir.path().join("data"),
        |_| {},
    )
    .await;
    let address = server.address;
    let reload = || send(address, "POST", "/-/reload", &[], Vec::new());
    let yaml = || async move {
        get(address, "/api/v1/status/config").await.json()["data"]["yaml"].to_string()
    };
    std::fs::write(&file, "global: {external_lables: {v: two}}\n").unwrap();
    let answer = reload().await;
    assert_eq!(answer.status, 500);
    for part in [
        "failed to reload config: ",
        "prometheus.yml:1:10",
        "did you mean `external_labels`",
    ] {
        assert!(answer.body.contains(part), "{}", answer.body);
    }
    assert!(yaml().await.contains("v: one"));
    let runtime = get(address, "/api/v1/status/runtimeinfo").await.json();
    assert_eq!(runtime["data"]["reloadConfigSuccess"], false);
    let metrics = get(address, "/metrics").await.body;
    assert!(metrics.contains("prometheus_config_last_reload_successful 0\n"));
    std::fs::write(&file, "global: {external_labels: {v: two}}\n").unwrap();
    assert_eq!(reload().await.status, 200);
    assert!(yaml().await.contains("v: two"));
    assert!(
        get(address, "/metrics")
            .await
            .body
            .contains("prometheus_config_last_reload_successful 1\n")
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn quitting_by_request_ends_the_server_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(text(""), &dir.path().join("data"), |_| {}).await;
    let answer = send(server.address, "POST", "/-/quit", &[], Vec::new()).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "Requesting termination... Goodbye!")
    );
    server.ended().await.unwrap();
}

#[tokio::test]
async fn a_locked_directory_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let first = start(text(""), &data, |_| {}).await;
    let settings = ServerSettings::embedded(
        text(""),
        data.clone(),
        Listen::Address("127.0.0.1:0".to_owned()),
    );
    let second = Server::bind(settings).await.unwrap();
    let error = second.run(CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, ServerError::Storage { .. }), "{error:?}");
    let message = error.to_string();
    for part in ["in use", "--storage.tsdb.path", &data.display().to_string()] {
        assert!(message.contains(part), "{message}");
    }
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let settings =
        ServerSettings::embedded(text(""), dir.path().join("data"), Listen::Address(address));
    let message = Server::bind(settings).await.err().unwrap().to_string();
    for part in ["metrics server", "already in use", "--web.listen-address"] {
        assert!(message.contains(part), "{message}");
    }
    assert!(!dir.path().join("data").exists(), "nothing is left behind");
}

#[tokio::test]
async fn bad_configurations_and_addresses_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let bind = |config: &str, address: &str| {
        let settings = ServerSettings::embedded(
            text(config),
            dir.path().join("data"),
            Listen::Address(address.to_owned()),
        );
        async move { Server::bind(settings).await.err().unwrap().to_string() }
    };
    assert!(
        bind("globl: {}", "127.0.0.1:0")
            .await
            .contains("did you mean `global`")
    );
    assert!(bind("", "127.0.0.1").await.contains("--web.listen-address"));
    assert!(
        bind("", "no-such-host.invalid:9090")
            .await
            .contains("--web.listen-address")
    );
}

#[tokio::test]
async fn deleted_series_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(text(""), &dir.path().join("data"), |_| {}).await;
    let t = now_ms();
    let body = write_request(&[
        Written {
            labels: &[("__name__", "m"), ("x", "1")],
            samples: vec![(t, 1.0)],
        },
        Written {
            labels: &[("__name__", "m"), ("x", "2")],
            samples: vec![(t, 1.0)],
        },
    ]);
    assert_eq!(
        send(server.address, "POST", "/api/v1/write", WRITE_HEADERS, body)
            .await
            .status,
        204
    );
    let path = "/api/v1/admin/tsdb/delete_series?match[]=m%7Bx%3D%221%22%7D";
    let answer = send(server.address, "POST", path, &[], Vec::new()).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let json = get(
        server.address,
        &format!("/api/v1/query?query=m&time={}", t / 1000 + 1),
    )
    .await
    .json();
    let left = json["data"]["result"].as_array().unwrap();
    assert_eq!(left.len(), 1, "{json}");
    assert_eq!(left[0]["metric"]["x"], "2");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_changed_file_is_loaded_when_the_feature_is_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, "global: {external_labels: {v: one}}\n").unwrap();
    let server = start(
        ConfigSource::File(file.clone()),
        &dir.path().join("data"),
        |s| {
            s.auto_reload = Some(std::time::Duration::from_millis(50));
        },
    )
    .await;
    let address = server.address;
    std::fs::write(&file, "global: {external_labels: {v: two}}\n").unwrap();
    eventually("the new configuration is in force", || async move {
        get(address, "/api/v1/status/config")
            .await
            .body
            .contains("v: two")
    })
    .await;
    server.stop().await.unwrap();
}

/// Opening a large database takes minutes: what is written to the file meanwhile must not be lost.
#[tokio::test]
async fn a_change_of_the_file_during_the_start_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("prometheus.yml");
    std::fs::write(&file, "global: {external_labels: {v: one}}\n").unwrap();
    let mut settings = ServerSettings::embedded(
        ConfigSource::File(file.clone()),
        dir.path().join("data"),
        Listen::Address("127.0.0.1:0".to_owned()),
    );
    settings.auto_reload = Some(std::time::Duration::from_millis(50));
    let server = Server::bind(settings).await.unwrap();
    let address = server.addresses()[0];
    std::fs::write(&file, "global: {external_labels: {v: two}}\n").unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(server.run(shutdown.clone()));
    eventually("the new configuration is in force", || async move {
        get(address, "/api/v1/status/config")
            .await
            .body
            .contains("v: two")
    })
    .await;
    shutdown.cancel();
    task.await.unwrap().unwrap();
}

/// With one slot for queries, a heavy one whose client has gone must give the slot back long before it would end.
#[tokio::test]
async fn a_client_that_goes_away_stops_its_query() {
    use tokio::io::AsyncWriteExt;
    let dir = tempfile::tempdir().unwrap();
    let server = start(text(""), &dir.path().join("data"), |s| {
        s.query.max_concurrency = 1;
    })
    .await;
    let address = server.address;
    let heavy = "count_over_time(vector(1)[30d:1s])";
    let path = format!("/api/v1/query_range?query={heavy}&start=0&end=1000000&step=100");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes())
        .await
        .unwrap();
    eventually("the heavy query runs", || async move {
        get(address, "/metrics")
            .await
            .body
            .contains("prometheus_engine_queries 1\n")
    })
    .await;
    let busy = get(address, "/api/v1/query?query=1&timeout=50ms").await;
    assert_eq!(
        (busy.status, busy.json()["errorType"].as_str()),
        (503, Some("timeout")),
        "{busy:?}"
    );
    drop(stream);
    let free = get(address, "/api/v1/query?query=1&timeout=20s").await;
    assert_eq!(free.status, 200, "{free:?}");
    server.stop().await.unwrap();
}
