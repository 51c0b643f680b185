#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::reader::{Damage, Item, SegmentReader};
use super::writer::{WalWriter, WriterOptions};
use super::{repair, segments};
use crate::files::RealFiles;
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
    for n in segments::list(&RealFiles, dir).unwrap() {
        let mut reader = SegmentReader::open(&RealFiles, &segments::path(dir, n)).unwrap();
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
        for n in segments::list(&RealFiles, dir.path()).unwrap() {
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
            repair::repair(&RealFiles, &path, first, got.len() > safe).unwrap();
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
