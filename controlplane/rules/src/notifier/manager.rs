//! All Alertmanagers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether_discovery::{Follower, SetConfig};
use bellwether_http::Client;
use bellwether_model::Labels;
use bellwether_scrape::relabel::Rules;
use bellwether_telemetry::Registry;
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::{AlertingConfig, AlertingError, SetSettings};
use super::message::{AlertMessage, relabel};
use super::metrics::NotifierMetrics;
use super::queue::QueueLimits;
use super::set::{Set, SetContext};

/// Time at a shutdown for what waits in the queues: an Alertmanager that does not answer must not hold the process up.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings that hold for the life of the process.
#[derive(Clone, Copy, Debug)]
pub struct NotifierOptions {
    /// Alerts that wait for an Alertmanager at most (`--alertmanager.notification-queue-capacity`).
    pub queue_capacity: usize,
    /// Alerts of a request at most (`--alertmanager.notification-batch-size`).
    pub batch_size: usize,
    /// Whether what waits is sent at a shutdown (`--alertmanager.drain-notification-queue-on-shutdown`).
    pub drain_on_shutdown: bool,
}

impl Default for NotifierOptions {
    fn default() -> Self {
        Self {
            queue_capacity: 10_000,
            batch_size: 256,
            drain_on_shutdown: true,
        }
    }
}

/// Sends alerts. Dropping it ends discovery and queues without waiting; [`Self::shutdown`] waits.
pub struct Notifier {
    context: SetContext,
    registry: Registry,
    discovery: bellwether_discovery::Manager,
    state: Arc<RwLock<State>>,
}

#[derive(Default)]
struct State {
    external_labels: Labels,
    alert_relabel: Rules,
    sets: Vec<Arc<Set>>,
    stopped: bool,
}

impl State {
    fn show(&self) -> (Vec<String>, Vec<String>) {
        let (mut active, mut dropped) = (Vec::new(), Vec::new());
        self.sets
            .iter()
            .for_each(|set| set.show(&mut active, &mut dropped));
        (active, dropped)
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.context.hurry.cancel();
        self.state.read().sets.iter().for_each(|set| set.stop());
    }
}

impl Notifier {
    /// A notifier without Alertmanagers; [`Self::apply`] finds them. Must be used inside a tokio runtime.
    #[must_use]
    pub fn new(options: NotifierOptions, registry: &Registry) -> Self {
        let metrics = NotifierMetrics::new(registry);
        metrics.queue_capacity.set(options.queue_capacity as f64);
        let state = Arc::new(RwLock::new(State::default()));
        let (shown, discovered) = (Arc::downgrade(&state), metrics.discovered.clone());
        registry.on_collect(move || {
            if let Some(state) = shown.upgrade() {
                discovered.set(state.read().show().0.len() as f64);
            }
        });
        Self {
            registry: registry.clone(),
            context: SetContext {
                limits: QueueLimits {
                    capacity: options.queue_capacity,
                    batch: options.batch_size.max(1),
                    drains: options.drain_on_shutdown,
                },
                metrics,
                tasks: TaskTracker::new(),
                hurry: CancellationToken::new(),
            },
            discovery: bellwether_discovery::Manager::new("notify", registry),
            state,
        }
    }

    /// Takes over a configuration: at the start and at each reload. Entries that did not change keep their
    /// Alertmanagers and queues.
    ///
    /// # Errors
    /// When it does not pass its checks: nothing changes.
    pub fn apply(
        &self,
        config: &AlertingConfig,
        external_labels: &Labels,
        base_dir: &Path,
    ) -> Result<(), AlertingError> {
        let alert_relabel = Rules::under(config.names, &config.alert_relabel_configs)?;
        let entries = config.alertmanagers.iter();
        let wanted = entries.map(|am| am.resolve(config.names, base_dir));
        let wanted: Vec<SetSettings> = wanted.collect::<Result<_, _>>()?;
        let mut state = self.state.write();
        if state.stopped {
            return Ok(());
        }
        let clients = wanted
            .iter()
            .map(|settings| client(settings, &self.registry));
        let clients: Vec<Client> = clients.collect::<Result<_, _>>()?;
        state.external_labels = external_labels.clone();
        state.alert_relabel = alert_relabel;
        let mut discovered = self.discover(&wanted);
        let mut old = std::mem::take(&mut state.sets);
        for (index, (settings, client)) in wanted.into_iter().zip(clients).enumerate() {
            // Missing only when everything ends.
            let Some(found) = discovered.remove(&set_name(index)) else {
                continue;
            };
            let same = old.iter().position(|set| set.settings == settings);
            state.sets.push(match same {
                Some(at) => {
                    let set = old.swap_remove(at);
                    set.follow(found);
                    set
                }
                None => Set::start(settings, client, self.context.clone(), found),
            });
        }
        old.iter().for_each(|set| set.stop());
        Ok(())
    }

    fn discover(&self, wanted: &[SetSettings]) -> BTreeMap<String, Follower> {
        let names: Vec<String> = (0..wanted.len()).map(set_name).collect();
        let sets = wanted.iter().zip(&names).map(|(settings, name)| SetConfig {
            name,
            configs: &settings.connection.sd,
            base_dir: &settings.connection.base_dir,
        });
        self.discovery.apply(&sets.collect::<Vec<_>>())
    }

    /// Queues alerts for all Alertmanagers. Never blocks; after [`Self::shutdown`] it does nothing.
    pub fn send(&self, alerts: &[AlertMessage]) {
        let state = self.state.read();
        if state.stopped {
            return;
        }
        let alerts = relabel(alerts, &state.external_labels, &state.alert_relabel);
        if !alerts.is_empty() {
            state.sets.iter().for_each(|set| set.send(&alerts));
        }
    }

    /// URLs of the Alertmanagers that get alerts, and of those that relabelling dropped.
    #[must_use]
    pub fn alertmanagers(&self) -> (Vec<String>, Vec<String>) {
        self.state.read().show()
    }

    /// Takes no more alerts, sends what waits where that is wanted, and waits for it, but not for ever.
    pub async fn shutdown(&self) {
        {
            let mut state = self.state.write();
            state.stopped = true;
            std::mem::take(&mut state.sets)
                .iter()
                .for_each(|set| set.stop());
        }
        self.context.tasks.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, self.context.tasks.wait())
            .await
            .is_err()
        {
            self.context.hurry.cancel();
            self.context.tasks.wait().await;
        }
        self.discovery.shutdown().await;
    }
}

/// The name of an entry in discovery, as in Prometheus.
fn set_name(index: usize) -> String {
    format!("config-{index}")
}

fn client(settings: &SetSettings, registry: &Registry) -> Result<Client, AlertingError> {
    let wrong = |error: bellwether_http::NewClientError| AlertingError::Client(error.to_string());
    Client::observed(&settings.connection.http, "alertmanager", registry).map_err(wrong)
}
