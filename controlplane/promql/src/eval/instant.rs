//! Aggregations of range functions at a single time, which is what rules mostly ask. The value of each series goes into
//! its group as soon as it is known, without a row of its own.

use bellwether_model::Labels;
use bellwether_model::storage::{SampleBuffer, Scan};

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::functions::{range_table, streams};
use crate::plan::{Aggregate, Kind, Selector};

use super::aggregate::Group;
use super::aggregate_histogram::Noter;
use super::column::{Row, Sample, drop_metadata, histogram_weight, is_absent, is_metadata_label};
use super::context::{Context, Done};
use super::grid::StepGrid;
use super::grouping::Numbers;
use super::memo::Memo;
use super::ranges::{Env, Job, State, Window, is_untyped};
use super::scan;
use super::selector::BATCH;
use super::sliding::{CHECK_EVERY, Slider};

/// The groups of an aggregation, `None` where this is not the way to fold it; then nothing has happened.
pub(super) fn fold(
    ctx: &Context<'_>,
    a: &Aggregate,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<Option<Vec<Group>>, QueryError> {
    let Some((job, name, selector)) = job_of(ctx, a, grid) else {
        return Ok(None);
    };
    let (mint, maxt) = job.reach(ctx, selector);
    if !scan::pays(ctx, maxt.saturating_sub(mint), 1) {
        return Ok(None);
    }
    ctx.check()?;
    ctx.check_cells(1, 1)?;
    let before = ctx.counters();
    let mut fold = Fold {
        ctx,
        a,
        name,
        state: job.fresh(),
        job,
        numbers: Numbers::new(a),
        seen: Memo::default(),
        groups: Vec::new(),
        own: Annotations::new(),
        folding: Annotations::new(),
        done: Done::default(),
    };
    let mut ended = Ok(Next::Series);
    let scan = Scan {
        matchers: &selector.matchers,
        mint,
        maxt,
        labels: selector.labels.as_deref(),
    };
    ctx.querier.scan(&scan, &mut |labels, samples| {
        ended = fold.take(labels, samples, selector);
        matches!(ended, Ok(Next::Series))
    })?;
    if let Next::OtherWay = ended? {
        ctx.go_back(&before);
        return Ok(None);
    }
    ctx.add(&fold.done)?;
    // In this order, because of equal texts the last one's place counts.
    notes.merge(fold.own);
    notes.merge(fold.folding);
    Ok(Some(fold.groups))
}

/// The call of an aggregation's operand, the name of all its series, and which these are.
fn job_of<'a>(
    ctx: &Context<'_>,
    a: &'a Aggregate,
    grid: StepGrid,
) -> Option<(Job<'a>, &'a str, &'a Selector)> {
    let described = a.grouping.iter().any(|name| is_metadata_label(name));
    let is_watched = ctx.profile.is_some() || ctx.counts_by_step();
    if grid.steps() != 1 || is_watched || ctx.delayed_names || ctx.type_labels {
        return None;
    }
    let Kind::Call(call) = &a.expr.kind else {
        return None;
    };
    let [arg] = call.args.as_slice() else {
        return None;
    };
    let Kind::Window(window) = &arg.kind else {
        return None;
    };
    let selector = &window.selector;
    let name = selector.one_name()?;
    let def = range_table::find(call.func.name)?;
    let is_plain = !selector.anchored && !selector.smoothed && !def.keeps_name;
    if described || !is_plain || !streams(call) {
        return None;
    }
    let job = Job::of_window(def, window, arg.span, grid);
    Some((job, name, selector))
}

/// What comes after a series.
enum Next {
    Series,
    /// A series has a type or a unit. Without them it may equal another one, which rows are checked for.
    OtherWay,
}

/// An aggregation on its way.
struct Fold<'a, 'q> {
    ctx: &'a Context<'q>,
    a: &'a Aggregate,
    name: &'a str,
    job: Job<'a>,
    state: State,
    numbers: Numbers<'a>,
    /// The groups of label sets; none of one that is typed.
    seen: Memo<Option<usize>>,
    groups: Vec<Group>,
    /// What the function and what the aggregation has to say.
    own: Annotations,
    folding: Annotations,
    done: Done,
}

impl Fold<'_, '_> {
    fn take(
        &mut self,
        labels: &Labels,
        samples: &mut SampleBuffer,
        selector: &Selector,
    ) -> Result<Next, QueryError> {
        self.done.series += 1;
        if self.done.series == BATCH as u64 {
            self.ctx.check()?;
            self.ctx.add(&std::mem::take(&mut self.done))?;
        }
        let input = &mut self.state.input;
        input.take(samples, selector);
        if !self.ctx.start_timestamps {
            input.forget_starts();
        }
        if input.is_empty() {
            return Ok(Next::Series);
        }
        match self.value()? {
            Some(sample) => Ok(self.add(labels, sample)),
            None => Ok(Next::Series),
        }
    }

    /// The function's value for the series whose samples are in the state.
    fn value(&mut self) -> Result<Option<Sample>, QueryError> {
        let State {
            input, function, ..
        } = &mut self.state;
        let t = self.job.grid.start;
        let end = self.job.data_time(t);
        let start = end.saturating_sub(self.job.range_ms);
        let (mut f, mut h) = (Slider::default(), Slider::default());
        f.slide(&input.float_times, start, end);
        h.slide(&input.histogram_times, start, end);
        let heaviest = input.histograms.iter().map(|h| histogram_weight(h)).max();
        let widest = (f.end - f.start) + (h.end - h.start) * heaviest.unwrap_or(0);
        if widest == 0 {
            return Ok(None);
        }
        if widest >= CHECK_EVERY {
            self.ctx.check()?;
        }
        function.begin(input);
        let window = Window {
            input,
            f: f.start..f.end,
            h: h.start..h.end,
            t,
            start,
            end,
            anchored: false,
            smoothed: false,
        };
        let mut env = Env {
            args: &[],
            name: self.name,
            span: self.job.span,
            first_span: self.job.first_span,
            notes: &mut self.own,
        };
        let value = function.eval(&window, &mut env)?;
        let value = value.filter(|v| !matches!(v, Sample::Float(v) if is_absent(*v)));
        let weight = match &value {
            Some(Sample::Float(_)) => 1,
            Some(Sample::Histogram(h)) => histogram_weight(h),
            None => 0,
        };
        self.done.total += widest as u64;
        self.done.hold(weight, widest);
        Ok(value)
    }

    /// Folds a value into the group of its series.
    fn add(&mut self, labels: &Labels, sample: Sample) -> Next {
        let Self {
            a,
            numbers,
            seen,
            groups,
            ..
        } = self;
        let found = seen.get(labels, |labels| {
            let (at, new) = is_untyped(labels).then(|| numbers.find(labels))?;
            groups.extend(new.map(|labels| Group::new(labels, a.op, 1)));
            Some(at)
        });
        let Some(at) = found else {
            return Next::OtherWay;
        };
        let group = &mut self.groups[at];
        if let Sample::Float(v) = &sample {
            if self.job.wants_counter() {
                self.job
                    .doubt_counter(self.ctx, (self.name, labels), &mut self.own);
            }
            if group.add_floats(&[*v]) {
                return Next::Series;
            }
        }
        let mut row = Row::empty(drop_metadata(labels), 1);
        row.drop_name = true;
        row.set(0, sample);
        let mut noter = Noter {
            span: self.a.expr.span,
            notes: &mut self.folding,
        };
        group.add(&row, &mut noter);
        Next::Series
    }
}
