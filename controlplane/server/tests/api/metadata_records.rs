//! The feature `metadata-wal-records` next to the real Prometheus: what targets say of their metrics is in the log, and
//! remote write 2.0 sends it along.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::body::Bytes;
use bellwether_otlp::wire::{WireReader, WireValue};
use bellwether_server::{Feature, Features};
use parking_lot::Mutex;
use serde_json::json;
use tokio::net::TcpListener;

use crate::otlp::{now_s, post, request};
use crate::remote_write::{Request, SNAPPY, V2};
use crate::support::{
    Running, WRITE_HEADERS, Written, eventually, send, start, start_reference, text, write_request,
};

/// Families with and without metadata of their own, and series that stand behind a family without being its.
const PAGE: &str = "\
# HELP a Says \\\\ more.
# TYPE a counter
a_total 1
a 2
stranger 3
# TYPE h_seconds histogram
# UNIT h_seconds seconds
# HELP h_seconds Time.
h_seconds_bucket{le=\"1\"} 1
h_seconds_bucket{le=\"+Inf\"} 1
h_seconds_count 1
h_seconds_sum 0.5
h_seconds_other 7
# HELP only_help Only.
only_help 4
# TYPE renamed gauge
# HELP renamed Before.
renamed 5
# EOF
";

/// Type, help and unit of each series by name (and job) that a receiver got.
type Seen = BTreeMap<String, (u64, String, String)>;

/// What one end of the test is: a target with the page, a receiver of remote write 2.0.
#[derive(Clone, Default)]
struct Peer {
    page: Arc<Mutex<String>>,
    seen: Arc<Mutex<Seen>>,
}

impl Peer {
    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (page, seen) = (Arc::clone(&self.page), Arc::clone(&self.seen));
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let metrics =
            move || async move { ([("content-type", content_type)], page.lock().clone()) };
        let receive = move |body: Bytes| async move {
            let bytes = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
            note(&bytes, &mut seen.lock());
            let written = [
                ("x-prometheus-remote-write-samples-written", "1"),
                ("x-prometheus-remote-write-histograms-written", "0"),
                ("x-prometheus-remote-write-exemplars-written", "0"),
            ];
            (axum::http::StatusCode::NO_CONTENT, written)
        };
        let app = axum::Router::new()
            .route("/metrics", axum::routing::get(metrics))
            .route("/write", axum::routing::post(receive));
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    /// What came of the series of a job.
    fn of_job(&self, job: &str) -> Seen {
        let seen = self.seen.lock();
        let its = |key: &str| key.ends_with(&format!(" {job}"));
        let found = seen.iter().filter(|(key, _)| its(key));
        found.map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    async fn until(&self, what: &str, check: impl Fn(&Seen) -> bool) {
        eventually(what, || async { check(&self.of_job("page")) }).await;
    }
}

fn fields(body: &[u8]) -> impl Iterator<Item = (u32, WireValue<'_>)> {
    let mut reader = WireReader::new(body);
    std::iter::from_fn(move || reader.next_field().unwrap().map(|f| (f.number, f.value)))
}

fn packed(body: &[u8]) -> Vec<usize> {
    let mut reader = WireReader::new(body);
    let mut out = Vec::new();
    while !reader.is_empty() {
        out.push(reader.varint().unwrap() as usize);
    }
    out
}

/// `Request`: symbols 4, series 5 of label references 1 and metadata 5 (type 1, help 3, unit 4).
fn note(bytes: &[u8], seen: &mut Seen) {
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
    let mut symbols = Vec::new();
    for (number, value) in fields(bytes) {
        if let (4, WireValue::Bytes(b)) = (number, value) {
            symbols.push(text(b));
        }
    }
    for (number, value) in fields(bytes) {
        let (5, WireValue::Bytes(series)) = (number, value) else {
            continue;
        };
        let mut labels = BTreeMap::new();
        let (mut kind, mut help, mut unit) = (0, 0, 0);
        for (number, value) in fields(series) {
            match (number, value) {
                (1, WireValue::Bytes(refs)) => {
                    for pair in packed(refs).chunks_exact(2) {
                        labels.insert(symbols[pair[0]].clone(), symbols[pair[1]].clone());
                    }
                }
                (5, WireValue::Bytes(metadata)) => {
                    for field in fields(metadata) {
                        match field {
                            (1, WireValue::Varint(v)) => kind = v,
                            (3, WireValue::Varint(v)) => help = v as usize,
                            (4, WireValue::Varint(v)) => unit = v as usize,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        let job = labels.get("job").cloned().unwrap_or_default();
        let key = format!("{} {job}", labels["__name__"]);
        let metadata = (kind, symbols[help].clone(), symbols[unit].clone());
        seen.insert(key, metadata);
    }
}

fn config(target: SocketAddr, receiver: SocketAddr) -> String {
    format!(
        "scrape_configs:
- job_name: page
  scrape_interval: 1s
  static_configs: [{{targets: [\"{target}\"]}}]
  metric_relabel_configs:
  - {{source_labels: [__name__], regex: renamed, target_label: __name__, replacement: new_name}}
{}",
        remote_write(receiver)
    )
}

fn remote_write(receiver: SocketAddr) -> String {
    format!(
        "remote_write:\n- url: http://{receiver}/write\n  protobuf_message: io.prometheus.write.v2.Request\n"
    )
}

async fn ours(config: &str, dir: &Path) -> Running {
    start(text(config), &dir.join("data"), |s| {
        s.web.enable_otlp_receiver = true;
        s.features = Features::of(&[Feature::MetadataWalRecords]);
    })
    .await
}

/// Series of the page and of the scrapes' reports.
const SERIES: usize = 10 - 1 + 5;

#[tokio::test]
async fn scraped_metadata_goes_along_with_samples_also_after_a_restart() {
    let target = Peer::default();
    *target.page.lock() = PAGE.to_owned();
    let address = target.serve().await;
    let (for_ours, for_theirs) = (Peer::default(), Peer::default());
    let theirs_config = config(address, for_theirs.serve().await);
    let flags = ["--enable-feature=metadata-wal-records"];
    let Some(_theirs) = start_reference(&theirs_config, &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours_config = config(address, for_ours.serve().await);
    let server = ours(&ours_config, dir.path()).await;
    for peer in [&for_ours, &for_theirs] {
        peer.until("all series are sent", |seen| seen.len() == SERIES)
            .await;
    }
    let wanted = for_theirs.of_job("page");
    assert_eq!(for_ours.of_job("page"), wanted);
    assert_eq!(
        wanted["a_total page"],
        (1, r"Says \ more.".to_owned(), String::new())
    );
    // What changes is sent anew.
    let changed = PAGE.replace("Time.", "Duration.");
    (*target.page.lock()).clone_from(&changed);
    for peer in [&for_ours, &for_theirs] {
        peer.until("the new help is sent", |seen| {
            let helps = seen.iter().filter(|(_, m)| m.1 == "Duration.");
            helps.count() == 3
        })
        .await;
    }
    let wanted = for_theirs.of_job("page");
    assert_eq!(for_ours.of_job("page"), wanted);
    server.stop().await.unwrap();

    // The log still has it: a receiver that is new hears of it with a sample that comes without.
    let again = Peer::default();
    let server = ours(&remote_write(again.serve().await), dir.path()).await;
    let instance = address.to_string();
    let labels = [
        ("__name__", "a_total"),
        ("instance", instance.as_str()),
        ("job", "page"),
    ];
    let sample = write_request(&[Written {
        labels: &labels,
        samples: vec![(now_s() as i64 * 1000 + 60_000, 1.0)],
    }]);
    let sent = send(
        server.address,
        "POST",
        "/api/v1/write",
        WRITE_HEADERS,
        sample,
    )
    .await;
    assert_eq!(sent.status, 204, "{}", sent.body);
    again
        .until("the sample is sent", |seen| {
            seen.contains_key("a_total page")
        })
        .await;
    assert_eq!(again.of_job("page")["a_total page"], wanted["a_total page"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn received_metadata_is_sent_on() {
    let peer = Peer::default();
    let receiver = peer.serve().await;
    let dir = tempfile::tempdir().unwrap();
    let server = ours(&remote_write(receiver), dir.path()).await;
    let t = now_s() as i64 * 1000;
    let mut written = Request::default();
    written.add(
        &[("__name__", "w_total"), ("job", "page")],
        &[(t, 1.0, 0)],
        &[],
        &[],
    );
    let sent = send(
        server.address,
        "POST",
        "/api/v1/write",
        &[V2, SNAPPY],
        written.body(),
    )
    .await;
    assert_eq!(sent.status, 204, "{}", sent.body);
    let ns = (t * 1_000_000).to_string();
    let metrics = json!([{"name": "o", "unit": "s", "description": "Of OTLP.", "gauge": {"dataPoints": [
        {"timeUnixNano": ns, "asInt": "4"}]}}]);
    assert_eq!(post(server.address, &request(&metrics)).await.status, 200);
    peer.until("the series come", |seen| seen.contains_key("w_total page"))
        .await;
    eventually("OTLP's series come", || async {
        peer.of_job("shop/api").len() == 2
    })
    .await;
    let text = str::to_owned;
    let said = (1, text("Help."), text("seconds"));
    assert_eq!(peer.of_job("page")["w_total page"], said);
    let of_otlp = peer.of_job("shop/api");
    let said = (2, text("Of OTLP."), text("seconds"));
    assert_eq!(of_otlp["o_seconds shop/api"], said);
    let said = (2, text("Target metadata"), text(""));
    assert_eq!(of_otlp["target_info shop/api"], said);
    server.stop().await.unwrap();
}
