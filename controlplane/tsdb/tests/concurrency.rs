//! Appends, queries and maintenance at the same time: whatever a query sees is a prefix of each writer's
//! transactions, and in the end everything is there.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use bellwether_model::storage::{Appendable as _, Queryable as _, SampleBuffer};
use bellwether_model::{Labels, MatchOp, Matcher};

const MINUTE: i64 = 60_000;
const T0: i64 = 1_700_006_400_000;
const WRITERS: i64 = 2;
const SERIES: i64 = 30;
/// Transactions of each writer, a minute apart: ten hours, so that blocks are cut meanwhile.
const ROUNDS: i64 = 600;

fn labels(writer: i64, i: i64, round: i64) -> Labels {
    // A third of the series lives for an hour only.
    let era = if i % 3 == 0 { round / 60 } else { 0 };
    Labels::from_pairs([
        ("__name__", "m".to_owned()),
        ("writer", writer.to_string()),
        ("i", i.to_string()),
        ("era", format!("e{era}")),
    ])
}

#[test]
fn appends_queries_and_maintenance_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let db = common::open(dir.path());
    let done = AtomicBool::new(false);
    // The slowest writer's clock: nobody runs so far ahead that others are out of bounds.
    let clocks: Vec<_> = (0..WRITERS)
        .map(|_| std::sync::atomic::AtomicI64::new(0))
        .collect();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| {
                let (db, clocks) = (&db, &clocks);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        while clocks.iter().any(|c| c.load(Ordering::SeqCst) + 20 < round) {
                            std::thread::yield_now();
                        }
                        let mut app = db.appender();
                        for i in 0..SERIES {
                            let s = app.series(&labels(w, i, round)).unwrap();
                            app.append(s, T0 + round * MINUTE, round as f64).unwrap();
                        }
                        app.commit().unwrap();
                        clocks[w as usize].store(round, Ordering::SeqCst);
                    }
                    clocks[w as usize].store(i64::MAX - 20, Ordering::SeqCst);
                })
            })
            .collect();
        let maintenance = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                db.run_maintenance().unwrap();
            }
        });
        let reader = scope.spawn(|| {
            let mut buffer = SampleBuffer::default();
            let mut checked = 0;
            while !done.load(Ordering::SeqCst) || checked == 0 {
                let q = db.querier(i64::MIN, i64::MAX).unwrap();
                for w in 0..WRITERS {
                    let m = [
                        Matcher::equal("writer", w.to_string()),
                        Matcher::new(MatchOp::NotRegex, "i", "0|3|6|9|.*[0369]").unwrap(),
                        Matcher::equal("era", "e0"),
                    ];
                    let mut lengths = std::collections::BTreeSet::new();
                    for series in q.select(true, &m).unwrap() {
                        buffer.clear();
                        series.read(i64::MIN, i64::MAX, &mut buffer).unwrap();
                        let whole = buffer
                            .timestamps
                            .iter()
                            .zip(0..)
                            .all(|(t, round)| *t == T0 + round * MINUTE);
                        if !labels_are_short_lived(series.labels()) {
                            assert!(
                                whole,
                                "a hole in {}: {:?}",
                                series.labels(),
                                buffer.timestamps
                            );
                            lengths.insert(buffer.len());
                        }
                    }
                    lengths.remove(&0);
                    assert!(lengths.len() <= 1, "half a transaction: {lengths:?}");
                    checked += 1;
                }
            }
        });
        for w in writers {
            w.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        maintenance.join().unwrap();
        reader.join().unwrap();
    });
    let check = |db: &bellwether_tsdb::Db| {
        let all = common::dump(db, i64::MIN, i64::MAX);
        for w in 0..WRITERS {
            for round in 0..ROUNDS {
                for i in 0..SERIES {
                    let samples = &all[&labels(w, i, round).to_string()];
                    let wanted = common::Value::Float(round as f64);
                    assert_eq!(samples.get(&(T0 + round * MINUTE)), Some(&wanted));
                }
            }
        }
    };
    check(&db);
    assert!(db.blocks().len() > 1);
    drop(db);
    check(&common::open(dir.path()));
}

fn labels_are_short_lived(l: &Labels) -> bool {
    l.value("i").parse::<i64>().unwrap() % 3 == 0
}
