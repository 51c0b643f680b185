//! Blocks that somebody else puts into the directory of a running database, as a backfill does.

use std::collections::HashSet;
use std::sync::Arc;

use crate::block::Block;
use crate::block::meta;
use crate::db::Db;
use crate::error::TsdbError;

impl Db {
    /// Takes new blocks into the view; their number. Only blocks of original samples that end before the head begins:
    /// of anything else nobody could tell whether it is the rest of an interrupted round, and what overlaps the head
    /// would hide the head's log at the next start. Those wait for the next start, as do blocks that do not open.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub(super) fn adopt_blocks(&self) -> Result<usize, TsdbError> {
        let files = &self.options.files;
        let view = self.view.load_full();
        let doomed = self.doomed.lock().clone();
        let known: HashSet<String> = view.blocks.iter().map(|b| b.ulid()).collect();
        let list = files.list(&self.dir);
        let mut adopted = Vec::new();
        for entry in list.map_err(TsdbError::io("cannot list", &self.dir))? {
            let path = self.dir.join(&entry.name);
            let name = entry.name.to_str().unwrap_or("");
            let is_new = entry.is_dir
                && ulid::Ulid::from_string(name).is_ok()
                && !known.contains(name)
                && !doomed.contains(&path)
                && files.exists(&path.join(meta::FILE)).unwrap_or(false);
            if !is_new {
                continue;
            }
            match Block::open(files, &path) {
                Ok(block) if is_foreign(&block) && block.maxt <= view.head_from => {
                    tracing::info!(block = %path.display(), "taking a new block");
                    adopted.push(block);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!(%error, block = %path.display(), "new block does not open");
                }
            }
        }
        let count = adopted.len();
        if count > 0 {
            let blocks = view.blocks.iter().cloned().chain(adopted).collect();
            self.install(blocks, view.head_from);
        }
        Ok(count)
    }
}

/// Whether a block holds samples that were written for it, not merged from other blocks.
fn is_foreign(block: &Arc<Block>) -> bool {
    let compaction = block.meta().compaction;
    compaction.level <= 1 && compaction.parents.is_empty()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bellwether_model::Labels;

    use crate::{BlockBuilder, Db, DbOptions};

    const HOUR: i64 = 3_600_000;

    fn block(dir: &std::path::Path, name: &str, times: std::ops::Range<i64>) {
        let builder = BlockBuilder::new(dir, 2 * HOUR);
        let labels = Labels::from_pairs([("__name__", name)]);
        for t in times {
            builder.append(&labels, t, 1.0).unwrap();
        }
        builder.write().unwrap().unwrap();
    }

    #[test]
    fn blocks_before_the_head_are_taken_others_wait() {
        let dir = tempfile::tempdir().unwrap();
        let options = || DbOptions {
            retention: std::time::Duration::ZERO,
            ..DbOptions::default()
        };
        block(dir.path(), "first", 10 * HOUR..10 * HOUR + 10);
        let db = Db::open(dir.path(), options()).unwrap();
        let names = || db.blocks().iter().map(|b| b.min_time).collect::<Vec<_>>();
        block(dir.path(), "older", 4 * HOUR..4 * HOUR + 10);
        block(dir.path(), "later", 12 * HOUR..12 * HOUR + 10);
        db.run_maintenance().unwrap();
        assert_eq!(names(), [4 * HOUR, 10 * HOUR]);
        // Nothing is taken twice.
        db.run_maintenance().unwrap();
        assert_eq!(names(), [4 * HOUR, 10 * HOUR]);
        db.close().unwrap();
        let db = Db::open(dir.path(), options()).unwrap();
        assert_eq!(db.blocks().len(), 3);
    }
}
