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
    let detailed = detailed::detailed(batch.decoded());
    for part in [
        "     -> service.name: Str(x)",
        "InstrumentationScope lib 1",
        "     -> IsMonotonic: true",
        "     -> AggregationTemporality: Cumulative",
        "NumberDataPoints #0",
        "     -> k: Int(7)",
        "Timestamp: 1970-01-01 00:00:01 +0000 UTC",
        "Value: 5",
        "HistogramDataPoints #0",
        "Sum: 3.000000",
        "ExplicitBounds #0: 0.500000",
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
    let detailed_spans = detailed::detailed(spans.decoded());
    for part in [
        "    Trace ID       : 5b8efff798038103d269b633813fc60c",
        "    Kind           : Server",
        "    Status code    : Error",
        "    Status message : m",
    ] {
        assert!(detailed_spans.contains(part), "{part} in\n{detailed_spans}");
    }
    let logs = batch(
        Signal::Logs,
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"severityText":"WARN","severityNumber":13,"body":{"stringValue":"hello"}}]}]}]}"#,
    );
    assert_eq!(text::normal(logs.decoded()), "hello");
    let detailed_logs = detailed::detailed(logs.decoded());
    assert!(
        detailed_logs.contains("SeverityText: WARN\nSeverityNumber: Warn(13)\nBody: Str(hello)\n"),
        "{detailed_logs}"
    );
}

#[test]
fn buckets_of_exponential_histograms_have_their_bounds() {
    let batch = batch(
        Signal::Metrics,
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"e","exponentialHistogram":{"aggregationTemporality":1,"dataPoints":[{"timeUnixNano":"1500000000","count":"6","sum":-1.5,"scale":1,"zeroCount":"1","positive":{"offset":-2,"bucketCounts":["1","0","2"]},"negative":{"offset":2,"bucketCounts":["2"]},"exemplars":[{"asDouble":0.6,"filteredAttributes":[{"key":"k","value":{"stringValue":"v"}}]}]}]}}]}]}]}"#,
    );
    let detailed = detailed::detailed(batch.decoded());
    let start = detailed.find("     -> AggregationTemporality").unwrap();
    assert_eq!(
        &detailed[start..],
        "     -> AggregationTemporality: Delta
ExponentialHistogramDataPoints #0
StartTimestamp: 1970-01-01 00:00:00 +0000 UTC
Timestamp: 1970-01-01 00:00:01.5 +0000 UTC
Count: 6
Sum: -1.500000
Scale: 1
Bucket [-2.828427, -2.000000), Count: 2
Bucket [0, 0], Count: 1
Bucket (0.500000, 0.707107], Count: 1
Bucket (1.000000, 1.414214], Count: 2
Exemplars:
Exemplar #0
     -> Trace ID: 
     -> Span ID: 
     -> Timestamp: 1970-01-01 00:00:00 +0000 UTC
     -> Value: 0.600000
     -> FilteredAttributes:
          -> k: Str(v)
"
    );
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
