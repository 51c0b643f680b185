//! Scripts in Prometheus' test language: load series, evaluate expressions, compare results.
//!
//! [`parse`](script::parse) turns a script into commands, [`run`] executes them against an engine and a
//! [`storage::MemoryStorage`] and reports every evaluation that did not give what the script expects. Each
//! instant evaluation is also repeated with its selectors pinned by `@` at other times, and as the middle step
//! of a range query, as upstream does it.

mod chunk;
mod compare;
mod nhcb;
mod run;
pub mod script;
pub mod show;
pub mod storage;
mod values;

pub use run::{Case, Failure, Report, engine_options, load, run, run_cases};
pub use values::SequenceValue;
