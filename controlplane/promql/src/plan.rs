//! From the syntax tree to what is evaluated.
//!
//! The planner resolves everything that depends on the query's times only: duration arithmetic, `@`
//! modifiers, `start()`, `end()`, `range()`, `step()`. It drops parentheses and wraps the largest
//! sub-trees whose value is the same at every step into [`Kind::Invariant`], which are evaluated once.

use crate::ast::{
    AggregateExpr, AggregateOp, AtModifier, BinaryOp, DurationExpr, DurationNode, DurationNodeKind,
    Expr, ExprKind, Span, UnaryOp, ValueType, VectorSelector,
};
use crate::error::QueryError;
use crate::eval::grid::StepGrid;
use crate::functions::streams;
use crate::signature::Signature;

mod nodes;

pub(crate) use nodes::{Aggregate, Call, Chain, Kind, Link, Node, Selector, Subquery, Window};

/// Functions whose value depends on the evaluation time even when their arguments do not.
const TIME_DEPENDENT: &[&str] = &[
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

/// Whether a function's value depends on the evaluation time even when its arguments do not.
pub(crate) fn depends_on_time(name: &str) -> bool {
    TIME_DEPENDENT.contains(&name)
}

/// Plans expressions for one query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planner {
    grid: StepGrid,
    /// Zero for an instant query.
    step_ms: i64,
    default_step_ms: i64,
    /// What stands around the node that is being planned.
    around: Around,
    /// The parameter of an aggregation is being planned.
    parameter: bool,
    /// A selector whose samples' times are asked for.
    timed: bool,
}

/// Decides whether selectors read the buckets of native histograms. As in Prometheus that is visible: without
/// buckets, no bounds have to be reconciled and resets are known from every sample to the next.
#[derive(Clone, Copy, Debug, Default)]
struct Around {
    /// A function of counts and sums.
    stats: bool,
    /// Something that needs buckets.
    buckets: bool,
}

/// A planned node and whether its value is the same at every step.
struct Planned {
    node: Node,
    invariant: bool,
    /// Literals and range vectors are never wrapped.
    wrap: bool,
}

impl Planned {
    fn finish(self) -> Node {
        if !self.wrap {
            return self.node;
        }
        Node {
            span: self.node.span,
            ty: self.node.ty,
            kind: Kind::Invariant(Box::new(self.node)),
        }
    }
}

impl Planner {
    pub(crate) fn new(grid: StepGrid, instant: bool, default_step_ms: i64) -> Self {
        Self {
            grid,
            step_ms: if instant { 0 } else { grid.step },
            default_step_ms,
            around: Around::default(),
            parameter: false,
            timed: false,
        }
    }

    /// The planner for the parameter of an aggregation.
    fn of_parameter(mut self) -> Self {
        self.parameter = true;
        self
    }

    /// The planner for what stands inside something that needs the buckets of histograms.
    fn with_buckets(mut self) -> Self {
        self.around.buckets = true;
        self
    }

    /// The planner for the arguments of a function.
    fn inside(mut self, function: &str) -> Self {
        match function {
            "histogram_count" | "histogram_sum" | "histogram_avg" => self.around.stats = true,
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => {
                self.around.buckets = true;
            }
            _ => {}
        }
        self
    }

    /// Plans an expression.
    ///
    /// # Errors
    /// [`QueryError::BadData`] when duration arithmetic has no valid result.
    pub(crate) fn plan(&self, expr: &Expr) -> Result<Node, QueryError> {
        Ok(self.node(expr)?.finish())
    }

    fn node(&self, expr: &Expr) -> Result<Planned, QueryError> {
        let span = expr.span;
        let make = |kind, invariant, wrap| Planned {
            node: Node {
                ty: match &kind {
                    Kind::Number(_) => ValueType::Scalar,
                    Kind::Negate(inner) => inner.ty,
                    _ => expr.value_type(),
                },
                kind,
                span,
            },
            invariant,
            wrap,
        };
        Ok(match &expr.kind {
            ExprKind::Number(n) => make(Kind::Number(n.value), true, false),
            ExprKind::String(s) => make(Kind::Text(s.clone()), true, false),
            ExprKind::Paren(inner) | ExprKind::Unary(UnaryOp::Plus, inner) => self.node(inner)?,
            ExprKind::Unary(UnaryOp::Minus, inner) => {
                let inner = self.node(inner)?;
                if let Kind::Number(v) = inner.node.kind {
                    make(Kind::Number(-v), true, false)
                } else {
                    let (invariant, wrap) = (inner.invariant, inner.wrap);
                    make(Kind::Negate(Box::new(inner.node)), invariant, wrap)
                }
            }
            ExprKind::Binary(_) => self.chain(expr)?,
            ExprKind::Aggregate(a) => {
                let (aggregate, invariant, wrap) = self.aggregate(a)?;
                make(Kind::Aggregate(Box::new(aggregate)), invariant, wrap)
            }
            ExprKind::Call(c) => {
                if let Some(value) = self.context_value(c.func.name) {
                    return Ok(make(Kind::Number(value), true, false));
                }
                let (call, invariant) = self.call(c.func, &c.args)?;
                make(Kind::Call(Box::new(call)), invariant, invariant)
            }
            ExprKind::VectorSelector(v) => {
                let mut selector = self.selector(v)?;
                if self.parameter
                    && !self.timed
                    && let Some(at) = selector.at.take()
                {
                    // Prometheus shifts the selector for the first step only, so that it moves on with the steps, but
                    // asks the storage for the data of the fixed time.
                    selector.until = Some(at.saturating_sub(selector.offset_ms));
                    selector.offset_ms += self.grid.start.saturating_sub(at);
                }
                let fixed = selector.at.is_some();
                make(Kind::Selector(selector), fixed, fixed)
            }
            ExprKind::MatrixSelector(m) => {
                // Durations are looked at from the outside in, as errors show.
                let range_ms = self.duration(&m.range, false)?;
                let selector = self.selector(&m.vector)?;
                let fixed = selector.at.is_some();
                make(Kind::Window(Window { selector, range_ms }), fixed, false)
            }
            ExprKind::Subquery(s) => {
                let offset_ms = self.duration(&s.offset, true)?;
                let step_ms = match &s.step {
                    Some(step) => self.duration(step, false)?,
                    None => self.default_step_ms,
                };
                let range_ms = self.duration(&s.range, false)?;
                let inner = self.with_buckets().node(&s.expr)?;
                // Inside a sub-query a fixed value is computed once per sub-query even where it is no
                // candidate by itself.
                let expr = match inner.node.kind {
                    Kind::Number(_) | Kind::Text(_) => inner.node,
                    _ => inner.finish(),
                };
                let at = s.at.and_then(|at| self.at(at));
                let subquery = Subquery {
                    expr,
                    range_ms,
                    step_ms,
                    offset_ms,
                    at,
                };
                make(Kind::Subquery(Box::new(subquery)), at.is_some(), false)
            }
        })
    }

    /// Plans a chain of binary operations, innermost first.
    fn chain(&self, expr: &Expr) -> Result<Planned, QueryError> {
        let mut spine = Vec::new();
        let mut leftmost = expr;
        let mut planner = *self;
        while let ExprKind::Binary(b) = &leftmost.kind {
            if matches!(b.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
                planner = planner.with_buckets();
            }
            spine.push((b, leftmost.span, planner));
            leftmost = &b.lhs;
        }
        let mut lhs = planner.node(leftmost)?;
        for (b, span, planner) in spine.into_iter().rev() {
            let rhs = planner.node(&b.rhs)?;
            let invariant = lhs.invariant && rhs.invariant;
            let pick = |p: Planned| if invariant { p.node } else { p.finish() };
            let scalar = lhs.node.ty == ValueType::Scalar && rhs.node.ty == ValueType::Scalar;
            let ty = if scalar {
                ValueType::Scalar
            } else {
                ValueType::Vector
            };
            let link = Link {
                op: b.op,
                rhs: pick(rhs),
                return_bool: b.return_bool,
                matching: b.matching.clone(),
                span,
                ty,
            };
            let mut node = pick(lhs);
            if let Kind::Chain(chain) = &mut node.kind {
                chain.links.push(link);
                (node.span, node.ty) = (span, ty);
            } else {
                let chain = Chain {
                    first: node,
                    links: vec![link],
                };
                node = Node {
                    kind: Kind::Chain(Box::new(chain)),
                    span,
                    ty,
                };
            }
            lhs = Planned {
                node,
                invariant,
                wrap: invariant,
            };
        }
        Ok(lhs)
    }

    /// `start()`, `end()`, `range()` and `step()` are numbers once the query's times are known.
    fn context_value(&self, name: &str) -> Option<f64> {
        let seconds = |ms: i64| ms as f64 / 1000.0;
        match name {
            "start" => Some(seconds(self.grid.start)),
            "end" => Some(seconds(self.grid.end)),
            "range" => Some(seconds(self.grid.end - self.grid.start)),
            "step" if self.grid.start == self.grid.end => Some(0.0),
            "step" => Some(seconds(self.step_ms)),
            _ => None,
        }
    }

    /// As in Prometheus, the parameter does not decide whether an aggregation is the same at every step.
    fn aggregate(&self, a: &AggregateExpr) -> Result<(Aggregate, bool, bool), QueryError> {
        let expr = self.node(&a.expr)?;
        let planner = self.of_parameter();
        let param = a.param.as_ref().map(|p| planner.node(p)).transpose()?;
        let mut grouping = a.grouping.clone();
        grouping.sort_unstable();
        let (invariant, wrap) = (expr.invariant, expr.wrap);
        let mut expr = expr.node;
        if !a.without && folds(a.op) {
            want_labels(&mut expr, &grouping);
        }
        let aggregate = Aggregate {
            op: a.op,
            param: param.map(|p| p.node),
            expr,
            grouping,
            without: a.without,
        };
        Ok((aggregate, invariant, wrap))
    }

    fn call(&self, func: &'static Signature, args: &[Expr]) -> Result<(Call, bool), QueryError> {
        let mut planner = self.inside(func.name);
        planner.timed =
            matches!(func.name, "timestamp" | "start_timestamp") && args.iter().all(is_selector);
        let args = args
            .iter()
            .map(|a| planner.node(a))
            .collect::<Result<Vec<_>, _>>()?;
        let all_fixed = args.iter().all(|a| a.invariant);
        // The time of a fixed sample is fixed, but only a selector has samples of its own.
        let fixed_timestamp = func.name == "timestamp"
            && all_fixed
            && args
                .iter()
                .all(|a| matches!(a.node.kind, Kind::Selector(_)));
        let invariant = fixed_timestamp || (all_fixed && !depends_on_time(func.name));
        let args = args
            .into_iter()
            .map(|a| if invariant { a.node } else { a.finish() })
            .collect();
        Ok((Call { func, args }, invariant))
    }

    fn selector(&self, v: &VectorSelector) -> Result<Selector, QueryError> {
        Ok(Selector {
            matchers: v.matchers.clone(),
            offset_ms: self.duration(&v.offset, true)?,
            at: v.at.and_then(|at| self.at(at)),
            until: None,
            anchored: v.anchored,
            smoothed: v.smoothed,
            stats_only: self.around.stats && !self.around.buckets,
            labels: None,
        })
    }

    /// The time of an `@`. As in Prometheus, `start()` and `end()` mean nothing in the parameter of an aggregation.
    fn at(&self, at: AtModifier) -> Option<i64> {
        match at {
            AtModifier::Timestamp(t) => Some(t),
            AtModifier::Start | AtModifier::End if self.parameter => None,
            AtModifier::Start => Some(self.grid.start),
            AtModifier::End => Some(self.grid.end),
        }
    }

    /// A duration in milliseconds.
    fn duration(&self, d: &DurationExpr, negative: bool) -> Result<i64, QueryError> {
        let node = match d {
            DurationExpr::Millis(ms) => return Ok(*ms),
            DurationExpr::Node(node) => node,
        };
        let seconds = self.duration_value(node)?;
        let fail = |what| Err(duration_error(node, what));
        if seconds.is_nan() || seconds.is_infinite() {
            return fail("duration is NaN or infinite");
        }
        if seconds <= 0.0 && !negative {
            return fail("duration must be greater than 0");
        }
        // A Go duration holds 63 bits of nanoseconds.
        if seconds.abs() > 9_223_372_036.854_775 {
            return fail("duration is out of range");
        }
        Ok((seconds * 1000.0) as i64)
    }

    fn duration_value(&self, node: &DurationNode) -> Result<f64, QueryError> {
        Ok(match &node.kind {
            DurationNodeKind::Literal(n) => n.value,
            DurationNodeKind::Step => self.step_ms as f64 / 1000.0,
            DurationNodeKind::Range => (self.grid.end - self.grid.start) as f64 / 1000.0,
            DurationNodeKind::Unary(UnaryOp::Minus, x) => -self.duration_value(x)?,
            DurationNodeKind::Unary(UnaryOp::Plus, x) | DurationNodeKind::Paren(x) => {
                self.duration_value(x)?
            }
            DurationNodeKind::Min(x, y) => {
                crate::functions::go_min(self.duration_value(x)?, self.duration_value(y)?)
            }
            DurationNodeKind::Max(x, y) => {
                crate::functions::go_max(self.duration_value(x)?, self.duration_value(y)?)
            }
            DurationNodeKind::Binary(op, x, y) => {
                let (x, y) = (self.duration_value(x)?, self.duration_value(y)?);
                match op {
                    BinaryOp::Add => x + y,
                    BinaryOp::Sub => x - y,
                    BinaryOp::Mul => x * y,
                    BinaryOp::Div if y == 0.0 => {
                        return Err(duration_error(node, "division by zero"));
                    }
                    BinaryOp::Div => x / y,
                    BinaryOp::Mod if y == 0.0 => {
                        return Err(duration_error(node, "modulo by zero"));
                    }
                    BinaryOp::Mod => x % y,
                    BinaryOp::Pow => x.powf(y),
                    other => {
                        return Err(duration_error(
                            node,
                            &format!("unexpected duration expression operator {other:?}"),
                        ));
                    }
                }
            }
        })
    }
}

/// Whether an expression is an instant selector, perhaps in parentheses.
fn is_selector(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Paren(inner) => is_selector(inner),
        ExprKind::VectorSelector(_) => true,
        _ => false,
    }
}

/// Whether an aggregation looks at the labels of its operand only to find the group.
fn folds(op: AggregateOp) -> bool {
    use AggregateOp::{Avg, Count, Group, Max, Min, Quantile, Stddev, Stdvar, Sum};
    matches!(
        op,
        Sum | Avg | Count | Group | Min | Max | Quantile | Stddev | Stdvar
    )
}

/// Notes the labels that an aggregation's operand is grouped by, where its series go into the groups as they are read.
/// Series of several names may become equal without it, which all their labels have to tell.
fn want_labels(operand: &mut Node, grouping: &[String]) {
    let selector = match &mut operand.kind {
        Kind::Selector(s) => s,
        Kind::Call(c) if streams(c) => {
            let window = c.args.iter_mut().find_map(|arg| match &mut arg.kind {
                Kind::Window(w) => Some(w),
                _ => None,
            });
            let Some(window) = window else { return };
            &mut window.selector
        }
        _ => return,
    };
    if selector.has_one_name() {
        selector.labels = Some(grouping.to_vec());
    }
}

/// Prometheus prints byte offsets here, not line and column.
fn duration_error(node: &DurationNode, what: &str) -> QueryError {
    let span = operands_span(node);
    QueryError::BadData(format!("{}:{}: {what}", span.start, span.end))
}

/// From the first operand to the last: Prometheus leaves `min_of(` and closing parentheses out.
fn operands_span(node: &DurationNode) -> Span {
    match &node.kind {
        DurationNodeKind::Binary(_, x, y)
        | DurationNodeKind::Min(x, y)
        | DurationNodeKind::Max(x, y) => Span {
            start: operands_span(x).start,
            end: operands_span(y).end,
        },
        DurationNodeKind::Unary(_, x) => Span {
            start: node.span.start,
            end: operands_span(x).end,
        },
        DurationNodeKind::Paren(x) => match x.kind {
            DurationNodeKind::Literal(_) => Span {
                start: node.span.start,
                end: x.span.end,
            },
            _ => operands_span(x),
        },
        _ => node.span,
    }
}

/// The least and greatest time (milliseconds, inclusive) whose samples the plan looks at.
pub(crate) fn time_bounds(node: &Node, grid: StepGrid, lookback_ms: i64) -> Option<(i64, i64)> {
    if grid.steps() == 0 {
        return None;
    }
    let join = |a: Option<(i64, i64)>, b: Option<(i64, i64)>| match (a, b) {
        (Some((a0, a1)), Some((b0, b1))) => Some((a0.min(b0), a1.max(b1))),
        (one, other) => one.or(other),
    };
    let span = |s: &Selector, back: i64| {
        let ahead = if s.smoothed { lookback_ms } else { 0 };
        let more = if s.smoothed || s.anchored {
            lookback_ms
        } else {
            0
        };
        // The left end is excluded.
        let mint = s
            .data_time(grid.start)
            .saturating_sub(back.saturating_add(more) - 1);
        Some((mint, s.data_time(grid.last()).saturating_add(ahead)))
    };
    match &node.kind {
        Kind::Number(_) | Kind::Text(_) => None,
        Kind::Selector(s) if s.smoothed => span(s, 0),
        Kind::Selector(s) => span(s, lookback_ms),
        Kind::Window(w) => span(&w.selector, w.range_ms),
        Kind::Subquery(s) => time_bounds(&s.expr, s.grid(grid), lookback_ms),
        Kind::Negate(inner) => time_bounds(inner, grid, lookback_ms),
        Kind::Invariant(inner) => time_bounds(inner, grid.first_only(), lookback_ms),
        Kind::Chain(c) => c
            .links
            .iter()
            .fold(time_bounds(&c.first, grid, lookback_ms), |all, link| {
                join(all, time_bounds(&link.rhs, grid, lookback_ms))
            }),
        Kind::Aggregate(a) => join(
            time_bounds(&a.expr, grid, lookback_ms),
            a.param
                .as_ref()
                .and_then(|p| time_bounds(p, grid, lookback_ms)),
        ),
        Kind::Call(c) => c.args.iter().fold(None, |all, arg| {
            join(all, time_bounds(arg, grid, lookback_ms))
        }),
    }
}
