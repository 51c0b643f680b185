//! The fuzz targets on what our own writers write, changed at random, a bounded number of times.
//! `BELLWETHER_FUZZ_CASES=n` tries more per file.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bellwether_model::histogram::{Histogram, Span};
use bellwether_model::storage::Appendable as _;
use bellwether_model::{Labels, Matcher};

use crate::block::chunks::ChunkReader;
use crate::encoding::crc32c;
use crate::files::RealFiles;
use crate::fuzz;
use crate::wal::page::{Decompressor, SNAPPY};
use crate::wal::reader::{Item, SegmentReader};
use crate::wal::segments;
use crate::{Db, DbOptions, WalCompression};

const MINUTE: i64 = 60_000;
/// Cases per file of the corpus.
const CASES: u64 = 300;
/// A target looks at no more than this.
const MAX_BYTES: usize = 128 * 1024;

/// A target by name and what it gets.
type Case = (fn(&[u8]), Vec<u8>);

fn fill(dir: &Path, compression: WalCompression) {
    let options = DbOptions {
        retention: Duration::ZERO,
        head_chunk_file_bytes: 1,
        wal_compression: compression,
        ..DbOptions::default()
    };
    let db = Db::open(dir, options).unwrap();
    for r in 0..300i64 {
        let mut app = db.appender();
        for i in 0..6i64 {
            let labels = [("__name__", "m".to_owned()), ("i", i.to_string())];
            let s = app.series(&Labels::from_pairs(labels)).unwrap();
            let n = 1 + (r as u64 % 40);
            let t = 1_700_006_400_000 + r * MINUTE;
            let h = Histogram {
                schema: 3,
                zero_count: n,
                count: 2 * n,
                sum: 1.5,
                positive_spans: vec![Span {
                    offset: 1 + (n % 3) as i32,
                    length: 1,
                }],
                positive_buckets: vec![n as i64],
                ..Histogram::default()
            };
            match i {
                4 => app.append_histogram(s, t, h).unwrap(),
                5 => app.append_float_histogram(s, t, h.to_float()).unwrap(),
                _ => app.append(s, t, (r * i) as f64 * 0.5).unwrap(),
            }
        }
        app.commit().unwrap();
        if r % 100 == 99 {
            db.run_maintenance().unwrap();
        }
    }
    let all = [Matcher::equal("i", "1")];
    db.delete(0, i64::MAX, &all).unwrap();
}

/// Everything that the engine wrote in a directory, with the target of each kind.
fn corpus(dir: &Path) -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    let mut add = |target: fn(&[u8]), path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes.truncate(MAX_BYTES);
        out.push((target, bytes));
    };
    for entry in std::fs::read_dir(dir).unwrap() {
        let block = entry.unwrap().path();
        if block.join("meta.json").exists() {
            add(fuzz::meta, &block.join("meta.json"));
            add(fuzz::index, &block.join("index"));
            add(fuzz::tombstones, &block.join("tombstones"));
            add(fuzz::chunk_segment, &block.join("chunks/000001"));
        }
    }
    for name in std::fs::read_dir(dir.join("chunks_head")).unwrap() {
        add(fuzz::head_chunks, &name.unwrap().path());
    }
    let wal = dir.join("wal");
    for n in segments::list(&RealFiles, &wal).unwrap() {
        add(fuzz::wal_segment, &segments::path(&wal, n));
    }
    let version_1: Vec<Case> = out
        .iter()
        .filter(|c| c.1.starts_with(&[0xBA, 0xAA, 0xD7, 0x00]))
        .map(|c| {
            let mut bytes = c.1.clone();
            bytes[4] = 1;
            (c.0, bytes)
        })
        .collect();
    assert!(!version_1.is_empty(), "no block was written");
    out.extend(version_1);
    out.extend(chunks(dir));
    out.extend(records(&wal));
    out
}

fn chunks(dir: &Path) -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let folder = entry.unwrap().path().join("chunks");
        let Ok(reader) = ChunkReader::open(&RealFiles, &folder) else {
            continue;
        };
        for at in 0..reader.size() {
            if let Ok((encoding, data)) = reader.get(at)
                && out.len() < 12
            {
                let mut bytes = vec![encoding - 1];
                bytes.extend_from_slice(data);
                out.push((fuzz::chunk, bytes));
            }
        }
    }
    out
}

fn records(wal: &Path) -> Vec<Case> {
    let mut out: Vec<Case> = Vec::new();
    let mut kinds = std::collections::BTreeMap::new();
    for n in segments::list(&RealFiles, wal).unwrap() {
        let mut reader = SegmentReader::open(&RealFiles, &segments::path(wal, n)).unwrap();
        while let Some(item) = reader.next().unwrap() {
            if let Item::Record(r) = item {
                let seen = kinds.entry(r[0]).or_insert(0);
                *seen += 1;
                if *seen <= 3 {
                    out.push((fuzz::wal_record, r.into_owned()));
                }
            }
        }
    }
    out
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }
}

fn change(random: &mut Random, bytes: &mut Vec<u8>) {
    for _ in 0..1 + random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            2 => bytes.truncate(at),
            3 => bytes.insert(at, random.below(256) as u8),
            4 => {
                bytes.remove(at);
            }
            5 => {
                let end = (at + 1 + random.below(9)).min(bytes.len());
                bytes[at..end].fill(0xff);
            }
            _ => {
                let part = bytes[at..(at + 16).min(bytes.len())].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, part);
            }
        }
    }
}

/// Makes the checksums of a changed file right again, so that decoders get to see the changes.
fn heal(target: fn(&[u8]), bytes: &mut [u8]) {
    let len = bytes.len();
    if std::ptr::fn_addr_eq(target, fuzz::tombstones as fn(&[u8])) && len >= 9 {
        let crc = crc32c(&bytes[5..len - 4]);
        bytes[len - 4..].copy_from_slice(&crc.to_be_bytes());
    }
    if std::ptr::fn_addr_eq(target, fuzz::index as fn(&[u8])) && len >= 57 {
        let toc = len - 52;
        for entry in 0..6 {
            let mut raw = [0; 8];
            raw.copy_from_slice(&bytes[toc + entry * 8..toc + entry * 8 + 8]);
            heal_section(bytes, u64::from_be_bytes(raw) as usize);
        }
        let crc = crc32c(&bytes[toc..len - 4]);
        bytes[len - 4..].copy_from_slice(&crc.to_be_bytes());
    }
}

fn heal_section(bytes: &mut [u8], at: usize) {
    let Some(raw) = at.checked_add(4).and_then(|end| bytes.get(at..end)) else {
        return;
    };
    let len = u32::from_be_bytes([raw[0], raw[1], raw[2], raw[3]]) as usize;
    let end = at + 4 + len;
    if end + 4 <= bytes.len() {
        let crc = crc32c(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
    }
}

#[test]
fn changed_files_never_panic() {
    let cases = std::env::var("BELLWETHER_FUZZ_CASES");
    let cases = cases.ok().and_then(|n| n.parse().ok()).unwrap_or(CASES);
    let mut all = Vec::new();
    for compression in [
        WalCompression::None,
        WalCompression::Snappy,
        WalCompression::Zstd,
    ] {
        let dir = tempfile::tempdir().unwrap();
        fill(dir.path(), compression);
        all.extend(corpus(dir.path()));
    }
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((number, file)) = take(&all, &next) {
                    change_file(number, file, cases);
                }
            });
        }
    });
}

/// The next file that no thread has yet.
fn take<'c>(corpus: &'c [Case], next: &AtomicUsize) -> Option<(usize, &'c Case)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    corpus.get(number).map(|file| (number, file))
}

fn change_file(number: usize, (target, bytes): &Case, cases: u64) {
    target(bytes);
    for case in 0..cases {
        let mut random = Random((number as u64 + 1) << 32 | (case + 1));
        let mut changed = bytes.clone();
        change(&mut random, &mut changed);
        if case % 2 == 0 {
            heal(*target, &mut changed);
        }
        let run = || target(&changed);
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("file {number}, case {case}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_short_record_that_claims_to_be_long_takes_no_memory() {
    // Snappy's length of 1 GiB, and nothing behind it.
    let claim = [0x80, 0x80, 0x80, 0x80, 0x04, 0, 0];
    let result = Decompressor::default().decompress(SNAPPY, &claim);
    assert_eq!(result.unwrap_err().0, "record is too large");
}
