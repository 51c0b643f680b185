//! Endpoints that the reference does not have yet.

use serde_json::{Value, json};

use crate::testing::{start, start_with};

#[tokio::test]
async fn features_follow_flags() {
    let server = start_with("", |settings| {
        settings.web.enable_admin_api = true;
        settings.features = crate::flags::Features::default();
    })
    .await;
    let features = server.get("/api/v1/features").await.json()["data"].clone();
    for (group, name, on) in [
        ("api", "admin", true),
        ("api", "lifecycle", false),
        ("prometheus", "agent_mode", false),
        ("promql_functions", "rate", true),
        ("promql_functions", "mad_over_time", false),
        ("promql_operators", ">=", true),
        ("promql_operators", "limitk", false),
        ("tsdb", "exemplar_storage", false),
        ("service_discovery_providers", "file", true),
    ] {
        assert_eq!(features[group][name], on, "{group} {name}");
    }
}

#[tokio::test]
async fn own_metrics_as_json() {
    let server = start().await;
    server.get("/api/v1/labels").await;
    let all = server.get("/api/v1/status/self_metrics").await.json();
    assert!(all["data"].as_array().unwrap().len() > 20);
    let some = server
        .get("/api/v1/status/self_metrics?metric_name_pattern=prometheus_(http_request.*|engine_queries|ready)")
        .await
        .json();
    let family = |name: &str| -> Value {
        let all = some["data"].as_array().unwrap();
        all.iter().find(|f| f["name"] == name).unwrap().clone()
    };
    assert_eq!(
        family("prometheus_engine_queries"),
        json!({
            "name": "prometheus_engine_queries",
            "help": "The current number of queries being executed or waiting.",
            "type": "GAUGE",
            "metric": [{"gauge": {"value": 0}}],
        })
    );
    assert_eq!(family("prometheus_ready")["type"], "GAUGE");
    let requests = family("prometheus_http_requests_total");
    let labels = requests["metric"][0]["label"].as_array().unwrap();
    assert!(labels.contains(&json!({"name": "handler", "value": "/api/v1/labels"})));
    assert_eq!(requests["metric"][0]["counter"]["value"], 1);
    let durations = &family("prometheus_http_request_duration_seconds")["metric"][0]["histogram"];
    assert_eq!(durations["sampleCount"], "1");
    assert_eq!(durations["bucket"][8]["upperBound"], 120);
    assert_eq!(durations["bucket"].as_array().unwrap().len(), 9);
    let bad = server
        .get("/api/v1/status/self_metrics?metric_name_pattern=(")
        .await;
    assert_eq!(bad.status, 400);
}

const POOLS: &str = r#"
scrape_configs:
- job_name: one
  static_configs: [{targets: ['h:1']}]
  relabel_configs:
  - {source_labels: [a, b], target_label: c}
  - {source_labels: [a], regex: x, action: drop}
  - {target_label: d, replacement: e}
"#;

#[tokio::test]
async fn relabelling_is_shown_step_by_step() {
    let server = start_with(POOLS, |_| {}).await;
    let steps =
        |labels: &str| format!("/api/v1/targets/relabel_steps?scrapePool=one&labels={labels}");
    let answer = server
        .get(&steps("%7B%22a%22:%22y%22,%22b%22:%22z%22%7D"))
        .await;
    assert_eq!(
        answer.json()["data"]["steps"],
        json!([
            {
                "rule": {"source_labels": ["a", "b"], "separator": ";", "regex": "(.*)", "target_label": "c", "replacement": "$1", "action": "replace"},
                "output": {"a": "y", "b": "z", "c": "y;z"},
                "keep": true,
            },
            {
                "rule": {"source_labels": ["a"], "separator": ";", "regex": "x", "replacement": "$1", "action": "drop"},
                "output": {"a": "y", "b": "z", "c": "y;z"},
                "keep": true,
            },
            {
                "rule": {"separator": ";", "regex": "(.*)", "target_label": "d", "replacement": "e", "action": "replace"},
                "output": {"a": "y", "b": "z", "c": "y;z", "d": "e"},
                "keep": true,
            },
        ])
    );
    let dropped = server.get(&steps("%7B%22a%22:%22x%22%7D")).await.json();
    let kept: Vec<&Value> = dropped["data"]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["keep"])
        .collect();
    assert_eq!(kept, [true, false, false]);
    assert_eq!(dropped["data"]["steps"][2]["output"], json!({}));
    for (path, error) in [
        (
            "/api/v1/targets/relabel_steps".to_owned(),
            "no scrapePool parameter provided",
        ),
        (
            "/api/v1/targets/relabel_steps?scrapePool=one".to_owned(),
            "no labels parameter provided",
        ),
        (steps("x"), "error parsing labels: "),
        (
            steps("%7B%7D").replace("one", "two"),
            "error retrieving scrape config: scrape pool \"two\" not found",
        ),
        (
            "/api/v1/scrape_pools/config".to_owned(),
            "no scrapePool parameter provided",
        ),
    ] {
        let answer = server.get(&path).await;
        assert_eq!(answer.status, 400, "{path}");
        let json = answer.json();
        assert!(json["error"].as_str().unwrap().starts_with(error), "{json}");
    }
    let config = server
        .get("/api/v1/scrape_pools/config?scrapePool=one")
        .await
        .json();
    let yaml = config["data"]["yaml"].as_str().unwrap();
    for line in ["job_name: one", "scrape_interval: 1m", "scheme: http"] {
        assert!(yaml.lines().any(|l| l == line), "{yaml}");
    }
}

#[tokio::test]
async fn blocks_are_listed() {
    let server = start().await;
    assert_eq!(
        server.get("/api/v1/status/tsdb/blocks").await.body,
        r#"{"status":"success","data":{"blocks":[]}}"#
    );
    let limit = server.get("/api/v1/status/tsdb?limit=10001").await;
    assert_eq!(limit.json()["error"], "limit must not exceed 10000");
}

#[tokio::test]
async fn unknown_stats_values_are_warned_of() {
    let server = start().await;
    for (stats, warned) in [("true", false), ("all", false), ("x", true)] {
        let answer = server
            .get(&format!("/api/v1/query?query=1&time=1&stats={stats}"))
            .await
            .json();
        assert!(answer["data"]["stats"]["samples"].is_object());
        assert_eq!(answer["warnings"].is_array(), warned, "{answer}");
    }
}
