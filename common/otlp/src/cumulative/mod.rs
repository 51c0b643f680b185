//! Points with delta temporality made cumulative, as the Collector's processor `deltatocumulative` does it.
//!
//! A [`Cumulative`] keeps the total of every stream: a metric of a resource and a scope with the attributes of its
//! points. What cannot be added to it is dropped: a point that is not newer than the one before, or that belongs to an
//! older start. A stream without new points is forgotten after [`MAX_STALE`] and begins anew.
//!
//! | file | what it holds |
//! |---|---|
//! | `point` | adding points of each kind |
//! | `exponential` | adding exponential buckets |

mod exponential;
mod point;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric,
    NumberDataPoint,
};
use prost::Message as _;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::metrics::{self, MetricsRequest, Temporality};
use crate::wire::put_bytes;
use point::Point;

/// How long a stream lives without new points.
pub const MAX_STALE: Duration = Duration::from_secs(5 * 60);

/// How often stale streams are looked for.
const SWEEP: Duration = Duration::from_secs(60);

const DELTA: i32 = AggregationTemporality::Delta as i32;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// Whether a request has metrics with delta temporality.
#[must_use]
pub fn has_delta(request: &MetricsRequest<'_>) -> bool {
    let scopes = request.resource_metrics().flat_map(|r| r.scope_metrics());
    let mut metrics = scopes.flat_map(|scope| scope.metrics());
    metrics.any(|metric| match metric.data {
        metrics::Data::Sum { temporality, .. }
        | metrics::Data::Histogram { temporality, .. }
        | metrics::Data::ExponentialHistogram { temporality, .. } => {
            temporality == Temporality::Delta
        }
        metrics::Data::Empty | metrics::Data::Gauge { .. } | metrics::Data::Summary { .. } => false,
    })
}

/// A request with cumulative points only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Converted {
    /// The request; `None` when nothing of it is left.
    pub request: Option<Vec<u8>>,
    /// Points that could not be added.
    pub dropped: usize,
}

/// The totals of all streams.
#[derive(Debug, Default)]
pub struct Cumulative {
    streams: HashMap<Box<[u8]>, Stream>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Stream {
    total: Total,
    used: Instant,
}

/// The last point of a stream, without attributes and exemplars; its time is 0 before the first.
#[derive(Debug)]
enum Total {
    Number(NumberDataPoint),
    Histogram(HistogramDataPoint),
    Exponential(Box<ExponentialHistogramDataPoint>),
}

impl Cumulative {
    /// Adds the delta points of a request to their streams and puts the totals in their place.
    ///
    /// # Errors
    /// The request is not valid protobuf; then nothing is added.
    pub fn convert(&mut self, request: &[u8], now: Instant) -> Result<Converted, DecodeError> {
        MetricsRequest::new(request)?;
        self.sweep(now);
        // Validated right above: a decoder could only refuse the depth.
        let too_deep = |_| DecodeError {
            message: "ExportMetricsServiceRequest",
            field: None,
            offset: 0,
            kind: DecodeErrorKind::TooDeep,
        };
        let mut request = ExportMetricsServiceRequest::decode(request).map_err(too_deep)?;
        let mut dropped = 0;
        let mut key = Vec::new();
        request.resource_metrics.retain_mut(|resource| {
            key.clear();
            push_attributes(
                &mut key,
                resource.resource.as_ref().map_or(&[], |r| &r.attributes),
            );
            let resource_end = key.len();
            resource.scope_metrics.retain_mut(|scope| {
                key.truncate(resource_end);
                push_scope(&mut key, scope.scope.as_ref());
                let scope_end = key.len();
                scope.metrics.retain_mut(|metric| {
                    key.truncate(scope_end);
                    self.metric(metric, &mut key, now, &mut dropped)
                });
                !scope.metrics.is_empty()
            });
            !resource.scope_metrics.is_empty()
        });
        Ok(Converted {
            request: (!request.resource_metrics.is_empty()).then(|| request.encode_to_vec()),
            dropped,
        })
    }

    /// Streams that are kept.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Makes a metric cumulative; false when it has no points left.
    fn metric(
        &mut self,
        metric: &mut Metric,
        key: &mut Vec<u8>,
        now: Instant,
        dropped: &mut usize,
    ) -> bool {
        put_bytes(key, 1, metric.name.as_bytes());
        put_bytes(key, 2, metric.unit.as_bytes());
        match &mut metric.data {
            Some(Data::Sum(sum)) if sum.aggregation_temporality == DELTA => {
                sum.aggregation_temporality = CUMULATIVE;
                key.push(if sum.is_monotonic { b'c' } else { b's' });
                self.points(&mut sum.data_points, key, now, dropped)
            }
            Some(Data::Histogram(h)) if h.aggregation_temporality == DELTA => {
                h.aggregation_temporality = CUMULATIVE;
                key.push(b'h');
                self.points(&mut h.data_points, key, now, dropped)
            }
            Some(Data::ExponentialHistogram(h)) if h.aggregation_temporality == DELTA => {
                h.aggregation_temporality = CUMULATIVE;
                key.push(b'e');
                self.points(&mut h.data_points, key, now, dropped)
            }
            _ => true,
        }
    }

    fn points<P: Point>(
        &mut self,
        points: &mut Vec<P>,
        key: &mut Vec<u8>,
        now: Instant,
        dropped: &mut usize,
    ) -> bool {
        let metric_end = key.len();
        let before = points.len();
        points.retain_mut(|point| {
            key.truncate(metric_end);
            push_attributes(key, point.attributes());
            let stream = match self.streams.get_mut(key.as_slice()) {
                Some(stream) => stream,
                None => self
                    .streams
                    .entry(key.as_slice().into())
                    .or_insert_with(|| Stream {
                        total: P::default().into(),
                        used: now,
                    }),
            };
            stream.used = now;
            P::of(&mut stream.total).is_some_and(|total| total.take_in(point))
        });
        *dropped += before - points.len();
        !points.is_empty()
    }

    /// Forgets streams that got no point for long.
    fn sweep(&mut self, now: Instant) {
        let last = *self.swept.get_or_insert(now);
        if now.saturating_duration_since(last) < SWEEP {
            return;
        }
        self.swept = Some(now);
        self.streams
            .retain(|_, stream| now.saturating_duration_since(stream.used) <= MAX_STALE);
        if self.streams.len() < self.streams.capacity() / 4 {
            self.streams.shrink_to_fit();
        }
    }
}

/// Attributes whatever their order.
fn push_attributes(key: &mut Vec<u8>, attributes: &[KeyValue]) {
    let mut sorted: Vec<Vec<u8>> = attributes.iter().map(KeyValue::encode_to_vec).collect();
    sorted.sort_unstable();
    for pair in sorted {
        put_bytes(key, 3, &pair);
    }
    key.push(0);
}

fn push_scope(key: &mut Vec<u8>, scope: Option<&InstrumentationScope>) {
    if let Some(scope) = scope {
        put_bytes(key, 1, scope.name.as_bytes());
        put_bytes(key, 2, scope.version.as_bytes());
        push_attributes(key, &scope.attributes);
    }
    key.push(0);
}
