//! Reads a block's index, versions 1 and 2, from a memory map.
//!
//! Only samples of the symbol table and of the postings offset table are kept in memory (every 8th and every 32nd
//! entry); a look-up jumps to the sample before and walks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use bellwether_model::Labels;
use roaring::RoaringBitmap;

use super::index_write::ChunkMeta;
use super::{MAGIC, VERSION_1, VERSION_2};
use crate::encoding::{Dec, DecodeError, crc32c};
use crate::error::TsdbError;
use crate::files::{FileBytes, Files};
use crate::select::Postings;

/// Postings table entries per one kept in memory.
const SAMPLING: usize = 32;
/// Symbols per one kept in memory; every series needs a dozen of them.
const SYMBOL_SAMPLING: usize = 8;

/// Entries of one label name in the postings offset table.
#[derive(Debug, Default)]
struct NameTable {
    /// Positions of every 32nd entry.
    samples: Vec<u32>,
    /// Number of entries.
    len: usize,
}

/// An open index.
#[derive(Debug)]
pub(crate) struct IndexReader {
    path: PathBuf,
    map: FileBytes,
    version: u8,
    /// Positions of every 8th symbol; number of symbols.
    symbols: Vec<u32>,
    symbol_count: usize,
    names: BTreeMap<String, NameTable>,
    /// Position of the list of all series.
    all: u64,
    /// Version 1 promises no order: value to position, per name.
    unordered: BTreeMap<String, BTreeMap<String, u64>>,
}

/// One entry of the postings offset table.
struct TableEntry<'a> {
    name: std::borrow::Cow<'a, str>,
    value: std::borrow::Cow<'a, str>,
    postings: u64,
}

fn table_entry<'a>(dec: &mut Dec<'a>) -> Result<TableEntry<'a>, DecodeError> {
    if dec.uvarint()? != 2 {
        return Err(DecodeError("postings table: entry is no name and value"));
    }
    Ok(TableEntry {
        name: dec.str()?,
        value: dec.str()?,
        postings: dec.uvarint()?,
    })
}

/// Decodes the chunks of a series entry into an emptied list.
pub(crate) fn decode_chunks(
    dec: &mut Dec<'_>,
    chunks: &mut Vec<ChunkMeta>,
) -> Result<(), DecodeError> {
    chunks.clear();
    let mut before: Option<ChunkMeta> = None;
    for _ in 0..dec.count(3)? {
        let c = match before {
            None => {
                let mint = dec.varint()?;
                ChunkMeta {
                    mint,
                    maxt: mint.wrapping_add(dec.uvarint()? as i64),
                    reference: dec.uvarint()?,
                }
            }
            Some(b) => {
                let mint = b.maxt.wrapping_add(dec.uvarint()? as i64);
                ChunkMeta {
                    mint,
                    maxt: mint.wrapping_add(dec.uvarint()? as i64),
                    reference: b.reference.wrapping_add(dec.varint()? as u64),
                }
            }
        };
        before = Some(c);
        chunks.push(c);
    }
    Ok(())
}

fn dec_at(map: &[u8], at: u64) -> Result<Dec<'_>, DecodeError> {
    let rest = usize::try_from(at).ok().and_then(|at| map.get(at..));
    rest.map(Dec::new)
        .ok_or(DecodeError("section out of range"))
}

/// The content of a section with a u32 length before and a checksum behind it.
fn section(map: &[u8], at: u64) -> Result<(&[u8], usize), DecodeError> {
    let mut dec = dec_at(map, at)?;
    let len = dec.be32()? as usize;
    let content = dec.bytes(len)?;
    if dec.be32()? != crc32c(content) {
        return Err(DecodeError("section checksum mismatch"));
    }
    Ok((content, at as usize + 4))
}

impl IndexReader {
    /// Opens and checks an index.
    pub(crate) fn open(files: &dyn Files, path: &Path) -> Result<Self, TsdbError> {
        let map = files.map(path).map_err(TsdbError::io("cannot map", path))?;
        let mut this = Self {
            path: path.to_path_buf(),
            map,
            version: 0,
            symbols: Vec::new(),
            symbol_count: 0,
            names: BTreeMap::new(),
            all: 0,
            unordered: BTreeMap::new(),
        };
        this.load().map_err(|e| TsdbError::corrupt(path, e.0))?;
        Ok(this)
    }

    fn load(&mut self) -> Result<(), DecodeError> {
        let map = &self.map;
        let mut dec = Dec::new(map);
        if dec.be32()? != MAGIC {
            return Err(DecodeError("not an index"));
        }
        self.version = dec.u8()?;
        if self.version != VERSION_1 && self.version != VERSION_2 {
            return Err(DecodeError("unknown index version"));
        }
        let toc = map
            .len()
            .checked_sub(52)
            .and_then(|at| map.get(at..))
            .ok_or(DecodeError("index is cut off"))?;
        let mut dec = Dec::new(toc);
        let body = dec.bytes(48)?;
        if dec.be32()? != crc32c(body) {
            return Err(DecodeError("table of contents: checksum mismatch"));
        }
        let mut dec = Dec::new(body);
        let symbols_at = dec.be64()?;
        dec.bytes(32)?;
        let table_at = dec.be64()?;

        let (content, base) = section(map, symbols_at)?;
        let mut dec = Dec::new(content);
        self.symbol_count = dec.be32()? as usize;
        for i in 0..self.symbol_count {
            if i % SYMBOL_SAMPLING == 0 {
                self.symbols
                    .push((base + content.len() - dec.remaining()) as u32);
            }
            let len = dec.count(1)?;
            dec.bytes(len)?;
        }

        let (content, base) = section(map, table_at)?;
        let mut dec = Dec::new(content);
        let count = dec.be32()?;
        for _ in 0..count {
            let at = (base + content.len() - dec.remaining()) as u32;
            let entry = table_entry(&mut dec)?;
            if entry.name.is_empty() && entry.value.is_empty() {
                self.all = entry.postings;
                continue;
            }
            if self.version == VERSION_1 {
                self.unordered
                    .entry(entry.name.into_owned())
                    .or_default()
                    .insert(entry.value.into_owned(), entry.postings);
                continue;
            }
            if !self.names.contains_key(entry.name.as_ref()) {
                self.names
                    .insert(entry.name.clone().into_owned(), NameTable::default());
            }
            if let Some(table) = self.names.get_mut(entry.name.as_ref()) {
                if table.len % SAMPLING == 0 {
                    table.samples.push(at);
                }
                table.len += 1;
            }
        }
        Ok(())
    }

    fn corrupt(&self) -> impl Fn(DecodeError) -> TsdbError + '_ {
        |e| TsdbError::corrupt(&self.path, e.0)
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.map.len() as u64
    }

    /// The text of a symbol: an ordinal in version 2, a position in version 1.
    fn symbol(&self, symbol: u64) -> Result<std::borrow::Cow<'_, str>, DecodeError> {
        let missing = DecodeError("no such symbol");
        let symbol = usize::try_from(symbol).map_err(|_| missing)?;
        let (start, skip) = if self.version == VERSION_1 {
            (symbol, 0)
        } else {
            let sample = self.symbols.get(symbol / SYMBOL_SAMPLING).ok_or(missing)?;
            (*sample as usize, symbol % SYMBOL_SAMPLING)
        };
        let mut dec = Dec::new(self.map.get(start..).ok_or(missing)?);
        for _ in 0..skip {
            let len = dec.count(1)?;
            dec.bytes(len)?;
        }
        dec.str()
    }

    /// All symbols in order.
    pub(crate) fn all_symbols(&self) -> Result<Vec<String>, TsdbError> {
        let Some(start) = self.symbols.first() else {
            return Ok(Vec::new());
        };
        let mut dec = Dec::new(&self.map[*start as usize..]);
        (0..self.symbol_count)
            .map(|_| dec.str().map(std::borrow::Cow::into_owned))
            .collect::<Result<_, _>>()
            .map_err(self.corrupt())
    }

    /// Labels and chunks of a series by its reference in the postings.
    pub(crate) fn series(
        &self,
        reference: u32,
        chunks: &mut Vec<ChunkMeta>,
    ) -> Result<Labels, TsdbError> {
        self.entries().series(reference, chunks)
    }

    /// Reads the entries of many series.
    pub(crate) fn entries(&self) -> Entries<'_> {
        Entries {
            index: self,
            texts: Vec::new(),
            packed: String::new(),
        }
    }

    /// The list of series at a position.
    fn postings_at(&self, at: u64) -> Result<RoaringBitmap, DecodeError> {
        RoaringBitmap::from_sorted_iter(self.references_at(at)?)
            .map_err(|_| DecodeError("postings are not sorted"))
    }

    fn references_at(&self, at: u64) -> Result<impl Iterator<Item = u32> + '_, DecodeError> {
        let (content, _) = section(&self.map, at)?;
        let mut dec = Dec::new(content);
        let count = dec.be32()? as usize;
        let refs = dec.bytes(count * 4)?;
        Ok(refs
            .chunks_exact(4)
            .map(|r| u32::from_be_bytes([r[0], r[1], r[2], r[3]])))
    }

    /// The same as it lies in the file.
    fn packed_postings(&self, at: u64) -> Result<&[u8], DecodeError> {
        let (content, _) = section(&self.map, at)?;
        let mut dec = Dec::new(content);
        let count = dec.be32()? as usize;
        dec.bytes(count * 4)
    }

    /// Label names, sorted.
    pub(crate) fn label_names(&self) -> Vec<String> {
        match self.version {
            VERSION_1 => self.unordered.keys().cloned().collect(),
            _ => self.names.keys().cloned().collect(),
        }
    }

    /// Values of a label, sorted, with the positions of their series.
    fn each_value(
        &self,
        name: &str,
        mut each: impl FnMut(&str, u64) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        for (value, at) in self.unordered.get(name).into_iter().flatten() {
            each(value, *at)?;
        }
        if let Some(table) = self.names.get(name)
            && let Some(start) = table.samples.first()
        {
            let mut dec = Dec::new(&self.map[*start as usize..]);
            for _ in 0..table.len {
                let entry = table_entry(&mut dec)?;
                each(&entry.value, entry.postings)?;
            }
        }
        Ok(())
    }

    /// Calls `each` with the values of a label, sorted.
    pub(crate) fn label_values(
        &self,
        name: &str,
        mut each: impl FnMut(&str),
    ) -> Result<(), TsdbError> {
        let found = self.each_value(name, |value, _| {
            each(value);
            Ok(())
        });
        found.map_err(self.corrupt())
    }

    /// Calls `each` with the values of a label that some of the given series have, sorted.
    pub(crate) fn label_values_among(
        &self,
        name: &str,
        series: &RoaringBitmap,
        mut each: impl FnMut(&str),
    ) -> Result<(), TsdbError> {
        let (Some(first), Some(last)) = (series.min(), series.max()) else {
            return Ok(());
        };
        let values = self.names.get(name).map_or(usize::MAX, |table| table.len);
        if series.len() < values as u64 {
            self.label_values_of(name, series)?
                .iter()
                .for_each(|value| each(value));
            return Ok(());
        }
        let found = self.each_value(name, |value, at| {
            let refs = self.references_at(at)?;
            let mut in_range = refs.skip_while(|r| *r < first).take_while(|r| *r <= last);
            if in_range.any(|r| series.contains(r)) {
                each(value);
            }
            Ok(())
        });
        found.map_err(self.corrupt())
    }

    /// The same by a look at each series: there are fewer of them than values.
    fn label_values_of(
        &self,
        name: &str,
        series: &RoaringBitmap,
    ) -> Result<BTreeSet<String>, TsdbError> {
        let mut entries = self.entries();
        let mut chunks = Vec::new();
        let mut values = BTreeSet::new();
        for reference in series {
            let labels = entries.series(reference, &mut chunks)?;
            if let Some(value) = labels.get(name)
                && !values.contains(value)
            {
                values.insert(value.to_owned());
            }
        }
        Ok(values)
    }

    /// Position of the series of a label pair.
    fn find_value(&self, name: &str, value: &str) -> Result<Option<u64>, DecodeError> {
        if self.version == VERSION_1 {
            return Ok(self.unordered.get(name).and_then(|v| v.get(value)).copied());
        }
        let Some(table) = self.names.get(name) else {
            return Ok(None);
        };
        let mut failed = None;
        let sample = table.samples.partition_point(|at| {
            match table_entry(&mut Dec::new(&self.map[*at as usize..])) {
                Ok(entry) => entry.value.as_ref() <= value,
                Err(e) => {
                    failed = Some(e);
                    false
                }
            }
        });
        if let Some(e) = failed {
            return Err(e);
        }
        let Some(sample) = sample.checked_sub(1) else {
            return Ok(None);
        };
        let mut dec = Dec::new(&self.map[table.samples[sample] as usize..]);
        for _ in 0..SAMPLING.min(table.len - sample * SAMPLING) {
            let entry = table_entry(&mut dec)?;
            match entry.value.as_ref().cmp(value) {
                std::cmp::Ordering::Equal => return Ok(Some(entry.postings)),
                std::cmp::Ordering::Greater => break,
                std::cmp::Ordering::Less => {}
            }
        }
        Ok(None)
    }
}

/// Reads entries of series. Of series that follow each other most texts are those of the one before.
pub(crate) struct Entries<'a> {
    index: &'a IndexReader,
    /// Symbols of the last entry with their texts.
    texts: Vec<(u64, std::borrow::Cow<'a, str>)>,
    packed: String,
}

impl Entries<'_> {
    /// Labels and chunks of a series by its reference in the postings.
    pub(crate) fn series(
        &mut self,
        reference: u32,
        chunks: &mut Vec<ChunkMeta>,
    ) -> Result<Labels, TsdbError> {
        self.decode(reference, chunks).map_err(|e| {
            TsdbError::corrupt(&self.index.path, format!("series {reference}: {}", e.0))
        })
    }

    fn decode(
        &mut self,
        reference: u32,
        chunks: &mut Vec<ChunkMeta>,
    ) -> Result<Labels, DecodeError> {
        let index = self.index;
        let at = match index.version {
            VERSION_1 => reference as usize,
            _ => reference as usize * 16,
        };
        let mut dec = Dec::new(index.map.get(at..).ok_or(DecodeError("out of range"))?);
        let len = dec.count(1)?;
        let entry = dec.bytes(len)?;
        if dec.be32()? != crc32c(entry) {
            return Err(DecodeError("checksum mismatch"));
        }
        let mut dec = Dec::new(entry);
        let count = dec.count(2)? * 2;
        self.texts.truncate(count);
        for i in 0..count {
            let symbol = dec.uvarint()?;
            match self.texts.get_mut(i) {
                Some((known, _)) if *known == symbol => {}
                Some(text) => *text = (symbol, index.symbol(symbol)?),
                None => self.texts.push((symbol, index.symbol(symbol)?)),
            }
        }
        let pairs = self.texts.chunks_exact(2);
        let labels = Labels::from_sorted_in(
            &mut self.packed,
            pairs.map(|p| (p[0].1.as_ref(), p[1].1.as_ref())),
        );
        decode_chunks(&mut dec, chunks)?;
        Ok(labels)
    }
}

/// Looking series up in a list is cheaper than reading the list when they are so many times fewer.
const FEWER: u64 = 16;

/// Whether a list of series, as it lies in the file, has one.
fn has_posting(packed: &[u8], wanted: u32) -> bool {
    let (list, _) = packed.as_chunks::<4>();
    list.binary_search_by_key(&wanted, |r| u32::from_be_bytes(*r))
        .is_ok()
}

impl Postings for IndexReader {
    fn all(&self) -> Result<RoaringBitmap, TsdbError> {
        self.postings_at(self.all).map_err(self.corrupt())
    }

    fn value(&self, name: &str, value: &str) -> Result<RoaringBitmap, TsdbError> {
        match self.find_value(name, value).map_err(self.corrupt())? {
            Some(at) => self.postings_at(at).map_err(self.corrupt()),
            None => Ok(RoaringBitmap::new()),
        }
    }

    fn count(&self, name: &str, value: &str) -> Result<u64, TsdbError> {
        let find = || match self.find_value(name, value)? {
            // Behind the length of the section; its checksum is checked by who reads it.
            Some(at) => Ok(u64::from(dec_at(&self.map, at.saturating_add(4))?.be32()?)),
            None => Ok(0),
        };
        find().map_err(self.corrupt())
    }

    fn retain(&self, found: &mut RoaringBitmap, name: &str, value: &str) -> Result<(), TsdbError> {
        let mut keep = || match self.find_value(name, value)? {
            Some(at) => {
                let packed = self.packed_postings(at)?;
                if found.len().saturating_mul(FEWER) < packed.len() as u64 / 4 {
                    let kept = found.iter().filter(|r| has_posting(packed, *r));
                    *found = kept.collect();
                } else {
                    *found &= self.postings_at(at)?;
                }
                Ok(())
            }
            None => {
                found.clear();
                Ok(())
            }
        };
        keep().map_err(self.corrupt())
    }

    fn values(
        &self,
        name: &str,
        accept: &mut dyn FnMut(&str) -> bool,
    ) -> Result<RoaringBitmap, TsdbError> {
        let mut out = RoaringBitmap::new();
        self.each_value(name, |value, at| {
            if accept(value) {
                out |= self.postings_at(at)?;
            }
            Ok(())
        })
        .map_err(self.corrupt())?;
        Ok(out)
    }
}
