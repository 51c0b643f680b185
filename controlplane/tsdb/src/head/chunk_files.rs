//! Closed head chunks in files: `chunks_head/000001` and on, in Prometheus' format.
//!
//! Maintenance moves closed chunks from memory to a new file, which is mapped; pages are in memory only while
//! queries read them. A start reads them before the log and skips the log's samples that they have. So a series
//! must never have a later chunk without the earlier ones: a file is synced before the next one begins, and a
//! damaged file is dropped with all later ones; then its samples come from the log.
//!
//! Header: magic, version, three zero bytes. Per chunk: series reference, first and last time (u64 each),
//! encoding (top bit: out of order), uvarint length, data, CRC-32C over all of that. An entry of zeros ends a
//! file (other writers preallocate).

use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Head;
use super::series::MemSeries;
use crate::block::chunks::EncodedChunk;
use crate::encoding::{Dec, DecodeError, crc32c, put_uvarint};
use crate::error::TsdbError;
use crate::files::{Buffered, FileBytes, Files};
use crate::wal::segments;

const MAGIC: u32 = 0x0130_BC91;
const VERSION: u8 = 1;
const HEADER: usize = 8;
const OUT_OF_ORDER: u8 = 0x80;
/// A mapped file of head chunks.
#[derive(Debug)]
pub(crate) struct ChunkFile {
    map: FileBytes,
    path: PathBuf,
    /// Newest time in it.
    maxt: i64,
}

/// Where a chunk's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum ChunkData {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a mapped file, which the range was checked against.
    File {
        file: Arc<ChunkFile>,
        offset: u32,
        len: u32,
    },
}

impl Deref for ChunkData {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File { file, offset, len } => {
                let start = *offset as usize;
                file.map
                    .get(start..start + *len as usize)
                    .unwrap_or_default()
            }
        }
    }
}

/// The open files of a head.
#[derive(Debug, Default)]
pub(crate) struct ChunkFiles {
    /// `None` where nothing may be written.
    dir: Option<PathBuf>,
    files: Vec<Arc<ChunkFile>>,
    next: u64,
}

/// An entry of a file.
pub(crate) struct Entry {
    series: u64,
    mint: i64,
    maxt: i64,
    encoding: u8,
    offset: u32,
    len: u32,
}

/// The chunks of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, DecodeError> {
    let mut dec = Dec::new(bytes);
    if dec.be32()? != MAGIC || dec.u8()? != VERSION {
        return Err(DecodeError("not a head chunk file of version 1"));
    }
    dec.bytes(3)?;
    let mut out = Vec::new();
    while dec.remaining() >= 24 {
        let start = bytes.len() - dec.remaining();
        let (series, mint, maxt) = (dec.be64()?, dec.be64()? as i64, dec.be64()? as i64);
        if series == 0 && mint == 0 && maxt == 0 {
            break;
        }
        let encoding = dec.u8()?;
        let len = dec.count(1)?;
        let offset = bytes.len() - dec.remaining();
        dec.bytes(len)?;
        let end = bytes.len() - dec.remaining();
        if dec.be32()? != crc32c(&bytes[start..end]) {
            return Err(DecodeError("checksum mismatch"));
        }
        out.push(Entry {
            series,
            mint,
            maxt,
            encoding,
            offset: offset as u32,
            len: len as u32,
        });
    }
    Ok(out)
}

/// Chunks of a directory by series reference, each series' by rising time.
pub(crate) type ChunksBySeries = HashMap<u64, Vec<EncodedChunk>, RandomState>;

impl ChunkFiles {
    /// Reads a directory. Damaged files and those after them are removed, with a count of the damage. Where
    /// `writable` is false, nothing will be written or removed.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn load(
        files: &dyn Files,
        dir: &Path,
        writable: bool,
    ) -> Result<(Self, ChunksBySeries, u64), TsdbError> {
        let mut this = Self::default();
        let mut chunks = ChunksBySeries::default();
        let mut damaged = 0;
        if writable {
            files
                .create_dir_all(dir)
                .map_err(TsdbError::io("cannot create", dir))?;
            this.dir = Some(dir.to_path_buf());
        }
        let numbers = match segments::list(files, dir) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(TsdbError::io("cannot list", dir)(e)),
        };
        this.next = numbers.last().map_or(1, |n| n + 1);
        for n in numbers {
            let path = dir.join(format!("{n:06}"));
            // Read rather than mapped: a check must not keep the whole file in memory.
            let bytes = files
                .read(&path)
                .map_err(TsdbError::io("cannot read", &path))?;
            let entries = if damaged > 0 {
                Err(DecodeError("a file before it is damaged"))
            } else if bytes.len() <= HEADER {
                // Preallocated or just begun when its writer was killed.
                Ok(Vec::new())
            } else {
                parse(&bytes)
            };
            match entries {
                Ok(entries) => {
                    if writable {
                        // A killed process may have written it without a sync.
                        files
                            .sync(&path)
                            .map_err(TsdbError::io("cannot sync", &path))?;
                    }
                    this.take(files, path, &entries, &mut chunks)?;
                }
                Err(e) => {
                    if damaged == 0 {
                        tracing::warn!(file = %path.display(), reason = %e, "dropped damaged head chunks, the log has their samples");
                    }
                    damaged += 1;
                    if writable {
                        files
                            .remove_file(&path)
                            .map_err(TsdbError::io("cannot remove", &path))?;
                    }
                }
            }
        }
        if writable {
            files
                .sync_dir(dir)
                .map_err(TsdbError::io("cannot sync", dir))?;
        }
        for list in chunks.values_mut() {
            list.sort_by_key(|c| c.mint);
        }
        Ok((this, chunks, damaged))
    }

    fn take(
        &mut self,
        files: &dyn Files,
        path: PathBuf,
        entries: &[Entry],
        chunks: &mut ChunksBySeries,
    ) -> Result<(), TsdbError> {
        let file = Arc::new(ChunkFile {
            map: files
                .map(&path)
                .map_err(TsdbError::io("cannot map", &path))?,
            maxt: entries.iter().map(|e| e.maxt).max().unwrap_or(i64::MIN),
            path,
        });
        for e in entries.iter().filter(|e| e.encoding & OUT_OF_ORDER == 0) {
            chunks.entry(e.series).or_default().push(EncodedChunk {
                mint: e.mint,
                maxt: e.maxt,
                encoding: e.encoding,
                data: ChunkData::File {
                    file: Arc::clone(&file),
                    offset: e.offset,
                    len: e.len,
                },
            });
        }
        self.files.push(file);
        Ok(())
    }

    /// Removes files whose samples are all before a time. Open queries keep their maps.
    fn truncate(&mut self, files: &dyn Files, mint: i64) {
        if self.dir.is_none() {
            return;
        }
        self.files.retain(|f| {
            if f.maxt >= mint {
                return true;
            }
            if let Err(e) = files.remove_file(&f.path) {
                tracing::warn!(file = %f.path.display(), error = %e, "cannot remove old head chunks");
            }
            false
        });
    }
}

impl Head {
    /// Removes chunk files that truncation made useless.
    pub(crate) fn truncate_chunk_files(&self, mint: i64) {
        self.chunk_files.lock().truncate(&*self.options.files, mint);
    }

    /// Moves closed chunks from memory to a file, when there are enough. Only maintenance calls this.
    ///
    /// # Errors
    /// The system's error; then the chunks stay in memory.
    pub(crate) fn spill_chunks(&self) -> io::Result<()> {
        let mut files = self.chunk_files.lock();
        let Some(dir) = files.dir.clone() else {
            return Ok(());
        };
        let mut waiting: Vec<Arc<MemSeries>> = Vec::new();
        let mut bytes = 0;
        for series in self.all_series() {
            let size = series.state.read().closed_in_memory();
            if size > 0 {
                bytes += size;
                waiting.push(series);
            }
        }
        if bytes < self.options.spill_bytes {
            return Ok(());
        }
        // A number is used once: an attempt that failed may have left its file.
        let path = dir.join(format!("{:06}", files.next));
        files.next += 1;
        let system = &*self.options.files;
        let written = write(system, &path, &waiting).and_then(|w| {
            system.sync_dir(&dir)?;
            Ok((w, system.map(&path)?))
        });
        let ((places, maxt), map) = match written {
            Ok(w) => w,
            Err(e) => {
                let _ = system.remove_file(&path);
                return Err(e);
            }
        };
        let file = Arc::new(ChunkFile { map, path, maxt });
        for (series, index, offset, len) in places {
            // Only maintenance removes closed chunks, so the index still names the same one.
            let data = ChunkData::File {
                file: Arc::clone(&file),
                offset,
                len,
            };
            waiting[series].state.write().replace_closed(index, data);
        }
        files.files.push(file);
        Ok(())
    }
}

/// A written chunk: index of its series, index among the closed chunks, offset and length of its data.
type Place = (usize, usize, u32, u32);

/// Writes all closed chunks in memory; returns where each is and the newest time.
fn write(
    files: &dyn Files,
    path: &Path,
    series: &[Arc<MemSeries>],
) -> io::Result<(Vec<Place>, i64)> {
    let mut out = Buffered::create(files, path)?;
    let mut header = MAGIC.to_be_bytes().to_vec();
    header.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.put(&header)?;
    let mut pos = header.len();
    let mut places = Vec::new();
    let mut maxt = i64::MIN;
    let mut entry = Vec::new();
    for (i, s) in series.iter().enumerate() {
        let chunks = s.state.read().closed_chunks_in_memory();
        for (index, c) in chunks {
            entry.clear();
            entry.extend_from_slice(&u64::from(s.id).to_be_bytes());
            entry.extend_from_slice(&c.mint.to_be_bytes());
            entry.extend_from_slice(&c.maxt.to_be_bytes());
            entry.push(c.encoding);
            put_uvarint(&mut entry, c.data.len() as u64);
            let start = pos + entry.len();
            entry.extend_from_slice(&c.data);
            entry.extend_from_slice(&crc32c(&entry).to_be_bytes());
            if pos + entry.len() > u32::MAX as usize {
                // The rest waits for the next file.
                out.finish()?;
                return Ok((places, maxt));
            }
            out.put(&entry)?;
            pos += entry.len();
            maxt = maxt.max(c.maxt);
            places.push((i, index, start as u32, c.data.len() as u32));
        }
    }
    out.finish()?;
    Ok((places, maxt))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_parse_or_fail(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), valid in any::<bool>()) {
            if valid && bytes.len() > 8 {
                bytes[..8].copy_from_slice(&[1, 0x30, 0xBC, 0x91, 1, 0, 0, 0]);
            }
            let _ = parse(&bytes);
        }
    }
}
