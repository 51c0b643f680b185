//! Blocks made from samples that did not come through a server: backfilling.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::Labels;
use bellwether_model::storage::AppendError;

use crate::block::Block;
use crate::block::write;
use crate::error::TsdbError;
use crate::files::RealFiles;
use crate::head::series::{Appended, Txn};
use crate::head::{Head, HeadOptions};
use crate::options::{DbOptions, SyncWorker};
use crate::read_only::{BlockInfo, info};
use crate::stats::Counters;

/// Everything is one transaction: nobody reads before the end.
const TXN: u64 = 1;

/// Collects samples in memory and writes them as one block.
pub struct BlockBuilder {
    dir: PathBuf,
    head: Head,
}

impl BlockBuilder {
    /// A builder of a block in the directory `dir`. Chunks do not cross multiples of `chunk_range_ms`
    /// milliseconds, which must be positive.
    #[must_use]
    pub fn new(dir: &Path, chunk_range_ms: i64) -> Self {
        let options = HeadOptions {
            block_range: chunk_range_ms.max(1),
            exemplars_max: 0,
            series_limit: 0,
            spill_bytes: usize::MAX,
            files: Arc::new(RealFiles),
            sync_worker: SyncWorker::Caller,
        };
        Self {
            dir: dir.to_path_buf(),
            head: Head::new(options, Arc::new(Counters::default())),
        }
    }

    /// Adds a sample. The same sample again changes nothing.
    ///
    /// # Errors
    /// A sample that is older than the series' newest, or another value at the same time.
    pub fn append(&self, labels: &Labels, t: i64, v: f64) -> Result<(), AppendError> {
        let (series, _) = self.head.get_or_create(labels, None)?;
        series.state().read().check_float(t, v)?;
        let txn = Txn {
            number: TXN,
            watermark: TXN,
            chunk_range: self.head.options.block_range,
        };
        if let Appended::Stored { .. } = series.append_float(t, v, txn) {
            self.head.widen_times(t, t);
        }
        Ok(())
    }

    /// Writes the block, from the first sample to just behind the last. `None` without samples.
    ///
    /// # Errors
    /// I/O.
    pub fn write(self) -> Result<Option<BlockInfo>, TsdbError> {
        let (mint, maxt) = (self.head.min_time(), self.head.max_time());
        if mint > maxt {
            return Ok(None);
        }
        let end = maxt.saturating_add(1);
        let ulid = DbOptions::default().new_ulid();
        let path = write::write_head(&self.dir, &self.head, mint, end, &ulid)?;
        let open = |p: PathBuf| Block::open(&self.head.options.files, &p).map(|b| info(&b));
        path.map(open).transpose()
    }
}
