//! Reads the records of one segment, and finds the next good record after damage.

use std::io::{self, Read as _};
use std::path::Path;

use super::page::{Decompressor, FIRST, FULL, HEADER, LAST, MIDDLE, PAD, PAGE, TYPE_MASK};
use crate::encoding::crc32c;
use crate::files::Files;

/// A damaged place in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// End of the last good record before it.
    pub(crate) offset: u64,
    /// What was found.
    pub(crate) reason: &'static str,
}

/// What reading found next.
#[derive(Debug)]
pub(crate) enum Item<'a> {
    /// A whole record, decompressed.
    Record(std::borrow::Cow<'a, [u8]>),
    /// Damage; reading goes on at the next page.
    Damaged(Damage),
}

/// A reader of one segment; holds one page and one record at a time.
pub(crate) struct SegmentReader {
    file: Box<dyn io::Read + Send>,
    page: Vec<u8>,
    /// Position in the page.
    at: usize,
    /// Offset of the page in the file.
    page_offset: u64,
    /// End of the last complete record (or of the padding after it).
    good_end: u64,
    record: Vec<u8>,
    decompressor: Decompressor,
    /// In damage: fragments before the next first one are dropped.
    skipping: bool,
    ended: bool,
}

impl SegmentReader {
    /// Opens a segment.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn open(files: &dyn Files, path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: files.open(path)?,
            page: Vec::with_capacity(PAGE),
            at: 0,
            page_offset: 0,
            good_end: 0,
            record: Vec::new(),
            decompressor: Decompressor::default(),
            skipping: false,
            ended: false,
        })
    }

    /// End of the last good record, or of the padding behind it.
    pub(crate) fn position(&self) -> u64 {
        self.good_end
    }

    /// Loads the next page; false at the end of the file.
    fn next_page(&mut self) -> io::Result<bool> {
        self.page_offset += self.page.len() as u64;
        self.page.clear();
        self.at = 0;
        let mut limited = (&mut self.file).take(PAGE as u64);
        limited.read_to_end(&mut self.page)?;
        Ok(!self.page.is_empty())
    }

    fn damage(&mut self, reason: &'static str) -> Item<'static> {
        self.skipping = true;
        self.record.clear();
        self.at = self.page.len();
        Item::Damaged(Damage {
            offset: self.good_end,
            reason,
        })
    }

    /// The next record or damaged place; `None` at the end of the segment.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item<'_>>> {
        self.record.clear();
        let mut in_record = false;
        let mut flags = 0;
        while !self.ended {
            if self.at >= self.page.len() && !self.next_page()? {
                self.ended = true;
                if in_record {
                    return Ok(Some(
                        self.damage("record is cut off at the end of the segment"),
                    ));
                }
                break;
            }
            let rest = &self.page[self.at..];
            // A page that the writer did not fill ends with zeros or with the file.
            if rest[0] & TYPE_MASK == PAD || (PAGE - self.at) < HEADER {
                if rest.iter().any(|b| *b != 0) {
                    return Ok(Some(self.damage("padding is not zero")));
                }
                self.at = self.page.len();
                if !in_record && !self.skipping {
                    self.good_end = self.page_offset + self.page.len() as u64;
                }
                continue;
            }
            if rest.len() < HEADER {
                return Ok(Some(self.damage("fragment header is cut off")));
            }
            let kind = rest[0] & TYPE_MASK;
            let len = usize::from(u16::from_be_bytes([rest[1], rest[2]]));
            let crc = u32::from_be_bytes([rest[3], rest[4], rest[5], rest[6]]);
            let Some(data) = rest.get(HEADER..HEADER + len) else {
                return Ok(Some(self.damage("fragment is cut off")));
            };
            if crc32c(data) != crc {
                return Ok(Some(self.damage("checksum mismatch")));
            }
            let fragment_flags = rest[0] & !TYPE_MASK;
            match kind {
                FULL | FIRST if in_record => {
                    return Ok(Some(self.damage("record begins inside another")));
                }
                FULL | FIRST => {
                    self.skipping = false;
                    self.record.clear();
                    flags = fragment_flags;
                }
                MIDDLE | LAST if in_record => {}
                MIDDLE | LAST if self.skipping => {
                    // The rest of a record whose beginning was damaged.
                    self.at += HEADER + len;
                    continue;
                }
                MIDDLE | LAST => return Ok(Some(self.damage("record has no beginning"))),
                _ => return Ok(Some(self.damage("unknown fragment type"))),
            }
            self.record.extend_from_slice(data);
            self.at += HEADER + len;
            in_record = true;
            if kind == FULL || kind == LAST {
                let before = self.good_end;
                self.good_end = self.page_offset + self.at as u64;
                return match self.decompressor.decompress(flags, &self.record) {
                    Ok(record) => Ok(Some(Item::Record(record))),
                    Err(e) => Ok(Some(Item::Damaged(Damage {
                        offset: before,
                        reason: e.0,
                    }))),
                };
            }
        }
        Ok(None)
    }
}
