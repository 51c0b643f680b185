//! From commits to a receiver over real sockets.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bellwether_model::storage::Appendable;
use bellwether_model::{Labels, MetricType};
use bellwether_telemetry::Registry;
use bellwether_tsdb::{Db, DbOptions};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{FamilyMetadata, RemoteWriter, Sources};
use crate::config::{RemoteWriteConfig, WriteSettings};
use crate::request::{TimeSeries, decode};

/// What a receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// Stores it and answers a status.
    Store(u16),
    /// Answers a status and a `Retry-After`.
    Refuse(u16, Option<&'static str>),
    /// Never answers.
    Hang,
    /// Closes the connection.
    Close,
    /// Stores it and closes the connection: the sender does not know.
    StoreAndClose,
}

type Stored = BTreeMap<String, Vec<(i64, u64)>>;

#[derive(Default)]
struct State {
    /// Answers to come; then all is stored.
    script: parking_lot::Mutex<VecDeque<Answer>>,
    stored: parking_lot::Mutex<Stored>,
    metadata: parking_lot::Mutex<Vec<String>>,
    heads: parking_lot::Mutex<Vec<HeaderMap>>,
    bodies: parking_lot::Mutex<Vec<Bytes>>,
    requests: AtomicUsize,
}

/// A receiver of version 1.
struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    async fn start(script: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, script)
    }

    fn on(listener: TcpListener, script: &[Answer]) -> Self {
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        state.script.lock().extend(script);
        let own = Arc::clone(&state);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&own);
                let service =
                    hyper::service::service_fn(move |request| answer(Arc::clone(&state), request));
                tokio::spawn(async move {
                    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self {
            address,
            state,
            task,
        }
    }

    fn stored(&self) -> Stored {
        self.state.stored.lock().clone()
    }

    fn count(&self) -> usize {
        self.state.stored.lock().values().map(Vec::len).sum()
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    state.requests.fetch_add(1, Ordering::Relaxed);
    state.heads.lock().push(head.headers);
    let next = state
        .script
        .lock()
        .pop_front()
        .unwrap_or(Answer::Store(204));
    let respond = |status: u16| Response::builder().status(status);
    let mut response = respond(204);
    match next {
        Answer::Store(status) => {
            store(&state, &body);
            response = respond(status);
        }
        Answer::Refuse(status, retry_after) => {
            response = respond(status);
            if let Some(text) = retry_after {
                response = response.header("retry-after", text);
            }
        }
        Answer::Hang => std::future::pending().await,
        // A handler that ends abnormally takes the connection with it.
        Answer::Close => panic!("closes the connection"),
        Answer::StoreAndClose => {
            store(&state, &body);
            panic!("closes the connection");
        }
    }
    Ok(response.body(Full::new(Bytes::from("a reason"))).unwrap())
}

/// Stores floats as Prometheus does: a request with a sample older than its series' newest is refused as a whole by the
/// caller, and the same sample again changes nothing.
fn store(state: &State, body: &Bytes) {
    state.bodies.lock().push(body.clone());
    let bytes = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let mut request = decode(&bytes);
    let mut series = TimeSeries::default();
    let mut stored = state.stored.lock();
    while request.next_series(&mut series).unwrap() {
        let all = stored.entry(format!("{:?}", series.labels)).or_default();
        for sample in &series.samples {
            let known = all.iter().any(|(t, _)| *t == sample.t);
            if !known {
                all.push((sample.t, sample.v.to_bits()));
            }
        }
    }
    let metadata = request.metadata().iter();
    state
        .metadata
        .lock()
        .extend(metadata.map(|m| format!("{} {:?} {} {}", m.family, m.kind, m.help, m.unit)));
}

fn entry(yaml: &str) -> WriteSettings {
    let config: RemoteWriteConfig = serde_saphyr::from_str(yaml).unwrap();
    config.resolve(Path::new(".")).unwrap()
}

/// An entry that sends soon and retries soon.
fn quick(address: SocketAddr, more: &str) -> WriteSettings {
    let backoff = match more.contains("min_backoff") {
        true => "",
        false => "min_backoff: 5ms, ",
    };
    entry(&format!(
        "url: http://{address}/write\nname: r\nremote_timeout: 300ms\nmetadata_config: {{send: false}}\nqueue_config: {{batch_send_deadline: 20ms, {backoff}max_backoff: 50ms, max_samples_per_send: 50, {more}}}\n"
    ))
}

struct Sender {
    db: Arc<Db>,
    writer: RemoteWriter,
    registry: Registry,
}

fn start(dir: &Path) -> Sender {
    start_with(dir, Duration::ZERO)
}

fn start_with(dir: &Path, out_of_order_window: Duration) -> Sender {
    let options = DbOptions {
        out_of_order_window,
        ..DbOptions::default()
    };
    let db = Db::open(dir, options).unwrap();
    db.set_tailed(true);
    let own = Arc::clone(&db);
    let registry = Registry::new();
    let sources = Sources {
        log: db.log_tail(),
        ingested: Arc::new(move || own.ingested()),
        metadata: Arc::new(|| {
            let family = FamilyMetadata {
                family: "m".to_owned(),
                kind: MetricType::Counter,
                help: "Helps.".to_owned(),
                unit: "s".to_owned(),
            };
            vec![family.clone(), family]
        }),
        type_and_unit_labels: false,
        dir: dir.join("remote_write"),
        flush_deadline: Duration::from_secs(5),
        traces: Default::default(),
    };
    let writer = RemoteWriter::new(sources, &registry);
    Sender {
        db,
        writer,
        registry,
    }
}

impl Sender {
    async fn apply(&self, settings: Vec<WriteSettings>) {
        self.writer.apply(settings, &Labels::empty()).await.unwrap();
    }

    /// One sample of each of some series.
    fn commit(&self, series: usize, t: i64) {
        let mut appender = self.db.appender();
        for n in 0..series {
            let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())]);
            let reference = appender.series(&labels).unwrap();
            appender
                .append(reference, t, (t * 7 + n as i64) as f64)
                .unwrap();
        }
        appender.commit().unwrap();
    }

    /// A metric of the queue: the sum over its time series.
    fn metric(&self, name: &str) -> f64 {
        let page = self.registry.render_text();
        let values = page.lines().filter_map(|line| {
            let rest = line
                .strip_prefix("prometheus_remote_storage_")?
                .strip_prefix(name)?;
            rest.starts_with(['{', ' '])
                .then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        values.sum()
    }

    async fn stop(self) {
        self.writer.shutdown().await;
        self.db.close().unwrap();
    }
}

/// What [`Sender::commit`] wrote.
fn expected(series: usize, times: std::ops::Range<i64>) -> Stored {
    let of = |n: usize| {
        let samples = times
            .clone()
            .map(|t| (t, ((t * 7 + n as i64) as f64).to_bits()));
        let labels = format!("[(\"__name__\", \"m\"), (\"n\", \"{n}\")]");
        (labels, samples.collect())
    };
    (0..series).map(of).collect()
}

async fn eventually(what: &str, check: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !check() {
        assert!(Instant::now() < deadline, "not within 15 s: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_is_committed_arrives_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[]).await;
    let sender = start(dir.path());
    // Before there was an entry: not sent, but its series are known.
    sender.commit(7, 1);
    sender
        .apply(vec![quick(receiver.address, "min_shards: 3")])
        .await;
    for t in 2..300 {
        sender.commit(7, t);
    }
    eventually("all samples", || receiver.count() == 7 * 298).await;
    assert_eq!(receiver.stored(), expected(7, 2..300));
    assert_eq!(sender.metric("samples_failed_total"), 0.0);
    eventually("nothing pending", || {
        sender.metric("samples_pending") == 0.0
    })
    .await;
    assert_eq!(sender.metric("shards"), 3.0);
    let head = receiver.state.heads.lock()[0].clone();
    assert_eq!(head["x-prometheus-remote-write-version"], "0.1.0");
    assert_eq!(head["content-encoding"], "snappy");
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_that_may_pass_are_retried_until_they_pass() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[
        Answer::Refuse(500, None),
        Answer::Refuse(503, Some("0")),
        Answer::Refuse(429, Some("1")),
        Answer::Close,
        Answer::Hang,
        Answer::StoreAndClose,
    ])
    .await;
    let sender = start(dir.path());
    let entry = quick(receiver.address, "retry_on_http_429: true");
    sender.apply(vec![entry]).await;
    let begin = Instant::now();
    sender.commit(3, 10);
    eventually("all samples", || receiver.count() == 3).await;
    eventually("answered", || sender.metric("samples_pending") == 0.0).await;
    // The receiver asked for a second.
    assert!(begin.elapsed() >= Duration::from_secs(1));
    assert_eq!(receiver.state.requests.load(Ordering::Relaxed), 7);
    assert_eq!(sender.metric("samples_retried_total"), 18.0);
    assert_eq!(sender.metric("samples_failed_total"), 0.0);
    let last = receiver.state.heads.lock().last().unwrap().clone();
    assert_eq!(last["retry-attempt"], "6");
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_receiver_refuses_is_counted_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Answer::Refuse(400, None), Answer::Refuse(429, None)]).await;
    let sender = start(dir.path());
    sender.apply(vec![quick(receiver.address, "")]).await;
    sender.commit(2, 1);
    eventually("the first is refused", || {
        sender.metric("samples_failed_total") == 2.0
    })
    .await;
    sender.commit(2, 2);
    eventually("the second is refused", || {
        sender.metric("samples_failed_total") == 4.0
    })
    .await;
    sender.commit(2, 3);
    eventually("the third", || receiver.count() == 2).await;
    assert_eq!(receiver.stored(), expected(2, 3..4));
    sender.stop().await;
}

/// The receiver is away when samples come and when the process ends; what it missed follows after the next start, also
/// what was on its way when nobody knew whether it arrived.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for round in 0..3 {
        let sender = start(dir.path());
        sender.apply(vec![quick(address, "min_shards: 2")]).await;
        for t in 0..100 {
            sender.commit(5, 1 + round * 100 + t);
        }
        eventually("an attempt", || sender.metric("samples_total") > 0.0).await;
        sender.stop().await;
    }
    let receiver = Receiver::on(TcpListener::bind(address).await.unwrap(), &[]);
    let sender = start(dir.path());
    sender.apply(vec![quick(address, "min_shards: 2")]).await;
    sender.commit(5, 301);
    eventually("all samples", || receiver.count() == 5 * 301).await;
    assert_eq!(receiver.stored(), expected(5, 1..302));
    sender.stop().await;
    // Nothing is sent twice after a clean end.
    let requests = receiver.state.requests.load(Ordering::Relaxed);
    let sender = start(dir.path());
    sender.apply(vec![quick(address, "min_shards: 2")]).await;
    sender.commit(5, 302);
    eventually("the new ones", || receiver.count() == 5 * 302).await;
    assert!(receiver.state.requests.load(Ordering::Relaxed) - requests <= 2);
    sender.stop().await;
}

/// A batch that was stored without an answer is sent again as it was, and newer samples do not mix with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_batch_is_sent_again_unchanged_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Answer::StoreAndClose]).await;
    let sender = start(dir.path());
    sender
        .apply(vec![quick(receiver.address, "min_backoff: 50ms")])
        .await;
    sender.commit(4, 1);
    eventually("stored", || receiver.count() == 4).await;
    // Everything is away from now on.
    let address = receiver.address;
    let first = receiver.state.bodies.lock()[0].clone();
    drop(receiver);
    sender.commit(4, 2);
    sender.stop().await;
    let receiver = loop {
        // The old socket may take a moment to go.
        match TcpListener::bind(address).await {
            Ok(listener) => break Receiver::on(listener, &[]),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let sender = start(dir.path());
    sender
        .apply(vec![quick(address, "min_backoff: 50ms")])
        .await;
    sender.commit(4, 3);
    eventually("the rest", || receiver.count() == 12).await;
    let bodies = receiver.state.bodies.lock().clone();
    assert!(bodies.contains(&first), "the batch is not as it was");
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_survives_resharding() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[]).await;
    let sender = start(dir.path());
    sender
        .apply(vec![quick(receiver.address, "capacity: 100")])
        .await;
    for t in 1..400 {
        sender.commit(9, t);
        if t % 50 == 0 {
            let shared = Arc::clone(&sender.writer.queues.lock().await.all[0].shared);
            let wanted = 1 + (t as usize / 50) % 5;
            shared.wanted_shards.store(wanted, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    eventually("all samples", || receiver.count() == 9 * 399).await;
    assert_eq!(receiver.stored(), expected(9, 1..400));
    sender.stop().await;
}

/// A receiver that hangs costs full queues and no more; then everything arrives.
#[tokio::test(flavor = "multi_thread")]
async fn full_queues_hold_the_reading_up() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Answer::Hang; 3]).await;
    let sender = start(dir.path());
    sender
        .apply(vec![quick(receiver.address, "capacity: 100")])
        .await;
    for t in 1..500 {
        sender.commit(10, t);
    }
    eventually("full", || sender.metric("enqueue_retries_total") > 0.0).await;
    // One batch on its way, two that wait, one that is being filled.
    assert!(sender.metric("samples_pending") <= 200.0);
    eventually("all samples", || receiver.count() == 10 * 499).await;
    assert_eq!(receiver.stored(), expected(10, 1..500));
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_relabelled_and_dropped_series_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[]).await;
    let sender = start(dir.path());
    let entry = entry(&format!(
        "url: http://{}/write\nqueue_config: {{batch_send_deadline: 20ms, sample_age_limit: 1h}}\nwrite_relabel_configs:\n- {{source_labels: [n], regex: '1', action: drop}}\n- {{action: labeldrop, regex: n}}\n",
        receiver.address
    ));
    let external = Labels::from_pairs([("cluster", "c"), ("__name__", "other")]);
    sender.writer.apply(vec![entry], &external).await.unwrap();
    let now = super::now_ms();
    sender.commit(2, now - 7_200_000);
    sender.commit(2, now);
    eventually("one", || receiver.count() == 1).await;
    let labels = receiver.stored().into_keys().next().unwrap();
    assert_eq!(labels, "[(\"__name__\", \"m\"), (\"cluster\", \"c\")]");
    let page = sender.registry.render_text();
    for (reason, count) in [("dropped_series", 1), ("too_old", 2)] {
        let line = page
            .lines()
            .find(|l| l.contains("samples_dropped_total{") && l.contains(reason))
            .unwrap_or_else(|| panic!("{page}"));
        assert!(line.ends_with(&format!(" {count}")), "{line}");
    }
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_sent_from_time_to_time() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Answer::Refuse(500, None)]).await;
    let sender = start(dir.path());
    let entry = entry(&format!(
        "url: http://{}/write\nmetadata_config: {{send_interval: 50ms}}\n",
        receiver.address
    ));
    sender.apply(vec![entry]).await;
    eventually("metadata", || !receiver.state.metadata.lock().is_empty()).await;
    // Once, though two targets expose it.
    assert_eq!(receiver.state.metadata.lock()[0], "m Counter Helps. s");
    assert!(sender.metric("metadata_retried_total") >= 1.0);
    sender.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_did_not_change_keeps_its_queue() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[]).await;
    let sender = start(dir.path());
    let (a, b) = (
        quick(receiver.address, ""),
        entry(&format!("url: http://{}/b", receiver.address)),
    );
    sender.apply(vec![a.clone(), b.clone()]).await;
    let shared = Arc::clone(&sender.writer.queues.lock().await.all[0].shared);
    sender.apply(vec![a.clone()]).await;
    assert!(Arc::ptr_eq(
        &shared,
        &sender.writer.queues.lock().await.all[0].shared
    ));
    // The position of the one that is gone goes too.
    assert_eq!(
        std::fs::read_dir(dir.path().join("remote_write"))
            .unwrap()
            .count(),
        1
    );
    let error = sender
        .writer
        .apply(vec![b.clone(), b], &Labels::empty())
        .await
        .unwrap_err();
    assert!(
        error.starts_with("duplicate remote write configs are not allowed"),
        "{error}"
    );
    sender.commit(1, 5);
    eventually("one", || receiver.count() == 1).await;
    sender.stop().await;
}

/// Out-of-order samples are sent too.
#[tokio::test(flavor = "multi_thread")]
async fn late_samples_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[]).await;
    let sender = start_with(dir.path(), Duration::from_secs(3600));
    sender.apply(vec![quick(receiver.address, "")]).await;
    for t in [10_000, 5_000, 7_000] {
        sender.commit(1, t);
    }
    eventually("all", || receiver.count() == 3).await;
    sender.stop().await;
}

/// The log is cut while the receiver is away: what is left of it is sent, and the series keep their names.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(&[Answer::Hang; 2]).await;
    let sender = start(dir.path());
    sender
        .apply(vec![quick(receiver.address, "capacity: 50")])
        .await;
    const HOUR: i64 = 3600 * 1000;
    for half_hours in 1..30 {
        sender.commit(5, half_hours * HOUR / 2);
        sender.db.run_maintenance().unwrap();
    }
    assert!(sender.db.stats().checkpoint_creations > 0);
    eventually("the newest", || {
        let stored = receiver.stored();
        stored.len() == 5
            && stored
                .values()
                .all(|s| s.last().is_some_and(|l| l.0 == 29 * HOUR / 2))
    })
    .await;
    assert_eq!(sender.metric("samples_dropped_total"), 0.0);
    sender.stop().await;
}
