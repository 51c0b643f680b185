//! Visiting expressions.

use crate::ast::{Expr, ExprKind};

/// The expressions directly below one, in the order of the text. Duration arithmetic is not an expression.
#[must_use]
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.kind {
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::VectorSelector(_)
        | ExprKind::MatrixSelector(_) => Vec::new(),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => vec![inner],
        ExprKind::Binary(b) => vec![&b.lhs, &b.rhs],
        ExprKind::Aggregate(a) => a.param.iter().chain([&a.expr]).collect(),
        ExprKind::Call(c) => c.args.iter().collect(),
        ExprKind::Subquery(s) => vec![&s.expr],
    }
}

/// The expressions directly below one, for changes.
pub fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match &mut expr.kind {
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::VectorSelector(_)
        | ExprKind::MatrixSelector(_) => Vec::new(),
        ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => vec![inner],
        ExprKind::Binary(b) => {
            let b = &mut **b;
            vec![&mut b.lhs, &mut b.rhs]
        }
        ExprKind::Aggregate(a) => {
            let a = &mut **a;
            a.param.iter_mut().chain([&mut a.expr]).collect()
        }
        ExprKind::Call(c) => c.args.iter_mut().collect(),
        ExprKind::Subquery(s) => vec![&mut s.expr],
    }
}

/// Calls `visit` for an expression and everything below it, each before its children, from left to right. Uses
/// no stack, however long a chain of operators is.
pub fn visit<'e>(expr: &'e Expr, mut visit: impl FnMut(&'e Expr)) {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        visit(expr);
        open.extend(children(expr).into_iter().rev());
    }
}

/// As [`visit`], for changes.
pub fn visit_mut(expr: &mut Expr, mut visit: impl FnMut(&mut Expr)) {
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        visit(expr);
        open.extend(children_mut(expr).into_iter().rev());
    }
}

/// The length of the longest path from an expression down to a leaf, both counted. The parser limits nesting,
/// not this: a chain of operators is as deep as it is long. Whoever recurses over all of a tree needs that much
/// stack.
#[must_use]
pub fn depth(expr: &Expr) -> usize {
    let mut open = vec![(expr, 1)];
    let mut deepest = 1;
    while let Some((expr, level)) = open.pop() {
        deepest = deepest.max(level);
        open.extend(children(expr).into_iter().map(|child| (child, level + 1)));
    }
    deepest
}
