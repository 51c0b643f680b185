//! The query log next to that of the real Prometheus, and the file of active queries.

use std::path::Path;

use bellwether_server::ConfigSource;
use serde_json::Value;

use crate::support::{get, send, start, start_reference};

const CONFIG: &str = "global: {query_log_file: q.log}\n";

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What does not differ from run to run, and is in 3.5 already.
fn comparable(mut line: Value) -> Value {
    let members = line.as_object_mut().unwrap();
    for name in ["time", "source", "traceID"] {
        members.remove(name);
    }
    let timings = line["stats"]["timings"].as_object_mut().unwrap();
    for value in timings.values_mut() {
        assert!(value.as_f64().unwrap() >= 0.0);
        *value = Value::Null;
    }
    // How many samples are held at one time is the engine's own.
    line["stats"]["samples"]["peakSamples"] = Value::Null;
    line
}

#[tokio::test]
async fn queries_are_logged_as_by_prometheus() {
    let Some(theirs) = start_reference(CONFIG, &["--web.enable-lifecycle"]).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("p.yml");
    std::fs::write(&config, CONFIG).unwrap();
    let ours = start(ConfigSource::File(config), &dir.path().join("data"), |_| {}).await;
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for address in [ours.address, theirs.address] {
        get(address, "/api/v1/query?query=up%3E1&time=5.5").await;
        let body = b"query=sum(up%7Ba%3D%22%3Cb%3E%22%7D)&start=1&end=400&step=90".to_vec();
        send(address, "POST", "/api/v1/query_range", &form, body).await;
        // Not executed: not logged.
        get(address, "/api/v1/query?query=up%2B").await;
        get(
            address,
            "/api/v1/query?query=label_replace(vector(1),%22x%22,%22%22,%22y%22,%22(%22)&time=1",
        )
        .await;
    }
    let log = dir.path().join("q.log");
    let (a, b) = (lines(&log), lines(&theirs.dir().join("q.log")));
    assert_eq!(a.len(), 3);
    let comparable = |all: Vec<Value>| all.into_iter().map(comparable).collect::<Vec<_>>();
    assert_eq!(comparable(a), comparable(b));
    // As tools that rotate logs do.
    std::fs::rename(&log, dir.path().join("q.log.1")).unwrap();
    assert_eq!(
        send(ours.address, "POST", "/-/reload", &[], Vec::new())
            .await
            .status,
        200
    );
    get(ours.address, "/api/v1/query?query=1").await;
    assert_eq!(lines(&log).len(), 1);
    // A log that cannot be opened keeps the running configuration.
    std::fs::write(
        dir.path().join("p.yml"),
        "global: {query_log_file: no/such/q.log}\n",
    )
    .unwrap();
    let refused = send(ours.address, "POST", "/-/reload", &[], Vec::new()).await;
    assert_eq!(refused.status, 500, "{refused:?}");
    get(ours.address, "/api/v1/query?query=1").await;
    assert_eq!(lines(&log).len(), 2);
    std::fs::write(dir.path().join("p.yml"), "").unwrap();
    send(ours.address, "POST", "/-/reload", &[], Vec::new()).await;
    get(ours.address, "/api/v1/query?query=1").await;
    assert_eq!(lines(&log).len(), 2);
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn the_file_of_active_queries_has_prometheus_form() {
    let Some(theirs) = start_reference("", &["--query.max-concurrency=7"]).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let ours = start(crate::support::text(""), &data, |s| {
        s.query.max_concurrency = 7;
    })
    .await;
    get(ours.address, "/api/v1/query?query=1").await;
    get(theirs.address, "/api/v1/query?query=1").await;
    let file = |data: &Path| {
        let bytes = std::fs::read(data.join("queries.active")).unwrap();
        (
            bytes.len(),
            bytes.into_iter().filter(|b| *b != 0).collect::<Vec<u8>>(),
        )
    };
    assert_eq!(file(&data), file(&theirs.dir().join("data")));
    ours.stop().await.unwrap();
}
