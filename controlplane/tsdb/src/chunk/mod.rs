//! Chunk encodings: XOR floats and native histograms, byte for byte Prometheus' encodings 1, 2 and 3.

mod bits;
mod blocks;
mod columns;
pub(crate) mod histogram;
#[cfg(target_arch = "x86_64")]
mod lanes;
mod layout;
mod number;
pub(crate) mod validate;
pub(crate) mod xor;

use std::sync::Arc;

use bellwether_model::storage::SampleBuffer;

use crate::encoding::DecodeError;

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

/// An encoded chunk with its first and last time in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
    pub(crate) encoding: u8,
    pub(crate) data: &'a [u8],
}

/// Appends those samples of some chunks that lie in `mint..=maxt` to a buffer, chunk by chunk. Says whether a chunk
/// begins before the one before it has ended; an error comes with the number of its chunk.
pub(crate) fn read_all(
    pieces: &[Piece<'_>],
    mint: i64,
    maxt: i64,
    out: &mut SampleBuffer,
) -> Result<bool, (usize, DecodeError)> {
    let from = out.len();
    let mut overlap = false;
    let mut next = 0;
    while next < pieces.len() {
        let rest = &pieces[next..];
        let whole = |p: &&Piece<'_>| p.encoding == ENC_XOR && p.mint >= mint && p.maxt <= maxt;
        let wholes = rest.iter().take_while(whole).count();
        let at = out.len();
        if read_side_by_side(&rest[..wholes], mint, maxt, out) {
            overlap |= falls(out, from, at);
            next += wholes;
            continue;
        }
        for piece in &rest[..wholes.max(1)] {
            let at = out.len();
            read_into(piece.encoding, piece.data, usize::MAX, mint, maxt, out)
                .map_err(|error| (next, error))?;
            overlap |= falls(out, from, at);
            next += 1;
        }
    }
    Ok(overlap)
}

/// Whether the sample at an index is not later than the one before, which is at `from` or later.
pub(crate) fn falls(out: &SampleBuffer, from: usize, at: usize) -> bool {
    at > from && at < out.len() && out.timestamps[at - 1] >= out.timestamps[at]
}

/// Appends all samples of XOR chunks if that can be done side by side and they all lie in `mint..=maxt` and rise.
#[cfg(target_arch = "x86_64")]
fn read_side_by_side(pieces: &[Piece<'_>], mint: i64, maxt: i64, out: &mut SampleBuffer) -> bool {
    if pieces.len() < lanes::FEWEST {
        return false;
    }
    let base = out.len();
    let chunks: Vec<&[u8]> = pieces.iter().map(|p| p.data).collect();
    if !lanes::decode(&chunks, out) {
        return false;
    }
    let times = &out.timestamps[base..];
    let inside = times.first() >= Some(&mint) && times.last() <= Some(&maxt);
    if !inside || !columns::rise(times) {
        out.timestamps.truncate(base);
        out.values.truncate(base);
        return false;
    }
    if !out.histograms.is_empty() {
        out.histograms.resize(out.timestamps.len(), None);
    }
    true
}

#[cfg(not(target_arch = "x86_64"))]
fn read_side_by_side(_: &[Piece<'_>], _: i64, _: i64, _: &mut SampleBuffer) -> bool {
    false
}
