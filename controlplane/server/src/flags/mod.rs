//! The command line of `bellwether server`: Prometheus' own flags.
//!
//! Flags that this build honours are fields of [`ServerFlags`]; the rest of Prometheus' flags stand in the table of
//! `table`: they are accepted at their default and refused with a clear error otherwise, so that nobody believes in
//! a setting that does nothing.

mod agent;
mod error;
mod features;
mod rules;
mod sizes;
mod table;
mod texts;
mod wal_sync;

use std::path::PathBuf;
use std::time::Duration;

use bellwether_model::duration;
use bellwether_telemetry::LogFormat;
use bellwether_tsdb::WalSync;
use clap::{ArgAction, Args, ValueEnum};

pub use agent::AgentFlags;
pub use error::FlagError;
pub use features::{Feature, Features};
pub use rules::RuleFlags;
pub use table::OtherFlags;

use crate::config::ConfigSource;
use crate::settings::{
    Listen, QuerySettings, RemoteReadSettings, ServerSettings, StorageSettings,
    WalCompressionSetting, WebSettings, WriteMessage,
};

/// Severity from which messages are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Per operation.
    Debug,
    /// Life cycle.
    #[default]
    Info,
    /// Odd but handled.
    Warn,
    /// Data lost or a human needed.
    Error,
}

impl LogLevel {
    /// The flag's text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormatFlag {
    /// For people.
    #[default]
    Logfmt,
    /// One JSON object per line.
    Json,
}

/// Compression of WAL records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WalCompressionFlag {
    /// Snappy, the default.
    #[default]
    Snappy,
    /// Zstandard.
    Zstd,
}

/// Flags of the metrics server, as Prometheus 3 names them.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Metrics server")]
pub struct ServerFlags {
    /// Agent mode. First, because it looks at all that was given before the others take it.
    #[command(flatten)]
    pub agent: AgentFlags,

    /// Configuration file
    #[arg(
        long = "config.file",
        value_name = "FILE",
        default_value = "prometheus.yml"
    )]
    pub config_file: PathBuf,
    /// Reload the configuration when its file, or one that it names, changes
    #[arg(long = "config.auto-reload", overrides_with = "no_auto_reload")]
    pub auto_reload: bool,
    #[arg(
        long = "no-config.auto-reload",
        hide = true,
        overrides_with = "auto_reload"
    )]
    no_auto_reload: bool,
    /// How often to look for changes (needs --config.auto-reload)
    #[arg(long = "config.auto-reload-interval", value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub auto_reload_interval: Duration,

    /// Address to listen on for the API and the pages, may be repeated; ":9090" means all interfaces
    #[arg(
        long = "web.listen-address",
        value_name = "HOST:PORT",
        default_value = "0.0.0.0:9090"
    )]
    pub listen_address: Vec<String>,
    /// File with TLS, users and headers of the listeners, read again when it changes
    #[arg(long = "web.config.file", value_name = "FILE", value_parser = file)]
    pub web_config_file: Option<PathBuf>,
    /// Longest time to read a request, and to keep an idle connection
    #[arg(long = "web.read-timeout", value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub read_timeout: Duration,
    /// Most simultaneous connections of each listener
    #[arg(long = "web.max-connections", value_name = "N", default_value_t = 512)]
    pub max_connections: usize,
    /// URL under which people reach this server; its path becomes the prefix of all routes
    #[arg(
        long = "web.external-url",
        value_name = "URL",
        default_value = "",
        hide_default_value = true
    )]
    pub external_url: String,
    /// Prefix of all routes; the path of --web.external-url by default
    #[arg(
        long = "web.route-prefix",
        value_name = "PATH",
        default_value = "",
        hide_default_value = true
    )]
    pub route_prefix: String,
    /// Allow shutdown and reload by HTTP request
    #[arg(long = "web.enable-lifecycle", overrides_with = "no_enable_lifecycle")]
    pub enable_lifecycle: bool,
    #[arg(
        long = "no-web.enable-lifecycle",
        hide = true,
        overrides_with = "enable_lifecycle"
    )]
    no_enable_lifecycle: bool,
    /// Allow deletion and snapshots by HTTP request
    #[arg(long = "web.enable-admin-api", overrides_with = "no_enable_admin_api")]
    pub enable_admin_api: bool,
    #[arg(
        long = "no-web.enable-admin-api",
        hide = true,
        overrides_with = "enable_admin_api"
    )]
    no_enable_admin_api: bool,
    /// Accept remote write requests at /api/v1/write
    #[arg(
        long = "web.enable-remote-write-receiver",
        overrides_with = "no_enable_remote_write"
    )]
    pub enable_remote_write_receiver: bool,
    #[arg(
        long = "no-web.enable-remote-write-receiver",
        hide = true,
        overrides_with = "enable_remote_write_receiver"
    )]
    no_enable_remote_write: bool,
    /// Messages that /api/v1/write accepts, may be repeated; both by default
    #[arg(
        long = "web.remote-write-receiver.accepted-protobuf-messages",
        value_name = "MESSAGE",
        value_parser = write_message,
        action = ArgAction::Append
    )]
    pub accepted_messages: Vec<WriteMessage>,
    /// Accept OTLP metrics at /api/v1/otlp/v1/metrics
    #[arg(long = "web.enable-otlp-receiver", overrides_with = "no_enable_otlp")]
    pub enable_otlp_receiver: bool,
    #[arg(
        long = "no-web.enable-otlp-receiver",
        hide = true,
        overrides_with = "enable_otlp_receiver"
    )]
    no_enable_otlp: bool,
    /// Most results that a search may ask for, 0 is no limit
    #[arg(
        long = "web.search.max-limit",
        value_name = "N",
        default_value_t = 10_000
    )]
    pub search_max_limit: usize,
    /// Most clients that follow /api/v1/notifications/live at one time
    #[arg(
        long = "web.max-notifications-subscribers",
        value_name = "N",
        default_value_t = 16
    )]
    pub max_notifications_subscribers: usize,
    /// Pattern of origins that browsers may call from, anchored at both ends
    #[arg(long = "web.cors.origin", value_name = "REGEX", default_value = ".*")]
    pub cors_origin: String,

    /// Directory of the database
    #[arg(
        long = "storage.tsdb.path",
        value_name = "DIR",
        default_value = "data/"
    )]
    pub storage_path: PathBuf,
    /// How long to keep samples; 15d if neither this nor the size is set
    #[arg(long = "storage.tsdb.retention.time", value_name = "DURATION", value_parser = parse_duration)]
    pub retention_time: Option<Duration>,
    /// How many bytes of blocks and log to keep, for example 512MB; units are powers of 1024
    #[arg(long = "storage.tsdb.retention.size", value_name = "BYTES", value_parser = sizes::parse)]
    pub retention_size: Option<u64>,
    /// Compress the write-ahead log (the default)
    #[arg(
        long = "storage.tsdb.wal-compression",
        overrides_with = "no_wal_compression",
        hide = true
    )]
    wal_compression: bool,
    /// Do not compress the write-ahead log
    #[arg(
        long = "no-storage.tsdb.wal-compression",
        overrides_with = "wal_compression"
    )]
    no_wal_compression: bool,
    /// Compression of the write-ahead log
    #[arg(
        long = "storage.tsdb.wal-compression-type",
        value_enum,
        default_value_t
    )]
    pub wal_compression_type: WalCompressionFlag,
    /// Size at which a new segment of the write-ahead log begins, 10MB to 256MB; 128MB by default
    #[arg(long = "storage.tsdb.wal-segment-size", value_name = "BYTES", value_parser = sizes::parse)]
    pub wal_segment_size: Option<u64>,
    /// When the write-ahead log is forced to the disk: segment (soon after a segment ends, as Prometheus does), commit (at
    /// every commit), or a duration (at least that often). A killed process loses nothing with any of them; this is
    /// about a crash of the machine
    #[arg(long = "storage.tsdb.wal-sync", value_name = "WHEN", default_value = "segment", value_parser = wal_sync::parse)]
    pub wal_sync: WalSync,
    /// Range of the smallest block
    #[arg(long = "storage.tsdb.min-block-duration", value_name = "DURATION", default_value = "2h", value_parser = parse_duration, hide = true)]
    pub min_block_duration: Duration,
    /// Range of the largest block; a tenth of the retention by default
    #[arg(long = "storage.tsdb.max-block-duration", value_name = "DURATION", value_parser = parse_duration, hide = true)]
    pub max_block_duration: Option<Duration>,

    /// How far an instant selector looks back
    #[arg(long = "query.lookback-delta", value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    pub lookback_delta: Duration,
    /// Longest time a query may take
    #[arg(long = "query.timeout", value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    pub query_timeout: Duration,
    /// Most queries at one time; more wait in line
    #[arg(long = "query.max-concurrency", value_name = "N", default_value_t = 20)]
    pub max_concurrency: usize,
    /// Most samples a query may hold in memory
    #[arg(
        long = "query.max-samples",
        value_name = "N",
        default_value_t = 50_000_000,
        value_parser = sizes::count
    )]
    pub max_samples: usize,

    /// Most samples that one query of a remote read request may return, 0 is no limit; streamed answers are not limited
    #[arg(
        long = "storage.remote.read-sample-limit",
        value_name = "N",
        default_value_t = 50_000_000,
        value_parser = sizes::count
    )]
    pub read_sample_limit: usize,
    /// Most remote read requests at one time, 0 is no limit
    #[arg(
        long = "storage.remote.read-concurrent-limit",
        value_name = "N",
        default_value_t = 10
    )]
    pub read_concurrent_limit: usize,
    /// Bytes that a frame of a streamed remote read answer aims at
    #[arg(
        long = "storage.remote.read-max-bytes-in-frame",
        value_name = "BYTES",
        default_value_t = 1_048_576
    )]
    pub read_max_bytes_in_frame: usize,

    /// How long remote write may still send what waits, at the end and when an entry of the configuration changes
    #[arg(long = "storage.remote.flush-deadline", value_name = "DURATION", default_value = "1m", value_parser = parse_duration)]
    pub flush_deadline: Duration,
    /// Rules and notifications.
    #[command(flatten)]
    pub rules: RuleFlags,

    /// Features to enable, separated by commas, may be repeated
    #[arg(long = "enable-feature", value_name = "NAMES", action = ArgAction::Append)]
    pub enable_feature: Vec<String>,
    /// Severity from which messages are logged
    #[arg(long = "log.level", value_enum, default_value_t)]
    pub log_level: LogLevel,
    /// Form of log lines
    #[arg(long = "log.format", value_enum, default_value_t)]
    pub log_format: LogFormatFlag,

    /// Flags of Prometheus that this build does not honour.
    #[command(flatten)]
    pub other: OtherFlags,
}

fn write_message(text: &str) -> Result<WriteMessage, String> {
    WriteMessage::parse(text).ok_or_else(|| {
        format!("unknown remote write protobuf message {text}, supported: prometheus.WriteRequest, io.prometheus.write.v2.Request")
    })
}

/// A file's name; an empty one, which scripts write where they have none, names no file.
fn file(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(PathBuf::from(text))
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|e| e.to_string())
}

impl ServerFlags {
    /// Level and format for [`bellwether_telemetry::init_logging`].
    #[must_use]
    pub fn logging(&self) -> (&'static str, LogFormat) {
        let format = match self.log_format {
            LogFormatFlag::Logfmt => LogFormat::Logfmt,
            LogFormatFlag::Json => LogFormat::Json,
        };
        (self.log_level.as_str(), format)
    }

    /// Checks the flags together and turns them into settings. Unknown features are logged, as Prometheus does.
    ///
    /// # Errors
    /// [`FlagError`], which names the flag.
    pub fn settings(&self) -> Result<ServerSettings, FlagError> {
        self.other.check()?;
        let features = Features::parse(&self.enable_feature);
        features.check()?;
        let is_agent = self.agent.agent || features.has(Feature::Agent);
        self.agent.check_mode(is_agent)?;
        Ok(ServerSettings {
            config: ConfigSource::File(self.config_file.clone()),
            listen: self
                .listen_address
                .iter()
                .cloned()
                .map(Listen::Address)
                .collect(),
            listen_option: "--web.listen-address".to_owned(),
            data_dir: match is_agent {
                true => self.agent.path(),
                false => self.storage_path.clone(),
            },
            web: WebSettings {
                config_file: self
                    .web_config_file
                    .clone()
                    .filter(|path| !path.as_os_str().is_empty()),
                external_url: self.external_url.clone(),
                route_prefix: self.prefix()?,
                enable_lifecycle: self.enable_lifecycle,
                enable_admin_api: self.enable_admin_api,
                enable_remote_write_receiver: self.enable_remote_write_receiver
                    || features.has(Feature::RemoteWriteReceiver),
                write_messages: self.write_messages(),
                enable_otlp_receiver: self.enable_otlp_receiver,
                search_limit_max: self.search_max_limit,
                notification_subscribers_max: self.max_notifications_subscribers,
                max_connections: self.max_connections.max(1),
                read_timeout: self.read_timeout,
                cors_origin: self.cors_origin.clone(),
                ui_config: bellwether_dashboard::UiConfig::default(),
            },
            storage: self.storage(is_agent)?,
            remote_flush_deadline: self.flush_deadline,
            agent: is_agent.then(|| self.agent.settings()),
            query: QuerySettings {
                lookback: positive("query.lookback-delta", self.lookback_delta)?,
                timeout: positive("query.timeout", self.query_timeout)?,
                max_concurrency: self.max_concurrency.max(1),
                max_samples: self.max_samples,
            },
            remote_read: RemoteReadSettings {
                sample_limit: self.read_sample_limit,
                concurrent_max: self.read_concurrent_limit,
                bytes_in_frame_max: self.read_max_bytes_in_frame,
            },
            rules: self.rules.settings(),
            auto_reload: (self.auto_reload || features.has(Feature::AutoReloadConfig))
                .then_some(self.auto_reload_interval.max(Duration::from_secs(1))),
            features,
            fast_first_scrape: false,
            reload_on_sighup: true,
            flags: self.texts(),
        })
    }

    fn storage(&self, is_agent: bool) -> Result<StorageSettings, FlagError> {
        const MIB: u64 = 1 << 20;
        let (segment_size, flag) = match is_agent {
            true => (self.agent.segment_size(), "storage.agent.wal-segment-size"),
            false => (self.wal_segment_size, "storage.tsdb.wal-segment-size"),
        };
        if let Some(size) = segment_size
            && !(10 * MIB..=256 * MIB).contains(&size)
        {
            return Err(FlagError::Value {
                flag,
                value: sizes::format(size),
                reason: "must be between 10MB and 256MB".to_owned(),
            });
        }
        let min_block = positive("storage.tsdb.min-block-duration", self.min_block_duration)?;
        if let Some(max_block) = self.max_block_duration
            && max_block < min_block
        {
            return Err(FlagError::Value {
                flag: "storage.tsdb.max-block-duration",
                value: duration::format(max_block),
                reason: "must not be below --storage.tsdb.min-block-duration".to_owned(),
            });
        }
        Ok(StorageSettings {
            retention: self.retention_time,
            retention_size: self.retention_size,
            wal_segment_size: segment_size,
            wal_compression: match (is_agent, self.no_wal_compression, self.wal_compression_type) {
                (true, ..) => self.agent.compression(),
                (false, true, _) => WalCompressionSetting::None,
                (false, false, WalCompressionFlag::Snappy) => WalCompressionSetting::Snappy,
                (false, false, WalCompressionFlag::Zstd) => WalCompressionSetting::Zstd,
            },
            wal_sync: self.wal_sync,
            min_block_duration: min_block,
            max_block_duration: self.max_block_duration,
        })
    }

    fn write_messages(&self) -> Vec<WriteMessage> {
        if self.accepted_messages.is_empty() {
            WriteMessage::ALL.to_vec()
        } else {
            self.accepted_messages.clone()
        }
    }

    /// The normalised route prefix: "/" or "/path".
    fn prefix(&self) -> Result<String, FlagError> {
        let path = if !self.route_prefix.is_empty() {
            self.route_prefix.clone()
        } else if self.external_url.is_empty() {
            String::new()
        } else {
            let invalid = |reason: String| FlagError::Value {
                flag: "web.external-url",
                value: self.external_url.clone(),
                reason,
            };
            let url: http::Uri = self
                .external_url
                .parse()
                .map_err(|e| invalid(format!("{e}")))?;
            if url.host().is_none() || url.scheme().is_none() {
                return Err(invalid(
                    "give a URL with scheme and host, like http://example.com/prometheus"
                        .to_owned(),
                ));
            }
            url.path().to_owned()
        };
        Ok(format!("/{}", path.trim_matches('/')))
    }
}

fn positive(flag: &'static str, value: Duration) -> Result<Duration, FlagError> {
    if value.is_zero() {
        return Err(FlagError::Value {
            flag,
            value: "0".to_owned(),
            reason: "must be greater than zero".to_owned(),
        });
    }
    Ok(value)
}

#[cfg(test)]
mod tests;
