//! The `histogram_*` functions over instant vectors.

use std::cmp::Ordering;

use bellwether_model::float::{self, kahan_add};
use bellwether_model::labels::{BUCKET_LABEL, METRIC_NAME};
use bellwether_model::{FloatHistogram, Labels};
use hashbrown::HashMap;

use crate::annotations::{AnnotationKind, Annotations, Bits, Repair};
use crate::ast::Span;
use crate::error::QueryError;
use crate::eval::column::{
    Cell, Row, RowBuilder, Sample, SeriesSet, drop_metadata, merge_same_labels,
};
use crate::eval::context::Context;

use super::classic::{self, Bucket};
use super::{Invocation, native};

/// A number about one native histogram.
pub(crate) type HistogramFn = fn(&FloatHistogram) -> f64;

static TABLE: &[(&str, HistogramFn)] = &[
    ("histogram_count", |h| h.count),
    ("histogram_sum", |h| h.sum),
    ("histogram_avg", |h| h.sum / h.count),
    ("histogram_stddev", |h| variance(h).sqrt()),
    ("histogram_stdvar", variance),
];

/// The function of that name, if it belongs to this family.
pub(super) fn find(name: &str) -> Option<HistogramFn> {
    TABLE.iter().find(|(n, _)| *n == name).map(|(_, f)| *f)
}

/// Variance with all observations of a bucket at its middle.
fn variance(h: &FloatHistogram) -> f64 {
    let mean = h.sum / h.count;
    let (mut sum, mut c) = (0.0, 0.0);
    for b in h.buckets().iter().filter(|b| b.count != 0.0) {
        let middle = if h.uses_custom_buckets() {
            (b.upper + b.lower) / 2.0
        } else if b.lower <= 0.0 && b.upper >= 0.0 {
            0.0
        } else {
            let mean = (b.upper * b.lower).sqrt();
            if b.upper < 0.0 { -mean } else { mean }
        };
        let delta = middle - mean;
        (sum, c) = kahan_add(b.count * delta * delta, sum, c);
    }
    (sum + c) / h.count
}

/// Calls a function of the table; floats have no result.
pub(super) fn call(
    inv: &Invocation<'_, '_>,
    f: HistogramFn,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let mut rows = inv.rows(0, notes)?;
    for row in &mut rows {
        for step in 0..row.values.len() {
            match row.cell(step) {
                Cell::Absent => {}
                Cell::Float(_) => row.clear(step),
                Cell::Histogram(h) => row.values[step] = f(h),
            }
        }
        row.histograms = None;
    }
    rows.retain(Row::has_samples);
    if !inv.ctx.delayed_names {
        // As upstream, only the name goes away here, not type and unit.
        for row in &mut rows {
            row.labels = row.labels.without(METRIC_NAME);
        }
        return merge_same_labels(rows);
    }
    inv.dropped(rows)
}

/// The classic histograms of a vector: the rows that are buckets of one, with their bounds.
struct Classic {
    /// Without `le`.
    labels: Labels,
    buckets: Vec<(f64, usize)>,
    /// The native histogram of the same labels.
    native: Option<usize>,
}

type Done = Result<(), QueryError>;
/// Takes a result.
type Put<'a> = dyn FnMut(&Labels, f64) -> Done + 'a;

/// An instant vector sorted into classic and native histograms.
struct Histograms {
    rows: SeriesSet,
    classic: Vec<Classic>,
    /// Rows whose `le` is not a number.
    bad: Vec<usize>,
    natives: Vec<usize>,
    /// Place of the vector in the query.
    span: Span,
    delayed: bool,
}

impl Histograms {
    fn new(
        inv: &Invocation<'_, '_>,
        arg: usize,
        notes: &mut Annotations,
    ) -> Result<Self, QueryError> {
        let rows = inv.rows(arg, notes)?;
        let mut all = Self {
            classic: Vec::new(),
            bad: Vec::new(),
            natives: Vec::new(),
            span: inv.arg_span(arg),
            delayed: inv.ctx.delayed_names,
            rows,
        };
        let mut index: HashMap<Labels, usize> = HashMap::new();
        for (i, row) in all.rows.iter().enumerate() {
            if row.histograms.is_some() {
                all.natives.push(i);
            }
            let has_floats = (0..row.values.len()).any(|s| matches!(row.cell(s), Cell::Float(_)));
            if !has_floats {
                continue;
            }
            let Ok(bound) = float::parse(row.labels.value(BUCKET_LABEL)) else {
                all.bad.push(i);
                continue;
            };
            let labels = row.labels.without(BUCKET_LABEL);
            let at = *index.entry(labels.clone()).or_insert_with(|| {
                all.classic.push(Classic {
                    labels,
                    buckets: Vec::new(),
                    native: None,
                });
                all.classic.len() - 1
            });
            all.classic[at].buckets.push((bound, i));
        }
        for c in &mut all.classic {
            // Sorted once here, the buckets of each step are sorted already.
            if !c.buckets.iter().any(|b| b.0.is_nan()) {
                c.buckets
                    .sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(Ordering::Equal));
            }
        }
        for &i in &all.natives {
            if let Some(&at) = index.get(&all.rows[i].labels) {
                all.classic[at].native = Some(i);
            }
        }
        Ok(all)
    }

    /// The name for annotations: known only while names are kept.
    fn name<'a>(&self, labels: &'a Labels) -> &'a str {
        if self.delayed {
            labels.metric_name().unwrap_or("")
        } else {
            ""
        }
    }

    /// Calls `native` or `classic` for each histogram at each step, `None` where both kinds clash.
    fn evaluate(
        &self,
        ctx: &Context<'_>,
        steps: usize,
        notes: &mut Annotations,
        native: impl Fn(&FloatHistogram, usize, &Labels, &mut Annotations, &mut Put<'_>) -> Done,
        classic: impl Fn(&mut Vec<Bucket>, usize, &Labels, &mut Annotations, &mut Put<'_>) -> Done,
    ) -> Result<SeriesSet, QueryError> {
        let mut out = RowBuilder::new(steps);
        for &i in &self.bad {
            if (0..steps).any(|s| matches!(self.rows[i].cell(s), Cell::Float(_))) {
                let labels = &self.rows[i].labels;
                let kind = AnnotationKind::BadBucketLabel(
                    self.name(labels).to_owned(),
                    labels.value(BUCKET_LABEL).to_owned(),
                );
                notes.add(kind, self.span);
            }
        }
        let clash = |row: usize, step: usize| {
            let of = self.classic.iter().find(|c| c.native == Some(row));
            of.is_some_and(|c| {
                c.buckets
                    .iter()
                    .any(|(_, b)| matches!(self.rows[*b].cell(step), Cell::Float(_)))
            })
        };
        for &i in &self.natives {
            let row = &self.rows[i];
            for step in 0..steps {
                let Cell::Histogram(h) = row.cell(step) else {
                    continue;
                };
                if clash(i, step) {
                    let name = self.name(&row.labels).to_owned();
                    notes.add(AnnotationKind::MixedClassicNative(name), self.span);
                    continue;
                }
                let mut put = |labels: &Labels, v: f64| {
                    let at = out.row(&self.result_labels(labels), true);
                    out.put(at, step, Sample::Float(v))
                };
                native(h, step, &row.labels, notes, &mut put)?;
            }
        }
        let mut buckets: Vec<Bucket> = Vec::new();
        for c in &self.classic {
            ctx.check()?;
            // From step to step the result's labels seldom change.
            let mut last: Option<(Labels, usize)> = None;
            for step in 0..steps {
                buckets.clear();
                buckets.extend(c.buckets.iter().filter_map(|(upper, row)| {
                    match self.rows[*row].cell(step) {
                        Cell::Float(count) => Some(Bucket {
                            upper: *upper,
                            count,
                        }),
                        _ => None,
                    }
                }));
                let native_here = c
                    .native
                    .is_some_and(|n| matches!(self.rows[n].cell(step), Cell::Histogram(_)));
                if buckets.is_empty() || native_here {
                    continue;
                }
                let mut put = |labels: &Labels, v: f64| {
                    let at = match &last {
                        Some((known, at)) if known == labels => *at,
                        _ => {
                            let at = out.row(&self.result_labels(labels), true);
                            last = Some((labels.clone(), at));
                            at
                        }
                    };
                    out.put(at, step, Sample::Float(v))
                };
                classic(&mut buckets, step, &c.labels, notes, &mut put)?;
            }
        }
        Ok(out.finish())
    }

    fn result_labels(&self, labels: &Labels) -> Labels {
        if self.delayed {
            labels.clone()
        } else {
            drop_metadata(labels)
        }
    }
}

/// A quantile as OpenMetrics writes it: always with a point or an exponent.
fn quantile_text(q: f64) -> String {
    let text = float::shortest_g(q);
    if q.is_finite() && !text.contains(['.', 'e']) {
        format!("{text}.0")
    } else {
        text
    }
}

fn check_quantile(q: f64, span: Span, notes: &mut Annotations) {
    if !(0.0..=1.0).contains(&q) {
        notes.add(AnnotationKind::InvalidQuantile(Bits(q)), span);
    }
}

/// `histogram_quantile(q, v)`
pub(super) fn quantile(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let qs = inv.scalar(0, notes)?;
    let all = Histograms::new(inv, 1, notes)?;
    for q in &qs {
        check_quantile(*q, inv.arg_span(0), notes);
    }
    quantiles_of(inv, &all, &[(qs, None)], notes)
}

/// `histogram_quantiles(v, label, q, ...)`
pub(super) fn quantiles(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let label = inv.text(1)?.to_owned();
    let all = Histograms::new(inv, 0, notes)?;
    let mut wanted = Vec::new();
    for i in 2..inv.call.args.len() {
        wanted.push((inv.scalar(i, notes)?, Some(label.clone())));
    }
    // Step by step: of equal notes the last one counts.
    for step in 0..inv.grid.steps() {
        for (i, (qs, _)) in wanted.iter().enumerate() {
            check_quantile(qs[step], inv.arg_span(i + 2), notes);
        }
    }
    quantiles_of(inv, &all, &wanted, notes)
}

/// Quantiles per step, each with the label that is to hold it.
fn quantiles_of(
    inv: &Invocation<'_, '_>,
    all: &Histograms,
    wanted: &[(Vec<f64>, Option<String>)],
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let labelled = |labels: &Labels, label: &Option<String>, q: f64| match label {
        None => labels.clone(),
        Some(name) => labels.to_builder().set(name, &quantile_text(q)).build(),
    };
    all.evaluate(
        inv.ctx,
        inv.grid.steps(),
        notes,
        |h, step, labels, notes, put| {
            for (qs, label) in wanted {
                let name = all.name(labels);
                let v = native::quantile(qs[step], h, name, &mut |kind| notes.add(kind, all.span));
                put(&labelled(labels, label, qs[step]), v)?;
            }
            Ok(())
        },
        |buckets, step, labels, notes, put| {
            for (qs, label) in wanted {
                // What the first one repairs the others find in order.
                let (v, repaired) = classic::quantile(qs[step], buckets);
                if let Some(r) = repaired {
                    let t = inv.grid.time(step);
                    let repair = Repair {
                        times: (t, t),
                        buckets: (r.least, r.greatest),
                        max_diff: r.max_diff,
                        more: 0,
                    };
                    notes.add_repair(all.name(labels).to_owned(), all.span, repair);
                }
                put(&labelled(labels, label, qs[step]), v)?;
            }
            Ok(())
        },
    )
}

/// `histogram_fraction(lower, upper, v)`
pub(super) fn fraction(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let (lower, upper) = (inv.scalar(0, notes)?, inv.scalar(1, notes)?);
    let all = Histograms::new(inv, 2, notes)?;
    all.evaluate(
        inv.ctx,
        inv.grid.steps(),
        notes,
        |h, step, labels, notes, put| {
            let name = all.name(labels);
            let v = native::fraction(lower[step], upper[step], h, name, &mut |kind| {
                notes.add(kind, all.span);
            });
            put(labels, v)
        },
        |buckets, step, labels, _, put| {
            put(labels, classic::fraction(lower[step], upper[step], buckets))
        },
    )
}
