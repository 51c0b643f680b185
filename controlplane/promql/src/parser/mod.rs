//! The parser: recursive descent with operator precedence, over a lexer pulled one token at a time.
//!
//! [`parse`] reads the syntax (`expr`, `selector`, `duration_expr`, `literal`), then `check` types the tree. The
//! first error wins; texts and positions are Prometheus' own. Where a token is unexpected, Prometheus names the
//! innermost construct that knows what should have come: `Context` carries that.
//!
//! Limits, which Prometheus does not have: a text of at most [`MAX_TEXT_BYTES`], nesting of at most
//! [`MAX_NESTING`]. Chains of left-associative operators do not count as nesting.

mod check;
mod duration_expr;
mod expr;
pub(crate) mod literal;
mod selector;
#[cfg(test)]
mod tests;

use std::fmt;

use bellwether_model::Matcher;

use crate::ast::{Expr, ExprKind, Span};
use crate::lexer::{Kind, LexError, Lexer, Token};
use crate::position::line_col;

/// Longest accepted text.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

/// Deepest accepted nesting of parentheses, calls, unary operators, powers and sub-queries. Parser and evaluator
/// recurse over these: at this limit even unoptimised builds stay within a thread of 2 MiB.
pub const MAX_NESTING: usize = 128;

/// Which parts of the language are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseOptions {
    /// Functions and aggregations behind `promql-experimental-functions`.
    pub experimental_functions: bool,
    /// Arithmetic in range and offset durations; on by default since 3.14.
    pub duration_expressions: bool,
    /// `anchored` and `smoothed`.
    pub extended_range_selectors: bool,
    /// `fill`, `fill_left`, `fill_right`.
    pub fill_modifiers: bool,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            experimental_functions: false,
            duration_expressions: true,
            extended_range_selectors: false,
            fill_modifiers: false,
        }
    }
}

impl ParseOptions {
    /// Everything on.
    #[must_use]
    pub fn all() -> Self {
        Self {
            experimental_functions: true,
            duration_expressions: true,
            extended_range_selectors: true,
            fill_modifiers: true,
        }
    }
}

/// Why a text is not a valid expression. Displays as Prometheus does: `1:5: parse error: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where; empty at 0 when the position is unknown.
    pub span: Span,
    /// What is wrong.
    pub message: String,
    /// Line and column of the span's start, from 1; `None` for an empty text.
    pub position: Option<(usize, usize)>,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(f, "{line}:{column}: parse error: {}", self.message),
            None => write!(f, "unknown position: parse error: {}", self.message),
        }
    }
}

impl std::error::Error for ParseError {}

/// Parses and checks an expression.
///
/// # Errors
/// The first error that Prometheus would report, or that a limit of this module was passed.
pub fn parse(text: &str, options: &ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, *options)?;
    if parser.peek()?.kind == Kind::Eof {
        return Err(parser.error(Span::default(), "no expression found in input"));
    }
    let mut expr = parser.expression()?;
    parser.expect(Kind::Eof)?;
    check::check(&mut expr, &parser)?;
    Ok(expr)
}

/// Parses a bare selector, as `match[]` parameters hold it. Matchers that all match the empty text are not an
/// error here.
///
/// # Errors
/// As [`parse`].
pub fn parse_metric_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text, ParseOptions::default())?;
    let expr = parser.bare_selector()?;
    parser.expect(Kind::Eof)?;
    match expr.kind {
        ExprKind::VectorSelector(selector) => Ok(selector.matchers),
        _ => Err(parser.error(expr.span, "a selector was expected")),
    }
}

type Parsed<T> = Result<T, ParseError>;

/// The construct that explains an unexpected token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Context {
    Top,
    Aggregation,
    GroupingStart,
    GroupingLabel,
    GroupingNext,
    MatcherStart,
    MatcherOperator,
    MatcherValue,
    MatcherNext,
    Offset,
    At,
    Bracket,
    BracketNext,
    SubqueryStep,
    SubqueryEnd,
}

impl Context {
    /// What was being read and what should have come.
    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::Top => ("", ""),
            Self::Aggregation => ("aggregation", ""),
            Self::GroupingStart => ("grouping opts", "\"(\""),
            Self::GroupingLabel => ("grouping opts", "label"),
            Self::GroupingNext => ("grouping opts", "\",\" or \")\""),
            Self::MatcherStart => ("label matching", "identifier or \"}\""),
            Self::MatcherOperator => ("label matching", "label matching operator"),
            Self::MatcherValue => ("label matching", "string"),
            Self::MatcherNext => ("label matching", "\",\" or \"}\""),
            Self::Offset => ("offset", "number, duration, step(), or range()"),
            Self::At => ("@", "timestamp"),
            Self::Bracket => (
                "subquery or range selector",
                "number, duration, step(), or range()",
            ),
            Self::BracketNext => ("subquery or range", "\":\" or \"]\""),
            Self::SubqueryStep => (
                "subquery selector",
                "number, duration, step(), range(), or \"]\"",
            ),
            Self::SubqueryEnd => ("subquery selector", "\"]\""),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    peeked: Option<Token>,
    options: ParseOptions,
    context: Context,
    nesting: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, options: ParseOptions) -> Parsed<Self> {
        let parser = Self {
            text,
            lexer: Lexer::new(text),
            peeked: None,
            options,
            context: Context::Top,
            nesting: 0,
        };
        if text.len() > MAX_TEXT_BYTES {
            let message = format!(
                "expression of {} bytes is longer than the limit of {MAX_TEXT_BYTES}",
                text.len()
            );
            return Err(parser.error(Span::default(), message));
        }
        Ok(parser)
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        let position = (!self.text.is_empty()).then(|| line_col(self.text, span.start as usize));
        ParseError {
            span,
            message: message.into(),
            position,
        }
    }

    fn peek(&mut self) -> Parsed<Token> {
        if let Some(token) = self.peeked {
            return Ok(token);
        }
        match self.lexer.next_token() {
            Ok(token) => {
                self.peeked = Some(token);
                Ok(token)
            }
            Err(LexError { start, message }) => {
                Err(self.error(byte_span(start, self.text.len()), message))
            }
        }
    }

    fn next(&mut self) -> Parsed<Token> {
        let token = self.peek()?;
        self.peeked = None;
        Ok(token)
    }

    fn at(&mut self, kind: Kind) -> Parsed<bool> {
        Ok(self.peek()?.kind == kind)
    }

    /// Takes the token when it is of that kind.
    fn accept(&mut self, kind: Kind) -> Parsed<Option<Token>> {
        Ok(if self.at(kind)? {
            self.peeked.take()
        } else {
            None
        })
    }

    fn expect(&mut self, kind: Kind) -> Parsed<Token> {
        match self.accept(kind)? {
            Some(token) => Ok(token),
            None => self.unexpected(),
        }
    }

    /// The error for the next token, which nothing here can begin with.
    fn unexpected<T>(&mut self) -> Parsed<T> {
        let token = self.peek()?;
        let (context, expected) = self.context.texts();
        let mut message = format!("unexpected {}", token.describe(self.text));
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        Err(self.error(span_of(token), message))
    }

    /// Runs `read` with a context of its own; the former one is back afterwards.
    fn within<T>(
        &mut self,
        context: Context,
        read: impl FnOnce(&mut Self) -> Parsed<T>,
    ) -> Parsed<T> {
        let outer = std::mem::replace(&mut self.context, context);
        let result = read(self);
        self.context = outer;
        result
    }

    /// Goes one level deeper. Errors end the parse, so the counter is only taken back on success.
    fn descend(&mut self) -> Parsed<()> {
        self.check_nesting(0)?;
        self.nesting += 1;
        Ok(())
    }

    /// Whether `more` levels still fit.
    fn check_nesting(&mut self, more: usize) -> Parsed<()> {
        if self.nesting + more < MAX_NESTING {
            return Ok(());
        }
        let token = self.peek()?;
        let message = format!("expression is nested more than {MAX_NESTING} levels deep");
        Err(self.error(span_of(token), message))
    }

    /// Runs `read` one level deeper.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.descend()?;
        let result = read(self);
        self.nesting -= 1;
        result
    }
}

/// Positions fit: texts are limited to [`MAX_TEXT_BYTES`].
fn byte_span(start: usize, end: usize) -> Span {
    let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span {
        start: narrow(start),
        end: narrow(end),
    }
}

fn span_of(token: Token) -> Span {
    byte_span(token.start, token.end)
}

fn join(first: Span, last: Span) -> Span {
    Span {
        start: first.start,
        end: last.end,
    }
}
