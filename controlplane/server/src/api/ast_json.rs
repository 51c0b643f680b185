//! `/parse_query`: a syntax tree as JSON, in the form that Prometheus' query page draws.
//!
//! Objects are written by hand because chains of operators are as long as the query allows: they are written in a
//! loop, like everywhere else.

use std::fmt::Write as _;

use bellwether_model::{MatchOp, Matcher, float};
use bellwether_promql::ast::{
    AggregateExpr, AtModifier, BinaryExpr, CallExpr, Cardinality, DurationExpr, DurationNode,
    DurationNodeKind, Expr, ExprKind, SubqueryExpr, UnaryOp, ValueType, VectorMatching,
    VectorSelector,
};

use super::json::push_str;
use super::members::push_list;

/// Appends the tree of an expression.
pub(super) fn push_expr(out: &mut String, expr: &Expr) {
    if let Some(value) = number(expr) {
        out.push_str(r#"{"type":"numberLiteral","val":"#);
        push_str(out, &float::plain(value));
        out.push('}');
        return;
    }
    match &expr.kind {
        // Handled above.
        ExprKind::Number(_) => {}
        ExprKind::String(literal) => {
            out.push_str(r#"{"type":"stringLiteral","val":"#);
            push_str(out, &literal.value);
            out.push('}');
        }
        ExprKind::Paren(inner) => {
            out.push_str(r#"{"type":"parenExpr","expr":"#);
            push_expr(out, inner);
            out.push('}');
        }
        ExprKind::Unary(op, inner) => {
            let _ = write!(
                out,
                r#"{{"type":"unaryExpr","op":"{}","expr":"#,
                op.as_str()
            );
            push_expr(out, inner);
            out.push('}');
        }
        ExprKind::Binary(last) => push_chain(out, last),
        ExprKind::Aggregate(aggregate) => push_aggregate(out, aggregate),
        ExprKind::Call(call) => push_call(out, call),
        ExprKind::VectorSelector(selector) => {
            out.push_str(r#"{"type":"vectorSelector""#);
            push_selector(out, selector);
            out.push('}');
        }
        ExprKind::MatrixSelector(matrix) => {
            out.push_str(r#"{"type":"matrixSelector""#);
            push_duration(out, "range", Some(&matrix.range));
            push_selector(out, &matrix.vector);
            out.push('}');
        }
        ExprKind::Subquery(subquery) => push_subquery(out, subquery),
    }
}

/// The value of a number with its signs: Prometheus' parser makes one literal of them.
fn number(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Number(literal) => Some(literal.value),
        ExprKind::Unary(UnaryOp::Plus, inner) => number(inner),
        ExprKind::Unary(UnaryOp::Minus, inner) => number(inner).map(|value| -value),
        _ => None,
    }
}

fn push_chain(out: &mut String, last: &BinaryExpr) {
    let mut links = vec![last];
    let mut first = &last.lhs;
    while let ExprKind::Binary(link) = &first.kind {
        links.push(link);
        first = &link.lhs;
    }
    for _ in &links {
        out.push_str(r#"{"type":"binaryExpr","lhs":"#);
    }
    push_expr(out, first);
    for link in links.into_iter().rev() {
        let (op, boolean) = (link.op.as_str(), link.return_bool);
        let _ = write!(out, r#","op":"{op}","bool":{boolean},"matching":"#);
        match &link.matching {
            Some(matching) => push_matching(out, matching),
            None => out.push_str("null"),
        }
        out.push_str(r#","rhs":"#);
        push_expr(out, &link.rhs);
        out.push('}');
    }
}

fn push_matching(out: &mut String, matching: &VectorMatching) {
    let card = match matching.card {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    let _ = write!(out, r#"{{"card":"{card}","on":{},"labels":"#, matching.on);
    push_strings(out, &matching.labels);
    out.push_str(r#","include":"#);
    push_strings(out, &matching.include);
    out.push_str(r#","fillValues":{"lhs":"#);
    push_fill(out, matching.fill_left);
    out.push_str(r#","rhs":"#);
    push_fill(out, matching.fill_right);
    out.push_str("}}");
}

/// A fill value; JSON has no numbers for what is not finite.
fn push_fill(out: &mut String, value: Option<f64>) {
    match value {
        Some(value) if value.is_finite() => float::push_json(out, value),
        _ => out.push_str("null"),
    }
}

fn push_aggregate(out: &mut String, aggregate: &AggregateExpr) {
    let (op, without) = (aggregate.op.as_str(), aggregate.without);
    let _ = write!(
        out,
        r#"{{"type":"aggregation","op":"{op}","without":{without},"grouping":"#
    );
    push_strings(out, &aggregate.grouping);
    out.push_str(r#","param":"#);
    match &aggregate.param {
        Some(param) => push_expr(out, param),
        None => out.push_str("null"),
    }
    out.push_str(r#","expr":"#);
    push_expr(out, &aggregate.expr);
    out.push('}');
}

fn push_call(out: &mut String, call: &CallExpr) {
    let func = call.func;
    let _ = write!(
        out,
        r#"{{"type":"call","func":{{"name":"{}","argTypes":"#,
        func.name
    );
    let types = func.args.iter().copied().map(ValueType::as_str);
    push_list(out, types, push_str);
    let _ = write!(
        out,
        r#","variadic":{},"returnType":"{}"}},"args":"#,
        func.variadic,
        func.returns.as_str()
    );
    push_list(out, &call.args, push_expr);
    out.push('}');
}

fn push_subquery(out: &mut String, subquery: &SubqueryExpr) {
    out.push_str(r#"{"type":"subquery","expr":"#);
    push_expr(out, &subquery.expr);
    push_duration(out, "range", Some(&subquery.range));
    push_duration(out, "step", subquery.step.as_ref());
    push_duration(out, "offset", Some(&subquery.offset));
    push_at(out, subquery.at);
    out.push('}');
}

/// The members that both kinds of selectors have.
fn push_selector(out: &mut String, selector: &VectorSelector) {
    out.push_str(r#","name":"#);
    push_str(out, selector.name.as_deref().unwrap_or_default());
    out.push_str(r#","matchers":"#);
    push_list(out, &selector.matchers, push_matcher);
    push_duration(out, "offset", Some(&selector.offset));
    push_at(out, selector.at);
    let (anchored, smoothed) = (selector.anchored, selector.smoothed);
    let _ = write!(out, r#","anchored":{anchored},"smoothed":{smoothed}"#);
}

fn push_matcher(out: &mut String, matcher: &Matcher) {
    let op = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    out.push_str(r#"{"name":"#);
    push_str(out, &matcher.name);
    let _ = write!(out, r#","type":"{op}","value":"#);
    push_str(out, &matcher.value);
    out.push('}');
}

fn push_at(out: &mut String, at: Option<AtModifier>) {
    let (timestamp, start_or_end) = match at {
        Some(AtModifier::Timestamp(ms)) => (ms.to_string(), "null"),
        Some(AtModifier::Start) => ("null".to_owned(), r#""start""#),
        Some(AtModifier::End) => ("null".to_owned(), r#""end""#),
        None => ("null".to_owned(), "null"),
    };
    let _ = write!(
        out,
        r#","timestamp":{timestamp},"startOrEnd":{start_or_end}"#
    );
}

/// A duration in milliseconds, zero when there is none or an expression has to be evaluated; the expression beside it.
fn push_duration(out: &mut String, name: &str, duration: Option<&DurationExpr>) {
    let (ms, node) = match duration {
        Some(DurationExpr::Millis(ms)) => (*ms, None),
        Some(DurationExpr::Node(node)) => (0, Some(node)),
        None => (0, None),
    };
    let _ = write!(out, r#","{name}":{ms},"{name}Expr":"#);
    match node {
        Some(node) => push_duration_node(out, node, false),
        None => out.push_str("null"),
    }
}

/// `wrapped`: the node stands in parentheses.
fn push_duration_node(out: &mut String, node: &DurationNode, wrapped: bool) {
    let (op, lhs, rhs) = match &node.kind {
        DurationNodeKind::Literal(literal) => {
            out.push_str(r#"{"type":"numberLiteral","val":"#);
            push_str(out, &float::plain(literal.value));
            let _ = write!(out, r#","duration":{}}}"#, literal.duration);
            return;
        }
        DurationNodeKind::Paren(inner) => return push_duration_node(out, inner, true),
        DurationNodeKind::Step => ("step", None, None),
        DurationNodeKind::Range => ("range", None, None),
        DurationNodeKind::Unary(op, inner) => (op.as_str(), None, Some(inner)),
        DurationNodeKind::Binary(op, lhs, rhs) => (op.as_str(), Some(lhs), Some(rhs)),
        DurationNodeKind::Min(lhs, rhs) => ("min_of", Some(lhs), Some(rhs)),
        DurationNodeKind::Max(lhs, rhs) => ("max_of", Some(lhs), Some(rhs)),
    };
    let _ = write!(
        out,
        r#"{{"type":"durationExpr","op":"{op}","wrapped":{wrapped}"#
    );
    for (side, operand) in [("lhs", lhs), ("rhs", rhs)] {
        let _ = write!(out, r#","{side}":"#);
        match operand {
            Some(operand) => push_duration_node(out, operand, false),
            None => out.push_str("null"),
        }
    }
    out.push('}');
}

fn push_strings(out: &mut String, texts: &[String]) {
    push_list(out, texts.iter().map(String::as_str), push_str);
}
