//! The series out of the log: names, newest times, and references that stand for others.

use std::io;
use std::path::Path;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::series::{AgentSeries, SeriesSet};
use crate::error::TsdbError;
use crate::files::Files;
use crate::wal::reader::{Item, SegmentReader};
use crate::wal::record::{self, Record};
use crate::wal::{repair, segments};

/// What the log says.
#[derive(Default)]
pub(super) struct Replayed {
    pub(super) series: SeriesSet,
    pub(super) last_ref: u64,
    /// References of labels that another reference has, with the last segment that has one of them.
    pub(super) deleted: HashMap<u64, u64, RandomState>,
    pub(super) corruptions: u64,
    aliases: HashMap<u64, u64, RandomState>,
    unknown: u64,
}

/// Reads the newest checkpoint and the segments after it; heals damage on the way.
///
/// # Errors
/// The system's error.
pub(super) fn run(files: &dyn Files, wal: &Path) -> Result<Replayed, TsdbError> {
    let mut replayed = Replayed::default();
    let io = |error: io::Error| TsdbError::io("cannot read the log in", wal)(error);
    let checkpoint = segments::checkpoints(files, wal)
        .map_err(io)?
        .last()
        .copied();
    if let Some(number) = checkpoint {
        let dir = segments::checkpoint_path(wal, number);
        for n in segments::list(files, &dir).map_err(io)? {
            replayed.segment(files, &segments::path(&dir, n), number)?;
        }
    }
    for n in segments::list(files, wal).map_err(io)? {
        if checkpoint.is_none_or(|c| n > c) {
            replayed.segment(files, &segments::path(wal, n), n)?;
        }
    }
    if replayed.unknown > 0 {
        tracing::warn!(
            count = replayed.unknown,
            "the log has samples of series whose names it does not have"
        );
    }
    Ok(replayed)
}

impl Replayed {
    fn segment(&mut self, files: &dyn Files, path: &Path, number: u64) -> Result<(), TsdbError> {
        let io = |error: io::Error| TsdbError::io("cannot read", path)(error);
        let mut reader = SegmentReader::open(files, path).map_err(io)?;
        let mut damage = None;
        let mut salvaged = false;
        while let Some(item) = reader.next().map_err(io)? {
            match item {
                Item::Damaged(found) => {
                    damage.get_or_insert(found);
                }
                Item::Record(bytes) => {
                    salvaged |= damage.is_some();
                    match record::decode(&bytes) {
                        Ok(record) => self.record(record, number),
                        Err(error) => {
                            self.corruptions += 1;
                            tracing::warn!(segment = %path.display(), %error, "skipped a log record that does not decode");
                        }
                    }
                }
            }
        }
        if let Some(damage) = damage {
            self.corruptions += 1;
            tracing::warn!(
                segment = %path.display(),
                offset = damage.offset,
                reason = damage.reason,
                "repairing the log"
            );
            repair::repair(files, path, &damage, salvaged).map_err(io)?;
        }
        Ok(())
    }

    fn record(&mut self, record: Record, segment: u64) {
        match record {
            Record::Series(all) => {
                for (reference, labels) in all {
                    self.last_ref = self.last_ref.max(reference);
                    match self.series.find(&labels) {
                        Some(known) if known.reference == reference => {}
                        Some(known) => {
                            self.aliases.insert(reference, known.reference);
                            self.deleted.insert(reference, segment);
                        }
                        None => {
                            let series = AgentSeries::new(reference, labels);
                            series.set_logged();
                            self.series.insert(series);
                        }
                    }
                }
            }
            Record::Samples(all) => {
                all.iter().for_each(|s| self.sample(s.series, s.t, segment));
            }
            Record::Histograms(all) => all.iter().for_each(|h| self.sample(h.0, h.1, segment)),
            Record::FloatHistograms(all) => {
                all.iter().for_each(|h| self.sample(h.0, h.1, segment));
            }
            _ => {}
        }
    }

    fn sample(&mut self, reference: u64, t: i64, segment: u64) {
        let own = match self.aliases.get(&reference) {
            Some(known) => {
                self.deleted.insert(reference, segment);
                *known
            }
            None => reference,
        };
        match self.series.get(own) {
            Some(series) => {
                series.note(t);
            }
            None => self.unknown += 1,
        }
    }
}
