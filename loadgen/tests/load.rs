//! Loads against small servers over real sockets.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use bellwether_loadgen::{LoadConfig, Mix, Operation, Progress, Report, run};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

/// A server that answers every request through `answer`.
async fn serve<F, R>(answer: F) -> SocketAddr
where
    F: Fn(Request) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = StatusCode> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(move |request: Request| answer.clone()(request));
    let options = bellwether_net::ServeOptions {
        max_connections: 5000,
        ..Default::default()
    };
    tokio::spawn(bellwether_net::serve(
        listener,
        app,
        options,
        CancellationToken::new(),
    ));
    address
}

/// A server that does with each connection what `handle` does.
async fn serve_raw<F, R>(handle: F) -> (SocketAddr, Arc<AtomicU64>)
where
    F: Fn(TcpStream) -> R + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(handle(stream));
        }
    });
    (address, accepted)
}

fn load(address: SocketAddr, rate: f64, duration: Option<Duration>) -> LoadConfig {
    LoadConfig {
        rate,
        duration,
        seed: Some(1),
        mix: Mix::custom(&[(Operation::Health, 1)]).unwrap(),
        ..LoadConfig::new(format!("http://{address}"))
    }
}

async fn report(config: LoadConfig) -> Report {
    let report = run(config, |_| {}, CancellationToken::new()).await.unwrap();
    check_sums(&report);
    report
}

/// What must hold for every report.
fn check_sums(report: &Report) {
    assert_eq!(report.scheduled, report.sent + report.dropped_saturated);
    assert_eq!(
        report.sent,
        report.ok + report.http_errors + report.transport_errors
    );
    assert_eq!(
        report.ok + report.http_errors,
        report.statuses.values().sum::<u64>()
    );
    assert_eq!(report.transport_errors, report.errors.values().sum::<u64>());
    let sent: u64 = report.routes.iter().map(|route| route.sent).sum();
    assert_eq!(sent, report.sent);
}

async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

type Seen = Arc<Mutex<BTreeMap<(String, u16), u64>>>;

/// Statuses by path, so that each route has failures of its own.
async fn count(State(seen): State<Seen>, request: Request) -> StatusCode {
    let route = format!("{} {}", request.method(), request.uri().path());
    let mut seen = seen.lock().unwrap();
    let earlier: u64 = seen
        .iter()
        .filter(|((path, _), _)| *path == route)
        .map(|(_, count)| count)
        .sum();
    let status = match (route.as_str(), earlier % 5) {
        ("POST /api/orders", 0) => StatusCode::INTERNAL_SERVER_ERROR,
        ("POST /api/payments", 0) => StatusCode::PAYMENT_REQUIRED,
        _ => StatusCode::OK,
    };
    *seen.entry((route, status.as_u16())).or_default() += 1;
    status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_equals_what_the_server_saw() {
    let seen = Seen::default();
    let state = Arc::clone(&seen);
    let address = serve(move |request| count(State(Arc::clone(&state)), request)).await;
    let config = LoadConfig {
        mix: Mix::shop(),
        ..load(address, 400.0, Some(SECOND))
    };
    let report = report(config).await;
    assert_eq!((report.scheduled, report.transport_errors), (400, 0));
    assert!(report.is_success() && !report.interrupted);
    let mut reported = BTreeMap::new();
    for route in &report.routes {
        for (status, count) in &route.statuses {
            reported.insert((route.route.to_owned(), *status), *count);
        }
    }
    assert_eq!(reported, *seen.lock().unwrap());
    assert!(report.statuses.contains_key(&500) && report.statuses.contains_key(&402));
}

/// The server answers nobody during the second half second. A closed loop
/// would have sent one request then and reported one slow answer; here every
/// request that was due shows the waiting it had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn latency_counts_from_the_intended_start() {
    let stall_end = Instant::now() + SECOND;
    let address = serve(move |_| async move {
        if stall_end.saturating_duration_since(Instant::now()) < SECOND / 2 {
            tokio::time::sleep_until(stall_end.into()).await;
        }
        StatusCode::OK
    })
    .await;
    let report = report(load(address, 200.0, Some(SECOND))).await;
    assert_eq!(report.ok, 200);
    // About 100 requests waited 0 to 500 ms, evenly.
    let latency = report.latency_ms;
    assert!(latency.p50 < 150.0, "{latency:?}");
    assert!((300.0..600.0).contains(&latency.p90), "{latency:?}");
    assert!(latency.max >= 400.0, "{latency:?}");
}

/// Two places and half-second answers cannot carry 50 requests per second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saturation_is_counted_and_reported() {
    let seen = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&seen);
    let address = serve(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(SECOND / 2).await;
            StatusCode::OK
        }
    })
    .await;
    let config = LoadConfig {
        in_flight_max: 2,
        ..load(address, 50.0, Some(SECOND))
    };
    let report = report(config).await;
    assert_eq!(report.scheduled, 50);
    assert!((2..=6).contains(&report.sent), "{}", report.sent);
    assert_eq!(report.sent, seen.load(Ordering::SeqCst));
    assert!(report.to_string().contains("dropped (saturated)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_not_there_is_a_failed_run() {
    let report = report(load(closed_port().await, 50.0, Some(SECOND / 5))).await;
    assert_eq!(report.errors["connect"], 10);
    assert_eq!((report.sent, report.ok), (10, 0));
    assert!(!report.is_success());
    // Nothing was measured: no latency is shown, not one of zero.
    let table = report.to_string();
    let all = table.lines().find(|line| line.starts_with("all ")).unwrap();
    let columns: Vec<&str> = all.split_whitespace().collect();
    assert_eq!(
        columns,
        ["all", "10", "0", "10", "-", "-", "-", "-", "-"],
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transport_errors_have_a_class() {
    let class = async |address, name: &str| {
        let config = LoadConfig {
            timeout: SECOND / 4,
            ..load(address, 20.0, Some(SECOND / 4))
        };
        let report = report(config).await;
        assert_eq!(report.errors[name], 5, "{name}: {:?}", report.errors);
        assert!(!report.is_success());
    };
    let hang = serve(|_| std::future::pending()).await;
    class(hang, "timeout").await;
    let (garbage, _) = serve_raw(|mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(b"SSH-2.0-nonsense\r\n\r\n").await;
    })
    .await;
    class(garbage, "protocol").await;
    let (reset, _) = serve_raw(|mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
            .await;
    })
    .await;
    class(reset, "reset").await;
}

/// Reads one request without a body and answers it, once per call.
async fn answer_once(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    stream.write_all(answer).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_used_again() {
    let (address, accepted) =
        serve_raw(|mut stream| async move { while answer_once(&mut stream).await {} }).await;
    let report = report(load(address, 100.0, Some(SECOND))).await;
    assert_eq!(report.ok, 100);
    let accepted = accepted.load(Ordering::SeqCst);
    assert!(accepted < 30, "{accepted} connections for 100 requests");
}

/// The server closes each connection after its answer without saying so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_pooled_connections_are_replaced() {
    let (address, accepted) = serve_raw(|mut stream| async move {
        answer_once(&mut stream).await;
    })
    .await;
    let report = report(load(address, 20.0, Some(SECOND))).await;
    assert_eq!((report.ok, report.transport_errors), (20, 0));
    assert_eq!(accepted.load(Ordering::SeqCst), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endless_load_tells_progress_and_ends_at_shutdown() {
    let address = serve(|_| async { StatusCode::OK }).await;
    let told: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let keep = Arc::clone(&told);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let config = LoadConfig {
        progress_interval: Duration::from_millis(100),
        ..load(address, 100.0, None)
    };
    let progress = move |progress: &Progress| {
        let mut told = keep.lock().unwrap();
        told.push(progress.clone());
        if told.len() == 5 {
            stop.cancel();
        }
    };
    let report = run(config, progress, shutdown).await.unwrap();
    check_sums(&report);
    assert!(!report.interrupted && report.errors["aborted"] == 0);
    let told = told.lock().unwrap();
    assert!(told.windows(2).all(|pair| pair[0].sent <= pair[1].sent));
    let last = told.last().unwrap();
    assert!(last.ok > 10 && last.rate > 10.0, "{last}");
    assert!(last.to_string().contains("ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_outlast_the_drain_are_aborted_and_counted() {
    let arrived = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&arrived);
    let address = serve(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::pending()
    })
    .await;
    let shutdown = CancellationToken::new();
    let config = LoadConfig {
        drain_timeout: Duration::from_millis(50),
        ..load(address, 100.0, Some(60 * SECOND))
    };
    let task = tokio::spawn(run(config, |_| {}, shutdown.clone()));
    while arrived.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    let report = tokio::time::timeout(10 * SECOND, task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    check_sums(&report);
    assert!(report.interrupted);
    assert_eq!(report.errors["aborted"], report.sent);
    assert!(report.sent >= arrived.load(Ordering::SeqCst));
}

/// Keys and kinds of the JSON report: programs read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_json_report_keeps_its_shape() {
    let address = serve(|_| async { StatusCode::OK }).await;
    let report = report(load(address, 50.0, Some(SECOND / 5))).await;
    let mut json = serde_json::to_value(&report).unwrap();
    erase(&mut json);
    let latency = serde_json::json!({
        "min": "n", "mean": "n", "p50": "n", "p90": "n",
        "p95": "n", "p99": "n", "p999": "n", "max": "n",
    });
    let errors = serde_json::json!({
        "aborted": "n", "connect": "n", "protocol": "n", "reset": "n", "timeout": "n",
    });
    let expected = serde_json::json!({
        "environment": "development",
        "target": format!("http://{address}"),
        "mix": "custom",
        "pattern": "steady",
        "rate_requested": "n",
        "rate_sent": "n",
        "duration_s": "n",
        "interrupted": false,
        "scheduled": "n",
        "sent": "n",
        "ok": "n",
        "http_errors": "n",
        "transport_errors": "n",
        "dropped_saturated": "n",
        "statuses": {"200": "n"},
        "errors": errors,
        "latency_ms": latency,
        "lag_ms": latency,
        "routes": [{
            "route": "GET /health",
            "weight": "n",
            "sent": "n",
            "ok": "n",
            "dropped_saturated": "n",
            "statuses": {"200": "n"},
            "errors": errors,
            "latency_ms": latency,
        }],
    });
    assert_eq!(json, expected);
}

/// Replaces every number by "n".
fn erase(value: &mut Value) {
    match value {
        Value::Number(_) => *value = Value::from("n"),
        Value::Array(items) => items.iter_mut().for_each(erase),
        Value::Object(map) => map.values_mut().for_each(erase),
        _ => {}
    }
}

#[tokio::test]
async fn bad_settings_send_nothing() {
    let config = LoadConfig::new("ftp://x");
    let error = run(config, |_| {}, CancellationToken::new())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("ftp://x"));
}
