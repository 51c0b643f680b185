//! Log segments and checkpoints.

use std::path::Path;

use foldhash::fast::RandomState;
use hashbrown::HashSet;

use super::{VerifyReport, numbered};
use crate::chunk::validate;
use crate::encoding::DecodeError;
use crate::read_only::ReadOnlyFiles;
use crate::wal::reader::{Item, SegmentReader};
use crate::wal::record::{self, Record};
use crate::wal::segments;

/// Whether a log names all series that its records speak of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    Checked,
    Foreign,
}

/// Checks the newest checkpoint and all segments.
pub(super) fn check(dir: &Path, references: References, report: &mut VerifyReport) {
    let mut walk = Walk {
        references,
        known: HashSet::default(),
        report,
    };
    let checkpoint = match segments::checkpoints(&ReadOnlyFiles, dir) {
        Ok(list) => list.last().copied(),
        Err(e) => {
            let reason = format!("cannot be listed: {e}");
            walk.report.problem(dir, None, reason);
            return;
        }
    };
    if let Some(n) = checkpoint {
        for (_, path) in numbered(&segments::checkpoint_path(dir, n), 8, walk.report) {
            walk.segment(&path);
        }
    }
    let mut files = numbered(dir, 8, walk.report);
    // What a checkpoint replaces is left when a deletion was interrupted, and is not read.
    files.retain(|f| checkpoint.is_none_or(|c| f.0 > c));
    if let (Some(c), Some(first)) = (checkpoint, files.first())
        && first.0 > c + 1
    {
        let path = segments::path(dir, c + 1);
        walk.report.problem(&path, None, "file is missing");
    }
    for (_, path) in files {
        walk.segment(&path);
    }
}

struct Walk<'a> {
    references: References,
    /// References of the series named so far.
    known: HashSet<u64, RandomState>,
    report: &'a mut VerifyReport,
}

impl Walk<'_> {
    fn segment(&mut self, path: &Path) {
        self.report.segments += 1;
        let mut reader = match SegmentReader::open(&ReadOnlyFiles, path) {
            Ok(reader) => reader,
            Err(e) => {
                let reason = format!("cannot be read: {e}");
                return self.report.problem(path, None, reason);
            }
        };
        loop {
            let at = reader.position();
            match reader.next() {
                Ok(None) => return,
                Ok(Some(Item::Damaged(damage))) => {
                    self.report.problem(path, damage.offset, damage.reason);
                }
                Ok(Some(Item::Record(bytes))) => {
                    let decoded = record::decode(&bytes);
                    self.record(path, at, decoded);
                }
                Err(e) => {
                    let reason = format!("cannot be read: {e}");
                    return self.report.problem(path, at, reason);
                }
            }
        }
    }

    fn record(&mut self, path: &Path, at: u64, decoded: Result<Record, DecodeError>) {
        self.report.records += 1;
        let record = match decoded {
            Ok(record) => record,
            Err(e) => {
                let reason = format!("record does not decode: {e}");
                return self.report.problem(path, at, reason);
            }
        };
        let mut unknown = 0;
        let mut wrong = None;
        let mut see = |known: bool| unknown += u64::from(!known);
        let known = &self.known;
        match &record {
            Record::Series(all) => {
                if all.iter().any(|s| s.1.is_empty()) {
                    wrong = Some("series has no labels".to_owned());
                }
            }
            Record::Samples(all) => all.iter().for_each(|s| see(known.contains(&s.series))),
            Record::Histograms(all) => {
                for (series, _, h) in all {
                    see(known.contains(series));
                    wrong = wrong.or_else(|| validate::check_int(h.clone()).err());
                }
            }
            Record::FloatHistograms(all) => {
                for (series, _, h) in all {
                    see(known.contains(series));
                    wrong = wrong.or_else(|| validate::check_float(h.clone()).err());
                }
            }
            Record::Exemplars(all) => all.iter().for_each(|e| see(known.contains(&e.series))),
            Record::Metadata(all) => all.iter().for_each(|m| see(known.contains(&m.0))),
            Record::Tombstones(all) => {
                if all.iter().any(|s| s.mint > s.maxt) {
                    wrong = Some("deleted range ends before it begins".to_owned());
                }
            }
            Record::MmapMarkers(all) => all.iter().for_each(|m| see(known.contains(&m.0))),
            Record::Late => {}
            Record::Unknown(_) => self.report.unknown_records += 1,
        }
        if let Record::Series(all) = &record {
            self.known.extend(all.iter().map(|s| s.0));
        }
        if let Some(reason) = wrong {
            self.report.problem(path, at, reason);
        }
        if unknown > 0 && self.references == References::Checked {
            let reason = format!("{unknown} entries of a record are of series that have no name");
            self.report.problem(path, at, reason);
        }
    }
}
