//! What command line tools need of storage and formats together: backfilling and the write benchmark.

pub mod backfill;
pub mod bench;
pub mod rule_backfill;
