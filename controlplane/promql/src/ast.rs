//! The syntax tree of PromQL, with byte positions into the source.
//!
//! The parser produces it fully typed and checked; the evaluator reads it; [`std::fmt::Display`] prints
//! Prometheus' canonical form. Boxed children keep a node small; depth is limited by the parser.

use bellwether_model::Matcher;
use bellwether_model::labels::quote;

/// A half-open byte range `start..end` in the query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// The type of an expression's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// One sample per series and step.
    Vector,
    /// A window of samples per series and step.
    Matrix,
    /// A string literal.
    String,
    /// Nothing (errors and statements).
    None,
}

/// An expression and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, parentheses of its own excluded.
    pub span: Span,
}

/// The node kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A number; a duration literal is a number of seconds that prints as it was written.
    Number(NumberLiteral),
    /// A string literal.
    String(StringLiteral),
    /// `( expr )`
    Paren(Box<Expr>),
    /// `-expr` or `+expr`
    Unary(UnaryOp, Box<Expr>),
    /// `lhs op rhs`
    Binary(Box<BinaryExpr>),
    /// `sum by (a) (expr)`
    Aggregate(Box<AggregateExpr>),
    /// `rate(expr)`
    Call(Box<CallExpr>),
    /// `metric{a="b"} offset 5m @ 10`
    VectorSelector(Box<VectorSelector>),
    /// `metric{a="b"}[5m]`
    MatrixSelector(Box<MatrixSelector>),
    /// `expr[1h:5m]`
    Subquery(Box<SubqueryExpr>),
}

/// A number literal.
#[derive(Clone, Debug)]
pub struct NumberLiteral {
    /// Value; a duration in seconds.
    pub value: f64,
    /// Written as a duration (`5m`): printed so.
    pub duration: bool,
}

/// Bitwise on the value, so that NaN literals are equal.
impl PartialEq for NumberLiteral {
    fn eq(&self, other: &Self) -> bool {
        self.value.to_bits() == other.value.to_bits() && self.duration == other.duration
    }
}

/// A string literal, unquoted.
///
/// Escapes such as `\xff` can make bytes that are not UTF-8. Values and labels are text, so such bytes are
/// replaced; only the printed form still shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringLiteral {
    /// The text, with U+FFFD in place of what is not UTF-8.
    pub value: String,
    /// The bytes as written, unless they are the text.
    bytes: Option<Box<[u8]>>,
}

impl StringLiteral {
    /// The literal of unquoted bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(e) => Self {
                value: String::from_utf8_lossy(e.as_bytes()).into_owned(),
                bytes: Some(e.into_bytes().into_boxed_slice()),
            },
        }
    }

    /// Whether every byte is part of the text.
    #[must_use]
    pub fn is_utf8(&self) -> bool {
        self.bytes.is_none()
    }

    /// What follows the first byte that is not UTF-8, itself included, as text.
    #[must_use]
    pub fn not_utf8(&self) -> Option<String> {
        let bytes = self.bytes.as_deref()?;
        let valid = bytes.utf8_chunks().next().map_or(0, |c| c.valid().len());
        Some(String::from_utf8_lossy(&bytes[valid..]).into_owned())
    }

    /// In double quotes, as Go's `%q` prints it: what is not UTF-8 as `\xff`.
    #[must_use]
    pub fn quoted(&self) -> String {
        let Some(bytes) = &self.bytes else {
            return quote(&self.value).into_owned();
        };
        let mut out = String::from("\"");
        for chunk in bytes.utf8_chunks() {
            let valid = quote(chunk.valid());
            out.push_str(&valid[1..valid.len() - 1]);
            for byte in chunk.invalid() {
                out.push_str(&format!("\\x{byte:02x}"));
            }
        }
        out.push('"');
        out
    }
}

impl From<String> for StringLiteral {
    fn from(value: String) -> Self {
        Self { value, bytes: None }
    }
}

/// Sign operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `>`
    Gt,
    /// `<`
    Lt,
    /// `>=`
    Ge,
    /// `<=`
    Le,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
    /// `</`: keep a histogram's observations up to a bound
    TrimUpper,
    /// `>/`: keep a histogram's observations above a bound
    TrimLower,
}

/// A binary expression.
///
/// `a + b + c ...` leans to the left: its depth is the number of operators, which only the length of the text
/// limits. Whoever walks it follows `lhs` in a loop; dropping, cloning and comparing do so as well.
#[derive(Debug)]
pub struct BinaryExpr {
    /// Operator.
    pub op: BinaryOp,
    /// Left operand.
    pub lhs: Expr,
    /// Right operand.
    pub rhs: Expr,
    /// `bool` after a comparison: 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// How vectors match; `None` unless both sides are vectors.
    pub matching: Option<VectorMatching>,
    /// Where the operator's token stands.
    pub op_span: Span,
}

impl BinaryExpr {
    /// A copy with another left operand.
    fn with_lhs(&self, lhs: Expr) -> Self {
        Self {
            op: self.op,
            lhs,
            rhs: self.rhs.clone(),
            return_bool: self.return_bool,
            matching: self.matching.clone(),
            op_span: self.op_span,
        }
    }
}

/// Without recursion along the chain.
impl Clone for BinaryExpr {
    fn clone(&self) -> Self {
        let mut outer = Vec::new();
        let mut inner = self;
        while let ExprKind::Binary(b) = &inner.lhs.kind {
            outer.push(inner);
            inner = b;
        }
        let mut copy = inner.with_lhs(inner.lhs.clone());
        while let Some(b) = outer.pop() {
            copy = b.with_lhs(Expr {
                kind: ExprKind::Binary(Box::new(copy)),
                span: b.lhs.span,
            });
        }
        copy
    }
}

/// Without recursion along the chain.
impl PartialEq for BinaryExpr {
    fn eq(&self, other: &Self) -> bool {
        let (mut a, mut b) = (self, other);
        loop {
            let same = a.op == b.op
                && a.return_bool == b.return_bool
                && a.op_span == b.op_span
                && a.matching == b.matching
                && a.rhs == b.rhs;
            if !same {
                return false;
            }
            match (&a.lhs.kind, &b.lhs.kind) {
                (ExprKind::Binary(x), ExprKind::Binary(y)) if a.lhs.span == b.lhs.span => {
                    (a, b) = (x, y);
                }
                _ => return a.lhs == b.lhs,
            }
        }
    }
}

/// Without recursion along the chain.
impl Drop for BinaryExpr {
    fn drop(&mut self) {
        let take = |expr: &mut Expr| {
            let leaf = NumberLiteral {
                value: 0.0,
                duration: false,
            };
            std::mem::replace(&mut expr.kind, ExprKind::Number(leaf))
        };
        let mut lhs = take(&mut self.lhs);
        while let ExprKind::Binary(mut b) = lhs {
            lhs = take(&mut b.lhs);
        }
    }
}

/// Which side may have several series per match group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cardinality {
    /// One to one.
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How two vectors match.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorMatching {
    /// Cardinality.
    pub card: Cardinality,
    /// `on` (true) or `ignoring` (false).
    pub on: bool,
    /// Labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// Labels of `group_left(...)`/`group_right(...)`.
    pub include: Vec<String>,
    /// `fill`/`fill_left`: the value of a missing left sample.
    pub fill_left: Option<f64>,
    /// `fill`/`fill_right`: the value of a missing right sample.
    pub fill_right: Option<f64>,
}

/// Aggregation operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

/// An aggregation.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateExpr {
    /// Operator.
    pub op: AggregateOp,
    /// The parameter of topk, quantile, count_values ...
    pub param: Option<Expr>,
    /// What is aggregated.
    pub expr: Expr,
    /// Labels of `by` or `without`.
    pub grouping: Vec<String>,
    /// `without` instead of `by`.
    pub without: bool,
}

/// A function call.
#[derive(Clone, Debug, PartialEq)]
pub struct CallExpr {
    /// The function's signature, from the one table in `functions`.
    pub func: &'static crate::signature::Signature,
    /// Arguments.
    pub args: Vec<Expr>,
}

/// `@ timestamp`, `@ start()`, `@ end()`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AtModifier {
    /// Milliseconds since the epoch.
    Timestamp(i64),
    /// Start of the query.
    Start,
    /// End of the query.
    End,
}

/// A duration inside brackets or after `offset`: a constant, or an expression that needs the query's times.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    /// Milliseconds.
    Millis(i64),
    /// Arithmetic over constants, `step()`, `range()`, `min_of`, `max_of`; evaluated once per query.
    Node(Box<DurationNode>),
}

/// A node of duration arithmetic. Values are seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct DurationNode {
    /// What it is.
    pub kind: DurationNodeKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of duration arithmetic.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationNodeKind {
    /// A literal.
    Literal(NumberLiteral),
    /// `step()`
    Step,
    /// `range()`
    Range,
    /// `-x` or `+x`
    Unary(UnaryOp, Box<DurationNode>),
    /// `x op y` with `+ - * / % ^`
    Binary(BinaryOp, Box<DurationNode>, Box<DurationNode>),
    /// `min_of(x, y)`
    Min(Box<DurationNode>, Box<DurationNode>),
    /// `max_of(x, y)`
    Max(Box<DurationNode>, Box<DurationNode>),
    /// `( x )`
    Paren(Box<DurationNode>),
}

/// An instant selector.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorSelector {
    /// The metric name before the braces, where there is one; also present in `matchers`.
    pub name: Option<String>,
    /// All matchers, the name's included.
    pub matchers: Vec<Matcher>,
    /// `offset`; zero without one.
    pub offset: DurationExpr,
    /// `@`
    pub at: Option<AtModifier>,
    /// `anchored`
    pub anchored: bool,
    /// `smoothed`
    pub smoothed: bool,
}

/// A range selector.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    /// The selector; offset and `@` stand here.
    pub vector: VectorSelector,
    /// The selector's own span, brackets and modifiers excluded.
    pub vector_span: Span,
    /// Window length.
    pub range: DurationExpr,
}

/// A subquery.
#[derive(Clone, Debug, PartialEq)]
pub struct SubqueryExpr {
    /// What is evaluated inside.
    pub expr: Expr,
    /// Window length.
    pub range: DurationExpr,
    /// Step; `None` means the server's default evaluation interval.
    pub step: Option<DurationExpr>,
    /// `offset`
    pub offset: DurationExpr,
    /// `@`
    pub at: Option<AtModifier>,
}

impl ValueType {
    /// The name in results and sub-query errors: `scalar`, `vector`, `matrix`, `string`, `none`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
            Self::None => "none",
        }
    }

    /// The name in the documentation and most errors: `instant vector`, `range vector`.
    #[must_use]
    pub fn documented(self) -> &'static str {
        match self {
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            other => other.as_str(),
        }
    }
}

impl UnaryOp {
    /// The operator's text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plus => "+",
            Self::Minus => "-",
        }
    }
}

impl BinaryOp {
    /// The operator's text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Gt => ">",
            Self::Lt => "<",
            Self::Ge => ">=",
            Self::Le => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Eq | Self::Ne | Self::Gt | Self::Lt | Self::Ge | Self::Le
        )
    }

    /// `and`, `or`, `unless`.
    #[must_use]
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

impl AggregateOp {
    /// The operator's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Whether it takes a parameter before the vector.
    #[must_use]
    pub fn has_param(self) -> bool {
        matches!(
            self,
            Self::Topk
                | Self::Bottomk
                | Self::CountValues
                | Self::Quantile
                | Self::Limitk
                | Self::LimitRatio
        )
    }

    /// Whether it needs `--enable-feature=promql-experimental-functions`.
    #[must_use]
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

impl Expr {
    /// The type of the expression's value. Takes time in the length of a chain of operators, no stack.
    #[must_use]
    pub fn value_type(&self) -> ValueType {
        let mut expr = self;
        // Inside a binary expression everything but a scalar makes a vector.
        let mut operand = false;
        loop {
            let found = match &expr.kind {
                ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => {
                    expr = inner;
                    continue;
                }
                ExprKind::Binary(b) => {
                    if b.rhs.value_type() != ValueType::Scalar {
                        return ValueType::Vector;
                    }
                    operand = true;
                    expr = &b.lhs;
                    continue;
                }
                ExprKind::Number(_) => ValueType::Scalar,
                ExprKind::String(_) => ValueType::String,
                ExprKind::Aggregate(_) | ExprKind::VectorSelector(_) => ValueType::Vector,
                ExprKind::Call(c) => c.func.returns,
                ExprKind::MatrixSelector(_) | ExprKind::Subquery(_) => ValueType::Matrix,
            };
            return if operand && found != ValueType::Scalar {
                ValueType::Vector
            } else {
                found
            };
        }
    }
}
