//! `kuma_sd_configs`: data planes of a Kuma mesh, by its monitoring assignment service (MADS, v1, over HTTP).
//!
//! Each request names the version that is known already; the control plane answers when there is another one, or
//! after the fetch time-out with "not modified".

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bellwether_model::Labels;
use bellwether_model::labels::INSTANCE;
use bytes::Bytes;
use http::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::api::{Api, ApiError, client};
use crate::config::{KumaSdConfig, url};
use crate::discoverer::{BuildContext, BuildError, Discoverer, Running, Updates};
use crate::group::{ADDRESS, TargetGroup};
use crate::labels::{Set, sanitize};
use crate::metrics::SdMetrics;

const PREFIX: &str = "__meta_kuma_";
const RESOURCE_TYPE: &str = "type.googleapis.com/kuma.observability.v1.MonitoringAssignment";
/// For the way there and back, beyond the time that the server may wait.
const PATIENCE: Duration = Duration::from_secs(15);

struct KumaDiscovery {
    api: Api,
    path: String,
    client_id: String,
    interval: Duration,
    version: String,
    nonce: String,
    set: String,
    metrics: SdMetrics,
}

pub(super) fn build(
    config: &KumaSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    let client = client(&config.http, context, "kuma_sd")?;
    let timeout = config.fetch_timeout.0;
    let mut path = "/v3/discovery:monitoringassignments?fetch-timeout=".to_owned();
    url::push_query(&mut path, &bellwether_model::duration::format(timeout));
    let client_id = match config.client_id.as_str() {
        "" => host_name(),
        id => id.to_owned(),
    };
    Ok(Box::new(KumaDiscovery {
        api: Api::new(client, &config.server, timeout + PATIENCE),
        path,
        client_id,
        interval: config.refresh_interval.0.max(Duration::from_millis(100)),
        version: String::new(),
        nonce: String::new(),
        set: context.set.clone(),
        metrics: context.metrics.clone(),
    }))
}

/// The machine's name, or the program's where it is not known.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "prometheus".to_owned(),
        name => name.to_owned(),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Discovery {
    #[serde(alias = "version_info")]
    version_info: String,
    #[serde(alias = "type_url")]
    type_url: String,
    nonce: String,
    resources: Vec<Assignment>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Assignment {
    mesh: String,
    service: String,
    labels: BTreeMap<String, String>,
    targets: Vec<Target>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Target {
    name: String,
    scheme: String,
    address: String,
    #[serde(alias = "metrics_path")]
    metrics_path: String,
    labels: BTreeMap<String, String>,
}

impl Assignment {
    fn target_labels(&self) -> impl Iterator<Item = Labels> {
        let user = |set: &mut Set, labels: &BTreeMap<String, String>| {
            for (name, value) in labels {
                set.set(format!("{PREFIX}label_{}", sanitize(name)), value.as_str());
            }
        };
        self.targets.iter().map(move |target| {
            let mut set = Set::new();
            user(&mut set, &target.labels);
            user(&mut set, &self.labels);
            set.set(format!("{PREFIX}mesh"), self.mesh.as_str())
                .set(format!("{PREFIX}service"), self.service.as_str())
                .set(format!("{PREFIX}dataplane"), target.name.as_str())
                .set(ADDRESS, target.address.as_str())
                .set(INSTANCE, target.name.as_str())
                .set("__scheme__", target.scheme.as_str())
                .set("__metrics_path__", target.metrics_path.as_str());
            set.build()
        })
    }
}

impl KumaDiscovery {
    /// Asks once. `None`: nothing changed.
    async fn fetch(&mut self) -> Result<Option<TargetGroup>, ApiError> {
        let body = serde_json::json!({
            "version_info": self.version,
            "node": { "id": self.client_id },
            "type_url": RESOURCE_TYPE,
            "response_nonce": self.nonce,
        });
        let body = Bytes::from(body.to_string());
        let answer = self.api.send(Method::POST, &self.path, Some(body)).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let found: Discovery = answer.good()?.json()?;
        if found.type_url != RESOURCE_TYPE {
            return Err(ApiError::Other(format!(
                "received invalid typeURL for Kuma MADS v1 Resource: {}",
                found.type_url
            )));
        }
        self.version = found.version_info;
        self.nonce = found.nonce;
        let assignments = found.resources.iter();
        Ok(Some(TargetGroup {
            source: "kuma".into(),
            targets: assignments.flat_map(Assignment::target_labels).collect(),
            labels: Labels::empty(),
        }))
    }

    async fn discover(mut self: Box<Self>, updates: Updates) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let started = Instant::now();
            let fetched = self.fetch().await;
            let duration = started.elapsed().as_secs_f64();
            self.metrics.kuma_duration.observe(duration);
            match fetched {
                Ok(Some(group)) => {
                    if updates.send(vec![group]).await.is_err() {
                        return;
                    }
                }
                Ok(None) => self.metrics.kuma_skipped.inc(),
                Err(error) => {
                    self.metrics.kuma_failures.inc();
                    tracing::error!(
                        discovery = "kuma",
                        config = self.set,
                        %error,
                        "error parsing resources"
                    );
                }
            }
        }
    }
}

impl Discoverer for KumaDiscovery {
    fn run(self: Box<Self>, updates: Updates, shutdown: CancellationToken) -> Running {
        Box::pin(async move {
            shutdown.run_until_cancelled(self.discover(updates)).await;
        })
    }
}
