//! Statistics of queries next to the real Prometheus.

use bellwether_server::{Feature, Features};
use serde_json::Value;

use crate::support::{
    WRITE_HEADERS, Written, get, send, start, start_reference, text, write_histograms,
    write_request,
};

/// What does not depend on clocks and on how an engine keeps samples.
fn samples(answer: &Value) -> Value {
    let mut samples = answer["data"]["stats"]["samples"].clone();
    match samples.as_object_mut() {
        Some(members) => members.remove("peakSamples"),
        None => return answer.clone(),
    };
    samples
}

#[tokio::test]
async fn samples_are_counted_as_by_prometheus() {
    let flags = [
        "--web.enable-remote-write-receiver",
        "--enable-feature=promql-per-step-stats,native-histograms",
    ];
    let Some(theirs) = start_reference("", &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |s| {
        s.features = Features::of(&[Feature::PromqlPerStepStats]);
    })
    .await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    let base = (now / 60 * 60 - 900) * 1000;
    let times: Vec<i64> = (0..40).map(|i| base + i * 15_000).collect();
    let floats = |job: &str| {
        let samples = times.iter().map(|t| (*t, *t as f64)).collect();
        write_request(&[Written {
            labels: &[("__name__", "up"), ("job", job)],
            samples,
        }])
    };
    let native = write_histograms(&[("__name__", "native")], &times);
    for body in [floats("a"), floats("b"), native] {
        for address in [ours.address, theirs.address] {
            send(
                address,
                "POST",
                "/api/v1/write",
                WRITE_HEADERS,
                body.clone(),
            )
            .await;
        }
    }
    let (start_s, end_s) = (base / 1000 - 30, base / 1000 + 300);
    let mut differences = Vec::new();
    for expr in [
        "up",
        "1",
        "up%20%2B%20on(job)%20up",
        "rate(up%5B1m%5D)",
        "sum(rate(up%5B1m%5D))%20%2F%20count(up)",
        "native",
        "rate(native%5B1m%5D)",
        "up%20offset%201m",
        // What is evaluated once counts at every step.
        "up%20%2B%20on(job)%20(up%20@%20start())",
        "rate(up%5B1m%5D%20@%20end())",
        "sum(native)%20%2B%20count(native)",
        "timestamp(up)",
        "absent_over_time(up%5B45s%5D)",
        "quantile_over_time(scalar(up%7Bjob=%22a%22%7D),up%5B1m%5D)",
        // Windows over sub-queries count what they hold, whatever was read for them.
        "max_over_time(rate(up%5B1m%5D)%5B2m:30s%5D)",
        "max_over_time(up%5B30s:30s%5D)%20%2B%20up",
        "sum_over_time(avg_over_time(up%5B1m:15s%5D)%5B2m:30s%5D)",
        "count_over_time(native%5B1m:30s%5D)",
        "max_over_time(up%5B2m:30s%5D%20@%20start())",
    ] {
        for path in [
            format!("/api/v1/query?query={expr}&time={end_s}.5&stats=all"),
            format!("/api/v1/query?query={expr}&time={end_s}&stats=true"),
            format!(
                "/api/v1/query_range?query={expr}&start={start_s}&end={end_s}&step=30&stats=all"
            ),
            format!(
                "/api/v1/query_range?query={expr}&start={start_s}.5&end={end_s}&step=0.5m&stats=true"
            ),
        ] {
            let (a, b) = (
                get(ours.address, &path).await,
                get(theirs.address, &path).await,
            );
            let (a, b) = (samples(&a.json()), samples(&b.json()));
            if a != b {
                differences.push(format!("{path}\n  ours   {a}\n  theirs {b}"));
            }
        }
    }
    ours.stop().await.unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
