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

/// Answers instant queries. Calls block.
pub trait Evaluate: Send + Sync {
    /// Evaluates an expression at a time (milliseconds). Setting `cancel` ends it soon.
    ///
    /// # Errors
    /// [`EvalError::Query`].
    fn evaluate(
        &self,
        expr: &Expr,
        at_ms: i64,
        cancel: &Arc<AtomicBool>,
    ) -> Result<QueryResult, EvalError>;

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
    fn evaluate(
        &self,
        expr: &Expr,
        at_ms: i64,
        cancel: &Arc<AtomicBool>,
    ) -> Result<QueryResult, EvalError> {
        let options = QueryOptions {
            cancel: Some(Arc::clone(cancel)),
            ..QueryOptions::default()
        };
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
