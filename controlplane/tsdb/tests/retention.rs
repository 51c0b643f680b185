//! Retention that changes while the database is open: by age, by size, by a share of the disk.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bellwether_model::Labels;
use bellwether_tsdb::{BlockBuilder, Db, DbOptions, Files as _, RealFiles, Retention};

const HOUR: i64 = 3_600_000;

/// Four blocks, two hours apart.
fn open(dir: &Path) -> Arc<Db> {
    for i in 0..4 {
        let builder = BlockBuilder::new(dir, 2 * HOUR);
        let labels = Labels::from_pairs([("__name__", "a")]);
        for t in 0..100 {
            builder.append(&labels, i * 2 * HOUR + t, 1.0).unwrap();
        }
        builder.write().unwrap().unwrap();
    }
    let options = DbOptions {
        retention: Duration::ZERO,
        // Nothing is merged meanwhile.
        max_block_duration: Duration::from_secs(2 * 3600),
        ..DbOptions::default()
    };
    Db::open(dir, options).unwrap()
}

fn left(db: &Db, retention: Retention) -> usize {
    db.set_retention(retention);
    assert_eq!(db.retention(), retention);
    db.run_maintenance().unwrap();
    db.blocks().len()
}

#[test]
fn a_changed_retention_holds_from_the_next_round() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    assert_eq!(left(&db, Retention::default()), 4);
    let stats = db.stats();
    let all = stats.blocks_bytes + stats.wal_size_bytes + stats.head_chunk_file_bytes;
    let age = Retention {
        time: Duration::from_secs(6 * 3600),
        ..Retention::default()
    };
    assert_eq!(left(&db, age), 3);
    let size = Retention {
        size: all - stats.blocks_bytes * 3 / 8,
        ..Retention::default()
    };
    assert_eq!(left(&db, size), 2);
    // A share of the disk wins over a size that would take everything.
    let capacity = RealFiles.capacity(dir.path()).unwrap() as f64;
    let share = |bytes: u64| Retention {
        size: 1,
        percentage: 100.0 * bytes as f64 / capacity,
        ..Retention::default()
    };
    assert_eq!(left(&db, share(all)), 2);
    assert_eq!(left(&db, share(all - stats.blocks_bytes * 5 / 8)), 1);
    let stats = db.stats();
    assert!(stats.retention_limit_percentage > 0.0);
    assert_eq!(
        (stats.retention_limit_bytes, stats.retention_limit_seconds),
        (1, 0.0)
    );
    db.close().unwrap();
}
