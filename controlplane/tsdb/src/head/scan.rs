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
use super::series::{MemSeries, OpenResume, SeriesState};
use super::slab::{PAGE, Page};
use super::symbols::Symbol;
use crate::encoding::DecodeError;
use crate::error::TsdbError;
use crate::select;
use crate::tombstones;

/// Series that are read in one go.
const BATCH: usize = 16;
/// Label sets that are kept for the next series.
const LABELS_KEPT: usize = 4096;

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
                let mut batch: Batch<'_> = SmallVec::new();
                while batch.len() < BATCH
                    && let Some(id) = ids.next_if(|id| page.covers(*id))
                {
                    batch.extend(page.get(id).map(|series| &**series));
                }
                if batch.is_empty() {
                    break;
                }
                let found = self.read_batch(scan, &page, &batch, &mut buffers)?;
                for ((series, samples), found) in batch.iter().zip(&mut buffers).zip(found) {
                    if found && !visit(labels.of(&page, series), samples) {
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
        batch: &[&MemSeries],
        buffers: &mut [SampleBuffer; BATCH],
    ) -> Result<[bool; BATCH], StorageError> {
        let mut found = [false; BATCH];
        // The lock and the id are in different cache lines.
        let near = batch.iter().filter(|s| s.state.is_locked() || s.id == 0);
        black_box(near.count());
        let mut held: Held<'_> = SmallVec::new();
        let mut resumes = page.resumes();
        let mut read = |held: &mut Held<'_>| {
            black_box(held.iter().map(|h| u32::from(h.1.last_byte())).sum::<u32>());
            for (i, state) in held.drain(..) {
                let place = batch[i].id as usize % PAGE;
                let resume = resumes.as_mut().map(|all| &mut all[place]);
                let result = self.read_state(scan, &state, resume, &mut buffers[i]);
                found[i] = result.map_err(|e| StorageError::Corrupt {
                    place: format!("head chunk of {}", self.head.labels(batch[i])),
                    reason: e.to_string(),
                })?;
            }
            Ok::<(), StorageError>(())
        };
        for (i, series) in batch.iter().enumerate() {
            let state = match series.state.try_read() {
                Some(state) => state,
                None => {
                    read(&mut held)?;
                    series.state.read()
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

    fn mask_deleted(&self, batch: &[&MemSeries], buffers: &mut [SampleBuffer; BATCH]) {
        let deleted = self.head.tombstones.read();
        if deleted.is_empty() {
            return;
        }
        for (series, samples) in batch.iter().zip(buffers) {
            tombstones::mask(samples, 0, deleted.of(u64::from(series.id)));
        }
    }
}

/// Series of one page.
type Batch<'p> = SmallVec<[&'p MemSeries; BATCH]>;
/// Series whose state is locked, by their place in the batch.
type Held<'p> = SmallVec<[(usize, RwLockReadGuard<'p, SeriesState>); BATCH]>;

/// Makes the label sets of series that come in the order of their ids.
struct LabelReader<'a> {
    head: &'a Head,
    /// The names of the labels that are wanted; `None` for all.
    wanted: Option<Symbols>,
    cursor: Cursor,
    /// What the newest set was made of.
    symbols: Symbols,
    newest: Option<Labels>,
    known: HashMap<Symbols, Labels, RandomState>,
    packed: String,
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
            symbols: Symbols::new(),
            newest: None,
            known: HashMap::default(),
            packed: String::new(),
        }
    }

    /// The next series is of another page.
    fn turn_page(&mut self) {
        self.cursor = Cursor::default();
    }

    /// The wanted labels of a series.
    fn of(&mut self, page: &Page, series: &MemSeries) -> &Labels {
        let mut symbols = Symbols::new();
        let wanted = self.wanted.as_deref();
        page.marks()
            .read_symbols(series.labels(), &mut self.cursor, |all| match wanted {
                None => symbols.extend_from_slice(all),
                Some(wanted) => {
                    for pair in all.chunks_exact(2).filter(|pair| wanted.contains(&pair[0])) {
                        symbols.extend_from_slice(pair);
                    }
                }
            });
        let labels = match self.newest.take() {
            Some(labels) if symbols == self.symbols => labels,
            _ => self.find_or_make(&symbols),
        };
        self.symbols = symbols;
        self.newest.insert(labels)
    }

    fn find_or_make(&mut self, symbols: &Symbols) -> Labels {
        if self.wanted.is_none() {
            return self.make(symbols);
        }
        if let Some(labels) = self.known.get(symbols) {
            return labels.clone();
        }
        if self.known.len() == LABELS_KEPT {
            self.known.clear();
        }
        let labels = self.make(symbols);
        self.known.insert(symbols.clone(), labels.clone());
        labels
    }

    fn make(&mut self, symbols: &[Symbol]) -> Labels {
        let texts = self.head.symbols.read();
        let pairs = symbols.chunks_exact(2);
        let pairs = pairs.map(|pair| (texts.text(pair[0]), texts.text(pair[1])));
        Labels::from_sorted_in(&mut self.packed, pairs)
    }
}
