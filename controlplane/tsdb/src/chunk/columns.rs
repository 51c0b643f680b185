//! Decoding XOR chunks straight into columns, which is most of the work of a query.
//!
//! Each sample takes one or two looks at the bits, of 57 at once, and goes into columns that have their final length
//! beforehand. Whether the chunk was long enough is checked once at the end: behind its end there are zeros.

use bellwether_model::storage::SampleBuffer;

use super::bits::BitReader;
use super::xor;
use crate::encoding::DecodeError;

const END: DecodeError = DecodeError("chunk ends too early");

/// Appends those of a chunk's first `limit` samples that lie in `mint..=maxt` to a buffer.
pub(super) fn decode(
    data: &[u8],
    limit: usize,
    mint: i64,
    maxt: i64,
    out: &mut SampleBuffer,
) -> Result<(), DecodeError> {
    let [a, b, body @ ..] = data else {
        return Err(DecodeError("chunk has no header"));
    };
    let count = usize::from(u16::from_be_bytes([*a, *b])).min(limit);
    decode_body(count, body, mint, maxt, out)
}

/// The same for a chunk without its count.
pub(super) fn decode_body(
    count: usize,
    body: &[u8],
    mint: i64,
    maxt: i64,
    out: &mut SampleBuffer,
) -> Result<(), DecodeError> {
    // A sample takes two bits or more.
    let base = out.len();
    let room = count.min(body.len() * 4);
    out.timestamps.resize(base + room, 0);
    out.values.resize(base + room, 0.0);
    let columns = (&mut out.timestamps[base..], &mut out.values[base..]);
    let len = match columns_of(count, body, maxt, columns) {
        Ok(len) => len,
        Err(error) => {
            truncate(out, base);
            return Err(error);
        }
    };
    if !rise(&out.timestamps[base..base + len]) {
        // No writer makes such a chunk; each sample has to be looked at.
        truncate(out, base);
        return xor::decode_body(count, body, |t, v| {
            if t >= mint && t <= maxt {
                out.push_float(t, v);
            }
        });
    }
    let early = out.timestamps[base..base + len].partition_point(|t| *t < mint);
    truncate(out, base + len);
    if early > 0 {
        out.timestamps.drain(base..base + early);
        out.values.drain(base..base + early);
    }
    if !out.histograms.is_empty() {
        out.histograms.resize(out.timestamps.len(), None);
    }
    Ok(())
}

/// A sample of a growing chunk from which on decoding can go on: whoever asks for the newest samples again and again
/// need not decode all those before them each time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resume {
    t: i64,
    delta: i64,
    v: u64,
    /// Where the next sample begins, in bits after the chunk's header.
    pos: u32,
    trailing: u32,
    width: u8,
    /// Samples up to this one; 0 for none.
    samples: u8,
    /// So many samples before the first wanted one it stays behind, for readers who look further back.
    kept: u8,
}

/// The least and the most of [`Resume::kept`].
const KEPT_MIN: u8 = 4;
const KEPT_MAX: u8 = 64;

impl Resume {
    /// Makes it a place before `mint` among the first `count` samples. False for a reader who looks so far back that
    /// no place would serve others too: he begins with the chunk and leaves the place to them.
    pub(super) fn begin(&mut self, count: usize, mint: i64) -> bool {
        if self.samples == 0 {
            return true;
        }
        if self.t >= mint {
            let furthest = self.delta.saturating_mul(i64::from(KEPT_MAX));
            if self.t.saturating_sub(mint) > furthest {
                return false;
            }
            let kept = self.kept().saturating_mul(2).min(KEPT_MAX);
            *self = Self {
                kept,
                ..Self::default()
            };
        } else if usize::from(self.samples) > count {
            *self = Self {
                kept: self.kept,
                ..Self::default()
            };
        }
        true
    }

    fn kept(&self) -> u8 {
        self.kept.max(KEPT_MIN)
    }

    /// The byte of the next sample.
    pub(super) fn byte(&self) -> usize {
        self.pos as usize / 8
    }
}

/// Appends those of the first `count` samples that lie in `mint..=maxt` to a buffer. `body` is the chunk without its
/// count and without so many bytes more. The chunk is one that this program is writing.
pub(super) fn decode_on(
    count: usize,
    (body, left_out): (&[u8], usize),
    (mint, maxt): (i64, i64),
    resume: &mut Resume,
    out: &mut SampleBuffer,
) -> Result<(), DecodeError> {
    if count == 0 {
        return Ok(());
    }
    let (mut samples, mut read) = match resume.samples {
        0 => (Samples::begin(body)?, 1),
        n => (Samples::resume(body, left_out, resume), usize::from(n)),
    };
    // A later sample becomes the place when another one as far behind it is still before the first wanted one.
    let kept = usize::from(resume.kept());
    let mut later = None;
    let mut next_at = match resume.samples {
        // The first sample has no distance to the one before it.
        0 => 2,
        n => usize::from(n) + kept,
    };
    while samples.t < mint {
        if read == next_at {
            let place = Resume {
                samples: read as u8,
                kept: resume.kept,
                ..samples.place(left_out)
            };
            if let Some(later) = later.replace(place) {
                *resume = later;
            }
            next_at += kept;
        }
        if read == count {
            break;
        }
        samples.advance(read)?;
        read += 1;
    }
    if samples.t < mint {
        return samples.check();
    }
    let base = out.len();
    let most = base + (count - read + 1);
    out.timestamps.resize(most, 0);
    out.values.resize(most, 0.0);
    let mut len = base;
    while samples.t <= maxt {
        (out.timestamps[len], out.values[len]) = samples.sample();
        len += 1;
        if read == count {
            break;
        }
        if let Err(error) = samples.advance(read) {
            truncate(out, base);
            return Err(error);
        }
        read += 1;
    }
    truncate(out, len);
    if !out.histograms.is_empty() {
        out.histograms.resize(len, None);
    }
    samples.check()
}

fn truncate(out: &mut SampleBuffer, len: usize) {
    out.timestamps.truncate(len);
    out.values.truncate(len);
}

/// Decodes up to the first sample after `maxt`. Returns the number of samples.
pub(super) fn columns_of(
    count: usize,
    body: &[u8],
    maxt: i64,
    (times, values): (&mut [i64], &mut [f64]),
) -> Result<usize, DecodeError> {
    if count == 0 {
        return Ok(0);
    }
    let mut samples = Samples::begin(body)?;
    if times.len() < count {
        return Err(END);
    }
    if samples.t > maxt {
        return Ok(0);
    }
    (times[0], values[0]) = samples.sample();
    if count == 1 {
        return Ok(1);
    }
    samples.second()?;
    let places = times[1..count].iter_mut().zip(&mut values[1..count]);
    for (i, (time, value)) in places.enumerate() {
        if i > 0 {
            samples.next();
        }
        if samples.t > maxt {
            return samples.check().map(|()| i + 1);
        }
        (*time, *value) = samples.sample();
    }
    samples.check().map(|()| count)
}

/// Whether each time is after the one before.
pub(super) fn rise(times: &[i64]) -> bool {
    let after = times.get(1..).unwrap_or_default();
    let pairs = times.iter().zip(after);
    // Without an exit in between the compiler compares several times at once.
    pairs.fold(true, |all, (before, after)| all & (before < after))
}

/// The samples of a chunk, one after the other.
pub(super) struct Samples<'a> {
    pub(super) data: &'a [u8],
    /// Position in bits.
    pub(super) pos: usize,
    pub(super) t: i64,
    pub(super) delta: i64,
    pub(super) v: u64,
    /// The number of significant bits in a value's XOR with the one before, and of the zeros behind them.
    pub(super) width: u32,
    pub(super) trailing: u32,
    /// All that `trailing` was when it was used: more than six bits say that some window makes no sense.
    pub(super) used: u32,
}

/// No window was set yet.
const UNSET: u32 = 1 << 31;

/// The bits from a position on, at least 57 of them; zeros behind the end.
#[inline(always)]
fn bits_at(data: &[u8], pos: usize) -> u64 {
    let byte = pos >> 3;
    let word = match data.get(byte..byte + 8) {
        Some(bytes) => {
            let mut raw = [0; 8];
            raw.copy_from_slice(bytes);
            u64::from_be_bytes(raw)
        }
        None => bits_at_end(data, byte),
    };
    word << (pos & 7)
}

#[cold]
fn bits_at_end(data: &[u8], byte: usize) -> u64 {
    let mut raw = [0; 8];
    let tail = data.get(byte..).unwrap_or_default();
    raw[..tail.len()].copy_from_slice(tail);
    u64::from_be_bytes(raw)
}

impl<'a> Samples<'a> {
    /// Reads the first sample.
    pub(super) fn begin(data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut head = BitReader::new(data);
        let (t, v) = (head.varint()?, head.read(64)?);
        Ok(Self {
            data,
            pos: head.bytes_read() * 8,
            t,
            delta: 0,
            v,
            width: 0,
            trailing: UNSET,
            used: 0,
        })
    }

    /// Goes on after a sample that is not the first.
    fn resume(data: &'a [u8], left_out: usize, from: &Resume) -> Self {
        Self {
            data,
            pos: from.pos as usize - left_out * 8,
            t: from.t,
            delta: from.delta,
            v: from.v,
            width: u32::from(from.width),
            trailing: from.trailing,
            used: 0,
        }
    }

    /// Where it is, but for the number of samples.
    #[inline(always)]
    fn place(&self, left_out: usize) -> Resume {
        Resume {
            t: self.t,
            delta: self.delta,
            v: self.v,
            pos: (self.pos + left_out * 8) as u32,
            trailing: self.trailing,
            width: self.width as u8,
            ..Resume::default()
        }
    }

    /// Reads the sample after the first `read`.
    #[inline(always)]
    fn advance(&mut self, read: usize) -> Result<(), DecodeError> {
        if read == 1 {
            return self.second();
        }
        self.next();
        Ok(())
    }

    /// The newest sample.
    #[inline(always)]
    pub(super) fn sample(&self) -> (i64, f64) {
        (self.t, f64::from_bits(self.v))
    }

    /// Reads the second sample, whose time has a form of its own.
    pub(super) fn second(&mut self) -> Result<(), DecodeError> {
        let mut head = BitReader::new(self.data.get(self.pos / 8..).ok_or(END)?);
        self.delta = head.uvarint()? as i64;
        self.pos += head.bytes_read() * 8;
        self.value(bits_at(self.data, self.pos));
        Ok(())
    }

    /// Reads a later sample.
    #[inline(always)]
    pub(super) fn next(&mut self) {
        let mut bits = bits_at(self.data, self.pos);
        if bits >> 63 == 1 {
            let (dod, len) = delta_of_delta(self.data, self.pos, bits);
            self.delta = self.delta.wrapping_add(dod);
            self.pos += len;
            bits = bits_at(self.data, self.pos);
        } else {
            self.pos += 1;
            bits <<= 1;
        }
        self.value(bits);
    }

    /// Moves the time on and reads the value from `bits`, which are those at the position. For a single chunk the
    /// processor's guesses are faster than computing all three forms of a value; for several see `lanes`.
    #[inline(always)]
    fn value(&mut self, bits: u64) {
        self.t = self.t.wrapping_add(self.delta);
        // 0: as before. 10: bits at the same place as before. 11: five bits of leading zeros, six of width, bits.
        if bits >> 63 == 0 {
            self.pos += 1;
            return;
        }
        let prefix = if bits >> 62 == 3 {
            let head = (bits << 2 >> 53) as u32;
            self.width = (head.wrapping_sub(1) & 63) + 1;
            self.trailing = 64u32.wrapping_sub((head >> 6) + self.width);
            13
        } else {
            2
        };
        self.used |= self.trailing;
        let take = self.width;
        let at = self.pos + prefix;
        self.pos = at + take as usize;
        let significant = if prefix + take as usize <= 56 {
            bits << prefix >> 1 >> (63 - take)
        } else if take > 57 {
            wide_bits_at(self.data, at, take)
        } else {
            bits_at(self.data, at) >> 1 >> (63 - take)
        };
        self.v ^= significant << (self.trailing & 63);
    }

    /// Whether all that was read was there and made sense.
    pub(super) fn check(&self) -> Result<(), DecodeError> {
        if self.used > 63 {
            return Err(DecodeError("value window was never set or is too wide"));
        }
        if self.pos > self.data.len() * 8 {
            return Err(END);
        }
        Ok(())
    }
}

/// A delta of deltas that is not zero and its length in bits; `bits` are those at its position.
#[inline(never)]
pub(super) fn delta_of_delta(data: &[u8], pos: usize, bits: u64) -> (i64, usize) {
    let (ones, width) = match bits.leading_ones() {
        1 => (2, 14),
        2 => (3, 17),
        3 => (4, 20),
        _ => return (wide_bits_at(data, pos + 4, 64) as i64, 4 + 64),
    };
    let v = (bits << ones >> (64 - width)) as i64;
    let v = if v > 1 << (width - 1) {
        v - (1 << width)
    } else {
        v
    };
    (v, (ones + width) as usize)
}

/// `32 < n <= 64` bits from a position on.
#[cold]
fn wide_bits_at(data: &[u8], pos: usize, n: u32) -> u64 {
    let high = bits_at(data, pos) >> (64 - (n - 32));
    high << 32 | bits_at(data, pos + n as usize - 32) >> 32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    /// The same by the plain decoder.
    fn plain(data: &[u8], limit: usize, mint: i64, maxt: i64) -> Option<Vec<(i64, u64)>> {
        let mut all = Vec::new();
        xor::decode(data, limit, |t, v| {
            if t >= mint && t <= maxt {
                all.push((t, v.to_bits()));
            }
        })
        .ok()?;
        Some(all)
    }

    fn fast(data: &[u8], limit: usize, mint: i64, maxt: i64) -> Option<Vec<(i64, u64)>> {
        let mut out = SampleBuffer::default();
        out.push_float(-7, 7.0);
        decode(data, limit, mint, maxt, &mut out).ok()?;
        assert_eq!((out.timestamps[0], out.values[0]), (-7, 7.0));
        let values = out.values.iter().map(|v| v.to_bits());
        Some(out.timestamps.iter().copied().zip(values).skip(1).collect())
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
            4 => Just(15_000i64),
            1 => 1i64..100_000,
            1 => 1i64..10_000_000,
            1 => 1i64..1 << 40,
        ]
    }

    proptest! {
        #[test]
        fn equals_the_plain_decoder(
            start in -1i64 << 50..1 << 50,
            samples in proptest::collection::vec((step(), value()), 1..200),
            limit in prop_oneof![Just(usize::MAX), 0usize..200],
            (from, to) in (0usize..200, 0usize..200),
        ) {
            let mut appender = xor::XorAppender::default();
            let (mut t, mut last, mut times) = (start, 0, Vec::new());
            for (step, v) in samples {
                appender.append(last, t, v);
                times.push(t);
                last = t;
                t += step;
            }
            let data = appender.to_chunk();
            let time = |i: usize| times.get(i).copied();
            let ranges = [
                (i64::MIN, i64::MAX),
                (time(from).unwrap_or(last + 1), time(to).unwrap_or(i64::MAX)),
                (time(from).unwrap_or(i64::MIN) + 1, time(to).unwrap_or(start) - 1),
            ];
            for (mint, maxt) in ranges {
                prop_assert_eq!(fast(&data, limit, mint, maxt), plain(&data, limit, mint, maxt));
            }
        }

        #[test]
        fn reading_on_finds_what_reading_finds(
            samples in proptest::collection::vec((step(), value()), 1..240),
            reads in proptest::collection::vec((0usize..240, 0usize..240, 0usize..6), 1..60),
        ) {
            let mut appender = xor::XorAppender::default();
            let (mut t, mut last, mut times) = (0, 0, Vec::new());
            let mut resume = Resume::default();
            let mut reads = reads.into_iter();
            let count = samples.len();
            for (i, (step, value)) in samples.into_iter().enumerate() {
                appender.append(last, t, value);
                times.push(t);
                last = t;
                t += step;
                // Mostly of the newest samples, as they come; the rest at the end.
                let many = if i + 1 == count { usize::MAX } else { i % 3 };
                for (back, until, hidden) in reads.by_ref().take(many) {
                    let from = times.len().saturating_sub(if back > 200 { back } else { back % 30 });
                    let mint = times.get(from).map_or(last + 1, |t| t + (until as i64 % 2));
                    let maxt = times.get(until).copied().unwrap_or(i64::MAX);
                    let limit = times.len() - hidden.min(times.len());
                    let mut out = SampleBuffer::default();
                    out.push_float(-7, 7.0);
                    appender.read_on(limit, (mint, maxt), &mut resume, &mut out).unwrap();
                    let values = out.values.iter().map(|v| v.to_bits());
                    let got: Vec<_> = out.timestamps.iter().copied().zip(values).skip(1).collect();
                    prop_assert_eq!(Some(got), plain(&appender.to_chunk(), limit, mint, maxt));
                }
            }
        }

        #[test]
        fn any_bytes_decode_alike(bytes in proptest::collection::vec(any::<u8>(), 0..120), count in 0u8..40) {
            let mut data = vec![0, count];
            data.extend(bytes);
            let all = plain(&data, usize::MAX, i64::MIN, i64::MAX);
            prop_assert_eq!(fast(&data, usize::MAX, i64::MIN, i64::MAX), all);
        }
    }
}
