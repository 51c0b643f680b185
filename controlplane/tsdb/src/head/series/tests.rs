#![allow(clippy::unwrap_used)]
use bellwether_model::storage::SampleBuffer;

use super::*;

const HOUR: i64 = 3_600_000;

fn txn(number: u64) -> Txn {
    Txn {
        number,
        watermark: number - 1,
        chunk_range: 2 * HOUR,
    }
}

#[test]
fn chunks_are_cut_as_prometheus_cuts_them() {
    let mut s = SeriesState::default();
    // Four hours of samples every 15 s: 480 per two hours, four chunks of 120 each.
    for i in 0..960 {
        s.append_float(i * 15_000, i as f64, txn(1));
    }
    let starts: Vec<i64> = s.closed().iter().map(|c| c.mint / 15_000).collect();
    assert_eq!(starts, [0, 120, 240, 360, 480, 600, 720]);
    assert_eq!(s.closed()[0].maxt, 119 * 15_000);
    assert_eq!(s.open.samples(), 120);
    assert_eq!(s.truncate(2 * HOUR), 4);
    assert_eq!(s.mint(), 2 * HOUR);
}

#[test]
fn hidden_samples_reach_back_over_closed_chunks() {
    let mut s = SeriesState::default();
    for i in 0..10 {
        s.append_float(i, 0.0, txn(1));
    }
    for i in 10..1000 {
        s.append_float(i, 0.0, txn(2));
    }
    let mut out = SampleBuffer::default();
    s.read_in_order(i64::MIN, i64::MAX, 1, &mut out).unwrap();
    assert_eq!(out.timestamps, (0..10).collect::<Vec<_>>());
    out.clear();
    s.read_in_order(5, 700, 2, &mut out).unwrap();
    assert_eq!(out.timestamps, (5..=700).collect::<Vec<_>>());
}

#[test]
fn floats_and_histograms_mix() {
    let mut s = SeriesState::default();
    let h = || {
        Flat::from(bellwether_model::Histogram {
            count: 1,
            zero_count: 1,
            sum: 2.0,
            ..Default::default()
        })
    };
    s.append_float(1, 1.0, txn(1));
    s.append_histogram(2, h(), txn(1)).unwrap();
    assert!(s.check_histogram(2, &h()).is_ok());
    assert!(s.check_float(2, 1.0).is_err());
    s.append_histogram(3, h(), txn(1)).unwrap();
    s.append_float(4, 4.0, txn(1));
    let mut out = SampleBuffer::default();
    s.read_in_order(0, 9, 1, &mut out).unwrap();
    assert_eq!(out.timestamps, [1, 2, 3, 4]);
    assert_eq!(out.histogram(2).unwrap().count, 1.0);
    assert!(out.histogram(3).is_none());
    let ends: Vec<_> = s.closed().iter().map(|c| (c.mint, c.maxt)).collect();
    assert_eq!(ends, [(1, 1), (2, 3)]);
}

/// As after a start that found all samples in files.
#[test]
fn a_duplicate_of_the_end_of_the_last_file_is_known() {
    let h = |n: u64| {
        Flat::from(bellwether_model::Histogram {
            count: n,
            zero_count: n,
            sum: 2.0,
            ..Default::default()
        })
    };
    let restarted = |written: &mut SeriesState| {
        written.close();
        let mut s = SeriesState::default();
        assert_eq!(s.adopt(written.closed().to_vec()), written.closed().len());
        s
    };
    let mut s = SeriesState::default();
    s.append_float(1, 1.0, txn(1));
    s.append_float(2, 2.0, txn(1));
    let mut s = restarted(&mut s);
    assert!(s.check_float(2, 2.0).is_ok());
    assert!(s.check_float(3, 1.0).is_ok());
    for refused in [s.check_float(2, 1.0), s.check_histogram(2, &h(2))] {
        assert!(matches!(refused, Err(AppendError::DuplicateTimestamp(_))));
    }
    s.append_histogram(3, h(3), txn(1)).unwrap();
    let s = restarted(&mut s);
    assert!(s.check_histogram(3, &h(3)).is_ok());
    for refused in [s.check_float(3, 2.0), s.check_histogram(3, &h(4))] {
        assert!(matches!(refused, Err(AppendError::DuplicateTimestamp(_))));
    }
}

/// As when the log gave the series another number, under which the files have chunks.
#[test]
fn chunks_from_files_are_taken_behind_samples_from_the_log() {
    let mut other = SeriesState::default();
    for t in 10..14 {
        other.append_float(t, t as f64, txn(1));
    }
    other.close();
    let mut s = SeriesState::default();
    for t in 1..5 {
        s.append_float(t, t as f64, txn(1));
    }
    assert_eq!(s.adopt(other.closed().to_vec()), 1);
    assert_eq!(s.adopt(other.closed().to_vec()), 0);
    // The log repeats what the chunk has.
    for t in 12..20 {
        s.append_float(t, t as f64, txn(1));
    }
    let mut out = SampleBuffer::default();
    s.read_in_order(i64::MIN, i64::MAX, 1, &mut out).unwrap();
    assert_eq!(out.timestamps, (1..5).chain(10..20).collect::<Vec<_>>());
    assert_eq!(s.closed().len(), 2);
}
