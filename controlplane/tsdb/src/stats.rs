//! What a database says about itself: counters for `/metrics` and the lists of `status/tsdb`.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was appended since the start: what remote write compares with what it sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ingested {
    /// Float samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
    /// Newest sample, in milliseconds since the epoch.
    pub newest_ms: Option<i64>,
}

/// A snapshot of the database's counters and sizes. Field comments name Prometheus' metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DbStats {
    /// `prometheus_tsdb_head_series`
    pub head_series: u64,
    /// `prometheus_tsdb_head_chunks`
    pub head_chunks: u64,
    /// `prometheus_tsdb_head_min_time`, milliseconds; `i64::MAX` for an empty head.
    pub head_min_time: i64,
    /// `prometheus_tsdb_head_max_time`, milliseconds; `i64::MIN` for an empty head.
    pub head_max_time: i64,
    /// `prometheus_tsdb_lowest_timestamp`, milliseconds, over blocks and head; `i64::MAX` without data.
    pub lowest_timestamp: i64,
    /// `prometheus_tsdb_head_series_created_total`
    pub series_created: u64,
    /// `prometheus_tsdb_head_series_removed_total`
    pub series_removed: u64,
    /// `prometheus_tsdb_head_series_not_found_total`
    pub series_not_found: u64,
    /// `prometheus_tsdb_head_samples_appended_total{type="float"}`
    pub samples_appended_float: u64,
    /// `prometheus_tsdb_head_samples_appended_total{type="histogram"}`
    pub samples_appended_histogram: u64,
    /// `prometheus_tsdb_out_of_order_samples_total`
    pub out_of_order_samples: u64,
    /// `prometheus_tsdb_head_out_of_order_samples_appended_total`
    pub out_of_order_samples_appended: u64,
    /// `prometheus_tsdb_too_old_samples_total`
    pub too_old_samples: u64,
    /// `prometheus_tsdb_out_of_order_wbl_storage_size_bytes`
    pub wbl_size_bytes: u64,
    /// `prometheus_tsdb_out_of_bound_samples_total`
    pub out_of_bound_samples: u64,
    /// Samples refused for another value at the newest timestamp.
    pub duplicate_samples: u64,
    /// `prometheus_tsdb_head_chunks_created_total`
    pub chunks_created: u64,
    /// `prometheus_tsdb_head_chunks_removed_total`
    pub chunks_removed: u64,
    /// `prometheus_tsdb_head_truncations_total`
    pub head_truncations: u64,
    /// `prometheus_tsdb_head_truncations_failed_total`
    pub head_truncations_failed: u64,
    /// `prometheus_tsdb_exemplar_exemplars_appended_total`
    pub exemplars_appended: u64,
    /// `prometheus_tsdb_exemplar_exemplars_in_storage`
    pub exemplars_in_storage: u64,
    /// `prometheus_tsdb_exemplar_out_of_order_exemplars_total`
    pub exemplars_out_of_order: u64,
    /// `prometheus_tsdb_exemplar_max_exemplars`
    pub exemplars_max: u64,
    /// `prometheus_tsdb_symbol_table_size_bytes` counts blocks; this is the number of symbols in the head.
    pub head_symbols: u64,
    /// Bytes of the head's symbols.
    pub head_symbol_bytes: u64,
    /// `prometheus_tsdb_wal_storage_size_bytes`
    pub wal_size_bytes: u64,
    /// `prometheus_tsdb_head_chunks_storage_size_bytes`
    pub head_chunk_file_bytes: u64,
    /// `prometheus_tsdb_wal_segment_current`
    pub wal_segment_current: u64,
    /// `prometheus_tsdb_wal_writes_failed_total`
    pub wal_writes_failed: u64,
    /// `prometheus_tsdb_wal_completed_pages_total` in our writer: bytes written.
    pub wal_bytes_written: u64,
    /// `prometheus_tsdb_wal_truncations_total`
    pub wal_truncations: u64,
    /// `prometheus_tsdb_wal_corruptions_total`: repaired places in the log.
    pub wal_corruptions: u64,
    /// Samples and marks in the log whose series is not in the log.
    pub wal_unknown_refs: u64,
    /// `prometheus_tsdb_checkpoint_creations_total`
    pub checkpoint_creations: u64,
    /// `prometheus_tsdb_checkpoint_creations_failed_total`
    pub checkpoint_creations_failed: u64,
    /// `prometheus_tsdb_data_replay_duration_seconds`, in milliseconds.
    pub replay_duration_ms: u64,
    /// `prometheus_tsdb_blocks_loaded`
    pub blocks_loaded: u64,
    /// `prometheus_tsdb_storage_blocks_bytes`
    pub blocks_bytes: u64,
    /// `prometheus_tsdb_reloads_failures_total`: block directories that do not open and are left alone.
    pub blocks_unreadable: u64,
    /// `prometheus_tsdb_mmap_chunk_corruptions_total`
    pub mmap_chunk_corruptions: u64,
    /// `prometheus_tsdb_compactions_total`
    pub compactions: u64,
    /// `prometheus_tsdb_compactions_failed_total`
    pub compactions_failed: u64,
    /// `prometheus_tsdb_compactions_triggered_total`
    pub compactions_triggered: u64,
    /// `prometheus_tsdb_stale_series_compactions_triggered_total`
    pub stale_series_compactions: u64,
    /// `prometheus_tsdb_stale_series_compactions_failed_total`
    pub stale_series_compactions_failed: u64,
    /// `prometheus_tsdb_time_retentions_total`
    pub time_retentions: u64,
    /// `prometheus_tsdb_size_retentions_total`
    pub size_retentions: u64,
    /// `prometheus_tsdb_retention_limit_seconds`; zero is no limit.
    pub retention_limit_seconds: f64,
    /// `prometheus_tsdb_retention_limit_bytes`; zero is no limit.
    pub retention_limit_bytes: u64,
    /// `prometheus_tsdb_retention_limit_percentage`; zero is no limit.
    pub retention_limit_percentage: f64,
    /// `prometheus_tsdb_isolation_low_watermark`
    pub isolation_low_watermark: u64,
    /// `prometheus_tsdb_isolation_high_watermark`
    pub isolation_high_watermark: u64,
    /// `prometheus_tsdb_head_active_appenders`
    pub active_appenders: u64,
}

/// The lists of `status/tsdb`, each sorted by falling count and cut to the limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series in the head.
    pub num_series: u64,
    /// Distinct label pairs in the head.
    pub num_label_pairs: u64,
    /// Chunks in the head.
    pub chunk_count: u64,
    /// Oldest sample of the head, `i64::MAX` when empty.
    pub min_time: i64,
    /// Newest sample of the head, `i64::MIN` when empty.
    pub max_time: i64,
    /// Series per metric name.
    pub series_count_by_metric_name: Vec<(String, u64)>,
    /// Distinct values per label name.
    pub label_value_count_by_label_name: Vec<(String, u64)>,
    /// Bytes of values per label name, each value counted once per series as Prometheus does.
    pub memory_in_bytes_by_label_name: Vec<(String, u64)>,
    /// Series per `name=value`.
    pub series_count_by_label_value_pair: Vec<(String, u64)>,
}

/// A counter that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub(crate) fn inc(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// All counters of a database; the head, the WAL and the compactor share one.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) series_created: Counter,
    pub(crate) series_removed: Counter,
    pub(crate) series_not_found: Counter,
    pub(crate) floats: Counter,
    pub(crate) histograms: Counter,
    pub(crate) out_of_order: Counter,
    pub(crate) out_of_order_appended: Counter,
    pub(crate) too_old: Counter,
    pub(crate) out_of_bounds: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) chunks_created: Counter,
    pub(crate) chunks_removed: Counter,
    pub(crate) head_truncations: Counter,
    pub(crate) head_truncations_failed: Counter,
    pub(crate) exemplars_appended: Counter,
    pub(crate) exemplars_out_of_order: Counter,
    pub(crate) wal_writes_failed: Counter,
    pub(crate) wal_bytes: Counter,
    pub(crate) wal_truncations: Counter,
    pub(crate) wal_corruptions: Counter,
    pub(crate) wal_unknown_refs: Counter,
    pub(crate) checkpoints: Counter,
    pub(crate) checkpoints_failed: Counter,
    pub(crate) blocks_unreadable: Counter,
    pub(crate) chunk_files_damaged: Counter,
    pub(crate) compactions: Counter,
    pub(crate) compactions_failed: Counter,
    pub(crate) compactions_triggered: Counter,
    pub(crate) stale_compactions: Counter,
    pub(crate) stale_compactions_failed: Counter,
    pub(crate) time_retentions: Counter,
    pub(crate) size_retentions: Counter,
}
