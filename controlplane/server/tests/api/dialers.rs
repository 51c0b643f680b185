//! The metrics of the connections that the server opens, next to Prometheus'.

use std::collections::BTreeSet;

use crate::support::{eventually, get, start, start_reference, text};

/// Everything that asks somebody, who is never there.
const CONFIG: &str = r"
global: {scrape_interval: 1s}
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:1']}]}]}
rule_files: []
scrape_configs:
- {job_name: shop, static_configs: [{targets: ['127.0.0.1:1']}]}
- {job_name: found, http_sd_configs: [{url: 'http://127.0.0.1:1/', refresh_interval: 1s}]}
remote_write: [{url: 'http://127.0.0.1:1/'}]
remote_read: [{url: 'http://127.0.0.1:1/', read_recent: true}]
";

/// Series of a metric with any of the names, without the dialer that only Prometheus has.
fn series(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter_map(|line| {
        let (series, _) = line.rsplit_once(' ')?;
        series
            .starts_with("net_conntrack_dialer_conn_")
            .then(|| series.to_owned())
    });
    lines
        .filter(|line| !line.contains("dialer_name=\"default\""))
        .collect()
}

fn value(page: &str, series: &str) -> f64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn every_client_counts_its_connections_under_prometheus_names() {
    let Some(theirs) = start_reference(CONFIG, &[]).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(CONFIG), &dir.path().join("data"), |_| {}).await;
    for address in [ours.address, theirs.address] {
        get(address, "/api/v1/query?query=up").await;
    }
    for dialer in [
        "shop",
        "http",
        "remote_storage_write_client",
        "remote_storage_read_client",
    ] {
        let refused = format!(
            "net_conntrack_dialer_conn_failed_total{{dialer_name=\"{dialer}\",reason=\"refused\"}}"
        );
        for address in [ours.address, theirs.address] {
            eventually(&format!("{dialer} at {address}"), || async {
                value(&get(address, "/metrics").await.body, &refused) > 0.0
            })
            .await;
        }
    }
    let a = get(ours.address, "/metrics").await.body;
    let b = get(theirs.address, "/metrics").await.body;
    assert_eq!(series(&a), series(&b));
    ours.stop().await.unwrap();
}
