//! The driver of range functions: windows slide over each series' samples, which are decoded once.

use std::ops::Range;
use std::sync::Arc;

use bellwether_model::histogram::CounterResetHint;
use bellwether_model::labels::METRIC_NAME;
use bellwether_model::storage::{SampleBuffer, Series};
use bellwether_model::{FloatHistogram, Labels, MatchOp};
use hashbrown::HashSet;
use rayon::prelude::*;

use crate::annotations::{AnnotationKind, Annotations};
use crate::ast::{Span, ValueType};
use crate::error::QueryError;
use crate::explain::NodeCost;
use crate::functions::range_table::RangeDef;
use crate::plan::{Call, Kind, Node, Selector, Subquery};

use super::column::{
    Cell, Row, Sample, drop_metadata, histogram_weight, is_metadata_label, same_labelset,
};
use super::context::Context;
use super::grid::StepGrid;
use super::{Sink, eval, range_span, scalar_args, selector, smoothed};

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
    buffer: SampleBuffer,
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
    fn forget_starts(&mut self) {
        self.float_starts.clear();
        self.histogram_starts.clear();
    }

    fn is_empty(&self) -> bool {
        self.float_times.is_empty() && self.histogram_times.is_empty()
    }

    /// Decodes `mint..=maxt` of a series, stale markers left out.
    fn load(
        &mut self,
        series: &dyn Series,
        selector: &Selector,
        (mint, maxt): (i64, i64),
    ) -> Result<(), QueryError> {
        selector::read(series, mint, maxt, &mut self.buffer)?;
        if selector.stats_only {
            selector::keep_stats(&mut self.buffer);
        }
        if self.buffer.histograms.is_empty() {
            self.histogram_times.clear();
            self.histograms.clear();
            self.histogram_starts.clear();
            // The buffer's columns are exactly what is needed: trade instead of copying.
            std::mem::swap(&mut self.float_times, &mut self.buffer.timestamps);
            std::mem::swap(&mut self.floats, &mut self.buffer.values);
            std::mem::swap(&mut self.float_starts, &mut self.buffer.start_timestamps);
            if !self.float_starts.is_empty() {
                self.float_starts.resize(self.floats.len(), 0);
            }
            return Ok(());
        }
        self.clear();
        let starts = !self.buffer.start_timestamps.is_empty();
        for i in 0..self.buffer.len() {
            let t = self.buffer.timestamps[i];
            match self.buffer.histogram(i) {
                Some(h) => {
                    self.histogram_times.push(t);
                    self.histograms.push(Arc::clone(h));
                    if starts {
                        self.histogram_starts.push(self.buffer.start_timestamp(i));
                    }
                }
                None => {
                    self.float_times.push(t);
                    self.floats.push(self.buffer.values[i]);
                    if starts {
                        self.float_starts.push(self.buffer.start_timestamp(i));
                    }
                }
            }
        }
        Ok(())
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

/// A series with the windows that are to slide over it.
pub(crate) struct Sliding<'a> {
    ctx: &'a Context<'a>,
    job: &'a Job<'a>,
    input: &'a RangeInput,
    /// The series' metric name.
    name: &'a str,
    /// Milliseconds around the window that the function sees too.
    back: i64,
    ahead: i64,
    anchored: bool,
    smoothed: bool,
}

/// Windows over samples in regular distances, as far as all samples are there: from step to step both ends move on
/// by the same number of samples.
pub(crate) struct Regular<'a> {
    /// The first of them.
    pub(crate) window: Window<'a>,
    /// Samples from step to step.
    pub(crate) stride: usize,
    /// The steps whose windows these are.
    steps: Range<usize>,
}

/// Samples in windows after which a query is asked whether it shall go on: some milliseconds of the slowest functions.
const CHECK_EVERY: usize = 128 * 1024;

/// What the windows of a series weighed, in samples.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Weights {
    sum: usize,
    widest: usize,
}

impl<'a> Sliding<'a> {
    /// The windows that see regular floats only; `None` where there are none.
    fn regular(&self) -> Option<Regular<'a>> {
        let (job, input) = (self.job, self.input);
        let times = input.float_times.as_slice();
        let [first, second, ..] = times else {
            return None;
        };
        let plain = input.histogram_times.is_empty()
            && !self.anchored
            && !self.smoothed
            && !job.is_fixed()
            && job.args.is_empty();
        let (distance, step) = (second - first, job.grid.step);
        if !plain || distance <= 0 || step % distance != 0 || !has_distance(times, distance) {
            return None;
        }
        let end = job.data_time(job.grid.start);
        let start = end.saturating_sub(job.range_ms);
        // A window begins with the sample that would be next to one before it, and ends before the one after the last.
        let from = steps_until(start, step, first.saturating_sub(distance));
        let all = distance.saturating_mul(times.len() as i64);
        let until = steps_until(end, step, first.saturating_add(all)).min(job.grid.steps());
        if from >= until {
            return None;
        }
        let moved = step.saturating_mul(from as i64);
        let (start, end) = (start.saturating_add(moved), end.saturating_add(moved));
        let index = |t: i64| usize::try_from((t - first).div_euclid(distance) + 1).ok();
        Some(Regular {
            window: Window {
                input,
                f: index(start)?..index(end)?,
                h: 0..0,
                t: job.grid.time(from),
                start,
                end,
                anchored: false,
                smoothed: false,
            },
            stride: usize::try_from(step / distance).ok()?,
            steps: from..until,
        })
    }

    #[inline(always)]
    fn slide<F: RangeFunction + ?Sized>(
        &self,
        function: &mut F,
        row: &mut Row,
        notes: &mut Annotations,
    ) -> Result<Weights, QueryError> {
        let (job, input) = (self.job, self.input);
        function.begin(input);
        let mut args = vec![0.0; job.args.len()];
        let (mut f, mut h) = (Slider::default(), Slider::default());
        let mut weights = Weights::default();
        let weigh: usize = input
            .histograms
            .iter()
            .map(|h| histogram_weight(h))
            .max()
            .unwrap_or(0);
        let regular = self.regular();
        let mut check_at = CHECK_EVERY;
        let mut next = 0;
        while next < job.grid.steps() {
            let step = next;
            next += 1;
            if let Some(r) = regular.as_ref().filter(|r| r.steps.start == step)
                && row.histograms.is_none()
                && function.eval_regular(r, &mut row.values[r.steps.clone()])
            {
                next = r.steps.end;
                weights.sum += r.window.f.len() * r.steps.len();
                weights.widest = weights.widest.max(r.window.f.len());
                f.start = r.window.f.start + r.stride * (r.steps.len() - 1);
                f.end = f.start + r.window.f.len();
                continue;
            }
            let t = job.grid.time(step);
            let end = job.data_time(t);
            let start = end.saturating_sub(job.range_ms);
            let (from, until) = (
                start.saturating_sub(self.back),
                end.saturating_add(self.ahead),
            );
            f.slide(&input.float_times, from, until);
            h.slide(&input.histogram_times, from, until);
            let weight = (f.end - f.start) + (h.end - h.start) * weigh;
            if f.start == f.end && h.start == h.end {
                continue;
            }
            weights.sum += weight;
            weights.widest = weights.widest.max(weight);
            // Wide windows over many steps take long, also those of a single series.
            if weights.sum >= check_at {
                self.ctx.check()?;
                check_at = weights.sum + CHECK_EVERY;
            }
            for (to, from) in args.iter_mut().zip(&job.args) {
                *to = from[step];
            }
            let window = Window {
                input,
                f: f.start..f.end,
                h: h.start..h.end,
                t,
                start,
                end,
                anchored: self.anchored,
                smoothed: self.smoothed,
            };
            let mut env = Env {
                args: &args,
                name: self.name,
                span: job.span,
                first_span: job.first_span,
                notes,
            };
            match function.eval(&window, &mut env)? {
                Some(Sample::Float(v)) if row.histograms.is_none() => row.values[step] = v,
                Some(sample) => row.set(step, sample),
                None => {}
            }
        }
        Ok(weights)
    }
}

/// Whether all times have a distance.
fn has_distance(times: &[i64], distance: i64) -> bool {
    let after = times.get(1..).unwrap_or_default();
    let pairs = times.iter().zip(after);
    // Without an exit in between the compiler compares several times at once.
    pairs.fold(true, |all, (a, b)| all & (b.wrapping_sub(*a) == distance))
}

/// The number of steps that `t` needs to reach a time or come after it.
fn steps_until(t: i64, step: i64, time: i64) -> usize {
    let way = time.saturating_sub(t).max(0);
    usize::try_from(way / step + i64::from(way % step != 0)).unwrap_or(usize::MAX)
}

/// An index range over times whose ends only move forward.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Slider {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// How far the ends moved last time: with samples in regular distances they will do so again.
    stride: (usize, usize),
}

impl Slider {
    /// Moves to the times in `(after, until]`.
    #[inline(always)]
    pub(crate) fn slide(&mut self, times: &[i64], after: i64, until: i64) {
        let end = forward(times, self.end, self.stride.1, until);
        let start = forward(times, self.start, self.stride.0, after).min(end);
        self.stride = (start - self.start, end - self.end);
        (self.start, self.end) = (start, end);
    }
}

/// The first index from `at` on with a later time than `until`; looks at `at + guess` first.
#[inline(always)]
fn forward(times: &[i64], mut at: usize, guess: usize, until: i64) -> usize {
    let guess = at + guess;
    if guess > 0
        && times.get(guess - 1).is_some_and(|t| *t <= until)
        && times.get(guess).is_none_or(|t| *t > until)
    {
        return guess;
    }
    while times.get(at).is_some_and(|t| *t <= until) {
        at += 1;
    }
    at
}

/// Where the windows of a call come from.
enum Source<'a> {
    Selector(&'a Selector),
    Subquery(&'a Subquery),
}

/// One call of a range function, ready to run over series.
struct Job<'a> {
    def: &'static RangeDef,
    source: Source<'a>,
    range_ms: i64,
    grid: StepGrid,
    /// Scalar arguments per step.
    args: Vec<Vec<f64>>,
    span: Span,
    first_span: Span,
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
    let mut checked = |rows: Vec<Row>, differ: bool, notes: &mut Annotations| {
        if !names && !differ {
            unique.check(&rows)?;
        }
        sink(rows, notes)
    };
    match &plain(arg).kind {
        Kind::Window(w) => {
            smoothed::check_function(&w.selector, call.func.name)?;
            let job = job(Source::Selector(&w.selector), w.range_ms);
            let one_name = has_one_name(&w.selector);
            let mut untyped = true;
            let mut state = job.fresh();
            let mut cost = NodeCost::default();
            selector::each_batch(ctx, &w.selector, grid.steps(), |series| {
                untyped &= one_name && series.iter().all(|s| is_untyped(s.labels()));
                let before = ctx.looked_at();
                let rows = job.over_series(ctx, series, &mut state, notes)?;
                cost.series += series.len() as u64;
                cost.samples += ctx.looked_at() - before;
                checked(rows, untyped, notes)
            })?;
            if let Some(profile) = ctx.profile {
                profile.add(plain(arg), cost);
            }
        }
        Kind::Subquery(s) => {
            let job = job(Source::Subquery(s), s.range_ms);
            let before = ctx.held();
            let inner_grid = s.grid(grid);
            let inner = eval(ctx, &s.expr, inner_grid, notes)?;
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

/// Whether all series of a selector have the same metric name. Then they differ without it too.
fn has_one_name(selector: &Selector) -> bool {
    let mut names = selector.matchers.iter();
    names.any(|m| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty())
}

/// Whether the name is all that describes the metric.
fn is_untyped(labels: &Labels) -> bool {
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
type State = (RangeInput, Box<dyn RangeFunction>);

impl Job<'_> {
    fn fresh(&self) -> State {
        (RangeInput::default(), (self.def.make)())
    }

    /// Whether all steps look at the same time.
    fn is_fixed(&self) -> bool {
        match &self.source {
            Source::Selector(s) => s.at.is_some(),
            Source::Subquery(s) => s.at.is_some(),
        }
    }

    fn data_time(&self, t: i64) -> i64 {
        match &self.source {
            Source::Selector(s) => s.data_time(t),
            Source::Subquery(s) => s.data_time(t),
        }
    }

    fn over_series(
        &self,
        ctx: &Context<'_>,
        series: &[Arc<dyn Series>],
        state: &mut State,
        notes: &mut Annotations,
    ) -> Result<Vec<Row>, QueryError> {
        let Source::Selector(s) = &self.source else {
            return Ok(Vec::new());
        };
        let (back, ahead) = smoothed::reach(s, ctx.lookback_ms);
        let reach = self.range_ms.saturating_add(back);
        let mint = self.data_time(self.grid.start).saturating_sub(reach - 1);
        let maxt = self.data_time(self.grid.last()).saturating_add(ahead);
        let one = |state: &mut State, series: &Arc<dyn Series>| {
            let (input, function) = state;
            ctx.check()?;
            input.load(&**series, s, (mint, maxt))?;
            if !ctx.start_timestamps {
                input.forget_starts();
            }
            let mut notes = Annotations::new();
            let row = self.one(
                ctx,
                input,
                &mut **function,
                series.labels(),
                false,
                &mut notes,
            )?;
            Ok((row, notes))
        };
        let results: Result<Vec<(Option<Row>, Annotations)>, QueryError> =
            if !selector::pays_threads(series.len(), maxt.saturating_sub(mint), self.grid.steps()) {
                series.iter().map(|s| one(state, s)).collect()
            } else {
                series.par_iter().map_init(|| self.fresh(), one).collect()
            };
        Ok(collect(results?, notes))
    }

    fn over_rows(
        &self,
        ctx: &Context<'_>,
        rows: &[Row],
        grid: StepGrid,
        notes: &mut Annotations,
    ) -> Result<Vec<Row>, QueryError> {
        let one = |state: &mut State, row: &Row| {
            let (input, function) = state;
            ctx.check()?;
            input.load_row(row, grid);
            let mut notes = Annotations::new();
            let row = self.one(
                ctx,
                input,
                &mut **function,
                &row.labels,
                row.drop_name,
                &mut notes,
            )?;
            Ok((row, notes))
        };
        let results: Result<Vec<(Option<Row>, Annotations)>, QueryError> =
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
        input: &RangeInput,
        function: &mut dyn RangeFunction,
        labels: &Labels,
        drop_name: bool,
        notes: &mut Annotations,
    ) -> Result<Option<Row>, QueryError> {
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
            drop_metadata(labels)
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
        ctx.count(weights.sum as u64, 0);
        if !row.has_samples() {
            return Ok(None);
        }
        ctx.hold(row.weight())?;
        if self.def.wants_counter && !name.is_empty() {
            self.doubt_counter(ctx, (name, labels), &row, notes);
        }
        Ok(Some(row))
    }

    /// A rate of something that is not named or typed like a counter deserves a hint.
    fn doubt_counter(
        &self,
        ctx: &Context<'_>,
        (name, labels): (&str, &Labels),
        row: &Row,
        notes: &mut Annotations,
    ) {
        let kind = labels.value("__type__");
        let like_counter = if ctx.type_labels {
            matches!(kind, "counter" | "histogram")
        } else {
            ["_total", "_sum", "_count", "_bucket"]
                .iter()
                .any(|suffix| name.ends_with(suffix))
        };
        let has_floats = (0..row.values.len()).any(|i| matches!(row.cell(i), Cell::Float(_)));
        if like_counter || !has_floats {
            return;
        }
        let name = name.to_owned();
        let kind = if ctx.type_labels {
            AnnotationKind::PossibleNonCounterType(name, kind.to_owned())
        } else {
            AnnotationKind::PossibleNonCounter(name)
        };
        notes.add(kind, self.span);
    }
}

fn collect(results: Vec<(Option<Row>, Annotations)>, notes: &mut Annotations) -> Vec<Row> {
    let mut rows = Vec::with_capacity(results.len());
    for (row, own) in results {
        rows.extend(row);
        if !own.is_empty() {
            notes.merge(own);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_slider_finds_what_a_search_finds(
            distances in proptest::collection::vec(prop_oneof![6 => Just(15i64), 1 => 1i64..200], 0..80),
            (first, step, range) in (-100i64..100, 1i64..90, 1i64..300),
        ) {
            let mut t = 0;
            let times: Vec<i64> = distances.iter().map(|d| { t += d; t }).collect();
            let mut slider = Slider::default();
            for i in 0..60 {
                let until = first + i * step;
                slider.slide(&times, until - range, until);
                let index = |t| times.partition_point(|x| *x <= t);
                prop_assert_eq!((slider.start, slider.end), (index(until - range), index(until)));
            }
        }
    }
}
