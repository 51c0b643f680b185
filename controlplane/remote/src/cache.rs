//! Series that earlier requests named.
//!
//! A sender names all labels of a series in every request. Taking them apart, sorting them and looking the set up
//! in storage costs more than storing the sample, so the cache maps the label fields as sent, byte by byte, to
//! the reference in storage. It keeps no bytes but 128 bits of two keyed hashes, and trusts them: of two label sets
//! that share all 128 bits the second would be stored as the first. Comparing bytes would rule that out at the price
//! of keeping them, some hundred MB for a million series, or of reading the series' labels for every sample. The
//! hashes are enough:
//! - *By chance.* Both have random keys of their own for each cache, so they are independent, and a label set meets
//!   one of the at most 2^21 others in the cache with a probability of 2^-107. With a million new label sets in every
//!   second that happens once in 10^18 years.
//! - *On purpose.* SipHash is made for secret keys: without them nobody can look for label sets that share its 64 bits,
//!   and neither key nor hash ever leaves the process. Even if the other hash were worthless, a sender would have to
//!   try 2^43 label sets against a full cache. What it won it has anyway: who may write may name any series.
//!
//! Storage may have dropped a series since; appending to it then says so, and the caller names it anew. Entries
//! that no request asked for in [`KEEP_MS`] are forgotten: there are two generations, and the older one is dropped
//! when the younger one is that old or full.

use std::hash::{BuildHasher as _, RandomState};

use bellwether_model::storage::SeriesRef;
use hashbrown::HashMap;
use parking_lot::Mutex;

/// A power of two: so many requests look series up without meeting.
const SHARDS: usize = 16;
/// Entries of a generation of a shard: a million series in all.
const SHARD_ENTRIES: usize = 65_536;
/// How long a generation takes entries, in milliseconds.
const KEEP_MS: i64 = 10 * 60 * 1000;

type Fast = foldhash::fast::RandomState;
type Generation = HashMap<Key, SeriesRef, Fast>;

/// The hashes of a label set as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64, u64);

#[derive(Debug, Default)]
struct Shard {
    young: Generation,
    old: Generation,
    /// When the young generation began.
    since_ms: i64,
}

impl Shard {
    /// Lets entries age.
    fn turn(&mut self, now_ms: i64) {
        let age = now_ms.saturating_sub(self.since_ms);
        // The clock may have been set back.
        if self.young.len() >= SHARD_ENTRIES || !(0..KEEP_MS).contains(&age) {
            self.old = std::mem::take(&mut self.young);
            self.since_ms = now_ms;
        }
    }
}

/// Series that earlier requests named; see the module's documentation. One for each storage.
#[derive(Debug)]
pub struct SeriesCache {
    shards: [Mutex<Shard>; SHARDS],
    strong: RandomState,
    fast: Fast,
}

impl Default for SeriesCache {
    fn default() -> Self {
        Self {
            shards: Default::default(),
            strong: RandomState::new(),
            fast: Fast::default(),
        }
    }
}

impl SeriesCache {
    pub(crate) fn key(&self, labels: &[u8]) -> Key {
        Key(self.strong.hash_one(labels), self.fast.hash_one(labels))
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        &self.shards[key.0 as usize % SHARDS]
    }

    /// The series of a label set.
    pub(crate) fn get(&self, key: Key, now_ms: i64) -> Option<SeriesRef> {
        let mut shard = self.shard(key).lock();
        shard.turn(now_ms);
        if let Some(series) = shard.young.get(&key) {
            return Some(*series);
        }
        let series = shard.old.remove(&key)?;
        shard.young.insert(key, series);
        Some(series)
    }

    pub(crate) fn insert(&self, key: Key, series: SeriesRef) {
        self.shard(key).lock().young.insert(key, series);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_in_use_stay_and_others_go() {
        let cache = SeriesCache::default();
        let (used, idle) = (cache.key(b"used"), cache.key(b"idle"));
        assert_eq!(cache.get(used, 0), None);
        cache.insert(used, SeriesRef(1));
        cache.insert(idle, SeriesRef(2));
        for round in 1..5 {
            // Both shards age, whoever is asked for.
            let now = round * KEEP_MS;
            cache.shard(idle).lock().turn(now);
            assert_eq!(cache.get(used, now), Some(SeriesRef(1)));
        }
        assert_eq!(cache.get(idle, 5 * KEEP_MS), None);
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = SeriesCache::default();
        for i in 0..3 * (SHARDS * SHARD_ENTRIES) as u64 {
            let key = Key(i, i);
            if cache.get(key, 0).is_none() {
                cache.insert(key, SeriesRef(i));
            }
        }
        for shard in &cache.shards {
            let shard = shard.lock();
            assert!(shard.young.len() <= SHARD_ENTRIES && shard.old.len() <= SHARD_ENTRIES);
        }
    }
}
