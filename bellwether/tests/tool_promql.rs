//! `bellwether tool promql-test`, `query`, `promql` and `check promql`: outcomes of scripts, and the same output as
//! promtool's on the same answers of a server.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use bellwether_model::Labels;
use bellwether_model::storage::Appendable as _;
use bellwether_tsdb::{Db, DbOptions};
use support::{BINARY, peers};

fn tool(args: &[&str]) -> Output {
    Command::new(BINARY)
        .arg("tool")
        .args(args)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

// ---------------------------------------------------------------- scripts

const GOOD: &str = "load 1m\n  m{a=\"b\"} 1+1x10\n\neval instant at 5m m\n  m{a=\"b\"} 6\n\neval range from 0 to 2m step 1m sum(m)\n  {} 1 2 3\n";
const BAD: &str = "load 1m\n  m{a=\"b\"} 1+1x10\n\neval instant at 5m m * 2\n  {a=\"b\"} 13\n\neval instant at 5m rate(m[2m])\n  expect no_info\n  {a=\"b\"} 0.016666666\n";

#[test]
fn scripts_pass_and_fail() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.test", GOOD);
    let bad = file("bad.test", BAD);
    let broken = file("broken.test", "load 1m\n  m 1\n\nfetch 5\n");
    let output = tool(&["promql-test", &good]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(text(&output), format!("{good}: 2 passed, 0 failed\n"));

    let output = tool(&["promql-test", &good, &bad]);
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "{good}: 2 passed, 0 failed
{bad}:4: m * 2
    the value of {{a=\"b\"}} differs
    expected:
      {{a=\"b\"}} 13
    got:
      {{a=\"b\"}} 12
{bad}:7: rate(m[2m])
    unexpected infos: PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"m\" (1:6)
    expected:
      expect no_info
      {{a=\"b\"}} 0.016666666
    got:
      {{a=\"b\"}} 0.016666666666666666
{bad}: 0 passed, 2 failed
"
    );
    assert_eq!(text(&output), expected);

    let output = tool(&["promql-test", &broken]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output),
        format!("{broken}:4: invalid command \"fetch 5\"\n{broken}: 0 passed, 1 failed\n")
    );

    let output = tool(&["promql-test", &bad, "--run", "rate"]);
    assert!(text(&output).ends_with("0 passed, 1 failed\n"));
    let output = tool(&["promql-test", &good, "--run", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("no evaluation matches"));

    let output = tool(&["promql-test", &good, "--debug"]);
    assert!(text(&output).contains("good.test:4: m (ok, "));
    assert!(
        text(&output).contains("\n    {} 1 2 3\n"),
        "{}",
        text(&output)
    );

    // The server's engine drops names at once and knows no experimental functions.
    let mad = file("mad.test", "eval instant at 0 mad_over_time(m[1m])\n");
    assert!(tool(&["promql-test", &mad]).status.success());
    let output = tool(&["promql-test", &mad, "--engine", "server"]);
    assert!(text(&output).contains("function \"mad_over_time\" is not enabled"));

    // All scripts of a directory, in the order of their names.
    let junit = dir.path().join("out.xml");
    let output = tool(&[
        "promql-test",
        dir.path().to_str().unwrap(),
        "--junit",
        junit.to_str().unwrap(),
    ]);
    assert!(text(&output).starts_with(&format!("{bad}:4: ")));
    let xml = fs::read_to_string(junit).unwrap();
    assert!(
        xml.contains("tests=\"2\" failures=\"2\" errors=\"0\""),
        "{xml}"
    );
    assert!(xml.contains("name=\"line 4/m * 2\""), "{xml}");
    assert!(
        xml.contains("<error message=\"invalid command &quot;fetch 5&quot;\"/>"),
        "{xml}"
    );
}

// ---------------------------------------------------------------- queries

const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":[
{"metric":{"__name__":"up","job":"a<b","x.y":"é\n"},"value":[1700000000.5,"1e+21"]},
{"metric":{"__name__":"odd name","job":"b"},"value":[1700000000,"NaN"]},
{"metric":{},"value":[1700000000,"-0"]},
{"metric":{"__name__":"h"},"histogram":[1700000000,{"count":"3.5","sum":"1e-07","buckets":[[3,"-0.001","0.001","1"],[0,"1","1.4142135623730951","2.5"]]}]}]},
"warnings":["careful"],"infos":["by the way"]}"#;
const MATRIX: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
{"metric":{"__name__":"up","job":"a"},"values":[[1700000000,"1"],[1700000015.123,"+Inf"]]},
{"metric":{"job":"b"},"values":[[1700000000,"0.000001"]],"histograms":[[1700000015,{"count":"1","sum":"2"}]]}]}}"#;
const BUCKETS: &str = r#"{"status":"success","data":{"resultType":"matrix","result":[
{"metric":{"__name__":"d_bucket","job":"a","le":"+Inf"},"values":[[1,"2"],[2,"9"]]},
{"metric":{"__name__":"d_bucket","job":"a","le":"1"},"values":[[1,"0"],[2,"4"]]},
{"metric":{"__name__":"d_bucket","job":"a","le":"2"},"values":[[1,"2"],[2,"4"]]},
{"metric":{"__name__":"d_count","job":"a"},"values":[[1,"2"],[2,"4"]]},
{"metric":{"__name__":"n","job":"b"},"histograms":[[1,{"count":"3","sum":"4","buckets":[[0,"1","2","3"]]}],[2,{"count":"9","sum":"4","buckets":[[0,"1","2","3"],[0,"2","4","6"]]}]]},
{"metric":{"__name__":"single"},"histograms":[[1,{"count":"3","sum":"4","buckets":[[0,"1","2","3"]]}]]}]}}"#;

/// Answers every request by what its text contains; lives as long as the test.
fn canned_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            let mut reader = BufReader::new(&stream);
            let (mut request, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                    break;
                }
                let lower = line.to_ascii_lowercase();
                if let Some(n) = lower.strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                request += &line;
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            request += &String::from_utf8_lossy(&body);
            let (status, answer) = answer(&request);
            let head = format!(
                "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            let _ = (&stream).write_all(format!("{head}{answer}").as_bytes());
        }
    });
    address
}

fn answer(request: &str) -> (u16, &'static str) {
    let has = |part: &str| request.contains(part);
    if has("query=guarded") && !has("Basic bWU6cHc=") && !has("basic bWU6cHc=") {
        (401, "Unauthorized")
    } else if has("query=vector") || has("query=guarded") {
        (200, VECTOR)
    } else if has("query=matrix") {
        (200, MATRIX)
    } else if has("1h0m0s") {
        (200, BUCKETS)
    } else if has("query=scalar") {
        (
            200,
            r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000.123,"2.5"]}}"#,
        )
    } else if has("query=text") {
        (
            200,
            r#"{"status":"success","data":{"resultType":"string","result":[1700000000,"a \"b\" <c>"]}}"#,
        )
    } else if has("query=nothing") {
        (
            200,
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
        )
    } else if has("query=wrong") {
        (
            400,
            r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:1: parse error: x"}"#,
        )
    } else if has("/api/v1/series") {
        (
            200,
            r#"{"status":"success","data":[{"__name__":"up","job":"a\"b"},{"__name__":"up","zone":"é"}]}"#,
        )
    } else if has("/api/v1/label/job/values") {
        (200, r#"{"status":"success","data":["a","b c"]}"#)
    } else {
        (404, "page not found")
    }
}

/// Runs promtool and ours with the same arguments; both have to agree in output and success.
fn same_as_promtool(promtool: &Path, args: &[&str]) -> String {
    let theirs = Command::new(promtool).args(args).output().unwrap();
    let ours = tool(args);
    assert_eq!(
        (text(&ours), ours.status.success()),
        (text(&theirs), theirs.status.success()),
        "{args:?}\n{}\n{}",
        errors(&ours),
        errors(&theirs)
    );
    text(&ours)
}

#[test]
fn queries_print_what_promtool_prints() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let url = canned_server();
    for format in ["promql", "json"] {
        // promtool does not read strings.
        for expr in ["vector", "matrix", "scalar", "nothing"] {
            let args = ["query", "-o", format, "instant", url.as_str(), expr];
            let out = same_as_promtool(&promtool, &args);
            assert!(expr == "nothing" || out.len() > 10, "{out}");
        }
        let range = [
            "query",
            "-o",
            format,
            "range",
            url.as_str(),
            "matrix",
            "--start=1700000000",
            "--end=1700000060",
            "--step=15s",
        ];
        same_as_promtool(&promtool, &range);
        let series = ["query", "-o", format, "series", url.as_str(), "--match=up"];
        same_as_promtool(&promtool, &series);
        let labels = ["query", "-o", format, "labels", url.as_str(), "job"];
        same_as_promtool(&promtool, &labels);
    }
    same_as_promtool(&promtool, &["query", "instant", url.as_str(), "wrong"]);
    same_as_promtool(
        &promtool,
        &[
            "query",
            "range",
            url.as_str(),
            "matrix",
            "--start=2",
            "--end=1",
        ],
    );
    let server = format!("--server={url}");
    let analyze = [
        "query",
        "analyze",
        server.as_str(),
        "--type=histogram",
        "--match=d",
    ];
    let out = same_as_promtool(&promtool, &analyze);
    assert!(out.contains("(classic): 1/1.500/2/3"), "{out}");
    assert!(out.contains("(native): 1/1.500/2"), "{out}");
    same_as_promtool(
        &promtool,
        &[
            "query",
            "analyze",
            server.as_str(),
            "--type=summary",
            "--match=d",
        ],
    );
}

#[test]
fn a_file_says_how_the_server_is_asked() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let url = canned_server();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("http.yml");
    std::fs::write(dir.path().join("password"), "pw\n").unwrap();
    std::fs::write(
        &file,
        "basic_auth: {username: me, password_file: password}\n",
    )
    .unwrap();
    let option = format!("--http.config.file={}", file.display());
    let refused = ["query", "instant", url.as_str(), "guarded"];
    same_as_promtool(&promtool, &refused);
    let args = ["query", option.as_str(), "instant", url.as_str(), "guarded"];
    let out = same_as_promtool(&promtool, &args);
    assert!(out.len() > 10, "{out}");
    let with_user = url.replace("http://", "http://me:pw@");
    same_as_promtool(&promtool, &["query", "instant", &with_user, "guarded"]);
    let both = ["query", option.as_str(), "instant", &with_user, "guarded"];
    same_as_promtool(&promtool, &both);
}

#[test]
fn queries_in_other_forms() {
    let url = canned_server();
    let run = |format: &str, expr: &str| {
        let output = tool(&["query", "instant", &url, expr, "-o", format]);
        assert!(output.status.success(), "{}", errors(&output));
        text(&output)
    };
    let output = tool(&["query", "instant", &url, "vector"]);
    assert_eq!(
        errors(&output),
        "query warning: careful\nquery info: by the way\n"
    );
    assert_eq!(run("promql", "text"), "a \"b\" <c>\n");
    let output = tool(&["query", "instant", &url, "wrong"]);
    assert_eq!(
        errors(&output),
        "query error: bad_data: invalid parameter \"query\": 1:1: parse error: x\n"
    );
    assert_eq!(
        run("csv", "matrix"),
        "__name__,job,timestamp,value\n\
         up,a,1700000000,1\n\
         up,a,1700000015.123,+Inf\n\
         ,b,1700000000,0.000001\n\
         ,b,1700000015,\"Count: 1.000000, Sum: 2.000000, Buckets: []\"\n"
    );
    let table = run("table", "matrix");
    assert!(table.lines().next().unwrap().contains("samples"), "{table}");
    assert!(table.contains("+Inf"), "{table}");
    let spark = run("sparkline", "matrix");
    assert!(spark.contains("up{job=\"a\"}"), "{spark}");
    assert!(
        spark.contains("from 2023-11-14T22:13:20Z to 2023-11-14T22:13:35.123Z"),
        "{spark}"
    );
}

// ---------------------------------------------------------------- expressions

#[test]
fn expressions_are_edited_as_promtool_does() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let long = "sum by (job, instance) (rate(http_requests_total{job=\"api\",code=~\"5..\"}[5m])) / ignoring (code) group_left () sum by (job) (rate(http_requests_total[5m] offset 1h))";
    for args in [
        vec!["promql", "format", "sum(x)by(a)+1"],
        vec!["promql", "format", long],
        vec!["promql", "format", "sum("],
        vec![
            "promql",
            "label-matchers",
            "set",
            "rate(x{a=\"b\"}[5m]) + y",
            "a",
            "c",
        ],
        vec![
            "promql",
            "label-matchers",
            "set",
            "-t",
            "=~",
            "x",
            "zone",
            "a|b",
        ],
        vec![
            "promql",
            "label-matchers",
            "delete",
            "x{a=\"b\",c!=\"d\"} + y{c=\"e\"}",
            "c",
        ],
    ] {
        let theirs = Command::new(&promtool)
            .arg("--experimental")
            .args(&args)
            .output()
            .unwrap();
        let ours = tool(&args);
        assert_eq!(text(&ours), text(&theirs), "{args:?}");
        assert_eq!(ours.status.success(), theirs.status.success(), "{args:?}");
    }
}

#[test]
fn expressions_are_checked() {
    let output = tool(&["check", "promql", "up", "1 + 2", "x[5m"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output),
        "up: instant vector\n1 + 2: scalar\nx[5m: 1:5: parse error: unclosed left bracket\n"
    );
    assert!(
        tool(&["check", "promql", "mad_over_time(x[5m])"])
            .status
            .success()
    );
    assert!(
        !tool(&["check", "promql", "--stable", "mad_over_time(x[5m])"])
            .status
            .success()
    );
}

#[test]
fn a_plan_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let db = Arc::new(Db::open(dir.path(), DbOptions::default()).unwrap());
    let mut appender = db.appender();
    for i in 0..3 {
        let labels = Labels::from_pairs([("__name__", "m_total"), ("i", &i.to_string())]);
        let series = appender.series(&labels).unwrap();
        for t in 0..10 {
            appender.append(series, t * 60_000, t as f64).unwrap();
        }
    }
    appender.commit().unwrap();
    drop(db);
    let expr = "sum by (i) (rate(m_total[2m]))";
    let output = tool(&["promql", "explain", expr, "--time=300"]);
    assert_eq!(
        text(&output),
        "node                                     steps\n\
         sum by (i)                                   1\n\
         \x20 rate()                                     1\n\
         \x20   window [2m] of {__name__=\"m_total\"}      1\n"
    );
    let data = dir.path().to_str().unwrap();
    let output = tool(&[
        "promql",
        "explain",
        expr,
        "--start=300",
        "--end=420",
        "--step=1m",
        "--data",
        data,
    ]);
    let out = text(&output);
    assert!(output.status.success(), "{}", errors(&output));
    let line = out.lines().find(|l| l.contains("window")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().rev().collect();
    // Three series with windows of two samples at three steps.
    assert_eq!(cells[..5], ["-", "-", "18", "3", "3"], "{out}");
    assert!(
        out.contains("result: matrix of 3 series; 3 series selected, 18 samples looked at"),
        "{out}"
    );
}
