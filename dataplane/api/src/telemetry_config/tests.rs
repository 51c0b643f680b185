#![allow(clippy::unwrap_used)]

use super::*;

fn config(pairs: &[(&str, &str)]) -> TelemetryConfig {
    TelemetryConfig::from_env(&Env::from_pairs(pairs.iter().copied())).unwrap()
}

#[test]
fn defaults() {
    let config = config(&[]);
    assert!(!config.disabled && !config.old_http_semconv && !config.exponential_histograms);
    assert_eq!(config.metrics.endpoint, "http://localhost:4318/v1/metrics");
    assert_eq!(config.traces.endpoint, "http://localhost:4318/v1/traces");
    assert_eq!(config.metrics.exporter, ExporterKind::Otlp);
    assert_eq!(config.logs.exporter, ExporterKind::None);
    assert_eq!(config.metric_interval, Duration::from_secs(10));
    assert_eq!(config.temporality, Temporality::Cumulative);
    assert_eq!(
        config.propagators,
        [Propagator::TraceContext, Propagator::Baggage]
    );
    assert_eq!(config.span_batch.schedule_delay, Duration::from_secs(5));
}

#[test]
fn endpoints_follow_the_specification() {
    let check = |pairs: &[(&str, &str)], metrics: &str, traces: &str| {
        let config = config(pairs);
        assert_eq!(config.metrics.endpoint, metrics, "{pairs:?}");
        assert_eq!(config.traces.endpoint, traces, "{pairs:?}");
    };
    check(
        &[("OTEL_ENDPOINT", "collector:4318")],
        "http://collector:4318/v1/metrics",
        "http://collector:4318/v1/traces",
    );
    // The standard name wins over the alias; a path of the base is kept.
    check(
        &[
            ("OTEL_ENDPOINT", "a:1"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://b:2/otlp/"),
        ],
        "https://b:2/otlp/v1/metrics",
        "https://b:2/otlp/v1/traces",
    );
    check(
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:2"),
            ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:3/custom"),
        ],
        "http://m:3/custom",
        "http://b:2/v1/traces",
    );
    check(
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
        "http://localhost:4317",
        "http://localhost:4317",
    );
    check(
        &[
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
            ("OTEL_ENDPOINT", "c:9"),
        ],
        "http://c:9/v1/metrics",
        "http://c:9",
    );
}

#[test]
fn variables_that_the_crates_ignore_are_honoured() {
    let config = config(&[
        ("OTEL_SDK_DISABLED", "TRUE"),
        ("OTEL_METRICS_EXPORTER", "console"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_PROPAGATORS", "baggage, b3,baggage"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            "BASE2_EXPONENTIAL_BUCKET_HISTOGRAM",
        ),
        ("OTEL_SEMCONV_STABILITY_OPT_IN", "database, http/dup"),
    ]);
    assert!(config.disabled);
    assert_eq!(config.metrics.exporter, ExporterKind::Console);
    assert_eq!(config.traces.exporter, ExporterKind::None);
    assert_eq!(config.logs.exporter, ExporterKind::Otlp);
    assert_eq!(config.propagators, [Propagator::Baggage]);
    assert!(config.exponential_histograms && config.old_http_semconv);
}

#[test]
fn the_new_conventions_alone_do_not_bring_the_old_ones() {
    assert!(!config(&[("OTEL_SEMCONV_STABILITY_OPT_IN", "http")]).old_http_semconv);
}

#[test]
fn variables_that_the_crates_read_are_honoured_per_service() {
    let config = config(&[
        ("OTEL_METRIC_EXPORT_INTERVAL", "2500"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=a%3Db"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "y=1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "3000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "Delta"),
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "10"),
        ("OTEL_PROPAGATORS", "none"),
    ]);
    assert_eq!(config.metric_interval, Duration::from_millis(2500));
    assert_eq!(
        config.metrics.headers,
        [("x-key".to_owned(), "a=b".to_owned())]
    );
    assert_eq!(config.traces.headers, [("y".to_owned(), "1".to_owned())]);
    assert!(!config.metrics.gzip && config.traces.gzip);
    assert_eq!(config.metrics.timeout, Duration::from_secs(3));
    assert_eq!(config.temporality, Temporality::Delta);
    assert_eq!(
        config.sampler,
        SamplerConfig {
            parent_based: false,
            ratio: 0.25
        }
    );
    assert_eq!(config.span_batch.schedule_delay, Duration::from_millis(100));
    assert_eq!(config.span_batch.batch_max, 10);
    assert!(config.propagators.is_empty());
}

#[test]
fn unknown_enumeration_values_are_ignored_but_bad_numbers_are_errors() {
    let lenient = config(&[
        ("OTEL_METRICS_EXPORTER", "carrier-pigeon"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_TRACES_SAMPLER", "xray"),
    ]);
    assert_eq!(lenient, config(&[]));
    for (key, value) in [
        ("OTEL_METRIC_EXPORT_INTERVAL", "10s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
    ] {
        let error = TelemetryConfig::from_env(&Env::from_pairs([(key, value)])).unwrap_err();
        assert!(error.to_string().contains(key), "{error}");
    }
    let env = Env::from_pairs([
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ]);
    assert!(TelemetryConfig::from_env(&env).is_err());
}

#[test]
fn explicit_endpoints_win_over_the_environment() {
    let mut config = config(&[
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://m:3/custom"),
        ("OTEL_LOGS_EXPORTER", "otlp"),
    ]);
    config.set_otlp("http://127.0.0.1:4318", OtlpProtocol::HttpProtobuf);
    assert_eq!(config.metrics.endpoint, "http://127.0.0.1:4318/v1/metrics");
    assert_eq!(config.logs.endpoint, "http://127.0.0.1:4318/v1/logs");
    assert_eq!(config.logs.exporter, ExporterKind::Otlp);
    config.set_otlp("127.0.0.1:4317", OtlpProtocol::Grpc);
    assert_eq!(config.traces.endpoint, "http://127.0.0.1:4317");
    assert_eq!(config.traces.protocol, OtlpProtocol::Grpc);
}
