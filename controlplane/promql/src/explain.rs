//! What the engine does with a query: the planned nodes, and what each of them cost.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bellwether_model::storage::Queryable;
use bellwether_model::{MatchOp, Matcher, duration};
use hashbrown::HashMap;

use crate::ast::{BinaryOp, Expr, Span};
use crate::engine::{Engine, QueryOptions, QueryResult};
use crate::error::QueryError;
use crate::eval::column::Row;
use crate::eval::grid::StepGrid;
use crate::plan::{Aggregate, Kind, Link, Node, Selector, Subquery};

/// When a query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryTimes {
    /// Once, at a time in milliseconds since the epoch.
    Instant(i64),
    /// At `start, start + step, ... <= end`, all in milliseconds; the step is positive.
    Range {
        /// First time.
        start: i64,
        /// No evaluation after this time.
        end: i64,
        /// Distance.
        step: i64,
    },
}

impl QueryTimes {
    pub(crate) fn grid(self) -> StepGrid {
        match self {
            Self::Instant(t) => StepGrid::instant(t),
            Self::Range { start, end, step } => StepGrid::range(start, end, step),
        }
    }
}

/// What a node cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCost {
    /// Time, that of the nodes below included. Zero for a window, whose work is its function's.
    pub time: Duration,
    /// Series that came out; of a window those that were selected.
    pub series: u64,
    /// Samples that came out; of a window those that its function looked at, counted per step. A native histogram counts
    /// by its size.
    pub samples: u64,
}

/// A node of a plan. Nodes come in the order of a walk from the top, each before those below it.
#[derive(Clone, Debug)]
pub struct PlanNode {
    /// Nodes above it.
    pub depth: usize,
    /// What it does.
    pub text: String,
    /// The place in the query that it came from.
    pub span: Span,
    /// How often it is evaluated; nodes whose value is always the same only once.
    pub steps: usize,
    /// What it cost; `None` before the query ran and for nodes that never ran by themselves.
    pub cost: Option<NodeCost>,
}

/// Collects costs while a query runs. Nodes are known by their address: the plan does not move meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Profile(Mutex<HashMap<usize, NodeCost>>);

impl Profile {
    fn key(node: &Node) -> usize {
        std::ptr::from_ref(node).addr()
    }

    pub(crate) fn add(&self, node: &Node, cost: NodeCost) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = all.entry(Self::key(node)).or_default();
        sum.time += cost.time;
        sum.series += cost.series;
        sum.samples += cost.samples;
    }

    fn get(&self, node: &Node) -> Option<NodeCost> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&Self::key(node)).copied()
    }
}

/// The cost of rows that took some time.
pub(crate) fn cost_of(rows: &[Row], start: Instant) -> NodeCost {
    NodeCost {
        time: start.elapsed(),
        series: rows.len() as u64,
        samples: rows.iter().map(|r| r.weight() as u64).sum(),
    }
}

impl Engine {
    /// The plan of an expression, without running it.
    ///
    /// # Errors
    /// When duration arithmetic has no valid result.
    pub fn explain(&self, expr: &Expr, times: QueryTimes) -> Result<Vec<PlanNode>, QueryError> {
        let plan = self.plan(expr, times)?;
        Ok(nodes(&plan, times.grid(), None))
    }

    /// Runs an expression and says what each node cost. The result is that of [`Engine::instant`] or [`Engine::range`].
    ///
    /// # Errors
    /// As [`Engine::instant`] and [`Engine::range`].
    pub fn analyze(
        &self,
        queryable: &dyn Queryable,
        expr: &Expr,
        times: QueryTimes,
        options: &QueryOptions,
    ) -> Result<(Vec<PlanNode>, QueryResult), QueryError> {
        let plan = self.plan(expr, times)?;
        let profile = Profile::default();
        let result = self.evaluate(queryable, &plan, times, options, Some(&profile))?;
        Ok((nodes(&plan, times.grid(), Some(&profile)), result))
    }
}

fn nodes(plan: &Node, grid: StepGrid, profile: Option<&Profile>) -> Vec<PlanNode> {
    let mut walk = Walk {
        profile,
        out: Vec::new(),
    };
    walk.node(plan, grid, 0);
    walk.out
}

struct Walk<'a> {
    profile: Option<&'a Profile>,
    out: Vec<PlanNode>,
}

impl Walk<'_> {
    fn push(&mut self, node: &Node, grid: StepGrid, depth: usize, text: String) {
        self.out.push(PlanNode {
            depth,
            text,
            span: node.span,
            steps: grid.steps(),
            cost: self.profile.and_then(|p| p.get(node)),
        });
    }

    fn node(&mut self, node: &Node, grid: StepGrid, depth: usize) {
        match &node.kind {
            Kind::Number(v) => {
                let text = bellwether_model::float::shortest_g(*v);
                self.push(node, grid, depth, text);
            }
            Kind::Text(s) => self.push(node, grid, depth, s.quoted()),
            Kind::Selector(s) => self.push(node, grid, depth, format!("select {}", selector(s))),
            Kind::Window(w) => {
                let range = duration::format_millis(w.range_ms);
                let text = format!("window [{range}] of {}", selector(&w.selector));
                self.push(node, grid, depth, text);
            }
            Kind::Subquery(s) => {
                self.push(node, grid, depth, subquery(s));
                self.node(&s.expr, s.grid(grid), depth + 1);
            }
            Kind::Negate(inner) => {
                self.push(node, grid, depth, "negate".to_owned());
                self.node(inner, grid, depth + 1);
            }
            Kind::Invariant(inner) => {
                self.push(node, grid, depth, "the same at every step".to_owned());
                self.node(inner, grid.first_only(), depth + 1);
            }
            Kind::Chain(c) => {
                let ops: Vec<String> = c.links.iter().map(link).collect();
                self.push(node, grid, depth, ops.join(", then "));
                self.node(&c.first, grid, depth + 1);
                for link in &c.links {
                    self.node(&link.rhs, grid, depth + 1);
                }
            }
            Kind::Aggregate(a) => {
                self.push(node, grid, depth, aggregate(a));
                if let Some(param) = &a.param {
                    self.node(param, grid, depth + 1);
                }
                self.node(&a.expr, grid, depth + 1);
            }
            Kind::Call(c) => {
                self.push(node, grid, depth, format!("{}()", c.func.name));
                for arg in &c.args {
                    self.node(arg, grid, depth + 1);
                }
            }
        }
    }
}

fn selector(s: &Selector) -> String {
    let matcher = |m: &Matcher| {
        let op = match m.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        format!(
            "{}{op}{}",
            m.name,
            bellwether_model::labels::quote(&m.value)
        )
    };
    let matchers: Vec<String> = s.matchers.iter().map(matcher).collect();
    let mut out = format!("{{{}}}", matchers.join(", "));
    out += &modifiers(s.at, s.offset_ms);
    for (flag, word) in [
        (s.anchored, "anchored"),
        (s.smoothed, "smoothed"),
        (s.stats_only, "without buckets"),
    ] {
        if flag {
            out.push(' ');
            out += word;
        }
    }
    out
}

fn modifiers(at: Option<i64>, offset_ms: i64) -> String {
    let mut out = String::new();
    if let Some(at) = at {
        out += &format!(" @ {:.3}", at as f64 / 1000.0);
    }
    if offset_ms != 0 {
        let sign = if offset_ms < 0 { "-" } else { "" };
        let length = i64::try_from(offset_ms.unsigned_abs()).unwrap_or(i64::MAX);
        out += &format!(" offset {sign}{}", duration::format_millis(length));
    }
    out
}

fn subquery(s: &Subquery) -> String {
    format!(
        "sub-query [{}:{}]{}",
        duration::format_millis(s.range_ms),
        duration::format_millis(s.step_ms),
        modifiers(s.at, s.offset_ms)
    )
}

fn link(link: &Link) -> String {
    let mut out = link.op.as_str().to_owned();
    if link.return_bool {
        out += " bool";
    }
    let Some(matching) = &link.matching else {
        return out;
    };
    if matching.on || !matching.labels.is_empty() {
        let word = if matching.on { "on" } else { "ignoring" };
        out += &format!(" {word} ({})", matching.labels.join(", "));
    } else if !matches!(link.op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) {
        out += " by all labels";
    }
    out
}

fn aggregate(a: &Aggregate) -> String {
    let mut out = a.op.as_str().to_owned();
    if a.without || !a.grouping.is_empty() {
        let word = if a.without { "without" } else { "by" };
        out += &format!(" {word} ({})", a.grouping.join(", "));
    }
    out
}
