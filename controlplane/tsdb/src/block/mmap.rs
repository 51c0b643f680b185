//! Read-only memory maps of finished files of blocks and head chunks.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// Maps a file.
///
/// # Errors
/// The system's error.
pub(crate) fn map(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    // SAFETY: block files are written once under a temporary directory and never changed after the rename
    // that makes them visible, head chunk files are complete when they are mapped; the directory lock keeps
    // other writers out, and deletion leaves maps valid.
    unsafe { Mmap::map(&file) }
}
