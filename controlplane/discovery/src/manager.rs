//! Runs mechanisms and tells each set of them what was found.
//!
//! A set is what a job or an entry of `alertmanagers` discovers with. Entries that are equal, in one set or in
//! several, are one running provider: twenty jobs that look for the pods of a cluster watch it once. A provider's
//! messages change its groups; each of its sets hears of it, waits a little for more (100 ms at first, up to 5 s
//! while changes keep coming, as in Prometheus), and then publishes the new state as a whole. Who follows a set sees
//! only the newest state, so a slow follower holds nothing up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bellwether_telemetry::Registry;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{SdConfig, SdConfigs};
use crate::discoverer::{BuildContext, Discoverer, UPDATES_QUEUED, Updates};
use crate::follower::{Follower, Publisher};
use crate::group::{Groups, TargetGroup, static_groups};
use crate::kinds;
use crate::metrics::{ManagerMetrics, SdMetrics};

/// First pause between a change and its publication.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause, while changes keep coming.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a set keeps what replaced providers had found while their successors have not spoken.
const HANDOVER: Duration = Duration::from_secs(10);

/// All groups of a set at one moment. Groups that did not change are the same allocation as before.
pub type GroupList = Arc<Vec<Arc<TargetGroup>>>;

/// One set as it is configured.
#[derive(Clone, Copy, Debug)]
pub struct SetConfig<'a> {
    /// Its name, unique in the manager: the job's name for example.
    pub name: &'a str,
    /// What it discovers with.
    pub configs: &'a SdConfigs,
    /// Where relative paths start.
    pub base_dir: &'a Path,
}

/// Owns the providers. Dropping it stops them without waiting; [`Self::shutdown`] waits.
pub struct Manager {
    shared: Arc<Shared>,
}

struct Shared {
    metrics: ManagerMetrics,
    sd_metrics: SdMetrics,
    longest_pause: Duration,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sets: BTreeMap<String, Arc<Set>>,
    providers: Vec<Arc<Provider>>,
}

/// A running mechanism.
struct Provider {
    config: SdConfig,
    base_dir: PathBuf,
    groups: Mutex<Groups>,
    /// It has sent something.
    spoke: AtomicBool,
    /// Sets to wake.
    followers: Mutex<Vec<Arc<Notify>>>,
    stop: CancellationToken,
}

struct Set {
    name: String,
    changed: Arc<Notify>,
    publisher: Publisher,
    stop: CancellationToken,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    statics: Vec<Arc<TargetGroup>>,
    providers: Vec<Arc<Provider>>,
    /// What providers had found that a reload replaced, and until when it counts.
    handed_over: Vec<Arc<TargetGroup>>,
    handover_ends: Option<Instant>,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Manager")
            .field("sets", &state.sets.len())
            .field("providers", &state.providers.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.shared.shutdown.cancel();
    }
}

impl Manager {
    /// A manager without sets. `name` is the label of its metrics: `scrape` or `notify`. Must be used inside a
    /// tokio runtime.
    #[must_use]
    pub fn new(name: &'static str, registry: &Registry) -> Self {
        Self {
            shared: Arc::new(Shared {
                metrics: ManagerMetrics::new(registry, name),
                sd_metrics: SdMetrics::new(registry),
                longest_pause: LONGEST_PAUSE,
                tasks: TaskTracker::new(),
                shutdown: CancellationToken::new(),
                state: Mutex::default(),
            }),
        }
    }

    /// Makes the sets those of a configuration, at the start and at each reload. Providers whose entries did not
    /// change go on; fixed targets are there at once. Returns how to follow each set: the follower of a set that
    /// was there before goes on as well.
    ///
    /// An entry that cannot be built is logged and counted, and the others run.
    pub fn apply(&self, sets: &[SetConfig<'_>]) -> BTreeMap<String, Follower> {
        let shared = &self.shared;
        let mut state = shared.state.lock();
        if shared.shutdown.is_cancelled() {
            return BTreeMap::new();
        }
        let wanted: BTreeSet<&str> = sets.iter().map(|set| set.name).collect();
        state.sets.retain(|name, set| {
            let stays = wanted.contains(name.as_str());
            if !stays {
                set.stop.cancel();
                shared.metrics.removed(name);
                set.forget_refreshes(&shared.sd_metrics, &[]);
            }
            stays
        });
        let mut failed = 0;
        let mut followers = BTreeMap::new();
        for config in sets {
            let providers = shared.providers(&mut state, config, &mut failed);
            let set = match state.sets.get(config.name) {
                Some(set) => Arc::clone(set),
                None => {
                    let set = shared.start_set(config.name);
                    state.sets.insert(config.name.to_owned(), Arc::clone(&set));
                    set
                }
            };
            set.forget_refreshes(&shared.sd_metrics, &providers);
            set.configure(config, providers);
            followers.insert(config.name.to_owned(), set.publisher.follow());
        }
        shared.metrics.failed_configs.set(f64::from(failed));
        // First whom to wake, then what is known: so nothing is missed in between.
        shared.tidy(&mut state);
        for set in state.sets.values() {
            shared.publish(set);
        }
        followers
    }

    /// Stops everything and waits for it.
    pub async fn shutdown(&self) {
        self.shared.shutdown.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Shared {
    /// The providers of a set: running ones where the entry is the same, else new ones.
    fn providers(
        self: &Arc<Self>,
        state: &mut State,
        set: &SetConfig<'_>,
        failed: &mut u32,
    ) -> Vec<Arc<Provider>> {
        let mut providers: Vec<Arc<Provider>> = Vec::new();
        for config in set.configs.entries() {
            let same = |p: &&Arc<Provider>| p.config == config && p.base_dir == set.base_dir;
            if let Some(running) = state.providers.iter().find(same) {
                if !providers.iter().any(|p| Arc::ptr_eq(p, running)) {
                    providers.push(Arc::clone(running));
                }
                continue;
            }
            let context = BuildContext {
                base_dir: set.base_dir.to_owned(),
                set: set.name.to_owned(),
                metrics: self.sd_metrics.clone(),
            };
            match kinds::build(&config, &context) {
                Ok(discoverer) => {
                    let provider = self.start_provider(config, set.base_dir, discoverer);
                    state.providers.push(Arc::clone(&provider));
                    providers.push(provider);
                }
                Err(error) => {
                    *failed += 1;
                    tracing::error!(
                        discovery = config.name(),
                        config = set.name,
                        %error,
                        "Cannot create service discovery"
                    );
                }
            }
        }
        providers
    }

    fn start_provider(
        self: &Arc<Self>,
        config: SdConfig,
        base_dir: &Path,
        discoverer: Box<dyn Discoverer>,
    ) -> Arc<Provider> {
        let provider = Arc::new(Provider {
            config,
            base_dir: base_dir.to_owned(),
            groups: Mutex::default(),
            spoke: AtomicBool::new(false),
            followers: Mutex::default(),
            stop: self.shutdown.child_token(),
        });
        let (sender, mut received) = mpsc::channel(UPDATES_QUEUED);
        let run = discoverer.run(Updates(sender), provider.stop.clone());
        self.tasks.spawn(run);
        let (this, followed) = (Arc::clone(self), Arc::clone(&provider));
        self.tasks.spawn(async move {
            while let Some(Some(groups)) = followed.stop.run_until_cancelled(received.recv()).await
            {
                this.metrics.received.inc();
                followed.take(groups);
            }
        });
        provider
    }

    fn start_set(self: &Arc<Self>, name: &str) -> Arc<Set> {
        let set = Arc::new(Set {
            name: name.to_owned(),
            changed: Arc::default(),
            publisher: Publisher::default(),
            stop: self.shutdown.child_token(),
            content: Mutex::default(),
        });
        let pump = Arc::clone(self).pump(Arc::clone(&set));
        self.tasks.spawn(pump);
        set
    }

    /// Publishes a set when it changed, more slowly while changes keep coming.
    async fn pump(self: Arc<Self>, set: Arc<Set>) {
        let mut pause = FIRST_PAUSE;
        let mut last = Instant::now();
        loop {
            let handover_ends = set.content.lock().handover_ends;
            let handover = async {
                match handover_ends {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = set.stop.cancelled() => return,
                () = set.changed.notified() => {}
                () = handover => {}
            }
            if last.elapsed() > self.longest_pause {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = set.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = pause.mul_f64(1.5).min(self.longest_pause);
            last = Instant::now();
            // The set may have left the configuration while this slept.
            let state = self.state.lock();
            if set.stop.is_cancelled() {
                return;
            }
            self.publish(&set);
            drop(state);
        }
    }

    fn publish(&self, set: &Set) {
        let groups = set.collect();
        let targets = groups.iter().map(|group| group.targets.len()).sum();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs_f64();
        self.metrics.published(&set.name, targets, now);
        self.metrics.sent.inc();
        if set.publisher.publish(Arc::new(groups)) {
            self.metrics.delayed.inc();
        }
    }

    /// Stops providers that no set follows, and tells the others whom to wake.
    fn tidy(&self, state: &mut State) {
        let State { sets, providers } = state;
        for provider in providers.iter() {
            provider.followers.lock().clear();
        }
        for set in sets.values() {
            for provider in &set.content.lock().providers {
                provider.followers.lock().push(Arc::clone(&set.changed));
            }
        }
        providers.retain(|provider| {
            let stays = !provider.followers.lock().is_empty();
            if !stays {
                provider.stop.cancel();
            }
            stays
        });
    }
}

impl Provider {
    fn take(&self, groups: Vec<TargetGroup>) {
        let changed = self.groups.lock().update(groups);
        let first = !self.spoke.swap(true, Ordering::Relaxed);
        if changed || first {
            for follower in self.followers.lock().iter() {
                follower.notify_one();
            }
        }
    }
}

impl Set {
    /// Takes a configuration over. What providers found that are not there any more is kept until all new ones have
    /// spoken, or for [`HANDOVER`]: a changed option must not take the targets away for a moment.
    fn configure(&self, config: &SetConfig<'_>, providers: Vec<Arc<Provider>>) {
        let mut content = self.content.lock();
        let silent = providers.iter().any(|p| !p.spoke.load(Ordering::Relaxed));
        let gone = |old: &&Arc<Provider>| !providers.iter().any(|p| Arc::ptr_eq(p, old));
        let mut handed_over = Vec::new();
        if silent {
            for old in content.providers.iter().filter(gone) {
                handed_over.extend(old.groups.lock().iter().cloned());
            }
        }
        content.handover_ends = (!handed_over.is_empty()).then(|| Instant::now() + HANDOVER);
        content.handed_over = handed_over;
        let statics = static_groups(&config.configs.static_configs);
        if !content.statics.iter().map(|group| &**group).eq(&statics) {
            content.statics = statics.into_iter().map(Arc::new).collect();
        }
        content.providers = providers;
    }

    fn collect(&self) -> Vec<Arc<TargetGroup>> {
        let mut content = self.content.lock();
        let spoke = |p: &Arc<Provider>| p.spoke.load(Ordering::Relaxed);
        let late = content.handover_ends.is_some_and(|at| at <= Instant::now());
        if late || content.providers.iter().all(spoke) {
            content.handed_over.clear();
            content.handover_ends = None;
        }
        let mut groups = content.statics.clone();
        for provider in &content.providers {
            groups.extend(provider.groups.lock().iter().cloned());
        }
        groups.extend(content.handed_over.iter().cloned());
        groups
    }

    /// Takes the metrics of mechanisms off the page that the set does not use any more.
    fn forget_refreshes(&self, metrics: &SdMetrics, stay: &[Arc<Provider>]) {
        for old in &self.content.lock().providers {
            let name = old.config.name();
            if !stay.iter().any(|p| p.config.name() == name) {
                metrics.remove_refresh(name, &self.name);
            }
        }
    }
}
