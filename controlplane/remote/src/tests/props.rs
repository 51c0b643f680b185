//! Bytes from outside: nothing panics, whatever they are, and what is written is read back.

use bellwether_model::{Labels, MatchOp};
use proptest::prelude::*;

use super::Memory;
use crate::otlp::{self, OtlpSettings};
use crate::read::{ChunkRecord, FrameWriter, ReadRequest, ResponseType, SamplesResponse};
use crate::wire::Writer;

fn packed(message: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(message).unwrap()
}

/// Bytes that often look like protobuf: keys of small fields, short lengths.
fn nearly_protobuf() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        Just(0x0a_u8),
        Just(0x12),
        Just(0x1a),
        Just(0x22),
        Just(0x2a),
        0_u8..8,
        any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..200)
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_taken(bytes in nearly_protobuf(), snappy in any::<bool>()) {
        let external = Labels::from_pairs([("a", "b")]);
        let body = if snappy { packed(&bytes) } else { bytes.clone() };
        let _ = ReadRequest::decode(&body, &external);
        let memory = Memory::default();
        let _ = crate::write_v2(
            &memory,
            &bytes,
            0,
            crate::V2Options { type_and_unit_labels: true, metadata_records: true, start_timestamps: true },
        );
        let _ = otlp::write(&memory, &OtlpSettings::default(), &bytes, 0);
        for kind in ["application/json", "application/x-protobuf"] {
            for encoding in ["", "gzip"] {
                let _ = otlp::body(kind, encoding, &bytes);
            }
        }
    }

    #[test]
    fn requests_come_through(
        start in any::<i64>(),
        end in any::<i64>(),
        matchers in proptest::collection::vec((0_u64..2, "[a-c]{1,3}", "\\PC{0,5}"), 0..4),
        accepted in proptest::collection::vec(0_u64..4, 0..4),
    ) {
        let mut request = Writer::default();
        request.message(1, |w| {
            w.int(1, start);
            w.int(2, end);
            for (kind, name, value) in &matchers {
                w.message(3, |w| {
                    w.uint(1, *kind);
                    w.bytes(2, name.as_bytes());
                    w.bytes(3, value.as_bytes());
                });
            }
        });
        for kind in &accepted {
            request.uint_present(2, *kind);
        }
        let known = accepted.iter().find(|kind| **kind < 2);
        let read = ReadRequest::decode(&packed(&request.0), &Labels::empty());
        if known.is_none() && !accepted.is_empty() {
            prop_assert!(read.is_err());
            return Ok(());
        }
        let read = read.unwrap();
        let wanted = match known {
            Some(1) => ResponseType::Chunks,
            _ => ResponseType::Samples,
        };
        prop_assert_eq!(read.response, wanted);
        let query = &read.queries[0];
        prop_assert_eq!((query.start_ms, query.end_ms), (start, end));
        prop_assert_eq!(query.matchers.len(), matchers.len());
        for (got, (kind, name, value)) in query.matchers.iter().zip(&matchers) {
            let op = [MatchOp::Equal, MatchOp::NotEqual][*kind as usize];
            prop_assert_eq!((got.op, &got.name, &got.value), (op, name, value));
        }
    }

    /// Whatever the size of frames, all chunks arrive, in order, and no frame holds more than it has to.
    #[test]
    fn frames_hold_all_chunks(
        sizes in proptest::collection::vec(0_usize..300, 1..20),
        bytes_max in 0_usize..600,
    ) {
        let external = Labels::from_pairs([("zone", "z")]);
        let labels = Labels::from_pairs([("__name__", "m")]);
        let data: Vec<Vec<u8>> = sizes.iter().map(|n| vec![7; *n]).collect();
        let chunks: Vec<ChunkRecord<'_>> = data
            .iter()
            .enumerate()
            .map(|(i, data)| ChunkRecord { mint: i as i64, maxt: i as i64, encoding: 1, data })
            .collect();
        let mut out = Vec::new();
        FrameWriter::new(&external, bytes_max).series(3, &labels, &chunks, &mut out);
        let mut seen = 0;
        let mut rest = out.as_slice();
        while !rest.is_empty() {
            let (mut len, mut shift) = (0_usize, 0);
            loop {
                let byte = rest[0];
                rest = &rest[1..];
                len |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            let (crc, message) = rest[..4 + len].split_at(4);
            prop_assert_eq!(crc, crc_fast::crc32_iscsi(message).to_be_bytes());
            rest = &rest[4 + len..];
            let mut in_frame = 0;
            let mut cursor = crate::wire::Cursor::new("ChunkedReadResponse", message);
            while let Some(field) = cursor.next().unwrap() {
                if field.number != 1 {
                    prop_assert_eq!(field.uint().unwrap(), 3);
                    continue;
                }
                let mut series = field.message("ChunkedSeries").unwrap();
                while let Some(field) = series.next().unwrap() {
                    in_frame += usize::from(field.number == 2);
                }
            }
            let held: usize = sizes[seen..seen + in_frame - 1].iter().sum();
            prop_assert!(held < bytes_max.max(1), "a full frame goes on");
            seen += in_frame;
        }
        prop_assert_eq!(seen, sizes.len());
    }
}

#[test]
fn a_query_may_not_have_more_samples_than_the_limit() {
    let external = Labels::empty();
    let labels = Labels::from_pairs([("__name__", "m")]);
    let mut response = SamplesResponse::new(&external, 3);
    response
        .series(&labels, &[(1, 1.0), (2, 2.0)], &[])
        .unwrap();
    response.end_query();
    response
        .series(&labels, &[(1, 1.0), (2, 2.0)], &[])
        .unwrap();
    let error = response
        .series(&labels, &[(1, 1.0), (2, 2.0)], &[])
        .unwrap_err();
    assert_eq!(error.to_string(), "exceeded sample limit (3)");
}
