//! Reading series one after the other, for queries that look at each only once.
//!
//! What a series costs here is mostly waiting for the memory: series and their chunks are scattered over it. A batch
//! of them is brought near at once. Label sets are made once for all series that have the wanted labels in common.

use std::hint::black_box;

use bellwether_model::labels::{METRIC_NAME, TYPE_LABEL, UNIT_LABEL};
use bellwether_model::storage::{SampleBuffer, Scan, SeriesVisitor, StorageError};
use bellwether_model::{Labels, Matcher};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use parking_lot::RwLockReadGuard;
use roaring::RoaringBitmap;
use smallvec::SmallVec;

use super::Head;
use super::label_sets::Cursor;
use super::postings::HeadIndex;
use super::query::HeadQuerier;
use super::series::{OpenResume, SeriesState};
use super::slab::Page;
use super::symbols::Symbol;
use crate::encoding::DecodeError;
use crate::error::TsdbError;
use crate::select;
use crate::tombstones;

/// Series that are read in one go.
const BATCH: usize = 16;
/// Label sets that are kept for the next series.
const LABELS_KEPT: usize = 4096;

/// The places of the names in a set of symbols. The last bit is for all places that have none of their own.
const NAMES: u64 = 0x5555_5555_5555_5555 | 1 << 63;

type Symbols = SmallVec<[Symbol; 16]>;

impl Head {
    /// The ids of the series that match.
    pub(super) fn matching_ids(&self, matchers: &[Matcher]) -> Result<RoaringBitmap, TsdbError> {
        let symbols = self.symbols.read();
        let postings = self.postings.read();
        let index = HeadIndex {
            postings: &postings,
            symbols: &symbols,
        };
        select::select(&index, matchers)
    }
}

impl HeadQuerier {
    pub(super) fn scan_series(
        &self,
        scan: &Scan<'_>,
        visit: &mut SeriesVisitor<'_>,
    ) -> Result<(), StorageError> {
        let ids = self.head.matching_ids(scan.matchers)?;
        let mut labels = LabelReader::new(&self.head, scan.labels);
        let mut buffers: [SampleBuffer; BATCH] = Default::default();
        let mut ids = ids.iter().peekable();
        while let Some(&first) = ids.peek() {
            let Some(page) = self.head.page(first) else {
                ids.next();
                continue;
            };
            labels.turn_page();
            loop {
                let mut batch = Batch::new();
                while batch.len() < BATCH
                    && let Some(id) = ids.next_if(|id| page.covers(*id))
                {
                    batch.extend(page.has(id).then_some(id));
                }
                if batch.is_empty() {
                    break;
                }
                let found = self.read_batch(scan, &page, &batch, &mut buffers)?;
                labels.read(&page, &batch);
                for (samples, found) in buffers.iter_mut().zip(found).take(batch.len()) {
                    let labels = labels.next();
                    if found && !visit(labels, samples) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads some series into the buffers in their order. Says which of them may have samples at all.
    fn read_batch(
        &self,
        scan: &Scan<'_>,
        page: &Page,
        batch: &[u32],
        buffers: &mut [SampleBuffer; BATCH],
    ) -> Result<[bool; BATCH], StorageError> {
        let mut found = [false; BATCH];
        let states = batch.iter().map(|id| page.state(*id));
        black_box(states.filter(|s| s.is_locked()).count());
        let mut held: Held<'_> = SmallVec::new();
        let mut resumes = page.resumes();
        let mut read = |held: &mut Held<'_>| {
            black_box(held.iter().map(|h| u32::from(h.1.last_byte())).sum::<u32>());
            for (i, state) in held.drain(..) {
                let resume = resumes.as_mut().map(|all| all.of(batch[i]));
                let result = self.read_state(scan, &state, resume, &mut buffers[i]);
                found[i] = result.map_err(|e| StorageError::Corrupt {
                    place: format!("head chunk of series {}", batch[i]),
                    reason: e.to_string(),
                })?;
            }
            Ok::<(), StorageError>(())
        };
        for (i, id) in batch.iter().enumerate() {
            let state = match page.state(*id).try_read() {
                Some(state) => state,
                None => {
                    read(&mut held)?;
                    page.state(*id).read()
                }
            };
            held.push((i, state));
        }
        read(&mut held)?;
        self.mask_deleted(batch, buffers);
        Ok(found)
    }

    fn read_state(
        &self,
        scan: &Scan<'_>,
        state: &SeriesState,
        resume: Option<&mut OpenResume>,
        out: &mut SampleBuffer,
    ) -> Result<bool, DecodeError> {
        out.clear();
        if !state.may_have_any(self.mint, self.in_order_from, self.maxt) {
            return Ok(false);
        }
        let (mint, maxt) = (scan.mint.max(self.mint), scan.maxt.min(self.maxt));
        let (times, seen) = ((mint, self.in_order_from, maxt), self.reader.seen);
        match resume {
            Some(resume) => state.read_on(times, seen, resume, out)?,
            None => state.read(times, seen, out)?,
        }
        Ok(true)
    }

    fn mask_deleted(&self, batch: &[u32], buffers: &mut [SampleBuffer; BATCH]) {
        let deleted = self.head.tombstones.read();
        if deleted.is_empty() {
            return;
        }
        for (id, samples) in batch.iter().zip(buffers) {
            tombstones::mask(samples, 0, deleted.of(u64::from(*id)));
        }
    }
}

/// Ids of series of one page.
type Batch = SmallVec<[u32; BATCH]>;
/// Series whose state is locked, by their place in the batch.
type Held<'p> = SmallVec<[(usize, RwLockReadGuard<'p, SeriesState>); BATCH]>;

/// Makes the label sets of series that come in the order of their ids.
struct LabelReader<'a> {
    head: &'a Head,
    /// The names of the labels that are wanted; `None` for all.
    wanted: Option<Symbols>,
    cursor: Cursor,
    /// Places in the newest series' set on whose symbols its labels depend.
    matters: u64,
    /// The wanted ones of the newest series' symbols.
    symbols: Symbols,
    /// The labels of the series that was asked for last.
    newest: Labels,
    known: Known,
    packed: String,
    /// For each series of the batch its wanted symbols, `None` where they are those of the one before. Labels are not
    /// made yet: that takes another lock than reading symbols.
    batch: Vec<Option<Symbols>>,
}

impl<'a> LabelReader<'a> {
    /// The ids are chosen already: a type or a unit that one of the series has is among the symbols.
    fn new(head: &'a Head, wanted: Option<&[String]>) -> Self {
        let symbols = head.symbols.read();
        let described = [TYPE_LABEL, UNIT_LABEL]
            .iter()
            .any(|n| symbols.find(n).is_some());
        let wanted = wanted.filter(|_| !described).map(|names| {
            let names = names.iter().map(String::as_str).chain([METRIC_NAME]);
            names.filter_map(|name| symbols.find(name)).collect()
        });
        drop(symbols);
        Self {
            head,
            wanted,
            cursor: Cursor::default(),
            matters: u64::MAX,
            symbols: Symbols::new(),
            newest: Labels::empty(),
            known: Known::default(),
            packed: String::new(),
            batch: Vec::with_capacity(BATCH),
        }
    }

    /// The next series is of another page.
    fn turn_page(&mut self) {
        self.cursor.turn_page();
    }

    /// Reads the wanted labels of some series of a page. They are asked for one after the other by [`Self::next`].
    fn read(&mut self, page: &Page, ids: &[u32]) {
        self.batch.clear();
        let mut cursor = std::mem::take(&mut self.cursor);
        page.marks()
            .read_symbols(ids, &mut cursor, |all, changed| self.take(all, changed));
        self.cursor = cursor;
        self.batch.reverse();
    }

    fn take(&mut self, all: &[Symbol], changed: u64) {
        // Nearly always only labels changed that nobody wants.
        if changed & self.matters == 0 {
            self.batch.push(None);
            return;
        }
        let mut symbols = Symbols::new();
        match &self.wanted {
            None => symbols.extend_from_slice(all),
            Some(wanted) => {
                self.matters = NAMES;
                for (i, pair) in all.chunks_exact(2).enumerate() {
                    if wanted.contains(&pair[0]) {
                        symbols.extend_from_slice(pair);
                        self.matters |= 1 << (2 * i + 1).min(63);
                    }
                }
            }
        }
        if symbols == self.symbols {
            self.batch.push(None);
            return;
        }
        self.symbols.clone_from(&symbols);
        self.batch.push(Some(symbols));
    }

    /// The wanted labels of the next series of the batch.
    fn next(&mut self) -> &Labels {
        if let Some(Some(symbols)) = self.batch.pop() {
            self.newest = self.find_or_make(symbols);
        }
        &self.newest
    }

    fn find_or_make(&mut self, symbols: Symbols) -> Labels {
        if self.wanted.is_none() {
            return self.make(&symbols);
        }
        if let Some(labels) = self.known.find(&symbols) {
            return labels.clone();
        }
        let labels = self.make(&symbols);
        self.known.add(symbols, labels.clone());
        labels
    }

    fn make(&mut self, symbols: &[Symbol]) -> Labels {
        let texts = self.head.symbols.read();
        let pairs = symbols.chunks_exact(2);
        let pairs = pairs.map(|pair| (texts.text(pair[0]), texts.text(pair[1])));
        Labels::from_sorted_in(&mut self.packed, pairs)
    }
}

/// Label sets that were made, by their symbols. Series of a target come in the same order as those of the one before,
/// so that the set that followed the last one is tried before anything is hashed.
#[derive(Default)]
struct Known {
    sets: Vec<KnownSet>,
    places: HashMap<Symbols, usize, RandomState>,
    last: usize,
}

struct KnownSet {
    symbols: Symbols,
    labels: Labels,
    /// The one that followed it last time.
    next: usize,
}

impl Known {
    fn find(&mut self, symbols: &Symbols) -> Option<&Labels> {
        let expected = self.sets.get(self.last)?.next;
        let at = match self.sets.get(expected) {
            Some(set) if set.symbols == *symbols => expected,
            _ => *self.places.get(symbols)?,
        };
        self.sets[self.last].next = at;
        self.last = at;
        Some(&self.sets[at].labels)
    }

    fn add(&mut self, symbols: Symbols, labels: Labels) {
        if self.sets.len() == LABELS_KEPT {
            *self = Self::default();
        }
        let at = self.sets.len();
        if let Some(last) = self.sets.get_mut(self.last) {
            last.next = at;
        }
        self.places.insert(symbols.clone(), at);
        self.sets.push(KnownSet {
            symbols,
            labels,
            next: 0,
        });
        self.last = at;
    }
}
