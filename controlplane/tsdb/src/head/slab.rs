//! Series by id, and the symbols of their labels.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard, RwLock};

pub(crate) use super::label_sets::LabelsAt;
use super::label_sets::{Cursor, LabelSets};
use super::series::{MemSeries, OpenResume};
use super::symbols::Symbol;

/// Series of a page; a power of two. Pages of dead series are freed.
pub(super) const PAGE: usize = 256;

/// Pages that are copied at once.
const COPIED: usize = 8;

/// The series of a run of ids. Who holds a page may look its series up without a lock and keeps them all in the
/// head; series that are made meanwhile appear in it.
pub(crate) struct Page {
    number: usize,
    slots: [OnceLock<Arc<MemSeries>>; PAGE],
    marks: Arc<Marks>,
    /// Made by the first scan.
    resumes: Mutex<Option<Box<Resumes>>>,
}

/// Where decoding the open chunk of each series of a page can go on.
type Resumes = [OpenResume; PAGE];

/// What the series of a page have together. What taking a sample in needs to know of each is close together:
/// reading it from the series themselves would wait for the memory at each one. Their labels are a tenth as large
/// as one by one.
#[derive(Debug)]
pub(crate) struct Marks {
    newest: [AtomicI64; PAGE],
    logged: [AtomicBool; PAGE],
    /// Symbols of the series' labels: name, value, name, value...
    labels: RwLock<LabelSets>,
}

impl Marks {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            newest: [const { AtomicI64::new(i64::MIN) }; PAGE],
            logged: [const { AtomicBool::new(false) }; PAGE],
            labels: RwLock::default(),
        })
    }

    /// Calls `each` with the symbols of a series' labels (name, value, name, value...), until it says false.
    #[inline]
    pub(crate) fn each_symbol(&self, at: LabelsAt, each: impl FnMut(Symbol) -> bool) {
        self.labels.read().each_symbol(at, each);
    }

    /// Hands over the symbols of a series' labels; the cursor is one that reads this page only.
    #[inline]
    pub(super) fn read_symbols(
        &self,
        at: LabelsAt,
        cursor: &mut Cursor,
        take: impl FnOnce(&[Symbol]),
    ) {
        take(self.labels.read().read(at, cursor));
    }

    /// Time of a series' newest sample. It may lag behind the series for a moment, which the commit then notices;
    /// it is exact for who holds the commit lock.
    #[inline]
    pub(crate) fn newest(&self, id: u32) -> i64 {
        self.newest[id as usize % PAGE].load(Ordering::Relaxed)
    }

    /// The caller holds the commit lock.
    #[inline]
    pub(crate) fn set_newest(&self, id: u32, t: i64) {
        self.newest[id as usize % PAGE].store(t, Ordering::Relaxed);
    }

    /// Whether the log has the series.
    #[inline]
    pub(crate) fn is_logged(&self, id: u32) -> bool {
        self.logged[id as usize % PAGE].load(Ordering::Acquire)
    }

    pub(crate) fn set_logged(&self, id: u32) {
        self.logged[id as usize % PAGE].store(true, Ordering::Release);
    }
}

impl Page {
    fn new(number: usize) -> Arc<Self> {
        Arc::new(Self {
            number,
            slots: [const { OnceLock::new() }; PAGE],
            marks: Marks::new(),
            resumes: Mutex::default(),
        })
    }

    /// Where decoding the series' open chunks can go on. `None` while somebody else has it.
    pub(super) fn resumes(&self) -> Option<MappedMutexGuard<'_, Resumes>> {
        let resumes = self.resumes.try_lock()?;
        Some(MutexGuard::map(resumes, |resumes| {
            let new = || Box::new([OpenResume::default(); PAGE]);
            &mut **resumes.get_or_insert_with(new)
        }))
    }

    /// Whether an id belongs to this page.
    #[inline]
    pub(crate) fn covers(&self, id: u32) -> bool {
        id as usize / PAGE == self.number
    }

    /// A series by id; the page must cover it.
    #[inline]
    pub(crate) fn get(&self, id: u32) -> Option<&Arc<MemSeries>> {
        debug_assert!(self.covers(id));
        self.slots[id as usize % PAGE].get()
    }

    #[inline]
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    fn series(&self) -> impl Iterator<Item = &Arc<MemSeries>> {
        self.slots.iter().filter_map(OnceLock::get)
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
    pub(crate) fn get(&self, id: u32) -> Option<&Arc<MemSeries>> {
        self.page(id)?.get(id)
    }

    /// Adds a series; an id is given only once.
    pub(crate) fn insert(&mut self, id: u32, labels: &[Symbol]) -> Arc<MemSeries> {
        let number = id as usize / PAGE;
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || None);
        }
        let page = self.pages[number].get_or_insert_with(|| Page::new(number));
        let at = {
            let mut sets = page.marks.labels.write();
            let at = sets.add(labels);
            if id as usize % PAGE == PAGE - 1 {
                sets.shrink();
            }
            at
        };
        let series = MemSeries::new(id, at, Arc::clone(&page.marks));
        let slot = &page.slots[id as usize % PAGE];
        debug_assert!(slot.get().is_none(), "an id is given only once");
        Arc::clone(slot.get_or_init(|| Arc::new(series)))
    }

    /// Removes a series, unless somebody holds its page.
    pub(crate) fn remove(&mut self, id: u32) -> bool {
        let Some(slot) = self.pages.get_mut(id as usize / PAGE) else {
            return false;
        };
        let Some(page) = slot.as_mut().and_then(Arc::get_mut) else {
            return false;
        };
        let removed = page.slots[id as usize % PAGE].take().is_some();
        if page.series().next().is_none() {
            *slot = None;
        }
        removed
    }

    /// Copies the series of some pages from the page with a number on. Returns where to go on, `None` at the end.
    pub(crate) fn copy_from(&self, page: usize, to: &mut Vec<Arc<MemSeries>>) -> Option<usize> {
        let end = (page + COPIED).min(self.pages.len());
        let pages = self.pages.get(page..end)?;
        to.extend(pages.iter().flatten().flat_map(|p| p.series()).cloned());
        (end < self.pages.len()).then_some(end)
    }
}
