//! The registry.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::family::{Counter, Gauge, Histogram, Summary};

/// Sorted label pairs: the identity of a time series inside its family.
pub(crate) type LabelSet = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub(crate) enum Metric {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    Summary(Summary),
}

impl Metric {
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
            Self::Summary(_) => "summary",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) metrics: BTreeMap<LabelSet, Metric>,
}

/// Sets handles to values that live elsewhere, right before a rendering.
pub trait Collect: Send + Sync {
    /// Called once per rendering; must be quick and must not block.
    fn collect(&self);
}

impl<F: Fn() + Send + Sync> Collect for F {
    fn collect(&self) {
        self();
    }
}

#[derive(Default)]
struct Inner {
    families: Mutex<BTreeMap<String, Family>>,
    collectors: Mutex<Vec<Arc<dyn Collect>>>,
}

/// A set of metric families. Cloning shares it.
#[derive(Clone, Default)]
pub struct Registry(Arc<Inner>);

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("families", &self.0.families.lock().len())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter of this name and these labels. Names of counters end in `_total` by convention.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Counter {
        match self.metric(name, help, labels, || Metric::Counter(Counter::default())) {
            Metric::Counter(counter) => counter,
            other => mismatch(name, &other, Counter::default()),
        }
    }

    /// The gauge of this name and these labels.
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Gauge {
        match self.metric(name, help, labels, || Metric::Gauge(Gauge::default())) {
            Metric::Gauge(gauge) => gauge,
            other => mismatch(name, &other, Gauge::default()),
        }
    }

    /// The histogram of this name and these labels; `bounds` are upper bounds without +Inf.
    pub fn histogram(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        bounds: &[f64],
    ) -> Histogram {
        match self.metric(name, help, labels, || {
            Metric::Histogram(Histogram::new(bounds))
        }) {
            Metric::Histogram(histogram) => histogram,
            other => mismatch(name, &other, Histogram::new(bounds)),
        }
    }

    /// The summary of this name and these labels, with these quantiles (0 to 1).
    pub fn summary(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        quantiles: &[f64],
    ) -> Summary {
        match self.metric(name, help, labels, || {
            Metric::Summary(Summary::new(quantiles))
        }) {
            Metric::Summary(summary) => summary,
            other => mismatch(name, &other, Summary::new(quantiles)),
        }
    }

    /// Removes one time series, for things that no longer exist (a removed scrape pool).
    pub fn remove(&self, name: &str, labels: &[(&str, &str)]) {
        let mut families = self.0.families.lock();
        if let Some(family) = families.get_mut(name) {
            family.metrics.remove(&label_set(labels));
            if family.metrics.is_empty() {
                families.remove(name);
            }
        }
    }

    /// Calls `collect` before each rendering.
    pub fn on_collect(&self, collect: impl Collect + 'static) {
        self.0.collectors.lock().push(Arc::new(collect));
    }

    /// Renders in the text format 0.0.4.
    #[must_use]
    pub fn render_text(&self) -> String {
        self.with_families(crate::render::text)
    }

    /// Renders in OpenMetrics 1.0.
    #[must_use]
    pub fn render_openmetrics(&self) -> String {
        self.with_families(crate::render::openmetrics)
    }

    /// Body and content type for a scraper's `Accept` header.
    #[must_use]
    pub fn render_for(&self, accept: Option<&str>) -> (String, &'static str) {
        if accept.is_some_and(|a| a.contains("application/openmetrics-text")) {
            (
                self.render_openmetrics(),
                crate::render::OPENMETRICS_CONTENT_TYPE,
            )
        } else {
            (self.render_text(), crate::render::TEXT_CONTENT_TYPE)
        }
    }

    fn with_families<T>(&self, render: impl FnOnce(&BTreeMap<String, Family>) -> T) -> T {
        // Collectors use the registry themselves: do not hold its lock while they run.
        let collectors = self.0.collectors.lock().clone();
        for collector in collectors {
            collector.collect();
        }
        render(&self.0.families.lock())
    }

    fn metric(
        &self,
        name: &str,
        help: &str,
        labels: &[(&str, &str)],
        make: impl FnOnce() -> Metric,
    ) -> Metric {
        let mut families = self.0.families.lock();
        let family = families.entry(name.to_owned()).or_insert_with(|| Family {
            help: help.to_owned(),
            metrics: BTreeMap::new(),
        });
        let labels = label_set(labels);
        if let Some(metric) = family.metrics.get(&labels) {
            return metric.clone();
        }
        let made = make();
        if let Some(other) = family.metrics.values().next()
            && other.type_name() != made.type_name()
        {
            return other.clone();
        }
        family.metrics.insert(labels, made.clone());
        made
    }
}

/// A name used with two types is a bug of the caller: it is reported, and the caller gets a handle that no
/// page shows instead of a panic in production.
fn mismatch<T>(name: &str, existing: &Metric, unregistered: T) -> T {
    tracing::error!(
        name,
        existing = existing.type_name(),
        "metric is registered with another type"
    );
    debug_assert!(
        false,
        "metric {name} is registered as {}",
        existing.type_name()
    );
    unregistered
}

fn label_set(labels: &[(&str, &str)]) -> LabelSet {
    let mut set: LabelSet = labels
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    set.sort();
    set
}
