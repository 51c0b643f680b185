//! The API through the router, over a small database. Texts and statuses are those that Prometheus 3.5.3 answers.
#![allow(clippy::unwrap_used)]

use axum::body::Body;
use http::Request;

use crate::state::Phase;
use crate::testing::{start, start_with};

/// Good requests: path and the whole body.
#[tokio::test]
async fn answers_are_prometheus_json() {
    let server = start().await;
    for (path, body) in [
        (
            "/api/v1/query?query=1%2B1&time=5",
            r#"{"status":"success","data":{"resultType":"scalar","result":[5,"2"]}}"#,
        ),
        (
            "/api/v1/query?query=%22x%22&time=1.05",
            r#"{"status":"success","data":{"resultType":"string","result":[1.05,"x"]}}"#,
        ),
        (
            "/api/v1/query?query=sort_desc(up)&time=100.5",
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"a:1","job":"api"},"value":[100.500,"1"]},{"metric":{"__name__":"up","instance":"b:1","job":"db"},"value":[100.500,"0"]}]}}"#,
        ),
        (
            "/api/v1/query?query=up[20s]&time=30&limit=1",
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"up","instance":"a:1","job":"api"},"values":[[15,"1"],[30,"1"]]}]},"warnings":["results truncated due to limit"]}"#,
        ),
        (
            "/api/v1/query_range?query=up%7Bjob%3D%22api%22%7D*0.5&start=0&end=30&step=15",
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"instance":"a:1","job":"api"},"values":[[0,"0.5"],[15,"0.5"],[30,"0.5"]]}]}}"#,
        ),
        (
            "/api/v1/query?query=absent_metric&time=5",
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
        ),
        (
            "/api/v1/query_range?query=rate(up%5B1m%5D)&start=60&end=60&step=1",
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"instance":"a:1","job":"api"},"values":[[60,"0"]]},{"metric":{"instance":"b:1","job":"db"},"values":[[60,"0"]]}]},"infos":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"up\" (1:6)"]}"#,
        ),
        (
            "/api/v1/labels",
            r#"{"status":"success","data":["__name__","instance","job","label.é","path"]}"#,
        ),
        (
            "/api/v1/labels?limit=1",
            r#"{"status":"success","data":["__name__"],"warnings":["results truncated due to limit"]}"#,
        ),
        (
            "/api/v1/labels?match[]=up",
            r#"{"status":"success","data":["__name__","instance","job"]}"#,
        ),
        (
            "/api/v1/labels?start=10&end=5",
            r#"{"status":"success","data":[]}"#,
        ),
        (
            "/api/v1/label/job/values",
            r#"{"status":"success","data":["api","db"]}"#,
        ),
        (
            "/api/v1/label/job/values?match[]=up%7Binstance%3D%22b:1%22%7D",
            r#"{"status":"success","data":["db"]}"#,
        ),
        (
            "/api/v1/label/U__label_2e__e9_/values",
            r#"{"status":"success","data":["x y"]}"#,
        ),
        (
            "/api/v1/label/a-b/values",
            r#"{"status":"success","data":[]}"#,
        ),
        (
            "/api/v1/series?match[]=up&match[]=%7Bjob%3D%22db%22%7D",
            r#"{"status":"success","data":[{"__name__":"up","instance":"a:1","job":"api"},{"__name__":"up","instance":"b:1","job":"db"}]}"#,
        ),
        (
            "/api/v1/series?match[]=up&start=10&end=5",
            r#"{"status":"success","data":[]}"#,
        ),
        (
            "/api/v1/query_exemplars?query=test&start=1700000000000&end=1700000001000",
            r#"{"status":"success","data":[]}"#,
        ),
        (
            "/api/v1/format_query?query=sum(up)by(job)",
            r#"{"status":"success","data":"sum by (job) (up)"}"#,
        ),
        (
            "/api/v1/targets?state=bogus",
            r#"{"status":"success","data":{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":null}}"#,
        ),
        (
            "/api/v1/targets",
            r#"{"status":"success","data":{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}}"#,
        ),
        (
            "/api/v1/scrape_pools",
            r#"{"status":"success","data":{"scrapePools":[]}}"#,
        ),
        ("/api/v1/metadata", r#"{"status":"success","data":{}}"#),
        (
            "/api/v1/targets/metadata",
            r#"{"status":"success","data":[]}"#,
        ),
    ] {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, body),
            "{path}"
        );
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert!(answer.header("vary").contains("Origin"), "{path}");
    }
}

/// Bad requests: path, status, error type, message.
#[tokio::test]
async fn errors_are_prometheus_errors() {
    let server = start().await;
    let missing =
        "invalid parameter \"query\": unknown position: parse error: no expression found in input";
    for (path, status, kind, message) in [
        ("/api/v1/query", 400, "bad_data", missing),
        ("/api/v1/query?query=%zz", 400, "bad_data", missing),
        ("/api/v1/query?query=1;2", 400, "bad_data", missing),
        ("/api/v1/format_query", 400, "bad_data", missing),
        (
            "/api/v1/query?query=sum(",
            400,
            "bad_data",
            "invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis",
        ),
        (
            "/api/v1/query?query=up&time=abc",
            400,
            "bad_data",
            "invalid parameter \"time\": invalid time value for 'time': cannot parse \"abc\" to a valid timestamp",
        ),
        (
            "/api/v1/query?query=up&timeout=abc",
            400,
            "bad_data",
            "invalid parameter \"timeout\": cannot parse \"abc\" to a valid duration",
        ),
        (
            "/api/v1/query?query=up&timeout=0",
            503,
            "timeout",
            "query timed out in query execution",
        ),
        (
            "/api/v1/query?query=up&limit=-1",
            400,
            "bad_data",
            "invalid parameter \"limit\": limit must be non-negative",
        ),
        (
            "/api/v1/query?query=up&limit=x",
            400,
            "bad_data",
            "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            "/api/v1/query?query=up&lookback_delta=x",
            400,
            "bad_data",
            "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
        ),
        (
            "/api/v1/query_range?query=up",
            400,
            "bad_data",
            "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
        ),
        (
            "/api/v1/query_range?query=up&start=1&end=x",
            400,
            "bad_data",
            "invalid parameter \"end\": cannot parse \"x\" to a valid timestamp",
        ),
        (
            "/api/v1/query_range?query=up&start=1&end=5",
            400,
            "bad_data",
            "invalid parameter \"step\": cannot parse \"\" to a valid duration",
        ),
        (
            "/api/v1/query_range?query=up&start=1&end=5&step=0",
            400,
            "bad_data",
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (
            "/api/v1/query_range?query=up&start=1&end=5&step=1e20",
            400,
            "bad_data",
            "invalid parameter \"step\": cannot parse \"1e20\" to a valid duration. It overflows int64",
        ),
        (
            "/api/v1/query_range?query=up&start=5&end=1&step=1",
            400,
            "bad_data",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "/api/v1/query_range?query=up&start=0&end=11001&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "/api/v1/query_range?query=up[5m]&start=0&end=11&step=1",
            400,
            "bad_data",
            "invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
        (
            "/api/v1/query?query=abs(1)",
            400,
            "bad_data",
            "invalid parameter \"query\": 1:5: parse error: expected type instant vector in call to function \"abs\", got scalar",
        ),
        (
            "/api/v1/series",
            400,
            "bad_data",
            "no match[] parameter provided",
        ),
        (
            "/api/v1/series?match[]=%7B%7D",
            400,
            "bad_data",
            "invalid parameter \"match[]\": match[] must contain at least one non-empty matcher",
        ),
        (
            "/api/v1/series?match[]=up(",
            400,
            "bad_data",
            "invalid parameter \"match[]\": 1:3: parse error: unexpected \"(\"",
        ),
        (
            "/api/v1/labels?match[]=%7B%7D",
            400,
            "bad_data",
            "match[] must contain at least one non-empty matcher",
        ),
        (
            "/api/v1/label/job/values?match[]=a(",
            400,
            "bad_data",
            "1:2: parse error: unexpected \"(\"",
        ),
        (
            "/api/v1/labels?start=x",
            400,
            "bad_data",
            "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp",
        ),
        (
            "/api/v1/metadata?limit=x",
            400,
            "bad_data",
            "limit must be a number",
        ),
        (
            "/api/v1/targets/metadata?match_target=%7Bx",
            400,
            "bad_data",
            "invalid parameter \"match_target\": 1:3: parse error: unexpected end of input inside braces",
        ),
        (
            "/api/v1/status/tsdb?limit=0",
            400,
            "bad_data",
            "limit must be a positive number",
        ),
        (
            "/api/v1/query_exemplars",
            400,
            "bad_data",
            "unknown position: parse error: no expression found in input",
        ),
        (
            "/api/v1/query_exemplars?query=up&start=5&end=1",
            400,
            "bad_data",
            "end timestamp must not be before start timestamp",
        ),
    ] {
        let answer = server.get(path).await;
        let json = answer.json();
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
        assert_eq!(json["status"], "error", "{path}");
        assert_eq!(
            (
                json["errorType"].as_str().unwrap(),
                json["error"].as_str().unwrap()
            ),
            (kind, message),
            "{path}"
        );
    }
    let many = server
        .get("/api/v1/query?query=up%20%2B%20on()%20up&time=0")
        .await;
    assert_eq!(many.status, 422, "{}", many.body);
    assert_eq!(many.json()["errorType"], "execution");
}

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
        ("GET", "/api/v1/nope", 404, "404 page not found\n", ""),
        ("GET", "/api/v1/rules", 404, "404 page not found\n", ""),
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
    let metrics = server.get("/metrics").await;
    for line in [
        "prometheus_tsdb_head_series 4\n",
        "prometheus_tsdb_head_samples_appended_total{type=\"float\"} 40\n",
        "prometheus_http_requests_total{code=\"200\",handler=\"/targets\"} 1\n",
        "prometheus_build_info{",
        "prometheus_tsdb_lowest_timestamp_seconds 0\n",
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
