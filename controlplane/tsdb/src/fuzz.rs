//! Entry points for fuzzing: every decoder of bytes from the disk. None may panic, whatever it gets, nor take
//! much more memory than its input. Used by the fuzz targets in `fuzz/` and by a bounded run in the tests.
#![allow(
    missing_docs,
    reason = "each takes the bytes of what its name says and decodes all of them"
)]

use std::io::{self, Cursor, Read};
use std::path::Path;

use bellwether_model::storage::SampleBuffer;

use crate::block::chunks::ChunkReader;
use crate::block::index_read::IndexReader;
use crate::block::meta::BlockMeta;
use crate::block::write;
use crate::chunk::together::{self, Piece};
use crate::chunk::{self, ENC_FLOAT_HISTOGRAM, ENC_HISTOGRAM, ENC_XOR};
use crate::error::TsdbError;
use crate::files::{DirEntry, FileBytes, Files, HeldLock, OpenFile};
use crate::head::chunk_files;
use crate::select::Postings as _;
use crate::tombstones::Tombstones;
use crate::wal::reader::{Item, SegmentReader};
use crate::wal::record;

/// A file system that has the same content under every name and cannot be written.
#[derive(Debug)]
struct Bytes<'a>(&'a [u8]);

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Files for Bytes<'_> {
    fn create(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        refused()
    }
    fn open(&self, _: &Path) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Cursor::new(self.0.to_vec())))
    }
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.to_vec())
    }
    fn map(&self, _: &Path) -> io::Result<FileBytes> {
        Ok(self.0.to_vec().into())
    }
    fn sync(&self, _: &Path) -> io::Result<()> {
        refused()
    }
    fn truncate(&self, _: &Path, _: u64) -> io::Result<()> {
        refused()
    }
    fn list(&self, _: &Path) -> io::Result<Vec<DirEntry>> {
        Ok(vec![DirEntry {
            name: "000001".into(),
            is_dir: false,
            len: self.0.len() as u64,
        }])
    }
    fn exists(&self, _: &Path) -> io::Result<bool> {
        Ok(true)
    }
    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        refused()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }
    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }
    fn remove_file(&self, _: &Path) -> io::Result<()> {
        refused()
    }
    fn remove_dir_all(&self, _: &Path) -> io::Result<()> {
        refused()
    }
    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }
    fn lock(&self, _: &Path) -> Result<Box<dyn HeldLock>, TsdbError> {
        Err(TsdbError::Closed)
    }
}

pub fn wal_segment(bytes: &[u8]) {
    let Ok(mut reader) = SegmentReader::open(&Bytes(bytes), Path::new("00000000")) else {
        return;
    };
    while let Ok(Some(item)) = reader.next() {
        if let Item::Record(record) = item {
            let _ = record::decode(&record);
        }
    }
}

pub fn wal_record(bytes: &[u8]) {
    let _ = record::decode(bytes);
}

/// The first byte chooses the encoding.
pub fn chunk(bytes: &[u8]) {
    let Some((first, data)) = bytes.split_first() else {
        return;
    };
    let encoding = [ENC_XOR, ENC_HISTOGRAM, ENC_FLOAT_HISTOGRAM][usize::from(first % 3)];
    let _ = write::decode(encoding, data, |_, _| {});
    let mut out = SampleBuffer::default();
    let _ = chunk::read_into(encoding, data, usize::MAX, i64::MIN, i64::MAX, &mut out);
    // Several at once take another way; a longer one beside them makes their ends differ.
    let longer = [data, &[0xff; 40]].concat();
    let pieces = [data, &longer, data, data, &longer].map(|data| Piece {
        mint: i64::MIN,
        maxt: i64::MAX,
        encoding,
        data,
    });
    let _ = together::read_all(&pieces, i64::MIN, i64::MAX, &mut out);
}

pub fn index(bytes: &[u8]) {
    let Ok(index) = IndexReader::open(&Bytes(bytes), Path::new("index")) else {
        return;
    };
    let _ = index.all_symbols();
    for name in index.label_names() {
        let _ = index.label_values(&name, |_| {});
        let _ = index.value(&name, "0");
        let _ = index.values(&name, &mut |_| true);
    }
    let mut chunks = Vec::new();
    for reference in index.all().unwrap_or_default() {
        let _ = index.series(reference, &mut chunks);
    }
}

pub fn meta(bytes: &[u8]) {
    let _ = BlockMeta::load(&Bytes(bytes), Path::new("block"));
}

pub fn tombstones(bytes: &[u8]) {
    let _ = Tombstones::decode(bytes);
}

pub fn chunk_segment(bytes: &[u8]) {
    let Ok(reader) = ChunkReader::open(&Bytes(bytes), Path::new("chunks")) else {
        return;
    };
    for at in 0..(bytes.len() as u64 + 2).min(4096) {
        let _ = reader.get(at);
    }
    for reference in [u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let _ = reader.get(reference);
    }
}

pub fn head_chunks(bytes: &[u8]) {
    let _ = chunk_files::parse(bytes);
}
