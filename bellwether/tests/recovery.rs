//! `kill -9` under load: after the next start everything that was acknowledged is there.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
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

fn start_server(dir: &std::path::Path, port: u16) -> Program {
    let config = dir.join("prometheus.yml");
    std::fs::write(&config, "global: { scrape_interval: 15s }\n").unwrap();
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

#[test]
fn nothing_acknowledged_is_missing_after_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let [port] = free_ports();
    const SERIES: usize = 50;
    let start = now_ms() - 60_000;
    let mut next = 0;
    // Requests that were under way at a kill: stored or not, nobody was told.
    let mut unanswered = BTreeSet::new();
    for round in 0..3 {
        let mut server = start_server(dir.path(), port);
        let api = Api::new(port);
        // What earlier rounds acknowledged survived every kill.
        check_all_there(&api, start, next, &unanswered, SERIES);
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
            (acked.load(Ordering::SeqCst) > next + 40 + 17 * round).then_some(())
        });
        server.kill();
        writer.join().unwrap();
        let first_unanswered = acked.load(Ordering::SeqCst);
        unanswered.insert(first_unanswered);
        next = first_unanswered + 1;
    }
    let _server = start_server(dir.path(), port);
    check_all_there(&Api::new(port), start, next, &unanswered, SERIES);
}

/// Every sample `0..next` of every series is there with its value, but for unanswered requests.
fn check_all_there(api: &Api, start: i64, next: i64, unanswered: &BTreeSet<i64>, series: usize) {
    if next == 0 {
        return;
    }
    let end = (start + next) as f64 / 1000.0;
    let value = api.get_json(&format!("/api/v1/query?query=acked[10m]&time={end}"));
    let result = value["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), series);
    for row in result {
        let mut present = BTreeSet::new();
        for pair in row["values"].as_array().unwrap() {
            let n = (pair[0].as_f64().unwrap() * 1000.0).round() as i64 - start;
            assert_eq!(n, pair[1].as_str().unwrap().parse::<f64>().unwrap() as i64);
            present.insert(n);
        }
        let missing: Vec<i64> = (0..next)
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
