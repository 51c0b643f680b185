//! Flags and their values as `/api/v1/status/flags` shows them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bellwether_model::duration;
use clap::ValueEnum;

use super::{ServerFlags, sizes, wal_sync};

impl ServerFlags {
    /// All flags and their values, for `/api/v1/status/flags`.
    pub(super) fn texts(&self) -> BTreeMap<String, String> {
        let mut all = self.other.texts();
        let bool_text = |b: bool| b.to_string();
        let path = |p: &PathBuf| p.display().to_string();
        let retention = self.retention_time.unwrap_or_default();
        let max_block = self
            .max_block_duration
            .unwrap_or_else(|| self.default_max_block());
        let own = [
            ("config.file", path(&self.config_file)),
            ("config.auto-reload", bool_text(self.auto_reload)),
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

pub(super) fn value_name(value: &impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|v| v.get_name().to_owned())
        .unwrap_or_default()
}
