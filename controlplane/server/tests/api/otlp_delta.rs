//! The features `otlp-deltatocumulative` and `otlp-native-delta-ingestion`.

use std::net::SocketAddr;

use bellwether_server::{Feature, Features};
use serde_json::{Value, json};

use crate::otlp::{attributes, now_s, post, request, stored};
use crate::support::{Running, get, start, text};

async fn server(feature: Feature) -> (Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |s| {
        s.web.enable_otlp_receiver = true;
        s.features = Features::of(&[feature]);
    })
    .await;
    (ours, dir)
}

fn ns(seconds: u64) -> String {
    format!("{seconds}000000000")
}

/// Points (start, time, value) of a counter.
fn counter(points: &[(u64, u64, u64)]) -> Value {
    let points: Vec<Value> = (points.iter())
        .map(|(start, t, v)| {
            json!({"startTimeUnixNano": ns(*start), "timeUnixNano": ns(*t), "asInt": v.to_string(),
                   "attributes": attributes(&[("a", "b")])})
        })
        .collect();
    json!([{"name": "c", "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": points}}])
}

/// One value of each kind of histogram, all observations in one bucket.
fn histograms(t: u64, n: u64) -> Value {
    let common = |mut point: Value| {
        point["timeUnixNano"] = ns(t).into();
        point["count"] = n.to_string().into();
        point["sum"] = (n as f64 * 1.5).into();
        json!([point])
    };
    json!([
        {"name": "h", "histogram": {"aggregationTemporality": 1, "dataPoints": common(json!({
            "bucketCounts": ["0", n.to_string()], "explicitBounds": [1.0]}))}},
        {"name": "e", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": common(json!({
            "scale": 0, "positive": {"offset": 0, "bucketCounts": [n.to_string()]}}))}},
    ])
}

/// Times and values of the only series of a name.
async fn samples(address: SocketAddr, name: &str) -> Value {
    let path = format!("/api/v1/query?query={name}%5B1h%5D");
    let answer = get(address, &path).await.json();
    answer["data"]["result"][0]["values"].clone()
}

#[tokio::test]
async fn deltas_add_up_over_requests() {
    let (ours, _dir) = server(Feature::OtlpDeltaToCumulative).await;
    let t = now_s() - 300;
    let send = |metrics: Value| async move { post(ours.address, &request(&metrics)).await.status };
    let points = [(t - 10, t, 1), (t, t + 10, 2)];
    assert_eq!(send(counter(&points)).await, 200);
    // One that comes late and one that comes again are taken and count for nothing.
    let points = [(t - 5, t + 5, 4), (t, t + 10, 8), (t + 10, t + 20, 16)];
    assert_eq!(send(counter(&points)).await, 200);
    assert_eq!(send(counter(&[(t + 10, t + 20, 32)])).await, 200);
    assert_eq!(
        samples(ours.address, "c_total").await,
        json!([[t, "1"], [t + 10, "3"], [t + 20, "19"]])
    );
    for (i, n) in [2, 3].into_iter().enumerate() {
        assert_eq!(send(histograms(t + 30 + 10 * i as u64, n)).await, 200);
    }
    let rows = stored(ours.address, t + 40).await;
    let id = "instance=i1,job=shop/api";
    for row in [
        format!("h_bucket{{{id},le=1}} 0"),
        format!("h_bucket{{{id},le=+Inf}} 5"),
        format!("h_count{{{id}}} 5"),
        format!("h_sum{{{id}}} 7.5"),
        format!(
            "e{{{id}}} {}",
            json!({"buckets": [[0, "1", "2", "5"]], "count": "5", "sum": "7.5"})
        ),
    ] {
        assert!(rows.contains(&row), "{row}: {rows:#?}");
    }
    // The type is that of a counter.
    let answer = get(ours.address, "/api/v1/query?query=rate(e%5B5m%5D)").await;
    assert_eq!(answer.json()["warnings"], Value::Null, "{}", answer.body);
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn native_deltas_are_stored_as_they_are() {
    let (ours, _dir) = server(Feature::OtlpNativeDelta).await;
    let t = now_s() - 300;
    let points = [(t - 10, t, 1), (t, t + 10, 2), (t + 10, t + 20, 16)];
    let sent = post(ours.address, &request(&counter(&points))).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    assert_eq!(
        samples(ours.address, "c_total").await,
        json!([[t, "1"], [t + 10, "2"], [t + 20, "16"]])
    );
    // A delta histogram is a gauge: it has no rate.
    for (i, n) in [2, 3].into_iter().enumerate() {
        let metrics = histograms(t + 30 + 10 * i as u64, n);
        let sent = post(ours.address, &request(&metrics)).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
    }
    let path = format!("/api/v1/query?query=rate(e%5B5m%5D)&time={}", t + 40);
    let answer = get(ours.address, &path).await.json();
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("not a counter"), "{answer}");
    ours.stop().await.unwrap();
}
