//! promtool's unit tests of rules: series go in, alerts and query results are compared.
//!
//! | file | what it holds |
//! |---|---|
//! | `file` | the test file |
//! | `run` | all tests of a file; one test group: evaluations, comparisons, texts |
//! | `compare` | expected and found alerts and samples, how they print, the coloured difference |
//! | `storage` | samples in memory that refuse what a database refuses |
//! | `junit` | the report for build servers |
//!
//! Files, texts and order are those of `promtool test rules` of Prometheus 3.14. Where that goes through groups in
//! random order, here it is the order of the files.

mod compare;
mod file;
mod junit;
mod run;
mod storage;
#[cfg(test)]
mod tests;

pub use junit::{JunitCase, JunitReport, JunitSuite};
pub use run::{TestOptions, TestOutcome, run_file};
