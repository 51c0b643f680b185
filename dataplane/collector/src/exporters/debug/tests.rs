#![allow(clippy::unwrap_used)]

use bytes::Bytes;

use super::*;

fn batch(signal: Signal, json: &str) -> Batch {
    let bytes = bellwether_otlp::json::to_protobuf(signal.request(), json.as_bytes()).unwrap();
    Batch::from_protobuf(signal, Bytes::from(bytes)).unwrap()
}

#[test]
fn the_three_verbosities_of_metrics() {
    let batch = batch(
        Signal::Metrics,
        r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"x"}}]},"scopeMetrics":[{"scope":{"name":"lib","version":"1"},"metrics":[
        {"name":"c","unit":"By","sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"1000000000","asInt":"5","attributes":[{"key":"k","value":{"intValue":"7"}}]}]}},
        {"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":"2","sum":3,"bucketCounts":["1","1"],"explicitBounds":[0.5]}]}}]}]}]}"#,
    );
    assert_eq!(
        text::counts(&batch),
        "Metrics: resource metrics 1, metrics 2, data points 2"
    );
    assert_eq!(
        text::normal(batch.decoded()),
        "c k=7 5\nh count=2 sum=3 le0.5=1"
    );
    let detailed = text::detailed(batch.decoded());
    for part in [
        "     -> service.name: Str(x)",
        "InstrumentationScope lib 1",
        "     -> IsMonotonic: true",
        "     -> AggregationTemporality: AGGREGATION_TEMPORALITY_CUMULATIVE",
        "     -> k: Int(7)",
        "Timestamp: 1970-01-01T00:00:01Z",
        "Value: 5",
        "Buckets #1, Count: 1",
    ] {
        assert!(
            detailed.lines().any(|l| l == part),
            "no {part} in\n{detailed}"
        );
    }
}

#[test]
fn traces_and_logs() {
    let spans = batch(
        Signal::Traces,
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"s","kind":2,"status":{"code":2,"message":"m"}}]}]}]}"#,
    );
    assert_eq!(text::counts(&spans), "Traces: resource spans 1, spans 1");
    assert_eq!(
        text::normal(spans.decoded()),
        "s 5b8efff798038103d269b633813fc60c eee19b7ec3c1b174"
    );
    assert!(text::detailed(spans.decoded()).contains("SPAN_KIND_SERVER"));
    let logs = batch(
        Signal::Logs,
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"WARN","severityNumber":13,"body":{"stringValue":"hello"}}]}]}]}"#,
    );
    assert_eq!(text::normal(logs.decoded()), "hello");
    assert!(text::detailed(logs.decoded()).contains("Severity: WARN (13)"));
}

#[test]
fn sampling() {
    let start = Instant::now();
    let kept = |sampler: &mut Sampler, count: usize, at: Instant| {
        (0..count).filter(|_| sampler.keeps(at)).count()
    };
    let mut all = Sampler::new(2, 1);
    assert_eq!(kept(&mut all, 100, start), 100);
    let mut thinned = Sampler::new(2, 10);
    assert_eq!(kept(&mut thinned, 102, start), 12);
    assert_eq!(
        kept(&mut thinned, 2, start + Duration::from_secs(1)),
        2,
        "a new second"
    );
}

#[test]
fn loglevel_of_old_tutorials() {
    let verbosity = |text: &str| {
        bellwether_yaml::from_str::<LoggingConfig>("t", text)
            .unwrap()
            .verbosity()
    };
    assert_eq!(verbosity("loglevel: debug"), Verbosity::Detailed);
    assert_eq!(verbosity("loglevel: info"), Verbosity::Normal);
    assert_eq!(verbosity("loglevel: warn"), Verbosity::Basic);
    assert_eq!(verbosity("{}"), Verbosity::Normal);
}
