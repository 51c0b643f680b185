//! What the `query` case is made of: the data, the questions, the measurement, the tables.

pub(crate) mod answers;
pub(crate) mod data;
pub(crate) mod measure;
pub(crate) mod questions;
pub(crate) mod table;
