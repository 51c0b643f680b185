#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::*;

struct Answer {
    status: u16,
    content_type: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn service(config: &OrdersConfig) -> (Router, JoinSet<()>) {
    let registry = Registry::new();
    let metrics = OrderMetrics::new(&registry);
    let (queue, workers) = queue::start(config, &metrics, &registry);
    (
        routes::router(queue, registry, config.answer_timeout),
        workers,
    )
}

fn seeded() -> OrdersConfig {
    OrdersConfig {
        seed: Some(3),
        ..OrdersConfig::default()
    }
}

async fn send(app: &Router, method: &str, uri: &str, accept: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header("accept", accept)
        .body(Body::empty())
        .unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        content_type: parts
            .headers
            .get("content-type")
            .map_or(String::new(), |value| value.to_str().unwrap().to_owned()),
        body: String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

async fn post(app: &Router, uri: &str) -> Answer {
    send(app, "POST", uri, "*/*").await
}

/// The value of the sample that starts with `series`.
async fn sample(app: &Router, series: &str) -> f64 {
    let page = send(app, "GET", "/metrics", "text/plain").await.body;
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
        .unwrap_or_else(|| panic!("no {series} in\n{page}"))
        .parse()
        .unwrap()
}

const SUCCESS: &str = r#"orders_processed_total{status="success"}"#;
const FAILURE: &str = r#"orders_processed_total{status="failure"}"#;

#[tokio::test(start_paused = true)]
async fn one_order_succeeds_or_fails_as_told_and_is_counted() {
    let (app, _workers) = service(&seeded());
    assert_eq!(sample(&app, SUCCESS).await, 0.0);
    let good = post(&app, "/orders").await;
    assert_eq!(
        (good.status, &*good.json()["status"].to_string()),
        (200, "\"success\"")
    );
    let bad = post(&app, "/orders?fail=true").await;
    assert_eq!(
        (bad.status, &*bad.json()["status"].to_string()),
        (500, "\"failure\"")
    );
    assert_eq!(post(&app, "/orders?fail=false").await.status, 200);
    assert_eq!(sample(&app, SUCCESS).await, 2.0);
    assert_eq!(sample(&app, FAILURE).await, 1.0);
    assert_eq!(sample(&app, "order_duration_seconds_count").await, 3.0);
    assert_eq!(
        sample(&app, r#"order_duration_seconds_bucket{le="+Inf"}"#).await,
        3.0
    );
    let sum = sample(&app, "order_duration_seconds_sum").await;
    assert!((0.015..=0.153).contains(&sum), "{sum}");
}

#[tokio::test(start_paused = true)]
async fn a_simulation_processes_exactly_what_was_asked() {
    let (app, _workers) = service(&seeded());
    let default = post(&app, "/simulate").await;
    assert_eq!(
        default.json(),
        serde_json::json!({"requested": 20, "success": 20, "failure": 0})
    );
    let mixed = post(&app, "/simulate?count=1000&error_rate=0.3")
        .await
        .json();
    let failed = mixed["failure"].as_u64().unwrap();
    assert_eq!(mixed["success"].as_u64().unwrap() + failed, 1000);
    assert!((250..=350).contains(&failed), "{failed}");
    assert_eq!(sample(&app, FAILURE).await, failed as f64);
    assert_eq!(sample(&app, "order_duration_seconds_count").await, 1020.0);
}

#[tokio::test(start_paused = true)]
async fn parameters_out_of_bounds_are_400_with_a_reason() {
    let (app, _workers) = service(&seeded());
    for (uri, reason) in [
        (
            "/simulate?count=0",
            "count must be a whole number from 1 to 1000",
        ),
        ("/simulate?count=1001", "count must be"),
        ("/simulate?count=-1", "count must be"),
        ("/simulate?count=many", "count must be"),
        (
            "/simulate?error_rate=1.1",
            "error_rate must be a number from 0 to 1",
        ),
        ("/simulate?error_rate=-0.1", "error_rate must be"),
        ("/simulate?error_rate=NaN", "error_rate must be"),
        ("/orders?fail=maybe", "fail must be true or false"),
    ] {
        let answer = post(&app, uri).await;
        assert_eq!(answer.status, 400, "{uri}");
        assert!(answer.body.contains(reason), "{uri}: {}", answer.body);
    }
    assert_eq!(sample(&app, SUCCESS).await, 0.0);
    assert_eq!(post(&app, "/nope").await.status, 404);
    assert_eq!(post(&app, "/metrics").await.status, 405);
}

/// Two workers, a queue of five, and orders that take a second: the gauge
/// follows the queue as it fills, overflows and empties.
#[tokio::test(start_paused = true)]
async fn the_gauge_follows_the_queue_and_a_full_queue_refuses() {
    let config = OrdersConfig {
        workers: 2,
        queue_capacity: 5,
        processing_ms: 1000..=1000,
        ..seeded()
    };
    let (app, _workers) = service(&config);
    assert_eq!(sample(&app, "order_queue_depth").await, 0.0);
    let mut requests = JoinSet::new();
    for _ in 0..2 {
        let app = app.clone();
        requests.spawn(async move { post(&app, "/orders").await.status });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        sample(&app, "order_queue_depth").await,
        0.0,
        "workers took both"
    );
    for _ in 0..6 {
        let app = app.clone();
        requests.spawn(async move { post(&app, "/orders").await.status });
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sample(&app, "order_queue_depth").await, 5.0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(sample(&app, "order_queue_depth").await, 3.0);
    let statuses = requests.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 7);
    assert_eq!(sample(&app, "order_queue_depth").await, 0.0);
}

#[tokio::test(start_paused = true)]
async fn metrics_come_in_the_format_that_was_asked_for() {
    let (app, _workers) = service(&seeded());
    let text = send(&app, "GET", "/metrics", "text/plain").await;
    assert!(text.content_type.starts_with("text/plain; version=0.0.4"));
    assert!(
        text.body
            .contains("# TYPE orders_processed_total counter\n")
    );
    let open = send(
        &app,
        "GET",
        "/metrics",
        "application/openmetrics-text;version=1.0.0",
    )
    .await;
    assert!(
        open.content_type
            .starts_with("application/openmetrics-text")
    );
    assert!(open.body.ends_with("# EOF\n"));
    let health = send(&app, "GET", "/health", "*/*").await.json();
    assert_eq!(health["status"], "ok");
}

async fn write_request(address: std::net::SocketAddr, request: &str) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

async fn read_to_end(mut stream: tokio::net::TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// One worker and two orders: when one waits in the queue, both have arrived.
#[tokio::test]
async fn shutdown_answers_requests_under_way() {
    let config = OrdersConfig {
        workers: 1,
        processing_ms: 300..=300,
        ..seeded()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let task = tokio::spawn(run(config, listener, shutdown.clone()));
    let order = "POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let first = write_request(address, order).await;
    let second = write_request(address, order).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let scrape = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let page = read_to_end(write_request(address, scrape).await).await;
        if page.contains("\norder_queue_depth 1\n") {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{page}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    for stream in [first, second] {
        let answer = read_to_end(stream).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    tokio::time::timeout(Duration::from_secs(10), task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

/// The directory of the reference programs, else the search path.
fn promtool() -> std::path::PathBuf {
    match std::env::var_os("BELLWETHER_REFERENCE_BIN") {
        Some(directory) => std::path::Path::new(&directory).join("promtool"),
        None => "promtool".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn promtool_finds_nothing_to_criticise() {
    use std::io::Write;
    use std::process::{Command, Stdio};

    let (app, _workers) = service(&seeded());
    post(&app, "/simulate?count=10&error_rate=0.5").await;
    let page = send(&app, "GET", "/metrics", "text/plain").await.body;
    let started = Command::new(promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        eprintln!("SKIPPED: promtool is not here; set BELLWETHER_REFERENCE_BIN to its directory");
        return;
    };
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(page.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{page}");
}
