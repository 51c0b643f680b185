//! The functions, by family. Each family is a table of names and what they do, and a driver that applies an
//! entry to rows; this module finds the family.

mod absent;
mod classic;
mod counting;
pub(crate) mod extended;
mod extremes;
pub(crate) mod go_math;
mod histogram;
mod info;
mod labels;
mod math;
mod native;
mod neighbours;
mod over_time;
mod quantile;
pub(crate) mod range_table;
mod rate;
mod rate_histogram;
mod regression;
mod scalar;
mod sort;
mod start_time;
mod sums;
mod time;

use bellwether_model::Labels;

use crate::annotations::Annotations;
use crate::ast::{Span, StringLiteral};
use crate::error::QueryError;
use crate::eval::column::{Row, SeriesSet};
use crate::eval::context::Context;
use crate::eval::grid::StepGrid;
use crate::eval::{Sink, range_call};
use crate::plan::{Call, Kind, Node};

pub(crate) use math::{go_max, go_min};
pub(crate) use over_time::{HintsSeen, HistogramMean, Mean};
pub(crate) use quantile::quantile;
pub(crate) use sort::by_number;

/// A call in the making: what every family's driver gets.
pub(crate) struct Invocation<'c, 'q> {
    pub(crate) ctx: &'c Context<'q>,
    pub(crate) call: &'c Call,
    pub(crate) span: Span,
    pub(crate) grid: StepGrid,
}

impl Invocation<'_, '_> {
    /// Evaluates an argument.
    pub(crate) fn rows(
        &self,
        index: usize,
        notes: &mut Annotations,
    ) -> Result<SeriesSet, QueryError> {
        crate::eval::eval(self.ctx, &self.call.args[index], self.grid, notes)
    }

    /// Evaluates a scalar argument.
    pub(crate) fn scalar(
        &self,
        index: usize,
        notes: &mut Annotations,
    ) -> Result<Vec<f64>, QueryError> {
        crate::eval::eval_scalar(self.ctx, &self.call.args[index], self.grid, notes)
    }

    /// A string argument, with U+FFFD in place of what is not UTF-8.
    pub(crate) fn text(&self, index: usize) -> Result<&str, QueryError> {
        self.literal(index).map(|literal| literal.value.as_str())
    }

    /// A string argument.
    pub(crate) fn literal(&self, index: usize) -> Result<&StringLiteral, QueryError> {
        fn text(node: &Node) -> Option<&StringLiteral> {
            match &node.kind {
                Kind::Text(s) => Some(s),
                Kind::Invariant(inner) => text(inner),
                _ => None,
            }
        }
        self.call.args.get(index).and_then(text).ok_or_else(|| {
            QueryError::Execution(format!("{} needs a string here", self.call.func.name))
        })
    }

    /// The place of an argument.
    pub(crate) fn arg_span(&self, index: usize) -> Span {
        self.call.args.get(index).map_or(self.span, |a| a.span)
    }

    /// Rows whose metric name goes away.
    pub(crate) fn dropped(&self, rows: SeriesSet) -> Result<SeriesSet, QueryError> {
        crate::eval::finish_dropped(self.ctx, rows)
    }

    /// A result of one row without labels.
    pub(crate) fn unlabelled(&self, values: Vec<f64>) -> SeriesSet {
        vec![Row::floats(Labels::empty(), values)]
    }
}

/// Calls a function.
///
/// # Errors
/// See [`QueryError`].
pub(crate) fn call(
    ctx: &Context<'_>,
    call: &Call,
    span: Span,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let name = call.func.name;
    let before = ctx.held();
    let inv = Invocation {
        ctx,
        call,
        span,
        grid,
    };
    let rows = if name == "absent_over_time" {
        absent::over_time(&inv, notes)?
    } else if let Some(def) = range_table::find(name) {
        let mut all = Vec::new();
        range_call(ctx, def, call, grid, notes, &mut |rows, _| {
            all.extend(rows);
            ctx.check_cells(all.len(), grid.steps())
        })?;
        all
    } else if let Some(f) = math::find(name) {
        math::call(&inv, f, notes)?
    } else if let Some(f) = time::find(name) {
        time::call(&inv, f, notes)?
    } else if let Some(f) = histogram::find(name) {
        histogram::call(&inv, f, notes)?
    } else {
        special(&inv, notes)?
    };
    ctx.settle(before + rows.iter().map(|r| r.weight() as i64).sum::<i64>())?;
    Ok(rows)
}

/// Functions that are one of a kind.
fn special(inv: &Invocation<'_, '_>, notes: &mut Annotations) -> Result<SeriesSet, QueryError> {
    match inv.call.func.name {
        "absent" => absent::absent(inv, notes),
        "scalar" => scalar::scalar(inv, notes),
        "vector" => scalar::vector(inv, notes),
        "time" => Ok(scalar::time(inv)),
        "pi" => Ok(inv.unlabelled(vec![std::f64::consts::PI; inv.grid.steps()])),
        "min_of" => scalar::extreme(inv, go_min, notes),
        "max_of" => scalar::extreme(inv, go_max, notes),
        "clamp" | "clamp_min" | "clamp_max" => math::clamp(inv, notes),
        "round" => math::round(inv, notes),
        "timestamp" => time::timestamp(inv, notes),
        "start_timestamp" => time::start_timestamp(inv, notes),
        "sort" | "sort_desc" => sort::by_value(inv, notes),
        "sort_by_label" | "sort_by_label_desc" => sort::by_label(inv, notes),
        "label_replace" => labels::replace(inv, notes),
        "label_join" => labels::join(inv, notes),
        "histogram_quantile" => histogram::quantile(inv, notes),
        "histogram_quantiles" => histogram::quantiles(inv, notes),
        "histogram_fraction" => histogram::fraction(inv, notes),
        "info" => info::info(inv, notes),
        other => Err(QueryError::Execution(format!("unknown function {other:?}"))),
    }
}

/// Whether the call can hand out its rows in batches: a range function directly over stored series.
pub(crate) fn streams(call: &Call) -> bool {
    range_table::find(call.func.name).is_some()
        && call.func.name != "absent_over_time"
        && call.args.iter().any(|a| matches!(a.kind, Kind::Window(_)))
}

/// Calls a function for which [`streams`] holds, batch by batch.
pub(crate) fn call_batches(
    ctx: &Context<'_>,
    call: &Call,
    span: Span,
    grid: StepGrid,
    notes: &mut Annotations,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    match range_table::find(call.func.name) {
        Some(def) => range_call(ctx, def, call, grid, notes, sink),
        None => {
            let rows = self::call(ctx, call, span, grid, notes)?;
            sink(rows, notes)
        }
    }
}
