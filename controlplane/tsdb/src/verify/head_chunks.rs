//! Files of head chunks.

use std::path::Path;

use super::{VerifyReport, chunks, not_zero, numbered};
use crate::head::chunk_files::{self, HEADER};

/// Checks all files of `chunks_head`.
pub(super) fn check(dir: &Path, report: &mut VerifyReport) {
    for (_, path) in numbered(dir, 6, report) {
        if let Some(bytes) = report.read(&path) {
            file(&path, &bytes, report);
        }
    }
}

fn file(path: &Path, bytes: &[u8], report: &mut VerifyReport) {
    // Just begun when its writer was killed: readers take it for empty.
    if bytes.len() < HEADER {
        return;
    }
    super::reserved(path, bytes, report);
    let mut found = Vec::new();
    let mut at = 0;
    let walked = chunk_files::walk(bytes, &mut at, |entry| found.push(entry));
    for entry in &found {
        report.head_chunks += 1;
        let start = entry.offset as usize;
        let data = bytes.get(start..start + entry.len as usize);
        let wrong = match data {
            Some(data) => {
                chunks::content(entry.chunk_encoding(), data, entry.mint, entry.maxt).err()
            }
            None => Some("chunk is cut off".to_owned()),
        };
        if let Some(reason) = wrong {
            let reason = format!("chunk of series {}: {reason}", entry.series);
            report.problem(path, u64::from(entry.offset), reason);
        }
    }
    let end = match found.last() {
        Some(last) => last.offset as usize + last.len as usize + 4,
        None => HEADER,
    };
    match walked {
        Err(e) => report.problem(path, at as u64, e.to_string()),
        // Writers preallocate: behind the last chunk there are zeros.
        Ok(()) => {
            if let Some(offset) = bytes.get(end..).and_then(not_zero) {
                let reason = "bytes behind the last chunk are not zero";
                report.problem(path, end as u64 + offset, reason);
            }
        }
    }
}
