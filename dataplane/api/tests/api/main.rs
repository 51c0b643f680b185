//! The sample services over real sockets, with a small OTLP receiver that
//! keeps what they send.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod configuration;
mod counting;
mod metrics;
mod payments;
mod receiver;
mod traces;

use std::time::{Duration, Instant};

use bellwether_api::{ApiConfig, ApiError, Env, OtlpProtocol};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::receiver::Receiver;

/// A running shop API.
pub struct Api {
    pub url: String,
    pub http: reqwest::Client,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), ApiError>>,
}

/// A configuration that sends everything to `receiver`, exports metrics only
/// at the end, and draws from a fixed seed.
pub fn config(env: &[(&str, &str)], receiver: &Receiver, protocol: OtlpProtocol) -> ApiConfig {
    let mut config = ApiConfig::from_env(&Env::from_pairs(env.iter().copied())).unwrap();
    config.telemetry.set_otlp(&receiver.url(protocol), protocol);
    config.telemetry.metric_interval = Duration::from_secs(3600);
    config.telemetry.early_exports.clear();
    config.seed = Some(11);
    config
}

impl Api {
    pub async fn start(config: ApiConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(bellwether_api::run(config, listener, shutdown.clone()));
        // An error means that another test was faster: just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            url,
            http,
            shutdown,
            task,
        }
    }

    pub async fn get(&self, path: &str) -> u16 {
        let response = self.http.get(format!("{}{path}", self.url)).send();
        response.await.unwrap().status().as_u16()
    }

    pub async fn post(&self, path: &str, body: &str) -> reqwest::Response {
        self.http
            .post(format!("{}{path}", self.url))
            .body(body.to_owned())
            .send()
            .await
            .unwrap()
    }

    pub async fn faults(&self, body: &str) -> u16 {
        self.http
            .put(format!("{}/admin/faults", self.url))
            .body(body.to_owned())
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    /// Ends the service; afterwards all telemetry has arrived.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(40), self.task)
            .await
            .expect("the service ends")
            .unwrap()
            .unwrap();
    }
}

/// Polls until `check` holds.
pub async fn eventually(what: &str, check: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !check().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
