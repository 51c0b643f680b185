//! The write-ahead log: Prometheus' segments, pages and records.
//!
//! `record` says what is logged, `page` how records lie in 32 KiB pages, `writer` appends, `reader` reads one
//! segment, `repair` heals damaged ones, `checkpoint` replaces old segments by what is still needed of them,
//! `log_sync` forces them to the disk.

pub(crate) mod checkpoint;
pub(crate) mod log_sync;
pub(crate) mod page;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod repair;
pub(crate) mod segments;
pub(crate) mod writer;

#[cfg(test)]
mod tests;
