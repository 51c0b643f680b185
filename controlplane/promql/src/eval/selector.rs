//! Instant selectors: the newest sample within the lookback at every step.

use std::sync::Arc;

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::storage::{SampleBuffer, Series, StorageError};
use bellwether_model::{FloatHistogram, Labels, is_stale_nan};
use rayon::prelude::*;

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::plan::Selector;

use super::column::{Row, SeriesSet, histogram_weight, is_absent};
use super::context::Context;
use super::grid::StepGrid;
use super::sliding::{Slider, has_distance, steps_until};
use super::{Sink, scan};

/// The most series per batch.
pub(crate) const BATCH: usize = 256;
/// Series of a batch that one thread reads: what they need fits into the processor's cache.
const BATCH_ALONE: usize = 32;
/// The fewest series per batch.
const BATCH_MIN: usize = 16;
/// Steps of all rows of a batch together: small enough that a batch of long rows stays small.
const BATCH_STEPS: usize = 256 * 1024;
/// Below this number of samples and steps the work does not pay for threads: some milliseconds.
const PARALLEL_FROM: i64 = 400_000;
/// The distance of samples that estimates of work assume, in milliseconds.
const USUAL_INTERVAL: i64 = 15_000;

/// Samples that estimates assume in a chunk of a storage.
const USUAL_CHUNK: i64 = 120;
/// Chunks to read together.
const CHUNKS: i64 = 16;
/// The most series to read together.
const GROUP: i64 = 8;

/// How many series, each over `span_ms`, to read together.
pub(crate) fn group_size(span_ms: i64) -> usize {
    let chunks = (span_ms / (USUAL_CHUNK * USUAL_INTERVAL)).saturating_add(2);
    (CHUNKS / chunks).clamp(1, GROUP) as usize
}

/// Buffers for the series of a group.
pub(crate) type Buffers = Vec<SampleBuffer>;

/// Reads the samples of `mint..=maxt` of some series, each into a buffer of its own.
pub(crate) fn read_group<'a>(
    group: &[Arc<dyn Series>],
    mint: i64,
    maxt: i64,
    buffers: &'a mut Buffers,
) -> Result<&'a mut [SampleBuffer], StorageError> {
    if buffers.len() < group.len() {
        buffers.resize_with(group.len(), SampleBuffer::default);
    }
    let buffers = &mut buffers[..group.len()];
    buffers.iter_mut().for_each(SampleBuffer::clear);
    if let Some(first) = group.first() {
        first.read_group(group, mint, maxt, buffers)?;
    }
    Ok(buffers)
}

/// Whether to read some series, each over `span_ms`, for so many steps with several threads.
pub(crate) fn pays_threads(series: usize, span_ms: i64, steps: usize) -> bool {
    series > 1 && work_of(span_ms, steps).saturating_mul(series as i64) >= PARALLEL_FROM
}

/// Samples and steps of one series; at least one.
fn work_of(span_ms: i64, steps: usize) -> i64 {
    (span_ms / USUAL_INTERVAL)
        .saturating_add(2 * steps as i64)
        .max(1)
}

/// Series of a batch when each is read over `span_ms` for so many steps.
pub(super) fn batch_size(span_ms: i64, steps: usize) -> usize {
    let most = if pays_threads(BATCH, span_ms, steps) {
        // Some milliseconds of work are enough for all threads.
        let enough = 2 * PARALLEL_FROM / work_of(span_ms, steps);
        (enough as usize).clamp(BATCH_ALONE, BATCH)
    } else {
        BATCH_ALONE
    };
    (BATCH_STEPS / steps.max(1)).clamp(BATCH_MIN, most)
}

/// The series of a selector in the storage's order.
pub(crate) fn select(
    ctx: &Context<'_>,
    selector: &Selector,
) -> Result<Vec<Arc<dyn Series>>, QueryError> {
    let mut all = Vec::new();
    each_batch(ctx, selector, BATCH, |batch| {
        all.append(batch);
        Ok(())
    })?;
    Ok(all)
}

/// Hands over the series of a selector in batches of `size`, in the storage's order. Only those of a batch are in memory
/// at one time, unless they are taken out.
pub(super) fn each_batch(
    ctx: &Context<'_>,
    selector: &Selector,
    size: usize,
    mut each: impl FnMut(&mut Vec<Arc<dyn Series>>) -> Result<(), QueryError>,
) -> Result<(), QueryError> {
    let mut stream = ctx.querier.stream(false, &selector.matchers)?;
    let mut batch = Vec::new();
    loop {
        ctx.check()?;
        batch.clear();
        for series in stream.by_ref().take(size) {
            batch.push(series?);
        }
        if batch.is_empty() {
            return Ok(());
        }
        ctx.count_series(batch.len() as u64);
        each(&mut batch)?;
    }
}

/// Reads the samples of `mint..=maxt` without stale markers into a cleared buffer.
pub(crate) fn read(
    series: &dyn Series,
    mint: i64,
    maxt: i64,
    buffer: &mut SampleBuffer,
) -> Result<(), StorageError> {
    buffer.clear();
    series.read(mint, maxt, buffer)?;
    drop_stale(buffer);
    Ok(())
}

/// Leaves stale markers out.
pub(super) fn drop_stale(buffer: &mut SampleBuffer) {
    if buffer.histograms.is_empty() && !has_stale(&buffer.values) {
        return;
    }
    let stale = |b: &SampleBuffer, i: usize| match b.histogram(i) {
        Some(h) => is_stale_nan(h.sum),
        None => is_stale_nan(b.values[i]),
    };
    let Some(first) = (0..buffer.len()).find(|&i| stale(buffer, i)) else {
        return;
    };
    let starts = !buffer.start_timestamps.is_empty();
    if starts {
        buffer.start_timestamps.resize(buffer.len(), 0);
    }
    let mut kept = first;
    for i in first..buffer.len() {
        if stale(buffer, i) {
            continue;
        }
        buffer.timestamps.swap(kept, i);
        buffer.values.swap(kept, i);
        if !buffer.histograms.is_empty() {
            buffer.histograms.swap(kept, i);
        }
        if starts {
            buffer.start_timestamps.swap(kept, i);
        }
        kept += 1;
    }
    buffer.timestamps.truncate(kept);
    buffer.values.truncate(kept);
    if !buffer.histograms.is_empty() {
        buffer.histograms.truncate(kept);
    }
    buffer.start_timestamps.truncate(kept);
}

/// Whether there is a stale marker, which is rare.
fn has_stale(values: &[f64]) -> bool {
    // Without an exit in between the compiler compares several values at once.
    let in_block = |block: &[f64]| block.iter().fold(false, |any, v| any | is_stale_nan(*v));
    values.chunks(64).any(in_block)
}

/// Leaves of each histogram its count, sum, schema and reset hint. Without buckets nobody could tell a reset any more,
/// so that the hint of every histogram but the first says whether there was one.
pub(crate) fn keep_stats(buffer: &mut SampleBuffer) {
    let mut last: Option<Arc<FloatHistogram>> = None;
    for h in buffer.histograms.iter_mut().flatten() {
        let stale = is_stale_nan(h.sum);
        let reset_hint = match &last {
            Some(last) if !stale && h.reset_hint == CounterResetHint::Unknown => {
                if h.detect_reset(last) {
                    CounterResetHint::Reset
                } else {
                    CounterResetHint::NotReset
                }
            }
            _ => h.reset_hint,
        };
        let stats = FloatHistogram {
            reset_hint,
            schema: h.schema,
            count: h.count,
            sum: h.sum,
            ..FloatHistogram::default()
        };
        let whole = std::mem::replace(h, Arc::new(stats));
        if !stale {
            last = Some(whole);
        }
    }
}

/// Fewer steps are looked at one by one.
const REGULAR_STEPS: usize = 8;

/// Copies the floats that an instant selector sees of samples in regular distances, as far as from each step to the
/// next it is the same number of samples later. A stale marker is what an absent value is, so that it may be copied
/// too. Returns the number of values and the first step that is left to look at.
fn copy_regular(
    selector: &Selector,
    grid: StepGrid,
    lookback: i64,
    buffer: &SampleBuffer,
    values: &mut [f64],
) -> Option<(usize, usize)> {
    let times = buffer.timestamps.as_slice();
    let [first, second, ..] = times else {
        return None;
    };
    let distance = second - first;
    let plain = buffer.histograms.is_empty() && selector.at.is_none();
    if !plain || grid.steps() < REGULAR_STEPS || distance <= 0 || grid.step % distance != 0 {
        return None;
    }
    let seen = selector.data_time(grid.start);
    let end = first.saturating_add(distance.saturating_mul(times.len() as i64));
    let from = steps_until(seen, grid.step, *first);
    let until = steps_until(seen, grid.step, end).min(grid.steps());
    if from >= until || !has_distance(times, distance) {
        return None;
    }
    let way = grid.step.checked_mul(from as i64)?;
    let since_first = seen.checked_add(way)? - first;
    // The age of the samples when they are seen is always the same.
    if since_first % distance >= lookback {
        return None;
    }
    let at = usize::try_from(since_first / distance).ok()?;
    let stride = usize::try_from(grid.step / distance).ok()?;
    let out = values.get_mut(from..until)?;
    let visible = buffer.values.get(at..)?.iter().step_by(stride);
    for (out, v) in out.iter_mut().zip(visible) {
        *out = *v;
    }
    Some((out.iter().filter(|v| !is_absent(**v)).count(), until))
}

/// For every step from `from` on the index of the sample that an instant selector sees, if any.
fn visible(
    selector: &Selector,
    grid: StepGrid,
    from: usize,
    lookback: i64,
    buffer: &SampleBuffer,
    mut each: impl FnMut(usize, usize),
) {
    let mut seen = Slider::default();
    for step in from..grid.steps() {
        let reference = selector.data_time(grid.time(step));
        seen.slide(&buffer.timestamps, i64::MIN, reference);
        let Some(i) = seen.end.checked_sub(1) else {
            continue;
        };
        if buffer.timestamps[i] <= reference.saturating_sub(lookback) {
            continue;
        }
        let stale = match buffer.histogram(i) {
            Some(h) => is_stale_nan(h.sum),
            None => is_stale_nan(buffer.values[i]),
        };
        if !stale {
            each(step, i);
        }
    }
}

/// What a selector's row shows at each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// The sample's value.
    Value,
    /// The sample's own time in seconds.
    Time,
    /// The time in seconds when the sample's counter began, 0 where it is not known.
    StartTime,
    /// As [`Show::Time`], of an info metric: a histogram is an error.
    InfoTime,
}

/// The oldest and newest time whose samples a selector may show.
fn reach(ctx: &Context<'_>, selector: &Selector, grid: StepGrid) -> (i64, i64) {
    let first = selector.data_time(grid.start);
    let mint = first.saturating_sub(ctx.lookback_ms - 1);
    (mint, selector.newest(grid.last()))
}

fn row(
    ctx: &Context<'_>,
    selector: &Selector,
    grid: StepGrid,
    show: Show,
    labels: &Labels,
    buffer: &mut SampleBuffer,
) -> Result<Option<Row>, QueryError> {
    if selector.stats_only {
        keep_stats(buffer);
    }
    if buffer.is_empty() {
        return Ok(None);
    }
    let mut row = Row::floats(labels.clone(), ctx.column(grid.steps()));
    let regular = match show {
        Show::Value => copy_regular(selector, grid, ctx.lookback_ms, buffer, &mut row.values),
        _ => None,
    };
    let (mut weight, rest) = regular.unwrap_or_default();
    let mut no_info = false;
    visible(
        selector,
        grid,
        rest,
        ctx.lookback_ms,
        buffer,
        |step, i| match (show, buffer.histogram(i)) {
            (Show::Value, Some(h)) => {
                weight += histogram_weight(h);
                row.set_histogram(step, Arc::clone(h));
            }
            (Show::Value, None) => {
                weight += 1;
                row.set_float(step, buffer.values[i]);
            }
            (Show::StartTime, _) => {
                weight += 1;
                row.set_float(step, buffer.start_timestamp(i) as f64 / 1000.0);
            }
            (Show::Time | Show::InfoTime, histogram) => {
                no_info |= show == Show::InfoTime && histogram.is_some();
                weight += 1;
                row.set_float(step, buffer.timestamps[i] as f64 / 1000.0);
            }
        },
    );
    if no_info {
        return Err(QueryError::Execution(format!(
            "this should be an info metric, with float samples: {labels}"
        )));
    }
    if weight == 0 {
        return Ok(None);
    }
    ctx.hold(weight)?;
    ctx.count_samples(weight as u64, |tell| row.each_weight(tell));
    Ok(Some(row))
}

/// The rows of some series, in their order.
pub(crate) fn rows_of(
    ctx: &Context<'_>,
    selector: &Selector,
    grid: StepGrid,
    show: Show,
    series: &[Arc<dyn Series>],
) -> Result<SeriesSet, QueryError> {
    let (mint, maxt) = reach(ctx, selector, grid);
    let span = maxt.saturating_sub(mint);
    let rows_of_group = |buffers: &mut Buffers, group: &[Arc<dyn Series>]| {
        ctx.check()?;
        let buffers = read_group(group, mint, maxt, buffers)?;
        let rows = group.iter().zip(buffers);
        let rows =
            rows.filter_map(|(s, b)| row(ctx, selector, grid, show, s.labels(), b).transpose());
        rows.collect::<Result<Vec<Row>, QueryError>>()
    };
    let size = group_size(span);
    let mut rows = Vec::with_capacity(series.len());
    if !pays_threads(series.len(), span, grid.steps()) {
        let mut buffers = Buffers::new();
        for group in series.chunks(size) {
            rows.append(&mut rows_of_group(&mut buffers, group)?);
        }
        return Ok(rows);
    }
    let groups = series.par_chunks(size);
    let groups: Result<Vec<Vec<Row>>, QueryError> =
        groups.map_init(Buffers::new, rows_of_group).collect();
    rows.extend(groups?.into_iter().flatten());
    Ok(rows)
}

/// All rows of a selector.
pub(super) fn rows(
    ctx: &Context<'_>,
    selector: &Selector,
    grid: StepGrid,
) -> Result<SeriesSet, QueryError> {
    let mut rows = Vec::new();
    let reach = reach(ctx, selector, grid);
    let size = batch_size(reach.1.saturating_sub(reach.0), grid.steps());
    each_batch(ctx, selector, size, |series| {
        rows.extend(rows_of(ctx, selector, grid, Show::Value, series)?);
        ctx.check_cells(rows.len(), grid.steps())
    })?;
    Ok(rows)
}

/// The rows of a selector, batch by batch. As in Prometheus all of them count against the sample limit until
/// the consumer has its result.
pub(super) fn batches(
    ctx: &Context<'_>,
    selector: &Selector,
    grid: StepGrid,
    notes: &mut Annotations,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    let reach = reach(ctx, selector, grid);
    let span = reach.1.saturating_sub(reach.0);
    if scan::pays(ctx, span, grid.steps()) {
        let mut make = |labels: &Labels, samples: &mut SampleBuffer| {
            row(ctx, selector, grid, Show::Value, labels, samples)
        };
        return scan::each_batch(ctx, selector, reach, grid.steps(), &mut make, |rows| {
            sink(rows, notes)
        });
    }
    each_batch(ctx, selector, batch_size(span, grid.steps()), |series| {
        sink(rows_of(ctx, selector, grid, Show::Value, series)?, notes)
    })
}
