//! One remote system, from start to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bellwether_model::Labels;
use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use xxhash_rust::xxh64::xxh64;

use super::endpoint::Endpoint;
use super::metrics::QueueMetrics;
use super::progress::Progress;
use super::rate::{self, Load, Rate, ShardLimits};
use super::series::Catalog;
use super::shards::{Room, Shared};
use super::watcher::Watcher;
use super::{Common, metadata, now_ms};
use crate::client::Post;
use crate::config::WriteSettings;

/// Types of records that have a metric of their own.
const RECORD_KINDS: &[&str] = &[
    "series",
    "samples",
    "tombstones",
    "exemplars",
    "mmapmarkers",
    "metadata",
    "histogram_samples",
    "float_histogram_samples",
    "custom_buckets_histogram_samples",
    "custom_buckets_float_histogram_samples",
    "unknown",
];

/// A running queue.
pub(super) struct Queue {
    pub(super) shared: Arc<Shared>,
    common: Arc<Common>,
    thread: JoinHandle<()>,
    stop_tasks: CancellationToken,
}

/// The file of a position.
pub(super) fn file_name(key: &str) -> String {
    format!("{:016x}.position", xxh64(key.as_bytes(), 0))
}

impl Queue {
    /// Opens the position and begins to send.
    ///
    /// # Errors
    /// In words, when the position's file cannot be opened.
    pub(super) async fn start(
        common: &Arc<Common>,
        settings: WriteSettings,
        client: Post,
        external: Labels,
    ) -> Result<Self, String> {
        let path = common.sources.dir.join(file_name(&settings.key));
        let (end, first) = (common.sources.log.end(), settings.min_shards);
        let shown = path.display().to_string();
        let opening = tokio::task::spawn_blocking(move || Progress::open(&path, end, first));
        let progress = opening
            .await
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("cannot keep its position in {shown}: {error}"))?;
        let metrics = QueueMetrics::new(&common.registry, &settings.name, &settings.endpoint);
        metrics.capacity.set(settings.capacity as f64);
        metrics.shards_max.set(settings.max_shards as f64);
        metrics.shards_min.set(settings.min_shards as f64);
        metrics.shards_desired.set(settings.min_shards as f64);
        metrics
            .max_samples_per_send
            .set(settings.max_samples_per_send as f64);
        let shards = progress.shards().len();
        let shared = Arc::new(Shared {
            endpoint: ArcSwap::from_pointee(Endpoint::new(&settings, client)),
            catalog: RwLock::new(Catalog::new(
                settings.message,
                common.sources.type_and_unit_labels,
            )),
            progress,
            metrics,
            stopping: AtomicBool::new(false),
            keeps_rest: AtomicBool::new(false),
            hard_stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            room: Room::default(),
            wanted_shards: AtomicUsize::new(shards.clamp(settings.min_shards, settings.max_shards)),
            sent_rate: Rate::default(),
            dropped_rate: Rate::default(),
            busy_rate: Rate::default(),
            last_send_ms: AtomicI64::new(0),
            hold_shards: Mutex::new(None),
            writers: Mutex::default(),
            spare: Mutex::default(),
            traces: common.sources.traces.clone(),
            settings,
        });
        let watcher = Watcher::new(
            Arc::clone(&shared),
            common.sources.log.clone(),
            external,
            tokio::runtime::Handle::current(),
        );
        let thread = std::thread::Builder::new()
            .name(format!("remote-{}", shared.settings.name))
            .spawn(move || watcher.run())
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        let stop_tasks = CancellationToken::new();
        let sizing = size(Arc::clone(common), Arc::clone(&shared), stop_tasks.clone());
        shared.tasks.spawn(sizing);
        if let Some((interval, families_max)) = shared.settings.metadata {
            shared.tasks.spawn(metadata::run(
                Arc::clone(common),
                Arc::clone(&shared),
                (interval, families_max),
                stop_tasks.clone(),
            ));
        }
        Ok(Self {
            shared,
            common: Arc::clone(common),
            thread,
            stop_tasks,
        })
    }

    pub(super) fn hash(&self) -> &str {
        &self.shared.settings.hash
    }

    pub(super) fn key(&self) -> &str {
        &self.shared.settings.key
    }

    /// The newest time that was sent, in milliseconds.
    pub(super) fn newest_sent_ms(&self) -> i64 {
        (self.shared.metrics.newest_sent.get() * 1000.0) as i64
    }

    /// Takes over a client with other credentials.
    pub(super) fn set_client(&self, client: Post) {
        let endpoint = Endpoint::new(&self.shared.settings, client);
        self.shared.endpoint.store(Arc::new(endpoint));
    }

    /// Stops reading, sends what waits until the flush deadline, and ends. With `is_kept` a failure that may pass ends
    /// the sending at once: what is left is sent by the next queue of this key.
    pub(super) async fn stop(self, is_kept: bool) {
        let shared = &self.shared;
        tracing::info!(remote_name = shared.settings.name, "stopping remote write");
        shared.keeps_rest.store(is_kept, Ordering::Relaxed);
        shared.stopping.store(true, Ordering::Relaxed);
        self.stop_tasks.cancel();
        self.common.sources.log.wake();
        shared.room.change();
        let thread = self.thread;
        match tokio::task::spawn_blocking(move || thread.join()).await {
            Ok(Ok(())) => {}
            _ => tracing::error!(
                remote_name = shared.settings.name,
                "reading the log for remote write ended abnormally"
            ),
        }
        shared.tasks.close();
        let deadline = self.common.sources.flush_deadline;
        if tokio::time::timeout(deadline, shared.tasks.wait())
            .await
            .is_err()
        {
            shared.hard_stop.cancel();
            shared.tasks.wait().await;
        }
        if !shared.progress.is_idle() {
            if is_kept {
                tracing::info!(
                    remote_name = shared.settings.name,
                    "not everything is sent; the rest follows after the next start"
                );
            } else {
                tracing::error!(
                    remote_name = shared.settings.name,
                    "failed to flush all samples of a removed remote write entry"
                );
            }
        }
        let own = Arc::clone(shared);
        let saving = tokio::task::spawn_blocking(move || own.progress.sync(true));
        if saving.await.is_err() {
            tracing::error!("keeping the position of remote write ended abnormally");
        }
        shared.metrics.remove(RECORD_KINDS);
        tracing::info!(remote_name = shared.settings.name, "remote write stopped");
    }
}

/// Looks every ten seconds how many shards there should be.
async fn size(common: Arc<Common>, shared: Arc<Shared>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(Duration::from_secs_f64(rate::TICK_SECONDS));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        resize(&common, &shared);
    }
}

fn resize(common: &Common, shared: &Shared) {
    for rate in [&shared.sent_rate, &shared.dropped_rate, &shared.busy_rate] {
        rate.tick();
    }
    let newest = (common.sources.ingested)().newest_ms.unwrap_or(0) as f64 / 1000.0;
    let load = Load {
        in_rate: common.in_rate.get(),
        out_rate: shared.sent_rate.get(),
        dropped_rate: shared.dropped_rate.get(),
        out_seconds: shared.busy_rate.get() / 1e9,
        delay: newest.floor() - shared.metrics.newest_sent.get(),
    };
    let limits = ShardLimits {
        min: shared.settings.min_shards,
        max: shared.settings.max_shards,
    };
    let now = shared.wanted_shards.load(Ordering::Relaxed);
    let Some((desired, wanted)) = rate::desired(load, now, limits) else {
        return;
    };
    shared.metrics.shards_desired.set(desired);
    let is_held = (*shared.hold_shards.lock()).is_some_and(|until| Instant::now() < until);
    let since_send = now_ms() - shared.last_send_ms.load(Ordering::Relaxed);
    // Without an answer in the meantime, or with a receiver that asked for patience, more requests would not help.
    if wanted != now && !is_held && since_send as f64 <= rate::TICK_SECONDS * 1000.0 {
        shared.wanted_shards.store(wanted, Ordering::Relaxed);
    }
}
