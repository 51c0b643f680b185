//! `absent` and `absent_over_time`.

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::{Labels, LabelsBuilder, MatchOp, Matcher};
use hashbrown::HashSet;

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::eval::column::{Row, SeriesSet, absent as nothing};
use crate::eval::range_call;
use crate::plan::{Kind, Node};

use super::{Invocation, range_table};

/// The labels that a selector fixes by equality. A label named twice is left out, as a rule: `x{a=~"b",a="c"}` fixes
/// it. Matchers that only take series away come last, which is the order in which Prometheus' storage leaves them.
fn fixed_labels(node: &Node) -> Labels {
    let matchers = match &node.kind {
        Kind::Selector(s) => &s.matchers,
        Kind::Window(w) => &w.selector.matchers,
        Kind::Invariant(inner) => return fixed_labels(inner),
        _ => return Labels::empty(),
    };
    let mut builder = LabelsBuilder::default();
    let mut seen = HashSet::new();
    let takes_away = |m: &&Matcher| {
        let must_be_set = matchers
            .iter()
            .any(|other| other.name == m.name && !other.matches_empty());
        !must_be_set || (matches!(m.op, MatchOp::NotEqual | MatchOp::NotRegex) && m.matches_empty())
    };
    let (last, first): (Vec<&Matcher>, Vec<&Matcher>) = matchers
        .iter()
        .filter(|m| m.name != METRIC_NAME)
        .partition(takes_away);
    for m in first.into_iter().chain(last) {
        if m.op == MatchOp::Equal && seen.insert(m.name.as_str()) {
            builder.set(&m.name, &m.value);
        } else {
            builder.remove(&m.name);
        }
    }
    builder.build()
}

/// One row with 1 where nothing was present.
fn gaps(labels: Labels, present: &[bool]) -> SeriesSet {
    let values = present
        .iter()
        .map(|p| if *p { nothing() } else { 1.0 })
        .collect();
    let row = Row::floats(labels, values);
    if row.has_samples() {
        vec![row]
    } else {
        Vec::new()
    }
}

fn mark(present: &mut [bool], rows: &[Row]) {
    for row in rows {
        for (step, p) in present.iter_mut().enumerate() {
            *p |= row.present(step);
        }
    }
}

/// `absent(v)`
pub(super) fn absent(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let mut present = vec![false; inv.grid.steps()];
    mark(&mut present, &inv.rows(0, notes)?);
    Ok(gaps(fixed_labels(&inv.call.args[0]), &present))
}

/// `absent_over_time(m)`
pub(super) fn over_time(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let mut present = vec![false; inv.grid.steps()];
    // Any function that has a value for every window that is not empty does; the presence of a name does
    // not matter here, so equal label sets must not be an error.
    let Some(def) = range_table::find("last_over_time") else {
        return Ok(Vec::new());
    };
    range_call(inv.ctx, def, inv.call, inv.grid, notes, &mut |rows, _| {
        mark(&mut present, &rows);
        Ok(())
    })?;
    let mut rows = gaps(fixed_labels(&inv.call.args[0]), &present);
    for row in &mut rows {
        row.drop_name = true;
    }
    Ok(rows)
}
