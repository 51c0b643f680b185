//! Durations in brackets and after `offset`: literals and arithmetic over them.

use super::{Context, Parsed, Parser, join, span_of};
use crate::ast::{
    BinaryOp, DurationExpr, DurationNode, DurationNodeKind, NumberLiteral, Span, UnaryOp,
};
use crate::lexer::{Kind, Token};

/// 2^63 nanoseconds in seconds.
const MAX_SECONDS: f64 = 9_223_372_036.854_776;

const PRODUCT: u8 = 2;

/// Precedence, and whether the operator groups to the right.
fn operator(kind: Kind) -> Option<(BinaryOp, u8, bool)> {
    Some(match kind {
        Kind::Add => (BinaryOp::Add, 1, false),
        Kind::Sub => (BinaryOp::Sub, 1, false),
        Kind::Mul => (BinaryOp::Mul, PRODUCT, false),
        Kind::Div => (BinaryOp::Div, PRODUCT, false),
        Kind::Mod => (BinaryOp::Mod, PRODUCT, false),
        Kind::Pow => (BinaryOp::Pow, 3, true),
        _ => return None,
    })
}

impl Parser<'_> {
    /// A range or step: a constant has to be positive, arithmetic is checked when it is evaluated.
    pub(super) fn positive_duration(&mut self) -> Parsed<DurationExpr> {
        let node = self.duration_expression(0)?;
        // What follows decides whether the expression is over; its lexical errors come first.
        self.peek()?;
        if let DurationNodeKind::Literal(literal) = &node.kind
            && literal.value <= 0.0
        {
            return Err(self.error(node.span, "duration must be greater than 0"));
        }
        Ok(finish(node))
    }

    /// What follows `offset`. Operators after it belong to the surrounding expression (`x offset 5m + y`),
    /// except after a parenthesis, where Prometheus' grammar reads on: `x offset (5m) + 3m`.
    pub(super) fn offset_duration(&mut self) -> Parsed<(DurationExpr, Span)> {
        let first = self.peek()?;
        let node = match first.kind {
            Kind::Add | Kind::Sub => {
                self.next()?;
                let operand = self.peek()?;
                if matches!(operand.kind, Kind::Add | Kind::Sub) {
                    let operand = self.nested(|p| p.duration_expression(PRODUCT + 1))?;
                    let lhs = self.signed(first, operand)?;
                    self.duration_operators(lhs, 0)?
                } else {
                    let operand = self.duration_operand()?;
                    self.signed(first, operand)?
                }
            }
            Kind::LeftParen => self.duration_expression(0)?,
            _ => self.duration_operand()?,
        };
        let span = node.span;
        Ok((finish(node), span))
    }

    fn duration_expression(&mut self, min: u8) -> Parsed<DurationNode> {
        let first = self.peek()?;
        let lhs = if matches!(first.kind, Kind::Add | Kind::Sub) {
            self.next()?;
            let operand = self.nested(|p| p.duration_expression(PRODUCT + 1))?;
            self.signed(first, operand)?
        } else {
            self.duration_operand()?
        };
        self.duration_operators(lhs, min)
    }

    fn duration_operators(&mut self, mut lhs: DurationNode, min: u8) -> Parsed<DurationNode> {
        let mut chain = 0;
        loop {
            let token = self.peek()?;
            let Some((op, precedence, right)) = operator(token.kind) else {
                return Ok(lhs);
            };
            if precedence < min {
                return Ok(lhs);
            }
            self.next()?;
            let rhs_min = if right { precedence } else { precedence + 1 };
            let rhs = self.nested(|p| p.duration_expression(rhs_min))?;
            // Duration trees are small in practice: their chains count as nesting, so that all may recurse.
            chain += 1;
            self.check_nesting(chain)?;
            self.need_duration_expressions(lhs.span)?;
            if let DurationNodeKind::Literal(NumberLiteral { value: 0.0, .. }) = rhs.kind {
                match op {
                    BinaryOp::Div => return Err(self.error(span_of(token), "division by zero")),
                    BinaryOp::Mod => return Err(self.error(span_of(token), "modulo by zero")),
                    _ => {}
                }
            }
            let span = join(lhs.span, rhs.span);
            lhs = DurationNode {
                kind: DurationNodeKind::Binary(op, Box::new(lhs), Box::new(rhs)),
                span,
            };
        }
    }

    /// A literal, `step()`, `range()`, `min_of`, `max_of` or a parenthesis.
    fn duration_operand(&mut self) -> Parsed<DurationNode> {
        let token = self.peek()?;
        match token.kind {
            Kind::Number | Kind::Duration => {
                self.next()?;
                let literal = self.number_literal(token)?;
                let span = span_of(token);
                if literal.value.abs() > MAX_SECONDS {
                    return Err(self.error(span, "duration out of range"));
                }
                Ok(DurationNode {
                    kind: DurationNodeKind::Literal(literal),
                    span,
                })
            }
            Kind::Step | Kind::Range => {
                self.next()?;
                self.expect(Kind::LeftParen)?;
                let close = self.expect(Kind::RightParen)?;
                let kind = if token.kind == Kind::Step {
                    DurationNodeKind::Step
                } else {
                    DurationNodeKind::Range
                };
                self.duration_call(token, close, kind)
            }
            Kind::MaxOf | Kind::MinOf => {
                self.next()?;
                self.expect(Kind::LeftParen)?;
                let first = Box::new(self.nested(|p| p.duration_expression(0))?);
                self.expect(Kind::Comma)?;
                let second = Box::new(self.nested(|p| p.duration_expression(0))?);
                let close = self.expect(Kind::RightParen)?;
                let kind = if token.kind == Kind::MaxOf {
                    DurationNodeKind::Max(first, second)
                } else {
                    DurationNodeKind::Min(first, second)
                };
                self.duration_call(token, close, kind)
            }
            Kind::LeftParen => {
                self.next()?;
                let inner = self.nested(|p| p.duration_expression(0))?;
                let close = self.expect(Kind::RightParen)?;
                self.need_duration_expressions(inner.span)?;
                Ok(DurationNode {
                    kind: DurationNodeKind::Paren(Box::new(inner)),
                    span: join(span_of(token), span_of(close)),
                })
            }
            _ => self.unexpected(),
        }
    }

    fn duration_call(
        &self,
        name: Token,
        close: Token,
        kind: DurationNodeKind,
    ) -> Parsed<DurationNode> {
        let span = join(span_of(name), span_of(close));
        self.need_duration_expressions(span)?;
        Ok(DurationNode { kind, span })
    }

    /// A sign is folded into a literal; a plus before anything else says nothing.
    fn signed(&self, sign: Token, mut operand: DurationNode) -> Parsed<DurationNode> {
        let span = join(span_of(sign), operand.span);
        match &mut operand.kind {
            DurationNodeKind::Literal(literal) => {
                if sign.kind == Kind::Sub {
                    literal.value = -literal.value;
                }
                operand.span = span;
                Ok(operand)
            }
            _ if sign.kind == Kind::Sub => Ok(DurationNode {
                kind: DurationNodeKind::Unary(UnaryOp::Minus, Box::new(operand)),
                span,
            }),
            _ => Ok(operand),
        }
    }

    fn need_duration_expressions(&self, span: Span) -> Parsed<()> {
        if self.options.duration_expressions {
            Ok(())
        } else {
            Err(self.error(span, "experimental duration expression is not enabled"))
        }
    }

    /// `[range]`, `[range:]` and `[range:step]` up to and with the closing bracket, after the opening one.
    pub(super) fn bracket(&mut self) -> Parsed<Bracket> {
        let range = self.within(Context::Bracket, Self::positive_duration)?;
        let colon = self.within(Context::BracketNext, |p| {
            if p.at(Kind::RightBracket)? {
                return Ok(false);
            }
            p.expect(Kind::Colon).map(|_| true)
        })?;
        if !colon {
            let close = self.expect(Kind::RightBracket)?;
            return Ok(Bracket {
                range,
                subquery: None,
                close,
            });
        }
        let step = self.within(Context::SubqueryStep, |p| {
            if p.at(Kind::RightBracket)? {
                return Ok(None);
            }
            p.positive_duration().map(Some)
        })?;
        let close = self.within(Context::SubqueryEnd, |p| p.expect(Kind::RightBracket))?;
        Ok(Bracket {
            range,
            subquery: Some(step),
            close,
        })
    }
}

/// What brackets hold.
pub(super) struct Bracket {
    pub(super) range: DurationExpr,
    /// With a colon: a sub-query, with its step.
    pub(super) subquery: Option<Option<DurationExpr>>,
    pub(super) close: Token,
}

/// Constants become whole milliseconds.
fn finish(node: DurationNode) -> DurationExpr {
    match node.kind {
        DurationNodeKind::Literal(literal) => {
            DurationExpr::Millis((literal.value * 1e3).round() as i64)
        }
        _ => DurationExpr::Node(Box::new(node)),
    }
}
