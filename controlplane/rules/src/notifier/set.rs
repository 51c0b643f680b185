//! One entry of `alertmanagers`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bellwether_http::Client;
use bellwether_model::{Labels, LabelsBuilder};
use bellwether_scrape::discovery::{Discoverer, TargetGroup, discoveries};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::SetSettings;
use super::message::{AlertMessage, relabel};
use super::metrics::NotifierMetrics;
use super::queue::{Queue, QueueLimits};

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__alerts_path__";
/// Updates that a discovery may run ahead.
const UPDATES_QUEUED: usize = 4;

/// What all sets share.
#[derive(Clone)]
pub(super) struct SetContext {
    pub(super) limits: QueueLimits,
    pub(super) metrics: NotifierMetrics,
    pub(super) tasks: TaskTracker,
    /// Draining ends, too.
    pub(super) hurry: CancellationToken,
}

pub(super) struct Set {
    pub(super) settings: SetSettings,
    client: Client,
    context: SetContext,
    discovery: CancellationToken,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By discovery: 0 is the fixed one.
    groups: BTreeMap<usize, Vec<TargetGroup>>,
    /// By URL.
    queues: BTreeMap<String, Arc<Queue>>,
    dropped: Vec<String>,
    stopped: bool,
}

impl Set {
    pub(super) fn start(settings: SetSettings, client: Client, context: SetContext) -> Arc<Self> {
        let (fixed, others) = discoveries(&settings.connection);
        let set = Arc::new(Self {
            settings,
            client,
            context,
            discovery: CancellationToken::new(),
            inner: Mutex::default(),
        });
        set.take_groups(0, fixed);
        for (i, discoverer) in others.into_iter().enumerate() {
            set.follow(i + 1, discoverer);
        }
        set
    }

    fn follow(self: &Arc<Self>, source: usize, discoverer: Box<dyn Discoverer>) {
        let (updates, mut received) = mpsc::channel(UPDATES_QUEUED);
        let tasks = &self.context.tasks;
        tasks.spawn(discoverer.run(updates, self.discovery.clone()));
        let set = Arc::clone(self);
        tasks.spawn(async move {
            loop {
                let groups = tokio::select! {
                    () = set.discovery.cancelled() => return,
                    groups = received.recv() => groups,
                };
                match groups {
                    Some(groups) => set.take_groups(source, groups),
                    None => return,
                }
            }
        });
    }

    /// Replaces what a discovery said before; queues start and stop with their Alertmanagers.
    fn take_groups(&self, source: usize, groups: Vec<TargetGroup>) {
        let mut inner = self.inner.lock();
        if inner.stopped {
            return;
        }
        inner.groups.insert(source, groups);
        let mut wanted = BTreeSet::new();
        let mut dropped = Vec::new();
        for member in inner
            .groups
            .values()
            .flatten()
            .flat_map(TargetGroup::members)
        {
            match self.resolve(member) {
                Ok((url, true)) => {
                    wanted.insert(url);
                }
                Ok((url, false)) => dropped.push(url),
                Err(address) => {
                    tracing::error!(
                        address,
                        "Creating discovered Alertmanagers failed: not a valid hostname"
                    );
                }
            }
        }
        inner.dropped = dropped;
        inner.queues.retain(|url, queue| {
            let stays = wanted.contains(url);
            if !stays {
                queue.stop.cancel();
            }
            stays
        });
        for url in wanted {
            let start = |url: &String| self.start_queue(url.clone());
            inner.queues.entry(url).or_insert_with_key(start);
        }
    }

    /// The URL of a discovered Alertmanager, and whether relabelling keeps it.
    fn resolve(&self, mut labels: LabelsBuilder) -> Result<(String, bool), String> {
        let prefix = self.settings.path_prefix.trim_matches('/');
        let separator = if prefix.is_empty() { "" } else { "/" };
        if labels.value(SCHEME).is_empty() {
            labels.set(SCHEME, &self.settings.connection.scheme);
        }
        if labels.value(PATH).is_empty() {
            labels.set(PATH, &format!("/{prefix}{separator}api/v2/alerts"));
        }
        let url = |labels: &LabelsBuilder| {
            let (scheme, path) = (labels.value(SCHEME), labels.value(PATH));
            let slash = if path.starts_with('/') { "" } else { "/" };
            format!("{scheme}://{}{slash}{path}", labels.value(ADDRESS))
        };
        let before = url(&labels);
        if !self.settings.connection.relabel.apply(&mut labels) {
            return Ok((before, false));
        }
        let address = labels.value(ADDRESS);
        if address.contains('/') {
            return Err(address.to_owned());
        }
        Ok((url(&labels), true))
    }

    fn start_queue(&self, url: String) -> Arc<Queue> {
        let context = &self.context;
        let metrics = context.metrics.queue(&url);
        let queue = Arc::new(Queue::new(
            url,
            context.limits,
            self.settings.timeout,
            self.client.clone(),
            metrics,
        ));
        context
            .tasks
            .spawn(Arc::clone(&queue).run(context.hurry.clone()));
        queue
    }

    pub(super) fn send(&self, alerts: &[AlertMessage]) {
        let own;
        let mut alerts = alerts;
        if !self.settings.alert_relabel.is_empty() {
            own = relabel(alerts, &Labels::empty(), &self.settings.alert_relabel);
            alerts = &own;
        }
        if alerts.is_empty() {
            return;
        }
        for queue in self.inner.lock().queues.values() {
            queue.add(alerts);
        }
    }

    /// Ends discovery and queues; what waits in them is sent first where that is wanted.
    pub(super) fn stop(&self) {
        self.discovery.cancel();
        let mut inner = self.inner.lock();
        inner.stopped = true;
        for queue in std::mem::take(&mut inner.queues).into_values() {
            queue.stop.cancel();
        }
    }

    /// URLs of those that get alerts, and of those that relabelling dropped.
    pub(super) fn show(&self, active: &mut Vec<String>, dropped: &mut Vec<String>) {
        let inner = self.inner.lock();
        active.extend(inner.queues.keys().cloned());
        dropped.extend(inner.dropped.iter().cloned());
    }
}
