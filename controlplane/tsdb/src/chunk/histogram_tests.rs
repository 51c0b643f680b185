#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn int(counts: &[(i64, i64)], sum: f64) -> Flat<i64> {
    let indexes: Vec<i64> = counts.iter().map(|c| c.0).collect();
    let absolute: Vec<i64> = counts.iter().map(|c| c.1).collect();
    Flat {
        hint: CounterResetHint::Unknown,
        layout: Layout {
            schema: 3,
            zero_threshold: 0.001,
            positive: layout::spans_of(&indexes),
            negative: Vec::new(),
            custom: Vec::new(),
        },
        count: absolute.iter().sum(),
        zero_count: 0,
        sum,
        positive: i64::stored(absolute),
        negative: Vec::new(),
    }
}

fn read<T: Number>(data: &[u8]) -> Vec<(i64, Flat<T>)> {
    let mut out = Vec::new();
    decode(data, usize::MAX, |t, s| out.push((t, s))).unwrap();
    out
}

#[test]
fn a_new_bucket_widens_the_chunk() {
    let mut chunk = HistogramAppender::begin(10, int(&[(1, 2)], 1.0), CutFlags::UNKNOWN);
    let next = int(&[(1, 2), (5, 1)], 2.0);
    let Fit::Widen(p, n) = chunk.fit(&next) else {
        panic!("must widen")
    };
    chunk.recode(&p, &n).unwrap();
    chunk.append(20, next.clone());
    let got = read::<i64>(chunk.bytes());
    assert_eq!(i64::absolute(&got[0].1.positive), [2, 0]);
    assert_eq!(got[1].1.positive, next.positive);
    assert_eq!(got[1].1.hint, CounterResetHint::NotReset);
    // A bucket that was never used may vanish again, a used one may not.
    assert_eq!(
        chunk.fit(&int(&[(1, 2)], 2.0)),
        Fit::Cut(CutFlags(FLAG_RESET))
    );
}

#[test]
fn a_stale_marker_fits_and_ends_the_chunk() {
    let mut chunk = HistogramAppender::begin(10, int(&[(1, 2), (2, 3)], 1.0), CutFlags::UNKNOWN);
    let stale = Flat::<i64>::stale();
    assert_eq!(chunk.fit(&stale), Fit::Fits);
    chunk.append(20, stale);
    assert!(read::<i64>(chunk.bytes())[1].1.is_stale());
    assert_eq!(
        chunk.fit(&int(&[(1, 9), (2, 9)], 1.0)),
        Fit::Cut(CutFlags(0))
    );
}

proptest! {
    #[test]
    fn integer_chunks_round_trip(
        steps in proptest::collection::vec((1i64..100_000, proptest::collection::vec(0i64..1000, 3), any::<u64>()), 1..60),
        start in -1_000_000i64..1_000_000,
    ) {
        let mut counts = vec![(-2, 0i64), (0, 0), (7, 0)];
        let mut t = start;
        let mut chunk: Option<HistogramAppender<i64>> = None;
        let mut wanted = Vec::new();
        for (step, adds, sum) in steps {
            t += step;
            for (c, a) in counts.iter_mut().zip(adds) { c.1 += a; }
            let sum = f64::from_bits(sum);
            let sample = int(&counts, if is_stale_nan(sum) { 1.0 } else { sum });
            wanted.push((t, sample.clone()));
            match &mut chunk {
                None => chunk = Some(HistogramAppender::begin(t, sample, CutFlags::UNKNOWN)),
                Some(c) => {
                    prop_assert_eq!(c.fit(&sample), Fit::Fits);
                    c.append(t, sample);
                }
            }
        }
        let got = read::<i64>(chunk.unwrap().bytes());
        prop_assert_eq!(got.len(), wanted.len());
        for ((gt, g), (wt, w)) in got.iter().zip(&wanted) {
            prop_assert_eq!(gt, wt);
            prop_assert_eq!(g.sum.to_bits(), w.sum.to_bits());
            prop_assert_eq!(&g.positive, &w.positive);
            prop_assert_eq!(g.count, w.count);
        }
    }

    #[test]
    fn float_chunks_round_trip(
        steps in proptest::collection::vec((1i64..100_000, proptest::collection::vec(any::<u32>(), 4)), 1..60),
    ) {
        let mut t = 0;
        let mut chunk: Option<HistogramAppender<f64>> = None;
        let mut wanted = Vec::new();
        for (step, v) in steps {
            t += step;
            let v: Vec<f64> = v.into_iter().map(|x| f64::from(x) / 7.0).collect();
            let sample = Flat {
                hint: CounterResetHint::Gauge,
                layout: Layout {
                    schema: bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA,
                    zero_threshold: 0.0,
                    positive: vec![Span { offset: 0, length: 2 }],
                    negative: Vec::new(),
                    custom: vec![0.1, 0.25],
                },
                count: v[0],
                zero_count: 0.0,
                sum: v[1],
                positive: vec![v[2], v[3]],
                negative: Vec::new(),
            };
            wanted.push((t, sample.clone()));
            match &mut chunk {
                None => chunk = Some(HistogramAppender::begin(t, sample, CutFlags::UNKNOWN)),
                Some(c) => {
                    prop_assert_eq!(c.fit(&sample), Fit::Fits);
                    c.append(t, sample);
                }
            }
        }
        prop_assert_eq!(read::<f64>(chunk.unwrap().bytes()), wanted);
    }

    #[test]
    fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        let _ = decode::<i64>(&bytes, 50, |_, _| {});
        let _ = decode::<f64>(&bytes, 50, |_, _| {});
    }
}
