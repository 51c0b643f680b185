//! From batches to series.
//!
//! A point's raw identity is a hash over the encoded resource, scope, metric and attributes, where
//! the order of attributes does not matter (their hashes are added). A known identity leads to its
//! series without building labels. The hash has 64 bits and a random key per exporter: with a
//! hundred thousand series the chance that any two collide is about one in four thousand million.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Instant;

use bellwether_otlp::Signal;
use bellwether_otlp::metrics::{
    Data, ExpHistogramPoint, HistogramPoint, Metric, MetricsRequest, Number, NumberPoint,
    ResourceMetrics, ScopeMetrics, SummaryPoint, Temporality,
};
use bellwether_otlp::translate::{MetricKind, Translator};
use bellwether_otlp::value::Attributes;
use bellwether_telemetry::Counter;
use parking_lot::Mutex;

use super::labels::{Labels, ResourceFilter, ResourceLabels, point_labels, scope_labels};
use super::names::LabelText;
use super::render::exemplar_text;
use super::store::{FamilyKind, Store};
use super::value::{Histogram, NewPoint, SeriesValue, Summary};
use crate::pipeline::own_metrics::{OwnMetrics, PerSignal};
use crate::pipeline::{Batch, ConsumeError, ConsumeFuture, Consumer};

/// Exponential histograms coarser than this cannot become native histograms.
const SCALE_MIN: i32 = -4;

/// What the configuration says about series.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) translator: Translator,
    pub(super) const_labels: Labels,
    pub(super) resource_filter: ResourceFilter,
    pub(super) scope_labels: bool,
    pub(super) exemplars: bool,
}

/// Why a point is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drop {
    /// Delta of an up-down counter, or no temporality.
    Temporality,
    /// The name is used with another type.
    TypeConflict,
    /// Nothing is left of the name.
    Name,
    /// Buckets that do not fit the bounds, a missing value, an unusable scale.
    Malformed,
}

const DROPS: [(Drop, &str); 4] = [
    (Drop::Temporality, "temporality"),
    (Drop::TypeConflict, "type_conflict"),
    (Drop::Name, "invalid_name"),
    (Drop::Malformed, "malformed"),
];

/// The consumer side of the exporter.
pub(super) struct Ingest {
    settings: Settings,
    store: Arc<Mutex<Store>>,
    hasher: foldhash::quality::RandomState,
    sent: PerSignal,
    dropped: [Counter; 4],
}

impl Ingest {
    pub(super) fn new(
        settings: Settings,
        store: Arc<Mutex<Store>>,
        metrics: &OwnMetrics,
        id: &str,
    ) -> Self {
        let labels = [("exporter", id)];
        let sent = metrics.per_signal(
            "otelcol_exporter_sent",
            "successfully sent to the destination",
            &[Signal::Metrics],
            &labels,
        );
        let dropped = DROPS.map(|(_, reason)| {
            metrics.counter(
                "bellwether_collector_prometheus_dropped_points_total",
                "Data points that have no Prometheus form, by reason.",
                &[("exporter", id), ("reason", reason)],
            )
        });
        Self {
            settings,
            store,
            hasher: foldhash::quality::RandomState::default(),
            sent,
            dropped,
        }
    }

    fn take(&self, request: MetricsRequest<'_>) {
        let now = Instant::now();
        let mut dropped = 0;
        let mut store = self.store.lock();
        for resource in request.resource_metrics() {
            let mut walk = ResourceWalk {
                ingest: self,
                store: &mut store,
                now,
                resource,
                resource_hash: self.hash_attributes(resource.attributes),
                resource_labels: None,
                dropped: 0,
            };
            walk.target_info();
            for scope in resource.scope_metrics() {
                walk.scope(scope);
            }
            dropped += walk.dropped;
        }
        drop(store);
        self.sent.add(
            Signal::Metrics,
            request.data_points().saturating_sub(dropped),
        );
    }

    fn hash_attributes(&self, attributes: Attributes<'_>) -> u64 {
        attributes
            .raw_pairs()
            .fold(0, |sum, pair| sum.wrapping_add(self.hasher.hash_one(pair)))
    }

    fn count_drop(&self, why: Drop) {
        if let Some(index) = DROPS.iter().position(|(drop, _)| *drop == why) {
            self.dropped[index].inc();
        }
    }
}

impl Consumer for Ingest {
    fn consume(&self, batch: Batch) -> ConsumeFuture<'_> {
        Box::pin(async move {
            match MetricsRequest::new(batch.bytes()) {
                Ok(request) => {
                    self.take(request);
                    Ok(())
                }
                Err(error) => Err(ConsumeError::permanent(error.to_string())),
            }
        })
    }
}

/// The walk through one resource.
struct ResourceWalk<'w, 'b> {
    ingest: &'w Ingest,
    store: &'w mut Store,
    now: Instant,
    resource: ResourceMetrics<'b>,
    resource_hash: u64,
    /// Built when the first new series needs them.
    resource_labels: Option<ResourceLabels>,
    dropped: usize,
}

/// What the points of a metric share.
struct MetricWalk<'m, 'b> {
    metric: &'m Metric<'b>,
    scope: &'m ScopeMetrics<'b>,
    scope_labels: &'m mut Option<Labels>,
    hash: u64,
    kind: FamilyKind,
    /// Translated when the first new series needs it.
    name: Option<Result<String, Drop>>,
}

impl<'b> ResourceWalk<'_, 'b> {
    fn labels_of_resource(&mut self) -> &ResourceLabels {
        let settings = &self.ingest.settings;
        self.resource_labels.get_or_insert_with(|| {
            ResourceLabels::of(
                &self.resource,
                &settings.translator,
                &settings.resource_filter,
            )
        })
    }

    fn target_info(&mut self) {
        let raw = self
            .ingest
            .hasher
            .hash_one((self.resource_hash, "target_info"));
        let point = NewPoint {
            value: SeriesValue::Number(Number::Int(1), None),
            temporality: Temporality::Cumulative,
            start_ns: 0,
            time_ns: 0,
        };
        if let Some(id) = self.store.find_raw(raw) {
            self.store.update(id, point, self.now);
            return;
        }
        let settings = &self.ingest.settings;
        let resource = self.resource;
        let labels = self.labels_of_resource().target_info(
            &resource,
            &settings.translator,
            &settings.const_labels,
        );
        if let Some(labels) = labels {
            let family = ("target_info", FamilyKind::Info, "Target metadata");
            let labels = LabelText::new(&labels, None);
            let inserted = self.store.insert(family, labels, raw, point, self.now);
            if inserted.is_err() {
                self.ingest.count_drop(Drop::TypeConflict);
            }
        }
    }

    fn scope(&mut self, scope: ScopeMetrics<'b>) {
        let hasher = &self.ingest.hasher;
        let scope_hash = hasher.hash_one((
            self.resource_hash,
            scope.scope.name,
            scope.scope.version,
            scope.schema_url,
            self.ingest.hash_attributes(scope.scope.attributes),
        ));
        let mut scope_labels = None;
        for metric in scope.metrics() {
            let Some(kind) = family_kind(&metric) else {
                continue;
            };
            let hash = hasher.hash_one((scope_hash, metric.name, metric.unit, kind as u8));
            let mut walk = MetricWalk {
                metric: &metric,
                scope: &scope,
                scope_labels: &mut scope_labels,
                hash,
                kind,
                name: None,
            };
            self.points(&mut walk);
        }
    }

    fn points(&mut self, walk: &mut MetricWalk<'_, 'b>) {
        match walk.metric.data {
            Data::Empty => {}
            Data::Gauge { points } => {
                for point in points.iter() {
                    self.number(walk, &point, Temporality::Cumulative);
                }
            }
            Data::Sum {
                points,
                temporality,
                is_monotonic,
            } => {
                let usable = match temporality {
                    Temporality::Cumulative => true,
                    Temporality::Delta => is_monotonic,
                    Temporality::Unspecified => false,
                };
                for point in points.iter() {
                    if usable {
                        self.number(walk, &point, temporality);
                    } else {
                        self.drop_point(walk, Drop::Temporality);
                    }
                }
            }
            Data::Histogram {
                points,
                temporality,
            } => {
                for point in points.iter() {
                    self.histogram(walk, &point, temporality);
                }
            }
            Data::ExponentialHistogram {
                points,
                temporality,
            } => {
                for point in points.iter() {
                    self.exponential(walk, &point, temporality);
                }
            }
            Data::Summary { points } => {
                for point in points.iter() {
                    self.summary(walk, &point);
                }
            }
        }
    }

    fn number(
        &mut self,
        walk: &mut MetricWalk<'_, 'b>,
        point: &NumberPoint<'b>,
        temporality: Temporality,
    ) {
        if point.no_recorded_value() {
            return self.forget(walk, point.attributes);
        }
        let Some(value) = point.value else {
            return self.drop_point(walk, Drop::Malformed);
        };
        let exemplar = (self.ingest.settings.exemplars && walk.kind == FamilyKind::Counter)
            .then(|| point.exemplars().last().and_then(|e| exemplar_text(&e)))
            .flatten();
        let new = NewPoint {
            value: SeriesValue::Number(value, exemplar),
            temporality,
            start_ns: point.start_time_unix_nano,
            time_ns: point.time_unix_nano,
        };
        self.store_point(walk, point.attributes, new);
    }

    fn histogram(
        &mut self,
        walk: &mut MetricWalk<'_, 'b>,
        point: &HistogramPoint<'b>,
        temporality: Temporality,
    ) {
        if point.no_recorded_value() {
            return self.forget(walk, point.attributes);
        }
        if temporality == Temporality::Unspecified {
            return self.drop_point(walk, Drop::Temporality);
        }
        let bounds: Vec<f64> = point.explicit_bounds().collect();
        let counts: Vec<u64> = point.bucket_counts().collect();
        let fits = counts.len() == bounds.len() + 1 || (counts.is_empty() && bounds.is_empty());
        // Equal bounds would be two samples with the same `le`.
        if !fits || !bounds.is_sorted_by(|a, b| a < b) || bounds.iter().any(|b| b.is_nan()) {
            return self.drop_point(walk, Drop::Malformed);
        }
        let mut exemplars = Vec::new();
        if self.ingest.settings.exemplars {
            exemplars.resize(bounds.len() + 1, None);
            for exemplar in point.exemplars() {
                let Some(value) = exemplar.value.map(Number::as_f64) else {
                    continue;
                };
                let bucket = bounds.partition_point(|bound| *bound < value);
                exemplars[bucket] = exemplar_text(&exemplar);
            }
        }
        let value = SeriesValue::Histogram(Histogram {
            bounds: self.store.intern_bounds(&bounds),
            counts,
            count: point.count,
            sum: point.sum,
            exemplars,
        });
        let new = NewPoint {
            value,
            temporality,
            start_ns: point.start_time_unix_nano,
            time_ns: point.time_unix_nano,
        };
        self.store_point(walk, point.attributes, new);
    }

    /// The text formats have no native histograms: count and sum are shown, as the official exporter
    /// does for scrapers that do not ask for protobuf.
    fn exponential(
        &mut self,
        walk: &mut MetricWalk<'_, 'b>,
        point: &ExpHistogramPoint<'b>,
        temporality: Temporality,
    ) {
        if point.no_recorded_value() {
            return self.forget(walk, point.attributes);
        }
        if temporality == Temporality::Unspecified {
            return self.drop_point(walk, Drop::Temporality);
        }
        if point.scale < SCALE_MIN {
            return self.drop_point(walk, Drop::Malformed);
        }
        let value = SeriesValue::Histogram(Histogram {
            bounds: self.store.intern_bounds(&[]),
            counts: Vec::new(),
            count: point.count,
            sum: point.sum,
            exemplars: Vec::new(),
        });
        let new = NewPoint {
            value,
            temporality,
            start_ns: point.start_time_unix_nano,
            time_ns: point.time_unix_nano,
        };
        self.store_point(walk, point.attributes, new);
    }

    fn summary(&mut self, walk: &mut MetricWalk<'_, 'b>, point: &SummaryPoint<'b>) {
        if point.no_recorded_value() {
            return self.forget(walk, point.attributes);
        }
        let quantiles = point
            .quantiles()
            .map(|q| (bellwether_model::float::plain(q.quantile).into(), q.value))
            .collect();
        let new = NewPoint {
            value: SeriesValue::Summary(Summary {
                quantiles,
                sum: point.sum,
                count: point.count,
            }),
            temporality: Temporality::Cumulative,
            start_ns: point.start_time_unix_nano,
            time_ns: point.time_unix_nano,
        };
        self.store_point(walk, point.attributes, new);
    }

    fn raw(&self, walk: &MetricWalk<'_, 'b>, attributes: Attributes<'b>) -> u64 {
        let own = self.ingest.hash_attributes(attributes);
        self.ingest.hasher.hash_one((walk.hash, own))
    }

    fn store_point(
        &mut self,
        walk: &mut MetricWalk<'_, 'b>,
        attributes: Attributes<'b>,
        point: NewPoint,
    ) {
        let raw = self.raw(walk, attributes);
        if let Some(id) = self.store.find_raw(raw) {
            self.store.update(id, point, self.now);
            return;
        }
        if let Err(why) = self.store_new(walk, attributes, raw, point) {
            self.drop_point(walk, why);
        }
    }

    fn store_new(
        &mut self,
        walk: &mut MetricWalk<'_, 'b>,
        attributes: Attributes<'b>,
        raw: u64,
        point: NewPoint,
    ) -> Result<(), Drop> {
        let settings = &self.ingest.settings;
        let metric = walk.metric;
        let name = walk.name.get_or_insert_with(|| {
            settings
                .translator
                .metric_name(metric.name, metric.unit, MetricKind::of(metric))
                .map_err(|_| Drop::Name)
        });
        let name = name.as_ref().map_err(|why| *why)?;
        let scope = walk.scope;
        let scope_labels = walk.scope_labels.get_or_insert_with(|| {
            if settings.scope_labels {
                scope_labels(scope, &settings.translator)
            } else {
                Labels::new()
            }
        });
        let labels = point_labels(
            &settings.translator,
            self.labels_of_resource(),
            scope_labels,
            &settings.const_labels,
            attributes,
            walk.kind,
        );
        let family = (name.as_str(), walk.kind, metric.description);
        self.store
            .insert(family, labels, raw, point, self.now)
            .map_err(|_| Drop::TypeConflict)
    }

    fn forget(&mut self, walk: &MetricWalk<'_, 'b>, attributes: Attributes<'b>) {
        if let Some(id) = self.store.find_raw(self.raw(walk, attributes)) {
            self.store.remove(id);
        }
    }

    fn drop_point(&mut self, walk: &MetricWalk<'_, 'b>, why: Drop) {
        self.dropped += 1;
        self.ingest.count_drop(why);
        tracing::debug!(metric = walk.metric.name, reason = ?why, "data point has no Prometheus form");
    }
}

fn family_kind(metric: &Metric<'_>) -> Option<FamilyKind> {
    Some(match metric.data {
        Data::Empty => return None,
        Data::Sum {
            is_monotonic: true, ..
        } => FamilyKind::Counter,
        Data::Gauge { .. } | Data::Sum { .. } => FamilyKind::Gauge,
        Data::Histogram { .. } | Data::ExponentialHistogram { .. } => FamilyKind::Histogram,
        Data::Summary { .. } => FamilyKind::Summary,
    })
}
