//! Operators, operands, calls and aggregations.

use super::selector::names_metric;
use super::{Context, Parsed, Parser, join, span_of};
use crate::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, CallExpr, Cardinality, Expr, ExprKind, Span,
    UnaryOp, VectorMatching,
};
use crate::lexer::{Kind, Token};
use crate::signature;
use bellwether_model::labels::quote;

/// Unary operators bind as tightly as products, so `-a ^ b` is `-(a ^ b)`.
const PRODUCT: u8 = 5;
const POWER: u8 = 6;

/// The operator and its precedence.
fn operator(kind: Kind) -> Option<(BinaryOp, u8)> {
    Some(match kind {
        Kind::Or => (BinaryOp::Or, 1),
        Kind::And => (BinaryOp::And, 2),
        Kind::Unless => (BinaryOp::Unless, 2),
        Kind::Eq => (BinaryOp::Eq, 3),
        Kind::Ne => (BinaryOp::Ne, 3),
        Kind::Lt => (BinaryOp::Lt, 3),
        Kind::Le => (BinaryOp::Le, 3),
        Kind::Gt => (BinaryOp::Gt, 3),
        Kind::Ge => (BinaryOp::Ge, 3),
        Kind::TrimUpper => (BinaryOp::TrimUpper, 3),
        Kind::TrimLower => (BinaryOp::TrimLower, 3),
        Kind::Add => (BinaryOp::Add, 4),
        Kind::Sub => (BinaryOp::Sub, 4),
        Kind::Mul => (BinaryOp::Mul, PRODUCT),
        Kind::Div => (BinaryOp::Div, PRODUCT),
        Kind::Mod => (BinaryOp::Mod, PRODUCT),
        Kind::Atan2 => (BinaryOp::Atan2, PRODUCT),
        Kind::Pow => (BinaryOp::Pow, POWER),
        _ => return None,
    })
}

fn aggregation(kind: Kind) -> Option<AggregateOp> {
    Some(match kind {
        Kind::Sum => AggregateOp::Sum,
        Kind::Avg => AggregateOp::Avg,
        Kind::Count => AggregateOp::Count,
        Kind::Min => AggregateOp::Min,
        Kind::Max => AggregateOp::Max,
        Kind::Group => AggregateOp::Group,
        Kind::Stddev => AggregateOp::Stddev,
        Kind::Stdvar => AggregateOp::Stdvar,
        Kind::Topk => AggregateOp::Topk,
        Kind::Bottomk => AggregateOp::Bottomk,
        Kind::CountValues => AggregateOp::CountValues,
        Kind::Quantile => AggregateOp::Quantile,
        Kind::Limitk => AggregateOp::Limitk,
        Kind::LimitRatio => AggregateOp::LimitRatio,
        _ => return None,
    })
}

/// Keywords that may be label names in grouping clauses: all but `without` and the numbers.
fn names_label(kind: Kind) -> bool {
    kind.is_aggregator()
        || kind.is_preprocessor()
        || kind.is_keyword() && kind != Kind::Without
        || matches!(
            kind,
            Kind::Identifier
                | Kind::MetricIdentifier
                | Kind::And
                | Kind::Or
                | Kind::Unless
                | Kind::Atan2
        )
}

fn starts_expression(kind: Kind) -> bool {
    names_metric(kind)
        || matches!(
            kind,
            Kind::Number
                | Kind::Duration
                | Kind::String
                | Kind::LeftParen
                | Kind::LeftBrace
                | Kind::Add
                | Kind::Sub
        )
}

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.operators(1)
    }

    /// Operands joined by operators of at least that precedence.
    ///
    /// Here and below, what does not recurse stands in functions of its own: the frames of the recursion are
    /// what [`super::MAX_NESTING`] multiplies.
    fn operators(&mut self, min: u8) -> Parsed<Expr> {
        self.descend()?;
        let mut lhs = self.signed_operand()?;
        self.nesting -= 1;
        while let Some(link) = self.link(min)? {
            // Powers group to the right.
            let rhs = if link.op == BinaryOp::Pow {
                self.descend()?;
                let rhs = self.operators(POWER)?;
                self.nesting -= 1;
                rhs
            } else {
                self.operators(link.precedence + 1)?
            };
            lhs = self.binary(lhs, link, rhs)?;
        }
        Ok(lhs)
    }

    /// An operator of at least that precedence, with its modifiers.
    fn link(&mut self, min: u8) -> Parsed<Option<Link>> {
        let token = self.peek()?;
        let Some((op, precedence)) = operator(token.kind).filter(|(_, p)| *p >= min) else {
            return Ok(None);
        };
        self.next()?;
        let (return_bool, matching) = self.binary_modifiers()?;
        Ok(Some(Link {
            op,
            precedence,
            span: span_of(token),
            return_bool,
            matching: Box::new(matching),
        }))
    }

    fn binary(&self, lhs: Expr, link: Link, rhs: Expr) -> Parsed<Expr> {
        let span = join(lhs.span, rhs.span);
        let matching = *link.matching;
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !self.options.fill_modifiers {
            let message = "binop fill modifiers are experimental and not enabled";
            return Err(self.error(span, message));
        }
        Ok(Expr {
            kind: ExprKind::Binary(Box::new(BinaryExpr {
                op: link.op,
                lhs,
                rhs,
                return_bool: link.return_bool,
                matching: Some(matching),
                op_span: link.span,
            })),
            span,
        })
    }

    fn signed_operand(&mut self) -> Parsed<Expr> {
        let sign = self.peek()?;
        if !matches!(sign.kind, Kind::Add | Kind::Sub) {
            let operand = self.operand()?;
            return self.modifiers(operand);
        }
        self.next()?;
        let operand = self.operators(PRODUCT + 1)?;
        Ok(signed(sign, operand))
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let token = self.peek()?;
        match token.kind {
            Kind::LeftParen => {
                self.next()?;
                let inner = self.expression()?;
                let close = self.expect(Kind::RightParen)?;
                Ok(Expr {
                    kind: ExprKind::Paren(Box::new(inner)),
                    span: join(span_of(token), span_of(close)),
                })
            }
            Kind::LeftBrace => self.bare_selector(),
            kind if names_metric(kind) => {
                self.next()?;
                self.name(token)
            }
            _ => self.literal(token),
        }
    }

    fn literal(&mut self, token: Token) -> Parsed<Expr> {
        let kind = match token.kind {
            Kind::Number | Kind::Duration => {
                self.next()?;
                ExprKind::Number(self.number_literal(token)?)
            }
            Kind::String => {
                self.next()?;
                ExprKind::String(self.string_literal(token)?)
            }
            _ => return self.unexpected(),
        };
        Ok(Expr {
            kind,
            span: span_of(token),
        })
    }

    /// A word that was just read: an aggregation, a call or a selector.
    fn name(&mut self, token: Token) -> Parsed<Expr> {
        let follows = self.peek()?.kind;
        if let Some(op) = aggregation(token.kind)
            && matches!(follows, Kind::LeftParen | Kind::By | Kind::Without)
        {
            let outer = std::mem::replace(&mut self.context, Context::Aggregation);
            let aggregate = self.aggregate(token, op)?;
            self.context = outer;
            return Ok(aggregate);
        }
        let callable = token.kind == Kind::Identifier || token.kind.is_preprocessor();
        if callable && follows == Kind::LeftParen {
            let arguments = self.arguments()?;
            return self.call(token, arguments);
        }
        self.named_selector(token)
    }

    fn call(&self, name: Token, (args, close): (Vec<Expr>, Span)) -> Parsed<Expr> {
        let text = name.text(self.text);
        let fail = |message: String| self.error(span_of(name), message);
        let func = signature::lookup(text)
            .ok_or_else(|| fail(format!("unknown function with name {}", quote(text))))?;
        if func.experimental && !self.options.experimental_functions {
            return Err(fail(format!("function {} is not enabled", quote(text))));
        }
        Ok(Expr {
            kind: ExprKind::Call(Box::new(CallExpr { func, args })),
            span: join(span_of(name), close),
        })
    }

    /// Arguments in parentheses, and where the closing one stands.
    fn arguments(&mut self) -> Parsed<(Vec<Expr>, Span)> {
        self.expect(Kind::LeftParen)?;
        let mut args = Vec::new();
        if let Some(close) = self.accept(Kind::RightParen)? {
            return Ok((args, span_of(close)));
        }
        loop {
            args.push(self.expression()?);
            if let Some(close) = self.argument_end()? {
                return Ok((args, close));
            }
        }
    }

    /// The closing parenthesis, or `None` after a comma.
    fn argument_end(&mut self) -> Parsed<Option<Span>> {
        let Some(comma) = self.accept(Kind::Comma)? else {
            let close = self.expect(Kind::RightParen)?;
            return Ok(Some(span_of(close)));
        };
        if starts_expression(self.peek()?.kind) {
            return Ok(None);
        }
        Err(self.error(
            span_of(comma),
            "trailing commas not allowed in function call args",
        ))
    }

    fn aggregate(&mut self, name: Token, op: AggregateOp) -> Parsed<Expr> {
        let before = self.grouping_clause()?;
        let arguments = self.arguments()?;
        self.finish_aggregate(name, op, before, arguments)
    }

    fn finish_aggregate(
        &mut self,
        name: Token,
        op: AggregateOp,
        before: Option<GroupingClause>,
        (args, close): (Vec<Expr>, Span),
    ) -> Parsed<Expr> {
        let mut clause = before;
        let mut end = close;
        if clause.is_none() {
            clause = self.grouping_clause()?;
            if let Some(clause) = &clause {
                end = clause.end;
            }
        }
        let span = join(span_of(name), end);
        let fail = |message: String| Err(self.error(span, message));
        if args.is_empty() {
            return fail("no arguments for aggregate expression provided".to_owned());
        }
        if op.is_experimental() && !self.options.experimental_functions {
            return fail(format!(
                "{}() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
                op.as_str()
            ));
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        let got = args.len();
        let mut args = args.into_iter();
        let param = if op.has_param() { args.next() } else { None };
        let (Some(expr), true) = (args.next(), got == wanted) else {
            return fail(format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {got}"
            ));
        };
        let (grouping, without) = clause.map_or((Vec::new(), false), |c| (c.labels, c.without));
        Ok(Expr {
            kind: ExprKind::Aggregate(Box::new(AggregateExpr {
                op,
                param,
                expr,
                grouping,
                without,
            })),
            span,
        })
    }

    /// `by (...)` or `without (...)`, when there is one.
    fn grouping_clause(&mut self) -> Parsed<Option<GroupingClause>> {
        let token = self.peek()?;
        if !matches!(token.kind, Kind::By | Kind::Without) {
            return Ok(None);
        }
        self.next()?;
        let (labels, end) = self.grouping_labels()?;
        Ok(Some(GroupingClause {
            labels,
            without: token.kind == Kind::Without,
            end,
        }))
    }

    fn grouping_labels(&mut self) -> Parsed<(Vec<String>, Span)> {
        self.within(Context::GroupingStart, |p| p.expect(Kind::LeftParen))?;
        let mut labels = Vec::new();
        loop {
            let close = self.within(Context::GroupingLabel, |p| {
                if let Some(close) = p.accept(Kind::RightParen)? {
                    return Ok(Some(close));
                }
                labels.push(p.grouping_label()?);
                Ok(None)
            })?;
            if let Some(close) = close {
                return Ok((labels, span_of(close)));
            }
            let close = self.within(Context::GroupingNext, |p| {
                if p.accept(Kind::Comma)?.is_some() {
                    return Ok(None);
                }
                p.expect(Kind::RightParen).map(Some)
            })?;
            if let Some(close) = close {
                return Ok((labels, span_of(close)));
            }
        }
    }

    fn grouping_label(&mut self) -> Parsed<String> {
        let token = self.peek()?;
        if names_label(token.kind) {
            self.next()?;
            return Ok(token.text(self.text).to_owned());
        }
        if token.kind != Kind::String {
            return self.unexpected();
        }
        self.next()?;
        let label = self.string_literal(token)?;
        if label.value.is_empty() || !label.is_utf8() {
            let message = format!("invalid label name for grouping: {}", label.quoted());
            return Err(self.error(span_of(token), message));
        }
        Ok(label.value)
    }

    /// `bool`, `on`/`ignoring`, `group_left`/`group_right` and the fill modifiers, in this order.
    fn binary_modifiers(&mut self) -> Parsed<(bool, VectorMatching)> {
        let return_bool = self.accept(Kind::Bool)?.is_some();
        let mut matching = VectorMatching {
            card: Cardinality::OneToOne,
            on: false,
            labels: Vec::new(),
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        };
        let token = self.peek()?;
        if matches!(token.kind, Kind::On | Kind::Ignoring) {
            self.next()?;
            matching.on = token.kind == Kind::On;
            matching.labels = self.grouping_labels()?.0;
            self.group_modifier(&mut matching)?;
        }
        self.fill_modifiers(&mut matching)?;
        Ok((return_bool, matching))
    }

    fn group_modifier(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        matching.card = match self.peek()?.kind {
            Kind::GroupLeft => Cardinality::ManyToOne,
            Kind::GroupRight => Cardinality::OneToMany,
            _ => return Ok(()),
        };
        self.next()?;
        // A parenthesis here always begins the label list, never the operand.
        let follows = self.peek()?.kind;
        if follows == Kind::LeftParen || !starts_expression(follows) {
            matching.include = self.grouping_labels()?.0;
        }
        Ok(())
    }

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        match self.peek()?.kind {
            Kind::Fill => {
                self.next()?;
                let value = self.fill_value()?;
                matching.fill_left = Some(value);
                matching.fill_right = Some(value);
            }
            Kind::FillLeft => {
                self.next()?;
                matching.fill_left = Some(self.fill_value()?);
                if self.accept(Kind::FillRight)?.is_some() {
                    matching.fill_right = Some(self.fill_value()?);
                }
            }
            Kind::FillRight => {
                self.next()?;
                matching.fill_right = Some(self.fill_value()?);
                if self.accept(Kind::FillLeft)?.is_some() {
                    matching.fill_left = Some(self.fill_value()?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(Kind::LeftParen)?;
        let sign = self.peek()?.kind;
        if matches!(sign, Kind::Add | Kind::Sub) {
            self.next()?;
        }
        let token = self.peek()?;
        if !matches!(token.kind, Kind::Number | Kind::Duration) {
            return self.unexpected();
        }
        self.next()?;
        let value = self.number_literal(token)?.value;
        self.expect(Kind::RightParen)?;
        Ok(if sign == Kind::Sub { -value } else { value })
    }
}

/// An operator between two operands.
struct Link {
    op: BinaryOp,
    precedence: u8,
    span: Span,
    return_bool: bool,
    matching: Box<VectorMatching>,
}

/// A sign is folded into a number.
fn signed(sign: Token, mut operand: Expr) -> Expr {
    let span = join(span_of(sign), operand.span);
    if let ExprKind::Number(literal) = &mut operand.kind {
        if sign.kind == Kind::Sub {
            literal.value = -literal.value;
        }
        operand.span = span;
        return operand;
    }
    let op = if sign.kind == Kind::Sub {
        UnaryOp::Minus
    } else {
        UnaryOp::Plus
    };
    Expr {
        kind: ExprKind::Unary(op, Box::new(operand)),
        span,
    }
}

struct GroupingClause {
    labels: Vec<String>,
    without: bool,
    end: Span,
}
