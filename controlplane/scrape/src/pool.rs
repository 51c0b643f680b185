//! One job: its targets, one loop for each.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bellwether_discovery::{Follower, GroupList};
use bellwether_model::storage::Appendable;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::HttpClient;
use crate::config::PoolSettings;
use crate::groups::ResolvedGroups;
use crate::manager::ScrapeOptions;
use crate::metrics::{PoolMetrics, ScrapeMetrics};
use crate::scrape_loop::{LoopSpec, ScrapeLoop};
use crate::snapshot::{DroppedTarget, TargetMetadata, TargetsSnapshot};
use crate::target::{TargetKey, TargetSpec, TargetState};
use crate::threads::ScrapeThreads;

/// What every pool shares.
#[derive(Clone)]
pub(crate) struct PoolContext {
    pub(crate) storage: Arc<dyn Appendable>,
    pub(crate) metrics: ScrapeMetrics,
    pub(crate) options: Arc<ScrapeOptions>,
    /// Started by the first target.
    pub(crate) threads: Arc<OnceLock<Arc<ScrapeThreads>>>,
    /// Has the threads for blocking work.
    pub(crate) runtime: Handle,
    /// Large pages that are parsed and stored at the same time.
    pub(crate) workers: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    /// The process ends.
    pub(crate) shutdown: CancellationToken,
}

impl PoolContext {
    /// The threads that scrape; `None` where the system has none to give.
    fn threads(&self) -> Option<&ScrapeThreads> {
        if self.threads.get().is_none() {
            match ScrapeThreads::start() {
                // Whoever was first.
                Ok(threads) => drop(self.threads.set(threads)),
                Err(error) => tracing::error!(%error, "cannot start threads for scraping"),
            }
        }
        self.threads.get().map(|threads| &**threads)
    }
}

type Map<K, V> = HashMap<K, V, RandomState>;

/// A running job.
pub(crate) struct Pool {
    context: PoolContext,
    metrics: PoolMetrics,
    /// The job is gone from the configuration.
    stopped: CancellationToken,
    inner: Mutex<Inner>,
}

struct Inner {
    settings: Arc<PoolSettings>,
    client: HttpClient,
    groups: GroupList,
    /// What relabelling made of the groups.
    resolved: ResolvedGroups,
    loops: Map<TargetKey, Running>,
}

struct Running {
    state: Arc<TargetState>,
    spec: watch::Sender<LoopSpec>,
    removed: CancellationToken,
}

impl Pool {
    /// Starts a job that follows `discovered`.
    pub(crate) fn start(
        context: PoolContext,
        settings: PoolSettings,
        client: HttpClient,
        mut discovered: Follower,
    ) -> Arc<Self> {
        context.metrics.pools.inc();
        let metrics = context.metrics.pool(&settings.job_name);
        let groups = discovered.take();
        let pool = Arc::new(Self {
            metrics,
            stopped: context.shutdown.child_token(),
            inner: Mutex::new(Inner {
                settings: Arc::new(settings),
                client,
                groups,
                resolved: ResolvedGroups::default(),
                loops: Map::default(),
            }),
            context,
        });
        pool.sync(&mut pool.inner.lock());
        let followed = Arc::clone(&pool).follow(discovered);
        pool.context.tasks.spawn(followed);
        pool
    }

    /// Takes over what discovery finds, until the job ends.
    async fn follow(self: Arc<Self>, mut discovered: Follower) {
        while let Some(Some(groups)) = self.stopped.run_until_cancelled(discovered.next()).await {
            let this = Arc::clone(&self);
            // A hundred thousand targets take longer than a task may hold its thread.
            let synced = tokio::task::spawn_blocking(move || this.take_groups(groups)).await;
            if synced.is_err() {
                return;
            }
        }
    }

    fn take_groups(&self, groups: GroupList) {
        let mut inner = self.inner.lock();
        if self.stopped.is_cancelled() {
            return;
        }
        inner.groups = groups;
        self.sync(&mut inner);
    }

    /// Whether a client for these settings would be another one than the pool has.
    pub(crate) fn needs_client(&self, settings: &PoolSettings) -> bool {
        self.inner.lock().settings.http != settings.http
    }

    /// Goes on with other settings and what is discovered with them, and with another client if one is given. Loops
    /// keep their memory and pick both up at their next scrape.
    pub(crate) fn reload(
        &self,
        settings: PoolSettings,
        client: Option<HttpClient>,
        groups: GroupList,
    ) {
        let mut inner = self.inner.lock();
        if let Some(client) = client {
            inner.client = client;
        }
        if *inner.settings == settings {
            return;
        }
        self.context.metrics.reloads.inc();
        inner.settings = Arc::new(settings);
        inner.groups = groups;
        inner.resolved = ResolvedGroups::default();
        self.sync(&mut inner);
    }

    /// Ends all loops; they write their stale markers unless the process ends.
    pub(crate) fn stop(&self) {
        self.stopped.cancel();
        let mut inner = self.inner.lock();
        for (_, running) in inner.loops.drain() {
            running.removed.cancel();
        }
        self.metrics.remove();
    }

    /// Makes the loops those of the groups: new targets start, gone ones stop, the others learn the settings.
    fn sync(&self, inner: &mut Inner) {
        let started = Instant::now();
        let settings = Arc::clone(&inner.settings);
        let failed = inner.resolved.update(&inner.groups, &settings);
        self.context.metrics.sync_failed.add(failed as f64);
        // Targets that relabelling made equal are one.
        let mut wanted: Map<TargetKey, Arc<TargetSpec>> = Map::default();
        for spec in inner.resolved.targets() {
            wanted.entry(spec.key()).or_insert_with(|| Arc::clone(spec));
        }
        let forced_error = self.limit_error(&settings, wanted.len());
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
                target,
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
        self.metrics.target_limit.set(settings.target_limit as f64);
        self.metrics.syncs.inc();
        self.metrics
            .sync_length
            .observe(started.elapsed().as_secs_f64());
    }

    /// What every scrape fails with when there are too many targets.
    fn limit_error(&self, settings: &PoolSettings, targets: usize) -> Option<String> {
        let limit = settings.target_limit;
        if limit == 0 || targets as u64 <= limit {
            return None;
        }
        self.context.metrics.exceeded_target_limit.inc();
        Some(format!(
            "target_limit exceeded (number of targets: {targets}, limit: {limit})"
        ))
    }

    fn launch(&self, key: &TargetKey, spec: LoopSpec) -> Running {
        let state = Arc::new(TargetState::new(Arc::clone(&spec.target)));
        let (sender, receiver) = watch::channel(spec);
        let removed = CancellationToken::new();
        let scrape_loop = ScrapeLoop {
            storage: Arc::clone(&self.context.storage),
            state: Arc::clone(&state),
            metrics: self.context.metrics.clone(),
            runtime: self.context.runtime.clone(),
            workers: Arc::clone(&self.context.workers),
            spec: receiver,
            hash: key.stable_hash() ^ self.context.options.offset_seed,
            fast_first: self.context.options.fast_first_scrape,
            commits_wait: self.context.options.commits_wait,
            removed: removed.clone(),
            shutdown: self.context.shutdown.clone(),
        };
        let tasks = &self.context.tasks;
        match self.context.threads() {
            Some(threads) => tasks.spawn_on(scrape_loop.run(), threads.next()),
            None => tasks.spawn(scrape_loop.run()),
        };
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
        let keep = match inner.settings.keep_dropped_targets {
            0 => usize::MAX,
            limit => usize::try_from(limit).unwrap_or(usize::MAX),
        };
        let dropped = inner.resolved.dropped(&inner.settings, keep);
        out.dropped
            .extend(dropped.into_iter().map(|discovered_labels| DroppedTarget {
                discovered_labels,
                scrape_pool: name.clone(),
            }));
        let count = inner.resolved.dropped_count();
        out.dropped_counts.insert(name.clone(), count);
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
