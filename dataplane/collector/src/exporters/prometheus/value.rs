//! Values of series, and how a new point changes them.

use std::sync::Arc;

use bellwether_otlp::metrics::{Number, Temporality};

/// Bucket bounds shared by the series that have them, with their text.
#[derive(Debug, PartialEq)]
pub(super) struct Bounds {
    pub(super) values: Vec<f64>,
    /// `le` of each bound, without `+Inf`.
    pub(super) text: Vec<Box<str>>,
    /// The same for OpenMetrics, which wants a decimal point.
    pub(super) open_metrics_text: Vec<Box<str>>,
}

impl Bounds {
    pub(super) fn new(values: Vec<f64>) -> Self {
        let text: Vec<Box<str>> = values
            .iter()
            .map(|v| bellwether_model::float::plain(*v).into_boxed_str())
            .collect();
        let open_metrics_text = text
            .iter()
            .map(|t| match t.contains(['.', 'n', 'N', 'I']) {
                true => t.clone(),
                false => format!("{t}.0").into_boxed_str(),
            })
            .collect();
        Self {
            values,
            text,
            open_metrics_text,
        }
    }

    /// How many bounds there are before infinity.
    pub(super) fn finite(&self) -> usize {
        self.values.partition_point(|v| *v < f64::INFINITY)
    }
}

/// A classic histogram.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    pub(super) bounds: Arc<Bounds>,
    /// Per bucket, not cumulative; one more than bounds, or none.
    pub(super) counts: Vec<u64>,
    pub(super) count: u64,
    pub(super) sum: Option<f64>,
    /// Rendered exemplars per bucket; empty when exemplars are off.
    pub(super) exemplars: Vec<Option<Box<str>>>,
}

/// A summary.
#[derive(Debug, Clone)]
pub(super) struct Summary {
    /// Rendered `quantile` and value.
    pub(super) quantiles: Vec<(Box<str>, f64)>,
    pub(super) sum: f64,
    pub(super) count: u64,
}

/// The value of a series.
#[derive(Debug, Clone)]
pub(super) enum SeriesValue {
    /// Gauge or counter, with a rendered exemplar.
    Number(Number, Option<Box<str>>),
    Histogram(Histogram),
    Summary(Summary),
}

/// A point on its way into a series.
#[derive(Debug)]
pub(super) struct NewPoint {
    pub(super) value: SeriesValue,
    pub(super) temporality: Temporality,
    pub(super) start_ns: u64,
    pub(super) time_ns: u64,
}

/// The value of a series with its times.
#[derive(Debug)]
pub(super) struct State {
    pub(super) value: SeriesValue,
    pub(super) time_ns: u64,
}

impl State {
    pub(super) fn new(point: NewPoint) -> Self {
        Self {
            value: point.value,
            time_ns: point.time_ns,
        }
    }

    /// Takes a point of the same series. An older point is ignored.
    ///
    /// A delta that begins where the last one ended, or later, is added: a gap loses nothing. One
    /// that begins earlier comes from a source that started anew and replaces the value, which
    /// Prometheus reads as a counter reset. A delta with the time of the last one is a repetition.
    pub(super) fn update(&mut self, point: NewPoint) {
        if point.time_ns < self.time_ns {
            return;
        }
        if point.temporality == Temporality::Delta {
            if point.time_ns == self.time_ns {
                return;
            }
            if point.start_ns >= self.time_ns && self.value.add(&point.value) {
                self.time_ns = point.time_ns;
                return;
            }
        }
        let exemplar = self.value.take_exemplars();
        *self = Self::new(point);
        self.value.keep_exemplars(exemplar);
    }
}

/// Exemplars of a value that is about to be replaced.
pub(super) enum Exemplars {
    None,
    One(Box<str>),
    PerBucket(Vec<Option<Box<str>>>),
}

impl SeriesValue {
    /// Adds a delta. False when the two do not fit together.
    fn add(&mut self, delta: &Self) -> bool {
        match (self, delta) {
            (Self::Number(total, exemplar), Self::Number(change, newer)) => {
                *total = match (*total, *change) {
                    (Number::Int(a), Number::Int(b)) => match a.checked_add(b) {
                        Some(sum) => Number::Int(sum),
                        None => Number::Double(a as f64 + b as f64),
                    },
                    (a, b) => Number::Double(a.as_f64() + b.as_f64()),
                };
                if newer.is_some() {
                    exemplar.clone_from(newer);
                }
                true
            }
            (Self::Histogram(total), Self::Histogram(change)) => total.add(change),
            _ => false,
        }
    }

    fn take_exemplars(&mut self) -> Exemplars {
        match self {
            Self::Number(_, exemplar) => exemplar.take().map_or(Exemplars::None, Exemplars::One),
            Self::Histogram(h) => Exemplars::PerBucket(std::mem::take(&mut h.exemplars)),
            Self::Summary(_) => Exemplars::None,
        }
    }

    /// A point without an exemplar keeps showing the last one of its series.
    fn keep_exemplars(&mut self, kept: Exemplars) {
        match (self, kept) {
            (Self::Number(_, exemplar @ None), Exemplars::One(old)) => *exemplar = Some(old),
            (Self::Histogram(h), Exemplars::PerBucket(old)) if old.len() == h.exemplars.len() => {
                for (slot, old) in h.exemplars.iter_mut().zip(old) {
                    if slot.is_none() {
                        *slot = old;
                    }
                }
            }
            _ => {}
        }
    }
}

impl Histogram {
    fn add(&mut self, delta: &Self) -> bool {
        if self.bounds.values != delta.bounds.values || self.counts.len() != delta.counts.len() {
            return false;
        }
        for (total, change) in self.counts.iter_mut().zip(&delta.counts) {
            *total = total.saturating_add(*change);
        }
        self.count = self.count.saturating_add(delta.count);
        self.sum = match (self.sum, delta.sum) {
            (Some(a), Some(b)) => Some(a + b),
            _ => None,
        };
        for (slot, newer) in self.exemplars.iter_mut().zip(&delta.exemplars) {
            if newer.is_some() {
                slot.clone_from(newer);
            }
        }
        true
    }
}
