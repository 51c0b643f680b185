//! Checks every byte of a data directory that has a meaning: checksums, order, references between files,
//! and what `meta.json` says. Reads only, repairs nothing, goes on after a problem where it can.
//!
//! | file | what it checks |
//! |---|---|
//! | `block` | one block: description, deleted ranges, and that its files agree |
//! | `index` | an index byte by byte: sections, series, postings |
//! | `chunks` | chunk files: that chunks fill them without gaps, and what is in each chunk |
//! | `log` | log segments and checkpoints: pages, records, references to series |
//! | `head_chunks` | mapped chunks of the head |

mod block;
mod chunks;
mod head_chunks;
mod index;
mod log;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::block::meta;
use crate::error::TsdbError;
use crate::files::Files as _;
use crate::read_only::{ReadOnlyFiles, block_dirs};
use crate::wal::segments;

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Byte in the file at which the damaged part begins, where one can be named.
    pub offset: Option<u64>,
    /// What was found.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some(offset) = self.offset {
            write!(f, "offset {offset}: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// What was checked and what was wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Problems in the order in which they were found.
    pub problems: Vec<Problem>,
    /// Blocks.
    pub blocks: u64,
    /// Series in blocks, counted once per block.
    pub series: u64,
    /// Chunks in blocks.
    pub chunks: u64,
    /// Samples in blocks.
    pub samples: u64,
    /// Log segments, those of checkpoints included.
    pub segments: u64,
    /// Log records.
    pub records: u64,
    /// Log records of types that this version does not know; they are no problem.
    pub unknown_records: u64,
    /// Chunks of the head in files.
    pub head_chunks: u64,
}

impl VerifyReport {
    fn problem(&mut self, path: &Path, offset: impl Into<Option<u64>>, reason: impl Into<String>) {
        self.problems.push(Problem {
            path: path.to_path_buf(),
            offset: offset.into(),
            reason: reason.into(),
        });
    }

    /// Reads a file; one that cannot be read is a problem.
    fn read(&mut self, path: &Path) -> Option<Vec<u8>> {
        match ReadOnlyFiles.read(path) {
            Ok(bytes) => Some(bytes),
            Err(e) => {
                self.problem(path, None, format!("cannot be read: {e}"));
                None
            }
        }
    }
}

/// Checks a data directory, or a single block.
///
/// A directory that a server is writing may show problems at the end of the log or of the newest file of
/// head chunks, where a write is under way.
///
/// # Errors
/// When the directory itself cannot be listed, or holds nothing to check.
pub fn verify(dir: &Path) -> Result<VerifyReport, TsdbError> {
    let mut report = VerifyReport::default();
    if dir.join(meta::FILE).is_file() {
        block::check(dir, &mut report);
        return Ok(report);
    }
    let blocks = block_dirs(dir)?;
    for block in &blocks {
        block::check(block, &mut report);
    }
    let mut parts = blocks.len();
    let is_there = |name: &str| Some(dir.join(name)).filter(|d| d.is_dir());
    if let Some(wal) = is_there("wal") {
        log::check(&wal, log::References::Checked, &mut report);
        parts += 1;
    }
    if let Some(wbl) = is_there("wbl") {
        // Names of series are in the other log only.
        log::check(&wbl, log::References::Foreign, &mut report);
        parts += 1;
    }
    if let Some(head) = is_there("chunks_head") {
        head_chunks::check(&head, &mut report);
        parts += 1;
    }
    if parts == 0 {
        return Err(TsdbError::corrupt(dir, "holds no blocks and no log"));
    }
    Ok(report)
}

/// Numbered files of a directory in order; a number that is left out is a problem.
fn numbered(dir: &Path, digits: usize, report: &mut VerifyReport) -> Vec<(u64, PathBuf)> {
    let numbers = match segments::list(&ReadOnlyFiles, dir) {
        Ok(numbers) => numbers,
        Err(e) => {
            report.problem(dir, None, format!("cannot be listed: {e}"));
            return Vec::new();
        }
    };
    for pair in numbers.windows(2) {
        if pair[1] != pair[0] + 1 {
            let missing = format!("{:0digits$}", pair[0] + 1);
            report.problem(&dir.join(missing), None, "file is missing");
        }
    }
    numbers
        .into_iter()
        .map(|n| (n, dir.join(format!("{n:0digits$}"))))
        .collect()
}

/// Checks the three unused bytes behind the version in the header of chunk files.
fn reserved(path: &Path, bytes: &[u8], report: &mut VerifyReport) {
    if let Some(at) = bytes.get(5..8).and_then(not_zero) {
        report.problem(path, 5 + at, "unused byte of the header is not zero");
    }
}

/// The first byte that is not zero.
fn not_zero(bytes: &[u8]) -> Option<u64> {
    bytes.iter().position(|b| *b != 0).map(|at| at as u64)
}
