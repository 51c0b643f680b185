//! One job: its discoveries, its targets, one loop for each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bellwether_model::storage::Appendable;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::HttpClient;
use crate::config::PoolSettings;
use crate::discovery::{Discoverer, FileDiscovery, TargetGroup, static_groups};
use crate::manager::ScrapeOptions;
use crate::metrics::{PoolMetrics, ScrapeMetrics};
use crate::scrape_loop::{LoopSpec, ScrapeLoop};
use crate::snapshot::{DroppedTarget, TargetMetadata, TargetsSnapshot};
use crate::target::{Resolved, TargetKey, TargetSpec, TargetState, resolve};

/// What every pool shares.
#[derive(Clone)]
pub(crate) struct PoolContext {
    pub(crate) storage: Arc<dyn Appendable>,
    pub(crate) metrics: ScrapeMetrics,
    pub(crate) options: Arc<ScrapeOptions>,
    /// Pages that are parsed and stored at the same time.
    pub(crate) workers: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    /// The process ends.
    pub(crate) shutdown: CancellationToken,
}

/// Updates that a discovery may run ahead of its pool.
const UPDATES_QUEUED: usize = 4;

/// A running job.
pub(crate) struct Pool {
    context: PoolContext,
    metrics: PoolMetrics,
    inner: Mutex<Inner>,
}

struct Inner {
    settings: Arc<PoolSettings>,
    client: HttpClient,
    /// By discovery: 0 is the static one.
    groups: BTreeMap<usize, Vec<TargetGroup>>,
    loops: HashMap<TargetKey, Running>,
    dropped: Vec<DroppedTarget>,
    dropped_count: usize,
    /// Ends the discoveries of the current settings.
    discovery: CancellationToken,
}

struct Running {
    state: Arc<TargetState>,
    spec: watch::Sender<LoopSpec>,
    removed: CancellationToken,
}

impl Pool {
    /// Starts a job.
    pub(crate) fn start(
        context: PoolContext,
        settings: PoolSettings,
        client: HttpClient,
    ) -> Arc<Self> {
        context.metrics.pools.inc();
        let metrics = context.metrics.pool(&settings.job_name);
        let pool = Arc::new(Self {
            metrics,
            inner: Mutex::new(Inner {
                settings: Arc::new(settings),
                client,
                groups: BTreeMap::new(),
                loops: HashMap::new(),
                dropped: Vec::new(),
                dropped_count: 0,
                discovery: CancellationToken::new(),
            }),
            context,
        });
        pool.discover(&mut pool.inner.lock());
        pool
    }

    /// Whether a client for these settings would be another one than the pool has.
    pub(crate) fn needs_client(&self, settings: &PoolSettings) -> bool {
        self.inner.lock().settings.http != settings.http
    }

    /// Goes on with other settings, and with another client if one is given. Loops keep their memory and pick both up
    /// at their next scrape.
    pub(crate) fn reload(self: &Arc<Self>, settings: PoolSettings, client: Option<HttpClient>) {
        let mut inner = self.inner.lock();
        if let Some(client) = client {
            inner.client = client;
        }
        if *inner.settings == settings {
            return;
        }
        self.context.metrics.reloads.inc();
        let same_discovery = inner.settings.file_sd_configs == settings.file_sd_configs
            && inner.settings.base_dir == settings.base_dir;
        inner.settings = Arc::new(settings);
        if same_discovery {
            let groups = static_groups(&inner.settings.static_configs);
            inner.groups.insert(0, groups);
            self.sync(&mut inner);
        } else {
            inner.discovery.cancel();
            inner.discovery = CancellationToken::new();
            // Targets from files stay until the new discoveries have spoken.
            self.discover(&mut inner);
        }
    }

    /// Ends all loops; they write their stale markers unless the process ends.
    pub(crate) fn stop(&self) {
        let mut inner = self.inner.lock();
        inner.discovery.cancel();
        for (_, running) in inner.loops.drain() {
            running.removed.cancel();
        }
        self.metrics.remove();
    }

    /// Takes the static groups and starts the other discoveries.
    fn discover(self: &Arc<Self>, inner: &mut Inner) {
        let settings = Arc::clone(&inner.settings);
        inner
            .groups
            .insert(0, static_groups(&settings.static_configs));
        inner
            .groups
            .retain(|source, _| *source <= settings.file_sd_configs.len());
        self.sync(inner);
        for (index, config) in settings.file_sd_configs.iter().enumerate() {
            let discoverer = FileDiscovery::new(config, &settings.base_dir, &settings.job_name);
            self.follow(index + 1, Box::new(discoverer), &inner.discovery);
        }
    }

    /// Runs a discovery and syncs the targets at each of its updates.
    fn follow(
        self: &Arc<Self>,
        source: usize,
        discoverer: Box<dyn Discoverer>,
        discovery: &CancellationToken,
    ) {
        let (updates, mut received) = mpsc::channel(UPDATES_QUEUED);
        let both = self.context.shutdown.child_token();
        let discovery = discovery.clone();
        self.context
            .tasks
            .spawn(discoverer.run(updates, both.clone()));
        let pool = Arc::clone(self);
        self.context.tasks.spawn(async move {
            loop {
                let groups = tokio::select! {
                    () = discovery.cancelled() => break,
                    () = both.cancelled() => break,
                    groups = received.recv() => match groups {
                        Some(groups) => groups,
                        None => break,
                    },
                };
                let mut inner = pool.inner.lock();
                // A reload may have come in between.
                if discovery.is_cancelled() {
                    break;
                }
                inner.groups.insert(source, groups);
                pool.sync(&mut inner);
            }
            both.cancel();
        });
    }

    /// Makes the loops those of the groups: new targets start, gone ones stop, the others learn the settings.
    fn sync(&self, inner: &mut Inner) {
        let started = Instant::now();
        let wanted = self.wanted(inner);
        let settings = Arc::clone(&inner.settings);
        let limit = settings.target_limit;
        let forced_error = (limit > 0 && wanted.len() as u64 > limit).then(|| {
            self.context.metrics.exceeded_target_limit.inc();
            format!(
                "target_limit exceeded (number of targets: {}, limit: {limit})",
                wanted.len()
            )
        });
        inner.loops.retain(|key, running| {
            let stays = wanted.contains_key(key);
            if !stays {
                running.removed.cancel();
            }
            stays
        });
        for (key, target) in wanted {
            let spec = LoopSpec {
                settings: Arc::clone(&settings),
                client: inner.client.clone(),
                target: Arc::new(target),
                forced_error: forced_error.clone(),
            };
            match inner.loops.get(&key) {
                Some(running) => {
                    running.state.spec.store(Arc::clone(&spec.target));
                    running.spec.send_replace(spec);
                }
                None => {
                    let running = self.launch(&key, spec);
                    inner.loops.insert(key, running);
                }
            }
        }
        self.metrics.targets.set(inner.loops.len() as f64);
        self.metrics.target_limit.set(limit as f64);
        self.metrics.syncs.inc();
        self.metrics
            .sync_length
            .observe(started.elapsed().as_secs_f64());
    }

    /// The targets that relabelling keeps; the dropped ones are noted on the way.
    fn wanted(&self, inner: &mut Inner) -> HashMap<TargetKey, TargetSpec> {
        let settings = &inner.settings;
        let mut wanted = HashMap::new();
        let mut dropped = Vec::new();
        let mut dropped_count = 0;
        for labels in inner
            .groups
            .values()
            .flatten()
            .flat_map(TargetGroup::members)
        {
            match resolve(&labels, settings) {
                Ok(Resolved::Target(spec)) => {
                    // Targets that relabelling made equal are one.
                    wanted.entry(spec.key()).or_insert(*spec);
                }
                Ok(Resolved::Dropped(discovered_labels)) => {
                    dropped_count += 1;
                    let keep = settings.keep_dropped_targets;
                    if keep == 0 || (dropped.len() as u64) < keep {
                        dropped.push(DroppedTarget {
                            discovered_labels,
                            scrape_pool: settings.job_name.clone(),
                        });
                    }
                }
                Err(error) => {
                    self.context.metrics.sync_failed.inc();
                    tracing::error!(
                        job = settings.job_name,
                        labels = %labels.build(),
                        %error,
                        "cannot make a target of what was discovered"
                    );
                }
            }
        }
        inner.dropped = dropped;
        inner.dropped_count = dropped_count;
        wanted
    }

    fn launch(&self, key: &TargetKey, spec: LoopSpec) -> Running {
        let state = Arc::new(TargetState::new(TargetSpec::clone(&spec.target)));
        let (sender, receiver) = watch::channel(spec);
        let removed = CancellationToken::new();
        let scrape_loop = ScrapeLoop {
            storage: Arc::clone(&self.context.storage),
            state: Arc::clone(&state),
            metrics: self.context.metrics.clone(),
            workers: Arc::clone(&self.context.workers),
            spec: receiver,
            hash: key.stable_hash() ^ self.context.options.offset_seed,
            fast_first: self.context.options.fast_first_scrape,
            removed: removed.clone(),
            shutdown: self.context.shutdown.clone(),
        };
        self.context.tasks.spawn(scrape_loop.run());
        Running {
            state,
            spec: sender,
            removed,
        }
    }

    /// Adds this pool's targets to a snapshot.
    pub(crate) fn show(&self, out: &mut TargetsSnapshot) {
        let inner = self.inner.lock();
        let name = &inner.settings.job_name;
        let host = &self.context.options.external_host;
        let mut active: Vec<_> = inner
            .loops
            .values()
            .map(|running| running.state.show(name, host))
            .collect();
        active.sort_by(|a, b| (&a.labels, &a.scrape_url).cmp(&(&b.labels, &b.scrape_url)));
        out.active.append(&mut active);
        out.dropped.extend(inner.dropped.iter().cloned());
        out.dropped_counts.insert(name.clone(), inner.dropped_count);
        out.pools.push(name.clone());
    }

    /// Adds this pool's metadata.
    pub(crate) fn show_metadata(&self, out: &mut Vec<TargetMetadata>) {
        let inner = self.inner.lock();
        let mut metadata: Vec<_> = inner
            .loops
            .values()
            .map(|running| running.state.show_metadata(&inner.settings.job_name))
            .collect();
        metadata.sort_by(|a, b| a.target.cmp(&b.target));
        out.append(&mut metadata);
    }
}
