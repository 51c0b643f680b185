//! The driver of range functions: windows slide over each series' samples, which are decoded once.

use std::ops::Range;
use std::sync::Arc;

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{SampleBuffer, Series};
use bellwether_model::{FloatHistogram, Labels};
use hashbrown::HashSet;
use rayon::prelude::*;

use crate::annotations::{AnnotationKind, Annotations};
use crate::ast::{Span, ValueType};
use crate::error::QueryError;
use crate::explain::NodeCost;
use crate::functions::range_table::RangeDef;
use crate::plan::{Call, Kind, Node, Selector, Subquery, Window as PlannedWindow};

use super::column::{Cell, Row, Sample, drop_metadata, is_metadata_label, same_labelset};
use super::context::Context;
use super::grid::StepGrid;
use super::memo::Memo;
use super::selector::Buffers;
use super::sliding::{Regular, Sliding, Weights};
use super::{Sink, eval, range_span, scalar_args, scan, selector, smoothed};

/// The samples of one series, floats and histograms apart, each in time order.
#[derive(Debug, Default)]
pub(crate) struct RangeInput {
    pub(crate) float_times: Vec<i64>,
    pub(crate) floats: Vec<f64>,
    pub(crate) histogram_times: Vec<i64>,
    pub(crate) histograms: Vec<Arc<FloatHistogram>>,
    /// When the counter of each float began, 0 where unknown; empty when none is known.
    pub(crate) float_starts: Vec<i64>,
    /// As `float_starts`, of the histograms.
    pub(crate) histogram_starts: Vec<i64>,
}

impl RangeInput {
    /// Floats at the times 0, 1, 2 ...
    #[cfg(test)]
    pub(crate) fn of_floats(floats: &[f64]) -> Self {
        Self {
            float_times: (0..floats.len() as i64).collect(),
            floats: floats.to_vec(),
            ..Self::default()
        }
    }

    fn clear(&mut self) {
        self.float_times.clear();
        self.floats.clear();
        self.histogram_times.clear();
        self.histograms.clear();
        self.forget_starts();
    }

    /// Start timestamps are not to be looked at.
    pub(super) fn forget_starts(&mut self) {
        self.float_starts.clear();
        self.histogram_starts.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.float_times.is_empty() && self.histogram_times.is_empty()
    }

    /// Takes the samples of a series, stale markers left out.
    pub(super) fn take(&mut self, buffer: &mut SampleBuffer, selector: &Selector) {
        selector::drop_stale(buffer);
        if selector.stats_only {
            selector::keep_stats(buffer);
        }
        if buffer.histograms.is_empty() {
            self.histogram_times.clear();
            self.histograms.clear();
            self.histogram_starts.clear();
            // The buffer's columns are exactly what is needed: trade instead of copying.
            std::mem::swap(&mut self.float_times, &mut buffer.timestamps);
            std::mem::swap(&mut self.floats, &mut buffer.values);
            std::mem::swap(&mut self.float_starts, &mut buffer.start_timestamps);
            if !self.float_starts.is_empty() {
                self.float_starts.resize(self.floats.len(), 0);
            }
            return;
        }
        self.clear();
        let starts = !buffer.start_timestamps.is_empty();
        for i in 0..buffer.len() {
            let t = buffer.timestamps[i];
            match buffer.histogram(i) {
                Some(h) => {
                    self.histogram_times.push(t);
                    self.histograms.push(Arc::clone(h));
                    if starts {
                        self.histogram_starts.push(buffer.start_timestamp(i));
                    }
                }
                None => {
                    self.float_times.push(t);
                    self.floats.push(buffer.values[i]);
                    if starts {
                        self.float_starts.push(buffer.start_timestamp(i));
                    }
                }
            }
        }
    }

    /// Takes the samples of a sub-query's row.
    fn load_row(&mut self, row: &Row, grid: StepGrid) {
        self.clear();
        for i in 0..row.values.len() {
            match row.cell(i) {
                Cell::Absent => {}
                Cell::Float(v) => {
                    self.float_times.push(grid.time(i));
                    self.floats.push(v);
                }
                Cell::Histogram(h) => {
                    self.histogram_times.push(grid.time(i));
                    self.histograms.push(forget_reset(h));
                }
            }
        }
    }
}

/// A sub-query may skip or repeat samples, so what a hint says about the sample before is no longer true.
fn forget_reset(h: &Arc<FloatHistogram>) -> Arc<FloatHistogram> {
    match h.reset_hint {
        CounterResetHint::Reset | CounterResetHint::NotReset => {
            let mut h = (**h).clone();
            h.reset_hint = CounterResetHint::Unknown;
            Arc::new(h)
        }
        CounterResetHint::Unknown | CounterResetHint::Gauge => Arc::clone(h),
    }
}

/// The samples that a range function sees at one step: those in `(start, end]`, and around it for `anchored`
/// and `smoothed` selectors.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    pub(crate) input: &'a RangeInput,
    /// Which floats; the indexes only grow from step to step.
    pub(crate) f: Range<usize>,
    /// Which histograms.
    pub(crate) h: Range<usize>,
    /// Evaluation time in milliseconds.
    pub(crate) t: i64,
    /// Left end, excluded.
    pub(crate) start: i64,
    /// Right end, included.
    pub(crate) end: i64,
    pub(crate) anchored: bool,
    pub(crate) smoothed: bool,
}

impl<'a> Window<'a> {
    pub(crate) fn floats(&self) -> &'a [f64] {
        &self.input.floats[self.f.clone()]
    }

    pub(crate) fn float_times(&self) -> &'a [i64] {
        &self.input.float_times[self.f.clone()]
    }

    pub(crate) fn histograms(&self) -> &'a [Arc<FloatHistogram>] {
        &self.input.histograms[self.h.clone()]
    }

    pub(crate) fn histogram_times(&self) -> &'a [i64] {
        &self.input.histogram_times[self.h.clone()]
    }

    /// Length of the range in seconds.
    pub(crate) fn range_seconds(&self) -> f64 {
        (self.end - self.start) as f64 / 1000.0
    }
}

/// What a range function knows besides its window.
pub(crate) struct Env<'a> {
    /// The scalar arguments at this step, in order.
    pub(crate) args: &'a [f64],
    /// The series' metric name.
    pub(crate) name: &'a str,
    /// Place of the range vector argument.
    pub(crate) span: Span,
    /// Place of the first argument.
    pub(crate) first_span: Span,
    pub(crate) notes: &'a mut Annotations,
}

impl Env<'_> {
    /// Adds an annotation that names the metric, at the range vector's place.
    pub(crate) fn note(&mut self, kind: impl FnOnce(String) -> AnnotationKind) {
        self.notes.add(kind(self.name.to_owned()), self.span);
    }
}

/// A function over windows. One value serves many series, one after the other.
pub(crate) trait RangeFunction: Send {
    /// A new series begins; its windows follow in time order.
    fn begin(&mut self, _input: &RangeInput) {}

    /// The value at one step, none where there is no result.
    ///
    /// # Errors
    /// When an argument is impossible; that ends the query.
    fn eval(
        &mut self,
        window: &Window<'_>,
        env: &mut Env<'_>,
    ) -> Result<Option<Sample>, QueryError>;

    /// The values of windows that all have the same distances to their samples, for as many steps as `out` has
    /// places. False when the function has no short way for them; nothing is done then.
    fn eval_regular(&mut self, _windows: &Regular<'_>, _out: &mut [f64]) -> bool {
        false
    }

    /// Slides the window over a series. Every function has a copy of this loop of its own, into which the compiler
    /// puts its [`RangeFunction::eval`].
    ///
    /// # Errors
    /// As [`RangeFunction::eval`].
    fn slide(
        &mut self,
        series: &Sliding<'_>,
        row: &mut Row,
        notes: &mut Annotations,
    ) -> Result<Weights, QueryError> {
        series.slide(self, row, notes)
    }
}

/// Where the windows of a call come from.
enum Source<'a> {
    Selector(&'a Selector),
    Subquery(&'a Subquery),
}

/// One call of a range function, ready to run over series.
pub(super) struct Job<'a> {
    def: &'static RangeDef,
    source: Source<'a>,
    pub(super) range_ms: i64,
    pub(super) grid: StepGrid,
    /// Scalar arguments per step.
    pub(super) args: Vec<Vec<f64>>,
    pub(super) span: Span,
    pub(super) first_span: Span,
}

/// Calls a range function and hands its rows to `sink` in batches, sorted as the input is.
pub(crate) fn range_call(
    ctx: &Context<'_>,
    def: &'static RangeDef,
    call: &Call,
    grid: StepGrid,
    notes: &mut Annotations,
    sink: &mut Sink<'_>,
) -> Result<(), QueryError> {
    let Some(arg) = call.args.iter().find(|a| a.ty == ValueType::Matrix) else {
        return Err(QueryError::Execution(format!(
            "{} needs a range vector",
            def.name
        )));
    };
    let mut args = scalar_args(ctx, call, grid, notes)?;
    args.retain(|a| !a.is_empty());
    let job = |source, range_ms| Job {
        def,
        source,
        range_ms,
        grid,
        args,
        span: range_span(arg),
        first_span: range_span(&call.args[0]),
    };
    let names = ctx.delayed_names || def.keeps_name;
    let mut unique = Unique::default();
    let mut checked =
        |rows: Vec<Row>, differ: bool, notes: &mut Annotations| -> Result<(), QueryError> {
            if !names && !differ {
                unique.check(&rows)?;
            }
            sink(rows, notes)
        };
    match &plain(arg).kind {
        Kind::Window(w) => {
            smoothed::check_function(&w.selector, call.func.name)?;
            let job = job(Source::Selector(&w.selector), w.range_ms);
            let before = ctx.looked_at();
            let series = job.over_window(ctx, w, notes, &mut checked)?;
            if let Some(profile) = ctx.profile {
                let samples = ctx.looked_at() - before;
                let cost = NodeCost {
                    series,
                    samples,
                    ..NodeCost::default()
                };
                profile.add(plain(arg), cost);
            }
        }
        Kind::Subquery(s) => {
            let job = job(Source::Subquery(s), s.range_ms);
            let before = ctx.held();
            let inner_grid = s.grid(grid);
            let inner = ctx.muted(|| eval(ctx, &s.expr, inner_grid, notes))?;
            let rows = job.over_rows(ctx, &inner, inner_grid, notes)?;
            drop(inner);
            ctx.settle(before + rows.iter().map(|r| r.weight() as i64).sum::<i64>())?;
            checked(rows, false, notes)?;
        }
        _ => {
            return Err(QueryError::Execution(format!(
                "{} needs a range vector",
                def.name
            )));
        }
    }
    Ok(())
}

/// Whether the name is all that describes the metric.
pub(super) fn is_untyped(labels: &Labels) -> bool {
    // Labels are sorted by name.
    let mut first = labels.iter().take_while(|l| l.name <= "__unit__");
    first.all(|l| l.name == METRIC_NAME || !is_metadata_label(l.name))
}

/// A range vector behind a wrapper for fixed values.
fn plain(node: &Node) -> &Node {
    match &node.kind {
        Kind::Invariant(inner) => plain(inner),
        _ => node,
    }
}

/// Finds equal label sets among rows that come in batches.
#[derive(Default)]
struct Unique(HashSet<Labels, foldhash::fast::FixedState>);

impl Unique {
    fn check(&mut self, rows: &[Row]) -> Result<(), QueryError> {
        if rows.iter().all(|r| self.0.insert(r.labels.clone())) {
            Ok(())
        } else {
            Err(same_labelset())
        }
    }
}

/// What is used for one series after the other.
pub(super) struct State {
    pub(super) input: RangeInput,
    pub(super) function: Box<dyn RangeFunction>,
    buffers: Buffers,
    /// Label sets without name, type and unit.
    dropped: Memo<Labels>,
}

/// Takes rows, and whether their labels surely differ.
pub(super) type Checked<'a> =
    dyn FnMut(Vec<Row>, bool, &mut Annotations) -> Result<(), QueryError> + 'a;

/// Rows and what is to be said about them.
type Results = Vec<(Option<Row>, Annotations)>;

impl<'a> Job<'a> {
    /// A call whose only argument is a range selector at a place.
    pub(super) fn of_window(
        def: &'static RangeDef,
        window: &'a PlannedWindow,
        span: Span,
        grid: StepGrid,
    ) -> Self {
        Self {
            def,
            source: Source::Selector(&window.selector),
            range_ms: window.range_ms,
            grid,
            args: Vec::new(),
            span,
            first_span: span,
        }
    }
}

impl Job<'_> {
    pub(super) fn fresh(&self) -> State {
        State {
            input: RangeInput::default(),
            function: (self.def.make)(),
            buffers: Buffers::new(),
            dropped: Memo::default(),
        }
    }

    /// Whether the function makes sense for counters only.
    pub(super) fn wants_counter(&self) -> bool {
        self.def.wants_counter
    }

    /// Whether all steps look at the same time.
    pub(super) fn is_fixed(&self) -> bool {
        match &self.source {
            Source::Selector(s) => s.at.is_some(),
            Source::Subquery(s) => s.at.is_some(),
        }
    }

    pub(super) fn data_time(&self, t: i64) -> i64 {
        match &self.source {
            Source::Selector(s) => s.data_time(t),
            Source::Subquery(s) => s.data_time(t),
        }
    }

    /// Runs over the series of a selector. Returns how many there were.
    fn over_window(
        &self,
        ctx: &Context<'_>,
        window: &PlannedWindow,
        notes: &mut Annotations,
        checked: &mut Checked<'_>,
    ) -> Result<u64, QueryError> {
        let selector = &window.selector;
        let times = self.reach(ctx, selector);
        let span = times.1.saturating_sub(times.0);
        if scan::pays(ctx, span, self.grid.steps()) {
            return self.scan(ctx, selector, times, notes, checked);
        }
        let one_name = selector.has_one_name();
        let (mut state, mut count, mut untyped) = (self.fresh(), 0, true);
        let size = selector::batch_size(span, self.grid.steps());
        selector::each_batch(ctx, selector, size, |series| {
            untyped &= one_name && series.iter().all(|s| is_untyped(s.labels()));
            count += series.len() as u64;
            let rows = self.over_series(ctx, selector, times, series, &mut state, notes)?;
            checked(rows, untyped, notes)
        })?;
        Ok(count)
    }

    /// The oldest and newest time whose samples some window looks at.
    pub(super) fn reach(&self, ctx: &Context<'_>, selector: &Selector) -> (i64, i64) {
        let (back, ahead) = smoothed::reach(selector, ctx.lookback_ms);
        let reach = self.range_ms.saturating_add(back);
        (
            self.data_time(self.grid.start).saturating_sub(reach - 1),
            self.data_time(self.grid.last()).saturating_add(ahead),
        )
    }

    /// The row of a series whose samples are in `state`.
    pub(super) fn row(
        &self,
        ctx: &Context<'_>,
        labels: &Labels,
        state: &mut State,
        notes: &mut Annotations,
    ) -> Result<Option<Row>, QueryError> {
        if !ctx.start_timestamps {
            state.input.forget_starts();
        }
        self.one(ctx, state, labels, false, notes)
    }

    fn over_series(
        &self,
        ctx: &Context<'_>,
        selector: &Selector,
        (mint, maxt): (i64, i64),
        series: &[Arc<dyn Series>],
        state: &mut State,
        notes: &mut Annotations,
    ) -> Result<Vec<Row>, QueryError> {
        let of_group = |state: &mut State, group: &[Arc<dyn Series>]| {
            ctx.check()?;
            let mut buffers = std::mem::take(&mut state.buffers);
            let read = selector::read_group(group, mint, maxt, &mut buffers)?;
            let mut results = Vec::with_capacity(group.len());
            for (series, buffer) in group.iter().zip(read) {
                state.input.take(buffer, selector);
                let mut notes = Annotations::new();
                let row = self.row(ctx, series.labels(), state, &mut notes)?;
                results.push((row, notes));
            }
            state.buffers = buffers;
            Ok(results)
        };
        let span = maxt.saturating_sub(mint);
        let size = selector::group_size(span);
        let results: Result<Vec<Results>, QueryError> =
            if !selector::pays_threads(series.len(), span, self.grid.steps()) {
                let groups = series.chunks(size);
                groups.map(|group| of_group(state, group)).collect()
            } else {
                let groups = series.par_chunks(size);
                groups.map_init(|| self.fresh(), of_group).collect()
            };
        Ok(collect(results?.into_iter().flatten(), notes))
    }

    fn over_rows(
        &self,
        ctx: &Context<'_>,
        rows: &[Row],
        grid: StepGrid,
        notes: &mut Annotations,
    ) -> Result<Vec<Row>, QueryError> {
        let one = |state: &mut State, row: &Row| {
            ctx.check()?;
            state.input.load_row(row, grid);
            let mut notes = Annotations::new();
            let row = self.one(ctx, state, &row.labels, row.drop_name, &mut notes)?;
            Ok((row, notes))
        };
        let results: Result<Results, QueryError> =
            if !selector::pays_threads(rows.len(), 0, grid.steps() + self.grid.steps()) {
                let mut state = self.fresh();
                rows.iter().map(|r| one(&mut state, r)).collect()
            } else {
                rows.par_iter().map_init(|| self.fresh(), one).collect()
            };
        Ok(collect(results?, notes))
    }

    /// Slides the window over one series.
    fn one(
        &self,
        ctx: &Context<'_>,
        state: &mut State,
        labels: &Labels,
        drop_name: bool,
        notes: &mut Annotations,
    ) -> Result<Option<Row>, QueryError> {
        let State {
            input,
            function,
            dropped,
            ..
        } = state;
        if input.is_empty() {
            return Ok(None);
        }
        let (back, ahead, anchored, smoothed) = match &self.source {
            Source::Selector(s) => {
                let (back, ahead) = smoothed::reach(s, ctx.lookback_ms);
                (back, ahead, s.anchored, s.smoothed)
            }
            Source::Subquery(_) => (0, 0, false, false),
        };
        let name = labels.metric_name().unwrap_or("");
        let drop = drop_name || !self.def.keeps_name;
        let out_labels = if drop && !ctx.delayed_names {
            dropped.get(labels, drop_metadata)
        } else {
            labels.clone()
        };
        let mut row = Row::floats(out_labels, ctx.column(self.grid.steps()));
        row.drop_name = drop;
        let series = Sliding {
            ctx,
            job: self,
            input,
            name,
            back,
            ahead,
            anchored,
            smoothed,
        };
        let weights = function.slide(&series, &mut row, notes)?;
        ctx.probe(weights.widest)?;
        ctx.count_samples(weights.sum as u64, |tell| series.each_weight(tell));
        if !row.has_samples() {
            return Ok(None);
        }
        ctx.hold(row.weight())?;
        if self.def.wants_counter && !name.is_empty() {
            let has_floats = (0..row.values.len()).any(|i| matches!(row.cell(i), Cell::Float(_)));
            if has_floats {
                self.doubt_counter(ctx, (name, labels), notes);
            }
        }
        Ok(Some(row))
    }

    /// A rate of something that is not named or typed like a counter deserves a hint.
    pub(super) fn doubt_counter(
        &self,
        ctx: &Context<'_>,
        (name, labels): (&str, &Labels),
        notes: &mut Annotations,
    ) {
        let kind = || labels.value("__type__");
        let like_counter = if ctx.type_labels {
            matches!(kind(), "counter" | "histogram")
        } else {
            ["_total", "_sum", "_count", "_bucket"]
                .iter()
                .any(|suffix| name.ends_with(suffix))
        };
        if like_counter {
            return;
        }
        let name = name.to_owned();
        let kind = if ctx.type_labels {
            AnnotationKind::PossibleNonCounterType(name, kind().to_owned())
        } else {
            AnnotationKind::PossibleNonCounter(name)
        };
        notes.add(kind, self.span);
    }
}

fn collect(
    results: impl IntoIterator<Item = (Option<Row>, Annotations)>,
    notes: &mut Annotations,
) -> Vec<Row> {
    let results = results.into_iter();
    let mut rows = Vec::with_capacity(results.size_hint().0);
    for (row, own) in results {
        rows.extend(row);
        if !own.is_empty() {
            notes.merge(own);
        }
    }
    rows
}
