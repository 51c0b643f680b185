//! Reading several chunks, of one series or of several.

use bellwether_model::storage::SampleBuffer;

#[cfg(target_arch = "x86_64")]
use super::lanes;
use super::{ENC_XOR, columns, count, read_into};
use crate::encoding::DecodeError;

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

/// A chunk to decode and where its samples go, of which the columns have room for all.
pub(super) struct Job<'a> {
    pub(super) chunk: &'a [u8],
    /// Later samples are not wanted; some may come all the same.
    pub(super) maxt: i64,
    pub(super) times: &'a mut [i64],
    pub(super) values: &'a mut [f64],
    /// Samples that were decoded.
    pub(super) len: usize,
}

impl Job<'_> {
    /// Decodes the chunk without others beside it. `None` when something is wrong with it.
    pub(super) fn alone(&mut self) -> Option<()> {
        let columns = (&mut *self.times, &mut *self.values);
        let (count, body) = (columns.0.len(), self.chunk.get(2..)?);
        self.len = columns::columns_of(count, body, self.maxt, columns).ok()?;
        Some(())
    }
}

/// Fewer chunks are decoded faster one after the other.
const FEWEST: usize = 3;

/// Decodes chunks side by side. False when something is wrong, or when that cannot be done on this machine.
fn decode(jobs: &mut [Job<'_>]) -> bool {
    #[cfg(target_arch = "x86_64")]
    return lanes::decode(jobs);
    #[cfg(not(target_arch = "x86_64"))]
    return jobs.is_empty();
}

/// Room for all samples of some chunks behind those in a buffer, and a job for each. `None` when a chunk is not one
/// of floats or cannot have as many samples as it says.
fn add_jobs<'a>(
    pieces: &[Piece<'a>],
    maxt: i64,
    out: &'a mut SampleBuffer,
    jobs: &mut Vec<Job<'a>>,
) -> Option<()> {
    // A sample takes two bits or more.
    let sound =
        |p: &Piece<'_>| p.encoding == ENC_XOR && usize::from(count(p.data)) <= p.data.len() * 4;
    if !pieces.iter().all(sound) {
        return None;
    }
    let base = out.len();
    let room: usize = pieces.iter().map(|p| usize::from(count(p.data))).sum();
    out.timestamps.resize(base + room, 0);
    out.values.resize(base + room, 0.0);
    let (mut times, mut values) = (&mut out.timestamps[base..], &mut out.values[base..]);
    for piece in pieces {
        let places = usize::from(count(piece.data));
        let (own_times, own_values);
        (own_times, times) = times.split_at_mut(places);
        (own_values, values) = values.split_at_mut(places);
        jobs.push(Job {
            chunk: piece.data,
            maxt,
            times: own_times,
            values: own_values,
            len: 0,
        });
    }
    Some(())
}

/// Appends all samples of XOR chunks if that can be done side by side and they all lie in `mint..=maxt` and rise.
fn read_side_by_side(pieces: &[Piece<'_>], mint: i64, maxt: i64, out: &mut SampleBuffer) -> bool {
    if pieces.len() < FEWEST {
        return false;
    }
    let base = out.len();
    let mut jobs = Vec::with_capacity(pieces.len());
    let done = add_jobs(pieces, i64::MAX, out, &mut jobs).is_some() && decode(&mut jobs);
    let times = out.timestamps.get(base..).unwrap_or_default();
    let inside = times.first() >= Some(&mint) && times.last() <= Some(&maxt);
    if !done || !inside || !columns::rise(times) {
        out.timestamps.truncate(base);
        out.values.truncate(base);
        return false;
    }
    if !out.histograms.is_empty() {
        out.histograms.resize(out.timestamps.len(), None);
    }
    true
}

/// Reads those samples of several series that lie in `mint..=maxt` into empty buffers, if that can be done side by
/// side. False when not; then the buffers are empty.
pub(crate) fn read_series(
    series: &[Vec<Piece<'_>>],
    mint: i64,
    maxt: i64,
    out: &mut [SampleBuffer],
) -> bool {
    let mut jobs = Vec::new();
    let buffers = series.iter().zip(out.iter_mut());
    let mut added = buffers.map(|(pieces, out)| add_jobs(pieces, maxt, out, &mut jobs));
    let mut done = added.all(|one| one.is_some()) && decode(&mut jobs);
    let mut jobs = jobs.iter().map(|job| (job.len, job.times.len()));
    let mut lens = Vec::with_capacity(series.len());
    for pieces in series {
        let mut len = 0;
        for place in 0..pieces.len() {
            let Some((decoded, room)) = jobs.next() else {
                break;
            };
            // Only the last chunk may end before its end.
            done &= decoded == room || place + 1 == pieces.len();
            len += decoded;
        }
        lens.push(len);
    }
    for (out, len) in out.iter_mut().zip(lens) {
        out.timestamps.truncate(len);
        out.values.truncate(len);
        done &= columns::rise(&out.timestamps);
    }
    for out in &mut *out {
        if !done {
            out.clear();
            continue;
        }
        let end = out.timestamps.partition_point(|t| *t <= maxt);
        out.timestamps.truncate(end);
        out.values.truncate(end);
        let early = out.timestamps.partition_point(|t| *t < mint);
        out.timestamps.drain(..early);
        out.values.drain(..early);
    }
    done
}
