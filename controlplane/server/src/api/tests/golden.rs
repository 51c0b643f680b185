//! Whole answers. Texts and statuses are those that Prometheus 3.5.3 gives.

use crate::testing::start;

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
