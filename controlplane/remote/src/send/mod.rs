//! Remote write: sends what the write-ahead log gets.
//!
//! ```text
//! log --> watcher (thread) --> batches --> shard queues (bounded) --> shards (tasks) --> HTTP
//!           |  series by reference             |                        |
//!           +-- catalog: labels encoded once --+------------------------+--> progress (file)
//! ```
//!
//! Data flow: the [`watcher`] follows the log's committed records. A name of a series is relabelled and encoded once; a
//! sample is a reference, a time and a value until its request is made. Samples of a series always go through the same
//! shard. A shard makes a request of a batch, sends it, and repeats until the receiver has it or refuses it for good.
//!
//! Invariants:
//! - **What is committed is sent.** [`progress`] is on the disk before a request leaves, so a killed process, here or
//!   at the other end, loses nothing: unanswered requests are sent again, unchanged.
//! - **Order.** The samples of a series arrive in the order of the log, also when the number of shards changes.
//! - **Bounded.** A queue holds `max_shards * capacity` samples of 24 bytes and one body per shard, whatever the
//!   receiver does, and the series of the log. Beyond that the samples stay in the log, which is cut without asking: a
//!   receiver that is away for longer than the log is kept (the upper third of the segments at least, about an hour of
//!   the two or three that it has) misses what was cut, and a log line says so.
//!
//! | file | what it holds |
//! |---|---|
//! | `watcher/` | reading the log, filling batches |
//! | `series` | references, encoded labels, symbols |
//! | `batch`, `body` | samples that wait; the body of a request |
//! | `shards` | queues, sending, retrying |
//! | `endpoint` | one request and what its answer means |
//! | `progress` | positions on the disk |
//! | `rate` | the number of shards |
//! | `metadata` | metadata of version 1 |
//! | `queue` | one remote system from start to stop |
//! | `metrics` | Prometheus' metrics |

mod batch;
mod body;
mod endpoint;
mod metadata;
mod metrics;
mod progress;
mod queue;
mod rate;
mod series;
mod shards;
#[cfg(test)]
mod tests;
mod watcher;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bellwether_model::{Labels, MetricType};
use bellwether_telemetry::Registry;
use bellwether_telemetry::trace::Traces;
use bellwether_tsdb::{Ingested, LogTail};
use hashbrown::HashSet;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::client;
use crate::config::WriteSettings;
use queue::Queue;
use rate::Rate;

/// Metadata of a metric family, as targets expose it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FamilyMetadata {
    /// Name of the family.
    pub family: String,
    /// Type.
    pub kind: MetricType,
    /// Help text.
    pub help: String,
    /// Unit.
    pub unit: String,
}

/// What remote write needs of the rest of the server.
#[derive(Clone)]
pub struct Sources {
    /// The log to send.
    pub log: LogTail,
    /// What storage has taken since the start.
    pub ingested: Arc<dyn Fn() -> Ingested + Send + Sync>,
    /// Metadata of what is scraped.
    pub metadata: Arc<dyn Fn() -> Vec<FamilyMetadata> + Send + Sync>,
    /// Whether types and units are in labels (feature `type-and-unit-labels`).
    pub type_and_unit_labels: bool,
    /// Where positions are kept.
    pub dir: PathBuf,
    /// How long queues may still send at the end and when they are replaced.
    pub flush_deadline: Duration,
    /// Where the spans of requests come from.
    pub traces: Traces,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources")
            .field("log", &self.log)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// What queues share: where samples come from, and how many.
pub(crate) struct Common {
    pub(crate) sources: Sources,
    pub(crate) registry: Registry,
    /// Samples that storage takes.
    pub(crate) in_rate: Rate,
}

/// All queues of a server.
pub struct RemoteWriter {
    common: Arc<Common>,
    queues: Mutex<Queues>,
    stop: CancellationToken,
    ticking: parking_lot::Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl std::fmt::Debug for RemoteWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWriter")
            .field("sources", &self.common.sources)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Queues {
    all: Vec<Queue>,
    external: Labels,
}

impl RemoteWriter {
    /// No queues yet. Call it on a runtime.
    #[must_use]
    pub fn new(sources: Sources, registry: &Registry) -> Self {
        metrics::register_ingested(registry, {
            let ingested = Arc::clone(&sources.ingested);
            move || ingested()
        });
        let common = Arc::new(Common {
            sources,
            registry: registry.clone(),
            in_rate: Rate::default(),
        });
        let stop = CancellationToken::new();
        let ticking = tokio::spawn(tick(Arc::clone(&common), stop.clone()));
        Self {
            common,
            queues: Mutex::default(),
            stop,
            ticking: parking_lot::Mutex::new(Some(ticking)),
        }
    }

    /// Brings the queues in line with a configuration: entries that did not change keep theirs, and get new
    /// credentials.
    ///
    /// # Errors
    /// In words; then all queues stay as they were.
    pub async fn apply(&self, wanted: Vec<WriteSettings>, external: &Labels) -> Result<(), String> {
        let mut seen = HashSet::new();
        for settings in &wanted {
            if !seen.insert(settings.hash.clone()) {
                return Err(format!(
                    "duplicate remote write configs are not allowed, found duplicate for URL: {}",
                    settings.endpoint
                ));
            }
        }
        let registry = &self.common.registry;
        let clients = wanted
            .iter()
            .map(|s| client::post(&s.client, "remote_storage_write_client", registry));
        let clients: Vec<client::Post> = clients.collect::<Result<_, _>>()?;
        let mut queues = self.queues.lock().await;
        let same_labels = queues.external == *external;
        queues.external = external.clone();
        let mut before = std::mem::take(&mut queues.all);
        let mut new = Vec::new();
        let mut keys = HashSet::new();
        for (settings, client) in with_own_keys(wanted).into_iter().zip(clients) {
            keys.insert(settings.key.clone());
            let old = before.iter().position(|q| q.hash() == settings.hash);
            match old {
                Some(at) if same_labels => {
                    let queue = before.swap_remove(at);
                    queue.set_client(client);
                    queues.all.push(queue);
                }
                _ => new.push((settings, client)),
            }
        }
        for queue in before {
            // The position of an entry that only changed is kept.
            let is_kept = keys.contains(queue.key());
            queue.stop(is_kept).await;
        }
        for (settings, client) in new {
            let name = settings.name.clone();
            let queue = Queue::start(&self.common, settings, client, external.clone()).await;
            queues
                .all
                .push(queue.map_err(|error| format!("remote write {name}: {error}"))?);
        }
        self.forget_others(&keys).await;
        Ok(())
    }

    /// Removes the positions of entries that are gone: should one come back, it begins anew.
    async fn forget_others(&self, keys: &HashSet<String>) {
        let dir = self.common.sources.dir.clone();
        let files: Vec<String> = keys.iter().map(|key| queue::file_name(key)).collect();
        let work = move || {
            let Ok(entries) = std::fs::read_dir(&dir) else {
                return;
            };
            for entry in entries.filter_map(Result::ok) {
                let name = entry.file_name();
                if !files.iter().any(|file| name == file.as_str())
                    && let Err(error) = std::fs::remove_file(entry.path())
                {
                    tracing::warn!(file = %entry.path().display(), %error, "cannot remove an old position of remote write");
                }
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "removing old positions of remote write ended abnormally");
        }
    }

    /// The oldest of the newest times that the queues have sent, in milliseconds; 0 without queues.
    pub async fn lowest_sent_ms(&self) -> i64 {
        let queues = self.queues.lock().await;
        let all = queues.all.iter().map(Queue::newest_sent_ms);
        all.min().unwrap_or(0)
    }

    /// Sends what waits, for the flush deadline at most, and stops. What is not sent then is sent after the next start.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        let queues = std::mem::take(&mut self.queues.lock().await.all);
        futures_util::future::join_all(queues.into_iter().map(|queue| queue.stop(true))).await;
        let ticking = self.ticking.lock().take();
        if let Some(ticking) = ticking {
            // It ends with the token.
            let _ = ticking.await;
        }
    }
}

/// Entries with the same address and no name get numbers, so that each has a position of its own.
fn with_own_keys(mut wanted: Vec<WriteSettings>) -> Vec<WriteSettings> {
    let mut seen = HashSet::new();
    for settings in &mut wanted {
        let plain = settings.key.clone();
        for n in 2.. {
            if seen.insert(settings.key.clone()) {
                break;
            }
            settings.key = format!("{plain} {n}");
        }
    }
    wanted
}

/// Counts what storage takes.
async fn tick(common: Arc<Common>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs_f64(rate::TICK_SECONDS));
    let total = |now: Ingested| now.samples + now.histograms + now.exemplars;
    let mut before = total((common.sources.ingested)());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        let now = total((common.sources.ingested)());
        common.in_rate.add(now.saturating_sub(before));
        before = now;
        common.in_rate.tick();
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}
