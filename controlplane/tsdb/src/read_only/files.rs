//! The file system without the part that writes.

use std::io;
use std::path::Path;

use crate::error::TsdbError;
use crate::files::{DirEntry, FileBytes, Files, HeldLock, OpenFile, RealFiles};

/// Files of the operating system that are only read. Whatever would change one is refused, so that no mistake
/// elsewhere can change a directory of somebody else's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOnlyFiles;

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Files for ReadOnlyFiles {
    fn create(&self, _: &Path) -> io::Result<Box<dyn OpenFile>> {
        refused()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn io::Read + Send>> {
        RealFiles.open(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealFiles.read(path)
    }

    fn map(&self, path: &Path) -> io::Result<FileBytes> {
        RealFiles.map(path)
    }

    fn truncate(&self, _: &Path, _: u64) -> io::Result<()> {
        refused()
    }

    fn sync(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        RealFiles.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealFiles.exists(path)
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

    fn lock(&self, dir: &Path) -> Result<Box<dyn HeldLock>, TsdbError> {
        refused().map_err(TsdbError::io("cannot lock", dir))
    }
}
