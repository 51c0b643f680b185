//! What must be true of every directory and every open database, whatever happened before.

use std::path::Path;

use bellwether_tsdb::Db;

use crate::disk::Disk;
use crate::world::DATA;

/// Of an open database.
pub(crate) fn check(disk: &Disk, db: &Db) {
    blocks_are_in_order_and_on_the_disk(disk, db);
    the_log_has_no_gap(disk);
    counters_agree(db);
}

/// Right after a start.
pub(crate) fn check_restarted(disk: &Disk) {
    nothing_is_left_of_interrupted_work(disk);
}

fn blocks_are_in_order_and_on_the_disk(disk: &Disk, db: &Db) {
    let blocks = db.blocks();
    let files = disk.all_files();
    for b in &blocks {
        assert!(b.min_time < b.max_time, "an empty range: {b:?}");
        let index = Path::new(DATA).join(&b.ulid).join("index");
        assert!(files.iter().any(|f| f.0 == index), "no {}", index.display());
    }
    for pair in blocks.windows(2) {
        assert!(pair[0].min_time <= pair[1].min_time, "blocks out of order");
    }
}

/// Segments that no checkpoint replaces have consecutive numbers.
fn the_log_has_no_gap(disk: &Disk) {
    let wal = Path::new(DATA).join("wal");
    let mut segments = Vec::new();
    let mut checkpoint = None;
    for (path, _) in disk.all_files() {
        let Ok(rest) = path.strip_prefix(&wal) else {
            continue;
        };
        let first = rest.iter().next().and_then(|p| p.to_str()).unwrap_or("");
        if let Ok(n) = first.parse::<u64>() {
            segments.push(n);
        } else if let Some(n) = first
            .strip_prefix("checkpoint.")
            .and_then(|n| n.parse().ok())
        {
            checkpoint = checkpoint.max(Some(n));
        }
    }
    segments.retain(|s| checkpoint.is_none_or(|c| *s > c));
    segments.sort_unstable();
    let whole = segments.windows(2).all(|w| w[0] + 1 == w[1]);
    assert!(whole, "a gap in the log: {segments:?}");
    if let (Some(c), Some(first)) = (checkpoint, segments.first()) {
        assert_eq!(*first, c + 1, "a gap behind the checkpoint");
    }
}

fn counters_agree(db: &Db) {
    let stats = db.stats();
    assert_eq!(stats.active_appenders, 0);
    assert_eq!(stats.blocks_loaded, db.blocks().len() as u64);
    assert!(stats.head_chunks == 0 || stats.head_min_time <= stats.head_max_time);
}

fn nothing_is_left_of_interrupted_work(disk: &Disk) {
    for (path, _) in disk.all_files() {
        if path.starts_with(DATA) {
            let text = path.to_string_lossy();
            let left = text.contains(".tmp-for-")
                || text.contains("/wal/checkpoint.") && text.contains(".tmp/");
            assert!(!left, "left over: {text}");
        }
    }
}
