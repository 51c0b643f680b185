//! One `up` per data directory. The database has a lock of its own; this one is taken before anything is written,
//! so that a second start does not replace the generated configuration of the first.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use anyhow::{Context, bail};

/// Held until it is dropped or the process ends.
pub(super) struct DataDir {
    _lock: File,
}

impl DataDir {
    /// Creates the directory and locks it.
    pub(super) fn claim(dir: &Path) -> anyhow::Result<Self> {
        let path = dir.join("lock");
        let cannot = || {
            format!(
                "cannot use the data directory {} (--data-dir)",
                dir.display()
            )
        };
        fs::create_dir_all(dir).with_context(cannot)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(cannot)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                // Only for the message; without it the sentence still says what to do.
                let _ = (&mut lock).take(20).read_to_string(&mut process);
                bail!(
                    "the data directory {} is in use by process {}; stop that process or choose another directory \
                     with --data-dir",
                    dir.display(),
                    process.trim()
                );
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        // A full disk shall not prevent the start: the number only serves the message above.
        let _ = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { _lock: lock })
    }
}
