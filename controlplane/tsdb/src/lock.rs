//! One process per data directory, by an advisory lock that Prometheus takes too.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::TsdbError;
use crate::files::HeldLock;

/// Name of the file, Prometheus' own.
const FILE: &str = "lock";

/// The held lock; released when dropped, or by the system when the process dies.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
    path: PathBuf,
}

impl DirLock {
    /// Locks a directory.
    ///
    /// # Errors
    /// [`TsdbError::Locked`] when another process has it.
    pub(crate) fn acquire(dir: &Path) -> Result<Self, TsdbError> {
        let path = dir.join(FILE);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(TsdbError::io("cannot open lock file", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let _ = (&mut file).take(20).read_to_string(&mut pid);
                let owner = match pid.trim().parse::<u32>() {
                    Ok(pid) => format!("process {pid}"),
                    Err(_) => "another process".to_owned(),
                };
                return Err(TsdbError::Locked {
                    dir: dir.to_path_buf(),
                    owner,
                });
            }
            Err(TryLockError::Error(e)) => return Err(TsdbError::io("cannot lock", &path)(e)),
        }
        // The number only serves the message of a second process; a full disk must not prevent the start.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { file, path })
    }
}

impl HeldLock for DirLock {}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Removed before the lock is released, so that nobody's new file is removed.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}
