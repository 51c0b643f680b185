//! The time series database: Prometheus' on-disk format around an engine of our own.

mod block;
mod chunk;
mod compact;
pub mod db;
mod encoding;
pub mod error;
mod head;
mod lock;
mod maintenance;
mod merge;
pub mod options;
mod select;
pub mod stats;
mod tombstones;
pub mod wal;

pub use block::meta::{BlockCompaction, BlockMeta, BlockParent, BlockStats};
pub use db::{Db, MaintenanceReport, SeriesExemplars};
pub use error::TsdbError;
pub use options::{Clock, DbOptions, WalCompression, WalSync, system_clock};
pub use stats::{Cardinality, DbStats};
pub use wal::files::{RealFiles, SegmentFile, SegmentFiles};
