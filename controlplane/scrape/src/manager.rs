//! Owns the scrape pools.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bellwether_discovery::SetConfig;
use bellwether_model::storage::Appendable;
use bellwether_telemetry::Registry;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::HttpClient;
use crate::config::{PoolSettings, ScrapeConfig, ScrapeConfigError, ScrapeDefaults};
use crate::metrics::ScrapeMetrics;
use crate::pool::{Pool, PoolContext};
use crate::snapshot::{TargetMetadata, TargetsSnapshot};

/// How the manager behaves beyond what the configuration file says.
#[derive(Clone, Debug)]
pub struct ScrapeOptions {
    /// First scrape of a target within half a second instead of at its slot in the interval. Default true.
    pub fast_first_scrape: bool,
    /// Mixed into every target's place in the interval, so that two servers with the same targets do not
    /// scrape them at the same moment. Prometheus derives it from host name and external labels. Default 0.
    pub offset_seed: u64,
    /// Host name that replaces loopback names in `globalUrl`; empty keeps them.
    pub external_host: String,
    /// A commit waits for the disk, so that even a small page is stored on a thread where nobody waits for it. Default
    /// false.
    pub commits_wait: bool,
}

impl Default for ScrapeOptions {
    fn default() -> Self {
        Self {
            fast_first_scrape: true,
            offset_seed: 0,
            external_host: String::new(),
            commits_wait: false,
        }
    }
}

/// How many large pages are parsed and stored at a time: as many as there are processors. More threads would only wait for
/// them, and each has memory of its own in the allocator.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, |n| n.get().max(2))
}

/// Runs the scrape pools. Dropping it stops them without waiting; [`Self::shutdown`] waits.
pub struct ScrapeManager {
    context: PoolContext,
    discovery: bellwether_discovery::Manager,
    /// By job name.
    pools: Mutex<BTreeMap<String, Arc<Pool>>>,
}

impl fmt::Debug for ScrapeManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScrapeManager")
            .field("pools", &self.pools.lock().len())
            .finish_non_exhaustive()
    }
}

impl Drop for ScrapeManager {
    fn drop(&mut self) {
        self.context.shutdown.cancel();
    }
}

impl ScrapeManager {
    /// A manager without pools; [`Self::apply`] starts them. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(storage: Arc<dyn Appendable>, registry: &Registry, options: ScrapeOptions) -> Self {
        Self {
            context: PoolContext {
                storage,
                metrics: ScrapeMetrics::new(registry),
                options: Arc::new(options),
                threads: Arc::default(),
                runtime: Handle::current(),
                workers: Arc::new(Semaphore::new(workers())),
                tasks: TaskTracker::new(),
                shutdown: CancellationToken::new(),
            },
            discovery: bellwether_discovery::Manager::new("scrape", registry),
            pools: Mutex::default(),
        }
    }

    /// Checks configurations as [`Self::apply`] does, without touching anything.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(
        configs: &[ScrapeConfig],
        defaults: &ScrapeDefaults,
    ) -> Result<Vec<PoolSettings>, ScrapeConfigError> {
        let mut names = BTreeSet::new();
        configs
            .iter()
            .map(|config| {
                let settings = config.resolve(defaults)?;
                if names.insert(config.job_name.clone()) {
                    Ok(settings)
                } else {
                    Err(ScrapeConfigError::DuplicateJob(config.job_name.clone()))
                }
            })
            .collect()
    }

    /// Makes the running pools those of `configs`: at the start and at each reload. Pools whose settings did
    /// not change go on untouched; targets that stay keep their loop in any case.
    ///
    /// # Errors
    /// When a configuration does not pass its checks; the running pools stay as they are.
    pub async fn apply(
        &self,
        configs: &[ScrapeConfig],
        defaults: &ScrapeDefaults,
    ) -> Result<(), ScrapeConfigError> {
        let wanted = Self::check(configs, defaults)?;
        let mut pools = self.pools.lock();
        if self.context.shutdown.is_cancelled() {
            return Ok(());
        }
        // All clients first: what fails must change nothing.
        let wanted = wanted
            .into_iter()
            .map(|settings| Ok((self.new_client(&pools, &settings)?, settings)));
        let wanted: Vec<_> = wanted.collect::<Result<_, ScrapeConfigError>>()?;
        pools.retain(|name, pool| {
            let mut settings = wanted.iter().map(|(_, settings)| settings);
            let stays = settings.any(|settings| settings.job_name == *name);
            if !stays {
                pool.stop();
            }
            stays
        });
        let sets = wanted.iter().map(|(_, settings)| SetConfig {
            name: &settings.job_name,
            configs: &settings.sd,
            base_dir: &settings.base_dir,
        });
        let mut discovered = self.discovery.apply(&sets.collect::<Vec<_>>());
        for (client, settings) in wanted {
            let name = settings.job_name.clone();
            // Missing only when everything ends.
            let Some(mut found) = discovered.remove(&name) else {
                continue;
            };
            match (pools.get(&name), client) {
                (Some(pool), client) => {
                    pool.reload(settings, client, found.take());
                }
                (None, Some(client)) => {
                    let pool = Pool::start(self.context.clone(), settings, client, found);
                    pools.insert(name, pool);
                }
                // A new pool always gets one above.
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// The client that a pool needs: a new pool, and one that asks in another way than before.
    fn new_client(
        &self,
        pools: &BTreeMap<String, Arc<Pool>>,
        settings: &PoolSettings,
    ) -> Result<Option<HttpClient>, ScrapeConfigError> {
        let metrics = &self.context.metrics;
        let (attempts, failed) = match pools.get(&settings.job_name) {
            Some(pool) if !pool.needs_client(settings) => return Ok(None),
            Some(_) => (&metrics.reloads, &metrics.reloads_failed),
            None => (&metrics.pools, &metrics.pools_failed),
        };
        let job = &settings.job_name;
        HttpClient::new(&settings.http, job, metrics.registry())
            .map(Some)
            .map_err(|error| {
                attempts.inc();
                failed.inc();
                ScrapeConfigError::Client {
                    reason: error.to_string(),
                    job: job.clone(),
                }
            })
    }

    /// The targets now.
    #[must_use]
    pub fn targets(&self) -> TargetsSnapshot {
        let mut snapshot = TargetsSnapshot::default();
        for pool in self.pools.lock().values() {
            pool.show(&mut snapshot);
        }
        snapshot
    }

    /// Metadata of all active targets.
    #[must_use]
    pub fn metadata(&self) -> Vec<TargetMetadata> {
        let mut metadata = Vec::new();
        for pool in self.pools.lock().values() {
            pool.show_metadata(&mut metadata);
        }
        metadata
    }

    /// Stops all pools and waits for the scrapes under way. No stale markers are written, as in Prometheus:
    /// the next process goes on with the same series.
    pub async fn shutdown(&self) {
        self.context.shutdown.cancel();
        self.context.tasks.close();
        self.context.tasks.wait().await;
        self.discovery.shutdown().await;
        self.pools.lock().clear();
    }
}
