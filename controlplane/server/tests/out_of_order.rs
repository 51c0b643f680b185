//! The out-of-order window, as its users meet it: remote write, a reload, and the real Prometheus on the same data.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::net::SocketAddr;

use serde_json::Value;
use support::{
    Answer, WRITE_HEADERS, Written, get, reference, send, start, start_reference,
    start_reference_in, text, write_request,
};

const WITH_WINDOW: &str = "storage: {tsdb: {out_of_order_time_window: 30m}}\n";
const FLAGS: &[&str] = &["--web.enable-remote-write-receiver"];

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs() as i64 * 1000
}

async fn write(to: SocketAddr, name: &str, samples: Vec<(i64, f64)>) -> Answer {
    let labels = [("__name__", name)];
    let body = write_request(&[Written {
        labels: &labels,
        samples,
    }]);
    send(to, "POST", "/api/v1/write", WRITE_HEADERS, body).await
}

/// Samples forwards, then the gaps between them backwards, and some of another series only late.
async fn fill(to: SocketAddr, base: i64) {
    let at = |i: i64| (base + i * 10_000, (i * i % 97) as f64);
    for i in (0..120).step_by(2) {
        assert_eq!(write(to, "m", vec![at(i)]).await.status, 204);
    }
    for i in (0..59).rev().map(|i| i * 2) {
        assert_eq!(write(to, "m", vec![at(i + 1)]).await.status, 204);
    }
    for i in [100, 40, 60, 41, 39, 110, 5] {
        assert_eq!(write(to, "late", vec![at(i)]).await.status, 204);
    }
}

async fn samples(of: SocketAddr, until: i64) -> Value {
    let query = "%7B__name__%3D~%22m%7Clate%22%7D%5B2h%5D";
    let path = format!("/api/v1/query?query={query}&time={}", until / 1000);
    let answer = get(of, &path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["data"]["result"].clone()
}

#[tokio::test]
async fn the_window_is_reloaded_and_refusals_are_those_of_prometheus() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("p.yml");
    std::fs::write(&file, "global: {}\n").unwrap();
    let config = bellwether_server::ConfigSource::File(file.clone());
    let ours = start(config, &dir.path().join("data"), |_| {}).await;
    let to = ours.address;
    let base = now_ms() - 60_000;
    assert_eq!(write(to, "m", vec![(base, 1.0)]).await.status, 204);
    let refused = write(to, "m", vec![(base - 1000, 2.0)]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("out of order sample"), "{refused:?}");
    std::fs::write(&file, WITH_WINDOW).unwrap();
    let reloaded = send(to, "POST", "/-/reload", &[], Vec::new()).await;
    assert_eq!(reloaded.status, 200, "{reloaded:?}");
    let late = vec![(base - 1000, 2.0), (base - 1_799_000, 3.0)];
    assert_eq!(write(to, "m", late).await.status, 204);
    let refused = write(to, "m", vec![(base - 1_801_000, 2.0)]).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("too old sample"), "{refused:?}");
    let result = samples(to, base + 1000).await;
    assert_eq!(result[0]["values"].as_array().unwrap().len(), 3, "{result}");
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn prometheus_reads_our_late_samples_and_we_read_its() {
    if reference("prometheus").is_none() {
        return;
    }
    let base = now_ms() / 10_000 * 10_000 - 1_300_000;
    let until = base + 1_300_000;
    let theirs = start_reference(WITH_WINDOW, FLAGS).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ours = start(text(WITH_WINDOW), &data, |_| {}).await;
    fill(ours.address, base).await;
    fill(theirs.address, base).await;
    let wanted = samples(theirs.address, until).await;
    assert_eq!(wanted.as_array().unwrap().len(), 2);
    assert_eq!(samples(ours.address, until).await, wanted);
    ours.stop().await.unwrap();
    // Killed: its samples are in its two logs and in its mapped chunks.
    let left = theirs.kill();
    let theirs = start_reference_in(dir, WITH_WINDOW, FLAGS).await.unwrap();
    assert_eq!(samples(theirs.address, until).await, wanted);
    // And back again: what it made of our directory.
    let back = theirs.kill();
    for dir in [left, back] {
        let ours = start(text("global: {}\n"), &dir.path().join("data"), |_| {}).await;
        assert_eq!(samples(ours.address, until).await, wanted);
        ours.stop().await.unwrap();
    }
}
