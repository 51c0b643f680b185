//! One entry of `alertmanagers`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bellwether_discovery::{Follower, GroupList};
use bellwether_http::Client;
use bellwether_model::{Labels, LabelsBuilder};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::config::SetSettings;
use super::message::{AlertMessage, relabel};
use super::metrics::NotifierMetrics;
use super::queue::{Queue, QueueLimits};

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const PATH: &str = "__alerts_path__";

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
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Ends to follow what was discovered so far.
    following: CancellationToken,
    /// By URL.
    queues: BTreeMap<String, Arc<Queue>>,
    dropped: Vec<String>,
    stopped: bool,
}

impl Set {
    /// Follows what is discovered; the addresses that are known already count at once.
    pub(super) fn start(
        settings: SetSettings,
        client: Client,
        context: SetContext,
        found: Follower,
    ) -> Arc<Self> {
        let set = Arc::new(Self {
            settings,
            client,
            context,
            inner: Mutex::default(),
        });
        set.follow(found);
        set
    }

    /// Follows another discovery from now on: a reload may give the set another place.
    pub(super) fn follow(self: &Arc<Self>, mut found: Follower) {
        let following = CancellationToken::new();
        let old = std::mem::replace(&mut self.inner.lock().following, following.clone());
        old.cancel();
        let groups = found.take();
        self.take_groups(&groups, &following);
        let set = Arc::clone(self);
        self.context.tasks.spawn(async move {
            while let Some(Some(groups)) = following.run_until_cancelled(found.next()).await {
                set.take_groups(&groups, &following);
            }
        });
    }

    /// Replaces what was discovered before; queues start and stop with their Alertmanagers.
    fn take_groups(&self, groups: &GroupList, following: &CancellationToken) {
        let mut inner = self.inner.lock();
        // Another discovery may have taken over in between.
        if inner.stopped || following.is_cancelled() {
            return;
        }
        let mut wanted = BTreeSet::new();
        let mut dropped = Vec::new();
        for member in groups.iter().flat_map(|group| group.members()) {
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
        let mut inner = self.inner.lock();
        inner.stopped = true;
        inner.following.cancel();
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
