//! Chunk segment files of a block: `chunks/000001` and on.
//!
//! Header: magic, version, three zero bytes. Per chunk: uvarint length of the data, encoding byte, data,
//! CRC-32C over encoding and data. A reference is the file's index (from 0) in the high and the chunk's offset
//! in the low 32 bits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chunk::together::Piece;
use crate::encoding::{Dec, DecodeError, crc32c, put_uvarint};
use crate::error::TsdbError;
use crate::files::{Buffered, FileBytes, Files};
use crate::head::chunk_files::ChunkData;
use crate::wal::segments;

const MAGIC: u32 = 0x85BD_40DD;
const VERSION: u8 = 1;
/// Bytes before the first chunk.
pub(crate) const HEADER: usize = 8;
/// A new file begins before this size would be passed.
const MAX_FILE: u64 = 512 << 20;

/// A chunk with its time range, in memory.
#[derive(Clone, Debug)]
pub(crate) struct EncodedChunk {
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
    pub(crate) encoding: u8,
    pub(crate) data: ChunkData,
}

impl EncodedChunk {
    /// The chunk for who decodes it.
    pub(crate) fn piece(&self) -> Piece<'_> {
        Piece {
            mint: self.mint,
            maxt: self.maxt,
            encoding: self.encoding,
            data: &self.data,
        }
    }
}

/// Writes chunk files.
pub(crate) struct ChunkWriter {
    files: Arc<dyn Files>,
    dir: PathBuf,
    file: Option<Buffered>,
    number: u64,
    pos: u64,
    scratch: Vec<u8>,
}

impl ChunkWriter {
    /// Creates the directory.
    pub(crate) fn create(files: &Arc<dyn Files>, dir: &Path) -> Result<Self, TsdbError> {
        files
            .create_dir_all(dir)
            .map_err(TsdbError::io("cannot create", dir))?;
        Ok(Self {
            files: Arc::clone(files),
            dir: dir.to_path_buf(),
            file: None,
            number: 0,
            pos: 0,
            scratch: Vec::new(),
        })
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("{:06}", self.number))
    }

    fn finish_file(&mut self) -> Result<(), TsdbError> {
        if let Some(file) = self.file.take() {
            let path = self.path();
            file.finish()
                .map_err(TsdbError::io("cannot write", &path))?;
        }
        Ok(())
    }

    /// Writes a chunk and returns its reference.
    pub(crate) fn write(&mut self, encoding: u8, data: &[u8]) -> Result<u64, TsdbError> {
        let size = data.len() as u64 + 15;
        if self.file.is_none() || self.pos + size > MAX_FILE {
            self.finish_file()?;
            self.number += 1;
            let path = self.path();
            let mut file = Buffered::create(&*self.files, &path)
                .map_err(TsdbError::io("cannot create", &path))?;
            let mut header = MAGIC.to_be_bytes().to_vec();
            header.extend_from_slice(&[VERSION, 0, 0, 0]);
            file.put(&header)
                .map_err(TsdbError::io("cannot write", &path))?;
            self.pos = header.len() as u64;
            self.file = Some(file);
        }
        self.scratch.clear();
        put_uvarint(&mut self.scratch, data.len() as u64);
        let start = self.scratch.len();
        self.scratch.push(encoding);
        self.scratch.extend_from_slice(data);
        let crc = crc32c(&self.scratch[start..]);
        self.scratch.extend_from_slice(&crc.to_be_bytes());
        let reference = (self.number - 1) << 32 | self.pos;
        if let Some(file) = &mut self.file {
            file.put(&self.scratch)
                .map_err(TsdbError::io("cannot write", &self.dir))?;
        }
        self.pos += self.scratch.len() as u64;
        Ok(reference)
    }

    /// Finishes the last file and syncs the directory.
    pub(crate) fn finish(mut self) -> Result<(), TsdbError> {
        self.finish_file()?;
        self.files
            .sync_dir(&self.dir)
            .map_err(TsdbError::io("cannot sync", &self.dir))
    }
}

/// Checks the beginning of a chunk file.
pub(crate) fn check_header(bytes: &[u8]) -> Result<(), DecodeError> {
    let mut dec = Dec::new(bytes);
    if dec.be32() != Ok(MAGIC) || dec.u8() != Ok(VERSION) {
        return Err(DecodeError("not a chunk file of version 1"));
    }
    Ok(())
}

/// Maps the chunk files of a block.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    dir: PathBuf,
    files: Vec<FileBytes>,
}

impl ChunkReader {
    /// Opens all files of the directory; a missing directory has none.
    pub(crate) fn open(files: &dyn Files, dir: &Path) -> Result<Self, TsdbError> {
        let numbers = match segments::list(files, dir) {
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(TsdbError::io("cannot list", dir)(e)),
        };
        let mut maps = Vec::new();
        for n in numbers {
            let path = dir.join(format!("{n:06}"));
            let map = files
                .map(&path)
                .map_err(TsdbError::io("cannot map", &path))?;
            check_header(&map).map_err(|e| TsdbError::corrupt(&path, e.0))?;
            maps.push(map);
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            files: maps,
        })
    }

    /// Encoding and data of a chunk; the checksum is checked.
    pub(crate) fn get(&self, reference: u64) -> Result<(u8, &[u8]), TsdbError> {
        let (file, offset) = (
            (reference >> 32) as usize,
            (reference & 0xffff_ffff) as usize,
        );
        let corrupt = |reason: &str| {
            let path = self.dir.join(format!("{:06}", file + 1));
            TsdbError::corrupt(&path, format!("chunk at {offset}: {reason}"))
        };
        let bytes = self
            .files
            .get(file)
            .and_then(|f| f.get(offset..))
            .ok_or_else(|| corrupt("no such place"))?;
        let mut dec = Dec::new(bytes);
        let len = dec.count(1).map_err(|e| corrupt(e.0))?;
        let body = dec.bytes(len + 1).map_err(|e| corrupt(e.0))?;
        if dec.be32().map_err(|e| corrupt(e.0))? != crc32c(body) {
            return Err(corrupt("checksum mismatch"));
        }
        Ok((body[0], &body[1..]))
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        self.files.iter().map(|f| f.len() as u64).sum()
    }
}
