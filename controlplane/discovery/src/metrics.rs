//! The metrics of discovery, under Prometheus' names.

use std::time::Duration;

use bellwether_telemetry::{Counter, Gauge, Histogram, Registry, Summary};

const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
const REFRESH_FAILURES: &str = "prometheus_sd_refresh_failures_total";
const REFRESH_DURATION: &str = "prometheus_sd_refresh_duration_seconds";
const DISCOVERED_TARGETS: &str = "prometheus_sd_discovered_targets";
const LAST_UPDATE: &str = "prometheus_sd_last_update_timestamp_seconds";

/// Metrics of the mechanisms; the registry gives every manager the same ones.
#[derive(Clone, Debug)]
pub(crate) struct SdMetrics {
    registry: Registry,
    pub(crate) http_failures: Counter,
    pub(crate) dns_lookups: Counter,
    pub(crate) dns_failures: Counter,
    pub(crate) file_read_errors: Counter,
    pub(crate) file_watcher_errors: Counter,
    pub(crate) file_scan: Summary,
    pub(crate) consul_failures: Counter,
    pub(crate) consul_services: Summary,
    pub(crate) consul_service: Summary,
    pub(crate) kuma_failures: Counter,
    pub(crate) kuma_skipped: Counter,
    pub(crate) kuma_duration: Summary,
    #[cfg_attr(not(feature = "kubernetes"), allow(dead_code))]
    pub(crate) kubernetes_failures: Counter,
    pub(crate) nomad_failures: Counter,
    pub(crate) linode_failures: Counter,
}

impl SdMetrics {
    pub(crate) fn new(registry: &Registry) -> Self {
        let counter = |name, help| registry.counter(name, help, &[]);
        let consul = |call| {
            registry.summary(
                "prometheus_sd_consul_rpc_duration_seconds",
                "The duration of a Consul RPC call in seconds.",
                &[("endpoint", "catalog"), ("call", call)],
                &QUANTILES,
            )
        };
        let metrics = Self {
            registry: registry.clone(),
            http_failures: counter(
                "prometheus_sd_http_failures_total",
                "Number of HTTP service discovery refresh failures.",
            ),
            dns_lookups: counter(
                "prometheus_sd_dns_lookups_total",
                "The number of DNS-SD lookups.",
            ),
            dns_failures: counter(
                "prometheus_sd_dns_lookup_failures_total",
                "The number of DNS-SD lookup failures.",
            ),
            file_read_errors: counter(
                "prometheus_sd_file_read_errors_total",
                "The number of File-SD read errors.",
            ),
            file_watcher_errors: counter(
                "prometheus_sd_file_watcher_errors_total",
                "The number of File-SD errors caused by filesystem watch failures.",
            ),
            file_scan: registry.summary(
                "prometheus_sd_file_scan_duration_seconds",
                "The duration of the File-SD scan in seconds.",
                &[],
                &QUANTILES,
            ),
            consul_failures: counter(
                "prometheus_sd_consul_rpc_failures_total",
                "The number of Consul RPC call failures.",
            ),
            consul_services: consul("services"),
            consul_service: consul("service"),
            kuma_failures: counter(
                "prometheus_sd_kuma_fetch_failures_total",
                "The number of Kuma MADS fetch call failures.",
            ),
            kuma_skipped: counter(
                "prometheus_sd_kuma_fetch_skipped_updates_total",
                "The number of Kuma MADS fetch calls that result in no updates to the targets.",
            ),
            kuma_duration: registry.summary(
                "prometheus_sd_kuma_fetch_duration_seconds",
                "The duration of a Kuma MADS fetch call.",
                &[],
                &QUANTILES,
            ),
            kubernetes_failures: counter(
                "prometheus_sd_kubernetes_failures_total",
                "The number of failed WATCH/LIST requests.",
            ),
            nomad_failures: counter(
                "prometheus_sd_nomad_failures_total",
                "Number of nomad service discovery refresh failures.",
            ),
            linode_failures: counter(
                "prometheus_sd_linode_failures_total",
                "Number of Linode service discovery refresh failures.",
            ),
        };
        for role in crate::config::KubernetesRole::ALL {
            for event in ["add", "delete", "update"] {
                metrics.kubernetes_events(role.as_str(), event);
            }
        }
        metrics
    }

    /// For the metrics of clients.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Events of Kubernetes objects.
    pub(crate) fn kubernetes_events(&self, role: &str, event: &str) -> Counter {
        self.registry.counter(
            "prometheus_sd_kubernetes_events_total",
            "The number of Kubernetes events handled.",
            &[("role", role), ("event", event)],
        )
    }

    /// When a file of targets was changed last, in seconds since the epoch.
    pub(crate) fn file_mtime(&self, file: &str) -> Gauge {
        self.registry.gauge(
            FILE_MTIME,
            "Timestamp (mtime) of files read by FileSD. Timestamp is set at read time.",
            &[("filename", file)],
        )
    }

    /// The file is gone.
    pub(crate) fn remove_file_mtime(&self, file: &str) {
        self.registry.remove(FILE_MTIME, &[("filename", file)]);
    }

    pub(crate) fn refresh(&self, mechanism: &'static str, set: &str) -> RefreshMetrics {
        let labels = [("mechanism", mechanism), ("config", set)];
        RefreshMetrics {
            failures: self.registry.counter(
                REFRESH_FAILURES,
                "Number of refresh failures for the given SD mechanism.",
                &labels,
            ),
            duration: self.registry.summary(
                REFRESH_DURATION,
                "The duration of a refresh in seconds for the given SD mechanism.",
                &labels,
                &QUANTILES,
            ),
            histogram: self.registry.histogram(
                "prometheus_sd_refresh_duration_histogram_seconds",
                "The duration of a refresh for the given SD mechanism.",
                &[("mechanism", mechanism)],
                &[0.01, 0.1, 1.0, 10.0],
            ),
        }
    }

    /// A set does not use a mechanism any more.
    pub(crate) fn remove_refresh(&self, mechanism: &str, set: &str) {
        for name in [REFRESH_FAILURES, REFRESH_DURATION] {
            self.registry
                .remove(name, &[("mechanism", mechanism), ("config", set)]);
        }
    }
}

const FILE_MTIME: &str = "prometheus_sd_file_mtime_seconds";

/// Metrics of a mechanism that asks again and again.
#[derive(Clone, Debug)]
pub(crate) struct RefreshMetrics {
    pub(crate) failures: Counter,
    duration: Summary,
    histogram: Histogram,
}

impl RefreshMetrics {
    pub(crate) fn observe(&self, duration: Duration) {
        self.duration.observe(duration.as_secs_f64());
        self.histogram.observe(duration.as_secs_f64());
    }
}

/// Metrics of one manager.
#[derive(Clone, Debug)]
pub(crate) struct ManagerMetrics {
    registry: Registry,
    name: &'static str,
    pub(crate) failed_configs: Gauge,
    pub(crate) received: Counter,
    /// Updates that found the one before not taken yet.
    pub(crate) delayed: Counter,
    pub(crate) sent: Counter,
}

impl ManagerMetrics {
    pub(crate) fn new(registry: &Registry, name: &'static str) -> Self {
        let labels = [("name", name)];
        Self {
            registry: registry.clone(),
            name,
            failed_configs: registry.gauge(
                "prometheus_sd_failed_configs",
                "Current number of service discovery configurations that failed to load.",
                &labels,
            ),
            received: registry.counter(
                "prometheus_sd_received_updates_total",
                "Total number of update events received from the SD providers.",
                &labels,
            ),
            delayed: registry.counter(
                "prometheus_sd_updates_delayed_total",
                "Total number of update events that couldn't be sent immediately.",
                &labels,
            ),
            sent: registry.counter(
                "prometheus_sd_updates_total",
                "Total number of update events sent to the SD consumers.",
                &labels,
            ),
        }
    }

    /// A set's groups went out.
    pub(crate) fn published(&self, set: &str, targets: usize, unix_seconds: f64) {
        let labels = [("name", self.name), ("config", set)];
        let help = "Current number of discovered targets.";
        self.registry
            .gauge(DISCOVERED_TARGETS, help, &labels)
            .set(targets as f64);
        let help = "Timestamp of the last update sent to the SD consumers.";
        self.registry
            .gauge(LAST_UPDATE, help, &labels)
            .set(unix_seconds);
    }

    /// A set is gone.
    pub(crate) fn removed(&self, set: &str) {
        for name in [DISCOVERED_TARGETS, LAST_UPDATE] {
            self.registry
                .remove(name, &[("name", self.name), ("config", set)]);
        }
    }
}
