//! The notifier's own metrics.

use bellwether_telemetry::{Counter, Gauge, Histogram, Registry, Summary};

#[derive(Clone, Debug)]
pub(super) struct NotifierMetrics {
    registry: Registry,
    pub(super) queue_capacity: Gauge,
    pub(super) discovered: Gauge,
}

/// Those of one Alertmanager.
#[derive(Clone, Debug)]
pub(super) struct QueueMetrics {
    registry: Registry,
    url: String,
    pub(super) errors: Counter,
    pub(super) sent: Counter,
    pub(super) dropped: Counter,
    pub(super) queue_length: Gauge,
    pub(super) latency: Summary,
    pub(super) latency_histogram: Histogram,
}

const ERRORS: &str = "prometheus_notifications_errors_total";
const SENT: &str = "prometheus_notifications_sent_total";
const DROPPED: &str = "prometheus_notifications_dropped_total";
const QUEUE_LENGTH: &str = "prometheus_notifications_queue_length";
const LATENCY: &str = "prometheus_notifications_latency_seconds";
const LATENCY_HISTOGRAM: &str = "prometheus_notifications_latency_histogram_seconds";

impl NotifierMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            queue_capacity: registry.gauge(
                "prometheus_notifications_queue_capacity",
                "The capacity of the alert notifications queue.",
                &[],
            ),
            discovered: registry.gauge(
                "prometheus_notifications_alertmanagers_discovered",
                "The number of alertmanagers discovered and active.",
                &[],
            ),
        }
    }

    pub(super) fn queue(&self, url: &str) -> QueueMetrics {
        let labels = [("alertmanager", url)];
        let counter = |name, help| self.registry.counter(name, help, &labels);
        QueueMetrics {
            registry: self.registry.clone(),
            url: url.to_owned(),
            errors: counter(ERRORS, "Total number of sent alerts affected by errors."),
            sent: counter(SENT, "Total number of alerts sent."),
            dropped: counter(
                DROPPED,
                "Total number of alerts dropped due to errors when sending to Alertmanager.",
            ),
            queue_length: self.registry.gauge(
                QUEUE_LENGTH,
                "The number of alert notifications in the queue.",
                &labels,
            ),
            latency: self.registry.summary(
                LATENCY,
                "Latency quantiles for sending alert notifications.",
                &labels,
                &[0.5, 0.9, 0.99],
            ),
            latency_histogram: self.registry.histogram(
                LATENCY_HISTOGRAM,
                "Latency histogram for sending alert notifications.",
                &labels,
                &[0.01, 0.1, 1.0, 10.0],
            ),
        }
    }
}

impl QueueMetrics {
    /// Forgets the metrics of an Alertmanager that is gone.
    pub(super) fn remove(&self) {
        for name in [
            ERRORS,
            SENT,
            DROPPED,
            QUEUE_LENGTH,
            LATENCY,
            LATENCY_HISTOGRAM,
        ] {
            self.registry.remove(name, &[("alertmanager", &self.url)]);
        }
    }
}
