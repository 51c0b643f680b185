//! Common sub-expressions: what stands in a query more than once is evaluated once.
//!
//! Before the evaluation, [`Sharing::of`] numbers the nodes of a plan by what they compute, places in the text left
//! aside, and counts how often each number is wanted on each grid. The first evaluation of one that is wanted again
//! leaves a copy behind, with everything else that evaluating it did: annotations, statistics, and how many samples it
//! held at its peak. The limits and the statistics of a query are therefore what they are without sharing, and
//! annotations name the place of their own occurrence.
//!
//! Operands that an aggregation takes series by series are not shared: they would have to be held whole.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use hashbrown::HashMap;

use crate::annotations::Annotations;
use crate::ast::Span;
use crate::error::QueryError;
use crate::plan::{Kind, Node, Selector};

use super::column::{Row, SeriesSet};
use super::context::{Context, Work};
use super::grid::StepGrid;
use super::{eval_node, streams};

/// What a plan computes more than once.
#[derive(Default)]
pub(crate) struct Sharing {
    /// The numbers of nodes, by their address: a plan does not move while it is evaluated.
    numbers: HashMap<usize, u32>,
    values: Mutex<HashMap<(u32, StepGrid), Slot>>,
}

struct Slot {
    /// Occurrences that were not evaluated yet.
    left: usize,
    value: Option<Value>,
}

struct Value {
    rows: SeriesSet,
    notes: Annotations,
    /// The places of the nodes that the annotations may name.
    spans: Vec<Span>,
    work: Work,
}

impl Sharing {
    /// What a plan computes more than once on the same grid.
    pub(super) fn of(plan: &Node, grid: StepGrid) -> Self {
        // Most plans look at one thing only, which takes no names to find out.
        if selectors(plan) < 2 {
            return Self::default();
        }
        let mut numbering = Numbering::default();
        numbering.number(plan);
        // Each distinct selector has one number; without a second look at any of them nothing can be shared.
        if numbering.selectors == numbering.distinct_selectors {
            return Self::default();
        }
        let mut wanted = HashMap::new();
        count(plan, grid, &numbering.of_node, &mut wanted);
        wanted.retain(|_, left| *left > 1);
        if wanted.is_empty() {
            return Self::default();
        }
        let slots = wanted
            .into_iter()
            .map(|(key, left)| (key, Slot { left, value: None }));
        Self {
            values: Mutex::new(slots.collect()),
            numbers: numbering.of_node,
        }
    }

    fn key(&self, node: &Node, grid: StepGrid) -> Option<(u32, StepGrid)> {
        if self.numbers.is_empty() {
            return None;
        }
        let number = self.numbers.get(&address(node))?;
        Some((*number, grid))
    }
}

/// Evaluates a node or takes the value of an equal one.
pub(super) fn eval(
    ctx: &Context<'_>,
    node: &Node,
    grid: StepGrid,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    let Some(key) = ctx.sharing.key(node, grid) else {
        return eval_node(ctx, node, grid, notes);
    };
    let values = || {
        let values = ctx.sharing.values.lock();
        values.unwrap_or_else(PoisonError::into_inner)
    };
    let mut slots = values();
    let Some(slot) = slots.get_mut(&key) else {
        drop(slots);
        return eval_node(ctx, node, grid, notes);
    };
    slot.left = slot.left.saturating_sub(1);
    if slot.left == 0
        && let Some(value) = slot.value.take()
    {
        drop(slots);
        return again(
            ctx,
            node,
            value.rows,
            &value.notes,
            &value.spans,
            value.work,
            notes,
        );
    }
    if let Some(value) = &slot.value {
        let rows = value.rows.clone();
        return again(
            ctx,
            node,
            rows,
            &value.notes,
            &value.spans,
            value.work,
            notes,
        );
    }
    drop(slots);
    let mut own = Annotations::new();
    let (rows, work) = ctx.measured(|| eval_node(ctx, node, grid, &mut own))?;
    notes.merge(own.clone());
    let mut slots = values();
    if let Some(slot) = slots.get_mut(&key)
        && slot.left > 0
    {
        slot.value = Some(Value {
            rows: rows.clone(),
            notes: own,
            spans: spans(node),
            work,
        });
    }
    Ok(rows)
}

/// Does to the query what another evaluation would do.
fn again(
    ctx: &Context<'_>,
    node: &Node,
    rows: Vec<Row>,
    told: &Annotations,
    places: &[Span],
    work: Work,
    notes: &mut Annotations,
) -> Result<SeriesSet, QueryError> {
    if !told.is_empty() {
        let here = spans(node);
        notes.merge(told.moved(|span| {
            let at = places.iter().position(|place| *place == span);
            at.and_then(|at| here.get(at)).copied().unwrap_or(span)
        }));
    }
    ctx.repeat(work)?;
    Ok(rows)
}

/// Counts how often each number is evaluated on each grid. Occurrences after the first are not looked into: they will
/// not be evaluated.
fn count(
    node: &Node,
    grid: StepGrid,
    numbers: &HashMap<usize, u32>,
    wanted: &mut HashMap<(u32, StepGrid), usize>,
) {
    if may_share(node)
        && let Some(number) = numbers.get(&address(node))
    {
        let uses = wanted.entry((*number, grid)).or_default();
        *uses += 1;
        if *uses > 1 {
            return;
        }
    }
    match &node.kind {
        // Its operand is not evaluated by itself when it streams.
        Kind::Aggregate(a) => {
            a.param.iter().for_each(|p| count(p, grid, numbers, wanted));
            if streams(&a.expr) {
                for below in children(&a.expr) {
                    count(below, grid, numbers, wanted);
                }
            } else {
                count(&a.expr, grid, numbers, wanted);
            }
        }
        Kind::Subquery(s) => count(&s.expr, s.grid(grid), numbers, wanted),
        Kind::Invariant(inner) => count(inner, grid.first_only(), numbers, wanted),
        _ => children(node)
            .into_iter()
            .for_each(|below| count(below, grid, numbers, wanted)),
    }
}

/// Whether evaluating a node costs more than copying its value.
fn may_share(node: &Node) -> bool {
    matches!(
        node.kind,
        Kind::Selector(_) | Kind::Negate(_) | Kind::Chain(_) | Kind::Aggregate(_) | Kind::Call(_)
    )
}

/// The number of selectors in a plan.
fn selectors(node: &Node) -> usize {
    match &node.kind {
        Kind::Selector(_) | Kind::Window(_) => 1,
        _ => children(node).into_iter().map(selectors).sum(),
    }
}

fn address(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

/// The nodes directly below one.
fn children(node: &Node) -> Vec<&Node> {
    match &node.kind {
        Kind::Number(_) | Kind::Text(_) | Kind::Selector(_) | Kind::Window(_) => Vec::new(),
        Kind::Subquery(s) => vec![&s.expr],
        Kind::Negate(inner) | Kind::Invariant(inner) => vec![inner],
        Kind::Chain(c) => std::iter::once(&c.first)
            .chain(c.links.iter().map(|link| &link.rhs))
            .collect(),
        Kind::Aggregate(a) => a.param.iter().chain([&a.expr]).collect(),
        Kind::Call(c) => c.args.iter().collect(),
    }
}

/// The places of a node and of all below it; equal nodes have them in the same order.
fn spans(node: &Node) -> Vec<Span> {
    let mut all = vec![node.span];
    if let Kind::Chain(c) = &node.kind {
        all.extend(c.links.iter().map(|link| link.span));
    }
    for below in children(node) {
        all.extend(spans(below));
    }
    all
}

/// Gives equal nodes equal numbers.
#[derive(Default)]
struct Numbering {
    of_node: HashMap<usize, u32>,
    of_text: HashMap<String, u32>,
    selectors: usize,
    distinct_selectors: usize,
}

impl Numbering {
    fn number(&mut self, node: &Node) -> u32 {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.describe(node, &mut text);
        for below in children(node) {
            let number = self.number(below);
            let _ = write!(text, "#{number}");
        }
        let next = self.of_text.len() as u32;
        let selects = matches!(node.kind, Kind::Selector(_) | Kind::Window(_));
        self.selectors += usize::from(selects);
        let number = *self.of_text.entry(text).or_insert_with(|| {
            self.distinct_selectors += usize::from(selects);
            next
        });
        self.of_node.insert(address(node), number);
        number
    }

    /// What tells a node from others with the same nodes below it.
    fn describe(&self, node: &Node, out: &mut String) -> std::fmt::Result {
        match &node.kind {
            Kind::Number(v) => write!(out, "number {}", v.to_bits()),
            Kind::Text(s) => write!(out, "text {s:?}"),
            Kind::Selector(s) => selector(out, s),
            Kind::Window(w) => {
                write!(out, "window {} ", w.range_ms)?;
                selector(out, &w.selector)
            }
            Kind::Subquery(s) => write!(
                out,
                "subquery {} {} {} {:?}",
                s.range_ms, s.step_ms, s.offset_ms, s.at
            ),
            Kind::Negate(_) => write!(out, "negate"),
            Kind::Chain(c) => c.links.iter().try_for_each(|link| {
                write!(
                    out,
                    "{:?} {} {:?};",
                    link.op, link.return_bool, link.matching
                )
            }),
            Kind::Aggregate(a) => write!(
                out,
                "aggregate {:?} {} {:?} {}",
                a.op,
                a.without,
                a.grouping,
                a.param.is_some()
            ),
            Kind::Call(c) => write!(out, "call {}", c.func.name),
            Kind::Invariant(_) => write!(out, "invariant"),
        }
    }
}

fn selector(out: &mut String, s: &Selector) -> std::fmt::Result {
    write!(
        out,
        "selector {} {:?} {:?} {} {} {} {:?}",
        s.offset_ms, s.at, s.until, s.anchored, s.smoothed, s.stats_only, s.labels
    )?;
    s.matchers
        .iter()
        .try_for_each(|m| write!(out, ",{:?} {:?} {:?}", m.name, m.op, m.value))
}
