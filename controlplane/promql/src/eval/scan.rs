//! Series that one thread reads one after the other, as the storage finds them.

use std::cell::{Cell, RefCell};

use bellwether_model::Labels;
use bellwether_model::storage::{SampleBuffer, Scan};

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::plan::Selector;

use super::column::Row;
use super::context::Context;
use super::memo::Memo;
use super::ranges::{Checked, Job, is_untyped};
use super::selector::{BATCH, batch_size, pays_threads};

/// Whether series, each read over `span_ms`, are better taken one after the other than batch by batch.
pub(super) fn pays(ctx: &Context<'_>, span_ms: i64, steps: usize) -> bool {
    ctx.querier.has_scan() && !pays_threads(BATCH, span_ms, steps)
}

/// Makes a row of a series' labels and samples, none where it has no result.
pub(super) type MakeRow<'a> =
    dyn FnMut(&Labels, &mut SampleBuffer) -> Result<Option<Row>, QueryError> + 'a;

/// Hands the rows of a selector's series to `sink` in batches. The labels are those that the selector wants.
pub(super) fn each_batch(
    ctx: &Context<'_>,
    selector: &Selector,
    (mint, maxt): (i64, i64),
    steps: usize,
    make: &mut MakeRow<'_>,
    mut sink: impl FnMut(Vec<Row>) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let size = batch_size(maxt.saturating_sub(mint), steps);
    let (mut rows, mut series) = (Vec::new(), 0);
    let mut take = |labels: &Labels, samples: &mut SampleBuffer| {
        rows.extend(make(labels, samples)?);
        series += 1;
        if series == size {
            ctx.check()?;
            ctx.count_series(series as u64);
            series = 0;
            sink(std::mem::take(&mut rows))?;
        }
        Ok(())
    };
    let mut failed = None;
    let scan = Scan {
        matchers: &selector.matchers,
        mint,
        maxt,
        labels: selector.labels.as_deref(),
    };
    ctx.check()?;
    ctx.querier.scan(&scan, &mut |labels, samples| {
        failed = take(labels, samples).err();
        failed.is_none()
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    ctx.count_series(series as u64);
    sink(rows)
}

impl Job<'_> {
    /// Runs over the series of a selector. Returns how many there were.
    pub(super) fn scan(
        &self,
        ctx: &Context<'_>,
        selector: &Selector,
        times: (i64, i64),
        notes: &mut Annotations,
        checked: &mut Checked<'_>,
    ) -> Result<u64, QueryError> {
        let (mut state, mut count) = (self.fresh(), 0);
        let (untyped, own) = (Cell::new(selector.has_one_name()), RefCell::default());
        let mut types = Memo::default();
        let mut make = |labels: &Labels, samples: &mut SampleBuffer| {
            count += 1;
            untyped.set(untyped.get() && types.get(labels, is_untyped));
            state.input.take(samples, selector);
            self.row(ctx, labels, &mut state, &mut own.borrow_mut())
        };
        let steps = self.grid.steps();
        each_batch(ctx, selector, times, steps, &mut make, |rows| {
            let own: Annotations = own.take();
            if !own.is_empty() {
                notes.merge(own);
            }
            checked(rows, untyped.get(), notes)
        })?;
        Ok(count)
    }
}
