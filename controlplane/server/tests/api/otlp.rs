//! The OTLP receiver. The reference build has none, so what is expected stands here, by the rules of Prometheus 3.14.

use std::io::Write as _;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::{Answer, Running, get, send, start, text};

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");
pub(crate) const PATH: &str = "/api/v1/otlp/v1/metrics";

pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

async fn server(config: &str) -> (Running, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(config), &dir.path().join("data"), |s| {
        s.web.enable_otlp_receiver = true;
    })
    .await;
    (ours, dir)
}

pub(crate) fn attributes(pairs: &[(&str, &str)]) -> Value {
    pairs
        .iter()
        .map(|(key, value)| json!({"key": key, "value": {"stringValue": value}}))
        .collect()
}

/// One resource and scope with these metrics.
pub(crate) fn request(metrics: &Value) -> Value {
    let resource = attributes(&[
        ("service.name", "api"),
        ("service.namespace", "shop"),
        ("service.instance.id", "i1"),
        ("host.name", "h1"),
        ("host.arch", "arm"),
    ]);
    let scope = json!({"name": "lib", "version": "1.2", "attributes": attributes(&[("x.y", "z")])});
    json!({"resourceMetrics": [{
        "resource": {"attributes": resource},
        "scopeMetrics": [{"scope": scope, "schemaUrl": "https://s", "metrics": metrics}],
    }]})
}

fn ns(seconds: u64) -> String {
    format!("{seconds}000000000")
}

/// A metric of every kind at a time in seconds.
pub(crate) fn every_kind(t: u64) -> Value {
    let at = |mut point: Value| {
        point["timeUnixNano"] = ns(t).into();
        json!([point])
    };
    let exemplar = json!([{"timeUnixNano": ns(t), "asDouble": 0.3, "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0102030405060708"}]);
    json!([
        {"name": "queue.depth", "unit": "1", "gauge": {"dataPoints": at(json!({"asInt": "7", "attributes": attributes(&[("a.b", "1"), ("a_b", "2"), ("host.name", "own")])}))}},
        {"name": "http.requests", "unit": "{request}", "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": at(json!({"asDouble": 2.5, "exemplars": exemplar}))}},
        {"name": "memory.used", "unit": "By", "sum": {"aggregationTemporality": 2, "dataPoints": at(json!({"asInt": "9"}))}},
        {"name": "latency", "unit": "s", "histogram": {"aggregationTemporality": 2, "dataPoints": at(json!({
            "count": "6", "sum": 3.5, "bucketCounts": ["0", "2", "3", "1"], "explicitBounds": [0.25, 1.0, 2.5], "exemplars": exemplar}))}},
        {"name": "sizes", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": at(json!({
            "count": "9", "sum": 20.0, "scale": 1, "zeroCount": "1",
            "positive": {"offset": 0, "bucketCounts": ["0", "3", "0", "0", "0", "5"]}}))}},
        {"name": "rpc", "summary": {"dataPoints": at(json!({"count": "4", "sum": 8.0, "quantileValues": [{"quantile": 0.5, "value": 1.5}, {"quantile": 1.0, "value": 3.0}]}))}},
    ])
}

pub(crate) async fn post(address: SocketAddr, body: &Value) -> Answer {
    send(
        address,
        "POST",
        PATH,
        &[JSON],
        body.to_string().into_bytes(),
    )
    .await
}

/// Every series as text with its value at a time.
pub(crate) async fn stored(address: SocketAddr, t: u64) -> Vec<String> {
    let path = format!("/api/v1/query?query=%7B__name__!=%22%22%7D&time={t}");
    let answer = get(address, &path).await.json();
    let mut rows: Vec<String> = answer["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let mut labels = row["metric"].as_object().unwrap().clone();
            let name = labels.remove("__name__").unwrap();
            let labels: Vec<String> = labels
                .iter()
                .map(|(n, v)| format!("{n}={}", v.as_str().unwrap()))
                .collect();
            let value = match row.get("value") {
                Some(value) => value[1].as_str().unwrap().to_owned(),
                None => row["histogram"][1].to_string(),
            };
            format!("{}{{{}}} {value}", name.as_str().unwrap(), labels.join(","))
        })
        .collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn every_kind_of_metric_becomes_series() {
    let (ours, _dir) = server("").await;
    let t = now_s() - 60;
    let answer = post(ours.address, &request(&every_kind(t))).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let id = "instance=i1,job=shop/api";
    let expected = [
        format!("http_requests_total{{{id}}} 2.5"),
        format!("latency_seconds_bucket{{{id},le=+Inf}} 6"),
        format!("latency_seconds_bucket{{{id},le=0.25}} 0"),
        format!("latency_seconds_bucket{{{id},le=1}} 2"),
        format!("latency_seconds_bucket{{{id},le=2.5}} 5"),
        format!("latency_seconds_count{{{id}}} 6"),
        format!("latency_seconds_sum{{{id}}} 3.5"),
        format!("memory_used_bytes{{{id}}} 9"),
        // Attributes that become one label are joined in the order of their keys.
        format!("queue_depth_ratio{{a_b=1;2,host_name=own,{id}}} 7"),
        format!("rpc_count{{{id}}} 4"),
        format!("rpc_sum{{{id}}} 8"),
        format!("rpc{{{id},quantile=0.5}} 1.5"),
        format!("rpc{{{id},quantile=1}} 3"),
        format!(
            r#"sizes{{{id}}} {{"buckets":[[3,"-1e-128","1e-128","1"],[0,"1.414213562373095","2","3"],[0,"5.65685424949238","8","5"]],"count":"9","sum":"20"}}"#
        ),
        format!("target_info{{host_arch=arm,host_name=h1,{id}}} 1"),
    ];
    let mut rows = stored(ours.address, t).await;
    // The last digits of powers of two are the platform's.
    for row in &mut rows {
        *row = row.replace("1.4142135623730951", "1.414213562373095");
        *row = row.replace("5.656854249492381", "5.65685424949238");
    }
    assert_eq!(rows, expected);
    let found = get(
        ours.address,
        "/api/v1/query_exemplars?query=%7Bjob=%22shop/api%22%7D",
    )
    .await
    .json();
    let series: Vec<&str> = found["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["seriesLabels"]["le"].as_str().unwrap_or("counter"))
        .collect();
    assert_eq!(series, ["counter", "1"]);
    let labels = &found["data"][0]["exemplars"][0]["labels"];
    assert_eq!(
        *labels,
        json!({"trace_id": "0102030405060708090a0b0c0d0e0f10", "span_id": "0102030405060708"})
    );
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn the_configuration_shapes_names_and_labels() {
    let t = now_s() - 60;
    let first = |kinds: &[usize]| {
        let all = every_kind(t);
        let wanted: Vec<&Value> = kinds.iter().map(|i| &all[*i]).collect();
        request(&json!(wanted))
    };
    let cases = [
        (
            "promote_resource_attributes: [host.name, ' host.arch ', service.name]",
            &[0usize, 2][..],
            vec![
                "memory_used_bytes{host_arch=arm,host_name=h1,instance=i1,job=shop/api,service_name=api} 9",
                "queue_depth_ratio{a_b=1;2,host_arch=arm,host_name=own,instance=i1,job=shop/api,service_name=api} 7",
                "target_info{host_arch=arm,host_name=h1,instance=i1,job=shop/api} 1",
            ],
        ),
        (
            "{promote_all_resource_attributes: true, ignore_resource_attributes: [host.arch, service.name], keep_identifying_resource_attributes: true}",
            &[2],
            vec![
                "memory_used_bytes{host_name=h1,instance=i1,job=shop/api,service_instance_id=i1,service_namespace=shop} 9",
                "target_info{host_arch=arm,host_name=h1,instance=i1,job=shop/api,service_instance_id=i1,service_name=api,service_namespace=shop} 1",
            ],
        ),
        (
            "{translation_strategy: NoUTF8EscapingWithSuffixes, promote_scope_metadata: true}",
            &[2],
            vec![
                "memory.used_bytes{instance=i1,job=shop/api,otel_scope_name=lib,otel_scope_schema_url=https://s,otel_scope_version=1.2,otel_scope_x.y=z} 9",
                "target_info{host.arch=arm,host.name=h1,instance=i1,job=shop/api} 1",
            ],
        ),
        (
            "translation_strategy: NoTranslation",
            &[0],
            vec![
                "queue.depth{a.b=1,a_b=2,host.name=own,instance=i1,job=shop/api} 7",
                "target_info{host.arch=arm,host.name=h1,instance=i1,job=shop/api} 1",
            ],
        ),
        (
            "translation_strategy: UnderscoreEscapingWithoutSuffixes",
            &[1],
            vec![
                "http_requests{instance=i1,job=shop/api} 2.5",
                "target_info{host_arch=arm,host_name=h1,instance=i1,job=shop/api} 1",
            ],
        ),
        (
            "convert_histograms_to_nhcb: true",
            &[3],
            vec![
                r#"latency_seconds{instance=i1,job=shop/api} {"buckets":[[0,"0.25","1","2"],[0,"1","2.5","3"],[0,"2.5","+Inf","1"]],"count":"6","sum":"3.5"}"#,
                "target_info{host_arch=arm,host_name=h1,instance=i1,job=shop/api} 1",
            ],
        ),
    ];
    for (config, kinds, expected) in cases {
        let config = if config.starts_with('{') {
            format!("otlp: {config}\n")
        } else {
            format!("otlp:\n  {config}\n")
        };
        let (ours, _dir) = server(&config).await;
        let answer = post(ours.address, &first(kinds)).await;
        assert_eq!(answer.status, 200, "{config}: {answer:?}");
        assert_eq!(stored(ours.address, t).await, expected, "{config}");
        ours.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_keeps_all_of_it_out() {
    let (ours, _dir) = server("").await;
    let t = now_s() - 60;
    let good =
        json!({"name": "good", "gauge": {"dataPoints": [{"timeUnixNano": ns(t), "asInt": "1"}]}});
    let delta = json!({"name": "d", "sum": {"aggregationTemporality": 1, "isMonotonic": true, "dataPoints": [{"timeUnixNano": ns(t), "asInt": "1"}]}});
    let unspecified =
        json!({"name": "u", "histogram": {"dataPoints": [{"timeUnixNano": ns(t), "count": "1"}]}});
    let nameless =
        json!({"name": "...", "gauge": {"dataPoints": [{"timeUnixNano": ns(t), "asInt": "1"}]}});
    let coarse = json!({"name": "c", "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": [{"timeUnixNano": ns(t), "scale": -5}]}});
    let ahead = json!({"name": "f", "gauge": {"dataPoints": [{"timeUnixNano": ns(t + 9999), "asInt": "1"}]}});
    let none = json!({"name": "n"});
    for (metrics, status, message) in [
        (
            vec![&good, &delta, &unspecified],
            500,
            "invalid temporality and type combination for metric \"d\"\ninvalid temporality and type combination for metric \"u\"\n",
        ),
        (vec![&good, &nameless], 500, ""),
        (
            vec![&coarse],
            500,
            "cannot convert exponential to native histogram. Scale must be >= -4, was -5\n",
        ),
        (vec![&good, &ahead, &delta], 400, ""),
        (
            vec![&none],
            500,
            "could not get aggregation temporality for n as it has unsupported metric type Empty\n",
        ),
    ] {
        let answer = post(ours.address, &request(&json!(metrics))).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.starts_with(message), "{answer:?}");
        let rows = stored(ours.address, t).await;
        assert!(rows.is_empty(), "{rows:?}");
    }
    assert_eq!(
        post(ours.address, &request(&json!([good]))).await.status,
        200
    );
    let older = json!({"name": "good", "gauge": {"dataPoints": [{"timeUnixNano": ns(t - 1), "asInt": "1"}]}});
    let answer = post(ours.address, &request(&json!([older]))).await;
    assert_eq!(
        (answer.status, answer.body.lines().next()),
        (400, Some("out of order sample"))
    );
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn bodies_come_as_protobuf_or_json_plain_or_packed() {
    let (ours, _dir) = server("").await;
    let body = request(&every_kind(now_s() - 60)).to_string();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    let gzip = ("content-encoding", "gzip");
    for (headers, body, status) in [
        (vec![JSON, gzip], packed.clone(), 200),
        (
            vec![("content-type", "application/x-protobuf")],
            Vec::new(),
            200,
        ),
        (
            vec![("content-type", "application/x-protobuf")],
            b"\xff".to_vec(),
            400,
        ),
        (vec![JSON], packed, 400),
        (
            vec![JSON, ("content-encoding", "zstd")],
            body.clone().into_bytes(),
            400,
        ),
        (
            vec![("content-type", "application/json; charset=utf-8")],
            body.clone().into_bytes(),
            400,
        ),
        (vec![], body.into_bytes(), 400),
    ] {
        let answer = send(ours.address, "POST", PATH, &headers, body).await;
        assert_eq!(answer.status, status, "{headers:?}: {answer:?}");
    }
    assert_eq!(get(ours.address, PATH).await.status, 405);
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn the_receiver_has_to_be_enabled() {
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(""), &dir.path().join("data"), |_| {}).await;
    let answer = post(ours.address, &json!({})).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (
            404,
            "otlp write receiver needs to be enabled with --web.enable-otlp-receiver\n"
        )
    );
    ours.stop().await.unwrap();
}

#[tokio::test]
async fn a_target_is_known_all_the_time_of_its_points() {
    let (ours, _dir) = server("").await;
    let t = now_s() - 1800;
    let point = |t: u64| json!({"timeUnixNano": ns(t), "asInt": "1"});
    let metric = json!([{"name": "g", "gauge": {"dataPoints": [point(t), point(t + 700)]}}]);
    assert_eq!(post(ours.address, &request(&metric)).await.status, 200);
    let path = format!("/api/v1/query?query=target_info[1h]&time={}", t + 800);
    let found = get(ours.address, &path).await.json();
    let times: Vec<u64> = found["data"]["result"][0]["values"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v[0].as_u64().unwrap() - t)
        .collect();
    assert_eq!(times, [0, 150, 300, 450, 600, 700]);
    ours.stop().await.unwrap();
}
