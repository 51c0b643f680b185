//! What a planned expression is made of.

use bellwether_model::labels::METRIC_NAME;
use bellwether_model::{MatchOp, Matcher};

use crate::ast::{AggregateOp, BinaryOp, Span, StringLiteral, ValueType, VectorMatching};
use crate::eval::grid::StepGrid;
use crate::signature::Signature;

/// A planned expression.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    pub(crate) ty: ValueType,
}

/// The kinds of nodes.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Number(f64),
    Text(StringLiteral),
    Selector(Selector),
    Window(Window),
    Subquery(Box<Subquery>),
    Negate(Box<Node>),
    Chain(Box<Chain>),
    Aggregate(Box<Aggregate>),
    Call(Box<Call>),
    /// The same at every step.
    Invariant(Box<Node>),
}

/// An instant selector.
#[derive(Clone, Debug)]
pub(crate) struct Selector {
    pub(crate) matchers: Vec<Matcher>,
    pub(crate) offset_ms: i64,
    pub(crate) at: Option<i64>,
    /// The time whose data is the newest to look at, where the steps go beyond it.
    pub(crate) until: Option<i64>,
    pub(crate) anchored: bool,
    pub(crate) smoothed: bool,
    /// Of native histograms only count, sum and reset hint are looked at.
    pub(crate) stats_only: bool,
    /// The only labels that are looked at besides the name, sorted; `None` for all.
    pub(crate) labels: Option<Vec<String>>,
}

impl Selector {
    /// The metric name of all series, where they have one. Then they differ without it too.
    pub(crate) fn one_name(&self) -> Option<&str> {
        let is_name =
            |m: &&Matcher| m.name == METRIC_NAME && m.op == MatchOp::Equal && !m.value.is_empty();
        self.matchers.iter().find(is_name).map(|m| m.value.as_str())
    }

    /// Whether they have.
    pub(crate) fn has_one_name(&self) -> bool {
        self.one_name().is_some()
    }

    /// The time whose data an evaluation at `t` looks at.
    #[inline]
    pub(crate) fn data_time(&self, t: i64) -> i64 {
        self.at.unwrap_or(t).saturating_sub(self.offset_ms)
    }

    /// The newest time whose data an evaluation with the last step at `t` looks at.
    pub(crate) fn newest(&self, t: i64) -> i64 {
        let time = self.data_time(t);
        self.until.map_or(time, |until| time.min(until))
    }
}

/// A range selector.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) selector: Selector,
    pub(crate) range_ms: i64,
}

/// A sub-query.
#[derive(Clone, Debug)]
pub(crate) struct Subquery {
    pub(crate) expr: Node,
    pub(crate) range_ms: i64,
    pub(crate) step_ms: i64,
    pub(crate) offset_ms: i64,
    pub(crate) at: Option<i64>,
}

impl Subquery {
    /// The time whose data an evaluation at `t` looks at.
    #[inline]
    pub(crate) fn data_time(&self, t: i64) -> i64 {
        self.at.unwrap_or(t).saturating_sub(self.offset_ms)
    }

    /// The inner evaluation times for evaluations on `outer`: multiples of the step, the left end excluded.
    pub(crate) fn grid(&self, outer: StepGrid) -> StepGrid {
        let end = self.data_time(outer.last());
        let left = self.data_time(outer.start).saturating_sub(self.range_ms);
        let mut start = self.step_ms * (left / self.step_ms);
        if start <= left {
            start = start.saturating_add(self.step_ms);
        }
        StepGrid::range(start, end, self.step_ms)
    }
}

/// Binary operations from left to right: `first op rhs op rhs ...`. A list instead of a tree, because such a
/// chain may be as long as a query's text and must not need stack.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) first: Node,
    pub(crate) links: Vec<Link>,
}

/// One operation of a chain; its left operand is all that stands before.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) op: BinaryOp,
    pub(crate) rhs: Node,
    pub(crate) return_bool: bool,
    pub(crate) matching: Option<VectorMatching>,
    /// The place of the operation with both operands.
    pub(crate) span: Span,
    /// The type of the result.
    pub(crate) ty: ValueType,
}

/// An aggregation.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    pub(crate) op: AggregateOp,
    pub(crate) param: Option<Node>,
    pub(crate) expr: Node,
    /// Sorted.
    pub(crate) grouping: Vec<String>,
    pub(crate) without: bool,
}

/// A function call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) func: &'static Signature,
    pub(crate) args: Vec<Node>,
}
