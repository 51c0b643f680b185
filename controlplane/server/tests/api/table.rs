//! A table of requests, good and bad, that both servers answer alike: status, the headers that clients look at, and
//! JSON.
//!
//! Left out is what 3.14 words otherwise than the reference, 3.5, and the redirects of Go's router to paths that look
//! alike.

use std::net::SocketAddr;

use bellwether_server::{Feature, Features};
use serde_json::Value;

use crate::support::{
    Answer, Reference, Running, WRITE_HEADERS, Written, send, start, start_reference, text,
    write_histograms, write_request, write_with_exemplars,
};

const CONFIG: &str = "global: {external_labels: {cluster: c1}}\n";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// A request; `S` and `T` after an equals sign are the first and the last second of the data.
struct Case {
    method: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const fn get(path: &'static str) -> Case {
    Case {
        method: "GET",
        path,
        headers: &[],
        body: "",
    }
}

const fn method(method: &'static str, path: &'static str) -> Case {
    Case {
        method,
        path,
        headers: &[],
        body: "",
    }
}

const fn form(path: &'static str, body: &'static str) -> Case {
    Case {
        method: "POST",
        path,
        headers: &[FORM],
        body,
    }
}

const fn with(path: &'static str, headers: &'static [(&'static str, &'static str)]) -> Case {
    Case {
        method: "GET",
        path,
        headers,
        body: "",
    }
}

/// What Grafana asks.
const GRAFANA: &[Case] = &[
    form("/api/v1/query", "query=1%2B1&time=4"),
    get("/api/v1/query?query=1%2B1&time=4"),
    form("/api/v1/query_range", "query=up&start=S&end=T&step=15"),
    form(
        "/api/v1/query_range",
        "query=rate(requests_total%5B1m0s%5D)&start=S.123&end=T.5&step=15&timeout=60s",
    ),
    form("/api/v1/query", "query=topk(5%2C+requests_total)&time=T.25"),
    Case {
        method: "POST",
        path: "/api/v1/query_range",
        headers: &[
            FORM,
            ("x-dashboard-uid", "abc"),
            ("x-panel-id", "2"),
            ("x-grafana-org-id", "1"),
            ("x-query-group-id", "g"),
            ("fromalert", "true"),
            ("user-agent", "Grafana/11"),
        ],
        body: "query=up&start=S&end=T&step=60",
    },
    get("/api/v1/query_exemplars?query=test&start=1700000000000&end=1700000900000"),
    form(
        "/api/v1/query_exemplars",
        "query=traced_total&start=S&end=T",
    ),
    form("/api/v1/labels", "start=S&end=T"),
    form("/api/v1/labels", "start=S&end=T&match%5B%5D=up&limit=40000"),
    get("/api/v1/labels?start=S&end=T"),
    form(
        "/api/v1/series",
        "start=S&end=T&match%5B%5D=up%7Bjob%3D%22api%22%7D",
    ),
    get("/api/v1/series?match[]=up&start=S&end=T&limit=40000"),
    get("/api/v1/label/__name__/values?start=S&end=T"),
    get("/api/v1/label/job/values?start=S&end=T&match[]=up&limit=40000"),
    get("/api/v1/label/U__dotted_2e_label/values?start=S&end=T"),
    method("POST", "/api/v1/label/job/values"),
    get("/api/v1/metadata"),
    get("/api/v1/metadata?limit=40000"),
    get("/api/v1/rules"),
    get("/api/v1/rules?type=alert"),
    get("/api/v1/rules?type=record"),
    get("/api/v1/alerts"),
    get("/api/v1/alertmanagers"),
    get("/api/v1/targets"),
    get("/api/v1/parse_query?query=sum(rate(requests_total%5B5m%5D))"),
    get("/api/v1/format_query?query=sum(rate(requests_total%5B5m%5D))"),
];

/// Queries with parameters missing, malformed, giant, negative, doubled, in odd places.
const QUERIES: &[Case] = &[
    get("/api/v1/query"),
    get("/api/v1/query?query"),
    get("/api/v1/query?query=%20"),
    get("/api/v1/query?query=up&query=1&time=T"),
    get("/api/v1/query?query=1&time=1&time=2"),
    get("/api/v1/query?query=1&time=-1"),
    get("/api/v1/query?query=1&time=-1.5"),
    get("/api/v1/query?query=1&time=1e3"),
    get("/api/v1/query?query=1&time=1e30"),
    get("/api/v1/query?query=1&time=0x10"),
    get("/api/v1/query?query=1&time=1_000"),
    get("/api/v1/query?query=1&time=1970-01-01T00:00:05Z"),
    get("/api/v1/query?query=1&time=1970-01-01T00:00:05.123456Z"),
    get("/api/v1/query?query=1&time=1970-01-01T01:00:05%2B01:00"),
    get("/api/v1/query?query=1&time=1970-01-01"),
    get("/api/v1/query?query=1&time=now"),
    get("/api/v1/query?query=1&time=5s"),
    get("/api/v1/query?query=1&time=T&timeout=0.001x"),
    get("/api/v1/query?query=1&time=T&timeout=1y"),
    get("/api/v1/query?query=1&time=T&timeout=99999999999999"),
    get("/api/v1/query?query=up&time=T&limit=1"),
    get("/api/v1/query?query=up&time=T&limit=0"),
    get("/api/v1/query?query=up&time=T&limit=-1"),
    get("/api/v1/query?query=up&time=T&limit=1.5"),
    get("/api/v1/query?query=up&time=T&limit=99999999999999999999"),
    get("/api/v1/query?query=up&time=T&limit=+1"),
    get("/api/v1/query?query=1&time=T&limit=1"),
    get("/api/v1/query?query=up&time=T&lookback_delta=x"),
    get("/api/v1/query?query=up&time=T&lookback_delta=-5"),
    get("/api/v1/query?query=up&time=T.5&lookback_delta=0.1"),
    get("/api/v1/query?query=up&time=T.5&lookback_delta=1m"),
    get("/api/v1/query?query=up%ff&time=T"),
    get("/api/v1/query?query=up%zz&time=T"),
    get("/api/v1/query?query=up;time=T"),
    get("/api/v1/query?query=%00"),
    get("/api/v1/query?query=up%7Bjob=%22%5Cxff%22%7D&time=T"),
    get("/api/v1/query?query=%7B%7D&time=T"),
    get("/api/v1/query?query=%7Bjob=%22%22%7D&time=T"),
    get("/api/v1/query?query=%7Bjob=~%22.*%22%7D&time=T"),
    get("/api/v1/query?query=sum(up)%20by&time=T"),
    get("/api/v1/query?query=rate(up)&time=T"),
    get("/api/v1/query?query=up[0s]&time=T"),
    get("/api/v1/query?query=up[5m:0s]&time=T"),
    get("/api/v1/query?query=up%20%2B%20%22a%22&time=T"),
    get("/api/v1/query?query=bottomk(%22a%22,up)&time=T"),
    get("/api/v1/query?query=quantile(2,up)&time=T"),
    get("/api/v1/query?query=label_join(up,%22%22,%22x%22,%22job%22)&time=T"),
    get("/api/v1/query?query=requests_total%20%2F%20on(job)%20up&time=T"),
    get("/api/v1/query?query=absent(nothing%7Ba=%22b%22%7D)&time=T"),
    get("/api/v1/query?query=vector(time())&time=T"),
    get("/api/v1/query?query=native&time=T"),
    get("/api/v1/query?query=native%5B45s%5D&time=T"),
    get("/api/v1/query?query=1&time=T&stats=true"),
    get("/api/v1/query?query=up&time=T&stats=all"),
    get("/api/v1/query?query=1&time=T&unknown=parameter"),
    form("/api/v1/query", ""),
    form("/api/v1/query", "query=up&time=T"),
    form("/api/v1/query?time=T", "query=up"),
    form("/api/v1/query?query=1&time=T", "query=2"),
    form("/api/v1/query", "query=%zz&time=T"),
    form("/api/v1/query", "query=a;b&time=T"),
    Case {
        method: "POST",
        path: "/api/v1/query?query=1&time=4",
        headers: &[("content-type", "application/json")],
        body: "{\"query\":\"2\"}",
    },
    Case {
        method: "POST",
        path: "/api/v1/query?query=1&time=4",
        headers: &[],
        body: "query=2",
    },
    Case {
        method: "POST",
        path: "/api/v1/query?query=1&time=4",
        headers: &[(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )],
        body: "query=2",
    },
    Case {
        method: "POST",
        path: "/api/v1/query?query=1&time=4",
        headers: &[("content-type", "")],
        body: "query=2",
    },
    Case {
        method: "GET",
        path: "/api/v1/query?query=1&time=4",
        headers: &[FORM],
        body: "query=2",
    },
    method("PUT", "/api/v1/query?query=1"),
    method("DELETE", "/api/v1/query?query=1"),
    method("PATCH", "/api/v1/query?query=1"),
    method("HEAD", "/api/v1/query?query=1"),
    method("OPTIONS", "/api/v1/query"),
    get("/api/v2/query?query=1"),
    get("/api/v1/"),
    get("/api"),
];

const RANGES: &[Case] = &[
    get("/api/v1/query_range"),
    get("/api/v1/query_range?query=up&start=S"),
    get("/api/v1/query_range?query=up&end=T&step=1"),
    get("/api/v1/query_range?query=up&start=S&end=T"),
    get("/api/v1/query_range?query=up&start=S&end=T&step="),
    get("/api/v1/query_range?query=up&start=S&end=T&step=0"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=0s"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=-5s"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=1e-9"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=1e30"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=NaN"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=1y"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=1m30s"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=1.5s"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=5ms&limit=1"),
    get("/api/v1/query_range?query=up&start=0&end=11000&step=1"),
    get("/api/v1/query_range?query=up&start=0&end=11001&step=1"),
    get("/api/v1/query_range?query=up&start=T&end=T&step=1"),
    get("/api/v1/query_range?query=up&start=T&end=S&step=1"),
    get("/api/v1/query_range?query=&start=S&end=T&step=60"),
    get("/api/v1/query_range?query=up%5B5m%5D&start=S&end=T&step=60"),
    get("/api/v1/query_range?query=%22a%22&start=S&end=T&step=60"),
    get("/api/v1/query_range?query=1&start=S&end=T&step=60"),
    get("/api/v1/query_range?query=sum(native)&start=S&end=T&step=60"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=60&limit=x"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=60&limit=1"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=60&timeout=x"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=60&lookback_delta=x"),
    get("/api/v1/query_range?query=up&start=x&end=T&step=60"),
    get("/api/v1/query_range?query=up&start=S&end=x&step=60"),
    get("/api/v1/query_range?query=up&start=S&end=T&step=60&start=x"),
    method("DELETE", "/api/v1/query_range"),
];

const SERIES: &[Case] = &[
    get("/api/v1/series?match=up"),
    get("/api/v1/series?match[]="),
    get("/api/v1/series?match[]=up&match[]=up"),
    get("/api/v1/series?match[]=up&match[]=requests_total"),
    get("/api/v1/series?match[]=up%7B"),
    get("/api/v1/series?match[]=up%5B5m%5D"),
    get("/api/v1/series?match[]=up%20offset%201m"),
    get("/api/v1/series?match[]=1"),
    get("/api/v1/series?match[]=sum(up)"),
    get("/api/v1/series?match[]=%7Bjob=~%22%22%7D"),
    get("/api/v1/series?match[]=%7Bjob!=%22%22%7D"),
    get("/api/v1/series?match[]=%7Bjob=~%22(%22%7D"),
    get("/api/v1/series?match[]=%7B%22dotted.name%22%7D"),
    get("/api/v1/series?match%5B%5D=up&limit=1"),
    get("/api/v1/series?match[]=up&limit=-1"),
    get("/api/v1/series?match[]=up&limit=x"),
    get("/api/v1/series?match[]=up&limit=2"),
    get("/api/v1/series?match[]=up&start=x"),
    get("/api/v1/series?match[]=up&end=x"),
    get("/api/v1/series?match[]=up&start=2030-01-01T00:00:00Z"),
    form("/api/v1/series", "match%5B%5D=up&match%5B%5D=odd"),
    get("/api/v1/labels?match[]=up&match[]=odd"),
    get("/api/v1/labels?match[]="),
    get("/api/v1/labels?match[]=%7B%7D"),
    get("/api/v1/labels?match[]=nothing"),
    get("/api/v1/labels?start=x"),
    get("/api/v1/labels?start=T&end=S"),
    get("/api/v1/labels?start=0&end=1"),
    get("/api/v1/labels?limit=x"),
    get("/api/v1/labels?limit=0"),
    get("/api/v1/labels?limit=1"),
    get("/api/v1/label/job/values?match[]=up&match[]=odd"),
    get("/api/v1/label/job/values?match[]=%7B%7D"),
    get("/api/v1/label/job/values?match[]=up%7B"),
    get("/api/v1/label/job/values?limit=1"),
    get("/api/v1/label/job/values?limit=-1"),
    get("/api/v1/label/job/values?start=x"),
    get("/api/v1/label/job/values?start=T&end=S"),
    get("/api/v1/label/nothing/values"),
    get("/api/v1/label/a-b/values"),
    get("/api/v1/label/%20/values"),
    get("/api/v1/label/%ff/values"),
    get("/api/v1/label/U__bad/values"),
    get("/api/v1/label/U__/values"),
    get("/api/v1/label/job"),
    get("/api/v1/query_exemplars"),
    get("/api/v1/query_exemplars?query=1"),
    get("/api/v1/query_exemplars?query=%22a%22"),
    get("/api/v1/query_exemplars?query=vector(1)"),
    get("/api/v1/query_exemplars?query=up%7B"),
    get("/api/v1/query_exemplars?query=%7B%7D"),
    get("/api/v1/query_exemplars?query=traced_total&start=x"),
    get("/api/v1/query_exemplars?query=traced_total&end=x"),
    get("/api/v1/query_exemplars?query=traced_total&start=T&end=S"),
    get("/api/v1/query_exemplars?query=traced_total%7Bjob=%22none%22%7D"),
    get("/api/v1/query_exemplars?query=sum(rate(traced_total%5B5m%5D))&start=S&end=T"),
];

const REST: &[Case] = &[
    get("/api/v1/format_query"),
    get("/api/v1/format_query?query=%ff"),
    form("/api/v1/format_query", "query=sum(up)by(job)"),
    get("/api/v1/parse_query?query=up%7B"),
    form("/api/v1/parse_query", "query=up"),
    get("/api/v1/rules?type=x"),
    get("/api/v1/rules?type=ALERT"),
    get("/api/v1/rules?exclude_alerts=x"),
    get("/api/v1/rules?exclude_alerts=true"),
    get("/api/v1/rules?exclude_alerts=t"),
    get("/api/v1/rules?match[]=%7B%7D"),
    get("/api/v1/rules?match[]=up%7B"),
    get("/api/v1/rules?match[]=%7Bteam=%22a%22%7D"),
    get("/api/v1/rules?group_limit=0"),
    get("/api/v1/rules?group_limit=-1"),
    get("/api/v1/rules?group_limit=x"),
    get("/api/v1/rules?group_limit=99999999999"),
    get("/api/v1/rules?group_limit=5"),
    get("/api/v1/rules?group_next_token=x"),
    get("/api/v1/rules?group_limit=1&group_next_token=x"),
    get("/api/v1/rules?rule_name[]=x&file[]=y&rule_group[]=z"),
    method("POST", "/api/v1/rules"),
    method("POST", "/api/v1/alerts"),
    method("POST", "/api/v1/alertmanagers"),
    method("OPTIONS", "/api/v1/rules"),
    get("/api/v1/targets?state=x"),
    get("/api/v1/targets?state=DROPPED"),
    get("/api/v1/targets?scrapePool=x"),
    get("/api/v1/targets/metadata?match_target=%7B"),
    get("/api/v1/targets/metadata?match_target=%7Bjob=%22x%22%7D&limit=1"),
    get("/api/v1/targets/metadata?limit=-1"),
    get("/api/v1/metadata?limit=-1"),
    get("/api/v1/metadata?limit=0"),
    get("/api/v1/metadata?limit_per_metric=x"),
    get("/api/v1/metadata?metric=up"),
    get("/api/v1/scrape_pools"),
    get("/api/v1/notifications"),
    method("POST", "/api/v1/notifications"),
    get("/api/v1/status/walreplay"),
    get("/api/v1/status/nope"),
    method("POST", "/api/v1/status/config"),
    get("/api/v1/status/tsdb?limit=0"),
    get("/api/v1/status/tsdb?limit=-1"),
    get("/api/v1/status/tsdb?limit=1"),
    method("GET", "/api/v1/write"),
    method("GET", "/api/v1/read"),
    method("GET", "/api/v1/admin/tsdb/delete_series"),
    method("POST", "/api/v1/admin/tsdb/delete_series"),
    method("POST", "/api/v1/admin/tsdb/delete_series?match[]=up%7B"),
    method("POST", "/api/v1/admin/tsdb/delete_series?match[]=nothing"),
    method(
        "PUT",
        "/api/v1/admin/tsdb/delete_series?match[]=nothing&start=x",
    ),
    method(
        "PUT",
        "/api/v1/admin/tsdb/delete_series?match[]=nothing&end=x",
    ),
    method(
        "PUT",
        "/api/v1/admin/tsdb/delete_series?match[]=nothing&start=T&end=S",
    ),
    form("/api/v1/admin/tsdb/delete_series", "match%5B%5D=nothing"),
    method("POST", "/api/v1/admin/tsdb/clean_tombstones"),
    method("GET", "/api/v1/admin/tsdb/clean_tombstones"),
    method("POST", "/api/v1/admin/tsdb/snapshot?skip_head=x"),
    method("DELETE", "/api/v1/admin/tsdb/snapshot"),
    get("/federate?match[]=%7B%7D"),
    get("/federate?match[]=%7Bjob=~%22.*%22%7D"),
    get("/federate?match[]=up%5B5m%5D"),
    get("/federate?match[]="),
    method("POST", "/federate?match[]=up"),
    method("OPTIONS", "/federate"),
    get("/-/healthy"),
    method("HEAD", "/-/healthy"),
    method("HEAD", "/-/ready"),
    method("POST", "/-/ready"),
    get("/-/reload"),
    get("/-/quit"),
    get("/-/nope"),
    get("/version"),
    method("POST", "/metrics"),
    with("/api/v1/query?query=1&time=4", &[("accept", "text/html")]),
    with(
        "/api/v1/query?query=1&time=4",
        &[("accept", "application/json;q=0.1")],
    ),
    with(
        "/api/v1/query?query=x&time=4",
        &[("authorization", "Basic eDp5")],
    ),
    with("/api/v1/status/buildinfo", &[("if-none-match", "x")]),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    [GRAFANA, QUERIES, RANGES, SERIES, REST]
        .into_iter()
        .flatten()
}

/// Headers that clients look at. `Vary` names what 3.14 and we compress by, too; a length that is missing is chunked.
const HEADERS: &[&str] = &[
    "content-type",
    "content-encoding",
    "cache-control",
    "allow",
    "access-control-allow-origin",
    "x-content-type-options",
    "location",
];

fn base_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs() as i64;
    (now / 60 * 60 - 900) * 1000
}

fn data(base: i64) -> Vec<Vec<u8>> {
    let floats = |labels: &[(&str, &str)], f: fn(i64) -> f64| {
        let samples = (0..40).map(|i| (base + i * 15_000, f(i))).collect();
        write_request(&[Written { labels, samples }])
    };
    let times: Vec<i64> = (0..40).map(|i| base + i * 15_000).collect();
    let traced: Vec<(i64, f64)> = times.iter().map(|t| (*t, *t as f64)).collect();
    let name = |n| ("__name__", n);
    vec![
        floats(&[name("up"), ("instance", "a:1"), ("job", "api")], |_| 1.0),
        floats(&[name("up"), ("instance", "b:1"), ("job", "db")], |i| {
            (i % 2) as f64
        }),
        floats(
            &[name("requests_total"), ("code", "200"), ("job", "api")],
            |i| i as f64,
        ),
        floats(
            &[name("requests_total"), ("code", "500"), ("job", "api")],
            |i| i as f64 / 8.0,
        ),
        floats(&[name("odd"), ("v", "nan")], |_| f64::NAN),
        floats(&[name("dotted.name"), ("dotted.label", "é<&>\"")], |i| {
            i as f64
        }),
        write_with_exemplars(&[name("traced_total"), ("job", "api")], &traced),
        write_histograms(&[name("native"), ("job", "api")], &times),
    ]
}

async fn two_servers() -> Option<(Running, Reference, i64, tempfile::TempDir)> {
    let flags = [
        "--web.enable-remote-write-receiver",
        "--web.enable-admin-api",
        "--web.enable-lifecycle",
        "--enable-feature=exemplar-storage,native-histograms,promql-experimental-functions",
    ];
    let theirs = start_reference(CONFIG, &flags).await?;
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(CONFIG), &dir.path().join("data"), |s| {
        s.features = Features::of(&[
            Feature::ExemplarStorage,
            Feature::PromqlExperimentalFunctions,
        ]);
    })
    .await;
    let base = base_ms();
    for body in data(base) {
        for address in [ours.address, theirs.address] {
            let answer = send(
                address,
                "POST",
                "/api/v1/write",
                WRITE_HEADERS,
                body.clone(),
            )
            .await;
            assert_eq!(answer.status, 204, "{answer:?}");
        }
    }
    Some((ours, theirs, base, dir))
}

async fn ask(address: SocketAddr, case: &Case, times: &[(&str, String)]) -> Answer {
    let fill = |text: &str| {
        times.iter().fold(text.to_owned(), |text, (letter, value)| {
            text.replace(&format!("={letter}"), &format!("={value}"))
        })
    };
    let (path, body) = (fill(case.path), fill(case.body));
    send(address, case.method, &path, case.headers, body.into_bytes()).await
}

/// What must agree.
fn comparable(case: &Case, answer: &Answer) -> (u16, Vec<String>, Value) {
    // Go names no type for a body that it does not write.
    let bodiless = case.method == "HEAD";
    let headers = HEADERS
        .iter()
        .filter(|name| !bodiless || **name != "content-type")
        .map(|name| format!("{name}: {}", answer.header(name)));
    let mut body = match serde_json::from_str::<Value>(&answer.body) {
        Ok(json) => json,
        Err(_) => Value::String(answer.body.clone()),
    };
    normalise(case, &mut body);
    (answer.status, headers.collect(), body)
}

fn normalise(case: &Case, body: &mut Value) {
    let unordered = body
        .pointer("/data/resultType")
        .is_some_and(|kind| kind == "vector")
        || case.path.contains("/series");
    for place in ["/data", "/data/result"] {
        if let Some(Value::Array(list)) = body.pointer_mut(place).filter(|_| unordered) {
            list.sort_by_key(|row| row.get("metric").unwrap_or(row).to_string());
        }
    }
    for place in ["/data/stats/timings", "/data/stats/samples/peakSamples"] {
        if let Some(value) = body.pointer_mut(place) {
            *value = Value::Null;
        }
    }
    if case.path.contains("/status/tsdb")
        && let Some(Value::Object(lists)) = body.pointer_mut("/data")
    {
        lists.remove("memoryInBytesByLabelName");
        for entry in lists.values_mut().filter_map(Value::as_array_mut).flatten() {
            entry["name"] = Value::Null;
        }
    }
    if case.path == "/version" || case.path.contains("buildinfo") {
        *body = Value::Null;
    }
    if case.path.contains("/federate")
        && let Some(page) = body.as_str()
    {
        let mut lines: Vec<&str> = page.lines().collect();
        lines.sort_unstable();
        *body = Value::String(lines.join("\n"));
    }
    if case.path.contains("/parse_query") {
        crate::support::without_newer_members(body);
    }
}

#[tokio::test]
async fn both_servers_answer_alike() {
    let Some((ours, theirs, base, _dir)) = two_servers().await else {
        return;
    };
    let times = [
        ("S", (base / 1000).to_string()),
        ("T", (base / 1000 + 39 * 15).to_string()),
    ];
    let mut differences = Vec::new();
    let mut count = 0;
    for case in cases() {
        count += 1;
        let (a, b) = tokio::join!(
            ask(ours.address, case, &times),
            ask(theirs.address, case, &times)
        );
        if comparable(case, &a) != comparable(case, &b) {
            let show = |answer: &Answer| {
                let (status, headers, body) = comparable(case, answer);
                let headers: Vec<String> =
                    headers.into_iter().filter(|h| !h.ends_with(": ")).collect();
                let body: String = body.to_string().chars().take(400).collect();
                format!("{status} {headers:?} {body}")
            };
            differences.push(format!(
                "{} {} {}\n  ours   {}\n  theirs {}",
                case.method,
                case.path,
                case.body,
                show(&a),
                show(&b)
            ));
        }
    }
    ours.stop().await.unwrap();
    assert!(count > 250, "{count}");
    assert!(
        differences.is_empty(),
        "{} of {count} differ\n{}",
        differences.len(),
        differences.join("\n")
    );
}
