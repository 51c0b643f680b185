//! The series that the log names, as a queue needs them.
//!
//! A reference leads to a slot by two array look-ups (the log gives references out densely), and a slot holds what a
//! request says of the series: encoded once, after external labels and relabelling.

use bellwether_model::{Labels, Metadata, MetricType};
use hashbrown::{HashMap, HashTable};

use crate::config::Message;
use crate::encode::{push_label, type_number};
use crate::wire::Writer;

/// What is known of a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: the log has not named it.
    No,
    /// Relabelling drops it.
    Dropped,
    /// Its slot.
    Slot(u32),
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// 0 unknown, 1 dropped, else the slot plus 2.
    code: u32,
    /// The last segment (or checkpoint) that names it. Segments are numbered from 0; a log of 2^32 of them is 500 PiB.
    segment: u32,
}

/// Labels of types and units (feature `type-and-unit-labels`).
const TYPE: &str = "__type__";
const UNIT: &str = "__unit__";

const PAGE: usize = 1024;
/// References from here up are no dense numbers any more.
const DENSE_MAX: u64 = 1 << 32;

/// References of the log. One thread has it.
#[derive(Debug, Default)]
pub(crate) struct SeriesTable {
    pages: Vec<Option<Box<[Entry; PAGE]>>>,
    far: HashMap<u64, Entry>,
}

impl SeriesTable {
    #[inline]
    fn entry(&self, reference: u64) -> Entry {
        if reference < DENSE_MAX {
            let page = self.pages.get((reference / PAGE as u64) as usize);
            return match page {
                Some(Some(page)) => page[(reference % PAGE as u64) as usize],
                _ => Entry::default(),
            };
        }
        self.far.get(&reference).copied().unwrap_or_default()
    }

    fn entry_mut(&mut self, reference: u64) -> &mut Entry {
        if reference < DENSE_MAX {
            let page = (reference / PAGE as u64) as usize;
            if page >= self.pages.len() {
                self.pages.resize_with(page + 1, || None);
            }
            let page = self.pages[page].get_or_insert_with(|| Box::new([Entry::default(); PAGE]));
            return &mut page[(reference % PAGE as u64) as usize];
        }
        self.far.entry(reference).or_default()
    }

    /// What is known of a reference.
    #[inline]
    pub(crate) fn get(&self, reference: u64) -> Known {
        match self.entry(reference).code {
            0 => Known::No,
            1 => Known::Dropped,
            code => Known::Slot(code - 2),
        }
    }

    /// Notes that a segment names a reference.
    pub(crate) fn set(&mut self, reference: u64, known: Known, segment: u64) {
        let code = match known {
            Known::No => 0,
            Known::Dropped => 1,
            Known::Slot(slot) => slot + 2,
        };
        *self.entry_mut(reference) = Entry {
            code,
            segment: segment as u32,
        };
    }

    /// Notes that a segment names a reference that is known.
    pub(crate) fn touch(&mut self, reference: u64, segment: u64) {
        if self.entry(reference).code != 0 {
            let entry = self.entry_mut(reference);
            entry.segment = entry.segment.max(segment as u32);
        }
    }

    /// Forgets the references that no segment from `segment` on names; their slots.
    pub(crate) fn forget_before(&mut self, segment: u64) -> Vec<u32> {
        let mut slots = Vec::new();
        let mut forget = |entry: &mut Entry| {
            if entry.code == 0 || u64::from(entry.segment) >= segment {
                return entry.code != 0;
            }
            if entry.code > 1 {
                slots.push(entry.code - 2);
            }
            *entry = Entry::default();
            false
        };
        for place in &mut self.pages {
            if let Some(page) = place {
                let mut is_used = false;
                for entry in page.iter_mut() {
                    is_used |= forget(entry);
                }
                if !is_used {
                    *place = None;
                }
            }
        }
        self.far.retain(|_, entry| forget(entry));
        slots
    }
}

/// How a request names a series.
#[derive(Debug)]
pub(crate) enum Name {
    /// Version 1: the encoded labels.
    Encoded(Box<[u8]>),
    /// Version 2: symbols, name and value in turn.
    Symbols(Box<[u32]>),
}

/// Metadata in symbols.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SymbolMetadata {
    /// Prometheus' number of the type.
    pub(crate) kind: u64,
    pub(crate) help: u32,
    pub(crate) unit: u32,
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) name: Name,
    pub(crate) metadata: Option<SymbolMetadata>,
}

/// What requests say of series, by slot.
#[derive(Debug)]
pub(crate) struct Catalog {
    message: Message,
    /// Types and units are in the labels `__type__` and `__unit__`, and those count.
    from_labels: bool,
    slots: Vec<Option<Series>>,
    free: Vec<u32>,
    pub(crate) symbols: Symbols,
}

impl Catalog {
    pub(crate) fn new(message: Message, type_and_unit_labels: bool) -> Self {
        Self {
            message,
            from_labels: type_and_unit_labels && message == Message::V2,
            slots: Vec::new(),
            free: Vec::new(),
            symbols: Symbols::default(),
        }
    }

    /// Adds a series; its slot.
    pub(crate) fn add(&mut self, labels: &Labels) -> u32 {
        let name = match self.message {
            Message::V1 => {
                let mut writer = Writer::default();
                for label in labels {
                    push_label(&mut writer, label.name, label.value);
                }
                Name::Encoded(writer.0.into_boxed_slice())
            }
            Message::V2 => {
                let texts = labels.iter().flat_map(|l| [l.name, l.value]);
                Name::Symbols(texts.map(|text| self.symbols.intern(text)).collect())
            }
        };
        let metadata = self.from_labels.then(|| SymbolMetadata {
            kind: type_number(MetricType::from_name(labels.value(TYPE)).unwrap_or_default()),
            help: self.symbols.intern(""),
            unit: self.symbols.intern(labels.value(UNIT)),
        });
        let series = Some(Series { name, metadata });
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = series;
                slot
            }
            None => {
                self.slots.push(series);
                // Two numbers are taken by the table's codes.
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// Sets the metadata that version 2 sends along.
    pub(crate) fn set_metadata(&mut self, slot: u32, metadata: &Metadata) {
        let mut own = SymbolMetadata {
            kind: type_number(metadata.kind),
            help: self.symbols.intern(&metadata.help),
            unit: self.symbols.intern(&metadata.unit),
        };
        let series = self.slots.get_mut(slot as usize).and_then(Option::as_mut);
        if self.from_labels
            && let Some(labels) = series.as_ref().and_then(|series| series.metadata)
        {
            own.kind = labels.kind;
            self.symbols.release(own.unit);
            own.unit = self.symbols.share(labels.unit);
        }
        let old = match series {
            Some(series) => series.metadata.replace(own),
            None => Some(own),
        };
        if let Some(old) = old {
            self.symbols.release(old.help);
            self.symbols.release(old.unit);
        }
    }

    /// The series of a slot.
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&Series> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// A series in words.
    pub(crate) fn describe(&self, slot: u32) -> String {
        match self.get(slot).map(|series| &series.name) {
            Some(Name::Symbols(symbols)) => {
                let texts = symbols.iter().map(|symbol| self.symbols.text(*symbol));
                texts.collect::<Vec<_>>().join(" ")
            }
            Some(Name::Encoded(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            None => String::new(),
        }
    }

    /// Forgets a series.
    pub(crate) fn remove(&mut self, slot: u32) {
        let Some(series) = self.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        if let Name::Symbols(symbols) = &series.name {
            for symbol in symbols {
                self.symbols.release(*symbol);
            }
        }
        if let Some(metadata) = series.metadata {
            self.symbols.release(metadata.help);
            self.symbols.release(metadata.unit);
        }
        self.free.push(slot);
    }
}

#[derive(Debug, Default)]
struct Symbol {
    text: Box<str>,
    uses: u32,
}

/// Texts, each once.
#[derive(Debug, Default)]
pub(crate) struct Symbols {
    texts: Vec<Symbol>,
    by_text: HashTable<u32>,
    free: Vec<u32>,
    hasher: foldhash::fast::RandomState,
}

impl Symbols {
    fn hash(&self, text: &str) -> u64 {
        use std::hash::BuildHasher as _;
        self.hasher.hash_one(text)
    }

    fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hash(text);
        let texts = &self.texts;
        let is_same = |id: &u32| &*texts[*id as usize].text == text;
        if let Some(id) = self.by_text.find(hash, is_same).copied() {
            self.texts[id as usize].uses += 1;
            return id;
        }
        let symbol = Symbol {
            text: text.into(),
            uses: 1,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.texts[id as usize] = symbol;
                id
            }
            None => {
                self.texts.push(symbol);
                (self.texts.len() - 1) as u32
            }
        };
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.by_text.insert_unique(hash, id, |id| {
            use std::hash::BuildHasher as _;
            hasher.hash_one(&*texts[*id as usize].text)
        });
        id
    }

    /// One more use of a symbol.
    fn share(&mut self, id: u32) -> u32 {
        self.texts[id as usize].uses += 1;
        id
    }

    fn release(&mut self, id: u32) {
        let symbol = &mut self.texts[id as usize];
        symbol.uses -= 1;
        if symbol.uses > 0 {
            return;
        }
        let text = std::mem::take(&mut symbol.text);
        let hash = self.hash(&text);
        if let Ok(entry) = self.by_text.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
    }

    /// A symbol's text.
    #[inline]
    pub(crate) fn text(&self, id: u32) -> &str {
        &self.texts[id as usize].text
    }

    /// Numbers are below this.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(n: u32) -> Labels {
        Labels::from_pairs([("__name__", "m".to_owned()), ("n", n.to_string())])
    }

    #[test]
    fn references_are_forgotten_with_the_segments_that_name_them() {
        let mut table = SeriesTable::default();
        let references = [1, 5, 4_000_000, u64::MAX - 3];
        for (slot, reference) in references.into_iter().enumerate() {
            table.set(reference, Known::Slot(slot as u32), 1);
        }
        table.set(6, Known::Dropped, 1);
        table.touch(5, 4);
        // Nothing is known of it: it stays so.
        table.touch(7, 4);
        assert_eq!(table.get(7), Known::No);
        let mut gone = table.forget_before(3);
        gone.sort_unstable();
        assert_eq!(gone, [0, 2, 3]);
        assert_eq!(table.get(5), Known::Slot(1));
        assert_eq!(table.get(6), Known::No);
        assert_eq!(table.get(u64::MAX - 3), Known::No);
    }

    #[test]
    fn slots_and_symbols_are_used_again() {
        let mut catalog = Catalog::new(Message::V2, false);
        let slots: Vec<u32> = (0..10).map(|n| catalog.add(&labels(n))).collect();
        let metadata = Metadata {
            kind: MetricType::Counter,
            help: "helps".to_owned(),
            unit: String::new(),
        };
        catalog.set_metadata(slots[3], &metadata);
        catalog.set_metadata(slots[3], &metadata);
        let before = catalog.symbols.len();
        for slot in &slots {
            catalog.remove(*slot);
        }
        assert!(catalog.get(slots[3]).is_none());
        assert!(catalog.symbols.texts.iter().all(|s| s.uses == 0));
        for n in 0..10 {
            let slot = catalog.add(&labels(n));
            catalog.set_metadata(slot, &metadata);
        }
        assert_eq!((catalog.symbols.len(), catalog.slots.len()), (before, 10));
        let Some(Series {
            name: Name::Symbols(symbols),
            ..
        }) = catalog.get(slots[9])
        else {
            panic!("the series is gone");
        };
        assert_eq!(catalog.symbols.text(symbols[0]), "__name__");
    }

    #[test]
    fn labels_of_type_and_unit_win_over_metadata() {
        let mut catalog = Catalog::new(Message::V2, true);
        let labels = Labels::from_pairs([("__name__", "m"), (TYPE, "gauge"), (UNIT, "bytes")]);
        let slot = catalog.add(&labels);
        let metadata = Metadata {
            kind: MetricType::Counter,
            help: "helps".to_owned(),
            unit: "seconds".to_owned(),
        };
        for _ in 0..2 {
            catalog.set_metadata(slot, &metadata);
            let known = catalog.get(slot).and_then(|series| series.metadata);
            let known = known.map(|m| {
                (
                    m.kind,
                    catalog.symbols.text(m.help),
                    catalog.symbols.text(m.unit),
                )
            });
            assert_eq!(known, Some((2, "helps", "bytes")));
        }
        catalog.remove(slot);
        assert!(catalog.symbols.texts.iter().all(|s| s.uses == 0));
    }
}
