//! The feature `type-and-unit-labels`: what metadata says becomes labels, whichever way samples come in.

use bellwether_server::{Feature, Features};
use tokio::net::TcpListener;

use crate::otlp::{every_kind, now_s, post, request, stored};
use crate::remote_write::{Request, SNAPPY, V2};
use crate::support::{eventually, get, send, start, start_reference, text};

/// The family with a unit comes last: Prometheus keeps the unit for all families that follow, ours is its family's only.
const PAGE: &str = "\
# TYPE b gauge
b 2
# TYPE h histogram
h_bucket{le=\"1\"} 1
h_bucket{le=\"+Inf\"} 1
h_count 1
h_sum 0.5
# TYPE u unknown
u{__type__=\"kept\"} 3
# TYPE a_seconds counter
# UNIT a_seconds seconds
# HELP a_seconds Help.
a_seconds_total{__unit__=\"mine\",__type__=\"mine\"} 1
# EOF
";

/// Serves the page until the test's runtime ends.
async fn target() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let page = move || async move { ([("content-type", content_type)], PAGE) };
    let app = axum::Router::new().route("/metrics", axum::routing::get(page));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// All series of a job, without those that only one of two servers reports.
async fn series(address: std::net::SocketAddr, job: &str) -> Vec<String> {
    let path =
        format!("/api/v1/series?match[]=%7Bjob=%22{job}%22,__name__!~%22scrape_.*%7Cup%22%7D");
    let answer = get(address, &path).await.json();
    let list = answer["data"].as_array().cloned().unwrap_or_default();
    let mut all: Vec<String> = list.iter().map(ToString::to_string).collect();
    all.sort();
    all
}

#[tokio::test]
async fn scraped_and_written_series_have_the_labels_of_prometheus() {
    let target = target().await;
    let config = format!(
        "scrape_configs:\n- job_name: page\n  scrape_interval: 1s\n  static_configs:\n  - targets: [\"{target}\"]\n"
    );
    let flags = [
        "--web.enable-remote-write-receiver",
        "--enable-feature=type-and-unit-labels",
    ];
    let Some(theirs) = start_reference(&config, &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(&config), &dir.path().join("data"), |s| {
        s.features = Features::of(&[Feature::TypeAndUnitLabels]);
    })
    .await;
    let t = now_s() as i64 * 1000 - 60_000;
    let mut written = Request::default();
    written.add(
        &[
            ("__name__", "w_total"),
            ("__type__", "gauge"),
            ("job", "written"),
        ],
        &[(t, 1.0, 0)],
        &[],
        &[],
    );
    for address in [ours.address, theirs.address] {
        let sent = send(
            address,
            "POST",
            "/api/v1/write",
            &[V2, SNAPPY],
            written.body(),
        )
        .await;
        assert_eq!(sent.status, 204, "{}", sent.body);
        eventually("the page is scraped", || async {
            series(address, "page").await.len() == 7
        })
        .await;
    }
    let wanted = series(theirs.address, "page").await;
    assert_eq!(series(ours.address, "page").await, wanted);
    // 3.5 leaves written series as they are; newer ones do this.
    assert_eq!(
        series(ours.address, "written").await,
        [r#"{"__name__":"w_total","__type__":"counter","__unit__":"seconds","job":"written"}"#]
    );
    // The type says what is a counter, not the name.
    let answer = get(ours.address, "/api/v1/query?query=rate(b%5B5m%5D)")
        .await
        .json();
    let said = r#"PromQL info: metric might not be a counter, __type__ label is not set to "counter" or "histogram", got "gauge": "b" (1:6)"#;
    assert_eq!(answer["infos"], serde_json::json!([said]));
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn otlp_metrics_bring_their_types_and_units() {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |s| {
        s.web.enable_otlp_receiver = true;
        s.features = Features::of(&[Feature::TypeAndUnitLabels]);
    })
    .await;
    let t = now_s() - 60;
    assert_eq!(
        post(ours.address, &request(&every_kind(t))).await.status,
        200
    );
    let rows = stored(ours.address, t).await;
    let said = |name: &str| -> Vec<String> {
        let row = rows
            .iter()
            .find(|row| row.starts_with(&format!("{name}{{")));
        let labels = row
            .and_then(|row| row.split_once('{'))
            .map_or("", |(_, rest)| rest);
        labels
            .split(['{', ',', '}'])
            .filter(|label| label.starts_with("__"))
            .map(str::to_owned)
            .collect()
    };
    for (name, labels) in [
        ("http_requests_total", vec!["__type__=counter"]),
        (
            "latency_seconds_bucket",
            vec!["__type__=histogram", "__unit__=seconds"],
        ),
        (
            "memory_used_bytes",
            vec!["__type__=gauge", "__unit__=bytes"],
        ),
        ("queue_depth_ratio", vec!["__type__=gauge"]),
        ("sizes", vec!["__type__=histogram"]),
        ("rpc_count", vec!["__type__=summary"]),
        ("target_info", vec!["__type__=gauge"]),
    ] {
        assert_eq!(said(name), labels, "{name}: {rows:#?}");
    }
    ours.stop().await.unwrap();
}
