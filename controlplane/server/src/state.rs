//! What all handlers share.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use axum::extract::State;
use bellwether_model::re2::Re2;
use bellwether_model::storage::Appendable;
use bellwether_remote::SeriesCache;
use bellwether_remote::otlp::DeltaToCumulative;
use bellwether_remote::reader::Fanout;
use bellwether_remote::send::RemoteWriter;
use bellwether_scrape::ScrapeManager;
use bellwether_telemetry::Registry;
use bellwether_tsdb::{AgentDb, Db};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::alerting::Rules;
use crate::api::{OtlpMetrics, RemoteRead};
use crate::config::Config;
use crate::flags::Features;
use crate::http::HttpMetrics;
use crate::notifications::Notifications;
use crate::queries::Queries;
use crate::reload::ReloadHandle;
use crate::rules::RuleSource;
use crate::settings::{StorageSettings, WebSettings};
use crate::spans::Spans;

/// The extractor of the shared state.
pub(crate) type Shared = State<Arc<AppState>>;

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Ports are bound, the database is being opened: health answers, everything else says 503.
    Starting,
    /// Everything answers.
    Ready,
    /// Draining.
    Stopping,
}

/// The configuration in force.
#[derive(Debug)]
pub(crate) struct RunningConfig {
    pub(crate) config: Config,
    /// As `/api/v1/status/config` shows it.
    pub(crate) yaml: String,
    pub(crate) loaded_at_ms: i64,
    /// Whether the latest attempt to load succeeded; the one in force always did.
    pub(crate) last_reload_ok: bool,
}

impl RunningConfig {
    pub(crate) fn new(config: Config, features: &Features) -> Self {
        let yaml = config.with_defaults(features).to_yaml();
        Self {
            config,
            yaml,
            loaded_at_ms: now_ms(),
            last_reload_ok: true,
        }
    }
}

/// What takes samples in and sends them on, in both modes.
pub(crate) struct Intake {
    pub(crate) storage: Arc<dyn Appendable>,
    pub(crate) remote_series: SeriesCache,
    pub(crate) otlp: OtlpMetrics,
    /// Where OTLP's delta temporality is to become cumulative.
    pub(crate) otlp_deltas: Option<DeltaToCumulative>,
    pub(crate) scrape: Arc<ScrapeManager>,
    pub(crate) remote_write: RemoteWriter,
}

/// The open database and what runs on it.
pub(crate) struct OpenCore {
    pub(crate) db: Arc<Db>,
    /// What the flags say about the database; the configuration may say more.
    pub(crate) storage: StorageSettings,
    /// The database and the systems that remote read asks.
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) remote_read: RemoteRead,
    pub(crate) queries: Arc<Queries>,
    pub(crate) rules: Rules,
    pub(crate) intake: Arc<Intake>,
}

impl Deref for OpenCore {
    type Target = Intake;

    fn deref(&self) -> &Intake {
        &self.intake
    }
}

/// The open log of agent mode and what runs on it.
pub(crate) struct AgentCore {
    pub(crate) db: Arc<AgentDb>,
    pub(crate) intake: Arc<Intake>,
}

/// What was opened.
#[derive(Clone)]
pub(crate) enum Opened {
    Server(Arc<OpenCore>),
    Agent(Arc<AgentCore>),
}

impl Opened {
    pub(crate) fn intake(&self) -> &Arc<Intake> {
        match self {
            Self::Server(core) => &core.intake,
            Self::Agent(core) => &core.intake,
        }
    }

    /// Repaired places in the log, and the segment that is written.
    pub(crate) fn log(&self) -> (u64, u64) {
        match self {
            Self::Server(core) => {
                let stats = core.db.stats();
                (stats.wal_corruptions, stats.wal_segment_current)
            }
            Self::Agent(core) => {
                let stats = core.db.stats();
                (stats.corruptions, stats.segment)
            }
        }
    }
}

/// State of the HTTP handlers. Lives as long as the server.
pub(crate) struct AppState {
    pub(crate) registry: Registry,
    pub(crate) http: HttpMetrics,
    pub(crate) web: WebSettings,
    pub(crate) cors: Re2,
    pub(crate) flags: BTreeMap<String, String>,
    pub(crate) features: Features,
    pub(crate) config: ArcSwap<RunningConfig>,
    pub(crate) reload: ReloadHandle,
    pub(crate) rules: RuleSource,
    pub(crate) notifications: Arc<Notifications>,
    pub(crate) spans: Spans,
    /// Whether the listeners speak TLS.
    pub(crate) is_tls: bool,
    /// Whether changes of the configuration file are looked for.
    pub(crate) auto_reload: bool,
    /// Cancelled by `/-/quit`.
    pub(crate) quit: CancellationToken,
    pub(crate) hostname: String,
    pub(crate) started_text: String,
    pub(crate) phase: watch::Sender<Phase>,
    /// How far an instant selector looks back.
    pub(crate) lookback_ms: i64,
    /// Agent mode: there is nothing to query.
    pub(crate) is_agent: bool,
    /// Set once, when the database is open.
    pub(crate) opened: OnceLock<Opened>,
}

impl AppState {
    pub(crate) fn core(&self) -> Option<&Arc<OpenCore>> {
        match self.opened.get()? {
            Opened::Server(core) => Some(core),
            Opened::Agent(_) => None,
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.phase() == Phase::Ready
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// RFC 3339 in UTC with milliseconds where there are any.
pub(crate) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map(|t| t.to_string())
        .unwrap_or_default()
}

/// RFC 3339 in UTC with whole seconds.
pub(crate) fn rfc3339_seconds(ms: i64) -> String {
    rfc3339(ms.div_euclid(1000) * 1000)
}

/// Now, as Go prints a time.
pub(crate) fn now_rfc3339_nanos() -> String {
    jiff::Timestamp::now().to_string()
}

/// The machine's name, for the API.
pub(crate) fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "localhost".to_owned())
}
