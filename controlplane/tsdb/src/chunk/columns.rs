//! Decoding XOR chunks straight into columns, which is most of the work of a query.
//!
//! The bits lie left-aligned in a register that is filled up once for a sample; samples are written into columns that
//! have their final length beforehand. Whether the chunk was long enough is checked once at the end: behind its end
//! there are zeros.

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
    let decoded = columns_of(count, body, maxt, columns);
    let (len, rising) = match decoded {
        Ok(decoded) => decoded,
        Err(error) => {
            truncate(out, base);
            return Err(error);
        }
    };
    if !rising {
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

fn truncate(out: &mut SampleBuffer, len: usize) {
    out.timestamps.truncate(len);
    out.values.truncate(len);
}

/// Decodes up to the first sample after `maxt`. Returns the number of samples, and whether their times rise.
fn columns_of(
    count: usize,
    body: &[u8],
    maxt: i64,
    (times, values): (&mut [i64], &mut [f64]),
) -> Result<(usize, bool), DecodeError> {
    if count == 0 {
        return Ok((0, true));
    }
    let mut head = BitReader::new(body);
    let mut t = head.varint()?;
    let mut v = head.read(64)?;
    if times.len() < count {
        return Err(END);
    }
    if t > maxt {
        return Ok((0, true));
    }
    (times[0], values[0]) = (t, f64::from_bits(v));
    if count == 1 {
        return Ok((1, true));
    }
    let mut delta = head.uvarint()? as i64;
    let mut bits = Register::new(body, head.bytes_read());
    let mut window = Window::default();
    let mut rising = true;
    let places = times[1..count].iter_mut().zip(&mut values[1..count]);
    for (i, (time, value)) in places.enumerate() {
        bits.fill();
        if i > 0 && bits.is_set(0) {
            delta = delta.wrapping_add(bits.delta_of_delta());
        } else if i > 0 {
            bits.skip(1);
        }
        let before = t;
        t = t.wrapping_add(delta);
        rising &= t > before;
        if t > maxt {
            return bits.check().map(|()| (i + 1, rising));
        }
        if bits.is_set(0) {
            v ^= window.read(&mut bits)?;
        } else {
            bits.skip(1);
        }
        (*time, *value) = (t, f64::from_bits(v));
    }
    bits.check().map(|()| (count, rising))
}

/// The place of the significant bits in a value's XOR with the one before.
#[derive(Default)]
struct Window {
    /// Zero while unknown.
    width: u32,
    trailing: u32,
}

impl Window {
    /// Reads the XOR of a value that changed.
    #[inline(always)]
    fn read(&mut self, bits: &mut Register<'_>) -> Result<u64, DecodeError> {
        if bits.is_set(1) {
            let head = bits.acc << 2 >> 53;
            bits.skip(13);
            let leading = (head >> 6) as u32;
            self.width = match head as u32 & 63 {
                0 => 64,
                width => width,
            };
            self.trailing = 64u32
                .checked_sub(leading + self.width)
                .ok_or(DecodeError("value window is wider than 64 bits"))?;
        } else {
            bits.skip(2);
            if self.width == 0 {
                return Err(DecodeError("value reuses a window that was never set"));
            }
        }
        if self.width > bits.have {
            bits.fill();
        }
        Ok(bits.read(self.width) << self.trailing)
    }
}

/// Bits of a slice, left-aligned in a register; zeros behind the slice's end.
struct Register<'a> {
    data: &'a [u8],
    /// The first byte that is not in the register.
    next: usize,
    acc: u64,
    /// Valid bits, at most 63. Bits behind them are those of the data or zero.
    have: u32,
}

impl<'a> Register<'a> {
    fn new(data: &'a [u8], next: usize) -> Self {
        Self {
            data,
            next,
            acc: 0,
            have: 0,
        }
    }

    /// Makes at least 56 bits valid.
    #[inline(always)]
    fn fill(&mut self) {
        match self.data.get(self.next..self.next + 8) {
            Some(bytes) => {
                let mut raw = [0; 8];
                raw.copy_from_slice(bytes);
                self.acc |= u64::from_be_bytes(raw) >> self.have;
                let bytes = (63 - self.have) >> 3;
                self.next += bytes as usize;
                self.have += bytes * 8;
            }
            None => self.fill_at_end(),
        }
    }

    #[cold]
    fn fill_at_end(&mut self) {
        while self.have < 56 {
            let byte = self.data.get(self.next).copied().unwrap_or(0);
            self.acc |= u64::from(byte) << (56 - self.have);
            self.next += 1;
            self.have += 8;
        }
    }

    /// The bit at an index from the left.
    #[inline(always)]
    fn is_set(&self, index: u32) -> bool {
        self.acc << index >> 63 == 1
    }

    /// Drops `n <= have` bits.
    #[inline(always)]
    fn skip(&mut self, n: u32) {
        self.acc <<= n;
        self.have -= n;
    }

    /// Reads `1 <= n <= 64` bits, of which at most 56 when the register was just filled.
    #[inline(always)]
    fn read(&mut self, n: u32) -> u64 {
        if n > self.have {
            return self.read_wide(n);
        }
        let v = self.acc >> (64 - n);
        self.skip(n);
        v
    }

    #[cold]
    fn read_wide(&mut self, n: u32) -> u64 {
        let high = self.acc >> (64 - (n - 32));
        self.skip(n - 32);
        self.fill();
        let low = self.acc >> 32;
        self.skip(32);
        high << 32 | low
    }

    /// Reads a delta of deltas that is not zero, and leaves at least one bit.
    #[inline]
    fn delta_of_delta(&mut self) -> i64 {
        let width = match self.acc.leading_ones() {
            1 => 14,
            2 => 17,
            3 => 20,
            _ => {
                self.skip(4);
                self.fill();
                let wide = self.read_wide(64) as i64;
                self.fill();
                return wide;
            }
        };
        let ones = match width {
            14 => 1,
            17 => 2,
            _ => 3,
        };
        self.skip(ones + 1);
        let v = self.read(width) as i64;
        if v > 1 << (width - 1) {
            v - (1 << width)
        } else {
            v
        }
    }

    /// Whether no bit was read behind the end.
    fn check(&self) -> Result<(), DecodeError> {
        if self.next * 8 - self.have as usize > self.data.len() * 8 {
            return Err(END);
        }
        Ok(())
    }
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
        fn any_bytes_decode_alike(bytes in proptest::collection::vec(any::<u8>(), 0..120), count in 0u8..40) {
            let mut data = vec![0, count];
            data.extend(bytes);
            let all = plain(&data, usize::MAX, i64::MIN, i64::MAX);
            prop_assert_eq!(fast(&data, usize::MAX, i64::MIN, i64::MAX), all);
        }
    }
}
