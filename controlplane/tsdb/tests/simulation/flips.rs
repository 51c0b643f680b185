//! Flipped bits: they cost what they touch, and nothing is invented.

use std::path::Path;
use std::sync::Arc;

use bellwether_tsdb::{BlockMeta, Db, DbOptions, WalSync};

use crate::model::{Samples, VOLATILE};
use crate::world::{DATA, World, end_of_in_order, read};

/// What a flipped bit may cost.
enum Touched {
    /// Nothing: what the file has is elsewhere too.
    Nothing,
    /// Samples that the log lost in a power cut and a file of head chunks kept.
    HeadChunks { blocks_until: i64 },
    /// Samples of the log from this segment on that are in no block.
    Log { from: i64, blocks_until: i64 },
    /// Samples of the log of out-of-order samples.
    LateLog,
    /// Samples of this block.
    Block(BlockMeta),
    /// The range of a block is told by a file without a checksum.
    Anything,
}

fn touched(path: &Path, blocks: &[BlockMeta]) -> Touched {
    let inside = path.strip_prefix(DATA).unwrap();
    let mut parts = inside.iter().filter_map(|p| p.to_str());
    let blocks_until = end_of_in_order(blocks);
    match (parts.next(), parts.next()) {
        (Some("wal"), Some(name)) => Touched::Log {
            from: name.parse().unwrap_or(i64::MIN),
            blocks_until,
        },
        (Some("wbl"), _) => Touched::LateLog,
        (Some("chunks_head"), _) => Touched::HeadChunks { blocks_until },
        (Some(ulid), Some(file)) => match blocks.iter().find(|b| b.ulid == ulid) {
            Some(_) if file == "meta.json" => Touched::Anything,
            Some(block) => Touched::Block(block.clone()),
            None => Touched::Nothing,
        },
        _ => Touched::Nothing,
    }
}

/// What a damaged database still has: all, or what lies around a block that does not read.
fn read_around(db: &Db, touched: &Touched) -> Samples {
    match (read(db, i64::MIN, i64::MAX), touched) {
        (Ok(all), _) => all,
        (Err(_), Touched::Anything) => Samples::new(),
        (
            Err(e),
            Touched::Nothing | Touched::HeadChunks { .. } | Touched::Log { .. } | Touched::LateLog,
        ) => {
            panic!("a query fails: {e}")
        }
        (Err(_), Touched::Block(block)) => {
            let mut around = read(db, i64::MIN, block.min_time - 1).unwrap();
            for (series, samples) in read(db, block.max_time, i64::MAX).unwrap() {
                around.entry(series).or_default().extend(samples);
            }
            around
        }
    }
}

/// What is read of a directory that was damaged.
fn check(world: &World, db: &Db, touched: &Touched) {
    let got = read_around(db, touched);
    world.model.check_nothing_invented(&got);
    world
        .model
        .check_untouched(&got, |t, segment, late| match touched {
            Touched::Nothing => false,
            Touched::HeadChunks { blocks_until } => {
                // Of what an interrupted deletion or retention may have taken it is not known any more whether it
                // outlived a power cut.
                let may_be_settled = segment < 0 || segment == VOLATILE;
                t >= *blocks_until && may_be_settled && world.options.wal_sync != WalSync::Commit
            }
            Touched::Log { from, blocks_until } => {
                // The log has the names of the series that came late.
                late || t >= *blocks_until && (segment < 0 || segment >= *from)
            }
            Touched::LateLog => late,
            Touched::Block(b) => (b.min_time..b.max_time).contains(&t),
            Touched::Anything => true,
        });
}

/// Whichever file of head chunks is damaged: what it and the later ones had comes from the log.
fn every_chunk_file(world: &World, blocks: &[BlockMeta]) {
    for (path, len) in world.files() {
        if !path.starts_with(Path::new(DATA).join("chunks_head")) {
            continue;
        }
        world.tell(|| format!("damage {}", path.display()));
        let disk = world.disk.fork();
        disk.tamper(&path, |bytes| bytes[len / 2] ^= 1);
        let options = DbOptions {
            files: Arc::new(disk),
            ..world.options.clone()
        };
        let db = Db::open(Path::new(DATA), options).unwrap();
        check(world, &db, &touched(&path, blocks));
    }
}

/// Ends a life with flipped bits.
pub(crate) fn end(world: &mut World) {
    let blocks = world.db().blocks();
    world.stop();
    every_chunk_file(world, &blocks);
    let files = world.files();
    let (path, len) = files[world.random.below(files.len() as u64) as usize].clone();
    let at = world.random.below(len as u64) as usize;
    let bit = world.random.below(8);
    world.tell(|| format!("flip bit {bit} of byte {at} in {}", path.display()));
    world.disk.tamper(&path, |bytes| bytes[at] ^= 1 << bit);
    let touched = touched(&path, &blocks);
    for _ in 0..2 {
        let db = Db::open(Path::new(DATA), world.options.clone()).unwrap();
        check(world, &db, &touched);
        // Compaction of a damaged block may fail, and says so.
        let _ = db.run_maintenance();
        if let Ok(got) = read(&db, i64::MIN, i64::MAX) {
            world.model.check_nothing_invented(&got);
        }
        drop(db);
        world.disk.new_process();
        if !world.options.retention.is_zero() || world.options.retention_size > 0 {
            return;
        }
    }
}
