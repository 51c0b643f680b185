//! Names and lists of segments and checkpoints.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::Files;

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

fn numbers(
    files: &dyn Files,
    dir: &Path,
    number: impl Fn(&str) -> Option<u64>,
) -> io::Result<Vec<u64>> {
    let entries = files.list(dir)?;
    let mut out: Vec<u64> = entries
        .iter()
        .filter_map(|e| e.name.to_str().and_then(&number))
        .collect();
    out.sort_unstable();
    Ok(out)
}

/// Numbers of the segments in a directory, rising. Files with other names are none of ours.
///
/// # Errors
/// The system's error.
pub(crate) fn list(files: &dyn Files, dir: &Path) -> io::Result<Vec<u64>> {
    numbers(files, dir, |name| {
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
pub(crate) fn checkpoints(files: &dyn Files, dir: &Path) -> io::Result<Vec<u64>> {
    numbers(files, dir, |name| {
        name.strip_prefix(CHECKPOINT)?.parse().ok()
    })
}
