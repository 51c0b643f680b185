//! Types and rules beyond the grammar.

use bellwether_model::labels::quote;

use super::{Parsed, Parser, join};
use crate::ast::{
    AggregateExpr, AggregateOp, BinaryOp, CallExpr, Cardinality, Expr, ExprKind, Span, ValueType,
    VectorMatching, VectorSelector,
};

/// Checks an expression and everything below it; returns its type. Vector matching is removed where an operand
/// is a scalar, set operators become many-to-many.
pub(super) fn check(expr: &mut Expr, parser: &Parser<'_>) -> Parsed<ValueType> {
    let span = expr.span;
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) => return check(inner, parser),
        ExprKind::Unary(_, inner) => {
            let got = check(inner, parser)?;
            if !matches!(got, ValueType::Scalar | ValueType::Vector) {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                    quote(got.documented())
                );
                return Err(parser.error(span, message));
            }
            return Ok(got);
        }
        ExprKind::Binary(_) => return binary(expr, parser),
        ExprKind::Aggregate(aggregate) => check_aggregate(aggregate, parser)?,
        ExprKind::Call(call) => check_call(call, span, parser)?,
        ExprKind::Subquery(subquery) => {
            let got = check(&mut subquery.expr, parser)?;
            if got != ValueType::Vector {
                let message = format!(
                    "subquery is only allowed on instant vector, got {} instead",
                    got.as_str()
                );
                return Err(parser.error(span, message));
            }
        }
        ExprKind::MatrixSelector(matrix) => {
            check_selector(&matrix.vector, matrix.vector_span, false, parser)?;
        }
        ExprKind::VectorSelector(vector) => check_selector(vector, span, false, parser)?,
    }
    Ok(expr.value_type())
}

fn check_selector(
    vector: &VectorSelector,
    span: Span,
    may_be_empty: bool,
    parser: &Parser<'_>,
) -> Parsed<()> {
    if let Some(name) = &vector.name {
        // The name's own matcher is the last one.
        let braces = vector
            .matchers
            .split_last()
            .map_or(&[][..], |(_, rest)| rest);
        if let Some(other) = braces.iter().find(|m| m.name == "__name__") {
            let message = format!(
                "metric name must not be set twice: {} or {}",
                quote(name),
                quote(&other.value)
            );
            return Err(parser.error(span, message));
        }
        return Ok(());
    }
    if !may_be_empty
        && vector
            .matchers
            .iter()
            .all(bellwether_model::Matcher::matches_empty)
    {
        let message = "vector selector must contain at least one non-empty matcher";
        return Err(parser.error(span, message));
    }
    Ok(())
}

fn expect_type(expr: &mut Expr, want: ValueType, place: &str, parser: &Parser<'_>) -> Parsed<()> {
    let got = check(expr, parser)?;
    if got == want {
        return Ok(());
    }
    let message = format!(
        "expected type {} in {place}, got {}",
        want.documented(),
        got.documented()
    );
    Err(parser.error(expr.span, message))
}

fn check_aggregate(aggregate: &mut AggregateExpr, parser: &Parser<'_>) -> Parsed<()> {
    expect_type(
        &mut aggregate.expr,
        ValueType::Vector,
        "aggregation expression",
        parser,
    )?;
    let want = match aggregate.op {
        AggregateOp::CountValues => ValueType::String,
        _ => ValueType::Scalar,
    };
    match &mut aggregate.param {
        Some(param) => expect_type(param, want, "aggregation parameter", parser),
        None => Ok(()),
    }
}

fn check_call(call: &mut CallExpr, span: Span, parser: &Parser<'_>) -> Parsed<()> {
    let func = call.func;
    let fail = |span: Span, message: String| Err(parser.error(span, message));
    let (wanted, got) = (func.args.len(), call.args.len());
    let name = quote(func.name);
    if func.variadic == 0 {
        if wanted != got {
            return fail(
                span,
                format!("expected {wanted} argument(s) in call to {name}, got {got}"),
            );
        }
    } else {
        let least = wanted - 1;
        if got < least {
            return fail(
                span,
                format!("expected at least {least} argument(s) in call to {name}, got {got}"),
            );
        }
        if let Ok(optional) = usize::try_from(func.variadic)
            && got > least + optional
        {
            let most = least + optional;
            return fail(
                span,
                format!("expected at most {most} argument(s) in call to {name}, got {got}"),
            );
        }
    }
    if func.name == "info"
        && let Some(matchers) = call.args.get(1)
    {
        check_info_matchers(matchers, span, parser)?;
    }
    let place = format!("call to function {name}");
    for (i, arg) in call.args.iter_mut().enumerate() {
        // The second argument of info() only filters: it may match everything.
        if i == 1
            && func.name == "info"
            && let ExprKind::VectorSelector(vector) = &arg.kind
        {
            check_selector(vector, arg.span, true, parser)?;
            continue;
        }
        if let Some(want) = func.args.get(i).or(func.args.last()) {
            expect_type(arg, *want, &place, parser)?;
        }
    }
    Ok(())
}

fn check_info_matchers(arg: &Expr, call: Span, parser: &Parser<'_>) -> Parsed<()> {
    let got = arg.value_type();
    if got != ValueType::Vector {
        let message = format!(
            "expected type instant vector in call to function \"info\", got {}",
            got.documented()
        );
        return Err(parser.error(call, message));
    }
    match &arg.kind {
        ExprKind::VectorSelector(vector) if vector.name.is_none() => Ok(()),
        ExprKind::VectorSelector(_) => Err(parser.error(
            arg.span,
            "expected label selectors only, got vector selector instead",
        )),
        _ => Err(parser.error(arg.span, "expected label selectors only")),
    }
}

/// One operator of a chain, without its left operand.
struct Link<'e> {
    op: BinaryOp,
    return_bool: bool,
    rhs: &'e mut Expr,
    matching: &'e mut Option<VectorMatching>,
    op_span: Span,
}

/// A chain of operators leans to the left and may be as long as the text: it is walked in a loop.
fn binary(expr: &mut Expr, parser: &Parser<'_>) -> Parsed<ValueType> {
    let mut links = Vec::new();
    let mut leftmost = expr;
    while matches!(leftmost.kind, ExprKind::Binary(_)) {
        // A `while let` would keep `leftmost` borrowed after the loop.
        let ExprKind::Binary(b) = &mut leftmost.kind else {
            unreachable!("the loop's condition")
        };
        let b = &mut **b;
        links.push(Link {
            op: b.op,
            return_bool: b.return_bool,
            rhs: &mut b.rhs,
            matching: &mut b.matching,
            op_span: b.op_span,
        });
        leftmost = &mut b.lhs;
    }
    let mut span = leftmost.span;
    let mut left = check(leftmost, parser)?;
    while let Some(mut link) = links.pop() {
        let right = check(link.rhs, parser)?;
        check_link(&mut link, (left, span), right, parser)?;
        span = join(span, link.rhs.span);
        left = if left == ValueType::Scalar && right == ValueType::Scalar {
            ValueType::Scalar
        } else {
            ValueType::Vector
        };
    }
    Ok(left)
}

fn check_link(
    link: &mut Link<'_>,
    (left, left_span): (ValueType, Span),
    right: ValueType,
    parser: &Parser<'_>,
) -> Parsed<()> {
    let span = join(left_span, link.rhs.span);
    let fail = |span: Span, message: &str| Err(parser.error(span, message));
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if link.return_bool && !link.op.is_comparison() {
        return fail(
            link.op_span,
            "bool modifier can only be used on comparison operators",
        );
    }
    if link.op.is_comparison() && !link.return_bool && scalars {
        return fail(
            link.op_span,
            "comparisons between scalars must use BOOL modifier",
        );
    }
    let Some(matching) = link.matching else {
        return Ok(());
    };
    if matching.on
        && let Some(label) = matching
            .labels
            .iter()
            .find(|l| matching.include.contains(l))
    {
        let message = format!(
            "label {} must not occur in ON and GROUP clause at once",
            quote(label)
        );
        return fail(link.op_span, &message);
    }
    let operand = |t: ValueType| matches!(t, ValueType::Scalar | ValueType::Vector);
    let operands = "binary expression must contain only scalar and instant vector types";
    if !operand(left) {
        return fail(left_span, operands);
    }
    if !operand(right) {
        return fail(link.rhs.span, operands);
    }
    if left == ValueType::Vector && right == ValueType::Vector {
        return if link.op.is_set() {
            check_set_operator(link.op, matching, span, parser)
        } else {
            Ok(())
        };
    }
    if !matching.labels.is_empty() {
        return fail(span, "vector matching only allowed between instant vectors");
    }
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        return fail(
            span,
            "filling in missing series only allowed between instant vectors",
        );
    }
    *link.matching = None;
    if link.op.is_set() {
        let message = format!(
            "set operator {} not allowed in binary scalar expression",
            quote(link.op.as_str())
        );
        return fail(span, &message);
    }
    Ok(())
}

fn check_set_operator(
    op: BinaryOp,
    matching: &mut VectorMatching,
    span: Span,
    parser: &Parser<'_>,
) -> Parsed<()> {
    if matching.card != Cardinality::OneToOne {
        let message = format!("no grouping allowed for {} operation", quote(op.as_str()));
        return Err(parser.error(span, message));
    }
    matching.card = Cardinality::ManyToMany;
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        let message = "filling in missing series not allowed for set operators";
        return Err(parser.error(span, message));
    }
    Ok(())
}
