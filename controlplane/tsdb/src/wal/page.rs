//! Pages and fragments: how records lie in a segment.
//!
//! A segment is a sequence of 32 KiB pages. A record is split into fragments that never cross a page; each
//! has a header of type (with compression flags), big-endian u16 length and CRC-32C of its bytes. The rest
//! of a page with less room than a header, or before a zero type byte, is zero.

use std::borrow::Cow;
use std::io::{self, Read as _};

use zstd::zstd_safe::ResetDirective;

use crate::encoding::{DecodeError, crc32c};
use crate::options::WalCompression;

/// Bytes of a page.
pub(crate) const PAGE: usize = 32 * 1024;
/// Bytes of a fragment header.
pub(crate) const HEADER: usize = 7;
/// Type byte of the padding at a page's end.
pub(crate) const PAD: u8 = 0;
pub(crate) const FULL: u8 = 1;
pub(crate) const FIRST: u8 = 2;
pub(crate) const MIDDLE: u8 = 3;
pub(crate) const LAST: u8 = 4;
pub(crate) const TYPE_MASK: u8 = 0b111;
pub(crate) const SNAPPY: u8 = 1 << 3;
pub(crate) const ZSTD: u8 = 1 << 4;

/// A record larger than this is taken for corruption.
const MAX_RECORD: usize = 1 << 30;

/// Snappy never makes a byte out of less than this share of one.
const SNAPPY_RATIO: usize = 64;

/// Appends a record to `out`, which will be written at byte `start` of a segment.
pub(crate) fn layout(out: &mut Vec<u8>, start: u64, flags: u8, mut record: &[u8]) {
    let mut first = true;
    loop {
        let at = ((start + out.len() as u64) % PAGE as u64) as usize;
        let mut room = PAGE - at;
        if room <= HEADER {
            // No room for a byte of data: begin the next page.
            out.resize(out.len() + room, 0);
            room = PAGE;
        }
        let len = record.len().min(room - HEADER);
        let (part, rest) = record.split_at(len);
        let kind = match (first, rest.is_empty()) {
            (true, true) => FULL,
            (true, false) => FIRST,
            (false, false) => MIDDLE,
            (false, true) => LAST,
        };
        out.push(kind | flags);
        out.extend_from_slice(&(len as u16).to_be_bytes());
        out.extend_from_slice(&crc32c(part).to_be_bytes());
        out.extend_from_slice(part);
        if rest.is_empty() {
            return;
        }
        first = false;
        record = rest;
    }
}

/// Bytes that fill up the page at a position.
pub(crate) fn padding(pos: u64) -> usize {
    let at = (pos % PAGE as u64) as usize;
    if at == 0 { 0 } else { PAGE - at }
}

/// Compresses records, each on its own.
pub(crate) struct Compressor {
    kind: WalCompression,
    snappy: snap::raw::Encoder,
    zstd: Option<zstd::bulk::Compressor<'static>>,
}

impl Compressor {
    /// A compressor of the wanted kind.
    pub(crate) fn new(kind: WalCompression) -> Self {
        Self {
            kind,
            snappy: snap::raw::Encoder::new(),
            zstd: match kind {
                WalCompression::Zstd => zstd::bulk::Compressor::new(1).ok(),
                WalCompression::None | WalCompression::Snappy => None,
            },
        }
    }

    /// Compresses into `out` and returns the flags; zero means that the record is better left as it is.
    pub(crate) fn compress(&mut self, record: &[u8], out: &mut Vec<u8>) -> u8 {
        let (room, flag) = match self.kind {
            WalCompression::None => return 0,
            WalCompression::Snappy => (snap::raw::max_compress_len(record.len()), SNAPPY),
            WalCompression::Zstd => (zstd::zstd_safe::compress_bound(record.len()), ZSTD),
        };
        out.resize(room, 0);
        let len = match &mut self.zstd {
            Some(zstd) => zstd.compress_to_buffer(record, &mut out[..]).ok(),
            None => self.snappy.compress(record, out).ok(),
        };
        match len {
            Some(len) if len < record.len() => {
                out.truncate(len);
                flag
            }
            _ => 0,
        }
    }
}

/// Undoes the compression of records, each on its own.
#[derive(Default)]
pub(crate) struct Decompressor {
    /// Made when it is needed: making it costs more than a small record.
    zstd: Option<zstd::zstd_safe::DCtx<'static>>,
}

impl Decompressor {
    /// Undoes the compression that a fragment's type byte names.
    pub(crate) fn decompress<'r>(
        &mut self,
        flags: u8,
        record: &'r [u8],
    ) -> Result<Cow<'r, [u8]>, DecodeError> {
        if flags & SNAPPY != 0 {
            return snappy(record).map(Cow::Owned);
        }
        if flags & ZSTD != 0 {
            let bad = |_| DecodeError("record does not decompress (zstd)");
            return self.zstd(record).map(Cow::Owned).map_err(bad);
        }
        Ok(Cow::Borrowed(record))
    }

    fn zstd(&mut self, record: &[u8]) -> io::Result<Vec<u8>> {
        let context = self.zstd.get_or_insert_default();
        // A record that did not decompress left it in the middle.
        context
            .reset(ResetDirective::SessionOnly)
            .map_err(|code| io::Error::other(zstd::zstd_safe::get_error_name(code)))?;
        // Streaming: frames need not say their size.
        let decoder = zstd::stream::read::Decoder::with_context(record, context);
        let mut out = Vec::new();
        decoder.take(MAX_RECORD as u64).read_to_end(&mut out)?;
        Ok(out)
    }
}

fn snappy(record: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let len = snap::raw::decompress_len(record).map_err(|_| DecodeError("bad snappy length"))?;
    if len > MAX_RECORD.min(record.len().saturating_mul(SNAPPY_RATIO)) {
        return Err(DecodeError("record is too large"));
    }
    let mut out = vec![0; len];
    snap::raw::Decoder::new()
        .decompress(record, &mut out)
        .map_err(|_| DecodeError("record does not decompress (snappy)"))?;
    Ok(out)
}
