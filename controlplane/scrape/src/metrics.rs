//! The scraper's own metrics, under Prometheus' names.

use std::time::Duration;

use bellwether_model::duration;
use bellwether_telemetry::{Counter, Gauge, Registry, Summary};

use crate::append::PageStats;

const QUANTILES: [f64; 5] = [0.01, 0.05, 0.5, 0.9, 0.99];

/// Handles that every pool shares.
#[derive(Clone, Debug)]
pub(crate) struct ScrapeMetrics {
    registry: Registry,
    pub(crate) pools: Counter,
    pub(crate) pools_failed: Counter,
    pub(crate) reloads: Counter,
    pub(crate) reloads_failed: Counter,
    pub(crate) sync_failed: Counter,
    pub(crate) exceeded_target_limit: Counter,
    pub(crate) exceeded_sample_limit: Counter,
    pub(crate) exceeded_body_size: Counter,
    duplicates: Counter,
    out_of_order: Counter,
    out_of_bounds: Counter,
    exemplars_out_of_order: Counter,
}

/// Handles of one pool; gone from the page with it.
#[derive(Debug)]
pub(crate) struct PoolMetrics {
    registry: Registry,
    job: String,
    pub(crate) targets: Gauge,
    pub(crate) target_limit: Gauge,
    pub(crate) syncs: Counter,
    pub(crate) sync_length: Summary,
}

impl ScrapeMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        Self {
            registry: registry.clone(),
            pools: counter(
                "prometheus_target_scrape_pools_total",
                "Total number of scrape pool creation attempts.",
            ),
            pools_failed: counter(
                "prometheus_target_scrape_pools_failed_total",
                "Total number of scrape pool creations that failed.",
            ),
            reloads: counter(
                "prometheus_target_scrape_pool_reloads_total",
                "Total number of scrape pool reloads.",
            ),
            reloads_failed: counter(
                "prometheus_target_scrape_pool_reloads_failed_total",
                "Total number of failed scrape pool reloads.",
            ),
            sync_failed: counter(
                "prometheus_target_sync_failed_total",
                "Total number of target sync failures.",
            ),
            exceeded_target_limit: counter(
                "prometheus_target_scrape_pool_exceeded_target_limit_total",
                "Total number of times scrape pools hit the target limit, during sync or config reload.",
            ),
            exceeded_sample_limit: counter(
                "prometheus_target_scrapes_exceeded_sample_limit_total",
                "Total number of scrapes that hit the sample limit and were rejected.",
            ),
            exceeded_body_size: counter(
                "prometheus_target_scrapes_exceeded_body_size_limit_total",
                "Total number of scrapes that hit the body size limit",
            ),
            duplicates: counter(
                "prometheus_target_scrapes_sample_duplicate_timestamp_total",
                "Total number of samples rejected due to duplicate timestamps but different values.",
            ),
            out_of_order: counter(
                "prometheus_target_scrapes_sample_out_of_order_total",
                "Total number of samples rejected due to not being out of the expected order.",
            ),
            out_of_bounds: counter(
                "prometheus_target_scrapes_sample_out_of_bounds_total",
                "Total number of samples rejected due to timestamp falling outside of the time bounds.",
            ),
            exemplars_out_of_order: counter(
                "prometheus_target_scrapes_exemplar_out_of_order_total",
                "Total number of exemplar rejected due to not being out of the expected order.",
            ),
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Time between scrapes, one summary per configured interval.
    pub(crate) fn interval_length(&self, interval: Duration) -> Summary {
        self.registry.summary(
            "prometheus_target_interval_length_seconds",
            "Actual intervals between scrapes.",
            &[("interval", &duration::format(interval))],
            &QUANTILES,
        )
    }

    pub(crate) fn count(&self, stats: &PageStats) {
        self.duplicates.add(stats.duplicates as f64);
        self.out_of_order.add(stats.out_of_order as f64);
        self.out_of_bounds.add(stats.out_of_bounds as f64);
        self.exemplars_out_of_order
            .add(stats.exemplars_out_of_order as f64);
    }

    pub(crate) fn pool(&self, job: &str) -> PoolMetrics {
        let labels = [("scrape_job", job)];
        PoolMetrics {
            targets: self.registry.gauge(
                POOL_TARGETS,
                "Current number of targets in this scrape pool.",
                &labels,
            ),
            target_limit: self.registry.gauge(
                POOL_TARGET_LIMIT,
                "Maximum number of targets allowed in this scrape pool.",
                &labels,
            ),
            syncs: self.registry.counter(
                POOL_SYNCS,
                "Total number of syncs that were executed on a scrape pool.",
                &labels,
            ),
            sync_length: self.registry.summary(
                POOL_SYNC_LENGTH,
                "Actual interval to sync the scrape pool.",
                &labels,
                &QUANTILES,
            ),
            registry: self.registry.clone(),
            job: job.to_owned(),
        }
    }
}

const POOL_TARGETS: &str = "prometheus_target_scrape_pool_targets";
const POOL_TARGET_LIMIT: &str = "prometheus_target_scrape_pool_target_limit";
const POOL_SYNCS: &str = "prometheus_target_scrape_pool_sync_total";
const POOL_SYNC_LENGTH: &str = "prometheus_target_sync_length_seconds";

impl PoolMetrics {
    /// Takes the pool's series off the page.
    pub(crate) fn remove(&self) {
        for name in [
            POOL_TARGETS,
            POOL_TARGET_LIMIT,
            POOL_SYNCS,
            POOL_SYNC_LENGTH,
        ] {
            self.registry.remove(name, &[("scrape_job", &self.job)]);
        }
    }
}
