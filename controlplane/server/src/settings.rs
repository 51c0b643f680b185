//! What code hands to the server: from flags ([`crate::ServerFlags::settings`]) or built directly by the supervisor.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bellwether_rules::GroupOptions;
use bellwether_rules::notifier::NotifierOptions;
use bellwether_tsdb::WalSync;
use tokio::net::TcpListener;

use crate::config::ConfigSource;
use crate::flags::{Feature, Features};

/// Prometheus' retention when nothing is set.
pub const DEFAULT_RETENTION: Duration = Duration::from_secs(15 * 24 * 3600);

/// Exemplars kept when the feature is on and the configuration says nothing.
pub(crate) const EXEMPLARS_MAX: usize = 100_000;

/// Prometheus' default of `--storage.remote.flush-deadline`.
pub(crate) const REMOTE_FLUSH_DEADLINE: Duration = Duration::from_secs(60);

/// Agent mode.
#[derive(Clone, Debug)]
pub struct AgentSettings {
    /// How long samples stay in the log at least.
    pub min_wal_time: Duration,
    /// How long samples stay in the log at most, whether they are sent or not.
    pub max_wal_time: Duration,
    /// Between two times that the log is cut.
    pub truncate_frequency: Duration,
    /// Whether the directory is locked against other processes.
    pub lock: bool,
}

impl Default for AgentSettings {
    fn default() -> Self {
        Self {
            min_wal_time: Duration::from_secs(5 * 60),
            max_wal_time: Duration::from_secs(4 * 3600),
            truncate_frequency: Duration::from_secs(2 * 3600),
            lock: true,
        }
    }
}

/// Everything the server needs to start.
#[derive(Debug)]
pub struct ServerSettings {
    /// Where `prometheus.yml` comes from.
    pub config: ConfigSource,
    /// Where to listen; at least one.
    pub listen: Vec<Listen>,
    /// What a user changes to get another address, for error messages.
    pub listen_option: String,
    /// Directory of the database.
    pub data_dir: PathBuf,
    /// HTTP.
    pub web: WebSettings,
    /// Database.
    pub storage: StorageSettings,
    /// Queries.
    pub query: QuerySettings,
    /// Remote read.
    pub remote_read: RemoteReadSettings,
    /// How long remote write may still send at the end and when an entry changes.
    pub remote_flush_deadline: Duration,
    /// Agent mode: scrape and send, store and query nothing. `data_dir` is its directory then.
    pub agent: Option<AgentSettings>,
    /// Rules and notifications.
    pub rules: RuleSettings,
    /// Enabled features.
    pub features: Features,
    /// How often to look for changes of the configuration file; `None` never.
    pub auto_reload: Option<Duration>,
    /// First scrape of a target at once instead of at its slot in the interval.
    pub fast_first_scrape: bool,
    /// Whether SIGHUP reloads the configuration; off where the process holds other components.
    pub reload_on_sighup: bool,
    /// What `/api/v1/status/flags` shows.
    pub flags: BTreeMap<String, String>,
}

/// A place to listen.
#[derive(Debug)]
pub enum Listen {
    /// `host:port`; an empty host means all interfaces.
    Address(String),
    /// Bound already.
    Bound(TcpListener),
}

/// HTTP settings.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// TLS, users and headers of the listeners.
    pub config_file: Option<PathBuf>,
    /// URL under which people reach the server; empty when unknown.
    pub external_url: String,
    /// `/` or `/path`.
    pub route_prefix: String,
    /// `/-/reload` and `/-/quit` work.
    pub enable_lifecycle: bool,
    /// `/api/v1/admin/tsdb/...` works.
    pub enable_admin_api: bool,
    /// `/api/v1/write` works.
    pub enable_remote_write_receiver: bool,
    /// Messages that `/api/v1/write` takes.
    pub write_messages: Vec<WriteMessage>,
    /// `/api/v1/otlp/v1/metrics` works.
    pub enable_otlp_receiver: bool,
    /// Most results of a search, 0 for no limit.
    pub search_limit_max: usize,
    /// Clients of `/api/v1/notifications/live`.
    pub notification_subscribers_max: usize,
    /// Connections of each listener.
    pub max_connections: usize,
    /// Time to read a request.
    pub read_timeout: Duration,
    /// Anchored RE2 pattern of allowed origins.
    pub cors_origin: String,
    /// What the pages on this port are told about planes, names and limits.
    pub ui_config: bellwether_dashboard::UiConfig,
}

impl Default for WebSettings {
    fn default() -> Self {
        Self {
            config_file: None,
            external_url: String::new(),
            route_prefix: "/".to_owned(),
            enable_lifecycle: false,
            enable_admin_api: false,
            enable_remote_write_receiver: false,
            write_messages: WriteMessage::ALL.to_vec(),
            enable_otlp_receiver: false,
            search_limit_max: 10_000,
            notification_subscribers_max: 16,
            max_connections: 512,
            read_timeout: Duration::from_secs(300),
            cors_origin: ".*".to_owned(),
            ui_config: bellwether_dashboard::UiConfig::default(),
        }
    }
}

/// A message of remote write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMessage {
    /// `prometheus.WriteRequest`, version 1.
    V1,
    /// `io.prometheus.write.v2.Request`, version 2.
    V2,
}

impl WriteMessage {
    /// All, in Prometheus' order.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// Its protobuf name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "prometheus.WriteRequest",
            Self::V2 => "io.prometheus.write.v2.Request",
        }
    }

    /// The message of a protobuf name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|m| m.as_str() == name)
    }
}

/// Compression of WAL records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WalCompressionSetting {
    /// None.
    None,
    /// Snappy.
    #[default]
    Snappy,
    /// Zstandard.
    Zstd,
}

/// Database settings; `None` leaves the choice to the configuration file and then to the default.
#[derive(Clone, Debug)]
pub struct StorageSettings {
    /// Age at which blocks go.
    pub retention: Option<Duration>,
    /// Size at which blocks go, in bytes.
    pub retention_size: Option<u64>,
    /// Size of a WAL segment in bytes.
    pub wal_segment_size: Option<u64>,
    /// Compression of WAL records.
    pub wal_compression: WalCompressionSetting,
    /// When the log is forced to the disk.
    pub wal_sync: WalSync,
    /// Range of a block cut from the head.
    pub min_block_duration: Duration,
    /// Range of the largest block.
    pub max_block_duration: Option<Duration>,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            retention: None,
            retention_size: None,
            wal_segment_size: None,
            wal_compression: WalCompressionSetting::default(),
            wal_sync: WalSync::default(),
            min_block_duration: Duration::from_secs(2 * 3600),
            max_block_duration: None,
        }
    }
}

/// Limits of `/api/v1/read`.
#[derive(Clone, Debug)]
pub struct RemoteReadSettings {
    /// Samples of a query's answer, 0 for no limit. Streamed answers are not limited.
    pub sample_limit: usize,
    /// Requests at one time, 0 for no limit.
    pub concurrent_max: usize,
    /// Bytes that a frame of a streamed answer aims at.
    pub bytes_in_frame_max: usize,
}

impl Default for RemoteReadSettings {
    fn default() -> Self {
        Self {
            sample_limit: 50_000_000,
            concurrent_max: 10,
            bytes_in_frame_max: 1 << 20,
        }
    }
}

/// Limits of queries.
#[derive(Clone, Debug)]
pub struct QuerySettings {
    /// Lookback of instant selectors.
    pub lookback: Duration,
    /// Time limit.
    pub timeout: Duration,
    /// Queries at one time.
    pub max_concurrency: usize,
    /// Samples in memory.
    pub max_samples: usize,
}

impl Default for QuerySettings {
    fn default() -> Self {
        Self {
            lookback: Duration::from_secs(300),
            timeout: Duration::from_secs(120),
            max_concurrency: 20,
            max_samples: 50_000_000,
        }
    }
}

/// Rules and notifications.
#[derive(Clone, Debug)]
pub struct RuleSettings {
    /// Times around alerts.
    pub groups: GroupOptions,
    /// Rules that run beside others of their group; counts with [`Feature::ConcurrentRuleEval`].
    pub max_concurrent_evals: usize,
    /// Queues of Alertmanagers.
    pub notifier: NotifierOptions,
}

impl Default for RuleSettings {
    fn default() -> Self {
        Self {
            groups: GroupOptions::default(),
            max_concurrent_evals: 4,
            notifier: NotifierOptions::default(),
        }
    }
}

impl ServerSettings {
    /// Settings for a server inside a larger process: this configuration, data directory and address, everything
    /// else at Prometheus' defaults, with exemplars kept and targets scraped at once.
    #[must_use]
    pub fn embedded(config: ConfigSource, data_dir: PathBuf, listen: Listen) -> Self {
        let mut flags = BTreeMap::new();
        flags.insert("config.file".to_owned(), config.name());
        flags.insert(
            "storage.tsdb.path".to_owned(),
            data_dir.display().to_string(),
        );
        flags.insert(
            "storage.tsdb.min-block-duration".to_owned(),
            "2h".to_owned(),
        );
        flags.insert(
            "storage.tsdb.max-block-duration".to_owned(),
            "1d12h".to_owned(),
        );
        Self {
            config,
            listen: vec![listen],
            listen_option: "--web.listen-address".to_owned(),
            data_dir,
            web: WebSettings::default(),
            storage: StorageSettings::default(),
            query: QuerySettings::default(),
            remote_read: RemoteReadSettings::default(),
            remote_flush_deadline: REMOTE_FLUSH_DEADLINE,
            agent: None,
            rules: RuleSettings::default(),
            features: Features::of(&[Feature::ExemplarStorage]),
            auto_reload: None,
            fast_first_scrape: true,
            reload_on_sighup: false,
            flags,
        }
    }
}

/// `host:port` or `:port` as a socket address. Host names resolve to their first address. Blocks on the resolver.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn resolve_address(text: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs;
    let full = match text.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => text.to_owned(),
    };
    full.to_socket_addrs()
        .map_err(|e| format!("{text:?} is not an address like 0.0.0.0:9090 or :9090: {e}"))?
        .next()
        .ok_or_else(|| format!("{text:?} resolves to no address"))
}
