//! The files of the system, with a say before some calls.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bellwether_tsdb::{DirEntry, FileBytes, Files, HeldLock, OpenFile, RealFiles, TsdbError};

/// A call that can be delayed or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    RemoveFile,
    Sync,
}

type Before = dyn Fn(Call, &Path) -> io::Result<()> + Send + Sync;

/// Asks before a call on a path; an error is the call's.
#[derive(Clone)]
pub(crate) struct Meddled(Arc<Before>);

impl Meddled {
    pub(crate) fn new(
        before: impl Fn(Call, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(before))
    }
}

impl fmt::Debug for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddled")
    }
}

struct Open {
    file: Box<dyn OpenFile>,
    path: Box<Path>,
    files: Meddled,
}

impl OpenFile for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        (self.files.0)(Call::Sync, &self.path)?;
        self.file.sync()
    }
}

impl Files for Meddled {
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        (self.0)(Call::RemoveFile, path)?;
        RealFiles.remove_file(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(Open {
            file: RealFiles.create(path)?,
            path: path.into(),
            files: self.clone(),
        }))
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
        (self.0)(Call::Sync, path)?;
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
