//! XOR chunks: float samples, times as delta of deltas, values as XOR (Gorilla, with Prometheus' widths).

use std::cell::RefCell;
use std::sync::Arc;

use bellwether_model::storage::SampleBuffer;

use super::bits::{BitReader, PutBits, XorWindow};
use super::blocks::BlockWriter;
use super::columns::{self, Resume};
use crate::encoding::{DecodeError, put_uvarint, put_varint};

/// The decoder reads so many bytes at once: with that many zeros behind them the last samples are like the others.
const LOOKS_AHEAD: usize = 8;

/// Bytes before the first sample: the number of samples.
const HEADER: usize = 2;
/// Most bytes of a chunk's header and first sample.
const FIRST_BYTES: usize = HEADER + 10 + 8;

/// A chunk that is being appended to. Appending touches only the end of the bits: the sample count at their beginning
/// is filled in when the chunk is copied out. The newest time is the caller's, who has it anyway.
#[derive(Debug, Default)]
pub(crate) struct XorAppender {
    bits: BlockWriter<Memo>,
    t_delta: i64,
    v: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Memo {
    window: XorWindow,
    count: u8,
}

impl XorAppender {
    /// A copy of the encoded chunk so far.
    pub(crate) fn to_chunk(&self) -> Arc<[u8]> {
        let mut copy = self.bits.to_vec();
        if let Some(header) = copy.get_mut(..2) {
            header.copy_from_slice(&self.count().to_be_bytes());
        }
        copy.into()
    }

    /// Appends those of the first `limit` samples that lie in `mint..=maxt` to a buffer.
    pub(crate) fn read_into(
        &self,
        limit: usize,
        mint: i64,
        maxt: i64,
        out: &mut SampleBuffer,
    ) -> Result<(), DecodeError> {
        thread_local! {
            static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let count = usize::from(self.count()).min(limit);
        BYTES.with_borrow_mut(|bytes| {
            self.bits.copy_from(0, bytes, LOOKS_AHEAD);
            let body = bytes.get(HEADER..).unwrap_or_default();
            columns::decode_body(count, body, mint, maxt, out)
        })
    }

    /// As [`Self::read_into`], from where `resume` says if that is not too late, which it learns for the next time.
    pub(crate) fn read_on(
        &self,
        limit: usize,
        (mint, maxt): (i64, i64),
        resume: &mut Resume,
        out: &mut SampleBuffer,
    ) -> Result<(), DecodeError> {
        thread_local! {
            static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let count = usize::from(self.count()).min(limit);
        let mut none = Resume::default();
        let resume = if resume.begin(count, mint) {
            resume
        } else {
            &mut none
        };
        BYTES.with_borrow_mut(|bytes| {
            let left_out = self
                .bits
                .copy_from(HEADER + resume.byte(), bytes, LOOKS_AHEAD);
            let header = HEADER.saturating_sub(left_out);
            let body = bytes.get(header..).unwrap_or_default();
            columns::decode_on(
                count,
                (body, left_out.saturating_sub(HEADER)),
                (mint, maxt),
                resume,
                out,
            )
        })
    }

    /// Samples in the chunk.
    #[inline]
    pub(crate) fn count(&self) -> u16 {
        u16::from(self.bits.memo.count)
    }

    /// Bytes of the encoded chunk so far.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bits.len()
    }

    /// The newest value.
    pub(crate) fn last_value(&self) -> f64 {
        self.v
    }

    /// The newest byte, 0 while there is none.
    #[inline]
    pub(crate) fn last_byte(&self) -> u8 {
        self.bits.last_byte()
    }

    /// Appends a sample; `last_t` is the time of the one before, which an empty chunk does not have. The caller
    /// keeps time order and stays below 256 samples.
    #[inline]
    pub(crate) fn append(&mut self, last_t: i64, t: i64, v: f64) {
        let count = self.bits.memo.count;
        match count {
            0 => self.begin(t, v),
            1 => {
                self.t_delta = t.wrapping_sub(last_t);
                self.put_delta();
                self.write_value(v);
            }
            _ => {
                let delta = t.wrapping_sub(last_t);
                self.write_dod(delta.wrapping_sub(self.t_delta));
                self.t_delta = delta;
                self.write_value(v);
            }
        }
        self.v = v;
        self.bits.memo.count = count + 1;
    }

    #[inline]
    fn write_value(&mut self, v: f64) {
        let mut window = self.bits.memo.window;
        window.write(&mut self.bits, self.v, v);
        self.bits.memo.window = window;
    }

    fn begin(&mut self, t: i64, v: f64) {
        let mut first = Vec::with_capacity(FIRST_BYTES);
        first.extend_from_slice(&[0, 0]);
        put_varint(&mut first, t);
        first.extend_from_slice(&v.to_bits().to_be_bytes());
        self.bits.put(&first);
    }

    fn put_delta(&mut self) {
        let mut delta = Vec::with_capacity(10);
        put_uvarint(&mut delta, self.t_delta as u64);
        self.bits.put(&delta);
    }

    #[inline]
    fn write_dod(&mut self, dod: i64) {
        let out = &mut self.bits;
        let mask = |n: u32| dod as u64 & ((1 << n) - 1);
        match dod {
            0 => out.bit(false),
            -8191..=8192 => out.write(0b10 << 14 | mask(14), 16),
            -65535..=65536 => out.write(0b110 << 17 | mask(17), 20),
            -524_287..=524_288 => out.write(0b1110 << 20 | mask(20), 24),
            _ => {
                out.write(0b1111, 4);
                out.write(dod as u64, 64);
            }
        }
    }

    /// Rebuilds the appender of an encoded chunk.
    #[cfg(test)]
    pub(crate) fn resume(data: &[u8]) -> Result<Self, DecodeError> {
        let mut appender = Self::default();
        let mut last = 0;
        decode(data, usize::MAX, |t, v| {
            appender.append(last, t, v);
            last = t;
        })?;
        Ok(appender)
    }
}

/// Calls `each` for the first `limit` samples of an encoded chunk.
pub(crate) fn decode(
    data: &[u8],
    limit: usize,
    each: impl FnMut(i64, f64),
) -> Result<(), DecodeError> {
    let [a, b, body @ ..] = data else {
        return Err(DecodeError("chunk has no header"));
    };
    let count = usize::from(u16::from_be_bytes([*a, *b])).min(limit);
    decode_body(count, body, each)
}

pub(super) fn decode_body(
    count: usize,
    body: &[u8],
    mut each: impl FnMut(i64, f64),
) -> Result<(), DecodeError> {
    if count == 0 {
        return Ok(());
    }
    let mut bits = BitReader::new(body);
    let mut t = bits.varint()?;
    let mut v = f64::from_bits(bits.read(64)?);
    each(t, v);
    if count == 1 {
        return Ok(());
    }
    let mut window = XorWindow::default();
    let mut delta = bits.uvarint()? as i64;
    t = t.wrapping_add(delta);
    v = window.read(&mut bits, v)?;
    each(t, v);
    for _ in 2..count {
        let dod = match bits.ones(4)? {
            0 => 0,
            1 => bits.signed(14)?,
            2 => bits.signed(17)?,
            3 => bits.signed(20)?,
            _ => bits.read(64)? as i64,
        };
        delta = delta.wrapping_add(dod);
        t = t.wrapping_add(delta);
        v = window.read(&mut bits, v)?;
        each(t, v);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn nasty_float() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            Just(f64::from_bits(bellwether_model::STALE_NAN_BITS)),
            Just(f64::NAN),
            Just(f64::INFINITY),
            Just(-0.0),
            (0u32..1000).prop_map(f64::from),
        ]
    }

    proptest! {
        #[test]
        fn samples_round_trip_bit_exact(
            start in any::<i64>(),
            steps in proptest::collection::vec((prop_oneof![Just(15_000i64), 1i64..100_000, any::<i64>()], nasty_float()), 1..200),
        ) {
            let mut appender = XorAppender::default();
            let (mut t, mut last) = (start, 0);
            let mut wanted = Vec::new();
            for (step, v) in steps {
                appender.append(last, t, v);
                wanted.push((t, v.to_bits()));
                last = t;
                t = t.wrapping_add(step);
            }
            let mut got = Vec::new();
            decode(&appender.to_chunk(), usize::MAX, |t, v| got.push((t, v.to_bits()))).unwrap();
            prop_assert_eq!(&got, &wanted);
            let resumed = XorAppender::resume(&appender.to_chunk()).unwrap();
            prop_assert_eq!(resumed.to_chunk(), appender.to_chunk());
        }

        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = decode(&bytes, usize::MAX, |_, _| {});
        }
    }
}
