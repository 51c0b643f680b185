//! `consul_sd_configs`: services of a Consul catalogue, by blocking queries.
//!
//! One query waits for changes of the list of services, unless the configuration names the services it wants; one
//! query for each service waits for changes of its instances. A query answers when something changed or after two
//! minutes; `refresh_interval` is the least time between two of them.

mod instance;
mod query;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::instance::{Instance, targets};
use self::query::Consul;
use crate::api::ApiError;
use crate::config::ConsulSdConfig;
use crate::discoverer::{BuildContext, BuildError, Discoverer, Gone, Running, Updates};
use crate::group::TargetGroup;
use crate::metrics::SdMetrics;

/// Pause after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(15);

struct ConsulDiscovery {
    watcher: Watcher,
    services: Vec<String>,
    filter: String,
}

/// What the tasks of all services share.
#[derive(Clone)]
struct Watcher {
    consul: Arc<Consul>,
    datacenter: String,
    tags: Vec<String>,
    tag_separator: String,
    refresh_interval: Duration,
    retry_interval: Duration,
    set: String,
    metrics: SdMetrics,
}

pub(super) fn build(
    config: &ConsulSdConfig,
    context: &BuildContext,
) -> Result<Box<dyn Discoverer>, BuildError> {
    Ok(Box::new(ConsulDiscovery {
        watcher: Watcher {
            consul: Arc::new(Consul::new(config, context)?),
            datacenter: config.datacenter.clone(),
            tags: config.tags.clone(),
            tag_separator: config.tag_separator.clone(),
            refresh_interval: config.refresh_interval.0.max(Duration::from_millis(1)),
            retry_interval: RETRY_INTERVAL,
            set: context.set.clone(),
            metrics: context.metrics.clone(),
        },
        services: config.services.clone(),
        filter: config.filter.clone(),
    }))
}

impl Discoverer for ConsulDiscovery {
    fn run(self: Box<Self>, updates: Updates, shutdown: CancellationToken) -> Running {
        Box::pin(async move {
            shutdown.run_until_cancelled(self.discover(updates)).await;
        })
    }
}

impl ConsulDiscovery {
    async fn discover(mut self: Box<Self>, updates: Updates) {
        self.watcher.find_datacenter().await;
        let named = !self.services.is_empty();
        if named && self.watcher.tags.is_empty() && self.filter.is_empty() {
            let watch = |name: &String| self.watcher.spawn(name, &updates);
            let _tasks: Vec<_> = self.services.iter().map(watch).collect();
            return std::future::pending().await;
        }
        // Ends when nobody listens any more.
        let _ = self.follow_catalog(&updates).await;
    }

    async fn follow_catalog(&self, updates: &Updates) -> Result<(), Gone> {
        let watcher = &self.watcher;
        let mut tasks: HashMap<String, AbortOnDropHandle<()>> = HashMap::new();
        let mut index = 0;
        let mut ticks = ticks(watcher.refresh_interval);
        loop {
            ticks.tick().await;
            let started = Instant::now();
            let answer = watcher.consul.services(index, &self.filter).await;
            let duration = started.elapsed().as_secs_f64();
            watcher.metrics.consul_services.observe(duration);
            let Some((services, new_index)) = watcher
                .succeeded(answer, "Error refreshing service list")
                .await
            else {
                continue;
            };
            // The wait ended without a change.
            if new_index == index {
                continue;
            }
            index = new_index;
            self.start_services(&services, &mut tasks, updates);
            let gone: Vec<String> = tasks
                .keys()
                .filter(|name| !services.contains_key(*name))
                .cloned()
                .collect();
            for name in gone {
                if let Some(task) = tasks.remove(&name) {
                    task.abort();
                    // What it was about to send must not come after the end of its service.
                    let _ = task.await;
                }
                updates.send(vec![TargetGroup::gone(&name)]).await?;
            }
            if tasks.is_empty() {
                updates.send(Vec::new()).await?;
            }
        }
    }

    fn start_services(
        &self,
        services: &BTreeMap<String, Vec<String>>,
        tasks: &mut HashMap<String, AbortOnDropHandle<()>>,
        updates: &Updates,
    ) {
        for (name, tags) in services {
            let named = self.services.is_empty() || self.services.contains(name);
            let tagged = self.watcher.tags.iter().all(|tag| tags.contains(tag));
            if named && tagged && !tasks.contains_key(name) {
                tasks.insert(name.clone(), self.watcher.spawn(name, updates));
            }
        }
    }
}

fn ticks(interval: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Watcher {
    /// Asks the agent for its data centre where none is configured, until it answers.
    async fn find_datacenter(&mut self) {
        while self.datacenter.is_empty() {
            let answer = self.consul.own_datacenter().await;
            let text = "Error retrieving datacenter name";
            if let Some(name) = self.succeeded(answer, text).await {
                self.datacenter = name;
                return;
            }
        }
    }

    /// Logs and counts a failure, and waits a while after it.
    async fn succeeded<T>(&self, answer: Result<T, ApiError>, text: &str) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::error!(discovery = "consul", config = self.set, %error, "{text}");
                self.metrics.consul_failures.inc();
                tokio::time::sleep(self.retry_interval).await;
                None
            }
        }
    }

    fn spawn(&self, service: &str, updates: &Updates) -> AbortOnDropHandle<()> {
        let (this, service, updates) = (self.clone(), service.to_owned(), updates.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = this.follow_service(&service, &updates).await;
        }))
    }

    async fn follow_service(&self, service: &str, updates: &Updates) -> Result<(), Gone> {
        let mut index = 0;
        let mut ticks = ticks(self.refresh_interval);
        loop {
            ticks.tick().await;
            let started = Instant::now();
            let answer: Result<(Vec<Instance>, u64), ApiError> =
                self.consul.instances(service, &self.tags, index).await;
            let duration = started.elapsed().as_secs_f64();
            self.metrics.consul_service.observe(duration);
            let text = "Error refreshing service";
            let Some((instances, new_index)) = self.succeeded(answer, text).await else {
                continue;
            };
            if new_index == index {
                continue;
            }
            index = new_index;
            let group = targets(service, &self.datacenter, &self.tag_separator, &instances);
            updates.send(vec![group]).await?;
        }
    }
}
