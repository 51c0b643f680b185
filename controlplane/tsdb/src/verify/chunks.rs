//! Chunk files of a block, and the content of chunks.

use std::path::Path;

use super::{VerifyReport, numbered};
use crate::block::chunks::{self, HEADER};
use crate::block::write::{self, Sample};
use crate::chunk::{self, validate};
use crate::encoding::{Dec, DecodeError, crc32c};

/// A chunk that the index speaks of.
pub(super) struct Referenced {
    pub(super) reference: u64,
    pub(super) mint: i64,
    pub(super) maxt: i64,
    /// Where the index has its series.
    pub(super) series: u64,
}

/// Samples of the good chunks.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) floats: u64,
    pub(super) histograms: u64,
    /// Oldest and newest sample.
    pub(super) range: Option<(i64, i64)>,
}

impl Counted {
    fn add(&mut self, encoding: u8, data: &[u8], mint: i64, maxt: i64) {
        let samples = u64::from(chunk::count(data));
        if encoding == chunk::ENC_XOR {
            self.floats += samples;
        } else {
            self.histograms += samples;
        }
        let (low, high) = self.range.unwrap_or((mint, maxt));
        self.range = Some((low.min(mint), high.max(maxt)));
    }
}

/// Checks all chunk files. `wanted` is what the index refers to, `None` when the index is not readable; then
/// only checksums and encodings are checked.
pub(super) fn check(
    dir: &Path,
    wanted: Option<Vec<Referenced>>,
    report: &mut VerifyReport,
) -> Counted {
    let mut counted = Counted::default();
    let files = match dir.is_dir() {
        true => numbered(dir, 6, report),
        false => Vec::new(),
    };
    let mut wanted = wanted.map(|mut all| {
        all.sort_by_key(|w| w.reference);
        all.into_iter().peekable()
    });
    for (index, (_, path)) in files.iter().enumerate() {
        let Some(bytes) = report.read(path) else {
            continue;
        };
        if let Err(e) = chunks::check_header(&bytes) {
            report.problem(path, 0, e.0);
        }
        super::reserved(path, &bytes, report);
        match &mut wanted {
            None => sequentially(path, &bytes, report),
            Some(wanted) => {
                let here =
                    std::iter::from_fn(|| wanted.next_if(|w| w.reference >> 32 == index as u64));
                referenced(path, &bytes, here, report, &mut counted);
            }
        }
    }
    for w in wanted.into_iter().flatten() {
        let path = dir.join(format!("{:06}", (w.reference >> 32) + 1));
        let reason = format!(
            "file is missing, the series at {} of the index refers to it",
            w.series
        );
        report.problem(&path, w.reference & 0xffff_ffff, reason);
    }
    counted
}

/// Checks the chunks that the index refers to, which must fill the file without a gap.
fn referenced(
    path: &Path,
    bytes: &[u8],
    wanted: impl Iterator<Item = Referenced>,
    report: &mut VerifyReport,
    counted: &mut Counted,
) {
    // `None` behind a damaged chunk, whose length cannot be trusted.
    let mut end = Some(HEADER);
    for w in wanted {
        report.chunks += 1;
        let offset = (w.reference & 0xffff_ffff) as usize;
        match end {
            Some(end) if offset > end => {
                let reason = format!("no series refers to the {} bytes from here", offset - end);
                report.problem(path, end as u64, reason);
            }
            Some(end) if offset < end => {
                let reason = format!(
                    "the series at {} of the index refers to the middle of a chunk",
                    w.series
                );
                report.problem(path, offset as u64, reason);
            }
            _ => {}
        }
        let checked =
            at(bytes, offset)
                .map_err(|e| e.to_string())
                .and_then(|(encoding, data, next)| {
                    end = Some(next);
                    content(encoding, data, w.mint, w.maxt)?;
                    counted.add(encoding, data, w.mint, w.maxt);
                    Ok(())
                });
        if let Err(reason) = checked {
            if at(bytes, offset).is_err() {
                end = None;
            }
            let reason = format!("chunk of the series at {} of the index: {reason}", w.series);
            report.problem(path, offset as u64, reason);
        }
    }
    if let Some(end) = end.filter(|e| *e < bytes.len()) {
        let reason = format!(
            "no series refers to the {} bytes from here",
            bytes.len() - end
        );
        report.problem(path, end as u64, reason);
    }
}

/// Checks chunk after chunk as they lie.
fn sequentially(path: &Path, bytes: &[u8], report: &mut VerifyReport) {
    let mut offset = HEADER;
    while offset < bytes.len() {
        match at(bytes, offset) {
            Ok((encoding, data, next)) => {
                report.chunks += 1;
                if let Err(e) = write::decode(encoding, data, |_, _| {}) {
                    report.problem(path, offset as u64, format!("chunk: {e}"));
                }
                offset = next;
            }
            Err(e) => {
                let reason = format!("chunk: {e}; what follows is not checked");
                return report.problem(path, offset as u64, reason);
            }
        }
    }
}

/// Encoding and data of the chunk at a place, and where the next begins.
fn at(bytes: &[u8], offset: usize) -> Result<(u8, &[u8], usize), DecodeError> {
    let mut dec = Dec::new(bytes.get(offset..).ok_or(DecodeError("no such place"))?);
    let len = dec.count(1)?;
    let body = dec.bytes(len + 1)?;
    if dec.be32()? != crc32c(body) {
        return Err(DecodeError("checksum mismatch"));
    }
    Ok((body[0], &body[1..], bytes.len() - dec.remaining()))
}

/// Checks that a chunk decodes, that its times rise and are what its reference says, and that its histograms
/// are consistent.
pub(super) fn content(encoding: u8, data: &[u8], mint: i64, maxt: i64) -> Result<(), String> {
    let mut before: Option<i64> = None;
    let mut first = None;
    let mut samples = 0u64;
    let mut wrong = None;
    write::decode(encoding, data, |t, sample| {
        samples += 1;
        first.get_or_insert(t);
        if before.is_some_and(|b| t <= b) {
            wrong.get_or_insert(format!(
                "sample {samples} at {t} is not newer than the one before"
            ));
        }
        before = Some(t);
        let consistent = match sample {
            Sample::Float(_) => Ok(()),
            Sample::Histogram(h) => validate::check_int(h.to_model()).map(|_| ()),
            Sample::FloatHistogram(h) => validate::check_float(h.to_model()).map(|_| ()),
        };
        if let Err(reason) = consistent {
            wrong.get_or_insert(format!("histogram at {t}: {reason}"));
        }
    })
    .map_err(|e| e.to_string())?;
    if let Some(reason) = wrong {
        return Err(reason);
    }
    match (first, before) {
        (Some(first), Some(last)) if (first, last) == (mint, maxt) => Ok(()),
        (Some(first), Some(last)) => Err(format!(
            "samples are from {first} to {last}, the reference says {mint} to {maxt}"
        )),
        _ => Err("chunk has no samples".to_owned()),
    }
}
