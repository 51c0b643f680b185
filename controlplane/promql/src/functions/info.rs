//! `info`: adds the labels of info metrics (such as `target_info`) to the series of the same instance and job.

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::{Labels, MatchOp, Matcher};
use hashbrown::{HashMap, HashSet};

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::eval::column::{Cell, Row, RowBuilder, SeriesSet};
use crate::eval::selector::{Show, rows_of};
use crate::plan::{Kind, Node, Selector};

use super::Invocation;

/// The labels by which info metrics and other series belong together.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
const DEFAULT_NAME: &str = "target_info";

/// `info(v)` and `info(v, {label matchers})`
pub(super) fn info(
    inv: &Invocation<'_, '_>,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let rows = inv.rows(0, notes)?;
    let given: Vec<Matcher> = match inv.call.args.get(1).map(plain) {
        Some(Kind::Selector(s)) => s.matchers.clone(),
        _ => vec![Matcher::equal(METRIC_NAME, DEFAULT_NAME)],
    };
    let (names, data): (Vec<Matcher>, Vec<Matcher>) =
        given.into_iter().partition(|m| m.name == METRIC_NAME);
    let names = name_matchers(names)?;
    // Info metrics themselves stay as they are.
    let is_info: Vec<bool> = rows
        .iter()
        .map(|r| names.iter().all(|m| m.matches(r.labels.value(METRIC_NAME))))
        .collect();
    let infos = select(inv, &rows, &is_info, &names, &data)?;
    let infos = Infos::new(infos, inv.grid.steps())?;
    let mut out = RowBuilder::new(inv.grid.steps());
    for (row, is_info) in rows.iter().zip(is_info) {
        inv.ctx.check()?;
        for step in 0..row.values.len() {
            let Some(sample) = row.cell(step).to_sample() else {
                continue;
            };
            let labels = if is_info {
                Some(row.labels.clone())
            } else {
                infos.enrich(&row.labels, step, &data)?
            };
            if let Some(labels) = labels {
                let at = out.row(&labels, row.drop_name);
                out.put(at, step, sample)?;
            }
        }
    }
    Ok(out.finish())
}

fn plain(node: &Node) -> &Kind {
    match &node.kind {
        Kind::Invariant(inner) => plain(inner),
        kind => kind,
    }
}

/// Without a positive condition on the name, any `..._info` metric may match (or only the usual one when nothing
/// is said about names).
fn name_matchers(mut given: Vec<Matcher>) -> Result<Vec<Matcher>, QueryError> {
    if given
        .iter()
        .any(|m| matches!(m.op, MatchOp::Equal | MatchOp::Regex))
    {
        return Ok(given);
    }
    if given.is_empty() {
        return Ok(vec![Matcher::equal(METRIC_NAME, DEFAULT_NAME)]);
    }
    given.insert(0, matcher(MatchOp::Regex, METRIC_NAME, ".+_info")?);
    Ok(given)
}

fn matcher(op: MatchOp, name: &str, value: &str) -> Result<Matcher, QueryError> {
    Matcher::new(op, name, value).map_err(|e| QueryError::Execution(e.to_string()))
}

/// The selector whose time modifiers the info metrics follow: the first one in the argument.
fn first_selector(node: &Node) -> Option<(Option<i64>, i64)> {
    match &node.kind {
        Kind::Selector(s) => Some((s.at, s.offset_ms)),
        Kind::Window(w) => Some((w.selector.at, w.selector.offset_ms)),
        Kind::Subquery(s) => {
            let (at, offset) = first_selector(&s.expr)?;
            if at.is_some() {
                return Some((at, offset));
            }
            Some((s.at, offset + s.offset_ms))
        }
        Kind::Negate(inner) | Kind::Invariant(inner) => first_selector(inner),
        Kind::Chain(c) => {
            first_selector(&c.first).or_else(|| c.links.iter().find_map(|l| first_selector(&l.rhs)))
        }
        Kind::Aggregate(a) => first_selector(&a.expr),
        Kind::Call(c) => c.args.iter().find_map(first_selector),
        Kind::Number(_) | Kind::Text(_) => None,
    }
}

/// The info series that may belong to any of the rows; their values are their samples' own times.
fn select(
    inv: &Invocation<'_, '_>,
    rows: &[Row],
    is_info: &[bool],
    names: &[Matcher],
    data: &[Matcher],
) -> Result<SeriesSet, QueryError> {
    let mut matchers = Vec::new();
    for label in IDENTIFYING {
        let values: HashSet<&str> = rows
            .iter()
            .zip(is_info)
            .filter(|(_, is_info)| !**is_info)
            .map(|(r, _)| r.labels.value(label))
            .filter(|v| !v.is_empty())
            .collect();
        if values.is_empty() {
            continue;
        }
        let mut patterns: Vec<String> = values.into_iter().map(regex::escape).collect();
        patterns.sort_unstable();
        matchers.push(matcher(MatchOp::Regex, label, &patterns.join("|"))?);
    }
    if matchers.is_empty() {
        return Ok(Vec::new());
    }
    matchers.extend(data.iter().cloned());
    matchers.extend(names.iter().cloned());
    let (at, offset_ms) = first_selector(&inv.call.args[0]).unwrap_or((None, 0));
    let selector = Selector {
        matchers,
        offset_ms,
        at,
        anchored: false,
        smoothed: false,
        until: None,
        stats_only: false,
        labels: None,
    };
    let series = crate::eval::selector::select(inv.ctx, &selector)?;
    rows_of(inv.ctx, &selector, inv.grid, Show::InfoTime, &series)
}

/// Info series by name and identifying labels; per step the newest sample counts.
struct Infos {
    rows: SeriesSet,
    /// For each info metric name: identifying labels to the row that counts at each step.
    by_name: Vec<HashMap<Labels, Vec<Option<usize>>>>,
}

fn identity(labels: &Labels) -> Labels {
    labels.filter(|name| IDENTIFYING.contains(&name))
}

impl Infos {
    fn new(rows: SeriesSet, steps: usize) -> Result<Self, QueryError> {
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut by_name: Vec<HashMap<Labels, Vec<Option<usize>>>> = Vec::new();
        for (i, row) in rows.iter().enumerate() {
            let name = row.labels.value(METRIC_NAME);
            let at = *names.entry(name.to_owned()).or_insert_with(|| {
                by_name.push(HashMap::new());
                by_name.len() - 1
            });
            let newest = by_name[at]
                .entry(identity(&row.labels))
                .or_insert_with(|| vec![None; steps]);
            for (step, newest) in newest.iter_mut().enumerate() {
                let Cell::Float(time) = row.cell(step) else {
                    continue;
                };
                let Some(other) = *newest else {
                    *newest = Some(i);
                    continue;
                };
                let have = rows[other].values[step];
                if have < time {
                    *newest = Some(i);
                } else if have.to_bits() == time.to_bits() {
                    return Err(QueryError::Execution(format!(
                        "found duplicate series for info metric: existing {} @ {}, new {} @ {}",
                        rows[other].labels,
                        (have * 1000.0).round(),
                        row.labels,
                        (time * 1000.0).round()
                    )));
                }
            }
        }
        Ok(Self { rows, by_name })
    }

    /// A series' labels with those of its info metrics; `None` when a required label is missing.
    fn enrich(
        &self,
        base: &Labels,
        step: usize,
        data: &[Matcher],
    ) -> Result<Option<Labels>, QueryError> {
        let identity = identity(base);
        let mut added: HashMap<&str, &str> = HashMap::new();
        let mut found = false;
        for infos in &self.by_name {
            let Some(row) = infos.get(&identity).and_then(|steps| steps[step]) else {
                continue;
            };
            found = true;
            for label in &self.rows[row].labels {
                let wanted = data.is_empty() || data.iter().any(|m| m.name == label.name);
                if label.name == METRIC_NAME || !wanted {
                    continue;
                }
                match added.get(label.name) {
                    Some(value) if *value != label.value => {
                        return Err(QueryError::Execution(format!(
                            "conflicting label: {}",
                            label.name
                        )));
                    }
                    _ if base.get(label.name).is_some() => {}
                    _ => {
                        added.insert(label.name, label.value);
                    }
                }
            }
        }
        if !found && !data.iter().all(Matcher::matches_empty) {
            return Ok(None);
        }
        if added.is_empty() {
            return Ok(Some(base.clone()));
        }
        let mut builder = base.to_builder();
        for (name, value) in added {
            builder.set(name, value);
        }
        Ok(Some(builder.build()))
    }
}
