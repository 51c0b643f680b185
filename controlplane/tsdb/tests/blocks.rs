//! Blocks through the public door: cutting, truncation, compaction, retention, deletion, snapshots, strangers.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bellwether_model::histogram::{CounterResetHint, FloatHistogram};
use bellwether_model::storage::{Appendable as _, Queryable as _, SampleBuffer};
use bellwether_model::{Histogram, Labels, MatchOp, Matcher, Span, stale_nan};
use bellwether_tsdb::{Db, DbOptions};
use common::{assert_same, dump, open};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Aligned to two hours.
const T0: i64 = 1_700_006_400_000;

fn name(n: &str, i: i64) -> Labels {
    Labels::from_pairs([
        ("__name__", n),
        ("i", &format!("{i:03}")),
        ("job", "test \"q\" ü"),
    ])
}

fn int_histogram(k: u64) -> Histogram {
    Histogram {
        reset_hint: CounterResetHint::Unknown,
        schema: 2,
        zero_threshold: 0.5,
        zero_count: k % 40,
        count: k % 40 * 3,
        sum: k as f64,
        // A bucket that moves, and counters that fall every 40 samples: recodings and new chunks.
        positive_spans: vec![Span {
            offset: (k % 40 / 20) as i32,
            length: 2,
        }],
        positive_buckets: vec![(k % 40) as i64, 0],
        ..Histogram::default()
    }
}

/// Samples every minute from one minute to another; series 40.. exist only in the first hours.
fn fill(db: &Db, from: i64, to: i64) {
    for m in from..to {
        let t = T0 + m * MINUTE;
        let mut app = db.appender();
        for i in 0..if m < 120 { 60 } else { 40 } {
            let s = app.series(&name("gauge", i)).unwrap();
            let v = match (m + i) % 13 {
                0 => f64::NAN,
                1 => stale_nan(),
                _ => (m * i) as f64 / 3.0,
            };
            app.append(s, t + i, v).unwrap();
        }
        let s = app.series(&name("int", 0)).unwrap();
        app.append_histogram(s, t, int_histogram(m as u64)).unwrap();
        let s = app.series(&name("float", 0)).unwrap();
        let gauge = FloatHistogram {
            reset_hint: CounterResetHint::Gauge,
            ..int_histogram(m as u64).to_float()
        };
        app.append_float_histogram(s, t, gauge).unwrap();
        app.commit().unwrap();
    }
}

fn small_segments() -> DbOptions {
    DbOptions {
        wal_segment_size: 32 * 1024,
        ..common::options()
    }
}

#[test]
fn head_blocks_hold_what_the_head_held() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), small_segments()).unwrap();
    fill(&db, 0, 9 * 60);
    let before = dump(&*db, i64::MIN, i64::MAX);
    let segments = fs::read_dir(dir.path().join("wal")).unwrap().count();
    let report = db.run_maintenance().unwrap();
    assert_eq!(report.head_blocks, 3);
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
    let stats = db.stats();
    assert_eq!(stats.head_min_time, T0 + 6 * HOUR);
    assert_eq!(
        stats.head_series, 42,
        "series without samples are forgotten"
    );
    assert!(fs::read_dir(dir.path().join("wal")).unwrap().count() < segments);
    assert!(stats.checkpoint_creations > 0);
    // A range in the middle of chunks and blocks.
    let (mint, maxt) = (T0 + 100 * MINUTE + 7, T0 + 400 * MINUTE + 9);
    let mut wanted = before.clone();
    for samples in wanted.values_mut() {
        samples.retain(|t, _| (mint..=maxt).contains(t));
    }
    wanted.retain(|_, s| !s.is_empty());
    assert_same(&dump(&*db, mint, maxt), &wanted);
    // Appending goes on, and all of it is there after a kill and after a clean stop.
    fill(&db, 9 * 60, 9 * 60 + 30);
    let before = dump(&*db, i64::MIN, i64::MAX);
    drop(db);
    let db = Db::open(dir.path(), small_segments()).unwrap();
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
    assert_eq!(db.stats().wal_unknown_refs, 0);
    db.close().unwrap();
    let db = Db::open(dir.path(), small_segments()).unwrap();
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
}

#[test]
fn blocks_are_merged_level_by_level_and_stay_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 23 * 60);
    let before = dump(&*db, i64::MIN, i64::MAX);
    let report = db.run_maintenance().unwrap();
    assert_eq!(report.head_blocks, 10);
    let blocks = db.blocks();
    assert!(blocks.windows(2).all(|w| w[0].max_time <= w[1].min_time));
    assert!(
        blocks
            .iter()
            .any(|b| b.compaction.level == 2 && b.compaction.sources.len() == 3),
        "{blocks:?}"
    );
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
    let directories = fs::read_dir(dir.path())
        .unwrap()
        .filter(|e| e.as_ref().unwrap().path().join("meta.json").exists());
    assert_eq!(directories.count(), blocks.len());
    drop(db);
    assert_same(&dump(&*open(dir.path()), i64::MIN, i64::MAX), &before);
}

#[test]
fn promtool_reads_our_blocks_and_log_together() {
    let Some(promtool) = common::reference("promtool") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let db = Db::open(&dir, small_segments()).unwrap();
    fill(&db, 0, 17 * 60);
    db.run_maintenance().unwrap();
    fill(&db, 17 * 60, 18 * 60);
    let ours = dump(&*db, i64::MIN, i64::MAX);
    let metas = db.blocks();
    drop(db);
    common::assert_same_as_promtool(&ours, &common::promtool_dump(&promtool, &dir));
    for args in [&["tsdb", "list"][..], &["tsdb", "analyze", "--extended"]] {
        let out = Command::new(&promtool)
            .args(args)
            .arg(&dir)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        // `list` names all blocks, `analyze` the one that it chose.
        let named = metas.iter().filter(|m| text.contains(&m.ulid)).count();
        assert_eq!(
            named,
            if args[1] == "list" { metas.len() } else { 1 },
            "{text}"
        );
    }
}

#[test]
fn foreign_blocks_are_read_as_promtool_reads_them() {
    for part in ["block-floats", "block-natives"] {
        let Some(from) = common::conformance(part) else {
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        common::copy_dir(&from.join("data"), dir.path());
        let text = fs::read_to_string(from.join("expected.dump")).unwrap();
        let db = open(dir.path());
        assert_eq!(db.blocks().len(), 1);
        common::assert_same_as_promtool(
            &dump(&*db, i64::MIN, i64::MAX),
            &common::parse_dump(&text),
        );
        // Rewritten without the deleted samples, they are still the same.
        db.clean_tombstones().unwrap();
        common::assert_same_as_promtool(
            &dump(&*db, i64::MIN, i64::MAX),
            &common::parse_dump(&text),
        );
        assert_eq!(db.blocks()[0].stats.num_tombstones, 0);
    }
}

#[test]
fn the_old_index_version_is_read() {
    let Some(from) = common::conformance("index_format_v1") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    common::copy_dir(&from, &dir.path().join("01DXXFZDYD1MQW6079WK0K6EDQ"));
    let db = open(dir.path());
    let all = dump(&*db, i64::MIN, i64::MAX);
    assert_eq!(all.len(), 102);
    assert_eq!(all.values().map(|s| s.len()).sum::<usize>(), 102);
    let q = db.querier(0, 7_200_000).unwrap();
    for label in q.label_names(&[]).unwrap() {
        for value in q.label_values(&label, &[]).unwrap() {
            let found = q.select(true, &[Matcher::equal(&label, &value)]).unwrap();
            assert!(!found.is_empty());
            assert!(
                found
                    .iter()
                    .all(|s| s.labels().get(&label) == Some(value.as_str()))
            );
        }
    }
}

#[test]
fn matchers_mean_the_same_in_blocks_and_head() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 10);
    let cases = [
        (MatchOp::Equal, "i", "007"),
        (MatchOp::Equal, "i", "999"),
        (MatchOp::Equal, "job", "test \"q\" ü"),
        (MatchOp::NotEqual, "i", "007"),
        (MatchOp::Regex, "i", "00.|03[12]"),
        (MatchOp::NotRegex, "i", "0.*"),
        (MatchOp::Equal, "none", ""),
        (MatchOp::NotEqual, "none", ""),
        (MatchOp::Regex, "none", ".*"),
        (MatchOp::Regex, "i", "001|059|999"),
        (MatchOp::Regex, "i", "|001"),
    ];
    let ask = |db: &Db| -> Vec<Vec<String>> {
        cases
            .iter()
            .map(|(op, n, v)| {
                let q = db.querier(T0, T0 + 9 * MINUTE).unwrap();
                let m = [
                    Matcher::equal("__name__", "gauge"),
                    Matcher::new(*op, *n, *v).unwrap(),
                ];
                let mut found: Vec<String> = q
                    .select(true, &m)
                    .unwrap()
                    .iter()
                    .map(|s| s.labels().to_string())
                    .collect();
                found.extend(q.label_values("i", &m).unwrap());
                found.extend(q.label_names(&m).unwrap());
                found
            })
            .collect()
    };
    let from_head = ask(&db);
    assert_eq!(from_head[0].len(), 1 + 1 + 3);
    fill(&db, 10, 7 * 60);
    assert!(db.run_maintenance().unwrap().head_blocks > 0);
    assert_eq!(ask(&db), from_head);
}

#[test]
fn an_open_query_keeps_its_view_while_blocks_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 7 * 60);
    let q = db.querier(T0, T0 + 8 * HOUR).unwrap();
    let series = q.select(false, &[Matcher::equal("i", "050")]).unwrap();
    assert!(db.run_maintenance().unwrap().truncation_waits);
    // The query began before the block: it reads everything from the head, once.
    let mut buffer = SampleBuffer::default();
    series[0].read(T0, T0 + 8 * HOUR, &mut buffer).unwrap();
    assert_eq!(buffer.len(), 120);
    assert_eq!(db.stats().head_min_time, T0);
    drop((q, series));
    assert!(!db.run_maintenance().unwrap().truncation_waits);
    assert!(db.stats().head_min_time >= T0 + 4 * HOUR);
    let after = dump(&*db, i64::MIN, i64::MAX);
    assert_eq!(after[&name("gauge", 50).to_string()].len(), 120);
}

#[test]
fn deleted_samples_vanish_from_blocks_and_head_and_from_the_disk_after_cleaning() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 8 * 60);
    db.run_maintenance().unwrap();
    let m = [
        Matcher::equal("__name__", "gauge"),
        Matcher::equal("i", "007"),
    ];
    let before = dump(&*db, i64::MIN, i64::MAX);
    let (mint, maxt) = (T0 + 30 * MINUTE, T0 + 450 * MINUTE);
    db.delete(mint, maxt, &m).unwrap();
    let mut wanted = before.clone();
    let series = name("gauge", 7).to_string();
    wanted
        .get_mut(&series)
        .unwrap()
        .retain(|t, _| !(mint..=maxt).contains(t));
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &wanted);
    db.clean_tombstones().unwrap();
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &wanted);
    assert!(db.blocks().iter().all(|b| b.stats.num_tombstones == 0));
    drop(db);
    assert_same(&dump(&*open(dir.path()), i64::MIN, i64::MAX), &wanted);
}

#[test]
fn a_snapshot_is_a_directory_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let db = open(&root.path().join("data"));
    fill(&db, 0, 8 * 60);
    db.run_maintenance().unwrap();
    let all = dump(&*db, i64::MIN, i64::MAX);
    let (with, without) = (root.path().join("with"), root.path().join("without"));
    db.snapshot(&with, true).unwrap();
    db.snapshot(&without, false).unwrap();
    assert_same(&dump(&*open(&with), i64::MIN, i64::MAX), &all);
    let blocks_only = dump(&*open(&without), i64::MIN, i64::MAX);
    let end = db.blocks().last().unwrap().max_time;
    assert!(
        blocks_only
            .values()
            .flat_map(|s| s.keys())
            .all(|t| *t < end)
    );
    assert_eq!(blocks_only.len(), all.len());
}

#[test]
fn remains_of_a_crash_are_removed_and_broken_blocks_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 8 * 60);
    db.run_maintenance().unwrap();
    let before = dump(&*db, i64::MIN, i64::MAX);
    let first = db.blocks()[0].ulid.clone();
    drop(db);
    let tmp = dir
        .path()
        .join("01ARZ3NDEKTSV4RRFFQ69G5FAV.tmp-for-creation");
    fs::create_dir_all(tmp.join("chunks")).unwrap();
    let broken = dir.path().join("01ARZ3NDEKTSV4RRFFQ69G5FAV");
    common::copy_dir(&dir.path().join(&first), &broken);
    fs::write(
        broken.join("index"),
        b"not an index at all, and more than fifty-two bytes long, surely",
    )
    .unwrap();
    let db = open(dir.path());
    assert!(!tmp.exists());
    assert!(broken.exists());
    assert_eq!(db.stats().blocks_unreadable, 1);
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
}

#[test]
fn overlapping_blocks_are_merged_into_one() {
    let root = tempfile::tempdir().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    let one = open(&a);
    fill(&one, 0, 60);
    let wanted = dump(&*one, i64::MIN, i64::MAX);
    one.snapshot(&b, true).unwrap();
    one.snapshot(&b, true).unwrap();
    let two = open(&b);
    assert_eq!(two.blocks().len(), 2);
    assert_same(&dump(&*two, i64::MIN, i64::MAX), &wanted);
    assert_eq!(two.run_maintenance().unwrap().compactions, 1);
    assert_eq!(two.blocks().len(), 1);
    assert_same(&dump(&*two, i64::MIN, i64::MAX), &wanted);
}

#[test]
fn chunks_move_to_files_and_damage_there_is_healed_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 0, 150);
    let before = dump(&*db, i64::MIN, i64::MAX);
    let begun_before = db.querier(i64::MIN, i64::MAX).unwrap();
    db.run_maintenance().unwrap();
    drop(begun_before);
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
    fill(&db, 150, 170);
    db.run_maintenance().unwrap();
    let before = dump(&*db, i64::MIN, i64::MAX);
    drop(db);
    let first = dir.path().join("chunks_head/000001");
    assert!(fs::metadata(&first).unwrap().len() > 1000);
    let check = |damaged: u64| {
        let db = open(dir.path());
        assert_eq!(db.stats().mmap_chunk_corruptions, damaged);
        assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
        db.stats().head_chunks
    };
    let chunks = check(0);
    // A flipped bit, then a torn end: the log has it all.
    let mut bytes = fs::read(&first).unwrap();
    bytes[500] ^= 4;
    fs::remove_file(&first).unwrap();
    fs::write(&first, &bytes).unwrap();
    // With the damaged file the one behind it goes.
    assert_eq!(check(2), chunks);
    assert!(!first.exists());
    let db = open(dir.path());
    db.run_maintenance().unwrap();
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
    drop(db);
    let files = fs::read_dir(dir.path().join("chunks_head")).unwrap();
    let last = files.map(|e| e.unwrap().path()).max().unwrap();
    bytes = fs::read(&last).unwrap();
    bytes.truncate(bytes.len() - 3);
    fs::remove_file(&last).unwrap();
    fs::write(&last, &bytes).unwrap();
    check(1);
    check(0);
}

#[test]
fn a_damaged_block_is_left_out_of_compaction_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let options = DbOptions {
        max_block_duration: Duration::from_secs(2 * 3600),
        ..common::options()
    };
    let db = Db::open(dir.path(), options).unwrap();
    fill(&db, 0, 12 * 60);
    db.run_maintenance().unwrap();
    let first = db.blocks()[0].ulid.clone();
    drop(db);
    let path = dir.path().join(&first).join("chunks/000001");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let options = DbOptions {
        retention: Duration::from_secs(1),
        max_block_duration: Duration::from_secs(6 * 3600),
        ..common::options()
    };
    let db = Db::open(dir.path(), options).unwrap();
    let error = db.run_maintenance().unwrap_err().to_string();
    assert!(
        error.contains("checksum") && error.contains(&first),
        "{error}"
    );
    // Retention did its work all the same, and the next round has nothing to fail on.
    assert_eq!(db.blocks().len(), 1);
    assert_eq!(db.stats().compactions_failed, 1);
    db.run_maintenance().unwrap();
}

/// Fuzz-like: bytes of a block's files are flipped; opening and reading may fail but never panic.
#[test]
fn flipped_bytes_in_blocks_never_panic() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let db = open(&data);
    fill(&db, 0, 20);
    let snapshot = root.path().join("snapshot");
    db.snapshot(&snapshot, true).unwrap();
    let block = fs::read_dir(&snapshot)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut seed = 0x1234_5678_9abc_def1u64;
    for file in ["index", "chunks/000001", "tombstones", "meta.json"] {
        let path = block.join(file);
        let good = fs::read(&path).unwrap();
        for round in 0..60 {
            let mut bad = good.clone();
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let at = seed as usize % bad.len();
            if round % 5 == 0 {
                bad.truncate(at);
            } else {
                bad[at] ^= (seed >> 32) as u8 | 1;
            }
            // A new file: the old one may still be mapped.
            fs::remove_file(&path).unwrap();
            fs::write(&path, &bad).unwrap();
            read_what_opens(&snapshot);
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, &good).unwrap();
    }
}

fn read_what_opens(dir: &Path) {
    let Ok(db) = Db::open(dir, common::options()) else {
        return;
    };
    let q = db.querier(i64::MIN, i64::MAX).unwrap();
    let all = Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap();
    let _ = q.label_names(std::slice::from_ref(&all));
    let _ = q.label_values("i", &[]);
    if let Ok(found) = q.select(true, &[all]) {
        let mut buffer = SampleBuffer::default();
        for series in found {
            buffer.clear();
            let _ = series.read(i64::MIN, i64::MAX, &mut buffer);
        }
    }
}
