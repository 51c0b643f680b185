#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;
use crate::config::types::GoDuration;

/// Fails a number of times, then takes everything.
struct Flaky {
    failures: Mutex<Vec<ConsumeError>>,
    taken: Mutex<Vec<usize>>,
    attempts: AtomicUsize,
}

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

impl Transport for Flaky {
    fn send(&self, batch: Batch) -> BoxFuture<'_, Result<(), ConsumeError>> {
        Box::pin(async move {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            if let Some(error) = self.failures.lock().pop() {
                return Err(error);
            }
            self.taken.lock().push(batch.items());
            Ok(())
        })
    }
}

fn flaky(failures: Vec<ConsumeError>) -> Arc<Flaky> {
    Arc::new(Flaky {
        failures: Mutex::new(failures),
        taken: Mutex::default(),
        attempts: AtomicUsize::new(0),
    })
}

fn settings(with_queue: bool) -> Settings {
    Settings {
        queue: QueueConfig {
            enabled: with_queue,
            ..QueueConfig::default()
        },
        retry: RetryConfig {
            initial_interval: GoDuration::millis(1),
            max_interval: GoDuration::millis(5),
            max_elapsed_time: GoDuration::secs(5),
            ..RetryConfig::default()
        },
        timeout: Some(Duration::from_secs(1)),
        drain_time: DRAIN_TIME,
    }
}

fn batch(items: usize) -> Batch {
    Batch::validated(Signal::Metrics, Bytes::new(), items)
}

fn counted(metrics: &OwnMetrics, what: &str) -> f64 {
    let name = format!("otelcol_exporter_{what}_metric_points");
    metrics.counter(&name, "", &[("exporter", "e")]).get()
}

#[tokio::test]
async fn retryable_errors_are_tried_again() {
    let metrics = OwnMetrics::new();
    let transport = flaky(vec![
        ConsumeError::retryable("a"),
        ConsumeError::retryable("b"),
    ]);
    let built = build(Arc::clone(&transport) as _, settings(false), &metrics, "e");
    built.consumer.unwrap().consume(batch(7)).await.unwrap();
    assert_eq!(*transport.taken.lock(), [7]);
    assert_eq!(transport.attempts.load(Ordering::SeqCst), 3);
    assert_eq!(counted(&metrics, "sent"), 7.0);
    assert_eq!(counted(&metrics, "send_failed"), 0.0);
}

#[tokio::test]
async fn permanent_errors_are_not() {
    let metrics = OwnMetrics::new();
    let transport = flaky(vec![ConsumeError::permanent("bad")]);
    let built = build(Arc::clone(&transport) as _, settings(false), &metrics, "e");
    let error = built.consumer.unwrap().consume(batch(7)).await.unwrap_err();
    assert_eq!(error, ConsumeError::permanent("bad"));
    assert_eq!(transport.attempts.load(Ordering::SeqCst), 1);
    assert_eq!(counted(&metrics, "send_failed"), 7.0);
}

#[tokio::test]
async fn the_retry_time_is_limited() {
    let metrics = OwnMetrics::new();
    let waiting = ConsumeError::Retryable {
        message: "wait".into(),
        retry_after: Some(Duration::from_secs(60)),
    };
    let built = build(flaky(vec![waiting.clone()]), settings(false), &metrics, "e");
    // The server asks for more time than there is: given up at once.
    assert_eq!(
        built.consumer.unwrap().consume(batch(1)).await,
        Err(waiting)
    );
}

#[tokio::test]
async fn shutdown_gives_everything_one_more_attempt() {
    let metrics = OwnMetrics::new();
    let waiting = ConsumeError::Retryable {
        message: "wait".into(),
        retry_after: Some(Duration::from_secs(4)),
    };
    let transport = flaky(vec![waiting]);
    let built = build(Arc::clone(&transport) as _, settings(true), &metrics, "e");
    let consumer = built.consumer.unwrap();
    for items in 1..=5 {
        consumer.consume(batch(items)).await.unwrap();
    }
    let stop = CancellationToken::new();
    let task = tokio::spawn((built.runner.unwrap())(stop.clone()));
    while transport.attempts.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(3), task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(transport.taken.lock().iter().sum::<usize>(), 15);
    assert_eq!(counted(&metrics, "sent"), 15.0);
    let late = consumer.consume(batch(1)).await.unwrap_err();
    assert!(late.is_retryable(), "{late}");
}

#[tokio::test]
async fn capacity_in_items() {
    let metrics = OwnMetrics::new();
    let mut settings = settings(true);
    settings.queue.sizer = crate::config::blocks::Sizer::Items;
    settings.queue.queue_size = 10;
    let built = build(flaky(vec![]), settings, &metrics, "e");
    let consumer = built.consumer.unwrap();
    consumer.consume(batch(6)).await.unwrap();
    let full = consumer.consume(batch(5)).await.unwrap_err();
    assert_eq!(full, ConsumeError::retryable("sending queue is full"));
    consumer.consume(batch(4)).await.unwrap();
    let too_large = consumer.consume(batch(11)).await.unwrap_err();
    assert!(!too_large.is_retryable());
    assert_eq!(counted(&metrics, "enqueue_failed"), 16.0);
}

/// Never answers.
struct Silent;

impl Transport for Silent {
    fn send(&self, _: Batch) -> BoxFuture<'_, Result<(), ConsumeError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_silent_destination_does_not_hold_up_the_shutdown_and_all_is_counted() {
    let metrics = OwnMetrics::new();
    let mut settings = settings(true);
    settings.timeout = None;
    settings.drain_time = Duration::from_millis(30);
    settings.queue.num_consumers = 2;
    let built = build(Arc::new(Silent), settings, &metrics, "e");
    let consumer = built.consumer.unwrap();
    for items in 1..=5 {
        consumer.consume(batch(items)).await.unwrap();
    }
    let stop = CancellationToken::new();
    let task = tokio::spawn((built.runner.unwrap())(stop.clone()));
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(3), task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(counted(&metrics, "send_failed"), 15.0);
}

/// A real request: joining and cutting look inside.
fn points(count: usize) -> Batch {
    let points = vec![r#"{"asInt":1}"#; count].join(",");
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","gauge":{{"dataPoints":[{points}]}}}}]}}]}}]}}"#
    );
    let bytes =
        bellwether_otlp::json::to_protobuf(Signal::Metrics.request(), json.as_bytes()).unwrap();
    Batch::from_protobuf(Signal::Metrics, bytes.into()).unwrap()
}

async fn wait_for_taken(transport: &Flaky, expected: &[usize]) {
    while transport.taken.lock().len() < expected.len() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(*transport.taken.lock(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_joined_and_cut() {
    use crate::config::blocks::QueueBatch;
    use crate::config::types::Section;
    let metrics = OwnMetrics::new();
    let mut settings = settings(true);
    settings.queue.num_consumers = 1;
    settings.queue.batch = Section(Some(QueueBatch {
        min_size: 10,
        max_size: 15,
        flush_timeout: GoDuration::secs(60),
        ..QueueBatch::default()
    }));
    let transport = flaky(vec![]);
    let built = build(Arc::clone(&transport) as _, settings, &metrics, "e");
    let consumer = built.consumer.unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn((built.runner.unwrap())(stop.clone()));
    for count in [4, 4, 4] {
        consumer.consume(points(count)).await.unwrap();
    }
    wait_for_taken(&transport, &[12]).await;
    // Cut at 15; the rest of 2 waits for more, or for its time.
    consumer.consume(points(17)).await.unwrap();
    wait_for_taken(&transport, &[12, 15]).await;
    let before = tokio::time::Instant::now();
    wait_for_taken(&transport, &[12, 15, 2]).await;
    assert!(before.elapsed() >= Duration::from_secs(59));
    // A shutdown does not wait.
    consumer.consume(points(3)).await.unwrap();
    stop.cancel();
    task.await.unwrap();
    wait_for_taken(&transport, &[12, 15, 2, 3]).await;
    assert_eq!(counted(&metrics, "sent"), 32.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_being_joined_keeps_its_place_in_the_queue() {
    use crate::config::blocks::{QueueBatch, Sizer};
    use crate::config::types::Section;
    let metrics = OwnMetrics::new();
    let mut settings = settings(true);
    settings.queue.sizer = Sizer::Items;
    settings.queue.queue_size = 10;
    settings.queue.batch = Section(Some(QueueBatch {
        min_size: 10,
        flush_timeout: GoDuration::secs(3600),
        ..QueueBatch::default()
    }));
    let transport = flaky(vec![]);
    let built = build(Arc::clone(&transport) as _, settings, &metrics, "e");
    let consumer = built.consumer.unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn((built.runner.unwrap())(stop.clone()));
    consumer.consume(points(6)).await.unwrap();
    // The paused clock moves when every task waits: the queue's task has the batch by then.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let full = consumer.consume(points(5)).await.unwrap_err();
    assert!(full.is_retryable(), "{full}");
    consumer.consume(points(4)).await.unwrap();
    wait_for_taken(&transport, &[10]).await;
    stop.cancel();
    task.await.unwrap();
}
