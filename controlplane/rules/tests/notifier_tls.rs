//! Alertmanagers behind TLS that want a client's certificate.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use bellwether_model::Labels;
use bellwether_net::ServeOptions;
use bellwether_net::web::Gate;
use bellwether_rules::Time;
use bellwether_rules::notifier::{AlertMessage, AlertingConfig, Notifier, NotifierOptions};
use bellwether_telemetry::Registry;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Writes a certificate that vouches for itself: server, client and authority in one.
fn certificate(dir: &Path) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(dir.join("c.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("c.key"), key.serialize_pem()).unwrap();
}

#[tokio::test]
async fn alerts_reach_an_alertmanager_over_mutual_tls() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path());
    let web = dir.path().join("web.yml");
    let yaml = "tls_server_config: {cert_file: c.pem, key_file: c.key, client_auth_type: RequireAndVerifyClientCert, client_ca_file: c.pem}";
    std::fs::write(&web, yaml).unwrap();
    let options = ServeOptions {
        web: Some(Gate::open(&web).unwrap()),
        ..ServeOptions::default()
    };
    let (received, mut bodies) = mpsc::channel::<String>(8);
    let take = move |body: String| async move {
        received.send(body).await.unwrap();
    };
    let app = Router::new().route("/api/v2/alerts", post(take));
    let address = "127.0.0.1:0".parse().unwrap();
    let listener = bellwether_net::bind(address, "receiver", "test")
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(bellwether_net::serve(listener, app, options, stop));
    let _served = AbortOnDropHandle::new(served);

    let notifier = Notifier::new(NotifierOptions::default(), &Registry::new());
    let config = format!(
        "alertmanagers: [{{scheme: https, static_configs: [{{targets: ['{address}']}}], tls_config: {{ca_file: c.pem, cert_file: c.pem, key_file: c.key}}}}]"
    );
    let config: AlertingConfig = bellwether_yaml::from_str("alerting", &config).unwrap();
    notifier
        .apply(&config, &Labels::empty(), dir.path())
        .unwrap();
    let url = format!("https://{address}/api/v2/alerts");
    assert_eq!(notifier.alertmanagers().0, [url]);
    notifier.send(&[AlertMessage {
        labels: Labels::from_pairs([("alertname", "Late")]),
        annotations: Arc::new(BTreeMap::new()),
        starts_at: Time::default(),
        ends_at: Time::default(),
        generator_url: Arc::from(""),
    }]);
    let body = tokio::time::timeout(Duration::from_secs(10), bodies.recv()).await;
    let body = body.unwrap().unwrap();
    assert!(body.contains("\"alertname\":\"Late\""), "{body}");
    notifier.shutdown().await;
}
