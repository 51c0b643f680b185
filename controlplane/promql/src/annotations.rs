//! Warnings and infos of a query, worded as Prometheus words them.
//!
//! An annotation is kept as data and a place in the query; texts are made at the end, when the query's text
//! is at hand for line and column. Equal annotations are kept once, with the place seen last.

use bellwether_model::float::shortest_g;
use bellwether_model::labels::quote;
use hashbrown::HashMap;

use crate::ast::Span;
use crate::position::line_col;

/// What an operation on native histograms was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HistogramOperation {
    /// `+`
    Addition,
    /// `-`
    Subtraction,
    /// An aggregation over series or time.
    Aggregation,
}

impl HistogramOperation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        }
    }
}

/// A number inside an annotation, compared by its bits.
#[derive(Clone, Copy, Debug)]
pub struct Bits(pub f64);

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Bits {}

impl std::hash::Hash for Bits {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// What an annotation says. Strings are metric names unless stated otherwise; an empty name is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AnnotationKind {
    /// Warning: ratio outside -1..1 (value, cap).
    InvalidRatio(Bits, Bits),
    /// Warning: quantile outside 0..1.
    InvalidQuantile(Bits),
    /// Warning: `le` missing or malformed (metric, value of `le`).
    BadBucketLabel(String, String),
    /// Warning: floats and histograms in one window.
    MixedFloatsHistograms(String),
    /// Warning: floats and histograms in one group.
    MixedFloatsHistogramsAggregation,
    /// Warning: classic and native histogram of the same name and labels.
    MixedClassicNative(String),
    /// Warning: rate of a gauge histogram.
    NativeNotCounter(String),
    /// Warning: delta of a counter histogram.
    NativeNotGauge(String),
    /// Warning: exponential and custom buckets together.
    MixedExponentialCustom(String),
    /// Warning: operator on histograms whose layouts do not fit (operator).
    IncompatibleBucketLayout(&'static str),
    /// Warning: sort in a range query.
    SortInRangeQuery,
    /// Warning: histograms with contradicting reset hints were combined.
    CounterResetCollision(HistogramOperation),
    /// Warning: a part of the storage that is read on top of the local one could not be read; in words.
    Storage(String),
    /// Info: the name does not look like a counter's.
    PossibleNonCounter(String),
    /// Info: the `__type__` label is not that of a counter (metric, value of `__type__`).
    PossibleNonCounterType(String, String),
    /// Warning: a sample's counter began before the sample before it, but not when that one's began.
    StartTimeOverlap(String),
    /// Info: `histogram_quantile` had to repair decreasing buckets.
    ForcedMonotonicity(String),
    /// Info: operator on types that do not fit (left type, operator, right type).
    IncompatibleTypes(&'static str, &'static str, &'static str),
    /// Info: an aggregation left histograms out (operator).
    HistogramIgnoredInAggregation(&'static str),
    /// Info: a function left the histograms of a mixed window out.
    HistogramIgnoredInMixedRange(String),
    /// Info: NaN observations made the quantile NaN.
    QuantileNanResult(String),
    /// Info: NaN observations moved the quantile up.
    QuantileNanSkew(String),
    /// Info: NaN observations are in no fraction.
    FractionNan(String),
    /// Info: custom buckets with different bounds were brought together.
    MismatchedCustomBuckets(HistogramOperation),
}

impl AnnotationKind {
    /// Whether it is a warning; an info otherwise.
    #[must_use]
    pub fn is_warning(&self) -> bool {
        matches!(
            self,
            Self::InvalidRatio(..)
                | Self::InvalidQuantile(_)
                | Self::BadBucketLabel(..)
                | Self::MixedFloatsHistograms(_)
                | Self::MixedFloatsHistogramsAggregation
                | Self::MixedClassicNative(_)
                | Self::NativeNotCounter(_)
                | Self::NativeNotGauge(_)
                | Self::MixedExponentialCustom(_)
                | Self::IncompatibleBucketLayout(_)
                | Self::SortInRangeQuery
                | Self::CounterResetCollision(_)
                | Self::StartTimeOverlap(_)
                | Self::Storage(_)
        )
    }

    fn text(&self) -> String {
        let named = |text: &str, name: &str| {
            if name.is_empty() {
                text.to_owned()
            } else {
                format!("{text} for metric name {}", quote(name))
            }
        };
        match self {
            Self::InvalidRatio(v, cap) => format!(
                "ratio value should be between -1 and 1, got {}, capping to {}",
                shortest_g(v.0),
                shortest_g(cap.0)
            ),
            Self::InvalidQuantile(q) => format!(
                "quantile value should be between 0 and 1, got {}",
                shortest_g(q.0)
            ),
            Self::BadBucketLabel(name, le) => named(
                &format!(
                    "bucket label \"le\" is missing or has a malformed value of {}",
                    quote(le)
                ),
                name,
            ),
            Self::MixedFloatsHistograms(name) => format!(
                "encountered a mix of histograms and floats for metric name {}",
                quote(name)
            ),
            Self::MixedFloatsHistogramsAggregation => {
                "encountered a mix of histograms and floats for aggregation".to_owned()
            }
            Self::MixedClassicNative(name) => named(
                "vector contains a mix of classic and native histograms",
                name,
            ),
            Self::NativeNotCounter(name) => format!(
                "this native histogram metric is not a counter: {}",
                quote(name)
            ),
            Self::NativeNotGauge(name) => {
                format!(
                    "this native histogram metric is not a gauge: {}",
                    quote(name)
                )
            }
            Self::MixedExponentialCustom(name) => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
                quote(name)
            ),
            Self::IncompatibleBucketLayout(op) => {
                format!("incompatible bucket layout encountered for binary operator {op}")
            }
            Self::SortInRangeQuery => {
                "sort is ineffective for range queries since results are always ordered by labels"
                    .to_owned()
            }
            Self::CounterResetCollision(op) => {
                format!(
                    "conflicting counter resets during histogram {}",
                    op.as_str()
                )
            }
            Self::Storage(text) => text.clone(),
            Self::PossibleNonCounter(name) => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quote(name)
            ),
            Self::PossibleNonCounterType(name, kind) => format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {}: {}",
                quote(kind),
                quote(name)
            ),
            Self::StartTimeOverlap(name) => format!(
                "sample has start time that overlaps with previous sample timestamp for metric {}",
                quote(name)
            ),
            Self::ForcedMonotonicity(name) => named(
                "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
                name,
            ),
            Self::IncompatibleTypes(left, op, right) => format!(
                "incompatible sample types encountered for binary operator {}: {left} {op} {right}",
                quote(op)
            ),
            Self::HistogramIgnoredInAggregation(op) => {
                format!("ignored histogram in {op} aggregation")
            }
            Self::HistogramIgnoredInMixedRange(name) => format!(
                "ignored histograms in a range containing both floats and histograms for metric name {}",
                quote(name)
            ),
            Self::QuantileNanResult(name) => named(
                "input to histogram_quantile has NaN observations, result is NaN",
                name,
            ),
            Self::QuantileNanSkew(name) => named(
                "input to histogram_quantile has NaN observations, result is skewed higher",
                name,
            ),
            Self::FractionNan(name) => named(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions",
                name,
            ),
            Self::MismatchedCustomBuckets(op) => format!(
                "mismatched custom buckets were reconciled during {}",
                op.as_str()
            ),
        }
    }
}

/// What was repaired in classic histograms, over all annotations of one text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repair {
    /// First and last evaluation time, in milliseconds.
    pub times: (i64, i64),
    /// Least and greatest bucket bound.
    pub buckets: (f64, f64),
    /// The largest difference.
    pub max_diff: f64,
    /// Occurrences after the first.
    pub more: u64,
}

/// An annotation and where in the query it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    /// What it says.
    pub kind: AnnotationKind,
    /// The culprit's place in the query's text.
    pub span: Span,
    /// Details of [`AnnotationKind::ForcedMonotonicity`].
    pub repair: Option<Repair>,
    /// How often it was added.
    pub count: u64,
}

impl Annotation {
    /// The text with its place in `query`, if it has one.
    #[must_use]
    pub fn render(&self, query: &str) -> String {
        if let AnnotationKind::Storage(text) = &self.kind {
            return text.clone();
        }
        let prefix = if self.kind.is_warning() {
            "PromQL warning"
        } else {
            "PromQL info"
        };
        let (line, column) = line_col(query, self.span.start as usize);
        let text = self.kind.text();
        match &self.repair {
            None if self.count > 1 && matches!(self.kind, AnnotationKind::StartTimeOverlap(_)) => {
                format!(
                    "{prefix}: {text} ({} occurrences) ({line}:{column})",
                    self.count
                )
            }
            None => format!("{prefix}: {text} ({line}:{column})"),
            Some(r) => format!(
                "{prefix}: {text}, from buckets {} to {}, with a max diff of {}, over {} samples from {} to {} ({line}:{column})",
                shortest_g(r.buckets.0),
                shortest_g(r.buckets.1),
                two_digits(r.max_diff),
                r.more + 1,
                rfc3339_seconds(r.times.0),
                rfc3339_seconds(r.times.1),
            ),
        }
    }
}

/// Go's `%.2g`.
fn two_digits(v: f64) -> String {
    if !v.is_finite() || v == 0.0 {
        return shortest_g(v);
    }
    let text = format!("{v:.1e}");
    let rounded: f64 = text.parse().unwrap_or(v);
    let exponent: i32 = text
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    if (-4..2).contains(&exponent) {
        bellwether_model::float::plain(rounded)
    } else {
        bellwether_model::float::exponent(rounded)
    }
}

/// `2006-01-02T15:04:05Z`
fn rfc3339_seconds(ms: i64) -> String {
    jiff::Timestamp::from_second(ms / 1000).map_or_else(|_| ms.to_string(), |t| t.to_string())
}

/// All annotations of a query, each text once.
#[derive(Clone, Debug, Default)]
pub struct Annotations {
    list: Vec<Annotation>,
    index: HashMap<AnnotationKind, usize>,
}

impl Annotations {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an annotation; of equal ones the place of the last is kept.
    pub fn add(&mut self, kind: AnnotationKind, span: Span) {
        self.insert(Annotation {
            kind,
            span,
            repair: None,
            count: 1,
        });
    }

    /// Adds a repair of a classic histogram; details of equal texts are joined.
    pub fn add_repair(&mut self, metric: String, span: Span, repair: Repair) {
        self.insert(Annotation {
            kind: AnnotationKind::ForcedMonotonicity(metric),
            span,
            repair: Some(repair),
            count: 1,
        });
    }

    fn insert(&mut self, new: Annotation) {
        let Some(&at) = self.index.get(&new.kind) else {
            self.index.insert(new.kind.clone(), self.list.len());
            self.list.push(new);
            return;
        };
        let old = &mut self.list[at];
        old.count += new.count;
        match (&mut old.repair, new.repair) {
            (Some(have), Some(more)) => {
                have.times = (
                    have.times.0.min(more.times.0),
                    have.times.1.max(more.times.1),
                );
                have.buckets = (
                    have.buckets.0.min(more.buckets.0),
                    have.buckets.1.max(more.buckets.1),
                );
                have.max_diff = have.max_diff.max(more.max_diff);
                have.more += more.more + 1;
            }
            // Counted ones keep the place of the first, as upstream.
            _ if matches!(old.kind, AnnotationKind::StartTimeOverlap(_)) => {}
            _ => old.span = new.span,
        }
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Self) {
        for annotation in other.list {
            self.insert(annotation);
        }
    }

    /// The same at other places.
    pub(crate) fn moved(&self, to: impl Fn(Span) -> Span) -> Self {
        let mut moved = self.clone();
        for annotation in &mut moved.list {
            annotation.span = to(annotation.span);
        }
        moved
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them, in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = &Annotation> {
        self.list.iter()
    }

    /// Warnings and infos as texts. `limit` caps each list (0: no limit; the HTTP API uses 10) and says how
    /// many were left out.
    #[must_use]
    pub fn render(&self, query: &str, limit: usize) -> (Vec<String>, Vec<String>) {
        let list = |warnings: bool, word: &str| {
            let all = self.list.iter().filter(|a| a.kind.is_warning() == warnings);
            let total = all.clone().count();
            let shown = if limit == 0 { total } else { total.min(limit) };
            let mut texts: Vec<String> = all.take(shown).map(|a| a.render(query)).collect();
            if total > shown {
                texts.push(format!("{} more {word} annotations omitted", total - shown));
            }
            texts
        };
        (list(true, "warning"), list(false, "info"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_kept_once_with_the_last_place() {
        let mut notes = Annotations::new();
        let at = |start| Span {
            start,
            end: start + 1,
        };
        notes.add(AnnotationKind::PossibleNonCounter("x".to_owned()), at(5));
        notes.add(AnnotationKind::PossibleNonCounter("x".to_owned()), at(9));
        notes.add(AnnotationKind::SortInRangeQuery, at(0));
        let (warnings, infos) = notes.render("rate(x)\n+ y", 10);
        assert_eq!(
            warnings,
            [
                "PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)"
            ]
        );
        assert_eq!(
            infos,
            [
                "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"x\" (2:2)"
            ]
        );
    }

    #[test]
    fn the_limit_says_what_is_missing() {
        let mut notes = Annotations::new();
        for i in 0..12 {
            notes.add(
                AnnotationKind::PossibleNonCounter(format!("m{i}")),
                Span::default(),
            );
        }
        let (_, infos) = notes.render("q", 10);
        assert_eq!(infos.len(), 11);
        assert_eq!(infos[10], "2 more info annotations omitted");
    }

    #[test]
    fn go_formats_two_digits() {
        for (v, text) in [
            (0.0123, "0.012"),
            (1234.0, "1.2e+03"),
            (7.0, "7"),
            (0.00001, "1e-05"),
        ] {
            assert_eq!(two_digits(v), text);
        }
    }
}
