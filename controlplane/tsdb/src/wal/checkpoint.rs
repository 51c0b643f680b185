//! Checkpoints: what is still needed of old segments, so that they can go.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_model::Metadata;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::reader::{Item, SegmentReader};
use super::record::{self, Base, Record};
use super::segments;
use super::writer::{WalWriter, WriterOptions};
use crate::files::Files;

/// Records per write while a checkpoint is made.
const BATCH: usize = 64;

/// What is old enough to go.
#[derive(Clone, Copy)]
pub(crate) struct KeepFrom {
    /// Samples and exemplars before this go.
    pub(crate) mint: i64,
    /// Deleted ranges that end before this go.
    pub(crate) tombstones: i64,
}

/// Suffix of a checkpoint that is being written.
const TMP: &str = ".tmp";

/// Removes what interrupted attempts left.
///
/// # Errors
/// The system's error.
pub(crate) fn remove_unfinished(files: &dyn Files, wal: &Path) -> io::Result<()> {
    for entry in files.list(wal)? {
        let name = entry.name.to_string_lossy();
        if entry.is_dir && name.starts_with(segments::CHECKPOINT) && name.ends_with(TMP) {
            files.remove_dir_all(&wal.join(&entry.name))?;
        }
    }
    Ok(())
}

/// Where a checkpoint comes from and goes to.
struct Plan<'a> {
    wal: &'a Path,
    /// The checkpoint that it replaces.
    before: Option<u64>,
    /// The last segment that it replaces.
    last: u64,
    from: KeepFrom,
}

/// Writes a checkpoint and puts it in place.
fn create(
    files: &dyn Files,
    plan: &Plan<'_>,
    keep: impl Fn(u64) -> bool,
    options: WriterOptions,
) -> io::Result<()> {
    let Plan {
        wal,
        before,
        last,
        from,
    } = *plan;
    let target = segments::checkpoint_path(wal, last);
    let mut tmp = target.clone().into_os_string();
    tmp.push(TMP);
    let tmp = PathBuf::from(tmp);
    files.create_dir_all(&tmp)?;
    let mut out = Output {
        writer: WalWriter::open(&tmp, options)?,
        pending: Vec::new(),
        metadata: HashMap::default(),
    };
    if let Some(n) = before {
        let dir = segments::checkpoint_path(wal, n);
        for s in segments::list(files, &dir)? {
            out.segment(files, &segments::path(&dir, s), from, &keep)?;
        }
    }
    for s in segments::list(files, wal)? {
        if s <= last && before.is_none_or(|b| s > b) {
            out.segment(files, &segments::path(wal, s), from, &keep)?;
        }
    }
    out.finish()?;
    files.sync_dir(&tmp)?;
    files.rename(&tmp, &target)
}

/// Replaces the checkpoint and the segments up to `last` by a new checkpoint with the series for which `keep`
/// says yes and the entries that are not older than `from`.
///
/// # Errors
/// The system's error; then the log is as before, but for a temporary directory that the next attempt removes.
pub(crate) fn write(
    wal: &Path,
    last: u64,
    from: KeepFrom,
    keep: impl Fn(u64) -> bool,
    options: WriterOptions,
) -> io::Result<()> {
    let files = Arc::clone(&options.files);
    let files = &*files;
    let before = segments::checkpoints(files, wal)?.last().copied();
    // A checkpoint that is there already is whole; only the deletion behind it was interrupted.
    if before != Some(last) {
        remove_unfinished(files, wal)?;
        let plan = Plan {
            wal,
            before,
            last,
            from,
        };
        create(files, &plan, keep, options)?;
    }
    files.sync_dir(wal)?;
    // From here on the old files are superseded: what is left of them after a crash is skipped and removed later.
    for s in segments::list(files, wal)? {
        if s <= last {
            files.remove_file(&segments::path(wal, s))?;
        }
    }
    for n in segments::checkpoints(files, wal)? {
        if n < last {
            files.remove_dir_all(&segments::checkpoint_path(wal, n))?;
        }
    }
    files.sync_dir(wal)
}

struct Output {
    writer: WalWriter,
    pending: Vec<Vec<u8>>,
    /// Only the latest of each series is kept.
    metadata: HashMap<u64, Metadata, RandomState>,
}

impl Output {
    fn segment(
        &mut self,
        files: &dyn Files,
        path: &Path,
        from: KeepFrom,
        keep: &impl Fn(u64) -> bool,
    ) -> io::Result<()> {
        let mut reader = SegmentReader::open(files, path)?;
        while let Some(item) = reader.next()? {
            // Damage was repaired and counted at the start; what appears later is dropped here as there.
            if let Item::Record(bytes) = item
                && let Ok(record) = record::decode(&bytes)
            {
                self.record(record, from, keep)?;
            }
        }
        Ok(())
    }

    fn record(
        &mut self,
        record: Record,
        from: KeepFrom,
        keep: &impl Fn(u64) -> bool,
    ) -> io::Result<()> {
        let mut out = Vec::new();
        match record {
            Record::Series(mut all) => {
                all.retain(|s| keep(s.0));
                if !all.is_empty() {
                    record::begin_series(&mut out);
                    for (series, labels) in &all {
                        record::add_series(&mut out, *series, labels);
                    }
                }
            }
            Record::Samples(mut all) => {
                all.retain(|s| s.t >= from.mint && keep(s.series));
                if let Some(first) = all.first() {
                    let base = Base::begin(&mut out, record::SAMPLES, first.series, first.t);
                    for s in &all {
                        base.add_sample(&mut out, *s);
                    }
                }
            }
            Record::Histograms(mut all) => {
                all.retain(|h| h.1 >= from.mint && keep(h.0));
                if let Some((series, t, h)) = all.first() {
                    let kind = match h.schema {
                        bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA => {
                            record::CUSTOM_HISTOGRAMS
                        }
                        _ => record::HISTOGRAMS,
                    };
                    let base = Base::begin(&mut out, kind, *series, *t);
                    for (series, t, h) in &all {
                        base.add_histogram(&mut out, *series, *t, h);
                    }
                }
            }
            Record::FloatHistograms(mut all) => {
                all.retain(|h| h.1 >= from.mint && keep(h.0));
                if let Some((series, t, h)) = all.first() {
                    let kind = match h.schema {
                        bellwether_model::histogram::CUSTOM_BUCKETS_SCHEMA => {
                            record::CUSTOM_FLOAT_HISTOGRAMS
                        }
                        _ => record::FLOAT_HISTOGRAMS,
                    };
                    let base = Base::begin(&mut out, kind, *series, *t);
                    for (series, t, h) in &all {
                        base.add_float_histogram(&mut out, *series, *t, h);
                    }
                }
            }
            Record::Exemplars(mut all) => {
                all.retain(|e| e.t >= from.mint && keep(e.series));
                if let Some(first) = all.first() {
                    let base = Base::begin(&mut out, record::EXEMPLARS, first.series, first.t);
                    for e in &all {
                        base.add_exemplar(&mut out, e);
                    }
                }
            }
            Record::Tombstones(mut all) => {
                all.retain(|s| s.maxt >= from.tombstones && keep(s.series));
                if !all.is_empty() {
                    record::tombstones(&mut out, &all);
                }
            }
            Record::Metadata(all) => {
                self.metadata.extend(all.into_iter().filter(|m| keep(m.0)));
            }
            // Markers belong to the out-of-order log, which has no checkpoints.
            Record::MmapMarkers(_) | Record::Late | Record::Unknown(_) => {}
        }
        if !out.is_empty() {
            self.pending.push(out);
        }
        if self.pending.len() >= BATCH {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.writer.log(self.pending.iter().map(Vec::as_slice))?;
            self.pending.clear();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        if !self.metadata.is_empty() {
            let mut out = vec![record::METADATA];
            for (series, m) in &self.metadata {
                record::add_metadata(&mut out, *series, m);
            }
            self.pending.push(out);
        }
        self.flush()?;
        self.writer.close()
    }
}
