#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, "p.yml", Path::new(".")).map_err(|e| e.to_string())
}

#[test]
fn an_empty_file_is_all_defaults() {
    for text in [
        "",
        "# nothing\n",
        "global:\nscrape_configs:\n",
        "alerting: {alertmanagers: []}\nremote_write:\n",
    ] {
        let config = parse(text).unwrap();
        assert_eq!(config.global.scrape_interval.0, Duration::from_secs(60));
        assert_eq!(config.global.scrape_timeout.0, Duration::from_secs(10));
        assert!(config.scrape_configs.is_empty());
    }
}

#[test]
fn a_short_interval_shortens_the_unwritten_timeout() {
    let config = parse("global: {scrape_interval: 5s}").unwrap();
    assert_eq!(config.global.scrape_timeout.0, Duration::from_secs(5));
}

/// Each mistake with the place and the words that a person needs.
#[test]
fn mistakes_name_place_key_and_remedy() {
    for (text, expected) in [
        (
            "global:\n  scrape_intervall: 5s\n",
            &[
                "p.yml:2:3: global.scrape_intervall",
                "did you mean `scrape_interval`?",
            ][..],
        ),
        (
            "globl:\n  x: 1\n",
            &["p.yml:1:1: globl", "did you mean `global`?"],
        ),
        (
            "global:\n  scrape_interval: 5x\n",
            &["p.yml:2:20: global.scrape_interval", "\"5x\""],
        ),
        ("global: [\n", &["p.yml:1:9: "]),
        ("global:\n\tx: 1\n", &["p.yml:2:2", "tab"]),
        (
            "global:\n  scrape_interval: 5s\n  scrape_timeout: 10s\n",
            &["global.scrape_timeout: global scrape timeout greater than scrape interval"],
        ),
        (
            "global:\n  sample_limit: x\n",
            &["p.yml:2:17: global.sample_limit"],
        ),
        (
            "scrape_configs:\n- job_name: a\n- job_name: a\n",
            &["p.yml:3:3: scrape_configs[1]: found multiple scrape configs with job name \"a\""],
        ),
        (
            "scrape_configs:\n- scheme: http\n",
            &["p.yml:2:3: scrape_configs[0]: job_name is empty"],
        ),
        (
            "scrape_configs:\n-\n",
            &["scrape_configs[0]: empty or null scrape config section"],
        ),
        (
            "scrape_configs:\n- job_name: x\n  relabel_configs:\n  - acton: drop\n",
            &[
                "p.yml:4:5: scrape_configs[0].relabel_configs[0].acton",
                "did you mean \"action\"?",
            ],
        ),
        (
            "scrape_configs:\n- job_name: x\n  scrape_interval: 5s\n  scrape_timeout: 6s\n",
            &["scrape timeout greater than scrape interval for scrape config with job name \"x\""],
        ),
        (
            "scrape_configs:\n- job_name: x\n  consul_sd_configs: [{server: ' '}]\n",
            &[
                "p.yml:3:23",
                "consul_sd_configs[0]",
                "consul SD configuration requires a server address",
            ],
        ),
        (
            "alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: [a:1]\n    path_prefx: /x\n",
            &["p.yml:5:5", "path_prefx", "did you mean \"path_prefix\"?"],
        ),
        (
            "alerting:\n  alertmanagers:\n  - api_version: v1\n",
            &["alerting: expected Alertmanager api version to be one of [v2] but got v1"],
        ),
        (
            "alerting: {alert_relabel_configs: [{action: replace}]}\n",
            &[
                "alerting.alert_relabel_configs[0]: relabel configuration for replace action requires 'target_label' value",
            ],
        ),
        (
            "remote_write:\n- name: x\n",
            &["p.yml:2:3: remote_write[0]: url for remote_write is empty"],
        ),
        (
            "remote_write:\n- url: http://x/w\n  queue_config: {max_shard: 3}\n",
            &["p.yml:3:18", "max_shard", "did you mean \"max_shards\"?"],
        ),
        (
            "remote_write:\n- url: http://x/w\n  sigv4: {access_key: r}\n",
            &[
                "p.yml:3:10: remote_write[0].sigv4: must provide a AWS SigV4 Access key and Secret Key",
            ],
        ),
        (
            "remote_write:\n- url: http://x/w\n  queue_config:\n",
            &["remote_write[0]: remote write queue max_shards must be positive"],
        ),
        (
            "global: {metric_name_validation_scheme: legacy}\nremote_write:\n- url: http://x/w\n  write_relabel_configs: [{target_label: a.b}]\n",
            &["remote_write[0]: \"a.b\" is invalid 'target_label' for replace action"],
        ),
        (
            "remote_read:\n- url: http://x\n  required_matchers: {'': a}\n",
            &["remote_read[0]: \"\" is not a valid label name"],
        ),
        (
            "alerting:\n  alertmanagers:\n  - sigv4: {}\n    basic_auth: {}\n",
            &["at most one of basic_auth, authorization, oauth2, & sigv4 must be configured"],
        ),
        (
            "remote_write:\n- url: http://x/w\n- url: ':x'\n",
            &["p.yml:3:3: remote_write[1]: url \":x\": missing protocol scheme"],
        ),
        (
            "remote_read:\n- url: http://x\n  name: a\n- url: http://y\n  name: a\n",
            &["remote_read[1]: found multiple remote read configs with job name \"a\""],
        ),
        (
            "rule_files: ['*/x.yml']\n",
            &[
                "rule_files[0]: invalid rule file path \"*/x.yml\"",
                "only the last part",
            ],
        ),
    ] {
        let error = parse(text).expect_err(text);
        for part in expected {
            assert!(
                error.contains(part),
                "{text:?} gives {error:?}, without {part:?}"
            );
        }
    }
}

#[test]
fn a_missing_file_names_file_and_flag() {
    let error = ConfigSource::File("/no/such/prometheus.yml".into())
        .load()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("/no/such/prometheus.yml") && error.contains("--config.file"),
        "{error}"
    );
}

#[test]
fn rule_patterns_without_files_are_fine() {
    assert_eq!(
        parse("rule_files: ['no/such/*.yml', 'none.yml']")
            .unwrap()
            .rule_files
            .len(),
        2
    );
}

#[test]
fn the_shown_yaml_reads_back_and_hides_secrets() {
    let text = "global: {external_labels: {cluster: c}}\nscrape_configs:\n- job_name: x\n  scrape_interval: 15s\n  \
                basic_auth: {username: u, password: hunter2}\n  static_configs: [{targets: ['a:1'], labels: {env: dev}}]\n";
    let yaml = parse(text).unwrap().to_yaml();
    assert!(
        !yaml.contains("hunter2") && yaml.contains("<secret>"),
        "{yaml}"
    );
    let again = parse(&yaml).unwrap();
    assert_eq!(again.external_labels.get("cluster"), Some("c"));
    assert_eq!(again.to_yaml(), yaml);
}

#[test]
fn scrape_config_files_join_the_jobs() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.yml"), "scrape_configs:\n- job_name: b\n").unwrap();
    let load = |text: &str| {
        ConfigSource::Text {
            name: "main.yml".to_owned(),
            text: Arc::from(text),
            base_dir: dir.path().to_owned(),
        }
        .load()
    };
    let config = load("scrape_config_files: ['*.yml']\nscrape_configs:\n- job_name: a\n").unwrap();
    let jobs: Vec<&str> = config
        .all_scrape_configs()
        .map(|s| s.job_name.as_str())
        .collect();
    assert_eq!(jobs, ["a", "b"]);
    let error = load("scrape_config_files: ['*.yml']\nscrape_configs:\n- job_name: b\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("a.yml:2:3") && error.contains("multiple scrape configs"),
        "{error}"
    );
}

/// What agent mode does not have is refused in it, and only in it.
#[test]
fn upstream_configuration_files_of_agent_mode() {
    let dir = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/conformance/config"
    ));
    if !dir.is_dir() {
        eprintln!("SKIPPED: no conformance data at {}", dir.display());
        return;
    }
    for (file, expected) in [
        ("good", None),
        ("without_remote_writes", None),
        ("with_alert_manager", Some("alerting")),
        ("with_alert_relabels", Some("alerting")),
        ("with_rule_files", Some("rule_files")),
        ("with_remote_reads", Some("remote_read")),
    ] {
        let path = dir.join(format!("agent_mode.{file}.yml"));
        let config = ConfigSource::File(path).load().expect(file);
        let error = config.check_agent_mode().err().map(|e| e.to_string());
        let expected = expected.map(|s| format!("field {s} is not allowed in agent mode"));
        assert_eq!(error, expected, "{file}");
    }
}
