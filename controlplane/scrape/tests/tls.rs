//! Scraping over TLS, from a server with a web configuration file.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bellwether_net::ServeOptions;
use bellwether_net::web::Gate;
use bellwether_scrape::{ScrapeConfig, ScrapeDefaults, ScrapeManager, ScrapeOptions};
use bellwether_telemetry::Registry;
use common::{MemoryStorage, until};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Writes a certificate that vouches for itself.
fn certificate(dir: &Path, name: &str, host: &str) {
    let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let cert = params.self_signed(&key).unwrap();
    std::fs::write(dir.join(format!("{name}.pem")), cert.pem()).unwrap();
    std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
}

async fn target(dir: &Path) -> (SocketAddr, AbortOnDropHandle<()>) {
    let hash = bcrypt::hash("pw", 4).unwrap();
    let yaml = format!(
        "tls_server_config: {{cert_file: server.pem, key_file: server.key}}\nbasic_auth_users: {{me: '{hash}'}}\n"
    );
    std::fs::write(dir.join("web.yml"), yaml).unwrap();
    let options = ServeOptions {
        web: Some(Gate::open(&dir.join("web.yml")).unwrap()),
        ..ServeOptions::default()
    };
    let address = "127.0.0.1:0".parse().unwrap();
    let listener = bellwether_net::bind(address, "target", "test")
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let page = (
        [("content-type", "text/plain; version=0.0.4")],
        "answer 42\n",
    );
    let app = Router::new().route("/metrics", get(move || async move { page }));
    let stop = CancellationToken::new();
    let task = tokio::spawn(bellwether_net::serve(listener, app, options, stop));
    (address, AbortOnDropHandle::new(task))
}

struct Scraper {
    registry: Registry,
    storage: Arc<MemoryStorage>,
    manager: ScrapeManager,
    defaults: ScrapeDefaults,
}

impl Scraper {
    fn new(dir: &Path) -> Self {
        let storage = Arc::new(MemoryStorage::default());
        let registry = Registry::new();
        let options = ScrapeOptions::default();
        Self {
            manager: ScrapeManager::new(storage.clone(), &registry, options),
            registry,
            storage,
            defaults: ScrapeDefaults {
                base_dir: dir.to_owned(),
                ..ScrapeDefaults::default()
            },
        }
    }

    async fn apply(&self, address: SocketAddr, yaml: &str) {
        let text = format!(
            "job_name: t\nscrape_interval: 100ms\nstatic_configs: [{{targets: ['{address}']}}]\n{yaml}"
        );
        let config: ScrapeConfig = serde_saphyr::from_str(&text).unwrap();
        let configs = std::slice::from_ref(&config);
        self.manager.apply(configs, &self.defaults).await.unwrap();
    }

    async fn until_up(&self, value: f64) {
        let up = || self.storage.last(&["__name__=\"up\""]);
        until(&format!("up == {value}"), || up() == Some(value)).await;
    }

    async fn until_error(&self, part: &str) {
        let error = || self.manager.targets().active[0].last_error.clone();
        until(part, || error().contains(part)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_change_at_a_reload_and_certificates_without_one() {
    let dir = tempfile::tempdir().unwrap();
    certificate(dir.path(), "server", "metrics.example");
    let (address, _task) = target(dir.path()).await;
    let scraper = Scraper::new(dir.path());
    scraper.apply(address, "").await;
    scraper
        .until_error("server returned HTTP status 400 Bad Request")
        .await;
    scraper.apply(address, "scheme: https").await;
    scraper.until_error("invalid peer certificate").await;
    scraper
        .apply(
            address,
            "scheme: https\ntls_config: {insecure_skip_verify: true}",
        )
        .await;
    scraper
        .until_error("server returned HTTP status 401 Unauthorized")
        .await;
    // The scheme by relabelling, as Kubernetes' annotations do it.
    let whole = "relabel_configs: [{target_label: __scheme__, replacement: https}]\n\
                 basic_auth: {username: me, password: pw}\n\
                 tls_config: {ca_file: ca.pem, server_name: metrics.example}\n";
    scraper.apply(address, whole).await;
    scraper.until_error("unable to read CA cert").await;
    std::fs::copy(dir.path().join("server.pem"), dir.path().join("ca.pem")).unwrap();
    scraper.until_up(1.0).await;
    assert_eq!(scraper.storage.last(&["\"answer\""]), Some(42.0));
    let shown = scraper.manager.targets().active[0].scrape_url.clone();
    assert_eq!(shown, format!("https://{address}/metrics"));
    // The authority changes: the target is not trusted any more, although its connection is open.
    certificate(dir.path(), "ca", "metrics.example");
    scraper.until_up(0.0).await;
    scraper.manager.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_certificate_in_the_configuration_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let scraper = Scraper::new(dir.path());
    let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
    scraper.apply(address, "").await;
    let text = "{job_name: new, tls_config: {ca: nonsense}}";
    let config: ScrapeConfig = serde_saphyr::from_str(text).unwrap();
    let configs = std::slice::from_ref(&config);
    let error = scraper.manager.apply(configs, &scraper.defaults).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.starts_with("error creating HTTP client: unable to use specified CA cert inline"),
        "{error}"
    );
    assert_eq!(scraper.manager.targets().pools, ["t"]);
    let page = scraper.registry.render_text();
    for line in [
        "prometheus_target_scrape_pools_total 2\n",
        "prometheus_target_scrape_pools_failed_total 1\n",
        "prometheus_target_scrape_pool_reloads_failed_total 0\n",
    ] {
        assert!(page.contains(line), "{page}");
    }
    tokio::time::timeout(Duration::from_secs(5), scraper.manager.shutdown())
        .await
        .unwrap();
}
