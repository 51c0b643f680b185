//! A bit stream in blocks of one size.
//!
//! There is one in every series of the head, and they grow at the same time. Buffers that are moved to a larger
//! piece of memory as they grow leave behind pieces of every smaller size, which nobody needs any more: that cost as
//! much as the samples. The newest block is the only one that is written to; those before it go to the scratch.

use super::bits::PutBits;
use super::scratch::Full;

/// Bytes of samples in a block. With the link it fills a cache line.
const ROOM: usize = 60;

/// A part of the stream. It has no padding.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Block {
    bytes: [u8; ROOM],
    pub(super) before: Option<Full>,
}

impl Default for Block {
    fn default() -> Self {
        Self {
            bytes: [0; ROOM],
            before: None,
        }
    }
}

/// Appends bits. Touches only the newest block.
#[derive(Debug, Default)]
pub(crate) struct BlockWriter<M> {
    newest: Option<Box<Block>>,
    /// Bytes used in the newest block; not zero when there is one.
    used: u8,
    /// Unused low bits of the last byte.
    free: u8,
    /// Blocks before the newest one.
    full: u8,
    /// What the owner remembers: up to five bytes take no room here.
    pub(crate) memo: M,
}

impl<M> BlockWriter<M> {
    /// Bytes so far; a byte that has free bits counts.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        usize::from(self.full) * ROOM + usize::from(self.used)
    }

    /// A copy of the bytes so far; unused bits of the last one are zero.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.copy_from(0, &mut out, 0);
        out
    }

    /// Copies the blocks from the one with a byte on, in place of a buffer's content, and some zeros behind them.
    /// Returns how many bytes were left out.
    pub(crate) fn copy_from(&self, byte: usize, out: &mut Vec<u8>, zeros: usize) -> usize {
        let left_out = byte.min(self.len()) / ROOM * ROOM;
        let wanted = self.len() - left_out;
        out.clear();
        out.resize(wanted + zeros, 0);
        let mut rest = &mut out[..wanted];
        let mut used = usize::from(self.used);
        let mut block = self.newest.as_deref();
        while let Some(b) = block
            && !rest.is_empty()
        {
            let (before, own) = rest.split_at_mut(rest.len() - used);
            own.copy_from_slice(&b.bytes[..used]);
            (rest, used, block) = (before, ROOM, b.before.as_deref());
        }
        left_out
    }

    /// The newest byte, 0 while there is none.
    #[inline]
    pub(crate) fn last_byte(&self) -> u8 {
        let block = self.newest.as_ref();
        block.map_or(0, |b| b.bytes[usize::from(self.used).saturating_sub(1)])
    }

    /// Appends whole bytes; only valid on a byte border.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        debug_assert_eq!(self.free, 0);
        for byte in bytes {
            match &mut self.newest {
                None => self.newest = Some(Box::default()),
                Some(block) if usize::from(self.used) == ROOM => {
                    let full = Full::new(std::mem::take(&mut **block));
                    block.before = Some(full);
                    self.full += 1;
                    self.used = 0;
                }
                Some(_) => {}
            }
            if let Some(block) = &mut self.newest {
                block.bytes[usize::from(self.used)] = *byte;
                self.used += 1;
            }
        }
    }

    /// As [`Self::put`], out of the way of the usual case.
    #[cold]
    fn put_across(&mut self, bytes: &[u8]) {
        self.put(bytes);
    }
}

impl<M> PutBits for BlockWriter<M> {
    #[inline]
    fn write(&mut self, value: u64, n: u32) {
        let mut v = value << (64 - n);
        let mut n = n;
        let free = u32::from(self.free);
        let at = usize::from(self.used);
        if free > 0
            && let Some(block) = &mut self.newest
        {
            block.bytes[at - 1] |= (v >> (64 - free)) as u8;
            if n <= free {
                self.free -= n as u8;
                return;
            }
            v <<= free;
            n -= free;
        }
        let bytes = n.div_ceil(8);
        self.free = 0;
        match &mut self.newest {
            // Eight bytes at once, of which only those count that have bits: a fixed width needs no call.
            Some(block) if at + 8 <= ROOM => {
                block.bytes[at..at + 8].copy_from_slice(&v.to_be_bytes());
                self.used += bytes as u8;
            }
            _ => self.put_across(&v.to_be_bytes()[..bytes as usize]),
        }
        self.free = (bytes * 8 - n) as u8;
    }
}

#[cfg(test)]
impl Block {
    /// A block with bytes of its own.
    pub(super) fn filled_with(seed: u64) -> Self {
        let mut block = Self::default();
        for (i, byte) in block.bytes.iter_mut().enumerate() {
            *byte = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 8 * 8)) as u8 ^ i as u8;
        }
        block
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::bits::BitWriter;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_hold_what_one_buffer_holds(
            header in proptest::collection::vec(any::<u8>(), 0..20),
            items in proptest::collection::vec((any::<u64>(), 1u32..=64), 0..200),
        ) {
            let mut one = BitWriter::default();
            let mut blocks = BlockWriter::<()>::default();
            one.put(&header);
            blocks.put(&header);
            for (v, n) in items {
                one.write(v, n);
                blocks.write(v, n);
                prop_assert_eq!(one.bytes().last().copied().unwrap_or(0), blocks.last_byte());
            }
            prop_assert_eq!(one.bytes(), blocks.to_vec());
            let mut tail = Vec::new();
            for byte in (0..=blocks.len()).step_by(11) {
                let left_out = blocks.copy_from(byte, &mut tail, 3);
                prop_assert!(left_out <= byte && byte - left_out < ROOM);
                let zeros = tail.split_off(tail.len() - 3);
                prop_assert_eq!((&one.bytes()[left_out..], zeros), (&tail[..], vec![0; 3]));
            }
        }
    }

    #[test]
    fn a_block_fills_a_cache_line() {
        assert_eq!(size_of::<Block>(), 64);
        assert_eq!(size_of::<BlockWriter<[u8; 5]>>(), 16);
    }
}
