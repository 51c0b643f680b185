//! HTTP server metrics by the OpenTelemetry semantic conventions
//! (docs/http/http-metrics.md): the stable ones always, the older ones beside
//! them when asked for.
//!
//! Attribute sets are resolved once and kept as bound instruments; a request
//! costs one look-up under a read lock and a few atomic additions. The tables
//! are as bounded as the labels they are keyed by (see [`crate::labels`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Version;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, BoundUpDownCounter, Histogram, Meter, UpDownCounter};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    NETWORK_PROTOCOL_VERSION, URL_SCHEME,
};
use parking_lot::RwLock;

use crate::labels::{Ending, MethodLabel, RouteLabel, protocol_version};

/// Boundaries of durations in seconds (semantic conventions, HTTP metrics).
pub(crate) const DURATION_BOUNDARIES_S: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

/// Boundaries of body sizes in bytes: the conventions give none, and our bodies
/// are small. Powers of four keep the series few.
const SIZE_BOUNDARIES_BYTES: [f64; 8] = [
    0.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262_144.0,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    method: MethodLabel,
    route: RouteLabel,
    ending: Ending,
    version: &'static str,
}

/// The instruments of one attribute set.
#[derive(Debug)]
struct Bound {
    duration_s: BoundHistogram<f64>,
    request_bytes: BoundHistogram<u64>,
    response_bytes: BoundHistogram<u64>,
    old: Option<BoundOld>,
}

#[derive(Debug)]
struct BoundOld {
    duration_ms: BoundHistogram<f64>,
    request_bytes: BoundHistogram<u64>,
    response_bytes: BoundHistogram<u64>,
}

#[derive(Debug)]
struct OldInstruments {
    duration_ms: Histogram<f64>,
    request_bytes: Histogram<u64>,
    response_bytes: Histogram<u64>,
}

/// One finished exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) method: MethodLabel,
    pub(crate) route: RouteLabel,
    pub(crate) version: Version,
    pub(crate) ending: Ending,
    pub(crate) duration: Duration,
    pub(crate) request_bytes: u64,
    /// `None` when no answer was produced.
    pub(crate) response_bytes: Option<u64>,
}

/// The conventional HTTP server metrics of one service.
#[derive(Debug)]
pub(crate) struct HttpMetrics {
    duration_s: Histogram<f64>,
    active: UpDownCounter<i64>,
    request_bytes: Histogram<u64>,
    response_bytes: Histogram<u64>,
    old: Option<OldInstruments>,
    /// Guards nothing but the table itself; entries are never removed.
    bound: RwLock<HashMap<Key, Arc<Bound>>>,
    bound_active: RwLock<HashMap<MethodLabel, BoundUpDownCounter<i64>>>,
}

impl HttpMetrics {
    pub(crate) fn new(meter: &Meter, old_conventions: bool) -> Self {
        Self {
            duration_s: meter
                .f64_histogram("http.server.request.duration")
                .with_unit("s")
                .with_description("Duration of HTTP server requests.")
                .with_boundaries(DURATION_BOUNDARIES_S.to_vec())
                .build(),
            active: meter
                .i64_up_down_counter("http.server.active_requests")
                .with_unit("{request}")
                .with_description("Number of active HTTP server requests.")
                .build(),
            request_bytes: size_histogram(
                meter,
                "http.server.request.body.size",
                "Size of HTTP server request bodies.",
            ),
            response_bytes: size_histogram(
                meter,
                "http.server.response.body.size",
                "Size of HTTP server response bodies.",
            ),
            old: old_conventions.then(|| OldInstruments::new(meter)),
            bound: RwLock::default(),
            bound_active: RwLock::default(),
        }
    }

    /// Counts a request that begins; the returned handle ends it.
    pub(crate) fn begin(&self, method: MethodLabel) -> BoundUpDownCounter<i64> {
        let active = self.active_of(method);
        active.add(1);
        active
    }

    fn active_of(&self, method: MethodLabel) -> BoundUpDownCounter<i64> {
        if let Some(bound) = self.bound_active.read().get(&method) {
            return bound.clone();
        }
        let mut table = self.bound_active.write();
        table
            .entry(method)
            .or_insert_with(|| {
                self.active.bind(&[
                    KeyValue::new(HTTP_REQUEST_METHOD, method.as_str()),
                    KeyValue::new(URL_SCHEME, "http"),
                ])
            })
            .clone()
    }

    /// Records a request that ended.
    pub(crate) fn record(&self, exchange: &Exchange) {
        let bound = self.bound_of(Key {
            method: exchange.method,
            route: exchange.route,
            ending: exchange.ending,
            version: protocol_version(exchange.version),
        });
        let seconds = exchange.duration.as_secs_f64();
        bound.duration_s.record(seconds);
        bound.request_bytes.record(exchange.request_bytes);
        if let Some(bytes) = exchange.response_bytes {
            bound.response_bytes.record(bytes);
        }
        if let Some(old) = &bound.old {
            old.duration_ms.record(seconds * 1000.0);
            old.request_bytes.record(exchange.request_bytes);
            if let Some(bytes) = exchange.response_bytes {
                old.response_bytes.record(bytes);
            }
        }
    }

    fn bound_of(&self, key: Key) -> Arc<Bound> {
        if let Some(bound) = self.bound.read().get(&key) {
            return Arc::clone(bound);
        }
        let mut table = self.bound.write();
        Arc::clone(table.entry(key).or_insert_with(|| Arc::new(self.bind(key))))
    }

    fn bind(&self, key: Key) -> Bound {
        let mut attributes = vec![
            KeyValue::new(HTTP_REQUEST_METHOD, key.method.as_str()),
            KeyValue::new(HTTP_ROUTE, key.route.as_str()),
            KeyValue::new(URL_SCHEME, "http"),
            KeyValue::new(NETWORK_PROTOCOL_VERSION, key.version),
        ];
        if let Ending::Status(code) = key.ending {
            attributes.push(KeyValue::new(HTTP_RESPONSE_STATUS_CODE, i64::from(code)));
        }
        if let Some(error) = key.ending.error_type() {
            attributes.push(KeyValue::new(ERROR_TYPE, error));
        }
        Bound {
            duration_s: self.duration_s.bind(&attributes),
            request_bytes: self.request_bytes.bind(&attributes),
            response_bytes: self.response_bytes.bind(&attributes),
            old: self.old.as_ref().map(|old| old.bind(key)),
        }
    }
}

impl OldInstruments {
    fn new(meter: &Meter) -> Self {
        Self {
            duration_ms: meter
                .f64_histogram("http.server.duration")
                .with_unit("ms")
                .with_description("Duration of HTTP server requests (older conventions).")
                .with_boundaries(DURATION_BOUNDARIES_S.map(|s| s * 1000.0).to_vec())
                .build(),
            request_bytes: size_histogram(
                meter,
                "http.server.request.size",
                "Size of HTTP server request bodies (older conventions).",
            ),
            response_bytes: size_histogram(
                meter,
                "http.server.response.size",
                "Size of HTTP server response bodies (older conventions).",
            ),
        }
    }

    fn bind(&self, key: Key) -> BoundOld {
        let mut attributes = vec![
            KeyValue::new("http.method", key.method.as_str()),
            KeyValue::new("http.route", key.route.as_str()),
            KeyValue::new("http.scheme", "http"),
            KeyValue::new("net.protocol.version", key.version),
        ];
        if let Ending::Status(code) = key.ending {
            attributes.push(KeyValue::new("http.status_code", i64::from(code)));
        }
        BoundOld {
            duration_ms: self.duration_ms.bind(&attributes),
            request_bytes: self.request_bytes.bind(&attributes),
            response_bytes: self.response_bytes.bind(&attributes),
        }
    }
}

fn size_histogram(meter: &Meter, name: &'static str, description: &'static str) -> Histogram<u64> {
    meter
        .u64_histogram(name)
        .with_unit("By")
        .with_description(description)
        .with_boundaries(SIZE_BOUNDARIES_BYTES.to_vec())
        .build()
}
