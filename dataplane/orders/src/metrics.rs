//! The metrics of the order service.

use std::time::Duration;

use bellwether_telemetry::{Counter, Gauge, Histogram, Registry};

/// Upper bounds of order durations in seconds: processing takes 5-50 ms, the
/// rest is time in the queue.
const DURATION_BOUNDS_S: [f64; 12] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0,
];

/// Typed handles of every metric. Clones share the same series.
#[derive(Debug, Clone)]
pub(crate) struct OrderMetrics {
    success: Counter,
    failure: Counter,
    duration_s: Histogram,
    pub(crate) queue_depth: Gauge,
}

impl OrderMetrics {
    /// Registers all series, so that each exists with value 0 from the start.
    pub(crate) fn new(registry: &Registry) -> Self {
        let processed = |status| {
            registry.counter(
                "orders_processed_total",
                "Orders processed, by how they ended.",
                &[("status", status)],
            )
        };
        Self {
            success: processed("success"),
            failure: processed("failure"),
            duration_s: registry.histogram(
                "order_duration_seconds",
                "Time from accepting an order to its end, waiting included.",
                &[],
                &DURATION_BOUNDS_S,
            ),
            queue_depth: registry.gauge(
                "order_queue_depth",
                "Orders that wait for a worker now.",
                &[],
            ),
        }
    }

    /// Counts one order that ended.
    pub(crate) fn record(&self, success: bool, duration: Duration) {
        let counter = if success {
            &self.success
        } else {
            &self.failure
        };
        counter.inc();
        self.duration_s.observe(duration.as_secs_f64());
    }
}
