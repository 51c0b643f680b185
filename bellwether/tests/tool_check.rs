//! `bellwether tool check metrics`, `check healthy|ready` and `tsdb create-blocks-from rules` beside promtool on the same
//! pages and servers.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::tool::{ours, run, text};
use support::{Api, BINARY, Program, free_ports, peers, wait_for};

const PAGES: &[&str] = &[
    "",
    "# HELP good_total Help.\n# TYPE good_total counter\ngood_total{a=\"b\"} 1\ngood_total 2\n",
    "untyped 1\nother_total 1\n",
    "# TYPE a counter\na 1\n# TYPE b_total gauge\nb_total 1\n",
    "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\nh_bucket{le=\"1\",x=\"y\"} 1\nh_bucket{x=\"y\",le=\"+Inf\"} 2\nh_sum{x=\"y\"} 3\nh_count{x=\"y\"} 2\n",
    "# HELP s S.\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.9\"} 2\ns_sum 3\ns_count 2\n",
    "# HELP g G.\n# TYPE g gauge\ng{le=\"1\"} 1\ng{quantile=\"0.5\"} 1\ng{aB=\"c\"} 1\ng{aB=\"d\"} 1\n",
    "# HELP x_bucket G.\n# TYPE x_bucket gauge\nx_bucket 1\n# HELP y_count G.\n# TYPE y_count gauge\ny_count 1\n# HELP z_sum G.\n# TYPE z_sum counter\nz_sum 1\n",
    "# HELP a_gauge G.\n# TYPE a_gauge gauge\na_gauge 1\n# HELP a_gauge_b G.\n# TYPE a_gauge_b gauge\na_gauge_b 1\n",
    "# HELP a:b G.\n# TYPE a:b gauge\na:b 1\n# HELP aBc G.\n# TYPE aBc gauge\naBc 1\n",
    "# HELP a_ms G.\n# TYPE a_ms gauge\na_ms 1\n# HELP b_s_h G.\n# TYPE b_s_h gauge\nb_s_h 1\n# HELP c_milliseconds G.\n# TYPE c_milliseconds gauge\nc_milliseconds 1\n# HELP d_kilobits_x G.\n# TYPE d_kilobits_x gauge\nd_kilobits_x 1\n# HELP e_minutes G.\n# TYPE e_minutes gauge\ne_minutes 1\n",
    "# HELP d D.\n# TYPE d gauge\nd{a=\"b\"} 1\nd{a=\"b\"} 2\nd{a=\"b\"} 3\nd 1\n",
    "# HELP empty E.\n# TYPE empty gauge\n",
    "a{b=\"c\"} 1 1700000000000\n# a comment\n\nb 1e3\n",
];

/// Pages that do not parse, and the line on which that shows.
const BROKEN: &[(&str, usize)] = &[
    ("a 1\nb{ 2\n", 2),
    ("a x\n", 1),
    ("a 1\n# TYPE a gauge\n", 2),
    ("# TYPE a gauge\n# TYPE a gauge\na 1\n", 2),
    ("# HELP a A.\n# HELP a A.\na 1\n", 2),
    ("a 1\nb{c=\"d\",c=\"e\"} 2\n", 2),
    ("# TYPE a nonsense\na 1\n", 1),
];

#[test]
fn metrics_are_linted_as_by_promtool() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut pages: Vec<String> = PAGES.iter().map(|p| (*p).to_owned()).collect();
    if let Some(upstream) = peers::conformance("promtool/metrics-test.prom") {
        pages.push(std::fs::read_to_string(upstream).unwrap());
    }
    for page in &pages {
        for args in [
            &["check", "metrics"][..],
            &["check", "metrics", "--extended"],
        ] {
            let found = ours(args, dir.path(), page);
            let expected = run(&promtool, args, dir.path(), page);
            assert_eq!(
                text(&found.stderr),
                text(&expected.stderr),
                "{args:?}\n{page}"
            );
            assert_eq!(
                found.status.code(),
                expected.status.code(),
                "{args:?}\n{page}"
            );
            // The reference shows no table beside problems, 3.14 does.
            if !expected.stderr.is_empty() {
                continue;
            }
            // Of as many series, any may come first.
            let lines = |bytes: &[u8]| {
                let text = text(bytes);
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(
                lines(&found.stdout),
                lines(&expected.stdout),
                "{args:?}\n{page}"
            );
        }
    }
    // Newer than the reference.
    let args = ["check", "metrics", "--lint=none"];
    let output = ours(&args, dir.path(), PAGES[2]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: at least one of --extended or linting"));
    let args = ["check", "metrics", "--lint=none", "--extended"];
    let output = ours(&args, dir.path(), PAGES[2]);
    assert_eq!(
        (output.status.code(), text(&output.stderr)),
        (Some(0), String::new())
    );
    for (page, line) in BROKEN {
        let start = format!("error while linting: text format parsing error in line {line}: ");
        for (who, output) in [
            ("ours", ours(&["check", "metrics"], dir.path(), page)),
            (
                "theirs",
                run(&promtool, &["check", "metrics"], dir.path(), page),
            ),
        ] {
            let errors = text(&output.stderr);
            assert!(errors.starts_with(&start), "{who}: {errors} for\n{page}");
            assert_eq!(output.status.code(), Some(1), "{who}");
        }
    }
}

/// A metrics server on a data directory.
struct TestServer {
    _program: Program,
    port: u16,
}

impl TestServer {
    fn start(dir: &Path) -> Self {
        std::fs::write(dir.join("p.yml"), "").unwrap();
        let [port] = free_ports();
        let program = Program::start(
            Command::new(BINARY)
                .arg("server")
                .arg(format!("--config.file={}", dir.join("p.yml").display()))
                .arg(format!(
                    "--storage.tsdb.path={}",
                    dir.join("data").display()
                ))
                .arg("--storage.tsdb.retention.time=10y")
                .arg(format!("--web.listen-address=127.0.0.1:{port}")),
        );
        let api = Api::new(port);
        wait_for("the server is ready", || {
            let (status, _) = api.get("/-/ready")?;
            (status == 200).then_some(())
        });
        Self {
            _program: program,
            port,
        }
    }
}

#[test]
fn health_is_told_as_by_promtool() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(dir.path());
    let [closed] = free_ports();
    for what in ["healthy", "ready"] {
        for (url, code) in [
            (format!("--url=http://127.0.0.1:{}", server.port), 0),
            (format!("--url=http://127.0.0.1:{}/nowhere", server.port), 1),
            (format!("--url=http://127.0.0.1:{closed}"), 1),
        ] {
            let args = ["check", what, &url];
            let found = ours(&args, dir.path(), "");
            let expected = run(&promtool, &args, dir.path(), "");
            assert_eq!(
                found.status.code(),
                Some(code),
                "{args:?}: {}",
                text(&found.stderr)
            );
            assert_eq!(expected.status.code(), Some(code), "{args:?}");
            if !url.contains(&closed.to_string()) {
                assert_eq!(text(&found.stderr), text(&expected.stderr), "{args:?}");
            }
        }
    }
}

/// A server that only knows one user.
fn guarded() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut known) = (String::new(), false);
            while reader.read_line(&mut line).unwrap() > 2 {
                // ada:secret
                known |= line.trim_end().ends_with(": Basic YWRhOnNlY3JldA==");
                line.clear();
            }
            let status = if known { "200 OK" } else { "401 Unauthorized" };
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nme");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    port
}

#[test]
fn health_is_asked_with_credentials_of_a_file() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let good = "basic_auth: {username: ada, password: secret}\n";
    std::fs::write(dir.path().join("good.yml"), good).unwrap();
    std::fs::write(dir.path().join("bad.yml"), "basic_auth: {username: bob}\n").unwrap();
    let url = format!("--url=http://127.0.0.1:{}", guarded());
    for what in ["healthy", "ready"] {
        for (file, code) in [("good.yml", 0), ("bad.yml", 1)] {
            let file = format!("--http.config.file={file}");
            let args = ["check", what, &file, &url];
            let found = ours(&args, dir.path(), "");
            let expected = run(&promtool, &args, dir.path(), "");
            assert_eq!(found.status.code(), Some(code), "{args:?}");
            assert_eq!(expected.status.code(), Some(code), "{args:?}");
            assert_eq!(text(&found.stderr), text(&expected.stderr), "{args:?}");
        }
    }
}

/// Counters of two instances, every 15 s for five hours.
fn history(start_s: i64) -> String {
    let mut page = "# TYPE requests counter\n".to_owned();
    for instance in ["a:1", "b:1"] {
        for i in 0..(5 * 240) {
            let value = i * 3 + i64::from(instance == "b:1") * (i % 7);
            let time = start_s + i * 15;
            page +=
                &format!("requests_total{{instance=\"{instance}\",job=\"api\"}} {value} {time}\n");
        }
    }
    page + "# EOF\n"
}

const RECORDING: &str = "groups:
- name: rates
  interval: 30s
  labels: {team: shop}
  rules:
  - {record: 'job:requests:rate5m', expr: 'sum by (job) (rate(requests_total[5m]))'}
  - {record: 'instance:requests:rate1m', expr: 'rate(requests_total[1m])', labels: {kind: short, team: ''}}
- name: slow
  rules:
  - {record: 'requests:sum', expr: 'sum(requests_total)'}
  - {record: 'requests:none', expr: 'sum(no_such_metric)'}
";

#[test]
fn recording_rules_are_backfilled_as_by_promtool() {
    let Some(promtool) = peers::find("promtool") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    // Not at the beginning of a block, and long ago: nothing of it is in a head.
    let start = 1_700_000_000;
    std::fs::write(dir.path().join("history.txt"), history(start)).unwrap();
    std::fs::write(dir.path().join("rules.yml"), RECORDING).unwrap();
    let args = [
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "history.txt",
        "data",
    ];
    assert!(ours(&args, dir.path(), "").status.success());
    let server = TestServer::start(dir.path());
    let url = format!("--url=http://127.0.0.1:{}", server.port);
    let span = [
        format!("--start={}", start + 1234),
        format!("--end={}", start + 4 * 3600 + 77),
    ];
    let base = ["tsdb", "create-blocks-from", "rules"];
    let dump = |folder: &str| {
        // The reference wants a log beside the blocks.
        std::fs::create_dir_all(dir.path().join(folder).join("wal")).unwrap();
        let output = ours(&["tsdb", "dump", folder], dir.path(), "");
        assert!(output.status.success(), "{}", text(&output.stderr));
        let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let fill = |program: Option<&PathBuf>, source: &str, folder: &str| {
        let to = format!("--output-dir={folder}");
        let args: Vec<&str> = base
            .into_iter()
            .chain([source, &span[0], &span[1], &to, "rules.yml"])
            .collect();
        let output = match program {
            Some(program) => run(program, &args, dir.path(), ""),
            None => ours(&args, dir.path(), ""),
        };
        assert!(output.status.success(), "{}", text(&output.stderr));
        dump(folder)
    };
    let expected = fill(Some(&promtool), &url, "theirs");
    assert!(expected.len() > 1000, "{}", expected.len());
    assert!(
        expected
            .iter()
            .any(|l| l.contains("instance:requests:rate1m") && l.contains("kind=\"short\""))
    );
    assert_eq!(fill(None, &url, "from-api"), expected);
    assert_eq!(fill(None, "--data=data", "from-directory"), expected);

    for (args, cause) in [
        (
            vec!["--start=5", "--end=4", "rules.yml"],
            "start time is not before end time",
        ),
        (
            vec!["--start=yesterday", "rules.yml"],
            "error parsing start time: cannot parse \"yesterday\" to a valid timestamp",
        ),
        (
            vec!["--start=5", "history.txt"],
            "rule importer parse error: ",
        ),
        (
            vec![
                "--start=5",
                "--end=7200",
                "--url=http://127.0.0.1:1",
                "rules.yml",
            ],
            "error importing rules",
        ),
    ] {
        let args: Vec<&str> = base.into_iter().chain(args).collect();
        for output in [
            ours(&args, dir.path(), ""),
            run(&promtool, &args, dir.path(), ""),
        ] {
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
            assert!(errors.contains(cause), "{args:?}: {errors}");
        }
    }
}
