//! Configurations that load, and mistakes with their exact messages.
#![allow(clippy::unwrap_used)]

use bellwether_collector::{CollectorConfig, ConfigSource, LogLevel};

fn load(text: &str) -> Result<CollectorConfig, String> {
    load_with(&[text], &|_| None)
}

fn load_with(
    texts: &[&str],
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<CollectorConfig, String> {
    let sources: Vec<ConfigSource> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| ConfigSource::Text {
            name: format!("{}.yaml", char::from(b'a' + index as u8)),
            text: (*text).to_owned(),
        })
        .collect();
    CollectorConfig::load(&sources, env).map_err(|e| e.to_string())
}

const MINIMAL: &str = "
receivers: { otlp: { protocols: { grpc: , http: } } }
exporters: { debug: }
service: { pipelines: { metrics: { receivers: [otlp], exporters: [debug] } } }
";

#[test]
fn the_official_minimal_example() {
    load(
        "
receivers:
  otlp: { protocols: { grpc: { endpoint: 0.0.0.0:4317 }, http: { endpoint: 0.0.0.0:4318 } } }
processors:
  memory_limiter: { check_interval: 1s, limit_mib: 512 }
  batch:
exporters:
  prometheus: { endpoint: 0.0.0.0:8889 }
  debug: { verbosity: detailed }
service:
  pipelines:
    metrics: { receivers: [otlp], processors: [memory_limiter, batch], exporters: [prometheus, debug] }
",
    )
    .unwrap();
    load(MINIMAL).unwrap();
}

#[test]
fn an_old_tutorial_loads_with_warnings() {
    let config = load(
        "
receivers:
  otlp:
    protocols:
      grpc:
      http:
        endpoint: 0.0.0.0:4318
processors:
  batch:
    timeout: 1s
    send_batch_size: 1024
  memory_limiter:
    check_interval: 1s
    limit_mib: 512
    spike_limit_mib: 128
  resource:
    attributes:
      - key: environment
        value: prod
        action: upsert
exporters:
  logging:
    loglevel: info
  prometheus:
    endpoint: \"0.0.0.0:8889\"
    namespace: app
    const_labels:
      plane: data
    send_timestamps: true
    metric_expiration: 5m
    enable_open_metrics: true
    resource_to_telemetry_conversion:
      enabled: true
  otlp:
    endpoint: jaeger:4317
    tls:
      insecure: true
  otlphttp:
    endpoint: http://backend:4318
extensions:
  health_check:
    endpoint: 0.0.0.0:13133
service:
  extensions: [health_check]
  telemetry:
    logs:
      level: \"debug\"
    metrics:
      level: detailed
      address: 0.0.0.0:8888
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [memory_limiter, resource, batch]
      exporters: [prometheus, logging]
    traces:
      receivers: [otlp]
      processors: [batch]
      exporters: [otlp, otlphttp]
",
    )
    .unwrap();
    assert_eq!(config.log_level(), LogLevel::Debug);
    let warnings: Vec<String> = config.warnings().iter().map(ToString::to_string).collect();
    for part in [
        "exporters::logging: the official collector no longer has the logging exporter: use debug",
        "exporters::otlp: the type \"otlp\" is an old name: write \"otlp_grpc\"",
        "exporters::otlphttp: the type \"otlphttp\" is an old name: write \"otlp_http\"",
        "service::telemetry::metrics::address: the key is no longer part",
    ] {
        assert!(
            warnings.iter().any(|w| w.contains(part)),
            "no {part:?} in {warnings:#?}"
        );
    }
}

/// Text around one place that is wrong.
fn with(section: &str) -> String {
    format!("{}\n{section}\n", MINIMAL.trim_end())
}

fn with_exporter(body: &str) -> String {
    MINIMAL.replace("debug: }", &format!("debug: , {body} }}"))
}

fn with_pipelines(pipelines: &str) -> String {
    format!(
        "receivers: {{ otlp: {{ protocols: {{ grpc: }} }} }}\nprocessors: {{ batch: }}\nexporters: {{ debug: }}\nservice:\n  pipelines:\n{pipelines}\n"
    )
}

#[test]
fn mistakes_with_their_messages() {
    let cases: Vec<(String, &str)> = vec![
        (String::new(), "a.yaml: the configuration is empty"),
        ("service: {pipelines: {metrics: {receivers: [a], exporters: [b]}}}".into(), "exporters: no exporters are configured: at least one is needed"),
        (with("recievers: {}"), "a.yaml:5:1: unknown key `recievers` (keys: receivers, processors, exporters, connectors, extensions, service); did you mean `receivers`?"),
        (with("processors: { batch: { timeuot: 1s } }"), "a.yaml:5:24: processors::batch: unknown key `timeuot` (keys: timeout, send_batch_size, send_batch_max_size, metadata_keys, metadata_cardinality_limit); did you mean `timeout`?"),
        (with("processors: { batch: { timeout: 5 } }"), "a.yaml:5:33: processors::batch::timeout: the duration 5 has no unit: write for example 5s"),
        (with("processors: { batch: { send_batch_size: \"5\" } }"), "a.yaml:5:41: processors::batch::send_batch_size: expected a whole number, found the string \"5\""),
        (with("processors: { batch: { send_batch_size: 10, send_batch_max_size: 5 } }"), "a.yaml:5:45: processors::batch::send_batch_max_size: must be 0 (no limit) or at least send_batch_size (10)"),
        (with("processors: { memory_limiter: }"), "processors::memory_limiter::check_interval: is required and must be positive; 1s is a good value"),
        (with("processors: { memory_limiter: { check_interval: 1s } }"), "processors::memory_limiter::limit_mib: limit_mib or limit_percentage must be positive"),
        (with("processors: { bacth: }"), "a.yaml:5:15: processors: unknown type \"bacth\" for id \"bacth\" (valid types: attributes, batch, memory_limiter, resource); did you mean \"batch\"?"),
        (with("extensions: { zpages: }"), "extensions: unknown type \"zpages\" for id \"zpages\" (valid types: health_check)"),
        (with("processors: { batch/: }"), "in id \"batch/\" the part after / must not be empty"),
        (with("processors: { \"batch \": , batch: }"), "duplicate name \"batch\""),
        (with_exporter("prometheus: "), "exporters::prometheus: the key `endpoint` is required"),
        (with_exporter("prometheus: { endpoint: 8889 }"), "exporters::prometheus::endpoint: expected a string, found `8889`; write \"8889\" in quotes"),
        (with_exporter("prometheus: { endpoint: localhost }"), "exporters::prometheus::endpoint: invalid endpoint \"localhost\": it must be host:port"),
        (with_exporter("prometheus: { endpoint: \"localhost:1\", const_labels: { a-b: x } }"), "exporters::prometheus::const_labels::a-b: invalid label name \"a-b\""),
        (with_exporter("prometheus: { endpoint: \"localhost:1\", translation_strategy: Nope }"), "unknown translation strategy \"Nope\""),
        (with_exporter("otlp_grpc: { endpoint: collector }"), "it must end in a valid port"),
        (with_exporter("otlp_grpc: { endpoint: \"c:1\", sending_queue: { storage: file_storage } }"), "exporters::otlp_grpc::sending_queue::storage: this key of the official collector is not supported yet; remove it"),
        (with_exporter("otlp_grpc: { endpoint: \"c:1\", sending_queue: { batch: { min_size: 10, max_size: 5 } } }"), "exporters::otlp_grpc::sending_queue::batch::max_size: must be 0 (no limit) or at least min_size (10)"),
        (with_exporter("otlp_grpc: { endpoint: \"c:1\", sending_queue: { sizer: items, batch: } }"), "exporters::otlp_grpc::sending_queue::batch::min_size: must not be above queue_size (1000)"),
        (with_exporter("otlp_grpc: { endpoint: \"c:1\", compression: lzma }"), "exporters::otlp_grpc::compression: unknown value \"lzma\" (one of gzip, zstd, none"),
        (with_exporter("otlp_grpc: { endpoint: \"c:1\", retry_on_failure: { max_elapsed_time: 1s } }"), "exporters::otlp_grpc::retry_on_failure::max_elapsed_time: must not be less than initial_interval"),
        (with_exporter("otlp_http: { compression: gzip }"), "exporters::otlp_http: at least one endpoint is required"),
        (with_exporter("logging: { loglevel: info, verbosity: basic }"), "exporters::logging::loglevel: loglevel and verbosity exclude each other"),
        ("receivers: {otlp: }\nexporters: {debug: }\nservice: {pipelines: {metrics: {receivers: [otlp], exporters: [debug]}}}".into(), "a.yaml:1:13: receivers::otlp::protocols: at least one protocol is needed: grpc, http"),
        (MINIMAL.replace("http: }", "http: { cors: { allowed_origins: [\"http://*.*\"] } } }"), "receivers::otlp::protocols::http::cors::allowed_origins: \"http://*.*\" has more than one *"),
        (MINIMAL.replace("http: }", "http: { compression_algorithms: [lz4] } }"), "receivers::otlp::protocols::http::compression_algorithms: \"lz4\" does not exist here; there are gzip"),
        (MINIMAL.replace("http: }", "http: { traces_url_path: v1/logs } }"), "receivers::otlp::protocols::http: two signals have the same path"),
        (with_pipelines(""), "service::pipelines: the service must have at least one pipeline"),
        (with_pipelines("    metric: {receivers: [otlp], exporters: [debug]}"), "unknown signal \"metric\" in pipeline id \"metric\""),
        (with_pipelines("    metrics: {exporters: [debug]}"), "service::pipelines::metrics: must have at least one receiver"),
        (with_pipelines("    metrics: {receivers: [otlp]}"), "service::pipelines::metrics: must have at least one exporter"),
        (with_pipelines("    metrics: {receivers: [otpl], exporters: [debug]}"), "a.yaml:6:27: service::pipelines::metrics: references receiver \"otpl\" which is not configured (configured: otlp); did you mean \"otlp\"?"),
        (with_pipelines("    metrics: {receivers: [otlp], processors: [batch, batch], exporters: [debug]}"), "a.yaml:6:54: service::pipelines::metrics: references processor \"batch\" multiple times"),
        (with_pipelines("    metrics: {receivers: [otlp], exporters: [debug], retry: 1}"), "service::pipelines::metrics: unknown key `retry`"),
        (MINIMAL.replace("service: {", "service: { extensions: [health_check],"), "service::extensions: references extension \"health_check\" which is not configured (configured: none)"),
        (MINIMAL.replace("service: {", "service: { telemetry: { metrics: { level: loud } },"), "service::telemetry::metrics::level: unknown value \"loud\" (one of none, basic, normal, detailed)"),
        (with("connectors: { debug: }"), "unknown type \"debug\" for id \"debug\" (valid types: forward)"),
        (with("connectors: { forward: }").replace("exporters: [debug]", "exporters: [forward]"), "connectors::forward: connector \"forward\" is used as exporter in a metrics pipeline but not as receiver"),
        ("receivers: {otlp: {protocols: {grpc: }}}\nexporters: {prometheus: {endpoint: \"localhost:1\"}}\nservice: {pipelines: {traces: {receivers: [otlp], exporters: [prometheus]}}}".into(), "service::pipelines::traces: exporter \"prometheus\" does not support traces"),
        (with("processors: { resource: }"), "processors::resource::attributes: at least one action is needed"),
        (with("processors: { resource: { attributes: [ { action: upsert, key: a } ] } }"), "processors::resource::attributes: action 0: one of `value` and `from_attribute` is needed"),
        (with("processors: { attributes: { actions: [ { action: nope, key: a } ] } }"), "processors::attributes::actions[0]::action: unknown value \"nope\" (one of insert, update, upsert, delete, hash, extract, convert)"),
        ("a: [".into(), "a.yaml:"),
    ];
    for (text, expected) in cases {
        let error = load(&text).expect_err(&text);
        assert!(error.starts_with("invalid configuration: "), "{error}");
        assert!(
            error.contains(expected),
            "{text}\n  wanted: {expected}\n  got: {error}"
        );
    }
}

#[test]
fn ambiguous_connectors_and_cycles() {
    let text = "
receivers: { otlp: { protocols: { grpc: } }, nop: }
exporters: { debug: }
connectors: { forward/a: , forward/b: }
service:
  pipelines:
    metrics/1: { receivers: [otlp, forward/b], exporters: [forward/a] }
    metrics/2: { receivers: [forward/a], exporters: [forward/b, debug] }
";
    let error = load(text).unwrap_err();
    assert!(
        error.contains("cycle detected: metrics/1 -> metrics/2 -> metrics/1"),
        "{error}"
    );
    let error = load(&text.replace("forward/a", "nop")).unwrap_err();
    assert!(error.contains("ambiguous id: \"nop\" is configured as receiver and as connector; rename it to \"nop/connector\""), "{error}");
}

#[test]
fn all_problems_are_reported_together() {
    let error = load(&with("processors: { batch: { x: 1 }, nope: }\nextra: 1")).unwrap_err();
    assert!(
        error.starts_with("invalid configuration: 3 problems\n  a.yaml:"),
        "{error}"
    );
}

#[test]
fn files_merge_and_variables_expand() {
    let env = |name: &str| (name == "PORT").then(|| "4444".to_owned());
    let base = MINIMAL.replace(
        "grpc: , http:",
        "grpc: { endpoint: \"127.0.0.1:${env:PORT}\" }",
    );
    load_with(&[&base], &env).unwrap();
    let error = load_with(&[&base.replace("PORT", "POTR")], &env).unwrap_err();
    assert!(error.contains("invalid endpoint \"127.0.0.1:\""), "{error}");
    // A later list replaces, a later mapping joins, a later null removes.
    let later = "service: { pipelines: { metrics: { exporters: [nop] } } }\nexporters: { nop: }\n";
    load_with(&[&base, later], &env).unwrap();
    let error = load_with(&[&base, "service: { pipelines: }"], &env).unwrap_err();
    assert!(error.contains("at least one pipeline"), "{error}");
    // A number from a variable fits a number field and a string field.
    let number = with(
        "processors: { batch: { send_batch_size: \"${PORT}\" }, resource: { attributes: [ { key: \"${PORT}\", value: x, action: insert } ] } }",
    );
    load_with(&[&number], &env).unwrap();
}

#[test]
fn sources_of_the_official_command_line() {
    let env = |name: &str| (name == "CONFIG").then(|| MINIMAL.to_owned());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.yaml");
    std::fs::write(&path, MINIMAL).unwrap();
    let file = ConfigSource::parse(path.to_str().unwrap(), &env).unwrap();
    let inline = ConfigSource::parse("yaml:exporters::debug::verbosity: detailed", &env).unwrap();
    CollectorConfig::load(&[file, inline], &env).unwrap();
    let from_env = ConfigSource::parse("env:CONFIG", &env).unwrap();
    CollectorConfig::load(&[from_env], &env).unwrap();
    assert!(
        ConfigSource::parse("env:NOPE", &env)
            .unwrap_err()
            .to_string()
            .contains("NOPE is not set")
    );
    // A variable without a value is a warning, and an explanation where its absence is a mistake.
    let with = |text: &str| ConfigSource::Text {
        name: "b.yaml".to_owned(),
        text: text.to_owned(),
    };
    let base = with(MINIMAL);
    let harmless = with("processors: { batch: { timeout: \"${BATCH}\" } }");
    let config = CollectorConfig::load(
        &[base.clone(), with("processors: { batch: \"${BATCH}\" }")],
        &env,
    )
    .unwrap();
    assert!(
        config.warnings()[0]
            .to_string()
            .contains("b.yaml:1:22: environment variable BATCH is not set")
    );
    let error = CollectorConfig::load(&[base, harmless], &env).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("processors::batch::timeout"), "{error}");
    assert!(
        error.contains("environment variable BATCH is not set"),
        "{error}"
    );
    let missing = ConfigSource::File("no/such/file.yaml".into());
    let error = CollectorConfig::load(&[missing], &env)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no/such/file.yaml: cannot read the configuration"),
        "{error}"
    );
    assert!(
        CollectorConfig::load(&[], &env)
            .unwrap_err()
            .to_string()
            .contains("at least one configuration source")
    );
}
