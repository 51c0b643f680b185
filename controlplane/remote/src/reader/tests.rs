#![allow(clippy::unwrap_used)]

use bellwether_model::histogram::FloatHistogram;
use bellwether_model::storage::{SampleBuffer, Series};
use bellwether_model::{Labels, Matcher};

use super::answer::{AnswerError, Frames, samples};
use super::request;
use crate::read::{ChunkRecord, FrameWriter, ReadRequest, ResponseType, SamplesResponse};
use crate::request::HistogramRecord;

fn labels(n: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "m".to_owned()),
        ("n", n.to_string()),
        ("x", "e".to_owned()),
    ])
}

fn times(series: &dyn Series, mint: i64, maxt: i64) -> Vec<i64> {
    let mut out = SampleBuffer::default();
    series.read(mint, maxt, &mut out).unwrap();
    out.timestamps
}

#[test]
fn a_question_reads_back() {
    let external = Labels::from_pairs([("cluster", "c"), ("job", "j")]);
    let own = [
        Matcher::equal("job", "other"),
        Matcher::equal("__name__", "m"),
    ];
    let (matchers, added) = request::with_external(&own, &external);
    assert_eq!(added, ["cluster"]);
    let body = request::encode((-5, 100), &matchers).unwrap();
    let read = ReadRequest::decode(&body, &Labels::empty()).unwrap();
    assert_eq!(read.response, ResponseType::Chunks);
    let query = &read.queries[0];
    assert_eq!((query.start_ms, query.end_ms), (-5, 100));
    let texts: Vec<String> = query
        .matchers
        .iter()
        .map(|m| format!("{}={}", m.name, m.value))
        .collect();
    assert_eq!(texts, ["job=other", "__name__=m", "cluster=c"]);
}

#[test]
fn samples_come_in_order_without_the_external_labels() {
    let external = Labels::empty();
    let mut response = SamplesResponse::new(&external, 0);
    let histogram = |t| HistogramRecord::Float(t, Box::<FloatHistogram>::default());
    response
        .series(
            &labels(2),
            &[(1, 1.0), (3, 3.0)],
            &[histogram(2), histogram(4)],
        )
        .unwrap();
    response.series(&labels(1), &[(1, 1.0)], &[]).unwrap();
    response.end_query();
    let body = response.finish().unwrap();
    let all = samples(&body, &["x".to_owned()]).unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(
        all[0].labels(),
        &Labels::from_pairs([("__name__", "m"), ("n", "1")])
    );
    assert_eq!(times(&*all[1], 0, 10), [1, 2, 3, 4]);
    assert_eq!(times(&*all[1], 2, 3), [2, 3]);
}

/// An XOR chunk with one sample: count, time as a varint, value.
fn chunk(t: i64) -> Vec<u8> {
    let mut out = vec![0, 1];
    let mut zigzag = (t << 1).cast_unsigned();
    while zigzag >= 0x80 {
        out.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    out.push(zigzag as u8);
    out.extend_from_slice(&1.5f64.to_be_bytes());
    out
}

fn frames(bytes_max: usize) -> Vec<u8> {
    let external = Labels::empty();
    let writer = FrameWriter::new(&external, bytes_max);
    let mut out = Vec::new();
    for n in [1, 2] {
        let chunks: Vec<Vec<u8>> = [10, 20, 30].map(chunk).to_vec();
        let records: Vec<ChunkRecord<'_>> = chunks
            .iter()
            .map(|data| ChunkRecord {
                mint: 0,
                maxt: 0,
                encoding: 1,
                data,
            })
            .collect();
        writer.series(0, &labels(n), &records, &mut out);
    }
    out
}

#[test]
fn frames_may_come_in_any_pieces() {
    // Frames of one chunk each: the series are put together.
    let bytes = frames(1);
    for size in [1, 7, bytes.len()] {
        let mut frames = Frames::new(1000, &[]);
        for piece in bytes.chunks(size) {
            frames.push(piece).unwrap();
        }
        let all = frames.finish().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(times(&*all[0], 0, 25), [10, 20]);
        // Behind samples of another part of the series.
        let mut out = SampleBuffer::default();
        out.push_float(100, 1.0);
        all[0].read(0, 25, &mut out).unwrap();
        assert_eq!(out.timestamps, [100, 10, 20]);
    }
}

#[test]
fn frames_that_are_cut_too_large_or_damaged_are_refused() {
    let bytes = frames(1000);
    let mut cut = Frames::new(1000, &[]);
    cut.push(&bytes[..bytes.len() - 1]).unwrap();
    assert!(matches!(cut.finish(), Err(AnswerError::Unfinished)));
    let too_large = Frames::new(10, &[]).push(&bytes);
    assert!(matches!(
        too_large,
        Err(AnswerError::FrameSize { limit: 10, .. })
    ));
    let mut damaged = bytes.clone();
    damaged[20] ^= 1;
    let damaged = Frames::new(1000, &[]).push(&damaged);
    assert!(matches!(damaged, Err(AnswerError::Checksum)));
    let endless = Frames::new(1000, &[]).push(&[0xff; 11]);
    assert!(matches!(endless, Err(AnswerError::FrameSize { .. })));
}
