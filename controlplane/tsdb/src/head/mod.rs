//! The head: the newest samples, in memory and in the log.
//!
//! ```text
//! labels -> shards (hash table) -> id -> slab -> MemSeries { symbols, open chunk, closed chunks }
//! matchers -> postings (symbols -> ids) ---^           + out-of-order samples
//! ```
//! Invariants:
//! - an id is given once in the life of a directory and is the series' reference in the log;
//! - publication order is log order: both happen under the commit lock (`wal`);
//! - locks are taken in this order: those of `log_sync`, `wal`, `wbl`, a shard, `creation`, then one of `symbols`,
//!   `postings`, `slab`, then a series' state, last the scratch of the chunks. `symbols` before `postings` where both
//!   are held. Who holds the states of some series may only try for that of another.

pub(crate) mod appender;
pub(crate) mod chunk_files;
mod encode;
pub(crate) mod exemplars;
pub(crate) mod gc;
pub(crate) mod isolation;
mod label_sets;
mod open;
pub(crate) mod out_of_order;
mod postings;
mod publish;
pub(crate) mod query;
pub(crate) mod replay;
mod scan;
pub(crate) mod series;
mod slab;
pub(crate) mod stale;
mod symbols;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use bellwether_model::storage::AppendError;
use bellwether_model::{Labels, Metadata};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashTable};
use parking_lot::{Mutex, RwLock};

use crate::files::Files;
use crate::log_tail::LogEnd;
use crate::options::SyncWorker;
use crate::stats::{Cardinality, Counters, DbStats};
use crate::tombstones::Tombstones;
use crate::wal::log_sync::{Log, LogSync};
use crate::wal::writer::WalWriter;
use chunk_files::ChunkFiles;
use exemplars::ExemplarRing;
use isolation::Isolation;
use out_of_order::OutOfOrderIndex;
use postings::HeadPostings;
use series::MemSeries;
use slab::{Page, Slab};
use symbols::{Symbol, Symbols};

/// Shards of the hash table from labels to ids; a power of two. Enough that appenders of new series on
/// every core rarely meet.
const SHARDS: usize = 32;
/// Items that are dealt with under a lock at once where all of them would keep appends and queries waiting.
const SLICE: usize = 1024;
/// An entry of a shard: half of the labels' hash and the id, 8 bytes.
#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    id: u32,
}

/// A 64-bit hash for the table from the stored half.
fn table_hash(half: u32) -> u64 {
    u64::from(half).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a head is told at the start.
pub(crate) struct HeadOptions {
    /// Range of a block in milliseconds; chunks do not cross its multiples.
    pub(crate) block_range: i64,
    pub(crate) exemplars_max: usize,
    pub(crate) series_limit: usize,
    /// Bytes of closed chunks in memory that are worth a file.
    pub(crate) spill_bytes: usize,
    pub(crate) files: Arc<dyn Files>,
    pub(crate) sync_worker: SyncWorker,
}

/// The head.
pub(crate) struct Head {
    pub(crate) options: HeadOptions,
    pub(crate) counters: Arc<Counters>,
    slab: RwLock<Slab>,
    shards: Box<[Mutex<HashTable<Entry>>]>,
    /// Held shared while a series is made, exclusively while symbols are dropped.
    creation: RwLock<()>,
    symbols: RwLock<Symbols>,
    postings: RwLock<HeadPostings>,
    pub(crate) isolation: Arc<Isolation>,
    /// The log, `None` before it is opened and after it is closed. Its lock is the commit lock.
    pub(crate) wal: Arc<Log>,
    /// Where the log's committed records end.
    pub(crate) log_end: Arc<LogEnd>,
    /// Somebody follows the log and wants the out-of-order samples there too.
    pub(crate) is_tailed: AtomicBool,
    /// The out-of-order log, `None` while it was never needed. Taken after `wal`.
    pub(crate) wbl: Arc<Log>,
    /// Forces both to the disk.
    pub(crate) log_sync: LogSync,
    /// How far behind the newest sample others may come out of order, in milliseconds; 0 takes none.
    pub(crate) out_of_order_window: AtomicI64,
    pub(crate) out_of_order: Mutex<OutOfOrderIndex>,
    /// Oldest and newest sample in order; `i64::MAX` and `i64::MIN` while empty.
    min_time: AtomicI64,
    max_time: AtomicI64,
    /// The oldest of the samples that came since truncation began.
    min_since: AtomicI64,
    /// Samples before this are in blocks and are refused.
    min_valid: AtomicI64,
    next_id: AtomicU64,
    num_series: AtomicU64,
    num_chunks: AtomicI64,
    pub(crate) exemplars: Mutex<ExemplarRing>,
    metadata: RwLock<HashMap<u32, Arc<Metadata>, RandomState>>,
    pub(crate) tombstones: RwLock<Tombstones>,
    /// Removed series and the segment that was written then: until that segment is gone, the checkpoint
    /// keeps their names, because the log may still have samples of them.
    removed: Mutex<HashMap<u32, u64, RandomState>>,
    /// Series without samples that could not be removed yet.
    not_removed: Mutex<Vec<u32>>,
    /// Numbers that the log also gives to series (after restarts of a directory in which a series ended and
    /// came back), with the series' ids.
    aliases: Mutex<HashMap<u64, u32, RandomState>>,
    pub(crate) open_appenders: AtomicU64,
    buffers: Mutex<Vec<appender::Buffers>>,
    pub(crate) chunk_files: Mutex<ChunkFiles>,
}

impl Head {
    pub(crate) fn new(options: HeadOptions, counters: Arc<Counters>) -> Self {
        let exemplars = Mutex::new(ExemplarRing::new(options.exemplars_max));
        let (wal, wbl) = (Arc::new(Log::new(None)), Arc::new(Log::new(None)));
        let logs = vec![Arc::clone(&wal), Arc::clone(&wbl)];
        let log_sync = LogSync::new(options.sync_worker, logs, Arc::clone(&options.files));
        Self {
            options,
            counters,
            slab: RwLock::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            creation: RwLock::default(),
            symbols: RwLock::default(),
            postings: RwLock::default(),
            isolation: Arc::default(),
            wal,
            log_end: Arc::default(),
            is_tailed: AtomicBool::new(false),
            wbl,
            log_sync,
            out_of_order_window: AtomicI64::new(0),
            out_of_order: Mutex::default(),
            min_time: AtomicI64::new(i64::MAX),
            max_time: AtomicI64::new(i64::MIN),
            min_since: AtomicI64::new(i64::MAX),
            min_valid: AtomicI64::new(i64::MIN),
            next_id: AtomicU64::new(1),
            num_series: AtomicU64::new(0),
            num_chunks: AtomicI64::new(0),
            exemplars,
            metadata: RwLock::default(),
            tombstones: RwLock::default(),
            removed: Mutex::default(),
            not_removed: Mutex::default(),
            aliases: Mutex::default(),
            open_appenders: AtomicU64::new(0),
            buffers: Mutex::default(),
            chunk_files: Mutex::default(),
        }
    }

    /// Oldest sample, `i64::MAX` while empty.
    pub(crate) fn min_time(&self) -> i64 {
        self.min_time.load(Ordering::Acquire)
    }

    /// Newest sample, `i64::MIN` while empty.
    pub(crate) fn max_time(&self) -> i64 {
        self.max_time.load(Ordering::Acquire)
    }

    /// Samples before this time are refused and not replayed.
    pub(crate) fn set_min_valid(&self, t: i64) {
        self.min_valid.fetch_max(t, Ordering::AcqRel);
    }

    /// The oldest time that an append may have now.
    #[inline]
    fn append_floor(&self) -> i64 {
        let floor = self.min_valid.load(Ordering::Relaxed);
        match self.max_time() {
            i64::MIN => floor,
            // Half a block back: what is older may be in a block soon.
            max => floor.max(max.saturating_sub(self.options.block_range / 2)),
        }
    }

    pub(crate) fn widen_times(&self, mint: i64, maxt: i64) {
        if mint <= maxt {
            self.min_time.fetch_min(mint, Ordering::AcqRel);
            self.min_since.fetch_min(mint, Ordering::AcqRel);
            self.max_time.fetch_max(maxt, Ordering::AcqRel);
        }
    }

    /// A series by id.
    #[inline]
    pub(crate) fn get(&self, id: u64) -> Option<MemSeries> {
        let id = u32::try_from(id).ok()?;
        self.slab.read().get(id)
    }

    /// The page of a series' id: as long as it is held, its series are not removed.
    #[inline]
    fn page(&self, id: u32) -> Option<Arc<Page>> {
        self.slab.read().page(id).cloned()
    }

    /// All series, by rising id. Of those that are made meanwhile some may be missing.
    pub(crate) fn all_series(&self) -> Vec<MemSeries> {
        let mut all = Vec::new();
        let mut next = 0;
        // In parts: whoever waits to add a series keeps everybody else waiting too.
        while let Some(end) = self.slab.read().copy_from(next, &mut all) {
            next = end;
        }
        all
    }

    /// The labels of a series.
    pub(crate) fn labels(&self, series: &MemSeries) -> Labels {
        self.labels_in(series, &mut String::with_capacity(256))
    }

    /// The same by way of a buffer, whose content does not matter.
    pub(crate) fn labels_in(&self, series: &MemSeries, buffer: &mut String) -> Labels {
        let own = series.symbols();
        let symbols = self.symbols.read();
        let pairs = own.chunks_exact(2);
        Labels::from_sorted_in(
            buffer,
            pairs.map(|p| (symbols.text(p[0]), symbols.text(p[1]))),
        )
    }

    /// The texts of symbols that series have, in no order.
    pub(crate) fn symbol_texts(&self, wanted: &roaring::RoaringBitmap) -> Vec<(String, Symbol)> {
        let mut texts = Vec::with_capacity(wanted.len() as usize);
        let mut wanted = wanted.iter();
        loop {
            let before = texts.len();
            let symbols = self.symbols.read();
            let part = wanted.by_ref().take(SLICE);
            texts.extend(part.map(|s| (symbols.text(s).to_owned(), s)));
            if texts.len() == before {
                return texts;
            }
        }
    }

    fn has_labels(&self, series: &MemSeries, labels: &Labels) -> bool {
        let symbols = self.symbols.read();
        let mut texts = labels.iter().flat_map(|l| [l.name, l.value]);
        let mut equal = true;
        series.each_symbol(|s| {
            equal = texts.next() == Some(symbols.text(s));
            equal
        });
        equal && texts.next().is_none()
    }

    /// Finds or makes the series of a label set. `wanted` is the id that the log gives a new one. The flag
    /// says whether it was made.
    pub(crate) fn get_or_create(
        &self,
        labels: &Labels,
        wanted: Option<u32>,
    ) -> Result<(MemSeries, bool), AppendError> {
        let hash = labels.fast_hash();
        let half = (hash >> 32) as u32;
        let mut shard = self.shards[hash as usize % SHARDS].lock();
        let mut found = None;
        shard.find(table_hash(half), |e| {
            e.hash == half
                && match self.get(u64::from(e.id)) {
                    Some(s) if self.has_labels(&s, labels) => {
                        found = Some(s);
                        true
                    }
                    _ => false,
                }
        });
        if let Some(series) = found {
            return Ok((series, false));
        }
        let limit = self.options.series_limit as u64;
        if limit > 0 && wanted.is_none() && self.num_series.load(Ordering::Relaxed) >= limit {
            return Err(AppendError::Limit(format!(
                "series limit of {limit} reached: the head takes no new series"
            )));
        }
        let id = match wanted {
            Some(id) => id,
            None => {
                let id = self.next_id.fetch_add(1, Ordering::Relaxed);
                u32::try_from(id).map_err(|_| {
                    AppendError::Limit(
                        "all 2^32 series references of this directory are used up".into(),
                    )
                })?
            }
        };
        let _creating = self.creation.read();
        let symbols: Vec<_> = {
            let mut table = self.symbols.write();
            labels
                .iter()
                .flat_map(|l| [l.name, l.value])
                .map(|text| table.intern(text))
                .collect()
        };
        let series = self.slab.write().insert(id, &symbols);
        self.postings.write().insert(id, &symbols);
        shard.insert_unique(table_hash(half), Entry { hash: half, id }, |e| {
            table_hash(e.hash)
        });
        self.num_series.fetch_add(1, Ordering::Relaxed);
        self.counters.series_created.inc();
        Ok((series, true))
    }

    /// Metadata per series.
    pub(crate) fn all_metadata(&self) -> Vec<(Labels, Metadata)> {
        let all: Vec<_> = self
            .metadata
            .read()
            .iter()
            .map(|(id, m)| (*id, Arc::clone(m)))
            .collect();
        all.into_iter()
            .filter_map(|(id, m)| {
                let series = self.get(u64::from(id))?;
                Some((self.labels(&series), Metadata::clone(&m)))
            })
            .collect()
    }

    /// Fills in the head's part of the statistics.
    pub(crate) fn add_stats(&self, stats: &mut DbStats) {
        stats.head_series = self.num_series.load(Ordering::Relaxed);
        stats.head_chunks = u64::try_from(self.num_chunks.load(Ordering::Relaxed)).unwrap_or(0);
        stats.head_min_time = self.min_time();
        stats.head_max_time = self.max_time();
        {
            let symbols = self.symbols.read();
            stats.head_symbols = symbols.len() as u64;
            stats.head_symbol_bytes = symbols.bytes() as u64;
        }
        {
            let ring = self.exemplars.lock();
            stats.exemplars_in_storage = ring.len() as u64;
            stats.exemplars_max = ring.max() as u64;
        }
        let (low, high) = self.isolation.watermarks();
        stats.isolation_low_watermark = low;
        stats.isolation_high_watermark = high;
        stats.active_appenders = self.open_appenders.load(Ordering::Relaxed);
        stats.wal_segment_current = self.wal.lock().as_ref().map_or(0, WalWriter::segment);
    }

    /// The lists of `status/tsdb`.
    pub(crate) fn cardinality(&self, limit: usize) -> Cardinality {
        let mut stats = DbStats::default();
        self.add_stats(&mut stats);
        let symbols = self.symbols.read();
        let postings = self.postings.read();
        let (mut names, mut values, mut bytes, mut pairs) = (vec![], vec![], vec![], vec![]);
        let mut label_pairs = 0;
        for name in postings.names() {
            let text = symbols.text(name);
            let (mut distinct, mut size) = (0u64, 0u64);
            for (value, series) in postings.values_of(name) {
                let value = symbols.text(value);
                distinct += 1;
                size += value.len() as u64 * series;
                if text == bellwether_model::labels::METRIC_NAME {
                    names.push((series, value.to_owned()));
                }
                pairs.push((series, format!("{text}={value}")));
            }
            label_pairs += distinct;
            values.push((distinct, text.to_owned()));
            bytes.push((size, text.to_owned()));
        }
        let top = |mut list: Vec<(u64, String)>| {
            list.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
            list.truncate(limit);
            list.into_iter().map(|(n, s)| (s, n)).collect()
        };
        Cardinality {
            num_series: stats.head_series,
            num_label_pairs: label_pairs,
            chunk_count: stats.head_chunks,
            min_time: stats.head_min_time,
            max_time: stats.head_max_time,
            series_count_by_metric_name: top(names),
            label_value_count_by_label_name: top(values),
            memory_in_bytes_by_label_name: top(bytes),
            series_count_by_label_value_pair: top(pairs),
        }
    }
}
