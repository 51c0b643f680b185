#![allow(clippy::unwrap_used)]

use super::*;

fn name(name: &str, unit: &str, kind: MetricKind) -> String {
    Translator::default().metric_name(name, unit, kind).unwrap()
}

fn with(strategy: Strategy, metric: &str, unit: &str, kind: MetricKind) -> String {
    Translator {
        strategy,
        ..Translator::default()
    }
    .metric_name(metric, unit, kind)
    .unwrap()
}

#[test]
fn names_with_suffixes() {
    use MetricKind::{Counter, Gauge, Histogram, NonMonotonicSum};
    let cases = [
        (
            "http.server.request.duration",
            "s",
            Histogram,
            "http_server_request_duration_seconds",
        ),
        (
            "system.cpu.time",
            "s",
            Counter,
            "system_cpu_time_seconds_total",
        ),
        (
            "system.memory.usage",
            "By",
            NonMonotonicSum,
            "system_memory_usage_bytes",
        ),
        (
            "system.cpu.utilization",
            "1",
            Gauge,
            "system_cpu_utilization_ratio",
        ),
        ("requests", "{request}", Counter, "requests_total"),
        ("my_total_things_total", "", Counter, "my_things_total"),
        ("speed", "m/s", Gauge, "speed_meters_per_second"),
        ("2xx.count", "", Gauge, "_2xx_count"),
        ("a.per.second", "1/s", Gauge, "a_per_second_per_second"),
        ("rate", "/s", Gauge, "rate_per_second"),
        ("rate", "{packet}/{s}", Gauge, "rate"),
        ("disk", "1", NonMonotonicSum, "disk"),
        ("size", "foo.bar", Gauge, "size_foo_bar"),
        ("_a__b_", "", Gauge, "a_b"),
        ("duration_seconds", "s", Gauge, "duration_seconds"),
        ("température", "Cel", Gauge, "temp_rature_celsius"),
    ];
    for (metric, unit, kind, expected) in cases {
        assert_eq!(name(metric, unit, kind), expected, "{metric} {unit}");
    }
}

#[test]
fn namespace_is_one_token() {
    let translator = Translator {
        namespace: "my-app".into(),
        ..Translator::default()
    };
    assert_eq!(
        translator
            .metric_name("2x", "", MetricKind::Counter)
            .unwrap(),
        "my_app_2x_total"
    );
}

#[test]
fn strategies() {
    use Strategy::*;
    for (strategy, expected) in [
        (UnderscoreEscapingWithSuffixes, "foo_bar_bytes_total"),
        (UnderscoreEscapingWithoutSuffixes, "foo_bar"),
        (NoUtf8EscapingWithSuffixes, "foo.bar_bytes_total"),
        (NoTranslation, "foo.bar"),
    ] {
        assert_eq!(
            with(strategy, "foo.bar", "By", MetricKind::Counter),
            expected
        );
        assert_eq!(strategy.to_string().parse::<Strategy>().unwrap(), strategy);
    }
    assert_eq!(
        with(
            UnderscoreEscapingWithoutSuffixes,
            "a__b..c_",
            "",
            MetricKind::Counter
        ),
        "a__b_c_"
    );
    assert_eq!(
        with(
            NoUtf8EscapingWithSuffixes,
            "foo.total",
            "",
            MetricKind::Counter
        ),
        "foo_total"
    );
    let error = "Nope".parse::<Strategy>().unwrap_err();
    assert!(error.to_string().contains("\"Nope\""), "{error}");
}

#[test]
fn names_that_vanish_are_errors() {
    for bad in ["", "___", "..."] {
        let error = Translator::default()
            .metric_name(bad, "", MetricKind::Gauge)
            .unwrap_err();
        assert_eq!(error, NameError::Metric(bad.to_owned()));
    }
}

#[test]
fn label_names() {
    let translator = Translator::default();
    for (attribute, expected) in [
        ("http.route", "http_route"),
        ("a..b", "a__b"),
        ("1x", "key_1x"),
        ("_x", "key_x"),
        ("__x", "__x"),
        ("__x__", "__x__"),
        ("ü", ""),
        ("", ""),
        ("__", ""),
    ] {
        match translator.label_name(attribute) {
            Ok(label) => assert_eq!(label, expected, "{attribute}"),
            Err(error) => {
                assert_eq!(expected, "", "{attribute}: {error}");
            }
        }
    }
    let collapsing = Translator {
        labels: LabelSettings {
            underscore_sanitization: true,
            preserve_multiple_underscores: false,
        },
        ..Translator::default()
    };
    assert_eq!(collapsing.label_name("a..b").unwrap(), "a_b");
    let utf8 = Translator {
        strategy: Strategy::NoTranslation,
        ..Translator::default()
    };
    assert_eq!(utf8.label_name("http.route").unwrap(), "http.route");
}

#[test]
fn colliding_labels_are_joined_in_key_order() {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
    use prost::Message as _;
    let kv = |key: &str, value: &str| KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.into())),
        }),
        ..KeyValue::default()
    };
    let resource = crate::raw::Resource {
        attributes: vec![
            kv("a_b", "2"),
            kv("a.b", "1"),
            kv("__name__", "x"),
            kv("..name--", "z"),
            kv("_", "y"),
        ],
        ..Default::default()
    };
    let bytes = resource.encode_to_vec();
    let mut skipped = Vec::new();
    let labels = Translator::default().attribute_labels(
        Attributes::new(&bytes, 1),
        |_| true,
        |key| skipped.push(key),
    );
    assert_eq!(labels, [("a_b".to_owned(), "1;2".to_owned())]);
    assert_eq!(skipped, ["..name--", "_", "__name__"]);
}

use crate::value::Attributes;
