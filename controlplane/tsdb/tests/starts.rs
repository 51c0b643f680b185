//! Starts of counters through the public door: a zero where one can be, nothing elsewhere.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use bellwether_model::storage::{
    AppendError, Appendable, Queryable, SampleBuffer, SeriesRef, Zero,
};
use bellwether_model::{FloatHistogram, Histogram, Labels, Matcher, Span};
use bellwether_tsdb::{Db, DbOptions};

const T0: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

fn name(text: &str) -> Labels {
    Labels::from_pairs([("__name__", text)])
}

/// A sample at `t` of a counter that says when it began.
fn append(db: &Db, series: &str, start: i64, t: i64) {
    let mut app = db.appender();
    let reference = app.series(&name(series)).unwrap();
    app.append_start(reference, start, t, Zero::Float).unwrap();
    app.append(reference, t, 5.0).unwrap();
    app.commit().unwrap();
}

/// The samples of a series.
fn read(db: &Db, series: &str) -> SampleBuffer {
    let querier = db.querier(i64::MIN, i64::MAX).unwrap();
    let matcher = Matcher::equal("__name__", series);
    let mut buffer = SampleBuffer::default();
    for series in querier.select(false, &[matcher]).unwrap() {
        series.read(i64::MIN, i64::MAX, &mut buffer).unwrap();
    }
    buffer
}

/// Times and values of a series of floats.
fn floats(db: &Db, series: &str) -> Vec<(i64, f64)> {
    let samples = read(db, series);
    assert!(samples.histograms.is_empty());
    let pairs = samples.timestamps.iter().copied();
    pairs.zip(samples.values).collect()
}

#[test]
fn a_start_is_a_zero_before_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), DbOptions::default()).unwrap();
    // Time begins with the first sample: half a block before it is as far as a start may lie.
    append(&db, "far", T0 - 2 * HOUR, T0);
    append(&db, "near", T0 - 1000, T0);
    append(&db, "future", T0 + 1, T0);
    append(&db, "same", T0, T0);
    // The same start with every sample, then another.
    append(&db, "near", T0 - 1000, T0 + 10);
    append(&db, "near", T0 + 15, T0 + 20);
    assert_eq!(floats(&db, "far"), [(T0, 5.0)]);
    assert_eq!(floats(&db, "future"), [(T0, 5.0)]);
    assert_eq!(floats(&db, "same"), [(T0, 5.0)]);
    let near = [
        (T0 - 1000, 0.0),
        (T0, 5.0),
        (T0 + 10, 5.0),
        (T0 + 15, 0.0),
        (T0 + 20, 5.0),
    ];
    assert_eq!(floats(&db, "near"), near);
    let mut app = db.appender();
    let unknown = app.append_start(SeriesRef(99), T0, T0 + 1, Zero::Float);
    assert!(matches!(unknown, Err(AppendError::UnknownSeries)));
    drop(app);
    db.close().unwrap();
    // The log has them.
    let db = Db::open(dir.path(), DbOptions::default()).unwrap();
    assert_eq!(floats(&db, "near"), near);
}

#[test]
fn a_start_never_comes_out_of_order() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), DbOptions::default()).unwrap();
    db.set_out_of_order_window(Duration::from_secs(6 * 3600))
        .unwrap();
    append(&db, "m", T0 - 1000, T0);
    append(&db, "m", T0 - 500, T0 + 10);
    append(&db, "other", T0 - 3 * HOUR, T0 + 10);
    assert_eq!(
        floats(&db, "m"),
        [(T0 - 1000, 0.0), (T0, 5.0), (T0 + 10, 5.0)]
    );
    assert_eq!(floats(&db, "other"), [(T0 + 10, 5.0)]);
}

#[test]
fn a_histogram_starts_with_its_own_buckets() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), DbOptions::default()).unwrap();
    let integer = Histogram {
        schema: 3,
        zero_threshold: 0.5,
        count: 2,
        sum: 7.0,
        positive_spans: vec![Span {
            offset: 1,
            length: 1,
        }],
        positive_buckets: vec![2],
        ..Histogram::default()
    };
    let float = FloatHistogram {
        schema: 2,
        ..integer.to_float()
    };
    let mut app = db.appender();
    let i = app.series(&name("i")).unwrap();
    app.append_start(i, T0 - 10, T0, Zero::Histogram(&integer))
        .unwrap();
    app.append_histogram(i, T0, integer).unwrap();
    let f = app.series(&name("f")).unwrap();
    app.append_start(f, T0 - 10, T0, Zero::FloatHistogram(&float))
        .unwrap();
    app.append_float_histogram(f, T0, float).unwrap();
    app.commit().unwrap();
    for (series, schema) in [("i", 3), ("f", 2)] {
        let samples = read(&db, series);
        assert_eq!(samples.timestamps, [T0 - 10, T0]);
        let [Some(zero), Some(next)] = samples.histograms.as_slice() else {
            panic!("{samples:?}")
        };
        assert_eq!((zero.count, zero.sum, next.count), (0.0, 0.0, 2.0));
        assert_eq!((zero.schema, next.schema), (schema, schema));
        assert_eq!((zero.zero_threshold, next.zero_threshold), (0.5, 0.5));
    }
}
