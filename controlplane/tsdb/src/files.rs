//! The seam to the file system: everything that the engine writes, renames, removes, syncs, lists and reads
//! goes through [`Files`], so that tests can fill the disk, break it, and cut its power.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use crate::error::TsdbError;
use crate::lock::DirLock;

/// A file system.
///
/// Contract, that of POSIX:
/// - **Processes.** What a call did is there for every later call, also of another process, whatever kills
///   the caller.
/// - **The machine.** Content survives a crash of the machine once [`OpenFile::sync`] returned after it was
///   written; unsynced content may be there, partly there, or read as zeros. An entry of a directory (its
///   creation, renaming, linking, removal) survives once [`Files::sync_dir`] of that directory returned; until
///   then each change may or may not be there, but a renaming never halfway. Content and entry are separate:
///   a new file needs both.
/// - **Errors.** A call that failed may have done all, a part or nothing of its work. After a failed sync the
///   unsynced content counts as lost, even when a later sync succeeds.
///
/// All errors are the system's.
#[allow(
    clippy::missing_errors_doc,
    reason = "said once for all in the contract above"
)]
pub trait Files: fmt::Debug + Send + Sync {
    /// Creates a file that must not exist yet, for appending.
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>>;

    /// Opens a file for reading from its beginning.
    fn open(&self, path: &Path) -> io::Result<Box<dyn io::Read + Send>>;

    /// The whole content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The content of a finished file, which nobody changes any more; it stays readable when the file is
    /// removed.
    fn map(&self, path: &Path) -> io::Result<FileBytes>;

    /// Forces the content of a file to the disk, whoever wrote it.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Cuts a file to a length and syncs it.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    /// The entries of a directory, in any order.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Whether there is a file or directory.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Creates a directory and the missing ones above it. It may exist.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Renames a file or directory; a file of the new name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name, which must not exist.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Forces the entries of a directory to the disk.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The size in bytes of the whole file system that a directory is on.
    fn capacity(&self, dir: &Path) -> io::Result<u64> {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// An empty file without a name in a directory, for what no start needs; `None` where there is no need for one.
    fn scratch(&self, dir: &Path) -> io::Result<Option<File>> {
        let _ = dir;
        Ok(None)
    }

    /// Locks a data directory against other processes until the returned value is dropped.
    fn lock(&self, dir: &Path) -> Result<Box<dyn HeldLock>, TsdbError>;
}

/// An open file. Every write goes to its end.
#[allow(
    clippy::missing_errors_doc,
    reason = "said once for all in the contract of `Files`"
)]
pub trait OpenFile: Send {
    /// Writes all bytes at the end. After an error any prefix of them may be in the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to a length; the next write continues there.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Forces the content to the disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// A held lock; dropping it releases the directory.
pub trait HeldLock: Send {}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Name without the directory.
    pub name: OsString,
    /// It is a directory.
    pub is_dir: bool,
    /// Bytes of a file; of no meaning for a directory.
    pub len: u64,
}

/// The content of a finished file: mapped, or in memory.
#[derive(Clone, Debug)]
pub struct FileBytes(Content);

#[derive(Clone, Debug)]
enum Content {
    Mapped(Arc<Mmap>),
    Memory(Arc<[u8]>),
}

impl FileBytes {
    /// Content that is mapped.
    pub(crate) fn mapped(map: Mmap) -> Self {
        Self(Content::Mapped(Arc::new(map)))
    }
}

impl From<Vec<u8>> for FileBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Content::Memory(bytes.into()))
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Content::Mapped(map) => map,
            Content::Memory(bytes) => bytes,
        }
    }
}

/// Collects small writes to a file.
pub(crate) struct Buffered {
    file: Box<dyn OpenFile>,
    waiting: Vec<u8>,
}

impl Buffered {
    /// Bytes per write.
    const SIZE: usize = 1 << 20;

    /// Creates a file that must not exist yet.
    pub(crate) fn create(files: &dyn Files, path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: files.create(path)?,
            waiting: Vec::new(),
        })
    }

    /// Appends.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= Self::SIZE {
            self.flush()?;
        }
        Ok(())
    }

    /// Hands everything to the system.
    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }

    /// Hands everything to the system and forces it to the disk.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync()
    }
}

/// Creates a directory so that it survives a crash of the machine. What is there already may be left of an attempt
/// that failed before its entry was on the disk, so directories above are synced in any case.
pub(crate) fn create_dir(files: &dyn Files, dir: &Path) -> io::Result<()> {
    let mut above: Vec<(PathBuf, bool)> = Vec::new();
    for d in dir.ancestors().filter(|d| !d.as_os_str().is_empty()) {
        if let Some(parent) = d.parent() {
            let parent = match parent.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => parent.to_path_buf(),
            };
            above.push((parent, files.exists(d)?));
        }
    }
    files.create_dir_all(dir)?;
    for (parent, was_there) in above.iter().rev() {
        match files.sync_dir(parent) {
            // Not all that lies above belongs to us.
            Err(e) if *was_there && cannot_be_synced(&e) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Whether a directory is of a kind or an owner that leaves nothing to sync.
fn cannot_be_synced(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(
        e.kind(),
        InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported
    )
}

/// Writes a file of a directory under a temporary name, syncs it, and puts it in place: a crash leaves the
/// old or the new content.
pub(crate) fn write_atomic(
    files: &dyn Files,
    dir: &Path,
    name: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let tmp = dir.join(format!("{name}.tmp"));
    let mut out = Buffered::create(files, &fresh(files, tmp.clone())?)?;
    out.put(bytes)?;
    out.finish()?;
    files.rename(&tmp, &dir.join(name))?;
    files.sync_dir(dir)
}

/// A path where nothing is: what an interrupted attempt left there is removed.
pub(crate) fn fresh(files: &dyn Files, path: PathBuf) -> io::Result<PathBuf> {
    match files.remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(path),
    }
}

/// Bytes of all files in a directory and its sub-directories.
pub(crate) fn size(files: &dyn Files, dir: &Path) -> u64 {
    let entries = files.list(dir).unwrap_or_default();
    entries
        .iter()
        .map(|e| match e.is_dir {
            true => size(files, &dir.join(&e.name)),
            false => e.len,
        })
        .sum()
}

/// Files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFiles;

impl Files for RealFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn io::Read + Send>> {
        Ok(Box::new(File::open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn map(&self, path: &Path) -> io::Result<FileBytes> {
        crate::block::mmap::map(path).map(FileBytes::mapped)
    }

    fn scratch(&self, dir: &Path) -> io::Result<Option<File>> {
        tempfile::tempfile_in(dir).map(Some)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        OpenOptions::new().write(true).open(path)?.sync_all()
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut out = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // Followed, so that a linked directory counts as one.
            match fs::metadata(entry.path()) {
                Ok(m) => out.push(DirEntry {
                    name: entry.file_name(),
                    is_dir: m.is_dir(),
                    len: m.len(),
                }),
                // Removed since the directory was read, or a link to nowhere.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(out)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn capacity(&self, dir: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(dir)?;
        Ok(stat.f_blocks.saturating_mul(stat.f_frsize))
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn HeldLock>, TsdbError> {
        Ok(Box::new(DirLock::acquire(dir)?))
    }
}

struct RealFile(File);

impl OpenFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
