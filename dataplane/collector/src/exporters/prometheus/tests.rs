//! From batches to text, without sockets.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, exemplar, metric, number_data_point, summary_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use parking_lot::Mutex;
use prost::Message as _;

use super::PrometheusConfig;
use super::ingest::Ingest;
use super::render::{Format, render};
use super::store::Store;
use crate::pipeline::own_metrics::OwnMetrics;
use crate::pipeline::{Batch, Consumer as _};
use bellwether_otlp::Signal;

const DELTA: i32 = 1;
const CUMULATIVE: i32 = 2;

struct Exporter {
    store: Arc<Mutex<Store>>,
    ingest: Ingest,
    metrics: OwnMetrics,
}

impl Exporter {
    fn new(change: impl FnOnce(&mut PrometheusConfig)) -> Self {
        let mut config = PrometheusConfig {
            without_scope_info: true,
            ..PrometheusConfig::default()
        };
        change(&mut config);
        let store = Arc::new(Mutex::new(Store::new(config.metric_expiration.0)));
        let metrics = OwnMetrics::new();
        let ingest = Ingest::new(
            config.settings(),
            Arc::clone(&store),
            &metrics,
            "prometheus",
        );
        Self {
            store,
            ingest,
            metrics,
        }
    }

    fn plain() -> Self {
        Self::new(|_| {})
    }

    fn send_request(&self, request: &ExportMetricsServiceRequest) {
        let batch =
            Batch::from_protobuf(Signal::Metrics, Bytes::from(request.encode_to_vec())).unwrap();
        futures_util::FutureExt::now_or_never(self.ingest.consume(batch))
            .expect("ingest does not wait")
            .unwrap();
    }

    fn send(&self, metrics: Vec<Metric>) {
        self.send_request(&ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                scope_metrics: vec![ScopeMetrics {
                    metrics,
                    ..ScopeMetrics::default()
                }],
                ..ResourceMetrics::default()
            }],
        });
    }

    fn text_at(&self, now: Instant, format: Format) -> String {
        let mut out = String::new();
        render(&self.store.lock(), format, now, &mut out);
        out
    }

    fn text(&self) -> String {
        let format = Format {
            open_metrics: false,
            timestamps: false,
            utf8: false,
        };
        self.text_at(Instant::now(), format)
    }

    fn open_metrics(&self) -> String {
        let format = Format {
            open_metrics: true,
            timestamps: true,
            utf8: false,
        };
        self.text_at(Instant::now(), format)
    }

    fn dropped(&self, reason: &str) -> f64 {
        self.metrics
            .counter(
                "bellwether_collector_prometheus_dropped_points_total",
                "",
                &[("exporter", "prometheus"), ("reason", reason)],
            )
            .get()
    }
}

fn kv(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.into())),
        }),
        ..KeyValue::default()
    }
}

fn point(value: i64, start: u64, time: u64) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: start,
        time_unix_nano: time,
        value: Some(number_data_point::Value::AsInt(value)),
        ..NumberDataPoint::default()
    }
}

fn sum(name: &str, temporality: i32, is_monotonic: bool, points: Vec<NumberDataPoint>) -> Metric {
    Metric {
        name: name.into(),
        data: Some(metric::Data::Sum(Sum {
            data_points: points,
            aggregation_temporality: temporality,
            is_monotonic,
        })),
        ..Metric::default()
    }
}

fn gauge(name: &str, points: Vec<NumberDataPoint>) -> Metric {
    Metric {
        name: name.into(),
        data: Some(metric::Data::Gauge(Gauge {
            data_points: points,
        })),
        ..Metric::default()
    }
}

fn histogram(temporality: i32, point: HistogramDataPoint) -> Metric {
    Metric {
        name: "h".into(),
        data: Some(metric::Data::Histogram(Histogram {
            data_points: vec![point],
            aggregation_temporality: temporality,
        })),
        ..Metric::default()
    }
}

#[test]
fn deltas_accumulate() {
    let exporter = Exporter::plain();
    exporter.send(vec![sum("c", DELTA, true, vec![point(5, 100, 200)])]);
    exporter.send(vec![sum("c", DELTA, true, vec![point(3, 200, 300)])]);
    assert!(exporter.text().contains("c_total 8\n"));
    exporter.send(vec![sum("c", DELTA, true, vec![point(3, 200, 300)])]);
    assert!(
        exporter.text().contains("c_total 8\n"),
        "a repetition counts once"
    );
    exporter.send(vec![sum("c", DELTA, true, vec![point(2, 350, 400)])]);
    assert!(
        exporter.text().contains("c_total 10\n"),
        "a gap loses nothing"
    );
    exporter.send(vec![sum("c", DELTA, true, vec![point(1, 100, 500)])]);
    assert!(
        exporter.text().contains("c_total 1\n"),
        "a new start is a reset"
    );
}

#[test]
fn delta_histograms_accumulate() {
    let exporter = Exporter::plain();
    for (start, time) in [(1, 2), (2, 3)] {
        let point = HistogramDataPoint {
            start_time_unix_nano: start,
            time_unix_nano: time,
            count: 3,
            sum: Some(2.5),
            bucket_counts: vec![1, 2],
            explicit_bounds: vec![0.5],
            ..HistogramDataPoint::default()
        };
        exporter.send(vec![histogram(DELTA, point)]);
    }
    let text = exporter.text();
    for line in [
        "h_bucket{le=\"0.5\"} 2",
        "h_bucket{le=\"+Inf\"} 6",
        "h_sum 5",
        "h_count 6",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
}

#[test]
fn what_has_no_prometheus_form_is_counted() {
    let exporter = Exporter::plain();
    exporter.send(vec![
        sum("updown", DELTA, false, vec![point(1, 1, 2)]),
        sum("unspecified", 0, true, vec![point(1, 1, 2)]),
        gauge("...", vec![point(1, 0, 1)]),
        gauge("novalue", vec![NumberDataPoint::default()]),
        histogram(
            CUMULATIVE,
            HistogramDataPoint {
                bucket_counts: vec![1],
                explicit_bounds: vec![1.0],
                ..HistogramDataPoint::default()
            },
        ),
    ]);
    assert_eq!(exporter.text(), "");
    assert_eq!(exporter.dropped("temporality"), 2.0);
    assert_eq!(exporter.dropped("invalid_name"), 1.0);
    assert_eq!(exporter.dropped("malformed"), 2.0);
    exporter.send(vec![
        gauge("x", vec![point(1, 0, 1)]),
        sum("x", CUMULATIVE, false, vec![point(2, 0, 2)]),
    ]);
    assert!(
        exporter.text().ends_with("# TYPE x gauge\nx 2\n"),
        "both are gauges: one series"
    );
    let mut counter = sum("x", CUMULATIVE, true, vec![point(2, 0, 2)]);
    counter.name = "x_total".into();
    exporter.send(vec![gauge("x_total", vec![point(1, 0, 1)]), counter]);
    assert_eq!(
        exporter.dropped("type_conflict"),
        1.0,
        "the first type stays"
    );
}

#[test]
fn attributes_named_like_generated_labels_do_not_fail_the_scrape() {
    let exporter = Exporter::new(|c| {
        c.resource_to_telemetry_conversion.enabled = true;
    });
    let summary = Metric {
        name: "s".into(),
        data: Some(metric::Data::Summary(Summary {
            data_points: vec![SummaryDataPoint {
                attributes: vec![kv("quantile", "mine")],
                quantile_values: vec![summary_data_point::ValueAtQuantile {
                    quantile: 0.5,
                    value: 1.0,
                }],
                ..SummaryDataPoint::default()
            }],
        })),
        ..Metric::default()
    };
    let point_le = HistogramDataPoint {
        count: 1,
        attributes: vec![kv("le", "mine"), kv("a", "1")],
        ..HistogramDataPoint::default()
    };
    let mut gauge_point = point(1, 0, 1);
    gauge_point.attributes = vec![kv("quantile", "mine")];
    let mut request = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: vec![kv("le", "of the resource")],
                ..Resource::default()
            }),
            ..ResourceMetrics::default()
        }],
    };
    request.resource_metrics[0].scope_metrics = vec![ScopeMetrics {
        metrics: vec![
            summary,
            histogram(CUMULATIVE, point_le),
            gauge("g", vec![gauge_point]),
        ],
        ..ScopeMetrics::default()
    }];
    exporter.send_request(&request);
    let text = exporter.text();
    for line in [
        "h_bucket{a=\"1\",le=\"+Inf\"} 1",
        "h_count{a=\"1\"} 1",
        "s{le=\"of the resource\",quantile=\"0.5\"} 1",
        "s_count{le=\"of the resource\"} 0",
        "g{le=\"of the resource\",quantile=\"mine\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
}

#[test]
fn utf8_names_are_quoted_or_escaped() {
    let exporter = Exporter::new(|c| {
        c.translation_strategy = Some("NoUTF8EscapingWithSuffixes".into());
    });
    let mut labelled = point(3, 0, 1);
    labelled.attributes = vec![kv("http.route", "/a"), kv("plain", "p")];
    let mut counter = sum("http.requests", CUMULATIVE, true, vec![labelled]);
    counter.unit = "{request}".into();
    let buckets = HistogramDataPoint {
        count: 1,
        bucket_counts: vec![1, 0],
        explicit_bounds: vec![0.5],
        ..HistogramDataPoint::default()
    };
    let mut latency = histogram(CUMULATIVE, buckets);
    latency.name = "http.latency".into();
    latency.unit = "s".into();
    exporter.send(vec![counter, latency, gauge("plain", vec![point(1, 0, 1)])]);
    let at = |open_metrics, utf8| {
        let format = Format {
            open_metrics,
            timestamps: false,
            utf8,
        };
        exporter.text_at(Instant::now(), format)
    };
    assert_eq!(
        at(false, true),
        r#"# HELP "http.latency_seconds" 
# TYPE "http.latency_seconds" histogram
{"http.latency_seconds_bucket",le="0.5"} 1
{"http.latency_seconds_bucket",le="+Inf"} 1
{"http.latency_seconds_count"} 1
# HELP "http.requests_total" 
# TYPE "http.requests_total" counter
{"http.requests_total","http.route"="/a",plain="p"} 3
# HELP plain 
# TYPE plain gauge
plain 1
"#
    );
    assert!(at(true, true).contains("# TYPE \"http.requests\" counter\n"));
    let escaped = at(false, false);
    for line in [
        "# TYPE http_latency_seconds histogram",
        "http_latency_seconds_bucket{le=\"+Inf\"} 1",
        "http_requests_total{plain=\"p\",http_route=\"/a\"} 3",
    ] {
        assert!(
            escaped.lines().any(|l| l == line),
            "no {line} in\n{escaped}"
        );
    }
}

#[test]
fn bounds_that_clients_get_wrong() {
    let exporter = Exporter::plain();
    for bounds in [vec![5.0, 5.0], vec![5.0, 1.0], vec![f64::NAN, 1.0]] {
        let point = HistogramDataPoint {
            count: 3,
            bucket_counts: vec![1, 1, 1],
            explicit_bounds: bounds,
            ..HistogramDataPoint::default()
        };
        exporter.send(vec![histogram(CUMULATIVE, point)]);
    }
    assert_eq!(exporter.text(), "");
    assert_eq!(exporter.dropped("malformed"), 3.0);
    // The last bucket holds everything, also when its bound is written out.
    let point = HistogramDataPoint {
        count: 6,
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![5.0, f64::INFINITY],
        ..HistogramDataPoint::default()
    };
    exporter.send(vec![histogram(CUMULATIVE, point)]);
    let text = exporter.text();
    let buckets: Vec<&str> = text.lines().filter(|l| l.contains("_bucket")).collect();
    assert_eq!(buckets, ["h_bucket{le=\"5\"} 1", "h_bucket{le=\"+Inf\"} 6"]);
}

#[test]
fn the_order_of_attributes_does_not_matter() {
    let exporter = Exporter::plain();
    let with = |value: i64, time: u64, attributes: Vec<KeyValue>| NumberDataPoint {
        attributes,
        ..point(value, 0, time)
    };
    exporter.send(vec![gauge(
        "g",
        vec![with(1, 10, vec![kv("a", "1"), kv("b", "2")])],
    )]);
    exporter.send(vec![gauge(
        "g",
        vec![with(2, 11, vec![kv("b", "2"), kv("a", "1")])],
    )]);
    exporter.send(vec![gauge(
        "g",
        vec![with(9, 5, vec![kv("a", "1"), kv("b", "2")])],
    )]);
    exporter.send(vec![gauge(
        "g",
        vec![with(7, 12, vec![kv("a", "2"), kv("b", "1")])],
    )]);
    let text = exporter.text();
    assert_eq!(
        text, "# HELP g \n# TYPE g gauge\ng{a=\"1\",b=\"2\"} 2\ng{a=\"2\",b=\"1\"} 7\n",
        "older points are ignored"
    );
    // No recorded value removes the series.
    let gone = NumberDataPoint {
        flags: 1,
        ..with(0, 13, vec![kv("b", "2"), kv("a", "1")])
    };
    exporter.send(vec![gauge("g", vec![gone])]);
    assert!(!exporter.text().contains("b=\"2\""));
    // And it can come back.
    exporter.send(vec![gauge(
        "g",
        vec![with(4, 14, vec![kv("a", "1"), kv("b", "2")])],
    )]);
    assert!(exporter.text().contains("g{a=\"1\",b=\"2\"} 4\n"));
}

#[test]
fn series_expire() {
    let exporter = Exporter::new(|c| c.metric_expiration.0 = Duration::from_secs(60));
    exporter.send(vec![
        gauge("g", vec![point(1, 0, 1)]),
        histogram(CUMULATIVE, HistogramDataPoint::default()),
    ]);
    let later = Instant::now() + Duration::from_secs(61);
    let format = Format {
        open_metrics: false,
        timestamps: false,
        utf8: false,
    };
    assert_eq!(exporter.text_at(later, format), "", "not shown");
    exporter.store.lock().expire(later);
    assert_eq!(exporter.store.lock().len(), 0, "and gone");
    exporter.send(vec![gauge("g", vec![point(2, 0, 2)])]);
    assert!(exporter.text().contains("g 2\n"));
}

#[test]
fn resource_and_scope_labels() {
    let request = |service: &str| ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(Resource {
                attributes: vec![
                    kv("service.name", service),
                    kv("host.name", "h"),
                    kv("a", "weak"),
                ],
                ..Resource::default()
            }),
            scope_metrics: vec![ScopeMetrics {
                scope: Some(InstrumentationScope {
                    name: "lib".into(),
                    attributes: vec![kv("name", "collides"), kv("k", "v")],
                    ..InstrumentationScope::default()
                }),
                metrics: vec![gauge(
                    "g",
                    vec![NumberDataPoint {
                        attributes: vec![kv("a", "strong"), kv("job", "own")],
                        ..point(1, 0, 1)
                    }],
                )],
                ..ScopeMetrics::default()
            }],
            ..ResourceMetrics::default()
        }],
    };
    let exporter = Exporter::new(|c| {
        c.without_scope_info = false;
        c.resource_to_telemetry_conversion.enabled = true;
    });
    exporter.send_request(&request("s"));
    let text = exporter.text();
    let line = r#"g{a="strong",host_name="h",job="s",otel_scope_k="v",otel_scope_name="lib",otel_scope_schema_url="",otel_scope_version="",service_name="s"} 1"#;
    assert!(text.lines().any(|l| l == line), "{text}");
    assert!(!text.contains("target_info"), "needs job and instance");
    let exporter = Exporter::new(|c| {
        c.resource_constant_labels = Some(super::ResourceLabels {
            included: vec!["*".into()],
            excluded: vec!["service.*".into(), "a".into()],
        });
    });
    exporter.send_request(&request("s"));
    assert!(
        exporter
            .text()
            .contains("g{a=\"strong\",host_name=\"h\",job=\"s\"} 1\n"),
        "{}",
        exporter.text()
    );
}

fn rich(exporter: &Exporter) {
    let trace = Exemplar {
        time_unix_nano: 1_500_000_000,
        value: Some(exemplar::Value::AsDouble(0.7)),
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        filtered_attributes: vec![kv("user", "u1"), kv("long", &"x".repeat(200))],
    };
    exporter.send(vec![
        sum(
            "c",
            CUMULATIVE,
            true,
            vec![NumberDataPoint {
                exemplars: vec![trace.clone()],
                ..point(3, 0, 2_000_000_000)
            }],
        ),
        histogram(
            CUMULATIVE,
            HistogramDataPoint {
                time_unix_nano: 2_000_000_000,
                count: 3,
                sum: Some(f64::INFINITY),
                bucket_counts: vec![1, 1, 1],
                explicit_bounds: vec![0.5, 1.0],
                exemplars: vec![trace],
                ..HistogramDataPoint::default()
            },
        ),
        Metric {
            name: "s".into(),
            description: "quotes \" and\nlines \\".into(),
            data: Some(metric::Data::Summary(Summary {
                data_points: vec![SummaryDataPoint {
                    attributes: vec![kv("l", "a\\b\n\"c\"")],
                    count: 2,
                    sum: 1.25,
                    quantile_values: vec![summary_data_point::ValueAtQuantile {
                        quantile: 0.99,
                        value: f64::NAN,
                    }],
                    ..SummaryDataPoint::default()
                }],
            })),
            ..Metric::default()
        },
        Metric {
            name: "e".into(),
            data: Some(metric::Data::ExponentialHistogram(ExponentialHistogram {
                data_points: vec![ExponentialHistogramDataPoint {
                    count: 4,
                    sum: Some(9.0),
                    scale: 3,
                    ..ExponentialHistogramDataPoint::default()
                }],
                aggregation_temporality: CUMULATIVE,
            })),
            ..Metric::default()
        },
        gauge(
            "float",
            vec![NumberDataPoint {
                value: Some(number_data_point::Value::AsDouble(1.5e-9)),
                ..point(0, 0, 1)
            }],
        ),
    ]);
}

#[test]
fn open_metrics_has_exemplars_and_its_own_spelling() {
    let exporter = Exporter::new(|c| c.enable_open_metrics = true);
    rich(&exporter);
    let text = exporter.open_metrics();
    let id = format!(
        "trace_id=\"{}\",span_id=\"{}\",user=\"u1\"",
        "ab".repeat(16),
        "cd".repeat(8)
    );
    for line in [
        "# TYPE c counter".to_owned(),
        format!("c_total 3 2.000 # {{{id}}} 0.7 1.500"),
        "h_bucket{le=\"0.5\"} 1 2.000".to_owned(),
        format!("h_bucket{{le=\"1.0\"}} 2 2.000 # {{{id}}} 0.7 1.500"),
        "h_sum +Inf 2.000".to_owned(),
        "e_bucket{le=\"+Inf\"} 4".to_owned(),
        "s{l=\"a\\\\b\\n\\\"c\\\"\",quantile=\"0.99\"} NaN".to_owned(),
        "# HELP s quotes \\\" and\\nlines \\\\".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// `promtool check metrics` reads what we expose.
#[test]
fn promtool_accepts_the_page() {
    use std::io::Write as _;
    let exporter = Exporter::plain();
    rich(&exporter);
    let text = exporter.text();
    let program = std::env::var_os("BELLWETHER_REFERENCE_BIN").map_or_else(
        || "promtool".into(),
        |dir| std::path::Path::new(&dir).join("promtool"),
    );
    let child = std::process::Command::new(&program)
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: {} not found", program.display());
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // Exit code 3: readable, with remarks on style (a metric without help text).
    let readable = matches!(output.status.code(), Some(0 | 3));
    assert!(
        readable && !stderr.contains("error while linting"),
        "{stderr}\n{text}"
    );
}

/// The server's own parser reads both formats.
#[test]
fn the_scraper_reads_both_formats() {
    use bellwether_exposition::{Entry, Format, Parser};
    let exporter = Exporter::new(|c| c.enable_open_metrics = true);
    rich(&exporter);
    for (format, text, with_exemplar) in [
        (Format::Text, exporter.text(), 0),
        (Format::OpenMetrics, exporter.open_metrics(), 2),
    ] {
        let mut parser = Parser::new(format, text.as_bytes());
        let (mut series, mut exemplars) = (0, 0);
        while let Some(entry) = parser.next().unwrap_or_else(|e| panic!("{e}\n{text}")) {
            if let Entry::Series(line) = entry {
                series += 1;
                exemplars += usize::from(line.exemplar.is_some());
            }
        }
        // One counter, a histogram of 5 lines, a summary of 3, an exponential one of 3, one gauge.
        assert_eq!(series, 13, "{text}");
        assert_eq!(exemplars, with_exemplar, "{text}");
    }
}

/// Every value arrives with its own labels.
#[test]
fn a_thousand_series_are_read_back() {
    let exporter = Exporter::plain();
    let points = (0..1000i64)
        .map(|i| NumberDataPoint {
            attributes: vec![kv("i", &i.to_string())],
            ..point(i * 7, 0, 1)
        })
        .collect();
    exporter.send(vec![sum("many", CUMULATIVE, true, points)]);
    let text = exporter.text();
    let mut values = 0;
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let rest = line.strip_prefix("many_total{i=\"").unwrap();
        let (index, value) = rest.split_once("\"} ").unwrap();
        assert_eq!(
            value.parse::<i64>().unwrap(),
            index.parse::<i64>().unwrap() * 7
        );
        values += 1;
    }
    assert_eq!(values, 1000);
}
