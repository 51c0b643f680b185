//! Series by id, in pages.
//!
//! A page has the series of a run of ids side by side, with what taking a sample in needs to know of each close
//! together. A series is held by its page: there is neither an allocation nor a reference count for each one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard, RwLock};

use super::label_sets::{Cursor, LabelSets, LabelsAt};
use super::series::{MemSeries, OpenResume, SeriesState};
use super::symbols::Symbol;

/// Series of a page; a power of two. Pages of dead series are freed: the fewer there are in one, the sooner.
const PAGE: usize = 128;

/// Pages that are copied at once.
const COPIED: usize = 16;

/// The series of a run of ids. Who holds a page may look its series up without a lock and keeps them all in the
/// head; series that are made meanwhile appear in it.
#[derive(Debug)]
pub(crate) struct Page {
    number: usize,
    states: [RwLock<SeriesState>; PAGE],
    marks: Marks,
    /// Made by the first scan.
    resumes: Mutex<Option<Box<Resumes>>>,
}

/// Where decoding the open chunk of each series of a page can go on.
#[derive(Debug)]
pub(super) struct Resumes([OpenResume; PAGE]);

impl Resumes {
    /// A series' place; its page must be these' one.
    pub(super) fn of(&mut self, id: u32) -> &mut OpenResume {
        &mut self.0[place(id)]
    }
}

/// What taking a sample in needs to know of each series: reading it from the series themselves would wait for the
/// memory at each one. Their labels are a tenth as large as one by one.
#[derive(Debug)]
pub(crate) struct Marks {
    newest: [AtomicI64; PAGE],
    exists: [AtomicBool; PAGE],
    logged: [AtomicBool; PAGE],
    labels: RwLock<PageLabels>,
}

/// Symbols of the series' labels: name, value, name, value...
#[derive(Debug)]
struct PageLabels {
    sets: LabelSets,
    places: [LabelsAt; PAGE],
}

/// The place of a series in its page.
#[inline]
fn place(id: u32) -> usize {
    id as usize % PAGE
}

impl Marks {
    fn new() -> Self {
        Self {
            newest: [const { AtomicI64::new(i64::MIN) }; PAGE],
            exists: [const { AtomicBool::new(false) }; PAGE],
            logged: [const { AtomicBool::new(false) }; PAGE],
            labels: RwLock::new(PageLabels {
                sets: LabelSets::default(),
                places: [0; PAGE],
            }),
        }
    }

    /// Calls `each` with the symbols of a series' labels (name, value, name, value...), until it says false.
    #[inline]
    pub(crate) fn each_symbol(&self, id: u32, each: impl FnMut(Symbol) -> bool) {
        let labels = self.labels.read();
        labels.sets.each_symbol(labels.places[place(id)], each);
    }

    /// Calls `each` with all symbols of each of some series, and with what [`Cursor::take_changed`] says. Who reads
    /// series in the order of their ids with one cursor decodes each set only once.
    pub(super) fn read_symbols(
        &self,
        ids: &[u32],
        cursor: &mut Cursor,
        mut each: impl FnMut(&[Symbol], u64),
    ) {
        let labels = self.labels.read();
        for id in ids {
            labels.sets.read(labels.places[place(*id)], cursor);
            let changed = cursor.take_changed();
            each(cursor.set(), changed);
        }
    }

    /// Time of a series' newest sample. It may lag behind the series for a moment, which the commit then notices;
    /// it is exact for who holds the commit lock.
    #[inline]
    pub(crate) fn newest(&self, id: u32) -> i64 {
        self.newest[place(id)].load(Ordering::Relaxed)
    }

    /// The caller holds the commit lock.
    #[inline]
    pub(crate) fn set_newest(&self, id: u32, t: i64) {
        self.newest[place(id)].store(t, Ordering::Relaxed);
    }

    /// Commits are one after the other, so load and store need no atomic step.
    #[inline]
    pub(crate) fn raise_newest(&self, id: u32, t: i64) {
        if t > self.newest(id) {
            self.set_newest(id, t);
        }
    }

    /// Whether the log has the series.
    #[inline]
    pub(crate) fn is_logged(&self, id: u32) -> bool {
        self.logged[place(id)].load(Ordering::Acquire)
    }

    pub(crate) fn set_logged(&self, id: u32) {
        self.logged[place(id)].store(true, Ordering::Release);
    }
}

impl Page {
    fn new(number: usize) -> Arc<Self> {
        Arc::new(Self {
            number,
            states: std::array::from_fn(|_| RwLock::default()),
            marks: Marks::new(),
            resumes: Mutex::default(),
        })
    }

    /// Where decoding the series' open chunks can go on. `None` while somebody else has it.
    pub(super) fn resumes(&self) -> Option<MappedMutexGuard<'_, Resumes>> {
        let resumes = self.resumes.try_lock()?;
        Some(MutexGuard::map(resumes, |resumes| {
            let new = || Box::new(Resumes([OpenResume::default(); PAGE]));
            &mut **resumes.get_or_insert_with(new)
        }))
    }

    /// Whether an id belongs to this page.
    #[inline]
    pub(crate) fn covers(&self, id: u32) -> bool {
        id as usize / PAGE == self.number
    }

    /// Whether there is a series with an id; the page must cover it.
    #[inline]
    pub(crate) fn has(&self, id: u32) -> bool {
        debug_assert!(self.covers(id));
        self.marks.exists[place(id)].load(Ordering::Acquire)
    }

    /// The samples of a series; the page must cover its id.
    #[inline]
    pub(crate) fn state(&self, id: u32) -> &RwLock<SeriesState> {
        debug_assert!(self.covers(id));
        &self.states[place(id)]
    }

    #[inline]
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Ids of its series, by rising id.
    fn ids(&self) -> impl Iterator<Item = u32> {
        let first = (self.number * PAGE) as u32;
        (first..=first + (PAGE as u32 - 1)).filter(|id| self.has(*id))
    }

    fn insert(&self, id: u32, symbols: &[Symbol]) {
        debug_assert!(!self.has(id), "an id is given only once");
        let mut labels = self.marks.labels.write();
        labels.places[place(id)] = labels.sets.add(symbols);
        if place(id) == PAGE - 1 {
            labels.sets.shrink();
        }
        drop(labels);
        self.marks.exists[place(id)].store(true, Ordering::Release);
    }
}

/// Ids to series. Ids only grow, so dead ranges become empty pages.
#[derive(Default)]
pub(crate) struct Slab {
    pages: Vec<Option<Arc<Page>>>,
}

impl Slab {
    #[inline]
    pub(crate) fn page(&self, id: u32) -> Option<&Arc<Page>> {
        self.pages.get(id as usize / PAGE)?.as_ref()
    }

    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<MemSeries> {
        let page = self.page(id)?;
        page.has(id).then(|| MemSeries::of(Arc::clone(page), id))
    }

    pub(crate) fn has(&self, id: u32) -> bool {
        self.page(id).is_some_and(|page| page.has(id))
    }

    /// Adds a series; an id is given only once.
    pub(crate) fn insert(&mut self, id: u32, labels: &[Symbol]) -> MemSeries {
        let number = id as usize / PAGE;
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || None);
        }
        let page = self.pages[number].get_or_insert_with(|| Page::new(number));
        page.insert(id, labels);
        MemSeries::of(Arc::clone(page), id)
    }

    /// Removes a series that has no samples, unless somebody holds its page.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        let Some(slot) = self.pages.get_mut(id as usize / PAGE) else {
            return false;
        };
        let Some(page) = slot.as_mut().and_then(Arc::get_mut) else {
            return false;
        };
        let state = page.states[place(id)].get_mut();
        if !*page.marks.exists[place(id)].get_mut() || !state.is_empty() {
            return false;
        }
        *state = SeriesState::default();
        *page.marks.exists[place(id)].get_mut() = false;
        if page.ids().next().is_none() {
            *slot = None;
        }
        true
    }

    /// Copies the series of some pages from the page with a number on. Returns where to go on, `None` at the end.
    pub(crate) fn copy_from(&self, page: usize, to: &mut Vec<MemSeries>) -> Option<usize> {
        let end = (page + COPIED).min(self.pages.len());
        let pages = self.pages.get(page..end)?;
        for page in pages.iter().flatten() {
            to.extend(page.ids().map(|id| MemSeries::of(Arc::clone(page), id)));
        }
        (end < self.pages.len()).then_some(end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_series_and_a_page_are_small() {
        // A cache line and a half.
        assert!(size_of::<RwLock<SeriesState>>() <= 96);
        // With the two counts of its `Arc` a page fits what the allocator gives for it; the next size is 16 KiB.
        assert!(size_of::<Page>() + 16 <= 14 << 10);
    }

    #[test]
    fn a_page_that_somebody_holds_keeps_its_series() {
        let mut slab = Slab::default();
        let first = slab.insert(7, &[1, 2]);
        slab.insert(8, &[1, 3]);
        assert_eq!(first.symbols(), [1, 2]);
        assert_eq!(slab.get(8).unwrap().symbols(), [1, 3]);
        assert!(slab.get(9).is_none() && !slab.has(9));
        assert!(!slab.remove(8), "held by way of its neighbour");
        drop(first);
        assert!(slab.remove(8));
        assert!(!slab.remove(8) && !slab.has(8) && slab.has(7));
        assert!(slab.remove(7));
        assert!(slab.page(7).is_none(), "an empty page is freed");
    }

    #[test]
    fn series_are_copied_by_rising_id_over_pages() {
        let mut slab = Slab::default();
        let ids = [0, 1, 127, 128, 5000, 5001];
        for id in ids {
            slab.insert(id, &[id]);
        }
        let mut all = Vec::new();
        let mut next = 0;
        while let Some(end) = slab.copy_from(next, &mut all) {
            next = end;
        }
        assert_eq!(all.iter().map(|s| s.id).collect::<Vec<_>>(), ids);
    }
}
