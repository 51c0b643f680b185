//! HTTP metrics made by hand, as a lesson: a counter, a histogram and an
//! up-down counter are all it takes to see rate, errors and duration.
//!
//! The conventional metrics in [`crate::http_metrics`] tell the same story with
//! more attributes; comparing the two is part of the guide.

use std::collections::HashMap;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{
    BoundCounter, BoundHistogram, BoundUpDownCounter, Counter, Histogram, Meter, UpDownCounter,
};
use parking_lot::RwLock;

use crate::http_metrics::{DURATION_BOUNDARIES_S, Exchange};
use crate::labels::{Ending, MethodLabel, RouteLabel};

/// `http_requests_total`, `http_request_duration_seconds`,
/// `http_requests_in_flight`.
#[derive(Debug)]
pub(crate) struct LessonMetrics {
    requests: Counter<u64>,
    duration_s: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
    /// Each lock guards its table only; entries are never removed, and the
    /// tables are as bounded as their keys.
    bound_requests: RwLock<HashMap<(MethodLabel, RouteLabel, Ending), BoundCounter<u64>>>,
    bound_duration: RwLock<HashMap<(MethodLabel, RouteLabel), BoundHistogram<f64>>>,
    bound_in_flight: RwLock<HashMap<MethodLabel, BoundUpDownCounter<i64>>>,
}

impl LessonMetrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            requests: meter
                .u64_counter("http_requests_total")
                .with_description("HTTP requests answered.")
                .build(),
            duration_s: meter
                .f64_histogram("http_request_duration_seconds")
                .with_unit("s")
                .with_description("Time to answer HTTP requests.")
                .with_boundaries(DURATION_BOUNDARIES_S.to_vec())
                .build(),
            in_flight: meter
                .i64_up_down_counter("http_requests_in_flight")
                .with_description("HTTP requests being answered now.")
                .build(),
            bound_requests: RwLock::default(),
            bound_duration: RwLock::default(),
            bound_in_flight: RwLock::default(),
        }
    }

    /// Makes the counter of `method`, `route` and `status` exist with value 0,
    /// so that `rate()` sees its first increment.
    pub(crate) fn touch(&self, method: MethodLabel, route: RouteLabel, status: u16) {
        self.counter_of(method, route, Ending::Status(status))
            .add(0);
    }

    /// Counts a request that begins; the returned handle ends it.
    pub(crate) fn begin(&self, method: MethodLabel) -> BoundUpDownCounter<i64> {
        let bound = self.in_flight_of(method);
        bound.add(1);
        bound
    }

    /// Records a request that ended.
    pub(crate) fn record(&self, exchange: &Exchange) {
        self.counter_of(exchange.method, exchange.route, exchange.ending)
            .add(1);
        self.histogram_of(exchange.method, exchange.route)
            .record(exchange.duration.as_secs_f64());
    }

    fn counter_of(
        &self,
        method: MethodLabel,
        route: RouteLabel,
        ending: Ending,
    ) -> BoundCounter<u64> {
        let key = (method, route, ending);
        if let Some(bound) = self.bound_requests.read().get(&key) {
            return bound.clone();
        }
        self.bound_requests
            .write()
            .entry(key)
            .or_insert_with(|| {
                self.requests.bind(&[
                    KeyValue::new("method", method.as_str()),
                    KeyValue::new("endpoint", route.as_str()),
                    KeyValue::new("status", ending.status_label()),
                ])
            })
            .clone()
    }

    fn histogram_of(&self, method: MethodLabel, route: RouteLabel) -> BoundHistogram<f64> {
        let key = (method, route);
        if let Some(bound) = self.bound_duration.read().get(&key) {
            return bound.clone();
        }
        self.bound_duration
            .write()
            .entry(key)
            .or_insert_with(|| {
                self.duration_s.bind(&[
                    KeyValue::new("method", method.as_str()),
                    KeyValue::new("endpoint", route.as_str()),
                ])
            })
            .clone()
    }

    fn in_flight_of(&self, method: MethodLabel) -> BoundUpDownCounter<i64> {
        if let Some(bound) = self.bound_in_flight.read().get(&method) {
            return bound.clone();
        }
        self.bound_in_flight
            .write()
            .entry(method)
            .or_insert_with(|| {
                self.in_flight
                    .bind(&[KeyValue::new("method", method.as_str())])
            })
            .clone()
    }
}
