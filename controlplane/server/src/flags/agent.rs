//! Flags of agent mode, and which flags belong to which mode.

use std::path::PathBuf;
use std::time::Duration;

use bellwether_model::duration;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::texts::value_name;
use super::{FlagError, WalCompressionFlag, parse_duration, sizes};
use crate::settings::{AgentSettings, WalCompressionSetting};

/// Flags of agent mode. What is not given has no value, so that it is known what was.
#[derive(Args, Clone, Debug)]
pub struct AgentFlags {
    /// Flags that were given and belong to one mode. First: values that are taken are no longer there to be seen.
    #[command(flatten)]
    given: GivenFlags,
    /// Run in agent mode: scrape and send, store and query nothing
    #[arg(long = "agent", overrides_with = "no_agent")]
    pub agent: bool,
    #[arg(long = "no-agent", hide = true, overrides_with = "agent")]
    no_agent: bool,
    /// Directory of the agent's log; data-agent/ by default. Agent mode only
    #[arg(long = "storage.agent.path", value_name = "DIR")]
    path: Option<PathBuf>,
    /// Size at which a new segment of the agent's log begins, 10MB to 256MB. Agent mode only
    #[arg(long = "storage.agent.wal-segment-size", value_name = "BYTES", value_parser = sizes::parse, hide = true)]
    segment_size: Option<u64>,
    #[arg(
        long = "storage.agent.wal-compression",
        overrides_with = "agent_no_compression",
        hide = true
    )]
    agent_compression: bool,
    /// Do not compress the agent's log. Agent mode only
    #[arg(
        long = "no-storage.agent.wal-compression",
        overrides_with = "agent_compression"
    )]
    agent_no_compression: bool,
    /// Compression of the agent's log. Agent mode only
    #[arg(
        long = "storage.agent.wal-compression-type",
        value_enum,
        value_name = "TYPE",
        hide = true
    )]
    agent_compression_type: Option<WalCompressionFlag>,
    /// How often the agent's log is cut; 2h by default. Agent mode only
    #[arg(long = "storage.agent.wal-truncate-frequency", value_name = "DURATION", value_parser = parse_duration, hide = true)]
    truncate_frequency: Option<Duration>,
    /// Age below which samples stay in the agent's log; 5m by default. Agent mode only
    #[arg(long = "storage.agent.retention.min-time", value_name = "DURATION", value_parser = parse_duration)]
    min_time: Option<Duration>,
    /// Age at which samples go from the agent's log, sent or not; 4h by default. Agent mode only
    #[arg(long = "storage.agent.retention.max-time", value_name = "DURATION", value_parser = parse_duration)]
    max_time: Option<Duration>,
    /// Do not lock the agent's directory. Agent mode only
    #[arg(long = "storage.agent.no-lockfile", overrides_with = "agent_lockfile")]
    agent_no_lockfile: bool,
    #[arg(
        long = "no-storage.agent.no-lockfile",
        hide = true,
        overrides_with = "agent_no_lockfile"
    )]
    agent_lockfile: bool,
    /// Accepted for Prometheus' sake: checkpoints are made from the log here. Agent mode only
    #[arg(
        long = "storage.agent.checkpoint-from-in-memory-series",
        overrides_with = "agent_checkpoint_from_log",
        hide = true
    )]
    agent_checkpoint_from_memory: bool,
    #[arg(
        long = "no-storage.agent.checkpoint-from-in-memory-series",
        hide = true,
        overrides_with = "agent_checkpoint_from_memory"
    )]
    agent_checkpoint_from_log: bool,
    /// Accepted for Prometheus' sake: goes with the flag before. Agent mode only
    #[arg(
        long = "storage.agent.checkpoint-batch-size",
        value_name = "N",
        hide = true
    )]
    agent_checkpoint_batch: Option<i64>,
}

impl AgentFlags {
    /// Refuses flags of the other mode, as Prometheus does.
    pub(super) fn check_mode(&self, is_agent: bool) -> Result<(), FlagError> {
        let (foreign, verb) = match is_agent {
            true => (&self.given.server, "can not be used in agent mode"),
            false => (&self.given.agent, "can only be used in agent mode"),
        };
        if !foreign.is_empty() {
            return Err(FlagError::Mode {
                flags: foreign.clone(),
                verb,
            });
        }
        if is_agent && self.agent_checkpoint_batch.is_some_and(|n| n <= 0) {
            return Err(FlagError::Value {
                flag: "storage.agent.checkpoint-batch-size",
                value: self.agent_checkpoint_batch.unwrap_or_default().to_string(),
                reason: "must be greater than 0".to_owned(),
            });
        }
        Ok(())
    }

    pub(super) fn path(&self) -> PathBuf {
        self.path.clone().unwrap_or_else(|| "data-agent/".into())
    }

    pub(super) fn segment_size(&self) -> Option<u64> {
        self.segment_size
    }

    pub(super) fn compression(&self) -> WalCompressionSetting {
        match (self.agent_no_compression, self.compression_type()) {
            (true, _) => WalCompressionSetting::None,
            (false, WalCompressionFlag::Snappy) => WalCompressionSetting::Snappy,
            (false, WalCompressionFlag::Zstd) => WalCompressionSetting::Zstd,
        }
    }

    fn compression_type(&self) -> WalCompressionFlag {
        self.agent_compression_type.unwrap_or_default()
    }

    /// A zero stands for the default, as in Prometheus.
    pub(super) fn settings(&self) -> AgentSettings {
        let default = AgentSettings::default();
        let or = |given: Option<Duration>, default: Duration| {
            given.filter(|d| !d.is_zero()).unwrap_or(default)
        };
        let truncate_frequency = or(self.truncate_frequency, default.truncate_frequency);
        let min_wal_time = or(self.min_time, default.min_wal_time);
        let max_wal_time = or(self.max_time, default.max_wal_time)
            .max(min_wal_time)
            .max(truncate_frequency);
        AgentSettings {
            min_wal_time,
            max_wal_time,
            truncate_frequency,
            lock: !self.agent_no_lockfile,
        }
    }

    /// Names and values, for `/api/v1/status/flags`.
    pub(super) fn texts(&self) -> [(&'static str, String); 11] {
        let default = AgentSettings::default();
        let time = |given: Option<Duration>, default| duration::format(given.unwrap_or(default));
        [
            ("agent", self.agent.to_string()),
            ("storage.agent.path", self.path().display().to_string()),
            (
                "storage.agent.wal-segment-size",
                sizes::format(self.segment_size.unwrap_or(0)),
            ),
            (
                "storage.agent.wal-compression",
                (!self.agent_no_compression).to_string(),
            ),
            (
                "storage.agent.wal-compression-type",
                value_name(&self.compression_type()),
            ),
            (
                "storage.agent.wal-truncate-frequency",
                time(self.truncate_frequency, Duration::ZERO),
            ),
            (
                "storage.agent.retention.min-time",
                time(self.min_time, default.min_wal_time),
            ),
            (
                "storage.agent.retention.max-time",
                time(self.max_time, default.max_wal_time),
            ),
            (
                "storage.agent.no-lockfile",
                self.agent_no_lockfile.to_string(),
            ),
            (
                "storage.agent.checkpoint-from-in-memory-series",
                self.agent_checkpoint_from_memory.to_string(),
            ),
            (
                "storage.agent.checkpoint-batch-size",
                self.agent_checkpoint_batch.unwrap_or(1000).to_string(),
            ),
        ]
    }
}

/// Flags of server mode: names of arguments, and of flags.
const SERVER: &[(&str, &str)] = &[
    ("storage_path", "storage.tsdb.path"),
    ("min_block_duration", "storage.tsdb.min-block-duration"),
    ("max_block_duration", "storage.tsdb.max-block-duration"),
    ("wal_segment_size", "storage.tsdb.wal-segment-size"),
    ("retention_time", "storage.tsdb.retention.time"),
    ("retention_size", "storage.tsdb.retention.size"),
    ("storage.tsdb.no-lockfile", "storage.tsdb.no-lockfile"),
    (
        "storage.tsdb.allow-overlapping-compaction",
        "storage.tsdb.allow-overlapping-compaction",
    ),
    ("wal_compression", "storage.tsdb.wal-compression"),
    ("no_wal_compression", "storage.tsdb.wal-compression"),
    ("wal_compression_type", "storage.tsdb.wal-compression-type"),
    (
        "storage.tsdb.head-chunks-write-queue-size",
        "storage.tsdb.head-chunks-write-queue-size",
    ),
    (
        "storage.tsdb.samples-per-chunk",
        "storage.tsdb.samples-per-chunk",
    ),
    (
        "storage.tsdb.delayed-compaction.max-percent",
        "storage.tsdb.delayed-compaction.max-percent",
    ),
    (
        "storage.tsdb.delay-compact-file.path",
        "storage.tsdb.delay-compact-file.path",
    ),
    ("read_sample_limit", "storage.remote.read-sample-limit"),
    (
        "read_concurrent_limit",
        "storage.remote.read-concurrent-limit",
    ),
    (
        "read_max_bytes_in_frame",
        "storage.remote.read-max-bytes-in-frame",
    ),
    ("search_max_limit", "web.search.max-limit"),
    ("for_outage_tolerance", "rules.alert.for-outage-tolerance"),
    ("for_grace_period", "rules.alert.for-grace-period"),
    ("resend_delay", "rules.alert.resend-delay"),
    ("max_concurrent_evals", "rules.max-concurrent-evals"),
    ("queue_capacity", "alertmanager.notification-queue-capacity"),
    ("batch_size", "alertmanager.notification-batch-size"),
    ("drain", "alertmanager.drain-notification-queue-on-shutdown"),
    (
        "no_drain",
        "alertmanager.drain-notification-queue-on-shutdown",
    ),
    ("lookback_delta", "query.lookback-delta"),
    ("query_timeout", "query.timeout"),
    ("max_concurrency", "query.max-concurrency"),
    ("max_samples", "query.max-samples"),
];

/// Flags of agent mode.
const AGENT: &[(&str, &str)] = &[
    ("path", "storage.agent.path"),
    ("segment_size", "storage.agent.wal-segment-size"),
    ("agent_compression", "storage.agent.wal-compression"),
    ("agent_no_compression", "storage.agent.wal-compression"),
    (
        "agent_compression_type",
        "storage.agent.wal-compression-type",
    ),
    ("truncate_frequency", "storage.agent.wal-truncate-frequency"),
    ("min_time", "storage.agent.retention.min-time"),
    ("max_time", "storage.agent.retention.max-time"),
    ("agent_no_lockfile", "storage.agent.no-lockfile"),
    ("agent_lockfile", "storage.agent.no-lockfile"),
    (
        "agent_checkpoint_from_memory",
        "storage.agent.checkpoint-from-in-memory-series",
    ),
    (
        "agent_checkpoint_from_log",
        "storage.agent.checkpoint-from-in-memory-series",
    ),
    (
        "agent_checkpoint_batch",
        "storage.agent.checkpoint-batch-size",
    ),
];

/// Which flags of one mode stood on the command line.
#[derive(Clone, Debug, Default)]
struct GivenFlags {
    server: Vec<&'static str>,
    agent: Vec<&'static str>,
}

impl Args for GivenFlags {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl FromArgMatches for GivenFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |table: &'static [(&'static str, &'static str)]| {
            let is_given = |id: &str| {
                // An argument that a command leaves out is not known to its matches.
                matches.try_contains_id(id).is_ok()
                    && matches.value_source(id) == Some(ValueSource::CommandLine)
            };
            let mut names: Vec<&str> = Vec::new();
            for (id, name) in table {
                if is_given(id) && !names.contains(name) {
                    names.push(name);
                }
            }
            names
        };
        Ok(Self {
            server: given(SERVER),
            agent: given(AGENT),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
