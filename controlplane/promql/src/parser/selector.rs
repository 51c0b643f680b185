//! Selectors and the modifiers after an expression: ranges, sub-queries, `offset`, `@`, `anchored`, `smoothed`.

use bellwether_model::{MatchOp, Matcher};

use super::{Context, Parsed, Parser, byte_span, join, span_of};
use crate::ast::{
    AtModifier, DurationExpr, Expr, ExprKind, MatrixSelector, Span, SubqueryExpr, VectorSelector,
};
use crate::lexer::{Kind, Token};

const METRIC_NAME: &str = "__name__";

/// The tokens that can be a metric's name.
pub(super) fn names_metric(kind: Kind) -> bool {
    kind.is_aggregator()
        || kind.is_preprocessor()
        || matches!(
            kind,
            Kind::Identifier
                | Kind::MetricIdentifier
                | Kind::By
                | Kind::Without
                | Kind::Fill
                | Kind::FillLeft
                | Kind::FillRight
                | Kind::And
                | Kind::Or
                | Kind::Unless
                | Kind::Offset
                | Kind::Anchored
                | Kind::Smoothed
        )
}

impl Parser<'_> {
    /// A selector and nothing else.
    pub(super) fn bare_selector(&mut self) -> Parsed<Expr> {
        let token = self.peek()?;
        if names_metric(token.kind) {
            self.next()?;
            self.named_selector(token)
        } else if token.kind == Kind::LeftBrace {
            self.selector(None)
        } else {
            self.unexpected()
        }
    }

    /// A selector whose name was just read.
    pub(super) fn named_selector(&mut self, name: Token) -> Parsed<Expr> {
        self.selector(Some(name))
    }

    fn selector(&mut self, name: Option<Token>) -> Parsed<Expr> {
        let mut matchers = Vec::new();
        let mut span = name.map(span_of);
        if let Some(open) = self.accept(Kind::LeftBrace)? {
            let close = self.matchers(&mut matchers)?;
            span = Some(join(span.unwrap_or(span_of(open)), span_of(close)));
        }
        let name = name.map(|token| token.text(self.text).to_owned());
        if let Some(name) = &name {
            matchers.push(Matcher::equal(METRIC_NAME, name.clone()));
        }
        Ok(Expr {
            kind: ExprKind::VectorSelector(Box::new(VectorSelector {
                name,
                matchers,
                offset: DurationExpr::Millis(0),
                at: None,
                anchored: false,
                smoothed: false,
            })),
            span: span.unwrap_or_default(),
        })
    }

    /// Matchers up to the closing brace.
    fn matchers(&mut self, out: &mut Vec<Matcher>) -> Parsed<Token> {
        loop {
            let close = self.within(Context::MatcherStart, |p| {
                let token =
                    p.next_if(|k| matches!(k, Kind::RightBrace | Kind::Identifier | Kind::String))?;
                if token.kind == Kind::RightBrace {
                    return Ok(Some(token));
                }
                out.push(p.matcher(token)?);
                Ok(None)
            })?;
            if let Some(close) = close {
                return Ok(close);
            }
            let token = self.within(Context::MatcherNext, |p| {
                p.next_if(|k| matches!(k, Kind::Comma | Kind::RightBrace))
            })?;
            if token.kind == Kind::RightBrace {
                return Ok(token);
            }
        }
    }

    fn next_if(&mut self, accept: impl Fn(Kind) -> bool) -> Parsed<Token> {
        if accept(self.peek()?.kind) {
            self.next()
        } else {
            self.unexpected()
        }
    }

    /// `name op "value"`, or a quoted metric name alone.
    fn matcher(&mut self, name: Token) -> Parsed<Matcher> {
        let quoted = name.kind == Kind::String;
        let label = if quoted {
            self.string_value(name)?
        } else {
            name.text(self.text).to_owned()
        };
        let op = match self.peek()?.kind {
            Kind::Assign => MatchOp::Equal,
            Kind::Ne => MatchOp::NotEqual,
            Kind::RegexMatch => MatchOp::Regex,
            Kind::RegexNoMatch => MatchOp::NotRegex,
            _ if quoted => return Ok(Matcher::equal(METRIC_NAME, label)),
            _ => return self.within(Context::MatcherOperator, |p| p.unexpected()),
        };
        self.next()?;
        let value = self.within(Context::MatcherValue, |p| p.expect(Kind::String))?;
        let literal = self.string_literal(value)?;
        let place = join(span_of(name), span_of(value));
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex)
            && let Some(rest) = literal.not_utf8()
            && !is_plain(&literal.value)
        {
            let message = format!("error parsing regexp: invalid UTF-8: `{rest}`");
            return Err(self.error(place, message));
        }
        Matcher::new(op, label, literal.value).map_err(|e| self.error(place, e.to_string()))
    }

    /// Everything that may follow an operand and binds tighter than any operator.
    pub(super) fn modifiers(&mut self, mut expr: Expr) -> Parsed<Expr> {
        let mut subqueries = 0;
        loop {
            let token = self.peek()?;
            match token.kind {
                Kind::LeftBracket => {
                    self.next()?;
                    subqueries += 1;
                    self.check_nesting(subqueries)?;
                    expr = self.range_or_subquery(expr, token)?;
                }
                Kind::Offset => {
                    self.next()?;
                    let (offset, end) = self.within(Context::Offset, Self::offset_duration)?;
                    self.set_offset(&mut expr, offset, end)?;
                }
                Kind::At => {
                    self.next()?;
                    self.within(Context::At, |p| p.at_modifier(&mut expr))?;
                }
                Kind::Anchored | Kind::Smoothed => {
                    self.next()?;
                    self.set_edges(&mut expr, token)?;
                }
                _ => return Ok(expr),
            }
        }
    }

    fn range_or_subquery(&mut self, expr: Expr, open: Token) -> Parsed<Expr> {
        let bracket = self.bracket()?;
        let span = join(expr.span, span_of(bracket.close));
        if let Some(step) = bracket.subquery {
            return Ok(Expr {
                kind: ExprKind::Subquery(Box::new(SubqueryExpr {
                    expr,
                    range: bracket.range,
                    step,
                    offset: DurationExpr::Millis(0),
                    at: None,
                })),
                span,
            });
        }
        let vector_span = expr.span;
        let problem = match expr.kind {
            ExprKind::VectorSelector(vector) => {
                if vector.offset != DurationExpr::Millis(0) {
                    "no offset modifiers allowed before range"
                } else if vector.at.is_some() {
                    "no @ modifiers allowed before range"
                } else {
                    return Ok(Expr {
                        kind: ExprKind::MatrixSelector(Box::new(MatrixSelector {
                            vector: *vector,
                            vector_span,
                            range: bracket.range,
                        })),
                        span,
                    });
                }
            }
            _ => "ranges only allowed for vector selectors",
        };
        Err(self.error(byte_span(open.start, bracket.close.end), problem))
    }

    fn set_offset(&self, expr: &mut Expr, offset: DurationExpr, end: Span) -> Parsed<()> {
        let target = match &mut expr.kind {
            ExprKind::VectorSelector(vector) => &mut vector.offset,
            ExprKind::MatrixSelector(matrix) => &mut matrix.vector.offset,
            ExprKind::Subquery(subquery) => &mut subquery.offset,
            _ => {
                return Err(self.error(
                    expr.span,
                    "offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                ));
            }
        };
        // A zero offset counts as none, as in Prometheus.
        if *target != DurationExpr::Millis(0) {
            return Err(self.error(expr.span, "offset may not be set multiple times"));
        }
        *target = offset;
        expr.span.end = end.end;
        Ok(())
    }

    /// After `@`.
    fn at_modifier(&mut self, expr: &mut Expr) -> Parsed<()> {
        let first = self.peek()?;
        if matches!(first.kind, Kind::Start | Kind::End) {
            self.next()?;
            self.expect(Kind::LeftParen)?;
            let close = self.expect(Kind::RightParen)?;
            let at = if first.kind == Kind::Start {
                AtModifier::Start
            } else {
                AtModifier::End
            };
            return self.set_at(expr, at, close);
        }
        if matches!(first.kind, Kind::Add | Kind::Sub) {
            self.next()?;
        }
        let token = self.next_if(|k| matches!(k, Kind::Number | Kind::Duration))?;
        let mut seconds = self.number_literal(token)?.value;
        if first.kind == Kind::Sub {
            seconds = -seconds;
        }
        // The bounds of an int64.
        if !(seconds > -9_223_372_036_854_775_808.0 && seconds < 9_223_372_036_854_775_808.0) {
            let shown = match seconds {
                s if s.is_nan() => "NaN".to_owned(),
                s if s.is_infinite() => if s > 0.0 { "+Inf" } else { "-Inf" }.to_owned(),
                s => format!("{s:.6}"),
            };
            let message = format!("timestamp out of bounds for @ modifier: {shown}");
            return Err(self.error(expr.span, message));
        }
        let millis = (seconds * 1000.0).round() as i64;
        self.set_at(expr, AtModifier::Timestamp(millis), token)
    }

    fn set_at(&self, expr: &mut Expr, at: AtModifier, last: Token) -> Parsed<()> {
        let target = match &mut expr.kind {
            ExprKind::VectorSelector(vector) => &mut vector.at,
            ExprKind::MatrixSelector(matrix) => &mut matrix.vector.at,
            ExprKind::Subquery(subquery) => &mut subquery.at,
            _ => {
                return Err(self.error(
                    expr.span,
                    "@ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                ));
            }
        };
        if target.is_some() {
            return Err(self.error(expr.span, "@ <timestamp> may not be set multiple times"));
        }
        *target = Some(at);
        expr.span.end = span_of(last).end;
        Ok(())
    }

    /// `anchored` and `smoothed`.
    fn set_edges(&self, expr: &mut Expr, token: Token) -> Parsed<()> {
        let word = if token.kind == Kind::Anchored {
            "anchored"
        } else {
            "smoothed"
        };
        if !self.options.extended_range_selectors {
            let message = format!("{word} modifier is experimental and not enabled");
            return Err(self.error(expr.span, message));
        }
        let vector = match &mut expr.kind {
            ExprKind::VectorSelector(vector) => &mut **vector,
            ExprKind::MatrixSelector(matrix) => &mut matrix.vector,
            ExprKind::Subquery(_) => {
                let message = format!("{word} modifier is not supported for subqueries");
                return Err(self.error(expr.span, message));
            }
            _ => return Err(self.error(expr.span, format!("{word} modifier not implemented"))),
        };
        if token.kind == Kind::Anchored {
            vector.anchored = true;
        } else {
            vector.smoothed = true;
        }
        if vector.anchored && vector.smoothed {
            return Err(self.error(
                expr.span,
                "anchored and smoothed modifiers cannot be used together",
            ));
        }
        Ok(())
    }
}

/// Whether a pattern is nothing but alternatives of plain text, which Prometheus does not take for an expression.
fn is_plain(pattern: &str) -> bool {
    !pattern.contains([
        '\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$',
    ])
}
