//! Follows the log and fills the shards' batches.
//!
//! One thread per queue, because reading the log blocks. It learns the names of series from the newest checkpoint and
//! the segments that are left, hands out the samples behind the position that was kept, and then waits for commits. Full
//! queues hold the reading up, so that a receiver that is down costs the queues' memory and no more.

mod fill;
mod record;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bellwether_model::Labels;
use bellwether_telemetry::Counter;
use bellwether_tsdb::log_tail::{LogItem, LogReader, LogRecord, RecordKind};
use bellwether_tsdb::{LogPosition, LogTail};
use tokio::runtime::Handle;

use super::batch::{Batch, Counts};
use super::progress::{Place, ShardPlace};
use super::series::{Known, SeriesTable};
use super::shards::{Shard, Shared, run_shard};
use crate::config::Message;
use record::Samples;

/// Longest wait for a commit.
const IDLE: Duration = Duration::from_millis(500);
/// After the log could not be read.
const RETRY: Duration = Duration::from_secs(5);
/// Between two looks for a new checkpoint.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// Between two times that positions are handed to the operating system without a batch leaving.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// First and longest pause while a queue is full.
const FULL_WAIT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// Why following the log ended.
enum End {
    /// The queue stops.
    Stopped,
    /// The log could not be read.
    Failed(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// A batch that is being filled.
struct Open {
    batch: Batch,
    /// What the receiver has already, as of the last start.
    done: Place,
    /// The batch that was on its way when the process ended goes up to here, and alone.
    seal_at: Option<Place>,
}

impl Open {
    /// Whether the batch may end here: the one of before the restart only when all of it was read.
    fn is_whole(&self, read: Place) -> bool {
        self.seal_at.is_none_or(|seal| read >= seal)
    }
}

/// The reader of the log.
pub(crate) struct Watcher {
    shared: Arc<Shared>,
    log: LogTail,
    external: Labels,
    runtime: Handle,
    table: SeriesTable,
    shards: Vec<Arc<Shard>>,
    open: Vec<Open>,
    /// Everything up to here was handed out.
    read: Place,
    /// Up to here samples may have been sent before the last start.
    resumed_to: Place,
    /// End of the log when following began.
    began_at: LogPosition,
    checkpoint: Option<u64>,
    /// Slots of forgotten series, with the place from which on no batch has them.
    doomed: Vec<(Place, Vec<u32>)>,
    records: Vec<(RecordKind, Counter)>,
    scratch: Vec<(u64, i64, f64)>,
    checkpoint_looked: Instant,
    saved: Instant,
    looked: Instant,
    unknown_told: bool,
    /// Entries in batches that the metrics do not show yet.
    unaccounted: Counts,
}

impl Watcher {
    pub(crate) fn new(
        shared: Arc<Shared>,
        log: LogTail,
        external: Labels,
        runtime: Handle,
    ) -> Self {
        let read = shared.progress.read();
        Self {
            shared,
            external,
            runtime,
            table: SeriesTable::default(),
            shards: Vec::new(),
            open: Vec::new(),
            read,
            resumed_to: Place::default(),
            began_at: log.end(),
            checkpoint: None,
            doomed: Vec::new(),
            records: Vec::new(),
            scratch: Vec::new(),
            checkpoint_looked: Instant::now(),
            saved: Instant::now(),
            looked: Instant::now(),
            unknown_told: false,
            unaccounted: Counts::default(),
            log,
        }
    }

    /// Runs until the queue stops.
    pub(crate) fn run(mut self) {
        let places = self.shared.progress.shards();
        self.start_shards(&places);
        loop {
            match self.follow() {
                Err(End::Failed(error)) => {
                    tracing::error!(
                        remote_name = self.shared.settings.name,
                        %error,
                        "cannot follow the log, it will be tried again"
                    );
                    let begin = Instant::now();
                    while begin.elapsed() < RETRY && !self.shared.is_stopping() {
                        let _ = self.log.wait_beyond(self.log.end(), IDLE);
                    }
                }
                Err(End::Stopped) | Ok(()) => {}
            }
            if self.shared.is_stopping() {
                break;
            }
        }
        self.finish();
    }

    /// Hands over what is in the batches, where there is room, and closes the queues.
    fn finish(mut self) {
        for index in 0..self.shards.len() {
            // What finds no room is read again after the next start, and so is a part of a batch that must stay whole.
            if self.open[index].is_whole(self.read) {
                let _ = self.hand_over(index, false);
            }
        }
        for shard in &self.shards {
            shard.close();
        }
        self.shared.progress.save();
    }

    fn start_shards(&mut self, places: &[ShardPlace]) {
        let settings = &self.shared.settings;
        self.shards = places.iter().map(|_| Shard::new(settings)).collect();
        self.open = places
            .iter()
            .map(|place| Open {
                batch: self.shared.new_batch(),
                done: place.done,
                seal_at: place.sending,
            })
            .collect();
        let reached = places
            .iter()
            .map(|p| p.sending.unwrap_or(p.done).max(p.done));
        self.resumed_to = reached.max().unwrap_or_default();
        for (index, shard) in self.shards.iter().enumerate() {
            let work = run_shard(Arc::clone(&self.shared), Arc::clone(shard), index);
            self.shared.tasks.spawn_on(work, &self.runtime);
        }
        self.shared.metrics.shards.set(self.shards.len() as f64);
    }

    /// Changes the number of shards. All batches are sent first, so that a series' samples stay in order.
    fn reshard(&mut self, wanted: usize) -> Result<(), End> {
        tracing::info!(
            remote_name = self.shared.settings.name,
            from = self.shards.len(),
            to = wanted,
            "remote storage resharding"
        );
        for index in 0..self.shards.len() {
            self.hand_over(index, true)?;
        }
        while !self.shared.progress.is_idle() {
            let seen = self.shared.room.seen();
            if self.shared.is_stopping() {
                return Err(End::Stopped);
            }
            if !self.shared.progress.is_idle() {
                self.shared.room.wait(seen, FULL_WAIT.1);
            }
        }
        for shard in self.shards.drain(..) {
            shard.close();
        }
        self.shared.progress.reset(wanted);
        let places = self.shared.progress.shards();
        self.start_shards(&places);
        Ok(())
    }

    /// Reads what the log has and goes on with what comes.
    fn follow(&mut self) -> Result<(), End> {
        self.began_at = self.log.end();
        self.checkpoint = self.log.last_checkpoint()?;
        if let Some(number) = self.checkpoint {
            for mut reader in self.log.open_checkpoint(number)? {
                self.names(&mut reader, number)?;
            }
        }
        let mut next = self.checkpoint.map_or(0, |n| n + 1);
        loop {
            let segment = self.next_segment(next)?;
            let read = self.read.record;
            let follows = segment == read.segment + 1 && read.offset == u64::MAX;
            if segment > read.segment && !follows {
                self.tell_gap(segment);
            }
            self.segment(segment)?;
            next = segment + 1;
        }
    }

    /// The first segment from a number on; waits for it.
    fn next_segment(&self, from: u64) -> Result<u64, End> {
        loop {
            let found = self.log.segments()?.into_iter().find(|n| *n >= from);
            if let Some(segment) = found {
                return Ok(segment);
            }
            if self.shared.is_stopping() {
                return Err(End::Stopped);
            }
            let _ = self.log.wait_beyond(self.log.end(), IDLE);
        }
    }

    fn tell_gap(&self, segment: u64) {
        tracing::warn!(
            remote_name = self.shared.settings.name,
            from_segment = self.read.record.segment,
            to_segment = segment,
            "the log was cut before everything was sent: the receiver was away for longer than the log is kept"
        );
    }

    /// Reads the names in a segment of a checkpoint.
    fn names(&mut self, reader: &mut LogReader, number: u64) -> Result<(), End> {
        while let Some(item) = reader.next(u64::MAX)? {
            let LogItem::Record(record) = item else {
                self.shared.metrics.decode_failures.inc();
                continue;
            };
            self.count(record.kind());
            self.learn(&record, number);
            if self.shared.is_stopping() {
                return Err(End::Stopped);
            }
        }
        Ok(())
    }

    /// Reads a segment to its end; the last one until there is a next one.
    fn segment(&mut self, segment: u64) -> Result<(), End> {
        self.shared.metrics.segment.set(segment as f64);
        let mut reader = match self.log.open(segment) {
            // Truncation was faster.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        loop {
            let end = self.log.end();
            let is_last = end.segment <= segment;
            let limit = if is_last { end.offset } else { u64::MAX };
            while let Some(item) = reader.next(limit)? {
                let record = match item {
                    LogItem::Record(record) => record,
                    LogItem::Damaged(reason) => {
                        self.shared.metrics.decode_failures.inc();
                        tracing::warn!(segment, reason, "passed over damage in the log");
                        continue;
                    }
                };
                self.count(record.kind());
                self.learn(&record, segment);
                let at = LogPosition {
                    segment,
                    offset: record.end(),
                };
                if Place::end_of(at) > self.read {
                    let samples = Samples::of(&record, &mut self.scratch, &self.shared);
                    self.take(samples, at)?;
                }
                // Making up for hours takes long, too.
                if self.looked.elapsed() >= IDLE {
                    self.look_around(segment)?;
                }
            }
            if !is_last {
                let at = LogPosition {
                    segment,
                    offset: u64::MAX,
                };
                self.note_read(Place::end_of(at));
                return Ok(());
            }
            self.look_around(segment)?;
            let at = LogPosition {
                segment,
                offset: limit,
            };
            let _ = self.log.wait_beyond(at, self.patience());
        }
    }

    /// How long nothing needs to be done.
    fn patience(&self) -> Duration {
        let deadline = self.shared.settings.batch_send_deadline;
        let now = Instant::now();
        let due = self.open.iter().filter(|open| !open.batch.is_empty());
        let left = due.map(|open| (open.batch.since + deadline).saturating_duration_since(now));
        left.min().unwrap_or(IDLE).min(IDLE)
    }

    /// What is due now and then.
    fn look_around(&mut self, segment: u64) -> Result<(), End> {
        if self.shared.is_stopping() {
            return Err(End::Stopped);
        }
        self.looked = Instant::now();
        self.hand_over_due();
        if self.read >= self.resumed_to {
            let wanted = self.shared.wanted_shards.load(Ordering::Relaxed);
            if wanted != self.shards.len() {
                self.reshard(wanted)?;
            }
        }
        self.save_sometimes();
        if self.checkpoint_looked.elapsed() >= CHECKPOINT_EVERY {
            self.checkpoint_looked = Instant::now();
            self.forget(segment)?;
        }
        Ok(())
    }

    fn save_sometimes(&mut self) {
        if self.saved.elapsed() >= SAVE_EVERY {
            self.saved = Instant::now();
            self.shared.progress.sync(false);
        }
    }

    /// After a new checkpoint: series that neither it nor a later segment names are forgotten.
    fn forget(&mut self, segment: u64) -> Result<(), End> {
        let low = self.shared.progress.low();
        let shared = &self.shared;
        self.doomed.retain(|(place, slots)| {
            if *place > low {
                return true;
            }
            let mut catalog = shared.catalog.write();
            slots.iter().for_each(|slot| catalog.remove(*slot));
            false
        });
        let newest = self.log.last_checkpoint()?;
        let Some(number) = newest.filter(|n| newest != self.checkpoint && *n < segment) else {
            return Ok(());
        };
        self.checkpoint = newest;
        for mut reader in self.log.open_checkpoint(number)? {
            while let Some(item) = reader.next(u64::MAX)? {
                if let LogItem::Record(record) = item {
                    for (reference, _) in record.series().unwrap_or_default() {
                        self.table.touch(reference, number);
                    }
                }
            }
        }
        let slots = self.table.forget_before(number);
        if !slots.is_empty() {
            self.doomed.push((self.read, slots));
        }
        Ok(())
    }

    fn count(&mut self, kind: RecordKind) {
        if let Some((_, counter)) = self.records.iter().find(|(k, _)| *k == kind) {
            counter.inc();
            return;
        }
        let counter = self.shared.metrics.records(kind.as_str());
        counter.inc();
        self.records.push((kind, counter));
    }

    /// Takes names and metadata of series from a record.
    fn learn(&mut self, record: &LogRecord<'_>, segment: u64) {
        let learned = match record.kind() {
            RecordKind::Series => record.series().map(|all| {
                for (reference, labels) in &all {
                    self.series(*reference, labels, segment);
                }
            }),
            RecordKind::Metadata if self.shared.settings.message == Message::V2 => {
                record.metadata().map(|all| {
                    let mut catalog = self.shared.catalog.write();
                    for (reference, metadata) in &all {
                        if let Known::Slot(slot) = self.table.get(*reference) {
                            catalog.set_metadata(slot, metadata);
                        }
                    }
                })
            }
            _ => Ok(()),
        };
        if let Err(error) = learned {
            self.shared.metrics.decode_failures.inc();
            tracing::warn!(segment, %error, "passed over a log record");
        }
    }

    fn series(&mut self, reference: u64, labels: &Labels, segment: u64) {
        if self.table.get(reference) != Known::No {
            self.table.touch(reference, segment);
            return;
        }
        let mut builder = labels.to_builder();
        for label in &self.external {
            if builder.value(label.name).is_empty() {
                builder.set(label.name, label.value);
            }
        }
        let known = if self.shared.settings.relabel.apply(&mut builder) {
            let slot = self.shared.catalog.write().add(&builder.build());
            Known::Slot(slot)
        } else {
            Known::Dropped
        };
        self.table.set(reference, known, segment);
    }

    /// Everything up to a place is in batches.
    fn note_read(&mut self, place: Place) {
        if place > self.read {
            self.read = place;
            self.shared.progress.set_read(place);
        }
    }
}
