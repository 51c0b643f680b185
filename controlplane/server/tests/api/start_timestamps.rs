//! The feature `created-timestamp-zero-ingestion` next to the real Prometheus: counters that tell their start get a
//! zero there.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use bellwether_server::{Feature, Features};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::otlp::{post, request};
use crate::remote_write::{Request, SNAPPY, V2};
use crate::support::{Running, eventually, field, get, send, start, start_reference, text, varint};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

fn now_ms() -> i64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
}

/// Seconds as a page writes them.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

/// Every kind of family, with starts within the last hour, long ago and in the future.
fn openmetrics(now: i64) -> String {
    let at = |before: i64| seconds(now - before);
    format!(
        "# TYPE c counter
c_total{{a=\"1\"}} 10
c_created{{a=\"1\"}} {}
c_total{{a=\"2\"}} 20
c_created{{a=\"2\"}} {}
# TYPE apart counter
apart_total{{a=\"1\"}} 1
apart_total{{a=\"2\"}} 2
apart_created{{a=\"1\"}} {}
apart_created{{a=\"2\"}} {}
# TYPE h histogram
h_bucket{{le=\"1\"}} 1
h_bucket{{le=\"+Inf\"}} 2
h_count 2
h_sum 3.5
h_created {}
# TYPE s summary
s{{quantile=\"0.5\"}} 4
s_count 5
s_created {}
s_sum 6
# TYPE old counter
old_total 7
old_created {}
# TYPE future counter
future_total 8
future_created {}
# TYPE g gauge
g 9
g_created {}
# TYPE u unknown
u_created 11
# EOF
",
        at(600_000),
        at(500_000),
        at(400_000),
        at(300_000),
        at(250_500),
        at(200_000),
        at(3 * 3_600_000),
        at(-60_000),
        at(100_000),
    )
}

fn double(out: &mut Vec<u8>, number: u8, v: f64) {
    out.push(number << 3 | 1);
    out.extend_from_slice(&v.to_le_bytes());
}

fn integer(out: &mut Vec<u8>, number: u8, v: u64) {
    out.push(number << 3);
    varint(out, v);
}

fn timestamp(ms: i64) -> Vec<u8> {
    let mut out = Vec::new();
    integer(&mut out, 1, (ms / 1000).cast_unsigned());
    integer(&mut out, 2, (ms % 1000 * 1_000_000).cast_unsigned());
    out
}

/// A family of one metric without labels; `content` is the field of its type.
fn family(out: &mut Vec<u8>, name: &str, kind: u64, number: u8, content: &[u8]) {
    let mut metric = Vec::new();
    field(&mut metric, number, content);
    let mut family = Vec::new();
    field(&mut family, 1, name.as_bytes());
    integer(&mut family, 3, kind);
    field(&mut family, 4, &metric);
    varint(out, family.len() as u64);
    out.extend_from_slice(&family);
}

fn protobuf(now: i64) -> Vec<u8> {
    let mut page = Vec::new();
    let mut counter = Vec::new();
    double(&mut counter, 1, 5.0);
    field(&mut counter, 3, &timestamp(now - 90_500));
    family(&mut page, "p_total", 0, 3, &counter);
    let mut summary = Vec::new();
    integer(&mut summary, 1, 3);
    double(&mut summary, 2, 1.5);
    field(&mut summary, 4, &timestamp(now - 80_000));
    family(&mut page, "p_summary", 2, 4, &summary);
    let mut classic = Vec::new();
    integer(&mut classic, 1, 3);
    double(&mut classic, 2, 1.5);
    let mut bucket = Vec::new();
    integer(&mut bucket, 1, 2);
    double(&mut bucket, 2, 0.5);
    field(&mut classic, 3, &bucket);
    field(&mut classic, 15, &timestamp(now - 70_000));
    family(&mut page, "p_classic", 4, 7, &classic);
    let mut native = Vec::new();
    integer(&mut native, 1, 3);
    double(&mut native, 2, 1.5);
    // Signed numbers are zig-zag coded: 2 is schema 1.
    integer(&mut native, 5, 2);
    double(&mut native, 6, 0.001);
    integer(&mut native, 7, 1);
    field(&mut native, 12, &[0x08, 0x02, 0x10, 0x01]);
    field(&mut native, 13, &[4]);
    field(&mut native, 15, &timestamp(now - 60_000));
    family(&mut page, "p_native", 4, 7, &native);
    page
}

/// Pages that a test changes, and what scrapers asked for.
#[derive(Default)]
struct Pages {
    openmetrics: String,
    protobuf: Vec<u8>,
    accepted: Vec<String>,
}

/// Serves the pages until the test's runtime ends.
async fn serve(pages: &Arc<Mutex<Pages>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (a, b) = (Arc::clone(pages), Arc::clone(pages));
    let lines = move |headers: HeaderMap| async move {
        let mut pages = a.lock();
        let accept = headers["accept"].to_str().unwrap().to_owned();
        pages.accepted.push(accept);
        ([("content-type", OPENMETRICS)], pages.openmetrics.clone())
    };
    let messages = move || async move { ([("content-type", PROTOBUF)], b.lock().protobuf.clone()) };
    let app = axum::Router::new()
        .route("/lines", axum::routing::get(lines))
        .route("/messages", axum::routing::get(messages));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Samples of each series that are older than a time, and the number of all samples of the series.
async fn before(
    address: SocketAddr,
    matcher: &str,
    ms: i64,
) -> BTreeMap<String, (Vec<Value>, bool)> {
    let path = format!("/api/v1/query?query=%7B{matcher}%7D%5B1d%5D");
    let answer = get(address, &path).await.json();
    let mut out = BTreeMap::new();
    for row in answer["data"]["result"].as_array().unwrap() {
        let mut samples = Vec::new();
        let mut newer = false;
        for key in ["values", "histograms"] {
            for sample in row[key].as_array().into_iter().flatten() {
                if sample[0].as_f64().unwrap() * 1000.0 < ms as f64 {
                    samples.push(sample.clone());
                } else {
                    newer = true;
                }
            }
        }
        out.insert(row["metric"].to_string(), (samples, newer));
    }
    out
}

async fn ours(config: &str, dir: &std::path::Path) -> Running {
    start(text(config), &dir.join("data"), |s| {
        s.web.enable_otlp_receiver = true;
        s.features = Features::of(&[
            Feature::CreatedTimestampZeroIngestion,
            Feature::NativeHistograms,
        ]);
    })
    .await
}

/// Whether a job was scraped so many times.
async fn scrapes(address: SocketAddr, job: &str, n: u64) -> bool {
    let path = format!("/api/v1/query?query=count_over_time(up%7Bjob=%22{job}%22%7D%5B1h%5D)");
    let answer = get(address, &path).await.json();
    let value = answer["data"]["result"][0]["value"][1].as_str();
    value.is_some_and(|v| v.parse::<u64>().unwrap() >= n)
}

#[tokio::test]
async fn scraped_counters_begin_where_prometheus_lets_them() {
    scraped("").await;
}

/// What may come out of order for samples may not for starts: they would come again and again.
#[tokio::test]
async fn scraped_counters_begin_in_order_only() {
    scraped("storage: {tsdb: {out_of_order_time_window: 6h}}\n").await;
}

async fn scraped(storage: &str) {
    let begin = now_ms();
    let pages = Arc::new(Mutex::new(Pages {
        openmetrics: openmetrics(begin),
        protobuf: protobuf(begin),
        accepted: Vec::new(),
    }));
    let target = serve(&pages).await;
    let job = |name: &str| {
        format!(
            "- job_name: {name}\n  metrics_path: /{name}\n  scrape_interval: 1s\n  static_configs: [{{targets: [\"{target}\"]}}]\n"
        )
    };
    let config = format!(
        "{storage}scrape_configs:\n{}{}",
        job("lines"),
        job("messages")
    );
    let flags = ["--enable-feature=created-timestamp-zero-ingestion,native-histograms"];
    let Some(theirs) = start_reference(&config, &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = ours(&config, dir.path()).await;
    let both = [ours.address, theirs.address];
    for address in both {
        eventually("two scrapes", || async move {
            scrapes(address, "lines", 2).await && scrapes(address, "messages", 2).await
        })
        .await;
    }
    let zeros = |address| async move {
        let mut all = before(address, "job=%22lines%22", begin).await;
        all.extend(before(address, "job=%22messages%22", begin).await);
        all
    };
    let (mine, wanted) = (zeros(ours.address).await, zeros(theirs.address).await);
    // Ours as newer versions: the zero has the schema and the zero bucket of its histogram. JSON shows neither.
    assert_eq!(mine, wanted);
    let series_with_zero = mine.values().filter(|(zeros, _)| !zeros.is_empty());
    assert_eq!(series_with_zero.count(), 18);
    for accept in &pages.lock().accepted {
        assert!(
            accept.starts_with("application/vnd.google.protobuf;"),
            "{accept}"
        );
    }
    // A counter begins anew between two scrapes.
    let again = now_ms();
    let restarted = |page: &str| page.replace(&seconds(begin - 600_000), &seconds(again));
    let page = restarted(&pages.lock().openmetrics);
    pages.lock().openmetrics = page;
    for address in both {
        let path = format!(
            "/api/v1/query?query=c_total%7Ba=%221%22%7D%5B1m%5D&time={}",
            again / 1000 + 30
        );
        eventually("the counter's second zero", || async {
            let answer = get(address, &path).await.json();
            let samples = answer["data"]["result"][0]["values"].as_array().cloned();
            let zero = json!([again as f64 / 1000.0, "0"]);
            samples.is_some_and(|s| s.contains(&zero))
        })
        .await;
    }
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn written_counters_begin_where_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let ours = ours("", dir.path()).await;
    let t = now_ms() / 1000 * 1000 - 600_000;
    let mut written = Request::default();
    written.add(
        &[("__name__", "w_total"), ("job", "w")],
        &[(t, 5.0, t - 7000), (t + 1000, 6.0, t - 7000)],
        &[],
        &[],
    );
    let sent = send(
        ours.address,
        "POST",
        "/api/v1/write",
        &[V2, SNAPPY],
        written.body(),
    )
    .await;
    assert_eq!(sent.status, 204, "{}", sent.body);
    // What the sender hears of is what it sent.
    assert_eq!(
        sent.header("x-prometheus-remote-write-samples-written"),
        "2"
    );
    let ns = |ms: i64| (ms * 1_000_000).to_string();
    let metrics = json!([
        {"name": "o", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [
            {"startTimeUnixNano": ns(t - 3000), "timeUnixNano": ns(t), "asInt": "4"}]}},
        {"name": "e", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [
            {"startTimeUnixNano": ns(t - 2000), "timeUnixNano": ns(t), "count": "3", "sum": 2.0, "scale": 1,
             "positive": {"offset": 0, "bucketCounts": ["3"]}}]}},
    ]);
    assert_eq!(post(ours.address, &request(&metrics)).await.status, 200);
    let zeros = |name: &'static str| {
        let address = ours.address;
        async move {
            let found = before(address, &format!("__name__=%22{name}%22"), t).await;
            let mut samples = found.into_values();
            samples.next().map(|(zeros, _)| zeros)
        }
    };
    let s = |ms: i64| ms / 1000;
    assert_eq!(
        zeros("w_total").await,
        Some(vec![json!([s(t - 7000), "0"])])
    );
    assert_eq!(
        zeros("o_total").await,
        Some(vec![json!([s(t - 3000), "0"])])
    );
    assert_eq!(
        zeros("e").await,
        Some(vec![json!([s(t - 2000), {"count": "0", "sum": "0"}])])
    );
    // From nothing to three observations in two seconds.
    let path = format!(
        "/api/v1/query?query=histogram_count(increase(e%5B2s500ms%5D))&time={}",
        s(t)
    );
    let answer = get(ours.address, &path).await.json();
    let increase: f64 = answer["data"]["result"][0]["value"][1]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((increase - 3.0).abs() < 0.01, "{increase}");
    ours.stop().await.unwrap();
}
