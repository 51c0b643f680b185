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
            &[("content-type", "application/x-protobuf;proto=nope")],
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

/// One native histogram with a label, in the protobuf format: 2 observations in the zero bucket, 3 and 1 in two buckets.
fn protobuf_page() -> Vec<u8> {
    let field = |number: u8, body: &[u8]| {
        let mut out = vec![number << 3 | 2, body.len() as u8];
        out.extend_from_slice(body);
        out
    };
    let double = |number: u8, value: f64| {
        let mut out = vec![number << 3 | 1];
        out.extend_from_slice(&value.to_le_bytes());
        out
    };
    let label = field(1, &[field(1, b"path"), field(2, b"/x")].concat());
    let spans = field(12, &[0x08, 0, 0x10, 2]);
    let deltas = field(13, &[6, 3]);
    let histogram = [
        &[0x08, 6, 0x28, 2, 0x38, 2][..],
        &double(2, 7.5),
        &double(6, 0.001),
        &spans,
        &deltas,
    ]
    .concat();
    let metric = [label, field(7, &histogram)].concat();
    let family = [
        &field(1, b"latency_seconds")[..],
        &field(2, b"Latency."),
        &[0x18, 4],
        &field(4, &metric),
        &field(5, b"seconds"),
    ]
    .concat();
    [vec![family.len() as u8], family].concat()
}

#[tokio::test]
async fn native_histograms_are_scraped() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let page = |headers: http::HeaderMap| async move {
        let asked = headers["accept"].to_str().unwrap().to_owned();
        assert!(
            asked.starts_with("application/vnd.google.protobuf;"),
            "{asked}"
        );
        let content_type = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
        ([("content-type", content_type)], protobuf_page())
    };
    let app = axum::Router::new().route("/metrics", axum::routing::get(page));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s, scrape_native_histograms: true}}\nscrape_configs:\n- job_name: j\n  static_configs: [{{targets: ['{target}']}}]\n"
    );
    let server = start(text(&config), &dir.path().join("data"), |_| {}).await;
    let address = server.address;
    let get_json = |path: &'static str| async move {
        serde_json::from_str::<serde_json::Value>(&get(address, path).await.body).unwrap()
    };
    eventually("the histogram is there", || async move {
        let answer = get_json("/api/v1/query?query=latency_seconds").await;
        let sample = &answer["data"]["result"][0];
        sample["metric"]["path"] == "/x"
            && sample["histogram"][1]["count"] == "6"
            && sample["histogram"][1]["sum"] == "7.5"
            && sample["histogram"][1]["buckets"]
                .as_array()
                .is_some_and(|b| b.len() == 3)
    })
    .await;
    let metadata = get_json("/api/v1/metadata?metric=latency_seconds").await;
    assert_eq!(
        metadata["data"]["latency_seconds"][0],
        serde_json::json!({"type": "histogram", "unit": "seconds", "help": "Latency."})
    );
    let scraped = get_json("/api/v1/query?query=scrape_samples_scraped").await;
    assert_eq!(scraped["data"]["result"][0]["value"][1], "1");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn classic_histograms_become_native_ones() {
    const PAGE: &str = "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 4\n\
                        h_sum 3.5\nh_count 4\n# TYPE g gauge\ng 1\n";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap();
    let page = || async { ([("content-type", "text/plain; version=0.0.4")], PAGE) };
    let app = axum::Router::new().route("/metrics", axum::routing::get(page));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let dir = tempfile::tempdir().unwrap();
    let job = |name: &str, key: &str| {
        format!(
            "- job_name: {name}\n  {key}: true\n  static_configs: [{{targets: ['{target}']}}]\n"
        )
    };
    let config = format!(
        "global: {{scrape_interval: 1s, convert_classic_histograms_to_nhcb: true}}\nscrape_configs:\n{}{}",
        job("only", "honor_labels"),
        job("both", "always_scrape_classic_histograms"),
    );
    let server = start(text(&config), &dir.path().join("data"), |_| {}).await;
    let address = server.address;
    eventually("both jobs are scraped", || async move {
        let samples = |answer: String| {
            serde_json::from_str::<serde_json::Value>(&answer).unwrap()["data"]["result"].clone()
        };
        let native = samples(get(address, "/api/v1/query?query=h").await.body);
        let classic = samples(get(address, "/api/v1/query?query=h_bucket").await.body);
        let buckets = serde_json::json!([
            [3, "-Inf", "0.5", "1"],
            [0, "0.5", "1", "2"],
            [0, "1", "+Inf", "1"]
        ]);
        native.as_array().is_some_and(|n| n.len() == 2)
            && native[0]["histogram"][1]["buckets"] == buckets
            && classic
                .as_array()
                .is_some_and(|c| c.len() == 3 && c.iter().all(|s| s["metric"]["job"] == "both"))
    })
    .await;
    server.stop().await.unwrap();
}

/// A server that knows UTF-8 names gets them; another one gets them escaped.
#[tokio::test]
async fn federation_writes_names_as_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let config = text("global: {external_labels: {cluster: c, job: ext}}");
    let server = start(config, &dir.path().join("data"), |_| {}).await;
    let body = write_request(&[Written {
        labels: &[("__name__", "dotted.name"), ("l.b", "v")],
        samples: vec![(now_ms() - 1000, 2.5)],
    }]);
    let written = send(server.address, "POST", "/api/v1/write", WRITE_HEADERS, body).await;
    assert_eq!(written.status, 204);
    for (accept, escaping, page) in [
        (
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,*/*;q=0.2",
            "allow-utf-8",
            "# TYPE \"dotted.name\" untyped\n{\"dotted.name\",\"l.b\"=\"v\",cluster=\"c\",instance=\"\",job=\"ext\"} 2.5 ",
        ),
        (
            "text/plain;version=0.0.4",
            "underscores",
            "# TYPE dotted_name untyped\ndotted_name{l_b=\"v\",cluster=\"c\",instance=\"\",job=\"ext\"} 2.5 ",
        ),
    ] {
        let path = "/federate?match[]=%7B%22dotted.name%22%7D";
        let headers = &[("accept", accept)];
        let answer = send(server.address, "GET", path, headers, Vec::new()).await;
        let content_type =
            format!("content-type: text/plain; version=0.0.4; charset=utf-8; escaping={escaping}");
        assert!(answer.head.contains(&content_type), "{}", answer.head);
        assert!(answer.body.starts_with(page), "{}", answer.body);
    }
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
