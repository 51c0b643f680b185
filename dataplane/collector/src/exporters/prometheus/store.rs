//! Families and series.
//!
//! Series live in a slab; families list their series in the order of arrival. Two indexes find a
//! series: by a hash of the raw identity of a point (the fast path, see `ingest.rs`), and by family
//! and label text, which decides what one series is.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::names::LabelText;
use super::value::{Bounds, NewPoint, State};

/// Different raw forms of one label set that are remembered (an encoder normally has one).
const RAW_KEYS_MAX: usize = 8;

/// Prometheus type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
    Summary,
    /// `target_info`: an info metric in OpenMetrics, a gauge in the text format.
    Info,
}

impl FamilyKind {
    /// The label that tells the samples of one series apart.
    pub(super) fn generated_label(self) -> Option<&'static str> {
        match self {
            Self::Histogram => Some("le"),
            Self::Summary => Some("quantile"),
            Self::Counter | Self::Gauge | Self::Info => None,
        }
    }
}

/// A metric family.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) kind: FamilyKind,
    pub(super) help: String,
    pub(super) series: Vec<u32>,
}

/// A series.
#[derive(Debug)]
pub(super) struct Series {
    family: Arc<str>,
    /// Sorted by name; may be empty.
    pub(super) labels: LabelText,
    pub(super) state: State,
    pub(super) updated: Instant,
    raw_keys: Vec<u64>,
}

/// A family exists with another type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TypeConflict;

/// All series of an exporter.
pub(super) struct Store {
    families: BTreeMap<Arc<str>, Family>,
    slab: Vec<Option<Series>>,
    free: Vec<u32>,
    by_raw: HashMap<u64, u32, foldhash::fast::RandomState>,
    by_labels: HashTable<u32>,
    hasher: foldhash::fast::RandomState,
    bounds: Vec<Arc<Bounds>>,
    expiration: Duration,
}

impl Store {
    pub(super) fn new(expiration: Duration) -> Self {
        Self {
            families: BTreeMap::new(),
            slab: Vec::new(),
            free: Vec::new(),
            by_raw: HashMap::default(),
            by_labels: HashTable::new(),
            hasher: foldhash::fast::RandomState::default(),
            bounds: Vec::new(),
            expiration,
        }
    }

    /// Families in the order of their names.
    pub(super) fn families(&self) -> impl Iterator<Item = (&str, &Family)> {
        self.families.iter().map(|(name, f)| (name.as_ref(), f))
    }

    pub(super) fn series(&self, id: u32) -> Option<&Series> {
        self.slab.get(id as usize)?.as_ref()
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    /// The series with this raw identity, if it was seen before.
    pub(super) fn find_raw(&self, raw: u64) -> Option<u32> {
        self.by_raw.get(&raw).copied()
    }

    /// Gives a point to a known series.
    pub(super) fn update(&mut self, id: u32, point: NewPoint, now: Instant) {
        if let Some(Some(series)) = self.slab.get_mut(id as usize) {
            series.state.update(point);
            series.updated = now;
        }
    }

    /// Gives a point to the series with these labels, which is created when it is new.
    pub(super) fn insert(
        &mut self,
        family: (&str, FamilyKind, &str),
        labels: LabelText,
        raw: u64,
        point: NewPoint,
        now: Instant,
    ) -> Result<(), TypeConflict> {
        let (name, kind, help) = family;
        let name = match self.families.get_key_value(name) {
            Some((_, existing)) if existing.kind != kind => return Err(TypeConflict),
            Some((name, _)) => Arc::clone(name),
            None => {
                let name: Arc<str> = name.into();
                let help = help.to_owned();
                let series = Vec::new();
                self.families
                    .insert(Arc::clone(&name), Family { kind, help, series });
                name
            }
        };
        let id = match self.find_labels(&name, &labels.kept) {
            Some(id) => {
                self.update(id, point, now);
                id
            }
            None => self.create(&name, labels, point, now),
        };
        if let Some(Some(series)) = self.slab.get_mut(id as usize)
            && series.raw_keys.len() < RAW_KEYS_MAX
        {
            series.raw_keys.push(raw);
            self.by_raw.insert(raw, id);
        }
        Ok(())
    }

    fn create(
        &mut self,
        family: &Arc<str>,
        labels: LabelText,
        point: NewPoint,
        now: Instant,
    ) -> u32 {
        let hash = self.hash_labels(family, &labels.kept);
        let series = Series {
            family: Arc::clone(family),
            labels,
            state: State::new(point),
            updated: now,
            raw_keys: Vec::with_capacity(1),
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slab[id as usize] = Some(series);
                id
            }
            None => {
                self.slab.push(Some(series));
                (self.slab.len() - 1) as u32
            }
        };
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.by_labels.insert_unique(hash, id, |id| {
            slab[*id as usize].as_ref().map_or(0, |s| {
                hasher.hash_one((s.family.as_ref(), s.labels.kept.as_ref()))
            })
        });
        if let Some(family) = self.families.get_mut(family) {
            family.series.push(id);
        }
        id
    }

    fn hash_labels(&self, family: &str, labels: &str) -> u64 {
        self.hasher.hash_one((family, labels))
    }

    fn find_labels(&self, family: &str, labels: &str) -> Option<u32> {
        let hash = self.hash_labels(family, labels);
        self.by_labels
            .find(hash, |id| {
                self.series(*id).is_some_and(|s| {
                    s.family.as_ref() == family && s.labels.kept.as_ref() == labels
                })
            })
            .copied()
    }

    /// Removes a series.
    pub(super) fn remove(&mut self, id: u32) {
        let Some(series) = self.slab.get_mut(id as usize).and_then(Option::take) else {
            return;
        };
        for raw in &series.raw_keys {
            self.by_raw.remove(raw);
        }
        let hash = self.hash_labels(&series.family, &series.labels.kept);
        if let Ok(entry) = self.by_labels.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.free.push(id);
        if let Some(family) = self.families.get_mut(&series.family) {
            family.series.retain(|other| *other != id);
            if family.series.is_empty() {
                self.families.remove(&series.family);
            }
        }
    }

    /// True while the series is to be shown.
    pub(super) fn is_fresh(&self, series: &Series, now: Instant) -> bool {
        now.saturating_duration_since(series.updated) <= self.expiration
    }

    /// Removes series that were not updated for the expiration time.
    pub(super) fn expire(&mut self, now: Instant) {
        let old: Vec<u32> = (0..self.slab.len() as u32)
            .filter(|id| self.series(*id).is_some_and(|s| !self.is_fresh(s, now)))
            .collect();
        for id in old {
            self.remove(id);
        }
        self.bounds.retain(|bounds| Arc::strong_count(bounds) > 1);
    }

    /// Shared bounds with these values.
    pub(super) fn intern_bounds(&mut self, values: &[f64]) -> Arc<Bounds> {
        if let Some(known) = self.bounds.iter().find(|b| b.values == values) {
            return Arc::clone(known);
        }
        let bounds = Arc::new(Bounds::new(values.to_vec()));
        self.bounds.push(Arc::clone(&bounds));
        bounds
    }
}

/// Removes old series from time to time, also when nobody scrapes.
pub(super) async fn expire_until(
    store: Arc<Mutex<Store>>,
    expiration: Duration,
    stop: CancellationToken,
) {
    let period = (expiration / 4).clamp(Duration::from_millis(100), Duration::from_secs(30));
    let mut ticks = tokio::time::interval(period);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => store.lock().expire(Instant::now()),
        }
    }
}
