//! The server's own metrics, under Prometheus' names.

use std::sync::Arc;

use bellwether_telemetry::{Counter, Gauge, Registry};
use bellwether_tsdb::{AgentDb, AgentStats, Db, DbStats};

use crate::version::PROMETHEUS_COMPATIBILITY;

/// Outcome of loading the configuration.
pub(crate) struct ConfigMetrics {
    successful: Gauge,
    success_time: Gauge,
}

impl ConfigMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            successful: registry.gauge(
                "prometheus_config_last_reload_successful",
                "Whether the last configuration reload attempt was successful.",
                &[],
            ),
            success_time: registry.gauge(
                "prometheus_config_last_reload_success_timestamp_seconds",
                "Timestamp of the last successful configuration reload.",
                &[],
            ),
        }
    }

    pub(crate) fn loaded(&self, at_ms: i64) {
        self.successful.set(1.0);
        self.success_time.set(at_ms as f64 / 1000.0);
    }

    pub(crate) fn failed(&self) {
        self.successful.set(0.0);
    }
}

/// Registers what does not depend on the database.
pub(crate) fn register_process(registry: &Registry) -> Gauge {
    bellwether_telemetry::register_process_metrics(registry);
    registry
        .gauge(
            "prometheus_build_info",
            "A metric with a constant '1' value labeled by version: the Prometheus whose API is answered.",
            &[
                ("branch", ""),
                ("goversion", ""),
                ("revision", concat!("bellwether-", env!("CARGO_PKG_VERSION"))),
                ("version", PROMETHEUS_COMPATIBILITY),
            ],
        )
        .set(1.0);
    registry
        .gauge(
            "bellwether_build_info",
            "A metric with a constant '1' value labeled by version.",
            &[("version", env!("CARGO_PKG_VERSION"))],
        )
        .set(1.0);
    registry.gauge("prometheus_ready", "Whether Prometheus startup was fully completed and the server is ready for normal operation.", &[])
}

enum Handle {
    Counter(Counter),
    Gauge(Gauge),
}

/// One metric of the database: name, help, labels, how to read it.
#[derive(Clone, Copy)]
struct Row<S: 'static = DbStats> {
    name: &'static str,
    help: &'static str,
    labels: &'static [(&'static str, &'static str)],
    is_counter: bool,
    read: fn(&S) -> f64,
}

const fn counter<S>(name: &'static str, help: &'static str, read: fn(&S) -> f64) -> Row<S> {
    Row {
        name,
        help,
        labels: &[],
        is_counter: true,
        read,
    }
}

const fn gauge<S>(name: &'static str, help: &'static str, read: fn(&S) -> f64) -> Row<S> {
    Row {
        name,
        help,
        labels: &[],
        is_counter: false,
        read,
    }
}

const FLOAT: &[(&str, &str)] = &[("type", "float")];
const HISTOGRAM: &[(&str, &str)] = &[("type", "histogram")];

#[allow(clippy::needless_pass_by_value, reason = "a row is a few words")]
const fn labelled<S>(row: Row<S>, labels: &'static [(&'static str, &'static str)]) -> Row<S> {
    Row { labels, ..row }
}

#[rustfmt::skip]
const ROWS: &[Row] = &[
    gauge("prometheus_tsdb_head_series", "Total number of series in the head block.", |s| s.head_series as f64),
    gauge("prometheus_tsdb_head_chunks", "Total number of chunks in the head block.", |s| s.head_chunks as f64),
    gauge("prometheus_tsdb_head_min_time", "Minimum time bound of the head block. The unit is decided by the library consumer.", |s| s.head_min_time as f64),
    gauge("prometheus_tsdb_head_max_time", "Maximum timestamp of the head block. The unit is decided by the library consumer.", |s| s.head_max_time as f64),
    gauge("prometheus_tsdb_head_min_time_seconds", "Minimum time bound of the head block.", |s| seconds(s.head_min_time)),
    gauge("prometheus_tsdb_head_max_time_seconds", "Maximum timestamp of the head block.", |s| seconds(s.head_max_time)),
    gauge("prometheus_tsdb_lowest_timestamp", "Lowest timestamp value stored in the database. The unit is decided by the library consumer.", |s| s.lowest_timestamp as f64),
    gauge("prometheus_tsdb_lowest_timestamp_seconds", "Lowest timestamp value stored in the database.", |s| seconds(s.lowest_timestamp)),
    counter("prometheus_tsdb_head_series_created_total", "Total number of series created in the head", |s| s.series_created as f64),
    counter("prometheus_tsdb_head_series_removed_total", "Total number of series removed in the head", |s| s.series_removed as f64),
    counter("prometheus_tsdb_head_series_not_found_total", "Total number of requests for series that were not found.", |s| s.series_not_found as f64),
    labelled(counter("prometheus_tsdb_head_samples_appended_total", "Total number of appended samples.", |s| s.samples_appended_float as f64), FLOAT),
    labelled(counter("prometheus_tsdb_head_samples_appended_total", "Total number of appended samples.", |s| s.samples_appended_histogram as f64), HISTOGRAM),
    labelled(counter("prometheus_tsdb_out_of_order_samples_total", "Total number of out of order samples ingestion failed attempts due to out of order being disabled.", |s| s.out_of_order_samples as f64), FLOAT),
    labelled(counter("prometheus_tsdb_out_of_bound_samples_total", "Total number of out of bound samples ingestion failed attempts with out of order support disabled.", |s| s.out_of_bound_samples as f64), FLOAT),
    labelled(counter("prometheus_tsdb_too_old_samples_total", "Total number of samples refused because they are older than the out-of-order window.", |s| s.too_old_samples as f64), FLOAT),
    labelled(counter("prometheus_tsdb_head_out_of_order_samples_appended_total", "Total number of appended out of order samples.", |s| s.out_of_order_samples_appended as f64), FLOAT),
    gauge("prometheus_tsdb_out_of_order_wbl_storage_size_bytes", "Size of the directory of the out-of-order log.", |s| s.wbl_size_bytes as f64),
    counter("prometheus_tsdb_head_chunks_created_total", "Total number of chunks created in the head", |s| s.chunks_created as f64),
    counter("prometheus_tsdb_head_chunks_removed_total", "Total number of chunks removed in the head", |s| s.chunks_removed as f64),
    counter("prometheus_tsdb_head_truncations_total", "Total number of head truncations attempted.", |s| s.head_truncations as f64),
    counter("prometheus_tsdb_head_truncations_failed_total", "Total number of head truncations that failed.", |s| s.head_truncations_failed as f64),
    counter("prometheus_tsdb_exemplar_exemplars_appended_total", "Total number of appended exemplars.", |s| s.exemplars_appended as f64),
    gauge("prometheus_tsdb_exemplar_exemplars_in_storage", "Number of exemplars currently in circular storage.", |s| s.exemplars_in_storage as f64),
    counter("prometheus_tsdb_exemplar_out_of_order_exemplars_total", "Total number of out of order exemplar ingestion failed attempts.", |s| s.exemplars_out_of_order as f64),
    gauge("prometheus_tsdb_exemplar_max_exemplars", "Total number of exemplars the exemplar storage can store, resizeable.", |s| s.exemplars_max as f64),
    gauge("prometheus_tsdb_wal_storage_size_bytes", "Size of the write log directory.", |s| s.wal_size_bytes as f64),
    gauge("prometheus_tsdb_wal_segment_current", "Write log segment index that TSDB is currently writing to.", |s| s.wal_segment_current as f64),
    counter("prometheus_tsdb_wal_writes_failed_total", "Total number of write log writes that failed.", |s| s.wal_writes_failed as f64),
    counter("prometheus_tsdb_wal_truncations_total", "Total number of write log truncations attempted.", |s| s.wal_truncations as f64),
    counter("prometheus_tsdb_wal_corruptions_total", "Total number of WAL corruptions.", |s| s.wal_corruptions as f64),
    counter("prometheus_tsdb_checkpoint_creations_total", "Total number of checkpoint creations attempted.", |s| s.checkpoint_creations as f64),
    counter("prometheus_tsdb_checkpoint_creations_failed_total", "Total number of checkpoint creations that failed.", |s| s.checkpoint_creations_failed as f64),
    gauge("prometheus_tsdb_data_replay_duration_seconds", "Time taken to replay the data on disk.", |s| s.replay_duration_ms as f64 / 1000.0),
    gauge("prometheus_tsdb_blocks_loaded", "Number of currently loaded data blocks", |s| s.blocks_loaded as f64),
    gauge("prometheus_tsdb_storage_blocks_bytes", "The number of bytes that are currently used for local storage by all blocks.", |s| s.blocks_bytes as f64),
    counter("prometheus_tsdb_compactions_total", "Total number of compactions that were executed for the partition.", |s| s.compactions as f64),
    counter("prometheus_tsdb_compactions_failed_total", "Total number of compactions that failed for the partition.", |s| s.compactions_failed as f64),
    counter("prometheus_tsdb_compactions_triggered_total", "Total number of triggered compactions for the partition.", |s| s.compactions_triggered as f64),
    counter("prometheus_tsdb_time_retentions_total", "The number of times that blocks were deleted because the maximum time limit was exceeded.", |s| s.time_retentions as f64),
    counter("prometheus_tsdb_stale_series_compactions_triggered_total", "Total number of triggered stale series compactions.", |s| s.stale_series_compactions as f64),
    counter("prometheus_tsdb_stale_series_compactions_failed_total", "Total number of stale series compactions that failed.", |s| s.stale_series_compactions_failed as f64),
    counter("prometheus_tsdb_size_retentions_total", "The number of times that blocks were deleted because the maximum number of bytes was exceeded.", |s| s.size_retentions as f64),
    gauge("prometheus_tsdb_retention_limit_seconds", "How long to retain samples in storage.", |s| s.retention_limit_seconds),
    gauge("prometheus_tsdb_retention_limit_bytes", "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled", |s| s.retention_limit_bytes as f64),
    gauge("prometheus_tsdb_retention_limit_percentage", "Max percentage of total storage space to be retained in the tsdb blocks, configured 0 means disabled", |s| s.retention_limit_percentage),
    gauge("prometheus_tsdb_isolation_low_watermark", "The lowest TSDB append ID that is still referenced.", |s| s.isolation_low_watermark as f64),
    gauge("prometheus_tsdb_isolation_high_watermark", "The highest TSDB append ID that has been given out.", |s| s.isolation_high_watermark as f64),
    gauge("prometheus_tsdb_head_active_appenders", "Number of currently active appender transactions", |s| s.active_appenders as f64),
];

#[rustfmt::skip]
const AGENT_ROWS: &[Row<AgentStats>] = &[
    gauge("prometheus_agent_active_series", "Number of active series being tracked by the WAL storage", |s| s.active_series as f64),
    gauge("prometheus_agent_deleted_series", "Number of series pending deletion from the WAL", |s| s.deleted_series as f64),
    labelled(counter("prometheus_agent_samples_appended_total", "Total number of samples appended to the storage", |s| s.samples_float as f64), FLOAT),
    labelled(counter("prometheus_agent_samples_appended_total", "Total number of samples appended to the storage", |s| s.samples_histogram as f64), HISTOGRAM),
    counter("prometheus_agent_exemplars_appended_total", "Total number of exemplars appended to the storage", |s| s.exemplars as f64),
    counter("prometheus_agent_out_of_order_samples_total", "Total number of out of order samples ingestion failed attempts.", |s| s.out_of_order as f64),
    counter("prometheus_agent_corruptions_total", "Total number of WAL corruptions.", |s| s.corruptions as f64),
    gauge("prometheus_agent_data_replay_duration_seconds", "Time taken to replay the data on disk.", |s| s.replay_ms as f64 / 1000.0),
    counter("prometheus_agent_checkpoint_creations_total", "Total number of checkpoint creations attempted.", |s| s.checkpoints as f64),
    counter("prometheus_agent_checkpoint_creations_failed_total", "Total number of checkpoint creations that failed.", |s| s.checkpoints_failed as f64),
];

/// Prometheus divides in integers. An empty head keeps extreme values, which Thanos reads as "no data".
fn seconds(ms: i64) -> f64 {
    (ms / 1000) as f64
}

/// Registers the database's metrics; they are read at each rendering.
pub(crate) fn register_storage(registry: &Registry, db: Arc<Db>) {
    register(registry, ROWS, move || db.stats());
}

/// Registers those of an agent's log.
pub(crate) fn register_agent(registry: &Registry, db: Arc<AgentDb>) {
    register(registry, AGENT_ROWS, move || db.stats());
}

fn register<S>(
    registry: &Registry,
    rows: &'static [Row<S>],
    stats: impl Fn() -> S + Send + Sync + 'static,
) {
    let handles: Vec<Handle> = rows
        .iter()
        .map(|row| {
            if row.is_counter {
                Handle::Counter(registry.counter(row.name, row.help, row.labels))
            } else {
                Handle::Gauge(registry.gauge(row.name, row.help, row.labels))
            }
        })
        .collect();
    registry.on_collect(move || {
        let stats = stats();
        for (row, handle) in rows.iter().zip(&handles) {
            match handle {
                Handle::Counter(counter) => counter.set_total((row.read)(&stats)),
                Handle::Gauge(gauge) => gauge.set((row.read)(&stats)),
            }
        }
    });
}
