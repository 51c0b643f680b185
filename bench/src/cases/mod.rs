//! One file for each case.

pub(crate) mod blocks;
pub(crate) mod compaction;
pub(crate) mod forward;
pub(crate) mod ingest;
pub(crate) mod query;
pub(crate) mod relabel;
pub(crate) mod remote_write;
pub(crate) mod restart;
pub(crate) mod rules;
pub(crate) mod targets;
