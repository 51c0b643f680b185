//! The same data and the same requests for this server and for the real Prometheus: status and JSON must agree.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;

use bellwether_server::{Feature, Features};
use serde_json::Value;
use support::{
    WRITE_HEADERS, Written, get, reference, send, start, start_reference, text,
    without_newer_members, write_histograms, write_request, write_with_exemplars,
};

const CONFIG: &str = "global: {external_labels: {cluster: c1}}\n";
/// Whole seconds near enough to now for both heads, far enough to be in the past.
fn base_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    (now / 60 * 60 - 1800) * 1000
}

fn series(base: i64) -> Vec<Vec<u8>> {
    let steps = |f: fn(i64) -> f64| {
        (0..40)
            .map(move |i| (base + i * 15_000, f(i)))
            .collect::<Vec<_>>()
    };
    let counter: fn(i64) -> f64 = |i| (i * 7 % 100) as f64 * 1.1;
    let one = |labels: &[(&str, &str)], samples| write_request(&[Written { labels, samples }]);
    vec![
        one(
            &[("__name__", "up"), ("instance", "a:1"), ("job", "api")],
            steps(|_| 1.0),
        ),
        one(
            &[("__name__", "up"), ("instance", "b:1"), ("job", "db")],
            steps(|i| (i % 2) as f64),
        ),
        one(
            &[
                ("__name__", "requests_total"),
                ("code", "200"),
                ("job", "api"),
            ],
            steps(counter),
        ),
        one(
            &[
                ("__name__", "requests_total"),
                ("code", "500"),
                ("job", "api"),
            ],
            steps(|i| i as f64 * 0.125),
        ),
        one(
            &[("__name__", "odd"), ("v", "tiny")],
            steps(|i| i as f64 * 1e-9),
        ),
        one(
            &[("__name__", "odd"), ("v", "huge")],
            steps(|i| i as f64 * 1e22),
        ),
        one(
            &[("__name__", "odd"), ("v", "nan")],
            steps(|i| {
                if i % 2 == 0 {
                    f64::NAN
                } else {
                    f64::NEG_INFINITY
                }
            }),
        ),
        one(
            &[("__name__", "dotted.name"), ("label.é", "q\"\\\n<&>")],
            steps(|i| i as f64),
        ),
        one(
            &[("__name__", "lat_bucket"), ("job", "api"), ("le", "0.1")],
            steps(|i| i as f64),
        ),
        one(
            &[("__name__", "lat_bucket"), ("job", "api"), ("le", "1.0")],
            steps(|i| (i * 2) as f64),
        ),
        one(
            &[("__name__", "lat_bucket"), ("job", "api"), ("le", "+Inf")],
            steps(|i| (i * 3) as f64),
        ),
        write_with_exemplars(
            &[("__name__", "traced_total"), ("job", "api")],
            &steps(|i| i as f64),
        ),
        write_histograms(
            &[("__name__", "native"), ("job", "api")],
            &steps(|_| 0.0).iter().map(|(t, _)| *t).collect::<Vec<_>>(),
        ),
    ]
}

/// Requests with `T` for the last sample's second.
const REQUESTS: &[&str] = &[
    "/api/v1/query?query=up&time=T",
    "/api/v1/query?query=odd&time=T",
    "/api/v1/query?query=odd[1m]&time=T",
    "/api/v1/query?query=%7B%22dotted.name%22%7D&time=T",
    "/api/v1/query?query=1%2B1&time=T.5",
    "/api/v1/query?query=%22a%22&time=T",
    "/api/v1/query?query=sum%20by(job)(rate(requests_total[2m]))&time=T",
    "/api/v1/query?query=rate(up[2m])&time=T",
    "/api/v1/query?query=histogram_quantile(0.9,rate(lat_bucket[5m]))&time=T",
    "/api/v1/query?query=up%2Bon()up&time=T",
    "/api/v1/query?query=up%20and%20on(job)%20requests_total&time=T",
    "/api/v1/query?query=up&time=T&lookback_delta=1ms",
    "/api/v1/query?query=count_values(%22v%22,odd)&time=T",
    "/api/v1/query?query=topk(1,requests_total)&time=T",
    "/api/v1/query?query=label_replace(up,%22x%22,%22$1%22,%22job%22,%22(.*)%22)&time=T",
    "/api/v1/query_range?query=up&start=S&end=T&step=15",
    "/api/v1/query_range?query=up&start=S&end=T&step=7.5",
    "/api/v1/query_range?query=rate(requests_total[1m])&start=S&end=T&step=30s",
    "/api/v1/query_range?query=avg_over_time(odd[1m])&start=S&end=T&step=1m",
    "/api/v1/query_range?query=max_over_time(rate(requests_total[1m])[5m:1m])&start=S&end=T&step=1m",
    "/api/v1/query_range?query=up&start=T&end=S&step=15",
    "/api/v1/query_range?query=up&start=0&end=T&step=15",
    "/api/v1/query_range?query=up&start=S&end=T&step=15&limit=1",
    "/api/v1/query_range?query=scalar(up)&start=S&end=T&step=60",
    "/api/v1/series?match[]=up",
    "/api/v1/series?match[]=%7B__name__=~%22.%2B%22%7D",
    "/api/v1/series?match[]=up&start=T&end=T",
    "/api/v1/series?match[]=up&start=0&end=1",
    "/api/v1/series",
    "/api/v1/series?match[]=%7B%7D",
    "/api/v1/labels",
    "/api/v1/labels?match[]=lat_bucket",
    "/api/v1/labels?limit=2",
    "/api/v1/labels?limit=-2",
    "/api/v1/label/job/values",
    "/api/v1/label/le/values",
    "/api/v1/label/__name__/values",
    "/api/v1/label/U__label_2e__e9_/values",
    "/api/v1/label/job/values?match[]=up%7Binstance=%22b:1%22%7D",
    "/api/v1/query?query=",
    "/api/v1/query?query=sum(&time=T",
    "/api/v1/query?query=foo(up)&time=T",
    "/api/v1/query?query=up%7Ba=~%22%5B%22%7D&time=T",
    "/api/v1/query?query=up[5m]%2B1&time=T",
    "/api/v1/query?query=label_replace(up,%22x%22,%22$1%22,%22job%22,%22(%22)&time=T",
    "/api/v1/query?query=up&time=x",
    "/api/v1/query?query=up&timeout=x",
    "/api/v1/query?query=up&limit=x",
    "/api/v1/query_range?query=up",
    "/api/v1/query_range?query=up&start=1&end=2&step=-1",
    "/api/v1/query_range?query=up&start=1&end=2&step=x",
    "/api/v1/query_range?query=up[5m]&start=1&end=2&step=1",
    "/api/v1/query_range?query=%22x%22&start=1&end=2&step=1",
    "/api/v1/query_exemplars?query=up",
    "/api/v1/query_exemplars?query=rate(traced_total[1m])%2Bup&start=S&end=T",
    "/api/v1/query_exemplars?query=traced_total&start=T&end=T",
    "/api/v1/query?query=native&time=T",
    "/api/v1/query?query=-native&time=T",
    "/api/v1/query?query=native[1m]&time=T",
    "/api/v1/query?query=rate(native[5m])&time=T",
    "/api/v1/query?query=histogram_quantile(0.9,native)&time=T",
    "/api/v1/query?query=histogram_count(native)&time=T",
    "/api/v1/query_range?query=sum(native)&start=S&end=T&step=60",
    "/api/v1/status/tsdb",
    "/api/v1/status/tsdb?limit=2",
    "/api/v1/query_exemplars?query=up&start=2&end=1",
    "/api/v1/query_exemplars?query=",
    "/api/v1/format_query?query=sum(rate(up[5m]))by(job)%2B1",
    "/api/v1/format_query?query=1%2B",
    "/api/v1/parse_query?query=1%2B",
    "/api/v1/parse_query?query=",
    "/api/v1/parse_query?query=--1%20%2B%20-(0x1f)%20%2B%205m",
    "/api/v1/parse_query?query=%2Bx%7Ba!=%22b%22,c=~%22d%22,e!~%22f%22%7D%20offset%20-1m",
    "/api/v1/parse_query?query=%7B%22a.b%22,%22c%20d%22=%22%C3%A9%22%7D%20@%20-1.5",
    "/api/v1/parse_query?query=a%20%2B%20on(x)%20group_left(z)%20b%20%3E%20bool%202%20or%20(c%20unless%20ignoring(y)%20d%20@%20end())",
    "/api/v1/parse_query?query=topk%20by%20(x,%22y%20z%22)%20(1,a)%20%2F%20sum%20without%20()%20(b)%20%2B%20count_values(%22v%22,c)",
    "/api/v1/parse_query?query=rate(x[1h:5m]%20offset%201d%20@%2012.5)%20%5E%20max_over_time(y[5m]%20@%20start())%20atan2%20z[1m:]",
    "/api/v1/parse_query?query=label_join(x,%22a%22,%60b%60,%22c%22)%20*%20round(x)%20-%20time()",
    "/api/v1/targets?state=active&scrapePool=none",
    "/api/v1/query?query=up&time=2020-01-01T00:00Z",
    "/api/v1/query?query=up&time=2020-01-01%2000:00:00Z",
    "/api/v1/targets",
    "/api/v1/targets?state=active",
    "/api/v1/scrape_pools",
    "/api/v1/metadata",
    "/api/v1/metadata?limit=x",
    "/api/v1/targets/metadata?limit=x",
    "/api/v1/status/tsdb?limit=x",
    "/api/v1/nope",
    "/-/healthy",
    "/-/ready",
    "/federate",
    "/federate?match[]=up(",
];

#[tokio::test]
async fn status_and_json_agree_with_prometheus() {
    let flags = [
        "--web.enable-remote-write-receiver",
        "--web.enable-admin-api",
        "--enable-feature=exemplar-storage,native-histograms,promql-experimental-functions",
    ];
    let Some(theirs) = start_reference(CONFIG, &flags).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(CONFIG), &dir.path().join("data"), |s| {
        s.features = Features::of(&[
            Feature::ExemplarStorage,
            Feature::PromqlExperimentalFunctions,
        ]);
    })
    .await;
    let base = base_ms();
    for body in series(base) {
        for address in [ours.address, theirs.address] {
            let answer = send(
                address,
                "POST",
                "/api/v1/write",
                WRITE_HEADERS,
                body.clone(),
            )
            .await;
            assert_eq!(answer.status, 204, "{address}: {answer:?}");
        }
    }
    let (start_s, end_s) = (
        (base / 1000).to_string(),
        (base / 1000 + 39 * 15).to_string(),
    );
    let mut differences = Vec::new();
    for template in REQUESTS {
        let path = template
            .replace("=T", &format!("={end_s}"))
            .replace("=S", &format!("={start_s}"));
        compare(&path, ours.address, theirs.address, &mut differences).await;
    }
    ours.stop().await.unwrap();
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
}

async fn compare(path: &str, ours: SocketAddr, theirs: SocketAddr, differences: &mut Vec<String>) {
    let (a, b) = (get(ours, path).await, get(theirs, path).await);
    let same = a.status == b.status
        && match (
            serde_json::from_str::<Value>(&a.body),
            serde_json::from_str::<Value>(&b.body),
        ) {
            (Ok(mut x), Ok(mut y)) => {
                normalise(&mut x, path);
                normalise(&mut y, path);
                x == y
            }
            _ => a.body == b.body,
        };
    if !same {
        differences.push(format!(
            "{path}\n  ours   {} {}\n  theirs {} {}",
            a.status,
            cut(&a.body),
            b.status,
            cut(&b.body)
        ));
    }
}

fn cut(text: &str) -> String {
    text.chars().take(600).collect()
}

/// Instant vectors and series lists have no particular order; which of two duplicate series an error names first has none either.
fn normalise(answer: &mut Value, path: &str) {
    if answer["data"]["resultType"] == "vector"
        && let Some(result) = answer["data"]["result"].as_array_mut()
    {
        result.sort_by_key(|sample| sample["metric"].to_string());
    }
    if path.contains("/series?")
        && let Some(list) = answer["data"].as_array_mut()
    {
        list.sort_by_key(Value::to_string);
    }
    // What came after 3.5.
    if path.contains("/parse_query") {
        without_newer_members(answer);
    }
    // The exponential interpolation of native histograms ends in Go's or in Rust's exp2: the last digit may differ.
    if path.contains("histogram_quantile(0.9,native)")
        && let Some(Value::String(value)) = answer.pointer_mut("/data/result/0/value/1")
    {
        value.truncate(16);
    }
    // Equal counts have no particular order, and every list is cut: compare the counts. The memory list counts values
    // here and pairs with two bytes each in 3.5.
    if path.contains("/status/tsdb")
        && let Some(lists) = answer["data"].as_object_mut()
    {
        lists.remove("memoryInBytesByLabelName");
        for entry in lists.values_mut().filter_map(Value::as_array_mut).flatten() {
            entry["name"] = Value::Null;
        }
    }
    if path.contains("on()")
        && let Some(error) = answer["error"].as_str()
    {
        let mut letters: Vec<char> = error.chars().collect();
        letters.sort_unstable();
        answer["error"] = Value::String(letters.into_iter().collect());
    }
}

/// A page with every kind of family, with exemplars' format left out so that both servers ask for what they like.
const PAGE: &str = "# HELP jobs_total Jobs done.\n# TYPE jobs_total counter\njobs_total{kind=\"a\",job=\"mine\"} 3\n\
                    # HELP depth Queue depth.\n# TYPE depth gauge\ndepth 2.5\n\
                    # HELP lat_seconds Latency.\n# TYPE lat_seconds histogram\nlat_seconds_bucket{le=\"1\"} 1\n\
                    lat_seconds_bucket{le=\"+Inf\"} 2\nlat_seconds_sum 3\nlat_seconds_count 2\nuntyped_thing 7\n";

/// Serves [`PAGE`] until the test ends.
async fn target() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let page = || async { ([("content-type", "text/plain; version=0.0.4")], PAGE) };
    let app = axum::Router::new().route("/metrics", axum::routing::get(page));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Removes what differs from run to run.
fn without_times(mut answer: Value) -> Value {
    for list in ["activeTargets", "droppedTargets"] {
        let targets = answer
            .pointer_mut(&format!("/data/{list}"))
            .and_then(Value::as_array_mut);
        for target in targets.into_iter().flatten() {
            let target = target.as_object_mut().unwrap();
            target.remove("lastScrape");
            target.remove("lastScrapeDuration");
            // The reason is the system's, in Go's or in our words.
            if let Some(error) = target.get_mut("lastError") {
                *error = Value::Bool(error.as_str().unwrap().is_empty());
            }
        }
    }
    let samples = answer
        .pointer_mut("/data/result")
        .and_then(Value::as_array_mut);
    for sample in samples.into_iter().flatten() {
        sample["value"][0] = Value::Null;
    }
    normalise(&mut answer, "/series?");
    answer
}

#[tokio::test]
async fn the_same_targets_look_the_same() {
    let target = target().await;
    let config = format!(
        "global: {{scrape_interval: 1s, external_labels: {{cluster: c1}}}}\nscrape_configs:\n\
         - job_name: live\n  static_configs: [{{targets: ['{target}'], labels: {{env: dev}}}}]\n\
         - job_name: dead\n  static_configs: [{{targets: ['127.0.0.1:1']}}]\n\
         - job_name: gone\n  static_configs: [{{targets: ['x:1', 'y:1']}}]\n  relabel_configs: [{{action: drop, source_labels: [job]}}]\n"
    );
    let Some(theirs) = start_reference(&config, &[]).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(&config), &dir.path().join("data"), |_| {}).await;
    for address in [ours.address, theirs.address] {
        support::eventually("both jobs were scraped", || async move {
            let up = get(address, "/api/v1/query?query=count(up)").await.json();
            up["data"]["result"][0]["value"][1] == "2"
        })
        .await;
    }
    let mut differences = Vec::new();
    for path in [
        "/api/v1/targets",
        "/api/v1/targets?state=active&scrapePool=live",
        "/api/v1/targets?state=dropped",
        "/api/v1/scrape_pools",
        "/api/v1/metadata",
        "/api/v1/metadata?metric=jobs_total",
        "/api/v1/targets/metadata",
        "/api/v1/targets/metadata?metric=depth",
        "/api/v1/targets/metadata?match_target=%7Bjob=%22dead%22%7D",
        "/api/v1/query?query=up",
        "/api/v1/query?query=scrape_samples_scraped",
        "/api/v1/query?query=%7Bjob=%22live%22,__name__!~%22scrape_.*%22%7D",
        "/api/v1/label/__name__/values",
    ] {
        let (a, b) = (
            get(ours.address, path).await,
            get(theirs.address, path).await,
        );
        if without_times(a.json()) != without_times(b.json()) {
            differences.push(format!(
                "{path}\n  ours   {}\n  theirs {}",
                cut(&a.body),
                cut(&b.body)
            ));
        }
    }
    let page = |text: String| {
        let mut lines: Vec<String> = text
            .lines()
            .map(|l| l.rsplit_once(' ').map_or(l, |(head, _)| head).to_owned())
            .collect();
        lines.sort();
        lines
    };
    let path =
        "/federate?match[]=%7Bjob=~%22live|dead%22,__name__!~%22scrape_(duration|series).*%22%7D";
    let (a, b) = (
        get(ours.address, path).await,
        get(theirs.address, path).await,
    );
    if page(a.body.clone()) != page(b.body.clone()) {
        differences.push(format!("{path}\n{}\n---\n{}", a.body, b.body));
    }
    ours.stop().await.unwrap();
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Our own metrics pass Prometheus' linter, as text.
#[tokio::test]
async fn promtool_accepts_our_metrics_page() {
    let Some(promtool) = reference("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = start(text(""), &dir.path().join("data"), |_| {}).await;
    assert_eq!(
        get(server.address, "/api/v1/query?query=1").await.status,
        200
    );
    let page = get(server.address, "/metrics").await.body;
    let output = tokio::task::spawn_blocking(move || {
        use std::io::Write;
        let mut child = std::process::Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(page.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    server.stop().await.unwrap();
    // Prometheus' own names break some rules of style; only the syntax counts.
    assert!(!said.contains("error while linting"), "{said}");
}

/// `promtool query` is a client of the same API.
#[tokio::test]
async fn promtool_queries_this_server() {
    let Some(promtool) = reference("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = start(text(CONFIG), &dir.path().join("data"), |_| {}).await;
    let base = base_ms();
    for body in series(base) {
        assert_eq!(
            send(server.address, "POST", "/api/v1/write", WRITE_HEADERS, body)
                .await
                .status,
            204
        );
    }
    let url = format!("http://{}", server.address);
    let time = (base / 1000 + 39 * 15).to_string();
    let run = |args: Vec<String>| {
        let promtool = promtool.clone();
        tokio::task::spawn_blocking(move || {
            let output = std::process::Command::new(promtool)
                .args(args)
                .output()
                .unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr)
        })
    };
    let args = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let instant = run(args(&[
        "query", "instant", "--time", &time, &url, "sum(up)",
    ]))
    .await
    .unwrap();
    assert!(instant.starts_with("{} => 2 @["), "{instant}");
    let labels = run(args(&["query", "labels", &url, "job"])).await.unwrap();
    assert_eq!(labels.trim(), "api\ndb");
    let series = run(args(&["query", "series", "--match", "up", &url]))
        .await
        .unwrap();
    assert_eq!(series.lines().count(), 2, "{series}");
    server.stop().await.unwrap();
}
