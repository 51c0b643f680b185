//! How far the receiver has what is in the log, kept on the disk.
//!
//! A series' samples always go through the same shard, and a shard sends its batches in the order of the log. So what
//! the receiver has of a shard's series is everything up to one place, and that place per shard is all there is to
//! remember. Before a batch leaves, its end is noted as well: after a crash nobody knows whether that batch arrived, so
//! exactly that batch is sent again, alone. A receiver that has it already refuses or ignores it as a whole; were it
//! mixed with newer samples, Prometheus would refuse those with it.
//!
//! The file has two slots that are written in turn, each with a checksum: whatever interrupts a write, one is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bellwether_tsdb::LogPosition;
use parking_lot::Mutex;

/// A sample's place in the log: the end of its record, and its number in the record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Where the record ends.
    pub(crate) record: LogPosition,
    /// Number of the sample in the record.
    pub(crate) index: u32,
}

impl Place {
    /// The end of a record, or the beginning of what follows it.
    pub(crate) fn end_of(record: LogPosition) -> Self {
        Self {
            record,
            index: u32::MAX,
        }
    }
}

/// What is kept of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardPlace {
    /// The receiver has everything up to here, or refused it for good.
    pub(crate) done: Place,
    /// A batch up to here was on its way.
    pub(crate) sending: Option<Place>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Shard {
    place: ShardPlace,
    /// Batches that are filled, wait, or are on their way.
    batches: u32,
}

#[derive(Debug)]
struct Inner {
    /// The log is read up to here.
    read: Place,
    shards: Vec<Shard>,
    is_dirty: bool,
}

/// Positions of one remote system.
#[derive(Debug)]
pub(crate) struct Progress {
    inner: Mutex<Inner>,
    file: Mutex<StateFile>,
}

/// Between two times that the positions are forced to the disk. A killed process needs none of it; after a crash of the
/// machine this much is sent again.
const SYNC_EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// Opens the positions of a remote system; without any, everything from `now` on is to be sent, with so many
    /// shards.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn open(path: &Path, now: LogPosition, shards_first: usize) -> io::Result<Self> {
        let (mut file, known) = StateFile::open(path)?;
        let shards = match known {
            // A place beyond the end is of another log: one that was deleted, for example.
            Some(shards) if shards.iter().all(|s| s.done.record <= now) => shards,
            Some(_) => {
                tracing::warn!(
                    file = %path.display(),
                    "the positions of remote write are beyond the end of the log: sending from now on"
                );
                Vec::new()
            }
            None => Vec::new(),
        };
        let is_new = shards.is_empty();
        let place = |place: ShardPlace| Shard { place, batches: 0 };
        let mut inner = Inner {
            read: Place::default(),
            shards: shards.into_iter().map(place).collect(),
            is_dirty: false,
        };
        if is_new {
            inner.read = Place::end_of(now);
            let place = ShardPlace {
                done: inner.read,
                sending: None,
            };
            inner.shards = vec![Shard { place, batches: 0 }; shards_first.max(1)];
            file.write(&inner.places())?;
            file.sync()?;
        } else {
            inner.read = inner.low();
        }
        Ok(Self {
            inner: Mutex::new(inner),
            file: Mutex::new(file),
        })
    }

    /// The shards' places as they were when this was opened, or as they are.
    pub(crate) fn shards(&self) -> Vec<ShardPlace> {
        self.inner.lock().shards.iter().map(|s| s.place).collect()
    }

    /// Where reading goes on.
    pub(crate) fn read(&self) -> Place {
        self.inner.lock().read
    }

    /// Everything up to a place is in batches.
    pub(crate) fn set_read(&self, read: Place) {
        let mut inner = self.inner.lock();
        inner.read = read;
        inner.is_dirty = true;
    }

    /// Everything up to here is done with, in all shards.
    pub(crate) fn low(&self) -> Place {
        self.inner.lock().low()
    }

    /// A batch of a shard gets its first sample.
    pub(crate) fn begin_batch(&self, shard: usize) {
        let mut inner = self.inner.lock();
        let read = inner.read;
        if let Some(shard) = inner.shards.get_mut(shard) {
            if shard.batches == 0 && shard.place.sending.is_none() {
                shard.place.done = shard.place.done.max(read);
            }
            shard.batches += 1;
        }
    }

    /// A batch that ends at a place leaves. On the disk before this returns, for a killed process. Blocking.
    pub(crate) fn begin_send(&self, shard: usize, end: Place) {
        {
            let mut inner = self.inner.lock();
            if let Some(shard) = inner.shards.get_mut(shard) {
                shard.place.sending = Some(end);
            }
            inner.is_dirty = true;
        }
        self.save();
    }

    /// A batch is done with: the receiver has it, or refused it for good, or all of it was too old.
    pub(crate) fn end_send(&self, shard: usize, end: Place) {
        let mut inner = self.inner.lock();
        if let Some(shard) = inner.shards.get_mut(shard) {
            shard.place = ShardPlace {
                done: end,
                sending: None,
            };
            shard.batches = shard.batches.saturating_sub(1);
        }
        inner.is_dirty = true;
    }

    /// Whether no shard has a batch.
    pub(crate) fn is_idle(&self) -> bool {
        self.inner.lock().shards.iter().all(|s| s.batches == 0)
    }

    /// Nothing is left to send of the batch that was on its way before the start.
    pub(crate) fn settle(&self, shard: usize) {
        let mut inner = self.inner.lock();
        if let Some(shard) = inner.shards.get_mut(shard) {
            shard.place.sending = None;
        }
        inner.is_dirty = true;
    }

    /// Begins anew with a number of shards, none of which has a batch.
    pub(crate) fn reset(&self, shards: usize) {
        let mut inner = self.inner.lock();
        let done = inner.read;
        let place = ShardPlace {
            done,
            sending: None,
        };
        inner.shards = vec![Shard { place, batches: 0 }; shards];
        inner.is_dirty = true;
    }

    /// Hands the positions to the operating system, if they changed. Blocking.
    pub(crate) fn save(&self) {
        // The file's lock first: an older state never overwrites a newer one.
        let mut file = self.file.lock();
        let places = {
            let mut inner = self.inner.lock();
            if !std::mem::take(&mut inner.is_dirty) {
                return;
            }
            inner.places()
        };
        if let Err(error) = file.write(&places) {
            self.inner.lock().is_dirty = true;
            file.warn(&error);
        }
    }

    /// [`Progress::save`], and forces them to the disk from time to time, or at once. Blocking.
    pub(crate) fn sync(&self, at_once: bool) {
        self.save();
        let mut file = self.file.lock();
        if (at_once || file.synced.elapsed() >= SYNC_EVERY)
            && let Err(error) = file.sync()
        {
            file.warn(&error);
        }
    }
}

impl Inner {
    /// A shard without batches has everything that was read.
    fn done(&self, shard: &Shard) -> Place {
        match shard.batches {
            0 if shard.place.sending.is_none() => shard.place.done.max(self.read),
            _ => shard.place.done,
        }
    }

    fn low(&self) -> Place {
        let all = self.shards.iter().map(|s| self.done(s));
        all.min().unwrap_or(self.read)
    }

    fn places(&self) -> Vec<ShardPlace> {
        let place = |s: &Shard| ShardPlace {
            done: self.done(s),
            sending: s.place.sending,
        };
        self.shards.iter().map(place).collect()
    }
}

const MAGIC: &[u8; 8] = b"BWREMOT1";
/// Bytes of a slot.
const SLOT: usize = 64 << 10;
/// Bytes before a slot's places, and behind them.
const HEADER: usize = 8 + 8 + 4;
const CHECKSUM: usize = 4;
const PLACE: usize = 8 + 8 + 4;
const ENTRY: usize = 2 * PLACE + 1;
/// Shards that a slot has room for; with more, the lowest place stands for all.
const SHARDS_MAX: usize = (SLOT - HEADER - CHECKSUM) / ENTRY;

/// The file.
#[derive(Debug)]
struct StateFile {
    file: File,
    path: PathBuf,
    sequence: u64,
    synced: Instant,
    is_unsynced: bool,
    warned: Option<Instant>,
}

impl StateFile {
    fn open(path: &Path) -> io::Result<(Self, Option<Vec<ShardPlace>>)> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut bytes = Vec::new();
        (&mut file).take(2 * SLOT as u64).read_to_end(&mut bytes)?;
        let slots = bytes.chunks(SLOT).filter_map(decode);
        let newest = slots.max_by_key(|(sequence, _)| *sequence);
        let (sequence, places) = newest.map_or((0, None), |(n, places)| (n, Some(places)));
        let this = Self {
            file,
            path: path.to_owned(),
            sequence,
            synced: Instant::now(),
            is_unsynced: false,
            warned: None,
        };
        Ok((this, places))
    }

    fn write(&mut self, places: &[ShardPlace]) -> io::Result<()> {
        let lowest;
        let places = if places.len() > SHARDS_MAX {
            let done = places.iter().map(|p| p.done).min().unwrap_or_default();
            lowest = [ShardPlace {
                done,
                sending: None,
            }];
            &lowest[..]
        } else {
            places
        };
        self.sequence += 1;
        let bytes = encode(self.sequence, places);
        let slot = (self.sequence % 2) * SLOT as u64;
        self.file.seek(SeekFrom::Start(slot))?;
        self.file.write_all(&bytes)?;
        self.is_unsynced = true;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        if std::mem::take(&mut self.is_unsynced)
            && let Err(error) = self.file.sync_data()
        {
            self.is_unsynced = true;
            return Err(error);
        }
        Ok(())
    }

    /// Says once a minute that positions cannot be kept; sending goes on.
    fn warn(&mut self, error: &io::Error) {
        if self
            .warned
            .is_none_or(|at| at.elapsed() >= Duration::from_secs(60))
        {
            self.warned = Some(Instant::now());
            tracing::error!(
                file = %self.path.display(),
                %error,
                "cannot keep the position of remote write: after a restart samples are sent again"
            );
        }
    }
}

fn encode(sequence: u64, places: &[ShardPlace]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + places.len() * ENTRY + CHECKSUM);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&sequence.to_le_bytes());
    // Bounded by the room of a slot.
    out.extend_from_slice(&(places.len() as u32).to_le_bytes());
    let put = |out: &mut Vec<u8>, place: Place| {
        out.extend_from_slice(&place.record.segment.to_le_bytes());
        out.extend_from_slice(&place.record.offset.to_le_bytes());
        out.extend_from_slice(&place.index.to_le_bytes());
    };
    for place in places {
        put(&mut out, place.done);
        out.push(u8::from(place.sending.is_some()));
        put(&mut out, place.sending.unwrap_or_default());
    }
    let sum = crc_fast::crc32_iscsi(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn decode(slot: &[u8]) -> Option<(u64, Vec<ShardPlace>)> {
    let word = |at: usize| -> Option<u64> {
        let bytes = slot.get(at..at + 8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let half = |at: usize| -> Option<u32> {
        let bytes = slot.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if slot.get(..MAGIC.len())? != MAGIC {
        return None;
    }
    let (sequence, count) = (word(8)?, half(16)? as usize);
    let end = HEADER + count.checked_mul(ENTRY)?;
    if count == 0 || half(end)? != crc_fast::crc32_iscsi(slot.get(..end)?) {
        return None;
    }
    let place = |at: usize| -> Option<Place> {
        let record = LogPosition {
            segment: word(at)?,
            offset: word(at + 8)?,
        };
        let index = half(at + 16)?;
        Some(Place { record, index })
    };
    let entry = |n: usize| -> Option<ShardPlace> {
        let at = HEADER + n * ENTRY;
        let is_sending = *slot.get(at + PLACE)? != 0;
        let end = place(at + PLACE + 1)?;
        Some(ShardPlace {
            done: place(at)?,
            sending: is_sending.then_some(end),
        })
    };
    let places: Option<Vec<ShardPlace>> = (0..count).map(entry).collect();
    Some((sequence, places?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(segment: u64, offset: u64, index: u32) -> Place {
        Place {
            record: LogPosition { segment, offset },
            index,
        }
    }

    const NOW: LogPosition = LogPosition {
        segment: 9,
        offset: 0,
    };

    #[test]
    fn a_new_remote_system_begins_at_the_end_of_the_log_and_remembers_that() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a").join("x");
        let progress = Progress::open(
            &path,
            LogPosition {
                segment: 2,
                offset: 7,
            },
            1,
        )
        .unwrap();
        assert_eq!(progress.read(), at(2, 7, u32::MAX));
        // Killed at once.
        drop(progress);
        assert_eq!(
            Progress::open(&path, NOW, 1).unwrap().low(),
            at(2, 7, u32::MAX)
        );
    }

    #[test]
    fn a_crash_in_the_middle_of_sending_is_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let progress = Progress::open(&path, LogPosition::default(), 1).unwrap();
        progress.reset(2);
        progress.begin_batch(0);
        progress.begin_batch(1);
        progress.set_read(at(1, 50, u32::MAX));
        progress.begin_send(0, at(1, 50, 3));
        progress.begin_send(1, at(1, 50, 4));
        progress.end_send(0, at(1, 50, 3));
        progress.begin_batch(0);
        progress.set_read(at(1, 80, u32::MAX));
        progress.begin_send(0, at(1, 80, 1));
        drop(progress);
        let progress = Progress::open(&path, NOW, 1).unwrap();
        let places = progress.shards();
        // All of the first record was handed out when the second batch began.
        assert_eq!(places[0].done, at(1, 50, u32::MAX));
        assert_eq!(places[0].sending, Some(at(1, 80, 1)));
        assert_eq!(places[1].sending, Some(at(1, 50, 4)));
        assert_eq!(progress.read(), progress.low());
    }

    #[test]
    fn a_shard_without_batches_does_not_hold_the_position_back() {
        let dir = tempfile::tempdir().unwrap();
        let progress = Progress::open(&dir.path().join("x"), LogPosition::default(), 1).unwrap();
        progress.reset(2);
        progress.begin_batch(0);
        progress.set_read(at(3, 5, u32::MAX));
        assert!(progress.low() < at(3, 5, 0) && !progress.is_idle());
        progress.end_send(0, at(3, 5, 2));
        assert_eq!(progress.low(), at(3, 5, u32::MAX));
        assert!(progress.is_idle());
    }

    #[test]
    fn a_torn_write_leaves_the_state_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let progress = Progress::open(&path, LogPosition::default(), 1).unwrap();
        progress.set_read(at(1, 1, u32::MAX));
        progress.save();
        progress.set_read(at(1, 2, u32::MAX));
        progress.save();
        drop(progress);
        let mut bytes = fs::read(&path).unwrap();
        // The third state is in the second slot.
        bytes[SLOT + 30] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let progress = Progress::open(&path, NOW, 1).unwrap();
        assert_eq!(progress.low(), at(1, 1, u32::MAX));
    }

    #[test]
    fn places_of_another_log_do_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        drop(Progress::open(&path, NOW, 1).unwrap());
        let now = LogPosition::default();
        let progress = Progress::open(&path, now, 1).unwrap();
        assert_eq!(progress.read(), Place::end_of(now));
    }

    #[test]
    fn any_bytes_are_a_file_without_positions() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for bytes in [vec![0; 10], vec![0xff; 3 * SLOT], b"BWREMOT1".to_vec()] {
            fs::write(&path, bytes).unwrap();
            let progress = Progress::open(&path, NOW, 1).unwrap();
            assert_eq!(progress.read(), Place::end_of(NOW));
        }
    }
}
