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

/// Appends two whole chunks, the second behind the first, without what lies before `mint`. They are decoded side by
/// side: each sample of a chunk waits for the one before, and the processor has room for two such rows at once.
pub(super) fn decode_two(
    first: &[u8],
    second: &[u8],
    mint: i64,
    out: &mut SampleBuffer,
) -> Result<(), DecodeError> {
    let base = out.len();
    if both(first, second, out)? {
        let early = out.timestamps[base..].partition_point(|t| *t < mint);
        if early > 0 {
            out.timestamps.drain(base..base + early);
            out.values.drain(base..base + early);
        }
        if !out.histograms.is_empty() {
            out.histograms.resize(out.timestamps.len(), None);
        }
        return Ok(());
    }
    truncate(out, base);
    decode(first, usize::MAX, mint, i64::MAX, out)?;
    decode(second, usize::MAX, mint, i64::MAX, out)
}

/// Decodes two chunks whose times rise, also from the one to the other. False where they are not such.
fn both(first: &[u8], second: &[u8], out: &mut SampleBuffer) -> Result<bool, DecodeError> {
    let ([a, b, first @ ..], [c, d, second @ ..]) = (first, second) else {
        return Ok(false);
    };
    let counts = [[*a, *b], [*c, *d]].map(|raw| usize::from(u16::from_be_bytes(raw)));
    if counts[0] < 2 || counts[1] < 2 || counts[0] > first.len() * 4 || counts[1] > second.len() * 4
    {
        return Ok(false);
    }
    let base = out.len();
    out.timestamps.resize(base + counts[0] + counts[1], 0);
    out.values.resize(base + counts[0] + counts[1], 0.0);
    let (times_a, times_b) = out.timestamps[base..].split_at_mut(counts[0]);
    let (values_a, values_b) = out.values[base..].split_at_mut(counts[0]);
    let (mut a, mut b) = (Samples::begin(first)?, Samples::begin(second)?);
    (times_a[0], values_a[0]) = a.sample();
    (times_b[0], values_b[0]) = b.sample();
    a.second()?;
    b.second()?;
    (times_a[1], values_a[1]) = a.sample();
    (times_b[1], values_b[1]) = b.sample();
    let mut rest_a = times_a[2..].iter_mut().zip(&mut values_a[2..]);
    let mut rest_b = times_b[2..].iter_mut().zip(&mut values_b[2..]);
    let common = counts[0].min(counts[1]) - 2;
    let pairs = rest_a.by_ref().zip(rest_b.by_ref()).take(common);
    for ((time_a, value_a), (time_b, value_b)) in pairs {
        a.next();
        b.next();
        (*time_a, *value_a) = a.sample();
        (*time_b, *value_b) = b.sample();
    }
    // What only one of them has.
    for (time, value) in rest_a {
        a.next();
        (*time, *value) = a.sample();
    }
    for (time, value) in rest_b {
        b.next();
        (*time, *value) = b.sample();
    }
    a.check()?;
    b.check()?;
    Ok(a.rising && b.rising && times_a[counts[0] - 1] < times_b[0])
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
    let mut samples = Samples::begin(body)?;
    if times.len() < count {
        return Err(END);
    }
    if samples.t > maxt {
        return Ok((0, true));
    }
    (times[0], values[0]) = samples.sample();
    if count == 1 {
        return Ok((1, true));
    }
    samples.second()?;
    let places = times[1..count].iter_mut().zip(&mut values[1..count]);
    for (i, (time, value)) in places.enumerate() {
        if i > 0 {
            samples.next();
        }
        if samples.t > maxt {
            return samples.check().map(|()| (i + 1, samples.rising));
        }
        (*time, *value) = samples.sample();
    }
    samples.check().map(|()| (count, samples.rising))
}

/// The samples of a chunk, one after the other.
struct Samples<'a> {
    bits: Register<'a>,
    t: i64,
    delta: i64,
    v: u64,
    /// The number of significant bits in a value's XOR with the one before, and of the zeros behind them.
    width: u32,
    trailing: u32,
    /// Whether each time is after the one before.
    rising: bool,
    /// Whether something was read that no writer makes.
    bad: bool,
}

impl<'a> Samples<'a> {
    /// Reads the first sample.
    fn begin(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut head = BitReader::new(body);
        let (t, v) = (head.varint()?, head.read(64)?);
        Ok(Self {
            bits: Register::new(body, head.bytes_read()),
            t,
            delta: 0,
            v,
            width: 0,
            trailing: 0,
            rising: true,
            bad: false,
        })
    }

    /// The newest sample.
    #[inline(always)]
    fn sample(&self) -> (i64, f64) {
        (self.t, f64::from_bits(self.v))
    }

    /// Reads the second sample, whose time has a form of its own.
    fn second(&mut self) -> Result<(), DecodeError> {
        let mut head = BitReader::new(self.bits.data.get(self.bits.next..).ok_or(END)?);
        self.delta = head.uvarint()? as i64;
        self.bits.next += head.bytes_read();
        self.bits.fill();
        self.advance();
        Ok(())
    }

    /// Reads a later sample.
    #[inline(always)]
    fn next(&mut self) {
        self.bits.fill();
        if self.bits.acc >> 63 == 1 {
            self.delta = self.delta.wrapping_add(self.bits.delta_of_delta());
        } else {
            self.bits.skip(1);
        }
        self.advance();
    }

    /// Moves the time on and reads the value. Which of its three forms a value has cannot be foreseen, so all are
    /// computed at once: a wrong guess of the processor would cost more than all else.
    #[inline(always)]
    fn advance(&mut self) {
        let before = self.t;
        self.t = before.wrapping_add(self.delta);
        self.rising &= self.t > before;
        let acc = self.bits.acc;
        // 0: as before. 10: bits at the same place as before. 11: five bits of leading zeros, six of width, bits.
        let changed = (acc >> 63) as u32;
        let fresh = (acc >> 62) as u32 & changed;
        let (if_changed, if_fresh) = (changed.wrapping_neg(), fresh.wrapping_neg());
        let head = (acc << 2 >> 53) as u32;
        let leading = head >> 6;
        let width = (head.wrapping_sub(1) & 63) + 1;
        let trailing = 64u32.wrapping_sub(leading + width);
        self.width ^= (self.width ^ width) & if_fresh;
        self.trailing ^= (self.trailing ^ trailing) & if_fresh;
        self.bad |= (self.trailing > 63) | (changed == 1 && self.width == 0);
        self.bits.skip(1 + changed + 11 * fresh);
        let take = self.width & if_changed;
        if take > self.bits.have {
            self.bits.fill();
        }
        let bits = if take > self.bits.have {
            self.bits.read_wide(take)
        } else {
            self.bits.read(take)
        };
        self.v ^= bits << (self.trailing & 63);
    }

    /// Whether all that was read was there and made sense.
    fn check(&self) -> Result<(), DecodeError> {
        if self.bad {
            return Err(DecodeError("value window was never set or is too wide"));
        }
        self.bits.check()
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

    /// Drops `n <= have` bits.
    #[inline(always)]
    fn skip(&mut self, n: u32) {
        self.acc <<= n;
        self.have -= n;
    }

    /// Reads `n <= have` bits.
    #[inline(always)]
    fn read(&mut self, n: u32) -> u64 {
        let v = self.acc >> 1 >> (63 - n);
        self.skip(n);
        v
    }

    /// Reads `56 < n <= 64` bits from a register that was just filled.
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

    fn fast_two(a: &[u8], b: &[u8], mint: i64) -> Option<Vec<(i64, u64)>> {
        let mut out = SampleBuffer::default();
        decode_two(a, b, mint, &mut out).ok()?;
        let values = out.values.iter().map(|v| v.to_bits());
        Some(out.timestamps.iter().copied().zip(values).collect())
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
        fn two_at_once_equal_one_after_the_other(
            samples in proptest::collection::vec((step(), value()), 2..200),
            (cut, from) in (0usize..200, 0usize..200),
            overlap in prop_oneof![9 => Just(0i64), 1 => 0i64..1 << 40],
        ) {
            let (mut t, mut times) = (1 << 41, Vec::new());
            let mut chunks = [xor::XorAppender::default(), xor::XorAppender::default()];
            let mut last = [0; 2];
            for (i, (step, v)) in samples.into_iter().enumerate() {
                let to = usize::from(i >= cut);
                let time = t - overlap * to as i64;
                chunks[to].append(last[to], time, v);
                last[to] = time;
                times.push(time);
                t += step;
            }
            let [a, b] = chunks.map(|c| c.to_chunk());
            let mint = times.get(from).copied().unwrap_or(i64::MIN);
            if a.len() > 2 && b.len() > 2 {
                let mut wanted = plain(&a, usize::MAX, mint, i64::MAX).unwrap();
                wanted.extend(plain(&b, usize::MAX, mint, i64::MAX).unwrap());
                prop_assert_eq!(fast_two(&a, &b, mint), Some(wanted));
            }
        }

        #[test]
        fn any_two_decode_alike(
            (a, b) in (proptest::collection::vec(any::<u8>(), 0..90), proptest::collection::vec(any::<u8>(), 0..90)),
            counts in (0u8..40, 0u8..40),
        ) {
            let [a, b] = [(a, counts.0), (b, counts.1)].map(|(bytes, count)| {
                let mut data = vec![0, count];
                data.extend(bytes);
                data
            });
            let all = plain(&a, usize::MAX, i64::MIN, i64::MAX).and_then(|mut first| {
                first.extend(plain(&b, usize::MAX, i64::MIN, i64::MAX)?);
                Some(first)
            });
            prop_assert_eq!(fast_two(&a, &b, i64::MIN), all);
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
