//! Key by key: what Prometheus' own checks take and refuse, in its words, with the place in the file.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "p.yml", Path::new(".")).map_err(|e| e.to_string())
}

/// A job with these lines.
fn job(lines: &str) -> String {
    let indented: String = lines.lines().map(|l| format!("  {l}\n")).collect();
    format!("scrape_configs:\n- job_name: x\n{indented}")
}

/// An entry of `alertmanagers` with these lines.
fn alertmanager(lines: &str) -> String {
    let indented: String = lines.lines().map(|l| format!("    {l}\n")).collect();
    format!("alerting:\n  alertmanagers:\n  - timeout: 10s\n{indented}")
}

fn refused(text: &str, expected: &[&str]) {
    let error = parse(text).expect_err(text);
    for part in expected {
        assert!(
            error.contains(part),
            "{text}\ngives {error:?}, without {part:?}"
        );
    }
}

#[test]
fn the_global_section() {
    for (lines, expected) in [
        (
            "scrape_protocols: []",
            "p.yml:2:3: global.scrape_protocols: scrape_protocols cannot be empty for global config",
        ),
        (
            "scrape_protocols: [PrometheusText9]",
            "scrape_protocols: unknown scrape protocol PrometheusText9, supported: [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 PrometheusText1.0.0] for global config",
        ),
        (
            "scrape_protocols: [PrometheusProto, prometheusproto]",
            "duplicated protocol in scrape_protocols, got [PrometheusProto prometheusproto] for global config",
        ),
        (
            "scrape_interval: 5s\n  scrape_timeout: 6s",
            "global scrape timeout greater than scrape interval",
        ),
        (
            "scrape_interval: ''",
            "p.yml:2:20: global.scrape_interval: empty duration string",
        ),
        ("scrape_interval: 5", "not a valid duration string: \"5\""),
        (
            "scrape_timeout: 1s1m",
            "not a valid duration string: \"1s1m\"",
        ),
        (
            "evaluation_interval: -1m",
            "not a valid duration string: \"-1m\"",
        ),
        (
            "rule_query_offset: 1x",
            "unknown unit \"x\" in duration \"1x\"",
        ),
        ("scrape_interval: 400y", "duration out of range"),
        (
            "metric_name_validation_scheme: UTF8",
            "unrecognized ValidationScheme: \"UTF8\"",
        ),
        (
            "metric_name_validation_scheme: legacy\n  external_labels: {a.b: c}",
            "\"a.b\" is not a valid label name",
        ),
        ("external_labels: {'': c}", "\"\" is not a valid label name"),
        ("external_labels: {a: [b]}", "global.external_labels"),
        (
            "external_labels: {a: b, a: c}",
            "the key `a` stands here twice",
        ),
        ("sample_limit: -1", "global.sample_limit"),
        ("target_limit: many", "global.target_limit"),
        ("label_limit: '5'", "global.label_limit"),
        ("keep_dropped_targets: -5", "global.keep_dropped_targets"),
        ("body_size_limit: 10", "units: unknown unit  in 10"),
        ("body_size_limit: 10XB", "units: unknown unit XB in 10XB"),
        ("scrape_native_histograms: maybe", "expected true or false"),
        (
            "scrape_native_histogram: true",
            "did you mean `scrape_native_histograms`?",
        ),
        ("query_log_file: [a]", "global.query_log_file"),
    ] {
        refused(&format!("global:\n  {lines}\n"), &[expected]);
    }
    // Found only where a job uses it, as in Prometheus.
    let escaping = "global: {metric_name_escaping_scheme: dashes}\n";
    parse(escaping).unwrap();
    refused(
        &format!("{escaping}{}", job("")),
        &[
            "unknown global name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', got \"dashes\"",
        ],
    );
    for good in [
        "global:\n  scrape_interval:\n  external_labels:\n  sample_limit:\n  query_log_file:\n  extra_scrape_metrics:\n  body_size_limit:\n",
        "global: {scrape_interval: 0, scrape_timeout: 0s}\n",
        "global: {external_labels: {a.b: c, 'ä': 1.10, n: }, sample_limit: 5, body_size_limit: 1.5GiB}\n",
        "global: {scrape_protocols: [PrometheusText1.0.0, OpenMetricsText0.0.1]}\n",
        "global: {evaluation_interval: 1h30m, rule_query_offset: 1m, scrape_failure_log_file: f.log}\n",
    ] {
        parse(good).unwrap();
    }
}

#[test]
fn scrape_configs() {
    for (lines, expected) in [
        (
            "scrape_protocols: []",
            "scrape_protocols cannot be empty for scrape config with job name \"x\"",
        ),
        (
            "scrape_protocols: [PrometheusProto, PROMETHEUSPROTO]",
            "duplicated protocol in scrape_protocols, got [PrometheusProto PROMETHEUSPROTO] for scrape config with job name \"x\"",
        ),
        (
            "fallback_scrape_protocol: text",
            "invalid fallback_scrape_protocol for scrape config with job name \"x\": unknown scrape protocol text",
        ),
        (
            "scrape_interval: 5s\nscrape_timeout: 10s",
            "scrape timeout greater than scrape interval for scrape config with job name \"x\"",
        ),
        (
            "scrape_timeout: 2m",
            "scrape timeout greater than scrape interval for scrape config with job name \"x\"",
        ),
        (
            "metric_name_validation_scheme: ascii",
            "unrecognized ValidationScheme: \"ascii\"",
        ),
        (
            "metric_name_escaping_scheme: dashes",
            "unknown scrape config name escaping method specified, must be one of 'allow-utf-8', 'underscores', 'dots', or 'values', got \"dashes\"",
        ),
        (
            "metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: allow-utf-8",
            "utf8 metric names requested but validation scheme is not set to UTF8",
        ),
        ("honor_labels: 5", "expected true or false"),
        ("sample_limit: -1", "p.yml:3:17: scrape_configs[0]"),
        (
            "native_histogram_bucket_limit: -1",
            "scrape_configs[0].native_histogram_bucket_limit",
        ),
        (
            "native_histogram_min_bucket_factor: a",
            "scrape_configs[0].native_histogram_min_bucket_factor",
        ),
        ("params: {a: b}", "scrape_configs[0].params"),
        ("params: [a]", "scrape_configs[0].params"),
        ("job_name: y", "the key `job_name` stands here twice"),
        (
            "static_configs: [{targets: ['a/b']}]",
            "\"a/b\" is not a valid hostname",
        ),
        (
            "static_configs: [{targets: [a], labels: {'': b}}]",
            "\"\" is not a valid label name",
        ),
        ("static_configs: {targets: [a]}", "expected a list"),
        ("relabel_config: []", "did you mean \"relabel_configs\"?"),
    ] {
        refused(&job(lines), &[expected]);
    }
    for good in [
        "scrape_interval:\nscrape_protocols:\nparams:\nstatic_configs:\nrelabel_configs:\nmetric_relabel_configs:\nhonor_labels:\nsample_limit:",
        "params: {a: [b, c], d: []}",
        "scrape_interval: 5s",
        "static_configs: [{targets: ['http://a/b']}]\nrelabel_configs: [{target_label: __address__, replacement: 'a:1'}]",
        "static_configs: [{targets: , labels: }]",
        "metric_name_validation_scheme: legacy",
        "metric_name_validation_scheme: ''\nmetric_name_escaping_scheme: ''",
        "native_histogram_bucket_limit: 160\nnative_histogram_min_bucket_factor: 1.1",
        "scrape_failure_log_file: x.log\nextra_scrape_metrics: on",
    ] {
        parse(&job(good)).unwrap_or_else(|e| panic!("{good}: {e}"));
    }
    // A scheme of its own brings the escaping that goes with it, whatever the global section asks for.
    let text = "global: {metric_name_escaping_scheme: allow-utf-8}\n".to_owned()
        + &job("metric_name_validation_scheme: legacy");
    parse(&text).unwrap();
}

#[test]
fn relabelling() {
    for (rule, expected) in [
        ("{action: }", "relabel action cannot be empty"),
        ("{action: replce}", "unknown relabel action \"replce\""),
        (
            "{action: replace}",
            "relabel configuration for replace action requires 'target_label' value",
        ),
        (
            "{action: hashmod, target_label: a}",
            "relabel configuration for hashmod requires non-zero modulus",
        ),
        (
            "{action: hashmod, modulus: 2}",
            "relabel configuration for hashmod action requires 'target_label' value",
        ),
        (
            "{action: hashmod, modulus: -2, target_label: a}",
            "relabel_configs[0].modulus",
        ),
        (
            "{action: uppercase}",
            "relabel configuration for uppercase action requires 'target_label' value",
        ),
        (
            "{action: lowercase, target_label: a, replacement: b}",
            "'replacement' can not be set for lowercase action",
        ),
        (
            "{action: keepequal, target_label: a, replacement: b}",
            "'replacement' can not be set for keepequal action",
        ),
        (
            "{action: keepequal, target_label: a, source_labels: [b], regex: x}",
            "keepequal action requires only 'source_labels' and `target_label`, and no other fields",
        ),
        (
            "{action: dropequal, target_label: a, source_labels: [b], regex: (.*)}",
            "dropequal action requires only 'source_labels' and `target_label`, and no other fields",
        ),
        (
            "{action: dropequal, target_label: a, separator: ','}",
            "dropequal action requires only",
        ),
        (
            "{action: labelmap, replacement: ''}",
            "\"\" is invalid 'replacement' for labelmap action",
        ),
        (
            "{action: labeldrop, regex: a, source_labels: []}",
            "labeldrop action requires only 'regex', and no other fields",
        ),
        (
            "{action: labelkeep, regex: a, target_label: b}",
            "labelkeep action requires only 'regex', and no other fields",
        ),
        (
            "{action: labelkeep, regex: a, modulus: 1}",
            "labelkeep action requires only 'regex', and no other fields",
        ),
        ("{target_label: a, regex: '('}", "error parsing regexp"),
        (
            "{target_label: a, regex: 'a{1001}'}",
            "error parsing regexp",
        ),
        (
            "{target_label: a, source_labels: ['']}",
            "\"\" is not a valid label name",
        ),
        ("{target_label: a, source_labels: b}", "expected a list"),
        ("{target_lable: a}", "did you mean \"target_label\"?"),
    ] {
        refused(
            &job(&format!("relabel_configs: [{rule}]")),
            &["p.yml:3:", expected],
        );
        refused(
            &job(&format!("metric_relabel_configs: [{rule}]")),
            &["p.yml:3:", expected],
        );
        refused(
            &format!("alerting: {{alert_relabel_configs: [{rule}]}}"),
            &["p.yml:1:", expected],
        );
    }
    for (rule, expected) in [
        (
            "{target_label: a.b}",
            "\"a.b\" is invalid 'target_label' for replace action",
        ),
        (
            "{target_label: 'a-$1'}",
            "\"a-$1\" is invalid 'target_label' for replace action",
        ),
        (
            "{target_label: a.b, action: uppercase}",
            "\"a.b\" is invalid 'target_label' for uppercase action",
        ),
        (
            "{target_label: a.b, action: keepequal}",
            "\"a.b\" is invalid 'target_label' for keepequal action",
        ),
        (
            "{target_label: a.b, action: hashmod, modulus: 2}",
            "\"a.b\" is invalid 'target_label' for hashmod action",
        ),
        (
            "{replacement: 'a.$1', action: labelmap}",
            "\"a.$1\" is invalid 'replacement' for labelmap action",
        ),
    ] {
        // Any text is a label name today, the old rules hold where they are asked for.
        let lines = format!("relabel_configs: [{rule}]");
        parse(&job(&lines)).unwrap();
        refused(
            &job(&format!("metric_name_validation_scheme: legacy\n{lines}")),
            &[expected],
        );
        let global = "global: {metric_name_validation_scheme: legacy}\n";
        refused(&format!("{global}{}", job(&lines)), &[expected]);
        let alert = format!("{global}alerting: {{alert_relabel_configs: [{rule}]}}\n");
        refused(&alert, &[expected]);
        refused(&format!("{global}{}", alertmanager(&lines)), &[expected]);
    }
    for good in [
        "{target_label: '${1}_x', regex: '(a)', source_labels: [b]}",
        "{target_label: a, regex: , separator: , replacement: }",
        "{action: DROP, source_labels: [a], regex: 5}",
        "{action: labelmap, replacement: 'x_$1'}",
        "{action: labeldrop, regex: a, separator: ;, replacement: $1}",
        "{action: keep, source_labels: [a, __meta_x], regex: true}",
    ] {
        let legacy = "metric_name_validation_scheme: legacy\n";
        let lines = format!("{legacy}relabel_configs: [{good}]");
        parse(&job(&lines)).unwrap_or_else(|e| panic!("{good}: {e}"));
    }
    // An empty pattern is not the default one.
    let config = parse(&job("relabel_configs: [{target_label: a, regex: }]")).unwrap();
    let rule = &config.scrape_configs[0].relabel_configs[0];
    assert_eq!(rule.regex.as_deref(), Some(""));
}

#[test]
fn alerting() {
    for (lines, expected) in [
        (
            "api_version: v1",
            "expected Alertmanager api version to be one of [v2] but got v1",
        ),
        (
            "api_version: ''",
            "expected Alertmanager api version to be one of [v2] but got ",
        ),
        ("timeout: 5", "the key `timeout` stands here twice"),
        (
            "static_configs: [{targets: ['http://a:9093']}]",
            "\"http://a:9093\" is not a valid hostname",
        ),
        (
            "relabel_configs: [null]",
            "empty or null Alertmanager target relabeling rule",
        ),
        (
            "alert_relabel_configs: [null]",
            "empty or null Alertmanager alert relabeling rule",
        ),
        (
            "alert_relabel_configs: [{action: keep, regex: '['}]",
            "error parsing regexp",
        ),
        ("path_prefx: /x", "did you mean \"path_prefix\"?"),
    ] {
        refused(&alertmanager(lines), &[expected]);
    }
    refused(
        "alerting: {alertmanager: []}",
        &["did you mean `alertmanagers`?"],
    );
    refused(
        "alerting: {alertmanagers: [null]}",
        &["empty or null alertmanager config"],
    );
    refused(
        "alerting: {alert_relabel_configs: [~]}",
        &["empty or null alert relabeling rule"],
    );
    parse("alerting:\n  alertmanagers:\n  alert_relabel_configs:\n").unwrap();
    parse(&alertmanager("static_configs: [{targets: ['http://a:9093']}]\nrelabel_configs: [{target_label: __address__, replacement: 'a:1'}]")).unwrap();
}

#[test]
fn storage_runtime_and_otlp() {
    for (text, expected) in [
        (
            "storage: {tsdb: {retention: {time: 1}}}",
            "storage.tsdb.retention.time: not a valid duration string: \"1\"",
        ),
        (
            "storage: {tsdb: {retention: {size: 5}}}",
            "storage.tsdb.retention.size: units: unknown unit  in 5",
        ),
        (
            "storage: {tsdb: {retention: {size: -5GB}}}",
            "'storage.tsdb.retention.size' must be greater than or equal to 0, got -5GB",
        ),
        (
            "storage: {tsdb: {retention: {percentage: 100.5}}}",
            "'storage.tsdb.retention.percentage' must be in the range [0, 100], got 100.5",
        ),
        (
            "storage: {tsdb: {retention: {percentage: half}}}",
            "storage.tsdb.retention.percentage",
        ),
        (
            "storage: {tsdb: {retention: {percent: 5}}}",
            "did you mean `percentage`?",
        ),
        (
            "storage: {tsdb: {out_of_order_time_window: -1h}}",
            "not a valid duration string: \"-1h\"",
        ),
        (
            "storage: {tsdb: {stale_series_compaction_threshold: x}}",
            "stale_series_compaction_threshold",
        ),
        (
            "storage: {tsdb: {chunk_encoding: {floats: gorilla}}}",
            "'storage.tsdb.chunk_encoding.floats' must be 'xor' or 'xor2', or the field must be omitted entirely, got \"gorilla\"",
        ),
        (
            "storage: {exemplars: {max_exemplars: lots}}",
            "storage.exemplars.max_exemplars",
        ),
        ("storage: {remote: {}}", "p.yml:1:11: storage"),
        ("runtime: {gogc: high}", "runtime.gogc"),
        ("runtime: {gomaxprocs: 4}", "p.yml:1:11: runtime"),
        (
            "otlp: {translation_strategy: None}",
            "unsupported OTLP translation strategy \"None\"",
        ),
        (
            "otlp: {promote_resource_attributes: [a, ' a ']}",
            "invalid 'promote_resource_attributes': duplicated promoted OTel resource attribute \"a\"",
        ),
        (
            "otlp: {promote_resource_attributes: [' ']}",
            "empty promoted OTel resource attribute",
        ),
        (
            "otlp: {promote_all_resource_attributes: true, promote_resource_attributes: [a]}",
            "'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be configured simultaneously",
        ),
        (
            "otlp: {promote_all_resource_attributes: true, ignore_resource_attributes: [a, a]}",
            "invalid 'ignore_resource_attributes': duplicated ignored OTel resource attribute \"a\"",
        ),
        (
            "otlp: {promote_scope_meta: true}",
            "did you mean `promote_scope_metadata`?",
        ),
        (
            "global: {metric_name_validation_scheme: legacy}\notlp: {translation_strategy: NoTranslation}",
            "OTLP translation strategy \"NoTranslation\" is not allowed when UTF8 is disabled",
        ),
    ] {
        refused(text, &[expected]);
    }
    for good in [
        "storage:\n",
        "storage:\n  tsdb:\n  exemplars:\n",
        "storage: {tsdb: {retention: , chunk_encoding: , out_of_order_time_window: }}",
        "storage: {tsdb: {retention: {time: 0s, size: 0, percentage: 0}}}",
        "storage: {tsdb: {chunk_encoding: {floats: ''}}}",
        "storage: {exemplars: {max_exemplars: -1}}",
        "runtime: {gogc: -1}",
        "runtime:\n",
        "otlp:\n",
        "otlp: {translation_strategy: ''}",
        "otlp: {translation_strategy: NoUTF8EscapingWithSuffixes, promote_scope_metadata: true}",
    ] {
        parse(good).unwrap_or_else(|e| panic!("{good}: {e}"));
    }
    let text = "storage: {tsdb: {retention: {time: 1d, size: 1GB, percentage: 28}, stale_series_compaction_threshold: 0.5, chunk_encoding: {floats: xor2}}}";
    let config = parse(text).unwrap();
    let yaml = config.to_yaml();
    assert!(yaml.contains("percentage: 28\n"), "{yaml}");
    assert_eq!(parse(&yaml).unwrap().to_yaml(), yaml);
    let keys: Vec<&str> = config
        .storage
        .without_effect()
        .iter()
        .map(|k| k.0)
        .collect();
    assert_eq!(keys, ["storage.tsdb.chunk_encoding.floats"]);
    let threshold = config.storage.stale_series_compaction_threshold();
    assert!((threshold - 0.5).abs() < 1e-9);
}

#[test]
fn file_patterns_and_the_document() {
    for (text, expected) in [
        (
            "rule_files: ['a/*/b.yml']",
            "p.yml:1:14: rule_files[0]: invalid rule file path \"a/*/b.yml\"",
        ),
        ("rule_files: ['a/*/']", "invalid rule file path \"a/*/\""),
        (
            "scrape_config_files: [b, '*/x']",
            "p.yml:1:26: scrape_config_files[1]: invalid scrape config file path \"*/x\"",
        ),
        ("rule_files: a.yml", "rule_files"),
        ("scrape_configs: {job_name: x}", "expected a list"),
        (
            "scrape_configs: []\nscrape_configs: []\n",
            "p.yml:2:1: the key `scrape_configs` stands here twice",
        ),
        ("rulefiles: []", "did you mean `rule_files`?"),
        ("- a\n", "expected keys with values"),
        ("a: b: c\n", "p.yml:1:"),
    ] {
        refused(text, &[expected]);
    }
    for good in [
        "rule_files:\nscrape_config_files:\nscrape_configs:\n",
        "rule_files: ['a*b*c.yml', '?.yml', '[a-z]/x.yml']",
        "x-common: &c {scrape_interval: 5s}\n",
        "---\nglobal: {}\n",
    ] {
        // Keys for anchors are no keys of Prometheus.
        let result = parse(good);
        assert_eq!(
            result.is_ok(),
            !good.starts_with("x-"),
            "{good}: {result:?}"
        );
    }
    parse("global: &g {scrape_interval: 5s}\nscrape_configs:\n- &a\n  job_name: a\n  scrape_interval: 5s\n- <<: *a\n  job_name: b\n").unwrap();
}

#[test]
fn tracing_is_checked_and_shown() {
    for (text, expected) in [
        (
            "tracing: {client_type: grpc}",
            "tracing endpoint must be set",
        ),
        (
            "tracing: {endpoint: x, client_type: udp}",
            "expected tracing client type to be to be http or grpc, but got udp",
        ),
        (
            "tracing: {endpoint: x, compression: zip}",
            "invalid compression type zip provided, valid options: gzip",
        ),
        (
            "tracing: {endpoint: x, headers: {Host: y}}",
            "Host is a reserved header. It must not be changed",
        ),
        (
            "tracing: {endpoint: x, tls_config: {cert_file: x}}",
            "exactly one of key or key_file must be configured when a client certificate is configured",
        ),
        ("tracing: {endpoints: x}", "did you mean \"endpoint\"?"),
    ] {
        refused(text, &["p.yml:1:", expected]);
    }
    let config = parse("tracing: {endpoint: x, timeout: 5s, sampling_fraction: 0.5}").unwrap();
    let shown =
        "tracing:\n  client_type: grpc\n  endpoint: x\n  sampling_fraction: 0.5\n  timeout: 5s\n";
    assert!(config.to_yaml().contains(shown), "{}", config.to_yaml());
    assert_eq!(parse("tracing:\n").unwrap().tracing, None);
}
