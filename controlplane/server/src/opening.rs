//! Opens the database, or the log of agent mode, and builds what runs on it.

use std::path::Path;
use std::sync::Arc;

use bellwether_model::storage::Appendable;
use bellwether_remote::SeriesCache;
use bellwether_remote::otlp::DeltaToCumulative;
use bellwether_remote::reader::Fanout;
use bellwether_remote::send::{FamilyMetadata, RemoteWriter, Sources};
use bellwether_scrape::ScrapeManager;
use bellwether_tsdb::{AgentDb, AgentOptions, Db, Ingested, LogTail, TsdbError};
use tokio::runtime::Handle;

use crate::alerting::Rules;
use crate::api;
use crate::flags::Feature;
use crate::metrics;
use crate::queries::Queries;
use crate::runtime::{Parts, storage_error};
use crate::server::{ServerError, blocking};
use crate::state::{AgentCore, AppState, Intake, OpenCore, Opened, now_ms};

/// Positions of remote write, in the data directory.
const REMOTE_WRITE_DIR: &str = "remote_write";

/// Opens what the mode needs.
pub(crate) async fn open(state: &Arc<AppState>, parts: &Parts) -> Result<Opened, ServerError> {
    let opened = match &parts.agent {
        Some(agent) => Opened::Agent(open_agent(state, parts, agent).await?),
        None => Opened::Server(open_server(state, parts).await?),
    };
    if state.opened.set(opened.clone()).is_err() {
        return Err(ServerError::Internal(
            "the database was opened twice".to_owned(),
        ));
    }
    Ok(opened)
}

fn create_dir(dir: &Path) -> Result<(), TsdbError> {
    std::fs::create_dir_all(dir).map_err(|source| TsdbError::Io {
        context: "cannot create",
        path: dir.to_owned(),
        source,
    })
}

async fn open_server(state: &Arc<AppState>, parts: &Parts) -> Result<Arc<OpenCore>, ServerError> {
    let (dir, options) = (parts.data_dir.clone(), parts.db_options.clone());
    let opening = blocking(move || {
        create_dir(&dir)?;
        Db::open(&dir, options)
    });
    // Replaying cannot be interrupted; a shutdown meanwhile waits for it so that the directory is left in order.
    let db = opening
        .await?
        .map_err(|source| storage_error(parts, source))?;
    metrics::register_storage(&state.registry, Arc::clone(&db));
    let fanout = Arc::new(Fanout::new(
        Arc::clone(&db) as _,
        local_start(&db),
        &state.registry,
        Handle::current(),
    ));
    let queries = Queries::new(
        db.dir(),
        Arc::clone(&fanout),
        &parts.query,
        &parts.features,
        &state.registry,
    )
    .map_err(|error| ServerError::Internal(format!("file of active queries: {error}")))?;
    let queries = Arc::new(queries);
    let rules = Rules::new(
        &db,
        &queries,
        &parts.rules,
        &parts.features,
        &state.registry,
        &parts.external_url,
        state.spans.traces(),
    );
    let own = Arc::clone(&db);
    let intake = intake(
        state,
        parts,
        Arc::clone(&db) as _,
        db.log_tail(),
        Arc::new(move || own.ingested()),
    );
    Ok(Arc::new(OpenCore {
        db,
        storage: parts.storage.clone(),
        fanout,
        remote_read: api::RemoteRead::new(parts.remote_read.clone(), &state.registry),
        queries,
        rules,
        intake,
    }))
}

async fn open_agent(
    state: &Arc<AppState>,
    parts: &Parts,
    agent: &crate::settings::AgentSettings,
) -> Result<Arc<AgentCore>, ServerError> {
    let dir = parts.data_dir.clone();
    let options = AgentOptions {
        out_of_order_window: parts.db_options.out_of_order_window,
        log: parts.db_options.clone(),
        min_wal_time: agent.min_wal_time,
        max_wal_time: agent.max_wal_time,
        lock: agent.lock,
    };
    let opening = blocking(move || {
        create_dir(&dir)?;
        AgentDb::open(&dir, options)
    });
    let db = opening
        .await?
        .map_err(|source| storage_error(parts, source))?;
    metrics::register_agent(&state.registry, Arc::clone(&db));
    let own = Arc::clone(&db);
    let intake = intake(
        state,
        parts,
        Arc::clone(&db) as _,
        db.log_tail(),
        Arc::new(move || own.ingested()),
    );
    tracing::info!("agent log is open");
    Ok(Arc::new(AgentCore { db, intake }))
}

fn intake(
    state: &AppState,
    parts: &Parts,
    storage: Arc<dyn Appendable>,
    log: LogTail,
    ingested: Arc<dyn Fn() -> Ingested + Send + Sync>,
) -> Arc<Intake> {
    let scrape = Arc::new(ScrapeManager::new(
        Arc::clone(&storage),
        &state.registry,
        parts.scrape_options.clone(),
    ));
    let targets = Arc::clone(&scrape);
    let sources = Sources {
        log,
        ingested,
        metadata: Arc::new(move || families(&targets)),
        type_and_unit_labels: parts.features.has(Feature::TypeAndUnitLabels),
        dir: parts.data_dir.join(REMOTE_WRITE_DIR),
        flush_deadline: parts.remote_flush_deadline,
        traces: state.spans.traces().clone(),
    };
    Arc::new(Intake {
        storage,
        remote_series: SeriesCache::default(),
        otlp: api::OtlpMetrics::new(&state.registry),
        otlp_deltas: (parts.features)
            .has(Feature::OtlpDeltaToCumulative)
            .then(DeltaToCumulative::default),
        scrape,
        remote_write: RemoteWriter::new(sources, &state.registry),
    })
}

/// What the targets expose of their metrics.
fn families(scrape: &ScrapeManager) -> Vec<FamilyMetadata> {
    let targets = scrape.metadata();
    let all = targets.into_iter().flat_map(|target| target.metrics);
    all.map(|metric| FamilyMetadata {
        family: metric.metric,
        kind: metric.kind,
        help: metric.help,
        unit: metric.unit,
    })
    .collect()
}

/// Since when the database has everything, as Prometheus reckons: from its first block, or from now, and a while after
/// that, because everything takes a few minutes to get going.
fn local_start(db: &Arc<Db>) -> Arc<dyn Fn() -> i64 + Send + Sync> {
    let db = Arc::clone(db);
    let range = db.options().min_block_duration;
    let margin = 2 * i64::try_from(range.as_millis()).unwrap_or(i64::MAX / 4);
    Arc::new(move || {
        let first = db.blocks().first().map(|block| block.min_time);
        first.unwrap_or_else(now_ms).saturating_add(margin)
    })
}
