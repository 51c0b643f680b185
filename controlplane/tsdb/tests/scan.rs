//! Scanning series gives what selecting and reading them one by one gives.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use bellwether_model::labels::{METRIC_NAME, TYPE_LABEL};
use bellwether_model::storage::{
    Appendable, Querier, Queryable, SampleBuffer, Scan, StorageError, scan_stream,
};
use bellwether_model::{Labels, MatchOp, Matcher, stale_nan};
use bellwether_tsdb::Db;
use common::options;

/// By labels the samples, values as bits.
type Found = BTreeMap<Labels, Vec<Vec<(i64, u64)>>>;

fn pods(db: &Db, count: usize, more: &[(&str, &str)]) {
    let mut appender = db.appender();
    for i in 0..count {
        let mut labels = Labels::from_pairs([
            (
                METRIC_NAME,
                ["requests_total", "queue_length"][i % 2].to_owned(),
            ),
            ("code", ["200", "404", "500"][i % 3].to_owned()),
            ("pod", format!("pod-{i}")),
        ])
        .to_builder();
        for (name, value) in more {
            labels.set(name, value);
        }
        let series = appender.series(&labels.build()).unwrap();
        for t in 0..(i as i64 % 40) {
            let v = if t == 7 {
                stale_nan()
            } else {
                (t * i as i64) as f64
            };
            appender.append(series, t * 1000, v).unwrap();
        }
    }
    appender.commit().unwrap();
}

fn name_is(name: &str) -> Vec<Matcher> {
    vec![Matcher::new(MatchOp::Equal, METRIC_NAME, name).unwrap()]
}

fn found(
    scan: &Scan<'_>,
    run: impl FnOnce(
        &Scan<'_>,
        &mut dyn FnMut(&Labels, &mut SampleBuffer) -> bool,
    ) -> Result<(), StorageError>,
) -> Found {
    let mut found = Found::new();
    run(scan, &mut |labels, samples| {
        let values = samples.timestamps.iter().zip(&samples.values);
        let values = values.map(|(t, v)| (*t, v.to_bits())).collect();
        found.entry(labels.clone()).or_default().push(values);
        true
    })
    .unwrap();
    found
}

/// By the short way and by the plain one, with labels left out of the latter afterwards.
fn both(querier: &dyn Querier, scan: &Scan<'_>) -> (Found, Found) {
    let short = found(scan, |scan, visit| querier.scan(scan, visit));
    let plain = found(scan, |scan, visit| {
        let stream = querier.stream(false, scan.matchers)?;
        scan_stream(stream, scan, &mut |labels, samples| {
            let labels = match scan.labels {
                Some(wanted) => {
                    labels.filter(|n| n == METRIC_NAME || wanted.iter().any(|w| w == n))
                }
                None => labels.clone(),
            };
            visit(&labels, samples)
        })
    });
    (short, plain)
}

fn check(db: &Db) -> usize {
    let wanted: [Option<Vec<String>>; 5] = [
        None,
        Some(Vec::new()),
        Some(vec!["code".into()]),
        Some(vec!["pod".into()]),
        Some(vec!["code".into(), "nobody".into()]),
    ];
    let mut series = 0;
    for (mint, maxt) in [(i64::MIN, i64::MAX), (5_000, 20_000), (100_000, 200_000)] {
        let querier = db.querier(mint, maxt).unwrap();
        for matchers in [
            name_is("requests_total"),
            name_is("queue_length"),
            name_is("none"),
        ] {
            for labels in &wanted {
                let scan = Scan {
                    matchers: &matchers,
                    mint: mint.saturating_add(1000),
                    maxt,
                    labels: labels.as_deref(),
                };
                let (short, plain) = both(&*querier, &scan);
                assert_eq!(short, plain, "{scan:?}");
                series += short.values().map(Vec::len).sum::<usize>();
            }
        }
    }
    series
}

#[test]
fn a_scan_finds_what_a_stream_finds() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    pods(&db, 900, &[]);
    assert!(check(&db) > 4 * 800);
    // Deleted samples, and a page whose series are of two kinds.
    let matcher = Matcher::new(MatchOp::Equal, "code", "404").unwrap();
    db.delete(3_000, 6_000, &[matcher]).unwrap();
    pods(&db, 300, &[("zone", "a")]);
    assert!(check(&db) > 4 * 1100);
}

#[test]
fn a_scan_does_not_see_later_transactions_and_stops_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    pods(&db, 100, &[]);
    let querier = db.querier(0, 1_000_000).unwrap();
    let matchers = name_is("requests_total");
    let scan = Scan {
        matchers: &matchers,
        mint: 0,
        maxt: 1_000_000,
        labels: Some(&[]),
    };
    let before = both(&*querier, &scan).0;
    let mut appender = db.appender();
    let labels = Labels::from_pairs([
        (METRIC_NAME, "requests_total"),
        ("code", "200"),
        ("pod", "pod-0"),
    ]);
    let series = appender.series(&labels).unwrap();
    appender.append(series, 900_000, 1.0).unwrap();
    appender.commit().unwrap();
    let (short, plain) = both(&*querier, &scan);
    assert_eq!(short, plain);
    let samples = |found: &Found| found.values().flatten().map(Vec::len).sum::<usize>();
    assert_eq!(samples(&before), samples(&short));
    let mut visited = 0;
    querier
        .scan(&scan, &mut |_, _| {
            visited += 1;
            visited < 20
        })
        .unwrap();
    assert_eq!(visited, 20);
}

#[test]
fn series_come_with_all_labels_where_one_has_a_type() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    pods(&db, 40, &[]);
    pods(&db, 40, &[(TYPE_LABEL, "counter")]);
    let matchers = name_is("requests_total");
    let scan = Scan {
        matchers: &matchers,
        mint: 0,
        maxt: 1_000_000,
        labels: Some(&[]),
    };
    let all = Scan {
        labels: None,
        ..scan
    };
    let querier = db.querier(0, 1_000_000).unwrap();
    assert_eq!(both(&*querier, &scan).0, both(&*querier, &all).1);
}

#[test]
fn scans_of_the_newest_samples_see_what_came_since_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    let mut appender = db.appender();
    let mut series = Vec::new();
    for i in 0..40 {
        let labels = Labels::from_pairs([
            (METRIC_NAME, "requests_total".to_owned()),
            ("pod", format!("pod-{i}")),
        ]);
        series.push(appender.series(&labels).unwrap());
    }
    appender.commit().unwrap();
    let matchers = name_is("requests_total");
    // Chunks end meanwhile, and an old view stays open.
    let mut old = None;
    for round in 0..260i64 {
        let t = round * 15_000;
        let mut appender = db.appender();
        for (i, series) in series.iter().enumerate() {
            let v = (round * (i as i64 + 1)) as f64 / 3.0;
            appender.append(*series, t, v).unwrap();
        }
        appender.commit().unwrap();
        let querier = db.querier(0, t).unwrap();
        if round % 50 == 10 {
            old = Some(db.querier(0, t + 100 * 15_000).unwrap());
        }
        for (querier, window) in [
            (Some(&querier), 60_000),
            (Some(&querier), 300_000),
            (old.as_ref(), 120_000),
        ] {
            let Some(querier) = querier else { continue };
            let scan = Scan {
                matchers: &matchers,
                mint: t - window,
                maxt: t,
                labels: None,
            };
            let (short, plain) = both(&**querier, &scan);
            assert_eq!(short, plain, "round {round}");
        }
    }
}
