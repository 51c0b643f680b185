#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::xor::{self, XorAppender};
use super::{Job, SAMPLES, decode};

type Samples = Vec<(i64, u64)>;

/// The same by the plain decoder, one after the other.
fn plain(chunks: &[&[u8]], maxt: i64) -> Option<Samples> {
    let mut all = Vec::new();
    for chunk in chunks {
        let mut own = Vec::new();
        xor::decode(chunk, usize::MAX, |t, v| own.push((t, v.to_bits()))).ok()?;
        all.extend(own.into_iter().take_while(|(t, _)| *t <= maxt));
    }
    Some(all)
}

fn side_by_side(chunks: &[&[u8]], maxt: i64) -> Option<Samples> {
    let count = |chunk: &[u8]| usize::from(super::super::count(chunk));
    let mut columns: Vec<(Vec<i64>, Vec<f64>)> = chunks
        .iter()
        .map(|c| (vec![0; count(c)], vec![0.0; count(c)]))
        .collect();
    let jobs = chunks.iter().zip(&mut columns);
    let mut jobs: Vec<Job<'_>> = jobs
        .map(|(chunk, (times, values))| Job {
            chunk,
            maxt,
            times,
            values,
            len: 0,
        })
        .collect();
    if !decode(&mut jobs) {
        return None;
    }
    let samples = |job: &Job<'_>| -> Samples {
        let values = job.values.iter().map(|v| v.to_bits());
        let all = job.times.iter().copied().zip(values).take(job.len);
        all.take_while(|(t, _)| *t <= maxt).collect()
    };
    Some(jobs.iter().flat_map(samples).collect())
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (0u32..1000).prop_map(f64::from),
        (0u32..100_000).prop_map(|v| f64::from(v) / 1000.0),
        Just(0.0),
    ]
}

fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => Just(15_000i64),
        2 => 14_990i64..15_010,
        1 => 1i64..10_000_000,
        1 => 1i64..1 << 40,
    ]
}

/// A chunk whose values are all of one kind, or of all kinds.
fn chunk(samples: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    let regular = (vec(Just(15_000i64), samples.clone()), 0u64..16);
    let regular = regular.prop_map(|(steps, most)| {
        let mut v = 1_000_000;
        let values = steps.into_iter().enumerate().map(move |(i, step)| {
            v += (i as u64 * 7919) % (most + 1);
            (step, v as f64)
        });
        values.collect::<Vec<_>>()
    });
    let any = vec((step(), value()), samples);
    (-1i64 << 50..1 << 50, prop_oneof![regular, any]).prop_map(|(start, samples)| {
        let mut appender = XorAppender::default();
        let (mut t, mut last) = (start, 0);
        for (step, v) in samples {
            appender.append(last, t, v);
            last = t;
            t += step;
        }
        appender.to_chunk().to_vec()
    })
}

fn slices(chunks: &[Vec<u8>]) -> Vec<&[u8]> {
    chunks.iter().map(Vec::as_slice).collect()
}

proptest! {
    // Vectors are slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn equals_the_plain_decoder(
        chunks in vec(chunk(2..200), 1..20),
        end in any::<Option<(prop::sample::Index, prop::sample::Index)>>(),
    ) {
        let chunks = slices(&chunks);
        prop_assume!(fearless_simd::Level::new().as_avx2().is_some());
        let maxt = end.map_or(i64::MAX, |(chunk, at)| {
            let all = plain(&[chunks[chunk.index(chunks.len())]], i64::MAX).unwrap();
            at.get(&all).0
        });
        prop_assert_eq!(side_by_side(&chunks, maxt), plain(&chunks, maxt));
    }

    #[test]
    fn damage_is_found_or_decodes_alike(
        chunks in vec(chunk(16..60), 3..10),
        damage in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut chunks = chunks;
        for (chunk, at, byte) in damage {
            let chunk = &mut chunks[chunk.index(3)];
            let at = at.index(chunk.len());
            chunk[at] ^= byte;
        }
        if let Some(cut) = cut {
            let len = cut.index(chunks[1].len());
            chunks[1].truncate(len);
        }
        let chunks = slices(&chunks);
        // Whoever cannot decode them side by side does so one after the other.
        if let Some(all) = side_by_side(&chunks, i64::MAX) {
            prop_assert_eq!(Some(all), plain(&chunks, i64::MAX));
        }
    }

    #[test]
    fn any_bytes_decode_alike_or_not_at_all(
        bytes in vec(vec(any::<u8>(), 0..300), 3..9),
        count in 16u8..80,
    ) {
        let chunks: Vec<Vec<u8>> = bytes
            .into_iter()
            .map(|bytes| [vec![0, count], bytes].concat())
            .collect();
        let chunks = slices(&chunks);
        if let Some(all) = side_by_side(&chunks, i64::MAX) {
            prop_assert_eq!(Some(all), plain(&chunks, i64::MAX));
        }
    }
}

#[test]
fn chunks_of_any_length_are_decoded() {
    for count in [1, *SAMPLES.end(), *SAMPLES.end() + 1] {
        // Two bits a sample, as in a chunk of another program: ours end at 255.
        let mut chunk = (count as u16).to_be_bytes().to_vec();
        chunk.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
        chunk.extend(vec![0; count / 4 + 1]);
        let chunks = [chunk.as_slice(); 7];
        if fearless_simd::Level::new().as_avx2().is_some() {
            assert_eq!(side_by_side(&chunks, i64::MAX), plain(&chunks, i64::MAX));
        }
    }
}
