//! How rules ask questions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bellwether_model::Labels;
use bellwether_model::storage::Queryable;
use bellwether_promql::ast::Expr;
use bellwether_promql::{
    Engine, ParseError, Point, QueryError, QueryOptions, QueryResult, Value, VectorSample,
};

/// Why a question has no answer that a rule can use.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The text is no expression.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// A range vector or a text.
    #[error("rule result is not a vector or scalar")]
    NotAVector,
}

/// What a rule asks.
#[derive(Clone, Copy, Debug)]
pub struct RuleQuery<'a> {
    /// The expression.
    pub expr: &'a Expr,
    /// Its text, for logs.
    pub text: &'a str,
    /// Time of the evaluation in milliseconds.
    pub at_ms: i64,
    /// File of the rule's group.
    pub file: &'a str,
    /// Name of the rule's group.
    pub group: &'a str,
    /// Setting it ends the query soon.
    pub cancel: &'a Arc<AtomicBool>,
}

/// Answers instant queries. Calls block.
pub trait Evaluate: Send + Sync {
    /// Evaluates an expression at a time.
    ///
    /// # Errors
    /// [`EvalError::Query`].
    fn evaluate(&self, query: RuleQuery<'_>) -> Result<QueryResult, EvalError>;

    /// Parses an expression.
    ///
    /// # Errors
    /// [`EvalError::Parse`].
    fn parse(&self, text: &str) -> Result<Expr, EvalError>;
}

/// An engine over a storage, without limits on how many queries run at once.
pub struct EngineQueries {
    /// Evaluates.
    pub engine: Engine,
    /// Holds the data.
    pub storage: Arc<dyn Queryable>,
}

impl Evaluate for EngineQueries {
    fn evaluate(&self, query: RuleQuery<'_>) -> Result<QueryResult, EvalError> {
        let options = QueryOptions {
            cancel: Some(Arc::clone(query.cancel)),
            ..QueryOptions::default()
        };
        let (expr, at_ms) = (query.expr, query.at_ms);
        Ok(self
            .engine
            .instant_expr(&*self.storage, expr, at_ms, &options)?)
    }

    fn parse(&self, text: &str) -> Result<Expr, EvalError> {
        Ok(self.engine.parse(text)?)
    }
}

/// The samples of a result; a scalar is one sample without labels.
///
/// # Errors
/// [`EvalError::NotAVector`].
pub(crate) fn samples(result: QueryResult) -> Result<Vec<VectorSample>, EvalError> {
    match result.value {
        Value::Vector(samples) => Ok(samples),
        Value::Scalar { t, v } => Ok(vec![VectorSample {
            labels: Labels::empty(),
            t,
            point: Point::Float(v),
        }]),
        Value::Matrix(_) | Value::String { .. } => Err(EvalError::NotAVector),
    }
}
