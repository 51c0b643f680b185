//! Rebuilds the head from the log.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bellwether_model::storage::AppendError;
use bellwether_model::{Exemplar, Labels, Metadata};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::Head;
use super::chunk_files::{ChunkData, LoadedChunks};
use super::open::OpenHistogram;
use super::series::{Appended, MemSeries, Txn};
use super::stale::ALL_OF_TIME;
use crate::block::chunks::EncodedChunk;
use crate::block::write::Sample;
use crate::chunk::histogram::Flat;
use crate::chunk::validate;
use crate::error::TsdbError;
use crate::tombstones::Interval;
use crate::wal::reader::{Item, SegmentReader};
use crate::wal::record::{self, Record};
use crate::wal::{repair, segments};

/// State of a replay.
pub(crate) struct Replay<'a> {
    head: &'a Head,
    /// References that the log gave to label sets that already had one (after restarts of older writers),
    /// or that do not fit our ids.
    aliases: HashMap<u64, MemSeries, RandomState>,
    max_ref: u32,
    /// The next id for a series whose reference cannot be its id, from the top down.
    spare: u32,
    /// Chunks from files that wait for their series' name.
    files: LoadedChunks,
    /// The log at hand is the one of out-of-order samples.
    out_of_order: bool,
    /// Marks of deletion, for the out-of-order samples that are known later.
    late_marks: Vec<(u32, Interval)>,
    /// Series that went, and may have come back.
    gone: Vec<u32>,
    mint: i64,
    maxt: i64,
    chunks: i64,
    unknown: u64,
    skipped_types: u64,
    /// Damaged segments are skipped over and left as they are.
    read_only: bool,
}

/// Ids from here up are for series whose reference cannot be their id.
const SPARE_FLOOR: u32 = u32::MAX - (1 << 24);

/// All samples of a replay count as one transaction.
const TXN: u64 = 1;

impl<'a> Replay<'a> {
    pub(crate) fn new(head: &'a Head, files: LoadedChunks) -> Self {
        let mut this = Self {
            head,
            aliases: HashMap::default(),
            max_ref: 0,
            spare: u32::MAX,
            files: LoadedChunks::default(),
            out_of_order: false,
            late_marks: Vec::new(),
            gone: Vec::new(),
            mint: i64::MAX,
            maxt: i64::MIN,
            chunks: 0,
            unknown: 0,
            skipped_types: 0,
            read_only: false,
        };
        // Also of chunks whose series is not in the log: no other series may get their number.
        for reference in files.in_order.keys().chain(files.out_of_order.keys()) {
            this.note_reference(*reference);
        }
        this.files = files;
        this
    }

    /// A replay of somebody else's log: nothing is repaired.
    pub(crate) fn read_only(head: &'a Head, files: LoadedChunks) -> Self {
        Self {
            read_only: true,
            ..Self::new(head, files)
        }
    }

    /// Replays the newest checkpoint and the segments after it, then the out-of-order log when there is one;
    /// heals damage on the way.
    ///
    /// # Errors
    /// The system's error. Damage is none: it is repaired, logged and counted.
    pub(crate) fn run(mut self, wal: &Path, wbl: &Path) -> Result<(), TsdbError> {
        let files = &*self.head.options.files;
        let list = |r: std::io::Result<Vec<u64>>| r.map_err(TsdbError::io("cannot list", wal));
        let checkpoint = list(segments::checkpoints(files, wal))?.last().copied();
        if let Some(n) = checkpoint {
            let dir = segments::checkpoint_path(wal, n);
            for s in segments::list(files, &dir).map_err(TsdbError::io("cannot list", &dir))? {
                self.segment(&segments::path(&dir, s))?;
            }
        }
        for s in list(segments::list(files, wal))? {
            // Segments that the checkpoint replaces may be left when their deletion was interrupted.
            if checkpoint.is_none_or(|c| s > c) {
                self.segment(&segments::path(wal, s))?;
            }
        }
        if files
            .exists(wbl)
            .map_err(TsdbError::io("cannot read", wbl))?
        {
            self.out_of_order = true;
            for s in segments::list(files, wbl).map_err(TsdbError::io("cannot list", wbl))? {
                self.segment(&segments::path(wbl, s))?;
            }
            self.mark_out_of_order();
        }
        self.finish();
        Ok(())
    }

    fn finish(self) {
        let head = self.head;
        head.next_id
            .fetch_max(u64::from(self.max_ref) + 1, Ordering::Relaxed);
        head.num_chunks.fetch_add(self.chunks, Ordering::Relaxed);
        head.widen_times(self.mint, self.maxt);
        head.isolation.publish(TXN);
        head.not_removed.lock().extend(&self.gone);
        *head.aliases.lock() = self.aliases.iter().map(|(r, s)| (*r, s.id)).collect();
        if self.unknown > 0 {
            head.counters.wal_unknown_refs.add(self.unknown);
            tracing::warn!(
                count = self.unknown,
                "the log has entries for series whose names it does not have"
            );
        }
        if self.skipped_types > 0 {
            tracing::warn!(
                count = self.skipped_types,
                "skipped log records of unknown types"
            );
        }
    }

    fn segment(&mut self, path: &Path) -> Result<(), TsdbError> {
        let io = || TsdbError::io("cannot read", path);
        let files = &*self.head.options.files;
        let mut reader = SegmentReader::open(files, path).map_err(io())?;
        let mut first = None;
        let mut salvaged = false;
        while let Some(item) = reader.next().map_err(io())? {
            match item {
                Item::Record(bytes) => {
                    salvaged |= first.is_some();
                    self.record(&bytes, path);
                }
                Item::Damaged(damage) => {
                    self.head.counters.wal_corruptions.inc();
                    first.get_or_insert(damage);
                }
            }
        }
        if let Some(damage) = first {
            if self.read_only {
                tracing::warn!(
                    segment = %path.display(),
                    offset = damage.offset,
                    reason = damage.reason,
                    later_records_read = salvaged,
                    "skipped over damage in a log segment"
                );
                return Ok(());
            }
            tracing::warn!(
                segment = %path.display(),
                offset = damage.offset,
                reason = damage.reason,
                later_records_kept = salvaged,
                "repaired a damaged log segment"
            );
            repair::repair(files, path, &damage, salvaged)
                .map_err(TsdbError::io("cannot repair", path))?;
        }
        Ok(())
    }

    fn record(&mut self, bytes: &[u8], path: &Path) {
        match record::decode(bytes) {
            Ok(Record::Series(all)) => {
                for (series, labels) in all {
                    self.series(series, &labels);
                }
            }
            Ok(Record::Samples(all)) => {
                let mut last: Option<(u64, MemSeries)> = None;
                for s in all {
                    if self.out_of_order {
                        self.insert(s.series, s.t, Sample::Float(s.v));
                        continue;
                    }
                    if s.t < self.floor() {
                        continue;
                    }
                    if last.as_ref().is_none_or(|l| l.0 != s.series) {
                        last = self.find(s.series).map(|m| (s.series, m));
                    }
                    if let Some((_, series)) = &last {
                        let result = series.append_float(s.t, s.v, self.txn());
                        self.note(result, s.t);
                    }
                }
            }
            Ok(Record::Histograms(all)) => {
                for (series, t, h) in all {
                    let h = validate::check_int(h).map(Flat::from);
                    self.histogram(series, t, h, Sample::Histogram);
                }
            }
            Ok(Record::FloatHistograms(all)) => {
                for (series, t, h) in all {
                    let h = validate::check_float(h).map(Flat::from);
                    self.histogram(series, t, h, Sample::FloatHistogram);
                }
            }
            Ok(Record::Tombstones(all)) => {
                for s in all {
                    let range = Interval {
                        mint: s.mint,
                        maxt: s.maxt,
                    };
                    self.tombstone(s.series, range);
                }
            }
            Ok(Record::Exemplars(all)) => {
                for e in all {
                    if let Some(series) = self.find(e.series) {
                        let exemplar = Exemplar {
                            labels: e.labels,
                            value: e.v,
                            timestamp_ms: Some(e.t),
                        };
                        let mut ring = self.head.exemplars.lock();
                        ring.add(series.id, e.t, Arc::new(exemplar));
                    }
                }
            }
            Ok(Record::Metadata(all)) => {
                for (series, m) in all {
                    self.metadata(series, m);
                }
            }
            Ok(Record::MmapMarkers(all)) => {
                for (series, chunk) in all {
                    self.marker(series, chunk);
                }
            }
            Ok(Record::Late) => {}
            Ok(Record::Unknown(_)) => self.skipped_types += 1,
            Err(e) => {
                // The checksum was right, so a writer meant it: nothing to repair, but say it.
                self.head.counters.wal_corruptions.inc();
                tracing::warn!(segment = %path.display(), error = %e, "skipped a log record that does not decode");
            }
        }
    }

    fn txn(&self) -> Txn {
        Txn {
            number: TXN,
            watermark: TXN,
            chunk_range: self.head.options.block_range,
        }
    }

    fn floor(&self) -> i64 {
        self.head.min_valid.load(Ordering::Relaxed)
    }

    fn series(&mut self, reference: u64, labels: &Labels) {
        let own = u32::try_from(reference).ok();
        self.note_reference(reference);
        // A reference that another label set already has cannot be the id.
        let own = own.filter(|id| match self.head.slab.read().get(*id) {
            Some(s) => self.head.has_labels(&s, labels),
            None => true,
        });
        let id = own.unwrap_or_else(|| {
            self.spare -= 1;
            self.spare
        });
        match self.head.get_or_create(labels, Some(id)) {
            Ok((series, _)) => {
                if own == Some(series.id) {
                    series.set_logged();
                }
                if let Some(mut chunks) = self.files.in_order.remove(&reference) {
                    if u64::from(series.id) != reference {
                        // In memory, so that the next file has them under the number that later chunks of the
                        // series get: a start must find all of them at once.
                        for c in &mut chunks {
                            c.data = ChunkData::Memory((&*c.data).into());
                        }
                    }
                    self.adopt(&series, chunks);
                }
                if let Some(chunks) = self.files.out_of_order.remove(&reference) {
                    self.adopt_out_of_order(&series, chunks);
                }
                if u64::from(series.id) != reference {
                    self.aliases.insert(reference, series);
                }
            }
            Err(AppendError::Limit(reason)) => {
                tracing::error!(%reason, "a logged series does not fit into the head");
            }
            Err(e) => tracing::error!(error = %e, "a logged series is refused"),
        }
    }

    /// Gives a series its chunks from files, as far as they are not in blocks. The log's samples up to their
    /// end are then not newer, and are skipped.
    fn adopt(&mut self, series: &MemSeries, mut chunks: Vec<EncodedChunk>) {
        let floor = self.floor();
        chunks.retain(|c| c.maxt >= floor);
        // A chunk that is partly in a block (cut with other block ranges): the log tells the series better.
        if chunks.iter().any(|c| c.mint < floor) {
            return;
        }
        let taken = series.adopt(chunks);
        if taken > 0 {
            let state = series.state().read();
            self.chunks += taken as i64;
            self.mint = self.mint.min(state.mint());
            self.maxt = self.maxt.max(state.last_t);
            series.marks().set_newest(series.id, state.last_t);
        }
    }

    /// Marks samples as deleted that exist now, as when the mark was made: when the log lost some, their times may
    /// come again.
    fn tombstone(&mut self, reference: u64, mut range: Interval) {
        let Some(series) = self.find(reference) else {
            return;
        };
        if range == ALL_OF_TIME {
            self.forget(&series);
            return;
        }
        self.late_marks.push((series.id, range));
        range.maxt = range.maxt.min(series.state().read().last_t);
        if range.mint <= range.maxt {
            let mut stones = self.head.tombstones.write();
            stones.add(u64::from(series.id), range);
        }
    }

    /// Forgets a series that went. What the log has of it behind this is another life.
    fn forget(&mut self, series: &MemSeries) {
        self.chunks -= series.state().write().forget() as i64;
        series.marks().set_newest(series.id, i64::MIN);
        self.late_marks.retain(|(id, _)| *id != series.id);
        let id = u64::from(series.id);
        self.head.tombstones.write().remove(id);
        self.gone.push(series.id);
    }

    /// The same for out-of-order samples, when all of them are there.
    fn mark_out_of_order(&self) {
        let mut stones = self.head.tombstones.write();
        for (id, mut range) in self.late_marks.iter().copied() {
            let Some(series) = self.head.get(u64::from(id)) else {
                continue;
            };
            let bounds = series
                .state()
                .read()
                .out_of_order()
                .and_then(|o| o.bounds());
            let Some((first, last)) = bounds else {
                continue;
            };
            range.mint = range.mint.max(first);
            range.maxt = range.maxt.min(last);
            if range.mint <= range.maxt {
                stones.add(u64::from(id), range);
            }
        }
    }

    /// Keeps a reference from being given away again. Those that an earlier start gave from the top down must not
    /// raise the next id to the top.
    fn note_reference(&mut self, reference: u64) {
        let Ok(id) = u32::try_from(reference) else {
            return;
        };
        if id >= SPARE_FLOOR {
            self.spare = self.spare.min(id);
        } else {
            self.max_ref = self.max_ref.max(id);
        }
    }

    fn adopt_out_of_order(&mut self, series: &MemSeries, chunks: Vec<EncodedChunk>) {
        let mut index = self.head.out_of_order.lock();
        for c in &chunks {
            index.note(series.id, c.mint, c.maxt);
        }
        drop(index);
        self.chunks += chunks.len() as i64;
        let mut state = series.state().write();
        state.out_of_order_or_new().adopt(chunks);
    }

    /// A sample of the out-of-order log.
    fn insert(&mut self, reference: u64, t: i64, sample: Sample) {
        // A reference in this log alone must not be given to another series either.
        self.note_reference(reference);
        let Some(series) = self.find(reference) else {
            return;
        };
        match series.insert_out_of_order(t, sample, self.txn()) {
            Ok(_) => self.head.out_of_order.lock().note(series.id, t, t),
            Err(e) => {
                tracing::error!(error = %e, "out-of-order chunk does not encode, samples dropped");
            }
        }
    }

    /// The out-of-order log says that a chunk file has a series' samples so far; so it is, unless that file was
    /// damaged.
    fn marker(&mut self, reference: u64, chunk: u64) {
        if chunk <= self.files.last
            && let Some(series) = self.find(reference)
            && let Some(ooo) = series.state().write().out_of_order_mut()
        {
            ooo.forget_memory();
        }
    }

    fn find(&mut self, reference: u64) -> Option<MemSeries> {
        let found = self
            .aliases
            .get(&reference)
            .cloned()
            .or_else(|| self.head.get(reference));
        if found.is_none() {
            self.unknown += 1;
            self.note_reference(reference);
        }
        found
    }

    fn histogram<T: OpenHistogram>(
        &mut self,
        reference: u64,
        t: i64,
        sample: Result<Flat<T>, String>,
        out_of_order: impl FnOnce(Box<Flat<T>>) -> Sample,
    ) {
        if !self.out_of_order && t < self.floor() {
            return;
        }
        let sample = match sample {
            Ok(s) => s,
            Err(reason) => {
                self.head.counters.wal_corruptions.inc();
                tracing::warn!(%reason, "skipped a logged histogram that contradicts itself");
                return;
            }
        };
        if self.out_of_order {
            self.insert(reference, t, out_of_order(Box::new(sample)));
            return;
        }
        let Some(series) = self.find(reference) else {
            return;
        };
        let result = series.append_histogram(t, sample, self.txn());
        match result {
            Ok(result) => self.note(result, t),
            Err(e) => {
                tracing::error!(error = %e, "histogram chunk does not decode, sample dropped");
            }
        }
    }

    fn metadata(&mut self, reference: u64, m: Metadata) {
        if let Some(series) = self.find(reference) {
            self.head.metadata.write().insert(series.id, Arc::new(m));
        }
    }

    fn note(&mut self, result: Appended, t: i64) {
        if let Appended::Stored { new_chunk } = result {
            self.chunks += i64::from(new_chunk);
            self.mint = self.mint.min(t);
            self.maxt = self.maxt.max(t);
        }
    }
}
