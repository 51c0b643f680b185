//! Names and lists of segments and checkpoints.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Prefix of checkpoint directories.
const CHECKPOINT: &str = "checkpoint.";

/// A segment's file.
pub(crate) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}"))
}

/// The directory of a checkpoint that replaces all segments up to `number`.
pub(crate) fn checkpoint_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{CHECKPOINT}{number:08}"))
}

fn numbers(dir: &Path, number: impl Fn(&str) -> Option<u64>) -> io::Result<Vec<u64>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir)? {
        if let Some(n) = entry?.file_name().to_str().and_then(&number) {
            out.push(n);
        }
    }
    out.sort_unstable();
    Ok(out)
}

/// Numbers of the segments in a directory, rising. Files with other names are none of ours.
///
/// # Errors
/// The system's error.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    numbers(dir, |name| {
        name.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| name.parse().ok())
            .flatten()
    })
}

/// Numbers of the finished checkpoints in a directory, rising.
///
/// # Errors
/// The system's error.
pub(crate) fn checkpoints(dir: &Path) -> io::Result<Vec<u64>> {
    numbers(dir, |name| name.strip_prefix(CHECKPOINT)?.parse().ok())
}

/// Bytes of all files in a directory and its sub-directories.
pub(crate) fn size(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Forces a directory's entries to the disk.
///
/// # Errors
/// The system's error.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
