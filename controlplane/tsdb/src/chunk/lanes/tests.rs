#![allow(clippy::unwrap_used)]

use bellwether_model::storage::SampleBuffer;
use proptest::collection::vec;
use proptest::prelude::*;

use super::super::xor::{self, XorAppender};
use super::{SAMPLES, decode};

type Samples = Vec<(i64, u64)>;

/// The same by the plain decoder, one after the other.
fn plain(chunks: &[&[u8]]) -> Option<Samples> {
    let mut all = Vec::new();
    for chunk in chunks {
        xor::decode(chunk, usize::MAX, |t, v| all.push((t, v.to_bits()))).ok()?;
    }
    Some(all)
}

fn side_by_side(chunks: &[&[u8]]) -> Option<Samples> {
    let mut out = SampleBuffer::default();
    out.push_float(-7, 7.0);
    let done = decode(chunks, &mut out);
    assert_eq!((out.timestamps[0], out.values[0]), (-7, 7.0));
    let values = out.values.iter().map(|v| v.to_bits());
    let all = out.timestamps.iter().copied().zip(values).skip(1);
    let all: Samples = all.collect();
    assert!(done || all.is_empty());
    done.then_some(all)
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
    fn equals_the_plain_decoder(chunks in vec(chunk(16..200), 1..20)) {
        let chunks = slices(&chunks);
        prop_assume!(fearless_simd::Level::new().as_avx2().is_some());
        prop_assert_eq!(side_by_side(&chunks), plain(&chunks));
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
        if let Some(all) = side_by_side(&chunks) {
            prop_assert_eq!(Some(all), plain(&chunks));
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
        if let Some(all) = side_by_side(&chunks) {
            prop_assert_eq!(Some(all), plain(&chunks));
        }
    }
}

#[test]
fn the_longest_chunks_fit_and_longer_ones_are_left_alone() {
    for count in [*SAMPLES.end() as i64, *SAMPLES.end() as i64 + 1] {
        // Two bits a sample, as in a chunk of another program: ours end at 255.
        let mut chunk = (count as u16).to_be_bytes().to_vec();
        chunk.extend([2, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
        chunk.extend(vec![0; count as usize / 4 + 1]);
        let chunks = [chunk.as_slice(); 7];
        let fits = SAMPLES.contains(&(count as usize));
        let all = side_by_side(&chunks);
        if fits && fearless_simd::Level::new().as_avx2().is_some() {
            assert_eq!(all, plain(&chunks));
        } else {
            assert_eq!(all, None);
        }
    }
}
