//! The head through the public door: append, query, order, limits, recovery, strangers.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::io::Write as _;
use std::time::Duration;

use bellwether_model::histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint};
use bellwether_model::storage::{AppendError, Appendable as _, Queryable as _, SampleBuffer};
use bellwether_model::{
    Exemplar, Histogram, Labels, MatchOp, Matcher, Metadata, MetricType, Span, stale_nan,
};
use bellwether_tsdb::{Db, DbOptions, TsdbError, WalCompression};
use common::{assert_same, dump, open};

const T0: i64 = 1_700_000_000_000;

fn labels(name: &str, i: usize) -> Labels {
    Labels::from_pairs([("__name__", name), ("i", &i.to_string()), ("job", "test")])
}

fn histogram(n: u64) -> Histogram {
    Histogram {
        reset_hint: CounterResetHint::Unknown,
        schema: 3,
        zero_threshold: 0.001,
        zero_count: n,
        count: 4 * n + n,
        sum: n as f64 * 1.5,
        positive_spans: vec![
            Span {
                offset: -2,
                length: 1,
            },
            Span {
                offset: n as i32 % 3,
                length: 1,
            },
        ],
        positive_buckets: vec![n as i64, n as i64],
        negative_spans: vec![Span {
            offset: 5,
            length: 1,
        }],
        negative_buckets: vec![n as i64],
        custom_values: vec![],
    }
}

/// Floats with odd values, both kinds of histograms, custom bounds, exemplars, metadata.
fn fill(db: &Db, rounds: i64) {
    for r in 0..rounds {
        let t = T0 + r * 15_000;
        let mut app = db.appender();
        for i in 0..20 {
            let s = app.series(&labels("float", i)).unwrap();
            let v = match (r + i as i64) % 11 {
                0 => f64::NAN,
                1 => f64::INFINITY,
                2 => -0.0,
                3 => stale_nan(),
                _ => r as f64 * 1.25 + i as f64,
            };
            app.append(s, t + i as i64, v).unwrap();
        }
        let s = app.series(&labels("int_histogram", 0)).unwrap();
        app.append_histogram(s, t, histogram(r as u64 + 1)).unwrap();
        let s = app.series(&labels("float_histogram", 0)).unwrap();
        app.append_float_histogram(s, t, histogram(r as u64 + 1).to_float())
            .unwrap();
        let s = app.series(&labels("custom_histogram", 0)).unwrap();
        let custom = Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            zero_threshold: 0.0,
            zero_count: 0,
            count: 3 * r as u64,
            sum: 2.0,
            positive_spans: vec![Span {
                offset: 0,
                length: 2,
            }],
            positive_buckets: vec![r, r],
            custom_values: vec![0.5, 2.25],
            ..Histogram::default()
        };
        app.append_histogram(s, t, custom).unwrap();
        let s = app.series(&labels("float", 0)).unwrap();
        let exemplar = Exemplar {
            labels: Labels::from_pairs([("trace_id", format!("{r:032x}"))]),
            value: 1.0,
            timestamp_ms: Some(t),
        };
        app.append_exemplar(s, exemplar).unwrap();
        let m = Metadata {
            kind: MetricType::Counter,
            unit: "s".into(),
            help: "Help".into(),
        };
        app.update_metadata(s, &m).unwrap();
        app.commit().unwrap();
    }
}

#[test]
fn everything_committed_is_there_again_after_a_restart() {
    for compression in [
        WalCompression::None,
        WalCompression::Snappy,
        WalCompression::Zstd,
    ] {
        for clean in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let options = DbOptions {
                wal_compression: compression,
                wal_segment_size: 4 * 32 * 1024,
                ..common::options()
            };
            let db = Db::open(dir.path(), options.clone()).unwrap();
            fill(&db, 300);
            let before = dump(&*db, i64::MIN, i64::MAX);
            assert_eq!(before.len(), 23);
            if clean {
                db.close().unwrap();
            }
            drop(db);
            let db = Db::open(dir.path(), options).unwrap();
            assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
            assert_eq!(db.stats().wal_corruptions, 0);
            assert_eq!(db.series_metadata().len(), 1);
            let all = Matcher::equal("__name__", "float");
            let exemplars = db.exemplars(T0, T0 + 30_000, &[vec![all]]).unwrap();
            assert_eq!(exemplars.len(), 1);
            assert_eq!(exemplars[0].exemplars.len(), 3);
        }
    }
}

#[test]
fn promtool_reads_our_log() {
    let Some(promtool) = common::reference("promtool") else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("data");
    let db = open(&dir);
    fill(&db, 200);
    let ours = dump(&*db, i64::MIN, i64::MAX);
    drop(db);
    common::assert_same_as_promtool(&ours, &common::promtool_dump(&promtool, &dir));
}

#[test]
fn a_foreign_log_is_read_as_promtool_reads_it() {
    let Some(from) = common::conformance("wal-plain") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    common::copy_dir(&from.join("data"), dir.path());
    let wanted = common::parse_dump(&fs::read_to_string(from.join("expected.dump")).unwrap());
    let db = open(dir.path());
    common::assert_same_as_promtool(&dump(&*db, i64::MIN, i64::MAX), &wanted);
    assert_eq!(db.stats().wal_corruptions, 0);
    let all = Matcher::new(MatchOp::Regex, "__name__", ".+").unwrap();
    assert!(
        !db.exemplars(i64::MIN, i64::MAX, &[vec![all]])
            .unwrap()
            .is_empty()
    );
}

#[test]
fn order_and_bounds_have_prometheus_errors() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut app = db.appender();
    let s = app.series(&labels("m", 0)).unwrap();
    app.append(s, T0, 1.0).unwrap();
    app.commit().unwrap();
    let mut app = db.appender();
    assert!(matches!(
        app.append(s, T0 - 1, 1.0),
        Err(AppendError::OutOfOrder)
    ));
    assert!(matches!(
        app.append(s, T0, 2.0),
        Err(AppendError::DuplicateTimestamp(_))
    ));
    app.append(s, T0, 1.0).unwrap();
    let hour = 3_600_000;
    assert!(matches!(
        app.append(s, T0 - hour - 1, 1.0),
        Err(AppendError::OutOfBounds)
    ));
    let other = app.series(&labels("m", 1)).unwrap();
    app.append(other, T0 - hour, 1.0).unwrap();
    assert!(matches!(
        app.append(bellwether_model::storage::SeriesRef(99), T0, 1.0),
        Err(AppendError::UnknownSeries)
    ));
    assert!(matches!(
        app.series(&Labels::empty()),
        Err(AppendError::InvalidLabels(_))
    ));
    // A contradictory histogram is refused alone.
    let bad = Histogram {
        count: 1,
        ..histogram(2)
    };
    assert!(matches!(
        app.append_histogram(other, T0, bad),
        Err(AppendError::InvalidHistogram(_))
    ));
    app.commit().unwrap();
    let stats = db.stats();
    assert_eq!(stats.out_of_order_samples, 1);
    assert_eq!(stats.out_of_bound_samples, 1);
    assert_eq!(stats.duplicate_samples, 1);
    assert_eq!(stats.samples_appended_float, 2);
}

#[test]
fn a_rolled_back_transaction_leaves_nothing_and_its_series_are_logged_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut app = db.appender();
    let s = app.series(&labels("m", 0)).unwrap();
    app.append(s, T0, 1.0).unwrap();
    app.rollback();
    assert!(dump(&*db, i64::MIN, i64::MAX).is_empty());
    // Made by the transaction that was rolled back, used by this one.
    let mut app = db.appender();
    let s = app.series(&labels("m", 0)).unwrap();
    app.append(s, T0 + 1, 2.0).unwrap();
    app.commit().unwrap();
    drop(db);
    let db = open(dir.path());
    assert_eq!(dump(&*db, i64::MIN, i64::MAX).len(), 1);
    assert_eq!(db.stats().wal_unknown_refs, 0);
}

#[test]
fn the_series_limit_refuses_only_new_series() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(
        dir.path(),
        DbOptions {
            series_limit: 2,
            ..common::options()
        },
    )
    .unwrap();
    let mut app = db.appender();
    for i in 0..2 {
        app.series(&labels("m", i)).unwrap();
    }
    assert!(matches!(
        app.series(&labels("m", 2)),
        Err(AppendError::Limit(_))
    ));
    app.series(&labels("m", 1)).unwrap();
}

#[test]
fn a_query_sees_whole_transactions_only() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut app = db.appender();
    let refs: Vec<_> = (0..500)
        .map(|i| app.series(&labels("m", i)).unwrap())
        .collect();
    app.rollback();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for k in 1..300i64 {
                let mut app = db.appender();
                for (i, r) in refs.iter().enumerate() {
                    // The first transaction makes the series, so it goes by labels.
                    let r = if k == 1 {
                        app.series(&labels("m", i)).unwrap()
                    } else {
                        *r
                    };
                    app.append(r, T0 + k, k as f64).unwrap();
                }
                app.commit().unwrap();
            }
        });
        let all = [Matcher::equal("__name__", "m")];
        let mut buffer = SampleBuffer::default();
        while !writer.is_finished() {
            let querier = db.querier(T0, T0 + 10_000).unwrap();
            let mut seen = std::collections::BTreeSet::new();
            // Two selections of one querier have the same view.
            for _ in 0..2 {
                for series in querier.select(false, &all).unwrap() {
                    buffer.clear();
                    series.read(T0, T0 + 10_000, &mut buffer).unwrap();
                    seen.insert(buffer.len());
                }
            }
            seen.remove(&0);
            assert!(seen.len() <= 1, "half a transaction: {seen:?}");
        }
        writer.join().unwrap();
    });
}

#[test]
fn label_queries_know_matchers() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 2);
    let q = db.querier(T0, T0 + 60_000).unwrap();
    assert_eq!(q.label_names(&[]).unwrap(), ["__name__", "i", "job"]);
    let name = Matcher::new(MatchOp::Regex, "__name__", "float.*").unwrap();
    assert_eq!(
        q.label_values("__name__", std::slice::from_ref(&name))
            .unwrap(),
        ["float", "float_histogram"]
    );
    assert_eq!(q.label_values("i", &[]).unwrap().len(), 20);
    let none = Matcher::equal("job", "other");
    assert!(q.label_names(&[none]).unwrap().is_empty());
    let found = q.select(true, &[name]).unwrap();
    assert!(found.windows(2).all(|w| w[0].labels() < w[1].labels()));
    assert_eq!(found.len(), 21);
    let c = db.cardinality(3);
    assert_eq!(c.num_series, 23);
    assert_eq!(c.series_count_by_metric_name[0], ("float".to_owned(), 20));
    assert_eq!(c.label_value_count_by_label_name[0], ("i".to_owned(), 20));
}

#[test]
fn deleted_samples_stay_deleted_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 10);
    let one = Matcher::equal("i", "3");
    db.delete(T0 + 15_000, T0 + 60_003, &[one]).unwrap();
    let check = |db: &Db| {
        let all = dump(db, i64::MIN, i64::MAX);
        let left: Vec<i64> = all[&labels("float", 3).to_string()]
            .keys()
            .map(|t| (t - T0 - 3) / 15_000)
            .collect();
        assert_eq!(left, [0, 5, 6, 7, 8, 9]);
        assert_eq!(all[&labels("float", 4).to_string()].len(), 10);
    };
    check(&db);
    drop(db);
    check(&open(dir.path()));
}

#[test]
fn a_second_process_is_refused_with_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    // A second open file description conflicts even within one process.
    match Db::open(dir.path(), common::options()) {
        Err(e @ TsdbError::Locked { .. }) => {
            let text = e.to_string();
            assert!(
                text.contains(&format!("process {}", std::process::id())),
                "{text}"
            );
            assert!(text.contains(&dir.path().display().to_string()), "{text}");
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    db.close().unwrap();
    let again = open(dir.path());
    drop(db);
    let mut app = again.appender();
    let s = app.series(&labels("m", 0)).unwrap();
    app.append(s, T0, 1.0).unwrap();
    app.commit().unwrap();
}

#[test]
fn a_closed_database_refuses_commits() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    let mut app = db.appender();
    let s = app.series(&labels("m", 0)).unwrap();
    app.append(s, T0, 1.0).unwrap();
    db.close().unwrap();
    db.close().unwrap();
    assert!(matches!(app.commit(), Err(AppendError::Wal(_))));
    assert!(dump(&*db, i64::MIN, i64::MAX).is_empty());
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let bad = DbOptions {
        wal_segment_size: 1000,
        ..common::options()
    };
    let e = Db::open(dir.path(), bad).map(|_| ()).unwrap_err();
    assert!(e.to_string().contains("wal_segment_size"), "{e}");
}

#[test]
fn a_torn_end_and_a_flipped_bit_lose_only_what_they_touch() {
    let dir = tempfile::tempdir().unwrap();
    let db = open(dir.path());
    fill(&db, 400);
    let before = dump(&*db, i64::MIN, i64::MAX);
    drop(db);
    // Garbage where the next record would have been.
    let segment = dir.path().join("wal/00000000");
    let mut file = fs::OpenOptions::new().append(true).open(&segment).unwrap();
    file.write_all(&[3, 200, 1, 2, 3, 4]).unwrap();
    drop(file);
    let db = open(dir.path());
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &before);
    assert_eq!(db.stats().wal_corruptions, 1);
    drop(db);
    // A flipped bit in the middle of an old segment.
    let mut bytes = fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&segment, bytes).unwrap();
    let count = |d: &common::Dump| d.values().map(|s| s.len()).sum::<usize>();
    let db = open(dir.path());
    let after = dump(&*db, i64::MIN, i64::MAX);
    assert!(db.stats().wal_corruptions >= 1);
    assert!(count(&after) < count(&before));
    assert!(
        count(&after) > count(&before) * 3 / 5,
        "{} of {}",
        count(&after),
        count(&before)
    );
    for (series, samples) in &after {
        for (t, v) in samples {
            assert_eq!(before[series].get(t), Some(v));
        }
    }
    drop(db);
    // Healed: the next start finds nothing wrong.
    let db = open(dir.path());
    assert_eq!(db.stats().wal_corruptions, 0);
    assert_same(&dump(&*db, i64::MIN, i64::MAX), &after);
}

/// Sums with such a range leave the numbers.
#[test]
fn a_block_range_as_long_as_time_itself() {
    let dir = tempfile::tempdir().unwrap();
    let options = DbOptions {
        min_block_duration: Duration::MAX,
        out_of_order_window: Duration::MAX,
        ..common::options()
    };
    let first = i64::MIN / 2;
    let times: Vec<i64> = (0..100).map(|i| first + i * (i64::MAX / 150)).collect();
    let late: Vec<i64> = times.iter().map(|t| t + 1).rev().collect();
    let mut wanted = None;
    for _ in 0..2 {
        let db = Db::open(dir.path(), options.clone()).unwrap();
        if wanted.is_none() {
            for t in times.iter().chain(&late) {
                let mut app = db.appender();
                let series = app.series(&labels("m", 0)).unwrap();
                app.append(series, *t, 1.0).unwrap();
                app.commit().unwrap();
            }
        }
        db.run_maintenance().unwrap();
        let got = dump(&*db, i64::MIN, i64::MAX);
        assert_eq!(got.values().map(|s| s.len()).sum::<usize>(), 200);
        assert_eq!(*wanted.get_or_insert_with(|| got.clone()), got);
    }
}
