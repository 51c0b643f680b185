//! A block's index, byte by byte.
//!
//! The table of contents says where the parts begin; each part ends where the next begins, and what a part does
//! not use is zero. So every byte is either under a checksum or compared with zero.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{VerifyReport, not_zero};
use crate::block::index_read::decode_chunks;
use crate::block::index_write::ChunkMeta;
use crate::block::{MAGIC, VERSION_1, VERSION_2};
use crate::encoding::{Dec, DecodeError, crc32c};

/// Bytes of the table of contents with its checksum.
const TOC: usize = 52;
/// Bytes of magic number and version.
const HEADER: usize = 5;

/// What the rest of the block is compared with.
#[derive(Default)]
pub(super) struct Contents {
    /// Every series: its place and its chunks.
    pub(super) series: Vec<(u64, Vec<ChunkMeta>)>,
    /// References as postings and tombstones have them.
    pub(super) references: BTreeSet<u64>,
}

/// Checks an index. `None` when so little of it is readable that nothing can be compared with it.
pub(super) fn check(path: &Path, bytes: &[u8], report: &mut VerifyReport) -> Option<Contents> {
    let mut walk = Walk {
        path,
        bytes,
        version: 0,
        symbols: Vec::new(),
        symbol_at: BTreeMap::new(),
        pairs: BTreeMap::new(),
        lists: BTreeMap::new(),
        contents: Contents::default(),
        report,
    };
    let parts = match walk.table_of_contents() {
        Ok(parts) => parts,
        Err((at, e)) => {
            walk.problem(at, e.0);
            return None;
        }
    };
    walk.parts(&parts);
    Some(walk.contents)
}

/// A label pair by its texts.
type Pair<'a> = (&'a [u8], &'a [u8]);

struct Walk<'a, 'r> {
    path: &'a Path,
    bytes: &'a [u8],
    version: u8,
    symbols: Vec<&'a [u8]>,
    /// Version 1 refers to symbols by their position.
    symbol_at: BTreeMap<u64, &'a [u8]>,
    /// References of the series that carry a label pair, as the series say.
    pairs: BTreeMap<Pair<'a>, Vec<u64>>,
    /// References in each list of postings, by the list's place.
    lists: BTreeMap<u64, Vec<u64>>,
    contents: Contents,
    report: &'r mut VerifyReport,
}

/// Places of the parts, from the table of contents, in the order of the file.
struct Parts {
    symbols: usize,
    series: usize,
    label_indices: usize,
    postings: usize,
    label_table: usize,
    postings_table: usize,
    end: usize,
}

impl<'a> Walk<'a, '_> {
    fn problem(&mut self, at: usize, reason: impl Into<String>) {
        self.report.problem(self.path, at as u64, reason);
    }

    fn table_of_contents(&mut self) -> Result<Parts, (usize, DecodeError)> {
        let mut dec = Dec::new(self.bytes);
        if dec.be32() != Ok(MAGIC) {
            return Err((0, DecodeError("not an index: wrong magic number")));
        }
        self.version = dec.u8().map_err(|e| (4, e))?;
        if self.version != VERSION_1 && self.version != VERSION_2 {
            return Err((4, DecodeError("unknown index version")));
        }
        let at = self
            .bytes
            .len()
            .checked_sub(TOC)
            .filter(|at| *at >= HEADER)
            .ok_or((0, DecodeError("index is cut off")))?;
        let fail = |e| (at, e);
        let mut dec = Dec::new(&self.bytes[at..]);
        let body = dec.bytes(TOC - 4).map_err(fail)?;
        if dec.be32().map_err(fail)? != crc32c(body) {
            return Err(fail(DecodeError("table of contents: checksum mismatch")));
        }
        let mut dec = Dec::new(body);
        let mut next = || dec.be64().map(|v| v as usize).map_err(fail);
        let parts = Parts {
            symbols: next()?,
            series: next()?,
            label_indices: next()?,
            label_table: next()?,
            postings: next()?,
            postings_table: next()?,
            end: at,
        };
        let order = [
            HEADER,
            parts.symbols,
            parts.series,
            parts.label_indices,
            parts.postings,
            parts.label_table,
            parts.postings_table,
            parts.end,
        ];
        if order.windows(2).any(|w| w[0] > w[1]) {
            return Err(fail(DecodeError(
                "table of contents: the parts are not in the order of the format",
            )));
        }
        Ok(parts)
    }

    fn parts(&mut self, p: &Parts) {
        self.zeros(HEADER, p.symbols);
        self.symbols(p.symbols, p.series);
        self.series(p.series, p.label_indices);
        let mut indices = BTreeSet::new();
        self.sections(p.label_indices, p.postings, |_, at, _| {
            indices.insert(at as u64);
        });
        self.sections(p.postings, p.label_table, Self::postings);
        self.label_table(p.label_table, p.postings_table, &indices);
        self.postings_table(p.postings_table, p.end);
    }

    /// Checks that bytes which nothing uses are zero.
    fn zeros(&mut self, from: usize, to: usize) {
        if let Some(at) = self.bytes.get(from..to).and_then(not_zero) {
            self.problem(from + at as usize, "padding is not zero");
        }
    }

    /// The content of a section (length before it, checksum behind it), and its end.
    fn section(&mut self, at: usize, limit: usize) -> Option<(&'a [u8], usize)> {
        let part = self.bytes.get(at..limit)?;
        let mut dec = Dec::new(part);
        let read = dec.be32().and_then(|len| dec.bytes(len as usize));
        let content = match read {
            Ok(content) => content,
            Err(_) => {
                self.problem(at, "section is longer than its part of the index");
                return None;
            }
        };
        match dec.be32() {
            Ok(crc) if crc == crc32c(content) => {}
            Ok(_) => self.problem(at, "section checksum mismatch"),
            Err(_) => self.problem(at, "section is cut off"),
        }
        Some((content, limit - dec.remaining()))
    }

    /// The only section of a part; the rest of the part is zero.
    fn only_section(&mut self, at: usize, end: usize) -> Option<&'a [u8]> {
        let (content, next) = self.section(at, end)?;
        self.zeros(next, end);
        Some(content)
    }

    /// All sections of a part, which begin at multiples of four.
    fn sections(
        &mut self,
        from: usize,
        end: usize,
        mut each: impl FnMut(&mut Self, usize, &'a [u8]),
    ) {
        let mut at = from;
        loop {
            let aligned = at.next_multiple_of(4).min(end);
            self.zeros(at, aligned);
            if aligned >= end {
                return;
            }
            let Some((content, next)) = self.section(aligned, end) else {
                return;
            };
            each(self, aligned, content);
            at = next;
        }
    }

    fn symbols(&mut self, at: usize, end: usize) {
        let Some(content) = self.only_section(at, end) else {
            return;
        };
        let mut dec = Dec::new(content);
        let base = at + 4 + content.len();
        let mut read = |dec: &mut Dec<'a>| -> Result<(), DecodeError> {
            for _ in 0..dec.be32()? {
                let place = base - dec.remaining();
                let len = dec.count(1)?;
                let text = dec.bytes(len)?;
                if self.symbols.last().is_some_and(|last| *last >= text) {
                    let reason = "symbols are not in order";
                    self.report.problem(self.path, place as u64, reason);
                }
                if std::str::from_utf8(text).is_err() {
                    let reason = "symbol is no UTF-8";
                    self.report.problem(self.path, place as u64, reason);
                }
                self.symbols.push(text);
                self.symbol_at.insert(place as u64, text);
            }
            Ok(())
        };
        let result = read(&mut dec);
        self.rest(&dec, base, result);
    }

    /// Reports what is wrong with a decoded section: an error, or bytes behind the last entry.
    fn rest(&mut self, dec: &Dec<'_>, base: usize, result: Result<(), DecodeError>) {
        let at = base - dec.remaining();
        match result {
            Err(e) => self.problem(at, e.0),
            Ok(()) if !dec.is_empty() => self.problem(at, "bytes behind the last entry"),
            Ok(()) => {}
        }
    }

    fn symbol(&self, number: u64) -> Result<&'a [u8], DecodeError> {
        let found = match self.version {
            VERSION_1 => self.symbol_at.get(&number),
            _ => usize::try_from(number)
                .ok()
                .and_then(|n| self.symbols.get(n)),
        };
        found.copied().ok_or(DecodeError("no such symbol"))
    }

    fn series(&mut self, from: usize, end: usize) {
        let mut at = from;
        let mut before: Vec<Pair<'a>> = Vec::new();
        loop {
            let start = match self.version {
                VERSION_1 => at,
                _ => at.next_multiple_of(16).min(end),
            };
            self.zeros(at, start);
            let part = self.bytes.get(start..end).unwrap_or_default();
            if not_zero(part).is_none() {
                return;
            }
            let mut dec = Dec::new(part);
            let read = dec
                .count(1)
                .and_then(|len| Ok((dec.bytes(len)?, dec.be32()?)));
            let (entry, crc) = match read {
                Ok(read) => read,
                Err(e) => return self.problem(start, format!("series: {e}")),
            };
            at = end - dec.remaining();
            let reference = match self.version {
                VERSION_1 => start as u64,
                _ => start as u64 / 16,
            };
            self.report.series += 1;
            self.contents.references.insert(reference);
            if crc != crc32c(entry) {
                self.problem(start, "series: checksum mismatch");
                continue;
            }
            match self.entry(entry) {
                Ok((labels, chunks)) => {
                    if before >= labels {
                        self.problem(start, "series are not in order of labels");
                    }
                    for pair in &labels {
                        self.pairs.entry(*pair).or_default().push(reference);
                    }
                    before = labels;
                    self.contents.series.push((start as u64, chunks));
                }
                Err(e) => self.problem(start, format!("series: {e}")),
            }
        }
    }

    fn entry(&self, entry: &'a [u8]) -> Result<(Vec<Pair<'a>>, Vec<ChunkMeta>), DecodeError> {
        let mut dec = Dec::new(entry);
        let mut labels: Vec<Pair<'a>> = Vec::new();
        for _ in 0..dec.count(2)? {
            let pair = (self.symbol(dec.uvarint()?)?, self.symbol(dec.uvarint()?)?);
            if labels.last().is_some_and(|last| last.0 >= pair.0) {
                return Err(DecodeError("labels are not in order"));
            }
            labels.push(pair);
        }
        let mut chunks = Vec::new();
        decode_chunks(&mut dec, &mut chunks)?;
        if chunks.is_empty() {
            return Err(DecodeError("no chunks"));
        }
        if chunks.iter().any(|c| c.mint > c.maxt) {
            return Err(DecodeError("chunk ends before it begins"));
        }
        if chunks.windows(2).any(|w| w[1].mint <= w[0].maxt) {
            return Err(DecodeError("chunks overlap"));
        }
        if !dec.is_empty() {
            return Err(DecodeError("bytes behind the last chunk"));
        }
        Ok((labels, chunks))
    }

    /// One list of postings.
    fn postings(&mut self, at: usize, content: &'a [u8]) {
        let mut dec = Dec::new(content);
        let mut list = Vec::new();
        let mut read = || -> Result<(), DecodeError> {
            for _ in 0..dec.be32()? {
                list.push(u64::from(dec.be32()?));
            }
            Ok(())
        };
        let result = read();
        let base = at + 4 + content.len();
        self.rest(&dec, base, result);
        if list.windows(2).any(|w| w[0] >= w[1]) {
            self.problem(at, "postings are not in order");
        }
        if let Some(lost) = list.iter().find(|r| !self.contents.references.contains(r)) {
            self.problem(
                at,
                format!("postings name series {lost}, which is not there"),
            );
        }
        self.lists.insert(at as u64, list);
    }

    fn label_table(&mut self, at: usize, end: usize, indices: &BTreeSet<u64>) {
        let Some(content) = self.only_section(at, end) else {
            return;
        };
        let mut dec = Dec::new(content);
        let mut read = || -> Result<(), DecodeError> {
            for _ in 0..dec.be32()? {
                for _ in 0..dec.uvarint()? {
                    dec.str()?;
                }
                if !indices.contains(&dec.uvarint()?) {
                    return Err(DecodeError("label index is not where the table says"));
                }
            }
            Ok(())
        };
        let result = read();
        self.rest(&dec, at + 4 + content.len(), result);
    }

    fn postings_table(&mut self, at: usize, end: usize) {
        let Some(content) = self.only_section(at, end) else {
            return;
        };
        let mut dec = Dec::new(content);
        let base = at + 4 + content.len();
        let mut seen: BTreeSet<Pair<'a>> = BTreeSet::new();
        let mut read = |dec: &mut Dec<'a>| -> Result<(), DecodeError> {
            let mut before: Option<Pair<'a>> = None;
            for _ in 0..dec.be32()? {
                let place = base - dec.remaining();
                let (pair, list) = table_entry(dec)?;
                if self.version == VERSION_2 && before.is_some_and(|b| b >= pair) {
                    self.problem(place, "postings table is not in order");
                }
                before = Some(pair);
                seen.insert(pair);
                if let Some(reason) = self.disagreement(pair, list) {
                    self.problem(place, reason);
                }
            }
            Ok(())
        };
        let result = read(&mut dec);
        self.rest(&dec, base, result);
        if let Some(pair) = self.pairs.keys().find(|p| !seen.contains(*p)) {
            let reason = format!("postings table lacks {}", text(*pair));
            self.problem(at, reason);
        }
    }

    /// How a list of postings differs from what the series say.
    fn disagreement(&self, pair: Pair<'a>, list: u64) -> Option<String> {
        let Some(list) = self.lists.get(&list) else {
            return Some(format!("no postings of {} at {list}", text(pair)));
        };
        let all: Vec<u64>;
        let wanted = if pair == (b"", b"") {
            all = self.contents.references.iter().copied().collect();
            &all
        } else {
            self.pairs.get(&pair)?
        };
        (list != wanted).then(|| {
            format!(
                "postings of {} are {} series, {} series carry it or they are others",
                text(pair),
                list.len(),
                wanted.len()
            )
        })
    }
}

fn text(pair: Pair<'_>) -> String {
    match pair {
        (b"", b"") => "all series".to_owned(),
        (name, value) => format!(
            "{}={:?}",
            String::from_utf8_lossy(name),
            String::from_utf8_lossy(value)
        ),
    }
}

/// A label pair and the place of its postings.
fn table_entry<'a>(dec: &mut Dec<'a>) -> Result<(Pair<'a>, u64), DecodeError> {
    if dec.uvarint()? != 2 {
        return Err(DecodeError("postings table: entry is no name and value"));
    }
    let mut bytes = || -> Result<&'a [u8], DecodeError> {
        let len = dec.count(1)?;
        dec.bytes(len)
    };
    let pair = (bytes()?, bytes()?);
    Ok((pair, dec.uvarint()?))
}
