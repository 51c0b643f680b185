//! `/status/config` with the defaults in force, as the real Prometheus shows them.

use bellwether_server::Features;
use serde_json::Value;

use crate::support::{get, start, start_reference, text};

const CONFIGS: &[&str] = &[
    "",
    "global: {scrape_interval: 30s, sample_limit: 5, body_size_limit: 1MB, external_labels: {b: x, a: 'on'}}\n\
     scrape_configs:\n\
     - job_name: one\n  static_configs: [{targets: ['localhost:1'], labels: {x: y}}]\n\
     - job_name: two\n  scrape_interval: 5s\n  honor_labels: true\n  sample_limit: 7\n  metric_name_validation_scheme: legacy\n  metric_name_escaping_scheme: dots\n\
     \x20\x20relabel_configs: [{source_labels: [a], target_label: b}, {action: labeldrop, regex: x}]\n\
     \x20\x20basic_auth: {username: u, password: p}\n\
     \x20\x20params: {m: [a, b]}\n\
     storage: {tsdb: {out_of_order_time_window: 5m}}\n",
    "global: {scrape_protocols: [PrometheusText0.0.4], metric_name_validation_scheme: legacy, evaluation_interval: 15s, scrape_timeout: 5s}\n\
     scrape_configs:\n- job_name: one\n  scrape_timeout: 3s\n  scheme: http\n  metrics_path: /m\n",
    "scrape_configs:\n\
     - {job_name: one, scheme: https, bearer_token: t, tls_config: {ca_file: /a, server_name: n, min_version: TLS13}}\n\
     - {job_name: two, authorization: {credentials_file: /c}, http_headers: {X-A: {values: [v], secrets: [s]}}}\n\
     - {job_name: three, oauth2: {client_id: i, client_secret: s, token_url: 'http://t', scopes: [a]}, follow_redirects: false}\n\
     - {job_name: four, proxy_url: 'http://u:p@proxy:3128', no_proxy: 'a,b', proxy_connect_header: {X-B: [s]}}\n",
    "rule_files: [/no/such/*.yml]\n\
     alerting:\n\
     \x20\x20alert_relabel_configs: [{action: labeldrop, regex: x}]\n\
     \x20\x20alertmanagers: [{static_configs: [{targets: ['a:9093']}]}, {path_prefix: /p, timeout: 3s, scheme: https, tls_config: {insecure_skip_verify: true}, static_configs: [{targets: ['b:1']}]}]\n",
];

/// What came after 3.5, and a field that 3.5 shows by accident.
const NOT_IN_BOTH: &[&str] = &[
    "scrape_native_histograms",
    "extra_scrape_metrics",
    "label_name_underscore_sanitization",
    "label_name_preserve_multiple_underscores",
    "outofordertimewindow",
];

async fn shown(address: std::net::SocketAddr) -> String {
    let answer = get(address, "/api/v1/status/config").await.json();
    answer["data"]["yaml"].as_str().unwrap().to_owned()
}

fn common(yaml: &str) -> Vec<String> {
    yaml.lines()
        .filter(|line| {
            let key = line.trim_start_matches(['-', ' ']);
            !NOT_IN_BOTH.iter().any(|name| key.starts_with(name))
        })
        .map(str::to_owned)
        .collect()
}

fn value(yaml: &[String]) -> Value {
    serde_saphyr::from_str(&yaml.join("\n")).unwrap()
}

/// Takes those keys of the global section out of one that the other does not have.
fn only_in_both(full: &mut Value, sparse: &Value, keys: &[&str]) {
    for key in keys {
        if sparse["global"].get(key).is_none() {
            full["global"].as_object_mut().unwrap().remove(*key);
        }
    }
}

#[tokio::test]
async fn defaults_are_shown_as_by_prometheus() {
    for config in CONFIGS {
        shown_alike(config, "exemplar-storage").await;
    }
}

/// The feature changes the order of the protocols.
#[tokio::test]
async fn features_change_defaults_as_in_prometheus() {
    for config in CONFIGS {
        shown_alike(config, "exemplar-storage,created-timestamp-zero-ingestion").await;
    }
}

async fn shown_alike(config: &str, features: &str) {
    let flag = format!("--enable-feature={features}");
    let Some(theirs) = start_reference(config, &[&flag]).await else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let ours = start(text(config), &dir.path().join("data"), |s| {
        s.features = Features::parse(&[features.to_owned()]);
    })
    .await;
    let (a, b) = (shown(ours.address).await, shown(theirs.address).await);
    ours.stop().await.unwrap();
    let (a, b) = (common(&a), common(&b));
    let (mut ours, mut theirs) = (value(&a), value(&b));
    // The default protocols are not the global section's any more; the schemes that it does not name are shown
    // here and, of the two, one in 3.14.
    only_in_both(&mut theirs, &ours, &["scrape_protocols"]);
    let schemes = [
        "metric_name_validation_scheme",
        "metric_name_escaping_scheme",
    ];
    only_in_both(&mut ours, &theirs, &schemes);
    assert_eq!(ours, theirs, "{a:#?}\n{b:#?}");
}
