//! Arithmetic and comparison between vectors: series pair up by labels.

use bellwether_model::Labels;
use hashbrown::{HashMap, HashSet};

use crate::annotations::{AnnotationKind, Annotations};
use crate::ast::{Cardinality, VectorMatching};
use crate::error::QueryError;
use crate::plan::Link;

use super::column::{Cell, Row, RowBuilder, Sample, SeriesSet, absent, drop_metadata, is_absent};
use super::context::Context;
use super::element::{apply, arithmetic, changes_metric, compare};
use super::grid::StepGrid;
use super::set_ops::signature;

/// The rows of one match group.
struct MatchGroup {
    signature: Labels,
    many: Vec<usize>,
    one: Vec<usize>,
}

/// A pairing that produces a result row.
struct Pairing {
    /// `None` on a side whose missing samples are filled.
    many: Option<usize>,
    one: Option<usize>,
    out: usize,
}

/// When upstream looks at a pair: first all samples of the "many" side in their order, then those of the "one" side
/// that found no partner.
type Turn = (bool, Option<usize>);

struct Matcher<'a> {
    b: &'a Link,
    matching: &'a VectorMatching,
    /// The sides are exchanged, so that the "one" side is always the second.
    swapped: bool,
    many: &'a [Row],
    one: &'a [Row],
    steps: usize,
    delayed: bool,
    /// Results of several groups stay apart even if their labels are equal: names may still go away, and what is equal then is decided at the end.
    apart: bool,
    out: RowBuilder,
    /// The last problem of each step; earlier ones are forgotten, as upstream.
    problems: Vec<Option<(Turn, AnnotationKind)>>,
    /// Whether plain groups may be matched column by column.
    plain: bool,
}

/// The value of a binary operator between vectors.
#[allow(clippy::too_many_arguments)]
pub(super) fn eval(
    ctx: &Context<'_>,
    b: &Link,
    matching: &VectorMatching,
    l: &[Row],
    r: &[Row],
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let swapped = matching.card == Cardinality::OneToMany;
    let (many, one) = if swapped { (r, l) } else { (l, r) };
    let mut groups: Vec<MatchGroup> = Vec::new();
    let mut index: HashMap<Labels, usize> = HashMap::new();
    for (rows, is_many) in [(many, true), (one, false)] {
        for (i, row) in rows.iter().enumerate() {
            let signature = signature(&row.labels, matching);
            let next = groups.len();
            let at = *index.entry(signature.clone()).or_insert(next);
            if at == next {
                groups.push(MatchGroup {
                    signature,
                    many: Vec::new(),
                    one: Vec::new(),
                });
            }
            let group = &mut groups[at];
            if is_many {
                group.many.push(i);
            } else {
                group.one.push(i);
            }
        }
    }
    let steps = grid.steps();
    let mut matcher = Matcher {
        b,
        matching,
        swapped,
        many,
        one,
        steps,
        delayed: ctx.delayed_names,
        apart: ctx.delayed_names && grid.is_instant(),
        out: RowBuilder::new(steps),
        problems: vec![None; steps],
        plain: true,
    };
    let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
    // Steps at which nothing can match are not even checked for ambiguity.
    let skip: Vec<bool> = (0..steps)
        .map(|step| {
            let any = |rows: &[Row]| rows.iter().any(|r| r.present(step));
            !fills && (!any(many) || !any(one))
        })
        .collect();
    for group in &groups {
        ctx.check()?;
        if let Err(error) = matcher.group(group, &skip) {
            return Err(matcher.first_error(&groups, &skip).unwrap_or(error));
        }
    }
    for (_, kind) in matcher.problems.drain(..).flatten() {
        notes.add(kind, b.span);
    }
    Ok(matcher.out.finish())
}

impl Matcher<'_> {
    fn group(&mut self, group: &MatchGroup, skip: &[bool]) -> Result<(), QueryError> {
        if self.apart {
            self.out.begin_apart();
        }
        let owner = self.owners(group, skip)?;
        // What each side gets where the other has no sample. After an exchange of sides the names stay: the
        // fill of the right side is that of the "one" side.
        let (fill_many, fill_one) = (self.matching.fill_left, self.matching.fill_right);
        if (group.many.is_empty() && fill_many.is_none())
            || (group.one.is_empty() && fill_one.is_none())
        {
            return Ok(());
        }
        if self.plain && self.plain_group(group)? {
            return Ok(());
        }
        let mut pairings: HashMap<(Option<usize>, Option<usize>), usize> = HashMap::new();
        let mut claims: Claims = Claims::new(self.steps);
        let mut matched = vec![false; self.steps];
        for &m in &group.many {
            let mut last: Option<Pairing> = None;
            for step in 0..self.steps {
                if skip[step] || !self.many[m].present(step) {
                    continue;
                }
                let one = owner.as_ref().map_or_else(
                    || {
                        group
                            .one
                            .first()
                            .copied()
                            .filter(|&o| self.one[o].present(step))
                    },
                    |owner| owner[step],
                );
                if one.is_none() && fill_one.is_none() {
                    continue;
                }
                // From step to step the pairing seldom changes.
                if last.as_ref().is_none_or(|p| p.one != one) {
                    last = Some(self.pairing(&mut pairings, group, Some(m), one));
                }
                let Some(pairing) = &last else {
                    continue;
                };
                self.element(
                    pairing,
                    step,
                    (fill_many, fill_one),
                    &mut claims,
                    &mut matched,
                )?;
            }
        }
        if fill_many.is_some() {
            for &o in &group.one {
                for step in 0..self.steps {
                    if skip[step] || matched[step] || !self.one[o].present(step) {
                        continue;
                    }
                    let pairing = self.pairing(&mut pairings, group, None, Some(o));
                    self.element(
                        &pairing,
                        step,
                        (fill_many, fill_one),
                        &mut claims,
                        &mut matched,
                    )?;
                }
            }
        }
        Ok(())
    }

    /// The common case: floats on both sides, one series on the "one" side, and a result row for each of the others.
    /// Nothing can match twice then. False where it is another case; nothing is done yet.
    fn plain_group(&mut self, group: &MatchGroup) -> Result<bool, QueryError> {
        let fills = self.matching.fill_left.is_some() || self.matching.fill_right.is_some();
        let [o] = group.one[..] else {
            return Ok(false);
        };
        let (many, one) = (self.many, &self.one[o]);
        let one_to_one = self.matching.card == Cardinality::OneToOne;
        let floats = |m: &usize| many[*m].histograms.is_none();
        let op = self.b.op;
        if fills
            || !(changes_metric(op) || op.is_comparison())
            || (one_to_one && group.many.len() > 1)
            || one.histograms.is_some()
            || !group.many.iter().all(floats)
        {
            return Ok(false);
        }
        let mut results: Vec<(Labels, usize)> = Vec::with_capacity(group.many.len());
        for &m in &group.many {
            let labels = self.result_labels(&many[m].labels, &one.labels);
            if self.out.has(&labels) {
                return Ok(false);
            }
            results.push((labels, m));
        }
        if results.len() > 1 {
            let distinct: HashSet<&Labels> = results.iter().map(|(labels, _)| labels).collect();
            if distinct.len() < results.len() {
                return Ok(false);
            }
        }
        for (labels, m) in results {
            let mut row = Row::floats(labels, self.floats(&many[m].values, &one.values));
            row.drop_name = self.b.return_bool;
            if row.has_samples() {
                self.out.absorb(row)?;
            }
        }
        Ok(true)
    }

    /// The operator on columns of floats.
    fn floats(&self, many: &[f64], one: &[f64]) -> Vec<f64> {
        let (op, swapped, return_bool) = (self.b.op, self.swapped, self.b.return_bool);
        let cell = |(&m, &o): (&f64, &f64)| {
            if is_absent(m) || is_absent(o) {
                return absent();
            }
            let (l, r) = if swapped { (o, m) } else { (m, o) };
            match (arithmetic(op, l, r), compare(op, l, r)) {
                // `bool` is for comparisons, but arithmetic takes it as always true.
                (Some(_), _) if return_bool => 1.0,
                (Some(v), _) => v,
                (_, Some(holds)) if return_bool => f64::from(holds),
                (_, Some(true)) => l,
                _ => absent(),
            }
        };
        many.iter().zip(one).map(cell).collect()
    }

    /// Of several errors that which the first step has, where ambiguous series on the "one" side come before
    /// matches of several series: groups are looked at for all steps, one after the other.
    fn first_error(&mut self, groups: &[MatchGroup], skip: &[bool]) -> Option<QueryError> {
        // Whole columns would tell of other steps too.
        self.plain = false;
        for step in (0..self.steps).filter(|step| !skip[*step]) {
            let duplicate = groups.iter().filter_map(|group| {
                let mut present = group.one.iter().filter(|o| self.one[**o].present(step));
                let (first, second) = (present.next()?, present.next()?);
                Some((*second, self.duplicate(group, *second, *first)))
            });
            if let Some((_, error)) = duplicate.min_by_key(|(at, _)| *at) {
                return Some(error);
            }
            let only: Vec<bool> = (0..self.steps).map(|s| s != step).collect();
            self.out = RowBuilder::new(self.steps);
            for group in groups {
                if let Err(error) = self.group(group, &only) {
                    return Some(error);
                }
            }
        }
        None
    }

    /// With several series on the "one" side: which of them has the sample at each step.
    fn owners(
        &self,
        group: &MatchGroup,
        skip: &[bool],
    ) -> Result<Option<Vec<Option<usize>>>, QueryError> {
        if group.one.len() < 2 {
            return Ok(None);
        }
        let mut owner = vec![None; self.steps];
        for &o in &group.one {
            for (step, owner) in owner.iter_mut().enumerate() {
                if skip[step] || !self.one[o].present(step) {
                    continue;
                }
                if let Some(other) = owner.replace(o) {
                    return Err(self.duplicate(group, o, other));
                }
            }
        }
        Ok(Some(owner))
    }

    fn duplicate(&self, group: &MatchGroup, a: usize, b: usize) -> QueryError {
        let mut texts = [a, b].map(|i| self.one[i].labels.to_string());
        texts.sort();
        let side = if self.swapped { "left" } else { "right" };
        QueryError::Execution(format!(
            "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            group.signature, texts[0], texts[1]
        ))
    }

    fn pairing(
        &mut self,
        known: &mut HashMap<(Option<usize>, Option<usize>), usize>,
        group: &MatchGroup,
        many: Option<usize>,
        one: Option<usize>,
    ) -> Pairing {
        let out = match known.get(&(many, one)) {
            Some(out) => *out,
            None => {
                let m = many.map_or(&group.signature, |i| &self.many[i].labels);
                let o = one.map_or(&group.signature, |i| &self.one[i].labels);
                let labels = self.result_labels(m, o);
                let out = self.out.row(&labels, self.b.return_bool);
                known.insert((many, one), out);
                out
            }
        };
        Pairing { many, one, out }
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Labels {
        let drop = changes_metric(self.b.op) || (self.b.return_bool && !self.delayed);
        let base = if drop {
            drop_metadata(many)
        } else {
            many.clone()
        };
        let listed = |name: &str| self.matching.labels.iter().any(|l| l == name);
        let base = match self.matching.card {
            Cardinality::OneToOne if self.matching.on => base.filter(listed),
            Cardinality::OneToOne => base.filter(|name| !listed(name)),
            _ => base,
        };
        if self.matching.include.is_empty() {
            return base;
        }
        let mut builder = base.to_builder();
        for name in &self.matching.include {
            builder.set(name, one.value(name));
        }
        builder.build()
    }

    /// Keeps a problem unless there is one of a later turn; groups are looked at one after the other.
    fn problem(&mut self, step: usize, turn: Turn, kind: AnnotationKind) {
        let kept = &mut self.problems[step];
        if kept.as_ref().is_none_or(|(known, _)| *known <= turn) {
            *kept = Some((turn, kind));
        }
    }

    fn element(
        &mut self,
        p: &Pairing,
        step: usize,
        (fill_many, fill_one): (Option<f64>, Option<f64>),
        claims: &mut Claims,
        matched: &mut [bool],
    ) -> Result<(), QueryError> {
        let cell = |rows: &'_ [Row], at: Option<usize>, fill: Option<f64>| -> Option<Sample> {
            match at {
                Some(i) => rows[i].cell(step).to_sample(),
                None => fill.map(Sample::Float),
            }
        };
        let (many, one) = (
            cell(self.many, p.many, fill_many),
            cell(self.one, p.one, fill_one),
        );
        let (Some(many), Some(one)) = (many, one) else {
            return Ok(());
        };
        let (l, r) = if self.swapped {
            (&one, &many)
        } else {
            (&many, &one)
        };
        let outcome = apply(self.b.op, as_cell(l), as_cell(r));
        let turn = (p.many.is_none(), p.many.or(p.one));
        if let Some(problem) = outcome.problem {
            self.problem(step, turn, problem);
            return Ok(());
        }
        if let Some(info) = outcome.info {
            self.problem(step, turn, info);
        }
        if self.matching.card == Cardinality::OneToOne {
            if matched[step] {
                return Err(QueryError::Execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)".to_owned(),
                ));
            }
        } else if !claims.claim(p.out, step) {
            return Err(QueryError::Execution(
                "multiple matches for labels: grouping labels must ensure unique matches"
                    .to_owned(),
            ));
        }
        matched[step] = true;
        if self.b.return_bool {
            return self
                .out
                .put(p.out, step, Sample::Float(f64::from(outcome.keep)));
        }
        match outcome.sample {
            Some(sample) if outcome.keep => self.out.put(p.out, step, sample),
            _ => Ok(()),
        }
    }
}

fn as_cell(sample: &Sample) -> Cell<'_> {
    match sample {
        Sample::Float(v) => Cell::Float(*v),
        Sample::Histogram(h) => Cell::Histogram(h),
    }
}

/// Which result rows of a group got a match at which step, whether or not it passed a comparison.
struct Claims {
    steps: usize,
    rows: HashMap<usize, Vec<bool>>,
}

impl Claims {
    fn new(steps: usize) -> Self {
        Self {
            steps,
            rows: HashMap::new(),
        }
    }

    /// False when it was claimed before.
    fn claim(&mut self, row: usize, step: usize) -> bool {
        let claimed = self
            .rows
            .entry(row)
            .or_insert_with(|| vec![false; self.steps]);
        !std::mem::replace(&mut claimed[step], true)
    }
}
