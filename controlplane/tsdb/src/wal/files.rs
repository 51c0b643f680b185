//! The seam through which WAL segments are written, so that tests can fill the disk or break it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Creates segment files.
pub trait SegmentFiles: Send + Sync {
    /// Creates a file that must not exist yet, for appending.
    ///
    /// # Errors
    /// The system's error.
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;
}

/// An open segment. Every write goes to its end.
pub trait SegmentFile: Send {
    /// Writes all bytes at the end. After an error any prefix of them may be in the file.
    ///
    /// # Errors
    /// The system's error.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file to a length; the next write continues there.
    ///
    /// # Errors
    /// The system's error.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Forces the content to the disk.
    ///
    /// # Errors
    /// The system's error.
    fn sync(&mut self) -> io::Result<()>;
}

/// Files of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFiles;

impl SegmentFiles for RealFiles {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }
}

struct RealFile(File);

impl SegmentFile for RealFile {
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
