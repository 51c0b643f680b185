//! OTLP metrics into storage, as Prometheus 3.14's OTLP endpoint does it.
//!
//! [`body`] opens a request (gzip, JSON); [`write`] translates it point by point with `bellwether-otlp` and appends
//! the samples in one transaction. A request is stored as a whole or not at all: whatever is wrong with one metric
//! (delta temporality, a name of which nothing remains, a sample that storage refuses) is reported together with what
//! is wrong with the others, and nothing is kept. Sources: `storage/remote/write_otlp_handler.go` and
//! `storage/remote/otlptranslator` of Prometheus 3.14.
//!
//! | file | what it holds |
//! |---|---|
//! | `labels` | label sets of points and of `target_info` |
//! | `points` | numbers, classic histograms and summaries, exemplars |
//! | `native` | histograms with exponential and with custom buckets |
//! | `delta` | delta temporality made cumulative |

mod delta;
mod labels;
mod native;
mod points;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::io::Read as _;

use bellwether_model::storage::{AppendError, Appendable, Appender, SeriesRef, Zero};
use bellwether_model::{Exemplar, Labels, Metadata, MetricType};
use bellwether_otlp::metrics::{Data, Metric, ResourceMetrics, ScopeMetrics, Temporality};
use bellwether_otlp::translate::{MetricKind, Translator};
use bellwether_otlp::{MetricsRequest, Signal};
use hashbrown::HashSet;

use crate::receive::MAX_AHEAD_MS;
pub use delta::DeltaToCumulative;
use labels::{PointLabels, ResourceLabels, ScopeLabels};

/// Largest request, before and after decompression, as in Prometheus.
pub const OTLP_BYTES_MAX: usize = 32 << 20;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// What the `otlp` section of the configuration says.
#[derive(Clone, Debug, Default)]
pub struct OtlpSettings {
    /// Names of metrics and labels.
    pub translator: Translator,
    /// Which resource attributes become labels.
    pub promote: Promote,
    /// `target_info` also has the attributes that make `job` and `instance`.
    pub keep_identifying: bool,
    /// Classic histograms become native ones with custom buckets.
    pub convert_histograms: bool,
    /// Name, version, schema and attributes of scopes become labels.
    pub promote_scope: bool,
    /// Points with delta temporality are stored as they are.
    pub allow_delta: bool,
    /// Type and unit of a metric become labels of its series.
    pub type_and_unit_labels: bool,
    /// Storage is told the metadata of each series.
    pub metadata_records: bool,
    /// Start times are stored as zero samples.
    pub start_timestamps: bool,
    /// Distance of `target_info` samples in milliseconds: half the lookback of queries.
    pub target_info_interval_ms: i64,
}

/// Resource attributes that become labels of every point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promote {
    /// These.
    Only(HashSet<String>),
    /// All but these.
    AllBut(HashSet<String>),
}

impl Default for Promote {
    fn default() -> Self {
        Self::Only(HashSet::new())
    }
}

impl Promote {
    fn wants(&self, attribute: &str) -> bool {
        match self {
            Self::Only(names) => names.contains(attribute),
            Self::AllBut(names) => !names.contains(attribute),
        }
    }
}

/// Why nothing of a request was stored.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// A content type, an encoding or a body that is not OTLP.
    #[error("{0}")]
    Body(String),
    /// What is wrong with its metrics.
    #[error("{}", join(.0))]
    Metrics(Vec<MetricError>),
    /// Storage failed; the sender should try again.
    #[error("{0}")]
    Storage(#[source] AppendError),
}

fn join(errors: &[MetricError]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("\n")
}

/// What is wrong with a metric.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// In words.
    #[error("{0}")]
    Translation(String),
    /// A sample too far in the future.
    #[error("out of bounds: timestamp is too far in the future")]
    TooFarAhead,
    /// A sample that storage refuses.
    #[error("{0}")]
    Refused(AppendError),
}

impl MetricError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self::Translation(error.to_string())
    }

    /// Whether sending the request again is useless for certain.
    fn is_final(&self) -> bool {
        match self {
            Self::TooFarAhead => true,
            Self::Refused(error) => matches!(
                error,
                AppendError::OutOfOrder
                    | AppendError::OutOfBounds
                    | AppendError::DuplicateTimestamp(_)
                    | AppendError::TooOld
            ),
            Self::Translation(_) => false,
        }
    }
}

impl OtlpError {
    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Body(_) => 400,
            Self::Metrics(errors) if errors.iter().any(MetricError::is_final) => 400,
            Self::Metrics(_) | Self::Storage(_) => 500,
        }
    }
}

/// What is odd about a request that was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OtlpWarning {
    /// A metric without points.
    EmptyDataPoints,
    /// Attributes with one label name, whose values were joined.
    LabelNameCollision,
    /// A histogram without observations, but with a sum.
    ZeroCountNonZeroSum,
}

impl OtlpWarning {
    /// All of them.
    pub const ALL: [Self; 3] = [
        Self::EmptyDataPoints,
        Self::LabelNameCollision,
        Self::ZeroCountNonZeroSum,
    ];

    /// Prometheus' name of the category.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::EmptyDataPoints => "empty_data_points",
            Self::LabelNameCollision => "label_name_collision",
            Self::ZeroCountNonZeroSum => "histogram_zero_count_non_zero_sum",
        }
    }
}

/// What [`write`] stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpStats {
    /// Samples and histograms.
    pub samples: u64,
    /// Warnings in the order in which they came up.
    pub warnings: Vec<OtlpWarning>,
}

/// The protobuf bytes of a request.
///
/// # Errors
/// [`OtlpError::Body`].
pub fn body<'b>(
    content_type: &str,
    encoding: &str,
    sent: &'b [u8],
) -> Result<Cow<'b, [u8]>, OtlpError> {
    let bad = |message: String| Err(OtlpError::Body(message));
    if !matches!(content_type, PROTOBUF | JSON) {
        return bad(format!(
            "unsupported content type: {content_type}, supported: [{JSON}, {PROTOBUF}]"
        ));
    }
    let plain = match encoding {
        "" => Cow::Borrowed(sent),
        "gzip" => {
            let mut plain = Vec::new();
            let limit = OTLP_BYTES_MAX as u64 + 1;
            let unpacked = flate2::read::GzDecoder::new(sent)
                .take(limit)
                .read_to_end(&mut plain);
            if let Err(error) = unpacked {
                return bad(format!("gzip: {error}"));
            }
            if plain.len() > OTLP_BYTES_MAX {
                return bad(format!(
                    "request exceeds the limit of {OTLP_BYTES_MAX} bytes (decompressed)"
                ));
            }
            Cow::Owned(plain)
        }
        other => {
            return bad(format!(
                "unsupported compression: {other}. Only \"gzip\" or no compression supported"
            ));
        }
    };
    if content_type == PROTOBUF {
        return Ok(plain);
    }
    bellwether_otlp::json::to_protobuf(Signal::Metrics.request(), &plain)
        .map(Cow::Owned)
        .map_err(|e| OtlpError::Body(e.to_string()))
}

/// Writes a request in one transaction. Blocking; `now_ms` is the receiver's clock.
///
/// # Errors
/// [`OtlpError`]; then nothing is stored.
pub fn write(
    storage: &dyn Appendable,
    settings: &OtlpSettings,
    request: &[u8],
    now_ms: i64,
) -> Result<OtlpStats, OtlpError> {
    let request = MetricsRequest::new(request).map_err(|e| OtlpError::Body(e.to_string()))?;
    let mut writer = Writer {
        appender: storage.appender(),
        settings,
        max_time_ms: now_ms.saturating_add(MAX_AHEAD_MS),
        stats: OtlpStats::default(),
        errors: Vec::new(),
        failure: None,
        metadata: None,
        seen_targets: HashSet::new(),
    };
    for resource in request.resource_metrics() {
        writer.resource(&resource);
    }
    let Writer {
        appender,
        stats,
        errors,
        failure,
        ..
    } = writer;
    if let Some(failure) = failure {
        appender.rollback();
        return Err(OtlpError::Storage(failure));
    }
    if !errors.is_empty() {
        appender.rollback();
        return Err(OtlpError::Metrics(errors));
    }
    appender.commit().map_err(OtlpError::Storage)?;
    Ok(stats)
}

/// One request on its way into storage.
struct Writer<'s> {
    appender: Box<dyn Appender + 's>,
    settings: &'s OtlpSettings,
    max_time_ms: i64,
    stats: OtlpStats,
    errors: Vec<MetricError>,
    /// Storage as a whole failed.
    failure: Option<AppendError>,
    /// What storage is told about the series of the samples that come.
    metadata: Option<Metadata>,
    /// `target_info` samples that this request has already: several resources may make the same.
    seen_targets: HashSet<(Labels, i64)>,
}

/// What a metric's points have in common.
struct Family<'a> {
    name: String,
    resource: &'a ResourceLabels,
    scope: Option<&'a ScopeLabels>,
    kind: MetricType,
    unit: &'a str,
}

impl Writer<'_> {
    fn resource(&mut self, resource: &ResourceMetrics<'_>) {
        let labels = match ResourceLabels::new(resource.attributes, self.settings) {
            Ok(labels) => labels,
            Err(error) => return self.errors.push(error),
        };
        // The times that `target_info` covers.
        let mut times: Option<(u64, u64)> = None;
        for scope in resource.scope_metrics() {
            self.scope(&scope, &labels, &mut times);
        }
        if let Some(times) = times
            && let Err(error) = self.target_info(resource, &labels, times)
        {
            self.errors.push(error);
        }
    }

    fn scope(
        &mut self,
        scope: &ScopeMetrics<'_>,
        resource: &ResourceLabels,
        times: &mut Option<(u64, u64)>,
    ) {
        let promoted = match ScopeLabels::new(scope, self.settings) {
            Ok(promoted) => promoted,
            Err(error) => return self.errors.push(error),
        };
        for metric in scope.metrics() {
            points::each_time(&metric, |t| {
                let (first, last) = times.unwrap_or((t, t));
                *times = Some((first.min(t), last.max(t)));
            });
            if let Err(error) = self.metric(&metric, resource, promoted.as_ref()) {
                self.errors.push(error);
            }
        }
    }

    /// An error ends the metric; its other points are not looked at.
    fn metric(
        &mut self,
        metric: &Metric<'_>,
        resource: &ResourceLabels,
        scope: Option<&ScopeLabels>,
    ) -> Result<(), MetricError> {
        if matches!(metric.data, Data::Empty) {
            return Err(MetricError::new(format!(
                "could not get aggregation temporality for {} as it has unsupported metric type Empty",
                metric.name
            )));
        }
        let temporality = temporality(metric);
        let delta = self.settings.allow_delta && temporality == Some(Temporality::Delta);
        if !delta && !matches!(temporality, None | Some(Temporality::Cumulative)) {
            return Err(MetricError::new(format!(
                "invalid temporality and type combination for metric {}",
                bellwether_model::labels::quote(metric.name)
            )));
        }
        let name = self
            .settings
            .translator
            .metric_name(metric.name, metric.unit, MetricKind::of(metric))
            .map_err(MetricError::new)?;
        let family = Family {
            name,
            resource,
            scope,
            kind: metric_type(metric),
            unit: metric.unit,
        };
        self.describe(family.kind, metric.unit, metric.description);
        let points = match metric.data {
            Data::Empty => 0,
            Data::Gauge { points } => self.numbers(&points, &family, false)?,
            Data::Sum { points, .. } => self.numbers(&points, &family, true)?,
            Data::Histogram { points, .. } if self.settings.convert_histograms => {
                self.custom_histograms(&points, &family, delta)?
            }
            Data::Histogram { points, .. } => self.histograms(&points, &family)?,
            Data::ExponentialHistogram { points, .. } => {
                self.exponential_histograms(&points, &family, delta)?
            }
            Data::Summary { points } => self.summaries(&points, &family)?,
        };
        if points == 0 {
            self.stats.warnings.push(OtlpWarning::EmptyDataPoints);
        }
        Ok(())
    }

    /// `target_info` from the first to the last time of a resource's points (ns), often enough that queries in
    /// between find it.
    fn target_info(
        &mut self,
        resource: &ResourceMetrics<'_>,
        labels: &ResourceLabels,
        (first, last): (u64, u64),
    ) -> Result<(), MetricError> {
        let Some(labels) = labels.target_info(resource.attributes, self)? else {
            return Ok(());
        };
        self.describe(MetricType::Gauge, "", "Target metadata");
        let interval = self.settings.target_info_interval_ms.max(1);
        let (mut t, last) = (points::millis(first), points::millis(last));
        loop {
            let t_now = t.min(last);
            if self.seen_targets.insert((labels.clone(), t_now)) {
                self.sample(&labels, Times::at(t_now), 1.0)?;
            }
            if t >= last {
                return Ok(());
            }
            t = t.saturating_add(interval);
        }
    }

    /// The labels of a point.
    fn labels<'a>(&mut self, family: &Family<'a>) -> PointLabels<'a, '_> {
        PointLabels {
            resource: family.resource,
            scope: family.scope,
            kind: family.kind,
            unit: family.unit,
            settings: self.settings,
            warnings: &mut self.stats.warnings,
        }
    }

    fn reference(&mut self, labels: &Labels, t: i64) -> Result<SeriesRef, MetricError> {
        if t > self.max_time_ms {
            return Err(MetricError::TooFarAhead);
        }
        match self.appender.series(labels) {
            Ok(reference) => Ok(reference),
            Err(error) => Err(self.refused(error)),
        }
    }

    fn sample(&mut self, labels: &Labels, times: Times, v: f64) -> Result<SeriesRef, MetricError> {
        let reference = self.reference(labels, times.t)?;
        self.start(reference, times, Zero::Float);
        match self.appender.append(reference, times.t, v) {
            Ok(()) => Ok(self.stored(reference)),
            Err(error) => Err(self.refused(error)),
        }
    }

    fn native_sample(
        &mut self,
        labels: &Labels,
        times: Times,
        h: bellwether_model::Histogram,
    ) -> Result<SeriesRef, MetricError> {
        let reference = self.reference(labels, times.t)?;
        self.start(reference, times, Zero::Histogram(&h));
        match self.appender.append_histogram(reference, times.t, h) {
            Ok(()) => Ok(self.stored(reference)),
            Err(error) => Err(self.refused(error)),
        }
    }

    /// The zero before a sample, where it is wanted; that storage cannot take it is no error of the request.
    fn start(&mut self, series: SeriesRef, times: Times, zero: Zero<'_>) {
        if self.settings.start_timestamps && times.start != 0 {
            let _ = (self.appender).append_start(series, times.start, times.t, zero);
        }
    }

    /// Counts a sample and tells storage about its series.
    fn stored(&mut self, series: SeriesRef) -> SeriesRef {
        self.stats.samples += 1;
        if let Some(metadata) = &self.metadata {
            // The series has a sample in this transaction.
            let _ = self.appender.update_metadata(series, metadata);
        }
        series
    }

    /// Notes what the series of the next samples are, where storage wants to know.
    fn describe(&mut self, kind: MetricType, unit: &str, help: &str) {
        if !self.settings.metadata_records {
            return;
        }
        let is_empty = kind == MetricType::Unknown && unit.is_empty() && help.is_empty();
        self.metadata = (!is_empty).then(|| Metadata {
            kind,
            unit: self.settings.translator.unit_name(unit),
            help: help.to_owned(),
        });
    }

    /// Exemplars that storage refuses are left out.
    fn exemplars(&mut self, series: SeriesRef, exemplars: &[Exemplar]) {
        for exemplar in exemplars.iter().filter(|e| !e.is_too_long()) {
            let _ = self.appender.append_exemplar(series, exemplar.clone());
        }
    }

    fn refused(&mut self, error: AppendError) -> MetricError {
        match error {
            AppendError::Wal(text) => {
                let shown = MetricError::new(&text);
                self.failure.get_or_insert(AppendError::Wal(text));
                shown
            }
            AppendError::InvalidHistogram(reason) => MetricError::Translation(reason),
            error => MetricError::Refused(error),
        }
    }
}

/// Times of a sample in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// When what it counts began; 0 is unknown.
    start: i64,
    t: i64,
}

impl Times {
    /// Of a point, from nanoseconds.
    fn of(start_ns: u64, ns: u64) -> Self {
        Self {
            start: points::millis(start_ns),
            t: points::millis(ns),
        }
    }

    /// Without a start.
    fn at(t: i64) -> Self {
        Self { start: 0, t }
    }
}

/// The type of the series that a metric becomes. Those of deltas have no type of their own in Prometheus yet.
fn metric_type(metric: &Metric<'_>) -> MetricType {
    if temporality(metric) == Some(Temporality::Delta) {
        return MetricType::Unknown;
    }
    match metric.data {
        Data::Empty => MetricType::Unknown,
        Data::Sum { is_monotonic, .. } if is_monotonic => MetricType::Counter,
        Data::Gauge { .. } | Data::Sum { .. } => MetricType::Gauge,
        Data::Histogram { .. } | Data::ExponentialHistogram { .. } => MetricType::Histogram,
        Data::Summary { .. } => MetricType::Summary,
    }
}

/// `None` for kinds that have none.
fn temporality(metric: &Metric<'_>) -> Option<Temporality> {
    match metric.data {
        Data::Empty | Data::Gauge { .. } | Data::Summary { .. } => None,
        Data::Sum { temporality, .. }
        | Data::Histogram { temporality, .. }
        | Data::ExponentialHistogram { temporality, .. } => Some(temporality),
    }
}
