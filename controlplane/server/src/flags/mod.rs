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
mod wal_sync;

use std::collections::BTreeMap;
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
    /// How often to look for changes of the configuration file (needs the feature auto-reload-config)
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
    #[arg(long = "web.config.file", value_name = "FILE")]
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
    /// When the write-ahead log is forced to the disk: segment (when a segment ends, as Prometheus does), commit (at
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
        default_value_t = 50_000_000
    )]
    pub max_samples: usize,

    /// Most samples that one query of a remote read request may return, 0 is no limit; streamed answers are not limited
    #[arg(
        long = "storage.remote.read-sample-limit",
        value_name = "N",
        default_value_t = 50_000_000
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
            auto_reload: features
                .has(Feature::AutoReloadConfig)
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

    /// All flags and their values, for `/api/v1/status/flags`.
    fn texts(&self) -> BTreeMap<String, String> {
        let mut all = self.other.texts();
        let bool_text = |b: bool| b.to_string();
        let path = |p: &PathBuf| p.display().to_string();
        let retention = self.retention_time.unwrap_or_default();
        let max_block = self
            .max_block_duration
            .unwrap_or_else(|| self.default_max_block());
        let own = [
            ("config.file", path(&self.config_file)),
            (
                "config.auto-reload-interval",
                duration::format(self.auto_reload_interval),
            ),
            ("web.listen-address", self.listen_address.join(",")),
            (
                "web.config.file",
                self.web_config_file.as_ref().map(path).unwrap_or_default(),
            ),
            ("web.read-timeout", duration::format(self.read_timeout)),
            ("web.max-connections", self.max_connections.to_string()),
            ("web.external-url", self.external_url.clone()),
            (
                "web.route-prefix",
                self.prefix().unwrap_or_else(|_| "/".to_owned()),
            ),
            ("web.enable-lifecycle", bool_text(self.enable_lifecycle)),
            ("web.enable-admin-api", bool_text(self.enable_admin_api)),
            (
                "web.enable-remote-write-receiver",
                bool_text(self.enable_remote_write_receiver),
            ),
            (
                "web.remote-write-receiver.accepted-protobuf-messages",
                self.write_messages()
                    .iter()
                    .map(|m| m.as_str())
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            (
                "web.enable-otlp-receiver",
                bool_text(self.enable_otlp_receiver),
            ),
            ("web.search.max-limit", self.search_max_limit.to_string()),
            (
                "web.max-notifications-subscribers",
                self.max_notifications_subscribers.to_string(),
            ),
            (
                "storage.remote.flush-deadline",
                duration::format(self.flush_deadline),
            ),
            (
                "storage.remote.read-sample-limit",
                self.read_sample_limit.to_string(),
            ),
            (
                "storage.remote.read-concurrent-limit",
                self.read_concurrent_limit.to_string(),
            ),
            (
                "storage.remote.read-max-bytes-in-frame",
                self.read_max_bytes_in_frame.to_string(),
            ),
            ("web.cors.origin", self.cors_origin.clone()),
            ("storage.tsdb.path", path(&self.storage_path)),
            ("storage.tsdb.retention.time", duration::format(retention)),
            (
                "storage.tsdb.retention.size",
                sizes::format(self.retention_size.unwrap_or(0)),
            ),
            (
                "storage.tsdb.wal-compression",
                bool_text(!self.no_wal_compression),
            ),
            (
                "storage.tsdb.wal-compression-type",
                value_name(&self.wal_compression_type),
            ),
            (
                "storage.tsdb.wal-segment-size",
                sizes::format(self.wal_segment_size.unwrap_or(0)),
            ),
            ("storage.tsdb.wal-sync", wal_sync::format(self.wal_sync)),
            (
                "storage.tsdb.min-block-duration",
                duration::format(self.min_block_duration),
            ),
            (
                "storage.tsdb.max-block-duration",
                duration::format(max_block),
            ),
            (
                "query.lookback-delta",
                duration::format(self.lookback_delta),
            ),
            ("query.timeout", duration::format(self.query_timeout)),
            ("query.max-concurrency", self.max_concurrency.to_string()),
            ("query.max-samples", self.max_samples.to_string()),
            ("enable-feature", self.enable_feature.join(",")),
            ("log.level", self.log_level.as_str().to_owned()),
            ("log.format", value_name(&self.log_format)),
        ];
        let rules = self.rules.texts();
        let agent = self.agent.texts();
        all.extend(agent.map(|(name, value)| (name.to_owned(), value)));
        all.extend(rules.map(|(name, value)| (name.to_owned(), value)));
        all.extend(own.map(|(name, value)| (name.to_owned(), value)));
        all
    }

    /// Prometheus shows what it derives: a tenth of the retention, at most 31 days.
    fn default_max_block(&self) -> Duration {
        const MONTH: Duration = Duration::from_secs(31 * 24 * 3600);
        let retention = match (self.retention_time, self.retention_size) {
            (Some(time), _) if !time.is_zero() => time,
            (_, Some(_)) => return MONTH,
            _ => crate::settings::DEFAULT_RETENTION,
        };
        (retention / 10).min(MONTH).max(self.min_block_duration)
    }
}

fn value_name(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|v| v.get_name().to_owned())
        .unwrap_or_default()
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
