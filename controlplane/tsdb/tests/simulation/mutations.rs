//! The simulation notices what it is there for: on a disk that pretends to sync or to cut, and with records
//! whose checksums do not tell, lives fail that do not fail on an honest disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bellwether_tsdb::{Db, WalCompression};

use crate::disk::{Liar, Lie};
use crate::world::{DATA, Dangers, World, read};

/// Seeds that a lie may take to be noticed.
const SEEDS: u64 = 60;

fn fails(seed: u64, dangers: Dangers, liar: Option<Liar>) -> bool {
    let life = || {
        let mut world = World::with_liar(seed, dangers, liar);
        for _ in 0..150 {
            world.step();
        }
        world.restart();
    };
    catch_unwind(AssertUnwindSafe(life)).is_err()
}

/// Panics unless lives on a lying disk fail, and not on an honest one.
fn assert_noticed(errors: bool, liar: Liar) {
    let dangers = Dangers {
        errors,
        kills: !errors,
        power_cuts: !errors,
        ..Dangers::default()
    };
    assert_noticed_among(dangers, liar);
}

fn assert_noticed_among(dangers: Dangers, liar: Liar) {
    let seed = (1..=SEEDS).find(|seed| fails(*seed, dangers, Some(liar)));
    let seed = seed.expect("the lie is never noticed");
    assert!(!fails(seed, dangers, None), "seed {seed} fails anyway");
}

fn has(path: &Path, text: &str) -> bool {
    path.to_string_lossy().contains(text)
}

#[test]
fn without_syncs() {
    assert_noticed(false, |lie, _| lie == Lie::Sync);
}

#[test]
fn without_syncs_of_directories() {
    assert_noticed(false, |lie, _| lie == Lie::SyncDir);
}

#[test]
fn without_syncs_of_the_log() {
    assert_noticed(false, |lie, p| lie == Lie::Sync && has(p, "/wal/0000"));
}

#[test]
fn without_syncs_of_the_log_that_are_deferred() {
    let dangers = Dangers {
        kills: true,
        power_cuts: true,
        deferred: true,
        ..Dangers::default()
    };
    assert_noticed_among(dangers, |lie, p| lie == Lie::Sync && has(p, "/wal/0000"));
}

#[test]
fn without_syncs_of_the_out_of_order_log() {
    let dangers = Dangers {
        power_cuts: true,
        late: true,
        ..Dangers::default()
    };
    assert_noticed_among(dangers, |lie, p| lie == Lie::Sync && has(p, "/wbl/0000"));
}

#[test]
fn without_syncs_of_the_log_directory() {
    assert_noticed(false, |lie, p| lie == Lie::SyncDir && p.ends_with("wal"));
}

#[test]
fn without_syncs_of_checkpoints() {
    assert_noticed(false, |lie, p| lie == Lie::Sync && has(p, "/checkpoint."));
}

#[test]
fn without_syncs_of_the_index_before_the_renaming() {
    assert_noticed(false, |lie, p| lie == Lie::Sync && p.ends_with("index"));
}

#[test]
fn without_syncs_of_block_chunks() {
    assert_noticed(false, |lie, p| lie == Lie::Sync && has(p, "/chunks/"));
}

#[test]
fn without_syncs_of_block_descriptions() {
    assert_noticed(false, |lie, p| lie == Lie::Sync && has(p, "meta.json"));
}

#[test]
fn without_syncs_of_head_chunks() {
    assert_noticed(false, |lie, p| lie == Lie::Sync && has(p, "/chunks_head/"));
}

#[test]
fn without_syncs_of_the_horizon() {
    let dangers = Dangers {
        power_cuts: true,
        limited: true,
        ..Dangers::default()
    };
    assert_noticed_among(dangers, |lie, p| lie == Lie::Sync && has(p, "horizon"));
}

#[test]
fn without_syncs_of_the_data_directory() {
    assert_noticed(false, |lie, p| lie == Lie::SyncDir && p == Path::new(DATA));
}

#[test]
fn without_cutting_what_a_failed_write_left() {
    assert_noticed(true, |lie, _| lie == Lie::Truncate);
}

/// Changes the value of the first sample of the first record of float samples and makes its checksum right again: what a reader
/// without checksums would see.
fn change_samples(bytes: &mut [u8]) {
    const SAMPLES: u8 = 2;
    // Behind type, base reference, base time and two differences of zero.
    const VALUE: usize = 1 + 8 + 8 + 2;
    let mut at = 0;
    loop {
        let len = usize::from(u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]));
        let data = at + 7..at + 7 + len;
        if bytes[data.start] == SAMPLES {
            bytes[data.start + VALUE + 7] ^= 1;
            let crc = crc_fast::crc32_iscsi(&bytes[data]);
            bytes[at + 3..at + 7].copy_from_slice(&crc.to_be_bytes());
            return;
        }
        at = data.end;
    }
}

#[test]
fn without_checksums_of_the_log() {
    let mut world = World::new(1, Dangers::default());
    world.options.wal_compression = WalCompression::None;
    world.restart();
    world.append();
    world.append();
    world.stop();
    let logs = world.files().into_iter().map(|f| f.0);
    let last = logs.filter(|p| has(p, "/wal/0000")).max().unwrap();
    world.disk.tamper(&last, |bytes| change_samples(bytes));
    let db = Db::open(Path::new(DATA), world.options.clone()).unwrap();
    let got = read(&db, i64::MIN, i64::MAX).unwrap();
    let check = || world.model.check(&got, i64::MIN, i64::MAX);
    assert!(catch_unwind(AssertUnwindSafe(check)).is_err());
}
