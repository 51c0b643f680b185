//! `kill -9` under load: after the next start everything that was acknowledged is there.

mod support;

use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use support::{Api, BINARY, Program, TestStack, free_ports, wait_for};

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn start_server(dir: &std::path::Path, port: u16) -> Program {
    let config = dir.join("prometheus.yml");
    std::fs::write(&config, "global: { scrape_interval: 15s }\n").unwrap();
    let program = Program::start(
        Command::new(BINARY)
            .arg("server")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver"),
    );
    let api = Api::new(port);
    wait_for("the server", || api.get("/-/ready").filter(|(status, _)| *status == 200));
    assert!(!program.output().contains("panicked"), "{}", program.output());
    program
}

/// One remote-write request with `series` series, all with `value` at `t`.
fn write(api: &Api, series: usize, t: i64, value: f64) -> bool {
    let body = bellwether_remote::encode_floats((0..series).map(|i| {
        (bellwether_model::Labels::from_pairs([("__name__", "acked"), ("i", &i.to_string())]), t, value)
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
    let mut acked_before = 0;
    for round in 0..3 {
        let mut server = start_server(dir.path(), port);
        let api = Api::new(port);
        // What earlier rounds acknowledged survived every kill.
        check_all_there(&api, start, acked_before, SERIES);
        let acked = Arc::new(AtomicI64::new(acked_before));
        let writer = {
            let (api, acked) = (api.clone(), Arc::clone(&acked));
            std::thread::spawn(move || {
                for n in acked_before.. {
                    // Every value is its own number: a lost or mixed-up sample shows.
                    if !write(&api, SERIES, start + n, n as f64) {
                        return;
                    }
                    acked.store(n + 1, Ordering::SeqCst);
                }
            })
        };
        wait_for("acknowledged requests", || (acked.load(Ordering::SeqCst) > acked_before + 40 + 17 * round).then_some(()));
        server.kill();
        writer.join().unwrap();
        acked_before = acked.load(Ordering::SeqCst);
        // A request that was under way may be stored without having been acknowledged: go on after it.
        acked_before += 1;
    }
    let _server = start_server(dir.path(), port);
    check_all_there(&Api::new(port), start, acked_before, SERIES);
}

/// Every sample `0..acked` of every series, except the ones that a kill left unacknowledged.
fn check_all_there(api: &Api, start: i64, acked: i64, series: usize) {
    if acked == 0 {
        return;
    }
    let end = (start + acked) as f64 / 1000.0 + 0.001;
    let value = api.get_json(&format!("/api/v1/query?query=acked[10m]&time={end}"));
    let result = value["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), series);
    for row in result {
        let values = row["values"].as_array().unwrap();
        // At most one request per round was under way when the server was killed.
        assert!(values.len() as i64 >= acked - 3, "{} of {acked} samples", values.len());
        for pair in values {
            let t = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
            let v: f64 = pair[1].as_str().unwrap().parse().unwrap();
            assert_eq!(t - start, v as i64);
        }
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
    assert!((after - settled).abs() < 1e-9, "{after} instead of {settled}");
}
