//! `and`, `or`, `unless`: which samples stay depends on labels only.

use bellwether_model::Labels;
use bellwether_model::labels::METRIC_NAME;
use hashbrown::HashMap;

use crate::ast::{BinaryOp, VectorMatching};
use crate::error::QueryError;

use super::column::{Row, RowBuilder, SeriesSet};
use super::context::Context;
use super::grid::StepGrid;

/// The labels that decide whether two series match.
pub(super) fn signature(labels: &Labels, matching: &VectorMatching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    if matching.on {
        labels.filter(listed)
    } else {
        labels.filter(|name| name != METRIC_NAME && !listed(name))
    }
}

/// For each signature the steps at which any row has a sample.
struct Presence {
    index: HashMap<Labels, usize>,
    steps: Vec<Vec<bool>>,
}

impl Presence {
    fn of(rows: &[Row], matching: &VectorMatching, steps: usize) -> Self {
        let mut all = Self {
            index: HashMap::new(),
            steps: Vec::new(),
        };
        for row in rows {
            let next = all.steps.len();
            let at = *all
                .index
                .entry(signature(&row.labels, matching))
                .or_insert(next);
            if at == next {
                all.steps.push(vec![false; steps]);
            }
            for (step, present) in all.steps[at].iter_mut().enumerate() {
                *present |= row.present(step);
            }
        }
        all
    }

    fn get(&self, row: &Row, matching: &VectorMatching) -> Option<&[bool]> {
        let at = self.index.get(&signature(&row.labels, matching))?;
        Some(&self.steps[*at])
    }
}

/// The value of a set operator.
pub(super) fn eval(
    ctx: &Context<'_>,
    op: BinaryOp,
    matching: &VectorMatching,
    mut l: SeriesSet,
    mut r: SeriesSet,
    grid: StepGrid,
) -> Result<SeriesSet, QueryError> {
    let steps = grid.steps();
    if op == BinaryOp::Or {
        let left = Presence::of(&l, matching, steps);
        for row in &mut r {
            if let Some(present) = left.get(row, matching) {
                clear_where(row, |step| present[step]);
            }
        }
        r.retain(Row::has_samples);
        if grid.is_instant() && ctx.delayed_names {
            // Names may still go away: what is equal then is decided at the end.
            l.extend(r);
            return Ok(l);
        }
        return union(l, r, steps);
    }
    let right = Presence::of(&r, matching, steps);
    let stays = op == BinaryOp::And;
    for row in &mut l {
        match right.get(row, matching) {
            Some(present) => clear_where(row, |step| present[step] != stays),
            None if stays => row.values.fill(super::column::absent()),
            None => {}
        }
    }
    l.retain(Row::has_samples);
    Ok(l)
}

fn clear_where(row: &mut Row, go: impl Fn(usize) -> bool) {
    for step in 0..row.values.len() {
        if go(step) {
            row.clear(step);
        }
    }
}

/// All rows of both sides; rows of equal labels become one.
fn union(l: SeriesSet, r: SeriesSet, steps: usize) -> Result<SeriesSet, QueryError> {
    let mut out = RowBuilder::new(steps);
    for row in l.into_iter().chain(r) {
        out.absorb(row)?;
    }
    Ok(out.finish())
}
