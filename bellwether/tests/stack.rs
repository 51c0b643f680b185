//! The main path: one command, three environments, real traffic, an orderly end.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use support::{TestStack, listens, wait_for};

#[test]
fn up_shows_three_environments_with_traffic_and_stops_in_order() {
    let stack = TestStack::new(&["prod", "dev", "qa"]);
    let mut program = stack.start();
    let api = stack.api();

    let up = wait_for("every target up", || {
        let rows = api.query("up");
        (rows.len() == 8 && rows.iter().all(|(_, v)| v == "1")).then_some(rows)
    });
    let jobs: BTreeSet<_> = up.iter().map(|(l, _)| l["job"].as_str()).collect();
    assert_eq!(
        jobs,
        BTreeSet::from(["collectors", "data-planes", "orders", "prometheus"])
    );

    let expr = "sum by (environment) (rate(http_server_request_duration_seconds_count[1m]))";
    let environments: BTreeSet<String> = wait_for("three environments", || {
        let rows = api.query(expr);
        let alive: BTreeSet<String> = rows
            .iter()
            .filter(|(_, v)| v.parse::<f64>().is_ok_and(|v| v > 0.0))
            .map(|(l, _)| l["environment"].clone())
            .collect();
        (alive.len() == 3).then_some(alive)
    });
    assert_eq!(
        environments.iter().map(String::as_str).collect::<Vec<_>>(),
        ["dev", "prod", "qa"]
    );

    // What the applications measure arrives under the names of the metrics guide.
    for expr in [
        "histogram_quantile(0.95, sum by (le) (rate(http_server_request_duration_seconds_bucket[1m])))",
        "http_server_active_requests",
        "http_requests_total",
        "http_request_duration_seconds_count",
        "http_requests_in_flight",
        "orders_total",
        "orders_value_total",
        "target_info{data_plane_id=\"dp-prod-01\"}",
        "orders_processed_total",
        "order_queue_depth",
        "otelcol_receiver_accepted_metric_points_total",
        "prometheus_tsdb_head_series",
    ] {
        wait_for(expr, || (!api.query(expr).is_empty()).then_some(()));
    }

    program.signal("INT");
    let status = program.wait_exit();
    assert_eq!(status.code(), Some(0), "{}", program.output());
    assert!(
        program.output().contains("stopped, everything flushed"),
        "{}",
        program.output()
    );
    for port in [
        stack.server,
        stack.dashboard,
        stack.orders,
        stack.planes[0].1.api,
        stack.planes[2].1.otlp_grpc,
    ] {
        assert!(!listens(port));
    }
}

#[test]
fn an_added_plane_is_a_few_lines() {
    let mut stack = TestStack::new(&["prod"]);
    stack.planes.push(("staging", support::PlanePorts::free()));
    let _program = stack.start();
    let api = stack.api();
    wait_for("the new plane's target", || {
        api.query(
            "up{environment=\"staging\",data_plane_id=\"dp-staging-01\",job=\"data-planes\"} == 1",
        )
        .first()
        .map(|_| ())
    });
}

#[test]
fn no_load_sends_nothing() {
    let stack = TestStack::new(&["prod"]);
    let mut program = support::Program::start(stack.command().arg("--no-load"));
    program.wait_output("no traffic (--no-load)");
    let api = stack.api();
    wait_for("targets", || {
        (api.query("up == 1").len() == 4).then_some(())
    });
    assert!(
        api.query("http_requests_total{endpoint!=\"/health\"} > 0")
            .is_empty()
    );
}
