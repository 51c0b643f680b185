//! Writes a block's index, version 2 (`tsdb/docs/format/index.md` of Prometheus).
//!
//! ```text
//! magic, version | symbols | series (16-aligned) | label indices | postings (4-aligned)
//! | label offset table | postings offset table | table of contents
//! ```
//! Label indices and their table have no reader any more, but every Prometheus so far writes them.

use std::path::{Path, PathBuf};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::{MAGIC, VERSION_2};
use crate::encoding::{crc32c, put_str, put_uvarint, put_varint};
use crate::error::TsdbError;
use crate::files::{Buffered, Files};

/// Where a chunk of a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ChunkMeta {
    pub(crate) mint: i64,
    /// Inclusive.
    pub(crate) maxt: i64,
    pub(crate) reference: u64,
}

/// Writes an index front to back. Series come in order of their labels; labels are ordinals of symbols.
pub(crate) struct IndexWriter {
    path: PathBuf,
    file: Buffered,
    pos: u64,
    symbols: Vec<String>,
    series_start: u64,
    /// Series references by (name, value) ordinals.
    postings: HashMap<(u32, u32), Vec<u32>, RandomState>,
    all: Vec<u32>,
    scratch: Vec<u8>,
}

impl IndexWriter {
    /// Begins an index with its sorted, distinct symbols.
    pub(crate) fn create(
        files: &dyn Files,
        path: &Path,
        symbols: Vec<String>,
    ) -> Result<Self, TsdbError> {
        let file = Buffered::create(files, path).map_err(TsdbError::io("cannot create", path))?;
        let mut this = Self {
            path: path.to_path_buf(),
            file,
            pos: 0,
            symbols,
            series_start: 0,
            postings: HashMap::default(),
            all: Vec::new(),
            scratch: Vec::new(),
        };
        let mut header = MAGIC.to_be_bytes().to_vec();
        header.push(VERSION_2);
        this.put(&header)?;
        let mut section = (this.symbols.len() as u32).to_be_bytes().to_vec();
        for symbol in &this.symbols {
            put_str(&mut section, symbol);
        }
        this.section(&section)?;
        this.series_start = this.pos;
        Ok(this)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), TsdbError> {
        self.file
            .put(bytes)
            .map_err(TsdbError::io("cannot write", &self.path))?;
        self.pos += bytes.len() as u64;
        Ok(())
    }

    fn align(&mut self, to: u64) -> Result<(), TsdbError> {
        let pad = (to - self.pos % to) % to;
        self.put(&[0; 16][..pad as usize])
    }

    /// Length, content, checksum. Returns where it began.
    fn section(&mut self, content: &[u8]) -> Result<u64, TsdbError> {
        let start = self.pos;
        let len = u32::try_from(content.len())
            .map_err(|_| TsdbError::corrupt(&self.path, "a section would exceed 4GiB"))?;
        self.put(&len.to_be_bytes())?;
        self.put(content)?;
        self.put(&crc32c(content).to_be_bytes())?;
        Ok(start)
    }

    /// Adds a series: ordinals of name, value, name, value..., and its chunks by rising time.
    pub(crate) fn series(&mut self, labels: &[u32], chunks: &[ChunkMeta]) -> Result<(), TsdbError> {
        self.align(16)?;
        let reference = u32::try_from(self.pos / 16)
            .map_err(|_| TsdbError::corrupt(&self.path, "the index would exceed 64GiB"))?;
        let mut entry = std::mem::take(&mut self.scratch);
        entry.clear();
        put_uvarint(&mut entry, (labels.len() / 2) as u64);
        for symbol in labels {
            put_uvarint(&mut entry, u64::from(*symbol));
        }
        put_uvarint(&mut entry, chunks.len() as u64);
        let mut before: Option<ChunkMeta> = None;
        for c in chunks {
            match before {
                None => {
                    put_varint(&mut entry, c.mint);
                    put_uvarint(&mut entry, c.maxt.wrapping_sub(c.mint) as u64);
                    put_uvarint(&mut entry, c.reference);
                }
                Some(b) => {
                    put_uvarint(&mut entry, c.mint.wrapping_sub(b.maxt) as u64);
                    put_uvarint(&mut entry, c.maxt.wrapping_sub(c.mint) as u64);
                    put_varint(&mut entry, c.reference.wrapping_sub(b.reference) as i64);
                }
            }
            before = Some(*c);
        }
        let mut length = Vec::with_capacity(5);
        put_uvarint(&mut length, entry.len() as u64);
        self.put(&length)?;
        self.put(&entry)?;
        self.put(&crc32c(&entry).to_be_bytes())?;
        self.scratch = entry;
        for pair in labels.chunks_exact(2) {
            self.postings
                .entry((pair[0], pair[1]))
                .or_default()
                .push(reference);
        }
        self.all.push(reference);
        Ok(())
    }

    fn symbol(&self, ordinal: u32) -> &str {
        self.symbols
            .get(ordinal as usize)
            .map_or("", String::as_str)
    }

    /// Writes all that follows the series, and syncs.
    pub(crate) fn finish(mut self) -> Result<(), TsdbError> {
        let mut postings: Vec<_> = std::mem::take(&mut self.postings).into_iter().collect();
        // The order of the ordinals is that of the texts.
        postings.sort_unstable_by_key(|(pair, _)| *pair);
        // Label indices: per name its values.
        let label_indices_start = self.pos;
        let mut names: Vec<(u32, u64)> = Vec::new();
        let mut entries = postings.iter().map(|(pair, _)| *pair).peekable();
        while let Some((name, first)) = entries.next() {
            let mut values = vec![first];
            while let Some((_, v)) = entries.next_if(|k| k.0 == name) {
                values.push(v);
            }
            self.align(4)?;
            let mut section = 1u32.to_be_bytes().to_vec();
            section.extend_from_slice(&(values.len() as u32).to_be_bytes());
            for v in values {
                section.extend_from_slice(&v.to_be_bytes());
            }
            let at = self.section(&section)?;
            names.push((name, at));
        }
        // Postings: first all series under the empty pair, then name by name.
        let postings_start = self.pos;
        let mut table: Vec<(Option<(u32, u32)>, u64)> = Vec::with_capacity(postings.len() + 1);
        let all = std::mem::take(&mut self.all);
        let lists =
            std::iter::once((None, all)).chain(postings.into_iter().map(|(k, v)| (Some(k), v)));
        let mut section = Vec::new();
        for (key, refs) in lists {
            self.align(4)?;
            section.clear();
            section.extend_from_slice(&(refs.len() as u32).to_be_bytes());
            for r in &refs {
                section.extend_from_slice(&r.to_be_bytes());
            }
            let at = self.section(&section)?;
            table.push((key, at));
        }
        // Label offset table.
        let mut section = (names.len() as u32).to_be_bytes().to_vec();
        for (name, at) in names {
            put_uvarint(&mut section, 1);
            put_str(&mut section, self.symbol(name));
            put_uvarint(&mut section, at);
        }
        let label_table = self.section(&section)?;
        // Postings offset table.
        let mut section = (table.len() as u32).to_be_bytes().to_vec();
        for (key, at) in table {
            put_uvarint(&mut section, 2);
            let (name, value) = match key {
                Some((n, v)) => (self.symbol(n), self.symbol(v)),
                None => ("", ""),
            };
            put_str(&mut section, name);
            put_str(&mut section, value);
            put_uvarint(&mut section, at);
        }
        let postings_table = self.section(&section)?;
        let mut toc = Vec::with_capacity(52);
        for offset in [
            5,
            self.series_start,
            label_indices_start,
            label_table,
            postings_start,
            postings_table,
        ] {
            toc.extend_from_slice(&offset.to_be_bytes());
        }
        let crc = crc32c(&toc);
        toc.extend_from_slice(&crc.to_be_bytes());
        self.put(&toc)?;
        self.file
            .finish()
            .map_err(TsdbError::io("cannot write", &self.path))
    }
}
