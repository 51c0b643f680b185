//! Texts of expressions: Prometheus' canonical one-line form ([`Display`](fmt::Display), used by `/rules`) and
//! the multi-line form of `/format_query` ([`pretty`]).
//!
//! Nodes are printed by recursion, chains of binary operators in a loop: their length is not limited.

use std::fmt;
use std::fmt::Write as _;

use bellwether_model::labels::{is_legacy_label_name, quote};
use bellwether_model::{Matcher, duration, float};

use crate::ast::{
    AggregateExpr, AtModifier, BinaryExpr, Cardinality, DurationExpr, DurationNode,
    DurationNodeKind, Expr, ExprKind, MatrixSelector, NumberLiteral, SubqueryExpr, VectorMatching,
    VectorSelector,
};

/// Longer expressions are split over lines.
const MAX_LINE: usize = 100;

const INDENT: &str = "  ";

/// Deeper levels are not indented further.
const MAX_INDENT: usize = 250;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number(literal) => write!(f, "{literal}"),
            ExprKind::String(literal) => f.write_str(&literal.quoted()),
            ExprKind::Paren(inner) => write!(f, "({inner})"),
            ExprKind::Unary(op, inner) => write!(f, "{}{inner}", op.as_str()),
            ExprKind::Binary(binary) => {
                let (first, chain) = chain(binary);
                write!(f, "{first}")?;
                chain
                    .iter()
                    .rev()
                    .try_for_each(|b| write!(f, " {} {}", BinaryHead(b), b.rhs))
            }
            ExprKind::Aggregate(aggregate) => {
                write!(f, "{}(", AggregateHead(aggregate))?;
                if let Some(param) = &aggregate.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", aggregate.expr)
            }
            ExprKind::Call(call) => {
                write!(f, "{}(", call.func.name)?;
                for (i, arg) in call.args.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{arg}")?;
                }
                f.write_str(")")
            }
            ExprKind::VectorSelector(vector) => write!(f, "{vector}"),
            ExprKind::MatrixSelector(matrix) => write!(f, "{matrix}"),
            ExprKind::Subquery(subquery) => {
                write!(f, "{}{}", subquery.expr, SubqueryTail(subquery))
            }
        }
    }
}

/// The leftmost operand of a chain of operators, and its links from the last one to the first.
fn chain(last: &BinaryExpr) -> (&Expr, Vec<&BinaryExpr>) {
    let mut links = vec![last];
    let mut lhs = &last.lhs;
    while let ExprKind::Binary(b) = &lhs.kind {
        links.push(b);
        lhs = &b.lhs;
    }
    (lhs, links)
}

impl fmt::Display for NumberLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.duration {
            f.write_str(&duration::format_millis((self.value * 1e3).round() as i64))
        } else {
            f.write_str(&float::plain(self.value))
        }
    }
}

/// Labels in a grouping clause, quoted where the classic grammar needs it.
struct LabelList<'a>(&'a [String]);

impl fmt::Display for LabelList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, label) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            if is_legacy_label_name(label) {
                f.write_str(label)?;
            } else {
                f.write_str(&quote(label))?;
            }
        }
        Ok(())
    }
}

/// The operator with its grouping.
struct AggregateHead<'a>(&'a AggregateExpr);

impl fmt::Display for AggregateHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aggregate = self.0;
        f.write_str(aggregate.op.as_str())?;
        let labels = LabelList(&aggregate.grouping);
        if aggregate.without {
            write!(f, " without ({labels}) ")
        } else if !aggregate.grouping.is_empty() {
            write!(f, " by ({labels}) ")
        } else {
            Ok(())
        }
    }
}

/// The operator with its modifiers.
struct BinaryHead<'a>(&'a BinaryExpr);

impl fmt::Display for BinaryHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.op.as_str())?;
        if self.0.return_bool {
            f.write_str(" bool")?;
        }
        match &self.0.matching {
            Some(matching) => write_matching(f, matching),
            None => Ok(()),
        }
    }
}

fn write_matching(f: &mut fmt::Formatter<'_>, matching: &VectorMatching) -> fmt::Result {
    let group = match matching.card {
        Cardinality::ManyToOne => Some("left"),
        Cardinality::OneToMany => Some("right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    };
    if !matching.labels.is_empty() || matching.on || group.is_some() {
        let word = if matching.on { "on" } else { "ignoring" };
        write!(f, " {word} ({})", LabelList(&matching.labels))?;
    }
    if let Some(side) = group {
        write!(f, " group_{side} ({})", LabelList(&matching.include))?;
    }
    match (matching.fill_left, matching.fill_right) {
        (Some(left), Some(right)) if left == right => {
            write!(f, " fill ({})", float::shortest_g(left))
        }
        (left, right) => {
            if let Some(left) = left {
                write!(f, " fill_left ({})", float::shortest_g(left))?;
            }
            if let Some(right) = right {
                write!(f, " fill_right ({})", float::shortest_g(right))?;
            }
            Ok(())
        }
    }
}

impl fmt::Display for VectorSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_matchers(f, self)?;
        write_at(f, self.at)?;
        write_edges(f, self)?;
        write_offset(f, &self.offset)
    }
}

impl fmt::Display for MatrixSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_matchers(f, &self.vector)?;
        write!(f, "[{}]", self.range)?;
        write_edges(f, &self.vector)?;
        write_at(f, self.vector.at)?;
        write_offset(f, &self.vector.offset)
    }
}

/// The name and the other matchers, sorted by their text.
fn write_matchers(f: &mut fmt::Formatter<'_>, vector: &VectorSelector) -> fmt::Result {
    let name = vector.name.as_deref().unwrap_or("");
    f.write_str(name)?;
    // `{__name__=""}` stays.
    let is_name = |m: &&Matcher| {
        m.name == "__name__"
            && m.op == bellwether_model::MatchOp::Equal
            && m.value == name
            && !name.is_empty()
    };
    let mut texts: Vec<String> = vector
        .matchers
        .iter()
        .filter(|m| !is_name(m))
        .map(Matcher::to_string)
        .collect();
    if texts.is_empty() {
        // `{}` alone can only be the second argument of info(), where Prometheus prints nothing, which does
        // not parse again.
        return if name.is_empty() {
            f.write_str("{}")
        } else {
            Ok(())
        };
    }
    texts.sort_unstable();
    write!(f, "{{{}}}", texts.join(","))
}

fn write_at(f: &mut fmt::Formatter<'_>, at: Option<AtModifier>) -> fmt::Result {
    match at {
        None => Ok(()),
        Some(AtModifier::Timestamp(millis)) => write!(f, " @ {:.3}", millis as f64 / 1000.0),
        Some(AtModifier::Start) => f.write_str(" @ start()"),
        Some(AtModifier::End) => f.write_str(" @ end()"),
    }
}

fn write_edges(f: &mut fmt::Formatter<'_>, vector: &VectorSelector) -> fmt::Result {
    if vector.anchored {
        f.write_str(" anchored")
    } else if vector.smoothed {
        f.write_str(" smoothed")
    } else {
        Ok(())
    }
}

fn write_offset(f: &mut fmt::Formatter<'_>, offset: &DurationExpr) -> fmt::Result {
    match offset {
        DurationExpr::Millis(0) => Ok(()),
        offset => write!(f, " offset {offset}"),
    }
}

/// Brackets and modifiers of a sub-query.
struct SubqueryTail<'a>(&'a SubqueryExpr);

impl fmt::Display for SubqueryTail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}:", self.0.range)?;
        match &self.0.step {
            // Zero stands for the default as well.
            None | Some(DurationExpr::Millis(0)) => {}
            Some(step) => write!(f, "{step}")?,
        }
        f.write_str("]")?;
        write_at(f, self.0.at)?;
        write_offset(f, &self.0.offset)
    }
}

impl fmt::Display for DurationExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Millis(millis) => f.write_str(&duration::format_millis(*millis)),
            Self::Node(node) => write!(f, "{node}"),
        }
    }
}

impl fmt::Display for DurationNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            DurationNodeKind::Literal(literal) => write!(f, "{literal}"),
            DurationNodeKind::Step => f.write_str("step()"),
            DurationNodeKind::Range => f.write_str("range()"),
            DurationNodeKind::Unary(op, operand) => write!(f, "{}{operand}", op.as_str()),
            DurationNodeKind::Binary(op, lhs, rhs) => write!(f, "{lhs} {} {rhs}", op.as_str()),
            DurationNodeKind::Min(a, b) => write!(f, "min_of({a}, {b})"),
            DurationNodeKind::Max(a, b) => write!(f, "max_of({a}, {b})"),
            // Of several pairs of parentheses one is left.
            DurationNodeKind::Paren(inner) if matches!(inner.kind, DurationNodeKind::Paren(_)) => {
                write!(f, "{inner}")
            }
            DurationNodeKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

/// The form of `/format_query`: expressions longer than 100 bytes are split over indented lines.
#[must_use]
pub fn pretty(expr: &Expr) -> String {
    let mut out = String::new();
    write_pretty(&mut out, expr, 0);
    out
}

/// Counts what is printed; more than fits a line is an error, so that printing stops there and a tree of n
/// nodes costs n times a line, not n squared.
struct LineBudget(usize);

impl fmt::Write for LineBudget {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.checked_sub(text.len()).ok_or(fmt::Error)?;
        Ok(())
    }
}

/// Whether the one-line form is longer than a line.
fn needs_split(expr: &Expr) -> bool {
    write!(LineBudget(MAX_LINE), "{expr}").is_err()
}

fn indent(out: &mut String, level: usize) {
    // Chains indent by their length: without a bound the output would grow with its square.
    for _ in 0..level.min(MAX_INDENT) {
        out.push_str(INDENT);
    }
}

/// Writing to a `String` cannot fail.
fn push(out: &mut String, value: impl fmt::Display) {
    let _ = write!(out, "{value}");
}

fn write_pretty(out: &mut String, expr: &Expr, level: usize) {
    match &expr.kind {
        ExprKind::Unary(op, inner) => {
            indent(out, level);
            out.push_str(op.as_str());
            let mut child = String::new();
            write_pretty(&mut child, inner, level);
            out.push_str(child.trim());
        }
        // As Prometheus does it: a short sub-query is not indented.
        ExprKind::Subquery(subquery) => {
            if needs_split(expr) {
                write_pretty(out, &subquery.expr, level);
                push(out, SubqueryTail(subquery));
            } else {
                push(out, expr);
            }
        }
        ExprKind::Aggregate(aggregate) if needs_split(expr) => {
            indent(out, level);
            push(out, AggregateHead(aggregate));
            out.push_str("(\n");
            if let Some(param) = &aggregate.param {
                write_pretty(out, param, level + 1);
                out.push_str(",\n");
            }
            write_pretty(out, &aggregate.expr, level + 1);
            out.push('\n');
            indent(out, level);
            out.push(')');
        }
        ExprKind::Call(call) if needs_split(expr) => {
            indent(out, level);
            out.push_str(call.func.name);
            out.push_str("(\n");
            for (i, arg) in call.args.iter().enumerate() {
                if i > 0 {
                    out.push_str(",\n");
                }
                write_pretty(out, arg, level + 1);
            }
            out.push('\n');
            indent(out, level);
            out.push(')');
        }
        ExprKind::Paren(inner) if needs_split(expr) => {
            indent(out, level);
            out.push_str("(\n");
            write_pretty(out, inner, level + 1);
            out.push('\n');
            indent(out, level);
            out.push(')');
        }
        ExprKind::Binary(binary) if needs_split(expr) => write_pretty_chain(out, binary, level),
        _ => {
            indent(out, level);
            push(out, expr);
        }
    }
}

/// Each operator of a chain indents its left operand one step further, so the first operand stands furthest to
/// the right, until the rest of the chain fits a line.
fn write_pretty_chain(out: &mut String, last: &BinaryExpr, level: usize) {
    let (first, links) = chain(last);
    // From the first operand on: how many links still fit a line together.
    let mut budget = LineBudget(MAX_LINE);
    let mut fitting = 0;
    if write!(budget, "{first}").is_ok() {
        fitting = links
            .iter()
            .rev()
            .take_while(|b| write!(budget, " {} {}", BinaryHead(b), b.rhs).is_ok())
            .count();
    }
    let split = &links[..links.len() - fitting];
    match split.last() {
        Some(innermost) => write_pretty(out, &innermost.lhs, level + split.len()),
        // The caller saw that not everything fits.
        None => write_pretty(out, first, level),
    }
    for (i, b) in split.iter().enumerate().rev() {
        out.push('\n');
        indent(out, level + i);
        push(out, BinaryHead(b));
        out.push('\n');
        write_pretty(out, &b.rhs, level + i + 1);
    }
}

#[cfg(test)]
mod tests;
