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
        ("rules", "concurrent_rule_eval", false),
        ("rules", "query_offset", true),
        ("templating_functions", "humanize", true),
        ("tsdb", "exemplar_storage", false),
        ("service_discovery_providers", "file", true),
        ("service_discovery_providers", "consul", true),
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

#[tokio::test]
async fn names_are_searched() {
    let server = start().await;
    let disabled = server.get("/api/v1/search/metric_names").await;
    assert_eq!(
        (disabled.status.as_u16(), &disabled.json()["error"]),
        (500, &json!("search API disabled"))
    );
    let server = crate::testing::start_with_features(&[crate::flags::Feature::SearchApi]).await;
    for (path, expected) in [
        (
            "metric_names?end=90",
            "{\"results\":[{\"name\":\"dotted.name\"},{\"name\":\"http_requests_total\"},{\"name\":\"up\"}]}\n{\"status\":\"success\",\"has_more\":false}\n",
        ),
        (
            "metric_names?end=90&limit=2&batch_size=1",
            "{\"results\":[{\"name\":\"dotted.name\"}]}\n{\"results\":[{\"name\":\"http_requests_total\"}]}\n{\"status\":\"success\",\"has_more\":true}\n",
        ),
        (
            "metric_names?end=90&search[]=UP&case_sensitive=false&include_score=true",
            "{\"results\":[{\"name\":\"up\",\"score\":1}]}\n{\"status\":\"success\",\"has_more\":false}\n",
        ),
        (
            "metric_names?end=90&search[]=zzz",
            "{\"results\":[]}\n{\"status\":\"success\",\"has_more\":false}\n",
        ),
        (
            "label_names?end=90&search[]=jb&sort_by=score",
            "{\"results\":[{\"name\":\"job\"}]}\n{\"status\":\"success\",\"has_more\":false}\n",
        ),
        (
            "label_values?end=90&label=job&sort_by=alpha&sort_dir=dsc",
            "{\"results\":[{\"value\":\"db\"},{\"value\":\"api\"}]}\n{\"status\":\"success\",\"has_more\":false}\n",
        ),
        (
            "label_values?end=90&label=job&match[]=up%7Bjob=%22db%22%7D",
            "{\"results\":[{\"value\":\"db\"}]}\n{\"status\":\"success\",\"has_more\":false}\n",
        ),
    ] {
        let answer = server.get(&format!("/api/v1/search/{path}&start=0")).await;
        assert_eq!(answer.body, expected, "{path}");
        assert_eq!(
            answer.header("content-type"),
            "application/x-ndjson; charset=utf-8"
        );
    }
    for (path, error) in [
        ("label_values", "missing required parameter \"label\""),
        (
            "metric_names?start=5&end=4",
            "end timestamp must not be before start timestamp",
        ),
        (
            "metric_names?start=x",
            "invalid time value for 'start': cannot parse \"x\" to a valid timestamp",
        ),
        (
            "metric_names?fuzz_threshold=101",
            "invalid fuzz_threshold \"101\": must be 0-100",
        ),
        (
            "metric_names?fuzz_alg=x",
            "unsupported fuzz_alg \"x\": must be one of [subsequence jarowinkler]",
        ),
        (
            "metric_names?include_score=x",
            "invalid include_score \"x\": must be boolean",
        ),
        (
            "metric_names?sort_dir=asc",
            "sort_dir is only valid when sort_by is set",
        ),
        (
            "metric_names?sort_by=score",
            "sort_by=score requires search[] to be set",
        ),
        (
            "metric_names?sort_by=x",
            "invalid sort_by \"x\" for metric_names: must be \"alpha\" or \"score\"",
        ),
        (
            "metric_names?limit=0",
            "invalid limit \"0\": must be a positive integer",
        ),
        (
            "metric_names?limit=10001",
            "limit 10001 exceeds the configured maximum (10000, see --web.search.max-limit)",
        ),
        (
            "metric_names?batch_size=-1",
            "invalid batch_size \"-1\": must be a positive integer",
        ),
    ] {
        let answer = server.get(&format!("/api/v1/search/{path}")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]),
            (400, &json!(error)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn profiles_are_declined_and_the_command_line_is_told() {
    let server = start().await;
    let index = server.get("/debug/pprof/").await;
    assert_eq!(index.status.as_u16(), 200);
    assert!(index.body.contains("cmdline"), "{}", index.body);
    let redirect = server.get("/debug/pprof").await;
    assert_eq!(redirect.status.as_u16(), 301);
    let program = std::env::args().next().unwrap();
    let arguments = server.get("/debug/pprof/cmdline").await;
    assert_eq!(arguments.body.split('\0').next(), Some(&*program));
    for (name, status) in [("heap", 501), ("profile?seconds=1", 501), ("nope", 404)] {
        let answer = server.get(&format!("/debug/pprof/{name}")).await;
        assert_eq!(answer.status.as_u16(), status, "{name}");
    }
}
