//! The YAML of scrape configurations: what is taken, what is refused, and in which words.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bellwether_scrape::{ScrapeConfig, ScrapeDefaults, ScrapeManager};
use serde::Deserialize;

/// The part of a configuration file that concerns this crate; other sections are left alone.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    scrape_configs: Vec<Option<ScrapeConfig>>,
}

/// Reads and checks a file as the server does; the error in words.
fn check(text: &str) -> Result<Vec<ScrapeConfig>, String> {
    let file: File = serde_saphyr::from_str(text).map_err(|e| e.to_string())?;
    let configs: Vec<ScrapeConfig> = file
        .scrape_configs
        .into_iter()
        .collect::<Option<_>>()
        .ok_or("empty or null scrape config section")?;
    ScrapeManager::check(&configs, &ScrapeDefaults::default()).map_err(|e| e.to_string())?;
    Ok(configs)
}

fn one(yaml: &str) -> Result<ScrapeConfig, String> {
    let indented: String = yaml.lines().map(|l| format!("    {l}\n")).collect();
    check(&format!("scrape_configs:\n  - job_name: x\n{indented}")).map(|mut c| c.remove(0))
}

#[test]
fn everything_that_is_supported() {
    let text = r#"
scrape_configs:
  - job_name: prometheus
    honor_labels: yes
    honor_timestamps: false
    scrape_interval: 1m30s
    scrape_timeout: 5s
    scrape_protocols: [PrometheusText0.0.4, OpenMetricsText1.0.0]
    fallback_scrape_protocol: PrometheusText0.0.4
    body_size_limit: 10MB
    sample_limit: 1000
    metrics_path: /my_path
    params: {module: [a, b]}
    enable_compression: false
    follow_redirects: false
    basic_auth: {username: u, password: 1.10}
    http_headers: {X-Scope: {values: [a]}}
    static_configs:
      - targets: ['localhost:9090', "localhost:9191"]
        labels: {version: 1.10, on: true}
    file_sd_configs:
      - files: [foo/*.slow.json, single/file.yml]
        refresh_interval: 10m
    relabel_configs:
      - source_labels: [job, __meta_dns_name]
        regex: (.*)some-[regex]
        target_label: job
        replacement: foo-${1}
      - regex:
        replacement: static
        target_label: abc
      - source_labels: [__tmp_hash]
        regex: 1
        action: keep
      - {source_labels: [__address__], modulus: 8, target_label: __tmp_hash, action: HashMod}
    metric_relabel_configs: []
"#;
    let config = check(text).unwrap().remove(0);
    assert!(config.honor_labels);
    assert_eq!(config.sd.static_configs[0].labels["version"], "1.10");
    assert_eq!(config.sd.static_configs[0].labels["on"], "true");
    let settings = config.resolve(&ScrapeDefaults::default()).unwrap();
    assert_eq!(settings.scrape_interval, Duration::from_secs(90));
    assert_eq!(settings.body_size_limit, 10 << 20);
    assert!(
        !format!("{settings:?}").contains("1.10\")"),
        "a secret is shown"
    );
}

#[test]
fn defaults() {
    let settings = one("")
        .unwrap()
        .resolve(&ScrapeDefaults::default())
        .unwrap();
    assert_eq!(settings.scrape_interval, Duration::from_secs(60));
    assert_eq!(settings.scrape_timeout, Duration::from_secs(10));
    assert_eq!(settings.metrics_path, "/metrics");
    assert!(
        settings.honor_timestamps && settings.enable_compression && settings.http.follow_redirects
    );
    // A global time-out longer than the job's interval shrinks to it.
    let settings = one("scrape_interval: 3s")
        .unwrap()
        .resolve(&ScrapeDefaults::default())
        .unwrap();
    assert_eq!(settings.scrape_timeout, Duration::from_secs(3));
}

#[test]
fn what_is_refused_and_how() {
    for (yaml, want) in [
        (
            "scrape_intervall: 5s",
            "unknown key \"scrape_intervall\" in scrape config, did you mean \"scrape_interval\"?",
        ),
        (
            "tls_config: {ca: a, ca_file: b}",
            "at most one of ca, ca_file & ca_ref must be configured",
        ),
        (
            "kubernetes_sd_configs: [{role: vacation}]",
            "unknown Kubernetes SD role \"vacation\"",
        ),
        (
            "static_configs: [{target: [a]}]",
            "unknown key \"target\" in static_configs, did you mean \"targets\"?",
        ),
        ("scrape_interval: 5", "not a valid duration string: \"5\""),
        (
            "scrape_interval: 5s\nscrape_timeout: 6s",
            "scrape timeout greater than scrape interval for scrape config with job name \"x\"",
        ),
        ("body_size_limit: 100", "units: unknown unit  in 100"),
        (
            "relabel_configs: [{action: dance}]",
            "unknown relabel action \"dance\"",
        ),
        (
            "relabel_configs: [{action: \"\"}]",
            "unknown relabel action \"\"",
        ),
        (
            "relabel_configs: [{action: }]",
            "relabel action cannot be empty",
        ),
        (
            "relabel_configs: [null]",
            "empty or null target relabeling rule in scrape config",
        ),
        (
            "metric_relabel_configs: [null]",
            "empty or null metric relabeling rule in scrape config",
        ),
        (
            "static_configs: [null]",
            "empty or null section in static_configs",
        ),
        (
            "static_configs: [{targets: ['http://bad']}]",
            "\"http://bad\" is not a valid hostname",
        ),
        (
            "bearer_token: a\nbearer_token_file: b",
            "at most one of bearer_token & bearer_token_file must be configured",
        ),
        (
            "scrape_protocols: [x]",
            "scrape_protocols: unknown scrape protocol x, supported: [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 PrometheusText1.0.0]",
        ),
        (
            "metric_name_validation_scheme: legacy\nmetric_name_escaping_scheme: allow-utf-8",
            "utf8 metric names requested but validation scheme is not set to UTF8",
        ),
        (
            "file_sd_configs: [{files: [a.txt]}]",
            "path name \"a.txt\" is not valid for file discovery",
        ),
        (
            "http_headers: {Authorization: {values: [a]}}",
            "setting header \"Authorization\" is not allowed",
        ),
    ] {
        let error = one(yaml).unwrap_err();
        assert!(error.contains(want), "{yaml}: {error}, wanted {want}");
    }
}

#[test]
fn errors_know_their_place() {
    let text = "scrape_configs:\n  - job_name: a\n  - job_name: b\n    relabel_configs:\n      - target_label: x\n        regx: y\n";
    let Err(error) = serde_saphyr::from_str::<File>(text) else {
        panic!("accepted")
    };
    let text = error.to_string();
    assert!(text.contains("did you mean \"regex\"?"), "{text}");
    let location = error.location().unwrap();
    assert_eq!((location.line(), location.column()), (6, 9), "{text}");
}

#[test]
fn printing_and_reading_again_changes_nothing() {
    let config = one("scrape_interval: 90s\nsample_limit: 5\nbody_size_limit: 3MiB\nrelabel_configs: [{target_label: a, replacement: b}]\nparams: {a: [b]}\nauthorization: {credentials_file: f}").unwrap();
    let yaml = serde_saphyr::to_string(&config).unwrap();
    assert_eq!(
        serde_saphyr::from_str::<ScrapeConfig>(&yaml).unwrap(),
        config,
        "{yaml}"
    );
}

/// Fixtures with another outcome here, each with its reason.
const ELSEWHERE: &[&str] = &[
    // "\xff" as a binary scalar: go-yaml gives a byte, a YAML escape gives U+00FF.
    "labelname.bad.yml",
    "labelvalue.bad.yml",
    // The global section, and the paths of further files.
    "scrape_config_utf8_conflicting.bad.yml",
    "scrape_config_files_glob.bad.yml",
    // 3.5 refuses it; 3.14 and we take the escaping that fits the legacy scheme.
    "scrape_config_local_infer_escaping.yml",
];

#[test]
fn upstream_fixtures_have_upstream_outcomes() {
    let dir = PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/conformance/config"
    ));
    let Ok(table) = std::fs::read_to_string(dir.join("outcomes.tsv")) else {
        eprintln!("SKIPPED: no conformance data at {}", dir.display());
        return;
    };
    // Texts that this crate is responsible for.
    let ours = [
        "relabel",
        "action requires only",
        "'replacement' can not be set",
        "bearer_token & bearer_token_file",
        "job_name is empty",
        "found multiple scrape configs",
        "scrape timeout greater",
        "units: unknown unit",
        "unknown scrape protocol",
        "duplicated protocol",
        "utf8 metric names requested",
        "is not a valid hostname",
        "static_configs",
        "error parsing regexp",
        "scrape config",
    ];
    let mut checked = 0;
    let mut wrong = BTreeMap::new();
    for row in table.lines().filter(|l| !l.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let (name, outcome, message) = (columns[0], columns[3], columns[4]);
        let Ok(text) = std::fs::read_to_string(dir.join(name)) else {
            continue;
        };
        if ELSEWHERE.contains(&name) {
            continue;
        }
        let message = message
            .split_once(".yml: ")
            .map_or(message, |(_, m)| m)
            .split(" | ")
            .next()
            .unwrap();
        let got = check(&text);
        match (outcome, got) {
            ("ok", Ok(_)) => checked += 1,
            ("ok", Err(error)) if error.contains("not supported yet") => {}
            ("ok", Err(error)) => {
                wrong.insert(name, format!("refused: {error}"));
            }
            (_, got)
                if ours.iter().any(|o| message.contains(o))
                    && !message.contains("alert")
                    && !message.contains("Alertmanager")
                    && !message.contains("remote write") =>
            {
                // Debian's build spells the pattern's syntax tree; ours the engine's.
                let wanted = if message.contains("error parsing regexp") {
                    "error parsing regexp"
                } else {
                    message
                };
                match got {
                    Err(error) if error.contains(wanted) || error.contains("not supported yet") => {
                        checked += 1;
                    }
                    Err(error) => {
                        wrong.insert(name, format!("{error} instead of {message}"));
                    }
                    Ok(_) => {
                        wrong.insert(name, format!("accepted instead of {message}"));
                    }
                }
            }
            _ => {}
        }
    }
    assert!(checked > 40, "only {checked} fixtures");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
