//! The files of the system, of which some cannot be removed for a while.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bellwether_tsdb::{DirEntry, FileBytes, Files, HeldLock, OpenFile, RealFiles, TsdbError};

/// While the flag is set, files of directories with this name stay.
#[derive(Clone, Debug)]
pub(crate) struct Stubborn {
    pub(crate) dir: &'static str,
    pub(crate) on: Arc<AtomicBool>,
}

impl Files for Stubborn {
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let here = path.parent().is_some_and(|p| p.ends_with(self.dir));
        if here && self.on.load(Ordering::Relaxed) {
            return Err(io::Error::other("does not go"));
        }
        RealFiles.remove_file(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        RealFiles.create(path)
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

    fn sync(&self, path: &Path) -> io::Result<()> {
        RealFiles.sync(path)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        RealFiles.truncate(path, len)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        RealFiles.list(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealFiles.exists(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        RealFiles.create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealFiles.hard_link(from, to)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        RealFiles.remove_dir_all(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealFiles.sync_dir(dir)
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn HeldLock>, TsdbError> {
        RealFiles.lock(dir)
    }
}
