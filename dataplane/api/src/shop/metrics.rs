//! The business metrics of the shop, made by hand.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter, ObservableGauge};

use crate::breaker::{Breaker, BreakerState};

/// The dependency's name in breaker metrics.
const DEPENDENCY: &str = "payment-provider";

/// A counter with one attribute of a fixed set of values, all of which exist
/// from the start with value 0, so that `rate()` sees the first increment.
#[derive(Debug)]
pub(crate) struct ResultCounter {
    counter: Counter<u64>,
    key: &'static str,
}

impl ResultCounter {
    fn new(
        meter: &Meter,
        name: &'static str,
        description: &'static str,
        key: &'static str,
        values: &[&'static str],
    ) -> Self {
        let counter = meter
            .u64_counter(name)
            .with_description(description)
            .build();
        for value in values {
            counter.add(0, &[KeyValue::new(key, *value)]);
        }
        Self { counter, key }
    }

    pub(crate) fn add(&self, value: &'static str) {
        self.counter.add(1, &[KeyValue::new(self.key, value)]);
    }
}

/// Orders, cache, payments, searches, reports and the breaker's state.
#[derive(Debug)]
pub(crate) struct ShopMetrics {
    /// By `status`: `created`, `failed`, `invalid`.
    pub(crate) orders: ResultCounter,
    pub(crate) orders_value: Counter<f64>,
    /// By `result`: `hit`, `miss`.
    pub(crate) cache: ResultCounter,
    /// By `result`: `approved`, `declined`, `error`, `rejected`, `invalid`.
    pub(crate) payments: ResultCounter,
    /// By `result`: `found`, `empty`, `error`, `invalid`.
    pub(crate) searches: ResultCounter,
    /// By `result`: `ok`, `error`.
    pub(crate) reports: ResultCounter,
    /// Keeps the breaker's gauge registered.
    _breaker: ObservableGauge<u64>,
}

impl ShopMetrics {
    pub(crate) fn new(meter: &Meter, breaker: Arc<Breaker>) -> Self {
        let orders_value = meter
            .f64_counter("orders_value_total")
            .with_description("Value of all created orders.")
            .build();
        orders_value.add(0.0, &[]);
        Self {
            orders: ResultCounter::new(
                meter,
                "orders_total",
                "Orders by how they ended.",
                "status",
                &["created", "failed", "invalid"],
            ),
            orders_value,
            cache: ResultCounter::new(
                meter,
                "cache_hits_total",
                "Look-ups in the user cache by result.",
                "result",
                &["hit", "miss"],
            ),
            payments: ResultCounter::new(
                meter,
                "payments_total",
                "Payments by how they ended; rejected: the circuit breaker was open.",
                "result",
                &["approved", "declined", "error", "rejected", "invalid"],
            ),
            searches: ResultCounter::new(
                meter,
                "searches_total",
                "Product searches by result.",
                "result",
                &["found", "empty", "error", "invalid"],
            ),
            reports: ResultCounter::new(
                meter,
                "reports_total",
                "Generated reports by result.",
                "result",
                &["ok", "error"],
            ),
            _breaker: breaker_gauge(meter, breaker),
        }
    }
}

/// One series per state, 1 for the state in force and 0 for the others: can be
/// summed and compared over planes without a table of codes.
fn breaker_gauge(meter: &Meter, breaker: Arc<Breaker>) -> ObservableGauge<u64> {
    meter
        .u64_observable_gauge("circuit_breaker_state")
        .with_description("1 for the state in which the circuit breaker is, 0 for the others.")
        .with_callback(move |observer| {
            let current = breaker.state();
            for state in BreakerState::ALL {
                let attributes = [
                    KeyValue::new("dependency", DEPENDENCY),
                    KeyValue::new("state", state.as_str()),
                ];
                observer.observe(u64::from(state == current), &attributes);
            }
        })
        .build()
}

/// Counts the breaker's transitions: a gauge scraped every 10 s can miss a
/// short visit to a state, a counter cannot.
pub(crate) fn breaker_transitions(meter: &Meter) -> impl Fn(BreakerState) + Send + Sync + 'static {
    let counter = meter
        .u64_counter("circuit_breaker_transitions_total")
        .with_description("Transitions of the circuit breaker by the state it went to.")
        .build();
    let attributes = |state: BreakerState| {
        [
            KeyValue::new("dependency", DEPENDENCY),
            KeyValue::new("state", state.as_str()),
        ]
    };
    for state in BreakerState::ALL {
        counter.add(0, &attributes(state));
    }
    move |state| {
        tracing::info!(state = state.as_str(), "circuit breaker");
        counter.add(1, &attributes(state));
    }
}
