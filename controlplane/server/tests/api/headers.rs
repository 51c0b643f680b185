//! What is around the answers: CORS, compression, prefixes, connections.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{eventually, get, send, start, start_reference, text};

const CORS: &[&str] = &[
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-expose-headers",
];

#[tokio::test]
async fn origins_are_told_apart_as_by_prometheus() {
    let origin = "https?://(a|b)\\.example";
    let flag = format!("--web.cors.origin={origin}");
    let Some(theirs) = start_reference("", &[&flag]).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |s| {
        origin.clone_into(&mut s.web.cors_origin);
    })
    .await;
    for (method, path) in [
        ("GET", "/api/v1/query?query=1"),
        ("GET", "/api/v1/query?query="),
        ("OPTIONS", "/api/v1/query"),
        ("OPTIONS", "/api/v1/nope"),
        ("GET", "/api/v1/nope"),
        ("DELETE", "/api/v1/query"),
        ("GET", "/federate"),
        ("GET", "/-/healthy"),
        ("GET", "/metrics"),
        ("GET", "/api/v1/status/walreplay"),
        ("GET", "/api/v1/notifications"),
    ] {
        for headers in [
            &[][..],
            &[("origin", "http://a.example")],
            &[("origin", "http://a.example.org")],
            &[("origin", "null")],
        ] {
            let a = send(ours.address, method, path, headers, Vec::new()).await;
            let b = send(theirs.address, method, path, headers, Vec::new()).await;
            let cors = |answer: &crate::support::Answer| {
                CORS.iter().map(|n| answer.header(n)).collect::<Vec<_>>()
            };
            assert_eq!(
                (a.status, cors(&a)),
                (b.status, cors(&b)),
                "{method} {path} {headers:?}"
            );
        }
    }
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn by_default_every_origin_is_welcome() {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |_| {}).await;
    let headers = [("origin", "http://anything")];
    let answer = send(
        ours.address,
        "GET",
        "/api/v1/query?query=1",
        &headers,
        Vec::new(),
    )
    .await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn answers_are_compressed_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |_| {}).await;
    let path = "/api/v1/status/flags";
    let plain = get(ours.address, path).await;
    assert_eq!(plain.header("content-encoding"), "");
    for (accept, encoding) in [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("zstd", "zstd"),
        ("br", ""),
        ("identity", ""),
        ("gzip;q=0", ""),
        ("zstd;q=0.1, gzip", "gzip"),
    ] {
        let headers: &'static [(&str, &str)] = Box::leak(Box::new([("accept-encoding", accept)]));
        let answer = send(ours.address, "GET", path, headers, Vec::new()).await;
        assert_eq!(answer.header("content-encoding"), encoding, "{accept}");
        let vary = answer.header("vary");
        assert!(
            vary.contains("accept-encoding") && vary.contains("origin"),
            "{vary}"
        );
        if encoding == "gzip" {
            let mut text = String::new();
            let mut reader = flate2::read::GzDecoder::new(answer.bytes.as_slice());
            reader.read_to_string(&mut text).unwrap();
            assert_eq!(text, plain.body);
        }
    }
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn a_prefix_is_in_front_of_everything() {
    let flags = [
        "--web.external-url=http://example.com/prom",
        "--web.route-prefix=/p/q",
    ];
    let Some(theirs) = start_at_prefix(&flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |s| {
        "http://example.com/prom".clone_into(&mut s.web.external_url);
        "/p/q".clone_into(&mut s.web.route_prefix);
    })
    .await;
    for path in [
        "/p/q/api/v1/query?query=1&time=4",
        "/p/q/-/healthy",
        "/p/q/federate",
        "/api/v1/query?query=1&time=4",
        "/-/healthy",
        "/prom/api/v1/query?query=1&time=4",
    ] {
        let (a, b) = (
            get(ours.address, path).await,
            get(theirs.address, path).await,
        );
        assert_eq!((a.status, a.body), (b.status, b.body), "{path}");
    }
    ours.stop().await.unwrap();
}

/// The reference is asked for its readiness at the root, where it is not then: wait for the prefix.
async fn start_at_prefix(flags: &[&str]) -> Option<crate::support::Reference> {
    crate::support::start_reference_at(tempfile::tempdir().unwrap(), "", flags, "/p/q").await
}

#[tokio::test]
async fn connections_are_limited_and_slow_ones_closed() {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |s| {
        s.web.max_connections = 2;
        s.web.read_timeout = Duration::from_secs(1);
    })
    .await;
    let address = ours.address;
    // Two connections that say nothing take all places; they are closed, then the third is served.
    let silent = tokio::task::spawn_blocking(move || {
        let mut idle: Vec<TcpStream> = (0..2)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        for stream in &mut idle {
            stream.write_all(b"GET /-/healthy HT").unwrap();
        }
        idle
    })
    .await
    .unwrap();
    let answer = get(address, "/-/healthy").await;
    assert_eq!(answer.status, 200);
    tokio::task::spawn_blocking(move || {
        for mut stream in silent {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            assert!(!rest.starts_with(b"HTTP/1.1 200"));
        }
    })
    .await
    .unwrap();
    eventually("places are free again", || async {
        get(address, "/-/ready").await.status == 200
    })
    .await;
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn notifications_are_told_live() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("p.yml");
    std::fs::write(&config, "").unwrap();
    let source = bellwether_server::ConfigSource::File(config.clone());
    let ours = start(source, &dir.path().join("data"), |s| {
        s.web.notification_subscribers_max = 1;
    })
    .await;
    let address = ours.address;
    let mut stream = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream
            .write_all(b"GET /api/v1/notifications/live HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        stream
    })
    .await
    .unwrap();
    eventually("the only place is taken", || async {
        let second = send(
            address,
            "GET",
            "/api/v1/notifications/live",
            &[("x", "y")],
            Vec::new(),
        );
        tokio::time::timeout(Duration::from_millis(500), second)
            .await
            .is_ok_and(|answer| answer.status == 204)
    })
    .await;
    std::fs::write(&config, "nonsense: [").unwrap();
    let refused = send(address, "POST", "/-/reload", &[], Vec::new()).await;
    assert_eq!(refused.status, 500);
    let active = get(address, "/api/v1/notifications").await.json();
    assert_eq!(
        active["data"][0]["text"],
        "Configuration reload has failed."
    );
    std::fs::write(&config, "").unwrap();
    send(address, "POST", "/-/reload", &[], Vec::new()).await;
    let told = tokio::task::spawn_blocking(move || {
        let mut told = String::new();
        let mut buffer = [0; 4096];
        while !told.contains("shutting down") {
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "{told}");
            told.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
        told
    });
    ours.stop().await.unwrap();
    let told = told.await.unwrap();
    assert!(told.contains("content-type: text/event-stream"), "{told}");
    let failed = told.find("\"active\":true").unwrap();
    let mended = told.find("\"active\":false").unwrap();
    assert!(failed < mended, "{told}");
}
