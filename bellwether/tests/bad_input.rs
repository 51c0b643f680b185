//! Bad input at every door: the protocol's own error, nothing lost, the process goes on.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use support::{Api, BINARY, Program, TestStack, free_ports, wait_for};

#[test]
fn malformed_otlp_is_refused_and_good_data_still_arrive() {
    let stack = TestStack::new(&["prod"]);
    let _program = stack.start();
    let api = Api::new(stack.planes[0].1.otlp_http);
    let post = |content_type: &str, body: Vec<u8>| {
        let request = api
            .http
            .post(format!("{}/v1/metrics", api.base))
            .header("content-type", content_type)
            .body(body);
        request.send().unwrap().status().as_u16()
    };
    assert_eq!(post("application/x-protobuf", vec![0xff; 100]), 400);
    assert_eq!(
        post("application/json", b"{\"resourceMetrics\": 7}".to_vec()),
        400
    );
    assert_eq!(post("text/plain", b"x".to_vec()), 415);
    assert_eq!(post("application/x-protobuf", Vec::new()), 200);
    assert_eq!(api.get("/v1/metrics").unwrap().0, 405);
    let gzip = api
        .http
        .post(format!("{}/v1/metrics", api.base))
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "gzip")
        .body("not gzip")
        .send()
        .unwrap();
    assert_eq!(gzip.status().as_u16(), 400);
    // Announced as 30 MiB, more than the receiver's default of 20 MiB: refused before the body is sent.
    let mut stream =
        std::net::TcpStream::connect(("127.0.0.1", stack.planes[0].1.otlp_http)).unwrap();
    write!(stream, "POST /v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n", 30 << 20).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    let status = String::from_utf8_lossy(&status).into_owned();
    assert!(
        status.ends_with("413") || status.ends_with("400"),
        "{status}"
    );

    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_nanos();
    let good = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"still.alive","gauge":{{"dataPoints":[{{"asDouble":1.5,"timeUnixNano":"{now}"}}]}}}}]}}]}}]}}"#
    );
    assert_eq!(post("application/json", good.into_bytes()), 200);
    assert!((stack.api().wait_value("still_alive", |_| true) - 1.5).abs() < 1e-9);
}

#[test]
fn bad_queries_get_prometheus_errors() {
    let stack = TestStack::new(&["prod"]);
    let _program = stack.start();
    let api = stack.api();
    for (path, status, kind, text) in [
        ("/api/v1/query?query=sum(", 400, "bad_data", "parse error"),
        (
            "/api/v1/query?query=",
            400,
            "bad_data",
            "no expression found in input",
        ),
        (
            "/api/v1/query?query=up&time=yesterday",
            400,
            "bad_data",
            "invalid parameter \"time\"",
        ),
        (
            "/api/v1/query_range?query=up&start=10&end=5&step=1",
            400,
            "bad_data",
            "end timestamp must not be before start time",
        ),
        (
            "/api/v1/query_range?query=up&start=0&end=100000&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points",
        ),
        (
            "/api/v1/query_range?query=up&start=0&end=10&step=0",
            400,
            "bad_data",
            "zero or negative query resolution step widths are not accepted",
        ),
        (
            "/api/v1/query_range?query=up[5m]&start=0&end=10&step=1",
            400,
            "bad_data",
            "invalid expression type \"range vector\"",
        ),
        (
            "/api/v1/query?query=label_replace(up,%22a%22,%22b%22,%22c%22,%22(%22)",
            422,
            "execution",
            "regular expression",
        ),
        (
            "/api/v1/series",
            400,
            "bad_data",
            "no match[] parameter provided",
        ),
        (
            "/api/v1/series?match[]={a=%22%22}",
            400,
            "bad_data",
            "match[] must contain at least one non-empty matcher",
        ),
    ] {
        let (got, body) = api.get(path).unwrap();
        assert_eq!(got, status, "{path}: {body}");
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["errorType"], kind, "{path}: {body}");
        assert!(
            value["error"].as_str().unwrap().contains(text),
            "{path}: {body}"
        );
    }
    let deep = format!(
        "/api/v1/query?query={}1{}",
        "(".repeat(20_000),
        ")".repeat(20_000)
    );
    assert_eq!(
        api.get(&deep)
            .map(|(status, _)| (400..500).contains(&status)),
        Some(true)
    );
    assert_eq!(api.get_json("/api/v1/query?query=1")["status"], "success");
}

#[test]
fn a_target_that_serves_garbage_is_down_with_the_parse_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 1024];
            let _ = stream.read(&mut head);
            let body = "good 1\nthis is { no metric\n";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let [port] = free_ports();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("prometheus.yml");
    std::fs::write(
        &config,
        format!("global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: garbage\n    static_configs:\n      - targets: [\"127.0.0.1:{target}\"]\n"),
    )
    .unwrap();
    let _server = Program::start(
        Command::new(BINARY)
            .arg("server")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.path().join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}")),
    );
    let api = Api::new(port);
    let error = wait_for("the target's error", || {
        let (_, body) = api.get("/api/v1/targets")?;
        let value: serde_json::Value = serde_json::from_str(&body).ok()?;
        let target = &value["data"]["activeTargets"][0];
        (target["health"] == "down").then(|| target["lastError"].as_str().unwrap_or("").to_owned())
    });
    assert!(!error.is_empty());
    api.wait_value("up{job=\"garbage\"}", |v| v == 0.0);
    assert!(api.query("good").is_empty());
}
