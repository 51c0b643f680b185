//! Relabelling: rules over label sets, for targets and for samples.
//!
//! [`RelabelConfig`] is the YAML of one rule; [`Rules`] is a checked, compiled list. Semantics follow
//! Prometheus 3: regular expressions are anchored, `.` matches a newline, label names may be any UTF-8 text.

mod config;
mod engine;
mod memory;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
mod working;

pub use config::{Action, RelabelConfig, RelabelError};
pub use engine::Rules;
pub(crate) use memory::Memory;
pub(crate) use working::Working;
