//! `kill -9` under load: after the next start everything that was acknowledged is there.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use support::{Api, BINARY, Program, TestStack, free_ports, wait_for};

fn now_ms() -> i64 {
    i64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap()
}

fn start_server(dir: &Path, port: u16, target: u16) -> Program {
    let config = dir.join("prometheus.yml");
    let yaml = format!(
        "global: {{ scrape_interval: 50ms, scrape_timeout: 50ms }}\n\
         scrape_configs:\n- job_name: t\n  static_configs: [{{ targets: ['127.0.0.1:{target}'] }}]\n"
    );
    std::fs::write(&config, yaml).unwrap();
    let program = Program::start(
        Command::new(BINARY)
            .arg("server")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver"),
    );
    let api = Api::new(port);
    wait_for("the server", || {
        api.get("/-/ready").filter(|(status, _)| *status == 200)
    });
    assert!(
        !program.output().contains("panicked"),
        "{}",
        program.output()
    );
    program
}

/// A scrape target whose metric counts the scrapes.
fn start_target() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let scrapes = Arc::new(AtomicI64::new(0));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let scrapes = Arc::clone(&scrapes);
            std::thread::spawn(move || serve_scrapes(stream.unwrap(), &scrapes));
        }
    });
    port
}

fn serve_scrapes(mut stream: std::net::TcpStream, scrapes: &AtomicI64) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        // A request without a body ends with an empty line; the server may be killed at any moment.
        let mut line = String::new();
        loop {
            line.clear();
            match reader.read_line(&mut line) {
                Ok(n) if n > 0 => {}
                _ => return,
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let n = scrapes.fetch_add(1, Ordering::SeqCst);
        let body: String = (0..SCRAPED)
            .map(|i| format!("scraped{{i=\"{i}\"}} {n}\n"))
            .collect();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// One remote-write request with `series` series, all with `value` at `t`.
fn write(api: &Api, series: usize, t: i64, value: f64) -> bool {
    let body = bellwether_remote::encode_floats((0..series).map(|i| {
        (
            bellwether_model::Labels::from_pairs([("__name__", "acked"), ("i", &i.to_string())]),
            t,
            value,
        )
    }));
    let answer = api
        .http
        .post(format!("{}/api/v1/write", api.base))
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", "0.1.0")
        .body(body)
        .send();
    answer.is_ok_and(|r| r.status().as_u16() == 204)
}

/// Series of a remote-write request, and of a scrape.
const SERIES: usize = 20;
const SCRAPED: usize = 20;
/// Requests, a millisecond apart, that one query compares.
const WINDOW: i64 = 5_000;

/// Scraped samples that a query has shown: series and time in milliseconds, to the value.
type Shown = BTreeMap<(String, i64), String>;

/// What the server shows of the last seconds of scrapes before a time in milliseconds.
fn scraped(api: &Api, end: i64) -> Shown {
    let at = end as f64 / 1000.0;
    let value = api.get_json(&format!("/api/v1/query?query=scraped[20s]&time={at}"));
    let mut out = Shown::new();
    for row in value["data"]["result"].as_array().unwrap() {
        let series = row["metric"]["i"].as_str().unwrap();
        for pair in row["values"].as_array().unwrap() {
            let t = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
            let v = pair[1].as_str().unwrap().to_owned();
            out.insert((series.to_owned(), t), v);
        }
    }
    out
}

fn assert_still_shown(api: &Api, end: i64, shown: &Shown) {
    let now = scraped(api, end);
    for (sample, v) in shown {
        assert_eq!(
            now.get(sample),
            Some(v),
            "scraped, shown and lost: {sample:?}"
        );
    }
}

fn number(name: &str) -> Option<i64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Kills servers that are scraping and being written to, again and again. `BELLWETHER_KILLS=n` sets how often,
/// `BELLWETHER_KILL_SERVERS=n` how many servers, each with a directory of its own, share that at the same time.
#[test]
fn nothing_acknowledged_is_missing_after_kill_9() {
    let kills = number("BELLWETHER_KILLS").unwrap_or(5);
    let servers = number("BELLWETHER_KILL_SERVERS")
        .unwrap_or(1)
        .clamp(1, kills.max(1));
    std::thread::scope(|scope| {
        for i in 0..servers {
            let share = kills / servers + i64::from(i < kills % servers);
            scope.spawn(move || kill_again_and_again(share));
        }
    });
}

fn kill_again_and_again(kills: i64) {
    let dir = tempfile::tempdir().unwrap();
    let [port] = free_ports();
    let target = start_target();
    // Room for a request per millisecond before now.
    let start = now_ms() - 60_000 - kills * 150;
    let mut next = 0;
    // Requests that were under way at a kill: stored or not, nobody was told.
    let mut unanswered = BTreeSet::new();
    let mut shown = (now_ms(), Shown::new());
    let mut all_scraped = 0;
    for round in 0..kills {
        let mut server = start_server(dir.path(), port, target);
        let api = Api::new(port);
        // What earlier rounds acknowledged survived the kill.
        check_range(&api, start, (next - WINDOW).max(0)..next, &unanswered);
        assert_still_shown(&api, shown.0, &shown.1);
        let acked = Arc::new(AtomicI64::new(next));
        let writer = {
            let (api, acked) = (api.clone(), Arc::clone(&acked));
            std::thread::spawn(move || {
                for n in next.. {
                    // Every value is its own number: a lost or mixed-up sample shows.
                    if !write(&api, SERIES, start + n, n as f64) {
                        return;
                    }
                    acked.store(n + 1, Ordering::SeqCst);
                }
            })
        };
        wait_for("acknowledged requests", || {
            (acked.load(Ordering::SeqCst) > next + 10 + 7 * round % 23).then_some(())
        });
        let end = now_ms();
        shown = (end, scraped(&api, end));
        all_scraped += shown.1.len();
        server.kill();
        writer.join().unwrap();
        let first_unanswered = acked.load(Ordering::SeqCst);
        unanswered.insert(first_unanswered);
        next = first_unanswered + 1;
    }
    let _server = start_server(dir.path(), port, target);
    let api = Api::new(port);
    assert_still_shown(&api, shown.0, &shown.1);
    assert!(all_scraped > 0, "nothing was scraped");
    let mut from = 0;
    while from < next {
        let to = (from + WINDOW).min(next);
        check_range(&api, start, from..to, &unanswered);
        from = to;
    }
}

/// Every sample of a range of requests is there in every series with its value, but for unanswered requests.
fn check_range(api: &Api, start: i64, range: Range<i64>, unanswered: &BTreeSet<i64>) {
    if range.is_empty() {
        return;
    }
    let end = (start + range.end - 1) as f64 / 1000.0;
    let width = range.end - range.start;
    let value = api.get_json(&format!(
        "/api/v1/query?query=acked[{width}ms]&time={end:.3}"
    ));
    let result = value["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), SERIES);
    for row in result {
        let mut present = BTreeSet::new();
        for pair in row["values"].as_array().unwrap() {
            let n = (pair[0].as_f64().unwrap() * 1000.0).round() as i64 - start;
            assert_eq!(n, pair[1].as_str().unwrap().parse::<f64>().unwrap() as i64);
            present.insert(n);
        }
        let missing: Vec<i64> = range
            .clone()
            .filter(|n| !present.contains(n) && !unanswered.contains(n))
            .collect();
        assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    }
}

#[test]
fn the_stack_has_its_history_after_kill_9() {
    let stack = TestStack::new(&["prod"]);
    let mut program = stack.start();
    let api = stack.api();
    let before = api.wait_value("sum(http_requests_total)", |v| v > 20.0);
    let at = now_ms() as f64 / 1000.0;
    // Two more scrapes, so that the value at `at` is settled.
    api.wait_value("sum(http_requests_total)", |v| v > before);
    let expr = format!("sum(http_requests_total @ {at})");
    let settled = api.wait_value(&expr, |v| v > 0.0);
    program.kill();

    let _again = stack.start();
    let after = api.wait_value(&expr, |_| true);
    assert!(
        (after - settled).abs() < 1e-9,
        "{after} instead of {settled}"
    );
}
