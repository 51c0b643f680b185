//! The API through the router, over a small database.
#![allow(clippy::unwrap_used)]

mod golden;
mod rules;
mod small;

use axum::body::Body;
use http::Request;

use serde_json::{Value, json};

use crate::flags::{Feature, Features};
use crate::state::Phase;
use crate::testing::{start, start_with};

#[tokio::test]
async fn a_range_of_exactly_eleven_thousand_steps_is_fine() {
    let server = start().await;
    let answer = server
        .get("/api/v1/query_range?query=vector(1)&start=0&end=11000&step=1")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json()["data"]["result"][0]["values"]
            .as_array()
            .unwrap()
            .len(),
        11_001
    );
}

#[tokio::test]
async fn forms_and_urls_both_count_and_the_form_wins() {
    let server = start().await;
    let scalar = |answer: crate::testing::Answer| answer.json()["data"]["result"].to_string();
    assert_eq!(
        scalar(server.form("/api/v1/query?query=1%2B1", "time=5").await),
        r#"[5,"2"]"#
    );
    assert_eq!(
        scalar(server.form("/api/v1/query?query=1&time=5", "query=2").await),
        r#"[5,"2"]"#
    );
    let series = server.form("/api/v1/series", "match[]=up&limit=1").await;
    assert_eq!(series.json()["data"].as_array().unwrap().len(), 1);
    let json = Request::post("/api/v1/query")
        .header("content-type", "application/json")
        .body(Body::from("{}"))
        .unwrap();
    assert_eq!(server.send(json).await.status, 400);
}

/// Members that Prometheus 3.5, with which the rest is compared, does not have.
#[tokio::test]
async fn trees_of_duration_expressions() {
    let server = start_with("", |settings| {
        settings.features = Features::of(&[
            Feature::PromqlExtendedRangeSelectors,
            Feature::PromqlDurationExpr,
        ]);
    })
    .await;
    let answer = server
        .get("/api/v1/parse_query?query=x[5m*(step()-1)]%20smoothed%20offset%20min_of(1m,-range())")
        .await;
    let number = |val, duration| json!({"type": "numberLiteral", "val": val, "duration": duration});
    let node = |op, wrapped, lhs: Value, rhs: Value| json!({"type": "durationExpr", "op": op, "wrapped": wrapped, "lhs": lhs, "rhs": rhs});
    let step = node("step", false, Value::Null, Value::Null);
    let range = node("range", false, Value::Null, Value::Null);
    let expected = json!({
        "type": "matrixSelector",
        "name": "x",
        "matchers": [{"name": "__name__", "type": "=", "value": "x"}],
        "range": 0,
        "rangeExpr": node("*", false, number("300", true), node("-", true, step, number("1", false))),
        "offset": 0,
        "offsetExpr": node("min_of", false, number("60", true), node("-", false, Value::Null, range)),
        "timestamp": null,
        "startOrEnd": null,
        "anchored": false,
        "smoothed": true,
    });
    assert_eq!(answer.json()["data"], expected);
    // As long as a query may be: written without recursion.
    let chain = vec!["a"; 20_000].join("-");
    let answer = server
        .form("/api/v1/parse_query", &format!("query={chain}"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body.matches(r#""op":"-""#).count(), 19_999);
}

#[tokio::test]
async fn methods_paths_and_options() {
    let server = start().await;
    for (method, path, status, body, allow) in [
        (
            "DELETE",
            "/api/v1/query",
            405,
            "Method Not Allowed\n",
            "GET, OPTIONS, POST",
        ),
        (
            "POST",
            "/api/v1/targets",
            405,
            "Method Not Allowed\n",
            "GET, OPTIONS",
        ),
        (
            "GET",
            "/api/v1/write",
            405,
            "Method Not Allowed\n",
            "OPTIONS, POST",
        ),
        (
            "GET",
            "/api/v1/admin/tsdb/snapshot",
            405,
            "Method Not Allowed\n",
            "OPTIONS, POST, PUT",
        ),
        (
            "PUT",
            "/api/v1/parse_query",
            405,
            "Method Not Allowed\n",
            "GET, OPTIONS, POST",
        ),
        ("GET", "/api/v1/nope", 404, "404 page not found\n", ""),
        ("GET", "/api/v1/rule", 404, "404 page not found\n", ""),
        ("GET", "/nope", 404, "404 page not found\n", ""),
        ("OPTIONS", "/api/v1/query", 204, "", ""),
        ("OPTIONS", "/api/v1/nope", 204, "", ""),
        (
            "GET",
            "/-/healthy",
            200,
            "Prometheus Server is Healthy.\n",
            "",
        ),
        ("GET", "/-/ready", 200, "Prometheus Server is Ready.\n", ""),
        (
            "POST",
            "/-/healthy",
            405,
            "Method Not Allowed\n",
            "GET, HEAD, OPTIONS",
        ),
        (
            "GET",
            "/-/reload",
            405,
            "Only POST or PUT requests allowed",
            "",
        ),
        (
            "GET",
            "/-/quit",
            405,
            "Only POST or PUT requests allowed",
            "",
        ),
        (
            "POST",
            "/-/reload",
            403,
            "Lifecycle API is not enabled.",
            "",
        ),
        ("POST", "/-/quit", 403, "Lifecycle API is not enabled.", ""),
        ("HEAD", "/-/healthy", 200, "", ""),
    ] {
        let answer = server.method(method, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (status, body),
            "{method} {path}"
        );
        if !allow.is_empty() {
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn pages_and_own_metrics_answer_on_the_same_port() {
    let server = start().await;
    for page in ["/", "/graph", "/query", "/targets"] {
        let answer = server.get(page).await;
        assert_eq!(answer.status, 200, "{page}");
        assert!(
            answer.header("content-type").starts_with("text/html"),
            "{page}"
        );
    }
    for path in ["/api/v1/nope", "/nope", "/api/v1/label/job/values"] {
        server.get(path).await;
    }
    let metrics = server.get("/metrics").await;
    for line in [
        "prometheus_tsdb_head_series 4\n",
        "prometheus_tsdb_head_samples_appended_total{type=\"float\"} 40\n",
        "prometheus_http_requests_total{code=\"200\",handler=\"/targets\"} 1\n",
        "prometheus_build_info{",
        "prometheus_tsdb_lowest_timestamp_seconds 0\n",
        "prometheus_http_requests_total{code=\"404\",handler=\"unknown\"} 2\n",
        "prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/label/:name/values\"} 1\n",
        "process_start_time_seconds ",
    ] {
        assert!(
            metrics.body.contains(line),
            "no {line:?} in\n{}",
            metrics.body
        );
    }
}

#[tokio::test]
async fn until_the_database_is_open_only_health_answers() {
    let server = start().await;
    server.state.phase.send_replace(Phase::Starting);
    for path in [
        "/api/v1/query?query=1",
        "/api/v1/targets",
        "/federate",
        "/-/ready",
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (503, "Service Unavailable"),
            "{path}"
        );
    }
    assert_eq!(server.get("/-/healthy").await.status, 200);
    assert_eq!(server.get("/metrics").await.status, 200);
    server.state.phase.send_replace(Phase::Stopping);
    assert_eq!(
        server.get("/-/ready").await.header("x-prometheus-stopping"),
        "true"
    );
}

#[tokio::test]
async fn cors_headers_come_only_with_an_origin() {
    let server = start_with("", |s| {
        s.web.cors_origin = "https?://(a|b)\\.org".to_owned();
    })
    .await;
    let ask = |origin: &'static str| {
        Request::get("/api/v1/query?query=1")
            .header("origin", origin)
            .body(Body::empty())
            .unwrap()
    };
    let allowed = server.send(ask("http://a.org")).await;
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        "http://a.org"
    );
    assert_eq!(
        allowed.header("access-control-allow-methods"),
        "GET, POST, OPTIONS"
    );
    let other = server.send(ask("http://a.org.evil.com")).await;
    assert_eq!(other.header("access-control-allow-origin"), "");
    assert_eq!(
        server
            .get("/api/v1/query?query=1")
            .await
            .header("access-control-allow-methods"),
        ""
    );
}

#[tokio::test]
async fn answers_are_compressed_when_asked_for() {
    let server = start().await;
    let request = Request::get("/api/v1/series?match[]=up")
        .header("accept-encoding", "gzip")
        .body(Body::empty())
        .unwrap();
    assert_eq!(
        server.send(request).await.header("content-encoding"),
        "gzip"
    );
    assert_eq!(
        server
            .get("/api/v1/series?match[]=up")
            .await
            .header("content-encoding"),
        ""
    );
}

#[tokio::test]
async fn status_endpoints_for_grafana_and_thanos() {
    let server = start().await;
    let build = server.get("/api/v1/status/buildinfo").await.json();
    assert_eq!(build["data"]["version"], "3.5.0");
    assert!(
        build["data"].get("features").is_none(),
        "Grafana would take it for Mimir"
    );
    let config = server.get("/api/v1/status/config").await.json();
    assert!(
        config["data"]["yaml"]
            .as_str()
            .unwrap()
            .contains("external_labels:\n    cluster: c1\n"),
        "{config}"
    );
    let flags = server.get("/api/v1/status/flags").await.json();
    assert_eq!(flags["data"]["web.enable-admin-api"], "false");
    assert_eq!(flags["data"]["storage.tsdb.min-block-duration"], "2h");
    assert_eq!(flags["data"]["web.enable-lifecycle"], "false");
    let runtime = server.get("/api/v1/status/runtimeinfo").await.json();
    assert_eq!(runtime["data"]["storageRetention"], "15d");
    assert_eq!(runtime["data"]["reloadConfigSuccess"], true);
    let tsdb = server.get("/api/v1/status/tsdb").await.json();
    assert_eq!(tsdb["data"]["headStats"]["numSeries"], 4);
    assert_eq!(tsdb["data"]["headStats"]["maxTime"], 135_000);
    let wal = server.get("/api/v1/status/walreplay").await.json();
    assert_eq!(wal["data"]["min"], 0);
}

#[tokio::test]
async fn stats_are_given_when_asked_for() {
    let server = start().await;
    let json = server
        .get("/api/v1/query?query=up&time=15&stats=all")
        .await
        .json();
    assert_eq!(
        json["data"]["stats"]["samples"]["totalQueryableSamples"], 2,
        "{json}"
    );
    assert!(json["data"]["stats"]["timings"]["evalTotalTime"].is_number());
}

#[tokio::test]
async fn admin_needs_its_flag() {
    let server = start().await;
    let answer = server
        .method("POST", "/api/v1/admin/tsdb/delete_series?match[]=up")
        .await;
    assert_eq!(answer.status, 500);
    assert_eq!(
        answer.body,
        r#"{"status":"error","errorType":"unavailable","error":"admin APIs disabled"}"#
    );
    let server = start_with("", |s| s.web.enable_admin_api = true).await;
    let answer = server
        .method("POST", "/api/v1/admin/tsdb/delete_series")
        .await;
    assert_eq!(answer.json()["error"], "no match[] parameter provided");
    let answer = server
        .method("POST", "/api/v1/admin/tsdb/snapshot?skip_head=maybe")
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn remote_write_needs_its_flag() {
    let server = start().await;
    let answer = server.method("POST", "/api/v1/write").await;
    assert_eq!(answer.status, 404);
    assert!(
        answer.body.contains("--web.enable-remote-write-receiver"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn a_prefix_moves_every_route() {
    let server = start_with("", |s| s.web.route_prefix = "/prom".to_owned()).await;
    assert_eq!(server.get("/prom/api/v1/query?query=1").await.status, 200);
    assert_eq!(server.get("/prom/-/ready").await.status, 200);
    assert_eq!(server.get("/api/v1/query?query=1").await.status, 404);
}
