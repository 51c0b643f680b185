//! Owns the groups: loads them, runs their tasks, replaces them at a reload.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bellwether_model::Labels;
use bellwether_model::storage::{Appendable, Queryable};
use bellwether_telemetry::Registry;
use bellwether_telemetry::trace::Traces;
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::expand::ExternalUrl;
use crate::file::{FileErrors, FileOptions, RuleFile};
use crate::group::{Group, GroupContext, GroupKey, GroupOptions, GroupSurroundings, Notify};
use crate::metrics::RuleMetrics;
use crate::query::Evaluate;
use crate::snapshot::GroupSnapshot;
use crate::time::nanos;

/// What a manager works with.
pub struct ManagerParts {
    /// Answers queries.
    pub queries: Arc<dyn Evaluate>,
    /// Takes results.
    pub appendable: Arc<dyn Appendable>,
    /// Remembers alerts over restarts.
    pub queryable: Arc<dyn Queryable>,
    /// Takes alerts.
    pub notify: Notify,
    /// Takes metrics.
    pub registry: Registry,
}

/// Settings that hold for the life of the process.
#[derive(Clone, Debug, Default)]
pub struct ManagerOptions {
    /// Times around alerts.
    pub groups: GroupOptions,
    /// The server's address as people reach it.
    pub external_url: String,
    /// Rules that do not need each other run at the same time, at most this many in all groups together; `None` runs
    /// rules one after the other.
    pub concurrent_evals: Option<usize>,
    /// Where the spans of evaluations come from.
    pub traces: Traces,
}

/// What the configuration says.
#[derive(Clone, Debug, Default)]
pub struct RulesConfig {
    /// Rule files, patterns expanded.
    pub files: Vec<PathBuf>,
    /// How they are read.
    pub options: FileOptions,
    /// `global.evaluation_interval`
    pub interval: Duration,
    /// `global.rule_query_offset`
    pub query_offset: Duration,
    /// `global.external_labels`
    pub external_labels: Labels,
}

/// Why rules could not be loaded; the running ones stay.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file with mistakes.
    #[error(transparent)]
    File(#[from] FileErrors),
    /// A rule that was checked cannot be built.
    #[error("{file}: {message}")]
    Rule {
        /// The file.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A bug: reading ended abnormally.
    #[error("reading of rule files ended abnormally: {0}")]
    Internal(String),
}

struct Running {
    group: Arc<Group>,
    task: JoinHandle<()>,
}

/// Runs rule groups. Dropping it stops them without waiting; [`Self::shutdown`] waits.
pub struct RuleManager {
    context: GroupContext,
    groups: Mutex<BTreeMap<GroupKey, Running>>,
    /// One reload at a time.
    reload: tokio::sync::Mutex<Loaded>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// Whether rules were loaded before: only the first ones take over the alerts of an earlier process.
#[derive(Default)]
struct Loaded(bool);

impl Drop for RuleManager {
    fn drop(&mut self) {
        self.shutdown.cancel();
        for running in self.groups.lock().values() {
            running.group.stop(true);
        }
    }
}

impl RuleManager {
    /// A manager without groups; [`Self::apply`] starts them. Must be used inside a tokio runtime.
    #[must_use]
    pub fn new(parts: ManagerParts, options: ManagerOptions) -> Self {
        Self {
            context: context(parts, options),
            groups: Mutex::default(),
            reload: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        }
    }

    /// Makes the running groups those of the configuration, at the start and at each reload. A group that did not
    /// change goes on untouched; one that did takes over alerts and series, rule by rule; the series of what is gone
    /// are ended.
    ///
    /// # Errors
    /// When a file has mistakes: nothing changes.
    pub async fn apply(&self, config: &RulesConfig) -> Result<(), LoadError> {
        let mut loaded = self.reload.lock().await;
        if self.shutdown.is_cancelled() {
            return Ok(());
        }
        let (context, owned) = (self.context.clone(), config.clone());
        let restore = !loaded.0;
        let load = move || load(&owned, &context, restore);
        let groups = tokio::task::spawn_blocking(load)
            .await
            .map_err(|e| LoadError::Internal(e.to_string()))??;
        loaded.0 = true;
        let offset = nanos(config.query_offset).unsigned_abs();
        self.context
            .default_query_offset
            .store(offset, Ordering::Relaxed);
        self.replace(groups).await;
        Ok(())
    }

    async fn replace(&self, groups: Vec<Group>) {
        let mut wanted = HashSet::new();
        let mut changed = Vec::new();
        for group in groups {
            wanted.insert(group.key.clone());
            match self.take_changed(&group) {
                Old::Same => {}
                Old::None => self.start(group),
                Old::Changed(old) => {
                    old.group.stop(false);
                    changed.push((group, old));
                }
            }
        }
        let gone: Vec<Running> = {
            let mut groups = self.groups.lock();
            let keys: Vec<GroupKey> = groups
                .keys()
                .filter(|k| !wanted.contains(k))
                .cloned()
                .collect();
            keys.iter().filter_map(|key| groups.remove(key)).collect()
        };
        // All are told to stop before any is waited for.
        gone.iter().for_each(|old| old.group.stop(false));
        for (group, old) in changed {
            join(old.task).await;
            group.copy_state(&old.group);
            self.start(group);
        }
        for old in gone {
            join(old.task).await;
            old.group.metrics.remove();
            self.tasks.spawn(old.group.end(self.shutdown.clone()));
        }
    }

    fn take_changed(&self, group: &Group) -> Old {
        let mut groups = self.groups.lock();
        match groups.get(&group.key) {
            None => Old::None,
            Some(running) if running.group.is_same_as(group) => Old::Same,
            Some(_) => groups.remove(&group.key).map_or(Old::None, Old::Changed),
        }
    }

    fn start(&self, group: Group) {
        let group = Arc::new(group);
        let task = self.tasks.spawn(Arc::clone(&group).run());
        self.groups
            .lock()
            .insert(group.key.clone(), Running { group, task });
    }

    /// The groups as they stand, by file and name.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupSnapshot> {
        let groups: Vec<Arc<Group>> = {
            let running = self.groups.lock();
            running.values().map(|r| Arc::clone(&r.group)).collect()
        };
        groups.iter().map(|group| group.snapshot()).collect()
    }

    /// Stops all groups, also in the middle of a query, and waits for them. Series are not ended: the next process
    /// goes on with them.
    pub async fn shutdown(&self) {
        self.shutdown.cancel();
        let _no_reload = self.reload.lock().await;
        for running in self.groups.lock().values() {
            running.group.stop(true);
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

enum Old {
    None,
    Same,
    Changed(Running),
}

async fn join(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, "a rule group ended abnormally");
    }
}

pub(crate) fn context(parts: ManagerParts, options: ManagerOptions) -> GroupContext {
    let slots = options
        .concurrent_evals
        .map(|n| Arc::new(AtomicUsize::new(n)));
    GroupContext {
        queries: parts.queries,
        appendable: parts.appendable,
        queryable: parts.queryable,
        notify: parts.notify,
        external_url: Arc::new(ExternalUrl::new(&options.external_url)),
        metrics: RuleMetrics::new(&parts.registry),
        options: Arc::new(options.groups),
        slots,
        default_query_offset: Arc::new(AtomicU64::new(0)),
        traces: options.traces,
    }
}

/// Reads all files and builds their groups. Blocks on the disk.
pub(crate) fn load(
    config: &RulesConfig,
    context: &GroupContext,
    restore: bool,
) -> Result<Vec<Group>, LoadError> {
    let mut groups = Vec::new();
    for path in &config.files {
        let content = RuleFile::read(path, &config.options)?;
        let file = path.display().to_string();
        let around = GroupSurroundings {
            file: &file,
            interval: config.interval,
            external_labels: &config.external_labels,
            restore,
        };
        for spec in &content.groups {
            let group = Group::new(spec, &around, context.clone());
            groups.push(group.map_err(|message| LoadError::Rule {
                file: file.clone(),
                message,
            })?);
        }
    }
    Ok(groups)
}
