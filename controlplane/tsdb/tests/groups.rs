//! Series that are read together have the samples that each of them has alone.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use bellwether_model::storage::{Appendable as _, Queryable as _, SampleBuffer, Series};
use bellwether_model::{FloatHistogram, Labels, Matcher};
use bellwether_tsdb::{Db, DbOptions};

const STEP: i64 = 15_000;
const HOUR: i64 = 3_600_000;
/// Aligned to two hours.
const T0: i64 = 1_700_006_400_000;
const SERIES: i64 = 14;

fn labels(i: i64) -> Labels {
    Labels::from_pairs([("__name__", "m".to_owned()), ("i", format!("{i:02}"))])
}

/// Seven hours: two blocks and a head. Every series is different: counters, noise, jitter, gaps, a late beginning, an
/// early end, histograms.
fn fill(db: &Db) {
    for round in 0..7 * HOUR / STEP {
        let mut app = db.appender();
        for i in 0..SERIES {
            let lives = match i {
                3 => !(300..900).contains(&round),
                4 => round > 700,
                5 => round < 500,
                6 => round % 9 != 0,
                _ => true,
            };
            if !lives {
                continue;
            }
            let jitter = if i % 5 == 1 { round * 7919 % 11 } else { 0 };
            let t = T0 + round * STEP + i + jitter;
            let series = app.series(&labels(i)).unwrap();
            if i == 7 && round % 400 > 200 {
                let h = FloatHistogram {
                    count: round as f64,
                    sum: 1.5,
                    zero_count: round as f64,
                    ..FloatHistogram::default()
                };
                app.append_float_histogram(series, t, h).unwrap();
                continue;
            }
            let noise = (round * 7919 + i * 104_729) % 10_007;
            let v = match i % 3 {
                0 => (round * (i + 1) + noise % 3) as f64,
                1 => noise as f64 / 100.0,
                _ => (noise as f64).sqrt() * 1e-7,
            };
            app.append(series, t, v).unwrap();
        }
        app.commit().unwrap();
    }
}

fn found(db: &Db, mint: i64, maxt: i64) -> Vec<Arc<dyn Series>> {
    let querier = db.querier(mint, maxt).unwrap();
    querier
        .select(true, &[Matcher::equal("__name__", "m")])
        .unwrap()
}

/// Compares all ways of reading ranges of several lengths; says how many samples there were.
fn compare(db: &Db) -> usize {
    let mut samples = 0;
    for (start, length) in (0..15).map(|n| (n * 7919 % 420, [1, 5, 65, 130, 425][n as usize % 5])) {
        let (mint, maxt) = (T0 + start * 60_000, T0 + (start + length) * 60_000);
        let all = found(db, mint, maxt);
        // Less than the querier's range, too.
        for (mint, maxt) in [(mint, maxt), (mint + 100_000, maxt - 100_000)] {
            for size in [3, 8] {
                for group in all.chunks(size) {
                    let mut together = vec![SampleBuffer::default(); group.len()];
                    group[0]
                        .read_group(group, mint, maxt, &mut together)
                        .unwrap();
                    for (series, together) in group.iter().zip(&together) {
                        let mut alone = SampleBuffer::default();
                        series.read(mint, maxt, &mut alone).unwrap();
                        let bits = |b: &SampleBuffer| -> Vec<u64> {
                            b.values.iter().map(|v| v.to_bits()).collect()
                        };
                        assert_eq!(together.timestamps, alone.timestamps, "{}", series.labels());
                        assert_eq!(bits(together), bits(&alone), "{}", series.labels());
                        assert_eq!(together.histograms, alone.histograms);
                        samples += alone.len();
                    }
                }
            }
        }
    }
    samples
}

#[test]
fn groups_have_the_samples_of_their_series() {
    let dir = tempfile::tempdir().unwrap();
    let options = DbOptions {
        retention: Duration::ZERO,
        out_of_order_window: Duration::from_secs(2 * 3600),
        ..DbOptions::default()
    };
    let db = Db::open(dir.path(), options).unwrap();
    fill(&db);
    let in_head = compare(&db);
    assert!(in_head > 50_000, "{in_head}");
    db.run_maintenance().unwrap();
    assert_eq!(compare(&db), in_head);

    // Deleted from a block and from the head.
    for (from, to) in [(60, 70), (400, 410)] {
        let (from, to) = (T0 + from * 60_000, T0 + to * 60_000);
        db.delete(from, to, &[Matcher::equal("i", "09")]).unwrap();
    }
    assert!(compare(&db) < in_head);

    // Samples that come late, one of them between two others.
    let mut app = db.appender();
    let series = app.series(&labels(10)).unwrap();
    app.append(series, T0 + 6 * HOUR + 77, 1.0).unwrap();
    let series = app.series(&labels(4)).unwrap();
    app.append(series, T0 + 5 * HOUR + STEP / 2, 2.0).unwrap();
    app.commit().unwrap();
    compare(&db);
}
