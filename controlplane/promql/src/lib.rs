//! PromQL: parser, planner and evaluator over any [`bellwether_model::storage::Queryable`].
//!
//! ```text
//! text --parser--> ast::Expr --plan--> plan::Node --eval--> series x steps --> Value + Annotations
//! ```
//!
//! A query is evaluated node by node, each node once for the whole range: its result is a set of series
//! with one column of values (a value per step). An instant query is a range of one step. Selected series
//! are decoded once each into a reused buffer, windows of range functions slide over it, and aggregations
//! consume their input in batches of series, so that memory follows the number of groups.
//!
//! Invariants:
//! - results do not depend on thread timing: series are read sorted by labels and folded in that order;
//! - a missing sample in a column is the stale marker's bit pattern, which no operation produces;
//! - every loop over series or steps checks the deadline, the cancel flag and the sample limit.
//!
//! Entry points: [`Engine::instant`], [`Engine::range`], [`Engine::explain`], [`parser::parse`]. [`testlang`] runs scripts in
//! Prometheus' test language against any engine options.

pub mod annotations;
pub mod ast;
pub mod engine;
pub mod error;
mod eval;
pub mod explain;
mod floats;
mod functions;
mod lexer;
pub mod parser;
mod plan;
pub mod position;
pub mod printer;
mod recent;
pub mod signature;
pub mod testlang;
pub mod value;
pub mod walk;

pub use annotations::{Annotation, AnnotationKind, Annotations};
pub use engine::{Engine, EngineOptions, QueryOptions, QueryResult, QueryStats};
pub use error::QueryError;
pub use explain::{NodeCost, PlanNode, QueryTimes};
pub use floats::Floats;
pub use parser::{ParseError, ParseOptions, parse, parse_metric_selector};
pub use value::{MatrixSeries, Point, Value, VectorSample};
