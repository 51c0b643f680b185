//! Chunk encodings: XOR floats and native histograms, byte for byte Prometheus' encodings 1, 2 and 3.

mod bits;
mod blocks;
mod columns;
pub(crate) mod histogram;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod layout;
mod number;
pub(crate) mod scratch;
pub(crate) mod together;
pub(crate) mod validate;
pub(crate) mod xor;

use std::sync::Arc;

use bellwether_model::storage::SampleBuffer;

use crate::encoding::DecodeError;
pub(crate) use columns::Resume;

/// Encoding byte of XOR float chunks.
pub(crate) const ENC_XOR: u8 = 1;
/// Encoding byte of integer histogram chunks.
pub(crate) const ENC_HISTOGRAM: u8 = 2;
/// Encoding byte of float histogram chunks.
pub(crate) const ENC_FLOAT_HISTOGRAM: u8 = 3;

/// Samples that an encoded chunk says it holds.
pub(crate) fn count(data: &[u8]) -> u16 {
    match data {
        [a, b, ..] => u16::from_be_bytes([*a, *b]),
        _ => 0,
    }
}

/// The chunk, if it is one of histograms, without the statement that no counter reset came before it.
pub(crate) fn without_not_reset(encoding: u8, data: &[u8]) -> Arc<[u8]> {
    let mut out: Arc<[u8]> = data.into();
    if matches!(encoding, ENC_HISTOGRAM | ENC_FLOAT_HISTOGRAM)
        && let Some(bytes) = Arc::get_mut(&mut out)
    {
        histogram::forget_not_reset(bytes);
    }
    out
}

/// Appends those of a chunk's first `limit` samples that lie in `mint..=maxt` to a buffer.
pub(crate) fn read_into(
    encoding: u8,
    data: &[u8],
    limit: usize,
    mint: i64,
    maxt: i64,
    out: &mut SampleBuffer,
) -> Result<(), DecodeError> {
    match encoding {
        ENC_XOR => columns::decode(data, limit, mint, maxt, out),
        ENC_HISTOGRAM => histogram::decode::<i64>(data, limit, |t, sample| {
            if t >= mint && t <= maxt {
                out.push_histogram(t, Arc::new(sample.to_model().to_float()));
            }
        }),
        ENC_FLOAT_HISTOGRAM => histogram::decode::<f64>(data, limit, |t, sample| {
            if t >= mint && t <= maxt {
                out.push_histogram(t, Arc::new(sample.to_model()));
            }
        }),
        _ => Err(DecodeError("unknown chunk encoding")),
    }
}
