//! Closed head chunks in files: `chunks_head/000001` and on, in Prometheus' format.
//!
//! Maintenance moves closed chunks from memory to a new file, which is mapped; pages are in memory only while
//! queries read them. A start reads them before the log and skips the log's samples that they have. So a series
//! must never have a later chunk without the earlier ones: a file is synced before the next one begins, and a
//! damaged file is dropped with all later ones; then its samples come from the log. We write chunks of samples in
//! order only; other programs' out-of-order chunks are read, and their files stay until those samples are in blocks.
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
pub(crate) const HEADER: usize = 8;
const OUT_OF_ORDER: u8 = 0x80;
/// About 10 MB.
const MANY_CHUNKS: u64 = 32_768;
/// A mapped file of head chunks.
#[derive(Debug)]
pub(crate) struct ChunkFile {
    map: FileBytes,
    path: PathBuf,
    /// Oldest and newest time in it.
    mint: i64,
    maxt: i64,
    /// It has out-of-order chunks: what the out-of-order log says of them holds while the file is there.
    has_out_of_order: bool,
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
    /// `None` before it is loaded.
    dir: Option<PathBuf>,
    files: Vec<Arc<ChunkFile>>,
    next: u64,
    /// Chunks that had been created when closed ones were last moved to a file.
    created_before: u64,
    /// Useless files, with their oldest times, that a start may still find: their removal failed or is not synced.
    doomed: Vec<(PathBuf, i64)>,
}

/// An entry of a file.
pub(crate) struct Entry {
    /// Where it begins in the file: the low half of its reference.
    start: u32,
    pub(crate) series: u64,
    pub(crate) mint: i64,
    pub(crate) maxt: i64,
    pub(crate) encoding: u8,
    pub(crate) offset: u32,
    pub(crate) len: u32,
}

impl Entry {
    /// The encoding without the mark of out-of-order chunks.
    pub(crate) fn chunk_encoding(&self) -> u8 {
        self.encoding & !OUT_OF_ORDER
    }
}

/// The chunks of a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, DecodeError> {
    let mut out = Vec::new();
    walk(bytes, &mut 0, |entry| out.push(entry))?;
    Ok(out)
}

/// Calls `each` for the entries of a file. `at` is left where reading stopped: behind the last good entry.
pub(crate) fn walk(
    bytes: &[u8],
    at: &mut usize,
    mut each: impl FnMut(Entry),
) -> Result<(), DecodeError> {
    let mut dec = Dec::new(bytes);
    if dec.be32()? != MAGIC || dec.u8()? != VERSION {
        return Err(DecodeError("not a head chunk file of version 1"));
    }
    dec.bytes(3)?;
    while dec.remaining() >= 24 {
        let start = bytes.len() - dec.remaining();
        *at = start;
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
        each(Entry {
            start: start as u32,
            series,
            mint,
            maxt,
            encoding,
            offset: offset as u32,
            len: len as u32,
        });
        *at = bytes.len() - dec.remaining();
    }
    Ok(())
}

/// Chunks of a directory by series reference, each series' by rising time.
pub(crate) type ChunksBySeries = HashMap<u64, Vec<EncodedChunk>, RandomState>;

/// What was read from a directory.
#[derive(Debug, Default)]
pub(crate) struct LoadedChunks {
    pub(crate) in_order: ChunksBySeries,
    pub(crate) out_of_order: ChunksBySeries,
    /// The last reference: number of the file in the high, offset of the entry in the low 32 bits.
    pub(crate) last: u64,
    /// Files that were dropped because they or one before them are damaged.
    pub(crate) damaged: u64,
}

impl ChunkFiles {
    /// Reads a directory. Damaged files and those after them are removed.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn load(files: &dyn Files, dir: &Path) -> Result<(Self, LoadedChunks), TsdbError> {
        files
            .create_dir_all(dir)
            .map_err(TsdbError::io("cannot create", dir))?;
        Self::load_existing(files, dir, false)
    }

    /// Reads somebody else's directory, which may be missing; damaged files and those after them are left alone.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn load_read_only(
        files: &dyn Files,
        dir: &Path,
    ) -> Result<(Self, LoadedChunks), TsdbError> {
        match files.exists(dir) {
            Ok(false) => Ok(Default::default()),
            _ => Self::load_existing(files, dir, true),
        }
    }

    fn load_existing(
        files: &dyn Files,
        dir: &Path,
        read_only: bool,
    ) -> Result<(Self, LoadedChunks), TsdbError> {
        let mut this = Self {
            dir: Some(dir.to_path_buf()),
            ..Self::default()
        };
        let mut loaded = LoadedChunks::default();
        let numbers = segments::list(files, dir).map_err(TsdbError::io("cannot list", dir))?;
        this.next = numbers.last().map_or(1, |n| n + 1);
        for n in numbers {
            let path = dir.join(format!("{n:06}"));
            // Read rather than mapped: a check must not keep the whole file in memory.
            let bytes = files
                .read(&path)
                .map_err(TsdbError::io("cannot read", &path))?;
            let entries = if loaded.damaged > 0 {
                Err(DecodeError("a file before it is damaged"))
            } else if bytes.len() <= HEADER {
                // Preallocated or just begun when its writer was killed.
                Ok(Vec::new())
            } else {
                parse(&bytes)
            };
            match entries {
                Ok(entries) => {
                    if !read_only {
                        // A killed process may have written it without a sync.
                        files
                            .sync(&path)
                            .map_err(TsdbError::io("cannot sync", &path))?;
                    }
                    this.take(files, path, n, &entries, &mut loaded)?;
                }
                Err(e) => {
                    if loaded.damaged == 0 {
                        tracing::warn!(file = %path.display(), reason = %e, "dropped damaged head chunks, the log has their samples");
                    }
                    loaded.damaged += 1;
                    if !read_only {
                        files
                            .remove_file(&path)
                            .map_err(TsdbError::io("cannot remove", &path))?;
                    }
                }
            }
        }
        if !read_only {
            files
                .sync_dir(dir)
                .map_err(TsdbError::io("cannot sync", dir))?;
        }
        for list in loaded.in_order.values_mut() {
            list.sort_by_key(|c| c.mint);
        }
        Ok((this, loaded))
    }

    fn take(
        &mut self,
        files: &dyn Files,
        path: PathBuf,
        number: u64,
        entries: &[Entry],
        loaded: &mut LoadedChunks,
    ) -> Result<(), TsdbError> {
        let is_late = |e: &Entry| e.encoding & OUT_OF_ORDER != 0;
        let file = Arc::new(ChunkFile {
            map: files
                .map(&path)
                .map_err(TsdbError::io("cannot map", &path))?,
            mint: entries.iter().map(|e| e.mint).min().unwrap_or(i64::MAX),
            maxt: entries.iter().map(|e| e.maxt).max().unwrap_or(i64::MIN),
            has_out_of_order: entries.iter().any(is_late),
            path,
        });
        for e in entries {
            let chunks = if is_late(e) {
                &mut loaded.out_of_order
            } else {
                &mut loaded.in_order
            };
            chunks.entry(e.series).or_default().push(EncodedChunk {
                mint: e.mint,
                maxt: e.maxt,
                encoding: e.encoding & !OUT_OF_ORDER,
                data: ChunkData::File {
                    file: Arc::clone(&file),
                    offset: e.offset,
                    len: e.len,
                },
            });
            loaded.last = number << 32 | u64::from(e.start);
        }
        self.files.push(file);
        Ok(())
    }

    /// Removes files whose samples are all before a time, and of those with out-of-order chunks only when the
    /// head has none any more. Open queries keep their maps.
    fn truncate(&mut self, files: &dyn Files, mint: i64, keep_out_of_order: bool) {
        let gone = self
            .files
            .extract_if(.., |f| {
                f.maxt < mint && !(f.has_out_of_order && keep_out_of_order)
            })
            .map(|f| (f.path.clone(), f.mint));
        self.doomed.extend(gone);
        if let Err(e) = self.remove_doomed(files) {
            tracing::warn!(error = %e, "cannot remove old head chunks yet");
        }
    }

    fn remove_doomed(&mut self, files: &dyn Files) -> io::Result<()> {
        let Some(dir) = self.dir.as_ref().filter(|_| !self.doomed.is_empty()) else {
            return Ok(());
        };
        for (path, _) in &self.doomed {
            match files.remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        files.sync_dir(dir)?;
        self.doomed.clear();
        Ok(())
    }

    /// The oldest sample that a start may find in files, `i64::MAX` without any.
    pub(crate) fn min_time(&self) -> i64 {
        let files = self.files.iter().map(|f| f.mint);
        let doomed = self.doomed.iter().map(|d| d.1);
        files.chain(doomed).min().unwrap_or(i64::MAX)
    }
}

impl Head {
    /// Whether so many chunks may have been closed that their memory should not wait for the next maintenance: where
    /// all series began at once, they are also full at once.
    pub(crate) fn has_many_closed(&self) -> bool {
        let created = self.counters.chunks_created.get();
        // Whoever has the lock is at it.
        let files = self.chunk_files.try_lock();
        files.is_some_and(|f| created.saturating_sub(f.created_before) >= MANY_CHUNKS)
    }

    /// Removes chunk files that truncation made useless.
    pub(crate) fn truncate_chunk_files(&self, mint: i64) {
        let keep = self.has_out_of_order(i64::MIN, i64::MAX);
        let files = &*self.options.files;
        self.chunk_files.lock().truncate(files, mint, keep);
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
        files.created_before = self.counters.chunks_created.get();
        let mut waiting: Vec<MemSeries> = Vec::new();
        let mut bytes = 0;
        for series in self.all_series() {
            let size = series.state().read().closed_in_memory();
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
        let ((places, (mint, maxt)), map) = match written {
            Ok(w) => w,
            Err(e) => {
                let oldest = waiting.iter().map(|s| s.state().read().mint()).min();
                files.doomed.push((path, oldest.unwrap_or(i64::MAX)));
                let _ = files.remove_doomed(system);
                return Err(e);
            }
        };
        let file = Arc::new(ChunkFile {
            map,
            path,
            mint,
            maxt,
            has_out_of_order: false,
        });
        for (series, index, offset, len) in places {
            // Only maintenance removes closed chunks, so the index still names the same one.
            let data = ChunkData::File {
                file: Arc::clone(&file),
                offset,
                len,
            };
            waiting[series].state().write().replace_closed(index, data);
        }
        files.files.push(file);
        Ok(())
    }
}

/// A written chunk: index of its series, index among the closed chunks, offset and length of its data.
type Place = (usize, usize, u32, u32);

/// Writes all closed chunks in memory; returns where each is, and the oldest and the newest time.
fn write(
    files: &dyn Files,
    path: &Path,
    series: &[MemSeries],
) -> io::Result<(Vec<Place>, (i64, i64))> {
    let mut out = Buffered::create(files, path)?;
    let mut header = MAGIC.to_be_bytes().to_vec();
    header.extend_from_slice(&[VERSION, 0, 0, 0]);
    out.put(&header)?;
    let mut pos = header.len();
    let mut places = Vec::new();
    let mut times = (i64::MAX, i64::MIN);
    let mut entry = Vec::new();
    for (i, s) in series.iter().enumerate() {
        let chunks = s.state().read().closed_chunks_in_memory();
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
                return Ok((places, times));
            }
            out.put(&entry)?;
            pos += entry.len();
            times = (times.0.min(c.mint), times.1.max(c.maxt));
            places.push((i, index, start as u32, c.data.len() as u32));
        }
    }
    out.finish()?;
    Ok((places, times))
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
