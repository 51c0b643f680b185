//! The time series database: Prometheus' on-disk format around an engine of our own.
//!
//! ```text
//!   Appender --commit--> wal/ (log) --then--> head (memory) --every 2 h--> blocks --levels--> larger blocks
//!                                               |                            |
//!   Querier  <------------- merge --------------+----------------------------+
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`db`] | the public door: [`Db`] opens a directory, appends, queries, deletes, snapshots |
//! | [`options`], [`error`], [`stats`] | what goes in and what is told |
//! | [`files`] | the seam to the file system |
//! | `head` | newest samples: interned labels, postings, open chunks, transactions, replay, forgetting |
//! | [`agent`] | the storage of agent mode: the log without a head |
//! | [`log_tail`] | reading the log while it is written |
//! | [`wal`] | segments, pages, records, writer, reader, repair, checkpoints |
//! | `chunk` | XOR and native histogram encodings; the scratch file for what open chunks no longer write to |
//! | `block` | index, chunk files, `meta.json`, writing, merging, reading |
//! | `maintenance`, `compact` | blocks from the head, truncation, levels, retention |
//! | `select`, `merge` | matchers to series ids; one querier over many parts |
//! | `chunk_read` | reads that keep the encoded chunks, for those who pass them on |
//! | [`read_only`], `analyze`, [`verify`], [`block_builder`] | what tools need: reading beside the owner, figures, checks, backfilling |
//! | `tombstones`, `lock`, `encoding` | deleted ranges; one process per directory; bytes |
//!
//! Invariants:
//! - **Acknowledged means logged.** A commit writes its records to the operating system in one piece before
//!   anything of it is visible; when that fails nothing is stored and the log ends where it ended before.
//! - **Order of publication is order of the log**, so replay rebuilds the same head.
//! - **A query sees whole transactions**, the same ones for all its selections, however long it runs, and
//!   each sample from a block or from the head, never from both or neither.
//! - **A directory is always openable.** Whatever is written takes its place by a rename after a sync; damage
//!   is repaired or set aside with one log line and a counter.
//! - **What is gone stays gone.** Samples that a deletion or retention took never come back from the log; where no
//!   block says any more where the head begins, the file `horizon` does.
//! - **Prometheus can go on with the directory**, and we with its: but for `horizon`, which it passes over, nothing is
//!   written that Prometheus 3.5 does not read, and unknown record types are skipped.
//!
//! Samples that come out of order, within the window that the options give, go to a log of their own (`wbl/`) and
//! beside the in-order chunks of their series; queries merge both, and compaction makes blocks of their own of them.
//!
//! Everything is synchronous; the caller runs [`Db::run_maintenance`] about once a minute off its async threads. Of its
//! own the database has one thread, which writes the scratch file and ends with [`Db::close`].

pub mod agent;
mod analyze;
mod block;
pub mod block_builder;
mod chunk;
mod chunk_read;
mod compact;
pub mod db;
mod encoding;
pub mod error;
pub mod files;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
#[cfg(test)]
mod fuzz_tests;
mod head;
mod lock;
pub mod log_tail;
mod maintenance;
mod merge;
pub mod options;
pub mod read_only;
mod select;
pub mod stats;
mod tombstones;
pub mod verify;
pub mod wal;

pub use agent::{AgentDb, AgentOptions, AgentStats};
pub use analyze::{BlockAnalysis, ChunkAnalysis};
pub use block::meta::{BlockCompaction, BlockMeta, BlockParent, BlockStats};
pub use block_builder::BlockBuilder;
pub use chunk_read::{ChunkSeries, StoredChunk, read_chunk};
pub use db::{Db, MaintenanceReport, SeriesExemplars};
pub use error::TsdbError;
pub use files::{DirEntry, FileBytes, Files, HeldLock, OpenFile, RealFiles};
pub use log_tail::{LogPosition, LogTail};
pub use merge::MergeQuerier;
pub use options::{
    Clock, DbOptions, Random, Retention, SyncWorker, WalCompression, WalSync, system_clock,
    system_random,
};
pub use read_only::{BlockInfo, ReadOnlyDb, SampleValue};
pub use stats::{Cardinality, DbStats, Ingested};
pub use verify::{Problem, VerifyReport, verify};
