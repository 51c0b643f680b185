//! What runs behind the listeners: the database, scraping, reloads, maintenance.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use bellwether_model::re2::Re2;
use bellwether_scrape::ScrapeOptions;
use bellwether_telemetry::{Gauge, Registry};
use bellwether_tsdb::{Db, DbOptions, Retention, TsdbError, WalCompression, WalSync};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::alerting;
use crate::config::{Config, ConfigError, ConfigSource};
use crate::flags::{Feature, Features};
use crate::http::HttpMetrics;
use crate::metrics::{self, ConfigMetrics};
use crate::notifications::{self, Notifications};
use crate::opening;
use crate::queries::millis;
use crate::reload::{ReloadHandle, ReloadReply};
use crate::rules::RuleSource;
use crate::server::{ServerError, blocking};
use crate::settings::{
    AgentSettings, DEFAULT_RETENTION, EXEMPLARS_MAX, QuerySettings, RemoteReadSettings,
    RuleSettings, ServerSettings, StorageSettings, WalCompressionSetting,
};
use crate::spans::Spans;
use crate::state::{
    AgentCore, AppState, Opened, Phase, RunningConfig, hostname, now_rfc3339_nanos,
};

/// Time between rounds of compaction and retention, as in Prometheus.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is seen whether many chunks are full.
const CLOSED_CHUNKS_INTERVAL: Duration = Duration::from_secs(5);
/// Shutdown of the process, and `/-/quit`.
type Stop = (CancellationToken, CancellationToken);
/// Between two tries of what waits for the end of a query.
const MAINTENANCE_RETRY: Duration = Duration::from_secs(2);

/// What opening and reloading need beyond the shared state.
pub(crate) struct Parts {
    source: ConfigSource,
    pub(crate) data_dir: PathBuf,
    pub(crate) storage: StorageSettings,
    pub(crate) db_options: DbOptions,
    pub(crate) query: QuerySettings,
    pub(crate) remote_read: RemoteReadSettings,
    pub(crate) rules: RuleSettings,
    /// The server's address as people reach it.
    pub(crate) external_url: String,
    pub(crate) features: Features,
    pub(crate) scrape_options: ScrapeOptions,
    auto_reload: Option<Duration>,
    /// The texts of configuration and rule files before they were loaded, to notice a change that happened since.
    pub(crate) loaded_text: Option<String>,
    reload_on_sighup: bool,
    config_metrics: ConfigMetrics,
    pub(crate) ready_gauge: Gauge,
    pub(crate) agent: Option<AgentSettings>,
    pub(crate) remote_flush_deadline: Duration,
}

/// State and parts from settings and a checked configuration; nothing is opened yet.
pub(crate) fn prepare(
    settings: ServerSettings,
    config: Config,
    cors: Re2,
    is_tls: bool,
) -> (Arc<AppState>, mpsc::Receiver<ReloadReply>, Parts) {
    let db_options = db_options(&settings.storage, &settings.features, &config);
    let mut flags = settings.flags;
    // A supervisor may have changed these settings after the flags were written down.
    let switches = [
        ("web.enable-admin-api", settings.web.enable_admin_api),
        ("web.enable-lifecycle", settings.web.enable_lifecycle),
        (
            "web.enable-remote-write-receiver",
            settings.web.enable_remote_write_receiver,
        ),
        (
            "web.enable-otlp-receiver",
            settings.web.enable_otlp_receiver,
        ),
    ];
    flags.extend(switches.map(|(name, on)| (name.to_owned(), on.to_string())));
    let registry = Registry::new();
    let ready_gauge = metrics::register_process(&registry);
    let config_metrics = ConfigMetrics::new(&registry);
    let (reload, reloads) = ReloadHandle::new();
    let followers_max = settings.web.notification_subscribers_max;
    let notifications = Arc::new(Notifications::new(followers_max, &registry));
    let state = Arc::new(AppState {
        http: HttpMetrics::new(registry.clone()),
        registry,
        web: settings.web,
        cors,
        flags,
        features: settings.features.clone(),
        config: ArcSwap::from_pointee(RunningConfig::new(config, &settings.features)),
        reload,
        rules: RuleSource::default(),
        notifications,
        spans: Spans::default(),
        is_tls,
        auto_reload: settings.auto_reload.is_some(),
        quit: CancellationToken::new(),
        hostname: hostname(),
        started_text: now_rfc3339_nanos(),
        phase: watch::Sender::new(Phase::Starting),
        lookback_ms: millis(settings.query.lookback),
        is_agent: settings.agent.is_some(),
        opened: OnceLock::new(),
    });
    let commits_wait = settings.storage.wal_sync == WalSync::Commit;
    let parts = Parts {
        source: settings.config,
        data_dir: settings.data_dir,
        storage: settings.storage,
        db_options,
        query: settings.query,
        remote_read: settings.remote_read,
        rules: settings.rules,
        external_url: state.web.external_url.clone(),
        features: settings.features,
        scrape_options: ScrapeOptions {
            fast_first_scrape: settings.fast_first_scrape,
            offset_seed: offset_seed(&state),
            external_host: state.hostname.clone(),
            commits_wait,
        },
        auto_reload: settings.auto_reload,
        loaded_text: None,
        reload_on_sighup: settings.reload_on_sighup,
        config_metrics,
        ready_gauge,
        agent: settings.agent,
        remote_flush_deadline: settings.remote_flush_deadline,
    };
    (state, reloads, parts)
}

/// Opens the database and looks after it until the end.
pub(crate) async fn run_core(
    state: &Arc<AppState>,
    parts: &Parts,
    reloads: &mut mpsc::Receiver<ReloadReply>,
    shutdown: &CancellationToken,
) -> Result<(), ServerError> {
    state.notifications.add(notifications::STARTING);
    let opened = opening::open(state, parts).await?;
    if let Opened::Server(core) = &opened {
        core.rules.show_in(&state.rules);
    }
    let stopping = || shutdown.is_cancelled() || state.quit.is_cancelled();
    let first = state.config.load_full();
    if !stopping() {
        apply(state, &opened, &first.config, &parts.features)
            .await
            .map_err(ServerError::Internal)?;
    }
    log_without_effect(&first.config);
    parts.config_metrics.loaded(first.loaded_at_ms);
    if stopping() {
        return Ok(());
    }
    state.phase.send_replace(Phase::Ready);
    state.notifications.remove(notifications::STARTING);
    parts.ready_gauge.set(1.0);
    tracing::info!("Server is ready to receive web requests.");
    let stop = (shutdown.clone(), state.quit.clone());
    let maintenance = match (&opened, &parts.agent) {
        (Opened::Agent(core), Some(agent)) => tokio::spawn(truncate(
            Arc::clone(core),
            agent.truncate_frequency,
            stop.clone(),
        )),
        (Opened::Server(core), _) => tokio::spawn(maintain(Arc::clone(&core.db), stop.clone())),
        (Opened::Agent(_), None) => tokio::spawn(std::future::ready(())),
    };
    let syncing = tokio::spawn(sync_log(opened.clone(), parts.db_options.wal_sync, stop));
    watch_for_reloads(state, parts, &opened, reloads, shutdown).await;
    if let Err(error) = syncing.await {
        return Err(ServerError::Internal(format!(
            "syncing of the log: {error}"
        )));
    }
    if let Err(error) = maintenance.await {
        return Err(ServerError::Internal(format!(
            "maintenance of the database: {error}"
        )));
    }
    Ok(())
}

/// Serves reload requests, SIGHUP and file changes until shutdown.
async fn watch_for_reloads(
    state: &Arc<AppState>,
    parts: &Parts,
    opened: &Opened,
    reloads: &mut mpsc::Receiver<ReloadReply>,
    shutdown: &CancellationToken,
) {
    let mut sighup = Sighup::new(parts.reload_on_sighup);
    let mut poll = tokio::time::interval(parts.auto_reload.unwrap_or(Duration::from_secs(3600)));
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = parts.loaded_text.clone();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = state.quit.cancelled() => return,
            Some(reply) = reloads.recv() => {
                // Before loading: what is written afterwards is a change again.
                seen = read_text(&parts.source).await;
                let result = reload(state, parts, opened).await;
                // The asker may have gone away; the reload is done all the same.
                let _ = reply.send(result);
            }
            () = sighup.recv() => {
                seen = read_text(&parts.source).await;
                let _ = reload(state, parts, opened).await;
            }
            _ = poll.tick(), if parts.auto_reload.is_some() => {
                let now = read_text(&parts.source).await;
                if now.is_some() && now != seen {
                    tracing::info!("configuration file has changed, reloading");
                    let _ = reload(state, parts, opened).await;
                    seen = now;
                }
            }
        }
    }
}

/// Loads and applies the configuration; on an error the running one stays.
async fn reload(state: &AppState, parts: &Parts, opened: &Opened) -> Result<(), String> {
    let (source, features) = (parts.source.clone(), parts.features.clone());
    let is_agent = state.is_agent;
    let load = move || {
        let config = source.load()?;
        config.check_runnable(&source.name())?;
        if is_agent {
            config.check_agent_mode()?;
        }
        alerting::check_rule_files(&config, &features)?;
        Ok::<_, ConfigError>(config)
    };
    let loaded = match blocking(load).await {
        Ok(loaded) => loaded.map_err(|e| {
            format!(
                "couldn't load configuration (--config.file={:?}): {e}",
                parts.source.name()
            )
        }),
        Err(error) => Err(error.to_string()),
    };
    let applied = match loaded {
        Ok(config) => match apply(state, opened, &config, &parts.features).await {
            Ok(()) => Ok(config),
            Err(error) => Err(format!(
                "one or more errors occurred while applying the new configuration (--config.file={:?}): {error}",
                parts.source.name()
            )),
        },
        Err(error) => Err(error),
    };
    match applied {
        Ok(config) => {
            log_without_effect(&config);
            let running = RunningConfig::new(config, &state.features);
            parts.config_metrics.loaded(running.loaded_at_ms);
            state.notifications.remove(notifications::RELOAD_FAILED);
            state.config.store(Arc::new(running));
            tracing::info!(
                source = parts.source.name(),
                "Completed loading of configuration file"
            );
            Ok(())
        }
        Err(error) => {
            tracing::error!(
                error,
                "cannot reload the configuration, the running one stays in force"
            );
            parts.config_metrics.failed();
            state.notifications.add(notifications::RELOAD_FAILED);
            state.config.rcu(|running| RunningConfig {
                config: running.config.clone(),
                yaml: running.yaml.clone(),
                loaded_at_ms: running.loaded_at_ms,
                last_reload_ok: false,
            });
            Err(error)
        }
    }
}

/// Brings what runs in line with a configuration.
async fn apply(
    state: &AppState,
    opened: &Opened,
    config: &Config,
    features: &Features,
) -> Result<(), String> {
    let writes = config.write_settings()?;
    state
        .spans
        .apply(config.tracing.as_ref(), &config.base_dir)
        .await?;
    if let Opened::Server(core) = opened {
        let (db, window) = (Arc::clone(&core.db), out_of_order_window(config));
        // Before the queues start, so that they miss nothing.
        core.db.set_tailed(!writes.is_empty());
        match blocking(move || db.set_out_of_order_window(window)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(error.to_string()),
            Err(error) => return Err(error.to_string()),
        }
        core.db.set_retention(retention(&core.storage, config));
        let threshold = config.storage.stale_series_compaction_threshold();
        core.db.set_stale_series_compaction_threshold(threshold);
        core.fanout
            .apply(&config.read_settings()?, &config.external_labels)?;
    }
    let intake = opened.intake();
    intake
        .remote_write
        .apply(writes, &config.external_labels)
        .await?;
    let defaults = config.scrape_defaults(features);
    let scrapes: Vec<_> = config.all_scrape_configs().cloned().collect();
    intake
        .scrape
        .apply(&scrapes, &defaults)
        .await
        .map_err(|e| e.to_string())?;
    let Opened::Server(core) = opened else {
        return Ok(());
    };
    core.queries.set_log(config.query_log_path().as_deref())?;
    core.queries
        .set_subquery_step(config.global.evaluation_interval_ms());
    core.rules
        .apply(config, features)
        .await
        .map_err(|e| e.to_string())?;
    Ok(())
}

/// Says once for each configuration which of its keys do nothing here.
fn log_without_effect(config: &Config) {
    for (key, reason) in config.without_effect() {
        tracing::warn!(key, reason, "this key of the configuration has no effect");
    }
}

/// Compaction and retention, once a minute. What waits for the end of a query is tried again sooner, and many full
/// chunks do not wait for the minute.
async fn maintain(db: Arc<Db>, (shutdown, quit): Stop) {
    let mut tick = tokio::time::interval(MAINTENANCE_INTERVAL);
    let mut closed = tokio::time::interval(CLOSED_CHUNKS_INTERVAL);
    for interval in [&mut tick, &mut closed] {
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    }
    let mut waits = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = quit.cancelled() => return,
            _ = tick.tick(), if !waits => {}
            () = tokio::time::sleep(MAINTENANCE_RETRY), if waits => {}
            _ = closed.tick(), if !waits => {
                if db.has_many_closed_chunks() {
                    move_closed_chunks(&db).await;
                }
                continue;
            }
        }
        waits = false;
        let worker = Arc::clone(&db);
        match blocking(move || worker.run_maintenance()).await {
            Ok(Ok(report)) => {
                waits = report.truncation_waits;
                tracing::debug!(?report, "database maintenance");
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "database maintenance failed, it will be tried again");
            }
            Err(error) => tracing::error!(%error, "database maintenance ended abnormally"),
        }
    }
}

async fn move_closed_chunks(db: &Arc<Db>) {
    let worker = Arc::clone(db);
    match blocking(move || worker.move_closed_chunks()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "full chunks stay in memory for now"),
        Err(error) => tracing::error!(%error, "moving full chunks ended abnormally"),
    }
}

/// Forgets what an agent has sent, from time to time.
async fn truncate(core: Arc<AgentCore>, every: Duration, (shutdown, quit): Stop) {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = quit.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let sent_ms = core.intake.remote_write.lowest_sent_ms().await;
        let db = Arc::clone(&core.db);
        match blocking(move || db.truncate(sent_ms)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot cut the log, it will be tried again");
            }
            Err(error) => tracing::error!(%error, "cutting the log ended abnormally"),
        }
    }
}

/// Forces what commits left to the operating system to the disk, where an interval was chosen.
async fn sync_log(opened: Opened, when: WalSync, (shutdown, quit): Stop) {
    let WalSync::Interval(every) = when else {
        return;
    };
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = quit.cancelled() => return,
            _ = tick.tick() => {}
        }
        let opened = opened.clone();
        let work = move || match &opened {
            Opened::Server(core) => core.db.sync_log(),
            Opened::Agent(core) => core.db.sync_log(),
        };
        match blocking(work).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "cannot sync the log, it will be tried again");
            }
            Err(error) => tracing::error!(%error, "syncing of the log ended abnormally"),
        }
    }
}

/// SIGHUP where the platform has it.
struct Sighup {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Sighup {
    #[cfg(unix)]
    fn new(enabled: bool) -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let signal = enabled
            .then(|| signal(SignalKind::hangup()))
            .and_then(|result| {
                result
                    .map_err(|error| tracing::warn!(%error, "cannot listen for SIGHUP"))
                    .ok()
            });
        Self { signal }
    }

    #[cfg(not(unix))]
    fn new(_: bool) -> Self {
        Self {}
    }

    async fn recv(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

async fn read_text(source: &ConfigSource) -> Option<String> {
    let source = source.clone();
    blocking(move || alerting::texts(&source))
        .await
        .ok()
        .flatten()
}

/// The section of the configuration file, where there is one, says everything; the flags, which are older, count only
/// without it. As in Prometheus, a size alone switches the default of the age off.
fn retention(flags: &StorageSettings, config: &Config) -> Retention {
    if let Some(written) = config.storage.retention() {
        return Retention {
            time: written.time.0,
            size: written.size.0,
            percentage: written.percentage,
        };
    }
    let size = flags.retention_size.unwrap_or(0);
    let time = flags.retention.filter(|t| !t.is_zero());
    let default = match size {
        0 => DEFAULT_RETENTION,
        _ => Duration::ZERO,
    };
    Retention {
        time: time.unwrap_or(default),
        size,
        percentage: 0.0,
    }
}

fn db_options(storage: &StorageSettings, features: &Features, config: &Config) -> DbOptions {
    let retention = retention(storage, config);
    let exemplars = config.storage.exemplars.as_ref();
    let exemplars = exemplars.and_then(|e| e.max_exemplars);
    let exemplars = exemplars.map_or(EXEMPLARS_MAX, |max| usize::try_from(max).unwrap_or(0));
    let default = DbOptions::default();
    DbOptions {
        retention: retention.time,
        retention_size: retention.size,
        retention_percentage: retention.percentage,
        wal_segment_size: storage.wal_segment_size.unwrap_or(default.wal_segment_size),
        wal_compression: match storage.wal_compression {
            WalCompressionSetting::None => WalCompression::None,
            WalCompressionSetting::Snappy => WalCompression::Snappy,
            WalCompressionSetting::Zstd => WalCompression::Zstd,
        },
        wal_sync: storage.wal_sync,
        out_of_order_window: out_of_order_window(config),
        min_block_duration: storage.min_block_duration,
        max_block_duration: storage.max_block_duration.unwrap_or(Duration::ZERO),
        exemplars_max: if features.has(Feature::ExemplarStorage) {
            exemplars
        } else {
            0
        },
        ..default
    }
}

fn out_of_order_window(config: &Config) -> Duration {
    let tsdb = config.storage.tsdb.as_ref();
    tsdb.and_then(|t| t.out_of_order_time_window)
        .map_or(Duration::ZERO, |w| w.0)
}

/// Spreads two servers with the same targets over the interval: by host name and external labels, as Prometheus does.
fn offset_seed(state: &AppState) -> u64 {
    let external = &state.config.load().config.external_labels;
    let mut builder = external.to_builder();
    builder.set("__hostname__", &state.hostname);
    builder.build().fast_hash()
}

pub(crate) fn storage_error(parts: &Parts, source: TsdbError) -> ServerError {
    ServerError::Storage {
        dir: parts.data_dir.clone(),
        source,
    }
}
