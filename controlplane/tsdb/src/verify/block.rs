//! One block.

use std::path::Path;

use super::chunks::{Counted, Referenced};
use super::index::Contents;
use super::{VerifyReport, chunks, index};
use crate::block::meta::{self, BlockMeta};
use crate::error::TsdbError;
use crate::read_only::ReadOnlyFiles;
use crate::tombstones::{self, Tombstones};

/// Checks a block directory.
pub(super) fn check(dir: &Path, report: &mut VerifyReport) {
    report.blocks += 1;
    let meta = description(dir, report);
    let path = dir.join("index");
    let series = report.series;
    let contents = report
        .read(&path)
        .and_then(|bytes| index::check(&path, &bytes, report));
    let series = report.series - series;
    let wanted = contents.as_ref().map(referenced);
    let chunk_count = wanted.as_ref().map_or(0, Vec::len) as u64;
    let before = report.problems.len();
    let counted = chunks::check(&dir.join("chunks"), wanted, report);
    report.samples += counted.floats + counted.histograms;
    let stones = deleted_ranges(dir, contents.as_ref(), report);
    // A missing chunk or series is told already; its samples are missing in the counts too.
    let complete = contents.is_some() && report.problems.len() == before;
    if let (Some(meta), true) = (meta, complete) {
        counts(dir, &meta, series, chunk_count, &counted, stones, report);
    }
}

fn referenced(contents: &Contents) -> Vec<Referenced> {
    let each = |(series, chunks): &(u64, Vec<_>)| {
        let series = *series;
        let one = move |c: &crate::block::index_write::ChunkMeta| Referenced {
            reference: c.reference,
            mint: c.mint,
            maxt: c.maxt,
            series,
        };
        chunks.iter().map(one).collect::<Vec<_>>()
    };
    contents.series.iter().flat_map(each).collect()
}

fn description(dir: &Path, report: &mut VerifyReport) -> Option<BlockMeta> {
    let path = dir.join(meta::FILE);
    let meta = match BlockMeta::load(&ReadOnlyFiles, dir) {
        Ok(meta) => meta,
        Err(TsdbError::Corrupt { reason, .. }) => {
            report.problem(&path, None, reason);
            return None;
        }
        Err(e) => {
            report.problem(&path, None, e.to_string());
            return None;
        }
    };
    let name = dir.file_name().and_then(|n| n.to_str()).unwrap_or("");
    // A block on its own, outside of a data directory, may have any name.
    if ulid::Ulid::from_string(name).is_ok() && name != meta.ulid {
        let reason = format!("says that it describes block {}", meta.ulid);
        report.problem(&path, None, reason);
    }
    if meta.min_time >= meta.max_time {
        let reason = format!(
            "the block's time ends at {}, before it begins at {}",
            meta.max_time, meta.min_time
        );
        report.problem(&path, None, reason);
    }
    let sources = meta.compaction.sources.iter();
    for source in sources.chain(meta.compaction.parents.iter().map(|p| &p.ulid)) {
        if ulid::Ulid::from_string(source).is_err() {
            let reason = format!("{source:?} is no identifier of a block");
            report.problem(&path, None, reason);
        }
    }
    Some(meta)
}

/// Checks the file of deleted ranges; returns how many there are.
fn deleted_ranges(
    dir: &Path,
    contents: Option<&Contents>,
    report: &mut VerifyReport,
) -> Option<u64> {
    let path = dir.join(tombstones::FILE);
    if !path.exists() {
        return Some(0);
    }
    let bytes = report.read(&path)?;
    let stones = match Tombstones::decode(&bytes) {
        Ok(stones) => stones,
        Err(e) => {
            report.problem(&path, 0, e.0);
            return None;
        }
    };
    for (series, range) in stones.iter() {
        if range.mint > range.maxt {
            let reason = format!(
                "deleted range of series {series} ends before it begins: {} to {}",
                range.mint, range.maxt
            );
            report.problem(&path, None, reason);
        }
        if contents.is_some_and(|c| !c.references.contains(&series)) {
            let reason = format!("deletes from series {series}, which the block does not have");
            report.problem(&path, None, reason);
        }
    }
    Some(stones.len() as u64)
}

/// Compares `meta.json` with what is there.
fn counts(
    dir: &Path,
    meta: &BlockMeta,
    series: u64,
    chunks: u64,
    counted: &Counted,
    stones: Option<u64>,
    report: &mut VerifyReport,
) {
    let path = dir.join(meta::FILE);
    let stats = &meta.stats;
    let told = stats.num_samples + stats.num_series + stats.num_chunks > 0;
    let kinds_told = stats.num_float_samples + stats.num_histogram_samples > 0;
    let samples = counted.floats + counted.histograms;
    for (what, says, is, compared) in [
        ("samples", stats.num_samples, samples, told),
        ("series", stats.num_series, series, told),
        ("chunks", stats.num_chunks, chunks, told),
        (
            "float samples",
            stats.num_float_samples,
            counted.floats,
            kinds_told,
        ),
        (
            "histogram samples",
            stats.num_histogram_samples,
            counted.histograms,
            kinds_told,
        ),
        (
            "deleted ranges",
            stats.num_tombstones,
            stones.unwrap_or_default(),
            stones.is_some(),
        ),
    ] {
        if compared && says != is {
            report.problem(&path, None, format!("says {says} {what}, there are {is}"));
        }
    }
    if let Some((mint, maxt)) = counted.range
        && (mint < meta.min_time || maxt >= meta.max_time)
    {
        let reason = format!(
            "says that samples are from {} to before {}, they are from {mint} to {maxt}",
            meta.min_time, meta.max_time
        );
        report.problem(&path, None, reason);
    }
}
