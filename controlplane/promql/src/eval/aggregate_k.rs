//! Aggregations that pick series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use bellwether_model::Labels;
use xxhash_rust::xxh64::xxh64;

use crate::annotations::{AnnotationKind, Annotations, Bits};
use crate::ast::{AggregateOp, Span};
use crate::error::QueryError;
use crate::plan::Aggregate;

use super::aggregate::{Param, param};
use super::column::{Cell, Row, SeriesSet};
use super::context::Context;
use super::eval as eval_node;
use super::grid::StepGrid;
use super::grouping::Grouping;

/// The value of a picking aggregation. In an instant query the order of the result counts: by group, and by
/// value for `topk` and `bottomk`; the others have theirs from a heap of values.
pub(super) fn eval(
    ctx: &Context<'_>,
    a: &Aggregate,
    span: Span,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let param = param(ctx, a.param.as_ref(), grid, notes)?;
    let rows = eval_node(ctx, &a.expr, grid, notes)?;
    let param_span = a.param.as_ref().map_or(span, |p| p.span);
    if !check(a.op, &param, param_span, notes)? {
        return Ok(Vec::new());
    }
    let mut grouping = Grouping::new(a);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let (at, new) = grouping.find(&row.labels);
        if new.is_some() {
            groups.push(Vec::new());
        }
        groups[at].push(i);
    }
    let steps = grid.steps();
    let mut picked = vec![Vec::new(); steps];
    for (step, picked) in picked.iter_mut().enumerate() {
        ctx.check()?;
        let value = param.values[step];
        for group in &groups {
            pick(a.op, value, &rows, group, step, span, notes, picked);
        }
    }
    if grid.is_instant() {
        let mut rows: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
        let order = picked.into_iter().next().unwrap_or_default();
        return Ok(order.into_iter().filter_map(|i| rows[i].take()).collect());
    }
    let mut out: Vec<Row> = rows
        .iter()
        .map(|r| {
            let mut row = Row::empty(r.labels.clone(), steps);
            row.drop_name = r.drop_name;
            row
        })
        .collect();
    for (step, picked) in picked.iter().enumerate() {
        for &i in picked {
            if let Some(sample) = rows[i].cell(step).to_sample() {
                out[i].set(step, sample);
            }
        }
    }
    out.retain(Row::has_samples);
    Ok(out)
}

/// Checks the parameter; false when the result is empty whatever the input.
fn check(
    op: AggregateOp,
    param: &Param,
    span: Span,
    notes: &mut Annotations,
) -> Result<bool, QueryError> {
    let fail = |text: String| Err(QueryError::Execution(text));
    if op == AggregateOp::LimitRatio {
        if param.max == 0.0 && param.min == 0.0 {
            return Ok(false);
        }
        if param.has_nan {
            return fail("Ratio value is NaN".to_owned());
        }
        if param.max > 1.0 {
            notes.add(
                AnnotationKind::InvalidRatio(Bits(param.max), Bits(1.0)),
                span,
            );
        }
        if param.min < -1.0 {
            notes.add(
                AnnotationKind::InvalidRatio(Bits(param.min), Bits(-1.0)),
                span,
            );
        }
        return Ok(true);
    }
    if param.max < 1.0 {
        return Ok(false);
    }
    if param.has_nan {
        return fail("Parameter value is NaN".to_owned());
    }
    // The bounds of an i64, as floats.
    let limit = 9_223_372_036_854_775_808.0;
    let shown = bellwether_model::float::shortest_g;
    if param.min <= -limit {
        return fail(format!(
            "Scalar value {} underflows int64",
            shown(param.min)
        ));
    }
    if param.max >= limit {
        return fail(format!("Scalar value {} overflows int64", shown(param.max)));
    }
    Ok(true)
}

/// Picks of one group at one step, in the order of the result.
#[allow(clippy::too_many_arguments)]
fn pick(
    op: AggregateOp,
    param: f64,
    rows: &[Row],
    group: &[usize],
    step: usize,
    span: Span,
    notes: &mut Annotations,
    out: &mut Vec<usize>,
) {
    let present = group.iter().copied().filter(|&i| rows[i].present(step));
    match op {
        AggregateOp::LimitRatio => {
            let ratio = param.clamp(-1.0, 1.0);
            let picked = present.filter(|&i| sampled(&rows[i].labels, ratio));
            out.extend(heaped(rows, step, picked));
        }
        AggregateOp::Limitk => {
            let picked = present.take(if param < 1.0 { 0 } else { param as usize });
            out.extend(heaped(rows, step, picked));
        }
        _ => {
            let k = if param < 1.0 {
                0
            } else {
                (param as usize).min(rows.len())
            };
            if k == 0 {
                return;
            }
            let top = op == AggregateOp::Topk;
            let mut best = Heap {
                top,
                items: Vec::with_capacity(k.min(group.len())),
            };
            for i in present {
                match rows[i].cell(step) {
                    Cell::Float(v) => best.offer(v, i, k),
                    _ => {
                        let name = if top { "topk" } else { "bottomk" };
                        notes.add(AnnotationKind::HistogramIgnoredInAggregation(name), span);
                    }
                }
            }
            out.extend(best.sorted());
        }
    }
}

/// The order in which Prometheus has rows that it picks whatever their values: that of a heap of the values, where
/// histograms are 0.
fn heaped(
    rows: &[Row],
    step: usize,
    picked: impl Iterator<Item = usize>,
) -> impl Iterator<Item = usize> {
    let mut heap = Heap {
        top: true,
        items: Vec::new(),
    };
    for i in picked {
        let value = match rows[i].cell(step) {
            Cell::Float(v) => v,
            _ => 0.0,
        };
        heap.offer(value, i, usize::MAX);
    }
    heap.items.into_iter().map(|(_, row)| row)
}

/// The k best values so far, the worst of them on top. NaN is worse than every number.
struct Heap {
    top: bool,
    items: Vec<(f64, usize)>,
}

impl Heap {
    /// Whether `a` is worse than `b`.
    fn worse(&self, a: f64, b: f64) -> bool {
        a.is_nan() || if self.top { a < b } else { a > b }
    }

    fn offer(&mut self, v: f64, row: usize, k: usize) {
        if self.items.len() < k {
            self.items.push((v, row));
            let mut at = self.items.len() - 1;
            while at > 0 {
                let parent = (at - 1) / 2;
                if !self.worse(self.items[at].0, self.items[parent].0) {
                    break;
                }
                self.items.swap(at, parent);
                at = parent;
            }
            return;
        }
        let worst = self.items[0].0;
        let better = if self.top { v > worst } else { v < worst };
        if better || (worst.is_nan() && !v.is_nan()) {
            self.items[0] = (v, row);
            self.sink();
        }
    }

    fn sink(&mut self) {
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= self.items.len() {
                return;
            }
            let mut child = left;
            if right < self.items.len() && self.worse(self.items[right].0, self.items[left].0) {
                child = right;
            }
            if !self.worse(self.items[child].0, self.items[at].0) {
                return;
            }
            self.items.swap(child, at);
            at = child;
        }
    }

    /// Rows from best to worst.
    fn sorted(mut self) -> impl Iterator<Item = usize> {
        let top = self.top;
        self.items
            .sort_by(|a, b| crate::functions::by_number(a.0, b.0, top));
        self.items.into_iter().map(|(_, row)| row)
    }
}

/// Whether a series is in the sample that a ratio takes: from the hash's lower end for positive ratios, from
/// its upper end for negative ones, so that `r` and `r - 1` complement each other.
fn sampled(labels: &Labels, ratio: f64) -> bool {
    let offset = prometheus_hash(labels) as f64 / u64::MAX as f64;
    if ratio >= 0.0 {
        offset < ratio
    } else {
        offset >= 1.0 + ratio
    }
}

/// The hash of Prometheus' packed labels: names and values, each behind its length in one byte, or in three after
/// a 255.
fn prometheus_hash(labels: &Labels) -> u64 {
    let mut packed = Vec::with_capacity(labels.as_packed().len());
    let mut push = |text: &str| {
        let len = text.len();
        match u8::try_from(len) {
            Ok(short) if short < 255 => packed.push(short),
            _ => packed.extend([255, len as u8, (len >> 8) as u8, (len >> 16) as u8]),
        }
        packed.extend_from_slice(text.as_bytes());
    };
    for label in labels {
        push(label.name);
        push(label.value);
    }
    xxh64(&packed, 0)
}
