#![allow(clippy::unwrap_used)]

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::prelude::*;

use super::files::{RealFiles, SegmentFile, SegmentFiles};
use super::reader::{Damage, Item, SegmentReader};
use super::writer::{WalWriter, WriterOptions};
use super::{repair, segments};
use crate::options::{WalCompression, WalSync, system_clock};

fn options(compression: WalCompression, segment_size: u64) -> WriterOptions {
    WriterOptions {
        segment_size,
        compression,
        sync: WalSync::Segment,
        clock: system_clock(),
        files: Arc::new(RealFiles),
    }
}

/// All records of a directory and the damage found.
fn read(dir: &Path) -> (Vec<Vec<u8>>, Vec<Damage>) {
    let (mut records, mut damage) = (Vec::new(), Vec::new());
    for n in segments::list(dir).unwrap() {
        let mut reader = SegmentReader::open(&segments::path(dir, n)).unwrap();
        while let Some(item) = reader.next().unwrap() {
            match item {
                Item::Record(r) => records.push(r.into_owned()),
                Item::Damaged(d) => damage.push(d),
            }
        }
    }
    (records, damage)
}

/// Sizes around page borders, of compressible and incompressible content.
fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let size = prop_oneof![1usize..200, 32_740usize..32_790, Just(100_000usize)];
    proptest::collection::vec(
        (size, any::<u64>()).prop_map(|(n, seed)| {
            let mut x = seed | 1;
            (0..n)
                .map(|i| {
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                    if seed % 2 == 0 {
                        (i / 100) as u8
                    } else {
                        x as u8
                    }
                })
                .collect()
        }),
        1..12,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn records_round_trip_in_every_compression(records in records(), which in 0usize..3) {
        let dir = tempfile::tempdir().unwrap();
        let kind = [WalCompression::None, WalCompression::Snappy, WalCompression::Zstd][which];
        let mut writer = WalWriter::open(dir.path(), options(kind, 4 * 32 * 1024)).unwrap();
        for r in &records { writer.log([r.as_slice()].into_iter()).unwrap(); }
        writer.close().unwrap();
        let (got, damage) = read(dir.path());
        prop_assert_eq!(got, records);
        prop_assert!(damage.is_empty());
        for n in segments::list(dir.path()).unwrap() {
            prop_assert_eq!(fs::metadata(segments::path(dir.path(), n)).unwrap().len() % 32768, 0);
        }
    }

    #[test]
    fn a_cut_or_flipped_segment_keeps_its_good_records(records in records(), cut in any::<u32>(), flip in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = WalWriter::open(dir.path(), options(WalCompression::Snappy, 1 << 30)).unwrap();
        let mut ends = Vec::new();
        for r in &records {
            writer.log([r.as_slice()].into_iter()).unwrap();
            ends.push(fs::metadata(segments::path(dir.path(), 0)).unwrap().len());
        }
        let path = segments::path(dir.path(), 0);
        let mut bytes = fs::read(&path).unwrap();
        let at = cut as usize % bytes.len();
        if flip { bytes[at] ^= 1 << (cut % 8); } else { bytes.truncate(at); }
        fs::write(&path, &bytes).unwrap();
        let (got, damage) = read(dir.path());
        // Everything that ended before the damage is there, and nothing is invented.
        let safe = ends.iter().filter(|e| **e <= at as u64).count();
        prop_assert!(got.len() >= safe);
        prop_assert_eq!(&got[..safe], &records[..safe]);
        let mut rest = records.iter();
        prop_assert!(got.iter().all(|g| rest.any(|r| r == g)));
        if let Some(first) = damage.first() {
            repair::repair(&path, first, got.len() > safe).unwrap();
            let (again, damage) = read(dir.path());
            prop_assert_eq!(again, got);
            prop_assert!(damage.is_empty(), "{:?}", damage);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(segments::path(dir.path(), 0), bytes).unwrap();
        read(dir.path());
    }
}

/// A disk with a fixed number of free bytes; writes beyond it are cut short and fail.
struct FullDisk(Arc<AtomicI64>);
struct FullFile(Box<dyn SegmentFile>, Arc<AtomicI64>);

impl SegmentFiles for FullDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        Ok(Box::new(FullFile(
            RealFiles.create(path)?,
            Arc::clone(&self.0),
        )))
    }
}

impl SegmentFile for FullFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let free = self.1.load(Ordering::SeqCst).max(0) as usize;
        let len = bytes.len().min(free);
        self.1.fetch_sub(len as i64, Ordering::SeqCst);
        self.0.append(&bytes[..len])?;
        if len < bytes.len() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.truncate(len)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn a_full_disk_loses_only_the_refused_commit_and_heals() {
    let dir = tempfile::tempdir().unwrap();
    let free = Arc::new(AtomicI64::new(500));
    let mut o = options(WalCompression::None, 1 << 20);
    o.files = Arc::new(FullDisk(Arc::clone(&free)));
    let mut writer = WalWriter::open(dir.path(), o).unwrap();
    let (a, b, c) = (vec![1; 300], vec![2; 300], vec![3; 300]);
    writer.log([a.as_slice()].into_iter()).unwrap();
    let e = writer.log([b.as_slice()].into_iter()).unwrap_err();
    assert_eq!(e.kind(), io::ErrorKind::StorageFull);
    free.store(1000, Ordering::SeqCst);
    writer.log([c.as_slice()].into_iter()).unwrap();
    let (got, damage) = read(dir.path());
    assert_eq!(got, [a, c]);
    assert!(damage.is_empty());
}
