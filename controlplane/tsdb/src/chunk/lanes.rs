//! Decoding several XOR chunks side by side, one in each lane of a vector.
//!
//! What a chunk's next bits mean depends on the bits before them, so that a decoder of one chunk waits at every step,
//! and often for a guess of the processor that was wrong. Lanes wait together, and choose instead of guessing. All
//! chunks of a group lie in one buffer; each sample of a lane takes one look at 57 bits of it, seldom a second one.
//! Times move on by the same distance nearly always: they are filled in afterwards, run by run.

use std::cell::Cell;

use fearless_simd::x86::Avx2;
use fearless_simd::{Level, Select as _, Simd, SimdInt, SimdMask as _, u64x4, u64x8};

use super::columns::{self, Samples};
use super::together::Job;

/// Fewer chunks are decoded faster one after the other.
const FEWEST: usize = 3;
/// The most chunks in a group.
const MOST: usize = 8;
/// Chunks of fewer samples do not pay for setting the lanes up; those with more are none of ours.
const SAMPLES: std::ops::RangeInclusive<usize> = 16..=1024;
/// Bytes of the buffer of a group: a power of two.
const BYTES: usize = 8192;
/// Zeros behind the chunks, which a lane without a chunk reads two by two.
const ZEROS: usize = *SAMPLES.end() / 4;

/// What positions point into, and a look at the last one.
type Bytes = [u8; BYTES + 8];

/// Decodes XOR chunks. False when one of them is out of the ordinary or this processor has no vectors with shifts of
/// each lane; then the columns mean nothing.
pub(super) fn decode(jobs: &mut [Job<'_>]) -> bool {
    let Some(simd) = Level::new().as_avx2() else {
        return false;
    };
    let (mut wide, narrow): (Vec<_>, Vec<_>) = jobs
        .iter_mut()
        .partition(|job| SAMPLES.contains(&job.times.len()));
    let groups = wide.chunks_mut(MOST);
    let mut done = groups.map(|group| decode_group(simd, group));
    let mut alone = narrow.into_iter().map(Job::alone);
    done.all(|one| one.is_some()) && alone.all(|one| one.is_some())
}

/// `None` when something is wrong with a chunk.
fn decode_group(simd: Avx2, group: &mut [&mut Job<'_>]) -> Option<()> {
    let bytes: usize = group.iter().map(|job| job.chunk.len()).sum();
    if group.len() < FEWEST || bytes > BYTES - ZEROS {
        return group.iter_mut().try_for_each(|job| job.alone());
    }
    if group.len() <= 4 {
        let mut lanes = Lanes::<4>::begin(group)?;
        simd.vectorize(
            #[inline(always)]
            || lanes.run::<_, u64x4<_>>(simd),
        );
        lanes.finish()
    } else {
        let mut lanes = Lanes::<8>::begin(group)?;
        simd.vectorize(
            #[inline(always)]
            || lanes.run::<_, u64x8<_>>(simd),
        );
        lanes.finish()
    }
}

/// The times of a lane.
struct Times<'a> {
    column: &'a mut [i64],
    /// Places that are filled, the newest time, and its distance from the one before.
    filled: usize,
    t: i64,
    delta: i64,
}

impl Times<'_> {
    /// Fills places before `end` with times of the present distance.
    fn fill(&mut self, end: usize) {
        let (mut t, delta) = (self.t, self.delta);
        for time in &mut self.column[self.filled..end] {
            t = t.wrapping_add(delta);
            *time = t;
        }
        (self.t, self.filled) = (t, end);
    }
}

/// A chunk in its lane.
struct Lane<'a> {
    chunk: &'a [u8],
    /// Where its bits are in the buffer.
    from: usize,
    maxt: i64,
    times: Times<'a>,
    values: &'a [Cell<f64>],
    len: &'a mut usize,
}

impl Lane<'_> {
    /// Samples to decode if times go on as they begin.
    fn wanted(&self) -> usize {
        let way = self.maxt.saturating_sub(self.times.t);
        let more = way.checked_div(self.times.delta).unwrap_or(i64::MAX);
        let more = usize::try_from(more).unwrap_or(0);
        self.values
            .len()
            .min(more.saturating_add(self.times.filled))
    }
}

/// What decoding a sample changes, of all lanes.
#[derive(Clone, Copy)]
struct State<V> {
    /// Positions in bits.
    pos: V,
    v: V,
    /// As in [`Samples`].
    width: V,
    trailing: V,
    used: V,
}

impl<V> State<V> {
    #[inline(always)]
    fn map<W>(self, each: impl Fn(V) -> W) -> State<W> {
        State {
            pos: each(self.pos),
            v: each(self.v),
            width: each(self.width),
            trailing: each(self.trailing),
            used: each(self.used),
        }
    }

    /// Reads the values from `bits`, which are those at the positions. For the three forms see [`Samples`].
    #[inline(always)]
    fn read_values<S: Simd, const N: usize>(&mut self, simd: S, bytes: &Bytes, bits: V)
    where
        V: SimdInt<S, Element = u64, Array = [u64; N]>,
    {
        let all = |value: u64| V::simd_from(simd, value);
        let same = (bits & (1 << 63)).simd_eq(all(0));
        let fresh = (bits & (3 << 62)).simd_eq(all(3 << 62));
        let head = (bits << 2) >> 53;
        let width = ((head - 1) & 63) + 1;
        self.width = fresh.select(width, self.width);
        self.trailing = fresh.select(all(64) - (head >> 6) - width, self.trailing);
        self.used |= same.select(all(0), self.trailing);
        let prefix = fresh.select(all(13), all(2));
        let take = prefix + self.width;
        // More than 56 bits in some lane: not all of them can be seen from here. Seldom even 57 are not enough.
        let significant = if ((take + 7) & 64).simd_ne(all(0)).any_true() {
            let at = self.pos + prefix;
            let significant = look(simd, bytes, at);
            if ((self.width + 6) & 64).simd_ne(all(0)).any_true() {
                significant & (!0 << 32) | look(simd, bytes, at + 32) >> 32
            } else {
                significant
            }
        } else {
            bits << prefix
        };
        let significant = significant >> (all(64) - self.width);
        let changed = significant << (self.trailing & 63);
        self.v ^= same.select(all(0), changed);
        self.pos += same.select(all(1), take);
    }
}

struct Lanes<'a, const N: usize> {
    bytes: Bytes,
    lanes: Vec<Lane<'a>>,
    state: State<[u64; N]>,
    /// Samples that all chunks have, as far as some chunk's are wanted.
    common: usize,
}

/// The bits of each lane from its position on, at least 57 of them.
#[inline(always)]
fn look<S: Simd, V: SimdInt<S, Element = u64, Array = [u64; N]>, const N: usize>(
    simd: S,
    bytes: &Bytes,
    pos: V,
) -> V {
    let at: [u64; N] = *(pos >> 3);
    let words: [u64; N] = std::array::from_fn(|lane| {
        let at = at[lane] as usize % BYTES;
        let mut raw = [0; 8];
        raw.copy_from_slice(&bytes[at..at + 8]);
        u64::from_be_bytes(raw)
    });
    V::simd_from(simd, words) << (pos & 7)
}

impl<'a, const N: usize> Lanes<'a, N> {
    /// Reads the first two samples of each chunk.
    fn begin(group: &'a mut [&mut Job<'_>]) -> Option<Self> {
        let mut bytes = [0; BYTES + 8];
        let mut end = 0;
        let mut lanes = Vec::with_capacity(N);
        let mut state = State {
            pos: [0; N],
            v: [0; N],
            width: [1; N],
            trailing: [0; N],
            used: [0; N],
        };
        for (lane, job) in group.iter_mut().enumerate() {
            let (times, values) = (&mut *job.times, &mut *job.values);
            let body = job.chunk.get(2..)?;
            let mut samples = Samples::begin(body).ok()?;
            (times[0], values[0]) = samples.sample();
            samples.second().ok()?;
            (times[1], values[1]) = samples.sample();
            bytes[end..end + body.len()].copy_from_slice(body);
            state.pos[lane] = (end * 8 + samples.pos) as u64;
            state.v[lane] = samples.v;
            // A window that was never set is found out by `trailing`; its width must be one that can be shifted by.
            state.width[lane] = u64::from(samples.width.max(1));
            state.trailing[lane] = u64::from(samples.trailing);
            state.used[lane] = u64::from(samples.used);
            lanes.push(Lane {
                chunk: body,
                from: end * 8,
                maxt: job.maxt,
                times: Times {
                    column: times,
                    filled: 2,
                    t: samples.t,
                    delta: samples.delta,
                },
                values: Cell::from_mut(values).as_slice_of_cells(),
                len: &mut job.len,
            });
            end += body.len();
        }
        for pos in &mut state.pos[lanes.len()..] {
            *pos = (end * 8) as u64;
        }
        let all_have = lanes.iter().map(|lane| lane.values.len()).min()?;
        let some_want = lanes.iter().map(Lane::wanted).max()?;
        Some(Self {
            bytes,
            lanes,
            state,
            common: all_have.min(some_want),
        })
    }

    /// Decodes the samples that all chunks have.
    #[inline(always)]
    fn run<S: Simd, V: SimdInt<S, Element = u64, Array = [u64; N]>>(&mut self, simd: S) {
        let Some(first) = self.lanes.first().map(|lane| lane.values) else {
            return;
        };
        // A lane without a chunk writes where the first one will write after it.
        let places: [&[Cell<f64>]; N] = std::array::from_fn(|lane| {
            let values = self.lanes.get(lane).map_or(first, |lane| lane.values);
            &values[..self.common]
        });
        let mut state = self.state.map(|lanes| V::simd_from(simd, lanes));
        #[allow(clippy::needless_range_loop, reason = "it is the places of all lanes")]
        for sample in 2..self.common {
            let mut bits = look(simd, &self.bytes, state.pos);
            let regular = V::simd_from(simd, 0);
            if (bits & (1 << 63)).simd_ne(regular).any_true() {
                let behind = self.distances(sample, *state.pos, *bits);
                state.pos = V::simd_from(simd, behind);
                bits = look(simd, &self.bytes, state.pos);
            } else {
                state.pos += 1;
                bits <<= 1;
            }
            state.read_values(simd, &self.bytes, bits);
            let values: [u64; N] = *state.v;
            for lane in (0..N).rev() {
                places[lane][sample].set(f64::from_bits(values[lane]));
            }
        }
        self.state = state.map(|lanes| *lanes);
    }

    /// Reads the deltas of deltas of a sample, of which some are not zero, and returns the positions behind them.
    #[cold]
    fn distances(&mut self, sample: usize, mut pos: [u64; N], bits: [u64; N]) -> [u64; N] {
        for (lane, (pos, bits)) in pos.iter_mut().zip(bits).enumerate() {
            if bits >> 63 == 0 {
                *pos += 1;
                continue;
            }
            let at = *pos as usize;
            let (dod, len) = columns::delta_of_delta(&self.bytes, at, bits);
            *pos += len as u64;
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.times.fill(sample);
                lane.times.delta = lane.times.delta.wrapping_add(dod);
            }
        }
        pos
    }

    /// Decodes what only some chunks have. `None` when something is wrong with one.
    fn finish(self) -> Option<()> {
        for (i, mut lane) in self.lanes.into_iter().enumerate() {
            let times = &mut lane.times;
            times.fill(self.common);
            let mut samples = Samples {
                data: lane.chunk,
                pos: self.state.pos[i] as usize - lane.from,
                t: times.t,
                delta: times.delta,
                v: self.state.v[i],
                width: self.state.width[i] as u32,
                trailing: self.state.trailing[i] as u32,
                used: self.state.used[i] as u32,
            };
            *lane.len = self.common;
            let rest = times.column[self.common..].iter_mut();
            for (time, value) in rest.zip(&lane.values[self.common..]) {
                if samples.t > lane.maxt {
                    break;
                }
                samples.next();
                let (t, v) = samples.sample();
                *time = t;
                value.set(v);
                *lane.len += 1;
            }
            samples.check().ok()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
